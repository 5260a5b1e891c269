//! The socket of a connection: says when it takes nothing, and sends recorded audio as it lies on the disk.
//!
//! hyper sends memory, and to read a file into memory only to send it costs several times as much as to let the kernel
//! send the file. So hyper is given a stand-in: memory that nobody reads, of the same length. Where the socket is to
//! write a stand-in, it sends the file instead; hyper counts and frames the bytes as if they were its own. Whatever
//! does not fit breaks the connection: a listener may have to come back, but never hears a wrong byte.

use crate::connection::Connection;
use bytes::Bytes;
use livetape_store::Stored;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Unsent bytes that the kernel may hold for a client: keeps memory small, and progress visible in small steps.
const UNSENT: u32 = 128 * 1024;
/// The same for a body without an end, which a client takes as fast as it plays.
const UNSENT_LIVE: u32 = 64 * 1024;
/// The same for what is long and lies on the disk: it takes no memory, and each step is a wake-up.
const UNSENT_FILE: u32 = 1024 * 1024;
/// Most bytes that are read at once: requests are shorter.
const READ: usize = 4096;

/// Zeros that are never sent, and never touched: they take no memory.
static STAND_IN: [u8; Outgoing::MOST] = [0; Outgoing::MOST];

/// What the socket sends instead of stand-ins, in their order, and how much of the first was sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    queue: Mutex<VecDeque<(Stored, usize)>>,
    /// Whether there was something long.
    long: AtomicBool,
}

impl Outgoing {
    /// Most bytes that one stand-in can be.
    pub(crate) const MOST: usize = 1 << 20;

    /// A stand-in for these bytes, at most [`Outgoing::MOST`]. It has to be sent on this connection, and next.
    pub(crate) fn push(&self, stored: Stored) -> Bytes {
        let stand_in = STAND_IN.get(..stored.len()).unwrap_or(&STAND_IN);
        let stored = stored.slice(0..stand_in.len());
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back((stored, 0));
        Bytes::from_static(stand_in)
    }

    /// Sends some of what stands behind the next `left` bytes of a stand-in.
    fn send(&self, stream: &TcpStream, left: usize) -> io::Result<usize> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let next = queue.front_mut().filter(|(stored, sent)| stored.len().checked_sub(*sent) == Some(left));
        let Some((stored, sent)) = next else { return Err(io::Error::other("a stand-in is not what is to be sent")) };
        let n = stored.send(stream, *sent)?;
        *sent += n;
        if *sent == stored.len() {
            queue.pop_front();
        }
        Ok(n)
    }
}

fn is_stand_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

/// The socket. Clones share it.
#[derive(Clone)]
pub(crate) struct Wire {
    stream: Arc<TcpStream>,
    connection: Arc<Connection>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        // Not worth refusing a client for.
        _ = stream.set_nodelay(true);
        let wire = Self { stream: Arc::new(stream), connection };
        wire.hold_unsent(UNSENT);
        wire
    }

    /// Some of these bytes, what is memory and what is not.
    fn send(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (memory, rest) = bufs.split_at(bufs.iter().position(|b| is_stand_in(b)).unwrap_or(bufs.len()));
        let sent = match memory {
            [] => 0,
            [one] => self.stream.try_write(one)?,
            many => self.stream.try_write_vectored(many)?,
        };
        if sent < memory.iter().map(|b| b.len()).sum() {
            return Ok(sent);
        }
        match rest.first().map(|stand_in| self.send_file(stand_in.len())) {
            Some(Err(e)) if sent == 0 => Err(e),
            // What is wrong is said again when there is nothing else to say.
            Some(Err(_)) | None => Ok(sent),
            Some(Ok(n)) => Ok(sent + n),
        }
    }

    /// Lets the kernel hold so many bytes.
    pub(crate) fn hold_unsent(&self, bytes: u32) {
        // Not worth refusing a client for.
        _ = SockRef::from(&*self.stream).set_tcp_notsent_lowat(bytes);
    }

    fn send_file(&self, left: usize) -> io::Result<usize> {
        if left == Outgoing::MOST && !self.connection.outgoing.long.swap(true, Relaxed) {
            self.hold_unsent(UNSENT_FILE);
        }
        self.stream.try_io(Interest::WRITABLE, || self.connection.outgoing.send(&self.stream, left))
    }

    /// Lets the kernel hold so little, and never more: who takes audio in real time, at 16 kB/s, takes some of it every
    /// few seconds then, and is not mistaken for one who takes nothing. The kernel asks for more when half is gone.
    pub(crate) fn hold_little(&self) {
        self.connection.outgoing.long.store(true, Relaxed);
        self.hold_unsent(UNSENT_LIVE);
    }

    fn poll_send(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let ready = self.stream.poll_write_ready(cx);
            self.connection.note_blocked(ready.is_pending());
            ready!(ready)?;
            match self.send(bufs) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Ready when the client has gone. What it says meanwhile is not for anybody.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.stream.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match self.stream.try_read(&mut [0; 256]) {
                Ok(1..) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.is_cut_hard() {
            // If this fails, the close is an ordinary one.
            _ = SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining().min(READ);
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let (into, mut got) = (buf.initialize_unfilled_to(room), None);
            let read = self.stream.try_io(Interest::READABLE, || match (&*SockRef::from(&*self.stream)).read(into) {
                Ok(n) if n == 0 || n == room => Ok(n),
                // Less than there was room for: nothing is left, which need not be asked for.
                Ok(n) => {
                    got = Some(n);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Err(e) => Err(e),
            });
            match (got, read) {
                (Some(n), _) | (None, Ok(n)) => {
                    buf.advance(n);
                    return Poll::Ready(Ok(()));
                }
                (None, Err(e)) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                (None, Err(e)) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, &[IoSlice::new(buf)])
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.flushed();
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Where an orderly end must not be seen, dropping the socket does the rest.
        if !self.connection.is_cut_hard() {
            match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
                Err(e) if e.kind() != io::ErrorKind::NotConnected => return Poll::Ready(Err(e)),
                _ => {}
            }
        }
        Poll::Ready(Ok(()))
    }
}
