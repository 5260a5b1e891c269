//! Random faults in everything, the source too: the recording is what was captured, to the bit. Each death of the source
//! is one gap and costs nothing that was acknowledged; what it could not capture while it was held is one, too, and the
//! numbers of the frames jump there by just its length. Listeners get just the recording.
//!
//! `LIVETAPE_FAULTS` is how many, `LIVETAPE_SEED` repeats a run.

use crate::deployment::{Deployment, Part, Process, Read, Way};
use crate::faults::{faults, say, seed};
use anyhow::{Context, Result, ensure};
use livetape_audio::FrameCount;
use livetape_testkit::counting::{FRAME_BYTES, runs};
use livetape_testkit::process::Start;
use livetape_testkit::proxy::Cut;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{Listener, edge, gaps, numbers};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For longer than a sound card would keep what it captures.
const HELD: Duration = Duration::from_secs(3);

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    Kill(Part),
    Hold(Part),
    Cut(Way, Cut),
    KillSource,
    HoldSource,
}

impl Strike {
    fn random(random: &mut impl FnMut(u64) -> u64) -> Self {
        let part = [Part::Recorder, Part::Gateway, Part::Redis][random(3) as usize];
        let way = [Way::Uplink, Way::Uplink, Way::Reading, Way::Lengths][random(4) as usize];
        match random(8) {
            0 | 1 => Self::Kill(part),
            2 => Self::Hold(part),
            3 | 4 => Self::Cut(way, [Cut::Reset, Cut::Close, Cut::Silence][random(3) as usize]),
            5 | 6 => Self::KillSource,
            _ => Self::HoldSource,
        }
    }

    /// Afterwards everything runs again.
    fn strike(self, on: &mut Deployment, capture: &mut Process, away: Duration) -> Result<()> {
        match self {
            Self::Kill(part) => {
                on.kill(part)?;
                std::thread::sleep(away);
                on.again(part)
            }
            Self::Hold(part) => {
                on.hold(part)?;
                std::thread::sleep(HELD);
                on.go_on(part)
            }
            Self::Cut(way, how) => on.cut(way, how),
            Self::KillSource => {
                capture.kill()?;
                std::thread::sleep(away);
                capture.again()
            }
            Self::HoldSource => {
                capture.running()?.hold()?;
                std::thread::sleep(HELD);
                capture.running()?.go_on()
            }
        }
    }
}

/// Where the gaps of this reason are.
fn of(reason: &str, gaps: &[Value]) -> Vec<u64> {
    gaps.iter().filter(|gap| gap["reason"] == reason).filter_map(|gap| gap["at"].as_u64()).collect()
}

/// Each jump of the numbers stands on the timeline, and is as long as that says.
fn explained(body: &[u8], gaps: &[Value]) -> Result<()> {
    let runs = runs(body);
    for pair in runs.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let gap = gaps.iter().find(|gap| gap["at"] == after.at.get());
        let gap = gap.with_context(|| format!("frame {}: {before:?} is followed by {after:?}", after.at))?;
        let jump = u64::from(after.first).checked_sub((FrameCount::new(before.first.into()) + before.frames).get());
        ensure!(gap["reason"] != "xrun" || jump == gap["lost"].as_u64(), "{before:?}, {gap}, {after:?}");
    }
    Ok(())
}

/// A listener, and what it has heard.
fn listener(to: SocketAddr, target: &str) -> (Listener, Arc<Mutex<Vec<u8>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&heard);
    let listener = Listener::looking(to, target.to_owned(), move |piece, at| {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(all.len() as u64 == at, "{at} comes after {} bytes", all.len());
        all.extend_from_slice(piece);
        Ok(())
    });
    (listener, heard)
}

#[test]
fn whatever_strikes_a_source_and_what_is_around_it() -> Result<()> {
    strikes(Read::Dir, Way::Uplink, 2)
}

#[test]
fn and_so_it_is_when_the_gateway_reads_through_the_recorder() -> Result<()> {
    strikes(Read::Recorder, Way::Reading, 3)
}

/// The first strike is that `way` falls silent, which few other faults are like.
fn strikes(read: Read, way: Way, salt: u64) -> Result<()> {
    let mut random = numbers(seed() + salt);
    let (mut on, spool) = (Deployment::start(read, true)?, tempfile::tempdir()?);
    let source = Start::capture(on.ingest()).args(["--source", "counting", "--stream", "live", "--spool-dir"]);
    let mut capture = Process::start(&source.args([spool.path()]))?;
    let (to, id) = (on.http(), on.recording()?);
    let whole = format!("/recordings/{id}/audio.pcm");
    let listeners = [listener(to, &whole), listener(to, &whole)];
    let grown = || {
        // It may be away for a moment.
        let from = wait::until("the edge", SOON, || edge(to, &id).ok())?;
        wait::until("the recording to grow", SOON, || edge(to, &id).ok().filter(|now| *now > from + SECOND / 2))
    };
    let (mut holds, mut acknowledged) = (0, Vec::new());
    for n in 1..=faults() {
        let strike = if n == 1 { Strike::Cut(way, Cut::Silence) } else { Strike::random(&mut random) };
        grown()?;
        std::thread::sleep(Duration::from_millis(random(500)));
        let end = edge(to, &id)? / FRAME_BYTES;
        say(&format!("{read:?} {n}: {strike:?} at {end}"));
        match strike {
            Strike::KillSource => acknowledged.push(end),
            Strike::HoldSource => holds += 1,
            _ => {}
        }
        strike.strike(&mut on, &mut capture, Duration::from_millis(random(700)))?;
        // A gap is there once the first frame after it has come, and only then it can be told from the next one.
        let told = || {
            let gaps = gaps(to, &id).ok()?;
            (of("source_restarted", &gaps).len() == acknowledged.len() && of("xrun", &gaps).len() >= holds)
                .then_some(())
        };
        wait::until("the gap", SOON, told).with_context(|| format!("{n}: {strike:?}: {:?}", gaps(to, &id)))?;
    }
    let (end, all) = (grown()?, gaps(to, &id)?);
    let body = http::get(to, &whole).range(&format!("0-{}", end - 1)).send()?.body()?;
    explained(&body, &all)?;
    let restarted = of("source_restarted", &all);
    ensure!(restarted.len() + of("xrun", &all).len() == all.len(), "{all:?}");
    let kept =
        restarted.len() == acknowledged.len() && restarted.iter().zip(&acknowledged).all(|(at, kept)| at >= kept);
    ensure!(kept, "gaps at {restarted:?}, but acknowledged was {acknowledged:?}");
    for (listener, heard) in listeners {
        let all = || (listener.heard() >= end || listener.gave_up()).then_some(());
        let came = wait::until("the listeners to come along", SOON, all);
        came.with_context(|| format!("{} of {end} bytes were heard", listener.heard()))?;
        listener.end()?;
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(heard[..body.len()] == body[..], "what was heard is not what was recorded");
    }
    capture.stop()?;
    on.stop()
}
