//! Blocks of compressed renditions, made once for all who listen and kept for a while.
//!
//! A block is a function of the audio alone (`livetape_codec::encode`), so nothing is lost when one is forgotten. It is made
//! when somebody asks for it, on one of a few threads; whoever asks for it meanwhile waits for the same. What is heard in real
//! time comes before what is downloaded, and has seats (`seats`); what is at hand already costs no encoder.
//! Not here: how one comes about (`making`), how long it is kept (`kept`), who asks, and what becomes of a block.

mod kept;
mod making;

use crate::library::ReadError;
use crate::metrics::Encoding as Instruments;
use crate::problem::Problem;
use crate::rendition::Rendition;
use crate::seats::{At, Seat, Seats};
use crate::tape::Tape;
use bytes::Bytes;
use kept::{Kept, Wanted};
use livetape_audio::{Frame, FrameCount, RecordingId, Spec};
use livetape_codec::encode::{self, Encoding, Flac};
use making::{Turns, failed};
use std::ops::Range;
use std::time::Duration;

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
    kept: Kept,
    /// Most rows that are heard in real time, and most blocks that downloads wait for.
    most: usize,
    seats: Seats,
    turns: Turns,
    instruments: Instruments,
}

impl Blocks {
    /// With so many encoders at most.
    pub(crate) fn new(encoders: usize, instruments: Instruments) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        instruments.limit.set(i64::try_from(encoders).unwrap_or(i64::MAX));
        Self {
            kept: Kept::default(),
            most: encoders,
            seats: Seats::new(instruments.clone()),
            turns: Turns::new(threads, instruments.clone()),
            instruments,
        }
    }

    /// A seat for who will hear a row of blocks in real time, from this one on.
    pub(crate) fn seat(&self, key: Key) -> Result<Seat, Problem> {
        self.seats.sit(key.at(), self.most).ok_or_else(|| self.full())
    }

    /// Whether a download may begin with this block: it is at hand, or others do not wait for too many already.
    pub(crate) fn admit(&self, key: Key) -> Result<(), Problem> {
        let busy = || self.seats.taken() + self.turns.downloads();
        if self.kept.is_there(key) || busy() < self.most { Ok(()) } else { Err(self.full()) }
    }

    fn full(&self) -> Problem {
        self.instruments.refused.inc();
        let error = "there are as many encoders in use as the gateway may have";
        Problem::later(error, "try again in a while, or ask for wav or pcm, which need none", COME_BACK)
    }

    /// A block, made now if nobody has it. Of the frames that it is made of, all before the end are recorded. A download has no
    /// seat.
    pub(crate) async fn get(&self, key: Key, tape: &mut Tape, seat: Option<&mut Seat>) -> Result<Bytes, ReadError> {
        // However this ends, also when it is given up.
        let wanted = self.kept.want(key);
        let live = seat.is_some();
        if let Some(seat) = seat {
            self.seats.advance(seat, key.at());
        }
        self.made(&wanted, live, pcm(key, tape)).await
    }

    /// The same; `pcm` reads what the block is made of.
    async fn made(
        &self,
        wanted: &Wanted,
        live: bool,
        pcm: impl Future<Output = Result<Vec<u8>, ReadError>>,
    ) -> Result<Bytes, ReadError> {
        let making = wanted.making();
        let ready = async {
            let _first = making.first(live).await;
            let turn = self.turns.turn(live).await?;
            Ok::<_, ReadError>((turn, pcm.await?))
        };
        tokio::select! {
            biased;
            () = making.begun() => {}
            ready = ready => {
                let (turn, pcm) = ready?;
                let Key { rendition, number, .. } = wanted.key();
                making::begin(wanted, turn, &self.instruments, move || rendition.encode(number, &pcm));
            }
        }
        making.over().await
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

#[cfg(test)]
mod tests;
