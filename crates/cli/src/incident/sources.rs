//! Where the refused requests of an incident came from, counted from single requests: networks, countries, fingerprints, lists.
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
use portcullis_incident::{Countries, Matched, Ranked, Sources};
use portcullis_ledger::Verdict;
use portcullis_store::disk::Directory;
use portcullis_store::requests::{Column, Query, Top, networks, top};
use portcullis_types::Prefix;

use crate::geography::{self, NETWORKS};

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
    let by_network = merged(by_network);
    let file = policy.and_then(|policy| policy.geography.as_deref());
    Ok(Sources {
        from,
        until: end,
        refused,
        countries: file.map(|file| countries(file, &by_network)),
        networks: ranked(&by_network, Top::network),
        prints: ranked(&merged(by_print), |value| Top::shown(Column::Ja4, value)),
        lists: matched(&lists, &by_address),
        unread: String::new(),
    })
}

/// All hours together, the most frequent first. What came without TLS showed no fingerprint.
fn merged(hours: Vec<Top>) -> Top {
    let rows = hours.iter().map(|hour| hour.rows).sum();
    let mut counts: HashMap<Box<[u8]>, u64> = HashMap::new();
    let values = hours.into_iter().flat_map(|hour| hour.values).filter(|(value, _)| !value.is_empty());
    values.for_each(|(value, count)| *counts.entry(value).or_default() += count);
    let mut values: Vec<_> = counts.into_iter().collect();
    values.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    Top { values, rows, short: 0 }
}

fn ranked(all: &Top, shown: impl Fn(&[u8]) -> String) -> Ranked {
    let first = all.values.iter().take(TOLD).map(|(value, count)| (shown(value), *count)).collect();
    Ranked { different: all.values.len() as u64, first }
}

/// The countries of networks, as the file says now. A file that cannot be read is said in the report, too.
fn countries(file: &Path, by_network: &Top) -> Countries {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = match geography::Countries::open(file) {
        Ok(read) => read,
        Err(unread) => return Countries { file: name, unread, ..Countries::default() },
    };
    let looked_up = by_network.values.iter().take(NETWORKS).cloned().collect();
    let mut found = read.ranked(&Top { values: looked_up, rows: by_network.rows, short: 0 }, usize::MAX);
    found.values.retain(|(country, _)| !country.is_empty());
    let named: u64 = found.values.iter().map(|(_, requests)| requests).sum();
    Countries {
        file: name,
        built: read.built(),
        nowhere: by_network.rows.saturating_sub(named),
        named: ranked(&found, |country| String::from_utf8_lossy(country).into_owned()),
        unread: String::new(),
    }
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
    fn countries_are_those_of_the_file_and_what_it_does_not_know_is_counted() {
        let place = tempfile::tempdir().expect("a directory");
        let file = place.path().join("countries.mmdb");
        fs::write(&file, geography::tests::file()).expect("written");
        let hour = |values: &[(&[u8], u64)]| Top {
            values: values.iter().map(|(value, count)| (Box::from(*value), *count)).collect(),
            rows: values.iter().map(|(_, count)| count).sum(),
            short: 0,
        };
        let (danish, swedish): (&[u8], &[u8]) = (&[203, 0, 113], &[198, 51, 100]);
        let both = [hour(&[(danish, 30), (&[10, 0, 0], 5)]), hour(&[(swedish, 40), (danish, 20)])];
        let told = countries(&file, &merged(both.into()));
        assert_eq!((told.file.as_str(), told.built, told.nowhere), ("countries.mmdb", 1_795_302_000_000, 5));
        let named = Ranked { different: 2, first: vec![("DK".to_owned(), 50), ("SE".to_owned(), 40)] };
        assert_eq!((told.named, told.unread.as_str()), (named, ""));
        let gone = countries(&place.path().join("gone.mmdb"), &merged(Vec::new()));
        assert!(!gone.unread.is_empty() && gone.file == "gone.mmdb", "{gone:?}");
    }

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
