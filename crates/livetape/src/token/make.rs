//! New tokens, users, keys, JWTs and signed addresses.

use super::{Algorithm, GrantFlags, TermFlags, hand_over, now, say, secret, secret_file, write_new};
use anyhow::{Context, ensure};
use livetape_access::{Claims, Grants, Right, Rights, TokenHash, UrlKey, hash_password, issue, mint_token, pair};
use livetape_audio::WallTime;
use std::path::PathBuf;
use std::time::Duration;

/// A name that means the same in a file, in `user:password` and in a log.
fn plain(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " ._@+-".contains(c);
    let fits = (1..=64).contains(&name.len()) && name.chars().all(is_plain);
    if fits { Ok(name.into()) } else { Err("use 1 to 64 letters, digits, spaces and . _ @ + -".into()) }
}

/// Flags of `livetape token new`.
#[derive(Debug, clap::Args)]
pub(super) struct NewToken {
    /// Whose it is, for logs and for people
    #[arg(long, value_parser = plain)]
    name: String,
    #[command(flatten)]
    grants: GrantFlags,
    #[command(flatten)]
    term: TermFlags,
    /// New file that gets the token; without it, the token is shown once
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl NewToken {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let token = mint_token()?;
        let hash = TokenHash::of(&token);
        hand_over("the token", &token, self.out.as_ref())?;
        let rest = format!("sha256 = \"{hash}\"\n{}", terms(self.grants.grants()?, self.term.until()));
        say(&format!("[[token]]\nname = \"{}\"\n{rest}", self.name))
    }
}

/// Flags of `livetape token password`.
#[derive(Debug, clap::Args)]
pub(super) struct NewUser {
    /// The user
    #[arg(long, value_parser = plain)]
    name: String,
    #[command(flatten)]
    grants: GrantFlags,
    #[command(flatten)]
    term: TermFlags,
}

impl NewUser {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let hash = hash_password(&secret("the password")?)?;
        let rest = terms(self.grants.grants()?, self.term.until());
        say(&format!("[[user]]\nname = \"{}\"\npassword = \"{hash}\"\n{rest}", self.name))
    }
}

fn terms(grants: Grants, until: Option<WallTime>) -> String {
    let grants: Vec<String> = Vec::from(grants).iter().map(|grant| format!("\"{grant}\"")).collect();
    let until = until.map(|until| format!("\nuntil = \"{until}\"")).unwrap_or_default();
    format!("grants = [{}]{until}", grants.join(", "))
}

/// Flags of `livetape token key`.
#[derive(Debug, clap::Args)]
pub(super) struct NewKey {
    /// For JWTs signed in this way; without it, for signing addresses
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,
    /// New file that gets the key; what is public of it goes beside it, as FILE.pub
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl NewKey {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let pair = self.algorithm.map(|algorithm| pair(algorithm.into())).transpose()?.flatten();
        let Some(pair) = pair else {
            return hand_over("the key", &UrlKey::mint()?, Some(&self.out));
        };
        hand_over("the key", &pair.private, Some(&self.out))?;
        let mut public = self.out.into_os_string();
        public.push(".pub");
        write_new(&PathBuf::from(public), &pair.public, 0o644)
    }
}

/// Flags of `livetape token jwt`.
#[derive(Debug, clap::Args)]
pub(super) struct NewJwt {
    /// File with the shared secret, or with the private key in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How to sign
    #[arg(long, value_enum)]
    algorithm: Algorithm,
    /// Id of the key
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// Id of the token, by which it can be revoked
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Who issues it
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// For whom it is
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    #[command(flatten)]
    grants: GrantFlags,
    #[command(flatten)]
    term: TermFlags,
    /// New file that gets it; without it, it is shown once
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl NewJwt {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let claims = Claims {
            sub: Some(self.subject),
            iss: self.issuer,
            aud: self.audience.map(Into::into),
            jti: self.id,
            exp: Some((self.term.must_end()?.unix_millis() / 1000).into()),
            nbf: None,
            livetape: self.grants.grants()?,
        };
        let token = issue(self.algorithm.into(), &secret_file(&self.key)?, self.key_id, &claims)?;
        match &self.out {
            Some(_) => hand_over("the JWT", &token, self.out.as_ref()),
            None => say(token.reveal()),
        }
    }
}

/// Flags of `livetape token url`.
#[derive(Debug, clap::Args)]
pub(super) struct NewUrl {
    /// File with the key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Id of the key in the access file
    #[arg(long, value_name = "ID")]
    key_id: String,
    /// Address to sign: a path such as /streams/live/live.wav, or an http or https address; one that ends in / stands for
    /// everything below it
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// What it allows: listen, export, or both
    #[arg(long, value_name = "RIGHTS", default_value = "listen", value_parser = rights)]
    rights: Rights,
    /// When listening has to have begun [default: when it ends]
    #[arg(long, value_name = "TIME")]
    start_by: Option<WallTime>,
    #[command(flatten)]
    term: TermFlags,
}

fn rights(text: &str) -> Result<Rights, String> {
    let rights: Rights = text.parse().map_err(|error: livetape_access::GrantError| error.to_string())?;
    if rights.has(Right::Publish) || rights.has(Right::Manage) {
        return Err("addresses are signed to listen and to export, nothing else".into());
    }
    Ok(rights)
}

impl NewUrl {
    pub(super) fn run(self) -> anyhow::Result<()> {
        // Whole seconds are signed: not one that is over.
        let until = self.term.must_end()?.later(Duration::from_millis(999));
        let start_by = self.start_by.unwrap_or(until);
        ensure!(start_by > now(), "{start_by} is over");
        let (address, query) = self.address.split_once('?').unwrap_or((&self.address, ""));
        let path_at = address.find("://").map_or(Some(0), |at| address[at + 3..].find('/').map(|path| at + 3 + path));
        let path = &address[path_at.context("the address has no path")?..];
        ensure!(!path.contains(['%', '#']), "the path is to be written plainly, without % and #");
        let key = UrlKey::new(&self.key_id, secret_file(&self.key)?.reveal())?;
        let signature = key.sign(path, self.rights, start_by, until)?;
        let separator = if query.is_empty() { "?" } else { "&" };
        say(&format!("{}{separator}sign={signature}", self.address))
    }
}
