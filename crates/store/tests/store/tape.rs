//! What writer, reader and follower promise while nothing goes wrong, and what they refuse.

use crate::common::*;
use livetape_audio::{Anchor, Durable, Entry, Event, EventKind, Frame, Generation, Mark, SealReason, TimelineError};
use livetape_store::{
    DataDir, Disk, Recording, StoreError, TapeReader, TapeWriter, TimelineFollower, durable_end, verify::verify,
};
use std::fs;

fn data() -> (tempfile::TempDir, DataDir) {
    let root = folder();
    let dir = DataDir::open(root.path(), Disk::default()).unwrap();
    (root, dir)
}

fn frames(range: std::ops::Range<u64>) -> std::ops::Range<Frame> {
    Frame::new(range.start)..Frame::new(range.end)
}

#[test]
fn a_tape_from_the_first_frame_to_its_seal() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    tape.note(anchor(0)).unwrap();
    assert_eq!(tape.append(&[counting(0, 300, 0), counting(300, 200, 0)], time_of(0)).unwrap().end(), Frame::new(500));
    assert_eq!(tape.durable(), Durable(Frame::ZERO), "written is not durable");
    assert_eq!(tape.sync().unwrap(), Durable(Frame::new(500)));
    assert_eq!(tape.append(&[], time_of(500)).unwrap().end(), Frame::new(500), "nothing is nothing");
    // Over two boundaries at once.
    tape.append(&[counting(500, 2000, 0)], time_of(500)).unwrap();
    assert_eq!(tape.durable(), Durable(Frame::new(2000)), "complete segments are durable");
    tape.sync().unwrap();

    let recording = tape.recording().clone();
    let mut reader = TapeReader::open(&dir, &recording);
    assert!(reader.read(frames(10..20)).unwrap() == counting(10, 10, 0));
    assert!(reader.read(frames(990..1010)).unwrap() == counting(990, 10, 0), "up to the end of the segment");
    assert!(reader.read(frames(1000..2500)).unwrap() == counting(1000, 1000, 0));
    assert!(reader.read(frames(7..7)).unwrap().is_empty());
    assert!(read(&dir, &recording, 0, 2500) == counting(0, 2500, 0));

    let sealed = tape.seal(SealReason::SourceEnded, None, time_of(2500)).unwrap();
    let seal = sealed.seal.unwrap();
    assert_eq!((seal.end, seal.ended, seal.reason), (Frame::new(2500), time_of(2500), SealReason::SourceEnded));
    assert_eq!(tape.seal(SealReason::Operator, None, time_of(9)).unwrap(), sealed, "sealed is sealed");
    assert!(matches!(tape.append(&[counting(0, 1, 0)], time_of(0)), Err(StoreError::Sealed { .. })));
    assert!(matches!(tape.note(anchor(2500)), Err(StoreError::Sealed { .. })));
    assert!(matches!(tape.sync(), Err(StoreError::Sealed { .. })));
    assert!(matches!(tape.rewind(), Err(StoreError::Sealed { .. })));
    assert_eq!(dir.scan().unwrap().recordings, std::slice::from_ref(&sealed));

    // Every file is as long as its content, and the index has about a block for each second.
    for (first, frames) in [(0, 1000), (1000, 1000), (2000, 500)] {
        assert_eq!(fs::metadata(segment_path(&dir, &sealed, first, "pcm")).unwrap().len(), frames * FRAME as u64);
        assert_eq!(fs::metadata(segment_path(&dir, &sealed, first, "idx")).unwrap().len(), 32);
    }
    assert_eq!(durable_end(&dir, &sealed).unwrap(), Durable(Frame::new(2500)));
}

#[test]
fn a_growing_segment_is_longer_than_its_content() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 10_000_000)).unwrap();
    tape.append(&[counting(0, 100, 0)], time_of(0)).unwrap();
    tape.sync().unwrap();
    let path = segment_path(&dir, tape.recording(), 0, "pcm");
    let len = fs::metadata(&path).unwrap().len();
    assert!(len == 1 << 20 || len == 400, "reserved, where the file system can: {len}");
    assert_eq!(durable_end(&dir, tape.recording()).unwrap(), Durable(Frame::new(100)));
    let sealed = tape.seal(SealReason::Operator, None, time_of(100)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 400);
    assert!(verify(&dir, &sealed, &mut |_| {}).unwrap().findings.is_empty());
}

#[test]
fn refused_input_changes_nothing() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    tape.note(anchor(0)).unwrap();
    tape.append(&[counting(0, 10, 0)], time_of(0)).unwrap();
    let half = counting(10, 2, 0).slice(..7);
    let refused = tape.append(&[counting(10, 5, 0), half], time_of(10)).unwrap_err();
    assert_eq!(refused.to_string(), "7 bytes of audio are no whole number of frames of 4 bytes");
    assert!(matches!(tape.note(anchor(11)), Err(StoreError::Ahead { .. })));
    tape.note(anchor(10)).unwrap();
    assert!(matches!(tape.note(anchor(9)), Err(StoreError::Timeline(TimelineError::Backwards { .. }))));
    let long = Event { frame: Frame::ZERO, time: start(), kind: EventKind::ClockStep, detail: "x".repeat(5000) };
    assert!(matches!(tape.note(Entry::Event(long)), Err(StoreError::TooLong { .. })));
    assert_eq!(tape.written().end(), Frame::new(10));
    assert_eq!(tape.timeline().entries(), [anchor(0), anchor(10)]);
    tape.append(&[counting(10, 10, 0)], time_of(10)).unwrap();
    tape.sync().unwrap();
    assert!(read(&dir, tape.recording(), 0, 20) == counting(0, 20, 0));
}

#[test]
fn one_recorder_many_readers() {
    let (root, dir) = data();
    let generation = dir.generation();
    assert!(generation > Generation(0));
    let refused = DataDir::open(root.path(), Disk::default()).unwrap_err();
    assert!(matches!(&refused, StoreError::Locked { path } if path == root.path()), "{refused}");
    let reader = DataDir::open_read_only(root.path(), Disk::default()).unwrap();
    assert_eq!(reader.generation(), generation);
    assert!(matches!(TapeWriter::create(&reader, recording(1, 10)), Err(StoreError::ReadOnly { .. })));
    let clone = dir.clone();
    drop(dir);
    assert!(DataDir::open(root.path(), Disk::default()).is_err(), "a clone holds the lock");
    drop(clone);
    assert!(DataDir::open(root.path(), Disk::default()).unwrap().generation() > generation);
    let absent = root.path().join("absent");
    assert!(DataDir::open_read_only(&absent, Disk::default()).unwrap_err().is_missing());
    assert!(!absent.exists());
    assert!(DataDir::open(&absent.join("deeper"), Disk::default()).is_ok(), "made, with what is above it");
}

#[test]
fn generations_rise_and_those_of_copies_differ() {
    for last in [0, 1, 7 << 20, u64::MAX] {
        let next = [(); 3].map(|()| {
            let root = folder();
            fs::write(root.path().join("recorder.json"), format!("{{\"format\":1,\"generation\":{last}}}")).unwrap();
            let generation = DataDir::open(root.path(), Disk::default()).unwrap().generation().0;
            assert_eq!(DataDir::open_read_only(root.path(), Disk::default()).unwrap().generation().0, generation);
            generation
        });
        assert!(last == u64::MAX || (next.iter().all(|next| *next > last) && next[1..] != [next[0]; 2]), "{next:?}");
    }
}

#[test]
fn a_data_folder_of_a_newer_version_is_left_alone() {
    let root = folder();
    let path = root.path().join("recorder.json");
    for (content, word) in [
        ("{\"format\":2,\"generation\":{\"a\":1}}", "newer version (format 2"),
        ("", "damaged"),
        ("{\"format\":1}", "generation"),
    ] {
        fs::write(&path, content).unwrap();
        for result in
            [DataDir::open(root.path(), Disk::default()), DataDir::open_read_only(root.path(), Disk::default())]
        {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(word) && message.contains("recorder.json"), "{message}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn what_is_no_recording_is_reported_and_left() {
    let (root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 10)).unwrap();
    let good = tape.seal(SealReason::Operator, None, start()).unwrap();
    let stream = root.path().join("studio-a");
    let id = |n| recording(n, 10).id.to_string();
    let text = fs::read_to_string(stream.join(id(1)).join("recording.json")).unwrap();
    let cases = [
        (id(3), Some(text.replace("\"format\": 1", "\"format\": 7")), "newer version (format 7"),
        (id(4), Some(text.clone()), "not what its folder is named"),
        (id(5), Some("\0".repeat(300)), "damaged"),
        (id(6), Some("x".repeat(100_000)), "more than"),
        ("notes".into(), None, "UUID"),
    ];
    for (name, content, _) in &cases {
        fs::create_dir(stream.join(name)).unwrap();
        if let Some(content) = content {
            fs::write(stream.join(name).join("recording.json"), content).unwrap();
        }
    }
    // Audio that nobody knows to be a recording any more is not thrown away; the beginning of a recording is.
    fs::create_dir(stream.join(id(2))).unwrap();
    fs::write(stream.join(id(2)).join("00000000000000000000.pcm"), [vec![0; 200_000], vec![1]].concat()).unwrap();
    fs::create_dir(stream.join(id(7))).unwrap();
    fs::write(stream.join(id(7)).join("00000000000000000000.pcm"), [0; 9]).unwrap();
    for folder in ["UPPER", "lost+found", ".snapshots"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    fs::write(root.path().join("studio-b"), "a file").unwrap();
    let scan = dir.scan().unwrap();
    assert_eq!(scan.recordings, [good]);
    assert_eq!(scan.problems.len(), cases.len() + 2, "{:?}", scan.problems);
    assert!(scan.problems.iter().any(|p| p.path.ends_with(id(2)) && p.what.contains("recording.json")));
    dir.tidy();
    assert!(stream.join(id(2)).exists() && !stream.join(id(7)).exists());
    for (name, content, word) in cases {
        let problem = scan.problems.iter().find(|p| p.path.ends_with(&name)).unwrap();
        assert!(problem.what.contains(word), "{problem:?}");
        let path = stream.join(&name).join("recording.json");
        assert_eq!(fs::read_to_string(path).ok(), content, "left as it is");
    }
    assert!(scan.problems.iter().any(|p| p.path.ends_with("UPPER")));
    // An id is used once, even if what is there is no recording.
    assert!(matches!(TapeWriter::create(&dir, recording(2, 10)), Err(StoreError::Exists { .. })));
    assert!(matches!(TapeWriter::create(&dir, recording(8, 0)), Err(StoreError::Damaged { .. })));
}

#[test]
fn who_pushes_can_change() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 10)).unwrap();
    let before = tape.recording().clone();
    let instance = livetape_audio::Instance([5; 16]);
    let (source, title, genre) = ("stdin".parse().unwrap(), "New".parse().unwrap(), "Jazz".parse().unwrap());
    tape.update(before.epoch.next(), instance, source, title, genre).unwrap();
    let due = Recording {
        epoch: before.epoch.next(),
        instance,
        source: "stdin".parse().unwrap(),
        title: "New".parse().unwrap(),
        genre: "Jazz".parse().unwrap(),
        ..before
    };
    assert_eq!(tape.recording(), &due);
    assert_eq!(dir.scan().unwrap().recordings, [due]);
}

#[test]
fn a_follower_reads_below_the_tail() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    let mut follower = TimelineFollower::open(&dir, tape.recording());
    let mut seen = |end: u64| {
        follower.refresh(&open_tail(end)).unwrap();
        follower.timeline().entries().len()
    };
    assert_eq!(seen(0), 0);
    // More than is read at a time.
    let mark = |frame, n: u32| {
        Entry::Mark(Mark { frame: Frame::new(frame), text: format!("{n} {}", "é".repeat(240)).parse().unwrap() })
    };
    for frame in 0..10 {
        tape.note(anchor(frame)).unwrap();
        for n in 0..40 {
            tape.note(mark(frame, n)).unwrap();
        }
        tape.append(&[counting(frame, 1, 0)], time_of(frame)).unwrap();
    }
    assert_eq!(seen(0), 0, "nothing about frames that are not there yet");
    assert_eq!(seen(3), 3 * 41);
    assert_eq!(seen(3), 3 * 41);
    assert_eq!(seen(10), 410);
    tape.note(mark(2, 99)).unwrap();
    tape.note(anchor(10)).unwrap();
    assert_eq!(seen(10), 411);
    // What was not synced is taken back.
    tape.rewind().unwrap();
    assert_eq!(seen(0), 0);
    tape.note(anchor(0)).unwrap();
    tape.append(&[counting(0, 50, 1)], time_of(0)).unwrap();
    tape.note(anchor(50)).unwrap();
    let sealed = tape.seal(SealReason::Operator, None, time_of(50)).unwrap();
    follower.refresh(&sealed.sealed_tail(dir.generation()).unwrap()).unwrap();
    assert_eq!(follower.timeline().entries(), [anchor(0), anchor(50)], "all of it, also what is said about the end");
}

#[test]
fn a_follower_copies_only_what_somebody_keeps() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    let mut follower = TimelineFollower::open(&dir, tape.recording());
    let mut kept = None;
    let mut place = std::ptr::null();
    for frame in 0..10 {
        tape.note(anchor(frame)).unwrap();
        tape.append(&[counting(frame, 1, 0)], time_of(frame)).unwrap();
        follower.refresh(&open_tail(frame + 1)).unwrap();
        let now = std::sync::Arc::as_ptr(&follower.shared());
        assert_eq!(now == place, frame > 0 && kept.is_none(), "entry {frame}");
        kept = (frame == 5).then(|| follower.shared());
        place = now;
    }
    assert_eq!(follower.timeline().entries().len(), 10);
}

/// Times of day are those of the source, and what the clock did meanwhile does not hide any.
#[test]
fn a_seal_tells_the_earliest_time_of_day() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    let mut earliest = Vec::new();
    for (frame, time) in [(0, 500), (10, 400), (20, 600), (30, 100)] {
        tape.note(Entry::Anchor(Anchor { frame: Frame::new(frame), time: time_of(time) })).unwrap();
        earliest.push(livetape_store::earliest(tape.timeline(), tape.written().end()));
        if frame < 30 {
            tape.append(&[counting(frame, 10, 0)], time_of(time)).unwrap();
        }
    }
    assert_eq!(earliest, [None, Some(time_of(500)), Some(time_of(400)), Some(time_of(400))]);
    let seal = tape.seal(SealReason::Operator, None, time_of(610)).unwrap().seal.unwrap();
    assert_eq!((seal.earliest, seal.ended), (Some(time_of(400)), time_of(610)), "not of a frame that did not come");
    let empty = TapeWriter::create(&dir, recording(2, 1000)).unwrap().seal(SealReason::Operator, None, time_of(0));
    assert_eq!(empty.unwrap().seal.unwrap().earliest, None);
}

#[test]
fn a_deleted_recording_is_missing_but_what_is_open_can_be_read() {
    let (_root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 10)).unwrap();
    tape.append(&[counting(0, 20, 0)], time_of(0)).unwrap();
    let sealed = tape.seal(SealReason::Operator, None, time_of(20)).unwrap();
    let mut reader = TapeReader::open(&dir, &sealed);
    reader.read(frames(0..5)).unwrap();
    fs::remove_dir_all(path_of(&dir, &sealed)).unwrap();
    assert!(reader.read(frames(5..10)).unwrap() == counting(5, 5, 0));
    assert!(reader.read(frames(10..15)).unwrap_err().is_missing());
    let mut follower = TimelineFollower::open(&dir, &sealed);
    assert!(follower.refresh(&open_tail(20)).unwrap_err().is_missing());
}

/// Whoever reads below the tail sees what was recorded, whatever the writer is doing at that moment.
#[test]
fn readers_beside_a_writer() {
    use std::sync::atomic::{AtomicU64, Ordering};
    const END: u64 = 60_000;
    let (root, dir) = data();
    let mut tape = TapeWriter::create(&dir, recording(1, 777)).unwrap();
    let (recording, tail) = (tape.recording().clone(), AtomicU64::new(0));
    let beside = DataDir::open_read_only(root.path(), Disk::default()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0;
            for round in 0.. {
                tape.note(anchor(at)).unwrap();
                tape.append(&[counting(at, 100, 0)], time_of(at)).unwrap();
                if round % 7 == 3 {
                    // Written, and taken back before it was durable.
                    at = tape.rewind().unwrap().end().get();
                    continue;
                }
                at = tape.sync().unwrap().end().get();
                tail.store(at, Ordering::Release);
                if at >= END {
                    break;
                }
            }
        });
        scope.spawn(|| {
            let mut follower = TimelineFollower::open(&beside, &recording);
            let mut seen = 0;
            while seen < END {
                let end = tail.load(Ordering::Acquire);
                assert!(durable_end(&beside, &recording).unwrap().end().get() >= end);
                assert!(
                    read(&beside, &recording, seen.saturating_sub(500), end)
                        == counting(seen.saturating_sub(500), end - seen.saturating_sub(500), 0)
                );
                follower.refresh(&open_tail(end)).unwrap();
                let entries = follower.timeline().entries();
                assert!(entries.iter().all(|entry| entry.frame() < Frame::new(end)));
                assert!(end == 0 || entries.last().unwrap().frame().get() + 100 >= end);
                seen = end;
            }
        });
    });
}
