//! Random faults in everything but the source: the recording is the source's, and so is what listeners get.
//!
//! `LIVETAPE_FAULTS` is how many (8 if not said), `LIVETAPE_SEED` repeats a run. The numbers of a run go to standard
//! error, past the capture of the test harness, because the run may be long.

use crate::deployment::{Deployment, Part, Read, Way};
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::proxy::Cut;
use livetape_testkit::wait;
use livetape_tests::growing::SOON;
use livetape_tests::torture::{Listener, counted, gaps, numbers, setting};
use std::io::Write;
use std::time::Duration;

pub(crate) fn faults() -> u64 {
    setting("LIVETAPE_FAULTS", 8)
}

pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "services: {text}");
}

/// A seed that is printed.
pub(crate) fn seed() -> u64 {
    let seed = setting("LIVETAPE_SEED", u64::from(std::process::id()));
    say(&format!("LIVETAPE_SEED={seed} LIVETAPE_FAULTS={}", faults()));
    seed
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill(Part, Duration),
    Hold(Part, Duration),
    Cut(Way, Cut),
}

impl Fault {
    /// Each kind is as likely as any other.
    fn random(random: &mut impl FnMut(u64) -> u64) -> Self {
        let away = Duration::from_millis(random(700));
        let held = Duration::from_millis(1_000 + random(2_000));
        let how = [Cut::Reset, Cut::Close][usize::from(random(2) == 0)];
        match random(9) {
            0 => Self::Kill(Part::Recorder, away),
            1 => Self::Kill(Part::Gateway, away),
            2 => Self::Kill(Part::Redis, away),
            3 => Self::Hold(Part::Recorder, held),
            4 => Self::Hold(Part::Gateway, held),
            5 => Self::Hold(Part::Redis, held),
            6 => Self::Cut(Way::Uplink, how),
            7 => Self::Cut(Way::Reading, how),
            _ => Self::Cut(Way::Lengths, how),
        }
    }

    /// Makes it happen. Afterwards everything runs again; `meanwhile` happens before.
    fn strike(self, on: &mut Deployment, meanwhile: impl FnOnce(&mut Deployment) -> Result<()>) -> Result<()> {
        match self {
            Self::Kill(part, away) => {
                on.kill(part)?;
                std::thread::sleep(away);
                meanwhile(on)?;
                on.again(part)
            }
            Self::Hold(part, held) => {
                on.hold(part)?;
                std::thread::sleep(held);
                meanwhile(on)?;
                on.go_on(part)
            }
            Self::Cut(way, how) => {
                on.cut(way, how)?;
                meanwhile(on)
            }
        }
    }

    const fn part(self) -> Option<Part> {
        match self {
            Self::Kill(part, _) | Self::Hold(part, _) => Some(part),
            Self::Cut(..) => None,
        }
    }
}

/// Waits until every listener has heard so many bytes.
fn all_hear(listeners: &mut Vec<Listener>, bytes: u64) -> Result<()> {
    let waited = wait::until("the listeners to come along", SOON, || {
        listeners.iter().all(|l| l.heard() >= bytes || l.gave_up()).then_some(())
    });
    while let Some(wrong) = listeners.iter().position(Listener::gave_up) {
        listeners.swap_remove(wrong).end()?;
    }
    let heard: Vec<_> = listeners.iter().map(Listener::heard).collect();
    waited.with_context(|| format!("{heard:?} of {bytes} bytes were heard"))
}

#[test]
fn a_source_that_remembers_is_recorded_whole_and_heard_whole() -> Result<()> {
    recorded_whole_and_heard_whole(Read::Recorder)
}

#[test]
fn and_so_it_is_when_the_gateway_reads_the_folder() -> Result<()> {
    recorded_whole_and_heard_whole(Read::Dir)
}

fn recorded_whole_and_heard_whole(read: Read) -> Result<()> {
    let mut random = numbers(seed() + u64::from(read == Read::Dir));
    let mut deployment = Deployment::start(read, true)?;
    let (pusher, id) = deployment.push()?;
    let (to, target) = (deployment.http(), format!("/recordings/{id}/audio.pcm"));
    let mut listeners: Vec<_> = (0..3).map(|_| Listener::start(to, target.clone())).collect();
    for n in 1..=faults() {
        let fault = Fault::random(&mut random);
        // Every third fault strikes in the middle of another one.
        let second = (n % 3 == 0).then(|| Fault::random(&mut random)).filter(|s| s.part() != fault.part());
        say(&format!("{read:?} {n}: {fault:?} {second:?}"));
        std::thread::sleep(Duration::from_millis(100 + random(500)));
        let struck = pusher.captured();
        fault.strike(&mut deployment, |on| {
            if let Some(second) = second {
                second.strike(on, |_| Ok(()))?;
            }
            // The recorder needs neither listeners nor the length store.
            if [Some(fault), second].iter().flatten().all(|f| f.part() != Some(Part::Recorder)) {
                pusher.acknowledged(struck, SOON).context("while it lasts")?;
            }
            Ok(())
        })?;
        let end = pusher.captured();
        pusher.acknowledged(end, SOON).with_context(|| format!("after {fault:?} {second:?}"))?;
        all_hear(&mut listeners, stereo().bytes(end.since(Frame::ZERO)))
            .with_context(|| format!("after {fault:?} {second:?}"))?;
    }
    let end = pusher.end(SOON)?;
    let bytes = stereo().bytes(end.since(Frame::ZERO));
    all_hear(&mut listeners, bytes)?;
    for listener in listeners {
        let heard = listener.end()?;
        ensure!(heard == bytes, "{heard} bytes were heard of {bytes}");
    }
    counted(to, &target, end)?;
    ensure!(gaps(to, &id)?.is_empty(), "a source that remembers leaves no gap: {:?}", gaps(to, &id)?);
    deployment.stop()?;
    say(&format!("{end} frames, all right; the source was opened {} times", pusher.progress().opened));
    Ok(())
}
