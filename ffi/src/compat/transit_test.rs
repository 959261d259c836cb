use super::*;

const KEY: [u8; KEY_BYTES] = [9; KEY_BYTES];
const PATIENCE: Duration = Duration::from_secs(20);

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn places(listening: &Listening) -> Vec<Place> {
    listening.addresses.iter().map(|at| Place { host: at.ip().to_string(), port: at.port() }).collect()
}

#[test]
fn two_ends_agree_on_one_of_several_connections_and_have_each_others_keys() {
    run(async {
        let (one, two) = (Arc::new(Listening::start().unwrap()), Arc::new(Listening::start().unwrap()));
        let (to_one, to_two) = (places(&one), places(&two));
        let (sender, receiver) = tokio::join!(
            connect(&KEY, Role::Sender, Some(one), (to_two, vec![]), PATIENCE),
            connect(&KEY, Role::Receiver, Some(two), (to_one, vec![]), PATIENCE),
        );
        let (sender, receiver) = (sender.unwrap(), receiver.unwrap());
        assert_eq!(sender.stream.local_addr().unwrap(), receiver.stream.peer_addr().unwrap());
        assert_eq!(sender.keys.seal, receiver.keys.open);
        assert_eq!(sender.keys.open, receiver.keys.seal);
        assert_ne!(sender.keys.open, sender.keys.seal);
    });
}

#[test]
fn a_stranger_and_another_key_are_not_the_peer() {
    run(async {
        let one = Arc::new(Listening::start().unwrap());
        let place = places(&one);
        let stranger = async {
            let mut stream = TcpStream::connect((&place[0].host[..], place[0].port)).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
            all
        };
        let short = Duration::from_millis(500);
        let (ours, theirs, heard) = tokio::join!(
            connect(&KEY, Role::Sender, Some(one), (vec![], vec![]), short),
            connect(&[8; KEY_BYTES], Role::Receiver, None, (place.clone(), vec![]), short),
            stranger,
        );
        assert_eq!(ours.err().unwrap().kind, Kind::ConnectFailed);
        assert_eq!(theirs.err().unwrap().kind, Kind::ConnectFailed);
        assert!(!heard.ends_with(b"go\n"));
    });
}

#[test]
fn strangers_who_say_nothing_do_not_keep_two_ends_apart() {
    run(async {
        let one = Arc::new(Listening::start().unwrap());
        let place = places(&one);
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect((&place[0].host[..], place[0].port)).await.unwrap());
        }
        // A relay that never answers is one of the ways.
        let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mute = Place { host: "127.0.0.1".to_owned(), port: relay.local_addr().unwrap().port() };
        let (sender, receiver) = tokio::join!(
            connect(&KEY, Role::Sender, Some(one), (vec![], vec![mute.clone()]), PATIENCE),
            connect(&KEY, Role::Receiver, None, (place, vec![mute]), PATIENCE),
        );
        assert!(!sender.unwrap().relayed && !receiver.unwrap().relayed);
    });
}

#[test]
fn two_ends_meet_at_a_relay_that_glues_what_has_the_same_token() {
    run(async {
        let relay = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place { host: "127.0.0.1".to_owned(), port: relay.local_addr().unwrap().port() };
        let glue = async {
            let mut ends = Vec::new();
            let mut tokens = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = relay.accept().await.unwrap();
                let mut line = Vec::new();
                while line.last() != Some(&b'\n') {
                    line.push(stream.read_u8().await.unwrap());
                }
                tokens.push(line[..line.iter().rposition(|&byte| byte == b' ').unwrap()].to_vec());
                ends.push(stream);
            }
            assert_eq!(tokens[0], tokens[1]);
            let [mut one, mut two] = <[TcpStream; 2]>::try_from(ends).unwrap();
            one.write_all(b"ok\n").await.unwrap();
            two.write_all(b"ok\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut one, &mut two).await;
        };
        let ends = async {
            tokio::join!(
                connect(&KEY, Role::Sender, None, (vec![], vec![place.clone()]), PATIENCE),
                connect(&KEY, Role::Receiver, None, (vec![], vec![place.clone()]), PATIENCE),
            )
        };
        let (sender, receiver) = tokio::select! { both = ends => both, _ = glue => unreachable!() };
        assert!(sender.unwrap().relayed && receiver.unwrap().relayed);
    });
}
