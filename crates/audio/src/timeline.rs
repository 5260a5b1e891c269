//! Time of day and everything else that is said about frames: anchors, gaps, titles, marks, events.
//!
//! The map from frame to time of day is piecewise linear: from each anchor it runs forward at the nominal
//! rate until the next anchor. Entries are only appended, and anchors only at or after the tail, so a time
//! that was once resolved never resolves differently. When the clock was set back and a time of day came
//! twice, its first occurrence is meant. A gap takes no frame numbers; it is an entry, and an anchor after it.

use crate::name::{Instance, SourceName, Title};
use crate::position::{Frame, FrameCount};
use crate::spec::Spec;
use crate::time::WallTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The frame `frame` begins at `time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Anchor {
    /// First frame of the piece.
    pub frame: Frame,
    /// When that frame was captured.
    pub time: WallTime,
}

/// Missing audio between frame `at - 1` and frame `at`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// First frame after the gap.
    pub at: Frame,
    /// How many frames are missing, where that is known.
    pub lost: Option<FrameCount>,
    /// When the frame that would have been next was due.
    pub from: WallTime,
    /// When frame `at` was captured.
    pub to: WallTime,
    /// Why.
    pub reason: GapReason,
}

/// Why audio is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The source was away and came back without what it captured meanwhile.
    SourceRestarted,
    /// The capture device was read too late.
    Xrun,
    /// The source held as much unacknowledged audio as it may and gave up the oldest.
    Overflow,
    /// The capture device was away: unplugged, switched off, taken by another program.
    DeviceAway,
    /// The capture device began to work in another way, or another one took its place.
    DeviceChanged,
    /// The machine slept.
    Suspended,
    /// Several of these in one place, none of them a restart, or something that the source did not name.
    Other,
}

impl GapReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::SourceRestarted,
        Self::Xrun,
        Self::Overflow,
        Self::DeviceAway,
        Self::DeviceChanged,
        Self::Suspended,
        Self::Other,
    ];

    /// Name as in JSON and on disk.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceRestarted => "source_restarted",
            Self::Xrun => "xrun",
            Self::Overflow => "overflow",
            Self::DeviceAway => "device_away",
            Self::DeviceChanged => "device_changed",
            Self::Suspended => "suspended",
            Self::Other => "other",
        }
    }
}

/// What is playing from `frame` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TitleChange {
    /// First frame to which it applies.
    pub frame: Frame,
    /// The title; empty for none.
    pub title: Title,
}

/// A place that somebody wants to find again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// The place.
    pub frame: Frame,
    /// What is there.
    pub text: Title,
}

/// From `frame` on, frames come from this source.
///
/// It is durable together with those frames, so it tells whose they are even after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceChange {
    /// The first of them.
    pub frame: Frame,
    /// Who, for people.
    pub source: SourceName,
    /// Which run of it.
    pub instance: Instance,
}

/// Something that happened while `frame` was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The frame that came next.
    pub frame: Frame,
    /// When, by the recorder's clock.
    pub time: WallTime,
    /// What.
    pub kind: EventKind,
    /// For people.
    pub detail: String,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The time of day jumped against the frames.
    ClockStep,
    /// After a crash, what was not proven durable was cut.
    Recovered,
    /// An older recording of the stream was removed because of its age or for want of room.
    Retention,
    /// Somebody began to push audio.
    Published,
    /// Somebody did something to the recording, took a file of it, or deleted an older one of the stream.
    Operated,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::ClockStep, Self::Recovered, Self::Retention, Self::Published, Self::Operated];

    /// Name as in JSON and on disk.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClockStep => "clock_step",
            Self::Recovered => "recovered",
            Self::Retention => "retention",
            Self::Published => "published",
            Self::Operated => "operated",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Entry {
    /// A frame with its time of day.
    Anchor(Anchor),
    /// Missing audio; also an anchor.
    Gap(Gap),
    /// Another source.
    Source(SourceChange),
    /// A title.
    Title(TitleChange),
    /// A mark.
    Mark(Mark),
    /// An event.
    Event(Event),
}

impl Entry {
    /// The frame at which the entry stands.
    pub const fn frame(&self) -> Frame {
        match self {
            Self::Anchor(a) => a.frame,
            Self::Gap(g) => g.at,
            Self::Source(s) => s.frame,
            Self::Title(t) => t.frame,
            Self::Mark(m) => m.frame,
            Self::Event(e) => e.frame,
        }
    }

    /// Whether the entry stands when the recording ends at `end`, as after a crash. Anchors, gaps and sources speak of the frame
    /// at which they stand: while that frame is not there, its source will say it again.
    pub fn stands_before(&self, end: Frame) -> bool {
        match self {
            Self::Anchor(_) | Self::Gap(_) | Self::Source(_) => self.frame() < end,
            Self::Title(_) | Self::Mark(_) | Self::Event(_) => self.frame() <= end,
        }
    }
}

/// Why an entry was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// Anchors and gaps are appended in the order of their frames.
    #[error("an anchor or a gap at frame {at} comes after one at frame {last}")]
    Backwards {
        /// Frame of the refused entry.
        at: Frame,
        /// Frame of the last anchor.
        last: Frame,
    },
}

/// Where a time of day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// The first recorded frame at or after that time.
    At(Frame),
    /// After the last recorded frame.
    Beyond,
}

/// All entries of one recording, in the order of their coming, and the map that the anchors make.
#[derive(Clone, Debug)]
pub struct Timeline {
    spec: Spec,
    entries: Vec<Entry>,
    anchors: Vec<Anchor>,
    /// `closed[k]`: the latest time of day before anchor `k + 1`. Rises, so it can be searched.
    closed: Vec<WallTime>,
}

impl Timeline {
    /// An empty timeline.
    pub const fn new(spec: Spec) -> Self {
        Self { spec, entries: Vec::new(), anchors: Vec::new(), closed: Vec::new() }
    }

    /// Appends an entry. Refuses anchors and gaps that stand before the last one; the timeline is unchanged then.
    pub fn push(&mut self, entry: Entry) -> Result<(), TimelineError> {
        match &entry {
            Entry::Anchor(a) => self.anchor(*a)?,
            Entry::Gap(g) => self.anchor(Anchor { frame: g.at, time: g.to })?,
            Entry::Source(_) | Entry::Title(_) | Entry::Mark(_) | Entry::Event(_) => {}
        }
        self.entries.push(entry);
        Ok(())
    }

    fn anchor(&mut self, new: Anchor) -> Result<(), TimelineError> {
        if let Some(last) = self.anchors.last() {
            if new.frame < last.frame {
                return Err(TimelineError::Backwards { at: new.frame, last: last.frame });
            }
            let end = last.time.after_frames(new.frame.since(last.frame), self.spec);
            self.closed.push(self.closed.last().map_or(end, |&before| before.max(end)));
        }
        self.anchors.push(new);
        Ok(())
    }

    /// Every entry, in the order of appending.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The gaps, in the order of their frames.
    pub fn gaps(&self) -> impl Iterator<Item = &Gap> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Gap(g) => Some(g),
            _ => None,
        })
    }

    /// Who wrote the last of the frames before `end`.
    pub fn writer_before(&self, end: Frame) -> Option<&SourceChange> {
        self.entries.iter().rev().find_map(|e| match e {
            Entry::Source(s) if s.frame < end => Some(s),
            _ => None,
        })
    }

    /// What was playing at `frame`: the last title that was put at or before it.
    pub fn title_at(&self, frame: Frame) -> Option<&Title> {
        self.entries.iter().rev().find_map(|e| match e {
            Entry::Title(t) if t.frame <= frame => Some(&t.title),
            _ => None,
        })
    }

    /// The end of the last stretch of frames before `end` that a source wrote; `None` if it wrote none.
    pub fn written_by(&self, instance: Instance, end: Frame) -> Option<Frame> {
        let mut until = end;
        self.entries.iter().rev().find_map(|e| match e {
            Entry::Source(s) if s.frame < end && s.instance == instance => Some(until),
            Entry::Source(s) if s.frame < end => {
                until = s.frame;
                None
            }
            _ => None,
        })
    }

    /// When `frame` was (or, past the tail, would be) captured. `None` before the first anchor.
    pub fn time_of(&self, frame: Frame) -> Option<WallTime> {
        let piece = self.anchors.partition_point(|a| a.frame <= frame).checked_sub(1)?;
        let anchor = self.anchors.get(piece)?;
        Some(anchor.time.after_frames(frame.since(anchor.frame), self.spec))
    }

    /// The latest time of day that the frames before `end` reach: that of the last one's end, unless the clock was set back.
    /// `None` without an anchor.
    pub fn latest_before(&self, end: Frame) -> Option<WallTime> {
        let piece = self.anchors.partition_point(|a| a.frame < end).saturating_sub(1);
        let anchor = self.anchors.get(piece)?;
        let last = anchor.time.after_frames(end.since(anchor.frame), self.spec);
        let before = piece.checked_sub(1).and_then(|k| self.closed.get(k));
        Some(before.map_or(last, |&before| before.max(last)))
    }

    /// The frame of the last anchor: where the newest piece of the map begins.
    pub fn last_anchor(&self) -> Option<Anchor> {
        self.anchors.last().copied()
    }

    /// The first of the frames before `end` that was captured at `time` or later.
    pub fn frame_at(&self, time: WallTime, end: Frame) -> Located {
        let piece = self.closed.partition_point(|&until| until <= time);
        let Some(anchor) = self.anchors.get(piece) else { return Located::Beyond };
        let frame = anchor.frame + anchor.time.frames_until(time, self.spec);
        // Rounding up to a whole frame may lead into the next piece, where the time may have jumped.
        let frame = self.anchors.get(piece + 1).map_or(frame, |next| frame.min(next.frame));
        if frame < end { Located::At(frame) } else { Located::Beyond }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SampleFormat;
    use proptest::prelude::*;

    const RATE: u64 = 48_000;

    fn timeline(anchors: &[(u64, i64)]) -> Timeline {
        let mut t = Timeline::new(Spec::new(SampleFormat::S16, RATE as u32, 2).unwrap());
        for &(second, time) in anchors {
            t.push(Entry::Anchor(Anchor { frame: Frame::new(second * RATE), time: at(time) })).unwrap();
        }
        t
    }

    fn at(second: i64) -> WallTime {
        WallTime::from_unix_nanos(second * 1_000_000_000)
    }

    fn found(t: &Timeline, second: i64, end: u64) -> Option<u64> {
        match t.frame_at(at(second), Frame::new(end * RATE)) {
            Located::At(f) => Some(f.get() / RATE),
            Located::Beyond => None,
        }
    }

    #[test]
    fn before_inside_and_beyond() {
        let t = timeline(&[(0, 1_000)]);
        assert_eq!(found(&t, 1_010, 60), Some(10));
        assert_eq!(found(&t, 500, 60), Some(0), "before the recording: its first frame");
        assert_eq!(found(&t, 1_060, 60), None);
        assert_eq!(t.time_of(Frame::new(30 * RATE)), Some(at(1_030)));
        assert_eq!(timeline(&[]).time_of(Frame::ZERO), None);
        assert_eq!(found(&timeline(&[]), 0, 60), None);
    }

    #[test]
    fn inside_a_gap_means_the_first_frame_after_it() {
        let mut t = timeline(&[(0, 1_000)]);
        let gap = Gap {
            at: Frame::new(10 * RATE),
            lost: None,
            from: at(1_010),
            to: at(1_100),
            reason: GapReason::SourceRestarted,
        };
        t.push(Entry::Gap(gap)).unwrap();
        assert_eq!(found(&t, 1_050, 60), Some(10));
        assert_eq!(found(&t, 1_101, 60), Some(11));
        assert_eq!(found(&t, 1_050, 10), None, "while nothing has come after it");
        assert_eq!(t.gaps().count(), 1);
    }

    #[test]
    fn a_clock_set_back_by_an_hour() {
        let t = timeline(&[(0, 10_000), (3_600, 10_000)]);
        assert_eq!(found(&t, 10_010, 7_200), Some(10), "the first occurrence");
        assert_eq!(found(&t, 13_600, 7_300), Some(7_200), "a time that only came after the step");
        assert_eq!(t.time_of(Frame::new(3_610 * RATE)), Some(at(10_010)));
    }

    #[test]
    fn the_latest_time_is_not_always_the_last() {
        let t = timeline(&[(0, 10_000), (100, 9_000), (300, 12_000)]);
        let latest = |second: u64| t.latest_before(Frame::new(second * RATE));
        assert_eq!((latest(0), latest(50), latest(100)), (Some(at(10_000)), Some(at(10_050)), Some(at(10_100))));
        assert_eq!((latest(200), latest(300)), (Some(at(10_100)), Some(at(10_100))));
        assert_eq!(latest(310), Some(at(12_010)));
        assert_eq!(timeline(&[]).latest_before(Frame::ZERO), None);
    }

    #[test]
    fn whose_frames_they_are() {
        let [a, b, c] = [1, 2, 3].map(|n| Instance([n; 16]));
        let mut t = timeline(&[(0, 0)]);
        for (frame, instance) in [(0, a), (10, b), (20, a), (30, b), (50, c)] {
            let source = "x".parse().unwrap();
            t.push(Entry::Source(SourceChange { frame: Frame::new(frame), source, instance })).unwrap();
        }
        let until = |instance, end| t.written_by(instance, Frame::new(end)).map(Frame::get);
        assert_eq!((until(b, 50), until(a, 50), until(c, 50)), (Some(50), Some(30), None), "frame 50 is not there yet");
        assert_eq!((until(b, 15), until(a, 15)), (Some(15), Some(10)));
        assert_eq!(t.writer_before(Frame::new(50)).map(|s| s.instance), Some(b));
        assert_eq!(t.writer_before(Frame::ZERO), None);
    }

    #[test]
    fn entries_do_not_go_back() {
        let mut t = timeline(&[(10, 0)]);
        let early = Entry::Anchor(Anchor { frame: Frame::ZERO, time: at(0) });
        assert!(t.push(early).is_err());
        assert_eq!(t.entries().len(), 1);
        t.push(Entry::Mark(Mark { frame: Frame::ZERO, text: "later, about earlier".parse().unwrap() })).unwrap();
    }

    proptest! {
        /// What was resolved once never resolves differently, whatever the clock does afterwards.
        #[test]
        fn resolved_is_resolved(
            steps in prop::collection::vec((1_u64..200_000, -5_000_000_000_i64..5_000_000_000), 1..40),
            ask in 0_i64..400_000_000_000,
        ) {
            let mut t = timeline(&[(0, 0)]);
            let (mut end, mut known) = (Frame::ZERO, None);
            for (frames, jump) in steps {
                end = end + FrameCount::new(frames);
                let now = t.frame_at(WallTime::from_unix_nanos(ask), end);
                if let Some(before) = known {
                    prop_assert_eq!(now, before);
                } else if now != Located::Beyond {
                    known = Some(now);
                }
                let due = t.time_of(end).unwrap().unix_nanos();
                t.push(Entry::Anchor(Anchor { frame: end, time: WallTime::from_unix_nanos(due + jump) })).unwrap();
            }
        }

        /// Without steps back, a frame's own time leads to the frame.
        #[test]
        fn there_and_back(jumps in prop::collection::vec((1_u64..200_000, 0_i64..5_000_000_000), 1..20), pick in 0_u64..1_000_000) {
            let mut t = timeline(&[(0, 0)]);
            let mut end = Frame::ZERO;
            for (frames, jump) in jumps {
                end = end + FrameCount::new(frames);
                let due = t.time_of(end).unwrap().unix_nanos();
                t.push(Entry::Anchor(Anchor { frame: end, time: WallTime::from_unix_nanos(due + jump) })).unwrap();
            }
            let frame = Frame::new(pick % end.get());
            prop_assert_eq!(t.frame_at(t.time_of(frame).unwrap(), end), Located::At(frame));
        }
    }
}
