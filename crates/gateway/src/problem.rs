//! What a client is told when it cannot have what it asked for: what was wrong, and what to do.

use crate::library::ReadError;
use crate::reply::text;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use livetape_audio::ViewError;
use livetape_service::Exceeded;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use tonic::{Code, Status};

/// Most characters of a client's own words that are ever sent back.
const MAX_QUOTED: usize = 100;

/// A refused request. Sent as [`Said`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Status of the reply.
    pub(crate) status: StatusCode,
    /// What was wrong.
    pub(crate) error: String,
    /// What to do.
    pub(crate) hint: String,
    /// When to come back.
    pub(crate) retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: hint.into(), retry_after: None }
    }

    pub(crate) fn bad_request(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    pub(crate) fn not_found(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, hint)
    }

    /// 503: come back after `wait`.
    pub(crate) fn later(error: impl Into<String>, hint: impl Into<String>, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, error, hint) }
    }

    /// 409: what was asked for is not recorded yet, which is nobody's failure; it may be after `wait`.
    pub(crate) fn not_yet(error: impl Into<String>, hint: impl Into<String>, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(StatusCode::CONFLICT, error, hint) }
    }

    /// 429: come back after `wait`.
    pub(crate) fn too_many(error: impl Into<String>, hint: impl Into<String>, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, error, hint) }
    }

    /// Something of a recording could not be read: because of its recorder elsewhere, or of the disk.
    pub(crate) fn unread(error: &ReadError) -> Self {
        let status = error.source.as_deref().and_then(|source| source.downcast_ref::<Status>());
        match status.map(Status::code) {
            Some(Code::Unimplemented) => Self::unable("the recorder does not tell this"),
            Some(Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown) => {
                let again = Duration::from_secs(1);
                Self::later("the recorder cannot be reached now", "try again", again)
            }
            Some(Code::NotFound) => Self::not_found("the recording is gone", "see /recordings for what there is"),
            _ => Self::internal(error),
        }
    }

    /// 501: the recorder is of another version, which does not know what was asked.
    pub(crate) fn unable(error: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, error, "run the same version everywhere")
    }

    /// 500, for what is nobody's fault outside. Details go to the log.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        let what = "the recording could not be read";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what, "try again; the gateway's log says why")
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::too_many(exceeded.to_string(), exceeded.hint(), exceeded.again)
    }
}

impl From<ViewError> for Problem {
    fn from(error: ViewError) -> Self {
        let text = error.to_string();
        match error {
            ViewError::Reversed { .. } => Self::bad_request(text, "let `to` be after `pos` or `from`"),
            ViewError::PastEnd { .. } => Self::not_found(text, "ask for an earlier place"),
            ViewError::Empty { .. } => {
                Self::not_found(text, "ask for a longer part; see the recording's timeline for gaps")
            }
            ViewError::NotYet { wait, .. } => Self::not_yet(text, "come back when it has been recorded", wait),
        }
    }
}

/// A refusal, as it is sent.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Said {
    /// What was wrong.
    error: String,
    /// What to do.
    hint: String,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let said = Said { error: self.error, hint: self.hint };
        let mut reply = text(self.status, "application/json", serde_json::to_vec(&said).unwrap_or_default());
        if let Some(wait) = self.retry_after {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_seconds(wait)));
        }
        reply
    }
}

/// The beginning of a client's own words.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}

/// `Retry-After` in whole seconds: at least 1, at most an hour.
pub(crate) fn retry_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).clamp(1, 3_600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_useful_number() {
        let seconds = |ms| retry_seconds(Duration::from_millis(ms));
        assert_eq!((seconds(0), seconds(1_000), seconds(1_001), seconds(100_000_000)), (1, 1, 2, 3_600));
    }
}
