//! What handlers see of a request, and what every reply with audio says.

use crate::body::Delivery;
use crate::connection::Connection;
use crate::reply::Reply;
use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use livetape_audio::{Container, Frame, RecordingId, Spec};
use std::sync::Arc;

const FIRST_FRAME: HeaderName = HeaderName::from_static("x-livetape-first-frame");
const RECORDING: HeaderName = HeaderName::from_static("x-livetape-recording");
const AUDIO_FORMAT: HeaderName = HeaderName::from_static("x-audio-format");

/// A request.
pub(crate) struct Request<'a> {
    /// Whether only the head is wanted.
    pub(crate) head: bool,
    pub(crate) version: Version,
    /// What follows the `?`; may be empty.
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) connection: &'a Arc<Connection>,
}

impl<'a> Request<'a> {
    /// The value of a header that may come once, if it is text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&'a str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// A body without a length, which HTTP/1.0 ends by closing.
    pub(crate) fn mark_unbounded(&self, reply: &mut Reply) {
        if self.version <= Version::HTTP_10 {
            reply.set(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    pub(crate) fn delivery(&self, live: bool, length: Option<u64>) -> Delivery {
        let until_closed = self.version <= Version::HTTP_10 && length.is_none();
        Delivery { connection: self.connection.clone(), until_closed, live, length }
    }
}

/// The media type of a container.
pub(crate) const fn content_type(container: Container) -> &'static str {
    match container {
        Container::Wav | Container::Rf64 => "audio/wav",
        // `audio/L16` would mean big-endian.
        Container::Pcm => "application/octet-stream",
    }
}

/// Says what audio it is, and from where.
pub(crate) fn audio_type(reply: &mut Reply, container: Container, spec: Spec, recording: RecordingId, first: Frame) {
    reply.set(header::CONTENT_TYPE, HeaderValue::from_static(content_type(container)));
    reply.set_text(AUDIO_FORMAT, &spec.to_string());
    reply.set_text(RECORDING, &recording.to_string());
    reply.set(FIRST_FRAME, HeaderValue::from(first.get()));
}
