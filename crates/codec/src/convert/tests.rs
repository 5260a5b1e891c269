use super::*;
use livetape_audio::{ChannelLayout, SampleFormat};
use proptest::prelude::*;
use std::f64::consts::TAU;

fn spec(format: SampleFormat, rate: u32, channels: u32) -> Spec {
    Spec::new(format, rate, channels).unwrap()
}

fn convert(from: Sound, to: Spec, samples: &[f64], step: usize) -> Vec<f64> {
    let mut converter = Converter::new(from, to).unwrap();
    let mut pcm = Vec::new();
    samples.chunks(step * usize::from(from.channels)).for_each(|part| converter.push(part, &mut pcm).unwrap());
    converter.finish(&mut pcm).unwrap();
    let mut out = Vec::new();
    read(to.format(), &pcm, &mut out);
    out
}

fn sine(hz: f64, rate: u32, frames: usize) -> Vec<f64> {
    (0..frames).map(|n| 0.5 * (TAU * hz * n as f64 / f64::from(rate)).sin()).collect()
}

#[test]
fn every_16_bit_sample_there_and_back() {
    let bytes: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
    let (mut samples, mut back) = (Vec::new(), Vec::new());
    read(SampleFormat::S16, &bytes, &mut samples);
    write(SampleFormat::S16, &samples, &mut back);
    assert_eq!(back, bytes);
    assert_eq!((samples[0], samples[32_768]), (-1.0, 0.0));
}

proptest! {
    #[test]
    fn all_other_samples_there_and_back(bytes in prop::collection::vec(any::<[u8; 12]>(), 1..100)) {
        let bytes = bytes.concat();
        for format in [SampleFormat::S24, SampleFormat::S32, SampleFormat::F32] {
            let (mut samples, mut back) = (Vec::new(), Vec::new());
            read(format, &bytes, &mut samples);
            prop_assume!(samples.iter().all(|sample| !sample.is_nan()));
            write(format, &samples, &mut back);
            prop_assert_eq!(&back, &bytes, "{}", format);
        }
    }

    #[test]
    fn any_number_of_frames_in_any_parts(
        (rate, to) in prop::sample::select(vec![(44_100, 48_000), (48_000, 44_100), (8_000, 11_025), (96_000, 8_000)]),
        frames in 0_usize..4_000,
        step in 1_usize..3_000,
    ) {
        let out = convert(Sound::new(rate, 1), spec(SampleFormat::F32, to, 1), &vec![0.5; frames], step);
        prop_assert_eq!(out.len(), (frames * to as usize).div_ceil(rate as usize));
    }
}

#[test]
fn odd_rates() {
    for (rate, to) in [(1, 8_000), (44_101, 8_000), (7_999, 191_999)] {
        let frames = 5_000.min(rate as usize * 2);
        let out = convert(Sound::new(rate, 1), spec(SampleFormat::F32, to, 1), &vec![0.5; frames], 500);
        assert_eq!(out.len() as u64, (frames as u64 * u64::from(to)).div_ceil(u64::from(rate)));
    }
}

#[test]
fn what_is_too_loud_or_no_number() {
    let mut out = Vec::new();
    write(SampleFormat::S16, &[1.0, 2.0, -2.0, f64::NAN, f64::INFINITY, 0.4 / 32_768.0], &mut out);
    let samples: Vec<_> = out.as_chunks::<2>().0.iter().map(|&b| i16::from_le_bytes(b)).collect();
    assert_eq!(samples, [32_767, 32_767, -32_768, 0, 32_767, 0]);
}

#[test]
fn resampled_a_sine_stays_that_sine_from_its_first_frame_on() {
    for (from, to) in [(44_100, 48_000), (48_000, 44_100), (8_000, 192_000), (96_000, 48_000), (22_050, 44_100)] {
        let wanted = sine(997.0, to, to as usize);
        let out = convert(Sound::new(from, 1), spec(SampleFormat::F32, to, 1), &sine(997.0, from, from as usize), 777);
        assert_eq!(out.len(), to as usize);
        let inner = to as usize / 20..to as usize * 19 / 20;
        let worst = inner.map(|n| (out[n] - wanted[n]).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "{from} to {to}: off by {worst}");
    }
}

#[test]
fn a_converter_can_be_used_again() {
    let from = Sound::new(44_100, 2);
    let mut converter = Converter::new(from, spec(SampleFormat::S16, 48_000, 2)).unwrap();
    let samples: Vec<f64> = sine(440.0, 44_100, 10_000).iter().flat_map(|&s| [s, -s]).collect();
    let mut once = || {
        let mut out = Vec::new();
        converter.push(&samples, &mut out).unwrap();
        converter.finish(&mut out).unwrap();
        out
    };
    assert_eq!(once(), once());
}

#[test]
fn loudspeakers() {
    // One after the other at full scale: a line for each.
    let mix = |from: &str, to: &str| -> Vec<String> {
        let [from, to] = [from, to].map(|layout| layout.parse::<ChannelLayout>().unwrap());
        let (n, m) = (usize::from(from.channels()), usize::from(to.channels()));
        let spec = spec(SampleFormat::F32, 48_000, to.channels().into()).for_speakers(to).unwrap();
        let sound = Sound { layout: from, ..Sound::new(48_000, from.channels()) };
        let alone: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at % (n + 1) == 0))).collect();
        let heard = convert(sound, spec, &alone, n);
        heard
            .chunks(m)
            .map(|line| line.iter().map(|s| format!("{:.0}", s * 100.0)).collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(mix("FL+FR+FC", "FL+FR+FC"), ["100 0 0", "0 100 0", "0 0 100"]);
    assert_eq!(mix("FL+FR+SL+SR", "FL+FR+BL+BR"), ["100 0 0 0", "0 100 0 0", "0 0 100 0", "0 0 0 100"]);
    // The centre is heard in front, and what is behind, behind.
    assert_eq!(mix("FL+FR+FC+BC", "FL+FR+BL+BR"), ["59 0 0 0", "0 59 0 0", "41 41 0 0", "0 0 41 41"]);
    assert_eq!(mix("FL+FR+BL+BR", "FL+FR+FC+BC"), ["59 0 0 0", "0 59 0 0", "41 0 0 0", "0 41 0 0"]);
    assert_eq!(mix("FL+FR+FC", "FL+FR+FC+LFE+BL+BR"), ["100 0 0 0 0 0", "0 100 0 0 0 0", "0 0 100 0 0 0"]);
    // Low frequencies go nowhere else; a quadro of what is five and one.
    let quadro = mix("FL+FR+FC+LFE+SL+SR", "FL+FR+BL+BR");
    assert_eq!(quadro, ["59 0 0 0", "0 59 0 0", "41 41 0 0", "0 0 0 0", "0 0 59 0", "0 0 0 59"]);
    // Where a left, a right or a centre would be heard nowhere, channels are taken as they come.
    assert_eq!(mix("BL+BR", "TFL+TFR+TBL+TBR"), ["100 0 0 0", "0 100 0 0"]);
    assert_eq!(mix("FL+FR+FC", "BL+BR+SL+SR"), ["100 0 0 0", "0 100 0 0", "0 0 100 0"]);
    // Two are left and right, whatever is said of them.
    assert_eq!(mix("BL+BR", "FL+FR+FC"), ["100 0 0", "0 100 0"]);
}

#[test]
fn channels() {
    let mix = |from: u16, to: u32, frame: &[f64]| {
        convert(Sound::new(48_000, from), spec(SampleFormat::F32, 48_000, to), frame, 1)
    };
    assert_eq!(mix(2, 2, &[0.25, -0.5]), [0.25, -0.5]);
    assert_eq!(mix(1, 2, &[0.25]), [0.25, 0.25]);
    assert_eq!(mix(1, 4, &[0.25]), [0.25, 0.25, 0.0, 0.0]);
    assert_eq!(mix(2, 1, &[0.25, 0.75]), [0.5]);
    assert_eq!(mix(2, 4, &[0.25, 0.75]), [0.25, 0.75, 0.0, 0.0]);
    assert_eq!(mix(6, 4, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).len(), 4);
    assert_eq!(mix(20, 2, &[0.5; 20]), [0.5, 0.5]);
    for from in 3..=8 {
        let loud = mix(from, 2, &vec![1.0; usize::from(from)]);
        assert!(loud.iter().all(|s| (0.5..=1.0).contains(s)), "{from}: {loud:?}");
        let mut left = vec![0.0; usize::from(from)];
        left[0] = 1.0;
        let heard = mix(from, 2, &left);
        assert!(heard[0] > 0.3 && heard[1] == 0.0, "{from}: {heard:?}");
        assert!((mix(from, 1, &vec![1.0; usize::from(from)])[0] - loud[0]).abs() < 1e-6);
    }
}

#[test]
fn what_is_beyond_reason_is_refused() {
    let to = spec(SampleFormat::S16, 48_000, 2);
    for (rate, channels) in [(0, 2), (1_000_001, 2), (48_000, 0), (48_000, 33)] {
        assert!(Converter::new(Sound::new(rate, channels), to).is_err());
    }
}
