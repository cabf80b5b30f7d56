//! What one worker keeps for itself: its orders, its queues, its notes. Rules are applied here, and places given.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{Reason, RouteClass, Tick};

use crate::admission::flow::{Flow, Place};
use crate::admission::priority::Priority;
use crate::admission::queue::{Queue, Turn};
use crate::brain::orders::{Action, AdmissionOrders, Literal, LiveRule, Orders, PlatformOrders, RoomOrders, RuleId};
use crate::brain::posture::Posture;
use crate::declared::Declared;
use crate::node::{Node, Permit};
use crate::rate::Gcra;
use crate::refusal::{Detail, Refusal};
use crate::ruling::{Challenge, Grant, RoomPlace, Ruling};
use crate::senses::recorder::{Matched, Recorder};
use crate::senses::sight::{Attribute, Seen};
use crate::shard::Ask;
use crate::trust::{Step, Ticket, Trust};

/// How long visitors whom nobody knows wait in the queue.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long those wait who have shown who they are, or that they are people.
const PATIENCE_KNOWN: Duration = Duration::from_secs(10);
/// Ordinary requests a second of one token.
const TOKEN_RATE: f64 = 5.0;
/// At most so many at once after a pause.
const TOKEN_BURST: u32 = 60;
/// An ordinary request costs the platform so many microseconds; dearer ones weigh more.
const ORDINARY_US: u32 = 20_000;
/// What one request weighs at least and at most, in eighths of an ordinary one.
const WEIGHTS: (u32, u32) = (2, 80);
/// A visitor known for so long, who opened so many documents, has earned a history.
const EARNED: (Duration, u8) = (Duration::from_secs(600), 3);
/// Milliseconds of a day and an hour.
const DAY: u64 = 86_400_000;
const HOUR: u64 = 3_600_000;
/// After so many challenges of one rule the share that passed is looked at.
const CHALLENGES: u16 = 200;
/// If one in so many passes the easiest step, programs have learned it, and the next step is asked for.
const PASSES: u16 = 5;
/// Rules whose ladder is remembered.
const LADDERS: usize = 64;
/// Nobody is told to come back to the waiting room's page sooner or later than that.
const ROOM_WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3600));

/// What one worker keeps for itself.
#[derive(Debug)]
pub(crate) struct Desk {
    orders: Arc<Orders>,
    /// Of each platform's rules, by position, the literal that tells most requests apart: one comparison a rule, mostly.
    telling: Vec<Vec<Option<Literal>>>,
    /// By position of the platform.
    queues: Vec<Queue>,
    recorder: Recorder,
    ladders: [Ladder; LADDERS],
    token_budget: Gcra,
    /// What chance decides is decided by this, by the visitor and by the rule, and by nothing else.
    salt: u64,
    /// Requests that were queued.
    queued: u64,
    now: Tick,
}

/// How a rule's challenges fare.
#[derive(Debug, Clone, Copy, Default)]
struct Ladder {
    rule: RuleId,
    given: u16,
    passed: u16,
    harder: bool,
}

/// A request, as far as it is known.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) seen: Seen,
    pub(crate) grant: Option<Grant>,
    /// The place under the concurrency of whoever vouches.
    pub(crate) vouched: Option<Permit>,
    /// The step that was passed, by the token that it carries.
    step: Option<Step>,
    /// Whether its route may be challenged.
    may_challenge: bool,
    ticket: Option<Ticket>,
    cost_us: u32,
}

/// Where a request stands after admission.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for a few lines; a box would allocate once per request of a flood"
)]
pub(crate) enum Standing {
    /// At the platform's door. No place is held where the platform is not known.
    Go(Option<Place>),
    /// In the queue, with that ticket.
    Wait(u64, Arc<Flow>),
    /// Refused or in the waiting room.
    Give(Ruling),
}

impl Desk {
    pub(crate) fn new(node: &Node, declared: &Declared, seed: u64) -> Self {
        Self {
            orders: Arc::default(),
            telling: Vec::new(),
            queues: declared.flows().map(|flow| Queue::new(Arc::clone(flow))).collect(),
            recorder: Recorder::new(&declared.routes(), seed, Tick::ZERO),
            ladders: [Ladder::default(); LADDERS],
            token_budget: Gcra::new(TOKEN_RATE, TOKEN_BURST),
            salt: node.hash(&[b"hold-out"]),
            queued: 0,
            now: Tick::ZERO,
        }
    }

    /// Holds to other orders. Who waits and would be refused by a rule now is not kept waiting, nor does it keep others.
    pub(crate) fn obey(&mut self, orders: Arc<Orders>) {
        self.orders = orders;
        let rules = |orders: &PlatformOrders| orders.rules.iter().map(telling).collect();
        self.telling = self.orders.platforms.iter().map(rules).collect();
        let salt = self.salt;
        for (queue, orders) in self.queues.iter_mut().zip(&self.orders.platforms) {
            let refuses = |rule: &&LiveRule| rule.share > 0 && rule.action >= Action::Refuse;
            if orders.rules.iter().any(|rule| refuses(&rule)) {
                queue.expel(|seen| {
                    let mut matching =
                        orders.rules.iter().filter(refuses).filter(|rule| rule.matches(&seen.attributes));
                    matching.next().is_some_and(|rule| {
                        let (_, action) = judge(rule, seen, None, false, &Ladder::default(), salt);
                        action.is_some_and(|action| action >= Action::Refuse)
                    })
                });
            }
        }
    }

    /// Memory of the queues and of what is noted.
    pub(crate) fn bytes(&self) -> usize {
        self.queues.iter().map(Queue::bytes).sum::<usize>() + self.recorder.bytes()
    }

    pub(crate) const fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Platforms may have other positions from now on. Who waits goes on waiting where the platform is still there.
    pub(crate) fn reshape(&mut self, declared: &Declared) {
        let mut before = std::mem::take(&mut self.queues);
        let queue = |flow: &Arc<Flow>| match before.iter().position(|queue| Arc::ptr_eq(queue.flow(), flow)) {
            Some(known) => before.swap_remove(known),
            None => Queue::new(Arc::clone(flow)),
        };
        self.queues = declared.flows().map(queue).collect();
        self.recorder.reshape(&declared.routes(), self.now);
    }

    /// What the request looks like and who vouches for it.
    pub(crate) fn perceive(
        &mut self,
        node: &Node,
        declared: &Declared,
        ask: &Ask<'_>,
        allowed: bool,
        now: Tick,
    ) -> Visit {
        self.now = now;
        let (senses, tokens) = (node.senses(), node.tokens());
        let asker = senses.meet(ask);
        let cost_us = senses.expected_cost_us(narrow(ask.platform), narrow(ask.route));
        let (mut trust, vouched) = declared.vouching.vouch(ask, node, now).unwrap_or((Trust::Fresh, None));
        if allowed {
            // The operator lets this address through, whoever it is.
            trust = trust.max(Trust::Partner);
        }
        let slower = self.orders.platforms.get(ask.platform).map_or(1, |orders| orders.admission.slower.max(1));
        let (mut id, mut step, mut renew) = (0, None, None);
        let token = ask.sight.token.filter(|_| trust == Trust::Fresh);
        if let Some(vouch) = token.and_then(|text| tokens.read(text, || tokens.binding(&ask.sight), ask.wall)) {
            (id, step) = (vouch.id, vouch.step);
            trust = if self.charge(node, id, cost_us / slower, now) { vouch.trust } else { Trust::Suspect };
            renew = (vouch.renew && trust == Trust::History).then_some(vouch.first_day);
        }
        let seen = senses.describe(asker, ask, trust, id, now);
        if seen.token != 0 {
            senses.cookie_came_back(&seen);
        }
        let orders = self.orders.platforms.get(ask.platform);
        let ticket = orders.and_then(|orders| orders.admission.room).and(ask.sight.ticket);
        let ticket = ticket.and_then(|text| tokens.read_ticket(text, ask.wall));
        let sample = orders.map_or(1, |orders| orders.sample);
        let grant = if orders.is_none_or(|orders| orders.posture == Posture::Normal) {
            earned(node, &seen, renew, ask.wall, now)
        } else {
            None
        };
        self.recorder.arrived(&seen, &ask.sight, sample, cost_us);
        let may_challenge = declared.may_challenge(ask.platform, ask.route);
        Visit { seen, grant, vouched, step, may_challenge, ticket, cost_us }
    }

    /// Charges a token. A stolen one throttles itself: what is beyond the budget of one person is not vouched for.
    fn charge(&self, node: &Node, id: u64, cost_us: u32, now: Tick) -> bool {
        let weight = (cost_us / (ORDINARY_US / 8)).clamp(WEIGHTS.0, WEIGHTS.1);
        let hash = node.senses().token(id);
        node.rates().charge(hash, self.token_budget.weighing(u64::from(weight)), now).is_ok()
    }

    /// Applies the rules in force: the first that matches decides, those in shadow only count.
    pub(crate) fn rules(&mut self, ask: &Ask<'_>, visit: &mut Visit) -> Option<Ruling> {
        let (orders, telling) = (self.orders.platforms.get(ask.platform)?, self.telling.get(ask.platform)?);
        let mut decided = None;
        for (position, (rule, telling)) in orders.rules.iter().zip(telling).enumerate() {
            let attributes = &visit.seen.attributes;
            if !telling.is_none_or(|literal| literal.holds(attributes)) || !rule.matches(attributes) {
                continue;
            }
            if rule.share == 0 || decided.is_some() {
                self.recorder.matched(&visit.seen, position, rule, Matched::Noted, visit.cost_us);
                continue;
            }
            let ladder = ladder(&mut self.ladders, rule.id);
            let (became, action) = judge(rule, &visit.seen, visit.step, visit.may_challenge, ladder, self.salt);
            decided = Some(action.map(|action| (rule.id, action)));
            visit.seen.rule = rule.id.0;
            self.recorder.matched(&visit.seen, position, rule, became, visit.cost_us);
        }
        let (rule, action) = decided??;
        let again =
            |from: u64| Some(Duration::from_secs(from + draw(visit.seen.visitor, u64::from(rule.0), AGAIN) % 30));
        match action {
            Action::Deprioritise => {
                visit.seen.trust = Trust::Suspect;
                None
            }
            Action::Challenge => {
                let ladder = ladder(&mut self.ladders, rule);
                ladder.given = ladder.given.saturating_add(1);
                // A token that exceeded its budget had passed a step already: the next one.
                let step = if ladder.harder || visit.step.is_some() { Step::Puzzle } else { Step::Echo };
                Some(Ruling::Challenge(Challenge { step, seen: visit.seen, rule: Some(rule) }))
            }
            Action::Refuse => {
                let refusal = Refusal::new(Reason::RuleRefused, Detail::Rule(rule));
                Some(Ruling::Refused(Refusal { retry_after: again(30), ..refusal }, false))
            }
            Action::Close => Some(Ruling::Refused(Refusal::new(Reason::RuleClosed, Detail::Rule(rule)), true)),
        }
    }

    /// A visitor passed the challenge of a rule.
    pub(crate) fn passed(&mut self, seen: &Seen) {
        let rule = RuleId(seen.rule);
        let ladder = ladder(&mut self.ladders, rule);
        ladder.passed = ladder.passed.saturating_add(1);
        if ladder.given >= CHALLENGES {
            ladder.harder |= ladder.passed >= ladder.given / PASSES;
            (ladder.given, ladder.passed) = (0, 0);
        }
        let rules = self.orders.platforms.get(usize::from(seen.platform)).map(|orders| &orders.rules);
        let position = rules.and_then(|rules| rules.iter().position(|live| live.id == rule));
        if let Some(position) = position {
            self.recorder.passed(seen, position);
        }
    }

    /// Finds a place, or a place in the queue, or none.
    pub(crate) fn stand(&mut self, node: &Node, ask: &Ask<'_>, visit: &Visit, now: Tick) -> Standing {
        let limits = self.limits(ask.platform);
        let Some(queue) = self.queues.get_mut(ask.platform) else { return Standing::Go(None) };
        let seen = &visit.seen;
        if limits.room.is_none()
            && queue.flow().waiting() == 0
            && let Some(place) = queue.pass(seen.class, Priority(0), &limits)
        {
            // There is room for anybody: nothing is asked.
            return Standing::Go(Some(place));
        }
        let called = match (limits.room, visit.ticket) {
            (Some(room), Some(ticket)) => {
                let cost_us = visit.cost_us / limits.slower.max(1);
                ticket.arrived < room.admitted_until && self.charge(node, ticket.id, cost_us, now)
            }
            _ => false,
        };
        let trust = if called { seen.trust.max(Trust::Passed) } else { seen.trust };
        let Some(queue) = self.queues.get_mut(ask.platform) else { return Standing::Go(None) };
        if let Some(room) = limits.room.filter(|_| !called && is_stranger(seen)) {
            self.recorder.shed(seen);
            return Standing::Give(Ruling::Room(place(queue.flow(), room, visit.ticket, ask.wall, seen)));
        }
        // Among those who are known it is first come, first served: there is room for all of them, in turn.
        let tie = if trust.is_protected() { 0 } else { tie(seen, ask.wall) };
        let priority = Priority::of(seen.class, trust, tie);
        queue.flow().asked(priority);
        if let Some(place) = queue.pass(seen.class, priority, &limits) {
            return Standing::Go(Some(place));
        }
        let patience = if trust > Trust::Fresh { PATIENCE_KNOWN } else { PATIENCE };
        self.queued += 1;
        // Whoever goes before others who wait is not too much, whatever they are.
        let may_queue = priority.0 >= limits.cut || trust.is_protected() || queue.outranks(priority);
        let ticket = may_queue.then(|| queue.enter(seen, trust, tie, now.after(patience), self.queued)).flatten();
        let Some(ticket) = ticket else {
            return Standing::Give(shed(&mut self.recorder, queue.flow(), seen, limits.shelters, ask.wall));
        };
        // There may be a place that nobody better waits for.
        queue.serve(&limits, now);
        if let Turn::Go(place) = queue.claim(ticket, now) {
            return Standing::Go(Some(place));
        }
        self.recorder.queued(seen);
        Standing::Wait(ticket, Arc::clone(queue.flow()))
    }

    /// It goes to the platform, after it waited so long.
    pub(crate) fn goes(&mut self, seen: &Seen, waited: Duration) {
        self.recorder.admitted(seen, waited);
    }

    /// Looks whether it is a ticket's turn; with it comes the platform's position.
    pub(crate) fn claim(&mut self, flow: &Arc<Flow>, ticket: u64, now: Tick) -> (Turn, usize) {
        let Some(platform) = self.queues.iter().position(|queue| Arc::ptr_eq(queue.flow(), flow)) else {
            return (Turn::Over, usize::MAX);
        };
        let limits = self.limits(platform);
        let Some(queue) = self.queues.get_mut(platform) else { return (Turn::Over, platform) };
        queue.serve(&limits, now);
        (queue.claim(ticket, now), platform)
    }

    /// What is told to a request that waited in vain.
    pub(crate) fn give(&mut self, flow: &Flow, platform: usize, seen: &Seen, wall: u64) -> Ruling {
        let limits = self.limits(platform);
        match limits.room.filter(|_| is_stranger(seen)) {
            Some(room) => {
                self.recorder.shed(seen);
                Ruling::Room(place(flow, room, None, wall, seen))
            }
            None => shed(&mut self.recorder, flow, seen, limits.shelters, wall),
        }
    }

    pub(crate) fn leave(&mut self, flow: &Arc<Flow>, ticket: u64) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| Arc::ptr_eq(queue.flow(), flow)) {
            queue.leave(ticket);
        }
    }

    /// Serves every queue and names the tickets that should claim.
    pub(crate) fn called(&mut self, now: Tick, mut wake: impl FnMut(u64)) {
        for platform in 0..self.queues.len() {
            let limits = self.limits(platform);
            if let Some(queue) = self.queues.get_mut(platform) {
                queue.serve(&limits, now);
                queue.called(&mut wake);
            }
        }
    }

    fn limits(&self, platform: usize) -> AdmissionOrders {
        self.orders.platforms.get(platform).map_or_else(AdmissionOrders::default, |orders| orders.admission)
    }
}

/// Whom the waiting room is for: a person whom nobody knows and who is not about to pay.
const fn is_stranger(seen: &Seen) -> bool {
    seen.navigation
        && matches!(seen.trust, Trust::Suspect | Trust::Fresh)
        && !matches!(seen.class, RouteClass::Payment | RouteClass::Webhook)
}

/// Turned away by admission. Whoever opens a page is shown the waiting room's, which comes back by itself: with a ticket that
/// holds a stranger's place, should the room open meanwhile.
fn shed(recorder: &mut Recorder, flow: &Flow, seen: &Seen, shelters: bool, wall: u64) -> Ruling {
    recorder.shed(seen);
    if is_stranger(seen) {
        flow.turned_away();
    }
    // Not all at once: who is turned away together shall not come back together.
    let again = draw(seen.visitor, seen.at.0, AGAIN) % 7;
    if shelters && seen.navigation {
        let wait = ROOM_WAIT.0 + Duration::from_secs(again);
        return Ruling::Room(RoomPlace { arrived: wall, ahead: flow.room.give(wall), wait, seen: *seen });
    }
    let refusal = Refusal::new(Reason::Overloaded, "the platform is at its limit");
    Ruling::Refused(Refusal { retry_after: Some(Duration::from_secs(2 + again)), ..refusal }, false)
}

/// A place in the waiting room: the one that the ticket holds, or a new one.
fn place(flow: &Flow, room: RoomOrders, ticket: Option<Ticket>, wall: u64, seen: &Seen) -> RoomPlace {
    let (arrived, ahead) = match ticket {
        Some(ticket) => (ticket.arrived, flow.room.ahead(ticket.arrived)),
        None => (wall, flow.room.give(wall)),
    };
    let seconds = Duration::from_millis(arrived.saturating_sub(room.admitted_until)).as_secs_f32();
    let wait = Duration::from_secs_f32(seconds / room.speed.max(0.001)).clamp(ROOM_WAIT.0, ROOM_WAIT.1);
    RoomPlace { arrived, ahead, wait, seen: *seen }
}

/// The literal with the greatest value: a hash, which few requests have, before a mark, which many have.
fn telling(rule: &LiveRule) -> Option<Literal> {
    rule.literals.iter().copied().max_by_key(|literal| literal.value)
}

/// What a rule does with a visitor, and what is noted of it.
fn judge(
    rule: &LiveRule,
    seen: &Seen,
    passed: Option<Step>,
    may_challenge: bool,
    ladder: &Ladder,
    salt: u64,
) -> (Matched, Option<Action>) {
    // Whoever passed only the easiest step has not passed this rule's challenge, where it asks for more.
    let too_easy = ladder.harder && passed.is_some_and(|step| !step.satisfies(Step::Puzzle));
    if seen.trust.is_protected() && !(seen.trust == Trust::Passed && too_easy) {
        return (Matched::Noted, None);
    }
    let id = u64::from(rule.id.0);
    if draw(seen.visitor, id, salt ^ SHARE) % 100 >= u64::from(rule.share) {
        return (Matched::Noted, None);
    }
    let held_out = draw(seen.visitor, id, salt ^ HOLD_OUT) % 1000 < u64::from(rule.hold_out);
    let action = if held_out { rule.action.milder() } else { Some(rule.action) };
    let action = action.map(|action| match action {
        // Programs cannot pass a challenge, and nobody comes between a payment and its end.
        Action::Challenge
            if !seen.navigation
                || !may_challenge
                || matches!(seen.class, RouteClass::Payment | RouteClass::Webhook) =>
        {
            Action::Deprioritise
        }
        Action::Refuse | Action::Close if seen.class == RouteClass::Webhook => Action::Deprioritise,
        action => action,
    });
    let became = match action {
        _ if held_out => Matched::HeldOut,
        Some(Action::Challenge) => Matched::Challenged,
        _ => Matched::Acted,
    };
    (became, action)
}

/// A history for those who have been ordinary visitors in calm, and a new one for those who hold an old one.
fn earned(node: &Node, seen: &Seen, renew: Option<u32>, wall: u64, now: Tick) -> Option<Grant> {
    if !seen.navigation {
        return None;
    }
    let today = u32::try_from(wall / DAY).unwrap_or(u32::MAX);
    let first_day = match renew {
        Some(first_day) => first_day,
        None if seen.trust < Trust::History
            && seen.trust != Trust::Suspect
            && seen.attributes.get(Attribute::Evidence) >= 2 =>
        {
            let known = node.senses().known(seen.visitor, now);
            if known.evidence < 2 || known.age < EARNED.0 || known.navigations < EARNED.1 {
                return None;
            }
            today
        }
        None => return None,
    };
    let tenure = u8::try_from(today.saturating_sub(first_day)).unwrap_or(u8::MAX);
    let tokens = node.tokens();
    Some(Grant(tokens.history(first_day, tenure, tokens.fresh_id(wall), wall)))
}

/// By visitor and hour: whoever gets in goes on getting in until the visit is over. Not by address: a campus is neither let
/// in nor shut out as a whole.
const fn tie(seen: &Seen, wall: u64) -> u64 {
    draw(seen.visitor, wall / HOUR, TIE)
}

/// The ladder of a rule. Another rule's is forgotten where the two share a place.
fn ladder(ladders: &mut [Ladder; LADDERS], rule: RuleId) -> &mut Ladder {
    let place = usize::try_from(rule.0).unwrap_or(0) % LADDERS;
    let ladder = &mut ladders[place];
    if ladder.rule != rule {
        *ladder = Ladder { rule, ..Ladder::default() };
    }
    ladder
}

const SHARE: u64 = 0x5AA5;
const HOLD_OUT: u64 = 0x40_1D07;
const AGAIN: u64 = 0xA6_A111;
const TIE: u64 = 0x71E;

/// What chance says of a visitor and a number. The visitor is a keyed hash, so nobody outside can foresee it.
const fn draw(visitor: u64, number: u64, salt: u64) -> u64 {
    let mut mixed = visitor ^ salt ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn narrow(position: usize) -> u16 {
    u16::try_from(position).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use portcullis_types::{ClientAddr, Limits};
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;
    use crate::brain::orders::{Literal, PlatformOrders};
    use crate::declared::{Declaration, Platform, Route, Vouched};
    use crate::ruling::Claim;
    use crate::senses::sight::{Outcome, Sight};
    use crate::shard::Shard;

    const WALL: u64 = 1_790_000_000_000;

    fn node() -> Arc<Node> {
        Arc::new(Node::new(&Limits { rate_keys: 1024, ..Limits::DEFAULT }, [3, 4]))
    }

    fn shard(node: &Arc<Node>, orders: PlatformOrders) -> Shard {
        let route = |path: &str, class| Route { path: path.to_owned(), class, challenge: true, rates: Vec::new() };
        let routes = RouteClass::ALL.map(|class| route(class.name(), class)).into();
        let platforms = vec![Platform { name: "public".to_owned(), concurrency: Vec::new(), routes }];
        let partner = Vouched {
            name: "partner".to_owned(),
            trust: Trust::Partner,
            agent: Some("partner".to_owned()),
            ..Vouched::default()
        };
        let declaration = Declaration { lists: Vec::new(), platforms, vouched: vec![partner] };
        let mut shard = Shard::new(Arc::clone(node), Arc::new(Declared::compile(&declaration, node)), 7);
        shard.obey(Arc::new(Orders { revision: 1, platforms: vec![orders] }));
        shard
    }

    fn ask(visitor: u32, class: RouteClass, sight: Sight<'_>) -> Ask<'_> {
        let client = ClientAddr::new(Ipv4Addr::from_bits(0x0B00_0000 + visitor).into());
        let route = class.index();
        Ask { client, platform: 0, route, class, session: None, api_key: None, sight, wall: WALL }
    }

    /// What a browser says when a person opens a page.
    fn navigation() -> Sight<'static> {
        Sight {
            method: b"GET",
            path: b"/page",
            host: b"example.org",
            agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            accept: Some(b"text/html,application/xhtml+xml"),
            fetch_mode: Some(b"navigate"),
            tls: Some(b"t13d1717h2_5b57614c22b0_3cbfd9057e0d"),
            ..Sight::default()
        }
    }

    /// A rule that matches every request without a token.
    fn rule(action: Action, share: u8, hold_out: u16) -> PlatformOrders {
        let literals = smallvec![Literal { attribute: Attribute::Token, value: 0 }];
        let rule = LiveRule { id: RuleId(81), literals, action, share, hold_out };
        PlatformOrders { posture: Posture::Attack, rules: vec![rule], ..PlatformOrders::default() }
    }

    fn name(ruling: &Ruling) -> &'static str {
        match ruling {
            Ruling::Admitted(_) => "admitted",
            Ruling::Waiting(_) => "waiting",
            Ruling::Challenge(_) => "challenge",
            Ruling::Room(_) => "room",
            Ruling::Refused(_, true) => "closed",
            Ruling::Refused(..) => "refused",
        }
    }

    #[test]
    fn each_action_does_what_it_says_and_payments_are_never_challenged() {
        let node = node();
        let program = || Sight { fetch_mode: None, accept: Some(b"*/*"), ..navigation() };
        type Case<'a> = (Action, RouteClass, Sight<'a>, &'a str);
        let table: [Case<'_>; 9] = [
            (Action::Deprioritise, RouteClass::Page, navigation(), "admitted"),
            (Action::Challenge, RouteClass::Page, navigation(), "challenge"),
            (Action::Challenge, RouteClass::Page, program(), "admitted"),
            (Action::Challenge, RouteClass::Payment, navigation(), "admitted"),
            (Action::Challenge, RouteClass::Webhook, navigation(), "admitted"),
            (Action::Refuse, RouteClass::Page, navigation(), "refused"),
            (Action::Refuse, RouteClass::Webhook, program(), "admitted"),
            (Action::Close, RouteClass::Search, program(), "closed"),
            (Action::Close, RouteClass::Webhook, program(), "admitted"),
        ];
        for (action, class, sight, expected) in table {
            let mut shard = shard(&node, rule(action, 100, 0));
            let ruling = shard.admit(&ask(1, class, sight), Tick::ZERO);
            assert_eq!(name(&ruling), expected, "{action:?} {class}");
        }
    }

    #[test]
    fn pages_that_a_rule_did_not_show_are_no_sign_of_a_person() {
        let table = [("shown", PlatformOrders::default(), 1), ("challenged", rule(Action::Challenge, 100, 0), 0)];
        for (name, orders, expected) in table {
            let node = node();
            let mut shard = shard(&node, orders);
            let mut asker = 0;
            for (seconds, path) in (1..).zip([&b"/news"[..], b"/events", b"/people", b"/donate"]) {
                let sight = Sight { path, ..navigation() };
                asker = match shard.admit(&ask(1, RouteClass::Page, sight), Tick::from_millis(seconds * 5000)) {
                    Ruling::Admitted(admitted) if name == "shown" => admitted.seen().visitor,
                    Ruling::Challenge(challenge) if name == "challenged" => challenge.seen.visitor,
                    other => panic!("{name}: {}", self::name(&other)),
                };
            }
            assert_eq!(node.senses().known(asker, Tick::from_millis(30_000)).evidence, expected, "{name}");
        }
    }

    #[test]
    fn shadow_touches_nobody_and_the_shares_are_what_was_ordered() {
        let node = node();
        let count = |action, share, hold_out, expected: &str| {
            let mut shard = shard(&node, rule(action, share, hold_out));
            let rulings =
                (0..20_000).map(|visitor| shard.admit(&ask(visitor, RouteClass::Page, navigation()), Tick(1)));
            rulings.filter(|ruling| name(ruling) == expected).count()
        };
        assert_eq!(count(Action::Close, 0, 20, "admitted"), 20_000, "in shadow");
        let held_out = count(Action::Refuse, 100, 20, "challenge");
        assert!((300..500).contains(&held_out), "2 % of 20,000 get the milder action, not {held_out}");
        let relaxed = count(Action::Refuse, 10, 0, "refused");
        assert!((1_800..2_200).contains(&relaxed), "10 % of 20,000, not {relaxed}");
    }

    #[test]
    fn who_is_known_is_never_acted_upon_and_counts() {
        let node = node();
        let orders = PlatformOrders {
            rules: vec![LiveRule { literals: smallvec![], ..rule(Action::Close, 100, 0).rules[0].clone() }],
            ..PlatformOrders::default()
        };
        let mut shard = shard(&node, orders);
        let history = node.tokens().history(20_000, 3, 77, WALL);
        let known = Sight { token: Some(history.as_ref()), ..navigation() };
        let partner = Sight { agent: Some(b"Partner/1.0"), ..navigation() };
        for sight in [known, partner] {
            assert_eq!(name(&shard.admit(&ask(1, RouteClass::Page, sight), Tick(1))), "admitted");
        }
        assert_eq!(name(&shard.admit(&ask(2, RouteClass::Page, navigation()), Tick(1))), "closed");
        let harvest = shard.harvest(Tick::from_millis(100));
        let tally = harvest.platforms[0].rules[0];
        assert_eq!((tally.matched, tally.protected, tally.acted), (3, 2, 1));
    }

    #[test]
    fn people_behind_one_address_do_not_share_their_lot() {
        let node = node();
        let lot = |tls: &str, hour: u64| {
            let ask = ask(1, RouteClass::Page, Sight { tls: Some(tls.as_bytes()), ..navigation() });
            tie(&node.senses().perceive(&ask, Trust::Fresh, 0, Tick::ZERO), hour * HOUR) % 8
        };
        let lots: std::collections::BTreeSet<u64> = (0..64).map(|stack| lot(&stack.to_string(), 3)).collect();
        assert_eq!(lots.len(), 8);
        assert_eq!(lot("7", 3), lot("7", 3), "the same until the visit is over");
        assert!((4..30).any(|hour| lot("7", hour) != lot("7", 3)), "nobody is last for ever");
    }

    #[test]
    fn a_stolen_token_throttles_itself() {
        let node = node();
        let mut orders = rule(Action::Refuse, 100, 0);
        orders.rules[0].literals.clear();
        let mut shard = shard(&node, orders);
        let history = node.tokens().history(20_000, 3, 77, WALL);
        let known = Sight { token: Some(history.as_ref()), ..navigation() };
        let mut passes =
            |millis| name(&shard.admit(&ask(1, RouteClass::Page, known), Tick::from_millis(millis))) == "admitted";
        let burst = (0..2_000).filter(|_| passes(0)).count();
        assert!((60..1_000).contains(&burst), "{burst} at once");
        let sustained = (0..10_000).filter(|at| passes(1_000 + at)).count();
        assert!((50..400).contains(&sustained), "{sustained} in ten seconds");
    }

    #[test]
    fn history_is_earned_by_ordinary_use_in_calm() {
        let node = node();
        let mut shard = shard(&node, PlatformOrders::default());
        let asset =
            Sight { path: b"/style.css", fetch_mode: Some(b"no-cors"), accept: Some(b"text/css"), ..navigation() };
        let own = Some(&b"https://example.org/page"[..]);
        let mut granted = Vec::new();
        for minute in 0..15u64 {
            let now = Tick::from_millis(minute * 60_000);
            let wall = WALL + minute * 60_000;
            let page = Sight { referer: own, ..navigation() };
            let Ruling::Admitted(admitted) = shard.admit(&Ask { wall, ..ask(1, RouteClass::Page, page) }, now) else {
                panic!("in calm everybody is admitted")
            };
            if let Some(grant) = admitted.grant() {
                granted.push((minute, grant));
            }
            let later = now.after(Duration::from_millis(400));
            let asset = Sight { referer: own, ..asset };
            drop(shard.admit(&Ask { wall, ..ask(1, RouteClass::Asset, asset) }, later));
        }
        let (minute, grant) = granted.first().expect("fifteen minutes of ordinary use");
        assert!(*minute >= 10, "not before ten minutes: {minute}");
        let known = Sight { token: Some(grant.text()), ..navigation() };
        let later = Ask { wall: WALL + 3_600_000, ..ask(9, RouteClass::Page, known) };
        let Ruling::Admitted(admitted) = shard.admit(&later, Tick(1)) else { panic!("calm") };
        assert_eq!(admitted.seen().trust, Trust::History, "from another address, too");
    }

    #[test]
    fn strangers_go_to_the_room_and_go_in_when_they_are_called() {
        let node = node();
        let room = |until| Some(RoomOrders { admitted_until: until, speed: 0.5 });
        let orders = |until| PlatformOrders {
            admission: AdmissionOrders { whole: 100, room: room(until), ..AdmissionOrders::default() },
            ..PlatformOrders::default()
        };
        let mut shard = shard(&node, orders(WALL - 10_000));
        let Ruling::Room(place) = shard.admit(&ask(1, RouteClass::Page, navigation()), Tick(1)) else { panic!("room") };
        assert_eq!((place.arrived, place.ahead, place.wait), (WALL, 0, Duration::from_secs(20)));
        let ticket = node.tokens().ticket(place.arrived, 5, WALL);
        let back = Sight { ticket: Some(ticket.as_ref()), ..navigation() };
        let Ruling::Room(again) = shard.admit(&Ask { wall: WALL + 9_000, ..ask(1, RouteClass::Page, back) }, Tick(2))
        else {
            panic!("not called yet")
        };
        assert_eq!(again.arrived, WALL, "the place is kept");
        assert_eq!(name(&shard.admit(&ask(1, RouteClass::Payment, navigation()), Tick(3))), "admitted");
        shard.obey(Arc::new(Orders { revision: 2, platforms: vec![orders(WALL + 1)] }));
        assert_eq!(name(&shard.admit(&ask(1, RouteClass::Page, back), Tick(4))), "admitted");
    }

    #[test]
    fn who_opens_a_page_in_vain_is_shown_the_room_and_not_an_error() {
        let node = node();
        let orders = |shelters| PlatformOrders {
            admission: AdmissionOrders { whole: 0, cut: 255, shelters, ..AdmissionOrders::default() },
            ..PlatformOrders::default()
        };
        let post = Sight { method: b"POST", ..navigation() };
        let program = Sight { fetch_mode: None, accept: Some(b"*/*"), ..navigation() };
        let history = node.tokens().history(20_000, 3, 77, WALL);
        let known = Sight { token: Some(history.as_ref()), ..navigation() };
        for (shelters, sight, expected) in [
            (true, navigation(), "room"),
            (false, navigation(), "refused"),
            (true, post, "refused"),
            (true, program, "refused"),
            (true, known, "waiting"),
        ] {
            let mut shard = shard(&node, orders(shelters));
            let ruling = shard.admit(&ask(1, RouteClass::Page, sight), Tick(1));
            assert_eq!(name(&ruling), expected, "{shelters}");
        }
    }

    #[test]
    fn a_slow_platform_is_not_charged_to_those_who_are_known() {
        let passed = [1, 16].map(|slower| {
            let node = node();
            let admission = AdmissionOrders { whole: 10_000, slower, ..AdmissionOrders::default() };
            let mut shard = shard(&node, PlatformOrders { admission, ..PlatformOrders::default() });
            let history = node.tokens().history(20_000, 3, 77, WALL);
            let known = Sight { token: Some(history.as_ref()), ..navigation() };
            for _ in 0..50 {
                let Ruling::Admitted(admitted) = shard.admit(&ask(2, RouteClass::Page, navigation()), Tick(1)) else {
                    panic!("there is room")
                };
                let seen = *admitted.seen();
                drop(admitted);
                let slow = Outcome { status: 200, origin: 320_000_000, ..Outcome::default() };
                shard.account(&seen, &slow, Tick(1));
            }
            let mut admitted = Vec::new();
            for _ in 0..200 {
                match shard.admit(&ask(1, RouteClass::Page, known), Tick(1)) {
                    Ruling::Admitted(place) if place.seen().trust == Trust::History => admitted.push(place),
                    _ => break,
                }
            }
            admitted.len()
        });
        assert!(passed[0] * 8 < passed[1], "{passed:?}");
    }

    #[test]
    fn a_place_that_is_free_goes_to_the_best_who_waits() {
        let node = node();
        let orders = PlatformOrders {
            admission: AdmissionOrders { whole: 2, ..AdmissionOrders::default() },
            ..PlatformOrders::default()
        };
        let mut shard = shard(&node, orders);
        let admit = |shard: &mut Shard, visitor, class, sight| shard.admit(&ask(visitor, class, sight), Tick(1));
        let held: Vec<Ruling> =
            (0..2).map(|visitor| admit(&mut shard, visitor, RouteClass::Page, navigation())).collect();
        assert!(held.iter().all(|ruling| name(ruling) == "admitted"));
        let history = node.tokens().history(20_000, 3, 77, WALL);
        let known = Sight { token: Some(history.as_ref()), ..navigation() };
        let Ruling::Waiting(mut stranger) = admit(&mut shard, 7, RouteClass::Page, navigation()) else {
            panic!("full")
        };
        let Ruling::Waiting(mut member) = admit(&mut shard, 8, RouteClass::Page, known) else { panic!("full") };
        drop(held.into_iter().next());
        let mut called = Vec::new();
        shard.called(Tick(2), |ticket| called.push(ticket));
        assert_eq!(called, [member.ticket(), stranger.ticket()]);
        assert!(matches!(shard.claim(&mut member, Tick(2)), Claim::Go(_)));
        assert!(matches!(shard.claim(&mut stranger, Tick(2)), Claim::Go(_)));
        assert!(matches!(shard.claim(&mut stranger, Tick(2)), Claim::Give(Ruling::Refused(..))), "told once");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Without orders that bound anything, everybody is admitted at once, whoever they are and however many.
        #[test]
        fn in_calm_nobody_waits(asks in prop::collection::vec((any::<u16>(), 0..9usize, any::<bool>()), 1..200)) {
            let node = Arc::new(Node::new(&Limits { rate_keys: 64, ..Limits::DEFAULT }, [3, 4]));
            let mut shard = shard(&node, PlatformOrders::default());
            let mut held = Vec::new();
            for (visitor, class, person) in asks {
                let sight = if person { navigation() } else { Sight::default() };
                let ruling = shard.admit(&ask(u32::from(visitor), RouteClass::ALL[class], sight), Tick(1));
                prop_assert_eq!(name(&ruling), "admitted");
                held.push(ruling);
            }
            let flow = node.flow("public");
            prop_assert_eq!(flow.under_way() as usize, held.len());
            drop(held);
            prop_assert_eq!(flow.under_way(), 0);
        }
    }
}
