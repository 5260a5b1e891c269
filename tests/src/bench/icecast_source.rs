//! A source for Icecast, in real time.

use crate::bench::peers::PASSWORD;
use anyhow::{Result, ensure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The bytes of a stream from one to another.
pub type Bytes = Box<dyn Fn(u64, u64) -> Vec<u8> + Send>;

/// It runs until it is dropped.
#[derive(Debug)]
pub struct IcecastSource {
    /// When its first byte was captured.
    pub zero: Instant,
    task: JoinHandle<Result<()>>,
}

impl IcecastSource {
    /// Starts it, as `/live`: bytes of this type, so many a second.
    ///
    /// # Errors
    /// When Icecast does not want it.
    pub async fn start(to: SocketAddr, audio: &str, byte_rate: u64, bytes: Bytes) -> Result<Self> {
        let mut stream = TcpStream::connect(to).await?;
        ensure!(PASSWORD == "bench", "the login below is another one");
        let login = "c291cmNlOmJlbmNo"; // source:bench
        let head = format!(
            "PUT /live HTTP/1.1\r\nHost: {to}\r\nAuthorization: Basic {login}\r\nContent-Type: {audio}\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = [0; 512];
        let n = stream.read(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer[..n]);
        ensure!(answer.contains(" 100 ") || answer.contains(" 200 "), "Icecast says {answer}");
        let zero = Instant::now();
        let task = tokio::spawn(async move {
            let (mut tick, mut sent) = (tokio::time::interval(Duration::from_millis(20)), 0);
            loop {
                tick.tick().await;
                let edge = (zero.elapsed().as_secs_f64() * byte_rate as f64) as u64 & !3;
                stream.write_all(&bytes(sent, edge)).await?;
                sent = edge;
            }
        });
        Ok(Self { zero, task })
    }
}

impl Drop for IcecastSource {
    fn drop(&mut self) {
        self.task.abort();
    }
}
