//! What a token holds on to: what stays the same while a person browses. It never holds an address.

use crate::senses::sight::{Attribute, Attributes};

/// TLS stack and browser family of a visitor. A phone that changes from Wi-Fi to mobile data keeps both, so the address
/// is no part of it; a token that is copied to another kind of program is worth nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding(u64);

impl Binding {
    /// Of a request's attributes.
    #[must_use]
    pub const fn of(attributes: &Attributes) -> Self {
        Self((attributes.get(Attribute::Tls) as u64) << 32 | attributes.get(Attribute::Family) as u64)
    }

    pub(crate) const fn bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}
