//! A disk that is full is a state, not a disaster: what was recorded stays and is served, what comes is refused until
//! there is room, and then it goes on without a hole.
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

#[test]
fn recording_goes_on_when_there_is_room_again() -> Result<()> {
    let disk = tempfile::tempdir()?;
    let Some(wrapper) = wrapper(disk.path()) else {
        let _ = writeln!(
            std::io::stderr(),
            "full_disk: NOT RUN: nothing can be mounted here (needs root or user namespaces)"
        );
        return Ok(());
    };
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
