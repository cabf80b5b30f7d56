//! The evidence of a running gate: opens the store, says which program and configuration began, and ends it last.
//!
//! Where it cannot be kept the gate runs without and says so: service comes first.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_config::{Evidence, Policy};
use portcullis_ledger::note::{Algorithm, SignerKey};
use portcullis_ledger::{Event, Recorder, Sensor, Start, Stop};
use portcullis_proxy::metrics::Series;
use portcullis_sensors::manifest::hex;
use portcullis_store::disk::Directory;
use portcullis_store::requests::Keep;
use portcullis_store::stamp::Authority;
use portcullis_store::witness::Asked;
use portcullis_store::{Retain, Settings, Store, rollups};
use sha2::{Digest, Sha256};

use crate::Failure;
use crate::args::incident::Records;

/// Whose the records of the process are.
pub(crate) const GATE: Sensor = Sensor::Borrowed("gate");

/// The store that the configuration asks for, begun; none where it asks for none, or it cannot be had.
pub(crate) fn begin(policy: &Policy, takeover: bool) -> Option<Arc<Store>> {
    let directory = policy.evidence.directory.as_deref()?;
    let store = match open(directory, &policy.evidence, &policy.server.name, takeover) {
        Ok(store) => store,
        Err(why) => {
            tracing::error!("no evidence is kept in {}: {why}", directory.display());
            return None;
        }
    };
    let start = Start {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: fs::read("/proc/self/exe").map(|binary| digest(&binary)).unwrap_or_default(),
        configuration: digest(portcullis_config::show(policy).as_bytes()),
        node: policy.server.name.clone(),
    };
    store.record(&GATE, Event::Start(start));
    tracing::info!("evidence is kept in {}", directory.display());
    Some(store)
}

/// What the store counts, for the metrics of its gate.
pub(crate) fn counts(store: &Store) -> Vec<Series> {
    let counters = store.counters();
    let series = |name, help, label, value| Series { name, help, label, value };
    let one = |name, help, counter: &AtomicU64| series(name, help, None, counter.load(Ordering::Relaxed));
    let stamps = |result, counter: &AtomicU64| {
        let help = "Times that an authority was asked to stamp a checkpoint, by result.";
        series("portcullis_evidence_stamps_total", help, Some(("result", result)), counter.load(Ordering::Relaxed))
    };
    let [records, requests] = store.lost();
    vec![
        one("portcullis_evidence_records_total", "Records written to the ledger.", &counters.written),
        one("portcullis_evidence_published", "Records under the latest checkpoint.", &counters.published),
        series("portcullis_evidence_lost_total", "Records that there was no room for.", None, records),
        one("portcullis_evidence_faults_total", "Faults of the ledger's disk.", &counters.faults),
        one(
            "portcullis_evidence_passed_by_total",
            "Records that were read from the disk to see whether they are an incident, because too many came.",
            &counters.passed_by,
        ),
        series(
            "portcullis_evidence_requests_lost_total",
            "Requests that are neither counted nor kept.",
            None,
            requests,
        ),
        one(
            "portcullis_evidence_requests_unwritten_total",
            "Requests that are counted in the ledger and could not be kept one by one.",
            &counters.requests_unwritten,
        ),
        one(
            "portcullis_evidence_rollups_unwritten_total",
            "Requests that are counted in the ledger and missing in the roll-ups.",
            &counters.rollups_unwritten,
        ),
        one(
            "portcullis_evidence_rollup_faults_total",
            "Times that the roll-ups could not be written.",
            &counters.rollup_faults,
        ),
        stamps("ok", &counters.stamped),
        stamps("failed", &counters.unstamped),
    ]
}

/// Says that it ended as it was told to, and writes what waits.
pub(crate) fn end(store: &Store) {
    store.record(&GATE, Event::Stop(Stop { why: "told".to_owned() }));
    store.close();
}

/// Where the evidence lies that a command is about: the directory that was named, or else the configured one.
pub(crate) fn directory(of: &Records, policy: Option<&Policy>) -> Result<PathBuf, Failure> {
    let configured = || policy.and_then(|policy| policy.evidence.directory.clone());
    let none = || Failure::because("no evidence is kept: neither `[evidence]` nor `--ledger` says where");
    of.ledger.clone().or_else(configured).ok_or_else(none)
}

/// Opens a directory to write to; `wait` for whoever writes there now.
pub(crate) fn open(directory: &Path, evidence: &Evidence, node: &str, wait: bool) -> Result<Arc<Store>, String> {
    let home = Directory::create(directory).map_err(|error| error.to_string())?;
    let key = key(directory, node)?;
    let witnesses = evidence.witnesses.iter().map(|witness| Asked::new(&witness.key, &witness.url));
    let witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
    let authorities = evidence.stamps.iter().map(|of| Authority::new(&of.name, &of.url, &of.path, of.every));
    let authorities = authorities.collect::<Result<Vec<_>, _>>()?;
    let millis = evidence.days.map(kept_for);
    let requests = Keep { millis: kept_for(evidence.request_days), bytes: evidence.request_bytes };
    // Seconds are for charts, minutes are figures.
    let rolled = rollups::Keep { seconds: kept_for(evidence.second_days), minutes: millis[0] };
    let settings = Settings {
        directory: home,
        key,
        retain: Retain { millis },
        requests,
        rollups: rolled,
        witnesses,
        quorum: evidence.quorum,
        authorities,
        wait,
    };
    Store::open(settings).map_err(|error| error.to_string())
}

/// Milliseconds of so many days; none is for ever.
pub(crate) fn kept_for(days: u64) -> Option<u64> {
    (days > 0).then(|| days * 86_400_000)
}

fn key(directory: &Path, node: &str) -> Result<SignerKey, String> {
    portcullis_store::key(directory, &format!("{node}/evidence"), Algorithm::Ed25519).map_err(|error| error.to_string())
}

/// SHA-256 in hexadecimal, as records have it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
