//! What the tests of the store share: a disk whose power can be cut, and a model of what has to survive.
#![allow(unreachable_pub)]

pub mod model;
pub mod power;

use bytes::Bytes;
use livetape_audio::{
    Anchor, Durable, Entry, Epoch, Frame, FrameCount, Generation, Instance, RecordingId, SampleFormat, Spec, Tail,
    WallTime,
};
use livetape_store::{DataDir, Recording, TapeReader};
use std::path::PathBuf;
use tempfile::TempDir;

/// Bytes of a frame of [`spec`].
pub const FRAME: usize = 4;

pub fn spec() -> Spec {
    Spec::new(SampleFormat::S16, 8_000, 2).unwrap()
}

/// When all recordings here begin.
pub fn start() -> WallTime {
    WallTime::from_unix_nanos(1_763_649_000_000_000_000)
}

/// Time of day of a frame.
pub fn time_of(frame: u64) -> WallTime {
    start().after_frames(FrameCount::new(frame), spec())
}

pub fn recording(n: u8, segment_frames: u64) -> Recording {
    Recording {
        id: RecordingId::new(1_763_649_000_000 + u64::from(n), &[n; 10]),
        stream: "studio-a".parse().unwrap(),
        spec: spec(),
        source: "counting".parse().unwrap(),
        title: "A test".parse().unwrap(),
        started: start(),
        epoch: Epoch(1),
        instance: Instance([n; 16]),
        segment_frames: FrameCount::new(segment_frames),
        seal: None,
        notes: Default::default(),
        locked: false,
        titled: false,
        genre: Default::default(),
    }
}

/// Counting PCM whose topmost byte says which attempt wrote it, so that a mixture of two attempts shows.
pub fn counting(from: u64, frames: u64, attempt: u8) -> Bytes {
    (from..from + frames).flat_map(|n| ((n as u32 & 0x00FF_FFFF) | u32::from(attempt) << 24).to_le_bytes()).collect()
}

pub fn anchor(frame: u64) -> Entry {
    Entry::Anchor(Anchor { frame: Frame::new(frame), time: time_of(frame) })
}

pub fn open_tail(end: u64) -> Tail {
    Tail::open(Durable(Frame::new(end)), Generation(1))
}

/// In memory, where there is such a file system: power is cut by the tests themselves.
pub fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn path_of(dir: &DataDir, recording: &Recording) -> PathBuf {
    dir.path().join(recording.stream.as_str()).join(recording.id.to_string())
}

pub fn segment_path(dir: &DataDir, recording: &Recording, first: u64, extension: &str) -> PathBuf {
    path_of(dir, recording).join(format!("{first:020}.{extension}"))
}

/// Frames `from` to `to`, read piece by piece.
pub fn read(dir: &DataDir, recording: &Recording, from: u64, to: u64) -> Vec<u8> {
    let mut reader = TapeReader::open(dir, recording);
    let (mut at, mut out) = (from, Vec::new());
    while at < to {
        let bytes = reader.read(Frame::new(at)..Frame::new(to)).unwrap();
        assert!(!bytes.is_empty() && bytes.len().is_multiple_of(FRAME));
        at += (bytes.len() / FRAME) as u64;
        out.extend_from_slice(&bytes);
    }
    out
}
