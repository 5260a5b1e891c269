//! A disk that is full is a state, not a disaster: what was recorded stays and is served, what comes is refused until
//! there is room, and then it goes on without a hole. With `keep_free` it does not come to that: the oldest recordings go before.
//!
//! The disk is a small tmpfs in a mount namespace of its own. That needs root or unprivileged user namespaces; where
//! neither is allowed (some containers), the test says so and does not run.

use anyhow::{Context, Result, ensure};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::{spawn, wait};
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Mounts the disk and becomes the program.
const MOUNT: &str = "mount -t tmpfs -o size=24m tmpfs \"$0\" && exec \"$@\"";

/// The words before the program, if a disk can be mounted here.
fn wrapper(disk: &Path) -> Option<Vec<String>> {
    let disk = disk.to_str()?;
    let words = |unshare: &[&str]| {
        let all = [&["unshare"], unshare, &["sh", "-c", MOUNT, disk]].concat();
        all.into_iter().map(String::from).collect::<Vec<_>>()
    };
    [words(&["--mount"]), words(&["--mount", "--map-root-user"])].into_iter().find(|words| {
        let mut command = spawn::command(&words[0]);
        command.args(&words[1..]).arg("true");
        spawn::run(command, SOON).is_ok_and(|done| done.code == Some(0))
    })
}

/// The disk as seen by the process.
fn inside(livetape: &Livetape, disk: &Path) -> PathBuf {
    let root = format!("/proc/{}/root", livetape.pid());
    Path::new(&root).join(disk.strip_prefix("/").expect("an absolute path"))
}

fn fill(path: &Path) -> Result<()> {
    let mut file = std::fs::File::create(path)?;
    for size in [1 << 20, 4096, 1] {
        loop {
            match file.write(&vec![0; size]) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => break,
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(())
}

/// The same, or says that there is no such test here.
fn small_disk(disk: &Path) -> Option<Vec<String>> {
    let wrapper = wrapper(disk);
    if wrapper.is_none() {
        let text = "full_disk: NOT RUN: nothing can be mounted here (needs root or user namespaces)";
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    wrapper
}

#[test]
fn recording_goes_on_when_there_is_room_again() -> Result<()> {
    let disk = tempfile::tempdir()?;
    let Some(wrapper) = small_disk(disk.path()) else { return Ok(()) };
    let mut livetape = Start::new(disk.path().join("data")).source("none").through(wrapper).spawn()?;
    // Nearly as much as is preallocated at once, so that the end of the room comes soon.
    let backlog = Duration::from_secs(26);
    let push = Push { to: livetape.grpc(), stream: "live".into(), spec: stereo(), content: counting, backlog };
    let pusher = Pusher::start(push);
    let id = pusher.recording(SOON)?;
    pusher.acknowledged(pusher.captured(), SOON)?;
    let audio = format!("/recordings/{id}/audio.pcm");
    let mut listener = http::get(livetape.http(), &audio).send()?;

    let filler = inside(&livetape, disk.path()).join("filler");
    fill(&filler).with_context(|| filler.display().to_string())?;
    wait::until("RESOURCE_EXHAUSTED", Duration::from_secs(40), || {
        pusher.progress().errors.iter().any(|e| e.code() == tonic::Code::ResourceExhausted).then_some(())
    })
    .with_context(|| format!("{:?}\n{}", pusher.progress(), livetape.log()))?;
    // A shorter append may still find its place in the last corner.
    let mut kept = pusher.progress().acknowledged;
    wait::until("a second without room", SOON, || {
        let before = std::mem::replace(&mut kept, pusher.progress().acknowledged);
        std::thread::sleep(Duration::from_secs(1));
        (before == kept && kept == pusher.progress().acknowledged).then_some(())
    })?;
    ensure!(livetape.runs(), "{}", livetape.log());
    let bytes = usize::try_from(stereo().bytes(kept.since(livetape_audio::Frame::ZERO)))?;
    let mut so_far = http::get(livetape.http(), &audio).range(&format!("0-{}", bytes - 1)).send()?;
    assert_eq!(so_far.status, 206);
    let expected = |frames: livetape_audio::Frame| {
        counting(livetape_audio::Frame::ZERO, frames.since(livetape_audio::Frame::ZERO), stereo())
    };
    assert!(so_far.body()? == expected(kept), "what is acknowledged is served");

    std::fs::remove_file(&filler)?;
    let edge = pusher.captured();
    pusher.acknowledged(edge, Duration::from_secs(20)).with_context(|| livetape.log())?;
    let end = pusher.end(SOON)?;
    let (heard, ending) = listener.to_end(SOON)?;
    assert_eq!(ending, Ending::Clean, "who listened all the time heard it go on");
    assert!(heard == expected(end), "every frame, in order");
    let timeline = http::json(livetape.http(), &format!("/recordings/{id}/timeline"))?;
    assert!(!timeline.to_string().contains("\"gap\""), "the source kept what was refused: {timeline}");
    livetape.stop()
}

/// A source of the stream `live` that has captured some time already.
fn push(livetape: &Livetape, backlog: u64) -> Pusher {
    let backlog = Duration::from_secs(backlog);
    Pusher::start(Push { to: livetape.grpc(), stream: "live".into(), spec: stereo(), content: counting, backlog })
}

/// What an ordinary user may still write, in bytes.
fn free(place: &Path) -> Result<u64> {
    // Not `df`, which looks for the place in this process's own list of mounts, where it is on another disk.
    let disk = rustix::fs::statvfs(place)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// The ids of all recordings, oldest first.
fn recordings(livetape: &Livetape) -> Result<Vec<String>> {
    let list = http::json(livetape.http(), "/recordings?stream=live")?;
    let all = list["recordings"].as_array().context("recordings")?;
    Ok(all.iter().filter_map(|recording| Some(recording["id"].as_str()?.to_owned())).collect())
}

fn removed_for_space(livetape: &Livetape) -> Result<u64> {
    metric(livetape, "livetape_recorder_retention_removed_total{why=\"space\"} ")
}

fn metric(livetape: &Livetape, series: &str) -> Result<u64> {
    let text = String::from_utf8(http::get(livetape.http(), "/metrics").send()?.body()?)?;
    text.lines().find_map(|line| line.strip_prefix(series)).with_context(|| text.clone())?.parse().context("a number")
}

#[test]
fn with_keep_free_the_oldest_go_before_anything_is_refused() -> Result<()> {
    let disk = tempfile::tempdir()?;
    let Some(wrapper) = small_disk(disk.path()) else { return Ok(()) };
    // More than a recording of this test takes, with what is allocated ahead.
    let keep = 9 << 20;
    let start = Start::new(disk.path().join("data")).source("none").args(["--keep-free", "9MiB"]);
    let livetape = start.through(wrapper).spawn()?;
    let place = inside(&livetape, disk.path());
    let mut all = Vec::new();
    // Twice what the disk holds.
    for n in 0..12 {
        wait::until("room", SOON, || free(&place).is_ok_and(|free| free >= keep).then_some(()))?;
        let pusher = push(&livetape, 20);
        all.push(pusher.recording(SOON)?);
        pusher.end(SOON).with_context(|| format!("recording {n}: {}", livetape.log()))?;
        let errors = pusher.progress().errors;
        ensure!(errors.is_empty(), "recording {n}: {errors:?}");
    }
    wait::until("room", SOON, || free(&place).is_ok_and(|free| free >= keep).then_some(()))?;
    let kept = recordings(&livetape)?;
    ensure!(!kept.is_empty() && all.ends_with(&kept), "the newest are kept: {kept:?} of {all:?}");
    let gone = (all.len() - kept.len()) as u64;
    ensure!(removed_for_space(&livetape)? == gone, "{gone} went");
    ensure!(!livetape.log().contains("not written"), "{}", livetape.log());
    livetape.stop()
}

#[test]
fn with_keep_free_somebody_elses_files_stop_no_recording() -> Result<()> {
    let disk = tempfile::tempdir()?;
    let Some(wrapper) = small_disk(disk.path()) else { return Ok(()) };
    let start = Start::new(disk.path().join("data")).source("none").args(["--keep-free", "1MiB"]);
    let livetape = start.through(wrapper).spawn()?;
    let mut old = Vec::new();
    for _ in 0..2 {
        let pusher = push(&livetape, 20);
        old.push(pusher.recording(SOON)?);
        pusher.end(SOON)?;
    }
    // All that was allocated ahead is in use soon.
    let pusher = push(&livetape, 26);
    let id = pusher.recording(SOON)?;
    pusher.acknowledged(pusher.captured(), SOON)?;
    fill(&inside(&livetape, disk.path()).join("filler"))?;
    wait::until("the oldest to go", SOON, || (removed_for_space(&livetape).ok()? >= 1).then_some(()))?;
    ensure!(recordings(&livetape)? == [old[1].clone(), id.clone()], "{:?}", recordings(&livetape)?);
    // Past what was allocated; refused for a moment at most.
    let later = pusher.captured() + stereo().frames(Duration::from_secs(6));
    pusher.acknowledged(later, SOON).with_context(|| livetape.log())?;
    let end = pusher.end(SOON)?;
    let timeline = http::json(livetape.http(), &format!("/recordings/{id}/timeline"))?.to_string();
    ensure!(timeline.contains("\"retention\"") && timeline.contains(&old[0]), "{timeline}");
    ensure!(!timeline.contains("\"gap\""), "the source kept what was refused: {timeline}");
    let audio = http::get(livetape.http(), &format!("/recordings/{id}/audio.pcm")).send()?.body()?;
    let zero = livetape_audio::Frame::ZERO;
    ensure!(audio == counting(zero, end.since(zero), stereo()), "every frame, in order");
    livetape.stop()
}

/// Somebody keeps what was removed, as a snapshot does, or a program that has the files open: the others need not go for it.
#[test]
fn with_keep_free_what_frees_nothing_costs_no_more_than_it_should() -> Result<()> {
    let disk = tempfile::tempdir()?;
    let Some(wrapper) = small_disk(disk.path()) else { return Ok(()) };
    let keep = 9 << 20;
    let start = Start::new(disk.path().join("data")).source("none").args(["--keep-free", "9MiB"]);
    let livetape = start.through(wrapper).spawn()?;
    let place = inside(&livetape, disk.path());
    let mut all = Vec::new();
    // Three of them and what is to be free fit.
    for _ in 0..3 {
        let pusher = push(&livetape, 20);
        all.push(pusher.recording(SOON)?);
        pusher.end(SOON)?;
    }
    let held: Vec<_> = (all.iter())
        .map(|id| std::fs::File::open(place.join(format!("data/live/{id}/00000000000000000000.pcm"))))
        .collect::<Result<_, _>>()?;
    ensure!(free(&place)? >= keep && recordings(&livetape)? == all, "nothing had to go so far");
    // One of them would be enough.
    let filler = place.join("filler");
    std::fs::write(&filler, vec![0; usize::try_from(free(&place)? - keep + (1 << 20))?])?;
    wait::until("the oldest to go", SOON, || (removed_for_space(&livetape).ok()? >= 1).then_some(()))?;
    // Each is a look at the disk at least, which is as full as before.
    for n in 1..=4 {
        std::fs::write(place.join(format!("more-{n}")), vec![0; 64 << 10])?;
        ensure!(free(&place)? < keep, "it is held");
        // What is still written about the others moves it, too.
        wait::until("a look", SOON, || {
            let seen = metric(&livetape, "livetape_recorder_disk_free_bytes ").ok()?;
            (seen == free(&place).ok()?).then_some(())
        })?;
    }
    ensure!(recordings(&livetape)? == all[1..], "{:?} of {all:?}: {}", recordings(&livetape)?, livetape.log());
    // As soon as it is free there is room.
    drop(held);
    wait::until("room", SOON, || free(&place).is_ok_and(|free| free >= keep).then_some(()))?;
    ensure!(recordings(&livetape)? == all[1..], "{:?} of {all:?}", recordings(&livetape)?);
    livetape.stop()
}
