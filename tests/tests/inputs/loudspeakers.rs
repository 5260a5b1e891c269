//! For which loudspeaker each channel is: kept from the source on to whoever listens, in every format.

use anyhow::{Context, Result, ensure};
use livetape_audio::{ChannelLayout, SampleFormat, Speaker, Spec};
use livetape_testkit::process::Start;
use livetape_testkit::{http, spawn};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{Push, recording, wav};
use std::net::SocketAddr;
use std::path::Path;

const RATE: u32 = 48_000;
const SECONDS: u32 = 2;
const SIDE: &str = "FL+FR+FC+LFE+SL+SR";

/// What is heard from a loudspeaker, in Hz.
const fn hertz(speaker: Speaker) -> u32 {
    400 + 200 * speaker as u32
}

/// A tone of its own from each loudspeaker.
fn tones(layout: ChannelLayout) -> Vec<u8> {
    let sample = |n: u32, speaker: Speaker| {
        (8_000.0 * (f64::from(n) * f64::from(hertz(speaker)) * std::f64::consts::TAU / f64::from(RATE)).sin()) as i16
    };
    (0..RATE * SECONDS).flat_map(|n| layout.speakers().map(move |s| sample(n, s))).flat_map(i16::to_le_bytes).collect()
}

/// How loud the tone of a loudspeaker is in each channel of a file, as ffmpeg decodes it: 1 is as it was sent.
fn levels(file: &Path, channels: usize, speaker: Speaker) -> Result<Vec<f64>> {
    let mut command = spawn::command("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(file).args(["-f", "s16le", "-"]);
    let pcm = spawn::run(command, SOON)?.ok()?.stdout;
    let samples: Vec<f64> = pcm.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))).collect();
    // A second out of the middle, in which every tone has whole periods.
    let part = samples.get(RATE as usize / 2 * channels..RATE as usize * 3 / 2 * channels).context("a second")?;
    let turn = std::f64::consts::TAU * f64::from(hertz(speaker)) / f64::from(RATE);
    let level = |channel: usize| {
        let one = (0_u32..).zip(part.iter().skip(channel).step_by(channels));
        let (a, b) = one.fold((0.0, 0.0), |(a, b), (n, s)| {
            let (sin, cos) = (turn * f64::from(n)).sin_cos();
            (a + s * sin, b + s * cos)
        });
        2.0 * f64::hypot(a, b) / f64::from(RATE) / 8_000.0
    };
    Ok((0..channels).map(level).collect())
}

fn ffprobe(file: &Path) -> Result<String> {
    let mut command = spawn::command("ffprobe");
    command.args(["-v", "error", "-show_entries", "stream=channels,channel_layout", "-of", "csv=p=0"]).arg(file);
    Ok(String::from_utf8(spawn::run(command, SOON)?.ok()?.stdout)?.trim().to_owned())
}

fn push(to: SocketAddr, mount: &str, kind: &str, body: &[u8]) -> Result<()> {
    let kind = format!("Content-Type: {kind}");
    let mut push = Push::begin(to, &format!("PUT {mount} HTTP/1.1"), &[&kind, "Transfer-Encoding: chunked"])?;
    body.chunks(10_000).try_for_each(|block| push.chunk(block))?;
    push.chunk(b"")?;
    ensure!(push.status()? == 200, "{mount}");
    Ok(())
}

/// One file of a recording, written down, and what its head says of the rendition.
fn get(
    gateway: SocketAddr,
    recording: &serde_json::Value,
    file: &str,
    dir: &Path,
) -> Result<(std::path::PathBuf, String)> {
    let id = recording["id"].as_str().context("an id")?;
    let mut reply = http::get(gateway, &format!("/recordings/{id}/{file}")).send()?;
    ensure!(reply.status == 200, "{file}: {}", reply.status);
    let said = reply.header("x-livetape-rendition").unwrap_or_default().to_owned();
    let path = dir.join(file.replace('?', "-"));
    std::fs::write(&path, reply.body()?)?;
    Ok((path, said))
}

#[test]
fn what_channels_are_for_is_kept_and_decides_what_is_heard_in_stereo() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let (gateway, to) = (livetape.http(), livetape.sources());
    let side: ChannelLayout = SIDE.parse()?;
    let spec = Spec::new(SampleFormat::S16, RATE, 6)?.for_speakers(side)?;
    let pcm = tones(side);
    push(to, "/wav", "audio/wav", &wav(spec, &pcm))?;
    let one = recording(gateway, "wav", |one| one["state"] == "sealed")?;
    push(to, "/flac", "audio/flac", &std::fs::read(get(gateway, &one, "audio.flac", dir.path())?.0)?)?;
    push(to, "/pcm", &format!("audio/pcm;layout={SIDE}"), &pcm)?;
    push(to, "/unknown", "audio/pcm;channels=6", &pcm)?;

    for stream in ["wav", "flac", "pcm"] {
        let one = recording(gateway, stream, |one| one["state"] == "sealed")?;
        assert_eq!(one["spec"]["layout"], SIDE, "{stream}");
        let mp3 = &one["renditions"][0];
        assert_eq!((&mp3["type"], &mp3["channels"]), (&"audio/mpeg".into(), &"stereo".into()), "{stream}");
        for file in ["audio.wav", "audio.rf64", "audio.flac"] {
            let (file, said) = get(gateway, &one, file, dir.path())?;
            assert_eq!(ffprobe(&file)?, "6,5.1(side)", "{stream}: {} {said}", file.display());
        }
        for file in ["audio.mp3?bitrate=320", "audio.opus?bitrate=192"] {
            let (heard, said) = get(gateway, &one, file, dir.path())?;
            assert!(said.ends_with("channels=stereo"), "{said}");
            // ITU-R BS.775: centre and surround 3 dB less, all of it less so that it cannot clip.
            let (full, less) = (1.0 / (1.0 + 2.0_f64.sqrt()), 0.5_f64.sqrt() / (1.0 + 2.0_f64.sqrt()));
            let due = |speaker| match speaker {
                Speaker::FrontLeft => [full, 0.0],
                Speaker::FrontRight => [0.0, full],
                Speaker::FrontCenter => [less, less],
                Speaker::SideLeft => [less, 0.0],
                Speaker::SideRight => [0.0, less],
                _ => [0.0, 0.0],
            };
            for speaker in side.speakers() {
                let (got, due) = (levels(&heard, 2, speaker)?, due(speaker));
                let near = got.iter().zip(due).all(|(got, due)| (got - due).abs() < 0.01);
                assert!(near, "{stream} {file}, {speaker:?}: {got:?}, not {due:?}");
            }
        }
    }
    // Of channels that are for nothing that anybody knows, the first two.
    let one = recording(gateway, "unknown", |one| one["state"] == "sealed")?;
    assert!(one["spec"].get("layout").is_none() && one["renditions"][0]["channels"] == "1,2", "{one}");
    push(to, "/again", "audio/flac", &std::fs::read(get(gateway, &one, "audio.flac", dir.path())?.0)?)?;
    let again = recording(gateway, "again", |one| one["state"] == "sealed")?;
    assert!(again["spec"].get("layout").is_none(), "{again}");
    let (heard, said) = get(gateway, &one, "audio.mp3", dir.path())?;
    assert!(said.ends_with("channels=1,2"), "{said}");
    assert!(levels(&heard, 2, Speaker::FrontCenter)?.iter().all(|&level| level < 0.01));
    livetape.stop()
}
