//! Sound servers, as Debian has them, on machines without a sound card: `livetape play` plays counting PCM through one while
//! `livetape run` records what it plays. Run by `make clients`, which installs them.
//!
//! Servers without rights to real time lose audio on a busy machine, before and behind us: how much is said and not judged. What
//! arrives must be right to the bit, and in order.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::process::{Livetape, Start, command};
use livetape_testkit::{counting, http, spawn, wait};
use livetape_tests::growing::SOON;
use livetape_tests::tools::pipewire_alsa;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What is played: from frame 1 on, because silence is a frame 0, too.
const FIRST: u64 = 1;
const FRAMES: u64 = 4 * 48_000;

/// A server that runs, and what its clients have to know.
struct Server {
    /// The server, and what it needs beside it.
    children: Vec<Child>,
    dir: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Server {
    /// Starts it in a folder of its own, with this as ALSA's whole configuration.
    fn start(program: &str, args: &[&str], environment: &[(&'static str, &str)], alsa: &str) -> Result<Self> {
        let mut server = Self::prepare(environment, &[("asound.conf", alsa)])?;
        server.run(program, args)?;
        Ok(server)
    }

    /// A folder with these files, for processes that know where it is; none runs yet.
    fn prepare(environment: &[(&'static str, &str)], files: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().display().to_string();
        for (name, text) in files {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().context("a folder")?)?;
            std::fs::write(file, text)?;
        }
        let mut known = vec![("HOME", path.clone()), ("XDG_RUNTIME_DIR", path.clone())];
        known.push(("ALSA_CONFIG_PATH", format!("{path}/asound.conf")));
        known.extend(environment.iter().map(|(name, value)| (*name, value.replace("DIR", &path))));
        Ok(Self { children: Vec::new(), dir, environment: known })
    }

    /// Starts a part of it. There is no desktop session: no display, no bus.
    fn run(&mut self, program: &str, args: &[&str]) -> Result<()> {
        let path = self.dir.path().display().to_string();
        let mut part = self.client(spawn::command(program));
        part.args(args.iter().map(|arg| arg.replace("DIR", &path)));
        for session in ["DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME"] {
            part.env_remove(session);
        }
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log"))?;
        part.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.children.push(spawn::spawn(part)?);
        Ok(())
    }

    fn client(&self, mut command: Command) -> Command {
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Asks one of its own tools until it succeeds.
    fn until(&self, program: &str, args: &[&str]) -> Result<()> {
        self.until_it_says(program, args, "")
    }

    /// Asks one of its own tools until its answer has this in it.
    fn until_it_says(&self, program: &str, args: &[&str], part: &str) -> Result<()> {
        let answers = wait::until(&format!("{program} {args:?}: {part}"), SOON, || {
            let mut tool = self.client(spawn::command(program));
            tool.args(args);
            let answer = spawn::run(tool, SOON).ok()?;
            (answer.code == Some(0) && answer.text().contains(part)).then_some(())
        });
        answers.with_context(|| std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The only recording of a stream.
fn recording(livetape: &Livetape, stream: &str) -> Option<(String, u64)> {
    let list = http::json(livetape.http(), &format!("/recordings?stream={stream}")).ok()?;
    let one = &list["recordings"][0];
    Some((one["id"].as_str()?.to_owned(), one["frames"].as_u64()?))
}

/// Makes a recording of counting PCM, to be played.
fn counted(livetape: &Livetape, dir: &Path) -> Result<String> {
    let file = dir.join("counting.wav");
    std::fs::write(&file, counting::wav(48_000, Frame::new(FIRST), FrameCount::new(FRAMES))?)?;
    let mut record = command(["record", "--stream", "counted", "--pace", "fast"])?;
    record.arg(format!("file:{}", file.display())).arg("--recorder-url").arg(format!("http://{}", livetape.grpc()));
    spawn::run(record, SOON)?.ok()?;
    Ok(recording(livetape, "counted").context("it was recorded")?.0)
}

/// Plays on `out` what is recorded from `source`; `connect` is done while it plays.
fn through(server: &Server, source: &str, out: &str, connect: impl Fn() -> Result<()>) -> Result<()> {
    let data = tempfile::tempdir()?;
    let frames = ["--buffer-frames", "1024"];
    let start = Start::new(data.path()).source(&format!("device:{source}")).args(frames);
    let start = server.environment.iter().fold(start, |start, (name, value)| start.env(name, value));
    let livetape = start.spawn()?;
    wait::until("audio from the server", SOON, || recording(&livetape, "live").filter(|(_, frames)| *frames > 0))
        .with_context(|| livetape.log())?;
    let id = counted(&livetape, data.path())?;
    let mut play = server.client(command(["play", &id, "--device", out, "--url", &livetape.url("")])?);
    play.args(frames);
    let played = std::thread::scope(|scope| {
        let playing = scope.spawn(|| spawn::run(play, SOON * 2));
        let connected = connect();
        let played = playing.join().expect("it plays");
        connected.and(played)
    })?;
    let said = played.ok()?.stderr;
    ensure!(said.contains("the end"), "{said}");

    // What was on its way then arrives within a second of audio.
    let (id, end) = recording(&livetape, "live").context("the recording")?;
    wait::until("what was played is recorded", SOON, || {
        recording(&livetape, "live").filter(|(_, frames)| *frames > end + 48_000)
    })
    .with_context(|| livetape.log())?;
    let audio = http::get(livetape.http(), &format!("/recordings/{id}/audio.pcm?len=now")).send()?.to_end(SOON)?.0;
    let (mut runs, mut heard, mut before) = (0, 0, 0);
    for frame in audio.as_chunks::<4>().0 {
        let number = u64::from(u32::from_le_bytes(*frame));
        if number == 0 {
            continue;
        }
        ensure!((before + 1..FIRST + FRAMES).contains(&number), "{number:#x} after {before:#x}");
        runs += u64::from(number != before + 1);
        (heard, before) = (heard + 1, number);
    }
    println!("{heard} of {FRAMES} frames in {runs} pieces, each as it was played; {said}");
    ensure!(heard > FRAMES / 2, "{heard} of {FRAMES} frames were heard: {}", livetape.log());
    livetape.stop()
}

#[test]
fn pulseaudio_through_alsas_plugin() -> Result<()> {
    let args = [
        "-n",
        "--daemonize=no",
        "--exit-idle-time=-1",
        "--use-pid-file=no",
        "--disable-shm=yes",
        "-L",
        "module-native-protocol-unix auth-anonymous=1 socket=DIR/native",
        "-L",
        "module-null-sink sink_name=nothing rate=48000 format=s16le channels=2",
    ];
    let alsa = "pcm.!default { type pulse hint { show on description \"The sound server\" } }\n";
    let server = Server::start("pulseaudio", &args, &[("PULSE_SERVER", "unix:DIR/native")], alsa)?;
    server.until("pactl", &["info"])?;
    through(&server, "default", "default", || Ok(()))
}

#[test]
fn jack_through_alsas_plugin() -> Result<()> {
    let args = ["-r", "--no-mlock", "-n", "livetape", "-d", "dummy", "-r", "48000", "-p", "1024"];
    let pcm = |name: &str, way: &str, port: &str| {
        let ports = format!("{way}_ports {{ 0 system:{port}_1 1 system:{port}_2 }}");
        format!("pcm.{name} {{ type jack name \"{name}\" {ports} hint {{ show on description \"JACK\" }} }}\n")
    };
    let alsa = [pcm("ears", "capture", "capture"), pcm("mouth", "playback", "playback")].concat();
    let server = Server::start("jackd", &args, &[("JACK_DEFAULT_SERVER", "livetape")], &alsa)?;
    server.until("jack_lsp", &[])?;
    // Nothing but silence comes from this card: what is played is laid onto it.
    through(&server, "ears", "mouth", || {
        server.until("jack_connect", &["mouth:out_000", "ears:in_000"])?;
        server.until("jack_connect", &["mouth:out_001", "ears:in_001"])
    })
}

/// A server with a device that gives back what is played on it, and nothing that looks for cards.
const PIPEWIRE: &str = r#"
context.properties = { core.daemon = true core.name = pipewire-0 default.clock.rate = 48000 default.clock.quantum = 1024 }
context.spa-libs = { audio.convert.* = audioconvert/libspa-audioconvert support.* = support/libspa-support }
context.modules = [
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-spa-node-factory }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-access }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-link-factory }
    { name = libpipewire-module-session-manager }
]
context.objects = [
    { factory = adapter
      args = { factory.name = support.null-audio-sink node.name = nothing media.class = Audio/Duplex audio.position = "FL,FR" } }
]
"#;

/// What WirePlumber's own policy leaves to those parts of it that need a bus: who may do what, and what is the default.
const WIREPLUMBER: &str = r#"
load_module("metadata")
load_module("default-nodes", { ["use-persistent-storage"] = false })
load_script("access/access-default.lua", { rules = {} })
"#;

#[test]
fn pipewire_through_its_plugin_for_alsa() -> Result<()> {
    let plugin = pipewire_alsa()?.display().to_string();
    let alsa = format!(
        "pcm_type.pipewire {{ lib {plugin:?} }}\n\
         pcm.!default {{ type pipewire hint {{ show on description \"PipeWire\" }} }}\n"
    );
    let files = [
        ("pipewire.conf", PIPEWIRE),
        (".config/wireplumber/policy.lua.d/95-nodes.lua", WIREPLUMBER),
        ("asound.conf", &alsa),
    ];
    let mut server = Server::prepare(&[], &files)?;
    server.run("pipewire", &["-c", "DIR/pipewire.conf"])?;
    server.until_it_says("pw-cli", &["ls", "Node"], "nothing")?;
    server.run("wireplumber", &["-c", "policy.conf"])?;
    // It gives the device its ports.
    server.until_it_says("pw-link", &["-o"], "nothing:capture_FR")?;
    through(&server, "default", "default", || Ok(()))
}
