//! Samples from -1.0 to 1.0 as bytes of a sample format. Integers clip what is louder.

use livetape_audio::SampleFormat;

pub(crate) fn put(out: &mut Vec<u8>, format: SampleFormat, sample: f64) {
    let scaled = |full: i32| (sample.clamp(-1.0, 1.0) * f64::from(full)).round() as i32;
    match format {
        SampleFormat::S16 => out.extend_from_slice(&(scaled(0x7FFF) as i16).to_le_bytes()),
        SampleFormat::S24 => {
            let [low, middle, high, _] = scaled(0x7F_FFFF).to_le_bytes();
            out.extend_from_slice(&[low, middle, high]);
        }
        SampleFormat::S32 => out.extend_from_slice(&scaled(i32::MAX).to_le_bytes()),
        SampleFormat::F32 => out.extend_from_slice(&(sample as f32).to_le_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_in_every_format() {
        let bytes = |format, sample| {
            let mut out = Vec::new();
            put(&mut out, format, sample);
            out
        };
        assert_eq!(bytes(SampleFormat::S16, 2.0), 32_767_i16.to_le_bytes());
        assert_eq!(bytes(SampleFormat::S16, -1.0), (-32_767_i16).to_le_bytes());
        assert_eq!(bytes(SampleFormat::S24, -1.0), [0x01, 0x00, 0x80]);
        assert_eq!(bytes(SampleFormat::S32, 1.0), i32::MAX.to_le_bytes());
        assert_eq!(bytes(SampleFormat::F32, -0.5), (-0.5_f32).to_le_bytes());
        assert_eq!(bytes(SampleFormat::S16, f64::NAN), [0, 0]);
    }
}
