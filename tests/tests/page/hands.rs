//! Mouse, fingers and keys on the player: what one drags to is heard, what one keeps is what was recorded.

use crate::bad_input::HOSTILE;
use crate::opened;
use anyhow::Result;
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::page::{self, controls, number, of_player, on_wave, picture, steps, until};
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
    controls::takes_the_rendition(&browser, &player, "opus")?;
    picture(&browser, "player.png", 1280, 900)?;
    picture(&browser, "player-small.png", 390, 844)?;

    steps::goes_live(&browser, &player)
}

#[test]
fn keys_wheel_and_fingers() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(80))?;
    let browser = opened(&g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;

    controls::zooms_by_the_wheel(&browser)?;

    // A finger: a tap plays from there, two of them spread the tape.
    browser.cdp("Emulation.setTouchEmulationEnabled", json!({"enabled": true}))?;
    browser.tap(on_wave(&browser, 0.25)?)?;
    let aimed = number(&browser, "player.wave.view.from + 0.25 * player.wave.view.length")?;
    until(&browser, "the tap to be followed", &format!("Math.abs(player.deck.position - {aimed}) < 3"))?;
    let before = number(&browser, "player.wave.view.length")?;
    let (left, right) = (on_wave(&browser, 0.45)?, on_wave(&browser, 0.55)?);
    browser.pinch((left, on_wave(&browser, 0.2)?), (right, on_wave(&browser, 0.8)?))?;
    until(&browser, "less to be seen", &format!("player.wave.view.length < {before} / 2"))?;
    // The finger that is left goes nowhere, and what is seen is somewhere.
    let seen = of_player(&browser, "[player.wave.view.from, player.wave.view.length].every(Number.isFinite)")?;
    assert_eq!(seen, true);
    assert!((number(&browser, "player.deck.position")? - aimed).abs() < 20.0, "two fingers play nothing");
    let pinched = number(&browser, "player.wave.view.length")?;
    browser.keys("-")?;
    until(&browser, "more to be seen", &format!("player.wave.view.length > {pinched} * 1.5"))?;
    browser.cdp("Emulation.setTouchEmulationEnabled", json!({"enabled": false}))?;

    steps::moves_by_keys(&browser, &player)?;
    controls::sets_speed_and_volume(&browser)?;
    controls::catches_up(&browser)?;

    // Brackets where a keyboard has them beside AltGr, which some systems call control and alt.
    let bracket = "
        const { wave } = document.querySelector('livetape-player');
        const press = (how) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '[', bubbles: true, ...how }));
        press({ ctrlKey: true });
        const before = wave.selection;
        press({ ctrlKey: true, altKey: true, modifierAltGraph: true });
        return [before, wave.selection !== null];
    ";
    assert_eq!(browser.run(bracket, json!([]))?, json!([null, true]));
    Ok(())
}

/// Keeps what the page says of the keys of keyboards and lock screens, so that they can be pressed: no driver has such keys.
const MEDIA_KEYS: &str = "
    window.mediaKeys = {};
    const set = MediaSession.prototype.setActionHandler;
    MediaSession.prototype.setActionHandler = function (name, act) {
        window.mediaKeys[name] = act;
        return set.call(this, name, act);
    };
";

#[test]
fn media_keys_do_what_the_buttons_do() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(60))?;
    let browser = Browser::start()?;
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", json!({"source": MEDIA_KEYS}))?;
    page::open(&browser, &g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    let key = |name: &str, details: serde_json::Value| {
        browser.run("window.mediaKeys[arguments[0]]({ action: arguments[0], ...arguments[1] })", json!([name, details]))
    };
    key("nexttrack", json!({}))?;
    until(&browser, "it to be live", "player.deck.live && player.deck.playing")?;
    player.hears(number(&browser, "player.deck.edge")? as u64 + 1, SOON)?;
    // What the lock screen is told.
    let told = "return [navigator.mediaSession.metadata.artist, navigator.mediaSession.playbackState]";
    wait::until("what is told", SOON, || {
        (browser.run(told, json!([])).ok()? == json!(["live", "playing"])).then_some(())
    })?;
    key("seekto", json!({"seekTime": 20}))?;
    player.hears(21, SOON)?;
    let at = number(&browser, "player.deck.position")?;
    key("seekbackward", json!({"seekOffset": 15}))?;
    until(&browser, "15 seconds back", &format!("player.deck.position < {at} - 10"))?;
    let at = number(&browser, "player.deck.position")?;
    key("seekforward", json!({}))?;
    until(&browser, "10 seconds ahead", &format!("player.deck.position > {at} + 9.9"))?;
    key("pause", json!({}))?;
    until(&browser, "it to be silent", "!player.deck.playing")?;
    wait::until("what is told", SOON, || {
        (browser.run(told, json!([])).ok()? == json!(["live", "paused"])).then_some(())
    })?;
    key("play", json!({}))?;
    until(&browser, "it to play", "player.deck.playing")?;
    key("stop", json!({}))?;
    until(&browser, "it to be silent", "!player.deck.playing")?;
    key("previoustrack", json!({}))?;
    until(&browser, "it to be at the start", "player.deck.position < 1")
}

#[test]
fn a_link_opens_where_it_was_copied() -> Result<()> {
    let g = Growing::start(tone, Duration::from_secs(60))?;
    let browser = opened(&g)?;
    controls::copies_a_link(&browser, &g)?;
    let player = Player::of_page(&browser, "livetape-player audio")?;
    browser.keys(" ")?;
    player.hears(32, SOON)
}
