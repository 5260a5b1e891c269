//! The file that says who may what. Its keys and passwords are hashes or names of other files, which are found beside it.

use crate::book::{Book, Entry, User};
use crate::grant::Grants;
use crate::jwt::{JwtAlgorithm, JwtKey, JwtRules, MAX_KEYS};
use crate::password;
use crate::signed::UrlKey;
use crate::token::TokenHash;
use livetape_audio::WallTime;
use serde::Deserialize;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest file, in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// Most tokens, users, certificates each.
const MAX_ENTRIES: usize = 10_000;
/// Built-in and most difference between clocks that JWTs are forgiven, in seconds.
const LEEWAY: u64 = 30;
const MAX_LEEWAY: u64 = 300;

/// Why the file cannot be used. Quotes no secret.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not understood.
    #[error("access file {path}: {text}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line if there is one.
        text: String,
    },
    /// The system does not work.
    #[error("access cannot be checked: {0}")]
    System(#[from] std::io::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<FileToken>,
    #[serde(default)]
    user: Vec<FileUser>,
    #[serde(default)]
    certificate: Vec<FileCertificate>,
    #[serde(default)]
    url_key: Vec<FileUrlKey>,
    #[serde(default)]
    jwt: FileJwt,
    #[serde(default)]
    revoked: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileToken {
    name: String,
    sha256: TokenHash,
    grants: Grants,
    until: Option<WallTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUser {
    name: String,
    password: String,
    grants: Grants,
    until: Option<WallTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCertificate {
    name: String,
    grants: Grants,
    until: Option<WallTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileUrlKey {
    id: String,
    file: PathBuf,
    grants: Grants,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJwt {
    issuer: Option<String>,
    audience: Option<String>,
    leeway_seconds: Option<u64>,
    #[serde(default)]
    key: Vec<FileJwtKey>,
    jwks: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJwtKey {
    algorithm: JwtAlgorithm,
    id: Option<String>,
    file: PathBuf,
}

/// What tells one state of a file from another, without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, i64, i64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let stamp = |m: std::fs::Metadata| (m.ino(), m.len(), m.mtime(), m.mtime_nsec());
        Self(std::fs::metadata(path).ok().map(stamp))
    }
}

/// The files that were read, and how they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<(PathBuf, Stamp)>);

impl Stamps {
    /// Whether one of them is not as it was.
    pub(crate) fn changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| Stamp::of(path) != *stamp)
    }
}

/// Reads files and notes them.
struct Reader {
    folder: PathBuf,
    stamps: Vec<(PathBuf, Stamp)>,
}

impl Reader {
    fn read(&mut self, path: &Path) -> Result<String, AccessError> {
        let path = self.folder.join(path);
        let read = |source| AccessError::Read { path: path.clone(), source };
        // Before reading: what changes meanwhile is read again.
        self.stamps.push((path.clone(), Stamp::of(&path)));
        let bytes = std::fs::metadata(&path).map_err(read)?.len();
        if bytes > MAX_BYTES {
            return Err(AccessError::Content {
                path,
                text: format!("{bytes} bytes; at most {MAX_BYTES} are possible"),
            });
        }
        std::fs::read_to_string(&path).map_err(read)
    }
}

/// Reads the file and those that it names; which those are is known even if one of them is wrong.
pub(crate) fn load(path: &Path) -> (Result<Book, AccessError>, Stamps) {
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let mut reader = Reader { folder, stamps: Vec::new() };
    let book = book(path, &mut reader);
    (book, Stamps(reader.stamps))
}

fn book(path: &Path, reader: &mut Reader) -> Result<Book, AccessError> {
    let name = path.file_name().map(Path::new).unwrap_or(path);
    let text = reader.read(name)?;
    let wrong = |text: String| AccessError::Content { path: path.to_owned(), text };
    let file: File = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
        // The message names keys and types; a value that it might quote is a hash or a name.
        wrong(format!("line {line}: {}", error.message()))
    })?;
    let mut book = Book { revoked: file.revoked.into_iter().collect(), ..Book::default() };
    let tokens =
        file.token.into_iter().map(|t| Ok((t.sha256.0, Entry { name: t.name, grants: t.grants, until: t.until })));
    book.tokens = unique("the sha256 of a token", tokens).map_err(wrong)?;
    let users = file.user.into_iter().map(|u| {
        password::check(&u.password).map_err(|e| format!("user {:?}: {e}", u.name))?;
        let entry = Entry { name: u.name.clone(), grants: u.grants, until: u.until };
        Ok((u.name, User { hash: u.password, entry }))
    });
    book.users = unique("the name of a user", users).map_err(wrong)?;
    let certificates = file
        .certificate
        .into_iter()
        .map(|c| Ok((c.name.clone(), Entry { name: c.name, grants: c.grants, until: c.until })));
    book.certificates = unique("the name of a certificate", certificates).map_err(wrong)?;
    book.url_keys = url_keys(file.url_key, reader).map_err(|e| e.map_or_else(wrong))?;
    book.jwt = jwt(file.jwt, reader).map_err(|e| e.map_or_else(wrong))?;
    Ok(book)
}

/// A text for the file itself, or an error of another file.
enum Wrong {
    Here(String),
    There(AccessError),
}

impl Wrong {
    fn map_or_else(self, here: impl Fn(String) -> AccessError) -> AccessError {
        match self {
            Self::Here(text) => here(text),
            Self::There(error) => error,
        }
    }
}

impl From<AccessError> for Wrong {
    fn from(error: AccessError) -> Self {
        Self::There(error)
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self::Here(text)
    }
}

fn unique<K: Eq + std::hash::Hash, V>(
    what: &str,
    all: impl ExactSizeIterator<Item = Result<(K, V), String>>,
) -> Result<HashMap<K, V>, String> {
    if all.len() > MAX_ENTRIES {
        return Err(format!("{what} stands {} times; at most {MAX_ENTRIES} are possible", all.len()));
    }
    let mut map = HashMap::with_capacity(all.len());
    for (at, entry) in all.enumerate() {
        let (key, value) = entry?;
        if map.insert(key, value).is_some() {
            return Err(format!("{what} stands there twice: entry {}", at + 1));
        }
    }
    Ok(map)
}

fn url_keys(keys: Vec<FileUrlKey>, reader: &mut Reader) -> Result<Vec<(UrlKey, Grants)>, Wrong> {
    if keys.len() > MAX_KEYS {
        return Err(format!("{} url_key; at most {MAX_KEYS} are possible", keys.len()).into());
    }
    let mut read: Vec<(UrlKey, Grants)> = Vec::with_capacity(keys.len());
    for FileUrlKey { id, file, grants } in keys {
        let key = UrlKey::new(&id, &reader.read(&file)?).map_err(|e| format!("url_key {id:?}: {e}"))?;
        if read.iter().any(|(other, _)| other.id() == key.id()) {
            return Err(format!("url_key {id:?} stands there twice").into());
        }
        read.push((key, grants));
    }
    Ok(read)
}

fn jwt(jwt: FileJwt, reader: &mut Reader) -> Result<JwtRules, Wrong> {
    let leeway = jwt.leeway_seconds.unwrap_or(LEEWAY);
    if leeway > MAX_LEEWAY {
        return Err(format!("jwt: leeway_seconds is {leeway}; 0 to {MAX_LEEWAY} are possible").into());
    }
    let mut keys = Vec::new();
    for FileJwtKey { algorithm, id, file } in jwt.key {
        let text = reader.read(&file)?;
        keys.push(JwtKey::read(algorithm, id, &text).map_err(|e| format!("jwt key {}: {e}", file.display()))?);
    }
    if let Some(file) = jwt.jwks {
        let text = reader.read(&file)?;
        keys.extend(JwtKey::read_set(&text).map_err(|e| format!("jwks {}: {e}", file.display()))?);
    }
    if keys.len() > MAX_KEYS {
        return Err(format!("{} keys of JWTs; at most {MAX_KEYS} are possible", keys.len()).into());
    }
    let leeway = Duration::from_secs(leeway);
    Ok(JwtRules { keys, issuer: jwt.issuer, audience: jwt.audience, leeway })
}
