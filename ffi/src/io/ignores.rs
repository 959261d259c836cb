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
pub struct Rules {
    rules: Gitignore,
    /// How all that they can say anything about begins; none where that cannot be told. Looking at every path with the
    /// compiled rules takes as long as half of a look at the file itself.
    beginnings: Option<Vec<Beginning>>,
}

/// How what a glob matches begins.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    /// The last component of the path.
    Name(Vec<u8>),
    /// The whole path.
    Path(Vec<u8>),
}

impl Beginning {
    /// Gives how what `glob` (one line, gitignore syntax) matches begins; none where it may be anything.
    fn of(glob: &str) -> Option<Beginning> {
        let glob = glob.strip_prefix('!').unwrap_or(glob).trim_end();
        let inner = glob.strip_suffix('/').unwrap_or(glob);
        let is_path = inner.contains('/');
        let literal = inner.strip_prefix('/').unwrap_or(inner);
        let end = literal.find(|each: char| !is_literal(each)).unwrap_or(literal.len());
        let begins = literal.as_bytes()[..end].to_vec();
        match (begins.is_empty(), is_path) {
            (true, _) => None,
            (false, true) => Some(Beginning::Path(begins)),
            (false, false) => Some(Beginning::Name(begins)),
        }
    }

    fn fits(&self, relative: &[u8]) -> bool {
        match self {
            Beginning::Path(begins) => relative.starts_with(begins),
            Beginning::Name(begins) => {
                let start = relative.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
                relative[start..].starts_with(begins)
            }
        }
    }
}

/// Stands for itself in every glob; what is not surely so is left to the compiled rules.
fn is_literal(each: char) -> bool {
    each.is_alphanumeric() || matches!(each, '.' | '-' | '_' | '/' | '~' | '+' | '=' | ',' | '@' | '%')
}

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
        let lines = globs.iter().filter(|glob| !glob.trim().is_empty() && !glob.starts_with('#'));
        let beginnings = lines.map(|glob| Beginning::of(glob)).collect();
        Ok(Some(Rules { rules, beginnings }))
    }

    /// Reads those ignore files of `names` that `listing` shows in `directory`; faults go to `problem`.
    pub fn from_files(
        names: &[&str],
        directory: &OwnedFd,
        listing: &Listing,
        path: &Path,
        mut problem: impl FnMut(std::path::PathBuf, Error),
    ) -> Option<Rules> {
        let mut there = names.iter().filter(|name| listing.contains(name.as_bytes())).peekable();
        there.peek()?;
        let mut builder = GitignoreBuilder::new("");
        for name in there {
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
            Ok(rules) => Some(Rules { rules, beginnings: None }),
            Err(error) => {
                problem(path.to_path_buf(), bad_glob("an ignore file", &error));
                None
            }
        }
    }

    /// Judges `relative`, a path below the directory of the rules.
    pub fn judge(&self, relative: &[u8], is_directory: bool) -> Verdict {
        if self.beginnings.as_ref().is_some_and(|all| !all.iter().any(|each| each.fits(relative))) {
            return Verdict::Silent;
        }
        match self.rules.matched(Path::new(OsStr::from_bytes(relative)), is_directory) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_told_of_globs_that_begin_with_what_they_match() {
        let name = |begins: &str| Some(Beginning::Name(begins.into()));
        let path = |begins: &str| Some(Beginning::Path(begins.into()));
        let rows = [
            (".wormhole-sync", name(".wormhole-sync")),
            (".wormhole-*.part", name(".wormhole-")),
            ("!kept", name("kept")),
            ("folder/", name("folder")),
            ("trailing  ", name("trailing")),
            ("/top", path("top")),
            ("a/b*c", path("a/b")),
            ("a/**", path("a/")),
            ("x[ab]", name("x")),
            ("a\\*b", name("a")),
            ("*.tmp", None),
            ("**/any", None),
            ("/*", None),
            ("{a,b}", None),
            ("\\#number", None),
        ];
        for (glob, expected) in rows {
            assert_eq!(Beginning::of(glob), expected, "{glob}");
        }
    }

    #[test]
    fn rules_judge_the_same_with_and_without_their_beginnings() {
        let paths = [
            "a",
            "ab",
            "a/b",
            "a/b/c",
            "b",
            "b/a",
            "top",
            "x/top",
            "topper",
            ".wormhole-sync",
            "x/.wormhole-sync",
            "x/.wormhole-1.part",
            ".wormhole-1.parts",
            "kept",
            "folder",
            "x/folder",
            "folder/kept",
            "a b",
            "*b",
            "a*b",
            "#number",
            "é",
            "x/él",
        ];
        let sets: &[&[&str]] = &[
            &[".wormhole-sync", ".wormhole-*.part"],
            &["/top", "folder/", "!x/folder"],
            &["a", "!a/b"],
            &["a/b", "", "# a comment", "a/**"],
            &["a*", "!ab", "a b  "],
            &["a\\*b", "\\#number", "é*"],
            &["/a", "/folder/kept"],
            &["*.tmp", "a"],
        ];
        for globs in sets {
            let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
            let quick = Rules::from_globs(&globs).unwrap().unwrap();
            let whole = Rules { beginnings: None, ..Rules::from_globs(&globs).unwrap().unwrap() };
            for path in paths {
                for is_directory in [false, true] {
                    let (quick, whole) =
                        [&quick, &whole].map(|rules| rules.judge(path.as_bytes(), is_directory)).into();
                    assert_eq!(quick, whole, "{globs:?} {path}");
                }
            }
        }
    }
}
