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
use livetape_tests::page;
use livetape_tests::player::{Player, RATE};
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

/// The page in Chromium with a growing recording in its player.
pub(crate) fn opened(g: &Growing) -> Result<Browser> {
    let browser = Browser::start()?;
    page::open(&browser, g)?;
    Ok(browser)
}
