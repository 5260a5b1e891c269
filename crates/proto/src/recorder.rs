//! Where a recorder is, and what is shown to it: the same for everybody who calls one.

use std::fmt;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

/// Longest address, in bytes.
const MAX_URL: usize = 512;

/// A recorder's address, and who one is for it. `Debug` and `Display` show the address only.
#[derive(Clone)]
pub struct RecorderAddress {
    url: String,
    proof: Proof,
    tls: Option<ClientTlsConfig>,
}

/// What is shown with each call: a token, or nothing.
#[derive(Clone, Default)]
pub struct Proof(Option<MetadataValue<Ascii>>);

/// A connection on which each call shows who calls.
pub type RecorderChannel = InterceptedService<Channel, Proof>;

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
}

impl RecorderAddress {
    /// At `url`, as `http://recorder:7070`, showing nothing.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), proof: Proof::default(), tls: None }
    }

    /// With a token, or a JWT, for each call.
    ///
    /// # Errors
    /// [`AddressError::Token`].
    pub fn with_token(self, token: &str) -> Result<Self, AddressError> {
        let value = MetadataValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| AddressError::Token)?;
        value.set_sensitive(true);
        Ok(Self { proof: Proof(Some(value)), ..self })
    }

    /// Over TLS, with the authorities in `ca` (PEM) instead of those of this machine, and with a certificate and its key
    /// (PEM) for a recorder that asks for one. For an `https` address.
    pub fn with_tls(self, ca: Option<&str>, identity: Option<(&str, &str)>) -> Self {
        let tls = ca.map_or_else(
            || ClientTlsConfig::new().with_native_roots(),
            |ca| ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
        );
        let tls = identity.map_or(tls.clone(), |(cert, key)| tls.identity(Identity::from_pem(cert, key)));
        Self { tls: Some(tls), ..self }
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// To connect to.
    ///
    /// # Errors
    /// [`AddressError::Url`].
    pub fn endpoint(&self) -> Result<Endpoint, AddressError> {
        let wrong = || AddressError::Url(self.url.chars().take(200).collect());
        let is_tls = self.url.starts_with("https://");
        if self.url.len() > MAX_URL || !(is_tls || self.url.starts_with("http://")) {
            return Err(wrong());
        }
        let endpoint = Endpoint::from_shared(self.url.clone()).map_err(|_| wrong())?;
        if !is_tls {
            return Ok(endpoint);
        }
        let tls = self.tls.clone().unwrap_or_else(|| ClientTlsConfig::new().with_native_roots());
        endpoint.tls_config(tls).map_err(|error| AddressError::Tls(error.to_string()))
    }

    /// Calls over a connection that was made.
    pub fn over(&self, channel: Channel) -> RecorderChannel {
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
        let shows = if self.proof.0.is_some() { ", with a token" } else { "" };
        write!(f, "RecorderAddress({:?}{shows})", self.url)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl Interceptor for Proof {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
