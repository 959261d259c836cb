//! For tests: runs a copy to its end, and says what a tree is.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};

use super::options::{Fsync, Options, Root};
use super::report::{Change, Count, Problem};
use super::run::Copy;
use crate::error::Kind;

/// Everything that a copy told.
pub struct Told {
    pub problems: Vec<Problem>,
    pub changes: Vec<Change>,
    pub deletions: Option<(u64, u64, u64)>,
    copy: Copy,
}

impl Told {
    pub fn total(&self, count: Count) -> u64 {
        self.copy.run.report.total(count)
    }

    pub fn kinds(&self) -> Vec<Kind> {
        self.problems.iter().map(|problem| problem.error.kind).collect()
    }

    /// Changes as `what name`, sorted.
    pub fn changed(&self) -> Vec<String> {
        let name = |path: &[u8]| {
            let path = String::from_utf8_lossy(path).into_owned();
            path.rsplit('/').next().unwrap_or_default().to_string()
        };
        let mut lines: Vec<String> = self
            .changes
            .iter()
            .map(|change| format!("{} {}", change.what.name(), name(&change.path)))
            .collect();
        lines.sort();
        lines
    }

    #[track_caller]
    pub fn well(self) -> Told {
        assert!(self.problems.is_empty(), "{:?}", self.problems);
        self
    }
}

/// Copies and deletes, if `go`, what is asked about.
pub fn run_and_delete(source: &Path, target: &Path, options: Options, go: bool) -> Told {
    let roots = vec![Root { source: source.to_path_buf(), target: target.to_path_buf() }];
    let copy = Copy::open(roots, options).unwrap();
    let mut told = Told { problems: Vec::new(), changes: Vec::new(), deletions: None, copy };
    loop {
        let news = told.copy.next(Duration::from_secs(10));
        told.problems.extend(news.problems);
        told.changes.extend(news.changes);
        if news.done {
            told.copy.close();
            return told;
        }
        if told.deletions.is_none()
            && let Some(deletions) = told.copy.deletions()
        {
            told.deletions = Some(deletions);
            told.copy.delete(go).unwrap();
        }
    }
}

pub fn run(source: &Path, target: &Path, options: Options) -> Told {
    run_and_delete(source, target, options, true)
}

/// Two threads whatever the machine, and nothing forced to the disk.
pub fn options() -> Options {
    Options { threads: 2, fsync: Fsync::None, itemize: true, ..Options::default() }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// All that a copy carries over of every entry, by path; files with several names say which.
pub fn dump(root: &Path) -> BTreeMap<Vec<u8>, String> {
    let mut entries = BTreeMap::new();
    let mut first_names = BTreeMap::new();
    let mut pending: Vec<PathBuf> = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let path = if relative.as_os_str().is_empty() { root.to_path_buf() } else { root.join(&relative) };
        let stat = fs::symlink_metadata(&path).unwrap();
        let mut text = format!(
            "{:o} {}:{} {}.{} {}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.mtime_nsec(),
            stat.rdev()
        );
        if stat.is_dir() {
            let mut inner: Vec<_> =
                fs::read_dir(&path).unwrap().map(|entry| relative.join(entry.unwrap().file_name())).collect();
            inner.sort();
            pending.extend(inner.into_iter().rev());
        } else if stat.is_symlink() {
            text += &format!(" -> {}", fs::read_link(&path).unwrap().display());
        } else if stat.is_file() {
            text += &format!(" {}", blake3::hash(&fs::read(&path).unwrap()));
        }
        if !stat.is_dir() && stat.nlink() > 1 {
            let name = relative.display().to_string();
            let first: &String = first_names.entry((stat.dev(), stat.ino())).or_insert(name);
            text += &format!(" = {first}");
        }
        text += &attributes(&path);
        entries.insert(relative.as_os_str().as_bytes().to_vec(), text);
    }
    entries
}

fn attributes(path: &Path) -> String {
    let mut names = vec![0u8; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names[..]) else { return String::new() };
    let mut lines: Vec<String> = names[..length]
        .split_inclusive(|&byte| byte == 0)
        .map(|name| {
            let name = CStr::from_bytes_with_nul(name).unwrap();
            let mut value = vec![0u8; 4096];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap_or(0);
            format!(" {}={:?}", name.to_str().unwrap(), &value[..length])
        })
        .collect();
    lines.sort();
    lines.concat()
}

/// Parts of a file that are no holes.
pub fn data_parts(path: &Path) -> Vec<(u64, u64)> {
    let file = File::open(path).unwrap().into();
    let size = fs::metadata(path).unwrap().size();
    let (mut parts, mut at) = (Vec::new(), 0);
    while at < size {
        let (start, end) = super::data::data_from(&file, at, size).unwrap();
        if start < end {
            parts.push((start, end));
        }
        at = end;
    }
    parts
}

/// Names anywhere below that only what is incomplete has.
pub fn hidden(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_name().as_bytes().starts_with(b".wormhole-copy-") {
                found.push(entry.path());
            }
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
        }
    }
    found
}

pub const MIB: u64 = 1 << 20;

pub fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tree with one of everything that this user can make.
pub fn oddities(root: &Path) {
    let path = |name: &str| root.join(name);
    fs::create_dir_all(path("folder/inner/empty")).unwrap();
    fs::write(path("small"), "small").unwrap();
    fs::write(path("none"), "").unwrap();
    fs::write(path("folder/large"), vec![7; 3 * MIB as usize + 11]).unwrap();
    fs::write(path("folder/inner/setuid"), "x").unwrap();
    set_mode(&path("folder/inner/setuid"), 0o6751);
    fs::write(path("folder/secret"), "x").unwrap();
    set_mode(&path("folder/secret"), 0o400);
    fs::hard_link(path("small"), path("folder/again")).unwrap();
    fs::hard_link(path("small"), path("folder/inner/and-again")).unwrap();
    symlink("../nowhere", path("folder/link")).unwrap();
    set_mtime(&path("folder/link"), 1_000_000_000, 123_456_789);
    fs::hard_link(path("folder/link"), path("folder/inner/same-link")).unwrap();
    mknodat(CWD, path("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    fs::hard_link(path("pipe"), path("folder/same-pipe")).unwrap();
    mknodat(CWD, path("socket"), FileType::Socket, Mode::from_raw_mode(0o751), 0).unwrap();
    let set = |name: &str, attribute: &str, value: &[u8]| {
        lsetxattr(path(name), attribute, value, XattrFlags::empty()).is_ok()
    };
    set("small", "user.colour", b"green\0blue");
    set("folder/secret", "user.empty", b"");
    set("folder", "user.folder", b"yes");
    // u::rw-,u:12:r--,g::r--,m::r--,o::---: version 2, then (tag, permissions, id).
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 12, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
        16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
    ];
    set("folder/large", "system.posix_acl_access", &acl);
    set("folder/inner", "system.posix_acl_default", &acl);
    if is_root() {
        mknodat(CWD, path("device"), FileType::CharacterDevice, Mode::from_raw_mode(0o604), 0x103).unwrap();
        set("folder/link", "trusted.link", b"1");
        std::os::unix::fs::chown(path("folder/secret"), Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::lchown(path("folder/link"), Some(5), Some(6)).unwrap();
        std::os::unix::fs::chown(path("folder/inner/empty"), Some(77), None).unwrap();
        // cap_net_raw+ep, version 2.
        set(
            "folder/inner/setuid",
            "security.capability",
            &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        );
    }
    set_mode(&path("folder/inner/empty"), 0o1777);
    for (name, seconds) in
        [("folder/inner/empty", 5), ("folder/inner", -7), ("folder", 1 << 33), ("small", 0)]
    {
        set_mtime(&path(name), seconds, 999_999_999);
    }
    set_mtime(root, 12345, 6789);
}
