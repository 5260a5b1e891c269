//! Dead air: how long only silence has come. A signal whose peaks stay below -60 dBFS counts as silence: that is under what a
//! programme has in its pauses, and over the noise of a sound card with nothing plugged in.
//!
//! It looks at new audio from its end: where there is sound, a few samples tell.

use livetape_audio::{FrameCount, SampleFormat, Spec};
use std::time::Duration;

/// -60 dBFS, in the samples of each format.
const S16: u16 = 33;
const S24: u32 = 8_389;
const S32: u32 = 2_147_484;
const F32: f32 = 0.001;

/// What has come since the last sound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence(FrameCount);

impl Silence {
    /// Further frames have come.
    pub(crate) fn hear(&mut self, spec: Spec, pcm: &[u8]) {
        let frame = spec.frame_bytes() as usize;
        let silent = pcm.rchunks_exact(frame).take_while(|frame| is_silent(spec.format(), frame)).count();
        let after_sound = FrameCount::new(silent as u64);
        self.0 = if silent == pcm.len() / frame { self.0 + after_sound } else { after_sound };
    }

    /// How long that is, in whole seconds.
    pub(crate) fn seconds(self, spec: Spec) -> Duration {
        Duration::from_secs(spec.duration(self.0).as_secs())
    }
}

fn is_silent(format: SampleFormat, samples: &[u8]) -> bool {
    match format {
        SampleFormat::S16 => samples.as_chunks().0.iter().all(|&b| i16::from_le_bytes(b).unsigned_abs() < S16),
        SampleFormat::S24 => samples.as_chunks().0.iter().all(|&[a, b, c]| {
            // In the upper three bytes the sign is where it belongs.
            (i32::from_le_bytes([0, a, b, c]) >> 8).unsigned_abs() < S24
        }),
        SampleFormat::S32 => samples.as_chunks().0.iter().all(|&b| i32::from_le_bytes(b).unsigned_abs() < S32),
        // What is not a number is no sound.
        SampleFormat::F32 => samples
            .as_chunks()
            .0
            .iter()
            .all(|&b| f32::from_le_bytes(b).abs().partial_cmp(&F32).is_none_or(|o| o.is_lt())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(spec: Spec, seconds: u32, sample: &[u8]) -> Vec<u8> {
        sample.repeat((spec.rate() * u32::from(spec.channels()) * seconds) as usize)
    }

    fn told(format: SampleFormat, quiet: &[u8], loud: &[u8]) {
        let spec = Spec::new(format, 8_000, 2).unwrap();
        let mut silence = Silence::default();
        let mut hear = |pcm: &[u8]| {
            silence.hear(spec, pcm);
            silence.seconds(spec).as_secs()
        };
        assert_eq!(hear(&frames(spec, 2, quiet)), 2, "{format}");
        assert_eq!(hear(&[]), 2, "{format}: nothing changes nothing");
        assert_eq!(hear(&frames(spec, 3, quiet)), 5, "{format}");
        let (sound, pause) = (frames(spec, 1, loud), frames(spec, 2, quiet));
        assert_eq!(hear(&[&pause[..], &sound, &pause].concat()), 2, "{format}: what came after the last sound");
        assert_eq!(hear(&pause), 4, "{format}");
        // One channel that is heard is enough.
        assert_eq!(hear(&[quiet, loud].concat()), 0, "{format}");
        assert_eq!(hear(&sound), 0, "{format}");
    }

    #[test]
    fn sixty_decibels_below_full_scale_in_every_format() {
        told(SampleFormat::S16, &(-32_i16).to_le_bytes(), &(-33_i16).to_le_bytes());
        told(SampleFormat::S24, &(-8_388_i32).to_le_bytes()[..3], &8_389_i32.to_le_bytes()[..3]);
        told(SampleFormat::S32, &2_147_483_i32.to_le_bytes(), &(-2_147_484_i32).to_le_bytes());
        told(SampleFormat::F32, &0.000_99_f32.to_le_bytes(), &(-0.001_f32).to_le_bytes());
        told(SampleFormat::F32, &f32::NAN.to_le_bytes(), &f32::INFINITY.to_le_bytes());
    }
}
