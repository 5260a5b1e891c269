//! The page at `/` in Chromium, as a person uses it: plays live and from the start, is dragged back, marks, keeps a part, goes on
//! after the gateway was away. What is heard is read from the time signal, which says for every second where on the tape it is and
//! what time it was, or from a tone for each second. Pictures of it are kept in `target/pictures`.

mod archive;
mod bad_input;
mod breaks;
mod clips;
mod hands;
mod long;
mod looks;
mod manage;
mod monitor;
mod plays;

use anyhow::{Context, Result};
use livetape_testkit::time_signal::{Telegram, decode};
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::player::{Player, RATE};
use livetape_tests::tools;
use serde_json::{Value, json};
use std::time::Duration;

/// Waits for a telegram that `fits`.
pub(crate) fn telegram(player: &Player<'_>, what: &str, fits: impl Fn(&Telegram) -> bool) -> Result<Telegram> {
    let mut seen = Vec::new();
    let found = wait::until(what, SOON, || {
        let samples = player.samples(Duration::from_secs(4)).ok()?;
        seen = decode(&samples, RATE);
        seen.iter().copied().rev().find(|t| fits(t))
    });
    found.with_context(|| format!("heard {seen:?}; {:?}", player.state()))
}

/// Keeps a picture for whoever wants to look.
pub(crate) fn picture(browser: &Browser, name: &str, width: u32, height: u32) -> Result<()> {
    let folder = tools::project().join("target/pictures");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), browser.picture(width, height)?)?;
    Ok(())
}

/// The middle of the waveform at `part` of its width, in CSS pixels of the window.
pub(crate) fn on_wave(browser: &Browser, part: f64) -> Result<(f64, f64)> {
    let script = "
        const box = document.querySelector('livetape-waveform .main').getBoundingClientRect();
        return [box.left + arguments[0] * box.width, box.top + box.height / 2];
    ";
    let place = browser.run(script, json!([part]))?;
    Ok((place[0].as_f64().context("x")?, place[1].as_f64().context("y")?))
}

/// A value of the page's player.
pub(crate) fn of_player(browser: &Browser, what: &str) -> Result<Value> {
    browser.run(&format!("const player = document.querySelector('livetape-player'); return {what}"), json!([]))
}

/// A text on the page; `None` while there is no such element.
pub(crate) fn text(browser: &Browser, selector: &str) -> Option<String> {
    let text = browser.run("return document.querySelector(arguments[0])?.textContent", json!([selector])).ok()?;
    text.as_str().map(str::to_owned)
}

/// Waits until a value of the page's player is true.
pub(crate) fn until(browser: &Browser, what: &str, holds: &str) -> Result<()> {
    let mut last = Value::Null;
    let found = wait::until(what, SOON, || {
        last = of_player(browser, holds).ok()?;
        (last == true).then_some(())
    });
    found.with_context(|| format!("{holds} is {last}; {:?}", of_player(browser, "player.deck?.trouble")))
}

/// Presses what has this selector, once it is there and can be pressed.
pub(crate) fn press(browser: &Browser, selector: &str) -> Result<()> {
    let script = "
        const button = document.querySelector(arguments[0]);
        if (!button?.checkVisibility() || button.disabled) return false;
        button.click();
        return true;
    ";
    wait::until(selector, SOON, || (browser.run(script, json!([selector])).ok()? == true).then_some(()))
}

/// The page with a growing recording in its player.
pub(crate) fn opened(g: &Growing) -> Result<Browser> {
    let browser = Browser::start()?;
    browser.picture(1280, 900)?;
    browser.open(&g.livetape.url("/"))?;
    let open = json!(g.id);
    wait::until("the recording in the player", SOON, || {
        (of_player(&browser, "player.deck?.recording?.id").ok()? == open).then_some(())
    })?;
    Ok(browser)
}

/// A number of the page's player.
pub(crate) fn number(browser: &Browser, what: &str) -> Result<f64> {
    of_player(browser, what)?.as_f64().with_context(|| format!("{what} is no number"))
}
