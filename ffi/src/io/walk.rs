//! Walking what a person wants to send: depth first, parents before children, in a fixed order.
//!
//! Symlinks are entries, never followed, but for a root that the person named. Memory holds one
//! sorted listing per open directory level, never a list of all files.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use serde::Serialize;

use super::backend::Seen;
use super::columns::*;
use super::ignores::{IGNORE_FILES, OWN_IGNORE_FILE, Rules, Verdict};
use super::listing::Listing;
use super::long_path;
use super::name::quoted_path;
use super::stamp::{STAMP_BYTES, Stamp};
use crate::error::{Error, Kind, Result};

/// Size of a page on the wire, so that it fits one control frame (1 MiB) with room for its keys.
const PAGE_BYTES: usize = 768 << 10;

/// Directories kept open at once; older ones are opened again on the way back up.
const MAX_OPEN: usize = 64;

/// One thing that the person named: where it is and what the receiver will call it.
#[derive(Clone, Debug)]
pub struct Root {
    /// `-` is standard input.
    pub path: PathBuf,
    pub name: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct WalkOptions {
    /// Globs in gitignore syntax, relative to each root. A root itself is never left out.
    pub exclude: Vec<String>,
    /// Obey `.gitignore`, `.ignore` and `.wormholeignore` below each root.
    pub ignore_files: bool,
}

/// A file as the walk saw it: enough to open it later and to notice that it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    pub id: u32,
    pub directory: Arc<Path>,
    pub name: OsString,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub dev: u64,
    pub ino: u64,
}

impl FileRef {
    /// What must not have changed when it is read.
    pub fn seen(&self) -> Seen {
        let FileRef { size, mtime_ns, ctime_ns, .. } = *self;
        Seen { device: self.dev, inode: self.ino, size, mtime_ns, ctime_ns }
    }

    /// Where the file is; for messages.
    pub fn path(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

/// Something that the walk left out because it could not be sent.
#[derive(Clone, Debug)]
pub struct Problem {
    pub path: PathBuf,
    pub error: Error,
}

/// The next part of a walk. `files` are the entries of kind FILE, not streams.
#[derive(Debug, Default)]
pub struct Page {
    pub columns: Columns,
    pub files: Vec<FileRef>,
    /// Bytes of these files that lie on the disk: less than their sizes where they have holes.
    pub allocated: u64,
    pub problems: Vec<Problem>,
    /// With marks: a stamp per entry, zeros for what is left out.
    pub stamps: Vec<u8>,
}

/// A walk that must not take what it leaves out for missing: each such name is an entry of kind LEFT_OUT, only
/// `.wormholeignore` files count, and every entry has a stamp.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    /// Leave out folders on other file systems than their parent's.
    pub one_file_system: bool,
}

/// Unit of `st_blocks`, whatever the file system's own blocks are (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// What [`count`] finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Streams are files of no bytes here.
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
    pub bytes: u64,
    /// Of them on the disk: less where files have holes.
    pub allocated: u64,
    pub problems: u64,
}

/// A walk in progress.
pub struct Walker {
    roots: std::vec::IntoIter<Root>,
    stack: Vec<Frame>,
    exclude: Option<Rules>,
    ignore_files: &'static [&'static str],
    marks: Option<Marks>,
    /// Path of the entry at hand, relative to its root.
    relative: Vec<u8>,
    /// Room for the name of the entry at hand.
    name: Vec<u8>,
    next_id: u32,
}

/// A directory whose children are being walked.
struct Frame {
    directory: Option<OwnedFd>,
    path: Arc<Path>,
    dev: u64,
    ino: u64,
    id: u32,
    listing: Listing,
    /// Length of the directory's own path in `Walker::relative`, with its `/`.
    prefix: usize,
    rules: Option<Rules>,
}

impl Walker {
    /// Begins a walk.
    ///
    /// # Errors
    /// When a root is missing or of a kind that cannot be sent, or a glob is wrong.
    pub fn open(roots: Vec<Root>, options: WalkOptions) -> Result<Walker> {
        Walker::open_with(roots, options, None)
    }

    /// As [`Walker::open`], with marks.
    ///
    /// # Errors
    /// As [`Walker::open`].
    pub fn open_with(roots: Vec<Root>, options: WalkOptions, marks: Option<Marks>) -> Result<Walker> {
        for root in roots.iter().filter(|root| !is_stdin(root)) {
            let what = || format!("Cannot open {}", quoted_path(&root.path));
            let metadata = std::fs::metadata(&root.path).map_err(|error| Error::io(what(), &error))?;
            if !metadata.is_file() && !metadata.is_dir() {
                use std::os::unix::fs::MetadataExt;
                return Err(special(&root.path, FileType::from_raw_mode(metadata.mode() as _)));
            }
        }
        if let Some(root) = roots.iter().find(|root| root.name.is_empty() || root.name.len() > 255) {
            let what = format!("Cannot send {}: its name is empty or too long", quoted_path(&root.path));
            return Err(Error::new(Kind::NameTooLong, what));
        }
        Ok(Walker {
            roots: roots.into_iter(),
            stack: Vec::new(),
            exclude: Rules::from_globs(&options.exclude)?,
            ignore_files: match (marks, options.ignore_files) {
                (Some(_), _) => OWN_IGNORE_FILE,
                (None, true) => IGNORE_FILES,
                (None, false) => &[],
            },
            marks,
            relative: Vec::new(),
            name: Vec::new(),
            next_id: 0,
        })
    }

    /// Gives the next entries: at most `max_entries`, and at most what fits one control frame.
    ///
    /// The page with `columns.last` ends the walk; it may be empty, as may one before it.
    pub fn next_page(&mut self, max_entries: usize) -> Result<Page> {
        let max_entries = max_entries.clamp(1, MAX_ENTRIES);
        let mut page = Page { columns: Columns::new(self.next_id), ..Page::default() };
        while (page.columns.count as usize) < max_entries
            && page.columns.encoded_bytes() < PAGE_BYTES
            && page.problems.len() < max_entries
        {
            if !self.stack.is_empty() {
                self.step(&mut page)?;
            } else if let Some(root) = self.roots.next() {
                self.enter_root(root, &mut page)?;
            } else {
                page.columns.last = true;
                break;
            }
        }
        Ok(page)
    }

    fn enter_root(&mut self, root: Root, page: &mut Page) -> Result<()> {
        self.relative.clear();
        if is_stdin(&root) {
            let mtime = now_ns();
            let entry = Entry {
                id: 0,
                kind: KIND_STREAM,
                parent: NO_PARENT,
                name: &root.name,
                mode: 0o600,
                size: SIZE_UNKNOWN,
                mtime,
                target: b"",
            };
            self.push(&entry, page)?;
            return Ok(());
        }
        let resolved = match resolve_root(&root.path) {
            Ok(resolved) => resolved,
            Err(error) => return report(page, &root.path, "open", &error),
        };
        let stat = match statat(CWD, &resolved, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return report(page, &root.path, "open", &errno.into()),
        };
        match FileType::from_raw_mode(stat.st_mode as _) {
            FileType::Directory => match long_path::open_directory(&resolved) {
                Ok(directory) => {
                    let path = Arc::from(resolved);
                    self.enter(directory, &stat, path, &root.name, NO_PARENT, page)
                }
                Err(errno) => report(page, &root.path, "open", &errno.into()),
            },
            FileType::RegularFile => {
                let directory = Arc::from(resolved.parent().unwrap_or(Path::new("")));
                let name = resolved.file_name().unwrap_or_default();
                self.file(&stat, Some((directory, name)), &root.name, NO_PARENT, page)
            }
            kind => report_special(page, root.path, kind),
        }
    }

    /// Takes one name of the innermost directory, or leaves that directory.
    fn step(&mut self, page: &mut Page) -> Result<()> {
        let depth = self.stack.len() - 1;
        let frame = &mut self.stack[depth];
        self.relative.truncate(frame.prefix);
        let Some(name) = frame.listing.next_name() else {
            self.stack.pop();
            return Ok(());
        };
        self.relative.extend_from_slice(name);
        self.name.clear();
        self.name.extend_from_slice(name);
        if frame.directory.is_none() {
            match reopen(frame) {
                Ok(directory) => frame.directory = Some(directory),
                // The rest of its names would look as if they were gone.
                Err(error) if self.marks.is_some() => return Err(error),
                Err(error) => {
                    let path = frame.path.to_path_buf();
                    self.stack.pop();
                    page.problems.push(Problem { path, error });
                    return Ok(());
                }
            }
        }
        // Taken and given back, so that no entry needs an allocation for its name.
        let name = std::mem::take(&mut self.name);
        let taken = self.take(&name, depth, page);
        self.name = name;
        taken
    }

    /// Adds what `name` is in the directory at `depth`, or with marks that it is left out.
    fn take(&mut self, name: &[u8], depth: usize, page: &mut Page) -> Result<()> {
        let (id, parent) = (self.next_id, self.stack[depth].id);
        self.entry(name, depth, page)?;
        if self.marks.is_some() && self.next_id == id {
            let kind = KIND_LEFT_OUT;
            self.push(&Entry { id, kind, parent, name, mode: 0, size: 0, mtime: 0, target: b"" }, page)?;
        }
        Ok(())
    }

    /// Adds what `name` is in the directory at `depth`, unless it is left out.
    fn entry(&mut self, name: &[u8], depth: usize, page: &mut Page) -> Result<()> {
        let frame = &self.stack[depth];
        let path = || frame.path.join(OsStr::from_bytes(name));
        let directory = frame.directory.as_ref().unwrap();
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return report(page, &path(), "look at", &errno.into()),
        };
        let kind = FileType::from_raw_mode(stat.st_mode as _);
        if self.left_out(kind == FileType::Directory) {
            return Ok(());
        }
        let frame = &self.stack[depth];
        if kind == FileType::Directory
            && self.marks.is_some_and(|marks| marks.one_file_system)
            && stat.st_dev as u64 != frame.dev
        {
            return Ok(());
        }
        let (directory, parent) = (frame.directory.as_ref().unwrap(), frame.id);
        let path = || frame.path.join(OsStr::from_bytes(name));
        match kind {
            FileType::RegularFile => {
                let place = match self.marks {
                    Some(_) => None,
                    None => Some((frame.path.clone(), OsStr::from_bytes(name))),
                };
                self.file(&stat, place, name, parent, page)
            }
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(directory, name, flags, Mode::empty()) {
                    Ok(opened) => {
                        let path = Arc::from(path());
                        self.enter(opened, &stat, path, name, parent, page)
                    }
                    Err(errno) => report(page, &path(), "open", &errno.into()),
                }
            }
            FileType::Symlink => match readlinkat(directory, name, Vec::new()) {
                Ok(target) => {
                    let target = target.to_bytes();
                    let size = target.len() as u64;
                    let mtime = mtime_ns(&stat);
                    let mode = stat.st_mode as u32 & 0o7777;
                    self.push(
                        &Entry { id: 0, kind: KIND_SYMLINK, parent, name, mode, size, mtime, target },
                        page,
                    )?;
                    self.stamp(&stat, page);
                    Ok(())
                }
                Err(errno) => report(page, &path(), "read", &errno.into()),
            },
            kind => report_special(page, path(), kind),
        }
    }

    /// Adds a directory and makes it the innermost one.
    fn enter(
        &mut self,
        directory: OwnedFd,
        seen: &Stat,
        path: Arc<Path>,
        name: &[u8],
        parent: u32,
        page: &mut Page,
    ) -> Result<()> {
        let opened = fstat(&directory).and_then(|stat| Ok((stat, Listing::read(&directory)?)));
        let (stat, listing) = match opened {
            Ok(opened) => opened,
            Err(errno) => return report(page, &path, "read", &errno.into()),
        };
        let mode = stat.st_mode as u32 & 0o7777;
        let mtime = mtime_ns(seen);
        let id = self.push(
            &Entry { id: 0, kind: KIND_DIRECTORY, parent, name, mode, size: 0, mtime, target: b"" },
            page,
        )?;
        self.stamp(&stat, page);
        let rules = match self.ignore_files {
            [] => None,
            names => Rules::from_files(names, &directory, &listing, &path, |path, error| {
                page.problems.push(Problem { path, error });
            }),
        };
        if !self.relative.is_empty() {
            self.relative.push(b'/');
        }
        self.stack.push(Frame {
            directory: Some(directory),
            path,
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            id,
            listing,
            prefix: self.relative.len(),
            rules,
        });
        if let Some(old) = self.stack.len().checked_sub(MAX_OPEN + 1) {
            self.stack[old].directory = None;
        }
        Ok(())
    }

    /// Adds a file; `place`: its folder, and its name in that, for whoever opens it later. With marks nobody does by what a walk
    /// saw; a stamp says as much.
    fn file(
        &mut self,
        stat: &Stat,
        place: Option<(Arc<Path>, &OsStr)>,
        name: &[u8],
        parent: u32,
        page: &mut Page,
    ) -> Result<()> {
        let (size, mtime) = (stat.st_size as u64, mtime_ns(stat));
        let mode = stat.st_mode as u32 & 0o7777;
        let id =
            self.push(&Entry { id: 0, kind: KIND_FILE, parent, name, mode, size, mtime, target: b"" }, page)?;
        self.stamp(stat, page);
        page.allocated += size.min((stat.st_blocks as u64).saturating_mul(BLOCK_BYTES));
        let Some((directory, file_name)) = place.filter(|_| self.marks.is_none()) else {
            return Ok(());
        };
        page.files.push(FileRef {
            id,
            directory,
            name: file_name.to_os_string(),
            size,
            mtime_ns: mtime,
            ctime_ns: ctime_ns(stat),
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
        });
        Ok(())
    }

    fn push(&mut self, entry: &Entry<'_>, page: &mut Page) -> Result<u32> {
        let id = self.next_id;
        if id == NO_PARENT - 1 {
            return Err(Error::new(
                Kind::LimitExceeded,
                "Cannot send so many files: 4294967294 are the most",
            ));
        }
        self.next_id += 1;
        page.columns.push(entry);
        if self.marks.is_some() {
            page.stamps.extend_from_slice(&[0; STAMP_BYTES]);
        }
        Ok(id)
    }

    /// Says in what state the entry was that was pushed last.
    fn stamp(&self, stat: &Stat, page: &mut Page) {
        if self.marks.is_some() {
            let at = page.stamps.len() - STAMP_BYTES;
            page.stamps[at..].copy_from_slice(&Stamp::from(stat).encode());
        }
    }

    /// Judges `self.relative`: the person's globs first, then the innermost ignore file that says anything.
    fn left_out(&self, is_directory: bool) -> bool {
        if let Some(exclude) = &self.exclude {
            match exclude.judge(&self.relative, is_directory) {
                Verdict::LeaveOut => return true,
                Verdict::Keep => return false,
                Verdict::Silent => {}
            }
        }
        let verdicts = self.stack.iter().rev().filter_map(|frame| {
            let rules = frame.rules.as_ref()?;
            Some(rules.judge(&self.relative[frame.prefix..], is_directory))
        });
        verdicts.into_iter().find(|verdict| *verdict != Verdict::Silent) == Some(Verdict::LeaveOut)
    }
}

/// Counts what a walk would give.
///
/// # Errors
/// As [`Walker::open`]; CANCELLED soon after `cancelled` is set.
pub fn count(roots: Vec<Root>, options: WalkOptions, cancelled: &AtomicBool) -> Result<Totals> {
    let mut walker = Walker::open(roots, options)?;
    let mut totals = Totals::default();
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Cancelled, "cancelled"));
        }
        let page = walker.next_page(4096)?;
        for entry in &page.columns {
            match entry.kind {
                KIND_DIRECTORY => totals.directories += 1,
                KIND_SYMLINK => totals.symlinks += 1,
                _ => totals.files += 1,
            }
            if entry.kind == KIND_FILE {
                totals.bytes = totals.bytes.saturating_add(entry.size);
            }
        }
        totals.allocated = totals.allocated.saturating_add(page.allocated);
        totals.problems += page.problems.len() as u64;
        if page.columns.last {
            return Ok(totals);
        }
    }
}

/// Opens a directory again whose handle was given up on the way down.
fn reopen(frame: &Frame) -> Result<OwnedFd> {
    let what = || format!("Cannot open {}", quoted_path(&frame.path));
    let directory =
        long_path::open_directory(&frame.path).map_err(|errno| Error::io(what(), &errno.into()))?;
    let stat = fstat(&directory).map_err(|errno| Error::io(what(), &errno.into()))?;
    if (stat.st_dev as u64, stat.st_ino as u64) != (frame.dev, frame.ino) {
        let text = format!("{}: another folder has taken its place", what());
        return Err(Error::new(Kind::SourceChanged, text));
    }
    Ok(directory)
}

/// Gives where a root really is: a symlink that the person named is followed.
fn resolve_root(path: &Path) -> std::io::Result<PathBuf> {
    match path.symlink_metadata()?.is_symlink() {
        true => path.canonicalize(),
        false => Ok(path.to_path_buf()),
    }
}

fn is_stdin(root: &Root) -> bool {
    root.path.as_os_str() == "-"
}

/// Notes what cannot be sent; the walk goes on.
fn report(page: &mut Page, path: &Path, verb: &str, error: &std::io::Error) -> Result<()> {
    let error = Error::io(format!("Cannot {verb} {}", quoted_path(path)), error);
    page.problems.push(Problem { path: path.to_path_buf(), error });
    Ok(())
}

/// As [`report`] for something of a kind that cannot be sent.
fn report_special(page: &mut Page, path: PathBuf, kind: FileType) -> Result<()> {
    page.problems.push(Problem { error: special(&path, kind), path });
    Ok(())
}

fn special(path: &Path, kind: FileType) -> Error {
    let what = match kind {
        FileType::Socket => "a socket",
        FileType::Fifo => "a named pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "neither a file nor a folder",
    };
    Error::new(Kind::Unsupported, format!("Cannot send {}: it is {what}", quoted_path(path)))
}

fn now_ns() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as i64)
}

/// Modification time in ns since 1970; times that do not fit are the nearest that do.
pub(super) fn mtime_ns(stat: &Stat) -> i64 {
    nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64)
}

/// Time of the last change of data or attributes, as [`mtime_ns`].
pub(super) fn ctime_ns(stat: &Stat) -> i64 {
    nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64)
}

fn nanoseconds(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
#[path = "walk_test.rs"]
mod tests;
