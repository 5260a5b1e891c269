//! Bytes from a connection to the thread that decodes them: a bounded pipe, in which titles have their places, too.

use bytes::{Buf, Bytes};
use livetape_audio::Title;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Blocks between the connection and the thread.
const BLOCKS: usize = 8;
/// Most bytes of one read: what is read ahead of what is heard puts a title too early.
const READ: usize = 1 << 10;
/// Titles that wait for their places; of more, the oldest go.
const TITLES: usize = 32;

/// A new pipe.
pub(crate) fn feed() -> (Feed, Arc<Feeding>, FeedReader) {
    let (sender, receiver) = mpsc::channel(BLOCKS);
    let feeding = Arc::new(Feeding::default());
    (Feed { sender, feeding: Arc::clone(&feeding) }, feeding, FeedReader { receiver, rest: Bytes::new() })
}

/// What both ends know.
#[derive(Debug)]
pub(crate) struct Feeding {
    /// Bytes that came.
    fed: AtomicU64,
    titles: Mutex<VecDeque<(u64, Title)>>,
    /// Whoever sends has said that this was all.
    complete: AtomicBool,
    heard: Mutex<Instant>,
    /// A block waits for room: who sends is not silent, but held back.
    held: AtomicBool,
}

impl Default for Feeding {
    fn default() -> Self {
        Self {
            fed: AtomicU64::new(0),
            titles: Mutex::default(),
            complete: AtomicBool::new(false),
            heard: Mutex::new(Instant::now()),
            held: AtomicBool::new(false),
        }
    }
}

impl Feeding {
    /// This plays from the bytes on that come next.
    pub(crate) fn title(&self, title: Title) {
        let mut titles = self.titles.lock().unwrap_or_else(PoisonError::into_inner);
        if titles.len() >= TITLES {
            titles.pop_front();
        }
        titles.push_back((self.fed.load(Ordering::Relaxed), title));
    }

    /// What plays where `at` bytes were read, if that is new.
    pub(crate) fn due(&self, at: u64) -> Option<Title> {
        let mut titles = self.titles.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = None;
        while titles.front().is_some_and(|(place, _)| *place <= at) {
            due = titles.pop_front().map(|(_, title)| title);
        }
        due
    }

    /// That was all, and not just the end of a connection.
    pub(crate) fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// For how long nothing came although there was room.
    pub(crate) fn silent_for(&self) -> Duration {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if self.held.load(Ordering::Relaxed) { Duration::ZERO } else { heard.elapsed() }
    }

    fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Feed {
    sender: mpsc::Sender<Bytes>,
    feeding: Arc<Feeding>,
}

impl Feed {
    /// Sends a block as soon as there is room. Whether anybody still wants it.
    pub(crate) async fn send(&self, block: Bytes) -> bool {
        if block.is_empty() {
            return true;
        }
        self.feeding.heard();
        self.feeding.held.store(true, Ordering::Relaxed);
        let bytes = block.len() as u64;
        let sent = self.sender.send(block).await.is_ok();
        self.feeding.fed.fetch_add(bytes, Ordering::Relaxed);
        self.feeding.held.store(false, Ordering::Relaxed);
        self.feeding.heard();
        sent
    }
}

/// The thread's end. Ends with the connection.
#[derive(Debug)]
pub(crate) struct FeedReader {
    receiver: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for FeedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                Some(block) => self.rest = block,
                None => return Ok(0),
            }
        }
        let n = self.rest.len().min(buffer.len()).min(READ);
        self.rest.copy_to_slice(buffer.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_and_titles_in_their_order() {
        let (feed, feeding, mut reader) = feed();
        feeding.title("a".parse().unwrap());
        assert!(feed.send(Bytes::from_static(b"12345")).await && feed.send(Bytes::new()).await);
        feeding.title("b".parse().unwrap());
        feeding.title("c".parse().unwrap());
        assert!(feed.send(Bytes::from_static(b"678")).await);
        drop(feed);
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            all
        });
        assert_eq!(read.await.unwrap(), b"12345678");
        assert_eq!(feeding.due(4).unwrap().as_str(), "a");
        assert_eq!(feeding.due(4), None);
        assert_eq!(feeding.due(5).unwrap().as_str(), "c", "of several, the last");
    }

    #[test]
    fn titles_have_a_bound() {
        let feeding = Feeding::default();
        for n in 0..1_000 {
            feeding.title(n.to_string().parse().unwrap());
        }
        assert_eq!(feeding.titles.lock().unwrap().len(), TITLES);
        assert_eq!(feeding.due(0).unwrap().as_str(), "999");
    }
}
