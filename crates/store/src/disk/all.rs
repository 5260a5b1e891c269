//! What is said and done about a whole file system. Elsewhere than on Linux, nothing.

use super::{DiskFile, Op};
use crate::error::StoreError;
use std::os::unix::fs::MetadataExt;

impl DiskFile {
    /// Which file system it is on.
    pub(crate) fn device(&self) -> Result<u64, StoreError> {
        self.run(Op::Read, || Ok(self.file.metadata()?.dev()))
    }

    /// Whether [`DiskFile::flush_all`] does as much for each file of its file system as a sync of that file.
    pub(crate) fn flushes_all(&self) -> bool {
        linux::flushes(&self.file)
    }

    /// Makes all files of its file system durable.
    pub(crate) fn flush_all(&self) -> Result<(), StoreError> {
        self.run(Op::Sync, || linux::flush(&self.file))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;

    /// The magic number of ext4, which ext2 and ext3 share (statfs(2)).
    const EXT: i64 = 0xef53;
    /// The first version that tells of failed writes (syncfs(2)).
    const TELLS: (u32, u32) = (5, 8);

    pub(super) fn flushes(file: &File) -> bool {
        #[allow(clippy::useless_conversion, reason = "the type of the number is another one on other machines")]
        let is_ext = rustix::fs::fstatfs(file).is_ok_and(|stat| i64::try_from(stat.f_type) == Ok(EXT));
        is_ext && version(&rustix::system::uname().release().to_string_lossy()).is_some_and(|v| v >= TELLS)
    }

    pub(super) fn flush(file: &File) -> io::Result<()> {
        Ok(rustix::fs::syncfs(file)?)
    }

    /// `6.1.0-18-amd64` is (6, 1).
    pub(super) fn version(release: &str) -> Option<(u32, u32)> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert!(version("5.10.0") >= Some(TELLS) && version("5.4.0-91-generic") < Some(TELLS));
        assert_eq!((version(""), version("next")), (None, None));
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use std::fs::File;
    use std::io;

    pub(super) const fn flushes(_: &File) -> bool {
        false
    }

    pub(super) fn flush(_: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
