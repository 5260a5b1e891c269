//! Restarts under a listener: nothing is missing from what it heard.

use crate::deployment::{Deployment, Part, Read};
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending};
use livetape_testkit::process::Start;
use livetape_testkit::{spawn, wait};
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{Listener, counted, edge, gaps};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_listener_hears_all_through_restarts() -> Result<()> {
    let mut deployment = Deployment::start(Read::Recorder, true)?;
    let (pusher, id) = deployment.push()?;
    let (to, target) = (deployment.http(), format!("/recordings/{id}/audio.pcm"));
    let listener = Listener::start(to, target.clone());
    let hears = |end: Frame| {
        let bytes = stereo().bytes(end.since(Frame::ZERO));
        wait::until("the listener to come along", SOON, || {
            (listener.heard() >= bytes || listener.gave_up()).then_some(())
        })
    };
    for part in [Part::Gateway, Part::Recorder, Part::Redis] {
        hears(pusher.captured()).with_context(|| format!("before {part:?}"))?;
        match part {
            Part::Gateway => deployment.gateway.stop()?,
            Part::Recorder => deployment.recorder.stop()?,
            Part::Redis => deployment.kill(part)?,
        }
        deployment.again(part)?;
        hears(pusher.captured()).with_context(|| format!("after {part:?}"))?;
    }
    let end = pusher.end(SOON)?;
    hears(end)?;
    let (heard, bytes) = (listener.end()?, stereo().bytes(end.since(Frame::ZERO)));
    ensure!(heard == bytes, "{heard} bytes were heard of {bytes}");
    counted(to, &target, end)?;
    ensure!(gaps(to, &id)?.is_empty(), "{:?}", gaps(to, &id)?);
    deployment.stop()
}

/// Most time for which the recorder may be away, and how much a listener has in hand.
const AWAY: Duration = Duration::from_secs(3);
const BURST: u64 = 4;
/// The machine pauses, too: how often it may be tried.
const TRIES: usize = 5;

/// Plays live PCM from the moment at which it has its burst. Gives the least number of bytes that it had in hand, which is
/// below zero if it had to stop for want of audio, and all that it heard.
fn play(to: SocketAddr, stop: &AtomicBool, has_burst: &AtomicBool) -> Result<(i64, u64)> {
    let mut live = http::get(to, &format!("/streams/live/live.pcm?burst={BURST}")).send()?;
    ensure!(live.status == 200, "{} {:?}", live.status, live.headers);
    let first = live.header("x-livetape-first-frame").with_context(|| format!("{}: where it begins", live.status))?;
    let first: u64 = first.parse()?;
    let burst = live.at_least((BURST * SECOND) as usize, SOON)?;
    has_burst.store(true, Ordering::Relaxed);
    let (began, mut heard) = (Instant::now(), burst.len() as u64);
    verify_at(&burst, first * 4)?;
    let mut least = i64::MAX;
    while !stop.load(Ordering::Relaxed) {
        let piece = live.next_piece(Instant::now() + Duration::from_millis(100))?;
        ensure!(live.ending() == Ending::Open, "it was cut off after {heard} bytes");
        verify_at(&piece, first * 4 + heard)?;
        // What had come by the moment at which more came.
        let played = began.elapsed().as_secs_f64() * SECOND as f64;
        least = least.min(heard as i64 - played as i64);
        heard += piece.len() as u64;
    }
    Ok((least, heard))
}

/// How the recorder goes.
#[derive(Clone, Copy)]
enum Goes {
    Stopped,
    Killed,
}

/// A pause of this length is the machine's, which has other things to do.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the machine let a thread wait that had something to do.
fn pauses(stop: &AtomicBool) -> bool {
    let mut paused = false;
    while !stop.load(Ordering::Relaxed) {
        let (asked, nap) = (Instant::now(), Duration::from_millis(5));
        std::thread::sleep(nap);
        paused |= asked.elapsed() > nap + PAUSE;
    }
    paused
}

/// What came of one try.
#[derive(Debug)]
struct Try {
    away: Duration,
    /// Bytes that the listener had in hand at least.
    least: i64,
    paused: bool,
}

/// The recorder goes and comes back while somebody listens.
fn restarted_under_a_listener(deployment: &mut Deployment, how: Goes) -> Result<Try> {
    let (to, stop) = (deployment.http(), Arc::new(AtomicBool::new(false)));
    let machine = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || pauses(&stop)
    });
    let has_burst = Arc::new(AtomicBool::new(false));
    let listener = std::thread::spawn({
        let (stop, has_burst) = (Arc::clone(&stop), Arc::clone(&has_burst));
        move || play(to, &stop, &has_burst)
    });
    // On a busy machine it takes a while.
    wait::until("its burst", SOON, || (has_burst.load(Ordering::Relaxed) || listener.is_finished()).then_some(()))?;
    std::thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    match how {
        Goes::Stopped => deployment.recorder.stop()?,
        Goes::Killed => deployment.kill(Part::Recorder)?,
    }
    std::thread::sleep(Duration::from_millis(1_500).saturating_sub(asked.elapsed()));
    deployment.again(Part::Recorder)?;
    let away = asked.elapsed();
    // Until well after it would have run dry.
    std::thread::sleep(Duration::from_secs(BURST));
    stop.store(true, Ordering::Relaxed);
    let (least, _) = listener.join().expect("the listener does not panic")?;
    Ok(Try { away, least, paused: machine.join().expect("it only sleeps") })
}

fn costs_nothing(read: Read, how: Goes) -> Result<()> {
    let mut deployment = Deployment::start(read, true)?;
    let capture = Start::capture(deployment.ingest()).source("counting").spawn()?;
    let id = deployment.recording()?;
    let mut tried = Vec::new();
    for _ in 0..TRIES {
        wait::until("a burst", SOON, || {
            edge(deployment.http(), &id).is_ok_and(|bytes| bytes > (BURST + 1) * SECOND).then_some(())
        })?;
        let outcome = restarted_under_a_listener(&mut deployment, how)?;
        let is_short = outcome.away <= AWAY;
        ensure!(!is_short || outcome.least >= 0 || outcome.paused, "it ran dry: {outcome:?}");
        if is_short && outcome.least >= 0 {
            ensure!(gaps(deployment.http(), &id)?.is_empty(), "{:?}", gaps(deployment.http(), &id)?);
            capture.stop()?;
            return deployment.stop();
        }
        tried.push(outcome);
    }
    anyhow::bail!("{tried:?}");
}

#[test]
fn a_recorder_that_restarts_within_3_s_costs_a_live_listener_nothing() -> Result<()> {
    costs_nothing(Read::Recorder, Goes::Stopped)
}

#[test]
fn nor_when_the_gateway_reads_the_folder() -> Result<()> {
    costs_nothing(Read::Dir, Goes::Stopped)
}

#[test]
fn nor_when_it_is_killed() -> Result<()> {
    costs_nothing(Read::Recorder, Goes::Killed)
}

/// Whether these are whole pages of Ogg and nothing else.
fn are_pages(mut ogg: &[u8]) -> bool {
    while let Some(segments) = ogg.get(26).filter(|_| ogg.starts_with(b"OggS")) {
        let table = 27 + usize::from(*segments);
        let Some(lengths) = ogg.get(27..table) else { return false };
        let page = table + lengths.iter().map(|&length| usize::from(length)).sum::<usize>();
        let Some(rest) = ogg.get(page..) else { return false };
        ogg = rest;
    }
    ogg.is_empty()
}

/// Whether ffmpeg finds nothing to complain about.
fn is_decoded(audio: &[u8], kind: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(kind);
    std::fs::write(&file, audio)?;
    let mut ffmpeg = spawn::command("ffmpeg");
    ffmpeg.args(["-v", "error", "-xerror", "-f", kind, "-i"]).arg(&file).args(["-f", "null", "-"]);
    let done = spawn::run(ffmpeg, SOON)?;
    ensure!(done.code == Some(0) && done.stderr.trim().is_empty(), "{kind}: {}", done.stderr);
    Ok(())
}

#[test]
fn compressed_bodies_go_on_and_are_reset_between_two_of_their_frames() -> Result<()> {
    let deployment = Deployment::start(Read::Recorder, false)?;
    let (pusher, id) = deployment.push()?;
    let recorder = deployment.recorder.running()?.grpc();
    let mut gateway = Start::gateway(recorder).args(["--drain", "4s"]).spawn()?;
    wait::until("audio", SOON, || edge(gateway.http(), &id).is_ok_and(|bytes| bytes > SECOND).then_some(()))?;
    let mut bodies = Vec::new();
    for ending in ["mp3", "opus", "flac"] {
        let mut body = http::get(gateway.http(), &format!("/streams/live/live.{ending}?burst=0")).send()?;
        ensure!(body.status == 200, "{ending}: {}", body.status);
        let begin = body.at_least(1, SOON)?;
        bodies.push((ending, begin, body));
    }
    gateway.terminate()?;
    for (ending, mut heard, mut body) in bodies {
        let before = heard.len();
        let (rest, end) = body.to_end(SOON)?;
        heard.extend(rest);
        ensure!(end == Ending::Cut, "{ending}: a clean end would mean that the recording is over");
        // FLAC needs next to nothing for numbers that follow each other.
        let least = if ending == "flac" { 1 } else { 8_000 };
        ensure!(heard.len() >= before + least, "{ending}: {} bytes came after the signal", heard.len() - before);
        match ending {
            // At 48 kHz and 128 kbit/s each has so many bytes.
            "mp3" => ensure!(heard.len().is_multiple_of(384), "{} bytes of MP3", heard.len()),
            "opus" => ensure!(are_pages(&heard), "{} bytes of Ogg", heard.len()),
            _ => is_decoded(&heard, "flac")?,
        }
    }
    ensure!(gateway.wait(SOON)?.success());
    pusher.end(SOON)?;
    deployment.stop()
}

#[test]
fn a_gateway_is_not_ready_first_then_bodies_go_on_then_they_are_reset() -> Result<()> {
    let deployment = Deployment::start(Read::Recorder, false)?;
    let (pusher, id) = deployment.push()?;
    let recorder = deployment.recorder.running()?.grpc();
    let mut gateway = Start::gateway(recorder).args(["--drain", "6s"]).spawn()?;
    let readyz = |to| http::get(to, "/readyz").send()?.body().map(|body| String::from_utf8_lossy(&body).into_owned());
    let ops = gateway.ops();
    wait::until("ready", SOON, || readyz(ops).ok().filter(|text| text.starts_with("ready\n")))?;
    wait::until("audio", SOON, || edge(gateway.http(), &id).is_ok_and(|bytes| bytes > SECOND).then_some(()))?;
    let mut live = http::get(gateway.http(), "/streams/live/live.pcm?burst=0").send()?;
    let first = live.header("x-livetape-first-frame").with_context(|| format!("{}: where it begins", live.status))?;
    let first: u64 = first.parse()?;
    let mut heard = live.at_least(1, SOON)?;
    gateway.terminate()?;
    wait::until("not ready", SOON, || readyz(ops).ok().filter(|text| text.starts_with("not ready: running\n")))?;
    let captured = pusher.captured();
    wait::until("nobody new to be let in", SOON, || http::get(gateway.http(), "/streams").send().err())?;
    let (rest, ending) = live.to_end(SOON)?;
    heard.extend(rest);
    ensure!(ending == Ending::Cut, "a clean end would mean that the recording is over");
    ensure!(heard.len().is_multiple_of(4), "{} bytes: between two frames", heard.len());
    verify_at(&heard, first * 4)?;
    let end = Frame::new(first + heard.len() as u64 / 4);
    ensure!(end > captured + stereo().frames(Duration::from_secs(1)), "it goes on after {captured}, not only to {end}");
    ensure!(gateway.wait(SOON)?.success());
    pusher.end(SOON)?;
    deployment.stop()
}
