use super::*;

#[test]
fn a_direct_path_is_waited_for_only_where_it_can_come() {
    let rows = [
        ("all that it needs is there", (true, true, true), DIRECT_PATIENCE),
        ("the relay has not said where this machine is", (true, false, true), HEARSAY_PATIENCE),
        ("the peer has named no address", (true, true, false), HEARSAY_PATIENCE),
        ("nothing but the relay may be used here", (false, true, true), Duration::ZERO),
    ];
    for (what, (has_udp, outside, peer), patience) in rows {
        assert_eq!(direct_patience(has_udp, Heard { outside, peer }), patience, "{what}");
    }
}
