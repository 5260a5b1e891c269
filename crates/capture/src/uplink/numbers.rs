//! Where a frame is: its place among all that a source has captured, and the number that the recorder knows it by.
//!
//! Places never change, also not by a restart that finds the spool. Numbers begin anew with every call, and audio that
//! was given up before it was sent takes a place but no number: so numbers follow places in straight stretches.

use livetape_audio::{Frame, FrameCount, RecordingId};
use std::ops::Add;

/// The place of a frame among all that a source has captured, from 0. Also used as an exclusive end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

impl Place {
    /// The first frame that a source captured.
    pub const ZERO: Self = Self(0);
    /// Place `n`.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }
    /// How many frames were captured before.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// Frames from `earlier` to here; zero when `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> FrameCount {
        FrameCount::new(self.0.saturating_sub(earlier.0))
    }
}

impl Add<FrameCount> for Place {
    type Output = Self;
    fn add(self, n: FrameCount) -> Self {
        Self(self.0.saturating_add(n.get()))
    }
}

/// From `from` on, frames are numbered from `number` on, up to the next stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Place of its first frame.
    pub from: Place,
    /// Number of that frame.
    pub number: Frame,
}

/// The numbers of a call, which stay valid until the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The recording that counts like this.
    pub recording: Option<RecordingId>,
    /// Everything before this place is durable, or was given up and announced.
    pub durable: Place,
    /// What is at this place or later was captured by a process that has not opened the stream yet: it has no number.
    pub until: Option<Place>,
    /// In rising order of places and numbers.
    pub stretches: Vec<Stretch>,
}

impl Numbers {
    /// The number of the frame at `place`; where that has none, of the next one that has.
    pub(super) fn number(&self, place: Place) -> Frame {
        let next = self.stretches.partition_point(|s| s.from <= place);
        let limit = self.stretches.get(next).map(|s| s.number);
        match next.checked_sub(1).and_then(|at| self.stretches.get(at)) {
            Some(s) => {
                let number = s.number + place.since(s.from);
                limit.map_or(number, |limit| number.min(limit))
            }
            None => limit.unwrap_or_default(),
        }
    }

    /// The end of the audio whose numbers are below `end`. Audio that was given up behind it does not count.
    pub(super) fn place(&self, end: Frame) -> Place {
        let at = self.stretches.partition_point(|s| s.number < end).checked_sub(1);
        let found = at.and_then(|at| self.stretches.get(at)).map(|s| s.from + end.since(s.number));
        let found = found.unwrap_or(self.durable);
        self.until.map_or(found, |until| found.min(until)).max(self.durable)
    }

    /// Everything before `place` is durable.
    pub(super) fn settle(&mut self, place: Place) {
        self.durable = place;
        let over = self.stretches.partition_point(|s| s.from <= place).saturating_sub(1);
        self.stretches.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_places_over_a_hole() {
        let stretch = |from, number| Stretch { from: Place::new(from), number: Frame::new(number) };
        // Places 30 to 99 were given up.
        let mut numbers = Numbers { stretches: vec![stretch(10, 1_000), stretch(100, 1_020)], ..Numbers::default() };
        for (place, number) in
            [(0, 1_000), (10, 1_000), (29, 1_019), (30, 1_020), (99, 1_020), (100, 1_020), (110, 1_030)]
        {
            assert_eq!(numbers.number(Place::new(place)), Frame::new(number), "{place}");
        }
        for (end, place) in [(0, 0), (1_000, 0), (1_001, 11), (1_020, 30), (1_021, 101)] {
            assert_eq!(numbers.place(Frame::new(end)), Place::new(place), "{end}");
        }
        numbers.settle(Place::new(101));
        assert_eq!(numbers.stretches, [stretch(100, 1_020)]);
        assert_eq!(numbers.place(Frame::new(1_000)), Place::new(101), "what is durable stays so");
    }
}
