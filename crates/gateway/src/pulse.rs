//! Whether sources are there. A tail says how far a recording goes, not since when: here it is looked at four times a
//! second, so that a listener who joins a stream without a source is told at once, and event streams have news.

use crate::context::Context;
use crate::library::Library;
use crate::listing::title;
use livetape_audio::{Frame, RecordingId, StreamName, Tail, WallTime};
use livetape_store::{Recording, StreamInfo};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often the tails are looked at, and so the most events of one recording in a second.
const TICK: Duration = Duration::from_millis(250);

/// What a stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StreamState {
    /// Frames come.
    Live,
    /// Frames come, and for 10 s at least all of them have been silence: below -60 dBFS.
    Silent,
    /// The recording is open; its source is away.
    Waiting,
    /// The recording is sealed.
    Ended,
    /// A source is there, and nothing is recorded until somebody begins.
    Idle,
}

impl StreamState {
    /// The same, where one knows what is heard of it.
    pub(crate) const fn heard(self, info: StreamInfo) -> Self {
        match self {
            Self::Live if info.silent => Self::Silent,
            state => state,
        }
    }
}

/// The newest about one stream.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) recording: Arc<Recording>,
    pub(crate) end: Frame,
    pub(crate) state: StreamState,
    /// Time of day of the tail.
    pub(crate) time: Option<WallTime>,
    /// What is playing there.
    pub(crate) playing: Option<String>,
}

/// How far a recording was seen to go.
struct Seen {
    end: Frame,
    /// When it got there; `None` if that was before anybody looked.
    since: Option<Instant>,
}

/// Since when each open recording stands still, and the news for event streams.
pub(crate) struct Pulses {
    seen: Mutex<HashMap<RecordingId, Seen>>,
    away: Duration,
    news: watch::Sender<Arc<HashMap<StreamName, Status>>>,
}

impl Seen {
    fn moved_within(&self, time: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() < time)
    }
}

impl Pulses {
    /// A source counts as away after `away` without a new frame.
    pub(crate) fn new(away: Duration) -> Self {
        Self { seen: Mutex::default(), away, news: watch::Sender::default() }
    }

    /// Takes in what there is already. It waits until its tail moves: its source may have gone long ago. What comes later
    /// begins with its source.
    pub(crate) fn begin(&self, library: &dyn Library) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for recording in library.catalogue().streams().iter().filter_map(|stream| library.catalogue().latest(stream)) {
            if let Some(mut tail) = library.tail(recording.id) {
                seen.insert(recording.id, Seen { end: tail.current().end, since: None });
            }
        }
    }

    /// What the recording does, which has this tail now; `None` if nobody knows its tail.
    pub(crate) fn state(&self, id: RecordingId, tail: Option<Tail>) -> StreamState {
        let Some(tail) = tail else { return StreamState::Waiting };
        if tail.is_sealed() {
            return StreamState::Ended;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = || Seen { end: tail.end, since: Some(Instant::now()) };
        let seen = seen.entry(id).or_insert_with(now);
        if seen.end != tail.end {
            *seen = now();
        }
        if seen.moved_within(self.away) { StreamState::Live } else { StreamState::Waiting }
    }

    /// Follows the newest about all streams.
    pub(crate) fn news(&self) -> watch::Receiver<Arc<HashMap<StreamName, Status>>> {
        self.news.subscribe()
    }
}

/// Looks at the tails until the gateway drains.
pub(crate) async fn watch(context: Arc<Context>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while context.drain.run_until_cancelled(tick.tick()).await.is_some() {
        look(&context).await;
    }
}

async fn look(context: &Context) {
    let (library, pulses) = (&context.library, &context.pulses);
    let listened_to = pulses.news.receiver_count() > 0;
    let mut news = HashMap::new();
    for stream in library.catalogue().streams() {
        let Some(recording) = library.catalogue().latest(&stream) else { continue };
        let tail = library.tail(recording.id).map(|mut watch| watch.current());
        let state = pulses.state(recording.id, tail).heard(library.catalogue().info(&stream));
        if listened_to {
            let status = status(context, &stream, recording, tail, state).await;
            news.insert(stream, status);
        }
    }
    if listened_to {
        pulses.news.send_replace(Arc::new(news));
    }
    pulses.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, seen| {
        seen.moved_within(pulses.away) || library.catalogue().get(*id).is_some_and(|r| r.seal.is_none())
    });
}

async fn status(
    context: &Context,
    stream: &StreamName,
    recording: Arc<Recording>,
    tail: Option<Tail>,
    state: StreamState,
) -> Status {
    let end = tail.map_or(Frame::ZERO, |t| t.end);
    let before = context.pulses.news.borrow().get(stream).cloned();
    if let Some(before) = before.filter(|b| b.recording.id == recording.id && b.end == end && b.time.is_some()) {
        let playing = before.playing.clone().filter(|_| state != StreamState::Ended);
        return Status { recording, state, playing, ..before };
    }
    let timeline = match tail {
        Some(tail) => context.library.timeline(recording.clone(), tail).await.ok(),
        None => None,
    };
    let time = timeline.as_ref().and_then(|timeline| timeline.time_of(end));
    let playing = timeline.filter(|_| state != StreamState::Ended).and_then(|timeline| title(&timeline, end));
    Status { recording, end, state, time, playing }
}
