//! Recording on demand: whether a source that opens a stream has to wait until somebody begins a recording.
//!
//! What is open on disk is what was begun, so nothing else has to be remembered: a recorder that is started again goes on
//! with what was being recorded, and begins nothing. Not here: the waiting (`stream/standby`).

use livetape_audio::{RecordingId, RecordingMode, SealReason};
use livetape_proto::Opening;
use livetape_store::Recording;

/// Whether the source waits, if nothing is open. `latest` is the newest recording of the stream; `leads` says whether the
/// recording in which the source counts has rolled into that one.
///
/// A source that was away for longer than it was waited for, and comes back with what it has captured since, goes on: what
/// somebody has begun nobody has ended.
pub(crate) fn waits(
    mode: RecordingMode,
    latest: Option<&Recording>,
    opening: &Opening,
    leads: impl FnOnce(RecordingId, RecordingId) -> bool,
) -> bool {
    let goes_on = move |latest: &Recording| {
        latest.seal.is_some_and(|seal| seal.reason == SealReason::SourceLost)
            && latest.instance == opening.instance
            && opening.resume.is_some_and(|from| leads(from, latest.id))
    };
    mode == RecordingMode::OnDemand && !latest.is_some_and(goes_on)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{Epoch, Frame, Instance, RecordingId, SampleFormat, Spec, WallTime};
    use livetape_store::Seal;

    fn id(n: u8) -> RecordingId {
        RecordingId::new(1_763_649_000_000 + u64::from(n), &[n; 10])
    }

    fn spec() -> Spec {
        Spec::new(SampleFormat::S16, 48_000, 2).unwrap()
    }

    fn opening(instance: u8, resume: Option<RecordingId>) -> Opening {
        let instance = Instance([instance; 16]);
        let (stream, source) = ("court-1".parse().unwrap(), "test".parse().unwrap());
        Opening {
            stream,
            source,
            instance,
            spec: spec(),
            resume,
            title: Default::default(),
            genre: Default::default(),
            ending: false,
        }
    }

    fn sealed(instance: u8, reason: SealReason) -> Recording {
        let Opening { stream, source, instance, spec, title, genre, .. } = opening(instance, None);
        let (time, end) = (WallTime::default(), Frame::new(9));
        Recording {
            id: id(1),
            stream,
            spec,
            source,
            title,
            started: time,
            epoch: Epoch(1),
            instance,
            segment_frames: Recording::default_segment_frames(spec),
            seal: Some(Seal { end, earliest: None, ended: time, reason, next: None }),
            notes: Default::default(),
            locked: false,
            titled: false,
            genre,
        }
    }

    fn same(from: RecordingId, to: RecordingId) -> bool {
        from == to
    }

    #[test]
    fn a_recording_that_rolled_while_its_source_did_not_know_goes_on() {
        let rolled = Recording {
            seal: sealed(1, SealReason::Rolled).seal.map(|s| Seal { next: Some(id(2)), ..s }),
            ..sealed(1, SealReason::Rolled)
        };
        let lost = Recording { id: id(2), ..sealed(1, SealReason::SourceLost) };
        let catalogue = livetape_store::Catalogue::default();
        catalogue.insert(rolled);
        catalogue.insert(lost.clone());
        let waits = |opening: Opening| {
            let leads = |from, to| crate::tape::leads(&catalogue, &opening, from, to);
            super::waits(RecordingMode::OnDemand, Some(&lost), &opening, leads)
        };
        assert!(!waits(opening(1, Some(id(1)))), "it counts in the first, which rolled into the last");
        assert!(!waits(opening(1, Some(id(2)))));
        assert!(waits(opening(1, Some(id(3)))), "one that is gone");
        assert!(waits(opening(2, Some(id(1)))), "another source");
    }

    #[test]
    fn nothing_begins_by_itself() {
        assert!(!waits(RecordingMode::Always, None, &opening(1, None), same));
        assert!(waits(RecordingMode::OnDemand, None, &opening(1, None), same));
        for reason in [SealReason::Operator, SealReason::SourceEnded, SealReason::Rolled, SealReason::SpecChanged] {
            let latest = sealed(1, reason);
            assert!(waits(RecordingMode::OnDemand, Some(&latest), &opening(1, Some(id(1))), same), "{reason:?}");
        }
    }

    #[test]
    fn what_nobody_has_ended_goes_on_for_the_same_source_alone() {
        let lost = sealed(1, SealReason::SourceLost);
        let waits = |opening| waits(RecordingMode::OnDemand, Some(&lost), &opening, same);
        assert!(!waits(opening(1, Some(id(1)))));
        assert!(waits(opening(2, Some(id(1)))), "another source");
        assert!(waits(opening(1, None)), "one that has forgotten");
        assert!(waits(opening(1, Some(id(2)))), "a later recording was deleted");
    }
}
