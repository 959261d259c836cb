//! The sending engine: reads, hashes, encodes and writes what TypeScript pushes.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::encode::{Encoding, Origin};
use super::frame::{self, FLAG_DATA, FLAG_END, FLAG_FAILED, FLAG_HOLE, MAX_RECORDS, Record};
use super::pack;
use super::pool::{Buffer, Pool};
use super::report::{Failure, Report};
use super::source::Source;
use super::work::{Job, Work};
use crate::chunk::codec::Codec;
use crate::chunk::hash::hash_range;
use crate::error::{Error, Kind, Result};
use crate::io::backend::{Backend, select};
use crate::io::columns::{KIND_STREAM, SIZE_UNKNOWN};
use crate::io::name::quoted_path;
use crate::io::read;
use crate::io::walk::{FileRef, Root, WalkOptions, Walker};
use crate::net::{Connection, Payload, Sink};

/// Limits and sizes that TypeScript chose for one session.
#[derive(Clone, Copy, Debug)]
pub struct SendOptions {
    pub streams: usize,
    pub pool_bytes: usize,
    pub chunk_bytes: usize,
    pub codec: Codec,
    pub level: i32,
}

/// What is being sent to one receiver.
pub struct SendSession {
    pub roots: Vec<Root>,
    pub walk_options: WalkOptions,
    pub counting_stopped: AtomicBool,
    io: Arc<dyn Backend>,
    walker: Mutex<Walker>,
    pub work: Work,
    pub report: Report,
    pub encoding: Encoding,
    running: AtomicUsize,
    started: AtomicBool,
    pool: Mutex<Option<Pool>>,
    connection: Mutex<Option<Connection>>,
}

/// A page of the manifest for TypeScript and the problems met on the way.
pub struct Listed {
    pub columns: crate::io::columns::Columns,
    pub problems: Vec<crate::io::walk::Problem>,
}

impl SendSession {
    pub fn open(roots: Vec<Root>, walk_options: WalkOptions, chunk_bytes: u64) -> Result<SendSession> {
        let walker = Walker::open(roots.clone(), walk_options.clone())?;
        Ok(SendSession {
            roots,
            walk_options,
            counting_stopped: AtomicBool::new(false),
            io: select::automatic(),
            walker: Mutex::new(walker),
            work: Work::new(chunk_bytes),
            report: Report::default(),
            encoding: Encoding::default(),
            running: AtomicUsize::new(0),
            started: AtomicBool::new(false),
            pool: Mutex::new(None),
            connection: Mutex::new(None),
        })
    }

    /// Reads with another backend than the one that measured best.
    pub fn with_io(self, io: Arc<dyn Backend>) -> SendSession {
        SendSession { io, ..self }
    }

    /// Walks on and makes what was found known to [`Work`].
    pub fn page(&self, max_entries: usize) -> Result<Listed> {
        let page = self.walker.lock().unwrap().next_page(max_entries)?;
        let end = page.columns.first.saturating_add(page.columns.count);
        if page.columns.count > 0 {
            let streams = page.columns.iter().filter(|entry| entry.kind == KIND_STREAM).map(|e| stdin(e.id));
            self.work.list(end - 1, page.files.into_iter().chain(streams).map(Source::new));
        }
        Ok(Listed { columns: page.columns, problems: page.problems })
    }

    /// Hashes chunks of a listed file that has not been pushed yet: up to `max_chunks` from `offset` on. Gives the
    /// hashes, concatenated, and the size of the whole file.
    ///
    /// # Errors
    /// UNSUPPORTED when it is no such file; SOURCE_CHANGED when it is not what was listed; CANCELLED.
    pub fn hash(
        &self,
        entry: u32,
        chunk_bytes: u64,
        (offset, max_chunks): (u64, u64),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(Vec<u8>, u64)> {
        let source = self.work.find(entry).filter(|source| source.reference.size != SIZE_UNKNOWN);
        let Some(source) = source else {
            let text = "Cannot hash an entry: it is no file that can still be asked for";
            return Err(Error::new(Kind::Unsupported, text));
        };
        let size = source.reference.size;
        let end = size.min(offset.saturating_add(chunk_bytes.saturating_mul(max_chunks)));
        if offset >= end {
            return Ok((Vec::new(), size));
        }
        let file = read::open_source(&source.reference)?;
        let mut hashes = Vec::new();
        let mut at = offset;
        while at < end {
            let length = chunk_bytes.min(end - at);
            let (hash, read) = hash_range(&file, at, length, cancelled)?;
            if read != length {
                return Err(source.changed());
            }
            hashes.extend_from_slice(&hash);
            at += length;
        }
        source.check_unchanged(&file)?;
        Ok((hashes, size))
    }

    /// Opens the bulk streams, one thread each.
    pub fn start(
        self: &Arc<SendSession>,
        connection: Connection,
        options: SendOptions,
        runtime: &tokio::runtime::Handle,
    ) -> Result<()> {
        if self.started.swap(true, Ordering::AcqRel) {
            return Err(Error::new(Kind::InvalidArgument, "the send session has been started before"));
        }
        self.encoding.tune(options.codec, options.level);
        self.encoding.set_room(options.streams + 1, options.chunk_bytes);
        let pool = Pool::new(options.pool_bytes, options.chunk_bytes, 2 * options.streams);
        *self.pool.lock().unwrap() = Some(pool.clone());
        *self.connection.lock().unwrap() = Some(connection.clone());
        self.running.store(options.streams, Ordering::Release);
        let session = self.clone();
        runtime.spawn(async move {
            for _ in 0..options.streams {
                match connection.open_sink().await {
                    Ok(sink) => session.clone().spawn(sink, pool.clone()),
                    Err(error) => {
                        session.report.fail(error);
                        session.work.stop();
                        return;
                    }
                }
            }
        });
        Ok(())
    }

    /// True once every thread has ended.
    pub fn has_ended(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0
    }

    /// Ends every thread without finishing.
    pub fn close(&self) {
        self.counting_stopped.store(true, Ordering::Release);
        self.work.stop();
        if let Some(pool) = self.pool.lock().unwrap().take() {
            pool.close();
        }
        self.encoding.close();
        self.connection.lock().unwrap().take();
        self.report.fail(Error::new(Kind::Closed, "the send session is closed"));
    }

    fn spawn(self: Arc<SendSession>, sink: Box<dyn Sink>, pool: Pool) {
        let session = self.clone();
        let thread = std::thread::Builder::new().name("wormhole-send".into()).spawn(move || {
            let mut stream = Stream { session: &session, sink, pool };
            let run = std::panic::AssertUnwindSafe(|| stream.run());
            let result = std::panic::catch_unwind(run).unwrap_or_else(|p| Err(crate::op::panicked(Some(p))));
            if let Err(error) = result {
                session.report.fail(error);
                session.work.stop();
            }
            session.running.fetch_sub(1, Ordering::AcqRel);
            session.report.hurry();
        });
        if let Err(error) = thread {
            self.running.fetch_sub(1, Ordering::AcqRel);
            self.report.fail(Error::io("Cannot start a thread for a stream", &error));
            self.work.stop();
        }
    }
}

/// One bulk stream with its thread.
struct Stream<'a> {
    session: &'a SendSession,
    sink: Box<dyn Sink>,
    pool: Pool,
}

impl Stream<'_> {
    fn run(&mut self) -> Result<()> {
        while let Some(job) = self.session.work.take() {
            let result = match job {
                Job::Pack(files) => self.send_pack(&files),
                Job::Chunk { source, offset, length } => self.send_chunk(&source, offset, length as usize),
                Job::Stream(source) => self.send_stream(&source),
            };
            let idle = self.session.work.done();
            result?;
            if idle {
                self.session.report.hurry();
            }
        }
        if self.session.report.is_fatal() {
            return Ok(());
        }
        self.sink.finish()
    }

    fn take_buffer(&self) -> Result<Buffer> {
        self.pool.take().ok_or_else(|| Error::new(Kind::Closed, "the send session is closed"))
    }

    /// Reads whole small files into one buffer and sends them as one frame.
    fn send_pack(&mut self, files: &[Arc<Source>]) -> Result<()> {
        let mut buffer = self.take_buffer()?;
        let mut records = Vec::with_capacity(files.len());
        let mut used = 0;
        let mut at = 0;
        for (source, result) in files.iter().zip(pack::read_files(&*self.session.io, files, buffer.space())) {
            let size = source.reference.size as usize;
            match result {
                Ok(()) => {
                    // Closes the gap that a failed file left.
                    if at != used {
                        buffer.space().copy_within(at..at + size, used);
                    }
                    let data = &buffer.space()[used..used + size];
                    records.push(data_record(source, 0, data, FLAG_END));
                    used += size;
                }
                Err(error) => records.push(self.failed_record(source, &error)),
            }
            at += size;
        }
        buffer.set_length(used);
        self.send_frame(records, buffer, None)
    }

    /// Reads one range of a file, which lies within one cell of the chunk grid.
    fn send_chunk(&mut self, source: &Arc<Source>, offset: u64, length: usize) -> Result<()> {
        if source.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut buffer = self.take_buffer()?;
        let records = match read_chunk(source, offset, length, &mut buffer) {
            Ok(records) => records,
            Err(error) => {
                buffer.set_length(0);
                if !source.fail() {
                    return Ok(());
                }
                source.close();
                vec![self.failed_record(source, &error)]
            }
        };
        let name = &source.reference.name;
        let origin = Origin { history: &source.history, name, is_start: offset == 0 };
        self.send_frame(records, buffer, Some(origin))
    }

    /// Reads standard input to its end, chunk by chunk.
    fn send_stream(&mut self, source: &Arc<Source>) -> Result<()> {
        let mut input = std::io::stdin().lock();
        let mut offset = 0;
        loop {
            let mut buffer = self.take_buffer()?;
            let length = match fill(&mut input, buffer.space()) {
                Ok(length) => length,
                Err(error) => {
                    let error = Error::io("Cannot read standard input", &error);
                    let record = self.failed_record(source, &error);
                    return self.send_frame(vec![record], buffer, None);
                }
            };
            buffer.set_length(length);
            let record = data_record(source, offset, buffer.as_ref(), 0);
            if length == 0 {
                return self.send_frame(vec![record], buffer, None);
            }
            let record_is_first = offset == 0;
            offset += length as u64;
            let origin = Origin { history: &source.history, name: OsStr::new(""), is_start: record_is_first };
            self.send_frame(vec![record], buffer, Some(origin))?;
        }
    }

    fn send_frame(&mut self, records: Vec<Record>, buffer: Buffer, origin: Option<Origin<'_>>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let plain = buffer.as_ref().len();
        let (codec, payload) = match self.session.encoding.encode(buffer.as_ref(), origin)? {
            Some((codec, packed)) => (codec, packed),
            None => (Codec::Raw, buffer),
        };
        let wire = payload.as_ref().len();
        let head = frame::encode(codec, &records, plain, wire);
        let report = &self.session.report;
        // Counted before: what is under way belongs to the time that is being waited.
        report.bytes_wire.fetch_add((head.len() + wire) as u64, Ordering::Relaxed);
        report.waiting(|| self.sink.write(&head, Payload::new(payload)))?;
        let ended = records.iter().filter(|record| record.is(FLAG_END)).count();
        report.files_done.fetch_add(ended as u64, Ordering::Relaxed);
        let holes: u64 = records.iter().filter(|r| r.is(FLAG_HOLE)).map(|r| r.length).sum();
        report.moved(plain as u64 + holes);
        Ok(())
    }

    fn failed_record(&self, source: &Source, error: &Error) -> Record {
        source.fail();
        self.session.report.failed(Failure::new(source.reference.id, &source.path(), error));
        Record {
            entry: source.reference.id,
            flags: FLAG_FAILED,
            status: error.kind as u16,
            offset: 0,
            length: 0,
            hash: [0; 32],
        }
    }
}

/// Reads the data of one range and describes it; the file's last range carries the end mark.
fn read_chunk(source: &Source, offset: u64, length: usize, buffer: &mut Buffer) -> Result<Vec<Record>> {
    let file = source.open()?;
    let mut ranges = source.data_ranges(&file, offset, length as u64);
    if 2 * ranges.len() + 2 > MAX_RECORDS {
        ranges.clear();
        ranges.push(offset..offset + length as u64);
    }
    let mut records = Vec::with_capacity(2 * ranges.len() + 1);
    let mut used = 0;
    let mut at = offset;
    for range in ranges {
        if range.start > at {
            records.push(hole_record(source, at, range.start - at));
        }
        let wanted = (range.end - range.start) as usize;
        let space = &mut buffer.space()[used..used + wanted];
        if read_full(source, &file, space, range.start)? != wanted {
            return Err(source.changed());
        }
        records.push(data_record(source, range.start, space, 0));
        used += wanted;
        at = range.end;
    }
    let end = offset + length as u64;
    if end > at {
        records.push(hole_record(source, at, end - at));
    }
    buffer.set_length(used);
    if source.finish_range(length as u64) {
        source.check_unchanged(&file)?;
        source.close();
        if let Some(last) = records.last_mut() {
            last.flags |= FLAG_END;
        }
    }
    Ok(records)
}

fn read_full(source: &Source, file: &std::fs::File, space: &mut [u8], offset: u64) -> Result<usize> {
    read::read_at(file, space, offset).map_err(|error| {
        let path = quoted_path(&source.reference.path());
        Error { text: error.text.replacen("a file", &path, 1), ..error }
    })
}

/// Standard input as a listed file.
fn stdin(id: u32) -> FileRef {
    FileRef {
        id,
        directory: Arc::from(Path::new("")),
        name: "-".into(),
        size: SIZE_UNKNOWN,
        mtime_ns: 0,
        ctime_ns: 0,
        dev: 0,
        ino: 0,
    }
}

fn fill(input: &mut impl Read, space: &mut [u8]) -> std::io::Result<usize> {
    let mut used = 0;
    while used < space.len() {
        match input.read(&mut space[used..]) {
            Ok(0) => break,
            Ok(length) => used += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(used)
}

/// Describes bytes of a file; without bytes it is the end mark at `offset`.
fn data_record(source: &Source, offset: u64, data: &[u8], flags: u16) -> Record {
    if data.is_empty() {
        return Record {
            entry: source.reference.id,
            flags: FLAG_END,
            status: 0,
            offset,
            length: 0,
            hash: [0; 32],
        };
    }
    Record {
        entry: source.reference.id,
        flags: FLAG_DATA | flags,
        status: 0,
        offset,
        length: data.len() as u64,
        hash: *blake3::hash(data).as_bytes(),
    }
}

fn hole_record(source: &Source, offset: u64, length: u64) -> Record {
    Record { entry: source.reference.id, flags: FLAG_HOLE, status: 0, offset, length, hash: [0; 32] }
}
