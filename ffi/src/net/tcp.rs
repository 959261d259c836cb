//! TCP: every TCP connection is TLS 1.3 (`tls.rs`). The dialler then sends a preface of 32 bytes and the acceptor
//! answers one byte, 1, which tells the dialler that its key was accepted.
//!
//! A preface of zeros begins a new connection and its control stream. Any other preface is the token of a
//! connection (from the TLS exporter of its first TCP connection, so only the two ends know it) and adds a bulk
//! stream to it; the acceptor also checks that the keys are the same. Whatever does not fit is dropped.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::TcpStream as StdTcpStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::congestion::LongPaths;
use super::control::Control;
use super::life::{Interrupt, Life};
use super::record_reader::RecordReader;
use super::route::Route;
use super::tcp_stream::{self, Established, TlsSink, TlsSocket, TlsSource};
use super::tls_secrets::{self, SecretCatcher};
use super::{Connection, MAX_BULK_STREAMS, PeerKey, Sink, Source, Stats, tls};
use crate::error::{Error, Kind, Result};

const TOKEN_LABEL: &[u8] = b"EXPORTER-wormhole-bulk";
const ACCEPTED: u8 = 1;

/// Bulk streams that are dialled at once, well below what an acceptor lets wait in handshakes.
const PARALLEL_DIALS: usize = 16;

/// How long one further TCP connection to a peer that is there may take.
const BULK_DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that does not acknowledge bytes for this long is gone.
const DEAD_AFTER: Duration = Duration::from_secs(20);

/// One TCP connection after its handshake.
type Stream = TlsStream<RecordReader>;

/// Names a connection: what its further TCP connections begin with.
type Token = [u8; 32];

/// The zeros that begin a new connection.
const NEW_CONNECTION: Token = [0; 32];

/// Connects over `route` to the machine that must own `peer_key`.
pub(super) async fn dial(
    config: Arc<ClientConfig>,
    route: Route,
    peer_key: PeerKey,
    long: LongPaths,
) -> Result<Connection> {
    let stream = dial_stream(config.clone(), &route, &NEW_CONNECTION, &long).await?;
    let (remote, is_relayed) = (route.remote(), route.is_relayed());
    let more = More::Dials(Dialler { config, route, token: token(&stream)?, long });
    let bulk = Bulk::new(&stream, (peer_key, is_relayed), more)?;
    Ok(open(stream, bulk, remote))
}

async fn dial_bulk(dialler: Dialler) -> Result<Established> {
    let (config, secrets) = tls_secrets::for_one_client(&dialler.config);
    let stream = dial_stream(config, &dialler.route, &dialler.token, &dialler.long).await?;
    establish(stream, &secrets)
}

async fn dial_stream(
    config: Arc<ClientConfig>,
    route: &Route,
    preface: &Token,
    long: &LongPaths,
) -> Result<Stream> {
    let what = route.what();
    let stream = route.connect().await?;
    tune(&stream);
    long.apply(&stream);
    let name = ServerName::try_from("wormhole.invalid").expect("a constant");
    let handshake = |error: io::Error| tls::handshake_error(&what, &error);
    let stream = RecordReader::new(stream);
    let mut stream = TlsConnector::from(config).connect(name, stream).await.map_err(handshake)?;
    stream.write_all(preface).await.map_err(handshake)?;
    stream.flush().await.map_err(handshake)?;
    let answer = stream.read_u8().await.map_err(handshake)?;
    if answer != ACCEPTED {
        return Err(Error::new(Kind::Protocol, format!("{what}: the machine there answers {answer}")));
    }
    Ok(stream.into())
}

/// How TCP connections come to an acceptor that nobody can connect to: it goes to meet them.
pub(super) trait Meets: Send + Sync {
    /// Meets one, and brings it to its end as [`accept`] does.
    fn meet(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;
    /// Where the other end is.
    fn remote(&self) -> String;
}

/// What an acceptor remembers of its connections, to find the one that a bulk stream belongs to.
#[derive(Default)]
pub(super) struct Registry(Mutex<HashMap<Token, Weak<Bulk>>>);

impl Registry {
    fn insert(&self, token: Token, bulk: &Arc<Bulk>) {
        let mut all = self.0.lock().unwrap();
        all.retain(|_, bulk| bulk.strong_count() > 0);
        all.insert(token, Arc::downgrade(bulk));
    }

    fn find(&self, token: &Token) -> Option<Arc<Bulk>> {
        self.0.lock().unwrap().get(token)?.upgrade()
    }
}

/// Brings one incoming TCP connection to its end: a new connection, or none when it became a bulk stream. `met`: what met it,
/// and will meet further ones; none where it came by itself.
pub(super) async fn accept(
    config: &ServerConfig,
    registry: &Registry,
    long: &LongPaths,
    stream: TcpStream,
    met: Option<Arc<dyn Meets>>,
) -> Result<Option<Connection>> {
    tune(&stream);
    long.apply(&stream);
    let remote = match &met {
        Some(met) => met.remote(),
        None => match stream.peer_addr() {
            Ok(address) => address.to_string(),
            Err(error) => return Err(Error::io("Cannot accept a connection", &error)),
        },
    };
    let what = format!("Cannot accept a connection from {remote}");
    let handshake = |error: io::Error| tls::handshake_error(&what, &error);
    // What it is for is only known after the handshake.
    let (config, secrets) = tls_secrets::for_one_server(config);
    let acceptor = TlsAcceptor::from(config);
    let stream = acceptor.accept(RecordReader::new(stream)).await.map_err(handshake)?;
    let peer_key = tls::peer_key(stream.get_ref().1.peer_certificates())
        .ok_or_else(|| Error::new(Kind::PeerUnauthenticated, format!("{what}: it showed no key")))?;
    let mut stream = TlsStream::from(stream);
    let mut preface = NEW_CONNECTION;
    stream.read_exact(&mut preface).await.map_err(handshake)?;
    if preface == NEW_CONNECTION {
        let (is_relayed, more) = (met.is_some(), met.map_or(More::Comes, More::Met));
        let bulk = Bulk::new(&stream, (peer_key, is_relayed), more)?;
        // The dialler may use the token as soon as it has our answer.
        registry.insert(token(&stream)?, &bulk);
        stream.write_all(&[ACCEPTED]).await.map_err(handshake)?;
        stream.flush().await.map_err(handshake)?;
        return Ok(Some(open(stream, bulk, remote)));
    }
    let bulk = registry.find(&preface).filter(|bulk| bulk.peer_key == peer_key);
    let bulk = bulk.ok_or_else(|| Error::new(Kind::Protocol, format!("{what}: it names no connection")))?;
    bulk.make_room_for(1)?;
    stream.write_all(&[ACCEPTED]).await.map_err(handshake)?;
    stream.flush().await.map_err(handshake)?;
    bulk.attach(establish(stream, &secrets)?)?;
    Ok(None)
}

fn open(mut stream: Stream, bulk: Arc<Bulk>, remote: String) -> Connection {
    match &mut stream {
        TlsStream::Client(stream) => stream.get_mut().0.read_freely(),
        TlsStream::Server(stream) => stream.get_mut().0.read_freely(),
    }
    let life = bulk.life.clone();
    let (reader, writer) = tokio::io::split(stream);
    let control = Control::start(life.clone(), reader, writer);
    Connection::new(bulk.peer_key, remote, control, super::Bulk::Tcp(bulk), life)
}

/// Takes a TCP connection out of rustls's hands, with what it has read already.
fn establish(stream: Stream, secrets: &SecretCatcher) -> Result<Established> {
    let (reader, mut session) = match stream {
        TlsStream::Client(stream) => {
            let (reader, session) = stream.into_inner();
            (reader, rustls::Connection::from(session))
        }
        TlsStream::Server(stream) => {
            let (reader, session) = stream.into_inner();
            (reader, rustls::Connection::from(session))
        }
    };
    let failed = |error: io::Error| Error::io("Cannot set up a bulk stream", &error);
    let mut early = Vec::new();
    let ended = match session.reader().read_to_end(&mut early) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => return Err(failed(error)),
    };
    let (sealer, opener) = secrets.take_over(session)?;
    let socket = reader.into_socket().ok_or_else(|| {
        Error::new(Kind::Internal, "Cannot set up a bulk stream: its first record is not complete")
    })?;
    Ok(Established { socket: socket.into_std().map_err(failed)?, sealer, opener, early, ended })
}

fn token(stream: &Stream) -> Result<Token> {
    let token = match stream {
        TlsStream::Client(stream) => {
            stream.get_ref().1.export_keying_material(Token::default(), TOKEN_LABEL, None)
        }
        TlsStream::Server(stream) => {
            stream.get_ref().1.export_keying_material(Token::default(), TOKEN_LABEL, None)
        }
    };
    token.map_err(|error| Error::new(Kind::Internal, format!("cannot derive a connection's token: {error}")))
}

/// Small frames leave at once, and a peer that vanished is noticed. All are improvements only, so none may fail.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(DEAD_AFTER / 4).with_interval(DEAD_AFTER / 4);
    #[cfg(unix)]
    let keepalive = keepalive.with_retries(3);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(DEAD_AFTER));
    #[cfg(target_vendor = "apple")]
    let _ = socket.set_nosigpipe(true);
}

fn duplicate(stream: &TcpStream) -> Result<StdTcpStream> {
    let copy = SockRef::from(stream).try_clone();
    Ok(copy.map_err(|error| Error::io("Cannot set up a connection", &error))?.into())
}

/// The control stream's socket: asked for its round trip, cut when the connection breaks.
struct ControlSocket(StdTcpStream);

impl Interrupt for ControlSocket {
    fn interrupt(&self, error: &Error) {
        // When this side closes, the control stream still says good-bye.
        if error.kind != Kind::Closed {
            let _ = self.0.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// How the dialling side makes further TCP connections.
#[derive(Clone)]
struct Dialler {
    config: Arc<ClientConfig>,
    route: Route,
    token: Token,
    long: LongPaths,
}

/// How further TCP connections come about.
enum More {
    Dials(Dialler),
    Met(Arc<dyn Meets>),
    /// By themselves.
    Comes,
}

/// The bulk streams of one connection: TCP connections that wait for their use.
pub(super) struct Bulk {
    life: Arc<Life>,
    peer_key: PeerKey,
    is_relayed: bool,
    more: More,
    control: Arc<ControlSocket>,
    idle: Mutex<Idle>,
    sources: mpsc::UnboundedSender<TlsSource>,
    ready: AsyncMutex<mpsc::UnboundedReceiver<TlsSource>>,
    attached: watch::Sender<usize>,
}

#[derive(Default)]
struct Idle {
    sinks: Vec<TlsSink>,
    sockets: Vec<Weak<TlsSocket>>,
    /// The number of attached streams that [`Bulk::grow`] waits for on the accepting side.
    expected: usize,
}

impl Bulk {
    fn new(stream: &Stream, (peer_key, is_relayed): (PeerKey, bool), more: More) -> Result<Arc<Bulk>> {
        let life = Life::new();
        let control = Arc::new(ControlSocket(duplicate(stream.get_ref().0.socket())?));
        life.watch(control.clone());
        let (sources, ready) = mpsc::unbounded_channel();
        Ok(Arc::new(Bulk {
            life,
            peer_key,
            is_relayed,
            more,
            control,
            idle: Mutex::default(),
            sources,
            ready: AsyncMutex::new(ready),
            attached: watch::Sender::new(0),
        }))
    }

    pub fn open_sink(&self) -> Result<Box<dyn Sink>> {
        let mut idle = self.idle.lock().unwrap();
        idle.sweep();
        if idle.sinks.is_empty() {
            let text = "Cannot open a bulk stream: none is free, ask for more with net.bulk first";
            return Err(Error::new(Kind::LimitExceeded, text));
        }
        Ok(Box::new(idle.sinks.remove(0)))
    }

    /// The next stream on which the peer has sent something.
    pub async fn next_source(&self) -> Result<Box<dyn Source>> {
        let next = async { self.ready.lock().await.recv().await };
        tokio::select! {
            biased;
            error = self.life.wait() => Err(error),
            source = next => Ok(Box::new(source.expect("the sender lives in self"))),
        }
    }

    /// Adds `streams` TCP connections: dials them, or waits until the peer has.
    pub async fn grow(self: &Arc<Bulk>, streams: usize) -> Result<()> {
        self.make_room_for(streams)?;
        let grown = async {
            match &self.more {
                More::Dials(dialler) => self.dial_all(dialler, streams).await,
                More::Comes => self.wait_for(streams).await,
                More::Met(meets) => tokio::select! {
                    // One that was met for something else may be among them, so it is the streams that count.
                    result = self.wait_for(streams) => result,
                    Err(error) = meet_all(meets, streams) => Err(error),
                },
            }
        };
        tokio::select! {
            result = grown => result,
            error = self.life.wait() => Err(error),
        }
    }

    async fn dial_all(self: &Arc<Bulk>, dialler: &Dialler, streams: usize) -> Result<()> {
        let dial = || {
            let (dialler, what) = (dialler.clone(), dialler.route.what());
            async move {
                let dial = dial_bulk(dialler);
                tokio::time::timeout(BULK_DIAL_TIMEOUT, dial).await.unwrap_or_else(|_| {
                    Err(Error::new(Kind::Timeout, format!("{what}: no answer within 10 s")))
                })
            }
        };
        all(streams, dial, |stream| self.attach(stream)).await
    }

    async fn wait_for(&self, streams: usize) -> Result<()> {
        let target = {
            let mut idle = self.idle.lock().unwrap();
            idle.expected += streams;
            idle.expected
        };
        let mut cancelled = Unexpect { bulk: self, streams };
        let _ = self.attached.subscribe().wait_for(|attached| *attached >= target).await;
        cancelled.streams = 0;
        Ok(())
    }

    fn make_room_for(&self, streams: usize) -> Result<()> {
        let mut idle = self.idle.lock().unwrap();
        idle.sweep();
        match idle.sockets.len() + streams {
            wanted if wanted > MAX_BULK_STREAMS => Err(super::too_many_streams(wanted)),
            _ => Ok(()),
        }
    }

    /// Takes one more TCP connection in.
    fn attach(self: &Arc<Bulk>, established: Established) -> Result<()> {
        let failed = |error: io::Error| Error::io("Cannot set up a bulk stream", &error);
        // The copy tells the runtime when the first byte arrives; the socket itself belongs to blocking threads.
        let copy = TcpStream::from_std(established.socket.try_clone().map_err(failed)?).map_err(failed)?;
        let (socket, sink, source) = tcp_stream::open(established, self.life.clone());
        let mut idle = self.idle.lock().unwrap();
        idle.sinks.push(sink);
        idle.sockets.push(Arc::downgrade(&socket));
        drop(idle);
        self.attached.send_modify(|attached| *attached += 1);
        let (life, sources) = (self.life.clone(), self.sources.clone());
        tokio::spawn(async move {
            let begun =
                async { socket.has_input() || copy.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0) };
            tokio::select! {
                begun = begun => if begun { let _ = sources.send(source); },
                _ = life.wait() => {}
            }
        });
        Ok(())
    }

    pub fn fill_stats(&self, stats: &mut Stats) {
        stats.relayed = self.is_relayed;
        stats.local = self.control.0.local_addr().ok().map(|address| address.ip().to_canonical());
        let Some(control) = super::tcp_info::read(&self.control.0) else { return };
        stats.rtt_us = Some(control.rtt_us);
        let idle = self.idle.lock().unwrap();
        let sockets: Vec<_> = idle.sockets.iter().filter_map(Weak::upgrade).collect();
        drop(idle);
        let of_bulk: Vec<_> =
            sockets.iter().filter_map(|each| super::tcp_info::read(each.socket())).collect();
        let sum = |field: fn(&super::tcp_info::Info) -> u64| of_bulk.iter().map(field).sum::<u64>();
        stats.lost_packets = Some(control.retransmits + sum(|info| info.retransmits));
        stats.cwnd_bytes = Some(sum(|info| info.cwnd_bytes));
        stats.delivery_rate = Some(sum(|info| info.delivery_rate));
    }
}

/// Meets that many, some at a time.
async fn meet_all(meets: &Arc<dyn Meets>, streams: usize) -> Result<()> {
    all(streams, || meets.clone().meet(), Ok).await
}

/// Does the same thing `times` times, some at a time; the first failure ends it.
async fn all<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
    times: usize,
    mut begin: impl FnMut() -> F,
    mut done: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut running = JoinSet::new();
    let mut left = times;
    loop {
        while left > 0 && running.len() < PARALLEL_DIALS {
            running.spawn(begin());
            left -= 1;
        }
        match running.join_next().await {
            Some(Ok(result)) => done(result?)?,
            Some(Err(error)) => {
                return Err(crate::op::panicked(error.is_panic().then(|| error.into_panic())));
            }
            None => return Ok(()),
        }
    }
}

impl Idle {
    /// Forgets the streams that have been used.
    fn sweep(&mut self) {
        self.sinks.retain(|sink| !sink.is_used_up());
        self.sockets.retain(|socket| socket.upgrade().is_some_and(|socket| !socket.is_used_up()));
    }
}

/// Takes an expectation back when the wait for it is cancelled.
struct Unexpect<'a> {
    bulk: &'a Bulk,
    streams: usize,
}

impl Drop for Unexpect<'_> {
    fn drop(&mut self) {
        self.bulk.idle.lock().unwrap().expected -= self.streams;
    }
}

#[cfg(test)]
#[path = "tcp_test.rs"]
mod tests;
