//! Who may what, as flags, environment and file say it.

use super::File;
use anyhow::Context;
use livetape_access::{Access, Grants, Right, Rights};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What only one who knows what it means should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Anonymous {
    /// Anyone who reaches the address may listen.
    Listen,
    /// Anyone who reaches the address may record.
    Publish,
    /// Anyone who reaches the address may take views away as files.
    Export,
    /// Anyone who reaches the address may see how the process is doing.
    Watch,
    /// Anyone who reaches the address may seal, change and delete recordings.
    Manage,
    /// All of this but `watch` counts only for as long as there is no access file: for what is built into a deployment and must
    /// not stay open when somebody adds one.
    UnlessAccess,
    /// Between two commas: what a compose file puts together may have an empty part.
    #[value(name = "", hide = true)]
    #[serde(skip)]
    Nothing,
}

impl Anonymous {
    const fn right(self) -> Option<Right> {
        match self {
            Self::Listen => Some(Right::Listen),
            Self::Publish => Some(Right::Publish),
            Self::Export => Some(Right::Export),
            Self::Manage => Some(Right::Manage),
            Self::Watch | Self::UnlessAccess | Self::Nothing => None,
        }
    }
}

/// Who may what.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct AccessFlags {
    /// File that says who may publish, listen, export and manage; see docs/security.md [default: everybody, on loopback]
    #[arg(long, env = "LIVETAPE_ACCESS", value_name = "FILE")]
    access: Option<PathBuf>,
    /// Let anyone do this who shows nothing, also where other machines reach it: listen, publish, export, manage, watch; with
    /// unless-access only while there is no access file
    #[arg(long, env = "LIVETAPE_ANONYMOUS", value_enum, value_delimiter = ',')]
    anonymous: Option<Vec<Anonymous>>,
}

/// What the flags and files come to.
#[derive(Debug)]
pub(crate) struct Policy {
    loaded: Option<Arc<Access>>,
    /// What is everybody's, if that was said.
    anonymous: Grants,
    watch: bool,
}

impl AccessFlags {
    /// Reads the access file, if there is one.
    pub(crate) fn policy(&self, file: &File) -> anyhow::Result<Policy> {
        let said = self.anonymous.as_ref().or(file.anonymous.as_ref()).map(Vec::as_slice).unwrap_or_default();
        let path = self.access.as_ref().or(file.access.as_ref());
        let counts = path.is_none() || !said.contains(&Anonymous::UnlessAccess);
        let anonymous = Grants::everywhere(Rights::of(said.iter().filter(|_| counts).filter_map(|what| what.right())));
        let load = |path: &PathBuf| Access::load(path, anonymous.clone()).context("LIVETAPE_ACCESS");
        Ok(Policy { loaded: path.map(load).transpose()?, watch: said.contains(&Anonymous::Watch), anonymous })
    }
}

impl Policy {
    /// Who may what at this address. Without an access file everybody may what was said to be everybody's, and on loopback whoever is on
    /// this machine everything.
    pub(crate) fn at(&self, addr: SocketAddr) -> anyhow::Result<Arc<Access>> {
        match &self.loaded {
            Some(access) => Ok(Arc::clone(access)),
            None if addr.ip().to_canonical().is_loopback() => Ok(Access::of_this_machine(self.anonymous.clone())?),
            None => Ok(Access::open(self.anonymous.clone())?),
        }
    }

    /// Says so when others reach an address at which anyone may change and delete, although an access file says who may.
    pub(crate) fn warn_if_open(&self, addr: SocketAddr) {
        let reached = !addr.ip().to_canonical().is_loopback();
        if self.loaded.is_some() && reached && self.anonymous.allow_everywhere(Right::Manage) {
            tracing::warn!(
                %addr,
                "there is an access file, and still anyone who reaches this address may seal, change and delete recordings: \
                 leave `manage` out of LIVETAPE_ANONYMOUS"
            );
        }
    }

    /// Whether anyone may see how the process is doing.
    pub(crate) const fn lets_watch(&self) -> bool {
        self.watch
    }
}
