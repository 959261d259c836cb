use tokio::net::TcpListener;

use super::super::testing::runtime;
use super::super::tls::{AllowedKeys, Identity};
use super::*;

/// A peer that writes right behind its handshake: part of it is in rustls's hands when the stream is taken over.
#[test]
fn nothing_that_follows_the_handshake_at_once_is_lost() {
    for length in [0, 1, 100, 16_384, 16_385, 300_000] {
        runtime().block_on(async {
            let (ours, theirs) =
                (Identity::from_seed(&[1; 32]).unwrap(), Identity::from_seed(&[2; 32]).unwrap());
            let allowed = AllowedKeys::default();
            allowed.insert(theirs.public_key());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let config = theirs.client_config(ours.public_key()).unwrap();
            let content: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let all = [&[9; 32][..], &content].concat();
            let peer = tokio::spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                let name = ServerName::try_from("wormhole.invalid").unwrap();
                let mut stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
                stream.write_all(&all).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                answer
            });
            let (stream, _) = listener.accept().await.unwrap();
            let (config, secrets) = tls_secrets::for_one_server(&ours.server_config(allowed).unwrap());
            let stream = TlsAcceptor::from(config).accept(RecordReader::new(stream)).await.unwrap();
            let mut stream = TlsStream::from(stream);
            let mut preface = Token::default();
            stream.read_exact(&mut preface).await.unwrap();
            assert_eq!(preface, [9; 32]);
            stream.write_all(&[ACCEPTED]).await.unwrap();
            stream.flush().await.unwrap();
            let established = establish(stream, &secrets).unwrap();
            let (_socket, mut sink, mut source) = tcp_stream::open(established, Life::new());
            let read = tokio::task::spawn_blocking(move || {
                let mut read = vec![0; length];
                assert!(length == 0 || source.read_exact(&mut read).unwrap());
                assert!(!source.read_exact(&mut [0]).unwrap());
                sink.write(b"thanks", super::super::Payload::none()).unwrap();
                sink.finish().unwrap();
                read
            });
            assert!(read.await.unwrap() == content, "{length}");
            assert_eq!(peer.await.unwrap(), b"\x01thanks");
        });
    }
}
