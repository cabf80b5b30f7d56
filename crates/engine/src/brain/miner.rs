//! Finds what the requests of now have in common that the requests of ordinary days have not.
//!
//! A pure function of rows: same rows, same patterns. It judges nobody; [`super::rules`] tests what it finds.
//!
//! Each value that is frequent now becomes a literal with one bit per row. A beam search joins literals to patterns of at
//! most four, a greedy cover keeps the fewest patterns that explain the excess. Frequent is meant by requests and by
//! cost: the rows are drawn once as they are and once in proportion to what they cost the platform.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use super::orders::{LITERALS, Literal};
use crate::senses::harvest::Row;
use crate::senses::sight::{Attribute, OVERDRAWN};

/// Patterns that one run finds at most.
pub(crate) const COVER: usize = 4;
/// Literals that one run joins at most.
const CHOICE: usize = 64;
/// Of each attribute, values that are looked at.
const VALUES: usize = 6;
/// Patterns that go on to the next length.
const BEAM: usize = 10;
/// Rows drawn to find the frequent values, and to stand for the cost.
const DRAW: usize = 2048;
/// A value below this share of the rows is not frequent.
const FREQUENT: f64 = 0.03;
/// A pattern that explains less of the excess is not worth a rule.
const WORTH: f64 = 0.08;
/// Below this share of ordinary traffic a pattern is narrow enough; more literals would only fit the noise.
const NARROW: f64 = 0.000_3;
/// Above this share of ordinary traffic a pattern is not proposed at all.
const WIDE: f64 = 0.02;
/// A pattern that is not this many times more frequent than usual is none.
const LIFT: f64 = 4.0;
/// Fewer rows of people than this prove nothing about a pattern.
const FEW: usize = 50;

/// What all of a pattern's requests have in common, sorted by attribute.
pub type Pattern = SmallVec<[Literal; LITERALS]>;

/// A pattern with what speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Sorted by attribute.
    pub pattern: Pattern,
    /// Of the excess, the share that it explains beyond the candidates before it; by requests or by cost, whichever is
    /// greater.
    pub explains: f64,
}

/// What there is to compare.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Rows of ordinary days.
    pub baseline: &'a [Row],
    /// Rows of now, of visitors that have not shown to be people.
    pub window: &'a [Row],
    /// Rows of now, of visitors that have. What they look like is no contrast.
    pub people: &'a [Row],
    /// How many rows like those of the window an ordinary time as long would have had.
    pub expected: f64,
    /// The same in microseconds of the platform.
    pub expected_cost: f64,
    /// Fewer rows beyond the expected are the weather of any site, or a rest that is not worth a rule.
    pub least: f64,
    /// The same in microseconds of the platform.
    pub least_cost: f64,
}

/// The patterns that explain the most of what is out of the ordinary, the best first.
#[must_use]
pub fn mine(ground: &Ground<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let Some(field) = Field::new(ground) else { return found };
    let mut alive = field.all.clone();
    while found.len() < COVER {
        let Some(best) = field.search(&alive) else { break };
        let best = field.spare(best);
        field.remove(&mut alive, &best.bits);
        found.push(Candidate { pattern: field.pattern(&best), explains: best.explains });
    }
    found
}

/// Whether a rule may consist of these literals.
///
/// What was asked for (a page, a method) is what a crowd has in common; where somebody comes from and with which browser
/// is what people share; having no token and nothing to show for oneself is what every newcomer has in common. Each of
/// the three needs another one beside it. How the client speaks (its TLS, its headers' order, its HTTP/2, the shape of
/// its query) may stand alone where there is a value.
pub(crate) fn may_become_rule(pattern: &[Literal]) -> bool {
    let mut asked = false;
    let mut who = false;
    let mut client = false;
    let mut new = false;
    for literal in pattern {
        match literal.attribute {
            attribute if attribute.may_stand_alone() && literal.value != 0 => return true,
            Attribute::Endpoint | Attribute::Path | Attribute::Method | Attribute::Referer => asked = true,
            Attribute::Network | Attribute::Language => who = true,
            Attribute::Agent | Attribute::Family | Attribute::Accept => client = true,
            Attribute::Token | Attribute::Evidence => new = true,
            _ => {}
        }
    }
    (asked && (who || client || new)) || (client && new)
}

/// The row has all of it.
pub(crate) fn matches(pattern: &[Literal], row: &Row) -> bool {
    pattern.iter().all(|literal| row.attributes.get(literal.attribute) == literal.value)
}

/// One bit per row, in parts: the window, its cost, the baseline, its cost, the people.
type Bits = Vec<u64>;

/// The rows as bits, and what there is to explain.
struct Field {
    literals: Vec<Literal>,
    bits: Vec<Bits>,
    /// Where each part ends, in words.
    ends: [usize; 5],
    /// Rows of each part.
    rows: [usize; 5],
    all: Bits,
    expected: f64,
    excess: f64,
    expected_cost: f64,
    cost: f64,
    excess_cost: f64,
}

/// A conjunction under way.
#[derive(Clone)]
struct State {
    /// Positions in `Field::literals`, as bits.
    members: u64,
    bits: Bits,
    score: f64,
    explains: f64,
    /// Its share of ordinary traffic, or of what people do now, whichever is greater.
    usual: f64,
    /// How many times more frequent it is now.
    lift: f64,
}

impl Field {
    fn new(ground: &Ground<'_>) -> Option<Self> {
        let cost: f64 = ground.window.iter().map(|row| f64::from(row.cost_us)).sum();
        let rows = ground.window.len() as f64;
        let (excess, excess_cost) = (rows - ground.expected, cost - ground.expected_cost);
        let excess = if excess > ground.least && excess >= 8.0 { excess } else { 0.0 };
        let excess_cost = if excess_cost > ground.least_cost { excess_cost } else { 0.0 };
        if excess <= 0.0 && excess_cost <= 0.0 {
            return None;
        }
        let window_cost = draw_by_cost(ground.window);
        let baseline_cost = draw_by_cost(ground.baseline);
        let window: Vec<&Row> = ground.window.iter().collect();
        let baseline: Vec<&Row> = ground.baseline.iter().collect();
        let people: Vec<&Row> = ground.people.iter().collect();
        let values = frequent(&window, &window_cost);
        let parts = [&window, &window_cost, &baseline, &baseline_cost, &people];
        let rows = parts.map(|part| part.len());
        let mut ends = [0; 5];
        let mut words = 0;
        for (end, part) in ends.iter_mut().zip(parts) {
            words += part.len().div_ceil(64);
            *end = words;
        }
        let mut field = Self {
            bits: vec![vec![0; words]; values.len()],
            literals: values,
            ends,
            rows,
            all: vec![u64::MAX; words],
            expected: ground.expected,
            excess,
            expected_cost: ground.expected_cost,
            cost,
            excess_cost,
        };
        field.fill(&parts);
        field.choose();
        Some(field)
    }

    /// Sets the bits of every literal. The literals are sorted by attribute, so each row is read once.
    fn fill(&mut self, parts: &[&Vec<&Row>; 5]) {
        let mut groups: Vec<(Attribute, std::ops::Range<usize>)> = Vec::new();
        for (at, literal) in self.literals.iter().enumerate() {
            match groups.last_mut() {
                Some((attribute, range)) if *attribute == literal.attribute => range.end = at + 1,
                _ => groups.push((literal.attribute, at..at + 1)),
            }
        }
        let mut from = 0;
        for (part, end) in parts.iter().zip(self.ends) {
            for (number, row) in part.iter().enumerate() {
                let (word, bit) = (from + number / 64, 1_u64 << (number % 64));
                for (attribute, range) in &groups {
                    let value = row.attributes.get(*attribute);
                    for at in range.clone() {
                        if self.literals[at].value == value {
                            self.bits[at][word] |= bit;
                            break;
                        }
                    }
                }
            }
            from = end;
        }
    }

    /// Keeps the literals that can be part of an explanation.
    fn choose(&mut self) {
        let mut ranked: Vec<(usize, State)> = (0..self.literals.len())
            .map(|at| (at, self.state(1 << (at % 64), self.bits[at].clone())))
            .filter(|(_, state)| state.explains >= WORTH / 2.0)
            .collect();
        ranked.sort_by(|one, other| other.1.score.total_cmp(&one.1.score).then(one.0.cmp(&other.0)));
        let mut kept: Vec<usize> = Vec::new();
        let mut of: [usize; Attribute::ALL.len()] = [0; Attribute::ALL.len()];
        // The best of each attribute first: a broad one such as "no token" scores low alone and narrows others well.
        for depth in [3, VALUES] {
            for (at, _) in &ranked {
                let attribute = self.literals[*at].attribute.index();
                if kept.len() < CHOICE && of[attribute] < depth && !kept.contains(at) {
                    of[attribute] += 1;
                    kept.push(*at);
                }
            }
        }
        kept.sort_unstable();
        self.literals = kept.iter().map(|at| self.literals[*at]).collect();
        self.bits = kept.iter().map(|at| std::mem::take(&mut self.bits[*at])).collect();
    }

    /// The best pattern among the rows that are still alive.
    fn search(&self, alive: &Bits) -> Option<State> {
        let mut best: Option<State> = None;
        let mut tried: BTreeSet<u64> = BTreeSet::new();
        let mut beam: Vec<State> = (0..self.literals.len())
            .map(|at| self.state(1 << at, and(alive, &self.bits[at])))
            .filter(|state| state.explains >= WORTH)
            .collect();
        for length in 1..=LITERALS {
            for state in &beam {
                let better = best.as_ref().is_none_or(|best| state.score > best.score);
                if better && state.usual <= WIDE && state.lift >= LIFT && may_become_rule(&self.pattern(state)) {
                    best = Some(state.clone());
                }
            }
            if length == LITERALS {
                break;
            }
            beam.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.members.cmp(&other.members)));
            // The broad and the narrow both go on: the first few by score, and any that stands apart by its rows.
            beam.truncate(BEAM);
            let mut longer: Vec<State> = Vec::new();
            for state in &beam {
                // What may not stand alone needs company even where that tells nothing more.
                let least = if may_become_rule(&self.pattern(state)) { 1.02 } else { 0.9 };
                for (at, literal) in self.literals.iter().enumerate() {
                    if self.asks_for(state.members, literal.attribute) || !tried.insert(state.members | 1 << at) {
                        continue;
                    }
                    if let Some(next) = self.join(state, at)
                        && next.score > state.score * least
                    {
                        longer.push(next);
                    }
                }
            }
            if longer.is_empty() {
                break;
            }
            beam = longer;
        }
        best
    }

    /// Leaves out who has a token, and where ordinary traffic has the pattern at all also who has shown to be a person,
    /// as long as that explains as much.
    fn spare(&self, best: State) -> State {
        let mut best = best;
        for attribute in [Attribute::Token, Attribute::Evidence] {
            let literal = self.literals.iter().position(|literal| literal.attribute == attribute && literal.value == 0);
            let full = best.members.count_ones() as usize >= LITERALS || self.asks_for(best.members, attribute);
            let needless = attribute == Attribute::Evidence && best.usual <= 0.0;
            let Some(at) = literal.filter(|_| !full && !needless) else { continue };
            match self.join(&best, at) {
                Some(next) if next.explains >= 0.98 * best.explains => best = next,
                _ => {}
            }
        }
        best
    }

    /// A pattern with one literal more; none where too little of the excess is left.
    fn join(&self, state: &State, at: usize) -> Option<State> {
        let literal = &self.bits[at];
        // The window alone tells whether it is worth the rest.
        let rows = count_both(&state.bits, literal, 0, self.ends[0]);
        let costs = count_both(&state.bits, literal, self.ends[0], self.ends[1]);
        if self.explained(rows, 0.0).max(self.explained_cost(costs, 0.0)) < WORTH {
            return None;
        }
        let next = self.state(state.members | 1 << at, and(&state.bits, literal));
        (next.explains >= WORTH).then_some(next)
    }

    fn state(&self, members: u64, bits: Bits) -> State {
        let counted = self.count(&bits);
        let share = |part: usize| counted[part] as f64 / self.rows[part].max(1) as f64;
        let (now, now_cost, usual, usual_cost) = (share(0), share(1), share(2), share(3));
        let people = if self.rows[4] >= FEW { share(4) } else { 0.0 };
        let by_rows = self.explained(counted[0], usual);
        let by_cost = self.explained_cost(counted[1], usual_cost);
        // What people do now counts as much as what they did on other days.
        let usual = usual.max(people);
        let (explains, lift) = if by_rows >= by_cost {
            (by_rows, now / usual.max(NARROW))
        } else {
            (by_cost, now_cost / usual_cost.max(people).max(NARROW))
        };
        let brevity = 1.0 - 0.01 * f64::from(members.count_ones());
        State { members, bits, score: explains.max(0.0) * log2(1.0 + lift) * brevity, explains, usual, lift }
    }

    fn explained(&self, rows: usize, usual: f64) -> f64 {
        if self.excess <= 0.0 { 0.0 } else { (rows as f64 - usual * self.expected) / self.excess }
    }

    fn explained_cost(&self, rows: usize, usual: f64) -> f64 {
        if self.excess_cost <= 0.0 {
            return 0.0;
        }
        let cost = rows as f64 / self.rows[1].max(1) as f64 * self.cost;
        (cost - usual * self.expected_cost) / self.excess_cost
    }

    fn count(&self, bits: &Bits) -> [usize; 5] {
        let mut from = 0;
        self.ends.map(|end| {
            let sum = bits[from..end].iter().map(|word| word.count_ones() as usize).sum();
            from = end;
            sum
        })
    }

    fn asks_for(&self, members: u64, attribute: Attribute) -> bool {
        self.members(members).any(|at| self.literals[at].attribute == attribute)
    }

    fn members(&self, members: u64) -> impl Iterator<Item = usize> + '_ {
        (0..self.literals.len()).filter(move |at| members >> at & 1 == 1)
    }

    fn pattern(&self, state: &State) -> Pattern {
        self.members(state.members).map(|at| self.literals[at]).collect()
    }

    /// Takes the explained rows out of the window. Ordinary days and people stay: a pattern is compared with all of them.
    fn remove(&self, alive: &mut Bits, explained: &Bits) {
        for (word, gone) in alive.iter_mut().zip(explained).take(self.ends[1]) {
            *word &= !gone;
        }
    }
}

fn and(one: &Bits, other: &Bits) -> Bits {
    one.iter().zip(other).map(|(one, other)| one & other).collect()
}

fn count_both(one: &Bits, other: &Bits, from: usize, end: usize) -> usize {
    one[from..end].iter().zip(&other[from..end]).map(|(one, other)| (one & other).count_ones() as usize).sum()
}

/// Rows in proportion to what they cost: every so many microseconds the row that spends it.
fn draw_by_cost(rows: &[Row]) -> Vec<&Row> {
    let total: u64 = rows.iter().map(|row| u64::from(row.cost_us)).sum();
    let step = (total / DRAW as u64).max(1);
    let mut drawn = Vec::with_capacity(DRAW + 1);
    let mut spent = step / 2;
    for row in rows {
        spent += u64::from(row.cost_us);
        while spent >= step && drawn.len() < DRAW {
            spent -= step;
            drawn.push(row);
        }
    }
    drawn
}

/// The values that are frequent now, by requests or by cost, sorted by attribute.
fn frequent(window: &[&Row], by_cost: &[&Row]) -> Vec<Literal> {
    let step = window.len().div_ceil(DRAW).max(1);
    let mut found = Vec::new();
    let mut values: Vec<u32> = Vec::with_capacity(DRAW);
    for attribute in Attribute::ALL {
        let mut shares: Vec<(f64, u32)> = Vec::new();
        let drawn = window.iter().step_by(step).copied();
        runs(&mut values, drawn.map(|row| row.attributes.get(attribute)), &mut shares);
        runs(&mut values, by_cost.iter().map(|row| row.attributes.get(attribute)), &mut shares);
        shares.retain(|(share, value)| *share >= FREQUENT && may_be_asked(attribute, *value));
        shares.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let mut kept: SmallVec<[u32; VALUES]> = SmallVec::new();
        for (_, value) in shares {
            if kept.len() < VALUES && !kept.contains(&value) {
                kept.push(value);
            }
        }
        found.extend(kept.into_iter().map(|value| Literal { attribute, value }));
    }
    found
}

/// Nobody is picked out for the token or for the good signs that they have; only for having none, or for
/// a token that asks for more than its holder could.
fn may_be_asked(attribute: Attribute, value: u32) -> bool {
    match attribute {
        Attribute::Token => matches!(value, 0 | OVERDRAWN),
        Attribute::Evidence => value == 0,
        _ => true,
    }
}

/// The share of each value.
fn runs(values: &mut Vec<u32>, drawn: impl Iterator<Item = u32>, shares: &mut Vec<(f64, u32)>) {
    values.clear();
    values.extend(drawn);
    values.sort_unstable();
    let rows = values.len().max(1) as f64;
    for run in values.chunk_by(|one, other| one == other) {
        if let Some(value) = run.first() {
            shares.push((run.len() as f64 / rows, *value));
        }
    }
}

/// Logarithm to base 2 from exact operations only, so that every machine finds the same pattern. Good to 0.01.
fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as f64 - 1023.0;
    let mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    exponent + (mantissa - 1.0) * (1.0 + 0.343_5 * (2.0 - mantissa))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::senses::sight::{ATTRIBUTES, Attributes};

    /// xorshift64*
    struct Dice(u64);

    impl Dice {
        fn of(&mut self, sides: u32) -> u32 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32 % sides
        }
    }

    fn row(values: &[(Attribute, u32)], cost_us: u32) -> Row {
        let mut attributes = Attributes([0; ATTRIBUTES]);
        for (attribute, value) in values {
            attributes.0[attribute.index()] = *value;
        }
        Row { attributes, visitor: 0, cost_us }
    }

    /// An ordinary visitor who has shown nothing yet.
    fn ordinary(dice: &mut Dice) -> Row {
        let stack = 1 + dice.of(10);
        row(
            &[
                (Attribute::Endpoint, 1 + dice.of(30)),
                (Attribute::Method, 1),
                (Attribute::Tls, stack),
                (Attribute::Order, 10 + stack),
                (Attribute::Agent, 100 + stack * 4 + dice.of(4)),
                (Attribute::Network, 1000 + dice.of(5000)),
                (Attribute::Token, 4 * (dice.of(4) / 3)),
                (Attribute::Evidence, 1 - dice.of(4) / 3),
            ],
            5000,
        )
    }

    fn rows(dice: &mut Dice, count: usize, of: impl Fn(&mut Dice) -> Row) -> Vec<Row> {
        (0..count).map(|_| of(dice)).collect()
    }

    fn attack(dice: &mut Dice, over: &[(Attribute, u32)]) -> Row {
        let mut attack = ordinary(dice);
        attack.attributes.0[Attribute::Token.index()] = 0;
        attack.attributes.0[Attribute::Evidence.index()] = 0;
        for (attribute, value) in over {
            attack.attributes.0[attribute.index()] = *value;
        }
        attack
    }

    fn find(baseline: &[Row], window: &[Row], people: &[Row], expected: f64) -> Vec<Candidate> {
        mine(&Ground {
            baseline,
            window,
            people,
            expected,
            expected_cost: expected * 5000.0,
            least: 0.2 * expected,
            least_cost: 1000.0 * expected,
        })
    }

    #[test]
    fn planted_patterns_are_found() {
        type Case<'a> = (&'a str, &'a [(Attribute, u32)], Attribute);
        let cases: [Case<'_>; 5] = [
            ("a stack that nobody has", &[(Attribute::Tls, 0xbad)], Attribute::Tls),
            ("an order of headers that nobody has", &[(Attribute::Order, 0xbad)], Attribute::Order),
            ("a query that nobody asks", &[(Attribute::Query, 0xbad)], Attribute::Query),
            ("a browser that nobody has", &[(Attribute::Agent, 0xbad)], Attribute::Agent),
            ("one page and nothing to show", &[(Attribute::Endpoint, 7), (Attribute::Tls, 3)], Attribute::Endpoint),
        ];
        for (name, over, attribute) in cases {
            let mut dice = Dice(7);
            let baseline = rows(&mut dice, 20_000, ordinary);
            let mut window = rows(&mut dice, 400, ordinary);
            window.extend(rows(&mut dice, 4000, |dice| attack(dice, over)));
            let found = find(&baseline, &window, &[], 400.0);
            let first = found.first().unwrap_or_else(|| panic!("{name}: nothing found"));
            assert!(first.pattern.iter().any(|literal| literal.attribute == attribute), "{name}: {first:?}");
            assert!(first.explains > 0.9, "{name}: {first:?}");
            let hits = baseline.iter().filter(|row| matches(&first.pattern, row)).count();
            assert!(hits < 60, "{name}: {hits} of ordinary traffic");
        }
    }

    #[test]
    fn ordinary_traffic_has_no_pattern_however_much_of_it_there_is() {
        let mut dice = Dice(11);
        let baseline = rows(&mut dice, 20_000, ordinary);
        let window = rows(&mut dice, 6000, ordinary);
        assert_eq!(find(&baseline, &window, &[], 600.0), []);
    }

    #[test]
    fn what_people_do_now_is_no_contrast() {
        // A crowd comes to one page by a link, with nothing to show yet; those before them have shown to be people.
        let mut dice = Dice(13);
        let baseline = rows(&mut dice, 20_000, ordinary);
        let over = [(Attribute::Endpoint, 77), (Attribute::Referer, 2)];
        let window = rows(&mut dice, 4000, |dice| attack(dice, &over));
        let people = rows(&mut dice, 4000, |dice| attack(dice, &over));
        assert_eq!(find(&baseline, &window, &people, 400.0), []);
        assert!(!find(&baseline, &window, &[], 400.0).is_empty(), "without them it would have been a pattern");
    }

    #[test]
    fn an_expensive_minority_is_found_by_its_cost() {
        let mut dice = Dice(17);
        let baseline = rows(&mut dice, 20_000, ordinary);
        let mut window = rows(&mut dice, 4000, ordinary);
        let over = [(Attribute::Endpoint, 9), (Attribute::Method, 2)];
        window.extend(rows(&mut dice, 200, |dice| Row { cost_us: 400_000, ..attack(dice, &over) }));
        let found = find(&baseline, &window, &[], 4000.0);
        let first = found.first().expect("a pattern");
        assert!(first.pattern.contains(&Literal { attribute: Attribute::Method, value: 2 }), "{first:?}");
        for row in &mut window {
            row.cost_us = 5000;
        }
        assert_eq!(find(&baseline, &window, &[], 4000.0), [], "the same rows, as cheap as the others");
    }

    #[test]
    fn what_many_share_never_stands_alone() {
        let literal = |attribute| Literal { attribute, value: 5 };
        let newcomer = Literal { attribute: Attribute::Token, value: 0 };
        let unknown = Literal { attribute: Attribute::Evidence, value: 0 };
        for attribute in Attribute::ALL.into_iter().filter(|attribute| !attribute.may_stand_alone()) {
            assert!(!may_become_rule(&[literal(attribute)]), "{attribute:?}");
        }
        assert!(!may_become_rule(&[newcomer, unknown]), "every newcomer");
        assert!(!may_become_rule(&[literal(Attribute::Network), newcomer]), "newcomers of a place");
        assert!(!may_become_rule(&[literal(Attribute::Language), literal(Attribute::Network)]), "a country");
        assert!(!may_become_rule(&[literal(Attribute::Path), literal(Attribute::Referer)]), "a link that went around");
        assert!(!may_become_rule(&[Literal { attribute: Attribute::Tls, value: 0 }]), "everybody without TLS");
        assert!(may_become_rule(&[literal(Attribute::Tls)]));
        assert!(may_become_rule(&[literal(Attribute::Endpoint), newcomer, unknown]));
    }

    #[test]
    fn headers_at_random_leave_what_they_cannot_change() {
        let mut dice = Dice(19);
        let baseline = rows(&mut dice, 20_000, ordinary);
        let mut window = rows(&mut dice, 300, ordinary);
        for stack in [0xbad1, 0xbad2, 0xbad3] {
            window.extend(rows(&mut dice, 1000, |dice| {
                let (order, agent) = (dice.of(u32::MAX), dice.of(u32::MAX));
                attack(dice, &[(Attribute::Tls, stack), (Attribute::Order, order), (Attribute::Agent, agent)])
            }));
        }
        let found = find(&baseline, &window, &[], 300.0);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().map(|one| one.explains).sum::<f64>() > 0.95);
    }

    proptest! {
        /// Whatever the rows are: no more patterns than allowed, each fit to be a rule, each sorted and within its length,
        /// none wider than it may be, and the same rows give the same patterns.
        #[test]
        fn patterns_keep_their_bounds(
            seed in 1..u64::MAX,
            window in 0..600_usize,
            baseline in 0..600_usize,
            people in 0..200_usize,
            kinds in 1..6_u32,
        ) {
            let mut dice = Dice(seed);
            let any = |dice: &mut Dice| {
                let mut any = row(&[], dice.of(100_000));
                for value in &mut any.attributes.0 {
                    *value = dice.of(kinds);
                }
                any
            };
            let (baseline, window, people) = (
                rows(&mut dice, baseline, any),
                rows(&mut dice, window, any),
                rows(&mut dice, people, any),
            );
            let ground = Ground {
                baseline: &baseline,
                window: &window,
                people: &people,
                expected: f64::from(dice.of(300)),
                expected_cost: f64::from(dice.of(1 << 24)),
                least: 10.0,
                least_cost: 10_000.0,
            };
            let found = mine(&ground);
            prop_assert!(found.len() <= COVER);
            for one in &found {
                prop_assert!(one.pattern.len() <= LITERALS && one.pattern.is_sorted());
                prop_assert!(may_become_rule(&one.pattern));
                prop_assert!(one.explains >= WORTH);
                let hits = baseline.iter().filter(|row| matches(&one.pattern, row)).count() as f64;
                prop_assert!(hits <= WIDE * baseline.len() as f64);
            }
            prop_assert_eq!(found, mine(&ground));
        }
    }
}
