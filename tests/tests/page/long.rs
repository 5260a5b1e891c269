//! What must not depend on how long a recording is, or on how long one listens. `LIVETAPE_TAB` says for how many seconds the page
//! is watched while it plays.

use crate::opened;
use anyhow::{Context, Result};
use livetape_audio::{FrameCount, Instance, SampleFormat, Spec};
use livetape_store::{DataDir, Disk};
use livetape_testkit::grpc_source::now;
use livetape_testkit::process::Start;
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::Growing;
use livetape_tests::page::{number, until};
use livetape_tests::sparse::Sparse;
use livetape_tests::tone;
use serde_json::json;
use std::time::Duration;

/// Seconds for which a page is watched.
const TAB: u64 = 15;
/// What it may need more at the end: caches fill up to their bounds.
const MORE_BYTES: f64 = 6e6;
const MORE_NODES: f64 = 200.0;

/// Opens a recording, zooms to a second in its middle and out again; how many requests that took, and how many bytes came.
fn cost(browser: &Browser, page: &str, id: &str, seconds: u64) -> Result<(f64, f64)> {
    browser.open("about:blank")?;
    browser.open(&format!("{page}#/recordings/{id}"))?;
    let drawn = |at: f64| format!("player.recording?.id === '{id}' && player.wave.levelAt({at}) !== null");
    until(browser, "it to be open", &drawn(0.5))?;
    let middle = seconds as f64 / 2.0;
    number(browser, &format!("(player.wave.zoom(1e-6, {middle}), 0)"))?;
    until(browser, "a second to be seen", "player.wave.view.length === 1")?;
    until(browser, "its waveform", &drawn(middle))?;
    number(browser, "(player.wave.zoom(1e6), 0)")?;
    until(browser, "all of it", &format!("player.wave.view.length > {}", seconds as f64 * 0.9))?;
    let spent = "
        const all = performance.getEntriesByType('resource').filter(({ name }) => name.includes('/recordings'));
        return [all.length, all.reduce((sum, one) => sum + one.transferSize, 0)];
    ";
    let spent = browser.run(spent, json!([]))?;
    Ok((spent[0].as_f64().context("requests")?, spent[1].as_f64().context("bytes")?))
}

#[test]
fn a_day_opens_and_zooms_with_as_little_as_a_minute() -> Result<()> {
    let data = tempfile::tempdir()?;
    let spec = Spec::new(SampleFormat::S16, 8000, 1)?;
    let dir = DataDir::open(data.path(), Disk::default())?;
    let make = |stream: &'static str, seconds: u64| {
        let started = now().earlier(Duration::from_secs(seconds));
        Sparse { stream, spec, started, instance: Instance([3; 16]), frames: FrameCount::new(seconds * 8000) }
            .sealed(&dir)
    };
    let (minute, day) = (make("minute", 60)?.id.to_string(), make("day", 86_400)?.id.to_string());
    drop(dir);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    // Made again from the audio, because there are none: that takes as long as it takes, and is no part of this.
    for id in [&minute, &day] {
        wait::until("its waveform", Duration::from_secs(240), || {
            let reply = http::json(livetape.http(), &format!("/recordings/{id}/peaks?width=100")).ok()?;
            (reply["length"].as_u64()? > 0 && reply["end_frame"] == reply["frames"]).then_some(())
        })?;
    }
    let browser = Browser::start()?;
    browser.resize(1280, 900)?;
    let page = livetape.url("/");
    let short = cost(&browser, &page, &minute, 60)?;
    let long = cost(&browser, &page, &day, 86_400)?;
    println!("a minute: {short:?}, a day: {long:?} requests and bytes");
    assert!(long.0 <= 3.0 * short.0 && long.1 <= 5.0 * short.1, "a minute: {short:?}, a day: {long:?}");
    livetape.stop()
}

#[test]
fn a_page_that_plays_does_not_grow() -> Result<()> {
    let seconds = std::env::var("LIVETAPE_TAB").ok().map_or(Ok(TAB), |n| n.parse())?;
    let g = Growing::start(tone, Duration::from_secs(30))?;
    let browser = opened(&g)?;
    browser.cdp("Performance.enable", json!({}))?;
    browser.keys("l")?;
    until(&browser, "it to play", "player.deck.playing && player.audio.currentTime > 1")?;
    let measure = || -> Result<(f64, f64)> {
        browser.cdp("HeapProfiler.collectGarbage", json!({}))?;
        let metrics = browser.cdp("Performance.getMetrics", json!({}))?;
        let of = |name: &str| {
            let all = metrics["metrics"].as_array()?;
            all.iter().find(|one| one["name"] == name)?["value"].as_f64()
        };
        Ok((of("JSHeapUsedSize").context("a heap")?, of("Nodes").context("nodes")?))
    };
    let watch = |seconds: u64| {
        let from = number(&browser, "player.deck.position")?;
        let limit = Duration::from_secs(seconds * 3 + 60);
        let on = || (number(&browser, "player.deck.position").ok()? > from + seconds as f64).then_some(());
        wait::until("it to have played", limit, on)
    };
    watch(seconds / 3)?;
    let early = measure()?;
    watch(seconds - seconds / 3)?;
    let late = measure()?;
    println!("after {seconds} s: {early:?}, then {late:?} bytes and nodes");
    assert!(late.0 < early.0 + MORE_BYTES && late.1 < early.1 + MORE_NODES, "{early:?}, then {late:?}");
    until(&browser, "it to play still", "player.deck.playing && player.deck.trouble === ''")?;
    Ok(())
}
