//! Mouse, fingers and keys on the player: what one drags to is heard, what one keeps is what was recorded.

use crate::bad_input::HOSTILE;
use crate::opened;
use anyhow::{Context, Result};
use livetape_testkit::wait;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{number, of_player, on_wave, picture, press, steps, until};
use livetape_tests::player::Player;
use livetape_tests::tone;
use serde_json::json;
use std::time::Duration;

#[test]
fn dragged_back_marked_kept_and_live_again() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(90))?;
    let browser = opened(&g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    steps::goes_live(&browser, &player)?;
    steps::drags_to(&browser, &player, 0.3)?;
    // The text of a mark is other people's, and stays text.
    steps::marks(&browser, &g, HOSTILE, steps::pastes)?;
    assert_eq!(browser.run("return [document.title, document.images.length]", json!([]))?, json!(["Livetape", 1]));
    steps::keeps_a_clip(&browser, &g)?;
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
    picture(&browser, "player.png", 1280, 900)?;
    picture(&browser, "player-small.png", 390, 844)?;

    steps::goes_live(&browser, &player)
}

#[test]
fn keys_wheel_and_fingers() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(80))?;
    let browser = opened(&g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;

    // The wheel, down to a second, around the place under the pointer.
    browser.keys("0")?;
    let place = on_wave(&browser, 0.5)?;
    for _ in 0..12 {
        browser.wheel(place, -500)?;
    }
    until(&browser, "a second to be seen", "player.wave.view.length === 1")?;
    let seen = of_player(&browser, "[player.wave.view.from, player.wave.edge]")?;
    let middle = seen[0].as_f64().context("a place")? + 0.5;
    let whole = seen[1].as_f64().context("an edge")?;
    assert!((middle / whole - 0.5).abs() < 0.15, "{middle} of {whole}");
    until(&browser, "its waveform", "player.wave.levelAt(player.wave.view.from + 0.5) !== null")?;
    browser.keys("0")?;

    // A finger: a tap plays from there, two of them spread the tape.
    browser.cdp("Emulation.setTouchEmulationEnabled", json!({"enabled": true}))?;
    browser.tap(on_wave(&browser, 0.25)?)?;
    let aimed = number(&browser, "player.wave.view.from + 0.25 * player.wave.view.length")?;
    until(&browser, "the tap to be followed", &format!("Math.abs(player.deck.position - {aimed}) < 3"))?;
    let before = number(&browser, "player.wave.view.length")?;
    let (left, right) = (on_wave(&browser, 0.45)?, on_wave(&browser, 0.55)?);
    browser.pinch((left, on_wave(&browser, 0.2)?), (right, on_wave(&browser, 0.8)?))?;
    until(&browser, "less to be seen", &format!("player.wave.view.length < {before} / 2"))?;
    browser.cdp("Emulation.setTouchEmulationEnabled", json!({"enabled": false}))?;

    steps::moves_by_keys(&browser, &player)?;
    let change = "
        const [name, value, event] = arguments;
        const control = document.querySelector(`livetape-player [aria-label=${name}]`);
        control.value = value;
        control.dispatchEvent(new Event(event));
    ";
    browser.run(change, json!(["Speed", "2", "change"]))?;
    assert_eq!(of_player(&browser, "player.audio.playbackRate")?, 2.0);
    browser.run(change, json!(["Volume", "0.4", "input"]))?;
    assert_eq!(of_player(&browser, "player.audio.volume")?, 0.4);
    browser.run(change, json!(["Speed", "1", "change"]))?;
    browser.run(change, json!(["Volume", "1", "input"]))?;

    // Some seconds behind the edge, then faster until it is reached; then by itself as fast as it is recorded.
    of_player(&browser, "player.deck.seek(player.deck.edge - player.deck.holdBack - 2)")?;
    press(&browser, "livetape-player button.faster")?;
    assert_eq!(of_player(&browser, "player.audio.playbackRate")?, 1.25);
    until(&browser, "the edge to be reached", "!player.deck.catching && player.deck.live")?;
    assert_eq!(of_player(&browser, "player.audio.playbackRate")?, 1.0);
    // What the lock screen is told, and what its keys do.
    assert_eq!(browser.run("return navigator.mediaSession.metadata.artist", json!([]))?, "live");
    assert_eq!(browser.run("return navigator.mediaSession.playbackState", json!([]))?, "playing");
    Ok(())
}

#[test]
fn a_link_opens_where_it_was_copied() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(60))?;
    let browser = opened(&g)?;
    of_player(&browser, "player.deck.seek(31.5)")?;
    press(&browser, "livetape-player button.share")?;
    let link = wait::until("the link", SOON, || {
        let link = browser.run("return location.href", json!([])).ok()?.as_str()?.to_owned();
        link.contains("pos=").then_some(link)
    })?;
    assert!(link.contains(&format!("#/recordings/{}?pos=31.5", g.id)), "{link}");
    browser.open("about:blank")?;
    browser.open(&link)?;
    until(&browser, "it to be open there", "player.deck?.recording && Math.abs(player.deck.position - 31.5) < 0.01")?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    browser.keys(" ")?;
    player.hears(32, SOON)
}
