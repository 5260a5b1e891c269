//! Text of other people, a clock that is wrong, and a browser without scripts.

use crate::{number, of_player, opened, text, until};
use anyhow::{Context, Result};
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::tone;
use serde_json::json;
use std::time::Duration;

/// Markup, right-to-left text with what turns it round, emoji.
pub(crate) const HOSTILE: &str =
    "<img src=/nothing onerror=\"document.title='taken'\"> \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{202e}\u{1f3b5} &amp;";

#[test]
fn titles_of_other_people_stay_text_everywhere() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(20))?;
    let to = g.livetape.http();
    let target = format!("/recordings/{}", g.id);
    let named = http::request(to, "PATCH", &target, "1.1").json(&json!({"title": HOSTILE})).send()?.body()?;
    drop(named);
    // What is far too long is refused, and says so.
    for (method, target, body) in [
        ("PATCH", target.clone(), json!({"title": "x".repeat(100_000)})),
        ("POST", format!("{target}/marks"), json!({"text": "x".repeat(100_000), "frame": 48_000})),
    ] {
        let mut reply = http::request(to, method, &target, "1.1").json(&body).send()?;
        let said = String::from_utf8(reply.body()?)?;
        assert!((400..500).contains(&reply.status) && said.contains("hint"), "{} {said}", reply.status);
    }
    let browser = opened(&g)?;
    for place in ["#player-name", "#streams .playing bdi", "livetape-archive li .name bdi"] {
        wait::until(place, SOON, || (text(&browser, place)? == HOSTILE).then_some(()))?;
    }
    // The question with which it is named, too.
    browser.run("document.querySelector('livetape-archive .rename').click()", json!([]))?;
    let asked =
        "return [document.querySelector('dialog bdi').textContent, document.querySelector('dialog input').value]";
    assert_eq!(browser.run(asked, json!([]))?, json!([format!("Title of {HOSTILE}"), HOSTILE]));
    assert_eq!(browser.run("return [document.title, document.images.length]", json!([]))?, json!(["Livetape", 1]));
    let console = browser.console()?;
    assert!(!console.iter().any(|line| line.contains("SEVERE")), "{console:?}");
    Ok(())
}

#[test]
fn a_clock_that_is_an_hour_off_changes_nothing() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(30))?;
    let browser = Browser::start()?;
    let wrong = "
        const real = Date.now;
        Date.now = () => real() + 3600e3;
        const Real = Date;
        window.Date = class extends Real {
            constructor(...all) { if (all.length) super(...all); else super(real() + 3600e3); }
            static now() { return real() + 3600e3; }
        };
    ";
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": wrong}))?;
    browser.open(&g.livetape.url("/"))?;
    until(&browser, "the recording", "player.recording !== null && player.wave.tape.timeOf(0) !== null")?;
    // The time of day at the edge is the gateway's: that of its own clock, which this test has, too.
    let at_edge = number(&browser, "player.wave.tape.timeOf(player.deck.edge)")?;
    let here = livetape_testkit::grpc_source::now().unix_nanos() as f64 / 1e6;
    assert!((at_edge - here).abs() < 600_000.0, "{at_edge} and {here}");
    assert!(browser.run("return Date.now()", json!([]))?.as_f64().context("a time")? > here + 3_000_000.0);
    let shown = text(&browser, "livetape-archive h3").context("a day")?;
    assert!(shown == "Today" || shown == "Yesterday", "{shown}");
    of_player(&browser, "player.deck.goLive()")?;
    until(&browser, "it to be live", "player.deck.live && player.deck.playing && player.audio.currentTime > 0.3")
}

#[test]
fn without_scripts_everything_can_be_heard() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(20))?;
    let browser = Browser::start()?;
    browser.cdp("Emulation.setScriptExecutionDisabled", json!({"value": true}))?;
    browser.open(&g.livetape.url("/"))?;
    // The driver's own scripts run nevertheless.
    let link = "return document.querySelector('noscript a')?.getAttribute('href') ?? document.body.innerText";
    assert_eq!(browser.run(link, json!([]))?, "/plain");
    assert_eq!(browser.run("return document.querySelector('livetape-player').children.length", json!([]))?, 0);
    browser.open(&g.livetape.url("/plain"))?;
    let play = "
        const audio = document.querySelector('audio');
        await audio.play();
        return audio.currentSrc;
    ";
    let source = browser.run(play, json!([]))?;
    assert!(source.as_str().is_some_and(|source| source.contains("/audio.") || source.contains("/live.")), "{source}");
    wait::until("it to play", SOON, || {
        let time = browser.run("return document.querySelector('audio').currentTime", json!([])).ok()?;
        (time.as_f64()? > 0.5).then_some(())
    })
}
