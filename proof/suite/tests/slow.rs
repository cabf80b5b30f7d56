//! slowhttptest in its three modes, bounded, while a normal visitor must not notice.

use std::time::Duration;

use portcullis_suite::{Calm, Gate, HOST, Nginx, Origin, Plan, have, run};

/// Connections of the attack. Enough to fill a server with a process or a thread each; small for the machine.
const CONNECTIONS: &str = "300";

fn gate(name: &str) -> Option<(Gate, Nginx, Origin)> {
    let plan = Plan::new(name);
    let nginx = Nginx::start(plan.place(), name)?;
    // nginx answers a POST to a file at once; a form waits for its body.
    let form = Origin::echo();
    let gate = plan
        // slowhttptest names the address, not a host, in its requests.
        .platform("main", &[HOST], &[nginx.url()], "")
        .platform("form", &["127.0.0.1"], &[if name == "slow-bodies" { form.url() } else { nginx.url() }], "")
        .limits(
            "head_deadline = \"2s\"\nidle_timeout = \"2s\"\nbody_grace = \"2s\"\nbody_min_rate = \"1KiB/s\"\n\
             connections_per_address = 1000\nconnections = 1000\nupgraded_connections = 10",
        )
        .start();
    Some((gate, nginx, form))
}

fn attack(name: &str, mode: &[&str], path: &str, reason: &[&str]) {
    if !have("slowhttptest", "slowhttptest", name) {
        return;
    }
    let Some((gate, _nginx, _form)) = gate(name) else { return };
    let url = format!("http://{}{path}", gate.http());
    let mut calm = Calm::measure(gate.http(), "/1k.bin");
    let report = gate.place().join("slowhttptest");
    let report = report.to_string_lossy().into_owned();
    // It stops by itself when all are ended; on a busy machine that takes its time.
    let arguments: Vec<&str> = mode
        .iter()
        .copied()
        .chain(["-c", CONNECTIONS, "-r", "150", "-l", "30", "-p", "3", "-g", "-o", &report, "-u", &url])
        .collect();
    let output = calm.during(name, || run("slowhttptest", &arguments, Duration::from_secs(60)));
    let metrics = gate.metrics();
    let ended: f64 = reason.iter().map(|reason| metrics.refused(reason)).sum();
    assert!(ended >= 250.0, "{name}: {ended} of {CONNECTIONS} were ended: {:?}\n{}", metrics.reasons(), output.stdout);
    // The tool judges too: a probe of its own that got no answer says NO.
    assert!(!output.stdout.contains("service available:   NO"), "{name}: {}", output.stdout);
    assert_eq!(calm.finish(), Ok(()));
}

#[test]
fn slow_heads() {
    attack("slow-heads", &["-H", "-i", "1"], "/1k.bin", &["head-timeout"]);
}

#[test]
fn slow_bodies() {
    attack("slow-bodies", &["-B", "-i", "1", "-s", "8192", "-x", "10"], "/form", &["body-too-slow"]);
}

#[test]
fn slow_reads() {
    let mode = ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "8", "-k", "3"];
    attack("slow-reads", &mode, "/10m.bin", &["reader-too-slow"]);
}
