//! Streams, recordings and timelines as JSON.

use crate::context::Context;
use crate::gate::Asker;
use crate::live;
use crate::problem::Problem;
use crate::pulse::StreamState;
use crate::query::{EntriesAddress, ListAddress, Plain, Query, StreamsAddress};
use crate::recording;
use crate::rendition::RenditionItem;
use crate::reply::{Reply, json};
use crate::request::Path;
use axum::extract::State;
use livetape_audio::{
    Drift, Entry, Frame, FrameCount, Moment, RecordingId, RecordingMode, Spec, StreamName, Tail, Timeline, ViewAddress,
    WallTime,
};
use livetape_store::{Recording, Seal, earliest};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// A page of streams, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Streams")]
pub(crate) struct StreamsPage {
    streams: Vec<StreamItem>,
    /// Goes into `after` of the next request; null if this is all.
    next: Option<StreamName>,
}

/// A page of recordings, oldest first. It may be shorter than was asked for, and still not the last.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Recordings")]
pub(crate) struct RecordingsPage {
    recordings: Vec<RecordingItem>,
    /// Goes into `after` of the next request; null if this is all.
    next: Option<RecordingId>,
}

/// A page of a timeline.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Timeline")]
pub(crate) struct TimelinePage {
    recording: RecordingId,
    spec: Spec,
    tail: TailItem,
    entries: Vec<Entry>,
    /// Goes into `after` of the next request; null if this is all.
    next: Option<usize>,
}

/// How far a recording goes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tail")]
struct TailItem {
    frames: Frame,
    state: livetape_audio::State,
    /// The recording that goes on where this one was sealed.
    next: Option<RecordingId>,
}

/// A lasting place where audio arrives.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Stream")]
pub(crate) struct StreamItem {
    name: StreamName,
    title: String,
    /// When it is recorded.
    record: RecordingMode,
    state: StreamState,
    /// Bodies with its audio, live or recorded, that this gateway is sending.
    listeners: usize,
    /// The newest one; null if none was begun yet.
    recording: Option<RecordingItem>,
    /// What is playing at the live edge, as far as the source has said; null without any frame or title.
    playing: Option<String>,
    /// How much faster the clock of its sound card runs than the time of day, in parts in a million: null where no card is
    /// recorded, and until that is known, a minute after the card was opened.
    drift_ppm: Option<f64>,
    /// The compressed renditions that there are of it, beside WAV and PCM.
    renditions: Vec<RenditionItem>,
    urls: StreamUrls,
}

#[derive(Serialize, JsonSchema)]
struct StreamUrls {
    wav: String,
    pcm: String,
    m3u: String,
    pls: String,
    xspf: String,
    events: String,
    recordings: String,
}

/// One tape of a stream: one spec, frames numbered from 0.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Recording")]
pub(crate) struct RecordingItem {
    id: RecordingId,
    stream: StreamName,
    title: String,
    source: String,
    /// What kind of thing is heard, as the source says it; empty where nobody said.
    genre: String,
    spec: Spec,
    state: livetape_audio::State,
    /// Frames that may be heard; null while nobody tells, as `seconds` and `bytes` are.
    frames: Option<Frame>,
    seconds: Option<f64>,
    bytes: Option<u64>,
    started: WallTime,
    /// Time of day of the tail; of a sealed one the latest that it has; null while it is not known.
    edge: Option<WallTime>,
    sealed: Option<Seal>,
    locked: bool,
    /// Only where one recording is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    /// Only where one recording is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    gaps: Option<usize>,
    /// Integrated loudness (EBU R 128) of what is measured so far, in LUFS. Only where one recording is asked for, and only
    /// if it is measured and not silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    loudness: Option<f64>,
    /// The compressed renditions that there are of it, beside WAV, PCM and RF64.
    renditions: Vec<RenditionItem>,
    urls: RecordingUrls,
}

#[derive(Serialize, JsonSchema)]
struct RecordingUrls {
    wav: String,
    pcm: String,
    rf64: String,
    peaks: String,
    loudness: String,
    timeline: String,
}

/// `GET /streams`.
pub(crate) async fn streams(
    State(context): State<Arc<Context>>,
    Asker(caller): Asker,
    Query(page): Query<StreamsAddress>,
) -> Reply {
    let mut names = context.library.catalogue().streams_after(page.after.as_ref(), usize::MAX);
    names.retain(|name| caller.sees(name));
    let more = names.len() > page.limit;
    names.truncate(page.limit);
    let next = names.last().filter(|_| more).cloned();
    let mut streams = Vec::with_capacity(names.len());
    for name in &names {
        streams.push(stream_item(&context, name).await);
    }
    json(&StreamsPage { streams, next })
}

/// `GET /streams/{stream}`.
pub(crate) async fn stream(
    State(context): State<Arc<Context>>,
    Path(name): Path<StreamName>,
    _: Query<Plain>,
) -> Reply {
    live::known(&context, &name)?;
    json(&stream_item(&context, &name).await)
}

/// `GET /recordings`.
pub(crate) async fn recordings(
    State(context): State<Arc<Context>>,
    Asker(caller): Asker,
    Query(ListAddress { stream, from, to, after, limit }): Query<ListAddress>,
) -> Reply {
    let query = livetape_store::Query { stream, from, to, after, limit };
    let page = context.library.catalogue().list_of(&query, |stream| caller.sees(stream));
    let mut items = Vec::with_capacity(page.recordings.len());
    // A page may have fewer than were asked for; `next` says whether there are more.
    for recording in &page.recordings {
        if begins_before(&context, recording, to).await {
            items.push(item(&context, recording).await);
        }
    }
    json(&RecordingsPage { recordings: items, next: page.next })
}

/// `GET /recordings/{id}`.
pub(crate) async fn one(State(context): State<Arc<Context>>, Path(id): Path<RecordingId>, _: Query<Plain>) -> Reply {
    let recording = recording::known(&context, id)?;
    let mut item = whole(&context, &recording).await;
    if let Some(tail) = tail(&context, id) {
        item.gaps = Some(timeline(&context, &recording, tail).await?.gaps().count());
        // Who asks about a recording is not told that it is being measured: see its `loudness`.
        let told = context.library.loudness(recording.clone(), Frame::ZERO..tail.end, 0).await;
        item.loudness = told.ok().and_then(|told| told.integrated);
    }
    json(&item)
}

/// `GET /recordings/{id}/timeline`.
pub(crate) async fn entries(
    State(context): State<Arc<Context>>,
    Path(id): Path<RecordingId>,
    Query(page): Query<EntriesAddress>,
) -> Reply {
    let recording = recording::known(&context, id)?;
    let tail = tail(&context, id).ok_or_else(recording::unattended)?;
    let timeline = timeline(&context, &recording, tail).await?;
    let all = timeline.entries();
    let entries: Vec<Entry> = all.iter().skip(page.after).take(page.limit).cloned().collect();
    let upto = page.after.saturating_add(entries.len());
    let next = (upto < all.len()).then_some(upto);
    let tail = TailItem { frames: tail.end, state: tail.state, next: tail.next };
    json(&TimelinePage { recording: id, spec: recording.spec, tail, entries, next })
}

async fn stream_item(context: &Context, name: &StreamName) -> StreamItem {
    let catalogue = context.library.catalogue();
    let (info, latest) = (catalogue.info(name), catalogue.latest(name));
    let state = match &latest {
        _ if info.waiting => StreamState::Idle,
        Some(recording) => context.pulses.state(recording.id, tail(context, recording.id)).heard(info),
        // It has just been deleted.
        None => StreamState::Ended,
    };
    let renditions = match &latest {
        Some(recording) => context.renditions.of(recording.spec, &format!("/streams/{name}/live")),
        None => Vec::new(),
    };
    let (recording, playing) = match &latest {
        Some(recording) => (Some(item(context, recording).await), playing(context, recording).await),
        None => (None, None),
    };
    StreamItem {
        title: latest.map_or_else(String::new, |recording| recording.title.to_string()),
        record: info.mode,
        state,
        listeners: context.audience.of(name),
        recording,
        playing,
        drift_ppm: info.drift.map(Drift::ppm),
        renditions,
        urls: StreamUrls {
            wav: format!("/streams/{name}/live.wav"),
            pcm: format!("/streams/{name}/live.pcm"),
            m3u: format!("/streams/{name}/listen.m3u"),
            pls: format!("/streams/{name}/listen.pls"),
            xspf: format!("/streams/{name}/listen.xspf"),
            events: format!("/streams/{name}/events"),
            recordings: format!("/recordings?stream={name}"),
        },
        name: name.clone(),
    }
}

/// The title of the newest frame of a recording that still grows. A timeline that cannot be read hides nothing else.
async fn playing(context: &Context, recording: &Arc<Recording>) -> Option<String> {
    let tail = tail(context, recording.id).filter(|tail| !tail.is_sealed())?;
    let timeline = timeline(context, recording, tail).await.ok()?;
    title(&timeline, tail.end)
}

/// The title of the frame before `end`, if it has one.
pub(crate) fn title(timeline: &Timeline, end: Frame) -> Option<String> {
    let newest = end.back(FrameCount::new(1));
    let title = timeline.title_at(newest).filter(|title| end > Frame::ZERO && !title.as_str().is_empty());
    title.map(ToString::to_string)
}

/// Whether a recording has audio before `to`: of a sealed one the library knows, of an open one the timeline does.
async fn begins_before(context: &Context, recording: &Arc<Recording>, to: Option<WallTime>) -> bool {
    let Some(to) = to.filter(|_| recording.seal.is_none()) else { return true };
    let begun = match tail(context, recording.id) {
        Some(tail) => timeline(context, recording, tail).await.ok().and_then(|t| earliest(&t, tail.end)),
        None => None,
    };
    begun.unwrap_or(recording.started) < to
}

/// All that is said about one recording.
pub(crate) async fn whole(context: &Context, recording: &Arc<Recording>) -> RecordingItem {
    RecordingItem { notes: Some(recording.notes.to_string()), ..item(context, recording).await }
}

async fn item(context: &Context, recording: &Arc<Recording>) -> RecordingItem {
    let (id, spec) = (recording.id, recording.spec);
    let tail = tail(context, id);
    let frames = tail.map(|t| t.end.since(Frame::ZERO));
    // A list of finished recordings reads nothing from the disk, and one timeline that cannot be read hides no other.
    let edge = match (recording.seal, tail) {
        (Some(seal), _) => Some(seal.ended),
        (None, Some(tail)) => timeline(context, recording, tail).await.ok().and_then(|t| t.time_of(tail.end)),
        (None, None) => None,
    };
    RecordingItem {
        id,
        stream: recording.stream.clone(),
        title: recording.title.to_string(),
        source: recording.source.to_string(),
        genre: recording.genre.to_string(),
        spec,
        state: tail.map_or(livetape_audio::State::Open, |t| t.state),
        frames: tail.map(|t| t.end),
        seconds: frames.map(|n| seconds(spec, n)),
        bytes: frames.map(|n| spec.bytes(n)),
        started: recording.started,
        edge,
        sealed: recording.seal,
        locked: recording.locked,
        notes: None,
        gaps: None,
        loudness: None,
        renditions: context.renditions.of(spec, &format!("/recordings/{id}/audio")),
        urls: RecordingUrls {
            wav: format!("/recordings/{id}/audio.wav"),
            pcm: format!("/recordings/{id}/audio.pcm"),
            rf64: format!("/recordings/{id}/audio.rf64"),
            peaks: format!("/recordings/{id}/peaks"),
            loudness: format!("/recordings/{id}/loudness"),
            timeline: format!("/recordings/{id}/timeline"),
        },
    }
}

/// A length in seconds, for people and players.
pub(crate) fn seconds(spec: Spec, n: FrameCount) -> f64 {
    spec.duration(n).as_secs_f64()
}

fn tail(context: &Context, id: RecordingId) -> Option<Tail> {
    context.library.tail(id).map(|mut watch| watch.current())
}

/// What resolving this address takes: times of day need the timeline, positions do without the disk.
pub(crate) async fn timeline_for(
    context: &Context,
    recording: &Arc<Recording>,
    tail: Tail,
    address: ViewAddress,
) -> Result<Arc<Timeline>, Problem> {
    if [address.from, address.to].iter().any(|moment| matches!(moment, Some(Moment::TimeOfDay(_)))) {
        return timeline(context, recording, tail).await;
    }
    Ok(Arc::new(Timeline::new(recording.spec)))
}

pub(crate) async fn timeline(
    context: &Context,
    recording: &Arc<Recording>,
    tail: Tail,
) -> Result<Arc<Timeline>, Problem> {
    context.library.timeline(recording.clone(), tail).await.map_err(|e| Problem::unread(&e))
}
