//! A recording, from what the recorder says about it.

use livetape_audio::{Epoch, Frame, Instance, Spec, WallTime};
use livetape_proto::{InvalidMessage, v1};
use livetape_store::{Recording, Seal};

/// What a recorder says about a recording. How its files are cut and who may write them is not part of it: who
/// needs that reads it from the folder.
pub(crate) fn recording(said: v1::Recording) -> Result<Recording, InvalidMessage> {
    let spec: Spec = said.spec.ok_or(InvalidMessage::Missing("recording.spec"))?.try_into()?;
    Ok(Recording {
        id: said.id.parse()?,
        stream: said.stream.parse()?,
        spec,
        source: said.source.parse()?,
        title: said.title.parse()?,
        started: WallTime::from_unix_nanos(said.started_at_unix_ns),
        epoch: Epoch::default(),
        instance: Instance::default(),
        segment_frames: Recording::default_segment_frames(spec),
        seal: said.seal.map(seal).transpose()?,
        notes: said.notes.parse()?,
        locked: said.locked,
        titled: false,
        genre: said.genre.parse()?,
    })
}

fn seal(said: v1::Seal) -> Result<Seal, InvalidMessage> {
    Ok(Seal {
        end: Frame::new(said.end_frame),
        earliest: said.earliest_unix_ns.map(WallTime::from_unix_nanos),
        ended: WallTime::from_unix_nanos(said.ended_at_unix_ns),
        reason: said.reason().into(),
        next: said.next_recording_id.map(|id| id.parse()).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{RecordingId, SealReason};

    fn said() -> v1::Recording {
        v1::Recording {
            id: RecordingId::new(1_763_649_000_000, &[1; 10]).to_string(),
            stream: "live".into(),
            spec: Some(v1::Spec { format: 1, rate: 48_000, channels: 2, channel_mask: 0 }),
            source: "test".into(),
            title: "Studio A".into(),
            notes: "two\nlines".into(),
            locked: true,
            started_at_unix_ns: 7,
            seal: Some(v1::Seal { end_frame: 9, ended_at_unix_ns: 8, reason: 3, ..v1::Seal::default() }),
            genre: "Jazz".into(),
        }
    }

    #[test]
    fn what_is_said_is_known() {
        let known = recording(said()).unwrap();
        assert_eq!((known.stream.as_str(), known.title.as_str(), known.genre.as_str()), ("live", "Studio A", "Jazz"));
        assert_eq!((known.notes.as_str(), known.locked), ("two\nlines", true));
        assert_eq!(known.started, WallTime::from_unix_nanos(7));
        let seal = known.seal.unwrap();
        assert_eq!((seal.end, seal.reason, seal.next), (Frame::new(9), SealReason::Rolled, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        type Break = fn(&mut v1::Recording);
        let cases: [(Break, &str); 6] = [
            (|r| r.id = "x".into(), "recording id"),
            (|r| r.stream = "../etc".into(), "stream name"),
            (|r| r.spec = None, "spec"),
            (|r| r.title = "x".repeat(1_000), "title"),
            (|r| r.genre = "a\nb".into(), "title"),
            (
                |r| r.seal = Some(v1::Seal { next_recording_id: Some("x".into()), ..v1::Seal::default() }),
                "recording id",
            ),
        ];
        for (break_it, word) in cases {
            let mut broken = said();
            break_it(&mut broken);
            let error = recording(broken).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
