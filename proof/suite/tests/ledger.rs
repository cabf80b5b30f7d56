//! The evidence of a gate that runs: killed at any moment it goes on from what it published, others can read it, and a witness on
//! another address signs nothing that contradicts what it signed.

use std::cell::Cell;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use portcullis_store::disk::Directory;
use portcullis_store::requests::{Column, Query, top};
use portcullis_suite::{Gate, Namespace, Origin, Plan, Running, eventually, have, missing, place, run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

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

/// A disk that is small, and the test's own.
struct Small(PathBuf);

impl Small {
    fn new(name: &str, megabytes: u32) -> Option<Self> {
        let at = place(name);
        let size = format!("size={megabytes}m");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at.to_str().expect("text")], PATIENCE);
        if !mounted.success {
            missing("a full disk under a running gate", "a file system of its own", "run as root");
            return None;
        }
        Some(Self(at))
    }

    /// Takes all room that is left, for so long: what is let go meanwhile, too.
    fn fill(&self, span: Duration) {
        let until = Instant::now() + span;
        let filler = self.0.join("filler");
        let mut file = fs::File::options().append(true).create(true).open(filler).expect("room for a name");
        while Instant::now() < until {
            while file.write_all(&[1; 4096]).is_ok() {}
            sleep(Duration::from_millis(20));
        }
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it is there");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever is still there holds it; then it goes away with them.
        let _ = run("umount", &["--lazy", self.0.to_str().expect("text")], PATIENCE);
    }
}

/// Requests that are kept one by one.
fn kept(evidence: &Path) -> u64 {
    let all = Query { from: 0, until: u64::MAX, only: Vec::new() };
    top(&Directory::at(evidence), Column::Verdict, 5, &all, 1).expect("it can be read").rows
}

fn events(evidence: &Path, kind: &str) -> Vec<Value> {
    let shown = ask(&["ledger", "show", evidence.to_str().expect("text"), "--json", "--kind", kind]).stdout;
    let records = shown.lines().filter_map(|line| serde_json::from_str(line).ok());
    records.map(|record: Value| record["event"].clone()).collect()
}

#[test]
fn a_full_disk_costs_no_visitor_and_is_told_to_the_last_request() {
    let Some(disk) = Small::new("ledger-full-disk", 16) else { return };
    let evidence = disk.0.join("evidence");
    let origin = Origin::echo();
    let tables = format!("[evidence]\ndirectory = {evidence:?}\n");
    let gate = Plan::new("ledger-full").table(&tables).upstream(&[origin.url()], "").start();
    let asked = Cell::new(0_u64);
    let visit = |times: u64| {
        for _ in 0..times {
            assert_eq!(gate.get("/").status, 200, "{}", gate.said());
        }
        asked.set(asked.get() + times);
    };
    visit(20);
    assert!(eventually(PATIENCE, || published(&evidence) > 0 && kept(&evidence) == 20), "{}", gate.said());
    // Requests are written each second, checkpoints too. The last page of a file that is there still takes some, and roll-ups that fail
    // let go of what they had begun, so that it takes a while until nothing more is kept.
    let full = || kept(&evidence) + 300 < asked.get();
    let _ = (0..60).find(|_| {
        disk.fill(Duration::from_millis(700));
        visit(100);
        full()
    });
    assert!(full(), "{} of {} are kept\n{}", kept(&evidence), asked.get(), gate.said());
    let (at, full) = (published(&evidence), kept(&evidence));
    disk.empty();
    assert!(eventually(PATIENCE, || published(&evidence) > at), "{}", gate.said());
    visit(20);
    assert!(eventually(PATIENCE, || kept(&evidence) >= full + 20), "{} are kept\n{}", kept(&evidence), gate.said());
    drop(gate);

    let said = ask(&["ledger", "verify", evidence.to_str().expect("text"), "--key", &key(&evidence)]);
    assert!(said.success, "{}{}", said.stdout, said.stderr);
    let lost = events(&evidence, "lost");
    let count = |what: &str| lost.iter().filter_map(|lost| lost[what].as_u64()).sum::<u64>();
    assert!(!lost.is_empty() && lost.iter().all(|lost| lost["why"] == "disk-full"), "{lost:?}");
    assert_eq!((count("records"), count("requests")), (0, 0), "records waited in memory: {lost:?}");
    assert!(count("rows") >= 100, "the disk was full: {lost:?}");
    assert_eq!(kept(&evidence) + count("rows"), asked.get(), "each request is kept or told: {lost:?}");
    // The figures have all of them.
    let figures = events(&evidence, "traffic").iter().filter_map(|of| of["requests"].as_u64()).sum::<u64>();
    assert_eq!(figures, asked.get());
}

#[test]
fn a_witness_that_the_network_hides_costs_its_signature_and_signs_on_afterwards() {
    let test = "a witness behind a network that breaks";
    let (Some(hub), Some(far)) = (Namespace::new("ledger-hub", test), Namespace::new("ledger-far", test)) else {
        return;
    };
    hub.link("10.78.1.1/30", &far, "10.78.1.2/30");
    let state = place("ledger-netns-state");
    let evidence = state.join("evidence");
    let more = |signer: &str| {
        format!("[evidence]\nquorum = 1\n[[evidence.witness]]\nkey = \"{signer}\"\nurl = \"http://10.78.1.2:9190\"\n")
    };
    // A first life makes the key.
    let gate = plan("ledger-netns", &state, "").start();
    assert!(eventually(PATIENCE, || published(&evidence) > 0));
    drop(gate);
    let log = key(&evidence);
    let mut command = far.command(&binary());
    command.args(["witness", "--listen", "10.78.1.2:9190", "--log", &log, "--state"]).arg(place("ledger-netns-other"));
    let witness = Running::start(command, &state.join("witness.log"));
    let mut signer = String::new();
    let known = || {
        signer = witness.output().lines().find(|line| line.starts_with("witness+")).unwrap_or_default().to_owned();
        !signer.is_empty()
    };
    assert!(eventually(PATIENCE, known), "{}", witness.output());
    let gate = hub.inside(|| plan("ledger-netns", &state, &more(&signer)).start());
    let told = |good: bool| {
        let all = events(&evidence, "witnessed");
        all.last().is_some_and(|last| last["good"] == good)
    };
    assert!(eventually(PATIENCE, || witnessed(&evidence) > 0 && told(true)), "{}", gate.said());

    // The cable is cut at the far end.
    far.ip("link set b107811 down");
    assert!(eventually(PATIENCE, || told(false)), "nobody says that the quorum is lost: {}", gate.said());
    let (at, of) = (published(&evidence), witnessed(&evidence));
    assert!(eventually(PATIENCE, || published(&evidence) > at + 3), "the gate stands still: {}", gate.said());
    assert_eq!(witnessed(&evidence), of, "nobody signs");
    assert_eq!(hub.inside(|| gate.get("/").status), 502, "it serves what there is: its platform is none");
    let said = ask(&["ledger", "verify", evidence.to_str().expect("text"), "--key", &log, "--witness", &signer]);
    assert!(said.success && said.stdout.contains(&format!("Witnessed  {of} leaves, by 1")), "{}", said.stdout);

    far.ip("link set b107811 up");
    let at = published(&evidence);
    assert!(eventually(PATIENCE, || witnessed(&evidence) > at && told(true)), "{}", gate.said());
    let note = state.join("witnessed");
    fs::copy(evidence.join("checkpoint.witnessed"), &note).expect("room");
    drop(gate);
    // What was signed before, meanwhile and afterwards is one history.
    let mut arguments = vec!["ledger", "verify", evidence.to_str().expect("text"), "--key", &log, "--witness", &signer];
    arguments.extend(["--checkpoint", note.to_str().expect("text")]);
    let said = ask(&arguments);
    assert!(said.success, "{}{}", said.stdout, said.stderr);
}
