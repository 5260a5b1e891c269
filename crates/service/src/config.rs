//! One commented file, the environment, flags: the later wins. Unknown keys and bad values are refused with
//! the line and what is possible there.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Largest configuration file.
const MAX_BYTES: u64 = 1 << 20;

/// Why a configuration file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Larger than any configuration.
    #[error("{path} has {bytes} bytes: this is not a configuration file")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Wrong syntax, an unknown key or a bad value; the text has the line.
    #[error("configuration file {path}: {text}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Line, what is wrong, what is possible.
        text: String,
    },
}

/// Reads a TOML file into `T`, whose serde attributes say which keys exist.
///
/// # Errors
/// [`ConfigError`], with the line where there is one.
pub fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let read = |error| ConfigError::Read { path: path.to_owned(), error };
    let bytes = std::fs::metadata(path).map_err(read)?.len();
    if bytes > MAX_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    parse(&text).map_err(|text| ConfigError::Content { path: path.to_owned(), text })
}

/// Reads a file that holds a secret, which no error quotes.
///
/// # Errors
/// [`ConfigError`], when it cannot be read or is too large.
pub fn read_secret(path: &Path) -> Result<String, ConfigError> {
    let read = |error| ConfigError::Read { path: path.to_owned(), error };
    let bytes = std::fs::metadata(path).map_err(read)?.len();
    if bytes > MAX_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes });
    }
    std::fs::read_to_string(path).map_err(read)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let line =
            error.span().and_then(|span| text.get(..span.start)).map_or(0, |before| before.matches('\n').count());
        let what = error.message();
        let hint = misspelt(what).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default();
        format!("line {}: {what}{hint}", line + 1)
    })
}

/// The known key that is nearest to the unknown one, taken from "unknown field `a`, expected one of `b`, `c`".
fn misspelt(message: &str) -> Option<&str> {
    let mut quoted = message.strip_prefix("unknown field")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let (distance, known) = quoted.map(|known| (strsim::levenshtein(unknown, known), known)).min()?;
    (distance <= 3).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        http_addr: Option<SocketAddr>,
        #[allow(dead_code, reason = "a second key to choose from")]
        grpc_addr: Option<SocketAddr>,
    }

    #[test]
    fn names_the_line_and_a_way_out() {
        let good: File = parse("# where\nhttp_addr = \"127.0.0.1:80\"\n").unwrap();
        assert!(good.http_addr.is_some());
        let unknown = parse::<File>("# where\n\nhttp_adr = \"127.0.0.1:80\"").unwrap_err();
        assert!(unknown.starts_with("line 3: unknown field `http_adr`"), "{unknown}");
        assert!(unknown.ends_with("did you mean \"http_addr\"?"), "{unknown}");
        let far = parse::<File>("zzzzzzzzzzzz = 1").unwrap_err();
        assert!(far.contains("expected `http_addr` or `grpc_addr`") && !far.contains("did you mean"), "{far}");
        let bad = parse::<File>("http_addr = \"localhost\"").unwrap_err();
        assert!(bad.starts_with("line 1: invalid socket address"), "{bad}");
        assert!(parse::<File>("http_addr = ").unwrap_err().starts_with("line 1: "));
    }
}
