//! Headless browsers, Chromium and Firefox: open pages and run scripts in them.
//!
//! Every browser has its own empty profile and is gone when it is dropped. It talks to no one but the pages under test.

mod chromedriver;
mod marionette;

use crate::card::Card;
use anyhow::{Context, Result};
use chromedriver::Chromedriver;
use marionette::Marionette;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a script and what it waits for may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(90);
const PAGE_LIMIT: Duration = Duration::from_secs(20);
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
