//! The bytes on disk: names of files, index blocks, timeline records, the two JSON files. Nothing else knows them.
//!
//! Those of what is made from the audio are in `derived`, `peaks` and `loudness`. All numbers are little-endian. Format 1; a file that says a later one is refused and never overwritten.

pub(crate) mod derived;
pub(crate) mod loudness;
pub(crate) mod peaks;

use crate::error::StoreError;
use crate::recording::Recording;
use livetape_audio::{Entry, Frame, FrameCount, Generation, WallTime};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The format that is written here.
const FORMAT: u64 = 1;

/// In the data folder: held by the one recorder.
pub(crate) const LOCK: &str = "LOCK";
/// In the data folder: the recorder's generation.
pub(crate) const RECORDER: &str = "recorder.json";
/// In a recording's folder: what it is.
pub(crate) const RECORDING: &str = "recording.json";
/// In a recording's folder: what is said about its frames.
pub(crate) const TIMELINE: &str = "timeline.log";
/// Most bytes of a JSON file.
pub(crate) const MAX_JSON: u64 = 64 * 1024;

/// The two files of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Audio,
    Index,
}

impl Part {
    const fn extension(self) -> &'static str {
        match self {
            Self::Audio => "pcm",
            Self::Index => "idx",
        }
    }
}

/// Name of a file of the segment that begins with frame `first`.
pub(crate) fn segment_name(first: Frame, part: Part) -> String {
    format!("{:020}.{}", first.get(), part.extension())
}

/// Name under which bytes are kept that an index does not prove, but that are too many to be a torn write.
pub(crate) fn unproven_name(first: Frame, part: Part) -> String {
    segment_name(first, part) + ".unproven"
}

/// The same for a timeline.
pub(crate) const UNPROVEN_TIMELINE: &str = "timeline.log.unproven";

/// The first frame of the segment that a file belongs to; `None` for any other file.
pub(crate) fn parse_segment_name(name: &str) -> Option<Frame> {
    let (stem, extension) = name.split_once('.')?;
    let ours = extension == Part::Audio.extension() || extension == Part::Index.extension();
    let digits = stem.len() == 20 && stem.bytes().all(|b| b.is_ascii_digit());
    if ours && digits { stem.parse().ok().map(Frame::new) } else { None }
}

/// Bytes of an index block.
pub(crate) const BLOCK_BYTES: usize = 32;

/// "Everything before this block was durable when it was written."
const FLAG_AFTER_SYNC: u32 = 1;

/// What the index says about consecutive frames.
///
/// ```text
/// 0 first frame u64 | 8 time of day i64, ns since 1970 | 16 frames u32 | 20 CRC-32 of the audio u32
/// 24 flags u32 | 28 CRC-32 of bytes 0 to 27 u32
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: Frame,
    pub(crate) frames: u32,
    /// Time of day of the first frame.
    pub(crate) time: WallTime,
    /// CRC-32 of the frames' bytes.
    pub(crate) audio: u32,
    /// Whether everything before it was durable when it was written.
    pub(crate) after_sync: bool,
}

impl Block {
    pub(crate) fn count(&self) -> FrameCount {
        FrameCount::new(u64::from(self.frames))
    }

    pub(crate) fn end(&self) -> Frame {
        self.first + self.count()
    }

    pub(crate) fn encode(&self) -> [u8; BLOCK_BYTES] {
        let flags = if self.after_sync { FLAG_AFTER_SYNC } else { 0 };
        let mut bytes = [0; BLOCK_BYTES];
        let (head, check) = bytes.split_at_mut(28);
        head[..8].copy_from_slice(&self.first.get().to_le_bytes());
        head[8..16].copy_from_slice(&self.time.unix_nanos().to_le_bytes());
        head[16..20].copy_from_slice(&self.frames.to_le_bytes());
        head[20..24].copy_from_slice(&self.audio.to_le_bytes());
        head[24..].copy_from_slice(&flags.to_le_bytes());
        check.copy_from_slice(&crc32fast::hash(head).to_le_bytes());
        bytes
    }

    /// The block, if its own checksum holds and it makes sense.
    pub(crate) fn decode(bytes: &[u8; BLOCK_BYTES]) -> Option<Self> {
        let (head, check) = bytes.split_at(28);
        let flags = le32(head, 24);
        let valid = le32(check, 0) == crc32fast::hash(head) && flags & !FLAG_AFTER_SYNC == 0;
        let block = Self {
            first: Frame::new(le64(head, 0)),
            frames: le32(head, 16),
            time: WallTime::from_unix_nanos(le64(head, 8) as i64),
            audio: le32(head, 20),
            after_sync: flags == FLAG_AFTER_SYNC,
        };
        (valid && block.frames > 0 && block.first.get().checked_add(u64::from(block.frames)).is_some()).then_some(block)
    }
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    bytes.iter().skip(at).take(8).rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    bytes.iter().skip(at).take(4).rev().fold(0, |n, &b| n << 8 | u32::from(b))
}

/// Most bytes of a timeline record's payload.
pub(crate) const MAX_ENTRY: usize = 4096;
/// Bytes before the payload: its length u32, its CRC-32 u32.
pub(crate) const ENTRY_HEAD: usize = 8;

/// A timeline record: length, checksum, and the entry as JSON.
pub(crate) fn encode_entry(entry: &Entry) -> Result<Vec<u8>, StoreError> {
    // Entries are plain data with string keys: they can always be written as JSON.
    let payload = serde_json::to_vec(entry).unwrap_or_default();
    match u32::try_from(payload.len()) {
        Ok(len) if (1..=MAX_ENTRY).contains(&payload.len()) => {
            let mut record = Vec::with_capacity(ENTRY_HEAD + payload.len());
            record.extend_from_slice(&len.to_le_bytes());
            record.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
            record.extend_from_slice(&payload);
            Ok(record)
        }
        _ => Err(StoreError::TooLong { bytes: payload.len(), max: MAX_ENTRY }),
    }
}

/// What stands at the beginning of some bytes of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// An entry, and the bytes of its record.
    Entry(Entry, usize),
    /// The beginning of what may become an entry.
    Partial,
    /// No entry.
    Damaged,
}

pub(crate) fn decode_entry(bytes: &[u8]) -> Record {
    if bytes.len() < ENTRY_HEAD {
        return Record::Partial;
    }
    let len = le32(bytes, 0) as usize;
    if !(1..=MAX_ENTRY).contains(&len) {
        return Record::Damaged;
    }
    let Some(payload) = bytes.get(ENTRY_HEAD..ENTRY_HEAD + len) else { return Record::Partial };
    if le32(bytes, 4) != crc32fast::hash(payload) {
        return Record::Damaged;
    }
    serde_json::from_slice(payload).map_or(Record::Damaged, |entry| Record::Entry(entry, ENTRY_HEAD + len))
}

#[derive(Serialize)]
struct Versioned<T> {
    format: u64,
    #[serde(flatten)]
    content: T,
}

#[derive(Deserialize)]
struct Version {
    format: u64,
}

#[derive(Serialize, Deserialize)]
struct Recorder {
    generation: Generation,
}

fn to_json<T: Serialize>(content: T) -> Vec<u8> {
    // Plain data with string keys can always be written as JSON.
    let mut bytes = serde_json::to_vec_pretty(&Versioned { format: FORMAT, content }).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn from_json<T: for<'de> Deserialize<'de>>(path: &Path, bytes: &[u8]) -> Result<T, StoreError> {
    // The format comes first: what else a later one holds is not ours to judge.
    let version: Version = serde_json::from_slice(bytes).map_err(|e| StoreError::damaged(path, e.to_string()))?;
    match version.format {
        FORMAT => serde_json::from_slice(bytes).map_err(|e| StoreError::damaged(path, e.to_string())),
        0 => Err(StoreError::damaged(path, "format 0 was never written")),
        found => Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }),
    }
}

pub(crate) fn encode_recording(recording: &Recording) -> Vec<u8> {
    to_json(recording)
}

/// Reads a `recording.json`, which is at `path`.
pub(crate) fn decode_recording(path: &Path, bytes: &[u8]) -> Result<Recording, StoreError> {
    let recording: Recording = from_json(path, bytes)?;
    recording.check(path)?;
    Ok(recording)
}

pub(crate) fn encode_generation(generation: Generation) -> Vec<u8> {
    to_json(Recorder { generation })
}

/// Reads a `recorder.json`, which is at `path`.
pub(crate) fn decode_generation(path: &Path, bytes: &[u8]) -> Result<Generation, StoreError> {
    from_json::<Recorder>(path, bytes).map(|recorder| recorder.generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Seal;
    use livetape_audio::{
        Anchor, Epoch, Event, EventKind, Gap, GapReason, Instance, Mark, RecordingId, SampleFormat, SealReason,
        SourceChange, Spec, TitleChange,
    };
    use proptest::prelude::*;

    fn recording() -> Recording {
        Recording {
            id: RecordingId::new(1_763_649_000_000, &[7; 10]),
            stream: "studio-a".parse().unwrap(),
            spec: Spec::new(SampleFormat::S24, 44_100, 6).unwrap(),
            source: "time-signal".parse().unwrap(),
            title: "Studio \"A\" – süß".parse().unwrap(),
            started: WallTime::from_unix_nanos(1_763_649_000_123_456_789),
            epoch: Epoch(3),
            instance: Instance([0xAB; 16]),
            segment_frames: FrameCount::new(441_000),
            seal: None,
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: "Jazz & more".parse().unwrap(),
        }
    }

    #[test]
    fn recordings_there_and_back() {
        let path = Path::new("recording.json");
        let mut recording = recording();
        assert_eq!(decode_recording(path, &encode_recording(&recording)).unwrap(), recording);
        recording.seal = Some(Seal {
            end: Frame::new(99),
            earliest: Some(WallTime::from_unix_nanos(1_763_649_000_000_000_000)),
            ended: WallTime::from_unix_nanos(1_763_649_001_000_000_000),
            reason: SealReason::Rolled,
            next: Some(recording.id),
        });
        let bytes = encode_recording(&recording);
        assert_eq!(decode_recording(path, &bytes).unwrap(), recording);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("\"format\": 1") && text.contains("\"abababababababababababababababab\""), "{text}");
    }

    #[test]
    fn hostile_recordings_are_refused() {
        let path = Path::new("/x/recording.json");
        let text = String::from_utf8(encode_recording(&recording())).unwrap();
        for (from, to, word) in [
            ("\"format\": 1", "\"format\": 2", "newer"),
            ("\"format\": 1", "\"format\": 0", "format"),
            ("\"format\": 1", "\"format\": -1", "damaged"),
            ("\"format\": 1,", "", "format"),
            ("441000", "0", "segments"),
            ("441000", "4294967296", "segments"),
            ("44100,", "1,", "rate"),
            ("studio-a", "../../etc", "stream name"),
            ("{", "[", "damaged"),
        ] {
            let message = decode_recording(path, text.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(message.contains(word) && message.contains("/x/recording.json"), "{message}");
        }
        for bytes in [&b""[..], &[0; 512], b"\xff\xd8\xff\xe0JFIF", "[".repeat(60_000).as_bytes()] {
            assert!(matches!(decode_recording(path, bytes), Err(StoreError::Damaged { .. })));
        }
    }

    #[test]
    fn generations_there_and_back() {
        let path = Path::new("recorder.json");
        let bytes = encode_generation(Generation(u64::MAX));
        assert_eq!(decode_generation(path, &bytes).unwrap(), Generation(u64::MAX));
        assert_eq!(decode_generation(path, b"{\"format\":1,\"generation\":5}").unwrap(), Generation(5));
        assert!(decode_generation(path, b"{\"format\":9,\"generation\":5}").is_err());
    }

    #[test]
    fn names_there_and_back() {
        for first in [0, 1, 172_800_000, u64::MAX] {
            for part in [Part::Audio, Part::Index] {
                assert_eq!(parse_segment_name(&segment_name(Frame::new(first), part)), Some(Frame::new(first)));
            }
        }
        let long = format!("{}.pcm", "9".repeat(20));
        for foreign in ["0.pcm", "00000000000000000000.pcm.new", "0000000000000000000a.idx", "timeline.log", &long, ""]
        {
            assert_eq!(parse_segment_name(foreign), None, "{foreign}");
        }
    }

    fn entries() -> Vec<Entry> {
        let (frame, time) = (Frame::new(480), WallTime::from_unix_nanos(1_763_649_000_000_000_001));
        vec![
            Entry::Anchor(Anchor { frame, time }),
            Entry::Gap(Gap { at: frame, lost: None, from: time, to: time, reason: GapReason::Xrun }),
            Entry::Source(SourceChange { frame, source: "stdin".parse().unwrap(), instance: Instance([1; 16]) }),
            Entry::Title(TitleChange { frame, title: "Tagesschau".parse().unwrap() }),
            Entry::Mark(Mark { frame, text: "here".parse().unwrap() }),
            Entry::Event(Event { frame, time, kind: EventKind::Recovered, detail: "cut 3 frames".into() }),
        ]
    }

    #[test]
    fn entries_there_and_back() {
        for entry in entries() {
            let record = encode_entry(&entry).unwrap();
            for n in 0..record.len() {
                assert_eq!(decode_entry(&record[..n]), Record::Partial, "{n} bytes");
            }
            assert_eq!(decode_entry(&[&record[..], b"more"].concat()), Record::Entry(entry, record.len()));
            for i in 0..record.len() {
                let mut flipped = record.clone();
                flipped[i] ^= 0x10;
                assert!(!matches!(decode_entry(&flipped), Record::Entry(..)), "byte {i}");
            }
        }
        assert_eq!(decode_entry(&[0; 64]), Record::Damaged, "space that was only reserved is no entry");
        let time = WallTime::from_unix_nanos(0);
        let long = Event { frame: Frame::ZERO, time, kind: EventKind::ClockStep, detail: "x".repeat(MAX_ENTRY) };
        assert!(matches!(encode_entry(&Entry::Event(long)), Err(StoreError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn blocks_there_and_back(first in 0..u64::MAX / 2, frames in 1_u32.., time: i64, audio: u32, after_sync: bool, flip in 0_usize..256) {
            let block = Block { first: Frame::new(first), frames, time: WallTime::from_unix_nanos(time), audio, after_sync };
            let mut bytes = block.encode();
            prop_assert_eq!(Block::decode(&bytes), Some(block));
            bytes[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(Block::decode(&bytes), None, "a flipped bit");
        }

        #[test]
        fn no_panic_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), block: [u8; BLOCK_BYTES]) {
            let _ = decode_entry(&bytes);
            let _ = Block::decode(&block);
            let _ = decode_recording(Path::new("x"), &bytes);
        }
    }

    #[test]
    fn reserved_space_is_no_block() {
        assert_eq!(Block::decode(&[0; BLOCK_BYTES]), None);
    }
}
