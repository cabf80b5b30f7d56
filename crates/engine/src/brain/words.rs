//! Tells what rules do in plain sentences, with the figures that they rest on.
//!
//! For operators only. No visitor ever sees a pattern: it would tell an attacker what to change.

use std::collections::VecDeque;
use std::fmt::Write as _;

use portcullis_types::{ClientAddr, Tick};

use super::act::Act;
use super::clause::Clause;
use super::orders::{Action, Literal, RuleId};
use super::rules::{Rule, Situation};
use super::trial::{BackTest, Judged, Verdict};
use crate::senses::harvest::Portrait;
use crate::senses::sight::{Attribute, OVERDRAWN};

/// Portraits that are kept, so that a value can be told by an example.
const PORTRAITS: usize = 192;

/// Examples of requests, to find readable values in.
#[derive(Debug, Default)]
pub(crate) struct Gallery {
    portraits: VecDeque<Portrait>,
}

impl Gallery {
    /// Keeps the newest.
    pub(crate) fn hang(&mut self, portraits: &[Portrait]) {
        for portrait in portraits {
            if self.portraits.len() >= PORTRAITS {
                self.portraits.pop_front();
            }
            self.portraits.push_back(*portrait);
        }
    }

    /// The pattern as a person reads it: `TLS t13d1516h2_… & no token`.
    pub(crate) fn pattern(&self, pattern: &[Literal]) -> String {
        self.literals(pattern).iter().map(Clause::words).collect::<Vec<_>>().join(" & ")
    }

    /// The same as values.
    pub(crate) fn literals(&self, pattern: &[Literal]) -> Vec<Clause> {
        // An example that has all of it is better than one of each.
        let whole = self.portraits.iter().rev().find(|portrait| has(portrait, pattern));
        let told = pattern.iter().map(|literal| {
            let one = || self.portraits.iter().rev().find(|portrait| has(portrait, &[*literal]));
            told(*literal, whole.or_else(one))
        });
        told.collect()
    }

    /// Whether what was asked for, by method and `Accept`, are documents for people. Where no example tells, they are taken
    /// for it.
    pub(crate) fn is_navigation(&self, asked: &[(u32, u32)]) -> bool {
        let example = |attribute, value| {
            let literal = [Literal { attribute, value }];
            self.portraits.iter().rev().find(|portrait| has(portrait, &literal))
        };
        let is_other = |(method, accept): &(u32, u32)| {
            let method = example(Attribute::Method, *method).map(|portrait| portrait.method.text());
            let accept = example(Attribute::Accept, *accept).map(|portrait| portrait.accept);
            method.is_some_and(|method| !matches!(method.as_str(), "GET" | "HEAD"))
                || accept.is_some_and(|accept| accept.is_whole() && !accept.text().contains("text/html"))
        };
        asked.iter().filter(|asked| is_other(asked)).count() * 2 <= asked.len()
    }
}

fn has(portrait: &Portrait, pattern: &[Literal]) -> bool {
    pattern.iter().all(|literal| portrait.attributes.get(literal.attribute) == literal.value)
}

/// One literal as values.
fn told(literal: Literal, example: Option<&Portrait>) -> Clause {
    let value = literal.value;
    let quoted = |code: &str, text: Option<String>| {
        let text = text.filter(|text| !text.is_empty());
        Clause::new(code).name("value", &text.map_or_else(|| format!("#{value:08x}"), |text| format!("`{text}`")))
    };
    match (literal.attribute, value) {
        (Attribute::Endpoint, _) => quoted("endpoint", example.map(|example| example.path.text())),
        (Attribute::Path, _) => quoted("path", example.map(|example| example.path.text())),
        (Attribute::Method, _) => quoted("method", example.map(|example| example.method.text())),
        (Attribute::Tls, 0) => Clause::new("no-tls"),
        (Attribute::Tls, _) => quoted("tls", example.map(|example| example.tls.text())),
        (Attribute::H2, 0) => Clause::new("http1"),
        (Attribute::H2, _) => quoted("h2", example.map(|example| example.h2.text())),
        (Attribute::Order, 0) => Clause::new("no-order"),
        (Attribute::Order, _) => quoted("order", None),
        (Attribute::Agent, _) => quoted("agent", example.map(|example| example.agent.text())),
        (Attribute::Family, _) => quoted("family", example.map(|example| example.agent.text())),
        (Attribute::Network, _) => quoted("network", example.map(|example| network(example.client))),
        (Attribute::Token, 0) => Clause::new("no-token"),
        (Attribute::Token, OVERDRAWN) => Clause::new("overdrawn"),
        (Attribute::Token, _) => Clause::new("token").name("value", &value.to_string()),
        (Attribute::Evidence, 0) => Clause::new("no-evidence"),
        (Attribute::Evidence, _) => Clause::new("evidence"),
        (Attribute::Referer, 0) => Clause::new("no-referer"),
        (Attribute::Referer, 1) => Clause::new("own-referer"),
        (Attribute::Referer, 2) => Clause::new("other-referer"),
        (Attribute::Referer, _) => Clause::new("bad-referer"),
        (Attribute::Query, 0) => Clause::new("no-query"),
        (Attribute::Query, _) => quoted("query", example.map(|example| shape(&example.query.text()))),
        (Attribute::Accept, _) => quoted("accept", example.map(|example| example.accept.text())),
        (Attribute::Language, 0) => Clause::new("no-language"),
        (Attribute::Language, _) => quoted("language", example.map(|example| example.language.text())),
        (Attribute::Session, 0) => Clause::new("no-session"),
        (Attribute::Session, _) => Clause::new("session"),
    }
}

/// The names of a query without what was asked: `q=…&page=…`. What people search for is nobody's business.
fn shape(query: &str) -> String {
    let names = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    });
    names.collect::<Vec<_>>().join("&")
}

fn network(client: ClientAddr) -> String {
    match client.ip() {
        std::net::IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        std::net::IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// What to type to undo a rule.
pub(crate) fn undo(rule: RuleId) -> String {
    format!("portcullis rules undo {rule}")
}

/// Why a rule is wrong: people.
pub(crate) fn people(judged: &Judged) -> String {
    format!(
        "people are behind it: {} of {} visitors behave like people, a share of {:.2} where {:.2} is normal",
        judged.people,
        judged.of,
        judged.share(),
        judged.normal
    )
}

pub(crate) fn proposed(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} is proposed and only watched for now. {} {} {}",
        rule.id,
        why(rule, situation),
        explains(rule, gallery),
        tested(&rule.test, rule.business),
    );
    act("rule-proposed", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn waiting(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} puts what it matches behind everybody else, for 2 s at most: its visitors are too new to tell whether \
         they are people. {} {}",
        rule.id,
        explains(rule, gallery),
        tested(&rule.test, rule.business),
    );
    act("rule-waiting", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn enforced(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} is enforced: {}. {} {} {} {} To undo it: `{}`.",
        rule.id,
        doing(rule.action),
        why(rule, situation),
        explains(rule, gallery),
        tested(&rule.test, rule.business),
        shadow(rule, situation),
        undo(rule.id),
    );
    act("rule-enforced", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn watched(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} after {:.0} s: {}. It matched {} requests and acted upon {}; {} of them came from visitors who have \
         shown who they are.{}{}",
        rule.id,
        situation.now.since(rule.since).as_secs_f64(),
        relief(rule, situation),
        number(rule.acted.matched),
        number(rule.acted.acted),
        number(rule.acted.protected),
        hold_out(rule),
        challenges(rule),
    );
    act("rule-watched", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn harder(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>, reason: &str) -> Act {
    let words = format!(
        "Rule {} now goes further: {}, because {reason}. {} {} {}",
        rule.id,
        doing(rule.action),
        explains(rule, gallery),
        tested(&rule.test, rule.business),
        humans(&rule.judged, rule.business),
    );
    act("rule-enforced", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn narrowed(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} is narrowed, because a visitor who has shown who they are matched it. It now matches {}. {}",
        rule.id,
        gallery.pattern(&rule.pattern),
        tested(&rule.test, rule.business),
    );
    act("rule-narrowed", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn capped(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} only puts behind from now on: all rules together would have touched more of normal traffic than they \
         may. {}",
        rule.id,
        tested(&rule.test, rule.business),
    );
    act("rule-capped", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn vetoed(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} is dropped before it touched anybody: {}. Pattern: {}. Admission decides who goes first.",
        rule.id,
        if rule.business { by_outcome(&rule.judged) } else { people(&rule.judged) },
        gallery.pattern(&rule.pattern),
    );
    act("rule-vetoed", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn taken_back(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>, reason: &str) -> Act {
    let words = format!(
        "Rule {} is taken back after {:.1} s: {reason}. Pattern: {}. It had matched {} requests.",
        rule.id,
        situation.now.since(rule.since).as_secs_f64(),
        gallery.pattern(&rule.pattern),
        number(rule.total.matched),
    );
    act("rule-reverted", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn relaxed(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} is relaxed: {} in 100 of what it matches are admitted again. It matched {:.1} requests per second over \
         the last second; at its peak it was {:.0}.",
        rule.id,
        100 - rule.share(),
        rule.rate(),
        rule.peak(),
    );
    act("rule-relaxed", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn resumed(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Act {
    let words = format!(
        "Rule {} is in full force again: what it matches is back, with {:.0} requests per second. {}",
        rule.id,
        rule.rate(),
        explains(rule, gallery),
    );
    act("rule-resumed", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn withdrawn(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>, reason: &str) -> Act {
    let words = format!(
        "Rule {} is withdrawn: {reason}. It matched {} requests in all. For 7 days it comes back at once if its pattern \
         does: {}.",
        rule.id,
        number(rule.total.matched),
        gallery.pattern(&rule.pattern),
    );
    act("rule-withdrawn", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn ended(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>, reason: &str) -> Act {
    let words = format!(
        "Rule {} is withdrawn: {reason}. It put {} requests behind and is not remembered.",
        rule.id,
        number(rule.total.matched),
    );
    act("rule-withdrawn", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn rearmed(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>, requests: f64) -> Act {
    let words = format!(
        "Rule {} is back in force: {}. Its pattern is back: about {requests:.0} requests within half a second match {}. {} \
         To undo it: `{}`.",
        rule.id,
        doing(rule.action),
        gallery.pattern(&rule.pattern),
        tested(&rule.test, rule.business),
        undo(rule.id),
    );
    act("rule-rearmed", rule, situation, words, facts(rule, gallery, situation))
}

pub(crate) fn pinned(rule: &Rule, gallery: &Gallery, platform: &str, now: Tick) -> Act {
    let id = rule.id;
    let pattern = gallery.pattern(&rule.pattern);
    by_operator(
        "rule-pinned",
        id,
        platform,
        now,
        format!(
            "An operator pinned rule {id}: {}. It matches {pattern} and is not withdrawn by itself.",
            doing(rule.action)
        ),
        pattern,
        undo(id),
    )
}

pub(crate) fn undone(id: RuleId, pattern: &[Literal], gallery: &Gallery, platform: &str, now: Tick) -> Act {
    let pattern = gallery.pattern(pattern);
    by_operator(
        "rule-undone",
        id,
        platform,
        now,
        format!("An operator undid rule {id}. It matched {pattern}. Nothing like it is proposed again for an hour."),
        pattern,
        String::new(),
    )
}

fn by_operator(kind: &str, id: RuleId, platform: &str, now: Tick, words: String, pattern: String, undo: String) -> Act {
    Act {
        at_nanos: now.0,
        kind: kind.to_owned(),
        platform: platform.to_owned(),
        rule: Some(id.to_string()),
        by: "operator".to_owned(),
        words,
        facts: vec![("pattern".to_owned(), pattern)],
        undo,
    }
}

fn act(kind: &str, rule: &Rule, situation: &Situation<'_>, words: String, facts: Vec<(String, String)>) -> Act {
    let gone = matches!(kind, "rule-vetoed" | "rule-reverted");
    Act {
        at_nanos: situation.now.0,
        kind: kind.to_owned(),
        platform: situation.platform.to_owned(),
        rule: Some(rule.id.to_string()),
        by: "gate".to_owned(),
        words,
        facts,
        undo: if gone { String::new() } else { undo(rule.id) },
    }
}

fn facts(rule: &Rule, gallery: &Gallery, situation: &Situation<'_>) -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    vec![
        fact("pattern", gallery.pattern(&rule.pattern)),
        fact("action", rule.action.name().to_owned()),
        fact("share", rule.share().to_string()),
        fact("business", rule.business.to_string()),
        fact("times_expected", format!("{:.1}", rule.times)),
        fact("queue_ms", format!("{:.0}", situation.queue_ms)),
        fact("explains", format!("{:.2}", rule.explains)),
        fact("baseline_rows", rule.test.rows.to_string()),
        fact("baseline_hits", rule.test.hits.to_string()),
        fact("baseline_bound", format!("{:.5}", rule.test.upper())),
        fact("matched", rule.total.matched.to_string()),
        fact("protected", rule.total.protected.to_string()),
        fact("people", rule.judged.people.to_string()),
        fact("people_of", rule.judged.of.to_string()),
        fact("people_share", format!("{:.2}", rule.judged.share())),
        fact("people_normal", format!("{:.2}", rule.judged.normal)),
        fact("acted", rule.acted.acted.to_string()),
        fact("held_out", rule.acted.held_out.to_string()),
        fact("challenged", rule.acted.challenged.to_string()),
        fact("passed", rule.acted.passed.to_string()),
    ]
}

fn doing(action: Action) -> &'static str {
    match action {
        Action::Deprioritise => "what it matches waits behind everybody else",
        Action::Challenge => "navigations that it matches are challenged, anything else waits behind",
        Action::Refuse => "what it matches is refused with status 429",
        Action::Close => "the connections of what it matches are closed",
    }
}

fn why(rule: &Rule, situation: &Situation<'_>) -> String {
    let mut reasons = Vec::new();
    if rule.business {
        reasons.push("far more logins, payments or codes fail than on other days".to_owned());
    } else if rule.times >= 1.2 {
        reasons.push(format!("requests are {:.1} times what is expected", rule.times));
    } else if situation.stress {
        reasons.push("requests cost the platform more than expected".to_owned());
    }
    if situation.stress {
        reasons.push(format!("requests wait {:.0} ms for the platform", situation.queue_ms));
    }
    if reasons.is_empty() {
        "Why: something is out of the ordinary.".to_owned()
    } else {
        format!("Why: {}.", reasons.join(", and "))
    }
}

fn explains(rule: &Rule, gallery: &Gallery) -> String {
    let of = if rule.business { "what fails beyond the usual" } else { "what is beyond the expected" };
    let pattern = gallery.pattern(&rule.pattern);
    if rule.explains > 0.0 {
        format!("Pattern: {pattern}. It explains {} % of {of}.", (rule.explains.min(1.0) * 100.0).round())
    } else {
        format!("Pattern: {pattern}.")
    }
}

fn tested(test: &BackTest, business: bool) -> String {
    let what = if business { "logins, payments and codes" } else { "requests" };
    match test.rows {
        0 => "There is no normal traffic yet to test it against.".to_owned(),
        rows => format!(
            "Of {} {what} of normal traffic it matched {} (with 95 % certainty at most {} %){}.",
            number(u64::from(rows)),
            number(u64::from(test.hits)),
            percent(test.upper()),
            if test.deserted { ", from visitors that do not behave like people either" } else { "" },
        ),
    }
}

/// What stands behind a rule, as values.
pub(crate) fn grounds(rule: &Rule) -> Vec<Clause> {
    let mut grounds = Vec::new();
    if rule.explains > 0.0 {
        let code = if rule.business { "explains-failures" } else { "explains" };
        grounds.push(Clause::new(code).number("share", rule.explains.min(1.0)));
    }
    if rule.test.rows > 0 {
        let (rows, hits) = (f64::from(rule.test.rows), f64::from(rule.test.hits));
        let tested = Clause::new("tested").number("rows", rows).number("hits", hits);
        grounds.push(tested.number("share", rule.test.upper()));
    }
    grounds.push(Clause::new("protected").number("requests", rule.total.protected as f64));
    grounds
}

fn shadow(rule: &Rule, situation: &Situation<'_>) -> String {
    format!(
        "Watched without effect for {:.1} s: {} requests matched, {} of them from visitors who have shown who they are. {}",
        situation.now.since(rule.proposed).as_secs_f64(),
        number(rule.total.matched),
        number(rule.total.protected),
        humans(&rule.judged, rule.business),
    )
}

fn humans(judged: &Judged, business: bool) -> String {
    match judged.verdict {
        _ if judged.of == 0 => "None of its visitors could be judged yet.".to_owned(),
        _ if business => {
            format!("Of what matches, a share of {:.2} works; {:.2} is normal.", judged.share(), judged.normal)
        }
        Verdict::Blind => {
            "Visitors of that place do not show on normal days either whether they are people.".to_owned()
        }
        _ => format!(
            "A share of {:.2} of its visitors behaves like people; {:.2} is normal.",
            judged.share(),
            judged.normal
        ),
    }
}

fn by_outcome(judged: &Judged) -> String {
    format!(
        "people are behind it: {} of the {} that match work, a share of {:.2} where {:.2} is normal",
        judged.people,
        judged.of,
        judged.share(),
        judged.normal
    )
}

fn relief(rule: &Rule, situation: &Situation<'_>) -> String {
    if rule.queue_before >= 1.0 {
        format!(
            "requests wait {:.0} ms for the platform, before it was {:.0} ms",
            situation.queue_ms, rule.queue_before
        )
    } else {
        format!("requests wait {:.0} ms for the platform", situation.queue_ms)
    }
}

fn hold_out(rule: &Rule) -> String {
    match rule.acted.held_out {
        0 => String::new(),
        held_out => format!(
            " To learn what it changes, {} got the next milder action; {} of all that matched came from visitors that \
             behave like people.",
            number(held_out),
            number(rule.acted.human),
        ),
    }
}

fn challenges(rule: &Rule) -> String {
    match rule.acted.challenged {
        0 => String::new(),
        challenged => format!(" {} of {} challenges were passed.", number(rule.acted.passed), number(challenged)),
    }
}

/// `32,768`.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut told = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// A share in hundredths, with as many digits as it needs.
fn percent(share: f64) -> String {
    let mut told = String::new();
    let digits = match share * 100.0 {
        small if small < 0.1 => 3,
        small if small < 10.0 => 2,
        _ => 0,
    };
    let _ = write!(told, "{:.digits$}", share * 100.0);
    told
}

#[cfg(test)]
mod tests {
    use portcullis_types::ClientAddr;

    use super::*;
    use crate::senses::harvest::Excerpt;
    use crate::senses::sight::{ATTRIBUTES, Attributes};

    #[test]
    fn a_document_is_told_by_what_is_asked_for() {
        let text = |text: &str| text.as_bytes().to_vec();
        let hang = |number: u32, method: &str, accept: &str| {
            let mut values = [0; ATTRIBUTES];
            values[Attribute::Method.index()] = number;
            values[Attribute::Accept.index()] = number;
            Portrait {
                attributes: Attributes(values),
                client: ClientAddr::new([192, 0, 2, 1].into()),
                method: Excerpt::new(&text(method)),
                path: Excerpt::new(b"/"),
                query: Excerpt::new(b""),
                agent: Excerpt::new(b""),
                tls: Excerpt::new(b""),
                h2: Excerpt::new(b""),
                accept: Excerpt::new(&text(accept)),
                language: Excerpt::new(b""),
            }
        };
        let cases = [
            (1, "GET", "text/html,application/xhtml+xml,*/*", true),
            (2, "GET", "*/*", false),
            (3, "GET", "", false),
            (4, "POST", "text/html", false),
            (5, "GET", "application/json,application/xml;q=0.9,text/html", true),
        ];
        let mut gallery = Gallery::default();
        gallery.hang(&cases.map(|(number, method, accept, _)| hang(number, method, accept)));
        for (number, method, accept, expected) in cases {
            assert_eq!(gallery.is_navigation(&[(number, number)]), expected, "{method} {accept}");
        }
        assert!(gallery.is_navigation(&[(9, 9)]), "nothing tells");
        assert!(gallery.is_navigation(&[(1, 1), (2, 2)]), "half of them");
        assert!(!gallery.is_navigation(&[(1, 1), (2, 2), (4, 4)]), "most are none");
    }
}
