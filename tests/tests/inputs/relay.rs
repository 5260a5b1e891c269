//! Streams elsewhere as sources, and sources with a fallback.

use anyhow::{Context, Result};
use livetape_audio::Frame;
use livetape_testkit::certificates::Authority;
use livetape_testkit::ffmpeg::encode;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::{counting, http, spawn, wait};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{Push, counting_wav, entries, pcm, recording};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A server that answers each connection by what `answer` makes of its path, which may go on for as long as it likes.
fn server(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || {
                let (mut stream, mut head) = (stream, Vec::new());
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                // Clients come and go.
                let _ = answer(head.split(' ').nth(1).unwrap_or_default(), &mut stream);
            });
        }
    });
    Ok(address)
}

fn relay(data: &tempfile::TempDir, url: &str) -> Result<Livetape> {
    Start::new(data.path()).args(["--stream", "relay"]).source(&format!("relay:{url}")).spawn()
}

#[test]
fn our_own_live_stream_comes_through_to_the_bit() -> Result<()> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let origin = Start::new(one.path()).source("counting").spawn()?;
    recording(origin.http(), "live", |one| one["frames"].as_u64() > Some(48_000))?;
    let relay = relay(&two, &origin.url("/streams/live/live.wav"))?;
    let there = recording(relay.http(), "relay", |one| one["frames"].as_u64() > Some(4 * 48_000))?;
    let runs = counting::runs(&pcm(relay.http(), &there)?);
    assert_eq!(runs.len(), 1, "{runs:?}");
    // It goes away and comes back.
    let again = Start::new(one.path()).source("counting").on_ports_of(&origin);
    origin.stop()?;
    let origin = again.spawn()?;
    let more =
        recording(relay.http(), "relay", |two| two["frames"].as_u64() > there["frames"].as_u64().map(|n| n + 192_000))?;
    assert_eq!(more["id"], there["id"]);
    assert!(!entries(relay.http(), &more, "gap")?.is_empty());
    origin.stop()?;
    relay.stop()
}

#[test]
fn titles_come_along_and_playlists_and_redirects_are_followed() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (input, mp3) = (dir.path().join("in.wav"), dir.path().join("x.mp3"));
    std::fs::write(&input, counting_wav(44_100, 441_000)?)?;
    encode(&input, &["-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"], &mp3)?;
    let audio = std::fs::read(mp3)?;
    let to = server(move |path, stream| {
        match path {
        "/list.pls" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: audio/x-scpls\r\nContent-Length: 42\r\n\r\n[playlist]\nFile1=/moved\nNumberOfEntries=1\n\n",
        ),
        "/moved" => stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /live\r\nContent-Length: 0\r\n\r\n"),
        _ => {
            stream.write_all(b"ICY 200 OK\r\nicy-name:Radio X\r\nicy-genre:Rock\r\nicy-metaint:16000\r\nContent-Type:audio/mpeg\r\n\r\n")?;
            for (n, block) in audio.chunks(16_000).enumerate() {
                stream.write_all(block)?;
                let mut text = format!("StreamTitle='Song \"{}\"; it's';", n / 2).into_bytes();
                text.resize(text.len().next_multiple_of(16), 0);
                stream.write_all(&[&[(text.len() / 16) as u8][..], &text].concat())?;
                thread::sleep(Duration::from_millis(900));
            }
            Ok(())
        }
    }
    })?;
    let relay = relay(&data, &format!("http://{to}/list.pls"))?;
    let there = recording(relay.http(), "relay", |one| one["frames"].as_u64() > Some(6 * 44_100))?;
    let titles = entries(relay.http(), &there, "title")?;
    let said: Vec<_> = titles.iter().map(|title| title["title"].as_str().unwrap_or_default()).collect();
    assert_eq!(said[..3], ["Song \"0\"; it's", "Song \"1\"; it's", "Song \"2\"; it's"]);
    // Two blocks of 16,000 bytes at 128 kbit/s are two seconds: a title is where its bytes were.
    let at = |n: usize| titles[n]["frame"].as_i64().unwrap_or_default();
    for n in 1..3 {
        assert!((at(n) - at(n - 1) - 2 * 44_100).abs() < 44_100 / 2, "{titles:?}");
    }
    assert_eq!((&there["title"], &there["genre"]), (&"Radio X".into(), &"Rock".into()));
    relay.stop()
}

#[test]
fn what_cannot_be_relayed_is_said_and_tried_again() -> Result<()> {
    let to = server(|path, stream| match path {
        "/round" => stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /round\r\n\r\n"),
        "/head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            while stream.write_all(b"X-More: x\r\n").is_ok() {}
            Ok(())
        }
        // Slowly, so that each line for itself is in time.
        "/drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            while stream.write_all(b"X-More: x\r\n").is_ok() {
                thread::sleep(Duration::from_millis(500));
            }
            Ok(())
        }
        "/hls" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n#EXTM3U\n#EXT-X-VERSION:3\n",
        ),
        "/page" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>This is no audio</html>"),
        "/file" => stream.write_all(b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\n\r\n"),
        _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n"),
    })?;
    for (path, why) in [
        ("round", "more than 8 redirects"),
        ("head", "longer than"),
        ("drip", "10s"),
        ("hls", "HLS"),
        ("page", "cannot be relayed"),
        ("file", "redirects to what is no stream"),
        ("none", "it answers 404"),
    ] {
        let data = tempfile::tempdir()?;
        let mut livetape = relay(&data, &format!("http://user:geheim@{to}/{path}"))?;
        livetape.logged(why, SOON).context(path)?;
        assert!(livetape.runs() && !livetape.log().contains("geheim"), "{}", livetape.log());
        livetape.stop()?;
    }
    Ok(())
}

/// Some MP3 without end, of frames that stand alone.
fn endless_mp3(dir: &Path) -> Result<Vec<u8>> {
    let (input, mp3) = (dir.join("in.wav"), dir.join("x.mp3"));
    std::fs::write(&input, counting_wav(44_100, 441_000)?)?;
    encode(&input, &["-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0"], &mp3)?;
    Ok(std::fs::read(mp3)?)
}

#[test]
fn playlists_of_every_kind_are_followed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let audio = endless_mp3(dir.path())?;
    let to = server(move |path, stream| {
        let list = |stream: &mut TcpStream, kind: &str, text: &str| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", text.len());
            stream.write_all((head + text).as_bytes())
        };
        match path {
            "/a.m3u" => list(stream, "audio/x-mpegurl", "#EXTM3U\n#EXTINF:-1,Radio\n/live\n"),
            // A server that knows no types, and a list that names another one.
            "/b.m3u" => list(stream, "text/plain", "\u{FEFF}# comment\r\n\r\nc.xspf\r\n"),
            "/c.xspf" => list(
                stream,
                "application/xspf+xml",
                "<?xml version=\"1.0\"?><playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\"><trackList><track>\
                 <location>/live</location><title>Radio &amp; more</title></track></trackList></playlist>",
            ),
            _ => {
                stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n")?;
                for block in audio.chunks(1_600) {
                    stream.write_all(block)?;
                    thread::sleep(Duration::from_millis(90));
                }
                Ok(())
            }
        }
    })?;
    for list in ["a.m3u", "b.m3u", "c.xspf"] {
        let data = tempfile::tempdir()?;
        let livetape = relay(&data, &format!("http://{to}/{list}"))?;
        recording(livetape.http(), "relay", |one| one["frames"].as_u64() > Some(44_100)).context(list)?;
        livetape.stop()?;
    }
    Ok(())
}

#[test]
fn over_tls_only_from_who_can_prove_a_name() -> Result<()> {
    let (one, two, keys) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let authority = Authority::new()?;
    let (cert, key) = authority.sign("localhost")?.write(keys.path(), "server")?;
    let roots = keys.path().join("roots.pem");
    std::fs::write(&roots, &authority.pem)?;
    let tls = ["--tls-cert".into(), cert.into_os_string(), "--tls-key".into(), key.into_os_string()];
    let origin = Start::new(one.path()).source("counting").args(tls).spawn()?;
    let port = origin.http().port();
    let start = |data: &Path, host: &str| {
        let source = format!("relay:https://{host}:{port}/streams/live/live.wav");
        Start::new(data).args(["--stream", "relay"]).source(&source)
    };
    // Nobody has signed for the address, and to a machine that does not know the authority for the name neither.
    for (host, roots) in [("127.0.0.1", Some(&roots)), ("localhost", None)] {
        let data = tempfile::tempdir()?;
        let start =
            roots.map_or_else(|| start(data.path(), host), |r| start(data.path(), host).env("SSL_CERT_FILE", r));
        let refused = start.spawn()?;
        refused.logged("TLS: ", SOON).context(host)?;
        refused.stop()?;
    }
    let relay = start(two.path(), "localhost").env("SSL_CERT_FILE", &roots).spawn()?;
    let there = recording(relay.http(), "relay", |one| one["frames"].as_u64() > Some(2 * 48_000))?;
    let runs = counting::runs(&pcm(relay.http(), &there)?);
    assert_eq!(runs.len(), 1, "{runs:?}");
    relay.stop()?;
    origin.stop()
}

#[test]
fn icecast_is_relayed_with_its_titles() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    // Below those that are given to whoever asks for a free one, as the other tests do.
    let port = 20_000 + u16::try_from(std::process::id() % 10_000)?;
    let config = format!(
        "<icecast><location>x</location><admin>x@localhost</admin><limits><sources>2</sources></limits><authentication>\
         <source-password>hackme</source-password><admin-password>hackme</admin-password></authentication><hostname>localhost</hostname>\
         <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket><paths><logdir>{0}</logdir>\
         <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths></icecast>",
        dir.path().display()
    );
    std::fs::write(dir.path().join("icecast.xml"), config)?;
    let open = |path: &std::path::Path| std::os::unix::fs::chown(path, Some(65_534), Some(65_534));
    let _ = open(dir.path());
    let mut icecast = spawn::unprivileged("icecast2");
    icecast.arg("-c").arg(dir.path().join("icecast.xml"));
    let mut icecast = spawn::spawn(icecast)?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    // An answer, because a connection to a free port of this machine may be one to itself.
    wait::until("icecast", SOON, || http::get(address, "/").send().ok())?;
    let mut source = spawn::command("ffmpeg");
    source.args([
        "-nostdin",
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "sine=440:d=60",
        "-c:a",
        "libmp3lame",
        "-f",
        "mp3",
    ]);
    source.args(["-content_type", "audio/mpeg", &format!("icecast://source:hackme@{address}/x.mp3")]);
    let mut source = spawn::spawn(source)?;
    wait::until("the mount", SOON, || http::get(address, "/x.mp3").send().ok().filter(|reply| reply.status == 200))?;
    let relay = relay(&data, &format!("http://{address}/x.mp3"))?;
    recording(relay.http(), "relay", |one| one["frames"].as_u64() > Some(44_100))?;
    let admin = "/admin/metadata?mode=updinfo&mount=/x.mp3&song=A+-+B";
    let said = http::get(address, admin).header("Authorization", "Basic c291cmNlOmhhY2ttZQ==").send()?;
    assert_eq!(said.status, 200);
    wait::until("the title", SOON, || {
        let there = recording(relay.http(), "relay", |_| true).ok()?;
        let titles = entries(relay.http(), &there, "title").ok()?;
        titles.iter().any(|title| title["title"] == "A - B").then_some(())
    })?;
    let (_, _) = (source.kill(), source.wait());
    let (_, _) = (icecast.kill(), icecast.wait());
    relay.stop()
}

#[test]
fn a_fallback_takes_over_and_hands_back() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape =
        Start::new(data.path()).args(["--stream", "a", "--source", "push", "--fallback", "silence"]).spawn()?;
    // Nobody is there yet, and it is recorded.
    recording(livetape.http(), "a", |one| one["frames"].as_u64() > Some(24_000))?;
    let file = counting_wav(48_000, 96_000)?;
    for _ in 0..2 {
        let mut push = Push::begin(livetape.sources(), "SOURCE /a HTTP/1.0", &["Content-Type: audio/wav"])?;
        assert_eq!(push.status()?, 200);
        push.paced(&file, 192_000)?;
        drop(push);
        thread::sleep(Duration::from_millis(1_500));
    }
    let there = recording(livetape.http(), "a", |one| one["frames"].as_u64() > Some(8 * 48_000))?;
    let audio = pcm(livetape.http(), &there)?;
    let heard: Vec<_> = counting::runs(&audio).into_iter().filter(|run| run.frames.get() > 1_000).collect();
    assert_eq!(
        heard.iter().map(|run| (run.first, run.frames.get())).collect::<Vec<_>>(),
        [(0, 96_000); 2],
        "all of both"
    );
    assert!(entries(livetape.http(), &there, "gap")?.is_empty());
    let between = heard[0].at.get() + 96_000..heard[1].at.get();
    let silence = &audio[between.start as usize * 4..between.end as usize * 4];
    assert!(silence.iter().all(|&byte| byte == 0) && between.end - between.start > 48_000);
    counting::verify(&audio[heard[1].at.get() as usize * 4..][..96_000 * 4], Frame::ZERO)?;
    livetape.stop()
}
