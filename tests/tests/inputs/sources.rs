//! Sources that push: what they send is recorded, with their titles, whatever they speak.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Container, DataSize, Frame, SampleFormat, Spec, wav_reader};
use livetape_testkit::ffmpeg::encode;
use livetape_testkit::process::Start;
use livetape_testkit::{counting, http, spawn, time_signal, wait};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{Push, counting_wav, entries, pcm, recording, time_signal_wav, wav};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

const SEALED: fn(&serde_json::Value) -> bool = |recording| recording["state"] == "sealed";
/// A second and a bit, which no block and no piece divides.
const FRAMES: u64 = 60_017;

/// Sends a body that says where it ends; then the recording ends there, too.
fn whole(to: SocketAddr, method: &str, mount: &str, fields: &[&str], body: &[u8]) -> Result<u16> {
    let fields = [&["Transfer-Encoding: chunked"], fields].concat();
    let mut push = Push::begin(to, &format!("{method} {mount} HTTP/1.1"), &fields)?;
    for block in body.chunks(1_777) {
        push.chunk(block)?;
    }
    push.chunk(b"")?;
    push.status()
}

#[test]
fn what_needs_no_loss_is_recorded_to_the_bit() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let (input, to) = (dir.path().join("in.wav"), livetape.sources());
    let pushed = counting_wav(44_100, FRAMES)?;
    std::fs::write(&input, &pushed)?;
    let raw = pushed.get(44..).context("a head")?.to_vec();
    let (flac, ogg) = (dir.path().join("out.flac"), dir.path().join("out.ogg"));
    encode(&input, &["-c:a", "flac"], &flac)?;
    encode(&input, &["-c:a", "flac"], &ogg)?;
    // As ffmpeg writes to a pipe: no length, and a list of tags before the audio.
    let tagged = dir.path().join("tagged.wav");
    encode(&input, &["-c:a", "pcm_s16le", "-f", "wav", "-metadata", "title=a"], &tagged)?;
    let mut endless = std::fs::read(&tagged)?;
    wav_reader::find(&endless)?.context("a head")?.unsay(&mut endless);
    // Sizes that others put there before they know it, and what comes behind the audio.
    let sized = |file: u32, data: u32| {
        let mut wav = pushed.clone();
        wav[4..8].copy_from_slice(&file.to_le_bytes());
        wav[40..44].copy_from_slice(&data.to_le_bytes());
        wav
    };
    let audio = u32::try_from(FRAMES * 4)?;
    let list = b"LIST\x0e\0\0\0INFOINAM\x02\0\0\0at";
    let followed = [&sized(audio + 36 + 22, audio)[..], list].concat();
    let rf64 = Container::Rf64.header(counting::spec(44_100)?, DataSize::Growing);
    let all = [
        ("PUT", "/wav", "Content-Type: audio/wav", pushed.clone()),
        ("POST", "/esp", "Content-Type: audio/pcm;rate=44100;channels=2;format=s16", raw.clone()),
        ("PUT", "/flac.flac", "X-Nothing: x", std::fs::read(flac)?),
        ("PUT", "/oggflac", "Content-Type: application/ogg", std::fs::read(ogg)?),
        ("SOURCE", "/piped.wav", "X-Nothing: x", endless),
        ("PUT", "/gstreamer.wav", "X-Nothing: x", sized(0, 0)),
        ("PUT", "/sox.wav", "X-Nothing: x", sized(0x7FFF_F024, 0x7FFF_F000)),
        ("PUT", "/second.wav", "X-Nothing: x", sized(44_100 * 4 + 36, 44_100 * 4)),
        ("PUT", "/followed.wav", "X-Nothing: x", followed),
        ("PUT", "/rf64.wav", "X-Nothing: x", [rf64, raw.clone()].concat()),
    ];
    thread::scope(|scope| {
        let sent =
            all.each_ref().map(|(method, mount, kind, body)| scope.spawn(|| whole(to, method, mount, &[kind], body)));
        for (sent, (_, mount, ..)) in sent.into_iter().zip(&all) {
            ensure!(sent.join().expect("no panic")? == 200, "{mount}");
        }
        Ok(())
    })?;
    for (_, mount, ..) in all {
        let stream = mount.trim_start_matches('/').split('.').next().unwrap_or_default();
        let sealed = recording(livetape.http(), stream, SEALED)?;
        let audio = pcm(livetape.http(), &sealed)?;
        assert_eq!(audio.len() as u64, FRAMES * 4, "{mount}");
        counting::verify(&audio, Frame::ZERO).with_context(|| mount)?;
        assert!(entries(livetape.http(), &sealed, "gap")?.is_empty());
    }
    livetape.stop()
}

/// Has ffmpeg push a file as it sounds.
fn ffmpeg(input: &Path, codec: &[&str], to: &str) -> Result<()> {
    let mut command = spawn::command("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-re", "-i"]).arg(input).args(codec).arg(to);
    spawn::run(command, SOON)?.ok()?;
    Ok(())
}

#[test]
fn ffmpeg_is_a_source_in_every_format() -> Result<()> {
    const SECONDS: u64 = 6;
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let (input, to) = (dir.path().join("in.wav"), livetape.sources());
    let spec = Spec::new(SampleFormat::S16, 48_000, 2)?;
    std::fs::write(&input, time_signal_wav(spec, SECONDS)?)?;
    let icecast = |mount: &str| format!("icecast://source:hackme@{to}/{mount}");
    let codecs: [(&str, &[&str], String); 6] = [
        (
            "mp3",
            &["-c:a", "libmp3lame", "-b:a", "192k", "-f", "mp3", "-content_type", "audio/mpeg"],
            icecast("mp3.mp3"),
        ),
        (
            "old",
            &["-c:a", "libmp3lame", "-b:a", "192k", "-f", "mp3", "-content_type", "audio/mpeg", "-legacy_icecast", "1"],
            icecast("old"),
        ),
        ("vorbis", &["-c:a", "libvorbis", "-f", "ogg", "-content_type", "application/ogg"], icecast("vorbis.ogg")),
        ("opus", &["-c:a", "libopus", "-b:a", "160k", "-f", "ogg", "-content_type", "audio/ogg"], icecast("opus")),
        ("aac", &["-c:a", "aac", "-b:a", "192k", "-f", "adts", "-content_type", "audio/aac"], icecast("aac.aac")),
        ("wav", &["-c:a", "pcm_s16le", "-f", "wav", "-method", "PUT"], format!("http://{to}/wav.wav")),
    ];
    thread::scope(|scope| {
        let pushed = codecs.each_ref().map(|(_, codec, to)| scope.spawn(|| ffmpeg(&input, codec, to)));
        pushed.map(|pushed| pushed.join().expect("no panic")).into_iter().collect::<Result<Vec<_>>>()
    })?;
    for (stream, ..) in codecs {
        // With the old protocol, ffmpeg leaves our answer unread: so its system resets the connection, and drops what
        // it has not sent by then. All else arrives.
        let least = SECONDS * 48_000 - if stream == "old" { 5_000 } else { 0 };
        let one = recording(livetape.http(), stream, |one| one["frames"].as_u64().is_some_and(|n| n >= least))?;
        // Encoders put up to 0.1 s before the audio and behind it; where the format says how much, it is taken off.
        let padded = ["mp3", "old", "aac"].contains(&stream);
        let most = SECONDS * 48_000 + if padded { 9_600 } else { 0 };
        assert!(one["frames"].as_u64().is_some_and(|n| n <= most), "{stream}: {}", one["frames"]);
        let audio = pcm(livetape.http(), &one)?;
        let format = one["spec"]["format"].as_str().or(one["format"].as_str()).unwrap_or("f32").parse()?;
        let spec = Spec::new(format, 48_000, 2)?;
        let heard: Vec<_> = time_signal::decode_pcm(&audio, spec);
        let seconds: Vec<_> = heard.iter().map(|telegram| telegram.second).collect();
        assert!(
            seconds.len() as u64 >= SECONDS - 1 && seconds.windows(2).all(|w| w[1] == w[0] + 1),
            "{stream}: {seconds:?}"
        );
        for telegram in &heard {
            // Telegrams are read in steps of 0.25 ms, and right within 1 ms.
            let late = telegram.at.get() as i64 - i64::from(telegram.second) * 48_000;
            assert!((-48..4_800).contains(&late), "{stream}: second {} is {late} frames late", telegram.second);
        }
        assert_eq!(entries(livetape.http(), &one, "gap")?.len(), 0, "{stream}");
    }
    livetape.stop()
}

fn title(to: SocketAddr, query: &str) -> Result<u16> {
    Ok(http::get(to, &format!("/admin/metadata?mode=updinfo&mount=/a.wav&{query}")).send()?.status)
}

#[test]
fn titles_lie_on_the_timeline_whatever_they_are() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let (to, spec) = (livetape.sources(), Spec::new(SampleFormat::S16, 8_000, 1)?);
    assert_eq!(title(to, "song=too+early")?, 404);
    let mut push = Push::begin(
        to,
        "SOURCE /a.wav HTTP/1.0",
        &["ice-name: Studio A", "ice-genre: J\u{e4}zz", "Content-Type: audio/wav"],
    )?;
    assert_eq!(push.status()?, 200);
    let feeding = thread::spawn(move || push.paced(&wav(spec, &vec![0; 8_000 * 2 * 12]), spec.byte_rate()));
    recording(livetape.http(), "a", |one| one["frames"].as_u64() > Some(1_000))?;
    let long = "x".repeat(10_000);
    let titles = [
        ("song=AC%2FDC+-+%27T%27%3B+%22N%22".to_owned(), "AC/DC - 'T'; \"N\""),
        ("song=StreamUrl%3D%27%27%3BStreamTitle%3D%27x".into(), "StreamUrl='';StreamTitle='x"),
        ("song=K%E4se".into(), "Käse"),
        ("song=K%C3%A4se+%F0%9F%A7%80&charset=UTF-8".into(), "Käse 🧀"),
        ("song=%C3%28+%FF%00%0A".into(), "Ã( ÿ"),
        (format!("song={long}"), &long[..256]),
    ];
    for (query, _) in &titles {
        assert_eq!(title(to, query)?, 200);
        // Titles keep a distance of a second.
        thread::sleep(std::time::Duration::from_millis(1_300));
    }
    assert_eq!(title(to, &format!("song={}", "x".repeat(100_000)))?, 431);
    let one = recording(livetape.http(), "a", |one| one["frames"].as_u64() > Some(10 * 8_000))?;
    let said = entries(livetape.http(), &one, "title")?;
    let said: Vec<_> = said.iter().map(|title| title["title"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(said, titles.each_ref().map(|(_, title)| (*title).to_owned()));
    let live = http::request(livetape.http(), "HEAD", "/streams/a/live.mp3", "1.1").send()?;
    assert_eq!((live.header("icy-name"), live.header("icy-genre")), (Some("Studio A"), Some("Jäzz")));
    drop(feeding.join());
    let stream = http::json(livetape.http(), "/streams/a")?;
    assert!(stream.to_string().contains("Studio A"), "{stream}");
    livetape.stop()
}

#[test]
fn who_comes_back_goes_on_with_the_recording_after_a_gap() -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let capture = Start::intake(recorder.grpc()).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    let file = counting_wav(48_000, 48_000)?;
    let send = || -> Result<()> {
        let mut push =
            Push::begin(capture.sources(), "PUT /a HTTP/1.1", &["Expect: 100-continue", "Content-Type: audio/wav"])?;
        assert_eq!(push.status()?, 100);
        push.paced(&file, 192_000)
    };
    send()?;
    let first = recording(gateway.http(), "a", |one| one["frames"] == 48_000)?;
    // Long enough that the session in between is over.
    capture.logged("a source is gone", SOON)?;
    thread::sleep(std::time::Duration::from_secs(2));
    send()?;
    let again = recording(gateway.http(), "a", |one| one["frames"] == 96_000)?;
    assert_eq!(first["id"], again["id"]);
    let audio = pcm(gateway.http(), &again)?;
    let runs = counting::runs(&audio);
    assert_eq!(runs.iter().map(|run| run.frames.get()).collect::<Vec<_>>(), [48_000, 48_000]);
    let gaps = entries(gateway.http(), &again, "gap")?;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["at"], 48_000, "{gaps:?}");
    assert_eq!(again["state"], "open", "the end of a connection is not the end of a recording");
    wait::until("the stream has no source", SOON, || http::json(gateway.http(), "/streams/a").ok())?;
    gateway.stop()?;
    capture.stop()?;
    recorder.stop()
}
