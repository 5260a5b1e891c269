//! Who may ask at all. Until access is configured no web page may listen to someone's microphone: only loopback and
//! configured host names are answered (a name that an attacker points at this machine is neither), other origins may
//! not read replies, and whatever would change something has to come from here. Pure.

use crate::problem::{Problem, quoted};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use std::net::IpAddr;

const EXPOSED: &str = "Content-Range, Accept-Ranges, Content-Length, ETag, Date, Retry-After, X-Audio-Format, \
                       X-Livetape-First-Frame, X-Livetape-Recording, X-Livetape-Rendition, icy-br, icy-genre, icy-metaint, icy-name, icy-pub, icy-url";
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A setting that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Not an origin.
    #[error(
        "{0:?} is not an origin (LIVETAPE_CORS_ORIGINS): write it as https://radio.example or http://radio.example:8080, or `*` for any"
    )]
    Origin(String),
    /// Not a host name.
    #[error("{0:?} is not a host name (LIVETAPE_HOSTS): write it without a port, as radio.example, or `*` for any")]
    Host(String),
}

/// Host names and origins that are let in.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    hosts: Vec<String>,
    any_host: bool,
    any_address: bool,
    origins: Vec<HeaderValue>,
    any_origin: bool,
}

impl Origins {
    pub(crate) fn new(hosts: &[String], origins: &[String], anonymous: bool) -> Result<Self, SettingError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let host = |h: &String| match h.bytes().all(plain) && !h.is_empty() {
            true => Ok(h.to_ascii_lowercase()),
            false => Err(SettingError::Host(quoted(h))),
        };
        let named = |all: &[String]| all.iter().filter(|s| *s != "*").cloned().collect::<Vec<_>>();
        Ok(Self {
            any_host: hosts.iter().any(|h| h == "*"),
            hosts: named(hosts).iter().map(host).collect::<Result<_, _>>()?,
            any_address: anonymous,
            any_origin: origins.iter().any(|o| o == "*"),
            origins: named(origins).iter().map(|o| origin(o)).collect::<Result<_, _>>()?,
        })
    }

    /// Refuses requests for another `host` than those that are known, and changes on behalf of an origin that is not named: that any page may read
    /// does not mean that any page may delete.
    pub(crate) fn admit(
        &self,
        method: &Method,
        host: Option<&str>,
        headers: &HeaderMap,
        is_http_1_1: bool,
    ) -> Result<(), Problem> {
        match host {
            Some(host) if self.knows(host) => {}
            // HTTP/1.0 has no Host, and no browser speaks it.
            None if !is_http_1_1 => {}
            None => return Err(Problem::bad_request("the request has no Host", "send the header Host")),
            Some(host) => {
                let error = format!("this gateway is not known as {:?}", quoted(host));
                let hint = "use its IP address or localhost, or add the name to LIVETAPE_HOSTS";
                return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, error, hint));
            }
        }
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match headers.get(header::ORIGIN) {
            Some(origin) if !reads && !self.origins.contains(origin) && !is_own(origin, host) => {
                let error = "another web site's page may not change anything here";
                Err(Problem::new(StatusCode::FORBIDDEN, error, "add its origin to LIVETAPE_CORS_ORIGINS"))
            }
            _ => Ok(()),
        }
    }

    /// Adds what a browser has to know about who may read the reply.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, reply: &mut HeaderMap) {
        let allowed = match origin {
            _ if self.any_origin => Some(HeaderValue::from_static("*")),
            Some(origin) if self.allows(origin) => Some(origin.clone()),
            _ => None,
        };
        if !self.origins.is_empty() && !self.any_origin {
            reply.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        match allowed {
            Some(allowed) => {
                reply.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
                reply.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
                reply.insert(CORP, HeaderValue::from_static("cross-origin"));
            }
            None => {
                reply.insert(CORP, HeaderValue::from_static("same-origin"));
            }
        }
    }

    /// Adds what a preflight asks for, if its origin may read anything here; `changes` if something can be changed.
    pub(crate) fn preflight(&self, origin: Option<&HeaderValue>, changes: bool, reply: &mut HeaderMap) {
        if changes && origin.is_some_and(|o| self.origins.contains(o)) {
            let allow = HeaderValue::from_static("Authorization, Content-Type, Range, If-Range, Icy-MetaData");
            reply.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allow);
            let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
            reply.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            reply.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        } else if self.any_origin || origin.is_some_and(|o| self.allows(o)) {
            let allow = HeaderValue::from_static("Authorization, Range, If-Range, Icy-MetaData");
            reply.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allow);
            reply.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
            reply.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.any_origin || self.origins.contains(origin)
    }

    fn knows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            // An address cannot be pointed elsewhere by a name server.
            return self.any_address || self.any_host || ip.to_canonical().is_loopback();
        }
        name == "localhost" || name.ends_with(".localhost") || self.any_host || self.hosts.iter().any(|h| h == name)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// Whether the page came from the gateway itself.
fn is_own(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, rest)| rest);
    origin.is_some() && origin == host
}

fn origin(text: &str) -> Result<HeaderValue, SettingError> {
    let refused = || SettingError::Origin(quoted(text));
    let (scheme, rest) = text.split_once("://").ok_or_else(refused)?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    if !matches!(scheme, "http" | "https") || rest.is_empty() || !rest.bytes().all(plain) {
        return Err(refused());
    }
    HeaderValue::from_str(text).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(hosts: &[&str], origins: &[&str], anonymous: bool) -> Origins {
        let strings = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Origins::new(&strings(hosts), &strings(origins), anonymous).unwrap()
    }

    fn request(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn status(guard: &Origins, method: Method, headers: &HeaderMap) -> u16 {
        let host = headers.get(header::HOST).map(|host| host.to_str().unwrap());
        match guard.admit(&method, host, headers, true) {
            Ok(()) => 200,
            Err(problem) => problem.status.as_u16(),
        }
    }

    #[test]
    fn only_hosts_that_are_known() {
        let plain = guard(&[], &[], false);
        let get = |g: &Origins, host: &str| status(g, Method::GET, &request(host, None));
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "a.localhost",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:80",
            "[::1]",
            "localhost.",
        ] {
            assert_eq!(get(&plain, host), 200, "{host}");
        }
        let rebound =
            ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.5", "", "[::2]", "1:2:3"];
        for host in rebound {
            assert_eq!(get(&plain, host), 421, "{host}");
        }
        let named = guard(&["Radio.example"], &[], false);
        assert_eq!((get(&named, "radio.example:8080"), get(&named, "x.radio.example")), (200, 421));
        let open = guard(&[], &[], true);
        assert_eq!((get(&open, "192.168.1.5:8080"), get(&open, "evil.example")), (200, 421));
        assert_eq!(get(&guard(&["*"], &[], false), "anything.example"), 200);
    }

    #[test]
    fn whoever_says_no_host_is_no_browser() {
        let g = guard(&[], &[], false);
        assert_eq!(status(&g, Method::GET, &HeaderMap::new()), 400);
        assert!(g.admit(&Method::GET, None, &HeaderMap::new(), false).is_ok(), "HTTP/1.0");
    }

    #[test]
    fn changes_come_from_here() {
        let g = guard(&[], &["https://radio.example"], false);
        let post = |origin| status(&g, Method::POST, &request("localhost:80", origin));
        assert_eq!(post(None), 200);
        assert_eq!(post(Some("http://localhost:80")), 200);
        assert_eq!(post(Some("https://radio.example")), 200);
        assert_eq!(post(Some("http://localhost:81")), 403);
        assert_eq!(post(Some("https://evil.example")), 403);
        assert_eq!(post(Some("null")), 403);
        let open = guard(&[], &["*"], false);
        assert_eq!(status(&open, Method::DELETE, &request("localhost:80", Some("https://evil.example"))), 403);
    }

    #[test]
    fn preflights_tell_what_is_allowed() {
        let methods = |g: &Origins, changes| {
            let mut reply = HeaderMap::new();
            g.preflight(Some(&HeaderValue::from_static("https://radio.example")), changes, &mut reply);
            reply.get(header::ACCESS_CONTROL_ALLOW_METHODS).map(|v| v.to_str().unwrap().to_owned())
        };
        let (one, any) = (guard(&[], &["https://radio.example"], false), guard(&[], &["*"], false));
        assert_eq!(methods(&guard(&[], &[], false), true), None);
        assert_eq!(methods(&one, false).as_deref(), Some("GET, HEAD"));
        assert_eq!(methods(&any, true).as_deref(), Some("GET, HEAD"), "not by any page");
        assert!(methods(&one, true).is_some_and(|methods| methods.contains("DELETE")));
    }

    #[test]
    fn only_configured_origins_read() {
        let marked = |g: &Origins, origin: Option<&str>| {
            let mut reply = HeaderMap::new();
            let origin = origin.map(|o| o.parse::<HeaderValue>().unwrap());
            g.mark(origin.as_ref(), &mut reply);
            let text = |name| reply.get(name).map(|v: &HeaderValue| v.to_str().unwrap().to_owned());
            (text(header::ACCESS_CONTROL_ALLOW_ORIGIN), text(CORP).unwrap())
        };
        let (closed, open) = (guard(&[], &[], false), guard(&[], &["*"], false));
        let one = guard(&[], &["https://radio.example"], false);
        assert_eq!(marked(&closed, Some("https://radio.example")), (None, "same-origin".into()));
        assert_eq!(marked(&one, Some("https://evil.example")), (None, "same-origin".into()));
        let allowed = (Some("https://radio.example".into()), "cross-origin".into());
        assert_eq!(marked(&one, Some("https://radio.example")), allowed);
        assert_eq!(marked(&open, None), (Some("*".into()), "cross-origin".into()));
    }

    #[test]
    fn settings_are_checked() {
        let new = |host: &str, origin: &str| Origins::new(&[host.into()], &[origin.into()], false);
        assert!(new("a", "http://a:1").is_ok());
        assert!(matches!(new("a:80", "*"), Err(SettingError::Host(_))));
        for bad in ["radio.example", "https://", "https://a/", "ftp://a", "null", "https://A"] {
            assert!(matches!(new("a", bad), Err(SettingError::Origin(_))), "{bad}");
        }
    }
}
