//! Heads of requests as source clients write them, which is not always as HTTP wants it (RFC 9112): methods of their own, no
//! length of the body, and nothing that says so. Everything has a bound.

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Most bytes of a head: titles stand in addresses, every byte of them as three.
pub(crate) const MAX_HEAD: usize = 40 << 10;
/// Most header fields.
const MAX_FIELDS: usize = 64;

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    /// The connection is over.
    #[error("the connection ended within the head: {0}")]
    Io(#[from] io::Error),
    /// Too slow.
    #[error("the head of the request did not come within {0:?}")]
    Slow(Duration),
    /// Too long.
    #[error("the head of the request is longer than {MAX_HEAD} bytes or has more than {MAX_FIELDS} fields")]
    Long,
    /// No HTTP.
    #[error("this is no request of HTTP/1.0 or 1.1: {0}")]
    Syntax(String),
}

/// The head of a request or of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// As sent; empty in a response.
    pub(crate) method: String,
    /// Path and query; empty in a response.
    pub(crate) target: String,
    /// 200 and the like; 0 in a request.
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The value of a field, if it is there once and plain text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.only(name)?).ok().map(str::trim)
    }

    /// The value of a field, if it is there once.
    pub(crate) fn only(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.all(name);
        found.next().filter(|_| found.next().is_none())
    }

    /// How often a field is there.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// What proxies may have written about whom they ask for.
    pub(crate) fn of_proxies(&self) -> HeaderMap {
        let names =
            ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"].map(HeaderName::from_static);
        let mut found = HeaderMap::new();
        for name in names {
            let values = self.all(name.as_str()).filter_map(|value| HeaderValue::from_bytes(value).ok());
            let values: Vec<_> = values.collect();
            values.into_iter().for_each(|value| _ = found.append(&name, value));
        }
        found
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(its, _)| its.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }
}

/// Which head is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

/// Reads a head; what comes behind it stays in `buffer`.
///
/// # Errors
/// [`HeadError`].
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    kind: Kind,
    limit: Duration,
) -> Result<Head, HeadError> {
    let reading = async {
        loop {
            match parse(buffer, kind)? {
                Some((head, length)) if length <= MAX_HEAD => {
                    buffer.advance(length);
                    return Ok(head);
                }
                Some(_) => return Err(HeadError::Long),
                None => {}
            }
            if buffer.len() >= MAX_HEAD {
                return Err(HeadError::Long);
            }
            buffer.reserve(4 << 10);
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    };
    timeout(limit, reading).await.map_err(|_| HeadError::Slow(limit))?
}

/// How an older server of streams begins.
const ICY: &[u8] = b"ICY ";

/// The head at the beginning of `bytes` and its length; `None` if more is needed.
fn parse(bytes: &[u8], kind: Kind) -> Result<Option<(Head, usize)>, HeadError> {
    // Older servers of streams answer "ICY 200 OK", which is HTTP/1.0 in all else. It may come letter by letter.
    if kind == Kind::Response && ICY.starts_with(bytes) {
        return Ok(None);
    }
    if kind == Kind::Response && bytes.starts_with(ICY) {
        let (old, new) = ("ICY".len(), b"HTTP/1.0");
        let patched = [new, bytes.get(old..).unwrap_or_default()].concat();
        return Ok(parse_http(&patched, kind)?.map(|(head, length)| (head, length - new.len() + old)));
    }
    parse_http(bytes, kind)
}

fn parse_http(bytes: &[u8], kind: Kind) -> Result<Option<(Head, usize)>, HeadError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (parsed, head) = match kind {
        Kind::Request => {
            let mut request = httparse::Request::new(&mut fields);
            let parsed = request.parse(bytes);
            let method = request.method.unwrap_or_default().into();
            let head = Head { method, target: request.path.unwrap_or_default().into(), ..Head::default() };
            (parsed, Head { fields: owned(request.headers), ..head })
        }
        Kind::Response => {
            let mut response = httparse::Response::new(&mut fields);
            let parsed = httparse::ParserConfig::default()
                .allow_spaces_after_header_name_in_responses(true)
                .ignore_invalid_headers_in_responses(true)
                .parse_response(&mut response, bytes);
            let head = Head { status: response.code.unwrap_or(0), ..Head::default() };
            (parsed, Head { fields: owned(response.headers), ..head })
        }
    };
    match parsed {
        Ok(httparse::Status::Complete(length)) => Ok(Some((head, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::Long),
        Err(error) => Err(HeadError::Syntax(error.to_string())),
    }
}

fn owned(fields: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    fields.iter().filter(|f| !f.name.is_empty()).map(|f| (f.name.to_owned(), f.value.to_vec())).collect()
}

/// `%41` and `+` as they are meant in a query (application/x-www-form-urlencoded). What is no escape stays.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    percent(&text.replace('+', " "))
}

/// `%41` as it is meant in all of an address (RFC 3986, section 2.1). What is no escape stays.
pub(crate) fn percent(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|hex| byte == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let escaped = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn head(bytes: &[u8], kind: Kind) -> Result<(Head, Vec<u8>), HeadError> {
        let (mut stream, mut buffer) = (bytes, BytesMut::new());
        let head = read(&mut stream, &mut buffer, kind, Duration::from_secs(5)).await?;
        buffer.extend_from_slice(stream);
        Ok((head, buffer.to_vec()))
    }

    #[tokio::test]
    async fn heads_as_source_clients_send_them() {
        let sent = b"SOURCE /live.mp3 HTTP/1.0\r\nAuthorization: Basic eDp5\r\nice-name: K\xe4se\r\n\r\n\xff\xfb";
        let (head, rest) = head(sent, Kind::Request).await.unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("SOURCE", "/live.mp3"));
        assert_eq!((head.text("authorization"), head.only("Ice-Name")), (Some("Basic eDp5"), Some(&b"K\xe4se"[..])));
        assert_eq!(rest, b"\xff\xfb");
    }

    #[tokio::test]
    async fn answers_as_old_servers_give_them() {
        let sent = b"ICY 200 OK\r\nicy-notice1:<BR>x\r\nicy-metaint:16000\r\n\r\nabc";
        let (old, rest) = head(sent, Kind::Response).await.unwrap();
        assert_eq!((old.status, old.text("icy-metaint"), rest.as_slice()), (200, Some("16000"), &b"abc"[..]));
        // However little of it has come, the rest is waited for.
        for n in 0..sent.len() - "abc".len() {
            assert!(parse(&sent[..n], Kind::Response).unwrap().is_none(), "{n} bytes");
        }
        let (new, _) = head(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", Kind::Response).await.unwrap();
        assert_eq!((new.status, new.text("location")), (302, Some("/x")));
    }

    #[tokio::test]
    async fn what_is_no_head_is_refused() {
        let refusal = async |bytes: &[u8]| head(bytes, Kind::Request).await.unwrap_err();
        assert!(matches!(refusal(b"PUT /x HT").await, HeadError::Io(_)));
        assert!(matches!(refusal(b"\x16\x03\x01 x y\r\n\r\n").await, HeadError::Syntax(_)));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD));
        assert!(matches!(refusal(long.as_bytes()).await, HeadError::Long));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert!(matches!(refusal(many.as_bytes()).await, HeadError::Long));
        let (mut there, mut silent) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut there, b"GET / HTTP/1.1\r\n").await.unwrap();
        let slow = read(&mut silent, &mut BytesMut::new(), Kind::Request, Duration::from_millis(20)).await;
        assert!(matches!(slow, Err(HeadError::Slow(_))));
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped("a%20b+c%26%zz%4"), b"a b c&%zz%4");
        assert_eq!(unescaped("K%E4se"), b"K\xe4se");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            drop(parse(&bytes, Kind::Request));
            drop(parse(&[b"ICY 200".as_slice(), &bytes].concat(), Kind::Response));
        }
    }
}
