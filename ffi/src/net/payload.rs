//! What a sink sends after a frame's head: memory that it owns, so that nothing has to be copied on the way.

use bytes::Bytes;

/// Memory that lends its bytes, and goes back to where it came from when it is dropped.
trait Memory: AsRef<[u8]> + AsMut<[u8]> + Send {}

impl<T: AsRef<[u8]> + AsMut<[u8]> + Send> Memory for T {}

/// The bytes of one frame, in the memory that they were read or compressed into.
///
/// A sink may change them: over TCP they are encrypted in place.
pub struct Payload(Box<dyn Memory>);

impl Payload {
    /// Takes `memory` over; as a rule a buffer of the pool.
    pub fn new(memory: impl AsRef<[u8]> + AsMut<[u8]> + Send + 'static) -> Payload {
        Payload(Box::new(memory))
    }

    /// The payload of a frame that only has a head.
    pub fn none() -> Payload {
        Payload::new([])
    }

    /// Lends the bytes for changing them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        (*self.0).as_mut()
    }

    /// Shares the bytes without copying them; the memory is dropped with the last `Bytes`.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}
