//! Legitimate visitors: what they come for, what their programs send, and how they take what they meet.
//!
//! A browser that an attacker drives is one of them too, with `hostile` set; it behaves as the attacker wants.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_engine::{Business, ConnectionPermit, Seen, Sight, Step, Trust};
use portcullis_types::{ClientAddr, RouteClass, Tick};

use crate::browsers::{
    APP, BROWSERS, CRAWLER, LANGUAGE_WEIGHTS, LANGUAGES, PARTNER, PROVIDER, Program, TEXT, TOR, TOR_LANGUAGE,
};
use crate::gate::wall;
use crate::ledger::Met;
use crate::random::Random;
use crate::scenario::{Crowd, Day, Journeys, Kind, Population, Range, Span, Trace, whole};
use crate::site::PlatformPlan;
use crate::world::{Cookie, Draft, Errand, Event, MILLI, Reply, SECOND, Who, World};

/// What partners send.
pub(crate) const PARTNER_KEY: &str = "pk_live_4f1b7c2a9d";
/// Stylesheets, scripts and pictures of the first page, and of later ones when most is cached.
const ASSETS: [u32; 2] = [5, 1];
/// How long a driven browser rests between two pages, in nanoseconds.
const MIMIC_REST: f64 = 400e6;
/// A password is mistyped this often.
const MISTYPED: f64 = 0.07;
/// A card is declined this often.
const DECLINED: f64 = 0.08;

/// Visitors of one kind, as the seed made them.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) platform: usize,
    /// Requests a second in calm.
    pub(crate) rate: f64,
    /// The most that comes, as a multiple.
    pub(crate) peak: f64,
    pub(crate) trust: Option<Trust>,
    /// Networks that the operator declares for them.
    pub(crate) networks: Vec<String>,
    /// Addresses that they share; none where each has its own.
    addresses: Vec<IpAddr>,
    /// Requests of a session, on average.
    requests: f64,
    returning: f64,
    cookies: f64,
    script: f64,
    linked: f64,
    pages: Range,
    think: f64,
    patience: u64,
    journeys: Journeys,
    from: u64,
    until: u64,
    crowd: Option<(Crowd, [u64; 4], f64)>,
    day: Option<Day>,
    trace: Option<Trace>,
}

/// One step of a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stride {
    Page,
    Search,
    DonatePage,
    Donate,
    LoginPage,
    Login,
    JoinPage,
    Join,
    AskCode,
    EnterCode,
    Call,
    Hook,
}

/// One session.
pub(crate) struct Visitor {
    /// The attacker that drives it.
    pub(crate) hostile: Option<usize>,
    pub(crate) protected: bool,
    pub(crate) patience: u64,
    cohort: usize,
    platform: usize,
    program: &'static Program,
    language: &'static str,
    client: ClientAddr,
    shard: usize,
    keeps: bool,
    script: bool,
    assets: bool,
    token: Option<Cookie>,
    ticket: Option<Cookie>,
    session: Option<[u8; 16]>,
    api_key: Option<&'static str>,
    steps: Vec<Stride>,
    at: usize,
    linked: bool,
    /// The last document, for the referer.
    last: Option<(usize, usize)>,
    think: f64,
    met: Met,
    tries: u32,
    /// The challenge that it is working on.
    challenge: Option<(Seen, Step)>,
    from: Tick,
    permit: Option<ConnectionPermit>,
    /// Events and requests under way that will come back to it.
    pending: u32,
    over: bool,
}

impl Group {
    pub(crate) fn new(population: &Population, platform: usize, position: usize, random: &mut Random) -> Self {
        let kind = population.kind;
        let machine = matches!(kind, Kind::Partner | Kind::Crawler | Kind::Webhook);
        let usual =
            |given: Option<f64>, people: f64, machines: f64| given.unwrap_or(if machine { machines } else { people });
        let (networks, trust) = match kind {
            Kind::Staff => (vec![format!("198.51.{position}.0/24")], Some(Trust::Staff)),
            Kind::Partner => (vec![format!("203.0.{position}.0/24")], Some(Trust::Partner)),
            Kind::Webhook => (vec![format!("192.88.{position}.0/24")], Some(Trust::Partner)),
            Kind::Crawler => (vec![format!("66.249.{position}.0/24")], Some(Trust::Crawler)),
            _ => (Vec::new(), None),
        };
        let many = population.addresses.or(match kind {
            Kind::Staff => Some(2),
            Kind::Partner | Kind::Webhook => Some(4),
            Kind::Crawler => Some(30),
            Kind::Tor => Some(40),
            _ => None,
        });
        let shared = |number: u32, random: &mut Random| -> IpAddr {
            let low = number % 250 + 1;
            let base = match kind {
                Kind::Staff => [198, 51],
                Kind::Partner => [203, 0],
                Kind::Webhook => [192, 88],
                Kind::Crawler => [66, 249],
                Kind::Tor => {
                    return Ipv4Addr::from_bits((185 << 24 | 220 << 16 | 100 << 8) + random.below(1020) as u32).into();
                }
                _ => return Ipv4Addr::from_bits((80 << 24 | 187 << 16) + (position as u32) * 1024 + number).into(),
            };
            let [first, second] = base;
            Ipv4Addr::new(first, second, u8::try_from(position).unwrap_or(0), u8::try_from(low).unwrap_or(1)).into()
        };
        let addresses = (0..many.unwrap_or(0)).map(|number| shared(number, random)).collect();
        let crowd = population.crowd.map(|crowd| {
            let at = crowd.at.draw(random);
            let full = at + crowd.ramp.draw(random);
            let falls = full + crowd.hold.draw(random);
            (crowd, [at, full, falls, falls + crowd.decay.draw(random)], crowd.times.draw(random))
        });
        let mut group = Self {
            name: population.name.clone(),
            kind,
            platform,
            rate: population.rate.draw(random),
            peak: 1.0,
            trust,
            networks,
            addresses,
            requests: 1.0,
            returning: usual(population.returning, 0.3, 0.0),
            cookies: usual(population.cookies, 0.97, 0.0),
            script: usual(population.script, 0.99, 0.0),
            linked: usual(population.linked, 0.5, 0.0),
            pages: population.pages.unwrap_or(match kind {
                Kind::Webhook => Range { least: 1.0, most: 1.0 },
                Kind::Partner | Kind::Crawler => Range { least: 30.0, most: 60.0 },
                _ => Range { least: 2.0, most: 6.0 },
            }),
            think: population.think.unwrap_or(Span::millis(if machine { 300.0 } else { 8000.0 })).0.most,
            patience: population.patience.unwrap_or(Span::millis(15_000.0)).draw(random),
            journeys: population.journeys,
            from: population.from.map_or(0, |from| from.draw(random)),
            until: population.until.map_or(u64::MAX, |until| until.draw(random)),
            crowd,
            day: population.day,
            trace: population.trace.clone(),
        };
        let crowd = group.crowd.as_ref().map_or(1.0, |(_, _, times)| *times);
        let trace = group.trace.iter().flat_map(|trace| trace.times.iter().copied()).fold(1.0, f64::max);
        group.peak = crowd.max(trace);
        let mut sample = random.fork(7);
        let requests: u64 = (0..200).map(|_| u64::from(group.requests_of(&group.steps(&mut sample)))).sum();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let requests = requests as f64 / 200.0;
        group.requests = requests.max(1.0);
        group
    }

    /// When so many come at once that it is no longer calm.
    pub(crate) fn crowds(&self) -> Option<u64> {
        self.crowd.as_ref().filter(|(_, _, times)| *times > 2.0).map(|(_, [at, ..], _)| *at)
    }

    fn loads_assets(&self) -> bool {
        matches!(self.kind, Kind::Supporters | Kind::Tor | Kind::ScreenReader | Kind::Staff)
    }

    fn requests_of(&self, steps: &[Stride]) -> u32 {
        let documents = steps.iter().filter(|stride| stride.is_document()).count();
        let assets =
            if self.loads_assets() && documents > 0 { ASSETS[0] + (documents as u32 - 1) * ASSETS[1] } else { 0 };
        steps.len() as u32 + assets
    }

    /// Sessions a second now.
    fn arrivals(&self, now: Tick) -> f64 {
        if now.0 < self.from || now.0 >= self.until {
            return 0.0;
        }
        let mut rate = self.rate / self.requests;
        if let Some((_, [at, full, falls, over], times)) = &self.crowd {
            rate *= 1.0 + (times - 1.0) * slope(now.0, *at, *full, *falls, *over);
        }
        if let Some(trace) = &self.trace
            && let Some(since) = now.0.checked_sub(whole(trace.at.0.most))
        {
            let step = usize::try_from(since / whole(trace.step.0.most).max(1)).unwrap_or(usize::MAX);
            rate *= trace.times.get(step).copied().unwrap_or(1.0);
        }
        if let Some(day) = &self.day {
            let length = whole(day.length.0.most).max(1);
            let weekend = (now.0 / length) % 7 >= 5;
            // A parabola from midnight to midnight: 0 at night, 1 at noon.
            #[expect(clippy::cast_precision_loss, reason = "a share of a day")]
            let hour = (now.0 % length) as f64 / length as f64;
            let light = 4.0 * hour * (1.0 - hour);
            rate *= (1.0 + day.swing * (2.0 * light - 4.0 / 3.0)).max(0.02);
            rate *= if weekend { day.weekend } else { 1.0 };
        }
        rate
    }

    /// What a session of this group will do.
    fn steps(&self, random: &mut Random) -> Vec<Stride> {
        use Stride::{
            AskCode, Call, Donate, DonatePage, EnterCode, Hook, Join, JoinPage, Login, LoginPage, Page, Search,
        };
        let pages = usize::try_from(self.pages.draw_whole(random)).unwrap_or(1).max(1);
        match self.kind {
            Kind::Partner | Kind::App => return vec![Call; pages],
            Kind::Crawler => return vec![Page; pages],
            Kind::Webhook => return vec![Hook; pages],
            _ => {}
        }
        let journeys = &self.journeys;
        let weights = [journeys.read, journeys.search, journeys.donate, journeys.login, journeys.join, journeys.code];
        let given = weights.iter().sum::<f64>() > 0.0;
        let weights = if given { weights } else { [70.0, 10.0, 8.0, 8.0, 4.0, 0.0] };
        match random.weighted(weights.into_iter()) {
            1 => [vec![Page], vec![Search; 1 + random.index(3)], vec![Page]].concat(),
            2 => [vec![Page; pages.div_ceil(3)], vec![DonatePage, Donate, Page]].concat(),
            3 => [vec![Page, LoginPage, Login], vec![Page; pages.div_ceil(2)]].concat(),
            4 => vec![Page, JoinPage, Join, Page],
            5 => vec![Page, JoinPage, AskCode, EnterCode, Page],
            _ => vec![Page; pages],
        }
    }

    fn program(&self, random: &mut Random) -> &'static Program {
        let of = |table: &'static [Program], random: &mut Random| {
            &table[random.weighted(table.iter().map(|program| program.weight))]
        };
        match self.kind {
            Kind::Supporters | Kind::ScreenReader | Kind::Staff => of(BROWSERS, random),
            Kind::Tor => of(TOR, random),
            Kind::Text => of(TEXT, random),
            Kind::Partner => &PARTNER,
            Kind::Crawler => &CRAWLER,
            Kind::Webhook => &PROVIDER,
            Kind::App => &APP,
        }
    }
}

impl Stride {
    /// A page of its own that is shown.
    fn is_document(self) -> bool {
        matches!(self, Self::Page | Self::Search | Self::DonatePage | Self::LoginPage | Self::JoinPage)
    }

    fn class(self) -> RouteClass {
        match self {
            Self::Page => RouteClass::Page,
            Self::Search => RouteClass::Search,
            Self::DonatePage | Self::Donate => RouteClass::Payment,
            Self::LoginPage | Self::Login => RouteClass::Login,
            Self::JoinPage | Self::Join | Self::AskCode | Self::EnterCode => RouteClass::Form,
            Self::Call => RouteClass::Api,
            Self::Hook => RouteClass::Webhook,
        }
    }

    fn is_sent(self) -> bool {
        matches!(self, Self::Donate | Self::Login | Self::Join | Self::AskCode | Self::EnterCode | Self::Hook)
    }
}

/// 0 before, up to 1, 1, down to 0.
fn slope(now: u64, at: u64, full: u64, falls: u64, over: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = |from: u64, until: u64| now.saturating_sub(from) as f64 / until.saturating_sub(from).max(1) as f64;
    match now {
        _ if now < at || now >= over => 0.0,
        _ if now < full => share(at, full),
        _ if now < falls => 1.0,
        _ => 1.0 - share(falls, over),
    }
}

/// An address of somebody's home or telephone.
pub(crate) fn residential(random: &mut Random) -> IpAddr {
    const FIRST: [u8; 16] = [77, 78, 79, 80, 84, 85, 87, 88, 89, 91, 93, 95, 109, 178, 188, 217];
    if random.chance(0.4) {
        let network = [0x2003_00c0u64, 0x2a02_3100, 0x2a01_0598, 0x2a02_8108][random.index(4)];
        let high = network << 32 | random.below(1 << 24) << 8;
        return Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(random.next())).into();
    }
    let low = random.below(1 << 24).to_be_bytes();
    Ipv4Addr::new(FIRST[random.index(FIRST.len())], low[5], low[6], low[7]).into()
}

/// Words that people search for.
pub(crate) const WORDS: [&str; 24] = [
    "members",
    "meeting",
    "climate",
    "rent",
    "programme",
    "donate",
    "candidate",
    "berlin",
    "peace",
    "wages",
    "schools",
    "energy",
    "address",
    "contact",
    "jobs",
    "press",
    "poster",
    "debate",
    "pension",
    "health",
    "housing",
    "tax",
    "vote",
    "join",
];

impl World<'_> {
    /// A session may begin, by a Poisson process whose rate changes.
    pub(crate) fn arrive(&mut self, now: Tick, group: usize) {
        let rate = self.groups[group].arrivals(now);
        // With a rate that changes, whoever looks again each second and forgets what it drew is as good as exact.
        let longest = if self.groups[group].day.is_some() { 10.0 } else { 1.0 };
        let gap = if rate > 0.0 { self.people.exponential(1.0 / rate) } else { longest };
        let gap_or_look = gap.min(longest);
        let at = Tick(now.0 + whole(gap_or_look * 1e9).max(1000));
        if gap < longest {
            let visitor = self.visitor(at, group, None);
            self.soon(at, visitor, Event::Step(visitor));
        }
        self.agenda.note(at, Event::Arrive(group));
    }

    /// A new session.
    pub(crate) fn visitor(&mut self, now: Tick, position: usize, hostile: Option<usize>) -> u32 {
        let random = &mut self.people;
        let group = &self.groups[position];
        let returning = hostile.is_none() && random.chance(group.returning);
        let keeps = hostile.is_some() || returning || random.chance(group.cookies);
        let token = (returning && keeps).then(|| {
            let today = wall(now) / 86_400_000;
            let first = u32::try_from(today - 2 - random.below(40)).unwrap_or(0);
            let tenure = u8::try_from(random.below(3)).unwrap_or(0);
            let issued = wall(now) - random.below(20 * 86_400_000);
            Cookie::new(self.gate.node.tokens().history(first, tenure, random.next(), issued).as_ref())
        });
        let protected = hostile.is_none() && (group.trust.is_some() || returning);
        let known = if returning { ", known" } else { "" };
        let cohort = if hostile.is_some() {
            usize::MAX
        } else {
            self.ledger.cohort(format!("{}{known}", group.name), protected)
        };
        let client = match (hostile, group.addresses.as_slice()) {
            (None, shared @ [_, ..]) => shared[random.index(shared.len())],
            _ => residential(random),
        };
        let program = if hostile.is_some() { &BROWSERS[0] } else { group.program(random) };
        let language = match group.kind {
            Kind::Tor => TOR_LANGUAGE,
            Kind::Partner | Kind::Crawler | Kind::Webhook => "",
            _ => LANGUAGES[random.weighted(LANGUAGE_WEIGHTS.iter().copied())],
        };
        let visitor = Visitor {
            hostile,
            protected,
            patience: group.patience,
            cohort,
            platform: group.platform,
            program,
            language,
            client: ClientAddr::new(client),
            shard: random.index(64),
            keeps,
            script: hostile.is_some() || random.chance(group.script),
            assets: group.loads_assets(),
            token,
            ticket: None,
            session: (keeps && random.chance(0.3))
                .then(|| random.next().to_le_bytes().repeat(2).try_into().unwrap_or([0; 16])),
            api_key: (group.kind == Kind::Partner).then_some(PARTNER_KEY),
            steps: group.steps(random),
            at: 0,
            linked: random.chance(group.linked),
            last: None,
            think: if hostile.is_some() { MIMIC_REST } else { group.think },
            met: Met::default(),
            tries: 0,
            challenge: None,
            from: now,
            permit: None,
            pending: 0,
            over: false,
        };
        if let Some(vacant) = self.vacant.pop() {
            self.visitors[vacant as usize] = visitor;
            return vacant;
        }
        self.visitors.push(visitor);
        u32::try_from(self.visitors.len() - 1).unwrap_or(u32::MAX)
    }

    /// A driven browser asks for what its driver wants, from a home that it rents.
    pub(crate) fn disguise(&mut self, number: u32, platform: usize) {
        let random = &mut self.malice;
        let visitor = &mut self.visitors[number as usize];
        let program = random.weighted(BROWSERS.iter().map(|browser| browser.weight));
        visitor.program = &BROWSERS[program];
        visitor.client = ClientAddr::new(residential(random));
        visitor.platform = platform;
        visitor.steps =
            (0..3 + random.index(4)).map(|at| if at % 2 == 1 { Stride::Search } else { Stride::Page }).collect();
        visitor.assets = true;
    }

    pub(crate) fn soon(&mut self, at: Tick, visitor: u32, event: Event) {
        self.visitors[visitor as usize].pending += 1;
        self.agenda.note(at, event);
    }

    /// The next step of a journey.
    pub(crate) fn step(&mut self, now: Tick, number: u32) {
        let limit = self.site.limits.connections;
        let visitor = &mut self.visitors[number as usize];
        visitor.pending -= 1;
        if visitor.over {
            return self.forget(number);
        }
        let Some(stride) = visitor.steps.get(visitor.at).copied() else { return self.leaves(now, number) };
        if visitor.permit.is_none() {
            if self.gate.node.connections() >= limit {
                // Nobody is accepted while all connections are taken: the kernel's queue holds whoever knocks.
                let waited = now.0.saturating_sub(visitor.from.0);
                visitor.met.delayed |= waited > 2 * SECOND;
                if waited > visitor.patience {
                    return self.leaves(now, number);
                }
                return self.soon(Tick(now.0 + 250 * MILLI), number, Event::Step(number));
            }
            let shard = visitor.shard % self.gate.shards.len();
            match self.gate.shards[shard].handle_connection(visitor.client, false) {
                Ok(permit) => visitor.permit = Some(permit),
                Err(_) => {
                    visitor.met.refused = true;
                    self.ledger.legitimate_refused();
                    return self.leaves(now, number);
                }
            }
        }
        let plan = &self.site.platforms[visitor.platform];
        if plan.route(stride.class()).is_none() {
            visitor.at += 1;
            return self.soon(now, number, Event::Step(number));
        }
        let visitor = &mut self.visitors[number as usize];
        visitor.pending += 1;
        compose(&mut self.draft, visitor, stride, plan, &mut self.people);
        self.send(now, Who::Visitor(number));
    }

    /// Something that the last page needs.
    pub(crate) fn asset(&mut self, now: Tick, number: u32) {
        let visitor = &mut self.visitors[number as usize];
        visitor.pending -= 1;
        if visitor.over {
            return self.forget(number);
        }
        let plan = &self.site.platforms[visitor.platform];
        let Some(route) = plan.route(RouteClass::Asset) else { return };
        visitor.pending += 1;
        let draft = &mut self.draft;
        dress(draft, visitor);
        draft.errand = Errand::Asset;
        draft.route = route;
        let paths = &plan.routes[route].paths;
        draft.path.push_str(&paths[self.people.index(paths.len())]);
        draft.accept.push_str(visitor.program.asset.accept);
        draft.order = visitor.program.asset.order;
        draft.fetch_mode = if visitor.program.fetch { "no-cors" } else { "" };
        refer(draft, visitor, plan);
        self.send(now, Who::Visitor(number));
    }

    /// What it asked for has been answered.
    pub(crate) fn answered(&mut self, now: Tick, number: u32, errand: Errand, sent: Tick, reply: Reply) {
        let visitor = &mut self.visitors[number as usize];
        visitor.pending -= 1;
        if visitor.over {
            return self.forget(number);
        }
        visitor.met.delayed |= now.0 - sent.0 > 2 * SECOND;
        if errand == Errand::Asset {
            visitor.met.refused |= matches!(reply, Reply::Refused { .. });
            return;
        }
        match reply {
            Reply::Served { grant } => {
                if let Some(grant) = grant.filter(|_| visitor.keeps) {
                    visitor.token = Some(Cookie::new(grant.text()));
                }
                self.goes_on(now, number);
            }
            Reply::Failed => self.tries_again(now, number, 3 * SECOND, 2),
            Reply::Refused { retry_after, close, .. } => {
                visitor.met.refused = true;
                if close {
                    visitor.permit = None;
                }
                let wait = retry_after.map_or(SECOND, |wait| u64::try_from(wait.as_nanos()).unwrap_or(SECOND));
                self.tries_again(now, number, wait.max(SECOND), 2);
            }
            Reply::Challenge(challenge) => {
                visitor.met.challenged = true;
                visitor.met.passed = false;
                if !visitor.keeps || visitor.tries >= 4 {
                    return self.leaves(now, number);
                }
                visitor.tries += 1;
                let random = &mut self.people;
                let (step, takes) = match challenge.step {
                    Step::Echo => (Step::Echo, random.between(0.1, 0.4)),
                    Step::Puzzle if visitor.script => (Step::Puzzle, random.between(0.4, 2.2)),
                    // The manual way: a page that says so, a button, and a short wait.
                    Step::Puzzle | Step::Manual => (Step::Manual, random.between(10.0, 25.0)),
                };
                visitor.met.delayed |= takes > 2.0;
                visitor.challenge = Some((challenge.seen, step));
                self.soon(Tick(now.0 + whole(takes * 1e9)), number, Event::Passed(number));
            }
            Reply::Room(place) => {
                visitor.met.delayed = true;
                if now.0.saturating_sub(visitor.from.0) > 600 * SECOND {
                    return self.leaves(now, number);
                }
                let id = u64::from(number) << 20 | 1;
                let ticket = self.gate.node.tokens().ticket(place.arrived, id, wall(now));
                if visitor.keeps && visitor.ticket.is_none() {
                    visitor.ticket = Some(Cookie::new(ticket.as_ref()));
                }
                // The page asks again by itself.
                let wait = u64::try_from(place.wait.as_nanos()).unwrap_or(u64::MAX).clamp(2 * SECOND, 20 * SECOND);
                self.soon(Tick(now.0 + wait), number, Event::Step(number));
            }
        }
    }

    /// A challenge is passed: what the gate's shell does when it has checked the answer.
    pub(crate) fn passed(&mut self, now: Tick, number: u32) {
        let visitor = &mut self.visitors[number as usize];
        let Some((seen, step)) = visitor.challenge.take() else {
            visitor.pending -= 1;
            return self.forget(number);
        };
        visitor.met.passed = true;
        let tokens = self.gate.node.tokens();
        let id = tokens.fresh_id(wall(now));
        let Program { agent, tls, .. } = visitor.program;
        let bearer = Sight {
            agent: (!agent.is_empty()).then_some(agent.as_bytes()),
            tls: (!tls.is_empty()).then_some(tls.as_bytes()),
            ..Sight::default()
        };
        let text = tokens.passed(step, tokens.binding(&bearer), id, wall(now));
        visitor.token = Some(Cookie::new(text.as_ref()));
        let shard = visitor.shard % self.gate.shards.len();
        self.gate.shards[shard].challenge_passed(&seen, now);
        self.step(now, number);
    }

    /// A visitor lost patience with a request.
    pub(crate) fn gives_up(&mut self, now: Tick, number: u32, errand: Errand) {
        let visitor = &mut self.visitors[number as usize];
        visitor.pending -= 1;
        visitor.met.delayed = true;
        if errand == Errand::Main && !visitor.over {
            self.leaves(now, number);
        } else if visitor.over {
            self.forget(number);
        }
    }

    fn goes_on(&mut self, now: Tick, number: u32) {
        let visitor = &mut self.visitors[number as usize];
        let stride = visitor.steps.get(visitor.at).copied().unwrap_or(Stride::Page);
        visitor.at += 1;
        visitor.tries = 0;
        visitor.linked = false;
        if visitor.session.is_none() && visitor.keeps {
            visitor.session = Some(self.people.next().to_le_bytes().repeat(2).try_into().unwrap_or([0; 16]));
        }
        let think = whole(self.people.exponential(visitor.think)).clamp(50 * MILLI, 120 * SECOND);
        let assets = if visitor.assets && stride.is_document() { ASSETS[usize::from(visitor.at > 1)] } else { 0 };
        for _ in 0..assets {
            let at = Tick(now.0 + whole(self.people.between(30e6, 400e6)));
            self.soon(at, number, Event::Asset(number));
        }
        let least = if assets > 0 { 500 * MILLI } else { 0 };
        self.soon(Tick(now.0 + think.max(least)), number, Event::Step(number));
    }

    fn tries_again(&mut self, now: Tick, number: u32, after: u64, times: u32) {
        let visitor = &mut self.visitors[number as usize];
        visitor.tries += 1;
        if visitor.tries > times || after > 60 * SECOND {
            return self.leaves(now, number);
        }
        self.soon(Tick(now.0 + after), number, Event::Step(number));
    }

    /// A session is over.
    fn leaves(&mut self, now: Tick, number: u32) {
        let visitor = &mut self.visitors[number as usize];
        if !visitor.over {
            visitor.over = true;
            visitor.met.unserved = visitor.at < visitor.steps.len();
            visitor.permit = None;
            if visitor.hostile.is_none() {
                self.ledger.session(visitor.cohort, visitor.from, now, visitor.met);
            }
        }
        self.forget(number);
    }

    /// Its place may be used again once nothing will come back to it.
    fn forget(&mut self, number: u32) {
        let visitor = &self.visitors[number as usize];
        if visitor.over && visitor.pending == 0 {
            self.vacant.push(number);
        }
    }

    /// The world ends: sessions that are not over count as they are.
    pub(crate) fn everybody_leaves(&mut self, now: Tick) {
        for number in 0..self.visitors.len() {
            let visitor = &self.visitors[number];
            if !visitor.over && visitor.from < now {
                // Whoever is still reading has not been sent away.
                self.visitors[number].at = usize::MAX;
                self.leaves(now, u32::try_from(number).unwrap_or(u32::MAX));
            }
        }
    }
}

/// What every request of a visitor has in common.
fn dress(draft: &mut Draft, visitor: &Visitor) {
    draft.clear();
    draft.client = visitor.client;
    draft.shard = visitor.shard;
    draft.platform = visitor.platform;
    draft.agent.push_str(visitor.program.agent);
    draft.tls.push_str(visitor.program.tls);
    draft.h2.push_str(visitor.program.h2);
    draft.language.push_str(visitor.language);
    draft.session = visitor.session;
    draft.api_key = visitor.api_key;
    (draft.token, draft.ticket) = (visitor.token, visitor.ticket);
}

fn refer(draft: &mut Draft, visitor: &Visitor, plan: &PlatformPlan) {
    let path = visitor.last.and_then(|(route, path)| plan.routes.get(route)?.paths.get(path));
    if let Some(path) = path {
        draft.referer.push_str("https://");
        draft.referer.push_str(&plan.host);
        draft.referer.push_str(path);
    } else if visitor.linked {
        draft.referer.push_str("https://social.example/");
    }
}

/// The request that a step takes.
fn compose(draft: &mut Draft, visitor: &mut Visitor, stride: Stride, plan: &PlatformPlan, random: &mut Random) {
    dress(draft, visitor);
    draft.errand = Errand::Main;
    let Some(route) = plan.route(stride.class()) else { return };
    draft.route = route;
    let paths = &plan.routes[route].paths;
    // Few pages are read by many.
    let popular = random.unit();
    #[expect(clippy::cast_precision_loss, reason = "few paths")]
    let path = usize::try_from(whole(popular * popular * popular * paths.len() as f64)).unwrap_or(0);
    draft.path.push_str(&paths[path.min(paths.len() - 1)]);
    refer(draft, visitor, plan);
    let program = visitor.program;
    let look = if stride.is_sent() || stride == Stride::Call { &program.script } else { &program.navigation };
    draft.accept.push_str(if stride.is_sent() { program.navigation.accept } else { look.accept });
    draft.order = look.order;
    if program.fetch {
        draft.fetch_mode = if stride == Stride::Call { "cors" } else { "navigate" };
    }
    if stride.is_sent() {
        draft.method = "POST";
        draft.length = Some(80 + random.below(300));
    }
    if stride.is_document() {
        visitor.last = Some((route, path.min(paths.len() - 1)));
    }
    match stride {
        Stride::Search => {
            draft.query.push_str("q=");
            draft.query.push_str(WORDS[random.index(WORDS.len())]);
            if random.chance(0.4) {
                draft.query.push('+');
                draft.query.push_str(WORDS[random.index(WORDS.len())]);
            }
            if random.chance(0.2) {
                // Some sites' forms send it by POST.
                draft.method = "POST";
                draft.length = Some(20 + random.below(40));
            }
        }
        Stride::Page if visitor.linked && visitor.at == 0 && random.chance(0.3) => {
            draft.query.push_str("utm_source=newsletter&utm_campaign=autumn");
        }
        Stride::Login => {
            let failed = random.chance(MISTYPED);
            (draft.status, draft.business) = if failed { (401, Business::Failed) } else { (303, Business::Done) };
        }
        Stride::Donate => {
            let failed = random.chance(DECLINED);
            (draft.status, draft.business) = if failed { (402, Business::Failed) } else { (303, Business::Done) };
        }
        Stride::AskCode => draft.business = Business::CodeSent,
        Stride::EnterCode => draft.business = Business::Done,
        _ => {}
    }
}
