//! What the library does not read of files that are chunks one after another: the tags of WAV and CAF (`LIST` of `INFO`, `info`),
//! for which loudspeakers their channels are, and the sizes of RF64 (EBU Tech 3306), with which a WAV is longer than 32 bits can say.
//!
//! Reads heads and a bounded number of bytes, whatever chunks say about their size; leaves the input as it was.

use super::input::{Input, Long};
use super::tags::{Tags, keep};
use livetape_audio::ChannelLayout;
use livetape_audio::wav_reader::{self, Layout, MAX_HEAD, WavError, WavHead};
use std::io::{Read, Seek, SeekFrom};
use symphonia::core::io::MediaSource as _;

/// Most chunks that are looked at.
const MAX_CHUNKS: u32 = 1_000;
/// Most bytes of one with tags.
const MAX_TAGS: u64 = 1 << 18;
/// Where the audio of a WAV usually has begun.
const HEAD: u64 = 4096;

/// A layout of a CAF (Core Audio's tags) that is a mask as in WAV, and those that have its order, with their masks: MPEG 3.0 A,
/// quadro (two tags), MPEG 4.0 A, 5.0 A, 5.1 A, 6.1 A and 7.1 A, and DVD 10.
const CAF_MASK: u32 = 1 << 16;
const CAF_LAYOUTS: [(u32, u32); 9] = [
    (113 << 16 | 3, 0x07),
    (108 << 16 | 4, 0x33),
    (132 << 16 | 4, 0x33),
    (115 << 16 | 4, 0x107),
    (117 << 16 | 5, 0x37),
    (121 << 16 | 6, 0x3F),
    (125 << 16 | 7, 0x13F),
    (126 << 16 | 8, 0xFF),
    (136 << 16 | 4, 0x0F),
];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tags: Tags,
    /// It is an RF64.
    pub(super) long: Option<Long>,
    /// Where the audio is of a WAV that somebody wrote to a pipe, or was stopped: it never said how long it is.
    pub(super) endless: Option<u64>,
}

/// Looks at a file. Of a stream nothing is read: it cannot be rewound.
pub(super) fn look(input: &mut Input) -> Found {
    let mut found = Found::default();
    if !input.is_seekable() {
        return found;
    }
    let head = beginning(input, HEAD).unwrap_or_default();
    let kind = (head.get(..4).unwrap_or_default(), head.get(8..12).unwrap_or_default());
    match kind {
        (b"RIFF", b"WAVE") => {
            if let Some((Layout { data_at, data_len, .. }, speakers)) = wav(input, head) {
                input.handle().label(speakers);
                found.endless = data_len.is_none().then_some(data_at as u64);
            }
            walk(input, 12, None, &mut found.tags);
        }
        (b"RF64", b"WAVE") => {
            found.long = long(input, head);
            walk(input, 12, found.long.map(|long| long.end - long.data_at), &mut found.tags);
        }
        (b"caff", _) => walk_caf(input, &mut found.tags),
        _ => {}
    }
    let rewound = input.seek(SeekFrom::Start(0));
    if rewound.is_ok() { found } else { Found::default() }
}

/// At most so many bytes from the beginning on.
fn beginning(input: &mut Input, most: u64) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    input.seek(SeekFrom::Start(0)).ok()?;
    input.by_ref().take(most).read_to_end(&mut head).ok()?;
    Some(head)
}

/// What is read of a head, which may be longer than most are.
fn head_of<T>(input: &mut Input, head: &mut Vec<u8>, read: impl Fn(&[u8]) -> Result<Option<T>, WavError>) -> Option<T> {
    if let Ok(None) = read(head) {
        *head = beginning(input, MAX_HEAD as u64)?;
    }
    read(head).ok()?
}

/// Where the audio of a WAV is, and for which loudspeakers its channels are.
fn wav(input: &mut Input, mut head: Vec<u8>) -> Option<(Layout, ChannelLayout)> {
    let layout = head_of(input, &mut head, wav_reader::find)?;
    let speakers = layout.speakers(&head);
    Some((layout, speakers))
}

/// Of an RF64 of PCM that says how long it is.
fn long(input: &mut Input, mut head: Vec<u8>) -> Option<Long> {
    let WavHead { spec, data_at, data_len } = head_of(input, &mut head, wav_reader::read_head)?;
    input.handle().label(spec.layout());
    let (data_at, frames) = (data_at as u64, spec.frames_in(data_len?).0);
    Some(Long { data_at, end: data_at.checked_add(spec.bytes(frames))?, frames })
}

fn bytes<const N: usize>(input: &mut Input, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    input.seek(SeekFrom::Start(at)).ok()?;
    input.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn contents(input: &mut Input, at: u64, size: u64) -> Option<Vec<u8>> {
    let mut contents = Vec::new();
    input.seek(SeekFrom::Start(at)).ok()?;
    input.by_ref().take(size.min(MAX_TAGS)).read_to_end(&mut contents).ok()?;
    Some(contents)
}

/// The chunks of a WAV from `at` on; `audio` bytes are in the one with audio, if that is known from elsewhere.
fn walk(input: &mut Input, mut at: u64, audio: Option<u64>, tags: &mut Tags) {
    for _ in 0..MAX_CHUNKS {
        let Some([a, b, c, d, size @ ..]) = bytes::<8>(input, at) else { return };
        let (body, mut size) = (at + 8, u64::from(u32::from_le_bytes(size)));
        match &[a, b, c, d] {
            b"data" => match (audio, u32::try_from(size)) {
                (Some(audio), _) => size = audio,
                // It only stands for "until it ends".
                (None, Ok(0 | 0x7FFF_0000..)) => return,
                (None, _) => {}
            },
            b"LIST" => info(&contents(input, body, size).unwrap_or_default(), tags),
            _ => {}
        }
        let Some(next) = body.checked_add(size).and_then(|end| end.checked_add(size % 2)) else { return };
        at = next;
    }
}

/// `INFO`, and chunks of text.
fn info(list: &[u8], tags: &mut Tags) {
    let Some(mut rest) = list.strip_prefix(b"INFO") else { return };
    while let Some((&[a, b, c, d, e, f, g, h], after)) = rest.split_first_chunk() {
        let size = u32::from_le_bytes([e, f, g, h]) as usize;
        let Some((text, after)) = after.split_at_checked(size) else { return };
        match &[a, b, c, d] {
            b"INAM" => keep(&mut tags.title, &decoded(text)),
            b"IART" => keep(&mut tags.artist, &decoded(text)),
            _ => {}
        }
        rest = after.get(size % 2..).unwrap_or_default();
    }
}

/// The chunks of a CAF.
fn walk_caf(input: &mut Input, tags: &mut Tags) {
    let mut at = 8_u64;
    for _ in 0..MAX_CHUNKS {
        let Some([a, b, c, d, size @ ..]) = bytes::<12>(input, at) else { return };
        // Below zero: until it ends.
        let Ok(size) = u64::try_from(i64::from_be_bytes(size)) else { return };
        let body = at + 12;
        if &[a, b, c, d] == b"chan" {
            let [tag, bitmap] = [0, 4].map(|at| bytes(input, body + at).map(u32::from_be_bytes));
            let named = CAF_LAYOUTS.iter().find(|(known, _)| tag == Some(*known)).map(|(_, mask)| *mask);
            let mask = if tag == Some(CAF_MASK) { bitmap } else { named };
            input.handle().label(mask.and_then(|mask| ChannelLayout::of_mask(mask).ok()).unwrap_or_default());
        }
        if &[a, b, c, d] == b"info" {
            let contents = contents(input, body, size).unwrap_or_default();
            let mut words = contents.get(4..).unwrap_or_default().split(|&byte| byte == 0).map(decoded);
            while let (Some(key), Some(value)) = (words.next(), words.next()) {
                match key.as_str() {
                    "title" => keep(&mut tags.title, &value),
                    "artist" => keep(&mut tags.artist, &value),
                    _ => {}
                }
            }
        }
        let Some(next) = body.checked_add(size) else { return };
        at = next;
    }
}

/// Up to a zero. What is no UTF-8 was written on an old Windows.
fn decoded(text: &[u8]) -> String {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8(text.to_vec()).unwrap_or_else(|_| text.iter().map(|&byte| char::from(byte)).collect())
}
