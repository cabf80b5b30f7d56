//! Requests of one platform that wait in one worker, in fixed memory. Every step is O(1), however many ask.
//!
//! Within a class requests stand in 64 lanes: at most eight ranks times eight ties. A lane is first come, first served; which
//! lane of which class goes next is decided by priority. When the queue is full, whoever has the highest priority
//! displaces the last of the lowest lane.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{RouteClass, Tick};

use super::flow::{Flow, Full, Place, RANKS, Ranks};
use super::priority::Priority;
use crate::brain::orders::AdmissionOrders;
use crate::senses::harvest::CLASSES;
use crate::senses::sight::Seen;
use crate::trust::Trust;

/// Requests of one platform that wait in one worker, at most.
pub(crate) const QUEUE: usize = 512;
/// Lanes of a class: one for each bit of a word.
const LANES: usize = 64;
/// Whoever was called and has not come by then has gone without a word.
const CLAIM_WITHIN: Duration = Duration::from_secs(1);
/// How often deadlines are looked at.
const SWEEP: Duration = Duration::from_millis(10);
/// So long a place is left to whom it is for with another worker; they look each 10 ms.
const LEAVES: Duration = Duration::from_millis(30);
/// Of a ticket, the bits of its slot.
const SLOT_BITS: u32 = 16;
const NONE: u16 = u16::MAX;

/// Requests that wait.
#[derive(Debug)]
pub(crate) struct Queue {
    flow: Arc<Flow>,
    /// The worker's number.
    worker: usize,
    /// Waiting, and the same by class and rank.
    lined: u32,
    own: Box<Ranks>,
    /// Since when places have been left to those who wait with another worker, and are better or have fewer.
    left: Option<Tick>,
    slots: Box<[Slot]>,
    /// The first free slot; the others follow by `next`.
    free: u16,
    /// For each class, which lanes hold anybody.
    lanes: [u64; CLASSES],
    heads: Box<[[u16; LANES]; CLASSES]>,
    tails: Box<[[u16; LANES]; CLASSES]>,
    /// Waiting, called or over: slots that are not free.
    taken: usize,
    /// Tickets that should claim now. Its room is never exceeded: who is not named here comes by itself after a while.
    calls: Vec<u64>,
    swept: Tick,
}

#[derive(Debug)]
struct Slot {
    /// Of the ticket that it belongs to.
    generation: u64,
    next: u16,
    before: u16,
    class: RouteClass,
    lane: u8,
    priority: Priority,
    state: State,
    /// Since when it is in that state, or until when it waits.
    until: Tick,
    seen: Option<Seen>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Free,
    /// In a lane.
    Waiting,
    /// A place is held for it.
    Called(Place),
    /// Its deadline has passed.
    Over,
}

/// How it stands with a ticket.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Here is its place.
    Go(Place),
    /// Not yet.
    Stay,
    /// Displaced, too late, or unknown.
    Over,
}

impl Queue {
    pub(crate) fn new(flow: Arc<Flow>) -> Self {
        let slot = |at: usize| Slot {
            generation: 0,
            next: if at + 1 < QUEUE { u16::try_from(at + 1).unwrap_or(NONE) } else { NONE },
            before: NONE,
            class: RouteClass::Page,
            lane: 0,
            priority: Priority(0),
            state: State::Free,
            until: Tick::ZERO,
            seen: None,
        };
        Self {
            worker: flow.join(),
            lined: 0,
            own: Box::new([[0; RANKS]; CLASSES]),
            left: None,
            flow,
            slots: (0..QUEUE).map(slot).collect(),
            free: 0,
            lanes: [0; CLASSES],
            heads: Box::new([[NONE; LANES]; CLASSES]),
            tails: Box::new([[NONE; LANES]; CLASSES]),
            taken: 0,
            calls: Vec::with_capacity(2 * QUEUE),
            swept: Tick::ZERO,
        }
    }

    pub(crate) const fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
            + 2 * size_of::<[[u16; LANES]; CLASSES]>()
            + size_of::<Ranks>()
            + self.calls.capacity() * size_of::<u64>()
    }

    /// Whether nobody waits, or is about to claim.
    #[cfg(test)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Ends the waiting of those who would not be let in any more.
    pub(crate) fn expel(&mut self, mut unwanted: impl FnMut(&Seen) -> bool) {
        for at in 0..if self.taken == 0 { 0 } else { self.slots.len() } {
            let slot = u16::try_from(at).unwrap_or(NONE);
            let Some(entry) = self.slot(slot) else { return };
            if matches!(entry.state, State::Waiting) && entry.seen.as_ref().is_some_and(&mut unwanted) {
                self.unlink(slot);
                if let Some(entry) = self.slot_mut(slot) {
                    entry.state = State::Over;
                }
                self.call(self.ticket(slot));
            }
        }
    }

    /// Whether somebody waits who is worth less.
    pub(crate) fn outranks(&self, priority: Priority) -> bool {
        self.lowest().is_some_and(|(_, lowest)| lowest < priority)
    }

    /// Puts a request into the queue, which is the worker's `number`th; its ticket, or nothing when everybody there has at least its priority.
    pub(crate) fn enter(&mut self, seen: &Seen, trust: Trust, tie: u64, deadline: Tick, number: u64) -> Option<u64> {
        let class = seen.class;
        let priority = Priority::of(class, trust, tie);
        if self.free == NONE {
            let (slot, lowest) = self.lowest()?;
            if lowest >= priority {
                return None;
            }
            let displaced = self.ticket(slot);
            self.unlink(slot);
            self.release(slot);
            self.call(displaced);
        }
        let slot = self.free;
        let generation = number;
        let lane = lane(class, trust, tie);
        let entry = self.slot_mut(slot)?;
        let next = entry.next;
        *entry = Slot {
            generation,
            next: NONE,
            before: NONE,
            class,
            lane,
            priority,
            state: State::Waiting,
            until: deadline,
            seen: Some(*seen),
        };
        self.free = next;
        self.taken += 1;
        self.link(slot, class.index(), lane);
        self.flow.queued(class, priority);
        self.own_mut(class, priority, |own| own + 1);
        self.lined += 1;
        Some(self.ticket(slot))
    }

    /// A place for a request that need not wait: there is one for its priority, and it is for nobody who waits.
    pub(crate) fn pass(&mut self, class: RouteClass, priority: Priority, limits: &AdmissionOrders) -> Option<Place> {
        if self.taken > 0 {
            return None;
        }
        if self.flow.waiting() > 0 && limits.whole != u32::MAX {
            self.own_mut(class, priority, |own| own + 1);
            let is_due = self.flow.is_due(self.worker, priority, &self.own, limits);
            self.own_mut(class, priority, |own| own.saturating_sub(1));
            if !is_due {
                return None;
            }
        }
        self.flow.enter(self.worker, class, priority, limits).ok()
    }

    /// Gives what places there are to those who should have them, and ends what waited too long.
    pub(crate) fn serve(&mut self, limits: &AdmissionOrders, now: Tick) {
        if self.taken == 0 {
            return;
        }
        if now.since(self.swept) >= SWEEP || now < self.swept {
            self.sweep(now);
        }
        let mut shut = 0u16;
        // A worker that stands still must not keep the others from what is free.
        let leaves = limits.whole != u32::MAX && self.left.is_none_or(|left| now.since(left) < LEAVES);
        while let Some(slot) = self.highest(shut) {
            let Some((class, priority)) = self.slot(slot).map(|slot| (slot.class, slot.priority)) else { break };
            if self.flow.is_full(priority, limits) {
                break;
            }
            let others = self.flow.waiting() > self.lined;
            if leaves && others && !self.flow.is_due(self.worker, priority, &self.own, limits) {
                self.left.get_or_insert(now);
                return;
            }
            match self.flow.enter(self.worker, class, priority, limits) {
                Ok(place) => {
                    self.unlink(slot);
                    if let Some(entry) = self.slot_mut(slot) {
                        entry.state = State::Called(place);
                        entry.until = now;
                    }
                    self.call(self.ticket(slot));
                }
                Err(Full::Class) => shut |= 1 << class.index(),
                Err(Full::Whole) => break,
            }
        }
        self.left = None;
    }

    fn own_mut(&mut self, class: RouteClass, priority: Priority, change: impl FnOnce(u32) -> u32) {
        let own = self.own.get_mut(class.index()).and_then(|ranks| ranks.get_mut(usize::from(priority.rank())));
        if let Some(own) = own {
            *own = change(*own);
        }
    }

    /// What a ticket may do now. Anything but [`Turn::Stay`] is told once.
    pub(crate) fn claim(&mut self, ticket: u64, now: Tick) -> Turn {
        let Some(slot) = self.find(ticket) else { return Turn::Over };
        let Some(entry) = self.slot_mut(slot) else { return Turn::Over };
        let turn = match std::mem::take(&mut entry.state) {
            State::Called(place) => Turn::Go(place),
            State::Waiting if now < entry.until => {
                entry.state = State::Waiting;
                return Turn::Stay;
            }
            State::Waiting => {
                self.unlink(slot);
                Turn::Over
            }
            State::Over | State::Free => Turn::Over,
        };
        self.release(slot);
        turn
    }

    /// Forgets a ticket; a place that was held for it is free again.
    pub(crate) fn leave(&mut self, ticket: u64) {
        let Some(slot) = self.find(ticket) else { return };
        if matches!(self.slot(slot).map(|slot| &slot.state), Some(State::Waiting)) {
            self.unlink(slot);
        }
        self.release(slot);
    }

    /// Names the tickets that should claim now.
    pub(crate) fn called(&mut self, wake: impl FnMut(u64)) {
        self.calls.drain(..).for_each(wake);
    }

    fn sweep(&mut self, now: Tick) {
        self.swept = now;
        for at in 0..self.slots.len() {
            let slot = u16::try_from(at).unwrap_or(NONE);
            let Some(entry) = self.slot(slot) else { return };
            let (waited_out, gone) = (now >= entry.until, now.since(entry.until) >= CLAIM_WITHIN);
            match entry.state {
                State::Waiting if waited_out => {
                    self.unlink(slot);
                    if let Some(entry) = self.slot_mut(slot) {
                        entry.state = State::Over;
                    }
                    self.call(self.ticket(slot));
                }
                State::Called(_) | State::Over if gone => self.release(slot),
                _ => {}
            }
        }
    }

    /// The first of the highest lane, of classes that are not in `shut`.
    fn highest(&self, shut: u16) -> Option<u16> {
        let heads = self.lanes.iter().zip(self.heads.iter()).enumerate().filter(|(class, _)| shut >> class & 1 == 0);
        let firsts = heads.filter(|(_, (lanes, _))| **lanes != 0).filter_map(|(_, (lanes, heads))| {
            let slot = *heads.get(usize::try_from(lanes.ilog2()).ok()?)?;
            let entry = self.slot(slot)?;
            Some(((entry.priority, std::cmp::Reverse(entry.generation)), slot))
        });
        firsts.max().map(|(_, slot)| slot)
    }

    /// The last of the lowest lane.
    fn lowest(&self) -> Option<(u16, Priority)> {
        let lasts = self.lanes.iter().zip(self.tails.iter()).filter(|(lanes, _)| **lanes != 0);
        let lasts = lasts.filter_map(|(lanes, tails)| {
            let slot = *tails.get(usize::try_from(lanes.trailing_zeros()).ok()?)?;
            let entry = self.slot(slot)?;
            Some(((entry.priority, std::cmp::Reverse(entry.generation)), slot))
        });
        lasts.min().map(|((priority, _), slot)| (slot, priority))
    }

    fn link(&mut self, slot: u16, class: usize, lane: u8) {
        let place = usize::from(lane);
        let tail = self.tails.get(class).and_then(|tails| tails.get(place)).copied().unwrap_or(NONE);
        if let Some(entry) = self.slot_mut(slot) {
            (entry.before, entry.next) = (tail, NONE);
        }
        match self.slot_mut(tail) {
            Some(last) => last.next = slot,
            None => set(&mut self.heads, class, place, slot),
        }
        set(&mut self.tails, class, place, slot);
        if let Some(lanes) = self.lanes.get_mut(class) {
            *lanes |= 1 << lane;
        }
    }

    fn unlink(&mut self, slot: u16) {
        let Some(entry) = self.slot_mut(slot) else { return };
        let (of, priority) = (entry.class, entry.priority);
        let (class, lane, before, next) = (of.index(), entry.lane, entry.before, entry.next);
        (entry.before, entry.next) = (NONE, NONE);
        let place = usize::from(lane);
        match self.slot_mut(before) {
            Some(before) => before.next = next,
            None => set(&mut self.heads, class, place, next),
        }
        match self.slot_mut(next) {
            Some(next) => next.before = before,
            None => set(&mut self.tails, class, place, before),
        }
        if before == NONE
            && next == NONE
            && let Some(lanes) = self.lanes.get_mut(class)
        {
            *lanes &= !(1 << lane);
        }
        self.flow.unqueued(of, priority);
        self.own_mut(of, priority, |own| own.saturating_sub(1));
        self.lined = self.lined.saturating_sub(1);
    }

    /// Makes a slot free that is in no lane.
    fn release(&mut self, slot: u16) {
        let free = self.free;
        if let Some(entry) = self.slot_mut(slot) {
            entry.state = State::Free;
            entry.generation = 0;
            entry.next = free;
            self.free = slot;
            self.taken -= 1;
        }
    }

    fn call(&mut self, ticket: u64) {
        if self.calls.len() < self.calls.capacity() {
            self.calls.push(ticket);
        }
    }

    fn find(&self, ticket: u64) -> Option<u16> {
        let slot = u16::try_from(ticket & u64::from(u16::MAX)).ok()?;
        (self.slot(slot)?.generation == ticket >> SLOT_BITS).then_some(slot)
    }

    fn ticket(&self, slot: u16) -> u64 {
        self.slot(slot).map_or(0, |entry| entry.generation << SLOT_BITS | u64::from(slot))
    }

    fn slot(&self, slot: u16) -> Option<&Slot> {
        self.slots.get(usize::from(slot))
    }

    fn slot_mut(&mut self, slot: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(slot))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let waiting = self.slots.iter().filter(|slot| matches!(slot.state, State::Waiting));
        waiting.for_each(|slot| self.flow.unqueued(slot.class, slot.priority));
    }
}

/// Which lane of its class. Lanes are in the order of priorities: kinds of trust that are worth the same there share theirs.
fn lane(class: RouteClass, trust: Trust, tie: u64) -> u8 {
    let mine = Priority::of(class, trust, 0);
    let lower = Trust::ALL.iter().map(|other| Priority::of(class, *other, 0)).filter(|other| *other < mine);
    let mut below = 0;
    let mut last = None;
    for priority in lower {
        // Kinds of trust are in order of worth, so equals are neighbours.
        below += u8::from(last.replace(priority) != Some(priority));
    }
    below << 3 | u8::try_from(tie & 7).unwrap_or(0)
}

fn set(table: &mut [[u16; LANES]; CLASSES], class: usize, lane: usize, value: u16) {
    if let Some(cell) = table.get_mut(class).and_then(|lanes| lanes.get_mut(lane)) {
        *cell = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::net::Ipv4Addr;

    use portcullis_types::ClientAddr;

    use super::*;
    use crate::senses::sight::Attributes;

    fn limits(whole: u32) -> AdmissionOrders {
        AdmissionOrders { whole, ..AdmissionOrders::default() }
    }

    fn enter(queue: &mut Queue, class: RouteClass, trust: Trust, tie: u64, deadline: Tick) -> Option<u64> {
        let number = queue.slots.iter().map(|slot| slot.generation).max().unwrap_or(0) + 1;
        queue.enter(&seen(class), trust, tie, deadline, number)
    }

    fn seen(class: RouteClass) -> Seen {
        Seen {
            attributes: Attributes::default(),
            visitor: 0,
            token: 0,
            platform: 0,
            route: 0,
            class,
            trust: Trust::Fresh,
            client: ClientAddr::new(Ipv4Addr::LOCALHOST.into()),
            navigation: false,
            rule: 0,
            at: Tick::ZERO,
        }
    }

    #[test]
    fn who_is_unwanted_now_waits_no_longer() {
        let mut queue = queue();
        let search = enter(&mut queue, RouteClass::Search, Trust::Fresh, 0, at(2000)).expect("room");
        let page = enter(&mut queue, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room");
        queue.expel(|seen| seen.class == RouteClass::Search);
        assert_eq!(called(&mut queue), [search]);
        assert!(matches!(queue.claim(search, at(1)), Turn::Over));
        assert!(matches!(queue.claim(page, at(1)), Turn::Stay));
        assert_eq!(queue.flow.waiting(), 1);
    }

    fn queue() -> Queue {
        Queue::new(Arc::default())
    }

    fn at(millis: u64) -> Tick {
        Tick::from_millis(millis)
    }

    fn called(queue: &mut Queue) -> Vec<u64> {
        let mut tickets = Vec::new();
        queue.called(|ticket| tickets.push(ticket));
        tickets
    }

    #[test]
    fn the_higher_priority_goes_first_and_equals_in_order() {
        let mut queue = queue();
        let mut push = |class, trust, tie| enter(&mut queue, class, trust, tie, at(2000)).expect("room");
        let search = push(RouteClass::Search, Trust::Fresh, 7);
        let page = push(RouteClass::Page, Trust::Fresh, 3);
        let second = push(RouteClass::Page, Trust::Fresh, 3);
        let lucky = push(RouteClass::Page, Trust::Fresh, 4);
        let donor = push(RouteClass::Payment, Trust::Fresh, 0);
        let suspect = push(RouteClass::Payment, Trust::Suspect, 0);
        let mut places = Vec::new();
        for expected in [donor, lucky, page, second, search, suspect] {
            let under_way = queue.flow.under_way();
            queue.serve(&limits(under_way + 1), at(1));
            assert_eq!(called(&mut queue), [expected]);
            let Turn::Go(place) = queue.claim(expected, at(1)) else { panic!("a place is held") };
            places.push(place);
        }
        assert!(queue.is_empty() && queue.flow.waiting() == 0);
    }

    #[test]
    fn a_full_queue_displaces_the_lowest() {
        let mut queue = queue();
        let first: Vec<u64> = (0..QUEUE)
            .map(|_| enter(&mut queue, RouteClass::Search, Trust::Fresh, 0, at(2000)).expect("room"))
            .collect();
        assert_eq!(enter(&mut queue, RouteClass::Search, Trust::Fresh, 0, at(2000)), None, "no better than the others");
        assert_eq!(enter(&mut queue, RouteClass::Search, Trust::Suspect, 0, at(2000)), None);
        let donor = enter(&mut queue, RouteClass::Payment, Trust::Fresh, 0, at(2000)).expect("displaces");
        let last = *first.last().expect("full");
        assert_eq!(called(&mut queue), [last], "the last that came is told");
        assert!(matches!(queue.claim(last, at(1)), Turn::Over));
        assert!(matches!(queue.claim(donor, at(1)), Turn::Stay));
        assert_eq!(queue.flow.waiting() as usize, QUEUE);
    }

    #[test]
    fn nobody_waits_beyond_the_deadline_nor_holds_a_place_unclaimed() {
        let mut queue = queue();
        let late = enter(&mut queue, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room");
        queue.serve(&limits(0), at(1999));
        assert!(called(&mut queue).is_empty());
        queue.serve(&limits(0), at(2010));
        assert_eq!(called(&mut queue), [late]);
        assert!(matches!(queue.claim(late, at(2010)), Turn::Over));
        let gone = enter(&mut queue, RouteClass::Page, Trust::Fresh, 0, at(4000)).expect("room");
        queue.serve(&limits(1), at(2020));
        assert_eq!(called(&mut queue), [gone]);
        assert_eq!(queue.flow.under_way(), 1);
        queue.serve(&limits(1), at(3030));
        assert_eq!(queue.flow.under_way(), 0, "the place is given back");
        assert!(matches!(queue.claim(gone, at(3030)), Turn::Over));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_class_at_its_limit_stops_no_other() {
        let mut queue = queue();
        let mut orders = limits(10);
        orders.classes[RouteClass::Login.index()] = 0;
        let login = enter(&mut queue, RouteClass::Login, Trust::Human, 0, at(2000)).expect("room");
        let page = enter(&mut queue, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room");
        queue.serve(&orders, at(1));
        assert_eq!(called(&mut queue), [page]);
        assert!(matches!(queue.claim(login, at(1)), Turn::Stay));
    }

    #[test]
    fn the_better_waits_with_whichever_worker_and_goes_first() {
        let mut one = queue();
        let mut other = Queue::new(Arc::clone(one.flow()));
        let strangers: Vec<u64> =
            (0..4).map(|_| enter(&mut one, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room")).collect();
        let member = enter(&mut other, RouteClass::Page, Trust::History, 0, at(2000)).expect("room");
        one.serve(&limits(1), at(1));
        assert!(called(&mut one).is_empty(), "it is left to the member");
        other.serve(&limits(1), at(10));
        assert_eq!(called(&mut other), [member]);
        assert!(matches!(other.claim(member, at(10)), Turn::Go(_)));
        one.serve(&limits(1), at(11));
        assert_eq!(called(&mut one), strangers[..1]);
    }

    #[test]
    fn a_worker_that_stands_still_keeps_nobody_waiting() {
        let mut one = queue();
        let mut still = Queue::new(Arc::clone(one.flow()));
        let stranger = enter(&mut one, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room");
        enter(&mut still, RouteClass::Page, Trust::History, 0, at(2000)).expect("room");
        one.serve(&limits(1), at(1));
        one.serve(&limits(1), at(20));
        assert!(called(&mut one).is_empty());
        one.serve(&limits(1), at(40));
        assert_eq!(called(&mut one), [stranger]);
    }

    #[test]
    fn equals_with_two_workers_share_what_there_is() {
        let mut one = queue();
        let mut other = Queue::new(Arc::clone(one.flow()));
        for queue in [&mut one, &mut other] {
            for _ in 0..8 {
                enter(queue, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room");
            }
        }
        one.serve(&limits(4), at(1));
        other.serve(&limits(4), at(1));
        assert_eq!((called(&mut one).len(), called(&mut other).len()), (2, 2));
    }

    #[test]
    fn a_bound_of_a_class_holds_back_nobody_who_is_known() {
        let mut queue = queue();
        let mut orders = limits(10);
        orders.classes[RouteClass::Page.index()] = 1;
        let first = enter(&mut queue, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room");
        enter(&mut queue, RouteClass::Page, Trust::Fresh, 0, at(2000)).expect("room");
        queue.serve(&orders, at(1));
        assert_eq!(called(&mut queue), [first]);
        let known = enter(&mut queue, RouteClass::Page, Trust::Crawler, 0, at(2000)).expect("room");
        queue.serve(&orders, at(2));
        assert_eq!(called(&mut queue), [known]);
    }

    proptest! {
        /// Whatever happens: the books agree, places are given back, and who goes has the highest priority of those
        /// who wait.
        #[test]
        fn the_books_agree(steps in prop::collection::vec((0..5u8, 0..9usize, 0..8usize, 0..8u64, 0..4u32), 1..400)) {
            let mut queue = queue();
            let (mut waiting, mut held, mut now) = (Vec::<(Priority, u64)>::new(), Vec::new(), 0);
            for (step, class, trust, tie, whole) in steps {
                now += 5;
                let (class, trust) = (RouteClass::ALL[class], Trust::ALL[trust]);
                match step {
                    0 | 1 => {
                        let ticket = enter(&mut queue, class, trust, tie, at(now + 200)).expect("room");
                        waiting.push((Priority::of(class, trust, tie), ticket));
                    }
                    2 => {
                        held.pop();
                        queue.serve(&limits(whole), at(now));
                        let mut best = waiting.iter().map(|(priority, _)| *priority).max();
                        for ticket in called(&mut queue) {
                            let place = waiting.iter().position(|(_, other)| *other == ticket).expect("it waited");
                            let (priority, _) = waiting.remove(place);
                            match queue.claim(ticket, at(now)) {
                                Turn::Go(place) => {
                                    prop_assert!(Some(priority) >= best || best.is_none());
                                    held.push(place);
                                }
                                Turn::Over => {}
                                Turn::Stay => prop_assert!(false, "it was called"),
                            }
                            best = waiting.iter().map(|(priority, _)| *priority).max();
                        }
                    }
                    3 => {
                        if let Some((_, ticket)) = waiting.pop() {
                            queue.leave(ticket);
                        }
                    }
                    _ => {
                        held.pop();
                    }
                }
                prop_assert_eq!(queue.flow.under_way() as usize, held.len());
                prop_assert!(queue.flow.waiting() as usize <= waiting.len());
            }
            held.clear();
            for (_, ticket) in waiting.drain(..) {
                queue.leave(ticket);
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!((queue.flow.waiting(), queue.flow.under_way()), (0, 0));
        }
    }
}
