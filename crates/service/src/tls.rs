//! TLS of listeners: certificate and key from files, read again when they change; HTTP/2 by ALPN; clients that show
//! certificates, if they are asked for them.
//!
//! A renewed certificate counts for new connections. Files that cannot be used leave what was read before in force, and are
//! said in the log. Not here: what a client's name allows.

mod end;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What says which files: the begin of a complaint about them.
pub const SETTINGS: &str = "TLS (LIVETAPE_TLS_CERT, LIVETAPE_TLS_KEY, LIVETAPE_TLS_CLIENT_CA)";

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often it is looked whether the files changed.
const LOOK: Duration = Duration::from_secs(5);
/// Longest name of a client that is looked at, and most of them.
const MAX_NAMES: usize = 16;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead from it to a root, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Authorities of clients' certificates, in PEM: then each client has to show one.
    pub client_ca: Option<PathBuf>,
}

/// Why the files cannot be used. Quotes nothing of a key.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what}")]
pub struct TlsError {
    path: PathBuf,
    what: String,
}

type Stamp = Option<(u64, u64, i64, i64)>;

struct Loaded {
    config: Arc<ServerConfig>,
    stamps: Vec<Stamp>,
}

/// TLS of one listener.
pub struct Tls {
    files: TlsFiles,
    protocols: &'static [&'static [u8]],
    loaded: Mutex<Loaded>,
}

fn wrong(path: &Path, what: impl fmt::Display) -> TlsError {
    TlsError { path: path.to_owned(), what: what.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| wrong(path, error))?;
    if all.is_empty() { Err(wrong(path, "there is no certificate in it")) } else { Ok(all) }
}

impl TlsFiles {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca)
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |m: std::fs::Metadata| (m.ino(), m.len(), m.mtime(), m.mtime_nsec());
        self.paths().map(|path| std::fs::metadata(path).ok().map(stamp)).collect()
    }

    fn read(&self, protocols: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| wrong(&self.cert, error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| wrong(path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| wrong(path, error))?)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| wrong(&self.key, error))?;
        let config = builder.with_single_cert(certificates(&self.cert)?, key);
        let mut config = config.map_err(|error| wrong(&self.cert, error))?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

impl Tls {
    /// Reads the files. `protocols` are offered by ALPN, the best first.
    ///
    /// # Errors
    /// [`TlsError`] says which file cannot be used, and why.
    pub fn load(files: TlsFiles, protocols: &'static [&'static [u8]]) -> Result<Arc<Self>, TlsError> {
        let stamps = files.stamps();
        let config = Arc::new(files.read(protocols)?);
        Ok(Arc::new(Self { files, protocols, loaded: Mutex::new(Loaded { config, stamps }) }))
    }

    /// Takes a connection over, if its client keeps to TLS and to the time there is for it.
    ///
    /// # Errors
    /// When it does not.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).config);
        let accepting = TlsAcceptor::from(config).accept(stream);
        tokio::time::timeout(HANDSHAKE, accepting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Reads the files again whenever they change. Never ends.
    pub async fn follow(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = Arc::clone(self);
            drop(tokio::task::spawn_blocking(move || tls.look()).await);
        }
    }

    /// Reads the files again if they changed. Whether they did.
    fn look(&self) -> bool {
        let stamps = self.files.stamps();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.stamps == stamps {
            return false;
        }
        loaded.stamps = stamps;
        match self.files.read(self.protocols) {
            Ok(config) => {
                loaded.config = Arc::new(config);
                tracing::info!(cert = %self.files.cert.display(), "the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the certificate changed and cannot be used; the old one stays"),
        }
        true
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.files).finish()
    }
}

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
pub const HANDSHAKE_RECORD: u8 = 22;

/// Whether a connection begins as TLS does; `None` if it ends before it begins.
pub async fn begins(stream: &TcpStream) -> Option<bool> {
    let mut first = [0];
    let seen = stream.peek(&mut first).await.ok()?;
    (seen > 0).then_some(first[0] == HANDSHAKE_RECORD)
}

/// Whether nothing of a connection leaves this machine.
pub fn is_from_here(stream: &TcpStream) -> bool {
    let Ok(peer) = stream.peer_addr() else { return false };
    peer.ip().to_canonical().is_loopback() || stream.local_addr().is_ok_and(|here| here.ip() == peer.ip())
}

/// Who a client is by the certificate that it showed, which was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The DNS names in it.
    pub names: Vec<String>,
    /// When it ends, since 1970.
    pub until: Option<Duration>,
}

/// The certificate that the client showed; nobody's if it showed none, or one whose end cannot be told.
pub fn client_certificate<S>(stream: &TlsStream<S>) -> ClientCertificate {
    let (_, session) = stream.get_ref();
    let Some(shown) = session.peer_certificates().and_then(|chain| chain.first()) else { return Default::default() };
    let Ok(certificate) = webpki::EndEntityCert::try_from(shown) else { return Default::default() };
    let Some(until) = end::end(shown) else { return Default::default() };
    let names = certificate.valid_dns_names().take(MAX_NAMES).map(str::to_owned).collect();
    ClientCertificate { names, until: Some(until) }
}
