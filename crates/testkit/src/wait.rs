//! Waiting for conditions, never for time.

use std::{fmt::Debug, future::Future, time::Duration};

/// How long anything may take. Far above what a loaded machine needs, so that only what will never
/// come runs into it.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// The pause between two looks at a condition that cannot wake its waiter.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Awaits `future`; panics when it takes longer than [`DEADLINE`].
pub async fn within<T>(what: impl Debug, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for {what:?}"),
    }
}

/// Looks again and again until `look` has an answer; panics with the last `state` at the deadline.
pub async fn until<T, S: Debug>(what: &str, mut look: impl FnMut() -> Result<T, S>) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        match look() {
            Ok(value) => return value,
            Err(state) if tokio::time::Instant::now() > deadline => {
                panic!("waited {DEADLINE:?} for {what}; it is {state:?}")
            }
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}
