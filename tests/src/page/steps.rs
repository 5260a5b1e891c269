//! What a person does with the player, in any browser. What counts is what is heard, and what is kept.

use super::{Ears, number, of_player, on_wave, text, until};
use crate::growing::{Growing, SOON, audio_of};
use crate::player::RATE;
use anyhow::{Context, Result, ensure};
use livetape_testkit::webdriver::Browser;
use livetape_testkit::{http, wait};
use serde_json::json;

/// Keys as WebDriver calls them.
pub const LEFT: &str = "\u{e012}";
/// The same.
pub const RIGHT: &str = "\u{e014}";
/// The same.
pub const ENTER: &str = "\u{e007}";

/// By its key: live, and what is recorded now is heard.
///
/// # Errors
/// When it is not.
pub fn goes_live(browser: &Browser, ears: &dyn Ears) -> Result<()> {
    browser.keys("l")?;
    until(browser, "it to be live", "player.deck.live && player.deck.playing")?;
    ears.hears(number(browser, "player.deck.edge")? as u64 + 1)
}

/// Drags the playhead over the whole tape to `part` of it: the page says which second that is, and that second is heard.
///
/// # Errors
/// When it is another one.
pub fn drags_to(browser: &Browser, ears: &dyn Ears, part: f64) -> Result<()> {
    browser.keys("0")?;
    browser.drag(on_wave(browser, 0.9)?, on_wave(browser, part)?)?;
    let places = format!("[player.deck.position, player.wave.view.from + {part} * player.wave.view.length]");
    let places = of_player(browser, &places)?;
    let (at, aimed) = (places[0].as_f64().context("a position")?, places[1].as_f64().context("a place")?);
    ensure!((at - aimed).abs() < 4.0, "at {at}, aimed at {aimed}");
    ears.hears(at as u64 + 1)?;
    ensure!(of_player(browser, "player.deck.live")? == false, "it is not live any more");
    Ok(())
}

/// Puts a mark where it plays, by its key, and writes `words` as `write` does: they are on the page as they are, and the mark is in
/// the timeline at the place where the key was pressed.
///
/// # Errors
/// When it is not.
pub fn marks(browser: &Browser, g: &Growing, words: &str, write: fn(&Browser, &str) -> Result<()>) -> Result<()> {
    browser.keys("m")?;
    let marked = number(browser, "player.deck.position")?;
    write(browser, words)?;
    let shown = || text(browser, "livetape-marks li bdi");
    wait::until("the mark on the page", SOON, || (shown()? == words).then_some(()))?;
    let timeline = http::json(g.livetape.http(), &format!("/recordings/{}/timeline", g.id))?;
    let mark = timeline["entries"].as_array().context("entries")?.iter().find(|e| e["type"] == "mark").cloned();
    let frame = mark.context("the mark")?["frame"].as_f64().context("a frame")?;
    ensure!((frame / f64::from(RATE) - marked).abs() < 2.0, "frame {frame} for {marked} s");
    Ok(())
}

/// Writes the text of a mark by hand.
///
/// # Errors
/// When the browser takes no keys.
pub fn types(browser: &Browser, words: &str) -> Result<()> {
    browser.keys(&format!("{words}{ENTER}"))
}

/// Puts the text of a mark there, as what is pasted: no keyboard has all letters.
///
/// # Errors
/// When there is nowhere to write.
pub fn pastes(browser: &Browser, words: &str) -> Result<()> {
    let write = "
        const form = document.querySelector('livetape-marks form');
        form.querySelector('input').value = arguments[0];
        form.requestSubmit();
    ";
    browser.run(write, json!([words]))?;
    Ok(())
}

/// Selects a part from where it plays, and takes the file that the page offers of it: the samples are those of the frames that it
/// says, and no others.
///
/// # Errors
/// With the frames, if not.
pub fn keeps_a_clip(browser: &Browser, g: &Growing) -> Result<()> {
    browser.keys("[")?;
    let kept = "
        const link = document.querySelector('livetape-selection a.wav');
        const { from, to } = document.querySelector('livetape-waveform').selection;
        const { rate } = document.querySelector('livetape-player').recording.spec;
        const mp3 = document.querySelector('livetape-selection a.mp3').pathname;
        return [link.pathname + link.search, Math.round(from * rate), Math.round(to * rate), mp3];
    ";
    let kept = browser.run(kept, json!([]))?;
    let (first, end) = (kept[1].as_u64().context("a frame")?, kept[2].as_u64().context("a frame")?);
    ensure!(end > first + u64::from(RATE), "more than a second: {kept}");
    let clip = http::get(g.livetape.http(), kept[0].as_str().context("an address")?).send()?.body()?;
    ensure!(audio_of(&clip)? == g.frames(first, end), "the clip is not the audio of frames {first} to {end}");
    ensure!(kept[3].as_str().is_some_and(|path| path.ends_with("/clip.mp3")), "{kept}");
    Ok(())
}

/// The browser decodes a clip as MP3 and as WAV: both have the frames that were asked for, and sound the same at the same frame.
///
/// # Errors
/// With the numbers of frames and how much noise there is for the sound, if not.
pub fn decodes_a_clip(browser: &Browser, g: &Growing) -> Result<()> {
    let (first, end) = (5 * u64::from(RATE) + 12_345, 8 * u64::from(RATE) + 77);
    let part = format!("from={:.9}&to={:.9}", first as f64 / f64::from(RATE), end as f64 / f64::from(RATE));
    let decoded = "
        const context = new OfflineAudioContext(2, 1, 48000);
        const decoded = (file) => fetch(file).then(reply => reply.arrayBuffer()).then(bytes => context.decodeAudioData(bytes));
        return Promise.all([decoded(arguments[0]), decoded(arguments[1])]).then(([mp3, wav]) => {
            const [a, b] = [mp3, wav].map(buffer => buffer.getChannelData(0));
            let [beside, sound] = [0, 0];
            for (let n = 0; n < b.length; n += 1) [beside, sound] = [beside + (a[n] - b[n]) ** 2, sound + b[n] ** 2];
            return [mp3.length, wav.length, beside / sound];
        });
    ";
    let [mp3, wav] = ["mp3", "wav"].map(|kind| format!("/recordings/{}/clip.{kind}?{part}", g.id));
    let heard = browser.run(decoded, json!([mp3, wav]))?;
    ensure!(heard[0] == end - first && heard[1] == end - first, "{heard}");
    ensure!(heard[2].as_f64().is_some_and(|noise| noise < 0.01), "{heard}");
    Ok(())
}

/// Space, and arrows: it plays, five seconds on, five seconds back, and is silent.
///
/// # Errors
/// When a key does something else.
pub fn moves_by_keys(browser: &Browser, ears: &dyn Ears) -> Result<()> {
    browser.run("document.activeElement.blur()", json!([]))?;
    until(browser, "it to be silent", "!player.deck.playing")?;
    browser.keys(" ")?;
    until(browser, "it to play", "player.deck.playing && player.audio.currentTime > 0.5")?;
    let at = number(browser, "player.deck.position")?;
    browser.keys(RIGHT)?;
    until(browser, "five seconds on", &format!("player.deck.position > {at} + 4.9"))?;
    ears.hears(number(browser, "player.deck.position")? as u64 + 1)?;
    let at = number(browser, "player.deck.position")?;
    browser.keys(LEFT)?;
    until(browser, "five seconds back", &format!("player.deck.position < {at}"))?;
    ears.hears(number(browser, "player.deck.position")? as u64 + 1)?;
    browser.keys(" ")?;
    until(browser, "it to be silent again", "!player.deck.playing")?;
    browser.keys(" ")?;
    until(browser, "it to go on", "player.deck.playing")
}
