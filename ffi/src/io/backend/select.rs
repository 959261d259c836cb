//! Which backends run on this machine, and which one does what.

use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::{ffi::OsStr, fs::File, io};

use super::Backend;
use super::plain::Plain;
#[cfg(target_os = "linux")]
use super::{CopyRange, CreateFailure, CreateFile, Handle, ReadFailure, ReadFile};

/// A backend by name; why it cannot run here, if it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    pub name: &'static str,
    pub problem: Option<String>,
}

/// Gives the backend called `name`; `auto` takes for every operation the one that measured best.
///
/// # Errors
/// Why it cannot run here, in words.
pub fn select(name: &str) -> Result<Arc<dyn Backend>, String> {
    match name {
        "auto" => Ok(automatic()),
        "std" => Ok(Arc::new(Plain)),
        #[cfg(target_os = "linux")]
        "linux" => Ok(Arc::new(super::linux::Linux::default())),
        #[cfg(target_os = "linux")]
        "uring" => Ok(Arc::new(super::uring::Uring::probe()?)),
        #[cfg(target_vendor = "apple")]
        "macos" => Ok(Arc::new(super::macos::Macos)),
        #[cfg(windows)]
        "windows" => Ok(Arc::new(super::windows::Overlapped)),
        _ => Err(format!("this system has no way to read and write files that is called {name}")),
    }
}

/// Tries every backend of this system.
pub fn probe() -> Vec<Probed> {
    let names: &[&'static str] = if cfg!(target_os = "linux") {
        &["uring", "linux", "std"]
    } else if cfg!(target_vendor = "apple") {
        &["macos", "std"]
    } else if cfg!(windows) {
        &["windows", "std"]
    } else {
        &["std"]
    };
    names.iter().map(|&name| Probed { name, problem: select(name).err() }).collect()
}

/// System calls, and io_uring for what it does faster where it runs.
///
/// Measured (bench/PERF.md, ffi/checks/backends/examples/measure.rs): reading small files io_uring wins, 11% when they
/// are in the page cache, 31% when they are not. Creating them it loses 50% on a tmpfs, since the kernel hands every
/// creating open to a worker thread, and large ranges go to plain calls by 5 to 15%: there is nothing to batch.
#[cfg(target_os = "linux")]
struct Automatic {
    linux: super::linux::Linux,
    uring: Result<super::uring::Uring, String>,
}

#[cfg(target_os = "linux")]
impl Backend for Automatic {
    fn name(&self) -> &'static str {
        if self.uring.is_ok() { "linux+uring" } else { "linux" }
    }

    fn read_files(&self, files: &mut [ReadFile<'_>]) -> Vec<Result<(), ReadFailure>> {
        match &self.uring {
            Ok(uring) => uring.read_files(files),
            Err(_) => self.linux.read_files(files),
        }
    }

    fn create_files(&self, files: &[CreateFile<'_>]) -> Vec<Result<(), CreateFailure>> {
        self.linux.create_files(files)
    }

    fn read_at(&self, file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
        self.linux.read_at(file, space, offset)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.linux.write_at(file, bytes, offset)
    }

    fn copy_range(&self, from: &File, to: &File, range: CopyRange) -> io::Result<u64> {
        self.linux.copy_range(from, to, range)
    }

    fn clone_file(&self, from: &File, directory: Handle<'_>, name: &OsStr) -> io::Result<bool> {
        self.linux.clone_file(from, directory, name)
    }

    fn preallocate(&self, file: &File, size: u64) -> io::Result<()> {
        self.linux.preallocate(file, size)
    }
}

/// The backend that measured best on this system, for every operation.
#[cfg(target_os = "linux")]
pub fn automatic() -> Arc<dyn Backend> {
    Arc::new(Automatic { linux: super::linux::Linux::default(), uring: super::uring::Uring::probe() })
}

/// The backend that is used on this system.
#[cfg(target_vendor = "apple")]
pub fn automatic() -> Arc<dyn Backend> {
    Arc::new(super::macos::Macos)
}

/// The backend that is used on this system.
#[cfg(windows)]
pub fn automatic() -> Arc<dyn Backend> {
    Arc::new(super::windows::Overlapped)
}

/// The backend that is used on this system.
#[cfg(not(any(target_os = "linux", target_vendor = "apple", windows)))]
pub fn automatic() -> Arc<dyn Backend> {
    Arc::new(Plain)
}
