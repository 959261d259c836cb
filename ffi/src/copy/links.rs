//! Hard links: names of one file become names of one copy. An entry lives until all names were met.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex};

use super::folder::Folder;

/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 16;

/// A name of a file: the folder, and what it is called there on both sides.
pub struct Name {
    pub folder: Arc<Folder>,
    pub source: CString,
    pub target: CString,
}

enum State {
    /// Somebody copies it; these names wait.
    Copying(Vec<Name>),
    /// The copy has this name.
    Copied { folder: Arc<Folder>, target: CString },
}

struct Link {
    /// Names that were not met yet.
    left: u64,
    state: State,
}

/// What to do with a name of a file that has several.
pub enum Claim {
    /// Copy it, and say so.
    Copy,
    /// Whoever copies it makes this name as well; the folder waits for that.
    Wait,
    /// Make it a further name of this one.
    Link { folder: Arc<Folder>, target: CString },
}

/// Files with several names of which some were met, by device and inode of the source.
#[derive(Default)]
pub struct Links {
    shards: [Mutex<HashMap<(u64, u64), Link>>; SHARDS],
    /// Files of the target with several names that stay, by device and inode, and whose copies they are.
    kept: Mutex<HashMap<(u64, u64), (u64, u64)>>,
}

impl Links {
    fn shard(&self, id: (u64, u64)) -> &Mutex<HashMap<(u64, u64), Link>> {
        &self.shards[(id.1 % SHARDS as u64) as usize]
    }

    /// Whether the target's file `there`, which has several names, may stay as the copy of `source`: one file cannot be the
    /// copy of two.
    pub fn keep(&self, there: (u64, u64), source: (u64, u64)) -> bool {
        *self.kept.lock().unwrap().entry(there).or_insert(source) == source
    }

    /// Meets a name of the file `id`, which has `links` of them.
    pub fn claim(&self, id: (u64, u64), links: u64, name: impl FnOnce() -> Name) -> Claim {
        let mut shard = self.shard(id).lock().unwrap();
        let Some(link) = shard.get_mut(&id) else {
            shard.insert(id, Link { left: links.saturating_sub(1), state: State::Copying(Vec::new()) });
            return Claim::Copy;
        };
        link.left = link.left.saturating_sub(1);
        match &mut link.state {
            State::Copying(waiting) => {
                let name = name();
                name.folder.add_pending(1);
                waiting.push(name);
                Claim::Wait
            }
            State::Copied { folder, target } => {
                let claim = Claim::Link { folder: folder.clone(), target: target.clone() };
                if link.left == 0 {
                    shard.remove(&id);
                }
                claim
            }
        }
    }

    /// The file was copied to this name; gives the names that waited for it.
    pub fn copied(&self, id: (u64, u64), folder: &Arc<Folder>, target: &std::ffi::CStr) -> Vec<Name> {
        let mut shard = self.shard(id).lock().unwrap();
        let Some(link) = shard.get_mut(&id) else { return Vec::new() };
        let copied = State::Copied { folder: folder.clone(), target: target.to_owned() };
        let State::Copying(waiting) = std::mem::replace(&mut link.state, copied) else { return Vec::new() };
        // Those that waited are met again.
        link.left += waiting.len() as u64;
        if link.left == 0 {
            shard.remove(&id);
        }
        waiting
    }

    /// The file could not be copied; gives the names that waited, so that the next one can be tried.
    pub fn failed(&self, id: (u64, u64)) -> Vec<Name> {
        match self.shard(id).lock().unwrap().remove(&id) {
            Some(Link { state: State::Copying(waiting), .. }) => waiting,
            _ => Vec::new(),
        }
    }
}
