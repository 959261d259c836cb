//! Copying trees on this machine: walks, compares by the rule it is given, copies, sets attributes.
//!
//! Decides nothing about what is wanted: the policy comes whole in [`options::Options`]. Everything below a root is
//! reached from open directories by one name at a time, so a symlink that somebody swaps in leads nowhere. How the
//! parts work together: `docs/design/copy.md`.

// The widths of stat's fields differ between systems.
#![allow(clippy::unnecessary_cast)]

mod attributes;
mod compare;
mod cores;
mod crew;
mod data;
mod enter;
mod entry;
mod extras;
mod failure;
mod file;
mod flags;
mod folder;
mod journal;
mod linked;
mod links;
mod listing;
mod meta;
mod methods;
pub mod options;
pub mod report;
mod ring;
pub mod run;
mod special;
mod tally;
mod worker;
mod xattr_at;
mod xattrs;

#[cfg(test)]
mod linked_tests;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
