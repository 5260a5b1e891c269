//! What the benchmarks share: what a process costs as the operating system counts it, how figures spread, clients that
//! check every byte, peers from Debian's packages, and bare loops that do the least that can be done.
//!
//! Every figure is a ratio to a peer or to a bare loop of the same run, taken in turns: machines differ, and so does one
//! machine from minute to minute.

pub mod checks;
pub mod floors;
pub mod icecast_source;
pub mod listeners;
pub mod peers;
pub mod ranges;
pub mod sources;
pub mod spread;
pub mod table;
pub mod usage;

use anyhow::Result;
use livetape_audio::{Frame, FrameCount, Spec};

/// Counting words: the bytes `4n`, `4n + 1`, … hold the little-endian number n, whatever the shape of the audio. For 16
/// bits in stereo this is counting PCM.
pub fn words(first: Frame, count: FrameCount, spec: Spec) -> Vec<u8> {
    let (from, to) = (spec.bytes(first.since(Frame::ZERO)), spec.bytes((first + count).since(Frame::ZERO)));
    bytes(from, to)
}

/// The bytes `from` to `to` of counting words.
pub fn bytes(from: u64, to: u64) -> Vec<u8> {
    let mut all = Vec::with_capacity((to - from) as usize + 8);
    for n in from / 4..to.div_ceil(4) {
        all.extend_from_slice(&(n as u32).to_le_bytes());
    }
    all.drain(..(from % 4) as usize);
    all.truncate((to - from) as usize);
    all
}

/// A benchmark's `main`: the measurement, or, started by it as a process of its own, a bare loop.
///
/// # Errors
/// Those of either.
pub fn main(measure: impl FnOnce() -> Result<()>) -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((first, rest)) if first == floors::FLOOR => floors::run(rest),
        _ => measure(),
    }
}

/// Says how loaded the machine is, and what was measured.
///
/// # Errors
/// When the binary does not build.
pub fn introduce() -> Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{cores} cores, load before: {}", load.trim());
    println!("server: {}", livetape_testkit::process::binary()?.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;
    use livetape_testkit::counting;

    #[test]
    fn words_are_counting_pcm() {
        let stereo = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let (first, count) = (Frame::new(70_001), FrameCount::new(77));
        assert_eq!(words(first, count, stereo), counting::encode(first, count));
        let mono = Spec::new(SampleFormat::S16, 8_000, 1).unwrap();
        let all = words(Frame::ZERO, FrameCount::new(100), mono);
        assert_eq!(words(Frame::new(7), FrameCount::new(11), mono), all[14..36]);
        assert_eq!(counting::verify_at(&all, 0), Ok(()));
    }
}
