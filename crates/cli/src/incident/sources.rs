//! Where the refused requests of an incident came from, counted from single requests: networks, fingerprints, lists.
//!
//! What is counted is bounded by time; what cannot be read is said in the report, and costs nothing else of it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::UNIX_EPOCH;

use portcullis_config::Policy;
use portcullis_config::policy::AddressList;
use portcullis_incident::{Matched, Ranked, Sources};
use portcullis_ledger::Verdict;
use portcullis_store::disk::Directory;
use portcullis_store::requests::{Column, Query, Top, networks, top};
use portcullis_types::Prefix;

/// So much of an incident is counted at most, from its beginning on, hour by hour.
const HOURS: u64 = 24;
const HOUR: u64 = 3_600_000;
/// No further hour is begun after so many requests that were refused: a count of each address takes time.
const ENOUGH: u64 = 1_000_000;
/// Names that are handed on of each kind.
const TOLD: usize = 10;
const THREADS: usize = 2;

/// Counts.
pub(super) fn sources(directory: &Path, policy: Option<&Policy>, (from, until): (u64, u64)) -> Sources {
    // The end itself belongs to it.
    let until = until.saturating_add(1).min(from.saturating_add(HOURS * HOUR));
    let counted = count(directory, policy, (from, until));
    counted.unwrap_or_else(|error| Sources { from, until, unread: error.to_string(), ..Sources::default() })
}

fn count(directory: &Path, policy: Option<&Policy>, (from, until): (u64, u64)) -> io::Result<Sources> {
    let disk = Directory::at(directory);
    let lists: Vec<&AddressList> = policy.iter().flat_map(|policy| &policy.lists).collect();
    let [mut by_network, mut by_print, mut by_address] = [const { Vec::new() }; 3];
    let (mut refused, mut end) = (0, from);
    while end < until && refused < ENOUGH {
        let begin = end;
        end = (begin / HOUR * HOUR + HOUR).min(until);
        let only = vec![(Column::Verdict, vec![Verdict::Refused as u8])];
        let query = Query { from: begin, until: end, only };
        let found = networks(&disk, usize::MAX, &query, THREADS)?;
        refused += found.rows;
        if found.rows == 0 {
            continue;
        }
        by_network.push(found);
        by_print.push(top(&disk, Column::Ja4, usize::MAX, &query, THREADS)?);
        if !lists.is_empty() {
            by_address.push(top(&disk, Column::Client, usize::MAX, &query, THREADS)?);
        }
    }
    Ok(Sources {
        from,
        until: end,
        refused,
        networks: ranked(by_network, Top::network),
        prints: ranked(by_print, |value| Top::shown(Column::Ja4, value)),
        lists: matched(&lists, &by_address),
        unread: String::new(),
    })
}

/// All hours together. What came without TLS showed no fingerprint.
fn ranked(hours: Vec<Top>, shown: impl Fn(&[u8]) -> String) -> Ranked {
    let mut counts: HashMap<Box<[u8]>, u64> = HashMap::new();
    let values = hours.into_iter().flat_map(|hour| hour.values).filter(|(value, _)| !value.is_empty());
    values.for_each(|(value, count)| *counts.entry(value).or_default() += count);
    let different = counts.len() as u64;
    let mut first: Vec<_> = counts.into_iter().collect();
    first.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    Ranked { different, first: first.iter().take(TOLD).map(|(value, count)| (shown(value), *count)).collect() }
}

/// Of each list what was met, where anything was.
fn matched(lists: &[&AddressList], hours: &[Top]) -> Vec<Matched> {
    let of_list = |list: &&AddressList| {
        let prefixes: HashSet<Prefix> = list.prefixes.iter().copied().collect();
        let lengths: HashSet<(bool, u8)> =
            prefixes.iter().map(|prefix| (prefix.network().is_ipv4(), prefix.length())).collect();
        let on_it = |address: IpAddr| {
            let of_family = lengths.iter().filter(|(v4, _)| *v4 == address.is_ipv4());
            of_family.into_iter().any(|(_, length)| prefixes.contains(&Prefix::new(address, *length)))
        };
        let clients = hours.iter().flat_map(|hour| &hour.values);
        let requests = clients.filter(|(value, _)| address(value).is_some_and(on_it));
        let requests = requests.map(|(_, count)| count).sum();
        (requests > 0).then(|| Matched {
            list: list.name.clone(),
            requests,
            dated: list.file.as_deref().and_then(dated),
        })
    };
    lists.iter().filter_map(of_list).collect()
}

/// An address as it is kept: four bytes or sixteen.
fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|octets| Ipv4Addr::from(octets).into()),
        _ => <[u8; 16]>::try_from(value).ok().map(|octets| Ipv6Addr::from(octets).into()),
    }
}

/// When a file was written, in milliseconds since 1970.
fn dated(file: &Path) -> Option<u64> {
    let written = fs::metadata(file).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(written.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use portcullis_types::{ListAction, Mode};

    use super::*;

    #[test]
    fn a_list_is_met_by_its_addresses_and_by_no_others() {
        let list = |name: &str, prefixes: &[&str]| AddressList {
            name: name.to_owned(),
            action: ListAction::Deny,
            mode: Mode::Observe,
            file: None,
            prefixes: prefixes.iter().map(|text| Prefix::parse(text).expect("a prefix")).collect(),
            declared: Vec::new(),
        };
        let (one, other, none) = (
            list("one", &["203.0.113.0/24", "10.0.0.1"]),
            list("other", &["2001:db8::/32"]),
            list("none", &["192.0.2.0/24"]),
        );
        let v6: Ipv6Addr = "2001:db8::7".parse().expect("an address");
        let values: Vec<(Box<[u8]>, u64)> = vec![
            (Box::from([203, 0, 113, 9]), 5),
            (Box::from([10, 0, 0, 1]), 2),
            (Box::from([10, 0, 0, 2]), 100),
            (Box::from(v6.octets()), 3),
        ];
        let met = matched(&[&one, &other, &none], &[Top { values, rows: 110, short: 0 }]);
        let met: Vec<(&str, u64)> = met.iter().map(|matched| (matched.list.as_str(), matched.requests)).collect();
        assert_eq!(met, [("one", 7), ("other", 3)]);
    }
}
