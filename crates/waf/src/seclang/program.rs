//! Rules as they run: everything that can be settled before the first request is settled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::ast::{BodyProcessor, Disruptive, EngineMode, Span, UnicodeMap, Variable};
use super::check::Check;
use super::classes::{Classes, Classing};
use super::collections::Collections;
use super::places::{Place, Places};
use super::prefilter::{Prefilter, Rules};
use crate::operator::regex::Regex;
use crate::transform::Transformation;

/// Compiled rules. Made by [`super::compile()`], run by [`super::Transaction`], shared by all of its transactions.
#[derive(Debug)]
pub struct Program {
    pub(crate) rules: Vec<Compiled>,
    /// Of each phase, 1 to 5, its rules in their order.
    pub(crate) phases: [Phase; 5],
    /// Ways of transforming; the first is none.
    pub(crate) ways: Vec<Way>,
    /// The way that is another one and a step more.
    pub(crate) steps: BTreeMap<(u16, Transformation), u16>,
    /// Which bytes are told apart, by ways and by the prefilter.
    pub(crate) classes: Classing,
    pub(crate) prefilter: Prefilter,
    /// Names of TX that rules spell out; the first ten are what was captured.
    pub(crate) names: Vec<Box<[u8]>>,
    pub(crate) slots: BTreeMap<Box<[u8]>, u16>,
    /// What `ctl` takes targets out of.
    pub(crate) exclusions: Vec<Exclusion>,
    pub(crate) settings: Settings,
    /// What outlives transactions, shared with the programs of the same pool.
    pub(crate) collections: Arc<Mutex<Collections>>,
    /// Variables that some rule asks for.
    pub(crate) used: Vec<bool>,
    /// Of each rule of the prefilter, its position in `rules` and in its phase.
    pub(crate) filters: Vec<(u32, u32)>,
}

/// What the rules' settings say, with `ModSecurity`'s own values where they say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether rules act.
    pub mode: EngineMode,
    /// Whether bodies of requests are looked at.
    pub request_body: bool,
    /// Whether bodies of responses are looked at.
    pub response_body: bool,
    /// Bytes of a request's body.
    pub request_body_limit: u64,
    /// Bytes of a request's body that is no upload.
    pub request_body_no_files_limit: u64,
    /// Whether a longer one is refused; otherwise its beginning is looked at.
    pub request_body_limit_rejects: bool,
    /// Levels of JSON.
    pub json_depth: u32,
    /// Arguments.
    pub arguments: u32,
    /// Files of one upload.
    pub upload_files: u32,
    /// Bytes of a response's body.
    pub response_body_limit: u64,
    /// Whether a longer one is refused.
    pub response_body_limit_rejects: bool,
    /// Types of responses whose bodies are looked at, in lower case.
    pub response_body_types: Vec<Box<str>>,
    /// Between two arguments.
    pub argument_separator: u8,
    /// Code points that an application takes for ASCII.
    pub unicode_map: UnicodeMap,
    /// `SecComponentSignature`: what the rules call themselves.
    pub signatures: Vec<String>,
    /// `SecWebAppId`.
    pub web_app: String,
    /// Seconds for which a collection is remembered after it was changed.
    pub collection_timeout: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: EngineMode::Off,
            request_body: false,
            response_body: false,
            request_body_limit: 128 * 1024 * 1024,
            request_body_no_files_limit: 1024 * 1024,
            request_body_limit_rejects: true,
            json_depth: 512,
            arguments: 1000,
            upload_files: 100,
            response_body_limit: 512 * 1024,
            response_body_limit_rejects: false,
            response_body_types: vec!["text/plain".into(), "text/html".into()],
            argument_separator: b'&',
            unicode_map: UnicodeMap::default(),
            signatures: Vec::new(),
            web_app: "default".to_owned(),
            collection_timeout: 3600,
        }
    }
}

/// The rules of one phase.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    /// Positions in [`Program::rules`].
    pub(crate) order: Vec<u32>,
    /// What must be scanned: of each place, by which ways, for which rules of the prefilter.
    pub(crate) rows: Vec<Row>,
    /// Rules that compare a number and skip others: asked before anything is scanned, where nothing between can change it.
    pub(crate) gates: Vec<Gate>,
    /// Position of the first rule for which values are looked at; what stands before it looks for itself.
    pub(crate) first_filtered: usize,
    /// Places where rules ask for values by their names.
    pub(crate) named: Places,
}

/// Values of a place, transformed in one way, for these rules.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) place: Place,
    pub(crate) way: u16,
    pub(crate) rules: Rules,
}

/// A rule that only skips.
#[derive(Debug)]
pub(crate) struct Gate {
    /// Its position in [`Program::rules`].
    pub(crate) rule: u32,
    /// Its position in the phase, and that of the first rule that it does not skip.
    pub(crate) at: usize,
    pub(crate) to: usize,
    /// Rules of the prefilter that it skips.
    pub(crate) skipped: Rules,
}

/// A way of transforming: another one and one step more.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) before: u16,
    pub(crate) step: Transformation,
    /// A value without these is left as it is, by this step and all before it.
    pub(crate) touched: Classes,
    /// A value without these is left as it is by this step.
    pub(crate) step_touched: Classes,
    /// It makes something of nothing.
    pub(crate) empty: bool,
    /// The step changes upper and lower case and nothing else.
    pub(crate) only_case: bool,
}

/// One rule, or a link of one.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) id: u32,
    pub(crate) phase: u8,
    pub(crate) span: Span,
    pub(crate) test: Option<Test>,
    pub(crate) links: Vec<Compiled>,
    pub(crate) actions: Then,
    /// Its number in the prefilter.
    pub(crate) filter: Option<u16>,
    /// Position in its phase where it goes on after it matched.
    pub(crate) skip_to: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) targets: Vec<Aim>,
    pub(crate) except: Vec<Aim>,
    /// The last way, and all that are tried when each step is.
    pub(crate) way: u16,
    pub(crate) ways: Vec<u16>,
    pub(crate) check: Check,
    pub(crate) negated: bool,
    pub(crate) capture: bool,
}

/// A target, compiled.
#[derive(Debug, Clone)]
pub(crate) struct Aim {
    pub(crate) variable: Variable,
    /// Where its values stand; none where rules make them.
    pub(crate) places: Places,
    pub(crate) which: Which,
    pub(crate) count: bool,
}

/// Which members.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    All,
    /// In lower case.
    Name(Box<[u8]>),
    /// A variable of TX that has a slot.
    Slot(u16),
    Regex(Arc<Regex>),
    /// Of these places only.
    Place(Place),
}

/// What a rule does when it matched.
#[derive(Debug, Default)]
pub(crate) struct Then {
    pub(crate) disruptive: Option<Disruptive>,
    pub(crate) redirect: Option<Words>,
    pub(crate) status: Option<u16>,
    pub(crate) log: bool,
    pub(crate) message: Option<Words>,
    pub(crate) data: Option<Words>,
    pub(crate) tags: Vec<Words>,
    pub(crate) severity: Option<u8>,
    pub(crate) effects: Vec<Does>,
}

/// Text, with what is to be filled in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(pub(crate) Vec<Word>);

#[derive(Debug, Clone)]
pub(crate) enum Word {
    Plain(Box<[u8]>),
    Slot(u16),
    Variable(Aim),
}

impl Words {
    /// The text, where nothing is to be filled in.
    pub(crate) fn plain(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(b""),
            [Word::Plain(text)] => Some(text),
            _ => None,
        }
    }
}

/// What a rule changes.
#[derive(Debug)]
pub(crate) enum Does {
    Set(Named, To),
    Environment(Words, Words),
    /// A record of a collection that outlives the transaction is this one's.
    Collection(Variable, Words),
    /// A variable of such a record goes after so many seconds.
    Expire(Variable, Words, Amount),
    Mode(EngineMode),
    RequestBody(bool),
    ResponseBody(bool),
    Processor(BodyProcessor),
    ForceBody(bool),
    /// These rules no longer run. Positions in [`Program::rules`].
    Remove(Rules),
    /// The exclusion of that position holds.
    Exclude(u16),
}

/// A variable that is set.
#[derive(Debug)]
pub(crate) enum Named {
    Slot(u16),
    /// Of TX or a collection that outlives a transaction, by a name that is made then.
    Made(Variable, Words),
}

/// What a variable becomes.
#[derive(Debug)]
pub(crate) enum To {
    Number(i64),
    Text(Words),
    /// More by so much.
    Plus(Amount),
    Minus(Amount),
    Nothing,
}

#[derive(Debug)]
pub(crate) enum Amount {
    Number(i64),
    Words(Words),
}

/// A target that `ctl` takes out of rules.
#[derive(Debug)]
pub(crate) struct Exclusion {
    /// Positions in [`Program::rules`].
    pub(crate) rules: Rules,
    pub(crate) aim: Aim,
}

impl Program {
    /// How many rules run, links of chains not counted.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// How many of them rest on the prefilter.
    #[must_use]
    pub fn filtered(&self) -> usize {
        self.filters.len()
    }

    pub(crate) fn uses(&self, variable: Variable) -> bool {
        self.used.get(variable as usize).copied().unwrap_or(false)
    }

    /// Numbers of the rules, in their order.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.rules.iter().map(|rule| rule.id)
    }

    /// What the rules' settings say.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The way that makes the same of every value of these classes, without the first steps that leave it as it is.
    pub(crate) fn shortest(&self, way: u16, classes: Classes) -> u16 {
        let Some(step) = self.ways.get(usize::from(way)).filter(|_| way != 0) else { return 0 };
        let empty = classes == Classes::default();
        if !(classes.intersects(step.touched) || step.empty && empty) {
            return 0;
        }
        let before = self.shortest(step.before, classes);
        if before == 0 && !(classes.intersects(step.step_touched) || empty && step.step.changes_empty()) {
            return 0;
        }
        self.steps.get(&(before, step.step)).copied().unwrap_or(way)
    }

    /// Memory of the automaton that all rules share, in bytes.
    #[must_use]
    pub fn prefilter_memory(&self) -> usize {
        self.prefilter.memory()
    }
}
