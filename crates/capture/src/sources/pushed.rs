//! Audio that others send, by connections that come and go: one after another on one stream, in the shape of the first.
//!
//! The pace is that of whoever sends, and a frame's time of day is when it arrived; who sends faster than it sounds is held
//! back. While nobody is connected, nothing comes; whoever comes back goes on after a gap. Whether the end of a connection is
//! the end of the source, its sender says.

use super::decoding::{Decoding, Said};
use super::feed::Feeding;
use super::pace::{Pace, Waiting};
use super::pieces::Pieces;
use super::{Chunk, Lost, Piece, Source, SourceError};
use crate::clock::{CaptureClock, Reading};
use bytes::{Bytes, BytesMut};
use livetape_audio::{Frame, GapReason, Spec, Title};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::DropGuard;

/// Audio that may wait here, in seconds. A full buffer holds the sender back.
const BUFFER_SECONDS: u64 = 2;

/// A connection whose audio is known by now.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) decoding: Decoding,
    pub(crate) feeding: Arc<Feeding>,
    /// What plays at its beginning.
    pub(crate) title: Option<Title>,
    /// Dropped when all of its audio was taken.
    pub(crate) _taken: DropGuard,
}

/// Those who send, as a source.
#[derive(Debug)]
pub(crate) struct Pushed {
    spec: Spec,
    arrivals: mpsc::Receiver<Arrival>,
    /// Whether a sender that says so ends the source.
    may_end: bool,
    current: Option<Arrival>,
    /// Nothing more comes of the current one.
    ended: bool,
    /// Audio before `title`.
    buffer: BytesMut,
    title: Option<Title>,
    pieces: Pieces,
    pace: Pace,
    clock: CaptureClock,
    /// Since when nobody was there, if somebody was before.
    away: Option<Instant>,
    idle: watch::Sender<bool>,
}

impl Pushed {
    /// A source of the shape `spec` for whoever comes.
    pub(crate) fn new(spec: Spec, arrivals: mpsc::Receiver<Arrival>, may_end: bool) -> Self {
        Self {
            spec,
            arrivals,
            may_end,
            current: None,
            ended: false,
            buffer: BytesMut::new(),
            title: None,
            pieces: Pieces::new(spec),
            pace: Pace::default(),
            clock: CaptureClock::new(Reading::now()),
            away: None,
            idle: watch::Sender::new(false),
        }
    }

    /// Whether it waits for somebody to come.
    pub(crate) fn idle(&self) -> watch::Receiver<bool> {
        self.idle.subscribe()
    }

    fn capacity(&self) -> usize {
        usize::try_from(self.spec.byte_rate() * BUFFER_SECONDS).unwrap_or(usize::MAX)
    }

    /// Bytes of the next piece, when they are all here. What comes before a title or an end may be shorter.
    fn ready(&self) -> Option<usize> {
        let whole = usize::try_from(self.spec.bytes(self.pieces.next())).unwrap_or(usize::MAX);
        let here = self.buffer.len();
        let all = self.title.is_some() || self.ended;
        if here >= whole { Some(whole) } else { Some(here).filter(|&n| all && n > 0) }
    }

    /// Somebody has come. What was missed since somebody was there.
    fn arrive(&mut self, mut arrival: Arrival) -> Option<Piece> {
        self.idle.send_replace(false);
        // What the one before played is over.
        let over = self.away.is_some().then(Title::default);
        self.title = arrival.title.take().or(over);
        (self.current, self.ended, self.pace) = (Some(arrival), false, Pace::default());
        let missed = self.away.take().map(|since| Instant::now().saturating_duration_since(since));
        let frames = missed.map(|missed| self.spec.frames(missed)).filter(|frames| !frames.is_zero())?;
        Some(Piece::Gap(Lost { frames, reason: GapReason::SourceRestarted }))
    }

    fn take_in(&mut self, said: Option<Said>) {
        let waited = self.ready().is_none();
        match said {
            Some(Said::Audio(audio)) => self.buffer.extend_from_slice(&audio),
            Some(Said::Title(title)) => self.title = Some(title),
            // Its shape is this one's already.
            Some(Said::Begins { .. }) => {}
            Some(Said::Ends(outcome)) => {
                if let Some(why) = &outcome.error {
                    tracing::info!(length = ?outcome.position, "what was sent has ended: {why}");
                }
                if outcome.damaged > 0 {
                    tracing::warn!(packets = outcome.damaged, "parts of what was sent are damaged and were left out");
                }
                self.ended = true;
            }
            None => {
                tracing::error!("the decoder failed, which is a bug");
                self.ended = true;
            }
        }
        if waited && self.ready().is_some() {
            self.pace.arrived(Instant::now(), self.spec.duration(self.pieces.next()));
        }
    }

    /// All of the current one was taken. Whether the source is over.
    fn leave(&mut self) -> bool {
        let complete = self.current.take().is_some_and(|gone| gone.feeding.is_complete());
        self.away = Some(self.pace.due().map_or_else(Instant::now, |due| due.min(Instant::now())));
        self.ended = false;
        complete && self.may_end
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
        let pcm = Bytes::copy_from_slice(&self.buffer.split_to(bytes.min(self.buffer.len())));
        let length = self.spec.duration(self.spec.frames_in(pcm.len() as u64).0);
        self.pieces.advance();
        let due = self.pace.taken(now.mono, self.spec.duration(self.pieces.next()), waiting);
        Chunk { time: self.clock.at(due.checked_sub(length).unwrap_or(due)), pcm }
    }
}

impl Source for Pushed {
    fn spec(&self) -> Spec {
        self.spec
    }

    fn begin(&mut self, _next: Frame) {
        self.clock = CaptureClock::new(Reading::now());
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        loop {
            let ready = self.ready();
            if ready.is_none() {
                if let Some(title) = self.title.take() {
                    return Ok(Some(Piece::Title(title)));
                }
                if self.ended && self.leave() {
                    return Ok(None);
                }
            }
            let room = !self.ended && self.title.is_none() && self.buffer.len() < self.capacity();
            let due = self.pace.due().unwrap_or_else(Instant::now);
            let Some(current) = &mut self.current else {
                self.idle.send_replace(true);
                let Some(arrival) = self.arrivals.recv().await else { return std::future::pending().await };
                match self.arrive(arrival) {
                    Some(gap) => return Ok(Some(gap)),
                    None => continue,
                }
            };
            tokio::select! {
                biased;
                () = sleep_until(due), if ready.is_some() => {
                    return Ok(Some(Piece::Audio(self.take(ready.unwrap_or_default()))));
                }
                said = current.decoding.next(), if room => self.take_in(said),
            }
        }
    }
}
