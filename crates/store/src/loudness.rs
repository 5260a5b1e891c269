//! Reading how loud a recording is: any part of it, in whole minutes, at a cost that does not depend on how long the part is.

use crate::data_dir::DataDir;
use crate::error::StoreError;
use crate::format::loudness::{Counted, LOUDNESS, Layout, minute};
use crate::loudness_writer::{file, read};
use crate::recording::Recording;
use livetape_audio::Frame;
use std::ops::Range;

/// How loud a part of a recording is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Where the part begins, at a minute; and where it ends: before what was asked for, if that is not measured yet.
    pub first: Frame,
    /// The frame after the last one.
    pub end: Frame,
    /// Integrated loudness (EBU R 128) in LUFS; `None` if there is only silence.
    pub integrated: Option<f64>,
    /// The minutes of the part, as many as were asked for; the last one of a recording may be shorter.
    pub minutes: Vec<Minute>,
}

/// How loud a minute is. A gating block counts where it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minute {
    /// Its first frame.
    pub first: Frame,
    /// The frame after its last one.
    pub end: Frame,
    /// Integrated loudness in LUFS; `None` if there is only silence.
    pub integrated: Option<f64>,
}

impl Measured {
    /// Most minutes that are told at once: a day.
    pub const MAX_MINUTES: u32 = 1440;

    /// The loudness of the minutes that some frames lie in, as far as it is measured; each minute by itself of the first
    /// `most`, at most [`Measured::MAX_MINUTES`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it has to be measured again, and what the file system refuses.
    pub fn read(dir: &DataDir, recording: &Recording, frames: Range<Frame>, most: u32) -> Result<Self, StoreError> {
        let (layout, length) = (Layout::new(recording), minute(recording.spec).get());
        let path = dir.folder(recording).join(LOUDNESS);
        let first = frames.start.get() / length;
        let nothing = || Self { first: frames.start, end: frames.start, ..Self::default() };
        let Some(file) = file(dir.disk(), &path, &layout)? else { return Ok(nothing()) };
        let there = Layout::records(file.len()?);
        let mut after = frames.end.get().div_ceil(length).min(there);
        let record = |number: u64| match read(&file, &layout, number)? {
            Some(counted) => Ok(counted),
            None => Err(StoreError::damaged(&path, format!("minute {number} is not what was written"))),
        };
        // The last one may be being written just now.
        if after > first && after == there && read(&file, &layout, after - 1)?.is_none() {
            after -= 1;
        }
        if after <= first {
            return Ok(nothing());
        }
        let before = first.checked_sub(1).map_or(Ok(Counted::default()), record)?;
        let mut minutes = Vec::new();
        let mut earlier = before.clone();
        for number in first..after.min(first + u64::from(most.min(Self::MAX_MINUTES))) {
            let now = record(number)?;
            minutes.push(Minute {
                first: Frame::new(number * length),
                end: now.end,
                integrated: now.blocks.since(&earlier.blocks).integrated(),
            });
            earlier = now;
        }
        let last = record(after - 1)?;
        Ok(Self {
            first: Frame::new(first * length),
            end: last.end,
            integrated: last.blocks.since(&before.blocks).integrated(),
            minutes,
        })
    }
}
