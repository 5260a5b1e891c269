//! Counting PCM: s16 stereo, frame `n` holds the low 16 bits of `n` left and the high 16 bits right. Any range of bytes
//! can say whether it is the right one, and by how much it is wrong.

use livetape_audio::{Container, DataSize, Frame, FrameCount, SampleFormat, Spec, SpecError};
use std::fmt;

/// Bytes of one frame.
pub const FRAME_BYTES: u64 = 4;

/// The only shape of counting PCM, at any rate.
///
/// # Errors
/// If the rate is out of range.
pub fn spec(rate: u32) -> Result<Spec, SpecError> {
    Spec::new(SampleFormat::S16, rate, 2)
}

/// Frames `first`, `first + 1`, …
pub fn encode(first: Frame, frames: FrameCount) -> Vec<u8> {
    (first.get()..first.get().saturating_add(frames.get())).flat_map(|n| (n as u32).to_le_bytes()).collect()
}

/// The WAV file of these frames.
///
/// # Errors
/// If the rate is out of range.
pub fn wav(rate: u32, first: Frame, frames: FrameCount) -> Result<Vec<u8>, SpecError> {
    let head = Container::Wav.header(spec(rate)?, DataSize::Known(frames));
    Ok([&head[..], &encode(first, frames)].concat())
}

/// Where and how counting PCM is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Offset of the first wrong byte within the bytes given.
    pub at_byte: u64,
    /// The frame that should be there.
    pub expected: Frame,
    /// The number that is there (its low 32 bits); `None` if the frame is cut by an end of the bytes given.
    pub found: Option<u32>,
}

impl Mismatch {
    /// How many frames too far on what is there is; negative: too early.
    pub fn off_by(&self) -> Option<i64> {
        let found = self.found?;
        Some(i64::from(found.wrapping_sub(self.expected.get() as u32) as i32))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: frame {} expected, ", self.at_byte, self.expected)?;
        match (self.found, self.off_by()) {
            (Some(found), Some(by)) => write!(f, "found {found} ({by:+} frames)"),
            _ => write!(f, "found part of another one"),
        }
    }
}

impl std::error::Error for Mismatch {}

/// Checks whole frames, of which the first should be number `first`. A half frame at the end is checked as far as it
/// goes.
///
/// # Errors
/// The first wrong frame.
pub fn verify(bytes: &[u8], first: Frame) -> Result<(), Mismatch> {
    verify_at(bytes, first.get().saturating_mul(FRAME_BYTES))
}

/// Checks bytes, of which the first should be byte `offset` of a recording that counts from frame 0. Any offset will
/// do, also one within a frame.
///
/// # Errors
/// The first wrong frame.
pub fn verify_at(bytes: &[u8], offset: u64) -> Result<(), Mismatch> {
    // Almost always all is right, and then whole frames are compared at once.
    let before = (offset.wrapping_neg() % FRAME_BYTES) as usize;
    if let Some((start, frames)) = bytes.split_at_checked(before)
        && let (frames, end) = frames.as_chunks::<{ FRAME_BYTES as usize }>()
        && are_numbered(frames, (offset.saturating_add(before as u64) / FRAME_BYTES) as u32)
    {
        let after = offset.saturating_add((bytes.len() - end.len()) as u64);
        verify_bytes(start, offset)?;
        return verify_bytes(end, after).map_err(|wrong| Mismatch { at_byte: wrong.at_byte + after - offset, ..wrong });
    }
    verify_bytes(bytes, offset)
}

fn are_numbered(frames: &[[u8; FRAME_BYTES as usize]], first: u32) -> bool {
    let mut expected = first;
    let wrong = frames.iter().fold(0, |wrong, frame| {
        let differs = u32::from_le_bytes(*frame) ^ expected;
        expected = expected.wrapping_add(1);
        wrong | differs
    });
    wrong == 0
}

fn verify_bytes(bytes: &[u8], offset: u64) -> Result<(), Mismatch> {
    for (n, &byte) in (0_u64..).zip(bytes) {
        let place = offset.saturating_add(n);
        let expected = Frame::new(place / FRAME_BYTES);
        if (expected.get() as u32).to_le_bytes().get((place % FRAME_BYTES) as usize) != Some(&byte) {
            return Err(Mismatch { at_byte: n, expected, found: frame_around(bytes, n, place % FRAME_BYTES) });
        }
    }
    Ok(())
}

/// The frame that byte `n` belongs to, being its byte `within`.
fn frame_around(bytes: &[u8], n: u64, within: u64) -> Option<u32> {
    let start = usize::try_from(n.checked_sub(within)?).ok()?;
    number(bytes.get(start..)?)
}

/// The number in the first frame of `bytes`; `None` if they are less than a frame.
pub fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|frame| u32::from_le_bytes(*frame))
}

/// A stretch of frames whose numbers follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Place of its first frame within what was given.
    pub at: FrameCount,
    /// The number in that frame.
    pub first: u32,
    /// How many frames follow one another.
    pub frames: FrameCount,
}

/// Whole frames as stretches without a jump: one for audio without loss. A half frame at the end is left out.
pub fn runs(bytes: &[u8]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (n, found) in (0_u64..).zip(bytes.chunks_exact(FRAME_BYTES as usize).filter_map(number)) {
        match runs.last_mut() {
            Some(run) if found == run.first.wrapping_add(run.frames.get() as u32) => {
                run.frames = run.frames + FrameCount::new(1);
            }
            _ => runs.push(Run { at: FrameCount::new(n), first: found, frames: FrameCount::new(1) }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_low_left_high_right() {
        assert_eq!(encode(Frame::new(0x0001_0002), FrameCount::new(1)), [2, 0, 1, 0]);
        assert_eq!(encode(Frame::new(u64::from(u32::MAX)), FrameCount::new(2)), [255, 255, 255, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn any_byte_range_is_right_or_wrong_by_so_much() {
        let tape = encode(Frame::ZERO, FrameCount::new(100_000));
        for (from, to) in [(0, 400_000), (1, 2), (3, 77), (262_143, 262_150), (399_999, 400_000)] {
            assert_eq!(verify_at(&tape[from..to], from as u64), Ok(()));
        }
        let wrong = verify_at(&tape[4_000..8_000], 4_002).unwrap_err();
        assert_eq!((wrong.at_byte, wrong.expected, wrong.off_by()), (0, Frame::new(1_000), None), "{wrong}");
        let late = verify(&tape[4_000..8_000], Frame::new(900)).unwrap_err();
        assert_eq!(late.off_by(), Some(100), "{late}");
        let early = verify(&tape[4_000..8_000], Frame::new(1_005)).unwrap_err();
        assert_eq!(early.off_by(), Some(-5), "{early}");
    }

    #[test]
    fn one_wrong_byte_is_found() {
        let mut tape = encode(Frame::new(70_000), FrameCount::new(1_000));
        tape[2_003] ^= 1;
        let wrong = verify(&tape, Frame::new(70_000)).unwrap_err();
        assert_eq!((wrong.at_byte, wrong.expected), (2_003, Frame::new(70_500)));
        assert_eq!(wrong.off_by(), Some(1 << 24));
    }

    #[test]
    fn a_loss_is_a_jump_of_its_length() {
        let tape = [encode(Frame::new(10), FrameCount::new(5)), encode(Frame::new(40), FrameCount::new(7))].concat();
        let run = |at, first, frames| Run { at: FrameCount::new(at), first, frames: FrameCount::new(frames) };
        assert_eq!(runs(&tape), [run(0, 10, 5), run(5, 40, 7)]);
        assert_eq!(runs(&tape[..tape.len() - 1]), [run(0, 10, 5), run(5, 40, 6)]);
        assert_eq!(runs(&[1, 2]), []);
    }
}
