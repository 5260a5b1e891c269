//! The ingest decision: does a message fit the recording, and what does it mean for the timeline?
//!
//! A state machine without IO and without a clock. It is told what came in and answers what to do; the stream's
//! task does it. Not here: sessions, files, acknowledgements.

mod message;
mod titles;

pub use message::{Decision, Message, Refusal};

use livetape_audio::{
    Anchor, Durable, Entry, Epoch, Event, EventKind, Frame, FrameCount, Gap, GapReason, Instance, SealReason,
    SourceChange, SourceName, Spec, Timeline, Title, WallTime,
};
use std::time::Duration;
use titles::Titles;

/// Time of day and frames disagree by this much: a new anchor. Half of what a listener may be off.
const DRIFT: Duration = Duration::from_millis(10);
/// By this much: the clock was set, which is an event too.
const STEP: Duration = Duration::from_secs(1);
/// Anchors keep a distance, which doubles while the clock trembles: no source can flood the timeline.
const ANCHOR_DISTANCE: Duration = Duration::from_millis(200);
/// The largest such distance.
const MAX_ANCHOR_DISTANCE: Duration = Duration::from_secs(10);
/// A recording stays below this size, whatever else is configured.
const MAX_BYTES: u64 = 1 << 39;

#[derive(Clone, Copy, Debug)]
struct PendingGap {
    lost: Option<FrameCount>,
    reason: GapReason,
}

/// What is known about the open recording of a stream.
#[derive(Clone, Debug)]
pub struct Ingest {
    spec: Spec,
    roll_after: FrameCount,
    epoch: Epoch,
    /// Who holds the epoch.
    source: (Instance, SourceName),
    next: Frame,
    /// Who wrote the frame before the next one, here or in the recording before.
    writer: Option<Instance>,
    /// Whether the timeline of this recording says so.
    is_named: bool,
    /// When the first frame is due, if this recording goes on where another ended.
    due: Option<WallTime>,
    /// Where the recording stood before its first frame.
    start: Position,
    /// A call's number of a frame minus the recording's: not zero after a roll.
    offset: FrameCount,
    anchor: Option<Anchor>,
    anchor_distance: Duration,
    gap: Option<PendingGap>,
    titles: Titles,
    /// The midnight at which the recording rolls, once it is long enough to.
    midnight: Option<WallTime>,
}

/// Where a recording stands when the state machine begins or goes back.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// The next frame.
    pub next: Frame,
    /// The last anchor of the timeline.
    pub anchor: Option<Anchor>,
    /// Who wrote the frame before the next one.
    pub writer: Option<Instance>,
    /// When the next frame is due. In an empty recording only if it goes on where another ended.
    pub due: Option<WallTime>,
    /// What is playing.
    pub title: Title,
}

impl Position {
    /// The position at the end of what is durable.
    pub fn of(timeline: &Timeline, durable: Durable) -> Self {
        let next = durable.end();
        let writer = timeline.writer_before(next).map(|source| source.instance);
        let title = timeline.title_at(next).cloned().unwrap_or_default();
        Self { next, anchor: timeline.last_anchor(), writer, due: timeline.time_of(next), title }
    }

    /// The beginning of a recording that goes on where this one ends.
    #[must_use]
    pub fn continued(self) -> Self {
        Self { next: Frame::ZERO, anchor: None, ..self }
    }
}

impl Ingest {
    /// State of a recording that stands at `position` and that `source` opened last, as `epoch`.
    pub fn new(
        spec: Spec,
        roll_after: Duration,
        epoch: Epoch,
        source: (Instance, SourceName),
        position: Position,
    ) -> Self {
        // At least one frame, or a recording that begins at midnight would roll for ever.
        let roll_after = spec.frames(roll_after).max(FrameCount::new(1));
        let mut new = Self {
            spec,
            roll_after,
            epoch,
            source,
            next: Frame::ZERO,
            writer: None,
            is_named: false,
            due: None,
            start: Position::default(),
            offset: FrameCount::ZERO,
            anchor: None,
            anchor_distance: ANCHOR_DISTANCE,
            gap: None,
            titles: Titles::default(),
            midnight: None,
        };
        new.stand_at(position);
        new
    }

    fn stand_at(&mut self, position: Position) {
        let Position { next, anchor, writer, due, title } = position;
        (self.next, self.anchor, self.writer, self.due) = (next, anchor, writer, due);
        self.is_named = anchor.is_some();
        self.titles = Titles::new(title, self.is_named);
        self.midnight = None;
        self.ripen();
    }

    /// The next frame, in the recording's numbers.
    pub const fn next(&self) -> Frame {
        self.next
    }

    /// The epoch that may write.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A frame of the recording in the numbers of the call.
    pub fn in_call(&self, frame: Frame) -> Frame {
        frame + self.offset
    }

    /// A source opens the recording as `epoch`. Gaps that it announced before and that no frame followed, it announces
    /// again.
    pub fn opened(&mut self, epoch: Epoch, source: (Instance, SourceName)) {
        self.gap = None;
        self.epoch = epoch;
        if source.0 != self.source.0 {
            // What the source before has said is over.
            self.titles.say(Title::default());
        }
        self.source = source;
        self.offset = FrameCount::ZERO;
    }

    /// The recording goes on in a new one, in the same call. A gap that waits for its frame goes with it.
    pub fn rolled(&mut self) {
        self.offset = self.offset + self.next.since(Frame::ZERO);
        self.goes_on_after(self.position(), self.holder());
    }

    /// This recording, still empty, goes on where another one ended that `holder` opened last.
    pub fn goes_on_after(&mut self, before: Position, holder: Instance) {
        self.start = before.continued();
        if holder != self.holder() {
            // What the source before has said is over.
            self.start.title = Title::default();
        }
        self.stand_at(self.start.clone());
    }

    /// Where the recording stands.
    pub fn position(&self) -> Position {
        let due = self.anchor.map(|anchor| time_of(anchor, self.next, self.spec)).or(self.due);
        let title = self.titles.playing().clone();
        Position { next: self.next, anchor: self.anchor, writer: self.writer, due, title }
    }

    /// What was not durable could not be kept. The source has to open again.
    pub fn rewound(&mut self, position: Position) {
        self.gap = None;
        self.stand_at(if position.next == Frame::ZERO { self.start.clone() } else { position });
    }

    /// Who holds the epoch.
    pub const fn holder(&self) -> Instance {
        self.source.0
    }

    /// The epoch may have been given out, although nobody holds it.
    pub const fn skip_to(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Decides about a message and takes the decision as carried out.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn decide(&mut self, message: Message, now: WallTime) -> Result<Decision, Refusal> {
        match message {
            Message::Append { epoch, first, bytes, captured } => {
                self.check_epoch(epoch)?;
                self.append(first, bytes, captured, now)
            }
            Message::Gap { epoch, at, lost, reason } => {
                self.check_epoch(epoch)?;
                self.check_next(at)?;
                self.gap = Some(merged(self.gap, PendingGap { lost, reason }));
                Ok(Decision::Nothing)
            }
            Message::Title { epoch, at, title } => {
                self.check_epoch(epoch)?;
                match self.check_next(at) {
                    // Said of frames that are recorded: a repetition.
                    Err(Refusal::Past { .. }) => {}
                    fits => fits.map(|()| self.titles.say(title))?,
                }
                Ok(Decision::Nothing)
            }
            Message::End { epoch, at } => {
                self.check_epoch(epoch)?;
                self.check_next(at)?;
                Ok(Decision::Seal)
            }
        }
    }

    /// Somebody says what is playing from the next frame on, until the source says something else.
    pub fn entitle(&mut self, title: Title) {
        self.titles.say(title);
    }

    fn check_epoch(&self, got: Epoch) -> Result<(), Refusal> {
        let current = self.epoch;
        match got.cmp(&current) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(Refusal::OldEpoch { got, current }),
            std::cmp::Ordering::Greater => Err(Refusal::UnknownEpoch { got, current }),
        }
    }

    fn check_next(&self, got: Frame) -> Result<(), Refusal> {
        let next = self.in_call(self.next);
        match got.cmp(&next) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(Refusal::Past { got, next }),
            std::cmp::Ordering::Greater => Err(Refusal::Hole { got, next }),
        }
    }

    fn append(&mut self, first: Frame, bytes: u64, captured: WallTime, now: WallTime) -> Result<Decision, Refusal> {
        let (frames, rest) = self.spec.frames_in(bytes);
        if rest > 0 {
            return Err(Refusal::HalfFrame { bytes, frame_bytes: self.spec.frame_bytes() });
        }
        let next = self.in_call(self.next);
        if first > next {
            return Err(Refusal::Hole { got: first, next });
        }
        let skip = next.since(first);
        if skip >= frames {
            return Ok(Decision::Nothing);
        }
        let time = captured.after_frames(skip, self.spec);
        if self.is_over(time) {
            // What is said about this frame belongs to the recording that it begins.
            let (entries, skip, take) = (Vec::new(), skip, FrameCount::ZERO);
            return Ok(Decision::Write { entries, skip, take, time, then: Some(SealReason::Rolled) });
        }
        let entries = self.entries(time, now);
        let (take, then) = self.until_roll(frames - skip);
        self.next = self.next + take;
        self.ripen();
        Ok(Decision::Write { entries, skip, take, time, then })
    }

    /// Whether a frame that was captured at `time` comes after the midnight at which the recording rolls.
    fn is_over(&self, time: WallTime) -> bool {
        self.midnight.is_some_and(|midnight| time >= midnight)
    }

    /// What the timeline has to say before the next frame, which was captured at `time`.
    fn entries(&mut self, time: WallTime, now: WallTime) -> Vec<Entry> {
        let (frame, (instance, source)) = (self.next, self.source.clone());
        let is_new = self.writer.replace(instance) != Some(instance);
        let mut entries = Vec::new();
        if is_new || !self.is_named {
            entries.push(Entry::Source(SourceChange { frame, source, instance }));
            self.is_named = true;
        }
        // Nobody says what lies between the frames of two sources, or of two lives of one.
        let unsaid = PendingGap { lost: None, reason: GapReason::SourceRestarted };
        let gap = self.gap.take().or_else(|| is_new.then_some(unsaid));
        entries.extend(self.time_entries(gap, time, now));
        entries.extend(self.titles.entry(frame, self.spec));
        entries
    }

    fn time_entries(&mut self, gap: Option<PendingGap>, time: WallTime, now: WallTime) -> Vec<Entry> {
        let due = self.position().due;
        let anchor = Anchor { frame: self.next, time };
        let last = self.anchor.replace(anchor);
        // Nothing is missing before the first frame of all.
        if let (Some(PendingGap { lost, reason }), Some(from)) = (gap, due) {
            return vec![Entry::Gap(Gap { at: self.next, lost, from, to: time, reason })];
        }
        let (Some(last), Some(due)) = (last, due) else { return vec![Entry::Anchor(anchor)] };
        let (off, since) = (time.distance(due), self.spec.duration(self.next.since(last.frame)));
        if off < DRIFT || since < self.anchor_distance {
            self.anchor = Some(last);
            return Vec::new();
        }
        let trembles = since < self.anchor_distance * 10;
        self.anchor_distance =
            if trembles { (self.anchor_distance * 2).min(MAX_ANCHOR_DISTANCE) } else { ANCHOR_DISTANCE };
        let step = (off >= STEP).then(|| {
            let detail = format!("the time of day went from {due} to {time}");
            Entry::Event(Event { frame: self.next, time: now, kind: EventKind::ClockStep, detail })
        });
        step.into_iter().chain([Entry::Anchor(anchor)]).collect()
    }

    /// How many of the coming frames still belong to this recording, and why it ends after them, if it does.
    fn until_roll(&self, coming: FrameCount) -> (FrameCount, Option<SealReason>) {
        let (most, _) = self.spec.frames_in(MAX_BYTES);
        let room = Frame::ZERO + most;
        let (end, reason) = match self.roll_frame() {
            Some(midnight) if midnight < room => (midnight, SealReason::Rolled),
            _ => (room, SealReason::SizeLimit),
        };
        let left = end.since(self.next);
        if left > coming { (coming, None) } else { (left, Some(reason)) }
    }

    /// The frame before which the recording rolls, as far as the last anchor tells.
    fn roll_frame(&self) -> Option<Frame> {
        let anchor = self.anchor?;
        let from = match self.midnight {
            Some(_) => self.next,
            None => (Frame::ZERO + self.roll_after).max(self.next),
        };
        let midnight = self.midnight.unwrap_or_else(|| midnight_after(anchor, from, self.spec));
        Some(from + time_of(anchor, from, self.spec).frames_until(midnight, self.spec))
    }

    /// Fixes the midnight as soon as the recording is long enough: a gap or a clock step over it does not skip it.
    fn ripen(&mut self) {
        if let (None, Some(anchor)) = (self.midnight, self.anchor)
            && self.next.since(Frame::ZERO) >= self.roll_after
        {
            self.midnight = Some(midnight_after(anchor, self.next, self.spec));
        }
    }
}

fn time_of(anchor: Anchor, frame: Frame, spec: Spec) -> WallTime {
    anchor.time.after_frames(frame.since(anchor.frame), spec)
}

/// The first 00:00 UTC at or after the frame.
fn midnight_after(anchor: Anchor, frame: Frame, spec: Spec) -> WallTime {
    time_of(anchor, frame, spec).earlier(Duration::from_nanos(1)).next_midnight()
}

fn merged(before: Option<PendingGap>, new: PendingGap) -> PendingGap {
    let Some(old) = before else { return new };
    let lost = old.lost.zip(new.lost).map(|(a, b)| a + b);
    let reason = match (old.reason, new.reason) {
        (a, b) if a == b => a,
        // Whatever else the process before has said may be a repetition: the one after it cannot know what is recorded.
        (GapReason::SourceRestarted, _) | (_, GapReason::SourceRestarted) => GapReason::SourceRestarted,
        _ => GapReason::Other,
    };
    PendingGap { lost, reason }
}

#[cfg(test)]
mod tests;
