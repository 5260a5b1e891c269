//! The real binary as a child process: built once, started on free ports, stopped in every way that a process can stop.

mod container;

use crate::{spawn, wait};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How long a start may take, recovery included, on a machine that is busy with other things.
pub const START_LIMIT: Duration = Duration::from_secs(60);

/// The binary under test: `LIVETAPE_BIN`, or what Cargo builds in the profile of the running test.
///
/// # Errors
/// When it does not build.
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BINARY.get_or_init(|| build().map_err(|e| format!("{e:#}"))) {
        Ok(path) => Ok(path),
        Err(message) => Err(anyhow::anyhow!("{message}")),
    }
}

fn build() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LIVETAPE_BIN") {
        return Ok(path.into());
    }
    // A test runs as TARGET/PROFILE/deps/NAME; Cargo calls the folder of the profile `dev` "debug".
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("a test runs inside the target folder")?;
    let name = folder.file_name().and_then(|n| n.to_str()).context("the profile's folder has a name")?;
    let profile = if name == "debug" { "dev" } else { name };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "livetape", "--profile", profile, "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
        .arg("--target-dir")
        .arg(folder.parent().context("the target folder has a name")?)
        .status()?;
    ensure!(status.success(), "livetape does not build");
    Ok(folder.join("livetape"))
}

/// A command of the binary, such as `livetape streams`, that dies with the tests.
///
/// # Errors
/// When it does not build.
pub fn command<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = spawn::command(binary()?);
    clear_environment(&mut command);
    command.args(args);
    Ok(command)
}

/// A developer's own settings must not change what is tested.
fn clear_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("LIVETAPE_") || n == "RUST_LOG") {
            command.env_remove(name);
        }
    }
}

/// An address that a role takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Http,
    Grpc,
    Sources,
    Ops,
}

impl Port {
    /// How the role is told which.
    const fn flag(self) -> &'static str {
        match self {
            Self::Http => "--http-addr",
            Self::Grpc => "--grpc-addr",
            Self::Sources => "--source-addr",
            Self::Ops => "--ops-addr",
        }
    }
    /// How the role says which it took.
    const fn said(self) -> &'static str {
        match self {
            Self::Http => "Listen: http://",
            Self::Grpc => "Ingest: http://",
            Self::Sources => "Sources: http://",
            Self::Ops => "Ops: http://",
        }
    }
}

/// Addresses by [`Port`]: all that a role takes, in the order in which it says them.
type Addresses = Vec<(Port, SocketAddr)>;

/// How to start `livetape run`, or one of the roles by itself.
#[derive(Clone, Debug)]
pub struct Start {
    role: &'static str,
    addresses: Addresses,
    args: Vec<OsString>,
    stdin: bool,
    wrapper: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Start {
    /// `livetape run` on the data folder `data`, on free ports, with nothing else said: records the time signal.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self::role("run", &[Port::Http, Port::Grpc, Port::Sources]).data(data)
    }
    /// `livetape recorder` on the data folder `data`, on free ports.
    pub fn recorder(data: impl Into<PathBuf>) -> Self {
        Self::role("recorder", &[Port::Grpc, Port::Ops]).data(data)
    }
    /// `livetape gateway`, on free ports, that serves what this recorder has.
    pub fn gateway(recorder: SocketAddr) -> Self {
        Self::gateway_of(&format!("http://{recorder}"))
    }
    /// The same, of a recorder that has this URL.
    pub fn gateway_of(recorder: &str) -> Self {
        Self::role("gateway", &[Port::Http, Port::Ops]).args(["--recorder-url", recorder])
    }
    /// `livetape capture`, on a free port, that pushes to this recorder; with nothing else said the time signal.
    pub fn capture(recorder: SocketAddr) -> Self {
        Self::capture_of(&format!("http://{recorder}"))
    }
    /// The same, to a recorder that has this URL.
    pub fn capture_of(recorder: &str) -> Self {
        Self::role("capture", &[Port::Ops]).args(["--recorder-url", recorder])
    }

    /// `livetape capture`, on free ports, that pushes to this recorder what others push to it.
    pub fn intake(recorder: SocketAddr) -> Self {
        let start = Self::role("capture", &[Port::Sources, Port::Ops]);
        start.args(["--recorder-url", &format!("http://{recorder}"), "--source", "none"])
    }

    /// By another address of the recorder: over TLS.
    #[must_use]
    pub fn recorder_url(mut self, url: &str) -> Self {
        let flag = self.args.iter().position(|arg| arg == "--recorder-url");
        flag.and_then(|at| self.args.get_mut(at + 1)).into_iter().for_each(|arg| *arg = url.into());
        self
    }

    fn role(role: &'static str, ports: &[Port]) -> Self {
        let addresses = ports.iter().map(|port| (*port, SocketAddr::from(([127, 0, 0, 1], 0)))).collect();
        Self { role, addresses, args: Vec::new(), stdin: false, wrapper: Vec::new(), environment: Vec::new() }
    }

    /// With `--data-dir DIR`.
    #[must_use]
    pub fn data(self, data: impl Into<PathBuf>) -> Self {
        self.args(["--data-dir".into(), data.into().into_os_string()])
    }
    /// With further arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
    /// With `--source SPEC`.
    #[must_use]
    pub fn source(self, spec: &str) -> Self {
        self.args(["--source", spec])
    }
    /// With a pipe at its standard input: see [`Livetape::stdin`].
    #[must_use]
    pub const fn with_stdin(mut self) -> Self {
        self.stdin = true;
        self
    }
    /// With this in its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
    /// Started by another program that becomes it, such as `unshare`.
    #[must_use]
    pub fn through<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }
    /// On the addresses of one that ran before, so that its clients find it again.
    #[must_use]
    pub fn on_ports_of(mut self, before: &Livetape) -> Self {
        self.addresses.clone_from(&before.addresses);
        self
    }

    fn command(&self) -> Result<Command> {
        let mut command = match self.wrapper.split_first() {
            None => spawn::command(binary()?),
            Some((first, rest)) => {
                let mut command = spawn::command(first);
                command.args(rest).arg(binary()?);
                command
            }
        };
        clear_environment(&mut command);
        command.envs(self.environment.iter().cloned());
        command.arg(self.role).args(&self.args);
        for (port, address) in &self.addresses {
            command.args([port.flag(), &address.to_string()]);
        }
        Ok(command)
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// When it ends or says nothing within [`START_LIMIT`]; with what it wrote to its log.
    pub fn spawn(&self) -> Result<Livetape> {
        let log = tempfile::NamedTempFile::new()?;
        let mut command = self.command()?;
        command.stdin(if self.stdin { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(log.as_file().try_clone()?);
        let started = Instant::now();
        let mut child = spawn::spawn(command)?;
        let stdout = child.stdout.take().context("there is a pipe")?;
        let stdin = child.stdin.take();
        let (role, addresses) = (self.role, self.addresses.clone());
        let mut livetape = Livetape { role, child, stdin, addresses, log, started_in: Duration::ZERO, stopped: false };
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                // After the addresses nobody asks any more, but the pipe must stay open and empty.
                let _ = lines.send(line);
            }
        });
        for (n, (port, _)) in self.addresses.iter().enumerate() {
            livetape.addresses[n].1 = livetape.said(&said, port.said(), started + START_LIMIT)?;
        }
        livetape.started_in = started.elapsed();
        Ok(livetape)
    }

    /// Starts it and expects that it refuses to run: gives its exit code and its log.
    ///
    /// # Errors
    /// When it runs.
    pub fn refused(&self) -> Result<spawn::Finished> {
        let finished = spawn::run(self.command()?, START_LIMIT)?;
        ensure!(finished.code != Some(0), "it ran: {}", finished.text());
        Ok(finished)
    }
}

/// A running `livetape run`, or one role of it. Killed when dropped; the end of its log is shown when the test fails.
#[derive(Debug)]
pub struct Livetape {
    role: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    addresses: Addresses,
    log: tempfile::NamedTempFile,
    started_in: Duration,
    /// It was stopped and ended well: nobody needs its log.
    stopped: bool,
}

impl Livetape {
    fn said(&mut self, said: &mpsc::Receiver<String>, prefix: &str, deadline: Instant) -> Result<SocketAddr> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match said.recv_timeout(left) {
                Ok(line) => line,
                Err(why) => {
                    let end = self.child.try_wait()?;
                    anyhow::bail!("{} did not say {prefix:?}: {why}, {end:?}; its log:\n{}", self.role, self.log());
                }
            };
            if let Some(address) = line.replacen("https://", "http://", 1).strip_prefix(prefix) {
                let address = address.trim_end_matches('/');
                return address.parse().with_context(|| format!("{line:?} has no address"));
            }
        }
    }

    fn address(&self, port: Port) -> SocketAddr {
        let found = self.addresses.iter().find(|(its, _)| *its == port);
        found.unwrap_or_else(|| panic!("{} has no {}", self.role, port.flag())).1
    }
    /// Where the gateway listens.
    ///
    /// # Panics
    /// When there is none in this process.
    pub fn http(&self) -> SocketAddr {
        self.address(Port::Http)
    }
    /// Where the recorder takes audio.
    ///
    /// # Panics
    /// When there is none in this process.
    pub fn grpc(&self) -> SocketAddr {
        self.address(Port::Grpc)
    }
    /// Where it takes sources that are pushed.
    ///
    /// # Panics
    /// When it takes none.
    pub fn sources(&self) -> SocketAddr {
        self.address(Port::Sources)
    }
    /// Where a role by itself says how it is doing.
    ///
    /// # Panics
    /// When this is `livetape run`, which says it on the gateway's address.
    pub fn ops(&self) -> SocketAddr {
        self.address(Port::Ops)
    }
    /// The address of `path` at the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http())
    }
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// From the start to listening.
    pub const fn started_in(&self) -> Duration {
        self.started_in
    }
    /// Its standard input, once, if it was started with one.
    pub const fn stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }
    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_else(|e| format!("(no log: {e})"))
    }
    /// Waits until its log has this text.
    ///
    /// # Errors
    /// When it does not come.
    pub fn logged(&self, text: &str, limit: Duration) -> Result<()> {
        wait::until(&format!("{text:?} in the log"), limit, || self.log().contains(text).then_some(()))
            .with_context(|| self.log())
    }
    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        kill_process(Pid::from_raw(pid).context("it has an id")?, signal).context("cannot send a signal")
    }
    /// Asks it to stop (SIGTERM) and returns at once.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }
    /// Holds it (SIGSTOP) until [`Livetape::go_on`].
    ///
    /// # Errors
    /// When there is no such process.
    pub fn hold(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }
    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When there is no such process.
    pub fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }
    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end within `limit`; with its log.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        spawn::wait(&mut self.child, limit).with_context(|| self.log())
    }
    /// Asks it to stop and waits until it has, with exit code 0.
    ///
    /// # Errors
    /// When it does not, with its log.
    pub fn stop(mut self) -> Result<()> {
        self.terminate()?;
        let status = self.wait(Duration::from_secs(15))?;
        ensure!(status.success(), "it stopped with {status}; its log:\n{}", self.log());
        self.stopped = true;
        Ok(())
    }
    /// Kills it (SIGKILL): nothing that it had not done yet will be done.
    ///
    /// # Errors
    /// When it had ended before.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        let status = self.child.wait()?;
        ensure!(status.signal() == Some(9), "it had ended before, with {status}; its log:\n{}", self.log());
        Ok(())
    }
}

impl Drop for Livetape {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.stopped {
            return;
        }
        // Captured, and therefore seen only when the test fails.
        let log = self.log();
        let from = log.char_indices().rev().filter(|(_, c)| *c == '\n').nth(40).map_or(0, |(at, _)| at);
        eprintln!("--- the end of the log of livetape {}:\n{}\n---", self.role, &log[from..]);
    }
}
