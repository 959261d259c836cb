//! Opening local paths that are longer than the system takes in one call.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Result;

/// Bytes of path given to one `openat`; Linux takes 4095, macOS 1023.
const STEP_BYTES: usize = 1000;

/// Opens the directory `path` of this machine, following symlinks, however long the path is.
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    open(path, OFlags::RDONLY)
}

/// As [`open_directory`], only to open what is in it by name; needs no permission to list it where that is possible.
pub fn open_to_pass(path: &Path) -> Result<OwnedFd> {
    open(path, super::beneath::path_only())
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut rest = path.as_os_str().as_bytes();
    let mut directory: Option<OwnedFd> = None;
    loop {
        let step = step(rest);
        let (head, tail) = rest.split_at(step);
        let head = if head.is_empty() { &b"."[..] } else { head };
        let next = match &directory {
            Some(directory) => openat(directory, head, flags, Mode::empty())?,
            None => openat(CWD, head, flags, Mode::empty())?,
        };
        rest = &tail[tail.iter().take_while(|&&b| b == b'/').count()..];
        if rest.is_empty() {
            return Ok(next);
        }
        directory = Some(next);
    }
}

/// Where to cut: after the last whole component that fits.
fn step(path: &[u8]) -> usize {
    if path.len() <= STEP_BYTES {
        return path.len();
    }
    match path[..STEP_BYTES].iter().rposition(|&b| b == b'/') {
        Some(at) if at > 0 => at,
        _ => path[1..].iter().position(|&b| b == b'/').map_or(path.len(), |at| at + 1),
    }
}
