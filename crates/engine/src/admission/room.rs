//! The waiting room: who came first goes in first, as fast as the platform has room.
//!
//! The gate keeps no list of who waits: a ticket carries its time of arrival, and here stands only how many tickets were
//! given out by the end of each second, and how many of them have been called. Tickets older than an hour are called.

use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds that are remembered.
const SECONDS: usize = 3600;
/// Of a word, the bits that count tickets; the others hold the second.
const COUNT: u64 = u32::MAX as u64;

/// Tickets of one platform.
#[derive(Debug)]
pub(crate) struct Room {
    /// Tickets that were ever given out; the lower 32 bits of it stand in `seconds`.
    given: AtomicU64,
    /// Of these, called.
    called: AtomicU64,
    /// By second modulo [`SECONDS`]: the second in the upper half, what was given out by its end in the lower.
    seconds: Box<[AtomicU64]>,
}

impl Default for Room {
    fn default() -> Self {
        let seconds = (0..SECONDS).map(|_| AtomicU64::new(0)).collect();
        Self { given: AtomicU64::new(0), called: AtomicU64::new(0), seconds }
    }
}

impl Room {
    pub(crate) const fn bytes(&self) -> usize {
        self.seconds.len() * size_of::<AtomicU64>()
    }

    /// One more ticket, given out at `wall` (unix milliseconds). How many stand before it.
    pub(crate) fn give(&self, wall: u64) -> u32 {
        let given = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let second = wall / 1000;
        if let Some(word) = self.word(second) {
            word.fetch_max((second & COUNT) << 32 | (given & COUNT), Ordering::Relaxed);
        }
        self.before(given - 1)
    }

    /// How many stand before a ticket of that time.
    pub(crate) fn ahead(&self, arrived: u64) -> u32 {
        self.by(arrived / 1000).map_or(0, |given| self.before(given))
    }

    /// How many wait.
    pub(crate) fn backlog(&self) -> u32 {
        self.before(self.given.load(Ordering::Relaxed))
    }

    /// Calls everybody: the room opens, or closes.
    pub(crate) fn call_all(&self) {
        self.called.store(self.given.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Calls so many more, of those who came after `from` (unix milliseconds) and before `wall`. Until when tickets are
    /// called now.
    pub(crate) fn call(&self, more: u32, from: u64, wall: u64) -> u64 {
        let given = self.given.load(Ordering::Relaxed);
        let called = (self.called.load(Ordering::Relaxed) + u64::from(more)).min(given);
        self.called.store(called, Ordering::Relaxed);
        if called == given {
            return wall;
        }
        // The first second by whose end more tickets were given out than are called holds the boundary.
        let first = (from / 1000).max((wall / 1000).saturating_sub(SECONDS as u64 - 1));
        let mut before = None;
        for second in first..=wall / 1000 {
            let Some(by) = self.by(second) else { continue };
            if by > called {
                let begun = before.unwrap_or(by.saturating_sub(1)).min(called);
                let share = (called - begun) * 1000 / (by - begun).max(1);
                return (second * 1000 + share).clamp(from, wall);
            }
            before = Some(by);
        }
        from.min(wall)
    }

    fn before(&self, number: u64) -> u32 {
        u32::try_from(number.saturating_sub(self.called.load(Ordering::Relaxed))).unwrap_or(u32::MAX)
    }

    /// What was given out by the end of that second; nothing where no ticket was given out in it or it is forgotten.
    fn by(&self, second: u64) -> Option<u64> {
        let word = self.word(second)?.load(Ordering::Relaxed);
        if word >> 32 != second & COUNT || word == 0 {
            return None;
        }
        let given = self.given.load(Ordering::Relaxed);
        // The lower halves tell the difference, whatever the upper ones are.
        Some(given - ((given & COUNT).wrapping_sub(word & COUNT) & COUNT))
    }

    fn word(&self, second: u64) -> Option<&AtomicU64> {
        self.seconds.get(usize::try_from(second % SECONDS as u64).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: u64 = 1_800_000_000_000;

    #[test]
    fn who_came_first_is_called_first() {
        let room = Room::default();
        for at in 0..100 {
            assert_eq!(room.give(WALL + at * 100), u32::try_from(at).unwrap());
        }
        assert_eq!(room.backlog(), 100);
        let now = WALL + 10_000;
        let until = room.call(25, WALL, now);
        assert!((WALL + 2_300..=WALL + 2_700).contains(&until), "{}", until - WALL);
        assert_eq!(room.backlog(), 75);
        assert!(room.ahead(WALL + 9_900) > 60 && room.ahead(WALL) == 0);
        let further = room.call(25, until, now + 100);
        assert!(further > until);
        assert_eq!(room.call(1000, further, now + 200), now + 200, "all are called");
        assert_eq!(room.backlog(), 0);
    }

    #[test]
    fn nobody_waits_for_those_who_never_came() {
        let room = Room::default();
        room.give(WALL);
        room.call_all();
        assert_eq!(room.give(WALL + 60_000), 0);
        assert_eq!(room.call(0, WALL, WALL + 61_000), WALL + 60_000, "one waits, and whoever came before it may go");
        assert_eq!(room.call(1, WALL, WALL + 61_000), WALL + 61_000);
    }

    #[test]
    fn a_ticket_older_than_the_memory_has_nobody_before_it() {
        let room = Room::default();
        room.give(WALL);
        for second in 1..=4000 {
            room.give(WALL + second * 1000);
        }
        assert_eq!(room.ahead(WALL), 0);
    }
}
