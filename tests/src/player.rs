//! An `<audio>` element in Chromium whose sound is taken as samples, so that a test hears what a listener hears.

use anyhow::{Context, Result};
use livetape_testkit::time_signal::tone_second;
use livetape_testkit::{wait, webdriver::Browser};
use serde_json::{Value, json};
use std::time::Duration;

/// Builds the element and notes its events. The sound goes through an analyser that keeps the newest 0.68 s.
const BUILD: &str = "
    const player = window.player = { events: [], audio: document.createElement('audio') };
    const { audio } = player;
    audio.crossOrigin = 'anonymous';
    for (const name of ['playing', 'waiting', 'stalled', 'seeked', 'ended', 'error', 'durationchange'])
        audio.addEventListener(name, () => player.events.push(name));
    player.context = new AudioContext({ sampleRate: 48000 });
    player.analyser = player.context.createAnalyser();
    player.analyser.fftSize = 32768;
    const source = player.context.createMediaElementSource(audio);
    const left = player.context.createChannelSplitter(2);
    source.connect(left);
    left.connect(player.analyser, 0);
    source.connect(player.context.destination);
    document.documentElement.appendChild(audio);
    audio.src = arguments[0];
    await Promise.all([player.context.resume(), audio.play()]);
";

/// The sound of the last 0.3 s as 16-bit numbers.
const HEAR: &str = "
    const all = new Float32Array(player.analyser.fftSize);
    player.analyser.getFloatTimeDomainData(all);
    return Array.from(all.slice(-14400), x => Math.round(x * 32767));
";

/// The state of the element as plain values; JSON has no Infinity, so the duration is text.
const STATE: &str = "
    const { audio, events } = player;
    return { time: audio.currentTime, duration: String(audio.duration), events, ended: audio.ended,
             error: audio.error && audio.error.message };
";

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
        browser.run(BUILD, json!([url])).with_context(|| format!("playing {url}"))?;
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

    /// The second (mod 100) whose tone is heard now; `None` for silence.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn hear(&self) -> Result<Option<u64>> {
        let samples = self.browser.run(HEAR, json!([]))?;
        let samples: Vec<f32> =
            samples.as_array().context("samples")?.iter().map(|v| v.as_i64().unwrap_or(0) as f32 / 32768.0).collect();
        Ok(tone_second(&samples, 48_000).map(u64::from))
    }

    /// Waits until this second is heard.
    ///
    /// # Errors
    /// When it is not in time; with what the element says.
    pub fn hears(&self, second: u64, limit: Duration) -> Result<()> {
        let mut heard = Vec::new();
        let found = wait::until(&format!("the tone of second {second}"), limit, || match self.hear() {
            Ok(Some(now)) if now == second % 100 => Some(Ok(())),
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
