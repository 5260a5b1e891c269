//! What a decoder reads: a file, bytes, or a stream that comes from somewhere. Somebody else can see how far it is, and
//! call it off.

use super::piped::Piped;
use livetape_audio::{ChannelLayout, FrameCount};
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use symphonia::core::io::{MediaSource, ReadOnlySource};

/// More than a decoder reads at once.
const PADDING: u64 = 1 << 17;

/// Where a decoder is, for another thread; and what was seen of the head of what it reads.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<State>);

#[derive(Debug, Default)]
struct State {
    at: AtomicU64,
    /// The furthest byte.
    most: AtomicU64,
    stopped: AtomicBool,
    /// The loudspeakers that the head of a WAV or a CAF names, as a mask.
    mask: AtomicU32,
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

    /// For which loudspeakers channels are by the head of a WAV or a CAF: where it does not say, the library makes something up.
    pub(super) fn label(&self, layout: ChannelLayout) {
        self.0.mask.store(layout.mask(), Ordering::Relaxed);
    }

    pub(super) fn labelled(&self) -> ChannelLayout {
        ChannelLayout::of_mask(self.0.mask.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn moved(&self, to: u64) {
        self.0.at.store(to, Ordering::Relaxed);
    }
}

/// What a decoder reads.
pub struct Input {
    source: Box<dyn MediaSource>,
    handle: Handle,
    long: Option<Long>,
    /// Of what cannot be rewound.
    piped: Option<Piped>,
}

/// Where the audio of an RF64 is. The library knows no such files: it reads it as a WAV that does not say how long it is, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Long {
    pub(super) data_at: u64,
    pub(super) end: u64,
    /// … of which so many frames count. Zeros come after them, because the library drops a block that is not whole.
    pub(super) frames: FrameCount,
}

impl Long {
    /// Makes the head of a WAV of it.
    fn change(&self, at: u64, bytes: &mut [u8]) {
        let heads = [(0, &b"RIFF\xff\xff\xff\xff"[..]), (self.data_at.saturating_sub(4), &b"\xff\xff\xff\xff"[..])];
        for (place, head) in heads {
            for (place, &byte) in (place..).zip(head) {
                let here = place.checked_sub(at).and_then(|here| usize::try_from(here).ok());
                if let Some(here) = here.and_then(|here| bytes.get_mut(here)) {
                    *here = byte;
                }
            }
        }
    }
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
        let piped = (!source.is_seekable()).then(Piped::default);
        Self { source, handle: Handle::default(), long: None, piped }
    }

    /// Under a handle that somebody has already.
    #[must_use]
    pub fn under(mut self, handle: Handle) -> Self {
        self.handle = handle;
        self
    }

    /// From now on it is read as the WAV that it is but for its sizes, if all of it is there. Whether it is.
    pub(super) fn read_as_wav(&mut self, long: Long) -> bool {
        let whole = self.source.byte_len().is_none_or(|length| length >= long.end);
        // What is missing at the end must not look like silence.
        let end = if whole { long.end } else { u64::MAX };
        self.long = Some(Long { end, ..long });
        whole
    }

    /// From now on it is a WAV that does not say how long it is, whatever made-up size it has.
    pub(super) fn leave_open(&mut self, data_at: u64) {
        self.long = Some(Long { data_at, end: u64::MAX, frames: FrameCount::ZERO });
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
        let at = self.handle.position();
        let read = match (&mut self.piped, self.long) {
            (Some(piped), _) => piped.read(&mut self.source, &self.handle, buffer)?,
            (None, Some(long)) if at >= long.end => {
                let zeros = usize::try_from((long.end.saturating_add(PADDING)).saturating_sub(at)).unwrap_or(0);
                let zeros = zeros.min(buffer.len());
                buffer.get_mut(..zeros).unwrap_or_default().fill(0);
                zeros
            }
            (None, Some(long)) => {
                let left = usize::try_from(long.end - at).unwrap_or(usize::MAX).min(buffer.len());
                let read = self.source.read(buffer.get_mut(..left).unwrap_or_default())?;
                long.change(at, buffer.get_mut(..read).unwrap_or_default());
                read
            }
            (None, None) => self.source.read(buffer)?,
        };
        let end = at.saturating_add(read as u64);
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
