//! The evidence of a gate that runs: killed at any moment it goes on from what it published, others can read it, and a witness on
//! another address signs nothing that contradicts what it signed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use portcullis_suite::{Gate, Plan, Running, eventually, have, place, run};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);

fn plan(name: &str, state: &Path, more: &str) -> Plan {
    let tables = format!("[defence]\nstate = {state:?}\n{more}\n");
    Plan::new(name).table(&tables).upstream(&["http://127.0.0.1:9".to_owned()], "")
}

fn binary() -> String {
    Gate::binary().display().to_string()
}

fn ask(arguments: &[&str]) -> portcullis_suite::Output {
    run(binary(), arguments, PATIENCE)
}

fn key(evidence: &Path) -> String {
    ask(&["ledger", "key", evidence.to_str().expect("text")]).stdout.trim().to_owned()
}

fn kill(gate: Gate) {
    let pid = i32::try_from(gate.id()).ok().and_then(Pid::from_raw).expect("it has an id");
    kill_process(pid, Signal::KILL).expect("it is ours");
    drop(gate);
}

fn published(evidence: &Path) -> u64 {
    let note = fs::read_to_string(evidence.join("checkpoint")).unwrap_or_default();
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
}

#[test]
fn killed_at_any_moment_it_goes_on_from_what_it_published() {
    let state = place("ledger-killed-state");
    let evidence = state.join("evidence");
    let mut kept: Vec<PathBuf> = Vec::new();
    let mut chance = u64::from(std::process::id()) | 1;
    for round in 0..5 {
        let gate = plan("ledger-killed", &state, "").start();
        for _ in 0..5 {
            let _ = gate.get("/");
        }
        assert!(eventually(Duration::from_secs(20), || published(&evidence) > 0), "{}", gate.said());
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        sleep(Duration::from_millis(chance >> 54));
        let copy = state.join(format!("checkpoint-{round}"));
        fs::copy(evidence.join("checkpoint"), &copy).expect("room");
        kept.push(copy);
        kill(gate);
        let key = key(&evidence);
        let mut arguments = vec!["ledger", "verify", evidence.to_str().expect("text"), "--key", &key];
        for path in &kept {
            arguments.extend(["--checkpoint", path.to_str().expect("text")]);
        }
        let said = ask(&arguments);
        assert!(said.success, "round {round}: {}{}", said.stdout, said.stderr);
    }
    // What a life had in hand when it was killed is told by the next.
    let gate = plan("ledger-killed", &state, "").start();
    let before = published(&evidence);
    assert!(eventually(Duration::from_secs(20), || published(&evidence) > before));
    drop(gate);
    let shown = ask(&["ledger", "show", evidence.to_str().expect("text"), "--kind", "lost"]).stdout;
    assert!(shown.matches("\"killed\"").count() >= 4, "{shown}");
    let shown = ask(&["ledger", "show", evidence.to_str().expect("text"), "--kind", "start", "--json"]).stdout;
    assert!(shown.lines().count() >= 5 && shown.contains("\"binary\":\""), "{shown}");

    another_reader_finds_the_same(&evidence, &kept[0]);
    a_changed_leaf_is_named(&evidence);
}

/// Go's own reader of such logs, from Debian.
fn another_reader_finds_the_same(evidence: &Path, older: &Path) {
    let library = Path::new("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog");
    if !have("go", "golang-go", "Go's reader of the ledger") || !library.is_dir() {
        return;
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/go/ledger.go");
    let go = |key: &str| {
        let mut command = Command::new("go");
        command.args(["run", program]).arg(evidence).arg(key).arg(older);
        command.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
        command.env("GOCACHE", place("ledger-go-cache"));
        let output = command.output().expect("go runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (good, said) = go(&key(evidence));
    assert!(good && said.contains(&format!("checked {}", published(evidence))), "{said}");
    assert!(said.contains("continues "), "{said}");
    // The canary: a key that did not sign.
    let stranger = "suite/evidence+bf4fc4a8+AXdCdbGMRbbXdKMk0FjLIgV3jLw8g9rdkzN+Gj5xbiJx";
    assert!(!go(stranger).0, "a stranger's key is believed");
}

fn a_changed_leaf_is_named(evidence: &Path) {
    let bundles = evidence.join("tile/entries");
    let mut partial = fs::read_dir(&bundles).expect("entries").map(|entry| entry.expect("one").path());
    let first = partial.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("000")));
    let mut path = first.expect("the first bundle");
    if path.is_dir() {
        let size = published(evidence);
        path = path.join(size.to_string());
    }
    let mut bytes = fs::read(&path).expect("a bundle");
    // Of the third entry, its time.
    let mut at = 0;
    for _ in 0..2 {
        at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    }
    bytes[at + 2 + 9] ^= 1;
    fs::write(&path, bytes).expect("room");
    let said = ask(&["ledger", "verify", evidence.to_str().expect("text"), "--key", &key(evidence)]);
    assert!(!said.success && said.stdout.contains("leaf 2: "), "{}{}", said.stdout, said.stderr);
}

/// A witness on another address.
struct Witness {
    state: PathBuf,
    listen: String,
    log: String,
    running: Option<Running>,
}

impl Witness {
    fn start(&mut self) -> String {
        let mut command = Command::new(Gate::binary());
        command.args(["witness", "--listen", &self.listen, "--log", &self.log, "--state"]).arg(&self.state);
        let running = Running::start(command, &self.state.with_extension("log"));
        let mut key = String::new();
        assert!(
            eventually(Duration::from_secs(20), || {
                key = running.output().lines().find(|line| line.starts_with("witness+")).unwrap_or_default().to_owned();
                !key.is_empty()
            }),
            "{}",
            running.output()
        );
        self.running = Some(running);
        key
    }
}

fn witnessed(evidence: &Path) -> u64 {
    let note = fs::read_to_string(evidence.join("checkpoint.witnessed")).unwrap_or_default();
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
}

#[test]
fn a_witness_elsewhere_signs_what_continues_and_refuses_a_fork() {
    let state = place("ledger-witness-state");
    let evidence = state.join("evidence");
    // A first life makes the key.
    let gate = plan("ledger-witness", &state, "").start();
    assert!(eventually(Duration::from_secs(20), || published(&evidence) > 0));
    drop(gate);
    let free = TcpListener::bind("127.0.0.2:0").and_then(|socket| socket.local_addr()).expect("another address");
    let log = key(&evidence);
    let mut witness =
        Witness { state: place("ledger-witness-other"), listen: free.to_string(), log: log.clone(), running: None };
    let signer = witness.start();
    let more = format!("[evidence]\nquorum = 1\n[[evidence.witness]]\nkey = \"{signer}\"\nurl = \"http://{free}\"\n");
    let gate = plan("ledger-witness", &state, &more).start();
    assert!(eventually(Duration::from_secs(20), || witnessed(&evidence) > 0), "{}", gate.said());
    let said =
        ask(&["ledger", "verify", evidence.to_str().expect("text"), "--key", &log, "--witness", &signer, "--json"]);
    assert!(said.success && said.stdout.contains("\"by\": 1"), "{}{}", said.stdout, said.stderr);

    // The line to it is cut: the gate goes on, and says so.
    witness.running = None;
    let (at, of) = (published(&evidence), witnessed(&evidence));
    assert!(eventually(Duration::from_secs(20), || published(&evidence) > at + 3));
    assert!(witnessed(&evidence) <= of + 4, "nobody signs");
    assert_eq!(witness.start(), signer, "it has the same key");
    assert!(eventually(Duration::from_secs(20), || witnessed(&evidence) > at), "{}", gate.said());
    drop(gate);

    // An older copy is put in its place: it is well signed and shorter, and the witness has seen more.
    let copy = state.join("older");
    let files = |from: &Path, to: &Path| {
        let copied = run("cp", &["-a", from.to_str().expect("text"), to.to_str().expect("text")], PATIENCE);
        assert!(copied.success, "{}", copied.stderr);
    };
    files(&evidence, &copy);
    let gate = plan("ledger-witness", &state, &more).start();
    let at = witnessed(&evidence);
    assert!(eventually(Duration::from_secs(20), || witnessed(&evidence) > at + 2), "{}", gate.said());
    drop(gate);
    let seen = witnessed(&evidence);
    fs::remove_dir_all(&evidence).expect("it is ours");
    files(&copy, &evidence);
    let gate = plan("ledger-witness", &state, &more).start();
    assert!(eventually(Duration::from_secs(30), || published(&evidence) > seen + 3), "{}", gate.said());
    sleep(Duration::from_secs(2));
    drop(gate);
    assert!(witnessed(&evidence) < seen, "a fork was signed");
    let shown = ask(&["ledger", "show", evidence.to_str().expect("text"), "--kind", "witnessed"]).stdout;
    let last = shown.lines().last().expect("it was asked");
    assert!(last.contains("\"good\":false") && last.contains("it "), "{shown}");
}
