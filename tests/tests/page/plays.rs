//! Listening, and who may: what the page shows of a stream, a login by token, and buttons for those who may press them.

use crate::telegram;
use anyhow::{Context, Result};
use livetape_access::{TokenHash, mint_token};
use livetape_testkit::grpc_source::now;
use livetape_testkit::process::Start;
use livetape_testkit::time_signal::decode;
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::SOON;
use livetape_tests::page::{of_player, press, text};
use livetape_tests::player::{Player, RATE};
use serde_json::json;
use std::ffi::OsString;

const DAY_MS: i64 = 86_400_000;

/// Presses the button and listens, all in the browser: a busy machine asks it too seldom for so short a time.
const START: &str = "
    document.querySelector('livetape-player button.start').click();
    await new Promise(done => setTimeout(done, 4500));
    return window.player.pieces.flatMap(piece => Array.from(piece, x => Math.round(x * 32767)));
";

#[test]
fn shows_the_stream_and_plays_it() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    let text = |selector: &str| text(&browser, selector);
    wait::until("the stream on the page", SOON, || (text("#streams .name")? == "live").then_some(()))?;
    wait::until("its state", SOON, || (text("#streams .state")? == "live").then_some(()))?;
    let length = || text("livetape-player .tail").unwrap_or_default();
    let before = length();
    wait::until("the length to grow on the page", SOON, || (length() != before).then_some(()))?;

    let player = Player::of_page(&browser, "livetape-player audio")?;
    let click = |button: &str| browser.run("document.querySelector(arguments[0]).click()", json!([button]));
    click("#streams button.live")?;
    let live = telegram(&player, "a telegram", |_| true)?;
    let late = now().unix_nanos() / 1_000_000 % DAY_MS - i64::from(live.time_of_day_ms);
    assert!((0..8_000).contains(&late.rem_euclid(DAY_MS)), "{late} ms late: {live:?}");

    // Let it go on until the start is clearly somewhere else.
    let live = telegram(&player, "second 8", |t| t.second >= 8)?;
    let start = browser.run(START, json!([]))?;
    let start: Vec<f32> =
        start.as_array().context("samples")?.iter().map(|v| v.as_i64().unwrap_or(0) as f32 / 32768.0).collect();
    let start = decode(&start, RATE).last().copied().context("a telegram from the start of the tape")?;
    assert!(start.second <= 4, "{start:?}");
    let apart = i64::from(live.time_of_day_ms) - i64::from(start.time_of_day_ms);
    let seconds = i64::from(live.second) - i64::from(start.second);
    assert!((apart.rem_euclid(DAY_MS) - seconds * 1000).abs() <= 20, "{live:?} {start:?}");

    let console = browser.console()?;
    assert!(!console.iter().any(|line| line.contains("SEVERE")), "{console:?}");
    assert_eq!(text("livetape-player > .trouble").unwrap_or_default(), "");
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
    let player = Player::of_page(&browser, "livetape-player audio")?;
    run("document.querySelector(arguments[0]).click()", "#streams button.live")?;
    telegram(&player, "a telegram, by the cookie", |_| true)?;
    assert_eq!(run("return document.cookie", "")?, json!(""), "no script reads it");
    run("document.getElementById(arguments[0]).click()", "logout")?;
    wait::until("the form to log in again", SOON, || shown("login"))?;
    livetape.stop()
}

#[test]
fn only_what_one_may_change_can_be_changed() -> Result<()> {
    let data = tempfile::tempdir()?;
    let token = mint_token()?;
    let hash = TokenHash::of(&token);
    let file = data.path().join("access.toml");
    let grants = r#"["listen:*", "manage:mine*"]"#;
    std::fs::write(&file, format!("[[token]]\nname = \"ann\"\nsha256 = \"{hash}\"\ngrants = {grants}\n"))?;
    let streams = ["--stream", "mine-a", "--source", "tone", "--stream", "theirs", "--source", "tone"];
    let mut args: Vec<OsString> = streams.map(OsString::from).into();
    args.extend([OsString::from("--access"), file.into()]);
    let livetape = Start::new(data.path().join("data")).args(args).spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    let log_in = "
        document.getElementById('token').value = arguments[0];
        document.getElementById('login').requestSubmit();
    ";
    browser.run(log_in, json!([token.reveal()]))?;
    let buttons = "
        return [...document.querySelectorAll('livetape-stream')].map(card =>
            [card.stream.name, card.again.hidden, card.seal.hidden]).sort();
    ";
    let mut seen = json!(null);
    let expected = json!([["mine-a", false, false], ["theirs", true, true]]);
    let found = wait::until("both streams, each with its buttons", SOON, || {
        seen = browser.run(buttons, json!([])).ok()?;
        (seen == expected).then_some(())
    });
    found.with_context(|| seen.to_string())?;
    let rows = "
        return [...document.querySelectorAll('livetape-archive li')].map(row =>
            [row.recording.stream, row.querySelector('.rename') !== null]).sort();
    ";
    let expected = json!([["mine-a", true], ["theirs", false]]);
    wait::until("the rows", SOON, || (browser.run(rows, json!([])).ok()? == expected).then_some(()))?;
    for (stream, may) in [("mine-a", true), ("theirs", false)] {
        browser.run("location.hash = '#/streams/' + arguments[0]", json!([stream]))?;
        wait::until("the stream in the player", SOON, || {
            (of_player(&browser, "player.recording?.stream").ok()? == stream).then_some(())
        })?;
        assert_eq!(of_player(&browser, "!player.tools.mark.hidden")?, may, "{stream}");
    }
    press(&browser, "#logout")?;
    livetape.stop()
}
