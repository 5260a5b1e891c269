//! Loudness after EBU R 128: of what is heard now (momentary, short-term, true peak: EBU Tech 3341, ITU-R BS.1770-4), and of
//! any part of a recording (integrated). The filters and windows are those of the crate `ebur128`.
//!
//! Integrated loudness is found from how many gating blocks were how loud, a [`Distribution`]: that of a part is the one of
//! its end less the one of its beginning, so a day costs what a minute costs.
//!
//! Not here: which frames are measured when, and where what was found is kept.

use crate::layout::Speaker;
use crate::position::{Frame, FrameCount};
use crate::spec::{SampleFormat, Spec};
use ebur128::{Channel, EbuR128, Mode};
use schemars::JsonSchema;
use serde::Serialize;

/// The absolute gate: what is not louder does not count, in LUFS.
const GATE: f64 = -70.0;
/// Steps of a distribution in each LU, and how many there are: up to 30 LUFS, which no signal below full scale comes near.
const STEPS: f64 = 10.0;
const COUNTS: usize = 1001;
/// How far below the loudness of all blocks the relative gate is, in LU.
const RELATIVE: f64 = 10.0;

/// Loudness of what is heard, as far as it was heard.
pub struct Meter {
    spec: Spec,
    meter: EbuR128,
    true_peak: f64,
}

/// Loudness at some frame, in LUFS and dBTP; `None` where there is only silence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Loudness {
    /// Of the last 400 ms, in LUFS.
    pub momentary: Option<f64>,
    /// Of the last 3 s, in LUFS.
    pub short_term: Option<f64>,
    /// The highest of all channels since [`Meter::begin`], in dBTP.
    pub true_peak: Option<f64>,
}

impl Meter {
    /// `None` for what the crate cannot measure.
    pub fn new(spec: Spec) -> Option<Self> {
        let mode = Mode::M | Mode::S | Mode::TRUE_PEAK;
        let meter = meter(spec, mode)?;
        Some(Self { spec, meter, true_peak: 0.0 })
    }

    /// From here on counts the true peak that is told next.
    pub const fn begin(&mut self) {
        self.true_peak = 0.0;
    }

    /// Takes in whole frames.
    pub fn hear(&mut self, pcm: &[u8]) {
        // The crate refuses only what is no whole number of frames.
        if self.meter.add_frames_f32(&samples(self.spec, pcm)).is_ok() {
            let channels = 0..u32::from(self.spec.channels());
            let peaks = channels.filter_map(|channel| self.meter.prev_true_peak(channel).ok());
            self.true_peak = peaks.fold(self.true_peak, f64::max);
        }
    }

    /// What was heard so far.
    pub fn loudness(&self) -> Loudness {
        let finite = |lufs: f64| lufs.is_finite().then_some(lufs);
        Loudness {
            momentary: self.meter.loudness_momentary().ok().and_then(finite),
            short_term: self.meter.loudness_shortterm().ok().and_then(finite),
            true_peak: finite(20.0 * self.true_peak.log10()),
        }
    }
}

/// Finds gating blocks: of 400 ms, one each 100 ms, on a grid that begins with frame 0 of the recording.
pub struct GatingBlocks {
    spec: Spec,
    /// `None` for what the crate cannot measure: then there are no blocks.
    meter: Option<EbuR128>,
    at: Frame,
    /// Steps of the grid that were heard; a block has four.
    steps: u64,
}

impl GatingBlocks {
    /// Audio that the filters are to have heard before the first block that counts.
    pub const WARM_UP: std::time::Duration = std::time::Duration::from_secs(2);

    /// Begins to hear at a step of the grid near `from`, not after it: [`GatingBlocks::at`].
    pub fn new(spec: Spec, from: Frame) -> Self {
        let meter = meter(spec, Mode::M);
        let step = step(spec).get();
        Self { spec, meter, at: Frame::new(from.get() / step * step), steps: 0 }
    }

    /// The next frame that is to be heard.
    pub const fn at(&self) -> Frame {
        self.at
    }

    /// Takes in whole frames, which begin at [`GatingBlocks::at`]; `each` is given the end of every block that is complete
    /// with them, and its loudness in LUFS, which is minus infinity for silence.
    pub fn hear(&mut self, pcm: &[u8], mut each: impl FnMut(Frame, f64)) {
        let step = step(self.spec);
        let mut rest = pcm;
        while !rest.is_empty() {
            let missing = FrameCount::new(step.get() - self.at.get() % step.get());
            let bytes = usize::try_from(self.spec.bytes(missing)).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(rest.len().min(bytes));
            let (frames, _) = self.spec.frames_in(now.len() as u64);
            (rest, self.at) = (later, self.at + frames);
            let Some(meter) = &mut self.meter else { continue };
            if meter.add_frames_f32(&samples(self.spec, now)).is_err() {
                return;
            }
            if frames == missing {
                self.steps += 1;
                if self.steps >= 4 {
                    each(self.at, meter.loudness_momentary().unwrap_or(f64::NEG_INFINITY));
                }
            }
        }
    }
}

/// A meter that weighs channels by their loudspeakers (ITU-R BS.1770-4, annex 1 and 3). Of more than two that are not known to be
/// for any, each counts as much as another.
fn meter(spec: Spec, mode: Mode) -> Option<EbuR128> {
    let mut meter = EbuR128::new(u32::from(spec.channels()), spec.rate(), mode).ok()?;
    if spec.channels() > 2 {
        let channels: Vec<Channel> = match spec.layout().is_known() {
            true => {
                let sides = spec.layout().speakers().any(|speaker| speaker == Speaker::SideLeft);
                spec.layout().speakers().map(|speaker| weight(speaker, sides)).collect()
            }
            false => vec![Channel::Center; spec.channels().into()],
        };
        meter.set_channel_map(&channels).ok()?;
    }
    Some(meter)
}

/// Where the standard has a loudspeaker; what is called back is so only if others are at the `sides`.
const fn weight(speaker: Speaker, sides: bool) -> Channel {
    match speaker {
        Speaker::BackLeft if sides => Channel::Mp135,
        Speaker::BackRight if sides => Channel::Mm135,
        Speaker::FrontLeft => Channel::Left,
        Speaker::FrontRight => Channel::Right,
        Speaker::FrontCenter => Channel::Center,
        Speaker::LowFrequency => Channel::Unused,
        Speaker::BackLeft => Channel::LeftSurround,
        Speaker::BackRight => Channel::RightSurround,
        Speaker::FrontLeftOfCenter => Channel::MpSC,
        Speaker::FrontRightOfCenter => Channel::MmSC,
        Speaker::BackCenter => Channel::Mp180,
        Speaker::SideLeft => Channel::Mp090,
        Speaker::SideRight => Channel::Mm090,
        Speaker::TopCenter => Channel::Tp000,
        Speaker::TopFrontLeft => Channel::Up045,
        Speaker::TopFrontCenter => Channel::Up000,
        Speaker::TopFrontRight => Channel::Um045,
        Speaker::TopBackLeft => Channel::Up135,
        Speaker::TopBackCenter => Channel::Up180,
        Speaker::TopBackRight => Channel::Um135,
    }
}

/// 100 ms, as the crate rounds it.
fn step(spec: Spec) -> FrameCount {
    FrameCount::new((u64::from(spec.rate()) + 5) / 10)
}

/// How many gating blocks were how loud, in steps of a tenth of a LU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution(Vec<u32>);

impl Default for Distribution {
    fn default() -> Self {
        Self(vec![0; COUNTS])
    }
}

impl Distribution {
    /// Bytes that it takes.
    pub const BYTES: usize = COUNTS * 4;

    /// Counts a block. What is not over the absolute gate does not count.
    pub fn count(&mut self, lufs: f64) {
        if lufs > GATE {
            // Of what is louder than the loudest step that counts.
            let step = ((lufs - GATE) * STEPS).round().min((COUNTS - 1) as f64) as usize;
            if let Some(count) = self.0.get_mut(step) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// What was counted after `earlier`, which is what it was then.
    pub fn since(&self, earlier: &Self) -> Self {
        Self(self.0.iter().zip(&earlier.0).map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    /// Integrated loudness in LUFS (ITU-R BS.1770-4: absolute and relative gate), within 0.05 LU of what it is without steps;
    /// `None` if there is only silence.
    pub fn integrated(&self) -> Option<f64> {
        let all = self.loudness_of(f64::NEG_INFINITY)?;
        // More digits would say more than is known.
        self.loudness_of(all - RELATIVE).map(|lufs| (lufs * 100.0).round() / 100.0)
    }

    /// Loudness of the mean power of those blocks that are at least so loud.
    fn loudness_of(&self, gate: f64) -> Option<f64> {
        let level = |step: usize| GATE + step as f64 / STEPS;
        let counted = self.0.iter().enumerate().filter(|&(step, count)| *count > 0 && level(step) >= gate);
        let (power, blocks) = counted.fold((0.0, 0.0), |(power, blocks), (step, count)| {
            let count = f64::from(*count);
            (power + count * 10_f64.powf(level(step) / 10.0), blocks + count)
        });
        (blocks > 0.0).then(|| 10.0 * (power / blocks).log10())
    }

    /// As [`Distribution::from_bytes`] takes it.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|count| count.to_le_bytes()).collect()
    }

    /// The counts from the quietest step on, each of 32 bits, little-endian; `None` if these are not [`Distribution::BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let counts: Vec<u32> = bytes.as_chunks().0.iter().map(|&count| u32::from_le_bytes(count)).collect();
        (bytes.len() == Self::BYTES).then_some(Self(counts))
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
mod tests;
