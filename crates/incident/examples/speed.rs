//! How long the report of an incident takes over many records: `cargo run --release -p portcullis-incident --example speed -- 10000000`.
//!
//! It makes the records as it goes, and counts the processor's time of the fold, the gathering and the writing apart from making
//! them; at least a million. Figures each ten seconds over 40 routes, beats each second, an attack of four hundred thousand records.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "an example is a shell: it reads its argument and prints"
)]

use std::collections::BTreeMap;
use std::fs;

use portcullis_incident::{Docket, Gathering, Ledger, Organisation, Report, Thresholds, html};
use portcullis_ledger::{Act, Beat, Event, Record, Sensor, Traffic};

fn main() {
    let wanted: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let making = timed(|| (0..wanted).map(record).filter(|record| record.index == u64::MAX).count());
    let mut docket = Docket::new(Thresholds::default());
    let folding = timed(|| (0..wanted).for_each(|index| drop(docket.record(&record(index)))));
    let incident = docket.find("last").expect("an incident").clone();
    let mut gathering = Gathering::new(&incident);
    let gathered = timed(|| (0..wanted).for_each(|index| gathering.record(&record(index))));
    let case = gathering.finish();
    let mut page = String::new();
    let writing = timed(|| {
        let report = Report::compose(&case, &Ledger::default(), &Organisation::default(), 0);
        page = html(&report).expect("a page");
    });
    let (fold, gather) = (folding - making, gathered - making);
    println!(
        "{wanted} records: fold {fold:.2} s, gather {gather:.2} s, write {writing:.2} s ({} bytes); making them {making:.2} s",
        page.len()
    );
    let peak = fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
}

/// Seconds of the processor that this process took for it.
fn timed<T>(run: impl FnOnce() -> T) -> f64 {
    let ticks = || {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<f64> =
            stat.rsplit(')').next().unwrap_or_default().split(' ').filter_map(|text| text.parse().ok()).collect();
        // utime and stime, in hundredths of a second; the state before them is no number.
        fields.get(10).unwrap_or(&0.0) + fields.get(11).unwrap_or(&0.0)
    };
    let before = ticks();
    std::hint::black_box(run());
    (ticks() - before) / 100.0
}

fn record(index: u64) -> Record {
    let at = 1_573_473_600_000 + index * 25;
    let event = match index % 40 {
        _ if index == 400_000 || index == 800_000 => {
            let to = if index == 400_000 { "attack" } else { "normal" };
            let facts = BTreeMap::from([("to".to_owned(), to.to_owned())]);
            Event::Act(Act { what: "posture".into(), platform: "public".into(), facts, ..Act::default() })
        }
        0 => Event::Beats { beats: vec![Beat { sensor: "http/public".into(), seq: index / 40, ..Beat::default() }] },
        route => Event::Traffic(Traffic {
            platform: "public".into(),
            route: format!("/{route}"),
            audience: "human".into(),
            from: at / 10_000 * 10_000,
            until: at / 10_000 * 10_000 + 10_000,
            requests: 10,
            served: 9,
            refused: BTreeMap::from([("rate-limited".to_owned(), 1)]),
            ..Traffic::default()
        }),
    };
    Record { index, sensor: Sensor::Borrowed("gate"), seq: index, unix_millis: at, event: Some(event) }
}
