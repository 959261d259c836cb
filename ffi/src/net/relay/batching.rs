//! Several packets in one frame to a relay, for an endpoint that has no UDP socket.
//!
//! iroh 1.4.1 asks its UDP sockets and custom transports how many packets may leave at once. With none of them it gives a
//! relay each packet in a WebSocket frame of its own, at five times the cost. So here is a transport that
//! carries nothing and is at no address, but may take several.

use std::io::{self, IoSliceMut};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Poll};

use iroh::endpoint::transports::{CustomEndpoint, CustomSender, CustomTransport, RecvInfo, Transmit};
use iroh_base::CustomAddr;
use n0_watcher::{Direct, Watchable};
use noq::udp::RecvMeta;

/// As many as noq puts together at most.
const PACKETS: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// The transport, for `Builder::add_custom_transport`.
#[derive(Debug)]
pub struct Batching;

impl CustomTransport for Batching {
    fn bind(&self) -> io::Result<Box<dyn CustomEndpoint>> {
        Ok(Box::new(Nowhere(Watchable::new(Vec::new()))))
    }
}

#[derive(Debug)]
struct Nowhere(Watchable<Vec<CustomAddr>>);

impl CustomEndpoint for Nowhere {
    fn watch_local_addrs(&self) -> Direct<Vec<CustomAddr>> {
        self.0.watch()
    }

    fn create_sender(&self) -> Arc<dyn CustomSender> {
        Arc::new(ToNobody)
    }

    fn poll_recv(
        &mut self,
        _: &mut Context<'_>,
        _: &mut [IoSliceMut<'_>],
        _: &mut [RecvMeta],
        _: &mut [RecvInfo],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn max_transmit_segments(&self) -> NonZeroUsize {
        PACKETS
    }
}

#[derive(Debug)]
struct ToNobody;

impl CustomSender for ToNobody {
    fn is_valid_send_addr(&self, _: &CustomAddr) -> bool {
        false
    }

    fn poll_send(
        &self,
        _: &mut Context<'_>,
        _: &CustomAddr,
        _: Option<&CustomAddr>,
        _: &Transmit<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
