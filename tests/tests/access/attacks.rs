//! Somebody means harm: slow heads, bodies and readers, heads without end, thousands of silent connections, garbage on every port,
//! guesses at speed. Each time what is recorded goes on and is heard, byte by byte, and memory stays bounded.

mod calls;

use anyhow::{Context, Result, ensure};
use livetape_access::{Secret, TokenHash, hash_password, mint_token};
use livetape_proto::RecorderAddress;
use livetape_proto::v1::{ListStreamsRequest, catalogue_service_client::CatalogueServiceClient};
use livetape_testkit::certificates::Authority;
use livetape_testkit::process::Start;
use livetape_testkit::{counting::runs, http, wait};
use livetape_tests::clients::curl;
use livetape_tests::counting;
use livetape_tests::growing::{Growing, SECOND, SOON};
use livetape_tests::pushes::Push;
use livetape_tests::torture::{Listener, gaps, memory, numbers, setting};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tonic::Code;

/// What a process may grow by whatever happens.
const SLACK: u64 = 64 << 20;
const BACKLOG: Duration = Duration::from_secs(60);
/// Between two bytes of somebody who is slow on purpose.
const DRIP: Duration = Duration::from_millis(250);

/// A service that records and is listened to while it is attacked.
struct Attacked {
    g: Growing,
    listener: Listener,
    before: u64,
}

impl Attacked {
    fn start(args: &[&str]) -> Result<Self> {
        let g = Growing::start_with(counting, BACKLOG, args)?;
        let listener = Listener::start(g.livetape.http(), format!("/recordings/{}/audio.pcm", g.id));
        let before = memory(g.livetape.pid())?;
        let attacked = Self { g, listener, before };
        attacked.goes_on()?;
        Ok(attacked)
    }

    /// What is recorded from now on is heard, too.
    fn goes_on(&self) -> Result<()> {
        let now = self.g.at_least();
        wait::until("what is recorded now to be heard", SOON, || {
            (self.listener.heard() >= now + SECOND || self.listener.gave_up()).then_some(())
        })
    }

    /// It went on all the time, without a gap, and did not grow.
    fn end(self, most: u64) -> Result<()> {
        self.goes_on()?;
        let now = memory(self.g.livetape.pid())?;
        eprintln!("memory: {} MiB before, {} MiB now", self.before >> 20, now >> 20);
        ensure!(now <= self.before + most, "{} bytes before, {now} now", self.before);
        ensure!(self.listener.end()? > 0, "nothing was heard");
        let gaps = gaps(self.g.livetape.http(), &self.g.id)?;
        ensure!(gaps.is_empty(), "{gaps:?}");
        let errors = self.g.pusher.progress().errors;
        ensure!(errors.is_empty(), "the source was sent away: {errors:?}");
        ensure!(!self.g.livetape.log().contains("panicked"), "{}", self.g.livetape.log());
        Ok(())
    }

    /// A figure of the process.
    fn figure(&self, series: &str) -> Result<u64> {
        let text = String::from_utf8(
            http::get(self.g.livetape.http(), "/metrics").header("Connection", "close").send()?.body()?,
        )?;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.with_context(|| format!("no {series}"))?.parse().context("a number")
    }
}

/// Whether the other side has ended it; what it says meanwhile is added to `said`.
fn is_over(stream: &mut TcpStream, said: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4096];
    match stream.read(&mut piece) {
        Ok(0) => true,
        Ok(n) => {
            said.extend_from_slice(&piece[..n]);
            false
        }
        Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

#[test]
fn slow_heads_bodies_and_readers_are_cut_off() -> Result<()> {
    let times = ["--limit-head-time", "2s", "--limit-body-time", "2s", "--limit-stall", "4s"];
    let attacked = Attacked::start(&times)?;
    let (to, id) = (attacked.g.livetape.http(), &attacked.g.id);
    let wav = attacked.g.wav("len=now");
    let connect = |text: &str| -> Result<TcpStream> {
        let mut stream = TcpStream::connect(to)?;
        stream.write_all(text.as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    let head = || connect("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    let json = "Content-Type: application/json\r\nContent-Length: 1000";
    let body = || connect(&format!("PATCH /recordings/{id} HTTP/1.1\r\nHost: localhost\r\n{json}\r\n\r\n"));
    let mut writers: Vec<_> = (0..100).flat_map(|_| [head(), body()]).collect::<Result<_>>()?;
    // They take so little that nothing more is sent to them.
    let read = || connect(&format!("GET {wav} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let mut readers: Vec<_> = (0..100).map(|_| read()).collect::<Result<_>>()?;
    let (began, mut answers) = (Instant::now(), Vec::new());
    while !(writers.is_empty() && readers.is_empty()) {
        ensure!(began.elapsed() < SOON, "{} writers and {} readers are still there", writers.len(), readers.len());
        writers.retain_mut(|stream| {
            let mut said = Vec::new();
            let over = is_over(stream, &mut said) || stream.write_all(b"x").is_err();
            answers.extend(String::from_utf8_lossy(&said).lines().next().map(str::to_owned));
            !over
        });
        readers.retain_mut(|stream| {
            // What has come is there to be read, also after a reset.
            _ = stream.read(&mut [0]);
            stream.take_error().is_ok_and(|error| error.is_none())
        });
        std::thread::sleep(DRIP);
    }
    // So many are awaited at once; the others are told to come back.
    let told = |status: &str| answers.iter().filter(|line| line.starts_with(&format!("HTTP/1.1 {status}"))).count();
    let (late, busy) = (told("408"), told("503"));
    ensure!(late > 0 && late + busy == 100, "{late} were told that their bodies did not come, {busy} to come back");
    for limit in ["body_time", "head_time"] {
        ensure!(
            attacked.figure(&format!("livetape_gateway_limit_rejections_total{{limit=\"{limit}\"}}"))? > 0,
            "{limit}"
        );
    }
    attacked.end(SLACK)
}

#[test]
fn heads_without_end_are_refused() -> Result<()> {
    let attacked = Attacked::start(&[])?;
    let to = attacked.g.livetape.http();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(2_000));
    let address = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(20_000));
    for (text, status) in [(&long, "431"), (&many, "431"), (&address, "414")] {
        let mut told = 0;
        for _ in 0..50 {
            let mut stream = TcpStream::connect(to)?;
            stream.set_read_timeout(Some(SOON))?;
            // It may be reset while it still speaks, and then not hear the answer.
            let wrote = stream.write_all(text.as_bytes());
            let mut answer = [0; 12];
            match stream.read_exact(&mut answer) {
                Ok(()) => {
                    ensure!(&answer[9..] == status.as_bytes(), "{:?}", String::from_utf8_lossy(&answer));
                    told += 1;
                }
                Err(error) => ensure!(wrote.is_err() || error.kind() == ErrorKind::ConnectionReset, "{error}"),
            }
        }
        ensure!(told > 0, "nobody heard {status}");
    }
    ensure!(attacked.figure("livetape_gateway_limit_rejections_total{limit=\"head_size\"}")? > 0);
    attacked.end(SLACK)
}

/// Connects so often from an address of this machine; gives the connections that were not refused at once.
fn silent(runtime: &tokio::runtime::Runtime, from: &str, to: SocketAddr, n: u64) -> Result<Vec<tokio::net::TcpStream>> {
    let from: SocketAddr = from.parse()?;
    runtime.block_on(async {
        let mut held = Vec::new();
        for _ in 0..n {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind(from)?;
            held.push(socket.connect(to).await?);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        held.retain(|stream| stream.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        Ok(held)
    })
}

fn many_files() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

#[test]
fn silent_connections_cost_little_and_go() -> Result<()> {
    let n = setting("LIVETAPE_IDLE", 1_000);
    many_files()?;
    let runtime = tokio::runtime::Runtime::new()?;
    // Long enough for all of them to come before the first has to go.
    let patience = Duration::from_secs(10 + n / 250);
    let attacked = Attacked::start(&["--limit-head-time", &format!("{}s", patience.as_secs())])?;
    let (http, grpc) = (attacked.g.livetape.http(), attacked.g.livetape.grpc());
    let listeners = silent(&runtime, "127.0.0.1:0", http, n)?;
    let callers = silent(&runtime, "127.0.0.1:0", grpc, n / 4)?;
    let pushers = silent(&runtime, "127.0.0.1:0", attacked.g.livetape.sources(), n / 4)?;
    let grown = memory(attacked.g.livetape.pid())?.saturating_sub(attacked.before);
    eprintln!(
        "{} of {n} silent connections over HTTP, {} over gRPC, {} where sources push: {} KiB",
        listeners.len(),
        callers.len(),
        pushers.len(),
        grown >> 10
    );
    ensure!(listeners.len() as u64 >= (n * 6 / 10).min(7_000), "{} of {n} were let in", listeners.len());
    ensure!(grown <= 16 * 1024 * n + SLACK, "{grown} bytes");
    attacked.goes_on()?;
    wait::until("the gateway to let go", patience + SOON, || {
        (attacked.figure("livetape_gateway_connections").ok()? < 20).then_some(())
    })?;
    drop((listeners, callers, pushers));
    attacked.end(16 * 1024 * n + SLACK)
}

#[test]
fn one_address_does_not_take_the_places_of_all() -> Result<()> {
    many_files()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let fifty = ["--limit-connections-per-address", "50", "--limit-source-connections-per-address", "50"];
    let attacked = Attacked::start(&[&["--unlimited", "127.0.0.1"][..], &fifty].concat())?;
    let (http, grpc) = (attacked.g.livetape.http(), attacked.g.livetape.grpc());
    for to in [http, grpc, attacked.g.livetape.sources()] {
        let held = silent(&runtime, "127.0.0.2:0", to, 500)?;
        ensure!(held.len() == 50, "{} of one address at {to}", held.len());
        let other = silent(&runtime, "127.0.0.3:0", to, 5)?;
        ensure!(other.len() == 5, "{} of another", other.len());
        attacked.goes_on()?;
    }
    let series = "livetape_gateway_limit_rejections_total{limit=\"connections_per_address\"}";
    ensure!(attacked.figure(series)? == 450, "{}", attacked.figure(series)?);
    for role in ["recorder_limit_rejections_total{limit=\"", "capture_limit_rejections_total{limit=\"source_"] {
        let series = format!("livetape_{role}connections_per_address\"}}");
        ensure!(attacked.figure(&series)? == 450, "{series} {}", attacked.figure(&series)?);
    }
    attacked.end(SLACK)
}

/// What is no request of anybody.
fn garbage(seed: u64) -> Vec<Vec<u8>> {
    let mut random = numbers(seed);
    let mut noise = |n: u64| (0..n).map(|_| random(256) as u8).collect::<Vec<_>>();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    vec![
        noise(1),
        noise(100),
        noise(100_000),
        vec![0; 10_000],
        vec![b'\n'; 100_000],
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &noise(500)].concat(),
        preface[..20].to_vec(),
        [&preface[..], &noise(5_000)].concat(),
        // Frames of settings, of a head that never ends, and of resets.
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 64, 0, 1, 0, 0, 0, 0, 1], &noise(16_384)].concat(),
        [&preface[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8].repeat(5_000)].concat(),
    ]
}

/// Says it all, each on a connection of its own, and leaves or waits for the end.
fn pour(to: SocketAddr, rounds: u64) -> Result<()> {
    for seed in 0..rounds {
        for bytes in garbage(seed) {
            let mut stream = TcpStream::connect(to)?;
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            stream.set_write_timeout(Some(Duration::from_secs(1)))?;
            _ = stream.write_all(&bytes);
            _ = stream.read(&mut [0; 1024]);
        }
    }
    Ok(())
}

#[test]
fn who_says_nothing_sends_only_its_own_away() -> Result<()> {
    many_files()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let per_address = ["--limit-connections-per-address", "500", "--limit-source-connections-per-address", "500"];
    let attacked = Attacked::start(&[&["--unlimited", "none"][..], &per_address].concat())?;
    for (to, role) in [(attacked.g.livetape.grpc(), "recorder"), (attacked.g.livetape.sources(), "capture")] {
        let others = silent(&runtime, "127.0.0.3:0", to, 5)?;
        let many = silent(&runtime, "127.0.0.2:0", to, 400)?;
        let still = |all: &[tokio::net::TcpStream]| {
            let is_there =
                |s: &&tokio::net::TcpStream| s.try_read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
            all.iter().filter(is_there).count()
        };
        ensure!(still(&others) == 5 && many.len() < 400, "{} and {} at the {role}", still(&others), many.len());
        let series = format!("livetape_{role}_limit_rejections_total{{limit=\"silent_connections\"}}");
        ensure!(attacked.figure(&series)? > 100, "{series} {}", attacked.figure(&series)?);
        attacked.goes_on()?;
    }
    attacked.end(SLACK)
}

/// A connection from an address of this machine.
fn from(address: &str, to: SocketAddr) -> Result<TcpStream> {
    let address = address.parse()?;
    let stream = tokio::runtime::Runtime::new()?.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(address)?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

/// Tries passwords where sources push, until it was said often enough that these are too many; how it was answered.
fn push_guesses(to: SocketAddr) -> Result<BTreeMap<u16, u64>> {
    let (mut statuses, mut n) = (BTreeMap::new(), 0_usize);
    let until = Instant::now() + SOON;
    while statuses.get(&429).is_none_or(|n| *n < 50) && Instant::now() < until {
        n += 1;
        let basic = format!("Authorization: Basic ZGo6cGFzc3dvcmQ{}", ["x", "y", "z", "0", "1"][n % 5]);
        let line = ["PUT /live2 HTTP/1.1", "SOURCE /live2 HTTP/1.0"][n % 2];
        let answered = Push::begin(to, line, &["Content-Type: audio/wav", &basic]).and_then(|mut push| push.answer());
        let (status, head) = answered.unwrap_or_default();
        ensure!(status != 429 || head.contains("Retry-After: "), "{head}");
        *statuses.entry(status).or_default() += 1;
    }
    Ok(statuses)
}

#[test]
fn guesses_where_sources_push_starve_nobody_and_do_not_fill_the_log() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let hash = hash_password(&Secret::new("a password of a person"))?;
    let file = format!("[[user]]\nname = \"dj\"\npassword = \"{hash}\"\ngrants = [\"listen,publish:*\"]\n");
    let access = dir.path().join("access.toml");
    std::fs::write(&access, file)?;
    let access = access.to_str().context("a plain path")?;
    let attacked = Attacked::start(&["--access", access, "--anonymous", "listen,publish,watch"])?;
    let (to, http) = (attacked.g.livetape.sources(), attacked.g.livetape.http());
    let statuses = std::thread::scope(|scope| -> Result<_> {
        let guessing: Vec<_> = (0..4).map(|_| scope.spawn(move || push_guesses(to))).collect();
        let mut statuses = BTreeMap::new();
        for one in guessing {
            for (status, n) in one.join().expect("the thread does not panic")? {
                *statuses.entry(status).or_insert(0) += n;
            }
        }
        Ok(statuses)
    })?;
    eprintln!("guesses where sources push: {statuses:?}");
    // In base64, "dj:a password of a person", which nobody has found out to be right yet.
    let dj = "ZGo6YSBwYXNzd29yZCBvZiBhIHBlcnNvbg==";
    let known = ask(http, "/streams", &format!("Authorization: Basic {dj}\r\n"));
    ensure!(known == 200, "{known}: the gateway counts for itself");
    let stream = from("127.0.0.9:0", to)?;
    let right = format!("Authorization: Basic {dj}");
    let mut push = Push::begin_on(stream, to, "SOURCE /live2 HTTP/1.0", &["Content-Type: audio/wav", &right])?;
    ensure!(push.status()? == 200, "who comes from elsewhere is let in");
    ensure!(statuses.keys().all(|status| [401, 429, 503, 0].contains(status)), "{statuses:?}");
    let [wrong, too_many] = [401, 429].map(|status| statuses.get(&status).copied().unwrap_or_default());
    ensure!(too_many > wrong && wrong <= 40, "{statuses:?}");
    ensure!(attacked.figure("livetape_capture_limit_rejections_total{limit=\"failed_proofs\"}")? > 0);
    let lines = attacked.g.livetape.log().matches("refused").count();
    ensure!(lines <= 200, "{lines} lines about them");
    drop(push);
    attacked.end(SLACK)
}

#[test]
fn garbage_on_every_port() -> Result<()> {
    let ops = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let attacked = Attacked::start(&["--ops-addr", &ops.to_string()])?;
    for to in [attacked.g.livetape.http(), attacked.g.livetape.grpc(), attacked.g.livetape.sources(), ops] {
        pour(to, 5)?;
        attacked.goes_on()?;
    }
    let well = http::get(ops, "/readyz").header("Connection", "close").send()?;
    ensure!(well.status == 200, "{}", well.status);
    attacked.end(SLACK)
}

#[test]
fn garbage_where_tls_is_spoken() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let authority = Authority::new()?;
    let (cert, key) = authority.sign("localhost")?.write(dir.path(), "server")?;
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem)?;
    let files = ["--tls-cert".into(), cert.into_os_string(), "--tls-key".into(), key.into_os_string()];
    let livetape = Start::new(dir.path().join("data")).source("counting").args(files).spawn()?;
    let ca = ca.to_str().context("a plain path")?;
    let url = format!("https://localhost:{}/streams/live/live.pcm?burst=0", livetape.http().port());
    let heard = || -> Result<()> {
        let got = curl(&url, &["--cacert", ca, "--max-time", "2"])?;
        ensure!(
            got.status == 200 && got.code == 28 && got.body.len() as u64 > SECOND / 2,
            "{} {} {}",
            got.code,
            got.status,
            got.body.len()
        );
        ensure!(runs(&got.body).len() == 1, "{:?}", runs(&got.body));
        Ok(())
    };
    wait::until("audio over TLS", SOON, || heard().ok())?;
    let before = memory(livetape.pid())?;
    for to in [livetape.http(), livetape.grpc()] {
        pour(to, 5)?;
        heard()?;
    }
    let now = memory(livetape.pid())?;
    ensure!(now <= before + SLACK, "{before} bytes before, {now} now");
    ensure!(!livetape.log().contains("panicked"), "{}", livetape.log());
    livetape.stop()
}

/// The status of one request; 0 if there was no answer.
fn ask(to: SocketAddr, target: &str, header: &str) -> u16 {
    let answer = || -> Result<u16> {
        let mut stream = TcpStream::connect(to)?;
        stream.set_read_timeout(Some(SOON))?;
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        std::str::from_utf8(&head[9..])?.parse().context("a status")
    };
    answer().unwrap_or_default()
}

#[test]
fn guesses_at_speed_find_nothing_and_disturb_nobody() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let token = mint_token()?;
    let file = format!(
        "[[token]]\nname = \"ann\"\nsha256 = \"{}\"\ngrants = [\"manage:*\"]\n\
         [[user]]\nname = \"dj\"\npassword = \"{}\"\ngrants = [\"manage:*\"]\n",
        TokenHash::of(&token),
        hash_password(&Secret::new("a password of a person"))?
    );
    let access = dir.path().join("access.toml");
    std::fs::write(&access, file)?;
    let access = access.to_str().context("a plain path")?;
    let attacked = Attacked::start(&["--access", access, "--anonymous", "listen,publish,watch"])?;
    let (to, grpc) = (attacked.g.livetape.http(), attacked.g.livetape.grpc());
    let until = Instant::now() + Duration::from_secs(5);
    // What is not checked any more is not guessed: "dj:password1" to "dj:password9".
    let basic =
        |n: u64| format!("Authorization: Basic ZGo6cGFzc3dvcmQ{}\r\n", ["x", "y", "z", "0", "1"][n as usize % 5]);
    let guess = |thread: u64| -> Result<BTreeMap<u16, u64>> {
        let (mut statuses, mut n) = (BTreeMap::new(), 0);
        while Instant::now() < until {
            n += 1;
            let status = match (thread + n) % 4 {
                0 => ask(to, "/session", &basic(n)),
                1 => ask(to, "/streams", &format!("Authorization: Bearer {}\r\n", mint_token()?.reveal())),
                2 => ask(to, &format!("/streams?sign=k.listen.1.9999999999.{n:043}"), ""),
                _ => ask(to, "/streams", &format!("Cookie: livetape={}\r\n", mint_token()?.reveal())),
            };
            *statuses.entry(status).or_default() += 1;
        }
        Ok(statuses)
    };
    let calls = || -> Result<BTreeMap<i32, u64>> {
        let mut codes = BTreeMap::new();
        tokio::runtime::Runtime::new()?.block_on(async {
            let at = RecorderAddress::new(format!("http://{grpc}"));
            let channel = at.endpoint()?.connect().await?;
            while Instant::now() < until {
                let wrong = at.clone().with_token(mint_token()?.reveal())?;
                let mut catalogue = CatalogueServiceClient::new(wrong.over(channel.clone()));
                let code = match catalogue.list_streams(ListStreamsRequest::default()).await {
                    Ok(_) => Code::Ok,
                    Err(status) => status.code(),
                };
                *codes.entry(code as i32).or_default() += 1;
            }
            anyhow::Ok(())
        })?;
        Ok(codes)
    };
    let (statuses, codes) = std::thread::scope(|scope| -> Result<_> {
        let guessing: Vec<_> = (0..4).map(|n| scope.spawn(move || guess(n))).collect();
        let calling = scope.spawn(calls);
        // Who can prove who they are does so from the same address all the while.
        while Instant::now() < until {
            let known = ask(to, "/session", &format!("Authorization: Bearer {}\r\n", token.reveal()));
            ensure!(known == 200, "{known}");
            std::thread::sleep(DRIP);
        }
        let mut statuses = BTreeMap::new();
        for one in guessing {
            for (status, n) in one.join().expect("the thread does not panic")? {
                *statuses.entry(status).or_insert(0) += n;
            }
        }
        Ok((statuses, calling.join().expect("the thread does not panic")?))
    })?;
    eprintln!("guesses over HTTP: {statuses:?}; over gRPC, by code: {codes:?}");
    // `/session` forgets a cookie that does not count any more, and says who one is without it.
    ensure!(statuses.keys().all(|status| [200, 401, 429].contains(status)), "{statuses:?}");
    ensure!(statuses[&429] > 10 * statuses[&401], "{statuses:?}");
    ensure!(
        codes.keys().all(|code| [Code::Unauthenticated as i32, Code::ResourceExhausted as i32].contains(code)),
        "{codes:?}"
    );
    ensure!(codes[&(Code::ResourceExhausted as i32)] > codes[&(Code::Unauthenticated as i32)], "{codes:?}");
    ensure!(attacked.figure("livetape_gateway_limit_rejections_total{limit=\"failed_proofs\"}")? > 0);
    ensure!(attacked.g.livetape.log().len() < 1 << 20, "they fill the log");
    attacked.end(SLACK)
}
