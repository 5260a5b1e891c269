//! What a recording is: the content of its `recording.json`, and where its frames lie.

use crate::error::StoreError;
use livetape_audio::{
    Durable, Entry, Epoch, Frame, FrameCount, Generation, Instance, Notes, RecordingId, SealReason, SourceName, Spec,
    StreamName, Tail, Timeline, Title, WallTime,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Most bytes of a segment, unless a second of audio is more.
const SEGMENT_BYTES: u64 = 1 << 30;

/// One recording. Its serialized form is that of `recording.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Which one.
    pub id: RecordingId,
    /// The stream that it is of.
    pub stream: StreamName,
    /// Shape of its audio.
    pub spec: Spec,
    /// Who pushed last.
    pub source: SourceName,
    /// What people see.
    pub title: Title,
    /// When it was made, by the recorder's clock. Its frames have times of day of their own.
    pub started: WallTime,
    /// Which incarnation of the source may write.
    pub epoch: Epoch,
    /// That incarnation's own mark.
    pub instance: Instance,
    /// Frames of each segment but the last: at least 1, at most [`Recording::MAX_SEGMENT_FRAMES`]. Never changes.
    pub segment_frames: FrameCount,
    /// How it ended; `None` while it grows.
    #[serde(default)]
    pub seal: Option<Seal>,
    /// What those who keep it want to remember.
    #[serde(default)]
    pub notes: Notes,
    /// Whether nobody may delete it, retention included.
    #[serde(default)]
    pub locked: bool,
    /// Whether the title was given by those who keep it: sources do not change it then.
    #[serde(default)]
    pub titled: bool,
    /// What kind of thing is heard, as the source says it; empty where nobody said.
    #[serde(default)]
    pub genre: Title,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seal {
    /// Its last frame plus one.
    pub end: Frame,
    /// The earliest time of day of its frames; `None` if no frame has any.
    #[serde(default)]
    pub earliest: Option<WallTime>,
    /// The latest time of day of its frames, and so never before one of them: when the last of them ended, unless the
    /// clock was set back.
    pub ended: WallTime,
    /// Why.
    pub reason: SealReason,
    /// The recording that goes on where this one ends.
    #[serde(default)]
    pub next: Option<RecordingId>,
}

/// The earliest time of day of the frames before `end`. Within a piece time only rises, so a piece's first frame has it.
pub fn earliest(timeline: &Timeline, end: Frame) -> Option<WallTime> {
    let begins = timeline.entries().iter().filter(|entry| entry.frame() < end);
    let times = begins.filter_map(|entry| match entry {
        Entry::Anchor(anchor) => Some(anchor.time),
        Entry::Gap(gap) => Some(gap.to),
        Entry::Source(_) | Entry::Title(_) | Entry::Mark(_) | Entry::Event(_) => None,
    });
    times.min()
}

impl Recording {
    /// Most frames of a segment: what the index can count.
    pub const MAX_SEGMENT_FRAMES: FrameCount = FrameCount::new(u32::MAX as u64);

    /// The length of segments that serves best: an hour, but at most 1 GiB, and at least a second.
    pub fn default_segment_frames(spec: Spec) -> FrameCount {
        let (second, hour) = (u64::from(spec.rate()), u64::from(spec.rate()) * 3600);
        FrameCount::new(hour.min(SEGMENT_BYTES / u64::from(spec.frame_bytes())).max(second))
    }

    /// The tail, if it is final.
    pub fn sealed_tail(&self, generation: Generation) -> Option<Tail> {
        self.seal.map(|seal| Tail::sealed(Durable(seal.end), seal.next, generation))
    }

    pub(crate) fn check(&self, path: &Path) -> Result<(), StoreError> {
        if self.segment_frames.is_zero() || self.segment_frames > Self::MAX_SEGMENT_FRAMES {
            let what = format!(
                "its segments have {} frames; 1 to {} are possible",
                self.segment_frames,
                Self::MAX_SEGMENT_FRAMES
            );
            return Err(StoreError::damaged(path, what));
        }
        Ok(())
    }

    /// The first frame of the segment that holds `frame`.
    pub(crate) fn segment_of(&self, frame: Frame) -> Frame {
        let size = self.segment_frames.get().max(1);
        Frame::new(frame.get() / size * size)
    }

    /// Where the frame lies in its segment, in bytes.
    pub(crate) fn offset(&self, frame: Frame) -> u64 {
        self.spec.bytes(frame.since(self.segment_of(frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn segments_have_sensible_lengths() {
        let frames = |format, rate, channels| {
            Recording::default_segment_frames(Spec::new(format, rate, channels).unwrap()).get()
        };
        assert_eq!(frames(SampleFormat::S16, 48_000, 2), 48_000 * 3600);
        assert_eq!(frames(SampleFormat::S32, 192_000, 8), (1 << 30) / 32);
        assert_eq!(frames(SampleFormat::S16, 8_000, 1), 8_000 * 3600);
    }
}
