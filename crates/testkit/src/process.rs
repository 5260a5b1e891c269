//! The real binary as a child process: built once, started on free ports, stopped in every way that a process can stop.

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

/// How long a start may take, recovery included.
pub const START_LIMIT: Duration = Duration::from_secs(20);

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

/// How to start `livetape run`.
#[derive(Clone, Debug)]
pub struct Start {
    data: PathBuf,
    http: SocketAddr,
    grpc: SocketAddr,
    args: Vec<OsString>,
    stdin: bool,
    wrapper: Vec<OsString>,
}

impl Start {
    /// On the data folder `data`, on free ports, with nothing else said: records the time signal.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { data: data.into(), http: any, grpc: any, args: Vec::new(), stdin: false, wrapper: Vec::new() }
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
    /// Started by another program that becomes it, such as `unshare`.
    #[must_use]
    pub fn through<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }
    /// On the addresses of one that ran before, so that its clients find it again.
    #[must_use]
    pub const fn on_ports_of(mut self, before: &Livetape) -> Self {
        self.http = before.http;
        self.grpc = before.grpc;
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
        command.arg("run").arg("--data-dir").arg(&self.data).args(&self.args);
        command.args(["--http-addr", &self.http.to_string(), "--grpc-addr", &self.grpc.to_string()]);
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
        let (http, grpc) = (self.http, self.grpc);
        let mut livetape = Livetape { child, stdin, http, grpc, log, started_in: Duration::ZERO, stopped: false };
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                // After the addresses nobody asks any more, but the pipe must stay open and empty.
                let _ = lines.send(line);
            }
        });
        livetape.http = livetape.address(&said, "Listen: http://", started + START_LIMIT)?;
        livetape.grpc = livetape.address(&said, "Ingest: http://", started + START_LIMIT)?;
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

/// A running `livetape run`. Killed when dropped; the end of its log is shown when the test fails.
#[derive(Debug)]
pub struct Livetape {
    child: Child,
    stdin: Option<ChildStdin>,
    http: SocketAddr,
    grpc: SocketAddr,
    log: tempfile::NamedTempFile,
    started_in: Duration,
    /// It was stopped and ended well: nobody needs its log.
    stopped: bool,
}

impl Livetape {
    fn address(&mut self, said: &mpsc::Receiver<String>, prefix: &str, deadline: Instant) -> Result<SocketAddr> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match said.recv_timeout(left) {
                Ok(line) => line,
                Err(why) => {
                    let end = self.child.try_wait()?;
                    anyhow::bail!("livetape did not say {prefix:?}: {why}, {end:?}; its log:\n{}", self.log());
                }
            };
            if let Some(address) = line.strip_prefix(prefix) {
                let address = address.trim_end_matches('/');
                return address.parse().with_context(|| format!("{line:?} has no address"));
            }
        }
    }

    /// Where the gateway listens.
    pub const fn http(&self) -> SocketAddr {
        self.http
    }
    /// Where the recorder takes audio.
    pub const fn grpc(&self) -> SocketAddr {
        self.grpc
    }
    /// The address of `path` at the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
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
        eprintln!("--- the end of livetape's log:\n{}\n---", &log[from..]);
    }
}
