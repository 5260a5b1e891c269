//! A copy of a data folder that was taken while it was recorded into, file by file, as any program copies: restored
//! elsewhere it has all that was safe when the copy began, and goes on.

use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_testkit::process::Start;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::{spawn, wait};
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use livetape_tests::torture::{edge, gaps, verified};
use std::path::Path;
use std::time::Duration;

fn copied(how: &str, from: &Path, to: &Path) -> Result<()> {
    let mut sh = spawn::command("sh");
    sh.args(["-euc", how, "sh"]).arg(from).arg(to);
    spawn::run(sh, SOON)?.ok().map(drop)
}

#[test]
fn a_copy_of_a_growing_folder_has_all_that_was_safe() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let livetape = Start::new(&data).source("none").spawn()?;
    let push = Push {
        to: livetape.grpc(),
        stream: "live".into(),
        spec: stereo(),
        content: counting,
        backlog: Duration::from_secs(20),
    };
    let pusher = Pusher::start(push);
    let id = pusher.recording(SOON)?;
    let ways = [
        ("cp", "cp -a \"$1\" \"$2\""),
        ("tar", "mkdir \"$2\"; { tar -C \"$1\" -cf - . || [ $? -eq 1 ]; } | tar -C \"$2\" -xf -"),
        // As docs/operations.md says, and a second pass takes what has changed since the first.
        ("rsync", "rsync -a --delete \"$1\"/ \"$2\"/; sleep 1; rsync -a --delete \"$1\"/ \"$2\"/"),
        ("twice", "cp -a \"$1\" \"$2\"; sleep 1; cp -au \"$1\"/. \"$2\""),
    ];
    let mut copies = Vec::new();
    for (name, how) in ways {
        pusher.acknowledged(pusher.captured(), SOON)?;
        let (safe, copy) = (pusher.progress().acknowledged, folder.path().join(name));
        copied(how, &data, &copy).with_context(|| name.to_owned())?;
        copies.push((name, safe, copy));
    }
    let end = pusher.end(SOON)?;
    livetape.stop()?;
    ensure!(end > copies.last().context("copies")?.1, "it was recorded meanwhile");

    for (name, safe, copy) in copies {
        let restored = Start::new(&copy).source("none").spawn().with_context(|| name.to_owned())?;
        let (bytes, target) = (edge(restored.http(), &id)?, format!("/recordings/{id}/audio.pcm?len=now"));
        ensure!(bytes >= stereo().bytes(safe.since(Frame::ZERO)), "{name}: {bytes} bytes, although {safe} were safe");
        let body = http::get(restored.http(), &target).send()?.body()?;
        ensure!(body.len() as u64 == bytes, "{name}: {} of {bytes} bytes", body.len());
        verify_at(&body, 0).with_context(|| name.to_owned())?;
        ensure!(gaps(restored.http(), &id)?.is_empty(), "{name}: {:?}", gaps(restored.http(), &id)?);
        // The copy is a folder like any other: a source goes on in it.
        let capture = Start::capture(restored.grpc()).source("counting").spawn()?;
        wait::until("it goes on", SOON, || edge(restored.http(), &id).is_ok_and(|now| now > bytes).then_some(()))?;
        capture.stop()?;
        let body = http::get(restored.http(), &target).send()?.body()?;
        ensure!(body.len() as u64 > bytes, "{name}: {} after {bytes} bytes", body.len());
        verify_at(&body, 0).with_context(|| name.to_owned())?;
        restored.stop()?;
        verified(&copy).with_context(|| name.to_owned())?;
    }
    Ok(())
}
