//! A reply in the making: status, headers, body.

use crate::body::{self, Body};
use crate::problem::{Problem, retry_seconds};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

/// A reply.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

impl Reply {
    /// Without a body.
    pub(crate) fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: body::empty() }
    }

    /// A text that is all there.
    pub(crate) fn text(status: StatusCode, content_type: &'static str, text: impl Into<bytes::Bytes>) -> Self {
        let text = text.into();
        let mut reply = Self::new(status);
        reply.set(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply.set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply.set(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        reply.body = body::full(text);
        reply
    }

    pub(crate) fn json(value: &impl Serialize) -> Result<Self, Problem> {
        let text = serde_json::to_vec(value).map_err(|e| Problem::internal(&e))?;
        Ok(Self::text(StatusCode::OK, "application/json", text))
    }

    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Sets a header to a text of ours. A text that no header can carry is left out.
    pub(crate) fn set_text(&mut self, name: HeaderName, text: &str) {
        if let Ok(value) = HeaderValue::from_str(text) {
            self.headers.insert(name, value);
        }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let text = serde_json::json!({ "error": problem.error, "hint": problem.hint }).to_string();
        let mut reply = Self::text(problem.status, "application/json", text);
        if let Some(wait) = problem.retry_after {
            reply.set(header::RETRY_AFTER, HeaderValue::from(retry_seconds(wait)));
        }
        reply
    }
}
