//! A copy of what a recorder knows: its catalogue, and the tails of what is open. Takes in what is said, by whatever
//! way; not here: the calls by which it is said (`follow`).

use super::wire;
use livetape_audio::{Drift, Frame, RecordingId, StreamName, Tail};
use livetape_proto::v1;
use livetape_proto::v1::watch_catalogue_response::Change;
use livetape_service::TraceContext;
use livetape_store::{Catalogue, Recording, StreamInfo};
use livetape_tail::{MemoryTails, TracedChunk, Watch};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The copy. Kept as it was while the recorder is away.
pub struct CatalogueMirror {
    catalogue: Arc<Catalogue>,
    tails: Arc<MemoryTails>,
    known: Mutex<Known>,
    complete: watch::Sender<bool>,
}

#[derive(Default)]
struct Known {
    all: HashSet<RecordingId>,
    open: HashSet<RecordingId>,
    /// While everything is being said anew: what was not said yet.
    unsaid: Option<HashSet<RecordingId>>,
    /// Likewise, streams of which more was known than their recordings.
    unsaid_streams: HashSet<StreamName>,
}

impl CatalogueMirror {
    pub(crate) fn new(tails: Arc<MemoryTails>) -> Self {
        Self { catalogue: Arc::default(), tails, known: Mutex::default(), complete: watch::Sender::new(false) }
    }

    /// The recordings.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.clone()
    }

    /// Waits until everything was said once. What changed since is there, or on its way.
    pub async fn complete(&self) {
        // The sender lives as long as the mirror.
        _ = self.complete.subscribe().wait_for(|complete| *complete).await;
    }

    /// What grows, as far as is known.
    pub(crate) fn open(&self) -> Vec<RecordingId> {
        self.known().open.iter().copied().collect()
    }

    /// Whether it is known of everything that grows how far.
    pub(crate) fn has_tails(&self) -> bool {
        self.known().open.iter().all(|id| self.tails.watch(*id).is_some())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a change. One that this version does not understand is left out and logged.
    pub(crate) fn change(&self, change: Option<Change>) {
        match change {
            Some(Change::Begins(_)) => {
                let mut known = self.known();
                known.unsaid = Some(known.all.clone());
                known.unsaid_streams = self.catalogue.infos().into_iter().map(|(name, _)| name).collect();
            }
            Some(Change::Recording(said)) => match wire::recording(said) {
                Ok(recording) => self.insert(recording),
                Err(error) => tracing::warn!(%error, "the recorder speaks of a recording that is not understood here"),
            },
            Some(Change::RemovedRecordingId(id)) => match id.parse() {
                Ok(id) => self.remove(id),
                Err(error) => tracing::warn!(%error, "the recorder speaks of a recording that is not understood here"),
            },
            Some(Change::Stream(said)) => self.stream(&said),
            Some(Change::Complete(_)) => {
                let (unsaid, streams) = {
                    let mut known = self.known();
                    (known.unsaid.take(), std::mem::take(&mut known.unsaid_streams))
                };
                unsaid.into_iter().flatten().for_each(|id| self.remove(id));
                streams.iter().for_each(|name| _ = self.catalogue.inform(name, StreamInfo::default()));
                self.complete.send_replace(true);
            }
            None => {}
        }
    }

    fn stream(&self, said: &v1::Stream) {
        let drift = said.clock_drift_ppb.map(Drift::from_ppb);
        let info = StreamInfo { mode: said.mode().into(), waiting: said.waiting, silent: said.silent, drift };
        match said.name.parse() {
            Ok(name) => {
                self.known().unsaid_streams.remove(&name);
                self.catalogue.inform(&name, info);
            }
            Err(error) => tracing::warn!(%error, "the recorder speaks of a stream that is not understood here"),
        }
    }

    fn insert(&self, recording: Recording) {
        let (id, seal) = (recording.id, recording.seal);
        {
            let mut known = self.known();
            known.all.insert(id);
            match seal {
                None => _ = known.open.insert(id),
                Some(_) => _ = known.open.remove(&id),
            }
            if let Some(unsaid) = &mut known.unsaid {
                unsaid.remove(&id);
            }
        }
        // Those who follow it are told, even if its last tail was missed. The catalogue does not know who said it.
        if let Some(mut watch) = self.tails.watch(id)
            && let Some(sealed) = recording.sealed_tail(watch.current().generation)
        {
            self.tails.learn(id, sealed);
        }
        // Much is said again that is known.
        if self.catalogue.get(id).is_none_or(|before| *before != recording) {
            self.catalogue.insert(recording);
        }
        if seal.is_some() {
            livetape_tail::Publisher::forget(&*self.tails, id);
        }
    }

    fn remove(&self, id: RecordingId) {
        let mut known = self.known();
        known.all.remove(&id);
        known.open.remove(&id);
        if let Some(unsaid) = &mut known.unsaid {
            unsaid.remove(&id);
        }
        drop(known);
        self.catalogue.remove(id);
        livetape_tail::Publisher::forget(&*self.tails, id);
    }

    /// Takes in which chunk is in a trace.
    pub(crate) fn traced(&self, said: v1::WatchTracesResponse) {
        let v1::WatchTracesResponse { recording_id, first_frame, traceparent } = said;
        let Ok(recording) = recording_id.parse() else { return };
        if !TraceContext::from_text(&traceparent).is_sampled() {
            return;
        }
        let first = Frame::new(first_frame);
        livetape_tail::Publisher::trace(
            &*self.tails,
            &TracedChunk { recording, first, traceparent: traceparent.into() },
        );
    }

    /// Takes in a tail.
    pub(crate) fn tail(&self, said: v1::Tail) {
        let (id, tail): (RecordingId, Tail) = match said.try_into() {
            Ok(told) => told,
            Err(error) => {
                tracing::warn!(%error, "the recorder tells a tail that is not understood here");
                return;
            }
        };
        let recording = self.catalogue.get(id);
        // Of a sealed one that is not in the catalogue (any more, or yet) the catalogue will tell all that is needed.
        if tail.is_sealed() && recording.is_none() {
            livetape_tail::Publisher::forget(&*self.tails, id);
            return;
        }
        self.tails.learn(id, tail);
        if self.catalogue.get(id).is_some_and(|recording| recording.seal.is_some()) {
            livetape_tail::Publisher::forget(&*self.tails, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> RecordingId {
        RecordingId::new(1_763_649_000_000 + u64::from(n), &[n; 10])
    }

    fn said(n: u8, end: Option<u64>) -> Option<Change> {
        Some(Change::Recording(v1::Recording {
            id: id(n).to_string(),
            stream: "live".into(),
            spec: Some(v1::Spec { format: 1, rate: 8_000, channels: 1, channel_mask: 0 }),
            source: "test".into(),
            seal: end.map(|end| v1::Seal { end_frame: end, reason: 1, ..v1::Seal::default() }),
            ..v1::Recording::default()
        }))
    }

    fn tail(n: u8, end: u64, sealed: bool, generation: u64) -> v1::Tail {
        v1::Tail { recording_id: id(n).to_string(), end_frame: end, sealed, generation, ..v1::Tail::default() }
    }

    fn mirror() -> (CatalogueMirror, Arc<MemoryTails>) {
        let tails = Arc::new(MemoryTails::default());
        (CatalogueMirror::new(tails.clone()), tails)
    }

    fn begins() -> Option<Change> {
        Some(Change::Begins(v1::CatalogueBegins::default()))
    }

    fn complete() -> Option<Change> {
        Some(Change::Complete(v1::CatalogueComplete {}))
    }

    #[tokio::test]
    async fn what_is_not_said_again_is_gone() {
        let (mirror, _) = mirror();
        for change in [begins(), said(1, Some(5)), said(2, None)] {
            mirror.change(change);
        }
        assert!(!*mirror.complete.borrow(), "not yet");
        mirror.change(complete());
        mirror.complete().await;
        assert_eq!((mirror.open(), mirror.has_tails()), (vec![id(2)], false));
        // The recorder was away; it says everything anew, is broken off, and begins once more.
        for change in [begins(), said(2, Some(9)), begins(), said(2, Some(9)), said(3, None)] {
            mirror.change(change);
        }
        assert!(mirror.catalogue.get(id(1)).is_some(), "kept until all was said");
        mirror.change(complete());
        assert!(mirror.catalogue.get(id(1)).is_none() && mirror.catalogue.get(id(2)).is_some());
        mirror.change(Some(Change::RemovedRecordingId(id(2).to_string())));
        assert_eq!(mirror.catalogue.streams().len(), 1);
        assert!(mirror.catalogue.get(id(2)).is_none());
        for odd in
            [None, Some(Change::RemovedRecordingId("x".into())), Some(Change::Recording(v1::Recording::default()))]
        {
            mirror.change(odd);
        }
        assert_eq!(mirror.known().all.len(), 1);
    }

    #[test]
    fn a_chunk_that_is_traced_is_known_and_nonsense_is_not() {
        const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (mirror, tails) = mirror();
        mirror.tail(tail(1, 5, false, 3));
        let watch = tails.watch(id(1)).unwrap();
        let all = Frame::new(0)..Frame::new(u64::MAX);
        let says = |recording_id: &str, first_frame, traceparent: &str| v1::WatchTracesResponse {
            recording_id: recording_id.into(),
            first_frame,
            traceparent: traceparent.into(),
        };
        let ours = id(1).to_string();
        let unsampled = SAMPLED.replace("-01", "-00");
        let odd = [("x", SAMPLED), (&ours, ""), (&ours, "00-1"), (&ours, &unsampled), (&ours, &SAMPLED.repeat(100))];
        for (id, traceparent) in odd {
            mirror.traced(says(id, 7, traceparent));
            assert_eq!(watch.traced(&all), None, "{traceparent}");
        }
        mirror.traced(says(&id(2).to_string(), 7, SAMPLED));
        mirror.traced(says(&ours, 7, SAMPLED));
        let chunk = watch.traced(&all).unwrap();
        assert_eq!((chunk.recording, chunk.first, &*chunk.traceparent), (id(1), Frame::new(7), SAMPLED));
        assert_eq!(watch.traced(&(Frame::new(0)..Frame::new(7))), None);
    }

    #[tokio::test]
    async fn a_seal_reaches_those_who_follow_by_whatever_way_it_comes() {
        let (mirror, tails) = mirror();
        mirror.change(said(1, None));
        mirror.tail(tail(1, 5, false, 3));
        assert!(mirror.has_tails());
        let mut follower = tails.watch(id(1)).unwrap();
        assert_eq!(follower.current().end, Frame::new(5));
        mirror.tail(tail(1, 4, false, 2));
        assert_eq!(follower.current().end, Frame::new(5), "never back");
        // Its last tail was missed.
        mirror.change(said(1, Some(8)));
        assert!(follower.changed().await);
        assert!(follower.current().is_sealed() && follower.current().end == Frame::new(8));
        // Late news of it, and of one that is not there, leave nothing behind.
        mirror.tail(tail(1, 8, true, 3));
        mirror.tail(tail(2, 8, true, 3));
        mirror.tail(tail(3, 8, false, 3));
        mirror.tail(tail(3, 9, true, 3));
        mirror.tail(v1::Tail::default());
        assert!(tails.is_empty());
    }
}
