//! Where large files came to lie, so that their bytes can be found again.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::tree::Tree;
use crate::io::beneath;
use crate::io::local::stamp_of;
use crate::io::stage::Staging;
use crate::io::stamp::Stamp;

/// Files that are remembered of one transfer; later ones are not. Caps memory at about 200 MiB, with the next.
pub const MAX_FILES: usize = 1 << 20;

/// Bytes of all their paths.
const MAX_PATH_BYTES: usize = 128 * 1024 * 1024;

/// The large files of one receive session.
#[derive(Default)]
pub struct Remembered {
    /// None: no file is remembered.
    least_bytes: Option<u64>,
    files: BTreeMap<u32, File>,
    path_bytes: usize,
    /// Absolute path of the destination.
    destination: PathBuf,
}

struct File {
    /// Index of the tree's root, and the path below it with its leading `/`.
    root: usize,
    below: Box<[u8]>,
    /// What it was when it was put in place, and where that is below the destination.
    placed: Option<(Stamp, Vec<u8>)>,
}

impl Remembered {
    /// Remembers files of at least `least_bytes` that go to `destination`.
    pub fn new(least_bytes: u64, destination: &Path) -> Remembered {
        let absolute = destination.canonicalize().or_else(|_| std::path::absolute(destination));
        let destination = absolute.unwrap_or_else(|_| destination.to_path_buf());
        Remembered { least_bytes: Some(least_bytes), destination, ..Remembered::default() }
    }

    /// Takes note of a file whose staged path is that of its root and then `below`.
    pub fn expect(&mut self, entry: u32, size: u64, root: usize, below: &[u8]) {
        let has_room = self.files.len() < MAX_FILES && self.path_bytes + below.len() <= MAX_PATH_BYTES;
        if has_room && self.least_bytes.is_some_and(|least| size >= least) {
            self.path_bytes += below.len();
            self.files.insert(entry, File { root, below: below.into(), placed: None });
        }
    }

    /// Looks at what is staged, just before it is put in place.
    pub(super) fn look(&mut self, staging: &Staging, tree: &Tree) {
        for file in self.files.values_mut().filter(|file| file.placed.is_none()) {
            let Some((plan, staged)) = tree.roots.get(file.root) else { continue };
            let path = |root: &[u8]| [root, &file.below].concat();
            let stamp = look(staging.tree(), &path(staged));
            file.placed = stamp.map(|stamp| (stamp, path(&plan.final_name)));
        }
    }

    /// Takes note that a file stayed where it was.
    pub fn kept(&mut self, entry: u32, stamp: Stamp, final_path: &[u8]) {
        if let Some(file) = self.files.get_mut(&entry) {
            file.placed = Some((stamp, final_path.to_vec()));
        }
    }

    /// Where a file is and its stamp now; none when it was not put in place, or has changed since.
    pub fn stamp(&self, destination: BorrowedFd<'_>, entry: u32) -> Option<(Vec<u8>, Stamp)> {
        let (before, path) = self.files.get(&entry)?.placed.as_ref()?;
        let now = look(destination, path)?;
        // The move itself has changed its ctime.
        let same = Stamp { ctime_ns: now.ctime_ns, ..*before } == now;
        same.then(|| {
            let absolute = self.destination.join(std::ffi::OsStr::from_bytes(path));
            (absolute.into_os_string().into_vec(), now)
        })
    }
}

fn look(directory: BorrowedFd<'_>, path: &[u8]) -> Option<Stamp> {
    stamp_of(&beneath::stat(directory.as_fd(), path).ok()?)
}
