//! `/healthz`, `/readyz` and `/metrics`, for those who watch and reach only this listener. The figures name streams, so
//! they are for this machine alone, unless anyone may watch.

use crate::context::Context;
use crate::problem::Problem;
use crate::reply::{Reply, text};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::{HOST, HeaderMap};
use livetape_service::ops::{exposition, is_local};
use std::sync::Arc;

/// Who may read the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watchers {
    Anyone,
    /// Whoever asks by a loopback name. A proxy on this machine that asks for others should pass their `Host` on.
    ThisMachine,
    Nobody,
}

pub(crate) async fn well() -> Response {
    text(StatusCode::OK, "text/plain; charset=utf-8", "well\n")
}

pub(crate) async fn ready(State(context): State<Arc<Context>>) -> Response {
    context.readiness.answer()
}

pub(crate) async fn metrics(State(context): State<Arc<Context>>, headers: HeaderMap) -> Reply {
    // HTTP/1.0 has no Host, and no browser speaks it.
    let local = || headers.get(HOST).is_none_or(|host| host.to_str().is_ok_and(is_local));
    match context.watchers {
        Watchers::Anyone => {}
        Watchers::ThisMachine if local() => {}
        Watchers::ThisMachine | Watchers::Nobody => {
            let hint =
                "ask at LIVETAPE_OPS_ADDR on its machine, or allow it to everybody with LIVETAPE_ANONYMOUS=watch";
            return Err(Problem::new(StatusCode::FORBIDDEN, "how this gateway is doing is not for everybody", hint));
        }
    }
    Ok(exposition(&context.instruments.metrics))
}
