use std::fs;
use std::os::fd::OwnedFd;

use super::*;

struct Folder {
    dir: tempfile::TempDir,
    root: OwnedFd,
}

impl Folder {
    fn new() -> Folder {
        let dir = tempfile::tempdir().unwrap();
        let root = super::super::long_path::open_directory(dir.path()).unwrap();
        Folder { dir, root }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    fn write(&self, path: &str, text: &str) -> Stamp {
        let at = self.dir.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
        Stamp::from(&beneath::stat(self.fd(), path.as_bytes()).unwrap())
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join(path)).ok()
    }
}

#[test]
fn put_keeps_what_it_displaces() {
    let folder = Folder::new();
    let was = folder.write("a/b", "old");
    folder.write("staged", "new");
    put(folder.fd(), b"staged", b"a/b", Some(&was), b"trash/a/b").unwrap();
    assert_eq!(
        (folder.read("a/b").as_deref(), folder.read("trash/a/b").as_deref()),
        (Some("new"), Some("old"))
    );
    assert_eq!(folder.read("staged"), None);
    folder.write("staged", "newer");
    let was = Stamp::from(&beneath::stat(folder.fd(), b"a/b").unwrap());
    put(folder.fd(), b"staged", b"a/b", Some(&was), b"trash/a/b").unwrap();
    assert_eq!(folder.read("trash/a/b~1").as_deref(), Some("new"), "two of one name");
}

#[test]
fn nothing_that_changed_is_touched() {
    let folder = Folder::new();
    let was = folder.write("a", "old");
    folder.write("a", "newer and longer");
    folder.write("staged", "new");
    let kinds = [
        put(folder.fd(), b"staged", b"a", Some(&was), b"trash/a").unwrap_err().kind,
        take(folder.fd(), b"a", &was, b"trash/a").unwrap_err().kind,
        shift(folder.fd(), b"a", b"b", &was).unwrap_err().kind,
        set_mode(folder.fd(), b"a", &was, 0o600).unwrap_err().kind,
        put(folder.fd(), b"staged", b"missing", Some(&was), b"trash/a").unwrap_err().kind,
    ];
    assert_eq!(kinds, [Kind::SourceChanged; 5]);
    assert_eq!(put(folder.fd(), b"staged", b"a", None, b"").unwrap_err().kind, Kind::AlreadyExists);
    assert_eq!(folder.read("a").as_deref(), Some("newer and longer"));
    assert_eq!((folder.read("staged").as_deref(), folder.read("trash/a")), (Some("new"), None));
}

#[test]
fn all_names_of_a_file_can_be_changed_one_after_the_other() {
    let folder = Folder::new();
    folder.write("a", "text");
    for name in ["b", "c", "d"] {
        fs::hard_link(folder.dir.path().join("a"), folder.dir.path().join(name)).unwrap();
    }
    let was = Stamp::from(&beneath::stat(folder.fd(), b"a").unwrap());
    folder.write("staged", "new");
    // As it was seen before a step in an earlier tick of the clock.
    let seen = Stamp { ctime_ns: was.ctime_ns - 1, ..was };
    take(folder.fd(), b"a", &seen, b"trash/a").unwrap();
    put(folder.fd(), b"staged", b"b", Some(&seen), b"trash/b").unwrap();
    shift(folder.fd(), b"c", b"e", &seen).unwrap();
    assert_eq!((folder.read("a"), folder.read("b").as_deref()), (None, Some("new")));
    assert_eq!((folder.read("c"), folder.read("e").as_deref()), (None, Some("text")));
    folder.write("d", "another text");
    assert_eq!(take(folder.fd(), b"d", &was, b"trash/d").unwrap_err().kind, Kind::SourceChanged);
}

#[test]
fn take_moves_and_drop_spares_what_is_not_empty() {
    let folder = Folder::new();
    let was = folder.write("d/a", "text");
    assert_eq!(drop_directory(folder.fd(), b"d").unwrap_err().kind, Kind::SourceChanged);
    take(folder.fd(), b"d/a", &was, b"trash/d/a").unwrap();
    drop_directory(folder.fd(), b"d").unwrap();
    drop_directory(folder.fd(), b"d").unwrap();
    assert_eq!(folder.read("trash/d/a").as_deref(), Some("text"));
}

#[test]
fn symlinks_in_the_way_lead_nowhere() {
    let (folder, outside) = (Folder::new(), Folder::new());
    let was = outside.write("a", "outside");
    std::os::unix::fs::symlink(outside.dir.path(), folder.dir.path().join("d")).unwrap();
    assert_eq!(take(folder.fd(), b"d/a", &was, b"trash/a").unwrap_err().kind, Kind::SourceChanged);
    assert_eq!(make(folder.fd(), b"d/new", 0o700).unwrap_err().kind, Kind::SourceChanged);
    assert_eq!(outside.read("a").as_deref(), Some("outside"));
}

#[test]
fn stage_gives_only_what_was_wanted() {
    let (source, root) = (Folder::new(), Folder::new());
    source.write("a", "text");
    std::os::unix::fs::symlink("where", source.dir.path().join("link")).unwrap();
    let wanted = |content: &[u8], is_symlink| Wanted {
        is_symlink,
        size: content.len() as u64,
        content: hash(content),
        mode: 0o640,
        mtime_ns: 1_000_000_001,
    };
    let stage = |path: &[u8], to: &[u8], wanted: &Wanted| {
        stage(source.fd(), path, root.fd(), to, wanted, &|| false).map_err(|error| error.kind)
    };
    assert_eq!(stage(b"a", b"s/1", &wanted(b"text", false)), Ok(()));
    let stat = beneath::stat(root.fd(), b"s/1").unwrap();
    assert_eq!((stat.st_mode & 0o7777, Stamp::from(&stat).mtime_ns), (0o640, 1_000_000_001));
    assert_eq!(stage(b"a", b"s/2", &wanted(b"other", false)), Err(Kind::SourceChanged));
    assert_eq!(stage(b"b", b"s/2", &wanted(b"other", false)), Err(Kind::SourceChanged));
    assert_eq!(root.read("s/2"), None);
    assert_eq!(stage(b"link", b"s/3", &wanted(b"where", true)), Ok(()));
    assert_eq!(stage(b"link", b"s/4", &wanted(b"elsewhere", true)), Err(Kind::SourceChanged));
}

#[test]
fn stage_of_more_than_one_chunk_has_the_hash_of_its_chunks() {
    let (source, root) = (Folder::new(), Folder::new());
    let text = "x".repeat(CHUNK_BYTES as usize + 5);
    source.write("big", &text);
    let ids = [hash(&text.as_bytes()[..CHUNK_BYTES as usize]), hash(b"xxxxx")].concat();
    let size = text.len() as u64;
    let wanted = Wanted { is_symlink: false, size, content: hash(&ids), mode: 0o600, mtime_ns: 0 };
    stage(source.fd(), b"big", root.fd(), b"big", &wanted, &|| false).unwrap();
    assert_eq!(root.read("big").map(|text| text.len()), Some(text.len()));
}
