//! One directory's names in order, in one allocation.

use std::os::fd::AsFd;

use rustix::fs::Dir;
use rustix::io::Result;

/// The names of one directory, sorted by their bytes, with a place to go on from.
#[derive(Default)]
pub struct Listing {
    bytes: Vec<u8>,
    /// Start and end of each name in `bytes`.
    spans: Vec<(u32, u32)>,
    next: usize,
}

impl Listing {
    /// Reads and sorts the names in `directory`, without `.` and `..`.
    pub fn read(directory: impl AsFd) -> Result<Listing> {
        let mut listing = Listing::default();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let start = listing.bytes.len() as u32;
                listing.bytes.extend_from_slice(name);
                listing.spans.push((start, listing.bytes.len() as u32));
            }
        }
        let Listing { bytes, spans, .. } = &mut listing;
        let name = |span: &(u32, u32)| &bytes[span.0 as usize..span.1 as usize];
        spans.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        Ok(listing)
    }

    /// Gives the next name and moves past it.
    pub fn next_name(&mut self) -> Option<&[u8]> {
        let (start, end) = *self.spans.get(self.next)?;
        self.next += 1;
        Some(&self.bytes[start as usize..end as usize])
    }

    /// Tells whether there is an entry called `name`.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.spans
            .binary_search_by(|&(start, end)| self.bytes[start as usize..end as usize].cmp(name))
            .is_ok()
    }
}
