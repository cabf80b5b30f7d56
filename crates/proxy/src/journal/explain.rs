//! What records mean, step by step: what happened and why, then the way of a request from the listener to the answer.
//!
//! Each step is told as values, so that whoever speaks another language makes sentences of their own; the English ones are made
//! of the same. What somebody else wrote stands in the gaps alone: bounded, and without a character that a terminal would obey or
//! that reorders what is read.

mod words;

use std::fmt::Write as _;

use portcullis_engine::Clause;
use portcullis_types::{Blame, Reason};
use serde::Deserialize as _;
use serde_json::Value;

use super::evidence::{Evidence, Hit, MOST_HITS, Text};
use super::record::push_time;

/// Characters of a name in a step; the longest is the front of a statement.
const NAME_CHARACTERS: usize = 1_024;
/// Of a list in a record: measures that only observed, kinds of data that left. A record has fewer, unless somebody edited it.
const MOST: usize = 32;

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Which record it is.
    Reference,
    /// What became of it.
    Outcome,
    /// Why.
    Reason,
    /// What a visitor gets.
    Answer,
    /// Whose fault it is.
    Blame,
    /// What the operator can do.
    Hint,
    /// Where it came in.
    Listener,
    /// Who asked.
    Visitor,
    /// What the gate knew of them.
    Trust,
    /// Where it was for.
    Route,
    /// How the platform stood.
    Posture,
    /// A measure that was in force.
    Measures,
    /// A measure that would have refused it.
    Observed,
    /// What inspection found.
    Found,
    /// What would have let it pass.
    Exclusion,
    /// A statement of a database.
    Statement,
    /// What stands behind the gate.
    Origin,
    /// What of the data left.
    Left,
    /// When, and how long it took.
    When,
    /// What is not on record.
    Lost,
    /// What was done about a rule.
    Act,
}

impl Part {
    /// Its name in the API, and what stands before it at a terminal.
    #[must_use]
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Reference => ("reference", "Reference"),
            Self::Outcome => ("outcome", "What"),
            Self::Reason => ("reason", "Why"),
            Self::Answer => ("answer", "Answer"),
            Self::Blame => ("blame", "Whose"),
            Self::Hint => ("hint", "What to do"),
            Self::Listener => ("listener", "Listener"),
            Self::Visitor => ("visitor", "Who"),
            Self::Trust => ("trust", "Trust"),
            Self::Route => ("route", "Route"),
            Self::Posture => ("posture", "Posture"),
            Self::Measures => ("measures", "In force"),
            Self::Observed => ("observed", "Observed"),
            Self::Found => ("found", "Found"),
            Self::Exclusion => ("exclusion", "Exclusion"),
            Self::Statement => ("statement", "Statement"),
            Self::Origin => ("origin", "Origin"),
            Self::Left => ("left", "Left"),
            Self::When => ("when", "When"),
            Self::Lost => ("lost", "Lost"),
            Self::Act => ("act", ""),
        }
    }
}

/// One step of an explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What it is about.
    pub part: Part,
    /// Sentences as values.
    pub said: Vec<Clause>,
    /// The same in English; of an act the words of that time.
    pub words: String,
}

impl Step {
    /// A step that says these.
    #[must_use]
    pub fn new(part: Part, said: Vec<Clause>) -> Self {
        let words = in_english(&said);
        Self { part, said, words }
    }
}

/// Sentences of steps in English, one after the other.
#[must_use]
pub fn in_english(said: &[Clause]) -> String {
    said.iter().map(words::english).collect::<Vec<_>>().join(" ")
}

/// Steps as a terminal shows them: one line for each.
#[must_use]
pub fn printed(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        let (_, label) = step.part.names();
        let _ = match label {
            "" => writeln!(text, "{}", step.words),
            label => writeln!(text, "{label:<11}{}", step.words),
        };
    }
    text
}

/// What stands in a gap, whoever wrote it.
#[must_use]
pub fn harmless(text: &str) -> String {
    let obeyed = |character: char| {
        character.is_control()
            || matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    let kept = text.chars().take(NAME_CHARACTERS);
    kept.map(|character| if obeyed(character) { '\u{FFFD}' } else { character }).collect()
}

/// A time as records have it, for a gap called `time`.
#[must_use]
pub fn time(unix_millis: u64) -> String {
    let mut text = Vec::new();
    push_time(&mut text, unix_millis);
    String::from_utf8(text).unwrap_or_default()
}

/// What a reason means.
#[must_use]
pub fn meaning(reason: Reason) -> Vec<Step> {
    let answer = match reason.status() {
        0 => Clause::new("answer-none"),
        status => Clause::new("answer").number("status", f64::from(status)),
    };
    let blame = match reason.blame() {
        Blame::Client => "blame-client",
        Blame::Upstream => "blame-upstream",
        Blame::Gate => "blame-gate",
    };
    vec![
        Step::new(Part::Reason, vec![why(reason.code())]),
        Step::new(Part::Answer, vec![answer]),
        Step::new(Part::Blame, vec![Clause::new(blame)]),
        Step::new(Part::Hint, vec![hint(reason)]),
    ]
}

/// What was done about a rule: one step for each act, its English in the words of that time.
#[must_use]
pub fn explain_acts(lines: &[String]) -> Vec<Step> {
    let acts = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    acts.map(|record| act(&Fields(&record), &Fields(&record["act"]))).collect()
}

fn act(record: &Fields<'_>, act: &Fields<'_>) -> Step {
    let printable = |name: &str| -> String {
        let text = act.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    };
    let undo = match printable("undo") {
        undo if undo.is_empty() => String::new(),
        undo => format!("\n  Undo: {undo}"),
    };
    let (code, who) = match act.text("by").as_str() {
        "" | "gate" => ("act-gate", String::new()),
        "operator" => ("act-operator", ", by an operator".to_owned()),
        name => ("act-person", format!(", by {name}")),
    };
    let (time, platform) = (record.text("t"), act.text("platform"));
    let words = format!("{time}  {platform}{who}\n  {}{undo}", printable("words"));

    let facts: Vec<(String, String)> = act.get("facts").and_then(|it| Vec::deserialize(it).ok()).unwrap_or_default();
    let fact = |name: &str| facts.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let figure = |name: &str| fact(name).parse::<f64>().ok();
    let kind = act.text("kind");
    let mut begun = Clause::new(code).name("time", &time).name("platform", &platform);
    if code == "act-person" {
        begun = begun.name("who", &act.text("by"));
    }
    let did = Clause::new(&kind).name("rule", &act.text("rule")).name("platform", &platform);
    let mut said = vec![begun, did.name("action", &harmless(fact("action")))];
    if !fact("pattern").is_empty() {
        said.push(Clause::new("pattern").name("pattern", &harmless(fact("pattern"))));
    }
    if matches!(kind.as_str(), "rule-proposed" | "rule-waiting" | "rule-enforced" | "rule-rearmed" | "rule-resumed") {
        let explains = if fact("business") == "true" { "explains-failures" } else { "explains" };
        let share = figure("explains").filter(|share| *share > 0.0);
        said.extend(share.map(|share| Clause::new(explains).number("share", share.min(1.0))));
        let rows = figure("baseline_rows").zip(figure("baseline_hits")).zip(figure("baseline_bound"));
        said.extend(rows.filter(|((rows, _), _)| *rows > 0.0).map(|((rows, hits), bound)| {
            Clause::new("tested").number("rows", rows).number("hits", hits).number("share", bound)
        }));
    }
    let matched = figure("matched").filter(|matched| *matched > 0.0);
    said.extend(matched.map(|matched| Clause::new("matched-so-far").number("matched", matched)));
    Step { part: Part::Act, said, words }
}

/// What a record means, for the operator: what happened, why and what to do, then its way through the gate. Nothing where the
/// line is no record.
#[must_use]
pub fn explain(line: &str) -> Vec<Step> {
    let Ok(record) = serde_json::from_str::<Value>(line) else { return Vec::new() };
    let record = Fields(&record);
    let of_database = record.text("kind") == "database";
    let reason = record.get("reason").and_then(Value::as_str);
    let mut steps = Vec::new();
    let mut step = |part: Part, said: Vec<Clause>| {
        if !said.is_empty() {
            steps.push(Step::new(part, said));
        }
    };
    step(Part::Reference, record.clause("reference", "ref"));
    step(Part::Outcome, if of_database { outcome_of_database(&record) } else { outcome(&record) });
    step(Part::Reason, reason.map(|code| whys(code, &record)).unwrap_or_default());
    step(Part::Hint, reason.and_then(Reason::from_code).map(hint).into_iter().collect());
    step(Part::Listener, listener(&record));
    step(Part::Visitor, visitor(&record));
    step(Part::Trust, trust(&record));
    step(Part::Route, route(&record));
    for observed in record.get("observed").and_then(Value::as_array).into_iter().flatten().take(MOST) {
        let observed = Fields(observed);
        let mut said = whys(&observed.text("reason"), &observed);
        said.push(Clause::new("only-observed"));
        step(Part::Observed, said);
    }
    if let Some(evidence) = record.get("evidence").and_then(|found| Evidence::deserialize(found).ok()) {
        evidence.hits.iter().take(MOST_HITS).for_each(|hit| step(Part::Found, found(hit)));
        if evidence.lost {
            step(Part::Found, vec![Clause::new("found-more")]);
        }
    }
    if of_database {
        step(Part::Statement, statement(&record));
    }
    step(Part::Origin, origin(&record));
    step(Part::Left, left(&record));
    step(Part::When, when(&record));
    let lost = record.number("lost");
    step(Part::Lost, (lost > 0.0).then(|| Clause::new("lost").number("records", lost)).into_iter().collect());
    steps
}

fn outcome(record: &Fields<'_>) -> Vec<Clause> {
    let status = record.number("status");
    let answered = status > 0.0;
    let (request, connection) = match (record.text("verdict").as_str(), answered) {
        ("served", _) => ("request-served", "connection-served"),
        ("failed", false) => ("request-broke", "connection-broke"),
        ("failed", true) => ("request-failed", "connection-failed"),
        (_, false) => ("request-closed", "connection-closed"),
        (_, true) => ("request-refused", "connection-refused"),
    };
    let mut said = match record.text("method") {
        method if method.is_empty() => Clause::new(connection),
        method => {
            let asked = format!("{method} {}{}", record.text("host"), record.text("path"));
            Clause::new(request).name("asked", &asked)
        }
    };
    if answered {
        said = said.number("status", status);
    }
    let (came, went) = (record.number("bytes_in"), record.number("bytes_out"));
    let moved = (came + went > 0.0).then(|| Clause::new("moved").number("came", came).number("went", went));
    std::iter::once(said).chain(moved).collect()
}

/// A record about a session of a database.
fn outcome_of_database(record: &Fields<'_>) -> Vec<Clause> {
    let event = record.text("event");
    let code = match event.as_str() {
        "finding" => "books-differ",
        "session" => "session-over",
        "statement" => "statement-ran",
        "refused" => "statement-refused",
        "observed" => "statement-observed",
        "canary" => "canary-near",
        _ => "session-cut",
    };
    let said = Clause::new(code).name("database", &record.text("database"));
    if event == "finding" {
        return vec![said.name("detail", &record.text("detail"))];
    }
    let moved = [("rows", "rows-left"), ("bytes", "bytes-left"), ("rows_in", "rows-came")];
    let moved = moved.into_iter().filter(|(name, _)| record.number(name) > 0.0);
    let moved = moved.map(|(name, code)| Clause::new(code).number("n", record.number(name)));
    std::iter::once(said.name("role", &record.text("role"))).chain(moved).collect()
}

fn whys(code: &str, of: &Fields<'_>) -> Vec<Clause> {
    std::iter::once(why(code)).chain(of.clause("detail", "detail")).collect()
}

fn why(code: &str) -> Clause {
    match Reason::from_code(code) {
        Some(reason) => Clause::new("why").name("code", reason.code()).name("reason", reason.code()),
        None => Clause::new("why-unknown").name("code", &harmless(code)),
    }
}

fn hint(reason: Reason) -> Clause {
    Clause::new("hint").name("hint", reason.code())
}

fn listener(record: &Fields<'_>) -> Vec<Clause> {
    let mut said = match (record.text("listener"), record.text("node")) {
        (listener, node) if listener.is_empty() => {
            Some(node).filter(|node| !node.is_empty()).map(|node| Clause::new("node").name("node", &node))
        }
        (listener, node) => Some(Clause::new("listener").name("listener", &listener).name("node", &node)),
    }
    .into_iter()
    .collect::<Vec<_>>();
    said.extend(record.clause("version", "version"));
    said.extend(record.clause("tls", "tls"));
    said
}

fn visitor(record: &Fields<'_>) -> Vec<Clause> {
    let (client, peer) = (record.text("client"), record.text("peer"));
    let code = match (record.text("from").as_str(), peer.is_empty()) {
        ("proxy-protocol", _) => "client-proxied",
        ("forwarded", _) => "client-forwarded",
        (_, false) => "client-connected",
        (_, true) => "client",
    };
    let mut said = Vec::new();
    if !client.is_empty() {
        let one = Clause::new(code).name("client", &client);
        said.push(if code == "client" { one } else { one.name("peer", &peer) });
    }
    for name in ["ja4", "h2", "order"] {
        said.extend(record.clause(name, name));
    }
    said
}

/// What the gate knew of the visitor when it decided.
fn trust(record: &Fields<'_>) -> Vec<Clause> {
    let trust = record.text("trust");
    let code = match trust.as_str() {
        "" => return Vec::new(),
        "suspect" => "trust-suspect",
        "fresh" => "trust-fresh",
        "human" => "trust-human",
        "passed" => "trust-passed",
        "history" => "trust-history",
        "crawler" => "trust-crawler",
        "partner" => "trust-partner",
        "staff" => "trust-staff",
        _ => return vec![Clause::new("trust-other").name("trust", &trust)],
    };
    vec![Clause::new(code)]
}

fn route(record: &Fields<'_>) -> Vec<Clause> {
    let names = ["platform", "route", "class", "inside", "application"];
    names.into_iter().flat_map(|name| record.clause(name, name)).collect()
}

/// A rule or family that matched: where, the part, and what was done to the value before.
fn found(hit: &Hit) -> Vec<Clause> {
    let Hit { rule, family, targets, part, via, why, tags, score, response } = hit;
    let joined = |texts: &[Text]| harmless(&texts.iter().map(Text::shown).collect::<Vec<_>>().join(", "));
    let code = match (rule.is_some(), response) {
        (true, false) => "found-rule",
        (true, true) => "found-rule-answer",
        (false, false) => "found-family",
        (false, true) => "found-family-answer",
    };
    let said = Clause::new(code).name("where", &joined(targets)).name("why", &harmless(&why.shown()));
    let mut all = vec![match rule {
        Some(rule) => said.name("rule", &rule.to_string()),
        None => said.name("family", &harmless(family.as_deref().unwrap_or_default())),
    }];
    if !tags.is_empty() {
        all.push(Clause::new("tags").name("tags", &joined(tags)));
    }
    all.extend(score.map(|score| Clause::new("score").number("score", f64::from(score))));
    let part = harmless(&part.shown());
    all.push(match via.as_slice() {
        [] => Clause::new("matched").name("part", &part),
        via => Clause::new("matched-after").name("part", &part).name("via", &harmless(&via.join(", "))),
    });
    all
}

fn statement(record: &Fields<'_>) -> Vec<Clause> {
    let names = [("statement", "text"), ("statement-key", "key"), ("for-request", "request")];
    names.into_iter().flat_map(|(code, name)| record.clause(code, name)).collect()
}

fn origin(record: &Fields<'_>) -> Vec<Clause> {
    let mut said = record.clause("upstream", "upstream");
    let attempts = record.number("attempts");
    said.extend((attempts > 1.0).then(|| Clause::new("attempts").number("attempts", attempts)));
    let began = record.get("upstream_ms").and_then(Value::as_f64);
    said.extend(began.map(|began| Clause::new("began").number("ms", began)));
    said
}

/// What of the data was in the answer, as numbers.
fn left(record: &Fields<'_>) -> Vec<Clause> {
    let Some(left) = record.get("left") else { return Vec::new() };
    let left = Fields(left);
    let counted = |name: &str, code: &'static str, kind: &'static str| {
        let all = left.get(name).and_then(Value::as_object).into_iter().flatten().take(MOST);
        let told = all.map(move |(value, n)| {
            Clause::new(code).name(kind, &harmless(value)).number("n", n.as_f64().unwrap_or_default())
        });
        told.collect::<Vec<_>>()
    };
    let records = left.number("records");
    let mut said: Vec<Clause> =
        (records > 0.0).then(|| Clause::new("left-records").number("n", records)).into_iter().collect();
    said.extend(counted("values", "left-values", "of"));
    if left.get("exported").and_then(Value::as_bool) == Some(true) {
        said.push(Clause::new("left-export"));
    }
    said.extend(counted("unread", "left-unread", "why"));
    said
}

fn when(record: &Fields<'_>) -> Vec<Clause> {
    let at = match record.text("t") {
        at if at.is_empty() => None,
        at => Some(Clause::new("when").name("time", &at)),
    };
    let took = record.get("ms").and_then(Value::as_f64).map(|took| Clause::new("took").number("ms", took));
    at.into_iter().chain(took).collect()
}

/// A record whose fields may be missing or of another type: somebody may have edited the file.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn text(&self, name: &str) -> String {
        harmless(self.get(name).and_then(Value::as_str).unwrap_or_default())
    }

    fn number(&self, name: &str) -> f64 {
        self.get(name).and_then(Value::as_u64).unwrap_or(0) as f64
    }

    /// A sentence with that field in its gap `value`; none where there is nothing in it.
    fn clause(&self, code: &str, name: &str) -> Vec<Clause> {
        let text = self.text(name);
        if text.is_empty() { Vec::new() } else { vec![Clause::new(code).name("value", &text)] }
    }
}
