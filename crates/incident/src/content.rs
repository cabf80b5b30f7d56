//! What the report says, in order, whatever it is written as: sections of sentences, lists, tables and charts.
//!
//! Never knows HTML or PDF, and trusts no value: whoever renders it escapes. Every word of the report stands here, once.

use std::collections::BTreeMap;

use portcullis_ledger::Custody;
use serde::Serialize;

use crate::assessment::{Asset, Outcome, PathState, Reason, Verdict, percent};
use crate::case::{Left, Paper};
use crate::chart::Chart;
use crate::evidence::Evidence;
use crate::moment::{span, speak};
use crate::report::{PlatformReport, Report, RouteHarm};
use crate::statement::spaced;
use crate::timeline::Weight;

/// Reasons of a headline that are listed; `assessment.json` has all.
const REASONS: usize = 12;
/// The same of a claim about one kind of place.
const REASONS_BY_PLACE: usize = 6;
/// Rules that are listed.
const RULES: usize = 20;

/// The whole report.
#[derive(Debug, Serialize)]
pub(crate) struct Content {
    /// What a reader's window is called.
    pub(crate) title: String,
    pub(crate) heading: String,
    pub(crate) lead: Words,
    pub(crate) sections: Vec<Section>,
}

/// A part of it.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    /// What links name.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) blocks: Vec<Block>,
}

/// What stands one below the other.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Block {
    Heading { words: String },
    Text { words: Words },
    List { items: Vec<Words> },
    Verdict { outcome: Outcome, blocks: Vec<Self> },
    Table(Table),
    Chart { number: usize, chart: Chart },
}

/// A sentence or several, in pieces.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Words(pub(crate) Vec<Piece>);

/// A piece of a sentence.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Piece {
    Plain {
        text: String,
    },
    Strong {
        text: String,
    },
    Code {
        text: String,
    },
    /// What the words before it rest on.
    Evidence {
        text: String,
    },
    /// A figure, and the row of the table of figures that it is from.
    Figure {
        text: String,
        id: String,
    },
}

/// A table; the first cell of a row is what the row is about.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// What stands there instead of rows.
    pub(crate) empty: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) numeric: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    /// What links name; empty where none does.
    pub(crate) id: String,
    pub(crate) cells: Vec<Words>,
}

impl Content {
    pub(crate) fn of(report: &Report) -> Self {
        let heading = format!("Incident {}", report.incident.id);
        Self {
            title: match report.organisation.name.as_str() {
                "" => heading.clone(),
                name => format!("{heading} – {name}"),
            },
            heading,
            lead: lead(report),
            sections: vec![
                said(report),
                happened(report),
                people(report),
                left(report),
                assessment(report),
                who(report),
                done(report),
                open(report),
                timeline(report),
                figures(report),
            ],
        }
    }
}

fn lead(report: &Report) -> Words {
    let mut lead = String::new();
    if !report.organisation.name.is_empty() {
        lead.push_str(&format!("{}. ", report.organisation.name));
    }
    lead.push_str(&format!("From {} to {} ({}). ", report.since, report.until, report.lasted));
    match &report.incident.closed {
        None => lead.push_str("The incident is open."),
        Some(closed) => lead.push_str(&format!("Closed by {}: {}", closed.by, closed.words)),
    }
    lead.push_str(&format!(" Written {}.", report.written));
    Words::say(lead)
}

fn said(report: &Report) -> Section {
    Section {
        id: "say",
        title: "What can be said",
        blocks: report
            .assessment
            .headlines
            .iter()
            .map(|verdict| Block::Verdict { outcome: verdict.outcome, blocks: headline(verdict) })
            .collect(),
    }
}

fn headline(verdict: &Verdict) -> Vec<Block> {
    let mut blocks = vec![heading(capital(verdict.claim.word())), text(Words::default().strong(&verdict.sentence))];
    if !verdict.confidence_sentence.is_empty() {
        blocks.push(text(Words::say(&verdict.confidence_sentence)));
    }
    blocks.extend(list(verdict.because.iter().take(REASONS).map(because).collect()));
    if let Some(more) = verdict.because.len().checked_sub(REASONS).filter(|more| *more > 0) {
        blocks.push(text(Words::say(format!("{more} more reasons are in assessment.json."))));
    }
    blocks
}

fn happened(report: &Report) -> Section {
    let concerns: Vec<&str> = report.incident.platforms.iter().map(String::as_str).collect();
    let mut blocks = vec![text(
        Words::say(&report.incident.words)
            .resting(&report.incident.evidence)
            .more(format!(" It concerns {}.", concerns.join(", "))),
    )];
    let waves = report.waves.iter().map(|wave| {
        row([
            wave.number.to_string(),
            wave.from.clone(),
            wave.until.clone(),
            wave.lasted.clone(),
            wave.platforms.join(", "),
        ])
    });
    blocks.push(table("Waves", "Wave|From|Until|Lasted|Concerns", waves.collect(), "None is on record."));
    let mut course = figured(
        report,
        "{requests} requests came while a wave or a measure lasted, {busiest} of them in the busiest ten seconds of one platform. \
         {served} were served, {held} were refused, challenged or sent to the waiting room, {failed} failed.",
    );
    if let Some(first) = &report.first_act {
        course = course.more(" The first measure: ").more(&first.words).resting(&first.evidence).more(".");
    }
    blocks.push(text(course));
    let alarms = report.alarms.iter().map(|(what, platform, tally)| {
        Words::say(format!("{} alarms of {what} on {platform}", spaced(tally.count))).resting(&tally.evidence)
    });
    blocks.extend(list(alarms.collect()));
    for (number, platform) in report.platforms.iter().enumerate() {
        blocks.push(heading(platform.name.clone()));
        blocks.push(Block::Chart { number, chart: platform.chart.clone() });
        blocks.push(over_time(platform));
    }
    Section { id: "happened", title: "What happened", blocks }
}

fn over_time(platform: &PlatformReport) -> Block {
    let rows = platform.rows.iter().map(|(time, point)| {
        // A probe takes longer than nothing: none was sent.
        let slowest = if point.probe_micros == 0 { "–".to_owned() } else { spaced(point.probe_micros / 1000) };
        row([
            time.clone(),
            spaced(point.requests),
            spaced(point.served),
            spaced(point.held),
            spaced(point.failed),
            slowest,
        ])
    });
    table(
        format!("Requests to {} over time", platform.name),
        "From|#Came|#Served|#Held|#Failed|#Slowest probe, ms",
        rows.collect(),
        "Nothing is on record.",
    )
}

fn people(report: &Report) -> Section {
    let slowed = report.platforms.iter().map(|platform| {
        row([
            platform.name.clone(),
            platform.slowed_from.clone().unwrap_or_else(|| "not slowed".to_owned()),
            match (&platform.restored, &platform.slowed_from) {
                (Some(restored), _) => restored.clone(),
                (None, Some(_)) => "not yet".to_owned(),
                (None, None) => "–".to_owned(),
            },
            platform.ordinary_ms.map_or_else(|| "not known".to_owned(), spaced),
            spaced(platform.worst_ms),
            spaced(platform.delayed),
        ])
    });
    let measures = report.measures.iter().map(|measure| {
        row([
            measure.id.clone(),
            measure.platform.clone(),
            format!("{}: {}", measure.what, measure.action),
            measure.by.clone(),
            speak(measure.from),
            measure.until.map_or_else(|| "in force".to_owned(), speak),
        ])
    });
    let mut blocks = vec![
        text(figured(
            report,
            "Of {people} requests of people who were known as such, or vouched for, our own measures refused, challenged or delayed \
             {people_touched}; {people_refused} of these were refused. Who was not known yet is in the table as “fresh”, what \
             matched the attack as “suspect”.",
        )),
        table(
            "Slowing and restoration",
            "Platform|Slowed from|Fully restored|#Ordinary probe, ms|#Slowest, ms|#Delayed requests",
            slowed.collect(),
            "No platform was touched.",
        ),
        table(
            "By route and audience",
            "Route|Audience|#Requests|#Served|#Refused|#Challenged|#Waiting room|#Delayed|#Failed|#Visitors touched|Rests on",
            report.routes.iter().map(harm).collect(),
            "Nobody was touched.",
        ),
    ];
    if report.more_routes > 0 {
        blocks.push(text(Words::say(format!("{} more rows were less touched.", spaced(report.more_routes as u64)))));
    }
    blocks.push(table(
        "Our measures",
        "Measure|Platform|Action|By|From|Until",
        measures.collect(),
        "None that anybody felt.",
    ));
    if report.more_measures > 0 {
        blocks.push(text(Words::say(format!("{} more measures are in the timeline.", spaced(report.more_measures)))));
    }
    Section { id: "people", title: "Effect on people", blocks }
}

fn harm(harm: &RouteHarm) -> Row {
    row([
        format!("{}{}", harm.platform, harm.route),
        harm.audience.clone(),
        spaced(harm.requests),
        spaced(harm.served),
        spaced(harm.refused),
        spaced(harm.challenged),
        spaced(harm.roomed),
        spaced(harm.delayed),
        spaced(harm.failed),
        harm.visitors.clone(),
        harm.evidence.words(),
    ])
}

fn left(report: &Report) -> Section {
    let mut blocks = vec![
        table(
            "What left, by path",
            "Path|#Answers|#Rows|#Bytes|Not looked at|Records|Rests on",
            report.left.iter().map(|(path, left)| left_by(path, left)).collect(),
            "Nothing is on record.",
        ),
        text(figured(
            report,
            "{statements} statements went on to a database, {statements_refused} were refused before they reached it, {sessions_cut} \
             sessions were cut. {canaries} canaries were seen, {budgets} budgets were reached, {findings} changes were found that \
             nothing authorised and {authorised} that were.",
        )),
    ];
    let canaries = report.canaries.list.iter().map(|hit| {
        let how = if hit.left { "left" } else { "was stopped" };
        Words::say(format!("{}: canary {} {how} by {} through {}", speak(hit.at), hit.canary, hit.path, hit.through))
            .resting(&hit.evidence)
    });
    blocks.extend(list(canaries.collect()));
    let breaches = report.breaches.list.iter().map(|breach| {
        Words::say(format!(
            "{}: {} {} by {} through {}, {} allowed to one {}, {} left ({})",
            speak(breach.at),
            spaced(breach.reached),
            breach.what,
            breach.path,
            breach.through,
            spaced(breach.allowed),
            breach.whose,
            spaced(breach.left),
            breach.action
        ))
        .resting(&breach.evidence)
    });
    blocks.extend(list(breaches.collect()));
    let findings =
        report.findings.list.iter().map(|found| dated(found.at, &found.words).resting(&found.evidence)).collect();
    blocks.extend(list(findings));
    if !report.hearsay.list.is_empty() {
        blocks.push(heading("What visitors' browsers report".to_owned()));
        blocks.push(text(Words::say(format!(
            "Anybody can send such a report, so it changes no sentence here: it is a reason to look. {} of them are on record.",
            spaced(report.hearsay.count)
        ))));
        let hearsay = report.hearsay.list.iter().map(|found| dated(found.at, &found.words).resting(&found.evidence));
        blocks.extend(list(hearsay.collect()));
    }
    Section { id: "left", title: "What left, and the database", blocks }
}

fn left_by(path: &str, left: &Left) -> Row {
    let counted = |of: &BTreeMap<String, u64>| -> String {
        let each: Vec<String> = of.iter().map(|(what, count)| format!("{what} {}", spaced(*count))).collect();
        if each.is_empty() { "0".to_owned() } else { each.join(", ") }
    };
    row([
        path.to_owned(),
        spaced(left.answers),
        spaced(left.rows),
        spaced(left.bytes),
        counted(&left.uninspected),
        counted(&left.records),
        left.evidence.words(),
    ])
}

fn assessment(report: &Report) -> Section {
    let verdicts = report.assessment.verdicts.iter().map(|verdict| Row {
        cells: vec![
            Words::say(verdict.claim.word()),
            Words::say(verdict.asset.map_or("", Asset::key)),
            Words::say(&verdict.sentence),
            Words::say(verdict.confidence.word()),
            verdict.because.iter().take(REASONS_BY_PLACE).fold(Words::default(), |words, reason| {
                let apart = if words.0.is_empty() { "" } else { " " };
                words.more(apart).more(&reason.words).resting(&reason.evidence)
            }),
        ],
        ..Row::default()
    });
    let mut likelihood = Words::say(
        "Likelihood is by the yardstick of the UK's Professional Head of Intelligence Assessment and says how likely something \
         was that we did not see; confidence is how much that judgement bears. They are never in one sentence.",
    );
    if let Some(tried) = &report.ledger.tried {
        likelihood = likelihood.more(format!(" {}.", tried.words));
    }
    let mut blocks = vec![
        text(likelihood),
        table(
            "Claims by place",
            "Claim|Where|What can be said|Confidence|Because",
            verdicts.collect(),
            "Nothing can be said.",
        ),
        table(
            "Paths to personal data, and who watched them",
            "Path|To|Custody|#Covered|Gaps by cause|#Drills|#Missed at most",
            report.assessment.paths.iter().map(path).collect(),
            "No register is on record.",
        ),
    ];
    if !report.assessment.ledger_faults.is_empty() {
        blocks.push(heading("The ledger".to_owned()));
        blocks.extend(list(report.assessment.ledger_faults.iter().map(because).collect()));
    }
    let mut columns = vec![Column { title: "Evidence", numeric: false }];
    columns.extend(report.hypotheses.map(|title| Column { title, numeric: false }));
    let weighed = report.weighed.iter().map(|weighed| Row {
        cells: std::iter::once(Words::say(&weighed.words).resting(&weighed.evidence))
            .chain(weighed.says.map(Words::say))
            .collect(),
        ..Row::default()
    });
    blocks.push(Block::Table(Table {
        caption: "Evidence against hypotheses, as disclosure; no score is made of it".to_owned(),
        columns,
        rows: weighed.collect(),
        empty: "Nothing is on record.",
    }));
    Section { id: "assessment", title: "Assessment", blocks }
}

fn path(path: &PathState) -> Row {
    let gaps: Vec<String> =
        path.stretch.by_cause.iter().map(|(cause, millis)| format!("{cause}: {}", span(*millis))).collect();
    row([
        path.path.clone(),
        format!("{} ({})", path.copy, path.asset),
        match path.custody {
            Custody::Guarded => "guarded",
            Custody::Attested => "attested",
            Custody::Unguarded => "unguarded",
        }
        .to_owned(),
        percent(path.coverage),
        if gaps.is_empty() { "none".to_owned() } else { gaps.join(", ") },
        spaced(path.drills),
        path.miss_bound.map_or_else(|| "not tried".to_owned(), percent),
    ])
}

fn who(report: &Report) -> Section {
    let mut blocks = vec![text(
        Words::default()
            .strong("Unknown.")
            .more(" What follows is not attribution: addresses can be borrowed, and software can be imitated."),
    )];
    let known = report.attribution.known.iter().map(|known| {
        Words::say(format!("Not attribution: {} Spoofable: {}.", known.words, known.spoofable)).resting(&known.evidence)
    });
    blocks.extend(list(known.collect()));
    blocks.push(text(Words::say("What would change this:")));
    blocks.extend(list(report.attribution.would_change.iter().map(Words::say).collect()));
    Section { id: "who", title: "Who did it", blocks }
}

fn done(report: &Report) -> Section {
    let contacts: Vec<Words> = report
        .organisation
        .contacts
        .iter()
        .map(|contact| {
            let parts = [&contact.name, &contact.role, &contact.email, &contact.phone];
            let told: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            Words::say(told.join(", "))
        })
        .collect();
    let mut blocks = Vec::new();
    let mut part = |title: &str, items: Vec<Words>, empty: &str| {
        blocks.push(heading(title.to_owned()));
        blocks.push(list(items).unwrap_or_else(|| text(Words::say(empty))));
    };
    part("Reporter and contacts", contacts, "No contact is configured.");
    let papers = |of: &[Paper]| of.iter().map(paper).collect();
    part("Decisions", papers(&report.decisions), "None is on record.");
    part("Notes", papers(&report.notes), "None is on record.");
    part("Who was told", papers(&report.told), "Nobody is on record.");
    part("Reports handed in", papers(&report.reports), "None is on record.");
    let rules = report.rules.list.iter().take(RULES).map(|said| dated(said.at, &said.words).resting(&said.evidence));
    part("Rules that the gate put in force", rules.collect(), "None is on record.");
    Section { id: "done", title: "What was done, and who was told", blocks }
}

fn paper(paper: &Paper) -> Words {
    let mut words = format!("{}: {}", speak(paper.at), paper.by);
    let mut add = |before: &str, what: &str, after: &str| {
        if !what.is_empty() {
            words.push_str(&format!("{before}{what}{after}"));
        }
    };
    add(" to ", &paper.to, "");
    add(" (", &paper.form, ")");
    add(": ", &paper.words, "");
    add(". Receipt: ", &paper.receipt, "");
    add(". SHA-256 ", &paper.sha256, "");
    Words::say(words).resting(&paper.evidence)
}

fn open(report: &Report) -> Section {
    let questions = report.open_questions.iter().map(Words::say).collect();
    let blocks = vec![list(questions).unwrap_or_else(|| text(Words::say("Nothing is open.")))];
    Section { id: "open", title: "What is open, and next steps", blocks }
}

fn timeline(report: &Report) -> Section {
    let entries = report.timeline.entries.iter().filter(|entry| entry.weight != Weight::Third).map(|entry| {
        let record = entry.evidence.first().map(|index| index.to_string()).unwrap_or_default();
        row([entry.time.clone(), entry.words.clone(), entry.platform.clone(), record])
    });
    let mut blocks = vec![table("Timeline", "When|What|Where|#Record", entries.collect(), "Nothing is on record.")];
    if !report.timeline.omitted.is_empty() {
        let omitted: Vec<String> =
            report.timeline.omitted.iter().map(|(kind, count)| format!("{} of {kind}", spaced(*count))).collect();
        blocks.push(text(Words::say(format!("Not listed for want of room: {}.", omitted.join(", ")))));
    }
    Section { id: "timeline", title: "Timeline", blocks }
}

fn figures(report: &Report) -> Section {
    let ledger = match (report.ledger.verified, report.ledger.words.as_str()) {
        (Some(true), words) => format!("The ledger was verified: {words}"),
        (_, "") => "The ledger was not verified.".to_owned(),
        (_, words) => words.to_owned(),
    };
    let witnesses = match report.assessment.witnesses.join(", ") {
        names if names.is_empty() => "No witness has signed lately.".to_owned(),
        names => format!("Witnesses: {names}."),
    };
    let about = Words::say(ledger)
        .more(" Each figure rests on records of the ledger; where this report was exported, the directory ")
        .code("proofs")
        .more(" has a proof for each position that is named here, and ")
        .code("portcullis ledger verify")
        .more(format!(" checks all of them. {} records were read. {witnesses}", spaced(report.books.records)));
    let rows = report.figures.iter().map(|figure| {
        let value = match figure.unit.as_str() {
            "" => spaced(figure.value),
            "1/10,000" => percent(figure.value as f64 / 10_000.0),
            unit => format!("{} {unit}", spaced(figure.value)),
        };
        Row { id: figure.id.clone(), ..row([figure.id.clone(), figure.words.clone(), value, figure.evidence.words()]) }
    });
    let blocks = vec![
        text(about),
        table("Figures", "Figure|What it counts|#Value|Rests on", rows.collect(), "Nothing is on record."),
    ];
    Section { id: "figures", title: "Figures and evidence", blocks }
}

fn because(reason: &Reason) -> Words {
    Words::say(&reason.words).resting(&reason.evidence)
}

fn dated(at: u64, words: &str) -> Words {
    Words::say(format!("{}: {words}", speak(at)))
}

/// A sentence of ours with figures in it, each by its key: `{requests} requests came`.
fn figured(report: &Report, sentence: &str) -> Words {
    sentence.split('{').fold(Words::default(), |words, part| match part.split_once('}') {
        None => words.more(part),
        Some((key, after)) => match report.figure.get(key) {
            None => words.more("0"),
            Some(figure) => words.figure(spaced(figure.value), &figure.id),
        }
        .more(after),
    })
}

fn heading(words: String) -> Block {
    Block::Heading { words }
}

fn text(words: Words) -> Block {
    Block::Text { words }
}

/// None of nothing.
fn list(items: Vec<Words>) -> Option<Block> {
    (!items.is_empty()).then_some(Block::List { items })
}

/// `columns` are titles between bars; that of a column of numbers begins with `#`.
fn table(caption: impl Into<String>, columns: &'static str, rows: Vec<Row>, empty: &'static str) -> Block {
    let columns: Vec<Column> = columns
        .split('|')
        .map(|title| Column { title: title.trim_start_matches('#'), numeric: title.starts_with('#') })
        .collect();
    Block::Table(Table { caption: caption.into(), columns, rows, empty })
}

fn row<const N: usize>(cells: [String; N]) -> Row {
    Row { id: String::new(), cells: cells.map(Words::say).into() }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl Words {
    pub(crate) fn say(text: impl Into<String>) -> Self {
        Self::default().more(text)
    }

    fn more(self, text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { self } else { self.and(Piece::Plain { text }) }
    }

    pub(crate) fn strong(self, text: impl Into<String>) -> Self {
        self.and(Piece::Strong { text: text.into() })
    }

    fn code(self, text: &str) -> Self {
        self.and(Piece::Code { text: text.to_owned() })
    }

    fn figure(self, text: String, id: &str) -> Self {
        self.and(Piece::Figure { text, id: id.to_owned() })
    }

    /// What the words so far rest on, behind them.
    fn resting(self, evidence: &Evidence) -> Self {
        self.more(" ").and(Piece::Evidence { text: format!("({})", evidence.words()) })
    }

    fn and(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }
}
