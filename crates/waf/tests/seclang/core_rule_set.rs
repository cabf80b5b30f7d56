//! The Core Rule Set and `ModSecurity`'s recommended configuration are taken as they are.

use std::path::PathBuf;

use portcullis_waf::seclang::ast::{DirectiveKind, Operator, Rule, Selector, Variable};
use portcullis_waf::seclang::parse::{RuleText, parse};
use portcullis_waf::seclang::resolve::{Step, resolve};

use crate::world::{Disk, names, read, shared};

/// The files of a set-up, in the order in which they apply.
fn files(examples: bool) -> Option<Vec<(String, String)>> {
    let crs = shared("crs")?;
    let mut paths: Vec<PathBuf> =
        vec![crs.join("modsecurity/modsecurity.conf-recommended"), crs.join("crs-setup.conf.example")];
    let mut rules = names(&crs.join("rules"), ".conf");
    if examples {
        rules.extend(names(&crs.join("rules"), ".conf.example"));
        rules.sort();
    }
    paths.append(&mut rules);
    Some(paths.iter().map(|path| (path.display().to_string(), read(path).expect("a file that was listed"))).collect())
}

fn load(examples: bool) -> Option<RuleText> {
    Some(parse(&files(examples)?, &Disk).unwrap_or_else(|refused| panic!("{refused}")))
}

fn rules(text: &RuleText) -> impl Iterator<Item = &Rule> {
    text.directives.iter().filter_map(|directive| match &directive.kind {
        DirectiveKind::Rule(rule) => Some(&**rule),
        _ => None,
    })
}

#[test]
fn the_core_rule_set_and_its_examples_are_read_whole() {
    let Some(text) = load(true) else { return };
    let crs = |rule: &&Rule| rule.actions.id.is_some_and(|id| (900_000..1_000_000).contains(&id));
    let heads: Vec<&Rule> = rules(&text).filter(crs).collect();
    // Counted in the files by another program: 695 `SecRule` and 8 `SecAction`, of which 73 are links.
    assert_eq!(heads.len(), 630);
    assert_eq!(heads.iter().map(|rule| rule.links.len()).sum::<usize>(), 73);
    assert_eq!(heads.iter().filter(|rule| !rule.links.is_empty()).count(), 55);
    let markers = text.directives.iter().filter(|directive| matches!(directive.kind, DirectiveKind::Marker(_))).count();
    assert_eq!(markers, 30);
    let every = || {
        heads.iter().flat_map(|rule| std::iter::once(*rule).chain(&rule.links)).filter_map(|rule| rule.test.as_ref())
    };
    let rx = every().filter(|test| matches!(test.operator, Operator::Rx(_)));
    assert_eq!(rx.clone().count(), 318);
    assert_eq!(rx.filter(|test| test.negated).count(), 21);
    let xml = every().flat_map(|test| &test.targets).filter(|target| target.variable == Variable::Xml);
    assert_eq!(xml.clone().count(), 351);
    assert!(xml.clone().all(|target| matches!(target.selector, Selector::Xml(_))));
    let effects =
        heads.iter().flat_map(|rule| std::iter::once(*rule).chain(&rule.links)).flat_map(|rule| &rule.actions.effects);
    assert_eq!(effects.count(), 684 + 10 + 2, "setvar, ctl and initcol");
}

#[test]
fn every_span_holds_what_it_is_about() {
    let Some(text) = load(false) else { return };
    for rule in rules(&text) {
        let source = &text.sources[rule.span.file as usize];
        assert!(source.excerpt(rule.span).starts_with("Sec") && source.excerpt(rule.span).ends_with('"'));
        for target in rule.test.iter().flat_map(|test| &test.targets) {
            let written = source.excerpt(target.span);
            assert!(written.to_ascii_uppercase().contains(target.variable.name()), "{written}");
        }
        if let Some(test) = rule.test.as_ref().filter(|test| !matches!(test.operator, Operator::Rx(_))) {
            assert!(source.excerpt(test.span).starts_with('@'), "{}", source.excerpt(test.span));
        }
    }
}

#[test]
fn the_core_rule_set_resolves() {
    let Some(text) = load(true) else { return };
    let given = rules(&text).count();
    let set = resolve(text).unwrap_or_else(|refused| panic!("{refused}"));
    let rules: Vec<&Rule> =
        set.steps.iter().filter_map(|step| if let Step::Rule(rule) = step { Some(&**rule) } else { None }).collect();
    assert_eq!(rules.len(), given);
    assert!(rules.iter().all(|rule| rule.actions.phase.is_some() && rule.actions.disruptive.is_some()));
    let changed = rules.iter().filter(|rule| {
        let cookies = rule.test.iter().flat_map(|test| &test.targets).filter(|target| target.exclude);
        cookies.filter(|target| target.variable == Variable::RequestCookies).count() > 0
    });
    assert!(changed.count() > 20, "exclusions of cookies come from `SecRuleUpdateTargetById` at the end");
}
