//! What a request is for, as Icecast's source clients ask: a path that names a stream, or the address at which titles are set.

use super::body::{Body, Framing};
use super::head::{self, Head, percent, unescaped};
use super::kind;
use super::reply::Reply;
use crate::title;
use bytes::BytesMut;
use livetape_audio::{StreamName, Title};
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::time::timeout;

/// The route of a stream, and that of titles: as the table of endpoints has them.
pub(crate) const MOUNT: &str = "/{mount}";
pub(crate) const METADATA: &str = "/admin/metadata";

/// Most bytes of a form: as many as fit into an address, where others have it.
const MAX_FORM: u64 = head::MAX_HEAD as u64;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Send audio into this stream; the extension says what it may be.
    Push { stream: StreamName, extension: Option<&'static str> },
    /// Say what plays.
    Title { stream: StreamName, title: Title },
    /// What is possible here.
    Options,
}

impl Wish {
    /// What the request is for.
    ///
    /// # Errors
    /// The answer.
    pub(crate) fn of(head: &Head) -> Result<Self, Reply> {
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        match head.method.as_str() {
            "GET" | "POST" if path == METADATA => update(query),
            "PUT" | "SOURCE" | "POST" => {
                let (stream, extension) = mount(path)?;
                Ok(Self::Push { stream, extension })
            }
            "GET" => Err(Reply::new(404, "this address takes sources; listen at the gateway's")),
            "OPTIONS" => Ok(Self::Options),
            _ => Err(Reply::new(405, "sources are sent with PUT, SOURCE or POST to /STREAM")),
        }
    }
}

/// Whether titles are set by a form, as libshout does.
pub(crate) fn is_form(head: &Head) -> bool {
    head.method == "POST" && head.target.split('?').next() == Some(METADATA)
}

/// Reads the form in which titles are posted into the address, where others have it.
///
/// # Errors
/// The answer.
pub(crate) async fn take_form<S: AsyncRead + Unpin>(
    head: &mut Head,
    stream: S,
    buffer: BytesMut,
    limit: Duration,
) -> Result<(), Reply> {
    if !is_form(head) {
        return Ok(());
    }
    let length = match Framing::of(head).map_err(|error| Reply::new(400, error))? {
        Framing::Length(length) if length <= MAX_FORM => length,
        Framing::Length(_) => return Err(Reply::new(413, format!("a form has at most {MAX_FORM} bytes"))),
        // A POST that does not say that it has a body has none.
        Framing::Close => 0,
        Framing::Chunked => return Err(Reply::new(411, "a form is sent with Content-Length")),
    };
    let mut body = Body::new(stream, buffer, Framing::Length(length), limit);
    let whole = async {
        let mut form = Vec::new();
        while let Some(part) = body.next().await? {
            form.extend_from_slice(&part);
        }
        Ok::<_, std::io::Error>(form)
    };
    let late = || Reply::new(408, format!("the form took more than {limit:?}"));
    let form = timeout(limit, whole).await.map_err(|_| late())?;
    let form = form.map_err(|error| match error.kind() {
        std::io::ErrorKind::TimedOut => late(),
        _ => Reply::new(400, error),
    });
    let form = String::from_utf8(form?);
    let form = form.map_err(|_| Reply::new(400, "in a form, what is not ASCII is written as %XX"))?;
    if !form.is_empty() {
        head.target.push(if head.target.contains('?') { '&' } else { '?' });
        head.target.push_str(&form);
    }
    Ok(())
}

/// The stream that a path names.
fn mount(path: &str) -> Result<(StreamName, Option<&'static str>), Reply> {
    let name = title::decoded(&percent(path), None);
    let name = name.trim_start_matches('/');
    if name.is_empty() {
        return Err(Reply::new(400, "no mount: send to /STREAM, as /studio-a or /studio-a.mp3"));
    }
    let (stem, extension) = kind::split(name);
    let stream = stem.parse().map_err(|error| Reply::new(400, error))?;
    Ok((stream, extension))
}

/// `mode=updinfo&mount=/studio-a.mp3&song=…`, with `charset` if it is not UTF-8; or `artist` and `title`.
fn update(query: &str) -> Result<Wish, Reply> {
    let pairs: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let raw = |key: &str| pairs.iter().find(|(its, _)| *its == key).map(|(_, value)| unescaped(value));
    let charset = raw("charset").map(|bytes| title::decoded(&bytes, None));
    let text = |key: &str| raw(key).map(|bytes| title::decoded(&bytes, charset.as_deref()));
    match text("mode").as_deref() {
        Some("updinfo") => {}
        _ => return Err(Reply::new(400, "only mode=updinfo is known here")),
    }
    let mount_of = text("mount").ok_or_else(|| Reply::new(400, "no mount: say mount=/STREAM"))?;
    let (stream, _) = mount(&mount_of)?;
    let line = match (text("song"), text("artist"), text("title")) {
        (Some(song), ..) => song,
        (None, Some(artist), Some(title)) => format!("{artist} - {title}"),
        (None, artist, title) => artist.or(title).ok_or_else(|| Reply::new(400, "no title: say song=…"))?,
    };
    Ok(Wish::Title { stream, title: title::plain(&line) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(method: &str, target: &str) -> Result<Wish, u16> {
        let head = Head { method: method.into(), target: target.into(), ..Head::default() };
        Wish::of(&head).map_err(|reply| reply.status)
    }

    #[test]
    fn streams_by_their_mounts() {
        let push = |name: &str, extension| Ok(Wish::Push { stream: name.parse().unwrap(), extension });
        assert_eq!(wish("PUT", "/studio-a.mp3"), push("studio-a", Some("mp3")));
        assert_eq!(wish("SOURCE", "/studio-a"), push("studio-a", None));
        assert_eq!(wish("SOURCE", "studio-a.ogg"), push("studio-a", Some("ogg")), "an old habit");
        assert_eq!(wish("POST", "/esp.b?x=y"), push("esp.b", None));
        for bad in ["/", "", "/Studio", "/a/b", "/..%2f..", "/a.json", "/.mp3", &format!("/{}", "a".repeat(65))] {
            assert_eq!(wish("PUT", bad), Err(400), "{bad}");
        }
        assert_eq!((wish("GET", "/studio-a"), wish("DELETE", "/studio-a")), (Err(404), Err(405)));
    }

    #[tokio::test]
    async fn titles_in_forms() {
        let posted = async |target: &str, headers: &str, body: &str| {
            let text = format!("POST {target} HTTP/1.0\r\n{headers}\r\n{body}");
            let (mut stream, mut buffer, limit) = (text.as_bytes(), BytesMut::new(), Duration::from_secs(1));
            let read = crate::intake::head::read(&mut stream, &mut buffer, crate::intake::head::Kind::Request, limit);
            let mut head = read.await.unwrap();
            take_form(&mut head, stream, buffer, limit).await.map_err(|reply| reply.status)?;
            Wish::of(&head).map_err(|reply| reply.status)
        };
        let title = Ok(Wish::Title { stream: "a".parse().unwrap(), title: "It's; <ä>".parse().unwrap() });
        let form = "mode=updinfo&mount=%2Fa.mp3&song=It%27s%3B%20%3C%C3%A4%3E";
        let length = format!("Content-Length: {}\r\n", form.len());
        assert_eq!(posted(METADATA, &length, form).await, title);
        assert_eq!(posted(&format!("{METADATA}?{form}"), "", "").await, title);
        let (address, rest) = form.split_once('&').unwrap();
        let length_of_rest = format!("Content-Length: {}\r\n", rest.len());
        assert_eq!(posted(&format!("{METADATA}?{address}"), &length_of_rest, rest).await, title);
        assert_eq!(posted(METADATA, "", form).await, Err(400), "it does not say that it has a body");
        assert_eq!(posted(METADATA, "Content-Length: 40961\r\n", form).await, Err(413));
        let long = format!("mode=updinfo&mount=/a&song={}", "%C3%A4".repeat(5_000));
        let cut = Ok(Wish::Title { stream: "a".parse().unwrap(), title: "ä".repeat(256).parse().unwrap() });
        assert_eq!(posted(METADATA, &format!("Content-Length: {}\r\n", long.len()), &long).await, cut);
        assert_eq!(posted(METADATA, "Content-Length: 500\r\n", form).await, Err(400), "cut");
        assert_eq!(posted(METADATA, "Transfer-Encoding: chunked\r\n", "0\r\n\r\n").await, Err(411));
        let push = Wish::Push { stream: "a".parse().unwrap(), extension: None };
        assert_eq!(posted("/a", "Content-Length: 90000\r\n", "x").await, Ok(push), "no form");
    }

    #[test]
    fn titles_however_they_are_written() {
        let title = |query: &str| match wish("GET", &format!("/admin/metadata?mode=updinfo&mount=/a.mp3&{query}")) {
            Ok(Wish::Title { stream, title }) if stream.as_str() == "a" => title.as_str().to_owned(),
            other => panic!("{query}: {other:?}"),
        };
        assert_eq!(title("song=AC%2FDC+-+%27T%3BN%27%3B"), "AC/DC - 'T;N';");
        assert_eq!(title("song=K%C3%A4se&charset=UTF-8"), "Käse");
        assert_eq!(title("song=K%E4se"), "Käse");
        assert_eq!(title("song=K%E4se&charset=ISO-8859-1"), "Käse");
        assert_eq!(title("song=%F0%28%8C%28%00%0d%0aX: y"), "ð( ( X: y");
        assert_eq!(title("artist=A&title=B"), "A - B");
        assert_eq!(title(&format!("song={}", "x".repeat(10_000))).len(), 256);
        assert_eq!(title("song="), "");
        for bad in
            ["mode=x&mount=/a&song=x", "mode=updinfo&song=x", "mode=updinfo&mount=/a", "mode=updinfo&mount=/&song=x"]
        {
            assert_eq!(wish("GET", &format!("/admin/metadata?{bad}")), Err(400), "{bad}");
        }
    }
}
