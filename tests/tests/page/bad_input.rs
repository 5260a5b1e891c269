//! Text of other people, a clock that is wrong, and a browser without scripts.

use crate::opened;
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::card::Card;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{number, of_player, text, until};
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

/// Presses the middle of what has this selector, `n`th of its kind, as a hand does; `None` is where an audio element has its button.
fn hand(browser: &Browser, selector: &str, n: usize, from_left: Option<f64>) -> Result<()> {
    // The driver's own scripts run even where the page's do not.
    let place = "
        const [selector, n, left] = arguments;
        const one = document.querySelectorAll(selector)[n];
        one.scrollIntoView({ block: 'center' });
        const box = one.getBoundingClientRect();
        return [box.left + (left ?? box.width / 2), box.top + box.height / 2];
    ";
    let place = browser.run(place, json!([selector, n, from_left]))?;
    browser.click((place[0].as_f64().context("x")?, place[1].as_f64().context("y")?))
}

/// Where the browser's own controls have the button that plays.
const PLAY: Option<f64> = Some(26.0);

/// Waits until another page is there.
fn arrives(browser: &Browser, path: &str) -> Result<()> {
    let at = || browser.run("return document.readyState === 'complete' && location.pathname", json!([])).ok();
    wait::until(path, SOON, || (at()? == path).then_some(()))
}

#[test]
fn without_scripts_everything_can_be_heard() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(40))?;
    let card = Card::new()?;
    let browser = Browser::chromium(&card)?;
    browser.resize(1280, 900)?;
    browser.cdp("Emulation.setScriptExecutionDisabled", json!({"value": true}))?;
    browser.open(&g.livetape.url("/"))?;
    assert_eq!(browser.run("return document.querySelector('livetape-player').children.length", json!([]))?, 0);
    hand(&browser, "noscript a", 0, None)?;
    arrives(&browser, "/plain")?;

    // What is recorded now, by the browser's own button.
    let edge = || stereo().duration(g.pusher.captured().since(Frame::ZERO)).as_secs();
    let is_live = |heard: u64| {
        let behind = (edge() + 100 - heard) % 100;
        // On a busy machine far behind, but not at the start.
        ensure!(behind < 30, "hears second {heard}, {behind} s behind");
        Ok(())
    };
    hand(&browser, "audio", 0, PLAY)?;
    is_live(card.hears_something(SOON)?)?;
    hand(&browser, "audio", 0, PLAY)?;
    card.quiet(SOON)?;
    // The recording, from its first second on, one after the other.
    hand(&browser, "audio", 1, PLAY)?;
    (0..4).try_for_each(|second| card.hears(second, SOON))?;
    hand(&browser, "audio", 1, PLAY)?;
    card.quiet(SOON)?;
    // Links: the stream by itself.
    hand(&browser, "a[href$='live.wav']", 0, None)?;
    arrives(&browser, "/streams/live/live.wav")?;
    is_live(card.hears_something(SOON)?)
}
