//! What is done with streams and recordings by buttons, and how each state looks.

use crate::opened;
use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_testkit::process::Start;
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{number, press, text};
use livetape_tests::tone;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn silence(_: Frame, count: FrameCount, spec: Spec) -> Vec<u8> {
    vec![0; usize::try_from(spec.bytes(count)).unwrap_or(0)]
}

fn state(browser: &Browser, word: &str) -> Result<()> {
    wait::until(word, SOON, || (text(browser, "#streams .state")? == word).then_some(()))
}

#[test]
fn a_recording_is_finished_named_locked_and_deleted_by_buttons() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(20))?;
    let browser = opened(&g)?;
    state(&browser, "live")?;
    // It moves, and it says so to those who do not see it.
    let level = "return Number(document.querySelector('#streams livetape-trace').getAttribute('aria-valuenow'))";
    wait::until("a level", SOON, || (browser.run(level, json!([])).ok()?.as_f64()? > -40.0).then_some(()))?;
    let target = format!("/recordings/{}", g.id);
    let known = || http::json(g.livetape.http(), &target);
    let wait_for = |what: &str, holds: &dyn Fn(&Value) -> bool| {
        wait::until(what, SOON, || known().ok().filter(|one| holds(one)).map(drop))
    };

    browser.run("document.querySelector('livetape-stream details').open = true", json!([]))?;
    press(&browser, "livetape-stream button.seal")?;
    press(&browser, "dialog .yes")?;
    wait_for("it to be sealed", &|one| !one["sealed"].is_null())?;

    // The source goes on in a new recording: the one that is meant is found by its id.
    let button = |name: &str| {
        let script = "
            const [id, name] = arguments;
            const row = [...document.querySelectorAll('livetape-archive li')].find(row => row.recording.id === id);
            row?.querySelector('details')?.setAttribute('open', '');
            const button = row?.querySelector(`button.${name}`);
            button?.click();
            return Boolean(button);
        ";
        wait::until(name, SOON, || (browser.run(script, json!([g.id, name])).ok()? == true).then_some(()))
    };
    let is_sealed = "return [...document.querySelectorAll('livetape-archive li')].find(row => row.recording.id === arguments[0])?.recording.sealed != null";
    wait::until("the row to know", SOON, || (browser.run(is_sealed, json!([g.id])).ok()? == true).then_some(()))?;
    button("rename")?;
    browser.run("document.querySelector('dialog input').value = 'Evensong'", json!([]))?;
    press(&browser, "dialog .yes")?;
    wait_for("its title", &|one| one["title"] == "Evensong")?;
    wait::until("the title on the page", SOON, || {
        let names = "return [...document.querySelectorAll('livetape-archive li .name')].map(name => name.textContent)";
        browser.run(names, json!([])).ok()?.as_array()?.contains(&json!("Evensong")).then_some(())
    })?;
    is_as_loud_as_the_gateway_says(&browser, &g)?;
    button("lock")?;
    wait_for("the lock", &|one| one["locked"] == true)?;
    let has_delete = "return [...document.querySelectorAll('livetape-archive li')].find(row => row.recording.id === arguments[0])?.querySelector('.delete') != null";
    wait::until("delete to be gone", SOON, || (browser.run(has_delete, json!([g.id])).ok()? == false).then_some(()))?;
    button("lock")?;
    wait_for("it to be unlocked", &|one| one["locked"] == false)?;
    wait::until("delete to be back", SOON, || (browser.run(has_delete, json!([g.id])).ok()? == true).then_some(()))?;
    button("delete")?;
    press(&browser, "dialog .yes")?;
    wait::until("it to be gone", SOON, || {
        (http::get(g.livetape.http(), &target).send().ok()?.status == 404).then_some(())
    })
}

/// How loud a finished recording is stands at the player and in its line of the list.
fn is_as_loud_as_the_gateway_says(browser: &Browser, g: &Growing) -> Result<()> {
    browser.run("location.hash = '#/recordings/' + arguments[0]", json!([g.id]))?;
    let there = "
        const row = [...document.querySelectorAll('livetape-archive li')].find(row => row.recording.id === arguments[0]);
        row.scrollIntoView({ block: 'center' });
        return [row.querySelector('.loud').textContent, document.querySelector('livetape-player .loudness').textContent];
    ";
    let mut seen = Value::Null;
    let found = wait::until("how loud it is", 2 * SOON, || {
        let said = http::json(g.livetape.http(), &format!("/recordings/{}", g.id)).ok()?["loudness"].as_f64()?;
        let said = format!("{said:.1} LUFS").replace('-', "\u{2212}");
        seen = browser.run(there, json!([g.id])).ok()?;
        seen.as_array()?.iter().all(|one| one.as_str().is_some_and(|one| one.ends_with(&said))).then_some(())
    });
    found.with_context(|| seen.to_string())
}

#[test]
fn states_are_told() -> Result<()> {
    let g = Growing::start(silence, Duration::from_secs(5))?;
    let browser = opened(&g)?;
    state(&browser, "silent")?;
    let seconds = number(&browser, "player.deck.edge")?;
    wait::until("it to grow", SOON, || (number(&browser, "player.deck.edge").ok()? > seconds).then_some(()))?;
    // Not only as it was listed: events say so, too.
    state(&browser, "silent")?;
    wait::until("the player to say so", SOON, || {
        (text(&browser, "livetape-player .state")? == "silent").then_some(())
    })?;
    g.pusher.end(SOON)?;
    state(&browser, "ended")?;
    let about = text(&browser, "#streams .about").context("what is said of it")?;
    assert!(about.starts_with("lasted"), "{about}");
    Ok(())
}

#[test]
fn a_stream_whose_source_is_lost_says_so() -> Result<()> {
    // In processes of their own, so that the source can be lost alone.
    let data = tempfile::tempdir()?;
    let all = Start::new(data.path()).source("none").spawn()?;
    let capture = Start::capture(all.grpc()).args(["--stream", "far", "--source", "tone"]).spawn()?;
    let browser = Browser::start()?;
    browser.open(&all.url("/"))?;
    state(&browser, "live")?;
    capture.kill()?;
    state(&browser, "lost")?;
    all.stop()
}
