//! What else a person does on the page, in any browser: zooms by the wheel, sets speed and volume, takes another rendition, copies a
//! link, and begins another tape.

use super::{Ears, number, of_player, on_wave, press, until};
use crate::growing::{Growing, SOON};
use anyhow::{Context, Result, ensure};
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use serde_json::json;

/// Sets a control of the player, by its name, as a hand would.
const SET: &str = "
    const [name, value, event] = arguments;
    const control = document.querySelector(`livetape-player [aria-label=${name}]`);
    control.value = value;
    control.dispatchEvent(new Event(event));
";

/// The wheel over the middle of the whole tape: down to a second, around the place under the pointer.
///
/// # Errors
/// When something else is seen.
pub fn zooms_by_the_wheel(browser: &Browser) -> Result<()> {
    browser.keys("0")?;
    let place = on_wave(browser, 0.5)?;
    for _ in 0..12 {
        browser.wheel(place, -500)?;
    }
    until(browser, "a second to be seen", "player.wave.view.length === 1")?;
    let seen = of_player(browser, "[player.wave.view.from, player.wave.edge]")?;
    let middle = seen[0].as_f64().context("a place")? + 0.5;
    let whole = seen[1].as_f64().context("an edge")?;
    ensure!((middle / whole - 0.5).abs() < 0.15, "{middle} of {whole}");
    until(browser, "its waveform", "player.wave.levelAt(player.wave.view.from + 0.5) !== null")?;
    browser.keys("0")
}

/// Speed and volume are those of the element.
///
/// # Errors
/// When they are not.
pub fn sets_speed_and_volume(browser: &Browser) -> Result<()> {
    for (speed, volume) in [("2", "0.4"), ("1", "1")] {
        browser.run(SET, json!(["Speed", speed, "change"]))?;
        browser.run(SET, json!(["Volume", volume, "input"]))?;
        let set = of_player(browser, "[String(player.audio.playbackRate), String(player.audio.volume)]")?;
        ensure!(set == json!([speed, volume]), "{set}");
    }
    Ok(())
}

/// Some seconds behind the edge, then faster until it is reached; then by itself as fast as it is recorded.
///
/// # Errors
/// When it is not reached.
pub fn catches_up(browser: &Browser) -> Result<()> {
    of_player(browser, "player.deck.seek(player.deck.edge - player.deck.holdBack - 2)")?;
    press(browser, "livetape-player button.faster")?;
    ensure!(of_player(browser, "player.audio.playbackRate")? == 1.25);
    until(browser, "the edge to be reached", "!player.deck.catching && player.deck.live")?;
    ensure!(of_player(browser, "player.audio.playbackRate")? == 1.0);
    Ok(())
}

/// By hand in another rendition, at the same place.
///
/// # Errors
/// When another place is heard, or another rendition.
pub fn takes_the_rendition(browser: &Browser, ears: &dyn Ears, name: &str) -> Result<()> {
    let before = number(browser, "player.deck.position")?;
    browser.run(SET, json!(["Rendition", name, "change"]))?;
    ears.hears(before as u64 + 2)?;
    let source = of_player(browser, "player.audio.currentSrc")?;
    ensure!(source.as_str().is_some_and(|source| source.contains(&format!("audio.{name}"))), "{source}");
    Ok(())
}

/// Copies a link at second 31.5, and opens it as somebody else would: it is there, and plays from there.
///
/// # Errors
/// When it is elsewhere.
pub fn copies_a_link(browser: &Browser, g: &Growing) -> Result<()> {
    of_player(browser, "player.deck.seek(31.5)")?;
    press(browser, "livetape-player button.share")?;
    let link = wait::until("the link", SOON, || {
        let link = browser.run("return location.href", json!([])).ok()?.as_str()?.to_owned();
        link.contains("pos=").then_some(link)
    })?;
    ensure!(link.contains(&format!("#/recordings/{}?pos=31.5", g.id)), "{link}");
    browser.open("about:blank")?;
    browser.open(&link)?;
    until(browser, "it to be open there", "player.deck?.recording && Math.abs(player.deck.position - 31.5) < 0.01")
}

/// Begins a new tape by its button, on which the player has to go on; gives its id.
///
/// # Errors
/// When the player stays with the one before.
pub fn begins_a_new_tape(browser: &Browser) -> Result<String> {
    let before = of_player(browser, "player.recording.id")?;
    browser.run("document.querySelector('livetape-stream details').open = true", json!([]))?;
    press(browser, "livetape-stream button.again")?;
    wait::until("the next recording in the player", SOON, || {
        let id = of_player(browser, "player.recording.id").ok()?;
        (id != before).then(|| id.as_str().map(str::to_owned))?
    })
}
