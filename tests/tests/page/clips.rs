//! Parts of a recording that grows, kept as files: sample for sample what was recorded, where the format allows it.

use anyhow::{Context, Result, ensure};
use livetape_testkit::{http, spawn};
use livetape_tests::growing::{Growing, SECOND, SOON, WAV_HEADER, audio_of};
use livetape_tests::player::RATE;
use livetape_tests::tone;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

fn decoded(file: &[u8]) -> Result<Vec<u8>> {
    let mut command = spawn::command("ffmpeg");
    command.args(["-v", "error", "-i", "pipe:0", "-f", "s16le", "-ar", "48000", "-ac", "2", "pipe:1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut ffmpeg = spawn::spawn(command)?;
    let mut stdin = ffmpeg.stdin.take().context("a pipe")?;
    let file = file.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&file));
    let output = ffmpeg.wait_with_output()?;
    let _ = feed.join();
    ensure!(output.status.success(), "ffmpeg does not read it");
    Ok(output.stdout)
}

#[test]
fn clips_of_a_growing_recording_are_exact() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(40))?;
    let to = g.livetape.http();
    // Neither end is a whole second, or a whole packet.
    let (first, end) = (10 * u64::from(RATE) + 12_345, 14 * u64::from(RATE) + 77);
    let part = format!("from={:.9}&to={:.9}", first as f64 / f64::from(RATE), end as f64 / f64::from(RATE));
    let fetch = |path: &str| http::get(to, &format!("/recordings/{}/{path}{part}&len=now", g.id)).send()?.to_end(SOON);
    let expected = g.frames(first, end);
    let clip = http::get(to, &format!("/recordings/{}/clip.wav?{part}", g.id)).send()?.body()?;
    assert!(audio_of(&clip)? == expected, "clip.wav");
    let (wav, _) = fetch("audio.wav?")?;
    assert!(audio_of(&wav)? == expected, "audio.wav");
    let (flac, _) = fetch("audio.flac?")?;
    let flac = decoded(&flac)?;
    assert_eq!(flac.len(), expected.len(), "FLAC has every frame and no other");
    assert!(flac == expected, "FLAC");
    // MP3 has whole packets of 1152 frames, and what its encoder needs before and after.
    let (mp3, _) = fetch("audio.mp3?")?;
    let mp3 = decoded(&mp3)?.len() as u64;
    let length = end - first;
    assert!((length..=length + 4 * 1152).contains(&(mp3 / 4)), "{} frames of MP3 for {length}", mp3 / 4);
    assert!(g.at_least() > WAV_HEADER + 40 * SECOND, "it grew meanwhile");
    Ok(())
}
