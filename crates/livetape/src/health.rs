//! `livetape health`: asks a role on this machine how it is, for containers and service managers that run a command.

use crate::role;
use crate::settings::{FileFlag, OpsFlag};
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For each step of the question.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer names a few conditions.
const ANSWER: u64 = 64 * 1024;

/// Flags of `livetape health`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    ops: OpsFlag,
    #[command(flatten)]
    file: FileFlag,
    /// Ask only whether the process lives, not whether it is ready
    #[arg(long)]
    alive: bool,
}

/// Fails unless the role says that it is well.
pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let addr = role::reachable(args.ops.addr(&args.file.load()?));
    let path = if args.alive { "/healthz" } else { "/readyz" };
    let answer = ask(addr, path).with_context(|| format!("http://{addr}{path} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        bail!("http://{addr}{path}: {}", if body.trim().is_empty() { head } else { body.trim() });
    }
    Ok(())
}

fn ask(addr: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
