//! The world: one thread, one clock, one list of what happens next.

use std::time::Duration;

use portcullis_engine::{
    Admitted, Ask, Business, Challenge, Claim, Grant, Outcome, Refusal, RoomPlace, Ruling, Seen, Sight, Vouched,
    Waiting,
};
use portcullis_types::{ClientAddr, Prefix, Tick};
use sha2::{Digest, Sha256};

use crate::agenda::Agenda;
use crate::attack::Attacker;
use crate::gate::{CALL, Gate, TICK, wall};
use crate::ledger::{Ledger, Window};
use crate::origin::{Offer, Origin};
use crate::people::{Group, PARTNER_KEY, Visitor};
use crate::random::Random;
use crate::scenario::{Kind, Scenario, whole};
use crate::site::Site;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MILLI: u64 = 1_000_000;

/// What happens next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// The coordinator's 100 ms.
    Tick,
    /// Somebody waits in the gate: look who may go.
    Call,
    /// A session of that group may begin.
    Arrive(usize),
    /// A visitor goes on.
    Step(u32),
    /// A visitor's browser fetches what the page needs.
    Asset(u32),
    /// A visitor has got past its challenge.
    Passed(u32),
    /// An attacker sends.
    Volley(usize),
    /// A worker has done its work.
    Finish { platform: usize, flight: u32 },
    /// A visitor loses patience.
    Patience { flight: u32, serial: u64 },
    /// A platform's bad time begins or ends.
    Trouble { trouble: usize, begins: bool },
    /// The operator announces an event.
    Announce(usize),
    /// A held connection is ended by a limit of the gate.
    Hangup { attacker: usize },
    /// The gate starts anew.
    Restart,
}

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Visitor(u32),
    Attacker { attacker: usize, stolen: u64 },
}

/// On which side somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Legitimate,
    Attack,
    /// Teaches the gate wrong; no figure is about it.
    Prelude,
}

/// What kind of request it is to its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// The next document, form or call.
    Main,
    /// Something that a page needs.
    Asset,
}

/// A request under way.
pub(crate) struct Flight {
    serial: u64,
    who: Who,
    errand: Errand,
    shard: usize,
    platform: usize,
    sent: Tick,
    /// When the platform got it.
    forwarded: Tick,
    /// Nanoseconds of a worker.
    cost: u64,
    status: u16,
    bytes: u64,
    business: Business,
    admitted: Option<Admitted>,
    seen: Option<Seen>,
    waiting: Option<Waiting>,
    /// The client has gone away.
    left: bool,
}

/// How a request ended, for its sender.
pub(crate) enum Reply {
    Served {
        grant: Option<Grant>,
    },
    /// The platform failed.
    Failed,
    Refused {
        retry_after: Option<Duration>,
        rule: Option<u32>,
        close: bool,
    },
    Challenge(Challenge),
    Room(RoomPlace),
}

/// A request before it is sent. One is used again and again.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) client: ClientAddr,
    pub(crate) shard: usize,
    pub(crate) platform: usize,
    pub(crate) route: usize,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) agent: String,
    pub(crate) referer: String,
    pub(crate) accept: String,
    pub(crate) language: String,
    pub(crate) fetch_mode: &'static str,
    pub(crate) order: u64,
    pub(crate) tls: String,
    pub(crate) h2: String,
    pub(crate) token: Option<Cookie>,
    pub(crate) ticket: Option<Cookie>,
    pub(crate) session: Option<[u8; 16]>,
    pub(crate) api_key: Option<&'static str>,
    pub(crate) length: Option<u64>,
    pub(crate) errand: Errand,
    /// What the platform answers, and what it means.
    pub(crate) status: u16,
    pub(crate) business: Business,
    /// How much more than usual it costs.
    pub(crate) weight: f64,
}

/// The value of the gate's cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookie {
    bytes: [u8; 64],
    length: usize,
}

impl Cookie {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; 64];
        let length = text.len().min(64);
        bytes[..length].copy_from_slice(&text[..length]);
        Self { bytes, length }
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Draft {
    fn empty() -> Self {
        Self {
            client: ClientAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into()),
            shard: 0,
            platform: 0,
            route: 0,
            method: "GET",
            path: String::new(),
            query: String::new(),
            agent: String::new(),
            referer: String::new(),
            accept: String::new(),
            language: String::new(),
            fetch_mode: "",
            order: 0,
            tls: String::new(),
            h2: String::new(),
            token: None,
            ticket: None,
            session: None,
            api_key: None,
            length: None,
            errand: Errand::Main,
            status: 200,
            business: Business::Nothing,
            weight: 1.0,
        }
    }

    /// Forgets everything that the next sender may not say.
    pub(crate) fn clear(&mut self) {
        for text in [&mut self.path, &mut self.query, &mut self.agent, &mut self.referer, &mut self.accept] {
            text.clear();
        }
        for text in [&mut self.language, &mut self.tls, &mut self.h2] {
            text.clear();
        }
        (self.method, self.fetch_mode, self.order) = ("GET", "", 0);
        (self.token, self.ticket, self.session, self.api_key, self.length) = (None, None, None, None, None);
        (self.errand, self.status, self.business, self.weight) = (Errand::Main, 200, Business::Nothing, 1.0);
    }
}

/// Everything there is.
pub(crate) struct World<'a> {
    pub(crate) site: &'a Site,
    pub(crate) scenario: &'a Scenario,
    end: Tick,
    pub(crate) agenda: Agenda<Event>,
    pub(crate) gate: Gate,
    origins: Vec<Origin>,
    pub(crate) ledger: Ledger,
    flights: Vec<Option<Flight>>,
    free: Vec<u32>,
    serial: u64,
    pub(crate) groups: Vec<Group>,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) vacant: Vec<u32>,
    pub(crate) attackers: Vec<Attacker>,
    troubles: Vec<(u64, u64, usize, f64, usize)>,
    pub(crate) draft: Draft,
    pub(crate) people: Random,
    pub(crate) malice: Random,
    costs: Random,
    calling: bool,
    /// What is sent now is taken back before it reaches a platform.
    cancelling: bool,
    ticks: u64,
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let (site, file) = (&scenario.site, &scenario.file);
        let root = Random::new(seed);
        let mut random = root.fork(1);
        let end = Tick(file.lasts.draw(&mut random));
        let platform = |name: Option<&toml::Spanned<String>>| {
            let named = name.and_then(|name| site.platforms.iter().position(|plan| plan.name == *name.get_ref()));
            named.unwrap_or(0)
        };
        let mut slowness = Vec::new();
        let origins = site.platforms.iter().map(|plan| {
            let workers = usize::try_from(plan.workers.draw_whole(&mut random)).unwrap_or(1).max(1);
            slowness.push(plan.slowness.draw(&mut random));
            Origin::new(workers, plan.queue, plan.timeout)
        });
        let mut origins: Vec<Origin> = origins.collect();
        for (origin, slower) in origins.iter_mut().zip(slowness) {
            origin.slower = slower;
        }
        let group = |(position, population): (usize, &crate::scenario::Population)| {
            Group::new(population, platform(population.platform.as_ref()), position, &mut random)
        };
        let groups: Vec<Group> = file.populations.iter().enumerate().map(group).collect();
        let calm = |platform: usize| -> f64 {
            groups.iter().filter(|group| group.platform == platform).map(|group| group.rate).sum()
        };
        let attacker = |attack: &crate::scenario::Attack| {
            let platform = platform(attack.platform.as_ref());
            Attacker::new(attack, platform, calm(platform), &mut random)
        };
        let attackers: Vec<Attacker> = file.attacks.iter().map(attacker).collect();
        let windows: Vec<Window> = attackers.iter().map(|attacker| attacker.window).collect();
        let troubles = file.troubles.iter().map(|trouble| {
            let at = trouble.at.draw(&mut random);
            let until = at + trouble.lasts.draw(&mut random);
            let platform = platform(trouble.platform.as_ref());
            let slower = trouble.slower.map_or(1.0, |slower| slower.draw(&mut random));
            let away = trouble.away.map_or(0.0, |away| away.draw(&mut random));
            let workers = origins.get(platform).map_or(0, Origin::workers);
            #[expect(clippy::cast_precision_loss, reason = "workers are few")]
            let away = usize::try_from(whole(away * workers as f64)).unwrap_or(0);
            (at, until, platform, slower, away)
        });
        let troubles: Vec<_> = troubles.collect();
        let off: Vec<&str> = file.engine.off.iter().map(|part| part.get_ref().as_str()).collect();
        let vouched = groups.iter().filter_map(vouched).collect();
        let gate = Gate::new(site, vouched, &off, file.engine.workers.unwrap_or(2), &mut random);
        let begins = windows.iter().map(|window| window.from.0).chain(troubles.iter().map(|trouble| trouble.0));
        let begins = begins.chain(groups.iter().filter_map(Group::crowds)).min().unwrap_or(end.0);
        let calm = (Tick((begins / 4).min(60 * SECOND)), Tick(begins));
        // A long world is drawn with fewer points.
        let step = u32::try_from(end.0 / SECOND / 7200).unwrap_or(u32::MAX).max(1);
        let ledger = Ledger::new(windows, site.platforms.len(), calm, step);
        Self {
            site,
            scenario,
            end,
            agenda: Agenda::new(),
            gate,
            origins,
            ledger,
            flights: Vec::new(),
            free: Vec::new(),
            serial: 0,
            groups,
            visitors: Vec::new(),
            vacant: Vec::new(),
            attackers,
            troubles,
            draft: Draft::empty(),
            people: root.fork(2),
            malice: root.fork(3),
            costs: root.fork(4),
            calling: false,
            cancelling: false,
            ticks: 0,
        }
    }

    /// Plays until the end.
    pub(crate) fn run(&mut self) {
        self.agenda.note(Tick(TICK), Event::Tick);
        for group in 0..self.groups.len() {
            self.agenda.note(Tick::ZERO, Event::Arrive(group));
        }
        for attacker in 0..self.attackers.len() {
            let from = self.attackers[attacker].window.from;
            self.agenda.note(from, Event::Volley(attacker));
        }
        for (trouble, (at, until, ..)) in self.troubles.iter().enumerate() {
            self.agenda.note(Tick(*at), Event::Trouble { trouble, begins: true });
            self.agenda.note(Tick(*until), Event::Trouble { trouble, begins: false });
        }
        for event in 0..self.scenario.file.announced.len() {
            // An operator says so a little before.
            self.agenda.note(Tick(TICK), Event::Announce(event));
        }
        if let Some(restart) = self.scenario.file.engine.restart {
            let at = Tick(restart.draw(&mut self.people));
            self.agenda.note(at, Event::Restart);
        }
        while let Some((now, event)) = self.agenda.next(self.end) {
            self.happens(now, event);
        }
        self.everybody_leaves(self.end);
    }

    /// When which attack ran.
    pub(crate) fn attacks(&self) -> Vec<crate::report::Span> {
        #[expect(clippy::cast_precision_loss, reason = "seconds for a reader")]
        let seconds = |tick: Tick| (tick.0 / MILLI) as f64 / 1000.0;
        let span = |attacker: &Attacker| crate::report::Span {
            name: attacker.name.clone(),
            from: seconds(attacker.window.from),
            until: seconds(attacker.window.until),
        };
        self.attackers.iter().map(span).collect()
    }

    fn happens(&mut self, now: Tick, event: Event) {
        match event {
            Event::Tick => self.tick(now),
            Event::Call => {
                self.calling = false;
                self.call(now);
            }
            Event::Arrive(group) => self.arrive(now, group),
            Event::Step(visitor) => self.step(now, visitor),
            Event::Asset(visitor) => self.asset(now, visitor),
            Event::Passed(visitor) => self.passed(now, visitor),
            Event::Volley(attacker) => self.volley(now, attacker),
            Event::Finish { platform, flight } => self.finish(now, platform, flight),
            Event::Patience { flight, serial } => self.patience(now, flight, serial),
            Event::Trouble { trouble, begins } => self.trouble(trouble, begins),
            Event::Announce(event) => self.announce(now, event),
            Event::Hangup { attacker } => self.hangup(attacker),
            Event::Restart => self.gate.restart(now),
        }
    }

    fn tick(&mut self, now: Tick) {
        self.agenda.note(Tick(now.0 + TICK), Event::Tick);
        let (acts, _) = self.gate.tick(now);
        self.ledger.told(acts);
        self.ledger.ordered(now, &self.gate.orders);
        self.ticks += 1;
        if self.ticks.is_multiple_of(10) {
            let since = Tick(now.0.saturating_sub(SECOND));
            let busy = self.origins.iter_mut().map(|origin| origin.load(now, since)).fold(0.0, f64::max);
            let second = u32::try_from(self.ticks / 10).unwrap_or(u32::MAX);
            let memory = self.gate.node.bytes();
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let free = 1.0 - self.gate.node.connections() as f64 / self.site.limits.connections.max(1) as f64;
            self.ledger.connections_free = self.ledger.connections_free.min(free);
            self.ledger.second(second, busy, memory);
        }
        self.call_soon(now);
    }

    fn announce(&mut self, now: Tick, event: usize) {
        let Some(announced) = self.scenario.file.announced.get(event) else { return };
        let at = announced.at.draw(&mut self.people);
        let until = at + announced.lasts.draw(&mut self.people);
        let command = portcullis_engine::Command::AddEvent {
            name: announced.name.clone(),
            platform: None,
            from: wall(Tick(at)),
            until: wall(Tick(until)),
        };
        let acts = self.gate.command(command, now);
        self.ledger.told(acts);
    }

    fn trouble(&mut self, trouble: usize, begins: bool) {
        let Some((_, _, platform, slower, away)) = self.troubles.get(trouble).copied() else { return };
        let Some(origin) = self.origins.get_mut(platform) else { return };
        if begins {
            origin.slower *= slower;
            origin.away += away;
        } else {
            origin.slower /= slower;
            origin.away = origin.away.saturating_sub(away);
        }
    }

    /// Sends what stands in the draft.
    pub(crate) fn send(&mut self, now: Tick, who: Who) {
        let draft = &self.draft;
        let Some(plan) = self.site.platforms.get(draft.platform) else { return };
        let Some(route) = plan.routes.get(draft.route) else { return };
        let slower = self.origins.get(draft.platform).map_or(1.0, |origin| origin.slower);
        let cost = whole(self.costs.skewed(route.cost, route.spread) * draft.weight * slower).max(10_000);
        let ask = Ask {
            client: draft.client,
            platform: draft.platform,
            route: draft.route,
            class: route.class,
            session: draft.session.as_ref().map(<[u8; 16]>::as_slice),
            api_key: draft.api_key.map(str::as_bytes),
            sight: Sight {
                method: draft.method.as_bytes(),
                path: draft.path.as_bytes(),
                query: some(&draft.query),
                host: plan.host.as_bytes(),
                agent: some(&draft.agent),
                referer: some(&draft.referer),
                accept: some(&draft.accept),
                language: some(&draft.language),
                fetch_mode: some(draft.fetch_mode),
                order: draft.order,
                tls: some(&draft.tls),
                h2: some(&draft.h2),
                token: draft.token.as_ref().map(Cookie::text),
                ticket: draft.ticket.as_ref().map(Cookie::text),
                length: draft.length,
            },
            wall: wall(now),
        };
        let shard = draft.shard % self.gate.shards.len();
        let ruling = self.gate.shards[shard].admit(&ask, now);
        self.serial += 1;
        let flight = Flight {
            serial: self.serial,
            who,
            errand: draft.errand,
            shard,
            platform: draft.platform,
            sent: now,
            forwarded: now,
            cost,
            status: draft.status,
            bytes: route.bytes,
            business: draft.business,
            admitted: None,
            seen: None,
            waiting: None,
            left: false,
        };
        match self.side(who) {
            Side::Attack => self.ledger.attack_sent(now, cost),
            Side::Legitimate => self.ledger.legitimate_sent(),
            Side::Prelude => {}
        }
        self.ruled(now, flight, ruling);
    }

    /// Sends what stands in the draft, and takes it back at once: a stream that is reset.
    pub(crate) fn cancelled(&mut self, now: Tick, attacker: usize) {
        self.cancelling = true;
        self.send(now, Who::Attacker { attacker, stolen: 0 });
        self.cancelling = false;
    }

    /// On which side the sender is. A browser that an attacker drives is on the attacker's.
    fn side(&self, who: Who) -> Side {
        let attacker = match who {
            Who::Attacker { attacker, .. } => Some(attacker),
            Who::Visitor(visitor) => self.visitors[visitor as usize].hostile,
        };
        match attacker.map(|attacker| self.attackers[attacker].window.prelude) {
            None => Side::Legitimate,
            Some(true) => Side::Prelude,
            Some(false) => Side::Attack,
        }
    }

    fn ruled(&mut self, now: Tick, mut flight: Flight, ruling: Ruling) {
        let (what, detail) = match &ruling {
            Ruling::Admitted(admitted) => (0, u64::from(admitted.seen().rule)),
            Ruling::Waiting(waiting) => (1, waiting.ticket()),
            Ruling::Challenge(challenge) => (2, challenge.step as u64),
            Ruling::Room(place) => (3, place.arrived),
            Ruling::Refused(refusal, close) => (4, u64::from(refusal.reason.status()) << 1 | u64::from(*close)),
        };
        let who = match flight.who {
            Who::Visitor(visitor) => u64::from(visitor),
            Who::Attacker { attacker, .. } => 1 << 40 | attacker as u64,
        };
        self.ledger.decided(now, who, what, detail);
        match ruling {
            Ruling::Admitted(admitted) => self.forward(now, flight, admitted),
            Ruling::Waiting(waiting) => {
                self.ledger.admission_acted(now);
                let ticket = waiting.ticket();
                let shard = flight.shard;
                flight.waiting = Some(waiting);
                let (position, serial) = self.keep(flight);
                self.gate.waiting[shard].insert(ticket, position);
                self.watch(now, position, serial);
                self.call_soon(now);
            }
            Ruling::Challenge(challenge) => {
                if challenge.rule.is_some() && self.side(flight.who) == Side::Attack {
                    self.ledger.attack_stopped(now);
                }
                self.reply(now, &flight, Reply::Challenge(challenge));
            }
            Ruling::Room(place) => {
                self.ledger.admission_acted(now);
                self.reply(now, &flight, Reply::Room(place));
            }
            Ruling::Refused(refusal, close) => {
                if refusal.reason == portcullis_types::Reason::Overloaded {
                    self.ledger.admission_acted(now);
                }
                let rule = rule_of(&refusal);
                if rule.is_some() && self.side(flight.who) == Side::Attack {
                    self.ledger.attack_stopped(now);
                }
                self.reply(now, &flight, Reply::Refused { retry_after: refusal.retry_after, rule, close });
            }
        }
    }

    /// Admitted: on to the platform.
    fn forward(&mut self, now: Tick, mut flight: Flight, admitted: Admitted) {
        if self.cancelling {
            let seen = *admitted.seen();
            drop(admitted);
            return self.gate.shards[flight.shard].account(&seen, &Outcome::default(), now);
        }
        let seen = *admitted.seen();
        flight.seen = Some(seen);
        flight.admitted = Some(admitted);
        flight.forwarded = now;
        if self.side(flight.who) == Side::Attack {
            self.ledger.attack_passed(flight.sent, flight.cost);
            if let Who::Attacker { stolen, .. } = flight.who
                && stolen != 0
                && seen.trust.is_protected()
            {
                *self.ledger.stolen.entry(stolen).or_default() += 1;
            }
        }
        let (platform, cost) = (flight.platform, flight.cost);
        let (position, serial) = self.keep(flight);
        match self.origins[platform].offer(position, now) {
            Offer::Works => self.agenda.note(Tick(now.0 + cost), Event::Finish { platform, flight: position }),
            Offer::Waits => self.watch(now, position, serial),
            Offer::Full => self.ended(now, position, false),
        }
    }

    fn finish(&mut self, now: Tick, platform: usize, flight: u32) {
        self.origins[platform].finished(now);
        self.ended(now, flight, true);
        while let Some(next) = self.origins[platform].next(now) {
            let Some(flight) = self.flights[next as usize].as_mut() else {
                self.origins[platform].finished(now);
                continue;
            };
            if flight.left || now.0 - flight.forwarded.0 > self.origins[platform].timeout {
                self.origins[platform].finished(now);
                self.ended(now, next, false);
                continue;
            }
            let at = Tick(now.0 + flight.cost);
            self.agenda.note(at, Event::Finish { platform, flight: next });
        }
    }

    /// The platform is done with a request, well or not.
    fn ended(&mut self, now: Tick, position: u32, served: bool) {
        let Some(mut flight) = self.flights[position as usize].take() else { return };
        self.free.push(position);
        let grant = flight.admitted.as_ref().and_then(Admitted::grant);
        drop(flight.admitted.take());
        if let Some(seen) = flight.seen.take() {
            let outcome = Outcome {
                status: if served { flight.status } else { 503 },
                bytes: if served { flight.bytes } else { 0 },
                origin: now.0 - flight.forwarded.0,
                failed: !served && !flight.left,
                business: if served { flight.business } else { Business::Nothing },
            };
            self.gate.shards[flight.shard].account(&seen, &outcome, now);
        }
        if !flight.left {
            let reply = if served { Reply::Served { grant } } else { Reply::Failed };
            self.reply(now, &flight, reply);
        }
        if self.gate.anybody_waits() {
            self.call(now);
        }
    }

    /// Lets those claim whom the shards call.
    fn call(&mut self, now: Tick) {
        let mut tickets = Vec::new();
        for shard in 0..self.gate.shards.len() {
            self.gate.shards[shard].called(now, |ticket| tickets.push(ticket));
            for ticket in tickets.drain(..) {
                let Some(position) = self.gate.waiting[shard].get(&ticket).copied() else { continue };
                self.claim(now, shard, ticket, position);
            }
        }
        self.call_soon(now);
    }

    fn claim(&mut self, now: Tick, shard: usize, ticket: u64, position: u32) {
        let Some(flight) = self.flights[position as usize].as_mut() else { return };
        let Some(waiting) = flight.waiting.as_mut() else { return };
        match self.gate.shards[shard].claim(waiting, now) {
            Claim::Stay => {}
            Claim::Go(admitted) => {
                self.gate.waiting[shard].remove(&ticket);
                if let Some(mut flight) = self.release(position) {
                    flight.waiting = None;
                    self.ledger.decided(now, ticket, 5, 0);
                    self.forward(now, flight, admitted);
                }
            }
            Claim::Give(ruling) => {
                self.gate.waiting[shard].remove(&ticket);
                if let Some(mut flight) = self.release(position) {
                    flight.waiting = None;
                    self.ruled(now, flight, ruling);
                }
            }
        }
    }

    fn call_soon(&mut self, now: Tick) {
        if !self.calling && self.gate.anybody_waits() {
            self.calling = true;
            self.agenda.note(Tick(now.0 + CALL), Event::Call);
        }
    }

    /// A request that is not being worked on yet: its sender will not wait for ever.
    fn watch(&mut self, now: Tick, position: u32, serial: u64) {
        if let Some(Flight { who: Who::Visitor(visitor), .. }) = self.flights[position as usize] {
            let patience = self.visitors[visitor as usize].patience;
            self.agenda.note(Tick(now.0 + patience), Event::Patience { flight: position, serial });
        }
    }

    fn patience(&mut self, now: Tick, position: u32, serial: u64) {
        let Some(flight) = self.flights[position as usize].as_mut() else { return };
        if flight.serial != serial || flight.left {
            return;
        }
        let Who::Visitor(visitor) = flight.who else { return };
        flight.left = true;
        let errand = flight.errand;
        if let Some(waiting) = flight.waiting.take() {
            let shard = flight.shard;
            self.gate.waiting[shard].remove(&waiting.ticket());
            self.gate.shards[shard].leave(waiting);
            drop(self.release(position));
        }
        self.gives_up(now, visitor, errand);
    }

    fn keep(&mut self, flight: Flight) -> (u32, u64) {
        let serial = flight.serial;
        if let Some(position) = self.free.pop() {
            self.flights[position as usize] = Some(flight);
            return (position, serial);
        }
        self.flights.push(Some(flight));
        (u32::try_from(self.flights.len() - 1).unwrap_or(u32::MAX), serial)
    }

    fn release(&mut self, position: u32) -> Option<Flight> {
        let flight = self.flights[position as usize].take()?;
        self.free.push(position);
        Some(flight)
    }

    fn reply(&mut self, now: Tick, flight: &Flight, reply: Reply) {
        let rule = match &reply {
            Reply::Refused { rule, .. } => *rule,
            Reply::Challenge(challenge) => challenge.rule.map(|rule| rule.0),
            _ => None,
        };
        match flight.who {
            Who::Attacker { attacker, .. } => {
                let passed = matches!(reply, Reply::Served { .. } | Reply::Failed);
                self.attackers[attacker].told(passed);
            }
            Who::Visitor(visitor) => {
                if self.visitors[visitor as usize].hostile.is_none() {
                    match &reply {
                        Reply::Served { .. } => {
                            let waited = flight.forwarded.0 - flight.sent.0;
                            self.ledger.legitimate_served(flight.sent, now, waited);
                        }
                        Reply::Refused { .. } => self.ledger.legitimate_refused(),
                        _ => {}
                    }
                    if let Some(rule) = rule.filter(|_| self.visitors[visitor as usize].protected) {
                        self.ledger.harmed(rule, now);
                    }
                }
                self.answered(now, visitor, flight.errand, flight.sent, reply);
            }
        }
    }
}

fn some(text: &str) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text.as_bytes())
}

/// The rule that a refusal names.
fn rule_of(refusal: &Refusal) -> Option<u32> {
    let words = refusal.detail.to_string();
    let (_, after) = words.split_once("r-")?;
    let digits = after.find(|letter: char| !letter.is_ascii_digit()).map_or(after, |end| &after[..end]);
    digits.parse().ok()
}

/// What the operator declares of those whom it knows.
fn vouched(group: &Group) -> Option<Vouched> {
    let trust = group.trust?;
    let networks = group.networks.iter().filter_map(|network| Prefix::parse(network).ok()).collect();
    let key = (group.kind == Kind::Partner).then(|| Sha256::digest(PARTNER_KEY.as_bytes()).into());
    Some(Vouched {
        name: group.name.clone(),
        trust,
        prefixes: networks,
        api_key_hash: key,
        agent: (group.kind == Kind::Crawler).then(|| "googlebot".to_owned()),
        // As an operator would who has seen their busiest day.
        per_second: (group.rate * group.peak * 5.0).max(20.0),
        burst: u32::try_from(whole(group.rate * group.peak * 40.0)).unwrap_or(u32::MAX).max(200),
        concurrency: 256,
    })
}
