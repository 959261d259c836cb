//! Which backends run on this machine, and which one does what.

use std::sync::Arc;

use super::Backend;
use super::plain::Plain;

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

#[cfg(target_os = "linux")]
fn automatic() -> Arc<dyn Backend> {
    Arc::new(super::linux::Linux::default())
}

#[cfg(target_vendor = "apple")]
fn automatic() -> Arc<dyn Backend> {
    Arc::new(super::macos::Macos)
}

#[cfg(windows)]
fn automatic() -> Arc<dyn Backend> {
    Arc::new(super::windows::Overlapped)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple", windows)))]
fn automatic() -> Arc<dyn Backend> {
    Arc::new(Plain)
}
