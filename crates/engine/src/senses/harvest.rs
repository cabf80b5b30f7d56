//! What a shard has seen since the brain last looked: the only thing that goes from the shards to the brain.
//!
//! All of it has a bound, and shards reuse the memory: nothing is allocated between two harvests.

use portcullis_types::{ClientAddr, RouteClass, Tick};

use super::sight::{Attributes, Business};

/// Rows that one shard keeps between two harvests, shared by its platforms, with at least 512 for each; beyond it a
/// reservoir decides, and `rows_seen` tells.
pub const ROWS: usize = 4096;
/// Outcomes that one shard keeps between two harvests, shared the same way.
pub const OUTCOMES: usize = 1024;
/// Portraits that one shard keeps between two harvests, over all platforms.
pub const PORTRAITS: usize = 256;
/// Classes, for tables by class.
pub const CLASSES: usize = RouteClass::ALL.len();

/// What one shard saw.
#[derive(Debug, Default)]
pub struct Harvest {
    /// Since when.
    pub from: Tick,
    /// Until when.
    pub to: Tick,
    /// By position of the platform.
    pub platforms: Vec<PlatformHarvest>,
    /// Readable examples of values, so that a rule can be told in words.
    pub portraits: Vec<Portrait>,
}

/// What one shard saw of one platform.
#[derive(Debug, Default)]
pub struct PlatformHarvest {
    /// By class.
    pub classes: [ClassTally; CLASSES],
    /// By position of the route.
    pub routes: Vec<RouteTally>,
    /// Requests as rows; each stands for `rows_seen / rows.len()` of them.
    pub rows: Vec<Row>,
    /// Requests that came, whether or not they were sampled.
    pub rows_seen: u64,
    /// Requests of the routes where business is counted, with what became of them.
    pub outcomes: Vec<OutcomeRow>,
    /// Outcomes that were offered.
    pub outcomes_seen: u64,
    /// Of the rules that matched anything, in no order: [`RuleTally::id`] tells which.
    pub rules: Vec<RuleTally>,
    /// Clients that broke the protocol or exceeded a limit of a connection.
    pub abuse: u32,
}

/// Counts of one class.
#[derive(Debug, Clone, Copy)]
pub struct ClassTally {
    /// Requests that came.
    pub arrived: u32,
    /// Admitted, at once or after waiting.
    pub admitted: u32,
    /// Put into the queue.
    pub queued: u32,
    /// Microseconds that those who left the queue admitted had waited, together.
    pub queued_us: u64,
    /// Refused or sent to the waiting room by admission (not by rules).
    pub shed: u32,
    /// Answered by the platform.
    pub completed: u32,
    /// The platform failed.
    pub failed: u32,
    /// Microseconds of the platform, together, of those that completed.
    pub origin_us: u64,
    /// The fastest of them; `u32::MAX` for none.
    pub fastest_us: u32,
    /// Bytes sent.
    pub bytes: u64,
}

impl Default for ClassTally {
    fn default() -> Self {
        Self {
            arrived: 0,
            admitted: 0,
            queued: 0,
            queued_us: 0,
            shed: 0,
            completed: 0,
            failed: 0,
            origin_us: 0,
            fastest_us: u32::MAX,
            bytes: 0,
        }
    }
}

/// Counts of one route.
#[derive(Debug, Clone, Copy, Default)]
pub struct RouteTally {
    /// Requests that came.
    pub arrived: u32,
    /// Microseconds of the platform, together.
    pub origin_us: u64,
    /// Answered with 404 or 410.
    pub missing: u32,
    /// Logins and payments that worked, codes that were entered.
    pub done: u32,
    /// Logins and payments that failed.
    pub failed: u32,
    /// Codes sent.
    pub sent: u32,
}

/// One request as the miner sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row {
    /// What it looks like.
    pub attributes: Attributes,
    /// Who asked, to look up what else they did.
    pub visitor: u64,
    /// What it is expected to cost the platform, in microseconds.
    pub cost_us: u32,
}

/// One request with what became of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutcomeRow {
    /// The request.
    pub row: Row,
    /// What it meant.
    pub business: Business,
}

/// What one rule did.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleTally {
    /// The rule.
    pub id: u32,
    /// Requests that matched.
    pub matched: u32,
    /// Of those, from protected cohorts: staff, partners, crawlers, holders of a history or a passed challenge.
    pub protected: u32,
    /// Of those, from visitors that did what people's browsers do.
    pub human: u32,
    /// Acted upon: refused, challenged, closed, put behind.
    pub acted: u32,
    /// Let through, or given the next milder action, to learn what the rule changes.
    pub held_out: u32,
    /// Challenges given because of it.
    pub challenged: u32,
    /// Challenges that were passed.
    pub passed: u32,
    /// Expected cost of what matched, in microseconds.
    pub cost_us: u64,
}

/// Values of one request that a person can read. The brain keeps few of them, to tell a rule in words.
#[derive(Debug, Clone, Copy)]
pub struct Portrait {
    /// The numbers that the texts below belong to.
    pub attributes: Attributes,
    /// The address.
    pub client: ClientAddr,
    /// The method.
    pub method: Excerpt<8>,
    /// The path.
    pub path: Excerpt<64>,
    /// The query.
    pub query: Excerpt<48>,
    /// `User-Agent`.
    pub agent: Excerpt<96>,
    /// JA4.
    pub tls: Excerpt<40>,
    /// The HTTP/2 settings print.
    pub h2: Excerpt<64>,
    /// `Accept`.
    pub accept: Excerpt<32>,
    /// `Accept-Language`.
    pub language: Excerpt<16>,
}

/// The first bytes of a text that a client chose. Printed with everything but visible ASCII escaped.
#[derive(Debug, Clone, Copy)]
pub struct Excerpt<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Excerpt<N> {
    /// As much of `text` as fits.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let mut bytes = [0; N];
        let length = text.len().min(N).min(usize::from(u8::MAX));
        bytes.iter_mut().zip(text).take(length).for_each(|(to, from)| *to = *from);
        Self { bytes, length: u8::try_from(length).unwrap_or(0) }
    }

    /// Whether nothing was cut off.
    pub(crate) fn is_whole(&self) -> bool {
        usize::from(self.length) < N
    }

    /// Fit to be shown on a terminal and in a page.
    #[must_use]
    pub fn text(&self) -> String {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default().escape_ascii().to_string()
    }
}
