//! `livetape run --source stdin`: raw PCM, WAV, half a frame at the end, and what is no audio. When the input ends, so
//! does the recording; the process goes on serving it.

use anyhow::{Context, Result};
use livetape_audio::{Container, DataSize, Frame, FrameCount, SampleFormat, Spec};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::wait;
use livetape_tests::growing::SOON;
use livetape_tests::{counting, tone};
use std::io::Write;
use std::time::Duration;

struct Piped {
    livetape: Livetape,
    data: tempfile::TempDir,
}

/// Starts with `input` and then the end of the input.
fn piped(input: Vec<u8>, args: &[&str]) -> Result<Piped> {
    let data = tempfile::tempdir()?;
    let mut livetape = Start::new(data.path()).source("stdin").args(args.iter().copied()).with_stdin().spawn()?;
    let mut stdin = livetape.stdin().context("a pipe")?;
    // It is read no faster than it sounds: somebody else has to push.
    std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    Ok(Piped { livetape, data })
}

impl Piped {
    /// Waits for the one recording to be sealed and gives its whole audio and its shape.
    fn recorded(&self) -> Result<(Vec<u8>, String)> {
        let to = self.livetape.http();
        let id = wait::until("a recording", SOON, || {
            let list = http::json(to, "/recordings?stream=live").ok()?;
            list["recordings"][0]["id"].as_str().map(str::to_owned)
        })
        .with_context(|| self.livetape.log())?;
        let mut reply = http::get(to, &format!("/recordings/{id}/audio.pcm")).send()?;
        let (body, ending) = reply.to_end(Duration::from_secs(20))?;
        anyhow::ensure!(ending == Ending::Clean, "cut: {}", self.livetape.log());
        Ok((body, reply.header("x-audio-format").context("X-Audio-Format")?.to_owned()))
    }
}

#[test]
fn raw_pcm_of_the_shape_that_was_said() -> Result<()> {
    let mono = Spec::new(SampleFormat::S24, 16_000, 1)?;
    let input: Vec<u8> = (0..3 * 32_000_u32).map(|n| (n % 251) as u8).collect();
    let p = piped(input.clone(), &["--rate", "16000", "--channels", "1", "--format", "s24"])?;
    let (body, format) = p.recorded()?;
    assert!(body == input, "{} bytes of {}", body.len(), input.len());
    assert_eq!(format, mono.to_string());
    p.livetape.stop()
}

#[test]
fn a_wav_brings_its_own_shape_and_loses_half_a_frame() -> Result<()> {
    let spec = Spec::new(SampleFormat::S16, 44_100, 2)?;
    let pcm = tone(Frame::ZERO, FrameCount::new(88_200), spec);
    // A head without sizes, as a program writes it that cannot go back, and three bytes too many.
    let input = [Container::Wav.header(spec, DataSize::Growing), pcm.clone(), vec![1, 2, 3]].concat();
    let p = piped(input, &[])?;
    let (body, format) = p.recorded()?;
    assert!(body == pcm, "{} bytes of {}", body.len(), pcm.len());
    assert_eq!(format, spec.to_string());
    p.livetape.logged("half frame", SOON)?;
    p.livetape.stop()
}

#[test]
fn what_is_no_audio_is_refused_by_name() -> Result<()> {
    for (input, name) in [
        (b"OggS\0\x02\0\0\0\0\0\0\0\0".repeat(20), "Ogg"),
        (b"#!/bin/sh\necho this is a script and no audio\n".repeat(10), "text"),
        (Vec::new(), "stdin"),
    ] {
        let mut p = piped(input, &[])?;
        let status = p.livetape.wait(SOON)?;
        let log = p.livetape.log();
        assert!(!status.success() && log.contains(name), "{status}: {log}");
        assert!(!p.data.path().join("live").exists(), "nothing was recorded of it");
    }
    Ok(())
}

#[test]
fn a_listener_follows_a_pipe_in_real_time() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut livetape = Start::new(data.path()).source("stdin").with_stdin().spawn()?;
    let mut stdin = livetape.stdin().context("a pipe")?;
    let writer = std::thread::spawn(move || -> Result<()> {
        for chunk in 0..150 {
            stdin.write_all(&counting(Frame::new(chunk * 960), FrameCount::new(960), stereo()))?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    let mut live = wait::until("the stream", SOON, || {
        http::get(livetape.http(), "/streams/live/live.pcm").send().ok().filter(|r| r.status == 200)
    })?;
    let first: u64 = live.header("x-livetape-first-frame").context("first frame")?.parse()?;
    let (body, ending) = live.to_end(SOON)?;
    writer.join().expect("the thread does not panic")?;
    assert_eq!(ending, Ending::Clean, "the recording is over, and so is the stream's audio");
    let frames = FrameCount::new(150 * 960 - first);
    assert!(body == counting(Frame::new(first), frames, stereo()), "{} bytes", body.len());
    livetape.stop()
}
