//! The controller, the queue and the counts together, against a platform with so many servers and one line before them.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{ClientAddr, RouteClass, Tick};

use super::control::{Borne, Controller};
use super::flow::{Flow, Place};
use super::priority::Priority;
use super::queue::{Queue, Turn};
use crate::brain::orders::AdmissionOrders;
use crate::brain::posture::Posture;
use crate::senses::harvest::{CLASSES, ClassTally, PlatformHarvest};
use crate::senses::sight::{Attributes, Seen};
use crate::trust::Trust;

/// Visitors of one kind.
#[derive(Debug, Clone, Copy)]
struct Crowd {
    per_second: f64,
    class: RouteClass,
    trust: Trust,
    navigates: bool,
}

/// What became of a crowd's requests.
#[derive(Debug, Clone, Default)]
struct Fate {
    arrived: u32,
    refused: u32,
    queued: u32,
    /// Milliseconds from arrival to the end.
    took: Vec<u64>,
}

impl Fate {
    fn served(&self) -> f64 {
        self.took.len() as f64 / f64::from(self.arrived.max(1))
    }

    fn percentile(&self, of: f64) -> u64 {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get((took.len().saturating_sub(1) as f64 * of) as usize).copied().unwrap_or(0)
    }
}

struct Request {
    crowd: usize,
    since: u64,
    sent: u64,
    place: Place,
}

/// A platform and the gate before it.
struct Trial {
    controller: Controller,
    flow: Arc<Flow>,
    queue: Queue,
    orders: AdmissionOrders,
    servers: usize,
    service_ms: f64,
    search_ms: f64,
    /// Of a hundred answers, so many are errors.
    errors: u64,
    line: VecDeque<Request>,
    busy: Vec<(u64, Request)>,
    waiting: BTreeMap<u64, (usize, u64)>,
    tally: PlatformHarvest,
    now: u64,
    queued: u64,
    seed: u64,
    posture: Posture,
    good: u64,
}

impl Trial {
    fn new(servers: usize, seed: u64) -> Self {
        let flow: Arc<Flow> = Arc::default();
        Self {
            controller: Controller::new(),
            queue: Queue::new(Arc::clone(&flow)),
            flow,
            orders: AdmissionOrders::default(),
            servers,
            service_ms: 40.0,
            search_ms: 200.0,
            errors: 0,
            line: VecDeque::new(),
            busy: Vec::new(),
            waiting: BTreeMap::new(),
            tally: PlatformHarvest::default(),
            now: 0,
            queued: 0,
            seed,
            posture: Posture::Normal,
            good: 0,
        }
    }

    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 11) as f64 / (1u64 << 53) as f64
    }

    fn of(&mut self, class: RouteClass) -> &mut ClassTally {
        &mut self.tally.classes[class.index()]
    }

    /// Requests that were answered well in a second, over the time of `run`.
    fn run(&mut self, seconds: f64, crowds: &[Crowd]) -> (Vec<Fate>, f64) {
        let mut fates = vec![Fate::default(); crowds.len()];
        let (until, good) = (self.now + (seconds * 1000.0) as u64, self.good);
        while self.now < until {
            self.now += 1;
            self.finish(crowds, &mut fates);
            for (at, crowd) in crowds.iter().enumerate() {
                let mut expected = crowd.per_second / 1000.0;
                while self.random() < expected {
                    expected -= 1.0;
                    self.ask(at, crowd, &mut fates[at]);
                }
            }
            self.serve(crowds, &mut fates);
            if self.now.is_multiple_of(100) {
                let tally = std::mem::take(&mut self.tally);
                let now = Tick::from_millis(self.now);
                self.orders = self.controller.step(&tally, &self.flow, self.posture, now, self.now);
            }
        }
        // Whoever is still on the way counts for nobody's figures.
        self.waiting.iter().for_each(|(ticket, _)| self.queue.leave(*ticket));
        self.waiting.clear();
        (fates, (self.good - good) as f64 / seconds)
    }

    fn ask(&mut self, at: usize, crowd: &Crowd, fate: &mut Fate) {
        let (class, now) = (crowd.class, Tick::from_millis(self.now));
        self.of(class).arrived += 1;
        fate.arrived += 1;
        let tie = (self.random() * 8.0) as u64;
        let priority = Priority::of(class, crowd.trust, tie);
        if let Some(place) = self.queue.pass(class, Priority(0), &self.orders) {
            return self.send(at, class, self.now, place);
        }
        self.flow.asked(priority);
        if let Some(place) = self.queue.pass(class, priority, &self.orders) {
            return self.send(at, class, self.now, place);
        }
        let may = priority.0 >= self.orders.cut || crowd.trust.is_protected() || self.queue.outranks(priority);
        let patience = if crowd.trust > Trust::Fresh { 10_000 } else { 2_000 };
        self.queued += 1;
        let deadline = now.after(Duration::from_millis(patience));
        match may.then(|| self.queue.enter(&seen(class), crowd.trust, tie, deadline, self.queued)).flatten() {
            Some(ticket) => {
                fate.queued += 1;
                self.of(class).queued += 1;
                self.waiting.insert(ticket, (at, self.now));
            }
            None => self.shed(crowd, fate),
        }
    }

    fn shed(&mut self, crowd: &Crowd, fate: &mut Fate) {
        fate.refused += 1;
        self.of(crowd.class).shed += 1;
        if crowd.navigates && crowd.trust <= Trust::Fresh {
            self.flow.turned_away();
        }
    }

    fn send(&mut self, crowd: usize, class: RouteClass, since: u64, place: Place) {
        self.of(class).admitted += 1;
        self.line.push_back(Request { crowd, since, sent: self.now, place });
    }

    fn serve(&mut self, crowds: &[Crowd], fates: &mut [Fate]) {
        let now = Tick::from_millis(self.now);
        self.queue.serve(&self.orders, now);
        let mut called = Vec::new();
        self.queue.called(|ticket| called.push(ticket));
        for ticket in called {
            let Some((at, since)) = self.waiting.remove(&ticket) else { continue };
            match self.queue.claim(ticket, now) {
                Turn::Go(place) => self.send(at, crowds[at].class, since, place),
                Turn::Over => self.shed(&crowds[at], &mut fates[at]),
                Turn::Stay => {
                    self.waiting.insert(ticket, (at, since));
                }
            }
        }
        while self.busy.len() < self.servers
            && let Some(request) = self.line.pop_front()
        {
            let search = crowds[request.crowd].class == RouteClass::Search;
            let mean = if search { self.search_ms } else { self.service_ms };
            let takes = mean * (0.5 + self.random());
            self.busy.push((self.now + takes as u64, request));
        }
    }

    fn finish(&mut self, crowds: &[Crowd], fates: &mut [Fate]) {
        for at in (0..self.busy.len()).rev() {
            if self.busy[at].0 > self.now {
                continue;
            }
            let (_, request) = self.busy.swap_remove(at);
            let fails = (self.random() * 100.0) < self.errors as f64;
            let (now, took) = (self.now, self.now - request.sent);
            let tally = self.of(crowds[request.crowd].class);
            if fails {
                tally.failed += 1;
            } else {
                tally.completed += 1;
                tally.origin_us += took * 1000;
                let fastest = u32::try_from(took * 1000).unwrap_or(u32::MAX);
                tally.fastest_us = if tally.fastest_us == 0 { fastest } else { tally.fastest_us.min(fastest) };
                self.good += 1;
                fates[request.crowd].took.push(now - request.since);
            }
            drop(request.place);
        }
    }
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

const PAGES: Crowd = Crowd { per_second: 400.0, class: RouteClass::Page, trust: Trust::Human, navigates: true };
const MEMBERS: Crowd = Crowd { per_second: 100.0, class: RouteClass::Page, trust: Trust::History, navigates: true };
const SEARCHES: Crowd = Crowd { per_second: 10.0, class: RouteClass::Search, trust: Trust::Human, navigates: true };
const FLOOD: Crowd = Crowd { per_second: 5000.0, class: RouteClass::Page, trust: Trust::Fresh, navigates: false };
/// Forty servers of 40 ms: a thousand pages a second.
const SERVERS: usize = 40;
const SEEDS: std::ops::Range<u64> = 1..4;

#[test]
fn in_calm_nobody_is_delayed() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        for _ in 0..4 {
            let (fates, _) = trial.run(30.0, &[PAGES, MEMBERS, SEARCHES]);
            assert!(fates.iter().all(|fate| fate.queued == 0 && fate.refused == 0), "seed {seed}: {:?}", trial.orders);
            assert!(!trial.controller.strain().limited, "seed {seed}");
        }
    }
}

#[test]
fn a_crowd_that_the_platform_can_carry_is_let_through() {
    for seed in SEEDS {
        let mut trial = Trial::new(8 * SERVERS, seed);
        trial.run(
            90.0,
            &[PAGES, MEMBERS, FLOOD]
                .map(|crowd| Crowd { per_second: if crowd.navigates { crowd.per_second } else { 0.0 }, ..crowd }),
        );
        let crowd = Crowd { trust: Trust::Fresh, navigates: true, ..FLOOD };
        for step in 1..=10 {
            // Ten times as many within ten seconds.
            let crowd = Crowd { per_second: 500.0 * f64::from(step), ..crowd };
            let (fates, _) = trial.run(1.0, &[PAGES, MEMBERS, crowd]);
            let slowest = fates.iter().map(|fate| fate.percentile(0.99)).max();
            assert_eq!(fates.iter().map(|fate| fate.refused).sum::<u32>(), 0, "seed {seed} step {step}");
            assert!(slowest < Some(250), "seed {seed} step {step}: {slowest:?} ms");
        }
    }
}

#[test]
fn the_first_instants_of_a_dear_flood_do_not_fill_the_platform() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        let flood = Crowd { per_second: 2000.0, class: RouteClass::Search, ..FLOOD };
        trial.run(90.0, &[PAGES, MEMBERS, SEARCHES, Crowd { per_second: 0.0, ..flood }]);
        let mut most = 0;
        for _ in 0..8 {
            trial.run(0.1, &[PAGES, MEMBERS, SEARCHES, flood]);
            most = most.max(trial.flow.under_way());
        }
        assert!(most < 200, "seed {seed}: {most} at once where 40 are served");
    }
}

#[test]
fn a_flood_is_held_within_half_a_second_and_members_do_not_notice() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        trial.run(60.0, &[PAGES, MEMBERS, SEARCHES]);
        let crowds = [PAGES, MEMBERS, SEARCHES, FLOOD];
        trial.run(0.5, &crowds);
        assert!(trial.controller.strain().limited, "seed {seed}: no limit after half a second");
        trial.posture = Posture::Overload;
        trial.run(4.0, &crowds);
        let (fates, good) = trial.run(20.0, &crowds);
        let p99 = fates[1].percentile(0.99);
        assert!(good > 900.0, "seed {seed}: only {good} a second");
        assert!(fates[1].served() > 0.99 && p99 < 80, "seed {seed}: members p99 {p99} ms");
        assert!(fates[0].served() > 0.95, "seed {seed}: humans {:.3}", fates[0].served());
    }
}

#[test]
fn what_a_busy_machine_adds_to_a_fast_platform_is_no_queue() {
    for seed in SEEDS {
        let mut trial = Trial::new(16 * SERVERS, seed);
        trial.service_ms = 5.0;
        let crowds =
            |most| [PAGES, MEMBERS].map(|crowd| Crowd { per_second: f64::min(crowd.per_second, most), ..crowd });
        trial.run(70.0, &crowds(20.0));
        // Far more than ever, and each takes 24 ms longer, though nobody waits for a server.
        trial.service_ms = 29.0;
        let (fates, _) = trial.run(10.0, &crowds(200.0));
        assert!(!trial.controller.strain().limited, "seed {seed}: {:?}", trial.orders);
        assert_eq!(fates.iter().map(|fate| fate.refused).sum::<u32>(), 0, "seed {seed}");
    }
}

#[test]
fn a_process_that_begins_in_a_flood_knows_what_the_one_before_it_knew() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        trial.run(90.0, &[PAGES, MEMBERS, SEARCHES]);
        let crowds = [PAGES, MEMBERS, SEARCHES, FLOOD];
        trial.run(2.0, &crowds);
        let known = trial.controller.save();
        for is_of_now in [true, false] {
            let mut next = Controller::new();
            next.recall(&known, [None; CLASSES], is_of_now);
            assert_eq!(next.strain().limited, is_of_now, "seed {seed}");
            assert_ne!(next.save(), Borne::default(), "seed {seed}");
        }
        trial.controller = Controller::new();
        trial.controller.recall(&known, [None; CLASSES], true);
        trial.posture = Posture::Overload;
        let (fates, good) = trial.run(4.0, &crowds);
        let p99 = fates[1].percentile(0.99);
        assert!(good > 800.0 && fates[1].served() > 0.99 && p99 < 120, "seed {seed}: {good} a second, p99 {p99} ms");
    }
}

#[test]
fn after_the_flood_every_limit_is_lifted() {
    let mut trial = Trial::new(SERVERS, 3);
    trial.run(60.0, &[PAGES, MEMBERS]);
    trial.run(20.0, &[PAGES, MEMBERS, FLOOD]);
    assert!(trial.controller.strain().limited);
    let over = Crowd { per_second: 0.0, ..FLOOD };
    trial.run(30.0, &[PAGES, MEMBERS, over]);
    assert!(!trial.controller.strain().limited);
    let (fates, _) = trial.run(30.0, &[PAGES, MEMBERS, over]);
    assert!(fates.iter().all(|fate| fate.refused + fate.queued == 0));
}

#[test]
fn on_the_first_day_it_works_without_knowing_anything() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        let crowds = [PAGES, MEMBERS, FLOOD];
        trial.run(5.0, &crowds);
        assert!(trial.controller.strain().limited, "seed {seed}");
        let (fates, good) = trial.run(20.0, &crowds);
        assert!(good > 900.0, "seed {seed}: only {good} a second");
        assert!(fates[1].served() > 0.98 && fates[1].percentile(0.99) < 120, "seed {seed}");
    }
}

#[test]
fn a_slow_database_is_shed_fairly_and_not_choked() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        trial.run(60.0, &[PAGES, MEMBERS]);
        // Five times slower: two hundred a second can be served, five hundred come.
        trial.service_ms = 200.0;
        trial.run(15.0, &[PAGES, MEMBERS]);
        let (fates, good) = trial.run(30.0, &[PAGES, MEMBERS]);
        assert!(good > 180.0, "seed {seed}: only {good} of 200 a second");
        assert!(fates[1].served() > 0.97 && fates[1].percentile(0.99) < 500, "seed {seed}");
        trial.service_ms = 40.0;
        trial.run(40.0, &[PAGES, MEMBERS]);
        assert!(!trial.controller.strain().limited, "seed {seed}: healthy again");
    }
}

#[test]
fn a_flood_of_searches_is_contained_in_its_class() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        trial.run(60.0, &[PAGES, MEMBERS, SEARCHES]);
        let flood = Crowd { per_second: 1000.0, class: RouteClass::Search, ..FLOOD };
        let crowds = [PAGES, MEMBERS, SEARCHES, flood];
        trial.run(4.0, &crowds);
        let (fates, _) = trial.run(20.0, &crowds);
        assert!(
            fates[0].served() > 0.98 && fates[0].percentile(0.99) < 110,
            "seed {seed}: {:.3} {} ms {:?}",
            fates[0].served(),
            fates[0].percentile(0.99),
            trial.orders
        );
        assert!(fates[2].served() > 0.9, "seed {seed}: people still search");
    }
}

#[test]
fn errors_that_load_does_not_cause_close_no_door() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        trial.run(60.0, &[PAGES, MEMBERS]);
        trial.errors = 30;
        trial.run(10.0, &[PAGES, MEMBERS]);
        let (fates, good) = trial.run(30.0, &[PAGES, MEMBERS]);
        assert!(good > 330.0, "seed {seed}: {good} of 350 a second");
        assert!(fates.iter().all(|fate| fate.refused < fate.arrived / 100), "seed {seed}");
    }
}

#[test]
fn a_crowd_of_strangers_is_given_turns_in_the_waiting_room() {
    let mut trial = Trial::new(SERVERS, 5);
    trial.run(60.0, &[PAGES, MEMBERS]);
    let crowd = Crowd { per_second: 3000.0, class: RouteClass::Page, trust: Trust::Fresh, navigates: true };
    trial.run(8.0, &[PAGES, MEMBERS, crowd]);
    let room = trial.orders.room.expect("the room is open");
    let over = Crowd { per_second: 0.0, ..crowd };
    // From now on strangers are in the room and not at the door.
    for second in 0..5u64 {
        (0..300).for_each(|_| {
            trial.flow.room.give(trial.now + second * 7);
        });
        trial.run(1.0, &[PAGES, MEMBERS, over]);
    }
    let later = trial.orders.room.expect("people wait");
    assert!(later.admitted_until >= room.admitted_until);
    trial.run(120.0, &[PAGES, MEMBERS, over]);
    assert_eq!(trial.flow.room.backlog(), 0, "everybody was called");
    assert_eq!(trial.orders.room, None, "and the room is closed");
}

#[test]
fn a_slow_database_that_still_carries_everybody_refuses_nobody() {
    for seed in SEEDS {
        let mut trial = Trial::new(SERVERS, seed);
        let few = [Crowd { per_second: 100.0, ..PAGES }, Crowd { per_second: 50.0, trust: Trust::Fresh, ..PAGES }];
        trial.run(90.0, &few);
        // Thirty of forty servers are busy where six were.
        trial.service_ms = 200.0;
        let (fates, _) = trial.run(60.0, &few);
        assert_eq!(fates.iter().map(|fate| fate.refused).sum::<u32>(), 0, "seed {seed}");
        assert!(fates.iter().all(|fate| fate.percentile(0.99) < 600), "seed {seed}: {}", fates[1].percentile(0.99));
    }
}

#[test]
fn a_flood_that_ends_at_once_leaves_no_limit_behind() {
    for seed in SEEDS {
        let mut trial = Trial::new(16, seed);
        trial.service_ms = 20.0;
        let flood = Crowd { per_second: 1900.0, ..FLOOD };
        let over = Crowd { per_second: 0.0, ..FLOOD };
        let few = Crowd { per_second: 150.0, ..PAGES };
        let some = Crowd { per_second: 40.0, ..MEMBERS };
        trial.run(90.0, &[few, some, over]);
        for _ in 0..3 {
            trial.run(0.5, &[few, some, flood]);
            for _ in 0..30 {
                let (fates, _) = trial.run(0.1, &[few, some, over]);
                assert!(trial.orders.whole > 8, "seed {seed}");
                let refused: u32 = fates.iter().map(|fate| fate.refused).sum();
                assert_eq!(refused, 0, "seed {seed}");
            }
            trial.posture = Posture::Attack;
            trial.run(40.0, &[few, some, over]);
        }
    }
}
