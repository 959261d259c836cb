//! Opening, making and removing things beneath an open directory, never outside it.
//!
//! No symlink is ever followed and `..` is refused, so neither a hostile name nor a symlink that
//! somebody swaps in meanwhile can lead outside. Linux does it in one `openat2`; elsewhere, and
//! where a sandbox forbids that call, each component is opened in turn without following links.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, mkdirat, openat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::name::{check_component, quoted};
use crate::error::{Error, Kind, Result};

/// How a path is resolved; everything but the tests uses [`Method::Auto`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `openat2` where it works, else component by component.
    Auto,
    /// Component by component.
    Steps,
}

/// The directory that holds the last component of a path.
pub enum Parent<'a> {
    Given(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Parent::Given(directory) => directory.as_fd(),
            Parent::Opened(directory) => directory.as_fd(),
        }
    }
}

/// Opens `path` (components separated by `/`) beneath `directory`; `flags` get CLOEXEC and NOFOLLOW.
pub fn open(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    open_by(Method::Auto, directory, path, flags, mode)
}

/// As [`open`], by a given method.
pub fn open_by(
    method: Method,
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd> {
    check(path)?;
    resolve(method, directory, path, flags, mode).map_err(|errno| failed("open", path, errno))
}

/// Opens the directory `path` beneath `directory` for listing.
pub fn open_directory(directory: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd> {
    open(directory, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
}

/// Opens the directory that holds the last component of `path`, and gives that component.
pub fn parent<'a, 'p>(directory: BorrowedFd<'a>, path: &'p [u8]) -> Result<(Parent<'a>, &'p [u8])> {
    parent_by(Method::Auto, directory, path)
}

fn parent_by<'a, 'p>(
    method: Method,
    directory: BorrowedFd<'a>,
    path: &'p [u8],
) -> Result<(Parent<'a>, &'p [u8])> {
    check(path)?;
    let Some(cut) = path.iter().rposition(|&b| b == b'/') else {
        return Ok((Parent::Given(directory), path));
    };
    let flags = path_only() | OFlags::DIRECTORY;
    let opened = resolve(method, directory, &path[..cut], flags, Mode::empty())
        .map_err(|errno| failed("open", &path[..cut], errno))?;
    Ok((Parent::Opened(opened), &path[cut + 1..]))
}

/// Makes the directory `path` beneath `directory`.
pub fn make_directory(directory: BorrowedFd<'_>, path: &[u8], mode: Mode) -> Result<()> {
    make_directory_by(Method::Auto, directory, path, mode)
}

/// As [`make_directory`], by a given method.
pub fn make_directory_by(method: Method, directory: BorrowedFd<'_>, path: &[u8], mode: Mode) -> Result<()> {
    let (parent, name) = parent_by(method, directory, path)?;
    mkdirat(parent, name, mode).map_err(|errno| failed("create", path, errno))
}

/// Makes the symlink `path` beneath `directory`; `target` is any bytes without NUL.
pub fn make_symlink(directory: BorrowedFd<'_>, path: &[u8], target: &[u8]) -> Result<()> {
    if target.is_empty() || target.contains(&0) {
        let text = format!("Cannot create {}: its target is not a path", quoted(path));
        return Err(Error::new(Kind::HostileName, text));
    }
    let (parent, name) = parent(directory, path)?;
    symlinkat(target, parent, name).map_err(|errno| failed("create", path, errno))
}

/// Removes the file or symlink `path` beneath `directory`.
pub fn remove_file(directory: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
    let (parent, name) = parent(directory, path)?;
    unlinkat(parent, name, AtFlags::empty()).map_err(|errno| failed("remove", path, errno))
}

/// Looks at `path` beneath `directory` without following a symlink.
pub fn stat(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Stat> {
    let (parent, name) = parent(directory, path)?;
    look(parent, name, path)
}

/// Looks at one path after the other beneath a directory: the folder of the last stays open for the next, which is mostly
/// in the same. For moments only: a folder that is moved meanwhile is looked into where it is then.
pub struct Looker<'a> {
    directory: BorrowedFd<'a>,
    folder: Option<(Vec<u8>, OwnedFd)>,
}

impl<'a> Looker<'a> {
    pub fn new(directory: BorrowedFd<'a>) -> Looker<'a> {
        Looker { directory, folder: None }
    }

    /// The directory that all paths are beneath.
    pub fn directory(&self) -> BorrowedFd<'a> {
        self.directory
    }

    /// As [`stat`].
    pub fn stat(&mut self, path: &[u8]) -> Result<Stat> {
        let at = match path.iter().rposition(|&b| b == b'/') {
            Some(cut) if self.folder.as_ref().is_some_and(|(folder, _)| *folder == path[..cut]) => cut,
            _ => {
                let (parent, name) = parent(self.directory, path)?;
                let cut = path.len() - name.len();
                let Parent::Opened(opened) = parent else { return look(parent, name, path) };
                self.folder = Some((path[..cut - 1].to_vec(), opened));
                cut - 1
            }
        };
        let (_, folder) = self.folder.as_ref().expect("it is that of this path");
        check_component(&path[at + 1..])?;
        look(folder, &path[at + 1..], path)
    }
}

/// Looks at what has this name in an open directory, which is at `path`.
pub fn look(folder: impl AsFd, name: &[u8], path: &[u8]) -> Result<Stat> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| failed("look at", path, errno))
}

/// Refuses a path with an empty component, `.`, `..` or NUL; so also an absolute one.
pub fn check(path: &[u8]) -> Result<()> {
    path.split(|&b| b == b'/').try_for_each(check_component)
}

/// The error for a failed call on `path`.
pub fn failed(verb: &str, path: &[u8], errno: Errno) -> Error {
    let what = format!("Cannot {verb} {}", quoted(path));
    if errno == Errno::LOOP || errno == Errno::XDEV {
        let mut error = Error::new(Kind::PathEscapes, format!("{what}: a symbolic link is in the way"));
        error.errno = errno.raw_os_error();
        return error;
    }
    Error::io(what, &errno.into())
}

fn resolve(
    method: Method,
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> std::result::Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    if method == Method::Auto
        && let Some(result) = at_once(directory, path, flags, mode)
    {
        return result;
    }
    step_by_step(directory, path, flags, mode)
}

/// Set when the system has no `openat2` or forbids it.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

#[cfg(target_os = "linux")]
fn at_once(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> Option<std::result::Result<OwnedFd, Errno>> {
    use rustix::fs::{ResolveFlags, openat2};
    // Longer paths fail with ENAMETOOLONG at once but not step by step.
    if NO_OPENAT2.load(Ordering::Relaxed) || path.len() > 4000 {
        return None;
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(directory, path, flags, mode, resolve) {
        Err(Errno::NOSYS) => {
            NO_OPENAT2.store(true, Ordering::Relaxed);
            None
        }
        // A seccomp filter says EPERM, a last component that is a symlink ENOTDIR: the steps tell which.
        Err(Errno::PERM | Errno::AGAIN | Errno::NOTDIR) => None,
        result => Some(result),
    }
}

#[cfg(not(target_os = "linux"))]
fn at_once(_: BorrowedFd<'_>, _: &[u8], _: OFlags, _: Mode) -> Option<std::result::Result<OwnedFd, Errno>> {
    NO_OPENAT2.store(true, Ordering::Relaxed);
    None
}

fn step_by_step(
    directory: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> std::result::Result<OwnedFd, Errno> {
    let step = path_only() | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: Option<OwnedFd> = None;
    let mut components = path.split(|&b| b == b'/').peekable();
    while let Some(component) = components.next() {
        let here = at.as_ref().map_or(directory, |fd| fd.as_fd());
        let last = components.peek().is_none();
        let flags = if last { flags } else { step };
        let mode = if last { mode } else { Mode::empty() };
        let next = openat(here, component, flags, mode).map_err(|errno| match errno {
            // O_DIRECTORY on a symlink says ENOTDIR; openat2 says ELOOP.
            Errno::NOTDIR if is_symlink(here, component) => Errno::LOOP,
            // BSD says EMLINK for O_NOFOLLOW on a symlink.
            Errno::MLINK => Errno::LOOP,
            errno => errno,
        })?;
        if last {
            return Ok(next);
        }
        at = Some(next);
    }
    Err(Errno::NOENT)
}

fn is_symlink(directory: BorrowedFd<'_>, name: &[u8]) -> bool {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode as _) == FileType::Symlink)
}

/// Flags for a directory that is only passed through: needs no read permission where that is possible.
pub(super) fn path_only() -> OFlags {
    #[cfg(target_os = "linux")]
    return OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    return OFlags::RDONLY;
}

#[cfg(test)]
#[path = "beneath_test.rs"]
mod tests;
