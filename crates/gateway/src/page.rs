//! The page at `/`, and the one at `/openapi` that shows the description of the interface: plain files in the program. They
//! can do nothing that another client could not do.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{self, HeaderName};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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

pub(crate) static FILES: [File; 8] = [
    File { path: "/", content_type: HTML, text: include_str!("../page/index.html") },
    File { path: "/page.js", content_type: SCRIPT, text: include_str!("../page/page.js") },
    File { path: "/page.css", content_type: STYLE, text: include_str!("../page/page.css") },
    File { path: "/openapi", content_type: HTML, text: include_str!("../page/openapi.html") },
    File { path: "/openapi.js", content_type: SCRIPT, text: include_str!("../page/openapi.js") },
    File { path: "/openapi.css", content_type: STYLE, text: include_str!("../page/openapi.css") },
    File { path: "/icon.svg", content_type: "image/svg+xml", text: ICON },
    // Where a browser looks that shows audio itself, without a page around it.
    File { path: "/favicon.ico", content_type: "image/svg+xml", text: ICON },
];

/// An address for each file.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, file| router.route(file.path, get(async || reply(file))))
}

/// Where its files are.
#[cfg(test)]
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.path)
}

fn reply(file: &'static File) -> Response {
    let headers = [
        (header::CONTENT_TYPE, file.content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, file.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_the_policy_forbids() {
        for file in &FILES {
            let text = file.text.replace("http://www.w3.org/2000/svg", "the namespace of SVG");
            for forbidden in
                ["style=\"", "onclick=\"", "<script>", "<style>", "http://", "https://", "innerHTML", "eval("]
            {
                assert!(!text.contains(forbidden), "{}: {forbidden}", file.path);
            }
        }
    }
}
