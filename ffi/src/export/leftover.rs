//! `src/native/leftover.ts`: what earlier transfers left, for a receive session to go on with.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::LocalPath;
use crate::error::{Error, Kind, Result};
use crate::io::columns::Columns;
use crate::io::leftover::LeftoverFolder;
use crate::op::{self, Context, Op, OpFuture, blocking};
use crate::transfer::expect::ReceiveSession;
use crate::transfer::leftover::LeftoverPage;

pub const OPERATIONS: &[(&str, Op)] = &[
    ("leftover.add", add),
    ("leftover.records", records),
    ("leftover.spent", spent),
    ("leftover.remove", remove),
    ("leftover.clean", clean),
];

#[derive(Deserialize)]
struct ReceiveArgs {
    receive: u32,
}

#[derive(Deserialize)]
struct AddArgs {
    receive: u32,
    staging: ByteBuf,
    /// CBOR of [`VersionedPage`] each.
    pages: Vec<ByteBuf>,
    /// All that holds within the run of the system in which it was written, and what holds after it.
    verified: Vec<ByteBuf>,
    synced: Vec<ByteBuf>,
}

/// A manifest page as the journal keeps it.
#[derive(Deserialize)]
struct VersionedPage {
    columns: Columns,
    versions: ByteBuf,
}

#[derive(Serialize)]
struct AddResult {
    taken: bool,
}

fn add(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: AddArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let taken = blocking(move || {
            let pages = args.pages.iter().map(|page| page_of(page)).collect::<Result<Vec<_>>>()?;
            let verified: Vec<&[u8]> = args.verified.iter().map(|blob| &blob[..]).collect();
            let synced: Vec<&[u8]> = args.synced.iter().map(|blob| &blob[..]).collect();
            session.add_leftover(&args.staging, &pages, (&verified, &synced))
        })
        .await?;
        Ok(AddResult { taken })
    })
}

fn page_of(bytes: &[u8]) -> Result<LeftoverPage> {
    let page: VersionedPage = ciborium::from_reader(bytes)
        .map_err(|error| Error::new(Kind::Corrupt, format!("Cannot read a page of the journal: {error}")))?;
    Ok(LeftoverPage { columns: page.columns, versions: versions_of(&page.versions) })
}

/// Versions as they travel: u64 each, little endian.
pub(super) fn versions_of(bytes: &[u8]) -> Vec<u64> {
    let (versions, _) = bytes.as_chunks::<8>();
    versions.iter().map(|version| u64::from_le_bytes(*version)).collect()
}

#[derive(Deserialize)]
struct RecordsArgs {
    receive: u32,
    columns: Columns,
    versions: ByteBuf,
}

#[derive(Serialize)]
struct RecordsResult {
    records: ByteBuf,
}

fn records(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RecordsArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let versions = versions_of(&args.versions);
        blocking(move || {
            let records = session.leftovers.lock().unwrap().records_for(&args.columns, &versions);
            Ok(RecordsResult { records: ByteBuf::from(records) })
        })
        .await
    })
}

#[derive(Serialize)]
struct SpentResult {
    staging: Vec<ByteBuf>,
}

fn spent(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: ReceiveArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let leftovers = session.leftovers.lock().unwrap();
        Ok(SpentResult { staging: leftovers.spent().into_iter().map(ByteBuf::from).collect() })
    })
}

#[derive(Deserialize)]
struct RemoveArgs {
    receive: u32,
    staging: Vec<ByteBuf>,
}

fn remove(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: RemoveArgs| async move {
        let session = context.objects.get::<ReceiveSession>(args.receive)?;
        let names: Vec<Vec<u8>> = args.staging.into_iter().map(ByteBuf::into_vec).collect();
        blocking(move || session.leftovers.lock().unwrap().remove(&names)).await
    })
}

#[derive(Deserialize)]
struct CleanArgs {
    destination: LocalPath,
    staging: ByteBuf,
}

#[derive(Serialize)]
struct CleanResult {
    removed: bool,
}

/// Removes a staging folder that nobody works on; it counts as removed when it, or its destination, is gone.
fn clean(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: CleanArgs| {
        blocking(move || {
            Ok(CleanResult { removed: LeftoverFolder::clean(&args.destination.0, &args.staging)? })
        })
    })
}
