//! `src/native/queue.ts`: opening, submitting to, waiting on and closing a queue.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;

use super::{bytes, bytes_mut, guarded};
use crate::error::{Error, Kind, Result};
use crate::handles::Handles;
use crate::op::{self, Context, Op, OpFuture};
use crate::queue::Queue;

pub const OPERATIONS: &[(&str, Op)] = &[("queue.echo", echo), ("queue.sleep", sleep), ("queue.panic", panic)];

fn queues() -> &'static Handles {
    static QUEUES: OnceLock<Handles> = OnceLock::new();
    QUEUES.get_or_init(Handles::default)
}

fn queue(handle: u32) -> Result<Arc<Queue>> {
    queues().get::<Queue>(handle)
}

/// Gives the seam's version; callable before anything else.
#[unsafe(no_mangle)]
pub extern "C" fn wh_abi_version() -> u32 {
    crate::ABI_VERSION
}

/// Opens a queue with `threads` async workers and gives its handle, or -1.
///
/// # Safety
/// `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_queue_open(threads: u32, error: *mut u8) -> i64 {
    // SAFETY: `error` is the caller's, as documented.
    unsafe { guarded(error, || Ok(queues().insert(Queue::open(threads as usize)?)? as i64)) }
}

/// Starts the operation named by `name` (UTF-8) with CBOR `args`; 0, or -1 with the error.
///
/// # Safety
/// `name` and `args` are valid for their lengths during the call; `error` as in [`guarded`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_queue_submit(
    handle: u32,
    token: u32,
    name: *const u8,
    name_length: usize,
    args: *const u8,
    args_length: usize,
    error: *mut u8,
) -> i64 {
    // SAFETY: the slices live for this call only; operations decode what they keep.
    unsafe {
        guarded(error, || {
            let name = std::str::from_utf8(bytes(name, name_length))
                .map_err(|_| Error::new(Kind::InvalidArgument, "an operation's name is not UTF-8"))?;
            queue(handle)?.submit(token, name, bytes(args, args_length))?;
            Ok(0)
        })
    }
}

/// Blocks until there are completions and writes them to `buffer`; see [`Queue::wait`].
///
/// # Safety
/// `buffer` is writable for `length` bytes until the call returns; called nonblocking, one at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wh_queue_wait(handle: u32, buffer: *mut u8, length: usize) -> i64 {
    // SAFETY: TypeScript keeps the buffer alive until the promise of this call settles.
    unsafe {
        let buffer = bytes_mut(buffer, length);
        guarded(std::ptr::null_mut(), || match queue(handle) {
            Ok(queue) => Ok(queue.wait(buffer)),
            Err(_) => Ok(0),
        })
    }
}

/// Cancels the operation behind `token`.
#[unsafe(no_mangle)]
pub extern "C" fn wh_queue_cancel(handle: u32, token: u32) {
    // SAFETY: no error buffer is given.
    unsafe {
        guarded(std::ptr::null_mut(), || {
            queue(handle)?.cancel(token);
            Ok(0)
        });
    }
}

/// Ends an outstanding wait.
#[unsafe(no_mangle)]
pub extern "C" fn wh_queue_wake(handle: u32) {
    // SAFETY: no error buffer is given.
    unsafe {
        guarded(std::ptr::null_mut(), || {
            queue(handle)?.wake();
            Ok(0)
        });
    }
}

/// Stops everything the queue runs; the handle is dead afterwards.
#[unsafe(no_mangle)]
pub extern "C" fn wh_queue_close(handle: u32) {
    // SAFETY: no error buffer is given.
    unsafe {
        guarded(std::ptr::null_mut(), || {
            queues().remove::<Queue>(handle)?.close();
            Ok(0)
        });
    }
}

#[derive(Deserialize)]
struct SleepArgs {
    ms: u64,
}

/// Gives its arguments back; the seam's own test.
fn echo(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, value: ciborium::Value| async move { Ok(value) })
}

/// Completes after `ms`; the seam's own test of cancelling.
fn sleep(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: SleepArgs| async move {
        tokio::time::sleep(Duration::from_millis(args.ms)).await;
        Ok(())
    })
}

/// Panics; the seam's own test of catching.
fn panic(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, _: ciborium::Value| async move {
        if true {
            panic!("on request");
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::RECORD_HEADER_BYTES;

    fn drain(queue: &Queue) -> (u32, u8, Vec<u8>) {
        let mut buffer = vec![0; 4096];
        let used = queue.wait(&mut buffer);
        assert!(used > 0);
        let token = u32::from_le_bytes(buffer[0..4].try_into().unwrap());
        (token, buffer[4], buffer[RECORD_HEADER_BYTES..used as usize].to_vec())
    }

    #[test]
    fn an_operation_completes_with_its_result() {
        let queue = Queue::open(1).unwrap();
        queue.submit(7, "queue.echo", &op::encode(&"hello").unwrap()).unwrap();
        assert_eq!(drain(&queue), (7, 0, op::encode(&"hello").unwrap()));
        queue.close();
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let queue = Queue::open(1).unwrap();
        queue.submit(1, "queue.panic", &op::encode(&0).unwrap()).unwrap();
        let (token, status, payload) = drain(&queue);
        assert_eq!((token, status), (1, 1));
        assert!(String::from_utf8_lossy(&payload).contains("on request"));
        queue.close();
    }

    #[test]
    fn a_cancelled_operation_says_so_and_a_closed_queue_refuses() {
        let queue = Queue::open(1).unwrap();
        let sleep_args = op::encode(&std::collections::BTreeMap::from([("ms", 60_000)])).unwrap();
        queue.submit(9, "queue.sleep", &sleep_args).unwrap();
        queue.cancel(9);
        let (token, status, payload) = drain(&queue);
        assert_eq!((token, status), (9, 1));
        assert!(String::from_utf8_lossy(&payload).contains("cancelled"));
        assert_eq!(queue.submit(1, "no.such", &[]).unwrap_err().kind, Kind::Unsupported);
        queue.close();
        assert_eq!(queue.submit(1, "queue.echo", &[]).unwrap_err().kind, Kind::Closed);
        assert_eq!(queue.wait(&mut [0; 16]), 0);
    }
}
