//! What breaks off while the page plays in a browser, and how it goes on: frame by frame, which counting PCM tells.

use super::{number, press, text};
use crate::growing::SOON;
use anyhow::{Context, Result, ensure};
use livetape_testkit::process::Start;
use livetape_testkit::proxy::{Cut, Proxy};
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use serde_json::{Value, json};
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

/// The gateway is killed while the page plays, and comes back: it goes on by itself at the frame where it stopped.
///
/// # Errors
/// When it does not, or elsewhere.
pub fn goes_on_after_a_kill(browser: &Browser) -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::new(data.path()).source("counting");
    let livetape = start.spawn()?;
    listens(browser, &livetape.url("/"))?;
    let again = start.clone().on_ports_of(&livetape);
    livetape.kill()?;
    let stopped = stops(browser)?;
    let livetape = again.spawn()?;
    goes_on(browser, stopped)?;
    livetape.stop()
}

/// A cable is pulled somewhere: nothing passes any more, and nobody is told. It is put in again, and what was connected before stays
/// dead. The page notices, and goes on by itself at the frame where it stopped.
///
/// # Errors
/// When it does not, or elsewhere.
pub fn goes_on_after_silence(browser: &Browser) -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("counting").spawn()?;
    let line = Proxy::start(livetape.http())?;
    listens(browser, &format!("http://{}/", line.address()))?;
    line.pause(true);
    line.cut(Cut::Silence);
    let stopped = stops(browser)?;
    line.pause(false);
    goes_on(browser, stopped)?;
    livetape.stop()
}

/// What [`FRAMES`] has heard.
fn heard(browser: &Browser, what: &str) -> Result<Value> {
    browser.run(&format!("return window.heard.{what}"), json!([]))
}

/// The page is open, and plays from the first frame on.
fn listens(browser: &Browser, url: &str) -> Result<()> {
    browser.open(url)?;
    wait::until("some seconds", SOON, || (number(browser, "player.deck?.edge").ok()? > 8.0).then_some(()))?;
    browser.run(FRAMES, json!([]))?;
    press(browser, "livetape-player button.start")?;
    wait::until("a second to be heard", SOON, || (heard(browser, "last").ok()?.as_i64()? > 48_000).then_some(()))
}

/// The page says that the gateway is away, and is silent when what it had loaded has been played. Gives the last frame, and how many
/// jumps there were so far.
fn stops(browser: &Browser) -> Result<(i64, usize)> {
    wait::until("the page to say that the gateway is away", SOON, || {
        text(browser, "#status")?.contains("away").then_some(())
    })?;
    let mut silent = (0, 0);
    let stopped = wait::until("silence", SOON, || {
        std::thread::sleep(Duration::from_millis(500));
        let last = heard(browser, "last").ok()?.as_i64()?;
        silent = if last == silent.0 { (last, silent.1 + 1) } else { (last, 0) };
        (silent.1 >= 4).then_some(last)
    })?;
    Ok((stopped, heard(browser, "jumps")?.as_array().context("jumps")?.len()))
}

/// Nobody presses anything.
fn goes_on(browser: &Browser, (stopped, before): (i64, usize)) -> Result<()> {
    wait::until("a second more", 2 * SOON, || {
        (heard(browser, "last").ok()?.as_i64()? > stopped + 48_000).then_some(())
    })?;
    let jumps = heard(browser, "jumps")?;
    let jumps = jumps.as_array().context("jumps")?.iter().skip(before);
    let all: Vec<(i64, i64)> = jumps.map(|j| (j[0].as_i64().unwrap_or(0), j[1].as_i64().unwrap_or(0))).collect();
    let at_break = all.iter().find(|(last, _)| *last == stopped);
    let missed = at_break.map_or(0, |(last, next)| next - last - 1);
    println!("stopped at {stopped}, missed {missed} frames: {all:?}");
    ensure!((-IN_FLIGHT..=IN_FLIGHT).contains(&missed), "stopped at {stopped}: {all:?}");
    wait::until("the page to say nothing any more", SOON, || {
        (text(browser, "#status")?.is_empty() && text(browser, "livetape-player > .trouble")?.is_empty()).then_some(())
    })
}
