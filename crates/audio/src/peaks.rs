//! Peaks: what a waveform is drawn from. Of some frames of a channel the lowest and the highest sample and the root of the
//! mean square, all in the scale of 16-bit samples, whatever the format of the audio.
//!
//! Not here: which frames are put together, and where the points are kept.

use crate::spec::{SampleFormat, Spec};

/// What is said of one channel over some frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The lowest sample, -32768 to 32767.
    pub min: i16,
    /// The highest sample.
    pub max: i16,
    /// Root of the mean square, 0 to 32768.
    pub rms: u16,
}

/// One channel, as far as it was heard: becomes a [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathered {
    min: i16,
    max: i16,
    /// Sum of the squares: 2^30 each, and no more than 2^33 of them.
    squares: u64,
    count: u64,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { min: i16::MAX, max: i16::MIN, squares: 0, count: 0 }
    }
}

impl Gathered {
    /// Takes in what another one has heard.
    pub fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.squares = self.squares.saturating_add(other.squares);
        self.count = self.count.saturating_add(other.count);
    }

    /// Takes in a point that stands for `count` samples, as exactly as it tells them.
    pub fn merge_point(&mut self, point: Point, count: u64) {
        let square = u64::from(point.rms) * u64::from(point.rms);
        let squares = square.saturating_mul(count);
        self.merge(&Self { min: point.min, max: point.max, squares, count });
    }

    /// What was heard; nothing but zeros, if nothing was.
    pub fn point(&self) -> Point {
        if self.count == 0 {
            return Point::default();
        }
        let rms = (self.squares as f64 / self.count as f64).sqrt().round();
        Point { min: self.min, max: self.max, rms: rms as u16 }
    }

    fn hear(&mut self, samples: impl Iterator<Item = i16>) {
        let (mut min, mut max, mut squares, mut count) = (self.min, self.max, 0, 0);
        for sample in samples {
            min = min.min(sample);
            max = max.max(sample);
            let sample = i32::from(sample);
            squares += sample.wrapping_mul(sample) as u64;
            count += 1;
        }
        self.merge(&Self { min, max, squares, count });
    }
}

/// Takes in whole frames: `channels` has one place for each channel of the spec.
pub fn hear(spec: Spec, pcm: &[u8], channels: &mut [Gathered]) {
    match spec.format() {
        SampleFormat::S16 => each(spec, pcm, channels, i16::from_le_bytes),
        // The upper two bytes: rounded down, so that no sample lies outside of its peaks.
        SampleFormat::S24 => each(spec, pcm, channels, |[_, low, high]| i16::from_le_bytes([low, high])),
        SampleFormat::S32 => each(spec, pcm, channels, |[_, _, low, high]| i16::from_le_bytes([low, high])),
        // What is not a number becomes 0, and what is over full scale full scale.
        SampleFormat::F32 => each(spec, pcm, channels, |b| (f32::from_le_bytes(b) * 32_768.0).round() as i16),
    }
}

fn each<const N: usize>(spec: Spec, pcm: &[u8], channels: &mut [Gathered], sample: impl Fn([u8; N]) -> i16) {
    let (samples, _) = pcm.as_chunks::<N>();
    for (n, channel) in channels.iter_mut().enumerate() {
        let own = samples.iter().skip(n).step_by(usize::from(spec.channels()));
        channel.hear(own.map(|&bytes| sample(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(format: SampleFormat, samples: &[&[u8]]) -> Vec<Point> {
        let spec = Spec::new(format, 48_000, 2).unwrap();
        let mut channels = [Gathered::default(); 2];
        hear(spec, &samples.concat(), &mut channels);
        channels.iter().map(Gathered::point).collect()
    }

    #[test]
    fn every_format_in_the_scale_of_16_bits() {
        let due = [Point { min: -32_768, max: 0, rms: 23_170 }, Point { min: 100, max: 100, rms: 100 }];
        let s16 = |n: i16| n.to_le_bytes();
        assert_eq!(heard(SampleFormat::S16, &[&s16(-32_768), &s16(100), &s16(0), &s16(100)]), due);
        let s24: [&[u8]; 4] = [&[0, 0, 0x80], &[0xFF, 100, 0], &[1, 0, 0], &[0, 100, 0]];
        assert_eq!(heard(SampleFormat::S24, &s24), due);
        let s32: [&[u8]; 4] = [&[0, 0, 0, 0x80], &[9, 9, 100, 0], &[1, 1, 0, 0], &[0, 0, 100, 0]];
        assert_eq!(heard(SampleFormat::S32, &s32), due);
        let f32 = |n: f32| n.to_le_bytes();
        let (minus, hundred) = (f32(-7.0), f32(100.0 / 32_768.0));
        assert_eq!(heard(SampleFormat::F32, &[&minus, &hundred, &f32(f32::NAN), &hundred]), due);
    }

    #[test]
    fn parts_make_the_whole() {
        let spec = Spec::new(SampleFormat::S16, 8_000, 1).unwrap();
        let pcm: Vec<u8> = (0..1_000_i32).flat_map(|n| ((n * 7_919) as i16).to_le_bytes()).collect();
        let gather = |pcm: &[u8]| {
            let mut one = [Gathered::default()];
            hear(spec, pcm, &mut one);
            one[0]
        };
        let (whole, mut parts, mut points) = (gather(&pcm), Gathered::default(), Gathered::default());
        for part in pcm.chunks(200) {
            parts.merge(&gather(part));
            points.merge_point(gather(part).point(), 100);
        }
        assert_eq!(parts, whole);
        assert_eq!((points.point().min, points.point().max), (whole.point().min, whole.point().max));
        assert!(points.point().rms.abs_diff(whole.point().rms) <= 1);
        assert_eq!(Gathered::default().point(), Point::default(), "nothing is silence");
    }
}
