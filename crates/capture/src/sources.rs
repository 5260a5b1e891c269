//! Where audio comes from: generators, files, sound cards and the standard input. A source yields pieces of 20 ms as they are captured, in
//! real time, and knows nothing of the recorder but the number of its next frame.

pub(crate) mod decoding;
pub mod device;
mod encode;
pub(crate) mod fallback;
pub(crate) mod feed;
pub mod file;
mod foreign;
mod generator;
mod pace;
mod pieces;
pub(crate) mod pushed;
pub mod relay;
mod stdin;
mod time_signal;
mod voice;

pub use generator::Generator;
pub use stdin::{Stdin, process_stdin};
pub use time_signal::TimeSignal;
pub use voice::{Counting, Mono, Noise, Silence, Tone, Voice, Waveform, voice};

use crate::desk::Desk;
use crate::source_spec::SourceSpecError;
use bytes::Bytes;
use device::CardError;
use file::FileError;
use livetape_audio::wav_reader::WavError;
use livetape_audio::{Frame, FrameCount, GapReason, Spec, Title, WallTime};
use std::future::Future;
use std::time::Duration;

/// Audio is taken in pieces of this length.
pub const PIECE: Duration = Duration::from_millis(20);

/// Frames that were captured one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// When the first of them was captured.
    pub time: WallTime,
    /// Whole frames.
    pub pcm: Bytes,
}

impl Chunk {
    /// How many frames of the shape `spec` they are.
    pub fn frames(&self, spec: Spec) -> FrameCount {
        spec.frames_in(self.pcm.len() as u64).0
    }
}

/// Audio that is missing at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How much.
    pub frames: FrameCount,
    /// Why.
    pub reason: GapReason,
}

/// What a source yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Audio.
    Audio(Chunk),
    /// Audio that could not be captured.
    Gap(Lost),
    /// What is playing from the next audio on; empty for nothing. Saying it again is harmless.
    Title(Title),
}

/// Something that captures audio.
pub trait Source: Send + 'static {
    /// Shape of the audio; it never changes.
    fn spec(&self) -> Spec;

    /// Called once, before the first piece. This is the recorder's next frame, as far as is known.
    fn begin(&mut self, next: Frame);

    /// Where it shows what it plays and is told to skip, if it has a list of it.
    #[doc(hidden)]
    fn desk(&self) -> Option<Desk> {
        None
    }

    /// Whether it can wait: then it is asked for nothing while the recorder is behind, and nothing of it is given up.
    fn can_wait(&self) -> bool {
        false
    }

    /// Whether it begins with the recorder's answer and not before, because nothing is lost until then. Others begin without it,
    /// when it does not come.
    fn waits_for_answer(&self) -> bool {
        self.can_wait()
    }

    /// Waits for the next piece; `None` when the source has ended by itself. Dropping the future loses no audio.
    fn next(&mut self) -> impl Future<Output = Result<Option<Piece>, SourceError>> + Send;
}

/// Why a source gives no audio, or no more.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot make audio of this shape.
    #[error(transparent)]
    Spec(#[from] SourceSpecError),
    /// A sound card cannot be used.
    #[error(transparent)]
    Card(#[from] CardError),
    /// Files cannot be played.
    #[error(transparent)]
    File(#[from] FileError),
    /// A relay has ended, which is a bug.
    #[error("the relay of {0} has ended, which is a bug")]
    Relay(relay::RelayUrl),
    /// Reading failed.
    #[error("stdin cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It ended before it began.
    #[error("stdin ended before any audio came")]
    Empty,
    /// Something else than PCM or WAV.
    #[error(
        "stdin carries {0}, not PCM or WAV: decode it first, for example with \
         ffmpeg -i INPUT -f wav - | livetape run --source stdin"
    )]
    Foreign(&'static str),
    /// It begins like a WAV file, but cannot be recorded.
    #[error("stdin carries a WAV file that cannot be recorded: {0}")]
    Wav(#[from] WavError),
    /// It ended within the head of a WAV file.
    #[error("stdin ended within the head of a WAV file")]
    CutHead,
}
