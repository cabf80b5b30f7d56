//! What a program says of itself, and what can be left out of one transaction: for whoever watches, explains and tunes rules.
//!
//! Nothing here is asked while a request is inspected.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::{DirectiveKind, Selector, Target, Variable, XmlPath};
use super::compile::SELECTOR;
use super::parse::{NoFiles, parse};
use super::places::{Made, Place};
use super::prefilter::Rules;
use super::program::{Aim, Compiled, Program, Which};
use crate::operator::regex::Regex;

/// Rules against one kind of attack: those that share a tag `attack-…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The tag.
    pub name: String,
    /// How many rules have it.
    pub rules: usize,
    /// The lowest paranoia level at which one of them runs; 1 where rules name none.
    pub paranoia: u8,
    /// Some of them look at requests.
    pub requests: bool,
    /// Some of them look at responses.
    pub responses: bool,
}

/// Which rules are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant<'a> {
    /// By number, both ends included.
    Numbers(u32, u32),
    /// By a tag, which stands there in full.
    Tag(&'a str),
}

/// Rules, or one target of theirs, that a transaction leaves out.
#[derive(Debug)]
pub struct LeftOut {
    /// Positions of the rules.
    pub(crate) rules: Rules,
    /// The target; none leaves the rules out.
    pub(crate) aim: Option<Aim>,
}

/// A value as it came, with the place where it stood: what a record needs, so that the match can be had again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stood<'a> {
    /// `query`, `form`, `cookie`, `header`, …; of a variable that is one value its name.
    pub place: &'static str,
    /// The member's name.
    pub name: &'a [u8],
    /// All of the value, before any transformation.
    pub value: &'a [u8],
}

impl Program {
    /// The families of its rules, by name.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        for rule in &self.rules {
            let level = tags(rule).find_map(|tag| tag.strip_prefix("paranoia-level/")?.parse().ok()).unwrap_or(1);
            for tag in tags(rule).filter(|tag| tag.starts_with("attack-")) {
                let new =
                    || Family { name: tag.to_owned(), rules: 0, paranoia: u8::MAX, requests: false, responses: false };
                let family = families.entry(tag.to_owned()).or_insert_with(new);
                family.rules += 1;
                family.paranoia = family.paranoia.min(level);
                family.requests |= rule.phase <= 2;
                family.responses |= rule.phase > 2;
            }
        }
        families.into_values().collect()
    }

    /// Names of the transformations that a rule applies to what it looks at, in their order. Of a chain, its head's.
    #[must_use]
    pub fn transformations(&self, rule: u32) -> Vec<&'static str> {
        let test = self.rules.iter().find(|known| known.id == rule).and_then(|known| known.test.as_ref());
        let mut names = Vec::new();
        let mut way = test.map_or(0, |test| test.way);
        while let Some(step) = self.ways.get(usize::from(way)).filter(|_| way != 0) {
            names.push(step.step.name());
            way = step.before;
        }
        names.reverse();
        names
    }

    /// What a transaction is to leave out, see [`super::Transaction::leave_out`]: rules, or one target of theirs, as
    /// `SecRuleRemoveById` and `SecRuleUpdateTargetById` would.
    ///
    /// # Errors
    /// In words: no such rule, or what is named is no target.
    pub fn left_out(&self, meant: Meant<'_>, target: Option<&str>) -> Result<Arc<LeftOut>, String> {
        let mut rules = Rules::none(self.rules.len());
        let mut any = false;
        for (position, rule) in self.rules.iter().enumerate() {
            let is_meant = match meant {
                Meant::Numbers(from, to) => (from..=to).contains(&rule.id),
                Meant::Tag(tag) => tags(rule).any(|known| known == tag),
            };
            if is_meant {
                rules.insert(position);
                any = true;
            }
        }
        if !any {
            return Err(match meant {
                Meant::Numbers(from, to) if from == to => format!("there is no rule {from}"),
                Meant::Numbers(from, to) => format!("there is no rule from {from} to {to}"),
                Meant::Tag(tag) => format!("no rule has the tag `{tag}`"),
            });
        }
        let aim = target.map(|target| self.aim(target)).transpose()?;
        Ok(Arc::new(LeftOut { rules, aim }))
    }

    fn aim(&self, text: &str) -> Result<Aim, String> {
        let Target { variable, selector, .. } = target(text)?;
        let which = match selector {
            Selector::All => Which::All,
            Selector::Name(name) => match self.slots.get(name.to_ascii_lowercase().as_slice()) {
                Some(slot) if variable == Variable::Tx => Which::Slot(*slot),
                _ => Which::Name(name.to_ascii_lowercase().into()),
            },
            Selector::Regex(text) => Which::Regex(Arc::new(
                Regex::compile_with(&text, SELECTOR).map_err(|refused| format!("`{text}`: {}", refused.reason))?,
            )),
            Selector::Xml(XmlPath::Text) => Which::Place(Place::XML_TEXT),
            Selector::Xml(XmlPath::Attributes) => Which::Place(Place::XML_ATTRIBUTE),
        };
        Ok(Aim::new(variable, which, false))
    }
}

/// Reads one target, as a rule would name it: `ARGS:comment`, `REQUEST_COOKIES:/^_ga/`.
///
/// # Errors
/// In words, what is wrong with it.
pub fn target(text: &str) -> Result<Target, String> {
    if text.contains(['"', '\n', ' ']) || text.starts_with(['&', '!']) {
        return Err(format!("`{text}` is no single variable"));
    }
    let rule = format!("SecRule {text} \"@rx .\" \"id:1,phase:2,pass\"\n");
    let read = parse(&[("target", rule)], &NoFiles).map_err(|refused| {
        refused.diagnostics.first().map_or_else(String::new, |diagnostic| diagnostic.reason.clone())
    })?;
    let one = read.directives.into_iter().find_map(|directive| match directive.kind {
        DirectiveKind::Rule(rule) => rule.test.and_then(|test| <[Target; 1]>::try_from(test.targets).ok()),
        _ => None,
    });
    one.map(|[one]| one).ok_or_else(|| format!("`{text}` is more than one variable"))
}

/// Tags of a rule that hold whatever a request is.
fn tags(rule: &Compiled) -> impl Iterator<Item = &str> {
    rule.actions.tags.iter().filter_map(|tag| std::str::from_utf8(tag.plain()?).ok())
}

/// Where values of a place stand, for records.
pub(crate) fn place_name(place: Place, variable: Variable) -> &'static str {
    match place {
        Place::GET => "query",
        Place::GET_NAME => "query-name",
        Place::POST => "form",
        Place::POST_NAME => "form-name",
        Place::COOKIE => "cookie",
        Place::COOKIE_NAME => "cookie-name",
        Place::HEADER => "header",
        Place::HEADER_NAME => "header-name",
        Place::FILE => "file-name",
        Place::FILE_FIELD => "file-field",
        _ => variable.name(),
    }
}

/// The variable and the member that a told target names.
pub(crate) fn told(target: &[u8]) -> Option<(Variable, Option<&[u8]>)> {
    let (variable, member) = match target.iter().position(|byte| *byte == b':') {
        Some(colon) => (target.get(..colon)?, target.get(colon + 1..)),
        None => (target, None),
    };
    let variable = Variable::ALL.iter().find(|known| known.name().as_bytes() == variable)?;
    matches!(variable.made(), Made::Of(_) | Made::One(_)).then_some((*variable, member))
}
