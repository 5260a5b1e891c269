//! The page at `/` in Chromium: it shows the stream and plays it, live and from the start. What is heard is read from
//! the time signal, which says for every second where on the tape it is and what time it was.

use anyhow::{Context, Result};
use livetape_access::{TokenHash, mint_token};
use livetape_testkit::grpc_source::now;
use livetape_testkit::process::Start;
use livetape_testkit::time_signal::{Telegram, decode};
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::SOON;
use livetape_tests::player::{Player, RATE};
use serde_json::json;
use std::ffi::OsString;
use std::time::Duration;

const DAY_MS: i64 = 86_400_000;

/// Waits for a telegram that `fits`.
fn telegram(player: &Player<'_>, what: &str, fits: impl Fn(&Telegram) -> bool) -> Result<Telegram> {
    let mut seen = Vec::new();
    let found = wait::until(what, SOON, || {
        let samples = player.samples(Duration::from_secs(4)).ok()?;
        seen = decode(&samples, RATE);
        seen.iter().copied().rev().find(|t| fits(t))
    });
    found.with_context(|| format!("heard {seen:?}; {:?}", player.state()))
}

#[test]
fn shows_the_stream_and_plays_it() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    let text = |selector: &str| {
        let text = browser.run("return document.querySelector(arguments[0])?.textContent", json!([selector])).ok()?;
        text.as_str().map(str::to_owned)
    };
    wait::until("the stream on the page", SOON, || (text("#streams .name")? == "live").then_some(()))?;
    wait::until("its state", SOON, || (text("#streams .state")? == "live").then_some(()))?;
    let length = || text("#streams .tail").unwrap_or_default();
    let before = length();
    wait::until("the length to grow on the page", SOON, || (length() != before).then_some(()))?;

    let player = Player::of_page(&browser, "#streams audio")?;
    let click = |button: &str| browser.run("document.querySelector(arguments[0]).click()", json!([button]));
    click("#streams button.live")?;
    let live = telegram(&player, "a telegram", |_| true)?;
    let late = now().unix_nanos() / 1_000_000 % DAY_MS - i64::from(live.time_of_day_ms);
    assert!((0..8_000).contains(&late.rem_euclid(DAY_MS)), "{late} ms late: {live:?}");

    // Let it go on until the start is clearly somewhere else.
    telegram(&player, "second 8", |t| t.second >= 8)?;
    click("#streams button.start")?;
    let start = telegram(&player, "the start of the tape", |t| t.second <= 2)?;
    let apart = i64::from(live.time_of_day_ms) - i64::from(start.time_of_day_ms);
    let seconds = i64::from(live.second) - i64::from(start.second);
    assert!((apart.rem_euclid(DAY_MS) - seconds * 1000).abs() <= 20, "{live:?} {start:?}");

    let console = browser.console()?;
    assert!(!console.iter().any(|line| line.contains("SEVERE")), "{console:?}");
    assert_eq!(text("#streams .trouble").unwrap_or_default(), "");
    livetape.stop()
}

#[test]
fn whoever_has_a_token_logs_in_and_listens() -> Result<()> {
    let data = tempfile::tempdir()?;
    let token = mint_token()?;
    let hash = TokenHash::of(&token);
    let file = data.path().join("access.toml");
    std::fs::write(&file, format!("[[token]]\nname = \"ann\"\nsha256 = \"{hash}\"\ngrants = [\"listen:*\"]\n"))?;
    let livetape = Start::new(data.path().join("data")).args([OsString::from("--access"), file.into()]).spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    let run = |script: &str, argument: &str| browser.run(script, json!([argument]));
    let shown = |id: &str| {
        let hidden = run("return document.getElementById(arguments[0]).hidden", id).ok()?;
        (hidden == json!(false)).then_some(())
    };
    wait::until("the form to log in", SOON, || shown("login"))?;
    let log_in =
        "document.getElementById('token').value = arguments[0]; document.getElementById('login').requestSubmit()";
    run(log_in, "lt_wrong")?;
    wait::until("that it was wrong", SOON, || {
        let said = run("return document.getElementById(arguments[0]).textContent", "refused").ok()?;
        said.as_str()?.contains("not known").then_some(())
    })?;
    run(log_in, token.reveal())?;
    wait::until("the stream on the page", SOON, || {
        let name = run("return document.querySelector(arguments[0])?.textContent", "#streams .name").ok()?;
        (name == "live").then_some(())
    })?;
    shown("logout").context("the way out")?;
    let player = Player::of_page(&browser, "#streams audio")?;
    run("document.querySelector(arguments[0]).click()", "#streams button.live")?;
    telegram(&player, "a telegram, by the cookie", |_| true)?;
    assert_eq!(run("return document.cookie", "")?, json!(""), "no script reads it");
    run("document.getElementById(arguments[0]).click()", "logout")?;
    wait::until("the form to log in again", SOON, || shown("login"))?;
    livetape.stop()
}
