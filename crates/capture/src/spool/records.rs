//! Reads the records of one file, one after another, whatever state it is in.

use super::format::{self, Decoded, Foreign, HEAD, Head, MARK};
use crate::uplink::Record;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// So much is read at once, unless one record is larger.
pub(super) const BLOCK: usize = 64 << 10;
/// Most beginnings of records that are tried in damaged places of a file: each may cost a checksum of a megabyte.
const TRIES: u32 = 64;

/// A file's records.
#[derive(Debug)]
pub(super) struct Records {
    file: File,
    head: Head,
    /// What was read and not looked at, which begins at `offset`.
    block: Bytes,
    offset: u64,
    tries: u32,
    /// Bytes that belong to no record.
    pub(super) skipped: u64,
}

impl Records {
    /// Begins with the first record.
    pub(super) fn open(file: File) -> io::Result<Result<Self, Foreign>> {
        let mut bytes = vec![0; HEAD];
        let read = fill(&file, &mut bytes, 0)?;
        bytes.truncate(read);
        let records = |head| Self { file, head, block: Bytes::new(), offset: HEAD as u64, tries: TRIES, skipped: 0 };
        Ok(format::parse_head(&bytes).map(records))
    }

    pub(super) const fn head(&self) -> Head {
        self.head
    }

    /// Where the next record begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes held in memory.
    pub(super) const fn held(&self) -> u64 {
        self.block.len() as u64
    }

    /// The next record that ends before `end`, the length of the file as far as it counts. Damaged places are skipped.
    pub(super) fn next(&mut self, end: u64) -> io::Result<Option<Record>> {
        loop {
            match format::decode(&self.block, self.head.identity, self.head.seed) {
                Decoded::Record(record, length) => {
                    self.skip(length);
                    return Ok(Some(record));
                }
                Decoded::More(bytes) if self.load(bytes, end)? => {}
                Decoded::More(_) | Decoded::Bad => {
                    if self.offset >= end || !self.resync(end)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        drop(self.block.split_to(bytes.min(self.block.len())));
        self.offset += bytes as u64;
    }

    /// Makes at least `bytes` bytes be there, if the file has them.
    fn load(&mut self, bytes: usize, end: u64) -> io::Result<bool> {
        let left = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if bytes > left || bytes <= self.block.len() {
            return Ok(false);
        }
        let mut block = vec![0; bytes.max(BLOCK).min(left)];
        let read = fill(&self.file, &mut block, self.offset)?;
        block.truncate(read);
        self.block = block.into();
        Ok(self.block.len() >= bytes)
    }

    /// Goes on to what looks like the next record.
    fn resync(&mut self, end: u64) -> io::Result<bool> {
        let mut first = true;
        loop {
            let ahead = self.block.get(usize::from(first)..).unwrap_or_default();
            let found = ahead.windows(MARK.len()).position(|window| window == MARK);
            let step = found.unwrap_or(ahead.len().saturating_sub(MARK.len() - 1)) + usize::from(first);
            let step = step.min(self.block.len());
            self.skipped += step as u64;
            self.skip(step);
            if found.is_some() {
                self.tries = self.tries.saturating_sub(1);
                return Ok(self.tries > 0);
            }
            first = false;
            if !self.load(MARK.len(), end)? && !self.load(self.block.len() + 1, end)? {
                return Ok(false);
            }
        }
    }
}

/// Reads until `bytes` are full or the file ends.
fn fill(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
