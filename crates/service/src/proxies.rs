//! What a client's request went through before it came here, as far as that can be believed.
//!
//! Anybody can send `X-Forwarded-For` and its like, so they count only from proxies that the settings name. A proxy adds what it
//! saw at the end of what it was sent: so lists are read from their end, for as long as the next one back is a named proxy, too, and
//! the first that is not is the client. Whatever stands before was written by the client. Only one kind of headers counts: a proxy
//! writes one, and passes the other on as the client sent it.

use crate::networks::Networks;
use http::header::{AsHeaderName, FORWARDED, HeaderMap};
use http::uri::Authority;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

/// Most proxies that one request is followed through.
const MOST: usize = 32;

/// Which proxies are believed, and what they write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are.
    pub trusted: Networks,
    /// What they write.
    pub header: ProxyHeader,
}

/// In which headers proxies say for whom they ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// How a client reached us: who it is, and under which address it asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The client's address.
    pub client: IpAddr,
    /// Whether the client spoke TLS: to us, or to the proxy that it reached.
    pub is_https: bool,
    /// The name that it asked for, with the port if it said one, as it was said: not checked yet.
    pub host: Option<String>,
    /// Whether a proxy asked for it.
    pub is_forwarded: bool,
}

impl Reached {
    /// A client at this address, without a proxy.
    pub fn directly(peer: IpAddr, is_https: bool, host: Option<&str>) -> Self {
        Self { client: peer.to_canonical(), is_https, host: host.map(Into::into), is_forwarded: false }
    }

    /// Scheme, name and port under which the client finds us: `https://radio.example`. `None` if it did not say a name that
    /// could stand in an address.
    pub fn origin(&self) -> Option<String> {
        let host = self.host.as_deref().filter(|host| !host.contains('@'))?;
        let host: Authority = host.parse().ok()?;
        let scheme = if self.is_https { "https" } else { "http" };
        Some(format!("{scheme}://{host}"))
    }
}

/// Says once that a proxy on this machine is not believed: all of its clients would count as this machine, which may be without
/// limits.
fn doubt(direct: &Reached, headers: &HeaderMap) {
    static SAID: Once = Once::new();
    let says_so = || headers.contains_key("x-forwarded-for") || headers.contains_key(FORWARDED);
    if direct.client.is_loopback() && !SAID.is_completed() && says_so() {
        SAID.call_once(|| {
            tracing::warn!(
                "a proxy on this machine says for whom it asks, and is not believed, so that all of its clients count as this \
                 machine, to which no limits apply: name it with trusted_proxies (LIVETAPE_TRUSTED_PROXIES=127.0.0.1)"
            );
        });
    }
}

/// What one proxy says of who asked it.
#[derive(Default)]
struct Hop {
    client: Option<IpAddr>,
    proto: Option<String>,
    host: Option<String>,
}

impl Proxies {
    /// Whether what comes from there may be for somebody else.
    pub fn trust(&self, peer: IpAddr) -> bool {
        self.trusted.contain(peer)
    }

    /// How whoever sent this reached us, where `direct` is how the connection did.
    pub fn reached(&self, direct: Reached, headers: &HeaderMap) -> Reached {
        if self.trusted.is_empty() || !self.trust(direct.client) {
            doubt(&direct, headers);
            return direct;
        }
        let hop = match self.header {
            ProxyHeader::XForwarded => self.x_forwarded(headers),
            ProxyHeader::Forwarded => self.forwarded(headers),
        };
        let Some(Hop { client, proto, host }) = hop else { return direct };
        Reached {
            client: client.unwrap_or(direct.client).to_canonical(),
            is_https: match proto {
                Some(proto) if proto.eq_ignore_ascii_case("https") => true,
                Some(proto) if proto.eq_ignore_ascii_case("http") => false,
                _ => direct.is_https,
            },
            host: host.or(direct.host),
            is_forwarded: true,
        }
    }

    /// The address that counts in a list, the last first, and its place: the first that is no proxy's, or that no more can be
    /// told from.
    fn first_outside(&self, clients: impl Iterator<Item = Option<IpAddr>>) -> Option<(usize, Option<IpAddr>)> {
        let mut last = None;
        for (at, client) in clients.enumerate().take(MOST) {
            match client {
                Some(ip) if self.trust(ip) => last = Some((at, Some(ip))),
                // What the nearest proxy that said something did not know was its own client.
                None => return Some(last.unwrap_or((at, None))),
                outside => return Some((at, outside)),
            }
        }
        last
    }

    fn x_forwarded(&self, headers: &HeaderMap) -> Option<Hop> {
        let clients = backwards(headers, "x-forwarded-for");
        let found = self.first_outside(clients.iter().map(|client| node(client)));
        let protos = backwards(headers, "x-forwarded-proto");
        let hosts = backwards(headers, "x-forwarded-host");
        if found.is_none() && protos.is_empty() && hosts.is_empty() {
            return None;
        }
        let (at, client) = found.unwrap_or_default();
        // Proxies that add to these lists add to all of them; of those that write them anew there is one entry.
        let of = |list: &[&str]| list.get(at.min(list.len().saturating_sub(1))).map(|value| (*value).to_owned());
        Some(Hop { client, proto: of(&protos), host: of(&hosts) })
    }

    fn forwarded(&self, headers: &HeaderMap) -> Option<Hop> {
        let mut hops: Vec<Hop> = backwards(headers, FORWARDED).into_iter().map(hop).collect();
        let (at, client) = self.first_outside(hops.iter().map(|hop| hop.client))?;
        let hop = hops.get_mut(at).map(std::mem::take)?;
        Some(Hop { client, ..hop })
    }
}

/// The entries of a list, the last first, whatever lines they stand on. A line that is no text breaks it off.
fn backwards(headers: &HeaderMap, name: impl AsHeaderName) -> Vec<&str> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    let text = lines.into_iter().rev().map_while(|line| line.to_str().ok());
    text.flat_map(|line| line.rsplit(',')).map(str::trim).filter(|entry| !entry.is_empty()).take(MOST).collect()
}

/// An entry of `Forwarded`. Quoted values with a comma in them have been cut before, and then say nothing.
fn hop(entry: &str) -> Hop {
    let mut hop = Hop::default();
    for (name, value) in entry.split(';').filter_map(|pair| pair.trim().split_once('=')) {
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        match name.to_ascii_lowercase().as_str() {
            "for" => hop.client = node(value),
            "proto" => hop.proto = Some(value.into()),
            "host" => hop.host = Some(value.into()),
            _ => {}
        }
    }
    hop
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`. What
/// hides its name (`unknown`, `_abc`) is none.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| text.parse().map(|at: SocketAddr| at.ip())).ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn proxies(trusted: &[&str], header: ProxyHeader) -> Proxies {
        Proxies { trusted: trusted.iter().map(|n| n.parse().unwrap()).collect(), header }
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect::<Vec<_>>()
            .into_iter()
            .fold(HeaderMap::new(), |mut map, (name, value): (http::HeaderName, _)| {
                map.append(name, value);
                map
            })
    }

    /// Who is seen, and under which address, when a proxy at 10.0.0.1 asks for it.
    fn seen(proxies: &Proxies, peer: &str, lines: &[(&'static str, &str)]) -> (String, String) {
        let direct = Reached::directly(peer.parse().unwrap(), false, Some("inside:8080"));
        let reached = proxies.reached(direct, &headers(lines));
        (reached.client.to_string(), reached.origin().unwrap_or_default())
    }

    fn client(lines: &[(&'static str, &str)]) -> String {
        seen(&proxies(&["10.0.0.0/8", "fd00::/8"], ProxyHeader::XForwarded), "10.0.0.1", lines).0
    }

    const FOR: &str = "x-forwarded-for";

    #[test]
    fn nobody_is_believed_but_named_proxies() {
        let lines = [
            (FOR, "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=192.0.2.2;host=evil.example"),
        ];
        let direct = |peer: &str| (peer.to_owned(), "http://inside:8080".to_owned());
        assert_eq!(seen(&Proxies::default(), "10.0.0.1", &lines), direct("10.0.0.1"));
        assert_eq!(seen(&proxies(&["10.0.0.1"], ProxyHeader::XForwarded), "10.0.0.2", &lines), direct("10.0.0.2"));
        let one = proxies(&["10.0.0.1"], ProxyHeader::XForwarded);
        assert_eq!(seen(&one, "10.0.0.1", &lines), ("192.0.2.1".into(), "https://evil.example".into()));
        assert_eq!(seen(&one, "::ffff:10.0.0.1", &lines).0, "192.0.2.1");
        assert_eq!(seen(&one, "10.0.0.1", &[]), direct("10.0.0.1"), "who checks whether we are well");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_looked_at() {
        assert_eq!(client(&[(FOR, "192.0.2.66, 198.51.100.7")]), "198.51.100.7");
        assert_eq!(client(&[(FOR, "192.0.2.66, 198.51.100.7, 10.0.0.9")]), "198.51.100.7", "through two proxies");
        assert_eq!(client(&[(FOR, "192.0.2.66"), (FOR, "198.51.100.7"), (FOR, "10.2.3.4,fd00::1")]), "198.51.100.7");
        // That it says to be a proxy does not help: what the proxy added comes after it.
        assert_eq!(client(&[(FOR, "127.0.0.1, 10.0.0.5, 198.51.100.7")]), "198.51.100.7");
        // Nor does nonsense: it counts for the nearest that is known.
        assert_eq!(client(&[(FOR, "nonsense")]), "10.0.0.1");
        assert_eq!(client(&[(FOR, "192.0.2.66, unknown, 10.0.0.9")]), "10.0.0.9");
        assert_eq!(client(&[(FOR, ",,  ,")]), "10.0.0.1");
        assert_eq!(client(&[(FOR, "10.0.0.3, 10.0.0.4")]), "10.0.0.3", "nobody but proxies");
        assert_eq!(client(&[(FOR, &"10.0.0.4,".repeat(3_000))]), "10.0.0.4", "and not for ever");
    }

    #[test]
    fn addresses_as_proxies_write_them() {
        for (written, read) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("198.51.100.7.", "10.0.0.1"),
            ("198.51.100.7:", "10.0.0.1"),
        ] {
            assert_eq!(client(&[(FOR, written)]), read, "{written}");
        }
    }

    #[test]
    fn scheme_and_name_are_those_that_the_client_used() {
        let two = proxies(&["10.0.0.0/8"], ProxyHeader::XForwarded);
        let origin = |lines: &[(&'static str, &str)]| seen(&two, "10.0.0.1", lines).1;
        let (proto, host) = ("x-forwarded-proto", "x-forwarded-host");
        assert_eq!(origin(&[(FOR, "192.0.2.1"), (proto, "https"), (host, "radio.example")]), "https://radio.example");
        assert_eq!(origin(&[(proto, "https")]), "https://inside:8080", "only that");
        // Each of two proxies added to the lists, and the client had begun them.
        let lists = [
            (FOR, "1.1.1.1, 192.0.2.1, 10.0.0.2"),
            (proto, "gopher, https, http"),
            (host, "evil, radio.example, inside"),
        ];
        assert_eq!(origin(&lists), "https://radio.example");
        assert_eq!(origin(&[(FOR, "192.0.2.1, 10.0.0.2"), (proto, "https"), (host, "a.example")]), "https://a.example");
        for evil in ["a@evil.example", "evil example", "evil\"", "evil/path"] {
            assert_eq!(origin(&[(FOR, "192.0.2.1"), (host, evil)]), "", "{evil}");
        }
    }

    #[test]
    fn the_other_kind_of_headers_is_the_clients() {
        let rfc = proxies(&["10.0.0.0/8", "fd00::/8"], ProxyHeader::Forwarded);
        let seen = |lines: &[(&'static str, &str)]| seen(&rfc, "10.0.0.1", lines);
        let own = |client: &str| (client.to_owned(), "http://inside:8080".to_owned());
        assert_eq!(seen(&[(FOR, "192.0.2.66"), ("x-forwarded-host", "evil.example")]), own("10.0.0.1"));
        let list = "for=192.0.2.66;host=evil.example, for=198.51.100.7;proto=https;host=radio.example, for=10.0.0.4;host=inside";
        assert_eq!(seen(&[("forwarded", list)]), ("198.51.100.7".into(), "https://radio.example".into()));
        assert_eq!(seen(&[("forwarded", "FOR=\"[2001:db8::7]:80\" ; Proto=http")]), own("2001:db8::7"));
        for hidden in ["for=unknown", "for=_hidden", "host=evil,for=", "for=\"a,b\"", "nonsense"] {
            assert_eq!(seen(&[("forwarded", hidden)]).0, "10.0.0.1", "{hidden}");
        }
    }
}
