//! Players that are programs of their own: what they are called with, and how one sits before them.

use crate::scenario::{Opens, PATIENCE, Player};
use anyhow::{Context, Result, bail, ensure};
use livetape_testkit::card::{Card, RATE};
use livetape_testkit::{spawn, wait};
use livetape_tests::growing::{SECOND, WAV_HEADER};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A process that is killed when dropped.
struct Process(Child);

impl Process {
    fn start(mut command: Command, card: &Card) -> Result<Self> {
        command.env("HOME", card.folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(card)?);
        Ok(Self(spawn::spawn(command)?))
    }

    /// Whether it has ended, with exit code 0.
    fn ended(&mut self) -> Result<bool> {
        let Some(status) = self.0.try_wait()? else { return Ok(false) };
        ensure!(status.success(), "it ended with {status}");
        Ok(true)
    }

    /// Connects to the socket that it makes.
    fn connect(&mut self, socket: &PathBuf) -> Result<UnixStream> {
        let connected = wait::until("its socket", PATIENCE, || match self.0.try_wait() {
            Ok(None) => UnixStream::connect(socket).ok().map(Ok),
            ended => Some(Err(anyhow::anyhow!("it ended: {ended:?}"))),
        })??;
        connected.set_read_timeout(Some(PATIENCE))?;
        Ok(connected)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a player says what troubles it; shown with what went wrong.
fn log(card: &Card) -> Result<std::fs::File> {
    Ok(std::fs::File::create(card.folder().join("log"))?)
}

/// mpv, over its JSON socket.
pub(crate) struct Mpv;

struct MpvPlayer {
    process: Process,
    socket: BufReader<UnixStream>,
}

impl Opens for Mpv {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        let path = card.folder().join("mpv");
        let _ = std::fs::remove_file(&path);
        let mut command = spawn::command("mpv");
        command.args(["--no-config", "--no-terminal", "--no-video", "--ao=pcm", "--ao-pcm-waveheader=no"]);
        command.args(["--audio-format=s16", "--audio-channels=stereo", &format!("--audio-samplerate={RATE}")]);
        command.arg(format!("--ao-pcm-file={}", card.path().display()));
        command.arg(format!("--input-ipc-server={}", path.display())).arg(url);
        let mut process = Process::start(command, card)?;
        let socket = BufReader::new(process.connect(&path)?);
        Ok(Box::new(MpvPlayer { process, socket }))
    }
}

impl Player for MpvPlayer {
    fn seek(&mut self, second: f64) -> Result<()> {
        writeln!(self.socket.get_mut(), "{}", json!({"command": ["seek", second, "absolute+exact"], "request_id": 7}))?;
        loop {
            let mut line = String::new();
            ensure!(self.socket.read_line(&mut line)? > 0, "it is gone");
            let said: Value = serde_json::from_str(&line)?;
            if said["request_id"] == 7 {
                ensure!(said["error"] == "success", "{said}");
                return Ok(());
            }
        }
    }

    fn ended(&mut self) -> Result<bool> {
        self.process.ended()
    }
}

/// VLC, over its remote control.
pub(crate) struct Vlc;

struct VlcPlayer {
    process: Process,
    socket: UnixStream,
}

impl Opens for Vlc {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        let path = card.folder().join("vlc");
        let _ = std::fs::remove_file(&path);
        let mut command = spawn::unprivileged("vlc");
        command.args(["-I", "oldrc", "--rc-fake-tty", "--no-video", "--play-and-exit", "--no-metadata-network-access"]);
        command.args(["--aout", "afile", "--no-audiofile-wav", "--audiofile-format", "s16", "--audiofile-file"]);
        command.arg(card.path()).arg("--rc-unix").arg(&path).arg(url);
        let mut process = Process::start(command, card)?;
        let socket = process.connect(&path)?;
        Ok(Box::new(VlcPlayer { process, socket }))
    }
}

impl Player for VlcPlayer {
    fn seek(&mut self, second: f64) -> Result<()> {
        // It takes whole seconds.
        Ok(writeln!(self.socket, "seek {}", second.floor())?)
    }

    fn ended(&mut self) -> Result<bool> {
        self.process.ended()
    }
}

/// GStreamer's `playbin3`, which is what players made with it use, in a few lines of Python.
pub(crate) struct GStreamer;

struct GStreamerPlayer {
    _process: Process,
    input: ChildStdin,
    said: Receiver<String>,
}

impl Opens for GStreamer {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        // That of Debian: its packages are for no other.
        let mut command = spawn::command("/usr/bin/python3");
        command.args(["-c", include_str!("gst_player.py"), url]).arg(card.path()).env("HOME", card.folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log(card)?);
        let mut child = spawn::spawn(command)?;
        let (input, output) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        let (lines, said) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        Ok(Box::new(GStreamerPlayer { _process: Process(child), input, said }))
    }
}

impl Player for GStreamerPlayer {
    fn seek(&mut self, second: f64) -> Result<()> {
        writeln!(self.input, "{second}")?;
        match self.said.recv_timeout(PATIENCE)?.as_str() {
            "sought" => Ok(()),
            said => bail!("it says {said:?}"),
        }
    }

    fn ended(&mut self) -> Result<bool> {
        match self.said.recv_timeout(Duration::from_millis(10)) {
            Ok(said) if said == "ended" => Ok(true),
            Ok(said) => bail!("it says {said:?}"),
            Err(_) => Ok(false),
        }
    }
}

/// A command that plays from a place on and cannot be told anything more: a seek is a new one.
struct Restarted<'a> {
    command: Box<dyn Fn(f64) -> Command + 'a>,
    card: &'a Card,
    process: Process,
}

impl<'a> Restarted<'a> {
    fn start(card: &'a Card, command: impl Fn(f64) -> Command + 'a) -> Result<Box<dyn Player + 'a>> {
        let process = Process::start(command(0.0), card)?;
        Ok(Box::new(Self { command: Box::new(command), card, process }))
    }
}

impl Player for Restarted<'_> {
    fn seek(&mut self, second: f64) -> Result<()> {
        let _ = self.process.0.kill();
        self.process.0.wait()?;
        self.card.quiet(PATIENCE)?;
        self.process = Process::start((self.command)(second), self.card)?;
        Ok(())
    }

    fn ended(&mut self) -> Result<bool> {
        self.process.ended()
    }
}

/// ffmpeg: the program, by its path.
pub(crate) struct Ffmpeg(pub(crate) PathBuf);

impl Opens for Ffmpeg {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        let url = url.to_owned();
        Restarted::start(card, move |second| {
            let mut command = spawn::command(&self.0);
            command.args(["-nostdin", "-v", "error"]);
            if second > 0.0 {
                command.args(["-ss", &second.to_string()]);
            }
            command.args(["-i", &url, "-f", "s16le", "-ar", &RATE.to_string(), "-ac", "2", "-y"]).arg(card.path());
            command
        })
    }
}

/// curl, whose seek is a range.
pub(crate) struct Curl;

impl Opens for Curl {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        let url = url.to_owned();
        Restarted::start(card, move |second| {
            let mut command = spawn::command("curl");
            command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output"]).arg(card.path());
            if second > 0.0 {
                let first = WAV_HEADER + (second * f64::from(RATE)) as u64 * SECOND / u64::from(RATE);
                command.args(["--range", &format!("{first}-")]);
            }
            command.arg(&url);
            command
        })
    }

    fn long(&self) -> &'static str {
        "wav"
    }

    // The header of a WAV, which it does not know from audio, is loud.
    fn loudest(&self) -> f32 {
        1.0
    }
}
