//! Sound cards, as ALSA gives them, from one end to the other: what a card hears is what a listener gets, bit by bit, and
//! what cannot be recorded is said.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::alsa::{Alsa, BLOCK};
use livetape_testkit::certificates::Authority;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start, command};
use livetape_testkit::proxy::{Cut, Proxy};
use livetape_testkit::spawn::{self, Finished};
use livetape_testkit::wait;
use livetape_tests::counting;
use livetape_tests::growing::{SECOND, SOON};
use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn start(data: &Path, alsa: &Alsa, source: &str) -> Start {
    Start::new(data).env("ALSA_CONFIG_PATH", alsa.config()).source(source).args(["--buffer-frames", &BLOCK.to_string()])
}

/// Waits until `seconds` of the stream `live` are recorded and gives them.
fn recorded(livetape: &Livetape, seconds: u64) -> Result<Vec<u8>> {
    wait::until("audio from the card", LIMIT, || {
        let list = http::json(livetape.http(), "/recordings?stream=live").ok()?;
        let id = list["recordings"][0]["id"].as_str()?.to_owned();
        let range = format!("0-{}", seconds * SECOND - 1);
        let mut reply = http::get(livetape.http(), &format!("/recordings/{id}/audio.pcm")).range(&range).send().ok()?;
        let body = reply.body().ok()?;
        (body.len() as u64 == seconds * SECOND).then_some(body)
    })
    .with_context(|| livetape.log())
}

#[test]
fn what_a_card_hears_is_recorded_bit_by_bit() -> Result<()> {
    let alsa = Alsa::new(&["mic0", "mic1"], &[])?;
    let data = tempfile::tempdir()?;
    let _microphones = [alsa.microphone("mic0")?, alsa.microphone("mic1")?];
    for source in ["device:default", "device:alsa:mic1"] {
        let folder = data.path().join(source);
        let livetape = start(&folder, &alsa, source).spawn()?;
        let body = recorded(&livetape, 4)?;
        // The pipe kept what the card heard before; from there on, nothing is missing.
        let first = u64::from(u32::from_le_bytes(body[..4].try_into()?));
        verify_at(&body, first * 4).with_context(|| format!("{source}, from frame {first} on"))?;
        livetape.stop()?;
    }
    Ok(())
}

#[test]
fn a_card_that_gives_nothing_is_waited_for() -> Result<()> {
    let alsa = Alsa::new(&["mic0"], &[])?;
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let microphone = alsa.microphone("mic0")?;
    let buffer = ["--buffer-frames".to_owned(), BLOCK.to_string()];
    let capture =
        Start::capture(recorder.grpc()).env("ALSA_CONFIG_PATH", alsa.config()).source("device:mic0").args(buffer);
    let capture = capture.spawn()?;
    let says = |path: &str, part: &str| {
        wait::until(&format!("{part:?} in {path}"), LIMIT, || {
            let body = http::get(capture.ops(), path).send().ok()?.body().ok()?;
            String::from_utf8_lossy(&body).contains(part).then_some(())
        })
        .with_context(|| capture.log())
    };
    says("/metrics", "livetape_capture_card_present{stream=\"live\"} 1")?;
    wait::until("audio that is durable", LIMIT, || {
        let body = http::get(capture.ops(), "/metrics").send().ok()?.body().ok()?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let acknowledged = text.lines().find(|line| line.starts_with("livetape_capture_acknowledged_frames_total"))?;
        (!acknowledged.ends_with(" 0")).then_some(())
    })?;

    drop(microphone);
    says("/metrics", "livetape_capture_card_present{stream=\"live\"} 0")?;
    says("/readyz", "ready\nsources: yes\nsound card: no, goes on without\n")?;
    let _microphone = alsa.microphone("mic0")?;
    capture.logged("gives audio again", LIMIT)?;
    says("/metrics", "livetape_capture_card_present{stream=\"live\"} 1")?;
    ensure!(capture.log().matches("it gives nothing; the sound card is looked for").count() == 1, "{}", capture.log());

    let timeline = wait::until("the gap", LIMIT, || {
        let timelines = std::fs::read_dir(data.path().join("live")).ok()?;
        let text = timelines.flatten().map(|dir| std::fs::read(dir.path().join("timeline.log")).unwrap_or_default());
        let text: String = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
        text.contains("device_away").then_some(text)
    })?;
    ensure!(timeline.matches("device_away").count() == 1, "one absence is one gap: {timeline}");
    capture.stop()?;
    recorder.stop()
}

/// What the card `out0` plays of it, without silence, and what was said about it.
fn played(alsa: &Alsa, gateway: SocketAddr, args: &[&str]) -> Result<(Vec<u8>, String)> {
    let mut play = command(["play", "--url", &format!("http://{gateway}")])?;
    play.args(args);
    heard_by(alsa, play)
}

/// Likewise, of what plays on it.
fn heard_by(alsa: &Alsa, mut play: Command) -> Result<(Vec<u8>, String)> {
    let mut speaker = alsa.speaker("out0")?;
    let said = tempfile::NamedTempFile::new()?;
    play.args(["--buffer-frames", "480"]).env("ALSA_CONFIG_PATH", alsa.config()).stderr(said.as_file().try_clone()?);
    let mut play = spawn::spawn(play)?;
    let heard = speaker.hear(LIMIT * 2, |_| matches!(play.try_wait(), Ok(Some(_))))?;
    let status = spawn::wait(&mut play, SOON)?;
    let said = std::fs::read_to_string(said.path())?;
    ensure!(status.success(), "{status}: {said}");
    let frames = heard.chunks_exact(4).filter(|frame| **frame != [0; 4]);
    Ok((frames.flatten().copied().collect(), said))
}

/// A stream of so many seconds of counting PCM, which has begun; and all of it.
fn counted(data: &Path, seconds: u64) -> Result<(Livetape, Vec<u8>)> {
    let mut livetape = Start::new(data).source("stdin").with_stdin().spawn()?;
    let mut stdin = livetape.stdin().context("a pipe")?;
    let whole = counting(Frame::ZERO, FrameCount::new(seconds * 48_000), stereo());
    let input = whole.clone();
    std::thread::spawn(move || stdin.write_all(&input));
    wait::until("the stream", SOON, || {
        let live = http::get(livetape.http(), "/streams/live/live.pcm").send().ok()?;
        (live.status == 200).then_some(())
    })?;
    Ok((livetape, whole))
}

#[test]
fn a_recording_is_played_bit_by_bit_to_its_end() -> Result<()> {
    let alsa = Alsa::new(&[], &["out0"])?;
    let data = tempfile::tempdir()?;
    let (livetape, whole) = counted(data.path(), 5)?;
    // Live, while it is recorded: from somewhere to the end.
    let (live, said) = played(&alsa, livetape.http(), &["live"])?;
    ensure!(live.len() as u64 > SECOND && whole.ends_with(&live), "{} bytes: {said}", live.len());
    ensure!(said.contains("live: the end"), "{said}");

    let list = http::json(livetape.http(), "/recordings?stream=live")?;
    let id = list["recordings"][0]["id"].as_str().context("an id")?;
    for (pos, from) in [("0", 1), ("3.25", 156_000)] {
        let (all, said) = played(&alsa, livetape.http(), &[id, "--pos", pos, "--device", "out0"])?;
        ensure!(all == whole[from * 4..], "{} bytes from {pos} s on: {said}", all.len());
    }
    livetape.stop()
}

#[test]
fn a_connection_that_breaks_is_made_again_at_the_very_frame() -> Result<()> {
    let alsa = Alsa::new(&[], &["out0"])?;
    let data = tempfile::tempdir()?;
    let (livetape, whole) = counted(data.path(), 8)?;
    let line = Proxy::start(livetape.http())?;
    let heard = |args: &[&str]| -> Result<(Vec<u8>, String)> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for how in [Cut::Reset, Cut::Close].into_iter().cycle().take_while(|_| !over.load(Relaxed)) {
                    std::thread::sleep(Duration::from_millis(700));
                    line.cut(how);
                }
            });
            let heard = played(&alsa, line.address(), args);
            over.store(true, Relaxed);
            heard
        })
    };
    let (live, said) = heard(&["live"])?;
    ensure!(live.len() as u64 > SECOND && whole.ends_with(&live), "{} bytes: {said}", live.len());
    ensure!(said.contains("has broken off") && said.contains("live: goes on") && said.contains("the end"), "{said}");
    let list = http::json(livetape.http(), "/recordings?stream=live")?;
    let id = list["recordings"][0]["id"].as_str().context("an id")?;
    let (all, said) = heard(&[id, "--pos", "0.25"])?;
    // Sockets may have had room for all of it before the first cut.
    ensure!(all == whole[12_000 * 4..], "{} bytes: {said}", all.len());
    livetape.stop()
}

#[test]
fn a_gateway_that_speaks_tls_is_believed_by_its_certificate() -> Result<()> {
    let alsa = Alsa::new(&[], &["out0"])?;
    let (data, authority) = (tempfile::tempdir()?, Authority::new()?);
    let (cert, key) = authority.sign("127.0.0.1")?.write(data.path(), "gateway")?;
    let ca = |name: &str, pem: &str| -> Result<String> {
        let path = data.path().join(name);
        std::fs::write(&path, pem)?;
        Ok(path.display().to_string())
    };
    let (ca, stranger) = (ca("ca.pem", &authority.pem)?, ca("stranger.pem", &Authority::new()?.pem)?);
    let whole = counting(Frame::ZERO, FrameCount::new(2 * 48_000), stereo());
    let mut livetape = Start::new(data.path().join("data"))
        .source("stdin")
        .args([OsString::from("--tls-cert"), cert.into(), "--tls-key".into(), key.into()])
        .with_stdin()
        .spawn()?;
    livetape.stdin().context("a pipe")?.write_all(&whole)?;
    let url = format!("https://{}", livetape.http());
    let play = |url: &str, args: &[&str]| -> Result<Command> {
        let mut play = command(["play", "live", "--offset", "1000", "--url", url])?;
        play.args(args).env("ALSA_CONFIG_PATH", alsa.config());
        Ok(play)
    };
    // It is believed: what it says is played. The recording has to have begun.
    wait::until("the stream is played", LIMIT, || {
        let heard = heard_by(&alsa, play(&url, &["--gateway-ca", &ca]).ok()?).ok()?;
        (!heard.0.is_empty() && whole.ends_with(&heard.0) && heard.1.contains("the end")).then_some(())
    })?;
    let _speaker = alsa.speaker("out0")?;
    let not_pem = data.path().join("gateway.key").display().to_string();
    for (url, args, part) in [
        (&url, &["--gateway-ca", &stranger][..], "certificate"),
        (&url, &[], "certificate"),
        (&url, &["--gateway-ca", &not_pem], "there is no certificate in it"),
        (&url, &["--gateway-ca", "/nowhere.pem"], "/nowhere.pem"),
        (&livetape.url(""), &["--gateway-ca", &ca], "is for https://"),
        (&livetape.url(""), &[], "does not answer"),
    ] {
        let finished = spawn::run(play(url, args)?, LIMIT)?;
        ensure!(finished.code == Some(1), "{url} {args:?}: {:?} {}", finished.code, finished.stderr);
        ensure!(finished.stderr.contains(part), "{url} {args:?}: {part:?} is not in {}", finished.stderr);
    }
    livetape.stop()
}

#[test]
fn a_card_that_has_not_the_channels_gets_them() -> Result<()> {
    let (alsa, data) = (Alsa::new(&[], &[])?, tempfile::tempdir()?);
    let mut livetape = Start::new(data.path()).source("stdin").args(["--channels", "1"]).with_stdin().spawn()?;
    livetape.stdin().context("a pipe")?.write_all(&[1; 96_000])?;
    let id = wait::until("the recording", LIMIT, || {
        let list = http::json(livetape.http(), "/recordings?stream=live").ok()?;
        let recording = &list["recordings"][0];
        (recording["state"] == "sealed").then(|| recording["id"].as_str().map(str::to_owned)).flatten()
    })?;
    let mut play = command(["play", &id, "--device", "two", "--url", livetape.url("").as_str()])?;
    play.env("ALSA_CONFIG_PATH", alsa.config());
    let said = spawn::run(play, LIMIT)?.ok()?.stderr;
    for part in ["channels=1 on two, converted to", "channels=2", "the end"] {
        ensure!(said.contains(part), "{part:?} is not in {said}");
    }
    livetape.stop()
}

#[test]
fn what_cannot_be_played_is_said() -> Result<()> {
    let alsa = Alsa::new(&[], &["out0"])?;
    let _speaker = alsa.speaker("out0")?;
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).args(["--channels", "1"]).spawn()?;
    wait::until("the stream", SOON, || {
        let live = http::get(livetape.http(), "/streams/live/live.pcm").send().ok()?;
        (live.status == 200).then_some(())
    })?;
    let url = livetape.url("");
    for (args, parts) in [
        (&["live", "--url", "http://127.0.0.1:9"][..], &["does not answer"][..]),
        (&["live", "--url", "ftp://x"], &["http://HOST:PORT"]),
        (&["nothing"], &["nothing", "404"]),
        (&["live", "--pos", "3"], &["--offset"]),
        (&["Not/a stream"], &["no stream and no recording"]),
        (&["live", "--device", "mic7"], &["no such sound card", "alsa:out0"]),
        (
            &["live", "--device", "two", "--buffer-frames", "4294967295"],
            &["does not offer", "blocks of 4294967295 frames", "it offers 2 channels"],
        ),
    ] {
        let mut play = command(["play"])?;
        play.args(args).env("ALSA_CONFIG_PATH", alsa.config()).env("LIVETAPE_URL", &url);
        let finished = spawn::run(play, LIMIT)?;
        ensure!(finished.code == Some(1), "{args:?}: {:?} {}", finished.code, finished.stderr);
        for part in parts {
            ensure!(finished.stderr.contains(part), "{args:?}: {part:?} is not in {}", finished.stderr);
        }
    }
    livetape.stop()
}

#[test]
fn cards_are_listed_for_people_and_for_programs() -> Result<()> {
    let alsa = Alsa::new(&["mic0"], &[])?;
    // The pipes need somebody who has them open.
    let _microphone = alsa.microphone("mic0")?;
    let run = |args: &[&str]| -> Result<Finished> {
        let mut devices = command(args)?;
        devices.env("ALSA_CONFIG_PATH", alsa.config());
        spawn::run(devices, LIMIT)?.ok()
    };
    let text = run(&["devices"])?.text();
    for part in ["Inputs", "alsa:mic0", "Test card mic0", "alsa:two", "2 channels;", "Outputs"] {
        ensure!(text.contains(part), "{part:?} is not in {text}");
    }
    let json: serde_json::Value = serde_json::from_slice(&run(&["devices", "--json"])?.stdout)?;
    let two = json["devices"].as_array().context("a list")?.iter().find(|card| card["id"] == "alsa:two");
    let offers = two.context("it is there")?["input"]["offers"].as_array().context("offers")?;
    ensure!(offers.iter().all(|offer| offer["channels"] == 2) && !offers.is_empty(), "{offers:?}");
    Ok(())
}

#[test]
fn what_cannot_be_recorded_is_said() -> Result<()> {
    let alsa = Alsa::new(&["mic0"], &[])?;
    let _microphone = alsa.microphone("mic0")?;
    let data = tempfile::tempdir()?;
    let refused = |alsa: &Alsa, args: &[&str]| -> Result<String> {
        let mut livetape =
            Start::new(data.path()).env("ALSA_CONFIG_PATH", alsa.config()).args(args.iter().copied()).spawn()?;
        let status = livetape.wait(SOON)?;
        let log = livetape.log();
        ensure!(!status.success(), "{args:?} ran: {log}");
        Ok(log)
    };
    for (args, parts) in [
        (&["--source", "device:alsa:mic7"][..], &["no such sound card", "alsa:mic0", "alsa:two"][..]),
        (&["--source", "device:alsa:two", "--channels", "1"], &["does not offer 1 channel;", "it offers 2 channels"]),
        (
            &["--source", "device:alsa:two", "--buffer-frames", "4294967295"],
            &["blocks of 4294967295 frames", "it offers"],
        ),
        (&["--source", "device:pulseaudio:x"], &["no such sound card"]),
    ] {
        let log = refused(&alsa, args)?;
        for part in parts {
            ensure!(log.contains(part), "{args:?}: {part:?} is not in {log}");
        }
    }
    // A machine without any.
    let log = refused(&Alsa::new(&[], &[])?, &["--source", "device:default"])?;
    ensure!(log.contains("has no sound card") && log.contains("livetape devices"), "{log}");
    ensure!(!log.contains("ALSA lib"), "what the library says is not repeated: {log}");
    ensure!(!data.path().join("live").exists(), "nothing was recorded of it");
    Ok(())
}
