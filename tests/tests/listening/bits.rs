//! Every listener gets the recorded bits: live, shifted, ranged, growing, finished, over every version of HTTP, many at
//! once. Counting PCM says of each byte where it belongs.

use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending, Response};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::wait;
use livetape_tests::clients::curl;
use livetape_tests::counting;
use livetape_tests::growing::{Growing, SECOND, SOON, WAV_HEADER};
use std::sync::OnceLock;
use std::time::Duration;

/// One process that records the source `counting` of the binary itself.
struct Counting {
    livetape: Livetape,
    id: String,
    _data: tempfile::TempDir,
}

fn recorder() -> &'static Counting {
    static COUNTING: OnceLock<Counting> = OnceLock::new();
    COUNTING.get_or_init(|| start().expect("a recording of counting PCM"))
}

fn start() -> Result<Counting> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).args(["--stream", "count", "--source", "counting"]).spawn()?;
    let id = wait::until("the recording", SOON, || {
        let list = http::json(livetape.http(), "/recordings?stream=count").ok()?;
        list["recordings"][0]["id"].as_str().map(str::to_owned)
    })?;
    // 12 s of it, so that there is something to go back to.
    let audio = format!("/recordings/{id}/audio.pcm");
    wait::until("12 s of audio", Duration::from_secs(20), || {
        let reply =
            http::get(livetape.http(), &audio).range(&format!("{}-{}", 12 * SECOND, 12 * SECOND)).send().ok()?;
        (reply.status == 206).then_some(())
    })?;
    Ok(Counting { livetape, id, _data: data })
}

/// `body` begins at byte `start` of the audio.
fn check(what: &str, start: u64, body: &[u8]) -> Result<()> {
    verify_at(body, start).with_context(|| format!("{what}: of {} bytes from {start} on", body.len()))
}

/// Numbers that look random and are the same in every run.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[test]
fn any_range_of_a_growing_recording() -> Result<()> {
    let r = recorder();
    let mut random = numbers(1);
    for (ext, header) in [("wav", WAV_HEADER), ("pcm", 0)] {
        for _ in 0..150 {
            let len = [1, 3, 4, 1000, 65_537, 300_000][usize::try_from(random(6))?];
            let start = header + random(12 * SECOND - len);
            let range = format!("{start}-{}", start + len - 1);
            let mut reply =
                http::get(r.livetape.http(), &format!("/recordings/{}/audio.{ext}", r.id)).range(&range).send()?;
            ensure!(reply.status == 206, "{range}: {}", reply.status);
            ensure!(
                reply.header("content-range").is_some_and(|c| c.starts_with(&format!("bytes {range}/"))),
                "{range}"
            );
            let body = reply.body()?;
            ensure!(body.len() as u64 == len, "{range}: {} bytes", body.len());
            check(&range, start - header, &body)?;
        }
    }
    Ok(())
}

/// The first frame that a reply carries, and the bytes before it.
fn begin(reply: &mut Response, ext: &str) -> Result<u64> {
    ensure!(reply.status == 200, "{} {:?}", reply.status, reply.headers);
    let first: u64 = reply.header("x-livetape-first-frame").context("X-Livetape-First-Frame")?.parse()?;
    if ext == "wav" {
        let mut head = Vec::new();
        while head.len() < 44 {
            head.extend(reply.at_least(1, SOON)?);
        }
        ensure!(head.starts_with(b"RIFF") && head[40..44] == [0xff; 4], "a header without sizes");
        check("the first bytes after the header", first * 4, &head[44..])?;
        return Ok(first * 4 + head.len() as u64 - 44);
    }
    Ok(first * 4)
}

/// Listens for `time` and checks what it hears; gives where it began and how many seconds it got.
fn listen(target: &str, ext: &str, time: Duration) -> Result<(u64, f64)> {
    let mut reply = http::get(recorder().livetape.http(), target).send().with_context(|| target.to_owned())?;
    let start = begin(&mut reply, ext).with_context(|| target.to_owned())?;
    let body = reply.for_a_while(time)?;
    ensure!(reply.ending() == Ending::Open, "{target} ended: {:?}", reply.ending());
    check(target, start, &body)?;
    Ok((start, body.len() as f64 / SECOND as f64))
}

#[test]
fn many_listeners_at_once() -> Result<()> {
    let r = recorder();
    let mut listeners = Vec::new();
    for n in 0..24 {
        let ext = if n % 2 == 0 { "wav" } else { "pcm" };
        // What is asked for, and how much audio comes in 3 s: the part behind the edge at once, then real time.
        let (target, behind) = match n % 6 {
            0 | 1 => (format!("/streams/count/live.{ext}"), 1.0),
            2 => (format!("/streams/count/live.{ext}?burst=0"), 0.0),
            3 => (format!("/streams/count/live.{ext}?offset=5"), 5.0),
            4 => (format!("/recordings/{}/audio.{ext}?pos=3.5", r.id), 8.0),
            _ => (format!("/recordings/{}/audio.{ext}", r.id), 12.0),
        };
        listeners.push(std::thread::spawn(move || {
            let (start, seconds) = listen(&target, ext, Duration::from_secs(3))?;
            ensure!(seconds > behind + 2.0, "{target}: {seconds} s in 3 s");
            ensure!(n % 6 != 4 || start / 4 / 48_000 == 3, "{target} began at byte {start}");
            ensure!(n % 6 > 3 || seconds < behind + 5.0, "{target}: {seconds} s in 3 s");
            Ok(())
        }));
    }
    for listener in listeners {
        listener.join().expect("the thread does not panic")?;
    }
    Ok(())
}

#[test]
fn every_version_of_http() -> Result<()> {
    let r = recorder();
    for (version, flag) in [("HTTP/1.0", "--http1.0"), ("HTTP/1.1", "--http1.1"), ("HTTP/2", "--http2-prior-knowledge")]
    {
        let url = r.livetape.url(&format!("/recordings/{}/audio.pcm", r.id));
        let range = curl(&url, &[flag, "--range", "1001-400000"])?;
        assert_eq!((range.code, range.status, range.version.as_str()), (0, 206, version), "{flag}");
        assert_eq!(range.body.len(), 399_000);
        check(flag, 1001, &range.body)?;

        let follow = curl(&url, &[flag, "--max-time", "2"])?;
        assert_eq!((follow.code, follow.status), (28, 200), "{flag}: it goes on");
        assert!(follow.body.len() as u64 > 12 * SECOND, "{flag}: {}", follow.body.len());
        check(flag, 0, &follow.body)?;
        assert_eq!(follow.header("transfer-encoding").is_some(), flag == "--http1.1", "{flag}");

        let live = curl(&r.livetape.url("/streams/count/live.pcm"), &[flag, "--max-time", "2"])?;
        let first: u64 = live.header("x-livetape-first-frame").context("first frame")?.parse()?;
        assert!(live.body.len() as u64 > 2 * SECOND, "{flag}: burst and real time, {}", live.body.len());
        check(flag, first * 4, &live.body)?;
    }
    Ok(())
}

#[test]
fn what_was_heard_while_it_grew_is_what_is_kept() -> Result<()> {
    let g = Growing::start(counting, Duration::from_secs(4))?;
    let mut whole = http::get(g.livetape.http(), &g.wav("")).send()?;
    let mut star = http::get(g.livetape.http(), &g.wav("len=star")).range("100000-").send()?;
    std::thread::sleep(Duration::from_secs(2));
    let end = g.pusher.end(SOON)?;
    let ((whole, a), (star, b)) = (whole.to_end(SOON)?, star.to_end(SOON)?);
    assert_eq!((a, b), (Ending::Clean, Ending::Clean));

    let length = WAV_HEADER + stereo().bytes(end.since(Frame::ZERO));
    assert_eq!((whole.len() as u64, star.len() as u64), (length, length - 100_000));
    let mut sealed = http::get(g.livetape.http(), &g.wav("")).send()?;
    let kept = sealed.body()?;
    assert_eq!(kept.len() as u64, length);
    assert!(kept[44..] == whole[44..], "the same audio at the same place");
    assert!(kept[100_000..] == star[..]);
    g.assert_audio(WAV_HEADER, &kept[44..]);

    // One that comes back asks for the rest by Range and gets the true length, or learns that there is no rest.
    let mut rest = http::get(g.livetape.http(), &g.wav("len=star")).range("300000-").send()?;
    assert_eq!(rest.header("content-range"), Some(format!("bytes 300000-{}/{length}", length - 1).as_str()));
    assert!(rest.body()? == kept[300_000..]);
    let nothing = http::get(g.livetape.http(), &g.wav("")).range(&format!("{length}-")).send()?;
    assert_eq!((nothing.status, nothing.header("content-range")), (416, Some(format!("bytes */{length}").as_str())));
    Ok(())
}
