//! What every document is written from: figures with what they rest on, judgements, and what people did.
//!
//! Never holds a figure that no record carries. It is plain data; `assessment.json` is this as it stands.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::assessment::{Assessment, Claim, Ledger, Outcome};
use crate::attribution::{Attribution, attribution};
use crate::case::{Breach, Case, Found, Hit, Left, Listed, Paper, Ran, Said, Tally};
use crate::chart::{self, Chart};
use crate::docket::{Incident, Surge};
use crate::effect::{Flow, InForce, Point, Slow};
use crate::evidence::{Evidence, plain};
use crate::moment;
use crate::statement::{Statement, spaced};
use crate::timeline::Timeline;

/// Routes that are listed, the most touched first.
const ROUTES: usize = 60;
/// Measures that are listed.
const MEASURES: usize = 200;

/// Who reports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Organisation {
    /// Its name.
    pub name: String,
    /// What it is: a party, a charity.
    pub sector: String,
    /// Whom to ask.
    pub contacts: Vec<Contact>,
    /// `en` or `da`: the language of the notice to members that goes first.
    pub language: String,
    /// Where members can ask.
    pub page: String,
}

/// A person to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Their name.
    pub name: String,
    /// `lead`, `data-protection-officer`, `press`, `technical`.
    pub role: String,
    /// An address on a system that was not attacked.
    pub email: String,
    /// A number.
    pub phone: String,
}

/// A figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// `F7`: how texts name it.
    pub id: String,
    /// `requests`, `busiest`: how forms name it.
    pub key: String,
    /// What it counts.
    pub words: String,
    /// The figure.
    pub value: u64,
    /// Its unit, where it is no count.
    pub unit: String,
    /// What it rests on.
    pub evidence: Evidence,
}

/// One route and audience.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RouteHarm {
    pub(crate) platform: String,
    pub(crate) route: String,
    pub(crate) audience: String,
    pub(crate) requests: u64,
    pub(crate) served: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    pub(crate) challenged: u64,
    pub(crate) roomed: u64,
    pub(crate) delayed: u64,
    pub(crate) visitors: String,
    pub(crate) evidence: Evidence,
}

/// One platform.
#[derive(Debug, Clone, Serialize)]
pub struct PlatformReport {
    pub name: String,
    pub requests: u64,
    pub served: u64,
    pub failed: u64,
    pub held: u64,
    pub delayed: u64,
    pub busiest: u64,
    pub busiest_at: String,
    pub per_second: u64,
    pub ordinary_ms: Option<u64>,
    pub worst_ms: u64,
    pub slowed_from: Option<String>,
    pub restored: Option<String>,
    pub slow: Vec<Slow>,
    pub chart: Chart,
    pub rows: Vec<(String, Point)>,
}

/// A line of the table of evidence against hypotheses.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Weighed {
    /// What was seen.
    pub(crate) words: String,
    /// Of each hypothesis: `for`, `against`, `says nothing`.
    pub(crate) says: [&'static str; 6],
    pub(crate) evidence: Evidence,
}

/// A wave, for a person.
#[derive(Debug, Clone, Serialize)]
pub struct WaveReport {
    pub number: u32,
    pub from: String,
    pub until: String,
    pub lasted: String,
    pub platforms: Vec<String>,
    pub evidence: Evidence,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub(crate) organisation: Organisation,
    /// Which.
    pub incident: Incident,
    /// When it was written.
    pub written: String,
    pub(crate) written_millis: u64,
    /// Its beginning, for a person.
    pub since: String,
    pub(crate) until: String,
    pub(crate) until_millis: u64,
    pub(crate) lasted: String,
    /// No person has ended it.
    pub open: bool,
    /// Its waves.
    pub waves: Vec<WaveReport>,
    /// Everything that is counted.
    pub figures: Vec<Figure>,
    /// Figures by their key.
    pub(crate) figure: BTreeMap<String, Figure>,
    /// Platforms, with charts.
    pub platforms: Vec<PlatformReport>,
    pub(crate) routes: Vec<RouteHarm>,
    pub(crate) more_routes: usize,
    pub(crate) measures: Vec<InForce>,
    pub(crate) more_measures: u64,
    pub(crate) first_act: Option<Said>,
    pub(crate) statements: Vec<(String, String, Ran)>,
    pub(crate) left: BTreeMap<String, Left>,
    pub(crate) canaries: Listed<Hit>,
    pub(crate) breaches: Listed<Breach>,
    pub(crate) findings: Listed<Found>,
    pub(crate) authorised: Listed<Found>,
    pub(crate) hearsay: Listed<Found>,
    pub(crate) alarms: Vec<(String, String, Tally)>,
    pub(crate) rules: Listed<Said>,
    /// What can be said.
    pub assessment: Assessment,
    pub(crate) hypotheses: [&'static str; 6],
    pub(crate) weighed: Vec<Weighed>,
    pub(crate) attribution: Attribution,
    pub(crate) papers: Listed<Paper>,
    pub(crate) notes: Vec<Paper>,
    pub(crate) decisions: Vec<Paper>,
    pub(crate) told: Vec<Paper>,
    pub(crate) reports: Vec<Paper>,
    pub(crate) copies: Vec<CopyReport>,
    pub(crate) people: Option<u64>,
    pub(crate) categories: Vec<String>,
    pub(crate) answers: BTreeMap<String, String>,
    pub(crate) answer_evidence: BTreeMap<String, Evidence>,
    /// The ledger.
    pub ledger: Ledger,
    pub(crate) books: crate::case::Books,
    pub(crate) timeline: Timeline,
    /// What may be said in public.
    pub statement: Statement,
    /// What is not known yet, or wants an answer.
    pub open_questions: Vec<String>,
}

/// A copy of the register.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CopyReport {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) holder: String,
    pub(crate) categories: Vec<String>,
    pub(crate) people: Option<u64>,
}

impl Report {
    /// Writes the whole; `now` is when, in milliseconds since 1970.
    #[must_use]
    pub fn compose(case: &Case, ledger: &Ledger, organisation: &Organisation, now: u64) -> Self {
        let assessment = Assessment::of(case, ledger);
        let figures = figures(case, &assessment);
        let papers = |kind: &str| -> Vec<Paper> {
            case.papers.list.iter().filter(|paper| paper.kind == kind).cloned().collect()
        };
        let copies: Vec<CopyReport> = copies(case);
        let (routes, more_routes) = routes(case);
        let mut report = Self {
            organisation: organisation.clone(),
            incident: case.incident.clone(),
            written: moment::speak(now),
            written_millis: now,
            since: moment::speak(case.from),
            until: moment::speak(case.until),
            until_millis: case.until,
            lasted: moment::span(case.until - case.from.min(case.until)),
            open: case.incident.closed.is_none(),
            waves: case.incident.waves.iter().map(|wave| wave_report(wave, case.until)).collect(),
            figure: figures.iter().map(|figure| (figure.key.clone(), figure.clone())).collect(),
            figures,
            platforms: platforms(case),
            routes,
            more_routes,
            measures: case.effect.measures.iter().take(MEASURES).cloned().collect(),
            more_measures: case.effect.more_measures + case.effect.measures.len().saturating_sub(MEASURES) as u64,
            first_act: first_act(case),
            statements: case
                .statements
                .iter()
                .map(|((database, role), ran)| (database.clone(), role.clone(), ran.clone()))
                .collect(),
            left: case.left.clone(),
            canaries: case.canaries.clone(),
            breaches: case.breaches.clone(),
            findings: case.findings.clone(),
            authorised: case.authorised.clone(),
            hearsay: case.hearsay.clone(),
            alarms: case
                .alarms
                .iter()
                .map(|((what, platform), tally)| (what.clone(), platform.clone(), tally.clone()))
                .collect(),
            rules: case.rules.clone(),
            hypotheses: HYPOTHESES,
            weighed: weighed(case, &assessment),
            attribution: attribution(case),
            papers: case.papers.clone(),
            notes: papers("note"),
            decisions: papers("decision"),
            told: papers("told"),
            reports: papers("report"),
            people: copies.iter().filter_map(|copy| copy.people).max(),
            categories: {
                let mut all: Vec<String> = copies.iter().flat_map(|copy| copy.categories.clone()).collect();
                all.sort();
                all.dedup();
                all
            },
            copies,
            answers: case.answers.iter().map(|(field, (answer, _))| (field.clone(), answer.clone())).collect(),
            answer_evidence: case
                .answers
                .iter()
                .map(|(field, (_, evidence))| (field.clone(), evidence.clone()))
                .collect(),
            ledger: ledger.clone(),
            books: case.books.clone(),
            timeline: case.timeline.clone(),
            statement: Statement::default(),
            open_questions: Vec::new(),
            assessment,
        };
        report.statement = Statement::of(&report);
        report.open_questions = open_questions(&report);
        report
    }

    /// A figure by its key.
    #[must_use]
    pub fn value(&self, key: &str) -> u64 {
        self.figure.get(key).map_or(0, |figure| figure.value)
    }

    /// Every position in the ledger that is quoted: each wants a proof of inclusion.
    #[must_use]
    pub fn quoted(&self) -> Vec<u64> {
        let figures = self.figures.iter().map(|figure| &figure.evidence);
        let verdicts = self.assessment.headlines.iter().chain(&self.assessment.verdicts);
        let reasons = verdicts.flat_map(|verdict| &verdict.because).map(|reason| &reason.evidence);
        let sentences = self.statement.sentences.iter().map(|sentence| &sentence.evidence);
        let papers = self.papers.list.iter().map(|paper| &paper.evidence);
        let waves = self.waves.iter().map(|wave| &wave.evidence);
        let all = figures.chain(reasons).chain(sentences).chain(papers).chain(waves).chain([&self.incident.evidence]);
        let mut all: Vec<u64> = all.flat_map(Evidence::indices).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn figures(case: &Case, assessment: &Assessment) -> Vec<Figure> {
    let (whole, people) = (case.effect.whole(), case.effect.people());
    let suspect = case.effect.of(|audience| audience == "suspect");
    let mut list: Vec<Figure> = Vec::new();
    let mut add = |key: &str, words: &str, value: u64, unit: &str, evidence: &Evidence| {
        list.push(Figure {
            id: format!("F{}", list.len() + 1),
            key: key.to_owned(),
            words: plain(words),
            value,
            unit: unit.to_owned(),
            evidence: evidence.clone(),
        });
    };
    let held = whole.refused + whole.challenged + whole.roomed;
    add("requests", "requests that came while a wave or a measure lasted", whole.requests, "", &whole.evidence);
    add(
        "busiest",
        "requests in the busiest ten seconds of one platform",
        whole.busiest.count,
        "",
        &whole.busiest.evidence,
    );
    add("served", "requests that were served", whole.served, "", &whole.evidence);
    add("held", "requests that were refused, challenged or sent to the waiting room", held, "", &whole.evidence);
    add("failed", "requests that the platforms or the gate failed", whole.failed, "", &whole.evidence);
    add("bytes_in", "bytes that came in", whole.bytes_in, "bytes", &whole.evidence);
    add("suspect", "requests that matched what the attack had in common", suspect.requests, "", &suspect.evidence);
    add("people", "requests of people who were known as such, or vouched for", people.requests, "", &people.evidence);
    add(
        "people_touched",
        "of these, refused, challenged or delayed by our own measures",
        people.touched(),
        "",
        &people.evidence,
    );
    add("people_refused", "of these, refused", people.refused.values().sum(), "", &people.evidence);
    add("probes", "probes of our own", whole.probes[0], "", &whole.probe_evidence);
    add("probes_good", "of these, answered whole and right", whole.probes[1], "", &whole.probe_evidence);
    let (mut ran, mut refused, mut cut, mut evidence) = (0, 0, 0, Evidence::default());
    for of in case.statements.values() {
        ran += of.ran;
        refused += of.refused.values().sum::<u64>();
        cut += of.cut;
        evidence.merge(&of.evidence);
    }
    add("statements", "statements that went on to a database", ran, "", &evidence);
    add("statements_refused", "statements that were refused before they reached a database", refused, "", &evidence);
    add("sessions_cut", "sessions with a database that were cut", cut, "", &evidence);
    let (mut rows, mut bytes, mut unread, mut evidence) = (0, 0, 0, Evidence::default());
    for left in case.left.values() {
        rows += left.rows;
        bytes += left.bytes;
        unread += left.uninspected.values().sum::<u64>();
        evidence.merge(&left.evidence);
    }
    add("rows", "rows that left a database", rows, "", &evidence);
    add("bytes_out", "bytes that left by guarded paths", bytes, "bytes", &evidence);
    add("unread", "of these, not looked at", unread, "bytes", &evidence);
    add("canaries", "canaries that were seen", case.canaries.count, "", &case.canaries.evidence);
    add("budgets", "budgets that were reached", case.breaches.count, "", &case.breaches.evidence);
    add("findings", "changes that nothing authorised", case.findings.count, "", &case.findings.evidence);
    add("authorised", "changes that were authorised", case.authorised.count, "", &case.authorised.evidence);
    add(
        "logins_failed",
        "logins to what administers the gate that failed",
        case.logins[0].count,
        "",
        &case.logins[0].evidence,
    );
    for ((what, platform), tally) in case.alarms.iter().take(50) {
        add(
            &format!("alarm_{what}_{platform}"),
            &format!("alarms: {what} on {platform}"),
            tally.count,
            "",
            &tally.evidence,
        );
    }
    if let Some(share) = assessment.coverage {
        let mut evidence = Evidence::default();
        assessment.paths.iter().for_each(|path| evidence.merge(&path.stretch.evidence));
        add(
            "coverage",
            "path time that was covered, of all that is registered",
            (share * 10_000.0).floor() as u64,
            "1/10,000",
            &evidence,
        );
    }
    list
}

fn platforms(case: &Case) -> Vec<PlatformReport> {
    let each = |(name, flow): (&String, &Flow)| PlatformReport {
        name: name.clone(),
        requests: flow.requests,
        served: flow.served,
        failed: flow.failed,
        held: flow.refused + flow.challenged + flow.roomed,
        delayed: flow.delayed,
        busiest: flow.busiest.count,
        busiest_at: moment::speak(flow.busiest_at),
        per_second: flow.peak_per_second(),
        ordinary_ms: flow.ordinary_micros.map(|micros| micros / 1000),
        worst_ms: flow.worst_micros / 1000,
        slowed_from: flow.slowed_from.map(moment::speak),
        restored: flow.restored.map(moment::speak),
        slow: flow.slow.clone(),
        chart: Chart::of(name, flow),
        rows: flow.series.rows(chart::ROWS),
    };
    case.effect.platforms.iter().map(each).collect()
}

fn routes(case: &Case) -> (Vec<RouteHarm>, usize) {
    let mut all: Vec<_> = case.effect.routes.iter().filter(|(_, harm)| harm.touched() + harm.failed > 0).collect();
    all.sort_by_key(|(_, harm)| std::cmp::Reverse(harm.touched()));
    let more = all.len().saturating_sub(ROUTES);
    let listed = all.into_iter().take(ROUTES).map(|((platform, route, audience), harm)| RouteHarm {
        platform: platform.clone(),
        route: route.clone(),
        audience: audience.clone(),
        requests: harm.requests,
        served: harm.served,
        failed: harm.failed,
        refused: harm.refused.values().sum(),
        challenged: harm.challenged,
        roomed: harm.roomed,
        delayed: harm.delayed,
        visitors: match harm.visitors {
            [least, most] if least == most => spaced(least),
            [least, most] => format!("{} to {}", spaced(least), spaced(most)),
        },
        evidence: harm.evidence.clone(),
    });
    (listed.collect(), more)
}

fn wave_report(wave: &Surge, until: u64) -> WaveReport {
    let end = wave.until.unwrap_or(until);
    WaveReport {
        number: wave.number,
        from: moment::speak(wave.from),
        until: wave.until.map_or_else(|| "it lasts".to_owned(), moment::speak),
        lasted: moment::span(end.saturating_sub(wave.from)),
        platforms: wave.platforms.iter().cloned().collect(),
        evidence: wave.evidence.clone(),
    }
}

/// The first measure of ours after the first sign.
fn first_act(case: &Case) -> Option<Said> {
    let measure =
        case.effect.measures.iter().filter(|measure| measure.from >= case.from).min_by_key(|measure| measure.from)?;
    let after = moment::span(measure.from - case.from);
    let by = if measure.by == "gate" { "by itself".to_owned() } else { format!("by {}", measure.by) };
    let words =
        format!("{} ({}) on {}, {by}, {after} after the first sign", measure.what, measure.action, measure.platform);
    Some(Said { at: measure.from, words, evidence: measure.evidence.clone() })
}

fn copies(case: &Case) -> Vec<CopyReport> {
    let Some((copies, _)) = &case.copies else { return Vec::new() };
    let each = |copy: &portcullis_ledger::Copy| CopyReport {
        name: plain(&copy.name),
        what: plain(&copy.what),
        holder: plain(&copy.holder),
        categories: copy.categories.iter().map(|category| plain(category)).collect(),
        people: copy.people,
    };
    copies.copies.iter().map(each).collect()
}

const HYPOTHESES: [&str; 6] = [
    "nothing but unavailability",
    "taken through an application",
    "taken through the database",
    "taken from a side copy or a processor",
    "something was altered",
    "a crowd, and no attack",
];

/// Evidence against hypotheses, as disclosure: no score is made of it.
fn weighed(case: &Case, assessment: &Assessment) -> Vec<Weighed> {
    const F: &str = "for";
    const A: &str = "against";
    const N: &str = "says nothing";
    let mut table = Vec::new();
    let mut add =
        |words: String, says, evidence: &Evidence| table.push(Weighed { words, says, evidence: evidence.clone() });
    let whole = case.effect.whole();
    let suspect = case.effect.of(|audience| audience == "suspect");
    if suspect.requests > 0 {
        let words = format!(
            "{} of {} requests matched what no ordinary traffic shows.",
            spaced(suspect.requests),
            spaced(whole.requests)
        );
        add(words, [N, N, N, N, N, A], &suspect.evidence);
    }
    let over = case.breaches.list.iter().filter(|breach| breach.left > breach.allowed).count();
    if case.canaries.count == 0 && over == 0 {
        let mut evidence = Evidence::default();
        case.left.values().for_each(|left| evidence.merge(&left.evidence));
        add("No canary was seen and no budget passed.".to_owned(), [F, A, A, N, N, N], &evidence);
    } else {
        let mut evidence = case.canaries.evidence.clone();
        evidence.merge(&case.breaches.evidence);
        add(
            format!("{} canaries were seen, {over} budgets passed.", spaced(case.canaries.count)),
            [A, F, F, F, N, N],
            &evidence,
        );
    }
    let refused: u64 = case.statements.values().flat_map(|ran| ran.refused.values()).sum();
    if refused > 0 {
        let mut evidence = Evidence::default();
        case.statements.values().for_each(|ran| evidence.merge(&ran.evidence));
        add(
            format!("{} statements were tried on a database and refused.", spaced(refused)),
            [N, N, N, N, N, A],
            &evidence,
        );
    }
    match assessment.headline(Claim::Integrity).map(|verdict| verdict.outcome) {
        Some(Outcome::Refused) => {
            add(
                format!("{} changes were found that nothing authorised.", spaced(case.findings.count)),
                [A, N, N, N, F, A],
                &case.findings.evidence,
            );
        }
        Some(Outcome::Bounded | Outcome::NoSign | Outcome::Attested) => {
            add(
                "Every change that was found was authorised.".to_owned(),
                [F, N, N, N, A, N],
                &case.authorised.evidence,
            );
        }
        _ => {}
    }
    for ((what, platform), tally) in case.alarms.iter().take(10) {
        add(format!("{} alarms of {what} on {platform}.", spaced(tally.count)), [A, N, N, N, N, A], &tally.evidence);
    }
    let monitored = assessment.paths.iter().all(|path| path.custody == portcullis_ledger::Custody::Guarded);
    if !monitored {
        add(
            "Some paths of the register are not measured.".to_owned(),
            [N, N, N, N, N, N],
            &case.copies.as_ref().map(|(_, it)| it.clone()).unwrap_or_default(),
        );
    }
    table
}

fn open_questions(report: &Report) -> Vec<String> {
    let mut open = Vec::new();
    for verdict in report.assessment.headlines.iter().filter(|verdict| verdict.outcome == Outcome::CannotSay) {
        let because = verdict.because.first().map_or("", |reason| reason.words.as_str());
        open.push(format!("{} {because}", verdict.sentence));
    }
    open.extend(report.assessment.residuals.iter().map(|residual| format!("Explain: {}", residual.words)));
    if report.reports.is_empty() {
        open.push("No report to an authority is on record.".to_owned());
    }
    if report.open {
        open.push("No person has closed the incident.".to_owned());
    }
    if report.organisation.name.is_empty() {
        open.push("The configuration does not say whose gate this is ([organisation]).".to_owned());
    }
    open
}
