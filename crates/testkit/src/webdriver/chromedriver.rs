//! Chromium through chromedriver, which speaks WebDriver over HTTP.

use super::{PAGE_LIMIT, SCRIPT_LIMIT, START_LIMIT};
use crate::card::Card;
use crate::spawn;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Root may run it, nothing reaches the network, audio plays without a click; the driver needs neither a port nor the name
/// localhost.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--autoplay-policy=no-user-gesture-required",
];

/// A session.
#[derive(Debug)]
pub(super) struct Chromedriver {
    driver: Child,
    /// Of Chromium itself, which would outlive a killed driver.
    chromium: Option<Pid>,
    agent: ureq::Agent,
    session: String,
    profile: tempfile::TempDir,
}

impl Chromedriver {
    /// Starts it, on a sound card or muted.
    pub(super) fn start(card: Option<&Card>) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut command = spawn::command("chromedriver");
        command.arg("--port=0").env("HOME", profile.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(card) = card {
            command.env("ALSA_CONFIG_PATH", card.alsa()?);
        }
        let mut driver = spawn::spawn(command)?;
        let port = port(&mut driver);
        let mut browser = Self { driver, chromium: None, agent: agent(), session: String::new(), profile };
        browser.session = format!("http://127.0.0.1:{}/session", port?);
        browser.open_session(card.is_none())?;
        Ok(browser)
    }

    fn open_session(&mut self, muted: bool) -> Result<()> {
        let data = self.profile.path().join("profile");
        let mut flags: Vec<String> = FLAGS.map(String::from).into();
        flags.push(format!("--user-data-dir={}", data.display()));
        if muted {
            flags.push("--mute-audio".into());
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": SCRIPT_LIMIT.as_millis(), "pageLoad": PAGE_LIMIT.as_millis()},
        }}});
        let session = self.post("", &capabilities)?;
        let id = session["sessionId"].as_str().context("a session has an id")?;
        self.session = format!("{}/{id}", self.session);
        let pid = session["capabilities"]["goog:processID"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        self.chromium = pid.and_then(Pid::from_raw);
        Ok(())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut reply = self.agent.post(format!("{}{path}", self.session)).send_json(body)?;
        let status = reply.status();
        let mut reply: Value = reply.body_mut().read_json()?;
        ensure!(status.is_success(), "{path}: {}: {}", reply["value"]["error"], reply["value"]["message"]);
        Ok(reply["value"].take())
    }

    pub(super) fn console(&self) -> Result<Vec<String>> {
        let log = self.post("/se/log", &json!({"type": "browser"}))?;
        let text = |entry: &Value| format!("{}: {}", entry["level"], entry["message"]);
        Ok(log.as_array().context("a list")?.iter().map(text).collect())
    }
}

/// The one HTTP client for short questions to local servers: no proxies, no redirects, and every status is an answer.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(SCRIPT_LIMIT + Duration::from_secs(10)))
        .build()
        .new_agent()
}

/// The port that chromedriver says it has taken.
fn port(driver: &mut Child) -> Result<u16> {
    let stdout = driver.stdout.take().context("there is a pipe")?;
    let (said, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
            // Afterwards nobody asks any more, but the pipe must not fill.
            let _ = said.send(line);
        }
    });
    let mut all = String::new();
    while let Ok(line) = lines.recv_timeout(START_LIMIT) {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end_matches('.').parse().with_context(|| line.clone());
        }
        all.push_str(&line);
    }
    bail!("chromedriver did not say its port: {all}")
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let goodbye = self.agent.delete(&self.session).config().timeout_global(Some(Duration::from_secs(5))).build();
        // Once the session has ended, Chromium has too, and its process id may belong to somebody else.
        if let (Err(_), Some(chromium)) = (goodbye.call(), self.chromium) {
            let _ = kill_process(chromium, Signal::KILL);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Browser;
    use serde_json::json;

    #[test]
    fn a_page_and_its_scripts() {
        let browser = Browser::start().unwrap();
        browser.open("data:text/html,<title>here</title>").unwrap();
        assert_eq!(browser.run("return document.title", json!([])).unwrap(), "here");
        let sum = browser.run("const [a, b] = arguments; await null; return a + b", json!([2, 3])).unwrap();
        assert_eq!(sum, 5);
        let error = browser.run("throw new Error('why')", json!([])).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        browser.run("console.error('seen')", json!([])).unwrap();
        assert!(browser.console().unwrap().concat().contains("seen"));
    }
}
