//! Headless browsers, Chromium and Firefox: open pages and run scripts in them.
//!
//! Every browser has its own empty profile and is gone when it is dropped. It talks to no one but the pages under test.

mod chromedriver;
mod marionette;

use crate::card::Card;
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chromedriver::Chromedriver;
use marionette::Marionette;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a script and what it waits for may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(90);
const PAGE_LIMIT: Duration = Duration::from_secs(60);
const START_LIMIT: Duration = Duration::from_secs(60);

/// A browser with one page.
#[derive(Debug)]
pub struct Browser(Engine);

#[derive(Debug)]
enum Engine {
    Chromium(Chromedriver),
    Firefox(Marionette),
}

impl Browser {
    /// Starts Chromium, muted.
    ///
    /// # Errors
    /// When chromedriver or Chromium is missing or does not start; says what they said.
    pub fn start() -> Result<Self> {
        Ok(Self(Engine::Chromium(Chromedriver::start(None)?)))
    }

    /// Starts Chromium, which plays on `card`.
    ///
    /// # Errors
    /// As [`Browser::start`].
    pub fn chromium(card: &Card) -> Result<Self> {
        Ok(Self(Engine::Chromium(Chromedriver::start(Some(card))?)))
    }

    /// Starts Firefox ESR, which plays on `card`.
    ///
    /// # Errors
    /// When it is missing or does not start; says what it said.
    pub fn firefox(card: &Card) -> Result<Self> {
        Ok(Self(Engine::Firefox(Marionette::start(card)?)))
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn open(&self, url: &str) -> Result<()> {
        let page = json!({"url": url});
        match &self.0 {
            Engine::Chromium(driver) => driver.post("/url", &page),
            Engine::Firefox(driver) => driver.call("WebDriver:Navigate", &page),
        }
        .with_context(|| format!("opening {url}"))?;
        Ok(())
    }

    /// Runs the body of an async function in the page and gives what it returns. `arguments` are its arguments.
    ///
    /// # Errors
    /// When it throws, or takes more than 90 s.
    pub fn run(&self, script: &str, arguments: Value) -> Result<Value> {
        let script = format!("return (async function() {{ {script} }}).apply(null, arguments);");
        let arguments = if arguments.is_array() { arguments } else { json!([arguments]) };
        let script = json!({"script": script, "args": arguments});
        match &self.0 {
            Engine::Chromium(driver) => driver.post("/execute/sync", &script),
            Engine::Firefox(driver) => Ok(driver.call("WebDriver:ExecuteScript", &script)?["value"].take()),
        }
    }

    /// Presses a pointer at a place of the window, in CSS pixels, moves it to another and lets go: as a hand does it.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn drag(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let to_place = |(x, y): (f64, f64), duration: u32| json!({"type": "pointerMove", "duration": duration, "x": x.round() as i64, "y": y.round() as i64});
        let press = json!({"type": "pointerDown", "button": 0});
        let release = json!({"type": "pointerUp", "button": 0});
        let actions = [to_place(from, 0), press, to_place(to, 200), release];
        self.act(&json!({"type": "pointer", "id": "hand", "actions": actions}))
    }

    /// Presses a pointer at a place of the window and lets go.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn click(&self, place: (f64, f64)) -> Result<()> {
        self.drag(place, place)
    }

    /// Presses keys, one after the other, wherever the focus is.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn keys(&self, keys: &str) -> Result<()> {
        let both = |key: char| {
            [json!({"type": "keyDown", "value": key.to_string()}), json!({"type": "keyUp", "value": key.to_string()})]
        };
        let actions: Vec<_> = keys.chars().flat_map(both).collect();
        self.act(&json!({"type": "key", "id": "fingers", "actions": actions}))
    }

    /// Turns the wheel at a place, by so many pixels: negative away from oneself.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn wheel(&self, (x, y): (f64, f64), by: i32) -> Result<()> {
        let (x, y) = (x.round() as i64, y.round() as i64);
        let scroll =
            json!({"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": by, "duration": 0, "origin": "viewport"});
        self.act(&json!({"type": "wheel", "id": "wheel", "actions": [scroll]}))
    }

    /// Touches a place with a finger and lets go.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn tap(&self, place: (f64, f64)) -> Result<()> {
        self.act(&finger("one", place, place))
    }

    /// Two fingers, each from a place to another. As hands do it: one leaves first, and the other one has not stopped yet.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn pinch(&self, one: ((f64, f64), (f64, f64)), other: ((f64, f64), (f64, f64))) -> Result<()> {
        let mut lasting = finger("other", other.0, other.1);
        let still = json!({"type": "pause", "duration": 0});
        let on = json!({"type": "pointerMove", "duration": 50, "x": other.1.0.round() as i64 - 12, "y": other.1.1.round() as i64});
        if let Some(actions) = lasting["actions"].as_array_mut() {
            actions.splice(3..3, [still, on]);
        }
        self.act_all(&json!([finger("one", one.0, one.1), lasting]))
    }

    /// A command of Chromium's own protocol, and its result. Chromium alone is asked.
    ///
    /// # Errors
    /// When the driver does not answer, or refuses.
    pub fn cdp(&self, command: &str, parameters: Value) -> Result<Value> {
        let Engine::Chromium(driver) = &self.0 else { anyhow::bail!("Firefox has no such commands") };
        driver.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn act(&self, source: &Value) -> Result<()> {
        self.act_all(&json!([source]))
    }

    fn act_all(&self, sources: &Value) -> Result<()> {
        let actions = json!({"actions": sources});
        match &self.0 {
            Engine::Chromium(driver) => driver.post("/actions", &actions),
            Engine::Firefox(driver) => driver.call("WebDriver:PerformActions", &actions),
        }?;
        Ok(())
    }

    /// Makes what one sees of the page `width` x `height` CSS pixels large.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        let Engine::Firefox(driver) = &self.0 else {
            let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
            self.cdp("Emulation.setDeviceMetricsOverride", size)?;
            // They are not of the page, and take a part of it.
            self.cdp("Emulation.setScrollbarsHidden", json!({"hidden": true}))?;
            return Ok(());
        };
        // It sets the window with all that stands around the page.
        let around = self.run("return [outerWidth - innerWidth, outerHeight - innerHeight]", json!([]))?;
        let more = |n: usize| around[n].as_u64().unwrap_or(0);
        let size = json!({"width": u64::from(width) + more(0), "height": u64::from(height) + more(1)});
        driver.call("WebDriver:SetWindowRect", &size)?;
        Ok(())
    }

    /// A picture of what is seen, as a PNG, at `width` x `height` CSS pixels.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn picture(&self, width: u32, height: u32) -> Result<Vec<u8>> {
        self.resize(width, height)?;
        let shot = match &self.0 {
            Engine::Chromium(_) => self.cdp("Page.captureScreenshot", json!({}))?["data"].take(),
            Engine::Firefox(driver) => {
                driver.call("WebDriver:TakeScreenshot", &json!({"full": false, "hash": false}))?["value"].take()
            }
        };
        Ok(STANDARD.decode(shot.as_str().context("a picture")?)?)
    }

    /// What the page wrote to its console since the last call, errors of the browser included. Chromium alone tells.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn console(&self) -> Result<Vec<String>> {
        match &self.0 {
            Engine::Chromium(driver) => driver.console(),
            Engine::Firefox(_) => anyhow::bail!("Firefox does not tell what is on its console"),
        }
    }
}

/// What a finger does: touches a place, moves to another, lets go.
fn finger(id: &str, from: (f64, f64), to: (f64, f64)) -> Value {
    let place = |(x, y): (f64, f64), duration: u32| json!({"type": "pointerMove", "duration": duration, "x": x.round() as i64, "y": y.round() as i64});
    let press = json!({"type": "pointerDown", "button": 0});
    let release = json!({"type": "pointerUp", "button": 0});
    let actions = [place(from, 0), press, place(to, 200), release];
    json!({"type": "pointer", "id": id, "parameters": {"pointerType": "touch"}, "actions": actions})
}
