//! What can be had at once, without waiting for the disk, and without copying: what the page cache holds. Elsewhere than
//! on Linux nothing is, and everything takes the way that waits.

use super::{Disk, DiskFile, Op};
use crate::error::StoreError;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

impl Disk {
    /// A file that exists, for reading, if that does not take the disk. `None` is no error: to open it says what is.
    pub(crate) fn open_now(&self, path: &Path) -> Result<Option<DiskFile>, StoreError> {
        let file = self.run(Op::Open, path, || Ok(linux::open(path)))?;
        Ok(file.map(|file| DiskFile { file, path: path.to_owned(), disk: self.clone() }))
    }
}

impl DiskFile {
    /// Fills `buf` from `offset` on, if all of it is in memory. Otherwise what is in `buf` means nothing.
    pub(crate) fn read_now(&self, buf: &mut [u8], offset: u64) -> Result<bool, StoreError> {
        self.run(Op::Read, || Ok(linux::read(&self.file, buf, offset)))
    }

    /// Hands some of `len` bytes from `offset` on to a socket, without copying them. As the socket does, it may want to
    /// be asked again.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<usize> {
        self.disk.faults.as_ref().map_or(Ok(()), |faults| faults.check(Op::Read, &self.path))?;
        match linux::send(&self.file, socket, offset, len)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => Ok(n),
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2, sendfile};
    use rustix::io::{ReadWriteFlags, preadv2};
    use std::fs::File;
    use std::io::{self, IoSliceMut};
    use std::os::fd::BorrowedFd;
    use std::path::Path;

    pub(super) fn open(path: &Path) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
    }

    pub(super) fn read(file: &File, buf: &mut [u8], offset: u64) -> bool {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            match preadv2(file, &mut [IoSliceMut::new(rest)], at, ReadWriteFlags::NOWAIT) {
                Ok(n @ 1..) => filled += n,
                _ => return false,
            }
        }
        true
    }

    pub(super) fn send(file: &File, socket: BorrowedFd<'_>, mut offset: u64, len: usize) -> io::Result<usize> {
        Ok(sendfile(socket, file, Some(&mut offset), len)?)
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::path::Path;

    pub(super) const fn open(_: &Path) -> Option<File> {
        None
    }

    pub(super) const fn read(_: &File, _: &mut [u8], _: u64) -> bool {
        false
    }

    pub(super) fn send(_: &File, _: BorrowedFd<'_>, _: u64, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
