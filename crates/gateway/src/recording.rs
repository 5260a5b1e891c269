//! Audio of one recording, finished or growing: what `answer` decides, carried out.

mod clip;

pub(crate) use clip::{mp3_clip, wav_clip};

use crate::answer::{self, Answer, Asked, Facts, Growth, HORIZON};
use crate::body::Media;
use crate::context::Context;
use crate::edge::Pace;
use crate::encoded::Encoded;
use crate::listener::{Follow, Listener};
use crate::listing;
use crate::mode::{self, Hints, Mode};
use crate::problem::{Problem, retry_seconds};
use crate::query::{Query, RecordingAddress};
use crate::rendition::{Kind, Rendition};
use crate::reply::{Reply, empty, set_text};
use crate::representation::{Place, Representation, Slice};
use crate::request::{AudioFile, Path, Request, audio_type};
use crate::tape::Tape;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use livetape_audio::{End, Frame, RecordingId, Tail, View};
use livetape_store::Recording;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// What no part of a multipart body may contain; audio that does is as unlikely as a guessed key.
const BOUNDARY: &str = "livetape-01932c07-209c-7a3e-8c1f-5d2e9b7a4f10";

/// `GET /recordings/{id}/audio.{ext}`.
pub(crate) async fn audio(
    State(context): State<Arc<Context>>,
    Path(id): Path<RecordingId>,
    Path(AudioFile(kind)): Path<AudioFile>,
    Query(address): Query<RecordingAddress>,
    request: Request,
) -> Reply {
    let recording = known(&context, id)?;
    let rendition = context.renditions.choose(kind, address.wanted, recording.spec)?;
    let mut tail = context.library.tail(id).ok_or_else(unattended)?;
    let hints = Hints {
        len: address.len,
        icy: request.headers.contains_key("icy-metadata"),
        user_agent: request.header(header::USER_AGENT),
        fetch_dest: request.header("sec-fetch-dest"),
        compressed: kind.is_compressed(),
    };
    let mut asking = Asking {
        context: &context,
        recording,
        rendition,
        mode: Mode::choose(hints),
        address,
        asked: asked(&request),
        may_hold: true,
        view: None,
    };
    let deadline = Instant::now() + context.limits.hold;
    loop {
        let now = tail.current();
        let (representation, etag, answer) = asking.ask(now).await?;
        if let Answer::Hold { .. } = answer {
            let moved = context.drain.run_until_cancelled(timeout_at(deadline, tail.changed())).await;
            asking.may_hold = matches!(moved, Some(Ok(true)));
            continue;
        }
        return asking.reply(&request, &representation, &etag, answer, now.end);
    }
}

/// What a request asks for besides its address.
fn asked(request: &Request) -> Asked<'_> {
    let lines = request.headers.get_all(header::RANGE).iter().count();
    Asked {
        head: request.head,
        // Several lines of it are no single range set.
        range: request.header(header::RANGE).filter(|_| lines == 1),
        if_range: request.headers.get(header::IF_RANGE).map(|v| v.to_str().unwrap_or_default()),
    }
}

/// A request, and what of its address is settled.
struct Asking<'a> {
    context: &'a Arc<Context>,
    recording: Arc<Recording>,
    rendition: Rendition,
    mode: Mode,
    address: RecordingAddress,
    asked: Asked<'a>,
    may_hold: bool,
    view: Option<View>,
}

impl Asking<'_> {
    async fn ask(&mut self, tail: Tail) -> Result<(Representation, String, Answer), Problem> {
        let spec = self.recording.spec;
        let timeline = listing::timeline_for(self.context, &self.recording, tail, self.address.view).await?;
        let view = match self.view {
            Some(view) => view,
            // Once, so that a held request means what it meant when it came.
            None => *self.view.insert(self.address.view.resolve(spec, &timeline, &tail, HORIZON)?),
        };
        let end = view.known_end(&timeline, &tail);
        let id = self.recording.id;
        let representation = match (end, self.mode) {
            (None, Mode::Now) => Representation::snapshot(id, spec, self.rendition, view, tail.end),
            _ => Representation::new(id, spec, self.rendition, view, end),
        };
        let growth = (!representation.is_finished()).then_some(Growth {
            mode: self.mode,
            named: self.address.len.is_some(),
            byte_rate: representation.byte_rate(),
            may_hold: self.may_hold,
            compressed: self.rendition.kind().is_compressed(),
        });
        let etag = representation.etag();
        let facts = Facts { bytes: representation.bytes(tail.end), growth, etag: &etag };
        let answer = match self.rendition.kind() {
            // Nobody knows where a byte of it is before it is made.
            Kind::Flac => Answer::Follow,
            _ => answer::decide(self.asked, facts),
        };
        Ok((representation, etag, answer))
    }

    fn reply(
        &self,
        request: &Request,
        representation: &Representation,
        etag: &str,
        answer: Answer,
        edge: Frame,
    ) -> Reply {
        let finished = representation.is_finished();
        let settled = finished && self.mode != Mode::Now;
        if settled && is_known(request, etag) {
            return Ok((StatusCode::NOT_MODIFIED, self.describe(representation, etag), empty()).into_response());
        }
        let status = status(&answer);
        let mut headers = self.describe(representation, etag);
        if self.rendition.kind() == Kind::Flac {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
        } else if finished || status == StatusCode::PARTIAL_CONTENT {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        let (plan, length, follow_from) = self.plan(&mut headers, representation, answer, edge);
        match length {
            Some(length) => _ = headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length)),
            None => request.mark_unbounded(&mut headers),
        }
        if request.head || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok((status, headers, empty()).into_response());
        }
        let (id, view) = (self.recording.id, representation.view());
        let planned = plan.iter().find_map(|slice| match slice {
            Slice::Encoded { at, .. } => Some(*at),
            _ => None,
        });
        let from = planned.or(match follow_from {
            Some(Place::Encoded(at)) => Some(at),
            _ => None,
        });
        let part = (view.first, representation.end());
        let encoded = Encoded::download(&self.context.blocks, id, self.rendition, part, from)?;
        let delivery = request.delivery(self.context, false, length)?;
        let (library, edges) = (&*self.context.library, &self.context.edges);
        let recording = self.recording.clone();
        let tape = match follow_from {
            // Whoever asks for ranges keeps its own distance to the edge.
            Some(_) => Tape::follow(library, edges, recording, Pace::Prompt),
            None => Tape::open(library, recording, &request.connection),
        };
        let (end, live, pace) = (representation.end().map_or(view.end, End::At), false, Pace::Prompt);
        let follow = follow_from.map(|place| Follow { place, end, live, pace });
        let tape = tape.ok_or_else(unattended)?;
        let listener = Listener::new(self.context.clone(), tape, plan, follow, delivery.from_disk);
        let listener = listener.encoded(encoded, representation.end());
        Ok((status, headers, Media::body(listener, delivery)).into_response())
    }

    /// What is said whatever the range.
    fn describe(&self, representation: &Representation, etag: &str) -> HeaderMap {
        let mut reply = HeaderMap::new();
        let recording = &self.recording;
        audio_type(&mut reply, self.rendition, recording, representation.view().first);
        set_text(&mut reply, header::ETAG, etag);
        let forever = representation.is_finished() && self.mode != Mode::Now;
        let cache = match (forever, self.context.access.is_configured()) {
            (false, _) => "no-store",
            (true, false) => "public, max-age=86400, immutable",
            // A proxy must not give it to others, and a browser asks whether the right to it still is there.
            (true, true) => "private, no-cache",
        };
        reply.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        if self.address.len.is_none() {
            reply.insert(header::VARY, HeaderValue::from_static(mode::VARY));
        }
        reply
    }

    /// What to send, how long that is if it is known, and from where to follow. Completes the head.
    fn plan(
        &self,
        reply: &mut HeaderMap,
        representation: &Representation,
        answer: Answer,
        edge: Frame,
    ) -> (Vec<Slice>, Option<u64>, Option<Place>) {
        let follow = |first: u64| {
            let rest = representation.rest(first);
            (vec![Slice::Bytes(rest.header)], None, Some(rest.place))
        };
        match answer {
            Answer::Whole { length } => (representation.slices(0..length, edge), Some(length), None),
            Answer::Follow => follow(0),
            Answer::FollowFrom { first, last, total } => {
                set_text(reply, header::CONTENT_RANGE, &content_range(first, last, total));
                follow(first)
            }
            Answer::Part { bytes, total } => {
                set_text(reply, header::CONTENT_RANGE, &content_range(bytes.start, bytes.end - 1, total));
                (representation.slices(bytes.clone(), edge), Some(bytes.end - bytes.start), None)
            }
            Answer::Parts { ranges, total } => {
                let kind = format!("multipart/byteranges; boundary={BOUNDARY}");
                set_text(reply, header::CONTENT_TYPE, &kind);
                let (plan, length) = parts(representation, self.rendition.kind().content_type(), &ranges, total, edge);
                (plan, Some(length), None)
            }
            Answer::Unsatisfiable { existing, retry_after } => {
                set_text(reply, header::CONTENT_RANGE, &format!("bytes */{existing}"));
                reply.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                if let Some(wait) = retry_after {
                    reply.insert(header::RETRY_AFTER, HeaderValue::from(retry_seconds(wait)));
                }
                (Vec::new(), Some(0), None)
            }
            Answer::Hold { .. } => (Vec::new(), Some(0), None),
        }
    }
}

const fn status(answer: &Answer) -> StatusCode {
    match answer {
        Answer::Whole { .. } | Answer::Follow => StatusCode::OK,
        Answer::Part { .. } | Answer::FollowFrom { .. } | Answer::Parts { .. } => StatusCode::PARTIAL_CONTENT,
        Answer::Unsatisfiable { .. } | Answer::Hold { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
    }
}

fn content_range(first: u64, last: u64, total: Option<u64>) -> String {
    total.map_or_else(|| format!("bytes {first}-{last}/*"), |total| format!("bytes {first}-{last}/{total}"))
}

/// A `multipart/byteranges` body, and its length.
fn parts(
    representation: &Representation,
    content_type: &str,
    ranges: &[Range<u64>],
    total: Option<u64>,
    edge: Frame,
) -> (Vec<Slice>, u64) {
    let (mut plan, mut length) = (Vec::new(), 0);
    let mut text = |plan: &mut Vec<Slice>, text: String| {
        length += text.len() as u64;
        plan.push(Slice::Bytes(Bytes::from(text)));
    };
    for range in ranges {
        let place = content_range(range.start, range.end - 1, total);
        let head = format!("\r\n--{BOUNDARY}\r\nContent-Type: {content_type}\r\nContent-Range: {place}\r\n\r\n");
        text(&mut plan, head);
        plan.extend(representation.slices(range.clone(), edge));
    }
    text(&mut plan, format!("\r\n--{BOUNDARY}--\r\n"));
    let audio: u64 = ranges.iter().map(|r| r.end - r.start).sum();
    (plan, length + audio)
}

/// Whether the client has these bytes already (`If-None-Match`).
fn is_known(request: &Request, etag: &str) -> bool {
    const NAME: HeaderName = header::IF_NONE_MATCH;
    let tags = request.headers.get_all(NAME).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    tags.map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The recording with this id.
pub(crate) fn known(context: &Context, id: RecordingId) -> Result<Arc<Recording>, Problem> {
    let unknown =
        || Problem::not_found(format!("there is no recording {id}"), "see /recordings for those that there are");
    context.library.catalogue().get(id).ok_or_else(unknown)
}

/// An open recording whose tail nobody tells.
pub(crate) fn unattended() -> Problem {
    let wait = std::time::Duration::from_secs(5);
    Problem::later("the recorder of this recording is not there", "come back when it is", wait)
}
