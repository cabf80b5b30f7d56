//! What will happen, in order. Of two things at the same time the one that was noted first comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use portcullis_types::Tick;

/// Events to come.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    noted: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: u64,
    order: u64,
    event: E,
}

impl<E> Agenda<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), noted: 0 }
    }

    pub(crate) fn note(&mut self, at: Tick, event: E) {
        self.noted += 1;
        self.heap.push(Reverse(Entry { at: at.0, order: self.noted, event }));
    }

    /// The next event, if it comes before `end`.
    pub(crate) fn next(&mut self, end: Tick) -> Option<(Tick, E)> {
        if self.heap.peek()?.0.at >= end.0 {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (Tick(entry.at), entry.event))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_then_of_noting() {
        let mut agenda = Agenda::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b'), (9, 'z')] {
            agenda.note(Tick(at), event);
        }
        let mut came = String::new();
        while let Some((_, event)) = agenda.next(Tick(9)) {
            came.push(event);
        }
        assert_eq!(came, "abcd", "and what lies at the end does not come");
    }
}
