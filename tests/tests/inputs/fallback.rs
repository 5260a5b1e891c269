//! Sources of every kind with files to fall back on: what is heard when, and what is said to be playing there.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::alsa::{Alsa, BLOCK};
use livetape_testkit::counting;
use livetape_testkit::ffmpeg::encode;
use livetape_testkit::process::{Livetape, Start};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{Push, counting_wav, entries, pcm, recording};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the fallback counts from: no source gets as far.
const FALLBACK: u32 = 100_000_000;
const TITLE: &str = "Anna - interlude";

/// A file to fall back on: twenty seconds with a title.
fn interlude(dir: &Path) -> Result<PathBuf> {
    let (input, output) = (dir.join("in.wav"), dir.join("interlude.flac"));
    std::fs::write(&input, counting::wav(48_000, Frame::new(FALLBACK.into()), FrameCount::new(20 * 48_000))?)?;
    encode(&input, &["-metadata", "artist=Anna", "-metadata", "title=interlude"], &output)?;
    Ok(output)
}

fn start(data: &Path, source: &str, fallback: &Path) -> Start {
    let fallback = format!("file:{}", fallback.display());
    Start::new(data).args(["--stream", "a", "--source", source, "--fallback", &fallback])
}

/// Waits for so many frames more than there are.
fn wait_for(livetape: &Livetape, more: u64) -> Result<()> {
    let frames = |one: &serde_json::Value| one["frames"].as_u64().unwrap_or(0);
    let now = recording(livetape.http(), "a", |_| true).map_or(0, |one| frames(&one));
    recording(livetape.http(), "a", |one| frames(one) > now + more).map(|_| ())
}

/// Who was heard and what was said to be playing then, each time that it changed; all of it without a gap.
fn heard(livetape: &Livetape) -> Result<Vec<(bool, String)>> {
    let one = recording(livetape.http(), "a", |_| true)?;
    assert!(entries(livetape.http(), &one, "gap")?.is_empty());
    let titles = entries(livetape.http(), &one, "title")?;
    let title_at = |frame: u64| {
        let before = titles.iter().rev().find(|title| title["frame"].as_u64() <= Some(frame));
        before.and_then(|title| title["title"].as_str()).unwrap_or_default().to_owned()
    };
    let runs: Vec<_> = counting::runs(&pcm(livetape.http(), &one)?);
    // Titles keep a distance of a second: what is said is looked at in the middle of what is heard.
    let long = runs.iter().filter(|run| run.frames.get() > 48_000);
    let mut heard: Vec<(bool, String)> =
        long.map(|run| (run.first >= FALLBACK, title_at(run.at.get() + run.frames.get() / 2))).collect();
    heard.dedup();
    // The fallback goes on where it was.
    let of_fallback: Vec<_> = runs.iter().filter(|run| run.first >= FALLBACK).collect();
    for pair in of_fallback.windows(2) {
        let ended = u64::from(pair[0].first) + pair[0].frames.get();
        assert!(u64::from(pair[1].first).abs_diff(ended) < 10_000, "{runs:?}");
    }
    Ok(heard)
}

fn changes(of: &[(bool, &str)]) -> Vec<(bool, String)> {
    of.iter().map(|(fallback, title)| (*fallback, (*title).to_owned())).collect()
}

#[test]
fn files_stand_in_for_who_pushes() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = start(data.path(), "push", &interlude(dir.path())?).spawn()?;
    wait_for(&livetape, 96_000)?;
    let (input, flac) = (dir.path().join("main.wav"), dir.path().join("main.flac"));
    std::fs::write(&input, counting_wav(48_000, 6 * 48_000)?)?;
    encode(&input, &["-metadata", "artist=Bert", "-metadata", "title=live"], &flac)?;
    let bytes = std::fs::read(flac)?;
    for _ in 0..2 {
        let mut push = Push::begin(livetape.sources(), "SOURCE /a HTTP/1.0", &["Content-Type: audio/flac"])?;
        assert_eq!(push.status()?, 200);
        push.paced(&bytes, bytes.len() as u64 / 6)?;
        drop(push);
        wait_for(&livetape, 3 * 48_000)?;
    }
    let (main, stand_in) = ((false, "Bert - live"), (true, TITLE));
    assert_eq!(heard(&livetape)?, changes(&[stand_in, main, stand_in, main, stand_in]));
    livetape.stop()
}

#[test]
fn files_stand_in_for_a_relayed_station_whose_name_is_kept() -> Result<()> {
    let (data, there, dir) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let (input, flac) = (dir.path().join("main.wav"), dir.path().join("main.flac"));
    std::fs::write(&input, counting_wav(48_000, 60 * 48_000)?)?;
    encode(&input, &["-metadata", "artist=Bert", "-metadata", "title=live"], &flac)?;
    let bytes = std::fs::read(flac)?;
    let pace = bytes.len() as u64 / 60;
    let station = move |listener: std::net::TcpListener| -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        use std::io::Write;
        stream.write_all(b"HTTP/1.0 200 OK\r\nicy-name: Radio Y\r\nContent-Type: audio/flac\r\n\r\n")?;
        for block in bytes.chunks(pace as usize / 50).take(50 * 5) {
            stream.write_all(block)?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("relay:http://{}/live", listener.local_addr()?);
    // It plays for five seconds, and then it is gone for good.
    let playing = std::thread::spawn(move || station(listener));
    let livetape = start(data.path(), &url, &interlude(there.path())?).spawn()?;
    playing.join().expect("no panic")?;
    wait_for(&livetape, 3 * 48_000)?;
    let all = heard(&livetape)?;
    assert_eq!(all[all.len().saturating_sub(2)..], changes(&[(false, "Bert - live"), (true, TITLE)]), "{all:?}");
    let one = recording(livetape.http(), "a", |_| true)?;
    assert_eq!(one["title"], "Radio Y");
    livetape.stop()
}

#[test]
fn files_stand_in_for_a_sound_card() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let alsa = Alsa::new(&["mic0"], &[])?;
    let microphone = alsa.microphone("mic0")?;
    let livetape = start(data.path(), "device:mic0", &interlude(dir.path())?)
        .env("ALSA_CONFIG_PATH", alsa.config())
        .args(["--buffer-frames", &BLOCK.to_string()])
        .spawn()?;
    wait_for(&livetape, 3 * 48_000)?;
    drop(microphone);
    livetape.logged("the fallback takes over", SOON)?;
    wait_for(&livetape, 3 * 48_000)?;
    // It is away for so long that it is opened anew.
    livetape.logged("the sound card is looked for", SOON)?;
    let _microphone = alsa.microphone("mic0")?;
    livetape.logged("the source is back", SOON)?;
    wait_for(&livetape, 3 * 48_000).with_context(|| livetape.log())?;
    // A card says nothing of what it hears.
    assert_eq!(heard(&livetape)?, changes(&[(false, ""), (true, TITLE), (false, "")]));
    livetape.stop()
}
