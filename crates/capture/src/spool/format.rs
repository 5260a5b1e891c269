//! The bytes of a spool's files. Little-endian.
//!
//! ```text
//! file    magic "LTSPOOL\0", version u32, instance 16 bytes, sample format u8, channels (4 bits) and
//!         their loudspeakers as in WAV (20 bits; 0: unknown), rate u32, place of its first frame u64, crc32 of these u32; then records
//! record  kind 4 bytes, payload length u32, place u64, capture time i64 (ns), crc32 of these and the payload u32,
//!         payload
//!   LTau  audio: whole frames
//!   LTgp  a gap: missing frames u64 (all ones: unknown), reason u8
//!   LTnm  numbers: recording 16 bytes (zero: none), place u64 from which on there are none (all ones: none such),
//!         stretches of (place u64, number u64); the record's place is what is durable
//!   LTti  a title: UTF-8
//!   LTen  nothing follows
//! ```
//! The checksums of records go on from that of the file's head, so that a record of another file is never taken for one
//! of this. Not here: files.

use crate::sources::Chunk;
use crate::uplink::{Held, Missing, Note, Numbers, Place, Record, Stretch, Titled};
use bytes::Bytes;
use livetape_audio::{
    ChannelLayout, Frame, FrameCount, GapReason, Instance, RecordingId, SampleFormat, Spec, WallTime,
};

const MAGIC: &[u8; 8] = b"LTSPOOL\0";
const VERSION: u32 = 1;
/// Size of a file's head.
pub(super) const HEAD: usize = 48;
/// Size of a record without its payload.
pub(super) const RECORD: usize = 28;
/// Largest payload.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;
/// Most stretches that are kept; more are never under way at once.
const MAX_STRETCHES: usize = 4096;

const KINDS: [&[u8; 4]; 5] = [b"LTau", b"LTgp", b"LTnm", b"LTen", b"LTti"];
/// What every kind begins with.
pub(super) const MARK: &[u8] = b"LT";
const UNKNOWN: u64 = u64::MAX;

/// Whose audio a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) instance: Instance,
    pub(crate) spec: Spec,
}

/// What is in front of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) identity: Identity,
    pub(super) first: Place,
    /// Where the checksums of its records go on from.
    pub(super) seed: u32,
}

/// Why a file is not a spool's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error("it is not a spool file")]
    Magic,
    #[error("it was written by a newer version (format {0})")]
    Newer(u32),
    #[error("its head is damaged")]
    Damaged,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    number(bytes, at).map(u64::from_le_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u32> {
    number(bytes, at).map(u32::from_le_bytes)
}

/// The head of a new file, and its bytes.
pub(super) fn head(identity: Identity, first: Place) -> (Head, Vec<u8>) {
    let spec = identity.spec;
    let format = SampleFormat::ALL.iter().position(|&f| f == spec.format()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEAD);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&identity.instance.0);
    let channels = u32::from(spec.channels()) | spec.layout().mask() << 4;
    bytes.extend_from_slice(&(format as u32 | channels << 8).to_le_bytes());
    bytes.extend_from_slice(&spec.rate().to_le_bytes());
    bytes.extend_from_slice(&first.get().to_le_bytes());
    let seed = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&seed.to_le_bytes());
    (Head { identity, first, seed }, bytes)
}

/// Takes the first bytes of a file apart.
pub(super) fn parse_head(bytes: &[u8]) -> Result<Head, Foreign> {
    if bytes.get(..8) != Some(MAGIC) {
        return Err(Foreign::Magic);
    }
    match short(bytes, 8) {
        Some(VERSION) => {}
        Some(version) if version > VERSION => return Err(Foreign::Newer(version)),
        _ => return Err(Foreign::Damaged),
    }
    parse_fields(bytes).ok_or(Foreign::Damaged)
}

fn parse_fields(bytes: &[u8]) -> Option<Head> {
    let seed = crc32fast::hash(bytes.get(..44)?);
    if short(bytes, 44)? != seed {
        return None;
    }
    let shape = short(bytes, 28)?;
    let format = *SampleFormat::ALL.get((shape & 0xFF) as usize)?;
    let layout = ChannelLayout::of_mask(shape >> 12).ok()?;
    let spec = Spec::new(format, short(bytes, 32)?, shape >> 8 & 0xF).ok()?.for_speakers(layout).ok()?;
    let identity = Identity { instance: Instance(number(bytes, 12)?), spec };
    Some(Head { identity, first: Place::new(long(bytes, 36)?), seed })
}

/// Appends the bytes of a record.
pub(super) fn encode(record: &Record, seed: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let (kind, place, time) = match record {
        Record::Audio(held) => (KINDS[0], held.at, held.chunk.time),
        Record::Note(Note::Gap(gap)) => (KINDS[1], gap.at, WallTime::default()),
        Record::Note(Note::Title(title)) => (KINDS[4], title.at, WallTime::default()),
        Record::Numbers(numbers) => (KINDS[2], numbers.durable, WallTime::default()),
        Record::Ended => (KINDS[3], Place::ZERO, WallTime::default()),
    };
    out.extend_from_slice(kind);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&place.get().to_le_bytes());
    out.extend_from_slice(&time.unix_nanos().to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    match record {
        Record::Audio(held) => out.extend_from_slice(&held.chunk.pcm),
        Record::Note(Note::Title(title)) => out.extend_from_slice(title.title.as_str().as_bytes()),
        Record::Note(Note::Gap(gap)) => {
            out.extend_from_slice(&gap.frames.map_or(UNKNOWN, FrameCount::get).to_le_bytes());
            out.push(reason_code(gap.reason));
        }
        Record::Numbers(numbers) => {
            let id = numbers.recording.map_or(uuid::Uuid::nil(), |id| id.to_string().parse().unwrap_or_default());
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&numbers.until.map_or(UNKNOWN, Place::get).to_le_bytes());
            for stretch in numbers.stretches.iter().rev().take(MAX_STRETCHES).rev() {
                out.extend_from_slice(&stretch.from.get().to_le_bytes());
                out.extend_from_slice(&stretch.number.get().to_le_bytes());
            }
        }
        Record::Ended => {}
    }
    let length = (out.len() - start - RECORD) as u32;
    put(out, start + 4, length);
    let sum = out.get(start..).map_or(0, |record| checksum(record, seed));
    put(out, start + 24, sum);
}

fn put(out: &mut [u8], at: usize, value: u32) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// Of a whole record but for the checksum itself.
fn checksum(record: &[u8], seed: u32) -> u32 {
    let mut sum = crc32fast::Hasher::new_with_initial(seed);
    sum.update(record.get(..24).unwrap_or_default());
    sum.update(record.get(RECORD..).unwrap_or_default());
    sum.finalize()
}

/// What the beginning of some bytes is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A record of so many bytes.
    Record(Record, usize),
    /// Perhaps a record; so many bytes have to be there to tell.
    More(usize),
    /// None.
    Bad,
}

/// Decodes the record at the beginning of `bytes`.
pub(super) fn decode(bytes: &Bytes, identity: Identity, seed: u32) -> Decoded {
    let (Some(kind), Some(length)) = (bytes.get(..4), short(bytes, 4)) else { return Decoded::More(RECORD) };
    let length = length as usize;
    if length > MAX_PAYLOAD || !KINDS.iter().any(|known| *known == kind) {
        return Decoded::Bad;
    }
    let Some(record) = bytes.get(..RECORD + length) else { return Decoded::More(RECORD + length) };
    if short(record, 24) != Some(checksum(record, seed)) {
        return Decoded::Bad;
    }
    parse(bytes.slice(..RECORD + length), identity.spec).map_or(Decoded::Bad, |r| Decoded::Record(r, RECORD + length))
}

fn parse(bytes: Bytes, spec: Spec) -> Option<Record> {
    let place = Place::new(long(&bytes, 8)?);
    let payload = bytes.slice(RECORD..);
    match number(&bytes, 0)? {
        kind if kind == *KINDS[0] => {
            let time = WallTime::from_unix_nanos(i64::from_le_bytes(number(&bytes, 16)?));
            let (frames, half) = spec.frames_in(payload.len() as u64);
            // A place near the end of all numbers is nobody's.
            let whole = half == 0 && !frames.is_zero() && place.get() < u64::MAX / 2;
            whole.then_some(Record::Audio(Held { at: place, chunk: Chunk { time, pcm: payload } }))
        }
        kind if kind == *KINDS[1] => {
            let frames = Some(long(&payload, 0)?).filter(|&n| n != UNKNOWN).map(FrameCount::new);
            let reason = reason_of(*payload.get(8)?)?;
            Some(Record::Note(Missing { at: place, frames, reason }.into()))
        }
        kind if kind == *KINDS[2] => Some(Record::Numbers(parse_numbers(place, &payload)?)),
        kind if kind == *KINDS[4] => {
            let title = str::from_utf8(&payload).ok()?.parse().ok()?;
            Some(Record::Note(Note::Title(Titled { at: place, title })))
        }
        _ => Some(Record::Ended),
    }
}

fn parse_numbers(durable: Place, payload: &[u8]) -> Option<Numbers> {
    let id = uuid::Uuid::from_bytes(number(payload, 0)?);
    let recording: Option<RecordingId> = if id.is_nil() { None } else { id.hyphenated().to_string().parse().ok() };
    let until = Some(long(payload, 16)?).filter(|&place| place != UNKNOWN).map(Place::new);
    let pairs = payload.get(24..)?.chunks_exact(16);
    let stretch = |pair| Some(Stretch { from: Place::new(long(pair, 0)?), number: Frame::new(long(pair, 8)?) });
    Some(Numbers { recording, durable, until, stretches: pairs.map(stretch).collect::<Option<_>>()? })
}

const fn reason_code(reason: GapReason) -> u8 {
    match reason {
        GapReason::Other => 0,
        GapReason::SourceRestarted => 1,
        GapReason::Xrun => 2,
        GapReason::Overflow => 3,
        GapReason::DeviceAway => 4,
        GapReason::DeviceChanged => 5,
        GapReason::Suspended => 6,
    }
}

const fn reason_of(code: u8) -> Option<GapReason> {
    Some(match code {
        0 => GapReason::Other,
        1 => GapReason::SourceRestarted,
        2 => GapReason::Xrun,
        3 => GapReason::Overflow,
        4 => GapReason::DeviceAway,
        5 => GapReason::DeviceChanged,
        6 => GapReason::Suspended,
        _ => return None,
    })
}
