//! TLS to a recorder: authorities that are trusted, and a certificate that is shown, from files. They are read again for the next
//! connection when they changed, so that a renewed certificate needs no restart; what cannot be read leaves what was read before in
//! force.

use super::{AddressError, Stamp};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::Uri;

/// The protocol that gRPC needs (RFC 9113, section 3.1).
const H2: &[u8] = b"h2";
/// Where the address says no port.
const PORT: u16 = 443;

/// Where certificates are, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderTls {
    /// Authorities of the recorder's certificate; without, those of this machine.
    pub ca: Option<PathBuf>,
    /// A certificate, with those that lead to a root, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Connects over TLS, by what the files say then.
#[derive(Clone)]
pub(super) struct Connector {
    host: String,
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    files: RecorderTls,
    loaded: Mutex<(Vec<Stamp>, Arc<ClientConfig>)>,
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> AddressError {
    AddressError::Tls(format!("{}: {why}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AddressError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| wrong(path, error))?;
    if all.is_empty() { Err(wrong(path, "there is no certificate in it")) } else { Ok(all) }
}

impl RecorderTls {
    fn stamps(&self) -> Vec<Stamp> {
        let identity = self.identity.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(identity).map(|path| Stamp::of(path)).collect()
    }

    fn read(&self) -> Result<ClientConfig, AddressError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| wrong(path, error))?;
                }
            }
            None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| AddressError::Tls(error.to_string()))?.with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, path)) => {
                let key = PrivateKeyDer::from_pem_file(path).map_err(|error| wrong(path, error))?;
                let config = builder.with_client_auth_cert(certificates(cert)?, key);
                config.map_err(|error| wrong(cert, error))?
            }
        };
        config.alpn_protocols = vec![H2.to_vec()];
        Ok(config)
    }
}

impl Connector {
    /// To where `uri` says.
    ///
    /// # Errors
    /// [`AddressError`], when a file cannot be used or the address names no host.
    pub(super) fn new(uri: &Uri, files: RecorderTls) -> Result<Self, AddressError> {
        let host = uri.host().ok_or_else(|| AddressError::Url(uri.to_string()))?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let stamps = files.stamps();
        let loaded = Mutex::new((stamps, Arc::new(files.read()?)));
        Ok(Self { host, port: uri.port_u16().unwrap_or(PORT), shared: Arc::new(Shared { files, loaded }) })
    }

    /// What counts now. `Err` once, when what changed cannot be used.
    fn config(&self) -> (Arc<ClientConfig>, Option<AddressError>) {
        let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.shared.files.stamps();
        if loaded.0 == stamps {
            return (Arc::clone(&loaded.1), None);
        }
        loaded.0 = stamps;
        match self.shared.files.read() {
            Ok(config) => {
                loaded.1 = Arc::new(config);
                (Arc::clone(&loaded.1), None)
            }
            Err(error) => (Arc::clone(&loaded.1), Some(error)),
        }
    }

    async fn connect(self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let reading = self.clone();
        let (config, trouble) =
            tokio::task::spawn_blocking(move || reading.config()).await.map_err(io::Error::other)?;
        if let Some(error) = trouble {
            tracing::error!(%error, "what is shown to the recorder changed and cannot be used; the old one stays");
        }
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        if stream.get_ref().1.alpn_protocol() != Some(H2) {
            return Err(io::Error::other("the recorder does not speak HTTP/2 over TLS"));
        }
        Ok(TokioIo::new(stream))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
