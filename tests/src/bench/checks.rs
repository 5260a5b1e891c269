//! What the bytes of a live stream should be, for each listener apart: counting words, a file over and over, or whatever
//! the first of all listeners got, which is compared with the recording when all is over.

use anyhow::{Context, Result, bail, ensure};
use livetape_testkit::counting::{number, verify_at};
use std::sync::{Arc, Mutex, PoisonError};

/// Looks at all that one listener gets.
pub trait Check: Send {
    /// Which byte of the stream this first piece begins with, after this head of the reply (in lower case). So many bytes
    /// were captured.
    ///
    /// # Errors
    /// When that cannot be told.
    fn begin(&mut self, head: &str, piece: &[u8], captured: u64) -> Result<u64>;

    /// Compares the bytes from `at` on.
    ///
    /// # Errors
    /// With the first that is wrong.
    fn verify(&mut self, piece: &[u8], at: u64) -> Result<()>;
}

/// Makes a [`Check`] for each listener.
pub type Checks = Arc<dyn Fn() -> Box<dyn Check> + Send + Sync>;

/// Counting words: each says which it is.
pub fn words() -> Checks {
    Arc::new(|| Box::new(Words))
}

struct Words;

impl Check for Words {
    // A server may begin in the middle of a word.
    fn begin(&mut self, _: &str, piece: &[u8], _: u64) -> Result<u64> {
        for within in 0..4 {
            let Some(word) = piece.get(within..).and_then(number) else { break };
            let at = (u64::from(word) * 4).wrapping_sub(within as u64);
            if piece.len() >= within + 8 && verify_at(piece, at).is_ok() {
                return Ok(at);
            }
        }
        bail!("these are no counting words: {:?}", &piece[..piece.len().min(16)])
    }

    fn verify(&mut self, piece: &[u8], at: u64) -> Result<()> {
        Ok(verify_at(piece, at)?)
    }
}

/// A file over and over.
pub fn looped(file: Arc<Vec<u8>>) -> Checks {
    Arc::new(move || Box::new(Looped(Arc::clone(&file))))
}

struct Looped(Arc<Vec<u8>>);

impl Looped {
    /// How many bytes that do not come twice in the file.
    const ENOUGH: usize = 256;

    fn is_at(&self, piece: &[u8], at: u64) -> bool {
        let (mut rest, mut at) = (piece, (at % self.0.len() as u64) as usize);
        while !rest.is_empty() {
            let n = rest.len().min(self.0.len() - at);
            if rest[..n] != self.0[at..at + n] {
                return false;
            }
            (rest, at) = (&rest[n..], 0);
        }
        true
    }
}

impl Check for Looped {
    fn begin(&mut self, _: &str, piece: &[u8], captured: u64) -> Result<u64> {
        ensure!(piece.len() >= Self::ENOUGH, "a first piece of {} bytes", piece.len());
        let len = self.0.len() as u64;
        // It was captured, and lately: the search goes back from there.
        let back = (1..=len.min(captured)).find(|back| self.is_at(&piece[..Self::ENOUGH], captured - back));
        Ok(captured - back.context("what came is not in the file")?)
    }

    fn verify(&mut self, piece: &[u8], at: u64) -> Result<()> {
        ensure!(self.is_at(piece, at), "{} bytes at {at} are not those of the file", piece.len());
        Ok(())
    }
}

/// What listeners of a compressed rendition got, of which each says where it begins by `X-Livetape-First-Frame`: stretches
/// without a hole.
#[derive(Debug, Default)]
pub struct Shared(Mutex<Vec<Stretch>>);

/// The byte with which it begins, and those that came.
pub type Stretch = (u64, Vec<u8>);

impl Shared {
    /// One check for each listener, when a frame of the recording is so many bytes.
    pub fn checks(self: &Arc<Self>, bytes_of_frame: f64) -> Checks {
        let shared = Arc::clone(self);
        Arc::new(move || Box::new(Same { shared: Arc::clone(&shared), bytes_of_frame }))
    }

    /// All that came.
    pub fn all(&self) -> Vec<Stretch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Same {
    shared: Arc<Shared>,
    bytes_of_frame: f64,
}

impl Check for Same {
    fn begin(&mut self, head: &str, _: &[u8], _: u64) -> Result<u64> {
        let first = head.lines().find_map(|line| line.strip_prefix("x-livetape-first-frame: "));
        let first: u64 = first.context("it does not say where it begins")?.trim().parse()?;
        Ok((first as f64 * self.bytes_of_frame).round() as u64)
    }

    fn verify(&mut self, piece: &[u8], at: u64) -> Result<()> {
        let mut shared = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reaches = |(begin, known): &Stretch| (*begin..=*begin + known.len() as u64).contains(&at);
        let Some((begin, known)) = shared.iter_mut().rev().find(|stretch| reaches(stretch)) else {
            shared.push((at, piece.to_vec()));
            return Ok(());
        };
        let there = &known[(at - *begin) as usize..];
        let n = there.len().min(piece.len());
        ensure!(there[..n] == piece[..n], "{n} bytes at {at} are not those that others got");
        known.extend_from_slice(&piece[n..]);
        Ok(())
    }
}

/// Pages of Ogg: each says how long it is, and has a checksum.
pub fn pages() -> Checks {
    Arc::new(|| Box::<Pages>::default())
}

#[derive(Default)]
struct Pages(Vec<u8>);

impl Check for Pages {
    fn begin(&mut self, _: &str, _: &[u8], _: u64) -> Result<u64> {
        Ok(0)
    }

    fn verify(&mut self, piece: &[u8], at: u64) -> Result<()> {
        self.0.extend_from_slice(piece);
        while let Some(len) = page_len(&self.0)?.filter(|len| *len <= self.0.len()) {
            let mut page: Vec<u8> = self.0.drain(..len).collect();
            let said = page[22..26].to_vec();
            page[22..26].fill(0);
            ensure!(crc(&page).to_le_bytes() == said[..], "a page before byte {at} is broken");
        }
        Ok(())
    }
}

/// How long the page is that begins here, if enough of it is there to say so.
fn page_len(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.get(..27) else { return Ok(None) };
    ensure!(head.starts_with(b"OggS"), "no page of Ogg: {:?}", &head[..4]);
    let Some(sizes) = bytes.get(27..27 + usize::from(head[26])) else { return Ok(None) };
    Ok(Some(27 + sizes.len() + sizes.iter().map(|size| usize::from(*size)).sum::<usize>()))
}

/// The checksum of RFC 3533: polynomial 0x04C11DB7, from the highest bit on.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_byte_is_seen_by_each() {
        let file: Vec<u8> = (0..10_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let mut check = looped(Arc::new(file.clone()))();
        let twice = [&file[..], &file[..]].concat();
        let captured = file.len() as u64 + 2_000;
        let at = check.begin("", &twice[39_000..41_000], captured).unwrap();
        assert_eq!(at, 39_000);
        check.verify(&twice[39_000..41_000], at).unwrap();
        assert!(check.verify(&twice[39_001..41_000], at).is_err());

        let shared = Arc::<Shared>::default();
        let (mut one, mut two) = (shared.checks(0.5)(), shared.checks(0.5)());
        let head = "http/1.1 200 ok\r\nx-livetape-first-frame: 200\r\nvary: *";
        assert_eq!(one.begin(head, &[], 0).unwrap(), 100);
        one.verify(&[1, 2, 3], 100).unwrap();
        two.verify(&[2, 3, 4], 101).unwrap();
        one.verify(&[4], 103).unwrap();
        assert!(one.verify(&[9], 103).is_err() && one.verify(&[9], 100).is_err());
        two.verify(&[9], 105).unwrap();
        assert_eq!(shared.all(), [(100, vec![1, 2, 3, 4]), (105, vec![9])]);

        let mut page = [b"OggS".as_slice(), &[0; 22], &[1, 3, 7, 8, 9]].concat();
        let sum = crc(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        let mut check = pages()();
        check.verify(&page[..20], 0).unwrap();
        check.verify(&[&page[20..], &page[..]].concat(), 20).unwrap();
        page[30] ^= 1;
        assert!(check.verify(&page, 0).is_err());
    }
}
