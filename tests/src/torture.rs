//! What tests that break things share: a listener that remembers, and what is asked when all is over.

use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::command;
use livetape_testkit::{http, spawn};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A number from the environment.
///
/// # Panics
/// When what is there is no number.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |s| s.parse().expect("a number"))
}

/// Numbers that look random and are the same for the same seed; each below what is asked for.
pub fn numbers(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    }
}

/// Follows a recording by ranges, comes back after each cut, and compares every byte as it comes.
#[derive(Debug)]
pub struct Listener {
    thread: std::thread::JoinHandle<Result<u64>>,
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicU64>,
}

impl Listener {
    /// Starts to listen to `target` (PCM) at its first byte.
    pub fn start(to: SocketAddr, target: String) -> Self {
        Self::looking(to, target, |piece, at| Ok(verify_at(piece, at)?))
    }

    /// The same, of audio in which numbers may jump: `look` gets each piece as it comes, with its first byte.
    pub fn looking(
        to: SocketAddr,
        target: String,
        mut look: impl FnMut(&[u8], u64) -> Result<()> + Send + 'static,
    ) -> Self {
        let (stop, heard) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = std::thread::spawn({
            let (stop, heard) = (Arc::clone(&stop), Arc::clone(&heard));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    listen(to, &target, &stop, &heard, &mut look)?;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(heard.load(Ordering::Relaxed))
            }
        });
        Self { thread, stop, heard }
    }

    /// Bytes heard so far, all of them right.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether it has given up, because what it heard was wrong: [`Self::end`] says how.
    pub fn gave_up(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops listening. Gives the bytes heard.
    ///
    /// # Errors
    /// What was wrong with them.
    ///
    /// # Panics
    /// When the listener does.
    pub fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread does not panic")
    }
}

/// One connection of a listener that has heard the first `heard` bytes. Only wrong audio is an error.
fn listen(
    to: SocketAddr,
    target: &str,
    stop: &AtomicBool,
    heard: &AtomicU64,
    look: &mut impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let start = heard.load(Ordering::Relaxed);
    let Ok(mut reply) = http::get(to, target).range(&format!("{start}-")).send() else { return Ok(()) };
    if reply.status == 416 && reply.header("content-range") == Some(format!("bytes */{start}").as_str()) {
        return Ok(()); // It has ended, and all of it was heard.
    }
    // What was heard is there after every start: to ask for what follows can be early, but never beyond.
    ensure!(matches!(reply.status, 206 | 200 | 404 | 503), "after {start} bytes: {} {:?}", reply.status, reply.headers);
    if reply.status == 404 || reply.status == 503 {
        return Ok(());
    }
    let mut at = if reply.status == 200 { 0 } else { start };
    while !stop.load(Ordering::Relaxed) {
        let deadline = std::time::Instant::now() + Duration::from_millis(100);
        let piece = reply.next_piece(deadline)?;
        if piece.is_empty() && reply.ending() != http::Ending::Open {
            return Ok(());
        }
        look(&piece, at).with_context(|| format!("a listener heard it from {at} on"))?;
        at += piece.len() as u64;
        heard.fetch_max(at, Ordering::Relaxed);
    }
    Ok(())
}

/// The gaps on a recording's timeline.
///
/// # Errors
/// When the gateway does not say.
pub fn gaps(to: SocketAddr, id: &str) -> Result<Vec<serde_json::Value>> {
    let timeline = http::json(to, &format!("/recordings/{id}/timeline"))?;
    let entries = timeline["entries"].as_array().context("entries")?;
    Ok(entries.iter().filter(|e| e["type"] == "gap").cloned().collect())
}

/// Bytes of audio that exist now.
///
/// # Errors
/// When the gateway does not say.
pub fn edge(to: SocketAddr, id: &str) -> Result<u64> {
    http::json(to, &format!("/recordings/{id}"))?["bytes"].as_u64().context("bytes")
}

/// The finished recording at `target` (PCM) has the frames before `end`, each as it was counted.
///
/// # Errors
/// When it has not.
pub fn counted(to: SocketAddr, target: &str, end: Frame) -> Result<()> {
    let body = http::get(to, target).send()?.body()?;
    let bytes = stereo().bytes(end.since(Frame::ZERO));
    ensure!(body.len() as u64 == bytes, "{} bytes of {bytes}", body.len());
    Ok(verify_at(&body, 0)?)
}

/// The memory that a process holds, in bytes.
///
/// # Errors
/// When there is no such process.
pub fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its memory")?;
    let kib: u64 = memory.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

/// `livetape verify` finds nothing wrong.
///
/// # Errors
/// What it finds.
pub fn verified(data: &Path) -> Result<()> {
    let mut verify = command(["verify", "--data-dir"])?;
    verify.arg(data);
    spawn::run(verify, Duration::from_secs(120))?.ok()?;
    Ok(())
}
