//! Loudness: what is kept of it is what ffmpeg measures of the audio, whatever happened to the file.

use crate::common::*;
use bytes::Bytes;
use livetape_audio::{Frame, SealReason};
use livetape_store::{DataDir, Disk, LoudnessWriter, Measured, StoreError, TapeWriter};
use std::process::Command;
use std::sync::Arc;

const RATE: u64 = 8_000;
const MINUTE: u64 = 60 * RATE;

/// A tone whose level in dBFS changes from second to second: louder and quieter minutes, one of near silence.
fn tone(frame: u64) -> i16 {
    let second = frame / RATE;
    let level = match (second / 60, second % 10) {
        (_, 9) => return 0,
        (2, _) => -80.0,
        (minute, n) => -18.0 - 3.0 * minute as f64 - n as f64,
    };
    let phase = frame as f64 * 997.0 / RATE as f64 * std::f64::consts::TAU;
    (32_767.0 * 10_f64.powf(level / 20.0) * phase.sin()) as i16
}

fn pcm(from: u64, to: u64) -> Bytes {
    (from..to).map(tone).flat_map(|n| [n, n]).flat_map(i16::to_le_bytes).collect()
}

/// Integrated loudness as ffmpeg finds it.
fn ffmpeg(from: u64, to: u64) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signal.s16");
    std::fs::write(&file, pcm(from, to)).unwrap();
    let mut run = Command::new("ffmpeg");
    run.args(["-hide_banner", "-f", "s16le", "-ar", "8000", "-ac", "2", "-i"]).arg(&file);
    let said = run.args(["-af", "ebur128=framelog=verbose", "-f", "null", "-"]).output().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    let summary = said.split("Summary:").nth(1).unwrap();
    summary.split(" I:").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn near(got: Option<f64>, due: f64) {
    assert!(got.is_some_and(|got| (got - due).abs() <= 0.1), "{got:?}, not {due}");
}

struct Room {
    root: tempfile::TempDir,
    dir: DataDir,
    tape: TapeWriter,
    loudness: LoudnessWriter,
}

impl Room {
    fn new() -> Self {
        let root = folder();
        let dir = DataDir::open(root.path(), Disk::default()).unwrap();
        let mut tape = TapeWriter::create(&dir, recording(1, 70_001)).unwrap();
        tape.note(anchor(0)).unwrap();
        let loudness = LoudnessWriter::open(&dir, Arc::new(tape.recording().clone()), Frame::ZERO).unwrap();
        Self { root, dir, tape, loudness }
    }

    /// Records up to a frame and measures it.
    fn play(&mut self, to: u64) {
        let from = self.tape.written().end().get();
        self.tape.append(&[pcm(from, to)], time_of(from)).unwrap();
        self.tape.sync().unwrap();
        self.measure();
    }

    fn measure(&mut self) {
        let end = self.tape.durable().end();
        while self.loudness.advance(end, 100_001).unwrap() < end {}
    }

    fn reopen(&mut self) {
        let recording = Arc::new(self.tape.recording().clone());
        self.loudness = LoudnessWriter::open(&self.dir, recording, self.tape.durable().end()).unwrap();
    }

    fn read(&self, from: u64, to: u64) -> Result<Measured, StoreError> {
        Measured::read(&self.dir, self.tape.recording(), Frame::new(from)..Frame::new(to), Measured::MAX_MINUTES)
    }

    fn file(&self) -> std::path::PathBuf {
        path_of(&self.dir, self.tape.recording()).join("minutes.loudness")
    }
}

#[test]
fn every_part_is_as_loud_as_ffmpeg_finds_it() {
    let mut room = Room::new();
    room.play(90 * RATE);
    let growing = room.read(0, u64::MAX / 2).unwrap();
    assert_eq!((growing.end.get(), growing.minutes.len()), (90 * RATE, 2), "the minute that grows is told, too");
    near(growing.integrated, ffmpeg(0, 90 * RATE));
    // Whoever goes on begins with the minute that was not over.
    room.reopen();
    room.play(250 * RATE);
    let sealed = room.tape.seal(SealReason::Operator, None, time_of(250 * RATE)).unwrap();
    room.reopen();
    room.measure();
    assert!(LoudnessWriter::is_complete(&room.dir, &sealed));
    for minutes in [0..5, 0..1, 1..2, 2..3, 1..4, 3..5] {
        let (from, to) = (minutes.start * MINUTE, (minutes.end * MINUTE).min(250 * RATE));
        let told = room.read(from + 1, to - 1).unwrap();
        assert_eq!((told.first.get(), told.end.get()), (from, to));
        assert_eq!(told.minutes.len() as u64, minutes.end - minutes.start);
        if from == 2 * MINUTE && to == 3 * MINUTE {
            // What sounds before it is still heard by its first blocks, and that is all.
            assert!(told.integrated.is_none_or(|lufs| lufs < -20.0), "{told:?}");
        } else {
            near(told.integrated, ffmpeg(from, to));
        }
    }
    let all = room.read(0, 250 * RATE).unwrap().minutes;
    for (minute, n) in all.iter().zip(0..) {
        assert_eq!((minute.first.get(), minute.end.get()), (n * MINUTE, ((n + 1) * MINUTE).min(250 * RATE)));
    }
    near(all[1].integrated, ffmpeg(MINUTE, 2 * MINUTE));
}

#[test]
fn what_has_happened_to_the_file_is_noticed_and_made_good() {
    let mut room = Room::new();
    room.play(200 * RATE);
    let due = room.read(0, 200 * RATE).unwrap();
    let file = room.file();
    let whole = std::fs::read(&file).unwrap();
    let record = (whole.len() - 64) / 4;
    let again = |room: &mut Room| {
        room.reopen();
        room.measure();
        let told = room.read(0, 200 * RATE).unwrap();
        assert_eq!((told.end, told.minutes.len()), (due.end, 4));
        near(told.integrated, due.integrated.unwrap());
    };
    // Cut anywhere, missing, of another recording, foreign.
    for cut in [0, 10, 64, 65, 64 + record, 64 + 3 * record + 7] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        again(&mut room);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(room.read(0, 200 * RATE).unwrap().end.get(), 0);
    again(&mut room);
    std::fs::write(&file, b"something else that is longer than a head, and than nothing at all, by far").unwrap();
    again(&mut room);
    // A wrong byte in the middle is told, and what is measured anew is right.
    let mut spoilt = whole.clone();
    spoilt[64 + record + 100] ^= 1;
    std::fs::write(&file, &spoilt).unwrap();
    assert!(matches!(room.read(0, 200 * RATE), Err(StoreError::Damaged { .. })));
    let (recording, dir) = (Arc::new(room.tape.recording().clone()), &room.dir);
    room.loudness = LoudnessWriter::open(dir, recording, Frame::new(200 * RATE)).unwrap().discard(dir).unwrap();
    room.measure();
    near(room.read(0, 200 * RATE).unwrap().integrated, due.integrated.unwrap());
    // One that is being written just now is not told yet.
    std::fs::write(&file, [&whole[..whole.len() - 5], &[0; 5]].concat()).unwrap();
    assert_eq!(room.read(0, 200 * RATE).unwrap().end.get(), 3 * MINUTE);
    assert!(room.root.path().exists());
}

#[test]
fn an_empty_recording_is_complete_and_has_no_loudness() {
    let mut room = Room::new();
    let sealed = room.tape.seal(SealReason::Operator, None, time_of(0)).unwrap();
    assert!(LoudnessWriter::is_complete(&room.dir, &sealed));
    assert_eq!(room.read(0, 1).unwrap(), Measured { first: Frame::ZERO, end: Frame::ZERO, ..Measured::default() });
}
