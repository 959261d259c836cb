//! Loops, races, failures, and copies that are stopped.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, Mode};

use super::options::*;
use super::report::Count;
use super::testing::*;
use crate::error::Kind;

#[test]
fn a_folder_is_not_copied_into_itself_or_onto_itself() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("a/b")).unwrap();
    fs::write(source.join("file"), "x").unwrap();
    symlink(&source, dir.path().join("way")).unwrap();
    let other = dir.path().join("other");
    fs::hard_link(source.join("file"), &other).unwrap();
    for (from, to) in [
        (source.clone(), source.join("a/copy")),
        (source.clone(), dir.path().join("way/a/copy")),
        (source.clone(), source.clone()),
        (source.join("."), source.join("copy")),
        (source.join("file"), source.join("file")),
        (source.join("file"), other),
    ] {
        let told = run(&from, &to, options());
        assert_eq!(told.kinds(), [Kind::InvalidArgument], "{from:?} {to:?}");
    }
    assert_eq!(dump(&source).len(), 4);
}

#[test]
fn symlinks_in_the_target_are_replaced_and_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let outside = dir.path().join("outside");
    fs::create_dir_all(source.join("folder")).unwrap();
    fs::write(source.join("folder/file"), "new").unwrap();
    fs::write(source.join("file"), "new").unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("file"), "old").unwrap();
    fs::create_dir(&target).unwrap();
    symlink(&outside, target.join("folder")).unwrap();
    symlink(outside.join("file"), target.join("file")).unwrap();
    let told = run(&source, &target, options());
    assert_eq!(told.kinds(), [Kind::NotDirectory]);
    run(&source, &target, Options { existing: Existing::Update, ..options() }).well();
    assert_eq!(dump(&target), dump(&source));
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "old");
}

#[test]
fn a_symlink_swapped_in_while_copying_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for name in 0..200 {
        fs::create_dir_all(source.join(format!("a/{name}"))).unwrap();
        fs::write(source.join(format!("a/{name}/file")), "new").unwrap();
    }
    fs::create_dir_all(target.join("a")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            let (real, link) = (target.join("a"), target.join("link"));
            symlink(&outside, &link).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(CWD, &real, CWD, &link, flags).unwrap();
            }
        });
        for _ in 0..20 {
            let _ = run(&source, &target, options());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        attacker.join().unwrap();
    });
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_copied_is_told_and_the_rest_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    fs::create_dir_all(source.join("folder")).unwrap();
    fs::write(source.join("folder/file"), "x").unwrap();
    fs::write(source.join("file"), "x").unwrap();
    assert_eq!(run(&dir.path().join("none"), &target, options()).kinds(), [Kind::NotFound]);
    assert_eq!(run(&source, &dir.path().join("none/target"), options()).kinds(), [Kind::NotFound]);
    // A file in the way of one folder.
    fs::create_dir(&target).unwrap();
    fs::write(target.join("folder"), "").unwrap();
    let told = run(&source, &target, options());
    assert_eq!(told.kinds(), [Kind::NotDirectory]);
    assert_eq!(fs::read_to_string(target.join("file")).unwrap(), "x");
    let text = &told.problems[0].error.text;
    assert_eq!(*text, format!("Cannot replace \"{}\": it is a file", target.join("folder").display()));
}

#[test]
fn a_source_that_changes_all_the_time_is_told_or_copied_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let mut file = File::create(&source).unwrap();
    file.write_all(&vec![1; 4 * MIB as usize]).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                (&file).write_all(&[1; 100]).unwrap();
            }
        });
        for _ in 0..20 {
            let _ = fs::remove_file(&target);
            let told = run(&source, &target, options());
            assert_eq!(told.problems.is_empty(), target.exists());
            assert!(told.kinds().iter().all(|kind| *kind == Kind::SourceChanged));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
    });
    assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn files_whose_size_nobody_knows_are_copied_whole() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("version");
    run(Path::new("/proc/version"), &target, options()).well();
    assert_eq!(fs::read(&target).unwrap(), fs::read("/proc/version").unwrap());
}

#[test]
fn trees_deeper_than_files_may_be_open_and_paths_may_be_long() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    let mut folder = rustix::fs::open(&source, rustix::fs::OFlags::RDONLY, Mode::empty()).unwrap();
    const DEPTH: u64 = 3000;
    for _ in 0..DEPTH {
        rustix::fs::mkdirat(&folder, "d", Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CREATE;
        drop(rustix::fs::openat(&folder, "f", flags, Mode::RUSR).unwrap());
        folder = rustix::fs::openat(&folder, "d", rustix::fs::OFlags::RDONLY, Mode::empty()).unwrap();
    }
    let target = dir.path().join("target");
    let told = run(&source, &target, options()).well();
    assert_eq!((told.total(Count::Directories), told.total(Count::Files)), (DEPTH + 1, DEPTH));
    let told = run(&source, &target, Options { existing: Existing::Update, ..options() }).well();
    assert_eq!(told.total(Count::Unchanged), DEPTH);
}

#[test]
fn patterns_and_file_systems_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    for name in ["keep/a.txt", "keep/b.log", "cache/x", "keep/cache/y", "source/z"] {
        fs::create_dir_all(source.join(name).parent().unwrap()).unwrap();
        fs::write(source.join(name), "").unwrap();
    }
    let exclude = vec!["*.log".into(), "/cache".into(), "source".into()];
    run(&source, &target, Options { exclude, ..options() }).well();
    let names: Vec<String> = dump(&target).into_keys().map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(names, ["", "keep", "keep/a.txt", "keep/cache", "keep/cache/y"]);
}

#[test]
fn a_full_disk_ends_the_copy_with_one_sentence_and_nothing_half_done() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, disk) = (dir.path().join("source"), dir.path().join("disk"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&disk).unwrap();
    for file in 0..400 {
        fs::write(source.join(file.to_string()), vec![file as u8; 8192]).unwrap();
    }
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "none"])
        .arg(&disk)
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        return;
    }
    let told = run(&source, &disk.join("target"), options());
    let copied: Vec<_> =
        fs::read_dir(disk.join("target")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let are_whole = copied
        .iter()
        .all(|path| fs::read(path).unwrap() == fs::read(source.join(path.file_name().unwrap())).unwrap());
    let hidden = hidden(&disk);
    let kinds = told.kinds();
    // It holds the disk's folder open.
    drop(told);
    let unmounted = std::process::Command::new("umount").arg(&disk).status();
    assert!(unmounted.unwrap().success());
    assert_eq!(kinds, [Kind::NoSpace]);
    assert!(are_whole && copied.len() > 50 && copied.len() <= 128, "{}", copied.len());
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn a_cancelled_copy_leaves_whole_files_only() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    for file in 0..500 {
        fs::create_dir_all(source.join((file % 10).to_string())).unwrap();
        fs::write(source.join(format!("{}/{file}", file % 10)), vec![file as u8; 30_000]).unwrap();
    }
    let whole = dump(&source);
    for _ in 0..10 {
        let _ = fs::remove_dir_all(&target);
        let roots = vec![Root { source: source.clone(), target: target.clone() }];
        let copy = super::run::Copy::open(roots, options()).unwrap();
        // The first change that is told: something is under way.
        assert!(!copy.next(std::time::Duration::from_secs(60)).changes.is_empty());
        copy.cancel();
        while !copy.next(std::time::Duration::from_secs(60)).done {}
        copy.close();
        assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
        let copied = dump(&target);
        let is_file = |entry: &str| entry.starts_with("100");
        assert!(copied.iter().all(|(name, entry)| !is_file(entry) || whole[name] == *entry));
    }
}

#[test]
fn flags_of_use_are_carried_over_and_others_counted() {
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "x").unwrap();
    let set = |path: &Path, flags| ioctl_setflags(File::open(path).unwrap(), flags).is_ok();
    if !set(&source, IFlags::NODUMP) || !set(&source.join("file"), IFlags::NODUMP | IFlags::APPEND) {
        // A file system or a user without.
        return;
    }
    let preserve = Preserve { flags: true, ..Preserve::default() };
    let told = run(&source, &target, Options { preserve, ..options() }).well();
    assert!(set(&source.join("file"), IFlags::empty()));
    assert_eq!(told.total(Count::AttributesLeft), 1);
    for path in [target.clone(), target.join("file")] {
        let flags = ioctl_getflags(File::open(&path).unwrap()).unwrap();
        assert_eq!(flags & (IFlags::NODUMP | IFlags::APPEND), IFlags::NODUMP, "{path:?}");
    }
}

#[test]
fn a_large_file_is_gone_on_with_where_the_journal_says() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let journal = dir.path().join("journal");
    let size = super::journal::PART_BYTES + 5 * MIB + 3;
    fs::create_dir(&source).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(source.join("file"), (0..size).map(|at| (at >> 13) as u8).collect::<Vec<u8>>()).unwrap();
    // What a run that was killed after the first part leaves behind, with a mark that only that part has.
    let hidden_name = c".wormhole-copy-0-0-1";
    let part = target.join(hidden_name.to_str().unwrap());
    fs::write(&part, vec![b'!'; super::journal::PART_BYTES as usize]).unwrap();
    fs::write(target.join(".wormhole-copy-0-0-2"), "left by a small file").unwrap();
    let meta = super::meta::Meta::from(rustix::fs::stat(source.join("file")).unwrap());
    let earlier = super::journal::Journal::open(&journal).unwrap();
    let id = super::journal::source_of(&meta);
    earlier.note_part(&id, hidden_name, super::journal::PART_BYTES).unwrap();
    drop(earlier);
    let resume =
        Options { existing: Existing::Update, journal: Some(journal.clone()), resume: true, ..options() };
    run(&source, &target, resume.clone()).well();
    let copied = fs::read(target.join("file")).unwrap();
    let (first, rest) = copied.split_at(super::journal::PART_BYTES as usize);
    assert!(first.iter().all(|&byte| byte == b'!'));
    assert!(*rest == fs::read(source.join("file")).unwrap()[first.len()..]);
    assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
    // Another file with the same name is not that file.
    fs::remove_file(target.join("file")).unwrap();
    fs::write(&part, "!").unwrap();
    set_mtime(&source.join("file"), 1, 1);
    run(&source, &target, resume).well();
    assert_eq!(dump(&target), dump(&source));
}

#[test]
fn a_hidden_folder_of_a_killed_run_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    oddities(&source);
    let journal = dir.path().join("journal");
    let hidden_name = c".wormhole-copy-0-0-1";
    let staged = dir.path().join(hidden_name.to_str().unwrap());
    run(&source, &staged, options()).well();
    // Killed in the middle of one file, before another one, and in the middle of a third's replacement.
    fs::write(staged.join("folder/large"), vec![7; 2 * MIB as usize]).unwrap();
    fs::remove_file(staged.join("none")).unwrap();
    fs::write(staged.join("folder/.wormhole-copy-0-0-7"), "x").unwrap();
    let earlier = super::journal::Journal::open(&journal).unwrap();
    earlier.note_staged(target.as_os_str().as_encoded_bytes(), hidden_name).unwrap();
    drop(earlier);
    let resume = Options { journal: Some(journal.clone()), resume: true, ..options() };
    let told = run(&source, &target, resume).well();
    assert!(told.total(Count::Bytes) < 4 * MIB && told.total(Count::Unchanged) > 0);
    assert_eq!(dump(&target), dump(&source));
    assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_journal_of_a_run_that_was_not_to_go_on_says_where_its_new_folder_is() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    oddities(&source);
    let journal = dir.path().join("journal");
    fs::write(&journal, "something else").unwrap();
    let first = Options { journal: Some(journal.clone()), ..options() };
    run(&source, &target, first.clone()).well();
    // As if it had been killed before the folder got its name.
    let known = super::journal::Journal::open(&journal).unwrap();
    let hidden_name = known.staged(target.as_os_str().as_encoded_bytes()).unwrap();
    drop(known);
    fs::rename(&target, dir.path().join(hidden_name.to_str().unwrap())).unwrap();
    let told = run(&source, &target, Options { resume: true, ..first }).well();
    assert!(told.total(Count::Unchanged) > 0);
    assert_eq!(hidden(dir.path()), Vec::<std::path::PathBuf>::new());
    // A journal that cannot be made is no reason not to copy.
    let nowhere = Options { journal: Some(dir.path().join("none/journal")), ..options() };
    run(&source, &dir.path().join("second"), nowhere).well();
    assert_eq!(dump(&dir.path().join("second")), dump(&source));
}

#[test]
fn going_on_removes_what_a_copy_left_and_nothing_that_a_person_has_named_like_that() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    fs::create_dir(&source).unwrap();
    for folder in ["left", "mine", "neither"] {
        fs::create_dir_all(target.join(folder)).unwrap();
    }
    fs::write(source.join("file"), "1").unwrap();
    for (from, to) in [
        ("left", ".wormhole-copy-1a2b3c4d-0-1f"),
        ("mine", ".wormhole-copy-notes"),
        ("neither", ".wormhole-copy-1a2b3c4d-0-1f-2"),
    ] {
        fs::write(target.join(from).join("kept"), from).unwrap();
        fs::rename(target.join(from), target.join(to)).unwrap();
    }
    let journal = Some(dir.path().join("journal"));
    run(&source, &target, Options { existing: Existing::Update, journal, resume: true, ..options() }).well();
    let mut names: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".wormhole-copy-1a2b3c4d-0-1f-2", ".wormhole-copy-notes", "file"]);
    assert_eq!(fs::read(target.join(".wormhole-copy-notes/kept")).unwrap(), b"mine");
}
