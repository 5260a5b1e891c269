//! Random histories against a model: appends, notes, syncs, rewinds, crashes, power cuts, failing disks, and the end.

use crate::common::model::Model;
use crate::common::power::{EIO, ENOSPC, Plan};
use livetape_audio::{Entry, Frame, Mark};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append {
        frames: u64,
        chunk: u64,
    },
    Anchor,
    Mark {
        back: u64,
        long: bool,
    },
    Sync,
    Rewind,
    Kill,
    PowerCut {
        seed: u64,
    },
    /// From here on the n-th operation fails once.
    Fault {
        after: u64,
        full: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..60, 1_u64..40).prop_map(|(frames, chunk)| Step::Append { frames, chunk }),
        2 => Just(Step::Anchor),
        2 => (0_u64..50, any::<bool>()).prop_map(|(back, long)| Step::Mark { back, long }),
        5 => Just(Step::Sync),
        1 => Just(Step::Rewind),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(|seed| Step::PowerCut { seed }),
        2 => (0_u64..40, any::<bool>()).prop_map(|(after, full)| Step::Fault { after, full }),
    ]
}

fn run(model: &mut Model, step: &Step) {
    let at = model.written();
    let result = match *step {
        Step::Append { frames, chunk } => model.append(frames, chunk),
        Step::Anchor => model.note(crate::common::anchor(at)),
        Step::Mark { back, long } => {
            let text = if long { "é".repeat(256) } else { "here".into() };
            model.note(Entry::Mark(Mark { frame: Frame::new(at.saturating_sub(back)), text: text.parse().unwrap() }))
        }
        Step::Sync => model.sync(),
        Step::Rewind => {
            model.rewind();
            Ok(())
        }
        Step::Kill => {
            model.kill();
            model.recover()
        }
        Step::PowerCut { seed } => {
            model.power_cut(seed);
            model.recover()
        }
        Step::Fault { after, full } => {
            model.power.plan(Plan::Once(after, if full { ENOSPC } else { EIO }));
            Ok(())
        }
    };
    match result {
        Ok(()) => {}
        // Some faults happen while a tape is opened: then it is opened again.
        Err(_) if model.tape.is_none() => model.recover().unwrap(),
        Err(_) => model.rewind(),
    }
}

proptest! {
    #[test]
    fn nothing_durable_is_lost_and_nothing_is_made_up(
        segment_frames in prop_oneof![1_u64..8, 8_u64..100, Just(100_000_u64)],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut model = Model::created(segment_frames);
        for step in &steps {
            run(&mut model, step);
        }
        model.power.plan(Plan::None);
        model.check();
        model.sync().unwrap();
        model.verify();
        model.seal().unwrap();
        model.check_sealed();
    }
}
