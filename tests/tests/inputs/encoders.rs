//! The programs that radios send with: what they play is recorded, second by second, with its titles and what they say of themselves.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_testkit::alsa::Alsa;
use livetape_testkit::ffmpeg::encode;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::{spawn, time_signal};
use livetape_tests::growing::{SOON, WAV_HEADER};
use livetape_tests::pushes::{entries, pcm, recording, time_signal_wav};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const SECONDS: u64 = 8;
/// The last second may be cut, and the first one be heard by nobody yet.
const WHOLE: u64 = SECONDS - 2;
const TITLE: &str = "Anna \"N\" - It's; a <signal>";

/// Tags for ffmpeg.
fn tags(title: &str) -> [String; 4] {
    let (artist, title) = title.split_once(" - ").unwrap_or_default();
    ["-metadata".into(), format!("artist={artist}"), "-metadata".into(), format!("title={title}")]
}

/// The time signal in a file with tags, in a folder that anybody may read.
fn file(dir: &Path, name: &str, title: &str, codec: &[&str]) -> Result<()> {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777))?;
    let input = dir.join("in.wav");
    std::fs::write(&input, time_signal_wav(stereo(), SECONDS)?)?;
    let tags = tags(title);
    encode(&input, &[codec, &tags.each_ref().map(String::as_str)].concat(), &dir.join(name))
}

/// What was recorded of a stream: seconds one after another, each as long as a second is.
fn heard(livetape: &Livetape, stream: &str) -> Result<Value> {
    let wanted = |one: &Value| one["frames"].as_u64().is_some_and(|n| n >= (SECONDS - 1) * 48_000);
    let one = recording(livetape.http(), stream, wanted)?;
    let spec = Spec::new(one["spec"]["format"].as_str().context("a format")?.parse()?, 48_000, 2)?;
    let signal = time_signal::decode_pcm(&pcm(livetape.http(), &one)?, spec);
    let seconds: Vec<_> = signal.iter().map(|telegram| telegram.second).collect();
    let whole = seconds.len() as u64 >= WHOLE && seconds.windows(2).all(|pair| pair[1] == pair[0] + 1);
    ensure!(whole, "{stream}: {seconds:?}");
    // Nothing was left out or said twice.
    for pair in signal.windows(2) {
        let apart = pair[1].at.get() as i64 - pair[0].at.get() as i64;
        ensure!((apart - 48_000).abs() < 100, "{stream}: {apart} frames from second {} to the next", pair[0].second);
    }
    ensure!(entries(livetape.http(), &one, "gap")?.is_empty(), "{stream}");
    Ok(one)
}

/// What was said to be playing in it: frames and titles.
fn titles(livetape: &Livetape, recording: &Value) -> Result<Vec<(u64, String)>> {
    let entries = entries(livetape.http(), recording, "title")?;
    let said = entries.iter().filter_map(|e| Some((e["frame"].as_u64()?, e["title"].as_str()?.to_owned())));
    Ok(said.collect())
}

/// Runs a program that sends, to its end.
fn sent(program: Command) -> Result<String> {
    // Liquidsoap reads a library of its own for a while before it begins.
    Ok(spawn::run(program, SOON * 4)?.ok()?.text())
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
        file(dir.path(), &name, TITLE, codec)?;
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
        let said = sent(ezstream)?;
        let one = heard(&livetape, &format!("ez-{extension}")).with_context(|| said.clone())?;
        let titles = titles(&livetape, &one)?;
        assert!(titles.iter().any(|(_, title)| title == TITLE), "{extension}: {titles:?}\n{said}");
    }
    livetape.stop()
}

/// Two pieces one after another, to two streams at once: titles beside MP3, and inside Vorbis. (Of its Opus, 80 ms are missing where
/// a piece begins: its head says that they are to be skipped, and they are none too many.)
#[test]
fn liquidsoap_is_a_source() -> Result<()> {
    const NEXT: &str = "Bert - Noon";
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    file(dir.path(), "a.flac", TITLE, &["-t", "4", "-c:a", "flac"])?;
    file(dir.path(), "b.flac", NEXT, &["-ss", "4", "-c:a", "flac"])?;
    let script = dir.path().join("radio.liq");
    let (to, dir) = (livetape.sources().port(), dir.path());
    let output = |encoder: &str, mount: &str| {
        format!(
            "output.icecast({encoder}, host=\"127.0.0.1\", port={to}, password=\"hackme\", mount=\"{mount}\", \
             name=\"Radio L\", genre=\"Jazz\", fallible=true, on_stop=shutdown, s)\n"
        )
    };
    let text = format!(
        "settings.frame.audio.samplerate.set(48000)\nsettings.init.allow_root.set(true)\n\
         s = sequence([once(single(\"{0}/a.flac\")), once(single(\"{0}/b.flac\"))])\n{1}{2}",
        dir.display(),
        output("%mp3(bitrate=192, samplerate=48000)", "liquid.mp3"),
        output("%vorbis(quality=0.6, samplerate=48000, channels=2)", "liquid-ogg.ogg"),
    );
    std::fs::write(&script, text)?;
    let mut liquidsoap = spawn::unprivileged("liquidsoap");
    liquidsoap.current_dir(dir).env("HOME", dir).arg(&script);
    let said = sent(liquidsoap)?;
    for stream in ["liquid", "liquid-ogg"] {
        let one = heard(&livetape, stream).with_context(|| said.clone())?;
        assert_eq!((&one["title"], &one["genre"]), (&json!("Radio L"), &json!("Jazz")), "{stream}");
        let titles = titles(&livetape, &one)?;
        let in_order: Vec<_> =
            titles.iter().map(|(_, title)| title.as_str()).filter(|title| !title.is_empty()).collect();
        assert_eq!(in_order, [TITLE, NEXT], "{stream}: {titles:?}\n{said}");
        // In Ogg the next title begins with the audio that it is of; the other comes when it comes.
        let next = titles.last().map_or(0, |(frame, _)| *frame) as i64;
        assert!(stream != "liquid-ogg" || (next - 4 * 48_000).abs() < 48_000 / 4, "{titles:?}");
    }
    livetape.stop()
}

/// It records a sound card and sends what it hears, here to a stream in Opus and to one in MP3.
#[test]
fn darkice_is_a_source() -> Result<()> {
    let (data, dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let alsa = Alsa::new(&["mic0"], &[])?;
    let signal = time_signal_wav(stereo(), 60)?.split_off(WAV_HEADER as usize);
    let samples = move |first: Frame, n: FrameCount| {
        let from = (first.get() * 4) as usize % signal.len();
        let to = (from + n.get() as usize * 4).min(signal.len());
        let mut samples = signal[from..to].to_vec();
        samples.resize(n.get() as usize * 4, 0);
        samples
    };
    // As many bytes as it reads at once: the card of the testkit completes no reads.
    let _microphone = alsa.microphone_for("mic0", 4096, 4, samples)?;
    let config = dir.path().join("darkice.cfg");
    let server = |n: u32, format: &str, mount: &str| {
        format!(
            "[icecast2-{n}]\nbitrateMode = cbr\nformat = {format}\nbitrate = 192\nserver = 127.0.0.1\nport = {}\n\
             password = hackme\nmountPoint = {mount}\nname = Radio D\ngenre = News\n",
            livetape.sources().port()
        )
    };
    let text = format!(
        "[general]\nduration = {}\nbufferSecs = 5\nreconnect = no\nrealtime = no\n[input]\ndevice = mic0\nsampleRate = 48000\n\
         bitsPerSample = 16\nchannel = 2\n{}{}",
        SECONDS + 1,
        server(0, "mp3", "dark"),
        server(1, "opus", "dark-opus.opus")
    );
    std::fs::write(&config, text)?;
    let mut darkice = spawn::command("darkice");
    darkice.arg("-c").arg(&config).env("ALSA_CONFIG_PATH", alsa.config());
    let said = sent(darkice)?;
    for stream in ["dark", "dark-opus"] {
        let one = heard(&livetape, stream).with_context(|| said.clone())?;
        assert_eq!((&one["title"], &one["genre"]), (&json!("Radio D"), &json!("News")), "{stream}: {said}");
    }
    livetape.stop()
}
