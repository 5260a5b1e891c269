//! `/healthz`, `/readyz` and `/metrics`, for those who watch and reach only this listener. The figures name streams, and
//! listeners come here from everywhere: they are for this machine alone. Others who may watch have an address of their own.

use crate::context::Context;
use crate::problem::Problem;
use crate::reached::ReachedBy;
use crate::reply::{Reply, text};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use livetape_service::ops::{exposition, is_local};
use std::sync::Arc;

pub(crate) async fn well() -> Response {
    text(StatusCode::OK, "text/plain; charset=utf-8", "well\n")
}

pub(crate) async fn ready(State(context): State<Arc<Context>>) -> Response {
    context.readiness.answer()
}

pub(crate) async fn metrics(State(context): State<Arc<Context>>, ReachedBy(reached): ReachedBy) -> Reply {
    // By a loopback name: a proxy on this machine that asks for others has to be a named one, or to pass their `Host` on. HTTP/1.0
    // has no Host, and no browser speaks it.
    let from_here = reached.client.is_loopback() && reached.host.as_deref().is_none_or(is_local);
    if !(context.is_local && from_here) {
        let hint = "ask at LIVETAPE_OPS_ADDR, which LIVETAPE_ANONYMOUS=watch opens to other machines";
        return Err(Problem::new(StatusCode::FORBIDDEN, "how this gateway is doing is not for everybody", hint));
    }
    Ok(exposition(&context.instruments.metrics))
}
