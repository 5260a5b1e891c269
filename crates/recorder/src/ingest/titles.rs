//! What is playing: what the source has said, and what the timeline says.

use livetape_audio::{Entry, Frame, Spec, Title, TitleChange};
use std::time::Duration;

/// Titles keep this distance, or a source could flood the timeline. One that comes earlier waits; the latest counts.
const DISTANCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(super) struct Titles {
    playing: Title,
    /// What the timeline of this recording says.
    told: Title,
    /// Where it began to say so, as far as is known.
    since: Option<Frame>,
}

impl Titles {
    /// `playing` is on. Whether the timeline of this recording says so.
    pub(super) fn new(playing: Title, told: bool) -> Self {
        let told = if told { playing.clone() } else { Title::default() };
        Self { playing, told, since: None }
    }

    pub(super) const fn playing(&self) -> &Title {
        &self.playing
    }

    /// From the next frame on.
    pub(super) fn say(&mut self, title: Title) {
        self.playing = title;
    }

    /// What the timeline has to say before `frame`, which is about to be written.
    pub(super) fn entry(&mut self, frame: Frame, spec: Spec) -> Option<Entry> {
        let early = self.since.is_some_and(|since| frame.since(since) < spec.frames(DISTANCE));
        if early || self.told == self.playing {
            return None;
        }
        (self.told, self.since) = (self.playing.clone(), Some(frame));
        Some(Entry::Title(TitleChange { frame, title: self.told.clone() }))
    }
}
