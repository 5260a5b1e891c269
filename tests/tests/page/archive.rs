//! Recordings by day: what began yesterday is on today's bar, too; gaps can be seen; a press on the bar, or the keyboard, plays from
//! there; older days are found.

use anyhow::{Context, Result};
use livetape_audio::{FrameCount, Instance, SampleFormat, Spec};
use livetape_store::{DataDir, Disk};
use livetape_testkit::grpc_source::now;
use livetape_testkit::process::Start;
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::SOON;
use livetape_tests::page::{number, of_player, until};
use livetape_tests::sparse::Sparse;
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const LEFT: &str = "\u{e012}";
const ENTER: &str = "\u{e007}";

#[test]
fn days_bars_and_older_days() -> Result<()> {
    let data = tempfile::tempdir()?;
    let spec = Spec::new(SampleFormat::S16, 8000, 1)?;
    let frames = |hours: u64| FrameCount::new(hours * 3600 * 8000);
    let dir = DataDir::open(data.path(), Disk::default())?;
    // Thirty hours long until now: it is on two or three days. And one that is two months old.
    let instance = Instance([3; 16]);
    let long = Sparse {
        stream: "long",
        spec,
        started: now().earlier(Duration::from_secs(30 * 3600)),
        instance,
        frames: frames(30),
    };
    let long = long.sealed(&dir)?;
    let old =
        Sparse { stream: "old", spec, started: now().earlier(DAY * 60), instance, frames: frames(1) }.sealed(&dir)?;
    drop(dir);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    let days = "
        return [...document.querySelectorAll('livetape-archive section')].map(day =>
            [day.querySelector('h3').textContent, [...day.querySelectorAll('li')].map(row => row.recording.id), day.querySelectorAll('.audio').length]);
    ";
    let seen = wait::until("the days", SOON, || {
        let days = browser.run(days, json!([])).ok()?;
        (days.as_array()?.len() >= 2 && days[0][2] == 1).then_some(days)
    })?;
    for day in seen.as_array().context("days")? {
        assert_eq!(day[1], json!([long.id.to_string()]), "{seen}");
        assert_eq!(day[2], 1, "a bar on each: {seen}");
    }
    assert_eq!(seen[0][0], "Today");

    // By keyboard: to the end of today's bar, a quarter of an hour back, and play.
    browser.run("document.querySelector('.lane').focus()", json!([]))?;
    browser.keys("\u{e010}")?;
    browser.keys(&LEFT.repeat(3))?;
    let place = browser.run("return document.querySelector('.lane').getAttribute('aria-valuetext')", json!([]))?;
    browser.keys(ENTER)?;
    until(&browser, "the recording to be open", "player.recording?.stream === 'long'")?;
    until(
        &browser,
        "it to be there",
        "player.deck.position > 29.7 * 3600 - 60 && player.deck.position < 29.8 * 3600 + 60",
    )
    .with_context(|| place.to_string())?;

    // The day of two months ago by the field for dates, and back.
    let choose = "
        const field = document.querySelector('#days input');
        const at = new Date(arguments[0]);
        field.value = `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')}`;
        field.dispatchEvent(new Event('change'));
    ";
    let began = old.started.unix_nanos() as f64 / 1e6;
    browser.run(choose, json!([began]))?;
    wait::until("the old one", SOON, || {
        (browser.run(days, json!([])).ok()?[0][1] == json!([old.id.to_string()])).then_some(())
    })?;
    browser.run("document.querySelector('livetape-archive .name').click()", json!([]))?;
    until(&browser, "the old one to be open", "player.recording?.stream === 'old'")?;
    assert!((number(&browser, "player.deck.edge")? - 3600.0).abs() < 1.0);
    browser.run("document.querySelector('#days button:last-child').click()", json!([]))?;
    wait::until("today again", SOON, || (browser.run(days, json!([])).ok()?[0][0] == "Today").then_some(()))?;
    assert_eq!(of_player(&browser, "player.deck.trouble")?, "");
    livetape.stop()
}
