//! The recorder over TLS: certificates of both sides, and who may come without.

use crate::common::{config, next, start};
use livetape_access::{Access, Grants, TokenHash, mint_token};
use livetape_proto::v1::catalogue_service_client::CatalogueServiceClient;
use livetape_proto::v1::{ListStreamsRequest, WatchCatalogueRequest};
use livetape_proto::{AddressError, RecorderAddress, RecorderTls};
use livetape_service::TlsFiles;
use livetape_testkit::certificates::Authority;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

/// What comes of listing streams; `None` if there is not even a connection.
async fn list(address: RecorderAddress) -> Option<Code> {
    let channel = address.endpoint().unwrap().connect().await.ok()?;
    let mut catalogue = CatalogueServiceClient::new(address.over(channel));
    // Whether a client's certificate is taken shows at the first call only (TLS 1.3).
    match catalogue.list_streams(ListStreamsRequest::default()).await {
        Ok(_) => Some(Code::Ok),
        Err(status) if matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Cancelled) => None,
        Err(status) => Some(status.code()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_certificate_is_known_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new().unwrap(), Authority::new().unwrap());
    let (cert, key) = ours.sign("127.0.0.1").unwrap().write(dir.path(), "server").unwrap();
    let client_ca = dir.path().join("ca.pem");
    fs::write(&client_ca, &ours.pem).unwrap();
    let token = mint_token().unwrap();
    let file = format!(
        "[[certificate]]\nname = \"gateway.example\"\ngrants = [\"listen:*\"]\n\
         [[token]]\nname = \"t\"\nsha256 = \"{}\"\ngrants = [\"listen:*\"]\n",
        TokenHash::of(&token)
    );
    fs::write(dir.path().join("access.toml"), file).unwrap();
    let mut config = config(&dir.path().join("data"));
    config.access = Some(Access::load(&dir.path().join("access.toml"), Grants::default()).unwrap());
    config.tls = Some(TlsFiles { cert, key, client_ca: Some(client_ca) });
    let stop = tokio_util::sync::CancellationToken::new();
    let tails = std::sync::Arc::new(livetape_tail::MemoryTails::default());
    let recorder = livetape_recorder::Recorder::bind(config, tails).await.unwrap();
    let addr = recorder.local_addr();
    let running = tokio::spawn(recorder.run(stop.clone()));

    let at = || RecorderAddress::new(format!("https://{addr}"));
    let pem = |authority: &Authority| {
        let path = dir.path().join("trusted.pem");
        fs::write(&path, &authority.pem).unwrap();
        Some(path)
    };
    let shows = |authority: &Authority, name: &str, trusted: &Authority| {
        let identity = Some(authority.sign(name).unwrap().write(dir.path(), "client").unwrap());
        at().with_tls(RecorderTls { ca: pem(trusted), identity })
    };
    assert_eq!(list(shows(&ours, "gateway.example", &ours)).await, Some(Code::Ok));
    assert_eq!(list(shows(&ours, "somebody.example", &ours)).await, Some(Code::Unauthenticated), "not in the file");
    let with_token = shows(&ours, "somebody.example", &ours).with_token(token.reveal()).unwrap();
    assert_eq!(list(with_token).await, Some(Code::Ok), "a token counts all the same");
    assert_eq!(list(shows(&theirs, "gateway.example", &ours)).await, None, "by another authority");
    assert_eq!(list(shows(&ours, "gateway.example", &theirs)).await, None, "the recorder is not trusted");
    assert_eq!(
        list(at().with_tls(RecorderTls { ca: pem(&ours), identity: None })).await,
        None,
        "without a certificate"
    );
    // This machine may do without TLS; who it is has to be shown all the same.
    let plain = RecorderAddress::new(format!("http://{addr}"));
    assert_eq!(list(plain.clone()).await, Some(Code::Unauthenticated));
    assert_eq!(list(plain.with_token(token.reveal()).unwrap()).await, Some(Code::Ok));
    garbage(addr).await;
    assert_eq!(list(shows(&ours, "gateway.example", &ours)).await, Some(Code::Ok), "nothing of that hurt");
    let (cert, key) = (dir.path().join("no.pem"), dir.path().join("no.key"));
    fs::write(&cert, "no certificate").unwrap();
    fs::write(&key, "no key").unwrap();
    let wrong = at().with_tls(RecorderTls { ca: pem(&ours), identity: Some((cert, key)) });
    assert!(matches!(wrong.endpoint(), Err(AddressError::Tls(_))));
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_by_a_certificate_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let (cert, key) = authority.sign("127.0.0.1").unwrap().write(dir.path(), "server").unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, &authority.pem).unwrap();
    let file = "[[certificate]]\nname = \"gateway.example\"\ngrants = [\"listen:*\"]\n";
    fs::write(dir.path().join("access.toml"), file).unwrap();
    let mut config = config(&dir.path().join("data"));
    config.access = Some(Access::load(&dir.path().join("access.toml"), Grants::default()).unwrap());
    config.tls = Some(TlsFiles { cert, key, client_ca: Some(ca.clone()) });
    let stop = tokio_util::sync::CancellationToken::new();
    let tails = std::sync::Arc::new(livetape_tail::MemoryTails::default());
    let recorder = livetape_recorder::Recorder::bind(config, tails).await.unwrap();
    let at = RecorderAddress::new(format!("https://{}", recorder.local_addr()));
    let running = tokio::spawn(recorder.run(stop.clone()));

    let until = SystemTime::now() + Duration::from_secs(8);
    let identity = authority.sign_until("gateway.example", Some(until)).unwrap().write(dir.path(), "client").unwrap();
    let at = at.with_tls(RecorderTls { ca: Some(ca), identity: Some(identity) });
    let channel = at.endpoint().unwrap().connect().await.unwrap();
    let mut catalogue = CatalogueServiceClient::new(at.over(channel));
    let watching = catalogue.watch_catalogue(WatchCatalogueRequest::default()).await.unwrap();
    let mut changes = watching.into_inner();
    let ended = loop {
        match next(&mut changes).await {
            Ok(change) => assert!(change.is_some(), "it does not end as if it were over"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unauthenticated, "{ended}");
    assert!(SystemTime::now() >= until - Duration::from_secs(1), "not before");
    let refused = catalogue.list_streams(ListStreamsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "on the same connection: {refused}");
    assert!(refused.message().contains("was valid until"), "{refused}");
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// What begins as TLS and is none is closed.
async fn garbage(addr: SocketAddr) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(&[22, 3, 1, 0, 5, 9, 9, 9, 9, 9]).await.unwrap();
    let mut rest = Vec::new();
    drop(
        tokio::time::timeout(std::time::Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("closed"),
    );
}

#[tokio::test]
async fn without_certificates_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = start(config(dir.path())).await;
    assert_eq!(list(RecorderAddress::new(format!("http://{}", recorder.addr))).await, Some(Code::Ok));
    recorder.stop().await;
}
