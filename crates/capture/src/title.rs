//! Texts of strangers as titles: whatever bytes come, a title comes out that shows no control characters and has an end.

use livetape_audio::Title;

/// On one line, without control characters, at most as long as titles are.
pub(crate) fn plain(text: &str) -> Title {
    let spaced: String =
        text.chars().take(8 * Title::MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = words.chars().take(Title::MAX_CHARS).collect();
    short.trim_end().parse().unwrap_or_default()
}

/// Bytes as text: UTF-8 if they are that and nobody says otherwise, else Latin-1, in which every byte is a character.
pub(crate) fn decoded(bytes: &[u8], charset: Option<&str>) -> String {
    let latin1 = || bytes.iter().map(|&byte| char::from(byte)).collect();
    let says_latin1 = charset.is_some_and(|charset| {
        ["iso-8859-1", "iso8859-1", "latin1", "latin-1", "windows-1252"].iter().any(|n| charset.eq_ignore_ascii_case(n))
    });
    match str::from_utf8(bytes) {
        Ok(text) if !says_latin1 => text.to_owned(),
        _ => latin1(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_is_a_title() {
        assert_eq!(plain("  AC/DC -\r\n 'Thunder;struck';\0 ").as_str(), "AC/DC - 'Thunder;struck';");
        assert_eq!(plain(&"ä".repeat(10_000)).as_str().chars().count(), Title::MAX_CHARS);
        assert_eq!(plain("\u{1b}[2J").as_str(), "[2J");
        assert!(plain("\n\t ").as_str().is_empty());
    }

    #[test]
    fn texts_in_both_encodings() {
        assert_eq!(decoded("Käse".as_bytes(), None), "Käse");
        assert_eq!(decoded(b"K\xe4se", None), "Käse");
        assert_eq!(decoded("Käse".as_bytes(), Some("UTF-8")), "Käse");
        assert_eq!(decoded(b"K\xe4se", Some("UTF-8")), "Käse", "what is said may be wrong");
        assert_eq!(decoded("ä".as_bytes(), Some("ISO-8859-1")), "Ã¤");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let title = plain(&decoded(&bytes, None));
            proptest::prop_assert!(title.as_str().chars().all(|c| !c.is_control()));
        }
    }
}
