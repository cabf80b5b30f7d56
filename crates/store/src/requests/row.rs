//! A request as it waits in memory: numbers first, then its names, each with its length. Nothing is looked up and nothing is
//! allocated, so that telling costs its caller a copy.

use std::net::IpAddr;

use portcullis_ledger::{Request, Verdict};

/// Bytes of one name at most; what is longer is cut.
pub(crate) const NAME_BYTES: usize = 255;
/// Names of a row: platform, route, class, audience, fingerprint, reason.
pub(crate) const NAMES: usize = 6;
/// Bytes of a row at most.
pub(crate) const ROW_BYTES: usize = HEAD + NAMES * (1 + NAME_BYTES);
const HEAD: usize = 8 + 16 + 1 + 2 + 8 + 8 + 4 + 4;

/// A row, read where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) unix_millis: u64,
    /// IPv4 as IPv6 has it.
    pub(crate) client: [u8; 16],
    pub(crate) verdict: u8,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) micros: u32,
    pub(crate) waited: u32,
    /// Platform, route, class, audience, fingerprint, reason.
    pub(crate) names: [&'a [u8]; NAMES],
}

/// Appends a request.
pub(crate) fn write(request: &Request<'_>, out: &mut Vec<u8>) {
    let client = match request.client {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&request.unix_millis.to_le_bytes());
    out.extend_from_slice(&client);
    out.push(request.verdict as u8);
    out.extend_from_slice(&request.status.to_le_bytes());
    out.extend_from_slice(&request.bytes_in.to_le_bytes());
    out.extend_from_slice(&request.bytes_out.to_le_bytes());
    out.extend_from_slice(&short(request.micros));
    out.extend_from_slice(&short(request.waited_micros));
    for name in [request.platform, request.route, request.class, request.audience, request.ja4, request.reason] {
        let name = name.as_bytes().get(..NAME_BYTES).unwrap_or(name.as_bytes());
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name);
    }
}

/// The rows in what was written, up to the first that is not whole.
pub(crate) fn rows(mut bytes: &[u8]) -> impl Iterator<Item = Row<'_>> {
    std::iter::from_fn(move || {
        let (row, rest) = read(bytes)?;
        bytes = rest;
        Some(row)
    })
}

fn read(bytes: &[u8]) -> Option<(Row<'_>, &[u8])> {
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (head, tail) = rest.split_first_chunk::<N>()?;
        *rest = tail;
        Some(*head)
    }
    let mut rest = bytes;
    let unix_millis = u64::from_le_bytes(take(&mut rest)?);
    let client = take(&mut rest)?;
    let [verdict] = take(&mut rest)?;
    let status = u16::from_le_bytes(take(&mut rest)?);
    let bytes_in = u64::from_le_bytes(take(&mut rest)?);
    let bytes_out = u64::from_le_bytes(take(&mut rest)?);
    let micros = u32::from_le_bytes(take(&mut rest)?);
    let waited = u32::from_le_bytes(take(&mut rest)?);
    let mut names = [&rest[..0]; NAMES];
    for name in &mut names {
        let (length, tail) = rest.split_first()?;
        (*name, rest) = tail.split_at_checked(usize::from(*length))?;
    }
    Some((Row { unix_millis, client, verdict, status, bytes_in, bytes_out, micros, waited, names }, rest))
}

impl Row<'_> {
    /// What became of it.
    pub(crate) fn verdict(&self) -> Verdict {
        let all = [Verdict::Served, Verdict::Refused, Verdict::Failed, Verdict::Challenged, Verdict::Roomed];
        all.into_iter().find(|verdict| *verdict as u8 == self.verdict).unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request that was served.
    pub(crate) fn served<'a>(millis: u64, platform: &'a str, client: &str) -> Request<'a> {
        Request {
            unix_millis: millis,
            platform,
            route: "/**",
            class: "page",
            audience: "human",
            client: client.parse().expect("an address"),
            ja4: "t13d1516h2_8daaf6152771_e5627efa2ab1",
            verdict: Verdict::Served,
            reason: "",
            status: 200,
            bytes_in: 300,
            bytes_out: 12_000,
            micros: 2_000,
            waited_micros: 0,
        }
    }

    #[test]
    fn a_row_reads_back_whatever_its_names() {
        let long = "é".repeat(300);
        let mut bytes = Vec::new();
        write(&served(7, "public", "203.0.113.9"), &mut bytes);
        write(&Request { route: &long, verdict: Verdict::Roomed, ..served(8, &long, "2001:db8::1") }, &mut bytes);
        assert!(bytes.len() <= 2 * ROW_BYTES);
        let rows: Vec<Row<'_>> = rows(&bytes).collect();
        assert_eq!((rows[0].unix_millis, rows[0].names[0], rows[0].status), (7, &b"public"[..], 200));
        assert_eq!((rows[1].names[1].len(), rows[1].verdict()), (NAME_BYTES, Verdict::Roomed));
        assert_eq!(super::rows(&bytes[..bytes.len() - 1]).count(), 1, "what is not whole is none");
    }
}
