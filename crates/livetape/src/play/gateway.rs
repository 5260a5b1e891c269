//! Asks a gateway: what to say, how long to wait, and which answers another try may change.

use anyhow::{Context, anyhow, ensure};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderMap, StatusCode};
use ureq::tls::{Certificate, PemItem, TlsConfig, parse_pem};

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

/// The authorities that are believed about a gateway's certificate.
fn authorities(ca: Option<&Path>) -> anyhow::Result<Vec<Certificate<'static>>> {
    let Some(path) = ca else {
        let own = rustls_native_certs::load_native_certs().certs;
        return Ok(own.iter().map(|authority| Certificate::from_der(authority).to_owned()).collect());
    };
    let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
    ensure!(pem.len() as u64 <= ANSWER, "{}: this is too large for a file of certificates", path.display());
    let items = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(authority)) => Some(Ok(authority)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let found: Vec<_> = items.collect::<Result<_, _>>().with_context(|| path.display().to_string())?;
    ensure!(!found.is_empty(), "{}: there is no certificate in it", path.display());
    Ok(found)
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
    /// `ca` holds the authorities of its certificate, in PEM; without it those of this machine count.
    pub(super) fn new(url: &str, token: Option<String>, ca: Option<&Path>) -> anyhow::Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        let secure = base.starts_with("https://");
        ensure!(
            secure || base.starts_with("http://"),
            "gateway {base:?}: use http://HOST:PORT or https://HOST:PORT, for example http://127.0.0.1:8080"
        );
        ensure!(secure || ca.is_none(), "gateway {base:?}: --gateway-ca is for https://HOST:PORT");
        let roots = if secure { authorities(ca)? } else { Vec::new() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider).root_certs(roots.into()).build();
        let config = ureq::Agent::config_builder()
            // A token that was to be kept secret is not shown on the way.
            .https_only(secure)
            .tls_config(tls)
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
