//! From rules to a program: names become slots, transformations ways, literals a prefilter.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{
    self, Change, Ctl, Disruptive, Effect, Operator, Piece, Selection, Selector, Setting, Text, Variable, XmlPath,
};
use super::check::{Check, Compare, Order};
use super::classes::{Classes, Classing};
use super::diagnostic::Diagnostic;
use super::places::{Made, Place, Places};
use super::pool::{Expression, Pool};
use super::prefilter::{self, Needs, Prefilter, Rules};
use super::program::{
    Aim, Amount, Compiled, Does, Exclusion, Gate, Named, Phase, Program, Row, Settings, Test, Then, To, Way, Which,
    Word, Words,
};
use super::resolve::{RuleSet, Step};
use crate::bytes::ByteSet;
use crate::operator::addresses::Addresses;
use crate::operator::numbers;
use crate::operator::regex::{Options, Regex};
use crate::transform::Transformation;

/// Rules of one program. More would not be compiled in the time that a reload may take.
const MOST_RULES: usize = 20_000;
/// Names of TX that rules spell out.
const MOST_NAMES: usize = 8_192;

/// Compiles rules.
///
/// # Errors
/// With everything that cannot be run as it stands: expressions that need more than linear time, labels that are nowhere.
pub fn compile(rules: &RuleSet) -> Result<Program, Vec<Diagnostic>> {
    compile_with(rules, &mut Pool::default())
}

/// Compiles rules that share what they have in common with others that were compiled with the same pool.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(rules: &RuleSet, pool: &mut Pool) -> Result<Program, Vec<Diagnostic>> {
    let mut compiler = Compiler::new(pool);
    compiler.settings(&rules.settings);
    let heads: Vec<&ast::Rule> = rules
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Rule(rule) => Some(&**rule),
            Step::Marker(_) => None,
        })
        .collect();
    if heads.len() > MOST_RULES
        && let Some(rule) = heads.get(MOST_RULES)
    {
        return Err(vec![problem(rule.span, format!("there are more than {MOST_RULES} rules"))]);
    }
    // Which rules a `ctl` means is known when all of them are.
    compiler.known = heads.iter().map(|rule| Described::of(rule)).collect();
    let mut compiled = Vec::with_capacity(heads.len());
    for rule in &heads {
        let phase = rule.actions.phase.unwrap_or(2);
        compiled.push(compiler.rule(rule, phase));
    }
    compiler.finish(compiled, rules)
}

/// One of these stands in everything that `@detectSQLi` finds: a single word or number is no injection.
const SQLI: ByteSet = ByteSet::range(b'0', b'9')
    .union(ByteSet::range(b'A', b'Z'))
    .union(ByteSet::range(b'a', b'z'))
    .with(b'_')
    .complement();
/// The same for `@detectXSS`: neither a tag nor an attribute comes without.
const XSS: ByteSet = ByteSet::literal(b"<=");
/// Expressions over names; nobody asks for their groups.
pub(super) const SELECTOR: Options = Options { ignore_case: true, groups: false };
const PLAIN: Options = Options { ignore_case: false, groups: false };

/// What a selection can ask about a rule.
struct Described {
    ids: Vec<u32>,
    tags: Vec<Vec<u8>>,
    message: Option<Vec<u8>>,
}

impl Described {
    fn of(rule: &ast::Rule) -> Self {
        Self {
            ids: rule.actions.id.into_iter().collect(),
            tags: rule.actions.tags.iter().map(spelled).collect(),
            message: rule.actions.message.as_ref().map(spelled),
        }
    }
}

/// A text as it stands, macros by their names.
fn spelled(text: &Text) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in &text.0 {
        match piece {
            Piece::Plain(plain) => out.extend_from_slice(plain),
            Piece::Macro(variable, name) => {
                out.extend_from_slice(b"%{");
                out.extend_from_slice(variable.name().as_bytes());
                if let Some(name) = name {
                    out.push(b'.');
                    out.extend_from_slice(name);
                }
                out.push(b'}');
            }
        }
    }
    out
}

struct Compiler<'a> {
    pool: &'a mut Pool,
    problems: Vec<Diagnostic>,
    ways: Vec<Way>,
    /// Of each way, the bytes that it or one before it changes.
    touched: Vec<ByteSet>,
    steps: BTreeMap<(u16, Transformation), u16>,
    names: Vec<Box<[u8]>>,
    slots: BTreeMap<Box<[u8]>, u16>,
    exclusions: Vec<Exclusion>,
    needs: Vec<Needs>,
    known: Vec<Described>,
    settings: Settings,
    used: Vec<bool>,
}

impl<'a> Compiler<'a> {
    fn new(pool: &'a mut Pool) -> Self {
        let mut compiler = Self {
            pool,
            problems: Vec::new(),
            ways: vec![Way {
                before: 0,
                step: Transformation::Lowercase,
                touched: Classes::default(),
                step_touched: Classes::default(),
                empty: false,
                only_case: false,
            }],
            touched: vec![ByteSet::EMPTY],
            steps: BTreeMap::new(),
            names: Vec::new(),
            slots: BTreeMap::new(),
            exclusions: Vec::new(),
            needs: Vec::new(),
            known: Vec::new(),
            settings: Settings::default(),
            used: vec![false; Variable::ALL.len()],
        };
        for digit in b'0'..=b'9' {
            compiler.slot(&[digit], None);
        }
        compiler
    }

    fn refuse(&mut self, span: ast::Span, reason: impl Into<String>) {
        self.problems.push(problem(span, reason.into()));
    }

    fn settings(&mut self, settings: &[Setting]) {
        for setting in settings {
            let own = &mut self.settings;
            match setting.clone() {
                Setting::RuleEngine(mode) => own.mode = mode,
                Setting::RequestBodyAccess(on) => own.request_body = on,
                Setting::ResponseBodyAccess(on) => own.response_body = on,
                Setting::RequestBodyLimit(bytes) => own.request_body_limit = bytes,
                Setting::RequestBodyNoFilesLimit(bytes) => own.request_body_no_files_limit = bytes,
                Setting::RequestBodyLimitRejects(rejects) => own.request_body_limit_rejects = rejects,
                Setting::RequestBodyJsonDepthLimit(levels) => own.json_depth = levels,
                Setting::ArgumentsLimit(arguments) => own.arguments = arguments,
                Setting::UploadFileLimit(files) => own.upload_files = files,
                Setting::ResponseBodyLimit(bytes) => own.response_body_limit = bytes,
                Setting::ResponseBodyLimitRejects(rejects) => own.response_body_limit_rejects = rejects,
                Setting::ResponseBodyMimeTypes(types) => {
                    own.response_body_types = types.iter().map(|kind| kind.to_ascii_lowercase().into()).collect();
                }
                Setting::ArgumentSeparator(byte) => own.argument_separator = byte,
                Setting::UnicodeMap(map) => own.unicode_map = map,
                Setting::ComponentSignature(text) => own.signatures.push(text),
                Setting::WebAppId(text) => own.web_app = text,
                Setting::CollectionTimeout(seconds) => own.collection_timeout = seconds,
                Setting::CookieSeparator(_) | Setting::XmlExternalEntity | Setting::ParseXmlIntoArgs(_) => {}
            }
        }
    }

    fn rule(&mut self, rule: &ast::Rule, phase: u8) -> Compiled {
        let test = rule.test.as_ref().and_then(|test| self.test(test, &rule.actions));
        let actions = self.then(&rule.actions, rule.span);
        let links = rule.links.iter().map(|link| self.rule(link, phase)).collect();
        Compiled {
            id: rule.actions.id.unwrap_or(0),
            phase,
            span: rule.span,
            test,
            links,
            actions,
            filter: None,
            skip_to: None,
        }
    }

    fn test(&mut self, test: &ast::Test, actions: &ast::Actions) -> Option<Test> {
        let check = self.check(&test.operator, actions.capture, test.span)?;
        let (mut targets, mut except) = (Vec::new(), Vec::new());
        for target in &test.targets {
            if let Some(aim) = self.aim(target) {
                if target.exclude { &mut except } else { &mut targets }.push(aim);
            }
        }
        let mut way = 0;
        let mut ways = vec![0];
        for step in &actions.transformations {
            way = self.way(way, *step);
            ways.push(way);
        }
        // What a value is left with whose first steps change nothing, so that such ways are one.
        for first in 1..actions.transformations.len() {
            actions.transformations.iter().skip(first).fold(0, |way, step| self.way(way, *step));
        }
        if !actions.multi_match {
            ways = vec![way];
        }
        Some(Test { targets, except, way, ways, check, negated: test.negated, capture: actions.capture })
    }

    fn aim(&mut self, target: &ast::Target) -> Option<Aim> {
        self.uses(target.variable);
        let which = match &target.selector {
            Selector::All if target.variable == Variable::Xml => {
                self.refuse(target.span, "XML needs an expression: XML:/* or XML://@*");
                return None;
            }
            Selector::All => Which::All,
            Selector::Name(name) if target.variable == Variable::Tx => Which::Slot(self.slot(name, Some(target.span))),
            Selector::Name(name) => Which::Name(name.to_ascii_lowercase().into()),
            Selector::Regex(text) => Which::Regex(self.regex(text, SELECTOR, target.span)?),
            Selector::Xml(XmlPath::Text) => Which::Place(Place::XML_TEXT),
            Selector::Xml(XmlPath::Attributes) => Which::Place(Place::XML_ATTRIBUTE),
        };
        Some(Aim::new(target.variable, which, target.count))
    }

    fn uses(&mut self, variable: Variable) {
        if let Some(used) = self.used.get_mut(variable as usize) {
            *used = true;
        }
    }

    fn regex(&mut self, text: &str, options: Options, span: ast::Span) -> Option<Arc<Regex>> {
        Some(self.expression(text, options, span)?.regex)
    }

    fn expression(&mut self, text: &str, options: Options, span: ast::Span) -> Option<Expression> {
        match self.pool.expression(text, options) {
            Ok(expression) => Some(expression),
            Err(refused) => {
                self.refuse(span, format!("this expression cannot be run: {}", refused.reason));
                None
            }
        }
    }

    fn check(&mut self, operator: &Operator, capture: bool, span: ast::Span) -> Option<Check> {
        let plain = |text: &Text| match text.0.as_slice() {
            [] => Some(String::new()),
            [Piece::Plain(plain)] => String::from_utf8(plain.to_vec()).ok(),
            _ => None,
        };
        Some(match operator {
            Operator::Rx(text) | Operator::RxGlobal(text) => {
                let Some(text) = plain(text) else {
                    self.refuse(
                        span,
                        "an expression that each request makes anew could be made by an attacker: spell it out",
                    );
                    return None;
                };
                let expression = self.expression(&text, Options { groups: capture, ..Options::default() }, span)?;
                if matches!(operator, Operator::Rx(_)) { Check::Rx(expression) } else { Check::RxGlobal(expression) }
            }
            Operator::Pm(phrases) => match self.pool.phrases(phrases) {
                Ok(listed) => Check::Phrases(listed),
                Err(_) => {
                    self.refuse(span, "these are more phrases than one automaton has room for");
                    return None;
                }
            },
            Operator::IpMatch(addresses) => match Addresses::parse(addresses) {
                Ok(addresses) => Check::Address(addresses),
                Err(refused) => {
                    self.refuse(span, format!("`{}` is no address and no network", refused.0));
                    return None;
                }
            },
            Operator::Streq(text) => Check::Text(Compare::Equal, self.words(text)),
            Operator::Strmatch(text) | Operator::Contains(text) => Check::Text(Compare::Contains, self.words(text)),
            Operator::ContainsWord(text) => Check::Text(Compare::ContainsWord, self.words(text)),
            Operator::BeginsWith(text) => Check::Text(Compare::Begins, self.words(text)),
            Operator::EndsWith(text) => Check::Text(Compare::Ends, self.words(text)),
            Operator::Within(text) => Check::Text(Compare::Within, self.words(text)),
            Operator::Eq(text) => self.number(Order::Equal, text),
            Operator::Ge(text) => self.number(Order::AtLeast, text),
            Operator::Gt(text) => self.number(Order::Above, text),
            Operator::Le(text) => self.number(Order::AtMost, text),
            Operator::Lt(text) => self.number(Order::Below, text),
            Operator::DetectSqli => Check::Sqli,
            Operator::DetectXss => Check::Xss,
            Operator::ValidateByteRange(ranges) => Check::Bytes(
                ranges.iter().fold(ByteSet::EMPTY, |set, (first, last)| set.union(ByteSet::range(*first, *last))),
            ),
            Operator::ValidateUrlEncoding => Check::UrlEncoding,
            Operator::ValidateUtf8Encoding => Check::Utf8,
            Operator::VerifyCc(text) => Check::Document(numbers::is_card, self.regex(text, PLAIN, span)?),
            Operator::VerifySsn(text) => {
                Check::Document(numbers::is_social_security_number, self.regex(text, PLAIN, span)?)
            }
            Operator::VerifyCpf(text) => Check::Document(numbers::is_taxpayer_number, self.regex(text, PLAIN, span)?),
            Operator::UnconditionalMatch => Check::Always,
            Operator::NoMatch => Check::Never,
        })
    }

    fn number(&mut self, order: Order, text: &Text) -> Check {
        let words = self.words(text);
        match words.plain() {
            Some(plain) => Check::Constant(order, numbers::integer(plain)),
            None => Check::Number(order, words),
        }
    }

    fn words(&mut self, text: &Text) -> Words {
        Words(
            text.0
                .iter()
                .map(|piece| match piece {
                    Piece::Plain(plain) => Word::Plain(plain.clone()),
                    Piece::Macro(Variable::Tx, Some(name)) => Word::Slot(self.slot(name, None)),
                    Piece::Macro(variable, name) => {
                        self.uses(*variable);
                        let which =
                            name.as_ref().map_or(Which::All, |name| Which::Name(name.to_ascii_lowercase().into()));
                        Word::Variable(Aim::new(*variable, which, false))
                    }
                })
                .collect(),
        )
    }

    fn slot(&mut self, name: &[u8], span: Option<ast::Span>) -> u16 {
        let name: Box<[u8]> = name.to_ascii_lowercase().into();
        if let Some(slot) = self.slots.get(&name) {
            return *slot;
        }
        if self.names.len() >= MOST_NAMES {
            if let Some(span) = span {
                self.refuse(span, format!("rules use more than {MOST_NAMES} names of TX"));
            }
            return 0;
        }
        let slot = u16::try_from(self.names.len()).unwrap_or(0);
        self.names.push(name.clone());
        self.slots.insert(name, slot);
        slot
    }

    fn way(&mut self, before: u16, step: Transformation) -> u16 {
        if let Some(way) = self.steps.get(&(before, step)) {
            return *way;
        }
        let touched = self.touched.get(usize::from(before)).copied().unwrap_or_default().union(step.touched_by());
        let empty = self.ways.get(usize::from(before)).is_some_and(|way| way.empty) || step.changes_empty();
        let way = u16::try_from(self.ways.len()).unwrap_or(0);
        let only_case = matches!(step, Transformation::Lowercase | Transformation::Uppercase);
        self.ways.push(Way {
            before,
            step,
            touched: Classes::default(),
            step_touched: Classes::default(),
            empty,
            only_case,
        });
        self.touched.push(touched);
        self.steps.insert((before, step), way);
        way
    }

    fn then(&mut self, actions: &ast::Actions, span: ast::Span) -> Then {
        let words = |compiler: &mut Self, text: &Option<Text>| text.as_ref().map(|text| compiler.words(text));
        Then {
            redirect: match &actions.disruptive {
                Some(Disruptive::Redirect(to)) => Some(self.words(to)),
                _ => None,
            },
            disruptive: actions.disruptive.clone(),
            status: actions.status,
            log: actions.log.unwrap_or(true),
            message: words(self, &actions.message),
            data: words(self, &actions.log_data),
            tags: actions.tags.iter().map(|tag| self.words(tag)).collect(),
            severity: actions.severity,
            effects: actions.effects.iter().filter_map(|effect| self.effect(effect, span)).collect(),
        }
    }

    fn effect(&mut self, effect: &Effect, span: ast::Span) -> Option<Does> {
        Some(match effect {
            Effect::SetVar { collection, name, change } => {
                let named = match name.0.as_slice() {
                    [Piece::Plain(name)] if *collection == Variable::Tx => Named::Slot(self.slot(name, Some(span))),
                    _ => Named::Made(*collection, self.words(name)),
                };
                let to = match change {
                    Change::Set(text) => {
                        let words = self.words(text);
                        match words.plain().and_then(canonical) {
                            Some(number) => To::Number(number),
                            None => To::Text(words),
                        }
                    }
                    Change::Add(text) => To::Plus(self.amount(text)),
                    Change::Subtract(text) => To::Minus(self.amount(text)),
                    Change::Unset => To::Nothing,
                };
                Does::Set(named, to)
            }
            Effect::SetEnv(name, value) => Does::Environment(self.words(name), self.words(value)),
            // What a transaction alone knows is gone before anything expires.
            Effect::ExpireVar(Variable::Tx, ..) => return None,
            Effect::ExpireVar(collection, name, seconds) => {
                Does::Expire(*collection, self.words(name), self.amount(seconds))
            }
            Effect::InitCol(variable, key) | Effect::SetKey(variable, key) => {
                Does::Collection(*variable, self.words(key))
            }
            Effect::Ctl(ctl) => return self.ctl(ctl, span),
        })
    }

    fn amount(&mut self, text: &Text) -> Amount {
        let words = self.words(text);
        match words.plain() {
            Some(plain) => Amount::Number(numbers::integer(plain)),
            None => Amount::Words(words),
        }
    }

    fn ctl(&mut self, ctl: &Ctl, span: ast::Span) -> Option<Does> {
        Some(match ctl {
            Ctl::RuleEngine(mode) => Does::Mode(*mode),
            Ctl::RequestBodyAccess(on) => Does::RequestBody(*on),
            Ctl::ResponseBodyAccess(on) => Does::ResponseBody(*on),
            Ctl::RequestBodyProcessor(processor) => Does::Processor(*processor),
            Ctl::ForceRequestBodyVariable(on) => Does::ForceBody(*on),
            Ctl::RuleRemove(selection) => Does::Remove(self.selected(selection, span)?),
            Ctl::RuleRemoveTarget(selection, target) => {
                let rules = self.selected(selection, span)?;
                let aim = self.aim(target)?;
                let position = u16::try_from(self.exclusions.len()).ok()?;
                self.exclusions.push(Exclusion { rules, aim });
                Does::Exclude(position)
            }
            Ctl::ParseXmlIntoArgs(_) | Ctl::Audit => return None,
        })
    }

    fn selected(&mut self, selection: &Selection, span: ast::Span) -> Option<Rules> {
        let regex = match selection {
            Selection::Ids(_) => None,
            Selection::Tag(text) | Selection::Message(text) => Some(self.regex(text, PLAIN, span)?),
        };
        let mut rules = Rules::none(self.known.len());
        for (position, known) in self.known.iter().enumerate() {
            let meant = match (selection, &regex) {
                (Selection::Ids(ranges), _) => {
                    known.ids.iter().any(|id| ranges.iter().any(|(first, last)| (first..=last).contains(&id)))
                }
                (Selection::Tag(_), Some(regex)) => known.tags.iter().any(|tag| regex.is_match(tag)),
                (Selection::Message(_), Some(regex)) => {
                    known.message.as_ref().is_some_and(|message| regex.is_match(message))
                }
                _ => false,
            };
            if meant {
                rules.insert(position);
            }
        }
        Some(rules)
    }

    fn finish(mut self, mut compiled: Vec<Compiled>, rules: &RuleSet) -> Result<Program, Vec<Diagnostic>> {
        for rule in &mut compiled {
            let Some(needs) = rule.test.as_ref().and_then(needs) else { continue };
            if let Ok(filter) = u16::try_from(self.needs.len()) {
                rule.filter = Some(filter);
                self.needs.push(needs);
            }
        }
        let mut phases: [Phase; 5] = Default::default();
        for (position, rule) in (0u32..).zip(&compiled) {
            if let Some(phase) = phases.get_mut(usize::from(rule.phase.clamp(1, 5)) - 1) {
                phase.order.push(position);
            }
        }
        self.skips(&mut compiled, &phases, rules);
        for phase in &mut phases {
            self.settle(phase, &compiled);
            self.rows(phase, &compiled);
            self.gates(phase, &compiled);
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let steps = self.ways.iter().map(|way| way.step.touched_by());
        let classes = Classing::new(
            &distinct(self.touched.iter().copied().chain(steps)),
            &distinct(prefilter::singles(&self.needs)),
        );
        for (way, touched) in self.ways.iter_mut().zip(&self.touched) {
            way.touched = classes.of_set(touched);
            way.step_touched = classes.of_set(&way.step.touched_by());
        }
        let prefilter = Prefilter::new(&self.needs, &classes);
        let mut filters = vec![(0, 0); self.needs.len()];
        for phase in &phases {
            for (at, position) in (0u32..).zip(&phase.order) {
                let filter = compiled.get(*position as usize).and_then(|rule| rule.filter);
                if let Some(place) = filter.and_then(|filter| filters.get_mut(usize::from(filter))) {
                    *place = (*position, at);
                }
            }
        }
        Ok(Program {
            rules: compiled,
            phases,
            ways: self.ways,
            classes,
            prefilter,
            names: self.names,
            slots: self.slots,
            exclusions: self.exclusions,
            collections: self.pool.collections(),
            settings: self.settings,
            used: self.used,
            filters,
            steps: self.steps,
        })
    }

    /// Where each rule goes on: after so many rules, or after a marker, which stands in every phase.
    fn skips(&mut self, compiled: &mut [Compiled], phases: &[Phase; 5], rules: &RuleSet) {
        let mut markers: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut wanted: Vec<(Option<u32>, Option<&str>)> = Vec::new();
        for step in &rules.steps {
            match step {
                Step::Rule(rule) => wanted.push((rule.actions.skip, rule.actions.skip_after.as_deref())),
                Step::Marker(name) => {
                    markers.entry(name).or_default().push(u32::try_from(wanted.len()).unwrap_or(u32::MAX))
                }
            }
        }
        for phase in phases {
            for (at, position) in (0u32..).zip(&phase.order) {
                let Some((skip, after)) = wanted.get(*position as usize).copied() else { continue };
                let to = match (skip, after) {
                    (Some(count), _) => Some(at.saturating_add(count).saturating_add(1)),
                    (None, Some(label)) => {
                        let places = markers.get(label).map(Vec::as_slice).unwrap_or_default();
                        // The marker that follows; a marker stands before the rule of its number.
                        let Some(marker) = places.iter().find(|marker| **marker > *position) else {
                            if let Some(rule) = compiled.get(*position as usize) {
                                let span = rule.span;
                                self.refuse(span, format!("nothing after this rule is marked `{label}`"));
                            }
                            continue;
                        };
                        Some(u32::try_from(phase.order.partition_point(|rule| rule < marker)).unwrap_or(u32::MAX))
                    }
                    (None, None) => None,
                };
                if let Some(rule) = compiled.get_mut(*position as usize) {
                    rule.skip_to = to;
                }
            }
        }
    }

    /// Finds from where on values are looked at: the first rule that rests on the prefilter, but not before the variables are
    /// set that rules compare which skip others.
    fn settle(&self, phase: &mut Phase, compiled: &[Compiled]) {
        let rules = || phase.order.iter().filter_map(|position| compiled.get(*position as usize)).enumerate();
        let gates: Vec<(usize, u16)> = rules().filter_map(|(at, rule)| Some((at, gate(rule)?))).collect();
        let first = gates.first().map_or(0, |(at, _)| *at);
        let sets = |rule: &Compiled| {
            std::iter::once(rule).chain(&rule.links).flat_map(|one| &one.actions.effects).any(|effect| match effect {
                Does::Set(named, _) => gates.iter().any(|(_, slot)| self.may_be(named, *slot)),
                _ => false,
            })
        };
        let settled = rules().take(first).filter(|(_, rule)| sets(rule)).last().map_or(0, |(at, _)| at + 1);
        let filtered = rules().find(|(at, rule)| *at >= settled && rule.filter.is_some());
        phase.first_filtered = filtered.map_or(phase.order.len(), |(at, _)| at);
    }

    fn rows(&self, phase: &mut Phase, compiled: &[Compiled]) {
        let mut rows: BTreeMap<(Place, u16), Rules> = BTreeMap::new();
        for position in phase.order.iter().skip(phase.first_filtered) {
            let Some(rule) = compiled.get(*position as usize) else { continue };
            let (Some(filter), Some(test)) = (rule.filter, &rule.test) else { continue };
            for aim in
                test.targets.iter().chain(&test.except).filter(|aim| !matches!(aim.which, Which::All | Which::Place(_)))
            {
                places(aim).for_each(|place| phase.named.insert(place));
            }
            for place in test.targets.iter().flat_map(places) {
                for way in &test.ways {
                    rows.entry((place, *way))
                        .or_insert_with(|| Rules::none(self.needs.len()))
                        .insert(usize::from(filter));
                }
            }
        }
        phase.rows = rows.into_iter().map(|((place, way), rules)| Row { place, way, rules }).collect();
    }

    /// Finds the rules that skip others for the sake of a number that is settled before the first value is scanned.
    fn gates(&self, phase: &mut Phase, compiled: &[Compiled]) {
        let mut changed: Vec<&Named> = Vec::new();
        for (at, position) in phase.order.iter().enumerate().skip(phase.first_filtered) {
            let Some(rule) = compiled.get(*position as usize) else { continue };
            if let Some(slot) = gate(rule)
                && !changed.iter().any(|named| self.may_be(named, slot))
                && let Some(to) = rule.skip_to
            {
                let mut skipped = Rules::none(self.needs.len());
                for skip in phase.order.get(at + 1..to as usize).unwrap_or_default() {
                    if let Some(filter) = compiled.get(*skip as usize).and_then(|rule| rule.filter) {
                        skipped.insert(usize::from(filter));
                    }
                }
                phase.gates.push(Gate { rule: *position, at, to: to as usize, skipped });
            }
            for one in std::iter::once(rule).chain(&rule.links) {
                changed.extend(one.actions.effects.iter().filter_map(|effect| match effect {
                    Does::Set(named, _) => Some(named),
                    _ => None,
                }));
            }
        }
    }

    /// Whether setting `named` could change that slot.
    fn may_be(&self, named: &Named, slot: u16) -> bool {
        match named {
            Named::Slot(other) => *other == slot,
            Named::Made(Variable::Tx, words) => {
                let name = self.names.get(usize::from(slot)).map(|name| &**name).unwrap_or_default();
                match words.0.first() {
                    Some(Word::Plain(prefix)) => name.starts_with(&prefix.to_ascii_lowercase()),
                    _ => true,
                }
            }
            Named::Made(..) => false,
        }
    }
}

/// Each set once.
fn distinct(sets: impl Iterator<Item = ByteSet>) -> Vec<ByteSet> {
    let mut sets: Vec<ByteSet> = sets.collect();
    sets.sort_unstable();
    sets.dedup();
    sets
}

/// Variables that are values of the request and that rules change nonetheless: by `ctl`, `setenv`, `setsid`, or by matching.
const CHANGED: [Variable; 5] =
    [Variable::ReqbodyProcessor, Variable::HighestSeverity, Variable::SessionId, Variable::UserId, Variable::Env];

/// The slot that a rule compares, if it does nothing but to skip others.
fn gate(rule: &Compiled) -> Option<u16> {
    let test = rule.test.as_ref()?;
    let [Aim { variable: Variable::Tx, which: Which::Slot(slot), count: false, .. }] = test.targets.as_slice() else {
        return None;
    };
    let plain = rule.links.is_empty()
        && rule.actions.effects.is_empty()
        && test.except.is_empty()
        && test.way == 0
        && !test.negated
        && matches!(rule.actions.disruptive, None | Some(Disruptive::Pass))
        && matches!(test.check, Check::Constant(..));
    (plain && rule.skip_to.is_some()).then_some(*slot)
}

impl Aim {
    pub(super) fn new(variable: Variable, which: Which, count: bool) -> Self {
        let bare = Self { variable, places: Places::default(), which, count };
        let mut found = Places::default();
        places(&bare).for_each(|place| found.insert(place));
        Self { places: found, ..bare }
    }
}

/// Places whose values a target means.
pub(crate) fn places(aim: &Aim) -> impl Iterator<Item = Place> {
    let one;
    let places: &[Place] = match (&aim.which, aim.variable.made()) {
        (Which::Place(place), _) => {
            one = [*place];
            &one
        }
        (_, Made::Of(places)) => places,
        (_, Made::One(place)) => {
            one = [place];
            &one
        }
        (_, Made::Kept | Made::Matched | Made::Rule) => &[],
    };
    smallvec::SmallVec::<[Place; 2]>::from_slice(places).into_iter()
}

/// What every value that the test holds of contains, nothing if that is not known. None where the answer is not settled before
/// rules run: where they make the values, or what those are compared with.
fn needs(test: &Test) -> Option<Needs> {
    let settled = |aim: &Aim| {
        !aim.count && matches!(aim.variable.made(), Made::Of(_) | Made::One(_)) && !CHANGED.contains(&aim.variable)
    };
    if !test.targets.iter().all(settled) || test.check.argument().is_some_and(|words| words.plain().is_none()) {
        return None;
    }
    if test.negated {
        return Some(Needs::new());
    }
    let needs: Needs = match &test.check {
        Check::Rx(expression) | Check::RxGlobal(expression) => (*expression.needs).clone(),
        Check::Phrases(listed) => (*listed.needs).clone(),
        Check::Sqli => vec![SQLI.iter().map(|byte| vec![byte]).collect()],
        Check::Xss => vec![XSS.iter().map(|byte| vec![byte]).collect()],
        Check::Text(
            Compare::Equal | Compare::Contains | Compare::ContainsWord | Compare::Begins | Compare::Ends,
            words,
        ) => {
            vec![words.plain().into_iter().map(Vec::from).collect()]
        }
        _ => Needs::new(),
    };
    Some(needs)
}

/// A number that is spelled as it would be written.
fn canonical(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

fn problem(span: ast::Span, reason: String) -> Diagnostic {
    Diagnostic { span, reason, help: None }
}
