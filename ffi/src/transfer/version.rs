//! Versions: a sender's own names for files in their present state (spec/manifest.md §4).

use crate::error::{Error, Kind, Result};
use crate::io::columns::SIZE_UNKNOWN;
use crate::io::stamp::Stamp;
use crate::io::walk::FileRef;

/// The secret of this machine that makes versions mean nothing to others.
#[derive(Clone)]
pub struct VersionKey([u8; 32]);

impl VersionKey {
    /// Takes 32 bytes.
    pub fn new(key: &[u8]) -> Result<VersionKey> {
        match key.try_into() {
            Ok(key) => Ok(VersionKey(key)),
            Err(_) => Err(Error::new(Kind::InvalidArgument, "a version key has 32 bytes")),
        }
    }

    /// The version of a listed file; 0 for a stream, and one in 2^64 files, which then has none.
    pub fn version(&self, file: &FileRef) -> u64 {
        if file.size == SIZE_UNKNOWN {
            return 0;
        }
        let hash = blake3::keyed_hash(&self.0, &Stamp::from(file).encode());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_version_changes_with_the_file_and_with_the_key() {
        let file = |mtime_ns, ino, size| FileRef {
            id: 0,
            directory: Arc::from(std::path::Path::new("")),
            name: "a".into(),
            size,
            mtime_ns,
            ctime_ns: 1,
            dev: 1,
            ino,
        };
        let key = VersionKey::new(&[1; 32]).unwrap();
        let version = key.version(&file(1, 2, 3));
        assert_eq!(key.version(&file(1, 2, 3)), version);
        for other in [file(2, 2, 3), file(1, 3, 3), file(1, 2, 4)] {
            assert_ne!(key.version(&other), version);
        }
        assert_ne!(VersionKey::new(&[2; 32]).unwrap().version(&file(1, 2, 3)), version);
        assert_eq!(key.version(&file(1, 2, SIZE_UNKNOWN)), 0);
        assert!(VersionKey::new(&[1; 31]).is_err());
    }
}
