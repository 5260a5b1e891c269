//! What is shown with each call: a token, or nothing. A token from a file is read again when the file changed.

use super::{AddressError, Stamp};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// How often it is looked whether the file changed.
const LOOK: Duration = Duration::from_secs(1);
/// Longest token, in bytes.
const MAX: u64 = 16 << 10;

/// What is shown with each call.
#[derive(Clone, Default)]
pub struct Proof(Option<MetadataValue<Ascii>>, Option<Arc<Mutex<FromFile>>>);

struct FromFile {
    path: PathBuf,
    stamp: Stamp,
    looked: Instant,
    value: MetadataValue<Ascii>,
}

fn value(token: &str) -> Result<MetadataValue<Ascii>, AddressError> {
    let value = MetadataValue::try_from(format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|_| AddressError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(path: &Path) -> Result<MetadataValue<Ascii>, AddressError> {
    let wrong = |why: String| AddressError::TokenFile(path.to_owned(), why);
    let bytes = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if bytes > MAX {
        return Err(wrong(format!("{bytes} bytes; at most {MAX} are possible")));
    }
    value(&std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?)
}

impl Proof {
    pub(super) fn token(token: &str) -> Result<Self, AddressError> {
        Ok(Self(Some(value(token)?), None))
    }

    pub(super) fn file(path: &Path) -> Result<Self, AddressError> {
        let stamp = Stamp::of(path);
        let file = FromFile { path: path.to_owned(), stamp, looked: Instant::now(), value: read(path)? };
        Ok(Self(None, Some(Arc::new(Mutex::new(file)))))
    }

    pub(super) const fn is_something(&self) -> bool {
        self.0.is_some() || self.1.is_some()
    }

    fn now(&self) -> Option<MetadataValue<Ascii>> {
        let Some(file) = &self.1 else { return self.0.clone() };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.looked.elapsed() >= LOOK {
            file.looked = Instant::now();
            let stamp = Stamp::of(&file.path);
            if stamp != file.stamp {
                file.stamp = stamp;
                match read(&file.path) {
                    Ok(value) => file.value = value,
                    Err(error) => tracing::error!(%error, "the token changed and cannot be used; the old one stays"),
                }
            }
        }
        Some(file.value.clone())
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl Interceptor for Proof {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = self.now() {
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}
