//! A directory that is being copied: both sides held open, and finished when nothing below it is left to do.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::meta::Meta;

/// An open directory on both sides.
pub struct Folder {
    pub parent: Option<Arc<Folder>>,
    /// Path up to this folder as the person wrote it; only where there is no `parent`.
    source_base: Vec<u8>,
    target_base: Vec<u8>,
    pub source_name: CString,
    pub target_name: CString,
    source: Mutex<Option<Arc<OwnedFd>>>,
    /// None in a dry run where the target has no such folder.
    target: Mutex<Option<Arc<OwnedFd>>>,
    /// What the source was when it was entered.
    pub meta: Meta,
    /// The target's device and inode; zeros where it has none.
    pub target_id: (u64, u64),
    /// This run made it: nothing is in it but what this run puts there.
    pub is_new: bool,
    /// Its own hidden name, until it is complete.
    pub staged_as: Option<CString>,
    /// Itself or a folder above it has a hidden name, so nobody takes what is half done in it for a file.
    pub in_stage: bool,
    /// Files made in it get exactly the mode that they are made with.
    pub keeps_modes: bool,
    /// Owner and group of what is made in it, where that is known.
    pub owner_of_new: Option<(u32, u32)>,
    /// Path relative to the root with a slash at its end; empty unless patterns leave something out.
    pub relative: Vec<u8>,
    /// Device of the root that it was found below.
    pub root_device: u64,
    /// Jobs and folders below that are not done, and the listing of itself.
    pending: AtomicUsize,
}

/// What a folder is made of, apart from its place in the tree.
pub struct Opened {
    pub source: OwnedFd,
    pub target: Option<OwnedFd>,
    pub meta: Meta,
    pub target_id: (u64, u64),
    pub is_new: bool,
    pub staged_as: Option<CString>,
    pub keeps_modes: bool,
    pub owner_of_new: Option<(u32, u32)>,
}

impl Folder {
    /// The folder that holds a root: nothing of it is copied but that root.
    pub fn holding(
        opened: Opened,
        (source_base, target_base): (Vec<u8>, Vec<u8>),
        root_device: u64,
    ) -> Arc<Folder> {
        let mut folder = Folder::assemble(opened, None, (CString::default(), CString::default()));
        (folder.source_base, folder.target_base, folder.root_device) =
            (source_base, target_base, root_device);
        Arc::new(folder)
    }

    /// A folder below `parent`, with one pending job: its listing.
    pub fn below(
        parent: &Arc<Folder>,
        names: (&CStr, &CStr),
        opened: Opened,
        has_rules: bool,
    ) -> Arc<Folder> {
        let names = (names.0.to_owned(), names.1.to_owned());
        parent.add_pending(1);
        let mut folder = Folder::assemble(opened, Some(parent.clone()), names);
        // Relative to the root, whose own name does not count.
        if has_rules && parent.parent.is_some() {
            folder.relative = [&parent.relative, folder.source_name.to_bytes(), b"/"].concat();
        }
        Arc::new(folder)
    }

    fn assemble(opened: Opened, parent: Option<Arc<Folder>>, names: (CString, CString)) -> Folder {
        let Opened { source, target, meta, target_id, is_new, staged_as, keeps_modes, owner_of_new } = opened;
        let in_stage = staged_as.is_some() || parent.as_ref().is_some_and(|parent| parent.in_stage);
        Folder {
            root_device: parent.as_ref().map_or(0, |parent| parent.root_device),
            parent,
            source_base: Vec::new(),
            target_base: Vec::new(),
            source_name: names.0,
            target_name: names.1,
            source: Mutex::new(Some(Arc::new(source))),
            target: Mutex::new(target.map(Arc::new)),
            meta,
            target_id,
            is_new,
            staged_as,
            in_stage,
            keeps_modes,
            owner_of_new,
            relative: Vec::new(),
            pending: AtomicUsize::new(1),
        }
    }

    pub fn source(&self) -> Option<Arc<OwnedFd>> {
        self.source.lock().unwrap().clone()
    }

    pub fn target(&self) -> Option<Arc<OwnedFd>> {
        self.target.lock().unwrap().clone()
    }

    /// Lets go of both directories: nothing more is to be done in them.
    pub fn close(&self) {
        self.source.lock().unwrap().take();
        self.target.lock().unwrap().take();
    }

    pub fn add_pending(&self, jobs: usize) {
        self.pending.fetch_add(jobs, Ordering::Relaxed);
    }

    /// Tells that one job is done; true when it was the last.
    pub fn is_last(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The name that it has in its parent at this moment.
    pub fn name_now(&self) -> &CStr {
        self.staged_as.as_deref().unwrap_or(&self.target_name)
    }

    /// Where `name` of it is, as the person would write it.
    pub fn source_path(&self, name: &CStr) -> Vec<u8> {
        self.path(name, |folder| (&folder.source_base, &folder.source_name))
    }

    /// Where `name` of it will be when all is done.
    pub fn target_path(&self, name: &CStr) -> Vec<u8> {
        self.path(name, |folder| (&folder.target_base, &folder.target_name))
    }

    fn path<'a>(&'a self, name: &'a CStr, of: impl Fn(&'a Folder) -> (&'a Vec<u8>, &'a CString)) -> Vec<u8> {
        let mut parts = vec![name.to_bytes()];
        let mut folder = self;
        while let Some(parent) = &folder.parent {
            parts.push(of(folder).1.to_bytes());
            folder = parent;
        }
        let mut path = of(folder).0.clone();
        for part in parts.iter().rev().filter(|part| !part.is_empty()) {
            if !path.is_empty() && !path.ends_with(b"/") {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        path
    }
}
