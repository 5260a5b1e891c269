//! The spool's files in every state that a process, a disk or a person can leave them in.

use super::*;
use crate::sources::Chunk;
use crate::uplink::{Missing, Stretch, Titled};
use livetape_audio::{ChannelLayout, Frame, GapReason, RecordingId, SampleFormat, WallTime};
use livetape_testkit::counting;
use std::fs;
use std::path::Path;

fn identity() -> Identity {
    Identity { instance: Instance([5; 16]), spec: counting::spec(8_000).unwrap() }
}

fn open(dir: &Path) -> (Spool, Option<(Identity, Restored)>) {
    Spool::open(Folder::lock(dir, &"live".parse().unwrap()).unwrap(), 1 << 20, identity()).unwrap()
}

fn audio(first: u64, frames: u64) -> Record {
    let pcm = counting::encode(Frame::new(first), FrameCount::new(frames)).into();
    Record::Audio(Held { at: Place::new(first), chunk: Chunk { time: WallTime::from_unix_nanos(first as i64), pcm } })
}

/// The places of all frames, each with what belongs there.
fn frames(spool: &mut Spool) -> Vec<u64> {
    let (mut at, mut all) = (Place::ZERO, Vec::new());
    while let Some(held) = spool.read(at) {
        counting::verify(&held.chunk.pcm, Frame::new(held.at.get())).unwrap();
        at = held.end(identity().spec);
        all.extend(held.at.get()..at.get());
    }
    assert_eq!(spool.waiting().get(), all.len() as u64, "what is said to be there is there");
    all
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir.join("live")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap() != "LOCK");
    files.sort();
    files
}

fn numbers() -> Numbers {
    Numbers {
        recording: Some(RecordingId::new(1_763_649_000_000, &[2; 10])),
        durable: Place::new(3),
        until: Some(Place::new(99)),
        stretches: vec![Stretch { from: Place::new(3), number: Frame::new(1_003) }],
    }
}

/// Ten records of ten frames, numbers and a gap, in one file, whose bytes are returned.
fn ten(dir: &Path) -> Vec<u8> {
    let (mut spool, restored) = open(dir);
    assert!(restored.is_none());
    spool.append(&Record::Numbers(Numbers { durable: Place::ZERO, ..numbers() })).unwrap();
    for n in 0..10 {
        spool.append(&audio(n * 10, 10)).unwrap();
    }
    let gap = Missing { at: Place::new(50), frames: Some(FrameCount::new(7)), reason: GapReason::Xrun };
    spool.append(&Record::Note(gap.into())).unwrap();
    drop(spool);
    let [file] = &files(dir)[..] else { panic!("one file") };
    fs::read(file).unwrap()
}

#[test]
fn everything_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    ten(dir.path());
    let (mut spool, restored) = open(dir.path());
    assert_eq!(frames(&mut spool), (0..100).collect::<Vec<_>>());
    let (found, restored) = restored.unwrap();
    assert_eq!((found, restored.end, restored.ended), (identity(), Place::new(100), false));
    assert_eq!(restored.numbers, Numbers { durable: Place::ZERO, ..numbers() });
    let gap = Missing { at: Place::new(50), frames: Some(FrameCount::new(7)), reason: GapReason::Xrun };
    assert_eq!(restored.notes, [Note::Gap(gap)]);
    // And it goes on behind that.
    let unknown = Missing { at: Place::new(100), frames: None, reason: GapReason::SourceRestarted };
    let title = Note::Title(Titled { at: Place::new(101), title: "Größe".parse().unwrap() });
    let said = [Record::Note(unknown.into()), Record::Note(title.clone())];
    for record in [Record::Numbers(numbers())].into_iter().chain(said).chain([audio(100, 5), Record::Ended]) {
        spool.append(&record).unwrap();
    }
    drop(spool);
    let (mut spool, restored) = open(dir.path());
    assert_eq!(frames(&mut spool), (3..105).collect::<Vec<_>>(), "but for what is durable");
    let (_, restored) = restored.unwrap();
    assert_eq!(
        (restored.numbers, restored.notes, restored.ended),
        (numbers(), vec![gap.into(), unknown.into(), title], true)
    );
    let held = spool.read(Place::new(33)).unwrap();
    assert_eq!((held.at.get(), held.chunk.pcm.len(), held.chunk.time.unix_nanos()), (33, 28, 30 + 375_000));
}

#[test]
fn a_file_that_was_cut_at_any_byte_keeps_all_that_is_whole() {
    let (dir, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = ten(dir.path());
    let head = whole.len() - (10 * (28 + 40) + 28 + 9);
    for length in 0..whole.len() {
        let _ = fs::remove_dir_all(cut.path().join("live"));
        fs::create_dir(cut.path().join("live")).unwrap();
        fs::write(cut.path().join("live/00000000000000000000.spool"), &whole[..length]).unwrap();
        let (mut spool, _) = open(cut.path());
        let kept = (length.saturating_sub(head) / 68).min(10) as u64 * 10;
        assert_eq!(frames(&mut spool), (0..kept).collect::<Vec<_>>(), "cut at {length}");
        // What comes after follows exactly.
        spool.append(&audio(kept, 3)).unwrap();
        drop(spool);
        assert_eq!(frames(&mut open(cut.path()).0), (0..kept + 3).collect::<Vec<_>>(), "cut at {length}");
    }
}

#[test]
fn a_wrong_byte_costs_the_record_that_it_is_in() {
    let (dir, hurt) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = ten(dir.path());
    let head = whole.len() - (10 * (28 + 40) + 28 + 9);
    for at in 0..whole.len() {
        let _ = fs::remove_dir_all(hurt.path().join("live"));
        fs::create_dir(hurt.path().join("live")).unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5A;
        let path = hurt.path().join("live/00000000000000000000.spool");
        fs::write(&path, &bytes).unwrap();
        let (mut spool, _) = open(hurt.path());
        let kept = frames(&mut spool);
        if at < format::HEAD {
            assert!(kept.is_empty());
            assert_eq!(fs::read(&files(hurt.path())[0]).unwrap(), bytes, "set aside as it is");
        } else {
            let lost = if at < head { 10 } else { (at - head) as u64 / 68 };
            let expected: Vec<u64> = (0..100).filter(|frame| frame / 10 != lost).collect();
            assert_eq!(kept, expected, "byte {at}");
        }
    }
}

#[test]
fn what_is_not_ours_is_set_aside_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let whole = ten(dir.path());
    let mut newer = whole.clone();
    newer[8] = 2;
    let other = format::head(Identity { instance: Instance([6; 16]), spec: identity().spec }, Place::ZERO).1;
    // Behind the good file, so that they would be appended to.
    let strange: [(&str, &[u8]); 4] =
        [("zero", &[0; 5_000]), ("foreign", b"RIFF....WAVE"), ("newer", &newer), ("short", &whole[..40])];
    for (n, (_, bytes)) in strange.iter().enumerate() {
        fs::write(dir.path().join(format!("live/{:020}.spool", n + 1)), bytes).unwrap();
    }
    fs::create_dir(dir.path().join("live/00000000000000000009.spool")).unwrap();
    fs::write(dir.path().join("live/notes.txt"), "mine").unwrap();
    let (mut spool, _) = open(dir.path());
    assert_eq!(frames(&mut spool), (0..100).collect::<Vec<_>>());
    spool.append(&audio(100, 10)).unwrap();
    for (n, (what, bytes)) in strange.iter().enumerate() {
        let aside = dir.path().join(format!("live/{:020}.set-aside-0", n + 1));
        assert_eq!(fs::read(aside).unwrap(), *bytes, "{what}");
    }
    assert!(dir.path().join("live/00000000000000000009.set-aside-0").is_dir());
    assert_eq!(fs::read(dir.path().join("live/notes.txt")).unwrap(), b"mine");
    drop(spool);
    // Audio of two sources: the newer one counts.
    fs::write(dir.path().join("live/00000000000000000020.spool"), &other).unwrap();
    let (mut spool, restored) = open(dir.path());
    assert_eq!(restored.unwrap().0.instance, Instance([6; 16]));
    assert!(frames(&mut spool).is_empty());
    assert!(files(dir.path()).iter().any(|file| fs::read(file).is_ok_and(|bytes| bytes.starts_with(&whole))));
}

#[test]
fn hostile_bytes_cost_no_more_than_reading_them() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    // Beginnings of records as far as the eye reaches, each of which claims a megabyte.
    let mut bytes = format::head(identity(), Place::ZERO).1;
    let claim: Vec<u8> = [b"LTau".as_slice(), &(1_u32 << 20).to_le_bytes()].concat();
    bytes.extend(claim.iter().cycle().take(4 << 20));
    fs::write(dir.path().join("live/00000000000000000000.spool"), &bytes).unwrap();
    assert!(frames(&mut open(dir.path()).0).is_empty());
}

#[test]
fn two_processes_do_not_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let stream = "live".parse().unwrap();
    let first = Folder::lock(dir.path(), &stream).unwrap();
    let second = Folder::lock(dir.path(), &stream).unwrap_err();
    assert!(matches!(second, SpoolError::Locked(_)) && second.to_string().contains("another process"));
    drop(first);
    Folder::lock(dir.path(), &stream).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let wrong = Folder::lock(&dir.path().join("file"), &stream).unwrap_err().to_string();
    assert!(wrong.contains("cannot make") && wrong.contains("file/live"), "{wrong}");
}

#[test]
fn at_the_bound_the_oldest_goes_and_what_is_durable_takes_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).0;
    for n in 0..4_000 {
        spool.append(&audio(n * 160, 160)).unwrap();
        let bytes: u64 = files(dir.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert!(bytes == spool.bytes() && bytes <= 1 << 20, "{bytes}");
    }
    let kept = frames(&mut spool);
    assert_eq!(*kept.last().unwrap(), 4_000 * 160 - 1);
    assert!(kept.len() as u64 * 4 > (1 << 20) * 8 / 10, "most of the room is used: {}", kept.len());
    assert!(kept.windows(2).all(|two| two[1] == two[0] + 1), "only the oldest is given up");
    spool.release(&Numbers { durable: Place::new(4_000 * 160), ..numbers() });
    assert!(spool.bytes() <= IDLE_BYTES && spool.waiting().is_zero(), "{}", spool.bytes());
    drop(spool);
    assert_eq!(open(dir.path()).1.unwrap().1.numbers.durable, Place::new(4_000 * 160));
}

#[test]
fn a_full_disk_takes_nothing_by_halves() {
    let dir = tempfile::tempdir().unwrap();
    let room = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    for fits in 0..400_u64 {
        let _ = fs::remove_dir_all(dir.path().join("live"));
        let mut folder = Folder::lock(dir.path(), &"live".parse().unwrap()).unwrap();
        folder.room = Some(room.clone());
        room.store(fits, std::sync::atomic::Ordering::SeqCst);
        let mut spool = Spool::open(folder, 1 << 20, identity()).unwrap().0;
        let kept = (0..9).take_while(|n| spool.append(&audio(n * 10, 10)).is_ok()).count() as u64;
        assert!(kept < 9, "{fits}");
        assert!(spool.append(&audio(kept * 10, 10)).unwrap_err().contains("cannot write"));
        assert_eq!(frames(&mut spool), (0..kept * 10).collect::<Vec<_>>());
        room.store(u64::MAX, std::sync::atomic::Ordering::SeqCst);
        spool.append(&audio(kept * 10 + 5, 10)).unwrap();
        drop(spool);
        let expected: Vec<_> = (0..kept * 10).chain(kept * 10 + 5..kept * 10 + 15).collect();
        assert_eq!(frames(&mut open(dir.path()).0), expected, "{fits}");
    }
}

/// As capture wrote it before it knew of loudspeakers.
#[test]
fn a_head_without_loudspeakers_is_one_of_unknown_ones() {
    let mut head = b"LTSPOOL\0\x01\0\0\0".to_vec();
    head.extend_from_slice(&[9; 16]);
    head.extend_from_slice(&[1, 6, 0, 0, 0x80, 0xBB, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]);
    head.extend_from_slice(&crc32fast::hash(&head).to_le_bytes());
    let spec = Spec::new(SampleFormat::S24, 48_000, 6).unwrap();
    let read = format::parse_head(&head).unwrap();
    assert_eq!((read.identity, read.first), (Identity { instance: Instance([9; 16]), spec }, Place::new(77)));
}

#[test]
fn every_shape_of_audio_has_its_head() {
    for format in SampleFormat::ALL {
        let heights = "FL+FR+FC+LFE+TFL+TFR+TBL+TBR".parse().unwrap();
        let unknown = ChannelLayout::UNKNOWN;
        for (rate, channels, layout) in
            [(8_000, 1, unknown), (44_100, 2, unknown), (192_000, 8, unknown), (192_000, 8, heights)]
        {
            let spec = Spec::new(format, rate, channels).unwrap().for_speakers(layout).unwrap();
            let identity = Identity { instance: Instance([9; 16]), spec };
            let (head, bytes) = format::head(identity, Place::new(77));
            assert_eq!(format::parse_head(&bytes), Ok(head));
            assert_eq!((head.identity, head.first, bytes.len()), (identity, Place::new(77), format::HEAD));
        }
    }
}
