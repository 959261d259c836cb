//! The same tests for every transport, then what only some of them can get wrong.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::quic_config::Congestion;
use super::testing::{ALL, PATIENCE, Pair, address, endpoint, long_paths, pair, runtime};
use super::*;
use crate::error::Kind;

const MIB: usize = 1 << 20;

/// Runs `test` on a fresh pair of every transport, with a deadline that only a hang reaches.
fn for_each_transport<F, Fut>(bulk: usize, test: F)
where
    F: Fn(Arc<Pair>) -> Fut,
    Fut: Future<Output = ()>,
{
    for kind in ALL {
        runtime().block_on(async {
            // In an Arc, so that a test holds the endpoints too.
            let pair = Arc::new(pair(kind, bulk).await);
            assert_eq!((pair.dialler.kind(), pair.acceptor.kind()), (kind, kind));
            let run = tokio::time::timeout(PATIENCE, test(pair)).await;
            run.unwrap_or_else(|_| panic!("{kind}: hangs"));
        });
    }
}

fn noise(seed: u8, length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes.into()
}

#[test]
fn control_frames_arrive_in_order_both_ways() {
    for_each_transport(0, |pair| async move {
        let (a, b) = (&pair.dialler, &pair.acceptor);
        for (from, to) in [(a, b), (b, a)] {
            let send = async {
                for i in 0..100u32 {
                    from.send_control(i.to_le_bytes().to_vec().into()).await.unwrap();
                }
                from.send_control(Bytes::new()).await.unwrap();
            };
            let receive = async {
                for i in 0..100u32 {
                    assert_eq!(to.recv_control().await.unwrap().unwrap(), i.to_le_bytes().as_slice());
                }
                assert_eq!(to.recv_control().await.unwrap().unwrap().len(), 0);
            };
            tokio::join!(send, receive);
        }
    });
}

#[test]
fn a_control_frame_of_the_limit_passes_and_a_larger_one_is_refused() {
    for_each_transport(0, |pair| async move {
        let frame = noise(1, MAX_CONTROL_FRAME_BYTES);
        pair.dialler.send_control(frame.clone()).await.unwrap();
        assert_eq!(pair.acceptor.recv_control().await.unwrap().unwrap(), frame);
        let larger = noise(1, MAX_CONTROL_FRAME_BYTES + 1);
        assert_eq!(pair.dialler.send_control(larger).await.unwrap_err().kind, Kind::LimitExceeded);
        pair.dialler.send_control(Bytes::from_static(b"still works")).await.unwrap();
        assert_eq!(pair.acceptor.recv_control().await.unwrap().unwrap(), "still works");
    });
}

#[test]
fn bulk_streams_carry_every_byte() {
    const STREAMS: usize = 4;
    const LENGTH: usize = 64 * MIB;
    for_each_transport(STREAMS, |pair| async move {
        for (from, to) in [(&pair.dialler, &pair.acceptor), (&pair.acceptor, &pair.dialler)] {
            let mut threads = Vec::new();
            for i in 0..STREAMS {
                let mut sink = from.open_sink().await.unwrap();
                threads.push(std::thread::spawn(move || {
                    let data = noise(i as u8, LENGTH);
                    for at in (0..LENGTH).step_by(4 * MIB) {
                        let payload = Payload::new(data[at..at + 4 * MIB].to_vec());
                        sink.write(&[i as u8; 24], payload).unwrap();
                    }
                    sink.finish().unwrap();
                }));
            }
            for _ in 0..STREAMS {
                let mut source = to.next_source().await.unwrap();
                threads.push(std::thread::spawn(move || {
                    let mut header = [0; 24];
                    let mut chunk = vec![0; 4 * MIB];
                    let mut hash = blake3::Hasher::new();
                    let mut length = 0;
                    while source.read_exact(&mut header).unwrap() {
                        assert!(source.read_exact(&mut chunk).unwrap());
                        hash.update(&chunk);
                        length += chunk.len();
                    }
                    assert_eq!(length, LENGTH);
                    assert_eq!(hash.finalize(), blake3::hash(&noise(header[0], LENGTH)));
                }));
            }
            for thread in threads {
                tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
            }
            // TCP's streams are used up; the next direction asks for new ones.
            tokio::try_join!(pair.dialler.bulk(STREAMS), pair.acceptor.bulk(STREAMS)).unwrap();
        }
        let sent = pair.dialler.stats().bytes_sent;
        assert_eq!(sent, (STREAMS * (LENGTH + 16 * 24)) as u64);
    });
}

#[test]
fn thousands_of_small_frames_wait_for_a_slow_reader() {
    for_each_transport(0, |pair| async move {
        for i in 0..4000u32 {
            let mut frame = vec![0; 200];
            frame[..4].copy_from_slice(&i.to_le_bytes());
            pair.dialler.send_control(frame.into()).await.unwrap();
        }
        for i in 0..4000u32 {
            assert_eq!(pair.acceptor.recv_control().await.unwrap().unwrap()[..4], i.to_le_bytes());
        }
    });
}

#[test]
fn streams_that_nobody_reads_hold_up_nothing_else() {
    // All streams of a QUIC connection share one window with the control stream: a receiver whose disk stalls must
    // not look dead, and one that reads only some of its streams must get on with those.
    const STREAMS: usize = 128;
    runtime().block_on(async {
        let pair = pair(TransportKind::Quic, STREAMS).await;
        let content = noise(3, 2 * MIB);
        let mut written = tokio::task::JoinSet::new();
        for _ in 0..STREAMS {
            let mut sink = pair.dialler.open_sink().await.unwrap();
            let content = content.to_vec();
            let (done, wait) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                let _ = done.send(sink.write(&[], Payload::new(content)).map(|()| sink));
            });
            written.spawn(wait);
        }
        let all = tokio::time::timeout(PATIENCE, written.join_all());
        let sinks = all.await.expect("every stream takes what its own window holds");
        assert!(sinks.iter().all(|sink| matches!(sink, Ok(Ok(_)))));
        pair.dialler.send_control(Bytes::from_static(b"ping")).await.unwrap();
        let frame = tokio::time::timeout(PATIENCE, pair.acceptor.recv_control()).await;
        assert_eq!(frame.expect("a control frame passes").unwrap().unwrap(), "ping");
    });
}

#[test]
fn both_sides_can_send_at_once_on_the_same_streams() {
    for_each_transport(2, |pair| async move {
        let mut threads = Vec::new();
        for (from, seed) in [(&pair.dialler, 1), (&pair.acceptor, 2)] {
            for _ in 0..2 {
                let mut sink = from.open_sink().await.unwrap();
                threads.push(std::thread::spawn(move || {
                    let data = noise(seed, 8 * MIB);
                    sink.write(&[], Payload::new(data.to_vec())).unwrap();
                    sink.finish().unwrap();
                }));
            }
        }
        for (to, seed) in [(&pair.acceptor, 1), (&pair.dialler, 2)] {
            for _ in 0..2 {
                let mut source = to.next_source().await.unwrap();
                threads.push(std::thread::spawn(move || {
                    let mut data = vec![0; 8 * MIB];
                    assert!(source.read_exact(&mut data).unwrap());
                    assert_eq!(data, noise(seed, 8 * MIB));
                    assert!(!source.read_exact(&mut [0]).unwrap());
                }));
            }
        }
        for thread in threads {
            tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_sink_that_is_dropped_unfinished_looks_cut() {
    for_each_transport(1, |pair| async move {
        let mut sink = pair.dialler.open_sink().await.unwrap();
        let write = tokio::task::spawn_blocking(move || {
            sink.write(&noise(1, 1000), Payload::none()).unwrap();
            drop(sink);
        });
        let mut source = pair.acceptor.next_source().await.unwrap();
        write.await.unwrap();
        let read = tokio::task::spawn_blocking(move || source.read_exact(&mut [0; 2000])).await.unwrap();
        assert_eq!(read.unwrap_err().kind, Kind::ConnectionLost);
    });
}

#[test]
fn close_unblocks_both_sides() {
    for_each_transport(2, |pair| async move {
        // A reader and a writer at both ends, all in the middle of a stream without end.
        let mut threads = Vec::new();
        for (from, to) in [(&pair.dialler, &pair.acceptor), (&pair.acceptor, &pair.dialler)] {
            let mut sink = from.open_sink().await.unwrap();
            let (started, waits) = tokio::sync::oneshot::channel();
            threads.push(std::thread::spawn(move || {
                sink.write(b"x", Payload::none()).unwrap();
                started.send(()).unwrap();
                loop {
                    if let Err(error) = sink.write(&[], Payload::new(noise(1, MIB).to_vec())) {
                        return error.kind;
                    }
                }
            }));
            waits.await.unwrap();
            let mut source = to.next_source().await.unwrap();
            threads.push(std::thread::spawn(move || {
                let mut buffer = vec![0; 64];
                loop {
                    match source.read_exact(&mut buffer) {
                        Ok(true) => {}
                        Ok(false) => return Kind::Internal,
                        Err(error) => return error.kind,
                    }
                }
            }));
        }
        let receive = pair.acceptor.recv_control();
        let begun = Instant::now();
        let close = async { pair.dialler.close(Kind::Refused as u16, "enough") };
        let (received, ()) = tokio::join!(receive, close);
        // Over QUIC the end of the connection may overtake the mark that says why.
        let told = matches!(received, Err(Error { kind: Kind::Refused | Kind::ConnectionLost, .. }));
        assert!(told, "{received:?}");
        for thread in threads {
            let kind = tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
            assert_eq!(kind, Kind::ConnectionLost);
        }
        // Silence would be noticed after 20 s.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(pair.dialler.send_control(Bytes::new()).await.unwrap_err().kind, Kind::Closed);
        assert!(pair.dialler.open_sink().await.is_err());
        pair.dialler.settled().await;
    });
}

#[test]
fn the_last_frames_arrive_although_the_sender_closes() {
    for_each_transport(0, |pair| async move {
        for i in 0..8u8 {
            pair.dialler.send_control(noise(i, 100_000)).await.unwrap();
        }
        pair.dialler.close(0, "");
        for i in 0..8u8 {
            assert_eq!(pair.acceptor.recv_control().await.unwrap().unwrap(), noise(i, 100_000));
        }
        assert!(pair.acceptor.recv_control().await.unwrap().is_none());
        pair.dialler.settled().await;
    });
}

#[test]
fn a_wrong_key_is_refused_on_either_side() {
    runtime().block_on(async {
        let (a, b) = (endpoint(1).await, endpoint(2).await);
        let stranger = endpoint(3).await;
        for kind in [TransportKind::Tcp, TransportKind::Quic] {
            let at = address(&b, kind);
            let error = a.dial(kind, at, stranger.public_key(), PATIENCE).await.err().unwrap();
            assert_eq!(error.kind, Kind::PeerUnauthenticated, "{error}");
            let error = a.dial(kind, at, b.public_key(), PATIENCE).await.err().unwrap();
            assert_eq!(error.kind, Kind::PeerUnauthenticated, "{error}");
            assert!(error.text.starts_with(&format!("Cannot connect to {at} over {kind}: ")), "{error}");
        }
        b.allow(a.public_key());
        for kind in [TransportKind::Tcp, TransportKind::Quic] {
            let dial = a.dial(kind, address(&b, kind), b.public_key(), PATIENCE);
            let (dialled, accepted) = tokio::join!(dial, b.accept());
            assert_eq!(dialled.unwrap().peer_key(), b.public_key());
            assert_eq!(accepted.unwrap().peer_key(), a.public_key());
        }
    });
}

#[test]
fn a_dead_port_fails_fast() {
    runtime().block_on(async {
        let a = endpoint(1).await;
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = a.dial(TransportKind::Tcp, dead, [2; 32], PATIENCE).await.err().unwrap();
        assert_eq!(error.text, format!("Cannot connect to {dead} over tcp: connection refused"));
        assert_eq!(error.kind, Kind::ConnectFailed);
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = silent.local_addr().unwrap();
        let peer = endpoint(2).await.public_key();
        let error = a.dial(TransportKind::Quic, at, peer, Duration::from_millis(200)).await.err().unwrap();
        assert_eq!(error.kind, Kind::Timeout, "{error}");
    });
}

#[test]
fn garbage_neither_crashes_nor_blocks_the_listener() {
    runtime().block_on(async {
        let (a, b) = (endpoint(1).await, endpoint(2).await);
        b.allow(a.public_key());
        let at = address(&b, TransportKind::Tcp);
        let mut silent = Vec::new();
        for i in 0..64u8 {
            let mut stream = std::net::TcpStream::connect(at).unwrap();
            match i % 4 {
                0 => stream.write_all(&noise(i, 4096)).unwrap(),
                1 => stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
                2 => stream.write_all(&[22, 3, 1, 255, 255, 1, 0, 255, 255]).unwrap(),
                _ => {}
            }
            silent.push(stream);
        }
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for i in 0..64u8 {
            udp.send_to(&noise(i, 1200), address(&b, TransportKind::Quic)).unwrap();
        }
        for kind in [TransportKind::Tcp, TransportKind::Quic] {
            let dial = a.dial(kind, address(&b, kind), b.public_key(), PATIENCE);
            let (dialled, accepted) = tokio::join!(dial, b.accept());
            dialled.unwrap();
            accepted.unwrap();
        }
        // Garbage ends with the peer closing on us.
        silent[0].set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut answer = Vec::new();
        let _ = silent[0].read_to_end(&mut answer);
        assert!(answer.len() < 64);
    });
}

#[test]
fn an_oversized_control_length_ends_the_connection() {
    runtime().block_on(async {
        let (mut peer, ours) = tokio::io::duplex(1024);
        let life = Life::new();
        let (reader, writer) = tokio::io::split(ours);
        let control = Control::start(life.clone(), reader, writer);
        peer.write_all(&(MAX_CONTROL_FRAME_BYTES as u32 + 1).to_le_bytes()).await.unwrap();
        assert_eq!(control.recv().await.unwrap_err().kind, Kind::LimitExceeded);
        assert_eq!(life.wait().await.kind, Kind::LimitExceeded);
        assert_eq!(control.recv().await.unwrap_err().kind, Kind::LimitExceeded);
    });
}

#[test]
fn a_control_frame_that_is_cut_is_a_lost_connection() {
    runtime().block_on(async {
        let (mut peer, ours) = tokio::io::duplex(1024);
        let (reader, writer) = tokio::io::split(ours);
        let control = Control::start(Life::new(), reader, writer);
        peer.write_all(&[9, 0, 0, 0, 1, 2, 3]).await.unwrap();
        drop(peer);
        assert_eq!(control.recv().await.unwrap_err().kind, Kind::ConnectionLost);
    });
}

#[test]
fn a_cancelled_recv_loses_no_frame() {
    for_each_transport(0, |pair| async move {
        for i in 0..50u8 {
            let cancelled = tokio::time::timeout(Duration::ZERO, pair.acceptor.recv_control()).await;
            assert!(cancelled.is_err());
            pair.dialler.send_control(Bytes::copy_from_slice(&[i])).await.unwrap();
            assert_eq!(pair.acceptor.recv_control().await.unwrap().unwrap()[..], [i]);
        }
    });
}

#[test]
fn an_endpoint_reports_a_port_in_use_and_listens_on_both_families() {
    runtime().block_on(async {
        let open = |bind: Vec<std::net::SocketAddr>, tcp, quic| {
            endpoint::Endpoint::open(endpoint::Options {
                seed: [5; 32],
                bind,
                tcp,
                quic,
                congestion: Congestion::Bbr,
                long_paths: long_paths(),
            })
        };
        let begun = Instant::now();
        let first =
            open(vec!["0.0.0.0:0".parse().unwrap(), "[::]:0".parse().unwrap()], true, true).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert!(!first.tcp_addresses().is_empty() && !first.quic_addresses().is_empty());
        for (taken, tcp) in [(first.tcp_addresses()[0], true), (first.quic_addresses()[0], false)] {
            let error = open(vec![taken], tcp, !tcp).await.err().unwrap();
            assert_eq!(error.kind, Kind::AddressInUse);
            assert_eq!(error.text, format!("Cannot listen on {taken}: the port is in use"));
        }
        let accept = first.accept();
        let close = first.close();
        let (accepted, ()) = tokio::join!(accept, close);
        assert_eq!(accepted.err().unwrap().kind, Kind::Closed);
    });
}

#[test]
fn too_many_bulk_streams_are_refused() {
    runtime().block_on(async {
        let pair = pair(TransportKind::Tcp, 4).await;
        let error = pair.dialler.bulk(MAX_BULK_STREAMS - 3).await.unwrap_err();
        assert_eq!(error.kind, Kind::LimitExceeded);
        let stats = pair.dialler.stats();
        assert!(stats.rtt_us.is_some() && stats.cwnd_bytes.is_some());
        assert!(stats.local.unwrap().is_loopback());
        let sinks: Vec<_> = {
            let mut sinks = Vec::new();
            for _ in 0..4 {
                sinks.push(pair.dialler.open_sink().await.unwrap());
            }
            sinks
        };
        assert_eq!(pair.dialler.open_sink().await.err().unwrap().kind, Kind::LimitExceeded);
        drop(sinks);
    });
}

#[test]
fn dropping_a_connection_closes_it() {
    for kind in ALL {
        runtime().block_on(async {
            let Pair { dialler, acceptor, endpoints } = pair(kind, 1).await;
            drop(dialler);
            assert!(acceptor.recv_control().await.unwrap().is_none());
            drop(endpoints);
        });
    }
}
