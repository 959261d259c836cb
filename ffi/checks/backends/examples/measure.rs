//! Measures every backend that runs here: `cargo run --release --example measure -- FOLDER`.
//!
//! Times are the best of several turns, the backends in turn within each; per file, or GiB/s. "cold" is read after the
//! page cache was asked to forget the files, which a tmpfs cannot.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wormhole_backends_check::backend::{Backend, CopyRange, CreateFile, ReadFile, Seen, select};

const FILES: usize = 4000;
const BATCH: usize = 256;
const SMALL: usize = 4096;
const LARGE: usize = 64 << 20;
const CHUNK: usize = 4 << 20;
const TURNS: usize = 5;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("a folder")).join("measure");
    fs::create_dir(&folder).unwrap();
    let runnable = select::probe().into_iter().filter(|probed| probed.problem.is_none());
    let backends: Vec<_> = runnable.map(|probed| select::select(probed.name).unwrap()).collect();
    let mut best: Vec<Vec<(&str, Duration, f64)>> = vec![Vec::new(); backends.len()];
    for _ in 0..TURNS {
        for (backend, best) in backends.iter().zip(&mut best) {
            for (index, (what, time, unit)) in once(&**backend, &folder).into_iter().enumerate() {
                match best.get_mut(index) {
                    Some(known) => known.1 = known.1.min(time),
                    None => best.push((what, time, unit)),
                }
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    print!("{:28}", folder.parent().unwrap().display());
    backends.iter().for_each(|backend| print!("{:>12}", backend.name()));
    println!();
    for index in 0..best[0].len() {
        let (what, _, unit) = best[0][index];
        print!("{what:28}");
        for times in &best {
            let seconds = times[index].1.as_secs_f64();
            if unit > 0.0 {
                print!("{:>6.2} GiB/s", unit / seconds);
            } else {
                print!("{:>9.2} us", seconds * 1e6 / FILES as f64);
            }
        }
        println!();
    }
}

fn once(backend: &dyn Backend, folder: &Path) -> Vec<(&'static str, Duration, f64)> {
    let mut out = Vec::new();
    let small = folder.join("small");
    fs::create_dir(&small).unwrap();
    let opened = File::open(&small).unwrap();
    let names: Vec<String> = (0..FILES).map(|index| format!("file-{index}")).collect();
    let bytes = vec![0x5A; SMALL];
    let create = |name| CreateFile {
        directory: opened.as_fd(),
        name: OsStr::new(name),
        bytes: &bytes,
        mode: 0o644,
        mode_is_kept: true,
        mtime_ns: 1_700_000_000_000_000_000,
    };
    out.push(timed("create small, per file", 0.0, || {
        for names in names.chunks(BATCH) {
            let files: Vec<_> = names.iter().map(|name| create(name)).collect();
            backend.create_files(&files).into_iter().for_each(|result| result.unwrap());
        }
    }));
    let seen: Vec<Seen> = names.iter().map(|name| seen(&small.join(name))).collect();
    let mut buffer = vec![0; BATCH * SMALL];
    let mut read = || {
        for (names, seen) in names.chunks(BATCH).zip(seen.chunks(BATCH)) {
            let mut files: Vec<_> = names
                .iter()
                .zip(seen)
                .zip(buffer.chunks_mut(SMALL))
                .map(|((name, &seen), space)| ReadFile {
                    directory: opened.as_fd(),
                    name: OsStr::new(name),
                    space,
                    seen,
                })
                .collect();
            backend.read_files(&mut files).into_iter().for_each(|result| result.unwrap());
        }
    };
    out.push(timed("read small, per file", 0.0, &mut read));
    rustix::fs::syncfs(&opened).unwrap();
    for name in &names {
        forget(&File::open(small.join(name)).unwrap());
    }
    out.push(timed("read small cold, per file", 0.0, &mut read));
    fs::remove_dir_all(&small).unwrap();

    let path = folder.join("large");
    let chunk = vec![0xA5; CHUNK];
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let gib = LARGE as f64 / (1u64 << 30) as f64;
    let write =
        || (0..LARGE).step_by(CHUNK).for_each(|at| backend.write_at(&file, &chunk, at as u64).unwrap());
    out.push(timed("write fresh", gib, write));
    out.push(timed("write over", gib, write));
    let mut buffer = vec![1; CHUNK];
    let mut read = || {
        for at in (0..LARGE).step_by(CHUNK) {
            assert_eq!(backend.read_at(&file, &mut buffer, at as u64).unwrap(), CHUNK);
        }
    };
    out.push(timed("read", gib, &mut read));
    rustix::fs::syncfs(&file).unwrap();
    forget(&file);
    out.push(timed("read cold", gib, &mut read));
    let set_aside = File::create_new(folder.join("aside")).unwrap();
    out.push(timed("set aside and write", gib, || {
        backend.preallocate(&set_aside, LARGE as u64).unwrap();
        (0..LARGE).step_by(CHUNK).for_each(|at| backend.write_at(&set_aside, &chunk, at as u64).unwrap());
    }));
    let copy = File::create_new(folder.join("copy")).unwrap();
    let range = CopyRange { from_offset: 0, to_offset: 0, length: LARGE as u64 };
    out.push(timed("copy", gib, || {
        assert_eq!(backend.copy_range(&file, &copy, range).unwrap(), LARGE as u64)
    }));
    for name in ["large", "aside", "copy"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    out
}

fn timed(what: &'static str, unit: f64, work: impl FnOnce()) -> (&'static str, Duration, f64) {
    let start = Instant::now();
    work();
    (what, start.elapsed(), unit)
}

fn forget(file: &File) {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

fn seen(path: &Path) -> Seen {
    let found = fs::metadata(path).unwrap();
    Seen {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        mtime_ns: found.mtime() * 1_000_000_000 + found.mtime_nsec(),
        ctime_ns: found.ctime() * 1_000_000_000 + found.ctime_nsec(),
    }
}
