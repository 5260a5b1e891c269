//! One short life of a recording, in which every operation on the disk fails once, or is the last before a crash.

use crate::common::model::Model;
use crate::common::power::{EIO, ENOSPC, Plan};
use crate::common::{anchor, path_of};
use livetape_audio::{Entry, Epoch, Frame, Instance, Mark};
use livetape_store::{DataDir, Disk, Op, StoreError, TapeWriter};
use std::collections::HashSet;
use std::sync::Arc;

const STEPS: usize = 13;
const UPDATE: usize = 11;
const SEAL: usize = 12;

/// The n-th step of that life. It crosses segments of 16 frames in all ways there are.
fn step(model: &mut Model, n: usize) -> Result<(), StoreError> {
    let at = model.written();
    let mark = |back| Entry::Mark(Mark { frame: Frame::new(at - back), text: "here".parse().unwrap() });
    match n {
        0 => model.create(),
        1 => model.note(anchor(at)),
        2 => model.append(9, 4),
        3 => model.sync(),
        4 => model.append(23, 5),
        5 => model.note(anchor(at)),
        6 => model.append(1, 1),
        7 => model.sync(),
        8 => model.append(40, 40),
        9 => model.note(mark(3)),
        10 => model.sync(),
        UPDATE => {
            let (source, title) = ("other".parse().unwrap(), "Another".parse().unwrap());
            model.tape().update(Epoch(2), Instance([9; 16]), source, title, "Jazz".parse().unwrap())
        }
        _ => model.seal(),
    }
}

fn operations() -> u64 {
    let mut model = Model::new(16);
    model.power.plan(Plan::None);
    (0..STEPS).for_each(|n| step(&mut model, n).unwrap());
    let operations = model.power.operations();
    model.check_sealed();
    operations
}

/// A step that failed is taken back and taken again, and so is what was lost with it.
fn live_on(model: &mut Model, from: usize) {
    for n in from..STEPS {
        if let Err(error) = step(model, n) {
            assert!(!matches!(error, StoreError::NotRewound { .. }), "{error}");
            if model.tape.is_some() && n != UPDATE && n != SEAL {
                model.rewind();
            }
            step(model, n).unwrap_or_else(|e| panic!("step {n} failed again: {e}"));
        }
    }
}

#[test]
fn every_operation_fails_once() {
    let total = operations();
    let mut seen = HashSet::new();
    for n in 0..total {
        for errno in [EIO, ENOSPC] {
            let mut model = Model::new(16);
            model.power.plan(Plan::Once(n, errno));
            live_on(&mut model, 0);
            seen.extend(model.power.failed());
            model.power.plan(Plan::None);
            assert_eq!((model.recording.epoch, model.recording.title.as_str()), (Epoch(2), "Another"));
            model.check_sealed();
        }
    }
    let missing: Vec<Op> = Op::ALL.into_iter().filter(|op| !seen.contains(op)).collect();
    assert_eq!(missing, [Op::List, Op::Remove], "only recovery and cleaning up do these");
}

#[test]
fn the_process_dies_at_every_operation() {
    let total = operations();
    for n in 0..total {
        // Without a power cut, and with some.
        for seed in 0..20 {
            let mut model = Model::new(16);
            model.power.plan(Plan::Dead(n));
            let reached = (0..STEPS).find(|&i| step(&mut model, i).is_err()).unwrap();
            if seed == 0 {
                model.kill()
            } else {
                model.power_cut(n * 1000 + seed)
            }
            model.power.plan(Plan::None);
            come_back(&mut model, reached, n + seed);
        }
    }
}

/// After a crash in step `reached`: what is there is whole, and can be gone on with.
fn come_back(model: &mut Model, reached: usize, seed: u64) {
    let scan = model.dir.scan().unwrap();
    let Some(found) = scan.recordings.first().cloned() else {
        assert_eq!(reached, 0, "only while it was made, it may be none");
        let folder = path_of(&model.dir, &model.recording);
        assert!(scan.problems.is_empty(), "{scan:?}");
        model.dir.tidy();
        assert!(!folder.exists(), "nothing is left of it");
        return;
    };
    assert!(scan.problems.is_empty());
    assert_eq!(found.epoch == Epoch(2), reached > UPDATE || (reached == UPDATE && found.epoch == Epoch(2)));
    model.recording = found;
    if model.recording.seal.is_some() {
        assert_eq!(reached, SEAL);
        return model.check_sealed();
    }
    // The recovery dies too, at some operation, and is done again.
    model.power.plan(Plan::Dead(seed * 7 % 40));
    if model.recover().is_err() {
        model.power_cut(seed);
        model.power.plan(Plan::None);
        model.recover().unwrap();
    }
    model.power.plan(Plan::None);
    model.verify();
    model.append(50, 7).unwrap();
    model.seal().unwrap();
    model.check_sealed();
}

/// Making a recording fails: nothing is left behind, and it can be made after all.
#[test]
fn a_creation_that_fails_leaves_nothing() {
    for n in 0.. {
        let mut model = Model::new(16);
        model.power.plan(Plan::Once(n, ENOSPC));
        let result = model.create();
        let Err(error) = result else {
            // Reserving space and cleaning up may fail; what was asked for is done.
            if model.power.failed().is_none() {
                break;
            }
            continue;
        };
        assert!(error.is_full(), "{error}");
        model.power.plan(Plan::None);
        let scan = model.dir.scan().unwrap();
        assert!(scan.recordings.is_empty() && scan.problems.is_empty(), "{n}: {scan:?}");
        model.create().unwrap();
    }
}

#[test]
fn a_recorder_starts_on_a_full_disk() {
    struct Full;
    impl livetape_store::Faults for Full {
        fn check(&self, op: Op, path: &std::path::Path) -> std::io::Result<()> {
            let grows = op == Op::Write && path.extension().is_some_and(|e| e == "new");
            if grows { Err(std::io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
        }
    }
    let mut model = Model::created(16);
    model.append(40, 8).unwrap();
    model.sync().unwrap();
    let (recording, generation) = (model.recording.clone(), model.dir.generation());
    let path = model.root.path().to_owned();
    model.kill();
    let Model { root: _root, dir, .. } = model;
    drop(dir);
    let mut last = generation;
    for _ in 0..10 {
        let dir = DataDir::open(&path, Disk::with_faults(Arc::new(Full))).unwrap();
        assert!(dir.generation() > last);
        last = dir.generation();
        let (tape, recovery) = TapeWriter::recover(&dir, recording.clone(), crate::common::start()).unwrap();
        assert!(recovery.is_clean());
        assert_eq!(tape.durable().end(), Frame::new(40));
    }
}

/// Full for a while: what is there stays, can be read, and goes on when there is room again.
#[test]
fn a_full_disk_is_no_reason_to_lose_anything() {
    let mut model = Model::created(16);
    model.append(20, 5).unwrap();
    model.sync().unwrap();
    for frames in [1, 7, 40] {
        for after in 0..8 {
            model.power.plan(Plan::Once(after, ENOSPC));
            let result = model.append(frames, 3).and_then(|()| model.sync());
            let op = model.power.failed();
            model.power.plan(Plan::None);
            match result {
                Ok(()) => {}
                Err(error) => {
                    assert!(error.is_full(), "{op:?}: {error}");
                    assert!(matches!(model.tape().sync(), Err(StoreError::NotRewound { .. })));
                    assert!(matches!(
                        model.tape().append(&[], crate::common::start()),
                        Err(StoreError::NotRewound { .. })
                    ));
                    model.rewind();
                }
            }
            model.check();
        }
    }
    model.append(100, 9).unwrap();
    model.seal().unwrap();
    model.check_sealed();
}
