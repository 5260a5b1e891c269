//! The compose file and the image, as an operator uses them: `make compose` starts an engine where none runs, and these, one
//! after the other.
//!
//! Containers are killed from outside, so that the engine starts them again as it would after a crash.

mod engine;

use anyhow::{Context, Result, ensure};
use engine::{BUILD, Compose, PATIENCE, ROLES, SECOND, docker, given_image, image, profile, said};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::time_signal::{Telegram, decode, decode_pcm};
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{counting, http, spawn, wait};
use livetape_tests::player::{Player, RATE};
use livetape_tests::tools::project;
use std::time::{Duration, UNIX_EPOCH};

const DAY_MS: i64 = 86_400_000;

/// Telegrams of a recording, sent not long ago. All of them, or, as a busy machine takes samples from a browser, some.
fn is_the_time_signal(heard: &[Telegram], all: bool) -> Result<()> {
    ensure!(heard.len() >= 2, "{} telegrams", heard.len());
    for pair in heard.windows(2) {
        let seconds = i64::from(pair[1].second) - i64::from(pair[0].second);
        let apart = i64::from(pair[1].time_of_day_ms) - i64::from(pair[0].time_of_day_ms);
        ensure!(seconds == 1 || (!all && seconds > 0), "{pair:?}");
        ensure!((apart.rem_euclid(DAY_MS) - seconds * 1000).abs() <= 20, "{pair:?}");
    }
    let now = i64::try_from(UNIX_EPOCH.elapsed()?.as_millis())?;
    let ago = heard.last().map_or(0, |last| (now - i64::from(last.time_of_day_ms)).rem_euclid(DAY_MS));
    ensure!(ago < 120_000, "the newest is {ago} ms old");
    Ok(())
}

#[test]
#[ignore = "needs a Docker engine: make compose"]
fn a_clean_clone_is_heard_as_the_time_signal_by_programs_and_in_a_browser() -> Result<()> {
    let compose = Compose::find(None)?;
    compose.up()?;
    let live = |ending: &str| http::get(compose.address, &format!("/streams/live/live.{ending}")).send();
    let heard = live("pcm")?.at_least(5 * SECOND, PATIENCE)?;
    is_the_time_signal(&decode_pcm(&heard, stereo()), true).context("as PCM")?;
    // The codecs that the image was built with.
    for (ending, begin) in [("mp3", &[0xff, 0xfb][..]), ("opus", b"OggS"), ("flac", b"fLaC")] {
        let heard = live(ending)?.at_least(20_000, PATIENCE).with_context(|| ending.to_owned())?;
        ensure!(heard.starts_with(begin), "{ending} begins with {:?}", &heard[..4]);
    }
    let browser = Browser::start()?;
    let at = |path: &str| format!("http://{}{path}", compose.address);
    let player = Player::play(&browser, &at("/plain"), &at("/streams/live/live.wav"))?;
    let mut seen = Vec::new();
    let plays = wait::until("the time signal in Chromium", PATIENCE, || {
        seen = decode(&player.samples(Duration::from_secs(4)).ok()?, RATE);
        (seen.len() >= 2).then_some(())
    });
    plays.with_context(|| format!("{:?}", player.state()))?;
    is_the_time_signal(&seen, false).context("in Chromium")?;
    ensure!(player.state()?.error.is_none(), "{:?}", player.state());

    // As little as a container needs.
    for role in ROLES {
        let of = |what: &str| compose.inspect(role, what).with_context(|| role.to_owned());
        ensure!(of("{{.HostConfig.ReadonlyRootfs}}")? == "true", "{role}: the root is read-only");
        ensure!(of("{{.HostConfig.CapDrop}}")? == "[ALL]", "{role}: {}", of("{{.HostConfig.CapDrop}}")?);
        ensure!(of("{{.HostConfig.SecurityOpt}}")? == "[no-new-privileges:true]", "{role}");
        ensure!(of("{{.HostConfig.PidsLimit}}")? == "512" && of("{{.HostConfig.Memory}}")? != "0", "{role}");
        let mut mounts: Vec<_> =
            of("{{range .Mounts}}{{.Destination}}={{.RW}} {{end}}")?.split_whitespace().map(str::to_owned).collect();
        mounts.sort();
        let own = match role {
            "recorder" => "/data=true",
            "gateway" => "/data=false",
            _ => "/spool=true",
        };
        let mut expected = [own, "/etc/livetape=false"];
        expected.sort_unstable();
        ensure!(mounts == expected, "{role}: {mounts:?}");
        let status = said(docker(&["exec", &compose.container(role)?, "cat", "/proc/1/status"]))?;
        ensure!(status.contains("Uid:\t10001\t10001\t10001\t10001"), "{role}: {status}");
        ensure!(status.contains("CapEff:\t0000000000000000") && status.contains("NoNewPrivs:\t1"), "{role}: {status}");
    }
    // A setting of the environment is passed on; one that nobody made is not there at all.
    let settings = compose.inspect("recorder", "{{json .Config.Env}}")?;
    ensure!(
        settings.contains("\"LIVETAPE_KEEP_FREE=1MiB\"") && !settings.contains("LIVETAPE_KEEP_SIZE="),
        "{settings}"
    );

    for role in ["capture", "gateway", "recorder", "redis"] {
        compose.stops_well(role)?;
    }
    compose.run(&["up", "-d"], PATIENCE)?;
    compose.all_healthy()
}

#[test]
#[ignore = "needs a Docker engine: make compose"]
fn up_listen_rewind_kill_each_role_down_and_up_again() -> Result<()> {
    let compose = Compose::find(Some("counting"))?;
    compose.up()?;
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
    for role in ["recorder", "gateway"] {
        compose.kill_for_memory(role)?;
        compose.grows(&id).with_context(|| format!("after {role} was killed for memory"))?;
        ensure!(compose.gaps(&id)? == 0, "killing {role} for memory left a gap");
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

    // A copy of the volume, taken while it is recorded into; everything is lost, and comes back from the copy.
    let kept = compose.whole(&id)?;
    let backup = tempfile::tempdir()?;
    compose.copy("data:/data:ro", backup.path(), "/data/.", "/backup/")?;
    compose.run(&["down", "-v"], PATIENCE)?;
    compose.run(&["up", "--no-start"], PATIENCE)?;
    compose.copy("data:/data", backup.path(), "/backup/.", "/data/")?;
    compose.run(&["up", "-d"], PATIENCE)?;
    compose.all_healthy()?;
    ensure!(compose.whole(&id)?.starts_with(&kept), "the copy has not all that was there");
    compose.grows(&id)
}

#[test]
#[ignore = "needs a Docker engine: make compose"]
fn a_volume_that_belongs_to_somebody_else_is_named() -> Result<()> {
    let compose = Compose::find(None)?;
    compose.build()?;
    let folder = tempfile::tempdir()?;
    let volume = format!("{}:/data", folder.path().display());
    let refused = spawn::run(docker(&["run", "--rm", "--read-only", "-v", &volume, &image(), "recorder"]), PATIENCE)?;
    ensure!(refused.code == Some(1), "{refused:?}");
    for word in ["/data", "Permission denied", "LIVETAPE_DATA_DIR"] {
        ensure!(refused.stderr.contains(word), "{word:?} is not in {}", refused.stderr);
    }
    Ok(())
}

/// After a change of the source the dependencies are not built again. The change cannot be compiled, so that the build ends
/// when it comes to it.
#[test]
#[ignore = "needs a Docker engine: make compose"]
fn a_change_of_the_source_finds_the_dependencies_in_their_layer() -> Result<()> {
    if let Some(image) = given_image() {
        eprintln!("{image} was given, so nothing is built: not looked at");
        return Ok(());
    }
    let compose = Compose::find(None)?;
    compose.build()?;
    let folder = tempfile::tempdir()?;
    let mut copy = spawn::command("sh");
    // What a clone has, as it is now.
    copy.args(["-euc", "git ls-files -z | xargs -0 cp -a --parents -t \"$1\"", "sh"]).arg(folder.path());
    copy.current_dir(project());
    spawn::run(copy, PATIENCE)?.ok()?;
    let changed = folder.path().join("crates/audio/src/lib.rs");
    let source = std::fs::read_to_string(&changed)?;
    std::fs::write(&changed, source + "compile_error!(\"this is the change\");\n")?;
    let argument = format!("PROFILE={}", profile());
    let mut build = docker(&["build", "--build-arg", &argument, "-f", "deploy/docker/Dockerfile", "."]);
    build.current_dir(folder.path());
    let built = spawn::run(build, BUILD)?;
    let all = format!("{}{}", built.text(), built.stderr);
    ensure!(built.code != Some(0) && all.contains("this is the change"), "{all}");
    let (_, dependencies) = all.split_once("RUN for manifest in").context("the step of the dependencies")?;
    let step = dependencies.split("\nStep ").next().unwrap_or_default();
    ensure!(step.contains("---> Using cache"), "{step}");
    ensure!(!all.contains("Compiling tokio"), "a dependency was built again: {all}");
    Ok(())
}
