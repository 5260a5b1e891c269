//! Limits of the address for sources that are pushed. Keys of the file are among the others, in `[limits]`.

use super::File;
use super::clients::{LimitFlags, number, whole};
use super::{Span, span};
use livetape_capture::IntakeLimits;
use livetape_service::ClientLimits;
use std::time::Duration;

/// Limits of the address for sources, as flags.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SourceLimitFlags {
    /// Connections of pushed sources at once, with those that set titles [default: 256]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCE_CONNECTIONS", value_name = "N")]
    limit_source_connections: Option<u32>,
    /// Connections of pushed sources at once from one address [default: 64]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCE_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    limit_source_connections_per_address: Option<u32>,
    /// Pushed sources at once, at most 1000 [default: 64]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCES", value_name = "N")]
    limit_sources: Option<u32>,
    /// Pushed sources at once from one address [default: 32]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCES_PER_ADDRESS", value_name = "N")]
    limit_sources_per_address: Option<u32>,
    /// Pushed sources at once of one token or user [default: 32]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCES_PER_IDENTITY", value_name = "N")]
    limit_sources_per_identity: Option<u32>,
    /// Requests of pushed sources in a second from one address, ten times as many at once [default: 20]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCE_RATE_PER_ADDRESS", value_name = "N")]
    limit_source_rate_per_address: Option<u32>,
    /// Requests of pushed sources in a second of one token or user, ten times as many at once [default: 50]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCE_RATE_PER_IDENTITY", value_name = "N")]
    limit_source_rate_per_identity: Option<u32>,
    /// How long the head of a pushed source's request may take [default: 10s]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCE_HEAD_TIME", value_name = "TIME")]
    limit_source_head_time: Option<Span>,
    /// How long a pushed source may be silent before it counts as gone [default: 10s]
    #[arg(long, env = "LIVETAPE_LIMIT_SOURCE_STALL", value_name = "TIME")]
    limit_source_stall: Option<Span>,
}

impl LimitFlags {
    /// Those of pushed sources.
    pub(crate) fn intake(&self, file: &File) -> anyhow::Result<IntakeLimits> {
        let (built_in, flags, f) = (IntakeLimits::default(), &self.sources, &file.limits);
        let clients = built_in.clients;
        let time = |name: &str, flag, file, built_in| {
            let (least, most) = (Duration::from_millis(100), Duration::from_secs(3600));
            span(&format!("limit_{name}"), flag, file, built_in, least..=most)
        };
        Ok(IntakeLimits {
            connections: whole(number(
                "source_connections",
                flags.limit_source_connections,
                f.source_connections,
                256,
            )?),
            sources: whole(number("sources", flags.limit_sources, f.sources, 64)?),
            head: time("source_head_time", flags.limit_source_head_time, f.source_head_time, built_in.head)?,
            stall: time("source_stall", flags.limit_source_stall, f.source_stall, built_in.stall)?,
            clients: ClientLimits {
                connections: number(
                    "source_connections_per_address",
                    flags.limit_source_connections_per_address,
                    f.source_connections_per_address,
                    clients.connections,
                )?,
                lasting_per_address: number(
                    "sources_per_address",
                    flags.limit_sources_per_address,
                    f.sources_per_address,
                    clients.lasting_per_address,
                )?,
                lasting_per_identity: number(
                    "sources_per_identity",
                    flags.limit_sources_per_identity,
                    f.sources_per_identity,
                    clients.lasting_per_identity,
                )?,
                rate_per_address: number(
                    "source_rate_per_address",
                    flags.limit_source_rate_per_address,
                    f.source_rate_per_address,
                    clients.rate_per_address,
                )?,
                rate_per_identity: number(
                    "source_rate_per_identity",
                    flags.limit_source_rate_per_identity,
                    f.source_rate_per_identity,
                    clients.rate_per_identity,
                )?,
                ..self.everywhere(clients, file)?
            },
        })
    }
}
