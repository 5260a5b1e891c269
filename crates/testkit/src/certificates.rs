//! Certificates for tests: an authority, and what it signs.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Signs certificates for servers and clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The certificate.
    pub cert: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When keys cannot be drawn.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A certificate for a name or an IP address, of a server and a client.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, name: &str) -> Result<Signed> {
        self.sign_until(name, None)
    }

    /// The same with an end, in whole seconds.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign_until(&self, name: &str, until: Option<SystemTime>) -> Result<Signed> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(until) = until {
            params.not_after = date_time_ymd(1970, 1, 1) + until.duration_since(SystemTime::UNIX_EPOCH)?;
        }
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signed { cert, key: key.serialize_pem() })
    }
}

impl Signed {
    /// Writes `NAME.pem` and `NAME.key` into a folder; where they are.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&cert, &self.cert)?;
        std::fs::write(&key, &self.key)?;
        Ok((cert, key))
    }
}
