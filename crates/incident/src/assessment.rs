//! What can be said: of confidentiality, integrity and availability, for each kind of place where personal data is.
//!
//! Never says more than the evidence carries. The rules, in the order in which they are tried:
//!
//! 1. A canary that was seen, more that left than a budget allows, a change that nothing authorised, or a person who says that a
//!    copy is not intact: the sentence is refused, with what it was.
//! 2. No register, no copy of that kind, nobody watching, a ledger that does not verify or has a hole, or a last drill that
//!    failed: we cannot say.
//! 3. Otherwise how likely, from what was not watched and what drills do not rule out; where nobody drilled, only that there was
//!    no sign. Confidence is said apart: high needs coverage of 99.5 %, drills of the last day that bound what they miss at 1 %,
//!    a quorum of witnesses, nothing unexplained, and no copy without a guard or a person's word. A path that nobody guards is
//!    named in the sentence and caps it at moderate; so does what could not be tried right before. Losses in the ledger, and drills that failed since, leave it low.

use std::collections::BTreeSet;

use portcullis_ledger::{Copy, Custody};
use serde::Serialize;

use crate::case::{Case, Drills};
use crate::coverage::Stretch;
use crate::docket::place;
use crate::evidence::{Evidence, plain};
use crate::moment::{self, DAY};
use crate::statement::spaced;
use crate::words::{Confidence, Likelihood};

/// Coverage that high confidence needs.
const HIGH_COVERAGE: f64 = 0.995;
/// Coverage below which confidence is low.
const MODERATE_COVERAGE: f64 = 0.95;
/// Coverage below which nothing can be said.
const LEAST_COVERAGE: f64 = 0.5;
/// What drills must rule out missing, for high confidence.
const HIGH_BOUND: f64 = 0.01;
/// A witness counts who signed within so long before the end.
const WITNESS_FRESH: u64 = 10 * moment::MINUTE;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// Nothing left that should not.
    Confidentiality,
    /// Nothing changed that should not.
    Integrity,
    /// It could be used.
    Availability,
}

/// Where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asset {
    /// Web platforms.
    Web,
    /// Databases.
    Database,
    /// Copies beside them: backups, exports, spreadsheets.
    SideCopy,
    /// Others who process for us.
    Processor,
    /// What opens all of these.
    Credentials,
}

impl Claim {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Confidentiality, Self::Integrity, Self::Availability];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Confidentiality => "confidentiality",
            Self::Integrity => "integrity",
            Self::Availability => "availability",
        }
    }
}

impl Asset {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Web, Self::Database, Self::SideCopy, Self::Processor, Self::Credentials];

    /// As the register has it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Database => "database",
            Self::SideCopy => "side-copy",
            Self::Processor => "processor",
            Self::Credentials => "credentials",
        }
    }

    /// As a sentence has it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Web => "the web platforms",
            Self::Database => "the databases",
            Self::SideCopy => "side copies",
            Self::Processor => "processors",
            Self::Credentials => "credentials",
        }
    }
}

/// What can be said about a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing of that kind is in the register.
    NotRegistered,
    /// It was measured and kept.
    Kept,
    /// So likely at most.
    Bounded,
    /// A person states it, nothing of ours measures it.
    Attested,
    /// No sign was seen; how much that says was not tried.
    NoSign,
    /// It was measured and fell short.
    Reduced,
    /// We cannot say.
    CannotSay,
    /// The sentence is refused: the evidence is against it.
    Refused,
}

/// A reason, with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// In a sentence.
    pub words: String,
    /// The records.
    pub evidence: Evidence,
}

/// What can be said about one claim and one kind of place.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// What was asked.
    pub claim: Claim,
    /// Where; none of all places together.
    pub asset: Option<Asset>,
    /// What came out.
    pub outcome: Outcome,
    /// How likely a breach was, at most.
    pub likelihood: Option<Likelihood>,
    /// How much the judgement bears.
    pub confidence: Confidence,
    /// The sentence that may be said.
    pub sentence: String,
    /// What may be said of its confidence.
    pub confidence_sentence: String,
    /// What stands against it, or limits it.
    pub because: Vec<Reason>,
    /// The share of path time that was covered.
    pub coverage: Option<f64>,
    /// The share that drills do not rule out missing (95 %).
    pub miss_bound: Option<f64>,
}

/// What the caller found out about the ledger.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ledger {
    /// It was verified: every leaf, the tree, the checkpoint. None where it was not tried.
    pub verified: Option<bool>,
    /// What was found, in words.
    pub words: String,
    /// Leaves.
    pub size: u64,
    /// The root, in base64, as its last checkpoint has it.
    pub root: String,
    /// The last checkpoint.
    pub checkpoint: String,
    /// The verifier key.
    pub key: String,
    /// Witnesses that must have signed.
    pub quorum: u32,
    /// What was tried right before; none where nobody was asked to.
    pub tried: Option<Tried>,
}

/// What was tried right before anything was said: inert probes through the real paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// In words, without a full stop.
    pub words: String,
    /// Everything was tried, and seen.
    pub sound: bool,
}

impl Tried {
    /// Nothing was.
    #[must_use]
    pub fn not(why: &str) -> Self {
        Self { words: why.to_owned(), sound: false }
    }
}

/// A path of the register, as it stood in this incident.
#[derive(Debug, Clone, Serialize)]
pub struct PathState {
    /// The copy it leads to.
    pub copy: String,
    /// What kind of place that is.
    pub asset: String,
    /// Its name.
    pub path: String,
    /// What it is.
    pub words: String,
    /// `guarded`, `attested`, `unguarded`.
    pub custody: Custody,
    /// Who must watch.
    pub sensors: Vec<String>,
    /// How much of the time they did.
    pub stretch: Stretch,
    /// Between 0 and 1.
    pub coverage: f64,
    /// The least that drills rule out missing (95 %), where there were any in the last day and none failed.
    pub miss_bound: Option<f64>,
    /// Attempts since the last failure.
    pub drills: u64,
    /// A drill failed and none has succeeded since.
    pub failed_drill: bool,
    /// A drill failed within the incident or the day before, and others succeeded since.
    pub was_failing: bool,
    /// The drills.
    pub drill_evidence: Evidence,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Assessment {
    /// One sentence for each claim, over all places.
    pub headlines: Vec<Verdict>,
    /// Each claim for each kind of place.
    pub verdicts: Vec<Verdict>,
    /// Every path.
    pub paths: Vec<PathState>,
    /// Covered path time as a share of all that is registered, unguarded paths included.
    pub coverage: Option<f64>,
    /// The same of guarded paths alone.
    pub guarded_coverage: Option<f64>,
    /// What nothing explains.
    pub residuals: Vec<Reason>,
    /// What is wrong with the ledger.
    pub ledger_faults: Vec<Reason>,
    /// Witnesses that signed lately, and whether that is a quorum.
    pub witnesses: Vec<String>,
    /// Enough of them.
    pub quorum: bool,
}

/// What the ledger's state allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    Sound,
    Losses,
    Broken,
}

impl Assessment {
    /// Judges.
    #[must_use]
    pub fn of(case: &Case, ledger: &Ledger) -> Self {
        let judge = Judge::new(case, ledger);
        let mut verdicts = Vec::new();
        for claim in Claim::ALL {
            verdicts.extend(Asset::ALL.map(|asset| judge.verdict(claim, asset)));
        }
        let headlines = Claim::ALL.map(|claim| judge.headline(claim, &verdicts)).into();
        let share = |guarded: bool| {
            let paths = judge.paths.iter().filter(|path| !guarded || path.custody == Custody::Guarded);
            let (covered, of) = paths.fold((0, 0), |(covered, of), path| {
                (covered + path.stretch.covered_millis, of + path.stretch.of_millis)
            });
            ratio(covered, of)
        };
        Self {
            headlines,
            verdicts,
            coverage: share(false),
            guarded_coverage: share(true),
            residuals: judge.residuals,
            ledger_faults: judge.faults,
            witnesses: judge.witnesses,
            quorum: judge.quorum,
            paths: judge.paths,
        }
    }

    /// What can be said of a claim over all places.
    #[must_use]
    pub fn headline(&self, claim: Claim) -> Option<&Verdict> {
        self.headlines.iter().find(|verdict| verdict.claim == claim)
    }
}

struct Judge<'a> {
    case: &'a Case,
    paths: Vec<PathState>,
    faults: Vec<Reason>,
    ground: Ground,
    residuals: Vec<Reason>,
    witnesses: Vec<String>,
    quorum: bool,
    /// Why what was tried last says less than it might.
    untried: Option<Reason>,
}

impl<'a> Judge<'a> {
    fn new(case: &'a Case, ledger: &Ledger) -> Self {
        let (faults, ground) = ledger_faults(case, ledger);
        let witnesses: Vec<String> = case
            .books
            .witnesses
            .iter()
            .filter(|(_, (at, ..))| at.saturating_add(WITNESS_FRESH) >= case.until)
            .map(|(name, _)| name.clone())
            .collect();
        // High confidence asks for a witness whatever was configured: nobody vouches for themselves.
        let quorum = witnesses.len() >= ledger.quorum.max(1) as usize;
        let untried = ledger.tried.as_ref().filter(|tried| !tried.sound);
        let untried = untried.map(|tried| reason(sentence(&tried.words), Evidence::default()));
        Self { case, paths: paths(case), faults, ground, residuals: residuals(case), witnesses, quorum, untried }
    }

    fn copies(&self, asset: Asset) -> impl Iterator<Item = &'a Copy> {
        let copies = self.case.copies.iter().flat_map(|(copies, _)| &copies.copies);
        copies.filter(move |copy| copy.what == asset.key())
    }

    fn verdict(&self, claim: Claim, asset: Asset) -> Verdict {
        if self.case.copies.is_none() && claim != Claim::Availability {
            let because = vec![reason("No register of copies of personal data is in the ledger.", Evidence::default())];
            return cannot(claim, Some(asset), because);
        }
        let against = self.against(claim, asset);
        if !against.is_empty() {
            return refused(claim, Some(asset), against);
        }
        if claim == Claim::Availability && asset == Asset::Web {
            return self.availability();
        }
        if self.copies(asset).next().is_none() {
            return Verdict {
                outcome: Outcome::NotRegistered,
                sentence: format!(
                    "No copy of personal data at {} is in the register, and nothing is said about any.",
                    asset.words()
                ),
                ..blank(claim, Some(asset))
            };
        }
        match (claim, asset) {
            (Claim::Confidentiality, _) => self.confidentiality(asset),
            (Claim::Integrity, Asset::Web | Asset::Database) => self.integrity(asset),
            _ => self.attested(claim, asset),
        }
    }

    /// What refuses the sentence.
    fn against(&self, claim: Claim, asset: Asset) -> Vec<Reason> {
        let mut against = Vec::new();
        for said in self.case.assurances.list.iter().filter(|said| !said.intact && claim != Claim::Availability) {
            if self.copies(asset).any(|copy| copy.name == said.copy) {
                let words = format!("{} states that {} is not intact: {}", said.by, said.copy, said.words);
                against.push(reason(words, said.evidence.clone()));
            }
        }
        match claim {
            Claim::Confidentiality => {
                for hit in self.case.canaries.list.iter().filter(|hit| self.concerns(&hit.path, asset)) {
                    let what = if hit.left { "left" } else { "was asked for and stopped" };
                    let words = format!(
                        "Canary {} {what} by {} through {} at {}.",
                        hit.canary,
                        hit.path,
                        hit.through,
                        moment::speak(hit.at)
                    );
                    against.push(reason(words, hit.evidence.clone()));
                }
                let over = |left: u64, allowed: u64| left > allowed;
                for breach in &self.case.breaches.list {
                    if over(breach.left, breach.allowed) && self.concerns(&breach.path, asset) {
                        let words = format!(
                            "{} {} left by {} through {}, where {} are allowed to one {}, at {}.",
                            spaced(breach.left),
                            breach.what,
                            breach.path,
                            breach.through,
                            spaced(breach.allowed),
                            breach.whose,
                            moment::speak(breach.at)
                        );
                        against.push(reason(words, breach.evidence.clone()));
                    }
                }
                for (list, count, what) in [
                    (self.case.canaries.list.len(), self.case.canaries.count, "canaries"),
                    (self.case.breaches.list.len(), self.case.breaches.count, "budgets"),
                ] {
                    if count > list as u64 {
                        let more = spaced(count - list as u64);
                        against.push(reason(format!("{more} more {what}, too many to list."), Evidence::default()));
                    }
                }
            }
            Claim::Integrity => {
                for found in &self.case.findings.list {
                    if asset_of_finding(&found.what) == Some(asset) {
                        let words = format!("{} Nothing authorised it.", found.words);
                        against.push(reason(words, found.evidence.clone()));
                    }
                }
            }
            Claim::Availability => {}
        }
        against
    }

    /// Whether what was seen on a path concerns a kind of place. What the register does not know concerns all.
    fn concerns(&self, path: &str, asset: Asset) -> bool {
        let mut of = self.paths.iter().filter(|known| known.path == path).peekable();
        of.peek().is_none() || of.any(|known| known.asset == asset.key())
    }

    fn confidentiality(&self, asset: Asset) -> Verdict {
        let own: Vec<&PathState> = self.paths.iter().filter(|path| path.asset == asset.key()).collect();
        let mut verdict = self.judge(Claim::Confidentiality, asset, &own);
        let what = format!("personal data was taken from {}", asset.words());
        self.phrase(&mut verdict, &own, &what, "personal data was taken");
        verdict
    }

    fn integrity(&self, asset: Asset) -> Verdict {
        let sensors: Vec<String> =
            self.case.watch.names().filter(|name| watches_integrity(name) == Some(asset)).map(str::to_owned).collect();
        if sensors.is_empty() {
            let words = format!("No sensor watches what {} are made of.", asset.words());
            return cannot(Claim::Integrity, Some(asset), vec![reason(words, Evidence::default())]);
        }
        // Each sensor is a path of its own: a blind one is not made up for by the others.
        let own: Vec<PathState> = sensors
            .into_iter()
            .map(|sensor| {
                let stretch = self.case.watch.stretch(&[&sensor], self.case.from, self.case.until);
                PathState {
                    asset: asset.key().to_owned(),
                    words: sensor.clone(),
                    sensors: vec![sensor.clone()],
                    ..PathState::measured(self.case, sensor, stretch)
                }
            })
            .collect();
        let own: Vec<&PathState> = own.iter().collect();
        let mut verdict = self.judge(Claim::Integrity, asset, &own);
        let what = format!("{} were changed without authority", asset.words());
        self.phrase(&mut verdict, &own, &what, "a change without authority");
        if asset == Asset::Database && verdict.outcome != Outcome::CannotSay {
            let words = "Rows that a role may change were not compared; schema, roles and functions were.";
            verdict.because.push(reason(words, Evidence::default()));
        }
        verdict
    }

    /// The part that confidentiality and integrity share: what caps, what is missing, how likely.
    fn judge(&self, claim: Claim, asset: Asset, own: &[&PathState]) -> Verdict {
        let mut because = Vec::new();
        let guarded: Vec<&&PathState> = own.iter().filter(|path| path.custody == Custody::Guarded).collect();
        let attested: Vec<&&PathState> = own.iter().filter(|path| path.custody == Custody::Attested).collect();
        let unstated: Vec<&&&PathState> = attested.iter().filter(|path| self.stated(&path.copy).is_none()).collect();
        if self.ground == Ground::Broken {
            return cannot(claim, Some(asset), self.faults.clone());
        }
        for path in own.iter().filter(|path| path.failed_drill) {
            let words = format!("The last drill on {} was not seen.", path.path);
            because.push(reason(words, path.drill_evidence.clone()));
        }
        if !because.is_empty() {
            return cannot(claim, Some(asset), because);
        }
        if guarded.is_empty() && unstated.is_empty() && !attested.is_empty() {
            return self.attested(claim, asset);
        }
        let (covered, of) = guarded
            .iter()
            .fold((0, 0), |(covered, of), path| (covered + path.stretch.covered_millis, of + path.stretch.of_millis));
        let Some(coverage) = ratio(covered, of) else {
            let words = format!("No path to {} is guarded.", asset.words());
            return cannot(claim, Some(asset), vec![reason(words, Evidence::default())]);
        };
        let worst = guarded.iter().map(|path| path.coverage).fold(1.0, f64::min);
        for path in guarded.iter().filter(|path| path.coverage < HIGH_COVERAGE) {
            let causes: Vec<String> = path
                .stretch
                .by_cause
                .iter()
                .map(|(cause, millis)| format!("{cause} for {}", moment::span(*millis)))
                .collect();
            let words =
                format!("{} was watched {} of the time: {}.", path.path, percent(path.coverage), causes.join("; "));
            because.push(reason(words, path.stretch.evidence.clone()));
        }
        if worst < LEAST_COVERAGE {
            return Verdict { coverage: Some(coverage), ..cannot(claim, Some(asset), because) };
        }
        let mut confidence = Confidence::High;
        let mut cap = |to: Confidence, why: Reason, because: &mut Vec<Reason>| {
            confidence = confidence.min(to);
            because.push(why);
        };
        if worst < MODERATE_COVERAGE {
            let words = format!("Coverage is below {}.", percent(MODERATE_COVERAGE));
            cap(Confidence::Low, reason(words, Evidence::default()), &mut because);
        } else if coverage < HIGH_COVERAGE || worst < HIGH_COVERAGE {
            let words = format!("Coverage is below {}.", percent(HIGH_COVERAGE));
            cap(Confidence::Moderate, reason(words, Evidence::default()), &mut because);
        }
        if self.ground == Ground::Losses {
            for fault in &self.faults {
                cap(Confidence::Low, fault.clone(), &mut because);
            }
        }
        for path in own.iter().filter(|path| path.was_failing) {
            let words = format!("A drill on {} was not seen, though those after it were.", path.path);
            cap(Confidence::Low, reason(words, path.drill_evidence.clone()), &mut because);
        }
        for path in guarded.iter().filter(|path| path.miss_bound.is_none_or(|bound| bound > HIGH_BOUND)) {
            let words = match path.miss_bound {
                Some(bound) if bound >= 1.0 => {
                    format!(
                        "So few drills on {} ({}) do not bound what is missed there.",
                        path.path,
                        spaced(path.drills)
                    )
                }
                Some(bound) => format!(
                    "{} drills on {} bound what is missed there at {}, not at {}.",
                    spaced(path.drills),
                    path.path,
                    percent_up(bound),
                    percent(HIGH_BOUND)
                ),
                None => format!("Nobody tried {} in the last day.", path.path),
            };
            cap(Confidence::Moderate, reason(words, path.drill_evidence.clone()), &mut because);
        }
        for path in own.iter().filter(|path| path.custody == Custody::Unguarded) {
            let words = format!("Nobody guards {} ({}), a path to {}.", path.path, path.words, path.copy);
            cap(Confidence::Moderate, reason(words, self.register()), &mut because);
        }
        for path in &unstated {
            let words = format!("Nobody states how {} stood, though the register says that somebody would.", path.copy);
            cap(Confidence::Moderate, reason(words, self.register()), &mut because);
        }
        for path in &self.case.dropped_paths {
            let words = format!("{path} was taken out of the register while the incident lasted.");
            cap(Confidence::Moderate, reason(words, self.register()), &mut because);
        }
        for residual in &self.residuals {
            cap(Confidence::Moderate, residual.clone(), &mut because);
        }
        if let Some(untried) = &self.untried {
            cap(Confidence::Moderate, untried.clone(), &mut because);
        }
        if !self.quorum {
            let words = "No quorum of witnesses has signed the ledger lately.";
            cap(Confidence::Moderate, reason(words, Evidence::default()), &mut because);
        }
        // Were something to happen here, it would be missed where nobody watched, and where watching misses.
        let bounds: Option<Vec<f64>> = guarded.iter().map(|path| path.miss_bound).collect();
        let miss_bound = bounds.map(|bounds| bounds.into_iter().fold(0.0, f64::max));
        let likelihood = miss_bound.and_then(|missed| Likelihood::at_most(1.0 - worst * (1.0 - missed)));
        Verdict {
            outcome: if likelihood.is_some() { Outcome::Bounded } else { Outcome::NoSign },
            likelihood,
            confidence,
            because,
            coverage: Some(coverage),
            miss_bound,
            ..blank(claim, Some(asset))
        }
    }

    /// Puts it in a sentence, where there is one to be said.
    fn phrase(&self, verdict: &mut Verdict, own: &[&PathState], what: &str, sign: &str) {
        let on = if self.narrows(own) { " on the monitored paths" } else { "" };
        let asset = verdict.asset.map_or("", Asset::words);
        verdict.sentence = match (verdict.outcome, verdict.likelihood) {
            (Outcome::Bounded, Some(likelihood)) => format!("{} {what}{on}.", likelihood.opening()),
            (Outcome::NoSign, _) => format!("We have seen no sign of {sign} at {asset}{on}."),
            _ => return,
        }
        .replace("no sign of personal data was taken", "no sign that personal data was taken");
        verdict.confidence_sentence = confidence_sentence(verdict);
    }

    fn narrows(&self, own: &[&PathState]) -> bool {
        own.iter().any(|path| path.custody == Custody::Unguarded)
            || own.iter().any(|path| path.custody == Custody::Attested && self.stated(&path.copy).is_none())
            || !self.case.dropped_paths.is_empty()
    }

    fn availability(&self) -> Verdict {
        let (people, whole) = (self.case.effect.people(), self.case.effect.whole());
        let claim = Claim::Availability;
        if whole.requests == 0 && whole.probes[0] == 0 {
            let because = vec![reason("Neither traffic nor a probe is on record.", Evidence::default())];
            return cannot(claim, Some(Asset::Web), because);
        }
        let mut because = Vec::new();
        if people.touched() > 0 {
            let words = format!(
                "Our own measures refused, challenged or delayed {} of {} requests of people who are known as such.",
                spaced(people.touched()),
                spaced(people.requests)
            );
            because.push(reason(words, people.evidence.clone()));
        }
        if whole.failed > 0 {
            let words =
                format!("The platforms failed {} of {} requests.", spaced(whole.failed), spaced(whole.requests));
            because.push(reason(words, whole.evidence.clone()));
        }
        for (name, flow) in &self.case.effect.platforms {
            let slow: u64 = flow.slow.iter().map(|slow| slow.until - slow.from).sum();
            if slow > 0 {
                let mut evidence = Evidence::default();
                flow.slow.iter().for_each(|slow| evidence.merge(&slow.evidence));
                let words = format!(
                    "{name} answered slowly or not at all for {} in all, as our own probes saw it.",
                    moment::span(slow)
                );
                because.push(reason(words, evidence));
            }
        }
        let reduced = !because.is_empty();
        let mut confidence = if whole.probes[0] > 0 { Confidence::High } else { Confidence::Moderate };
        if self.ground != Ground::Sound {
            confidence = Confidence::Low;
            because.extend(self.faults.iter().cloned());
        }
        let sentence = if reduced {
            let open = self
                .case
                .effect
                .platforms
                .iter()
                .filter(|(_, flow)| flow.slowed_from.is_some() && flow.restored.is_none());
            let open: Vec<&str> = open.map(|(name, _)| name.as_str()).collect();
            match (open.is_empty(), self.case.effect.platforms.values().filter_map(|flow| flow.restored).max()) {
                (true, Some(at)) => format!(
                    "The web platforms were slower or refused some people for a time; full service was back at {}.",
                    moment::speak(at)
                ),
                (true, None) => "The web platforms failed or refused some people for a time.".to_owned(),
                (false, _) => format!(
                    "The web platforms were slower or refused some people, and {} is not back to full service.",
                    open.join(", ")
                ),
            }
        } else {
            "The web platforms could be used throughout, as our own probes saw them and by what was served.".to_owned()
        };
        let mut verdict = Verdict {
            outcome: if reduced { Outcome::Reduced } else { Outcome::Kept },
            confidence,
            sentence,
            because,
            coverage: ratio(whole.probes[1], whole.probes[0]),
            ..blank(claim, Some(Asset::Web))
        };
        verdict.confidence_sentence = confidence_sentence(&verdict);
        verdict
    }

    /// What nothing of ours measures: a person states it, or we cannot say.
    fn attested(&self, claim: Claim, asset: Asset) -> Verdict {
        let missing: Vec<Reason> = self
            .copies(asset)
            .filter(|copy| self.stated(&copy.name).is_none())
            .map(|copy| {
                let words = format!(
                    "Nothing measures the {} of {}, and nobody states how it stood.",
                    claim.word(),
                    plain(&copy.name)
                );
                reason(words, self.register())
            })
            .collect();
        if !missing.is_empty() {
            return cannot(claim, Some(asset), missing);
        }
        let because: Vec<Reason> = self.copies(asset).filter_map(|copy| self.stated(&copy.name)).collect();
        let who: BTreeSet<&str> =
            self.case.assurances.list.iter().filter(|said| said.intact).map(|said| said.by.as_str()).collect();
        let who: Vec<&str> = who.into_iter().collect();
        let mut verdict = Verdict {
            outcome: Outcome::Attested,
            confidence: if self.ground == Ground::Sound { Confidence::Moderate } else { Confidence::Low },
            sentence: format!(
                "{} stated that {} are as they were; nothing of ours measures it.",
                who.join(", "),
                asset.words()
            ),
            because,
            ..blank(claim, Some(asset))
        };
        verdict.confidence_sentence = confidence_sentence(&verdict);
        verdict
    }

    /// A person's word that covers the incident.
    fn stated(&self, copy: &str) -> Option<Reason> {
        let covers = |said: &&crate::case::Assured| {
            said.intact && said.copy == copy && said.from <= self.case.from && said.until >= self.case.incident_end()
        };
        let said = self.case.assurances.list.iter().rev().find(covers)?;
        Some(reason(format!("{} states of {}: {}", said.by, said.copy, said.words), said.evidence.clone()))
    }

    fn register(&self) -> Evidence {
        self.case.copies.as_ref().map(|(_, evidence)| evidence.clone()).unwrap_or_default()
    }

    /// One sentence over all places: no better than the worst of them.
    fn headline(&self, claim: Claim, verdicts: &[Verdict]) -> Verdict {
        let own: Vec<&Verdict> = verdicts
            .iter()
            .filter(|verdict| verdict.claim == claim && verdict.outcome != Outcome::NotRegistered)
            .collect();
        let because = |outcome: Outcome| -> Vec<Reason> {
            let of = own.iter().filter(|verdict| verdict.outcome == outcome);
            let mut all: Vec<Reason> = Vec::new();
            for reason in of.flat_map(|verdict| &verdict.because) {
                if !all.contains(reason) {
                    all.push(reason.clone());
                }
            }
            all
        };
        if own.iter().any(|verdict| verdict.outcome == Outcome::Refused) {
            return refused(claim, None, because(Outcome::Refused));
        }
        if claim == Claim::Availability {
            // What nothing measures takes nothing from what was measured; it stands in its own line.
            let web = own.iter().find(|verdict| verdict.asset == Some(Asset::Web));
            return web
                .map_or_else(|| cannot(claim, None, Vec::new()), |web| Verdict { asset: None, ..(*web).clone() });
        }
        if own.is_empty() || own.iter().any(|verdict| verdict.outcome == Outcome::CannotSay) {
            return cannot(claim, None, because(Outcome::CannotSay));
        }
        let all: Vec<&PathState> = self.paths.iter().collect();
        let mut verdict = blank(claim, None);
        verdict.outcome = own.iter().map(|verdict| verdict.outcome).max().unwrap_or(Outcome::CannotSay);
        // A person's word is no number: where one is among them, likelihood is said of what was measured.
        let measured: Vec<&&Verdict> = own.iter().filter(|verdict| verdict.outcome != Outcome::Attested).collect();
        let attested = own.len() > measured.len();
        verdict.likelihood = measured
            .iter()
            .map(|verdict| verdict.likelihood)
            .collect::<Option<Vec<_>>>()
            .and_then(|all| all.into_iter().max());
        verdict.confidence = own.iter().map(|verdict| verdict.confidence).min().unwrap_or(Confidence::None);
        verdict.coverage = measured.iter().filter_map(|verdict| verdict.coverage).reduce(f64::min);
        verdict.miss_bound = measured.iter().filter_map(|verdict| verdict.miss_bound).reduce(f64::max);
        for outcome in [Outcome::NoSign, Outcome::Bounded, Outcome::Attested] {
            verdict.because.extend(because(outcome));
        }
        verdict.because.dedup();
        let on = if self.narrows(&all) || attested { " on the monitored paths" } else { "" };
        let what = match claim {
            Claim::Confidentiality => "personal data was taken",
            _ => "the platforms or their database were changed without authority",
        };
        verdict.sentence = match verdict.likelihood.filter(|_| verdict.outcome != Outcome::NoSign) {
            Some(likelihood) => format!("{} {what}{on}.", likelihood.opening()),
            None => format!("We have seen no sign that {what}{on}."),
        };
        if attested {
            verdict.sentence.push_str(" What is not monitored, others state to be as it was.");
        }
        if self.copies(Asset::Processor).next().is_none() || self.copies(Asset::SideCopy).next().is_none() {
            let words = "The register names no processor or no side copy; the sentence is about what it names.";
            verdict.because.push(reason(words, self.register()));
        }
        verdict.confidence_sentence = confidence_sentence(&verdict);
        verdict
    }
}

impl Case {
    /// When the last wave ended, or the time of the whole where there is none: what an assurance must cover.
    #[must_use]
    pub fn incident_end(&self) -> u64 {
        self.incident.waves.iter().map(crate::docket::Surge::end).max().unwrap_or(self.until).min(self.until)
    }
}

fn ledger_faults(case: &Case, ledger: &Ledger) -> (Vec<Reason>, Ground) {
    let (books, mut faults, mut ground) = (&case.books, Vec::new(), Ground::Sound);
    let mut fault = |to: Ground, words: String, evidence: &Evidence| {
        faults.push(reason(words, evidence.clone()));
        if to == Ground::Broken || ground == Ground::Sound {
            ground = to;
        }
    };
    let none = Evidence::default();
    match ledger.verified {
        Some(true) => {}
        Some(false) => fault(Ground::Broken, format!("The ledger does not verify: {}", plain(&ledger.words)), &none),
        None => fault(Ground::Losses, "Nobody verified the ledger.".to_owned(), &none),
    }
    if books.missing > 0 {
        fault(
            Ground::Broken,
            format!("{} records are missing from the ledger within the incident.", spaced(books.missing)),
            &none,
        );
    }
    if books.untold.count > 0 {
        let words = format!(
            "{} records are missing from the sequence of their sensor, and nothing tells of their loss.",
            spaced(books.untold.count)
        );
        fault(Ground::Losses, words, &books.untold.evidence);
    }
    if books.lost.count > 0 {
        fault(
            Ground::Losses,
            format!("{} records were lost within the incident, as was told.", spaced(books.lost.count)),
            &books.lost.evidence,
        );
    }
    if books.erased.count > 0 {
        let words = format!(
            "Of {} records within the incident only the place in the tree is left.",
            spaced(books.erased.count)
        );
        fault(Ground::Losses, words, &books.erased.evidence);
    }
    (faults, ground)
}

fn residuals(case: &Case) -> Vec<Reason> {
    let mut residuals = Vec::new();
    for breach in case.breaches.list.iter().filter(|breach| breach.left <= breach.allowed) {
        let words = format!(
            "A budget was reached and held: {} {} were asked for by {} through {}, {} left of {} allowed.",
            spaced(breach.reached),
            breach.what,
            breach.path,
            breach.through,
            spaced(breach.left),
            spaced(breach.allowed)
        );
        residuals.push(reason(words, breach.evidence.clone()));
    }
    for (path, left) in &case.left {
        let unread: u64 = left.uninspected.values().sum();
        if unread > 0 {
            let causes: Vec<String> =
                left.uninspected.iter().map(|(cause, bytes)| format!("{cause} {}", spaced(*bytes))).collect();
            let words = format!(
                "{} of {} bytes that left by {path} were not looked at ({}).",
                spaced(unread),
                spaced(left.bytes),
                causes.join(", ")
            );
            residuals.push(reason(words, left.evidence.clone()));
        }
        if case.copies.is_some() && case.custody(path).is_none() {
            let words = format!("{} bytes left by {path}, which the register does not know.", spaced(left.bytes));
            residuals.push(reason(words, left.evidence.clone()));
        }
    }
    for ((database, role), ran) in &case.statements {
        let observed: u64 = ran.observed.values().sum();
        if observed > 0 {
            let words =
                format!("{} statements of {role} on {database} would have been refused and went on.", spaced(observed));
            residuals.push(reason(words, ran.evidence.clone()));
        }
    }
    for found in case.findings.list.iter().filter(|found| asset_of_finding(&found.what).is_none()) {
        residuals.push(reason(found.words.clone(), found.evidence.clone()));
    }
    if case.books.lost_requests.count > 0 {
        let words =
            format!("Of {} requests nothing but their number was kept.", spaced(case.books.lost_requests.count));
        residuals.push(reason(words, case.books.lost_requests.evidence.clone()));
    }
    if case.books.back.count > 0 {
        let words =
            format!("The clock went back {} times; what it counted ahead was dropped.", spaced(case.books.back.count));
        residuals.push(reason(words, case.books.back.evidence.clone()));
    }
    residuals
}

fn paths(case: &Case) -> Vec<PathState> {
    let Some((copies, _)) = &case.copies else { return Vec::new() };
    let mut all = Vec::new();
    for copy in &copies.copies {
        for path in &copy.paths {
            let mut stretch = case.watch.stretch(&path.sensors, case.from, case.until);
            if path.custody != Custody::Guarded {
                // Whatever beats there: nobody is said to guard it.
                stretch.covered_millis = 0;
                let cause = if path.custody == Custody::Attested { "attested, not measured" } else { "unguarded" };
                stretch.by_cause = [(cause.to_owned(), stretch.of_millis)].into();
                stretch.gaps.clear();
            } else if path.sensors.is_empty() {
                stretch.by_cause = [("no sensor is named".to_owned(), stretch.of_millis)].into();
            }
            all.push(PathState {
                copy: plain(&copy.name),
                asset: plain(&copy.what),
                path: plain(&path.name),
                words: plain(&path.words),
                custody: path.custody,
                sensors: path.sensors.iter().map(|sensor| plain(sensor)).collect(),
                ..PathState::measured(case, path.name.clone(), stretch)
            });
        }
    }
    all
}

impl PathState {
    /// A path of which no more is known than how it was watched, and what drills on it say.
    fn measured(case: &Case, path: String, stretch: Stretch) -> Self {
        let drills = drills_of(case, &path);
        Self {
            copy: String::new(),
            asset: String::new(),
            path,
            words: String::new(),
            custody: Custody::Guarded,
            sensors: Vec::new(),
            coverage: ratio(stretch.covered_millis, stretch.of_millis).unwrap_or(0.0),
            stretch,
            miss_bound: drills.bound,
            drills: drills.clean,
            failed_drill: drills.failing,
            was_failing: drills.was_failing,
            drill_evidence: drills.evidence,
        }
    }
}

#[derive(Default)]
struct Power {
    bound: Option<f64>,
    clean: u64,
    failing: bool,
    was_failing: bool,
    evidence: Evidence,
}

/// What drills on a path say. No miss in n attempts bounds the share that is missed at 3/n, with 95 % confidence (Hanley and
/// Lippman-Hand, JAMA 1983). Each kind of drill is a way of its own, and a path is as good as the worst of them.
fn drills_of(case: &Case, path: &str) -> Power {
    let mut power = Power { clean: u64::MAX, ..Power::default() };
    let mut worst: Option<f64> = None;
    let mut any = false;
    let own = |name: &str| name == path || name.split_once('/').is_none() && name == place(path);
    for (_, drills) in case.drills.iter().filter(|((name, _), _)| own(name)) {
        let drills: &Drills = drills;
        power.evidence.merge(&drills.evidence);
        power.failing |= !drills.last_seen;
        power.was_failing |= drills.last_seen && drills.failed_at.is_some();
        if drills.last.saturating_add(DAY) < case.until || drills.clean == 0 {
            continue;
        }
        any = true;
        power.clean = power.clean.min(drills.clean);
        let bound = (3.0 / drills.clean as f64).min(1.0);
        worst = Some(worst.map_or(bound, |worst| worst.max(bound)));
    }
    if !any {
        power.clean = 0;
    }
    power.bound = worst.filter(|_| !power.failing);
    power
}

/// What a finding is about; none where it is a way past the gate, and nothing is known to have changed.
fn asset_of_finding(what: &str) -> Option<Asset> {
    match what.split('-').next().unwrap_or_default() {
        "file" | "page" | "script" | "certificate" | "dns" | "configuration" => Some(Asset::Web),
        "schema" | "role" | "function" | "table" => Some(Asset::Database),
        "key" | "credential" | "login" => Some(Asset::Credentials),
        _ => None,
    }
}

/// What the sensor of that name watches: its first word says its trade.
fn watches_integrity(sensor: &str) -> Option<Asset> {
    match sensor.split('/').next().unwrap_or_default() {
        "files" | "pages" | "scripts" | "certificates" | "certificate" | "names" | "configuration" => Some(Asset::Web),
        "schema" => Some(Asset::Database),
        _ => None,
    }
}

fn confidence_sentence(verdict: &Verdict) -> String {
    if verdict.confidence == Confidence::None {
        return String::new();
    }
    let on = match (verdict.coverage, verdict.miss_bound) {
        (Some(coverage), Some(bound)) if bound < 1.0 => format!(
            ": {} of the time was covered, and drills bound what is missed at {}",
            percent(coverage),
            percent_up(bound)
        ),
        (Some(coverage), _) => format!(": {} was covered", percent(coverage)),
        _ => String::new(),
    };
    format!("Our confidence in this judgement is {}{on}.", verdict.confidence.word())
}

fn blank(claim: Claim, asset: Option<Asset>) -> Verdict {
    Verdict {
        claim,
        asset,
        outcome: Outcome::CannotSay,
        likelihood: None,
        confidence: Confidence::None,
        sentence: String::new(),
        confidence_sentence: String::new(),
        because: Vec::new(),
        coverage: None,
        miss_bound: None,
    }
}

fn cannot(claim: Claim, asset: Option<Asset>, because: Vec<Reason>) -> Verdict {
    let what = match claim {
        Claim::Confidentiality => "whether personal data was taken",
        Claim::Integrity => "whether something was changed without authority",
        Claim::Availability => "how well it could be used",
    };
    let at = asset.map_or(String::new(), |asset| format!(" at {}", asset.words()));
    Verdict { sentence: format!("We cannot say {what}{at}."), because, ..blank(claim, asset) }
}

fn refused(claim: Claim, asset: Option<Asset>, because: Vec<Reason>) -> Verdict {
    let what = match claim {
        Claim::Confidentiality => "no personal data was taken",
        Claim::Integrity => "integrity was maintained",
        Claim::Availability => "it could be used throughout",
    };
    let at = asset.map_or(String::new(), |asset| format!(" at {}", asset.words()));
    Verdict {
        outcome: Outcome::Refused,
        sentence: format!("We do not say that {what}{at}: the evidence is against it."),
        because,
        ..blank(claim, asset)
    }
}

/// Words as a sentence.
fn sentence(words: &str) -> String {
    let words = plain(words);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn reason(words: impl Into<String>, evidence: Evidence) -> Reason {
    Reason { words: words.into(), evidence }
}

fn ratio(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// `99.95 %`, rounded down so that it never says more than there is.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.2} %", (share * 10_000.0).floor() / 100.0)
}

/// The same, rounded up: of what may be missed.
fn percent_up(share: f64) -> String {
    format!("{:.2} %", (share * 10_000.0).ceil() / 100.0)
}
