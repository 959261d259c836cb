//! TCP's congestion control on long paths: the system's own choice is for the paths that most connections have.

use std::time::Duration;

/// What to send with over paths of at least `min_rtt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongPaths {
    /// A name that the system knows, such as `bbr`.
    pub algorithm: String,
    pub min_rtt: Duration,
}

impl LongPaths {
    /// Sets a connected `socket`, whose handshake has shown how long its path is. Where the system does not have the
    /// algorithm, or does not tell, the socket stays as it is.
    #[cfg(target_os = "linux")]
    pub(super) fn apply(&self, socket: &(impl std::os::fd::AsFd + std::os::fd::AsRawFd)) {
        let measured = super::tcp_info::read(socket);
        if measured.is_some_and(|info| Duration::from_micros(info.rtt_us) >= self.min_rtt) {
            let _ = socket2::SockRef::from(socket).set_tcp_congestion(self.algorithm.as_bytes());
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn apply<T>(&self, _: &T) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::SockRef;

    use super::*;

    fn algorithm_after(long: &LongPaths) -> (Vec<u8>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let of_socket = || {
            let name = SockRef::from(&stream).tcp_congestion().unwrap();
            name.into_iter().take_while(|byte| *byte != 0).collect::<Vec<_>>()
        };
        let before = of_socket();
        long.apply(&stream);
        (before, of_socket())
    }

    #[test]
    fn a_long_path_gets_the_algorithm_and_a_short_one_keeps_the_systems() {
        // Every Linux has reno.
        let reno = |min_rtt| LongPaths { algorithm: "reno".into(), min_rtt };
        assert_eq!(algorithm_after(&reno(Duration::ZERO)).1, b"reno");
        let (before, after) = algorithm_after(&reno(Duration::from_secs(1)));
        assert_eq!(before, after);
    }

    #[test]
    fn an_algorithm_that_the_system_lacks_changes_nothing() {
        let long = LongPaths { algorithm: "no such".into(), min_rtt: Duration::ZERO };
        let (before, after) = algorithm_after(&long);
        assert_eq!(before, after);
    }
}
