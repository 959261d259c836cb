//! The manifest's directories and links until the end, when they are put in place.

use std::collections::HashMap;
use std::sync::Arc;

use super::expect::RootPlan;
use crate::error::{Error, Kind, Result};
use crate::io::columns::{Entry, NO_PARENT};
use crate::io::kept::KeptFile;
use crate::io::stage::Staging;

/// Bytes of all paths of directories, links and files that stay, and of the links' targets, which are kept until the end: 512 MiB. The
/// manifest's pages say names only, so a deep tree takes more here than on the wire.
const MAX_TREE_BYTES: usize = 512 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Tree {
    pub(super) next: u32,
    pub(super) roots: Vec<(RootPlan, Vec<u8>)>,
    pub(super) directories: HashMap<u32, Directory>,
    pub(super) links: Vec<Link>,
    /// Files that stay where they are, with their entries.
    pub(super) kept: Vec<(u32, KeptFile)>,
    /// Bytes of what counts for [`MAX_TREE_BYTES`].
    pub(super) bytes: usize,
}

pub(super) struct Directory {
    /// Path in staging.
    pub(super) path: Arc<[u8]>,
    /// Index into `roots`.
    pub(super) root: usize,
    pub(super) parent: u32,
    pub(super) mode: u32,
    pub(super) mtime: i64,
    pub(super) made: bool,
}

pub(super) struct Link {
    pub(super) path: Vec<u8>,
    pub(super) root: usize,
    pub(super) target: Vec<u8>,
    pub(super) mtime: i64,
}

impl Tree {
    /// The entry's path in staging and its root; `None` when its parent could not be made.
    pub(super) fn place(
        &mut self,
        entry: &Entry<'_>,
        plans: &[RootPlan],
    ) -> Result<Option<(Vec<u8>, usize)>> {
        if entry.parent == NO_PARENT {
            let Some(plan) = plans.iter().find(|plan| plan.entry == entry.id) else {
                return Ok(None);
            };
            // The root's own name plays no part in staging, so no two roots can meet there.
            let path = entry.id.to_string().into_bytes();
            self.roots.push((plan.clone(), path.clone()));
            return Ok(Some((path, self.roots.len() - 1)));
        }
        if entry.parent >= entry.id {
            return Err(Error::new(Kind::Protocol, "The manifest has an entry before its directory"));
        }
        let Some(parent) = self.directories.get(&entry.parent) else { return Ok(None) };
        let mut path = Vec::with_capacity(parent.path.len() + 1 + entry.name.len());
        path.extend_from_slice(&parent.path);
        path.push(b'/');
        path.extend_from_slice(entry.name);
        Ok(Some((path, parent.root)))
    }

    /// Makes a directory and those above it.
    pub(super) fn make_directories(&mut self, staging: &Staging, id: u32) -> Result<()> {
        let Some(directory) = self.directories.get(&id) else {
            return Err(Error::new(Kind::NotFound, "its directory could not be made"));
        };
        if directory.made {
            return Ok(());
        }
        let path = directory.path.clone();
        for parent in self.missing_above(directory.parent) {
            let above = self.directories.get_mut(&parent).expect("listed just above");
            staging.make_directory(&above.path)?;
            above.made = true;
        }
        staging.make_directory(&path)?;
        self.directories.get_mut(&id).expect("looked up above").made = true;
        Ok(())
    }

    /// Directories above one that are not made yet, topmost first.
    fn missing_above(&self, mut parent: u32) -> Vec<u32> {
        let mut missing = Vec::new();
        while let Some(directory) = self.directories.get(&parent).filter(|directory| !directory.made) {
            missing.push(parent);
            parent = directory.parent;
        }
        missing.reverse();
        missing
    }

    /// Counts `bytes` that stay in memory until the end.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.bytes <= MAX_TREE_BYTES {
            return Ok(());
        }
        Err(Error::new(Kind::LimitExceeded, "The manifest's paths take too much memory"))
    }

    pub(super) fn final_path(&self, root: usize, path: &[u8]) -> Vec<u8> {
        let (plan, staged) = &self.roots[root];
        [&plan.final_name, &path[staged.len()..]].concat()
    }
}
