//! Loudness of what is heard now, after EBU R 128: momentary and short-term (EBU Tech 3341), and true peak (ITU-R BS.1770).
//! The filters and windows are those of the crate `ebur128`.

use ebur128::{EbuR128, Mode};
use livetape_audio::{SampleFormat, Spec};
use schemars::JsonSchema;
use serde::Serialize;

/// Loudness at some frame. Null where there is only silence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Loudness {
    /// Of the last 400 ms, in LUFS.
    pub(crate) momentary: Option<f64>,
    /// Of the last 3 s, in LUFS.
    pub(crate) short_term: Option<f64>,
    /// The highest of all channels since the event before, in dBTP.
    pub(crate) true_peak: Option<f64>,
}

/// Measures one recording.
pub(crate) struct Meter {
    spec: Spec,
    meter: EbuR128,
    true_peak: f64,
}

impl Meter {
    /// `None` for what the crate cannot measure.
    pub(crate) fn new(spec: Spec) -> Option<Self> {
        let mode = Mode::M | Mode::S | Mode::TRUE_PEAK;
        let meter = EbuR128::new(u32::from(spec.channels()), spec.rate(), mode).ok()?;
        Some(Self { spec, meter, true_peak: 0.0 })
    }

    /// From here on counts the true peak that is told next.
    pub(crate) const fn begin(&mut self) {
        self.true_peak = 0.0;
    }

    /// Whole frames.
    pub(crate) fn hear(&mut self, pcm: &[u8]) {
        // The crate refuses only what is no whole number of frames.
        if self.meter.add_frames_f32(&samples(self.spec, pcm)).is_ok() {
            let channels = 0..u32::from(self.spec.channels());
            let peaks = channels.filter_map(|channel| self.meter.prev_true_peak(channel).ok());
            self.true_peak = peaks.fold(self.true_peak, f64::max);
        }
    }

    pub(crate) fn loudness(&self) -> Loudness {
        let finite = |lufs: f64| lufs.is_finite().then_some(lufs);
        Loudness {
            momentary: self.meter.loudness_momentary().ok().and_then(finite),
            short_term: self.meter.loudness_shortterm().ok().and_then(finite),
            true_peak: finite(20.0 * self.true_peak.log10()),
        }
    }
}

fn samples(spec: Spec, pcm: &[u8]) -> Vec<f32> {
    let whole = |n: i32| n as f32 / 2_147_483_648.0;
    match spec.format() {
        SampleFormat::S16 => pcm.as_chunks().0.iter().map(|&b| f32::from(i16::from_le_bytes(b)) / 32_768.0).collect(),
        SampleFormat::S24 => {
            pcm.as_chunks().0.iter().map(|&[a, b, c]| whole(i32::from_le_bytes([0, a, b, c]))).collect()
        }
        SampleFormat::S32 => pcm.as_chunks().0.iter().map(|&b| whole(i32::from_le_bytes(b))).collect(),
        // One that is not a number would stay in the filters for ever.
        SampleFormat::F32 => {
            let sample = |b| Some(f32::from_le_bytes(b)).filter(|n| n.is_finite()).unwrap_or(0.0).clamp(-64.0, 64.0);
            pcm.as_chunks().0.iter().map(|&b| sample(b)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;
    use std::process::Command;

    const RATE: u32 = 48_000;

    fn spec(format: SampleFormat) -> Spec {
        Spec::new(format, RATE, 2).unwrap()
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

    /// Momentary, short-term and true peak as ffmpeg finds them at the end.
    fn ffmpeg(samples: &[f32]) -> [f64; 3] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("signal.f32");
        std::fs::write(&file, bytes(samples)).unwrap();
        let run = Command::new("ffmpeg")
            .args(["-hide_banner", "-f", "f32le", "-ar", "48000", "-ac", "2", "-i"])
            .arg(&file)
            .args(["-af", "ebur128=peak=true:framelog=info", "-f", "null", "-"])
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        let last = said.lines().rfind(|line| line.contains("TARGET:")).unwrap();
        let after = |text: &str, name: &str| -> f64 {
            text.split(name).nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap()
        };
        [after(last, " M:"), after(last, " S:"), after(said.split("True peak:").nth(1).unwrap(), "Peak:")]
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
            let (told, [momentary, short_term, peak]) = (measured(&signal), ffmpeg(&signal));
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
}
