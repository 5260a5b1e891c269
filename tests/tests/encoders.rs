//! The programs that radios send with: what they play is recorded, second by second, with its titles.

use anyhow::{Context, Result};
use livetape_audio::{SampleFormat, Spec};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::{spawn, time_signal};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::{encode, entries, pcm, recording, time_signal_wav};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const SECONDS: u64 = 8;
const TAGS: [&str; 4] = ["-metadata", "artist=Anna \"N\"", "-metadata", "title=It's; a <signal>"];
const TITLE: &str = "Anna \"N\" - It's; a <signal>";

/// The time signal in a file with tags, in a folder that anybody may read.
fn file(dir: &Path, name: &str, codec: &[&str]) -> Result<()> {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777))?;
    let input = dir.join("in.wav");
    std::fs::write(&input, time_signal_wav(Spec::new(SampleFormat::S16, 48_000, 2)?, SECONDS)?)?;
    encode(&input, &[codec, &TAGS].concat(), &dir.join(name))
}

/// Runs a program to its end, and looks at what was recorded of it meanwhile.
fn heard(livetape: &Livetape, program: Command, stream: &str) -> Result<()> {
    // Liquidsoap reads a library of its own for a while before it begins.
    let ran = spawn::run(program, SOON * 4)?.ok()?;
    let wanted = |one: &serde_json::Value| one["frames"].as_u64().is_some_and(|n| n >= (SECONDS - 1) * 48_000);
    let one = recording(livetape.http(), stream, wanted).with_context(|| ran.text())?;
    let spec = Spec::new(one["spec"]["format"].as_str().context("a format")?.parse()?, 48_000, 2)?;
    let signal = time_signal::decode_pcm(&pcm(livetape.http(), &one)?, spec);
    let seconds: Vec<_> = signal.iter().map(|telegram| telegram.second).collect();
    let whole = seconds.len() as u64 >= SECONDS - 2 && seconds.windows(2).all(|pair| pair[1] == pair[0] + 1);
    assert!(whole, "{stream}: {seconds:?}\n{}", ran.text());
    // A second lasts a second: nothing was left out or said twice.
    for pair in signal.windows(2) {
        let apart = pair[1].at.get() as i64 - pair[0].at.get() as i64;
        assert!((apart - 48_000).abs() < 100, "{stream}: {apart} frames from second {} to the next", pair[0].second);
    }
    let titles = entries(livetape.http(), &one, "title")?;
    assert!(titles.iter().any(|title| title["title"] == TITLE), "{stream}: {titles:?}");
    assert!(entries(livetape.http(), &one, "gap")?.is_empty(), "{stream}");
    Ok(())
}

#[test]
fn ezstream_is_a_source() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    // It sends MP3 as it lies there, and titles by /admin/metadata; Ogg has its titles inside.
    let formats: [(&str, &str, &[&str]); 2] = [
        ("MP3", "mp3", &["-c:a", "libmp3lame", "-b:a", "192k", "-id3v2_version", "3"]),
        ("Ogg", "ogg", &["-c:a", "libvorbis", "-q:a", "6"]),
    ];
    for (format, extension, codec) in formats {
        let name = format!("x.{extension}");
        file(dir.path(), &name, codec)?;
        let config = dir.path().join(format!("{extension}.xml"));
        let text = format!(
            "<ezstream><servers><server><hostname>127.0.0.1</hostname><port>{}</port><user>source</user>\
             <password>hackme</password></server></servers><streams><stream><mountpoint>/ez-{extension}.{extension}</mountpoint>\
             <format>{format}</format></stream></streams><metadata><format_str>@a@ - @t@</format_str></metadata>\
             <intakes><intake><filename>{}</filename><stream_once>yes</stream_once></intake></intakes></ezstream>",
            livetape.sources().port(),
            dir.path().join(&name).display()
        );
        std::fs::write(&config, text)?;
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600))?;
        let mut ezstream = spawn::command("ezstream");
        ezstream.arg("-v").arg("-c").arg(&config);
        heard(&livetape, ezstream, &format!("ez-{extension}"))?;
    }
    livetape.stop()
}

#[test]
fn liquidsoap_is_a_source() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    file(dir.path(), "x.flac", &["-c:a", "flac"])?;
    let script = dir.path().join("radio.liq");
    let text = format!(
        "settings.frame.audio.samplerate.set(48000)\nsettings.init.allow_root.set(true)\n\
         s = once(single(\"{}\"))\n\
         output.icecast(%mp3(bitrate=192, samplerate=48000), host=\"127.0.0.1\", port={}, password=\"hackme\",\n\
         mount=\"liquid.mp3\", fallible=true, on_stop=shutdown, s)\n",
        dir.path().join("x.flac").display(),
        livetape.sources().port()
    );
    std::fs::write(&script, text)?;
    let mut liquidsoap = spawn::unprivileged("liquidsoap");
    liquidsoap.current_dir(dir.path()).env("HOME", dir.path()).arg(&script);
    heard(&livetape, liquidsoap, "liquid")?;
    livetape.stop()
}
