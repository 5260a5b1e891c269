//! Real Redis servers as child processes: one, a cluster, or a master with a sentinel. Nothing of them stays on disk.

use crate::{spawn, wait};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a server may take to start, and a command to be answered.
const LIMIT: Duration = Duration::from_secs(10);

/// A running Redis server. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    folder: TempDir,
    password: Option<String>,
}

impl RedisServer {
    /// An empty one on a free port.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start() -> Result<Self> {
        Self::with::<&str>([])
    }

    /// An empty one on a free port, with further arguments such as `--maxmemory`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn with<S: Into<String>>(args: impl IntoIterator<Item = S>) -> Result<Self> {
        let args: Vec<String> = args.into_iter().map(Into::into).collect();
        // Another process may take the port between the choice and the start.
        (0..5).find_map(|_| Self::start_on(free_port().ok()?, &args).ok()).context("redis-server does not come up")
    }

    /// An empty one on the port of one that ran before.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_on(port: u16, args: &[String]) -> Result<Self> {
        Self::launch(port, args, false)
    }

    fn launch(port: u16, args: &[String], sentinel: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = spawn::command("redis-server");
        if sentinel {
            let file = folder.path().join("sentinel.conf");
            std::fs::write(&file, args.join("\n"))?;
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--save", "", "--appendonly", "no"]).args(args);
        }
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawn::spawn(command)?;
        let password = args.windows(2).find(|pair| pair[0] == "--requirepass").map(|pair| pair[1].clone());
        let mut server = Self { child, port, folder, password };
        wait::until("redis-server answers", LIMIT, || {
            let ended = !matches!(server.child.try_wait(), Ok(None));
            (ended || server.cli(["ping"]).is_ok_and(|answer| answer.trim() == "PONG")).then_some(())
        })?;
        ensure!(server.child.try_wait()?.is_none(), "redis-server ended at once; is port {port} taken?");
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }
    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }
    /// Its address for `LIVETAPE_REDIS_URL`.
    pub fn url(&self) -> String {
        let login = self.password.as_ref().map(|p| format!(":{p}@")).unwrap_or_default();
        format!("redis://{login}{}", self.address())
    }

    /// Runs a command with `redis-cli` and gives what it printed.
    ///
    /// # Errors
    /// When the server does not answer, or answers with an error.
    pub fn cli<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        let mut command = spawn::command("redis-cli");
        command.args(["-e", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(password) = &self.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        command.args(args).stdin(Stdio::null());
        Ok(spawn::run(command, LIMIT)?.ok()?.text())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("it has an id")?;
        kill_process(pid, signal).context("cannot send a signal")
    }
    /// Holds it (SIGSTOP) until [`RedisServer::go_on`].
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
    /// Kills it. Gives its port, for [`RedisServer::start_on`].
    ///
    /// # Errors
    /// When it had ended before.
    pub fn kill(mut self) -> Result<u16> {
        ensure!(self.child.try_wait()?.is_none(), "it had ended before");
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.port)
    }
    /// Its folder, empty but for what it was made to write.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// A sentinel that watches this server as its master `name`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn sentinel(&self, name: &str) -> Result<Self> {
        let lines = [
            format!("sentinel monitor {name} 127.0.0.1 {} 1", self.port),
            format!("sentinel down-after-milliseconds {name} 1000"),
            format!("sentinel failover-timeout {name} 3000"),
        ];
        Self::launch(free_port()?, &lines, true)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three nodes that share all slots. What is not of a node that went away goes on.
///
/// # Errors
/// When they do not find together.
pub fn cluster() -> Result<Vec<RedisServer>> {
    let nodes = (0..3)
        .map(|_| {
            // By default nodes speak to each other on port + 10000, which may not exist.
            let bus = free_port()?.to_string();
            let whole = ["--cluster-require-full-coverage", "no"];
            let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"];
            RedisServer::with(cluster.into_iter().chain(whole))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut create = spawn::command("redis-cli");
    create.args(["--cluster", "create"]).args(nodes.iter().map(|node| node.address().to_string()));
    create.arg("--cluster-yes").stdin(Stdio::null());
    spawn::run(create, LIMIT * 3)?.ok()?;
    wait::until("the cluster is whole", LIMIT, || {
        let whole = |node: &RedisServer| node.cli(["cluster", "info"]).is_ok_and(|i| i.contains("cluster_state:ok"));
        nodes.iter().all(whole).then_some(())
    })?;
    Ok(nodes)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
