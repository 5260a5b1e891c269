//! Which places are kept: runs of frames without a hole. There is one, unless the disk was full meanwhile.

use crate::uplink::Place;
use livetape_audio::FrameCount;
use std::collections::VecDeque;
use std::ops::Range;

#[derive(Debug, Default)]
pub(super) struct Runs(VecDeque<Range<Place>>);

impl Runs {
    /// Adds a run behind all others.
    pub(super) fn add(&mut self, from: Place, to: Place) {
        match self.0.back_mut() {
            Some(last) if last.end >= from => last.end = last.end.max(to),
            _ => self.0.push_back(from..to),
        }
    }

    /// Takes out what is in `from..to`.
    pub(super) fn cut(&mut self, from: Place, to: Place) {
        let parts = |run: Range<Place>| [run.start..run.end.min(from), run.start.max(to)..run.end];
        self.0 = std::mem::take(&mut self.0).into_iter().flat_map(parts).filter(|run| run.start < run.end).collect();
    }

    /// Takes out what is before `durable`.
    pub(super) fn settle(&mut self, durable: Place) {
        while let Some(first) = self.0.front_mut() {
            first.start = first.start.max(durable);
            if first.start < first.end {
                return;
            }
            self.0.pop_front();
        }
    }

    /// The first place at `from` or later.
    pub(super) fn next(&self, from: Place) -> Option<Place> {
        let at = self.0.partition_point(|run| run.end <= from);
        self.0.get(at).map(|run| run.start.max(from))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn frames(&self) -> FrameCount {
        self.0.iter().fold(FrameCount::ZERO, |sum, run| sum + run.end.since(run.start))
    }
}
