//! The time signal, made here and read by the testkit, at every rate and format.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps says all there is to say")]

use livetape_audio::{Frame, FrameCount, SampleFormat, Spec, WallTime};
use livetape_capture::SourceSpec;
use livetape_capture::sources::voice;
use livetape_testkit::time_signal::{Telegram, decode, decode_pcm, mono, tone_second};
use std::f64::consts::TAU;
use std::time::Duration;

/// The signal in pieces, as a generator makes it.
fn signal(spec: Spec, first: u64, time: WallTime, frames: u64) -> Vec<u8> {
    let mut voice = voice(&SourceSpec::TimeSignal, spec).unwrap().unwrap();
    let (mut pcm, mut at) = (Vec::new(), 0);
    while at < frames {
        let n = (frames - at).min(u64::from(spec.rate()) / 50 + at % 2);
        voice.render(
            Frame::new(first + at),
            time.after_frames(FrameCount::new(at), spec),
            FrameCount::new(n),
            &mut pcm,
        );
        at += n;
    }
    pcm
}

fn time(s: &str) -> WallTime {
    s.parse().unwrap()
}

fn spec(format: SampleFormat, rate: u32, channels: u32) -> Spec {
    Spec::new(format, rate, channels).unwrap()
}

/// Checks that each full second in what begins with frame `first` at `start` was read, and nothing else.
fn check(found: &[Telegram], rate: u32, first: u64, frames: u64, start: WallTime) {
    let rate = u64::from(rate);
    let expected: Vec<u64> =
        (0..).map(|n| first.div_ceil(rate) + n).take_while(|s| s * rate + rate * 72 / 100 < first + frames).collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (telegram, second) in found.iter().zip(expected) {
        assert_eq!(u64::from(telegram.second), second % (1 << 24));
        let at = second * rate - first;
        let off = telegram.at.get().abs_diff(at);
        assert!(off * 1_000 <= rate, "{off} frames off at {rate} Hz");
        let captured = start.later(Duration::from_nanos(at * 1_000_000_000 / rate));
        let said = u64::from(telegram.time_of_day_ms);
        assert!(said.abs_diff(captured.unix_millis() % 86_400_000) <= 1, "{telegram:?}");
    }
}

#[test]
fn every_rate_and_format() {
    // Over a full minute with many strokes: pips and strokes sound together with the telegrams.
    let start = time("2026-11-20T23:58:59.437Z");
    for rate in [8_000, 11_025, 44_100, 48_000, 192_000] {
        for (format, channels) in
            [(SampleFormat::S16, 1), (SampleFormat::S24, 2), (SampleFormat::S32, 3), (SampleFormat::F32, 8)]
        {
            let spec = spec(format, rate, if rate > 48_000 { 1 } else { channels });
            let seconds = if rate > 48_000 { 3 } else { 5 };
            let (first, frames) = (u64::from(rate) * 4_000 + 17, u64::from(rate) * seconds);
            let pcm = signal(spec, first, start, frames);
            check(&decode_pcm(&pcm, spec), rate, first, frames, start);
        }
    }
}

#[test]
fn many_seconds_at_any_time_of_day() {
    // 40 seconds over midnight and over the wrap of the 24 bits.
    let spec = spec(SampleFormat::S16, 8_000, 1);
    let (first, start) = (((1 << 24) - 20) * 8_000, time("2026-11-20T23:59:45.5Z"));
    let pcm = signal(spec, first, start, 40 * 8_000);
    check(&decode_pcm(&pcm, spec), 8_000, first, 40 * 8_000, start);
}

#[test]
fn any_start() {
    let spec = spec(SampleFormat::S16, 44_100, 1);
    let start = time("2026-11-20T14:30:00Z");
    let pcm = signal(spec, 0, start, 3 * 44_100);
    let samples = mono(&pcm, spec);
    for skip in (0..88_200_usize).step_by(3_331) {
        let found = decode(&samples[skip..], 44_100);
        let later = start.after_frames(FrameCount::new(skip as u64), spec);
        check(&found, 44_100, skip as u64, 3 * 44_100 - skip as u64, later);
    }
}

/// Plays `samples` at another rate, as a browser does (linear between samples: worse than any browser).
fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    let n = samples.len() as u64 * u64::from(to) / u64::from(from) - 1;
    let at = |n: u64| {
        let place = n as f64 * f64::from(from) / f64::from(to);
        let (low, part) = (place as usize, place.fract() as f32);
        let next = samples.get(low + 1).copied().unwrap_or(0.0);
        samples[low] * (1.0 - part) + next * part
    };
    (0..n).map(at).collect()
}

#[test]
fn resampled_quiet_swelling_and_noisy() {
    let start = time("2026-11-20T14:37:00.2Z");
    for (from, to) in [(44_100, 48_000), (48_000, 44_100), (11_025, 48_000), (8_000, 44_100), (192_000, 48_000)] {
        let spec = spec(SampleFormat::S16, from, 1);
        let (first, seconds) = (u64::from(from) * 7 + 5, 4);
        let samples = mono(&signal(spec, first, start, u64::from(from) * seconds), spec);
        let mut heard = resample(&samples, from, to);
        let mut state = 5_u32;
        for (n, sample) in heard.iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 8) as f32 / 8_388_608.0 - 1.0;
            let swell = 0.3 + 0.2 * (TAU * 3.0 * n as f64 / f64::from(to)).sin() as f32;
            *sample = *sample * swell + noise * 0.02;
        }
        let found = decode(&heard, to);
        let later = |t: &Telegram| (t.second, t.at.get() * 1_000 / u64::from(to));
        let expected = |s: u64| (s * u64::from(from) - first) * 1_000 / u64::from(from);
        assert_eq!(found.len(), 3, "{from} to {to}: {found:?}");
        for (telegram, second) in found.iter().zip(8..) {
            let (said, ms) = later(telegram);
            assert_eq!(u64::from(said), second);
            assert!(ms.abs_diff(expected(second)) <= 1, "{ms} ms");
        }
    }
}

#[test]
fn a_hole_costs_its_telegram_only() {
    let spec = spec(SampleFormat::S16, 48_000, 1);
    let start = time("2026-11-20T14:30:10Z");
    let mut samples = mono(&signal(spec, 0, start, 4 * 48_000), spec);
    samples.drain(48_000 + 10_000..48_000 + 12_400);
    let seconds: Vec<u32> = decode(&samples, 48_000).iter().map(|t| t.second).collect();
    assert_eq!(seconds, [0, 2, 3]);
}

#[test]
fn the_steady_sine_names_the_second() {
    for rate in [8_000, 44_100, 48_000] {
        let spec = spec(SampleFormat::S16, rate, 1);
        let start = time("2026-11-20T14:36:59Z"); // the long pip of the minute sounds in the second second
        let samples = mono(&signal(spec, u64::from(rate) * 168, start, u64::from(rate) * 5), spec);
        for s in 0..5 {
            let second = &samples[s * rate as usize..(s + 1) * rate as usize];
            assert_eq!(tone_second(second, rate), Some(68 + s as u32), "{rate} Hz, second {s}");
        }
        let late = &samples[rate as usize * 33 / 10..rate as usize * 39 / 10];
        assert_eq!(tone_second(late, rate), Some(71));
    }
}

#[test]
fn other_generators_carry_no_telegram() {
    let spec = spec(SampleFormat::S16, 48_000, 2);
    for source in [SourceSpec::Tone, SourceSpec::Noise, SourceSpec::Counting] {
        let mut pcm = Vec::new();
        voice(&source, spec).unwrap().unwrap().render(
            Frame::ZERO,
            WallTime::default(),
            FrameCount::new(480_000),
            &mut pcm,
        );
        assert_eq!(decode_pcm(&pcm, spec), [], "{source}");
    }
}
