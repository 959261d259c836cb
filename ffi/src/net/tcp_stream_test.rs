use std::io::Write;
use std::net::TcpListener;
use std::thread;

use proptest::prelude::*;

use super::super::tls_testing::{SUITES, Sessions, output, sessions};
use super::*;

/// A stream between two ends of ours over loopback.
struct Ends {
    sink: TlsSink,
    source: TlsSource,
    /// The other direction.
    back: (TlsSink, TlsSource),
    lives: [Arc<Life>; 2],
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    (near, far)
}

fn ends(suite: rustls::SupportedCipherSuite, record_limit: Option<u64>) -> Ends {
    let Sessions { client, server, client_secrets, server_secrets } = sessions(suite);
    let (near, far) = sockets();
    let lives = [Life::new(), Life::new()];
    let mut opened = [(near, client, client_secrets), (far, server, server_secrets)]
        .into_iter()
        .zip(&lives)
        .map(|((socket, session, secrets), life)| {
            let (mut sealer, opener) = secrets.take_over(session).unwrap();
            if let Some(limit) = record_limit {
                sealer.limit_records(limit);
            }
            let established = Established { socket, sealer, opener, early: Vec::new(), ended: false };
            let (_, sink, source) = open(established, life.clone());
            (sink, source)
        });
    let (sink, back_source) = opened.next().unwrap();
    let (back_sink, source) = opened.next().unwrap();
    drop(opened);
    Ends { sink, source, back: (back_sink, back_source), lives }
}

/// A source that reads what `bytes` say, after a handshake of which `peer` is the other end.
fn source_of(
    secrets: &super::super::tls_secrets::SecretCatcher,
    session: rustls::Connection,
    bytes: Vec<u8>,
) -> TlsSource {
    let (mut near, far) = sockets();
    near.set_nonblocking(false).unwrap();
    let (sealer, opener) = secrets.take_over(session).unwrap();
    let established = Established { socket: far, sealer, opener, early: Vec::new(), ended: false };
    let (_, sink, source) = open(established, Life::new());
    // Kept open, as an idle direction of a real stream is.
    std::mem::forget(sink);
    thread::spawn(move || {
        let _ = near.write_all(&bytes);
        let _ = near.shutdown(Shutdown::Write);
        let _ = io::copy(&mut near, &mut io::sink());
    });
    source
}

fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Heads and payloads of all kinds of lengths.
fn frames() -> Vec<(usize, usize)> {
    let mut frames =
        vec![(72, 4 << 20), (16, 0), (0, 1), (72, MAX_CONTENT_BYTES), (72, MAX_CONTENT_BYTES + 1)];
    frames.extend((0..60).map(|index| (16 + 56 * index, (index * 7919) % 100_000)));
    frames.push((57 << 10, 1 << 20));
    frames
}

fn send(sink: &mut TlsSink, frames: &[(usize, usize)]) {
    for (index, &(head, payload)) in frames.iter().enumerate() {
        sink.write(&noise(index, head), Payload::new(noise(index + 1000, payload))).unwrap();
    }
    sink.finish().unwrap();
}

fn receive(source: &mut TlsSource, frames: &[(usize, usize)]) {
    for (index, &(head, payload)) in frames.iter().enumerate() {
        for (seed, length) in [(index, head), (index + 1000, payload)] {
            let mut bytes = vec![0; length];
            assert!(length == 0 || source.read_exact(&mut bytes).unwrap());
            assert!(bytes == noise(seed, length), "frame {index}");
        }
    }
    assert!(!source.read_exact(&mut [0]).unwrap());
    assert!(!source.read_exact(&mut [0]).unwrap());
}

#[test]
fn every_byte_arrives_both_ways_at_once_with_every_suite() {
    for suite in SUITES {
        // Also with keys that wear out all the time.
        for record_limit in [None, Some(40)] {
            let Ends { mut sink, mut source, back, .. } = ends(suite, record_limit);
            let (mut back_sink, mut back_source) = back;
            let frames = frames();
            thread::scope(|scope| {
                scope.spawn(|| send(&mut sink, &frames));
                scope.spawn(|| send(&mut back_sink, &frames));
                scope.spawn(|| receive(&mut back_source, &frames));
                receive(&mut source, &frames);
            });
        }
    }
}

#[test]
fn a_key_update_that_was_asked_for_is_answered_before_the_next_data() {
    let Ends { mut sink, mut source, back: (mut back_sink, mut back_source), .. } = ends(SUITES[0], None);
    for round in 0..4u8 {
        let request = sink.shared.sealer.lock().unwrap().ask_for_new_keys();
        sink.shared.send_all(&mut [IoSlice::new(&request)]).unwrap();
        sink.write(&[round], Payload::none()).unwrap();
        let mut byte = [0];
        assert!(source.read_exact(&mut byte).unwrap());
        assert_eq!(byte, [round]);
        assert!(back_sink.shared.update_requested.load(Ordering::Acquire));
        back_sink.write(&[round, round], Payload::none()).unwrap();
        assert!(!back_sink.shared.update_requested.load(Ordering::Acquire));
        let mut bytes = [0; 2];
        assert!(back_source.read_exact(&mut bytes).unwrap());
        assert_eq!(bytes, [round; 2]);
    }
}

#[test]
fn large_payloads_are_hardly_copied() {
    const CHUNK: usize = 256 << 10;
    let Ends { mut sink, mut source, lives, back: _back } = ends(SUITES[0], None);
    let frames = vec![(72, CHUNK); 256];
    thread::scope(|scope| {
        scope.spawn(|| send(&mut sink, &frames));
        receive(&mut source, &frames);
    });
    for life in lives {
        assert!(life.copied() < (256 * CHUNK / 100) as u64, "{} bytes copied", life.copied());
    }
}

#[test]
fn a_cut_stream_is_lost_and_a_finished_one_is_not() {
    for finished in [true, false] {
        let Ends { mut sink, mut source, back: _back, .. } = ends(SUITES[0], None);
        sink.write(b"head", Payload::new(vec![7; 100_000])).unwrap();
        if finished {
            sink.finish().unwrap();
        }
        drop(sink);
        assert!(source.read_exact(&mut [0; 100_004]).unwrap());
        match source.read_exact(&mut [0; 10]) {
            Ok(more) => assert!(finished && !more),
            Err(error) => assert!(!finished && error.kind == Kind::ConnectionLost, "{error}"),
        }
    }
}

#[test]
fn a_stream_that_ends_inside_a_read_is_lost() {
    let Ends { mut sink, mut source, back: _back, .. } = ends(SUITES[0], None);
    sink.write(b"head", Payload::none()).unwrap();
    sink.finish().unwrap();
    assert_eq!(source.read_exact(&mut [0; 10]).unwrap_err().kind, Kind::ConnectionLost);
}

#[test]
fn damage_is_told_to_both_ends() {
    let Ends { sink, mut source, back: (_back_sink, mut back_source), .. } = ends(SUITES[0], None);
    let mut record = sink.shared.sealer.lock().unwrap().small_record(23, b"content");
    record[6] ^= 1;
    sink.shared.send_all(&mut [IoSlice::new(&record)]).unwrap();
    let error = source.read_exact(&mut [0; 7]).unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
    assert_eq!(error.text, "the bulk stream is damaged: a record does not authenticate");
    let error = back_source.read_exact(&mut [0; 7]).unwrap_err();
    assert_eq!(error.text, "the bulk stream is damaged: the peer ended it with an alert");
    drop(sink);
}

#[test]
fn data_that_came_with_the_handshake_comes_first() {
    let Sessions { client, mut server, client_secrets, .. } = sessions(SUITES[0]);
    server.writer().write_all(b" and later").unwrap();
    let later = output(&mut server);
    let mut source = source_of(&client_secrets, client, later);
    source.wire = b"early".to_vec();
    (source.start, source.end, source.plain) = (5, 5, 0..5);
    let mut all = [0; 15];
    assert!(source.read_exact(&mut all[..3]).unwrap());
    assert!(source.read_exact(&mut all[3..]).unwrap());
    assert_eq!(&all, b"early and later");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens to the records on the way, what is read is a beginning of what was sent.
    #[test]
    fn mutated_records_give_a_beginning_or_an_error(
        lengths in prop::collection::vec(1usize..40_000, 1..6),
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        value in any::<u8>(),
        what in 0u8..6,
        reads in prop::collection::vec(1usize..50_000, 1..8),
    ) {
        let Sessions { client, mut server, client_secrets, .. } = sessions(SUITES[0]);
        server.set_buffer_limit(None);
        let mut sent = Vec::new();
        let mut records = Vec::new();
        for (index, length) in lengths.iter().enumerate() {
            let content = noise(index, *length);
            server.writer().write_all(&content).unwrap();
            records.extend(output(&mut server));
            sent.extend(content);
        }
        let (at, other) = (at.index(records.len()), other.index(records.len()));
        match what {
            0 => records[at] = value,
            1 => records.truncate(at),
            2 => records.swap(at, other),
            3 => records.insert(at, value),
            4 => drop(records.remove(at)),
            _ => drop(records.splice(at.min(other)..at.max(other), [])),
        }
        let mut source = source_of(&client_secrets, client, records);
        let mut got = Vec::new();
        for length in reads.iter().cycle() {
            let mut buffer = vec![0; *length];
            match source.read_exact(&mut buffer) {
                Ok(true) => got.extend(buffer),
                Ok(false) => prop_assert!(false, "nobody said that this is the end"),
                Err(_) => break,
            }
        }
        prop_assert!(sent.starts_with(&got));
    }
}
