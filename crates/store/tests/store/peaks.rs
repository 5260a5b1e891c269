//! Peaks: what they tell is what the audio holds, at every zoom, whatever happened to their files.

use crate::common::*;
use livetape_audio::peaks::Point;
use livetape_audio::{Durable, Frame, FrameCount, SampleFormat, SealReason, Spec};
use livetape_store::{
    DataDir, Disk, Faults, Op, Peaks, PeaksReader, PeaksWriter, Recording, StoreError, TapeWriter,
    sparse::sparse_sealed_or_open,
};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that looks random, the same for the same place.
fn noise(frame: u64, channel: u64) -> i16 {
    let mixed = (frame * 2 + channel).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xD6E8_FEB8);
    // Louder and quieter, so that neighbouring points differ.
    let loudness = 1 + frame / 1_000 % 97;
    ((mixed >> 20) as i16) / loudness as i16
}

fn frames(from: u64, count: u64) -> bytes::Bytes {
    (from..from + count).flat_map(|n| [noise(n, 0), noise(n, 1)]).flat_map(i16::to_le_bytes).collect()
}

/// What a point over these frames has to be, by the definition.
fn point(frames: Range<u64>, channel: u64) -> Point {
    let samples = || frames.clone().map(|n| noise(n, channel));
    let square: f64 = samples().map(|s| f64::from(s) * f64::from(s)).sum::<f64>() / samples().count() as f64;
    Point { min: samples().min().unwrap(), max: samples().max().unwrap(), rms: square.sqrt().round() as u16 }
}

/// Checks all points against the audio. A root mean square may be off by what rounding the roots of its parts costs.
fn check(peaks: &Peaks, asked: Range<u64>, width: u32, made: u64) {
    let (first, end, span) = (peaks.first.get(), peaks.end.get(), peaks.frames_per_point.get());
    assert!(first <= asked.start && asked.start - first <= span, "{asked:?} in {width} begins at {first}");
    assert!(end <= made && (end >= asked.end || end + 256 > made) && end < asked.end + 256, "{asked:?} ends at {end}");
    let points = (end - first).div_ceil(span);
    assert_eq!(peaks.points.len() as u64, points * 2);
    assert!(
        points <= u64::from(width) && (points * 2 >= u64::from(width).min(asked.end - asked.start) || end < asked.end),
        "{asked:?} in {width}: {points}"
    );
    for (n, told) in (0..).zip(&peaks.points) {
        let start = first + n / 2 * span;
        let due = point(start..end.min(start + span), n % 2);
        assert_eq!((told.min, told.max), (due.min, due.max), "{asked:?} in {width}, point {n}");
        assert!(told.rms.abs_diff(due.rms) <= 1, "{asked:?} in {width}, point {n}: {told:?}, not {due:?}");
    }
}

/// What ffmpeg finds in some frames: lowest, highest and root mean square of each channel, in the scale of 16 bits.
fn ffmpeg(file: &Path, frames: Range<u64>) -> Vec<[f64; 3]> {
    let filter = format!(
        "atrim=start_sample={}:end_sample={},astats=measure_overall=none:measure_perchannel=Min_level+Max_level+RMS_level",
        frames.start, frames.end
    );
    let run = Command::new("ffmpeg")
        .args(["-hide_banner", "-f", "s16le", "-ar", "8000", "-ac", "2", "-i"])
        .arg(file)
        .args(["-af", &filter, "-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    let told = |name: &str| -> Vec<f64> {
        let numbers = said.lines().filter_map(|line| line.split_once(name)).map(|(_, number)| number.trim().parse());
        numbers.collect::<Result<_, _>>().unwrap()
    };
    let decibels = told("RMS level dB:").into_iter().map(|level| 10_f64.powf(level / 20.0) * 32_768.0);
    let levels = told("Min level:").into_iter().zip(told("Max level:"));
    levels.zip(decibels).map(|((min, max), rms)| [min, max, rms]).collect()
}

#[test]
fn ffmpeg_finds_the_same() {
    let mut room = Room::new();
    let end = room.play(300_000).get();
    room.seal();
    let file = room.file("all.pcm");
    std::fs::write(&file, frames(0, end)).unwrap();
    for (asked, width) in [(0..end, 3), (100_000..101_000, 2), (70_000..200_000, 5)] {
        let told = room.read(asked, width);
        for (n, points) in (0..).zip(told.points.chunks(2)) {
            let first = told.first.get() + n * told.frames_per_point.get();
            let found = ffmpeg(&file, first..told.end.get().min(first + told.frames_per_point.get()));
            assert_eq!(found.len(), 2);
            for (point, [min, max, rms]) in points.iter().zip(found) {
                assert_eq!((f64::from(point.min), f64::from(point.max)), (min, max), "point {n}");
                assert!((f64::from(point.rms) - rms).abs() <= 1.0, "point {n}: {point:?}, not {rms}");
            }
        }
    }
}

struct Room {
    root: tempfile::TempDir,
    dir: DataDir,
    tape: TapeWriter,
    peaks: PeaksWriter,
}

impl Room {
    fn new() -> Self {
        let root = folder();
        let dir = DataDir::open(root.path(), Disk::default()).unwrap();
        let mut tape = TapeWriter::create(&dir, recording(1, 70_001)).unwrap();
        tape.note(anchor(0)).unwrap();
        let peaks = PeaksWriter::open(&dir, Arc::new(tape.recording().clone()), Frame::ZERO).unwrap();
        Self { root, dir, tape, peaks }
    }

    fn play(&mut self, count: u64) -> Frame {
        let from = self.tape.written().end().get();
        self.tape.append(&[frames(from, count)], time_of(from)).unwrap();
        self.tape.sync().unwrap().end()
    }

    fn peaks(&mut self) -> Frame {
        self.peaks.advance(self.tape.durable().end(), u64::MAX).unwrap()
    }

    fn reopen(&mut self) {
        let recording = Arc::new(self.tape.recording().clone());
        self.peaks = PeaksWriter::open(&self.dir, recording, self.tape.durable().end()).unwrap();
    }

    fn seal(&mut self) -> Frame {
        let sealed = self.tape.seal(SealReason::Operator, None, time_of(self.tape.written().end().get())).unwrap();
        self.reopen();
        assert!(!PeaksWriter::is_complete(&self.dir, &sealed));
        let end = self.peaks();
        assert!(PeaksWriter::is_complete(&self.dir, &sealed));
        end
    }

    fn reader(&self) -> PeaksReader {
        PeaksReader::open(&self.dir, Arc::new(self.tape.recording().clone()))
    }

    fn read(&self, asked: Range<u64>, width: u32) -> Peaks {
        self.reader().read(Frame::new(asked.start)..Frame::new(asked.end), width).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        let recording = self.tape.recording();
        self.root.path().join(recording.stream.as_str()).join(recording.id.to_string()).join(name)
    }

    /// Many parts in many widths.
    fn check(&self, end: u64, made: u64) {
        for asked in
            [0..end, 0..1, 5..6, 1_000..2_000, 255..70_300, 69_999..70_003, 256..512, end / 3..end - 7, end - 1..end]
        {
            for width in [1, 2, 7, 100, 1_000, 4_096] {
                check(
                    &self.read(asked.clone(), width),
                    asked.clone(),
                    width,
                    if asked.end - asked.start < 256 * u64::from(width) { end } else { made },
                );
            }
        }
    }
}

#[test]
fn every_zoom_tells_what_the_audio_holds_while_it_grows_and_afterwards() {
    let mut room = Room::new();
    let mut end = 0;
    for count in [1, 255, 256, 300, 69_000, 1_000, 1, 199_999] {
        end = room.play(count).get();
        assert_eq!(room.peaks().get(), end / 256 * 256);
        if count == 300 {
            room.reopen();
        }
    }
    room.check(end, end / 256 * 256);
    assert_eq!(room.seal().get(), end);
    room.check(end, end);
}

#[test]
fn so_much_audio_at_a_time() {
    let mut room = Room::new();
    let end = room.play(100_000);
    let mut reached = Frame::ZERO;
    for n in 1..=20 {
        reached = room.peaks.advance(end, 4 * 5_000).unwrap();
        assert_eq!(reached.get(), (n * 4_864).min(99_840), "whole records only");
    }
    // Asked about what is not made yet: as far as it is.
    assert_eq!(reached.get(), 20 * 4_864);
    let made = reached.get();
    check(&room.read(0..100_000, 100), 0..100_000, 100, made);
    let later = room.read(98_000..100_000, 4);
    assert_eq!((later.points.len(), later.end), (0, later.first));
}

#[test]
fn what_a_crash_or_somebody_left_is_found_and_made_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 9] = [
        ("256.peaks", |path| std::fs::remove_file(path).unwrap()),
        ("1024.peaks", |path| std::fs::remove_file(path).unwrap()),
        ("256.peaks", |path| truncate(path, 5_003)),
        ("1024.peaks", |path| truncate(path, 500)),
        ("4096.peaks", |path| truncate(path, 10)),
        ("256.peaks", |path| std::fs::write(path, vec![0; 100_000]).unwrap()),
        ("1024.peaks", |path| std::fs::write(path, b"somebody else's file").unwrap()),
        ("256.peaks", |path| flip(path, -3)),
        ("16384.peaks", |path| flip(path, 20)),
    ];
    let mut room = Room::new();
    let mut end = room.play(150_000).get();
    room.peaks();
    for (name, damage) in damages {
        damage(&room.file(name));
        room.reopen();
        end = room.play(501).get();
        room.peaks();
        for width in [3, 30, 300] {
            check(&room.read(0..end, width), 0..end, width, end / 256 * 256);
        }
    }
    room.seal();
    room.check(end, end);
}

fn truncate(path: &Path, len: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Spoils a byte, from the end if `at` is negative.
fn flip(path: &Path, at: isize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() };
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_spoilt_record_is_replaced_by_what_it_was_made_from() {
    let mut room = Room::new();
    let end = room.play(200_000).get();
    let made = room.peaks().get();
    for name in ["256.peaks", "1024.peaks", "4096.peaks"] {
        flip(&room.file(name), 64 + 16 * 3 + 2);
        flip(&room.file(name), 64 + 16 * 17 + 9);
    }
    room.check(end, made);
    // Another recording's file is no mistake of a few records.
    let mut other = Room::new();
    other.play(100);
    std::fs::rename(room.file("256.peaks"), room.file("x")).unwrap();
    let spec = Spec::new(SampleFormat::S16, 8_000, 2).unwrap();
    let foreign = Recording { spec, ..recording(2, 70_001) };
    let mut tape = TapeWriter::create(&room.dir, foreign).unwrap();
    tape.append(&[frames(7, 200_000)], time_of(0)).unwrap();
    let to = tape.sync().unwrap().end();
    PeaksWriter::open(&room.dir, Arc::new(tape.recording().clone()), to).unwrap().advance(to, u64::MAX).unwrap();
    let there = room.root.path().join("studio-a").join(tape.recording().id.to_string()).join("256.peaks");
    std::fs::copy(&there, room.file("256.peaks")).unwrap();
    assert_eq!(room.read(0..end, 100).points.len(), 0, "none of its own");
    // Its head alone makes nothing better.
    let mut bytes = std::fs::read(&there).unwrap();
    bytes[..64].copy_from_slice(&std::fs::read(room.file("x")).unwrap()[..64]);
    std::fs::write(room.file("256.peaks"), &bytes).unwrap();
    for name in ["1024.peaks", "4096.peaks", "16384.peaks"] {
        std::fs::remove_file(room.file(name)).unwrap();
    }
    room.check(end, made);
    room.reopen();
    room.peaks();
    room.check(end, made);
}

#[test]
fn deleted_meanwhile() {
    let mut room = Room::new();
    let end = room.play(10_000);
    room.seal();
    let mut reader = room.reader();
    let recording = room.tape.recording().clone();
    room.dir.delete(&recording.stream, recording.id).unwrap().purge().unwrap();
    assert!(reader.read(Frame::ZERO..end, 10_000).is_err_and(|e| e.is_missing()));
    room.reopen();
    assert!(room.peaks.advance(Frame::new(5_000), u64::MAX).is_err_and(|e| e.is_missing()));
    assert!(!room.file("256.peaks").exists());
}

#[test]
fn a_folder_for_reading_is_not_written() {
    let mut room = Room::new();
    let end = room.play(10_000);
    let reader = DataDir::open_read_only(room.root.path(), Disk::default()).unwrap();
    let refused = PeaksWriter::open(&reader, Arc::new(room.tape.recording().clone()), end);
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })));
    room.peaks();
    assert_eq!(room.peaks.end(), Frame::new(9_984));
}

/// Counts operations: cost without a clock.
#[derive(Default)]
struct Counting(AtomicU64);

impl Faults for Counting {
    fn check(&self, _: Op, _: &Path) -> std::io::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_day_costs_what_a_minute_costs() {
    let root = folder();
    let count = Arc::new(Counting::default());
    let dir = DataDir::open(root.path(), Disk::with_faults(Arc::clone(&count) as _)).unwrap();
    let day = Frame::new(24 * 3600 * 8_000 + 77);
    let long = Recording { segment_frames: FrameCount::new(8_000 * 3600), ..recording(1, 1) };
    let long = sparse_sealed_or_open(&dir, long, day.since(Frame::ZERO), true).unwrap();
    assert!(PeaksWriter::is_complete(&dir, &long));
    let long = Arc::new(long);
    let mut worst = 0;
    for (from, length) in [(0, 60), (0, 86_400), (40_000, 60), (43_200, 43_200), (80_000, 6_000), (0, 7_200)] {
        let before = count.0.load(Ordering::Relaxed);
        let frames = Frame::new(from * 8_000)..Frame::new((from + length) * 8_000).min(day);
        let peaks = PeaksReader::open(&dir, Arc::clone(&long)).read(frames, 1_000).unwrap();
        worst = worst.max(count.0.load(Ordering::Relaxed) - before);
        assert!(peaks.points.len() >= 1_000 && peaks.points.iter().all(|point| *point == Point::default()));
    }
    assert!(worst <= 40, "{worst} operations on the disk");
    // The coarsest zoom of all.
    let all = PeaksReader::open(&dir, long).read(Frame::ZERO..day, 1).unwrap();
    assert_eq!((all.points.len(), all.end), (2, day));
}

#[test]
fn durable_is_all_that_is_looked_at() {
    let mut room = Room::new();
    room.play(1_000);
    room.tape.append(&[frames(1_000, 1_000)], time_of(1_000)).unwrap();
    assert_eq!((room.tape.durable(), room.peaks().get()), (Durable(Frame::new(1_000)), 768));
}
