//! Random trees: a copy is what the source is, whatever was at its place.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::options::*;
use super::testing::*;

/// One entry to make: which of the folders made before, its kind, a number for its content, its mode, its time.
type Step = (u8, u8, u32, u16, i32);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<u8>(), any::<u8>(), 0u32..200_000, 0u16..0o10000, any::<i32>());
    prop::collection::vec(step, 0..24)
}

/// Makes a tree; the same name may come twice, and then stays what it was.
fn make(root: &Path, steps: &[Step]) {
    fs::create_dir(root).unwrap();
    let (mut folders, mut files) = (vec![root.to_path_buf()], Vec::<PathBuf>::new());
    let mut times = Vec::new();
    for &(folder, kind, number, mode, time) in steps {
        let path = folders[folder as usize % folders.len()].join(format!("n{}", number % 40));
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match kind % 8 {
            0..=2 => {
                let size = number as usize % [1, 5_000, 200_000][kind as usize % 3];
                fs::write(&path, vec![number as u8; size]).unwrap();
                files.push(path.clone());
            }
            3 => {
                let file = File::create(&path).unwrap();
                file.write_all_at(b"data", u64::from(number) * 3).unwrap();
                file.set_len(u64::from(number) * 5 + 4).unwrap();
                files.push(path.clone());
            }
            4 => {
                fs::create_dir(&path).unwrap();
                folders.push(path.clone());
            }
            5 => symlink(format!("target/{number}"), &path).unwrap(),
            6 => match files.get(number as usize % files.len().max(1)) {
                Some(first) => fs::hard_link(first, &path).unwrap(),
                None => continue,
            },
            _ => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
        }
        if kind % 8 != 5 {
            // Whoever runs this reads and enters everything.
            set_mode(&path, u32::from(mode) | if kind % 8 == 4 { 0o700 } else { 0o400 });
        }
        times.push((path, time));
    }
    // What lies deeper comes later, and a folder's time must not change any more.
    for (path, time) in times.iter().rev() {
        set_mtime(path, i64::from(*time), i64::from(time.unsigned_abs() % 1_000_000_000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_of_any_tree_is_that_tree(tree in steps(), buffer in prop::sample::select(vec![4096usize, 65_536])) {
        let dir = tempfile::tempdir().unwrap();
        let (source, target) = (dir.path().join("source"), dir.path().join("target"));
        make(&source, &tree);
        run(&source, &target, Options { buffer_size: buffer, ..options() }).well();
        prop_assert_eq!(dump(&target), dump(&source));
        prop_assert!(hidden(dir.path()).is_empty());
    }

    #[test]
    fn an_update_makes_any_tree_the_other(tree in steps(), there in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let (source, target) = (dir.path().join("source"), dir.path().join("target"));
        make(&source, &tree);
        make(&target, &there);
        let update = Options {
            existing: Existing::Update, compare: Compare::Checksum, delete: true, ..options()
        };
        run(&source, &target, update.clone()).well();
        prop_assert_eq!(dump(&target), dump(&source));
        prop_assert!(hidden(dir.path()).is_empty());
        let again = run(&source, &target, update).well();
        prop_assert_eq!(again.changed(), Vec::<String>::new());
    }
}
