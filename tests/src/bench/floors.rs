//! Bare loops: the least that has to be done for the same bytes, on the same machine in the same minute. Each runs as a
//! process of its own, so that the operating system counts it apart; a benchmark starts itself for that.

pub mod encode;
pub mod ingest;
mod listen;
mod range;

use anyhow::{Context, Result, bail};
use livetape_testkit::spawn;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, SystemTime};

/// The argument by which a benchmark knows that it is to be a bare loop.
pub const FLOOR: &str = "floor";

/// A running bare loop. Killed when dropped.
#[derive(Debug)]
pub struct Floor {
    child: Child,
    address: SocketAddr,
    /// When it started to count, as seconds since 1970.
    zero: f64,
}

impl Floor {
    /// Starts one: its name, and what it needs.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut command = spawn::command(std::env::current_exe()?);
        command.arg(FLOOR).args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = spawn::spawn(command)?;
        let mut said = String::new();
        BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut said)?;
        let (address, zero) = said.trim().split_once(' ').context("a bare loop says where it listens")?;
        Ok(Self { address: address.parse()?, zero: zero.parse()?, child })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// When it captured its first byte.
    ///
    /// # Panics
    /// When the clock was set.
    pub fn zero(&self) -> std::time::Instant {
        let ago = since_1970() - self.zero;
        std::time::Instant::now().checked_sub(Duration::from_secs_f64(ago.max(0.0))).expect("not before the machine")
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// What [`Floor::start`] waits for.
fn announce(address: SocketAddr) {
    println!("{address} {:.6}", since_1970());
}

/// Is the loop of this name, for ever.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["listen", tick_ms, byte_rate] => listen::run(Duration::from_millis(tick_ms.parse()?), byte_rate.parse()?),
        ["encode", name, file] => encode::run(name, file.as_ref()),
        ["range", how, file] => range::run(how, file.as_ref()),
        ["socket", folder] => ingest::socket(folder.as_ref()),
        ["tonic", folder] => ingest::tonic(folder.as_ref()),
        _ => bail!("no bare loop {args:?}"),
    }
}
