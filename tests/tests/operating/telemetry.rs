//! What an operator looks at, against what the roles really say: rules and dashboard are asked of a real Prometheus that
//! reads real roles; alerts are tried by promtool; each has its section in docs/operations.md.

use anyhow::{Context, Result, ensure};
use livetape_testkit::process::Start;
use livetape_testkit::redis::RedisServer;
use livetape_testkit::{http, spawn, wait};
use livetape_tests::prometheus::Prometheus;
use livetape_tests::tools::project;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
/// Shown only where there is a sound card, whose drift is known after a minute.
const OF_SOUND_CARDS: [&str; 4] = ["card_present", "card_losses_total", "xruns_total", "drift_ppm"];

fn file(path: &str) -> Result<String> {
    std::fs::read_to_string(project().join(path)).with_context(|| path.to_owned())
}

fn promtool(args: &[&str]) -> Result<()> {
    let mut promtool = spawn::command("promtool");
    promtool.args(args).current_dir(project().join("deploy/prometheus"));
    spawn::run(promtool, SOON)?.ok().map(drop)
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() -> Result<()> {
    promtool(&["check", "config", "prometheus.yml"])?;
    promtool(&["test", "rules", "livetape.test.yml"])?;
    // Each is tried, and has its section, and no section is of an alert that is no more.
    let (rules, tests, docs) = (
        file("deploy/prometheus/livetape.rules.yml")?,
        file("deploy/prometheus/livetape.test.yml")?,
        file("docs/operations.md")?,
    );
    let alerts: BTreeSet<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let (_, runbooks) = docs.split_once("\n## Alerts\n").context("a section Alerts")?;
    let runbooks = runbooks.split("\n## ").next().unwrap_or_default();
    let sections: BTreeSet<&str> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    ensure!(alerts == sections, "{:?}", alerts.symmetric_difference(&sections));
    for alert in alerts {
        ensure!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} is not tried");
        let runbook = format!("runbook: docs/operations.md#{}\n", alert.to_lowercase());
        ensure!(rules.contains(&runbook), "{alert} does not say {runbook}");
    }
    Ok(())
}

/// The metrics that an expression asks for, with what it wants of their labels: one for each alternative.
fn selectors(expr: &str) -> Vec<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in expr.match_indices("livetape_").chain(expr.match_indices("up{")) {
        if expr[..at].ends_with(word) {
            continue;
        }
        let rest = &expr[at..];
        let name = &rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())];
        let labels =
            rest[name.len()..].strip_prefix('{').and_then(|labels| labels.split('}').next()).unwrap_or_default();
        match labels.split_once("=~\"") {
            Some((label, values)) => {
                found
                    .extend(values.trim_end_matches('"').split('|').map(|one| format!("{name}{{{label}=~\"{one}\"}}")));
            }
            None => found.push(format!("{name}{{{labels}}}")),
        }
    }
    assert!(!found.is_empty(), "{expr} asks for nothing");
    found
}

/// The labels that a text names: `{{stream}}`, `{{ $labels.stream }}`.
fn named(text: &str) -> Vec<&str> {
    let inside = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    inside.map(|name| name.trim().trim_start_matches("$labels.")).filter(|name| !name.starts_with('$')).collect()
}

fn is_of_sound_cards(selector: &str) -> bool {
    let name = selector.split('{').next().unwrap_or_default();
    name.strip_prefix("livetape_capture_").is_some_and(|name| OF_SOUND_CARDS.contains(&name))
}

#[test]
fn rules_and_dashboard_ask_only_for_what_there_is() -> Result<()> {
    let (redis, data) = (RedisServer::start()?, tempfile::tempdir()?);
    let url = format!("redis://{}", redis.address());
    let recorder = Start::recorder(data.path()).args(["--redis-url", &url]).spawn()?;
    // A gateway that knows nothing yet answers with an error, which is counted.
    recorder.hold()?;
    let gateway = Start::gateway(recorder.grpc()).args(["--redis-url", &url]).spawn()?;
    ensure!(http::get(gateway.http(), "/streams").send()?.status == 503);
    recorder.go_on()?;
    // It takes sources of others, too.
    let capture = Start::capture(recorder.grpc()).args(["--source-addr", "127.0.0.1:0"]).spawn()?;
    let prometheus =
        Prometheus::start(&[("recorder", recorder.ops()), ("gateway", gateway.ops()), ("capture", capture.ops())])?;
    let text =
        |addr| http::get(addr, "/metrics").send()?.body().map(|body| String::from_utf8_lossy(&body).into_owned());
    let exposed = || anyhow::Ok([text(recorder.ops())?, text(gateway.ops())?, text(capture.ops())?].concat());
    wait::until("a stream that is recorded", SOON, || {
        exposed().ok().filter(|all| all.contains("livetape_recorder_durable_frames_total{stream=\"live\"} "))
    })?;

    let rules = http::json(prometheus.address(), "/api/v1/rules")?;
    let rules = rules["data"]["groups"][0]["rules"].as_array().context("rules")?.clone();
    ensure!(rules.len() > 15, "{} rules", rules.len());
    for rule in &rules {
        let (expr, summary) = (rule["query"].as_str().context("a query")?, rule["annotations"]["summary"].as_str());
        let mut labels = BTreeSet::new();
        for selector in selectors(expr).iter().filter(|selector| !is_of_sound_cards(selector)) {
            let series = prometheus.soon(selector).with_context(|| rule["name"].to_string())?;
            labels.extend(series.iter().filter_map(Value::as_object).flat_map(|one| one.keys().cloned()));
        }
        for label in named(summary.context("a summary")?) {
            let known = labels.contains(label) || (labels.is_empty() && label == "stream");
            ensure!(known, "{}: there is no label {label}, only {labels:?}", rule["name"]);
        }
        ensure!(rule["health"] != "err", "{rule}");
    }

    // Blocks are counted by their codec once there are some.
    http::get(gateway.http(), "/streams/live/live.mp3").send()?.at_least(10_000, SOON)?;
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/dashboards/livetape.json")?)?;
    let mut shown = 0;
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().context("an expression")?;
            let expr = expr.replace("$__rate_interval", "15s").replace("$stream", ".*");
            if selectors(&expr).iter().any(|selector| is_of_sound_cards(selector)) {
                prometheus.ask(&expr)?;
                continue;
            }
            let series = prometheus.soon(&expr).with_context(|| panel["title"].to_string())?;
            for label in named(target["legendFormat"].as_str().unwrap_or_default()) {
                ensure!(
                    series.iter().all(|one| one[label].is_string()),
                    "{}: no label {label}: {series:?}",
                    panel["title"]
                );
            }
            shown += 1;
        }
    }
    ensure!(shown > 20, "{shown} things are shown");

    // What needs a sound card is not there, but declared; and all there is is told.
    let (declared, told) = (file("crates/capture/src/metrics.rs")?, file("docs/telemetry.md")?);
    let all = exposed()?;
    let cards = OF_SOUND_CARDS.map(|name| format!("livetape_capture_{name}"));
    cards.iter().for_each(|name| assert!(declared.contains(&format!("{name:?}")), "{name} is not declared"));
    let names = all.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in names.chain(cards.iter().map(String::as_str)) {
        ensure!(told.contains(&format!("`{name}")), "docs/telemetry.md does not tell of {name}");
    }
    capture.stop()?;
    gateway.stop()?;
    recorder.stop()
}
