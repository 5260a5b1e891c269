//! Who is let in.

use super::{now, say, secret};
use anyhow::{Context, bail};
use livetape_access::{Access, Grants, Identity, Secret, Shown};
use std::path::PathBuf;

/// Which access file.
#[derive(Debug, clap::Args)]
struct FileArg {
    /// The access file
    #[arg(long, env = "LIVETAPE_ACCESS", value_name = "FILE")]
    access: PathBuf,
}

/// Flags of `livetape token check`.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: FileArg,
    /// What is read is the password of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let access = Access::load(&self.file.access, Grants::default())?;
        let text = secret("what to check")?;
        let shown = match self.user {
            Some(user) => Shown::Basic { user, password: text },
            None if text.reveal().starts_with(['/', 'h']) && text.reveal().contains("sign=") => url(&text)?,
            None => Shown::Bearer(text),
        };
        match access.identify(&shown, now()).await {
            Ok(who) => say(&line(&who)),
            Err(why) => bail!("{why}"),
        }
    }
}

fn url(text: &Secret) -> anyhow::Result<Shown> {
    let (address, query) = text.reveal().split_once('?').context("the address has no query")?;
    let path = address.split_once("://").map_or(address, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    let signature =
        query.split('&').find_map(|pair| pair.strip_prefix("sign=")).context("the address is not signed")?;
    Ok(Shown::Url { path: path.into(), signature: Secret::new(signature.replace("%2C", ",")) })
}

/// Flags of `livetape token show`.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    file: FileArg,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let access = Access::load(&self.file.access, Grants::default())?;
        access.listed().iter().try_for_each(|who| say(&line(who)))
    }
}

fn line(who: &Identity) -> String {
    let until = who.until().map(|until| format!(", until {until}")).unwrap_or_default();
    format!("{} {:?}: {}{until}", who.way().word(), who.name(), who.grants())
}
