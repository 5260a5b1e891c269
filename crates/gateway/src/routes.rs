//! Which address is answered by what, and what is true of every request and every reply.

use crate::context::Context;
use crate::problem::{Problem, quoted};
use crate::query::decode;
use crate::reached::{self, Reached};
use crate::reply::{Reply, empty};
use crate::{
    events, gate, health, listing, live, loudness, marks, openapi, operations, page, peaks, plain, playlist, program,
    recording, session, trace,
};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version};
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;

/// Longest path that is looked at, in bytes.
const MAX_PATH: usize = 1_024;

/// What no page here needs of a browser.
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const NO_PERMISSIONS: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";
/// What a document that is no page may load, and who may show it: nothing, and nobody. Audio has none, because browsers show it in
/// a page of their own, which loads it.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/json") || kind.starts_with(b"text/"))
}

/// Every address. Requests carry their `Arc<Connection>` as an extension.
pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .merge(page::routes())
        .route("/plain", get(plain::serve))
        .route("/openapi.json", get(openapi::serve))
        .route("/healthz", get(health::well))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/session", get(session::who).post(session::begin).delete(session::end))
        .route("/events", get(events::all))
        .route("/listen.m3u", get(playlist::all))
        .route("/listen.pls", get(playlist::all))
        .route("/listen.xspf", get(playlist::all))
        .route("/streams", get(listing::streams))
        .route("/streams/{stream}", get(listing::stream).delete(operations::delete_stream))
        .route("/streams/{stream}/recordings", post(operations::begin))
        .route("/streams/{stream}/program", get(program::program))
        .route("/streams/{stream}/skip", post(program::skip))
        .route("/streams/{stream}/title", put(program::entitle))
        .route("/streams/{stream}/events", get(events::of_stream))
        .route("/streams/{stream}/listen.m3u", get(playlist::one))
        .route("/streams/{stream}/listen.pls", get(playlist::one))
        .route("/streams/{stream}/listen.xspf", get(playlist::one))
        .route("/streams/{stream}/{file}", get(live::audio))
        .route("/recordings", get(listing::recordings))
        .route("/recordings/{id}", get(listing::one).patch(operations::update).delete(operations::delete))
        .route("/recordings/{id}/seal", post(operations::seal))
        .route("/recordings/{id}/lock", put(operations::lock).delete(operations::unlock))
        .route("/recordings/{id}/marks", get(marks::as_json).post(operations::mark))
        .route("/recordings/{id}/timeline", get(listing::entries))
        .route("/recordings/{id}/marks.csv", get(marks::as_csv))
        .route("/recordings/{id}/marks.txt", get(marks::as_labels))
        .route("/recordings/{id}/clip.wav", get(recording::wav_clip))
        .route("/recordings/{id}/clip.mp3", get(recording::mp3_clip))
        .route("/recordings/{id}/loudness", get(loudness::loudness))
        .route("/recordings/{id}/peaks", get(peaks::either))
        .route("/recordings/{id}/peaks.json", get(peaks::as_json))
        .route("/recordings/{id}/peaks.dat", get(peaks::dat))
        .route("/recordings/{id}/{file}", get(recording::audio))
        .fallback(nothing)
        .layer(from_fn_with_state(context.clone(), every_request))
        .with_state(context)
}

async fn every_request(State(context): State<Arc<Context>>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let reached = match request.uri().path() {
        // Whoever checks whether this process is well asks by whatever address it has.
        "/healthz" | "/readyz" => Ok(reached::nameless(&context, &request)),
        _ => reached::of(&context, &request),
    };
    let client = reached.as_ref().map(|reached| reached.client).ok();
    let is_https = reached.as_ref().map_or(context.tls.is_some(), |reached| reached.is_https);
    let span = trace::begin(&request, route.as_ref().map(MatchedPath::as_str), client);
    let answering = async {
        let reached = reached?;
        request.extensions_mut().insert(reached.clone());
        answer(&context, &reached, request, next).await
    };
    let mut reply = answering.instrument(span.clone()).await.into_response();
    if reply.status() == StatusCode::METHOD_NOT_ALLOWED && !reply.headers().contains_key(header::CONTENT_TYPE) {
        reply = not_so().into_response();
    }
    // Where something can be changed, axum knows which addresses take what.
    if !reads && (context.operations.is_none() || route.is_none()) {
        reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    }
    context.origins.mark(origin.as_ref(), reply.headers_mut());
    context.instruments.answered(route.as_ref().map(MatchedPath::as_str), reply.status());
    reply.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply.headers_mut().insert(PERMISSIONS_POLICY, HeaderValue::from_static(NO_PERMISSIONS));
    if !reply.headers().contains_key(header::CONTENT_SECURITY_POLICY) && is_text(reply.headers()) {
        reply.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING));
    }
    if is_https {
        reply.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    trace::until_last_byte(span, reply)
}

async fn answer(context: &Context, reached: &Reached, request: Request, next: Next) -> Reply {
    let path = request.uri().path();
    if !matches!(path, "/healthz" | "/readyz") {
        context.limiter.request(reached.client)?;
        let is_http_1_1 = request.version() > Version::HTTP_10;
        context.origins.admit(request.method(), reached.host.as_deref(), request.headers(), is_http_1_1)?;
    }
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(options(context, request.headers())),
        // Nothing is changed by who logs in or out.
        _ if path == "/session" || context.takes(request.method()) => {}
        _ => return Err(operations::only_reads()),
    }
    if !*context.ready.borrow() && (path.starts_with("/streams") || path.starts_with("/recordings")) {
        let error = "the gateway does not know yet what there is: the recorder has not told";
        return Err(Problem::later(error, "try again in a moment", Duration::from_secs(1)));
    }
    if path.len() > MAX_PATH {
        let error = format!("the path is longer than {MAX_PATH} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, error, "no address here is that long"));
    }
    // axum would take a bad escape as it stands.
    if decode(path).is_none() {
        return Err(Problem::bad_request("the path is not UTF-8 in percent-encoding", "encode it again"));
    }
    gate::guarded(context, request, next).await
}

fn options(context: &Context, asked: &HeaderMap) -> Response {
    let mut headers = HeaderMap::new();
    context.origins.preflight(asked.get(header::ORIGIN), context.operations.is_some(), &mut headers);
    (StatusCode::NO_CONTENT, headers, empty()).into_response()
}

fn not_so() -> Problem {
    let error = "this is not to be done with this address";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, error, "the header Allow says what is")
}

async fn nothing(uri: Uri) -> Problem {
    let error = format!("there is nothing at {:?}", quoted(uri.path()));
    Problem::not_found(error, "see /streams, /recordings, /events, or the page at /")
}

#[cfg(test)]
mod tests {
    use livetape_access::{ENDPOINTS, Endpoint, Protocol};

    /// Method and address of every `.route` of the router above.
    fn routed() -> Vec<(&'static str, &'static str)> {
        let text = include_str!("routes.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let mut routed: Vec<_> = crate::page::paths().map(|path| ("GET", path)).collect();
        for (at, _) in text.match_indices(".route(\"") {
            let (path, handlers) = text[at + 8..].split_once("\", ").unwrap();
            let handlers = handlers.split("\n").next().unwrap();
            for (name, method) in
                [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("patch(", "PATCH"), ("delete(", "DELETE")]
            {
                if handlers.starts_with(name) || handlers.contains(&format!(".{name}")) {
                    routed.push((method, path));
                }
            }
        }
        routed
    }

    /// What the list above cannot see: a route that is written in another way, or elsewhere. The gate refuses it all the same.
    #[test]
    fn there_are_no_other_routes() {
        let text = include_str!("routes.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let written = text.matches(".route(").count();
        let listed = routed().iter().map(|(_, path)| path).collect::<std::collections::HashSet<_>>().len();
        assert_eq!(written + crate::page::paths().count(), listed, "a route is wrapped, or stands there twice");
        assert_eq!(text.matches(".merge(").count(), 1, "only what page::paths lists");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let files = walk(&folder);
        assert!(files.len() > 30);
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut others =
                vec![[".ne", "st("], [".nest_", "service("], [".route_", "service("], [".fallback_", "service("]];
            if !file.ends_with("routes.rs") && !file.ends_with("page.rs") {
                others.extend([[".ro", "ute("], [".mer", "ge("]]);
            }
            for other in others.iter().map(|parts| parts.concat()) {
                assert!(!text.contains(&other), "{} in {}", other, file.display());
            }
        }
    }

    fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn every_endpoint_has_a_row_and_every_row_an_endpoint() {
        let routed = routed();
        for (method, path) in &routed {
            assert!(Endpoint::http(method, path).is_some(), "{method} {path} has no row in livetape_access::ENDPOINTS");
        }
        for row in ENDPOINTS.iter().filter(|row| row.protocol == Protocol::Http) {
            assert!(routed.contains(&(row.method, row.path)), "nothing answers {} {}", row.method, row.path);
        }
    }
}
