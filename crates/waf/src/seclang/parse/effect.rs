//! What an action changes: variables (`setvar`, `expirevar`, `initcol`, `setenv`, keys) and the engine (`ctl`).

use super::super::ast::{BodyProcessor, Change, Ctl, Effect, EngineMode, Piece, Selection, Text, Variable};
use super::super::diagnostic::{Problems, nearest};
use super::text::Part;
use super::{macros, target};

/// What one action of these changes. A `ctl` that names several targets is several.
pub(super) fn effects(name: &str, value: Part<'_>, effects: &mut Vec<Effect>, problems: &mut Problems) {
    let effect = match name {
        "setvar" => set_variable(value, problems),
        "expirevar" => expire_variable(value, problems),
        "initcol" => init_collection(value, problems),
        "setenv" => set_environment(value, problems),
        "setuid" => key(Variable::User, value, problems),
        "setsid" => key(Variable::Session, value, problems),
        "setrsc" => key(Variable::Resource, value, problems),
        _ => return control(value, effects, problems),
    };
    effects.extend(effect);
}

/// Collections that rules write to.
const WRITTEN: &[Variable] =
    &[Variable::Tx, Variable::Ip, Variable::Global, Variable::Resource, Variable::Session, Variable::User];

/// `collection.name`, the name perhaps with macros.
fn place<'a>(written: Part<'a>, problems: &mut Problems) -> Option<(Variable, Part<'a>)> {
    let Some(dot) = written.text().find(['.', ':']) else {
        problems.refuse(written.span(), "the collection is missing").help("a variable is written `tx.name`");
        return None;
    };
    let (collection, name) = (written.part(0..dot), written.from(dot + 1));
    let variable = collection_of(collection, problems)?;
    if name.text().is_empty() {
        problems.refuse(written.span(), "the variable has no name");
        return None;
    }
    Some((variable, name))
}

fn collection_of(name: Part<'_>, problems: &mut Problems) -> Option<Variable> {
    let found = WRITTEN.iter().copied().find(|variable| variable.name().eq_ignore_ascii_case(name.text()));
    if found.is_none() {
        problems
            .refuse(name.span(), format!("`{}` is no collection that rules write to", name.text()))
            .help("TX, IP, GLOBAL, RESOURCE, SESSION and USER are");
    }
    found
}

/// The place of the `=` that no macro holds.
fn equals(text: &str) -> Option<usize> {
    let mut within = false;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' if text.get(..at).is_some_and(|before| before.ends_with('%')) => within = true,
            '}' => within = false,
            '=' if !within => return Some(at),
            _ => {}
        }
        None
    })
}

/// `collection.name`, `collection.name=value`, `=+value`, `=-value`, `!collection.name`.
fn set_variable(value: Part<'_>, problems: &mut Problems) -> Option<Effect> {
    if value.text().starts_with('!') {
        let unset = value.from(1).trim();
        let (collection, name) = place(unset, problems)?;
        if let Some(at) = equals(name.text()) {
            problems.refuse(name.from(at).span(), "a variable is taken away (`!`) or set (`=`), not both");
            return None;
        }
        return Some(Effect::SetVar { collection, name: macros::text(name, problems), change: Change::Unset });
    }
    let (written, operand) = match equals(value.text()) {
        Some(at) => (value.part(0..at).trim(), Some(value.from(at + 1))),
        None => (value.trim(), None),
    };
    let (collection, name) = place(written, problems)?;
    let name = macros::text(name, problems);
    let change = match operand {
        None => Change::Set(Text(vec![Piece::Plain(b"1".as_slice().into())])),
        Some(operand) if operand.text().starts_with('+') => Change::Add(amount(operand.from(1), problems)?),
        Some(operand) if operand.text().starts_with('-') => Change::Subtract(amount(operand.from(1), problems)?),
        Some(operand) => Change::Set(macros::text(operand, problems)),
    };
    Some(Effect::SetVar { collection, name, change })
}

/// What is added: a number, or text with macros that will be one.
fn amount(written: Part<'_>, problems: &mut Problems) -> Option<Text> {
    let text = macros::text(written.trim(), problems);
    let plain = match text.0.as_slice() {
        [] => Some(""),
        [Piece::Plain(plain)] => std::str::from_utf8(plain).ok(),
        _ => None,
    };
    if plain.is_some_and(|plain| plain.parse::<i64>().is_err()) {
        problems.refuse(written.span(), format!("`{}` is no whole number", written.text()));
        return None;
    }
    Some(text)
}

/// `collection.name=seconds`.
fn expire_variable(value: Part<'_>, problems: &mut Problems) -> Option<Effect> {
    let Some(at) = equals(value.text()) else {
        problems.refuse(value.span(), "the seconds are missing").help("`expirevar:ip.name=60`");
        return None;
    };
    let (collection, name) = place(value.part(0..at).trim(), problems)?;
    let name = macros::text(name, problems);
    Some(Effect::ExpireVar(collection, name, amount(value.from(at + 1), problems)?))
}

/// `collection=key`.
fn init_collection(value: Part<'_>, problems: &mut Problems) -> Option<Effect> {
    let Some((collection, key)) = value.split_once('=') else {
        problems.refuse(value.span(), "the key is missing").help("`initcol:ip=%{REMOTE_ADDR}`");
        return None;
    };
    let variable = collection_of(collection.trim(), problems)?;
    if variable == Variable::Tx {
        problems.refuse(collection.span(), "`TX` belongs to one transaction and has no key");
        return None;
    }
    if key.text().trim().is_empty() {
        problems.refuse(value.span(), "the key is empty");
        return None;
    }
    Some(Effect::InitCol(variable, macros::text(key, problems)))
}

fn key(variable: Variable, value: Part<'_>, problems: &mut Problems) -> Option<Effect> {
    if value.text().is_empty() {
        problems.refuse(value.span(), "the key is empty");
        return None;
    }
    Some(Effect::SetKey(variable, macros::text(value, problems)))
}

/// `name=value`; `1` without one.
fn set_environment(value: Part<'_>, problems: &mut Problems) -> Option<Effect> {
    let (name, value) = match equals(value.text()) {
        Some(at) => (value.part(0..at).trim(), macros::text(value.from(at + 1), problems)),
        None => (value.trim(), Text(vec![Piece::Plain(b"1".as_slice().into())])),
    };
    if name.text().trim_start_matches('!').is_empty() {
        problems.refuse(name.span(), "the variable has no name");
        return None;
    }
    Some(Effect::SetEnv(macros::text(name, problems), value))
}

const CONTROLS: &[&str] = &[
    "auditEngine",
    "auditLogParts",
    "debugLogLevel",
    "forceRequestBodyVariable",
    "parseXmlIntoArgs",
    "requestBodyAccess",
    "requestBodyProcessor",
    "responseBodyAccess",
    "ruleEngine",
    "ruleRemoveById",
    "ruleRemoveByMsg",
    "ruleRemoveByTag",
    "ruleRemoveTargetById",
    "ruleRemoveTargetByMsg",
    "ruleRemoveTargetByTag",
];

/// Controls of `ModSecurity` 2 that would change nothing here.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("hashEnforcement", "links in pages are not signed"),
    ("hashEngine", "links in pages are not signed"),
    ("requestBodyLimit", "the bound of a body is the route's"),
    ("responseBodyLimit", "the bound of a body is the route's"),
];

/// `option=value`.
fn control(written: Part<'_>, effects: &mut Vec<Effect>, problems: &mut Problems) {
    let (name, value) = match written.split_once('=') {
        Some((name, value)) => (name.trim(), value.trim()),
        None => (written, written.from(written.text().len())),
    };
    let Some(known) = CONTROLS.iter().find(|known| known.eq_ignore_ascii_case(name.text())) else {
        if let Some((known, why)) = UNSUPPORTED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.text())) {
            problems.refuse(written.span(), format!("`ctl:{known}` is not supported: {why}"));
            return;
        }
        let problem = problems.refuse(name.span(), format!("`ctl` has no option `{}`", name.text()));
        if let Some(near) = nearest(name.text(), CONTROLS.iter().copied()) {
            problem.help(format!("`{near}` is one"));
        }
        return;
    };
    if value.text().is_empty() {
        problems.refuse(written.span(), format!("`ctl:{known}` needs a value"));
        return;
    }
    if value.text().contains("%{") {
        problems.refuse(value.span(), "`ctl` takes no macro");
        return;
    }
    if known.starts_with("ruleRemoveTarget") {
        remove_targets(known, value, effects, problems);
        return;
    }
    let ctl = match *known {
        "ruleEngine" => engine_mode(value, problems).map(Ctl::RuleEngine),
        "requestBodyAccess" => on_off(value, problems).map(Ctl::RequestBodyAccess),
        "responseBodyAccess" => on_off(value, problems).map(Ctl::ResponseBodyAccess),
        "forceRequestBodyVariable" => on_off(value, problems).map(Ctl::ForceRequestBodyVariable),
        "parseXmlIntoArgs" => on_off(value, problems).map(Ctl::ParseXmlIntoArgs),
        "requestBodyProcessor" => body_processor(value, problems).map(Ctl::RequestBodyProcessor),
        "ruleRemoveById" => ids(value, problems).map(Ctl::RuleRemove),
        "ruleRemoveByTag" => Some(Ctl::RuleRemove(Selection::Tag(value.text().into()))),
        "ruleRemoveByMsg" => Some(Ctl::RuleRemove(Selection::Message(value.text().into()))),
        "auditEngine" => choice(value, &[("On", ()), ("Off", ()), ("RelevantOnly", ())], problems).map(|()| Ctl::Audit),
        _ => Some(Ctl::Audit),
    };
    effects.extend(ctl.map(Effect::Ctl));
}

/// `rules;TARGET`, several targets between commas.
fn remove_targets(name: &str, value: Part<'_>, effects: &mut Vec<Effect>, problems: &mut Problems) {
    let Some((rules, list)) = value.split_once(';') else {
        problems
            .refuse(value.span(), format!("`ctl:{name}` needs a variable that the rules shall not look at"))
            .help(format!("`ctl:{name}=…;ARGS:name`"));
        return;
    };
    let selection = match name {
        "ruleRemoveTargetById" => ids(rules, problems),
        "ruleRemoveTargetByTag" => Some(Selection::Tag(rules.text().into())),
        _ => Some(Selection::Message(rules.text().into())),
    };
    let targets = target::targets(list, problems);
    if let Some(wrong) = targets.iter().find(|target| target.count || target.exclude) {
        problems.refuse(wrong.span, "a variable is named here without `&` and `!`");
        return;
    }
    let Some(selection) = selection else { return };
    for target in targets {
        effects.push(Effect::Ctl(Ctl::RuleRemoveTarget(selection.clone(), Box::new(target))));
    }
}

/// `On` or `Off`.
pub(super) fn on_off(value: Part<'_>, problems: &mut Problems) -> Option<bool> {
    choice(value, &[("On", true), ("Off", false)], problems)
}

/// `On`, `Off` or `DetectionOnly`.
pub(super) fn engine_mode(value: Part<'_>, problems: &mut Problems) -> Option<EngineMode> {
    let modes = [("On", EngineMode::On), ("Off", EngineMode::Off), ("DetectionOnly", EngineMode::DetectionOnly)];
    choice(value, &modes, problems)
}

fn body_processor(value: Part<'_>, problems: &mut Problems) -> Option<BodyProcessor> {
    let processors = [
        ("URLENCODED", BodyProcessor::UrlEncoded),
        ("MULTIPART", BodyProcessor::Multipart),
        ("JSON", BodyProcessor::Json),
        ("XML", BodyProcessor::Xml),
    ];
    choice(value, &processors, problems)
}

/// One of a few words, in any case.
pub(super) fn choice<T: Copy>(value: Part<'_>, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value.text()));
    if found.is_none() {
        let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        problems
            .refuse(value.span(), format!("`{}` is not a word that stands here", value.text()))
            .help(format!("one of {}", words.join(", ")));
    }
    found.map(|(_, value)| *value)
}

/// Numbers of rules and ranges of them, between blanks or commas.
pub(super) fn ids(list: Part<'_>, problems: &mut Problems) -> Option<Selection> {
    let mut ids = Vec::new();
    for piece in list.pieces(|c| c == ',' || c.is_whitespace()) {
        let number = |text: &str| text.parse::<u32>().ok();
        let range = match piece.text().split_once('-') {
            Some((from, to)) => number(from).zip(number(to)).filter(|(from, to)| from <= to),
            None => number(piece.text()).map(|number| (number, number)),
        };
        let Some(range) = range else {
            let problem = problems.refuse(piece.span(), format!("`{}` is no rule's number and no range", piece.text()));
            if piece.text().contains(':') {
                problem.help("a link of a chain cannot be chosen: it changes with its head");
            }
            return None;
        };
        ids.push(range);
    }
    if ids.is_empty() {
        problems.refuse(list.span(), "a rule's number is missing");
        return None;
    }
    Some(Selection::Ids(ids))
}
