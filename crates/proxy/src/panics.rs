//! A panic ends what it happened in and nothing else.
//!
//! It never hides one: each is counted, and its place is on stderr as ever.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Polls so that a panic is an error like another, in its own words.
pub(crate) fn caught<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, String>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(poll) => poll.map(Ok),
        Err(cause) => Poll::Ready(Err(words(cause.as_ref()))),
    }
}

/// Runs a task to its end or to its panic, of which `count` is told.
pub(crate) async fn counted(task: impl Future<Output = ()>, count: impl FnOnce()) {
    let mut task = pin!(task);
    if let Err(cause) = poll_fn(|cx| caught(|| task.as_mut().poll(cx))).await {
        tracing::error!(cause, "a connection was ended by a panic");
        count();
    }
}

/// What a panic said.
pub(crate) fn words(cause: &(dyn Any + Send)) -> String {
    cause
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_and_survived() {
        assert_eq!(caught(|| Poll::Ready(1)), Poll::Ready(Ok(1)));
        assert_eq!(caught::<()>(|| panic!("a {}", "word")), Poll::Ready(Err("a word".to_owned())));
    }

    #[tokio::test]
    async fn a_task_that_panics_late_is_counted_once() {
        let mut count = 0;
        let task = async {
            tokio::task::yield_now().await;
            panic!("late");
        };
        counted(task, || count += 1).await;
        counted(async {}, || count += 1).await;
        assert_eq!(count, 1);
    }
}
