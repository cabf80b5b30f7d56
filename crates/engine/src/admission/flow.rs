//! What is under way on this node for one platform, counted by all workers in atomics.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use portcullis_types::RouteClass;

use super::priority::{Priority, RANKS as RANKS_U8};
use super::room::Room;
use crate::brain::orders::AdmissionOrders;
use crate::senses::harvest::CLASSES;

/// Priorities that there are.
pub(crate) const PRIORITIES: usize = 256;
/// Of a limit, one place in so many is kept for the privileged, so that they need not even queue.
const RESERVE: u32 = 8;
/// Ranks of priorities.
pub(crate) const RANKS: usize = RANKS_U8 as usize;
/// Workers that are told apart; more of them share a count, which costs fairness between those and nothing else.
const WORKERS: usize = 64;

/// Requests that wait, by class and rank.
pub(crate) type Ranks = [[u32; RANKS]; CLASSES];

/// A count in a cache line of its own: each worker writes its own for every request.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Own(AtomicU32);

/// The counts of one platform. It outlives every policy that names the platform.
#[derive(Debug)]
pub(crate) struct Flow {
    whole: AtomicU32,
    classes: [AtomicU32; CLASSES],
    waiting: AtomicU32,
    /// The same by class and rank.
    ranks: [[AtomicU32; RANKS]; CLASSES],
    /// Under way, by worker.
    workers: Box<[Own]>,
    /// Workers that ever joined.
    joined: AtomicUsize,
    /// Navigations of visitors whom nobody knows that were refused since the controller last asked.
    turned_away: AtomicU32,
    /// Requests by priority since the controller last asked; counted only while there is a bound.
    asked: [AtomicU32; PRIORITIES],
    pub(crate) room: Room,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            whole: AtomicU32::new(0),
            classes: [const { AtomicU32::new(0) }; CLASSES],
            waiting: AtomicU32::new(0),
            ranks: [const { [const { AtomicU32::new(0) }; RANKS] }; CLASSES],
            workers: (0..WORKERS).map(|_| Own::default()).collect(),
            joined: AtomicUsize::new(0),
            turned_away: AtomicU32::new(0),
            asked: [const { AtomicU32::new(0) }; PRIORITIES],
            room: Room::default(),
        }
    }
}

/// Which bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The platform's.
    Whole,
    /// The class's.
    Class,
}

impl Flow {
    /// A worker's number.
    pub(crate) fn join(&self) -> usize {
        self.joined.fetch_add(1, Ordering::Relaxed) % WORKERS
    }

    /// One more of that worker's under way, if the limits leave room for that priority. Who has shown who they are need not
    /// answer for what their class has grown to.
    pub(crate) fn enter(
        self: &Arc<Self>,
        worker: usize,
        class: RouteClass,
        priority: Priority,
        limits: &AdmissionOrders,
    ) -> Result<Place, Full> {
        if !count(&self.whole, bound(priority, limits)) {
            return Err(Full::Whole);
        }
        let place = class.index();
        let bound = limits.classes.get(place).copied().unwrap_or(0);
        let bound = if priority.rank() >= Priority::lowest_protected(class) { u32::MAX } else { bound };
        if !self.classes.get(place).is_some_and(|now| count(now, bound)) {
            self.whole.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Class);
        }
        if let Some(own) = self.workers.get(worker) {
            own.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Place { flow: Arc::clone(self), worker, class, counted: Cell::new(true) })
    }

    /// Whether all places for requests of that priority are taken.
    pub(crate) fn is_full(&self, priority: Priority, limits: &AdmissionOrders) -> bool {
        self.under_way() >= bound(priority, limits)
    }

    /// Whether a free place is for a request of that worker: with no other waits one of a higher rank that it is for, and of
    /// those of its rank this worker serves no more than its share. `own` is what waits with it, the request included.
    /// Without this a worker whose requests come to an end would go on with its own for ever, whoever waits with another.
    pub(crate) fn is_due(&self, worker: usize, priority: Priority, own: &Ranks, limits: &AdmissionOrders) -> bool {
        let rank = usize::from(priority.rank());
        let (mut better, mut equal) = (0, 0);
        for ((place, ranks), own) in self.ranks.iter().enumerate().zip(own) {
            let bound = limits.classes.get(place).copied().unwrap_or(0);
            let full = self.classes.get(place).is_some_and(|now| now.load(Ordering::Relaxed) >= bound);
            let first = match RouteClass::ALL.get(place) {
                Some(class) if full => rank.max(usize::from(Priority::lowest_protected(*class))),
                _ => rank,
            };
            for (at, (all, own)) in ranks.iter().zip(own).enumerate().skip(first) {
                let others = all.load(Ordering::Relaxed).saturating_sub(*own);
                if at == rank { equal += others } else { better += others }
            }
        }
        if limits.whole.saturating_sub(self.under_way()) <= better {
            return false;
        }
        let mine: u32 = own.iter().filter_map(|ranks| ranks.get(rank)).sum();
        let share = u64::from(limits.whole) * u64::from(mine) / u64::from((mine + equal).max(1));
        let under_way = self.workers.get(worker).map_or(0, |own| own.0.load(Ordering::Relaxed));
        equal == 0 || u64::from(under_way) <= share
    }

    pub(crate) const fn bytes(&self) -> usize {
        size_of::<Self>() + self.workers.len() * size_of::<Own>() + self.room.bytes()
    }

    /// Requests under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.whole.load(Ordering::Relaxed)
    }

    /// Requests of a class under way.
    #[cfg(test)]
    pub(crate) fn class_under_way(&self, class: usize) -> u32 {
        self.classes.get(class).map_or(0, |now| now.load(Ordering::Relaxed))
    }

    /// Requests that wait, over all workers.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn queued(&self, class: RouteClass, priority: Priority) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = self.rank(class, priority) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn unqueued(&self, class: RouteClass, priority: Priority) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.rank(class, priority) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn rank(&self, class: RouteClass, priority: Priority) -> Option<&AtomicU32> {
        self.ranks.get(class.index())?.get(usize::from(priority.rank()))
    }

    pub(crate) fn asked(&self, priority: Priority) {
        if let Some(count) = self.asked.get(usize::from(priority.0)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Visitors turned away since the last time.
    pub(crate) fn take_turned_away(&self) -> u32 {
        self.turned_away.swap(0, Ordering::Relaxed)
    }

    /// Requests by priority since the last time.
    pub(crate) fn take_asked(&self, mut take: impl FnMut(usize, u32)) {
        for (priority, count) in self.asked.iter().enumerate() {
            if count.load(Ordering::Relaxed) > 0 {
                take(priority, count.swap(0, Ordering::Relaxed));
            }
        }
    }
}

/// The limit for a priority.
const fn bound(priority: Priority, limits: &AdmissionOrders) -> u32 {
    match limits.whole {
        u32::MAX => u32::MAX,
        limit if priority.is_privileged() => limit,
        limit => limit - limit / RESERVE,
    }
}

fn count(counter: &AtomicU32, limit: u32) -> bool {
    if limit == u32::MAX {
        counter.fetch_add(1, Ordering::Relaxed);
        return true;
    }
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < limit).then_some(now + 1)).is_ok()
}

/// One request under way. It counts until it is dropped, except while it is [paused](Place::pause).
#[derive(Debug)]
pub(crate) struct Place {
    flow: Arc<Flow>,
    worker: usize,
    class: RouteClass,
    counted: Cell<bool>,
}

impl Place {
    /// Its client has still to send the rest of it: no work for the platform until then.
    pub(crate) fn pause(&self) {
        if self.counted.replace(false) {
            self.flow.whole.fetch_sub(1, Ordering::Relaxed);
            if let Some(own) = self.flow.workers.get(self.worker) {
                own.0.fetch_sub(1, Ordering::Relaxed);
            }
            if let Some(now) = self.flow.classes.get(self.class.index()) {
                now.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// It is whole now, and counts again; it was admitted before, so no limit is asked.
    pub(crate) fn resume(&self) {
        if !self.counted.replace(true) {
            self.flow.whole.fetch_add(1, Ordering::Relaxed);
            if let Some(own) = self.flow.workers.get(self.worker) {
                own.0.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(now) = self.flow.classes.get(self.class.index()) {
                now.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pause();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trust::Trust;

    #[test]
    fn who_still_sends_is_no_work_yet() {
        let flow = Arc::new(Flow::default());
        let limits = AdmissionOrders { whole: 1, ..AdmissionOrders::default() };
        let priority = Priority::of(RouteClass::Form, Trust::Staff, 0);
        let slow = flow.enter(0, RouteClass::Form, priority, &limits).expect("room");
        slow.pause();
        slow.pause();
        assert_eq!((flow.under_way(), flow.class_under_way(RouteClass::Form.index())), (0, 0));
        let quick = flow.enter(0, RouteClass::Form, priority, &limits).expect("room");
        slow.resume();
        slow.resume();
        assert_eq!(
            (flow.under_way(), flow.class_under_way(RouteClass::Form.index())),
            (2, 2),
            "it was admitted before"
        );
        slow.pause();
        drop((slow, quick));
        assert_eq!((flow.under_way(), flow.class_under_way(RouteClass::Form.index())), (0, 0));
    }

    proptest! {
        /// Whatever comes and goes, and however the limits move: never beyond them, and nothing leaks.
        #[test]
        fn places_are_never_exceeded_and_never_leak(
            steps in prop::collection::vec((0..9usize, 0..8usize, any::<bool>(), 0..12u32, 0..6u32), 1..200),
        ) {
            let flow = Arc::new(Flow::default());
            let mut held: Vec<Place> = Vec::new();
            for (class, trust, leave, whole, of_class) in steps {
                if leave {
                    held.pop();
                    continue;
                }
                let limits = AdmissionOrders { whole, classes: [of_class; CLASSES], ..AdmissionOrders::default() };
                let (class, trust) = (RouteClass::ALL[class], Trust::ALL[trust]);
                let before = (flow.under_way(), flow.class_under_way(class.index()));
                match flow.enter(0, class, Priority::of(class, trust, 0), &limits) {
                    Ok(place) => {
                        prop_assert!(before.0 < whole && (before.1 < of_class || trust.is_protected()));
                        held.push(place);
                    }
                    Err(Full::Whole) => prop_assert!(before.0 >= whole - whole / RESERVE),
                    Err(Full::Class) => prop_assert!(before.1 >= of_class && !trust.is_protected()),
                }
                prop_assert_eq!(flow.under_way() as usize, held.len());
            }
            drop(held);
            prop_assert_eq!(flow.under_way(), 0);
            prop_assert!((0..CLASSES).all(|class| flow.class_under_way(class) == 0));
        }
    }
}
