//! What ends, breaks off or goes on elsewhere while somebody listens.

use crate::opened;
use anyhow::{Context, Result};
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{number, of_player, press, steps, text, until};
use livetape_tests::player::Player;
use livetape_tests::tone;
use serde_json::json;
use std::time::Duration;

#[test]
fn goes_on_at_the_frame_where_it_stopped_when_the_gateway_was_away() -> Result<()> {
    steps::goes_on_after_a_break(&Browser::start()?)
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
