//! Whatever somebody shows, right or wrong, stands in no log, and who manages stands there by name.

use anyhow::{Context, Result};
use livetape_access::{
    Claims, JwtAlgorithm, Right, Rights, Secret, TokenHash, UrlKey, hash_password, issue, mint_token, wall_clock,
};
use livetape_testkit::process::Start;
use livetape_testkit::wait;
use livetape_tests::growing::SOON;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The status of one request.
fn ask(to: SocketAddr, method: &str, target: &str, header: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    std::str::from_utf8(&head[9..])?.parse().context("a status")
}

#[test]
fn no_secret_is_logged() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (token, wrong, key) = (mint_token()?, mint_token()?, UrlKey::mint()?);
    let (shared, password) = ("a shared secret of thirty-two bytes or more", "a password of a person");
    let file = format!(
        "[[token]]\nname = \"ann\"\nsha256 = \"{}\"\ngrants = [\"listen,manage:*\"]\n\
         [[user]]\nname = \"dj\"\npassword = \"{}\"\ngrants = [\"listen:*\"]\n\
         [[url_key]]\nid = \"k\"\nfile = \"url.key\"\ngrants = [\"listen:*\"]\n\
         [jwt]\nkey = [{{ algorithm = \"HS256\", file = \"jwt.key\" }}]\n",
        TokenHash::of(&token),
        hash_password(&Secret::new(password))?
    );
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("access.toml"), file)?;
    std::fs::write(path("url.key"), key.reveal())?;
    std::fs::write(path("jwt.key"), shared)?;
    let hour = wall_clock().later(Duration::from_secs(3_600));
    let signature = UrlKey::new("k", key.reveal())?.sign("/streams", Rights::of([Right::Listen]), hour, hour)?;
    let signature = signature.to_string();
    let mac = signature.rsplit('.').next().context("a signature")?;
    let claims = Claims {
        exp: Some((hour.unix_millis() / 1_000).into()),
        livetape: vec!["listen:*".parse()?].try_into()?,
        ..Claims::default()
    };
    let jwt = issue(JwtAlgorithm::HS256, &Secret::new(shared), None, &claims)?;

    let access = path("access.toml").into_os_string();
    let args = ["--log".into(), "debug".into(), "--log-format".into(), "json".into(), "--access".into(), access];
    let livetape = Start::new(path("data")).args(args).spawn()?;
    let to = livetape.http();
    let bearer = |token: &Secret| format!("Authorization: Bearer {}\r\n", token.reveal());
    wait::until("the stream", SOON, || (ask(to, "GET", "/streams/live", &bearer(&token)).ok()? == 200).then_some(()))?;
    // In base64, "dj:a password of a person".
    let basic = "ZGo6YSBwYXNzd29yZCBvZiBhIHBlcnNvbg==";
    assert_eq!(ask(to, "GET", "/streams", &format!("Authorization: Basic {basic}\r\n"))?, 200);
    assert_eq!(ask(to, "GET", "/streams", &bearer(&jwt))?, 200);
    assert_eq!(ask(to, "GET", "/streams", &bearer(&wrong))?, 401);
    assert_eq!(ask(to, "GET", &format!("/streams?sign={signature}"), "")?, 200);
    assert_eq!(ask(to, "GET", &format!("/recordings?sign={signature}"), "")?, 401);
    assert_eq!(ask(to, "GET", &format!("/nothing?sign={signature}"), "")?, 404);
    assert_eq!(ask(to, "POST", "/session", &bearer(&token))?, 200);
    assert_eq!(ask(to, "POST", "/streams/live/recordings", &bearer(&token))?, 201);

    livetape.logged("livetape::audit", SOON)?;
    let log = livetape.log();
    assert!(
        log.lines().any(|line| line.contains("livetape::audit") && line.contains("ann") && line.contains("manage"))
    );
    for secret in [token.reveal(), wrong.reveal(), key.reveal(), jwt.reveal(), shared, password, basic, mac] {
        assert!(!log.contains(secret), "{}", log.lines().find(|line| line.contains(secret)).unwrap_or_default());
    }
    livetape.stop()
}
