//! Operations: what TypeScript may submit, by name, and how their arguments and results travel.
//!
//! Arguments and results are CBOR maps (serde field names). An operation is an async function; work
//! that blocks goes through [`blocking`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, Result};
use crate::queue::Queue;

/// What an operation can reach: the queue it was submitted to, with its handles and runtime.
pub type Context = Arc<Queue>;

/// A submitted operation; resolves to the CBOR of its result.
pub type OpFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>;

/// Starts one operation from its CBOR arguments.
pub type Op = fn(Context, &[u8]) -> OpFuture;

/// Decodes the arguments, runs `body`, encodes its result.
pub fn run<A, R, F, Fut>(context: Context, args: &[u8], body: F) -> OpFuture
where
    A: DeserializeOwned,
    R: Serialize,
    F: FnOnce(Context, A) -> Fut,
    Fut: Future<Output = Result<R>> + Send + 'static,
{
    let args = match ciborium::from_reader::<A, _>(args) {
        Ok(args) => args,
        Err(error) => {
            let error = Error::new(Kind::InvalidArgument, format!("cannot decode arguments: {error}"));
            return Box::pin(async move { Err(error) });
        }
    };
    let future = body(context, args);
    Box::pin(async move { encode(&future.await?) })
}

/// Runs work that blocks (disk, CPU) off the async threads.
pub async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(panicked(error.is_panic().then(|| error.into_panic()))),
    }
}

/// The error for a caught panic, with its words.
pub fn panicked(payload: Option<Box<dyn std::any::Any + Send>>) -> Error {
    let words = payload.as_ref().and_then(|p| {
        p.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| p.downcast_ref::<String>().cloned())
    });
    Error::new(
        Kind::Internal,
        format!("the native library panicked: {}", words.as_deref().unwrap_or("no message")),
    )
}

/// Encodes a result as CBOR.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(64);
    ciborium::into_writer(value, &mut bytes)
        .map_err(|error| Error::new(Kind::Internal, format!("cannot encode a result: {error}")))?;
    Ok(bytes)
}

/// Finds an operation by name in the tables of every export module.
pub fn find(name: &str) -> Option<Op> {
    crate::export::OPERATIONS
        .iter()
        .flat_map(|table| table.iter())
        .find(|(n, _)| *n == name)
        .map(|(_, op)| *op)
}

/// As [`blocking`]; the flag that `work` is given becomes true once the operation is cancelled.
pub async fn blocking_cancellable<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(&AtomicBool) -> Result<T> + Send + 'static,
{
    /// Set when the operation's future is dropped, which is how it is cancelled.
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let guard = SetOnDrop(Arc::default());
    let cancelled = guard.0.clone();
    blocking(move || work(&cancelled)).await
}
