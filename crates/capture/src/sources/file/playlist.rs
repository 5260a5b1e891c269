//! The files that M3U, PLS and XSPF playlists name, in their order, as often as they name them.

use super::error::FileError;
use quick_xml::Reader;
use quick_xml::events::Event;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest playlist, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// Kinds of playlists, by their extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    M3u,
    Pls,
    Xspf,
}

impl Kind {
    /// The kind of a playlist; `None` if it is none.
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "m3u" | "m3u8" => Some(Self::M3u),
            "pls" => Some(Self::Pls),
            "xspf" => Some(Self::Xspf),
            _ => None,
        }
    }
}

/// The files that a playlist names. Relative ones are looked for beside it; what is elsewhere in the net is left out.
pub(super) fn read(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let wrong = |error| FileError::Open { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    File::open(path).map_err(wrong)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    let bad = |why: String| FileError::Playlist { path: path.to_owned(), why };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(bad(format!("it is larger than {MAX_BYTES} bytes")));
    }
    named(path, bytes).map_err(bad)
}

/// The files that the playlist at `path` names, if these are its bytes.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn named(path: &Path, bytes: Vec<u8>) -> Result<Vec<PathBuf>, String> {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| latin1(error.as_bytes()));
    let text = text.trim_start_matches('\u{feff}');
    let named = match Kind::of(path) {
        Some(Kind::Pls) => pls(text),
        Some(Kind::Xspf) => xspf(text)?,
        _ => m3u(text),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let (mut files, mut elsewhere) = (Vec::new(), Vec::new());
    for named in &named {
        match file(folder, named) {
            Some(file) => files.push(file),
            None => elsewhere.push(named),
        }
    }
    if let Some(first) = elsewhere.first() {
        let (entries, first) = (elsewhere.len(), first.chars().take(200).collect::<String>());
        tracing::warn!(path = %path.display(), entries, first, "only files are played: what is elsewhere was left out");
    }
    Ok(files)
}

/// What a playlist of one of these kinds names, as it stands there.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn entries(text: &str) -> Result<Vec<String>, String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    match text.get(..10).unwrap_or(text) {
        begin if begin.starts_with('<') => xspf(text),
        begin if begin.eq_ignore_ascii_case("[playlist]") => Ok(pls(text)),
        _ => Ok(m3u(text)),
    }
}

/// What is no UTF-8 was written on an old Windows.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn m3u(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(Into::into).collect()
}

fn pls(text: &str) -> Vec<String> {
    let entry = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let number = key.trim().to_ascii_lowercase().strip_prefix("file")?.parse::<u32>().ok()?;
        Some((number, value.trim().to_owned()))
    };
    let mut entries: Vec<_> = text.lines().filter_map(entry).collect();
    entries.sort_by_key(|(number, _)| *number);
    entries.into_iter().map(|(_, named)| named).collect()
}

/// The first location of each track. Without entities of its own: they are a way to make a small file a large one.
fn xspf(text: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::from_str(text);
    let (mut found, mut here, mut in_track, mut seen) = (Vec::new(), None::<String>, false, false);
    loop {
        match reader.read_event().map_err(|error| format!("{error} at byte {}", reader.error_position()))? {
            Event::Eof => return if seen { Ok(found) } else { Err("it has no track list".into()) },
            Event::Start(tag) => match tag.local_name().as_ref() {
                b"trackList" => seen = true,
                b"track" => in_track = true,
                b"location" if in_track => here = Some(String::new()),
                _ => {}
            },
            Event::Empty(tag) if tag.local_name().as_ref() == b"trackList" => seen = true,
            Event::Text(text) => {
                if let Some(here) = &mut here {
                    here.push_str(&text.decode().map_err(|error| error.to_string())?);
                }
            }
            Event::GeneralRef(entity) => {
                let name = entity.decode().map_err(|error| error.to_string())?;
                let known = quick_xml::escape::resolve_xml_entity(&name).map(Into::into);
                let letter = entity.resolve_char_ref().map_err(|error| error.to_string())?.map(String::from);
                if let (Some(here), Some(text)) = (&mut here, letter.or(known)) {
                    here.push_str(&text);
                }
            }
            Event::End(tag) => match tag.local_name().as_ref() {
                b"location" => {
                    // A second location is another place of the same piece.
                    if let Some(named) = here.take() {
                        found.push(named.trim().to_owned());
                        in_track = false;
                    }
                }
                b"track" => in_track = false,
                _ => {}
            },
            _ => {}
        }
    }
}

/// The file that an entry names: a path, or a `file:` address.
fn file(folder: &Path, named: &str) -> Option<PathBuf> {
    let path = match named.split_once("://") {
        Some(("file", rest)) => {
            // Whatever host it names, it is this one.
            unescaped(rest.find('/').and_then(|at| rest.get(at..))?)
        }
        Some((scheme, _)) if scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+') => {
            return None;
        }
        _ => named.to_owned(),
    };
    let beside = |path: &str| folder.join(path);
    let plain = beside(&path);
    // XSPF holds addresses, in which letters may be escaped; a name that is there as it is goes first.
    if plain.exists() { Some(plain) } else { Some(beside(&unescaped(&path))).filter(|p| p.exists()).or(Some(plain)) }
}

/// With `%41` as `A`.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| str::from_utf8(hex).ok());
        match hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn in_order_and_as_often_as_named() {
        assert_eq!(m3u("#EXTM3U\r\n#EXTINF:1,x\r\nb.mp3\r\n\r\na b.mp3\r\nb.mp3"), ["b.mp3", "a b.mp3", "b.mp3"]);
        assert_eq!(
            pls("[playlist]\nFile2=b.ogg\nTitle1=x\nfile1 = a.ogg\nFileX=c\n=\nNumberOfEntries=2"),
            ["a.ogg", "b.ogg"]
        );
        let text = "<?xml version='1.0'?><playlist xmlns='http://xspf.org/ns/0/'><title>x</title><trackList>\
            <track><location> a%20b.flac </location><location>other</location></track>\
            <track><title>no</title></track><track><location>R&amp;B&#x2e;mp3</location></track></trackList></playlist>";
        assert_eq!(xspf(text).unwrap(), ["a%20b.flac", "R&B.mp3"]);
    }

    #[test]
    fn hostile_xspf() {
        for bad in ["", "<", "<playlist>", "no xml", "<a></b>", "<trackList><track><location>"] {
            assert!(xspf(bad).is_err() || xspf(bad).unwrap().is_empty(), "{bad}");
        }
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><trackList><track><location>&b;</location>\
            </track></trackList>";
        assert_eq!(xspf(bomb).unwrap(), [""]);
        let deep = "<a>".repeat(1_000_000);
        assert!(xspf(&deep).is_err());
    }

    proptest! {
        /// Whatever stands in one: names or an error, no more of them than it has bytes, and no panic.
        #[test]
        fn any_bytes_are_read_within_bounds(
            parts in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..8),
                prop::sample::select(&[
                    "#EXTM3U\n", "[playlist]\n", "File1=", "File4294967296=", "a.wav\r\n", "\u{feff}", "%", "%4", "file://", "../",
                    "<trackList>", "<track>", "<location>", "</location>", "</track>", "</trackList>", "&#x2e;", "&#xffffff;", "&amp;",
                    "<![CDATA[", "<!--", "<?xml version='1.0'?>", "<!DOCTYPE x [<!ENTITY a 'b'>]>",
                ][..]).prop_map(|part| part.as_bytes().to_vec()),
            ], 0..40),
        ) {
            let (bytes, dir) = (parts.concat(), tempfile::tempdir().unwrap());
            for extension in ["m3u", "pls", "xspf"] {
                let path = dir.path().join("list").with_extension(extension);
                std::fs::write(&path, &bytes).unwrap();
                if let Ok(files) = read(&path) {
                    prop_assert!(files.len() <= bytes.len());
                    prop_assert!(files.iter().all(|file| file.as_os_str().len() <= dir.path().as_os_str().len() + 1 + 2 * bytes.len()));
                }
            }
            if let Ok(entries) = entries(&String::from_utf8_lossy(&bytes)) {
                prop_assert!(entries.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn names_of_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a b.mp3"), "").unwrap();
        std::fs::write(dir.path().join("100%25.mp3"), "").unwrap();
        let found = |named: &str| file(dir.path(), named);
        assert_eq!(found("a%20b.mp3"), Some(dir.path().join("a b.mp3")));
        assert_eq!(found("100%25.mp3"), Some(dir.path().join("100%25.mp3")));
        assert_eq!(found("file:///tmp/a%20b"), Some("/tmp/a b".into()));
        assert_eq!(found("file://localhost/tmp/a"), Some("/tmp/a".into()));
        assert_eq!(found("/etc/x.mp3"), Some("/etc/x.mp3".into()));
        assert_eq!((found("http://example.org/a.mp3"), found("file://nothing")), (None, None));
        assert_eq!(unescaped("%zz%4%41%"), "%zz%4A%");
    }
}
