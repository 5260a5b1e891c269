//! What a source says of itself, apart from what it plays: a name for people and a genre, as Icecast's clients and servers
//! write them into the heads of their requests and answers.

use crate::intake::head::Head;
use crate::title;
use livetape_audio::Title;

/// Both are empty where nobody said anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Station {
    /// What people see instead of the stream's name.
    pub(crate) title: Title,
    /// What kind of thing is heard.
    pub(crate) genre: Title,
}

impl Station {
    /// Sources say `ice-name`, servers and older sources `icy-name`.
    pub(crate) fn of(head: &Head) -> Self {
        let said = |new: &str, old: &str| {
            let bytes = head.only(new).or_else(|| head.only(old)).unwrap_or_default();
            title::plain(&title::decoded(bytes, None))
        };
        Self { title: said("ice-name", "icy-name"), genre: said("ice-genre", "icy-genre") }
    }

    /// What this leaves open is as in the other.
    pub(crate) fn or(self, other: Self) -> Self {
        let either = |one: Title, two: Title| if one.as_str().is_empty() { two } else { one };
        Self { title: either(self.title, other.title), genre: either(self.genre, other.genre) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(title: &str, genre: &str) -> Station {
        Station { title: title.parse().unwrap(), genre: genre.parse().unwrap() }
    }

    #[test]
    fn what_sources_say_whatever_they_write() {
        let head = |fields: &[(&str, &[u8])]| {
            let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
            Station::of(&Head { fields, ..Head::default() })
        };
        assert_eq!(head(&[]), Station::default());
        assert_eq!(
            head(&[("Ice-Name", b"Studio A"), ("icy-genre", b"Jazz; 'live'")]),
            station("Studio A", "Jazz; 'live'")
        );
        let long = "g".repeat(10_000);
        let odd = head(&[("ice-genre", b"K\xe4se\x01\x02pop"), ("icy-name", long.as_bytes())]);
        assert_eq!(odd, station(&long[..Title::MAX_CHARS], "Käse pop"));
        assert_eq!(head(&[("ice-genre", b"a"), ("ice-genre", b"b")]), Station::default(), "said twice is not said");
    }

    #[test]
    fn what_is_configured_goes_first() {
        assert_eq!(station("A", "").or(station("B", "Jazz")), station("A", "Jazz"));
        assert_eq!(station("", "News").or(station("B", "Jazz")), station("B", "News"));
    }
}
