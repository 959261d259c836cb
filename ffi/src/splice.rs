//! Bytes from one connection to another: on Linux through a pipe in the kernel, so that they are never copied here.

use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// How long one direction may say nothing once the other has ended.
const LINGER: Duration = Duration::from_secs(30);

/// Most bytes that are on their way here, in one direction: in the pipe or the buffer.
const BUFFER_BYTES: usize = 256 * 1024;

/// Carries bytes both ways until both ends have hung up, one fails, or nothing was said for `idle`; adds them to
/// `meter`. What came before an end is delivered.
pub async fn between(one: &TcpStream, other: &TcpStream, meter: &AtomicU64, idle: Duration) {
    let activity = Activity::new(meter);
    let mut there = pin!(carry(one, other, &activity));
    let mut back = pin!(carry(other, one, &activity));
    tokio::select! {
        ended = &mut there => if ended.is_ok() {
            tokio::select! { _ = &mut back => {}, () = activity.quiet(LINGER) => {} }
        },
        ended = &mut back => if ended.is_ok() {
            tokio::select! { _ = &mut there => {}, () = activity.quiet(LINGER) => {} }
        },
        () = activity.quiet(idle) => {}
    }
}

/// Knows when bytes moved last.
struct Activity<'a> {
    began: Instant,
    last_ms: AtomicU64,
    meter: &'a AtomicU64,
}

impl<'a> Activity<'a> {
    fn new(meter: &'a AtomicU64) -> Activity<'a> {
        Activity { began: Instant::now(), last_ms: AtomicU64::new(0), meter }
    }

    fn moved(&self, count: usize) {
        self.meter.fetch_add(count as u64, Relaxed);
        self.last_ms.store(self.began.elapsed().as_millis() as u64, Relaxed);
    }

    /// Waits until nothing has moved for `patience`, from now on.
    async fn quiet(&self, patience: Duration) {
        let called = Instant::now();
        loop {
            let last = self.began + Duration::from_millis(self.last_ms.load(Relaxed));
            let due = last.max(called) + patience;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// Carries one direction to its end, and says that end to `to`.
async fn carry(from: &TcpStream, to: &TcpStream, activity: &Activity<'_>) -> io::Result<()> {
    copy(from, to, activity).await?;
    // An end that has hung up altogether needs to be told nothing.
    let _ = SockRef::from(to).shutdown(Shutdown::Write);
    Ok(())
}

#[cfg(target_os = "linux")]
async fn copy(from: &TcpStream, to: &TcpStream, activity: &Activity<'_>) -> io::Result<()> {
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::io::Interest;

    // Without descriptors for a pipe there is still memory.
    let Ok((drain, fill)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) else {
        return copy_in_memory(from, to, activity).await;
    };
    // A user may have only so much in pipes; then it stays small.
    let _ = fcntl_setpipe_size(&fill, BUFFER_BYTES);
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        from.readable().await?;
        // The pipe is empty here, so only the connection can be what would block.
        let into = || Ok(splice(from, None, &fill, None, BUFFER_BYTES, flags)?);
        let mut held = match from.try_io(Interest::READABLE, into) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        while held > 0 {
            to.writable().await?;
            let out = || Ok(splice(&drain, None, to, None, held, flags)?);
            match to.try_io(Interest::WRITABLE, out) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    held -= count;
                    activity.moved(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
async fn copy(from: &TcpStream, to: &TcpStream, activity: &Activity<'_>) -> io::Result<()> {
    copy_in_memory(from, to, activity).await
}

async fn copy_in_memory(from: &TcpStream, to: &TcpStream, activity: &Activity<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        from.readable().await?;
        let held = match from.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let mut gone = 0;
        while gone < held {
            to.writable().await?;
            match to.try_write(&buffer[gone..held]) {
                Ok(count) => {
                    gone += count;
                    activity.moved(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_without_a_pipe_are_the_same() {
        let ((mut writer, from), (to, mut reader)) = (connected().await, connected().await);
        let content: Vec<u8> =
            (0..3_000_017u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let meter = AtomicU64::new(0);
        let activity = Activity::new(&meter);
        let mut got = Vec::new();
        let sent = content.clone();
        let (copied, (), read) = tokio::join!(
            async {
                copy_in_memory(&from, &to, &activity).await.unwrap();
                SockRef::from(&to).shutdown(Shutdown::Write)
            },
            async {
                writer.write_all(&sent).await.unwrap();
                writer.shutdown().await.unwrap();
            },
            reader.read_to_end(&mut got),
        );
        copied.unwrap();
        read.unwrap();
        assert!(got == content);
        assert_eq!(meter.load(Relaxed), content.len() as u64);
    }
}
