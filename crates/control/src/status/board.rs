//! How the public finds each platform, from how it stands.

use std::collections::BTreeMap;

use crate::model::{Now, Platform};

/// So long it must be better before that is said; and worse.
const BETTER: u64 = 60_000;
const WORSE: u64 = 10_000;
/// Answers that take longer than this, for five of a hundred, are slow.
const SLOW_MILLIS: f64 = 5_000.0;
/// Of a hundred requests, so many that the platform fails are felt; and so many are all.
const FELT_PERCENT: f64 = 5.0;
const OUT_PERCENT: f64 = 50.0;
/// Fewer requests in a second say nothing.
const ENOUGH: f64 = 5.0;

/// How a platform is for those who use it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// As it should be.
    #[default]
    Well,
    /// Slower than usual for some.
    Slow,
    /// It cannot be reached.
    Out,
}

/// One platform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) state: State,
    pub(super) since: u64,
    /// What it seems to be, and since when.
    seems: (State, u64),
}

/// All of them, in the order of their declaration.
#[derive(Debug, Default)]
pub(super) struct Board {
    names: Vec<String>,
    stands: BTreeMap<String, Stand>,
}

impl Board {
    /// Whether anything that the public is told has changed.
    pub(super) fn tick(&mut self, now: &Now, at: u64) -> bool {
        let names: Vec<String> = now.platforms.iter().map(|platform| platform.name.clone()).collect();
        let mut changed = names != self.names;
        self.stands.retain(|name, _| names.contains(name));
        self.names = names;
        for platform in &now.platforms {
            let seems = state(platform);
            let first = Stand { state: seems, since: at, seems: (seems, at) };
            let stand = self.stands.entry(platform.name.clone()).or_insert(first);
            if stand.seems.0 != seems {
                stand.seems = (seems, at);
            }
            let settled = if seems > stand.state { WORSE } else { BETTER };
            if seems != stand.state && at.saturating_sub(stand.seems.1) >= settled {
                (stand.state, stand.since) = (seems, stand.seems.1);
                changed = true;
            }
        }
        changed
    }

    /// Each, by name.
    pub(super) fn stands(&self) -> impl Iterator<Item = (&str, Stand)> {
        self.names.iter().map(|name| (name.as_str(), self.stands.get(name).copied().unwrap_or_default()))
    }

    /// How it is on the whole: the worst of them.
    pub(super) fn worst(&self) -> State {
        self.stands.values().map(|stand| stand.state).max().unwrap_or_default()
    }
}

/// The public is not told that somebody attacks, only what that does to them.
fn state(platform: &Platform) -> State {
    let rates = platform.rates.unwrap_or_default();
    let failed = if rates.requests >= ENOUGH { rates.failed * 100.0 / rates.requests } else { 0.0 };
    let none = !platform.origins.is_empty() && platform.origins.iter().all(|origin| origin.healthy == Some(false));
    if none || failed >= OUT_PERCENT {
        return State::Out;
    }
    let slow = platform.millis.is_some_and(|millis| millis[1] > SLOW_MILLIS);
    let kept_waiting = rates.roomed > 0.0 || rates.delayed * 20.0 > rates.requests.max(ENOUGH);
    let busy = matches!(platform.posture.as_str(), "attack" | "overload");
    if slow || busy || kept_waiting || failed >= FELT_PERCENT { State::Slow } else { State::Well }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Rates};

    fn platform(change: impl FnOnce(&mut Platform)) -> Now {
        let rates = Some(Rates { requests: 100.0, served: 100.0, ..Rates::default() });
        let mut platform =
            Platform { name: "public".to_owned(), posture: "normal".to_owned(), rates, ..Platform::default() };
        change(&mut platform);
        Now { platforms: vec![platform], ..Now::default() }
    }

    #[test]
    fn what_people_feel_is_what_is_said() {
        let origin = |healthy| Origin { url: "http://a".to_owned(), healthy };
        let rates = |change: fn(&mut Rates)| platform(|it| change(it.rates.as_mut().expect("rates")));
        let table = [
            ("calm", platform(|_| {}), State::Well),
            ("looked at closely", platform(|it| it.posture = "elevated".to_owned()), State::Well),
            ("an attack", platform(|it| it.posture = "attack".to_owned()), State::Slow),
            ("slow", platform(|it| it.millis = Some([100.0, 6_000.0, 9_000.0])), State::Slow),
            ("a waiting room", rates(|it| it.roomed = 1.0), State::Slow),
            ("strangers refused", rates(|it| it.refused = 90.0), State::Well),
            ("some fail", rates(|it| it.failed = 6.0), State::Slow),
            ("most fail", rates(|it| it.failed = 60.0), State::Out),
            ("one failed, of one", rates(|it| (it.requests, it.failed) = (1.0, 1.0)), State::Well),
            (
                "one server of two",
                platform(|it| it.origins = vec![origin(Some(false)), origin(Some(true))]),
                State::Well,
            ),
            ("no server", platform(|it| it.origins = vec![origin(Some(false))]), State::Out),
            ("nobody has looked", platform(|it| it.origins = vec![origin(None)]), State::Well),
        ];
        for (case, now, expected) in table {
            assert_eq!(state(&now.platforms[0]), expected, "{case}");
        }
    }

    #[test]
    fn it_neither_flickers_nor_hides() {
        let mut board = Board::default();
        let (well, out) = (
            platform(|_| {}),
            platform(|it| it.rates = Some(Rates { requests: 10.0, failed: 10.0, ..Rates::default() })),
        );
        let mut changes = Vec::new();
        for second in 0..300_u64 {
            let now = match second {
                20..25 | 40..100 | 120..125 => &out,
                _ => &well,
            };
            if board.tick(now, second * 1_000) {
                changes.push((second, board.worst()));
            }
        }
        assert_eq!(changes, [(0, State::Well), (50, State::Out), (185, State::Well)]);
        assert_eq!(
            board.stands().next().map(|(_, stand)| stand.since),
            Some(125_000),
            "since it began, not since it was said"
        );
    }
}
