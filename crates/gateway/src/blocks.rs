//! Blocks of compressed renditions, made once for all who listen and kept for a while.
//!
//! A block is a function of the audio alone (`livetape_codec::encode`), so nothing is lost when one is forgotten. It is made
//! when somebody asks for it, on one of a few threads; whoever asks for it meanwhile waits for the same. What is heard in real
//! time comes before what is downloaded, and has seats (`seats`); what is at hand already costs no encoder.
//! Not here: who asks, and what becomes of a block.

use crate::library::{ReadError, blocking};
use crate::metrics::Encoding as Instruments;
use crate::problem::Problem;
use crate::rendition::Rendition;
use crate::seats::{At, Seat, Seats};
use crate::tape::Tape;
use bytes::Bytes;
use livetape_audio::{Frame, FrameCount, RecordingId, Spec};
use livetape_codec::encode::{self, Encoding, Flac};
use livetape_service::metrics::Held;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// Bytes that are kept: some minutes of some dozens of renditions.
const KEPT: usize = 64 << 20;
/// When to come back when there are as many encoders as may be.
const COME_BACK: Duration = Duration::from_secs(10);

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) recording: RecordingId,
    pub(crate) rendition: Compressed,
    /// The frame at which the rendition begins.
    pub(crate) origin: Frame,
    pub(crate) number: u64,
    /// Where it ends, if that is inside what the block is made of: what follows is silence.
    pub(crate) end: Option<Frame>,
}

/// A compressed rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Compressed {
    Packets(Encoding),
    Flac(Flac),
}

impl Compressed {
    pub(crate) fn of(rendition: Rendition) -> Option<Self> {
        match rendition {
            Rendition::Pcm(_) => None,
            Rendition::Packets(encoding) => Some(Self::Packets(encoding)),
            Rendition::Flac(flac) => Some(Self::Flac(flac)),
        }
    }

    fn spec(self) -> Spec {
        match self {
            Self::Packets(encoding) => encoding.spec(),
            Self::Flac(flac) => flac.spec(),
        }
    }

    /// Frames that a block is made of, from where the rendition begins.
    pub(crate) fn needs(self, block: u64) -> Range<i64> {
        match self {
            Self::Packets(encoding) => encoding.needs(block),
            Self::Flac(_) => {
                let at = |block: u64| i64::try_from(block.saturating_mul(Flac::BLOCK)).unwrap_or(i64::MAX);
                at(block)..at(block.saturating_add(1))
            }
        }
    }

    fn encode(self, block: u64, pcm: &[u8]) -> Result<Vec<u8>, encode::EncodeError> {
        match self {
            Self::Packets(encoding) => encode::encode(encoding, block, pcm),
            Self::Flac(flac) => flac.encode(block, pcm),
        }
    }

    const fn codec(self) -> &'static str {
        match self {
            Self::Packets(encoding) => encoding.codec().name(),
            Self::Flac(_) => "flac",
        }
    }
}

/// The blocks of a gateway.
pub(crate) struct Blocks {
    kept: Mutex<Kept>,
    /// Most rows that are heard in real time, and most blocks that downloads wait for.
    most: usize,
    seats: Seats,
    downloads: AtomicUsize,
    /// One permit for each block that is being made; those of downloads need one of fewer, too.
    at_once: Semaphore,
    not_live: Semaphore,
    instruments: Instruments,
}

/// A block that a download waits for.
struct Waiting<'a> {
    downloads: &'a AtomicUsize,
    _held: Held,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.downloads.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Somebody who waits for a block. If nobody does any more, and nobody has made it, there is nothing to keep.
struct Wanted<'a> {
    blocks: &'a Blocks,
    key: Key,
    cell: Arc<OnceCell<Bytes>>,
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let mut kept = self.blocks.kept();
        // Let go before what is kept is: each who waits has one, and what is kept has one.
        let cell = std::mem::take(&mut self.cell);
        match cell.get() {
            Some(bytes) => kept.note(self.key, &cell, bytes.len()),
            None if Arc::strong_count(&cell) <= 2 => kept.forget(self.key, &cell),
            None => {}
        }
    }
}

/// Least recently used ones go first.
#[derive(Default)]
struct Kept {
    blocks: HashMap<Key, Entry>,
    used: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

#[derive(Default)]
struct Entry {
    block: Arc<OnceCell<Bytes>>,
    used: u64,
    /// None while it is being made.
    bytes: usize,
}

impl Blocks {
    /// With so many encoders at most.
    pub(crate) fn new(encoders: usize, instruments: Instruments) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        instruments.limit.set(i64::try_from(encoders).unwrap_or(i64::MAX));
        Self {
            kept: Mutex::default(),
            most: encoders,
            seats: Seats::new(instruments.clone()),
            downloads: AtomicUsize::new(0),
            at_once: Semaphore::new(threads + 1),
            not_live: Semaphore::new(threads.div_ceil(2)),
            instruments,
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for who will hear a row of blocks in real time, from this one on.
    pub(crate) fn seat(&self, key: Key) -> Result<Seat, Problem> {
        self.seats.sit(key.at(), self.most).ok_or_else(|| self.full())
    }

    /// Whether a download may begin with this block: it is at hand, or others do not wait for too many already.
    pub(crate) fn admit(&self, key: Key) -> Result<(), Problem> {
        let busy = || self.seats.taken() + self.downloads.load(Ordering::Relaxed);
        if self.kept().is_there(key) || busy() < self.most { Ok(()) } else { Err(self.full()) }
    }

    fn full(&self) -> Problem {
        self.instruments.refused.inc();
        let error = "there are as many encoders in use as the gateway may have";
        Problem::later(error, "try again in a while, or ask for wav or pcm, which need none", COME_BACK)
    }

    /// A block, made now if nobody has it. Of the frames that it is made of, all before the end are recorded. A download has no
    /// seat.
    pub(crate) async fn get(&self, key: Key, tape: &mut Tape, seat: Option<&mut Seat>) -> Result<Bytes, ReadError> {
        let cell = self.kept().cell(key);
        let live = seat.is_some();
        if let Some(seat) = seat {
            self.seats.advance(seat, key.at());
        }
        // However this ends, also when it is given up.
        let wanted = Wanted { blocks: self, key, cell };
        let made = wanted.cell.get_or_try_init(|| async {
            let (mut _waiting, mut _among_recorded) = (None, None);
            if !live {
                self.downloads.fetch_add(1, Ordering::Relaxed);
                let _held = Held::new(&self.instruments.encoders);
                _waiting = Some(Waiting { downloads: &self.downloads, _held });
                _among_recorded = Some(self.not_live.acquire().await.map_err(|e| failed(e.into()))?);
            }
            let _turn = self.at_once.acquire().await.map_err(|e| failed(e.into()))?;
            let pcm = pcm(key, tape).await?;
            let begun = Instant::now();
            let (rendition, number) = (key.rendition, key.number);
            let made = blocking("compressed audio", move || rendition.encode(number, &pcm)).await?;
            self.instruments.encoded(rendition.codec(), begun.elapsed());
            Ok::<_, ReadError>(Bytes::from(made))
        });
        made.await.cloned()
    }
}

impl Key {
    const fn at(self) -> At {
        At { recording: self.recording, rendition: self.rendition, block: self.number }
    }
}

/// What a block is made of, with silence before the rendition and after its end.
async fn pcm(key: Key, tape: &mut Tape) -> Result<Vec<u8>, ReadError> {
    let (needs, spec) = (key.rendition.needs(key.number), key.rendition.spec());
    let size = spec.frame_bytes() as usize;
    let before = usize::try_from(needs.start.min(0).unsigned_abs()).unwrap_or(0);
    let at = |frame: i64| key.origin + FrameCount::new(u64::try_from(frame).unwrap_or(0));
    let (mut next, mut end) = (at(needs.start), at(needs.end));
    if let Some(last) = key.end {
        end = end.min(last);
    }
    let mut out = vec![0; before * size];
    while next < end {
        let block = tape.read(next..end).await?.load().await?;
        let (frames, _) = spec.frames_in(block.len() as u64);
        if frames.is_zero() {
            return Err(failed("nothing was read".into()));
        }
        out.extend_from_slice(&block);
        next = next + frames;
    }
    // FLAC ends where the audio does.
    if let Compressed::Packets(_) = key.rendition {
        let all = usize::try_from(needs.end - needs.start).unwrap_or(0);
        out.resize(all * size, 0);
    }
    Ok(out)
}

fn failed(why: Box<dyn std::error::Error + Send + Sync>) -> ReadError {
    ReadError::new("compressed audio", why)
}

impl Kept {
    fn cell(&mut self, key: Key) -> Arc<OnceCell<Bytes>> {
        self.uses += 1;
        let entry = self.blocks.entry(key).or_default();
        self.used.remove(&entry.used);
        entry.used = self.uses;
        self.used.insert(self.uses, key);
        entry.block.clone()
    }

    /// Whether a block is made.
    fn is_there(&self, key: Key) -> bool {
        self.blocks.get(&key).is_some_and(|entry| entry.bytes > 0)
    }

    /// The entry of a block that is not known to be made, if it is still this one.
    fn unmade(&mut self, key: Key, cell: &Arc<OnceCell<Bytes>>) -> Option<&mut Entry> {
        self.blocks.get_mut(&key).filter(|entry| entry.bytes == 0 && Arc::ptr_eq(&entry.block, cell))
    }

    /// A block was made, and has so many bytes.
    fn note(&mut self, key: Key, cell: &Arc<OnceCell<Bytes>>, bytes: usize) {
        let Some(entry) = self.unmade(key, cell) else { return };
        entry.bytes = bytes;
        self.bytes += bytes;
        while self.bytes > KEPT
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
    }

    /// Nobody makes this block.
    fn forget(&mut self, key: Key, cell: &Arc<OnceCell<Bytes>>) {
        if let Some(entry) = self.unmade(key, cell) {
            let used = entry.used;
            self.used.remove(&used);
            self.blocks.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    fn key(number: u64) -> Key {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let rendition = Compressed::Flac(Flac::new(spec, None).unwrap());
        Key { recording: RecordingId::new(1, &[7; 10]), rendition, origin: Frame::ZERO, number, end: None }
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let (mut kept, quarter) = (Kept::default(), KEPT / 4);
        for n in 0..4 {
            let cell = kept.cell(key(n));
            kept.note(key(n), &cell, quarter);
            kept.note(key(n), &cell, quarter);
        }
        let cell = kept.cell(key(0));
        kept.forget(key(0), &cell);
        let cell = kept.cell(key(4));
        assert_eq!(kept.bytes, KEPT, "said twice, counted once; what is made is not forgotten");
        assert!(kept.is_there(key(0)) && !kept.is_there(key(4)));
        kept.note(key(4), &cell, quarter);
        assert_eq!(kept.bytes, KEPT);
        let there: Vec<_> = (0..5).map(|n| kept.blocks.contains_key(&key(n))).collect();
        assert_eq!(there, [true, false, true, true, true]);
        let cell = kept.cell(key(9));
        kept.forget(key(9), &Arc::default());
        assert!(kept.blocks.contains_key(&key(9)), "another one");
        kept.forget(key(9), &cell);
        assert_eq!((kept.blocks.len(), kept.used.len()), (4, 4));
    }

    #[test]
    fn who_hangs_up_leaves_nothing_behind() {
        let metrics = crate::metrics::Instruments::new().unwrap();
        let blocks = Blocks::new(1, metrics.encoding.clone());
        let wanted = || Wanted { blocks: &blocks, key: key(1), cell: blocks.kept().cell(key(1)) };
        let (first, second) = (wanted(), wanted());
        drop(first);
        assert_eq!(blocks.kept().blocks.len(), 1, "somebody waits for it");
        drop(second);
        let sizes = || {
            let kept = blocks.kept();
            (kept.blocks.len(), kept.used.len(), kept.bytes)
        };
        assert_eq!(sizes(), (0, 0, 0));
        let made = wanted();
        made.cell.set(Bytes::from_static(b"made")).unwrap();
        drop(made);
        assert_eq!(sizes(), (1, 1, 4));
    }
}
