//! Rules over values.

use std::sync::Arc;

use smallvec::SmallVec;

use super::store::{Extra, Piece, Slot};
use super::{Match, Matched, Transaction};
use crate::operator::numbers;
use crate::seclang::ast::{EngineMode, Variable};
use crate::seclang::check::Check;
use crate::seclang::compile::places;
use crate::seclang::places::{Made, Place};
use crate::seclang::prefilter::Rules;
use crate::seclang::program::{Aim, Amount, Compiled, Does, Named, Phase, Program, Test, Then, To, Which, Word, Words};

/// Variables that rules may make while they run.
const MOST_EXTRAS: usize = 4096;
/// What is told of a value.
const TOLD: usize = 1024;

/// A rule of the prefilter that may match a form of a value.
pub(super) type Candidate = (u16, u32, u32);

/// What is scanned in a phase while these gates are closed.
#[derive(Debug, Default)]
pub(super) struct Plan {
    key: Option<(u8, SmallVec<[u64; 2]>)>,
    /// Rules of the prefilter that may run.
    active: Rules,
    /// Of each place, ways and the rules that want them.
    rows: Vec<Vec<(u16, Box<[u64]>)>>,
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
        let Some(phase) = program.phases.get(usize::from(number).wrapping_sub(1)) else { return };
        let mut scanned = false;
        let mut at = 0;
        while let Some(position) = phase.order.get(at) {
            at += 1;
            let position = *position as usize;
            let Some(rule) = program.rules.get(position) else { continue };
            if self.any_removed && self.removed.has(position) {
                continue;
            }
            let mut work = None;
            if let Some(filter) = rule.filter {
                if !scanned {
                    self.scan(&program, phase, number);
                    scanned = true;
                }
                // A gate that was closed when values were scanned may have opened since.
                if self.plan.active.has(usize::from(filter)) {
                    let start = self.work.partition_point(|(of, ..)| *of < filter);
                    let end =
                        start + self.work.get(start..).unwrap_or_default().partition_point(|(of, ..)| *of == filter);
                    if start == end {
                        continue;
                    }
                    work = Some((start, end));
                }
            }
            if !self.matches_rule(&program, rule, position, work) {
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

    /// Finds which rules could match which values.
    fn scan(&mut self, program: &Program, phase: &Phase, number: u8) {
        let mut closed = SmallVec::<[u64; 2]>::from_elem(0, phase.gates.len().div_ceil(64));
        let mut at = 0;
        for (nth, gate) in phase.gates.iter().enumerate() {
            // A gate that another one skips is not asked.
            if gate.at >= at
                && let Some(rule) = program.rules.get(gate.rule as usize)
                && !(self.any_removed && self.removed.has(gate.rule as usize))
                && rule.test.as_ref().is_some_and(|test| self.quickly(test) == Some(true))
            {
                closed[nth / 64] |= 1 << (nth % 64);
                at = gate.to;
            }
        }
        let key = (number, closed);
        if self.plan.key.as_ref() != Some(&key) {
            let mut active = Rules::all(program.needs());
            for (nth, gate) in phase.gates.iter().enumerate() {
                if key.1[nth / 64] >> (nth % 64) & 1 == 1 {
                    active.remove_all(&gate.skipped);
                }
            }
            let rows = &mut self.plan.rows;
            rows.clear();
            rows.resize_with(Place::COUNT, Vec::new);
            for row in &phase.rows {
                let rules: Box<[u64]> =
                    row.rules.words().iter().zip(active.words()).map(|(row, active)| row & active).collect();
                if let Some(rows) = rows.get_mut(row.place.index()).filter(|_| rules.iter().any(|word| *word != 0)) {
                    rows.push((row.way, rules));
                }
            }
            self.plan.active = active;
            self.plan.key = Some(key);
        }
        self.work.clear();
        for value in 0..self.store.values.len() {
            let Some(known) = self.store.values.get(value) else { break };
            let place = known.place;
            // A variable that was set again has an older value that nobody shows any more.
            let value = u32::try_from(value).unwrap_or(u32::MAX);
            let Some(rows) = self.plan.rows.get(place.index()).filter(|rows| !rows.is_empty()) else { continue };
            if !self.store.shows(place, value) {
                continue;
            }
            for (way, rules) in rows {
                let form = self.store.transformed(program, value, *way);
                for (nth, (candidates, rules)) in self.store.candidates(program, form).iter().zip(rules).enumerate() {
                    let mut left = candidates & rules;
                    while left != 0 {
                        let filter = nth * 64 + left.trailing_zeros() as usize;
                        left &= left - 1;
                        self.work.push((u16::try_from(filter).unwrap_or(u16::MAX), value, form));
                    }
                }
            }
        }
        self.work.sort_unstable();
        // Where a step changed nothing, several ways lead to one form.
        self.work.dedup();
        self.spend(self.store.size());
    }

    /// A rule and its links. True if all of them matched.
    fn matches_rule(
        &mut self,
        program: &Arc<Program>,
        rule: &Compiled,
        position: usize,
        work: Option<(usize, usize)>,
    ) -> bool {
        if work.is_none() && rule.test.as_ref().is_some_and(|test| self.quickly(test) == Some(false)) {
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
            for nth in start..end {
                let Some((_, value, form)) = self.work.get(nth).copied() else { break };
                if let Some(subject) = self.wanted(program, test, position, value, form) {
                    any |= self.ask(program, rule, test, subject, part);
                }
            }
            return any;
        }
        for aim in &test.targets {
            any |= self.aim(program, rule, test, position, aim, part);
        }
        any
    }

    /// The value as the first target that means it calls it; none where no target does, or one takes it out.
    fn wanted(&self, program: &Program, test: &Test, position: usize, value: u32, form: u32) -> Option<Subject> {
        let known = self.store.values.get(value as usize)?;
        let name = self.store.bytes(known.name);
        let aim = test.targets.iter().find(|aim| means(aim, known.place, name))?;
        let out = |aim: &Aim| means(aim, known.place, name);
        if test.except.iter().any(out) || self.excluded(program, position, out) {
            return None;
        }
        Some(Subject { variable: aim.variable, name: known.name, form })
    }

    /// Whether a `ctl` took it out of this rule.
    fn excluded(&self, program: &Program, position: usize, out: impl Fn(&Aim) -> bool) -> bool {
        self.exclusions.iter().any(|exclusion| {
            program.exclusions.get(usize::from(*exclusion)).is_some_and(|it| it.rules.has(position) && out(&it.aim))
        })
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
                        let Some(subject) = self.wanted(program, test, position, value, raw) else { continue };
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
    fn quickly(&self, test: &Test) -> Option<bool> {
        let ([aim], Check::Constant(order, limit), 0, true) =
            (test.targets.as_slice(), &test.check, test.way, test.except.is_empty())
        else {
            return None;
        };
        if !self.exclusions.is_empty() {
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
                    if let Some(of) = match variable {
                        Variable::Session => Some(Variable::SessionId),
                        Variable::User => Some(Variable::UserId),
                        _ => None,
                    } {
                        self.store.set(of, &text);
                    }
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
        self.matches.push(Match {
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
    let here = match (&aim.which, aim.variable.made()) {
        (Which::Place(only), _) => *only == place,
        (_, Made::Of(places)) => places.contains(&place),
        (_, Made::One(only)) => only == place,
        _ => false,
    };
    here && match &aim.which {
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
