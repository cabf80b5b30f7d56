//! Who was watching, when: seconds between two heartbeats, and gaps by cause.
//!
//! Never takes silence for evidence. A second counts where a sensor beat at both its ends, one beat after the other, saw all it
//! should have seen and said so. A clock that jumps makes no coverage: time that passed between two neighbouring beats counts
//! only if it is about a second, and a clock that goes back takes what it had counted ahead with it.

use std::collections::BTreeMap;

use portcullis_ledger::{Beat, Sensor, State};
use serde::Serialize;

use crate::evidence::{Evidence, plain};

/// The longest time between two neighbouring beats that counts, in milliseconds. They come each second; a busy machine is late.
const BEAT: u64 = 2_500;
/// Sensors that are told apart; further ones cover nothing.
const SENSORS: usize = 1_024;
/// Stretches of one sensor. Whoever flickers more than that covers nothing from then on.
const STRETCHES: usize = 65_536;
/// Gaps that are listed for one path, the longest first; the rest are in the sum of their cause.
const LISTED_GAPS: usize = 50;

/// What is known of every sensor.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    sensors: BTreeMap<Sensor, Track>,
}

#[derive(Debug, Clone, Default)]
struct Track {
    last: Option<(u64, Beat)>,
    up: Vec<(u64, u64)>,
    gaps: Vec<Hole>,
    beats: Evidence,
}

#[derive(Debug, Clone)]
struct Hole {
    from: u64,
    until: u64,
    cause: String,
    index: u64,
}

/// Time in which a path was not watched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// Which sensor was missing.
    pub sensor: String,
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub until: u64,
    /// `no heartbeat`, `restarted`, `clock`, `dropped`, or what the sensor said.
    pub cause: String,
    /// The beat after it.
    pub evidence: Evidence,
}

/// How much of a time several sensors together watched.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stretch {
    /// Milliseconds in which all of them did.
    pub covered_millis: u64,
    /// Milliseconds that were to be covered.
    pub of_millis: u64,
    /// The longest gaps.
    pub gaps: Vec<Gap>,
    /// Milliseconds missing, by cause, over all gaps; where two sensors are missing at once, both are told.
    pub by_cause: BTreeMap<String, u64>,
    /// The beats.
    pub evidence: Evidence,
}

impl Watch {
    /// Takes in a second's beats.
    pub fn beats(&mut self, at: u64, index: u64, beats: &[Beat]) {
        for beat in beats {
            if !self.sensors.contains_key(&beat.sensor) && self.sensors.len() >= SENSORS {
                continue;
            }
            self.sensors.entry(beat.sensor.clone()).or_default().beat(at, index, beat);
        }
    }

    /// Sensors that were ever heard of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sensors.keys().map(AsRef::as_ref)
    }

    /// When a sensor was heard last.
    #[must_use]
    pub fn last_beat(&self) -> Option<u64> {
        self.sensors.values().filter_map(|track| track.last.as_ref().map(|(at, _)| *at)).max()
    }

    /// How much of `from..until` all of these sensors watched. Whoever never beat watched nothing, and nobody watches nothing.
    #[must_use]
    pub fn stretch<S: AsRef<str>>(&self, sensors: &[S], from: u64, until: u64) -> Stretch {
        let mut stretch = Stretch { of_millis: until.saturating_sub(from), ..Stretch::default() };
        let mut common: Option<Vec<(u64, u64)>> = None;
        let mut gaps = Vec::new();
        for name in sensors.iter().map(AsRef::as_ref) {
            let known = self.sensors.get(name);
            let up = known.map(|track| clip(&track.up, from, until)).unwrap_or_default();
            if let Some(track) = known {
                stretch.evidence.merge(&track.beats);
            }
            gaps_between(&up, from, until, |from, until| {
                let hole = known.and_then(|track| track.hole(from, until));
                gaps.push(Gap {
                    sensor: plain(name),
                    from,
                    until,
                    cause: hole.map_or_else(|| "no heartbeat".to_owned(), |hole| hole.cause.clone()),
                    evidence: hole.map(|hole| Evidence::of(hole.index)).unwrap_or_default(),
                });
            });
            common = Some(match common {
                None => up,
                Some(before) => intersect(&before, &up),
            });
        }
        stretch.covered_millis = common.unwrap_or_default().iter().map(|(from, until)| until - from).sum();
        for gap in &gaps {
            *stretch.by_cause.entry(gap.cause.clone()).or_default() += gap.until - gap.from;
        }
        gaps.sort_by_key(|gap| std::cmp::Reverse(gap.until - gap.from));
        gaps.truncate(LISTED_GAPS);
        stretch.gaps = gaps;
        stretch
    }
}

impl Track {
    fn beat(&mut self, at: u64, index: u64, beat: &Beat) {
        self.beats.add(index);
        let Some((before, last)) = self.last.replace((at, beat.clone())) else {
            if beat.state != State::Up {
                self.gap(at, at, said(beat), index);
            }
            return;
        };
        if at < before {
            self.forget_after(at);
            self.gap(at, before, "clock".to_owned(), index);
            return;
        }
        let neighbours = beat.seq == last.seq.saturating_add(1);
        let cause = if beat.seq <= last.seq {
            "restarted".to_owned()
        } else if !neighbours {
            "no heartbeat".to_owned()
        } else if at - before > BEAT {
            "clock".to_owned()
        } else if beat.state != State::Up {
            said(beat)
        } else if last.state != State::Up {
            said(&last)
        } else if beat.dropped != last.dropped {
            "dropped".to_owned()
        } else {
            return self.cover(before, at, index);
        };
        self.gap(before, at, cause, index);
    }

    fn cover(&mut self, from: u64, until: u64, index: u64) {
        let full = self.up.len() >= STRETCHES;
        match self.up.last_mut() {
            Some(last) if last.1 == from => last.1 = until,
            _ if full => self.gap(from, until, "too many gaps".to_owned(), index),
            _ if until > from => self.up.push((from, until)),
            _ => {}
        }
    }

    fn gap(&mut self, from: u64, until: u64, cause: String, index: u64) {
        let full = self.gaps.len() >= STRETCHES;
        match self.gaps.last_mut() {
            Some(last) if last.cause == cause && last.until == from => last.until = until,
            Some(last) if full => last.until = until,
            _ => self.gaps.push(Hole { from, until, cause, index }),
        }
    }

    /// The clock went back: what it counted beyond now was not then.
    fn forget_after(&mut self, at: u64) {
        while let Some(last) = self.up.last_mut() {
            if last.0 < at {
                last.1 = last.1.min(at);
                return;
            }
            self.up.pop();
        }
    }

    /// The gap with most in common with a time.
    fn hole(&self, from: u64, until: u64) -> Option<&Hole> {
        let shared = |hole: &Hole| hole.until.min(until).saturating_sub(hole.from.max(from));
        // In order of time but where the clock went back: the one that begins last before the end, and its neighbours.
        let near = self.gaps.partition_point(|hole| hole.from < until);
        let some = self.gaps.get(near.saturating_sub(8)..near)?;
        some.iter().filter(|hole| shared(hole) > 0).max_by_key(|hole| shared(hole))
    }
}

fn said(beat: &Beat) -> String {
    let state = if beat.state == State::Down { "down" } else { "blind" };
    if beat.why.is_empty() { state.to_owned() } else { format!("{state}: {}", plain(&beat.why)) }
}

fn clip(spans: &[(u64, u64)], from: u64, until: u64) -> Vec<(u64, u64)> {
    let first = spans.partition_point(|span| span.1 <= from);
    let rest = spans.get(first..).unwrap_or_default().iter();
    rest.take_while(|span| span.0 < until).map(|span| (span.0.max(from), span.1.min(until))).collect()
}

fn intersect(one: &[(u64, u64)], other: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    let mut out = Vec::new();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let (from, until) = (a.0.max(b.0), a.1.min(b.1));
        if from < until {
            out.push((from, until));
        }
        if a.1 < b.1 {
            left.next()
        } else {
            right.next()
        };
    }
    out
}

fn gaps_between(spans: &[(u64, u64)], from: u64, until: u64, mut each: impl FnMut(u64, u64)) {
    let mut at = from;
    for span in spans {
        if span.0 > at {
            each(at, span.0);
        }
        at = at.max(span.1);
    }
    if at < until {
        each(at, until);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn beat(seq: u64) -> Beat {
        Beat { sensor: "http/public".into(), seq, seen: seq, ..Beat::default() }
    }

    fn covered(beats: &[(u64, Beat)], from: u64, until: u64) -> Stretch {
        let mut watch = Watch::default();
        for (index, (at, beat)) in beats.iter().enumerate() {
            watch.beats(*at, index as u64, std::slice::from_ref(beat));
        }
        watch.stretch(&["http/public"], from, until)
    }

    /// Beats 0..n, one a second, after `change` had its way with them.
    fn run(n: u64, change: impl Fn(u64, &mut u64, &mut Beat) -> bool) -> Vec<(u64, Beat)> {
        let each = |number: u64| {
            let (mut at, mut beat) = (number * 1000, beat(number));
            change(number, &mut at, &mut beat).then_some((at, beat))
        };
        (0..n).filter_map(each).collect()
    }

    #[test]
    fn silence_is_evidence_only_between_two_heartbeats() {
        let jumped = |number: u64, at: &mut u64| *at += if number >= 50 { 3_600_000 } else { 0 };
        type Change<'a> = Box<dyn Fn(u64, &mut u64, &mut Beat) -> bool + 'a>;
        let table: Vec<(&str, Change<'_>, u64, u64, &str)> = vec![
            ("all beats", Box::new(|_, _, _| true), 100_000, 100_000, ""),
            ("one is missing", Box::new(|n, _, _| n != 50), 100_000, 98_000, "no heartbeat"),
            (
                "it is blind for a second",
                Box::new(|n, _, b| {
                    if n == 50 {
                        b.state = State::Blind;
                        b.why = "queue".into();
                    }
                    true
                }),
                100_000,
                98_000,
                "blind: queue",
            ),
            (
                "it drops once",
                Box::new(|n, _, b| {
                    b.dropped = u64::from(n >= 50);
                    true
                }),
                100_000,
                99_000,
                "dropped",
            ),
            (
                "it begins anew",
                Box::new(|n, _, b| {
                    if n >= 50 {
                        b.seq = n - 50;
                    }
                    true
                }),
                100_000,
                99_000,
                "restarted",
            ),
            (
                "the clock jumps an hour ahead",
                Box::new(|n, at, _| {
                    jumped(n, at);
                    true
                }),
                3_700_000,
                99_000,
                "clock",
            ),
            ("it dies", Box::new(|n, _, _| n <= 40), 100_000, 40_000, "no heartbeat"),
        ];
        for (name, change, until, expected, cause) in table {
            let stretch = covered(&run(101, change), 0, until);
            assert_eq!(stretch.covered_millis, expected, "{name}: {stretch:?}");
            assert_eq!(stretch.gaps.first().map_or("", |gap| gap.cause.as_str()), cause, "{name}");
        }
    }

    #[test]
    fn a_clock_that_goes_back_takes_what_it_counted_ahead_with_it() {
        // 50 s of beats an hour ahead, then the clock is put right.
        let beats = run(101, |number, at, _| {
            *at += if number < 50 { 3_600_000 } else { 0 };
            true
        });
        assert_eq!(covered(&beats, 3_600_000, 3_650_000).covered_millis, 0);
        assert_eq!(covered(&beats, 0, 100_000).covered_millis, 50_000);
    }

    #[test]
    fn a_path_is_covered_while_all_its_sensors_are() {
        let mut watch = Watch::default();
        for second in 0..=100u64 {
            let other = Beat { sensor: "database/members".into(), ..beat(second) };
            let mut beats = vec![beat(second)];
            if !(20..30).contains(&second) {
                beats.push(other);
            }
            watch.beats(second * 1000, second, &beats);
        }
        assert_eq!(watch.stretch(&["http/public", "database/members"], 0, 100_000).covered_millis, 89_000);
        assert_eq!(watch.stretch(&["http/public"], 0, 100_000).covered_millis, 100_000);
        assert_eq!(watch.stretch(&["http/public", "files/public"], 0, 100_000).covered_millis, 0, "it never beat");
        assert_eq!(watch.stretch::<&str>(&[], 0, 100_000).covered_millis, 0, "nobody watches nothing");
    }

    proptest! {
        /// Whatever the clock and the counter do, coverage is never more than the beats can carry, nor than the time itself.
        #[test]
        fn no_order_of_beats_covers_more_than_it_can_carry(
            beats in proptest::collection::vec((0u64..20_000, 0u64..20, 0u8..3, 0u64..2), 0..60),
        ) {
            let beats: Vec<_> = beats.into_iter().map(|(at, seq, state, dropped)| {
                let state = [State::Up, State::Blind, State::Down][usize::from(state)];
                (at, Beat { state, dropped, ..beat(seq) })
            }).collect();
            let stretch = covered(&beats, 0, 20_000);
            prop_assert!(stretch.covered_millis <= 20_000);
            prop_assert!(stretch.covered_millis <= beats.len().saturating_sub(1) as u64 * BEAT);
        }
    }
}
