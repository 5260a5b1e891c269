//! Event streams: how far recordings are, for pages and scripts that would otherwise ask all the time.

use crate::body::watched;
use crate::context::{Context, Room};
use crate::gate::Asker;
use crate::levels::{Level, Measured, News};
use crate::listing::seconds;
use crate::live;
use crate::pulse::{Status, StreamState};
use crate::query::{EventsAddress, Query};
use crate::reply::{Reply, empty};
use crate::request::{Path, Request};
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures::stream::{StreamExt, unfold};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use livetape_access::Caller;
use livetape_audio::{Frame, RecordingId, StreamName, WallTime};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How often something is sent when nothing happens, so that a dead connection is noticed: by the gateway, which writes in vain, and
/// by the client, which is told what it may expect. A comment would do for the first, but scripts are not shown those.
const BEAT: Duration = Duration::from_secs(5);

/// `GET /events`.
pub(crate) async fn all(
    State(context): State<Arc<Context>>,
    Asker(caller): Asker,
    Query(address): Query<EventsAddress>,
    request: Request,
) -> Reply {
    events(&context, &request, caller, None, address)
}

/// `GET /streams/{stream}/events`.
pub(crate) async fn of_stream(
    State(context): State<Arc<Context>>,
    Path(stream): Path<StreamName>,
    Asker(caller): Asker,
    Query(address): Query<EventsAddress>,
    request: Request,
) -> Reply {
    live::known(&context, &stream)?;
    events(&context, &request, caller, Some(stream), address)
}

fn events(
    context: &Context,
    request: &Request,
    caller: Caller,
    only: Option<StreamName>,
    address: EventsAddress,
) -> Reply {
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    request.mark_unbounded(&mut headers);
    if request.head {
        return Ok((headers, empty()).into_response());
    }
    let room = request.room_for_events(context)?;
    let (levels, measured) = address.levels.then(|| context.levels.follow(only.as_ref())).unzip();
    let feed = EventFeed {
        news: context.pulses.news(),
        only,
        caller,
        told: HashMap::new(),
        queue: VecDeque::from([Bytes::from_static(b"retry: 2000\n\n"), beat()]),
        drain: context.drain.clone(),
        levels,
        _measured: measured.flatten(),
        _room: room,
    };
    let events = unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let events = watched(events.boxed(), request.connection.body(true));
    Ok((headers, Body::from_stream(events)).into_response())
}

struct EventFeed {
    news: watch::Receiver<Arc<HashMap<StreamName, Status>>>,
    only: Option<StreamName>,
    caller: Caller,
    told: HashMap<StreamName, (RecordingId, Frame, StreamState)>,
    queue: VecDeque<Bytes>,
    drain: tokio_util::sync::CancellationToken,
    levels: Option<watch::Receiver<News>>,
    _measured: Option<Measured>,
    _room: Room,
}

impl EventFeed {
    async fn next(&mut self) -> Option<Bytes> {
        let due = Instant::now() + BEAT;
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                levels = moved(&mut self.levels) => {
                    let levels = levels?;
                    self.tell(&levels);
                    continue;
                }
                () = sleep_until(due) => return Some(beat()),
                () = self.drain.cancelled() => return None,
            }
            let news = self.news.borrow_and_update().clone();
            self.take_in(&news);
        }
    }

    fn wants(&self, stream: &StreamName) -> bool {
        self.only.as_ref().is_none_or(|only| only == stream) && self.caller.sees(stream)
    }

    fn tell(&mut self, levels: &HashMap<StreamName, Arc<Level>>) {
        for (stream, level) in levels {
            if self.wants(stream) {
                let data = serde_json::to_string(&**level).unwrap_or_default();
                self.queue.push_back(Bytes::from(format!("event: level\ndata: {data}\n\n")));
            }
        }
    }

    fn take_in(&mut self, news: &HashMap<StreamName, Status>) {
        self.told.retain(|stream, _| news.contains_key(stream));
        for (stream, status) in news {
            let now = (status.recording.id, status.end, status.state);
            if self.wants(stream) && self.told.get(stream) != Some(&now) {
                self.told.insert(stream.clone(), now);
                self.queue.push_back(event(stream, status));
            }
        }
    }
}

/// The newest levels; never, where nobody wants them.
async fn moved(levels: &mut Option<watch::Receiver<News>>) -> Option<News> {
    let Some(levels) = levels else { return std::future::pending().await };
    levels.changed().await.ok()?;
    Some(levels.borrow_and_update().clone())
}

/// `data` of an event: how far the newest recording of a stream goes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StreamEvent")]
pub(crate) struct Told {
    stream: StreamName,
    recording: RecordingId,
    frames: Frame,
    seconds: f64,
    state: StreamState,
    /// Time of day of the tail; null while it is not known.
    time: Option<WallTime>,
    /// What is playing there, as far as the source has said.
    playing: Option<String>,
}

/// `data` of a beat: something comes after so many seconds at the latest.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Beat")]
pub(crate) struct Beat {
    seconds: u64,
}

fn beat() -> Bytes {
    let data = serde_json::to_string(&Beat { seconds: BEAT.as_secs() }).unwrap_or_default();
    Bytes::from(format!("event: beat\ndata: {data}\n\n"))
}

fn event(stream: &StreamName, status: &Status) -> Bytes {
    let told = Told {
        stream: stream.clone(),
        recording: status.recording.id,
        frames: status.end,
        seconds: seconds(status.recording.spec, status.end.since(Frame::ZERO)),
        state: status.state,
        time: status.time,
        playing: status.playing.clone(),
    };
    let data = serde_json::to_string(&told).unwrap_or_default();
    Bytes::from(format!("id: {}\ndata: {data}\n\n", status.end))
}
