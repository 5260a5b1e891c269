//! Joining a stream: at its live edge, some time behind it, or at a time of day. From there on a [`Listener`] steps
//! through the stream's recordings by itself.

use crate::body::Media;
use crate::context::Context;
use crate::edge::Pace;
use crate::encoded::{Encoded, track_of};
use crate::icy::{self, Icy};
use crate::listener::{Follow, Listener, title_at};
use crate::problem::Problem;
use crate::pulse::StreamState;
use crate::query::{Join, LiveAddress, Query};
use crate::rendition::Rendition;
use crate::reply::{Reply, empty};
use crate::representation::{Place, Slice};
use crate::request::{LiveFile, Path, Request, audio_type};
use crate::tape::Tape;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, VARY};
use livetape_audio::{DataSize, End, Frame, FrameCount, Located, Spec, StreamName, WallTime};
use livetape_codec::encode::{Codec, Flac, Joined};
use livetape_store::Recording;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Browsers hand audio to their decoders in blocks of 32 KiB: less than that at once and the first sound waits.
const BURST_BYTES: u64 = 36 * 1024;
const BURST: Duration = Duration::from_secs(1);
/// It comes in blocks of about a second.
const COMPRESSED_BURST: Duration = Duration::from_secs(3);
/// When to come back to a stream whose source is away.
const COME_BACK: Duration = Duration::from_secs(5);
/// Recordings that are searched for a time of day before it counts as not found.
const MAX_SEARCHED: usize = 1_000;

/// Where a listener begins.
struct Start {
    recording: Arc<Recording>,
    first: Frame,
}

/// `GET /streams/{stream}/live.{ext}`.
pub(crate) async fn audio(
    State(context): State<Arc<Context>>,
    Path(stream): Path<StreamName>,
    Path(LiveFile(kind)): Path<LiveFile>,
    Query(address): Query<LiveAddress>,
    request: Request,
) -> Reply {
    let choose = |spec| context.renditions.choose(kind, address.wanted, spec);
    let Start { recording, first } = find(&context, &stream, address.join, choose).await?;
    let rendition = choose(recording.spec)?;
    let Begin { mut header, place, joined, first } = begin(&recording, rendition, first);
    let mut told = None;
    if let Rendition::Packets(encoding) = rendition
        && encoding.codec() == Codec::Opus
    {
        let tail = context.library.tail(recording.id).map(|mut watch| watch.current());
        let title = match tail {
            Some(tail) => title_at(&context, recording.clone(), tail, first).await,
            None => None,
        };
        let title = title.unwrap_or_default();
        header = track_of(recording.id, encoding, joined).titled(title.as_str());
        // Only who asks hears of the next one: not every player takes a chain.
        told = wants_titles(&request).then_some(title);
    }
    let pace = pace(&context, &stream, &recording, first);
    let mut headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
    audio_type(&mut headers, rendition, &recording, first);
    request.mark_unbounded(&mut headers);
    let icy = titles(&mut headers, &request, rendition, &recording);
    if request.head {
        return Ok((headers, empty()).into_response());
    }
    let encoded = Encoded::live(&context.blocks, recording.id, rendition, joined)?;
    let delivery = request.delivery(&context, true, None)?;
    let tape = Tape::follow(&*context.library, &context.edges, recording, pace);
    let tape = tape.ok_or_else(|| away(&context, &stream))?;
    let (plan, follow) = (vec![Slice::Bytes(header.into())], Follow { place, end: End::Open, live: true, pace });
    let listener = Listener::new(context, tape, plan, Some(follow), delivery.from_disk).encoded(encoded, None);
    let listener = listener.with_titles(icy, told);
    Ok((headers, Media::body(listener, delivery)).into_response())
}

/// Titles between the audio, for who wants them and where players look for them.
fn titles(reply: &mut HeaderMap, request: &Request, rendition: Rendition, recording: &Recording) -> Option<Icy> {
    let Rendition::Packets(encoding) = rendition else { return None };
    if encoding.codec() != Codec::Mp3 {
        return None;
    }
    let name = if recording.title.as_str().is_empty() { recording.stream.as_str() } else { recording.title.as_str() };
    let page = request.origin.as_ref().map(|origin| format!("{origin}/"));
    icy::describe(reply, name, recording.genre.as_str(), encoding.kbps(), page.as_deref());
    reply.append(VARY, HeaderValue::from_static("Icy-MetaData"));
    if !wants_titles(request) {
        return None;
    }
    reply.insert("icy-metaint", HeaderValue::from(Icy::INTERVAL));
    Some(Icy::new())
}

fn wants_titles(request: &Request) -> bool {
    request.header(icy::WANTED).map(str::trim) == Some("1")
}

/// What a listener begins with.
struct Begin {
    header: Vec<u8>,
    place: Place,
    joined: Joined,
    /// The first frame that it hears.
    first: Frame,
}

/// Compressed audio begins with the block in which a frame is, so that all who listen share its blocks.
fn begin(recording: &Recording, rendition: Rendition, first: Frame) -> Begin {
    match rendition {
        Rendition::Pcm(container) => {
            let header = container.header(recording.spec, DataSize::Growing);
            Begin { header, place: Place::Recorded(first, 0), joined: Joined::Beginning, first }
        }
        Rendition::Packets(encoding) => {
            let joined = match encoding.block_of(first.get()) {
                0 => Joined::Beginning,
                block => Joined::Block(block),
            };
            let track = track_of(recording.id, encoding, joined);
            Begin { header: track.header(), place: Place::Encoded(0), joined, first: Frame::new(track.first_frame()) }
        }
        Rendition::Flac(flac) => {
            let block = first.get() / Flac::BLOCK;
            let (place, first) = (Place::Encoded(block), Frame::new(block * Flac::BLOCK));
            Begin { header: flac.header(None), place, joined: Joined::Block(block), first }
        }
    }
}

/// Who has some audio in hand need not have the newest at once.
fn pace(context: &Context, stream: &StreamName, recording: &Recording, first: Frame) -> Pace {
    if context.library.catalogue().latest(stream).is_none_or(|latest| latest.id != recording.id) {
        return Pace::Slow;
    }
    let tail = context.library.tail(recording.id).map(|mut watch| watch.current());
    Pace::with_in_hand(tail.map_or(Duration::ZERO, |tail| recording.spec.duration(tail.end.since(first))))
}

async fn find(
    context: &Context,
    stream: &StreamName,
    join: Join,
    choose: impl Fn(Spec) -> Result<Rendition, Problem>,
) -> Result<Start, Problem> {
    let library = &*context.library;
    known(context, stream)?;
    let away = |stream| away(context, stream);
    let latest = library.catalogue().latest(stream).ok_or_else(|| away(stream))?;
    let tail = library.tail(latest.id).map(|mut watch| watch.current());
    let is_live = context.pulses.state(latest.id, tail) == StreamState::Live;
    let edge = tail.map(|t| t.end).ok_or_else(|| away(stream))?;
    match join {
        Join::Edge(_) if !is_live => Err(away(stream)),
        Join::Edge(burst) => {
            let frames = burst_frames(choose(latest.spec)?, latest.spec, burst, edge);
            Ok(back(context, latest.clone(), edge, frames, true))
        }
        Join::Behind(behind) => {
            let start = back(context, latest.clone(), edge, latest.spec.frames(behind), false);
            let nothing_to_play = start.recording.id == latest.id && start.first >= edge;
            if nothing_to_play && !is_live { Err(away(stream)) } else { Ok(start) }
        }
        Join::At(time) => match at(context, stream, time).await? {
            Some(start) => Ok(start),
            None if is_live => Ok(Start { recording: latest, first: edge }),
            None => Err(away(stream)),
        },
    }
}

/// How many frames before the edge who joins there begins. Of what comes in blocks only whole ones can be sent at once, and no
/// fewer than browsers wait for.
fn burst_frames(rendition: Rendition, spec: Spec, burst: Option<Duration>, edge: Frame) -> FrameCount {
    let enough = |byte_rate: u64| Duration::from_secs_f64(BURST_BYTES as f64 / byte_rate.max(1) as f64);
    match (burst, rendition) {
        (Some(burst), _) => spec.frames(burst),
        (None, Rendition::Pcm(_)) => spec.frames(BURST.max(enough(spec.byte_rate()))),
        (None, Rendition::Packets(encoding)) => {
            let block = encoding.block_bytes();
            let seconds = COMPRESSED_BURST.as_secs() * u64::from(encoding.rate());
            let blocks = BURST_BYTES.div_ceil(block).max(seconds.div_ceil(encoding.grid().block_frames()));
            let first = |block| Frame::new(encoding.first_of(block));
            let whole = encoding.whole_blocks(edge.get());
            match whole.checked_sub(blocks) {
                Some(begin) => edge.since(first(begin)),
                // In the recording before this one, whose blocks end where it does.
                None => edge.since(Frame::ZERO) + first(blocks - whole).since(Frame::ZERO),
            }
        }
        // At worst it is not much larger than PCM, and at best it is nothing at all.
        (None, Rendition::Flac(_)) => spec.frames(COMPRESSED_BURST.max(enough(spec.byte_rate()))),
    }
}

/// `n` recorded frames before `end`: in the recording, or in those before it that have the same spec. With
/// `unbroken`, only in those that this one goes on from without a gap. At the oldest frame if there are fewer.
fn back(context: &Context, mut recording: Arc<Recording>, mut end: Frame, mut n: FrameCount, unbroken: bool) -> Start {
    loop {
        let here = end.since(Frame::ZERO);
        if n <= here {
            return Start { recording, first: end.back(n) };
        }
        let before = context.library.catalogue().previous(recording.id);
        let before = before.filter(|b| b.spec == recording.spec);
        let sealed = before.and_then(|b| b.seal.map(|seal| (b, seal)));
        match sealed.filter(|(_, seal)| !unbroken || seal.next == Some(recording.id)) {
            Some((before, seal)) => (recording, end, n) = (before, seal.end, n - here),
            None => return Start { recording, first: Frame::ZERO },
        }
    }
}

/// The first recorded frame at that time of day or later; `None` if the time has come but no frame since.
async fn at(context: &Context, stream: &StreamName, time: WallTime) -> Result<Option<Start>, Problem> {
    let library = &*context.library;
    let mut query =
        livetape_store::Query { stream: Some(stream.clone()), from: Some(time), to: None, after: None, limit: 1 };
    for _ in 0..MAX_SEARCHED {
        let Some(recording) = library.catalogue().list(&query).recordings.into_iter().next() else { break };
        query.after = Some(recording.id);
        if let Some(tail) = library.tail(recording.id).map(|mut watch| watch.current()) {
            let timeline = library.timeline(recording.clone(), tail).await.map_err(|e| Problem::unread(&e))?;
            if let Located::At(first) = timeline.frame_at(time, tail.end) {
                return Ok(Some(Start { recording, first }));
            }
        }
    }
    // What is recorded is found first: the clock may have been set back since.
    if time > now() {
        let hint = "ask for a time that has come, or leave `at` out to hear what is live";
        return Err(Problem::bad_request(format!("{time} is in the future"), hint));
    }
    Ok(None)
}

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_nanos(0).later(since)
}

fn unknown(stream: &StreamName) -> Problem {
    Problem::not_found(format!("there is no stream {stream}"), "see /streams for those that there are")
}

fn away(context: &Context, stream: &StreamName) -> Problem {
    if context.library.catalogue().info(stream).waiting {
        let error = format!("{stream} is recorded on demand, and nobody has begun a recording");
        let hint = format!("begin one: POST /streams/{stream}/recordings; or hear what was recorded, see /recordings");
        return Problem::later(error, hint, COME_BACK);
    }
    let hint = "come back when it records again, or hear what was recorded: `offset` or `at`, or see /recordings";
    Problem::later(format!("nothing is being recorded on {stream} now"), hint, COME_BACK)
}

/// There is a stream if it has a recording, or a source that waits until somebody begins one.
pub(crate) fn known(context: &Context, stream: &StreamName) -> Result<(), Problem> {
    let catalogue = context.library.catalogue();
    let exists = catalogue.latest(stream).is_some() || catalogue.info(stream).waiting;
    if exists { Ok(()) } else { Err(unknown(stream)) }
}
