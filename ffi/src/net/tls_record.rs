//! TLS 1.3 records (RFC 8446 §5) after the handshake: sealed where the bytes lie, opened into where they belong.
//!
//! Knows no socket: `tcp_stream.rs` moves the records. What a peer sends is checked before it is used: lengths, types,
//! alerts, handshake messages and how many of them may come without any data.

use std::mem;

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::tls_secrets::TrafficSecret;
use crate::error::{Error, Kind};

/// Type, version, length.
pub(super) const HEADER_BYTES: usize = 5;

/// The most content of one record.
pub(super) const MAX_CONTENT_BYTES: usize = 1 << 14;

const TAG_BYTES: usize = 16;

/// What follows a sealed record's content: its encrypted type and the tag.
pub(super) const TRAILER_BYTES: usize = 1 + TAG_BYTES;

/// The most that may follow a header (RFC 8446 §5.2); padding makes records longer than ours.
const MAX_BODY_BYTES: usize = MAX_CONTENT_BYTES + 256;

/// The largest record with its header.
pub(super) const MAX_RECORD_BYTES: usize = HEADER_BYTES + MAX_BODY_BYTES;

/// The records of the largest content, as a sender of bulk data makes them.
pub(super) const FULL_RECORD_BYTES: usize = HEADER_BYTES + MAX_CONTENT_BYTES + TRAILER_BYTES;

/// Records without data that a peer may send in a row, caps the work that nobody gains from.
const MAX_QUIET_RECORDS: u32 = 32;

/// The longest handshake message that is put together: a session ticket with its 64 KiB fields.
const MAX_HANDSHAKE_BYTES: usize = 2 * (1 << 16) + 64;

/// Content types (RFC 8446 §B.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Handshake messages that may come after the handshake (RFC 8446 §4.6).
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// Alerts (RFC 8446 §6).
const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const RECORD_OVERFLOW: u8 = 22;
const ILLEGAL_PARAMETER: u8 = 47;
const DECODE_ERROR: u8 = 50;
const USER_CANCELED: u8 = 90;
const FATAL: u8 = 2;
const WARNING: u8 = 1;

/// Why the peer's records cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What to tell the peer; none when the peer itself gave up.
    pub alert: Option<u8>,
    kind: Kind,
    why: &'static str,
}

impl Fault {
    const fn new(alert: u8, kind: Kind, why: &'static str) -> Fault {
        Fault { alert: Some(alert), kind, why }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::new(fault.kind, format!("the bulk stream is damaged: {}", fault.why))
    }
}

const DAMAGED: Fault = Fault::new(BAD_RECORD_MAC, Kind::Corrupt, "a record does not authenticate");
const TOO_LONG: Fault = Fault::new(RECORD_OVERFLOW, Kind::Protocol, "a record is too long");
const TOO_SHORT: Fault = Fault::new(DECODE_ERROR, Kind::Protocol, "a record is too short");
const UNEXPECTED: Fault = Fault::new(UNEXPECTED_MESSAGE, Kind::Protocol, "a record has an unexpected type");
const QUIET: Fault = Fault::new(UNEXPECTED_MESSAGE, Kind::Protocol, "too many records carry no data");
const BAD_MESSAGE: Fault = Fault::new(DECODE_ERROR, Kind::Protocol, "a handshake message is malformed");
const BAD_UPDATE: Fault = Fault::new(ILLEGAL_PARAMETER, Kind::Protocol, "a key update is malformed");
const GAVE_UP: Fault =
    Fault { alert: None, kind: Kind::ConnectionLost, why: "the peer ended it with an alert" };

/// One direction's key with the number of the next record.
struct Protection {
    secret: TrafficSecret,
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
}

impl Protection {
    fn new(secret: TrafficSecret, sequence: u64) -> Protection {
        let (key, iv) = secret.keys();
        Protection { secret, key, iv, sequence }
    }

    fn update(&mut self) {
        *self = Protection::new(self.secret.next(), 0);
    }

    /// The nonce of the next record (RFC 8446 §5.3).
    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        self.sequence = self.sequence.checked_add(1).expect("keys are updated long before");
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what this side sends.
pub(super) struct Sealer {
    protection: Protection,
    record_limit: u64,
}

impl Sealer {
    /// Goes on with record number `sequence` under `secret`.
    pub fn new(secret: TrafficSecret, sequence: u64) -> Sealer {
        let record_limit = secret.suite.record_limit();
        Sealer { protection: Protection::new(secret, sequence), record_limit }
    }

    #[cfg(test)]
    pub fn limit_records(&mut self, record_limit: u64) {
        self.record_limit = record_limit;
    }

    /// Encrypts `content`, at most [`MAX_CONTENT_BYTES`] of application data, where it is; gives what goes before it
    /// and what follows it.
    pub fn seal(&mut self, content: &mut [u8], trailer: &mut [u8; TRAILER_BYTES]) -> [u8; HEADER_BYTES] {
        self.seal_as(APPLICATION_DATA, content, trailer)
    }

    /// Whether the key must be updated before `records` more.
    pub fn is_worn_out(&self, records: u64) -> bool {
        // One is left for the update itself.
        self.record_limit.saturating_sub(self.protection.sequence) <= records
    }

    /// The record that tells the peer of new keys, which the next record uses.
    pub fn update_keys(&mut self) -> Vec<u8> {
        // An answer to the peer, or for our own key's sake: either way the peer's key may stay.
        const UPDATE_NOT_REQUESTED: u8 = 0;
        let record = self.small_record(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, UPDATE_NOT_REQUESTED]);
        self.protection.update();
        record
    }

    #[cfg(test)]
    pub fn ask_for_new_keys(&mut self) -> Vec<u8> {
        let record = self.small_record(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 1]);
        self.protection.update();
        record
    }

    /// The record that ends this direction cleanly.
    pub fn close_notify(&mut self) -> Vec<u8> {
        self.small_record(ALERT, &[WARNING, CLOSE_NOTIFY])
    }

    /// The record that ends the connection because of a fault.
    pub fn alert(&mut self, alert: u8) -> Vec<u8> {
        self.small_record(ALERT, &[FATAL, alert])
    }

    pub(super) fn small_record(&mut self, content_type: u8, content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        let mut trailer = [0; TRAILER_BYTES];
        let header = self.seal_as(content_type, &mut content, &mut trailer);
        [&header[..], &content, &trailer].concat()
    }

    fn seal_as(
        &mut self,
        content_type: u8,
        content: &mut [u8],
        trailer: &mut [u8; TRAILER_BYTES],
    ) -> [u8; HEADER_BYTES] {
        debug_assert!(content.len() <= MAX_CONTENT_BYTES);
        let length = (content.len() + TRAILER_BYTES) as u16;
        let [high, low] = length.to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        let nonce = self.protection.nonce();
        self.protection
            .key
            .seal_in_place_scatter(nonce, Aad::from(header), content, &[content_type], trailer)
            .expect("a record is far below the cipher's limits");
        header
    }
}

/// What a record turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// This many bytes of application data, from the start of where it was opened.
    Data(usize),
    /// Something between the two TLS ends.
    Quiet,
    /// The peer will send nothing more.
    Closed,
}

/// Opens what the peer sends.
pub(super) struct Opener {
    protection: Protection,
    /// A handshake message of which the rest is in the next records.
    handshake: Vec<u8>,
    quiet_records: u32,
    update_requested: bool,
}

impl Opener {
    /// Goes on with record number `sequence` under `secret`.
    pub fn new(secret: TrafficSecret, sequence: u64) -> Opener {
        let protection = Protection::new(secret, sequence);
        Opener { protection, handshake: Vec::new(), quiet_records: 0, update_requested: false }
    }

    /// How long the record with this header is, header included.
    pub fn record_bytes(header: [u8; HEADER_BYTES]) -> Result<usize, Fault> {
        let [content_type, major, _, high, low] = header;
        // A change_cipher_spec is only tolerated during the handshake (RFC 8446 §5).
        if content_type != APPLICATION_DATA || major != 3 {
            return Err(UNEXPECTED);
        }
        match usize::from(u16::from_be_bytes([high, low])) {
            length if length > MAX_BODY_BYTES => Err(TOO_LONG),
            length if length < TRAILER_BYTES => Err(TOO_SHORT),
            length => Ok(HEADER_BYTES + length),
        }
    }

    /// Room that opening a record of `record_bytes` elsewhere takes: its content, type and padding.
    pub fn room_for(record_bytes: usize) -> usize {
        record_bytes - HEADER_BYTES - TAG_BYTES
    }

    /// Decrypts one whole record into the start of `out`, which has [`Opener::room_for`] it.
    pub fn open_into(&mut self, record: &[u8], out: &mut [u8]) -> Result<Opened, Fault> {
        let (header, body) = record.split_at(HEADER_BYTES);
        let (ciphertext, tag) = body.split_at(body.len() - TAG_BYTES);
        let out = &mut out[..ciphertext.len()];
        let nonce = self.protection.nonce();
        self.protection
            .key
            .open_separate_gather(nonce, Aad::from(header), ciphertext, tag, out)
            .map_err(|_| DAMAGED)?;
        self.look_at(out)
    }

    /// Decrypts one whole record where it is; the content begins after the header.
    pub fn open_in_place(&mut self, record: &mut [u8]) -> Result<Opened, Fault> {
        let (header, body) = record.split_at_mut(HEADER_BYTES);
        let nonce = self.protection.nonce();
        let inner =
            self.protection.key.open_in_place(nonce, Aad::from(&*header), body).map_err(|_| DAMAGED)?;
        self.look_at(inner)
    }

    /// Whether the peer has asked for new keys since the last call: they are due before the next data we send.
    pub fn take_update_request(&mut self) -> bool {
        mem::take(&mut self.update_requested)
    }

    /// `inner`: content, type, zeros (RFC 8446 §5.4).
    fn look_at(&mut self, inner: &[u8]) -> Result<Opened, Fault> {
        let end = inner.iter().rposition(|&byte| byte != 0).ok_or(UNEXPECTED)?;
        let (content, content_type) = (&inner[..end], inner[end]);
        if content.len() > MAX_CONTENT_BYTES {
            return Err(TOO_LONG);
        }
        if content_type != HANDSHAKE && !self.handshake.is_empty() {
            return Err(UNEXPECTED);
        }
        match content_type {
            APPLICATION_DATA if !content.is_empty() => {
                self.quiet_records = 0;
                return Ok(Opened::Data(content.len()));
            }
            APPLICATION_DATA => {}
            ALERT => match *content {
                [_, CLOSE_NOTIFY] => return Ok(Opened::Closed),
                [_, USER_CANCELED] => {}
                [_, _] => return Err(GAVE_UP),
                _ => return Err(TOO_SHORT),
            },
            HANDSHAKE if !content.is_empty() => self.take_handshake(content)?,
            HANDSHAKE | CHANGE_CIPHER_SPEC => return Err(UNEXPECTED),
            _ => return Err(UNEXPECTED),
        }
        self.quiet_records += 1;
        if self.quiet_records > MAX_QUIET_RECORDS {
            return Err(QUIET);
        }
        Ok(Opened::Quiet)
    }

    fn take_handshake(&mut self, content: &[u8]) -> Result<(), Fault> {
        self.handshake.extend_from_slice(content);
        while let [message_type, high, middle, low, rest @ ..] = &self.handshake[..] {
            let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            if length > MAX_HANDSHAKE_BYTES {
                return Err(BAD_MESSAGE);
            }
            match *message_type {
                NEW_SESSION_TICKET if rest.len() >= length => {
                    // Sessions are not resumed.
                    self.handshake.drain(..4 + length);
                }
                KEY_UPDATE if length != 1 => return Err(BAD_UPDATE),
                KEY_UPDATE if !rest.is_empty() => {
                    // What follows is under the new key, so it cannot be in this record.
                    let &[requested] = rest else { return Err(UNEXPECTED) };
                    if requested > 1 {
                        return Err(BAD_UPDATE);
                    }
                    self.update_requested |= requested == 1;
                    self.handshake.clear();
                    self.protection.update();
                }
                NEW_SESSION_TICKET | KEY_UPDATE => return Ok(()),
                _ => return Err(UNEXPECTED),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tls_record_test.rs"]
mod tests;
