//! How far a recording goes. On the wire a tail names its recording.

use crate::{InvalidMessage, v1};
use livetape_audio::{Frame, Generation, RecordingId, State, Tail};

impl From<(RecordingId, Tail)> for v1::Tail {
    fn from((id, tail): (RecordingId, Tail)) -> Self {
        Self {
            recording_id: id.into(),
            end_frame: tail.end.get(),
            sealed: tail.is_sealed(),
            next_recording_id: tail.next.map(Into::into),
            generation: tail.generation.0,
        }
    }
}

impl TryFrom<v1::Tail> for (RecordingId, Tail) {
    type Error = InvalidMessage;
    fn try_from(tail: v1::Tail) -> Result<Self, InvalidMessage> {
        let id = tail.recording_id.parse()?;
        let tail = Tail {
            end: Frame::new(tail.end_frame),
            state: if tail.sealed { State::Sealed } else { State::Open },
            next: tail.next_recording_id.map(|id| id.parse()).transpose()?,
            generation: Generation(tail.generation),
        };
        Ok((id, tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::Durable;

    #[test]
    fn there_and_back() {
        let [id, next] = [1, 2].map(|n| RecordingId::new(1_763_649_000_000, &[n; 10]));
        let end = Durable(Frame::new(u64::MAX));
        for tail in [Tail::open(end, Generation(7)), Tail::sealed(end, Some(next), Generation(8))] {
            assert_eq!(<(RecordingId, Tail)>::try_from(v1::Tail::from((id, tail))), Ok((id, tail)));
        }
        assert!(<(RecordingId, Tail)>::try_from(v1::Tail::default()).is_err());
    }
}
