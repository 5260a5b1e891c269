//! Samples as a sound card gives them and takes them ↔ samples as they are recorded.
//!
//! What fits is carried over bit by bit. What does not is rounded to the nearest and clipped, never dithered. Full scale
//! is the power of two, as in ALSA and PulseAudio, so that integers through a host that works in floats come back the same.

use livetape_audio::SampleFormat;

/// A card's samples to recorded ones.
pub(crate) type Convert = fn(&[u8], SampleFormat, &mut Vec<u8>);

/// A sample in between.
#[derive(Clone, Copy)]
enum Wide {
    /// At the full scale of 32 bits.
    Int(i32),
    /// From -1.0 to 1.0, and more if somebody was loud.
    Float(f64),
}

/// How to turn a card's samples of this format into recorded ones; `None` if it is no PCM that is known here.
pub(crate) fn from_card(format: cpal::SampleFormat) -> Option<Convert> {
    Some(match format {
        cpal::SampleFormat::I8 => {
            |card, format, out| each(card, format, out, |[a]| Wide::Int(i32::from(a as i8) << 24))
        }
        cpal::SampleFormat::U8 => {
            |card, format, out| each(card, format, out, |[a]| Wide::Int((i32::from(a) - 128) << 24))
        }
        cpal::SampleFormat::I16 => |card, format, out| match format {
            SampleFormat::S16 if cfg!(target_endian = "little") => out.extend_from_slice(card),
            _ => each(card, format, out, |b| Wide::Int(i32::from(i16::from_ne_bytes(b)) << 16)),
        },
        cpal::SampleFormat::U16 => |card, format, out| {
            each(card, format, out, |b| Wide::Int((i32::from(u16::from_ne_bytes(b)) - 0x8000) << 16))
        },
        // Three bytes in the lower part of four.
        cpal::SampleFormat::I24 => {
            |card, format, out| each(card, format, out, |b| Wide::Int(i32::from_ne_bytes(b) << 8))
        }
        cpal::SampleFormat::U24 => |card, format, out| {
            each(card, format, out, |b| Wide::Int(((u32::from_ne_bytes(b) << 8) ^ 0x8000_0000) as i32))
        },
        cpal::SampleFormat::I32 => |card, format, out| each(card, format, out, |b| Wide::Int(i32::from_ne_bytes(b))),
        cpal::SampleFormat::U32 => {
            |card, format, out| each(card, format, out, |b| Wide::Int((u32::from_ne_bytes(b) ^ 0x8000_0000) as i32))
        }
        cpal::SampleFormat::F32 => {
            |card, format, out| each(card, format, out, |b| Wide::Float(f64::from(f32::from_ne_bytes(b))))
        }
        cpal::SampleFormat::F64 => |card, format, out| each(card, format, out, |b| Wide::Float(f64::from_ne_bytes(b))),
        _ => return None,
    })
}

fn each<const N: usize>(card: &[u8], format: SampleFormat, out: &mut Vec<u8>, read: fn([u8; N]) -> Wide) {
    let (samples, _) = card.as_chunks::<N>();
    samples.iter().for_each(|sample| put(read(*sample), format, out));
}

fn put(sample: Wide, format: SampleFormat, out: &mut Vec<u8>) {
    match format {
        SampleFormat::S16 => out.extend_from_slice(&(int(sample, 16) as i16).to_le_bytes()),
        SampleFormat::S24 => {
            let [low, middle, high, _] = int(sample, 24).to_le_bytes();
            out.extend_from_slice(&[low, middle, high]);
        }
        SampleFormat::S32 => out.extend_from_slice(&int(sample, 32).to_le_bytes()),
        SampleFormat::F32 => out.extend_from_slice(&float(sample).to_le_bytes()),
    }
}

/// As an integer of `bits` bits.
fn int(sample: Wide, bits: u32) -> i32 {
    match sample {
        Wide::Int(n) if bits == 32 => n,
        Wide::Int(n) => {
            let shift = 32 - bits;
            n.saturating_add(1 << (shift - 1)) >> shift
        }
        Wide::Float(x) => {
            let full = f64::from(1_u32 << (bits - 1));
            (x * full).round().clamp(-full, full - 1.0) as i32
        }
    }
}

fn float(sample: Wide) -> f32 {
    match sample {
        Wide::Int(n) => (f64::from(n) / f64::from(1_u32 << 31)) as f32,
        Wide::Float(x) => x as f32,
    }
}

/// Whether recorded samples can be made into those of a card.
pub(crate) const fn plays(card: cpal::SampleFormat) -> bool {
    use cpal::SampleFormat::{F32, I16, I24, I32, U8};
    matches!(card, U8 | I16 | I24 | I32 | F32)
}

/// Recorded samples to those of a card; `None` if it is no PCM that is known here.
pub(crate) fn to_card(pcm: &[u8], format: SampleFormat, card: cpal::SampleFormat, out: &mut Vec<u8>) -> Option<()> {
    let read = |b: &[u8]| match (format, b) {
        (SampleFormat::S16, &[a, b]) => Wide::Int(i32::from(i16::from_le_bytes([a, b])) << 16),
        (SampleFormat::S24, &[a, b, c]) => Wide::Int(i32::from_le_bytes([0, a, b, c])),
        (SampleFormat::S32, &[a, b, c, d]) => Wide::Int(i32::from_le_bytes([a, b, c, d])),
        (SampleFormat::F32, &[a, b, c, d]) => Wide::Float(f64::from(f32::from_le_bytes([a, b, c, d]))),
        _ => Wide::Int(0),
    };
    let samples = pcm.chunks_exact(format.bytes() as usize).map(read);
    match card {
        cpal::SampleFormat::U8 => out.extend(samples.map(|s| (int(s, 8) + 128) as u8)),
        cpal::SampleFormat::I16 => samples.for_each(|s| out.extend_from_slice(&(int(s, 16) as i16).to_ne_bytes())),
        cpal::SampleFormat::I24 => samples.for_each(|s| out.extend_from_slice(&int(s, 24).to_ne_bytes())),
        cpal::SampleFormat::I32 => samples.for_each(|s| out.extend_from_slice(&int(s, 32).to_ne_bytes())),
        cpal::SampleFormat::F32 => samples.for_each(|s| out.extend_from_slice(&float(s).to_ne_bytes())),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(card: cpal::SampleFormat, bytes: &[u8], format: SampleFormat) -> Vec<u8> {
        let mut out = Vec::new();
        from_card(card).unwrap()(bytes, format, &mut out);
        out
    }

    #[test]
    fn what_fits_is_carried_over_bit_by_bit() {
        let all: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
        assert_eq!(recorded(cpal::SampleFormat::I16, &all, SampleFormat::S16), all);
        for (card, format) in [
            (cpal::SampleFormat::I16, SampleFormat::S16),
            (cpal::SampleFormat::I24, SampleFormat::S24),
            (cpal::SampleFormat::I32, SampleFormat::S32),
            (cpal::SampleFormat::F32, SampleFormat::F32),
        ] {
            // Sixteen bits in a wider sample, to the card and back, and through every other format that has room for them.
            let mut wide = Vec::new();
            from_card(cpal::SampleFormat::I16).unwrap()(&all, format, &mut wide);
            let mut there = Vec::new();
            to_card(&wide, format, card, &mut there).unwrap();
            assert_eq!(recorded(card, &there, format), wide, "{card} {format}");
            assert_eq!(recorded(card, &there, SampleFormat::S16), all, "{card} to s16");
        }
    }

    #[test]
    fn what_does_not_fit_is_rounded_and_clipped() {
        let s16 = |card, bytes: &[u8]| i16::from_le_bytes(recorded(card, bytes, SampleFormat::S16).try_into().unwrap());
        assert_eq!(s16(cpal::SampleFormat::F32, &2.0_f32.to_ne_bytes()), 32_767);
        assert_eq!(s16(cpal::SampleFormat::F32, &(-2.0_f32).to_ne_bytes()), -32_768);
        assert_eq!(s16(cpal::SampleFormat::F32, &f32::NAN.to_ne_bytes()), 0);
        assert_eq!(s16(cpal::SampleFormat::F64, &0.5_f64.to_ne_bytes()), 16_384);
        assert_eq!(s16(cpal::SampleFormat::I32, &0x1234_8000_i32.to_ne_bytes()), 0x1235);
        assert_eq!(s16(cpal::SampleFormat::I32, &i32::MAX.to_ne_bytes()), 32_767);
        assert_eq!(s16(cpal::SampleFormat::I24, &(-1_i32).to_ne_bytes()), 0);
        assert_eq!(s16(cpal::SampleFormat::U8, &[0]), -32_768);
        assert_eq!(s16(cpal::SampleFormat::U8, &[128]), 0);
        assert_eq!(s16(cpal::SampleFormat::I8, &[255]), -256);
        assert_eq!(s16(cpal::SampleFormat::U16, &0x8001_u16.to_ne_bytes()), 1);
        assert_eq!(s16(cpal::SampleFormat::U32, &0x8000_0000_u32.to_ne_bytes()), 0);
        assert!(from_card(cpal::SampleFormat::DsdU8).is_none());
    }
}
