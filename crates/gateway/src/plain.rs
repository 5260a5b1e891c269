//! Streams and recordings for browsers without scripts, at `/plain`: audio elements and links, nothing that moves.

use crate::context::Context;
use crate::gate::Asker;
use crate::page;
use crate::query::{ListAddress, Query};
use crate::reply::Reply;
use axum::extract::State;
use livetape_access::wall_clock;
use livetape_audio::Frame;
use livetape_store::Recording;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The newest are at the end of the list: without scripts nobody looks for them there.
const RECENT: Duration = Duration::from_secs(86_400);

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Livetape</title>\n\
                    <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"/page.css\">\n\
                    </head>\n<body class=\"plain\">\n<header><h1>Livetape</h1></header>\n<main>\n";
const FOOT: &str = "</main>\n</body>\n</html>\n";

/// `GET /plain`: the streams, and a page of recordings, oldest first, by the parameters of `/recordings`.
pub(crate) async fn serve(
    State(context): State<Arc<Context>>,
    Asker(caller): Asker,
    Query(address): Query<ListAddress>,
) -> Reply {
    let ListAddress { stream, from, to, after, limit } = address.clone();
    let catalogue = context.library.catalogue();
    let mut out = String::from(HEAD);
    if after.is_none() {
        out.push_str("<h2>Streams</h2>\n");
        for name in catalogue.streams().iter().filter(|name| caller.sees(name)) {
            // Names are letters, digits and `._-`. Writing to a string cannot fail.
            _ = write!(
                out,
                "<h3>{name}</h3>\n<p><audio controls preload=\"none\" src=\"/streams/{name}/live.wav\"></audio></p>\n\
                 <p><a href=\"/streams/{name}/live.wav\">live</a> · <a href=\"/streams/{name}/live.wav?offset=600\">ten \
                 minutes ago</a> · <a href=\"/plain?stream={name}\">its recordings</a></p>\n"
            );
        }
    }
    out.push_str("<h2>Recordings</h2>\n");
    if (from, to, after) == (None, None, None) {
        let recent = ListAddress { from: Some(wall_clock().earlier(RECENT)), ..address.clone() };
        _ = writeln!(out, "<p><a href=\"{}\">of the last 24 hours</a></p>", link(&recent));
    }
    let query = livetape_store::Query { stream, from, to, after, limit };
    let listed = catalogue.list(&query);
    for recording in listed.recordings.iter().filter(|recording| caller.sees(&recording.stream)) {
        entry(&mut out, &context, recording);
    }
    if let Some(next) = listed.next {
        let further = ListAddress { after: Some(next), ..address };
        _ = writeln!(out, "<p><a href=\"{}\">further recordings</a></p>", link(&further));
    }
    out.push_str(FOOT);
    Ok(page::page(out))
}

fn entry(out: &mut String, context: &Context, recording: &Arc<Recording>) {
    let Recording { id, stream, title, started, spec, seal, .. } = &**recording;
    let tail = context.library.tail(*id).map(|mut watch| watch.current());
    let seconds = tail.map_or(0, |tail| spec.duration(tail.end.since(Frame::ZERO)).as_secs());
    let length = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let grows = if seal.is_some() { "" } else { ", growing" };
    _ = write!(
        out,
        "<h3><bdi>{}</bdi></h3>\n<p>{stream}, from <time>{started}</time>, {length}{grows}</p>\n\
         <p><audio controls preload=\"none\" src=\"/recordings/{id}/audio.wav\"></audio></p>\n\
         <p><a href=\"/recordings/{id}/audio.wav?len=now\" download>save</a></p>\n",
        escaped(match title.as_str() {
            "" => stream.as_str(),
            title => title,
        }),
    );
}

/// The page of these recordings, as a link has it. None of the values has characters that mean something there.
fn link(ListAddress { stream, from, to, after, limit }: &ListAddress) -> String {
    let mut link = String::from("/plain?");
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            _ = write!(link, "{name}={value}&amp;");
        }
    };
    add("stream", stream.as_ref().map(ToString::to_string));
    add("from", from.map(|time| time.to_string()));
    add("to", to.map(|time| time.to_string()));
    add("after", after.map(|id| id.to_string()));
    _ = write!(link, "limit={limit}");
    link
}

/// A text of somebody else's, as text.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn markup_is_text() {
        assert_eq!(escaped("<b a='1' c=\"2\">&amp; ü"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp; ü");
    }
}
