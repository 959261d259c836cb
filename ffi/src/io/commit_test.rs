use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::super::columns::*;
use super::super::read::{open_source, read_at};
use super::super::walk::{Page, Root, WalkOptions, Walker};
use super::*;

/// Stages `files` (path, content; a path that ends in `/` is a directory, content `->x` a symlink).
fn stage(destination: &Path, files: &[(&str, &str)]) -> Staging {
    let staging = Staging::create(destination).unwrap();
    for (path, content) in files {
        if let Some(path) = path.strip_suffix('/') {
            staging.make_directory(path.as_bytes()).unwrap();
        } else if let Some(target) = content.strip_prefix("->") {
            staging.make_symlink(path.as_bytes(), target.as_bytes(), 1).unwrap();
        } else {
            let mut file = staging.create_file(path.as_bytes(), content.len() as u64).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            staging.finish_file(&file, 0o640, 3).unwrap();
        }
    }
    staging
}

const TREE: &[(&str, &str)] = &[
    ("t/", ""),
    ("t/a", "new a"),
    ("t/d/", ""),
    ("t/d/b", "new b"),
    ("t/e/", ""),
    ("t/e/c", "new c"),
    ("t/l", "->a"),
];

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn fresh_moves_the_whole_tree_and_refuses_what_exists() {
    let dir = tempfile::tempdir().unwrap();
    let staging = stage(dir.path(), TREE);
    let done = staging.commit(b"t", b"final", CommitPolicy::Fresh, &mut vec![]).unwrap();
    assert_eq!(done, Committed { files: 3, directories: 3, symlinks: 1 });
    assert_eq!(read(dir.path().join("final/e/c")), "new c");
    let metadata = dir.path().join("final/a").metadata().unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime_nsec()), (0o640, 3));

    let staging = stage(dir.path(), &[("t/", ""), ("f", "x"), ("s", "->x")]);
    for staged in [&b"t"[..], b"f", b"s"] {
        let error = staging.commit(staged, b"final", CommitPolicy::Fresh, &mut vec![]).unwrap_err();
        assert_eq!(error.kind, Kind::DestinationExists);
        assert_eq!(error.text, "Cannot create \"final\": it already exists");
    }
    for name in [&b".."[..], b"a/b", b""] {
        let error = staging.commit(b"f", name, CommitPolicy::Overwrite, &mut vec![]).unwrap_err();
        assert_eq!(error.kind, Kind::PathEscapes);
    }
    assert_eq!(read(dir.path().join("final/a")), "new a");
}

fn existing(dir: &Path) {
    fs::create_dir_all(dir.join("t/d")).unwrap();
    fs::write(dir.join("t/a"), "old a").unwrap();
    fs::write(dir.join("t/d/b"), "old b").unwrap();
    fs::write(dir.join("t/d/other"), "other").unwrap();
}

#[test]
fn overwrite_merges_and_replaces_files() {
    let dir = tempfile::tempdir().unwrap();
    existing(dir.path());
    let mut failures = vec![];
    let done = stage(dir.path(), TREE).commit(b"t", b"t", CommitPolicy::Overwrite, &mut failures).unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(done, Committed { files: 3, directories: 1, symlinks: 1 });
    let texts = ["t/a", "t/d/b", "t/d/other", "t/e/c"].map(|path| read(dir.path().join(path)));
    assert_eq!(texts, ["new a", "new b", "other", "new c"]);
}

#[test]
fn skip_leaves_existing_files() {
    let dir = tempfile::tempdir().unwrap();
    existing(dir.path());
    let mut failures = vec![];
    let done = stage(dir.path(), TREE).commit(b"t", b"t", CommitPolicy::Skip, &mut failures).unwrap();
    assert!(failures.is_empty());
    assert_eq!(done, Committed { files: 1, directories: 1, symlinks: 1 });
    let texts = ["t/a", "t/d/b", "t/e/c"].map(|path| read(dir.path().join(path)));
    assert_eq!(texts, ["old a", "old b", "new c"]);
}

#[test]
fn what_is_in_the_way_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("t/a")).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    symlink("../outside", dir.path().join("t/d")).unwrap();
    fs::write(dir.path().join("t/e"), "a file").unwrap();
    fs::write(dir.path().join("kept"), "kept").unwrap();
    symlink("../kept", dir.path().join("t/l")).unwrap();
    for policy in [CommitPolicy::Overwrite, CommitPolicy::Skip] {
        let mut failures = vec![];
        stage(dir.path(), TREE).commit(b"t", b"t", policy, &mut failures).unwrap();
        let mut seen: Vec<_> = failures.iter().map(|(path, error)| (path.as_slice(), error.kind)).collect();
        seen.sort_by_key(|(path, _)| *path);
        let expected =
            [(&b"t/a"[..], Kind::IsDirectory), (b"t/d", Kind::PathEscapes), (b"t/e", Kind::NotDirectory)];
        assert_eq!(seen, expected);
        assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
        assert_eq!(read(dir.path().join("t/e")), "a file");
    }
    // Overwrite replaced the link, not what it pointed to.
    assert_eq!(fs::read_link(dir.path().join("t/l")).unwrap(), Path::new("a"));
    assert_eq!(read(dir.path().join("kept")), "kept");
}

#[test]
fn a_destination_that_is_a_symlink_is_not_entered() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    symlink("outside", dir.path().join("t")).unwrap();
    let mut failures = vec![];
    let done = stage(dir.path(), TREE).commit(b"t", b"t", CommitPolicy::Overwrite, &mut failures).unwrap();
    assert_eq!((done, failures[0].1.kind), (Committed::default(), Kind::PathEscapes));
    assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
}

#[test]
fn merged_directories_keep_their_modes() {
    let dir = tempfile::tempdir().unwrap();
    existing(dir.path());
    let before = dir.path().join("t/d").metadata().unwrap().mode();
    let staging = stage(dir.path(), TREE);
    staging.finish_directory(b"t/d", 0o500, 0).unwrap();
    staging.finish_directory(b"t/e", 0o500, 0).unwrap();
    staging.commit(b"t", b"t", CommitPolicy::Overwrite, &mut vec![]).unwrap();
    assert_eq!(dir.path().join("t/d").metadata().unwrap().mode(), before);
    assert_eq!(dir.path().join("t/e").metadata().unwrap().mode() & 0o7777, 0o500);
}

#[test]
fn the_fallback_rename_never_replaces() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["f", "g"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    fs::create_dir(dir.path().join("d")).unwrap();
    symlink("f", dir.path().join("s")).unwrap();
    let fd = super::super::long_path::open_directory(dir.path()).unwrap();
    let rename =
        |from: &str, to: &str| rename_new_in_steps(fd.as_fd(), from.as_bytes(), fd.as_fd(), to.as_bytes());
    for from in ["f", "d", "s"] {
        assert_eq!(rename(from, "g").unwrap_err(), Errno::EXIST);
        rename(from, "new").unwrap();
        rename("new", from).unwrap();
    }
    assert_eq!(read(dir.path().join("s")), "f");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
}

#[test]
fn a_very_deep_tree_is_placed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create(dir.path()).unwrap();
    let mut path = b"t".to_vec();
    for _ in 0..60 {
        staging.make_directory(&path).unwrap();
        path.extend_from_slice(b"/");
        path.extend_from_slice(&[b'x'; 200]);
    }
    staging.create_file(&path, 0).unwrap();
    let done = staging.commit(b"t", b"t", CommitPolicy::Fresh, &mut vec![]).unwrap();
    assert_eq!(done, Committed { files: 1, directories: 60, symlinks: 0 });
    let fd = super::super::long_path::open_directory(dir.path()).unwrap();
    super::super::remove::remove_tree(fd.as_fd(), b"t").unwrap();
    drop(staging);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn walk(path: &Path) -> Page {
    let root = Root { path: path.to_path_buf(), name: b"t".to_vec() };
    Walker::open(vec![root], WalkOptions::default()).unwrap().next_page(10_000).unwrap()
}

/// Receives what `walk` found at `from` into `destination`, as the transfer engine does.
fn receive(from: &Page, destination: &Path, policy: CommitPolicy) -> Vec<(Vec<u8>, Error)> {
    let staging = Staging::create(destination).unwrap();
    let mut paths: Vec<Vec<u8>> = vec![];
    for entry in &from.columns {
        let path = match entry.parent {
            NO_PARENT => entry.name.to_vec(),
            parent => [&paths[parent as usize], &b"/"[..], entry.name].concat(),
        };
        match entry.kind {
            KIND_DIRECTORY => staging.make_directory(&path).unwrap(),
            KIND_SYMLINK => staging.make_symlink(&path, entry.target, entry.mtime).unwrap(),
            _ => {
                let source = from.files.iter().find(|file| file.id == entry.id).unwrap();
                let mut data = vec![0; entry.size as usize];
                assert_eq!(read_at(&open_source(source).unwrap(), &mut data, 0).unwrap(), data.len());
                let mut file = staging.create_file(&path, entry.size).unwrap();
                file.write_all(&data).unwrap();
                staging.finish_file(&file, entry.mode, entry.mtime).unwrap();
            }
        }
        paths.push(path);
    }
    let entries: Vec<Entry<'_>> = from.columns.iter().collect();
    for (entry, path) in entries.iter().zip(&paths).rev().filter(|(entry, _)| entry.kind == KIND_DIRECTORY) {
        staging.finish_directory(path, entry.mode, entry.mtime).unwrap();
    }
    let mut failures = vec![];
    staging.commit(b"t", b"t", policy, &mut failures).unwrap();
    failures
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_walked_staged_and_placed_is_the_same(
        names in proptest::collection::vec((0u8..4, proptest::collection::vec(1u8..=255, 1..6), any::<u16>()), 0..25),
    ) {
        let (source, destination) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut folders = vec![source.path().join("s")];
        fs::create_dir(&folders[0]).unwrap();
        for (kind, name, seed) in names {
            let name: Vec<u8> = name.into_iter().filter(|&b| b != b'/').collect();
            if name.is_empty() || name == b"." || name == b".." {
                continue;
            }
            let path = folders[seed as usize % folders.len()].join(std::ffi::OsStr::from_bytes(&name));
            if path.symlink_metadata().is_ok() {
                continue;
            }
            match kind {
                0 => { fs::create_dir(&path).unwrap(); folders.push(path); }
                1 => symlink(std::ffi::OsStr::from_bytes(&name), &path).unwrap(),
                _ => {
                    fs::write(&path, vec![seed as u8; seed as usize % 999]).unwrap();
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(seed as u32 & 0o777 | 0o400);
                    fs::set_permissions(&path, mode).unwrap();
                }
            }
        }
        let before = walk(&folders[0]);
        for policy in [CommitPolicy::Fresh, CommitPolicy::Overwrite, CommitPolicy::Skip] {
            prop_assert!(receive(&before, destination.path(), policy).is_empty());
            let mut after = walk(&destination.path().join("t"));
            if policy != CommitPolicy::Fresh {
                // Merging changes the times of the folders it writes into.
                after.columns.mtimes.clone_from(&before.columns.mtimes);
            }
            prop_assert_eq!(&before.columns, &after.columns);
        }
        prop_assert_eq!(fs::read_dir(destination.path()).unwrap().count(), 1);
    }
}
