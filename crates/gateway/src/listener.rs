//! A listener: a position and a tail. The same for live, shifted, growing and finished audio.
//!
//! It sends what lies between its position and the tail, waits where they meet, and ends where the recording does.
//! A clean end means "the end of the media" to players, so everything else that stops a listener is an error, by which
//! the connection is reset (`body`). Not here: who may hear what, and where to begin (`live`, `recording`).

use crate::audience::Attending;
use crate::context::Context;
use crate::edge::Pace;
use crate::encoded::Encoded;
use crate::icy::Icy;
use crate::library::{Block, ReadError};
use crate::metrics::Instruments;
use crate::representation::{Place, Slice};
use crate::tape::Tape;
use crate::wire::Outgoing;
use bytes::{BufMut, BytesMut};
use livetape_audio::{End, Frame, FrameCount, Spec, Tail, Title, View};
use livetape_store::{Query, Recording};
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Most bytes of one block, if it has to be in memory and if not.
const IN_MEMORY: u64 = 128 * 1024;
const FROM_DISK: u64 = Outgoing::MOST as u64;
/// How long the newest frames may take from the disk to the listeners when the gateway drains.
const LAST_READ: Duration = Duration::from_secs(1);
/// How often to look for the next recording of a stream.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why a body ends before its recording does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    #[error("the gateway is shutting down")]
    Draining,
    #[error("nothing new was recorded for {0:?}")]
    Silent(Duration),
    #[error("nobody tells how the recording goes on")]
    Abandoned,
    #[error("the recording was deleted")]
    Deleted,
    #[error("the recording goes on in one that is not there")]
    NoSuccessor,
    #[error("the stream goes on with another kind of audio")]
    OtherSpec,
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// One body in progress.
pub(crate) struct Listener {
    context: Arc<Context>,
    tape: Tape,
    /// What to send first; all there is, unless `follow` goes on.
    plan: VecDeque<Slice>,
    follow: Option<Follow>,
    /// What makes the bytes, if they are not those that were recorded.
    encoded: Option<Encoded>,
    /// Where titles go between the audio, if they do.
    icy: Option<Icy>,
    /// The title that a chain of Ogg streams told last, if titles are wanted in it.
    told: Option<Title>,
    /// Where what is planned ends for good.
    end: Option<Frame>,
    block: u64,
    silence: Silence,
}

/// Goes on from a position for as long as audio comes.
pub(crate) struct Follow {
    /// What to send next.
    pub(crate) place: Place,
    /// Where to end.
    pub(crate) end: End,
    /// Whether to go on in the next recording of the stream.
    pub(crate) live: bool,
    /// How soon to send what is new.
    pub(crate) pace: Pace,
}

/// Since when nothing came. One timer for all the waiting: to set one each time costs more than to send.
struct Silence {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

enum Found {
    Next(Box<Tape>),
    Nothing,
}

impl Silence {
    fn begin() -> Self {
        Self { since: Instant::now(), timer: Box::pin(sleep(Duration::ZERO)) }
    }

    /// Waits until it is so long.
    async fn lasts(&mut self, patience: Duration) {
        let over = self.since + patience;
        // The timer may have been set when there was less to wait for.
        if self.timer.is_elapsed() || self.timer.deadline() > over {
            self.timer.as_mut().reset(over);
        }
        loop {
            self.timer.as_mut().await;
            if Instant::now() >= over {
                return;
            }
            self.timer.as_mut().reset(over);
        }
    }
}

impl Listener {
    /// Sends `plan`, then follows. Blocks are larger if they need not be in memory.
    pub(crate) fn new(
        context: Arc<Context>,
        tape: Tape,
        plan: Vec<Slice>,
        follow: Option<Follow>,
        from_disk: bool,
    ) -> Self {
        let block = if from_disk { FROM_DISK } else { IN_MEMORY };
        let (encoded, icy, told, end) = (None, None, None, None);
        Self { context, tape, plan: plan.into(), follow, encoded, icy, told, end, block, silence: Silence::begin() }
    }

    /// The same, compressed. `end` is where the view ends, if that is settled.
    pub(crate) fn encoded(self, encoded: Option<Encoded>, end: Option<Frame>) -> Self {
        Self { encoded, end, ..self }
    }

    /// The same, with titles: between the audio, or in links of a chain after this one.
    pub(crate) fn with_titles(self, icy: Option<Icy>, told: Option<Title>) -> Self {
        Self { icy, told, ..self }
    }

    /// Counts it as a listener of its stream.
    pub(crate) fn attend(&self) -> Attending {
        self.context.audience.attend(&self.tape.recording.stream)
    }

    pub(crate) fn instruments(&self) -> &Instruments {
        &self.context.instruments
    }

    /// The next bytes; `None` at the true end.
    pub(crate) async fn next(&mut self) -> Result<Option<Block>, Stop> {
        while let Some(slice) = self.plan.pop_front() {
            match slice {
                Slice::Bytes(bytes) if bytes.is_empty() => {}
                Slice::Bytes(bytes) => return Ok(Some(Block::Memory(bytes))),
                Slice::Frames { first, skip, len } => return self.recorded(first, skip, len).await.map(Some),
                Slice::Encoded { at, len } => return self.compressed(at, len).await.map(Some),
            }
        }
        match self.follow.take() {
            Some(mut follow) => {
                let bytes = self.follow(&mut follow).await;
                self.follow = Some(follow);
                bytes
            }
            None => Ok(None),
        }
    }

    /// The first of `len` bytes of recorded audio; the rest is put back on the plan.
    async fn recorded(&mut self, first: Frame, skip: usize, len: u64) -> Result<Block, Stop> {
        self.is_there()?;
        let size = u64::from(self.spec().frame_bytes());
        let frames = FrameCount::new((skip as u64).saturating_add(len).div_ceil(size));
        let block = self.read(first..first + frames).await?;
        let (got, _) = self.spec().frames_in(block.len() as u64);
        let block = block.slice(skip..skip.saturating_add(usize::try_from(len).unwrap_or(usize::MAX)));
        let left = len - block.len() as u64;
        if left > 0 {
            self.plan.push_front(Slice::Frames { first: first + got, skip: 0, len: left });
        }
        Ok(block)
    }

    /// The first of `len` bytes of compressed audio; the rest is put back on the plan.
    async fn compressed(&mut self, at: u64, len: u64) -> Result<Block, Stop> {
        self.is_there()?;
        let encoded = self.encoded.as_mut().ok_or_else(nothing_encodes)?;
        let end = at.saturating_add(len);
        let (bytes, next) = encoded.read(&self.context.blocks, &mut self.tape, at..end, self.end).await?;
        if next < end {
            self.plan.push_front(Slice::Encoded { at: next, len: end - next });
        }
        Ok(Block::Memory(bytes))
    }

    fn is_there(&self) -> Result<(), Stop> {
        let there = self.context.library.catalogue().get(self.tape.recording.id).is_some();
        if there { Ok(()) } else { Err(Stop::Deleted) }
    }

    /// The next bytes from the position on, as soon as there are any.
    async fn follow(&mut self, follow: &mut Follow) -> Result<Option<Block>, Stop> {
        loop {
            let tail = self.tape.tail.current();
            let (end, is_final) = self.limit(follow, &tail).await?;
            if let Some(block) = self.more(&mut follow.place, &tail, end, is_final).await? {
                self.silence.since = Instant::now();
                return Ok(Some(block));
            }
            if !is_final {
                self.wait(tail.end, follow.live).await?;
                continue;
            }
            if !follow.live {
                return Ok(None);
            }
            match self.successor(&tail, follow.pace).await? {
                Found::Nothing => return Ok(None),
                Found::Next(tape) => {
                    self.tape = *tape;
                    (follow.place, follow.end) = (Place::Recorded(Frame::ZERO, 0), End::Open);
                    if let Some(encoded) = &mut self.encoded {
                        let title = match encoded.tells_titles() {
                            true => {
                                let (recording, tail) = (self.tape.recording.clone(), self.tape.tail.current());
                                title_at(&self.context, recording, tail, Frame::ZERO).await
                            }
                            false => None,
                        };
                        if self.told.is_some() && title.is_some() {
                            self.told.clone_from(&title);
                        }
                        let header = encoded.go_on(self.tape.recording.id, title.as_ref()).ok_or(Stop::OtherSpec)?;
                        follow.place = Place::Encoded(0);
                        if !header.is_empty() {
                            return Ok(Some(Block::Memory(header)));
                        }
                    }
                }
            }
        }
    }

    /// What there is from a place on, which is moved behind it.
    async fn more(
        &mut self,
        place: &mut Place,
        tail: &Tail,
        end: Frame,
        is_final: bool,
    ) -> Result<Option<Block>, Stop> {
        match place {
            Place::Recorded(pos, skip) if *pos < end => {
                let block = self.read(*pos..end).await?;
                let (got, _) = self.spec().frames_in(block.len() as u64);
                *pos = *pos + got;
                Ok(Some(block.slice(std::mem::take(skip)..usize::MAX)))
            }
            Place::Encoded(at) => {
                let encoded = self.encoded.as_mut().ok_or_else(nothing_encodes)?;
                let there = encoded.available(end, is_final);
                if *at >= there {
                    return Ok(None);
                }
                let last = is_final.then_some(end);
                let mut there = there;
                if let Some(told) = &mut self.told {
                    let timeline = self.context.library.timeline(self.tape.recording.clone(), *tail).await;
                    // No audio waits for a title.
                    let title = |frame| Some(timeline.as_ref().ok()?.title_at(frame).cloned().unwrap_or_default());
                    if encoded.is_closed(*at) {
                        *told = title(encoded.frame_at(*at)).unwrap_or_else(|| told.clone());
                        let link = encoded.link(&self.context.blocks, &mut self.tape, *at, last, told).await?;
                        return Ok(Some(Block::Memory(link)));
                    }
                    // A link ends with the last page before which the title changes.
                    there = there.min(encoded.block_end(*at));
                    let mut page = encoded.page_end(*at);
                    while let Some(end) = page.filter(|end| *end <= there) {
                        if title(encoded.frame_at(end)).is_some_and(|title| title != *told) {
                            encoded.close(end);
                            there = end;
                            break;
                        }
                        page = encoded.page_end(end);
                    }
                }
                let (there, is_due) = match &self.icy {
                    Some(icy) => (there.min(at.saturating_add(icy.room())), icy.is_due()),
                    None => (there, false),
                };
                let title = match is_due {
                    true => {
                        let recording = self.tape.recording.clone();
                        title_at(&self.context, recording, *tail, encoded.frame_at(*at)).await
                    }
                    false => None,
                };
                let (mut bytes, next) = encoded.read(&self.context.blocks, &mut self.tape, *at..there, last).await?;
                if let Some(icy) = &mut self.icy {
                    if is_due {
                        let mut both = BytesMut::from(icy.block(title));
                        both.put(bytes);
                        bytes = both.freeze();
                    }
                    icy.sent(next - *at);
                }
                *at = next;
                Ok(Some(Block::Memory(bytes)))
            }
            Place::Recorded(..) => Ok(None),
        }
    }

    /// Up to where there is something to send, and whether nothing can come after it.
    async fn limit(&mut self, follow: &mut Follow, tail: &Tail) -> Result<(Frame, bool), Stop> {
        if let End::AtTime(_) = follow.end {
            let timeline = self.context.library.timeline(self.tape.recording.clone(), *tail).await?;
            let first = match follow.place {
                Place::Recorded(pos, _) => pos,
                Place::Encoded(_) => Frame::ZERO,
            };
            let view = View { first, end: follow.end };
            if let Some(end) = view.known_end(&timeline, tail) {
                follow.end = End::At(end);
            }
        }
        Ok(match follow.end {
            End::At(end) => (end.min(tail.end), end <= tail.end || tail.is_sealed()),
            End::Open | End::AtTime(_) => (tail.end, tail.is_sealed()),
        })
    }

    /// Until the tail moves.
    async fn wait(&mut self, at: Frame, live: bool) -> Result<(), Stop> {
        let limits = &self.context.limits;
        let patience = if live { limits.live_silence } else { limits.growing_silence };
        tokio::select! {
            newer = self.tape.tail.changed() => if newer { Ok(()) } else { Err(Stop::Abandoned) },
            () = self.context.drain.cancelled() => self.last_frames(at).await,
            () = self.silence.lasts(patience) => Err(Stop::Silent(patience)),
        }
    }

    /// What was recorded before the gateway began to drain is still heard, even if it is only just being read.
    async fn last_frames(&mut self, at: Frame) -> Result<(), Stop> {
        let told = self.context.library.tail(self.tape.recording.id).map_or(at, |mut tail| tail.current().end);
        let arrives = async { while self.tape.tail.current().end < told && self.tape.tail.changed().await {} };
        if at < told && tokio::time::timeout(LAST_READ, arrives).await.is_ok() { Ok(()) } else { Err(Stop::Draining) }
    }

    /// The recording that goes on after a sealed one: the one it names, or else one that begins soon.
    async fn successor(&mut self, tail: &Tail, pace: Pace) -> Result<Found, Stop> {
        let deadline = Instant::now() + self.context.limits.successor;
        loop {
            let library = &*self.context.library;
            let next = match tail.next {
                Some(id) => library.catalogue().get(id),
                None => newer(library, &self.tape.recording),
            };
            if let Some(next) = next {
                if next.spec != self.spec() {
                    return Err(Stop::OtherSpec);
                }
                if let Some(tape) = Tape::follow(library, &self.context.edges, next, pace) {
                    return Ok(Found::Next(Box::new(tape)));
                }
            }
            tokio::select! {
                () = self.context.drain.cancelled() => return Err(Stop::Draining),
                () = sleep_until(deadline) => {
                    return if tail.next.is_some() { Err(Stop::NoSuccessor) } else { Ok(Found::Nothing) };
                }
                () = sleep(LOOK_AGAIN) => {}
            }
        }
    }

    async fn read(&mut self, frames: Range<Frame>) -> Result<Block, Stop> {
        let (most, _) = self.spec().frames_in(self.block);
        let end = frames.end.min(frames.start + most);
        Ok(self.tape.read(frames.start..end).await?)
    }

    fn spec(&self) -> Spec {
        self.tape.recording.spec
    }
}

fn nothing_encodes() -> ReadError {
    ReadError::new("compressed audio", "there is no encoder".into())
}

/// What was playing when a frame was recorded; `None` if that cannot be told now, for which no audio waits longer.
pub(crate) async fn title_at(context: &Context, recording: Arc<Recording>, tail: Tail, frame: Frame) -> Option<Title> {
    match context.library.timeline(recording, tail).await {
        Ok(timeline) => Some(timeline.title_at(frame).cloned().unwrap_or_default()),
        Err(error) => {
            tracing::debug!(%error, "a title is not told");
            None
        }
    }
}

/// The recording of the same stream after this one.
fn newer(library: &dyn crate::library::Library, recording: &Recording) -> Option<Arc<Recording>> {
    let query =
        Query { stream: Some(recording.stream.clone()), from: None, to: None, after: Some(recording.id), limit: 1 };
    library.catalogue().list(&query).recordings.into_iter().next()
}
