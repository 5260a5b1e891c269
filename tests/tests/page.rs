//! The page at `/` in Chromium, as a person uses it: plays live and from the start, is dragged back, marks, keeps a part, goes on
//! after the gateway was away. What is heard is read from the time signal, which says for every second where on the tape it is and
//! what time it was, or from a tone for each second. Pictures of it are kept in `target/pictures`.

use anyhow::{Context, Result};
use livetape_access::{TokenHash, mint_token};
use livetape_testkit::grpc_source::now;
use livetape_testkit::http;
use livetape_testkit::process::Start;
use livetape_testkit::time_signal::{Telegram, decode};
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::player::{Player, RATE};
use livetape_tests::{tone, tools};
use serde_json::{Value, json};
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
    let text = |selector: &str| {
        let text = browser.run("return document.querySelector(arguments[0])?.textContent", json!([selector])).ok()?;
        text.as_str().map(str::to_owned)
    };
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

/// Keeps a picture for whoever wants to look.
fn picture(browser: &Browser, name: &str, width: u32, height: u32) -> Result<()> {
    let folder = tools::project().join("target/pictures");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(name), browser.picture(width, height)?)?;
    Ok(())
}

/// The middle of the waveform at `part` of its width, in CSS pixels of the window.
fn on_wave(browser: &Browser, part: f64) -> Result<(f64, f64)> {
    let script = "
        const box = document.querySelector('livetape-waveform .main').getBoundingClientRect();
        return [box.left + arguments[0] * box.width, box.top + box.height / 2];
    ";
    let place = browser.run(script, json!([part]))?;
    Ok((place[0].as_f64().context("x")?, place[1].as_f64().context("y")?))
}

/// A value of the page's player.
fn of_player(browser: &Browser, what: &str) -> Result<Value> {
    browser.run(&format!("const player = document.querySelector('livetape-player'); return {what}"), json!([]))
}

const HOSTILE: &str =
    "<img src=/nothing onerror=\"document.title='taken'\"> \u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{202e}\u{1f3b5} &amp;";

#[test]
fn dragged_back_marked_kept_and_live_again() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(90))?;
    let browser = Browser::start()?;
    browser.picture(1200, 900)?;
    browser.open(&g.livetape.url("/"))?;
    let player_open = || (of_player(&browser, "player.deck?.recording?.id").ok()? == json!(g.id)).then_some(());
    wait::until("the stream to be open in the player", SOON, player_open)?;
    browser.keys("l")?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    wait::until("it to be live", SOON, || {
        (of_player(&browser, "player.deck.live && player.deck.playing").ok()? == true).then_some(())
    })?;

    // Back to where the hand lets go: the page says which second that is, and that second is heard.
    browser.keys("0")?;
    browser.drag(on_wave(&browser, 0.9)?, on_wave(&browser, 0.3)?)?;
    let at = of_player(&browser, "[player.deck.position, player.wave.view.from + 0.3 * player.wave.view.length]")?;
    let (at, aimed) = (at[0].as_f64().context("a position")?, at[1].as_f64().context("a place")?);
    assert!((at - aimed).abs() < 4.0, "at {at}, aimed at {aimed}");
    player.hears(at as u64 + 1, SOON)?;
    assert_eq!(of_player(&browser, "player.deck.live")?, false);

    // A mark at the place where the key was pressed, whose text is other people's and stays text.
    browser.keys("m")?;
    let marked = of_player(&browser, "player.deck.position")?.as_f64().context("a position")?;
    let write = "
        const form = document.querySelector('livetape-marks form');
        form.querySelector('input').value = arguments[0];
        form.requestSubmit();
    ";
    browser.run(write, json!([HOSTILE]))?;
    let text = "return document.querySelector('livetape-marks li bdi')?.textContent";
    wait::until("the mark on the page", SOON, || (browser.run(text, json!([])).ok()? == HOSTILE).then_some(()))?;
    assert_eq!(browser.run("return [document.title, document.images.length]", json!([]))?, json!(["Livetape", 1]));
    let timeline = http::json(g.livetape.http(), &format!("/recordings/{}/timeline", g.id))?;
    let mark = timeline["entries"].as_array().context("entries")?.iter().find(|e| e["type"] == "mark").cloned();
    let frame = mark.context("the mark")?["frame"].as_f64().context("a frame")?;
    assert!((frame / f64::from(RATE) - marked).abs() < 2.0, "frame {frame} for {marked} s");

    // Thirty seconds from here as a file, and the link that opens here.
    browser.keys("[")?;
    let kept = "
        const link = document.querySelector('livetape-selection a.wav');
        const { from, to } = document.querySelector('livetape-waveform').selection;
        const body = await (await fetch(link.href)).arrayBuffer();
        return [to - from, body.byteLength];
    ";
    let kept = browser.run(kept, json!([]))?;
    let (length, bytes) = (kept[0].as_f64().context("a length")?, kept[1].as_f64().context("bytes")?);
    let expected = length * f64::from(RATE) * 4.0;
    assert!(length > 1.0 && (expected..expected + 2_000.0).contains(&bytes), "{bytes} bytes for {length} s");
    // By hand in another rendition, at the same place.
    let before = of_player(&browser, "player.deck.position")?.as_f64().context("a position")?;
    let choose = "
        const select = document.querySelector('livetape-player [aria-label=Rendition]');
        select.value = 'opus';
        select.dispatchEvent(new Event('change'));
    ";
    browser.run(choose, json!([]))?;
    player.hears(before as u64 + 2, SOON)?;
    let source = of_player(&browser, "player.audio.currentSrc")?;
    assert!(source.as_str().is_some_and(|source| source.contains("audio.opus")), "{source}");
    picture(&browser, "player.png", 1200, 900)?;
    picture(&browser, "player-small.png", 390, 844)?;

    browser.keys("l")?;
    wait::until("it to be live again", SOON, || (of_player(&browser, "player.deck.live").ok()? == true).then_some(()))?;
    let edge = of_player(&browser, "player.deck.edge")?.as_f64().context("an edge")?;
    player.hears(edge as u64 + 1, SOON)
}

#[test]
fn goes_on_from_the_same_frame_after_the_gateway_was_away() -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::new(data.path());
    let livetape = start.spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    wait::until("some seconds", SOON, || {
        (of_player(&browser, "player.deck?.edge").ok()?.as_f64()? > 8.0).then_some(())
    })?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    browser.run("document.querySelector('livetape-player button.start').click()", json!([]))?;
    telegram(&player, "second 2", |t| t.second >= 2)?;
    let again = start.clone().on_ports_of(&livetape);
    livetape.kill()?;
    wait::until("the page to say that the gateway is away", SOON, || {
        (browser
            .run("return document.getElementById('status').textContent", json!([]))
            .ok()?
            .as_str()?
            .contains("away"))
        .then_some(())
    })?;
    let stopped = of_player(&browser, "player.deck.position")?.as_f64().context("a position")?;
    let livetape = again.spawn()?;
    // What it had is played; then it goes on there, and nowhere else.
    let on = telegram(&player, "a second that it had not loaded", |t| f64::from(t.second) > stopped + 1.0)?;
    let now = of_player(&browser, "player.deck.position")?.as_f64().context("a position")?;
    assert!((now - f64::from(on.second)).abs() < 6.0, "at {now}, hears {on:?}");
    livetape.stop()
}

#[test]
fn a_recording_that_is_deleted_while_it_plays_is_said_to_be_gone() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(300))?;
    let browser = Browser::start()?;
    g.pusher.end(SOON)?;
    browser.open(&g.livetape.url(&format!("/#/recordings/{}?pos=20", g.id)))?;
    wait::until("the recording in the player", SOON, || {
        (of_player(&browser, "player.deck?.recording?.id").ok()? == json!(g.id)).then_some(())
    })?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    browser.keys(" ")?;
    player.hears(21, SOON)?;
    let delete = "return (await fetch('/recordings/' + arguments[0], { method: 'DELETE' })).status";
    assert_eq!(browser.run(delete, json!([g.id]))?, 204);
    of_player(&browser, "player.deck.seek(200)")?;
    wait::until("that it is gone", SOON, || {
        let said =
            browser.run("return document.querySelector('livetape-player > .trouble').textContent", json!([])).ok()?;
        said.as_str()?.contains("deleted").then_some(())
    })?;
    Ok(())
}
