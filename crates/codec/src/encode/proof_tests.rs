//! The search that docs/adr/0010-blocks-of-compressed-audio.md leans on, byte for byte: which pre-roll makes a block that is
//! made alone equal to that of an encoder that runs on; and that a block, as it is defined, is always the same.
//!
//! `make test` looks at a part of the table of codecs, rates, bitrates, channels and signals, `make torture`
//! (LIVETAPE_BLOCKS=all) at all of it.

use super::{alone, continued, encoding, frames, signal};
use crate::convert::{Converter, Sound};
use crate::encode::{Codec, Encoding, encode};
use livetape_audio::{SampleFormat, Spec};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

const SIGNALS: [&str; 9] = ["sine", "sweep", "noise", "clicks", "silence", "speech", "music", "counting", "spoken"];
/// Blocks that are looked at of each encoding of each signal.
const BLOCKS: u64 = 4;

fn is_whole() -> bool {
    std::env::var("LIVETAPE_BLOCKS").is_ok_and(|which| which == "all")
}

/// A signal of one shape, and the bitrates that it is encoded at.
struct Row {
    signal: &'static str,
    encodings: Vec<Encoding>,
}

/// Every encoding of every signal; or of each rate, mono and stereo, one with each of a few of them, each time others.
fn table(codec: Codec) -> Vec<Row> {
    let rates: &[u32] = match codec {
        Codec::Mp3 => &[8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
        Codec::Opus => &[48_000],
    };
    let mut rows = Vec::new();
    for (n, (&rate, channels)) in rates.iter().flat_map(|rate| [(rate, 1), (rate, 2)]).enumerate() {
        for (k, signal) in SIGNALS.into_iter().enumerate() {
            let bitrates = codec.bitrates(rate).iter().enumerate();
            let few = if codec == Codec::Mp3 { n % 4 == k % 4 && k / 4 == n / 4 % 2 } else { true };
            let looked_at = bitrates.filter(|(b, _)| is_whole() || (few && (b + n) % SIGNALS.len() == k));
            let encodings: Vec<_> = looked_at.map(|(_, &kbps)| encoding(codec, rate, channels, kbps)).collect();
            if !encodings.is_empty() {
                rows.push(Row { signal, encodings });
            }
        }
    }
    rows
}

/// Somebody who speaks.
fn spoken(spec: Spec, seconds: u32) -> Vec<u8> {
    static VOICE: OnceLock<Vec<u8>> = OnceLock::new();
    let voice = VOICE.get_or_init(|| {
        let text = "A recording is a tape: frames numbered from zero, only ever appended. Everything that a listener can \
                    ask for is a view: a range of frames of a tape, whose end may not be known yet. She sells sea shells.";
        let said = Command::new("espeak-ng").args(["--stdout", "-s", "160", text]).output();
        said.expect("espeak-ng speaks: scripts/setup.sh test installs it").stdout
    });
    let wav = voice.windows(4).position(|four| four == b"data").expect("a WAV file") + 8;
    let mut samples = Vec::new();
    crate::convert::read(SampleFormat::S16, &voice[wav..], &mut samples);
    let mut pcm = Vec::new();
    let mut converter = Converter::new(Sound::new(22_050, 1), spec).unwrap();
    converter.push(&samples, &mut pcm).unwrap();
    converter.finish(&mut pcm).unwrap();
    let wanted = spec.bytes(spec.frames(std::time::Duration::from_secs(seconds.into()))) as usize;
    pcm.into_iter().cycle().take(wanted).collect()
}

/// What a search has found: for so many blocks, those that an encoder needed to have heard before the pre-roll; [`ALL`] for
/// those for which it needed all that there was.
type Found = BTreeMap<u64, u64>;
const ALL: u64 = BLOCKS;

fn search(row: &Row, found: &Mutex<Found>) {
    let Some(first) = row.encodings.first() else { return };
    let most = row.encodings.iter().map(|encoding| encoding.grid().block_frames()).max().unwrap_or(0);
    let seconds = (BLOCKS * most).div_ceil(first.rate().into()) as u32 + 1;
    let pcm = match row.signal {
        "spoken" => spoken(first.spec(), seconds),
        kind => signal(kind, first.rate(), first.spec().channels(), seconds),
    };
    for &encoding in &row.encodings {
        let (grid, size) = (encoding.grid(), encoding.grid().block_bytes() as usize);
        let name = format!(
            "{} at {} Hz, {} channels, {}",
            encoding.name(),
            encoding.rate(),
            encoding.pick().len(),
            row.signal
        );
        as_defined(encoding, &pcm, &name);
        let whole = continued(encoding, &pcm, BLOCKS);
        // The first two have no more than one before them.
        for (number, running) in (0..).zip(whole.chunks(size)).skip(2) {
            // Whole blocks more than by definition: at 44.1 kHz and its halves the frames that have a byte more than others
            // come round with the blocks, wherever an encoder begins.
            let made = |before: u64| {
                let pre_roll = Encoding::PRE_ROLL + u32::try_from(before * grid.packets()).unwrap();
                alone(encoding, &pcm, number..number + 1, pre_roll) == running
            };
            let needed = (0..number).find(|&before| made(before)).unwrap_or(ALL);
            // From the very beginning on it is the same encoder: what differs is nothing but what it remembers.
            assert!(
                needed < ALL || made(number),
                "{name}: block {number} is not made of what it is said to be made of"
            );
            if needed > 1 {
                eprintln!("{name}: block {number} needs {}", if needed == ALL { "all" } else { "two" });
            }
            *found.lock().unwrap().entry(needed).or_default() += 1;
        }
    }
}

/// A block is the same when it is made first or last, of all audio or of what it needs, and has packets where they should be.
fn as_defined(encoding: Encoding, pcm: &[u8], name: &str) {
    let (grid, spec) = (encoding.grid(), encoding.spec());
    let make = |block| encode(encoding, block, &frames(pcm, spec, encoding.needs(block))).unwrap();
    // As somebody who listens live gets them: there is no audio yet after what each is made of.
    let live = |block| {
        let needs = encoding.needs(block);
        let until = usize::try_from(needs.end).unwrap() * spec.frame_bytes() as usize;
        encode(encoding, block, &frames(&pcm[..until.min(pcm.len())], spec, needs)).unwrap()
    };
    let blocks: Vec<_> = (0..BLOCKS).map(live).collect();
    for (number, block) in blocks.iter().enumerate().rev().step_by(3) {
        assert!(make(number as u64) == *block, "{name}: block {number} is not always the same");
    }
    for block in &blocks {
        assert_eq!(block.len() as u64, grid.block_bytes(), "{name}");
        let packet = |n| &block[grid.bytes(n) as usize..grid.bytes(n + 1) as usize];
        for (n, packet) in (0..grid.packets()).map(|n| (n, packet(n))) {
            match encoding.codec() {
                Codec::Mp3 => assert!(packet[0] == 0xFF && packet[1] & 0xE0 == 0xE0, "{name}: no frame at {n}"),
                // One frame of 20 ms by CELT, in all of the band.
                Codec::Opus => assert_eq!(packet[0] & 0xFB, 0xF8, "{name}: packet {n}"),
            }
            let is_header = packet.windows(4).any(|four| four == b"Xing" || four == b"Info" || four == b"VBRI");
            assert!(!is_header || encoding.codec() == Codec::Opus, "{name}: a frame {n} that tells a length");
        }
    }
}

fn prove(codec: Codec) -> Found {
    let (rows, found) = (Mutex::new(table(codec)), Mutex::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(row) = { rows.lock().unwrap().pop() } {
                    search(&row, &found);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    eprintln!(
        "{}: {found:?} blocks equal those of an encoder that runs on, by what was heard before the pre-roll",
        codec.name()
    );
    found
}

/// The part of the blocks that become equal with the pre-roll and at most one block before it.
fn share(found: &Found) -> f64 {
    let (all, soon): (u64, u64) = (found.values().sum(), found.range(..=1).map(|(_, blocks)| blocks).sum());
    soon as f64 / all as f64
}

#[test]
#[cfg(feature = "mp3")]
fn blocks_of_mp3_are_as_defined_and_nearly_those_of_an_encoder_that_runs_on() {
    let found = prove(Codec::Mp3);
    assert!(share(&found) > 0.95, "{found:?}");
}

#[test]
fn blocks_of_opus_are_as_defined_and_some_never_those_of_an_encoder_that_runs_on() {
    let found = prove(Codec::Opus);
    assert!(share(&found) > 0.8 && share(&found) < 1.0, "{found:?}");
}
