//! The error table that both sides share: `tests/vectors/errors.json` lists the numbers.

use std::fmt;

macro_rules! kinds {
    ($($name:ident = $text:literal = $number:literal,)*) => {
        /// Name of one failure; the number is the wire's and `src/base/errors.ts`'s.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Kind { $($name = $number,)* }

        impl Kind {
            /// Every kind with its name in TypeScript and its number.
            pub const ALL: &'static [(Kind, &'static str, u16)] = &[$((Kind::$name, $text, $number),)*];
        }
    };
}

kinds! {
    Internal = "INTERNAL" = 1,
    InvalidArgument = "INVALID_ARGUMENT" = 2,
    Unsupported = "UNSUPPORTED" = 3,
    Cancelled = "CANCELLED" = 4,
    Closed = "CLOSED" = 5,
    Timeout = "TIMEOUT" = 6,
    NativeLibrary = "NATIVE_LIBRARY" = 7,
    ConfigInvalid = "CONFIG_INVALID" = 8,
    Usage = "USAGE" = 9,
    Interrupted = "INTERRUPTED" = 10,
    NotFound = "NOT_FOUND" = 20,
    AlreadyExists = "ALREADY_EXISTS" = 21,
    PermissionDenied = "PERMISSION_DENIED" = 22,
    NoSpace = "NO_SPACE" = 23,
    ReadOnly = "READ_ONLY" = 24,
    IsDirectory = "IS_DIRECTORY" = 25,
    NotDirectory = "NOT_DIRECTORY" = 26,
    Io = "IO" = 27,
    NameTooLong = "NAME_TOO_LONG" = 28,
    PathEscapes = "PATH_ESCAPES" = 29,
    SourceChanged = "SOURCE_CHANGED" = 30,
    TooManyOpenFiles = "TOO_MANY_OPEN_FILES" = 31,
    ConnectFailed = "CONNECT_FAILED" = 40,
    ConnectionLost = "CONNECTION_LOST" = 41,
    PeerUnauthenticated = "PEER_UNAUTHENTICATED" = 42,
    AddressInUse = "ADDRESS_IN_USE" = 43,
    PeerFrozen = "PEER_FROZEN" = 44,
    Protocol = "PROTOCOL" = 50,
    LimitExceeded = "LIMIT_EXCEEDED" = 51,
    Corrupt = "CORRUPT" = 52,
    VersionUnsupported = "VERSION_UNSUPPORTED" = 53,
    HostileName = "HOSTILE_NAME" = 54,
    Refused = "REFUSED" = 55,
    Partial = "PARTIAL" = 56,
    DestinationExists = "DESTINATION_EXISTS" = 57,
    CodeInvalid = "CODE_INVALID" = 60,
    CodeWrong = "CODE_WRONG" = 61,
    CodeExpired = "CODE_EXPIRED" = 62,
    CodeUsed = "CODE_USED" = 63,
    CodeNotFound = "CODE_NOT_FOUND" = 64,
    CodeCrowded = "CODE_CROWDED" = 65,
    HubUnreachable = "HUB_UNREACHABLE" = 66,
    HubRefused = "HUB_REFUSED" = 67,
    Conflicts = "CONFLICTS" = 70,
    Braked = "BRAKED" = 71,
    Busy = "BUSY" = 72,
}

impl Kind {
    /// Gives the kind for a number; unknown numbers are [`Kind::Internal`].
    pub fn from_number(number: u16) -> Kind {
        Self::ALL.iter().find(|(_, _, n)| *n == number).map_or(Kind::Internal, |(kind, _, _)| *kind)
    }
}

/// A failure on its way to TypeScript: what kind, the system's number (0: none) and a sentence.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub errno: i32,
    pub text: String,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, text: impl Into<String>) -> Error {
        Error { kind, errno: 0, text: text.into() }
    }

    /// Wraps a system error: `what` reads `Cannot open "x"`, the system's own words follow.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Error {
        let errno = error.raw_os_error().unwrap_or(0);
        Error { kind: kind_of_io(error), errno, text: format!("{what}: {}", plain(error)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// The system's sentence without Rust's ` (os error N)`.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}

/// Sorts a system error into the table.
pub fn kind_of_io(error: &std::io::Error) -> Kind {
    use rustix::io::Errno;
    if let Some(raw) = error.raw_os_error() {
        match Errno::from_raw_os_error(raw) {
            Errno::NOENT => return Kind::NotFound,
            Errno::EXIST => return Kind::AlreadyExists,
            Errno::ACCESS | Errno::PERM => return Kind::PermissionDenied,
            Errno::NOSPC | Errno::DQUOT => return Kind::NoSpace,
            Errno::ROFS => return Kind::ReadOnly,
            Errno::ISDIR => return Kind::IsDirectory,
            Errno::NOTDIR => return Kind::NotDirectory,
            Errno::NAMETOOLONG => return Kind::NameTooLong,
            Errno::XDEV | Errno::LOOP => return Kind::PathEscapes,
            Errno::MFILE | Errno::NFILE => return Kind::TooManyOpenFiles,
            Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH => return Kind::ConnectFailed,
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => return Kind::ConnectionLost,
            Errno::ADDRINUSE => return Kind::AddressInUse,
            Errno::TIMEDOUT => return Kind::Timeout,
            _ => {}
        }
    }
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Kind::ConnectionLost,
        std::io::ErrorKind::TimedOut => Kind::Timeout,
        _ => Kind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_matches_the_shared_vectors() {
        let text = include_str!("../../tests/vectors/errors.json");
        let expected: std::collections::BTreeMap<String, u16> = serde_json::from_str(text).unwrap();
        let ours: std::collections::BTreeMap<String, u16> =
            Kind::ALL.iter().map(|(_, name, number)| (name.to_string(), *number)).collect();
        assert_eq!(ours, expected);
    }
}
