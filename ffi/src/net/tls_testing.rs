//! TLS sessions over memory, for the tests of the record layer.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection, SupportedCipherSuite};

use super::tls::{AllowedKeys, Identity};
use super::tls_record::{Opener, Sealer};
use super::tls_secrets::{self, SecretCatcher};

pub const SUITES: [SupportedCipherSuite; 3] =
    [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];

/// The two ends of a finished handshake.
pub struct Sessions {
    pub client: Connection,
    pub server: Connection,
    pub client_secrets: Arc<SecretCatcher>,
    pub server_secrets: Arc<SecretCatcher>,
}

/// Both ends of one session without a socket: (ours, rustls's).
pub struct Mixed {
    pub sealer: Sealer,
    pub opener: Opener,
    pub peer: Connection,
}

pub fn sessions(suite: SupportedCipherSuite) -> Sessions {
    let mut ends = [Identity::from_seed(&[1; 32]).unwrap(), Identity::from_seed(&[2; 32]).unwrap()];
    ends.iter_mut().for_each(|end| end.limit_to(suite));
    let allowed = AllowedKeys::default();
    allowed.insert(ends[0].public_key());
    let client = ends[0].client_config(ends[1].public_key()).unwrap();
    let server = ends[1].server_config(allowed).unwrap();
    let (client, client_secrets) = tls_secrets::for_one_client(&client);
    let (server, server_secrets) = tls_secrets::for_one_server(&server);
    let name = ServerName::try_from("wormhole.invalid").unwrap();
    let mut client = Connection::from(ClientConnection::new(client, name).unwrap());
    let mut server = Connection::from(ServerConnection::new(server).unwrap());
    while client.is_handshaking() || server.is_handshaking() {
        feed(&mut server, &output(&mut client)).unwrap();
        feed(&mut client, &output(&mut server)).unwrap();
    }
    Sessions { client, server, client_secrets, server_secrets }
}

/// A session of which one end, the client's or the server's, is ours.
pub fn mixed(suite: SupportedCipherSuite, ours_is_client: bool) -> Mixed {
    let Sessions { client, server, client_secrets, server_secrets } = sessions(suite);
    let (ours, peer, secrets) =
        if ours_is_client { (client, server, client_secrets) } else { (server, client, server_secrets) };
    let (sealer, opener) = secrets.take_over(ours).unwrap();
    Mixed { sealer, opener, peer }
}

/// What rustls wants to send.
pub fn output(session: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Gives rustls what has come.
pub fn feed(session: &mut Connection, mut bytes: &[u8]) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        session.read_tls(&mut bytes).unwrap();
        session.process_new_packets()?;
    }
    Ok(())
}
