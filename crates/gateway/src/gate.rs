//! Who may have what they ask for. Each request is for a row of the table of endpoints, which says what right it needs; what has
//! no row is not answered. A body whose right ends is reset.
//!
//! Proofs come in `Authorization`, as `sign=` in the query, or in the cookie that `session` gives to the page, and the first
//! of them counts.

use crate::audit::Asked;
use crate::connection::Connection;
use crate::context::Context;
use crate::metrics::Instruments;
use crate::problem::Problem;
use crate::query::decode;
use crate::reached::Reached;
use crate::receive::{Sent, receive};
use crate::reply::Reply;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri, Version};
use http_body::{Frame, SizeHint};
use livetape_access::{
    Caller, Denied, Ended, Endpoint, Needs, Permit, Refusal, Right, Secret, Shown, Tries, Unproven, Way, wall_clock,
};
use livetape_audio::{RecordingId, StreamName};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// The cookie of the page's session.
pub(crate) const COOKIE: &str = "livetape";

/// Most bytes of a body that is with the socket at once.
const SHORT: u64 = 64 << 10;
/// How long a body whose right has ended may take to notice.
const LATE: Duration = Duration::from_secs(1);
/// Nobody: no request comes from there.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What one client has shown that proves nothing.
pub(crate) struct Guesses<'a> {
    pub(crate) context: &'a Context,
    pub(crate) client: IpAddr,
}

impl Tries for Guesses<'_> {
    fn is_here(&self) -> bool {
        self.client.is_loopback()
    }
    fn failed(&self) -> Result<(), Duration> {
        self.context.limiter.proof_failed(self.client).map_err(|exceeded| exceeded.again)
    }
    fn held(&self) {
        self.context.limiter.proof_held(self.client);
    }
}

/// What a request shows. Takes the signature out of its address, so that nobody after sees it.
pub(crate) fn take_shown(request: &mut Request) -> Result<Shown, Problem> {
    let signature = take_signature(request.uri_mut())?;
    let headers = request.headers();
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let hint = "send Authorization: Bearer TOKEN, or Basic with user and password";
            let value = value.to_str().map_err(|_| Problem::bad_request("Authorization is not plain text", hint))?;
            return Shown::authorization(value).map_err(|error| Problem::bad_request(error.to_string(), hint));
        }
        (Some(_), Some(_)) => return Err(Problem::bad_request("Authorization is sent twice", "send it once")),
        (None, _) => {}
    }
    if let Some(signature) = signature {
        let path = decode(request.uri().path()).unwrap_or_default();
        return Ok(Shown::Url { path, signature: Secret::new(signature) });
    }
    Ok(cookie(headers).map_or(Shown::Nothing, |token| Shown::Bearer(Secret::new(token))))
}

fn take_signature(uri: &mut Uri) -> Result<Option<String>, Problem> {
    let Some(query) = uri.query().filter(|query| query.contains("sign=")) else { return Ok(None) };
    let (signed, rest): (Vec<_>, Vec<_>) = query.split('&').partition(|pair| pair.starts_with("sign="));
    let [signed] = signed[..] else {
        if signed.is_empty() {
            return Ok(None);
        }
        return Err(Problem::bad_request("the address is signed twice", "leave one `sign` in it"));
    };
    let wrong =
        || Problem::bad_request("the signature of the address cannot be read", "take the address as it was given");
    let signature = decode(&signed["sign=".len()..]).ok_or_else(wrong)?;
    let path = match rest.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), rest.join("&")),
    };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| wrong())?);
    *uri = Uri::from_parts(parts).map_err(|_| wrong())?;
    Ok(Some(signature))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// What the reply may need beyond what the request says.
pub(crate) struct Gate {
    caller: Caller,
    stream: Option<StreamName>,
    /// Method and route.
    what: String,
    /// From where.
    address: Option<IpAddr>,
    /// The connection, to be ended where a body is not asked for more.
    connection: Option<Arc<Connection>>,
    old: Option<Arc<Connection>>,
}

impl Gate {
    /// Lets a request for a known route through, with its [`Caller`] in its extensions.
    pub(crate) async fn enter(
        context: &Context,
        request: &mut Request,
        shown: Shown,
    ) -> Result<Option<Self>, Response> {
        let Some(route) = request.extensions().get::<MatchedPath>().cloned() else { return Ok(None) };
        let row = Endpoint::http(request.method().as_str(), route.as_str());
        let row = row.ok_or_else(|| not_so(route.as_str()))?;
        // What needs nothing is answered whatever is shown.
        let shown = if row.needs == Needs::Nothing { Shown::Nothing } else { shown };
        let now = wall_clock();
        let browser = is_browser(request.headers());
        let address = request.extensions().get::<Reached>().map(|reached| reached.client);
        let client = address.unwrap_or(UNKNOWN);
        let what = format!("{} {}", row.method, row.path);
        let refused = |denied: Denied, caller: Option<&Caller>, stream: Option<&StreamName>| {
            let why = denied.to_string();
            let reply = refuse(context, browser, denied);
            if let Needs::On(right) | Needs::Any(right) = row.needs {
                let asked = Asked { who: caller.map(Caller::identity), address, right, stream, what: &what };
                context.audit.refused(asked, reply.status().as_u16(), &why);
            }
            reply
        };
        let guesses = Guesses { context, client };
        let caller = Caller::admit_by(&context.access, &shown, &guesses, row.needs, now).await;
        let caller = caller.map_err(|why| refused(why, None, None))?;
        let counted = context.limiter.request_of(client, caller.identity().account());
        counted.map_err(|exceeded| Problem::from(exceeded).into_response())?;
        let stream =
            matches!(row.needs, Needs::On(_)).then(|| stream(context, route.as_str(), request.uri())).flatten();
        match &stream {
            Some(stream) => {
                if let Err(why) = caller.may(stream, now) {
                    let named = route.as_str().starts_with("/streams/");
                    let why = if named { why.into() } else { hidden(&caller) };
                    return Err(refused(why, Some(&caller), Some(stream)));
                }
            }
            // A recording that is not known here may be known to the recorder, and be another stream's.
            None if matches!(row.needs, Needs::On(_)) && !caller.sees_all() => {
                return Err(refused(hidden(&caller), Some(&caller), None));
            }
            None => {}
        }
        let old = (request.version() <= Version::HTTP_10).then(|| request.extensions().get().cloned()).flatten();
        request.extensions_mut().insert(caller.clone());
        let connection = request.extensions().get().cloned();
        Ok(Some(Self { caller, stream, what, address, connection, old }))
    }

    /// Has the body of a reply end with the right to it: at once, also where most of it is with the socket already. Who manages and exports is written down.
    pub(crate) fn watch(self, context: &Context, reply: Response) -> Response {
        if let Some(right) = self.caller.right() {
            let (who, stream) = (Some(self.caller.identity()), self.stream.as_ref());
            let asked = Asked { who, address: self.address, right, stream, what: &self.what };
            context.audit.asked(asked, reply.status().as_u16());
        }
        if !reply.status().is_success() || reply.body().is_end_stream() {
            return reply;
        }
        match self.caller.permit(self.stream, wall_clock()) {
            Ok(None) => reply,
            Ok(Some(permit)) => {
                // What is short is gone before anybody could want it back.
                let is_long = reply.body().size_hint().upper().is_none_or(|bytes| bytes > SHORT);
                let over = self.connection.filter(|_| is_long).map(|connection| cut_late(permit.clone(), connection));
                reply.map(|body| Body::new(Permitted::new(body, permit, context, self.old, over)))
            }
            Err(why) => refuse(context, true, why.into()),
        }
    }
}

/// Resets a connection whose body has not been asked for more since the right to it ended: over HTTP/2 as well, with whatever else
/// is on it, because a body that its client has no room for cannot be told of anything.
fn cut_late(permit: Permit, connection: Arc<Connection>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        permit.ended().await;
        tokio::time::sleep(LATE).await;
        connection.abort();
    }))
}

/// What is said of a recording that one may not have, and of one that there is not: the same.
fn hidden(caller: &Caller) -> Denied {
    let right = caller.right().unwrap_or(Right::Listen);
    match caller.identity().way() {
        Way::Anonymous => Refusal::Unproven { right }.into(),
        _ => Denied::Refused(Refusal::Nothing { right }),
    }
}

/// The stream that an address is about, if it exists.
fn stream(context: &Context, route: &str, uri: &Uri) -> Option<StreamName> {
    // Only the part that the handler takes: an escaped '/' in it makes it no name, here as there.
    let part = decode(uri.path().split('/').nth(2)?)?;
    match (route.split('/').nth(1)?, part) {
        ("streams", name) => name.parse().ok(),
        ("recordings", id) => {
            let recording = context.library.catalogue().get(id.parse::<RecordingId>().ok()?)?;
            Some(recording.stream.clone())
        }
        _ => None,
    }
}

/// 405: the route has rows, but none for this method.
fn not_so(route: &str) -> Response {
    let methods = livetape_access::ENDPOINTS.iter().filter(|row| row.path == route).map(|row| row.method);
    let mut methods: Vec<_> = methods.flat_map(|m| if m == "GET" { vec!["GET", "HEAD"] } else { vec![m] }).collect();
    methods.push("OPTIONS");
    let error = "this is not to be done with this address";
    let mut reply =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, error, "the header Allow says what is").into_response();
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) {
        reply.headers_mut().insert(header::ALLOW, allow);
    }
    reply
}

pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    headers.get(header::USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}

/// Says no: 401 where showing something may help, 403 where it does not.
pub(crate) fn refuse(context: &Context, browser: bool, why: Denied) -> Response {
    let access = &context.access;
    context.instruments.denied(match &why {
        Denied::Unproven(Unproven::Busy) => "busy",
        Denied::Unproven(Unproven::TooOften { .. }) => "too_often",
        Denied::Unproven(_) => "unproven",
        Denied::Refused(Refusal::Unproven { .. }) => "nothing_shown",
        Denied::Refused(_) => "no_right",
    });
    let text = why.to_string();
    match why {
        Denied::Unproven(Unproven::Busy) => Problem::later(text, "try again", Duration::from_secs(1)).into_response(),
        Denied::Unproven(Unproven::TooOften { again, .. }) => {
            Problem::too_many(text, "show what is right, once", again).into_response()
        }
        Denied::Refused(Refusal::Nothing { .. }) => {
            Problem::not_found(text, "see /streams and /recordings for what there is").into_response()
        }
        Denied::Refused(Refusal::NoRight { .. }) => {
            Problem::new(StatusCode::FORBIDDEN, text, "whoever looks after this gateway can allow it").into_response()
        }
        Denied::Refused(Refusal::Unproven { right }) if !access.is_configured() => {
            let error = format!("this gateway lets nobody {right}");
            let hint = format!(
                "say who may with `--access` (LIVETAPE_ACCESS), or allow it to everybody: `--anonymous {right}` \
                 (LIVETAPE_ANONYMOUS)"
            );
            Problem::new(StatusCode::FORBIDDEN, error, hint).into_response()
        }
        _ => {
            let hint = "send a token as Authorization: Bearer TOKEN, or log in on the page";
            let mut reply = Problem::new(StatusCode::UNAUTHORIZED, text, hint).into_response();
            let mut challenge =
                |text| reply.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(text));
            challenge("Bearer realm=\"livetape\"");
            // A browser would ask for it in a window of its own; the page asks by itself.
            if access.is_configured() && !browser {
                challenge("Basic realm=\"livetape\", charset=\"UTF-8\"");
            }
            reply
        }
    }
}

/// A body that ends with the right to it.
struct Permitted {
    body: Body,
    ended: BoxFuture<'static, Ended>,
    instruments: Instruments,
    /// The connection, where only closing it ends a body.
    old: Option<Arc<Connection>>,
    _over: Option<AbortOnDropHandle<()>>,
}

impl Permitted {
    fn new(
        body: Body,
        permit: Permit,
        context: &Context,
        old: Option<Arc<Connection>>,
        over: Option<AbortOnDropHandle<()>>,
    ) -> Self {
        Self { body, ended: permit.ended().boxed(), instruments: context.instruments.clone(), old, _over: over }
    }
}

impl HttpBody for Permitted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let task::Poll::Ready(why) = self.ended.poll_unpin(cx) {
            self.instruments.broken_off(match why {
                Ended::Expired => "right_expired",
                Ended::Revoked => "right_revoked",
            });
            if let Some(connection) = &self.old {
                connection.cut_hard();
            }
            return task::Poll::Ready(Some(Err(axum::Error::new(why))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Takes the caller of a request whose route has a row.
pub(crate) struct Asker(pub(crate) Caller);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Problem> {
        let missing = || Problem::internal(&std::io::Error::other("a request came past the gate"));
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(missing)
    }
}

/// What a request of its own showed, for the session.
#[derive(Clone)]
pub(crate) struct Offered(pub(crate) Shown);

/// The reply of a request that was let in, or why it was not.
pub(crate) async fn guarded(context: &Context, mut request: Request, next: Next) -> Reply {
    let shown = take_shown(&mut request)?;
    request.extensions_mut().insert(Offered(shown.clone()));
    match Gate::enter(context, &mut request, shown).await {
        Err(refusal) => Ok(refusal),
        Ok(None) => Ok(next.run(request).await),
        Ok(Some(gate)) => {
            if let Some(body) = request.extensions_mut().remove::<Sent>().and_then(|sent| sent.take()) {
                let received = receive(body, context).await;
                request.extensions_mut().insert(received);
            }
            Ok(gate.watch(context, next.run(request).await))
        }
    }
}
