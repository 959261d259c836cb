//! What a walk leaves out: the person's globs and, when asked for, ignore files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{Mode, OFlags, openat};

use super::listing::Listing;
use super::name::{quoted, quoted_path};
use crate::error::{Error, Kind, Result};

/// Names of ignore files; rules of a later one override those of an earlier one.
pub const IGNORE_FILES: &[&str] = &[".gitignore", ".ignore", ".wormholeignore"];

/// The only ignore file that a walk with marks obeys: what git leaves out is not what sync leaves out.
pub const OWN_IGNORE_FILE: &[&str] = &[".wormholeignore"];

/// Longest ignore file that is read.
const MAX_IGNORE_BYTES: u64 = 1 << 20;

/// Compiled rules, for paths relative to the directory that they were given for.
pub struct Rules(Gitignore);

/// What rules say about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    LeaveOut,
    Keep,
    Silent,
}

impl Rules {
    /// Compiles the person's globs (gitignore syntax).
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a glob that cannot be understood.
    pub fn from_globs(globs: &[String]) -> Result<Option<Rules>> {
        if globs.is_empty() {
            return Ok(None);
        }
        let mut builder = GitignoreBuilder::new("");
        for glob in globs {
            builder.add_line(None, glob).map_err(|error| bad_glob(glob, &error))?;
        }
        let rules = builder.build().map_err(|error| bad_glob(&globs.join(" "), &error))?;
        Ok(Some(Rules(rules)))
    }

    /// Reads those ignore files of `names` that `listing` shows in `directory`; faults go to `problem`.
    pub fn from_files(
        names: &[&str],
        directory: &OwnedFd,
        listing: &Listing,
        path: &Path,
        mut problem: impl FnMut(std::path::PathBuf, Error),
    ) -> Option<Rules> {
        let mut builder = GitignoreBuilder::new("");
        for name in names.iter().filter(|name| listing.contains(name.as_bytes())) {
            match read(directory, name) {
                Ok(bytes) => add_lines(&mut builder, &bytes, |line, error| {
                    problem(path.join(name), bad_glob(line, &error));
                }),
                Err(error) => {
                    let what = format!("Cannot read {}", quoted_path(&path.join(name)));
                    problem(path.join(name), Error::io(what, &error));
                }
            }
        }
        match builder.build() {
            Ok(rules) if rules.is_empty() => None,
            Ok(rules) => Some(Rules(rules)),
            Err(error) => {
                problem(path.to_path_buf(), bad_glob("an ignore file", &error));
                None
            }
        }
    }

    /// Judges `relative`, a path below the directory of the rules.
    pub fn judge(&self, relative: &[u8], is_directory: bool) -> Verdict {
        match self.0.matched(Path::new(OsStr::from_bytes(relative)), is_directory) {
            Match::Ignore(_) => Verdict::LeaveOut,
            Match::Whitelist(_) => Verdict::Keep,
            Match::None => Verdict::Silent,
        }
    }
}

fn add_lines(builder: &mut GitignoreBuilder, bytes: &[u8], mut problem: impl FnMut(&str, ignore::Error)) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
        if let Err(error) = builder.add_line(None, line) {
            problem(line, error);
        }
    }
}

fn read(directory: &OwnedFd, name: &str) -> std::io::Result<Vec<u8>> {
    // NONBLOCK: a FIFO by that name must not hold the walk up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(openat(directory.as_fd(), name, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        file.take(MAX_IGNORE_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn bad_glob(glob: &str, error: &ignore::Error) -> Error {
    let text = format!("Cannot use the pattern {}: {error}", quoted(glob.as_bytes()));
    Error::new(Kind::InvalidArgument, text)
}
