use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use super::*;

fn staging_folders(destination: &Path) -> usize {
    let entries = fs::read_dir(destination).unwrap();
    entries.filter(|entry| is_staging_name(entry.as_ref().unwrap().file_name().as_encoded_bytes())).count()
}

#[test]
fn staging_is_private_and_goes_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create(dir.path()).unwrap();
    let folder = dir.path().join(String::from_utf8(staging.name().to_vec()).unwrap());
    assert_eq!(folder.metadata().unwrap().mode() & 0o7777, 0o700);
    staging.make_directory(b"a").unwrap();
    staging.make_directory(b"a/b").unwrap();
    staging.create_file(b"a/b/file", 10).unwrap();
    staging.make_symlink(b"a/link", b"/etc", 0).unwrap();
    drop(staging);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(Path::new("/etc").is_dir());
}

#[test]
fn a_kept_staging_stays_until_the_next_one_finds_its_lock_free() {
    let dir = tempfile::tempdir().unwrap();
    let living = Staging::create(dir.path()).unwrap();
    let crashed = Staging::create(dir.path()).unwrap();
    crashed.create_file(b"half", 100).unwrap();
    crashed.keep();
    drop(crashed);
    fs::create_dir(dir.path().join(".wormhole-notours.part")).unwrap();
    symlink("/etc", dir.path().join(".wormhole-00000000000000aa.part")).unwrap();
    assert_eq!(staging_folders(dir.path()), 3);
    let next = Staging::create(dir.path()).unwrap();
    // The living one, the new one and the link are left.
    assert_eq!(staging_folders(dir.path()), 3);
    living.create_file(b"still works", 1).unwrap();
    next.remove().unwrap();
    drop(living);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_young_folder_without_a_lock_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".wormhole-0123456789abcdef.part")).unwrap();
    Staging::create(dir.path()).unwrap().remove().unwrap();
    assert_eq!(staging_folders(dir.path()), 1);
}

#[test]
fn stagings_that_begin_and_end_together_do_not_remove_each_other() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..100 {
                    let staging = Staging::create(dir.path()).unwrap();
                    staging.create_file(b"f", round).unwrap();
                    staging.open_file(b"f").unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_destination_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let kind = |path: &str| Staging::create(&dir.path().join(path)).err().unwrap();
    assert_eq!(kind("no").kind, Kind::NotFound);
    assert!(kind("no").text.starts_with("Cannot write to \""));
    assert_eq!(kind("file").kind, Kind::NotDirectory);
}

#[test]
fn hostile_and_repeated_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create(dir.path()).unwrap();
    for path in [&b"../x"[..], b"/x", b"", b"a/../../x", b"x\0y", b"."] {
        assert_eq!(staging.create_file(path, 1).unwrap_err().kind, Kind::PathEscapes);
        assert_eq!(staging.make_directory(path).unwrap_err().kind, Kind::PathEscapes);
        assert_eq!(staging.make_symlink(path, b"t", 0).unwrap_err().kind, Kind::PathEscapes);
    }
    staging.make_directory(b"d").unwrap();
    let again = staging.make_directory(b"d").unwrap_err();
    assert_eq!(again.kind, Kind::AlreadyExists);
    assert!(again.text.ends_with("two entries have the same name"));
    assert_eq!(staging.create_file(b"d", 1).unwrap_err().kind, Kind::AlreadyExists);
    let long = [b'n'; 256];
    assert_eq!(staging.create_file(&long, 1).unwrap_err().kind, Kind::NameTooLong);
    assert_eq!(staging.make_symlink(b"s", b"", 0).unwrap_err().kind, Kind::HostileName);
    // A symlink of the manifest is never written through.
    staging.make_symlink(b"out", b"/tmp", 0).unwrap();
    assert_eq!(staging.create_file(b"out/x", 1).unwrap_err().kind, Kind::PathEscapes);
    assert_eq!(staging.open_file(b"out").unwrap_err().kind, Kind::PathEscapes);
    assert_eq!(staging.create_file(b"huge", u64::MAX).unwrap_err().kind, Kind::LimitExceeded);
    assert_eq!(staging.open_file(b"huge").unwrap_err().kind, Kind::NotFound);
}

#[test]
fn files_get_their_mode_and_time_but_never_setuid() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create(dir.path()).unwrap();
    let file = staging.create_file(b"f", 1 << 30).unwrap();
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(file.metadata().unwrap().blocks(), 0);
    staging.finish_file(&file, 0o6755, -1_500_000_000).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o755);
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (-2, 500_000_000));
    staging.make_symlink(b"l", b"f", 5).unwrap();
    assert_eq!(beneath::stat(staging.tree(), b"l").unwrap().st_mtime_nsec as i64, 5);
    staging.remove_file(b"l").unwrap();
    staging.barrier().unwrap();
}

#[test]
fn a_destination_swapped_for_a_symlink_does_not_redirect_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (destination, moved, trap) =
        (dir.path().join("d"), dir.path().join("moved"), dir.path().join("trap"));
    fs::create_dir(&destination).unwrap();
    fs::create_dir(&trap).unwrap();
    let staging = Staging::create(&destination).unwrap();
    fs::rename(&destination, &moved).unwrap();
    symlink(&trap, &destination).unwrap();
    staging.create_file(b"f", 0).unwrap().write_all(b"data").unwrap();
    staging.commit(b"f", b"f", CommitPolicy::Fresh, &mut vec![]).unwrap();
    assert_eq!(fs::read_to_string(moved.join("f")).unwrap(), "data");
    drop(staging);
    assert_eq!(fs::read_dir(&trap).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&moved).unwrap().count(), 1);
}

/// A mounted tmpfs of `size`, unmounted when dropped; `None` where mounting is not allowed.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(dir));
        }
        println!("skipped: mounting a tmpfs is not allowed here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_reported() {
    let Some(disk) = SmallDisk::mount("size=64k") else { return };
    let staging = Staging::create(disk.0.path()).unwrap();
    // Holes cost nothing; the data does.
    let mut file = staging.create_file(b"big", 1 << 20).unwrap();
    let error = file.write_all(&vec![1; 1 << 20]).unwrap_err();
    assert_eq!(crate::error::kind_of_io(&error), Kind::NoSpace);
    drop(staging);
    assert_eq!(fs::read_dir(disk.0.path()).unwrap().count(), 0);

    let Some(disk) = SmallDisk::mount("size=64k,nr_inodes=7") else { return };
    let staging = Staging::create(disk.0.path()).unwrap();
    let mut results = (0..10).map(|n| staging.make_directory(format!("{n}").as_bytes()));
    assert_eq!(results.find_map(|result| result.err()).unwrap().kind, Kind::NoSpace);
}

#[test]
fn a_read_only_destination_is_reported() {
    let Some(disk) = SmallDisk::mount("size=64k,ro") else { return };
    assert_eq!(Staging::create(disk.0.path()).err().unwrap().kind, Kind::ReadOnly);
}

#[test]
fn a_mount_point_inside_an_existing_folder_is_a_failure_not_a_crash() {
    let Some(disk) = SmallDisk::mount("size=64k") else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("top/mounted")).unwrap();
    let status =
        Command::new("mount").arg("--bind").arg(disk.0.path()).arg(dir.path().join("top/mounted")).status();
    assert!(status.unwrap().success());
    let staging = Staging::create(dir.path()).unwrap();
    for folder in [&b"top"[..], b"top/mounted"] {
        staging.make_directory(folder).unwrap();
    }
    staging.create_file(b"top/mounted/f", 0).unwrap();
    staging.create_file(b"top/g", 0).unwrap();
    let mut failures = vec![];
    let done = staging.commit(b"top", b"top", CommitPolicy::Overwrite, &mut failures);
    Command::new("umount").arg(dir.path().join("top/mounted")).status().unwrap();
    assert_eq!(done.unwrap(), Committed { files: 1, ..Committed::default() });
    assert_eq!((failures[0].0.as_slice(), failures[0].1.kind), (&b"top/mounted/f"[..], Kind::Unsupported));
}

#[test]
fn directories_that_lock_their_owner_out_still_work() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::create(dir.path()).unwrap();
    staging.make_directory(b"top").unwrap();
    staging.make_directory(b"top/closed").unwrap();
    staging.create_file(b"top/closed/f", 0).unwrap();
    staging.finish_directory(b"top/closed", 0o1000, 7).unwrap();
    staging.finish_directory(b"top", 0o555, 9).unwrap();
    assert_eq!(beneath::stat(staging.tree(), b"top").unwrap().st_mode & 0o7777, 0o755);
    let done = staging.commit(b"top", b"new", CommitPolicy::Fresh, &mut vec![]).unwrap();
    assert_eq!(done, Committed { files: 1, directories: 2, symlinks: 0 });
    let metadata = dir.path().join("new").metadata().unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.mtime_nsec()), (0o555, 9));
    let closed = dir.path().join("new/closed");
    assert_eq!(closed.metadata().unwrap().mode() & 0o7777, 0);
    fs::set_permissions(closed, fs::Permissions::from_mode(0o700)).unwrap();
}
