//! `portcullis ledger`: what is on record, whether it is what it was, and proofs of single records.
//!
//! It reads a directory that another process may be writing, and changes nothing in it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use portcullis_control::Leaves;
use portcullis_control::model::Page;
use portcullis_ledger::checkpoint::Trust;
use portcullis_ledger::note::VerifierKey;
use portcullis_ledger::proof::Proof;
use portcullis_ledger::{Record, Retention, leaf};
use portcullis_store::disk::Directory;
use portcullis_store::verify::{Report, verify};
use portcullis_store::{PUBLIC_KEY, Records, Snapshot, prove};
use serde_json::{Value, json};

use crate::args::{AskLedger, Believed, CheckProof, DEFAULT_CONFIG, LedgerPlace, Prove, ShowLedger, Verify};
use crate::remote::{Far, segment};
use crate::stamps::{Authorities, Signers};
use crate::world::plain;
use crate::{Done, Failure, moment, talk};

/// Records that a gate elsewhere is asked for at once.
const PAGE: usize = 500;
/// Stamps that are named, the newest first.
const STAMPS: usize = 20;

/// Verifies, shows, proves.
pub(crate) fn run(ask: &AskLedger) -> Done {
    match ask {
        AskLedger::Verify(flags) => verified(flags),
        AskLedger::Show(flags) => show(flags),
        AskLedger::Prove(flags) => print_proof(flags),
        AskLedger::Check(flags) => check(flags),
        AskLedger::Key(place) => match Kept::of(place)? {
            Kept::There(far) => talk::answer(&far.text("/api/v1/ledger/key")?),
            Kept::Here(directory) => {
                let path = directory.join(PUBLIC_KEY);
                talk::answer(&fs::read_to_string(&path).map_err(|error| unread(&path, &error))?)
            }
        },
    }
}

/// Where a ledger is.
enum Kept {
    Here(PathBuf),
    There(Box<Far>),
}

impl Kept {
    fn of(place: &LedgerPlace) -> Result<Self, Failure> {
        // There is no configuration here that could go before the surroundings.
        match (Far::of(&place.far, Path::new(DEFAULT_CONFIG), place.directory.as_deref())?, &place.directory) {
            (Some(far), _) => Ok(Self::There(Box::new(far))),
            (None, Some(directory)) => Ok(Self::Here(directory.clone())),
            (None, None) => Err(Failure::because("name the directory of a ledger, or a gate elsewhere: --url")),
        }
    }
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::because(format!("cannot read {}: {}", path.display(), plain(error)))
}

fn trust(believed: &Believed) -> Result<Trust, Failure> {
    let parse = |text: &String| {
        VerifierKey::parse(text).map_err(|why| Failure::because(format!("`{text}` is not a key to believe: {why}")))
    };
    let witnesses = believed.witness.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let quorum = believed.quorum.unwrap_or(witnesses.len());
    if quorum > witnesses.len() {
        let count = witnesses.len();
        return Err(Failure::because(format!("{quorum} witnesses are wanted, and the keys of {count} are given")));
    }
    if believed.key.is_none() && quorum == 0 {
        return Err(Failure::because("without the ledger's key, at least one witness must be wanted"));
    }
    Ok(Trust { log: believed.key.as_ref().map(parse).transpose()?, witnesses, quorum })
}

fn verified(flags: &Verify) -> Done {
    let trust = trust(&flags.believed)?;
    let directory = &flags.place.directory;
    let kept = flags.checkpoint.iter().map(|path| fs::read_to_string(path).map_err(|error| unread(path, &error)));
    let kept = kept.collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    let report = verify(Directory::at(directory), &trust, &kept)
        .map_err(|error| Failure::because(format!("{}: {}", directory.display(), plain(&error))))?;
    let rate = report.size as f64 / begun.elapsed().as_secs_f64().max(1e-6);
    let signers = flags.tsa_ca.as_ref().map(|path| Authorities::read(path)).transpose()?;
    let signers = signers.map(|authorities| authorities.signers(directory, &report.stamps));
    if flags.json {
        talk::answer(&serde_json::to_string_pretty(&machine(&report, signers.as_ref(), rate)).unwrap_or_default())?;
    } else {
        talk::answer(&words(&report, signers.as_ref(), rate, directory))?;
    }
    if !report.holds() {
        return Err(Failure::because("the ledger is not what it was"));
    }
    match signers.map_or(0, |signers| signers.values().filter(|signer| signer.is_err()).count()) {
        0 => Ok(()),
        1 => Err(Failure::because("a time stamp is signed by nobody who is believed")),
        many => Err(Failure::because(format!("{many} time stamps are signed by nobody who is believed"))),
    }
}

/// The report for a person.
fn words(report: &Report, signers: Option<&Signers>, rate: f64, directory: &Path) -> String {
    let mut out = String::new();
    let verdict = if report.holds() { "holds" } else { "DOES NOT HOLD" };
    let _ = writeln!(out, "Ledger     {verdict}: {} leaves, {rate:.0} a second", report.size);
    if let Some((from, until)) = report.span {
        let _ = writeln!(out, "Span       {} to {}", moment::speak(from), moment::speak(until));
    }
    if let Some((size, by)) = report.witnessed {
        let _ = writeln!(out, "Witnessed  {size} leaves, by {by}");
    }
    let mut stamps: Vec<_> = report.stamps.iter().collect();
    stamps.sort_by_key(|(_, stamp)| std::cmp::Reverse(stamp.unix_millis));
    if let Some((_, newest)) = stamps.first() {
        let whose = if signers.is_some() { "another reader" } else { "whose signature it is, this" };
        let _ = writeln!(out, "Stamped    {} checkpoints; {whose} checks:", stamps.len());
        let [checkpoint, token] = newest.paths.each_ref().map(|path| directory.join(path).display().to_string());
        let _ = writeln!(out, "  openssl ts -verify -data {checkpoint} -in {token} -token_in -CAfile CA.pem");
        for (key @ (authority, size), stamp) in stamps.iter().take(STAMPS) {
            let record = stamp.leaf.map_or("not on record".to_owned(), |leaf| format!("on record in leaf {leaf}"));
            let signed = match signers.and_then(|signers| signers.get(key)) {
                Some(Ok(name)) => format!(", signed by {name}"),
                Some(Err(_)) => ", NOT SIGNED by whom is believed".to_owned(),
                None => String::new(),
            };
            let at = moment::speak(stamp.unix_millis);
            let _ = writeln!(out, "  {size} leaves at {at} by {authority}, {record}{signed}");
        }
        if stamps.len() > STAMPS {
            let _ = writeln!(out, "  and {} before", stamps.len() - STAMPS);
        }
    }
    let mut some = |label: &str, count: u64, lines: Vec<String>| {
        if count > 0 {
            let _ = writeln!(out, "{label:<10} {count}");
            lines.iter().for_each(|line| out.push_str(&format!("  {line}\n")));
            if count > lines.len() as u64 {
                out.push_str(&format!("  and {} more\n", count - lines.len() as u64));
            }
        }
    };
    let faults = report.faults.first.iter().map(|fault| match fault.leaf {
        Some(leaf) => format!("leaf {leaf}: {}", fault.words),
        None => fault.words.clone(),
    });
    some("Wrong", report.faults.count, faults.collect());
    let missing = report.missing.first.iter().map(|gap| {
        format!("{}: numbers {} to {} before leaf {}", gap.sensor, gap.from, gap.until.saturating_sub(1), gap.leaf)
    });
    some("Missing", report.missing.count, missing.collect());
    let losses = report.losses.first.iter().map(|(leaf, sensor, lost)| {
        let (records, requests, rows, why) = (lost.records, lost.requests, lost.rows, &lost.why);
        let (from, until) = (moment::speak(lost.from), moment::speak(lost.until));
        format!(
            "leaf {leaf}: {sensor} lost {records} records, {requests} requests, details of {rows} requests, from {from} to {until}: {why}"
        )
    });
    some("Lost, told", report.losses.count, losses.collect());
    let unsigned: Vec<String> = signers
        .into_iter()
        .flatten()
        .filter_map(|((authority, size), signer)| {
            Some(format!("{size} leaves by {authority}: {}", signer.as_ref().err()?))
        })
        .collect();
    some("Unsigned", unsigned.len() as u64, unsigned.into_iter().take(STAMPS).collect());
    let unstamped = report.unstamped.first.iter().map(|(leaf, told)| {
        format!("leaf {leaf}: {} did not stamp {} leaves: {}", told.authority, told.size, told.words)
    });
    some("Unstamped", report.unstamped.count, unstamped.collect());
    let silences = report.silences.first.iter().map(|silence| {
        let whose = silence.sensor.as_deref().unwrap_or("every sensor");
        let told = if silence.told { "; it had said that it ended" } else { "" };
        format!("{whose}: {} to {}{told}", moment::speak(silence.from), moment::speak(silence.until))
    });
    some("Unwatched", report.silences.count, silences.collect());
    let erased = report.erased.iter().map(|((class, day), count)| {
        let day = moment::speak(day * 86_400_000);
        format!("{class} of {}: {count}", day.get(..10).unwrap_or_default())
    });
    some("Erased", report.erased.values().sum(), erased.collect());
    if report.clock_went_back > 0 {
        let _ = writeln!(out, "Clock      went back {} times", report.clock_went_back);
    }
    out
}

/// The report for a program.
fn machine(report: &Report, signers: Option<&Signers>, rate: f64) -> Value {
    let signed = |key: &(String, u64)| match signers.and_then(|signers| signers.get(key)) {
        Some(Ok(name)) => json!({"by": name}),
        Some(Err(why)) => json!({"by": null, "why": why}),
        None => Value::Null,
    };
    json!({
        "holds": report.holds(),
        "size": report.size,
        "leaves_per_second": rate.round(),
        "span": report.span,
        "witnessed": report.witnessed.map(|(size, by)| json!({"size": size, "by": by})),
        "stamped": report.stamps.iter().map(|(key @ (authority, size), stamp)| json!({
            "signed": signed(key),
            "authority": authority, "size": size, "unix_millis": stamp.unix_millis, "leaf": stamp.leaf,
            "checkpoint": stamp.paths[0], "token": stamp.paths[1],
        })).collect::<Vec<_>>(),
        "unstamped": {
            "count": report.unstamped.count,
            "first": report.unstamped.first.iter().map(|(leaf, told)| json!({"leaf": leaf, "told": told})).collect::<Vec<_>>(),
        },
        "wrong": {
            "count": report.faults.count,
            "first": report.faults.first.iter().map(|fault| json!({"leaf": fault.leaf, "words": fault.words})).collect::<Vec<_>>(),
        },
        "missing": {
            "count": report.missing.count,
            "first": report.missing.first.iter().map(|gap| json!({
                "sensor": gap.sensor, "from": gap.from, "until": gap.until, "leaf": gap.leaf,
            })).collect::<Vec<_>>(),
        },
        "lost": {
            "count": report.losses.count,
            "first": report.losses.first.iter().map(|(leaf, sensor, lost)| json!({
                "leaf": leaf, "sensor": sensor, "lost": lost,
            })).collect::<Vec<_>>(),
        },
        "unwatched": {
            "count": report.silences.count,
            "first": report.silences.first.iter().map(|silence| json!({
                "sensor": silence.sensor, "from": silence.from, "until": silence.until, "told": silence.told,
            })).collect::<Vec<_>>(),
        },
        "erased": report.erased.iter().map(|((class, day), count)| json!({
            "class": class, "day": moment::speak(day * 86_400_000).get(..10).unwrap_or_default(), "count": count,
        })).collect::<Vec<_>>(),
        "clock_went_back": report.clock_went_back,
    })
}

fn show(flags: &ShowLedger) -> Done {
    let now = moment::now();
    let from = flags.from.map_or(0, |from| from.resolve(now));
    let until = flags.until.map_or(u64::MAX, |until| until.resolve_end(from.max(1)));
    let leaves = Leaves {
        since: Some(from),
        until: Some(until),
        sensor: flags.sensor.clone(),
        kind: flags.kind.clone(),
        ..Leaves::default()
    };
    let mut out = String::new();
    let mut print = |told: &Value| {
        out.push_str(&line(told, flags.json));
        if out.len() > 1 << 16 {
            talk::answer(&std::mem::take(&mut out))?;
        }
        Ok(())
    };
    match Kept::of(&flags.place)? {
        Kept::There(far) => elsewhere(&far, &leaves, &mut print)?,
        Kept::Here(directory) => {
            let cannot =
                |error: std::io::Error| Failure::because(format!("{}: {}", directory.display(), plain(&error)));
            for record in Records::new(Snapshot::open(Directory::at(&directory)).map_err(cannot)?, 0) {
                if let Some(told) = wanted(&record.map_err(cannot)?, &leaves) {
                    print(&told)?;
                }
            }
        }
    }
    if out.is_empty() { Ok(()) } else { talk::answer(&out) }
}

/// Page by page, until the gate has no more.
fn elsewhere(far: &Far, leaves: &Leaves, print: &mut impl FnMut(&Value) -> Done) -> Done {
    let mut from = 0;
    loop {
        let mut path = format!("/api/v1/ledger?from={from}&most={PAGE}");
        let times =
            [("since", leaves.since), ("until", leaves.until)].map(|(key, at)| (key, at.map(|at| at.to_string())));
        let names = [("sensor", leaves.sensor.clone()), ("kind", leaves.kind.clone())];
        for (key, value) in times.into_iter().chain(names) {
            value.iter().for_each(|value| path.push_str(&format!("&{key}={}", segment(value))));
        }
        let page: Page = far.get(&path)?;
        page.records.iter().try_for_each(&mut *print)?;
        match page.next {
            Some(next) if next > from => from = next,
            _ => return Ok(()),
        }
    }
}

/// A record for programs, if it is one of those.
pub(crate) fn wanted(record: &Record, leaves: &Leaves) -> Option<Value> {
    let Leaves { since, until, sensor, kind: of, .. } = leaves;
    let at = record.unix_millis;
    if since.is_some_and(|since| at < since) || until.is_some_and(|until| at >= until) {
        return None;
    }
    if sensor.as_ref().is_some_and(|sensor| *sensor != record.sensor) {
        return None;
    }
    let event = serde_json::to_value(&record.event).unwrap_or_default();
    if of.as_ref().is_some_and(|of| of != kind(&event)) { None } else { Some(told(record, event)) }
}

/// A record for programs.
fn told(record: &Record, event: Value) -> Value {
    let Record { index, sensor, seq, unix_millis, .. } = record;
    let mut told = json!({"index": index, "sensor": sensor, "seq": seq, "unix_millis": unix_millis});
    told["event"] = event;
    told
}

/// What a record is of; one whose words were erased is `erased`.
fn kind(event: &Value) -> &str {
    event.get("kind").and_then(Value::as_str).unwrap_or("erased")
}

fn line(told: &Value, machine: bool) -> String {
    if machine {
        return format!("{told}\n");
    }
    let number = |key: &str| told.get(key).and_then(Value::as_u64).unwrap_or_default();
    let [index, seq, unix_millis] = ["index", "seq", "unix_millis"].map(number);
    let sensor = told.get("sensor").and_then(Value::as_str).unwrap_or_default();
    let event = told.get("event").filter(|event| !event.is_null());
    let event = event.map_or_else(|| "erased".to_owned(), Value::to_string);
    format!("{index:>8}  {}  {sensor} #{seq}  {event}\n", moment::speak(unix_millis))
}

fn print_proof(flags: &Prove) -> Done {
    let directory = match Kept::of(&flags.place)? {
        Kept::There(far) => return talk::answer(&far.text(&format!("/api/v1/ledger/{}/proof", flags.index))?),
        Kept::Here(directory) => directory,
    };
    let proof = prove(&Directory::at(&directory), flags.index)
        .map_err(|error| Failure::because(format!("{}: {}", directory.display(), plain(&error))))?;
    talk::answer(&proof.text())
}

fn check(flags: &CheckProof) -> Done {
    let trust = trust(&flags.believed)?;
    let text = fs::read_to_string(&flags.proof).map_err(|error| unread(&flags.proof, &error))?;
    let proof = Proof::parse(&text)
        .ok_or_else(|| Failure::because(format!("{} is no proof of a record", flags.proof.display())))?;
    let shown = proof.check(&trust).map_err(|why| Failure::because(format!("it shows nothing: {why}")))?;
    let leaf::Leaf { sensor, seq, unix_millis, class, .. } = shown.leaf;
    let event = match &proof.event {
        Some((_, event)) => String::from_utf8_lossy(event).into_owned(),
        None => "erased".to_owned(),
    };
    talk::answer(&format!(
        "Record     {} of {} in {}, signed by {} witnesses\nWhose      {sensor} #{seq}, {}\nClass      {}\nEvent      {event}",
        proof.index,
        shown.checkpoint.size,
        shown.checkpoint.origin,
        shown.witnesses,
        moment::speak(unix_millis),
        Retention::name(class),
    ))
}
