//! What handlers see of a request, and what every reply with audio says.

use crate::body::Delivery;
use crate::connection::Connection;
use crate::context::{Context, Room};
use crate::problem::{Problem, quoted};
use crate::reached::ReachedBy;
use crate::rendition::{Kind, Rendition};
use crate::reply::set_text;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams};
use axum::{Extension, RequestExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Version};
use livetape_access::Caller;
use livetape_audio::{Container, Frame, RecordingId, StreamName};
use livetape_store::Recording;
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) const FIRST_FRAME: HeaderName = HeaderName::from_static("x-livetape-first-frame");
pub(crate) const RECORDING: HeaderName = HeaderName::from_static("x-livetape-recording");
const RENDITION: HeaderName = HeaderName::from_static("x-livetape-rendition");
const AUDIO_FORMAT: HeaderName = HeaderName::from_static("x-audio-format");

/// The part of a request's path that stands for a `T`.
pub(crate) struct Path<T>(pub(crate) T);

/// What a part of a path can stand for.
pub(crate) trait Segment: Sized {
    /// Its name in the route.
    const NAME: &'static str;
    /// Understands it, decoded.
    fn read(text: &str) -> Result<Self, Problem>;
}

impl<S: Send + Sync, T: Segment> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|e| Problem::internal(&e))?;
        let text = params.iter().find(|(name, _)| *name == T::NAME).map(|(_, text)| text);
        T::read(text.unwrap_or_default()).map(Self)
    }
}

impl Segment for StreamName {
    const NAME: &'static str = "stream";
    fn read(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| {
            let error = format!("{:?} is no name of a stream", quoted(text));
            Problem::not_found(error, "see /streams for those that there are")
        })
    }
}

impl Segment for RecordingId {
    const NAME: &'static str = "id";
    fn read(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| {
            let error = format!("{:?} is no id of a recording", quoted(text));
            Problem::not_found(error, "see /recordings for those that there are")
        })
    }
}

/// Its sizes mean nothing while there is no end.
const RF64: Kind = Kind::Pcm(Container::Rf64);

/// `live.wav`, `live.mp3`, …
pub(crate) struct LiveFile(pub(crate) Kind);

/// All of them, for the description of the interface.
pub(crate) fn live_files() -> Vec<String> {
    files("live.").filter(|file| kind(file, "live.") != Some(RF64)).collect()
}

impl Segment for LiveFile {
    const NAME: &'static str = "file";
    fn read(text: &str) -> Result<Self, Problem> {
        let kind = kind(text, "live.").filter(|kind| *kind != RF64);
        kind.map(Self).ok_or_else(|| no_file(text, &live_files().join(", ")))
    }
}

/// `audio.wav`, `audio.mp3`, …
pub(crate) struct AudioFile(pub(crate) Kind);

/// All of them, for the description of the interface.
pub(crate) fn audio_files() -> Vec<String> {
    files("audio.").collect()
}

fn files(stem: &'static str) -> impl Iterator<Item = String> {
    Kind::all().map(move |kind| format!("{stem}{}", kind.extension()))
}

impl Segment for AudioFile {
    const NAME: &'static str = "file";
    fn read(text: &str) -> Result<Self, Problem> {
        let there = || {
            format!("{}, clip.wav, clip.mp3, peaks, marks and timeline", files("audio.").collect::<Vec<_>>().join(", "))
        };
        kind(text, "audio.").map(Self).ok_or_else(|| no_file(text, &there()))
    }
}

fn kind(file: &str, stem: &str) -> Option<Kind> {
    let extension = file.strip_prefix(stem)?;
    Kind::all().find(|kind| kind.extension() == extension)
}

fn no_file(file: &str, there: &str) -> Problem {
    Problem::not_found(format!("there is no {:?} here", quoted(file)), format!("there are {there}"))
}

/// A request, without its address.
pub(crate) struct Request {
    /// Whether only the head is wanted.
    pub(crate) head: bool,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) connection: Arc<Connection>,
    pub(crate) client: IpAddr,
    /// Scheme and name under which the client found us.
    pub(crate) origin: Option<String>,
    pub(crate) caller: Option<Caller>,
}

impl<S: Send + Sync> FromRequest<S> for Request {
    type Rejection = Problem;

    async fn from_request(mut request: axum::extract::Request, _: &S) -> Result<Self, Problem> {
        let connection = request.extract_parts::<Extension<_>>().await.map_err(|e| Problem::internal(&e))?;
        let ReachedBy(reached) = request.extract_parts().await?;
        let (mut parts, _) = request.into_parts();
        let caller = parts.extensions.remove();
        let head = parts.method == Method::HEAD;
        let (version, headers, client, origin) = (parts.version, parts.headers, reached.client, reached.origin());
        Ok(Self { head, version, headers, connection: connection.0, client, origin, caller })
    }
}

impl Request {
    /// The value of a header that may come once, if it is text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// A body without a length, which HTTP/1.0 ends by closing.
    pub(crate) fn mark_unbounded(&self, reply: &mut HeaderMap) {
        if self.version <= Version::HTTP_10 {
            reply.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// How to send a body of media, if there is room for one more.
    pub(crate) fn delivery(&self, context: &Context, live: bool, length: Option<u64>) -> Result<Delivery, Problem> {
        let until_closed = self.version <= Version::HTTP_10 && length.is_none();
        let room = context.room_for_body(self.client, self.caller.as_ref())?;
        let from_disk = self.version <= Version::HTTP_11 && context.tls.is_none();
        Ok(Delivery { connection: self.connection.clone(), until_closed, live, length, from_disk, room })
    }

    /// Room for an event stream, if there is some.
    pub(crate) fn room_for_events(&self, context: &Context) -> Result<Room, Problem> {
        context.room_for_events(self.client, self.caller.as_ref())
    }
}

/// Says what audio it is, and from where.
pub(crate) fn audio_type(reply: &mut HeaderMap, rendition: Rendition, recording: &Recording, first: Frame) {
    reply.insert(header::CONTENT_TYPE, HeaderValue::from_static(rendition.kind().content_type()));
    set_text(
        reply,
        header::CONTENT_DISPOSITION,
        &format!("inline; filename=\"{}\"", file(rendition.kind(), recording, first)),
    );
    match rendition.described() {
        Some(described) => set_text(reply, RENDITION, &described),
        None => set_text(reply, AUDIO_FORMAT, &recording.spec.to_string()),
    }
    set_text(reply, RECORDING, &recording.id.to_string());
    reply.insert(FIRST_FRAME, HeaderValue::from(first.get()));
}

/// What it is called by whoever keeps it: `studio-a-2026-11-20T14-30-00Z.wav`, and where it begins inside the recording.
pub(crate) fn file(kind: Kind, recording: &Recording, first: Frame) -> String {
    let inside = match recording.spec.duration(first.since(Frame::ZERO)).as_secs() {
        0 => String::new(),
        seconds => format!("-at-{seconds}s"),
    };
    let extension = match kind {
        // What programs look for that read RF64.
        Kind::Pcm(Container::Rf64) => Container::Wav.extension(),
        other => other.extension(),
    };
    format!("{}{inside}.{extension}", file_stem(recording))
}

/// What files of a recording are called: after its stream and its start.
pub(crate) fn file_stem(recording: &Recording) -> String {
    // To the second, and without colons, which not every file system takes.
    let time: String = recording.started.to_string().chars().take("2026-11-20T14:30:00".len()).collect();
    format!("{}-{}Z", recording.stream, time.replace(':', "-"))
}
