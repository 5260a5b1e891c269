//! ICY: what is playing, between the audio of MP3, for players that ask for it. Every [`Icy::INTERVAL`] bytes of audio there is a
//! block of text: a byte that says how long it is, and `StreamTitle='…';`. It is empty while nothing has changed.
//!
//! Pure. Not here: which title is the listener's own (`listener`), and who is sent any (`live`). Never in what has byte numbers.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use livetape_audio::Title;

/// What a player sends that wants titles.
pub(crate) const WANTED: HeaderName = HeaderName::from_static("icy-metadata");

/// Between which bytes of a body titles are due.
#[derive(Debug)]
pub(crate) struct Icy {
    /// Bytes of audio until the next block.
    left: u64,
    told: Option<Title>,
}

impl Icy {
    /// Bytes of audio between two blocks.
    pub(crate) const INTERVAL: u64 = 16_000;

    /// Before the first byte of a body.
    pub(crate) const fn new() -> Self {
        Self { left: Self::INTERVAL, told: None }
    }

    /// Whether a block comes before more audio.
    pub(crate) const fn is_due(&self) -> bool {
        self.left == 0
    }

    /// Bytes of audio that may come before the block after the one that is due.
    pub(crate) const fn room(&self) -> u64 {
        if self.is_due() { Self::INTERVAL } else { self.left }
    }

    /// So much audio was sent, at most [`Icy::room`].
    pub(crate) const fn sent(&mut self, bytes: u64) {
        self.left = self.room().saturating_sub(bytes);
    }

    /// The block that is due while this is playing; `None` if nobody knows, and then nothing changes.
    pub(crate) fn block(&mut self, title: Option<Title>) -> Bytes {
        let title = title.unwrap_or_else(|| self.told.clone().unwrap_or_default());
        if self.told.as_ref() == Some(&title) {
            return Bytes::from_static(&[0]);
        }
        let block = block(title.as_str());
        self.told = Some(title);
        block
    }
}

/// A length in steps of 16 bytes, the text, zeros.
fn block(title: &str) -> Bytes {
    const BEGIN: &str = "StreamTitle='";
    const END: &str = "';";
    const MOST: usize = 255 * 16 - BEGIN.len() - END.len();
    let mut text = BEGIN.to_owned();
    let title = quotable(title);
    // Titles are shorter; whatever they come to be, half a character is never sent.
    text += title.get(..title.floor_char_boundary(MOST)).unwrap_or_default();
    text += END;
    let steps = text.len().div_ceil(16);
    let mut block = vec![u8::try_from(steps).unwrap_or(u8::MAX)];
    block.extend_from_slice(text.as_bytes());
    block.resize(1 + steps * 16, 0);
    block.into()
}

/// The title as it can stand in quotes. There is no way to escape any in this text, and players end it at `';`, some at the first
/// `'`, or look for `='` wherever it stands: an apostrophe stays one only between two letters or digits.
fn quotable(title: &str) -> String {
    let is_inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (mut out, mut before) = (String::with_capacity(title.len()), None);
    let mut rest = title.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\'' if is_inside(before) && is_inside(rest.peek().copied()) => '\'',
            '\'' => '\u{2019}',
            c if c.is_control() => ' ',
            c => c,
        });
        before = Some(c);
    }
    out
}

/// What is said of a stream to players that know ICY, whether they want titles or not: VLC asks for them when it sees this.
/// A genre that nobody has said is left out.
pub(crate) fn describe(reply: &mut HeaderMap, name: &str, genre: &str, kbps: u16, page: Option<&str>) {
    let mut set = |header: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            reply.insert(header, value);
        }
    };
    set("icy-name", name);
    if !genre.is_empty() {
        set("icy-genre", genre);
    }
    set("icy-br", &kbps.to_string());
    set("icy-pub", "0");
    if let Some(page) = page {
        set("icy-url", page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn title(text: &str) -> Option<Title> {
        Some(text.parse().unwrap())
    }

    /// Names and values as FFmpeg reads them.
    fn fields(block: &[u8]) -> Vec<(String, String)> {
        assert_eq!(block.len(), 1 + usize::from(block[0]) * 16);
        let text = std::str::from_utf8(&block[1..]).unwrap();
        let (mut rest, mut fields) = (text.split('\0').next().unwrap(), Vec::new());
        assert!(text[rest.len()..].chars().all(|c| c == '\0'), "nothing but zeros follows");
        while let Some((name, value)) = rest.split_once("='") {
            let (value, more) = value.split_once("';").unwrap();
            fields.push((name.to_owned(), value.to_owned()));
            rest = more;
        }
        assert_eq!(rest, "");
        fields
    }

    #[test]
    fn told_when_it_changes() {
        let mut icy = Icy::new();
        assert_eq!((icy.is_due(), icy.room()), (false, 16_000));
        icy.sent(9_000);
        assert_eq!((icy.is_due(), icy.room()), (false, 7_000));
        icy.sent(7_000);
        assert_eq!((icy.is_due(), icy.room()), (true, 16_000));
        assert_eq!(&icy.block(None)[..], b"\x01StreamTitle='';\0", "nobody knows");
        icy.sent(16_000);
        assert!(icy.is_due());
        assert_eq!(&icy.block(title(""))[..], [0]);
        let block = icy.block(title("Ann: A Song"));
        assert_eq!(&block[..], b"\x02StreamTitle='Ann: A Song';\0\0\0\0\0\0");
        assert_eq!((&icy.block(title("Ann: A Song"))[..], &icy.block(None)[..]), (&[0][..], &[0][..]));
        assert_eq!(fields(&icy.block(title("")))[0].1, "");
    }

    #[test]
    fn quotes() {
        for (is, sent) in [
            ("It's", "It's"),
            ("Rock 'n' Roll", "Rock \u{2019}n\u{2019} Roll"),
            ("x';StreamUrl='http://evil", "x\u{2019};StreamUrl=\u{2019}http://evil"),
            ("' OR 1='1", "\u{2019} OR 1=\u{2019}1"),
            ("it ends so'", "it ends so\u{2019}"),
            ("\"a; b\" = c\\", "\"a; b\" = c\\"),
            ("''''", "\u{2019}\u{2019}\u{2019}\u{2019}"),
        ] {
            assert_eq!(quotable(is), sent);
        }
        assert_eq!(quotable("a\0b\r\nc"), "a b  c");
    }

    #[test]
    fn what_is_said_of_a_stream() {
        let mut headers = HeaderMap::new();
        describe(&mut headers, "Größe \"3\"", "", 128, Some("https://radio.example/"));
        assert_eq!(headers["icy-name"].as_bytes(), "Größe \"3\"".as_bytes());
        assert_eq!(
            (&headers["icy-br"], &headers["icy-url"]),
            (&"128".parse().unwrap(), &"https://radio.example/".parse().unwrap())
        );
        assert!(!headers.contains_key("icy-metaint") && !headers.contains_key("icy-genre"), "nobody has said one");
        describe(&mut headers, "x", "Jazz & Soul", 128, None);
        assert_eq!(headers["icy-genre"], "Jazz & Soul");
    }

    proptest! {
        /// Whatever a title is, there is one field with all of it, and nothing that a simpler reader could take for another.
        #[test]
        fn nothing_breaks_out(text in "['; =A-Za-z]{0,60}|\\PC{0,300}|[\\x00-\\x7f]{0,80}|(é|𝄞){900,1500}") {
            let sent = block(&text);
            let fields = fields(&sent);
            prop_assert_eq!(fields.len(), 1);
            let (name, value) = &fields[0];
            prop_assert_eq!(name, "StreamTitle");
            prop_assert!(!value.contains("='") && !value.contains("';") && !value.ends_with('\''));
            let plain = |text: &str| text.replace(|c: char| c == '\'' || c == '\u{2019}' || c.is_control() || c == ' ', "_");
            let (was, is) = (plain(&text), plain(value));
            prop_assert!(was == is || (was.len() > 4_000 && was.starts_with(&is) && is.len() > 4_000));
        }
    }
}
