//! Live audio to many listeners by the barest loop: one thread, one buffer, one write for each listener and tick.

use super::announce;
use crate::bench::bytes;
use anyhow::Result;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a listener gets at once, in seconds.
const BURST: u64 = 1;

pub(super) fn run(tick: Duration, byte_rate: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?);
    let zero = Instant::now();
    let (joined, joining) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Ok(stream) = greet(stream) {
                _ = joined.send(stream);
            }
        }
    });
    // A listener and the byte that it gets next.
    let mut listeners: Vec<(TcpStream, u64)> = Vec::new();
    let mut kept = (0, Vec::new());
    loop {
        std::thread::sleep(tick - Duration::from_nanos((zero.elapsed().as_nanos() % tick.as_nanos()) as u64));
        let edge = (zero.elapsed().as_millis() as u64 * byte_rate / 1000) & !3;
        let begin = edge.saturating_sub(byte_rate * (BURST + 3)) & !3;
        kept.1.drain(..((begin - kept.0) as usize).min(kept.1.len()));
        let have = begin + kept.1.len() as u64;
        kept.1.extend(bytes(have, edge));
        kept.0 = begin;
        listeners.extend(joining.try_iter().map(|stream| (stream, edge.saturating_sub(byte_rate * BURST) & !3)));
        listeners.retain_mut(|(stream, pos)| {
            let Some(new) = pos.checked_sub(kept.0).and_then(|at| kept.1.get(at as usize..)) else { return false };
            match stream.write(new) {
                Ok(n) => *pos += n as u64,
                Err(e) => return e.kind() == std::io::ErrorKind::WouldBlock,
            }
            true
        });
    }
}

fn greet(mut stream: TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    _ = stream.read(&mut [0; 4096])?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}
