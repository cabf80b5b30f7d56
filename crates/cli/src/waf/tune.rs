//! `portcullis tune`: what to leave out so that recorded requests would have passed, and what else would pass then.
//!
//! It cannot know whether a request was an attack; who reads the proposals does. It says how many visitors of which kind met
//! the refusal, and it proposes the least that suffices: single rules or families, on single variables, on one route. Variables
//! that differ in a number only, as the members of a list do, become one pattern.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use portcullis_config::{Exclusion, Policy};
use portcullis_control::model::{Reached, Release, Tuning as Told, Untried};
use portcullis_engine::Clause;
use portcullis_proxy::journal::{Part, Step, harmless, in_english};

use super::recorded::{Audience, Book, Record, read};
use super::trial::{Pair, Trials};
use super::{beginning, open, unreadable};
use crate::args::Records;
use crate::remote::Far;
use crate::{Done, Failure, talk};

/// Proposals that are made; those that most visitors met.
const MOST_PROPOSALS: usize = 100;
/// References that are named of each.
const MOST_REFERENCES: usize = 5;
/// From how many on variables that differ in a number are taken for members of a list.
const FEWEST_ALIKE: usize = 3;

/// Why a record is not tried when it takes too long.
pub(crate) const NO_TIME: &str =
    "there was no time for it: ask about less, or run `portcullis tune` on the gate's own machine";

/// Reads the log, and proposes. A gate elsewhere tries the newest of what it has, and not for long; what was left out is said.
pub(crate) fn run(flags: &Records) -> Done {
    let told = match Far::of(&flags.far, &flags.config, flags.log.as_deref())? {
        Some(far) => far.get(&format!("/api/v1/rules/exclusions?since={}", beginning(flags)))?,
        None => {
            let (policy, log, book) = open(flags)?;
            let mut trials = Trials::new(policy);
            let tuning = Tuning::of(&book.records, &mut trials, &|| false);
            Told { log: log.display().to_string(), ..tuning.told(&book.records, book.left) }
        }
    };
    if flags.json {
        // By name, in whichever order they were told.
        let value = serde_json::to_value(&told).unwrap_or_default();
        return talk::answer(&serde_json::to_string_pretty(&value).unwrap_or_default());
    }
    talk::answer(&page(&told))
}

/// The same for programs that cannot wait: of the newest `most` records, until `over` says that there is no time left. With a
/// reference, for that record alone; none where it is not among them.
pub(crate) fn proposed(
    book: &mut Book,
    policy: Policy,
    reference: Option<&str>,
    (most, over): (usize, &dyn Fn() -> bool),
) -> Option<Told> {
    let named = |record: &Record| reference.is_some_and(|reference| record.reference == reference);
    let own = reference.map(|_| book.records.iter().find(|record| named(record)).cloned());
    book.keep(most);
    let mut trials = Trials::new(policy);
    let Some(own) = own else {
        return Some(Tuning::of(&book.records, &mut trials, over).told(&book.records, book.left));
    };
    let own = own?;
    // An old one may have been left out; it is tried on the newest all the same.
    let at = book.records.iter().position(named).unwrap_or_else(|| {
        book.records.push(own);
        book.records.len() - 1
    });
    let mut tuning = Tuning::default();
    let mut tries = Tries::default();
    let record = book.records.get(at)?;
    tuning.tried = 1;
    match tries.again(&mut trials, record).and_then(|pairs| tries.least(&mut trials, record, &pairs)) {
        Err(why) => {
            tuning.tried = 0;
            tuning.untried.insert(why, 1);
        }
        Ok(None) => tuning.stubborn = 1,
        Ok(Some(pairs)) => {
            tuning.proposals.push(Group { records: vec![at], pairs }.test(&book.records, &mut trials, &mut tries));
        }
    }
    Some(tuning.told(&book.records, book.left))
}

/// The exclusions that would have let one record pass, and what else they would let pass of the newest `most`.
pub(crate) fn narrowest(policy: Policy, log: &Path, reference: &str, most: usize) -> Result<Option<Step>, Failure> {
    let mut book = read(log, None).map_err(|error| unreadable(log, &error))?;
    let own = book.records.iter().find(|record| record.reference == reference);
    let Some((platform, route)) = own.map(|own| (own.platform.clone(), own.route.clone())) else { return Ok(None) };
    let Some(told) = proposed(&mut book, policy, Some(reference), (most, &|| false)) else { return Ok(None) };
    let said = match (told.proposals.first(), told.not_tried.first()) {
        (Some(release), _) => {
            let exclusion = Clause::new("exclusion")
                .name("exclusions", &harmless(&list(release)))
                .name("platform", &harmless(&platform))
                .name("route", &harmless(&route));
            std::iter::once(exclusion).chain(trial(release)).collect()
        }
        (None, Some(untried)) => vec![Clause::new("exclusion-untried").name("why", &harmless(&untried.why))],
        (None, None) => vec![Clause::new("exclusion-none")],
    };
    Ok(Some(Step::new(Part::Exclusion, said)))
}

/// All proposals, and what none can be made for.
#[derive(Default)]
struct Tuning {
    proposals: Vec<Proposal>,
    /// Why records could not be tried, and how many.
    untried: BTreeMap<String, usize>,
    /// Records that no exclusion of single values lets pass.
    stubborn: usize,
    tried: usize,
    more: usize,
}

/// Records that the same exclusions let pass.
struct Group {
    records: Vec<usize>,
    pairs: BTreeSet<Pair>,
}

/// Exclusions for one route, tried.
struct Proposal {
    pairs: BTreeSet<Pair>,
    /// Positions of the records that they are proposed for.
    releases: Vec<usize>,
    /// Of others that would pass, too.
    also: Vec<usize>,
    /// Others in which one of them has a part, and which are refused all the same.
    stay: usize,
    /// Why the configuration would not take them.
    refused: Option<String>,
}

impl Tuning {
    /// `over` says that there is no time left.
    fn of(records: &[Record], trials: &mut Trials, over: &dyn Fn() -> bool) -> Self {
        let mut tuning = Self::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut tries = Tries::default();
        for (at, record) in records.iter().enumerate().rev() {
            if over() {
                *tuning.untried.entry(NO_TIME.to_owned()).or_default() += 1;
                continue;
            }
            let pairs = match tries.again(trials, record) {
                Ok(pairs) => pairs,
                Err(why) => {
                    *tuning.untried.entry(why).or_default() += 1;
                    continue;
                }
            };
            tuning.tried += 1;
            match tries.least(trials, record, &pairs) {
                Err(why) => *tuning.untried.entry(why).or_default() += 1,
                Ok(None) => tuning.stubborn += 1,
                Ok(Some(pairs)) => {
                    let same = |group: &&mut Group| group.pairs == pairs && group.is_on(records, record);
                    match groups.iter_mut().find(same) {
                        Some(group) => group.records.push(at),
                        None => groups.push(Group { records: vec![at], pairs }),
                    }
                }
            }
        }
        // The newest came first, in case there is no time for all; told are they in the order of time.
        groups.iter_mut().for_each(|group| group.records.reverse());
        groups.sort_by_key(|group| group.records.first().copied());
        let mut groups = alike(groups, records);
        groups.sort_by_key(|group| std::cmp::Reverse((visitors(records, &group.records), group.records.len())));
        tuning.more = groups.len().saturating_sub(MOST_PROPOSALS);
        groups.truncate(MOST_PROPOSALS);
        for group in &groups {
            if over() {
                tuning.more += 1;
            } else {
                tuning.proposals.push(group.test(records, trials, &mut tries));
            }
        }
        tuning
    }

    fn told(&self, records: &[Record], left: usize) -> Told {
        let untried = |(why, count): (&String, &usize)| Untried { why: why.clone(), records: *count as u64 };
        Told {
            records: records.len() as u64,
            older_left_out: left as u64,
            tried: self.tried as u64,
            proposals: self.proposals.iter().map(|proposal| proposal.told(records)).collect(),
            more_proposals: self.more as u64,
            no_exclusion_suffices: self.stubborn as u64,
            not_tried: self.untried.iter().map(untried).collect(),
            log: String::new(),
        }
    }
}

/// For people.
fn page(told: &Told) -> String {
    let mut text = format!(
        "{}: {} requests refused by inspection, or that would have been; {} tried again\n",
        told.log, told.records, told.tried
    );
    if told.older_left_out > 0 {
        let left = told.older_left_out;
        let _ =
            writeln!(text, "{left} older ones were left out: too many are recorded; --since names a later beginning");
    }
    for release in &told.proposals {
        let (Some(platform), Some(route)) = (&release.platform, &release.route) else { continue };
        let Reached { records, visitors, audience, .. } = &release.releases;
        let _ = writeln!(
            text,
            "\n{platform}{route}: {} of {} ({})",
            counted(*records, "request"),
            counted(*visitors, "visitor"),
            Audience::counted(audience).join(", ")
        );
        for (pair, part) in &release.matched {
            let _ = writeln!(text, "  {pair:<34} such as {part:?}");
        }
        let _ = writeln!(text, "  exclude = [{}]", list(release));
        let _ = writeln!(text, "  {}", tested(release));
    }
    if told.proposals.is_empty() {
        text.push_str("\nThere is nothing to propose.\n");
    }
    if told.more_proposals > 0 {
        let _ = writeln!(text, "\n{} more proposals that fewer visitors met", told.more_proposals);
    }
    if told.no_exclusion_suffices > 0 {
        let stubborn = counted(told.no_exclusion_suffices, "request");
        let _ = writeln!(text, "\n{stubborn}: no exclusion of single values lets them pass");
    }
    for Untried { why, records } in &told.not_tried {
        let _ = writeln!(text, "\n{} not tried: {why}", counted(*records, "request"));
    }
    text
}

/// Exclusions as a line of the configuration has them.
fn list(release: &Release) -> String {
    let quoted = |text: &String| if text.contains('\\') { format!("'{text}'") } else { format!("\"{text}\"") };
    release.exclude.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn tested(release: &Release) -> String {
    in_english(&trial(release))
}

/// What trying it came to.
fn trial(release: &Release) -> Vec<Clause> {
    if let Some(why) = &release.refused {
        return vec![Clause::new("exclusion-refused").name("why", &harmless(why))];
    }
    let released = release.releases.records as f64;
    let mut said = vec![match &release.also_releases {
        Reached { records: 0, .. } => Clause::new("tried").number("n", released),
        Reached { records, references, .. } => Clause::new("tried-beside")
            .number("n", released)
            .number("others", *records as f64)
            .name("named", &harmless(&references.join(", "))),
    }];
    if release.stay > 0 {
        said.push(Clause::new("tried-stay").number("n", release.stay as f64));
    }
    if release.unread > 0 {
        said.push(Clause::new("tried-unread").number("n", release.unread as f64));
    }
    said
}

impl Group {
    fn is_on(&self, records: &[Record], record: &Record) -> bool {
        let first = self.records.first().and_then(|at| records.get(*at));
        first.is_some_and(|first| (&first.platform, &first.route) == (&record.platform, &record.route))
    }

    /// Tries the exclusions as the configuration would hold them, on every record of the route in which one has a part.
    fn test(&self, records: &[Record], trials: &mut Trials, tries: &mut Tries) -> Proposal {
        let mut proposal =
            Proposal { pairs: self.pairs.clone(), releases: Vec::new(), also: Vec::new(), stay: 0, refused: None };
        let Some(first) = self.records.first().and_then(|at| records.get(*at)) else { return proposal };
        let compiled = trials.route(first).and_then(|(mut inspection, _)| {
            let exclusions: Vec<Exclusion> = self.pairs.iter().map(Pair::exclusion).collect();
            inspection.exclude.extend(exclusions);
            trials.inspector(&inspection)
        });
        let inspector = match compiled {
            Ok(inspector) => inspector,
            Err(why) => {
                proposal.refused = Some(why);
                return proposal;
            }
        };
        for (at, record) in records.iter().enumerate().filter(|(_, record)| self.is_on(records, record)) {
            let own = self.records.contains(&at);
            let Ok(before) = tries.again(trials, record) else { continue };
            let has_part = |pair: &Pair| self.pairs.contains(pair) || self.pairs.contains(&pair.in_general());
            if !own && !before.iter().any(has_part) {
                continue;
            }
            let stopped = trials.put(&inspector, record, &super::trial::Without::default()).stopped;
            match (own, stopped) {
                (true, false) => proposal.releases.push(at),
                (false, false) => proposal.also.push(at),
                (_, true) => proposal.stay += 1,
            }
        }
        proposal
    }
}

impl Proposal {
    fn first<'a>(&self, records: &'a [Record]) -> Option<&'a Record> {
        records.get(*self.releases.first()?)
    }

    fn told(&self, records: &[Record]) -> Release {
        let of = self.first(records);
        let reached = |at: &[usize]| Reached {
            records: at.len() as u64,
            visitors: visitors(records, at) as u64,
            audience: audiences(records, at).into_iter().map(|(name, count)| (name.to_owned(), count as u64)).collect(),
            references: at
                .iter()
                .rev()
                .take(MOST_REFERENCES)
                .filter_map(|at| Some(records.get(*at)?.reference.clone()))
                .collect(),
        };
        let unread = |at: &&usize| records.get(**at).is_some_and(|record| record.evidence.unread);
        Release {
            platform: of.map(|record| record.platform.clone()),
            route: of.map(|record| record.route.clone()),
            exclude: self.pairs.iter().map(ToString::to_string).collect(),
            matched: self.samples(records),
            releases: reached(&self.releases),
            also_releases: reached(&self.also),
            stay: self.stay as u64,
            refused: self.refused.clone(),
            unread: self.releases.iter().chain(&self.also).filter(unread).count() as u64,
        }
    }

    /// Of each, a part that matched.
    fn samples(&self, records: &[Record]) -> BTreeMap<String, String> {
        let mut samples = BTreeMap::new();
        for pair in &self.pairs {
            let part = self.releases.iter().rev().filter_map(|at| records.get(*at)).find_map(|record| {
                let hit = record.evidence.hits.iter().find(|hit| match &pair.what {
                    super::trial::What::Rule(rule) => hit.rule == Some(*rule),
                    super::trial::What::Family(family) => hit.family.as_ref() == Some(family),
                })?;
                Some(hit.part.shown())
            });
            samples.insert(pair.to_string(), part.unwrap_or_default());
        }
        samples
    }
}

/// Puts those together that differ in the numbers of their variables only.
fn alike(groups: Vec<Group>, records: &[Record]) -> Vec<Group> {
    let mut merged: Vec<(Group, Vec<Group>)> = Vec::new();
    for group in groups {
        let pairs = group.pairs.iter().map(Pair::in_general).collect();
        let first = group.records.first().and_then(|at| records.get(*at));
        let same = |known: &&mut (Group, Vec<Group>)| {
            known.0.pairs == pairs && first.is_some_and(|first| known.0.is_on(records, first))
        };
        match merged.iter_mut().find(same) {
            Some((whole, members)) => {
                whole.records.extend(&group.records);
                members.push(group);
            }
            None => merged.push((Group { records: group.records.clone(), pairs }, vec![group])),
        }
    }
    let mut groups = Vec::new();
    for (whole, members) in merged {
        if members.len() < FEWEST_ALIKE {
            groups.extend(members);
        } else {
            groups.push(whole);
        }
    }
    groups
}

/// What was tried already: a flood of one request is tried once.
#[derive(Default)]
struct Tries {
    again: BTreeMap<String, Result<BTreeSet<Pair>, String>>,
    least: BTreeMap<String, Result<Option<BTreeSet<Pair>>, String>>,
}

impl Tries {
    fn again(&mut self, trials: &mut Trials, record: &Record) -> Result<BTreeSet<Pair>, String> {
        let outcome = || trials.again(record).map(|outcome| outcome.pairs);
        self.again.entry(key(record)).or_insert_with(outcome).clone()
    }

    fn least(
        &mut self,
        trials: &mut Trials,
        record: &Record,
        pairs: &BTreeSet<Pair>,
    ) -> Result<Option<BTreeSet<Pair>>, String> {
        self.least.entry(key(record)).or_insert_with(|| least(trials, record, pairs)).clone()
    }
}

/// What a trial depends on.
pub(super) fn key(record: &Record) -> String {
    let Record { platform, route, method, host, path, .. } = record;
    let evidence = String::from_utf8_lossy(&record.evidence.written()).into_owned();
    format!("{platform}\n{route}\n{method}\n{host}\n{path}\n{evidence}")
}

/// The least that lets a record pass: of all that matched in it, what cannot be put back. None where even all of it does not
/// suffice.
fn least(trials: &mut Trials, record: &Record, pairs: &BTreeSet<Pair>) -> Result<Option<BTreeSet<Pair>>, String> {
    let (_, inspector) = trials.route(record)?;
    let stopped = |trials: &mut Trials, pairs: &BTreeSet<Pair>| {
        let without = Trials::without(&inspector, pairs)?;
        Ok::<_, String>(trials.put(&inspector, record, &without).stopped)
    };
    // Once something is left out, something else may be found: a score that was reached ends the search.
    let mut all = pairs.clone();
    for _ in 0..MOST_LAYERS {
        if !stopped(trials, &all)? {
            let mut kept = all.clone();
            for pair in &all {
                let mut fewer = kept.clone();
                fewer.remove(pair);
                if !stopped(trials, &fewer)? {
                    kept = fewer;
                }
            }
            return Ok(Some(kept).filter(|kept| !kept.is_empty()));
        }
        let without = Trials::without(&inspector, &all)?;
        let before = all.len();
        all.extend(trials.put(&inspector, record, &without).pairs);
        if all.len() == before {
            return Ok(None);
        }
    }
    Ok(None)
}

/// How often what is found behind what was left out is added to it.
const MOST_LAYERS: usize = 4;

pub(super) fn visitors(records: &[Record], at: &[usize]) -> usize {
    at.iter().filter_map(|at| records.get(*at)).map(|record| &record.client).collect::<BTreeSet<_>>().len()
}

/// Distinct visitors of each audience.
pub(super) fn audiences(records: &[Record], at: &[usize]) -> Vec<(&'static str, usize)> {
    let of = |audience: Audience| {
        let own = at.iter().filter_map(|at| records.get(*at)).filter(|record| record.audience == audience);
        own.map(|record| &record.client).collect::<BTreeSet<_>>().len()
    };
    Audience::ALL.into_iter().map(|audience| (audience.name(), of(audience))).filter(|(_, count)| *count > 0).collect()
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_leave_out_is_told_with_how_far_it_reaches() {
        let reached = |records, references: &[&str]| Reached {
            records,
            visitors: records,
            audience: BTreeMap::from([("stranger".to_owned(), records)]),
            references: references.iter().map(|it| (*it).to_owned()).collect(),
        };
        let release = Release {
            platform: Some("public".to_owned()),
            route: Some("/search/**".to_owned()),
            exclude: vec!["942100 ARGS:q".to_owned(), "sql ARGS:/^a\\.b$/".to_owned()],
            matched: BTreeMap::from([("942100 ARGS:q".to_owned(), "union".to_owned())]),
            releases: reached(1, &["AAAAAAAAAAAAA"]),
            also_releases: reached(2, &["BBBBBBBBBBBBB", "CCCCCCCCCCCCC"]),
            stay: 3,
            unread: 1,
            ..Release::default()
        };
        let refused = Release { refused: Some("no such rule".to_owned()), ..release.clone() };
        let nowhere = Release { platform: None, ..release.clone() };
        let untried = Untried { why: NO_TIME.to_owned(), records: 1 };
        let told = Told {
            log: "decisions.jsonl".to_owned(),
            proposals: vec![release, refused, nowhere],
            not_tried: vec![untried],
            older_left_out: 9,
            ..Told::default()
        };
        let page = page(&told);
        for part in [
            "decisions.jsonl: 0 requests",
            "9 older ones were left out",
            "public/search/**: 1 request of 1 visitor (1 stranger)\n",
            "942100 ARGS:q                      such as \"union\"",
            "exclude = [\"942100 ARGS:q\", 'sql ARGS:/^a\\.b$/']",
            "pass, and BESIDE them 2 recorded requests: BBBBBBBBBBBBB, CCCCCCCCCCCCC. 3 in which",
            "Of 1 the body was never looked at.",
            "would not take it: no such rule",
            "1 request not tried: there was no time",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert_eq!(page.matches("public/search/**").count(), 2, "what is of no route is not told");
        assert!(super::page(&Told::default()).contains("nothing to propose"));
    }
}
