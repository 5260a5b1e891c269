use super::*;
use crate::layout::ChannelLayout;
use std::f64::consts::TAU;
use std::process::Command;

const RATE: u32 = 48_000;

fn spec(format: SampleFormat) -> Spec {
    Spec::new(format, RATE, 2).unwrap()
}

/// A meter of a layout, by its name, and ffmpeg hear a sine of another level on each channel.
fn momentary_of(layout: &str) -> (f64, f64) {
    let layout: ChannelLayout = layout.parse().unwrap();
    let channels = layout.channels();
    let spec = Spec::new(SampleFormat::F32, RATE, channels.into()).unwrap().for_speakers(layout).unwrap();
    let sample = |n: usize| {
        let (frame, channel) = (n / usize::from(channels), n % usize::from(channels));
        // The last are the loudest: those that weigh more than others.
        (0.01
            * (1.0 + channel as f64).powi(2)
            * (TAU * (500.0 + 200.0 * channel as f64) * frame as f64 / f64::from(RATE)).sin()) as f32
    };
    let samples: Vec<f32> = (0..RATE as usize * 4 * usize::from(channels)).map(sample).collect();
    let mut meter = Meter::new(spec).unwrap();
    bytes(&samples).chunks(spec.frame_bytes() as usize * 7_001).for_each(|piece| meter.hear(piece));
    (meter.loudness().momentary.unwrap(), ffmpeg_of(&samples, &layout.to_string())[0])
}

#[test]
fn channels_weigh_what_their_loudspeakers_do() {
    for layout in ["FL+FR+FC", "FL+FR+FC+LFE+BL+BR", "FL+FR+FC+LFE+SL+SR", "FL+FR+BL+BR"] {
        let (ours, theirs) = momentary_of(layout);
        near(Some(ours), theirs, 0.11);
    }
    // Behind others at the sides, those behind weigh no more than those in front (for ffmpeg they do).
    let alone = |layout: &str, only: usize| {
        let layout: ChannelLayout = layout.parse().unwrap();
        let channels = usize::from(layout.channels());
        let spec = Spec::new(SampleFormat::F32, RATE, layout.channels().into()).unwrap().for_speakers(layout).unwrap();
        let mut meter = Meter::new(spec).unwrap();
        let sample = |n: usize| {
            let tone = (TAU * 1_000.0 * (n / channels) as f64 / f64::from(RATE)).sin() as f32;
            if n % channels == only { tone } else { 0.0 }
        };
        meter.hear(&bytes(&(0..RATE as usize * channels).map(sample).collect::<Vec<_>>()));
        meter.loudness().momentary
    };
    let (five, seven) = ("FL+FR+FC+LFE+BL+BR", "FL+FR+FC+LFE+BL+BR+SL+SR");
    let front = alone(five, 0).unwrap();
    let surround = 10.0 * 1.41_f64.log10();
    for (layout, channel, more) in [(five, 2, 0.0), (five, 4, surround), (seven, 4, 0.0), (seven, 6, surround)] {
        near(alone(layout, channel), front + more, 1e-6);
    }
    assert_eq!(alone(five, 3), None, "low frequencies do not count");
}

#[test]
fn inputs_that_are_for_no_loudspeaker_weigh_alike() {
    let loudness = |only: usize| {
        let mut meter = Meter::new(Spec::new(SampleFormat::F32, RATE, 6).unwrap()).unwrap();
        let sample = |n: usize| {
            if n % 6 == only { (TAU * 1_000.0 * (n / 6) as f64 / f64::from(RATE)).sin() as f32 } else { 0.0 }
        };
        meter.hear(&bytes(&(0..RATE as usize * 6).map(sample).collect::<Vec<_>>()));
        meter.loudness().momentary.unwrap()
    };
    for channel in 1..6 {
        near(Some(loudness(channel)), loudness(0), 1e-9);
    }
}

/// A sine on both channels, in dBFS of its peaks, for so many seconds.
fn sine(hertz: f64, parts: &[(f64, u32)], phase: f64) -> Vec<f32> {
    let levels = parts.iter().flat_map(|&(level, seconds)| std::iter::repeat_n(level, (RATE * seconds) as usize));
    let sample = |(n, level): (usize, f64)| {
        (10_f64.powf(level / 20.0) * (TAU * hertz * n as f64 / f64::from(RATE) + phase).sin()) as f32
    };
    levels.enumerate().map(sample).flat_map(|sample| [sample, sample]).collect()
}

fn bytes(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn measured(samples: &[f32]) -> Loudness {
    let mut meter = Meter::new(spec(SampleFormat::F32)).unwrap();
    meter.begin();
    // In pieces as they come.
    bytes(samples).chunks(8 * 7_001).for_each(|piece| meter.hear(piece));
    meter.loudness()
}

/// Momentary, short-term, true peak and integrated as ffmpeg finds them at the end.
fn ffmpeg(samples: &[f32]) -> [f64; 4] {
    ffmpeg_of(samples, "stereo")
}

fn ffmpeg_of(samples: &[f32], layout: &str) -> [f64; 4] {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signal.f32");
    std::fs::write(&file, bytes(samples)).unwrap();
    let run = Command::new("ffmpeg")
        .args(["-hide_banner", "-f", "f32le", "-ar", "48000", "-channel_layout", layout, "-i"])
        .arg(&file)
        .args(["-af", "ebur128=peak=true:framelog=info", "-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    let last = said.lines().rfind(|line| line.contains("TARGET:")).unwrap();
    let after = |text: &str, name: &str| -> f64 {
        text.split(name).nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
    };
    let summary = said.split("Summary:").nth(1).unwrap();
    [after(last, " M:"), after(last, " S:"), after(summary, "Peak:"), after(summary, " I:")]
}

fn near(got: Option<f64>, due: f64, tolerance: f64) {
    assert!(got.is_some_and(|got| (got - due).abs() <= tolerance), "{got:?}, not {due}");
}

#[test]
fn signals_of_tech_3341() {
    // Cases 1 and 2: a stereo sine of 1 kHz.
    for level in [-23.0, -33.0] {
        let told = measured(&sine(1_000.0, &[(level, 5)], 0.0));
        near(told.momentary, level, 0.1);
        near(told.short_term, level, 0.1);
    }
    // Case 9: short-term, of parts that together are as loud.
    let parts = [(-20.0, 1), (-30.0, 2)].repeat(3);
    let told = measured(&sine(1_000.0, &parts, 0.0));
    near(told.short_term, 10.0 * ((10_f64.powf(-2.0) + 2.0 * 10_f64.powf(-3.0)) / 3.0).log10(), 0.1);
    // Cases 15 to 19: between samples it is higher. Tolerance +0.2, -0.4 dB.
    let quarter = measured(&sine(12_000.0, &[(-6.0, 2)], TAU / 8.0));
    assert!(quarter.true_peak.is_some_and(|peak| (-6.4..=-5.8).contains(&peak)), "{quarter:?}");
}

#[test]
fn ffmpeg_finds_the_same() {
    let two = sine(440.0, &[(-10.0, 5)], 0.3).into_iter().zip(sine(5_003.0, &[(-14.0, 5)], 1.0));
    let chord: Vec<f32> = two.map(|(low, high)| low + high).collect();
    for signal in [sine(997.0, &[(-12.0, 4), (-40.0, 1)], 0.0), sine(60.0, &[(-3.0, 4)], 0.0), chord] {
        let (told, [momentary, short_term, peak, _]) = (measured(&signal), ffmpeg(&signal));
        // Of a tenth of a second, which is where ffmpeg looks.
        near(told.momentary, momentary, 0.1);
        near(told.short_term, short_term, 0.1);
        near(told.true_peak, peak, 0.2);
    }
}

#[test]
fn silence_and_what_is_no_number_are_no_loudness() {
    let nothing = Loudness { momentary: None, short_term: None, true_peak: None };
    assert_eq!(measured(&vec![0.0; 96_000]), nothing);
    let mut samples = vec![f32::NAN; 9_600];
    assert_eq!(measured(&samples), nothing);
    samples.extend(sine(1_000.0, &[(-23.0, 3)], 0.0));
    near(measured(&samples).momentary, -23.0, 0.1);
}

#[test]
fn every_format_is_as_loud() {
    let signal = sine(1_000.0, &[(-23.0, 1)], 0.0);
    let encode = |sample: &f32, bytes: usize| -> Vec<u8> {
        let whole = (f64::from(*sample) * 2_147_483_648.0) as i32;
        whole.to_le_bytes()[4 - bytes..].to_vec()
    };
    for (format, size) in [(SampleFormat::S16, 2), (SampleFormat::S24, 3), (SampleFormat::S32, 4)] {
        let mut meter = Meter::new(spec(format)).unwrap();
        meter.hear(&signal.iter().flat_map(|sample| encode(sample, size)).collect::<Vec<_>>());
        near(meter.loudness().momentary, -23.0, 0.1);
    }
}
/// The blocks of a signal, heard from `from` on.
fn blocks(samples: &[f32], from: Frame) -> Vec<(Frame, f64)> {
    let (mut found, mut blocks) = (Vec::new(), GatingBlocks::new(spec(SampleFormat::F32), from));
    let skipped = blocks.at().get() as usize * 8;
    bytes(samples)[skipped..]
        .chunks(8 * 3_001)
        .for_each(|piece| blocks.hear(piece, |end, lufs| found.push((end, lufs))));
    found
}

fn integrated(samples: &[f32]) -> Option<f64> {
    let mut all = Distribution::default();
    blocks(samples, Frame::ZERO).into_iter().for_each(|(_, lufs)| all.count(lufs));
    all.integrated()
}

#[test]
fn integrated_as_tech_3341_wants_it() {
    // Cases 1 to 5: as loud as said, whatever is below the gates.
    for (parts, due) in [
        (&[(-23.0, 20)][..], -23.0),
        (&[(-33.0, 20)], -33.0),
        (&[(-36.0, 10), (-23.0, 60), (-36.0, 10)], -23.0),
        (&[(-72.0, 10), (-36.0, 10), (-23.0, 60), (-36.0, 10), (-72.0, 10)], -23.0),
    ] {
        near(integrated(&sine(1_000.0, parts, 0.0)), due, 0.1);
    }
    assert_eq!(integrated(&sine(1_000.0, &[(-80.0, 5)], 0.0)), None);
    assert_eq!(integrated(&[]), None);
}

#[test]
fn ffmpeg_integrates_the_same() {
    let parts = [(-31.0, 3), (-18.0, 5), (-55.0, 4), (-27.3, 6), (-39.0, 2)];
    for signal in [sine(997.0, &parts, 0.0), sine(90.0, &parts, 0.4), sine(7_001.0, &parts, 0.9)] {
        near(integrated(&signal), ffmpeg(&signal)[3], 0.1);
    }
}

#[test]
fn who_begins_later_finds_the_same_blocks() {
    let signal = sine(440.0, &[(-20.0, 4), (-40.0, 4), (-12.0, 4)], 0.0);
    let all = blocks(&signal, Frame::ZERO);
    assert_eq!((all.len(), all[0].0), (117, Frame::new(4 * 4_800)));
    let from = Frame::new(5 * 48_000 + 77);
    let settled = from + spec(SampleFormat::F32).frames(GatingBlocks::WARM_UP);
    let later: Vec<_> = blocks(&signal, from).into_iter().filter(|(end, _)| *end > settled).collect();
    assert_eq!(later.len(), 50);
    for ((end, lufs), due) in later.iter().zip(&all[67..]) {
        assert!(*end == due.0 && (lufs - due.1).abs() < 0.01, "{end}: {lufs}, not {due:?}");
    }
}

#[test]
fn a_part_is_its_end_less_its_beginning() {
    let (mut then, mut alone) = (Distribution::default(), Distribution::default());
    (0..50).for_each(|_| then.count(-20.0));
    let mut now = then.clone();
    for _ in 0..30 {
        now.count(-31.04);
        alone.count(-31.04);
    }
    assert_eq!(now.since(&then), alone);
    near(alone.integrated(), -31.0, 0.05);
    // What is louder than anything, or is nothing, harms nothing.
    for lufs in [1e9, f64::INFINITY, f64::NAN, f64::NEG_INFINITY, -70.0] {
        alone.count(lufs);
    }
    near(alone.integrated(), 30.0, 0.05);
    let there = Distribution::from_bytes(&now.to_bytes());
    assert_eq!(there, Some(now));
    assert_eq!(Distribution::from_bytes(&[0; 17]), None);
}

#[test]
fn a_step_is_not_a_whole_number_of_frames_at_every_rate() {
    let spec = Spec::new(SampleFormat::S16, 11_025, 1).unwrap();
    let mut ends = Vec::new();
    GatingBlocks::new(spec, Frame::ZERO).hear(&[0; 22_050], |end, _| ends.push(end.get()));
    assert_eq!(ends, [4, 5, 6, 7, 8, 9].map(|n| n * 1_103));
}
