use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

fn root(path: &Path) -> Root {
    Root { path: path.to_path_buf(), name: path.file_name().unwrap().as_bytes().to_vec() }
}

/// All pages of a walk: `kind:path` in order, files and problems.
fn walk(path: &Path, options: WalkOptions, page: usize) -> (Vec<String>, Vec<FileRef>, Vec<Problem>) {
    let mut walker = Walker::open(vec![root(path)], options).unwrap();
    let (mut names, mut files, mut problems) = (Vec::<String>::new(), Vec::new(), Vec::new());
    let mut paths: Vec<String> = Vec::new();
    loop {
        let mut page = walker.next_page(page).unwrap();
        assert_eq!(page.columns.first as usize, paths.len());
        assert_eq!(Columns::decode(&page.columns.encode().unwrap()).unwrap(), page.columns);
        for entry in &page.columns {
            let name = String::from_utf8_lossy(entry.name);
            let path = match entry.parent {
                NO_PARENT => name.to_string(),
                parent => format!("{}/{name}", paths[parent as usize]),
            };
            names.push(format!("{}:{path}", entry.kind));
            paths.push(path);
        }
        files.append(&mut page.files);
        problems.append(&mut page.problems);
        if page.columns.last {
            return (names, files, problems);
        }
    }
}

#[test]
fn entries_come_parents_first_in_order_over_pages_of_any_size() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("b/empty")).unwrap();
    fs::write(top.join("b/2"), "22").unwrap();
    fs::write(top.join("a"), "1").unwrap();
    fs::write(top.join(OsStr::from_bytes(b"c\xff")), "").unwrap();
    symlink("../../nowhere", top.join("b/link")).unwrap();
    let expected =
        ["2:top", "1:top/a", "2:top/b", "1:top/b/2", "2:top/b/empty", "3:top/b/link", "1:top/c\u{fffd}"];
    for page in [1, 2, 3, 100] {
        let (names, files, problems) = walk(&top, WalkOptions::default(), page);
        assert_eq!(names, expected);
        assert_eq!(files.iter().map(|file| file.id).collect::<Vec<_>>(), [1, 3, 6]);
        assert_eq!(files[1].path(), top.join("b/2"));
        assert_eq!(files[1].size, 2);
        assert!(problems.is_empty());
    }
}

#[test]
fn a_symlinked_root_is_followed_and_keeps_its_given_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    fs::write(dir.path().join("real/file"), "x").unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    symlink("real/file", dir.path().join("direct")).unwrap();
    let (names, ..) = walk(&dir.path().join("link"), WalkOptions::default(), 10);
    assert_eq!(names, ["2:link", "1:link/file"]);
    let (names, files, _) = walk(&dir.path().join("direct"), WalkOptions::default(), 10);
    assert_eq!(names, ["1:direct"]);
    assert_eq!(files[0].path(), dir.path().canonicalize().unwrap().join("real/file"));
}

#[test]
fn what_cannot_be_sent_is_reported_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir(&top).unwrap();
    let _socket = UnixListener::bind(top.join("socket")).unwrap();
    rustix::fs::mknodat(CWD, top.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::write(top.join("z"), "").unwrap();
    let (names, _, problems) = walk(&top, WalkOptions::default(), 10);
    assert_eq!(names, ["2:top", "1:top/z"]);
    let texts: Vec<&str> = problems.iter().map(|problem| problem.error.text.as_str()).collect();
    assert!(texts[0].ends_with("top/pipe\": it is a named pipe"), "{texts:?}");
    assert!(texts[1].ends_with("top/socket\": it is a socket"), "{texts:?}");
    assert!(problems.iter().all(|problem| problem.error.kind == Kind::Unsupported));
}

#[test]
fn an_unreadable_folder_is_reported_and_skipped() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        println!("skipped: root can read everything");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("closed/in")).unwrap();
    fs::write(top.join("z"), "").unwrap();
    fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    let (names, _, problems) = walk(&top, WalkOptions::default(), 10);
    fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(names, ["2:top", "1:top/z"]);
    assert_eq!(problems[0].path, top.join("closed"));
    assert_eq!(problems[0].error.kind, Kind::PermissionDenied);
}

#[test]
fn missing_and_special_roots_and_bad_globs_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path, options| Walker::open(vec![root(path)], options).err().unwrap().kind;
    assert_eq!(open(&dir.path().join("no"), WalkOptions::default()), Kind::NotFound);
    assert_eq!(open(Path::new("/dev/null"), WalkOptions::default()), Kind::Unsupported);
    let options = WalkOptions { exclude: vec!["{".into()], ignore_files: false };
    assert_eq!(open(dir.path(), options), Kind::InvalidArgument);
}

#[test]
fn standard_input_is_a_stream() {
    let roots = vec![Root { path: "-".into(), name: b"stdin".to_vec() }];
    let page = Walker::open(roots, WalkOptions::default()).unwrap().next_page(10).unwrap();
    let entry = page.columns.iter().next().unwrap();
    assert_eq!((entry.kind, entry.size, entry.name), (KIND_STREAM, SIZE_UNKNOWN, &b"stdin"[..]));
    assert!(page.columns.last && page.files.is_empty());
}

#[test]
fn globs_and_ignore_files_leave_things_out() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("build/deep")).unwrap();
    fs::create_dir_all(top.join("src/build")).unwrap();
    for name in ["a.log", "keep.log", "src/x.log", "src/y.rs", "src/build/z", "build/deep/z"] {
        fs::write(top.join(name), "").unwrap();
    }
    fs::write(top.join(".gitignore"), "*.log\n!keep.log\n/build/\n").unwrap();
    fs::write(top.join("src/.wormholeignore"), "!x.log\n").unwrap();
    let exclude = |globs: &[&str], ignore_files| {
        let exclude = globs.iter().map(|glob| glob.to_string()).collect();
        walk(&top, WalkOptions { exclude, ignore_files }, 100).0.join(" ")
    };
    assert_eq!(
        exclude(&[], true),
        "2:top 1:top/.gitignore 1:top/keep.log 2:top/src 1:top/src/.wormholeignore 2:top/src/build \
         1:top/src/build/z 1:top/src/x.log 1:top/src/y.rs"
    );
    assert_eq!(exclude(&["*.log", "build/", ".*"], false), "2:top 2:top/src 1:top/src/y.rs");
    assert_eq!(exclude(&["/src/**", "/build", ".*"], false), "2:top 1:top/a.log 1:top/keep.log 2:top/src");
}

#[test]
fn trees_deeper_than_the_open_directories_and_the_longest_path_are_walked() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir(&top).unwrap();
    let tree = long_path::open_directory(&top).unwrap();
    let mut path = Vec::new();
    for depth in 0..100 {
        use std::os::fd::AsFd;
        path.extend_from_slice(if depth == 0 { b"" } else { b"/" });
        path.extend_from_slice(&[b'm'; 80]);
        super::super::beneath::make_directory(tree.as_fd(), &path, Mode::RWXU).unwrap();
        let file = [&path[..], b"/z"].concat();
        let flags = OFlags::CREATE | OFlags::WRONLY;
        super::super::beneath::open(tree.as_fd(), &file, flags, Mode::RUSR).unwrap();
    }
    let (names, files, problems) = walk(&top, WalkOptions::default(), 7);
    assert_eq!((names.len(), files.len()), (201, 100));
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn count_gives_totals_and_obeys_cancelling() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "123").unwrap();
    fs::create_dir(dir.path().join("b")).unwrap();
    symlink("a", dir.path().join("c")).unwrap();
    let roots = || vec![root(dir.path())];
    let totals = count(roots(), WalkOptions::default(), &AtomicBool::new(false)).unwrap();
    assert_eq!(
        Totals { allocated: 0, ..totals },
        Totals { files: 1, directories: 2, symlinks: 1, bytes: 3, allocated: 0, problems: 0 }
    );
    assert!(totals.allocated <= 3);
    let cancelled = count(roots(), WalkOptions::default(), &AtomicBool::new(true));
    assert_eq!(cancelled.unwrap_err().kind, Kind::Cancelled);
}

#[test]
fn a_hundred_thousand_files_are_counted() {
    let dir = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    for folder in 0..100 {
        let folder = dir.path().join(format!("{folder}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..1000 {
            fs::File::create(folder.join(format!("file-{file}"))).unwrap();
        }
    }
    let totals = count(vec![root(dir.path())], WalkOptions::default(), &AtomicBool::new(false)).unwrap();
    assert_eq!((totals.files, totals.directories), (100_000, 101));
}
