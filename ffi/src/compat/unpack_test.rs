use std::fs;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

static NEVER: AtomicBool = AtomicBool::new(false);
const BOUNDS: Bounds = Bounds { bytes: 1 << 20, entries: 100 };

fn archive(make: impl FnOnce(&mut ZipWriter<File>)) -> File {
    let mut writer = ZipWriter::new(tempfile::tempfile().unwrap());
    make(&mut writer);
    writer.finish().unwrap()
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
}

fn unpacked(archive: File, bounds: Bounds) -> (tempfile::TempDir, Staging, Result<Unpacked>) {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create_alone(dir.path()).unwrap();
    staging.make_directory(b"f").unwrap();
    let result = unpack(archive, &staging, b"f", bounds, &NEVER);
    (dir, staging, result)
}

#[test]
fn files_folders_and_what_may_be_executed_come_out() {
    let archive = archive(|writer| {
        writer.start_file("a/b/c.txt", options()).unwrap();
        writer.write_all(b"text").unwrap();
        writer.start_file("run", options().unix_permissions(0o755)).unwrap();
        writer.add_directory("empty/", options()).unwrap();
    });
    let (dir, staging, result) = unpacked(archive, BOUNDS);
    assert_eq!(result.unwrap(), Unpacked { files: 2, directories: 3, bytes: 4 });
    let failures = &mut Vec::new();
    staging.commit(b"f", b"out", crate::io::stage::CommitPolicy::Fresh, failures).unwrap();
    let out = dir.path().join("out");
    assert_eq!(fs::read(out.join("a/b/c.txt")).unwrap(), b"text");
    assert!(out.join("empty").is_dir());
    assert_ne!(fs::metadata(out.join("run")).unwrap().permissions().mode() & 0o100, 0);
    assert_eq!(fs::metadata(out.join("a/b/c.txt")).unwrap().permissions().mode() & 0o111, 0);
}

#[test]
fn names_that_lead_out_and_links_are_refused() {
    for name in ["../x", "/etc/x", "a/../../x", "a//x", "./x", "a\\..\\x", "", "a/./b"] {
        let archive = archive(|writer| writer.start_file(name, options()).unwrap());
        let (dir, _staging, result) = unpacked(archive, BOUNDS);
        assert_eq!(result.unwrap_err().kind, Kind::HostileName, "{name:?}");
        // Only the staging folder.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{name:?}");
    }
    let archive = archive(|writer| {
        writer.add_symlink("link", "/etc", options()).unwrap();
        writer.start_file("link/x", options()).unwrap();
    });
    assert_eq!(unpacked(archive, BOUNDS).2.unwrap_err().kind, Kind::HostileName);
}

#[test]
fn more_than_was_offered_is_refused() {
    let bomb = || {
        archive(|writer| {
            writer.start_file("zeros", options()).unwrap();
            writer.write_all(&vec![0; 2 << 20]).unwrap();
        })
    };
    assert_eq!(unpacked(bomb(), BOUNDS).2.unwrap_err().kind, Kind::LimitExceeded);
    let many = archive(|writer| (0..101).for_each(|i| writer.start_file(i.to_string(), options()).unwrap()));
    assert_eq!(unpacked(many, BOUNDS).2.unwrap_err().kind, Kind::LimitExceeded);
    let deep = archive(|writer| writer.start_file("a/b/c/d/e", options()).unwrap());
    let bounds = Bounds { entries: 3, ..BOUNDS };
    assert_eq!(unpacked(deep, bounds).2.unwrap_err().kind, Kind::LimitExceeded);
}

#[test]
fn an_archive_that_lies_about_sizes_is_refused_whatever_its_lists_say() {
    let mut bytes = Vec::new();
    let mut bomb = archive(|writer| {
        writer.start_file("zeros", options()).unwrap();
        writer.write_all(&vec![0; 8 << 20]).unwrap();
    });
    bomb.rewind().unwrap();
    bomb.read_to_end(&mut bytes).unwrap();
    // The uncompressed size, in the header of the file and in the list (APPNOTE.TXT §4.3.7, §4.3.12).
    let size = (8u32 << 20).to_le_bytes();
    let places: Vec<_> = (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == size).collect();
    assert_eq!(places.len(), 2);
    for at in places {
        bytes[at..at + 4].copy_from_slice(&5u32.to_le_bytes());
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let (dir, _staging, result) = unpacked(file, BOUNDS);
    let kind = result.unwrap_err().kind;
    assert!(matches!(kind, Kind::LimitExceeded | Kind::Corrupt), "{kind:?}");
    let du = |path: &std::path::Path| fs::metadata(path).map_or(0, |data| data.len());
    let mut pending = vec![dir.path().to_owned()];
    while let Some(path) = pending.pop() {
        assert!(path.is_dir() || du(&path) <= BOUNDS.bytes, "{path:?}");
        if path.is_dir() {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

#[test]
fn a_damaged_archive_and_a_file_that_is_also_a_folder_are_refused() {
    let mut bytes = Vec::new();
    let mut whole = archive(|writer| {
        writer.start_file("x", options()).unwrap();
        writer
            .write_all(
                &(0..20_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>(),
            )
            .unwrap();
    });
    whole.rewind().unwrap();
    whole.read_to_end(&mut bytes).unwrap();
    let file = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    };
    assert_eq!(unpacked(file(&bytes[..bytes.len() / 2]), BOUNDS).2.unwrap_err().kind, Kind::Corrupt);
    bytes[5000] ^= 1;
    assert_eq!(unpacked(file(&bytes), BOUNDS).2.unwrap_err().kind, Kind::Corrupt);
    let both = archive(|writer| {
        writer.start_file("x", options()).unwrap();
        writer.start_file("x/y", options()).unwrap();
    });
    assert!(unpacked(both, BOUNDS).2.is_err());
}
