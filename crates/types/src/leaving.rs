//! Words for what leaves: the kinds of data that are told apart, and how much of them somebody may have.

use crate::Mode;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        /// What can be found.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DataKind { $($(#[doc = $doc])+ $name,)+ }

        impl DataKind {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in the configuration, in metrics and in records.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// What it is, in one sentence.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

kinds! {
    /// An address of e-mail.
    Email = "email";
    /// A telephone number of the United Kingdom, mobile or geographic.
    Phone = "phone";
    /// A postcode of the United Kingdom.
    Postcode = "postcode";
    /// A National Insurance number.
    Nino = "nino";
    /// An NHS number, by its check digit (modulus 11).
    Nhs = "nhs";
    /// An IBAN, by its country's length and its check digits (modulus 97).
    Iban = "iban";
    /// A payment card's number, by its issuer's range and Luhn's check digit.
    Card = "card";
    /// A sort code with an account number beside it.
    BankAccount = "bank-account";
    /// A number of the Danish register of persons, by the date in it.
    Cpr = "cpr";
    /// A field that the route names, by its value.
    Field = "field";
    /// A key, token or password that opens something.
    Secret = "secret";
    /// Where a program failed, as it tells its developers.
    StackTrace = "stack-trace";
    /// What a database says of a statement that it cannot run.
    SqlError = "sql-error";
}

impl DataKind {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The kind with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether it is about a person.
    #[must_use]
    pub const fn is_personal(self) -> bool {
        !matches!(self, Self::Secret | Self::StackTrace | Self::SqlError)
    }
}

/// Whom a budget is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Who {
    /// Whoever holds one session of the platform; where there is none, one address.
    Session,
    /// The account that the platform names, or an API key; where there is none, one session.
    Account,
    /// All that look alike on the wire: TLS, HTTP/2 and the order of header fields together.
    Cluster,
    /// One subscriber's network: /24 or /56.
    Prefix,
    /// Everybody together.
    Platform,
}

impl Who {
    /// The one with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::Session, Self::Account, Self::Cluster, Self::Prefix, Self::Platform];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Account => "account",
            Self::Cluster => "cluster",
            Self::Prefix => "prefix",
            Self::Platform => "platform",
        }
    }
}

/// Over what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Span {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// Twenty-four hours.
    Day,
}

impl Span {
    /// The one with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// How long it is, in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        1_000_000_000
            * match self {
                Self::Minute => 60,
                Self::Hour => 3600,
                Self::Day => 86_400,
            }
    }
}

/// How many different records may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// To whom.
    pub who: Who,
    /// Over what time.
    pub span: Span,
    /// So many at most.
    pub records: u64,
    /// Whether it acts or only counts.
    pub mode: Mode,
}
