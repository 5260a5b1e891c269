//! Certificates and keys: those of this process's listeners, and those for the recorder that it works with.

use super::File;
use anyhow::{Context, bail};
use livetape_proto::{RecorderAddress, RecorderTls};
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
            _ => {
                bail!("tls_cert (LIVETAPE_TLS_CERT) and tls_key (LIVETAPE_TLS_KEY) belong together: give both, or none")
            }
        }
    }

    /// For the recorder's.
    pub(crate) fn mutual(&self, file: &File) -> anyhow::Result<Option<TlsFiles>> {
        let client_ca = self.tls_client_ca.clone().or_else(|| file.tls_client_ca.clone());
        match (self.files(file)?, client_ca) {
            (Some(files), client_ca) => Ok(Some(TlsFiles { client_ca, ..files })),
            (None, None) => Ok(None),
            (None, Some(_)) => bail!(
                "tls_client_ca (LIVETAPE_TLS_CLIENT_CA) needs tls_cert and tls_key (LIVETAPE_TLS_CERT, LIVETAPE_TLS_KEY)"
            ),
        }
    }
}

/// How the recorder is reached over TLS.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RecorderTlsFlags {
    /// Authorities of the recorder's certificate, in PEM [default: those of this machine]
    #[arg(long, env = "LIVETAPE_RECORDER_CA", value_name = "FILE", global = true)]
    recorder_ca: Option<PathBuf>,
    /// Certificate that is shown to the recorder, in PEM [default: none]
    #[arg(long, env = "LIVETAPE_RECORDER_CERT", value_name = "FILE", global = true)]
    recorder_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, env = "LIVETAPE_RECORDER_KEY", value_name = "FILE", global = true)]
    recorder_key: Option<PathBuf>,
}

impl RecorderTlsFlags {
    pub(super) fn on(&self, address: RecorderAddress, file: &File) -> anyhow::Result<RecorderAddress> {
        // What they hold is read when somebody connects; that they can be read is said now, by name.
        let named = |variable: &'static str, flag: &Option<PathBuf>, file: &Option<PathBuf>| {
            let path = flag.as_ref().or(file.as_ref());
            path.map(|path| read_secret(path).map(|_| path.clone())).transpose().context(variable)
        };
        let ca = named("LIVETAPE_RECORDER_CA", &self.recorder_ca, &file.recorder_ca)?;
        let cert = named("LIVETAPE_RECORDER_CERT", &self.recorder_cert, &file.recorder_cert)?;
        let key = named("LIVETAPE_RECORDER_KEY", &self.recorder_key, &file.recorder_key)?;
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => bail!(
                "recorder_cert (LIVETAPE_RECORDER_CERT) and recorder_key (LIVETAPE_RECORDER_KEY) belong together: give both, or \
                 none"
            ),
        };
        Ok(address.with_tls(RecorderTls { ca, identity }))
    }
}
