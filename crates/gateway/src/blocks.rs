//! Blocks of compressed renditions, made once for all who listen and kept for a while.
//!
//! A block is a function of the audio alone (`livetape_codec::encode`), so nothing is lost when one is forgotten. It is made
//! when somebody asks for it, on one of a few threads; whoever asks for it meanwhile waits for the same. What is live comes
//! before what is recorded. Not here: who asks, and what becomes of a block.

use crate::library::{ReadError, blocking};
use crate::metrics::Encoding as Instruments;
use crate::problem::Problem;
use crate::rendition::Rendition;
use crate::tape::Tape;
use bytes::Bytes;
use livetape_audio::{Frame, FrameCount, RecordingId, Spec};
use livetape_codec::encode::{self, Encoding, Flac};
use livetape_service::metrics::Held;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

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
    /// One permit for each encoder that may be in use, and who shares one.
    encoders: Arc<Semaphore>,
    shared: Mutex<HashMap<(RecordingId, Compressed), Weak<Seat>>>,
    /// One permit for each block that is being made; those of what is recorded need one of fewer, too.
    at_once: Semaphore,
    not_live: Semaphore,
    instruments: Instruments,
}

/// Leave to use an encoder, for as long as it is held.
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    _held: Held,
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
            encoders: Arc::new(Semaphore::new(encoders.min(Semaphore::MAX_PERMITS))),
            shared: Mutex::default(),
            at_once: Semaphore::new(threads + 1),
            not_live: Semaphore::new(threads.div_ceil(2)),
            instruments,
        }
    }

    /// Leave to use an encoder. All who hear a recording live in the same rendition share one.
    pub(crate) fn seat(&self, recording: RecordingId, rendition: Compressed, live: bool) -> Result<Arc<Seat>, Problem> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (recording, rendition);
        if let Some(seat) = shared.get(&key).filter(|_| live).and_then(Weak::upgrade) {
            return Ok(seat);
        }
        let permit = self.encoders.clone().try_acquire_owned().map_err(|_| {
            self.instruments.refused.inc();
            let error = "there are as many encoders in use as the gateway may have";
            Problem::later(error, "try again in a while, or ask for wav or pcm, which need none", COME_BACK)
        })?;
        let seat = Arc::new(Seat { _permit: permit, _held: Held::new(&self.instruments.encoders) });
        if live {
            shared.retain(|_, seat| seat.strong_count() > 0);
            shared.insert(key, Arc::downgrade(&seat));
        }
        Ok(seat)
    }

    /// A block, made now if nobody has it. Of the frames that it is made of, all before the end are recorded.
    pub(crate) async fn get(&self, key: Key, tape: &mut Tape, live: bool) -> Result<Bytes, ReadError> {
        let cell = self.kept.lock().unwrap_or_else(PoisonError::into_inner).cell(key);
        let made = cell.get_or_try_init(|| async {
            let mut _among_recorded = None;
            if !live {
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
        let made = made.await.cloned();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &made {
            Ok(bytes) => kept.note(key, bytes.len()),
            Err(_) => kept.forget(key),
        }
        made
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

    /// A block was made.
    fn note(&mut self, key: Key, bytes: usize) {
        let Some(entry) = self.blocks.get_mut(&key).filter(|entry| entry.bytes == 0) else { return };
        entry.bytes = bytes;
        self.bytes += bytes;
        while self.bytes > KEPT
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
    }

    /// A block could not be made.
    fn forget(&mut self, key: Key) {
        if self.blocks.get(&key).is_some_and(|entry| entry.bytes == 0)
            && let Some(entry) = self.blocks.remove(&key)
        {
            self.used.remove(&entry.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let key = |number| Key {
            recording: RecordingId::new(1, &[7; 10]),
            rendition: Compressed::Flac(Flac::new(spec, None).unwrap()),
            origin: Frame::ZERO,
            number,
            end: None,
        };
        let (mut kept, quarter) = (Kept::default(), KEPT / 4);
        for n in 0..4 {
            kept.cell(key(n));
            kept.note(key(n), quarter);
            kept.note(key(n), quarter);
        }
        kept.cell(key(0));
        kept.cell(key(4));
        kept.forget(key(3));
        assert_eq!(kept.bytes, KEPT, "said twice, counted once; what is made is not forgotten");
        kept.note(key(4), quarter);
        assert_eq!(kept.bytes, KEPT);
        let there: Vec<_> = (0..5).map(|n| kept.blocks.contains_key(&key(n))).collect();
        assert_eq!(there, [true, false, true, true, true]);
        kept.cell(key(9));
        kept.forget(key(9));
        assert_eq!((kept.blocks.len(), kept.used.len()), (4, 4));
    }
}
