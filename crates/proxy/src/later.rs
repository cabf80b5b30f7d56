//! What of another policy a running gate cannot take over.
//!
//! A reload says it after it was done, and whoever weighs a change before. Nothing is done here.

use portcullis_config::Policy;

use crate::state;

/// What takes effect at the next start only, in words.
#[must_use]
pub fn at_next_start(before: &Policy, after: &Policy) -> Vec<&'static str> {
    let checks = [
        (before.admin != after.admin, "the admin listener moves at the next start"),
        (before.server.workers != after.server.workers, "the number of workers changes at the next start"),
        (before.server.control != after.server.control, "the control socket moves at the next start"),
        (before.limits.rate_keys != after.limits.rate_keys, "`limits.rate_keys` changes at the next start"),
        (
            state::directory(before) != state::directory(after),
            "what outlives a restart is kept in another directory from the next start on",
        ),
    ];
    checks.into_iter().filter(|(differs, _)| *differs).map(|(_, words)| words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_named_and_what_does_not_is_not() {
        let policy = || crate::sockets::tests::policy(&["127.0.0.1:81"]);
        let before = policy();
        type Change = fn(&mut Policy);
        let cases: [(Change, Option<&str>); 5] = [
            (|policy| policy.admin.listen.set_port(9), Some("admin listener")),
            (|policy| policy.server.workers += 1, Some("workers")),
            (|policy| policy.server.control = "elsewhere".into(), Some("control socket")),
            (|policy| policy.defence.state = Some("elsewhere".into()), Some("another directory")),
            (|policy| policy.listeners[0].bind.set_port(9), None),
        ];
        for (change, expected) in cases {
            let mut after = policy();
            change(&mut after);
            let told = at_next_start(&before, &after);
            assert_eq!(told.len(), usize::from(expected.is_some()), "{told:?}");
            assert!(told.iter().all(|words| expected.is_some_and(|expected| words.contains(expected))), "{told:?}");
        }
        assert_eq!(at_next_start(&before, &before), [""; 0]);
    }
}
