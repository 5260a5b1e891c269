//! Asks a gateway: what to say, how long to wait, and which answers another try may change.

use anyhow::{anyhow, ensure};
use std::io::Read;
use std::time::Duration;
use ureq::http::{HeaderMap, StatusCode};

/// How long a connection and the head of an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer that is not audio.
const ANSWER: u64 = 256 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Another try may go well.
    Passing(anyhow::Error),
    /// It will not.
    Final(anyhow::Error),
}

impl Trouble {
    pub(super) fn error(self) -> anyhow::Error {
        match self {
            Self::Passing(error) | Self::Final(error) => error,
        }
    }
}

/// An answer that is what was asked for.
pub(super) struct Answer {
    headers: HeaderMap,
    pub(super) body: Box<dyn Read>,
}

impl Answer {
    /// What a header says, if that is one of these.
    pub(super) fn header<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.headers.get(name)?.to_str().ok()?.parse().ok()
    }

    /// All of it, as JSON.
    pub(super) fn json(self) -> Result<serde_json::Value, Trouble> {
        serde_json::from_reader(self.body.take(ANSWER))
            .map_err(|error| Trouble::Passing(anyhow!("the gateway's answer cannot be read: {error}")))
    }
}

/// Where to ask.
pub(super) struct Gateway {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

impl Gateway {
    pub(super) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        ensure!(
            base.starts_with("http://"),
            "gateway {base:?}: use http://HOST:PORT, for example http://127.0.0.1:8080"
        );
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .http_status_as_error(false)
            .build();
        Ok(Self { agent: config.new_agent(), base, token })
    }

    /// Asks for an address, on behalf of who wants to hear `what`.
    pub(super) fn get(&self, what: &str, target: &str) -> Result<Answer, Trouble> {
        let mut request = self.agent.get(format!("{}{target}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = request.call();
        let answer =
            answer.map_err(|e| Trouble::Passing(anyhow!(e).context(format!("{} does not answer", self.base))))?;
        let (head, body) = answer.into_parts();
        let body = Box::new(body.into_reader());
        if head.status == StatusCode::OK {
            return Ok(Answer { headers: head.headers, body });
        }
        let said: serde_json::Value = serde_json::from_reader(body.take(ANSWER)).unwrap_or_default();
        let said = said["error"].as_str().unwrap_or("no reason given");
        let error = anyhow!("{what}: {said} ({})", head.status);
        let passing = head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS;
        Err(if passing { Trouble::Passing(error) } else { Trouble::Final(error) })
    }
}
