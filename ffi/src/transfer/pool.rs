//! Pooled, page-aligned buffers: bounded memory with backpressure instead of growth.

use std::alloc::{Layout, handle_alloc_error};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[cfg(target_os = "linux")]
use rustix::mm::{Advice, madvise};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Buffers begin with a page and are whole ones, which direct I/O and registered buffers ask for. Pages are never
/// smaller; where they are larger the kernel rounds up itself.
const PAGE_BYTES: usize = 4096;

/// What x86-64 and most of aarch64 call a huge page.
#[cfg(target_os = "linux")]
const HUGE_PAGE_BYTES: usize = 2 << 20;

struct State {
    free: Vec<Block>,
    made: usize,
    limit: usize,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    returned: Condvar,
    buffer_bytes: usize,
}

/// A fixed number of buffers of one size, made when first needed.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// One buffer of the pool; goes back when dropped, from any thread.
pub struct Buffer {
    block: Option<Block>,
    length: usize,
    shared: Arc<Shared>,
}

/// Whole pages of memory of its own.
struct Block {
    pointer: std::ptr::NonNull<u8>,
    bytes: usize,
}

// SAFETY: a Block owns its memory; nothing else points to it.
unsafe impl Send for Block {}
// SAFETY: shared access only reads.
unsafe impl Sync for Block {}

impl Block {
    fn new(bytes: usize) -> Block {
        let bytes = bytes.max(1).next_multiple_of(PAGE_BYTES);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, somewhere where there is none. The kernel fills its pages with zeros when they are
        // first used, so all of it is initialised, and what is never used costs nothing.
        let pointer = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, access, MapFlags::PRIVATE) };
        let pointer = pointer.ok().and_then(|pointer| std::ptr::NonNull::new(pointer.cast::<u8>()));
        let Some(pointer) = pointer else {
            handle_alloc_error(Layout::from_size_align(bytes, PAGE_BYTES).expect("a sane buffer size"));
        };
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE_BYTES {
            // 2 page faults per chunk instead of 1024. Only a wish: where it is not granted nothing is lost.
            // SAFETY: the mapping just made.
            let _ = unsafe { madvise(pointer.as_ptr().cast(), bytes, Advice::LinuxHugepage) };
        }
        Block { pointer, bytes }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, unmapped once.
        let _ = unsafe { munmap(self.pointer.as_ptr().cast(), self.bytes) };
    }
}

impl Pool {
    /// A pool of `pool_bytes / buffer_bytes` buffers, at least `minimum`.
    pub fn new(pool_bytes: usize, buffer_bytes: usize, minimum: usize) -> Pool {
        let limit = (pool_bytes / buffer_bytes.max(1)).max(minimum);
        let state = State { free: Vec::new(), made: 0, limit, closed: false };
        Pool { shared: Arc::new(Shared { state: Mutex::new(state), returned: Condvar::new(), buffer_bytes }) }
    }

    /// Takes a buffer, waiting for one to come back; `None` once the pool is closed.
    pub fn take(&self) -> Option<Buffer> {
        let mut state = self.shared.state.lock().unwrap();
        loop {
            if state.closed {
                return None;
            }
            if let Some(block) = state.free.pop() {
                return Some(Buffer { block: Some(block), length: 0, shared: self.shared.clone() });
            }
            if state.made < state.limit {
                state.made += 1;
                drop(state);
                let block = Block::new(self.shared.buffer_bytes);
                return Some(Buffer { block: Some(block), length: 0, shared: self.shared.clone() });
            }
            let (next, _) = self.shared.returned.wait_timeout(state, Duration::from_secs(1)).unwrap();
            state = next;
        }
    }

    /// Ends every wait; buffers that are out stay valid.
    pub fn close(&self) {
        self.shared.state.lock().unwrap().closed = true;
        self.shared.returned.notify_all();
    }

    /// Buffers that there may be.
    pub fn limit(&self) -> usize {
        self.shared.state.lock().unwrap().limit
    }

    /// Allows `buffers` at least.
    pub fn grow(&self, buffers: usize) {
        let mut state = self.shared.state.lock().unwrap();
        state.limit = state.limit.max(buffers);
        drop(state);
        self.shared.returned.notify_all();
    }

    /// Bytes of each buffer.
    pub fn buffer_bytes(&self) -> usize {
        self.shared.buffer_bytes
    }
}

impl Buffer {
    /// The whole room of the buffer.
    pub fn space(&mut self) -> &mut [u8] {
        let block = self.block.as_mut().expect("a live buffer has its block");
        // SAFETY: the block is at least so many initialised bytes, which only this buffer reaches.
        unsafe { std::slice::from_raw_parts_mut(block.pointer.as_ptr(), self.shared.buffer_bytes) }
    }

    /// Says how many bytes of the room are meant.
    pub fn set_length(&mut self, length: usize) {
        assert!(length <= self.space().len());
        self.length = length;
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        let block = self.block.as_ref().expect("a live buffer has its block");
        // SAFETY: as in `space`, read only; `length` never exceeds the room.
        unsafe { std::slice::from_raw_parts(block.pointer.as_ptr(), self.length) }
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        let length = self.length;
        &mut self.space()[..length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.shared.state.lock().unwrap().free.push(block);
            self.shared.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pool_waits_for_a_buffer_to_come_back() {
        let pool = Pool::new(2 * 8192, 8192, 1);
        let first = pool.take().unwrap();
        let mut second = pool.take().unwrap();
        second.space()[..3].copy_from_slice(b"abc");
        second.set_length(3);
        assert_eq!(second.as_ref(), b"abc");
        assert_eq!(second.space().as_ptr() as usize % PAGE_BYTES, 0);
        let waiting = pool.clone();
        let thread = std::thread::spawn(move || waiting.take().is_some());
        drop(first);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn a_closed_pool_gives_nothing() {
        let pool = Pool::new(8192, 8192, 1);
        let held = pool.take().unwrap();
        let waiting = pool.clone();
        let thread = std::thread::spawn(move || waiting.take().is_none());
        pool.close();
        assert!(thread.join().unwrap());
        drop(held);
    }
}
