//! Child processes that never outlive the tests, even when those are killed.
//!
//! Each child is started through `setpriv --pdeathsig KILL`. The kernel ties that signal to the thread that started
//! the child, and a test's thread ends with the test; so one thread that lives as long as the process starts them all.

use anyhow::{Context, Result};
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

type Job = (Command, mpsc::Sender<std::io::Result<Child>>);

/// A command that runs `program` and dies with the tests.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// [`command`], for programs that refuse to run as root: root runs them as `nobody`.
pub fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts a command made by [`command`].
///
/// # Errors
/// If it cannot be started.
pub fn spawn(command: Command) -> Result<Child> {
    static STARTER: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (jobs, work) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in work {
                // Whoever asked may have given up; then the child has nobody, and must go.
                if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                    let _ = child.kill();
                }
            }
        });
        Mutex::new(jobs)
    });
    let what = format!("{command:?}");
    let (reply, started) = mpsc::channel();
    starter.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply)).context("the starter has ended")?;
    started.recv().context("the starter has ended")?.with_context(|| format!("cannot start {what}"))
}

/// Waits for the end of a child.
///
/// # Errors
/// When it has not ended within `limit`; it is killed then.
pub fn wait(child: &mut Child, limit: Duration) -> Result<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("process {} had not ended after {limit:?} and was killed", child.id());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Finished {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Fails unless the exit code is 0; shows what the command said.
    ///
    /// # Errors
    /// The exit code and the standard error.
    pub fn ok(self) -> Result<Self> {
        anyhow::ensure!(self.code == Some(0), "exit code {:?}: {}{}", self.code, self.text(), self.stderr);
        Ok(self)
    }
}

/// Runs a command made by [`command`] to its end, at most for `limit`.
///
/// # Errors
/// If it cannot be started or does not end in time; what it had said till then is in the message.
pub fn run(mut command: Command, limit: Duration) -> Result<Finished> {
    use std::io::Read;
    use std::process::Stdio;
    let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(Stdio::from(out.try_clone()?)).stderr(Stdio::from(err.try_clone()?));
    let what = format!("{command:?}");
    let started = Instant::now();
    let mut child = spawn(command)?;
    let status = wait(&mut child, limit);
    let took = started.elapsed();
    let read = |mut file: std::fs::File| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::io::Seek::rewind(&mut file)?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let (stdout, stderr) = (read(out)?, String::from_utf8_lossy(&read(err)?).into_owned());
    let status = status.with_context(|| format!("{what} said: {stderr}"))?;
    Ok(Finished { code: status.code(), stdout, stderr, took })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_command_did() {
        let mut sh = command("sh");
        sh.args(["-c", "echo out; echo err >&2; exit 3"]);
        let done = run(sh, Duration::from_secs(5)).unwrap();
        assert_eq!((done.code, done.text().as_str(), done.stderr.as_str()), (Some(3), "out\n", "err\n"));
        assert!(done.ok().unwrap_err().to_string().contains("err"));
    }

    #[test]
    fn nothing_runs_for_ever() {
        let mut sleep = command("sleep");
        sleep.arg("100");
        let message = format!("{:#}", run(sleep, Duration::from_millis(100)).unwrap_err());
        assert!(message.contains("had not ended"), "{message}");
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut child = std::thread::spawn(|| {
            let mut sleep = command("sleep");
            sleep.arg("100");
            spawn(sleep).unwrap()
        })
        .join()
        .unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
