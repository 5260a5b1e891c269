//! How the client of a request reached this gateway: who it is, and under which address it asked. Handlers take a
//! [`Reached`] from the request; behind a proxy that is not believed it is how the proxy did.

use crate::connection::Connection;
use crate::context::Context;
use crate::problem::Problem;
use axum::extract::{FromRequestParts, Request};
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
pub(crate) use livetape_service::Reached;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How it did.
pub(crate) fn of(context: &Context, request: &Request) -> Result<Reached, Problem> {
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => single(request.headers(), header::HOST)?,
    };
    Ok(with_host(context, request, host))
}

/// The same for who is answered under any name.
pub(crate) fn nameless(context: &Context, request: &Request) -> Reached {
    with_host(context, request, None)
}

fn with_host(context: &Context, request: &Request, host: Option<&str>) -> Reached {
    let connection = request.extensions().get::<Arc<Connection>>();
    // Every request came over a connection.
    let peer = connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |connection| connection.peer);
    context.proxies.reached(Reached::directly(peer, context.tls.is_some(), host), request.headers())
}

fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Problem::bad_request(format!("the header {name} is not plain text"), "send a host name")),
        },
        _ => Err(Problem::bad_request(format!("the header {name} is sent twice"), "send it once")),
    }
}

/// Takes it from the request, where it was put before anything was answered.
pub(crate) struct ReachedBy(pub(crate) Reached);

impl<S: Send + Sync> FromRequestParts<S> for ReachedBy {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || Problem::internal(&std::io::Error::other("nobody looked how a request came here"));
        parts.extensions.get::<Reached>().cloned().map(Self).ok_or_else(missing)
    }
}
