//! What is done with streams and recordings by buttons, and how each state looks.

use crate::opened;
use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_testkit::process::Start;
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{number, press, text, until};
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

const ON_DEMAND: &str = "allow_streams = [\"court-*\"]\n[[stream]]\nname = \"court-*\"\nrecord = \"on-demand\"\n";

#[test]
fn what_is_recorded_on_demand_is_begun_and_finished_by_buttons() -> Result<()> {
    let (data, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let config = other.path().join("livetape.toml");
    std::fs::write(&config, ON_DEMAND)?;
    let recorder = Start::recorder(data.path()).args(["--config".as_ref(), config.as_os_str()]).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    let source = ["--stream", "court-1", "--source", "tone", "--rate", "8000"];
    let capture = Start::capture(recorder.grpc()).args(source).spawn()?;
    let browser = Browser::start()?;
    browser.open(&gateway.url("/"))?;
    state(&browser, "idle")?;
    let shown = "
        const seen = (name) => document.querySelector(`livetape-stream button.${name}`)?.checkVisibility() ?? false;
        return [seen('record'), seen('live'), document.querySelector('#streams .about').textContent];
    ";
    assert_eq!(browser.run(shown, json!([]))?, json!([true, false, "recorded on demand"]));
    press(&browser, "livetape-stream button.record")?;
    state(&browser, "live")?;
    wait::until("it to grow in the player", SOON, || {
        (number(&browser, "player.deck?.edge").ok()? > 1.0).then_some(())
    })?;
    assert_eq!(browser.run(shown, json!([]))?[0], false);
    browser.run("document.querySelector('livetape-stream details').open = true", json!([]))?;
    press(&browser, "livetape-stream button.seal")?;
    press(&browser, "dialog .yes")?;
    state(&browser, "idle")?;
    let recordings = http::json(gateway.http(), "/recordings")?;
    let all = recordings["recordings"].as_array().context("a list")?;
    assert!(all.len() == 1 && !all[0]["sealed"].is_null(), "{recordings}");
    capture.stop()?;
    gateway.stop()?;
    recorder.stop()
}

#[test]
fn what_others_change_takes_no_focus_away() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(20))?;
    let browser = opened(&g)?;
    let to = g.livetape.http();
    let target = format!("/recordings/{}", g.id);
    let marked = |frame: u64, words: &str| -> Result<()> {
        let mark = json!({"text": words, "frame": frame});
        let status = http::request(to, "POST", &format!("{target}/marks"), "1.1").json(&mark).send()?.status;
        assert_eq!(status, 201);
        Ok(())
    };
    let is_focused = |what: &str| {
        let script = "return document.activeElement === window.focused && window.focused.isConnected";
        wait::until(what, SOON, || (browser.run(script, json!([])).ok()? == true).then_some(()))
    };
    marked(480_000, "first")?;
    until(&browser, "the mark", "player.marks.list.children.length === 1")?;
    browser.run("(window.focused = document.querySelector('livetape-marks li button')).focus()", json!([]))?;
    marked(240_000, "before it")?;
    until(&browser, "the other mark, in its place", "player.marks.list.children[1]?.textContent.includes('first')")?;
    is_focused("the mark")?;

    // In the list: a menu that is open, while something else happens to the same recording, and to another one.
    let opens = "
        const menu = document.querySelector('livetape-archive li details');
        menu.open = true;
        menu.querySelector('.lock').focus();
    ";
    wait::until("the row", SOON, || (browser.run(opens, json!([])).is_ok()).then_some(()))?;
    assert_eq!(http::request(to, "PATCH", &target, "1.1").json(&json!({"title": "Evensong"})).send()?.status, 200);
    browser.run("document.dispatchEvent(new Event('changed'))", json!([]))?;
    wait::until("its title", SOON, || (text(&browser, "livetape-archive li .name")? == "Evensong").then_some(()))?;
    let focused = "
        window.focused = document.activeElement;
        return [document.activeElement.className, document.activeElement.closest('li')?.recording.id, document.activeElement.closest('details')?.open];
    ";
    assert_eq!(browser.run(focused, json!([]))?, json!(["lock", g.id, true]));
    let begun = http::request(to, "POST", "/streams/live/recordings", "1.1").header("Content-Length", "0").send()?;
    assert_eq!(begun.status, 201);
    let rows = "return document.querySelectorAll('livetape-archive li').length";
    wait::until("another row", SOON, || (browser.run(rows, json!([])).ok()?.as_u64()? > 1).then_some(()))?;
    assert_eq!(browser.run(focused, json!([]))?, json!(["lock", g.id, true]));
    Ok(())
}
