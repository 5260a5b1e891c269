//! `livetape token`: makes, shows and checks what people prove who they are with.
//!
//! Secrets are read from files or standard input, never from arguments, which everybody on the machine can see; what is
//! new is written to a file that only its owner can read, or shown once.

mod check;
mod make;

use crate::settings::Span;
use anyhow::{Context, ensure};
use livetape_access::{Grant, Grants, JwtAlgorithm, Secret};
use livetape_audio::WallTime;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most bytes of a secret.
const MAX_SECRET: u64 = 64 << 10;

/// Flags of `livetape token`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token, and the entry of the access file that lets it in
    New(make::NewToken),
    /// Hash a password read from standard input, and make the entry of the access file that lets its user in
    Password(make::NewUser),
    /// Make a key: one that signs addresses, or one for JWTs
    Key(make::NewKey),
    /// Make a JWT
    Jwt(make::NewJwt),
    /// Sign an address for a player that can send no headers
    Url(make::NewUrl),
    /// Say who is let in by what is read from standard input: a token, a JWT, a password, a signed address
    Check(check::Check),
    /// List who is let in by an access file
    Show(check::Show),
}

/// Does it.
pub(crate) async fn run(args: TokenArgs) -> anyhow::Result<()> {
    match args.what {
        What::New(new) => new.run(),
        What::Password(new) => new.run(),
        What::Key(new) => new.run(),
        What::Jwt(new) => new.run(),
        What::Url(new) => new.run(),
        What::Check(check) => check.run().await,
        What::Show(show) => show.run(),
    }
}

/// What somebody may.
#[derive(Debug, clap::Args)]
struct GrantFlags {
    /// What may be done where, such as listen,export:studio-*; may be repeated
    #[arg(long = "grant", value_name = "RIGHTS:STREAMS", required = true)]
    grants: Vec<Grant>,
}

impl GrantFlags {
    fn grants(self) -> anyhow::Result<Grants> {
        Ok(Grants::try_from(self.grants)?)
    }
}

/// For how long.
#[derive(Debug, clap::Args)]
struct TermFlags {
    /// When it ends, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "for_")]
    until: Option<WallTime>,
    /// After which time it ends, such as 12h
    #[arg(long = "for", value_name = "SPAN")]
    for_: Option<Span>,
}

impl TermFlags {
    fn until(&self) -> Option<WallTime> {
        self.until.or_else(|| self.for_.map(|Span(time)| now().later(time)))
    }

    fn must_end(&self) -> anyhow::Result<WallTime> {
        let until = self.until().context("say when it ends: --until TIME or --for SPAN")?;
        ensure!(until > now(), "{until} is over");
        Ok(until)
    }
}

/// How JWTs are signed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Algorithm {
    /// A shared secret
    #[value(name = "HS256")]
    Hs256,
    /// RSA
    #[value(name = "RS256")]
    Rs256,
    /// Elliptic curve P-256
    #[value(name = "ES256")]
    Es256,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
}

impl From<Algorithm> for JwtAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::HS256,
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::default().later(since)
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// Reads a secret from standard input: all of it, without the end of the line.
fn secret(what: &str) -> anyhow::Result<Secret> {
    if std::io::stdin().is_terminal() {
        eprintln!("{what}, then Enter and Ctrl-D (what is typed is seen; better come from a file or a pipe):");
    }
    read(std::io::stdin().lock(), what)
}

/// Reads a secret from a file.
fn secret_file(path: &Path) -> anyhow::Result<Secret> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    read(file, &path.display().to_string())
}

fn read(from: impl Read, what: &str) -> anyhow::Result<Secret> {
    let mut text = String::new();
    from.take(MAX_SECRET + 1).read_to_string(&mut text).with_context(|| format!("cannot read {what}"))?;
    ensure!(text.len() as u64 <= MAX_SECRET, "{what} is longer than {MAX_SECRET} bytes");
    let text = text.trim_end_matches(['\r', '\n']);
    ensure!(!text.is_empty(), "{what} is empty");
    Ok(Secret::new(text))
}

/// Writes a secret to a new file that only its owner can read, or shows it if there is none.
fn hand_over(what: &str, secret: &Secret, out: Option<&PathBuf>) -> anyhow::Result<()> {
    // Not where the entry goes, which is made to be appended to a file.
    let Some(path) = out else {
        eprintln!("{what}, shown this once: {}", secret.reveal());
        return Ok(());
    };
    write_new(path, secret.reveal(), 0o600)
}

/// Writes a file that must not exist.
fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let place = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(place)?;
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(file, "{text}{end}").and_then(|()| file.sync_all()).with_context(place)
}
