//! Nothing allocates while requests are looked at, decided, counted and harvested, whatever they claim and whatever is in
//! force.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use portcullis_engine::{
    Action, AdmissionOrders, Admitted, Ask, Attribute, Attributes, Business, Claim, Concurrency, Declaration, Declared,
    List, Literal, LiveRule, Matched, Node, Orders, Outcome, Platform, PlatformOrders, Posture, Rate, Recorder,
    RoomOrders, Route, RuleId, Ruling, Senses, Shard, Sight, Step, TokenText, Trust, Vouched, Waiting,
};
use portcullis_types::{ClientAddr, Limits, ListAction, Mode, Prefix, RateKey, Reason, RouteClass, Tick};

fn ask<'a>(number: u32, sight: Sight<'a>) -> Ask<'a> {
    let client = ClientAddr::new(Ipv4Addr::from_bits(number.wrapping_mul(0x9E37_79B1)).into());
    let class = if number.is_multiple_of(3) { RouteClass::Asset } else { RouteClass::Page };
    Ask { client, platform: 0, route: 1, class, session: None, api_key: None, sight, wall: 0 }
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn looking_counting_and_harvesting_allocate_nothing() {
    let senses = Senses::with_room([1, 2], 1 << 12);
    let mut recorder = Recorder::new(&[3], 7, Tick::ZERO);
    let long = "x7".repeat(3000);
    let rule =
        LiveRule { id: RuleId(1), literals: Default::default(), action: Action::Challenge, share: 100, hold_out: 20 };
    let texts: Vec<String> = (0..1000).map(|number| format!("q{number}=climate&page={number}&{long}")).collect();
    let counted = measure(|| {
        for number in 0..50_000 {
            let text = texts[number as usize % texts.len()].as_bytes();
            let sight = Sight {
                method: b"GET",
                path: text,
                query: Some(text),
                host: b"example.org",
                agent: Some(text),
                referer: Some(b"https://example.org/"),
                accept: Some(b"text/html"),
                language: Some(text),
                order: u64::from(number),
                tls: Some(text),
                ..Sight::default()
            };
            let now = Tick::from_millis(u64::from(number));
            let seen = senses.perceive(&ask(number % 20_000, sight), Trust::Fresh, 0, now);
            recorder.arrived(&seen, &sight, 1, senses.expected_cost_us(0, 1));
            recorder.queued(&seen);
            recorder.admitted(&seen, Duration::from_millis(1));
            recorder.matched(&seen, 0, &rule, Matched::Challenged, 5);
            recorder.passed(&seen, 0);
            let business = Business::Failed;
            let outcome = Outcome { status: 200, bytes: 1000, origin: 1_000_000, failed: false, business };
            senses.finished(&seen, &outcome, now);
            senses.cookie_came_back(&seen);
            recorder.completed(&seen, &outcome, 5);
            let _ = (senses.known(seen.visitor, now), senses.crowd_behind(seen.client, now));
            // More rows than there is room for, and a harvest at every turn.
            if number % 10_000 == 0 {
                let harvest = recorder.take(now);
                recorder.recycle(harvest);
            }
        }
    });
    assert_eq!(counted.count_total, 0);
}

/// Unix milliseconds.
const WALL: u64 = 1_795_319_000_000;
const PARTNER: &[u8] = b"sesame";
/// SHA-256 of it.
const DIGEST: [u8; 32] = [
    0xd0, 0xc0, 0x4f, 0x4b, 0x19, 0x51, 0xe4, 0xae, 0xaa, 0xec, 0x82, 0x23, 0xed, 0x20, 0x39, 0xe5, 0x42, 0xf3, 0xaa,
    0xe8, 0x05, 0xa6, 0xfa, 0x7f, 0x6d, 0x79, 0x4e, 0x5a, 0xff, 0xf5, 0xd2, 0x72,
];

/// What became of requests, so that it is seen that all of it came about.
#[derive(Debug, Default)]
struct Ends {
    admitted: u32,
    granted: u32,
    queued: u32,
    went: u32,
    waited_in_vain: u32,
    challenged: u32,
    roomed: u32,
    /// By reason.
    refused: Vec<u32>,
}

impl Ends {
    fn new() -> Self {
        Self { refused: vec![0; Reason::ALL.len()], ..Self::default() }
    }

    fn refused(&self, reason: Reason) -> u32 {
        self.refused[reason.index()]
    }
}

/// A worker, what it holds, and who comes.
struct Trial {
    shard: Shard,
    tokens: Vec<TokenText>,
    under_way: VecDeque<Admitted>,
    waiting: VecDeque<Waiting>,
    ends: Ends,
    number: u32,
    /// When one in so many requests comes, the platform ends one.
    carried: u32,
    /// Twice as many addresses as come again and again.
    known: u32,
    /// Nanoseconds since the first request.
    at: u64,
}

impl Trial {
    fn new() -> Self {
        let node = Arc::new(Node::new(&Limits { rate_keys: 1 << 12, ..Limits::DEFAULT }, [1, 2]));
        let list = |name: &str, action, mode, prefix| List {
            name: name.to_owned(),
            action,
            mode,
            prefixes: vec![Prefix::parse(prefix).expect(prefix)],
        };
        let rate = |key, mode| Rate { key, per_second: 20.0, burst: 40, mode };
        let at_once = |class, limit, mode| Concurrency { class, limit, mode };
        let route = |class| Route {
            path: format!("/{class}"),
            class,
            challenge: true,
            rates: vec![rate(RateKey::Address, Mode::Enforce), rate(RateKey::Session, Mode::Observe)],
        };
        let declaration = Declaration {
            lists: vec![
                list("office", ListAction::Allow, Mode::Enforce, "10.0.0.0/12"),
                list("scanners", ListAction::Deny, Mode::Enforce, "10.0.0.0/8"),
                list("maybe", ListAction::Deny, Mode::Observe, "11.0.0.0/8"),
            ],
            platforms: vec![Platform {
                name: "public".to_owned(),
                concurrency: vec![
                    at_once(None, 10_000, Mode::Enforce),
                    at_once(Some(RouteClass::Search), 1, Mode::Observe),
                ],
                routes: CLASSES.map(route).into(),
            }],
            vouched: vec![Vouched {
                name: "union".to_owned(),
                trust: Trust::Partner,
                api_key_hash: Some(DIGEST),
                per_second: 50.0,
                burst: 10,
                concurrency: 8,
                ..Vouched::default()
            }],
        };
        let declared = Arc::new(Declared::compile(&declaration, &node));
        let tokens = node.tokens();
        let binding = tokens.binding(&sight(0, b"", None));
        let texts = (0..64).map(|id| match id % 3 {
            0 => tokens.history(20_000, 9, id + 1, WALL - 90_000_000),
            1 => tokens.passed(Step::Puzzle, binding, id + 1, WALL),
            _ => tokens.ticket(WALL - 60_000 + id * 1000, id + 1, WALL),
        });
        Self {
            tokens: texts.collect(),
            shard: Shard::new(node, declared, 7),
            under_way: VecDeque::with_capacity(4096),
            waiting: VecDeque::with_capacity(2048),
            ends: Ends::new(),
            number: 0,
            carried: 1,
            known: 3000,
            at: 0,
        }
    }

    fn obey(&mut self, orders: PlatformOrders) {
        self.shard.obey(Arc::new(Orders { revision: 1, platforms: vec![orders] }));
        self.ends = Ends::new();
    }

    /// So many requests, what became of them, and how often all that allocated.
    fn play(&mut self, requests: u32, per_second: u32) -> u64 {
        let texts: Vec<String> = (0..500).map(|number| format!("/{number}/a8f{number}k&q=x7{number}")).collect();
        measure(|| (0..requests).for_each(|_| self.request(&texts, per_second))).count_total
    }

    fn request(&mut self, texts: &[String], per_second: u32) {
        self.number += 1;
        let number = self.number;
        self.at += 1_000_000_000 / u64::from(per_second);
        let (now, wall) = (Tick(1_000_000_000 + self.at), WALL + self.at / 1_000_000);
        // One half comes from few addresses, the other from addresses that were never seen.
        let client = if number.is_multiple_of(2) { number % self.known } else { number }.wrapping_mul(0x9E37_79B1);
        let text = texts[number as usize % texts.len()].as_bytes();
        let token = self.tokens.get(number as usize % 100).map(AsRef::as_ref);
        let place = number as usize % CLASSES.len();
        let ask = Ask {
            client: ClientAddr::new(Ipv4Addr::from_bits(client).into()),
            platform: 0,
            route: place,
            class: CLASSES[place],
            session: number.is_multiple_of(5).then_some(text),
            api_key: number.is_multiple_of(7).then_some(if number.is_multiple_of(2) { PARTNER } else { b"guess" }),
            sight: sight(number, text, token),
            wall,
        };
        match self.shard.admit(&ask, now) {
            Ruling::Admitted(admitted) => {
                self.ends.admitted += 1;
                self.ends.granted += u32::from(admitted.grant().is_some());
                self.under_way.push_back(admitted);
            }
            Ruling::Waiting(waiting) => {
                self.ends.queued += 1;
                self.waiting.push_back(waiting);
            }
            ruling => self.give(&ruling, now),
        }
        if let Some(admitted) = self.under_way.pop_front_if(|_| number.is_multiple_of(self.carried)) {
            let seen = *admitted.seen();
            drop(admitted);
            let business = if number.is_multiple_of(9) { Business::Failed } else { Business::Nothing };
            let outcome = Outcome { status: 200, bytes: 5000, origin: 3_000_000, failed: false, business };
            self.shard.account(&seen, &outcome, now);
        }
        self.shard.called(now, |_| {});
        // Whoever was asked for the longest asks for its turn, or goes away.
        if let Some(mut waiting) = self.waiting.pop_front() {
            match self.shard.claim(&mut waiting, now) {
                Claim::Go(admitted) => {
                    self.ends.went += 1;
                    self.under_way.push_back(admitted);
                }
                Claim::Stay if self.waiting.len() < 1000 => self.waiting.push_back(waiting),
                Claim::Stay => self.shard.leave(waiting),
                Claim::Give(ruling) => {
                    self.ends.waited_in_vain += 1;
                    self.give(&ruling, now);
                }
            }
        }
        if number.is_multiple_of(1000) {
            let harvest = self.shard.harvest(now);
            self.shard.recycle(harvest);
        }
    }

    fn give(&mut self, ruling: &Ruling, now: Tick) {
        match ruling {
            Ruling::Challenge(challenge) => {
                self.ends.challenged += 1;
                self.shard.challenge_passed(&challenge.seen, now);
            }
            Ruling::Room(_) => self.ends.roomed += 1,
            Ruling::Refused(refusal, _) => self.ends.refused[refusal.reason.index()] += 1,
            Ruling::Admitted(_) | Ruling::Waiting(_) => {}
        }
    }
}

const CLASSES: [RouteClass; 4] = [RouteClass::Page, RouteClass::Asset, RouteClass::Search, RouteClass::Login];

fn sight<'a>(number: u32, text: &'a [u8], token: Option<&'a [u8]>) -> Sight<'a> {
    Sight {
        method: if number.is_multiple_of(11) { b"POST" } else { b"GET" },
        path: text,
        query: Some(text),
        host: b"example.org",
        agent: Some(b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        referer: Some(b"https://example.org/"),
        accept: Some(b"text/html"),
        tls: Some(b"t13d1516h2_8daaf6152771_02713d6af862"),
        token,
        ticket: token,
        ..Sight::default()
    }
}

#[test]
fn no_decision_allocates_in_calm() {
    let mut trial = Trial::new();
    trial.obey(PlatformOrders::default());
    // A thousand seconds: long enough to earn a history.
    assert_eq!(trial.play(100_000, 100), 0);
    let ends = &trial.ends;
    assert!(ends.admitted > 50_000 && ends.granted > 0, "{ends:?}");
    assert!(ends.refused(Reason::DeniedAddress) > 0, "{ends:?}");
    assert_eq!(ends.queued + ends.challenged + ends.roomed, 0, "{ends:?}");
}

#[test]
fn no_decision_allocates_under_attack() {
    let mut trial = Trial::new();
    let is = |attribute, value| Literal { attribute, value };
    let rule = |id: u32, class: u16, action, share| LiveRule {
        id: RuleId(id),
        literals: [
            is(Attribute::Endpoint, Attributes::endpoint(0, class)),
            is(Attribute::Evidence, id % 3),
            is(Attribute::Method, 1),
        ]
        .into_iter()
        .collect(),
        action,
        share,
        hold_out: 20,
    };
    let rules = |hard: bool| {
        let action = |id: u32| match id % 4 {
            0 => Action::Challenge,
            1 => Action::Deprioritise,
            _ if hard => Action::Close,
            _ => Action::Refuse,
        };
        let share = |id: u32| [100, 10, 0][id as usize % 3];
        (1..=32).map(|id| rule(id, (id % 4) as u16, action(id), share(id))).collect()
    };
    let full = AdmissionOrders { whole: 40, cut: 20, ..AdmissionOrders::default() };
    let orders =
        |admission, hard| PlatformOrders { posture: Posture::Attack, sample: 1, rules: rules(hard), admission };
    trial.carried = 4;
    trial.obey(orders(full, false));
    assert_eq!(trial.play(50_000, 20_000), 0, "the queue is full");
    let ends = &trial.ends;
    assert!(ends.admitted > 0 && ends.queued > 0 && ends.went > 0 && ends.waited_in_vain > 0, "{ends:?}");
    assert!(ends.challenged > 0 && ends.refused(Reason::Overloaded) > 0, "{ends:?}");
    assert!(ends.refused(Reason::RuleRefused) > 0 && ends.refused(Reason::DeniedAddress) > 0, "{ends:?}");
    let room = RoomOrders { admitted_until: WALL - 30_000, speed: 0.5 };
    trial.obey(orders(AdmissionOrders { room: Some(room), ..full }, true));
    assert_eq!(trial.play(50_000, 20_000), 0, "the waiting room is open");
    let ends = &trial.ends;
    assert!(ends.roomed > 0 && ends.admitted > 0 && ends.refused(Reason::RuleClosed) > 0, "{ends:?}");
    (trial.carried, trial.known) = (1, 200);
    trial.obey(orders(AdmissionOrders::default(), false));
    assert_eq!(trial.play(50_000, 100_000), 0, "too fast for the declared rates");
    assert!(trial.ends.refused(Reason::RateLimited) > 0, "{:?}", trial.ends);
}
