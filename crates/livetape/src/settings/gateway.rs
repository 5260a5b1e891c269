//! Flags of the gateway.

use super::access::Policy;
use super::{DataFlag, File, Span, local, span};
use anyhow::{Context, ensure};
use livetape_gateway::{GatewayConfig, Limits, Reading, Renditions};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// Flags of the gateway.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct GatewayFlags {
    /// Where listeners connect [default: 127.0.0.1:8080]
    #[arg(long, env = "LIVETAPE_HTTP_ADDR", value_name = "ADDR")]
    http_addr: Option<SocketAddr>,
    /// Host names besides localhost under which the gateway may be asked; * for any
    #[arg(long, env = "LIVETAPE_HOSTS", value_name = "NAME", value_delimiter = ',')]
    hosts: Option<Vec<String>>,
    /// Origins, each as SCHEME://HOST, whose pages may read audio; * for any
    #[arg(long, env = "LIVETAPE_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origins: Option<Vec<String>>,
    /// Compressed renditions that are offered, the usual one of a codec first, such as mp3-128,opus-96,flac
    #[arg(long, env = "LIVETAPE_RENDITIONS", value_name = "NAME", value_delimiter = ',')]
    renditions: Option<Vec<String>>,
    /// Encoders of compressed renditions that may be in use at once [default: 64]
    #[arg(long, env = "LIVETAPE_ENCODERS", value_name = "NUMBER")]
    encoders: Option<usize>,
    /// How long listeners may go on when the process is asked to stop [default: 5s]
    #[arg(long, env = "LIVETAPE_DRAIN", value_name = "TIME")]
    drain: Option<Span>,
}

/// Where a gateway of its own reads audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Read {
    /// Through the recorder.
    Recorder,
    /// In the recorder's data folder.
    Dir,
}

/// Where a gateway of its own reads audio.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ReadFlag {
    /// Whether to read audio through the recorder, or in its data folder on this machine [default: recorder]
    #[arg(long, env = "LIVETAPE_READ", value_enum)]
    read: Option<Read>,
}

impl ReadFlag {
    /// Where.
    pub(crate) fn reading(&self, data: &DataFlag, file: &File) -> Reading {
        match self.read.or(file.read).unwrap_or(Read::Recorder) {
            Read::Recorder => Reading::Recorder,
            Read::Dir => Reading::Dir(data.folder(file)),
        }
    }
}

impl GatewayFlags {
    /// Checked settings.
    pub(crate) fn config(&self, policy: &Policy, file: &File) -> anyhow::Result<GatewayConfig> {
        let built_in = GatewayConfig::new(self.http_addr.or(file.http_addr).unwrap_or(local(8080)));
        let most = Duration::from_secs(3600);
        let list = |flag: &Option<Vec<String>>, file: &Option<Vec<String>>| flag.clone().or_else(|| file.clone());
        let renditions = list(&self.renditions, &file.renditions).map(Renditions::named).transpose();
        let limits =
            Limits { encoders: self.encoders.or(file.encoders).unwrap_or(built_in.limits.encoders), ..built_in.limits };
        let at_most = 10_000;
        ensure!(
            limits.encoders <= at_most,
            "encoders (LIVETAPE_ENCODERS) is {}; at most {at_most}, such as 64",
            limits.encoders
        );
        policy.warn_if_open(built_in.addr);
        Ok(GatewayConfig {
            renditions: renditions.context("renditions (LIVETAPE_RENDITIONS)")?.unwrap_or_default(),
            limits,
            access: Some(policy.at(built_in.addr)?),
            tls: None,
            hosts: list(&self.hosts, &file.hosts).unwrap_or_default(),
            cors_origins: list(&self.cors_origins, &file.cors_origins).unwrap_or_default(),
            drain: span("drain", self.drain, file.drain, built_in.drain, Duration::ZERO..=most)?,
            ..built_in
        })
    }
}
