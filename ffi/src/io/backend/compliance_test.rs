//! One suite for every backend that runs here.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::{TempDir, tempdir};

use super::*;

/// More than a ring has room for.
const MANY: usize = 250;

fn backends() -> Vec<Arc<dyn Backend>> {
    let runnable = select::probe().into_iter().filter(|probed| probed.problem.is_none());
    let backends: Vec<_> = runnable.map(|probed| select::select(probed.name).unwrap()).collect();
    assert!(backends.len() >= 2, "std and linux run everywhere");
    backends
}

fn content(index: usize) -> Vec<u8> {
    let length = [0, 1, 4096, 100, 70_000][index % 5] + index;
    (0..length).map(|at| (at * 31 + index * 7) as u8 ^ (at >> 8) as u8).collect()
}

fn name(index: usize) -> Vec<u8> {
    [b"\xff\xfe name ", index.to_string().as_bytes()].concat()
}

fn seen(path: &Path) -> Seen {
    let found = fs::symlink_metadata(path).unwrap();
    Seen {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        mtime_ns: found.mtime() * 1_000_000_000 + found.mtime_nsec(),
        ctime_ns: found.ctime() * 1_000_000_000 + found.ctime_nsec(),
    }
}

/// Reads names of one folder, each as it was `seen`.
fn read(
    backend: &dyn Backend,
    folder: &File,
    wanted: &[(&[u8], Seen)],
) -> Vec<std::result::Result<Vec<u8>, ReadFailure>> {
    let mut spaces: Vec<Vec<u8>> = wanted.iter().map(|(_, seen)| vec![0xAA; seen.size as usize]).collect();
    let mut files: Vec<ReadFile<'_>> = wanted
        .iter()
        .zip(&mut spaces)
        .map(|((name, seen), space)| ReadFile {
            directory: folder.as_fd(),
            name: OsStr::from_bytes(name),
            space,
            seen: *seen,
        })
        .collect();
    let results = backend.read_files(&mut files);
    results.into_iter().zip(spaces).map(|(result, space)| result.map(|()| space)).collect()
}

fn new_file<'a>(folder: &'a File, name: &'a [u8], bytes: &'a [u8]) -> CreateFile<'a> {
    CreateFile {
        directory: folder.as_fd(),
        name: OsStr::from_bytes(name),
        bytes,
        mode: 0o640,
        mode_is_kept: false,
        mtime_ns: 1_700_000_000_123_456_789,
    }
}

fn folder() -> (TempDir, File) {
    let dir = tempdir().unwrap();
    let opened = File::open(dir.path()).unwrap();
    (dir, opened)
}

#[test]
fn a_batch_larger_than_the_ring_is_made_and_read_back_with_names_of_any_bytes() {
    for backend in backends() {
        for mode_is_kept in [false, true] {
            let (dir, opened) = folder();
            let all: Vec<(Vec<u8>, Vec<u8>)> = (0..MANY).map(|index| (name(index), content(index))).collect();
            let files: Vec<CreateFile<'_>> = all
                .iter()
                .map(|(name, bytes)| CreateFile { mode_is_kept, ..new_file(&opened, name, bytes) })
                .collect();
            let made = backend.create_files(&files);
            assert!(made.len() == MANY && made.iter().all(Result::is_ok), "{}: {made:?}", backend.name());
            let listed: Vec<(&[u8], Seen)> =
                all.iter().map(|(n, _)| (&n[..], seen(&dir.path().join(OsStr::from_bytes(n))))).collect();
            for (_, seen) in &listed {
                assert_eq!(seen.mtime_ns, 1_700_000_000_123_456_789, "{}", backend.name());
            }
            for ((_, bytes), read) in all.iter().zip(read(&*backend, &opened, &listed)) {
                assert!(read.unwrap() == *bytes, "{}", backend.name());
            }
            let mode = fs::metadata(dir.path().join(OsStr::from_bytes(&all[0].0))).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o640, "{}", backend.name());
        }
    }
}

#[test]
fn every_file_has_a_result_of_its_own() {
    for backend in backends() {
        let (dir, opened) = folder();
        let path = |name: &str| dir.path().join(name);
        for name in ["good", "shrunk", "grown", "rewritten", "swapped", "linked", "piped", "last"] {
            fs::write(path(name), "0123456789").unwrap();
        }
        let names = ["good", "shrunk", "grown", "rewritten", "swapped", "linked", "piped", "gone", "last"];
        let listed: Vec<(&[u8], Seen)> = names
            .iter()
            .map(|name| (name.as_bytes(), seen(&path(if *name == "gone" { "good" } else { name }))))
            .collect();
        File::options().write(true).open(path("shrunk")).unwrap().set_len(4).unwrap();
        fs::write(path("grown"), "0123456789+").unwrap();
        let rewritten = File::options().write(true).open(path("rewritten")).unwrap();
        backend.write_at(&rewritten, b"9", 0).unwrap();
        let past = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
        rewritten.set_times(past).unwrap();
        fs::write(path("other"), "0123456789").unwrap();
        fs::rename(path("other"), path("swapped")).unwrap();
        fs::remove_file(path("linked")).unwrap();
        symlink("good", path("linked")).unwrap();
        fs::remove_file(path("piped")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("piped"), rustix::fs::Mode::RUSR).unwrap();
        let results = read(&*backend, &opened, &listed);
        let told: Vec<&str> = results
            .iter()
            .map(|result| match result {
                Ok(_) => "ok",
                Err(ReadFailure::Changed) => "changed",
                Err(ReadFailure::Replaced) => "replaced",
                Err(ReadFailure::Open(error)) if error.kind() == io::ErrorKind::NotFound => "gone",
                Err(_) => "?",
            })
            .collect();
        let expected =
            ["ok", "changed", "changed", "changed", "replaced", "replaced", "replaced", "gone", "ok"];
        assert_eq!(told, expected, "{}", backend.name());
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_whole_or_refused() {
    for backend in backends() {
        let (dir, opened) = folder();
        let path = dir.path().join("f");
        let whole: Vec<u8> = (0..300_000).map(|at| at as u8).collect();
        fs::write(&path, &whole).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let file = File::options().write(true).open(&path).unwrap();
                    file.set_len(100_000).unwrap();
                    backend.write_at(&file, &whole, 0).unwrap();
                }
            });
            for _ in 0..200 {
                let listed = Seen { size: 300_000, ..seen(&path) };
                match read(&*backend, &opened, &[(b"f", listed)]).remove(0) {
                    Ok(bytes) => assert!(bytes == whole, "{}", backend.name()),
                    Err(failure) => assert!(matches!(failure, ReadFailure::Changed), "{failure:?}"),
                }
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn what_is_there_already_is_left_alone_and_the_rest_is_made() {
    for backend in backends() {
        let (dir, opened) = folder();
        fs::write(dir.path().join("taken"), "old").unwrap();
        fs::write(dir.path().join("outside"), "old").unwrap();
        symlink("outside", dir.path().join("link")).unwrap();
        symlink("nowhere", dir.path().join("dangling")).unwrap();
        let long = [b'x'; 256];
        let names: [&[u8]; 6] = [b"first", b"taken", b"link", b"dangling", &long, b"last"];
        let files: Vec<CreateFile<'_>> = names.iter().map(|name| new_file(&opened, name, b"new")).collect();
        let told: Vec<Option<io::ErrorKind>> = backend
            .create_files(&files)
            .into_iter()
            .map(|result| match result {
                Ok(()) => None,
                Err(CreateFailure::Create(error)) => Some(error.kind()),
                Err(other) => panic!("{}: {other:?}", backend.name()),
            })
            .collect();
        let there = Some(io::ErrorKind::AlreadyExists);
        let expected = [None, there, there, there, Some(io::ErrorKind::InvalidFilename), None];
        assert_eq!(told, expected, "{}", backend.name());
        for name in ["taken", "outside"] {
            assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"old");
        }
        assert!(!dir.path().join("nowhere").exists());
        assert_eq!(fs::read(dir.path().join("last")).unwrap(), b"new");
    }
}

#[test]
fn what_may_not_be_read_or_made_is_told_per_file() {
    for backend in backends() {
        let (dir, opened) = folder();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["open", "closed"] {
            fs::write(dir.path().join(name), "text").unwrap();
        }
        fs::set_permissions(dir.path().join("open"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(dir.path().join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
        let listed: Vec<(&[u8], Seen)> = [&b"open"[..], b"closed", b"open"]
            .map(|name| (name, seen(&dir.path().join(OsStr::from_bytes(name)))))
            .into();
        // A thread of its own: who is root gives that up, which Linux does for one thread at a time.
        let told = std::thread::scope(|scope| {
            let ask = || {
                if rustix::process::geteuid().is_root() {
                    let nobody = rustix::thread::Uid::from_raw(65_534);
                    rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
                } else {
                    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
                }
                let read: Vec<bool> =
                    read(&*backend, &opened, &listed).iter().map(|result| result.is_ok()).collect();
                let made = backend.create_files(&[new_file(&opened, b"new", b"text")]);
                (
                    read,
                    matches!(&made[0], Err(CreateFailure::Create(e)) if e.kind() == io::ErrorKind::PermissionDenied),
                )
            };
            scope.spawn(ask).join().unwrap()
        });
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(told, (vec![true, false, true], true), "{}", backend.name());
    }
}

#[test]
fn ranges_are_read_and_written_to_their_last_byte() {
    for backend in backends() {
        let (dir, _opened) = folder();
        let path = dir.path().join("f");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let bytes: Vec<u8> =
            (0..9_000_001).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        backend.write_at(&file, &bytes, 4097).unwrap();
        let mut back = vec![1; 4097 + bytes.len() + 10];
        assert_eq!(backend.read_at(&file, &mut back, 0).unwrap(), 4097 + bytes.len(), "{}", backend.name());
        assert!(back[..4097].iter().all(|&byte| byte == 0), "a hole is zeros");
        assert!(back[4097..4097 + bytes.len()] == bytes[..], "{}", backend.name());
        assert_eq!(backend.read_at(&file, &mut back, 1 << 40).unwrap(), 0);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = backend.write_at(&full, &bytes, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{}", backend.name());
    }
}

#[test]
fn copies_end_where_the_source_ends_and_clones_are_whole_or_not_there() {
    let elsewhere = tempfile::tempdir_in("/dev/shm").ok();
    for backend in backends() {
        let (dir, opened) = folder();
        let bytes: Vec<u8> = (0..700_000).map(|at| (at / 7) as u8).collect();
        let from = dir.path().join("from");
        fs::write(&from, &bytes).unwrap();
        let from = File::open(from).unwrap();
        for place in [Some(dir.path()), elsewhere.as_ref().map(|dir| dir.path())].into_iter().flatten() {
            let path = place.join("to");
            let to = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
            let range = CopyRange { from_offset: 100_000, to_offset: 3, length: 1_000_000 };
            assert_eq!(backend.copy_range(&from, &to, range).unwrap(), 600_000, "{}", backend.name());
            let copied = fs::read(&path).unwrap();
            assert!(copied[..3] == [0; 3] && copied[3..] == bytes[100_000..], "{}", backend.name());
            let past = CopyRange { from_offset: 800_000, ..range };
            assert_eq!(backend.copy_range(&from, &to, past).unwrap(), 0);
            fs::remove_file(path).unwrap();
        }
        match backend.clone_file(&from, opened.as_fd(), OsStr::new("clone")).unwrap() {
            true => assert!(fs::read(dir.path().join("clone")).unwrap() == bytes),
            false => assert!(!dir.path().join("clone").exists(), "{}", backend.name()),
        }
    }
}

#[test]
fn room_is_set_aside_or_refused() {
    for backend in backends() {
        let (dir, _opened) = folder();
        let file = File::create_new(dir.path().join("f")).unwrap();
        backend.preallocate(&file, 1_000_001).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1_000_001, "{}", backend.name());
        // The plain one only sets a size, of which tmpfs has that many.
        let too_much = if backend.name() == "std" { 1 << 63 } else { 1 << 62 };
        assert!(backend.preallocate(&file, too_much).is_err(), "{}", backend.name());
        backend.preallocate(&file, 0).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}

/// Runs one ignored test of this file in a process of its own, with what `sh` sets up before.
fn in_a_process(setup: &str, test: &str) {
    let script = format!("{setup}; exec \"$0\" \"$@\"");
    let test = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let status = std::process::Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--ignored", "--quiet", "--test-threads=1"])
        .output()
        .unwrap();
    let told =
        String::from_utf8_lossy(&status.stdout).into_owned() + &String::from_utf8_lossy(&status.stderr);
    assert!(status.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn a_file_that_finds_no_room_leaves_nothing_and_the_rest_is_made() {
    // 16 blocks of 512 bytes (bash: 1024) per file; the signal that would end the process is ignored.
    in_a_process("trap '' XFSZ; ulimit -f 16", "with_a_limit_of_file_size");
}

#[test]
#[ignore = "needs a limit of file size: run by the test above"]
fn with_a_limit_of_file_size() {
    for backend in backends() {
        let (dir, opened) = folder();
        let large = vec![7; 100_000];
        let files = [
            new_file(&opened, b"a", b"a"),
            new_file(&opened, b"large", &large),
            new_file(&opened, b"z", b"z"),
        ];
        let made = backend.create_files(&files);
        assert!(made[0].is_ok() && made[2].is_ok(), "{}: {made:?}", backend.name());
        let refused =
            matches!(&made[1], Err(CreateFailure::Write(e)) if e.kind() == io::ErrorKind::FileTooLarge);
        assert!(refused, "{}: {:?}", backend.name(), made[1]);
        assert!(!dir.path().join("large").exists(), "{}", backend.name());
    }
}

#[test]
fn signals_interrupt_nothing() {
    in_a_process(":", "with_a_signal_every_100_us");
}

#[test]
#[ignore = "sends signals to its whole process: run by the test above"]
fn with_a_signal_every_100_us() {
    static CAUGHT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    extern "C" fn caught(_: libc::c_int) {
        CAUGHT.fetch_add(1, Ordering::Relaxed);
    }
    let every = libc::timeval { tv_sec: 0, tv_usec: 100 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the handler only counts; no SA_RESTART, so that waits end with EINTR.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = caught as *const () as libc::sighandler_t;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
    while CAUGHT.load(Ordering::Relaxed) < 200 {
        a_batch_larger_than_the_ring_is_made_and_read_back_with_names_of_any_bytes();
        ranges_are_read_and_written_to_their_last_byte();
    }
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: stops the timer.
    unsafe {
        libc::setitimer(
            libc::ITIMER_REAL,
            &libc::itimerval { it_interval: never, it_value: never },
            std::ptr::null_mut(),
        )
    };
}

#[test]
fn system_calls_do_it_where_io_uring_is_forbidden() {
    // A filter holds for the thread that sets it.
    let checked = std::thread::spawn(|| {
        forbid_io_uring();
        let problem = select::select("uring").err();
        assert_eq!(problem.as_deref(), Some("this system or container forbids io_uring"));
        let probed = select::probe();
        assert!(probed[0].name == "uring" && probed[0].problem.is_some(), "{probed:?}");
        assert!(probed[1..].iter().all(|probed| probed.problem.is_none()), "{probed:?}");
        // Also one that was made before: its thread gets no ring any more.
        for backend in [select::select("auto").unwrap(), Arc::new(uring::Uring::default())] {
            let (dir, opened) = folder();
            assert!(backend.create_files(&[new_file(&opened, b"f", b"text")])[0].is_ok());
            let listed = seen(&dir.path().join("f"));
            assert_eq!(read(&*backend, &opened, &[(b"f", listed)]).remove(0).unwrap(), b"text");
        }
    });
    checked.join().unwrap();
}

/// Makes `io_uring_setup` fail with EPERM in this thread, as Docker's default filter does.
fn forbid_io_uring() {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_io_uring_setup as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives until the calls return; both concern this thread alone.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
