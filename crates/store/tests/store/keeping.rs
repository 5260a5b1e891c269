//! What those who keep recordings do to finished ones: describe, lock, mark, delete.

use crate::common::{counting, folder, path_of, read, recording, time_of};
use livetape_audio::{Durable, Entry, Epoch, Frame, Instance, Mark, SealReason, Tail};
use livetape_store::{
    DataDir, Disk, Edit, Faults, Op, Recording, StoreError, TapeReader, TapeWriter, TimelineFollower,
};
use std::io;
use std::path::Path;
use std::sync::Arc;

fn sealed(dir: &DataDir, n: u8) -> Recording {
    let mut tape = TapeWriter::create(dir, recording(n, 1000)).unwrap();
    tape.note(crate::common::anchor(0)).unwrap();
    tape.append(&[counting(0, 2500, 0)], time_of(0)).unwrap();
    tape.seal(SealReason::SourceEnded, None, time_of(2500)).unwrap()
}

fn edit() -> Edit {
    let notes = Some("two\nlines".parse().unwrap());
    Edit { title: Some("A title".parse().unwrap()), notes, locked: Some(true), ended: false }
}

fn mark(frame: u64, text: &str) -> Entry {
    Entry::Mark(Mark { frame: Frame::new(frame), text: text.parse().unwrap() })
}

fn entries(follower: &mut TimelineFollower, recording: &Recording) -> Vec<Entry> {
    let end = recording.seal.unwrap().end;
    follower.refresh(&Tail::sealed(Durable(end), None, livetape_audio::Generation(1))).unwrap();
    follower.timeline().entries().to_vec()
}

#[test]
fn edits_of_finished_recordings_last() {
    let folder = folder();
    let dir = DataDir::open(folder.path(), Disk::default()).unwrap();
    let before = sealed(&dir, 1);
    let after = dir.edit(&before.stream, before.id, edit()).unwrap();
    assert_eq!((after.title.as_str(), after.notes.as_str(), after.locked), ("A title", "two\nlines", true));
    assert_eq!(dir.scan().unwrap().recordings, std::slice::from_ref(&after));
    let again = dir.edit(&before.stream, before.id, Edit { locked: Some(false), ..Edit::default() }).unwrap();
    assert_eq!(again, Recording { locked: false, ..after });
    assert_eq!(read(&dir, &again, 0, 2500), counting(0, 2500, 0));
    let unknown = recording(9, 1000);
    assert!(dir.edit(&unknown.stream, unknown.id, edit()).unwrap_err().is_missing());
}

#[test]
fn a_given_title_is_not_changed_by_sources() {
    let folder = folder();
    let dir = DataDir::open(folder.path(), Disk::default()).unwrap();
    let mut tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    let update = |tape: &mut TapeWriter, title: &str| {
        let (source, title, genre) = ("source".parse().unwrap(), title.parse().unwrap(), "Jazz".parse().unwrap());
        tape.update(Epoch(2), Instance([2; 16]), source, title, genre).unwrap();
        tape.recording().title.to_string()
    };
    assert_eq!(update(&mut tape, "The source's"), "The source's");
    tape.edit(edit()).unwrap();
    assert_eq!(update(&mut tape, "Another of the source"), "A title");
    assert_eq!(dir.scan().unwrap().recordings, [tape.recording().clone()]);
    let sealed = tape.seal(SealReason::Operator, None, time_of(0)).unwrap();
    assert!(sealed.locked && sealed.titled && sealed.notes.as_str() == "two\nlines");
    assert!(matches!(tape.edit(edit()), Err(StoreError::Sealed { .. })));
}

#[test]
fn marks_on_finished_recordings_reach_those_who_follow() {
    let folder = folder();
    let dir = DataDir::open(folder.path(), Disk::default()).unwrap();
    let recording = sealed(&dir, 1);
    let mut follower = TimelineFollower::open(&dir, &recording);
    assert_eq!(entries(&mut follower, &recording).len(), 1);
    for (frame, text) in [(2000, "late"), (10, "early")] {
        dir.annotate(&recording.stream, recording.id, &mark(frame, text)).unwrap();
    }
    let due = [crate::common::anchor(0), mark(2000, "late"), mark(10, "early")];
    assert_eq!(entries(&mut follower, &recording), due);
    assert_eq!(dir.entries(&recording.stream, recording.id).unwrap(), due);
    let ahead = dir.annotate(&recording.stream, recording.id, &mark(2501, "ahead"));
    assert!(matches!(ahead, Err(StoreError::Ahead { .. })));
}

#[test]
fn what_is_being_recorded_is_left_to_its_writer() {
    let folder = folder();
    let dir = DataDir::open(folder.path(), Disk::default()).unwrap();
    let tape = TapeWriter::create(&dir, recording(1, 1000)).unwrap();
    let (stream, id) = (tape.recording().stream.clone(), tape.recording().id);
    assert!(matches!(dir.edit(&stream, id, edit()), Err(StoreError::Open { .. })));
    assert!(matches!(dir.annotate(&stream, id, &mark(0, "x")), Err(StoreError::Open { .. })));
    assert!(matches!(dir.delete(&stream, id), Err(StoreError::Open { .. })));
    let reader = DataDir::open_read_only(folder.path(), Disk::default()).unwrap();
    assert!(matches!(reader.delete(&stream, id), Err(StoreError::ReadOnly { .. })));
}

#[test]
fn deleting_spares_who_reads_and_is_finished_after_a_crash() {
    let folder = folder();
    let dir = DataDir::open(folder.path(), Disk::default()).unwrap();
    let (first, second) = (sealed(&dir, 1), sealed(&dir, 2));
    let mut reader = TapeReader::open(&dir, &first);
    reader.read(Frame::ZERO..Frame::new(10)).unwrap();
    dir.delete(&first.stream, first.id).unwrap().purge().unwrap();
    let rest = reader.read(Frame::new(10)..Frame::new(1000)).unwrap();
    assert_eq!(rest, counting(10, 990, 0), "the file that it has open stays for it");
    assert!(reader.read(Frame::new(1000)..Frame::new(1010)).unwrap_err().is_missing());
    assert!(!path_of(&dir, &first).exists());
    assert!(dir.delete(&first.stream, first.id).unwrap_err().is_missing());
    // The process ends between the two steps.
    drop(dir.delete(&second.stream, second.id).unwrap());
    assert!(dir.scan().unwrap().recordings.is_empty() && dir.scan().unwrap().problems.is_empty());
    let stream = dir.path().join(second.stream.as_str());
    assert_eq!(std::fs::read_dir(&stream).unwrap().count(), 1);
    dir.tidy();
    assert!(!stream.exists(), "a stream without recordings leaves nothing");
    assert!(dir.path().join("LOCK").exists());
    let space = dir.space().unwrap();
    assert!(space.free > 0 && space.free <= space.size, "{space:?}");
}

struct Failing(Op);

impl Faults for Failing {
    fn check(&self, op: Op, path: &Path) -> io::Result<()> {
        let hit = op == self.0 && !path.ends_with("recorder.json") && !path.ends_with("recorder.json.new");
        if hit && std::thread::current().name() == Some("faulty") {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

#[test]
fn a_failed_change_changes_nothing() {
    for op in [Op::Write, Op::Sync, Op::Rename, Op::Create] {
        let folder = folder();
        let dir = DataDir::open(folder.path(), Disk::with_faults(Arc::new(Failing(op)))).unwrap();
        let recording = sealed(&dir, 1);
        let (of, stream, id) = (dir.clone(), recording.stream.clone(), recording.id);
        let faulty = std::thread::Builder::new().name("faulty".into());
        let work = move || (of.edit(&stream, id, edit()).is_err(), of.annotate(&stream, id, &mark(5, "x")).is_err());
        let (edit_failed, mark_failed) = faulty.spawn(work).unwrap().join().unwrap();
        assert!(edit_failed && mark_failed == matches!(op, Op::Write | Op::Sync), "{op:?}");
        let found = dir.scan().unwrap().recordings;
        // A rename that was done and not proven durable may be there: it is said to have failed, which is right too.
        assert!(found == [recording.clone()] || op == Op::Sync, "{op:?}: {found:?}");
        let marks = usize::from(!mark_failed);
        assert_eq!(dir.entries(&recording.stream, recording.id).unwrap().len(), 1 + marks, "{op:?}");
    }
}

#[test]
fn descriptions_of_before_still_open() {
    let folder = folder();
    let dir = DataDir::open(folder.path(), Disk::default()).unwrap();
    let recording = sealed(&dir, 1);
    let path = path_of(&dir, &recording).join("recording.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for new in ["notes", "locked", "titled"] {
        assert!(json.as_object_mut().unwrap().remove(new).is_some(), "{new}");
    }
    std::fs::write(&path, json.to_string()).unwrap();
    assert_eq!(dir.scan().unwrap().recordings, [recording]);
}
