//! What was captured and is not acknowledged yet: numbered, kept, sent again, and given up when it is too much.
//!
//! ```text
//!   oldest                                                newest
//!   [ sent: numbered, waits for its ack ][ unsent: no number yet ]  <- push
//! ```
//!
//! Frames get their numbers when they are sent, because audio that is given up before takes none. A number stays
//! until the recorder has answered a new open: then everything below `resume_frame` is durable and dropped, and the
//! rest is numbered anew. A gap counts as settled when a frame behind it was acknowledged, so it is sent again until
//! then. Not here: clocks, sockets, tasks, waiting.

mod gaps;

use crate::sources::{Chunk, Lost, Piece};
use crate::status::Status;
use bytes::Bytes;
use livetape_audio::{Durable, Epoch, Frame, FrameCount, GapReason, Spec, WallTime};
use std::collections::VecDeque;

/// What goes to the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Audio.
    Append {
        /// Fencing token.
        epoch: Epoch,
        /// Number of its first frame.
        first: Frame,
        /// When that was captured.
        time: WallTime,
        /// Whole frames.
        pcm: Bytes,
    },
    /// Missing audio.
    Gap {
        /// Fencing token.
        epoch: Epoch,
        /// First frame after the gap.
        at: Frame,
        /// What is missing.
        lost: Lost,
    },
    /// Nothing will follow.
    End {
        /// Fencing token.
        epoch: Epoch,
        /// The frame that will not come.
        at: Frame,
    },
}

/// Why something did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UplinkError {
    /// A source yielded half a frame.
    #[error("{bytes} bytes of audio are not whole frames of {spec}")]
    HalfFrame {
        /// Size of the audio.
        bytes: u64,
        /// Its shape.
        spec: Spec,
    },
    /// The recorder talks of frames that it was never sent.
    #[error("the recorder acknowledged frame {durable}, but only frames before {next} were sent")]
    NeverSent {
        /// As acknowledged.
        durable: Durable,
        /// Next frame to be sent.
        next: Frame,
    },
    /// The recorder takes messages that hold no frame.
    #[error("the recorder takes {max} bytes of audio at once, but a frame has {frame}")]
    Narrow {
        /// Its limit.
        max: u64,
        /// Size of a frame.
        frame: u64,
    },
}

/// An open stream, as the recorder answered.
#[derive(Clone, Copy, Debug)]
struct Line {
    epoch: Epoch,
    most: FrameCount,
    end_sent: bool,
}

/// Something that has a number.
#[derive(Clone, Debug)]
struct Sent {
    at: Frame,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Audio(Chunk),
    /// Audio that was sent and then given up: parts of it may turn out to be durable.
    GivenUp(FrameCount),
    Gap(Lost),
}

/// The state machine. One for each source.
#[derive(Clone, Debug)]
pub struct Uplink {
    spec: Spec,
    limit: u64,
    line: Option<Line>,
    /// Number of the next frame to be sent.
    next: Frame,
    sent: VecDeque<Sent>,
    unsent: VecDeque<Piece>,
    /// Of all audio in `sent` and `unsent`.
    bytes: u64,
    ending: bool,
    captured: FrameCount,
    given_up: FrameCount,
    missed: FrameCount,
}

impl Uplink {
    /// An empty one for audio of the shape `spec` that keeps at most `limit` bytes of it.
    pub const fn new(spec: Spec, limit: u64) -> Self {
        Self {
            spec,
            limit,
            line: None,
            next: Frame::ZERO,
            sent: VecDeque::new(),
            unsent: VecDeque::new(),
            bytes: 0,
            ending: false,
            captured: FrameCount::ZERO,
            given_up: FrameCount::ZERO,
            missed: FrameCount::ZERO,
        }
    }

    /// The recorder has opened the stream: it goes on with frame `next`. `resume` is the same frame in the numbers
    /// used until now, if the recorder knows them; what is before it is durable. It takes `most` bytes at once.
    ///
    /// # Errors
    /// If `most` is less than a frame.
    pub fn opened(&mut self, epoch: Epoch, next: Frame, resume: Option<Frame>, most: u64) -> Result<(), UplinkError> {
        let (frames, _) = self.spec.frames_in(most);
        if frames.is_zero() {
            return Err(UplinkError::Narrow { max: most, frame: u64::from(self.spec.frame_bytes()) });
        }
        // A recorder that has more than it was sent talks of somebody else's audio: then nothing of ours is known to
        // be durable, and sending it twice is better than losing it.
        match resume {
            Some(resume) if resume > self.next => {
                tracing::warn!(%resume, sent = %self.next, "the recorder has audio of somebody else: nothing is dropped");
            }
            Some(resume) => self.settle(resume),
            None => {}
        }
        let mut pieces = VecDeque::with_capacity(self.sent.len() + self.unsent.len());
        for sent in std::mem::take(&mut self.sent) {
            let piece = match sent.what {
                What::Audio(chunk) => Piece::Audio(chunk),
                What::GivenUp(frames) => Piece::Gap(Lost { frames, reason: GapReason::Overflow }),
                What::Gap(lost) => Piece::Gap(lost),
            };
            gaps::join(&mut pieces, piece);
        }
        for piece in std::mem::take(&mut self.unsent) {
            gaps::join(&mut pieces, piece);
        }
        self.unsent = pieces;
        self.next = next;
        self.line = Some(Line { epoch, most: frames, end_sent: false });
        Ok(())
    }

    /// The call is broken. Numbers are kept: the recorder may still have written what was sent.
    pub const fn disconnected(&mut self) {
        self.line = None;
    }

    /// The recorder says that all frames before `durable` survive a power cut. Returns whether that was news.
    ///
    /// # Errors
    /// If these frames were never sent.
    pub fn acknowledged(&mut self, durable: Durable) -> Result<bool, UplinkError> {
        if durable.end() > self.next {
            return Err(UplinkError::NeverSent { durable, next: self.next });
        }
        let before = (self.bytes, self.sent.len());
        self.settle(durable.end());
        Ok(before != (self.bytes, self.sent.len()))
    }

    /// Drops what is durable: everything before frame `end`, and the gaps before a frame that is.
    fn settle(&mut self, end: Frame) {
        while let Some(mut sent) = self.sent.pop_front() {
            let done = end.since(sent.at);
            let rest = match sent.what {
                _ if done.is_zero() => Some(sent.what),
                What::Gap(_) => None,
                What::GivenUp(frames) => {
                    self.given_up = self.given_up - done.min(frames);
                    Some(frames - done).filter(|rest| !rest.is_zero()).map(What::GivenUp)
                }
                What::Audio(chunk) => {
                    let (durable, rest) = self.split(chunk, done);
                    self.bytes -= durable.pcm.len() as u64;
                    rest.map(What::Audio)
                }
            };
            if let Some(what) = rest {
                sent = Sent { at: sent.at.max(end), what };
                self.sent.push_front(sent);
                return;
            }
        }
    }

    /// The first `frames` frames of a chunk, and what is left.
    fn split(&self, mut chunk: Chunk, frames: FrameCount) -> (Chunk, Option<Chunk>) {
        let bytes = usize::try_from(self.spec.bytes(frames)).unwrap_or(usize::MAX);
        if bytes >= chunk.pcm.len() {
            return (chunk, None);
        }
        let rest = chunk.pcm.split_off(bytes);
        let time = chunk.time.after_frames(frames, self.spec);
        (chunk, Some(Chunk { time, pcm: rest }))
    }

    /// The next message, if the stream is open and there is one. Counts as sent from now on.
    pub fn next_to_send(&mut self) -> Option<Outgoing> {
        let line = self.line?;
        let (epoch, at) = (line.epoch, self.next);
        match self.unsent.pop_front() {
            Some(Piece::Audio(chunk)) => {
                let (chunk, rest) = self.split(chunk, line.most);
                if let Some(rest) = rest {
                    self.unsent.push_front(Piece::Audio(rest));
                }
                self.next = at + chunk.frames(self.spec);
                self.sent.push_back(Sent { at, what: What::Audio(chunk.clone()) });
                Some(Outgoing::Append { epoch, first: at, time: chunk.time, pcm: chunk.pcm })
            }
            Some(Piece::Gap(lost)) => {
                self.sent.push_back(Sent { at, what: What::Gap(lost) });
                Some(Outgoing::Gap { epoch, at, lost })
            }
            None if self.ending && !line.end_sent => {
                self.line = Some(Line { end_sent: true, ..line });
                Some(Outgoing::End { epoch, at })
            }
            None => None,
        }
    }

    /// Whether [`Uplink::next_to_send`] has something.
    pub fn has_to_send(&self) -> bool {
        self.line.is_some_and(|line| !self.unsent.is_empty() || (self.ending && !line.end_sent))
    }

    /// Whether an answer of the recorder is awaited.
    pub fn awaits_answer(&self) -> bool {
        self.bytes > 0 || self.line.is_some_and(|line| line.end_sent)
    }

    /// Whether all audio that was captured is durable (or was given up).
    pub const fn is_settled(&self) -> bool {
        self.bytes == 0
    }

    /// Takes in what was captured. At the limit, the oldest audio that is safe to give up is given up: what was sent
    /// to a recorder that still listens is on its way and is kept.
    ///
    /// # Errors
    /// If it is not whole frames.
    pub fn push(&mut self, chunk: Chunk) -> Result<(), UplinkError> {
        let bytes = chunk.pcm.len() as u64;
        let (frames, half) = self.spec.frames_in(bytes);
        if half > 0 {
            return Err(UplinkError::HalfFrame { bytes, spec: self.spec });
        }
        if frames.is_zero() {
            return Ok(());
        }
        self.captured = self.captured + frames;
        self.bytes += bytes;
        self.unsent.push_back(Piece::Audio(chunk));
        while self.bytes > self.limit && self.give_up_oldest() {}
        Ok(())
    }

    /// `lost` was not captured.
    pub fn gap(&mut self, lost: Lost) {
        self.missed = self.missed + lost.frames;
        gaps::join(&mut self.unsent, Piece::Gap(lost));
    }

    /// The source has ended by itself.
    pub const fn end(&mut self) {
        self.ending = true;
    }

    fn give_up_oldest(&mut self) -> bool {
        let given_up = if self.line.is_none() { self.give_up_sent() } else { None };
        let given_up = given_up.or_else(|| gaps::give_up_first(&mut self.unsent, self.spec));
        let Some(chunk) = given_up else { return false };
        self.bytes -= chunk.pcm.len() as u64;
        self.given_up = self.given_up + chunk.frames(self.spec);
        true
    }

    fn give_up_sent(&mut self) -> Option<Chunk> {
        let oldest = self.sent.iter_mut().find_map(|sent| match &sent.what {
            What::Audio(chunk) => Some((What::GivenUp(chunk.frames(self.spec)), &mut sent.what)),
            _ => None,
        });
        let (given_up, place) = oldest?;
        match std::mem::replace(place, given_up) {
            What::Audio(chunk) => Some(chunk),
            _ => None,
        }
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let (waiting, _) = self.spec.frames_in(self.bytes);
        Status {
            connected: self.line.is_some(),
            captured: self.captured,
            acknowledged: self.captured - self.given_up - waiting,
            given_up: self.given_up,
            missed: self.missed,
        }
    }
}

#[cfg(test)]
mod tests;
