//! Draws the dashboard with real data into docs/dashboard.png: real roles, a real Prometheus, and a page in Chromium that does of Grafana
//! what the dashboard uses (tests/src/dashboard.js). For when the dashboard changed:
//!
//! `LIVETAPE_DASHBOARD_SECONDS=240 cargo test -p livetape-tests --test operating dashboard -- --ignored`
//!
//! That every expression has an answer is a test of its own: telemetry.rs.

use anyhow::{Context, Result, ensure};
use livetape_testkit::http::{self, Response};
use livetape_testkit::process::Start;
use livetape_testkit::redis::RedisServer;
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::SOON;
use livetape_tests::prometheus::Prometheus;
use livetape_tests::tools::project;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Listeners that take what comes, each in a thread of its own, until the time is over.
fn listen(to: SocketAddr, target: &'static str, from: Duration, until: Duration, began: Instant) {
    std::thread::spawn(move || {
        std::thread::sleep(from.saturating_sub(began.elapsed()));
        let Ok(mut body) = http::get(to, target).send() else { return };
        while began.elapsed() < until && take(&mut body).is_ok() {}
    });
}

fn take(body: &mut Response) -> Result<()> {
    body.next_piece(Instant::now() + Duration::from_secs(1)).map(drop)
}

#[test]
#[ignore = "makes a picture: see above"]
fn drawn_with_real_data() -> Result<()> {
    let seconds = std::env::var("LIVETAPE_DASHBOARD_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(240);
    let at = |part: f64| Duration::from_secs_f64(f64::from(seconds) * part);
    let (redis, data) = (RedisServer::start()?, tempfile::tempdir()?);
    let url = format!("redis://{}", redis.address());
    let start = Start::recorder(data.path()).args(["--redis-url", &url]);
    let recorder = start.spawn()?;
    let limits = ["--redis-url", &url, "--encoders", "4", "--limit-listeners", "12"];
    let gateway = Start::gateway(recorder.grpc()).args(limits).spawn()?;
    let two = ["--stream", "studio-a", "--source", "time-signal", "--stream", "studio-b", "--source", "tone"];
    let spool = tempfile::tempdir()?;
    let capture = Start::capture(recorder.grpc()).args(two).env("LIVETAPE_SPOOL_DIR", spool.path()).spawn()?;
    let prometheus =
        Prometheus::start(&[("recorder", recorder.ops()), ("gateway", gateway.ops()), ("capture", capture.ops())])?;
    let (began, to) = (Instant::now(), gateway.http());
    wait::until("streams", SOON, || {
        http::json(to, "/streams").ok().filter(|list| list["streams"].as_array().is_some_and(|all| all.len() == 2))
    })?;
    let live = [
        "/streams/studio-a/live.wav",
        "/streams/studio-a/live.mp3",
        "/streams/studio-b/live.opus",
        "/streams/studio-a/live.flac",
        "/streams/studio-b/live.mp3",
    ];
    for (n, target) in live.iter().cycle().take(11).enumerate() {
        listen(to, target, at(0.1) + Duration::from_secs(4 * n as u64), at(2.0), began);
    }
    // Some more than there may be, and encoders that there are not.
    for target in ["/streams/studio-a/live.wav", "/streams/studio-a/live.opus", "/streams/studio-b/live.flac"]
        .iter()
        .cycle()
        .take(9)
    {
        listen(to, target, at(0.6), at(0.7), began);
    }
    // The recorder is away for a while, then a recording is sealed.
    std::thread::sleep(at(0.4).saturating_sub(began.elapsed()));
    let start = start.on_ports_of(&recorder);
    recorder.stop()?;
    std::thread::sleep(Duration::from_secs(8));
    let recorder = start.spawn()?;
    std::thread::sleep(at(0.75).saturating_sub(began.elapsed()));
    drop(redis);
    std::thread::sleep(at(1.0).saturating_sub(began.elapsed()));

    let dashboard = std::fs::read_to_string(project().join("deploy/grafana/dashboards/livetape.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    let panels: Vec<&Value> =
        dashboard["panels"].as_array().context("panels")?.iter().filter(|panel| panel["type"] != "row").collect();
    let browser = Browser::start()?;
    browser.open(&format!("http://{}/-/healthy", prometheus.address()))?;
    let drawn = browser.run(include_str!("../../src/dashboard.js"), json!([dashboard, seconds]))?;
    // There is no sound card here.
    ensure!(drawn.as_u64() >= Some(panels.len() as u64 - 1), "{drawn} of {} panels have data", panels.len());
    std::fs::write(project().join("docs/dashboard.png"), browser.picture(1440, 2260)?)?;
    capture.stop()?;
    gateway.stop()?;
    recorder.stop()
}
