//! What the system knows about a TCP socket: `TCP_INFO` on Linux, nothing elsewhere.

#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

/// Smoothed round trip in microseconds, and segments that were sent again.
#[cfg(target_os = "linux")]
pub fn rtt_and_retransmits(socket: &impl AsRawFd) -> Option<(u64, u64)> {
    use std::ffi::{c_int, c_void};

    const IPPROTO_TCP: c_int = 6;
    const TCP_INFO: c_int = 11;
    /// Offsets in `struct tcp_info` of linux/tcp.h, which only ever grows at its end.
    const RTT: usize = 68;
    const TOTAL_RETRANS: usize = 100;
    const NEEDED: usize = 104;

    unsafe extern "C" {
        fn getsockopt(
            socket: c_int,
            level: c_int,
            name: c_int,
            value: *mut c_void,
            length: *mut u32,
        ) -> c_int;
    }

    let mut info = [0u8; 256];
    let mut length = info.len() as u32;
    // SAFETY: `info` is ours and `length` says its size; the kernel writes at most that much.
    let result = unsafe {
        getsockopt(socket.as_raw_fd(), IPPROTO_TCP, TCP_INFO, info.as_mut_ptr().cast(), &mut length)
    };
    if result != 0 || (length as usize) < NEEDED {
        return None;
    }
    let field = |at: usize| u64::from(u32::from_ne_bytes(info[at..at + 4].try_into().expect("4 bytes")));
    Some((field(RTT), field(TOTAL_RETRANS)))
}

#[cfg(not(target_os = "linux"))]
pub fn rtt_and_retransmits<T>(_: &T) -> Option<(u64, u64)> {
    None
}
