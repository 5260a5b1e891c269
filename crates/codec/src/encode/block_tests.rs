//! What everything else leans on: blocks that are made alone fit together.

use super::*;
use crate::encode::{Joined, Track, tests::decoded};
use livetape_audio::{SampleFormat, Spec};

const SIGNALS: [&str; 8] = ["sine", "sweep", "noise", "clicks", "silence", "speech", "music", "counting"];

struct Random(u64);

impl Random {
    /// -1 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// Interleaved s16.
pub(crate) fn signal(kind: &str, rate: u32, channels: u16, seconds: u32) -> Vec<u8> {
    use std::f64::consts::TAU;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut low, mut pcm) = (0.0, Vec::new());
    for n in 0..u64::from(rate) * u64::from(seconds) {
        let t = n as f64 / f64::from(rate);
        let noise = random.next();
        let left = match kind {
            "sine" => 0.5 * (TAU * 997.0 * t).sin(),
            "sweep" => 0.7 * (TAU * (50.0 * t + f64::from(rate) * 0.04 * t * t)).sin(),
            "noise" => 0.9 * noise,
            "clicks" => match n % u64::from(rate / 3) {
                0 | 1 if n % 2 == 0 => 1.0,
                0 | 1 => -1.0,
                _ => 0.0,
            },
            "silence" => 0.0,
            // Syllables of a buzzing voice and of hiss, with pauses between words.
            "speech" => {
                let word = (t * 0.7).fract() < 0.7;
                let syllable = (TAU * 4.0 * t).sin().max(0.0);
                let pitch = 120.0 + 20.0 * (TAU * 0.6 * t).sin();
                let buzz: f64 = (1..20).map(|k| (TAU * pitch * f64::from(k) * t).sin() / f64::from(k)).sum();
                low += 0.3 * (noise - low);
                let voiced = (t * 2.3).fract() < 0.7;
                if word { syllable * if voiced { 0.25 * buzz } else { 0.1 * (noise - low) } } else { 0.0 }
            }
            // A chord whose notes are struck again and again, a bass, a beat.
            "music" => {
                let since = (t * 2.0).fract() / 2.0;
                let chord: f64 =
                    [261.6, 329.6, 392.0, 523.3].iter().map(|f| (TAU * f * t).sin() * (-since * 4.0).exp()).sum();
                let beat = noise * (-(t * 4.0).fract() * 30.0).exp();
                0.15 * chord + 0.2 * (TAU * 65.4 * t).sin() + 0.3 * beat
            }
            _ => 0.0,
        };
        for channel in 0..u64::from(channels) {
            let sample = match (kind, channel) {
                ("counting", 0) => n as u16 as i16,
                ("counting", _) => (n >> 16) as i16,
                ("noise", 1) => (random.next() * 30_000.0) as i16,
                ("music", 1) => (left * 20_000.0 + 3000.0 * (TAU * 440.0 * t).sin()) as i16,
                _ => (left * 32_767.0).clamp(-32_768.0, 32_767.0) as i16,
            };
            pcm.extend(sample.to_le_bytes());
        }
    }
    pcm
}

/// What an encoder wants of a recording: silence before and after it.
pub(crate) fn frames(pcm: &[u8], spec: Spec, range: Range<i64>) -> Vec<u8> {
    let size = i64::from(spec.frame_bytes());
    let mut out = vec![0; usize::try_from((range.end - range.start) * size).unwrap()];
    let (from, to) = (range.start * size, range.end * size);
    let (first, last) = (from.clamp(0, pcm.len() as i64), to.clamp(0, pcm.len() as i64));
    out[(first - from) as usize..(last - from) as usize].copy_from_slice(&pcm[first as usize..last as usize]);
    out
}

fn encoding(codec: Codec, rate: u32, channels: u32, kbps: u16) -> Encoding {
    let spec = Spec::new(SampleFormat::S16, rate, channels).unwrap();
    Encoding::new(codec, spec, kbps.into(), None).unwrap()
}

/// Packets by one encoder that runs on.
fn continued(encoding: Encoding, pcm: &[u8], blocks: u64) -> Vec<u8> {
    let all = 0..blocks * encoding.grid().packets();
    let needs = Input::new(encoding).needs(encoding.fed(all.clone(), Encoding::PRE_ROLL));
    packets(encoding, all, Encoding::PRE_ROLL, &frames(pcm, encoding.spec(), needs)).unwrap()
}

/// Packets of blocks, each made alone.
fn alone(encoding: Encoding, pcm: &[u8], blocks: Range<u64>, pre_roll: u32) -> Vec<u8> {
    let block = |block| {
        let of_block = encoding.grid().of_block(block);
        let needs = Input::new(encoding).needs(encoding.fed(of_block.clone(), pre_roll));
        packets(encoding, of_block, pre_roll, &frames(pcm, encoding.spec(), needs)).unwrap()
    };
    blocks.flat_map(block).collect()
}

/// How far what is wrong lies below the sound, in dB: around the joints of blocks, and everywhere. Both signals are s16 at
/// the rate of the rendition.
fn clean(encoding: Encoding, pcm: &[u8], packets: &[u8]) -> [f64; 2] {
    let (block, channels) = (encoding.grid().block_frames() as usize, encoding.pick().len());
    let blocks = packets.len() / encoding.grid().block_bytes() as usize;
    let track = Track::new(encoding, Joined::Beginning, 1);
    // A recording of just these packets.
    let total = (blocks * block) as u64 - if encoding.codec() == Codec::Opus { encoding.delay() as u64 } else { 0 };
    let mut file = track.header();
    for (n, packets) in packets.chunks(encoding.grid().block_bytes() as usize).enumerate() {
        let at = file.len() as u64 - track.header().len() as u64;
        assert_eq!(track.block_at(at), n as u64);
        file.extend(track.cut(at..track.len(total, true), &packets.to_vec().into(), Some(total)));
    }
    let heard = decoded(file);
    let mut was = Vec::new();
    crate::convert::read(SampleFormat::S16, pcm, &mut was);
    let energy = |range: Range<usize>| -> [f64; 2] {
        let range = range.start * channels..range.end * channels;
        let pairs = heard.get(range.clone()).unwrap().iter().zip(was.get(range).unwrap());
        pairs.fold([1e-6, 1e-6], |[wrong, sound], (h, w)| [wrong + (h - w).powi(2), sound + w.powi(2)])
    };
    let joints = (1..blocks - 1).map(|n| energy(n * block - 200..n * block + 2000));
    let joints = joints.reduce(|a, b| [a[0] + b[0], a[1] + b[1]]).unwrap();
    [joints, energy(block..(blocks - 1) * block)].map(|[wrong, sound]| 10.0 * (sound / wrong).log10())
}

/// How much less clean joined blocks are than one encoding that runs on: at the joints, everywhere.
fn worse(encoding: Encoding, kind: &str, blocks: u64, pre_roll: u32) -> [f64; 2] {
    let seconds = (blocks * encoding.grid().block_frames()).div_ceil(encoding.rate().into()) as u32 + 1;
    let pcm = signal(kind, encoding.rate(), encoding.pick().len() as u16, seconds);
    let [joined, whole] = [alone(encoding, &pcm, 0..blocks, pre_roll), continued(encoding, &pcm, blocks)];
    assert_eq!(joined.len(), whole.len());
    let (joined, whole) = (clean(encoding, &pcm, &joined), clean(encoding, &pcm, &whole));
    [whole[0] - joined[0], whole[1] - joined[1]]
}

fn no_joint(codec: Codec, rate: u32, channels: u32, kbps: u16, kinds: &[&str]) {
    let encoding = encoding(codec, rate, channels, kbps);
    for kind in kinds {
        let [joints, all] = worse(encoding, kind, 6, Encoding::PRE_ROLL);
        assert!(joints < 0.3 && all < 0.1, "{encoding:?} {kind}: {joints:.2} dB at joints, {all:.2} dB everywhere");
    }
}

#[test]
#[cfg(feature = "mp3")]
fn no_joint_is_heard_in_mp3() {
    no_joint(Codec::Mp3, 44_100, 2, 128, &SIGNALS);
    no_joint(Codec::Mp3, 48_000, 1, 320, &["speech", "music"]);
    no_joint(Codec::Mp3, 22_050, 2, 56, &["sweep", "music"]);
    no_joint(Codec::Mp3, 8_000, 1, 16, &["speech"]);
}

#[test]
fn no_joint_is_heard_in_opus() {
    no_joint(Codec::Opus, 48_000, 2, 96, &SIGNALS);
    no_joint(Codec::Opus, 48_000, 1, 24, &["speech", "music"]);
    no_joint(Codec::Opus, 48_000, 2, 320, &["clicks", "music"]);
}

/// So that the two above are known to find joints.
#[test]
fn joints_are_heard_without_the_packets_before_a_block() {
    let [joints, _] = worse(encoding(Codec::Opus, 48_000, 2, 96), "sweep", 4, 0);
    assert!(joints > 6.0, "{joints:.1} dB");
}

/// Whoever makes a block, whatever was made before or is being made: the same bytes.
#[test]
fn a_block_is_the_same_whenever_it_is_made() {
    let codecs = [(Codec::Mp3, 44_100), (Codec::Mp3, 96_000), (Codec::Opus, 48_000), (Codec::Opus, 44_100)];
    let cases: Vec<_> = codecs.into_iter().filter(|(codec, _)| codec.is_built_in()).collect();
    for (codec, rate) in cases {
        let encoding = encoding(codec, rate, 2, 128);
        let pcm = signal("music", rate, 2, 6);
        let make = |block| encode(encoding, block, &frames(&pcm, encoding.spec(), encoding.needs(block))).unwrap();
        let forwards: Vec<_> = (0..4).map(make).collect();
        let at_once: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = [3, 1, 0, 2].map(|block| (block, scope.spawn(move || make(block)))).into();
            threads.into_iter().map(|(block, thread)| (block, thread.join().unwrap())).collect()
        });
        for (block, made) in at_once {
            assert!(made == forwards[block as usize], "{codec:?} {rate} block {block}");
            assert_eq!(made.len() as u64, encoding.grid().block_bytes());
        }
    }
}

#[test]
#[cfg(feature = "mp3")]
fn every_mp3_frame_lies_where_it_should() {
    for (rate, kbps) in [(44_100, 128), (44_100, 320), (22_050, 56), (11_025, 24), (48_000, 192)] {
        let encoding = encoding(Codec::Mp3, rate, 2, kbps);
        let pcm = signal("noise", rate, 2, 3);
        let made = encode(encoding, 1, &frames(&pcm, encoding.spec(), encoding.needs(1))).unwrap();
        for packet in 0..encoding.grid().packets() {
            let at = encoding.grid().bytes(packet) as usize;
            assert!(made[at] == 0xFF && made[at + 1] & 0xE0 == 0xE0, "{rate} {kbps} packet {packet}");
        }
    }
}

#[path = "proof_tests.rs"]
mod proof;
