//! Two connections that speak a protocol of their own (WebSocket and its kin): bytes go both ways until both have ended.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf as _;
use tokio::io::AsyncWrite as _;

use super::leaving::{Eye, Stop};
use crate::stream::SharedWire;
use crate::watch::Watch;

/// Carries bytes between `client` and `upstream`. It ends when both have ended, one fails, or nothing has moved in
/// either direction for `silence`, or who reads along what the upstream says stops it; that is told.
pub(crate) async fn both_ways(
    client: &SharedWire,
    upstream: &SharedWire,
    silence: Duration,
    watch: &Watch,
    mut eye: Option<&mut Eye>,
) -> Option<Stop> {
    let mut there = OneWay::default();
    let mut back = OneWay::default();
    let mut moved = 0;
    let mut stop = None;
    watch.arm(watch.now().after(silence));
    poll_fn(|cx| {
        let one = there.poll(client, upstream, &mut |_| None, cx);
        let two = back.poll(
            upstream,
            client,
            &mut |bytes| {
                let said = eye.as_deref_mut()?.see(bytes);
                stop = stop.take().or_else(|| said.clone());
                said
            },
            cx,
        );
        if there.moved + back.moved != moved {
            moved = there.moved + back.moved;
            watch.arm(watch.now().after(silence));
        }
        match (one, two) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
            _ if watch.poll_expired(cx) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
    watch.disarm();
    stop
}

#[derive(Default)]
struct OneWay {
    moved: u64,
    ended: bool,
    /// Of what has arrived, so much was read along.
    read: usize,
}

impl OneWay {
    fn poll(
        &mut self,
        from: &SharedWire,
        to: &SharedWire,
        reader: &mut dyn FnMut(&[u8]) -> Option<Stop>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let (mut from, mut to) = (from.borrow_mut(), to.borrow_mut());
        loop {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            if !from.arrived.is_empty() {
                let fresh = from.arrived.get(self.read..).unwrap_or_default();
                if !fresh.is_empty() && reader(fresh).is_some() {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                self.read = from.arrived.len();
                let count = ready!(to.poll_write(cx, &[IoSlice::new(&from.arrived)]))?;
                from.arrived.advance(count);
                self.read -= count;
                self.moved += count as u64;
                continue;
            }
            // Nothing is held while nothing moves.
            from.rest();
            if let Poll::Ready(Err(error)) = to.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            if ready!(from.poll_fill(cx))? == 0 {
                self.ended = true;
                // The other direction may go on: only this one is closed.
                let _ = Pin::new(&mut to.stream).poll_shutdown(cx);
            }
        }
    }
}
