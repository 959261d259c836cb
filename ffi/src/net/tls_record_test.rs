use std::io::{Read, Write};

use rustls::Connection;

use super::super::tls_testing::{Mixed, SUITES, feed, mixed, output};
use super::*;

fn sealed(sealer: &mut Sealer, content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    let mut trailer = [0; TRAILER_BYTES];
    let header = sealer.seal(&mut content, &mut trailer);
    [&header[..], &content, &trailer].concat()
}

/// The data of whole records, as `tcp_stream.rs` takes them.
fn opened(opener: &mut Opener, mut records: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut data = Vec::new();
    while !records.is_empty() {
        let length = Opener::record_bytes(*records.first_chunk().unwrap())?;
        let (record, rest) = records.split_at(length);
        records = rest;
        let mut out = vec![0; Opener::room_for(length)];
        if let Opened::Data(length) = opener.open_into(record, &mut out)? {
            data.extend_from_slice(&out[..length]);
        }
    }
    Ok(data)
}

fn read(session: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = session.reader().read_to_end(&mut bytes);
    bytes
}

fn written(session: &mut Connection, content: &[u8]) -> Vec<u8> {
    session.set_buffer_limit(None);
    session.writer().write_all(content).unwrap();
    output(session)
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn any() -> Mixed {
    mixed(SUITES[0], true)
}

#[test]
fn rustls_reads_what_we_seal_and_we_open_what_it_writes() {
    for suite in SUITES {
        for ours_is_client in [true, false] {
            let Mixed { mut sealer, mut opener, mut peer } = mixed(suite, ours_is_client);
            for length in [1, 2, 1000, MAX_CONTENT_BYTES - 1, MAX_CONTENT_BYTES] {
                let content = noise(length);
                feed(&mut peer, &sealed(&mut sealer, &content)).unwrap();
                assert!(read(&mut peer) == content, "{suite:?}: {length} to rustls");
                let records = written(&mut peer, &content);
                assert!(opened(&mut opener, &records).unwrap() == content, "{suite:?}: {length} from rustls");
            }
            let content = noise(100_000);
            let records = written(&mut peer, &content);
            assert_eq!(opened(&mut opener, &records).unwrap(), content);
        }
    }
}

#[test]
fn a_record_opens_where_it_is() {
    let Mixed { mut opener, mut peer, .. } = any();
    let mut record = written(&mut peer, b"in place");
    assert_eq!(opener.open_in_place(&mut record), Ok(Opened::Data(8)));
    assert_eq!(&record[HEADER_BYTES..][..8], b"in place");
}

#[test]
fn padding_is_taken_off() {
    let Mixed { mut opener, mut peer, .. } = any();
    // rustls does not pad; what another sender pads is content, type and zeros.
    for (inner, expected) in [
        (&b"abc\x17\0\0\0\0"[..], Ok(Opened::Data(3))),
        (b"\x17\0\0", Ok(Opened::Quiet)),
        (b"\0\0\0", Err(UNEXPECTED)),
    ] {
        assert_eq!(opener.look_at(inner), expected, "{inner:?}");
    }
    let longest = [vec![7; MAX_CONTENT_BYTES], vec![APPLICATION_DATA], vec![0; 100]].concat();
    assert_eq!(opener.look_at(&longest), Ok(Opened::Data(MAX_CONTENT_BYTES)));
    let longer = [vec![7; MAX_CONTENT_BYTES + 1], vec![APPLICATION_DATA]].concat();
    assert_eq!(opener.look_at(&longer), Err(TOO_LONG));
    let records = written(&mut peer, b"still in order");
    assert_eq!(opened(&mut opener, &records).unwrap(), b"still in order");
}

#[test]
fn damaged_records_are_refused() {
    for suite in SUITES {
        let record = |mixed: &mut Mixed| written(&mut mixed.peer, &noise(300));
        for at in [0, 2, HEADER_BYTES, 100, 304, 305, 306, 321] {
            let mut ends = mixed(suite, true);
            let mut bytes = record(&mut ends);
            bytes[at] ^= 1;
            let fault = opened(&mut ends.opener, &bytes).unwrap_err();
            assert_eq!(fault, if at == 0 { UNEXPECTED } else { DAMAGED }, "{suite:?}: byte {at}");
        }
    }
}

#[test]
fn records_out_of_order_or_twice_are_refused() {
    let Mixed { mut opener, mut peer, .. } = any();
    let (first, second) = (written(&mut peer, b"first"), written(&mut peer, b"second"));
    assert_eq!(opened(&mut opener, &second), Err(DAMAGED));
    let Mixed { mut opener, mut peer, .. } = any();
    let again = written(&mut peer, b"first");
    assert_eq!(opened(&mut opener, &again).unwrap(), b"first");
    assert_eq!(opened(&mut opener, &again), Err(DAMAGED));
    assert_ne!(again, first, "every session has its own keys");
}

#[test]
fn lengths_and_types_are_checked_before_anything_else() {
    let header = |content_type: u8, length: usize| {
        let [high, low] = (length as u16).to_be_bytes();
        Opener::record_bytes([content_type, 3, 3, high, low])
    };
    assert_eq!(header(APPLICATION_DATA, MAX_BODY_BYTES), Ok(MAX_RECORD_BYTES));
    assert_eq!(header(APPLICATION_DATA, MAX_BODY_BYTES + 1), Err(TOO_LONG));
    assert_eq!(header(APPLICATION_DATA, 0xffff), Err(TOO_LONG));
    assert_eq!(header(APPLICATION_DATA, TRAILER_BYTES), Ok(HEADER_BYTES + TRAILER_BYTES));
    assert_eq!(header(APPLICATION_DATA, TRAILER_BYTES - 1), Err(TOO_SHORT));
    for content_type in [0, CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, 24, 255] {
        assert_eq!(header(content_type, 100), Err(UNEXPECTED), "{content_type}");
    }
}

#[test]
fn both_ends_update_their_keys() {
    for suite in SUITES {
        for ours_is_client in [true, false] {
            let Mixed { mut sealer, mut opener, mut peer } = mixed(suite, ours_is_client);
            for round in 0..5u8 {
                // rustls asks for ours; it has its new key from the next record on.
                peer.refresh_traffic_keys().unwrap();
                let records = written(&mut peer, &[round; 100]);
                assert_eq!(opened(&mut opener, &records).unwrap(), [round; 100]);
                assert!(opener.take_update_request());
                assert!(!opener.take_update_request());
                let answer = [sealer.update_keys(), sealed(&mut sealer, &[round; 50])].concat();
                feed(&mut peer, &answer).unwrap();
                assert_eq!(read(&mut peer), [round; 50]);
                // We ask for rustls's.
                let request = [sealer.ask_for_new_keys(), sealed(&mut sealer, b"new")].concat();
                feed(&mut peer, &request).unwrap();
                assert_eq!(read(&mut peer), b"new");
                let records = written(&mut peer, b"answered");
                assert_eq!(opened(&mut opener, &records).unwrap(), b"answered");
                assert!(!opener.take_update_request());
                assert_eq!(opener.protection.sequence, 1, "the key is new");
            }
        }
    }
}

#[test]
fn a_worn_out_key_leaves_room_for_its_update() {
    let Mixed { mut sealer, .. } = any();
    sealer.limit_records(10);
    let mut records = 0;
    while !sealer.is_worn_out(3) {
        for _ in 0..3 {
            sealed(&mut sealer, b"x");
            records += 1;
        }
    }
    assert_eq!(records, 9);
    sealer.update_keys();
    assert!(!sealer.is_worn_out(3));
    let Mixed { mut sealer, .. } = mixed(SUITES[2], true);
    sealer.protection.sequence = 1 << 40;
    assert!(!sealer.is_worn_out(1 << 20), "chacha20 has no such limit");
}

#[test]
fn handshake_messages_are_put_together_and_checked() {
    let ticket = [&[NEW_SESSION_TICKET, 0, 0, 5][..], b"stuff"].concat();
    let update = |requested: u8| vec![KEY_UPDATE, 0, 0, 1, requested];
    type Case<'a> = (&'a str, Vec<Vec<u8>>, Result<Opened, Fault>);
    let cases: [Case<'_>; 12] = [
        ("a ticket", vec![ticket.clone()], Ok(Opened::Quiet)),
        ("two tickets in one record", vec![[&ticket[..], &ticket].concat()], Ok(Opened::Quiet)),
        ("a cut ticket", vec![ticket[..6].to_vec(), ticket[6..].to_vec()], Ok(Opened::Quiet)),
        ("a cut update", vec![update(0)[..2].to_vec(), update(0)[2..].to_vec()], Ok(Opened::Quiet)),
        ("a ticket, then an update", vec![[&ticket[..], &update(0)].concat()], Ok(Opened::Quiet)),
        ("an update with something behind", vec![[&update(0)[..], &ticket].concat()], Err(UNEXPECTED)),
        ("an unknown request", vec![update(2)], Err(BAD_UPDATE)),
        ("a long update", vec![vec![KEY_UPDATE, 0, 0, 2, 0, 0]], Err(BAD_UPDATE)),
        ("an endless ticket", vec![vec![NEW_SESSION_TICKET, 255, 255, 255]], Err(BAD_MESSAGE)),
        ("a finished", vec![vec![20, 0, 0, 1, 0]], Err(UNEXPECTED)),
        ("nothing", vec![Vec::new()], Err(UNEXPECTED)),
        ("a client hello", vec![vec![1, 0, 0, 0]], Err(UNEXPECTED)),
    ];
    for (what, messages, expected) in cases {
        // Both ends are ours, so that anything can be sent.
        let Mixed { mut sealer, opener: _, peer: _ } = any();
        let mut opener = Opener::new(sealer.protection.secret.clone(), 0);
        sealer.protection.sequence = 0;
        let mut last = Ok(Opened::Quiet);
        for message in messages {
            let record = sealer.small_record(HANDSHAKE, &message);
            last = opener.open_into(&record, &mut [0; 100]);
        }
        assert_eq!(last, expected, "{what}");
    }
}

#[test]
fn data_inside_a_handshake_message_is_refused() {
    let Mixed { mut opener, .. } = any();
    assert_eq!(opener.look_at(&[NEW_SESSION_TICKET, 0, 0, 9, HANDSHAKE]), Ok(Opened::Quiet));
    assert_eq!(opener.look_at(&[1, 2, 3, APPLICATION_DATA]), Err(UNEXPECTED));
}

#[test]
fn alerts_end_the_stream_cleanly_or_not() {
    let Mixed { mut sealer, mut opener, mut peer } = any();
    peer.send_close_notify();
    let record = output(&mut peer);
    assert_eq!(opener.open_into(&record, &mut [0; 100]), Ok(Opened::Closed));
    assert!(!peer.process_new_packets().unwrap().peer_has_closed());
    feed(&mut peer, &sealer.close_notify()).unwrap();
    assert!(peer.process_new_packets().unwrap().peer_has_closed());
    for (alert, expected) in [
        (&[WARNING, USER_CANCELED][..], Ok(Opened::Quiet)),
        (&[FATAL, BAD_RECORD_MAC], Err(GAVE_UP)),
        (&[WARNING, 200], Err(GAVE_UP)),
        (&[FATAL], Err(TOO_SHORT)),
        (&[], Err(TOO_SHORT)),
        (&[WARNING, CLOSE_NOTIFY, 0, 1], Err(TOO_SHORT)),
    ] {
        let Mixed { mut opener, .. } = any();
        assert_eq!(opener.look_at(&[alert, &[ALERT]].concat()), expected, "{alert:?}");
    }
    let Mixed { mut sealer, mut peer, .. } = any();
    let told = feed(&mut peer, &sealer.alert(BAD_RECORD_MAC)).unwrap_err();
    assert_eq!(told, rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
}

#[test]
fn records_without_data_come_only_so_often() {
    let Mixed { mut opener, .. } = any();
    let (data, empty, canceled) =
        ([1, APPLICATION_DATA], [APPLICATION_DATA], [WARNING, USER_CANCELED, ALERT]);
    for _ in 0..3 {
        for _ in 0..MAX_QUIET_RECORDS / 2 {
            assert_eq!(opener.look_at(&empty), Ok(Opened::Quiet));
            assert_eq!(opener.look_at(&canceled), Ok(Opened::Quiet));
        }
        assert_eq!(opener.look_at(&data), Ok(Opened::Data(1)));
    }
    for _ in 0..MAX_QUIET_RECORDS {
        assert_eq!(opener.look_at(&empty), Ok(Opened::Quiet));
    }
    assert_eq!(opener.look_at(&empty), Err(QUIET));
}
