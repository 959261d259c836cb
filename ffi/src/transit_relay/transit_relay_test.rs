use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::testing::generous;
use super::*;

/// Longest that a test waits for one thing.
const PATIENCE: Duration = Duration::from_secs(20);

async fn started(limits: Limits) -> Relay {
    Relay::start(Some("127.0.0.1"), 0, limits).await.unwrap()
}

async fn dial(relay: &Relay) -> TcpStream {
    TcpStream::connect(relay.addresses[0]).await.unwrap()
}

fn line(token: u8, side: Option<u8>) -> String {
    let side = side.map_or(String::new(), |side| format!(" for side {}", format!("{side:02x}").repeat(8)));
    format!("please relay {}{side}\n", format!("{token:02x}").repeat(32))
}

async fn asks(relay: &Relay, token: u8, side: Option<u8>) -> TcpStream {
    let mut stream = dial(relay).await;
    stream.write_all(line(token, side).as_bytes()).await.unwrap();
    stream
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

async fn hears(stream: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    within(stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), String::from_utf8_lossy(expected));
}

/// Reads to the end, which a reset is as well.
async fn last_words(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let _ = within(stream.read_to_end(&mut heard)).await;
    heard
}

/// Waits until the counts are as they should be.
async fn until(relay: &Relay, holds: impl Fn(&Counts) -> bool) -> Counts {
    let begun = Instant::now();
    loop {
        let counts = relay.counts();
        if holds(&counts) {
            return counts;
        }
        assert!(begun.elapsed() < PATIENCE, "{counts:?}");
        tokio::task::yield_now().await;
    }
}

fn refused(counts: &Counts, reason: &str) -> u64 {
    counts.refused.iter().find(|(name, _)| *name == reason).unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sides_hear_each_other_to_the_last_byte() {
    let relay = started(generous()).await;
    for (round, (one, other)) in [(Some(1), Some(2)), (None, None), (Some(1), None)].into_iter().enumerate() {
        let mut one = asks(&relay, 7, one).await;
        until(&relay, |counts| counts.waiting == 1).await;
        let mut other = asks(&relay, 7, other).await;
        hears(&mut one, b"ok\n").await;
        hears(&mut other, b"ok\n").await;
        let content: Vec<u8> =
            (0..9_000_001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (mut from_one, mut to_one) = one.split();
        let (mut from_other, mut to_other) = other.split();
        let (mut there, mut back) = (Vec::new(), Vec::new());
        within(async {
            tokio::join!(
                async {
                    to_one.write_all(&content).await.unwrap();
                    to_one.shutdown().await.unwrap();
                },
                async {
                    to_other.write_all(&content[..1_000_003]).await.unwrap();
                    from_other.read_to_end(&mut there).await.unwrap();
                    // The last word comes after the other's end.
                    to_other.write_all(b"thanks").await.unwrap();
                    to_other.shutdown().await.unwrap();
                },
                async { from_one.read_to_end(&mut back).await.unwrap() },
            )
        })
        .await;
        assert!(there == content && back[..1_000_003] == content[..1_000_003]);
        assert_eq!(&back[1_000_003..], b"thanks");
        let counts = until(&relay, |counts| counts.connections == 0).await;
        assert_eq!((counts.pairs, counts.joined), (0, round as u64 + 1));
        assert_eq!(counts.bytes, (round as u64 + 1) * (9_000_001 + 1_000_003 + 6));
    }
}

#[tokio::test]
async fn one_side_is_not_joined_to_itself_and_who_hangs_up_to_nobody() {
    let relay = started(generous()).await;
    let one = asks(&relay, 7, Some(1)).await;
    let mut again = asks(&relay, 7, Some(1)).await;
    let _elsewhere = asks(&relay, 8, Some(2)).await;
    until(&relay, |counts| counts.waiting == 3).await;
    drop(one);
    until(&relay, |counts| counts.waiting == 2).await;
    let mut other = asks(&relay, 7, Some(2)).await;
    hears(&mut again, b"ok\n").await;
    hears(&mut other, b"ok\n").await;
    drop(again);
    assert_eq!(last_words(&mut other).await, b"");
    drop(other);
    assert_eq!(until(&relay, |counts| counts.pairs == 0).await.joined, 1);
}

#[tokio::test]
async fn nonsense_and_impatience_are_told_off() {
    let relay = started(generous()).await;
    let old = line(7, None);
    for (description, words, answer) in [
        ("another protocol", "GET / HTTP/1.1\r\n\r\n".to_owned(), "bad handshake\n"),
        ("a long line", "please relay ".repeat(9), "bad handshake\n"),
        ("a megabyte", "x".repeat(1_000_000), "bad handshake\n"),
        ("more than a line", format!("{}transit", line(7, Some(1))), "impatient\n"),
        ("more than an old line", format!("{old}{old}"), "impatient\n"),
    ] {
        let mut stream = dial(&relay).await;
        let _ = stream.write_all(words.as_bytes()).await;
        let heard = last_words(&mut stream).await;
        // Behind a flood the answer may be lost with the connection.
        if words.len() < 10_000 {
            assert_eq!(String::from_utf8_lossy(&heard), answer, "{description}");
        }
    }
    let mut waits = asks(&relay, 7, Some(1)).await;
    until(&relay, |counts| counts.waiting == 1).await;
    waits.write_all(b"transit sender").await.unwrap();
    assert_eq!(last_words(&mut waits).await, b"impatient\n");
    let counts = until(&relay, |counts| counts.connections == 0).await;
    assert_eq!((refused(&counts, "bad handshake"), refused(&counts, "impatient")), (3, 3));
    assert_eq!((counts.waiting, counts.joined), (0, 0));
}

#[tokio::test]
async fn amounts_and_times_are_bounded() {
    let soon = Duration::from_millis(50);
    let limits = Limits { connections_per_address: 3, waiting: 2, ..generous() };
    let relay = started(limits).await;
    let _one = asks(&relay, 1, Some(1)).await;
    let _two = asks(&relay, 2, Some(1)).await;
    until(&relay, |counts| counts.waiting == 2).await;
    assert_eq!(last_words(&mut asks(&relay, 3, Some(1)).await).await, b"");
    until(&relay, |counts| refused(counts, "waiting") == 1 && counts.connections == 2).await;
    let _three = dial(&relay).await;
    until(&relay, |counts| counts.connections == 3).await;
    assert_eq!(last_words(&mut dial(&relay).await).await, b"");
    until(&relay, |counts| refused(counts, "connections") == 1).await;

    let often = started(Limits { connection_burst: 2, ..generous() }).await;
    for _ in 0..3 {
        drop(dial(&often).await);
    }
    until(&often, |counts| refused(counts, "connections per minute") == 1).await;

    let silent = started(Limits { handshake: soon, ..generous() }).await;
    let mut stream = dial(&silent).await;
    stream.write_all(b"please relay 00").await.unwrap();
    assert_eq!(last_words(&mut stream).await, b"");
    assert_eq!(refused(&silent.counts(), "silent"), 1);

    let lonely = started(Limits { wait: soon, ..generous() }).await;
    assert_eq!(last_words(&mut asks(&lonely, 1, Some(1)).await).await, b"");
    assert_eq!(refused(&lonely.counts(), "lonely"), 1);

    let idle = started(Limits { idle: soon, ..generous() }).await;
    let (mut one, mut other) = (asks(&idle, 1, Some(1)).await, asks(&idle, 1, Some(2)).await);
    assert_eq!(last_words(&mut one).await, b"ok\n");
    assert_eq!(last_words(&mut other).await, b"ok\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_that_does_not_read_stops_the_other_within_bounds() {
    let relay = started(generous()).await;
    let (mut one, mut other) = (asks(&relay, 1, Some(1)).await, asks(&relay, 1, Some(2)).await);
    hears(&mut one, b"ok\n").await;
    hears(&mut other, b"ok\n").await;
    let chunk = vec![0; 64 * 1024];
    let mut sent = 0;
    // What the system's own buffers take, and no more.
    while let Ok(done) = tokio::time::timeout(Duration::from_millis(500), one.write(&chunk)).await {
        sent += done.unwrap();
        assert!(sent < 64 * 1024 * 1024);
    }
    let carried = relay.counts().bytes as usize;
    assert!(carried <= sent, "{carried} of {sent}");
    drop(one);
    let mut got = Vec::new();
    within(other.read_to_end(&mut got)).await.unwrap();
    assert_eq!(got.len(), sent);
}

#[tokio::test]
async fn a_draining_relay_lets_in_only_whom_somebody_waits_for() {
    let relay = started(generous()).await;
    let mut one = asks(&relay, 1, Some(1)).await;
    until(&relay, |counts| counts.waiting == 1).await;
    relay.drain();
    assert_eq!(last_words(&mut asks(&relay, 2, Some(1)).await).await, b"");
    let mut other = asks(&relay, 1, Some(2)).await;
    hears(&mut one, b"ok\n").await;
    hears(&mut other, b"ok\n").await;
    one.write_all(b"hello").await.unwrap();
    hears(&mut other, b"hello").await;
    assert_eq!(refused(&relay.counts(), "draining"), 1);
    relay.close().await;
    assert_eq!(last_words(&mut one).await, b"");
    assert_eq!(last_words(&mut other).await, b"");
    assert!(TcpStream::connect(relay.addresses[0]).await.is_err());
    assert_eq!(relay.counts().connections, 0);
}

#[tokio::test]
async fn it_listens_on_both_families_at_one_port_and_says_when_that_is_taken() {
    let relay = Relay::start(None, 0, generous()).await.unwrap();
    let port = relay.addresses[0].port();
    assert!(relay.addresses.iter().all(|at| at.port() == port));
    drop(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let taken = Relay::start(None, port, generous()).await.err().unwrap();
    assert_eq!(taken.kind, crate::error::Kind::AddressInUse);
}
