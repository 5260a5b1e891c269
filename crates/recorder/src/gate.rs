//! Who may call what. Each call has a row in the table of endpoints, which says what right it needs; what has no row is not
//! answered. About which stream a call is stands in its messages, so the services ask the [`Caller`] about it; what goes on
//! for a while ends with the right to it.

use crate::audit::Refusals;
use crate::checks::Checks;
use crate::incoming::Client;
use crate::metrics::Instruments;
use crate::status;
use futures::future::{BoxFuture, FutureExt};
use http::header::AUTHORIZATION;
use http_body_util::BodyExt;
use livetape_access::{
    Access, Caller, Denied, Ended, Endpoint, Needs, Permit, Refusal, Shown, Tries, Unproven, Way, wall_clock,
};
use livetape_audio::{StreamName, WallTime};
use livetape_service::limits::Places;
use livetape_service::{Limiter, Proxies, Reached};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::{Code, Extensions, Status};
use tower::{Layer, Service};

/// Puts a gate before the services.
#[derive(Clone)]
pub(crate) struct GateLayer {
    pub(crate) access: Arc<Access>,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) checks: Arc<Checks>,
    pub(crate) refusals: Arc<Refusals>,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;
    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, layer: self.clone() }
    }
}

/// The services behind the gate.
#[derive(Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    layer: GateLayer,
}

impl<S, B> Service<http::Request<B>> for Gate<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // The one that is ready, not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        let (path, shown, client) = (request.uri().path().to_owned(), shown(&request), layer.client(&request));
        let connection = request.extensions().get::<Client>().cloned();
        async move {
            match layer.admit(&path, shown, client).await {
                Ok((caller, places)) => {
                    let is_check = caller.right().is_none();
                    request.extensions_mut().insert(caller.clone());
                    let reply = if is_check {
                        layer.checks.answer(&path, client, connection, inner.call(request)).await?
                    } else {
                        if let Some(connection) = connection {
                            connection.let_in();
                        }
                        inner.call(request).await?
                    };
                    if let Some(status) = Status::from_header_map(reply.headers()) {
                        layer.refusals.write_down(&path, client, Some(caller.identity()), &status);
                    }
                    // Held for as long as the call lasts.
                    let held = move |frame| {
                        let _ = &places;
                        frame
                    };
                    Ok(reply.map(|body| Body::new(body.map_frame(held))))
                }
                Err(status) => {
                    layer.refusals.write_down(&path, client, None, &status);
                    Ok(status.into_http())
                }
            }
        }
        .boxed()
    }
}

fn shown<B>(request: &http::Request<B>) -> Result<Shown, Status> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(match request.extensions().get::<Client>() {
            Some(Client { certificate, .. }) if !certificate.names.is_empty() => Shown::Certificate {
                names: certificate.names.clone(),
                until: certificate.until.map(|end| WallTime::default().later(end)),
            },
            _ => Shown::Nothing,
        }),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| unreadable("authorization is not plain text"))?;
            Shown::authorization(text).map_err(|error| unreadable(&error.to_string()))
        }
        _ => Err(unreadable("authorization is sent twice")),
    }
}

fn unreadable(text: &str) -> Status {
    status::refused(Code::Unauthenticated, "UNREADABLE_PROOF", [], text)
}

impl GateLayer {
    /// Who calls, or has a proxy call.
    fn client<B>(&self, request: &http::Request<B>) -> IpAddr {
        let peer = request.extensions().get::<Client>().and_then(|client| client.peer);
        let direct = Reached::directly(peer.unwrap_or(UNKNOWN), false, None);
        self.proxies.reached(direct, request.headers()).client
    }

    async fn admit(
        &self,
        path: &str,
        shown: Result<Shown, Status>,
        client: IpAddr,
    ) -> Result<(Caller, Places), Status> {
        let row = Endpoint::grpc(path);
        // Whoever checks whether this process is well is answered in any case, as one of the checks.
        let is_limited = row.is_none() || !path.starts_with("/grpc.health.");
        if is_limited {
            self.limiter.request(client).map_err(|exceeded| status::limited(&exceeded))?;
        }
        let row =
            row.ok_or_else(|| status::refused(Code::Unimplemented, "NO_SUCH_CALL", [], "there is no such call"))?;
        // What needs nothing is answered whatever is shown.
        let shown = if row.needs == Needs::Nothing { Shown::Nothing } else { shown? };
        let guesses = Guesses { limiter: &self.limiter, client };
        let admitted = Caller::admit_by(&self.access, &shown, &guesses, row.needs, wall_clock()).await;
        let caller = admitted.map_err(|why| {
            self.instruments.refused(match &why {
                Denied::Unproven(Unproven::Busy) => "access_busy",
                Denied::Unproven(Unproven::TooOften { .. }) => "access_too_often",
                Denied::Unproven(_) => "access_unproven",
                Denied::Refused(Refusal::Unproven { .. }) => "access_nothing_shown",
                Denied::Refused(_) => "access_no_right",
            });
            denied(why)
        })?;
        let account = caller.identity().account().filter(|_| is_limited);
        self.limiter.request_of(client, account).map_err(|exceeded| status::limited(&exceeded))?;
        let places = match is_limited {
            true => self.limiter.lasting(client, account).map_err(|exceeded| status::limited(&exceeded))?,
            false => [None, None],
        };
        Ok((caller, places))
    }
}

/// Nobody: no call comes from there.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What one client has shown that proves nothing.
struct Guesses<'a> {
    limiter: &'a Limiter,
    client: IpAddr,
}

impl Tries for Guesses<'_> {
    fn is_here(&self) -> bool {
        self.client.is_loopback()
    }
    fn failed(&self) -> Result<(), Duration> {
        self.limiter.proof_failed(self.client).map_err(|exceeded| exceeded.again)
    }
    fn held(&self) {
        self.limiter.proof_held(self.client);
    }
}

/// Who calls.
pub(crate) fn caller(extensions: &Extensions) -> Result<Caller, Status> {
    let missing = || Status::internal("a call came past the gate; this is a mistake in the recorder");
    extensions.get::<Caller>().cloned().ok_or_else(missing)
}

/// Whether the call may be about this stream.
pub(crate) fn may(caller: &Caller, stream: &StreamName) -> Result<(), Status> {
    caller.may(stream, wall_clock()).map_err(|why| denied(why.into()))
}

/// The end of the right to what goes on, of one stream or of all that the caller sees.
pub(crate) fn right(caller: &Caller, stream: Option<&StreamName>) -> Result<Right, Status> {
    caller.permit(stream.cloned(), wall_clock()).map(Right).map_err(|why| denied(why.into()))
}

/// A right that lasts for a while, or for ever.
pub(crate) struct Right(Option<Permit>);

impl Right {
    /// That of nobody in particular: it never ends.
    #[cfg(test)]
    pub(crate) const fn lasting() -> Self {
        Self(None)
    }

    /// Waits until it has ended, and says so.
    pub(crate) async fn ended(self) -> Status {
        let Some(permit) = self.0 else { return std::future::pending().await };
        let why = permit.ended().await;
        let reason = match why {
            Ended::Expired => "RIGHT_EXPIRED",
            Ended::Revoked => "RIGHT_REVOKED",
        };
        status::refused(Code::Unauthenticated, reason, [], why.to_string())
    }
}

/// What is said to somebody who has shown nothing, and who may not know whether there is what was asked for.
pub(crate) fn nothing_shown(caller: &Caller) -> Option<Status> {
    let is_nobody = caller.identity().way() == Way::Anonymous && !caller.sees_all();
    let right = caller.right().filter(|_| is_nobody)?;
    Some(denied(Refusal::Unproven { right }.into()))
}

fn denied(why: Denied) -> Status {
    let text = why.to_string();
    match why {
        Denied::Unproven(Unproven::Busy) => status::later(Code::Unavailable, "BUSY", text),
        Denied::Unproven(Unproven::TooOften { again, .. }) => status::limit("failed_proofs", text, again),
        Denied::Refused(Refusal::NoRight { .. } | Refusal::Nothing { .. }) => {
            status::refused(Code::PermissionDenied, "NO_RIGHT", [], text)
        }
        Denied::Refused(Refusal::Unproven { .. }) => status::refused(Code::Unauthenticated, "NOTHING_SHOWN", [], text),
        Denied::Refused(Refusal::Expired { .. }) | Denied::Unproven(Unproven::Expired(_)) => {
            status::refused(Code::Unauthenticated, "RIGHT_EXPIRED", [], text)
        }
        Denied::Unproven(_) | Denied::Refused(Refusal::Revoked) => {
            status::refused(Code::Unauthenticated, "NOT_PROVED", [], text)
        }
    }
}
