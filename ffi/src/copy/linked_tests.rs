//! Names of one thing, inode flags, and what is known of the whole before it is copied.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, IFlags, Mode, ioctl_getflags, ioctl_setflags, mknodat};

use super::options::*;
use super::report::Count;
use super::run::Copy;
use super::tally;
use super::testing::*;

#[test]
fn names_of_one_symlink_or_pipe_stay_names_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    for folder in 0..10 {
        fs::create_dir_all(source.join(folder.to_string())).unwrap();
    }
    for number in 0..40 {
        let first = source.join(format!("{}/{number}-0", number % 10));
        match number % 2 {
            0 => symlink(format!("to {number}"), &first).unwrap(),
            _ => mknodat(CWD, &first, FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap(),
        }
        for name in 1..4 {
            fs::hard_link(&first, source.join(format!("{}/{number}-{name}", (number + 3 * name) % 10)))
                .unwrap();
        }
    }
    for round in 0..10 {
        let target = dir.path().join(format!("target{round}"));
        let told = run(&source, &target, Options { threads: 4, ..options() }).well();
        let total = |count| told.total(count);
        assert_eq!((total(Count::Symlinks), total(Count::Specials), total(Count::Hardlinks)), (20, 20, 120));
        assert_eq!(dump(&target), dump(&source));
        // One of the names is lost, and one is something of its own.
        fs::remove_file(target.join("0/0-0")).unwrap();
        fs::remove_file(target.join("1/1-0")).unwrap();
        mknodat(CWD, target.join("1/1-0"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        let update = Options { existing: Existing::Update, ..options() };
        run(&source, &target, update.clone()).well();
        assert_eq!(dump(&target), dump(&source));
        let told = run(&source, &target, update).well();
        assert_eq!((told.changed(), told.total(Count::Unchanged)), (Vec::new(), 160));
    }
}

#[test]
fn an_update_separates_what_is_one_thing_only_in_the_target() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    fs::create_dir(&source).unwrap();
    for name in ["a", "b"] {
        symlink("same", source.join(name)).unwrap();
        set_mtime(&source.join(name), 7, 7);
    }
    run(&source, &target, options()).well();
    fs::remove_file(target.join("b")).unwrap();
    fs::hard_link(target.join("a"), target.join("b")).unwrap();
    set_mtime(&target, fs::metadata(&source).unwrap().mtime(), fs::metadata(&source).unwrap().mtime_nsec());
    let told = run(&source, &target, Options { existing: Existing::Update, ..options() }).well();
    assert_eq!(told.total(Count::Symlinks), 1);
    assert_eq!(dump(&target), dump(&source));
}

fn flags(path: &Path) -> Option<IFlags> {
    ioctl_getflags(File::open(path).unwrap()).ok()
}

fn set_flags(path: &Path, flags: IFlags) -> bool {
    let file = File::open(path).unwrap();
    ioctl_getflags(&file).and_then(|there| ioctl_setflags(&file, there | flags)).is_ok()
}

#[test]
fn inode_flags_are_those_of_the_source_whatever_the_folder_gives() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let path = |name: &str| source.join(name);
    fs::create_dir_all(path("folder")).unwrap();
    fs::create_dir(&target).unwrap();
    for name in ["plain", "folder/plain", "flagged"] {
        fs::write(path(name), name).unwrap();
    }
    if !set_flags(&target, IFlags::NODUMP) {
        return eprintln!("ignored: this file system has no inode flags");
    }
    assert!(set_flags(&path("folder"), IFlags::NODUMP) && set_flags(&path("flagged"), IFlags::NODUMP));
    let preserve = Preserve { flags: true, ..Preserve::default() };
    run(&source, &target, Options { preserve, ..options() }).well();
    for (name, wanted) in [("plain", false), ("folder", true), ("folder/plain", false), ("flagged", true)] {
        let flags = flags(&target.join(name)).unwrap();
        assert_eq!(flags.contains(IFlags::NODUMP), wanted, "{name}");
    }
    // The target's own folder is not one of those that were copied to, so it is the source's now.
    assert!(!flags(&target).unwrap().contains(IFlags::NODUMP));
}

#[test]
fn a_flag_that_would_stop_the_next_copy_is_counted_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::write(&source, "x").unwrap();
    if !is_root() || !set_flags(&source, IFlags::APPEND) {
        return eprintln!("ignored: only root sets the append-only flag");
    }
    let copied = |name: &str, required| {
        let preserve = Preserve { flags: true, required, ..Preserve::default() };
        run(&source, &dir.path().join(name), Options { preserve, ..options() })
    };
    let (counted, named) = (copied("counted", false), copied("named", true));
    ioctl_setflags(File::open(&source).unwrap(), IFlags::empty()).unwrap();
    let counted = counted.well();
    assert_eq!(counted.total(Count::AttributesLeft), 1);
    let text: Vec<&str> = named.problems.iter().map(|problem| problem.error.text.as_str()).collect();
    assert!(
        text.len() == 1 && text[0].starts_with("Cannot keep the append-only or immutable flag"),
        "{text:?}"
    );
    for name in ["counted", "named"] {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"x");
        assert!(!flags(&dir.path().join(name)).unwrap().contains(IFlags::APPEND), "{name}");
    }
}

#[test]
fn what_is_counted_ahead_is_what_the_copy_meets() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    oddities(&source);
    fs::create_dir_all(source.join("left/out")).unwrap();
    fs::write(source.join("left/out/file"), "left out").unwrap();
    fs::write(source.join("folder/left.tmp"), "left out").unwrap();
    let plain = options();
    let few = Preserve { specials: false, hardlinks: false, ..Preserve::default() };
    for (row, options) in [
        ("all", plain.clone()),
        ("patterns", Options { exclude: vec!["left".into(), "*.tmp".into()], ..plain.clone() }),
        ("no links, no pipes", Options { preserve: few, ..plain.clone() }),
        ("one file system", Options { one_file_system: true, ..plain }),
    ] {
        let roots = vec![Root { source: source.clone(), target: dir.path().join(row) }];
        let copy = Copy::open(roots, options).unwrap();
        while !copy.next(Duration::from_secs(10)).done {}
        assert_eq!(copy.run.tally.get(), None, "{row}: nobody asked");
        tally::count(&copy.run);
        let (files, bytes) = copy.run.tally.get().unwrap();
        let met = |count| copy.run.report.total(count);
        assert_eq!(files, met(Count::TotalFiles), "{row}");
        // What several names share is divided among them, less the rest.
        assert!(met(Count::TotalBytes) - bytes <= 2, "{row}: {bytes} of {}", met(Count::TotalBytes));
        let [symlinks, specials] = [Count::Symlinks, Count::Specials].map(met);
        let done = met(Count::Files) + met(Count::Hardlinks) + symlinks + specials;
        assert_eq!(done, met(Count::TotalFiles), "{row}");
    }
}

#[test]
fn totals_are_known_while_files_are_still_to_come() {
    /// More than may wait to be told: the threads stop until somebody listens.
    const FILES: u64 = 17_000;
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    // Names of one file, and a dry run: what it costs to make and remove them is most of this test.
    let first = source.join("0");
    File::create(&first).unwrap();
    for number in 1..FILES {
        fs::hard_link(&first, source.join(number.to_string())).unwrap();
    }
    let roots = vec![Root { source, target: dir.path().join("target") }];
    let copy = Copy::open(roots, Options { dry_run: true, ..options() }).unwrap();
    std::thread::scope(|scope| scope.spawn(|| tally::count_ahead(&copy.run)).join()).unwrap();
    assert_eq!(copy.run.tally.get(), Some((FILES, 0)));
    assert!(copy.run.report.total(Count::Files) < FILES);
    assert!(!copy.next(Duration::ZERO).done);
    while !copy.next(Duration::from_secs(10)).done {}
    assert_eq!(copy.run.report.total(Count::Files), FILES);
}
