//! `src/native/memory.ts`: memory of this process.

use serde::{Deserialize, Serialize};

use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[("memory.trim", trim)];

#[derive(Deserialize)]
struct NoArgs {}

#[derive(Serialize)]
struct TrimResult {
    /// Something was given back; false also where the allocator has no such call.
    trimmed: bool,
}

/// Gives memory that is free within the process's heaps back to the system.
fn trim(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, _: NoArgs| op::blocking(|| Ok(TrimResult { trimmed: trim_heaps() })))
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim_heaps() -> bool {
    unsafe extern "C" {
        /// malloc_trim(3) of glibc, which the standard library allocates with.
        fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // SAFETY: it takes no pointer, and looks only at what nobody has, under the allocator's own locks.
    unsafe { malloc_trim(0) == 1 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim_heaps() -> bool {
    false
}
