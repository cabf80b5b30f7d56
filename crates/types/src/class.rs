//! What a route is for. Admission, limits and later the engine treat classes differently.

use std::fmt;

/// The class of a route, declared by the operator; `page` where nothing is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RouteClass {
    /// Money moves: donations, membership fees.
    Payment,
    /// Credentials are checked.
    Login,
    /// A person submits something: join, contact, petition.
    Form,
    /// A document that a person reads.
    #[default]
    Page,
    /// A static file that a page needs.
    Asset,
    /// A query whose cost the visitor chooses.
    Search,
    /// A program asks.
    Api,
    /// Many records leave at once.
    Export,
    /// A partner's machine calls us.
    Webhook,
}

impl RouteClass {
    /// Every class, in the order of the reference.
    pub const ALL: [Self; 9] = [
        Self::Payment,
        Self::Login,
        Self::Form,
        Self::Page,
        Self::Asset,
        Self::Search,
        Self::Api,
        Self::Export,
        Self::Webhook,
    ];

    /// The name used in configuration, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Login => "login",
            Self::Form => "form",
            Self::Page => "page",
            Self::Asset => "asset",
            Self::Search => "search",
            Self::Api => "api",
            Self::Export => "export",
            Self::Webhook => "webhook",
        }
    }

    /// The class of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// A small dense number for tables, below `RouteClass::ALL.len()`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for RouteClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_indices_are_dense() {
        for (position, class) in RouteClass::ALL.into_iter().enumerate() {
            assert_eq!(RouteClass::from_name(class.name()), Some(class));
            assert_eq!(class.index(), position);
        }
        assert_eq!(RouteClass::from_name("Payment"), None);
    }
}
