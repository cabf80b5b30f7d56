//! Whole lives of rules, in a small world: people with sessions, attackers, and a step every 100 ms.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::senses::sight::{ATTRIBUTES, Attributes};

const SEARCH: u32 = 9;
const LOGIN: u32 = 5;

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn of(&mut self, sides: u32) -> u32 {
        (self.next() >> 32) as u32 % sides
    }
}

#[derive(Clone, Copy)]
struct Person {
    stack: u32,
    network: u32,
    first: Tick,
    requests: u32,
    /// Milliseconds until its evidence shows; none for who never shows any.
    shows: Option<u64>,
    token: u32,
}

struct World {
    rules: Rules,
    settings: Settings,
    dice: Dice,
    now: Tick,
    next: u32,
    people: BTreeMap<u64, Person>,
    session: Vec<u64>,
    crowd: Vec<u64>,
    baseline: Vec<Row>,
    protected: Vec<Row>,
    outcomes: Vec<OutcomeRow>,
    live: Vec<LiveRule>,
    tallies: Vec<RuleTally>,
    acts: Vec<Act>,
    stress: bool,
    business: bool,
    /// Whether a challenge reaches what the attack asks for.
    reach: bool,
    /// Of people: requests that a rule in force refused or challenged.
    harmed: u32,
    /// Of the attack: requests, and those that nothing stopped, in the last step.
    attacked: u32,
    leaked: u32,
    most_live: usize,
    last: RulesOutcome,
}

/// What comes beside the ordinary visitors in one step.
type Extra<'a> = &'a dyn Fn(&mut World) -> Vec<Row>;

const NOTHING: Extra<'static> = &|_| Vec::new();
/// Ordinary requests of one step.
const ORDINARY: usize = 50;

impl World {
    /// After twelve seconds of calm.
    fn calm(seed: u64) -> Self {
        let mut world = Self {
            rules: Rules::new(seed),
            settings: Settings::default(),
            dice: Dice(seed | 1),
            now: Tick::from_millis(1000),
            next: 80,
            people: BTreeMap::new(),
            session: Vec::new(),
            crowd: Vec::new(),
            baseline: Vec::new(),
            protected: Vec::new(),
            outcomes: Vec::new(),
            live: Vec::new(),
            tallies: Vec::new(),
            acts: Vec::new(),
            stress: false,
            business: false,
            reach: true,
            harmed: 0,
            attacked: 0,
            leaked: 0,
            most_live: 0,
            last: RulesOutcome::default(),
        };
        for _ in 0..60 {
            let person = world.person();
            world.session.push(person);
        }
        let mut baseline = Vec::new();
        for _ in 0..120 {
            let rows = world.ordinary();
            baseline.extend(rows.iter().copied());
            world.step_with(rows, Posture::Normal);
        }
        world.protected = baseline.iter().filter(|row| row.attributes.get(Attribute::Token) != 0).copied().collect();
        world.baseline = baseline;
        world
    }

    fn person(&mut self) -> u64 {
        let visitor = self.dice.next();
        let person = Person {
            stack: 1 + self.dice.of(8).min(self.dice.of(8)),
            network: 1000 + self.dice.of(3000),
            first: self.now,
            requests: 0,
            shows: (self.dice.of(100) < 80).then(|| 200 + u64::from(self.dice.of(700))),
            token: if self.dice.of(5) == 0 { 4 } else { 0 },
        };
        self.people.insert(visitor, person);
        visitor
    }

    /// One request of a person.
    fn request(&mut self, visitor: u64, endpoint: u32) -> Row {
        let now = self.now;
        let person = self.people.get_mut(&visitor).expect("a person");
        person.requests += 1;
        let person = *person;
        let agent = 100 + person.stack * 4 + (visitor % 4) as u32;
        let shown = person.shows.is_some_and(|after| now.since(person.first) >= Duration::from_millis(after));
        row(
            visitor,
            &[
                (Attribute::Endpoint, endpoint),
                (Attribute::Path, endpoint * 100 + self.dice.of(10)),
                (Attribute::Method, 1),
                (Attribute::Tls, person.stack),
                (Attribute::Order, 20 + person.stack),
                (Attribute::Agent, agent),
                (Attribute::Family, 50 + person.stack),
                (Attribute::Network, person.network),
                (Attribute::Token, person.token),
                (Attribute::Evidence, u32::from(shown)),
                (Attribute::Referer, self.dice.of(3)),
            ],
            if endpoint == SEARCH { 80_000 } else { 4000 },
        )
    }

    fn ordinary(&mut self) -> Vec<Row> {
        (0..ORDINARY)
            .map(|_| {
                let seat = self.dice.of(60) as usize;
                if self.dice.of(20) == 0 {
                    self.session[seat] = self.person();
                }
                let endpoint = 1 + self.dice.of(12).min(self.dice.of(12));
                self.request(self.session[seat], endpoint)
            })
            .collect()
    }

    fn step(&mut self, extra: Extra<'_>) {
        let mut rows = self.ordinary();
        let more = extra(self);
        self.attacked = more.len() as u32;
        rows.extend(more);
        let posture = if self.now.0 == 0 { Posture::Normal } else { Posture::Elevated };
        self.step_with(rows, posture);
    }

    fn step_with(&mut self, rows: Vec<Row>, posture: Posture) {
        self.now = self.now.after(Duration::from_millis(100));
        let now = self.now;
        // Attackers are whom nobody knows as a person.
        for row in &rows {
            self.people.entry(row.visitor).or_insert(Person {
                stack: 0,
                network: 0,
                first: now,
                requests: 0,
                shows: None,
                token: 0,
            });
        }
        let people = RefCell::new(std::mem::take(&mut self.people));
        let known = |visitor: u64| {
            people.borrow().get(&visitor).map_or_else(Known::default, |person| {
                let age = now.since(person.first);
                let evidence = u8::from(person.shows.is_some_and(|after| age >= Duration::from_millis(after)));
                Known { evidence, age, requests: person.requests, ..Known::default() }
            })
        };
        self.tally(&rows, &known);
        let busy = rows.len() as f64 > 1.5 * ORDINARY as f64;
        let calm = self.baseline.is_empty();
        self.last = self.rules.step(
            &Situation {
                now,
                wall: now.0 / 1_000_000,
                platform: "shop",
                posture,
                rate: busy && !calm,
                stress: self.stress,
                business: self.business,
                expected_rate: ORDINARY as f64 * 10.0,
                expected_cost: ORDINARY as f64 * 10.0 * 8000.0,
                queue_ms: if self.stress { 84.0 } else { 0.0 },
                fresh: &rows,
                fresh_seen: rows.len() as u64,
                outcomes: &self.outcomes,
                tallies: &self.tallies,
                baseline: &self.baseline,
                protected: &self.protected,
                baseline_outcomes: &[],
                portraits: &[],
                known: &known,
                settings: &self.settings,
            },
            &mut self.next,
        );
        self.live = self.last.live.clone();
        self.most_live = self.most_live.max(self.live.len());
        self.acts.append(&mut self.last.acts);
        self.people = people.into_inner();
    }

    /// What shards do with the rules.
    fn tally(&mut self, rows: &[Row], known: &dyn Fn(u64) -> Known) {
        let mut tallies: BTreeMap<u32, RuleTally> = BTreeMap::new();
        self.leaked = 0;
        for (at, row) in rows.iter().enumerate() {
            let attack = at >= ORDINARY;
            let Some(rule) = self.live.iter().find(|rule| rule.matches(&row.attributes)) else {
                self.leaked += u32::from(attack);
                continue;
            };
            let tally = tallies.entry(rule.id.0).or_insert(RuleTally { id: rule.id.0, ..RuleTally::default() });
            tally.matched += 1;
            tally.cost_us += u64::from(row.cost_us);
            tally.human += u32::from(known(row.visitor).evidence > 0);
            if ![0, OVERDRAWN].contains(&row.attributes.get(Attribute::Token)) {
                tally.protected += 1;
                continue;
            }
            if row.visitor % 1000 < u64::from(rule.hold_out) {
                tally.held_out += 1;
            } else if row.visitor / 1000 % 100 < u64::from(rule.share) {
                tally.acted += 1;
                let challenge = rule.action == Action::Challenge;
                tally.challenged += u32::from(challenge && self.reach);
                let stops = rule.action > Action::Deprioritise && (self.reach || !challenge);
                self.harmed += u32::from(stops && !attack);
                self.leaked += u32::from(attack && !stops);
                continue;
            }
            self.leaked += u32::from(attack);
        }
        self.tallies = tallies.into_values().collect();
    }

    /// Steps until something holds; how many milliseconds that took.
    fn until(&mut self, most: u64, extra: Extra<'_>, mut holds: impl FnMut(&Self) -> bool) -> Option<u64> {
        let from = self.now;
        while self.now.since(from) < Duration::from_millis(most) {
            self.step(extra);
            if holds(self) {
                return Some(self.now.since(from).as_millis() as u64);
            }
        }
        None
    }

    fn run(&mut self, millis: u64, extra: Extra<'_>) {
        self.until(millis, extra, |_| false);
    }

    fn blocks(&self) -> bool {
        self.live.iter().any(|rule| rule.share > 0 && rule.action > Action::Deprioritise)
    }

    fn count(&self, kind: &str) -> usize {
        self.acts.iter().filter(|act| act.kind == kind).count()
    }

    fn words(&self) -> String {
        self.acts.iter().map(|act| act.words.as_str()).collect::<Vec<_>>().join("\n")
    }
}

fn row(visitor: u64, values: &[(Attribute, u32)], cost_us: u32) -> Row {
    let mut attributes = Attributes([0; ATTRIBUTES]);
    for (attribute, value) in values {
        attributes.0[attribute.index()] = *value;
    }
    Row { attributes, visitor, cost_us }
}

/// One stack that nobody has, from a hundred addresses.
fn flood(world: &mut World, stack: u32, visitors: u32) -> Vec<Row> {
    (0..400)
        .map(|_| {
            let visitor = u64::from(stack) << 32 | u64::from(world.dice.of(visitors));
            let (agent, network) = (100 + world.dice.of(30), 9000 + world.dice.of(2000));
            row(
                visitor,
                &[
                    (Attribute::Endpoint, 1),
                    (Attribute::Method, 1),
                    (Attribute::Tls, stack),
                    (Attribute::Agent, agent),
                    (Attribute::Network, network),
                ],
                4000,
            )
        })
        .collect()
}

fn plain(world: &mut World) -> Vec<Row> {
    flood(world, 0xbad, 100)
}

fn one_each(world: &mut World) -> Vec<Row> {
    let step = (world.now.0 / 100_000_000) as u32;
    let mut rows = flood(world, 0xbad, 1 << 30);
    for (at, row) in rows.iter_mut().enumerate() {
        row.visitor = u64::from(step) << 40 | at as u64;
    }
    rows
}

/// Ten times as many people as usual want one page, most of them for the first time.
fn crowd(world: &mut World) -> Vec<Row> {
    while world.crowd.len() < 400 {
        let person = world.person();
        world.crowd.push(person);
    }
    (0..400)
        .map(|_| {
            let seat = world.dice.of(400) as usize;
            if world.dice.of(8) == 0 {
                world.crowd[seat] = world.person();
            }
            let mut row = world.request(world.crowd[seat], 1);
            row.attributes.0[Attribute::Path.index()] = 177;
            row.attributes.0[Attribute::Referer.index()] = 2;
            row.attributes.0[Attribute::Language.index()] = 7;
            row
        })
        .collect()
}

#[test]
fn a_flood_meets_its_rule_within_a_second_and_nobody_else_does() {
    let mut world = World::calm(3);
    let took = world.until(1000, &plain, World::blocks).expect("within a second");
    assert!(took <= 900, "{took} ms");
    world.run(1000, &plain);
    assert!(world.leaked * 20 <= world.attacked, "{} of {} leak", world.leaked, world.attacked);
    world.run(5000, &plain);
    assert_eq!(world.harmed, 0, "{}", world.words());
    assert!(world.last.contrast && world.last.explained > 0.6);
    assert_eq!((world.count("rule-reverted"), world.count("rule-vetoed")), (0, 0), "{}", world.words());
    assert!(world.most_live <= LIVE);
    // It ends.
    let relaxed = world.until(60_000, NOTHING, |world| world.count("rule-relaxed") > 0).expect("relaxed");
    assert!(relaxed <= 60_000);
    world.run(30_000, NOTHING);
    assert_eq!(world.live, [], "{}", world.words());
    // It comes back.
    let again = world.until(1000, &plain, World::blocks).expect("re-armed");
    assert!(again <= 200, "{again} ms");
    assert_eq!(world.count("rule-rearmed"), 1);
}

#[test]
fn one_request_per_address_is_put_behind_at_once_and_stopped_within_three_seconds() {
    let mut world = World::calm(5);
    let behind = |world: &World| world.live.iter().any(|rule| rule.share > 0);
    let took = world.until(1500, &one_each, behind).expect("behind");
    assert!(took <= 1000, "{took} ms");
    let took = world.until(3000, &one_each, World::blocks).expect("stopped");
    assert!(took <= 2000, "{took} ms");
    world.run(5000, &one_each);
    assert_eq!(world.harmed, 0, "{}", world.words());
}

#[test]
fn a_crowd_is_never_stopped_because_people_veto() {
    let run = |veto: bool, seed: u64| {
        let mut world = World::calm(seed);
        world.settings.switches.veto = veto;
        world.stress = true;
        let mut blocked = 0;
        for _ in 0..60 {
            world.step(&crowd);
            blocked += u32::from(world.blocks());
        }
        (blocked, world.words())
    };
    for seed in [7, 8] {
        let (blocked, words) = run(true, seed);
        assert_eq!(blocked, 0, "{words}");
    }
    assert!((7..10).any(|seed| run(false, seed).0 > 0), "the canary: without the veto, rules would touch the crowd");
}

#[test]
fn a_flood_within_a_crowd_is_told_apart() {
    let both: Extra<'_> = &|world| {
        let mut rows = crowd(world);
        rows.extend(plain(world));
        rows
    };
    let mut world = World::calm(11);
    world.run(5000, &crowd);
    assert!(!world.blocks(), "{}", world.words());
    let took = world.until(4000, both, World::blocks);
    assert!(took.is_some(), "{}", world.words());
    world.run(3000, both);
    // The crowd stands behind the ordinary rows: what is stopped is the flood alone.
    let literals: Vec<Literal> =
        world.live.iter().filter(|rule| rule.share > 0).flat_map(|rule| rule.literals.clone()).collect();
    assert!(literals.contains(&Literal { attribute: Attribute::Tls, value: 0xbad }), "{}", world.words());
    assert_eq!(world.harmed, 0);
}

#[test]
fn who_behaves_like_people_is_left_to_admission() {
    let mimic: Extra<'_> = &|world| {
        let mut rows = Vec::new();
        for _ in 0..400 {
            let visitor = world.person();
            let mut row = world.request(visitor, SEARCH);
            row.attributes.0[Attribute::Token.index()] = 0;
            row.attributes.0[Attribute::Tls.index()] = 0xbad;
            rows.push(row);
        }
        rows
    };
    let mut world = World::calm(13);
    world.stress = true;
    world.run(10_000, mimic);
    assert!(!world.blocks(), "{}", world.words());
    assert!(world.count("rule-vetoed") > 0, "{}", world.words());
}

#[test]
fn a_token_in_too_many_hands_is_stopped_and_its_holder_within_the_budget_is_not() {
    // All of them behave like people: only what the token asks for tells.
    let run = |token: u32| {
        let mut world = World::calm(15);
        world.stress = true;
        let attack = move |world: &mut World| {
            let mut rows = Vec::new();
            for _ in 0..400 {
                let visitor = world.person();
                world.people.get_mut(&visitor).expect("a person").shows = Some(0);
                let mut row = world.request(visitor, SEARCH);
                row.attributes.0[Attribute::Token.index()] = token;
                rows.push(row);
            }
            rows
        };
        (world.until(3000, &attack, World::blocks), world.words())
    };
    let (took, words) = run(OVERDRAWN);
    assert!(took.is_some() && words.contains("a token beyond its budget"), "{words}");
    let (took, words) = run(4);
    assert_eq!(took, None, "{words}");
}

#[test]
fn an_operator_has_the_last_word() {
    let mut world = World::calm(17);
    world.until(2000, &plain, World::blocks).expect("enforced");
    let id = world.live.first().expect("a rule").id;
    assert!(world.rules.has(id) && !world.rules.has(RuleId(7)));
    let act = world.rules.undo(id, "shop", world.now, world.now.0 / 1_000_000).expect("known");
    assert!(act.words.contains("An operator undid rule"), "{}", act.words);
    world.step(&plain);
    assert!(!world.blocks());
    let stopped = world.until(20_000, &plain, World::blocks);
    assert_eq!(stopped, None, "nothing like it for an hour: {}", world.words());
    world.now = world.now.after(Duration::from_secs(3700));
    assert!(world.until(2000, &plain, World::blocks).is_some(), "then it is proposed again");

    let id = world.live.first().expect("a rule").id;
    world.rules.pin(id, "shop", world.now).expect("known");
    world.run(100_000, NOTHING);
    assert!(world.live.iter().any(|rule| rule.id == id && rule.share == 100), "a pinned rule stays");
}

#[test]
fn a_wave_finds_its_rule_in_place() {
    let mut world = World::calm(19);
    for wave in 0..4 {
        let took = world.until(10_000, &plain, World::blocks).expect("stopped");
        assert!(wave == 0 || took <= 200, "wave {wave}: {took} ms\n{}", world.words());
        world.run(10_000 - took, &plain);
        world.run(50_000, NOTHING);
    }
    assert!(world.count("rule-rearmed") <= 2, "no flapping: {}", world.words());
    assert_eq!(world.harmed, 0);
}

#[test]
fn whoever_goes_on_under_another_name_is_not_waited_for() {
    let as_tool = |stack: u32| {
        move |world: &mut World| {
            let mut rows = one_each(world);
            for row in &mut rows {
                row.attributes.0[Attribute::Tls.index()] = stack;
            }
            rows
        }
    };
    let stopped = |world: &World| world.leaked * 10 < world.attacked;
    let mut world = World::calm(61);
    let first = world.until(4000, &as_tool(0xbad), stopped).expect("stopped");
    world.run(10_000, &as_tool(0xbad));
    let second = world.until(4000, &as_tool(0xbae), stopped).expect("stopped");
    assert!(first > 1000 && second <= 700, "{first} ms, then {second} ms: {}", world.words());
    // The same while the first goes on is no change of names.
    let both = |world: &mut World| [as_tool(0xbae)(world), as_tool(0xbaf)(world)].concat();
    let third = world.until(4000, &both, stopped).expect("stopped");
    assert!(third > 1000, "{third} ms: {}", world.words());
}

#[test]
fn what_a_challenge_no_longer_reaches_is_refused_however_long_it_did() {
    let mut world = World::calm(67);
    world.run(60_000, &plain);
    assert!(world.live.iter().any(|rule| rule.action == Action::Challenge), "{}", world.words());
    world.reach = false;
    let took = world.until(5000, &plain, |world| world.leaked * 10 < world.attacked);
    assert!(took.is_some_and(|took| took <= 1500), "{took:?}: {}", world.words());
}

/// Some of the flood was there on ordinary days, more than may be refused and fewer than may be challenged.
fn poisoned(seed: u64, people: bool) -> World {
    let mut world = World::calm(seed);
    world.reach = false;
    let from = world.now;
    for (place, mut row) in plain(&mut world).into_iter().take(18).enumerate() {
        row.visitor = 0xbad << 32 | (1000 + place as u64);
        let shows = people.then_some(0);
        let person = Person { stack: 0, network: 0, first: from, requests: 3, shows, token: 0 };
        world.people.insert(row.visitor, person);
        world.baseline.push(row);
    }
    world.run(2000, NOTHING);
    world
}

#[test]
fn what_crept_in_to_pass_for_ordinary_is_refused_unless_people_came_with_it() {
    let refuses = |world: &World| world.live.iter().any(|rule| rule.share > 0 && rule.action >= Action::Refuse);
    let mut world = poisoned(71, false);
    let took = world.until(4000, &plain, refuses);
    assert!(took.is_some(), "{}", world.words());
    assert!(world.words().contains("do not behave like people either"), "{}", world.words());
    let mut world = poisoned(71, true);
    let took = world.until(20_000, &plain, refuses);
    assert!(took.is_none(), "{}", world.words());
}

#[test]
fn a_rule_that_stops_nothing_makes_way_for_a_better_one() {
    let mut world = poisoned(73, true);
    world.run(10_000, &plain);
    assert!(world.leaked > 0, "it may only be challenged, and that does not reach it: {}", world.words());
    // The same with headers in an order that nobody has.
    let telling = |world: &mut World| {
        let mut rows = plain(world);
        rows.iter_mut().for_each(|row| row.attributes.0[Attribute::Order.index()] = 0xabc);
        rows
    };
    let took = world.until(5000, &telling, |world| world.leaked * 10 < world.attacked);
    assert!(took.is_some(), "{}", world.words());
    assert_eq!(world.harmed, 0);
}

#[test]
fn once_its_effect_is_known_a_rule_holds_out_now_and_then() {
    let mut world = World::calm(79);
    let many = |world: &mut World| flood(world, 0xbad, 2000);
    world.run(30_000, &many);
    let (mut held, mut steps) = (0, 0);
    world.until(60_000, &many, |world| {
        held += u32::from(world.live.iter().any(|rule| rule.hold_out > 0));
        steps += 1;
        false
    });
    assert!((1..=steps / 10).contains(&held), "{held} of {steps} steps");
}

#[test]
fn however_often_the_attack_changes_there_are_four_rules_at_most() {
    let mut world = World::calm(23);
    for vector in 0..5_u32 {
        let attack = move |world: &mut World| flood(world, 0xbad0 + vector, 100);
        let took = world.until(3000, &attack, |world| world.attacked > 0 && world.leaked * 10 < world.attacked);
        assert!(took.is_some(), "vector {vector}: {}", world.words());
        world.run(25_000, &attack);
    }
    assert!(world.most_live <= LIVE, "{} live", world.most_live);
    assert_eq!(world.harmed, 0);
}

#[test]
fn a_visitor_who_has_shown_who_they_are_narrows_a_rule_at_once() {
    let mut world = World::calm(29);
    world.until(2000, &plain, World::blocks).expect("enforced");
    let rule = &mut world.rules.live[0];
    rule.pattern.retain(|literal| literal.attribute != Attribute::Token);
    let holder: Extra<'_> = &|world| {
        let mut rows = plain(world);
        rows[0].attributes.0[Attribute::Token.index()] = 4;
        rows
    };
    world.step(NOTHING);
    world.step(holder);
    world.step(holder);
    assert_eq!(world.count("rule-narrowed"), 1, "{}", world.words());
    assert!(world.blocks(), "the others are still stopped");
}

#[test]
fn in_watch_only_nobody_is_touched() {
    let mut world = World::calm(31);
    world.settings.watch_only = true;
    world.run(10_000, &plain);
    assert!(world.live.iter().all(|rule| rule.share == 0));
    assert!(world.count("rule-proposed") > 0 && world.count("rule-enforced") == 0);
}

#[test]
fn switched_off_parts_show() {
    for name in ["mining", "contrast"] {
        let mut world = World::calm(37);
        *world.settings.switches.by_name(name).expect("a switch") = false;
        world.run(5000, &plain);
        assert!(!world.blocks(), "{name}");
    }
    let mut world = World::calm(37);
    world.settings.switches.hold_out = false;
    world.until(2000, &plain, World::blocks).expect("enforced");
    assert!(world.live.iter().all(|rule| rule.hold_out == 0));
}

#[test]
fn without_ordinary_days_a_rule_only_puts_behind() {
    let mut world = World::calm(41);
    world.baseline.truncate(500);
    world.run(6000, &plain);
    assert!(!world.blocks(), "{}", world.words());
    assert!(world.live.iter().any(|rule| rule.share > 0), "{}", world.words());
}

#[test]
fn a_rule_outlives_the_process() {
    let mut world = World::calm(43);
    world.until(2000, &plain, World::blocks).expect("enforced");
    let saved = world.rules.save(world.now.0 / 1_000_000);
    let id = world.live.first().expect("a rule").id;
    let mut other = World::calm(43);
    other.rules.restore(&saved, other.now.0 / 1_000_000, None);
    other.step(NOTHING);
    assert_eq!(other.live, []);
    let took = other.until(1000, &plain, World::blocks).expect("re-armed");
    assert!(took <= 200, "{took} ms");
    assert_eq!(other.live.first().map(|rule| rule.id), Some(id));
    let later = other.now.0 / 1_000_000 + 8 * 86_400_000;
    let mut late = Rules::new(1);
    late.restore(&saved, later, None);
    assert!(!late.has(id), "forgotten after a week");
    let mut soon = World::calm(43);
    soon.rules.restore(&saved, soon.now.0 / 1_000_000, Some(soon.now));
    soon.step(NOTHING);
    assert!(
        soon.blocks() && soon.live.first().map(|rule| rule.id) == Some(id),
        "minutes later it is in force as before"
    );
    soon.run(60_000, NOTHING);
    assert_eq!(soon.live, [], "and ends like any other");
}

#[test]
fn failing_logins_have_something_in_common_and_donors_have_not() {
    let outcome = |world: &mut World, bot: bool, business: Business| {
        let visitor = world.person();
        let mut row = world.request(visitor, LOGIN);
        if bot {
            row.attributes.0[Attribute::Token.index()] = 0;
            row.attributes.0[Attribute::Tls.index()] = 0xbad;
        }
        OutcomeRow { row, business }
    };
    let run = |bots_succeed: u32| {
        let mut world = World::calm(47);
        world.business = true;
        let before: Vec<OutcomeRow> = (0..1500)
            .map(|at| outcome(&mut world, false, if at % 8 == 0 { Business::Failed } else { Business::Done }))
            .collect();
        for _ in 0..300 {
            let mut now = Vec::new();
            for _ in 0..2 {
                now.push(outcome(&mut world, false, Business::Done));
                let works = world.dice.of(100) < bots_succeed;
                now.push(outcome(&mut world, true, if works { Business::Done } else { Business::Failed }));
            }
            world.outcomes = now;
            let mut rows = world.ordinary();
            rows.extend(world.outcomes.iter().map(|one| one.row));
            world.step_business(rows, &before);
        }
        (world.blocks(), world.words())
    };
    let (blocked, words) = run(1);
    assert!(blocked, "{words}");
    assert!(words.contains("logins, payments or codes fail"), "{words}");
    let (blocked, words) = run(70);
    assert!(!blocked, "an app of another make, whose users log in as others do: {words}");
}

impl World {
    fn step_business(&mut self, rows: Vec<Row>, before: &[OutcomeRow]) {
        self.now = self.now.after(Duration::from_millis(100));
        let known = |_: u64| Known::default();
        self.tally(&rows, &known);
        let outcome = self.rules.step(
            &Situation {
                now: self.now,
                wall: self.now.0 / 1_000_000,
                platform: "shop",
                posture: Posture::Elevated,
                rate: false,
                stress: false,
                business: true,
                expected_rate: 500.0,
                expected_cost: 3e6,
                queue_ms: 0.0,
                fresh: &rows,
                fresh_seen: rows.len() as u64,
                outcomes: &self.outcomes,
                tallies: &self.tallies,
                baseline: &self.baseline,
                protected: &self.protected,
                baseline_outcomes: before,
                portraits: &[],
                known: &known,
                settings: &self.settings,
            },
            &mut self.next,
        );
        self.live = outcome.live;
        self.acts.extend(outcome.acts);
    }
}

#[test]
fn an_act_reads_like_a_sentence() {
    let mut world = World::calm(53);
    world.stress = true;
    world.until(2000, &plain, World::blocks).expect("enforced");
    let act = world.acts.iter().find(|act| act.kind == "rule-enforced").expect("told");
    for part in
        ["Rule r-81 is enforced:", "Why: requests are", "no token", "With", "undo it: `portcullis rules undo r-81`."]
    {
        assert!(act.words.to_lowercase().contains(&part.to_lowercase()), "{part}: {}", act.words);
    }
    assert!(!act.words.contains("  ") && !act.words.contains(" ."), "{}", act.words);
    assert_eq!(act.undo, "portcullis rules undo r-81");
    assert!(act.facts.iter().any(|(name, value)| name == "baseline_rows" && value == "6000"), "{:?}", act.facts);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5))]

    /// Whatever comes, all rules together stay within the caps on ordinary traffic, and there are never too many.
    #[test]
    fn caps_hold_whatever_comes(seed in 1..u64::MAX, kinds in 1..5_u32, endpoint in 1..12_u32) {
        let mut world = World::calm(seed);
        world.stress = seed % 2 == 0;
        let attack = move |world: &mut World| -> Vec<Row> {
            let mut rows = Vec::new();
            for _ in 0..300 {
                let visitor = world.dice.next() % 4000 + (1 << 50);
                let stack = 1 + world.dice.of(kinds);
                let order = 20 + world.dice.of(8);
                rows.push(row(visitor, &[
                    (Attribute::Endpoint, endpoint),
                    (Attribute::Path, endpoint * 100 + world.dice.of(10)),
                    (Attribute::Method, 1 + world.dice.of(2)),
                    (Attribute::Tls, stack),
                    (Attribute::Order, order),
                    (Attribute::Agent, 100 + world.dice.of(40)),
                    (Attribute::Network, 1000 + world.dice.of(3000)),
                ], 4000));
            }
            rows
        };
        for _ in 0..40 {
            world.step(&attack);
            prop_assert!(world.live.len() <= LIVE);
            let hits = |hardest: Action| world.baseline.iter().filter(|row| {
                let acting = |rule: &&LiveRule| rule.share > 0 && rule.action >= hardest;
                world.live.iter().filter(acting).any(|rule| rule.matches(&row.attributes))
            }).count() as f64 / world.baseline.len() as f64;
            prop_assert!(hits(Action::Refuse) <= 0.001);
            prop_assert!(hits(Action::Challenge) <= 0.005);
            for rule in &world.live {
                prop_assert!(miner::may_become_rule(&rule.literals));
                prop_assert!(!world.protected.iter().any(|row| rule.matches(&row.attributes)));
            }
        }
    }
}
