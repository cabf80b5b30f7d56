//! A gate that is started, reloaded, taken over, supervised, explained and stopped, while visitors notice nothing.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_suite::{Authority, Bystander, Gate, HOST, Origin, Plan, Running, Tally, Wire, eventually, have};
use rustix::process::Signal;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
}

/// Visitors who ask without pause while `change` happens; they must notice nothing.
fn unnoticed(address: SocketAddr, change: impl FnOnce()) -> usize {
    let visitors: Vec<Bystander> = (0..4)
        .map(|number| Bystander::arrive(address, &format!("/visitor/{number}"), Duration::from_millis(1)))
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    change();
    std::thread::sleep(Duration::from_millis(300));
    let tallies: Vec<Tally> = visitors.into_iter().map(Bystander::leave).collect();
    let failures: Vec<&String> = tallies.iter().flat_map(|tally| &tally.failures).collect();
    assert!(failures.is_empty(), "visitors noticed: {failures:?}");
    tallies.iter().map(|tally| tally.took.len()).sum()
}

#[test]
fn sigterm_drains() {
    let origin = Origin::echo();
    let mut gate = Plan::new("life-drain").upstream(&[origin.url()], "").start();
    let mut idle = Wire::plain(gate.http());
    assert_eq!(idle.ask(get("/a")).map(|response| response.status), Ok(200));
    let mut slow = Wire::plain(gate.http());
    slow.send(get("/sleep/1500")).expect("it is read");
    assert!(eventually(Duration::from_secs(5), || gate.metrics().sum("portcullis_requests_in_flight", &[]) >= 1.0));
    let begun = Instant::now();
    gate.signal(Signal::TERM);
    let refuses = |path: &str| Wire::try_plain(gate.http()).map_or(true, |mut wire| wire.ask(get(path)).is_err());
    // Each worker has listeners of its own, and one may hear of the end a moment after the other: the kernel spreads so many
    // connections over both.
    let refused = eventually(Duration::from_secs(5), || (0..12).all(|_| refuses("/late")));
    assert!(refused, "new connections are not taken while draining");
    assert!((0..12).all(|_| refuses("/later")), "nor a moment later");
    let response = slow.response().expect("what is under way is finished");
    assert_eq!(response.status, 200);
    assert!(
        response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
        "{:?}",
        response.headers
    );
    assert!(idle.closes_within(Duration::from_secs(5)), "idle connections are closed");
    let status = gate.wait(Duration::from_secs(8)).expect("it ends by itself");
    assert!(status.success(), "{status}: {}", gate.said());
    assert!(begun.elapsed() < Duration::from_secs(9), "it does not wait for its drain time when nothing is left");
    let late = origin.take().iter().filter(|seen| seen.path() == "/later").count();
    assert_eq!(late, 0, "nothing that was refused arrived");
}

#[test]
fn draining_has_an_end() {
    let origin = Origin::echo();
    let mut gate =
        Plan::new("life-drain-end").server("workers = 2\ndrain = \"1s\"").upstream(&[origin.url()], "").start();
    let mut endless = Wire::plain(gate.http());
    endless.send(get("/sleep/60000")).expect("it is read");
    assert!(eventually(Duration::from_secs(5), || gate.metrics().sum("portcullis_requests_in_flight", &[]) >= 1.0));
    gate.signal(Signal::TERM);
    assert!(gate.wait(Duration::from_secs(8)).is_some(), "what does not end in its drain time is cut");
    assert!(endless.response().is_err() || endless.closes_within(Duration::from_secs(1)));
}

#[test]
fn a_reload_is_not_noticed_and_takes_effect() {
    let (first, second) = (Origin::echo(), Origin::echo());
    let mut gate = Plan::new("life-reload").upstream(&[first.url()], "").start();
    let url = second.url();
    let asked = unnoticed(gate.http(), || {
        for round in 0..3 {
            let to = if round % 2 == 0 { url.clone() } else { first.url() };
            gate.rewrite(|plan| plan.without_platforms().upstream(&[to], ""));
            gate.hang_up();
            let output = gate.reload();
            assert!(output.success, "{} {}", output.stdout, output.stderr);
        }
    });
    assert!(asked > 50, "{asked} requests in all that time");
    assert_eq!(gate.get("/where").status, 200);
    assert!(second.take().iter().any(|seen| seen.path() == "/where"), "the last policy is in force");
    let metrics = gate.metrics();
    assert!(metrics.sum("portcullis_config_generation", &[]) >= 7.0, "six reloads after the start");
    assert!(metrics.sum("portcullis_config_reloads_total", &[("result", "ok")]) >= 6.0);
}

#[test]
fn a_reload_that_fails_leaves_the_policy_in_force() {
    let origin = Origin::echo();
    let gate = Plan::new("life-bad-reload").upstream(&[origin.url()], "").start();
    let before = gate.metrics();
    let good = fs::read_to_string(gate.config()).expect("the configuration can be read");
    gate.rewrite_text(|text| text.replace("workers", "wokers").replace("hosts = ", "hosts = 7 # "));
    // Asked by the file or by the socket, the problems are the same.
    let control = gate.control().to_string_lossy().into_owned();
    for output in [gate.reload(), gate.command(&["reload", "--control", &control])] {
        assert_eq!(output.code, 1, "{} {}", output.stdout, output.stderr);
        assert!(output.stderr.contains("wokers") && output.stderr.contains("hosts"), "all at once: {}", output.stderr);
        assert!(output.stderr.contains("workers"), "with the nearest right name: {}", output.stderr);
    }
    gate.signal(Signal::HUP);
    let failed = |gate: &Gate| gate.metrics().sum("portcullis_config_reloads_total", &[("result", "failed")]);
    assert!(eventually(Duration::from_secs(5), || failed(&gate) >= 2.0), "failures are counted");
    assert_eq!(gate.get("/a").status, 200, "the policy in force serves on");
    let generation = gate.metrics().sum("portcullis_config_generation", &[]);
    assert!((generation - before.sum("portcullis_config_generation", &[])).abs() < f64::EPSILON);
    let check = gate.command(&["check", "--config", &gate.config().to_string_lossy()]);
    assert_eq!(check.code, 1, "check says the same");
    gate.rewrite_text(|_| good);
    assert!(gate.reload().success, "and the next good one is taken");
}

#[test]
fn a_new_process_takes_over_and_nobody_notices() {
    let origin = Origin::echo();
    let mut gate = Plan::new("life-takeover").upstream(&[origin.url()], "").start();
    let mut slow = Wire::plain(gate.http());
    slow.send(get("/sleep/2000")).expect("it is read");
    assert!(eventually(Duration::from_secs(5), || gate.metrics().sum("portcullis_requests_in_flight", &[]) >= 1.0));
    let (mut first, mut ids) = (None, vec![gate.id()]);
    let asked = unnoticed(gate.http(), || {
        for _ in 0..3 {
            let old = gate.takeover();
            ids.push(gate.id());
            first.get_or_insert(old);
        }
    });
    assert!(asked > 50, "{asked} requests in all that time");
    assert_eq!(slow.response().map(|response| response.status), Ok(200), "what the old process had begun it finished");
    let mut old: Running = first.expect("three take-overs");
    assert!(
        old.wait(Duration::from_secs(10)).is_some_and(|status| status.success()),
        "the old process ends: {}",
        old.output()
    );
    ids.dedup();
    assert_eq!(ids.len(), 4, "four processes");
    let output = gate.reload();
    assert!(output.success, "the control socket is the new process's: {} {}", output.stdout, output.stderr);
    assert_eq!(gate.get("/a").status, 200);
}

#[test]
fn a_take_over_from_nobody_or_with_a_bad_configuration_harms_nobody() {
    let origin = Origin::echo();
    let gate = Plan::new("life-bad-takeover").upstream(&[origin.url()], "").start();
    let bad = gate.place().join("bad.toml");
    let good = fs::read_to_string(gate.config()).expect("the configuration can be read");
    fs::write(&bad, good.replace("[admin]", "[adnim]")).expect("the file can be written");
    let output = gate.command(&["run", "--takeover", "--config", &bad.to_string_lossy()]);
    assert_eq!(output.code, 1, "{} {}", output.stdout, output.stderr);
    assert_eq!(gate.get("/a").status, 200, "the old process serves on");
}

#[test]
fn certificates_are_renewed_without_a_restart() {
    let origin = Origin::echo();
    let plan = Plan::new("life-certificate");
    let place = plan.place().to_owned();
    let renewed = place.join("renewed");
    fs::create_dir_all(&renewed).expect("the directory can be made");
    let (first, second) = (Authority::new(&place), Authority::new(&renewed));
    let leaf = first.leaf(&[HOST]);
    let gate = plan.tls(std::slice::from_ref(&leaf)).upstream(&[origin.url()], "").start();
    let ask = |authority: &Authority| {
        let mut wire = Wire::tls(gate.https(), HOST, &authority.pem, &["http/1.1"]).ok()?;
        wire.ask(get("/a")).ok().map(|response| response.status)
    };
    assert_eq!((ask(&first), ask(&second)), (Some(200), None));
    let mut kept = Wire::tls(gate.https(), HOST, &first.pem, &["http/1.1"]).expect("the handshake works");
    assert_eq!(kept.ask(get("/a")).map(|response| response.status), Ok(200));
    second.write(&leaf, &[HOST]);
    assert!(gate.reload().success);
    assert!(eventually(Duration::from_secs(5), || ask(&second) == Some(200)), "the renewed certificate is served");
    assert_eq!(ask(&first), None, "and the old one no longer");
    assert_eq!(kept.ask(get("/a")).map(|response| response.status), Ok(200), "who is connected stays so");
    // A key that does not match is refused, and the certificate in force stays.
    let other = first.leaf(&["other.test"]);
    fs::copy(&other.key, &leaf.key).expect("the key can be written");
    assert_eq!(gate.reload().code, 1, "a key of another certificate");
    assert_eq!(ask(&second), Some(200));
}

#[test]
fn systemd_is_told() {
    let plan = Plan::new("life-notify");
    // A socket's path may have 108 bytes at most.
    let path = std::env::temp_dir().join(format!("portcullis-notify-{}.sock", std::process::id()));
    fs::remove_file(&path).ok();
    let socket = UnixDatagram::bind(&path).expect("the socket can be bound");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout can be set");
    let heard = |wanted: &str| {
        let until = Instant::now() + Duration::from_secs(10);
        let mut room = [0; 4096];
        while Instant::now() < until {
            let Ok(count) = socket.recv(&mut room) else { return false };
            let text = String::from_utf8_lossy(room.get(..count).unwrap_or_default()).into_owned();
            if text.lines().any(|line| line == wanted) {
                return true;
            }
        }
        false
    };
    let origin = Origin::echo();
    let mut gate = plan.environment("NOTIFY_SOCKET", &path.to_string_lossy()).upstream(&[origin.url()], "").start();
    assert!(heard("READY=1"), "ready");
    gate.signal(Signal::HUP);
    assert!(heard("RELOADING=1") && heard("READY=1"), "reloading, and ready again");
    let old = gate.takeover();
    assert!(heard(&format!("MAINPID={}", gate.id())), "the new process is the main one");
    drop(old);
    gate.signal(Signal::TERM);
    assert!(heard("STOPPING=1"), "stopping");
    assert!(gate.wait(Duration::from_secs(10)).is_some());
    fs::remove_file(&path).ok();
}

#[test]
fn systemd_hands_over_sockets() {
    if !have("python3", "python3", "socket activation") {
        return;
    }
    let origin = Origin::echo();
    // A plan that is written but not started gives a configuration with free ports.
    let mut plan = Plan::new("life-activation").upstream(&[origin.url()], "");
    let config = plan.write();
    let text = fs::read_to_string(&config).expect("the configuration can be read");
    let port = |key: &str| -> u16 {
        let address = text.lines().find_map(|line| line.strip_prefix(key)).expect("the key is there");
        address.rsplit(':').next().and_then(|port| port.trim_end_matches('"').parse().ok()).expect("a port")
    };
    let (http, admin) = (port("bind = \""), port("listen = \""));
    let mut command = Command::new("python3");
    command.arg(portcullis_suite::Python::script("activate.py")).arg(format!("http={http}")).arg("--");
    command.arg(Gate::binary()).arg("run").arg("--config").arg(&config).current_dir(plan.place());
    let gate = Running::start(command, &plan.place().join("gate.log"));
    let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    // The socket listens before the gate does: whoever connects early waits, and is served.
    let connected = eventually(Duration::from_secs(5), || Wire::try_plain(address(http)).is_ok());
    assert!(connected, "the socket was there before the gate");
    let mut early = Wire::plain(address(http));
    assert_eq!(early.ask(get("/early")).map(|response| response.status), Ok(200), "{}", gate.output());
    let ready = Wire::plain(address(admin)).ask("GET /ready HTTP/1.1\r\nHost: admin\r\n\r\n");
    assert_eq!(ready.map(|response| response.status), Ok(200));
    assert!(
        !gate.output().contains("the port is taken"),
        "the socket was inherited, not bound again: {}",
        gate.output()
    );
}

#[test]
fn a_reference_is_explained_from_the_log() {
    let origin = Origin::echo();
    let gate = Plan::new("life-explain").upstream(&[origin.url()], "").start();
    let response = Wire::plain(gate.http())
        .ask(format!(
            "POST /pay?card=1 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ))
        .expect("an answer");
    assert_eq!(response.status, 400);
    let reference = response.reference().expect("a reference").to_owned();
    let record = gate.journal().by_reference(&reference).expect("a record");
    assert_eq!(record["reason"].as_str(), Some("ambiguous-framing"), "{record}");
    assert!(record["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "the rule that was broken: {record}");
    let config = gate.config().to_string_lossy().into_owned();
    // As a person reads it out: lower case, in groups.
    let spoken = format!("{}-{}", &reference[..6].to_lowercase(), &reference[6..].to_lowercase());
    for word in [&reference, &spoken] {
        let output = gate.command(&["explain", word, "--config", &config]);
        assert!(
            output.success && output.stdout.contains("ambiguous-framing"),
            "{word}: {} {}",
            output.stdout,
            output.stderr
        );
        assert!(!output.stdout.contains("card=1"), "no query is kept");
    }
    let unknown = gate.command(&["explain", "0000000000000", "--config", &config]);
    assert_eq!(unknown.code, 1, "an unknown reference");
    let reason = gate.command(&["explain", "rate-limited"]);
    assert!(reason.success && reason.stdout.contains("rate"), "a reason by its name: {}", reason.stdout);
    assert_eq!(gate.command(&["explain"]).code, 2, "a command line that is wrong");
}

#[test]
fn the_log_is_bounded_on_disk_and_counts_what_it_wrote() {
    let origin = Origin::echo();
    let gate =
        Plan::new("life-log").log("sample = 1\nfile_size = \"64KiB\"\nfiles = 3").upstream(&[origin.url()], "").start();
    let mut wire = Wire::plain(gate.http());
    for number in 0..2000 {
        assert_eq!(wire.ask(get(&format!("/log/{number}"))).map(|response| response.status), Ok(200));
    }
    assert!(gate.journal().find(|record| record["path"] == "/log/1999").is_some(), "the newest is there");
    let files: Vec<PathBuf> = fs::read_dir(gate.place())
        .expect("the directory can be read")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("decisions")))
        .collect();
    let size: u64 = files.iter().filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum();
    assert!((2..=3).contains(&files.len()), "{files:?}");
    assert!(size <= 3 * 64 * 1024, "{size} bytes in {} files", files.len());
    let metrics = gate.metrics();
    let (written, dropped) =
        (metrics.sum("portcullis_log_written_total", &[]), metrics.sum("portcullis_log_dropped_total", &[]));
    assert!(written + dropped >= 2000.0, "every record is written or counted as dropped: {written} and {dropped}");
}

#[test]
fn the_log_samples_what_was_served_and_keeps_what_was_refused() {
    let origin = Origin::echo();
    let gate = Plan::new("life-sample")
        .server("workers = 1\ndrain = \"5s\"")
        .log("sample = 10")
        .upstream(&[origin.url()], "")
        .start();
    let mut wire = Wire::plain(gate.http());
    for _ in 0..100 {
        assert_eq!(wire.ask(get("/served")).map(|response| response.status), Ok(200));
    }
    for _ in 0..20 {
        let answer = Wire::plain(gate.http()).ask("GET /refused HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
        assert_eq!(answer.map(|response| response.status), Ok(421));
    }
    let count = |verdict: &str| gate.journal().records().iter().filter(|record| record["verdict"] == verdict).count();
    assert!(eventually(Duration::from_secs(5), || count("refused") == 20), "all of {} refusals", count("refused"));
    let served = count("served");
    assert!((9..=11).contains(&served), "one in ten of a hundred: {served}");
}

#[test]
fn readiness_is_told_truthfully() {
    let origin = Origin::echo();
    let gate = Plan::new("life-ready").upstream(&[origin.url()], "").start();
    assert_eq!(gate.ask_admin("/health").map(|response| response.status), Ok(200));
    assert_eq!(gate.ask_admin("/nothing").map(|response| response.status), Ok(404));
    let mut slow = Wire::plain(gate.http());
    slow.send(get("/sleep/3000")).expect("it is read");
    assert!(eventually(Duration::from_secs(5), || gate.metrics().sum("portcullis_requests_in_flight", &[]) >= 1.0));
    gate.signal(Signal::TERM);
    let told =
        eventually(Duration::from_secs(3), || gate.ask_admin("/ready").is_ok_and(|response| response.status == 503));
    assert!(told, "a gate that drains is not ready, and says so");
    assert_eq!(gate.ask_admin("/health").map(|response| response.status), Ok(200), "but it lives");
    assert_eq!(slow.response().map(|response| response.status), Ok(200));
}
