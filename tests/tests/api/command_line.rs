//! The tools beside a running recorder, and what is said about a wrong configuration.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_testkit::process::{Start, command};
use livetape_testkit::spawn::{self, Finished};
use livetape_testkit::wait;
use livetape_tests::clients::Wav;
use livetape_tests::counting;
use livetape_tests::growing::{Growing, SOON, WAV_HEADER};
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs `livetape WORD --data-dir DATA ARGS`.
fn tool(word: &str, data: &Path, args: &[&str]) -> Result<Finished> {
    let mut command = command([word, "--data-dir"])?;
    command.arg(data).args(args);
    spawn::run(command, Duration::from_secs(30))
}

/// All files in a folder and below it.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

#[test]
fn streams_and_export_beside_a_running_recorder() -> Result<()> {
    let g = Growing::start(counting, Duration::from_secs(6))?;
    let folder = tempfile::tempdir()?;
    let out = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();

    let list = tool("streams", g.data(), &[])?.ok()?.text();
    let line = list.lines().find(|l| l.contains(&g.id)).context("a line for the recording")?;
    assert!(line.starts_with("live") && line.contains("open") && line.contains("48000"), "{line}");

    tool("export", g.data(), &["live", "--from", "1.5", "--to", "4", "--out", &out("clip.wav")])?.ok()?;
    let clip = Wav::read(Path::new(&out("clip.wav")))?;
    assert_eq!(clip.spec, stereo());
    assert!(clip.pcm == counting(Frame::new(72_000), FrameCount::new(120_000), stereo()), "sample-exact");

    let again = tool("export", g.data(), &["live", "--out", &out("clip.wav")])?;
    assert!(again.code != Some(0) && again.stderr.contains("--force"), "{}", again.stderr);
    assert!(Wav::read(Path::new(&out("clip.wav")))?.pcm == clip.pcm, "untouched");

    // All that there is, as it grows: at least what was acknowledged before.
    let before = g.at_least() - WAV_HEADER;
    tool("export", g.data(), &[&g.id, "--out", &out("all.pcm")])?.ok()?;
    let all = std::fs::read(out("all.pcm"))?;
    assert!(all.len() as u64 >= before, "{} of {before}", all.len());
    g.assert_audio(WAV_HEADER, &all);

    let nothing = tool("export", g.data(), &["live", "--from", "9999", "--out", &out("none.wav")])?;
    assert!(nothing.code != Some(0) && nothing.stderr.contains("9999"), "{}", nothing.stderr);
    assert!(!Path::new(&out("none.wav")).exists());
    let unknown = tool("export", g.data(), &["nobody", "--out", &out("none.wav")])?;
    assert!(unknown.code != Some(0) && unknown.stderr.contains("nobody"), "{}", unknown.stderr);
    Ok(())
}

#[test]
fn verify_finds_one_wrong_bit() -> Result<()> {
    let g = Growing::start(counting, Duration::from_secs(5))?;
    tool("verify", g.data(), &[])?.ok().context("while it records")?;
    let end = g.pusher.end(SOON)?;
    let good = tool("verify", g.data(), &["live"])?.ok()?;
    let bytes = stereo().bytes(end.since(Frame::ZERO));
    assert!(good.text().contains(&bytes.to_string()), "it says how much it read: {}", good.text());

    let copy = tempfile::tempdir()?;
    let to = copy.path().join("data");
    spawn::run(
        {
            let mut cp = spawn::command("cp");
            cp.arg("-r").arg(g.data()).arg(&to);
            cp
        },
        SOON,
    )?
    .ok()?;
    let audio = files(&to)?.into_iter().find(|f| f.extension().is_some_and(|e| e == "pcm")).context("a segment")?;
    let segment = std::fs::OpenOptions::new().read(true).write(true).open(&audio)?;
    let mut byte = [0];
    segment.read_exact_at(&mut byte, 123_457)?;
    segment.write_all_at(&[byte[0] ^ 0x10], 123_457)?;
    let before: Vec<_> = files(&to)?.iter().map(std::fs::read).collect::<std::io::Result<_>>()?;
    let bad = tool("verify", &to, &[])?;
    assert_eq!(bad.code, Some(1), "{}", bad.text());
    assert!(bad.text().contains(&g.id), "{}", bad.text());
    let after: Vec<_> = files(&to)?.iter().map(std::fs::read).collect::<std::io::Result<_>>()?;
    assert!(before == after, "it changes nothing");

    // The rest is still served; a folder that is no recording is reported and left alone.
    std::fs::create_dir_all(to.join("live/not-a-recording"))?;
    let livetape = Start::new(&to).source("none").spawn()?;
    let mut rest = http::get(livetape.http(), &g.wav("")).range("200044-300043").send()?;
    assert_eq!(rest.status, 206);
    g.assert_audio(200_044, &rest.body()?);
    assert!(to.join("live/not-a-recording").exists());
    livetape.stop()
}

#[test]
fn a_wrong_configuration_is_named_with_its_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("livetape.toml");
    let refused = |text: &str| -> Result<String> {
        std::fs::write(&config, text)?;
        let path = config.to_str().expect("a plain path");
        let refused = Start::new(folder.path().join("data")).args(["--config", path]).refused()?;
        assert!(refused.took < Duration::from_secs(5));
        Ok(refused.stderr)
    };
    let unknown = refused("# where\n\nsync_intervall = \"100ms\"\n")?;
    assert!(unknown.contains("line 3") && unknown.contains("sync_intervall"), "{unknown}");
    assert!(unknown.contains("did you mean \"sync_interval\""), "{unknown}");
    let bad = refused("resume_window = \"soon\"\n")?;
    assert!(bad.contains("line 1") && bad.contains("soon"), "{bad}");
    let far = refused("sync_interval = \"1h\"\n")?;
    assert!(far.contains("sync_interval") && far.contains("to 1s are"), "what is possible: {far}");
    let syntax = refused("data_dir = \n")?;
    assert!(syntax.contains("line 1"), "{syntax}");
    let source = refused("[[source]]\nstream = \"a\"\nsource = \"radio\"\n")?;
    assert!(source.contains("radio") && source.contains("time-signal"), "{source}");
    assert!(!folder.path().join("data").exists(), "nothing was made");
    Ok(())
}

#[test]
fn wrong_flags_are_refused_before_anything_starts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let cases: [(&[&str], &str); 8] = [
        (&["--source", "radio"], "radio"),
        (&["--source", "file:/no/such/a.wav"], "/no/such/a.wav"),
        (&["--stream", "Studio A", "--source", "tone"], "Studio A"),
        (&["--rate", "1"], "8000"),
        (&["--channels", "99"], "99"),
        (&["--source", "counting", "--format", "f32"], "counting"),
        (&["--sync-interval=-1s"], "sync-interval"),
        (&["--sorce", "tone"], "--source"),
    ];
    for (args, says) in cases {
        let refused = Start::new(&data).args(args.iter().copied()).refused()?;
        assert!(refused.stderr.contains(says), "{args:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("panicked"), "{args:?}: {}", refused.stderr);
        assert!(!data.join("live").exists(), "{args:?}: nothing may be recorded");
    }
    let none = tool("streams", &folder.path().join("nowhere"), &[])?;
    assert!(none.code != Some(0) && none.stderr.contains("nowhere"), "{}", none.stderr);
    Ok(())
}

#[test]
fn health_follows_the_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let recorder = Start::recorder(folder.path().join("data")).spawn()?;
    let ops = recorder.ops().to_string();
    let ask = |flag: Option<&str>| {
        let mut command = command(["health", "--ops-addr", &ops])?;
        command.args(flag);
        spawn::run(command, Duration::from_secs(30))
    };
    ask(None)?.ok()?;
    ask(Some("--alive"))?.ok()?;
    recorder.stop()?;
    let gone = ask(None)?;
    assert!(gone.code != Some(0) && gone.stderr.contains("/readyz does not answer"), "{}", gone.stderr);
    Ok(())
}

#[test]
fn an_empty_variable_is_as_good_as_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let names =
        ["LIVETAPE_OTLP_URL", "LIVETAPE_HOSTS", "LIVETAPE_SYNC_INTERVAL", "LIVETAPE_REDIS_URL", "LIVETAPE_CONFIG"];
    let empty = names.map(|name| format!("{name}="));
    let recorder = Start::recorder(&data).through(["env"].into_iter().map(String::from).chain(empty)).spawn()?;
    recorder.stop()
}

/// Runs `livetape manage ARGS` at this recorder: what it says, or with what it refuses.
fn manage(recorder: SocketAddr, args: &[&str]) -> Result<std::result::Result<String, String>> {
    let mut command = command(["manage"])?;
    // Behind the operation, where people write what they have forgotten.
    command.args(args).args(["--recorder-url", &format!("http://{recorder}")]);
    let done = spawn::run(command, Duration::from_secs(60))?;
    let said = done.text().trim().to_owned();
    Ok(if done.code == Some(0) { Ok(said) } else { Err(done.stderr) })
}

#[test]
fn every_operation_and_what_it_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let recorder = Start::recorder(folder.path().join("data")).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    let source = ["--stream", "live", "--source", "counting", "--rate", "8000"];
    let capture = Start::capture(recorder.grpc()).args(source).spawn()?;
    let (to, ask) = (gateway.http(), |args: &[&str]| manage(recorder.grpc(), args));
    let done = |args: &[&str]| ask(args)?.map_err(|why| anyhow::anyhow!("{args:?}: {why}"));
    let refused = |args: &[&str], why: &str| match ask(args)? {
        Err(said) if said.contains(why) && !said.contains("panicked") => Ok(()),
        other => Err(anyhow::anyhow!("{args:?}: {other:?}")),
    };
    // What the gateway says of a recording, once that is so.
    let shown = |id: &str, what: &str, is: &dyn Fn(&Value) -> bool| {
        wait::until(what, SOON, || http::json(to, &format!("/recordings/{id}")).ok().filter(|recording| is(recording)))
    };
    let first = wait::until("a recording", SOON, || {
        let list = http::json(to, "/recordings?stream=live").ok()?;
        Some(list["recordings"][0]["id"].as_str()?.to_owned())
    })?;
    shown(&first, "audio", &|recording| recording["bytes"].as_u64() > Some(8_000))?;

    let begun = done(&["begin", "live"])?;
    let lines: Vec<_> = begun.lines().collect();
    let [sealed, begun] = lines[..] else { anyhow::bail!("{lines:?}") };
    assert_eq!(sealed, format!("sealed {first}"));
    let second = begun.strip_prefix("begun ").context("begun")?.to_owned();
    shown(&first, "the seal", &|recording| recording["sealed"]["reason"] == "operator")?;

    assert_eq!(done(&["title", &first, "Evensong, 20 November"])?, format!("changed {first}"));
    assert_eq!(done(&["notes", &first, "two microphones"])?, format!("changed {first}"));
    shown(&first, "title and notes", &|r| r["title"] == "Evensong, 20 November" && r["notes"] == "two microphones")?;

    assert_eq!(done(&["lock", &first])?, format!("locked {first}"));
    shown(&first, "the lock", &|recording| recording["locked"] == true)?;
    refused(&["delete", &first], "is locked: unlock it first")?;
    assert_eq!(done(&["unlock", &first])?, format!("unlocked {first}"));
    shown(&first, "no lock", &|recording| recording["locked"] == false)?;

    assert_eq!(done(&["mark", &first, "the beginning", "--frame", "7"])?, "marked frame 7");
    refused(&["mark", &first, "too far", "--frame", "9999999999"], "is not recorded")?;
    shown(&second, "audio", &|recording| recording["bytes"].as_u64() > Some(0))?;
    let newest = done(&["mark", &second, "here"])?;
    newest.strip_prefix("marked frame ").context("a frame")?.parse::<u64>()?;
    // A gateway hears of it a moment later.
    wait::until("the mark", SOON, || {
        let timeline = http::json(to, &format!("/recordings/{first}/timeline")).ok()?.to_string();
        timeline.contains("the beginning").then_some(())
    })?;

    assert_eq!(done(&["playing", "live", "the anthem"])?, "said what is playing on live");
    wait::until("the title", SOON, || {
        let timeline = http::json(to, &format!("/recordings/{second}/timeline")).ok()?.to_string();
        timeline.contains("the anthem").then_some(())
    })?;
    for operation in ["program", "skip"] {
        refused(&[operation, "live"], "has a list of what it plays")?;
    }
    refused(&["delete", &second], "seal it first")?;
    assert_eq!(done(&["seal", &second])?, format!("sealed {second}"));
    shown(&second, "the seal", &|recording| recording["sealed"]["reason"] == "operator")?;
    assert_eq!(done(&["lock", &second])?, format!("locked {second}"));
    refused(&["delete-stream", "live"], "a source is pushing")?;
    capture.stop()?;
    let kept = || done(&["delete-stream", "live"]).ok();
    let kept = wait::until("the source to be gone", SOON, kept)?;
    assert_eq!(kept, "deleted 2 recordings, kept 1 that are locked");
    done(&["unlock", &second])?;
    assert_eq!(done(&["delete", &second])?, format!("deleted {second}"));
    wait::until("no recording", SOON, || {
        (http::get(to, &format!("/recordings/{second}")).send().ok()?.status == 404).then_some(())
    })?;

    for operation in ["seal", "lock", "unlock", "delete"] {
        refused(&[operation, &second], "there is no recording")?;
        refused(&[operation, "not-an-id"], "not-an-id")?;
    }
    refused(&["title", &second, "gone"], "there is no recording")?;
    for operation in ["begin", "program", "skip"] {
        refused(&[operation, "live"], "there is no stream live")?;
    }
    refused(&["delete-stream", "live"], "live")?;
    let gone = recorder.grpc();
    gateway.stop()?;
    recorder.stop()?;
    assert!(manage(gone, &["seal", &first])?.is_err_and(|why| why.contains("no recorder answers at")));
    Ok(())
}
