//! Samples as bytes. Integers are scaled by a power of two, so that the way there and back changes nothing; what is louder
//! than full scale is clipped, what lies between two values goes to the nearer one, and what is no number is silence.

use livetape_audio::SampleFormat;

const S16: f64 = 32_768.0;
const S24: f64 = 8_388_608.0;
const S32: f64 = 2_147_483_648.0;

/// The nearest integer of a full scale; the cast takes care of what is no number.
fn scaled(sample: f64, full: f64) -> i32 {
    (sample * full).round_ties_even().clamp(-full, full - 1.0) as i32
}

/// Appends samples as bytes of a format.
pub fn write(format: SampleFormat, samples: &[f64], out: &mut Vec<u8>) {
    out.reserve(samples.len() * format.bytes() as usize);
    match format {
        SampleFormat::S16 => samples.iter().for_each(|&s| out.extend((scaled(s, S16) as i16).to_le_bytes())),
        SampleFormat::S24 => samples.iter().for_each(|&s| out.extend_from_slice(&scaled(s, S24).to_le_bytes()[..3])),
        SampleFormat::S32 => samples.iter().for_each(|&s| out.extend(scaled(s, S32).to_le_bytes())),
        SampleFormat::F32 => samples.iter().for_each(|&s| out.extend((s as f32).to_le_bytes())),
    }
}

/// Appends the samples that bytes of a format are. A cut sample at the end is left out.
pub fn read(format: SampleFormat, bytes: &[u8], out: &mut Vec<f64>) {
    let (twos, _) = bytes.as_chunks::<2>();
    let (threes, _) = bytes.as_chunks::<3>();
    let (fours, _) = bytes.as_chunks::<4>();
    match format {
        SampleFormat::S16 => out.extend(twos.iter().map(|&b| f64::from(i16::from_le_bytes(b)) / S16)),
        SampleFormat::S24 => {
            out.extend(threes.iter().map(|&[a, b, c]| f64::from(i32::from_le_bytes([0, a, b, c])) / S32))
        }
        SampleFormat::S32 => out.extend(fours.iter().map(|&b| f64::from(i32::from_le_bytes(b)) / S32)),
        SampleFormat::F32 => out.extend(fours.iter().map(|&b| f64::from(f32::from_le_bytes(b)))),
    }
}
