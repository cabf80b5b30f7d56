//! What every open screen sees: how everything stands, each second, and what happens in between.
//!
//! It is made once and sent to all. Whoever was away gets what happened since, as far as it is kept, and how everything stands now.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::model::{Happening, Now};

/// Happenings that are kept for whoever was away.
const KEPT: usize = 1_000;
/// Frames that a screen may be behind; then it is sent how everything stands now instead.
const BEHIND: usize = 256;

/// One thing to be sent. Its text is shared by all who get it.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Ascending, also over restarts of the gate.
    pub(crate) id: u64,
    /// `now` or `happening`.
    pub(crate) kind: &'static str,
    /// JSON.
    pub(crate) data: Arc<str>,
}

/// What is live.
#[derive(Debug)]
pub struct Live {
    next: AtomicU64,
    kept: Mutex<Kept>,
    sender: broadcast::Sender<Frame>,
}

#[derive(Debug, Default)]
struct Kept {
    now: Option<(Arc<Now>, Frame)>,
    happenings: VecDeque<Frame>,
}

impl Live {
    /// Begins at a time, in Unix milliseconds, from which its numbers come.
    #[must_use]
    pub fn new(unix_millis: u64) -> Arc<Self> {
        let (sender, _) = broadcast::channel(BEHIND);
        // A thousand frames a millisecond would be needed to meet the numbers of the next process.
        Arc::new(Self { next: AtomicU64::new(unix_millis.saturating_mul(1_000)), kept: Mutex::default(), sender })
    }

    /// Tells all who look that something happened.
    pub fn tell(&self, happening: &Happening) {
        let frame = self.frame("happening", happening);
        let mut kept = self.lock();
        if kept.happenings.len() >= KEPT {
            kept.happenings.pop_front();
        }
        kept.happenings.push_back(frame.clone());
        // Nobody may be looking.
        let _ = self.sender.send(frame);
    }

    /// Tells all who look how everything stands.
    pub(crate) fn stand(&self, now: Now) {
        let frame = self.frame("now", &now);
        let mut kept = self.lock();
        kept.now = Some((Arc::new(now), frame.clone()));
        let _ = self.sender.send(frame);
    }

    /// How everything stood a moment ago.
    pub(crate) fn now(&self) -> Option<Arc<Now>> {
        self.lock().now.as_ref().map(|(now, _)| Arc::clone(now))
    }

    /// What somebody has missed who saw `last`, and all that comes. Whoever saw nothing yet gets the last things that happened.
    pub(crate) fn follow(&self, last: Option<u64>) -> (Vec<Frame>, broadcast::Receiver<Frame>) {
        let kept = self.lock();
        let receiver = self.sender.subscribe();
        let missed = kept.happenings.iter().filter(|frame| last.is_none_or(|last| frame.id > last));
        let missed = missed.chain(kept.now.iter().map(|(_, frame)| frame)).cloned().collect();
        (missed, receiver)
    }

    /// How many look.
    pub(crate) fn viewers(&self) -> usize {
        self.sender.receiver_count()
    }

    fn frame(&self, kind: &'static str, what: &impl serde::Serialize) -> Frame {
        let data = serde_json::to_string(what).unwrap_or_default();
        Frame { id: self.next.fetch_add(1, Ordering::Relaxed), kind, data: data.into() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(words: &str) -> Happening {
        Happening { words: words.to_owned(), ..Happening::default() }
    }

    #[test]
    fn whoever_was_away_gets_what_happened_since_and_how_it_stands() {
        let live = Live::new(7);
        live.tell(&happening("one"));
        live.stand(Now { node: "gate".to_owned(), ..Now::default() });
        live.tell(&happening("two"));
        let words = |frames: &[Frame]| frames.iter().map(|frame| frame.data.to_string()).collect::<Vec<_>>();
        let (all, _) = live.follow(None);
        assert_eq!(all.iter().map(|frame| frame.kind).collect::<Vec<_>>(), ["happening", "happening", "now"]);
        let seen = all[0].id;
        let (missed, mut coming) = live.follow(Some(seen));
        assert!(missed.len() == 2 && words(&missed)[0].contains("two"), "{missed:?}");
        live.tell(&happening("three"));
        assert!(coming.try_recv().expect("it comes").data.contains("three"));
        let later = Live::new(8);
        later.tell(&happening("after a restart"));
        assert_eq!(later.follow(Some(missed[0].id)).0.len(), 1, "numbers go on over a restart");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let live = Live::new(0);
        (0..2 * KEPT).for_each(|_| live.tell(&happening("again")));
        assert_eq!(live.follow(None).0.len(), KEPT);
    }
}
