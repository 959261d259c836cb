use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::testing::generous;
use super::*;

/// Longest that a test waits for one thing.
const PATIENCE: Duration = Duration::from_secs(20);

fn asked(token: u8, side: u8) -> Asked {
    Asked { token: [token; 64], side: Some([side; 16]) }
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Brings a connection, and gives its client's end with what comes of it.
async fn brought(
    joins: &Arc<Joins>,
    token: u8,
    side: u8,
) -> (TcpStream, JoinHandle<std::result::Result<(), Refusal>>) {
    let (client, stream) = connected().await;
    let joins = joins.clone();
    (client, tokio::spawn(async move { joins.join(stream, [0; 16], asked(token, side)).await }))
}

async fn until(joins: &Joins, holds: impl Fn(&Counts) -> bool) {
    within(async {
        while !holds(&joins.counts()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_hear_that_they_are_joined_and_are_done_together() {
    let joins = Arc::new(Joins::new(generous(), b"joined!"));
    let (mut one, first) = brought(&joins, 1, 1).await;
    until(&joins, |counts| counts.waiting == 1).await;
    let (mut other, second) = brought(&joins, 1, 2).await;
    let mut heard = [0; 7];
    for each in [&mut one, &mut other] {
        within(each.read_exact(&mut heard)).await.unwrap();
        assert_eq!(&heard, b"joined!");
    }
    one.write_all(b"to you").await.unwrap();
    within(other.read_exact(&mut heard[..6])).await.unwrap();
    assert_eq!(&heard[..6], b"to you");
    assert!(!first.is_finished() && !second.is_finished());
    assert_eq!((joins.counts().pairs, joins.counts().connections), (1, 2));
    drop((one, other));
    assert_eq!(within(first).await.unwrap(), Ok(()));
    assert_eq!(within(second).await.unwrap(), Ok(()));
    assert_eq!((joins.counts().connections, joins.counts().bytes), (0, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_joined_hears_nothing_and_why_is_known() {
    let soon = Duration::from_millis(50);
    let lonely = Arc::new(Joins::new(Limits { wait: soon, ..generous() }, b"joined!"));
    let (mut client, verdict) = brought(&lonely, 1, 1).await;
    assert_eq!(within(verdict).await.unwrap(), Err(Refusal::Lonely));
    let mut heard = Vec::new();
    within(client.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.is_empty());

    let joins = Arc::new(Joins::new(generous(), b"joined!"));
    let (mut hasty, verdict) = brought(&joins, 1, 1).await;
    hasty.write_all(b"?").await.unwrap();
    assert_eq!(within(verdict).await.unwrap(), Err(Refusal::Impatient));

    // Both the same side, and one that hangs up: neither keeps the other out.
    let (same, gone) = brought(&joins, 2, 1).await;
    let (_left, waits) = brought(&joins, 2, 1).await;
    until(&joins, |counts| counts.waiting == 2).await;
    drop(same);
    assert_eq!(within(gone).await.unwrap(), Ok(()));
    until(&joins, |counts| counts.waiting == 1).await;
    let (_other, comes) = brought(&joins, 2, 2).await;
    until(&joins, |counts| counts.pairs == 1).await;
    assert!(!waits.is_finished() && !comes.is_finished());

    joins.drain();
    let (_late, verdict) = brought(&joins, 3, 1).await;
    assert_eq!(within(verdict).await.unwrap(), Err(Refusal::Draining));

    let few = Arc::new(Joins::new(Limits { connections_per_address: 1, ..generous() }, b""));
    let (_first, _waits) = brought(&few, 1, 1).await;
    until(&few, |counts| counts.waiting == 1).await;
    let (_second, verdict) = brought(&few, 1, 2).await;
    assert_eq!(within(verdict).await.unwrap(), Err(Refusal::Connections));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_makes_only_so_many_wait() {
    let joins = Arc::new(Joins::new(generous(), b""));
    let mut held = Vec::new();
    for count in 1..=64 {
        held.push(brought(&joins, 1, 1).await);
        until(&joins, |counts| counts.waiting == count).await;
    }
    let (_client, verdict) = brought(&joins, 1, 1).await;
    assert_eq!(within(verdict).await.unwrap(), Err(Refusal::Waiting));
    let (_other, _waits) = brought(&joins, 2, 1).await;
    until(&joins, |counts| counts.waiting == 65).await;
}
