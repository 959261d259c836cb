use std::net::TcpListener;

use super::*;

static NEVER: AtomicBool = AtomicBool::new(false);

fn pair() -> (Records, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let raw = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let records = Records::new(listener.accept().unwrap().0, &Keys { seal: [1; 32], open: [2; 32] }).unwrap();
    (records, raw)
}

/// What a peer sends: records with numbers and contents.
fn sealed(records: &[(u64, &[u8])]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut peer = Records::new(stream, &Keys { seal: [2; 32], open: [1; 32] }).unwrap();
    for (number, content) in records {
        peer.sealed = *number;
        peer.seal(content).unwrap();
    }
    peer.outbox
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn records_arrive_in_order_however_they_are_cut() {
    let (mut records, mut raw) = pair();
    let big = vec![7; 3 * 1024 * 1024];
    let bytes = sealed(&[(0, b"one"), (1, b""), (2, &big)]);
    let writer = std::thread::spawn(move || {
        for part in bytes.chunks(700_001) {
            raw.write_all(part).unwrap();
        }
        raw
    });
    for expected in [&b"one"[..], b"", &big] {
        assert_eq!(records.next(soon(), MAX_RECORD_BYTES, &NEVER).unwrap().unwrap(), expected);
    }
    drop(writer.join().unwrap());
    let error = records.next(soon(), MAX_RECORD_BYTES, &NEVER).unwrap_err();
    assert_eq!(error.kind, Kind::ConnectionLost);
}

#[test]
fn a_record_that_is_replayed_reordered_skipped_or_changed_is_refused() {
    let mut changed = sealed(&[(0, b"one")]);
    *changed.last_mut().unwrap() ^= 1;
    let rows: [(&str, Vec<u8>, usize); 4] = [
        ("replayed", sealed(&[(0, b"one"), (0, b"one")]), 1),
        ("reordered", sealed(&[(1, b"two"), (0, b"one")]), 0),
        ("skipped", sealed(&[(0, b"one"), (2, b"three")]), 1),
        ("changed", changed, 0),
    ];
    for (description, bytes, good) in rows {
        let (mut records, mut raw) = pair();
        raw.write_all(&bytes).unwrap();
        for _ in 0..good {
            records.next(soon(), 100, &NEVER).unwrap().unwrap();
        }
        assert_eq!(records.next(soon(), 100, &NEVER).unwrap_err().kind, Kind::Corrupt, "{description}");
    }
}

#[test]
fn a_length_meets_its_limit_before_there_is_a_buffer() {
    for (length, kind) in [(u32::MAX, Kind::LimitExceeded), (39, Kind::Protocol), (0, Kind::Protocol)] {
        let (mut records, mut raw) = pair();
        raw.write_all(&length.to_be_bytes()).unwrap();
        assert_eq!(records.next(soon(), usize::MAX, &NEVER).unwrap_err().kind, kind);
        assert_eq!(records.inbox.len(), BUFFER_BYTES);
    }
}

#[test]
fn a_peer_that_does_not_read_is_frozen_after_a_while() {
    let (mut records, _raw) = pair();
    // More than the system keeps for whoever does not read.
    for _ in 0..32 {
        records.seal(&vec![0; 1024 * 1024]).unwrap();
    }
    assert!(!records.flush(Instant::now(), &NEVER).unwrap());
    records.begin(Some(Duration::from_millis(1)));
    assert_eq!(records.flush(soon(), &NEVER).unwrap_err().kind, Kind::PeerFrozen);
}

#[test]
fn a_record_cut_off_is_no_record_and_waiting_can_be_cancelled() {
    let (mut records, mut raw) = pair();
    let bytes = sealed(&[(0, b"one")]);
    raw.write_all(&bytes[..bytes.len() - 1]).unwrap();
    assert!(records.next(Instant::now(), 100, &NEVER).unwrap().is_none());
    let error = records.next(soon(), 100, &AtomicBool::new(true)).unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled);
    records.idle = Duration::ZERO;
    assert_eq!(records.next(soon(), 100, &NEVER).unwrap_err().kind, Kind::PeerFrozen);
    drop(raw);
    assert_eq!(records.next(soon(), 100, &NEVER).unwrap_err().kind, Kind::ConnectionLost);
}
