//! What is done to recordings from outside: the open ones through their stream's task, the finished ones here, one at a
//! time. Once begun it is done to its end, whether or not somebody still waits for the answer; what is not begun when nobody
//! does any more is left. Whoever asks has to wait to the end, for what comes after: not in a caller's own future.

use crate::stream::{Shared, is_news, marks};
use crate::streams::Streams;
use crate::tape;
use crate::wish::{Done, MAX_MARKS, Refused, Wish};
use livetape_audio::{Entry, Event, EventKind, Frame, FrameCount, Mark, RecordingId, SealReason, StreamName, Title};
use livetape_store::{Edit, Query, Recording};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// How often a recording may turn out to be sealed, or not to be, while it is looked for.
const TRIES: usize = 3;
/// Recordings of a stream that are looked at together.
const PAGE: usize = 256;

/// Clones share it.
#[derive(Clone)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    streams: Arc<Streams>,
    /// Whoever changes a finished recording holds it.
    one: Arc<Mutex<()>>,
    /// Cancelled when nobody waits for the answer any more.
    gone: CancellationToken,
}

/// How many recordings of a stream went and stayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) removed: u32,
    pub(crate) kept: u32,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, streams: Arc<Streams>) -> Self {
        Self { shared, streams, one: Arc::default(), gone: CancellationToken::new() }
    }

    /// The same for somebody who may go away.
    pub(crate) fn asked_by(&self, gone: CancellationToken) -> Self {
        Self { gone, ..self.clone() }
    }

    /// The newest recording of a stream.
    pub(crate) fn latest(&self, stream: &StreamName) -> Option<Arc<Recording>> {
        self.shared.archive.latest(stream)
    }

    fn find(&self, id: RecordingId) -> Result<Arc<Recording>, Refused> {
        self.shared.archive.get(id).ok_or(Refused::Gone(id))
    }

    /// Asks the open recording of a stream.
    pub(crate) async fn ask(&self, stream: &StreamName, of: Option<RecordingId>, wish: Wish) -> Result<Done, Refused> {
        self.streams.operate(stream, of, wish, self.gone.clone()).await
    }

    /// Does it to the open recording, or, if it is finished, here.
    async fn either<R: Send + 'static>(
        &self,
        id: RecordingId,
        wish: Wish,
        done: impl Fn(Done) -> Option<R>,
        finished: impl FnOnce(&Shared, &Recording) -> Result<R, Refused> + Send + 'static,
    ) -> Result<R, Refused> {
        for _ in 0..TRIES {
            let recording = self.find(id)?;
            if recording.seal.is_some() {
                return self.finished(id, finished).await;
            }
            match self.ask(&recording.stream, Some(id), wish.clone()).await {
                Err(Refused::NotOpen) => {}
                outcome => return outcome.and_then(|outcome| done(outcome).ok_or(Refused::NotOpen)),
            }
        }
        Err(Refused::Unavailable(format!("recording {id} is open, but nobody is writing it")))
    }

    /// Does it to a finished recording.
    async fn finished<R: Send + 'static>(
        &self,
        id: RecordingId,
        work: impl FnOnce(&Shared, &Recording) -> Result<R, Refused> + Send + 'static,
    ) -> Result<R, Refused> {
        let keeper = self.clone();
        let working = tokio::task::spawn_blocking(move || {
            let _one = keeper.one.lock().unwrap_or_else(PoisonError::into_inner);
            if keeper.gone.is_cancelled() {
                return Err(Refused::Unavailable("whoever asked has gone".into()));
            }
            // It may have been deleted while this waited.
            work(&keeper.shared, keeper.find(id)?.as_ref())
        });
        working.await.unwrap_or_else(|e| Err(Refused::Unavailable(e.to_string())))
    }

    /// Changes what is said about a recording.
    pub(crate) async fn edit(&self, id: RecordingId, edit: Edit) -> Result<Arc<Recording>, Refused> {
        let done = |done| if let Done::Edited(recording) = done { Some(recording) } else { None };
        let wish = Wish::Edit(edit.clone());
        self.either(id, wish, done, move |shared, recording| {
            let edited = shared.dir.edit(&recording.stream, id, edit)?;
            shared.archive.insert(edited.clone());
            Ok(Arc::new(edited))
        })
        .await
    }

    /// Puts a mark on a timeline; at the newest frame, if none is given.
    pub(crate) async fn mark(&self, id: RecordingId, frame: Option<Frame>, text: Title) -> Result<Frame, Refused> {
        let done = |done| if let Done::Marked(frame) = done { Some(frame) } else { None };
        let wish = Wish::Mark { frame, text: text.clone() };
        self.either(id, wish, done, move |shared, recording| {
            let end = recording.seal.map_or(Frame::ZERO, |seal| seal.end);
            let frame = frame.unwrap_or(end.back(FrameCount::new(1)));
            if marks(&shared.dir.entries(&recording.stream, id)?) >= MAX_MARKS {
                return Err(Refused::TooManyMarks);
            }
            shared.dir.annotate(&recording.stream, id, &Entry::Mark(Mark { frame, text }))?;
            shared.archive.changes.touch(id);
            Ok(frame)
        })
        .await
    }

    /// Says on a timeline what happened: at the newest frame.
    pub(crate) async fn note(&self, id: RecordingId, kind: EventKind, detail: String) -> Result<(), Refused> {
        let done = |done| matches!(done, Done::Noted).then_some(());
        let wish = Wish::Note { kind, detail: detail.clone() };
        self.either(id, wish, done, move |shared, recording| {
            let frame = recording.seal.map_or(Frame::ZERO, |seal| seal.end);
            let event = Event { frame, time: tape::now(), kind, detail };
            if is_news(&event, &shared.dir.entries(&recording.stream, id)?) {
                shared.dir.annotate(&recording.stream, id, &Entry::Event(event))?;
                shared.archive.changes.touch(id);
            }
            Ok(())
        })
        .await
    }

    /// Says what happened to a stream: on the timeline of its newest recording, and if there is none, on that of the next.
    pub(crate) async fn tell(&self, stream: &StreamName, kind: EventKind, detail: String) {
        if let Some(newest) = self.latest(stream) {
            match self.note(newest.id, kind, detail.clone()).await {
                Ok(()) => return,
                Err(Refused::Gone(_)) => {}
                Err(error) => {
                    tracing::warn!(%stream, recording = %newest.id, %error, "{detail}: this stands in the log alone");
                    return;
                }
            }
        }
        self.shared.unsaid.keep(stream, kind, detail, tape::now());
    }

    /// Seals a recording, if it is open. One that was sealed because its source was lost is ended for good from then on: a
    /// source that comes back does not go on with it.
    pub(crate) async fn seal(&self, id: RecordingId, idle: bool) -> Result<Arc<Recording>, Refused> {
        let done = |done| if let Done::Sealed(recording, _) = done { Some(recording) } else { None };
        self.either(id, Wish::Seal { idle }, done, move |shared, recording| {
            if recording.seal.is_none_or(|seal| seal.reason != SealReason::SourceLost) {
                return Ok(Arc::new(recording.clone()));
            }
            let ended = shared.dir.edit(&recording.stream, id, Edit { ended: true, ..Edit::default() })?;
            shared.archive.insert(ended.clone());
            Ok(Arc::new(ended))
        })
        .await
    }

    /// Deletes a finished recording that is not locked.
    pub(crate) async fn delete(&self, id: RecordingId) -> Result<(), Refused> {
        let deleted = self.finished(id, move |shared, recording| {
            match recording {
                Recording { seal: None, .. } => return Err(Refused::Open(id)),
                Recording { locked: true, .. } => return Err(Refused::Locked(id)),
                _ => {}
            }
            let deleted = shared.dir.delete(&recording.stream, id)?;
            shared.archive.remove(id);
            tracing::info!(stream = %recording.stream, recording = %id, "deleted");
            // Nobody can find it any more, so this need not be waited for by others, but space is free only then.
            if let Err(error) = deleted.purge() {
                tracing::error!(recording = %id, %error, "its files are still there; the next start removes them");
            }
            Ok(())
        });
        deleted.await
    }

    /// Deletes all recordings of a stream that are not locked, until `stop`. How many went counts in any case.
    pub(crate) async fn delete_stream(
        &self,
        stream: &StreamName,
        stop: &CancellationToken,
    ) -> (Removed, Result<(), Refused>) {
        let mut count = Removed::default();
        if self.gone.is_cancelled() {
            return (count, Err(Refused::Unavailable("whoever asked has gone".into())));
        }
        // From here on it is begun.
        let outcome = self.asked_by(CancellationToken::new()).delete_all(stream, stop, &mut count).await;
        (count, outcome)
    }

    async fn delete_all(
        &self,
        stream: &StreamName,
        stop: &CancellationToken,
        count: &mut Removed,
    ) -> Result<(), Refused> {
        let mut query = Query { stream: Some(stream.clone()), limit: PAGE, ..Query::default() };
        if let Some(open) = self.shared.archive.latest(stream).filter(|latest| latest.seal.is_none()) {
            self.seal(open.id, true).await?;
        }
        loop {
            let page = self.shared.archive.all.list(&query);
            for recording in page.recordings {
                if stop.is_cancelled() {
                    let text =
                        format!("the recorder is stopping; {} recordings of {stream} are deleted", count.removed);
                    return Err(Refused::Unavailable(text));
                }
                match self.delete(recording.id).await {
                    Ok(()) => count.removed += 1,
                    Err(Refused::Locked(_) | Refused::Open(_)) => count.kept += 1,
                    Err(Refused::Gone(_)) => {}
                    Err(refused) => return Err(refused),
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(());
            }
        }
    }
}
