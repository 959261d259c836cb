//! How much there is to copy in all, for whoever watches: a thread of its own walks the sources ahead of the copy, which itself
//! knows that only when it has entered the last folder. It only looks, at the lowest priority, and not before the copy
//! has taken a while.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::process::setpriority_process;

use super::listing::Listing;
use super::meta::Meta;
use super::run::Run;
use crate::io::ignores::Verdict;

/// Copies that are shorter are over before anybody wants to know.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// Least priority (nice(2)): on a busy machine the copy goes first.
const NICE: i32 = 19;

/// Deeper trees stay uncounted: each level holds a directory open.
const MAX_DEPTH: usize = 256;

/// What the sources hold, once that is known.
#[derive(Default)]
pub struct Tally {
    files: AtomicU64,
    bytes: AtomicU64,
    is_known: AtomicBool,
}

impl Tally {
    /// Entries that are no folders, and bytes.
    pub fn get(&self) -> Option<(u64, u64)> {
        let is_known = self.is_known.load(Ordering::Acquire);
        is_known.then(|| (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed)))
    }
}

/// Counts once the copy has taken [`PATIENCE`]; ends early when the copy does.
pub fn count_ahead(run: &Run) {
    if run.wait_for_stop(PATIENCE) {
        return;
    }
    // Of this thread alone, on Linux.
    let _ = setpriority_process(None, NICE);
    count(run);
}

/// Counts all roots. What cannot be looked at is not counted; a tree that is too deep leaves the sums unknown.
pub fn count(run: &Run) {
    let mut walk = Walk { run, files: 0, bytes: 0, device: 0 };
    if run.roots.iter().all(|root| walk.root(&root.source).is_some()) {
        run.tally.files.store(walk.files, Ordering::Relaxed);
        run.tally.bytes.store(walk.bytes, Ordering::Relaxed);
        run.tally.is_known.store(true, Ordering::Release);
    }
}

struct Walk<'a> {
    run: &'a Run,
    files: u64,
    bytes: u64,
    /// The root's.
    device: u64,
}

fn open(directory: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty()).ok()
}

impl Walk<'_> {
    /// `None` when the sums will not be known.
    fn root(&mut self, path: &Path) -> Option<()> {
        let stat = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let meta = Meta::from(stat);
        self.device = meta.device;
        match meta.file_type() {
            FileType::Directory => self.folder(&open(CWD, path)?, &mut Vec::new(), 0),
            _ => {
                self.add(&meta);
                Some(())
            }
        }
    }

    fn folder(&mut self, directory: &OwnedFd, relative: &mut Vec<u8>, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let Ok(listing) = Listing::read(directory) else { return Some(()) };
        let length = relative.len();
        for index in 0..listing.len() {
            if self.run.stopped.load(Ordering::Relaxed) {
                return None;
            }
            let (name, mut file_type) = (listing.name(index), listing.file_type(index));
            let mut meta = None;
            if matches!(file_type, FileType::Unknown | FileType::RegularFile) {
                let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
                let Ok(stat) = stat else { continue };
                file_type = Meta::from(stat).file_type();
                meta = Some(Meta::from(stat));
            }
            let is_directory = file_type == FileType::Directory;
            relative.extend_from_slice(name.to_bytes());
            if let Some(rules) = &self.run.rules
                && rules.judge(relative, is_directory) == Verdict::LeaveOut
            {
            } else if is_directory {
                relative.push(b'/');
                self.enter(open(directory.as_fd(), name), relative, depth + 1)?;
            } else if let Some(meta) = meta {
                self.add(&meta);
            } else {
                let is_special = file_type != FileType::Symlink;
                self.files += u64::from(!is_special || self.run.options.preserve.specials);
            }
            relative.truncate(length);
        }
        Some(())
    }

    fn enter(&mut self, directory: Option<OwnedFd>, relative: &mut Vec<u8>, depth: usize) -> Option<()> {
        let Some(directory) = directory else { return Some(()) };
        if self.run.options.one_file_system
            && !fstat(&directory).is_ok_and(|stat| Meta::from(stat).device == self.device)
        {
            return Some(());
        }
        self.folder(&directory, relative, depth)
    }

    /// Bytes of what has several names are shared among them, since they are copied once.
    fn add(&mut self, meta: &Meta) {
        self.files += 1;
        if meta.file_type() == FileType::RegularFile {
            let names = if self.run.options.preserve.hardlinks { meta.links.max(1) } else { 1 };
            self.bytes += meta.size / names;
        }
    }
}
