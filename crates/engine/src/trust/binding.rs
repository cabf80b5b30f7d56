//! What a token holds on to: what stays the same while a person browses. It never holds an address.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::senses::sight::Sight;

/// Of a User-Agent, so many bytes are looked at; browsers send 130.
const AGENT_BYTES: usize = 256;

/// TLS stack and browser of a visitor. A phone that changes from Wi-Fi to mobile data keeps both, so the address is no
/// part of it; a browser that is updated keeps all but digits, so these are no part of it either. A token that is copied
/// to another kind of program is worth nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding(u64);

impl Binding {
    /// Of a request, by a hasher that has taken in the secret of all tokens: [`super::Tokens::binding`].
    pub(super) fn of(mut hasher: SipHasher13, sight: &Sight<'_>) -> Self {
        let stack = sight.tls.unwrap_or_default();
        hasher.write_usize(stack.len());
        hasher.write(stack);
        let agent = sight.agent.unwrap_or_default();
        let (mut kept, mut length) = ([0; AGENT_BYTES], 0);
        for byte in agent.iter().take(AGENT_BYTES) {
            kept[length] = *byte;
            length += usize::from(!byte.is_ascii_digit());
        }
        hasher.write(&kept[..length]);
        Self(hasher.finish())
    }

    pub(crate) const fn bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_survives_an_update_and_nothing_else() {
        let of = |tls: &str, agent: &str| {
            let sight = Sight { tls: Some(tls.as_bytes()), agent: Some(agent.as_bytes()), ..Sight::default() };
            Binding::of(SipHasher13::new_with_keys(1, 2), &sight)
        };
        let firefox = of("t13d1717h2_5b57614c22b0_3cbfd9057e0d", "Mozilla/5.0 (X11; Linux; rv:140.0) Firefox/140.0");
        for (tls, agent, same) in [
            ("t13d1717h2_5b57614c22b0_3cbfd9057e0d", "Mozilla/5.0 (X11; Linux; rv:141.2) Firefox/141.2", true),
            ("t13d1717h2_5b57614c22b0_3cbfd9057e0d", "Mozilla/5.0 (X11; Linux; rv:140.0) Gecko/140.0", false),
            ("t13d1717h2_5b57614c22b0_3cbfd9057e0e", "Mozilla/5.0 (X11; Linux; rv:140.0) Firefox/140.0", false),
            ("t13d1717h2_5b57614c22b0_3cbfd9057e0d", "", false),
            ("", "Mozilla/5.0 (X11; Linux; rv:140.0) Firefox/140.0", false),
        ] {
            assert_eq!(of(tls, agent) == firefox, same, "{tls} {agent}");
        }
    }
}
