//! Bytes both ways until one side ends, as the session says.
//!
//! Reads land in one buffer per worker and are written from there: an idle session owns no buffer, a busy one copies only
//! what the other side does not take at once or what must be held to be looked at whole.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use portcullis_pgguard::session::{End, Session, Step};
use portcullis_types::Reason;
use portcullis_wire::postgres::write::{self, Gravity};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};

use super::desk::{Asking, Desk};
use super::upstream;
use crate::stream::Stream;
use crate::watch::Watch;
use crate::worker::Worker;

/// How much one read takes, and with it how much may leave beyond a budget at most.
const READ_BYTES: usize = 64 * 1024;

/// Rounds of both directions before other sessions of the worker have their turn.
const ROUNDS: usize = 8;

/// What is held is put before what arrives while it is no longer than this; there is room behind it.
const HELD_BYTES: usize = 40 * 1024;

/// What is heard of a statement's results at most after its application has gone; then the server hears that nobody reads.
const OUTLAST_BYTES: usize = 256 * 1024;
const OUTLAST_READ: usize = 4096;

/// How long an application may take to read why its session is over.
const FAREWELL: Duration = Duration::from_secs(1);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// Relays a session to its end.
pub(super) async fn run(
    worker: &Rc<Worker>,
    mut client: Stream,
    mut server: Stream,
    mut session: Session,
    desk: &mut Desk,
    watch: &Watch,
) {
    let idle = desk.database.declared.idle_timeout;
    let (mut there, mut back) = (Way::default(), Way::default());
    let mut moved = 0;
    idle.into_iter().for_each(|idle| watch.arm(watch.now().after(idle)));
    let over = poll_fn(|cx| {
        for _ in 0..ROUNDS {
            let before = there.moved + back.moved;
            let mut side = Side { session: &mut session, desk: &mut *desk, client: true };
            let one = there.poll(&mut client, &mut server, cx, &mut side);
            match one {
                // What the server said last is still to be read.
                Poll::Ready(Over::Deaf) => there.deaf = true,
                Poll::Ready(over) => return Poll::Ready(over),
                Poll::Pending => {}
            }
            side.client = false;
            let two = back.poll(&mut server, &mut client, cx, &mut side);
            if let Poll::Ready(over) = two {
                return Poll::Ready(match over {
                    Over::Gone => Over::ServerGone,
                    Over::Deaf => Over::Gone,
                    other => other,
                });
            }
            if there.moved + back.moved == before {
                watch.set_idle(session.is_idle());
                if moved != before {
                    moved = before;
                    idle.into_iter().for_each(|idle| watch.arm(watch.now().after(idle)));
                }
                if session.is_idle() && worker.is_draining() {
                    return Poll::Ready(Over::Expired);
                }
                return if watch.poll_expired(cx) { Poll::Ready(Over::Expired) } else { Poll::Pending };
            }
        }
        // Both have had their turn; so shall others.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    watch.disarm();
    watch.set_idle(false);
    session.ended(desk);
    let clean = back.out.is_empty();
    finish(worker, (over, clean), client, server, &mut session, desk, watch).await;
}

/// Why a relay is over.
enum Over {
    /// The session says so.
    End(End),
    /// The application went away.
    Gone,
    /// The server went away.
    ServerGone,
    /// The side that is written to takes nothing any more.
    Deaf,
    /// Nothing moved for too long, or the gate is draining.
    Expired,
}

async fn finish(
    worker: &Rc<Worker>,
    (over, clean): (Over, bool),
    mut client: Stream,
    mut server: Stream,
    session: &mut Session,
    desk: &mut Desk,
    watch: &Watch,
) {
    let mut farewell = Vec::new();
    match over {
        Over::End(End { denial, reference, farewell: last, cancel }) => {
            if cancel {
                give_up(worker, session, desk, !matches!(client, Stream::Plain(_)));
            }
            // The server's socket goes first: nothing more of it is wanted.
            drop(server);
            desk.cut(Some(reference), denial.reason, &denial.detail);
            farewell = last;
        }
        Over::Expired => {
            let (reason, words) = if worker.is_draining() {
                (Reason::Draining, "terminating connection: the gate is draining")
            } else {
                (Reason::IdleTimeout, "terminating connection due to idle-session timeout")
            };
            let code = if reason == Reason::Draining { "57P01" } else { "57P05" };
            if session.is_idle() {
                write::error(&mut farewell, Gravity::Fatal, code, words, "");
            } else {
                give_up(worker, session, desk, !matches!(client, Stream::Plain(_)));
            }
            let _ = watch.within(FAREWELL, server.write_all(&write::TERMINATE)).await;
            desk.cut(None, reason, words);
        }
        // The server may be in the middle of something; it learns as it would without the gate.
        Over::Gone | Over::Deaf => {
            let _ = watch.within(FAREWELL, server.shutdown()).await;
            if !session.is_idle() {
                drop(client);
                outlast(worker, &mut server, session, desk).await;
            }
            return;
        }
        Over::ServerGone => {}
    }
    if !clean {
        // What was to be read before it has not been taken: it would stand in the middle of that.
        farewell.clear();
    }
    let told = async {
        client.write_all(&farewell).await?;
        client.shutdown().await
    };
    let _ = watch.within(FAREWELL, told).await;
}

/// Hears what the server makes of a statement whose application has gone: it runs it to its end, and counts it. Nothing of that
/// leaves.
async fn outlast(worker: &Rc<Worker>, server: &mut Stream, session: &mut Session, desk: &mut Desk) {
    desk.nobody_listens();
    let (mut held, mut heard) = (Vec::new(), 0);
    let mut piece = vec![0; OUTLAST_READ];
    while heard <= OUTLAST_BYTES && !worker.is_draining() && !session.is_idle() {
        let count = match tokio::time::timeout(FAREWELL, server.read(&mut piece)).await {
            Ok(Ok(count @ 1..)) => count,
            Ok(_) => return,
            Err(_) => continue,
        };
        heard += count;
        held.extend_from_slice(piece.get(..count).unwrap_or_default());
        loop {
            match session.from_server(&held, desk) {
                Step::Forward(taken) | Step::Replace(taken, _) => drop(held.drain(..taken.min(held.len()))),
                Step::More => break,
                Step::Ask(_) | Step::Wait | Step::End(_) => return,
            }
            if held.is_empty() {
                break;
            }
        }
    }
}

/// The server's statement is of no use to anybody any more.
fn give_up(worker: &Rc<Worker>, session: &Session, desk: &Desk, tls: bool) {
    if let Some((process, key)) = session.key() {
        let (worker, database) = (Rc::clone(worker), Arc::clone(&desk.database));
        let request = write::cancel(process, key);
        tokio::task::spawn_local(async move { upstream::cancel(&worker, &database, tls, &request).await });
    }
}

/// Who is asked about the bytes of one direction.
struct Side<'a> {
    session: &'a mut Session,
    desk: &'a mut Desk,
    client: bool,
}

impl Side<'_> {
    fn look(&mut self, bytes: &[u8]) -> Step {
        if self.client {
            self.session.from_client(bytes, self.desk)
        } else {
            self.session.from_server(bytes, self.desk)
        }
    }
}

/// One direction.
#[derive(Default)]
struct Way {
    /// Arrived and not yet decided about.
    held: Vec<u8>,
    /// Decided and not yet taken by the other side, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Written and not yet flushed (TLS).
    unflushed: bool,
    moved: u64,
    /// Who sends has ended.
    ended: bool,
    /// Who is written to has.
    deaf: bool,
    /// The session is over once what was decided has gone.
    end: Option<End>,
    /// The session must hear the other direction before it says more about what is held.
    waits: bool,
    /// The parser is asked about what is held.
    asking: Option<Asking>,
}

impl Way {
    /// Moves what can be moved. Ready when the session is over.
    fn poll(&mut self, from: &mut Stream, to: &mut Stream, cx: &mut Context<'_>, side: &mut Side<'_>) -> Poll<Over> {
        loop {
            if self.deaf {
                return Poll::Pending;
            }
            if self.flush(to, cx).is_err() {
                return Poll::Ready(Over::Deaf);
            }
            if self.sent < self.out.len() {
                return Poll::Pending;
            }
            if let Some(end) = self.end.take() {
                return Poll::Ready(Over::End(end));
            }
            if self.ended {
                return Poll::Ready(Over::Gone);
            }
            if let Some(asking) = &mut self.asking {
                let verdict = ready!(asking.as_mut().poll(cx));
                self.asking = None;
                side.session.answer(verdict);
                let held = std::mem::take(&mut self.held);
                self.decide(&held, to, cx, side);
                self.moved += 1;
                continue;
            }
            if self.waits {
                // Shown again each round: only the other direction can change the answer.
                self.waits = false;
                let held = std::mem::take(&mut self.held);
                self.decide(&held, to, cx, side);
                if self.waits {
                    return Poll::Pending;
                }
                continue;
            }
            match self.fill(from, to, cx, side) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(count)) => self.moved += count as u64,
                Poll::Ready(Err(_)) => return Poll::Ready(Over::Gone),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn fill(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        cx: &mut Context<'_>,
        side: &mut Side<'_>,
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            // What is held of the look before goes first, where it is short: what arrives is then looked at where it lies.
            let before = if self.held.len() <= HELD_BYTES { self.held.len() } else { 0 };
            let (front, room) = scratch.split_at_mut(before);
            let mut into = ReadBuf::new(room);
            ready!(Pin::new(from).poll_read(cx, &mut into))?;
            let count = into.filled().len();
            let mut held = std::mem::take(&mut self.held);
            if before == held.len() {
                front.copy_from_slice(&held);
                self.decide(scratch.get(..before + count).unwrap_or_default(), to, cx, side);
            } else {
                held.extend_from_slice(into.filled());
                self.decide(&held, to, cx, side);
            }
            Poll::Ready(Ok(count))
        })
    }

    /// Asks about bytes until nothing more can be said; what is left is held.
    fn decide(&mut self, bytes: &[u8], to: &mut Stream, cx: &mut Context<'_>, side: &mut Side<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() && self.end.is_none() {
            match side.look(rest) {
                Step::Forward(count) => {
                    let (now, later) = rest.split_at(count.min(rest.len()));
                    self.send(now, to, cx);
                    rest = later;
                }
                Step::Replace(count, with) => {
                    rest = rest.get(count..).unwrap_or_default();
                    self.send(&with, to, cx);
                }
                Step::More => break,
                Step::Wait => {
                    self.waits = true;
                    break;
                }
                Step::Ask(range) => {
                    self.asking = Some(side.desk.ask(rest.get(range).unwrap_or_default()));
                    break;
                }
                Step::End(end) => {
                    self.end = Some(end);
                    rest = &[];
                }
            }
        }
        self.held.extend_from_slice(rest);
    }

    /// Writes at once what the other side takes; the rest waits.
    fn send(&mut self, bytes: &[u8], to: &mut Stream, cx: &mut Context<'_>) {
        let mut rest = bytes;
        while self.out.is_empty() && !rest.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, rest) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.unflushed = true;
                    rest = rest.get(count..).unwrap_or_default();
                }
                // An error is met again by `flush`.
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        self.out.extend_from_slice(rest);
    }

    fn flush(&mut self, to: &mut Stream, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut *to).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.out.is_empty() {
            // Nothing is held while nothing moves.
            (self.out, self.sent) = (Vec::new(), 0);
        }
        if self.unflushed && !matches!(to, Stream::Plain(_)) {
            match Pin::new(&mut *to).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}
