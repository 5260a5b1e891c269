//! A TCP proxy that breaks connections on demand and writes down what was asked through it.
//!
//! It passes bytes on as they come. Of what goes to the server it notes each block that ends with an empty line: the
//! heads of HTTP/1.x requests, which have no bodies here. Of what comes back it notes the status of each answer.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a connection stays silent before it is forgotten: longer than anybody waits.
const SILENT: Duration = Duration::from_secs(120);

impl Connection {
    /// Who asks one thing after another hears of one before asking the next: what comes first after a request is its answer.
    fn answered(&mut self, bytes: &[u8]) {
        if self.statuses.len() < self.heads.len() {
            let status = bytes.strip_prefix(b"HTTP/1.").and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok());
            self.statuses.extend(status.and_then(|status| status.parse::<u16>().ok()));
        }
    }
}

/// How to end the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// With a reset; what the client has not read yet is lost.
    Reset,
    /// As if the other side had closed; the client first reads what is on its way.
    Close,
    /// Not at all: nothing passes any more, either way, and neither side is told, as when a cable is pulled.
    Silence,
}

/// One connection through the proxy.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The heads of the requests, in order.
    pub heads: Vec<String>,
    /// The status codes of the answers to them, as far as they were answered.
    pub statuses: Vec<u16>,
    /// Bytes that went to the client so far, heads included.
    pub to_client: u64,
    /// Whether it has ended.
    pub ended: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    /// Raised by each cut; connections made before it end.
    cuts: u64,
    how: Option<Cut>,
    paused: bool,
}

#[derive(Debug, Default)]
struct Log {
    connections: Mutex<Vec<Connection>>,
    refused: AtomicUsize,
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    log: Arc<Log>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Passes what comes to a free port on to `server`.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(server: SocketAddr) -> Result<Self> {
        let runtime = crate::runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("the proxy needs a port")?;
        let address = listener.local_addr()?;
        let (orders, follow) = watch::channel(Orders::default());
        let log = Arc::new(Log::default());
        let accepting = runtime.spawn(accept(listener, server, follow, Arc::clone(&log)));
        Ok(Self { address, orders, log, accepting })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
    /// Ends all connections that there are; new ones work.
    pub fn cut(&self, how: Cut) {
        self.orders.send_modify(|o| {
            o.cuts += 1;
            o.how = Some(how);
        });
    }
    /// While paused nothing passes, either way, and connections stay open.
    pub fn pause(&self, paused: bool) {
        self.orders.send_modify(|o| o.paused = paused);
    }
    /// Every connection since the start, in the order of their coming.
    pub fn connections(&self) -> Vec<Connection> {
        self.log.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// The heads of all requests, in the order of the connections.
    pub fn heads(&self) -> Vec<String> {
        self.connections().into_iter().flat_map(|c| c.heads).collect()
    }
    /// How often the server could not be reached.
    pub fn refused(&self) -> usize {
        self.log.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    /// The connections end too: they see that nobody gives orders any more.
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Log {
    fn with(&self, number: usize, change: impl FnOnce(&mut Connection)) {
        let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = all.get_mut(number) {
            change(connection);
        }
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, orders: watch::Receiver<Orders>, log: Arc<Log>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = {
            let mut all = log.connections.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(Connection::default());
            all.len() - 1
        };
        let (orders, log) = (orders.clone(), Arc::clone(&log));
        tokio::spawn(async move {
            match TcpStream::connect(server).await {
                Ok(upstream) => pass(client, upstream, orders, &log, number).await,
                // Nobody listens there: the client learns it the same way.
                Err(_) => {
                    log.refused.fetch_add(1, Ordering::Relaxed);
                    let _ = client.set_zero_linger();
                }
            }
            log.with(number, |c| c.ended = true);
        });
    }
}

async fn pass(
    mut client: TcpStream,
    mut upstream: TcpStream,
    mut orders: watch::Receiver<Orders>,
    log: &Log,
    number: usize,
) {
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let born = orders.borrow_and_update().cuts;
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut asked = Vec::new();
    loop {
        let now = *orders.borrow_and_update();
        if now.cuts > born {
            match now.how {
                Some(Cut::Reset) => _ = client.set_zero_linger(),
                // Until the proxy ends.
                Some(Cut::Silence) => _ = timeout(SILENT, orders.wait_for(|_| false)).await,
                Some(Cut::Close) | None => {}
            }
            return;
        }
        // Orders are looked at between two pieces only, so the bytes before a cut are counted and passed on whole.
        tokio::select! {
            changed = orders.changed() => if changed.is_err() { return },
            read = client.read(&mut from_client), if !now.paused => {
                let Ok(n @ 1..) = read else { return };
                note(&from_client[..n], &mut asked, log, number);
                if upstream.write_all(&from_client[..n]).await.is_err() { return }
            }
            read = upstream.read(&mut from_server), if !now.paused => {
                let n = match read {
                    Ok(0) => return,
                    Ok(n) => n,
                    // A reset stays a reset.
                    Err(_) => { let _ = client.set_zero_linger(); return }
                };
                let written = tokio::select! {
                    written = client.write_all(&from_server[..n]) => written.is_ok(),
                    // The client does not read: a cut must not wait for it.
                    _ = orders.wait_for(|o| o.cuts > born) => continue,
                };
                log.with(number, |c| c.answered(&from_server[..n]));
                if !written { return }
                log.with(number, |c| c.to_client += n as u64);
            }
        }
    }
}

fn note(bytes: &[u8], asked: &mut Vec<u8>, log: &Log, number: usize) {
    // More than this without an empty line is no HTTP head.
    const MAX: usize = 64 * 1024;
    asked.extend_from_slice(bytes);
    while let Some(end) = asked.windows(4).position(|w| w == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&asked[..end]).into_owned();
        asked.drain(..end + 4);
        log.with(number, |c| c.heads.push(head));
    }
    if asked.len() > MAX {
        asked.clear();
    }
}

/// The first byte that a request head asks for by `Range: bytes=N-…`.
pub fn range_start(head: &str) -> Option<u64> {
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("range").then(|| value.trim())
    })?;
    field.strip_prefix("bytes=")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{self, Ending};
    use std::io::{Read, Write};

    /// Answers every connection with an endless chunked body.
    fn endless() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut head = [0; 1024];
                    assert!(stream.read(&mut head).unwrap() > 0);
                    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                    while sent.is_ok() {
                        sent = stream.write_all(b"4\r\nabcd\r\n");
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
            }
        });
        address
    }

    #[test]
    fn cuts_pauses_and_notes() {
        let proxy = Proxy::start(endless()).unwrap();
        for how in [Cut::Reset, Cut::Close] {
            let mut reply = http::get(proxy.address(), "/x").range("7-").send().unwrap();
            reply.at_least(8, Duration::from_secs(5)).unwrap();
            proxy.pause(true);
            reply.for_a_while(Duration::from_millis(100)).unwrap();
            assert!(reply.for_a_while(Duration::from_millis(200)).unwrap().is_empty(), "paused");
            proxy.pause(false);
            reply.at_least(8, Duration::from_secs(5)).unwrap();
            proxy.cut(how);
            assert_eq!(reply.to_end(Duration::from_secs(5)).unwrap().1, Ending::Cut);
        }
        let mut silent = http::get(proxy.address(), "/y").send().unwrap();
        silent.at_least(8, Duration::from_secs(5)).unwrap();
        proxy.cut(Cut::Silence);
        silent.for_a_while(Duration::from_millis(100)).unwrap();
        assert!(silent.for_a_while(Duration::from_millis(200)).unwrap().is_empty());
        assert_eq!(silent.ending(), Ending::Open, "nobody is told");
        http::get(proxy.address(), "/z").send().unwrap().at_least(8, Duration::from_secs(5)).unwrap();
        let heads = proxy.heads();
        assert_eq!(heads.len(), 4);
        assert!(heads[0].starts_with("GET /x HTTP/1.1\r\n"), "{heads:?}");
        assert_eq!(range_start(&heads[0]), Some(7));
        let connections = proxy.connections();
        assert!(connections[0].to_client > 16);
        assert!(connections.iter().all(|connection| connection.statuses == [200]), "{connections:?}");
    }

    #[test]
    fn a_server_that_is_away_is_away_through_the_proxy() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = Proxy::start(nobody).unwrap();
        assert!(http::get(proxy.address(), "/").send().is_err());
        assert_eq!(proxy.refused(), 1);
    }
}
