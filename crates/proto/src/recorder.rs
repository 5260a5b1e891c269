//! Where a recorder is, and what is shown to it: the same for everybody who calls one.

mod line;
mod shown;
mod tls;

pub use line::Watched;
pub use shown::Proof;
pub use tls::RecorderTls;

use hyper_util::client::legacy::connect::HttpConnector;
use line::{Counting, Line};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tls::Connector;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Endpoint, Error};

/// Longest address, in bytes.
const MAX_URL: usize = 512;

/// A recorder's address, and who one is for it. `Debug` and `Display` show the address only.
#[derive(Clone)]
pub struct RecorderAddress {
    url: String,
    proof: Proof,
    tls: RecorderTls,
}

/// A connection on which each call shows who calls.
pub type RecorderChannel = InterceptedService<Watched, Proof>;

/// Not an address of a recorder, or not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The address.
    #[error("{0:?} is not the address of a recorder: write it as http://recorder:7070 or https://recorder:7070")]
    Url(String),
    /// Certificates or keys.
    #[error("TLS to the recorder: {0}")]
    Tls(String),
    /// The token, which is not quoted.
    #[error("the token for the recorder has characters that no token has")]
    Token,
    /// The file of the token.
    #[error("the token for the recorder cannot be read: {0}: {1}")]
    TokenFile(PathBuf, String),
}

/// What tells one state of a file from another, without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, i64, i64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let stamp = |m: std::fs::Metadata| (m.ino(), m.len(), m.mtime(), m.mtime_nsec());
        Self(std::fs::metadata(path).ok().map(stamp))
    }
}

/// Where to connect to, and how: settings are those of [`Endpoint`].
#[derive(Clone)]
pub struct RecorderEndpoint {
    endpoint: Endpoint,
    tls: Option<Connector>,
}

impl RecorderEndpoint {
    /// With other settings.
    #[must_use]
    pub fn with(self, set: impl FnOnce(Endpoint) -> Endpoint) -> Self {
        Self { endpoint: set(self.endpoint), ..self }
    }

    /// Connects.
    ///
    /// # Errors
    /// When there is no way.
    pub async fn connect(&self) -> Result<Watched, Error> {
        let line = Line::default();
        let channel = match &self.tls {
            None => self.endpoint.connect_with_connector(Counting::new(plain(), line.clone())).await?,
            Some(tls) => self.endpoint.connect_with_connector(Counting::new(tls.clone(), line.clone())).await?,
        };
        Ok(Watched::new(channel, line))
    }

    /// Connects when it is needed, and again when it broke.
    pub fn connect_lazy(&self) -> Watched {
        let line = Line::default();
        let channel = match &self.tls {
            None => self.endpoint.connect_with_connector_lazy(Counting::new(plain(), line.clone())),
            Some(tls) => self.endpoint.connect_with_connector_lazy(Counting::new(tls.clone(), line.clone())),
        };
        Watched::new(channel, line)
    }
}

/// What the library connects by where it is left to itself.
fn plain() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

impl fmt::Debug for RecorderEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecorderEndpoint({:?})", self.endpoint)
    }
}

impl RecorderAddress {
    /// At `url`, as `http://recorder:7070`, showing nothing.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), proof: Proof::default(), tls: RecorderTls::default() }
    }

    /// With a token, or a JWT, for each call.
    ///
    /// # Errors
    /// [`AddressError::Token`].
    pub fn with_token(self, token: &str) -> Result<Self, AddressError> {
        Ok(Self { proof: Proof::token(token)?, ..self })
    }

    /// The same from a file, which is read again when it changes.
    ///
    /// # Errors
    /// [`AddressError`], when there is none in it.
    pub fn with_token_file(self, path: &Path) -> Result<Self, AddressError> {
        Ok(Self { proof: Proof::file(path)?, ..self })
    }

    /// Over TLS, with these files. For an `https` address.
    #[must_use]
    pub fn with_tls(self, tls: RecorderTls) -> Self {
        Self { tls, ..self }
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// To connect to.
    ///
    /// # Errors
    /// [`AddressError`], when it is no address, or a file of certificates cannot be used.
    pub fn endpoint(&self) -> Result<RecorderEndpoint, AddressError> {
        let wrong = || AddressError::Url(self.url.chars().take(200).collect());
        let secure = self.url.strip_prefix("https://");
        if self.url.len() > MAX_URL || !(secure.is_some() || self.url.starts_with("http://")) {
            return Err(wrong());
        }
        let Some(rest) = secure else {
            let endpoint = Endpoint::from_shared(self.url.clone()).map_err(|_| wrong())?;
            return Ok(RecorderEndpoint { endpoint, tls: None });
        };
        // The library's own TLS keeps the certificate that it was given first: so it is told that there is none, but in what it
        // says that it asks for.
        let origin = self.url.parse().map_err(|_| wrong())?;
        let endpoint = Endpoint::from_shared(format!("http://{rest}")).map_err(|_| wrong())?;
        let connector = Connector::new(&origin, self.tls.clone())?;
        Ok(RecorderEndpoint { endpoint: endpoint.origin(origin), tls: Some(connector) })
    }

    /// Calls over a connection that was made.
    pub fn over(&self, channel: Watched) -> RecorderChannel {
        InterceptedService::new(channel, self.proof.clone())
    }
}

impl From<String> for RecorderAddress {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl From<&str> for RecorderAddress {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl fmt::Display for RecorderAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for RecorderAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shows = if self.proof.is_something() { ", with a token" } else { "" };
        write!(f, "RecorderAddress({:?}{shows})", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Request;
    use tonic::service::Interceptor as _;

    #[test]
    fn addresses_and_what_shows_of_them() {
        let address = RecorderAddress::new("http://127.0.0.1:7070").with_token("lt_secret").unwrap();
        assert!(address.endpoint().is_ok());
        assert!(!format!("{address} {address:?} {:?}", address.proof).contains("secret"));
        let request = address.proof.clone().call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer lt_secret");
        assert!(!format!("{request:?}").contains("secret"));
        for bad in ["", "127.0.0.1:7070", "ftp://recorder:7070", "http://", "http://a b"] {
            assert!(RecorderAddress::new(bad).endpoint().is_err(), "{bad}");
        }
        assert_eq!(address.with_token("a\nb").unwrap_err(), AddressError::Token);
    }
}
