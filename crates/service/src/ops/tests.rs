use super::*;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CROWDED: &str = "livetape_process_limit_rejections_total{limit=\"ops_connections\"}";

struct Running {
    addr: SocketAddr,
    conditions: Arc<[AtomicBool; 3]>,
    metrics: Metrics,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    let (readiness, role, metrics) = (Readiness::default(), Readiness::default(), Metrics::default());
    let conditions = Arc::<[AtomicBool; 3]>::default();
    let look = |n: usize| {
        let conditions = Arc::clone(&conditions);
        move || conditions[n].load(Relaxed)
    };
    readiness.needs("data folder", look(0));
    role.needs("catalogue", look(1));
    role.tells("redis", look(2));
    readiness.include(&role);
    let config = OpsConfig { addr: SocketAddr::from(([127, 0, 0, 1], 0)), anonymous: false, tls: None };
    let ops = OpsListener::bind(config, readiness.clone(), metrics.clone()).await.unwrap();
    let (addr, shutdown) = (ops.local_addr(), CancellationToken::new());
    let task = tokio::spawn(ops.run(shutdown.clone()));
    Running { addr, conditions, metrics, shutdown, task }
}

/// Sends bytes and takes all that comes until the other side closes or resets.
async fn send(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The other side may have closed already.
    _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(addr: SocketAddr, path: &str) -> String {
    send(addr, format!("GET {path} HTTP/1.1\r\nHost: localhost:9464\r\n\r\n").as_bytes()).await
}

#[tokio::test]
async fn says_how_it_is() {
    let Running { addr, conditions, metrics, shutdown, task } = start().await;
    assert!(get(addr, "/healthz").await.starts_with("HTTP/1.1 200 "));
    let says = async |status: u16, body: &str| {
        let answer = get(addr, "/readyz").await;
        let (begin, end) = (format!("HTTP/1.1 {status} "), format!("\r\n\r\n{body}"));
        assert!(answer.starts_with(&begin) && answer.ends_with(&end), "{answer}");
    };
    says(503, "not ready: data folder, catalogue\ndata folder: no\ncatalogue: no\nredis: no, goes on without\n").await;
    conditions[0].store(true, Relaxed);
    conditions[1].store(true, Relaxed);
    says(200, "ready\ndata folder: yes\ncatalogue: yes\nredis: no, goes on without\n").await;
    conditions[1].store(false, Relaxed);
    conditions[2].store(true, Relaxed);
    says(503, "not ready: catalogue\ndata folder: yes\ncatalogue: no\nredis: yes\n").await;

    metrics.counter("livetape_test_total", "Counted.").unwrap().inc_by(3);
    let answer = get(addr, "/metrics").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
    for line in
        ["test_total 3", "process_ready{condition=\"catalogue\"} 0", "process_ready{condition=\"data folder\"} 1"]
    {
        assert!(answer.contains(&format!("\nlivetape_{line}\n")), "{line}: {answer}");
    }
    assert!(!answer.contains("condition=\"redis\""), "it is not needed: {answer}");
    assert!(answer.contains("\nlivetape_process_info{version=\""), "{answer}");
    assert!(get(addr, "/").await.starts_with("HTTP/1.1 404 "));
    assert!(
        send(addr, b"POST /healthz HTTP/1.1\r\nHost: localhost:9464\r\nContent-Length: 0\r\n\r\n")
            .await
            .contains(" 405 ")
    );

    for (host, status) in
        [("127.0.0.1", 200), ("[::1]:9464", 200), ("LOCALHOST", 200), ("evil.example", 421), ("@", 421)]
    {
        let answer = send(addr, format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
    assert!(send(addr, b"GET /metrics HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "));

    shutdown.cancel();
    task.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn garbage_and_silence_do_no_harm() {
    let Running { addr, shutdown, task, .. } = start().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD * 4));
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"\r\n\r\nhello\r\n\r\n", long.as_bytes()] {
        let answer = send(addr, garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // More silent connections than there may be: the oldest have to go, and whoever asks is answered all the same.
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS + 10 {
        silent.push(TcpStream::connect(addr).await.unwrap());
        assert!(get(addr, "/healthz").await.starts_with("HTTP/1.1 200 "), "after {}", silent.len());
    }
    for mut first in silent.drain(..5) {
        // It is closed, or reset.
        let gone = tokio::time::timeout(PATIENCE / 2, first.read(&mut [0])).await.expect("it had to go");
        assert_eq!(gone.unwrap_or_default(), 0);
    }
    let figures = get(addr, "/metrics").await;
    let gone = figures.lines().find_map(|line| line.strip_prefix(CROWDED)).unwrap_or_else(|| panic!("{figures}"));
    assert!(gone.trim().parse::<u64>().unwrap() >= 10, "{figures}");
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_in_time() {
    let Running { addr, shutdown, task, .. } = start().await;
    assert_eq!(send(addr, b"GET /healthz HTTP/1.1\r\n").await, "");
    shutdown.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn other_machines_only_if_that_was_said() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let bind = |addr, anonymous| {
        OpsListener::bind(OpsConfig { addr, anonymous, tls: None }, Readiness::default(), Metrics::default())
    };
    let error = bind(everywhere, false).await.unwrap_err().to_string();
    assert!(error.starts_with("0.0.0.0:0 can be reached") && error.contains("LIVETAPE_ANONYMOUS=watch"), "{error}");
    let open = bind(everywhere, true).await.unwrap();
    let taken = bind(open.local_addr(), true).await.unwrap_err().to_string();
    assert!(taken.starts_with("cannot listen on 0.0.0.0:") && taken.contains("LIVETAPE_OPS_ADDR"), "{taken}");
    assert_eq!(OpsConfig::default().addr.to_string(), "127.0.0.1:9464");
}
