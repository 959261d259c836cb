//! Which core a thread runs on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// The cores that this process may use, in order.
pub fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect()
}

/// As [`allowed`], from the one that this thread is on: copies with few threads that run at once do not all pin the first.
pub fn allowed_from_here() -> Vec<usize> {
    let mut cores = allowed();
    let here = cores.iter().position(|&core| core == sched_getcpu()).unwrap_or(0);
    cores.rotate_left(here);
    cores
}

/// Keeps this thread on one core; where that is not allowed it runs anywhere.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    let _ = sched_setaffinity(None, &set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_keeps_a_thread_on_its_core_and_no_other_thread() {
        let before = allowed();
        for &core in &before {
            let there = std::thread::spawn(move || {
                pin(core);
                allowed()
            });
            assert_eq!(there.join().unwrap(), [core]);
        }
        assert!(!before.is_empty());
        assert_eq!(allowed(), before);
    }
}
