//! What is carried over, and what is done about what is there already.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;

use super::options::*;
use super::report::Count;
use super::testing::*;
use crate::error::Kind;

#[test]
fn everything_of_a_tree_is_carried_over_and_again_into_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    oddities(&source);
    let told = run(&source, &target, options()).well();
    assert_eq!(dump(&target), dump(&source));
    assert_eq!(told.total(Count::Hardlinks), 4);
    assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
    // Replaced one by one, this time.
    run(&source, &target, options()).well();
    assert_eq!(dump(&target), dump(&source));
    assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
    let update = Options { existing: Existing::Update, ..options() };
    let told = run(&source, &target, update).well();
    assert_eq!(told.changed(), Vec::<String>::new());
    assert_eq!(dump(&target), dump(&source));
}

#[test]
fn attributes_that_are_not_asked_for_stay_away() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    oddities(&source);
    let preserve = Preserve {
        mode: false,
        owner: false,
        times: false,
        xattrs: false,
        acl: false,
        hardlinks: false,
        specials: false,
        ..Preserve::default()
    };
    run(&source, &target, Options { preserve, ..options() }).well();
    let stat = fs::metadata(target.join("folder/inner/setuid")).unwrap();
    assert_eq!((stat.mode() & 0o7000, stat.uid()), (0, rustix::process::geteuid().as_raw()));
    assert!(fs::metadata(target.join("small")).unwrap().mtime() > 1_000_000_000);
    assert_eq!(fs::metadata(target.join("small")).unwrap().nlink(), 1);
    assert!(!target.join("pipe").exists());
    assert!(dump(&target).values().all(|entry| !entry.contains('=')));
}

#[test]
fn each_method_copies_each_size() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    for size in [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 65_536, 3 * MIB as usize + 7] {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
        fs::write(source.join(size.to_string()), bytes).unwrap();
    }
    use Method::*;
    for method in [Auto, CopyFileRange, Splice, IoUring, ReadWrite, Direct, Mmap, Reflink] {
        for buffer_size in [8192, 1 << 20] {
            let target = dir.path().join(format!("{method:?}{buffer_size}"));
            let told = run(&source, &target, Options { method, buffer_size, queue_depth: 3, ..options() });
            // What this kernel or file system has not is said file by file: tmpfs and ext4 share nothing.
            if told.problems.is_empty() {
                assert_eq!(dump(&target), dump(&source), "{method:?}");
                let counted = super::report::count_of(method);
                assert!(method == Auto || told.total(counted) == 10, "{method:?}");
            } else {
                assert!(matches!(method, Reflink | Direct | IoUring), "{method:?}: {:?}", told.problems);
                assert!(fs::read_dir(&target).unwrap().count() + told.problems.len() >= 10);
            }
            assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
        }
    }
    for wish in [Options { direct_io: true, ..options() }, Options { preallocate: true, ..options() }] {
        let target = dir.path().join(format!("{}", wish.direct_io));
        run(&source, &target, Options { verify: true, fsync: Fsync::Each, ..wish }).well();
        assert_eq!(dump(&target), dump(&source));
    }
}

#[test]
fn holes_are_kept_made_or_filled() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    let file = File::create(&source).unwrap();
    file.write_all_at(&[1; 4096], 2 * MIB).unwrap();
    file.write_all_at(&vec![0; MIB as usize], 4 * MIB).unwrap();
    file.set_len(8 * MIB).unwrap();
    let parts = data_parts(&source);
    for method in [Method::Auto, Method::ReadWrite, Method::Splice, Method::IoUring, Method::Mmap] {
        for (sparse, name) in [(Sparse::Keep, "keep"), (Sparse::Make, "make"), (Sparse::Fill, "fill")] {
            let target = dir.path().join(format!("{name}-{method:?}"));
            run(&source, &target, Options { sparse, method, ..options() }).well();
            assert_eq!(fs::read(&target).unwrap(), fs::read(&source).unwrap(), "{name} {method:?}");
            let (allocated, before) =
                (fs::metadata(&target).unwrap().blocks(), fs::metadata(&source).unwrap().blocks());
            match sparse {
                Sparse::Keep => {
                    assert_eq!(data_parts(&target), parts, "{method:?}");
                    assert!(allocated.abs_diff(before) * 100 <= before, "{allocated} {before}");
                }
                Sparse::Make => assert!(allocated * 512 <= MIB / 4, "{allocated}"),
                Sparse::Fill => assert!(allocated * 512 >= 8 * MIB, "{allocated}"),
            }
        }
    }
}

#[test]
fn names_of_one_file_stay_names_of_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    for folder in 0..20 {
        fs::create_dir_all(source.join(folder.to_string())).unwrap();
    }
    for file in 0..100 {
        let first = source.join(format!("{}/{file}-0", file % 20));
        fs::write(&first, file.to_string()).unwrap();
        for name in 1..4 {
            fs::hard_link(&first, source.join(format!("{}/{file}-{name}", (file + 7 * name) % 20))).unwrap();
        }
    }
    for round in 0..20 {
        let target = dir.path().join(format!("target{round}"));
        let told = run(&source, &target, Options { threads: 4, ..options() }).well();
        assert_eq!((told.total(Count::Files), told.total(Count::Hardlinks)), (100, 300));
        assert_eq!(dump(&target), dump(&source));
        // One of the names is lost and comes back as a name, not as a file.
        fs::remove_file(target.join("0/0-0")).unwrap();
        fs::write(target.join("0/0-0"), "0").unwrap();
        run(&source, &target, Options { existing: Existing::Update, ..options() }).well();
        assert_eq!(dump(&target), dump(&source));
    }
}

#[test]
fn what_is_there_is_treated_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let make = |root: &Path, text: &str, mtime: i64| {
        let _ = fs::remove_dir_all(root);
        fs::create_dir(root).unwrap();
        fs::write(root.join("file"), text).unwrap();
        set_mtime(&root.join("file"), mtime, 0);
    };
    let text = || fs::read_to_string(target.join("file")).unwrap();
    use {Compare::*, Existing::*};
    // (description, existing, compare, target's text, its time, text afterwards, what is told)
    for (row, existing, compare, there, time, after, told_kind) in [
        ("replaced", Replace, SizeMtime, "old", 10, "new", "content file"),
        ("kept", Skip, SizeMtime, "old", 10, "old", ""),
        ("refused", Fail, SizeMtime, "old", 10, "old", "DestinationExists"),
        ("same size, same time", Update, SizeMtime, "old", 50, "old", ""),
        ("same size, other time", Update, SizeMtime, "old", 51, "new", "content file"),
        ("other size, same time", Update, SizeMtime, "older", 50, "new", "content file"),
        ("checksum sees through time", Update, Checksum, "old", 50, "new", "content file"),
        ("checksum of the same bytes", Update, Checksum, "new", 10, "new", "attributes file"),
        ("newer stays", Update, Newer, "other", 51, "other", ""),
        ("older goes", Update, Newer, "other", 49, "new", "content file"),
    ] {
        make(&source, "new", 50);
        make(&target, there, time);
        let told = run(&source, &target, Options { existing, compare, ..options() });
        assert_eq!(text(), after, "{row}");
        let kinds: Vec<String> = told.kinds().iter().map(|kind| format!("{kind:?}")).collect();
        assert_eq!([told.changed(), kinds].concat().concat(), told_kind, "{row}");
    }
}

#[test]
fn entries_of_another_kind_are_replaced_only_in_an_update() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    fs::create_dir_all(source.join("folder")).unwrap();
    fs::write(source.join("folder/x"), "x").unwrap();
    fs::write(source.join("file"), "file").unwrap();
    fs::create_dir_all(target.join("file/full")).unwrap();
    fs::write(target.join("folder"), "").unwrap();
    let told = run(&source, &target, options());
    let mut kinds = told.kinds();
    kinds.sort_by_key(|kind| *kind as u16);
    assert_eq!(kinds, [Kind::IsDirectory, Kind::NotDirectory]);
    let update = Options { existing: Existing::Update, ..options() };
    let told = run(&source, &target, update.clone());
    assert_eq!(
        (told.kinds(), told.changed()),
        (vec![Kind::IsDirectory], vec!["kind folder".into(), "new x".into()])
    );
    let delete = Options { delete: true, ..update };
    let told = run_and_delete(&source, &target, delete.clone(), false).well();
    assert_eq!(told.deletions, Some((2, 2, 4)));
    assert!(target.join("file/full").exists());
    run(&source, &target, delete).well();
    assert_eq!(dump(&target), dump(&source));
}

#[test]
fn extra_entries_are_listed_and_deleted_only_when_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    oddities(&source);
    run(&source, &target, options()).well();
    fs::create_dir_all(target.join("folder/old/deep")).unwrap();
    fs::write(target.join("folder/old/deep/file"), "").unwrap();
    fs::write(target.join("folder/gone"), "").unwrap();
    fs::write(target.join("folder/kept.log"), "").unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "").unwrap();
    symlink(&outside, target.join("folder/way-out")).unwrap();
    let sync =
        Options { existing: Existing::Update, delete: true, exclude: vec!["*.log".into()], ..options() };
    let lines = ["delete deep", "delete file", "delete gone", "delete old", "delete way-out"];
    let dry = run(&source, &target, Options { dry_run: true, ..sync.clone() }).well();
    assert_eq!((dry.changed(), dry.deletions.unwrap().0), (lines.map(String::from).to_vec(), 5));
    run_and_delete(&source, &target, sync.clone(), false).well();
    assert!(target.join("folder/old/deep/file").exists());
    let told = run(&source, &target, sync).well();
    assert_eq!((told.changed(), told.total(Count::Deleted)), (lines.map(String::from).to_vec(), 5));
    assert!(outside.join("precious").exists());
    fs::remove_file(target.join("folder/kept.log")).unwrap();
    set_mtime(&target.join("folder"), 1 << 33, 999_999_999);
    assert_eq!(dump(&target), dump(&source));
}

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    oddities(&source);
    let dry = run(&source, &target, Options { dry_run: true, ..options() }).well();
    assert!(!target.exists());
    let wet = run(&source, &target, options()).well();
    assert_eq!(dry.changed(), wet.changed());
    fs::write(target.join("small"), "other").unwrap();
    fs::remove_file(target.join("pipe")).unwrap();
    let before = dump(&target);
    let update = Options { existing: Existing::Update, dry_run: true, ..options() };
    let told = run(&source, &target, update).well();
    assert!(told.changed().contains(&"new pipe".to_string()), "{:?}", told.changed());
    assert_eq!(dump(&target), before);
}
