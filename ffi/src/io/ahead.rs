//! A walk that may go ahead of whoever takes its pages: it is summed up first, so that a tree that is as it was
//! need not be looked at any further.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use super::columns::MAX_ENTRIES;
use super::walk::{Page, Walker};
use crate::chunk::hash::HASH_BYTES;
use crate::error::{Error, Kind, Result};

/// A walk and the pages of it that nobody has taken yet.
pub struct Ahead {
    walker: Walker,
    kept: VecDeque<Page>,
}

impl Ahead {
    pub fn new(walker: Walker) -> Ahead {
        Ahead { walker, kept: VecDeque::new() }
    }

    /// Gives the next page, as [`Walker::next_page`]; one that was kept may have more entries.
    ///
    /// # Errors
    /// As [`Walker::next_page`].
    pub fn next_page(&mut self, max_entries: usize) -> Result<Page> {
        match self.kept.pop_front() {
            Some(page) => Ok(page),
            None => self.walker.next_page(max_entries),
        }
    }

    /// Walks on to the end, keeps the pages for [`Ahead::next_page`], and gives one sum of everything in them: two walks
    /// with the same sum have the same pages. None when there is a problem in them, or when they take more than
    /// `keep_bytes`; the walk goes on from there then.
    ///
    /// # Errors
    /// As [`Walker::next_page`]; CANCELLED soon after `cancelled` is set.
    pub fn sum(&mut self, keep_bytes: usize, cancelled: &AtomicBool) -> Result<Option<[u8; HASH_BYTES]>> {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        loop {
            if cancelled.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            let page = self.walker.next_page(MAX_ENTRIES)?;
            let is_clean = page.problems.is_empty();
            let last = page.columns.last;
            bytes += page.columns.encoded_bytes() + page.stamps.len();
            add(&page, &mut hasher);
            self.kept.push_back(page);
            if !is_clean || bytes > keep_bytes {
                return Ok(None);
            }
            if last {
                return Ok(Some(*hasher.finalize().as_bytes()));
            }
        }
    }
}

/// Bytes of one entry's parent, mode, size, time and length of its name.
const NUMBER_BYTES: usize = 4 + 4 + 8 + 8 + 2;

/// Every column with its length before it, so that no two pages give the same bytes.
fn add(page: &Page, hasher: &mut blake3::Hasher) {
    let columns = &page.columns;
    let mut numbers = Vec::with_capacity(columns.count as usize * NUMBER_BYTES);
    columns.parents.iter().for_each(|parent| numbers.extend_from_slice(&parent.to_le_bytes()));
    columns.modes.iter().for_each(|mode| numbers.extend_from_slice(&mode.to_le_bytes()));
    columns.sizes.iter().for_each(|size| numbers.extend_from_slice(&size.to_le_bytes()));
    columns.mtimes.iter().for_each(|mtime| numbers.extend_from_slice(&mtime.to_le_bytes()));
    columns.name_lengths.iter().for_each(|length| numbers.extend_from_slice(&length.to_le_bytes()));
    for column in [&columns.kinds, &numbers, &columns.names, &columns.targets, &page.stamps] {
        hasher.update(&(column.len() as u64).to_le_bytes());
        hasher.update(column);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::io::walk::{Marks, Root, WalkOptions};

    fn walk(path: &Path) -> Ahead {
        let root = Root { path: path.to_path_buf(), name: b".".to_vec() };
        let marks = Some(Marks { one_file_system: false });
        Ahead::new(Walker::open_with(vec![root], WalkOptions::default(), marks).unwrap())
    }

    fn sum(path: &Path) -> Option<[u8; HASH_BYTES]> {
        walk(path).sum(usize::MAX, &AtomicBool::new(false)).unwrap()
    }

    fn names(ahead: &mut Ahead) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        loop {
            let page = ahead.next_page(3).unwrap();
            names.extend(page.columns.iter().map(|entry| entry.name.to_vec()));
            if page.columns.last {
                return names;
            }
        }
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        for name in ["a", "b", "below/c", "below/d", "e"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("a", folder.path().join("link")).unwrap();
        folder
    }

    #[test]
    fn a_sum_is_the_same_until_something_changes() {
        let folder = tree();
        let before = sum(folder.path()).unwrap();
        assert_eq!(sum(folder.path()), Some(before));
        let mut seen = vec![before];
        let file = folder.path().join("below/c");
        let changes: [&dyn Fn(); 5] = [
            &|| fs::write(&file, "longer").unwrap(),
            &|| fs::rename(&file, folder.path().join("below/f")).unwrap(),
            &|| {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
            },
            &|| fs::remove_file(folder.path().join("e")).unwrap(),
            &|| {
                fs::remove_file(folder.path().join("link")).unwrap();
                std::os::unix::fs::symlink("b", folder.path().join("link")).unwrap();
            },
        ];
        for change in changes {
            change();
            let after = sum(folder.path()).unwrap();
            assert!(!seen.contains(&after));
            seen.push(after);
        }
    }

    #[test]
    fn pages_are_the_same_whether_they_were_summed_or_not() {
        let folder = tree();
        let expected = names(&mut walk(folder.path()));
        let mut summed = walk(folder.path());
        assert!(summed.sum(usize::MAX, &AtomicBool::new(false)).unwrap().is_some());
        assert_eq!(names(&mut summed), expected);
        let mut too_much = walk(folder.path());
        assert_eq!(too_much.sum(10, &AtomicBool::new(false)).unwrap(), None);
        assert_eq!(names(&mut too_much), expected);
    }

    #[test]
    fn there_is_no_sum_of_what_cannot_be_looked_at() {
        let folder = tree();
        std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        assert_eq!(sum(folder.path()), None);
        let stopped = walk(folder.path()).sum(usize::MAX, &AtomicBool::new(true));
        assert_eq!(stopped.unwrap_err().kind, Kind::Cancelled);
    }
}
