//! What several of the tests in `tests/` need: a growing recording, and clients that are other people's programs.

pub mod bench;
pub mod clients;
pub mod containers;
pub mod growing;
pub mod page;
pub mod player;
pub mod prometheus;
pub mod pushes;
pub mod sparse;
pub mod tools;
pub mod torture;

use livetape_audio::{Frame, FrameCount, Spec};

/// Counting PCM as content of a pushing source.
pub fn counting(first: Frame, count: FrameCount, _: Spec) -> Vec<u8> {
    livetape_testkit::counting::encode(first, count)
}

/// The tone that says the second, as content of a pushing source.
pub fn tone(first: Frame, count: FrameCount, spec: Spec) -> Vec<u8> {
    livetape_testkit::tone::pcm(first, count, spec.rate(), spec.channels())
}
