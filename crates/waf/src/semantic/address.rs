//! Would the server fetch from where the visitor cannot?
//!
//! Hosts are read as programs read them: dotted, decimal, octal, hexadecimal, short, in brackets, mapped to IPv6, as names that
//! lead there.

use super::finding::{Class, Look, Place, Report};
use super::scan::has;
use super::text::{any, at, begins, from, part};
use crate::bytes::find_pair;

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let text = look.text;
    if matches!(look.place, Place::Header) && !look.name.eq_ignore_ascii_case(b"x-forwarded-host")
        || matches!(look.place, Place::File)
    {
        return;
    }
    if !(look.seen.bytes(has::COLON) && look.seen.bytes(has::SLASH)) {
        return;
    }
    let mut next = 0;
    while let Some(mark) = find_pair(from(text, next), [b'/', b'/']).map(|mark| mark + next) {
        next = mark + 2;
        if mark == 0 || at(text, mark - 1) != b':' {
            continue;
        }
        let scheme = text.get(..mark - 1).unwrap_or_default();
        let length = scheme
            .iter()
            .rev()
            .take(16)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'))
            .count();
        let scheme = from(scheme, scheme.len() - length);
        // What ends an authority begins the next one's slashes at the latest, so none is read twice.
        let rest = from(text, mark + 2);
        let authority = part(
            rest,
            0,
            rest.iter()
                .position(|byte| matches!(byte, b'/' | b'?' | b'#' | b' ' | b'"' | b'\'' | b'\\' | b'<' | b'>'))
                .unwrap_or(rest.len()),
        );
        let host = memchr::memrchr(b'@', authority).map_or(authority, |user| from(authority, user + 1));
        let span = (mark - 1 - length, mark + 2 + authority.len());
        let whole = mark - 1 == length;
        let odd = [&b"gopher"[..], b"dict", b"ldap", b"ldaps", b"tftp", b"sftp", b"netdoc", b"jar", b"smb", b"rmi"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        if odd {
            report.add(Class::Ssrf, if whole { 5 } else { 3 }, span, "an address with a scheme that no page has");
        }
        let web = [&b"http"[..], b"https", b"ftp", b"ws", b"wss", b"url", b"gopher", b"dict"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        if !web || host.is_empty() {
            continue;
        }
        let (why_own, why_meta) = ("an address of this machine", "the address of a cloud's metadata");
        match reach(host) {
            Reach::Metadata => report.add(Class::Ssrf, 6, span, why_meta),
            // Developers send their own addresses about; in another notation nobody does.
            Reach::Own { hidden } => {
                let asked = whole
                    && matches!(look.place, Place::Query | Place::Form | Place::Json | Place::Xml)
                    && names_address(look.name);
                // To the front page of one's own machine leads what a developer's page tells of itself.
                let deep = !from(rest, authority.len() + 1).is_empty();
                let plain = 2 + 2 * u8::from(asked) + u8::from(asked && deep);
                report.add(Class::Ssrf, if hidden { 5 } else { plain }, span, why_own);
            }
            Reach::Elsewhere => {}
        }
    }
}

/// Whether a parameter's name says that its value is fetched.
fn names_address(name: &[u8]) -> bool {
    let last = name.rsplit(|byte| matches!(byte, b'.' | b'[')).next().unwrap_or(name);
    let last = last.strip_suffix(b"]").unwrap_or(last);
    any(
        last,
        &[
            b"url",
            b"uri",
            b"link",
            b"src",
            b"host",
            b"callback",
            b"webhook",
            b"feed",
            b"proxy",
            b"fetch",
            b"dest",
            b"target",
            b"site",
            b"image",
            b"load",
            b"domain",
            b"endpoint",
            b"stockapi",
        ],
    ) && !any(last, &[b"ref", b"return", b"page", b"redirect", b"origin"])
}

#[derive(Debug, PartialEq, Eq)]
enum Reach {
    /// Where clouds keep a machine's secrets.
    Metadata,
    /// This machine.
    Own {
        /// In a notation that is not the usual one.
        hidden: bool,
    },
    Elsewhere,
}

/// Where a host leads.
fn reach(host: &[u8]) -> Reach {
    if let Some(inner) = host.strip_prefix(b"[") {
        let inner = part(inner, 0, memchr::memchr(b']', inner).unwrap_or(inner.len()));
        let text = std::str::from_utf8(inner).unwrap_or_default();
        let Ok(address) = text.parse::<std::net::Ipv6Addr>() else { return Reach::Elsewhere };
        let embedded = address
            .to_ipv4_mapped()
            .or_else(|| address.to_ipv4())
            .filter(|_| !address.is_loopback() && !address.is_unspecified());
        return match embedded {
            Some(inner) if is_metadata(inner) => Reach::Metadata,
            Some(inner) if inner.is_loopback() => Reach::Own { hidden: true },
            _ if address.is_loopback() || address.is_unspecified() => Reach::Own { hidden: !matches!(inner, b"::1") },
            _ if address.segments() == [0xFD00, 0xEC2, 0, 0, 0, 0, 0, 0x254] => Reach::Metadata,
            _ => Reach::Elsewhere,
        };
    }
    let host = part(host, 0, memchr::memchr(b':', host).unwrap_or(host.len()));
    let host = host.strip_suffix(b".").unwrap_or(host);
    let names = [
        &b"metadata.google.internal"[..],
        b"metadata.goog",
        b"instance-data",
        b"metadata.azure.internal",
        b"metadata.packet.net",
    ];
    if names.iter().any(|name| host.eq_ignore_ascii_case(name)) {
        return Reach::Metadata;
    }
    if host.eq_ignore_ascii_case(b"localhost") {
        return Reach::Own { hidden: false };
    }
    let leads = [&b".nip.io"[..], b".xip.io", b".sslip.io"]
        .iter()
        .any(|suffix| host.len() > suffix.len() && begins(from(host, host.len() - suffix.len()), suffix));
    if leads && any(host, &[b"127.0.0.1", b"169.254.169.254", b"127-0-0-1", b"169-254-169-254"])
        || any(host, &[b"localtest.me", b"spoofed.burpcollaborator", b"lvh.me"]) && host.len() < 64
    {
        return Reach::Own { hidden: true };
    }
    match number(host) {
        Some((address, _)) if is_metadata(address) => Reach::Metadata,
        Some((address, hidden)) if address.is_loopback() || address.is_unspecified() => Reach::Own { hidden },
        _ => Reach::Elsewhere,
    }
}

fn is_metadata(address: std::net::Ipv4Addr) -> bool {
    matches!(address.octets(), [169, 254, 169, 254] | [169, 254, 170, 2] | [100, 100, 100, 200] | [192, 0, 0, 192])
}

/// An IPv4 address in any notation that `inet_aton` takes, and whether it is not the usual one.
fn number(host: &[u8]) -> Option<(std::net::Ipv4Addr, bool)> {
    let mut parts = [0_u64; 4];
    let mut count = 0;
    let mut hidden = false;
    for piece in host.split(|byte| *byte == b'.') {
        let (digits, radix) = match piece {
            [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
            [b'0', rest @ ..] if !rest.is_empty() => (rest, 8),
            rest => (rest, 10),
        };
        hidden |= radix != 10;
        let value = u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix)
            .ok()
            .filter(|value| *value <= u64::from(u32::MAX))?;
        *parts.get_mut(count)? = value;
        count += 1;
    }
    hidden |= count != 4;
    let last = parts.get(count.checked_sub(1)?)?;
    let mut address = *last;
    for (index, value) in parts.iter().take(count - 1).enumerate() {
        if *value > 255 {
            return None;
        }
        address |= value << (24 - 8 * index);
    }
    let room = 8 * (5 - count as u32);
    (room >= 32 || *last < 1 << room)
        .then(|| u32::try_from(address).ok().map(|address| (address.into(), hidden)))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lead_where_programs_go() {
        let own = |hidden| Reach::Own { hidden };
        for (host, expected) in [
            ("169.254.169.254", Reach::Metadata),
            ("2852039166", Reach::Metadata),
            ("0xA9FEA9FE", Reach::Metadata),
            ("0251.0376.0251.0376", Reach::Metadata),
            ("[::ffff:169.254.169.254]", Reach::Metadata),
            ("metadata.google.internal", Reach::Metadata),
            ("localhost", own(false)),
            ("127.0.0.1:80", own(false)),
            ("127.1", own(true)),
            ("2130706433", own(true)),
            ("0x7f.1", own(true)),
            ("[::1]", own(false)),
            ("[::ffff:7f00:1]", own(true)),
            ("127.0.0.1.nip.io", own(true)),
            ("example.org", Reach::Elsewhere),
            ("10.0.0.1", Reach::Elsewhere),
            ("1.2.3.4.5", Reach::Elsewhere),
            ("300.1", Reach::Elsewhere),
            ("", Reach::Elsewhere),
        ] {
            assert_eq!(reach(host.as_bytes()), expected, "{host}");
        }
    }
}
