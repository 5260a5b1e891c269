//! Replies that are not audio. What a reply says about its length: axum states it from the body, [`empty`] does not.

use crate::problem::Problem;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Empty};
use serde::Serialize;

/// What a handler comes to.
pub(crate) type Reply = Result<Response, Problem>;

/// A text that is all there.
pub(crate) fn text(status: StatusCode, content_type: &'static str, text: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")], text.into()).into_response()
}

pub(crate) fn json(value: &impl Serialize) -> Reply {
    let json = serde_json::to_vec(value).map_err(|e| Problem::internal(&e))?;
    Ok(text(StatusCode::OK, "application/json", json))
}

/// Sets a header to a text of ours. A text that no header can carry is left out.
pub(crate) fn set_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// No body, of a reply that says nothing about a length: 204, 304, and the head of what has no length yet. Of a body
/// that is known to be empty axum would say `Content-Length: 0`; one whose frames may be mapped to others is not.
pub(crate) fn empty() -> Body {
    Body::new(Empty::<Bytes>::new().map_frame(|frame| frame))
}
