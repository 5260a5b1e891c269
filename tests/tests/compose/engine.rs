//! The compose file under a Docker engine: containers that are asked, stopped, killed from outside and killed for memory.

use anyhow::{Context, Result, ensure};
use livetape_testkit::http::{self, Ending};
use livetape_testkit::{counting, spawn, wait};
use livetape_tests::tools::project;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// For the image, which is built from nothing the first time.
pub(crate) const BUILD: Duration = Duration::from_secs(5400);
/// For containers that come and go.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Bytes.
pub(crate) const SECOND: usize = 192_000;
pub(crate) const ROLES: [&str; 3] = ["recorder", "gateway", "capture"];

pub(crate) fn docker(args: &[&str]) -> Command {
    let mut command = spawn::command("docker");
    // The classic builder, for engines without buildx.
    command.args(args).env("DOCKER_BUILDKIT", "0");
    command
}

pub(crate) fn said(command: Command) -> Result<String> {
    Ok(spawn::run(command, PATIENCE)?.ok()?.text().trim().to_owned())
}

/// The profile in which the image is built: `LIVETAPE_BUILD`, as for compose itself.
pub(crate) fn profile() -> String {
    std::env::var("LIVETAPE_BUILD").unwrap_or_else(|_| "release".into())
}

/// An image that is there already, from `LIVETAPE_IMAGE`, as for compose itself; none is built then.
pub(crate) fn given_image() -> Option<String> {
    std::env::var("LIVETAPE_IMAGE").ok().filter(|name| !name.is_empty())
}

/// The image that is run.
pub(crate) fn image() -> String {
    given_image().unwrap_or_else(|| "livetape:local".into())
}

/// `docker-compose` (or `docker compose`) with the project's own file, under a name and on a port of the test's own.
pub(crate) struct Compose {
    pub(crate) address: SocketAddr,
    words: &'static [&'static str],
    /// What is captured; what the file says itself, without.
    source: Option<&'static str>,
}

impl Compose {
    pub(crate) fn find(source: Option<&'static str>) -> Result<Self> {
        let v2 = spawn::run(docker(&["compose", "version"]), PATIENCE).is_ok_and(|run| run.code == Some(0));
        let words: &[&str] = if v2 { &["docker", "compose"] } else { &["docker-compose"] };
        let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { address: free, words, source })
    }

    pub(crate) fn run(&self, args: &[&str], limit: Duration) -> Result<String> {
        let mut command = spawn::command(self.words[0]);
        command.args(&self.words[1..]).args(["-p", "livetape-test"]).args(args).current_dir(project());
        command.env("LIVETAPE_PUBLISH", self.address.to_string()).env("LIVETAPE_BUILD", profile());
        match self.source {
            Some(source) => command.env("LIVETAPE_SOURCE", source),
            None => command.env_remove("LIVETAPE_SOURCE"),
        };
        // One setting that has no value of its own in the file: passed on as it is.
        command.env("LIVETAPE_KEEP_FREE", "1MiB").env_remove("LIVETAPE_KEEP_SIZE");
        // One flag that v1 and v2 both know: the classic builder, for engines without buildx.
        command.env("COMPOSE_DOCKER_CLI_BUILD", "0").env("DOCKER_BUILDKIT", "0");
        Ok(spawn::run(command, limit)?.ok().with_context(|| format!("compose {args:?}"))?.text())
    }

    /// Starts everything, in an image that is as new as the source, or in the one that was given.
    pub(crate) fn up(&self) -> Result<()> {
        let how = if given_image().is_some() { "--no-build" } else { "--build" };
        self.run(&["up", "-d", how], BUILD)?;
        self.all_healthy()
    }

    /// The image as new as the source.
    pub(crate) fn build(&self) -> Result<()> {
        if given_image().is_none() {
            self.run(&["build", "recorder"], BUILD)?;
        }
        Ok(())
    }

    pub(crate) fn container(&self, role: &str) -> Result<String> {
        let id = self.run(&["ps", "-q", role], PATIENCE)?.trim().to_owned();
        ensure!(!id.is_empty(), "there is no container of {role}");
        Ok(id)
    }

    pub(crate) fn inspect(&self, role: &str, what: &str) -> Result<String> {
        said(docker(&["inspect", "-f", what, &self.container(role)?]))
    }

    fn healthy(&self, role: &str) -> Result<()> {
        wait::until(&format!("{role} is healthy"), PATIENCE, || {
            (self.inspect(role, "{{.State.Health.Status}}").ok()? == "healthy").then_some(())
        })
    }

    pub(crate) fn all_healthy(&self) -> Result<()> {
        ["redis", "recorder", "gateway", "capture"].iter().try_for_each(|role| self.healthy(role))
    }

    /// Ends the first process of a container, and waits until the engine has started it again.
    pub(crate) fn dies(&self, role: &str, of: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        let (pid, starts) = (self.inspect(role, "{{.State.Pid}}")?, self.inspect(role, "{{.RestartCount}}")?);
        of(&pid)?;
        wait::until(&format!("{role} is started again"), PATIENCE, || {
            (self.inspect(role, "{{.RestartCount}}").ok()? != starts).then_some(())
        })?;
        self.healthy(role)
    }

    pub(crate) fn kill(&self, role: &str) -> Result<()> {
        self.dies(role, |pid| {
            let mut kill = spawn::command("kill");
            kill.args(["-9", pid]);
            spawn::run(kill, PATIENCE)?.ok().map(drop)
        })
    }

    /// The kernel kills what a container may not have any more memory for: something beside the role takes all there is, and
    /// the role is the one that has to go.
    pub(crate) fn kill_for_memory(&self, role: &str) -> Result<()> {
        let id = self.container(role)?;
        let since = said({
            let mut date = spawn::command("date");
            date.arg("+%s");
            date
        })?;
        self.dies(role, |pid| {
            std::fs::write(Path::new("/proc").join(pid).join("oom_score_adj"), "1000").context("its score")?;
            // Each keeps in memory what has no end, and has less of it than all there is. They end with the container.
            let hogs = "for n in 1 2 3 4; do tail /dev/zero & done; wait";
            spawn::run(docker(&["exec", "-d", &id, "sh", "-c", hogs]), PATIENCE)?.ok().map(drop)
        })?;
        let now = said({
            let mut date = spawn::command("date");
            date.args(["-d", "1 second", "+%s"]);
            date
        })?;
        let container = format!("container={id}");
        let events = |kind: &str, format: &str| {
            let kind = format!("event={kind}");
            let words = [
                "events", "--since", &since, "--until", &now, "--filter", &container, "--filter", &kind, "--format",
                format,
            ];
            said(docker(&words))
        };
        ensure!(!events("oom", "{{.Action}}")?.is_empty(), "the kernel was not out of memory for {role}");
        let code = events("die", "{{.Actor.Attributes.exitCode}}")?;
        ensure!(code.lines().any(|code| code == "137"), "{role} ended with {code}");
        Ok(())
    }

    /// As an operator stops one: it ends by itself, and well.
    pub(crate) fn stops_well(&self, role: &str) -> Result<()> {
        let id = self.container(role)?;
        said(docker(&["stop", &id]))?;
        let code = said(docker(&["inspect", "-f", "{{.State.ExitCode}}", &id]))?;
        ensure!(code == "0", "{role} ended with {code}");
        Ok(())
    }

    /// Copies between a volume and a folder of this machine, as docs/operations.md says.
    pub(crate) fn copy(&self, volume: &str, backup: &Path, from: &str, to: &str) -> Result<()> {
        let (volume, backup) = (format!("livetape-test_{volume}"), format!("{}:/backup", backup.display()));
        let image = image();
        let run = ["run", "--rm", "--user", "0", "--entrypoint", "cp", "-v", &volume, "-v", &backup, &image];
        said(docker(&[&run[..], &["-a", from, to]].concat())).map(drop)
    }

    /// The recordings of the stream, oldest first.
    pub(crate) fn recordings(&self) -> Result<Vec<String>> {
        let page = http::json(self.address, "/recordings?stream=live")?;
        let all = page["recordings"].as_array().context("a list")?;
        Ok(all.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect())
    }

    /// What there is of a recording now, checked frame by frame.
    pub(crate) fn whole(&self, id: &str) -> Result<Vec<u8>> {
        let (body, ending) =
            http::get(self.address, &format!("/recordings/{id}/audio.pcm?len=now")).send()?.to_end(PATIENCE)?;
        ensure!(ending == Ending::Clean, "the download ended {ending:?}");
        let runs = counting::runs(&body);
        ensure!(runs.len() == 1 && runs[0].first == 0, "not one run from 0: {runs:?}");
        Ok(body)
    }

    pub(crate) fn grows(&self, id: &str) -> Result<()> {
        let before = self.whole(id)?.len();
        wait::until("it grows", PATIENCE, || (self.whole(id).ok()?.len() > before + SECOND).then_some(()))
    }

    pub(crate) fn gaps(&self, id: &str) -> Result<usize> {
        let timeline = http::json(self.address, &format!("/recordings/{id}/timeline"))?;
        Ok(timeline["entries"].as_array().context("entries")?.iter().filter(|e| e["type"] == "gap").count())
    }
}

impl Drop for Compose {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.run(&["logs", "--tail", "40"], PATIENCE).unwrap_or_default());
        }
        let _ = self.run(&["down", "-v"], PATIENCE);
    }
}
