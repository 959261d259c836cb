use proptest::prelude::*;

use super::*;

fn sample() -> Columns {
    let mut columns = Columns::new(7);
    let entry = |kind, parent, name, size, target| Entry {
        id: 0,
        kind,
        parent,
        name,
        mode: 0o644,
        size,
        mtime: -5,
        target,
    };
    columns.push(&entry(KIND_DIRECTORY, NO_PARENT, b"root", 0, b""));
    columns.push(&entry(KIND_FILE, 7, b"\xff\n", 1 << 40, b""));
    columns.push(&entry(KIND_SYMLINK, 7, b"link", 6, b"../any"));
    columns.push(&entry(KIND_STREAM, NO_PARENT, b"-", SIZE_UNKNOWN, b""));
    columns.last = true;
    columns
}

#[test]
fn a_page_survives_its_encoding() {
    let columns = sample();
    let decoded = Columns::decode(&columns.encode().unwrap()).unwrap();
    assert_eq!(decoded, columns);
    let entries: Vec<Entry<'_>> = decoded.iter().collect();
    assert_eq!(entries[1].id, 8);
    assert_eq!((entries[1].name, entries[1].size), (&b"\xff\n"[..], 1 << 40));
    assert_eq!((entries[2].target, entries[3].target), (&b"../any"[..], &b""[..]));
}

#[test]
fn inconsistent_pages_are_refused() {
    type Spoil = (&'static str, fn(&mut Columns));
    let table: &[Spoil] = &[
        ("count too large", |c| c.count += 1),
        ("count too small", |c| c.count -= 1),
        ("a column too short", |c| c.modes.truncate(1)),
        ("names too long", |c| c.names.push(1)),
        ("targets too short", |c| c.targets.truncate(2)),
        ("a target of 2^64-1 bytes", |c| c.sizes[2] = u64::MAX),
        ("unknown kind", |c| c.kinds[0] = 9),
        ("own parent", |c| c.parents[1] = 8),
        ("later parent", |c| c.parents[1] = 9),
        ("negative size", |c| c.sizes[1] = u64::MAX),
        ("a directory with a size", |c| c.sizes[0] = 1),
        ("ids overflow", |c| c.first = u32::MAX - 2),
    ];
    for (what, spoil) in table {
        let mut columns = sample();
        spoil(&mut columns);
        let result = Columns::decode(&columns.encode().unwrap());
        assert_eq!(result.unwrap_err().kind, Kind::Protocol, "{what}");
    }
}

#[test]
fn a_page_over_the_limit_is_refused() {
    let mut columns = Columns::new(0);
    for _ in 0..=MAX_ENTRIES {
        let (kind, parent) = (KIND_FILE, NO_PARENT);
        columns.push(&Entry { id: 0, kind, parent, name: b"a", mode: 0, size: 0, mtime: 0, target: b"" });
    }
    assert_eq!(Columns::decode(&columns.encode().unwrap()).unwrap_err().kind, Kind::Protocol);
}

proptest! {
    #[test]
    fn decoding_random_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(columns) = Columns::decode(&bytes) {
            let _ = columns.iter().count();
        }
    }

    #[test]
    fn decoding_a_mutated_page_never_panics(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = sample().encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(columns) = Columns::decode(&bytes) {
            prop_assert_eq!(columns.iter().count(), columns.count as usize);
        }
    }

    #[test]
    fn random_columns_never_panic(
        count in 0u32..6, first in any::<u32>(),
        kinds in proptest::collection::vec(0u8..6, 0..6),
        numbers in proptest::collection::vec(any::<u64>(), 0..6),
    ) {
        let columns = Columns {
            first, count, kinds,
            parents: numbers.iter().map(|n| *n as u32).collect(),
            name_lengths: numbers.iter().map(|n| *n as u16 & 3).collect(),
            names: vec![b'n'; numbers.iter().map(|n| *n as usize & 3).sum()],
            modes: numbers.iter().map(|n| *n as u32).collect(),
            sizes: numbers.clone(),
            mtimes: numbers.iter().map(|n| *n as i64).collect(),
            targets: vec![],
            last: false,
        };
        if let Ok(columns) = Columns::decode(&columns.encode().unwrap()) {
            prop_assert_eq!(columns.iter().count(), count as usize);
        }
    }
}
