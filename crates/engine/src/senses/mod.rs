//! What is seen of requests, in fixed memory.
//!
//! [`Senses`] is what the workers of one process share: who was seen doing what, and what routes cost. [`Recorder`] is
//! one worker's own, and fills what goes to the brain. Distinct visitors and frequent values are counted there, from the
//! rows, which tell of any combination; a sketch for each would only tell of those that were foreseen.
//!
//! A visitor is an address (for IPv6 its /64), a TLS stack and an HTTP/2 stack. Neither its `User-Agent`, which a flood
//! rotates, nor the order of its header fields, which differs between a document and its images, is part of it.

mod claims;
mod costs;
mod crowds;
pub(crate) mod harvest;
mod hash;
pub(crate) mod recorder;
mod shape;
pub(crate) mod sight;
mod visitors;

use std::net::IpAddr;
use std::time::Duration;

use portcullis_types::{ClientAddr, RouteClass, Tick};

use self::claims::Families;
use self::costs::Costs;
use self::crowds::{CROWDS, Crowds};
use self::hash::Keys;
use self::sight::{Attributes, Business, Outcome, Seen};
use self::visitors::{Met, VISITORS, Visit, Visitors};
use crate::shard::Ask;
use crate::trust::Trust;

/// Bytes sent that weigh as much as one microsecond of the platform: a line of 100 MB/s.
const BYTES_PER_US: u64 = 100;

/// What all workers know of visitors. Its memory is taken at once and never grows.
#[derive(Debug)]
pub struct Senses {
    keys: Keys,
    families: Families,
    visitors: Visitors,
    crowds: Crowds,
    costs: Costs,
}

/// What is known of one visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// What it has done that people's browsers do: 0 nothing yet, 1 one kind of thing, 2 several kinds. Who is faster
    /// than people, or fails at logins and payments again and again, has 0.
    pub evidence: u8,
    /// Since it was first seen; zero for whom nobody remembers.
    pub age: Duration,
    /// Requests, with a half-life of about a minute.
    pub requests: u32,
    /// What they cost the platform in microseconds, bytes included, with the same half-life.
    pub cost_us: u64,
    /// Logins and payments that failed; each that works halves it.
    pub failures: u8,
    /// Documents that a browser asked for, saturating.
    pub navigations: u8,
}

impl Senses {
    /// Takes the memory for a million visitors. `secret` must come from the system's randomness.
    #[must_use]
    pub fn new(secret: [u64; 2]) -> Self {
        Self::with_room(secret, VISITORS)
    }

    /// The same for fewer visitors.
    #[must_use]
    pub fn with_room(secret: [u64; 2], visitors: usize) -> Self {
        let visitors = visitors.min(VISITORS);
        Self {
            keys: Keys::new(secret),
            families: Families::new(),
            visitors: Visitors::new(visitors),
            crowds: Crowds::new(visitors.min(CROWDS)),
            costs: Costs::new(),
        }
    }

    /// Memory of the tables; it never changes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.families.bytes() + self.visitors.bytes() + self.crowds.bytes() + self.costs.bytes()
    }

    /// What a request looks like. Its visitor is touched: one more request. [`Seen::trust`] is `trust`, or
    /// [`Trust::Human`] where `trust` is [`Trust::Fresh`] and the visitor did several kinds of things that browsers do.
    #[must_use]
    pub fn perceive(&self, ask: &Ask<'_>, trust: Trust, token: u64, now: Tick) -> Seen {
        let (sight, keys) = (&ask.sight, &self.keys);
        let [kind, host_bits, network_bits] = address_bits(ask.client);
        let [tls, h2] = [sight.tls, sight.h2].map(|text| text.map_or(0, |text| keys.long(text)));
        let visitor = keys.numbers([kind, host_bits, tls, h2]);
        // Early, so that memory answers while the rest is hashed.
        let place = self.visitors.look(visitor);

        let text = |text: Option<&[u8]>| text.map_or(0, |text| keys.short(text));
        let number = |number: [u64; 4]| high(keys.numbers(number)).max(1);
        let path = shape::path(keys, sight.path);
        let referer = claims::referer(sight.referer, sight.host);
        let navigation = claims::is_navigation(sight, ask.class);
        let query = sight.query.map_or(0, |query| shape::query(keys, query));
        let [agent, accept, language] = [sight.agent, sight.accept, sight.language].map(text);
        let family = sight.agent.map_or(0, |text| self.families.of(keys, text, agent));
        let (platform, route) = (narrow(ask.platform), narrow(ask.route));

        let visit = Visit {
            navigation,
            asset: ask.class == RouteClass::Asset,
            own_referer: referer == claims::REFERER_OWN,
            page: path,
        };
        let crowded = || self.crowd_behind(ask.client, now);
        let Met { evidence, opens } = place.map(|place| place.visit(visit, now, crowded)).unwrap_or_default();
        if opens && (evidence > 1 || trust == Trust::History) {
            let token = if trust == Trust::History { token } else { 0 };
            self.crowds.note(self.address(ask.client), visitor, token, now);
        }
        let vouched = if trust.is_protected() { u32::from(trust as u8) } else { 0 };
        let attributes = [
            Attributes::endpoint(platform, route),
            path,
            claims::method(sight.method),
            if tls == 0 { 0 } else { high(tls).max(1) },
            if h2 == 0 { 0 } else { high(h2).max(1) },
            if sight.order == 0 { 0 } else { number([sight.order, 0, 0, ORDER]) },
            agent,
            family,
            number([kind, network_bits, 0, NETWORK]),
            vouched,
            u32::from(evidence),
            referer,
            query,
            accept,
            language,
            u32::from(ask.session.is_some()),
        ];
        Seen {
            attributes: Attributes(attributes),
            visitor,
            token,
            platform,
            route,
            class: ask.class,
            trust: if trust == Trust::Fresh && evidence > 1 { Trust::Human } else { trust },
            client: ask.client,
            navigation,
            rule: 0,
            at: now,
        }
    }

    /// What is known of that visitor.
    #[must_use]
    pub fn known(&self, visitor: u64, now: Tick) -> Known {
        self.visitors.known(visitor, now)
    }

    /// Charges what a request cost to its visitor and route.
    pub fn finished(&self, seen: &Seen, outcome: &Outcome, now: Tick) {
        let origin_us = outcome.origin / 1000;
        let worked = match outcome.business {
            Business::Done => Some(true),
            Business::Failed => Some(false),
            Business::Nothing | Business::CodeSent => None,
        };
        self.visitors.charge(seen.visitor, origin_us + outcome.bytes / BYTES_PER_US, worked, now);
        // What never reached the platform tells nothing about the route.
        if outcome.origin > 0 {
            self.costs.note(seen.platform, seen.route, origin_us);
        }
    }

    /// The visitor sent back a cookie that we gave it.
    pub fn cookie_came_back(&self, seen: &Seen) {
        self.visitors.cookie_came_back(seen.visitor);
    }

    /// Whether several people are behind that address: several stacks that did what browsers do, or several history
    /// tokens. Then nothing may be held against the address alone.
    #[must_use]
    pub fn crowd_behind(&self, client: ClientAddr, now: Tick) -> bool {
        self.crowds.is_crowd(self.address(client), now)
    }

    /// What a request of that route is expected to cost the platform, in microseconds.
    #[must_use]
    pub fn expected_cost_us(&self, platform: u16, route: u16) -> u32 {
        self.costs.expected_us(platform, route)
    }

    fn address(&self, client: ClientAddr) -> u64 {
        let [kind, bits, _] = address_bits(client);
        self.keys.numbers([kind, bits, 0, ADDRESS])
    }
}

/// What a number is hashed as, so that an address and a network are never the same number. No TLS or HTTP/2 print, which
/// stand in the same place for a visitor, hashes to one of these but by a chance of 2^-62.
const ADDRESS: u64 = 1;
const NETWORK: u64 = 2;
const ORDER: u64 = 3;

/// The kind of an address, what of it one host is given (a /64 of IPv6), and its network (/24 or /48).
fn address_bits(client: ClientAddr) -> [u64; 3] {
    match client.ip() {
        IpAddr::V4(v4) => [4, u64::from(v4.to_bits()), u64::from(v4.to_bits() >> 8)],
        IpAddr::V6(v6) => {
            let high = (v6.to_bits() >> 64) as u64;
            [6, high, high >> 16]
        }
    }
}

const fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn narrow(position: usize) -> u16 {
    u16::try_from(position).unwrap_or(u16::MAX)
}
