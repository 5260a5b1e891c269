//! What is known about recordings, as messages.

use livetape_audio::{Drift, StreamName, WallTime};
use livetape_proto::v1;
use livetape_store::{Recording, StreamInfo};

/// A stream.
pub(crate) fn stream(name: &StreamName, info: StreamInfo, latest: Option<&Recording>) -> v1::Stream {
    v1::Stream {
        name: name.to_string(),
        latest: latest.map(recording),
        mode: v1::RecordingMode::from(info.mode).into(),
        waiting: info.waiting,
        silent: info.silent,
        clock_drift_ppb: info.drift.map(Drift::ppb),
    }
}

/// A recording.
pub(crate) fn recording(recording: &Recording) -> v1::Recording {
    v1::Recording {
        id: recording.id.to_string(),
        stream: recording.stream.to_string(),
        spec: Some(recording.spec.into()),
        source: recording.source.to_string(),
        title: recording.title.to_string(),
        notes: recording.notes.to_string(),
        started_at_unix_ns: recording.started.unix_nanos(),
        locked: recording.locked,
        seal: recording.seal.map(|seal| v1::Seal {
            end_frame: seal.end.get(),
            ended_at_unix_ns: seal.ended.unix_nanos(),
            reason: v1::SealReason::from(seal.reason).into(),
            next_recording_id: seal.next.map(Into::into),
            earliest_unix_ns: seal.earliest.map(WallTime::unix_nanos),
        }),
        genre: recording.genre.to_string(),
    }
}
