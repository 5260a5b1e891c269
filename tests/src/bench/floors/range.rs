//! Ranges of one file by the barest server: a thread for each connection, no check of anything.

use super::announce;
use anyhow::{Context, Result, bail};
use rustix::fs::sendfile;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that are read at once, where they are.
const BLOCK: usize = 256 * 1024;

/// How the bytes get into the socket.
#[derive(Clone, Copy)]
enum How {
    Sendfile,
    Read,
}

pub(super) fn run(how: &str, file: &Path) -> Result<()> {
    let how = match how {
        "sendfile" => How::Sendfile,
        "read" => How::Read,
        _ => bail!("no such way: {how}"),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    announce(listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, file) = (stream?, File::open(file)?);
        std::thread::spawn(move || serve(stream, &file, how));
    }
    Ok(())
}

fn serve(mut stream: TcpStream, file: &File, how: How) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut request, mut block) = ([0; 1024], vec![0; BLOCK]);
    loop {
        let n = stream.read(&mut request)?;
        if n == 0 {
            return Ok(());
        }
        let request = std::str::from_utf8(&request[..n])?;
        let range = request.split_once("bytes=").and_then(|(_, r)| r.split_once("\r\n")).context("a range")?.0;
        let (first, last) = range.split_once('-').context("two ends")?;
        let (mut at, end) = (first.parse::<u64>()?, last.parse::<u64>()? + 1);
        let length = end - at;
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {range}/*\r\n\r\n"
        );
        match how {
            How::Sendfile => {
                stream.write_all(head.as_bytes())?;
                while at < end {
                    let most = (end - at) as usize;
                    sendfile(&stream, file, Some(&mut at), most)?;
                }
            }
            How::Read => {
                let mut head = head.as_bytes();
                while at < end {
                    let most = (end - at).min(BLOCK as u64) as usize;
                    let block = &mut block[..most];
                    file.read_exact_at(block, at)?;
                    let n = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(block)])?;
                    let first = n.min(head.len());
                    head = &head[first..];
                    at += (n - first) as u64;
                }
            }
        }
    }
}
