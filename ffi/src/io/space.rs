//! How much room a disk has, and what a folder already holds.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, fstatvfs, statat};

use super::long_path;
use super::name::{check_component, quoted_path};
use crate::error::{Error, Result};

/// Room on the file system of a directory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Space {
    /// What this user may still write.
    pub available: u64,
    pub total: u64,
}

/// Asks the file system that holds the directory `path`.
pub fn space(path: &Path) -> Result<Space> {
    let ask = || fstatvfs(long_path::open_directory(path)?);
    let stat =
        ask().map_err(|errno| Error::io(format!("Cannot open {}", quoted_path(path)), &errno.into()))?;
    Ok(Space {
        available: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// Gives the indexes of those `names` that `directory` holds; a symlink counts, wherever it points.
///
/// # Errors
/// PATH_ESCAPES for a name that is more than one ordinary component.
pub fn existing(directory: &Path, names: &[impl AsRef<[u8]>]) -> Result<Vec<u32>> {
    let opened = long_path::open_directory(directory)
        .map_err(|errno| Error::io(format!("Cannot open {}", quoted_path(directory)), &errno.into()))?;
    let mut found = Vec::new();
    for (index, name) in names.iter().enumerate() {
        check_component(name.as_ref())?;
        if statat(opened.as_fd(), name.as_ref(), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            found.push(index as u32);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn space_knows_a_disk_and_refuses_a_missing_folder() {
        let dir = tempfile::tempdir().unwrap();
        let space = super::space(dir.path()).unwrap();
        assert!(space.total > 0 && space.available <= space.total);
        assert_eq!(super::space(&dir.path().join("no")).unwrap_err().kind, Kind::NotFound);
    }

    #[test]
    fn existing_sees_dangling_links_and_refuses_paths() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        assert_eq!(existing(dir.path(), &[&b"no"[..], b"file", b"link"]).unwrap(), [1, 2]);
        assert_eq!(existing(dir.path(), &[b".."]).unwrap_err().kind, Kind::PathEscapes);
    }
}
