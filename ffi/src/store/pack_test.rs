use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::pack_read::{self, check, read};
use super::super::pack_write::{Piece, Source, remove_orphans, write};
use super::*;
use crate::io::stamp::Stamp;

#[derive(Deserialize)]
struct Vector {
    description: String,
    /// Hex of each chunk.
    chunks: Vec<String>,
    /// Name of the file, and its bytes in hex.
    name: String,
    pack: String,
    /// Code of the failure; none for a sound pack.
    error: Option<String>,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../tests/vectors/packs.json")).unwrap()
}

fn stamp(path: &Path) -> Stamp {
    Stamp::of(&fs::File::open(path).unwrap()).unwrap()
}

/// A file with these chunks and where they are in it.
fn file_of(directory: &Path, chunks: &[Vec<u8>]) -> (Source, Vec<Piece>) {
    let path = directory.join("file");
    fs::write(&path, chunks.concat()).unwrap();
    let mut offset = 0;
    let pieces = chunks.iter().map(|chunk| {
        let piece = Piece { source: 0, offset, length: chunk.len() as u32, id: hash(chunk) };
        offset += chunk.len() as u64;
        piece
    });
    let pieces = pieces.collect();
    (Source { stamp: stamp(&path), path }, pieces)
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn packs_are_written_and_read_as_the_vectors_say() {
    let vectors = vectors();
    assert!(vectors.len() >= 10);
    for Vector { description, chunks, name, pack, error } in vectors {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(&name);
        fs::write(&path, hex::decode(&pack)).unwrap();
        if let Some(code) = error {
            let failure = check(&path, &|| false).map(|checked| checked.damaged > 0);
            let failed = match failure {
                Err(error) => format!("{:?}", error.kind),
                Ok(damaged) => if damaged { "Corrupt" } else { "none" }.to_owned(),
            };
            let expected = Kind::ALL.iter().find(|(_, text, _)| *text == code).unwrap().0;
            assert_eq!(failed, format!("{expected:?}"), "{description}");
            continue;
        }
        let chunks: Vec<Vec<u8>> = chunks.iter().map(|chunk| hex::decode(chunk)).collect();
        let found = read(&path).unwrap();
        let expected: Vec<_> =
            chunks.iter().map(|chunk| PackedChunk { id: hash(chunk), length: chunk.len() as u32 }).collect();
        assert_eq!(found.chunks, expected, "{description}");
        assert_eq!(check(&path, &|| false).unwrap().damaged, 0);
        let (source, pieces) = file_of(directory.path(), &chunks);
        fs::remove_file(&path).unwrap();
        let written = write(directory.path(), &[source], &pieces, &|| false).unwrap();
        assert_eq!(written.pack.unwrap().0, name, "{description}");
        assert_eq!(fs::read(&path).unwrap(), hex::decode(&pack), "{description}");
    }
}

#[test]
fn a_pack_of_an_old_version_is_read() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/store/packs");
    let packs = names(Path::new(directory));
    assert_eq!(packs.len(), 1);
    let checked = check(&packs[0], &|| false).unwrap();
    assert_eq!((checked.chunks, checked.damaged), (3, 0));
}

#[test]
fn write_keeps_what_is_right_and_counts_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("packs");
    fs::create_dir(&store).unwrap();
    let (source, mut pieces) = file_of(directory.path(), &[vec![1; 100], vec![2; 200], vec![3; 300]]);
    pieces[1].id[0] ^= 1;
    let beyond = Piece { offset: 599, ..pieces[2] };
    pieces.push(beyond);
    let gone = Source { path: directory.path().join("gone"), stamp: source.stamp };
    pieces.push(Piece { source: 1, ..pieces[0] });
    let changed = Source { path: source.path.clone(), stamp: Stamp { ino: 1, ..source.stamp } };
    pieces.push(Piece { source: 2, ..pieces[0] });
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&source.path, &link).unwrap();
    let linked = Source { path: link, stamp: source.stamp };
    pieces.push(Piece { source: 3, ..pieces[0] });
    let written = write(&store, &[source, gone, changed, linked], &pieces, &|| false).unwrap();
    let (name, pack) = written.pack.unwrap();
    assert_eq!((written.rejected, pack.chunks.len(), pack.tail), (5, 2, 2 * 36 + 48));
    let path = store.join(name);
    assert_eq!(names(&store), std::slice::from_ref(&path));
    assert_eq!(fs::read(&path).unwrap()[..400], [vec![1; 100], vec![3; 300]].concat());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
}

#[test]
fn write_leaves_nothing_behind_when_nothing_fits_or_it_is_cancelled() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("packs");
    fs::create_dir(&store).unwrap();
    let (source, pieces) = file_of(directory.path(), &[vec![1; 100]]);
    let sources = [source];
    let wrong = [Piece { id: [9; 32], ..pieces[0] }];
    assert!(write(&store, &sources, &wrong, &|| false).unwrap().pack.is_none());
    assert_eq!(write(&store, &sources, &pieces, &|| true).err().unwrap().kind, Kind::Cancelled);
    for piece in [Piece { length: 0, ..pieces[0] }, Piece { source: 1, ..pieces[0] }] {
        assert_eq!(write(&store, &sources, &[piece], &|| false).err().unwrap().kind, Kind::InvalidArgument);
    }
    let large = vec![Piece { length: MAX_CHUNK_BYTES, ..pieces[0] }; 17];
    assert_eq!(write(&store, &sources, &large, &|| false).err().unwrap().kind, Kind::InvalidArgument);
    assert_eq!(names(&store), Vec::<PathBuf>::new());
}

#[test]
fn write_takes_a_sound_pack_of_the_same_name_and_replaces_a_damaged_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("packs");
    fs::create_dir(&store).unwrap();
    let (source, pieces) = file_of(directory.path(), &[vec![1; 100]]);
    let sources = [source];
    let once = || {
        let (name, _) = write(&store, &sources, &pieces, &|| false).unwrap().pack.unwrap();
        store.join(name)
    };
    let path = once();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let first = inode(&path);
    assert_eq!(inode(&once()), first);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_ne!(inode(&once()), first);
    assert_eq!(check(&path, &|| false).unwrap().damaged, 0);
}

#[test]
fn orphans_go_and_what_is_written_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (source, pieces) = file_of(directory.path(), &[vec![1; 100]]);
    let store = directory.path().join("packs");
    assert_eq!(remove_orphans(&store).unwrap(), 0);
    fs::create_dir(&store).unwrap();
    for name in [".wormhole-0123456789abcdef.part", ".wormhole-.part", "notes"] {
        fs::write(store.join(name), b"x").unwrap();
    }
    // Another program cleans up in the middle of a writing.
    let cleaned = std::cell::Cell::new(0);
    let clean = || {
        cleaned.set(cleaned.get() + remove_orphans(&store).unwrap());
        false
    };
    let written = write(&store, &[source], &pieces, &clean).unwrap();
    let (name, _) = written.pack.unwrap();
    assert_eq!(cleaned.get(), 1);
    assert_eq!(names(&store), [store.join(".wormhole-.part"), store.join(&name), store.join("notes")]);
    assert_eq!(pack_read::check(&store.join(name), &|| false).unwrap().damaged, 0);
}
