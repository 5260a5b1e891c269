//! What each client may take of a recorder: refused by name and with a time to come back, and nobody else notices.

use crate::common::{config, start};
use livetape_access::{Access, Grants};
use livetape_proto::v1::ListStreamsRequest;
use livetape_recorder::Limits;
use livetape_service::{Networks, Proxies, TlsFiles};
use livetape_testkit::certificates::Authority;
use livetape_testkit::grpc_source::{open, opening, stereo};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

/// A recorder on which this machine has no privileges, and may say for whom it calls.
async fn strict(change: impl FnOnce(&mut Limits)) -> (crate::common::Running, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.limits.clients.unlimited = Networks::default();
    config.proxies = Proxies { trusted: Networks::loopback(), ..Proxies::default() };
    config.access = Some(Access::open(Grants::all()).unwrap());
    change(&mut config.limits);
    (start(config).await, folder)
}

fn limit(status: &Status) -> (Code, String, bool) {
    let limit = status.get_details_error_info().map(|info| {
        assert_eq!(info.reason, "LIMIT_REACHED", "{status}");
        info.metadata["limit"].clone()
    });
    let again = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    (status.code(), limit.unwrap_or_default(), again.is_some_and(|again| !again.is_zero()))
}

#[tokio::test]
async fn calls_of_one_client_not_of_another() {
    let (recorder, _folder) = strict(|limits| limits.clients.rate_per_address = 1).await;
    let calls = async |client: &str| {
        let mut request = Request::new(ListStreamsRequest::default());
        request.metadata_mut().insert("x-forwarded-for", client.parse().unwrap());
        recorder.catalogue.clone().list_streams(request).await.map(drop)
    };
    for _ in 0..10 {
        calls("192.0.2.1").await.unwrap();
    }
    let refused = calls("192.0.2.1").await.unwrap_err();
    assert_eq!(limit(&refused), (Code::ResourceExhausted, "call_rate_per_address".into(), true), "{refused}");
    assert!(refused.message().contains("LIVETAPE_LIMIT_CALL_RATE_PER_ADDRESS"), "{refused}");
    calls("192.0.2.2").await.unwrap();
    for _ in 0..30 {
        HealthClient::new(recorder.channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    }
    recorder.stop().await;
}

#[tokio::test]
async fn so_many_calls_at_once_streams_and_recordings() {
    let (recorder, _folder) = strict(|limits| limits.clients.lasting_per_address = 2).await;
    let one = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let _two = open(recorder.addr, opening("b", stereo())).await.unwrap();
    let refused = open(recorder.addr, opening("c", stereo())).await.unwrap_err();
    assert!(format!("{refused:?}").contains("calls at once from one address"), "{refused:?}");
    drop(one);
    recorder_has_room(&recorder).await;
    drop(_two);
    recorder.stop().await;

    let (recorder, _folder) = strict(|limits| (limits.streams, limits.recordings) = (2, 1)).await;
    let _one = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let refused = open(recorder.addr, opening("b", stereo())).await.unwrap_err();
    assert!(format!("{refused:?}").contains("LIVETAPE_LIMIT_RECORDINGS"), "{refused:?}");
    let refused = open(recorder.addr, opening("c", stereo())).await.unwrap_err();
    assert!(format!("{refused:?}").contains("LIVETAPE_LIMIT_STREAMS"), "{refused:?}");
    drop(_one);
    recorder.stop().await;
}

async fn recorder_has_room(recorder: &crate::common::Running) {
    for _ in 0..200 {
        if open(recorder.addr, opening("c", stereo())).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a call that has ended is still counted");
}

#[tokio::test]
async fn who_has_too_many_connections_is_told_in_http_2() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.limits.clients.unlimited = Networks::default();
    config.limits.clients.connections = 1;
    let recorder = start(config).await;
    let mut second = TcpStream::connect(recorder.addr).await.unwrap();
    second.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut told = Vec::new();
    second.read_to_end(&mut told).await.unwrap();
    // SETTINGS, and GOAWAY with ENHANCE_YOUR_CALM and the reason.
    let (settings, goaway) = told.split_at(9);
    assert_eq!(settings, [0, 0, 0, 4, 0, 0, 0, 0, 0]);
    assert_eq!((goaway[3], &goaway[9..17]), (7, &[0, 0, 0, 0, 0, 0, 0, 11][..]));
    assert_eq!(usize::from(goaway[2]) + (usize::from(goaway[1]) << 8), goaway.len() - 9);
    let why = String::from_utf8_lossy(&goaway[17..]);
    assert!(why.contains("LIVETAPE_LIMIT_CONNECTIONS_PER_ADDRESS"), "{why}");
    // The first one goes on.
    recorder.catalogue.clone().list_streams(ListStreamsRequest::default()).await.unwrap();
    recorder.stop().await;
}

/// A connection over TLS that has said nothing after the handshake.
async fn shaken_hands(addr: SocketAddr, authority: &Authority) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(addr).await.unwrap();
    let name = addr.ip().into();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_after_a_tls_handshake_has_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let (cert, key) = authority.sign("127.0.0.1").unwrap().write(folder.path(), "server").unwrap();
    let mut config = config(&folder.path().join("data"));
    config.tls = Some(TlsFiles { cert, key, client_ca: None });
    let recorder = start(config).await;
    let mut silent = shaken_hands(recorder.addr, &authority).await;
    let mut half = shaken_hands(recorder.addr, &authority).await;
    half.write_all(b"PRI * HTTP/2").await.unwrap();
    half.flush().await.unwrap();
    let gone = async {
        let mut all = Vec::new();
        // Closed in order, or not.
        _ = silent.read_to_end(&mut all).await;
        _ = half.read_to_end(&mut all).await;
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("they are closed");
    recorder.stop().await;
}
