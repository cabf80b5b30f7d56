//! What inspection needs for one request and can use for the next: each worker keeps some of it.
//!
//! It never keeps what one request has grown far beyond the others.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use portcullis_waf::body::Fields;
use portcullis_waf::seclang::{Peer, Program, Transaction};
use portcullis_waf::semantic::Findings;

/// Transactions that are kept, and rooms.
const SPARES: usize = 16;
/// Messages of a second that are looked at once more, so that their records tell everything.
const GATHERED: u32 = 20;
/// Longer ones are not.
const GATHERED_BYTES: usize = 64 << 10;
/// A transaction that holds more is not kept.
const HELD_BYTES: usize = 1 << 20;

/// What a worker keeps.
#[derive(Default)]
pub(crate) struct Desk {
    #[expect(clippy::vec_box, reason = "they go from request to request without being moved")]
    transactions: RefCell<Vec<Box<Transaction>>>,
    rooms: RefCell<Vec<Room>>,
    /// The second in which records were gathered last, and how many.
    gathered: Cell<(u64, u32)>,
}

/// Where the gate's own detection works.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) findings: Findings,
    pub(crate) fields: Fields,
}

impl Desk {
    /// A transaction of these rules, begun.
    pub(crate) fn transaction(&self, program: &Arc<Program>, peer: &Peer<'_>) -> Box<Transaction> {
        let mut kept = self.transactions.borrow_mut();
        // One that ran the same rules has planned for them.
        let same = kept.iter().position(|transaction| transaction.runs(program)).or(kept.len().checked_sub(1));
        match same.map(|at| kept.swap_remove(at)) {
            Some(mut transaction) => {
                transaction.reset(program, peer);
                transaction
            }
            None => Box::new(Transaction::new(program, peer)),
        }
    }

    /// Takes one back.
    pub(crate) fn keep(&self, transaction: Box<Transaction>) {
        let mut kept = self.transactions.borrow_mut();
        if kept.len() < SPARES && transaction.held() <= HELD_BYTES {
            kept.push(transaction);
        }
    }

    /// An empty room.
    pub(crate) fn room(&self) -> Room {
        let mut room = self.rooms.borrow_mut().pop().unwrap_or_default();
        room.findings.clear();
        room
    }

    /// Takes it back.
    pub(crate) fn leave(&self, room: Room) {
        let mut rooms = self.rooms.borrow_mut();
        if rooms.len() < SPARES {
            rooms.push(room);
        }
    }

    /// Whether a message may be looked at once more, for its record: a flood of them is not to cost twice.
    pub(crate) fn may_gather(&self, second: u64, bytes: usize) -> bool {
        let (known, count) = self.gathered.get();
        let count = if known == second { count } else { 0 };
        if count >= GATHERED || bytes > GATHERED_BYTES {
            return false;
        }
        self.gathered.set((second, count + 1));
        true
    }

    /// Lets go of the rules of a policy that is no more.
    pub(crate) fn forget(&self) {
        self.transactions.borrow_mut().clear();
    }
}
