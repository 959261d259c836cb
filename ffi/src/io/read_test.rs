use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::slice;

use super::super::walk::{Root, WalkOptions, Walker};
use super::*;

fn source(path: &Path) -> FileRef {
    let root = Root { path: path.to_path_buf(), name: b"f".to_vec() };
    Walker::open(vec![root], WalkOptions::default()).unwrap().next_page(1).unwrap().files.remove(0)
}

#[test]
fn a_file_is_opened_and_its_changes_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "0123456789").unwrap();
    let seen = source(&path);
    let file = open_source(&seen).unwrap();
    assert!(unchanged(&file, &seen).unwrap());
    let mut buffer = [0; 8];
    assert_eq!(read_at(&file, &mut buffer, 4).unwrap(), 6);
    assert_eq!(&buffer[..6], b"456789");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"!").unwrap();
    assert!(!unchanged(&file, &seen).unwrap());
}

#[test]
fn a_change_of_the_same_size_and_time_is_noticed_by_its_ctime() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "aaaa").unwrap();
    let mut seen = source(&path);
    let file = open_source(&seen).unwrap();
    seen.ctime_ns -= 1;
    assert!(!unchanged(&file, &seen).unwrap());
}

#[test]
fn what_took_the_files_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "one").unwrap();
    let seen = source(&path);
    fs::rename(&path, dir.path().join("old")).unwrap();
    assert_eq!(open_source(&seen).unwrap_err().kind, Kind::NotFound);
    fs::write(&path, "two").unwrap();
    assert_eq!(open_source(&seen).unwrap_err().kind, Kind::SourceChanged);
    fs::remove_file(&path).unwrap();
    symlink("old", &path).unwrap();
    assert_eq!(open_source(&seen).unwrap_err().kind, Kind::SourceChanged);
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(open_source(&seen).unwrap_err().kind, Kind::SourceChanged);
}

#[test]
fn holes_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let mib = 1u64 << 20;
    file.set_len(8 * mib).unwrap();
    file.write_all_at(&vec![1; mib as usize], 2 * mib).unwrap();
    let mut known = Extent::default();
    let ranges = data_ranges(&file, 0, 8 * mib, &mut known);
    assert!(ranges.iter().any(|range| range.start <= 2 * mib && range.end >= 3 * mib), "{ranges:?}");
    assert_eq!(
        data_ranges(&file, 2 * mib + 5, 10, &mut known),
        slice::from_ref(&(2 * mib + 5..2 * mib + 15))
    );
    if ranges.len() == 1 && ranges[0] == (2 * mib..3 * mib) {
        assert_eq!(data_ranges(&file, 4 * mib, mib, &mut known), []);
        assert_eq!(known, Extent { hole_start: 4 * mib, data: u64::MAX..u64::MAX });
        assert_eq!(data_ranges(&file, 0, mib, &mut known), []);
        let seen = Extent { hole_start: 0, data: 2 * mib..3 * mib };
        assert_eq!(known, seen, "the hole serves the next chunk without another look");
        assert_eq!(data_ranges(&file, mib, 3 * mib, &mut known), slice::from_ref(&(2 * mib..3 * mib)));
        assert_eq!(data_ranges(&file, 0, 3 * mib, &mut known), slice::from_ref(&(2 * mib..3 * mib)));
    }
}
