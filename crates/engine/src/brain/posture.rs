//! How a platform stands, and what moves it from one posture to another.

use std::fmt;
use std::time::Duration;

use portcullis_types::Tick;
use serde::{Deserialize, Serialize};

use super::channels::{Alarm, Signals};

/// An elevated platform where nothing has been out of the ordinary for so long is normal again.
const NOTHING_CAME: Duration = Duration::from_secs(10);
/// Stress that lasts so long without an explanation is an overload; contrast gets that long to find one.
const STRESSED: Duration = Duration::from_millis(1000);
/// Stress that pauses no longer than that goes on.
const STRESS_PAUSES: Duration = Duration::from_millis(500);
/// Rules that explain what came must do so for so long: one tick may be chance.
const EXPLAINED: Duration = Duration::from_millis(200);
/// What recovering rules match has risen again when it has been high for so long.
const RISEN: Duration = Duration::from_millis(300);
/// Attack and overload end when it has been calm for so long, doubled with each return up to the most.
const CALM: Duration = Duration::from_secs(30);
const CALM_MOST: Duration = Duration::from_secs(480);
/// Nothing milder follows a posture sooner than that.
const DWELL: Duration = Duration::from_secs(3);
/// Recovery ends after so long without rules ...
const RECOVERED: Duration = Duration::from_secs(600);
/// ... and in any case when it has been calm for so long, which keeps it below a quarter of an hour after the end.
const RECOVERED_AFTER: Duration = Duration::from_secs(810);
/// Returns are forgiven after so long without one.
const FORGIVEN: Duration = Duration::from_secs(3600);

/// How a platform stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Posture {
    /// Nothing is out of the ordinary; baselines learn.
    #[default]
    Normal,
    /// Something is; baselines are frozen, every request is looked at, nobody is touched.
    Elevated,
    /// What came has a pattern that normal traffic has not; rules are in force.
    Attack,
    /// More than the platform can carry, without such a pattern; admission orders who goes first.
    Overload,
    /// It has ended, or so it seems; rules are being relaxed.
    Recovery,
}

impl Posture {
    /// Every posture.
    pub const ALL: [Self; 5] = [Self::Normal, Self::Elevated, Self::Attack, Self::Overload, Self::Recovery];

    /// The name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::Attack => "attack",
            Self::Overload => "overload",
            Self::Recovery => "recovery",
        }
    }

    /// The posture with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|posture| posture.name() == name)
    }
}

impl fmt::Display for Posture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the machine is told each tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    pub(crate) signals: Signals,
    /// Rules explain what came, at next to no share of ordinary traffic, and people are not behind it.
    pub(crate) contrast: bool,
    /// Rules that act, however little.
    pub(crate) in_force: usize,
    /// Requests per second that rules in force match, and what ordinary traffic would match.
    pub(crate) matched_rate: f64,
    pub(crate) matched_expected: f64,
}

impl Evidence {
    /// Rules in force match twice what ordinary traffic would have, and not just a trickle beside all that is expected.
    fn still_matches(&self) -> bool {
        let trickle = (0.05 * self.signals.expected_rps).max(1.0);
        self.in_force > 0 && self.matched_rate >= 2.0 * self.matched_expected + trickle
    }

    /// Contrast, with something beyond the ordinary that it explains, and rules that act upon it.
    fn is_explained(&self) -> bool {
        self.contrast && self.still_matches() && self.signals.is_beyond()
    }

    /// A crowd alone, however large, does not keep an attack from being over.
    fn is_calm(&self) -> bool {
        self.signals.stress.max(self.signals.protocol) < Alarm::Strong && !self.still_matches()
    }
}

/// What moved a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A channel spoke.
    Signal,
    /// Rules explain what came.
    Contrast,
    /// Clients break the protocol in numbers.
    Protocol,
    /// The platform is under stress, and nothing explains it.
    Stress,
    /// For so many seconds nothing has been out of the ordinary.
    Quiet(u64),
}

/// How one platform stands, since when, and what it waits for.
#[derive(Debug, Clone)]
pub(crate) struct Stance {
    posture: Posture,
    since: Tick,
    forced: bool,
    /// When a channel last spoke at all, and when it was last serious.
    last_weak: Tick,
    last_bad: Tick,
    /// Since when the platform has been under stress with no more than short pauses, and when it last was.
    stressed_since: Option<Tick>,
    last_stress: Tick,
    /// Since when rules explain what is beyond the ordinary.
    explained_since: Option<Tick>,
    /// Since when what the rules match has risen again.
    risen_since: Option<Tick>,
    /// How often it came back from recovery, lately.
    returns: u32,
    last_return: Tick,
}

/// What outlives the process.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct SavedStance {
    posture: Posture,
    forced: bool,
    returns: u32,
}

impl Stance {
    pub(crate) const fn new(now: Tick) -> Self {
        Self {
            posture: Posture::Normal,
            since: now,
            forced: false,
            last_weak: now,
            last_bad: now,
            stressed_since: None,
            last_stress: now,
            explained_since: None,
            risen_since: None,
            returns: 0,
            last_return: now,
        }
    }

    pub(crate) const fn save(&self) -> SavedStance {
        SavedStance { posture: self.posture, forced: self.forced, returns: self.returns }
    }

    /// Goes on as an earlier process stood, where that was a moment ago (`is_of_now`) or is an operator's word. Nothing is
    /// known of the time between, so that whatever has to last begins to count anew.
    pub(crate) fn restore(&mut self, saved: SavedStance, is_of_now: bool, now: Tick) {
        *self = Self::new(now);
        if saved.forced || is_of_now {
            (self.posture, self.forced) = (saved.posture, saved.forced);
        }
        if is_of_now {
            (self.returns, self.last_return) = (saved.returns, now);
        }
    }

    pub(crate) const fn posture(&self) -> Posture {
        self.posture
    }

    pub(crate) const fn since(&self) -> Tick {
        self.since
    }

    pub(crate) const fn is_forced(&self) -> bool {
        self.forced
    }

    /// Holds it there, or lets it move again from where it is.
    pub(crate) fn force(&mut self, posture: Option<Posture>, now: Tick) {
        self.forced = posture.is_some();
        if let Some(posture) = posture.filter(|posture| *posture != self.posture) {
            self.enter(posture, now);
        }
        (self.last_weak, self.last_bad) = (now, now);
    }

    /// Looks at one tick; says why when it moved.
    pub(crate) fn step(&mut self, evidence: &Evidence, now: Tick) -> Option<Cause> {
        let signals = &evidence.signals;
        if signals.loudest() > Alarm::Quiet {
            self.last_weak = now;
        }
        if !evidence.is_calm() {
            self.last_bad = now;
        }
        let lasting = |since: &mut Option<Tick>, holds: bool| {
            *since = if holds { since.or(Some(now)) } else { None };
            since.map(|since| now.since(since))
        };
        if signals.stress == Alarm::Strong {
            self.last_stress = now;
        }
        let is_stressed = signals.stress == Alarm::Strong
            || (self.stressed_since.is_some() && now.since(self.last_stress) <= STRESS_PAUSES);
        let stressed = lasting(&mut self.stressed_since, is_stressed);
        let explained = lasting(&mut self.explained_since, evidence.is_explained());
        let risen = lasting(&mut self.risen_since, evidence.still_matches());
        let lasts = |since: Option<Duration>, least| since.is_some_and(|lasted| lasted >= least);
        let attack = match signals.protocol {
            _ if lasts(explained, EXPLAINED) => Some(Cause::Contrast),
            Alarm::Strong => Some(Cause::Protocol),
            _ => None,
        };
        let risen = lasts(risen, RISEN) && signals.is_beyond();
        let overloaded = lasts(stressed, STRESSED) && signals.stress == Alarm::Strong;
        if self.forced {
            return None;
        }
        if now.since(self.last_return) > FORGIVEN {
            self.returns = 0;
        }
        let (next, cause) = self.next(evidence, attack, overloaded, risen, now)?;
        if self.posture == Posture::Recovery && matches!(next, Posture::Attack | Posture::Overload) {
            self.returns += 1;
            self.last_return = now;
        }
        self.enter(next, now);
        Some(cause)
    }

    /// The table of transitions.
    fn next(
        &self,
        evidence: &Evidence,
        attack: Option<Cause>,
        overloaded: bool,
        risen: bool,
        now: Tick,
    ) -> Option<(Posture, Cause)> {
        let (calm, quiet) = (now.since(self.last_bad), now.since(self.last_weak));
        let dwelt = now.since(self.since) >= DWELL;
        match (self.posture, attack) {
            (Posture::Normal, _) => {
                (evidence.signals.loudest() > Alarm::Quiet).then_some((Posture::Elevated, Cause::Signal))
            }
            (Posture::Elevated | Posture::Overload | Posture::Recovery, Some(cause)) => Some((Posture::Attack, cause)),
            (Posture::Elevated, None) if overloaded => Some((Posture::Overload, Cause::Stress)),
            (Posture::Elevated, None) => {
                (quiet >= NOTHING_CAME).then_some((Posture::Normal, Cause::Quiet(quiet.as_secs())))
            }
            (Posture::Attack, None) if overloaded && evidence.in_force == 0 => {
                dwelt.then_some((Posture::Overload, Cause::Stress))
            }
            (Posture::Attack | Posture::Overload, _) => {
                (calm >= self.hold() && dwelt).then_some((Posture::Recovery, Cause::Quiet(calm.as_secs())))
            }
            (Posture::Recovery, None) if risen => Some((Posture::Attack, Cause::Contrast)),
            (Posture::Recovery, None) if overloaded => Some((Posture::Overload, Cause::Stress)),
            (Posture::Recovery, None) => {
                let long = now.since(self.since) >= RECOVERED || calm >= RECOVERED_AFTER;
                let is_over = evidence.in_force == 0 && long && calm.min(quiet) >= NOTHING_CAME;
                is_over.then_some((Posture::Normal, Cause::Quiet(calm.as_secs())))
            }
        }
    }

    /// How long it must have been calm before recovery begins: twice as long with each return.
    fn hold(&self) -> Duration {
        (CALM * 2u32.saturating_pow(self.returns.min(8))).min(CALM_MOST)
    }

    fn enter(&mut self, posture: Posture, now: Tick) {
        self.posture = posture;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Evidence = Evidence {
        signals: Signals {
            rate: Alarm::Quiet,
            stress: Alarm::Quiet,
            protocol: Alarm::Quiet,
            business: Alarm::Quiet,
            expected_rps: 50.0,
            actual_rps: 50.0,
            class: None,
            bytes: None,
            queue_ms: 0.0,
            failed_share: 0.0,
            stalled: false,
            held: false,
            suffers: false,
            abuse_rps: 0.0,
            is_only_abuse: false,
            trouble: None,
        },
        contrast: false,
        in_force: 0,
        matched_rate: 0.0,
        matched_expected: 0.0,
    };
    const TRIP: Evidence = Evidence { signals: Signals { rate: Alarm::Weak, ..NOTHING.signals }, ..NOTHING };
    const FLOOD: Evidence =
        Evidence { signals: Signals { rate: Alarm::Strong, actual_rps: 300.0, ..NOTHING.signals }, ..NOTHING };
    const EXPLAINED: Evidence = Evidence { contrast: true, in_force: 1, matched_rate: 250.0, ..FLOOD };
    const TAIL: Evidence = Evidence { in_force: 1, ..NOTHING };
    const STRESS: Evidence = Evidence { signals: Signals { stress: Alarm::Strong, ..NOTHING.signals }, ..NOTHING };
    const ABUSE: Evidence = Evidence { signals: Signals { protocol: Alarm::Strong, ..NOTHING.signals }, ..NOTHING };

    /// Seconds of one evidence after the other, and how it stands after each.
    fn play(course: &[(Evidence, f64, Posture)]) -> Stance {
        let mut now = Tick::from_millis(5000);
        let mut stance = Stance::new(now);
        for (position, (evidence, seconds, expected)) in course.iter().enumerate() {
            for _ in 0..(seconds * 10.0) as u32 {
                now = now.after(Duration::from_millis(100));
                stance.step(evidence, now);
            }
            assert_eq!(stance.posture(), *expected, "after step {position} of {course:?}");
        }
        stance
    }

    #[test]
    fn every_transition_has_its_condition() {
        use Posture::{Attack, Elevated, Normal, Overload, Recovery};
        let courses: &[&[(Evidence, f64, Posture)]] = &[
            &[(NOTHING, 100.0, Normal), (TRIP, 0.1, Elevated), (NOTHING, 9.9, Elevated), (NOTHING, 0.2, Normal)],
            &[(FLOOD, 60.0, Elevated), (NOTHING, 11.0, Normal)],
            // Contrast needs something that it explains, and rules that act and match it.
            &[(Evidence { matched_rate: 1.0, ..EXPLAINED }, 30.0, Elevated)],
            &[(Evidence { contrast: true, in_force: 1, ..TRIP }, 30.0, Elevated)],
            &[(Evidence { in_force: 0, ..EXPLAINED }, 30.0, Elevated)],
            &[(EXPLAINED, 0.2, Elevated), (EXPLAINED, 0.2, Attack)],
            &[(EXPLAINED, 5.0, Attack), (TAIL, 29.0, Attack), (TAIL, 1.5, Recovery), (TAIL, 700.0, Recovery)],
            &[(EXPLAINED, 5.0, Attack), (NOTHING, 31.0, Recovery), (NOTHING, 590.0, Recovery), (NOTHING, 11.0, Normal)],
            // A crowd that stays does not keep an attack from being over.
            &[(EXPLAINED, 5.0, Attack), (FLOOD, 31.0, Recovery)],
            &[(STRESS, 1.0, Elevated), (STRESS, 0.3, Overload), (STRESS, 600.0, Overload), (NOTHING, 31.0, Recovery)],
            &[(STRESS, 5.0, Overload), (EXPLAINED, 0.5, Attack), (STRESS, 5.0, Overload)],
            &[(ABUSE, 0.2, Attack), (NOTHING, 31.0, Recovery)],
            &[(EXPLAINED, 5.0, Attack), (TAIL, 31.0, Recovery), (EXPLAINED, 0.5, Attack), (TAIL, 59.0, Attack)],
            &[(STRESS, 5.0, Overload), (NOTHING, 31.0, Recovery), (STRESS, 1.5, Overload)],
        ];
        for course in courses {
            play(course);
        }
    }

    #[test]
    fn returns_double_the_wait_up_to_a_bound_and_normal_follows_within_a_quarter_of_an_hour() {
        let mut course = vec![(EXPLAINED, 5.0, Posture::Attack)];
        for wait in [30.0, 60.0, 120.0, 240.0, 480.0, 480.0] {
            course.push((TAIL, wait - 1.0, Posture::Attack));
            course.push((TAIL, 2.0, Posture::Recovery));
            course.push((EXPLAINED, 1.0, Posture::Attack));
        }
        course.push((NOTHING, 820.0, Posture::Normal));
        play(&course);
    }

    #[test]
    fn a_restart_changes_nothing_that_was_so_a_moment_ago() {
        let now = Tick::from_millis(50);
        let attack = play(&[(EXPLAINED, 5.0, Posture::Attack)]).save();
        for (is_of_now, expected) in [(true, Posture::Attack), (false, Posture::Normal)] {
            let mut next = Stance::new(now);
            next.restore(attack, is_of_now, now);
            assert_eq!((next.posture(), next.step(&NOTHING, now)), (expected, None));
        }
        let mut held = Stance::new(now);
        held.force(Some(Posture::Overload), now);
        let mut next = Stance::new(now);
        next.restore(held.save(), false, now);
        assert!(next.is_forced() && next.posture() == Posture::Overload, "an operator's word holds");
    }

    #[test]
    fn an_operator_holds_it_and_lets_it_go() {
        let mut stance = play(&[(TRIP, 0.1, Posture::Elevated)]);
        let mut now = Tick::from_millis(6000);
        stance.force(Some(Posture::Attack), now);
        for _ in 0..36_000 {
            now = now.after(Duration::from_millis(100));
            assert_eq!(stance.step(&NOTHING, now), None);
        }
        assert_eq!(stance.posture(), Posture::Attack);
        stance.force(None, now);
        for _ in 0..310 {
            now = now.after(Duration::from_millis(100));
            stance.step(&NOTHING, now);
        }
        assert_eq!(stance.posture(), Posture::Recovery, "from where it was, in the ordinary way");
    }
}
