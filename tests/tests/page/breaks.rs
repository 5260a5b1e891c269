//! What ends, breaks off or goes on elsewhere while somebody listens.

use crate::opened;
use anyhow::{Context, Result};
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{self, breaks, controls, number, of_player, press, text, until};
use livetape_tests::player::Player;
use livetape_tests::tone;
use serde_json::json;
use std::time::Duration;

#[test]
fn goes_on_at_the_frame_where_it_stopped_when_the_gateway_was_away() -> Result<()> {
    breaks::goes_on_after_a_kill(&Browser::start()?)
}

#[test]
fn goes_on_at_the_frame_where_it_stopped_when_nothing_came_any_more() -> Result<()> {
    breaks::goes_on_after_silence(&Browser::start()?)
}

/// From now on the first requests for a recording that is to be opened fail.
const FAILING: &str = "
    const real = window.fetch;
    window.failed = 0;
    window.fetch = (address, ...more) => {
        const opens = /^.recordings.[^/?]+$/.test(address) && new Error().stack.includes('opener.js');
        if (!opens || window.failed >= 2) return real(address, ...more);
        window.failed += 1;
        return Promise.reject(new TypeError('no way to there'));
    };
";

#[test]
fn whoever_listens_to_a_stream_hears_it_go_on_in_the_next_recording() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(30))?;
    let browser = opened(&g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    press(&browser, "#streams button.live")?;
    until(&browser, "it to be live", "player.deck.live && player.deck.playing")?;
    browser.run(FAILING, json!([]))?;
    let id = controls::begins_a_new_tape(&browser)?;
    until(&browser, "it to go on", "player.deck.playing && player.audio.currentTime > 1")?;
    // Its frames begin at 0 again, the tone goes on counting.
    let heard = wait::until("a tone", SOON, || player.hear().ok()?)?;
    assert!(heard > 30, "second {heard}");
    assert_eq!(http::json(g.livetape.http(), "/streams/live")?["recording"]["id"], json!(id));
    assert_eq!(browser.run("return window.failed", json!([]))?, 2, "once is not enough to give up");
    Ok(())
}

/// Begins a new tape as somebody elsewhere does it, and waits until the page lists so many.
fn rolls(browser: &Browser, g: &Growing, rows: usize) -> Result<()> {
    let begun =
        http::request(g.livetape.http(), "POST", "/streams/live/recordings", "1.1").header("Content-Length", "0");
    assert_eq!(begun.send()?.status, 201);
    let listed = "return document.querySelectorAll('livetape-archive li').length";
    wait::until("it in the list", SOON, || {
        (browser.run(listed, json!([])).ok()?.as_u64()? as usize >= rows).then_some(())
    })
}

#[test]
fn whoever_has_chosen_a_place_keeps_it_when_the_recording_is_another() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(30))?;
    let browser = opened(&g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    browser.run("performance.setResourceTimingBufferSize(10_000)", json!([]))?;
    // Who waits at the edge, and has done nothing yet, sees what is recorded now.
    rolls(&browser, &g, 2)?;
    until(&browser, "the next recording", &format!("player.recording.id !== '{}'", g.id))?;
    until(&browser, "some seconds", "player.deck.edge > 6")?;
    // Somebody listens to the past, pauses, and writes a mark: when the stream goes on elsewhere nothing of that is lost.
    of_player(&browser, "(player.deck.wanted = true, player.deck.seek(2))")?;
    until(&browser, "it to play", "player.deck.playing && player.deck.position > 2.2")?;
    wait::until("a tone", SOON, || player.hear().ok()?)?;
    browser.keys(" ")?;
    until(&browser, "it to be silent", "!player.deck.playing && !player.deck.wanted")?;
    browser.keys("m")?;
    browser.run("document.querySelector('livetape-marks input').value = 'half a tho'", json!([]))?;
    let here = "[player.recording.id, player.deck.position, player.marks.text.value]";
    let before = of_player(&browser, here)?;
    rolls(&browser, &g, 3)?;
    assert_eq!(of_player(&browser, here)?, before);
    // What is new is asked for, not all of these days again.
    let asked = "
        const all = performance.getEntriesByType('resource').map(({ name }) => new URL(name)).filter(({ pathname }) => pathname === '/recordings');
        return all.some(({ searchParams }) => searchParams.has('after'));
    ";
    assert_eq!(browser.run(asked, json!([]))?, true);
    // At the end of the one it goes on in the other.
    browser.run("document.querySelector('livetape-marks form button[type=button]').click()", json!([]))?;
    browser.run("document.activeElement.blur()", json!([]))?;
    browser.keys(" ")?;
    until(
        &browser,
        "it to go on in the next one",
        &format!("player.recording.id !== {} && player.deck.playing", before[0]),
    )
}

/// The first event stream of the page is refused, as by a proxy in front of a gateway that starts.
const REFUSED: &str = "
    const Real = window.EventSource;
    window.opened = [];
    window.EventSource = class extends Real {
        constructor(address) {
            super(window.opened.length === 0 ? '/streams/none/events' : address);
            window.opened.push(address);
        }
    };
    const real = window.fetch;
    window.fetch = (address, ...more) => window.refuses && address === '/streams'
        ? Promise.resolve(new Response('{\"error\":\"not yet\"}', { status: 503 })) : real(address, ...more);
";

#[test]
fn what_was_refused_once_is_neither_forgotten_nor_said_for_ever() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(10))?;
    let browser = Browser::start()?;
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": REFUSED}))?;
    page::open(&browser, &g)?;
    let level = "return Number(document.querySelector('#streams livetape-trace').getAttribute('aria-valuenow'))";
    wait::until("levels", SOON, || (browser.run(level, json!([])).ok()?.as_f64()? > -40.0).then_some(()))?;
    let opened = browser.run("return window.opened", json!([]))?;
    let all = opened.as_array().context("addresses")?;
    assert!(all.len() >= 2 && all.iter().all(|address| address == "/events?levels=on"), "{opened}");
    // What goes wrong in between is said until it goes right.
    let asks = "
        window.refuses = arguments[0];
        document.dispatchEvent(new Event('changed'));
    ";
    for (refuses, says) in [(true, "not yet"), (false, "")] {
        browser.run(asks, json!([refuses]))?;
        wait::until(&format!("the page to say {says:?}"), SOON, || (text(&browser, "#status")? == says).then_some(()))?;
    }
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

/// How often this recording was asked for so far, by whatever.
fn asked(browser: &Browser, id: &str) -> Result<u64> {
    let script = "
        const all = performance.getEntriesByType('resource').filter(({ name }) => name.includes(arguments[0]));
        return all.length;
    ";
    browser.run(script, json!([id]))?.as_u64().context("a number")
}

#[test]
fn a_recording_that_is_deleted_while_it_plays_is_said_to_be_gone() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(60))?;
    let browser = Browser::start()?;
    g.pusher.end(3 * SOON)?;
    browser.open(&g.livetape.url(&format!("/#/recordings/{}?pos=20", g.id)))?;
    wait::until("the recording in the player", SOON, || {
        (of_player(&browser, "player.deck?.recording?.id").ok()? == json!(g.id)).then_some(())
    })?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    browser.keys(" ")?;
    player.hears(21, SOON)?;
    // Somebody else deletes it, in the middle of the body that is played; here nobody presses anything.
    let mut reply = http::request(g.livetape.http(), "DELETE", &format!("/recordings/{}", g.id), "1.1").send()?;
    let (status, said) = (reply.status, reply.body()?);
    assert_eq!(status, 204, "{said:?}");
    until(&browser, "that it is gone", "player.trouble.textContent.includes('deleted')")?;
    assert_eq!(of_player(&browser, "[player.deck.playing, player.audio.hasAttribute('src')]")?, json!([false, false]));
    // What the browser had loaded was not played to its end, and it stands where it stopped.
    let at = number(&browser, "player.deck.position")?;
    assert!(at > 20.5 && at < number(&browser, "player.deck.edge")? - 1.0, "{at}");
    wait::until("silence", SOON, || player.hear().ok()?.is_none().then_some(()))?;
    // It is not asked for any more: longer than the page waits for news, or before it tries again.
    let before = asked(&browser, &g.id)?;
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!((asked(&browser, &g.id)?, number(&browser, "player.deck.position")?), (before, at));
    until(&browser, "it to be said still", "player.trouble.textContent.includes('deleted')")?;
    // Nor does a press on play bring it back.
    press(&browser, "livetape-player button.play")?;
    assert_eq!(of_player(&browser, "[player.deck.playing, player.deck.wanted]")?, json!([false, false]));
    until(&browser, "it to be said again", "player.trouble.textContent.includes('deleted')")
}

#[test]
fn a_deleted_recording_is_said_to_be_gone_even_where_the_browser_has_all_of_it() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(6))?;
    g.pusher.end(3 * SOON)?;
    let browser = Browser::start()?;
    browser.open(&g.livetape.url(&format!("/#/recordings/{}", g.id)))?;
    until(&browser, "the recording in the player", "player.deck?.recording?.sealed != null")?;
    press(&browser, "livetape-player button.play")?;
    let loaded = "(([last]) => last && player.deck.edge - last < 0.3)(
        Array.from({ length: player.audio.buffered.length }, (_, n) => player.audio.buffered.end(n)).reverse())";
    until(&browser, "all of it to be loaded", loaded)?;
    of_player(&browser, "player.deck.pause()")?;
    assert_eq!(http::request(g.livetape.http(), "DELETE", &format!("/recordings/{}", g.id), "1.1").send()?.status, 204);
    until(&browser, "that it is gone", "player.trouble.textContent.includes('deleted')")
}
