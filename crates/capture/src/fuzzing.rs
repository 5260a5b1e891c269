//! What the fuzz targets feed, and what has to be true of whatever they feed. Only there when compiled with `--cfg fuzzing`.
#![allow(clippy::panic, reason = "a wrong answer is a finding")]

use crate::intake::body::{Body, Framing};
use crate::intake::head::{self, Head, Kind};
use crate::intake::kind::Content;
use crate::intake::request::Wish;
use crate::sources::file::playlist;
use crate::sources::relay::{RelayUrl, client};
use bytes::BytesMut;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Builder;

const LIMIT: Duration = Duration::from_secs(60);

/// Bytes that come in pieces.
struct Pieces<'a>(&'a [u8], usize);

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = self.0.len().min(self.1).min(buf.remaining());
        let (now, later) = self.0.split_at(n);
        buf.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

/// What became of a connection: its head, its body, and how that ended.
type Heard = Option<(Head, Option<(Vec<u8>, bool)>)>;

async fn hear(data: &[u8], piece: usize, kind: Kind) -> Heard {
    let (mut stream, mut buffer) = (Pieces(data, piece), BytesMut::new());
    let head = head::read(&mut stream, &mut buffer, kind, LIMIT).await.ok()?;
    let Ok(framing) = Framing::of(&head) else { return Some((head, None)) };
    let (mut body, mut all) = (Body::new(stream, buffer, framing, LIMIT), Vec::new());
    loop {
        match body.next().await {
            Ok(Some(block)) => {
                assert!(!block.is_empty(), "a block of nothing");
                all.extend_from_slice(&block);
            }
            Ok(None) => return Some((head, Some((all, true)))),
            Err(_) => return Some((head, Some((all, false)))),
        }
    }
}

/// Input: how many bytes come at once, and then what a source sends, or what a server of streams answers.
pub fn push(data: &[u8]) {
    let Some((&piece, data)) = data.split_first() else { return };
    let Ok(runtime) = Builder::new_current_thread().enable_time().build() else { return };
    for kind in [Kind::Request, Kind::Response] {
        let heard = runtime.block_on(hear(data, usize::from(piece).max(1), kind));
        let at_once = runtime.block_on(hear(data, usize::MAX, kind));
        assert_eq!(heard, at_once, "it depends on how it comes");
        let Some((head, body)) = heard else { continue };
        assert!(head.method.len() + head.target.len() <= head::MAX_HEAD);
        assert!(body.is_none_or(|(body, _)| body.len() <= data.len()), "more than was sent");
        _ = head.of_proxies();
        _ = Content::of(head.text("content-type"), None);
        if let Err(reply) = Wish::of(&head) {
            assert!((200..500).contains(&reply.status), "{reply:?}");
        }
    }
}

/// Input: a playlist of any kind, as a folder of files has it and as a server of streams answers it.
pub fn playlists(data: &[u8]) {
    let folder = Path::new("/nowhere/at-all");
    for kind in ["m3u", "pls", "xspf"] {
        let Ok(files) = playlist::named(&folder.join("list").with_extension(kind), data.to_vec()) else { continue };
        assert!(files.len() <= data.len(), "{} files of {} bytes", files.len(), data.len());
        // Latin-1 takes two bytes for one.
        let longest = folder.as_os_str().len() + 1 + 2 * data.len();
        assert!(files.iter().all(|file| file.is_absolute() && file.as_os_str().len() <= longest), "{files:?}");
    }
    let found = |url: &str| url.parse().ok().and_then(|url: RelayUrl| client::named(data, &url).ok());
    let (ours, anonymous) =
        (found("http://dj:geheim@radio.example/a/list.m3u"), found("http://radio.example/a/list.m3u"));
    assert_eq!(ours.is_some(), anonymous.is_some());
    let (Some(ours), Some(anonymous)) = (ours, anonymous) else { return };
    let (url, shown) = (ours.url(), ours.to_string());
    assert!(["http", "https"].contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
    let elsewhere = anonymous.url().origin().ascii_serialization() != "http://radio.example";
    assert!(!elsewhere || ours == anonymous, "{url} hears somebody else's password");
    let read: RelayUrl = shown.parse().unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert!(read.url().username().is_empty() && read.url().password().is_none(), "{shown} tells a password");
}
