//! Playlists: small files that lead a player to a stream, or to all of them, by whole addresses: those under which whoever asks
//! found this gateway, behind a trusted proxy the proxy's.
//!
//! A stream stands in them whether its source is there or not, because they are kept. Not here: audio (`live`).

use crate::context::Context;
use crate::gate::{Asker, Offered};
use crate::live;
use crate::plain::escaped;
use crate::problem::Problem;
use crate::query::{PlaylistAddress, Query};
use crate::rendition::{Kind, Named, Wanted};
use crate::reply::{Reply, set_text, text};
use crate::request::{Path, Request};
use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_DISPOSITION;
use http::request::Parts;
use livetape_access::{Shown, wall_clock};
use livetape_audio::{Container, StreamName};
use std::fmt::Write;
use std::sync::Arc;

/// Most streams of one playlist.
const MOST: usize = 1_000;

/// Of the files that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    M3u,
    Pls,
    Xspf,
}

/// A stream, and where it is.
struct Item {
    name: String,
    path: String,
    url: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Format {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only these are routed here.
        Ok(match parts.uri.path().rsplit('.').next() {
            Some("pls") => Self::Pls,
            Some("xspf") => Self::Xspf,
            _ => Self::M3u,
        })
    }
}

/// `GET /listen.m3u`, `.pls`, `.xspf`: all streams that one may hear.
pub(crate) async fn all(
    State(context): State<Arc<Context>>,
    Asker(caller): Asker,
    format: Format,
    Query(address): Query<PlaylistAddress>,
    Extension(Offered(shown)): Extension<Offered>,
    request: Request,
) -> Reply {
    let origin = origin(&request)?;
    let mut streams = context.library.catalogue().streams();
    streams.retain(|stream| caller.sees(stream));
    streams.truncate(MOST);
    // What there is not of one stream hides no other.
    let items = streams.iter().filter_map(|stream| item(&context, origin, stream, address).ok()).collect();
    Ok(reply(format, "livetape", &signed(&context, &shown, items).await))
}

/// `GET /streams/{stream}/listen.m3u`, `.pls`, `.xspf`.
pub(crate) async fn one(
    State(context): State<Arc<Context>>,
    Path(stream): Path<StreamName>,
    format: Format,
    Query(address): Query<PlaylistAddress>,
    Extension(Offered(shown)): Extension<Offered>,
    request: Request,
) -> Reply {
    live::known(&context, &stream)?;
    let item = item(&context, origin(&request)?, &stream, address)?;
    Ok(reply(format, stream.as_str(), &signed(&context, &shown, vec![item]).await))
}

/// With the signature by which the playlist was asked for, where that is good for what stands in it, too: players show nothing
/// else. What it is not good for stands there as it is.
async fn signed(context: &Context, shown: &Shown, mut items: Vec<Item>) -> Vec<Item> {
    let Shown::Url { signature, .. } = shown else { return items };
    for item in &mut items {
        let shown = Shown::Url { path: item.path.clone(), signature: signature.clone() };
        if context.access.identify(&shown, wall_clock()).await.is_err() {
            continue;
        }
        let mark = if item.url.contains('?') { '&' } else { '?' };
        // Writing to a string cannot fail.
        _ = write!(item.url, "{mark}sign={}", signature.reveal());
    }
    items
}

fn origin(request: &Request) -> Result<&str, Problem> {
    request.origin.as_deref().ok_or_else(|| {
        let error =
            "the request does not say under which name it found this gateway, and a playlist has whole addresses";
        Problem::bad_request(error, "send the header Host")
    })
}

fn item(context: &Context, origin: &str, stream: &StreamName, address: PlaylistAddress) -> Result<Item, Problem> {
    let latest = context.library.catalogue().latest(stream);
    let spec = latest.as_ref().map(|recording| recording.spec);
    let kind = match address.rendition {
        Some(Named { kind: Kind::Pcm(Container::Rf64), .. }) => {
            let error = "rf64 is of recordings, not of streams";
            return Err(Problem::bad_request(error, "ask for wav, or another rendition"));
        }
        Some(named) => named.kind,
        None => context.renditions.usual(spec),
    };
    if let Some(spec) = spec {
        context.renditions.choose(kind, Wanted { named: address.rendition, ..Wanted::default() }, spec)?;
    }
    let path = format!("/streams/{stream}/live.{}", kind.extension());
    let mut url = format!("{origin}{path}");
    // Without a bitrate there is nothing that the extension does not say.
    if let Some(named) = address.rendition.filter(|_| matches!(kind, Kind::Packets(_))) {
        // Writing to a string cannot fail.
        _ = write!(url, "?rendition={named}");
    }
    let title = latest.map(|recording| recording.title.to_string()).filter(|title| !title.is_empty());
    Ok(Item { name: title.unwrap_or_else(|| stream.to_string()), path, url })
}

fn reply(format: Format, name: &str, items: &[Item]) -> Response {
    let (content_type, extension) = match format {
        Format::M3u => ("audio/x-mpegurl", "m3u"),
        Format::Pls => ("audio/x-scpls", "pls"),
        Format::Xspf => ("application/xspf+xml", "xspf"),
    };
    let mut reply = text(StatusCode::OK, content_type, written(format, items));
    set_text(reply.headers_mut(), CONTENT_DISPOSITION, &format!("inline; filename=\"{name}.{extension}\""));
    reply
}

/// Names are titles, which have no line breaks, and names of streams.
fn written(format: Format, items: &[Item]) -> String {
    let mut out = String::new();
    match format {
        Format::M3u => {
            out.push_str("#EXTM3U\r\n");
            for Item { name, url, .. } in items {
                _ = write!(out, "#EXTINF:-1,{name}\r\n{url}\r\n");
            }
        }
        Format::Pls => {
            _ = write!(out, "[playlist]\r\nNumberOfEntries={}\r\n", items.len());
            for (n, Item { name, url, .. }) in (1..).zip(items) {
                _ = write!(out, "File{n}={url}\r\nTitle{n}={name}\r\nLength{n}=-1\r\n");
            }
            out.push_str("Version=2\r\n");
        }
        Format::Xspf => {
            out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
            out.push_str("<playlist version=\"1\" xmlns=\"http://xspf.org/ns/0/\">\n  <trackList>\n");
            for Item { name, url, .. } in items {
                // No XML has these two, whatever they are written as.
                let name = escaped(&name.replace(['\u{FFFE}', '\u{FFFF}'], "\u{FFFD}"));
                let url = escaped(url);
                _ = writeln!(out, "    <track><location>{url}</location><title>{name}</title></track>");
            }
            out.push_str("  </trackList>\n</playlist>\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_players_read_them() {
        let item = |name: &str, url: &str| Item { name: name.into(), path: "/".into(), url: url.into() };
        let items = [
            item("Studio <A> & \"B\"", "http://h/streams/a/live.mp3"),
            item("b", "http://h/streams/b/live.opus?rendition=opus-96"),
        ];
        assert_eq!(
            written(Format::M3u, &items),
            "#EXTM3U\r\n#EXTINF:-1,Studio <A> & \"B\"\r\nhttp://h/streams/a/live.mp3\r\n\
             #EXTINF:-1,b\r\nhttp://h/streams/b/live.opus?rendition=opus-96\r\n"
        );
        assert_eq!(
            written(Format::Pls, &items),
            "[playlist]\r\nNumberOfEntries=2\r\nFile1=http://h/streams/a/live.mp3\r\nTitle1=Studio <A> & \"B\"\r\nLength1=-1\r\n\
             File2=http://h/streams/b/live.opus?rendition=opus-96\r\nTitle2=b\r\nLength2=-1\r\nVersion=2\r\n"
        );
        let xml = written(Format::Xspf, &items);
        let first =
            "<location>http://h/streams/a/live.mp3</location><title>Studio &lt;A&gt; &amp; &quot;B&quot;</title>";
        assert!(xml.contains(first) && xml.matches("<track>").count() == 2, "{xml}");
        assert!(!written(Format::Xspf, &[item("a\u{FFFF}", "u")]).contains('\u{FFFF}'));
        assert!(written(Format::Pls, &[]).contains("NumberOfEntries=0\r\n"));
    }
}
