//! Memory for blocks of audio, used again: new memory has to be cleared first, which costs as much as reading into it.

use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// Bytes of a block; longer ones get memory of their own.
const BLOCK: usize = 128 * 1024;
/// Blocks that are kept for the next.
const KEPT: usize = 32;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A block of memory that comes back when nobody needs it any more. It holds what somebody else has read, until it is
/// filled.
#[derive(Debug)]
pub(crate) struct Block {
    memory: Vec<u8>,
    len: usize,
}

impl Block {
    /// Room for `len` bytes.
    pub(crate) fn new(len: usize) -> Self {
        let free = (len <= BLOCK).then(|| FREE.lock().unwrap_or_else(PoisonError::into_inner).pop()).flatten();
        Self { memory: free.unwrap_or_else(|| vec![0; len.max(BLOCK)]), len }
    }

    /// To be filled, all of it.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.len).unwrap_or_default()
    }

    /// What it was filled with.
    pub(crate) fn filled(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.memory.len() == BLOCK && free.len() < KEPT {
            free.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_as_long_as_asked_and_not_shared_while_it_is_read() {
        for len in [0, 1, BLOCK, BLOCK + 1] {
            let mut block = Block::new(len);
            block.room().fill(7);
            let (bytes, mut other) = (block.filled(), Block::new(len));
            other.room().fill(8);
            assert_eq!(bytes, vec![7; len]);
        }
        assert!(FREE.lock().unwrap().len() <= KEPT);
    }
}
