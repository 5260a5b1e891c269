//! Whatever somebody shows, right or wrong, and whatever the settings hold, stands in no log, answer, metric, trace or argument; and who manages
//! stands in the log by name.

use anyhow::{Context, Result};
use livetape_access::{
    Claims, JwtAlgorithm, Right, Rights, Secret, TokenHash, UrlKey, hash_password, issue, mint_token, wall_clock,
};
use livetape_testkit::otlp::Collector;
use livetape_testkit::process::Start;
use livetape_testkit::wait;
use livetape_tests::growing::SOON;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The status of one request.
fn ask(to: SocketAddr, method: &str, target: &str, header: &str) -> Result<u16> {
    Ok(whole(to, method, target, header)?.0)
}

/// The same with the beginning of the answer.
fn whole(to: SocketAddr, method: &str, target: &str, header: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.get(9..12).context("an answer")?.parse().context("a status")?;
    Ok((status, answer))
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

    // Secrets of the settings: in a file, and in a file of their own.
    let (in_url, in_file) = ("password-of-a-relay", "password-of-redis");
    std::fs::write(path("redis.password"), format!("{in_file}\n"))?;
    std::fs::write(
        path("livetape.toml"),
        format!(
            "redis_url = \"redis://tape@127.0.0.1:1\"\nredis_password_file = {:?}\n\
             [[source]]\nstream = \"live\"\nsource = \"time-signal\"\n\
             [[source]]\nstream = \"far\"\nsource = \"relay:http://me:{in_url}@127.0.0.1:1/x\"\n",
            path("redis.password")
        ),
    )?;
    let collector = Collector::start();
    let (access, config) = (path("access.toml").into_os_string(), path("livetape.toml").into_os_string());
    let args = ["--log".into(), "debug".into(), "--log-format".into(), "json".into(), "--access".into(), access];
    let more =
        ["--config".into(), config, "--otlp-url".into(), collector.url().into(), "--anonymous".into(), "watch".into()];
    let livetape = Start::new(path("data")).args(args).args(more).spawn()?;
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

    // What is said to somebody who is refused, and how the process is doing.
    let mut said = String::new();
    for (to, method, target, header) in [
        (to, "GET", "/streams", bearer(&wrong)),
        (to, "GET", &*format!("/streams/live?sign={signature}"), String::new()),
        (to, "POST", "/session", format!("Authorization: Basic {basic}\r\n")),
        (to, "GET", "/streams", format!("Authorization: Nonsense {password}\r\n")),
        (livetape.sources(), "PUT", "/live", format!("Authorization: Basic {basic}\r\n")),
        (livetape.sources(), "PUT", "/live", bearer(&wrong)),
        (to, "GET", "/metrics", String::new()),
        (to, "GET", "/readyz", String::new()),
    ] {
        said += &whole(to, method, target, &header)?.1;
    }
    assert!(said.contains("livetape_capture_limit_rejections_total"), "{said}");
    said += &std::fs::read_to_string(format!("/proc/{}/cmdline", livetape.pid()))?;
    livetape.logged("livetape::audit", SOON)?;
    wait::until("a trace of a request", SOON, || (!collector.spans().is_empty()).then_some(()))?;
    let log = livetape.log();
    said += &format!("{:?}", collector.spans().iter().map(|span| &span.span).collect::<Vec<_>>());
    assert!(
        log.lines().any(|line| line.contains("livetape::audit") && line.contains("ann") && line.contains("manage"))
    );
    for secret in
        [token.reveal(), wrong.reveal(), key.reveal(), jwt.reveal(), shared, password, basic, mac, in_url, in_file]
    {
        assert!(!said.contains(secret), "{secret} is in an answer, a metric, a trace or an argument");
        assert!(!log.contains(secret), "{}", log.lines().find(|line| line.contains(secret)).unwrap_or_default());
    }
    livetape.stop()
}
