//! Tests a pattern: what it would have matched on ordinary days, and whether people are behind it now.
//!
//! Every test errs towards letting through: a bound that cannot be shown counts as broken.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use portcullis_types::Tick;

use super::miner::{Pattern, matches};
use super::orders::{Action, Literal};
use super::rules::Situation;
use crate::senses::Known;
use crate::senses::harvest::Row;
use crate::senses::sight::Attribute;

/// Of ordinary traffic, a rule that refuses touches at most this share; the upper bound counts, not the estimate.
pub(crate) const REFUSED: f64 = 0.001;
/// The same for a rule that challenges.
pub(crate) const CHALLENGED: f64 = 0.005;
/// The same for a rule that puts behind, by the estimate: nobody is refused by it.
const PUT_BEHIND: f64 = 0.01;
/// Of logins, payments and codes of ordinary days: the share that a rule of outcomes may refuse, and may challenge. They
/// are few, so what can be shown of them is less.
const OUTCOMES_REFUSED: f64 = 0.01;
const OUTCOMES_CHALLENGED: f64 = 0.05;

/// How long a visitor must be known before having shown nothing says anything.
const RIPE: Duration = Duration::from_millis(1000);
/// So many requests without an asset, a cookie or a referer say the same before that.
const MANY: u32 = 8;
/// One visitor counts as at most so many.
const WEIGHT: u32 = 24;
/// Where fewer than this share of ordinary visitors show to be people, nobody can be told by it.
const BLIND: f64 = 0.15;
/// The share of people behind a rule must be below this part of the ordinary share.
const CLEARLY_LESS: f64 = 0.3;
/// Fewer visitors than this prove nothing.
const FEW: u32 = 16;
/// Rows of ordinary days span so many seconds that they tell nothing of how fast somebody asked.
const ORDINARY: f64 = 1e9;
/// Requests per second of one visitor that no person makes.
const HAMMER: f64 = 5.0;

/// What a pattern matched on ordinary days.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BackTest {
    /// Rows that it matched.
    pub(crate) hits: u32,
    /// Rows there are.
    pub(crate) rows: u32,
    /// Rows of protected cohorts that it matched.
    pub(crate) protected: u32,
    /// Those whose rows it matched have not shown to be people either, then or since.
    pub(crate) deserted: bool,
}

impl BackTest {
    pub(crate) fn of(pattern: &[Literal], baseline: &[Row], protected: &[Row]) -> Self {
        let count = |rows: &[Row]| rows.iter().filter(|row| matches(pattern, row)).count() as u32;
        Self { hits: count(baseline), rows: baseline.len() as u32, protected: count(protected), deserted: false }
    }

    /// Of what the same place was asked on ordinary days, for a pattern that names one.
    pub(crate) fn at(self, pattern: &[Literal], baseline: &[Row]) -> Self {
        let place = pattern.iter().find(|literal| literal.attribute == Attribute::Endpoint);
        let rows = place.map_or(0, |place| baseline.iter().filter(|row| matches(&[*place], row)).count());
        Self { rows: rows as u32, ..self }
    }

    /// Of two samples of the same, the one that shows more, unless the other one contradicts it.
    pub(crate) fn or(self, other: Self) -> Self {
        if other.upper() < self.upper() && self.share() <= other.upper() { other } else { self }
    }

    /// The share of ordinary traffic that it matched.
    pub(crate) fn share(self) -> f64 {
        if self.rows == 0 { 1.0 } else { f64::from(self.hits) / f64::from(self.rows) }
    }

    /// With 95 % certainty it is not more than this.
    pub(crate) fn upper(self) -> f64 {
        upper_bound(self.hits, self.rows)
    }

    /// The hardest action that it may get; none where it may not become a rule at all.
    pub(crate) fn ceiling(self) -> Option<Action> {
        self.within(REFUSED, CHALLENGED)
    }

    /// The same for rows of outcomes.
    pub(crate) fn ceiling_of_outcomes(self) -> Option<Action> {
        self.within(OUTCOMES_REFUSED, OUTCOMES_CHALLENGED)
    }

    fn within(self, refused: f64, challenged: f64) -> Option<Action> {
        let upper = self.upper();
        match () {
            () if self.protected > 0 => None,
            () if upper <= refused || (self.deserted && upper <= challenged) => Some(Action::Close),
            () if upper <= challenged => Some(Action::Challenge),
            () if self.rows == 0 || self.share() <= PUT_BEHIND => Some(Action::Deprioritise),
            () => None,
        }
    }
}

/// One-sided upper 95 % bound of a share, after `hits` among `rows`: Poisson's, which lies above Clopper and Pearson's.
/// Zero hits give the rule of three.
pub(crate) fn upper_bound(hits: u32, rows: u32) -> f64 {
    const EXACT: [f64; 11] =
        [2.9958, 4.7439, 6.2958, 7.7537, 9.1535, 10.5130, 11.8424, 13.1481, 14.4347, 15.7052, 16.9622];
    if rows == 0 {
        return 1.0;
    }
    let mean = EXACT.get(hits as usize).copied().unwrap_or_else(|| {
        // Wilson and Hilferty: within 0.1 % here.
        let n = f64::from(hits) + 1.0;
        let root = 1.0 - 1.0 / (9.0 * n) + 1.645 / (3.0 * n.sqrt());
        n * root * root * root
    });
    (mean / f64::from(rows)).min(1.0)
}

/// Whether people are behind a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Clearly fewer than ordinary.
    Clean,
    /// Nobody has had the time to show it.
    Young,
    /// Ordinary visitors of that place do not show it either.
    Blind,
    /// Not clearly fewer.
    People,
}

/// A verdict with its figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// Visitors that have shown to be people.
    pub(crate) people: u32,
    /// Visitors that had the time to.
    pub(crate) of: u32,
    /// The ordinary share of people there.
    pub(crate) normal: f64,
}

impl Judged {
    /// Share of people.
    pub(crate) fn share(&self) -> f64 {
        f64::from(self.people) / f64::from(self.of.max(1))
    }
}

/// How much a visitor must have shown to count as a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Anything at all, as long as a rule has touched nobody.
    Some = 1,
    /// Several kinds of things, once a rule is in force. Asking again and again, for one document after the other, is
    /// what refused machines do as well.
    Much = 2,
}

/// Looks up who is behind the rows that match. `seconds` is the time that the rows span, `weight` how many requests each
/// stands for.
pub(crate) fn judge<'a>(
    pattern: &[Literal],
    rows: impl Iterator<Item = &'a Row>,
    known: &dyn Fn(u64) -> Known,
    shown: Shown,
    normal: f64,
    seconds: f64,
    weight: f64,
) -> Judged {
    let mut visitors: Vec<u64> = rows.filter(|row| matches(pattern, row)).map(|row| row.visitor).collect();
    let requests = visitors.len() as f64 * weight;
    visitors.sort_unstable();
    let (mut people, mut of, mut distinct) = (0, 0, 0_u32);
    for same in visitors.chunk_by(|one, other| one == other) {
        let Some(visitor) = same.first() else { continue };
        distinct += 1;
        let known = known(*visitor);
        let times = (same.len() as u32).max(known.requests);
        let person = known.evidence >= shown as u8;
        if known.age < RIPE && times < MANY && !person {
            continue;
        }
        let units = (times / MANY).clamp(1, WEIGHT);
        of += units;
        people += if person { units } else { 0 };
    }
    let hammered = requests / f64::from(distinct.max(1)) / seconds.max(0.5) >= HAMMER;
    let judged = compare(people, of, normal);
    match judged.verdict {
        Verdict::Blind if people == 0 && hammered => Judged { verdict: Verdict::Clean, ..judged },
        _ => judged,
    }
}

/// Whether a share of people is clearly less than the ordinary one.
pub(crate) fn compare(people: u32, of: u32, normal: f64) -> Judged {
    let verdict = match () {
        () if of < FEW => Verdict::Young,
        () if normal < BLIND => Verdict::Blind,
        () if upper_bound(people, of) <= CLEARLY_LESS * normal => Verdict::Clean,
        // Too few to tell the two shares apart.
        () if of < 2 * FEW && f64::from(people) <= CLEARLY_LESS * normal * f64::from(of) => Verdict::Young,
        () => Verdict::People,
    };
    Judged { verdict, people, of, normal }
}

/// The ordinary share of visitors that show to be people, learned in calm: a request is looked at again two seconds later.
#[derive(Debug, Default)]
pub(crate) struct Norms {
    pending: VecDeque<(Tick, u64, u32)>,
    all: Share,
    endpoints: BTreeMap<u32, Share>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    some: f64,
    much: f64,
    of: f64,
}

/// Looked at again after this.
const LATER: Duration = Duration::from_secs(2);
/// Rows that one step sets aside.
const ASIDE: usize = 32;
/// Endpoints whose share is known.
const ENDPOINTS: usize = 256;
/// A share from fewer visitors is not used.
const SHARE_FROM: f64 = 50.0;
/// What is assumed of people before anything was learned.
const ASSUMED: f64 = 0.6;

impl Norms {
    /// Sets some of the rows aside, and looks again at those of two seconds ago.
    pub(crate) fn learn(&mut self, rows: &[Row], known: &dyn Fn(u64) -> Known, now: Tick) {
        let step = rows.len().div_ceil(ASIDE).max(1);
        let aside = rows.iter().step_by(step);
        self.pending.extend(aside.map(|row| (now, row.visitor, row.attributes.get(Attribute::Endpoint))));
        while let Some((at, visitor, endpoint)) = self.pending.front().copied() {
            if now.since(at) < LATER {
                break;
            }
            self.pending.pop_front();
            let evidence = known(visitor).evidence;
            self.all.add(evidence);
            if self.endpoints.len() < ENDPOINTS || self.endpoints.contains_key(&endpoint) {
                self.endpoints.entry(endpoint).or_default().add(evidence);
            }
        }
    }

    /// Tests a pattern against ordinary days, and whether people were behind it then. What crept in slowly to pass for
    /// ordinary is told by that from what is.
    pub(crate) fn test(&self, pattern: &Pattern, situation: &Situation<'_>) -> BackTest {
        let Situation { baseline, protected, known, .. } = *situation;
        let test = BackTest::of(pattern, baseline, protected);
        let normal = self.share(pattern, Shown::Some);
        let judge = || judge(pattern, baseline.iter(), known, Shown::Some, normal, ORDINARY, 1.0);
        let deserted = test.hits > 0 && situation.settings.switches.veto && judge().verdict == Verdict::Clean;
        BackTest { deserted, ..test }
    }

    /// Drops what was set aside: it may not have been ordinary.
    pub(crate) fn freeze(&mut self) {
        self.pending.clear();
    }

    /// The ordinary share of people where the pattern asks.
    pub(crate) fn share(&self, pattern: &Pattern, shown: Shown) -> f64 {
        let endpoint = pattern.iter().find(|literal| literal.attribute == Attribute::Endpoint);
        endpoint
            .and_then(|literal| self.endpoints.get(&literal.value))
            .and_then(|share| share.get(shown))
            .or_else(|| self.all.get(shown))
            .unwrap_or(ASSUMED)
    }
}

impl Share {
    fn add(&mut self, evidence: u8) {
        if self.of >= 4000.0 {
            *self = Self { some: self.some / 2.0, much: self.much / 2.0, of: self.of / 2.0 };
        }
        self.of += 1.0;
        self.some += f64::from(u8::from(evidence >= Shown::Some as u8));
        self.much += f64::from(u8::from(evidence >= Shown::Much as u8));
    }

    fn get(&self, shown: Shown) -> Option<f64> {
        let people = match shown {
            Shown::Some => self.some,
            Shown::Much => self.much,
        };
        (self.of >= SHARE_FROM).then(|| people / self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::senses::sight::{ATTRIBUTES, Attributes};

    fn visitor(visitor: u64) -> Row {
        Row { attributes: Attributes([0; ATTRIBUTES]), visitor, cost_us: 0 }
    }

    #[test]
    fn a_bound_is_shown_or_counts_as_broken() {
        for (hits, rows, at_least, at_most) in [
            (0, 0, 1.0, 1.0),
            (0, 32_768, 0.000_09, 0.000_092),
            (0, 3000, 0.000_998, 0.001),
            (0, 100, 0.029, 0.03),
            (3, 32_768, 0.000_23, 0.000_24),
            (40, 10_000, 0.0051, 0.0054),
            (100, 100, 1.0, 1.0),
        ] {
            let bound = upper_bound(hits, rows);
            assert!((at_least..=at_most).contains(&bound), "{hits} of {rows}: {bound}");
        }
    }

    #[test]
    fn the_hardest_action_follows_from_what_can_be_shown() {
        let cases = [
            (0, 32_768, 0, Some(Action::Close)),
            (20, 32_768, 0, Some(Action::Close)),
            (40, 32_768, 0, Some(Action::Challenge)),
            (300, 32_768, 0, Some(Action::Deprioritise)),
            (400, 32_768, 0, None),
            (1000, 32_768, 0, None),
            (0, 32_768, 1, None),
            (0, 1000, 0, Some(Action::Challenge)),
            (0, 300, 0, Some(Action::Deprioritise)),
            (0, 0, 0, Some(Action::Deprioritise)),
            (10, 300, 0, None),
        ];
        for (hits, rows, protected, ceiling) in cases {
            assert_eq!(
                BackTest { hits, rows, protected, deserted: false }.ceiling(),
                ceiling,
                "{hits} of {rows}, {protected} protected"
            );
        }
    }

    #[test]
    fn who_was_never_a_person_on_ordinary_days_weighs_less() {
        for (hits, deserted, ceiling) in
            [(40, false, Action::Challenge), (40, true, Action::Close), (300, true, Action::Deprioritise)]
        {
            let test = BackTest { hits, rows: 32_768, protected: 0, deserted };
            assert_eq!(test.ceiling(), Some(ceiling), "{test:?}");
        }
    }

    #[test]
    fn of_two_samples_the_one_that_shows_more_counts_unless_it_is_contradicted() {
        let of = |hits, rows| BackTest { hits, rows, ..BackTest::default() };
        for (outcomes, place, expected) in [
            (of(0, 277), of(0, 600), of(0, 600)),
            (of(0, 600), of(0, 277), of(0, 600)),
            (of(0, 277), of(9, 600), of(0, 277)),
            (of(30, 277), of(0, 600), of(30, 277)),
            (of(0, 277), of(0, 0), of(0, 277)),
        ] {
            assert_eq!(outcomes.or(place), expected, "{outcomes:?} or {place:?}");
        }
        let rows: Vec<Row> = (0..10)
            .map(|at| {
                let mut row = visitor(at);
                row.attributes.0[Attribute::Endpoint.index()] = (at % 2) as u32;
                row
            })
            .collect();
        let literal = |attribute, value| Literal { attribute, value };
        let test = of(0, 10);
        assert_eq!(test.at(&[literal(Attribute::Endpoint, 1), literal(Attribute::Token, 0)], &rows), of(0, 5));
        assert_eq!(test.at(&[literal(Attribute::Token, 0)], &rows), of(0, 0), "no place, nothing shown");
    }

    #[test]
    fn a_crowd_is_told_from_a_flood_by_what_it_does() {
        let old = Duration::from_secs(2);
        let rows: Vec<Row> = (0..300).map(visitor).collect();
        let verdict = |people: u64, age: Duration, normal: f64| {
            let known = move |visitor: u64| Known {
                evidence: u8::from(visitor % 100 < people),
                age,
                requests: 1,
                ..Known::default()
            };
            judge(&[], rows.iter(), &known, Shown::Some, normal, 1.0, 1.0).verdict
        };
        assert_eq!(verdict(0, old, 0.72), Verdict::Clean);
        assert_eq!(verdict(5, old, 0.72), Verdict::Clean);
        assert_eq!(verdict(67, old, 0.72), Verdict::People);
        assert_eq!(verdict(30, old, 0.72), Verdict::People, "a third of them are people");
        assert_eq!(verdict(0, Duration::from_millis(200), 0.72), Verdict::Young);
        assert_eq!(verdict(0, old, 0.05), Verdict::Blind, "nobody shows it there on any day");
    }

    #[test]
    fn few_visitors_with_many_requests_are_told_at_once() {
        let rows: Vec<Row> = (0..1000).map(|at| visitor(at % 5)).collect();
        let known = |_| Known { age: Duration::from_millis(200), requests: 200, ..Known::default() };
        assert_eq!(judge(&[], rows.iter(), &known, Shown::Some, 0.72, 0.5, 1.0).verdict, Verdict::Clean);
        assert_eq!(
            judge(&[], rows.iter(), &known, Shown::Some, 0.05, 0.5, 1.0).verdict,
            Verdict::Clean,
            "no person asks so often"
        );
        let few = rows.get(..10).expect("ten");
        let known = |_| Known { age: Duration::from_millis(200), requests: 2, ..Known::default() };
        assert_eq!(judge(&[], few.iter(), &known, Shown::Some, 0.72, 0.5, 1.0).verdict, Verdict::Young);
    }

    #[test]
    fn the_ordinary_share_is_learned_two_seconds_later() {
        let mut norms = Norms::default();
        let endpoint = |value: u32| {
            let mut attributes = Attributes([0; ATTRIBUTES]);
            attributes.0[Attribute::Endpoint.index()] = value;
            attributes
        };
        let known = |visitor: u64| Known { evidence: u8::from(visitor % 10 < 8), ..Known::default() };
        for step in 0..200_u64 {
            let rows: Vec<Row> = (0..20)
                .map(|at| Row { attributes: endpoint((at % 2) as u32), visitor: at + step * 20, cost_us: 0 })
                .collect();
            norms.learn(&rows, &known, Tick::from_millis(step * 100));
        }
        let share = norms.share(&Pattern::new(), Shown::Some);
        assert!((share - 0.8).abs() < 0.01, "{share}");
        assert!((Norms::default().share(&Pattern::new(), Shown::Some) - ASSUMED).abs() < f64::EPSILON);
    }
}
