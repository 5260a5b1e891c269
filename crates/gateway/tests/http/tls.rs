//! HTTPS: both versions of HTTP, what is no TLS, and a certificate that is renewed.

use crate::house::{House, RATE, counting};
use livetape_service::TlsFiles;
use livetape_testkit::certificates::{Authority, Signed};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

async fn connect(house: &House, authority: &Authority, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(house.addr).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

fn install(signed: &Signed, folder: &Path) -> TlsFiles {
    let (cert, key) = signed.write(folder, "server").unwrap();
    TlsFiles { cert, key, client_ca: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_tls() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    let first = authority.sign("localhost").unwrap();
    let files = install(&first, dir.path());
    let house = House::with(|c| c.tls = Some(files)).await;
    let id = house.finished("live", Duration::from_secs(60), RATE);

    let mut stream = connect(&house, &authority, "http/1.1").await.unwrap();
    let request = format!("GET /recordings/{id}/audio.pcm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let end = reply.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8_lossy(&reply[..end]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("strict-transport-security"), "{head}");
    assert!(reply[end..] == counting(0..RATE), "sample-exact");

    let two = connect(&house, &authority, "h2").await.unwrap();
    assert_eq!(two.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert!(connect(&house, &Authority::new().unwrap(), "h2").await.is_err(), "not by an authority that is trusted");

    // Who speaks no TLS is sent away.
    let mut plain = TcpStream::connect(house.addr).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    drop(tokio::time::timeout(Duration::from_secs(20), plain.read_to_end(&mut said)).await.expect("closed"));
    assert!(!said.starts_with(b"HTTP"), "{said:?}");

    // Renewed, while requests go on.
    let shown = async || {
        let stream = connect(&house, &authority, "h2").await.ok()?;
        Some(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec())
    };
    let before = shown().await.unwrap();
    install(&authority.sign("localhost").unwrap(), dir.path());
    for _ in 0..600 {
        if shown().await.is_some_and(|now| now != before) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the old certificate is still shown");
}
