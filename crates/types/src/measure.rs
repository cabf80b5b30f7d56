//! The vocabulary of declared measures, shared by the configuration that declares them and the engine that keeps them.

/// Whether a measure acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Counted and logged, never acted on.
    Observe,
    /// Acted on.
    #[default]
    Enforce,
}

/// What an address list does with a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListAction {
    /// Past deny lists and rates; concurrency still holds.
    Allow,
    /// Refused at accept where the socket's address decides, else at admission.
    Deny,
}

/// What a rate counts by. Where a request has no session or API key, its address stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateKey {
    /// The client's address.
    Address,
    /// /24 for IPv4, /56 for IPv6.
    Prefix,
    /// The platform's session cookie.
    Session,
    /// The platform's API key header.
    ApiKey,
}

impl Mode {
    /// The name in configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

impl ListAction {
    /// The name in configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl RateKey {
    /// Every key.
    pub const ALL: [Self; 4] = [Self::Address, Self::Prefix, Self::Session, Self::ApiKey];

    /// The name in configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Prefix => "prefix",
            Self::Session => "session",
            Self::ApiKey => "api-key",
        }
    }
}
