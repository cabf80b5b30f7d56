//! What a request looks like, as sixteen numbers that the miner can tell apart.
//!
//! [`Sight`] is what the shell saw, in bytes that the client chose; [`Attributes`] is what is left of it: fixed size, hashed
//! under the node's secret, so that nobody outside can aim at a value. It never keeps a byte of the request.

use portcullis_types::{ClientAddr, RouteClass, Tick};

use crate::trust::Trust;

/// The value of [`Attribute::Token`] for a token that asked for more than one person does: it vouches for nobody.
pub(crate) const OVERDRAWN: u32 = 255;
/// How many attributes a request has.
pub const ATTRIBUTES: usize = 16;

/// What the shell saw of a request. Everything in it is the client's own claim and may be missing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sight<'a> {
    /// As sent: `GET`.
    pub method: &'a [u8],
    /// Without the query.
    pub path: &'a [u8],
    /// Behind the question mark, without it.
    pub query: Option<&'a [u8]>,
    /// The host that was asked for, to tell a referer of our own from others.
    pub host: &'a [u8],
    /// `User-Agent`.
    pub agent: Option<&'a [u8]>,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
    /// `Accept`.
    pub accept: Option<&'a [u8]>,
    /// `Accept-Language`.
    pub language: Option<&'a [u8]>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<&'a [u8]>,
    /// The print of the order of header names; 0 where there is none.
    pub order: u64,
    /// JA4 of the ClientHello, without the extensions that a browser only sends when it resumes a session.
    pub tls: Option<&'a [u8]>,
    /// The settings print of the HTTP/2 connection.
    pub h2: Option<&'a [u8]>,
    /// The value of the gate's own cookie: the token that [`crate::Trust`] issued.
    pub token: Option<&'a [u8]>,
    /// The value of the cookie with a place in the waiting room.
    pub ticket: Option<&'a [u8]>,
    /// The body's declared length.
    pub length: Option<u64>,
}

/// The attributes, in the order in which they stand in [`Attributes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Attribute {
    /// Platform and route.
    Endpoint,
    /// The path, hashed; a last part that is a number or made up counts by its shape.
    Path,
    /// The method.
    Method,
    /// JA4, hashed; 0 without TLS.
    Tls,
    /// The settings print of HTTP/2, hashed; 0 for HTTP/1.
    H2,
    /// The order print.
    Order,
    /// The whole `User-Agent`, hashed.
    Agent,
    /// Its product names without versions and the first words of its comment, hashed.
    Family,
    /// /24 or /48 of the address.
    Network,
    /// The [`Trust`] of who vouches, as a number; 0 where nobody does, 255 for a token beyond its budget.
    Token,
    /// What the visitor had done before that people's browsers do: 0 nothing yet, 1 one kind of thing, 2 several kinds.
    Evidence,
    /// 0 none, 1 this site, 2 another, 3 unreadable.
    Referer,
    /// The names in the query and the shapes of their values, hashed, made-up names all as one; 0 without a query.
    Query,
    /// `Accept`, hashed; 0 without.
    Accept,
    /// `Accept-Language`, hashed; 0 without.
    Language,
    /// 0 no session, 1 the platform's session cookie is there.
    Session,
}

impl Attribute {
    /// Every attribute.
    pub const ALL: [Self; ATTRIBUTES] = [
        Self::Endpoint,
        Self::Path,
        Self::Method,
        Self::Tls,
        Self::H2,
        Self::Order,
        Self::Agent,
        Self::Family,
        Self::Network,
        Self::Token,
        Self::Evidence,
        Self::Referer,
        Self::Query,
        Self::Accept,
        Self::Language,
        Self::Session,
    ];

    /// Whether a rule may consist of this alone. A network, a browser or a country never may: many people share it.
    /// (design invariant 4)
    #[must_use]
    pub const fn may_stand_alone(self) -> bool {
        matches!(self, Self::Tls | Self::Order | Self::Query | Self::H2)
    }

    /// A small dense number.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The sixteen numbers. Equality of one of them is what a rule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub [u32; ATTRIBUTES]);

impl Attributes {
    /// The value of [`Attribute::Endpoint`] for the positions of a platform and a route. It is not hashed: no client chose it.
    #[must_use]
    pub const fn endpoint(platform: u16, route: u16) -> u32 {
        ((platform as u32) << 16 | route as u32).wrapping_add(1)
    }

    /// One of them.
    #[must_use]
    pub const fn get(&self, attribute: Attribute) -> u32 {
        self.0[attribute as usize]
    }
}

/// What is remembered of a request from admission to its account. Small and [`Copy`].
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// What it looks like.
    pub attributes: Attributes,
    /// Who asks: address, TLS and HTTP/2 stack together, hashed. People behind one address often differ.
    pub visitor: u64,
    /// Whom the budget is charged to where a token vouches; 0 for none.
    pub token: u64,
    /// Position of the platform.
    pub platform: u16,
    /// Position of the route.
    pub route: u16,
    /// The route's class.
    pub class: RouteClass,
    /// Who vouches.
    pub trust: Trust,
    /// The address.
    pub client: ClientAddr,
    /// A navigation: GET or HEAD that a person's browser made for a document. Only these are ever challenged.
    pub navigation: bool,
    /// The live rule that matched first; 0 for none.
    pub rule: u32,
    /// When it came.
    pub at: Tick,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The platform's status; 0 when it gave none.
    pub status: u16,
    /// Bytes sent to the client.
    pub bytes: u64,
    /// How long the platform took to its first byte, in nanoseconds. The cost that is charged.
    pub origin: u64,
    /// Whether the platform failed: connection, timeout, reset, 5xx.
    pub failed: bool,
    /// What it meant for the organisation, where the platform says so.
    pub business: Business,
}

/// What a request meant for the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Business {
    /// Nothing that is counted.
    #[default]
    Nothing,
    /// A login or a payment that worked, or a code that was entered.
    Done,
    /// A login refused, a payment declined.
    Failed,
    /// A code was sent at the organisation's cost (SMS, e-mail).
    CodeSent,
}
