//! Bodies of requests. Almost none has one: it is taken within bounds before its request is answered, or taken and thrown
//! away while it is.

use crate::body::discard;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest body, in bytes, and how long it may take.
const MAX_BODY: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(5);
/// Bodies that are taken at once.
pub(crate) const AT_ONCE: usize = 64;

/// A body as it came, in the extensions of its request.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    /// All of it.
    Whole(Bytes),
    /// It was longer than it may be.
    TooLong,
    /// It did not come in time, or not to its end.
    Broken,
    /// There is no room to take it.
    NoRoom,
}

/// Takes a body in.
pub(crate) async fn receive(body: Incoming, room: &Semaphore) -> Received {
    let Ok(_permit) = room.try_acquire() else {
        tokio::spawn(discard(body));
        return Received::NoRoom;
    };
    let (mut body, mut bytes) = (body, BytesMut::new());
    let all = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Received::Broken };
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if bytes.len() + data.len() > MAX_BODY {
                return Received::TooLong;
            }
            bytes.extend_from_slice(data);
        }
        Received::Whole(Bytes::new())
    };
    match tokio::time::timeout(PATIENCE, all).await.unwrap_or(Received::Broken) {
        Received::Whole(_) => Received::Whole(bytes.freeze()),
        refused => {
            tokio::spawn(discard(body));
            refused
        }
    }
}

/// A body that says a `T` in JSON; none says an empty object.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let bytes = match parts.extensions.get::<Received>() {
            Some(Received::Whole(bytes)) => bytes.clone(),
            Some(Received::TooLong) => {
                let error = format!("the body is longer than {MAX_BODY} bytes");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error, "say less"));
            }
            Some(Received::Broken) => {
                let error = format!("the body did not come within {PATIENCE:?}");
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, error, "send it again"));
            }
            Some(Received::NoRoom) => {
                let error = "there are as many changes as the gateway takes at once";
                return Err(Problem::later(error, "try again in a moment", Duration::from_secs(1)));
            }
            None => Bytes::new(),
        };
        if bytes.is_empty() {
            return parse(b"{}");
        }
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // Anything else could come from a form on any web page.
        let kind = content_type.and_then(|kind| kind.split(';').next()).map(str::trim);
        if kind != Some("application/json") {
            let hint = "send JSON with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is not said to be JSON", hint));
        }
        parse(&bytes)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Json<T>, Problem> {
    serde_json::from_slice(bytes).map(Json).map_err(|error| {
        // It names the field, in the client's own words.
        let why: String = error.to_string().chars().take(200).collect();
        Problem::bad_request("the body was not understood", why)
    })
}
