//! What manifests and compose files say of each container, with real processes: a value that the program does not take is seen here, and so is
//! what these settings let whom do.

use anyhow::{Context, Result, ensure};
use livetape_testkit::process::{Livetape, Start, binary};
use livetape_testkit::redis::RedisServer;
use livetape_testkit::{counting, http, spawn, wait};
use livetape_tests::clients::curl;
use livetape_tests::containers::{Container, Neighbours, of_compose, of_overlay};
use livetape_tests::growing::SOON;
use livetape_tests::pushes::counting_wav;
use livetape_tests::tools::project;
use std::collections::BTreeMap;
use std::path::Path;

/// All of them, the recorder first, each as soon as it is ready; by name.
fn run(containers: Vec<Container>, redis: &RedisServer) -> Result<BTreeMap<String, Livetape>> {
    let (recorder, others): (Vec<_>, Vec<_>) = containers.into_iter().partition(|one| one.args[0] == "recorder");
    let (mut running, mut neighbours) = (BTreeMap::new(), Neighbours { redis, recorder: None });
    for container in recorder.into_iter().chain(others) {
        let name = || container.name.clone();
        let livetape = container.start(&neighbours)?.spawn().with_context(name)?;
        let ready = || http::get(livetape.ops(), "/readyz").send().ok().filter(|reply| reply.status == 200);
        wait::until("ready", SOON, ready).with_context(|| format!("{}: {}", name(), livetape.log()))?;
        if container.args[0] == "recorder" {
            neighbours.recorder = Some(livetape.grpc());
        }
        running.insert(name(), livetape);
    }
    Ok(running)
}

/// In an order in which nobody loses anything.
fn stop(mut running: BTreeMap<String, Livetape>, last: &str) -> Result<()> {
    let last = running.remove(last);
    running.into_values().try_for_each(Livetape::stop)?;
    last.map_or(Ok(()), Livetape::stop)
}

fn status(of: &Livetape, method: &str, target: &str, token: Option<&str>) -> Result<u16> {
    let request = http::request(of.http(), method, target, "1.1");
    let request = token.into_iter().fold(request, |request, token| request.header("Authorization", token));
    Ok(request.send()?.status)
}

#[test]
fn the_overlay_dev_runs() -> Result<()> {
    let (folder, redis) = (tempfile::tempdir()?, RedisServer::start()?);
    let running = run(of_overlay("dev", folder.path())?, &redis)?;
    ensure!(running.len() == 3, "{:?}", running.keys());
    let gateway = &running["Deployment gateway"];
    let live = || (status(gateway, "GET", "/streams/live", None).ok()? == 200).then_some(());
    wait::until("the time signal", SOON, live)?;
    stop(running, "StatefulSet recorder")
}

/// What deploy/k8s/secrets.sh makes, where docs/kubernetes.md puts it.
#[test]
fn the_overlay_production_lets_its_roles_in_and_nobody_else() -> Result<()> {
    let (folder, redis) = (tempfile::tempdir()?, RedisServer::start()?);
    let secrets = folder.path().join("secrets");
    let mut make = spawn::command(project().join("deploy/k8s/secrets.sh"));
    make.arg(&secrets).env("LIVETAPE", binary()?);
    spawn::run(make, SOON)?.ok()?;
    // All that is missing here is the sound card.
    let containers = of_overlay("production", folder.path())?;
    let running = run(containers.into_iter().map(|one| one.with("device:default", "counting")).collect(), &redis)?;
    ensure!(running.len() == 4, "{:?}", running.keys());
    let (gateway, recorder) = (&running["Deployment gateway"], &running["StatefulSet recorder"]);
    let token = std::fs::read_to_string(secrets.join("operator.token"))?;
    let bearer = format!("Bearer {}", token.trim());
    let live = wait::until("the stream of the node", SOON, || {
        let asked = http::get(gateway.http(), "/streams/node-1/live.pcm").header("Authorization", &bearer);
        asked.send().ok().filter(|reply| reply.status == 200)
    });
    let heard = live.with_context(|| gateway.log())?.at_least(100_000, SOON)?;
    ensure!(counting::runs(&heard).len() == 1, "a jump");
    for target in ["/streams/node-1/live.pcm", "/streams", "/recordings"] {
        ensure!(status(gateway, "GET", target, None)? == 401, "anybody may have {target}");
    }

    // How it is doing is for those who reach the address for that.
    for token in [None, Some(&*bearer)] {
        ensure!(status(gateway, "GET", "/metrics", token)? == 403, "/metrics where listeners come");
    }
    ensure!(http::get(gateway.ops(), "/metrics").send()?.status == 200);

    // Who sends shows a password, over TLS.
    let (wav, ca) = (folder.path().join("one.wav"), secrets.join("ca.crt"));
    std::fs::write(&wav, counting_wav(48_000, 48_000)?)?;
    let plain = |path: &Path| Ok::<_, anyhow::Error>(path.to_str().context("a plain path")?.to_owned());
    let (wav, ca) = (plain(&wav)?, plain(&ca)?);
    let to = format!("https://localhost:{}/studio", running["Deployment capture-pushed"].sources().port());
    let send = ["--cacert", &ca, "--header", "Content-Type: audio/wav", "--upload-file", &wav];
    let refused = curl(&to, &send)?;
    ensure!(refused.status == 401, "{}", refused.status);
    let user = format!("source:{}", token.trim());
    let taken = curl(&to, &[&send[..], &["--user", &user]].concat())?;
    ensure!(taken.status == 200, "{} {}", taken.code, taken.status);
    wait::until("what was sent", SOON, || {
        let list = http::get(gateway.http(), "/recordings?stream=studio").header("Authorization", &bearer);
        let list: serde_json::Value = serde_json::from_slice(&list.send().ok()?.body().ok()?).ok()?;
        (list["recordings"][0]["frames"] == 48_000).then_some(())
    })?;

    // A capture may not listen, and who shows nothing may not publish.
    let url = format!("https://localhost:{}", recorder.grpc().port());
    let of = |start: Start| start.env("LIVETAPE_RECORDER_CA", secrets.join("recorder/ca.crt"));
    let listens = of(Start::gateway_of(&url)).env("LIVETAPE_TOKEN_FILE", secrets.join("capture.token")).spawn()?;
    listens.logged("capture may not listen", SOON)?;
    let pushes = of(Start::capture_of(&url)).args(["--stream", "other"]).spawn()?;
    pushes.logged("show that you may", SOON)?;
    ensure!(status(gateway, "GET", "/streams/other", Some(&bearer))? == 404);
    stop(running, "StatefulSet recorder")
}

const COMPOSE: &str = "docker-compose.yml";
const PUSHED: &str = "deploy/compose/pushed.yml";

#[test]
fn docker_compose_runs_with_its_settings() -> Result<()> {
    let (folder, redis) = (tempfile::tempdir()?, RedisServer::start()?);
    let running = run(of_compose(&[COMPOSE], "", folder.path())?, &redis)?;
    ensure!(running.len() == 3, "{:?}", running.keys());
    let gateway = &running["gateway"];
    wait::until("the stream", SOON, || (status(gateway, "GET", "/streams/live", None).ok()? == 200).then_some(()))?;
    stop(running, "recorder")
}

/// Each line of .env.example that may be taken in, with pushed sources.
#[test]
fn docker_compose_runs_with_every_setting_that_is_explained() -> Result<()> {
    let (folder, redis) = (tempfile::tempdir()?, RedisServer::start()?);
    let example = std::fs::read_to_string(project().join(".env.example"))?;
    // These name files that somebody has to make.
    let files = ["SETTINGS", "ACCESS", "TLS_CERT", "TLS_KEY", "CONFIG"];
    let all: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| {
            let name = line.strip_prefix("LIVETAPE_").and_then(|rest| rest.split_once('=')).map(|(name, _)| name);
            name.is_some_and(|name| !files.contains(&name))
        })
        .collect();
    ensure!(all.len() > 40, "{all:?}");
    let containers = of_compose(&[COMPOSE, PUSHED], &all.join("\n"), folder.path())?;
    // Limits of sources count where sources push.
    let capture = containers.iter().find(|one| one.name == "capture").context("a capture")?;
    for name in all.iter().filter_map(|line| line.split('=').next()).filter(|name| name.contains("LIMIT_SOURCE")) {
        ensure!(capture.env.contains_key(name), "{name} does not reach the capture");
    }
    stop(run(containers, &redis)?, "recorder")
}

#[test]
fn an_access_file_closes_what_docker_compose_has_open() -> Result<()> {
    let (folder, redis) = (tempfile::tempdir()?, RedisServer::start()?);
    let settings = folder.path().join("volumes/settings");
    std::fs::create_dir_all(&settings)?;
    let mut token =
        livetape_testkit::process::command(["token", "new", "--name", "ann", "--grant", "listen:*", "--out"])?;
    token.arg(folder.path().join("ann.token"));
    std::fs::write(settings.join("access.toml"), spawn::run(token, SOON)?.ok()?.stdout)?;
    let access = "LIVETAPE_SETTINGS=./settings\nLIVETAPE_ACCESS=/etc/livetape/access.toml";
    let running = run(of_compose(&[COMPOSE, PUSHED], access, folder.path())?, &redis)?;
    let asked = |of: &Livetape| -> Result<(u16, u16)> {
        Ok((status(of, "GET", "/streams", None)?, status(of, "DELETE", "/recordings/1", None)?))
    };
    ensure!(asked(&running["gateway"])? == (401, 401), "{:?}", asked(&running["gateway"])?);
    let push = curl(
        &format!("http://{}/studio", running["capture"].sources()),
        &["--header", "Content-Type: audio/wav", "--data", "x", "--request", "PUT"],
    )?;
    ensure!(push.status == 401, "{}", push.status);
    ensure!(!running["gateway"].log().contains("leave `manage` out"), "{}", running["gateway"].log());
    stop(running, "recorder")?;

    // What is said in so many words counts, and that anybody may delete is said.
    let open = format!("{access}\nLIVETAPE_ANONYMOUS=listen,manage");
    let running = run(of_compose(&[COMPOSE], &open, folder.path())?, &redis)?;
    ensure!(asked(&running["gateway"])?.0 == 200);
    running["gateway"].logged("leave `manage` out", SOON)?;
    stop(running, "recorder")?;

    // Nothing is nothing.
    let containers = of_compose(&[COMPOSE], "LIVETAPE_ANONYMOUS=", folder.path())?;
    let gateway = containers.into_iter().find(|one| one.name == "gateway").context("a gateway")?;
    let neighbours = Neighbours { redis: &redis, recorder: None };
    let refused = gateway.start(&neighbours)?.refused()?;
    ensure!(refused.stderr.contains("LIVETAPE_ACCESS"), "{}", refused.stderr);
    Ok(())
}
