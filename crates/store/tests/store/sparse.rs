//! Very long recordings: opening, reading and listing them costs what a short one costs.

use crate::common::*;
use livetape_audio::{Frame, FrameCount, SealReason};
use livetape_store::{
    DataDir, Disk, Faults, Op, Recording, TapeReader, TapeWriter, durable_end, sparse::sparse_sealed_or_open,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// 400 hours: 46 GB, more than WAV can count.
const FRAMES: u64 = 400 * 3600 * 8_000;

/// Lets everything pass and counts it: cost without a clock.
#[derive(Default)]
struct Counting(AtomicU64);

impl Faults for Counting {
    fn check(&self, _: Op, _: &Path) -> std::io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn long(n: u8) -> Recording {
    let recording = recording(n, 1);
    Recording { segment_frames: Recording::default_segment_frames(recording.spec), ..recording }
}

#[test]
fn an_open_recording_of_weeks_goes_on_at_once() {
    let root = folder();
    let count = Arc::new(Counting::default());
    let dir = DataDir::open(root.path(), Disk::with_faults(Arc::clone(&count) as _)).unwrap();
    let made = sparse_sealed_or_open(&dir, long(1), FrameCount::new(FRAMES), false).unwrap();
    let before = count.0.load(Ordering::Relaxed);
    assert_eq!(dir.scan().unwrap().recordings, std::slice::from_ref(&made));
    assert_eq!(durable_end(&dir, &made).unwrap().end(), Frame::new(FRAMES));
    let (mut tape, recovery) = TapeWriter::recover(&dir, made.clone(), start()).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    let operations = count.0.load(Ordering::Relaxed) - before;
    assert!(operations < 100, "{operations} operations to open 400 segments");
    let mut reader = TapeReader::open(&dir, &made);
    for hour in 0..400 {
        let at = Frame::new(hour * 3600 * 8_000 + 7);
        assert_eq!(reader.read(at.range(FrameCount::new(100))).unwrap(), vec![0; 400]);
    }
    // Real audio at the end of the silence.
    tape.append(&[counting(FRAMES, 8_000, 0)], time_of(FRAMES)).unwrap();
    tape.sync().unwrap();
    assert!(read(&dir, &made, FRAMES - 2, FRAMES + 8_000)[8..] == counting(FRAMES, 8_000, 0));
    let sealed = tape.seal(SealReason::Operator, None, time_of(FRAMES + 8_000)).unwrap();
    assert_eq!(sealed.seal.unwrap().end, Frame::new(FRAMES + 8_000));
}

#[test]
fn a_sealed_one_is_whole() {
    let root = folder();
    let dir = DataDir::open(root.path(), Disk::default()).unwrap();
    let made = sparse_sealed_or_open(&dir, long(1), FrameCount::new(2 * 3600 * 8_000 + 5), true).unwrap();
    assert_eq!(dir.scan().unwrap().recordings, std::slice::from_ref(&made));
    let verdict = livetape_store::verify::verify(&dir, &made, &mut |_| {}).unwrap();
    assert!(verdict.findings.is_empty(), "{verdict:?}");
    assert_eq!(verdict.bytes, (2 * 3600 * 8_000 + 5) * 4);
}
