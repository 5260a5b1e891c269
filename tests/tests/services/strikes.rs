//! Random faults in everything, the source too: the recording is what was captured, to the bit. Each death of the source
//! is one gap and costs nothing that was acknowledged; what it could not capture while it was held is one, too, and the
//! numbers of the frames jump there by just its length.
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
use livetape_tests::torture::{edge, gaps, numbers};
use serde_json::Value;
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
            3 | 4 => Self::Cut(way, [Cut::Reset, Cut::Close][random(2) as usize]),
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

#[test]
fn whatever_strikes_a_source_and_what_is_around_it() -> Result<()> {
    let mut random = numbers(seed() + 2);
    let (mut on, spool) = (Deployment::start(Read::Dir, true)?, tempfile::tempdir()?);
    let source = Start::capture(on.ingest()).args(["--source", "counting", "--stream", "live", "--spool-dir"]);
    let mut capture = Process::start(&source.args([spool.path()]))?;
    let (to, id) = (on.http(), on.recording()?);
    let grown = || {
        // It may be away for a moment.
        let from = wait::until("the edge", SOON, || edge(to, &id).ok())?;
        wait::until("the recording to grow", SOON, || edge(to, &id).ok().filter(|now| *now > from + SECOND / 2))
    };
    let (mut holds, mut acknowledged) = (0, Vec::new());
    for n in 1..=faults() {
        let strike = Strike::random(&mut random);
        grown()?;
        std::thread::sleep(Duration::from_millis(random(500)));
        let end = edge(to, &id)? / FRAME_BYTES;
        say(&format!("{n}: {strike:?} at {end}"));
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
    let whole = format!("/recordings/{id}/audio.pcm");
    let body = http::get(to, &whole).range(&format!("0-{}", end - 1)).send()?.body()?;
    explained(&body, &all)?;
    let restarted = of("source_restarted", &all);
    ensure!(restarted.len() + of("xrun", &all).len() == all.len(), "{all:?}");
    let kept =
        restarted.len() == acknowledged.len() && restarted.iter().zip(&acknowledged).all(|(at, kept)| at >= kept);
    ensure!(kept, "gaps at {restarted:?}, but acknowledged was {acknowledged:?}");
    capture.stop()?;
    on.stop()
}
