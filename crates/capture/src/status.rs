//! What a session can tell about itself, for meters and logs.

use livetape_audio::FrameCount;

/// How one source is doing. Counted in frames since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the recorder has the stream open for it now.
    pub connected: bool,
    /// Frames captured, or found in the spool when it began.
    pub captured: FrameCount,
    /// Frames that are durable at the recorder.
    pub acknowledged: FrameCount,
    /// Frames given up because the recorder was away for too long. May go down again when some turn out to be durable.
    pub given_up: FrameCount,
    /// Frames that were never captured because the source was read too late.
    pub missed: FrameCount,
    /// How often the recorder has opened the stream for it.
    pub opened: u64,
    /// Frames that wait in the spool.
    pub spooled: FrameCount,
    /// Bytes of audio that wait in the spool.
    pub spooled_bytes: u64,
}

impl Status {
    /// Frames that wait for the recorder, in memory and in the spool.
    pub fn waiting(&self) -> FrameCount {
        self.captured - self.acknowledged - self.given_up
    }
}
