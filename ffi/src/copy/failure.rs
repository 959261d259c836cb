//! Why an entry could not be copied, before it becomes a sentence: most failures are tried again first.

use rustix::io::Errno;

use crate::error::Error;

/// A failure of one entry. The verb reads `Cannot <verb> "x"`.
#[derive(Debug)]
pub enum Failure {
    /// At the source's path.
    Source(&'static str, Errno),
    /// At the target's path.
    Target(&'static str, Errno),
    /// The source is no longer what it was when it was looked at.
    Changed,
    /// The copy does not have the source's bytes.
    Differs,
    /// The copy was cancelled meanwhile.
    Cancelled,
    /// Said already.
    Other(Error),
}

pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Failure::Source(_, errno) | Failure::Target(_, errno) => {
                matches!(*errno, Errno::INTR | Errno::AGAIN | Errno::BUSY | Errno::STALE | Errno::IO)
            }
            Failure::Changed | Failure::Differs => true,
            Failure::Cancelled | Failure::Other(_) => false,
        }
    }

    /// Nothing more can be written: every further file would fail alike.
    pub fn is_full(&self) -> bool {
        matches!(self, Failure::Target(_, Errno::NOSPC | Errno::DQUOT))
    }
}

pub fn source(verb: &'static str) -> impl Fn(Errno) -> Failure {
    move |errno| Failure::Source(verb, errno)
}

pub fn target(verb: &'static str) -> impl Fn(Errno) -> Failure {
    move |errno| Failure::Target(verb, errno)
}
