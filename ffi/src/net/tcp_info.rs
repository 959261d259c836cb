//! What the system knows about a TCP socket: `TCP_INFO` on Linux, nothing elsewhere.

#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

/// One socket's state; all counters are since it was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Info {
    /// Smoothed round trip, microseconds.
    pub rtt_us: u64,
    /// Segments that were sent again.
    pub retransmits: u64,
    /// Bytes that may be under way.
    pub cwnd_bytes: u64,
    /// Bytes a second that the kernel last saw delivered.
    pub delivery_rate: u64,
}

#[cfg(target_os = "linux")]
pub fn read(socket: &impl AsRawFd) -> Option<Info> {
    use std::ffi::{c_int, c_void};

    const IPPROTO_TCP: c_int = 6;
    const TCP_INFO: c_int = 11;
    /// Offsets in `struct tcp_info` of linux/tcp.h, which only ever grows at its end.
    const SND_MSS: usize = 16;
    const RTT: usize = 68;
    const SND_CWND: usize = 80;
    const TOTAL_RETRANS: usize = 100;
    /// 64 bits, since Linux 4.9.
    const DELIVERY_RATE: usize = 160;
    const NEEDED: usize = 168;

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
    Some(Info {
        rtt_us: field(RTT),
        retransmits: field(TOTAL_RETRANS),
        cwnd_bytes: field(SND_CWND) * field(SND_MSS),
        delivery_rate: u64::from_ne_bytes(info[DELIVERY_RATE..NEEDED].try_into().expect("8 bytes")),
    })
}

#[cfg(not(target_os = "linux"))]
pub fn read<T>(_: &T) -> Option<Info> {
    None
}
