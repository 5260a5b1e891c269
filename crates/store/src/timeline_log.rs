//! Reading `timeline.log` as a whole, however damaged. Following a growing one is `follower`'s, writing it `writer`'s.

use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{Record, decode_entry};
use livetape_audio::Entry;
use std::ops::Range;
use std::path::Path;

/// Most bytes of a timeline: millions of entries.
const MAX_TIMELINE: u64 = 1 << 30;

/// What a timeline holds.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) bytes: Vec<u8>,
    /// The entries, and where each stands.
    pub(crate) entries: Vec<(Range<usize>, Entry)>,
    /// Bytes that are no entries.
    pub(crate) damaged: Vec<Range<usize>>,
}

impl Log {
    /// Reads everything. Entries after damage are found again; a file that is not there is empty.
    pub(crate) fn read(disk: &Disk, path: &Path) -> Result<Self, StoreError> {
        match disk.read_all(path, MAX_TIMELINE) {
            Ok(bytes) => Ok(Self::parse(bytes)),
            Err(e) if e.is_missing() => Ok(Self::default()),
            Err(e) => Err(e),
        }
    }

    fn parse(bytes: Vec<u8>) -> Self {
        let mut log = Self { bytes, ..Self::default() };
        let (mut at, mut bad) = (0, 0);
        while let Some(rest) = log.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Record::Entry(entry, len) = decode_entry(rest) else {
                at += 1;
                continue;
            };
            if bad < at {
                log.damaged.push(bad..at);
            }
            log.entries.push((at..at + len, entry));
            at += len;
            bad = at;
        }
        if bad < at {
            log.damaged.push(bad..at);
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::encode_entry;
    use livetape_audio::{Anchor, Frame, WallTime};

    #[test]
    fn entries_after_damage_are_found() {
        let entry = |n| {
            Entry::Anchor(Anchor { frame: Frame::new(n), time: WallTime::from_unix_nanos(1_763_649_000_000_000_000) })
        };
        let record = |n| encode_entry(&entry(n)).unwrap();
        let len = record(1).len();
        let mut bytes = [record(1), record(2), record(3), vec![0; 100], record(4), record(5)].concat();
        bytes[len + 20] ^= 1;
        bytes.truncate(bytes.len() - 1);
        let log = Log::parse(bytes);
        assert_eq!(log.entries.iter().map(|(_, e)| e.clone()).collect::<Vec<_>>(), [entry(1), entry(3), entry(4)]);
        assert_eq!(log.damaged, [len..2 * len, 3 * len..3 * len + 100, 4 * len + 100..5 * len + 99]);
        assert!(Log::parse(vec![0; 10_000]).entries.is_empty());
        assert!(Log::parse(Vec::new()).damaged.is_empty());
    }
}
