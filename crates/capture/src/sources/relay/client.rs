//! Asks for a stream: connects, follows redirects and playlists, and comes back with a body of audio. Every step has a limit.

use super::url::RelayUrl;
use crate::intake::body::{Body, Framing};
use crate::intake::head::{self, Head, Kind};
use crate::sources::file::playlist;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Redirects and playlists on the way to a stream.
const MAX_STEPS: u32 = 8;
/// Largest playlist, in bytes.
const MAX_PLAYLIST: usize = 64 << 10;
/// Types of playlists; HLS has one of them.
const PLAYLISTS: [&str; 7] = [
    "audio/x-mpegurl",
    "audio/mpegurl",
    "application/x-mpegurl",
    "application/vnd.apple.mpegurl",
    "audio/x-scpls",
    "application/pls+xml",
    "application/xspf+xml",
];

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A stream that was found.
pub(super) struct Found {
    pub(super) head: Head,
    pub(super) body: Body<Box<dyn Stream>>,
    /// Where it was found in the end.
    pub(super) url: RelayUrl,
}

/// Finds the stream.
///
/// # Errors
/// Why there is none.
pub(super) async fn find(url: &RelayUrl, patience: Duration) -> Result<Found, String> {
    let mut url = url.clone();
    for _ in 0..=MAX_STEPS {
        let (head, mut body) = ask(&url, patience).await.map_err(|why| format!("{url}: {why}"))?;
        match head.status {
            200 if is_playlist(&head, &url) => {
                let entry = entry(&mut body, &url, patience).await.map_err(|why| format!("{url}: {why}"))?;
                url = entry;
            }
            200 => return Ok(Found { head, body, url }),
            301 | 302 | 303 | 307 | 308 => {
                let location = head.text("location").ok_or_else(|| format!("{url}: it redirects to nowhere"))?;
                url =
                    url.join(location).map_err(|error| format!("{url}: it redirects to what is no stream: {error}"))?;
            }
            status => return Err(format!("{url}: it answers {status}")),
        }
    }
    Err(format!("{url}: more than {MAX_STEPS} redirects and playlists one after another"))
}

async fn ask(url: &RelayUrl, patience: Duration) -> Result<(Head, Body<Box<dyn Stream>>), String> {
    let connecting = timeout(patience, connect(url)).await;
    let mut stream = connecting.map_err(|_| format!("no connection within {patience:?}"))??;
    let request = request(url);
    let asking = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await
    };
    let asked = timeout(patience, asking).await.map_err(|_| "it does not listen".to_owned())?;
    asked.map_err(|error| error.to_string())?;
    let mut buffer = BytesMut::new();
    let head =
        head::read(&mut stream, &mut buffer, Kind::Response, patience).await.map_err(|error| error.to_string())?;
    let framing = Framing::of(&head)?;
    Ok((head, Body::new(stream, buffer, framing, patience)))
}

async fn connect(url: &RelayUrl) -> Result<Box<dyn Stream>, String> {
    let host = url.url().host_str().unwrap_or_default();
    let port = url.url().port_or_known_default().unwrap_or(80);
    let bare = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((bare, port)).await.map_err(|error| error.to_string())?;
    // Not worth giving up for.
    drop(stream.set_nodelay(true));
    if url.url().scheme() == "http" {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(tls()?));
    let stream = connector.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
    Ok(Box::new(stream))
}

/// By the authorities of this machine.
fn tls() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for authority in rustls_native_certs::load_native_certs().certs {
        // Machines carry some that are too old to be of use.
        let _ = roots.add(authority);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

fn request(url: &RelayUrl) -> String {
    let url = url.url();
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let who = match url.username() {
        "" => String::new(),
        user => {
            let plain = |text: &str| crate::title::decoded(&head::percent(text), None);
            let shown = format!("{}:{}", plain(user), plain(url.password().unwrap_or_default()));
            format!("Authorization: Basic {}\r\n", STANDARD.encode(shown))
        }
    };
    format!(
        "GET {}{query} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: livetape/{}\r\nAccept: */*\r\nIcy-MetaData: 1\r\n{who}\
         Connection: close\r\n\r\n",
        url.path(),
        env!("CARGO_PKG_VERSION")
    )
}

fn is_playlist(head: &Head, url: &RelayUrl) -> bool {
    let kind = head.text("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let by_name =
        [".m3u", ".m3u8", ".pls", ".xspf"].iter().any(|end| url.url().path().to_ascii_lowercase().ends_with(end));
    PLAYLISTS.iter().any(|known| kind.eq_ignore_ascii_case(known)) || (by_name && !kind.starts_with("audio/mpeg"))
}

/// The first stream that a playlist names.
async fn entry(body: &mut Body<Box<dyn Stream>>, url: &RelayUrl, patience: Duration) -> Result<RelayUrl, String> {
    let reading = async {
        let mut text = Vec::new();
        while let Some(block) = body.next().await.map_err(|error| error.to_string())? {
            text.extend_from_slice(&block);
            if text.len() > MAX_PLAYLIST {
                return Err(format!("this playlist is larger than {MAX_PLAYLIST} bytes"));
            }
        }
        Ok(text)
    };
    let bytes = timeout(patience, reading).await.map_err(|_| "its playlist does not end".to_owned())??;
    named(&bytes, url)
}

/// The first stream that the playlist at `url` names, if these are its bytes.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn named(bytes: &[u8], url: &RelayUrl) -> Result<RelayUrl, String> {
    let text = crate::title::decoded(bytes, None);
    if text.contains("#EXT-X-") {
        return Err("this is HLS, which cannot be relayed".into());
    }
    let entries = playlist::entries(&text)?;
    let named = entries.iter().find_map(|entry| url.join(entry).ok());
    named.ok_or_else(|| "its playlist names no stream".into())
}
