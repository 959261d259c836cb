//! The yardstick: what moving one file costs without any framework. Threads for both ends in one program: read, BLAKE3,
//! AES-128-GCM records, loopback TCP, and on the other side decrypt, BLAKE3, write. No TLS handshake, no manifest, no
//! staging, no fsync. Prints one line of JSON: {"wall_s", "cpu_s", "bytes", …}.
//!
//! `cargo run --release --example bare_pipeline -- [--from FILE] [--to FILE] [--size BYTES] [--connections N]
//! [--block BYTES] [--records N] [--fresh] [--mode all|copy|hash|seal|open|tcp|read|write]`
//!
//! FILE `--from` is made of random bytes when it is not there. Without `--fresh` the destination is written once before,
//! so that no page is new. The modes other than `all` time one part alone on one thread (`tcp`: two per connection).

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use socket2::SockRef;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CONTENT: usize = 16 << 10;
const HEADER: usize = 5;
const TRAILER: usize = 17;
const RECORD: usize = HEADER + CONTENT + TRAILER;
/// Offset, length, hash.
const HEAD: usize = 48;
/// Bytes that are hashed at a time, while the nearest caches have them.
const PIECE: usize = 256 << 10;

struct Options {
    from: PathBuf,
    to: PathBuf,
    size: u64,
    connections: usize,
    block: usize,
    /// Records per send and per receive.
    records: usize,
    fresh: bool,
    mode: String,
}

fn main() -> Result<()> {
    let options = options()?;
    prepare(&options)?;
    let (begun, before) = (Instant::now(), cpu_seconds());
    match options.mode.as_str() {
        "all" => transfer(&options, true)?,
        "tcp" => transfer(&options, false)?,
        mode => part(mode, &options)?,
    }
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - before);
    if options.mode == "all" {
        compare(&options)?;
    }
    let Options { size, connections, block, records, fresh, mode, .. } = &options;
    println!(
        "{{\"wall_s\":{wall:.3},\"cpu_s\":{cpu:.3},\"bytes\":{size},\"mode\":\"{mode}\",\
         \"connections\":{connections},\"block\":{block},\"records\":{records},\"fresh\":{fresh}}}"
    );
    Ok(())
}

fn options() -> Result<Options> {
    let mut options = Options {
        from: "/dev/shm/bare_pipeline.in".into(),
        to: "/dev/shm/bare_pipeline.out".into(),
        size: 2 << 30,
        connections: 2,
        block: 1 << 20,
        records: 32,
        fresh: false,
        mode: "all".into(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--fresh" {
            options.fresh = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--from" => options.from = value.into(),
            "--to" => options.to = value.into(),
            "--size" => options.size = value.parse()?,
            "--connections" => options.connections = value.parse()?,
            "--block" => options.block = value.parse()?,
            "--records" => options.records = value.parse()?,
            "--mode" => options.mode = value,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    if options.connections == 0
        || options.records == 0
        || options.block == 0
        || !options.block.is_multiple_of(CONTENT)
    {
        return Err("connections and records must be positive, the block a multiple of 16384".into());
    }
    Ok(options)
}

fn prepare(options: &Options) -> Result<()> {
    if !options.from.exists() {
        let mut file = File::create(&options.from)?;
        let mut random = blake3::Hasher::new().update(b"bare_pipeline").finalize_xof();
        let mut piece = vec![0; PIECE];
        let mut left = options.size;
        while left > 0 {
            let length = left.min(PIECE as u64) as usize;
            random.fill(&mut piece[..length]);
            file.write_all(&piece[..length])?;
            left -= length as u64;
        }
    }
    if std::fs::metadata(&options.from)?.len() < options.size {
        return Err(format!("{} is shorter than --size", options.from.display()).into());
    }
    if options.fresh {
        let _ = std::fs::remove_file(&options.to);
        File::create(&options.to)?.set_len(options.size)?;
        return Ok(());
    }
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&options.to)?;
    file.set_len(options.size)?;
    let piece = vec![1; PIECE];
    for at in (0..options.size).step_by(PIECE) {
        file.write_all_at(&piece[..PIECE.min((options.size - at) as usize)], at)?;
    }
    Ok(())
}

fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

fn compare(options: &Options) -> Result<()> {
    let (from, to) = (File::open(&options.from)?, File::open(&options.to)?);
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    for at in (0..options.size).step_by(PIECE) {
        let length = PIECE.min((options.size - at) as usize);
        from.read_exact_at(&mut a[..length], at)?;
        to.read_exact_at(&mut b[..length], at)?;
        if a[..length] != b[..length] {
            return Err(format!("the copy differs at {at}").into());
        }
    }
    Ok(())
}

/// One direction's key and the number of its next record.
struct Cipher {
    key: LessSafeKey,
    next: u64,
}

impl Cipher {
    fn new() -> Cipher {
        let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).expect("16 bytes");
        Cipher { key: LessSafeKey::new(key), next: 0 }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, content: &mut [u8], trailer: &mut [u8]) -> [u8; HEADER] {
        let length = ((content.len() + TRAILER) as u16).to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        let nonce = self.nonce();
        let sealed = self.key.seal_in_place_scatter(nonce, Aad::from(header), content, &[23], trailer);
        sealed.expect("below every limit");
        header
    }

    fn open(&mut self, record: &[u8], out: &mut [u8]) -> Result<()> {
        let (header, body) = record.split_at(HEADER);
        let (ciphertext, tag) = body.split_at(body.len() - 16);
        let nonce = self.nonce();
        let opened = self.key.open_separate_gather(nonce, Aad::from(header), ciphertext, tag, out);
        opened.map_err(|_| "a record does not authenticate".into())
    }
}

/// Moves the file over all connections; `with_work`: reads, hashes, encrypts and writes too.
fn transfer(options: &Options, with_work: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let next = AtomicU64::new(0);
    let (from, to) = (File::open(&options.from)?, OpenOptions::new().write(true).open(&options.to)?);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..options.connections {
            let near = TcpStream::connect(listener.local_addr()?)?;
            let (far, _) = listener.accept()?;
            let (from, to, next) = (&from, &to, &next);
            threads.push(scope.spawn(move || send(near, from, next, options, with_work)));
            threads.push(scope.spawn(move || receive(far, to, options, with_work)));
        }
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
}

fn send(socket: TcpStream, file: &File, next: &AtomicU64, options: &Options, with_work: bool) -> Result<()> {
    let mut cipher = Cipher::new();
    let mut block = vec![0; options.block];
    let mut edges = vec![[0; TRAILER + HEADER]; options.records + 1];
    loop {
        let offset = next.fetch_add(options.block as u64, Ordering::Relaxed);
        if offset >= options.size {
            return Ok(());
        }
        let length = (options.size - offset).min(options.block as u64) as usize;
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&offset.to_le_bytes());
        head[8..16].copy_from_slice(&(length as u64).to_le_bytes());
        if with_work {
            head[16..].copy_from_slice(read_and_hash(file, &mut block[..length], offset)?.as_bytes());
        }
        (&socket).write_all(&head)?;
        for batch in block[..length].chunks_mut(options.records * CONTENT) {
            let mut parts = Vec::with_capacity(2 * options.records + 1);
            let mut contents = Vec::with_capacity(options.records);
            for (index, content) in batch.chunks_mut(CONTENT).enumerate() {
                if with_work {
                    let (before, after) = edges[index..].split_at_mut(1);
                    let header = cipher.seal(content, &mut after[0][..TRAILER]);
                    before[0][TRAILER..].copy_from_slice(&header);
                }
                contents.push(&*content);
            }
            parts.push(IoSlice::new(&edges[0][TRAILER..]));
            for (index, content) in contents.iter().enumerate() {
                parts.push(IoSlice::new(content));
                let end = if index + 1 == contents.len() { TRAILER } else { TRAILER + HEADER };
                parts.push(IoSlice::new(&edges[index + 1][..end]));
            }
            let mut parts = &mut parts[..];
            while !parts.is_empty() {
                let sent = SockRef::from(&socket).send_vectored(parts)?;
                IoSlice::advance_slices(&mut parts, sent);
            }
        }
    }
}

fn read_and_hash(file: &File, block: &mut [u8], offset: u64) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut at = offset;
    for piece in block.chunks_mut(PIECE) {
        file.read_exact_at(piece, at)?;
        hasher.update(piece);
        at += piece.len() as u64;
    }
    Ok(hasher.finalize())
}

fn receive(socket: TcpStream, file: &File, options: &Options, with_work: bool) -> Result<()> {
    let mut cipher = Cipher::new();
    let mut block = vec![0; options.block + 1];
    let mut wire = vec![0; options.records * RECORD];
    loop {
        let mut head = [0; HEAD];
        if (&socket).read(&mut head[..1])? == 0 {
            return Ok(());
        }
        (&socket).read_exact(&mut head[1..])?;
        let offset = u64::from_le_bytes(head[..8].try_into()?);
        let length = u64::from_le_bytes(head[8..16].try_into()?) as usize;
        let mut hasher = blake3::Hasher::new();
        let (mut begin, mut end, mut filled, mut hashed) = (0, 0, 0, 0);
        while filled < length {
            if begin == end {
                (begin, end) = (0, 0);
            }
            // What is missing of the block, in whole records: nothing has to be moved within `wire`.
            let missing = (length - filled).div_ceil(CONTENT) * (HEADER + TRAILER) + (length - filled);
            let until = (begin + missing).min(wire.len());
            match (&socket).read(&mut wire[end..until])? {
                0 => return Err("the sender is gone".into()),
                read => end += read,
            }
            while filled < length {
                let content = (length - filled).min(CONTENT);
                let record = HEADER + content + TRAILER;
                if end - begin < record {
                    break;
                }
                if with_work {
                    cipher.open(&wire[begin..begin + record], &mut block[filled..filled + content + 1])?;
                }
                begin += record;
                filled += content;
                if with_work && (filled - hashed >= PIECE || filled == length) {
                    hasher.update(&block[hashed..filled]);
                    hashed = filled;
                }
            }
            if begin < end && wire.len() - begin < RECORD {
                wire.copy_within(begin..end, 0);
                (begin, end) = (0, end - begin);
            }
        }
        if with_work {
            if hasher.finalize().as_bytes() != &head[16..] {
                return Err("a block arrived damaged".into());
            }
            file.write_all_at(&block[..length], offset)?;
        }
    }
}

/// One part of the work alone, on one thread.
fn part(mode: &str, options: &Options) -> Result<()> {
    let (from, to) = (File::open(&options.from)?, OpenOptions::new().write(true).open(&options.to)?);
    let mut cipher = Cipher::new();
    let (mut block, mut other) = (vec![3; options.block], vec![5; options.block + 1]);
    let mut trailer = [0; TRAILER];
    let mut record = vec![0; RECORD];
    let sealed = {
        let header = cipher.seal(&mut block[..CONTENT], &mut trailer);
        [&header[..], &block[..CONTENT], &trailer].concat()
    };
    record.copy_from_slice(&sealed);
    for offset in (0..options.size).step_by(options.block) {
        match mode {
            "copy" => other[..options.block].copy_from_slice(&block),
            "hash" => drop(std::hint::black_box(blake3::hash(&block))),
            "seal" => {
                for content in block.chunks_mut(CONTENT) {
                    cipher.seal(content, &mut trailer);
                }
            }
            "open" => {
                for at in (0..options.block).step_by(CONTENT) {
                    cipher.next = 0;
                    cipher.open(&record, &mut other[at..at + CONTENT + 1])?;
                }
            }
            "read" => from.read_exact_at(&mut block, offset)?,
            "write" => to.write_all_at(&block, offset)?,
            _ => return Err(format!("unknown mode {mode}").into()),
        }
        std::hint::black_box((&mut block, &mut other));
    }
    Ok(())
}
