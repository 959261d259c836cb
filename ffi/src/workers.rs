//! The same work on many things of one call, on a few threads that live no longer than it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::Result;

/// Threads of one call: several calls may run at once, and beyond this memory is what is waited for.
const MAX_THREADS: usize = 8;

/// Threads that [`map`] uses here for many things.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// Does `work` for each of `0..count`, and gives what it gave, in order. Begins nothing more once one has failed; of several
/// failures the first in order is given.
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let threads = threads().min(count);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let has_failed = AtomicBool::new(false);
    let run = || {
        let mut done = Vec::new();
        while !has_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let result = work(index);
            if result.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            done.push((index, result));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        // Where the system gives no more threads, those that there are do all of it.
        let others: Vec<_> = (1..threads)
            .map_while(|_| {
                std::thread::Builder::new().name("wormhole-work".into()).spawn_scoped(scope, run).ok()
            })
            .collect();
        let mut done = run();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};

    #[test]
    fn results_come_in_order() {
        for count in [0, 1, 2, 1000] {
            let squares: Vec<usize> = (0..count).map(|index| index * index).collect();
            assert_eq!(map(count, |index| Ok(index * index)).unwrap(), squares);
        }
    }

    #[test]
    fn a_failure_ends_it() {
        let begun = AtomicUsize::new(0);
        let work = |index| {
            begun.fetch_add(1, Ordering::Relaxed);
            if index < 5 { Ok(()) } else { Err(Error::new(Kind::Cancelled, "cancelled")) }
        };
        assert_eq!(map(1_000_000, work).unwrap_err().kind, Kind::Cancelled);
        assert!(begun.into_inner() <= 5 + MAX_THREADS);
    }

    #[test]
    #[should_panic(expected = "by one of them")]
    fn a_panic_is_passed_on() {
        let _ = map(100, |index| -> Result<()> { panic!("by one of them: {index}") });
    }
}
