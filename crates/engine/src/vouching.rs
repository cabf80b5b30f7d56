//! Whom the operator vouches for: staff, partners, crawlers, each with a budget of its own.

use std::sync::Arc;

use portcullis_types::Tick;
use sha2::{Digest, Sha256};

use crate::declared::Vouched;
use crate::lists::Prefixes;
use crate::node::{Counter, Node, Permit};
use crate::rate::Gcra;
use crate::shard::Ask;
use crate::trust::Trust;

/// Everybody who is vouched for, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Vouching {
    prefixes: Prefixes,
    vouched: Box<[Compiled]>,
}

#[derive(Debug)]
struct Compiled {
    trust: Trust,
    anywhere: bool,
    key: Option<[u8; 32]>,
    agent: Option<Box<[u8]>>,
    /// Stable over reloads: the name, not the numbers.
    identity: u64,
    gcra: Option<Gcra>,
    concurrency: Option<u32>,
    counter: Arc<Counter>,
}

impl Vouching {
    pub(crate) fn compile(vouched: &[Vouched], node: &Node) -> Self {
        let each = vouched.iter().enumerate();
        let prefixes = Prefixes::compile(each.flat_map(|(at, vouched)| vouched.prefixes.iter().map(move |p| (at, *p))));
        Self { prefixes, vouched: vouched.iter().map(|vouched| Compiled::new(vouched, node)).collect() }
    }

    /// Who vouches for this request, and the place that it takes up there. Whoever is beyond the budget is suspect: the key may
    /// be stolen, and the owner's own traffic is not slowed by being told apart.
    pub(crate) fn vouch(&self, ask: &Ask<'_>, node: &Node, now: Tick) -> Option<(Trust, Option<Permit>)> {
        if self.vouched.is_empty() {
            return None;
        }
        let owners = self.prefixes.owners(ask.client.ip());
        let mut digest = None;
        let mut holds = |at: usize, vouched: &Compiled| {
            (vouched.anywhere || owners.contains(&at))
                && vouched.agent.as_ref().is_none_or(|agent| contains(ask.sight.agent.unwrap_or_default(), agent))
                && vouched.key.is_none_or(|key| {
                    ask.api_key.is_some_and(|given| *digest.get_or_insert_with(|| digest_of(given)) == key)
                })
        };
        let (_, vouched) = self.vouched.iter().enumerate().find(|(at, vouched)| holds(*at, vouched))?;
        let Some((permit, _)) = Permit::acquire(&vouched.counter, vouched.concurrency) else {
            return Some((Trust::Suspect, None));
        };
        if vouched.gcra.is_some_and(|gcra| node.rates().charge(vouched.identity, gcra, now).is_err()) {
            return Some((Trust::Suspect, None));
        }
        Some((vouched.trust, Some(permit)))
    }
}

impl Compiled {
    fn new(vouched: &Vouched, node: &Node) -> Self {
        let nothing = vouched.prefixes.is_empty() && vouched.api_key_hash.is_none() && vouched.agent.is_none();
        Self {
            trust: vouched.trust,
            anywhere: vouched.prefixes.is_empty() && !nothing,
            key: vouched.api_key_hash,
            agent: vouched.agent.as_ref().map(|agent| agent.to_ascii_lowercase().into_bytes().into()),
            identity: node.hash(&[b"vouched", vouched.name.as_bytes()]),
            gcra: (vouched.per_second > 0.0).then(|| Gcra::new(vouched.per_second, vouched.burst)),
            concurrency: (vouched.concurrency > 0).then_some(vouched.concurrency),
            counter: node.counter(&format!("vouched/{}", vouched.name), None),
        }
    }
}

/// The API key as it is declared. A digest of a key that nobody can guess tells nothing, so comparing it takes no care.
fn digest_of(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

fn contains(agent: &[u8], lower: &[u8]) -> bool {
    !lower.is_empty() && agent.windows(lower.len()).any(|window| window.eq_ignore_ascii_case(lower))
}

#[cfg(test)]
mod tests {
    use portcullis_types::{ClientAddr, Limits, Prefix, RouteClass};

    use super::*;
    use crate::senses::sight::Sight;

    fn vouched(name: &str, trust: Trust) -> Vouched {
        Vouched { name: name.to_owned(), trust, ..Vouched::default() }
    }

    fn ask<'a>(address: &str, api_key: Option<&'a str>, agent: &'a str) -> Ask<'a> {
        Ask {
            client: ClientAddr::new(address.parse().expect(address)),
            platform: 0,
            route: 0,
            class: RouteClass::Page,
            session: None,
            api_key: api_key.map(str::as_bytes),
            sight: Sight { agent: Some(agent.as_bytes()), ..Sight::default() },
            wall: 0,
        }
    }

    #[test]
    fn everything_that_is_declared_must_hold() {
        let node = Node::new(&Limits { rate_keys: 1024, ..Limits::DEFAULT }, [1, 2]);
        let list = [
            Vouched {
                prefixes: vec![Prefix::parse("192.0.2.0/24").expect("a prefix")],
                ..vouched("office", Trust::Staff)
            },
            Vouched { api_key_hash: Some(digest_of(b"sesame")), ..vouched("union", Trust::Partner) },
            Vouched {
                prefixes: vec![Prefix::parse("66.249.64.0/19").expect("a prefix")],
                agent: Some("GoogleBot".to_owned()),
                ..vouched("google", Trust::Crawler)
            },
            vouched("nobody", Trust::Staff),
        ];
        let vouching = Vouching::compile(&list, &node);
        let table = [
            ("192.0.2.7", None, "", Some(Trust::Staff)),
            ("198.51.100.1", Some("sesame"), "", Some(Trust::Partner)),
            ("198.51.100.1", Some("Sesame"), "", None),
            ("66.249.66.1", None, "Mozilla/5.0 (compatible; googlebot/2.1)", Some(Trust::Crawler)),
            ("66.249.66.1", None, "curl/8", None),
            ("198.51.100.1", None, "Mozilla/5.0 (compatible; Googlebot/2.1)", None),
            ("2001:db8::1", None, "", None),
        ];
        for (address, key, agent, expected) in table {
            let got = vouching.vouch(&ask(address, key, agent), &node, Tick::ZERO).map(|(trust, _)| trust);
            assert_eq!(got, expected, "{address} {key:?} {agent}");
        }
    }

    #[test]
    fn whoever_is_beyond_the_budget_is_suspect() {
        let node = Node::new(&Limits { rate_keys: 1024, ..Limits::DEFAULT }, [1, 2]);
        let key = Some(digest_of(b"k"));
        let list =
            [Vouched { api_key_hash: key, per_second: 1.0, burst: 2, concurrency: 1, ..vouched("p", Trust::Partner) }];
        let vouching = Vouching::compile(&list, &node);
        let ask = ask("198.51.100.1", Some("k"), "");
        let vouch = |seconds: u64| vouching.vouch(&ask, &node, Tick::from_millis(seconds * 1000)).expect("known");
        let (first, held) = vouch(0);
        assert_eq!((first, vouch(0).0), (Trust::Partner, Trust::Suspect), "one at once");
        drop(held);
        let trusts = [0, 0, 1].map(|seconds| vouch(seconds).0);
        assert_eq!(trusts, [Trust::Partner, Trust::Suspect, Trust::Partner]);
    }
}
