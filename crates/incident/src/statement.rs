//! What may be said in public: each sentence with its grade and what it rests on, and what may not be said.
//!
//! Never has a sentence without evidence, and never one that judges how likely something was and how sure we are at once.

use serde::Serialize;

use crate::assessment::{Claim, Outcome, Verdict};
use crate::evidence::Evidence;
use crate::moment;
use crate::report::Report;

/// The statement.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Statement {
    /// In the order in which they are said.
    pub sentences: Vec<Sentence>,
    /// What must not be said, and why.
    pub never: Vec<Sentence>,
}

/// A sentence.
#[derive(Debug, Clone, Serialize)]
pub struct Sentence {
    /// The sentence.
    pub words: String,
    /// `measured`, `judged`, `stated`, `refused`.
    pub grade: &'static str,
    /// Figures in it.
    pub figures: Vec<String>,
    /// What it rests on.
    pub evidence: Evidence,
}

impl Statement {
    pub(crate) fn of(report: &Report) -> Self {
        let mut sentences = Vec::new();
        let mut never = Vec::new();
        let mut say = |words: String, grade: &'static str, keys: &[&str], evidence: &[&Evidence]| {
            let figures = keys.iter().filter_map(|key| report.figure.get(*key));
            let mut all = Evidence::default();
            evidence.iter().for_each(|evidence| all.merge(evidence));
            figures.clone().for_each(|figure| all.merge(&figure.evidence));
            sentences.push(Sentence {
                words,
                grade,
                figures: figures.map(|figure| figure.id.clone()).collect(),
                evidence: all,
            });
        };
        let name = if report.organisation.name.is_empty() { "We" } else { report.organisation.name.as_str() };
        let platforms: Vec<&str> = report.incident.platforms.iter().map(String::as_str).collect();
        let waves = match report.waves.len() {
            0 | 1 => String::new(),
            number => format!(", in {number} waves"),
        };
        let state = if report.open { "has been dealing with" } else { "dealt with" };
        let have = if report.organisation.name.is_empty() { state.replace("has", "have") } else { state.to_owned() };
        say(
            format!("Since {} {name} {have} an incident on {}{waves}.", report.since, platforms.join(", "))
                .replace("We", "we"),
            "measured",
            &[],
            &[&report.incident.evidence],
        );
        if report.value("busiest") > 0 {
            say(
                format!(
                    "In the busiest ten seconds {} requests arrived at one platform.",
                    spaced(report.value("busiest"))
                ),
                "measured",
                &["busiest"],
                &[],
            );
        }
        if let Some(first) = &report.first_act {
            say(format!("Our defences acted: {}.", first.words), "measured", &[], &[&first.evidence]);
        }
        if report.value("requests") > 0 {
            say(
                format!(
                    "While it lasted, {} of {} requests were served and {} were held back.",
                    spaced(report.value("served")),
                    spaced(report.value("requests")),
                    spaced(report.value("held"))
                ),
                "measured",
                &["served", "requests", "held"],
                &[],
            );
        }
        if report.value("statements_refused") > 0 {
            say(
                format!(
                    "{} statements that were sent towards a database were refused before they reached it.",
                    spaced(report.value("statements_refused"))
                ),
                "measured",
                &["statements_refused"],
                &[],
            );
        }
        for claim in [Claim::Integrity, Claim::Confidentiality, Claim::Availability] {
            let Some(verdict) = report.assessment.headline(claim) else { continue };
            let evidence: Vec<&Evidence> = verdict.because.iter().map(|reason| &reason.evidence).collect();
            match verdict.outcome {
                Outcome::Refused => {
                    let mut all = Evidence::default();
                    evidence.iter().for_each(|evidence| all.merge(evidence));
                    never.push(Sentence {
                        words: verdict.sentence.clone(),
                        grade: "refused",
                        figures: Vec::new(),
                        evidence: all,
                    });
                    say(instead(claim), "judged", &[], &evidence);
                }
                outcome => {
                    let grade = match outcome {
                        Outcome::Reduced | Outcome::Kept => "measured",
                        Outcome::Attested => "stated",
                        _ => "judged",
                    };
                    say(verdict.sentence.clone(), grade, keys_of(verdict), &evidence);
                    if !verdict.confidence_sentence.is_empty() {
                        say(verdict.confidence_sentence.clone(), "judged", &[], &evidence);
                    }
                }
            }
        }
        if report.value("people_touched") > 0 {
            say(
                format!(
                    "Our own measures refused, challenged or delayed {} requests of people.",
                    spaced(report.value("people_touched"))
                ),
                "measured",
                &["people_touched"],
                &[],
            );
        }
        for paper in &report.reports {
            say(
                format!("We reported it to {} on {}.", paper.to, moment::speak(paper.at)),
                "stated",
                &[],
                &[&paper.evidence],
            );
        }
        let known = !report.attribution.known.is_empty();
        let unknown = match known {
            true => {
                "Who is behind it is unknown. What we know of networks and software says where machines stood and how they looked, \
                     and not who used them."
            }
            false => "Who is behind it is unknown.",
        };
        say(unknown.to_owned(), "judged", &[], &[&report.incident.evidence]);
        Self { sentences, never }
    }
}

/// What is said where a sentence is refused: that it is being looked into, and nothing softer.
fn instead(claim: Claim) -> String {
    match claim {
        Claim::Confidentiality => "Personal data may have been taken; we are finding out which, and whose.",
        Claim::Integrity => "Something was changed that should not have been; we are finding out what.",
        Claim::Availability => "Our services could not always be used.",
    }
    .to_owned()
}

fn keys_of(verdict: &Verdict) -> &'static [&'static str] {
    match verdict.claim {
        Claim::Confidentiality => &["canaries", "budgets"],
        Claim::Integrity => &["findings", "authorised"],
        Claim::Availability => &["people_touched", "probes", "probes_good"],
    }
}

/// `1,234,567`.
#[must_use]
pub fn spaced(number: u64) -> String {
    in_threes(number, ',')
}

/// `1.234.567`, as Danish has it.
pub(crate) fn spaced_in_danish(number: u64) -> String {
    in_threes(number, '.')
}

fn in_threes(number: u64, between: char) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(between);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_read_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::spaced(number), text);
            assert_eq!(super::spaced_in_danish(number), text.replace(',', "."));
        }
    }
}
