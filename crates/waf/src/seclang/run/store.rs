//! Everything that a transaction knows, in one arena: values, what transformations made of them, what rules have set.

use smallvec::SmallVec;

use crate::operator::numbers;
use crate::seclang::ast::Variable;
use crate::seclang::classes::Classes;
use crate::seclang::places::Place;
use crate::seclang::prefilter::Room;
use crate::seclang::program::{Program, Way};

/// A piece of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Piece {
    start: u32,
    end: u32,
}

/// A value of the request or the response.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) place: Place,
    pub(super) name: Piece,
    /// As it came.
    pub(super) raw: u32,
    /// What each way made of it.
    made: SmallVec<[(u16, u32); 4]>,
}

/// Bytes that rules look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) piece: Piece,
    /// Of its bytes; none before somebody asked.
    classes: Option<Classes>,
    /// Where its scan begins in [`Store::scans`]; none before it was scanned.
    scan: Option<u32>,
}

/// What a variable of TX holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Slot {
    #[default]
    Unset,
    Number(i64),
    Text(Piece),
}

/// A variable whose name was made while rules ran.
#[derive(Debug)]
pub(super) struct Extra {
    pub(super) collection: Variable,
    /// In lower case.
    pub(super) name: Piece,
    pub(super) slot: Slot,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    arena: Vec<u8>,
    pub(super) values: Vec<Value>,
    /// Of each place, its values.
    at: Vec<Vec<u32>>,
    forms: Vec<Form>,
    scans: Vec<u64>,
    pub(super) slots: Vec<Slot>,
    pub(super) extras: Vec<Extra>,
    out: Vec<u8>,
    room: Room,
}

impl Store {
    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self, slots: usize) {
        self.arena.clear();
        for value in self.values.drain(..) {
            if let Some(at) = self.at.get_mut(value.place.index()) {
                at.clear();
            }
        }
        self.at.resize_with(Place::COUNT, Vec::new);
        self.forms.clear();
        self.scans.clear();
        self.slots.clear();
        self.slots.resize(slots, Slot::Unset);
        self.extras.clear();
    }

    /// Memory, roughly.
    pub(super) const fn held(&self) -> usize {
        let (values, forms) = (self.values.capacity() * 96, self.forms.capacity() * 16);
        self.arena.capacity() + values + forms + self.scans.capacity() * 8 + self.out.capacity() + self.room.memory()
    }

    /// Bytes that are kept.
    pub(super) const fn size(&self) -> usize {
        self.arena.len()
    }

    pub(super) fn bytes(&self, piece: Piece) -> &[u8] {
        self.arena.get(piece.start as usize..piece.end as usize).unwrap_or_default()
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) -> Piece {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        self.piece(start)
    }

    fn piece(&self, start: usize) -> Piece {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Piece { start: place(start), end: place(self.arena.len()) }
    }

    pub(super) fn add(&mut self, place: Place, name: &[u8], value: &[u8]) {
        let (name, value) = (self.keep(name), self.keep(value));
        self.show(place, name, value);
    }

    /// A value and its name, which is a value, too.
    pub(super) fn add_both(&mut self, place: Place, names: Place, name: &[u8], value: &[u8]) {
        let (name, value) = (self.keep(name), self.keep(value));
        self.show(place, name, value);
        self.show(names, name, name);
    }

    /// A variable that is one value; it replaces what it held before.
    pub(super) fn set(&mut self, variable: Variable, value: &[u8]) {
        let place = Place::of(variable);
        let value = self.keep(value);
        if let Some(at) = self.at.get_mut(place.index()) {
            at.clear();
        }
        self.show(place, Piece::default(), value);
    }

    /// A variable that is one number.
    pub(super) fn set_number(&mut self, variable: Variable, number: i64) {
        self.set(variable, itoa::Buffer::new().format(number).as_bytes());
    }

    fn show(&mut self, place: Place, name: Piece, value: Piece) {
        let raw = self.form(value);
        let position = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(Value { place, name, raw, made: SmallVec::new() });
        if let Some(at) = self.at.get_mut(place.index()) {
            at.push(position);
        }
    }

    pub(super) fn at(&self, place: Place) -> &[u32] {
        self.at.get(place.index()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Bytes of all values of a place.
    pub(super) fn lengths(&self, place: Place) -> usize {
        let values = self.at(place).iter().filter_map(|at| self.values.get(*at as usize));
        values.map(|value| self.piece_of(value.raw).len()).sum()
    }

    pub(super) fn form(&mut self, piece: Piece) -> u32 {
        self.forms.push(Form { piece, classes: None, scan: None });
        u32::try_from(self.forms.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn form_bytes(&self, form: u32) -> &[u8] {
        self.bytes(self.piece_of(form))
    }

    pub(super) fn piece_of(&self, form: u32) -> Piece {
        self.forms.get(form as usize).map(|form| form.piece).unwrap_or_default()
    }

    /// What a way makes of a value.
    pub(super) fn transformed(&mut self, program: &Program, value: u32, way: u16) -> u32 {
        let Some(known) = self.values.get(value as usize) else { return u32::MAX };
        let raw = known.raw;
        if way == 0 {
            return raw;
        }
        let classes = self.classes(program, raw);
        let touched = |step: &&Way| classes.intersects(step.touched) || step.empty && classes == Classes::default();
        let Some(step) = program.ways.get(usize::from(way)).filter(touched) else { return raw };
        let Some(known) = self.values.get(value as usize) else { return raw };
        if let Some((_, form)) = known.made.iter().find(|(made, _)| *made == way) {
            return *form;
        }
        let before = self.transformed(program, value, step.before);
        let classes = self.classes(program, before);
        let form = if classes.intersects(step.step_touched) || step.empty && classes == Classes::default() {
            self.apply(program, before, way)
        } else {
            before
        };
        if let Some(known) = self.values.get_mut(value as usize) {
            known.made.push((way, form));
        }
        form
    }

    /// What a way makes of a value, if one of `rules` could match it.
    pub(super) fn form_for(&mut self, program: &Program, value: u32, way: u16, rules: &[u64]) -> Option<u32> {
        // The prefilter does not tell upper from lower case: what no rule could match need not be made.
        let case = program.ways.get(usize::from(way)).filter(|step| way != 0 && step.only_case);
        let form = self.transformed(program, value, case.map_or(way, |step| step.before));
        let candidates = self.candidates(program, form);
        if candidates.iter().zip(rules).all(|(could, rules)| could & rules == 0) {
            return None;
        }
        Some(if case.is_some() { self.transformed(program, value, way) } else { form })
    }

    /// What a way makes of bytes that are no value of the request.
    pub(super) fn transform_all(&mut self, program: &Program, form: u32, way: u16) -> u32 {
        match program.ways.get(usize::from(way)) {
            Some(step) if way != 0 => {
                let before = self.transform_all(program, form, step.before);
                self.apply(program, before, way)
            }
            _ => form,
        }
    }

    /// One step.
    fn apply(&mut self, program: &Program, before: u32, way: u16) -> u32 {
        let Some(step) = program.ways.get(usize::from(way)) else { return before };
        let Some(old) = self.forms.get(before as usize).copied() else { return before };
        let input = self.arena.get(old.piece.start as usize..old.piece.end as usize).unwrap_or_default();
        if !step.step.apply(input, &mut self.out, &program.settings.unicode_map) {
            return before;
        }
        let start = self.arena.len();
        self.arena.extend_from_slice(&self.out);
        let piece = self.piece(start);
        // The prefilter does not tell upper from lower case: what one scan found holds of the other.
        let scan = if step.only_case { Some(self.scanned(program, before)) } else { None };
        self.forms.push(Form { piece, classes: None, scan });
        u32::try_from(self.forms.len() - 1).unwrap_or(u32::MAX)
    }

    /// Classes of the bytes of a form.
    pub(super) fn classes(&mut self, program: &Program, form: u32) -> Classes {
        let Some(known) = self.forms.get_mut(form as usize) else { return Classes::default() };
        if let Some(classes) = known.classes {
            return classes;
        }
        let bytes = self.arena.get(known.piece.start as usize..known.piece.end as usize).unwrap_or_default();
        *known.classes.insert(program.classes.of(bytes))
    }

    /// Where the rules that could match this form stand.
    fn scanned(&mut self, program: &Program, form: u32) -> u32 {
        let Some(known) = self.forms.get(form as usize).copied() else { return u32::MAX };
        if let Some(scan) = known.scan {
            return scan;
        }
        let at = u32::try_from(self.scans.len()).unwrap_or(u32::MAX);
        let classes = self.classes(program, form);
        let bytes = self.arena.get(known.piece.start as usize..known.piece.end as usize).unwrap_or_default();
        program.prefilter.scan(bytes, classes, &mut self.room, &mut self.scans);
        if let Some(known) = self.forms.get_mut(form as usize) {
            known.scan = Some(at);
        }
        at
    }

    /// The rules that could match this form.
    pub(super) fn candidates(&mut self, program: &Program, form: u32) -> &[u64] {
        let at = self.scanned(program, form) as usize;
        self.scans.get(at..at + program.prefilter.words()).unwrap_or_default()
    }

    pub(super) fn slot(&self, slot: u16) -> Slot {
        self.slots.get(usize::from(slot)).copied().unwrap_or_default()
    }

    pub(super) fn extra(&self, collection: Variable, name: &[u8]) -> Option<&Extra> {
        self.extras.iter().find(|extra| extra.collection == collection && self.bytes(extra.name) == name)
    }

    pub(super) fn put(&mut self, slot: u16, value: Slot) {
        if let Some(held) = self.slots.get_mut(usize::from(slot)) {
            *held = value;
        }
    }

    pub(super) fn slot_number(&self, slot: Slot) -> i64 {
        match slot {
            Slot::Unset => 0,
            Slot::Number(number) => number,
            Slot::Text(piece) => numbers::integer(self.bytes(piece)),
        }
    }

    pub(super) fn slot_piece(&mut self, slot: Slot) -> Piece {
        match slot {
            Slot::Unset => Piece::default(),
            Slot::Number(number) => self.keep(itoa::Buffer::new().format(number).as_bytes()),
            Slot::Text(piece) => piece,
        }
    }

    pub(super) fn write_slot(&self, slot: Slot, out: &mut Vec<u8>) {
        match slot {
            Slot::Unset => {}
            Slot::Number(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            Slot::Text(piece) => out.extend_from_slice(self.bytes(piece)),
        }
    }

    /// Whether that value is still what its place shows.
    pub(super) fn shows(&self, place: Place, value: u32) -> bool {
        !place.is_single() || self.at(place).contains(&value)
    }
}

impl Piece {
    /// A part of it.
    pub(super) fn part(self, from: usize, to: usize) -> Self {
        let place = |at: usize| self.start.saturating_add(u32::try_from(at).unwrap_or(u32::MAX)).min(self.end);
        Self { start: place(from), end: place(to) }
    }

    pub(super) const fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}
