//! Deadlines: one per task, looked at by one sweep per worker.
//!
//! A timer of the runtime costs a lock and a place in its wheel each time it is moved, and a busy connection moves its
//! deadline four times a request. Here moving a deadline is one store, and a sweep over all tasks every
//! [`SWEEP`] wakes those that are late: 20,000 idle connections cost it about 60 µs.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use portcullis_types::Tick;

/// How late a deadline may be noticed.
pub(crate) const SWEEP: Duration = Duration::from_millis(50);

/// The clock of one worker, and the tasks whose deadlines it sweeps.
pub(crate) struct Watchers {
    epoch: Instant,
    entries: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<usize>>,
}

struct Entry {
    deadline: Cell<Tick>,
    fired: Cell<bool>,
    idle: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The deadline of one task. A task waits for one thing at a time, so one is enough.
pub(crate) struct Watch {
    watchers: Rc<Watchers>,
    entry: Rc<Entry>,
    index: usize,
}

/// The deadline passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired;

const NEVER: Tick = Tick(u64::MAX);

impl Watchers {
    pub(crate) fn new(epoch: Instant) -> Rc<Self> {
        Rc::new(Self { epoch, entries: RefCell::default(), free: RefCell::default() })
    }

    /// Nanoseconds since the process began.
    pub(crate) fn now(&self) -> Tick {
        Tick(u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    pub(crate) fn watch(self: &Rc<Self>) -> Watch {
        let entry = Rc::new(Entry {
            deadline: Cell::new(NEVER),
            fired: Cell::new(false),
            idle: Cell::new(false),
            waker: RefCell::new(None),
        });
        let mut entries = self.entries.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or(entries.len());
        if index == entries.len() {
            entries.push(None);
        }
        entries[index] = Some(Rc::clone(&entry));
        Watch { watchers: Rc::clone(self), entry, index }
    }

    /// Wakes whoever is late.
    pub(crate) fn sweep(&self) {
        let now = self.now();
        for entry in self.entries.borrow().iter().flatten() {
            if entry.deadline.get() <= now {
                entry.fire();
            }
        }
    }

    /// Ends the wait of every task that only waits for another request.
    pub(crate) fn expire_idle(&self) {
        self.entries.borrow().iter().flatten().filter(|entry| entry.idle.get()).for_each(|entry| entry.fire());
    }
}

impl Entry {
    fn fire(&self) {
        if !self.fired.replace(true)
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }
}

impl Watch {
    pub(crate) fn now(&self) -> Tick {
        self.watchers.now()
    }

    pub(crate) fn arm(&self, at: Tick) {
        self.entry.fired.set(false);
        self.entry.deadline.set(at);
    }

    /// As [`Watch::arm`], but an expiry that was not seen yet stands while the deadline is the same.
    pub(crate) fn arm_if_changed(&self, at: Tick) {
        if self.entry.deadline.get() != at {
            self.arm(at);
        }
    }

    /// Whether the task only waits for another request, so that draining may end it.
    pub(crate) fn set_idle(&self, idle: bool) {
        self.entry.idle.set(idle);
    }

    pub(crate) fn disarm(&self) {
        self.arm(NEVER);
    }

    /// Whether the deadline has passed; if not, `cx` is woken when it does.
    pub(crate) fn poll_expired(&self, cx: &Context<'_>) -> bool {
        if self.entry.fired.get() {
            return true;
        }
        let mut waker = self.entry.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        false
    }

    /// Runs `future` until the deadline `at`; the deadline is gone afterwards.
    pub(crate) async fn until<F: Future>(&self, at: Tick, future: F) -> Result<F::Output, Expired> {
        self.arm(at);
        let mut future = pin!(future);
        let result = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.poll_expired(cx) => Poll::Ready(Err(Expired)),
            Poll::Pending => Poll::Pending,
        })
        .await;
        self.disarm();
        result
    }

    /// Runs `future` for at most `span`.
    pub(crate) async fn within<F: Future>(&self, span: Duration, future: F) -> Result<F::Output, Expired> {
        self.until(self.now().after(span), future).await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(slot) = self.watchers.entries.borrow_mut().get_mut(self.index) {
            *slot = None;
        }
        self.watchers.free.borrow_mut().push(self.index);
    }
}
