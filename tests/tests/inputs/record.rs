//! `livetape record`: with a terminal before it and without.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Container, DataSize, Frame, FrameCount};
use livetape_testkit::alsa::{Alsa, BLOCK};
use livetape_testkit::process::{Livetape, Start, binary, command};
use livetape_testkit::{counting, http, spawn, wait};
use livetape_tests::growing::SOON;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

fn recorder(data: &std::path::Path) -> Result<Livetape> {
    Start::new(data).source("none").spawn()
}

fn args(to: &Livetape, stream: &str, source: &str) -> Vec<String> {
    let (grpc, http) = (format!("http://{}", to.grpc()), to.http().to_string());
    ["record", "--stream", stream, source, "--recorder-url", &grpc, "--http-addr", &http].map(str::to_owned).into()
}

/// What was said after such a word. On a terminal, other things may stand before it in the same line.
fn said_after<'a>(said: &'a str, word: &str) -> Result<&'a str> {
    let (_, after) = said.rsplit_once(word).with_context(|| format!("{word:?} was not said: {said:?}"))?;
    Ok(after.lines().next().unwrap_or_default().trim())
}

/// The audio at the address that was said.
fn heard(to: &Livetape, said: &str) -> Result<Vec<u8>> {
    let path =
        said_after(said, "Listen: ")?.strip_prefix(&to.url("")).context("at this gateway")?.replace(".wav", ".pcm");
    Ok(http::get(to.http(), &path).send()?.to_end(SOON)?.0)
}

fn state(to: &Livetape, said: &str) -> Result<String> {
    let id = said_after(said, "Recording: ")?;
    let recording = http::json(to.http(), &format!("/recordings/{id}"))?;
    Ok(recording["state"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_file_is_recorded_and_said_in_plain_text() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let livetape = recorder(&dir.path().join("data"))?;
    let file = dir.path().join("a.wav");
    let frames = FrameCount::new(700_001);
    let head = Container::Wav.header(counting::spec(48_000)?, DataSize::Known(frames));
    std::fs::write(&file, [&head[..], &counting::encode(Frame::ZERO, frames)].concat())?;
    let source = format!("file:{}", file.display());
    let done =
        spawn::run(command([args(&livetape, "a", &source), vec!["--pace".into(), "fast".into()]].concat())?, SOON)?;
    ensure!(done.code == Some(0), "{}", done.stderr);
    let (said, meter) = (done.text(), done.stderr);
    assert!(said.contains("Duration: 0:14") && !said.contains('\x1b') && !meter.contains('\x1b'), "{said}{meter}");
    assert!(meter.contains("\na: ") && meter.contains("durable 0:14 waiting 0.0 s; peak "), "{meter}");
    assert!(heard(&livetape, &said)? == counting::encode(Frame::ZERO, frames));
    assert_eq!(state(&livetape, &said)?, "sealed");
    livetape.stop()
}

#[test]
fn without_a_terminal_a_line_in_ten_seconds() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let livetape = recorder(dir.path())?;
    let log = tempfile::NamedTempFile::new()?;
    let mut recording = command(args(&livetape, "a", "tone"))?;
    recording.stdout(Stdio::null()).stderr(log.as_file().try_clone()?);
    let mut recording = spawn::spawn(recording)?;
    let line = wait::until("a line", SOON, || {
        let log = std::fs::read_to_string(log.path()).ok()?;
        log.lines().find(|line| line.starts_with("a: ")).map(str::to_owned)
    });
    recording.kill()?;
    let line = line?;
    assert!(
        line.contains("recording; captured 0:") && line.contains("peak -12.0 -12.0 dB, RMS -15.1 -15.1 dB"),
        "{line}"
    );
    livetape.stop()
}

/// A program in a terminal of its own.
struct Terminal {
    child: std::process::Child,
    keys: std::process::ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(args: &[String], colours: bool) -> Result<Self> {
        Self::start_in(args, colours, None)
    }

    /// Where these are the sound cards.
    fn start_in(args: &[String], colours: bool, alsa: Option<&Alsa>) -> Result<Self> {
        let line =
            std::iter::once(binary()?.display().to_string()).chain(args.iter().cloned()).collect::<Vec<_>>().join(" ");
        let mut script: Command = spawn::command("script");
        script.args(["--quiet", "--return", "--command", &format!("stty cols 100; exec {line}"), "/dev/null"]);
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // As every terminal of a person says; where nothing is said, nothing is drawn.
        script.env("TERM", "xterm");
        script.envs(alsa.map(|alsa| ("ALSA_CONFIG_PATH", alsa.config())));
        match colours {
            true => script.env_remove("NO_COLOR"),
            false => script.env("NO_COLOR", "1"),
        };
        let mut child = spawn::spawn(script)?;
        let (keys, mut out) = (child.stdin.take().context("keys")?, child.stdout.take().context("a screen")?);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = out.read(&mut bytes) {
                shown.lock().unwrap_or_else(|e| e.into_inner()).extend_from_slice(&bytes[..n]);
            }
        });
        Ok(Self { child, keys, screen })
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap_or_else(|e| e.into_inner())).into_owned()
    }

    fn shows(&self, what: &str) -> Result<()> {
        let shown = wait::until(&format!("{what:?} on the screen"), SOON, || self.shown().contains(what).then_some(()));
        shown.with_context(|| self.shown())
    }

    /// Presses Ctrl-C and waits for the end: exit code and everything that was shown.
    fn interrupt(mut self) -> Result<(Option<i32>, String)> {
        self.keys.write_all(b"\x03")?;
        let code = spawn::wait(&mut self.child, SOON * 2)?.code();
        wait::until("the last words", SOON, || self.shown().contains("Listen: ").then_some(())).ok();
        Ok((code, self.shown()))
    }
}

#[test]
fn on_a_terminal_a_line_that_lives_until_ctrl_c() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let livetape = recorder(dir.path())?;
    for colours in [true, false] {
        let terminal = Terminal::start(&args(&livetape, "a", "tone"), colours)?;
        wait::until("the meter", SOON, || terminal.shown().contains("durable 0:01").then_some(()))
            .with_context(|| terminal.shown())?;
        let (code, shown) = terminal.interrupt()?;
        assert_eq!(code, Some(0), "{shown}");
        assert_eq!(shown.contains("\x1b[32m"), colours, "{shown:?}");
        assert!(shown.contains("● a") || shown.contains("●\x1b[0m a"), "{shown:?}");
        assert!(shown.contains("-12.0"), "{shown:?}");
        let audio = heard(&livetape, &shown)?;
        assert!(audio.len() >= 48_000 * 4, "everything that was captured is durable: {} bytes", audio.len());
        assert_eq!(state(&livetape, &shown)?, "sealed");
    }
    livetape.stop()
}

#[test]
fn a_card_is_recorded_bit_by_bit_and_what_clips_is_shown() -> Result<()> {
    let (dir, alsa) = (tempfile::tempdir()?, Alsa::new(&["mic0"], &[])?);
    let _microphone = alsa.microphone("mic0")?;
    let livetape = recorder(dir.path())?;
    let line = [args(&livetape, "a", "device:mic0"), vec!["--buffer-frames".into(), BLOCK.to_string()]].concat();
    let terminal = Terminal::start_in(&line, false, Some(&alsa))?;
    // Numbers go through full scale every 65536 frames.
    terminal.shows(" CLIP ")?;
    terminal.shows("durable 0:02")?;
    let (code, shown) = terminal.interrupt()?;
    assert_eq!((code, state(&livetape, &shown)?.as_str()), (Some(0), "sealed"), "{shown}");
    let audio = heard(&livetape, &shown)?;
    let first = Frame::new(u32::from_le_bytes(audio[..4].try_into()?).into());
    counting::verify(&audio, first)?;
    assert!(audio.len() > 2 * 48_000 * 4, "{}", audio.len());
    livetape.stop()
}

#[test]
fn a_pipe_is_recorded_to_its_end() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let livetape = recorder(dir.path())?;
    let pcm = counting::encode(Frame::ZERO, FrameCount::new(123_457));
    let (reader, mut writer) = std::io::pipe()?;
    let mut recording = command(args(&livetape, "a", "stdin"))?;
    recording.stdin(reader);
    let done = std::thread::scope(|scope| {
        let written = scope.spawn(|| {
            let written = writer.write_all(&pcm);
            drop(writer);
            written
        });
        let done = spawn::run(recording, SOON);
        written.join().expect("it writes").context("the pipe is read").and(done)
    })?;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(heard(&livetape, &done.text())? == pcm);
    assert_eq!(state(&livetape, &done.text())?, "sealed");
    livetape.stop()
}

#[test]
fn what_waits_in_the_spool_is_shown_and_delivered() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let livetape = recorder(&dir.path().join("data"))?;
    let spool = dir.path().join("spool").display().to_string();
    let line = [args(&livetape, "a", "counting"), vec!["--spool-dir".into(), spool]].concat();
    let terminal = Terminal::start(&line, false)?;
    terminal.shows("durable 0:01")?;
    let again = Start::new(dir.path().join("data")).source("none").on_ports_of(&livetape);
    livetape.kill()?;
    terminal.shows(" spooled ")?;
    let livetape = again.spawn()?;
    let before = terminal.shown().len();
    wait::until("it is delivered", SOON * 2, || {
        // The newest line that is drawn to its end.
        let shown = terminal.shown();
        let line = shown.get(before..)?.rsplit("● a").nth(1)?;
        (line.contains(" durable ") && !line.contains(" spooled ")).then_some(())
    })
    .with_context(|| terminal.shown())?;
    let (code, shown) = terminal.interrupt()?;
    assert_eq!(code, Some(0), "{shown}");
    let audio = heard(&livetape, &shown)?;
    // Nothing is missing but what a generator that was called too late has not made, which is on the timeline.
    let timeline =
        http::json(livetape.http(), &format!("/recordings/{}/timeline", said_after(&shown, "Recording: ")?))?;
    let (mut at, mut lost) = (0, 0);
    let gaps = timeline["entries"].as_array().context("entries")?.iter().filter(|entry| entry["type"] == "gap");
    for gap in gaps {
        assert_eq!(gap["reason"], "xrun", "{gap}");
        let to = gap["at"].as_u64().context("a frame")?;
        counting::verify(&audio[at as usize * 4..to as usize * 4], Frame::new(at + lost))?;
        (at, lost) = (to, lost + gap["lost"].as_u64().context("frames")?);
    }
    counting::verify(&audio[at as usize * 4..], Frame::new(at + lost)).context("nothing is missing")?;
    livetape.stop()
}

#[test]
fn without_a_recorder_it_says_so_and_fails() -> Result<()> {
    let terminal =
        Terminal::start(&["record", "tone", "--recorder-url", "http://127.0.0.1:1"].map(str::to_owned), false)?;
    wait::until("the trouble", SOON, || terminal.shown().contains("no recorder at").then_some(()))
        .with_context(|| terminal.shown())?;
    let (code, shown) = terminal.interrupt()?;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("nothing was recorded"), "{shown}");
    Ok(())
}
