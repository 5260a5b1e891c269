//! Bodies of requests. Almost none has one: it is taken within bounds once it is known that whoever sends it may, or taken and
//! thrown away.

use crate::body::discard;
use crate::context::Context;
use crate::problem::Problem;
use axum::extract::FromRequestParts;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bodies that are taken at once.
pub(crate) const AT_ONCE: usize = 64;

/// A body that is on its way, in the extensions of its request, until somebody takes it.
#[derive(Clone)]
pub(crate) struct Sent(Arc<Mutex<Option<Incoming>>>);

impl Sent {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// The body, if nobody has taken it yet.
    pub(crate) fn take(&self) -> Option<Incoming> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body as it came, in the extensions of its request.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    /// All of it.
    Whole(Bytes),
    /// It was longer than it may be: more than so many bytes.
    TooLong(usize),
    /// It did not come within this time, or not to its end.
    Broken(Duration),
    /// There is no room to take it.
    NoRoom,
}

/// Takes a body in.
pub(crate) async fn receive(body: Incoming, context: &Context) -> Received {
    let (most, patience, rejections) = (context.limits.body, context.limits.body_time, &context.instruments.rejections);
    let Ok(_permit) = context.receiving.try_acquire() else {
        rejections.of("bodies").inc();
        tokio::spawn(discard(body));
        return Received::NoRoom;
    };
    let (mut body, mut bytes) = (body, BytesMut::new());
    let all = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Received::Broken(patience) };
            let data = frame.data_ref().map_or(&[][..], |data| data);
            if bytes.len() + data.len() > most {
                rejections.of("body_size").inc();
                return Received::TooLong(most);
            }
            bytes.extend_from_slice(data);
        }
        Received::Whole(Bytes::new())
    };
    let late = |_| {
        rejections.of("body_time").inc();
        Received::Broken(patience)
    };
    match tokio::time::timeout(patience, all).await.unwrap_or_else(late) {
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
            Some(Received::TooLong(most)) => {
                let error = format!("the body is longer than {most} bytes");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error, "say less"));
            }
            Some(Received::Broken(patience)) => {
                let error = format!("the body did not come within {patience:?}");
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
