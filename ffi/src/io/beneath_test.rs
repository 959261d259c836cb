use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{CWD, fstat};

use super::*;

const METHODS: [Method; 2] = [Method::Auto, Method::Steps];

/// `tree/` with files, directories and links that all lead to `outside/`, its sibling.
fn scene() -> (tempfile::TempDir, OwnedFd) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("tree/a/b")).unwrap();
    fs::create_dir(root.path().join("outside")).unwrap();
    fs::write(root.path().join("outside/secret"), "secret").unwrap();
    fs::write(root.path().join("tree/a/file"), "file").unwrap();
    symlink("../outside", root.path().join("tree/out")).unwrap();
    symlink(root.path().join("outside"), root.path().join("tree/a/absolute")).unwrap();
    symlink("../../outside/secret", root.path().join("tree/a/leaf")).unwrap();
    symlink("b", root.path().join("tree/a/inner")).unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let tree = openat(CWD, root.path().join("tree"), flags, Mode::empty()).unwrap();
    (root, tree)
}

#[test]
fn ordinary_paths_open_both_ways() {
    let (_root, tree) = scene();
    for method in METHODS {
        open_by(method, tree.as_fd(), b"a/file", OFlags::RDONLY, Mode::empty()).unwrap();
        open_by(method, tree.as_fd(), b"a/b", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let missing = open_by(method, tree.as_fd(), b"a/none", OFlags::RDONLY, Mode::empty());
        assert_eq!(missing.unwrap_err().kind, Kind::NotFound);
        let through_file = open_by(method, tree.as_fd(), b"a/file/x", OFlags::RDONLY, Mode::empty());
        assert_eq!(through_file.unwrap_err().kind, Kind::NotDirectory);
    }
}

#[test]
fn symlinks_are_never_followed() {
    let (root, tree) = scene();
    for path in [&b"out/secret"[..], b"out", b"a/absolute/new", b"a/leaf", b"a/inner/new", b"out/new"] {
        for method in METHODS {
            let create = OFlags::RDWR | OFlags::CREATE;
            let result = open_by(method, tree.as_fd(), path, create, Mode::RUSR);
            assert_eq!(result.unwrap_err().kind, Kind::PathEscapes, "{method:?} {}", quoted(path));
        }
    }
    for method in METHODS {
        let result = make_directory_by(method, tree.as_fd(), b"out/new", Mode::RWXU);
        assert_eq!(result.unwrap_err().kind, Kind::PathEscapes);
    }
    assert_eq!(make_symlink(tree.as_fd(), b"out/l", b"x").unwrap_err().kind, Kind::PathEscapes);
    assert_eq!(remove_file(tree.as_fd(), b"out/secret").unwrap_err().kind, Kind::PathEscapes);
    assert_eq!(fs::read_dir(root.path().join("outside")).unwrap().count(), 1);
}

#[test]
fn hostile_paths_are_refused_before_any_call() {
    let (_root, tree) = scene();
    for path in [&b""[..], b"/", b"/etc/passwd", b"..", b"a/../..", b"a//b", b"a/", b".", b"a/./b", b"a\0b"] {
        for method in METHODS {
            let result = open_by(method, tree.as_fd(), path, OFlags::RDONLY, Mode::empty());
            assert_eq!(result.unwrap_err().kind, Kind::PathEscapes, "{}", quoted(path));
        }
        assert_eq!(stat(tree.as_fd(), path).unwrap_err().kind, Kind::PathEscapes);
    }
}

#[test]
fn deep_paths_beyond_one_call_work() {
    let (_root, tree) = scene();
    let mut path = Vec::new();
    for _ in 0..30 {
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&[b'd'; 200]);
        make_directory(tree.as_fd(), &path, Mode::RWXU).unwrap();
    }
    path.extend_from_slice(b"/file");
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    open(tree.as_fd(), &path, flags, Mode::RUSR | Mode::WUSR).unwrap();
    assert_eq!(stat(tree.as_fd(), &path).unwrap().st_size, 0);
}

fn inodes(directory: &Path, found: &mut Vec<u64>) {
    use std::os::unix::fs::MetadataExt;
    found.push(fs::symlink_metadata(directory).unwrap().ino());
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            inodes(&path, found);
        } else {
            found.push(path.symlink_metadata().unwrap().ino());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_paths_never_escape(parts in proptest::collection::vec(
        prop::sample::select(vec![
            "a", "b", "..", ".", "", "out", "absolute", "leaf", "inner", "file", "secret", "new", "\0", "tree",
        ]), 1..7,
    )) {
        let (root, tree) = scene();
        let path = parts.join("/");
        for method in METHODS {
            let flags = OFlags::RDWR | OFlags::CREATE;
            for flags in [flags, OFlags::RDONLY, OFlags::RDONLY | OFlags::DIRECTORY] {
                let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR } else { Mode::empty() };
                if let Ok(file) = open_by(method, tree.as_fd(), path.as_bytes(), flags, mode) {
                    let mut inside = Vec::new();
                    inodes(&root.path().join("tree"), &mut inside);
                    prop_assert!(inside.contains(&fstat(&file).unwrap().st_ino));
                }
            }
            let _ = make_directory_by(method, tree.as_fd(), path.as_bytes(), Mode::RWXU);
        }
        let _ = make_symlink(tree.as_fd(), path.as_bytes(), b"x");
        let _ = remove_file(tree.as_fd(), path.as_bytes());
        prop_assert_eq!(fs::read_to_string(root.path().join("outside/secret")).unwrap(), "secret");
        prop_assert_eq!(fs::read_dir(root.path().join("outside")).unwrap().count(), 1);
        prop_assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_looker_sees_what_a_look_at_each_path_sees(paths in proptest::collection::vec(
        prop::sample::select(vec![
            "a/file", "a/b", "a/leaf", "a/none", "a", "none/x", "out", "out/secret", "a/inner/x", "a/b/..", "a/..", "..", "a//b", "/a",
            "a/\0", "a/absolute/secret", "",
        ]), 1..12,
    )) {
        let (_root, tree) = scene();
        let mut looker = Looker::new(tree.as_fd());
        let said = |result: Result<Stat>| result.map(|stat| stat.st_ino).map_err(|error| (error.kind, error.text));
        for path in paths {
            prop_assert_eq!(said(looker.stat(path.as_bytes())), said(stat(tree.as_fd(), path.as_bytes())), "{}", path);
        }
    }
}
