//! The sending engine: reads, hashes, encodes and writes what TypeScript pushes.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::encode::{Encoding, Origin};
use super::frame::{self, FLAG_DATA, FLAG_END, FLAG_FAILED, FLAG_HOLE, Record};
use super::hashed::{Hashed, place_of};
use super::ledger::Redo;
use super::links::{Link, Links};
use super::pack;
use super::pool::{Buffer, Pool};
use super::ranges::{self, data_record, read_again, read_chunk};
use super::report::{Failure, Report};
use super::source::Source;
use super::version::VersionKey;
use super::work::{Job, Work};
use crate::chunk::codec::Codec;
use crate::chunk::hash::hash_parts;
use crate::error::{Error, Kind, Result};
use crate::io::backend::{Backend, select};
use crate::io::columns::{KIND_STREAM, SIZE_UNKNOWN};
use crate::io::read;
use crate::io::stamp::Stamp;
use crate::io::walk::{FileRef, Page, Root, WalkOptions, Walker};
use crate::net::{Payload, Sink};

/// Buffers that the pool has at least: one to read into for each of a few streams, and as many that are kept.
const MIN_BUFFERS: usize = 8;

/// Limits and sizes that TypeScript chose for one session.
#[derive(Clone, Copy, Debug)]
pub struct SendOptions {
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
    version_key: Option<VersionKey>,
    pub hashed: Hashed,
    pub work: Work,
    pub report: Report,
    pub encoding: Encoding,
    pub(super) running: AtomicUsize,
    pub(super) pool: Mutex<Option<Pool>>,
    pub links: Links,
}

/// A page of the manifest for TypeScript and the problems met on the way.
pub struct Listed {
    pub columns: crate::io::columns::Columns,
    /// u64 per entry, little endian; none when the session has no key.
    pub versions: Option<Vec<u8>>,
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
            version_key: None,
            hashed: Hashed::default(),
            work: Work::new(chunk_bytes),
            report: Report::default(),
            encoding: Encoding::default(),
            running: AtomicUsize::new(0),
            pool: Mutex::new(None),
            links: Links::default(),
        })
    }

    /// Reads with another backend than the one that measured best.
    pub fn with_io(self, io: Arc<dyn Backend>) -> SendSession {
        SendSession { io, ..self }
    }

    /// The same session, whose pages give files versions.
    pub fn with_versions(self, key: Option<VersionKey>) -> SendSession {
        SendSession { version_key: key, ..self }
    }

    /// The same session, which remembers files of at least `least_bytes`.
    pub fn with_memory(self, least_bytes: Option<u64>) -> SendSession {
        SendSession { hashed: least_bytes.map(Hashed::new).unwrap_or_default(), ..self }
    }

    /// Where a file that can still be asked for, or is remembered, was listed, and its stamp then.
    pub fn stamp(&self, entry: u32) -> Option<(Vec<u8>, Stamp)> {
        let listed = self.work.find(entry).filter(|source| source.reference.size != SIZE_UNKNOWN);
        let file = listed.map(|source| source.reference.clone()).or_else(|| self.hashed.find(entry));
        file.as_ref().map(place_of)
    }

    /// Walks on and makes what was found known to [`Work`].
    pub fn page(&self, max_entries: usize) -> Result<Listed> {
        let page = self.walker.lock().unwrap().next_page(max_entries)?;
        let end = page.columns.first.saturating_add(page.columns.count);
        let versions = self.version_key.as_ref().map(|key| versions(key, &page));
        if page.columns.count > 0 {
            self.hashed.list(&page.files);
            let streams = page.columns.iter().filter(|entry| entry.kind == KIND_STREAM).map(|e| stdin(e.id));
            self.work.list(end - 1, page.files.into_iter().chain(streams).map(Source::new));
        }
        Ok(Listed { columns: page.columns, versions, problems: page.problems })
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
        cancelled: &(dyn Fn() -> bool + Sync),
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
        let hashes = hash_parts(&file, (offset, end), chunk_bytes, cancelled);
        if !matches!(&hashes, Err(error) if error.kind == Kind::Cancelled) {
            source.check_unchanged(&file)?;
        }
        let hashes = hashes?;
        Ok((hashes, size))
    }

    /// Sets the engine up; [`SendSession::streams`] gives it streams to work with.
    pub fn start(&self, options: SendOptions) -> Result<()> {
        let mut pool = self.pool.lock().unwrap();
        if pool.is_some() {
            return Err(Error::new(Kind::InvalidArgument, "the send session has been started before"));
        }
        self.encoding.tune(options.codec, options.level);
        self.encoding.set_room(MIN_BUFFERS, options.chunk_bytes);
        *pool = Some(Pool::new(options.pool_bytes, options.chunk_bytes, MIN_BUFFERS));
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
        if let Some(pool) = &*self.pool.lock().unwrap() {
            pool.close();
        }
        self.encoding.close();
        self.report.fail(Error::new(Kind::Closed, "the send session is closed"));
    }
}

/// The versions of a page's entries: u64 each, little endian, 0 for what is no file.
fn versions(key: &VersionKey, page: &Page) -> Vec<u8> {
    let mut versions = vec![0; 8 * page.columns.count as usize];
    for file in &page.files {
        let at = 8 * (file.id - page.columns.first) as usize;
        versions[at..at + 8].copy_from_slice(&key.version(file).to_le_bytes());
    }
    versions
}

/// One bulk stream with its thread.
pub(super) struct Stream<'a> {
    pub session: &'a SendSession,
    pub sink: Box<dyn Sink>,
    pub link: &'a Link,
    /// What the receiver knows it by.
    pub number: u32,
    pub pool: Pool,
    /// The stream does not carry anything over any more.
    pub broken: bool,
    /// The job at hand was sent before.
    pub again: bool,
}

impl Stream<'_> {
    pub fn run(&mut self) -> Result<()> {
        self.begin()?;
        while let Some(job) = self.session.work.take(self.number) {
            self.again = matches!(job, Job::Again(_));
            let result = match job {
                Job::Pack(files) | Job::Again(Redo::Pack(files)) => self.send_pack(files),
                Job::Chunk { source, offset, length } => self.send_chunk(source, offset, length),
                Job::Stream { source, offset } => self.send_stream(source, offset),
                Job::Again(Redo::Chunk { source, offset, length, end }) => {
                    self.send_chunk_again(source, offset, length, end)
                }
                Job::Again(Redo::Failed(source)) => self.send_failed(source),
                Job::Again(Redo::Kept { source, record, plain }) => self.send_kept(source, record, plain),
            };
            let idle = self.session.work.done();
            result?;
            if idle {
                self.session.report.hurry();
            }
        }
        self.finish()
    }

    fn take_buffer(&self) -> Result<Buffer> {
        self.pool.take().ok_or_else(|| Error::new(Kind::Closed, "the send session is closed"))
    }

    /// Reads whole small files into one buffer and sends them as one frame.
    fn send_pack(&mut self, files: Vec<Arc<Source>>) -> Result<()> {
        let mut buffer = self.take_buffer()?;
        let mut records = Vec::with_capacity(files.len());
        let mut used = 0;
        let mut at = 0;
        for (source, result) in files.iter().zip(pack::read_files(&*self.session.io, &files, buffer.space()))
        {
            let size = source.reference.size as usize;
            // One that failed before stays so when the pack is sent again.
            if let Some(record) = failed_record(source) {
                records.push(record);
                at += size;
                continue;
            }
            match result {
                Ok(()) => {
                    // Closes the gap that a failed file left.
                    if at != used {
                        buffer.space().copy_within(at..at + size, used);
                    }
                    let data = &buffer.space()[used..used + size];
                    let record = data_record(source, 0, data, FLAG_END);
                    if !self.again {
                        let hashed = &self.session.hashed;
                        hashed.read(&source.reference, (0, size as u64), std::slice::from_ref(&record), data);
                        hashed.finish(&source.reference, true);
                    }
                    records.push(record);
                    used += size;
                }
                Err(error) => {
                    self.fail(source, &error);
                    records.extend(failed_record(source));
                }
            }
            at += size;
        }
        buffer.set_length(used);
        self.send_frame(records, buffer, None, Redo::Pack(files))
    }

    /// Reads one range of a file, which lies within one cell of the chunk grid.
    fn send_chunk(&mut self, source: Arc<Source>, offset: u64, length: u64) -> Result<()> {
        if source.failure().is_some() {
            return Ok(());
        }
        let mut buffer = self.take_buffer()?;
        let hashed = &self.session.hashed;
        let result = read_chunk(&source, offset, length as usize, &mut buffer, hashed);
        let is_hole = matches!(&result, Ok(records) if records.iter().all(|record| !record.is(FLAG_DATA)));
        // Asked before the frame leaves: with the file's end mark the file is closed.
        let hole = if is_hole { source.hole_at(offset) } else { None };
        self.send_range(source.clone(), (offset, length), buffer, result)?;
        match hole.and_then(|hole| self.session.work.take_more(&source, hole)) {
            Some(more) => self.send_hole(source, more),
            None => Ok(()),
        }
    }

    /// Sends a hole of any length, which costs one frame.
    fn send_hole(&mut self, source: Arc<Source>, Range { start, end }: Range<u64>) -> Result<()> {
        if source.failure().is_some() {
            return Ok(());
        }
        let mut buffer = self.take_buffer()?;
        let result = ranges::hole(&source, start..end, &mut buffer, &self.session.hashed);
        self.send_range(source, (start, end - start), buffer, result)
    }

    /// Reads a range anew whose frame did not arrive; `end`: that frame had the end mark.
    fn send_chunk_again(&mut self, source: Arc<Source>, offset: u64, length: u64, end: bool) -> Result<()> {
        let stop = offset + length;
        let mut at = offset;
        while at < stop && source.failure().is_none() {
            // What was one hole may be data by now, and then it does not fit into one frame.
            let next = stop.min((at / self.session.work.chunk_bytes() + 1) * self.session.work.chunk_bytes());
            let next = if next == stop || ranges::is_still_hole(&source, at..stop) { stop } else { next };
            let mut buffer = self.take_buffer()?;
            let result = read_again(&source, at, (next - at) as usize, end && next == stop, &mut buffer);
            self.send_range(source.clone(), (at, next - at), buffer, result)?;
            at = next;
        }
        Ok(())
    }

    /// Sends what reading a range came to.
    fn send_range(
        &mut self,
        source: Arc<Source>,
        (offset, length): (u64, u64),
        mut buffer: Buffer,
        result: Result<Vec<Record>>,
    ) -> Result<()> {
        match result {
            Ok(records) => {
                let end = records.last().is_some_and(|record| record.is(FLAG_END));
                let origin = Some((source.clone(), offset == 0));
                self.send_frame(records, buffer, origin, Redo::Chunk { source, offset, length, end })
            }
            Err(error) => {
                buffer.set_length(0);
                if !self.fail(&source, &error) {
                    return Ok(());
                }
                source.close();
                self.send_failed(source)
            }
        }
    }

    /// Tells that a file cannot be sent.
    fn send_failed(&mut self, source: Arc<Source>) -> Result<()> {
        let records = failed_record(&source).into_iter().collect();
        let buffer = self.take_buffer()?;
        self.send_frame(records, buffer, None, Redo::Failed(source))
    }

    /// Reads standard input to its end, chunk by chunk, and keeps each until it has arrived.
    fn send_stream(&mut self, source: Arc<Source>, mut offset: u64) -> Result<()> {
        let mut input = std::io::stdin().lock();
        loop {
            if !self.session.work.may_keep(self.number, self.pool.limit() / 2) {
                // Another stream reads on.
                self.session.work.put_back(Job::Stream { source, offset });
                return Ok(());
            }
            let mut kept = self.take_buffer()?;
            let length = match fill(&mut input, kept.space()) {
                Ok(length) => length,
                Err(error) => {
                    drop(kept);
                    self.fail(&source, &Error::io("Cannot read standard input", &error));
                    return self.send_failed(source);
                }
            };
            kept.set_length(length);
            let record = data_record(&source, offset, kept.as_ref(), 0);
            offset += length as u64;
            let sent = self.send_kept(source.clone(), record, kept);
            if length == 0 {
                return sent;
            }
            if sent.is_err() {
                self.session.work.put_back(Job::Stream { source, offset });
                return sent;
            }
        }
    }

    /// Sends bytes that stay in memory until they have arrived.
    fn send_kept(&mut self, source: Arc<Source>, record: Record, plain: Buffer) -> Result<()> {
        let mut buffer = self.take_buffer()?;
        let bytes = plain.as_ref();
        buffer.space()[..bytes.len()].copy_from_slice(bytes);
        buffer.set_length(bytes.len());
        let origin = Some((source.clone(), record.offset == 0));
        self.send_frame(vec![record], buffer, origin, Redo::Kept { source, record, plain })
    }

    /// `origin`: the file, and whether the frame begins with its first byte; none for several files.
    fn send_frame(
        &mut self,
        records: Vec<Record>,
        buffer: Buffer,
        origin: Option<(Arc<Source>, bool)>,
        redo: Redo,
    ) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let plain = buffer.as_ref().len();
        let packed = match &origin {
            Some((source, is_start)) => {
                let origin =
                    Origin { history: &source.history, name: &source.reference.name, is_start: *is_start };
                self.session.encoding.encode(buffer.as_ref(), Some(origin))?
            }
            None => self.session.encoding.encode(buffer.as_ref(), None)?,
        };
        let (codec, payload) = match packed {
            Some((codec, packed)) => (codec, packed),
            None => (Codec::Raw, buffer),
        };
        let wire = payload.as_ref().len();
        let head = frame::encode(codec, &records, plain, wire);
        self.write(&head, Payload::new(payload), wire, redo)?;
        let report = &self.session.report;
        if self.again {
            report.moved(0);
            return Ok(());
        }
        let ended = records.iter().filter(|record| record.is(FLAG_END)).count();
        report.files_done.fetch_add(ended as u64, Ordering::Relaxed);
        let holes: u64 = records.iter().filter(|r| r.is(FLAG_HOLE)).map(|r| r.length).sum();
        report.moved(plain as u64 + holes);
        Ok(())
    }

    /// Marks a file as failed; true when it had not failed before.
    fn fail(&self, source: &Source, error: &Error) -> bool {
        let first = source.fail(error.kind);
        self.session.hashed.finish(&source.reference, false);
        if first {
            self.session.report.failed(Failure::new(source.reference.id, &source.path(), error));
        }
        first
    }
}

/// What tells that a file cannot be sent; none while it can.
fn failed_record(source: &Source) -> Option<Record> {
    let status = source.failure()?;
    let entry = source.reference.id;
    Some(Record { entry, flags: FLAG_FAILED, status, offset: 0, length: 0, hash: [0; 32] })
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
