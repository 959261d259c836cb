//! Windows: opening by name beneath a directory handle, and reads of a whole batch under way at once (overlapped I/O).

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::FileExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, RawHandle};
use std::ptr::{null, null_mut};
use std::time::{Duration, SystemTime};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_CREATE, FILE_NON_DIRECTORY_FILE, FILE_OPEN, FILE_OPEN_REPARSE_POINT, FILE_SYNCHRONOUS_IO_NONALERT,
    NTCREATEFILE_CREATE_DISPOSITION, NTCREATEFILE_CREATE_OPTIONS, NtCreateFile,
};
use windows_sys::Win32::Foundation::{
    ERROR_HANDLE_EOF, ERROR_IO_PENDING, GetLastError, HANDLE, INVALID_HANDLE_VALUE, OBJ_CASE_INSENSITIVE,
    RtlNtStatusToDosError, UNICODE_STRING,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, DELETE, FILE_ALLOCATION_INFO, FILE_ATTRIBUTE_DIRECTORY,
    FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_REPARSE_POINT, FILE_DISPOSITION_INFO, FILE_GENERIC_READ,
    FILE_GENERIC_WRITE, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FileAllocationInfo,
    FileDispositionInfo, GetFileInformationByHandle, ReadFile, SYNCHRONIZE, SetFileInformationByHandle,
};
use windows_sys::Win32::System::IO::{GetOverlappedResult, IO_STATUS_BLOCK, OVERLAPPED};
use windows_sys::Win32::System::Threading::CreateEventW;

use super::plain::judge;
use super::{Backend, Handle, ReadFailure, Seen};

/// 1601 to 1970 in units of 100 ns.
const EPOCH_OFFSET: i64 = 116_444_736_000_000_000;

/// Reads under way at once.
const BATCH: usize = 32;

/// Overlapped I/O.
pub struct Overlapped;

/// One read under way. The kernel writes into `overlapped` and the file's space until it is awaited.
struct Pending {
    file: File,
    overlapped: Box<OVERLAPPED>,
    event: File,
    started: io::Result<bool>,
}

impl Backend for Overlapped {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn read_files(&self, files: &mut [super::ReadFile<'_>]) -> Vec<Result<(), ReadFailure>> {
        let mut results = Vec::with_capacity(files.len());
        for batch in files.chunks_mut(BATCH) {
            let pending: Vec<Result<Pending, ReadFailure>> = batch.iter_mut().map(begin).collect();
            for (file, pending) in batch.iter().zip(pending) {
                results.push(pending.and_then(|pending| {
                    let wanted = file.space.len();
                    let read = pending.wait();
                    judge(look(&pending.file), &file.seen, read, wanted)
                }));
            }
        }
        results
    }

    fn preallocate(&self, file: &File, size: u64) -> io::Result<()> {
        let info = FILE_ALLOCATION_INFO { AllocationSize: size.cast_signed() };
        set_information(file, FileAllocationInfo, &info)?;
        file.set_len(size)
    }
}

/// Opens a file and starts to read it.
fn begin(file: &mut super::ReadFile<'_>) -> Result<Pending, ReadFailure> {
    let opened =
        open_at(file.directory, file.name, FILE_GENERIC_READ, FILE_OPEN, 0).map_err(ReadFailure::Open)?;
    // SAFETY: no name, no security attributes: a fresh event that only this read uses.
    let event = unsafe { CreateEventW(null(), 1, 0, null()) };
    if event.is_null() || event == INVALID_HANDLE_VALUE {
        return Err(ReadFailure::Read(io::Error::last_os_error()));
    }
    // SAFETY: the event was just made; `File` closes it as any handle.
    let event = unsafe { File::from_raw_handle(event as RawHandle) };
    // SAFETY: all zeros is a valid OVERLAPPED: offset 0, no event.
    let mut overlapped: Box<OVERLAPPED> = Box::new(unsafe { zeroed() });
    overlapped.hEvent = event.as_raw_handle() as HANDLE;
    let length = u32::try_from(file.space.len()).unwrap_or(u32::MAX);
    // SAFETY: the space and the boxed OVERLAPPED stay where they are until `Pending` has been awaited, which its
    // drop does too.
    let done = unsafe {
        ReadFile(
            handle(&opened),
            file.space.as_mut_ptr(),
            length,
            null_mut(),
            &mut *overlapped as *mut OVERLAPPED,
        )
    };
    // SAFETY: reads a thread-local number.
    let started = match (done, unsafe { GetLastError() }) {
        (0, ERROR_HANDLE_EOF) => Ok(false),
        (0, ERROR_IO_PENDING) => Ok(true),
        (0, code) => Err(io::Error::from_raw_os_error(code as i32)),
        _ => Ok(true),
    };
    Ok(Pending { file: opened, overlapped, event, started })
}

impl Pending {
    /// Gives the bytes read once the read is done.
    fn wait(&self) -> io::Result<usize> {
        match &self.started {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            Err(error) => return Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(0))),
        }
        let mut read = 0;
        // SAFETY: file and OVERLAPPED are those of the read that was started; `event` is still open.
        let done = unsafe { GetOverlappedResult(handle(&self.file), &*self.overlapped, &mut read, 1) };
        let _ = &self.event;
        if done != 0 {
            return Ok(read as usize);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(ERROR_HANDLE_EOF as i32) { Ok(0) } else { Err(error) }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Nothing may go while the kernel writes to it.
        let _ = self.wait();
    }
}

/// Opens a listed file for reading.
pub fn open_source(directory: Handle<'_>, name: &OsStr) -> Result<File, ReadFailure> {
    let options = FILE_SYNCHRONOUS_IO_NONALERT;
    open_at(directory, name, FILE_GENERIC_READ, FILE_OPEN, options).map_err(ReadFailure::Open)
}

/// Makes a file that must not be there yet; Windows has no permission bits.
pub fn create_new(directory: Handle<'_>, name: &OsStr, _mode: u32) -> io::Result<File> {
    open_at(directory, name, FILE_GENERIC_WRITE, FILE_CREATE, FILE_SYNCHRONOUS_IO_NONALERT)
}

/// Removes a file.
pub fn remove(directory: Handle<'_>, name: &OsStr) -> io::Result<()> {
    let file = open_at(directory, name, DELETE, FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT)?;
    set_information(&file, FileDispositionInfo, &FILE_DISPOSITION_INFO { DeleteFile: true })
}

/// Sets a file's time of last modification.
pub fn set_attributes(file: &File, _mode: Option<u32>, mtime_ns: i64) -> io::Result<()> {
    let distance = Duration::from_nanos(mtime_ns.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if mtime_ns < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    let time = time.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    file.set_times(std::fs::FileTimes::new().set_modified(time))
}

/// Looks at an open file; `None` when it is a folder or a link.
pub fn look(file: &File) -> io::Result<Option<Seen>> {
    // SAFETY: all zeros is a valid value; the call fills it.
    let mut info: BY_HANDLE_FILE_INFORMATION = unsafe { zeroed() };
    // SAFETY: the handle is open and `info` is ours.
    if unsafe { GetFileInformationByHandle(handle(file), &mut info) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let regular = info.dwFileAttributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT) == 0;
    let modified = wide(info.ftLastWriteTime.dwHighDateTime, info.ftLastWriteTime.dwLowDateTime) as i64;
    Ok(regular.then_some(Seen {
        device: info.dwVolumeSerialNumber.into(),
        inode: wide(info.nFileIndexHigh, info.nFileIndexLow),
        size: wide(info.nFileSizeHigh, info.nFileSizeLow),
        mtime_ns: modified.saturating_sub(EPOCH_OFFSET).saturating_mul(100),
        ctime_ns: 0,
    }))
}

pub fn read_once(file: &File, space: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(space, offset)
}

pub fn write_once(file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
    file.seek_write(bytes, offset)
}

/// Opens `name` relative to the open directory; a link as the name itself is opened, not followed.
fn open_at(
    directory: Handle<'_>,
    name: &OsStr,
    access: u32,
    disposition: NTCREATEFILE_CREATE_DISPOSITION,
    options: NTCREATEFILE_CREATE_OPTIONS,
) -> io::Result<File> {
    let mut name: Vec<u16> = name.encode_wide().collect();
    let bytes = u16::try_from(name.len() * 2).map_err(|_| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let text = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: directory.as_raw_handle() as HANDLE,
        ObjectName: &text,
        Attributes: OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: null(),
        SecurityQualityOfService: null(),
    };
    let mut opened: HANDLE = null_mut();
    // SAFETY: all zeros is a valid value; the call fills it.
    let mut status: IO_STATUS_BLOCK = unsafe { zeroed() };
    // SAFETY: the name, the attributes and the directory live until the call returns.
    let code = unsafe {
        NtCreateFile(
            &mut opened,
            access | SYNCHRONIZE,
            &attributes,
            &mut status,
            null(),
            FILE_ATTRIBUTE_NORMAL,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            disposition,
            options | FILE_NON_DIRECTORY_FILE | FILE_OPEN_REPARSE_POINT,
            null(),
            0,
        )
    };
    if code < 0 {
        // SAFETY: translates a number.
        return Err(io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(code) } as i32));
    }
    // SAFETY: the call succeeded: the handle is open and ours.
    Ok(unsafe { File::from_raw_handle(opened as RawHandle) })
}

fn set_information<T>(file: &File, class: i32, info: &T) -> io::Result<()> {
    // SAFETY: `info` is of the type that belongs to `class`, as the callers above pass it.
    let done = unsafe {
        SetFileInformationByHandle(handle(file), class, (info as *const T).cast(), size_of::<T>() as u32)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn handle(file: &File) -> HANDLE {
    file.as_raw_handle() as HANDLE
}

fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
