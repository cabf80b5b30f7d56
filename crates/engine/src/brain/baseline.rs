//! What is ordinary: how many requests, how fast, how often they fail, by the hour of the week where that is known.
//!
//! Everything here learns only while the platform is calm, and no faster than a clamp, so that an attacker who adds a
//! little each hour does not become ordinary.

use serde::{Deserialize, Serialize};

/// What is learned follows what happens within so many seconds.
const PACE: f64 = 120.0;
/// A level that has learned for so many seconds is held to its anchor; before, nothing is known that could be held to.
const YOUNG: f64 = 300.0;
/// The clamp: an anchor rises by this factor in an hour at most while no hour of the week is known ...
const RISE: f64 = 1.5;
/// ... and a known hour by this factor from one day to the next.
const DRIFT: f64 = 1.5;
/// A level stands at most so far above its anchor: room for the noise of ordinary minutes.
const HEADROOM: f64 = 1.25;
/// Weeks that are remembered of each hour.
const WEEKS: usize = 5;
/// Hours of a week.
pub(crate) const HOURS: usize = 168;
const HOUR: f64 = 3600.0;

/// A decayed mean whose growth is bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    value: f64,
    anchor: f64,
    age: f64,
}

impl Level {
    pub(crate) const fn value(&self) -> f64 {
        self.value
    }

    /// Learns what held for `seconds`. `clamped` bounds how fast it rises.
    pub(crate) fn learn(&mut self, sample: f64, seconds: f64, clamped: bool) {
        self.age += seconds;
        let pace = (seconds / self.age.min(PACE)).min(1.0);
        self.value += (sample - self.value) * pace;
        if !clamped || self.age < YOUNG {
            self.anchor = self.value;
            return;
        }
        let most = self.anchor * libm::pow(RISE, seconds / HOUR);
        let falling = self.anchor + (self.value - self.anchor) * (seconds / HOUR).min(1.0);
        self.anchor = if self.value > self.anchor { self.value.min(most) } else { falling };
        self.value = self.value.min(self.anchor * HEADROOM);
    }

    pub(crate) fn is_sound(&self) -> bool {
        [self.value, self.anchor, self.age].iter().all(|number| number.is_finite() && *number >= 0.0)
    }
}

/// How much counts scatter, as variance over mean, in windows of 100 ms, 1 s and 10 s: bursts that belong together
/// (a page and its files) show in the longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scatter {
    windows: [ScatterWindow; 3],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct ScatterWindow {
    count: f64,
    expected: f64,
    ticks: u32,
    value: f64,
}

impl Default for Scatter {
    fn default() -> Self {
        Self { windows: [ScatterWindow { value: 2.0, ..ScatterWindow::default() }; 3] }
    }
}

impl Scatter {
    const TICKS: [u32; 3] = [1, 10, 100];

    /// At least 1: arrivals that know nothing of one another.
    pub(crate) fn value(&self) -> f64 {
        self.windows.iter().map(|window| window.value).fold(1.0, f64::max).min(64.0)
    }

    fn learn(&mut self, count: f64, expected: f64) {
        for (window, ticks) in self.windows.iter_mut().zip(Self::TICKS) {
            window.count += count;
            window.expected += expected;
            window.ticks += 1;
            if window.ticks >= ticks {
                let mean = window.expected.max(0.5);
                // One wild window must not make the gate blind.
                let apart = window.count - window.expected;
                let ratio = (apart * apart / mean).min(window.value * 25.0);
                let pace = (f64::from(ticks) / 600.0).min(0.1);
                window.value += (ratio - window.value) * pace;
                *window = ScatterWindow { value: window.value, ..ScatterWindow::default() };
            }
        }
    }

    fn is_sound(&self) -> bool {
        self.windows.iter().all(|window| window.value.is_finite() && window.value >= 0.0)
    }
}

/// The hours of a week, each with what was usual in the last weeks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Season {
    /// By hour of the week, the oldest week first.
    hours: Vec<Vec<f32>>,
    /// The hour that runs: its number since the epoch, what came, for how many seconds.
    running: (u64, f64, f64),
}

impl Default for Season {
    fn default() -> Self {
        Self { hours: vec![Vec::new(); HOURS], running: (0, 0.0, 0.0) }
    }
}

impl Season {
    /// Hours of the week of which something is known.
    pub(crate) fn known(&self) -> usize {
        self.hours.iter().filter(|weeks| !weeks.is_empty()).count()
    }

    /// Median of that hour and how far weeks usually are from it; where the hour of the week is not known, of the same
    /// hour on other days.
    fn usual(&self, hour: u64) -> Option<(f64, f64)> {
        let own = self.hours.get((hour % HOURS as u64) as usize)?;
        let mut values: Vec<f64> = own.iter().copied().map(f64::from).collect();
        if values.is_empty() {
            let same_hour = self.hours.iter().skip((hour % 24) as usize).step_by(24);
            values = same_hour.filter_map(|weeks| weeks.last().copied().map(f64::from)).collect();
        }
        let middle = median(&mut values)?;
        let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        Some((middle, median(&mut distances).unwrap_or_default()))
    }

    /// What is usual at that time, between the middles of two hours, and the most that is still usual.
    fn at(&self, wall: u64) -> Option<(f64, f64)> {
        let hours = wall as f64 / 3_600_000.0 - 0.5;
        let (hour, part) = (hours.max(0.0) as u64, hours.max(0.0).fract());
        let (here, spread) = self.usual(hour)?;
        let (there, spread_there) = self.usual(hour + 1).unwrap_or((here, spread));
        let usual = here + (there - here) * part;
        Some((usual, usual * DRIFT + 3.0 * spread.max(spread_there)))
    }

    /// Learns the rate of `seconds`. An hour counts when most of it was calm, and rises no faster than the clamp.
    fn learn(&mut self, wall: u64, rate: f64, seconds: f64, clamped: bool) {
        let hour = wall / 3_600_000;
        if hour != self.running.0 {
            let (before, sum, learned) = self.running;
            if learned >= HOUR / 2.0 {
                let mean = sum / learned;
                let most =
                    self.usual(before).filter(|_| clamped).map_or(f64::INFINITY, |(usual, _)| usual * DRIFT + 0.1);
                if let Some(weeks) = self.hours.get_mut((before % HOURS as u64) as usize) {
                    if weeks.len() >= WEEKS {
                        weeks.remove(0);
                    }
                    weeks.push(mean.min(most) as f32);
                }
            }
            self.running = (hour, 0.0, 0.0);
        }
        self.running.1 += rate * seconds;
        self.running.2 += seconds;
    }

    fn is_sound(&self) -> bool {
        let fine = |value: &f32| value.is_finite() && *value >= 0.0;
        self.hours.len() == HOURS
            && self.hours.iter().all(|weeks| weeks.len() <= WEEKS && weeks.iter().all(fine))
            && self.running.1.is_finite()
            && self.running.2.is_finite()
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    let lower = values.get(middle.saturating_sub(1 - values.len() % 2)).copied().unwrap_or(upper);
    Some((lower + upper) / 2.0)
}

/// An expected rate: a level for now, hours for the week, and how much counts scatter around it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expected {
    level: Level,
    season: Season,
    scatter: Scatter,
    /// What was usual when the level learned last, to carry a frozen level through the day.
    usual_then: Option<f64>,
}

impl Expected {
    /// Per second, now.
    pub(crate) fn rate(&self, wall: u64) -> f64 {
        let Some((usual, most)) = self.season.at(wall) else { return self.level.value };
        let carried = self.usual_then.filter(|then| *then > 0.0).map_or(1.0, |then| (usual / then).clamp(0.2, 5.0));
        (self.level.value * carried).min(most.max(0.1))
    }

    /// As learned last, whatever the hour.
    pub(crate) const fn level(&self) -> f64 {
        self.level.value
    }

    pub(crate) fn scatter(&self) -> f64 {
        self.scatter.value()
    }

    pub(crate) const fn age(&self) -> f64 {
        self.level.age
    }

    pub(crate) fn hours_known(&self) -> usize {
        self.season.known()
    }

    /// Learns that `count` came in `seconds`.
    pub(crate) fn learn(&mut self, wall: u64, count: f64, seconds: f64, clamped: bool) {
        if seconds <= 0.0 {
            return;
        }
        if self.level.age > 10.0 {
            self.scatter.learn(count, self.rate(wall) * seconds);
        }
        self.level.learn(count / seconds, seconds, clamped);
        self.season.learn(wall, count / seconds, seconds, clamped);
        self.usual_then = self.season.at(wall).map(|(usual, _)| usual);
    }

    /// Follows a growth that has lasted and harmed nobody, no faster than the clamp, while everything else is frozen.
    pub(crate) fn creep(&mut self, rate: f64, seconds: f64) {
        let most = self.level.value.max(0.1) * libm::pow(RISE, seconds / HOUR);
        if rate > self.level.value {
            self.level.value = rate.min(most);
            self.level.anchor = self.level.anchor.max(self.level.value);
        }
    }

    /// After a pause nobody knows what the level is now; the season does.
    pub(crate) fn wake(&mut self, wall: u64) {
        if let Some((usual, _)) = self.season.at(wall) {
            self.level.value = usual;
            self.level.anchor = usual;
            self.usual_then = Some(usual);
        }
    }

    /// Whether numbers that were read back can be worked with.
    pub(crate) fn is_sound(&self) -> bool {
        self.level.is_sound()
            && self.season.is_sound()
            && self.scatter.is_sound()
            && self.usual_then.is_none_or(|then| then.is_finite() && then >= 0.0)
    }
}

/// How long the platform takes without load, from sums over many requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    mean_us: Level,
    /// Variance of a single request, in microseconds squared.
    variance: f64,
    learned: u64,
}

impl Latency {
    pub(crate) const fn mean_us(&self) -> f64 {
        self.mean_us.value
    }

    pub(crate) const fn variance(&self) -> f64 {
        self.variance
    }

    /// Enough requests were seen to say what is usual.
    pub(crate) const fn is_known(&self) -> bool {
        self.learned >= 30
    }

    /// Learns from `count` requests that took `sum_us` together.
    pub(crate) fn learn(&mut self, count: u32, sum_us: u64, seconds: f64, clamped: bool) {
        if count == 0 {
            return;
        }
        let mean = sum_us as f64 / f64::from(count);
        if self.learned > 0 {
            let apart = mean - self.mean_us.value;
            let one = f64::from(count) * apart * apart;
            let pace = if self.learned < 100 { 0.1 } else { 0.02 };
            self.variance += (one.min(self.variance.max(mean * mean) * 25.0) - self.variance) * pace;
        } else {
            self.variance = mean * mean / 4.0;
        }
        self.learned += u64::from(count);
        self.mean_us.learn(mean, seconds, clamped);
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.mean_us.is_sound() && self.variance.is_finite() && self.variance >= 0.0
    }
}

/// A share of successes or failures that is usual, from counts that fade over hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Share {
    yes: f64,
    all: f64,
}

impl Share {
    /// Half of it is forgotten in about so many seconds.
    const FADE: f64 = 4.0 * HOUR;

    /// With `prior` where little was seen yet.
    pub(crate) fn value(&self, prior: f64) -> f64 {
        (self.yes + prior * 20.0) / (self.all + 20.0)
    }

    pub(crate) fn learn(&mut self, yes: f64, all: f64, seconds: f64) {
        let fade = libm::exp2(-seconds / Self::FADE);
        self.yes = self.yes * fade + yes;
        self.all = (self.all * fade + all).max(self.yes);
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.yes.is_finite() && self.all.is_finite() && self.yes >= 0.0 && self.all >= self.yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    /// Days of a rate that depends on the hour, learned each ten seconds; gives the wall at the end.
    fn days(expected: &mut Expected, from: u64, days: u64, rate: impl Fn(u64) -> f64) -> u64 {
        let until = from + days * DAY;
        let mut wall = from;
        while wall < until {
            wall += 10_000;
            expected.learn(wall, rate(wall) * 10.0, 10.0, true);
        }
        wall
    }

    /// Between 20 and 100, highest at two in the afternoon.
    fn daily(wall: u64) -> f64 {
        let hour = (wall % DAY) as f64 / 3_600_000.0;
        60.0 + 40.0 * libm::cos((hour - 14.0) / 24.0 * std::f64::consts::TAU)
    }

    #[test]
    fn it_follows_the_day_and_knows_the_hours_after_a_week() {
        let mut expected = Expected::default();
        let mut wall = days(&mut expected, 0, 8, daily);
        assert_eq!(expected.hours_known(), HOURS);
        for _ in 0..24 {
            wall = days_of_hour(&mut expected, wall);
            let (is, should) = (expected.rate(wall), daily(wall));
            assert!((is / should - 1.0).abs() < 0.15, "{is} for {should}");
        }
        // Frozen for half a day, it still knows the hour.
        let later = wall + DAY / 2;
        let (is, should) = (expected.rate(later), daily(later));
        assert!((is / should - 1.0).abs() < 0.3, "{is} for {should}");
    }

    fn days_of_hour(expected: &mut Expected, from: u64) -> u64 {
        let mut wall = from;
        for _ in 0..360 {
            wall += 10_000;
            expected.learn(wall, daily(wall) * 10.0, 10.0, true);
        }
        wall
    }

    #[test]
    fn who_adds_a_little_each_hour_does_not_become_ordinary() {
        let evil =
            |wall: u64| daily(wall) * libm::pow(1.2, (wall.saturating_sub(14 * DAY)) as f64 / 3_600_000.0).min(30.0);
        let after = || {
            let mut expected = Expected::default();
            let wall = days(&mut expected, 0, 14, daily);
            let wall = days(&mut expected, wall, 1, evil);
            expected.rate(wall) / daily(wall)
        };
        let rate = after();
        assert!(rate < 1.8, "{rate}");
    }

    #[test]
    fn on_the_first_day_a_level_rises_by_half_in_an_hour() {
        let mut level = Level::default();
        (0..600).for_each(|_| level.learn(100.0, 1.0, true));
        let mut free = level;
        (0..3600).for_each(|_| free.learn(1000.0, 1.0, false));
        assert!(free.value() > 990.0, "the canary learns it: {}", free.value());
        (0..3600).for_each(|_| level.learn(1000.0, 1.0, true));
        assert!(level.value() > 140.0 && level.value() < 100.0 * RISE * HEADROOM + 1.0, "{}", level.value());
        (0..7200).for_each(|_| level.learn(50.0, 1.0, true));
        assert!((level.value() - 50.0).abs() < 1.0, "it falls as it likes: {}", level.value());
    }

    #[test]
    fn scatter_tells_pages_with_their_files_from_single_requests() {
        let (mut single, mut bursts) = (Scatter::default(), Scatter::default());
        for tick in 0..20_000u32 {
            single.learn(f64::from(4 + tick % 3), 5.0);
            bursts.learn(if tick % 10 == 0 { 50.0 } else { 0.0 }, 5.0);
        }
        assert!(single.value() < 1.2, "{}", single.value());
        assert!(bursts.value() > 5.0, "{}", bursts.value());
    }

    #[test]
    fn shares_lean_on_what_is_likely_until_enough_was_seen() {
        let mut share = Share::default();
        assert!((share.value(0.2) - 0.2).abs() < 1e-9);
        share.learn(1000.0, 2000.0, 1.0);
        assert!((share.value(0.2) - 0.5).abs() < 0.01);
        (0..200).for_each(|_| share.learn(0.0, 10.0, 600.0));
        assert!(share.value(0.2) < 0.02, "{}", share.value(0.2));
    }
}
