//! Pooled, page-aligned buffers: bounded memory with backpressure instead of growth.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Alignment of every buffer: a page, which direct I/O and registered buffers ask for.
const ALIGNMENT: usize = 4096;

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

struct Block {
    pointer: std::ptr::NonNull<u8>,
    layout: Layout,
}

// SAFETY: a Block owns its memory; nothing else points to it.
unsafe impl Send for Block {}
// SAFETY: shared access only reads.
unsafe impl Sync for Block {}

impl Block {
    fn new(bytes: usize) -> Block {
        let layout = Layout::from_size_align(bytes.max(1), ALIGNMENT).expect("a sane buffer size");
        // SAFETY: the layout's size is not zero. Zeroing is left out for speed, so `Buffer` gives out
        // only bytes that were written; see `Buffer::space`.
        let pointer = unsafe { alloc(layout) };
        let Some(pointer) = std::ptr::NonNull::new(pointer) else { handle_alloc_error(layout) };
        // SAFETY: freshly allocated with this layout. One pass over new memory makes every byte
        // initialised for ever after; reused blocks skip it.
        unsafe { pointer.as_ptr().write_bytes(0, layout.size()) };
        Block { pointer, layout }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, freed once.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) };
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
        // SAFETY: the block is `layout.size()` initialised bytes that only this buffer reaches.
        unsafe { std::slice::from_raw_parts_mut(block.pointer.as_ptr(), block.layout.size()) }
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
        assert_eq!(second.space().as_ptr() as usize % ALIGNMENT, 0);
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
