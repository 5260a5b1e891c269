//! From a request to its reply: who may ask, which address it is, and what is true of every reply.

use crate::body::{Body, Counted};
use crate::connection::{Connection, InFlight};
use crate::context::Context;
use crate::page;
use crate::problem::{Problem, quoted};
use crate::query::decode;
use crate::reply::Reply;
use crate::request::Request;
use crate::{body, events, listing, live, recording};
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use livetape_audio::{Container, RecordingId, StreamName};
use std::sync::Arc;

/// Longest path that is looked at, in bytes.
const MAX_PATH: usize = 1_024;
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// An address of the gateway.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Page(&'static page::File),
    Health,
    Ready,
    Streams,
    Stream(StreamName),
    Live(StreamName, Container),
    Events(Option<StreamName>),
    Recordings,
    Recording(RecordingId),
    Audio(RecordingId, Container),
    Timeline(RecordingId),
}

/// Answers one request.
pub(crate) async fn handle<B>(
    context: Arc<Context>,
    connection: Arc<Connection>,
    request: http::Request<B>,
) -> Response<Body> {
    let in_flight = connection.request(request.version());
    let (parts, _) = request.into_parts();
    let origin = parts.headers.get(header::ORIGIN);
    let mut reply = match answer(&context, &connection, &parts).await {
        Ok(reply) => reply,
        Err(problem) => Reply::from(problem),
    };
    context.origins.mark(origin, &mut reply.headers);
    reply.set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if parts.method == Method::HEAD {
        reply.body = body::empty();
    }
    counted(reply, in_flight)
}

fn counted(reply: Reply, in_flight: InFlight) -> Response<Body> {
    reply.into_response().map(|body| Counted { body, _in_flight: in_flight }.boxed_unsync())
}

async fn answer(
    context: &Arc<Context>,
    connection: &Arc<Connection>,
    parts: &http::request::Parts,
) -> Result<Reply, Problem> {
    let route = route(parts.uri.path());
    // Whoever checks whether this process is well asks by whatever address it has.
    if !matches!(route, Ok(Route::Health | Route::Ready)) {
        context.origins.admit(&parts.method, &parts.uri, &parts.headers, parts.version > Version::HTTP_10)?;
    }
    match parts.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(options(context, parts)),
        _ => return Ok(wrong_method()),
    }
    let request = Request {
        head: parts.method == Method::HEAD,
        version: parts.version,
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        connection,
    };
    match route? {
        Route::Page(file) => Ok(page::reply(file)),
        Route::Health => Ok(Reply::text(StatusCode::OK, "text/plain", "well\n")),
        Route::Ready => Ok(ready(context)),
        Route::Streams => listing::streams(context, request.query).await,
        Route::Stream(name) => listing::stream(context, request.query, &name).await,
        Route::Live(name, container) => live::audio(context, &request, &name, container).await,
        Route::Events(only) => events::events(context, &request, only),
        Route::Recordings => listing::recordings(context, request.query).await,
        Route::Recording(id) => listing::one(context, request.query, id).await,
        Route::Audio(id, container) => recording::audio(context, &request, id, container).await,
        Route::Timeline(id) => listing::entries(context, request.query, id).await,
    }
}

fn route(path: &str) -> Result<Route, Problem> {
    if path.len() > MAX_PATH {
        let error = format!("the path is longer than {MAX_PATH} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, error, "no address here is that long"));
    }
    if let Some(file) = page::file(path) {
        return Ok(Route::Page(file));
    }
    // Decoded after splitting, so that an encoded slash is part of a name, which then is none.
    let decoded: Option<Vec<String>> = path.split('/').skip(1).map(|segment| decode(segment, false)).collect();
    let Some(decoded) = decoded else {
        return Err(Problem::bad_request("the path is not UTF-8 in percent-encoding", "encode it again"));
    };
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    match *segments.as_slice() {
        ["healthz"] => Ok(Route::Health),
        ["readyz"] => Ok(Route::Ready),
        ["streams"] => Ok(Route::Streams),
        ["events"] => Ok(Route::Events(None)),
        ["recordings"] => Ok(Route::Recordings),
        ["streams", name] => Ok(Route::Stream(stream(name)?)),
        ["streams", name, "events"] => Ok(Route::Events(Some(stream(name)?))),
        ["streams", name, file] => {
            let container = container(file, "live").filter(|c| *c != Container::Rf64);
            let container = container.ok_or_else(|| no_file(file, "live.wav and live.pcm"))?;
            Ok(Route::Live(stream(name)?, container))
        }
        ["recordings", id] => Ok(Route::Recording(recording_id(id)?)),
        ["recordings", id, "timeline"] => Ok(Route::Timeline(recording_id(id)?)),
        ["recordings", id, file] => {
            let container = container(file, "audio");
            let container = container.ok_or_else(|| no_file(file, "audio.wav, audio.pcm, audio.rf64 and timeline"))?;
            Ok(Route::Audio(recording_id(id)?, container))
        }
        _ => {
            let error = format!("there is nothing at {:?}", quoted(path));
            Err(Problem::not_found(error, "see /streams, /recordings, /events, or the page at /"))
        }
    }
}

fn stream(name: &str) -> Result<StreamName, Problem> {
    name.parse().map_err(|_| {
        Problem::not_found(
            format!("{:?} is no name of a stream", quoted(name)),
            "see /streams for those that there are",
        )
    })
}

fn recording_id(id: &str) -> Result<RecordingId, Problem> {
    id.parse().map_err(|_| {
        let error = format!("{:?} is no id of a recording", quoted(id));
        Problem::not_found(error, "see /recordings for those that there are")
    })
}

fn container(file: &str, stem: &str) -> Option<Container> {
    Container::from_extension(file.strip_prefix(stem)?.strip_prefix('.')?)
}

fn no_file(file: &str, what: &str) -> Problem {
    Problem::not_found(format!("there is no {:?} here", quoted(file)), format!("there are {what}"))
}

fn options(context: &Context, parts: &http::request::Parts) -> Reply {
    let mut reply = Reply::new(StatusCode::NO_CONTENT);
    reply.set(header::ALLOW, METHODS);
    context.origins.preflight(parts.headers.get(header::ORIGIN), &mut reply.headers);
    reply
}

fn wrong_method() -> Reply {
    let error = "this gateway only lets listen: nothing is changed through it";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, error, "use GET or HEAD");
    let mut reply = Reply::from(problem);
    reply.set(header::ALLOW, METHODS);
    reply
}

fn ready(context: &Context) -> Reply {
    if context.drain.is_cancelled() {
        return Reply::text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "shutting down\n");
    }
    Reply::text(StatusCode::OK, "text/plain", "ready\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let id = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10";
        let name = || "studio-a".parse().unwrap();
        assert_eq!(route("/streams/studio-a/live.wav").unwrap(), Route::Live(name(), Container::Wav));
        assert_eq!(route("/streams/studio%2Da").unwrap(), Route::Stream(name()), "the same name");
        let audio = route(&format!("/recordings/{id}/audio.rf64")).unwrap();
        assert_eq!(audio, Route::Audio(id.parse().unwrap(), Container::Rf64));
        assert!(matches!(route("/"), Ok(Route::Page(_))));
        assert_eq!(route("/events").unwrap(), Route::Events(None));
    }

    #[test]
    fn hostile_paths_are_refused() {
        let id = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10";
        for (path, status) in [
            ("", 404),
            ("//", 404),
            ("/streams/", 404),
            ("/streams/../../etc/passwd", 404),
            ("/streams/..", 404),
            ("/streams/a%2Fb", 404),
            ("/streams/a%00", 404),
            ("/streams/%ff", 400),
            ("/streams/%2", 400),
            ("/streams/%zz", 400),
            ("/streams/A/live.wav", 404),
            ("/streams/a/live.rf64", 404),
            ("/streams/a/live.mp3", 404),
            ("/streams/a/live", 404),
            ("/streams/a/live.wav/x", 404),
            ("/recordings/x/audio.wav", 404),
            (&format!("/recordings/{}/audio.wav", id.to_uppercase()), 404),
            (&format!("/recordings/{id}/audio.flac"), 404),
            (&format!("/recordings/{id}/"), 404),
            (&"/a".repeat(5_000), 414),
        ] {
            let problem = route(path).unwrap_err();
            assert_eq!(problem.status, status, "{path}");
            assert!(problem.error.len() < 300 && problem.hint.len() < 300);
        }
    }
}
