//! An `<audio>` element in Chromium whose sound is taken as samples, so that a test hears what a listener hears.

use anyhow::{Context, Result};
use livetape_testkit::time_signal::tone_second;
use livetape_testkit::{wait, webdriver::Browser};
use serde_json::{Value, json};
use std::time::Duration;

/// Takes the sound of `audio` as samples and keeps the newest 4 s. It goes on to the loudspeaker.
const TAP: &str = "
    const context = new AudioContext({ sampleRate: 48000 });
    const source = context.createMediaElementSource(audio);
    const tap = context.createScriptProcessor(4096, 2, 2);
    const player = window.player = { audio, context, tap, events: [], pieces: [] };
    tap.onaudioprocess = ({ inputBuffer, outputBuffer }) => {
        player.pieces.push(Float32Array.from(inputBuffer.getChannelData(0)));
        if (player.pieces.length > 47) player.pieces.shift();
        for (const n of [0, 1]) outputBuffer.copyToChannel(inputBuffer.getChannelData(n), n);
    };
    source.connect(tap).connect(context.destination);
    for (const name of ['playing', 'waiting', 'stalled', 'seeked', 'ended', 'error'])
        audio.addEventListener(name, () => player.events.push(name));
    await context.resume();
";

/// Makes an element that plays the address given.
const BUILD: &str = "
    const audio = document.createElement('audio');
    document.documentElement.appendChild(audio);
    audio.src = arguments[0];
";

/// The newest sound as 16-bit numbers, so many of them at most.
const HEAR: &str = "
    const all = player.pieces.flatMap(piece => Array.from(piece, x => Math.round(x * 32767)));
    return all.slice(-arguments[0]);
";

/// The state of the element as plain values; JSON has no Infinity, so the duration is text.
const STATE: &str = "
    const { audio, events } = player;
    return { time: audio.currentTime, duration: String(audio.duration), events, ended: audio.ended,
             error: audio.error && audio.error.message };
";

/// Rate of the samples.
pub const RATE: u32 = 48_000;

/// What the element says of itself.
#[derive(Clone, Debug)]
pub struct State {
    /// `currentTime`.
    pub time: f64,
    /// `duration`: infinite while it is not known.
    pub duration: f64,
    /// `ended`.
    pub ended: bool,
    /// Names of the events so far.
    pub events: Vec<String>,
    /// Text of the error, if there is one.
    pub error: Option<String>,
}

/// The element.
#[derive(Debug)]
pub struct Player<'a> {
    browser: &'a Browser,
}

impl<'a> Player<'a> {
    /// Opens `page`, puts an element there that plays `url` (of the same origin), and starts it.
    ///
    /// # Errors
    /// When it does not play.
    pub fn play(browser: &'a Browser, page: &str, url: &str) -> Result<Self> {
        browser.open(page)?;
        let script = format!("{BUILD}{TAP} await audio.play();");
        browser.run(&script, json!([url])).with_context(|| format!("playing {url}"))?;
        Ok(Self { browser })
    }

    /// The element that a page has brought itself, by a CSS selector.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_page(browser: &'a Browser, selector: &str) -> Result<Self> {
        let script = format!("const audio = document.querySelector(arguments[0]);{TAP}");
        browser.run(&script, json!([selector])).with_context(|| format!("listening to {selector}"))?;
        Ok(Self { browser })
    }

    /// What the element says of itself now.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn state(&self) -> Result<State> {
        let state = self.browser.run(STATE, json!([]))?;
        let text = |v: &Value| v.as_str().map(str::to_owned);
        Ok(State {
            time: state["time"].as_f64().context("a time")?,
            duration: state["duration"].as_str().context("a duration")?.replace("Infinity", "inf").parse()?,
            ended: state["ended"] == true,
            events: state["events"].as_array().context("events")?.iter().filter_map(text).collect(),
            error: text(&state["error"]),
        })
    }

    /// Seeks to this second.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn seek(&self, second: f64) -> Result<()> {
        self.browser.run("player.audio.currentTime = arguments[0]", json!([second]))?;
        Ok(())
    }

    /// The newest sound, at most `time` of it and at most 4 s.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn samples(&self, time: Duration) -> Result<Vec<f32>> {
        let samples = self.browser.run(HEAR, json!([(time.as_secs_f64() * f64::from(RATE)) as u64]))?;
        let samples = samples.as_array().context("samples")?;
        Ok(samples.iter().map(|v| v.as_i64().unwrap_or(0) as f32 / 32768.0).collect())
    }

    /// The second (mod 100) whose tone is heard now; `None` for silence.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn hear(&self) -> Result<Option<u64>> {
        Ok(tone_second(&self.samples(Duration::from_millis(300))?, RATE).map(u64::from))
    }

    /// Waits until this second is heard, or one of the next three: a busy machine does not listen all the time.
    ///
    /// # Errors
    /// When it is not in time; with what the element says.
    pub fn hears(&self, second: u64, limit: Duration) -> Result<()> {
        let mut heard = Vec::new();
        let found = wait::until(&format!("the tone of second {second}"), limit, || match self.hear() {
            Ok(Some(now)) if (0..4).any(|late| now == (second + late) % 100) => Some(Ok(())),
            Ok(now) => {
                if heard.last() != Some(&now) {
                    heard.push(now);
                }
                None
            }
            Err(e) => Some(Err(e)),
        });
        found.and_then(|r| r).with_context(|| format!("heard {heard:?}; {:?}", self.state()))
    }
}
