//! The policy of one copy, as TypeScript decided it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the bytes of a file are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// What fits the file; goes on with another one where the kernel refuses.
    #[default]
    Auto,
    Reflink,
    CopyFileRange,
    Splice,
    IoUring,
    ReadWrite,
    Direct,
    Mmap,
}

/// What becomes of holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sparse {
    /// Holes stay holes.
    #[default]
    Keep,
    /// Zeros become holes as well.
    Make,
    /// Holes become zeros that take room.
    Fill,
}

/// What happens to a file that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    #[default]
    Replace,
    Skip,
    /// Reported, and left alone.
    Fail,
    /// Only what differs is written ([`Compare`]); its kind may change.
    Update,
}

/// When two files count as the same content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    #[default]
    SizeMtime,
    /// Size and BLAKE3 of both.
    Checksum,
    /// As `SizeMtime`, and a target that is newer than its source stays.
    Newer,
}

/// When written bytes are forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    None,
    /// The target's file system, once, before anything new gets its final name and the copy says that it is done.
    #[default]
    End,
    /// Each file before it gets its name, each folder after its content.
    Each,
}

/// Attributes that are carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Preserve {
    pub mode: bool,
    pub owner: bool,
    pub times: bool,
    pub xattrs: bool,
    pub acl: bool,
    pub hardlinks: bool,
    /// FIFOs, sockets and devices; left out when false.
    pub specials: bool,
    pub flags: bool,
    /// What this user or the target's file system cannot keep is a problem, not only counted.
    pub required: bool,
}

impl Default for Preserve {
    fn default() -> Preserve {
        Preserve {
            mode: true,
            owner: true,
            times: true,
            xattrs: true,
            acl: true,
            hardlinks: true,
            specials: true,
            flags: false,
            required: false,
        }
    }
}

/// One thing to copy: where it is, and the path that it gets.
#[derive(Clone, Debug)]
pub struct Root {
    pub source: PathBuf,
    pub target: PathBuf,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// 0: one for each core that this process may use.
    pub threads: usize,
    /// Each thread stays on one core, where there are as many cores.
    pub pin: bool,
    /// Count ahead how much there is, for whoever watches.
    pub count_ahead: bool,
    /// Reads and writes under way in one ring.
    pub queue_depth: usize,
    /// Files under way at once, in all threads.
    pub max_files_in_flight: usize,
    /// Bytes of one read and write; 0: what measured best.
    pub buffer_size: usize,
    pub method: Method,
    /// Large files past the page cache where the file system can, whatever else `method` (auto) would do.
    pub direct_io: bool,
    pub sparse: Sparse,
    pub preallocate: bool,
    pub preserve: Preserve,
    pub one_file_system: bool,
    /// Globs in gitignore syntax, relative to each root.
    pub exclude: Vec<String>,
    pub existing: Existing,
    pub compare: Compare,
    /// List what the targets have and the sources have not.
    pub delete: bool,
    pub dry_run: bool,
    pub itemize: bool,
    pub verify: bool,
    pub fsync: Fsync,
    /// How often a transient failure is tried again.
    pub retries: u32,
    /// Journal of a run that may be stopped and gone on with.
    pub journal: Option<PathBuf>,
    /// Go on where the journal ends; without it the journal begins anew.
    pub resume: bool,
}
