//! How QUIC is set: windows, congestion control, timers. Measured in `docs/design/links.md`.

use std::sync::Arc;
use std::time::Duration;

use iroh::endpoint::{ControllerFactory, QuicTransportConfig, VarInt};
use noq_proto::congestion::CubicConfig;

use super::MAX_BULK_STREAMS;
use super::bbr::BbrFactory;
use super::by_path::ByPathFactory;
use crate::error::{Error, Kind, Result};

/// What a peer may have in flight to us, and the most that it can make us hold: what all its streams hold and as much
/// for the control stream. If they could use it up, a receiver that does not read some of them, since its disk stalls
/// or its buffers are all in use, would get nothing on the others any more, pings included.
const RECEIVE_WINDOW: u32 = (MAX_BULK_STREAMS as u32 + 1) * STREAM_RECEIVE_WINDOW;

/// The same for one stream. noq-proto 1.4.0 ends the connection ("too many gaps in stream buffer") when a stream holds
/// more than 2048 packets that wait for a lost one or for the reader (quinn issue 2809, fixed there by pull request
/// 2814), so this must stay below 2048 x 1150 bytes: 160 Mbit/s per stream at 100 ms, 64 streams for 10 Gbit/s.
const STREAM_RECEIVE_WINDOW: u32 = 2 << 20;

/// What we hold until the peer acknowledges it, sent or not: 5 Gbit/s x 100 ms. More would only queue on slow links.
const SEND_WINDOW: u64 = 64 << 20;

const KEEP_ALIVE: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT_MS: u32 = 20_000;

/// How a sender finds out how fast it may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// Slows down when packets are lost.
    Cubic,
    /// Models the path's rate and round trip; packets that are lost for other reasons than congestion cost little.
    Bbr,
    /// [`Congestion::Bbr`] on paths whose round trip is at least this, [`Congestion::Cubic`] on shorter ones.
    BbrFrom(Duration),
}

impl Congestion {
    /// The controller with the name that TypeScript uses.
    pub fn from_name(name: &str) -> Result<Congestion> {
        match name {
            "cubic" => Ok(Congestion::Cubic),
            "bbr" => Ok(Congestion::Bbr),
            _ => Err(Error::new(
                Kind::InvalidArgument,
                format!("Cannot use congestion control \"{name}\": unknown"),
            )),
        }
    }
}

/// The settings of every QUIC connection.
pub fn transport_config(congestion: Congestion) -> iroh::endpoint::QuicTransportConfigBuilder {
    let controller: Arc<dyn ControllerFactory + Send + Sync> = match congestion {
        Congestion::Cubic => Arc::new(CubicConfig::default()),
        Congestion::Bbr => Arc::new(BbrFactory),
        Congestion::BbrFrom(long_from) => Arc::new(ByPathFactory { long_from }),
    };
    QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_BULK_STREAMS as u32))
        .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .congestion_controller_factory(controller)
        .keep_alive_interval(KEEP_ALIVE)
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
}
