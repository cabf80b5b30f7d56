//! Names and the addresses that they lead to, as the system's resolver says.
//!
//! Of the domain name system it sees addresses alone: no mail servers, no authorities, no signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use portcullis_config::integrity::Names;
use portcullis_ledger::{Event, Finding};

use crate::low_priority;
use crate::sense::Sense;

/// What cannot be seen.
pub(crate) const BLIND_TO: &str = "records other than addresses (MX, NS, CAA, TXT), what other resolvers are told, and a change at the \
registrar that is taken back between two looks";

/// Addresses of one name that are known: those of a delivery network take turns.
const KNOWN: usize = 256;
/// Looks in which the addresses of a name are learned.
const LEARNING: u32 = 3;

/// What the thread is asked: nothing yet but to end.
pub(crate) enum Ask {}

/// Looks the names up until whoever holds the other end of `asked` goes.
pub(crate) fn run(declared: &Names, sense: &Sense, asked: &Receiver<Ask>) {
    low_priority();
    let mut known: BTreeMap<String, (u32, BTreeSet<IpAddr>)> = BTreeMap::new();
    loop {
        let mut failed = None;
        for name in &declared.names {
            sense.alive();
            match (name.as_str(), 0).to_socket_addrs() {
                Err(error) => {
                    sense.dropped(1);
                    failed = Some(format!("{name}: {error}"));
                }
                Ok(addresses) => {
                    sense.seen(1);
                    let now: BTreeSet<IpAddr> = addresses.map(|address| address.ip()).take(KNOWN).collect();
                    let (looks, before) = known.entry(name.clone()).or_default();
                    compare(name, looks, before, &now, sense);
                }
            }
        }
        let learning = known.values().any(|(looks, _)| *looks < LEARNING);
        match failed {
            Some(why) => sense.blind(&why),
            None if learning => sense.blind("it is learning the addresses"),
            None => sense.up(),
        }
        let list = |(name, (_, addresses)): (&String, &(u32, BTreeSet<IpAddr>))| {
            let addresses: Vec<String> = addresses.iter().take(4).map(IpAddr::to_string).collect();
            format!("{name} is {}", addresses.join(", "))
        };
        sense.words(known.iter().take(8).map(list).collect::<Vec<_>>().join("; "));
        let pause = if learning { Duration::from_secs(2) } else { declared.interval };
        let due = Instant::now() + pause;
        while Instant::now() < due {
            sense.alive();
            match asked.recv_timeout(due.saturating_duration_since(Instant::now()).min(Duration::from_secs(1))) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(ask) => match ask {},
            }
        }
    }
}

fn compare(name: &str, looks: &mut u32, before: &mut BTreeSet<IpAddr>, now: &BTreeSet<IpAddr>, sense: &Sense) {
    let new: Vec<IpAddr> = now.difference(before).copied().collect();
    if *looks < LEARNING {
        *looks += 1;
    } else if !new.is_empty() {
        let list = |addresses: &mut dyn Iterator<Item = &IpAddr>| {
            addresses.map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
        };
        let (was, is) = (list(&mut before.iter()), list(&mut now.iter()));
        sense.record(Event::Finding(Finding {
            what: "dns-changed".to_owned(),
            subject: name.to_owned(),
            before: was,
            after: is,
            words: format!("{name} leads to {}, where it did not", list(&mut new.iter())),
            ..Finding::default()
        }));
    }
    if before.len() + new.len() > KNOWN {
        before.clear();
    }
    before.extend(now);
}
