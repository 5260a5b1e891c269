//! What a decoder reads: a file, bytes, or a stream that comes from somewhere. Somebody else can see how far it is, and
//! call it off.

use livetape_audio::wav_reader::{self, WavHead};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use symphonia::core::io::{MediaSource, ReadOnlySource};

/// The head of a WAV file is usually shorter.
const HEAD: u64 = 4096;

/// Where a decoder is, for another thread.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<State>);

#[derive(Debug, Default)]
struct State {
    at: AtomicU64,
    /// The furthest byte.
    most: AtomicU64,
    stopped: AtomicBool,
}

impl Handle {
    /// The byte that is read next.
    pub fn position(&self) -> u64 {
        self.0.at.load(Ordering::Relaxed)
    }

    /// Bytes that there are, as far as they were read.
    pub(super) fn length(&self) -> u64 {
        self.0.most.load(Ordering::Relaxed)
    }

    /// Calls it off: reading fails from now on.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    fn moved(&self, to: u64) {
        self.0.at.store(to, Ordering::Relaxed);
    }
}

/// What a decoder reads.
pub struct Input {
    source: Box<dyn MediaSource>,
    handle: Handle,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Input {
    /// A file. One that is no regular file is read from its beginning to its end.
    pub fn file(file: File) -> Self {
        Self::new(Box::new(file))
    }

    /// Bytes.
    pub fn bytes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::new(Box::new(Cursor::new(bytes)))
    }

    /// Bytes as they come. Nobody looks for tags at its end.
    pub fn stream(reader: impl Read + Send + Sync + 'static) -> Self {
        Self::new(Box::new(ReadOnlySource::new(reader)))
    }

    fn new(source: Box<dyn MediaSource>) -> Self {
        Self { source, handle: Handle::default() }
    }

    /// Under a handle that somebody has already.
    #[must_use]
    pub fn under(mut self, handle: Handle) -> Self {
        self.handle = handle;
        self
    }

    /// Whether it is a WAV file of somebody who wrote to a pipe, or was stopped, and never said how long it is. Leaves the
    /// input as it was.
    pub(super) fn is_endless_wav(&mut self) -> bool {
        if !self.source.is_seekable() {
            return false;
        }
        let mut head = Vec::new();
        let read = self.by_ref().take(HEAD).read_to_end(&mut head);
        let rewound = self.seek(SeekFrom::Start(0));
        let known = matches!(wav_reader::read_head(&head), Ok(Some(WavHead { data_len: None, .. })));
        known && read.is_ok() && rewound.is_ok()
    }

    /// For another thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.handle.is_stopped() {
            return Err(io::Error::other("it was called off"));
        }
        let read = self.source.read(buffer)?;
        let end = self.handle.position().saturating_add(read as u64);
        self.handle.moved(end);
        self.handle.0.most.fetch_max(end, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.source.seek(to)?;
        self.handle.moved(at);
        Ok(at)
    }
}

impl MediaSource for Input {
    fn is_seekable(&self) -> bool {
        self.source.is_seekable()
    }
    fn byte_len(&self) -> Option<u64> {
        self.source.byte_len()
    }
}
