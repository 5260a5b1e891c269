//! The page at `/` in a browser: what its player says, and places on it. What a person does there, one thing after the other, is in
//! [`steps`] and [`controls`], what breaks off meanwhile in [`breaks`]; whoever listens is [`Ears`].

pub mod breaks;
pub mod controls;
pub mod steps;

use crate::growing::{Growing, SOON};
use crate::player::Player;
use crate::tools;
use anyhow::{Context, Result, bail};
use livetape_testkit::card::Card;
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use serde_json::{Value, json};
use std::time::Instant;

/// Seconds by which it may be late: a busy machine does not listen all the time.
const LATE: u64 = 4;

/// Whoever listens to the tone that says the second.
pub trait Ears {
    /// Waits until this second is heard, or one of the next three.
    ///
    /// # Errors
    /// When it is not in time; with what was heard.
    fn hears(&self, second: u64) -> Result<()>;
}

impl Ears for Player<'_> {
    fn hears(&self, second: u64) -> Result<()> {
        Player::hears(self, second, SOON)
    }
}

impl Ears for Card {
    fn hears(&self, second: u64) -> Result<()> {
        let (deadline, mut heard) = (Instant::now() + SOON, Vec::new());
        while let Ok(now) = self.hears_something(deadline.saturating_duration_since(Instant::now())) {
            if (0..LATE).any(|late| now == (second + late) % 100) {
                return Ok(());
            }
            if heard.last() != Some(&now) {
                heard.push(now);
            }
        }
        bail!("second {second} was not heard, but {heard:?}")
    }
}

/// Keeps a picture for whoever wants to look.
///
/// # Errors
/// When the browser makes none.
pub fn picture(browser: &Browser, name: &str, width: u32, height: u32) -> Result<()> {
    let folder = tools::project().join("target/pictures");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), browser.picture(width, height)?)?;
    Ok(())
}

/// The middle of the waveform at `part` of its width, in CSS pixels of the window.
///
/// # Errors
/// When there is none.
pub fn on_wave(browser: &Browser, part: f64) -> Result<(f64, f64)> {
    let script = "
        const box = document.querySelector('livetape-waveform .main').getBoundingClientRect();
        return [box.left + arguments[0] * box.width, box.top + box.height / 2];
    ";
    let place = browser.run(script, json!([part]))?;
    Ok((place[0].as_f64().context("x")?, place[1].as_f64().context("y")?))
}

/// A value of the page's player.
///
/// # Errors
/// When it cannot be asked.
pub fn of_player(browser: &Browser, what: &str) -> Result<Value> {
    browser.run(&format!("const player = document.querySelector('livetape-player'); return {what}"), json!([]))
}

/// A number of the page's player.
///
/// # Errors
/// When it is none.
pub fn number(browser: &Browser, what: &str) -> Result<f64> {
    of_player(browser, what)?.as_f64().with_context(|| format!("{what} is no number"))
}

/// A text on the page; `None` while there is no such element.
pub fn text(browser: &Browser, selector: &str) -> Option<String> {
    let text = browser.run("return document.querySelector(arguments[0])?.textContent", json!([selector])).ok()?;
    text.as_str().map(str::to_owned)
}

/// Waits until a value of the page's player is true.
///
/// # Errors
/// When it does not become true; with what it is.
pub fn until(browser: &Browser, what: &str, holds: &str) -> Result<()> {
    let mut last = Value::Null;
    let found = wait::until(what, SOON, || {
        last = of_player(browser, holds).ok()?;
        (last == true).then_some(())
    });
    found.with_context(|| format!("{holds} is {last}; {:?}", of_player(browser, "player.deck?.trouble")))
}

/// Presses what has this selector, once it is there and can be pressed.
///
/// # Errors
/// When it cannot.
pub fn press(browser: &Browser, selector: &str) -> Result<()> {
    let script = "
        const button = document.querySelector(arguments[0]);
        if (!button?.checkVisibility() || button.disabled) return false;
        button.click();
        return true;
    ";
    wait::until(selector, SOON, || (browser.run(script, json!([selector])).ok()? == true).then_some(()))
}

/// Opens the page with a growing recording in its player.
///
/// # Errors
/// When it is not there in time.
pub fn open(browser: &Browser, g: &Growing) -> Result<()> {
    browser.resize(1280, 900)?;
    browser.open(&g.livetape.url("/#/streams/live"))?;
    let open = json!(g.id);
    wait::until("the recording in the player", SOON, || {
        (of_player(browser, "player.deck?.recording?.id").ok()? == open).then_some(())
    })
}
