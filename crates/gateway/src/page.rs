//! The page at `/`: plain files in the program. It can do nothing that another client could not do.

use crate::reply::Reply;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

static FILES: [File; 3] = [
    File { path: "/", content_type: "text/html; charset=utf-8", text: include_str!("../page/index.html") },
    File { path: "/page.js", content_type: "text/javascript; charset=utf-8", text: include_str!("../page/page.js") },
    File { path: "/page.css", content_type: "text/css; charset=utf-8", text: include_str!("../page/page.css") },
];

/// The file at this path.
pub(crate) fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|f| f.path == path)
}

pub(crate) fn reply(file: &File) -> Reply {
    let mut reply = Reply::text(StatusCode::OK, file.content_type, file.text);
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply.set(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    reply.set(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply.set(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_the_policy_forbids() {
        for file in &FILES {
            for forbidden in
                ["style=\"", "onclick=\"", "<script>", "<style>", "http://", "https://", "innerHTML", "eval("]
            {
                assert!(!file.text.contains(forbidden), "{}: {forbidden}", file.path);
            }
        }
    }
}
