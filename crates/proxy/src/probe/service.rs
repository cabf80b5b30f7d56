//! What a visitor gets, asked for as a visitor would: whether each platform answers, and how soon.
//!
//! What is asked for goes through a listener of the gate's own and all the way to the platform, held to whatever holds for a
//! visitor whom nobody knows. It is counted among no visitors. Nothing is asked where nobody keeps what comes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_config::policy::Platform;
use portcullis_ledger::{Event, Probe};
use tokio::time::timeout;

use super::Errand;
use super::round::{doors, exchange, host, status};
use crate::state::Snapshot;
use crate::worker::unix_millis;
use crate::{Process, chronicle, tls};

/// How often each platform is asked.
const EVERY: Duration = Duration::from_secs(5);
/// How often what came of it is told.
const TOLD: u64 = 2;
/// A platform that has not answered by then does not serve.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks every platform, each five seconds, until the gate drains.
pub(crate) async fn visit(process: Arc<Process>) {
    if !process.chronicle.listens() {
        return;
    }
    let (mut round, mut told) = (0_u64, Vec::new());
    while !process.is_draining() {
        tokio::time::sleep(EVERY).await;
        if process.probes.rests() || process.is_draining() {
            continue;
        }
        let snapshot = process.snapshot();
        for platform in &snapshot.policy.platforms {
            note(&mut told, ask(&process, &snapshot, platform).await);
        }
        round += 1;
        if round.is_multiple_of(TOLD) {
            for probe in told.drain(..) {
                process.chronicle.tell(&chronicle::http(&probe.platform), Event::Probe(probe));
            }
        }
    }
}

/// Takes one answer into what is told of its platform: two of them have a middle and a slowest.
fn note(told: &mut Vec<Probe>, probe: Probe) {
    match told.iter_mut().find(|known| known.platform == probe.platform) {
        Some(known) => {
            known.until = probe.until;
            known.asked += probe.asked;
            known.good += probe.good;
            let [middle, slowest] = &mut known.micros;
            *middle = (*middle).min(probe.micros[0]);
            *slowest = (*slowest).max(probe.micros[1]);
        }
        None => told.push(probe),
    }
}

async fn ask(process: &Process, snapshot: &Snapshot, platform: &Platform) -> Probe {
    let path = platform.health.as_ref().map_or("/", |health| health.path.as_str());
    let host = host(platform);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portcullis-probe\r\nAccept: text/html,*/*\r\nConnection: close\r\n\r\n"
    );
    let (from, began) = (unix_millis(), Instant::now());
    let client = tls::own_client(&snapshot.policy);
    let good = match doors(&snapshot.policy).first() {
        Some(door) => {
            let asked = exchange(process, (door, Errand::Visit), &client, &host, request.as_bytes());
            let answer = timeout(DEADLINE, asked).await;
            // A redirect or a page that asks who you are is an answer, too; a refusal, a waiting room and a failure are none.
            matches!(answer, Ok(Ok(bytes)) if status(&bytes).is_some_and(|status| status < 400 || status == 401))
        }
        None => false,
    };
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    Probe {
        platform: platform.name.clone(),
        path: path.to_owned(),
        from,
        until: unix_millis(),
        asked: 1,
        good: u64::from(good),
        micros: [micros, micros],
    }
}
