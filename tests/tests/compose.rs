//! The compose file and the image, as an operator uses them: `make compose` starts an engine where none runs, and this.
//!
//! Containers are killed from outside, so that the engine starts them again as it would after a crash.

use anyhow::{Context, Result, ensure};
use livetape_testkit::http::{self, Ending};
use livetape_testkit::{counting, spawn, wait};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// For the image, which is built from nothing the first time.
const BUILD: Duration = Duration::from_secs(3600);
/// For containers that come and go.
const PATIENCE: Duration = Duration::from_secs(120);
const SECOND: usize = 192_000;

/// `docker-compose` (or `docker compose`) with the project's own file, under a name and on a port of the test's own.
struct Compose {
    address: SocketAddr,
    words: &'static [&'static str],
}

impl Compose {
    fn find() -> Result<Self> {
        let v2 = spawn::run(docker(&["compose", "version"]), PATIENCE).is_ok_and(|run| run.code == Some(0));
        let words: &[&str] = if v2 { &["docker", "compose"] } else { &["docker-compose"] };
        let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { address: free, words })
    }

    fn run(&self, args: &[&str], limit: Duration) -> Result<String> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut command = spawn::command(self.words[0]);
        command.args(&self.words[1..]).args(["-p", "livetape-test"]).args(args).current_dir(top);
        command.env("LIVETAPE_PUBLISH", self.address.to_string()).env("LIVETAPE_SOURCE", "counting");
        // One flag that v1 and v2 both know: the classic builder, for engines without buildx.
        command.env("COMPOSE_DOCKER_CLI_BUILD", "0").env("DOCKER_BUILDKIT", "0");
        Ok(spawn::run(command, limit)?.ok().with_context(|| format!("compose {args:?}"))?.text())
    }

    fn container(&self, role: &str) -> Result<String> {
        let id = self.run(&["ps", "-q", role], PATIENCE)?.trim().to_owned();
        ensure!(!id.is_empty(), "there is no container of {role}");
        Ok(id)
    }

    fn inspect(&self, role: &str, what: &str) -> Result<String> {
        let id = self.container(role)?;
        Ok(spawn::run(docker(&["inspect", "-f", what, &id]), PATIENCE)?.ok()?.text().trim().to_owned())
    }

    fn healthy(&self, role: &str) -> Result<()> {
        wait::until(&format!("{role} is healthy"), PATIENCE, || {
            (self.inspect(role, "{{.State.Health.Status}}").ok()? == "healthy").then_some(())
        })
    }

    fn all_healthy(&self) -> Result<()> {
        ["redis", "recorder", "gateway", "capture"].iter().try_for_each(|role| self.healthy(role))
    }

    /// As the kernel kills what takes too much memory.
    fn kill(&self, role: &str) -> Result<()> {
        let (pid, starts) = (self.inspect(role, "{{.State.Pid}}")?, self.inspect(role, "{{.RestartCount}}")?);
        let mut kill = spawn::command("kill");
        kill.args(["-9", &pid]);
        spawn::run(kill, PATIENCE)?.ok()?;
        wait::until(&format!("{role} is started again"), PATIENCE, || {
            (self.inspect(role, "{{.RestartCount}}").ok()? != starts).then_some(())
        })?;
        self.healthy(role)
    }

    /// The recordings of the stream, oldest first.
    fn recordings(&self) -> Result<Vec<String>> {
        let page = http::json(self.address, "/recordings?stream=live")?;
        let all = page["recordings"].as_array().context("a list")?;
        Ok(all.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect())
    }

    /// What there is of a recording now, checked frame by frame.
    fn whole(&self, id: &str) -> Result<Vec<u8>> {
        let (body, ending) =
            http::get(self.address, &format!("/recordings/{id}/audio.pcm?len=now")).send()?.to_end(PATIENCE)?;
        ensure!(ending == Ending::Clean, "the download ended {ending:?}");
        let runs = counting::runs(&body);
        ensure!(runs.len() == 1 && runs[0].first == 0, "not one run from 0: {runs:?}");
        Ok(body)
    }

    fn grows(&self, id: &str) -> Result<()> {
        let before = self.whole(id)?.len();
        wait::until("it grows", PATIENCE, || (self.whole(id).ok()?.len() > before + SECOND).then_some(()))
    }

    fn gaps(&self, id: &str) -> Result<usize> {
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

fn docker(args: &[&str]) -> Command {
    let mut command = spawn::command("docker");
    command.args(args);
    command
}

#[test]
#[ignore = "needs a Docker engine: make compose"]
fn up_listen_rewind_kill_each_role_down_and_up_again() -> Result<()> {
    let compose = Compose::find()?;
    compose.run(&["up", "-d", "--build"], BUILD)?;
    compose.all_healthy()?;
    let live = |query: &str| http::get(compose.address, &format!("/streams/live/live.pcm{query}")).send();

    // Listen, and rewind.
    let heard = live("")?.at_least(3 * SECOND, PATIENCE)?;
    ensure!(counting::runs(&heard).len() == 1, "live has a jump");
    let (now, before) = (live("?burst=0")?.at_least(4, PATIENCE)?, live("?offset=2")?.at_least(4, PATIENCE)?);
    let (now, before) = (counting::number(&now).context("a frame")?, counting::number(&before).context("a frame")?);
    ensure!((80_000..400_000).contains(&(now - before)), "two seconds ago is {} frames back", now - before);
    let id = compose.recordings()?.pop().context("a recording")?;

    // What keeps the audio dies: nothing is missing, to the frame.
    for role in ["recorder", "gateway", "redis"] {
        compose.kill(role)?;
        compose.grows(&id).with_context(|| format!("after {role} was killed"))?;
        ensure!(compose.gaps(&id)? == 0, "killing {role} left a gap");
    }
    // What captures it dies: what nobody captured is one gap.
    compose.kill("capture")?;
    compose.grows(&id)?;
    ensure!(compose.gaps(&id)? == 1, "killing capture left {} gaps", compose.gaps(&id)?);

    // Down and up: the same bytes, and it goes on.
    let kept = compose.whole(&id)?;
    compose.run(&["down"], PATIENCE)?;
    compose.run(&["up", "-d"], PATIENCE)?;
    compose.all_healthy()?;
    let after = compose.whole(&id)?;
    ensure!(after.starts_with(&kept), "what was recorded has changed");
    let last = compose.recordings()?.pop().context("a recording")?;
    ensure!(last == id, "it goes on with the same recording");
    compose.grows(&id)?;

    // As little as a container needs.
    ensure!(compose.inspect("gateway", "{{.HostConfig.ReadonlyRootfs}}")? == "true", "the root is read-only");
    let mounts = compose.inspect("gateway", "{{range .Mounts}}{{.Destination}} {{.RW}} {{end}}")?;
    ensure!(mounts == "/data false", "the gateway's mounts: {mounts}");
    let user = spawn::run(docker(&["exec", &compose.container("recorder")?, "id", "-u"]), PATIENCE)?.ok()?.text();
    ensure!(user.trim() == "10001", "runs as {user}");
    Ok(())
}
