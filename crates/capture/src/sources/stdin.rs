//! PCM from the standard input, as it is or in a WAV file, at the pace of whoever sends it but not faster than it sounds.

use super::foreign::{self, Look};
use super::pace::{Pace, Waiting};
use super::pieces::Pieces;
use super::{Chunk, Piece, Source, SourceError};
use crate::clock::{CaptureClock, Reading};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use livetape_audio::wav_reader::{self, WavError, WavHead};
use livetape_audio::{Frame, FrameCount, Spec};
use std::io::{self, Read};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;

/// Audio that may wait here, in seconds. A full buffer holds the sender back.
const BUFFER_SECONDS: u64 = 2;
/// Most bytes of one read, and of one while the head is looked for.
const BLOCK: usize = 1 << 16;
const HEAD_BLOCK: usize = 1 << 12;

/// The standard input of this process. A thread of its own reads it, because a blocking read cannot be called off: so
/// it never keeps the process from stopping. To be called once.
///
/// # Errors
/// If the thread cannot be started.
pub fn process_stdin() -> io::Result<impl AsyncRead + Unpin + Send + 'static> {
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        let (mut stdin, mut buffer) = (io::stdin(), vec![0; BLOCK]);
        loop {
            let block = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => Ok(Bytes::copy_from_slice(buffer.get(..n).unwrap_or_default())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = block.is_err();
            if sender.blocking_send(block).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(StreamReader::new(ReceiverStream::new(receiver)))
}

/// A reader as a source.
pub struct Stdin<R> {
    reader: R,
    spec: Spec,
    buffer: BytesMut,
    /// Bytes of audio still to be read, where a WAV head says so.
    left: Option<u64>,
    ended: bool,
    pieces: Pieces,
    pace: Pace,
    clock: CaptureClock,
}

impl<R: AsyncRead + Unpin + Send + 'static> Stdin<R> {
    /// Reads far enough to know what comes: a WAV file (its own spec is used), or PCM of the shape `raw`. Waits as long
    /// as nothing comes.
    ///
    /// # Errors
    /// [`SourceError`] when reading fails or something else comes.
    pub async fn open(mut reader: R, raw: Spec) -> Result<Self, SourceError> {
        let mut buffer = BytesMut::new();
        let mut complete = false;
        let head = loop {
            match wav_reader::read_head(&buffer) {
                Ok(Some(head)) => break Some(head),
                Ok(None) if complete && buffer.is_empty() => return Err(SourceError::Empty),
                // Four bytes of RIFF: what is cut so short that it could still be WAV is no audio either way.
                Ok(None) if complete => return Err(SourceError::CutHead),
                Ok(None) => {}
                Err(WavError::NotWav) => match foreign::look(&buffer, complete) {
                    Look::Foreign(what) => return Err(SourceError::Foreign(what)),
                    Look::Plain => break None,
                    Look::More(_) => {}
                },
                Err(error) => return Err(error.into()),
            }
            buffer.reserve(HEAD_BLOCK);
            complete = reader.read_buf(&mut buffer).await? == 0;
        };
        // What a head does not say of its channels may have been said elsewhere.
        let told = |spec: Spec| spec.for_speakers(raw.layout()).ok().filter(|_| !spec.layout().is_known());
        let spec = head.map_or(raw, |head| told(head.spec).unwrap_or(head.spec));
        if spec != raw {
            tracing::info!(given = %raw, found = %spec, "stdin carries a WAV file: its own spec is used");
        }
        let (pieces, clock) = (Pieces::new(spec), CaptureClock::new(Reading::now()));
        let mut source =
            Self { reader, spec, buffer, left: None, ended: complete, pieces, pace: Pace::default(), clock };
        if let Some(head) = head {
            source.skip_head(head);
        }
        source.first_frame().await?;
        Ok(source)
    }

    fn skip_head(&mut self, head: WavHead) {
        self.buffer.advance(head.data_at.min(self.buffer.len()));
        self.left = head.data_len.map(|len| len.saturating_sub(self.buffer.len() as u64));
        if let Some(len) = head.data_len.and_then(|len| usize::try_from(len).ok()) {
            self.buffer.truncate(len);
        }
        self.ended |= self.left == Some(0);
    }

    /// A source that gives nothing must not begin a recording.
    async fn first_frame(&mut self) -> Result<(), SourceError> {
        while !self.ended && self.buffer.len() < self.spec.frame_bytes() as usize {
            self.fill().await?;
        }
        if self.buffer.len() < self.spec.frame_bytes() as usize { Err(SourceError::Empty) } else { Ok(()) }
    }

    fn capacity(&self) -> usize {
        usize::try_from(self.spec.byte_rate() * BUFFER_SECONDS).unwrap_or(usize::MAX)
    }

    /// Bytes of a piece of `frames` frames.
    fn bytes(&self, frames: FrameCount) -> usize {
        usize::try_from(self.spec.bytes(frames)).unwrap_or(usize::MAX)
    }

    /// Bytes of the next piece, when they are all here. The last one may be shorter.
    fn ready(&self) -> Option<usize> {
        let whole = self.bytes(self.pieces.next());
        let here = self.buffer.len() - self.buffer.len() % self.spec.frame_bytes() as usize;
        if here >= whole { Some(whole) } else { Some(here).filter(|&n| self.ended && n > 0) }
    }

    /// Reads what comes into the buffer.
    async fn fill(&mut self) -> Result<(), SourceError> {
        let room = self.capacity().saturating_sub(self.buffer.len()) as u64;
        let room = usize::try_from(room.min(self.left.unwrap_or(u64::MAX))).unwrap_or(usize::MAX);
        let waited = self.ready().is_none();
        self.buffer.reserve(room.min(BLOCK));
        let n = self.reader.read_buf(&mut (&mut self.buffer).limit(room)).await?;
        self.left = self.left.map(|left| left.saturating_sub(n as u64));
        if n == 0 || self.left == Some(0) {
            self.end();
        }
        if waited && self.ready().is_some() {
            self.pace.arrived(Instant::now(), self.spec.duration(self.pieces.next()));
        }
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        let half = self.buffer.len() % self.spec.frame_bytes() as usize;
        if half > 0 {
            tracing::warn!(bytes = half, "stdin ended within a frame: the half frame is dropped");
            self.buffer.truncate(self.buffer.len() - half);
        }
        if let Some(missing) = self.left.filter(|&left| left > 0) {
            tracing::warn!(bytes = missing, "stdin ended before the length in its WAV head was reached");
        }
    }

    fn take(&mut self, bytes: usize) -> Chunk {
        let now = Reading::now();
        self.clock.observe(now);
        let waiting = if self.ended || self.buffer.len() >= self.capacity() {
            Waiting::Full
        } else {
            Waiting::Some(self.spec.duration(self.spec.frames_in(self.buffer.len() as u64).0))
        };
        // A copy: a piece that waits for the recorder must not keep the whole buffer alive.
        let pcm = Bytes::copy_from_slice(self.buffer.get(..bytes).unwrap_or_default());
        self.buffer.advance(pcm.len());
        let length = self.spec.duration(self.spec.frames_in(pcm.len() as u64).0);
        self.pieces.advance();
        let due = self.pace.taken(now.mono, self.spec.duration(self.pieces.next()), waiting);
        Chunk { time: self.clock.at(due.checked_sub(length).unwrap_or(due)), pcm }
    }
}

impl<R: AsyncRead + Unpin + Send + 'static> Source for Stdin<R> {
    fn spec(&self) -> Spec {
        self.spec
    }

    fn begin(&mut self, _next: Frame) {
        let now = Reading::now();
        self.clock = CaptureClock::new(now);
        if self.ended {
            self.end();
        }
        if self.ready().is_some() {
            self.pace.arrived(now.mono, self.spec.duration(self.pieces.next()));
        }
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        loop {
            let ready = self.ready();
            if self.ended && ready.is_none() {
                return Ok(None);
            }
            let due = self.pace.due().unwrap_or_else(Instant::now);
            let room = !self.ended && self.buffer.len() < self.capacity();
            tokio::select! {
                biased;
                () = sleep_until(due), if ready.is_some() => {
                    return Ok(Some(Piece::Audio(self.take(ready.unwrap_or_default()))));
                }
                filled = self.fill(), if room => filled?,
            }
        }
    }
}

#[cfg(test)]
mod tests;
