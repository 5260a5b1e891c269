//! Audio files as sources of the real program: what a listener gets is what was in the file.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount, SampleFormat, Spec};
use livetape_testkit::ffmpeg::encode;
use livetape_testkit::process::Start;
use livetape_testkit::{counting, http, spawn, wait};
use livetape_tests::growing::SOON;
use livetape_tests::pushes;
use std::path::{Path, PathBuf};

fn wav(path: &Path, first: u64, frames: u64) -> Result<PathBuf> {
    std::fs::write(path, counting::wav(44_100, Frame::new(first), FrameCount::new(frames))?)?;
    Ok(path.to_owned())
}

/// A FLAC file of counting PCM, with a title.
fn flac(dir: &Path, name: &str, first: u64, frames: u64) -> Result<PathBuf> {
    let (input, output) = (wav(&dir.join("in.wav"), first, frames)?, dir.join(name));
    let mut command = spawn::command("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(&input);
    command.args(["-metadata", "artist=Anna", "-metadata", &format!("title={name}")]).arg(&output);
    let done = spawn::run(command, SOON)?;
    anyhow::ensure!(done.code == Some(0), "{}", done.text());
    std::fs::remove_file(input)?;
    Ok(output)
}

fn sealed(address: std::net::SocketAddr) -> Result<serde_json::Value> {
    // Minutes of audio are decoded without optimisation, and the machine may be busy.
    wait::until("the recording is sealed", SOON * 3, || {
        let list = http::json(address, "/recordings").ok()?;
        let one = list["recordings"].as_array()?.first()?.clone();
        (one["state"] == "sealed").then_some(one)
    })
}

#[test]
fn an_album_is_recorded_to_the_bit_with_its_titles() -> Result<()> {
    let (data, music) = (tempfile::tempdir()?, tempfile::tempdir()?);
    // Minutes of audio: as fast as it goes is faster than they sound, and more than may wait in memory.
    const EACH: u64 = 1_500_017;
    for n in 0..3 {
        flac(music.path(), &format!("{n}.flac"), n * EACH, EACH)?;
    }
    std::fs::write(music.path().join("1b.flac"), b"fLaC and then nothing of the kind")?;
    let livetape = Start::new(data.path())
        .args(["--source", &format!("file:{}", music.path().display()), "--stream", "album", "--pace", "fast"])
        .spawn()?;
    let recording = sealed(livetape.http())?;
    let id = recording["id"].as_str().unwrap_or_default();
    let audio = http::get(livetape.http(), &format!("/recordings/{id}/audio.pcm")).send()?.to_end(SOON)?.0;
    assert_eq!(audio.len() as u64, 3 * EACH * 4);
    counting::verify(&audio, Frame::ZERO)?;
    let timeline = http::json(livetape.http(), &format!("/recordings/{id}/timeline"))?;
    let entries = timeline["entries"].as_array().cloned().unwrap_or_default();
    let titles: Vec<_> = entries.iter().filter(|entry| entry["type"] == "title").collect();
    for (n, title) in (0..3).zip(&titles) {
        let wanted = (EACH * n, format!("Anna - {n}.flac"));
        assert_eq!((title["frame"].as_u64(), title["title"].as_str()), (Some(wanted.0), Some(wanted.1.as_str())));
    }
    assert_eq!((titles.len(), entries.iter().any(|entry| entry["type"] == "gap")), (3, false), "{timeline}");
    assert!(livetape.log().contains("1b.flac"), "a broken file is said");
    livetape.stop()
}

/// A tone that goes on from one file into the next. Encoders add silence before and after each; what says how much is heeded.
#[test]
fn pieces_of_lossy_audio_follow_one_another_without_a_joint() -> Result<()> {
    const RATE: u64 = 44_100;
    /// No whole number of frames of any codec.
    const EACH: u64 = 3 * RATE + 457;
    let tone = |n: u64| 0.5 * (n as f64 * 441.0 / RATE as f64 * std::f64::consts::TAU).sin();
    for (extension, codec) in [
        ("mp3", &["-c:a", "libmp3lame", "-b:a", "192k"][..]),
        ("m4a", &["-c:a", "aac", "-b:a", "192k"]),
        ("opus", &["-c:a", "libopus", "-b:a", "128k", "-ar", "48000"]),
    ] {
        let (data, music) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let input = data.path().join("in.wav");
        for part in 0..3 {
            let samples = (part * EACH..(part + 1) * EACH).flat_map(|n| ((tone(n) * 32_767.0) as i16).to_le_bytes());
            let spec = Spec::new(SampleFormat::S16, RATE as u32, 1)?;
            std::fs::write(&input, pushes::wav(spec, &samples.collect::<Vec<_>>()))?;
            encode(&input, codec, &music.path().join(format!("{part}.{extension}")))?;
        }
        let source = format!("file:{}", music.path().display());
        let args = ["--stream", "a", "--pace", "fast", "--format", "f32", "--channels", "1", "--rate", "44100"];
        let livetape = Start::new(data.path().join("tape")).source(&source).args(args).spawn()?;
        let pcm = pushes::pcm(livetape.http(), &sealed(livetape.http())?)?;
        livetape.stop()?;
        let heard: Vec<f64> = pcm.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample).into()).collect();
        assert!((heard.len() as u64).abs_diff(3 * EACH) <= 3, "{extension}: {} frames", heard.len());
        // How far what is wrong lies below the tone, in dB.
        let clean = |range: std::ops::Range<u64>| {
            let wrong = |n: u64| (heard[n as usize] - tone(n)).powi(2);
            10.0 * (range.clone().map(|n| tone(n).powi(2)).sum::<f64>() / range.map(wrong).sum::<f64>()).log10()
        };
        let middle = clean(EACH / 3..EACH / 2);
        for joint in [EACH, 2 * EACH] {
            let joint = clean(joint - 1_000..joint + 1_000);
            assert!(middle > 30.0 && joint > 12.0, "{extension}: {joint:.1} dB at a joint, {middle:.1} dB elsewhere");
        }
    }
    Ok(())
}

#[test]
fn a_file_that_cannot_be_played_ends_the_program_with_its_name() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let broken = dir.path().join("broken.flac");
    std::fs::write(&broken, b"fLaC and then nothing of the kind")?;
    let mut livetape = Start::new(dir.path().join("data")).source(&format!("file:{}", broken.display())).spawn()?;
    assert!(!livetape.wait(SOON)?.success());
    assert!(livetape.log().contains("broken.flac: cannot be played"), "{}", livetape.log());
    Ok(())
}

#[test]
fn a_cut_file_that_is_played_again_and_again_is_said() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let cut = wav(&dir.path().join("cut.wav"), 0, 44_100)?;
    std::fs::File::options().write(true).open(&cut)?.set_len(44_100)?;
    let source = format!("file:{}", cut.display());
    let livetape = Start::new(dir.path().join("data")).source(&source).args(["--loop"]).spawn()?;
    livetape.logged("cut.wav: cannot be played past 0:00:0", SOON)?;
    // A quarter of a second that is heard again and again, and not said each time.
    wait::until("more than one round", SOON, || {
        let list = http::json(livetape.http(), "/recordings").ok()?;
        (list["recordings"][0]["frames"].as_u64()? > 44_100).then_some(())
    })?;
    assert_eq!(livetape.log().matches("cannot be played past").count(), 1, "{}", livetape.log());
    livetape.stop()
}

/// Somebody who may not read this: root may read everything.
fn as_somebody(start: Start, secret: &Path) -> Start {
    match std::fs::read_dir(secret) {
        Ok(_) => start.through(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]),
        Err(_) => start,
    }
}

#[test]
fn what_may_not_be_read_in_a_folder_is_named_and_left_out() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir()?;
    let (music, may) = (dir.path().join("music"), |mode| std::fs::Permissions::from_mode(mode));
    for folder in [&music, &music.join("2 secret")] {
        std::fs::create_dir(folder)?;
    }
    wav(&music.join("0.wav"), 0, 30_000)?;
    wav(&music.join("1 secret.wav"), 1_000_000, 30_000)?;
    wav(&music.join("2 secret/a.wav"), 2_000_000, 30_000)?;
    wav(&music.join("3.wav"), 30_000, 30_000)?;
    std::fs::set_permissions(dir.path(), may(0o777))?;
    std::fs::set_permissions(music.join("1 secret.wav"), may(0o000))?;
    std::fs::set_permissions(music.join("2 secret"), may(0o000))?;
    let start = Start::new(dir.path().join("data")).source(&format!("file:{}", music.display()));
    let livetape = as_somebody(start.args(["--pace", "fast"]), &music.join("2 secret")).spawn()?;
    let recording = sealed(livetape.http())?;
    let id = recording["id"].as_str().unwrap_or_default();
    let audio = http::get(livetape.http(), &format!("/recordings/{id}/audio.pcm")).send()?.to_end(SOON)?.0;
    assert_eq!(audio.len(), 60_000 * 4);
    counting::verify(&audio, Frame::ZERO)?;
    for secret in ["1 secret.wav", "2 secret"] {
        let said = livetape.log();
        let line = said.lines().find(|line| line.contains(secret)).with_context(|| format!("{secret}: {said}"))?;
        assert!(line.contains("Permission denied"), "{line}");
    }
    livetape.stop()
}

#[test]
fn a_folder_that_may_not_be_read_is_named() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777))?;
    let folder = dir.path().join("secret");
    std::fs::create_dir(&folder)?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o000))?;
    let start = Start::new(dir.path().join("data")).source(&format!("file:{}", folder.display()));
    let mut livetape = as_somebody(start, &folder).spawn()?;
    assert!(!livetape.wait(SOON)?.success());
    assert!(livetape.log().contains("secret: Permission denied"), "{}", livetape.log());
    Ok(())
}
