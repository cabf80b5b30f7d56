//! Announced events: a debate, a launch, polling day.
//!
//! From the announcement on, but at most a week before, what is ordinary stays what it was then, so that the growth before
//! the event does not become the measure of the attack that comes with it. While the event runs, the gate arms early.

use serde::{Deserialize, Serialize};

use super::status::EventStatus;

/// Events that are kept.
const MOST: usize = 64;
/// So many milliseconds before an event the gate stops learning at the earliest.
const AHEAD: u64 = 7 * 86_400_000;
/// Bytes of a name.
const NAME: usize = 128;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) name: String,
    /// All of them without.
    pub(crate) platform: Option<String>,
    /// Unix milliseconds.
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// All that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Events(Vec<Event>);

impl Events {
    /// # Errors
    /// When the times do not make sense, the name is taken, or there are too many.
    pub(crate) fn add(&mut self, event: Event, wall: u64) -> Result<(), String> {
        self.forget(wall);
        if event.name.trim().is_empty() || event.name.len() > NAME {
            return Err(format!("an event's name has 1 to {NAME} bytes"));
        }
        if event.until <= event.from {
            return Err("the event ends before it begins".to_owned());
        }
        if event.until <= wall {
            return Err("the event is already over".to_owned());
        }
        if self.0.iter().any(|known| known.name == event.name) {
            return Err(format!("there is an event {} already; cancel it first", event.name));
        }
        if self.0.len() >= MOST {
            return Err(format!("there are {MOST} events already"));
        }
        self.0.push(event);
        Ok(())
    }

    /// Takes one back.
    pub(crate) fn cancel(&mut self, name: &str) -> Option<Event> {
        let position = self.0.iter().position(|event| event.name == name)?;
        Some(self.0.remove(position))
    }

    /// Leaves out those that are over.
    pub(crate) fn forget(&mut self, wall: u64) {
        self.0.retain(|event| event.until > wall);
    }

    /// The first that pins that platform now: announced, near and not over.
    pub(crate) fn pinning(&self, platform: &str, wall: u64) -> Option<&Event> {
        self.of(platform).find(|event| event.from.saturating_sub(AHEAD) <= wall && wall < event.until)
    }

    /// Whether one of that platform runs now.
    pub(crate) fn is_running(&self, platform: &str, wall: u64) -> bool {
        self.of(platform).any(|event| event.from <= wall && wall < event.until)
    }

    pub(crate) fn status(&self) -> Vec<EventStatus> {
        let status = |Event { name, platform, from, until }: &Event| EventStatus {
            name: name.clone(),
            platform: platform.clone(),
            from: *from,
            until: *until,
        };
        self.0.iter().map(status).collect()
    }

    /// Whether what was read back is what could have been written.
    pub(crate) fn is_sound(&self) -> bool {
        self.0.len() <= MOST && self.0.iter().all(|event| event.name.len() <= NAME && event.until > event.from)
    }

    fn of(&self, platform: &str) -> impl Iterator<Item = &Event> {
        self.0.iter().filter(move |event| event.platform.as_deref().is_none_or(|name| name == platform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, platform: Option<&str>, from: u64, until: u64) -> Event {
        Event { name: name.to_owned(), platform: platform.map(str::to_owned), from, until }
    }

    #[test]
    fn an_event_pins_from_its_announcement_and_runs_in_its_time() {
        let mut events = Events::default();
        events.add(event("debate", Some("public"), 1000, 2000), 10).expect("announced");
        for (platform, wall, pins, runs) in [
            ("public", 10, true, false),
            ("public", 1000, true, true),
            ("public", 1999, true, true),
            ("public", 2000, false, false),
            ("members", 1500, false, false),
        ] {
            assert_eq!(events.pinning(platform, wall).is_some(), pins, "{platform} at {wall}");
            assert_eq!(events.is_running(platform, wall), runs, "{platform} at {wall}");
        }
        events.forget(2000);
        assert_eq!(events, Events::default());
    }

    #[test]
    fn what_makes_no_sense_is_not_announced() {
        let mut events = Events::default();
        events.add(event("launch", None, 1, 5), 0).expect("announced");
        for (wrong, says) in [
            (event("launch", None, 1, 5), "already; cancel"),
            (event("", None, 1, 5), "1 to 128"),
            (event("late", None, 5, 5), "ends before"),
        ] {
            let error = events.add(wrong, 0).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
        assert!(events.add(event("gone", None, 1, 4), 4).expect_err("refused").contains("over"));
        assert!(events.cancel("launch").is_some());
        assert!(events.cancel("launch").is_none());
    }
}
