//! A disk that is really full. Needs a small file system of its own, so it runs on request:
//!
//! ```text
//! mount -t tmpfs -o size=8m none /mnt/small
//! LIVETAPE_SMALL_DISK=/mnt/small cargo test -p livetape-store --test small_disk -- --ignored
//! ```
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use common::*;
use livetape_audio::{Frame, SealReason};
use livetape_store::{DataDir, Disk, TapeWriter, verify::verify};
use std::fs;
use std::path::PathBuf;

#[test]
#[ignore = "needs a small file system at LIVETAPE_SMALL_DISK"]
fn recording_goes_on_when_there_is_room_again() {
    let root = PathBuf::from(std::env::var("LIVETAPE_SMALL_DISK").expect("LIVETAPE_SMALL_DISK names a folder"));
    let ballast = root.join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let data = root.join("data");
    let dir = DataDir::open(&data, Disk::default()).unwrap();
    let mut tape = TapeWriter::create(&dir, recording(1, 100_000)).unwrap();
    tape.note(anchor(0)).unwrap();
    let mut at = 0;
    let mut append = |tape: &mut TapeWriter| {
        let appended = tape.append(&[counting(at, 4_000, 0)], time_of(at)).and_then(|_| tape.sync());
        if appended.is_err() {
            tape.rewind().unwrap();
        }
        at = tape.durable().end().get();
        appended
    };
    let error = (0..100_000).find_map(|_| append(&mut tape).err()).expect("it gets full");
    assert!(error.is_full(), "{error}");
    assert!(append(&mut tape).is_err());
    let full = tape.durable().end().get();
    assert!(full * FRAME as u64 > 1 << 20, "most of the disk is used: {full}");
    assert!(read(&dir, tape.recording(), 0, full) == counting(0, full, 0), "reading goes on");
    // A restart on a full disk.
    let recording = tape.recording().clone();
    drop((tape, dir));
    let dir = DataDir::open(&data, Disk::default()).unwrap();
    let (mut tape, recovery) = TapeWriter::recover(&dir, recording, start()).unwrap();
    assert_eq!(recovery.end.end(), Frame::new(full));
    fs::remove_file(&ballast).unwrap();
    for _ in 0..30 {
        append(&mut tape).unwrap();
    }
    let end = tape.durable().end().get();
    assert_eq!(end, full + 30 * 4_000);
    let sealed = tape.seal(SealReason::Operator, None, time_of(end)).unwrap();
    assert!(read(&dir, &sealed, 0, end) == counting(0, end, 0));
    assert!(verify(&dir, &sealed, &mut |_| {}).unwrap().findings.is_empty());
    fs::remove_dir_all(&data).unwrap();
}
