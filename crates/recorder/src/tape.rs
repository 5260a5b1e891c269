//! What a stream's task does with tapes besides appending: make one, change its identity, find the way from one to
//! the next. Everything that touches the disk runs on the blocking pool.

use crate::stream::Shared;
use livetape_audio::{Durable, Epoch, Frame, FrameCount, RecordingId, SealReason, Tail, WallTime};
use livetape_proto::Opening;
use livetape_store::{Catalogue, Recording, StoreError, TapeWriter};
use std::sync::Arc;
use std::time::SystemTime;

/// Most recordings that a source may have missed while it was away.
const MAX_HOPS: usize = 64;

/// Why a stream cannot be opened now.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The disk is full.
    #[error("{0}")]
    Full(String),
    /// The disk failed, or the recorder is stopping.
    #[error("{0}")]
    Unavailable(String),
    /// The recorder has as many streams as it may.
    #[error("{0}")]
    TooMany(String),
    /// The recorder keeps as many recordings as it may.
    #[error("{0}")]
    TooManyRecordings(String),
    /// Sources may not open this stream.
    #[error("{0}")]
    Forbidden(String),
}

impl OpenError {
    /// What never should be.
    pub(crate) fn nothing_open() -> Self {
        Self::Unavailable("the stream has no open recording".into())
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        if error.is_full() { Self::Full(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}

/// The recorder's clock: for ids and events. The time of day of frames comes from their source.
pub(crate) fn now() -> WallTime {
    let nanos = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_nanos());
    WallTime::from_unix_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Does something to a tape where blocking is allowed.
pub(crate) async fn blocking<R: Send + 'static>(
    mut tape: TapeWriter,
    work: impl FnOnce(&mut TapeWriter) -> R + Send + 'static,
) -> anyhow::Result<(TapeWriter, R)> {
    Ok(tokio::task::spawn_blocking(move || {
        let outcome = work(&mut tape);
        (tape, outcome)
    })
    .await?)
}

/// Makes an empty recording, which nobody knows of yet.
pub(crate) async fn create(
    shared: &Arc<Shared>,
    opening: Opening,
    epoch: Epoch,
) -> anyhow::Result<Result<TapeWriter, StoreError>> {
    let started = now();
    // Ids of a stream rise even when the clock is set back: listings go by them.
    let last = shared.archive.latest(&opening.stream).map_or(0, |last| last.id.unix_millis() + 1);
    let mut random = [0; 10];
    random.copy_from_slice(&uuid::Uuid::new_v4().into_bytes()[..10]);
    let recording = Recording {
        id: RecordingId::new(started.unix_millis().max(last), &random),
        stream: opening.stream,
        spec: opening.spec,
        source: opening.source,
        title: opening.title,
        started,
        epoch,
        instance: opening.instance,
        segment_frames: Recording::default_segment_frames(opening.spec),
        seal: None,
        notes: Default::default(),
        locked: false,
        titled: false,
        genre: opening.genre,
    };
    let dir = shared.dir.clone();
    Ok(tokio::task::spawn_blocking(move || TapeWriter::create(&dir, recording)).await?)
}

/// Makes a new recording known.
pub(crate) fn introduce(shared: &Shared, recording: &Recording) {
    shared.tails.publish(recording.id, Tail::open(Durable(Frame::ZERO), shared.dir.generation()));
    shared.archive.insert(recording.clone());
}

/// Seals a tape. The end is told by the clock of its source, like everything on its timeline.
pub(crate) fn seal(tape: &mut TapeWriter, why: SealReason, next: Option<RecordingId>) -> Result<Recording, StoreError> {
    let ended = tape.timeline().latest_before(tape.durable().end()).unwrap_or_else(now);
    tape.seal(why, next, ended)
}

/// Makes known that a recording is sealed: first to those who listen, then to those who ask.
pub(crate) fn announce(shared: &Shared, sealed: Recording) {
    let Some(seal) = &sealed.seal else { return };
    let tail = Tail::sealed(Durable(seal.end), seal.next, shared.dir.generation());
    tracing::info!(stream = %sealed.stream, recording = %sealed.id, end = %seal.end, reason = seal.reason.as_str(), "sealed");
    shared.instruments.sealed(seal.reason);
    let id = sealed.id;
    shared.tails.publish(id, tail);
    shared.archive.insert(sealed);
    shared.tails.forget(id);
}

/// How far a source's frames are durable, in the numbers of the recording by which it counts. In `current`, which is open
/// now, its frames end at `wrote`. A recording that was sealed without a next one leads to any later one.
///
/// `None` if the way there is not known, or leads through recordings that somebody else has written to since: then what
/// the source holds is sent twice rather than lost.
pub(crate) fn resume(
    catalogue: &Catalogue,
    opening: &Opening,
    current: RecordingId,
    wrote: Option<Frame>,
) -> Option<Frame> {
    let from = opening.resume?;
    if from == current {
        return wrote;
    }
    let (mut id, mut before) = (from, FrameCount::ZERO);
    for _ in 0..MAX_HOPS {
        if id == current {
            return Some(wrote.unwrap_or(Frame::ZERO) + before);
        }
        let ours = |r: &Arc<Recording>| r.stream == opening.stream && r.instance == opening.instance;
        let seal = catalogue.get(id).filter(ours)?.seal?;
        before = before + seal.end.since(Frame::ZERO);
        id = seal.next.unwrap_or(current);
    }
    None
}

/// Where the recordings of a source end, in the numbers of the one by which it counts, if it has said that it ends and the
/// last of them is sealed for that reason: then its End has arrived, and all that it sent before is durable.
pub(crate) fn ended(catalogue: &Catalogue, opening: &Opening) -> Option<Frame> {
    let (mut id, mut end) = (opening.resume.filter(|_| opening.ending)?, Frame::ZERO);
    for _ in 0..MAX_HOPS {
        let ours = |r: &Arc<Recording>| r.stream == opening.stream && r.instance == opening.instance;
        let seal = catalogue.get(id).filter(ours)?.seal?;
        end = end + seal.end.since(Frame::ZERO);
        match seal.next {
            Some(next) => id = next,
            None => return (seal.reason == SealReason::SourceEnded).then_some(end),
        }
    }
    None
}

/// Whether the recording `from` is `to`, or has rolled into it, and all on the way are the source's own.
pub(crate) fn leads(catalogue: &Catalogue, opening: &Opening, from: RecordingId, to: RecordingId) -> bool {
    let ours = |r: &Arc<Recording>| r.stream == opening.stream && r.instance == opening.instance;
    let next = |id: &RecordingId| catalogue.get(*id).filter(ours)?.seal?.next;
    std::iter::successors(Some(from), next).take(MAX_HOPS).any(|id| id == to)
}
