//! `portcullis requests`: of what there was most among requests on record, and what the gate answered over time.
//!
//! It reads a directory that a gate may be writing, and changes nothing in it.

pub(crate) mod find;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use portcullis_control::Span;
use portcullis_control::model::{Busiest, Counted, History};
use portcullis_ledger::Verdict;
use portcullis_store::disk::Directory;
use portcullis_store::requests::{Column, Query, Top, networks, top};
use portcullis_store::rollups::{self, Ask, Point, Stretch, history};
use serde_json::{Value, json};

use crate::args::incident::Records;
use crate::args::requests::{AskRequests, Became, By, HistoryOf, TopOf, Which};
use crate::console::traffic;
use crate::geography::{self, Countries};
use crate::moment::{now, speak};
use crate::remote::{Far, segment};
use crate::world::plain;
use crate::{Done, Failure, configuration, evidence, talk};

/// Threads that count.
const THREADS: usize = 2;
/// Text that is printed at once.
const PAGE: usize = 1 << 16;

/// Counts, or draws a line of time.
pub(crate) fn run(ask: &AskRequests) -> Done {
    match ask {
        AskRequests::Top(flags) => most(flags),
        AskRequests::History(flags) => over_time(flags),
        AskRequests::Find(flags) => find::run(flags),
    }
}

/// Where the evidence is. A directory that was named needs no configuration.
fn directory(of: &Records) -> Result<PathBuf, Failure> {
    let policy = match &of.ledger {
        Some(_) => None,
        None => Some(configuration::policy(&of.config)?),
    };
    evidence::directory(of, policy.as_ref())
}

/// From when until when.
fn span(which: &Which) -> Result<(u64, u64), Failure> {
    let now = now();
    let from = which.since.resolve_back(now);
    let until = which.until.map_or(now, |until| until.resolve_end(from));
    if until <= from {
        return Err(Failure::because(format!("{} is not before {}", speak(from), speak(until))));
    }
    Ok((from, until))
}

fn unread(directory: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::because(format!("cannot read {}: {}", directory.display(), plain(&error)))
}

const fn column(by: By) -> Column {
    match by {
        By::Network | By::Address | By::Country => Column::Client,
        By::Platform => Column::Platform,
        By::Route => Column::Route,
        By::Class => Column::Class,
        By::Audience => Column::Audience,
        By::Print => Column::Ja4,
        By::Reason => Column::Reason,
        By::Verdict => Column::Verdict,
        By::Status => Column::Status,
    }
}

const fn verdict(became: Became) -> Verdict {
    match became {
        Became::Served => Verdict::Served,
        Became::Refused => Verdict::Refused,
        Became::Failed => Verdict::Failed,
        Became::Challenged => Verdict::Challenged,
        Became::Roomed => Verdict::Roomed,
    }
}

/// Of what there was most: of a platform, of requests that became one thing.
pub(crate) fn ranked(
    directory: &Path,
    by: By,
    (platform, only): (Option<&str>, Option<Became>),
    (from, until): (u64, u64),
    most: usize,
    threads: usize,
    countries: Option<&Countries>,
) -> io::Result<Top> {
    let of_platform = platform.map(|name| (Column::Platform, name.as_bytes().to_vec()));
    let of_verdict = only.map(|became| (Column::Verdict, vec![verdict(became) as u8]));
    let query = Query { from, until, only: of_platform.into_iter().chain(of_verdict).collect() };
    let disk = Directory::at(directory);
    match by {
        By::Network => networks(&disk, most, &query, threads),
        By::Country => {
            let countries = countries.ok_or_else(|| io::Error::other(geography::NONE))?;
            networks(&disk, geography::NETWORKS, &query, threads).map(|found| countries.ranked(&found, most))
        }
        _ => top(&disk, column(by), most, &query, threads),
    }
}

/// A value that was ranked, for people.
fn text(by: By, value: &[u8]) -> String {
    match by {
        By::Network => Top::network(value),
        By::Country => String::from_utf8_lossy(value).into_owned(),
        _ => Top::shown(column(by), value),
    }
}

fn most(flags: &TopOf) -> Done {
    let (from, until) = span(&flags.which)?;
    let of = &flags.which.of;
    let found = match Far::of(&flags.far, &of.config, of.ledger.as_deref())? {
        Some(far) => far.get(&elsewhere(flags, (from, until)))?,
        None => {
            let directory = directory(of)?;
            let which = (flags.which.platform.as_deref(), flags.only);
            let countries = match flags.by {
                By::Country => Some(geography::declared(&of.config)?.ok_or_else(|| Failure::because(geography::NONE))?),
                _ => None,
            };
            let most = flags.most as usize;
            let found = ranked(&directory, flags.by, which, (from, until), most, THREADS, countries.as_ref());
            counted(flags.by, &found.map_err(unread(&directory))?, (from, until))
        }
    };
    let shown = |value: &str| match (flags.by, value) {
        (By::Reason, "") => "(served)".to_owned(),
        (_, "") => "(none)".to_owned(),
        (_, text) => text.to_owned(),
    };
    let values = found.values.iter().map(|it| (shown(&it.value), it.requests));
    if flags.which.of.json {
        let values: Vec<Value> = values.map(|(value, count)| json!({ "value": value, "requests": count })).collect();
        let whole = json!({
            "by": found.by,
            "from": from,
            "until": until,
            "requests": found.requests,
            "short": found.short,
            "values": values,
        });
        return talk::answer(&format!("{whole}\n"));
    }
    let mut page = format!("{} requests from {} to {}\n", found.requests, speak(from), speak(until));
    for (value, count) in values {
        let share = count as f64 * 100.0 / found.requests.max(1) as f64;
        let value: String = value.chars().filter(|it| !it.is_control()).collect();
        let _ = writeln!(page, "{count:>10}  {share:>5.1} %  {value}");
    }
    if found.short > 0 {
        let _ =
            writeln!(page, "Each may be more by {}: what came seldom within an hour is not told apart.", found.short);
    }
    talk::answer(&page)
}

/// What was ranked, as a console tells it.
pub(crate) fn counted(by: By, found: &Top, (from, until): (u64, u64)) -> Busiest {
    let value = |(value, requests): &(Box<[u8]>, u64)| Counted { value: text(by, value), requests: *requests };
    let by = word(&by);
    Busiest {
        by,
        from,
        until,
        requests: found.rows,
        short: found.short,
        values: found.values.iter().map(value).collect(),
    }
}

/// The same asked of a gate elsewhere.
fn elsewhere(flags: &TopOf, (from, until): (u64, u64)) -> String {
    let mut path = format!("/api/v1/busiest?by={}&from={from}&until={until}&most={}", word(&flags.by), flags.most);
    flags.which.platform.iter().for_each(|name| path.push_str(&format!("&platform={}", segment(name))));
    flags.only.iter().for_each(|only| path.push_str(&format!("&only={}", word(only))));
    path
}

/// As it is typed.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn over_time(flags: &HistoryOf) -> Done {
    let (from, until) = span(&flags.which)?;
    let step = u64::try_from(flags.step.as_millis()).unwrap_or(u64::MAX);
    let (of, platform) = (&flags.which.of, flags.which.platform.as_deref());
    if let Some(far) = Far::of(&flags.far, &of.config, of.ledger.as_deref())? {
        if of.json {
            return Err(Failure::because(
                "a gate elsewhere tells people of its history: programs ask GET /api/v1/history",
            ));
        }
        let mut path = format!("/api/v1/history?from={from}&until={until}&step={step}");
        platform.iter().for_each(|name| path.push_str(&format!("&platform={}", segment(name))));
        return lines(&far.get(&path)?);
    }
    let directory = directory(of)?;
    if let Some(wanted) = platform {
        let known = rollups::platforms(&directory).map_err(unread(&directory))?;
        if !known.contains(wanted) {
            let known: Vec<&str> = known.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
            return Err(Failure::because(format!("nothing came for `{wanted}`; there are {}", known.join(", "))));
        }
    }
    let found = history(&directory, &Ask { platform, from, until, step }).map_err(unread(&directory))?;
    if flags.which.of.json {
        let points: Vec<Value> = found.points.iter().map(machine).collect();
        let postures = found.postures.iter().map(|(at, posture)| json!({ "at": at, "posture": posture }));
        let whole = json!({
            "platform": platform,
            "from": from / step * step,
            "until": until,
            "step": step,
            "missing": found.missing,
            "postures": postures.collect::<Vec<_>>(),
            "measures": found.measures.iter().map(in_force).collect::<Vec<_>>(),
            "more_measures": found.more_measures,
            "points": points,
        });
        return talk::answer(&format!("{whole}\n"));
    }
    let span = Span { platform, from: from / step * step, until };
    lines(&traffic::drawn(found, &span, step, BTreeSet::new()))
}

fn machine(point: &Point) -> Value {
    let tally = &point.tally;
    json!({
        "at": point.at,
        "requests": tally.requests,
        "served": tally.served,
        "failed": tally.failed,
        "refused": tally.refused,
        "challenged": tally.challenged,
        "roomed": tally.roomed,
        "delayed": tally.delayed,
        "bytes_in": tally.bytes_in,
        "bytes_out": tally.bytes_out,
        "micros": tally.micros(),
    })
}

fn in_force(it: &Stretch) -> Value {
    json!({
        "id": it.id,
        "kind": it.kind,
        "action": it.action,
        "platform": it.platform,
        "by": it.by,
        "from": it.from,
        "until": it.until,
        "cut": it.cut,
    })
}

fn lines(found: &History) -> Done {
    let mut page = format!(
        "{:<23} {:>9} {:>9} {:>9} {:>10} {:>8} {:>8} {:>8} {:>9}  posture\n",
        "from", "requests", "served", "refused", "challenged", "waiting", "delayed", "failed", "p95 ms"
    );
    let mut moves = found.postures.iter().peekable();
    let mut posture = "";
    let points = &found.points;
    for (index, steps) in points.at.iter().enumerate() {
        let at = found.from.saturating_add(steps.saturating_mul(found.step));
        while let Some(next) = moves.next_if(|next| next.at <= at) {
            posture = &next.posture;
        }
        let figure = |column: &[u64]| column.get(index).copied().unwrap_or_default();
        let _ = writeln!(
            page,
            "{:<23} {:>9} {:>9} {:>9} {:>10} {:>8} {:>8} {:>8} {:>9.1}  {posture}",
            speak(at),
            figure(&points.requests),
            figure(&points.served),
            figure(&points.refused),
            figure(&points.challenged),
            figure(&points.roomed),
            figure(&points.delayed),
            figure(&points.failed),
            points.p95.get(index).copied().unwrap_or_default(),
        );
        if page.len() > PAGE {
            talk::answer(&page)?;
            page.clear();
        }
    }
    if points.at.is_empty() {
        page.push_str("Nothing came.\n");
    }
    for it in &found.measures {
        let until = match it.until {
            Some(until) if it.cut => format!("{}, when the gate began anew", speak(until)),
            Some(until) => speak(until),
            None => "it lasts".to_owned(),
        };
        let _ =
            writeln!(page, "{} ({}, {}) by {} from {} until {until}", it.id, it.kind, it.action, it.by, speak(it.from));
    }
    if found.more_measures > 0 {
        let _ = writeln!(page, "{} more measures were in force before those.", found.more_measures);
    }
    if found.missing > 0 {
        let _ = writeln!(page, "{} requests of about this time are on record and missing here.", found.missing);
    }
    if page.is_empty() { Ok(()) } else { talk::answer(&page) }
}
