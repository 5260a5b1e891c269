//! A recording that grows: the real recorder and gateway, and a source outside of them that pushes in real time.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::pusher::{Content, Push, Pusher};
use std::time::Duration;

/// Bytes before the audio in a WAV of 16 bits and 2 channels.
pub const WAV_HEADER: u64 = 44;
/// Bytes of one second of 48 kHz, 16 bits, stereo.
pub const SECOND: u64 = 192_000;
/// Patience with what should take a moment.
pub const SOON: Duration = Duration::from_secs(30);

/// Patience with a backlog, which is made and stored as fast as it goes, on a busy machine.
const BACKLOG: Duration = Duration::from_secs(300);

/// A growing recording and all that makes it grow.
#[derive(Debug)]
pub struct Growing {
    /// What is tested.
    pub livetape: Livetape,
    /// The source.
    pub pusher: Pusher,
    /// Identity of the recording.
    pub id: String,
    content: Content,
    data: tempfile::TempDir,
}

impl Growing {
    /// Starts with `backlog` of audio already there.
    ///
    /// # Errors
    /// When anything does not start.
    pub fn start(content: Content, backlog: Duration) -> Result<Self> {
        Self::start_with(content, backlog, &[])
    }

    /// [`Growing::start`] with further arguments of `livetape run`.
    ///
    /// # Errors
    /// When anything does not start.
    pub fn start_with(content: Content, backlog: Duration, args: &[&str]) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let livetape = Start::new(data.path()).source("none").args(args.iter().copied()).spawn()?;
        let push = Push { to: livetape.grpc(), stream: "live".into(), spec: stereo(), content, backlog };
        let pusher = Pusher::start(push);
        let id = pusher.recording(SOON)?;
        pusher.acknowledged(Frame::ZERO + stereo().frames(backlog), BACKLOG)?;
        Ok(Self { livetape, pusher, id, content, data })
    }

    /// The data folder.
    pub fn data(&self) -> &std::path::Path {
        self.data.path()
    }

    /// Path of the recording as a WAV, with a query such as `len=star`, or none.
    pub fn wav(&self, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("/recordings/{}/audio.wav{mark}{query}", self.id)
    }

    /// URL of the recording as a WAV.
    pub fn wav_url(&self, query: &str) -> String {
        self.livetape.url(&self.wav(query))
    }

    /// Bytes of the WAV that surely exist now.
    pub fn at_least(&self) -> u64 {
        WAV_HEADER + stereo().bytes(self.pusher.progress().acknowledged.since(Frame::ZERO))
    }

    /// Bytes that the WAV cannot exceed now.
    pub fn at_most(&self) -> u64 {
        WAV_HEADER + stereo().bytes(self.pusher.captured().since(Frame::ZERO))
    }

    /// The audio that the WAV holds from byte `start` on, which is not before the end of its header.
    pub fn expected(&self, start: u64, len: usize) -> Vec<u8> {
        let frame_bytes = u64::from(stereo().frame_bytes());
        let (first, skip) = stereo().frames_in(start.checked_sub(WAV_HEADER).expect("inside the audio"));
        let count = FrameCount::new((skip + len as u64).div_ceil(frame_bytes));
        let pcm = (self.content)(Frame::ZERO + first, count, stereo());
        let skip = usize::try_from(skip).expect("less than a frame");
        pcm[skip..skip + len].to_vec()
    }

    /// The audio from frame `first` to `end`.
    pub fn frames(&self, first: u64, end: u64) -> Vec<u8> {
        (self.content)(Frame::new(first), FrameCount::new(end - first), stereo())
    }

    /// Asserts that `body` is what the WAV holds from byte `start` on.
    ///
    /// # Panics
    /// With the first byte that differs.
    pub fn assert_audio(&self, start: u64, body: &[u8]) {
        let expected = self.expected(start, body.len());
        if let Some(at) = body.iter().zip(&expected).position(|(a, b)| a != b) {
            panic!("byte {} of the WAV is wrong: {:?}…", start + at as u64, &body[at..body.len().min(at + 16)]);
        }
    }
}

/// The audio of a WAV, behind whatever chunks stand before it.
///
/// # Errors
/// When there is none.
pub fn audio_of(wav: &[u8]) -> Result<&[u8]> {
    let mut at = 12;
    loop {
        let head = wav.get(at..at + 8).context("a chunk called data")?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if &head[..4] == b"data" {
            return Ok(&wav[at + 8..wav.len().min(at + 8 + length)]);
        }
        at += 8 + length + length % 2;
    }
}
