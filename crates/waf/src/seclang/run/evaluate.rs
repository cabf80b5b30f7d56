//! Rules over values.

use std::sync::{Arc, PoisonError};

use smallvec::SmallVec;

use super::seen::{Hits, Seen};
use super::store::{Extra, Piece, Slot};
use super::{MATCHED_TARGETS, Match, Matched, Transaction};
use crate::operator::numbers;
use crate::seclang::ast::{EngineMode, Variable};
use crate::seclang::check::Check;
use crate::seclang::classes::Classes;
use crate::seclang::collections::{Held, Turn};
use crate::seclang::compile::places;
use crate::seclang::places::{Made, Place};
use crate::seclang::prefilter::Rules;
use crate::seclang::program::{Aim, Amount, Compiled, Does, Named, Phase, Program, Test, Then, To, Which, Word, Words};

/// Variables that rules may make while they run.
const MOST_EXTRAS: usize = 4096;
/// What is told of a value.
const TOLD: usize = 1024;

/// A rule of the prefilter that matches a form of a value.
pub(super) type Hit = (u16, u32, u32);

/// What is looked at in a phase while these gates are closed.
#[derive(Debug, Default)]
pub(super) struct Plan {
    key: Option<SmallVec<[u64; 2]>>,
    /// Positions in the phase of rules that run whatever was found, behind the first that rests on the prefilter.
    always: Vec<u32>,
    /// Rules of the prefilter that may run.
    active: Rules,
    /// Of each place, ways and the rules that want them.
    rows: Vec<Vec<(u16, Box<[u64]>)>>,
    /// The same for values whose bytes are of the same classes, where ways that leave them alike are one.
    kinds: Vec<Kind>,
    seen: Seen,
}

/// Values of one place and the same classes of bytes.
#[derive(Debug, Default)]
struct Kind {
    key: Option<(Place, u64)>,
    rows: Vec<(u16, Box<[u64]>)>,
}

/// Forms of one value, and the rules that want each.
#[derive(Debug, Default)]
pub(super) struct Forms {
    forms: Vec<(u16, u32)>,
    /// As many words for each.
    rules: Vec<u64>,
}

impl Forms {
    fn clear(&mut self) {
        self.forms.clear();
        self.rules.clear();
    }

    /// What that way makes.
    fn add(&mut self, way: u16, form: u32, rules: &[u64]) {
        match self.forms.iter().position(|(_, known)| *known == form) {
            Some(nth) => {
                let known = self.rules.iter_mut().skip(nth * rules.len());
                known.zip(rules).for_each(|(known, more)| *known |= more);
            }
            None => {
                self.forms.push((way, form));
                self.rules.extend_from_slice(rules);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = ((u16, u32), &[u64])> {
        let words = self.rules.len().checked_div(self.forms.len()).unwrap_or(1).max(1);
        self.forms.iter().copied().zip(self.rules.chunks(words))
    }
}

/// Kinds of values that are remembered; each other one is worked out again.
const KINDS: usize = 1024;

impl Plan {
    /// What is looked at while these gates are closed.
    fn make(&mut self, program: &Program, phase: &Phase, key: SmallVec<[u64; 2]>) {
        let mut active = Rules::all(program.filters.len());
        for (nth, gate) in phase.gates.iter().enumerate() {
            if key[nth / 64] >> (nth % 64) & 1 == 1 {
                active.remove_all(&gate.skipped);
            }
        }
        self.rows.clear();
        self.rows.resize_with(Place::COUNT, Vec::new);
        for row in &phase.rows {
            let rules: Box<[u64]> =
                row.rules.words().iter().zip(active.words()).map(|(row, active)| row & active).collect();
            if let Some(rows) = self.rows.get_mut(row.place.index()).filter(|_| rules.iter().any(|word| *word != 0)) {
                rows.push((row.way, rules));
            }
        }
        self.always.clear();
        self.always.extend((0u32..).zip(&phase.order).skip(phase.first_filtered).filter_map(|(at, position)| {
            let rule = program.rules.get(*position as usize)?;
            rule.filter.is_none().then_some(at)
        }));
        self.kinds.clear();
        self.seen.clear();
        self.active = active;
        self.key = Some(key);
    }

    /// Whether the rule at that position of the phase is a gate that was closed.
    fn closed(&self, phase: &Phase, at: usize) -> bool {
        let Some(closed) = &self.key else { return false };
        phase
            .gates
            .iter()
            .enumerate()
            .any(|(nth, gate)| gate.at == at && closed.get(nth / 64).is_some_and(|word| word >> (nth % 64) & 1 == 1))
    }

    /// The rows of a value.
    fn kind(&mut self, program: &Program, place: Place, classes: Classes) -> &[(u16, Box<[u64]>)] {
        if self.kinds.is_empty() {
            self.kinds.resize_with(KINDS, Kind::default);
        }
        let coarse = program.classes.coarse(classes);
        let spread = (coarse ^ (place.index() as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at = usize::try_from(spread >> 32).unwrap_or(0) % KINDS;
        let Some(kind) = self.kinds.get_mut(at) else { return &[] };
        if kind.key != Some((place, coarse)) {
            kind.key = Some((place, coarse));
            kind.rows.clear();
            for (way, rules) in self.rows.get(place.index()).into_iter().flatten() {
                let way = program.shortest(*way, classes);
                match kind.rows.iter_mut().find(|(known, _)| *known == way) {
                    Some((_, known)) => known.iter_mut().zip(rules).for_each(|(known, more)| *known |= more),
                    None => kind.rows.push((way, rules.clone())),
                }
            }
        }
        &kind.rows
    }
}

/// What an operator is given.
#[derive(Debug, Clone, Copy)]
struct Subject {
    variable: Variable,
    name: Piece,
    form: u32,
}

impl Transaction {
    /// Runs the rules of a phase.
    pub(super) fn run(&mut self, number: u8) {
        let program = Arc::clone(&self.program);
        let nth = usize::from(number).wrapping_sub(1);
        let Some(phase) = program.phases.get(nth) else { return };
        let mut plan = self.plans.get_mut(nth).map(std::mem::take).unwrap_or_default();
        self.run_phase(&program, phase, number, &mut plan);
        if let Some(place) = self.plans.get_mut(nth) {
            *place = plan;
        }
    }

    fn run_phase(&mut self, program: &Arc<Program>, phase: &Phase, number: u8, plan: &mut Plan) {
        let mut scanned = false;
        // A gate that was closed when values were looked at has opened since.
        let mut opened = false;
        // The next of those that always run, and of those that were found.
        let (mut always, mut found) = (0, 0);
        let mut at = 0;
        while at < phase.order.len() {
            if !scanned && at >= phase.first_filtered {
                self.scan(program, phase, plan);
                scanned = true;
            }
            if scanned && !opened {
                let next = |from: &mut usize, at_of: &dyn Fn(usize) -> Option<usize>| {
                    while at_of(*from).is_some_and(|next| next < at) {
                        *from += 1;
                    }
                    at_of(*from).unwrap_or(usize::MAX)
                };
                let plain = next(&mut always, &|nth| plan.always.get(nth).map(|at| *at as usize));
                let hit = next(&mut found, &|nth| {
                    let (filter, ..) = self.work.get(nth)?;
                    program.filters.get(usize::from(*filter)).map(|(_, at)| *at as usize)
                });
                at = plain.min(hit);
            }
            let Some(position) = phase.order.get(at).map(|position| *position as usize) else { break };
            at += 1;
            let Some(rule) = program.rules.get(position) else { continue };
            if self.any_removed && self.removed.has(position) {
                continue;
            }
            let mut work = None;
            if let Some(filter) = rule.filter.filter(|_| scanned)
                && plan.active.has(usize::from(filter))
            {
                let start = self.work.partition_point(|(of, ..)| *of < filter);
                let end = start + self.work.get(start..).unwrap_or_default().partition_point(|(of, ..)| *of == filter);
                if start == end {
                    continue;
                }
                work = Some((start, end));
            }
            if !self.matches_rule(program, rule, position, work) {
                opened |= scanned && !opened && plan.closed(phase, at - 1);
                continue;
            }
            if let Some(to) = rule.skip_to {
                at = at.max(to as usize);
            }
            if self.decide(rule, number) || self.exceeded || self.mode == EngineMode::Off {
                break;
            }
        }
    }

    /// Finds which rules match which values.
    fn scan(&mut self, program: &Program, phase: &Phase, plan: &mut Plan) {
        let mut closed = SmallVec::<[u64; 2]>::from_elem(0, phase.gates.len().div_ceil(64));
        let mut at = 0;
        for (nth, gate) in phase.gates.iter().enumerate() {
            // A gate that another one skips is not asked.
            if gate.at >= at
                && let Some(rule) = program.rules.get(gate.rule as usize)
                && !(self.any_removed && self.removed.has(gate.rule as usize))
                && rule.test.as_ref().is_some_and(|test| self.quickly(program, test, gate.rule as usize) == Some(true))
            {
                closed[nth / 64] |= 1 << (nth % 64);
                at = gate.to;
            }
        }
        if plan.key.as_ref() != Some(&closed) {
            plan.make(program, phase, closed);
        }
        self.work.clear();
        for value in 0..self.store.values.len() {
            let Some(known) = self.store.values.get(value) else { break };
            let (place, raw) = (known.place, known.raw);
            if plan.rows.get(place.index()).is_none_or(Vec::is_empty) {
                continue;
            }
            // A variable that was set again has an older value that nobody shows any more.
            let value = u32::try_from(value).unwrap_or(u32::MAX);
            if !self.store.shows(place, value) {
                continue;
            }
            let (name, bytes) = (self.store.bytes(known.name), self.store.form_bytes(raw));
            let name = if phase.named.has(place) { name } else { b"" };
            if let Some(hits) = plan.seen.find(place, name, bytes) {
                let length = bytes.len();
                for (filter, way) in hits {
                    self.work.push((*filter, value, self.store.transformed(program, value, *way)));
                }
                self.spend(length);
                continue;
            }
            let classes = self.store.classes(program, raw);
            // Where a step changed nothing, several ways lead to one form: it is looked at once.
            let mut forms = std::mem::take(&mut self.forms);
            forms.clear();
            for (way, rules) in plan.kind(program, place, classes) {
                let form = self.store.form_for(program, value, *way, rules);
                if let Some(form) = form {
                    forms.add(*way, form, rules);
                }
            }
            let mut hits = Hits::new();
            for ((way, form), rules) in forms.iter() {
                let start = self.work.len();
                self.look(program, value, form, rules);
                hits.extend(self.work.iter().skip(start).map(|(filter, ..)| (*filter, way)));
            }
            self.forms = forms;
            if self.exceeded {
                break;
            }
            if let Some(known) = self.store.values.get(value as usize) {
                let name = if phase.named.has(place) { self.store.bytes(known.name) } else { b"" };
                plan.seen.keep(place, name, self.store.form_bytes(raw), hits);
            }
        }
        self.work.sort_unstable();
        self.spend(self.store.size());
    }

    /// Finds which of `rules` match a form of a value.
    fn look(&mut self, program: &Program, value: u32, form: u32, rules: &[u64]) {
        for (nth, rules) in rules.iter().enumerate() {
            let mut left = rules & self.store.candidates(program, form).get(nth).copied().unwrap_or(0);
            while left != 0 {
                let filter = nth * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let Some((position, _)) = program.filters.get(filter) else { continue };
                let position = *position as usize;
                let Some(test) = program.rules.get(position).and_then(|rule| rule.test.as_ref()) else { continue };
                // Not whether the rule was taken out, nor what of it: that is this request's, and what is found is kept.
                if !self.aimed(test, value) {
                    continue;
                }
                let bytes = self.store.form_bytes(form);
                let length = bytes.len();
                let holds = test.check.could(bytes) != test.negated;
                self.spend(length);
                if holds {
                    self.work.push((u16::try_from(filter).unwrap_or(u16::MAX), value, form));
                }
                if self.exceeded {
                    return;
                }
            }
        }
    }

    /// A rule and its links. True if all of them matched.
    fn matches_rule(
        &mut self,
        program: &Arc<Program>,
        rule: &Compiled,
        position: usize,
        work: Option<(usize, usize)>,
    ) -> bool {
        if work.is_none() && rule.test.as_ref().is_some_and(|test| self.quickly(program, test, position) == Some(false))
        {
            return false;
        }
        self.matched.clear();
        let mut part = None;
        if !self.level(program, rule, position, work, &mut part) {
            return false;
        }
        for link in &rule.links {
            part = None;
            if self.exceeded || !self.level(program, link, position, None, &mut part) {
                return false;
            }
        }
        self.tell(rule, part);
        true
    }

    /// One rule of a chain: each value that matches has its effects.
    fn level(
        &mut self,
        program: &Arc<Program>,
        rule: &Compiled,
        position: usize,
        work: Option<(usize, usize)>,
        part: &mut Option<(usize, usize)>,
    ) -> bool {
        let Some(test) = &rule.test else {
            self.effects(program, &rule.actions);
            return true;
        };
        if let Some(words) = test.check.argument() {
            let mut argument = std::mem::take(&mut self.argument);
            argument.clear();
            self.fill(words, &mut argument);
            self.argument = argument;
        }
        let mut any = false;
        if let Some((start, end)) = work {
            // That they match is known; what of them is told in the log, kept by `capture`, or nobody's business.
            let told = test.capture || rule.actions.log;
            let hits = self.work.get(start..end).unwrap_or_default().iter().copied();
            let mut subjects: SmallVec<[(usize, Subject); 4]> =
                hits.filter_map(|(_, value, form)| self.wanted(program, test, position, value, form)).collect();
            // As the rule writes its targets, whatever stood first in the request: the last match is what chains go on with.
            subjects.sort_by_key(|(nth, _)| *nth);
            for (_, subject) in subjects {
                if told {
                    any |= self.ask(program, rule, test, subject, part);
                } else {
                    any = true;
                    let value = self.store.piece_of(subject.form);
                    self.matched.push(Matched { variable: subject.variable, name: subject.name, value });
                    self.effects(program, &rule.actions);
                }
            }
            return any;
        }
        for aim in &test.targets {
            any |= self.aim(program, rule, test, position, aim, part);
        }
        any
    }

    /// Whether a rule's own targets mean a value.
    fn aimed(&self, test: &Test, value: u32) -> bool {
        let Some(known) = self.store.values.get(value as usize) else { return false };
        let name = self.store.bytes(known.name);
        test.targets.iter().any(|aim| means(aim, known.place, name))
            && !test.except.iter().any(|aim| means(aim, known.place, name))
    }

    /// The number of the first target that means a value, and the value as that calls it; none where no target does, or one
    /// takes it out.
    fn wanted(
        &self,
        program: &Program,
        test: &Test,
        position: usize,
        value: u32,
        form: u32,
    ) -> Option<(usize, Subject)> {
        let known = self.store.values.get(value as usize)?;
        let name = self.store.bytes(known.name);
        let (nth, aim) = test.targets.iter().enumerate().find(|(_, aim)| means(aim, known.place, name))?;
        let out = |aim: &Aim| means(aim, known.place, name);
        if test.except.iter().any(out) || self.excluded(program, position, out) {
            return None;
        }
        Some((nth, Subject { variable: aim.variable, name: known.name, form }))
    }

    /// Whether a `ctl` took it out of this rule.
    fn excluded(&self, program: &Program, position: usize, out: impl Fn(&Aim) -> bool) -> bool {
        self.exclusions.iter().any(|exclusion| {
            program.exclusions.get(usize::from(*exclusion)).is_some_and(|it| it.rules.has(position) && out(&it.aim))
        }) || self.left_out.iter().any(|it| it.rules.has(position) && it.aim.as_ref().is_some_and(&out))
    }

    /// All that one target means.
    fn aim(
        &mut self,
        program: &Arc<Program>,
        rule: &Compiled,
        test: &Test,
        position: usize,
        aim: &Aim,
        part: &mut Option<(usize, usize)>,
    ) -> bool {
        if aim.count {
            let out = |other: &Aim| other.variable == aim.variable && same(&other.which, &aim.which);
            if test.except.iter().any(out) || self.excluded(program, position, out) {
                return false;
            }
            let count = self.count(program, test, position, aim);
            let name = match &aim.which {
                Which::Name(name) => self.store.keep(name),
                Which::Slot(slot) => {
                    let name = program.names.get(usize::from(*slot)).map(|name| &**name).unwrap_or_default();
                    self.store.keep(name)
                }
                _ => Piece::default(),
            };
            let piece = self.store.keep(itoa::Buffer::new().format(count).as_bytes());
            let form = self.store.form(piece);
            return self.ask_made(program, rule, test, Subject { variable: aim.variable, name, form }, part);
        }
        let mut any = false;
        match aim.variable.made() {
            Made::Of(_) | Made::One(_) => {
                for place in places(aim) {
                    let mut nth = 0;
                    while let Some(value) = self.store.at(place).get(nth).copied() {
                        nth += 1;
                        let Some(known) = self.store.values.get(value as usize) else { continue };
                        let raw = known.raw;
                        if !means(aim, place, self.store.bytes(known.name)) {
                            continue;
                        }
                        let Some((_, subject)) = self.wanted(program, test, position, value, raw) else { continue };
                        let mut last = None;
                        for way in &test.ways {
                            let form = self.store.transformed(program, value, *way);
                            if last.replace(form) != Some(form) {
                                any |= self.ask(
                                    program,
                                    rule,
                                    test,
                                    Subject { variable: aim.variable, form, ..subject },
                                    part,
                                );
                            }
                        }
                    }
                }
            }
            Made::Kept => {
                let mut subjects = SmallVec::<[(Piece, Slot); 8]>::new();
                self.kept(program, aim, &mut subjects);
                for (name, slot) in subjects {
                    let called = self.store.bytes(name);
                    let out = |other: &Aim| other.variable == aim.variable && names(program, &other.which, called);
                    if test.except.iter().any(out) || self.excluded(program, position, out) {
                        continue;
                    }
                    let piece = self.store.slot_piece(slot);
                    let form = self.store.form(piece);
                    any |= self.ask_made(program, rule, test, Subject { variable: aim.variable, name, form }, part);
                }
            }
            Made::Matched => {
                for subject in self.matched_before(program, aim) {
                    any |= self.ask_made(program, rule, test, subject, part);
                }
            }
            Made::Rule => {
                if let Some(subject) = self.of_rule(program, rule, aim) {
                    any |= self.ask_made(program, rule, test, subject, part);
                }
            }
        }
        any
    }

    fn count(&self, program: &Program, test: &Test, position: usize, aim: &Aim) -> i64 {
        let count = match aim.variable.made() {
            Made::Of(_) | Made::One(_) => places(aim)
                .map(|place| {
                    let values = self.store.at(place).iter().filter(|value| {
                        self.store.values.get(**value as usize).is_some_and(|known| {
                            let name = self.store.bytes(known.name);
                            let out = |other: &Aim| !other.count && means(other, place, name);
                            means(aim, place, name)
                                && !test.except.iter().any(out)
                                && !self.excluded(program, position, out)
                        })
                    });
                    values.count()
                })
                .sum(),
            Made::Kept => {
                let mut subjects = SmallVec::<[(Piece, Slot); 8]>::new();
                match &aim.which {
                    Which::Slot(slot) => usize::from(self.store.slot(*slot) != Slot::Unset),
                    _ => {
                        self.kept_known(program, aim, &mut subjects);
                        subjects.len()
                    }
                }
            }
            Made::Matched => self.matched.len(),
            Made::Rule => 1,
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    /// The answer of a test that compares one number of TX or one count, without making a value of it.
    fn quickly(&self, program: &Program, test: &Test, position: usize) -> Option<bool> {
        let ([aim], Check::Constant(order, limit), 0, true) =
            (test.targets.as_slice(), &test.check, test.way, test.except.is_empty())
        else {
            return None;
        };
        if self.excluded(program, position, |_| true) {
            return None;
        }
        let number = match (&aim.which, aim.count) {
            (Which::Slot(slot), false) => match self.store.slot(*slot) {
                // What is not there matches nothing, negated or not.
                Slot::Unset => return Some(false),
                slot => self.store.slot_number(slot),
            },
            (Which::Slot(slot), true) => i64::from(self.store.slot(*slot) != Slot::Unset),
            _ => return None,
        };
        Some(order.holds(number, *limit) != test.negated)
    }

    /// Variables that rules have set.
    fn kept(&mut self, program: &Program, aim: &Aim, out: &mut SmallVec<[(Piece, Slot); 8]>) {
        if let Which::Slot(slot) = aim.which {
            let held = self.store.slot(slot);
            if held != Slot::Unset {
                let name = program.names.get(usize::from(slot)).map(|name| &**name).unwrap_or_default();
                out.push((self.store.keep(name), held));
            }
            return;
        }
        if aim.variable == Variable::Tx {
            for (slot, name) in (0u16..).zip(&program.names) {
                let held = self.store.slot(slot);
                if held != Slot::Unset && names(program, &aim.which, name) {
                    out.push((self.store.keep(name), held));
                }
            }
        }
        self.kept_known(program, aim, out);
    }

    /// Of those, the ones whose names were made while rules ran.
    fn kept_known(&self, program: &Program, aim: &Aim, out: &mut SmallVec<[(Piece, Slot); 8]>) {
        for extra in &self.store.extras {
            if extra.collection == aim.variable
                && extra.slot != Slot::Unset
                && names(program, &aim.which, self.store.bytes(extra.name))
            {
                out.push((extra.name, extra.slot));
            }
        }
    }

    /// What the rule, or the chain's rules before this one, matched.
    fn matched_before(&mut self, program: &Program, aim: &Aim) -> SmallVec<[Subject; 4]> {
        let last = self.matched.len().saturating_sub(1);
        let one = matches!(aim.variable, Variable::MatchedVar | Variable::MatchedVarName);
        let all: SmallVec<[Matched; 4]> =
            self.matched.iter().enumerate().filter(|(nth, _)| !one || *nth == last).map(|(_, it)| *it).collect();
        let mut subjects = SmallVec::new();
        for matched in all {
            let full = self.full_name(matched.variable, matched.name);
            let full = self.store.keep(&full);
            if !one && !names(program, &aim.which, &self.store.bytes(full).to_ascii_lowercase()) {
                continue;
            }
            let value = match aim.variable {
                Variable::MatchedVar | Variable::MatchedVars => matched.value,
                _ => full,
            };
            let form = self.store.form(value);
            subjects.push(Subject { variable: aim.variable, name: full, form });
        }
        subjects
    }

    /// `RULE:id` and its kin.
    fn of_rule(&mut self, program: &Program, rule: &Compiled, aim: &Aim) -> Option<Subject> {
        let Which::Name(name) = &aim.which else { return None };
        let mut text = Vec::new();
        match &**name {
            b"id" => text.extend_from_slice(itoa::Buffer::new().format(rule.id).as_bytes()),
            b"severity" => text.extend_from_slice(itoa::Buffer::new().format(rule.actions.severity?).as_bytes()),
            b"msg" => self.fill(rule.actions.message.as_ref()?, &mut text),
            b"logdata" => self.fill(rule.actions.data.as_ref()?, &mut text),
            _ => return None,
        }
        let _ = program;
        let (name, value) = (self.store.keep(name), self.store.keep(&text));
        Some(Subject { variable: aim.variable, name, form: self.store.form(value) })
    }

    /// Asks of a value that was made while rules run.
    fn ask_made(
        &mut self,
        program: &Arc<Program>,
        rule: &Compiled,
        test: &Test,
        subject: Subject,
        part: &mut Option<(usize, usize)>,
    ) -> bool {
        let mut any = false;
        let mut last = None;
        for way in &test.ways {
            let form = self.store.transform_all(program, subject.form, *way);
            if last.replace(form) != Some(form) {
                any |= self.ask(program, rule, test, Subject { form, ..subject }, part);
            }
        }
        any
    }

    /// Asks the operator, and does what follows where it holds.
    fn ask(
        &mut self,
        program: &Arc<Program>,
        rule: &Compiled,
        test: &Test,
        subject: Subject,
        part: &mut Option<(usize, usize)>,
    ) -> bool {
        let value = self.store.form_bytes(subject.form);
        let length = value.len();
        let holds = test.check.holds(value, &self.argument, test.capture, &mut self.found) != test.negated;
        self.spend(length);
        if !holds || self.exceeded {
            return false;
        }
        let piece = self.store.piece_of(subject.form);
        self.matched.push(Matched { variable: subject.variable, name: subject.name, value: piece });
        *part = self.found.parts.first().cloned().flatten().map(|range| (range.start, range.end));
        if test.capture && !test.negated {
            self.captured(piece);
        }
        self.effects(program, &rule.actions);
        true
    }

    /// TX:0 to TX:9.
    fn captured(&mut self, value: Piece) {
        if let Some(text) = self.found.text.take() {
            let piece = self.store.keep(&text);
            self.store.put(0, Slot::Text(piece));
            return;
        }
        for nth in 0..10u16 {
            let range = self.found.parts.get(usize::from(nth)).cloned();
            let Some(range) = range else { break };
            let slot =
                range.map_or(Slot::Text(Piece::default()), |range| Slot::Text(value.part(range.start, range.end)));
            self.store.put(nth, slot);
        }
    }

    fn effects(&mut self, program: &Arc<Program>, actions: &Then) {
        for effect in &actions.effects {
            match effect {
                Does::Set(named, to) => self.set(program, named, to),
                Does::Environment(name, value) => {
                    let (mut called, mut text) = (Vec::new(), Vec::new());
                    self.fill(name, &mut called);
                    self.fill(value, &mut text);
                    self.store.add(Place::ENVIRONMENT, &called, &text);
                }
                Does::Collection(variable, key) => {
                    let mut text = Vec::new();
                    self.fill(key, &mut text);
                    self.open(program, *variable, &text);
                    if let Some(of) = match variable {
                        Variable::Session => Some(Variable::SessionId),
                        Variable::User => Some(Variable::UserId),
                        _ => None,
                    } {
                        self.store.set(of, &text);
                    }
                }
                Does::Expire(collection, name, seconds) => {
                    let mut text = Vec::new();
                    self.fill(name, &mut text);
                    text.make_ascii_lowercase();
                    let seconds = u64::try_from(self.amount(seconds)).unwrap_or(0);
                    self.remember(program, *collection, &text, Turn::Expire(seconds));
                }
                Does::Mode(mode) => self.mode = *mode,
                Does::RequestBody(on) => self.request_body = *on,
                Does::ResponseBody(on) => self.response_body = *on,
                Does::Processor(processor) => {
                    self.processor = Some(*processor);
                    self.store.set(Variable::ReqbodyProcessor, super::message::name(*processor));
                }
                Does::ForceBody(on) => self.forced = *on,
                Does::Remove(rules) => {
                    self.removed.insert_all(rules);
                    self.any_removed = true;
                }
                Does::Exclude(exclusion) => {
                    if !self.exclusions.contains(exclusion) {
                        self.exclusions.push(*exclusion);
                    }
                }
            }
        }
    }

    fn set(&mut self, program: &Arc<Program>, named: &Named, to: &To) {
        let mut made = None;
        let slot = match named {
            Named::Slot(known) => Some(*known),
            Named::Made(collection, words) => {
                let mut name = Vec::new();
                self.fill(words, &mut name);
                name.make_ascii_lowercase();
                let slot = if *collection == Variable::Tx { program.slots.get(name.as_slice()).copied() } else { None };
                made = Some((*collection, name));
                slot
            }
        };
        let before = match (slot, &made) {
            (Some(slot), _) => self.store.slot(slot),
            (None, Some((collection, name))) => {
                self.store.extra(*collection, name).map_or(Slot::Unset, |extra| extra.slot)
            }
            (None, None) => Slot::Unset,
        };
        let after = match to {
            To::Number(number) => Slot::Number(*number),
            To::Text(words) => {
                let mut text = Vec::new();
                self.fill(words, &mut text);
                Slot::Text(self.store.keep(&text))
            }
            To::Plus(amount) => Slot::Number(self.store.slot_number(before).saturating_add(self.amount(amount))),
            To::Minus(amount) => Slot::Number(self.store.slot_number(before).saturating_sub(self.amount(amount))),
            To::Nothing => Slot::Unset,
        };
        let after = match &made {
            Some((collection, name)) if *collection != Variable::Tx => {
                let turn = match (to, after) {
                    (To::Plus(amount), _) => Turn::Add(self.amount(amount)),
                    (To::Minus(amount), _) => Turn::Add(self.amount(amount).saturating_neg()),
                    (_, Slot::Unset) => Turn::Unset,
                    (_, Slot::Number(number)) => Turn::Set(Held::Number(number)),
                    (_, Slot::Text(text)) => Turn::Set(Held::Text(self.store.bytes(text).into())),
                };
                // What others added meanwhile counts.
                match self.remember(program, *collection, name, turn) {
                    Some(Held::Number(number)) => Slot::Number(number),
                    _ => after,
                }
            }
            _ => after,
        };
        match (slot, made) {
            (Some(slot), _) => self.store.put(slot, after),
            (None, Some((collection, name))) => {
                let known = self.store.extras.iter().position(|extra| {
                    extra.collection == collection && self.store.bytes(extra.name) == name.as_slice()
                });
                match known {
                    Some(at) => {
                        if let Some(extra) = self.store.extras.get_mut(at) {
                            extra.slot = after;
                        }
                    }
                    None if self.store.extras.len() < MOST_EXTRAS => {
                        let name = self.store.keep(&name);
                        self.store.extras.push(Extra { collection, name, slot: after });
                    }
                    None => self.exceeded = true,
                }
            }
            (None, None) => {}
        }
    }

    /// Takes a record of a collection for this transaction's, with what it holds.
    fn open(&mut self, program: &Program, collection: Variable, key: &[u8]) {
        let key_piece = self.store.keep(key);
        self.opened.retain(|(known, _)| *known != collection);
        self.opened.push((collection, key_piece));
        let collections = program.collections.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, held) in collections.read(collection, key, self.now) {
            if self.store.extras.len() >= MOST_EXTRAS {
                break;
            }
            let name = self.store.keep(name);
            let slot = match held {
                Held::Number(number) => Slot::Number(*number),
                Held::Text(text) => Slot::Text(self.store.keep(text)),
            };
            self.store.extras.push(Extra { collection, name, slot });
        }
    }

    /// Changes a variable of an opened record for whoever comes next; what it holds then.
    fn remember(&self, program: &Program, collection: Variable, name: &[u8], turn: Turn) -> Option<Held> {
        let (_, key) = self.opened.iter().find(|(known, _)| self.remembers && *known == collection)?;
        let times = (self.now, u64::from(program.settings.collection_timeout));
        let mut collections = program.collections.lock().unwrap_or_else(PoisonError::into_inner);
        collections.turn(collection, self.store.bytes(*key), name, turn, times)
    }

    fn amount(&self, amount: &Amount) -> i64 {
        match amount {
            Amount::Number(number) => *number,
            Amount::Words(words) => match words.0.as_slice() {
                [Word::Slot(slot)] => self.store.slot_number(self.store.slot(*slot)),
                _ => {
                    let mut text = Vec::new();
                    self.fill(words, &mut text);
                    numbers::integer(&text)
                }
            },
        }
    }

    /// Text with what variables hold now.
    pub(super) fn fill(&self, words: &Words, out: &mut Vec<u8>) {
        for word in &words.0 {
            match word {
                Word::Plain(text) => out.extend_from_slice(text),
                Word::Slot(slot) => self.store.write_slot(self.store.slot(*slot), out),
                Word::Variable(aim) => self.fill_variable(aim, out),
            }
        }
    }

    fn fill_variable(&self, aim: &Aim, out: &mut Vec<u8>) {
        match aim.variable.made() {
            Made::Of(_) | Made::One(_) => {
                let value = places(aim).find_map(|place| {
                    self.store.at(place).iter().find_map(|value| {
                        let known = self.store.values.get(*value as usize)?;
                        means(aim, place, self.store.bytes(known.name)).then_some(known.raw)
                    })
                });
                if let Some(form) = value {
                    out.extend_from_slice(self.store.form_bytes(form));
                }
            }
            Made::Matched => {
                let Some(last) = self.matched.last() else { return };
                match aim.variable {
                    Variable::MatchedVar | Variable::MatchedVars => out.extend_from_slice(self.store.bytes(last.value)),
                    _ => out.extend_from_slice(&self.full_name(last.variable, last.name)),
                }
            }
            Made::Kept => {
                if let Which::Name(name) = &aim.which
                    && let Some(extra) = self.store.extra(aim.variable, name)
                {
                    self.store.write_slot(extra.slot, out);
                }
            }
            Made::Rule => {}
        }
    }

    /// A variable with its member's name.
    fn full_name(&self, variable: Variable, name: Piece) -> Vec<u8> {
        let name = self.store.bytes(name);
        let mut full = variable.name().as_bytes().to_vec();
        if !name.is_empty() && variable.is_collection() && !matches!(variable.made(), Made::Matched) {
            full.push(b':');
            full.extend_from_slice(name);
        } else if matches!(variable.made(), Made::Matched) {
            full = name.to_vec();
        }
        full
    }

    /// Notes that a rule matched.
    fn tell(&mut self, rule: &Compiled, part: Option<(usize, usize)>) {
        if let Some(severity) = rule.actions.severity
            && severity < self.severity
        {
            self.severity = severity;
            self.store.set_number(Variable::HighestSeverity, i64::from(severity));
        }
        if !rule.actions.log {
            return;
        }
        let filled = |words: &Words| {
            let mut text = Vec::new();
            self.fill(words, &mut text);
            text
        };
        let message = rule.actions.message.as_ref().map(filled).unwrap_or_default();
        let data = rule.actions.data.as_ref().map(filled).unwrap_or_default();
        let tags = rule.actions.tags.iter().map(filled).collect();
        let last = self.matched.last().copied();
        let target = last.map(|last| self.full_name(last.variable, last.name)).unwrap_or_default();
        let value = last.map(|last| self.store.bytes(last.value)).unwrap_or_default();
        let value = value.get(..value.len().min(TOLD)).unwrap_or_default().to_vec();
        let mut targets: Vec<Vec<u8>> = Vec::new();
        for matched in &self.matched {
            let name = self.full_name(matched.variable, matched.name);
            if targets.len() < MATCHED_TARGETS && !targets.contains(&name) {
                targets.push(name);
            }
        }
        self.matches.push(Match {
            targets,
            rule: rule.id,
            phase: rule.phase,
            message,
            data,
            target,
            part: part.filter(|(_, end)| *end <= value.len()),
            value,
            tags,
            severity: rule.actions.severity,
            span: Some(rule.span),
        });
    }

    /// Counts what was looked at.
    fn spend(&mut self, bytes: usize) {
        // Even an empty value costs a call.
        self.steps += bytes as u64 + 16;
        self.exceeded |= self.steps > self.bounds.steps || self.store.size() > self.bounds.bytes;
    }
}

/// Whether a target means a value of that place and name.
fn means(aim: &Aim, place: Place, name: &[u8]) -> bool {
    aim.places.has(place)
        && match &aim.which {
            Which::All | Which::Place(_) => true,
            Which::Name(wanted) => name.eq_ignore_ascii_case(wanted),
            Which::Regex(regex) => regex.is_match(name),
            Which::Slot(_) => false,
        }
}

/// Whether a selector means a variable of that name, which is in lower case.
fn names(program: &Program, which: &Which, name: &[u8]) -> bool {
    match which {
        Which::All => true,
        Which::Name(wanted) => &**wanted == name,
        Which::Regex(regex) => regex.is_match(name),
        Which::Slot(slot) => program.names.get(usize::from(*slot)).is_some_and(|wanted| &**wanted == name),
        Which::Place(_) => false,
    }
}

/// Whether two selectors are spelled alike.
fn same(one: &Which, other: &Which) -> bool {
    match (one, other) {
        (Which::All, Which::All) => true,
        (Which::Name(one), Which::Name(other)) => one == other,
        (Which::Slot(one), Which::Slot(other)) => one == other,
        (Which::Place(one), Which::Place(other)) => one == other,
        _ => false,
    }
}
