//! Prepared statements and portals by name, as the server will know them.
//!
//! Statements of the protocol and of SQL (`PREPARE`) share one space of names in the server, and so they do here. What
//! was sent and not yet answered is found first: whoever pipelines a `Bind` means that one, and should the server refuse
//! it, it also skips the `Bind`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::policy::Verdict;

/// A statement that can be run by name.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) verdict: Arc<Verdict>,
    /// Which statement of the verdict; one inside `PREPARE` has the place of the outer one.
    pub(super) at: usize,
    /// Whether its columns are sensitive, once the server has described them.
    pub(super) sensitive: OnceLock<bool>,
}

impl Plan {
    pub(super) fn new(verdict: Arc<Verdict>) -> Self {
        Self::at(verdict, 0)
    }

    pub(super) fn at(verdict: Arc<Verdict>, at: usize) -> Self {
        Self { verdict, at, sensitive: OnceLock::new() }
    }
}

/// All of one session.
#[derive(Debug)]
pub(super) struct Plans {
    statements: BTreeMap<Box<[u8]>, Slot>,
    portals: BTreeMap<Box<[u8]>, Arc<Plan>>,
    most: usize,
}

#[derive(Debug, Default)]
struct Slot {
    /// What the server has.
    held: Option<Arc<Plan>>,
    /// What was sent last and is not answered.
    sent: Option<Arc<Plan>>,
    /// How many are not answered.
    open: u32,
}

impl Plans {
    pub(super) fn new(most: usize) -> Self {
        Self { statements: BTreeMap::new(), portals: BTreeMap::new(), most }
    }

    /// Whether there is room for one more of that name.
    pub(super) fn has_room(&self, name: &[u8]) -> bool {
        self.statements.len() + self.portals.len() < self.most || self.statements.contains_key(name)
    }

    /// What a `Bind` or `EXECUTE` of that name runs.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Arc<Plan>> {
        self.statements.get(name).and_then(|slot| slot.sent.as_ref().or(slot.held.as_ref()))
    }

    /// The name goes to the server.
    pub(super) fn begin(&mut self, name: &[u8], plan: &Arc<Plan>) {
        match self.statements.get_mut(name) {
            Some(slot) => {
                slot.sent = Some(Arc::clone(plan));
                slot.open += 1;
            }
            None => {
                self.statements.insert(name.into(), Slot { held: None, sent: Some(Arc::clone(plan)), open: 1 });
            }
        }
    }

    /// The server has taken it.
    pub(super) fn commit(&mut self, name: &[u8], plan: &Arc<Plan>) {
        if let Some(slot) = self.statements.get_mut(name) {
            slot.held = Some(Arc::clone(plan));
            slot.settle();
        }
    }

    /// The server has not taken it.
    pub(super) fn abandon(&mut self, name: &[u8]) {
        if let Some(slot) = self.statements.get_mut(name) {
            slot.settle();
            if slot.open == 0 && slot.held.is_none() {
                self.statements.remove(name);
            }
        }
    }

    /// The server has it no more.
    pub(super) fn close(&mut self, name: &[u8]) {
        if let Some(slot) = self.statements.get_mut(name) {
            slot.held = None;
            if slot.open == 0 {
                self.statements.remove(name);
            }
        }
    }

    /// The server has none any more.
    pub(super) fn close_all(&mut self) {
        self.statements.retain(|_, slot| {
            slot.held = None;
            slot.open > 0
        });
    }

    pub(super) fn portal(&self, name: &[u8]) -> Option<&Arc<Plan>> {
        self.portals.get(name)
    }

    /// A portal is bound; `false` where there is no room for its name.
    pub(super) fn open_portal(&mut self, name: &[u8], plan: Option<&Arc<Plan>>) -> bool {
        let Some(plan) = plan else {
            self.portals.remove(name);
            return true;
        };
        if let Some(known) = self.portals.get_mut(name) {
            *known = Arc::clone(plan);
        } else if self.statements.len() + self.portals.len() < self.most {
            self.portals.insert(name.into(), Arc::clone(plan));
        } else {
            return false;
        }
        true
    }

    pub(super) fn close_portal(&mut self, name: &[u8]) {
        self.portals.remove(name);
    }

    /// Portals do not outlive their transaction. The unnamed one is left in its place: it is the next to be bound.
    pub(super) fn close_portals(&mut self) {
        if self.portals.len() > 1 {
            self.portals.retain(|name, _| name.is_empty());
        }
    }
}

impl Slot {
    fn settle(&mut self) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.sent = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Ruling;

    fn plan() -> Arc<Plan> {
        Arc::new(Plan::new(Arc::new(Verdict { ruling: Ruling::Pass, statements: Arc::from([]) })))
    }

    fn is(plans: &Plans, name: &[u8], plan: &Arc<Plan>) -> bool {
        plans.find(name).is_some_and(|found| Arc::ptr_eq(found, plan))
    }

    #[test]
    fn what_was_sent_is_found_before_the_server_has_it_and_what_it_refused_is_forgotten() {
        let (mut plans, first, second) = (Plans::new(10), plan(), plan());
        plans.begin(b"a", &first);
        assert!(is(&plans, b"a", &first));
        plans.commit(b"a", &first);
        plans.begin(b"a", &second);
        assert!(is(&plans, b"a", &second), "a pipelined Bind means the newer one");
        plans.abandon(b"a");
        assert!(is(&plans, b"a", &first), "the server refused a name that it had");
        plans.close(b"a");
        assert!(plans.find(b"a").is_none());
        plans.begin(b"b", &first);
        plans.abandon(b"b");
        assert!(plans.statements.is_empty());
    }

    #[test]
    fn names_are_bounded() {
        let (mut plans, one) = (Plans::new(3), plan());
        for name in [b"a", b"b"] {
            assert!(plans.has_room(name));
            plans.begin(name, &one);
            plans.commit(name, &one);
        }
        assert!(plans.open_portal(b"", Some(&one)));
        assert!(!plans.open_portal(b"p", Some(&one)));
        assert!(plans.open_portal(b"", Some(&one)), "a name that is held may be bound again");
        assert!(!plans.has_room(b"c"));
        assert!(plans.has_room(b"a"));
        plans.close_all();
        assert!(plans.has_room(b"c") && plans.find(b"a").is_none());
    }
}
