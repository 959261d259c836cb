//! What the receiver expects: the manifest's entries become staged directories, files to request and
//! links to make; and at the end everything is put in its final place.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::Serialize;

use super::leftover::{LeftoverPage, Leftovers, Verified, gaps};
use super::receive::{Inbox, MAX_SINGLE_SYNCS};
use super::remember::Remembered;
use super::report::Failure;
use super::target::Target;
use super::tree::{Directory, Link, Tree};
use crate::error::{Error, Kind, Result};
use crate::io::backend::Backend;
use crate::io::beneath::Looker;
use crate::io::columns::{Columns, Entry, KIND_DIRECTORY, KIND_FILE, KIND_STREAM, KIND_SYMLINK, NO_PARENT};
use crate::io::kept::KeptFile;
use crate::io::leftover::LeftoverFolder;
use crate::io::stage::{CommitPolicy, Staging};
use crate::io::stamp::Stamp;
use crate::workers;

/// Failures that a commit names; more are only counted.
const MAX_COMMIT_FAILURES: usize = 1000;

/// Files that stay, of which one thread looks after the other: mostly those of a few folders.
const SETTLED_AT_ONCE: usize = 256;

/// What happens to one root when its final name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootPolicy {
    Fresh,
    Overwrite,
    Skip,
}

/// Where one root of the manifest goes.
#[derive(Clone, Debug)]
pub struct RootPlan {
    pub entry: u32,
    pub final_name: Vec<u8>,
    pub policy: RootPolicy,
}

/// One page's outcome.
#[derive(Default)]
pub struct Expected {
    /// Runs `first, last` of entries to ask the sender for.
    pub runs: Vec<(u32, u32)>,
    /// Ranges `entry, offset, length` of files that an earlier transfer brought by half.
    pub ranges: Vec<(u32, u64, u64)>,
    /// Bytes that an earlier transfer brought; they count as received.
    pub resumed: u64,
    pub skipped: u64,
    /// Files that are complete without asking: without content, kept, or brought whole by an earlier transfer.
    pub complete: u64,
    /// Entries that wait for local bytes, or to be released.
    pub held: Vec<u32>,
    /// Entries whose file at the final path stays.
    pub kept: Vec<u32>,
    pub failures: Vec<Failure>,
    targets: Vec<Arc<Target>>,
}

/// A page of the manifest with what is to become of its entries. The bitmaps have a bit per entry, lowest first; an empty
/// one is all zeros.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    pub columns: &'a Columns,
    /// One per entry, or nothing.
    pub versions: &'a [u64],
    pub wanted: &'a [u8],
    /// Files that are not to be asked for yet.
    pub held: &'a [u8],
    /// Files whose content is at the final path already, as long as that has its stamp of `kept_stamps`.
    pub kept: &'a [u8],
    pub kept_stamps: &'a [Stamp],
    pub plans: &'a [RootPlan],
}

/// What is known of one leaf beside what the manifest says.
struct Leaf<'a> {
    entry: &'a Entry<'a>,
    version: u64,
    is_held: bool,
    kept: Option<Stamp>,
}

/// What was put in place.
#[derive(Default, Serialize)]
pub struct Placed {
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
    pub failed: Vec<Failure>,
    pub total_failed: u64,
}

/// The receiving side of one transfer.
pub struct ReceiveSession {
    pub inbox: Arc<Inbox>,
    pub leftovers: Mutex<Leftovers>,
    pub remembered: Mutex<Remembered>,
    tree: Mutex<Tree>,
}

impl ReceiveSession {
    /// Begins a transfer of which nothing is kept when it fails.
    pub fn open(destination: PathBuf, pool_bytes: usize) -> Result<ReceiveSession> {
        Ok(ReceiveSession::stage(Staging::create(&destination)?, Verified::default(), pool_bytes))
    }

    /// Begins a transfer of which TypeScript keeps a journal, beside the staging folders `kept` of earlier ones.
    pub fn open_journaled(
        destination: PathBuf,
        pool_bytes: usize,
        kept: &[Vec<u8>],
    ) -> Result<ReceiveSession> {
        let staging = Staging::create_beside(&destination, kept)?;
        let verified = Verified::kept(staging.recent());
        Ok(ReceiveSession::stage(staging, verified, pool_bytes))
    }

    fn stage(staging: Staging, verified: Verified, pool_bytes: usize) -> ReceiveSession {
        ReceiveSession {
            inbox: Arc::new(Inbox::new(staging, verified, pool_bytes)),
            leftovers: Mutex::default(),
            remembered: Mutex::default(),
            tree: Mutex::default(),
        }
    }

    /// Lets files be taken over from the staging folder `name` of an earlier transfer; false when it is gone or in use.
    /// `verified` are all its records, `synced` those that were brought to the disk.
    pub fn add_leftover(
        &self,
        name: &[u8],
        pages: &[LeftoverPage],
        (verified, synced): (&[&[u8]], &[&[u8]]),
    ) -> Result<bool> {
        let Some(folder) = LeftoverFolder::open(self.inbox.staging.destination(), name)? else {
            return Ok(false);
        };
        let records = if folder.is_of_this_run() { verified } else { synced };
        self.leftovers.lock().unwrap().add(folder, pages, records)?;
        Ok(true)
    }

    /// Writes small files with another backend than the one that measured best; before anything starts.
    pub fn with_io(mut self, io: Arc<dyn Backend>) -> ReceiveSession {
        Arc::get_mut(&mut self.inbox).expect("nobody else has it yet").io = io;
        self
    }

    /// Remembers where files of at least `least_bytes` come to lie; before anything is expected.
    pub fn with_memory(self, least_bytes: u64, destination: &Path) -> ReceiveSession {
        *self.remembered.lock().unwrap() = Remembered::new(least_bytes, destination);
        self
    }

    /// Takes one page, in order. `wanted` has a bit per entry of the page, lowest first.
    pub fn expect(&self, columns: &Columns, wanted: &[u8], plans: &[RootPlan]) -> Result<Expected> {
        let (held, kept): (&[u8], &[u8]) = Default::default();
        self.expect_page(&Page { columns, versions: &[], wanted, held, kept, kept_stamps: &[], plans })
    }

    /// As [`ReceiveSession::expect`], with all that may be known of a page.
    pub fn expect_page(&self, page: &Page<'_>) -> Result<Expected> {
        let Page { columns, versions, wanted, plans, .. } = *page;
        let bitmap_bytes = (columns.count as usize).div_ceil(8);
        let is_cut = |bitmap: &[u8]| !bitmap.is_empty() && bitmap.len() < bitmap_bytes;
        if is_cut(page.held) || is_cut(page.kept) {
            return Err(Error::new(Kind::InvalidArgument, "a bitmap of the page is cut"));
        }
        let mut kept_stamps = page.kept_stamps.iter();
        let mut near = Looker::new(self.inbox.staging.destination());
        let mut tree = self.tree.lock().unwrap();
        if columns.first != tree.next || wanted.len() < bitmap_bytes {
            return Err(Error::new(Kind::Protocol, "The manifest's pages do not follow each other"));
        }
        tree.next = columns
            .first
            .checked_add(columns.count)
            .filter(|&next| next < u32::MAX)
            .ok_or_else(|| Error::new(Kind::LimitExceeded, "The manifest has too many entries"))?;
        let mut expected = Expected::default();
        for entry in columns.iter() {
            let index = (entry.id - columns.first) as usize;
            let bit = |bitmap: &[u8]| !bitmap.is_empty() && bitmap[index / 8] >> (index % 8) & 1 == 1;
            let is_wanted = bit(wanted);
            let kept = match bit(page.kept) {
                true => Some(*kept_stamps.next().ok_or_else(|| {
                    Error::new(Kind::InvalidArgument, "a kept entry of the page has no stamp")
                })?),
                false => None,
            };
            let (path, root) = match tree.place(&entry, plans)? {
                Some(place) => place,
                None => {
                    expected.skipped += 1;
                    continue;
                }
            };
            let result = match entry.kind {
                KIND_DIRECTORY => self.expect_directory(&mut tree, &entry, path.clone(), root, is_wanted),
                _ if !is_wanted => {
                    expected.skipped += 1;
                    Ok(())
                }
                _ => {
                    let version = versions.get(index).copied().unwrap_or(0);
                    let leaf = Leaf { entry: &entry, version, is_held: bit(page.held), kept };
                    self.expect_leaf(&mut tree, &leaf, (path.clone(), root), &mut near, &mut expected)
                }
            };
            match result {
                Ok(()) => {}
                Err(error) if ends_everything(error.kind) => return Err(error),
                Err(error) => {
                    let final_path = tree.final_path(root, &path);
                    expected.failures.push(Failure::placed(entry.id, &path, &final_path, &error));
                }
            }
        }
        self.inbox.expect(std::mem::take(&mut expected.targets));
        if expected.resumed > 0 {
            self.inbox.report.moved(expected.resumed);
        }
        if expected.runs.is_empty() && expected.ranges.is_empty() {
            // Nothing of it comes over the streams, so no thread of theirs tells that its empty files are there.
            self.inbox.report.hurry();
        }
        Ok(expected)
    }

    fn expect_directory(
        &self,
        tree: &mut Tree,
        entry: &Entry<'_>,
        path: Vec<u8>,
        root: usize,
        is_wanted: bool,
    ) -> Result<()> {
        tree.keep(path.len())?;
        let directory = Directory {
            path: path.into(),
            root,
            parent: entry.parent,
            mode: entry.mode,
            mtime: entry.mtime,
            made: false,
        };
        tree.directories.insert(entry.id, directory);
        if !is_wanted {
            return Ok(());
        }
        let made = tree.make_directories(&self.inbox.staging, entry.id);
        if made.is_err() {
            // Its children fail too, each with a plain reason, instead of landing elsewhere.
            tree.directories.remove(&entry.id);
        }
        made
    }

    fn expect_leaf(
        &self,
        tree: &mut Tree,
        leaf: &Leaf<'_>,
        (path, root): (Vec<u8>, usize),
        near: &mut Looker<'_>,
        expected: &mut Expected,
    ) -> Result<()> {
        let entry = leaf.entry;
        if tree.roots[root].0.policy == RootPolicy::Skip
            && self.inbox.staging.has_final(&tree.final_path(root, &path))?
        {
            expected.skipped += 1;
            return Ok(());
        }
        if entry.kind == KIND_FILE && entry.size > 0 {
            let below = &path[tree.roots[root].1.len()..];
            self.remembered.lock().unwrap().expect(entry.id, entry.size, root, below);
            if self.keep(tree, leaf, (&path, root), near, expected)? {
                return Ok(());
            }
        }
        if entry.parent != NO_PARENT {
            tree.make_directories(&self.inbox.staging, entry.parent)?;
        }
        match entry.kind {
            KIND_SYMLINK => {
                tree.keep(path.len() + entry.target.len())?;
                tree.links.push(Link { path, root, target: entry.target.to_vec(), mtime: entry.mtime });
            }
            KIND_FILE if entry.size == 0 => {
                let file = self.inbox.staging.create_file(&path, 0)?;
                self.inbox.staging.finish_file(&file, entry.mode, entry.mtime)?;
                self.inbox.must_sync(&path);
                self.inbox.report.file_done();
                expected.complete += 1;
            }
            KIND_FILE | KIND_STREAM => {
                let final_path = tree.final_path(root, &path);
                let paths = (path, final_path);
                let target = Target::new(entry.id, paths, entry.size, entry.mode, entry.mtime);
                if leaf.is_held && entry.kind == KIND_FILE {
                    target.hold();
                }
                let Some(target) = self.resume(target, leaf.version, expected)? else { return Ok(()) };
                if target.is_held() {
                    expected.held.push(entry.id);
                    expected.targets.push(Arc::new(target));
                    return Ok(());
                }
                expected.targets.push(Arc::new(target));
                match expected.runs.last_mut() {
                    Some((_, last)) if *last + 1 == entry.id => *last = entry.id,
                    _ => expected.runs.push((entry.id, entry.id)),
                }
            }
            _ => return Err(Error::new(Kind::Protocol, "The manifest has an entry of an unknown kind")),
        }
        Ok(())
    }

    /// Leaves the file at the final path where it is; false when that cannot be.
    fn keep(
        &self,
        tree: &mut Tree,
        leaf: &Leaf<'_>,
        (path, root): (&[u8], usize),
        near: &mut Looker<'_>,
        expected: &mut Expected,
    ) -> Result<bool> {
        let Entry { id, size, mode, mtime, .. } = *leaf.entry;
        let Some(stamp) = leaf.kept.filter(|_| tree.roots[root].0.policy == RootPolicy::Overwrite) else {
            return Ok(false);
        };
        let file = KeptFile { path: tree.final_path(root, path), stamp, mode, mtime_ns: mtime };
        if !file.may_stay(near, size)? {
            return Ok(false);
        }
        tree.keep(file.path.len())?;
        tree.kept.push((id, file));
        expected.kept.push(id);
        expected.resumed += size;
        expected.complete += 1;
        self.inbox.report.file_done();
        Ok(true)
    }

    /// Takes over what an earlier transfer brought of a file; gives the target back when there is nothing.
    fn resume(&self, target: Target, version: u64, expected: &mut Expected) -> Result<Option<Target>> {
        if version == 0 {
            return Ok(Some(target));
        }
        let staging = &self.inbox.staging;
        let wanted = (target.entry, target.size);
        let Some(ranges) = self.leftovers.lock().unwrap().take(wanted, staging, &target.path)? else {
            return Ok(Some(target));
        };
        expected.resumed += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
        let missing = gaps(&ranges, target.size);
        if missing.is_empty() {
            staging.finish_path(&target.path, target.mode, target.mtime)?;
            self.inbox.must_sync(&target.path);
            self.inbox.report.file_done();
            expected.complete += 1;
            return Ok(None);
        }
        target.resume(staging.open_file(&target.path)?, &ranges);
        if target.is_held() {
            expected.held.push(target.entry);
        } else {
            let gap = |gap: Range<u64>| (target.entry, gap.start, gap.end - gap.start);
            expected.ranges.extend(missing.into_iter().map(gap));
        }
        expected.targets.push(Arc::new(target));
        Ok(None)
    }

    /// Makes links, sets what directories carry, waits for the disk, and moves every root in place.
    pub fn commit(&self) -> Result<Placed> {
        let mut tree = self.tree.lock().unwrap();
        self.inbox.seal();
        let staging = &self.inbox.staging;
        let mut placed = Placed::default();
        for link in std::mem::take(&mut tree.links) {
            if let Err(error) = staging.make_symlink(&link.path, &link.target, link.mtime) {
                if ends_everything(error.kind) {
                    return Err(error);
                }
                placed.fail(&link.path, &tree.final_path(link.root, &link.path), &error);
            }
        }
        let mut directories: Vec<Directory> =
            std::mem::take(&mut tree.directories).into_values().filter(|d| d.made).collect();
        // Children first: a directory's times change when something is put into it.
        directories.sort_by(|a, b| b.path.cmp(&a.path));
        for directory in &directories {
            if let Err(error) = staging.finish_directory(&directory.path, directory.mode, directory.mtime) {
                placed.fail(&directory.path, &tree.final_path(directory.root, &directory.path), &error);
            }
        }
        for directory in &directories {
            self.inbox.must_sync(&directory.path);
        }
        self.inbox.barrier()?;
        self.remembered.lock().unwrap().look(staging, &tree);
        self.settle(&std::mem::take(&mut tree.kept), &mut placed)?;
        for (plan, path) in std::mem::take(&mut tree.roots) {
            if !staging.has(&path)? {
                continue;
            }
            let policy = match plan.policy {
                RootPolicy::Fresh => CommitPolicy::Fresh,
                RootPolicy::Overwrite => CommitPolicy::Overwrite,
                RootPolicy::Skip => CommitPolicy::Skip,
            };
            let mut failures = Vec::new();
            match staging.commit(&path, &plan.final_name, policy, &mut failures) {
                Ok(committed) => {
                    placed.files += committed.files;
                    placed.directories += committed.directories;
                    placed.symlinks += committed.symlinks;
                }
                Err(error) => failures.push((plan.final_name.clone(), error)),
            }
            for (path, error) in failures {
                placed.fail(&path, &path, &error);
            }
        }
        staging.sync_names()?;
        Ok(placed)
    }

    /// Gives the files that stayed what they lack.
    fn settle(&self, kept: &[(u32, KeptFile)], placed: &mut Placed) -> Result<()> {
        let staging = &self.inbox.staging;
        // As in staging: beyond some, one sync of the file system is cheaper.
        let one_by_one = kept.len() <= MAX_SINGLE_SYNCS;
        let batches: Vec<&[(u32, KeptFile)]> = kept.chunks(SETTLED_AT_ONCE).collect();
        let settled = workers::map(batches.len(), |index| {
            let mut near = Looker::new(staging.destination());
            let settle = |(_, file): &(u32, KeptFile)| file.settle(&mut near, one_by_one);
            Ok(batches[index].iter().map(settle).collect::<Vec<_>>())
        })?;
        for ((entry, file), settled) in kept.iter().zip(settled.into_iter().flatten()) {
            match settled {
                Ok(stamp) => {
                    placed.files += 1;
                    self.remembered.lock().unwrap().kept(*entry, stamp, &file.path);
                }
                Err(error) if error.kind == Kind::NoSpace => return Err(error),
                Err(error) => placed.fail_entry(*entry, &file.path, &file.path, &error),
            }
        }
        if one_by_one { Ok(()) } else { staging.barrier() }
    }

    pub fn close(&self) {
        self.inbox.close();
    }
}

impl Placed {
    fn fail(&mut self, staged: &[u8], final_path: &[u8], error: &Error) {
        self.fail_entry(NO_PARENT, staged, final_path, error);
    }

    fn fail_entry(&mut self, entry: u32, staged: &[u8], final_path: &[u8], error: &Error) {
        self.total_failed += 1;
        if self.failed.len() < MAX_COMMIT_FAILURES {
            self.failed.push(Failure::placed(entry, staged, final_path, error));
        }
    }
}

/// Failures that are not about one entry.
fn ends_everything(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::LimitExceeded
            | Kind::NoSpace
            | Kind::ReadOnly
            | Kind::Io
            | Kind::Protocol
            | Kind::TooManyOpenFiles
            | Kind::Internal
    )
}
