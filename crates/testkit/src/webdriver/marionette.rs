//! Firefox through Marionette, the protocol that is built into it: `LENGTH:JSON` over TCP, a command is
//! `[0, id, name, parameters]`, its reply `[1, id, error, result]`. A driver of its own is no Debian package.

use super::{PAGE_LIMIT, SCRIPT_LIMIT, START_LIMIT};
use crate::card::Card;
use crate::{spawn, wait};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A free port, audio without a click, on the one card of ALSA; nothing reaches the network.
const PREFERENCES: [(&str, &str); 16] = [
    ("marionette.port", "0"),
    ("media.autoplay.default", "0"),
    ("media.autoplay.blocking_policy", "0"),
    ("media.autoplay.block-webaudio", "false"),
    ("media.cubeb.backend", "\"alsa\""),
    ("app.normandy.enabled", "false"),
    ("app.update.enabled", "false"),
    ("browser.safebrowsing.malware.enabled", "false"),
    ("browser.safebrowsing.phishing.enabled", "false"),
    ("browser.shell.checkDefaultBrowser", "false"),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("extensions.update.enabled", "false"),
    ("media.gmp-manager.url", "\"http://127.0.0.1:9/\""),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
    ("services.settings.server", "\"http://127.0.0.1:9/\""),
];

/// A session.
#[derive(Debug)]
pub(super) struct Marionette {
    firefox: Child,
    line: Mutex<Line>,
    _profile: tempfile::TempDir,
}

#[derive(Debug)]
struct Line {
    stream: BufReader<TcpStream>,
    last: u64,
}

impl Marionette {
    pub(super) fn start(card: &Card) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut preferences = String::new();
        for (name, value) in PREFERENCES {
            writeln!(preferences, "user_pref({name:?}, {value});")?;
        }
        std::fs::write(profile.path().join("user.js"), preferences)?;
        let log = std::fs::File::create(profile.path().join("log"))?;
        let mut command = spawn::command("firefox-esr");
        command.args(["--headless", "--marionette", "--no-remote", "--profile"]).arg(profile.path());
        command.env("HOME", profile.path()).env("ALSA_CONFIG_PATH", card.alsa()?).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let mut firefox = spawn::spawn(command)?;
        let said = || std::fs::read_to_string(profile.path().join("log")).unwrap_or_default();
        let line = connect(profile.path()).with_context(said);
        let line = line.inspect_err(|_| end(&mut firefox))?;
        let session = Self { firefox, line: Mutex::new(line), _profile: profile };
        let timeouts = json!({"script": SCRIPT_LIMIT.as_millis(), "pageLoad": PAGE_LIMIT.as_millis()});
        session.call("WebDriver:NewSession", &json!({"timeouts": timeouts}))?;
        Ok(session)
    }

    /// Sends a command and gives its result.
    pub(super) fn call(&self, name: &str, parameters: &Value) -> Result<Value> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.last += 1;
        let id = line.last;
        let command = json!([0, id, name, parameters]).to_string();
        line.stream.get_mut().write_all(format!("{}:{command}", command.len()).as_bytes())?;
        let mut reply = line.read().with_context(|| format!("after {name}"))?;
        ensure!(reply[1] == id, "{name} got the reply to another command: {reply}");
        ensure!(reply[2].is_null(), "{name}: {}: {}", reply[2]["error"], reply[2]["message"]);
        Ok(reply[3].take())
    }
}

/// Connects to the port that it writes into its profile, and reads its greeting.
fn connect(profile: &std::path::Path) -> Result<Line> {
    let port = wait::until("the port of Firefox", START_LIMIT, || {
        std::fs::read_to_string(profile.join("MarionetteActivePort")).ok()?.trim().parse::<u16>().ok()
    })?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(SCRIPT_LIMIT + Duration::from_secs(10)))?;
    let mut line = Line { stream: BufReader::new(stream), last: 0 };
    let greeting = line.read()?;
    ensure!(greeting["marionetteProtocol"] == 3, "another protocol: {greeting}");
    Ok(line)
}

impl Line {
    fn read(&mut self) -> Result<Value> {
        let mut length = Vec::new();
        self.stream.read_until(b':', &mut length)?;
        let length = std::str::from_utf8(&length)?.trim_end_matches(':');
        let mut message = vec![0; length.parse().with_context(|| format!("{length:?} is no length"))?];
        self.stream.read_exact(&mut message)?;
        Ok(serde_json::from_slice(&message)?)
    }
}

fn end(firefox: &mut Child) {
    let _ = firefox.kill();
    let _ = firefox.wait();
}

impl Drop for Marionette {
    fn drop(&mut self) {
        // Killed, it would leave its other processes behind for a while.
        let _ = self.call("Marionette:Quit", &json!({"flags": ["eForceQuit"]}));
        if spawn::wait(&mut self.firefox, Duration::from_secs(10)).is_err() {
            end(&mut self.firefox);
        }
    }
}
