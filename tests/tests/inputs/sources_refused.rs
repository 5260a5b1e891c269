//! Sources that push what they may not, or nonsense, or nothing: each gets an answer, and nobody else loses anything.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_capture::{Capture, CaptureConfig, IntakeConfig, IntakeLimits};
use livetape_testkit::ffmpeg::encode;
use livetape_testkit::process::{Livetape, Start, command};
use livetape_testkit::{counting, spawn, time_signal, wait};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{Push, counting_wav, entries, pcm};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const WAV: &str = "Content-Type: audio/wav";

fn answer(to: SocketAddr, line: &str, fields: &[&str]) -> Result<u16> {
    Push::begin(to, line, fields)?.status()
}

/// An entry of the access file for a user.
fn user(folder: &Path, name: &str, password: &str, grant: &str) -> Result<String> {
    std::fs::write(folder.join("stdin"), password)?;
    let mut command = command(["token", "password", "--name", name, "--grant", grant])?;
    command.stdin(Stdio::from(std::fs::File::open(folder.join("stdin"))?));
    Ok(spawn::run(command, SOON)?.ok()?.text())
}

#[test]
fn only_who_may_and_only_where() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let access = dir.path().join("access.toml");
    let all =
        user(dir.path(), "source", "hackme99", "publish:studio-*")? + &user(dir.path(), "ear", "hackme99", "listen:*")?;
    std::fs::write(&access, &all)?;
    let livetape = Start::new(dir.path().join("data"))
        .source("none")
        .args(["--access".into(), access.clone().into_os_string()])
        .args(["--allow-streams", "studio-a,studio-b", "--anonymous", "listen"])
        .spawn()?;
    let to = livetape.sources();
    let right = "Authorization: Basic c291cmNlOmhhY2ttZTk5"; // source:hackme99
    let wrong = "Authorization: Basic c291cmNlOmhhY2ttZTk4";
    let ear = "Authorization: Basic ZWFyOmhhY2ttZTk5";
    assert_eq!(answer(to, "PUT /studio-a HTTP/1.1", &[WAV])?, 401);
    assert_eq!(answer(to, "PUT /studio-a HTTP/1.1", &[WAV, wrong])?, 401);
    assert_eq!(answer(to, "PUT /studio-a HTTP/1.1", &[WAV, "Authorization: Basic !"])?, 401);
    assert_eq!(answer(to, "PUT /studio-a HTTP/1.1", &[WAV, ear])?, 403, "who may listen may not publish");
    assert_eq!(answer(to, "PUT /other HTTP/1.1", &[WAV, right])?, 403, "not that user's");
    assert_eq!(answer(to, "PUT /studio-c HTTP/1.1", &[WAV, right])?, 403, "not among the streams");
    let metadata = "GET /admin/metadata?mode=updinfo&mount=/studio-a&song=x HTTP/1.0";
    assert_eq!(answer(to, metadata, &[wrong])?, 401);
    let mut push = Push::begin(to, "SOURCE /studio-a HTTP/1.0", &[WAV, right])?;
    assert_eq!(push.status()?, 200);
    let file = counting_wav(48_000, 480_000)?;
    push.paced(&file[..192_000], 192_000)?;
    recording(&livetape, "studio-a")?;
    assert_eq!(answer(to, metadata, &[ear])?, 403);
    assert_eq!(answer(to, metadata, &[right])?, 200);
    // A right that is taken away ends what is in progress.
    std::fs::write(&access, all.replace("publish:studio-*", "publish:studio-b"))?;
    livetape.logged("access was read again", SOON)?;
    let cut = push.paced(&file[192_000..], 192_000).and_then(|()| push.status());
    assert!(cut.is_err() || cut.is_ok_and(|status| status == 401));
    livetape.logged("a source is gone", SOON)?;
    livetape.stop()
}

fn recording(livetape: &Livetape, stream: &str) -> Result<serde_json::Value> {
    livetape_tests::pushes::recording(livetape.http(), stream, |one| one["frames"].as_u64() > Some(0))
}

#[test]
fn what_cannot_be_is_said() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("tone").spawn()?;
    let to = livetape.sources();
    for (line, fields, status) in [
        ("PUT / HTTP/1.1", &[WAV][..], 400),
        ("PUT /Studio HTTP/1.1", &[WAV], 400),
        ("PUT /live HTTP/1.1", &[WAV], 409),
        ("PUT /a HTTP/1.1", &["Content-Type: text/html"], 415),
        ("PUT /a HTTP/1.1", &["Content-Type: audio/L16;rate=44100"], 415),
        ("PUT /a HTTP/1.1", &["Content-Type: audio/pcm;rate=44"], 415),
        ("PUT /a HTTP/1.1", &[WAV, "Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        ("PUT /a HTTP/1.1", &[WAV, "Content-Length: -5"], 400),
        ("PUT /a HTTP/1.1", &[WAV, "Transfer-Encoding: gzip"], 400),
        ("PUT /a HTTP/1.1", &[WAV, "Origin: https://evil.example"], 403),
        ("POST /a HTTP/1.1", &[WAV, "Sec-Fetch-Site: cross-site"], 403),
        ("DELETE /a HTTP/1.1", &[], 405),
        ("GET /a HTTP/1.1", &[], 404),
        ("GET /admin/metadata?mode=updinfo&mount=/a&song=x HTTP/1.1", &[], 404),
        ("GET /admin/metadata?mode=kill&mount=/a HTTP/1.1", &[], 400),
        ("this is no HTTP", &[], 400),
        ("OPTIONS * HTTP/1.1", &[], 204),
    ] {
        assert_eq!(answer(to, line, fields).context(line)?, status, "{line} {fields:?}");
    }
    let foreign = livetape_testkit::http::request(to, "PUT", "/a", "1.1").header("Host", "evil.example").send()?;
    assert_eq!(foreign.status, 421);
    let long = format!("X-Long: {}", "x".repeat(100_000));
    let refused = Push::begin(to, "PUT /a HTTP/1.1", &[WAV, &long]).and_then(|mut push| push.status());
    assert!(refused.is_err() || refused.is_ok_and(|status| status == 431));
    // What comes is not what was said.
    let mut liar = Push::begin(to, "PUT /a HTTP/1.1", &["Content-Type: audio/mpeg", "Transfer-Encoding: chunked"])?;
    liar.chunk(&[0x55; 4096])?;
    liar.chunk(b"")?;
    assert_eq!(liar.status()?, 415);
    let mut empty = Push::begin(to, "PUT /a HTTP/1.1", &[WAV, "Content-Length: 0"])?;
    assert_eq!(empty.status()?, 200, "only a question whether one may");
    assert!(livetape_tests::pushes::recordings(livetape.http(), "a")?.is_empty());
    livetape.stop()
}

#[test]
fn one_source_at_a_time() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let to = livetape.sources();
    let file = counting_wav(48_000, 96_000)?;
    let mut first = Push::begin(to, "SOURCE /a HTTP/1.0", &[WAV])?;
    assert_eq!(first.status()?, 200);
    first.paced(&file[..192_000], 192_000)?;
    assert_eq!(answer(to, "SOURCE /a HTTP/1.0", &[WAV])?, 409);
    first.paced(&file[192_000..], 192_000)?;
    drop(first);
    let one = livetape_tests::pushes::recording(livetape.http(), "a", |one| one["frames"] == 96_000)?;
    counting::verify(&pcm(livetape.http(), &one)?, Frame::ZERO)?;
    livetape.stop()
}

#[test]
fn garbage_in_the_middle_costs_what_it_hits() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let input = dir.path().join("in.wav");
    std::fs::write(&input, livetape_tests::pushes::time_signal_wav(counting::spec(48_000)?, 4)?)?;
    let all = [
        ("mp3", "libmp3lame", "audio/mpeg"),
        ("ogg", "libvorbis", "audio/ogg"),
        ("aac", "aac", "audio/aac"),
        ("opus", "libopus", "audio/ogg"),
        ("flac", "flac", "audio/flac"),
    ];
    let through = |(stream, codec, kind): (&str, &str, &str)| -> Result<()> {
        let file = dir.path().join(format!("x.{stream}"));
        encode(&input, &["-c:a", codec], &file)?;
        let half = std::fs::read(file)?;
        let garbage: Vec<u8> = (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let head = format!("SOURCE /{stream} HTTP/1.0");
        let mut push = Push::begin(livetape.sources(), &head, &[&format!("Content-Type: {kind}")])?;
        assert_eq!(push.status()?, 200);
        // A FLAC says how long it is, and after that it is over: there the garbage is within.
        let (one, two) = if stream == "flac" { half.split_at(half.len() / 2) } else { (&half[..], &half[..]) };
        push.send(&[one, &garbage, two].concat())?;
        drop(push);
        // Both halves are there, as they were; a little is missing around the garbage.
        wait::until("both halves", SOON, || {
            let one = livetape_tests::pushes::recordings(livetape.http(), stream).ok()?.first()?.clone();
            let spec = Spec::new(one["spec"]["format"].as_str()?.parse().ok()?, 48_000, 2).ok()?;
            let heard = time_signal::decode_pcm(&pcm(livetape.http(), &one).ok()?, spec);
            let heard: Vec<_> = heard.iter().map(|telegram| telegram.second).collect();
            let whole = match stream {
                "flac" => heard.starts_with(&[0]) && heard.ends_with(&[3]),
                _ => heard.starts_with(&[0, 1, 2]) && heard.ends_with(&[1, 2, 3]) && heard.len() > 5,
            };
            whole.then(|| assert!(heard.len() <= 8, "{stream}: {heard:?}"))
        })
        .with_context(|| format!("{stream}: {}", livetape.log()))
    };
    std::thread::scope(|scope| {
        let pushed = all.map(|one| {
            scope.spawn({
                let through = &through;
                move || through(one)
            })
        });
        pushed.into_iter().try_for_each(|pushed| pushed.join().expect("no panic"))
    })?;
    livetape.stop()
}

/// Captures in this process, with little patience, into a recorder in another.
fn impatient<T>(livetape: &Livetape, test: impl FnOnce(SocketAddr) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (stop, patience) = (CancellationToken::new(), Duration::from_millis(400));
    let limits = IntakeLimits { head: patience, stall: patience, sources: 2, ..IntakeLimits::default() };
    let intake = IntakeConfig { limits, ..IntakeConfig::new(SocketAddr::from(([127, 0, 0, 1], 0))) };
    let config =
        CaptureConfig { intake: Some(intake), ..CaptureConfig::new(format!("http://{}", livetape.grpc()), Vec::new()) };
    let capture = runtime.block_on(Capture::bind(config))?;
    let to = capture.source_addr().context("it listens")?;
    let running = runtime.spawn(capture.run(stop.clone()));
    let outcome = test(to);
    stop.cancel();
    runtime.block_on(async { tokio::time::timeout(SOON, running).await })???;
    outcome
}

#[test]
fn who_is_slow_or_silent_is_gone() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("none").spawn()?;
    impatient(&livetape, |to| {
        let mut slow = Push::begin(to, "PUT /a HTTP/1.1\r\nX: y", &[])?;
        // The head is there; one that is not:
        drop(slow.status());
        let mut half = std::net::TcpStream::connect(to)?;
        std::io::Write::write_all(&mut half, b"PUT /a HTTP/1.1\r\nX: ")?;
        let mut said = String::new();
        std::io::Read::read_to_string(&mut half, &mut said)?;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said:?}");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut std::net::TcpStream::connect(to)?, &mut said)?;

        // A stall ends the connection, not the recording.
        let file = counting_wav(48_000, 48_000)?;
        let mut stalls =
            Push::begin(to, "PUT /stall HTTP/1.1", &[WAV, "Expect: 100-continue", "Transfer-Encoding: chunked"])?;
        assert_eq!(stalls.status()?, 100);
        stalls.chunk(&file)?;
        assert_eq!(stalls.status()?, 408);
        let one = livetape_tests::pushes::recording(livetape.http(), "stall", |one| one["frames"] == 48_000)?;
        assert_eq!(one["state"], "open");
        let mut again = Push::begin(to, "PUT /stall HTTP/1.1", &[WAV, &format!("Content-Length: {}", file.len())])?;
        again.send(&file)?;
        assert_eq!(again.status()?, 200, "the answer comes when all of it is durable");
        let both = livetape_tests::pushes::recording(livetape.http(), "stall", |one| one["state"] == "sealed")?;
        let runs = counting::runs(&pcm(livetape.http(), &both)?);
        assert_eq!(runs.iter().map(|run| run.frames).collect::<Vec<_>>(), [FrameCount::new(48_000); 2]);
        assert_eq!(entries(livetape.http(), &both, "gap")?.len(), 1);

        // There is room for two.
        let mut seats = Vec::new();
        for n in 0..2 {
            let mut seat = Push::begin(to, &format!("SOURCE /s{n} HTTP/1.0"), &[WAV])?;
            assert_eq!(seat.status()?, 200);
            seats.push(seat);
        }
        assert_eq!(answer(to, "SOURCE /s2 HTTP/1.0", &[WAV])?, 503);
        Ok(())
    })?;
    livetape.stop()
}
