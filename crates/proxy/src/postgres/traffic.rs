//! What the gate itself did with one server, over all databases that are declared of it: its sessions, and the rows that each role
//! was given through it. What the server's own books say is held against this.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_pgguard::coverage::Own;

/// Roles whose rows are counted apart; what others read is counted together and compared with nothing.
const ROLES: usize = 1024;
/// Sessions that are over here and may not be at the server; beyond it the oldest is forgotten.
const GONE: usize = 16_384;
/// How long a session that is over here may be listed there before it is looked for there.
const LINGERS: Duration = Duration::from_secs(30);

/// One server's.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Sessions that the server has given a process.
    begun: AtomicU64,
    roles: Mutex<BTreeMap<Box<str>, Arc<AtomicU64>>>,
    ends: Mutex<Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    next: u64,
    open: BTreeMap<u64, End>,
    /// The oldest first: the server may still be at work for a session whose application went away.
    gone: VecDeque<(u32, Instant)>,
}

#[derive(Debug)]
enum End {
    /// Our address, until the server has named its process.
    Opening(SocketAddr),
    Process(u32),
}

/// A connection to the server, as long as it lives.
pub(super) struct Held {
    traffic: Arc<Traffic>,
    number: u64,
}

impl Traffic {
    /// A connection was made from this address of ours.
    pub(super) fn hold(self: &Arc<Self>, from: SocketAddr) -> Held {
        let mut ends = self.ends();
        ends.next += 1;
        let number = ends.next;
        ends.open.insert(number, End::Opening(from));
        Held { traffic: Arc::clone(self), number }
    }

    /// Where the rows of a role are counted.
    pub(super) fn role(&self, role: &str) -> Arc<AtomicU64> {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        if roles.len() >= ROLES && !roles.contains_key(role) {
            return Arc::default();
        }
        Arc::clone(roles.entry(role.into()).or_default())
    }

    /// The rows that a role was given so far; `None` where they are not counted apart.
    pub(super) fn rows(&self, role: &str) -> Option<u64> {
        let roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        match roles.get(role) {
            Some(rows) => Some(rows.load(Ordering::Acquire)),
            None => (roles.len() < ROLES).then_some(0),
        }
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// The gate's sessions, those included that the server may not have ended yet.
    pub(super) fn own(&self) -> Own {
        let ends = self.ends();
        let mut own = Own { processes: ends.gone.iter().map(|(process, _)| *process).collect(), ends: BTreeSet::new() };
        for end in ends.open.values() {
            match end {
                End::Process(process) => drop(own.processes.insert(*process)),
                End::Opening(from) => drop(own.ends.insert((from.ip().to_canonical(), from.port()))),
            }
        }
        own
    }

    /// Forgets what is over here and is not at the server either.
    pub(super) fn settle(&self, listed: &BTreeSet<u32>) {
        self.ends().gone.retain(|(process, since)| listed.contains(process) || since.elapsed() < LINGERS);
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The server has named its process.
    pub(super) fn serves(&self, process: u32) {
        let mut ends = self.traffic.ends();
        ends.open.insert(self.number, End::Process(process));
        self.traffic.begun.fetch_add(1, Ordering::Release);
    }
}

/// A session that the gate has with a server beside its relay: neither it nor its rows came past the gate.
pub struct OwnSession {
    held: Held,
    rows: Arc<AtomicU64>,
}

impl OwnSession {
    pub(super) fn new(traffic: &Arc<Traffic>, role: &str, from: SocketAddr) -> Self {
        Self { held: traffic.hold(from), rows: traffic.role(role) }
    }

    /// The server has named its process.
    pub fn serves(&self, process: u32) {
        self.held.serves(process);
    }

    /// It was given rows: they are rows that its role was given, like any other's.
    pub fn rows(&self, count: u64) {
        self.rows.fetch_add(count, Ordering::Release);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ends = self.traffic.ends();
        if let Some(End::Process(process)) = ends.open.remove(&self.number) {
            if ends.gone.len() >= GONE {
                ends.gone.pop_front();
            }
            ends.gone.push_back((process, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_ours_from_its_first_byte_until_the_server_has_ended_it() {
        let traffic = Arc::new(Traffic::default());
        let from: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let held = traffic.hold(from);
        assert_eq!(traffic.own().ends, BTreeSet::from([(from.ip(), 5000)]));
        held.serves(77);
        assert_eq!(traffic.own(), Own { processes: BTreeSet::from([77]), ends: BTreeSet::new() });
        drop(held);
        traffic.settle(&BTreeSet::new());
        assert!(traffic.own().processes.contains(&77), "the server may be at work for it still");
        assert_eq!(traffic.begun(), 1);
        drop(traffic.hold(from));
        assert_eq!(traffic.own().processes.len(), 1, "without a process there is nothing to end");
    }

    #[test]
    fn roles_are_bounded_and_never_wrong() {
        let traffic = Traffic::default();
        for number in 0..ROLES + 10 {
            traffic.role(&format!("role {number}")).fetch_add(2, Ordering::Relaxed);
        }
        assert_eq!(traffic.rows("role 3"), Some(2));
        assert_eq!(traffic.rows(&format!("role {ROLES}")), None, "not counted apart, so not compared");
    }
}
