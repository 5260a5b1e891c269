//! `/healthz`, `/readyz` and `/metrics`, for those who watch and reach only this listener. The figures name streams, so
//! they are for this machine alone, unless anyone may watch.

use crate::context::Context;
use crate::problem::Problem;
use crate::reached::ReachedBy;
use crate::reply::{Reply, text};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use livetape_service::ops::{exposition, is_local};
use std::sync::Arc;

/// Who may read the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watchers {
    Anyone,
    /// Whoever asks from here by a loopback name. A proxy on this machine that asks for others has to be a named one, or to pass
    /// their `Host` on.
    ThisMachine,
    Nobody,
}

pub(crate) async fn well() -> Response {
    text(StatusCode::OK, "text/plain; charset=utf-8", "well\n")
}

pub(crate) async fn ready(State(context): State<Arc<Context>>) -> Response {
    context.readiness.answer()
}

pub(crate) async fn metrics(State(context): State<Arc<Context>>, ReachedBy(reached): ReachedBy) -> Reply {
    // HTTP/1.0 has no Host, and no browser speaks it.
    let local = || reached.client.is_loopback() && reached.host.as_deref().is_none_or(is_local);
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
