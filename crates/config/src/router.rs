//! Which platform and which route a request is for: the gate, the simulator and the replay of logs ask the same table.
//!
//! It never allocates for a host, nor for a path that is in its normal form already.

use std::collections::BTreeMap;

use crate::normal_path;
use crate::policy::{PathPattern, Platform, Policy, Route};

/// Longest host that is looked up (RFC 1035).
const HOST_BYTES: usize = 253;

/// Hosts and paths of one policy, ready to be looked up.
#[derive(Debug, Clone)]
pub struct Router {
    exact: BTreeMap<Box<[u8]>, usize>,
    /// Suffixes with their dot, longest first.
    wildcards: Vec<(Box<[u8]>, usize)>,
    /// For each platform its routes, the longest pattern first.
    routes: Vec<Vec<(PathPattern, usize)>>,
}

impl Router {
    /// Hosts and paths as the policy declares them.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let mut exact = BTreeMap::new();
        let mut wildcards = Vec::new();
        for (index, platform) in policy.platforms.iter().enumerate() {
            for host in &platform.hosts {
                match host.strip_prefix('*') {
                    Some(suffix) => wildcards.push((Box::from(suffix.as_bytes()), index)),
                    None => {
                        exact.insert(Box::from(host.as_bytes()), index);
                    }
                }
            }
        }
        wildcards.sort_by_key(|(suffix, _): &(Box<[u8]>, usize)| std::cmp::Reverse(suffix.len()));
        Self { exact, wildcards, routes: policy.platforms.iter().map(sorted_routes).collect() }
    }

    /// The platform that has this host, without its port, in any case.
    #[must_use]
    pub fn platform(&self, host: &[u8]) -> Option<usize> {
        let mut lower = [0_u8; HOST_BYTES];
        let lower = lower.get_mut(..host.len())?;
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let host = lower.strip_suffix(b".").unwrap_or(lower);
        self.exact.get(host).copied().or_else(|| {
            self.wildcards
                .iter()
                .find(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix))
                .map(|(_, index)| *index)
        })
    }

    /// The route of that platform for a path as the client spelt it: the longest pattern that holds it.
    #[must_use]
    pub fn route(&self, platform: usize, path: &[u8]) -> Option<usize> {
        let path = normal_path(path);
        self.routes.get(platform)?.iter().find(|(pattern, _)| holds(pattern, &path)).map(|(_, index)| *index)
    }
}

fn sorted_routes(platform: &Platform) -> Vec<(PathPattern, usize)> {
    let mut routes: Vec<_> =
        platform.routes.iter().enumerate().map(|(index, Route { path, .. })| (path.clone(), index)).collect();
    routes.sort_by_key(|(pattern, _)| match pattern {
        PathPattern::Exact(path) => std::cmp::Reverse((path.len(), true)),
        PathPattern::Below(path) => std::cmp::Reverse((path.len(), false)),
    });
    routes
}

fn holds(pattern: &PathPattern, path: &[u8]) -> bool {
    match pattern {
        PathPattern::Exact(exact) => path == exact.as_bytes(),
        PathPattern::Below(base) => {
            path.strip_prefix(base.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_in_one_form() {
        for (path, expected) in [
            ("/", "/"),
            ("/donate", "/donate"),
            ("/donate/", "/donate/"),
            ("/%64onate", "/donate"),
            ("/x/../donate", "/donate"),
            ("/./donate", "/donate"),
            ("//donate", "/donate"),
            ("/x/%2e%2e/donate", "/donate"),
            ("/x%2f..%2fdonate", "/donate"),
            ("/x\\..\\donate", "/donate"),
            ("/../../donate", "/donate"),
            ("/donate/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/%", "/%"),
            ("/%zz", "/%zz"),
            ("/a%2", "/a%2"),
        ] {
            assert_eq!(normal_path(path.as_bytes()).as_ref(), expected.as_bytes(), "{path}");
        }
        assert_ne!(normal_path(b"/a%00b").as_ref(), b"/a\0b", "a control character is never taken for a plain one");
    }

    #[test]
    fn patterns_hold_themselves_and_what_lies_below() {
        let below = PathPattern::Below("/donate".to_owned());
        for (path, expected) in
            [("/donate", true), ("/donate/", true), ("/donate/x", true), ("/donates", false), ("/", false)]
        {
            assert_eq!(holds(&below, path.as_bytes()), expected, "{path}");
        }
        assert!(holds(&PathPattern::Below(String::new()), b"/anything"));
        assert!(!holds(&PathPattern::Exact("/a".to_owned()), b"/a/"));
    }
}
