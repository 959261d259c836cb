//! Whether a target still is what the source is; pure.

use super::meta::Meta;
use super::options::Preserve;

/// What differs between two entries of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub size: bool,
    pub mtime: bool,
    pub mode: bool,
    pub owner: bool,
}

/// Compares what the system says about both.
pub fn difference(source: &Meta, target: &Meta) -> Difference {
    Difference {
        size: source.size != target.size,
        mtime: source.mtime != target.mtime,
        mode: source.permissions() != target.permissions(),
        owner: (source.uid, source.gid) != (target.uid, target.gid),
    }
}

impl Difference {
    /// Attributes that are to be carried over differ.
    pub fn of_attributes(&self, preserve: &Preserve) -> bool {
        (preserve.mode && self.mode) || (preserve.owner && self.owner) || (preserve.times && self.mtime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta {
            device: 1,
            inode: 2,
            mode: 0o100644,
            links: 1,
            uid: 3,
            gid: 4,
            size: 5,
            allocated: 8,
            rdev: 0,
            atime: (1, 1),
            mtime: (2, 2),
            ctime: (3, 3),
        }
    }

    #[test]
    fn difference_sees_one_nanosecond_and_no_access_time() {
        let source = meta();
        let same = Meta { inode: 9, atime: (7, 7), ctime: (8, 8), links: 2, ..source };
        assert_eq!(difference(&source, &same), Difference::default());
        let later = Meta { mtime: (2, 3), ..source };
        assert_eq!(difference(&source, &later), Difference { mtime: true, ..Difference::default() });
        let longer = Meta { size: 6, ..source };
        assert_eq!(difference(&source, &longer), Difference { size: true, ..Difference::default() });
    }

    #[test]
    fn only_attributes_that_are_carried_over_count() {
        let none = Preserve { mode: false, owner: false, times: false, ..Preserve::default() };
        for (row, target) in [
            ("mode", Meta { mode: 0o100600, ..meta() }),
            ("setuid", Meta { mode: 0o104644, ..meta() }),
            ("user", Meta { uid: 0, ..meta() }),
            ("group", Meta { gid: 0, ..meta() }),
            ("time", Meta { mtime: (0, 0), ..meta() }),
        ] {
            let difference = difference(&meta(), &target);
            assert!(difference.of_attributes(&Preserve::default()), "{row}");
            assert!(!difference.of_attributes(&none), "{row}");
        }
    }
}
