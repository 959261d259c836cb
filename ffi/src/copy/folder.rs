//! A directory that is being copied: both sides held open, and finished when nothing below it is left to do.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::{Mode, OFlags, fstat, openat};

use super::failure::{Failure, Outcome, source, target};
use super::meta::Meta;

/// Folders right above one that is entered stay open: they are needed next.
const NEAR_FOLDERS: usize = 8;

/// Directories of all copies of this process that are open.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Directories that may be open before those far above are let go of: half of what the process may have, and not so many
/// that they cost memory in the kernel.
fn max_open() -> usize {
    static MAX_OPEN: OnceLock<usize> = OnceLock::new();
    *MAX_OPEN.get_or_init(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        (limit.unwrap_or(u64::MAX) / 2).clamp(64, 2048) as usize
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

/// An open directory, or room for one.
struct Slot(Mutex<Option<Arc<OwnedFd>>>);

impl Slot {
    fn holding(directory: Option<OwnedFd>) -> Slot {
        OPEN.fetch_add(usize::from(directory.is_some()), Ordering::Relaxed);
        Slot(Mutex::new(directory.map(Arc::new)))
    }
}

/// An open directory on both sides.
pub struct Folder {
    pub parent: Option<Arc<Folder>>,
    /// Path up to this folder as the person wrote it; only where there is no `parent`.
    source_base: Vec<u8>,
    target_base: Vec<u8>,
    pub source_name: CString,
    pub target_name: CString,
    source: Slot,
    target: Slot,
    /// False in a dry run where the target has no such folder.
    has_target: bool,
    is_finished: AtomicBool,
    /// It has its own name and no hidden one any more.
    is_revealed: AtomicBool,
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
    /// Files made in it may have inode flags from it.
    pub gives_flags: bool,
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
    pub gives_flags: bool,
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
        let folder = Arc::new(folder);
        if OPEN.load(Ordering::Relaxed) > max_open() {
            folder.release_above();
        }
        folder
    }

    fn assemble(opened: Opened, parent: Option<Arc<Folder>>, names: (CString, CString)) -> Folder {
        let Opened {
            source,
            target,
            meta,
            target_id,
            is_new,
            staged_as,
            keeps_modes,
            gives_flags,
            owner_of_new,
        } = opened;
        let in_stage = staged_as.is_some() || parent.as_ref().is_some_and(|parent| parent.in_stage);
        Folder {
            root_device: parent.as_ref().map_or(0, |parent| parent.root_device),
            parent,
            source_base: Vec::new(),
            target_base: Vec::new(),
            source_name: names.0,
            target_name: names.1,
            has_target: target.is_some(),
            source: Slot::holding(Some(source)),
            target: Slot::holding(target),
            is_finished: AtomicBool::new(false),
            is_revealed: AtomicBool::new(false),
            meta,
            target_id,
            is_new,
            staged_as,
            in_stage,
            keeps_modes,
            gives_flags,
            owner_of_new,
            relative: Vec::new(),
            pending: AtomicUsize::new(1),
        }
    }

    /// The source's directory, opened again where it was let go of.
    pub fn source(&self) -> Outcome<Arc<OwnedFd>> {
        self.opened(Side::Source)
    }

    /// The target's directory, as [`Folder::source`]; `None` in a dry run where there is none.
    pub fn target(&self) -> Outcome<Option<Arc<OwnedFd>>> {
        match self.has_target {
            true => self.opened(Side::Target).map(Some),
            false => Ok(None),
        }
    }

    fn slot(&self, side: Side) -> &Slot {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    fn opened(&self, side: Side) -> Outcome<Arc<OwnedFd>> {
        let mut slot = self.slot(side).0.lock().unwrap();
        if let Some(directory) = &*slot {
            return Ok(directory.clone());
        }
        let Some(parent) = &self.parent else { return Err(Failure::Cancelled) };
        let directory = Arc::new(self.open_in(&*parent.opened(side)?, side)?);
        // What is finished is asked for once more at most: to delete in it, or for one more name of a file in it.
        if !self.is_finished.load(Ordering::Acquire) {
            OPEN.fetch_add(1, Ordering::Relaxed);
            *slot = Some(directory.clone());
        }
        Ok(directory)
    }

    /// Opens one side by its name in its parent; it must still be the directory that it was.
    fn open_in(&self, parent: &OwnedFd, side: Side) -> Outcome<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |name: &CStr| openat(parent, name, flags, Mode::empty());
        let (opened, id) = match side {
            Side::Source => (open(&self.source_name).map_err(source("open"))?, self.meta.id()),
            // Another thread may give it its final name at this moment.
            Side::Target => {
                let opened = open(self.name_now()).or_else(|_| open(&self.target_name));
                (opened.map_err(target("open"))?, self.target_id)
            }
        };
        match fstat(&opened) {
            Ok(stat) if Meta::from(stat).id() == id => Ok(opened),
            _ => Err(Failure::Changed),
        }
    }

    /// Takes both directories over from one of its own that is about to be closed, where it had let go of them: `..` costs
    /// the same however deep it is.
    pub fn adopt(&self, child: &Folder) {
        for side in [Side::Source, Side::Target] {
            // Never both at once: opening a folder again goes from the child to its parent.
            let below = child.slot(side).0.lock().unwrap().clone();
            let Some(below) = below else { continue };
            let mut slot = self.slot(side).0.lock().unwrap();
            if slot.is_some() || self.parent.is_none() {
                continue;
            }
            let id = if side == Side::Source { self.meta.id() } else { self.target_id };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(above) = openat(&*below, c"..", flags, Mode::empty()) else { continue };
            if fstat(&above).is_ok_and(|stat| Meta::from(stat).id() == id) {
                OPEN.fetch_add(1, Ordering::Relaxed);
                *slot = Some(Arc::new(above));
            }
        }
    }

    /// Lets go of both directories: nothing more is to be done in them.
    pub fn close(&self) {
        self.is_finished.store(true, Ordering::Release);
        self.release();
    }

    /// Lets go of both directories for now. Gives how many were open.
    fn release(&self) -> usize {
        let taken = [&self.source, &self.target].map(|slot| slot.0.lock().unwrap().take());
        let closed = taken.iter().flatten().count();
        OPEN.fetch_sub(closed, Ordering::Relaxed);
        closed
    }

    /// Keeps the number of open directories in bounds: those far above are let go of, and opened again on the way back.
    fn release_above(&self) {
        let mut folder = self.parent.as_ref();
        for _ in 0..NEAR_FOLDERS {
            folder = folder.and_then(|folder| folder.parent.as_ref());
        }
        // The one without a parent holds what everything is opened from.
        while let Some(above) = folder.filter(|above| above.parent.is_some()) {
            if above.release() == 0 {
                break;
            }
            folder = above.parent.as_ref();
        }
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
        match &self.staged_as {
            Some(hidden) if !self.is_revealed.load(Ordering::Acquire) => hidden,
            _ => &self.target_name,
        }
    }

    /// It has got its own name.
    pub fn set_revealed(&self) {
        self.is_revealed.store(true, Ordering::Release);
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

impl Drop for Folder {
    fn drop(&mut self) {
        self.release();
    }
}
