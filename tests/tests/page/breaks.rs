//! What ends, breaks off or goes on elsewhere while somebody listens.

use crate::{number, of_player, opened, press, text, until};
use anyhow::{Context, Result};
use livetape_testkit::process::Start;
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::player::Player;
use livetape_tests::tone;
use serde_json::json;
use std::time::Duration;

/// Takes what the element of the page plays as the numbers of its frames, which counting PCM carries; `jumps` are the places at
/// which one was not followed by the next, as `[last, next]`. What is silent says nothing.
const FRAMES: &str = "
    const { audio } = document.querySelector('livetape-player');
    const context = new AudioContext({ sampleRate: 48000 });
    const tap = context.createScriptProcessor(4096, 2, 2);
    const heard = window.heard = { last: null, count: 0, jumps: [], context, tap };
    tap.onaudioprocess = ({ inputBuffer }) => {
        const [low, high] = [0, 1].map(c => inputBuffer.getChannelData(c));
        for (let n = 0; n < low.length; n += 1) {
            const frame = Math.round(high[n] * 32768) * 65536 + (Math.round(low[n] * 32768) & 0xffff);
            if (low[n] === 0 && high[n] === 0) continue;
            if (heard.last !== null && frame !== heard.last + 1) heard.jumps.push([heard.last, frame]);
            heard.last = frame;
            heard.count += 1;
        }
    };
    context.createMediaElementSource(audio).connect(tap).connect(context.destination);
    await context.resume();
";

/// Frames that the browser takes out of an element before they sound, so that they are lost with it when it breaks.
const IN_FLIGHT: i64 = 24_000;

#[test]
fn goes_on_at_the_frame_where_it_stopped_when_the_gateway_was_away() -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::new(data.path()).source("counting");
    let livetape = start.spawn()?;
    let browser = Browser::start()?;
    browser.open(&livetape.url("/"))?;
    wait::until("some seconds", SOON, || (number(&browser, "player.deck?.edge").ok()? > 8.0).then_some(()))?;
    browser.run(FRAMES, json!([]))?;
    press(&browser, "livetape-player button.start")?;
    let heard = |what: &str| browser.run(&format!("return window.heard.{what}"), json!([]));
    wait::until("a second to be heard", SOON, || (heard("last").ok()?.as_i64()? > 48_000).then_some(()))?;
    let again = start.clone().on_ports_of(&livetape);
    livetape.kill()?;
    wait::until("the page to say that the gateway is away", SOON, || {
        text(&browser, "#status")?.contains("away").then_some(())
    })?;
    // What it had loaded is played first; then nothing is heard any more.
    let mut silent = (0, 0);
    let stopped = wait::until("silence", SOON, || {
        std::thread::sleep(Duration::from_millis(500));
        let last = heard("last").ok()?.as_i64()?;
        silent = if last == silent.0 { (last, silent.1 + 1) } else { (last, 0) };
        (silent.1 >= 4).then_some(last)
    })?;
    let before = heard("jumps")?.as_array().context("jumps")?.len();
    let livetape = again.spawn()?;
    wait::until("a second more", SOON, || (heard("last").ok()?.as_i64()? > stopped + 48_000).then_some(()))?;
    let jumps = heard("jumps")?;
    let jumps = jumps.as_array().context("jumps")?.iter().skip(before);
    let all: Vec<(i64, i64)> = jumps.map(|j| (j[0].as_i64().unwrap_or(0), j[1].as_i64().unwrap_or(0))).collect();
    let at_break = all.iter().find(|(last, _)| *last == stopped);
    let missed = at_break.map_or(0, |(last, next)| next - last - 1);
    println!("stopped at {stopped}, missed {missed} frames: {all:?}");
    assert!((-IN_FLIGHT..=IN_FLIGHT).contains(&missed), "stopped at {stopped}: {all:?}");
    livetape.stop()
}

#[test]
fn whoever_listens_to_a_stream_hears_it_go_on_in_the_next_recording() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(30))?;
    let browser = opened(&g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    press(&browser, "#streams button.live")?;
    until(&browser, "it to be live", "player.deck.live && player.deck.playing")?;
    browser.run("document.querySelector('livetape-stream details').open = true", json!([]))?;
    press(&browser, "livetape-stream button.again")?;
    let next = |id: &str| (!id.is_empty() && id != g.id).then(|| id.to_owned());
    let id = wait::until("the next recording in the player", SOON, || {
        next(of_player(&browser, "player.recording?.id").ok()?.as_str()?)
    })?;
    until(&browser, "it to go on", "player.deck.playing && player.audio.currentTime > 1")?;
    // Its frames begin at 0 again, the tone goes on counting.
    let heard = wait::until("a tone", SOON, || player.hear().ok()?)?;
    assert!(heard > 30, "second {heard}");
    assert_eq!(http::json(g.livetape.http(), "/streams/live")?["recording"]["id"], json!(id));
    Ok(())
}

#[test]
fn what_cannot_be_played_is_said_and_not_asked_for_for_ever() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(30))?;
    let browser = opened(&g)?;
    // A browser that plays no WAV, whatever it says: it gets text where audio should be.
    let script = "
        const { audio, deck } = document.querySelector('livetape-player');
        window.loads = [];
        Object.defineProperty(audio, 'src', {
            get: () => new URL(audio.getAttribute('src'), location.href).href,
            set: (address) => {
                window.loads.push(address);
                audio.setAttribute('src', address.includes('audio.wav') ? `/streams?after=${window.loads.length}` : address);
            },
        });
        deck.wanted = true;
        deck.seek(3);
    ";
    browser.run(script, json!([]))?;
    until(&browser, "another rendition to play", "player.deck.playing && player.audio.currentTime > 0.5")?;
    let loads = browser.run("return window.loads", json!([]))?;
    let loads: Vec<&str> = loads.as_array().context("addresses")?.iter().filter_map(|one| one.as_str()).collect();
    assert!(loads.len() <= 5 && !loads.last().context("one")?.contains("audio.wav"), "{loads:?}");
    assert!(text(&browser, "livetape-player > .trouble").unwrap_or_default().contains("cannot play"));
    Ok(())
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
