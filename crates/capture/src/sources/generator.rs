//! Plays a voice in real time.

use super::pieces::Pieces;
use super::voice::Voice;
use super::{Chunk, Lost, Piece, Source, SourceError};
use crate::clock::{CaptureClock, Reading};
use livetape_audio::{Frame, FrameCount, GapReason, Spec};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A generator that is called later than this has lost audio, like a device whose buffer ran over.
const BUFFER: Duration = Duration::from_secs(2);

/// A source that makes its audio itself. The first frame after [`Source::begin`] has the recorder's number; from then
/// on it counts what it should have captured, so a loss shows as a jump of just its length.
pub struct Generator {
    voice: Box<dyn Voice>,
    spec: Spec,
    pieces: Pieces,
    first: Frame,
    /// Frames since it began.
    played: FrameCount,
    began: Instant,
    clock: CaptureClock,
}

impl Generator {
    /// Plays `voice`, which makes audio of the shape `spec`.
    pub fn new(voice: Box<dyn Voice>, spec: Spec) -> Self {
        let now = Reading::now();
        Self {
            voice,
            spec,
            pieces: Pieces::new(spec),
            first: Frame::ZERO,
            played: FrameCount::ZERO,
            began: now.mono,
            clock: CaptureClock::new(now),
        }
    }

    /// Skips what a device would have lost: whole seconds, so that pieces keep their rhythm.
    fn overrun(&mut self, late: Duration) -> Option<Lost> {
        if late <= BUFFER {
            return None;
        }
        let frames = FrameCount::new(late.as_secs().saturating_mul(u64::from(self.spec.rate())));
        self.played = self.played + frames;
        Some(Lost { frames, reason: GapReason::Xrun })
    }
}

impl Source for Generator {
    fn spec(&self) -> Spec {
        self.spec
    }

    fn begin(&mut self, next: Frame) {
        let now = Reading::now();
        (self.first, self.began, self.clock) = (next, now.mono, CaptureClock::new(now));
    }

    /// What it makes may depend on the number of the frame.
    fn waits_for_answer(&self) -> bool {
        true
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        let frames = self.pieces.next();
        // A piece exists when its last frame has been captured.
        let due = self.began + self.spec.duration(self.played + frames);
        sleep_until(due).await;
        let now = Reading::now();
        self.clock.observe(now);
        if let Some(lost) = self.overrun(now.mono.saturating_duration_since(due)) {
            return Ok(Some(Piece::Gap(lost)));
        }
        let time = self.clock.at(self.began + self.spec.duration(self.played));
        let mut pcm = Vec::with_capacity(usize::try_from(self.spec.bytes(frames)).unwrap_or(0));
        self.voice.render(self.first + self.played, time, frames, &mut pcm);
        self.pieces.advance();
        self.played = self.played + frames;
        Ok(Some(Piece::Audio(Chunk { time, pcm: pcm.into() })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Counting;
    use livetape_audio::{SampleFormat, WallTime};
    use livetape_testkit::counting;

    fn generator(rate: u32) -> Generator {
        Generator::new(Box::new(Counting), Spec::new(SampleFormat::S16, rate, 2).unwrap())
    }

    async fn audio(generator: &mut Generator) -> Chunk {
        match generator.next().await.unwrap().unwrap() {
            Piece::Audio(chunk) => chunk,
            other => panic!("no audio: {other:?}"),
        }
    }

    #[tokio::test]
    async fn plays_in_real_time_from_the_recorders_frame_on() {
        let mut generator = generator(11_025);
        let start = Instant::now();
        generator.begin(Frame::new(1_000));
        let (mut at, mut last): (_, Option<WallTime>) = (Frame::new(1_000), None);
        for _ in 0..10 {
            let chunk = audio(&mut generator).await;
            counting::verify(&chunk.pcm, at).unwrap();
            let frames = generator.spec.frames_in(chunk.pcm.len() as u64).0;
            if let Some(last) = last {
                let step = chunk.time.since(last);
                assert!(step.abs_diff(super::super::PIECE) < Duration::from_micros(200), "{step:?}");
            }
            (at, last) = (at + frames, Some(chunk.time));
        }
        assert_eq!(at.since(Frame::new(1_000)), FrameCount::new(2_205));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(200) && took < Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test]
    async fn a_late_call_is_an_overrun_of_just_that_length() {
        let mut generator = generator(8_000);
        generator.begin(Frame::ZERO);
        generator.began -= Duration::from_millis(3_500);
        let Some(Piece::Gap(lost)) = generator.next().await.unwrap() else { panic!("nothing was lost") };
        assert_eq!(lost, Lost { frames: FrameCount::new(24_000), reason: GapReason::Xrun });
        let chunk = audio(&mut generator).await;
        counting::verify(&chunk.pcm, Frame::new(24_000)).unwrap();
    }
}
