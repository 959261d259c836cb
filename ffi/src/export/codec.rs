//! `src/native/codec.ts`: compressing and expanding buffers.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::chunk::codec::{Codec, compress, decompress};
use crate::error::{Error, Kind};
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[("codec.compress", pack), ("codec.decompress", unpack)];

/// Largest result of `codec.decompress`; caps allocation for a size that a peer named.
const MAX_SIZE: u64 = 64 << 20;

#[derive(Deserialize)]
struct CompressArgs {
    codec: u8,
    level: i32,
    bytes: ByteBuf,
}

#[derive(Deserialize)]
struct DecompressArgs {
    codec: u8,
    size: u64,
    bytes: ByteBuf,
}

#[derive(Serialize)]
struct BytesResult {
    /// Null when the bytes are better left as they are.
    bytes: Option<ByteBuf>,
}

/// Compresses a buffer.
fn pack(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: CompressArgs| {
        op::blocking(move || {
            let codec = Codec::from_number(args.codec)?;
            let mut output = Vec::new();
            let shrunk = compress(codec, args.level, &args.bytes, &mut output)?;
            Ok(BytesResult { bytes: shrunk.then(|| ByteBuf::from(output)) })
        })
    })
}

/// Expands a buffer to exactly `size` bytes.
fn unpack(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |_, args: DecompressArgs| {
        op::blocking(move || {
            if args.size > MAX_SIZE {
                return Err(Error::new(Kind::LimitExceeded, "Cannot expand a chunk: it is over 64 MiB"));
            }
            let mut output = vec![0; args.size as usize];
            let codec = Codec::from_number(args.codec)?;
            decompress(codec, &args.bytes, args.size as usize, &mut output)?;
            Ok(BytesResult { bytes: Some(ByteBuf::from(output)) })
        })
    })
}
