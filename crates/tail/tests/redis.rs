//! The length store in Redis, with real servers: what goes wrong with them, and what those who watch see of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps says all there is to say")]

use livetape_audio::{Durable, Frame, Generation, RecordingId, Tail};
use livetape_tail::redis::{Believed, RedisConfig, RedisFollower, RedisPublisher};
use livetape_tail::{MemoryTails, Publisher, TailWatch, Watch, conformance};
use livetape_testkit::certificates::Authority;
use livetape_testkit::proxy::{Cut, Proxy};
use livetape_testkit::redis::{self, RedisServer};
use livetape_testkit::wait::until_async;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn id(n: u8) -> RecordingId {
    RecordingId::new(1_763_649_000_000 + u64::from(n), &[n; 10])
}

fn key(n: u8) -> String {
    format!("livetape:{{{}}}:tail", id(n))
}

fn open(end: u64, generation: u64) -> Tail {
    Tail::open(Durable(Frame::new(end)), Generation(generation))
}

fn publisher(url: &str) -> RedisPublisher {
    RedisPublisher::start(RedisConfig::parse(url).unwrap())
}

/// What a gateway has.
struct Gateway {
    tails: Arc<MemoryTails>,
    redis: RedisFollower,
}

impl Gateway {
    fn new(url: &str) -> Self {
        let tails = Arc::new(MemoryTails::default());
        let redis = RedisFollower::start(RedisConfig::parse(url).unwrap(), tails.clone(), Believed::Anybody);
        Self { tails, redis }
    }

    async fn sees(&self, n: u8, tail: Tail) -> TailWatch {
        let what = format!("recording {n} at {tail:?}");
        let seen = || self.tails.watch(id(n)).filter(|watch| watch.clone().current() == tail);
        until_async(&what, PATIENCE, seen).await.unwrap()
    }

    fn now(&self, n: u8) -> Option<Tail> {
        self.tails.watch(id(n)).map(|mut watch| watch.current())
    }
}

async fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    until_async(what, PATIENCE, || ready().then_some(())).await.unwrap();
}

async fn for_a_while(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn in_time(what: &str, happens: impl Future<Output = ()>) {
    tokio::time::timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A proxy, made outside of the test's runtime: it has its own.
fn proxy(server: &RedisServer) -> Proxy {
    let address = server.address();
    std::thread::spawn(move || Proxy::start(address).unwrap()).join().unwrap()
}

/// The command in the docs that makes a user.
fn set_user(docs: &str) -> Vec<String> {
    let line = docs.lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    line.split_whitespace().map(|word| word.replace("PASSWORD", "pw")).collect()
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        // Whether a line is wanted is remembered for the whole process: somebody has to want all of them, or the test that
        // runs beside this one decides that nobody does.
        static WANTED: std::sync::Once = std::sync::Once::new();
        WANTED.call_once(|| tracing::subscriber::set_global_default(tracing_subscriber::registry()).unwrap());
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
    fn count(&self, part: &str) -> usize {
        self.text().lines().filter(|line| line.contains(part)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn conforms() {
    let server = RedisServer::start().unwrap();
    let (publisher, gateway) = (publisher(&server.url()), Gateway::new(&server.url()));
    conformance::all(&publisher, &*gateway.tails).await;
    assert!(publisher.works() && gateway.redis.works());
}

#[tokio::test]
async fn the_keys_are_few_documented_and_vanish() {
    let server = RedisServer::start().unwrap();
    let publisher = publisher(&server.url());
    publisher.publish(id(1), open(4_800, 3));
    publisher.flush(PATIENCE).await;
    assert_eq!(server.cli(["keys", "*"]).unwrap().trim(), key(1));
    let hash = server.cli(["hgetall", &key(1)]).unwrap();
    let hash: Vec<&str> = hash.split_whitespace().collect();
    assert_eq!(hash, ["format", "1", "generation", "3", "end", "4800", "state", "open", "next", "-"]);
    let left: u64 = server.cli(["pttl", &key(1)]).unwrap().trim().parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_gateway_that_comes_later_reads_what_stands_there() {
    let server = RedisServer::start().unwrap();
    let publisher = publisher(&server.url());
    publisher.publish(id(1), open(5, 1));
    publisher.flush(PATIENCE).await;
    // Nobody refreshes any more.
    drop(publisher);
    let gateway = Gateway::new(&server.url());
    assert_eq!(gateway.redis.look_up(id(1)).await.unwrap().current(), open(5, 1));
    assert!(gateway.redis.look_up(id(2)).await.is_none());
    assert!(!gateway.redis.is_fresh(id(1)), "what stands there may be old");
    in_time("silence", gateway.redis.silent(id(1))).await;
}

#[tokio::test]
async fn a_redis_that_comes_late_is_emptied_and_starts_anew() {
    let port = RedisServer::start().unwrap().kill().unwrap();
    let url = format!("redis://127.0.0.1:{port}");
    let (publisher, gateway) = (publisher(&url), Gateway::new(&url));
    publisher.publish(id(1), open(1, 1));
    for_a_while(Duration::from_millis(300)).await;
    assert!(!publisher.works() && gateway.now(1).is_none());

    let server = RedisServer::start_on(port, &[]).unwrap();
    let mut watch = gateway.sees(1, open(1, 1)).await;
    server.cli(["flushall"]).unwrap();
    server.cli(["script", "flush"]).unwrap();
    eventually("the key is there again", || server.cli(["exists", &key(1)]).unwrap().trim() == "1").await;

    server.kill().unwrap();
    publisher.publish(id(1), open(2, 1));
    publisher.publish(id(2), open(7, 1));
    for_a_while(Duration::from_millis(500)).await;
    assert_eq!(gateway.now(1), Some(open(1, 1)), "what was heard stays known");
    let server = RedisServer::start_on(port, &[]).unwrap();
    gateway.sees(1, open(2, 1)).await;
    gateway.sees(2, open(7, 1)).await;
    assert_eq!(watch.current(), open(2, 1), "those who watched before see it, too");
    assert_eq!(server.cli(["exists", &key(1)]).unwrap().trim(), "1");
}

#[tokio::test]
async fn an_end_that_came_while_redis_was_away_is_told() {
    let port = RedisServer::start().unwrap().kill().unwrap();
    let url = format!("redis://127.0.0.1:{port}");
    let (publisher, gateway) = (publisher(&url), Gateway::new(&url));
    let sealed = Tail::sealed(Durable(Frame::new(9)), Some(id(2)), Generation(1));
    publisher.publish(id(1), sealed);
    publisher.forget(id(1));
    for_a_while(Duration::from_millis(300)).await;
    let _server = RedisServer::start_on(port, &[]).unwrap();
    until_async("the follower listens", PATIENCE, || gateway.redis.works().then_some(())).await.unwrap();
    // It may have been told before the gateway listened; then it stands there.
    let stands = async {
        while gateway.redis.look_up(id(1)).await.is_none() {
            for_a_while(Duration::from_millis(100)).await;
        }
    };
    in_time("the end", stands).await;
    assert_eq!(gateway.now(1), Some(sealed));
}

#[tokio::test]
async fn a_redis_that_stops_for_a_while() {
    let server = RedisServer::start().unwrap();
    let (publisher, gateway) = (publisher(&server.url()), Gateway::new(&server.url()));
    publisher.publish(id(1), open(1, 1));
    gateway.sees(1, open(1, 1)).await;
    for (round, stops) in ["SIGSTOP", "CLIENT PAUSE"].iter().enumerate() {
        let first = 100 * round as u64 + 1;
        if *stops == "SIGSTOP" {
            server.hold().unwrap();
        } else {
            server.cli(["client", "pause", "4000", "all"]).unwrap();
        }
        for end in first..first + 30 {
            publisher.publish(id(1), open(end, 1));
            for_a_while(Duration::from_millis(100)).await;
            if end == first + 10 {
                assert!(gateway.now(1).is_some_and(|tail| tail.end <= Frame::new(first)), "{stops} stops it");
            }
        }
        if *stops == "SIGSTOP" {
            server.go_on().unwrap();
        }
        gateway.sees(1, open(first + 29, 1)).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_or_hangs() {
    let server = RedisServer::start().unwrap();
    let (to_publisher, to_gateway) = (proxy(&server), proxy(&server));
    let publisher = publisher(&format!("redis://{}", to_publisher.address()));
    let gateway = Gateway::new(&format!("redis://{}", to_gateway.address()));
    let mut end = 0;
    for how in [Cut::Reset, Cut::Close, Cut::Reset] {
        for cut in [&to_publisher, &to_gateway] {
            end += 1;
            publisher.publish(id(1), open(end, 1));
            gateway.sees(1, open(end, 1)).await;
            cut.cut(how);
        }
    }
    for hangs in [&to_publisher, &to_gateway] {
        hangs.pause(true);
        // What it was already reading still passes.
        for_a_while(Duration::from_millis(200)).await;
        end += 1;
        publisher.publish(id(1), open(end, 1));
        for_a_while(Duration::from_secs(3)).await;
        assert_eq!(gateway.now(1), Some(open(end - 1, 1)));
        hangs.pause(false);
        gateway.sees(1, open(end, 1)).await;
    }
}

#[tokio::test]
async fn who_stops_waits_for_redis_but_not_for_ever() {
    let server = RedisServer::start().unwrap();
    let publisher = Arc::new(publisher(&server.url()));
    publisher.publish(id(1), open(1, 1));
    publisher.flush(PATIENCE).await;
    server.hold().unwrap();
    publisher.publish(id(1), open(2, 1));
    in_time("a flush without Redis", publisher.flush(Duration::from_millis(100))).await;
    let last = tokio::spawn(async move { publisher.flush(PATIENCE).await });
    server.go_on().unwrap();
    in_time("a flush with Redis", async { last.await.unwrap() }).await;
    assert_eq!(server.cli(["hget", &key(1), "end"]).unwrap().trim(), "2");
}

#[tokio::test]
async fn silence_is_noticed_and_bridged() {
    let server = RedisServer::start().unwrap();
    let gateway = Gateway::new(&server.url());
    in_time("silence about the unknown", gateway.redis.silent(id(1))).await;
    let first = publisher(&server.url());
    first.publish(id(1), open(1, 1));
    let mut watch = gateway.sees(1, open(1, 1)).await;
    // Nothing new for longer than the silence: the refresh keeps it fresh.
    for_a_while(Duration::from_secs(6)).await;
    assert!(gateway.redis.is_fresh(id(1)));
    drop(first);
    in_time("silence", gateway.redis.silent(id(1))).await;
    assert!(!gateway.redis.is_fresh(id(1)));
    // The recorder itself says more: the same watch shows it.
    gateway.tails.learn(id(1), open(50, 2));
    assert_eq!(watch.current(), open(50, 2));
    let heard = gateway.redis.heard(id(1));
    let second = publisher(&server.url());
    second.publish(id(1), open(40, 2));
    in_time("heard again", heard).await;
    assert!(gateway.redis.is_fresh(id(1)));
    assert_eq!(watch.current(), open(50, 2), "what lags behind takes nothing back");
    second.publish(id(1), open(60, 2));
    gateway.sees(1, open(60, 2)).await;
}

#[tokio::test]
async fn what_others_wrote_is_left_alone_and_said() {
    let (log, _guard) = Log::capture();
    let server = RedisServer::start().unwrap();
    let gateway = Gateway::new(&server.url());
    eventually("the gateway listens", || gateway.redis.works()).await;
    server.cli(["set", &key(1), "mine"]).unwrap();
    server.cli(["rpush", &key(2), "a", "b"]).unwrap();
    let newer = ["format", "2", "generation", "1", "end", "1000000", "state", "open", "next", "-"];
    server.cli(["hset", &key(3)].iter().chain(&newer)).unwrap();
    let garbage = ["format", "1", "generation", "-1", "end", "12e3", "state", "open", "next", "-"];
    server.cli(["hset", &key(4)].iter().chain(&garbage)).unwrap();
    server.cli(["hset", &key(5), "format", "1"]).unwrap();
    for message in ["", "1", "2 x", "1 x 2 3 open -", &"x".repeat(100_000), &format!("1 {} 1 99x open -", id(1))] {
        server.cli(["publish", "livetape:tails", message]).unwrap();
    }
    let publisher = publisher(&server.url());
    (1..=6).for_each(|n| publisher.publish(id(n), open(10, 1)));
    gateway.sees(6, open(10, 1)).await;
    for n in 1..=5 {
        assert!(gateway.redis.look_up(id(n)).await.is_none(), "recording {n}");
    }
    assert_eq!(server.cli(["get", &key(1)]).unwrap().trim(), "mine");
    for part in [
        "that something else wrote: find out what, then DEL livetape:",
        "is in format \"2\"",
        "is no tail: something else changed it",
        "a message on livetape:tails is",
    ] {
        assert!(log.count(part) >= 1, "{part} in {}", log.text());
    }
    (1..=5).for_each(|n| drop(server.cli(["del", &key(n)]).unwrap()));
    for n in 1..=5 {
        gateway.sees(n, open(10, 1)).await;
    }
}

#[tokio::test]
async fn a_password_that_is_wrong_until_it_is_right() {
    let (log, _guard) = Log::capture();
    let server = RedisServer::with(["--requirepass", "right"]).unwrap();
    let without = publisher(&format!("redis://{}", server.address()));
    let wrong = publisher(&format!("redis://:open-sesame@{}", server.address()));
    let gateway = Gateway::new(&format!("redis://:open-sesame@{}", server.address()));
    without.publish(id(1), open(1, 1));
    wrong.publish(id(2), open(2, 1));
    for_a_while(Duration::from_secs(1)).await;
    assert!(!without.works() && !wrong.works() && !gateway.redis.works());
    assert_eq!(log.count("wants a password"), 1, "said once in a while: {}", log.text());
    assert!(log.count("Redis does not take this user and password") >= 1, "{}", log.text());
    assert!(!log.text().contains("open-sesame"), "{}", log.text());

    server.cli(["config", "set", "requirepass", "open-sesame"]).unwrap();
    gateway.sees(2, open(2, 1)).await;
    assert!(gateway.now(1).is_none());
    eventually("its end is said", || log.count("Redis works again") >= 1).await;
}

#[tokio::test]
async fn a_user_who_may_do_what_the_docs_list_and_nothing_else() {
    let docs = include_str!("../../../docs/redis.md");
    let server = RedisServer::start().unwrap();
    server.cli(set_user(docs)).unwrap();
    let url = format!("redis://livetape:pw@{}", server.address());
    let (publisher, gateway) = (publisher(&url), Gateway::new(&url));
    publisher.publish(id(1), open(1, 1));
    gateway.sees(1, open(1, 1)).await;
    drop(publisher);
    let later = Gateway::new(&url);
    assert!(later.redis.look_up(id(1)).await.is_some());
}

#[tokio::test]
async fn through_a_socket_and_in_another_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let server = RedisServer::with(["--unixsocket", path.to_str().unwrap()]).unwrap();
    let (publisher, gateway) =
        (publisher(&format!("unix://{}?db=3", path.display())), Gateway::new(&format!("{}/3", server.url())));
    publisher.publish(id(1), open(1, 1));
    gateway.sees(1, open(1, 1)).await;
    assert_eq!(server.cli(["-n", "3", "exists", &key(1)]).unwrap().trim(), "1");
}

#[tokio::test]
async fn a_redis_without_memory() {
    let (log, _guard) = Log::capture();
    let server = RedisServer::with(["--maxmemory", "1", "--maxmemory-policy", "noeviction"]).unwrap();
    let (publisher, gateway) = (publisher(&server.url()), Gateway::new(&server.url()));
    publisher.publish(id(1), open(1, 1));
    eventually("it is said", || log.count("raise its maxmemory") == 1).await;
    assert!(!publisher.works() && gateway.now(1).is_none());
    server.cli(["config", "set", "maxmemory", "100mb"]).unwrap();
    gateway.sees(1, open(1, 1)).await;
    eventually("it works", || publisher.works()).await;
}

#[tokio::test]
async fn a_redis_that_does_not_know_a_command() {
    for commands in [&["EVALSHA", "EVAL"][..], &["HSET"], &["PEXPIRE"]] {
        let (log, _guard) = Log::capture();
        let without = commands.iter().flat_map(|command| ["--rename-command", command, ""]);
        let server = RedisServer::with(without).unwrap();
        let publisher = publisher(&server.url());
        publisher.publish(id(1), open(1, 1));
        eventually("it is said", || log.count("Redis 5 or newer is needed") >= 1).await;
        assert!(!publisher.works(), "{commands:?}");
    }
}

#[tokio::test]
async fn a_replica_is_no_master() {
    let (log, _guard) = Log::capture();
    let master = RedisServer::start().unwrap();
    let replica = RedisServer::with(["--replicaof", &format!("127.0.0.1 {}", master.port())]).unwrap();
    let (publisher, gateway) = (publisher(&replica.url()), Gateway::new(&replica.url()));
    publisher.publish(id(1), open(1, 1));
    eventually("it is said", || log.count("this is a replica") == 1).await;
    assert!(!publisher.works() && gateway.now(1).is_none());
    replica.cli(["replicaof", "no", "one"]).unwrap();
    gateway.sees(1, open(1, 1)).await;
}

#[tokio::test]
async fn of_two_recorders_the_older_one_never_wins() {
    let (log, _guard) = Log::capture();
    let server = RedisServer::start().unwrap();
    let (old, new) = (publisher(&server.url()), publisher(&server.url()));
    let gateway = Gateway::new(&server.url());
    old.publish(id(1), open(10, 1));
    gateway.sees(1, open(10, 1)).await;
    new.publish(id(1), open(10, 2));
    gateway.sees(1, open(10, 2)).await;
    old.publish(id(1), open(99, 1));
    old.publish(id(1), Tail::sealed(Durable(Frame::new(100)), None, Generation(1)));
    for end in 11..=40 {
        new.publish(id(1), open(end, 2));
        for_a_while(Duration::from_millis(100)).await;
        assert!(gateway.now(1).is_some_and(|tail| tail.generation == Generation(2)));
    }
    gateway.sees(1, open(40, 2)).await;
    assert_eq!(log.count("Does another recorder run"), 1, "{}", log.text());
}

#[tokio::test]
async fn of_two_recorders_only_the_one_that_is_followed_is_believed() {
    let server = RedisServer::start().unwrap();
    let (ours, other) = (publisher(&server.url()), publisher(&server.url()));
    let gateway = Gateway::new(&server.url());
    gateway.redis.believe(Believed::Nobody);
    ours.publish(id(1), open(10, 5));
    ours.flush(PATIENCE).await;
    for_a_while(Duration::from_millis(300)).await;
    assert!(gateway.redis.look_up(id(1)).await.is_none());
    gateway.redis.believe(Believed::Run(Generation(5)));
    assert!(gateway.redis.look_up(id(1)).await.is_some());
    other.publish(id(1), open(90, 7));
    other.publish(id(2), open(90, 7));
    other.flush(PATIENCE).await;
    ours.publish(id(1), open(20, 5));
    ours.publish(id(3), open(20, 5));
    gateway.sees(3, open(20, 5)).await;
    assert!(gateway.redis.look_up(id(2)).await.is_none());
    assert_eq!(gateway.redis.look_up(id(1)).await.unwrap().current(), open(10, 5), "what Redis says is the other's");
    in_time("silence: its recorder has to be asked", gateway.redis.silent(id(1))).await;
}

#[tokio::test]
async fn a_cluster() {
    let nodes = tokio::task::spawn_blocking(|| redis::cluster().unwrap()).await.unwrap();
    let list: Vec<_> = nodes.iter().map(|node| node.address().to_string()).collect();
    let publisher = publisher(&format!("redis-cluster://{}", list[0]));
    let gateway = Gateway::new(&format!("redis-cluster://{}", list[1..].join(",")));
    conformance::all(&publisher, &*gateway.tails).await;
    // Recordings in every node's slots.
    (10..40).for_each(|n| publisher.publish(id(n), open(u64::from(n), 1)));
    for n in 10..40 {
        gateway.sees(n, open(u64::from(n), 1)).await;
    }
    let sizes: Vec<_> = nodes.iter().map(|node| node.cli(["dbsize"]).unwrap()).collect();
    assert!(sizes.iter().all(|size| size.trim() != "0"), "{sizes:?}");
    let another = Gateway::new(&format!("redis-cluster://{}", list[2]));
    for n in 10..13 {
        assert!(another.redis.look_up(id(n)).await.is_some(), "read from whichever node has it");
    }
    // The node that the gateway listens to goes. What stands in the others goes on.
    let mut nodes = nodes;
    nodes.remove(1).kill().unwrap();
    (10..40).for_each(|n| publisher.publish(id(n), open(100, 1)));
    let going_on = || (10..40).filter(|n| gateway.now(*n) == Some(open(100, 1))).count();
    eventually("two of three nodes go on", || going_on() >= 12).await;
    assert!(going_on() < 30);
}

#[tokio::test]
async fn a_cluster_for_a_user_of_its_own() {
    let docs = include_str!("../../../docs/redis.md");
    let nodes = tokio::task::spawn_blocking(|| redis::cluster().unwrap()).await.unwrap();
    for node in &nodes {
        let more = docs.lines().find_map(|line| line.strip_prefix("In a cluster also `")).unwrap().split('`').next();
        node.cli(set_user(docs).into_iter().chain(more.unwrap().split(' ').map(str::to_owned))).unwrap();
    }
    let url = format!("redis-cluster://livetape:pw@{}", nodes[0].address());
    let (publisher, gateway) = (publisher(&url), Gateway::new(&url));
    publisher.publish(id(1), open(1, 1));
    gateway.sees(1, open(1, 1)).await;
}

#[tokio::test]
async fn sentinels_lead_to_the_master_even_to_the_next_one() {
    let master = RedisServer::start().unwrap();
    let replica = RedisServer::with(["--replicaof", &format!("127.0.0.1 {}", master.port())]).unwrap();
    let sentinel = master.sentinel("tapes").unwrap();
    let url = format!("redis-sentinel://{}?master=tapes", sentinel.address());
    let (publisher, gateway) = (publisher(&url), Gateway::new(&url));
    publisher.publish(id(1), open(1, 1));
    gateway.sees(1, open(1, 1)).await;
    eventually("the sentinel knows the replica", || {
        sentinel.cli(["sentinel", "replicas", "tapes"]).unwrap().contains(&replica.port().to_string())
    })
    .await;
    master.kill().unwrap();
    publisher.publish(id(1), open(2, 1));
    eventually("the replica is master", || replica.cli(["role"]).unwrap().starts_with("master")).await;
    gateway.sees(1, open(2, 1)).await;
}

#[tokio::test]
async fn over_tls_with_user_and_password() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    let (cert, key) = authority.sign("127.0.0.1").unwrap().write(dir.path(), "redis").unwrap();
    std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let ca = text(&dir.path().join("ca.pem"));
    let tls = ["--tls-port".into(), port.to_string(), "--tls-auth-clients".into(), "no".into()];
    let files =
        ["--tls-cert-file".into(), text(&cert), "--tls-key-file".into(), text(&key), "--tls-ca-cert-file".into(), ca];
    let users = ["--user", "tape", "on", ">secret", "~*", "&*", "+@all"].map(String::from);
    let _server = RedisServer::with(tls.into_iter().chain(files).chain(users)).unwrap();

    let config = |ca: &Authority, password: &str| {
        RedisConfig::parse(&format!("rediss://tape:{password}@127.0.0.1:{port}")).unwrap().with_ca(ca.pem.clone())
    };
    let seen = async |reader: RedisConfig, limit: Duration| {
        let tails = Arc::new(MemoryTails::default());
        let _follower = RedisFollower::start(reader, Arc::clone(&tails), Believed::Anybody);
        let id = id(1);
        let publisher = RedisPublisher::start(config(&authority, "secret"));
        let end = tokio::time::Instant::now() + limit;
        while tokio::time::Instant::now() < end {
            publisher.publish(id, open(480, 1));
            if tails.watch(id).is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    };
    assert!(seen(config(&authority, "secret"), Duration::from_secs(30)).await);
    assert!(!seen(config(&Authority::new().unwrap(), "secret"), Duration::from_secs(3)).await, "not trusted");
    assert!(!seen(config(&authority, "wrong"), Duration::from_secs(3)).await, "not logged in");
}
