//! Where Redis is and how to log in there. What is shown of it, in messages, logs and `Debug`, never has the password.

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError, TlsCertificates};
use std::fmt;
use std::path::PathBuf;

/// Longest address that is looked at, in bytes.
const MAX_URL: usize = 4096;
/// Most servers in one address.
const MAX_SERVERS: usize = 32;

/// What is wrong with the address of Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of Redis: {0}")]
pub struct RedisConfigError(String);

/// How the servers work together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One server.
    Single(ConnectionAddr),
    /// These sentinels know the master of that name.
    Sentinel(Vec<ConnectionAddr>, String),
    /// These nodes know the others.
    Cluster(Vec<ConnectionAddr>),
}

impl Place {
    fn over_tls(self) -> Self {
        let tls = |address| match address {
            ConnectionAddr::Tcp(host, port) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            other => other,
        };
        match self {
            Self::Single(server) => Self::Single(tls(server)),
            Self::Sentinel(servers, master) => Self::Sentinel(servers.into_iter().map(tls).collect(), master),
            Self::Cluster(servers) => Self::Cluster(servers.into_iter().map(tls).collect()),
        }
    }

    fn is_tls(&self) -> bool {
        let first = match self {
            Self::Single(server) => Some(server),
            Self::Sentinel(servers, _) | Self::Cluster(servers) => servers.first(),
        };
        matches!(first, Some(ConnectionAddr::TcpTls { .. }))
    }
}

/// Where Redis is. Made by [`RedisConfig::parse`].
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    pub(super) place: Place,
    user: Option<String>,
    password: Option<String>,
    db: u32,
    /// Authorities of the servers' certificates, in PEM, instead of those of this machine.
    ca: Option<String>,
}

impl RedisConfig {
    /// With the authorities of the servers' certificates, in PEM. For TLS.
    pub fn with_ca(self, pem: String) -> Self {
        Self { ca: Some(pem), ..self }
    }

    /// How certificates are checked, if not as usual on this machine.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        self.ca.as_ref().map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca.clone().into_bytes()) })
    }

    /// Reads an address:
    ///
    /// - `redis://[[user]:password@]host[:port][/db]`: one server; port 6379 and db 0 if not said,
    /// - `unix://[[user]:password@]/path/to/redis.sock[?db=N]`: one server on this machine,
    /// - `redis-sentinel://[[user]:password@]host[:port],…[/db]?master=NAME`: sentinels, port 26379 if not said; user and
    ///   password are those of the master,
    /// - `redis-cluster://[[user]:password@]host[:port],…`: some nodes of a cluster, port 6379 if not said.
    ///
    /// `rediss`, `rediss-sentinel` and `rediss-cluster` are the same over TLS.
    ///
    /// What is not allowed in a URL is written as `%` and two hexadecimal digits: `%40` for an `@` in a password.
    ///
    /// # Errors
    /// What is wrong and what would be right. The message quotes neither user nor password.
    pub fn parse(url: &str) -> Result<Self, RedisConfigError> {
        Self::parse_with(url, None)
    }

    /// The same, with a password that does not stand in the address, which may be `redis://user@host` then.
    ///
    /// # Errors
    /// As [`RedisConfig::parse`], and when the address has a password, too.
    pub fn parse_with(url: &str, secret: Option<String>) -> Result<Self, RedisConfigError> {
        if url.len() > MAX_URL {
            return Err(wrong(format!("longer than {MAX_URL} bytes")));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no scheme; it begins as redis://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (user, password) = match (login, secret) {
            (None, secret) => (None, secret),
            (Some(login), None) => parse_login(login)?,
            (Some(login), Some(_)) if login.contains(':') => {
                return Err(wrong("the password is said twice: in the address, and in the file"));
            }
            (Some(user), secret) => (Some(decode(user)?).filter(|user| !user.is_empty()), secret),
        };
        let mut query = Query::parse(query)?;
        let (servers, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (plain, tls) =
            scheme.strip_prefix("rediss").map_or((scheme.to_owned(), false), |rest| (format!("redis{rest}"), true));
        let place = match plain.as_str() {
            "redis" => Place::Single(one(parse_servers(servers, 6379)?)?),
            "unix" | "redis+unix" => Place::Single(socket(servers, path)?),
            "redis-sentinel" => {
                let master = query.master.take().ok_or_else(|| {
                    wrong("redis-sentinel:// needs the name of the master that the sentinels watch: ?master=NAME")
                })?;
                Place::Sentinel(parse_servers(servers, 26379)?, master)
            }
            "redis-cluster" => Place::Cluster(parse_servers(servers, 6379)?),
            _ => {
                return Err(wrong(
                    "unknown scheme; use redis://, unix://, redis-sentinel:// or redis-cluster://, or rediss… for TLS",
                ));
            }
        };
        let place = if tls { place.over_tls() } else { place };
        if query.master.is_some() {
            return Err(wrong("?master= belongs to redis-sentinel:// only"));
        }
        let path_db = if scheme.contains("unix") { "" } else { path.trim_start_matches('/') };
        let db = match (path_db, query.db) {
            ("", db) => db.unwrap_or(0),
            (_, Some(_)) => return Err(wrong("the number of the database is said twice")),
            (path, None) => parse_db(path)?,
        };
        if db != 0 && matches!(place, Place::Cluster(_)) {
            return Err(wrong("a cluster has database 0 only"));
        }
        Ok(Self { place, user, password, db, ca: None })
    }

    /// How to reach one of the servers and log in there.
    pub(super) fn server(&self, address: &ConnectionAddr) -> Result<ConnectionInfo, RedisError> {
        let mut login = RedisConnectionInfo::default().set_db(i64::from(self.db));
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        Ok(address.clone().into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp()))
    }

    /// User, password and database of the master behind sentinels.
    pub(super) fn login(&self) -> (Option<&str>, Option<&str>, u32) {
        (self.user.as_deref(), self.password.as_deref(), self.db)
    }
}

/// Tails are small and shall arrive at once.
pub(super) fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn wrong(what: impl Into<String>) -> RedisConfigError {
    RedisConfigError(what.into())
}

type Login = (Option<String>, Option<String>);

fn parse_login(login: &str) -> Result<Login, RedisConfigError> {
    let (user, password) = login.split_once(':').ok_or_else(|| {
        wrong("there is no ':' before the '@'; write user:password@, or :password@ for the default user")
    })?;
    let user = decode(user)?;
    let password = decode(password)?;
    if password.is_empty() {
        return Err(wrong(
            "the password before the '@' is empty; leave out everything up to '@' to log in without one",
        ));
    }
    Ok(((!user.is_empty()).then_some(user), Some(password)))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String, RedisConfigError> {
    let bad = || {
        wrong("a '%' in user, password, path or name has to be followed by two hexadecimal digits; a '%' itself is %25")
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(bad)?;
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let &[high, low] = digits else { return Err(bad()) };
        bytes.push(digit(high).zip(digit(low)).map(|(h, l)| h * 16 + l).ok_or_else(bad)?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong("user, password, path or name is not UTF-8"))
}

fn parse_servers(list: &str, port: u16) -> Result<Vec<ConnectionAddr>, RedisConfigError> {
    let servers: Vec<_> = list.split(',').map(|server| parse_server(server, port)).collect::<Result<_, _>>()?;
    if servers.len() > MAX_SERVERS {
        return Err(wrong(format!("{} servers; name at most {MAX_SERVERS}", servers.len())));
    }
    Ok(servers)
}

fn parse_server(server: &str, default_port: u16) -> Result<ConnectionAddr, RedisConfigError> {
    let (host, port) = match server.strip_prefix('[').map(|v6| v6.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, rest))) => (host, Some(rest.strip_prefix(':').unwrap_or("?"))),
        Some(None) => return Err(wrong("a '[' without ']'")),
        None => server.split_once(':').map_or((server, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(wrong("a host is missing; it looks like redis://host:6379"));
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':')) {
        return Err(wrong(
            "a host has characters that no name of a host has; an '@' or '/' in a password is written %40, %2F",
        ));
    }
    let port = port.map_or(Ok(default_port), |port| {
        let port = port.parse().ok().filter(|port| *port > 0);
        port.ok_or_else(|| wrong(format!("the port of {host} is not a number from 1 to 65535")))
    })?;
    Ok(ConnectionAddr::Tcp(host.into(), port))
}

fn one(servers: Vec<ConnectionAddr>) -> Result<ConnectionAddr, RedisConfigError> {
    let several = || wrong("redis:// names one server; for several use redis-sentinel:// or redis-cluster://");
    <[_; 1]>::try_from(servers).map(|[server]| server).map_err(|_| several())
}

fn socket(host: &str, path: &str) -> Result<ConnectionAddr, RedisConfigError> {
    if !host.is_empty() || path.len() < 2 {
        return Err(wrong("unix:// is followed by an absolute path: unix:///run/redis/redis.sock"));
    }
    Ok(ConnectionAddr::Unix(PathBuf::from(decode(path)?)))
}

fn parse_db(text: &str) -> Result<u32, RedisConfigError> {
    text.parse().map_err(|_| wrong("the database after the '/' is not a number such as 0"))
}

#[derive(Default)]
struct Query {
    master: Option<String>,
    db: Option<u32>,
}

impl Query {
    fn parse(text: &str) -> Result<Self, RedisConfigError> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("master", name)) if !name.is_empty() => query.master = Some(decode(name)?),
                Some(("db", number)) => query.db = Some(parse_db(number)?),
                _ => return Err(wrong("after the '?' only master=NAME and db=NUMBER are known")),
            }
        }
        Ok(query)
    }
}

impl fmt::Display for RedisConfig {
    /// For logs: the address without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, servers: &[ConnectionAddr]| {
            let names: Vec<_> = servers.iter().map(ToString::to_string).collect();
            f.write_str(&names.join(","))
        };
        let tls = if self.place.is_tls() { "s" } else { "" };
        match &self.place {
            Place::Single(ConnectionAddr::Unix(path)) => write!(f, "unix://{}", path.display()),
            Place::Single(server) => write!(f, "redis{tls}://{server}/{}", self.db),
            Place::Sentinel(servers, master) => {
                write!(f, "redis{tls}-sentinel://")?;
                list(f, servers)?;
                write!(f, "/{}?master={master}", self.db)
            }
            Place::Cluster(servers) => {
                write!(f, "redis{tls}-cluster://")?;
                list(f, servers)
            }
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = if self.password.is_some() { ", with a password" } else { "" };
        write!(f, "RedisConfig({self}{login})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        RedisConfig::parse(url).unwrap().to_string()
    }

    #[test]
    fn the_forms_of_an_address() {
        assert_eq!(shown("redis://localhost"), "redis://localhost:6379/0");
        assert_eq!(shown("redis://:secret@10.0.0.1:7000/3"), "redis://10.0.0.1:7000/3");
        assert_eq!(shown("redis://[::1]:7000"), "redis://::1:7000/0");
        assert_eq!(shown("unix:///run/redis.sock?db=2"), "unix:///run/redis.sock");
        assert_eq!(shown("redis-sentinel://u:secret@a,b:1/2?master=m"), "redis-sentinel://a:26379,b:1/2?master=m");
        assert_eq!(shown("redis-cluster://a:1,b,c:3"), "redis-cluster://a:1,b:6379,c:3");
        assert_eq!(shown("rediss://:secret@a:1"), "rediss://a:1/0");
        assert_eq!(shown("rediss-cluster://a:1,b"), "rediss-cluster://a:1,b:6379");
        let config = RedisConfig::parse("redis://us%65r:p%40ss%2f%25@h").unwrap();
        assert_eq!(config.login(), (Some("user"), Some("p@ss/%"), 0));
    }

    #[test]
    fn a_password_may_stand_elsewhere() {
        let secret = || Some("from a file".to_owned());
        for (url, user) in [("redis://tape@host", Some("tape")), ("redis://host", None), ("redis://@host", None)] {
            let config = RedisConfig::parse_with(url, secret()).unwrap();
            assert_eq!(config.login(), (user, Some("from a file"), 0), "{url}");
        }
        let twice = RedisConfig::parse_with("redis://tape:known@host", secret()).unwrap_err().to_string();
        assert!(twice.contains("twice") && !twice.contains("known"), "{twice}");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, part) in [
            ("localhost:6379", "no scheme"),
            ("http://a:secret@b", "unknown scheme"),
            ("redis://", "host is missing"),
            ("redis://:secret@", "host is missing"),
            ("redis://:secret@a:x", "port"),
            ("redis://:secret@a:0", "port"),
            ("redis://:secret@a:65536", "port"),
            ("redis://:secret@[::1", "without ']'"),
            ("redis://:secret@[::1]x", "port"),
            ("redis://:secret@a,b", "names one server"),
            ("redis://secret@a", "no ':'"),
            ("redis://a:@b", "password"),
            ("redis://:secret%zz@a", "hexadecimal"),
            ("redis://:secret%f@a", "hexadecimal"),
            ("redis://:secret%@a", "hexadecimal"),
            ("redis://:sec ret/x@a/b", "database"),
            ("redis://:secret@a b", "characters"),
            ("redis://:secret%ff@a", "UTF-8"),
            ("redis://a/0?db=1", "twice"),
            ("redis://a/-1", "database"),
            ("redis://a?secret=secret", "master=NAME"),
            ("redis://a?master=secret", "belongs to redis-sentinel"),
            ("redis-sentinel://:secret@a", "?master=NAME"),
            ("redis-cluster://:secret@a/1", "database 0"),
            ("unix://:secret@host/path", "absolute path"),
            ("unix://", "absolute path"),
            (&format!("redis-cluster://{}", "a,".repeat(40) + "a"), "servers"),
            (&format!("redis://:{}@a", "secret".repeat(1000)), "longer"),
        ] {
            let message = RedisConfig::parse(url).expect_err(url).to_string();
            assert!(message.contains(part), "{url}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let config = RedisConfig::parse("redis-sentinel://me:secret@h:1?master=m").unwrap();
        let texts = [format!("{config}"), format!("{config:?}"), format!("{config:#?}")];
        assert!(texts.iter().all(|text| !text.contains("secret") && !text.contains("me:")), "{texts:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "(redis|unix|redis-sentinel|redis-cluster)?(://)?[a-z0-9%:@/,?&=\\[\\]é]{0,40}") {
            drop(RedisConfig::parse(&text));
        }
    }
}
