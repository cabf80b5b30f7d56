//! Directives to a rule set: what `SecDefaultAction` says is said by each rule, what removes and changes rules has done so.
//!
//! Everything applies in the order of the text, as the reference has it: `SecDefaultAction` to the rules below it, what
//! removes or changes rules to those above it. Where that means that nothing would happen, the text is refused.

use std::collections::BTreeMap;

use super::ast::{
    Actions, Directive, DirectiveKind, Disruptive, Piece, Rule, Selection, Setting, Source, Span, Target, Text,
};
use super::diagnostic::{Note, Problems, Refused};
use super::parse::RuleText;
use crate::operator::regex::Regex;

/// Where rules run that do not say where.
const DEFAULT_PHASE: u8 = 2;

/// Rules as they are meant, to be compiled.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// What spans point into.
    pub sources: Vec<Source>,
    /// Settings of the engine in the order of the text. Of one kind the last holds; media types add up, and an empty list of
    /// them begins anew.
    pub settings: Vec<Setting>,
    /// Rules and the places that `skipAfter` goes to, in the order of the text.
    pub steps: Vec<Step>,
    /// What somebody may want to know.
    pub notes: Vec<Note>,
}

/// What stands in a rule set.
#[derive(Debug, Clone)]
pub enum Step {
    /// A rule with the links of its chain. Its phase, what decides, `log` and `audit_log` are always there, and `block` is
    /// not: it is what it stands for. Its transformations, and its links', are complete.
    Rule(Box<Rule>),
    /// Where `skipAfter` goes on.
    Marker(String),
}

/// Resolves rule text.
///
/// # Errors
/// Everything that is wrong with it.
pub fn resolve(text: RuleText) -> Result<RuleSet, Refused> {
    let RuleText { sources, directives } = text;
    let mut resolver = Resolver { sources: &sources, ..Resolver::default() };
    for directive in directives {
        resolver.directive(directive);
    }
    resolver.without_effect();
    let Resolver { steps, settings, mut notes, mut problems, .. } = resolver;
    let mut steps: Vec<Step> = steps.into_iter().flatten().collect();
    labels(&mut steps, &mut problems);
    if problems.0.is_empty() {
        notes.sort_by_key(|note| note.span);
        return Ok(RuleSet { sources, settings, steps, notes });
    }
    let mut diagnostics = problems.0;
    diagnostics.sort_by_key(|diagnostic| diagnostic.span);
    Err(Refused { sources, diagnostics })
}

#[derive(Default)]
struct Resolver<'a> {
    sources: &'a [Source],
    /// What `SecDefaultAction` said last, by phase.
    defaults: BTreeMap<u8, Actions>,
    /// None where a rule was removed.
    steps: Vec<Option<Step>>,
    /// Where each number was used, for those who use it again.
    ids: BTreeMap<u32, Span>,
    settings: Vec<Setting>,
    /// What removes or changes rules, and how many steps stood above it.
    changes: Vec<Change>,
    /// Phases in which `block` was met without a `SecDefaultAction`.
    inert: Vec<u8>,
    notes: Vec<Note>,
    problems: Problems,
}

/// Something that removed or changed rules.
struct Change {
    chosen: Chosen,
    span: Span,
    above: usize,
    /// Whether it chose a rule.
    hit: bool,
}

/// Which rules a selection means.
enum Chosen {
    Ids(Vec<(u32, u32)>),
    Tag(Regex),
    Message(Regex),
}

impl Resolver<'_> {
    fn directive(&mut self, directive: Directive) {
        let span = directive.span;
        match directive.kind {
            DirectiveKind::Rule(rule) => self.rule(rule),
            DirectiveKind::Marker(label) => self.steps.push(Some(Step::Marker(label))),
            DirectiveKind::Default(actions) => {
                self.defaults.insert(actions.phase.unwrap_or(DEFAULT_PHASE), actions);
            }
            DirectiveKind::Remove(selection) => self.remove(&selection, span),
            DirectiveKind::UpdateTarget(selection, targets) => self.update_targets(&selection, &targets, span),
            DirectiveKind::UpdateAction(id, actions) => self.update_actions(id, &actions, span),
            DirectiveKind::Setting(setting) => self.settings.push(setting),
            DirectiveKind::Elsewhere(why) => {
                let source = self.sources.get(span.file as usize).map_or("", |source| source.excerpt(span));
                let name = source.split_whitespace().next().unwrap_or_default();
                self.notes.push(Note { span, text: format!("`{name}` changes nothing: {why}") });
            }
        }
    }

    fn rule(&mut self, mut rule: Box<Rule>) {
        let phase = rule.actions.phase.unwrap_or(DEFAULT_PHASE);
        if let Some(id) = rule.actions.id
            && let Some(first) = self.ids.insert(id, rule.span)
        {
            let place = self
                .sources
                .get(first.file as usize)
                .map_or_else(String::new, |source| format!("{}:{}", source.name, source.line_column(first.start).0));
            self.problems
                .refuse(rule.span, format!("a rule has the id {id} already"))
                .help(format!("the first is at {place}"));
        }
        let default = self.defaults.get(&phase).cloned();
        let block = rule.actions.disruptive == Some(Disruptive::Block);
        if block && default.is_none() && !self.inert.contains(&phase) {
            self.inert.push(phase);
            let text =
                format!("`block` means `pass` here: no `SecDefaultAction` of phase {phase} above says otherwise");
            self.notes.push(Note { span: rule.actions.span.unwrap_or(rule.span), text });
        }
        inherit(&mut rule, phase, &default.unwrap_or_default());
        self.steps.push(Some(Step::Rule(rule)));
    }

    fn remove(&mut self, selection: &Selection, span: Span) {
        let Some(chosen) = self.chosen(selection, span) else { return };
        let mut freed = Vec::new();
        let mut hit = false;
        for step in &mut self.steps {
            if let Some(Step::Rule(rule)) = step
                && chosen.is(rule)
            {
                freed.extend(rule.actions.id);
                hit = true;
                *step = None;
            }
        }
        for id in freed {
            self.ids.remove(&id);
        }
        self.changes.push(Change { chosen, span, above: self.steps.len(), hit });
    }

    fn update_targets(&mut self, selection: &Selection, targets: &[Target], span: Span) {
        let Some(chosen) = self.chosen(selection, span) else { return };
        let mut hit = false;
        for step in &mut self.steps {
            let Some(Step::Rule(rule)) = step else { continue };
            if !chosen.is(rule) {
                continue;
            }
            hit = true;
            match &mut rule.test {
                Some(test) => test.targets.extend_from_slice(targets),
                None => {
                    self.notes.push(Note { span, text: "a `SecAction` looks at nothing that could change".to_owned() })
                }
            }
        }
        self.changes.push(Change { chosen, span, above: self.steps.len(), hit });
    }

    fn update_actions(&mut self, id: u32, update: &Actions, span: Span) {
        let chosen = Chosen::Ids(vec![(id, id)]);
        let mut hit = false;
        for step in &mut self.steps {
            let Some(Step::Rule(rule)) = step else { continue };
            if !chosen.is(rule) {
                continue;
            }
            hit = true;
            let phase = rule.actions.phase.unwrap_or(DEFAULT_PHASE);
            if update.phase.is_some_and(|other| other != phase) {
                self.problems.refuse(span, "a rule's `phase` cannot be changed");
            }
            let default = self.defaults.get(&phase).and_then(|default| default.disruptive.clone());
            merge(&mut rule.actions, update, default);
        }
        self.changes.push(Change { chosen, span, above: self.steps.len(), hit });
    }

    fn chosen(&mut self, selection: &Selection, span: Span) -> Option<Chosen> {
        let mut compile = |pattern: &str| match Regex::compile(pattern) {
            Ok(regex) => Some(regex),
            Err(refused) => {
                self.problems.refuse(span, format!("the expression `{pattern}` cannot be taken: {}", refused.reason));
                None
            }
        };
        Some(match selection {
            Selection::Ids(ids) => Chosen::Ids(ids.clone()),
            Selection::Tag(pattern) => Chosen::Tag(compile(pattern)?),
            Selection::Message(pattern) => Chosen::Message(compile(pattern)?),
        })
    }

    /// What was to change rules and chose none: refused where the rule stands below, so that the author meant it; noted where
    /// there is none, which is ordinary for exclusions that fit several versions of a rule set.
    fn without_effect(&mut self) {
        for change in &self.changes {
            let below = self.steps.iter().skip(change.above).flatten();
            let below = below.filter(|step| matches!(step, Step::Rule(rule) if change.chosen.is(rule))).count();
            if change.hit && (below == 0 || matches!(change.chosen, Chosen::Ids(_))) {
                continue;
            }
            if change.hit {
                let text = format!("{below} rules further down would fit, too; this changes those above it only");
                self.notes.push(Note { span: change.span, text });
            } else if below > 0 {
                self.problems
                    .refuse(change.span, "this stands above the rules that it is about and would change none of them")
                    .help("move it below them");
            } else {
                self.notes.push(Note { span: change.span, text: "no rule fits this".to_owned() });
            }
        }
    }
}

impl Chosen {
    fn is(&self, rule: &Rule) -> bool {
        match self {
            Self::Ids(ids) => {
                rule.actions.id.is_some_and(|id| ids.iter().any(|(from, to)| (*from..=*to).contains(&id)))
            }
            Self::Tag(regex) => rule.actions.tags.iter().any(|tag| regex.is_match(&written(tag))),
            Self::Message(regex) => rule.actions.message.as_ref().is_some_and(|text| regex.is_match(&written(text))),
        }
    }
}

/// Text as it was written, macros and all.
fn written(text: &Text) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in &text.0 {
        match piece {
            Piece::Plain(plain) => bytes.extend_from_slice(plain),
            Piece::Macro(variable, member) => {
                bytes.extend_from_slice(b"%{");
                bytes.extend_from_slice(variable.name().as_bytes());
                if let Some(member) = member {
                    bytes.push(b'.');
                    bytes.extend_from_slice(member);
                }
                bytes.push(b'}');
            }
        }
    }
    bytes
}

/// Gives a rule and its links what they do not say themselves.
fn inherit(rule: &mut Rule, phase: u8, default: &Actions) {
    for one in std::iter::once(&mut rule.actions).chain(rule.links.iter_mut().map(|link| &mut link.actions)) {
        one.phase = Some(phase);
        if !one.fresh {
            one.transformations.splice(0..0, default.transformations.iter().copied());
        }
    }
    let own = &mut rule.actions;
    let decides = default.disruptive.clone().unwrap_or(Disruptive::Pass);
    own.disruptive = Some(own.disruptive.take().filter(|own| *own != Disruptive::Block).unwrap_or(decides));
    own.status = own.status.or(default.status);
    own.log = Some(own.log.or(default.log).unwrap_or(true));
    own.audit_log = Some(own.audit_log.or(default.audit_log).unwrap_or(true));
    own.capture |= default.capture;
    own.multi_match |= default.multi_match;
    own.tags.splice(0..0, default.tags.iter().cloned());
    own.effects.splice(0..0, default.effects.iter().cloned());
    own.log_data = own.log_data.take().or_else(|| default.log_data.clone());
}

/// Puts what an update says in the place of what the rule said; lists grow.
fn merge(actions: &mut Actions, update: &Actions, block: Option<Disruptive>) {
    if let Some(disruptive) = &update.disruptive {
        let block = || block.unwrap_or(Disruptive::Pass);
        actions.disruptive = Some(if *disruptive == Disruptive::Block { block() } else { disruptive.clone() });
    }
    if update.fresh {
        actions.transformations.clear();
    }
    actions.transformations.extend_from_slice(&update.transformations);
    actions.multi_match |= update.multi_match;
    actions.capture |= update.capture;
    actions.tags.extend_from_slice(&update.tags);
    actions.effects.extend_from_slice(&update.effects);
    replace(&mut actions.status, &update.status);
    replace(&mut actions.skip, &update.skip);
    replace(&mut actions.skip_after, &update.skip_after);
    replace(&mut actions.log, &update.log);
    replace(&mut actions.audit_log, &update.audit_log);
    replace(&mut actions.message, &update.message);
    replace(&mut actions.log_data, &update.log_data);
    replace(&mut actions.severity, &update.severity);
    replace(&mut actions.version, &update.version);
    replace(&mut actions.revision, &update.revision);
    replace(&mut actions.maturity, &update.maturity);
    replace(&mut actions.accuracy, &update.accuracy);
}

fn replace<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
    if new.is_some() {
        old.clone_from(new);
    }
}

/// Sees to it that each `skipAfter` has where to go: a marker below it, or a rule of that number, behind which one is set.
fn labels(steps: &mut Vec<Step>, problems: &mut Problems) {
    let mut markers: BTreeMap<String, usize> = BTreeMap::new();
    let mut numbers: BTreeMap<u32, usize> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            // The last of one name: whether any is below a rule is what is asked.
            Step::Marker(label) => _ = markers.insert(label.clone(), at),
            Step::Rule(rule) => numbers.extend(rule.actions.id.map(|id| (id, at))),
        }
    }
    let mut behind: BTreeMap<usize, String> = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        let Step::Rule(rule) = step else { continue };
        let Some(label) = &rule.actions.skip_after else { continue };
        let span = rule.actions.span.unwrap_or(rule.span);
        let number = label.parse().ok().and_then(|id: u32| numbers.get(&id)).copied();
        match (markers.get(label).copied(), number) {
            (Some(marker), _) if marker > at => {}
            (_, Some(number)) if number > at => _ = behind.insert(number, label.clone()),
            (None, None) => {
                problems.refuse(span, format!("`skipAfter:{label}` goes nowhere: there is no `SecMarker {label}`"));
            }
            _ => {
                problems
                    .refuse(
                        span,
                        format!("`skipAfter:{label}` goes nowhere: `SecMarker {label}` stands above the rule"),
                    )
                    .help("rules run from top to bottom; what stands below all markers would be skipped");
            }
        }
    }
    for (at, label) in behind.into_iter().rev() {
        steps.insert(at + 1, Step::Marker(label));
    }
}

#[cfg(test)]
mod tests {
    use super::super::ast::{EngineMode, Transformation, Variable};
    use super::super::parse::{NoFiles, parse};
    use super::*;

    fn set(text: &str) -> RuleSet {
        let text = parse(&[("a.conf", text)], &NoFiles).unwrap_or_else(|refused| panic!("{refused}"));
        resolve(text).unwrap_or_else(|refused| panic!("{refused}"))
    }

    fn rule(set: &RuleSet, id: u32) -> &Rule {
        let found = set.steps.iter().find_map(|step| match step {
            Step::Rule(rule) if rule.actions.id == Some(id) => Some(rule),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no rule {id}"))
    }

    fn order(set: &RuleSet) -> Vec<String> {
        let name = |step: &Step| match step {
            Step::Rule(rule) => rule.actions.id.unwrap_or_default().to_string(),
            Step::Marker(label) => format!("[{label}]"),
        };
        set.steps.iter().map(name).collect()
    }

    #[test]
    fn a_rule_takes_what_the_default_of_its_phase_says_and_what_it_says_itself_goes_before() {
        let set = set("SecAction \"id:1\"\n\
            SecDefaultAction \"phase:2,deny,status:404,nolog,auditlog,t:lowercase,tag:'all'\"\n\
            SecRule ARGS a \"id:2,t:trim,tag:'own'\"\n\
            SecRule ARGS a \"id:3,block,t:none,t:trim,log,noauditlog,status:400\"\n\
            SecRule ARGS a \"id:4,phase:1,block\"\n\
            SecRule ARGS a \"id:5,pass,chain\"\nSecRule ARGS b \"t:trim\"\n");
        let decides = |id| rule(&set, id).actions.disruptive.clone().expect("complete");
        assert_eq!([1, 2, 3, 4, 5].map(decides), {
            use Disruptive::{Deny, Pass};
            [Pass, Deny, Deny, Pass, Pass]
        });
        assert_eq!([1, 2, 3].map(|id| rule(&set, id).actions.status), [None, Some(404), Some(400)]);
        assert_eq!([1, 2, 3].map(|id| rule(&set, id).actions.log), [Some(true), Some(false), Some(true)]);
        assert_eq!([1, 2, 3].map(|id| rule(&set, id).actions.audit_log), [Some(true), Some(true), Some(false)]);
        let transformations = |id| rule(&set, id).actions.transformations.clone();
        assert_eq!(transformations(2), [Transformation::Lowercase, Transformation::Trim]);
        assert_eq!(transformations(3), [Transformation::Trim]);
        let link = &rule(&set, 5).links[0].actions;
        assert_eq!(
            (link.phase, link.transformations.as_slice()),
            (Some(2), &[Transformation::Lowercase, Transformation::Trim][..])
        );
        let tags: Vec<Vec<u8>> = rule(&set, 2).actions.tags.iter().map(written).collect();
        assert_eq!(tags, [b"all".to_vec(), b"own".to_vec()]);
    }

    #[test]
    fn a_block_that_means_pass_is_told() {
        let rules = "SecRule ARGS a \"id:1,phase:2,block\"\nSecRule ARGS b \"id:2,phase:2,block\"\n";
        let told = |text: &str| set(text).notes.iter().filter(|note| note.text.contains("means `pass`")).count();
        assert_eq!(told(rules), 1);
        assert_eq!(told(&format!("SecDefaultAction \"phase:2,deny\"\n{rules}")), 0);
    }

    #[test]
    fn rules_are_removed_and_changed_in_the_order_of_the_text() {
        let set = set("SecRule ARGS|TX:a a \"id:1,deny,t:trim,tag:'x/1',msg:'Found %{tx.a}'\"\n\
            SecRule ARGS a \"id:2,deny,tag:'y'\"\n\
            SecRule ARGS a \"id:3,deny,tag:'x/2'\"\n\
            SecRuleUpdateTargetByTag ^x/ \"!ARGS:/^p/\"\n\
            SecRuleUpdateTargetById 2 REQUEST_BODY\n\
            SecRuleUpdateActionById 1 \"t:none,t:lowercase,redirect:'/no',status:303,setvar:tx.b=1\"\n\
            SecRuleRemoveByTag x/2\n\
            SecRuleRemoveByMsg \"Lost|Found [^ ]*tx.b\"\n");
        assert_eq!(order(&set), ["1", "2"]);
        let variables = |id| {
            rule(&set, id).test.iter().flat_map(|test| &test.targets).map(|target| (target.variable, target.exclude))
        };
        let variables = |id| variables(id).collect::<Vec<_>>();
        assert_eq!(variables(1), [(Variable::Args, false), (Variable::Tx, false), (Variable::Args, true)]);
        assert_eq!(variables(2), [(Variable::Args, false), (Variable::RequestBody, false)]);
        let changed = &rule(&set, 1).actions;
        assert!(matches!(changed.disruptive, Some(Disruptive::Redirect(_))));
        assert_eq!((changed.status, changed.transformations.as_slice()), (Some(303), &[Transformation::Lowercase][..]));
        assert_eq!(changed.effects.len(), 1);
        let notes: Vec<&str> = set.notes.iter().map(|note| note.text.as_str()).collect();
        assert_eq!(notes, ["no rule fits this"], "of the last line");
    }

    #[test]
    fn a_rule_number_is_a_place_to_skip_to() {
        let set = set(
            "SecAction \"id:1,pass,skipAfter:3\"\nSecAction \"id:2,pass\"\nSecAction \"id:3,pass\"\nSecAction \"id:4,pass\"\n",
        );
        assert_eq!(order(&set), ["1", "2", "3", "[3]", "4"]);
    }

    #[test]
    fn settings_keep_their_order_and_what_is_done_elsewhere_is_told() {
        let set = set("SecRuleEngine On\nSecAuditLog /var/log/a.log\nSecRuleEngine DetectionOnly\n");
        let modes = [EngineMode::On, EngineMode::DetectionOnly].map(Setting::RuleEngine);
        assert_eq!(set.settings, modes);
        assert!(set.notes[0].text.starts_with("`SecAuditLog` changes nothing: "), "{:?}", set.notes);
    }
}
