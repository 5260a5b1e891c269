//! Players that are programs of their own: what they are called with, and how one sits before them.

use crate::scenario::{Opens, PATIENCE, Player};
use crate::titles::Shown;
use anyhow::{Context, Result, bail, ensure};
use livetape_testkit::card::{Card, RATE};
use livetape_testkit::{http, spawn, wait};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A process that is killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn start(mut command: Command, card: &Card) -> Result<Self> {
        command.env("HOME", card.folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(card)?);
        Ok(Self(spawn::spawn(command)?))
    }

    /// Whether it has ended, with exit code 0.
    pub(crate) fn ended(&mut self) -> Result<bool> {
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

impl Mpv {
    fn start(url: &str, card: &Card) -> Result<MpvPlayer> {
        let path = card.folder().join("mpv");
        let _ = std::fs::remove_file(&path);
        let mut command = spawn::command("mpv");
        command.args(["--no-config", "--no-terminal", "--no-video", "--ao=pcm", "--ao-pcm-waveheader=no"]);
        command.args(["--audio-format=s16", "--audio-channels=stereo", &format!("--audio-samplerate={RATE}")]);
        command.arg(format!("--ao-pcm-file={}", card.path().display()));
        command.arg(format!("--input-ipc-server={}", path.display())).arg(url);
        let mut process = Process::start(command, card)?;
        let socket = BufReader::new(process.connect(&path)?);
        Ok(MpvPlayer { process, socket })
    }
}

impl Opens for Mpv {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        Ok(Box::new(Self::start(url, card)?))
    }

    fn is_misled(&self) -> bool {
        true
    }

    fn titles<'a>(&'a self, url: &'a str, card: &'a Card) -> Option<Result<Shown<'a>>> {
        let shown = |mut player: MpvPlayer| -> Shown<'a> {
            // Before it has begun it knows none.
            Box::new(move || Ok(player.tell(json!(["get_property", "media-title"])).ok().and_then(text)))
        };
        Some(Self::start(url, card).map(shown))
    }
}

fn text(value: Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl MpvPlayer {
    /// Tells it something and gives what it answers.
    fn tell(&mut self, command: Value) -> Result<Value> {
        writeln!(self.socket.get_mut(), "{}", json!({"command": command, "request_id": 7}))?;
        loop {
            let mut line = String::new();
            ensure!(self.socket.read_line(&mut line)? > 0, "it is gone");
            let mut said: Value = serde_json::from_str(&line)?;
            if said["request_id"] == 7 {
                ensure!(said["error"] == "success", "{said}");
                return Ok(said["data"].take());
            }
        }
    }
}

impl Player for MpvPlayer {
    fn seek(&mut self, second: f64) -> Result<()> {
        self.tell(json!(["seek", second, "absolute+exact"])).map(drop)
    }

    fn position(&mut self) -> Result<Option<f64>> {
        Ok(self.tell(json!(["get_property", "time-pos"]))?.as_f64())
    }

    fn ended(&mut self) -> Result<bool> {
        self.process.ended()
    }
}

/// VLC, over its remote control; its window would show titles, and so does its control over HTTP.
pub(crate) struct Vlc;

struct VlcPlayer {
    process: Process,
    socket: BufReader<UnixStream>,
}

impl Vlc {
    fn start(url: &str, card: &Card, args: &[&str]) -> Result<VlcPlayer> {
        let path = card.folder().join("vlc");
        let _ = std::fs::remove_file(&path);
        let mut command = spawn::unprivileged("vlc");
        command.args(["-I", "oldrc", "--rc-fake-tty", "--no-video", "--play-and-exit", "--no-metadata-network-access"]);
        command.args(["--aout", "afile", "--no-audiofile-wav", "--audiofile-format", "s16", "--audiofile-file"]);
        command.arg(card.path()).arg("--rc-unix").arg(&path).args(args).arg(url);
        let mut process = Process::start(command, card)?;
        let socket = process.connect(&path)?;
        Ok(VlcPlayer { process, socket: BufReader::new(socket) })
    }
}

impl Opens for Vlc {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        Ok(Box::new(Self::start(url, card, &[])?))
    }

    fn asks_for_more(&self) -> bool {
        true
    }

    fn titles<'a>(&'a self, url: &'a str, card: &'a Card) -> Option<Result<Shown<'a>>> {
        let port = match TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()) {
            Ok(free) => free.port().to_string(),
            Err(error) => return Some(Err(error.into())),
        };
        let control = ["--extraintf", "http", "--http-host", "127.0.0.1", "--http-password", "x", "--http-port", &port];
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap_or(0)));
        let shown = |player: VlcPlayer| -> Shown<'a> {
            Box::new(move || {
                let _plays = &player;
                Ok(now_playing(to))
            })
        };
        Some(Self::start(url, card, &control).map(shown))
    }
}

impl VlcPlayer {
    /// Says something to it and gives the lines that it answers, up to one that is enough.
    fn tell<T>(&mut self, command: &str, mut enough: impl FnMut(&str) -> Option<T>) -> Result<T> {
        writeln!(self.socket.get_mut(), "{command}")?;
        loop {
            let mut line = String::new();
            ensure!(self.socket.read_line(&mut line)? > 0, "it is gone");
            if let Some(said) = enough(line.trim().trim_start_matches("> ")) {
                return Ok(said);
            }
        }
    }
}

/// What VLC shows as being played, once it shows anything.
fn now_playing(control: SocketAddr) -> Option<String> {
    // Nobody, and the password "x".
    let asked = http::get(control, "/requests/status.json").header("Authorization", "Basic Ong=");
    let status: Value = serde_json::from_slice(&asked.send().ok()?.body().ok()?).ok()?;
    text(status["information"]["category"]["meta"]["now_playing"].clone())
}

impl Player for VlcPlayer {
    fn seek(&mut self, second: f64) -> Result<()> {
        // It takes whole seconds.
        Ok(writeln!(self.socket.get_mut(), "seek {}", second.floor())?)
    }

    fn position(&mut self) -> Result<Option<f64>> {
        // It says other things, too: the answer is a line that is a number.
        self.tell("get_time", |line| line.parse().ok()).map(Some)
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
    over: bool,
    title: Arc<Mutex<Option<String>>>,
}

impl GStreamer {
    fn start(url: &str, card: &Card) -> Result<GStreamerPlayer> {
        // That of Debian: its packages are for no other.
        let mut command = spawn::command("/usr/bin/python3");
        command.args(["-c", include_str!("gst_player.py"), url]).arg(card.path()).env("HOME", card.folder());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log(card)?);
        let mut child = spawn::spawn(command)?;
        let (input, output) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        let (lines, said) = channel();
        let title = Arc::<Mutex<Option<String>>>::default();
        let shown = Arc::clone(&title);
        std::thread::spawn(move || {
            let mut all = BufReader::new(output).lines().map_while(Result::ok);
            all.try_for_each(|line| match line.strip_prefix("title ") {
                Some(title) => {
                    *shown.lock().expect("nobody panics with it") = Some(title.to_owned());
                    Ok(())
                }
                None => lines.send(line),
            })
        });
        Ok(GStreamerPlayer { _process: Process(child), input, said, over: false, title })
    }
}

impl Opens for GStreamer {
    fn open<'a>(&'a self, url: &str, card: &'a Card) -> Result<Box<dyn Player + 'a>> {
        Ok(Box::new(Self::start(url, card)?))
    }

    fn titles<'a>(&'a self, url: &'a str, card: &'a Card) -> Option<Result<Shown<'a>>> {
        let shown = |player: GStreamerPlayer| -> Shown<'a> {
            Box::new(move || {
                // All of it, which plays as long as it lives.
                let player = &player;
                Ok(player.title.lock().expect("nobody panics with it").clone())
            })
        };
        Some(Self::start(url, card).map(shown))
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
            Ok(said) if said == "ended" => self.over = true,
            Ok(said) => bail!("it says {said:?}"),
            Err(_) => {}
        }
        Ok(self.over)
    }
}
