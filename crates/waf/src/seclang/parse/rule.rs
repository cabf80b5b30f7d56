//! One rule: `SecRule TARGETS "OPERATOR" "ACTIONS"`, `SecAction "ACTIONS"`, and what may stand in a link of a chain.

use super::super::ast::{Actions, Disruptive, Rule, Span, Test};
use super::super::diagnostic::Problems;
use super::text::Joined;
use super::{Reader, action, operator, target};

/// Reads a rule and hands it on, as a rule of its own or as the next link of the chain that is open.
pub(super) fn rule(words: &[Joined], unconditional: bool, span: Span, reader: &mut Reader<'_>) {
    let found = reader.problems.0.len();
    let (test, list) = match (unconditional, words) {
        (true, [list]) => (None, Some(list)),
        (false, [targets, operator]) => (test(targets, operator, reader), None),
        (false, [targets, operator, list]) => (test(targets, operator, reader), Some(list)),
        (true, _) => {
            let count = words.len();
            reader.problems.refuse(span, format!("`SecAction` takes a list of actions, not {count} arguments"));
            return reader.lost();
        }
        (false, _) => {
            let count = words.len();
            reader
                .problems
                .refuse(span, format!("`SecRule` takes variables, an operator and actions, not {count} arguments"))
                .help("an argument with blanks in it is quoted, and `\\\"` stands for a quote within");
            return reader.lost();
        }
    };
    let actions = list.map(|list| action::actions(list, &mut reader.problems)).unwrap_or_default();
    let sound = reader.problems.0.len() == found;
    let rule = Rule { test, actions, links: Vec::new(), span };
    reader.rule(rule, sound);
}

fn test(targets: &Joined, operator: &Joined, reader: &mut Reader<'_>) -> Option<Test> {
    let found = reader.problems.0.len();
    let targets_read = target::targets(targets.whole(), &mut reader.problems);
    if reader.problems.0.len() == found && targets_read.iter().all(|target| target.exclude) {
        reader.problems.refuse(targets.whole().span(), "everything is taken out here and nothing is looked at");
    }
    let (negated, operator, span) = operator::operator(operator, reader)?;
    Some(Test { targets: targets_read, negated, operator, span })
}

/// What the head of a chain, or a rule alone, must say.
pub(super) fn check_head(rule: &Rule, problems: &mut Problems) {
    if rule.actions.id.is_none() {
        problems.refuse(rule.span, "the rule has no `id`").help("every rule has a number of its own: `id:1000`");
    }
}

/// What a link may not say, because its head says it.
pub(super) fn check_link(link: &Rule, head: &Rule, problems: &mut Problems) {
    let actions = &link.actions;
    let span = actions.span.unwrap_or(link.span);
    let phase = head.actions.phase.unwrap_or(DEFAULT_PHASE);
    let wrong = [
        (actions.id.is_some(), "`id`"),
        (actions.disruptive.is_some(), "what decides (`deny`, `pass`, …)"),
        (actions.status.is_some(), "`status`"),
        (actions.skip.is_some() || actions.skip_after.is_some(), "`skip`, `skipAfter`"),
        (actions.phase.is_some_and(|own| own != phase), "`phase`"),
        (actions.message.is_some(), "`msg`"),
        (actions.severity.is_some(), "`severity`"),
        (!actions.tags.is_empty(), "`tag`"),
        (actions.revision.is_some() || actions.version.is_some(), "`rev`, `ver`"),
    ];
    let wrong: Vec<&str> = wrong.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
    if !wrong.is_empty() {
        problems
            .refuse(span, format!("a link of a chain does not say {}", wrong.join(", ")))
            .help("the rule that begins the chain says it for the whole");
    }
}

/// Where rules run that do not say where.
pub(super) const DEFAULT_PHASE: u8 = 2;

/// What `SecDefaultAction` must say and may not.
pub(super) fn check_default(actions: &Actions, span: Span, problems: &mut Problems) {
    let wrong = [
        (actions.phase.is_none(), "`SecDefaultAction` needs a `phase`"),
        (actions.disruptive.is_none(), "`SecDefaultAction` needs an action that decides: `pass`, `deny`, …"),
        (
            actions.disruptive == Some(Disruptive::Block),
            "`block` means what `SecDefaultAction` says and cannot stand in it",
        ),
        (
            actions.id.is_some() || actions.message.is_some() || actions.severity.is_some(),
            "`id`, `msg` and `severity` are a rule's own",
        ),
        (
            actions.chain || actions.skip.is_some() || actions.skip_after.is_some(),
            "no rule follows from `SecDefaultAction`",
        ),
    ];
    for (_, why) in wrong.into_iter().filter(|(is, _)| *is) {
        problems.refuse(actions.span.unwrap_or(span), why);
    }
}
