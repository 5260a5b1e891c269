//! Files that are not as they were left: what recovery, readers and `verify` make of them.

use crate::common::*;
use livetape_audio::{Entry, EventKind, Frame, FrameCount, SealReason, Tail};
use livetape_store::{
    DataDir, Disk, Recording, Recovery, StoreError, TapeReader, TapeWriter, TimelineFollower, durable_end,
    verify::verify,
};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Frames of a block in the recordings here.
const BLOCK: u64 = 100;

struct Left {
    _root: TempDir,
    dir: DataDir,
    recording: Recording,
}

/// An open recording of `blocks` blocks, each synced, in segments of 1000 frames, left behind without a seal.
fn left_behind(blocks: u64) -> Left {
    let root = folder();
    let dir = DataDir::open(root.path(), Disk::default()).unwrap();
    let mut tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    tape.note(anchor(0)).unwrap();
    for block in 0..blocks {
        let first = block * BLOCK;
        tape.append(&[counting(first, BLOCK, 0)], time_of(first)).unwrap();
        tape.sync().unwrap();
    }
    let recording = tape.recording().clone();
    Left { _root: root, dir, recording }
}

impl Left {
    fn file(&self, first: u64, extension: &str) -> PathBuf {
        segment_path(&self.dir, &self.recording, first, extension)
    }

    fn timeline(&self) -> PathBuf {
        path_of(&self.dir, &self.recording).join("timeline.log")
    }

    fn recover(&self) -> (TapeWriter, Recovery) {
        let (tape, recovery) = TapeWriter::recover(&self.dir, self.recording.clone(), time_of(77)).unwrap();
        let told = tape.timeline().entries().iter().filter(|entry| is_recovered(entry)).count();
        assert_eq!(told, usize::from(!recovery.is_clean()), "{recovery:?}");
        (tape, recovery)
    }

    /// Recovers, finds `end`, and goes on from there to a sealed recording.
    fn recovers_to(&self, end: u64) -> Recovery {
        assert_eq!(durable_end(&self.dir, &self.recording).unwrap().end().get(), end);
        let (mut tape, recovery) = self.recover();
        assert_eq!(recovery.end.end().get(), end);
        tape.append(&[counting(end, 2500, 0)], time_of(end)).unwrap();
        let sealed = tape.seal(SealReason::Operator, None, time_of(end + 2500)).unwrap();
        assert!(read(&self.dir, &sealed, 0, end + 2500) == counting(0, end + 2500, 0));
        recovery
    }

    fn findings(&self) -> Vec<String> {
        verify(&self.dir, &self.recording, &mut |_| {}).unwrap().findings
    }
}

fn is_recovered(entry: &Entry) -> bool {
    matches!(entry, Entry::Event(event) if event.kind == EventKind::Recovered && event.time == time_of(77))
}

fn set_len(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

fn flip(path: &Path, at: u64) {
    let byte = fs::read(path).unwrap()[at as usize];
    overwrite(path, at, &[byte ^ 0x20]);
}

#[test]
fn stopped_without_a_seal_is_no_damage() {
    for blocks in [0, 1, 9, 10, 11, 25] {
        let left = left_behind(blocks);
        assert!(left.findings().is_empty());
        let recovery = left.recovers_to(blocks * BLOCK);
        assert!(recovery.is_clean(), "{recovery:?}");
    }
}

#[test]
fn a_short_segment_ends_where_its_last_whole_block_does() {
    for (len, end) in [(2000, 2500), (1999, 2400), (1, 2000), (0, 2000)] {
        let left = left_behind(25);
        set_len(&left.file(2000, "pcm"), len);
        let recovery = left.recovers_to(end);
        assert_eq!(recovery.cut, FrameCount::new(2500 - end));
    }
    let left = left_behind(25);
    fs::remove_file(left.file(2000, "pcm")).unwrap();
    assert_eq!(left.recovers_to(2000).cut, FrameCount::new(500));
}

#[test]
fn rubbish_in_the_last_blocks_is_cut() {
    let left = left_behind(25);
    // The disk had not written what it said was durable: three blocks are zero.
    overwrite(&left.file(2000, "pcm"), 200 * 4, &[0; 1200]);
    assert_eq!(left.recovers_to(2200).cut, FrameCount::new(300));
    // A half-written block that never was in the index.
    let left = left_behind(25);
    overwrite(&left.file(2000, "pcm"), 500 * 4, &[7; 33]);
    assert_eq!(left.recovers_to(2500).cut, FrameCount::new(9));
}

#[test]
fn a_damaged_index_costs_no_audio_that_can_be_proven() {
    // In the middle, all of the audio stays; the seal leaves the index as it is, and `verify` says which part it misses.
    let left = left_behind(25);
    flip(&left.file(2000, "idx"), 2 * 32 + 5);
    assert!(left.recovers_to(2500).is_clean());
    let findings = verify_sealed(&left);
    assert!(findings.iter().any(|f| f.contains("block 2 is damaged")), "{findings:?}");
    assert!(findings.iter().any(|f| f.contains("frames 2200 to 2300 have no checksum")), "{findings:?}");
    // At the end, what it described cannot be proven any more.
    let left = left_behind(25);
    flip(&left.file(2000, "idx"), 4 * 32 + 31);
    assert_eq!(left.recovers_to(2400).cut, FrameCount::new(100));
    for (name, rubbish) in [("zero", vec![0; 320]), ("foreign", b"\xff\xd8\xff\xe0 JFIF".repeat(40)), ("empty", vec![])]
    {
        let left = left_behind(25);
        fs::write(left.file(2000, "idx"), rubbish).unwrap();
        assert_eq!(left.recovers_to(2000).cut, FrameCount::new(500), "{name}");
    }
    let left = left_behind(25);
    fs::remove_file(left.file(2000, "idx")).unwrap();
    left.recovers_to(2000);
}

fn verify_sealed(left: &Left) -> Vec<String> {
    let sealed = left.dir.scan().unwrap().recordings.remove(0);
    verify(&left.dir, &sealed, &mut |_| {}).unwrap().findings
}

#[test]
fn much_audio_without_an_index_is_kept_beside() {
    let root = folder();
    let dir = DataDir::open(root.path(), Disk::default()).unwrap();
    let mut tape = TapeWriter::create(&dir, recording(1, 1_000_000)).unwrap();
    let long = 8_000 * 11;
    tape.append(&[counting(0, 500, 0)], time_of(0)).unwrap();
    tape.append(&[counting(500, long, 0)], time_of(500)).unwrap();
    tape.sync().unwrap();
    let recording = tape.recording().clone();
    drop(tape);
    set_len(&segment_path(&dir, &recording, 0, "idx"), 32);
    let (tape, recovery) = TapeWriter::recover(&dir, recording.clone(), start()).unwrap();
    assert_eq!((tape.durable().end(), recovery.cut), (Frame::new(500), FrameCount::new(long)));
    let [kept] = recovery.kept.as_slice() else { panic!("{recovery:?}") };
    assert!(fs::read(kept).unwrap() == counting(500, long, 0));
}

#[test]
fn a_segment_that_was_only_begun() {
    // Both files, one of them, or an index block without its audio.
    for (idx, block) in [(false, false), (true, false), (true, true)] {
        let left = left_behind(10);
        fs::write(left.file(1000, "pcm"), [0; 4096]).unwrap();
        if idx {
            fs::write(left.file(1000, "idx"), [0; 320]).unwrap();
        }
        if block {
            fs::copy(left_behind(11).file(1000, "idx"), left.file(1000, "idx")).unwrap();
        }
        let recovery = left.recovers_to(1000);
        assert_eq!(recovery.cut, FrameCount::new(if block { 100 } else { 0 }));
    }
}

#[test]
fn a_foreign_segment_is_put_aside() {
    let left = left_behind(5);
    fs::write(left.file(1000, "pcm"), "not audio").unwrap();
    fs::write(left.file(5000, "idx"), "no index").unwrap();
    fs::write(left.file(1234, "pcm"), "off the grid").unwrap();
    let (tape, recovery) = left.recover();
    assert_eq!(tape.durable().end(), Frame::new(500));
    assert_eq!(recovery.kept.len(), 2, "{recovery:?}");
    assert!(!left.file(1000, "pcm").exists() && left.file(1234, "pcm").exists());
    let kept: Vec<_> = recovery.kept.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(kept, ["no index", "not audio"]);
}

#[test]
fn a_torn_timeline_is_cut_and_a_lost_one_made_again() {
    // A torn tail.
    let left = left_behind(5);
    let whole = fs::read(left.timeline()).unwrap();
    fs::write(left.timeline(), [&whole[..], &whole[..20]].concat()).unwrap();
    let recovery = left.recovers_to(500);
    assert_eq!((recovery.damaged, recovery.entries), (20, 0));
    // Entries about frames that are gone.
    let left = left_behind(5);
    let late = fs::read(left_behind_with_anchor(600).timeline()).unwrap();
    fs::write(left.timeline(), &late).unwrap();
    let recovery = left.recovers_to(500);
    assert_eq!((recovery.damaged, recovery.entries), (0, 1));
    // Nothing left of it: the index knows when the first frame was.
    for content in [vec![], vec![0; 4096], b"GIF89a".repeat(2000)] {
        let left = left_behind(5);
        fs::write(left.timeline(), &content).unwrap();
        let (tape, recovery) = left.recover();
        assert_eq!(tape.timeline().time_of(Frame::new(0)), Some(time_of(0)));
        assert_eq!(recovery.damaged, content.len() as u64);
        assert_eq!(recovery.kept.len(), usize::from(content.len() > 10_000), "what may have been one is kept");
        drop(tape);
        assert!(left.recover_again().is_clean());
    }
    let left = left_behind(5);
    fs::remove_file(left.timeline()).unwrap();
    assert_eq!(left.recover().0.timeline().time_of(Frame::new(499)), Some(time_of(499)));
}

impl Left {
    fn recover_again(&self) -> Recovery {
        TapeWriter::recover(&self.dir, self.recording.clone(), time_of(78)).unwrap().1
    }
}

fn left_behind_with_anchor(frame: u64) -> Left {
    let left = left_behind(frame / BLOCK);
    let (mut tape, _) = left.recover();
    tape.note(anchor(frame)).unwrap();
    tape.sync().unwrap();
    left
}

/// Bytes of the first record of a timeline.
fn record_len(bytes: &[u8]) -> usize {
    8 + u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize
}

#[test]
fn damage_inside_a_timeline_costs_only_what_was_damaged() {
    let left = left_behind_with_anchor(500);
    let (mut tape, _) = left.recover();
    tape.note(anchor(500)).unwrap();
    tape.append(&[counting(500, 100, 0)], time_of(500)).unwrap();
    tape.note(anchor(600)).unwrap();
    tape.append(&[counting(600, 100, 0)], time_of(600)).unwrap();
    tape.sync().unwrap();
    drop(tape);
    let bytes = fs::read(left.timeline()).unwrap();
    let (second, third) = (record_len(&bytes), record_len(&bytes[record_len(&bytes)..]));
    flip(&left.timeline(), second as u64 + 20);
    assert!(left.findings().iter().any(|f| f.contains("no entries")));
    // A follower of an open recording waits there; a rewritten file is read anew.
    let mut follower = TimelineFollower::open(&left.dir, &left.recording);
    follower.refresh(&open_tail(701)).unwrap();
    assert_eq!(follower.timeline().entries(), [anchor(0)]);
    let sealed = Tail { state: livetape_audio::State::Sealed, ..open_tail(701) };
    let mut of_sealed = TimelineFollower::open(&left.dir, &left.recording);
    of_sealed.refresh(&sealed).unwrap();
    of_sealed.refresh(&sealed).unwrap();
    assert_eq!(of_sealed.timeline().entries(), [anchor(0), anchor(600)], "the end is known: nothing else will come");
    let (tape, recovery) = left.recover();
    assert_eq!(recovery.damaged, third as u64);
    assert_eq!(tape.timeline().entries()[..2], [anchor(0), anchor(600)]);
    follower.refresh(&open_tail(701)).unwrap();
    assert_eq!(follower.timeline().entries(), tape.timeline().entries());
}

#[test]
fn a_recording_of_a_newer_version_is_not_recovered() {
    let left = left_behind(5);
    let path = path_of(&left.dir, &left.recording).join("recording.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&path, &text).unwrap();
    let audio = fs::read(left.file(0, "pcm")).unwrap();
    let refused = TapeWriter::recover(&left.dir, left.recording.clone(), start()).unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 2, known: 1, .. }), "{refused}");
    assert!(fs::read_to_string(&path).unwrap() == text && fs::read(left.file(0, "pcm")).unwrap() == audio);
}

/// Seals, damages, and wants every word in one finding.
fn finds(damage: impl Fn(&Left), words: &[&str]) {
    let mut left = left_behind(25);
    let (mut tape, _) = left.recover();
    left.recording = tape.seal(SealReason::Operator, None, time_of(2500)).unwrap();
    assert!(left.findings().is_empty());
    damage(&left);
    let findings = left.findings();
    assert!(findings.iter().any(|f| words.iter().all(|word| f.contains(word))), "{words:?} not in {findings:#?}");
}

#[test]
fn verify_finds_what_is_wrong() {
    finds(
        |left| flip(&left.file(1000, "pcm"), 2222),
        &["00001000.pcm", "frames 1000 to 2000 are not what was recorded"],
    );
    finds(|left| flip(&left.file(1000, "idx"), 9), &["00001000.idx", "frames 1000 to 2000 have no checksum"]);
    finds(|left| fs::remove_file(left.file(1000, "pcm")).unwrap(), &["00001000.pcm", "missing"]);
    finds(|left| fs::remove_file(left.file(0, "idx")).unwrap(), &["00000000.idx", "missing"]);
    finds(|left| set_len(&left.file(0, "pcm"), 3999), &["00000000.pcm", "3999 bytes", "4000"]);
    finds(|left| set_len(&left.file(2000, "pcm"), 4000), &["00002000.pcm", "4000 bytes", "2000"]);
    finds(|left| set_len(&left.file(2000, "idx"), 0), &["00002000.idx", "frames 2000 to 2500 have no checksum"]);
    finds(|left| flip(&left.timeline(), 20), &["timeline.log", "no entries"]);
    finds(|left| fs::remove_file(left.timeline()).unwrap(), &["timeline.log", "missing"]);
}

#[test]
fn missing_frames_are_an_error_and_no_silence() {
    let left = left_behind(25);
    set_len(&left.file(1000, "pcm"), 3996);
    let mut reader = TapeReader::open(&left.dir, &left.recording);
    assert!(reader.read(Frame::new(1000)..Frame::new(1999)).is_ok());
    let error = reader.read(Frame::new(1998)..Frame::new(2000)).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { path, .. } if *path == left.file(1000, "pcm")), "{error}");
    // Nobody has to have the memory for what is not there.
    let error = reader.read(Frame::new(0)..Frame::new(u64::MAX)).map(|bytes| bytes.len());
    assert_eq!(error.unwrap(), 4000, "the first segment");
    // A recording with a lost segment still goes on.
    let (tape, _) = left.recover();
    assert_eq!(tape.durable().end(), Frame::new(2500));
}
