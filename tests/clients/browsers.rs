//! Browsers: an `<audio>` element, and the gateway's page.

use crate::scenario::{Opens, PATIENCE, Page, Player};
use anyhow::{Context, Result, ensure};
use livetape_testkit::card::Card;
use livetape_testkit::wait;
use livetape_testkit::webdriver::Browser;
use serde_json::json;

/// A page of the gateway's origin that may play its audio: what is no page may play nothing.
const PLAIN_PAGE: &str = "/plain";

const PLAY: &str = "
    const audio = window.audio = document.createElement('audio');
    audio.controls = true;
    document.documentElement.appendChild(audio);
    audio.breaks = 0;
    audio.addEventListener('timeupdate', () => { audio.begun ||= audio.currentTime > 0 });
    audio.addEventListener('waiting', () => { if (audio.begun && !audio.seeking) audio.breaks++ });
    audio.src = arguments[0];
    await audio.play();
";

/// An element in a browser.
pub(crate) struct Element {
    browser: Browser,
    shows_duration: bool,
}

impl Element {
    /// `shows_duration`: where another shows that there is no end yet.
    pub(crate) const fn of(browser: Browser, shows_duration: bool) -> Self {
        Self { browser, shows_duration }
    }
}

struct Playing<'a> {
    browser: &'a Browser,
}

impl Opens for Element {
    fn open<'a>(&'a self, url: &str, _: &'a Card) -> Result<Box<dyn Player + 'a>> {
        let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
        self.browser.open(&format!("{origin}{PLAIN_PAGE}"))?;
        self.browser.run(PLAY, json!([url])).context("playing it")?;
        Ok(Box::new(Playing { browser: &self.browser }))
    }

    fn page<'a>(&'a self, url: &str) -> Option<Result<Box<dyn Page + 'a>>> {
        let opened = self.browser.open(url).and_then(|()| {
            let is_there = || {
                self.browser
                    .run("return !!document.querySelector('livetape-player:not([hidden]) button.live')", json!([]))
            };
            wait::until("the stream on the page", PATIENCE, || (is_there().ok()? == true).then_some(()))
        });
        Some(opened.map(|()| Box::new(Shown { browser: &self.browser }) as Box<dyn Page>))
    }

    // Chromium keeps what it had of an address.
    fn finished(&self) -> &'static str {
        "v=end"
    }

    fn long(&self) -> &'static str {
        "wav"
    }

    fn shows_duration(&self) -> bool {
        self.shows_duration
    }
}

impl Player for Playing<'_> {
    fn seek(&mut self, second: f64) -> Result<()> {
        // An element that came to an end is paused: whoever drags it back also starts it again.
        let script = "const over = audio.ended; audio.currentTime = arguments[0]; if (over) await audio.play()";
        self.browser.run(script, json!([second]))?;
        Ok(())
    }

    fn ended(&mut self) -> Result<bool> {
        let state = self.browser.run("return [audio.ended, audio.error?.message]", json!([]))?;
        ensure!(state[1].is_null(), "{state}");
        Ok(state[0] == true)
    }

    fn position(&mut self) -> Result<Option<f64>> {
        Ok(self.browser.run("return audio.currentTime", json!([]))?.as_f64())
    }

    // JSON has no Infinity.
    fn duration(&mut self) -> Result<Option<f64>> {
        Ok(self.browser.run("return String(audio.duration)", json!([]))?.as_str().and_then(|text| text.parse().ok()))
    }

    fn breaks(&mut self) -> Result<Option<u64>> {
        Ok(self.browser.run("return audio.breaks", json!([]))?.as_u64())
    }
}

impl Drop for Playing<'_> {
    fn drop(&mut self) {
        let _ = self.browser.run("audio.pause(); audio.removeAttribute('src'); audio.load()", json!([]));
    }
}

struct Shown<'a> {
    browser: &'a Browser,
}

impl Page for Shown<'_> {
    fn press(&self, button: &str) -> Result<()> {
        let script = "document.querySelector('livetape-player button.' + arguments[0]).click()";
        self.browser.run(script, json!([button]))?;
        Ok(())
    }

    fn go(&self, place: &str) -> Result<()> {
        let script = "
            const form = document.querySelector('livetape-player form.go');
            form.querySelector('.pos').value = arguments[0];
            form.requestSubmit();
        ";
        self.browser.run(script, json!([place]))?;
        Ok(())
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let _ = self.browser.open("about:blank");
    }
}
