//! Parts of a recording that grows, kept as files: sample for sample what was recorded, where the format allows it.

use crate::opened;
use anyhow::{Result, ensure};
use livetape_testkit::{http, spawn};
use livetape_tests::growing::{Growing, SECOND, SOON, WAV_HEADER, audio_of};
use livetape_tests::page::steps;
use livetape_tests::player::RATE;
use livetape_tests::tone;
use std::process::Stdio;
use std::time::Duration;

/// What ffmpeg makes of a file. Out of a pipe it would not cut the end of an MP3.
fn decoded(file: &[u8]) -> Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("clip");
    std::fs::write(&path, file)?;
    let mut command = spawn::command("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path);
    command.args(["-f", "s16le", "-ar", "48000", "-ac", "2", "pipe:1"]).stdout(Stdio::piped());
    let output = spawn::spawn(command)?.wait_with_output()?;
    ensure!(output.status.success(), "ffmpeg does not read it");
    Ok(output.stdout)
}

/// How much there is beside what was recorded, and of that.
fn noise(heard: &[u8], recorded: &[u8]) -> (f64, f64) {
    let samples = |pcm: &[u8]| -> Vec<f64> {
        pcm.chunks_exact(2).map(|sample| f64::from(i16::from_le_bytes([sample[0], sample[1]]))).collect()
    };
    let (heard, recorded) = (samples(heard), samples(recorded));
    let beside = heard.iter().zip(&recorded).map(|(a, b)| (a - b).powi(2)).sum();
    (beside, recorded.iter().map(|sample| sample * sample).sum())
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
    // An Info frame says which samples of whole packets count.
    let length = (end - first) as usize;
    let mp3 = http::get(to, &format!("/recordings/{}/clip.mp3?{part}", g.id)).send()?.body()?;
    let mp3 = decoded(&mp3)?;
    assert_eq!(mp3.len(), expected.len(), "MP3 has every frame and no other");
    let (noise, sound) = noise(&mp3, &expected);
    assert!(noise < sound / 100.0, "MP3: {noise} beside {sound}");
    // For who may listen, there are the whole packets.
    let (mp3, _) = fetch("audio.mp3?")?;
    let mp3 = decoded(&mp3)?.len() / 4;
    assert!((length..=length + 4 * 1152).contains(&mp3), "{mp3} frames of MP3 for {length}");
    assert!(g.at_least() > WAV_HEADER + 40 * SECOND, "it grew meanwhile");
    Ok(())
}

#[test]
fn a_browser_has_an_mp3_clip_from_its_first_frame_to_its_last() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(12))?;
    steps::decodes_a_clip(&opened(&g)?, &g)
}
