//! The page at `/`, and the one at `/openapi` that shows the description of the interface: plain files in the program. They
//! can do nothing that another client could not do. What is shown without scripts: [`crate::plain`].

use crate::problem::Problem;
use crate::reply::Reply;
use crate::request::{Path, Segment};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{self, HeaderName};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the modules of the page are.
pub(crate) const MODULES_AT: &str = "/page/{file}";

/// A file of the page.
pub(crate) struct File {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const ICON: &str = include_str!("../page/icon.svg");

pub(crate) static FILES: [File; 7] = [
    File { path: "/", content_type: HTML, text: include_str!("../page/index.html") },
    File { path: "/page.css", content_type: STYLE, text: include_str!("../page/page.css") },
    File { path: "/openapi", content_type: HTML, text: include_str!("../page/openapi.html") },
    File { path: "/openapi.js", content_type: SCRIPT, text: include_str!("../page/openapi.js") },
    File { path: "/openapi.css", content_type: STYLE, text: include_str!("../page/openapi.css") },
    File { path: "/icon.svg", content_type: "image/svg+xml", text: ICON },
    // Where a browser looks that shows audio itself, without a page around it.
    File { path: "/favicon.ico", content_type: "image/svg+xml", text: ICON },
];

/// The modules of the script, by name.
pub(crate) static MODULES: [(&str, &str); 31] = [
    ("api.js", include_str!("../page/api.js")),
    ("app.js", include_str!("../page/app.js")),
    ("archive.js", include_str!("../page/archive.js")),
    ("controls.js", include_str!("../page/controls.js")),
    ("deck.js", include_str!("../page/deck.js")),
    ("dialog.js", include_str!("../page/dialog.js")),
    ("dom.js", include_str!("../page/dom.js")),
    ("facts.js", include_str!("../page/facts.js")),
    ("feed.js", include_str!("../page/feed.js")),
    ("format.js", include_str!("../page/format.js")),
    ("gaps.js", include_str!("../page/gaps.js")),
    ("lane.js", include_str!("../page/lane.js")),
    ("levels.js", include_str!("../page/levels.js")),
    ("marks.js", include_str!("../page/marks.js")),
    ("mending.js", include_str!("../page/mending.js")),
    ("mix.js", include_str!("../page/mix.js")),
    ("monitor.js", include_str!("../page/monitor.js")),
    ("opener.js", include_str!("../page/opener.js")),
    ("paint.js", include_str!("../page/paint.js")),
    ("peaks.js", include_str!("../page/peaks.js")),
    ("player.js", include_str!("../page/player.js")),
    ("readout.js", include_str!("../page/readout.js")),
    ("renditions.js", include_str!("../page/renditions.js")),
    ("rights.js", include_str!("../page/rights.js")),
    ("row.js", include_str!("../page/row.js")),
    ("selection.js", include_str!("../page/selection.js")),
    ("session.js", include_str!("../page/session.js")),
    ("streams.js", include_str!("../page/streams.js")),
    ("tape.js", include_str!("../page/tape.js")),
    ("view.js", include_str!("../page/view.js")),
    ("waveform.js", include_str!("../page/waveform.js")),
];

/// An address for each file.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let files = FILES
        .iter()
        .fold(Router::new(), |router, file| router.route(file.path, get(async || reply(file.content_type, file.text))));
    files.route(MODULES_AT, get(module))
}

/// Where its files are.
#[cfg(test)]
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.path).chain([MODULES_AT])
}

/// A module of the script, as part of an address.
pub(crate) struct Module(&'static str);

impl Segment for Module {
    const NAME: &'static str = "file";

    fn read(text: &str) -> Result<Self, Problem> {
        let found = MODULES.iter().find(|(name, _)| *name == text);
        let unknown = || Problem::not_found("the page has no such file", "the page is at /");
        found.map(|(_, text)| Self(text)).ok_or_else(unknown)
    }
}

async fn module(Path(Module(text)): Path<Module>) -> Reply {
    Ok(reply(SCRIPT, text))
}

/// A page that is made when it is asked for.
pub(crate) fn page(text: String) -> Response {
    reply(HTML, text)
}

fn reply(content_type: &'static str, text: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, text.into()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_the_policy_forbids() {
        let files = FILES.iter().map(|file| (file.path, file.text)).chain(MODULES);
        for (name, text) in files {
            let text = text.replace("http://www.w3.org/2000/svg", "the namespace of SVG");
            for forbidden in
                ["style=\"", "onclick=\"", "<script>", "<style>", "http://", "https://", "innerHTML", "eval("]
            {
                assert!(!text.contains(forbidden), "{name}: {forbidden}");
            }
        }
    }
}
