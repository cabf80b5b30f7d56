//! Attackers: what they send, and what they change when it no longer gets through.
//!
//! Each is a small machine that sees nothing but answers. What it can change is what real ones can: tools, names, orders,
//! queries, networks.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_engine::{Business, ConnectionPermit};
use portcullis_types::{ClientAddr, RouteClass, Tick};
use portcullis_wire::h2::{Budgets, FrameMeter};

use crate::browsers::{BROWSERS, LANGUAGES, Program, TOOLS};
use crate::gate::wall;
use crate::ledger::Window;
use crate::people::{WORDS, residential};
use crate::random::{Random, splitmix};
use crate::scenario::{Attack, AttackKind, whole};
use crate::site::PlatformPlan;
use crate::world::{Cookie, Draft, Event, SECOND, Who, World};

/// An attacker that gets less than this share through changes something.
const NOT_WORTH_IT: f64 = 0.2;
/// A switcher does one thing for so long.
const SWITCH: u64 = 90 * SECOND;
/// Streams that a connection of an abuser wants to open.
const STREAMS: u32 = 1000;
/// Between two requests, in seconds, so that nobody sends for ever without time passing.
const LEAST_GAP: f64 = 0.000_02;

/// One attacker, as the seed made it.
pub(crate) struct Attacker {
    pub(crate) name: String,
    pub(crate) window: Window,
    kind: AttackKind,
    platform: usize,
    /// Requests, connections or sessions a second.
    rate: f64,
    ramp: u64,
    sources: u64,
    networks: u64,
    class: Option<RouteClass>,
    adapts: Option<u64>,
    /// How often it has changed what it can.
    generation: u64,
    looked: Tick,
    sent: u64,
    passed: u64,
    count: u64,
    seed: u64,
    stolen: Option<(u64, Cookie)>,
    held: VecDeque<ConnectionPermit>,
}

impl Attacker {
    pub(crate) fn new(attack: &Attack, platform: usize, calm: f64, random: &mut Random) -> Self {
        let from = Tick(attack.at.draw(random));
        let until = Tick(from.0 + attack.lasts.draw(random));
        let rate = match (attack.rate, attack.times) {
            (Some(rate), _) => rate.draw(random),
            (None, Some(times)) => times.draw(random) * calm,
            (None, None) => 10.0 * calm,
        };
        let pulse = attack.pulse.map(|pulse| (pulse.on.draw(random), pulse.off.draw(random)));
        let (on, off) = pulse.unwrap_or_default();
        let inseparable = attack.inseparable || attack.kind == AttackKind::Mimic;
        Self {
            name: attack.name.clone(),
            window: Window { from, until, on, off, inseparable, platform, prelude: attack.prelude },
            kind: attack.kind,
            platform,
            rate,
            ramp: attack.ramp.map_or(0, |ramp| ramp.draw(random)),
            sources: attack.sources.map_or(500, |sources| sources.draw_whole(random)).max(1),
            networks: attack.networks.map_or(5, |networks| networks.draw_whole(random)).max(1),
            class: attack.class,
            adapts: attack.adapts.map(|adapts| adapts.draw(random)),
            generation: 0,
            looked: from,
            sent: 0,
            passed: 0,
            count: 0,
            seed: random.next(),
            stolen: None,
            held: VecDeque::new(),
        }
    }

    /// It sees an answer.
    pub(crate) const fn told(&mut self, passed: bool) {
        self.sent += 1;
        self.passed += passed as u64;
    }

    /// It looks at how it fares, and changes something where it does not get through.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn look(&mut self, now: Tick) {
        let Some(adapts) = self.adapts else { return };
        if now.0 - self.looked.0 < adapts {
            return;
        }
        if (self.passed as f64) < NOT_WORTH_IT * self.sent as f64 {
            self.generation += 1;
        }
        (self.looked, self.sent, self.passed) = (now, 0, 0);
    }

    fn rate_at(&self, now: Tick) -> f64 {
        let age = now.0.saturating_sub(self.window.from.0);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = if age < self.ramp { (age as f64 / self.ramp as f64).max(0.01) } else { 1.0 };
        self.rate * share
    }

    /// The address of a bot: the same each time it is asked for.
    fn bot(&self, number: u64) -> IpAddr {
        let network = number % self.networks;
        let mut state = self.seed ^ network.wrapping_mul(0x51_7C_C1) ^ (self.generation / 4);
        let [first, second, ..] = splitmix(&mut state).to_be_bytes();
        let mut state = self.seed ^ number.wrapping_mul(0xD6E8_FEB8);
        let [third, fourth, ..] = splitmix(&mut state).to_be_bytes();
        const HOSTERS: [u8; 8] = [5, 45, 51, 94, 104, 141, 159, 167];
        Ipv4Addr::new(HOSTERS[usize::from(first) % HOSTERS.len()], second, third, fourth).into()
    }
}

/// Somebody's home, anywhere.
fn anywhere(random: &mut Random) -> IpAddr {
    if random.chance(0.3) {
        return residential(random);
    }
    const FIRST: [u8; 14] = [24, 31, 36, 41, 58, 61, 102, 105, 110, 113, 177, 181, 186, 201];
    let low = random.below(1 << 24).to_be_bytes();
    Ipv4Addr::new(FIRST[random.index(FIRST.len())], low[5], low[6], low[7]).into()
}

impl World<'_> {
    /// An attacker sends, and notes when it will again.
    pub(crate) fn volley(&mut self, now: Tick, number: usize) {
        let attacker = &mut self.attackers[number];
        if now >= attacker.window.until {
            return;
        }
        if !attacker.window.active(now) {
            let cycle = attacker.window.on + attacker.window.off;
            let into = (now.0 - attacker.window.from.0) % cycle;
            return self.agenda.note(Tick(now.0 + cycle - into), Event::Volley(number));
        }
        attacker.look(now);
        let rate = attacker.rate_at(now).max(0.01);
        let gap = self.malice.exponential(1.0 / rate).clamp(LEAST_GAP, 1.0);
        self.agenda.note(Tick(now.0 + whole(gap * 1e9).max(1000)), Event::Volley(number));
        if gap >= 1.0 {
            return;
        }
        match self.attackers[number].kind {
            AttackKind::Mimic => self.mimic(now, number),
            AttackKind::RapidReset | AttackKind::MadeYouReset | AttackKind::Continuation => self.abuse(now, number),
            AttackKind::SlowHead | AttackKind::SlowRead => self.hold(now, number),
            // Its half-open connections end in the kernel's cookies: nothing of them ever reaches the gate.
            AttackKind::Syn => self.ledger.attack_begun(now),
            _ => {
                let stolen = self.compose_attack(now, number);
                self.send(now, Who::Attacker { attacker: number, stolen });
            }
        }
    }

    /// A real browser, driven by a program. It lasts as long as a session of the first group.
    fn mimic(&mut self, now: Tick, number: usize) {
        // A session sends several requests; so fewer sessions make the rate.
        if !self.malice.chance(1.0 / MIMIC_REQUESTS) {
            return;
        }
        let platform = self.attackers[number].platform;
        let group = self.groups.iter().position(|group| group.platform == platform).unwrap_or(0);
        let visitor = self.visitor(now, group, Some(number));
        self.disguise(visitor, platform);
        self.soon(now, visitor, Event::Step(visitor));
    }

    /// Connections that break HTTP/2: the real meter says when they end.
    fn abuse(&mut self, now: Tick, number: usize) {
        let attacker = &mut self.attackers[number];
        attacker.count += 1;
        let client = ClientAddr::new(attacker.bot(attacker.count % attacker.sources));
        let (kind, platform) = (attacker.kind, attacker.platform);
        let shard = usize::try_from(attacker.count).unwrap_or(0) % self.gate.shards.len();
        self.ledger.attack_begun(now);
        let Ok(permit) = self.gate.shards[shard].handle_connection(client, false) else { return };
        let mut meter = FrameMeter::new(Budgets::new(&self.site.limits, 16_384));
        let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        opening.extend(frame(4, 0, 0, &[]));
        let mut ended = meter.handle_read(&opening, now).is_err();
        let mut wasted = 0;
        for stream in 0..STREAMS {
            if ended {
                break;
            }
            let id = 2 * stream + 1;
            // `:method GET`, `:scheme https`, `:path /` of the static table.
            let block = [0x82, 0x87, 0x84];
            ended = match kind {
                AttackKind::Continuation if stream == 0 => meter.handle_read(&frame(1, 0x1, 1, &block), now).is_err(),
                AttackKind::Continuation => meter.handle_read(&frame(9, 0, 1, &block), now).is_err(),
                AttackKind::MadeYouReset => {
                    // A window update of nothing is a stream error: we reset.
                    meter.handle_read(&frame(1, 0x5, id, &block), now).is_err()
                        || meter.handle_read(&frame(8, 0, id, &[0, 0, 0, 0]), now).is_err()
                        || meter.handle_written(&frame(3, 0, id, &[0, 0, 0, 1]), now).is_err()
                }
                _ => {
                    meter.handle_read(&frame(1, 0x5, id, &block), now).is_err()
                        || meter.handle_read(&frame(3, 0, id, &[0, 0, 0, 8]), now).is_err()
                }
            };
            if !ended && kind != AttackKind::Continuation {
                wasted += 1;
                self.compose_attack(now, number);
                self.draft.client = client;
                self.cancelled(now, number);
            }
        }
        self.ledger.abusers += 1;
        self.ledger.abusers_closed += u64::from(ended);
        self.ledger.streams_wasted = self.ledger.streams_wasted.max(wasted);
        if ended {
            self.gate.shards[shard].abused(Some(platform), client, now);
        }
        drop(permit);
    }

    /// Connections that are held as long as the gate's deadlines let them.
    fn hold(&mut self, now: Tick, number: usize) {
        self.ledger.attack_begun(now);
        let limits = &self.site.limits;
        if self.gate.node.connections() >= limits.connections {
            return;
        }
        let attacker = &mut self.attackers[number];
        attacker.count += 1;
        let source = self.malice.below(attacker.sources);
        let client = ClientAddr::new(attacker.bot(source));
        let shard = usize::try_from(attacker.count).unwrap_or(0) % self.gate.shards.len();
        let Ok(permit) = self.gate.shards[shard].handle_connection(client, false) else { return };
        attacker.held.push_back(permit);
        // A head that is not finished ends at its deadline; a reader that hardly reads, when it has fallen behind.
        let lasts = if attacker.kind == AttackKind::SlowHead { limits.head_deadline } else { limits.body_grace };
        let reads = attacker.kind == AttackKind::SlowRead;
        self.agenda.note(Tick(now.0 + lasts), Event::Hangup { attacker: number });
        if reads {
            self.compose_attack(now, number);
            self.draft.client = client;
            self.send(now, Who::Attacker { attacker: number, stolen: 0 });
        }
    }

    pub(crate) fn hangup(&mut self, number: usize) {
        self.attackers[number].held.pop_front();
    }

    /// Writes one request of an attacker into the draft. Says which stolen cookie it carries.
    fn compose_attack(&mut self, now: Tick, number: usize) -> u64 {
        let attacker = &mut self.attackers[number];
        attacker.count += 1;
        let plan = &self.site.platforms[attacker.platform];
        let random = &mut self.malice;
        let draft = &mut self.draft;
        draft.clear();
        draft.platform = attacker.platform;
        draft.shard = random.index(64);
        let kind = match attacker.kind {
            AttackKind::Switcher => {
                let vectors = [
                    AttackKind::Flood,
                    AttackKind::Search,
                    AttackKind::CacheBuster,
                    AttackKind::Stuffing,
                    AttackKind::Randomiser,
                ];
                let turn = (now.0 - attacker.window.from.0) / SWITCH;
                vectors[usize::try_from(turn).unwrap_or(0) % vectors.len()]
            }
            kind => kind,
        };
        let bot = random.below(attacker.sources);
        draft.client = ClientAddr::new(match kind {
            AttackKind::OneShot => anywhere(random),
            AttackKind::Exhaustion => {
                let network = 0x2a0e_0000u128 << 96;
                Ipv6Addr::from_bits(network | u128::from(random.next()) << 32 | u128::from(random.next() >> 32)).into()
            }
            AttackKind::Twin | AttackKind::Stuffing | AttackKind::Cards | AttackKind::Codes | AttackKind::Cookies => {
                // Proxies in homes: each bot keeps its address.
                let mut own = Random::new(attacker.seed ^ bot);
                anywhere(&mut own)
            }
            _ => attacker.bot(bot),
        });
        let generation = attacker.generation;
        let tool = &TOOLS[usize::try_from((attacker.seed >> 8).wrapping_add(generation)).unwrap_or(0) % TOOLS.len()];
        let browser = &BROWSERS[random.index(BROWSERS.len())];
        match kind {
            AttackKind::Flood
            | AttackKind::SlowHead
            | AttackKind::SlowRead
            | AttackKind::RapidReset
            | AttackKind::MadeYouReset
            | AttackKind::Continuation
            | AttackKind::Syn => {
                wear(draft, tool, tool.agent);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Page), random);
            }
            AttackKind::CacheBuster => {
                // Agents of browsers over the stack of a tool.
                wear(draft, tool, browser.agent);
                draft.accept.clear();
                draft.accept.push_str(browser.navigation.accept);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Page), random);
                let name = ["v", "cb", "_", "t"][usize::try_from(generation).unwrap_or(0) % 4];
                let _ = write!(draft.query, "{name}={:016x}", random.next());
            }
            AttackKind::Search => {
                wear(draft, tool, browser.agent);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Search), random);
                draft.method = "POST";
                draft.length = Some(200 + random.below(800));
                draft.weight = 2.0;
            }
            AttackKind::OneShot => {
                // One tool with a stack of its own, whatever names it gives itself.
                wear(draft, &HIRED, "");
                let _ = write!(
                    draft.agent,
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.{}.{} Safari/537.36",
                    100 + random.below(40),
                    4000 + random.below(3000),
                    random.below(200)
                );
                draft.language.push_str(LANGUAGES[random.index(LANGUAGES.len())]);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Page), random);
                if generation % 2 == 1 {
                    let _ = write!(draft.query, "s={}", WORDS[random.index(WORDS.len())]);
                }
            }
            AttackKind::Randomiser => {
                let stack = &TOOLS[random.index(3)];
                wear(draft, stack, browser.agent);
                draft.order = random.next();
                draft.accept.clear();
                let _ = write!(draft.accept, "text/html,*/*;q=0.{}", random.below(10));
                draft.language.push_str(LANGUAGES[random.index(LANGUAGES.len())]);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Page), random);
            }
            AttackKind::Twin => {
                twin(draft, random);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Search), random);
                if plan.routes[draft.route].class == RouteClass::Search {
                    let _ = write!(draft.query, "q={}", WORDS[random.index(WORDS.len())]);
                }
            }
            AttackKind::Stuffing => {
                twin(draft, random);
                form(draft);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Login), random);
                let hit = random.chance(0.01);
                (draft.status, draft.business) = if hit { (303, Business::Done) } else { (401, Business::Failed) };
            }
            AttackKind::Cards => {
                twin(draft, random);
                form(draft);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Payment), random);
                let hit = random.chance(0.06);
                (draft.status, draft.business) = if hit { (303, Business::Done) } else { (402, Business::Failed) };
            }
            AttackKind::Codes => {
                twin(draft, random);
                form(draft);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Form), random);
                draft.business = Business::CodeSent;
            }
            AttackKind::Enumeration => {
                wear(draft, tool, tool.agent);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Api), random);
                draft.path.clear();
                let above = plan.routes[draft.route].path.trim_end_matches("/**");
                let _ = write!(draft.path, "{above}/{}", 100_000 + attacker.count);
                if random.chance(0.85) {
                    draft.status = 404;
                }
            }
            AttackKind::Cookies => {
                twin(draft, random);
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Search), random);
                let _ = write!(draft.query, "q={}", WORDS[random.index(WORDS.len())]);
                let tokens = self.gate.node.tokens();
                let seed = attacker.seed;
                let (id, cookie) = *attacker.stolen.get_or_insert_with(|| {
                    let today = u32::try_from(wall(now) / 86_400_000).unwrap_or(0);
                    let text = tokens.history(today.saturating_sub(12), 1, seed, wall(now) - 3_600_000);
                    (seed | 1, Cookie::new(text.as_ref()))
                });
                draft.token = Some(cookie);
                return id;
            }
            AttackKind::Exhaustion => {
                wear(draft, tool, "");
                let _ = write!(draft.agent, "{:016x}", random.next());
                draft.tls.clear();
                let _ = write!(
                    draft.tls,
                    "t13d{:04}h2_{:012x}_{:012x}",
                    random.below(9999),
                    random.next() >> 16,
                    random.next() >> 16
                );
                draft.order = random.next();
                ask(draft, plan, attacker.class.unwrap_or(RouteClass::Page), random);
                draft.path.clear();
                let _ = write!(draft.path, "/{:016x}", random.next());
                let _ = write!(draft.query, "{:x}={:x}", random.next() >> 40, random.next());
                draft.route = plan.route_of(&draft.path);
                draft.status = 404;
            }
            AttackKind::Mimic | AttackKind::Switcher => {}
        }
        0
    }
}

/// Requests of a driven browser's session, about.
const MIMIC_REQUESTS: f64 = 12.0;

/// The stack of a service that rents out homes.
const HIRED: Program = Program {
    agent: "",
    tls: "t13d1514h2_8daaf6152771_b0da82dd1658",
    h2: "1:65536;3:1000;4:6291456;6:262144|15663105|0|m,a,s,p",
    navigation: crate::browsers::Look {
        accept: "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        order: 0x51CE_5EED_0B07_0001,
    },
    asset: crate::browsers::Look { accept: "*/*", order: 0x51CE_5EED_0B07_0002 },
    script: crate::browsers::Look { accept: "*/*", order: 0x51CE_5EED_0B07_0003 },
    fetch: false,
    weight: 1.0,
};

fn wear(draft: &mut Draft, program: &Program, agent: &str) {
    draft.agent.push_str(agent);
    draft.tls.push_str(program.tls);
    draft.h2.push_str(program.h2);
    draft.accept.push_str(program.navigation.accept);
    draft.order = program.navigation.order;
}

/// The bytes of the browser that most people use.
fn twin(draft: &mut Draft, random: &mut Random) {
    let browser = &BROWSERS[random.index(2)];
    wear(draft, browser, browser.agent);
    draft.fetch_mode = "navigate";
    draft.language.push_str(LANGUAGES[random.index(2)]);
}

fn form(draft: &mut Draft) {
    draft.method = "POST";
    draft.length = Some(120);
    draft.order = BROWSERS[0].script.order;
}

fn ask(draft: &mut Draft, plan: &PlatformPlan, class: RouteClass, random: &mut Random) {
    draft.route = plan.route(class).unwrap_or(0);
    let paths = &plan.routes[draft.route].paths;
    draft.path.push_str(&paths[random.index(paths.len().min(8))]);
}

/// One HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}
