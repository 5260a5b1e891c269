//! Certificates and keys: those of this process's listeners, and those for the recorder that it works with.

use super::File;
use anyhow::bail;
use livetape_proto::RecorderAddress;
use livetape_service::TlsFiles;
use livetape_service::config::read_secret;
use std::path::PathBuf;

/// Certificate and key of the listeners.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct TlsFlags {
    /// Certificate of the listeners, in PEM, with those that lead to a root: then they speak TLS [default: none]
    #[arg(long, env = "LIVETAPE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, env = "LIVETAPE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Authorities of clients' certificates, in PEM: who calls the recorder has to show one [default: nobody has to]
    #[arg(long, env = "LIVETAPE_TLS_CLIENT_CA", value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
}

impl TlsFlags {
    /// For listeners that do not ask for clients' certificates.
    pub(crate) fn files(&self, file: &File) -> anyhow::Result<Option<TlsFiles>> {
        let cert = self.tls_cert.clone().or_else(|| file.tls_cert.clone());
        let key = self.tls_key.clone().or_else(|| file.tls_key.clone());
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key, client_ca: None })),
            (None, None) => Ok(None),
            _ => bail!("tls_cert and tls_key belong together: give both, or none"),
        }
    }

    /// For the recorder's.
    pub(crate) fn mutual(&self, file: &File) -> anyhow::Result<Option<TlsFiles>> {
        let client_ca = self.tls_client_ca.clone().or_else(|| file.tls_client_ca.clone());
        match (self.files(file)?, client_ca) {
            (Some(files), client_ca) => Ok(Some(TlsFiles { client_ca, ..files })),
            (None, None) => Ok(None),
            (None, Some(_)) => bail!("tls_client_ca needs tls_cert and tls_key"),
        }
    }
}

/// How the recorder is reached over TLS.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RecorderTlsFlags {
    /// Authorities of the recorder's certificate, in PEM [default: those of this machine]
    #[arg(long, env = "LIVETAPE_RECORDER_CA", value_name = "FILE")]
    recorder_ca: Option<PathBuf>,
    /// Certificate that is shown to the recorder, in PEM [default: none]
    #[arg(long, env = "LIVETAPE_RECORDER_CERT", value_name = "FILE")]
    recorder_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, env = "LIVETAPE_RECORDER_KEY", value_name = "FILE")]
    recorder_key: Option<PathBuf>,
}

impl RecorderTlsFlags {
    pub(super) fn on(&self, address: RecorderAddress, file: &File) -> anyhow::Result<RecorderAddress> {
        let read = |path: Option<&PathBuf>| path.map(|path| read_secret(path)).transpose();
        let ca = read(self.recorder_ca.as_ref().or(file.recorder_ca.as_ref()))?;
        let cert = read(self.recorder_cert.as_ref().or(file.recorder_cert.as_ref()))?;
        let key = read(self.recorder_key.as_ref().or(file.recorder_key.as_ref()))?;
        let identity = match (&cert, &key) {
            (Some(cert), Some(key)) => Some((cert.as_str(), key.as_str())),
            (None, None) => None,
            _ => bail!("recorder_cert and recorder_key belong together: give both, or none"),
        };
        Ok(if ca.is_some() || identity.is_some() { address.with_tls(ca.as_deref(), identity) } else { address })
    }
}
