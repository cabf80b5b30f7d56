//! Passes: a visit from outside that this process makes itself is let past what would hold a stranger.
//!
//! A pass is drawn for one page of one host, is good once, for a moment, and for this process alone. It opens nothing but what the
//! gate does by itself (admission, challenges, its own rules): whatever the operator declared, inspection and what may leave hold as
//! for anybody. Whoever picks one up on its way has, at best, that one page instead of us. It never reaches a platform.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_types::Tick;
use portcullis_wire::http::RequestHead;

use crate::journal::lock;

/// The field that carries one.
pub(crate) const FIELD: &str = "x-portcullis-visit";

/// How long one is good for: a visit that takes longer is a stranger's.
const LASTS: Duration = Duration::from_secs(30);
/// Passes that are out at once; one more takes the place of the oldest.
const OUT: usize = 256;
/// Bytes of a mark, in hexadecimal.
const MARK: usize = 32;

/// The passes that are out.
#[derive(Default)]
pub(crate) struct Passes {
    out: Mutex<VecDeque<Pass>>,
    /// How many: nearly always none, and then nobody looks.
    count: AtomicUsize,
}

struct Pass {
    mark: [u8; MARK],
    host: Vec<u8>,
    target: Vec<u8>,
    until: Tick,
}

impl Passes {
    /// Draws one for a page: what its field says. None where the system has no randomness.
    pub(crate) fn draw(&self, host: &str, target: &str, now: Tick) -> Option<String> {
        let mut bytes = [0; MARK / 2];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).ok()?;
        let text = format!("{:032x}", u128::from_be_bytes(bytes));
        let mark = text.as_bytes().try_into().ok()?;
        let mut out = lock(&self.out);
        out.retain(|pass| pass.until > now);
        if out.len() >= OUT {
            out.pop_front();
        }
        out.push_back(Pass { mark, host: host.into(), target: target.into(), until: now.after(LASTS) });
        self.count.store(out.len(), Ordering::Release);
        Some(text)
    }

    /// Whether this request brings one that is good for it. It is spent thereby, good or not.
    pub(crate) fn take(&self, head: &RequestHead, now: Tick) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let Some(shown) = head.fields.find(FIELD.as_bytes()).and_then(|shown| <[u8; MARK]>::try_from(shown).ok())
        else {
            return false;
        };
        let mut out = lock(&self.out);
        // All are looked at, and each to its end: how long that takes says nothing.
        let mut found = None;
        for (at, pass) in out.iter().enumerate() {
            if pass.mark.iter().zip(&shown).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0 {
                found = Some(at);
            }
        }
        let pass = found.and_then(|at| out.remove(at));
        self.count.store(out.len(), Ordering::Release);
        pass.is_some_and(|pass| {
            pass.until > now
                && head.method() == b"GET"
                && head.host().eq_ignore_ascii_case(&pass.host)
                && head.target() == pass.target
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, host: &str, target: &str, mark: &str) -> RequestHead {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-Portcullis-Visit: {mark}\r\n\r\n");
        let bounds = portcullis_wire::h1::HeadBounds { head_bytes: 4096, header_count: 16, uri_bytes: 1024 };
        let mut head = RequestHead::default();
        portcullis_wire::h1::request(text.as_bytes(), &bounds, &mut head).expect("a request");
        head
    }

    #[test]
    fn a_pass_is_good_once_for_one_page_and_for_a_moment() {
        let now = Tick(1_000_000_000);
        let page = ("GET", "gate.test", "/donate?a=1");
        let cases = [
            ("the visit itself", page, 0, true),
            ("its name in other letters", ("GET", "GATE.test", "/donate?a=1"), 0, true),
            ("another page", ("GET", "gate.test", "/members"), 0, false),
            ("another query", ("GET", "gate.test", "/donate?a=2"), 0, false),
            ("another host", ("GET", "other.test", "/donate?a=1"), 0, false),
            ("another method", ("POST", "gate.test", "/donate?a=1"), 0, false),
            ("just in time", page, 29, true),
            ("too late", page, 30, false),
        ];
        for (what, (method, host, target), seconds, good) in cases {
            let passes = Passes::default();
            let mark = passes.draw("gate.test", "/donate?a=1", now).expect("randomness");
            let later = now.after(Duration::from_secs(seconds));
            assert_eq!(passes.take(&head(method, host, target, &mark), later), good, "{what}");
            assert!(!passes.take(&head("GET", "gate.test", "/donate?a=1", &mark), later), "{what}: it is spent");
        }
    }

    #[test]
    fn what_was_not_drawn_here_is_worth_nothing_and_what_is_out_is_bounded() {
        let (passes, others) = (Passes::default(), Passes::default());
        let now = Tick(1);
        let theirs = others.draw("gate.test", "/", now).expect("randomness");
        let ours = passes.draw("gate.test", "/", now).expect("randomness");
        for mark in [theirs.as_str(), "", &"0".repeat(32), &ours[1..], &format!("{ours}0")] {
            assert!(!passes.take(&head("GET", "gate.test", "/", mark), now), "{mark}");
        }
        assert!(passes.take(&head("GET", "gate.test", "/", &ours), now), "a guess spends nobody's");
        let all: Vec<String> = (0..OUT + 1).map(|_| passes.draw("gate.test", "/", now).expect("randomness")).collect();
        assert_eq!(lock(&passes.out).len(), OUT);
        assert!(!passes.take(&head("GET", "gate.test", "/", &all[0]), now), "the oldest made room");
        assert!(passes.take(&head("GET", "gate.test", "/", &all[OUT]), now));
    }
}
