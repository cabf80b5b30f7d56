//! How much may leave: rows, bytes and recognised values over a minute, an hour and a day, for a session, a role, a relation and a
//! client's network.
//!
//! Time is a parameter, in seconds; what is kept is bounded, whoever sends what. What would go beyond a budget is not taken off it and must
//! not leave.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher as _};
use std::sync::Arc;

use portcullis_types::Span;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::book::{ANY, Who};

/// Meters kept at once. Beyond it sessions share one, and what else is new is not measured until an old meter has run dry.
pub const METERS: usize = 16_384;
/// Roles whose ordinary days are remembered for proposals.
pub const ROLES: usize = 256;
/// Parts of a window: one more than it has, so that a window is never shorter than it says.
const PARTS: usize = 13;

/// What leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Rows of results and of `COPY`.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Values that a detector recognised in them.
    pub values: u64,
}

/// One of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Rows.
    Rows,
    /// Bytes.
    Bytes,
    /// Recognised values.
    Values,
}

/// What a budget is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Each session of the role.
    Session,
    /// All sessions of the role together.
    Role,
    /// What the role reads of this relation, named as the configuration names it.
    Relation(Box<str>),
    /// Each client's network, with all its sessions of the role.
    Client,
}

/// A bound on what leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// The role; [`ANY`] is each role.
    pub role: Box<str>,
    /// What it is of.
    pub scope: Scope,
    /// How long.
    pub window: Span,
    /// Of what.
    pub measure: Measure,
    /// How much may leave.
    pub most: u64,
}

/// Which budget would be exceeded, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Over(pub Box<str>);

/// A budget that ordinary days suggest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The role whose days they were.
    pub role: Arc<str>,
    /// How long.
    pub window: Span,
    /// Of what.
    pub measure: Measure,
    /// What 999 of 1,000 windows stayed within.
    pub usual: u64,
    /// The most that left in one.
    pub greatest: u64,
    /// How many windows were looked at.
    pub windows: u64,
}

/// Who is about to receive something.
#[derive(Debug, Clone, Copy)]
pub struct Receiver<'a> {
    /// The session's number, which no other session of this gate has had.
    pub session: u64,
    /// Its role and its client's network.
    pub who: &'a Who,
    /// Relations that it comes from, as budgets name them.
    pub relations: &'a [Box<str>],
}

/// The budgets of one database, and what has left under them.
#[derive(Debug, Default)]
pub struct Egress {
    budgets: Vec<Budget>,
    meters: BTreeMap<Key, Meter>,
    /// Meters of a process before, by a keyed hash of whose they are, until whoever it is comes again.
    carried: BTreeMap<u64, Meter>,
    key: [u64; 2],
    ordinary: BTreeMap<Arc<str>, Ordinary>,
    /// Windows that were noted since the start.
    noted: u64,
    /// Times that something was taken off budgets.
    charged: u64,
}

/// The form of what is written of meters.
const LEFT_FORM: u32 = 1;

/// What left, as it is written down.
#[derive(Serialize, Deserialize)]
struct WrittenLeft {
    form: u32,
    meters: Vec<(u64, Meter)>,
}

/// The longest text of what was usual.
pub const USUAL_BYTES: usize = 4 * 1024 * 1024;

/// What was usual, as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    usual: Vec<WrittenClasses>,
}

#[derive(Serialize, Deserialize)]
struct WrittenClasses {
    role: String,
    within: String,
    measure: String,
    windows: u64,
    greatest: u64,
    /// How many windows fell into which class, by its number.
    classes: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Session(u64),
    Role(Arc<str>),
    Relation(Arc<str>, Box<str>),
    Client(Arc<str>, Arc<str>),
}

/// Stands for every session that found no meter of its own.
const SHARED: u64 = u64::MAX;

impl Egress {
    /// No budgets; what leaves is measured for each role all the same.
    #[must_use]
    pub fn new(budgets: Vec<Budget>) -> Self {
        Self { budgets, ..Self::default() }
    }

    /// Holds to other budgets. What has left counts against them.
    pub fn set_budgets(&mut self, budgets: Vec<Budget>) {
        self.budgets = budgets;
    }

    /// Relations that budgets name.
    pub fn relations(&self) -> impl Iterator<Item = &str> {
        self.budgets.iter().filter_map(|budget| match &budget.scope {
            Scope::Relation(name) => Some(&**name),
            _ => None,
        })
    }

    /// Takes what is about to leave off every budget that it falls under.
    ///
    /// # Errors
    /// One of them does not have that much left; then nothing was taken off any.
    pub fn charge(&mut self, to: Receiver<'_>, amount: Amount, now: u64) -> Result<(), Over> {
        let role = &to.who.role;
        let falls = |budget: &Budget| *budget.role == **role || &*budget.role == ANY;
        let key = |scope: &Scope| match scope {
            Scope::Session => Some(Key::Session(to.session)),
            Scope::Role => Some(Key::Role(Arc::clone(role))),
            Scope::Relation(name) => to.relations.contains(name).then(|| Key::Relation(Arc::clone(role), name.clone())),
            Scope::Client => Some(Key::Client(Arc::clone(role), Arc::clone(&to.who.client))),
        };
        let mut keys = vec![Key::Role(Arc::clone(role))];
        keys.iter().for_each(|key| recall(&mut self.meters, &mut self.carried, self.key, key));
        for budget in self.budgets.iter().filter(|budget| falls(budget)) {
            let Some(key) = key(&budget.scope) else { continue };
            recall(&mut self.meters, &mut self.carried, self.key, &key);
            let key = place(&mut self.meters, key, now);
            let left = self.meters.get_mut(&key).map_or(0, |meter| meter.sum(budget.window, budget.measure, now));
            let more = amount.of(budget.measure);
            if more > 0 && left.saturating_add(more) > budget.most {
                return Err(Over(format!("{budget}: {left} have left, {more} more would").into()));
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        self.charged += 1;
        for key in keys {
            // What stands for all sessions has its place beyond the bound.
            let known = self.meters.len() < METERS || self.meters.contains_key(&key) || key == Key::Session(SHARED);
            if !known {
                continue;
            }
            let windows = self.meters.entry(key.clone()).or_insert_with(|| Meter::new(now)).add(amount, now);
            if let Key::Role(role) = key
                && (self.ordinary.len() < ROLES || self.ordinary.contains_key(&role))
            {
                let ordinary = self.ordinary.entry(role).or_default();
                for (window, sums) in windows.into_iter().flatten() {
                    ordinary.note(window, sums);
                    self.noted += 1;
                }
            }
        }
        Ok(())
    }

    /// Changes with what has left.
    #[must_use]
    pub const fn charged(&self) -> u64 {
        self.charged
    }

    /// What has left under budgets, as [`Self::read_left`] takes it: amounts, and keyed hashes of whose they are. Sessions end with
    /// their process.
    #[must_use]
    pub fn write_left(&mut self, now: u64) -> Vec<u8> {
        let Self { meters, carried, key, .. } = self;
        carried.retain(|_, meter| !meter.is_dry(now));
        let own = meters.iter_mut().filter_map(|(whose, meter)| {
            let lasts = !matches!(whose, Key::Session(_)) && !meter.is_dry(now);
            lasts.then(|| (hash(*key, whose), meter.clone()))
        });
        let meters = own.chain(carried.iter().map(|(hash, meter)| (*hash, meter.clone()))).take(METERS).collect();
        postcard::to_allocvec(&WrittenLeft { form: LEFT_FORM, meters }).unwrap_or_default()
    }

    /// Hashes by this key from now on, and takes up what left before.
    ///
    /// # Errors
    /// What is wrong with it, in words. Nothing of it is taken then.
    pub fn read_left(&mut self, bytes: &[u8], key: [u64; 2], now: u64) -> Result<(), String> {
        self.key = key;
        if bytes.is_empty() {
            return Ok(());
        }
        let written: WrittenLeft = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
        if written.form != LEFT_FORM || written.meters.len() > METERS {
            return Err(format!("not of form {LEFT_FORM}"));
        }
        // By a clock that was set back since, nobody would be given back what they took.
        self.carried = written.meters.into_iter().filter(|(_, meter)| !meter.is_ahead(now)).collect();
        Ok(())
    }

    /// A session is over.
    pub fn forget(&mut self, session: u64) {
        if session != SHARED {
            self.meters.remove(&Key::Session(session));
        }
    }

    /// What has left to a role in a window so far.
    #[must_use]
    pub fn left(&mut self, role: &Arc<str>, window: Span, measure: Measure, now: u64) -> u64 {
        let key = Key::Role(Arc::clone(role));
        recall(&mut self.meters, &mut self.carried, self.key, &key);
        self.meters.get_mut(&key).map_or(0, |meter| meter.sum(window, measure, now))
    }

    /// Changes with what was usual.
    #[must_use]
    pub const fn noted(&self) -> u64 {
        self.noted
    }

    /// What was usual so far, as a text that [`Self::read_usual`] takes.
    #[must_use]
    pub fn write_usual(&self) -> String {
        let line = |(role, window, measure, classes): (&Arc<str>, Span, Measure, &Classes)| WrittenClasses {
            role: role.to_string(),
            within: window.name().to_owned(),
            measure: measure.name().to_owned(),
            // TOML has 63 bits.
            windows: classes.windows.min(i64::MAX as u64),
            greatest: classes.greatest.min(i64::MAX as u64),
            classes: classes.counted().map(|(class, count)| (class.to_string(), count)).collect(),
        };
        let all = self.ordinary.iter().flat_map(|(role, ordinary)| {
            ordinary.counts.iter().map(move |((window, measure), classes)| (role, *window, *measure, classes))
        });
        let text = toml::to_string(&Written { usual: all.map(line).collect() }).unwrap_or_default();
        format!("{USUAL_HEAD}{text}")
    }

    /// Takes up what was usual before.
    ///
    /// # Errors
    /// What is wrong with the text, in words. Nothing of it is taken then.
    pub fn read_usual(&mut self, text: &str) -> Result<(), String> {
        if text.len() > USUAL_BYTES {
            return Err(format!("longer than {USUAL_BYTES} bytes"));
        }
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut ordinary: BTreeMap<Arc<str>, Ordinary> = BTreeMap::new();
        for line in written.usual {
            let window = Span::ALL.into_iter().find(|window| window.name() == line.within);
            let measure = Measure::ALL.into_iter().find(|measure| measure.name() == line.measure);
            let (Some(window), Some(measure)) = (window, measure) else {
                return Err(format!("`{} {}` is not measured", line.measure, line.within));
            };
            let mut classes = Classes { classes: [0; CLASSES], windows: line.windows, greatest: line.greatest };
            for (class, count) in &line.classes {
                let place = class.parse().ok().and_then(|class: usize| classes.classes.get_mut(class));
                *place.ok_or_else(|| format!("`{class}` is no class"))? = *count;
            }
            ordinary.entry(line.role.into()).or_default().counts.insert((window, measure), classes);
        }
        if ordinary.len() > ROLES {
            return Err(format!("more than {ROLES} roles"));
        }
        self.ordinary = ordinary;
        Ok(())
    }

    /// Budgets that the days so far suggest, where enough windows were seen to say so.
    #[must_use]
    pub fn proposals(&self) -> Vec<Proposal> {
        let roles = self.ordinary.iter();
        roles.flat_map(|(role, ordinary)| ordinary.proposals(role)).collect()
    }
}

/// Whoever came before a restart goes on with their meter.
fn recall(meters: &mut BTreeMap<Key, Meter>, carried: &mut BTreeMap<u64, Meter>, by: [u64; 2], key: &Key) {
    if carried.is_empty() || matches!(key, Key::Session(_)) || meters.contains_key(key) {
        return;
    }
    if let Some(meter) = carried.remove(&hash(by, key)) {
        meters.insert(key.clone(), meter);
    }
}

fn hash([one, other]: [u64; 2], key: &Key) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(one, other);
    key.hash(&mut hasher);
    hasher.finish()
}

/// The key, or where there is no room for it the one that stands for it.
fn place(meters: &mut BTreeMap<Key, Meter>, key: Key, now: u64) -> Key {
    if meters.len() < METERS || meters.contains_key(&key) {
        return key;
    }
    meters.retain(|_, meter| !meter.is_dry(now));
    match key {
        Key::Session(_) if meters.len() >= METERS => Key::Session(SHARED),
        key => key,
    }
}

impl Amount {
    /// One of the three.
    #[must_use]
    pub const fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Rows => self.rows,
            Measure::Bytes => self.bytes,
            Measure::Values => self.values,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            bytes: self.bytes.saturating_add(other.bytes),
            values: self.values.saturating_add(other.values),
        }
    }
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rows, Self::Bytes, Self::Values];

    /// As configuration and records name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Values => "values",
        }
    }
}

/// A ring has so many parts that the one under way is beside a whole window; how long one is, in seconds.
const fn part(window: Span) -> u64 {
    window.nanos() / 1_000_000_000 / (PARTS as u64 - 1)
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (measure, window, role) = (self.measure.name(), self.window.name(), &self.role);
        match &self.scope {
            Scope::Session => write!(f, "{} {measure} per {window} for a session of {role}", self.most),
            Scope::Role => write!(f, "{} {measure} per {window} for {role}", self.most),
            Scope::Relation(name) => write!(f, "{} {measure} of {name} per {window} for {role}", self.most),
            Scope::Client => write!(f, "{} {measure} per {window} for a client of {role}", self.most),
        }
    }
}

/// Three windows that slide by parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Meter {
    rings: [Ring; 3],
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ring {
    parts: [Amount; PARTS],
    /// The number of the part that is written, counted from 1970.
    current: u64,
}

impl Meter {
    fn new(now: u64) -> Self {
        Self { rings: Span::ALL.map(|window| Ring { parts: [Amount::default(); PARTS], current: now / part(window) }) }
    }

    /// Adds to all windows. Returns those of which a part is over, with what had left in them until then.
    fn add(&mut self, amount: Amount, now: u64) -> [Option<(Span, Amount)>; 3] {
        let mut over = [None; 3];
        for ((ring, window), over) in self.rings.iter_mut().zip(Span::ALL).zip(&mut over) {
            let before = ring.total();
            if ring.advance(now / part(window)) {
                *over = Some((window, before));
            }
            let place = ring.place();
            if let Some(part) = ring.parts.get_mut(place) {
                *part = part.plus(amount);
            }
        }
        over
    }

    fn sum(&mut self, window: Span, measure: Measure, now: u64) -> u64 {
        let ring = self.rings.iter_mut().zip(Span::ALL).find(|(_, own)| *own == window);
        ring.map_or(0, |(ring, window)| {
            ring.advance(now / part(window));
            ring.total().of(measure)
        })
    }

    /// Whether it was written at a time that has not come.
    fn is_ahead(&self, now: u64) -> bool {
        self.rings.iter().zip(Span::ALL).any(|(ring, window)| ring.current > now / part(window) + 1)
    }

    /// Whether nothing is left in any window.
    fn is_dry(&mut self, now: u64) -> bool {
        self.sum(Span::Day, Measure::Rows, now) == 0 && self.sum(Span::Day, Measure::Bytes, now) == 0
    }
}

impl Ring {
    fn place(&self) -> usize {
        usize::try_from(self.current % PARTS as u64).unwrap_or(0)
    }

    /// Moves on to a part; those that have left the window are emptied. A clock that goes back moves nothing.
    fn advance(&mut self, to: u64) -> bool {
        if to <= self.current {
            return false;
        }
        if to - self.current >= PARTS as u64 {
            self.parts = [Amount::default(); PARTS];
            self.current = to;
            return true;
        }
        while self.current < to {
            self.current += 1;
            let place = self.place();
            if let Some(part) = self.parts.get_mut(place) {
                *part = Amount::default();
            }
        }
        true
    }

    fn total(&self) -> Amount {
        self.parts.iter().fold(Amount::default(), |sum, part| sum.plus(*part))
    }
}

/// How much left in windows so far, as counts in classes of half an octave.
#[derive(Debug, Default)]
struct Ordinary {
    counts: BTreeMap<(Span, Measure), Classes>,
}

#[derive(Debug)]
struct Classes {
    classes: [u32; CLASSES],
    windows: u64,
    greatest: u64,
}

/// Nothing, and two classes for each doubling of a number of 64 bits.
const CLASSES: usize = 129;

/// What the text of what was usual begins with.
const USUAL_HEAD: &str = "# What left in ordinary windows, role by role: how many windows fell into which class of size. The gate writes \
                          this file\n# whole; `portcullis pg show` proposes budgets from it. Remove it to begin anew.\n\n";

/// Windows that must have been seen before something is proposed.
const ENOUGH: u64 = 100;

impl Ordinary {
    fn note(&mut self, window: Span, sums: Amount) {
        for measure in Measure::ALL {
            let sum = sums.of(measure);
            let fresh = || Classes { classes: [0; CLASSES], windows: 0, greatest: 0 };
            let classes = self.counts.entry((window, measure)).or_insert_with(fresh);
            classes.windows += 1;
            classes.greatest = classes.greatest.max(sum);
            if let Some(class) = classes.classes.get_mut(class(sum)) {
                *class = class.saturating_add(1);
            }
        }
    }

    fn proposals(&self, role: &Arc<str>) -> Vec<Proposal> {
        let enough = self.counts.iter().filter(|(_, classes)| classes.windows >= ENOUGH && classes.greatest > 0);
        let proposal = |(&(window, measure), classes): (&(Span, Measure), &Classes)| Proposal {
            role: Arc::clone(role),
            window,
            measure,
            usual: classes.percentile().min(classes.greatest),
            greatest: classes.greatest,
            windows: classes.windows,
        };
        enough.map(proposal).collect()
    }
}

impl Classes {
    /// The classes that have anything, by number.
    fn counted(&self) -> impl Iterator<Item = (usize, u32)> {
        self.classes.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// What 999 of 1,000 stay within: the end of the class in which the last of them is.
    fn percentile(&self) -> u64 {
        let wanted = self.windows - self.windows / 1000;
        let mut seen = 0;
        for (at, count) in self.classes.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return end(at);
            }
        }
        self.greatest
    }
}

/// 0 for nothing, then two classes for each doubling.
fn class(sum: u64) -> usize {
    let Some(octave) = sum.checked_ilog2() else { return 0 };
    let upper = octave > 0 && sum >> (octave - 1) & 1 == 1;
    1 + octave as usize * 2 + usize::from(upper)
}

/// The greatest number in a class.
fn end(class: usize) -> u64 {
    let Some(at) = class.checked_sub(1) else { return 0 };
    let octave = u32::try_from(at / 2).unwrap_or(63);
    let (base, half) = (1_u64 << octave.min(63), (1_u64 << octave.min(63)) / 2);
    if at % 2 == 1 { base.saturating_add(base - 1) } else { base.saturating_add(half.max(1) - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const NOW: u64 = 1_790_000_000;

    fn budget(scope: Scope, window: Span, measure: Measure, most: u64) -> Budget {
        Budget { role: ANY.into(), scope, window, measure, most }
    }

    fn who(role: &str, last: u8) -> Who {
        Who::new(role, IpAddr::from([10, 0, last, 1]))
    }

    fn rows(rows: u64) -> Amount {
        Amount { rows, bytes: rows * 100, values: 0 }
    }

    fn take(egress: &mut Egress, session: u64, who: &Who, amount: Amount, now: u64) -> Result<(), Over> {
        egress.charge(Receiver { session, who, relations: &["members".into()] }, amount, now)
    }

    #[test]
    fn what_was_usual_is_known_again() {
        let mut egress = Egress::default();
        for minute in 0..200 {
            let who = who("app", 1);
            let to = Receiver { session: 1, who: &who, relations: &[] };
            egress.charge(to, rows(minute % 7), NOW + minute * 60).unwrap();
        }
        let (text, before) = (egress.write_usual(), egress.proposals());
        assert!(!before.is_empty() && egress.noted() > 100);
        let mut again = Egress::default();
        again.read_usual(&text).unwrap();
        assert_eq!(again.proposals(), before);
        assert_eq!(again.write_usual(), text);
        for wrong in [
            "usual = 1",
            "[[usual]]\nrole = \"a\"",
            &text.replace("minute", "year"),
            &text.replace("[usual.classes]", "[usual.classes]\n900 = 1"),
        ] {
            assert!(again.read_usual(wrong).is_err(), "{wrong}");
            assert_eq!(again.proposals(), before, "what is wrong changes nothing");
        }
    }

    #[test]
    fn nothing_beyond_a_budget_leaves_and_time_gives_it_back() {
        let mut egress = Egress::new(vec![budget(Scope::Role, Span::Minute, Measure::Rows, 100)]);
        let app = who("app", 0);
        assert!(take(&mut egress, 1, &app, rows(60), NOW).is_ok());
        assert!(take(&mut egress, 2, &app, rows(40), NOW + 30).is_ok());
        let over = take(&mut egress, 1, &app, rows(1), NOW + 59).unwrap_err();
        assert!(over.0.contains("100 rows per minute for *"), "{over:?}");
        assert!(take(&mut egress, 1, &app, rows(0), NOW + 59).is_ok(), "nothing is always within");
        assert!(take(&mut egress, 1, &app, rows(60), NOW + 70).is_ok(), "the first sixty are a minute old");
        assert!(take(&mut egress, 1, &app, rows(1), NOW + 71).is_err());
        assert!(take(&mut egress, 1, &who("report", 0), rows(100), NOW + 71).is_ok(), "each role has its own");
    }

    #[test]
    fn a_window_is_never_shorter_than_it_says() {
        for start in 0..60 {
            for gap in 1..=60 {
                let mut egress = Egress::new(vec![budget(Scope::Role, Span::Minute, Measure::Rows, 10)]);
                let app = who("app", 0);
                take(&mut egress, 1, &app, rows(10), NOW + start).unwrap();
                assert!(take(&mut egress, 1, &app, rows(1), NOW + start + gap).is_err(), "{start} {gap}");
            }
        }
    }

    #[test]
    fn a_restart_is_no_fresh_budget() {
        let budgets = || {
            vec![
                budget(Scope::Role, Span::Hour, Measure::Rows, 100),
                budget(Scope::Client, Span::Day, Measure::Rows, 90),
                budget(Scope::Relation("members".into()), Span::Day, Measure::Bytes, 9_500),
            ]
        };
        let (app, key) = (who("app", 1), [3, 4]);
        let mut egress = Egress::new(budgets());
        take(&mut egress, 1, &app, rows(80), NOW).unwrap();
        assert_eq!(egress.charged(), 1);
        let written = |egress: &mut Egress| {
            egress.read_left(&[], key, NOW).unwrap();
            egress.write_left(NOW)
        };
        let bytes = written(&mut egress);
        let named = |word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
        assert!(!named(b"app") && !named(b"10.0.1") && !named(b"members"), "hashes, and no names");
        let again = || {
            let mut egress = Egress::new(budgets());
            egress.read_left(&bytes, key, NOW + 60).unwrap();
            egress
        };
        for (amount, now, goes) in [(10, NOW + 60, true), (11, NOW + 60, false), (11, NOW + 90_000 + 7_200, true)] {
            let mut egress = again();
            assert_eq!(take(&mut egress, 9, &app, rows(amount), now).is_ok(), goes, "{amount} rows");
        }
        // Of another client, the role's hour is what is left.
        let mut egress = again();
        let elsewhere = |rows_now| (who("app", 2), rows(rows_now));
        let (other, amount) = elsewhere(21);
        let to = |who| Receiver { session: 9, who, relations: &[] };
        assert!(egress.charge(to(&other), amount, NOW + 60).is_err());
        assert!(egress.charge(to(&other), rows(20), NOW + 60).is_ok());
        // What nobody has asked for again is written down again.
        let twice = again().write_left(NOW + 60);
        let mut egress = Egress::new(budgets());
        egress.read_left(&twice, key, NOW + 60).unwrap();
        assert!(take(&mut egress, 9, &app, rows(11), NOW + 60).is_err());
        for wrong in [&bytes[..bytes.len() / 2], b"\x07\x00", &[0xff; 40]] {
            assert!(egress.read_left(wrong, key, NOW).is_err(), "{wrong:?}");
        }
        let mut back = Egress::new(budgets());
        back.read_left(&bytes, key, NOW - 100_000).unwrap();
        assert!(take(&mut back, 9, &app, rows(90), NOW - 100_000).is_ok(), "a clock that was set back");
    }

    #[test]
    fn what_is_refused_is_not_taken() {
        let mut egress = Egress::new(vec![
            budget(Scope::Session, Span::Hour, Measure::Rows, 100),
            budget(Scope::Relation("members".into()), Span::Day, Measure::Bytes, 5000),
        ]);
        let app = who("app", 0);
        assert!(take(&mut egress, 1, &app, rows(51), NOW).is_err(), "5,100 bytes");
        assert!(take(&mut egress, 1, &app, rows(50), NOW).is_ok(), "the 51 did not count");
        let elsewhere = Receiver { session: 1, who: &app, relations: &["branches".into()] };
        assert!(egress.charge(elsewhere, rows(50), NOW).is_ok(), "another relation");
        assert!(egress.charge(elsewhere, rows(1), NOW).is_err(), "the session's rows are all rows");
        assert!(take(&mut egress, 2, &app, rows(1), NOW).is_err(), "of members, another session shares");
    }

    #[test]
    fn clients_are_held_apart_and_sessions_are_forgotten() {
        let mut egress = Egress::new(vec![
            budget(Scope::Client, Span::Minute, Measure::Rows, 10),
            budget(Scope::Session, Span::Day, Measure::Rows, 10),
        ]);
        assert!(take(&mut egress, 1, &who("app", 1), rows(10), NOW).is_ok());
        assert!(take(&mut egress, 2, &who("app", 1), rows(1), NOW).is_err());
        assert!(take(&mut egress, 3, &who("app", 2), rows(10), NOW).is_ok());
        assert!(egress.meters.contains_key(&Key::Session(3)));
        egress.forget(3);
        assert!(!egress.meters.contains_key(&Key::Session(3)));
    }

    #[test]
    fn meters_are_bounded_and_who_finds_none_shares_one() {
        let mut egress = Egress::new(vec![budget(Scope::Session, Span::Day, Measure::Rows, 3)]);
        let app = who("app", 0);
        for session in 0..METERS as u64 {
            take(&mut egress, session, &app, rows(1), NOW).unwrap();
        }
        assert!(egress.meters.len() <= METERS + 1);
        let refused = (0..10).filter(|one| take(&mut egress, 1_000_000 + one, &app, rows(1), NOW).is_err()).count();
        assert!(egress.meters.len() <= METERS + 1);
        assert!(refused >= 6, "{refused}: they share three rows");
        assert!(take(&mut egress, 2_000_000, &app, rows(1), NOW + 100_000).is_ok(), "a day later there is room");
    }

    #[test]
    fn ordinary_days_suggest_budgets() {
        let mut egress = Egress::default();
        let app = who("app", 0);
        for step in 0..2000 {
            take(&mut egress, 1, &app, rows(10 + step % 7), NOW + step * 5).unwrap();
        }
        let proposals = egress.proposals();
        let minute = proposals.iter().find(|one| (one.window, one.measure) == (Span::Minute, Measure::Rows)).unwrap();
        assert!((150..=260).contains(&minute.usual), "{minute:?}");
        assert!(minute.usual <= minute.greatest && minute.windows > 1000);
        assert!(proposals.iter().all(|one| one.measure != Measure::Values), "none was recognised");
    }

    #[test]
    fn classes_hold_what_they_end_at() {
        for number in (0..2000).chain([u64::MAX, u64::MAX / 3]) {
            let class = class(number);
            assert!(number <= end(class) && (class == 0 || number > end(class - 1)), "{number} {class} {}", end(class));
        }
    }
}
