//! Integrity with real files, a real kernel and a running gate: what changes and nobody authorised is told, what was authorised is
//! silent, what cannot be seen is said, and each sensor can be tried.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_suite::{Gate, Origin, Output, Plan, eventually, missing, place, run};
use rustix::process::Signal;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A gate that watches a directory, with a key that may sign.
struct Watched {
    gate: Gate,
    _origin: Origin,
    place: PathBuf,
    tree: PathBuf,
}

impl Watched {
    fn start(name: &str, files: &str) -> Self {
        let place = place(&format!("{name}-files"));
        let tree = place.join("www");
        fs::create_dir_all(tree.join("assets")).expect("a tree");
        fs::create_dir_all(tree.join(".portcullis")).expect("where drills plant");
        fs::create_dir_all(place.join("deploys")).expect("where manifests are dropped");
        fs::write(tree.join("index.html"), "<h1>Vote</h1>").expect("a file");
        fs::write(tree.join("assets/app.js"), "vote()").expect("a file");
        let mut keys = Vec::new();
        for signer in ["alice", "bob"] {
            let out = place.join(format!("{signer}.key"));
            let made = cli(&["manifest", "key", signer, "--out", text(&out)]);
            assert!(made.success, "{}", made.stderr);
            keys.push(made.stdout.trim().to_owned());
        }
        let origin = Origin::echo();
        let table = format!(
            "[integrity]\nstate = \"{0}/state\"\ndeploys = \"{0}/deploys\"\nkeys = {keys:?}\nwindow = \"10s\"\n{1}\n\
             [[integrity.files]]\nname = \"www\"\ndirectory = \"{0}/www\"\nignore = [\"cache/**\"]\nprobe = \".portcullis\"\n{2}\n",
            place.display(),
            if files.contains("two people") { "signatures = 2" } else { "" },
            files.replace("two people", ""),
        );
        let gate = Plan::new(name).upstream(&[origin.url()], "").table(&table).start();
        // The gate serves before its sensors watch.
        assert!(eventually(PATIENCE, || gate.control().with_extension("sensors").exists()));
        Self { gate, _origin: origin, place, tree }
    }

    fn ask(&self, words: &[&str]) -> Output {
        let config = self.gate.config().to_owned();
        cli(&[words, &["--config", text(&config)]].concat())
    }

    fn baseline(&self) {
        let taken = self.ask(&["baseline", "--by", "somebody"]);
        assert!(taken.success, "{}", taken.stderr);
        self.until("it sees", |sensor| sensor["state"] == "up");
    }

    fn sensor(&self) -> Value {
        let said = self.ask(&["sensors", "--json"]);
        assert!(said.success, "{}", said.stderr);
        let all: Value = serde_json::from_str(&said.stdout).expect("JSON");
        all.as_array().and_then(|all| all.iter().find(|it| it["sensor"] == "files/www")).cloned().expect("the sensor")
    }

    fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let sensor = self.sensor();
            if fits(&sensor) {
                return sensor;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {sensor:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits for a finding about `subject`.
    fn told(&self, what: &str, subject: &str) -> Value {
        let is =
            |told: &&Value| told["what"] == what && told["words"].as_str().is_some_and(|words| words.contains(subject));
        let sensor = self.until(&format!("{what} {subject}"), |sensor| {
            sensor["latest"].as_array().is_some_and(|all| all.iter().any(|it| is(&it)))
        });
        sensor["latest"].as_array().and_then(|all| all.iter().rfind(|it| is(it))).cloned().expect("it was there")
    }

    fn findings(&self) -> u64 {
        self.sensor()["findings"].as_u64().expect("a number")
    }

    /// Waits until a sweep that begins now has ended, by way of a change that only shows that the sensor came round.
    fn settle(&self) {
        std::thread::sleep(Duration::from_secs(4));
    }
}

fn cli(words: &[&str]) -> Output {
    run(Gate::binary(), words, PATIENCE)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn every_kind_of_change_is_told_within_five_seconds_and_what_is_left_out_is_not() {
    let watched = Watched::start("integrity-changes", "sweep = \"1h\"");
    assert_eq!(watched.sensor()["state"], "blind", "nothing to compare with yet");
    watched.baseline();
    let at = |name: &str| watched.tree.join(name);
    let outside = watched.place.join("outside");
    fs::write(&outside, "from outside").expect("a file");
    fs::create_dir(at("cache")).expect("what is left out");
    fs::write(at("cache/page"), "1").expect("what is left out");

    let begun = Instant::now();
    fs::write(at("index.html"), "<h1>Donate here</h1>").expect("a change");
    watched.told("file-changed", "index.html");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    fs::write(at("new.php"), "<?php").expect("an addition");
    watched.told("file-added", "new.php");
    fs::rename(at("assets/app.js"), at("assets/app.old")).expect("a rename");
    watched.told("file-removed", "assets/app.js");
    watched.told("file-added", "assets/app.old");
    fs::hard_link(&outside, at("linked")).expect("a hard link");
    watched.told("file-added", "linked");
    fs::set_permissions(at("index.html"), fs::Permissions::from_mode(0o777)).expect("its mode");
    fs::create_dir_all(at("deep/er")).expect("directories");
    fs::write(at("deep/er/shell.php"), "<?php").expect("a file in a directory that has just come");
    watched.told("file-added", "deep/er/shell.php");
    std::os::unix::fs::symlink("/etc/passwd", at("link")).expect("a link");
    watched.told("file-added", "/link");
    fs::remove_dir_all(at("assets")).expect("all of it goes");
    watched.told("file-removed", "/assets ");
    let said = watched.ask(&["sensors"]).stdout;
    assert!(!said.contains("cache"), "{said}");

    // The same, by whoever looks without the gate.
    let differs = watched.ask(&["diff"]);
    assert!(!differs.success);
    for line in ["M index.html", "+ new.php", "- assets/app.js", "+ deep/er/shell.php", "+ link"] {
        assert!(differs.stdout.contains(line), "{line}: {}", differs.stdout);
    }
}

#[test]
fn an_authorised_deploy_is_silent_and_everything_beside_it_is_not() {
    let watched = Watched::start("integrity-deploy", "sweep = \"1h\"\n");
    watched.baseline();
    assert_eq!(watched.findings(), 0);
    // The release, built elsewhere.
    let release = watched.place.join("release");
    fs::create_dir_all(release.join("assets")).expect("a release");
    fs::create_dir_all(release.join(".portcullis")).expect("a release");
    fs::write(release.join("index.html"), "<h1>Vote on Thursday</h1>").expect("a file");
    fs::write(release.join("assets/app.2.js"), "vote(2)").expect("a file");
    let manifest = watched.place.join("4.2.manifest");
    let key = watched.place.join("alice.key");
    // Manifests are told apart by the second.
    std::thread::sleep(Duration::from_millis(1100));
    let signed = cli(&[
        "manifest",
        "sign",
        text(&release),
        "--platform",
        "www",
        "--key",
        text(&key),
        "--says",
        "Release 4.2",
        "--out",
        text(&manifest),
    ]);
    assert!(signed.success, "{}", signed.stderr);
    let verified = watched.ask(&["manifest", "verify", text(&manifest)]);
    assert!(verified.success && verified.stdout.contains("Signed by  alice"), "{}{}", verified.stdout, verified.stderr);
    fs::copy(&manifest, watched.place.join("deploys/4.2.manifest")).expect("it is dropped");
    watched.until("the deploy is under way", |_| {
        watched.ask(&["manifest", "deploy", text(&manifest)]).stdout.contains("in force already")
    });
    fs::copy(release.join("index.html"), watched.tree.join("index.html")).expect("deployed");
    fs::copy(release.join("assets/app.2.js"), watched.tree.join("assets/app.2.js")).expect("deployed");
    fs::remove_file(watched.tree.join("assets/app.js")).expect("it goes");
    watched.settle();
    assert_eq!(watched.findings(), 0, "{:#}", watched.sensor());
    // Its canary: something rides along.
    fs::write(watched.tree.join("assets/ride.js"), "steal()").expect("a file");
    watched.told("file-added", "assets/ride.js");
    fs::remove_file(watched.tree.join("assets/ride.js")).expect("it goes again");
    std::thread::sleep(Duration::from_secs(7));
    let told = watched.findings();
    let differs = watched.ask(&["diff"]);
    assert!(differs.success, "{}", differs.stdout);
    assert_eq!(told, 1, "when the window has closed nothing is left over");

    // The release before cannot be put back by whoever kept its manifest, nor a manifest that nobody known signed.
    let older = fs::read_to_string(&manifest).expect("a manifest").replace("made 1", "made 0");
    fs::write(watched.place.join("deploys/old.manifest"), older).expect("it is dropped");
    let forged = watched.place.join("mallory.key");
    assert!(cli(&["manifest", "key", "alice", "--out", text(&forged)]).success);
    let by_mallory = watched.place.join("deploys/mallory.manifest");
    let flags =
        ["manifest", "sign", text(&release), "--platform", "www", "--key", text(&forged), "--out", text(&by_mallory)];
    assert!(cli(&flags).success);
    for name in ["mallory", "old"] {
        let words = format!("{name}.manifest was dropped and is not put in force");
        assert!(eventually(PATIENCE, || watched.gate.said().contains(&words)), "{}", watched.gate.said());
    }
}

#[test]
fn where_two_must_sign_one_is_not_enough() {
    let watched = Watched::start("integrity-two", "two people");
    watched.baseline();
    std::thread::sleep(Duration::from_millis(1100));
    let manifest = watched.place.join("release.manifest");
    let sign = |path: &Path, signer: &str| {
        let key = watched.place.join(format!("{signer}.key"));
        cli(&["manifest", "sign", text(path), "--platform", "www", "--key", text(&key), "--out", text(&manifest)])
    };
    assert!(sign(&watched.tree, "alice").success);
    let alone = watched.ask(&["manifest", "deploy", text(&manifest)]);
    assert!(!alone.success && alone.stderr.contains("2 signatures are asked for"), "{}", alone.stderr);
    assert!(sign(&manifest, "alice").success, "the same person twice");
    assert!(!watched.ask(&["manifest", "deploy", text(&manifest)]).success);
    assert!(sign(&manifest, "bob").success);
    let both = watched.ask(&["manifest", "deploy", text(&manifest)]);
    assert!(both.success && both.stdout.contains("signed by alice, bob"), "{}{}", both.stdout, both.stderr);
}

#[test]
fn what_the_kernel_does_not_tell_is_found_by_the_sweep() {
    let watched = Watched::start("integrity-sweep", "sweep = \"3s\"");
    // Another name for the same file, outside: the kernel tells of no change at the name inside.
    let twin = watched.place.join("twin");
    fs::hard_link(watched.tree.join("index.html"), &twin).expect("a hard link");
    watched.baseline();
    let mut file = fs::OpenOptions::new().write(true).open(&twin).expect("it opens");
    file.rewind().expect("to its beginning");
    file.write_all(b"<h1>Gone").expect("a change");
    let told = watched.told("file-changed", "index.html");
    assert!(told["words"].as_str().is_some_and(|words| words.contains("found by the sweep")), "{told}");
}

#[test]
fn a_drill_plants_a_file_and_it_is_seen() {
    let watched = Watched::start("integrity-drill", "sweep = \"1h\"");
    watched.baseline();
    let drilled = watched.ask(&["drill", "--only", "files", "--by", "somebody"]);
    assert!(
        drilled.success && drilled.stdout.contains("files/www saw the drill"),
        "{}{}",
        drilled.stdout,
        drilled.stderr
    );
    let told = watched.told("file-added", ".portcullis/d-");
    assert!(told["drill"].as_str().is_some_and(|drill| drill.starts_with("d-")), "{told}");
    watched.settle();
    assert_eq!(watched.findings(), 1, "it went again, and nothing was told of that");
    // Its canary: where nothing can be planted, nothing is seen.
    fs::remove_dir(watched.tree.join(".portcullis")).expect("it goes");
    fs::write(watched.tree.join(".portcullis"), "").expect("a file in its place");
    let missed = watched.ask(&["drill", "--only", "files"]);
    assert!(!missed.success && missed.stdout.contains("MISSED"), "{}{}", missed.stdout, missed.stderr);
}

#[test]
fn when_the_kernels_queue_was_full_the_sensor_is_blind_until_a_sweep_has_caught_up() {
    let watched = Watched::start("integrity-overflow", "sweep = \"1h\"");
    watched.baseline();
    // Held still while more happens than the queue holds (16,384), files that come and go, and one that changes.
    watched.gate.signal(Signal::STOP);
    for number in 0..20_000 {
        fs::write(watched.tree.join(format!("cache-{number}.log")), "").expect("a file");
    }
    for number in 0..20_000 {
        fs::remove_file(watched.tree.join(format!("cache-{number}.log"))).expect("it goes");
    }
    fs::write(watched.tree.join("index.html"), "<h1>Meanwhile</h1>").expect("a change");
    watched.gate.signal(Signal::CONT);
    let told = watched.told("file-changed", "index.html");
    assert!(told["words"].as_str().is_some_and(|words| words.contains("found by the sweep")), "{told}");
    assert!(watched.gate.said().contains("more happened than the kernel could tell"), "{}", watched.gate.said());
    watched.until("it has caught up", |sensor| sensor["state"] == "up" && sensor["dropped"].as_u64() > Some(0));
}

#[test]
fn a_write_through_a_mapping_is_found_by_the_sweep_and_the_kernel_s_silence_is_stated() {
    let watched = Watched::start("integrity-mapping", "sweep = \"4s\"");
    watched.baseline();
    let said = watched.sensor();
    assert!(said["blind_to"].as_str().is_some_and(|blind| blind.contains("writes through a mapping")), "{said}");
    // The descriptor stays open as long as the mapping does: closing it is what the kernel would tell of.
    let script = "import mmap, sys\nfile = open(sys.argv[1], 'r+b')\nm = mmap.mmap(file.fileno(), 0)\nm[4:8] = b'Gone'\nm.flush()\n\
                  print('written', flush=True)\nsys.stdin.read()";
    let mut child = Command::new("python3")
        .args(["-c", script, text(&watched.tree.join("index.html"))])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its word")).read_line(&mut line).expect("it writes");
    assert_eq!(line, "written\n");
    let told = watched.told("file-changed", "index.html");
    assert!(told["words"].as_str().is_some_and(|words| words.contains("found by the sweep")), "{told}");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

/// Something that is done to a tree.
type Change = fn(&Path);

/// AIDE's own database of a tree, and what it says of changes.
struct Aide {
    config: PathBuf,
}

impl Aide {
    fn begin(place: &Path, tree: &Path, attributes: &str) -> Self {
        let config = place.join(format!("aide-{}.conf", attributes.len()));
        let lines = format!(
            "database_in=file:{0}/aide.db\ndatabase_out=file:{0}/aide.db\nreport_url=stdout\nreport_level=changed_attributes\n\
             report_format=plain\ngzip_dbout=no\nWatched = {attributes}\n{1}/ Watched\n",
            place.display(),
            tree.display()
        );
        fs::write(&config, lines).expect("a configuration");
        let begun = run("aide", &["--config", text(&config), "--init"], PATIENCE);
        assert!(begun.success, "{}{}", begun.stdout, begun.stderr);
        Self { config }
    }

    /// The paths that it says were added, removed or changed.
    fn differs(&self, tree: &Path) -> BTreeSet<String> {
        let checked = run("aide", &["--config", text(&self.config), "--check"], PATIENCE);
        let begin = format!("{}/", tree.display());
        // `f++++++++++++++++: /tree/new`, `d =.... mc.. .. . : /tree/assets`.
        let path = |line: &str| Some(line.split_once(": ")?.1.strip_prefix(&begin)?.to_owned());
        checked.stdout.lines().filter_map(path).collect()
    }
}

#[test]
fn aide_and_the_sweep_find_the_same_changes() {
    if !portcullis_suite::have("aide", "aide", "aide_and_the_sweep_find_the_same_changes") {
        return;
    }
    let cases: [(&str, Change); 14] = [
        ("nothing", |_| {}),
        ("a file is another", |at| fs::write(at.join("index.html"), "<h1>Gone</h1>").expect("a change")),
        ("of the same length, at the same time", |at| {
            let path = at.join("index.html");
            let before = fs::metadata(&path).and_then(|facts| facts.modified()).expect("its time");
            fs::write(&path, "<h1>Veto</h1>").expect("a change");
            fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(before)).expect("its time");
        }),
        ("a mode", |at| {
            fs::set_permissions(at.join("index.html"), fs::Permissions::from_mode(0o4755)).expect("its mode");
        }),
        ("a directory's mode", |at| {
            fs::set_permissions(at.join("assets"), fs::Permissions::from_mode(0o777)).expect("its mode");
        }),
        ("a file comes", |at| fs::write(at.join("new.php"), "<?php").expect("a file")),
        ("a hidden one", |at| fs::write(at.join("assets/.htaccess"), "x").expect("a file")),
        ("a file goes", |at| fs::remove_file(at.join("assets/app.js")).expect("it goes")),
        ("a file is renamed", |at| fs::rename(at.join("index.html"), at.join("index.htm")).expect("a rename")),
        ("a directory comes, with something in it", |at| {
            fs::create_dir_all(at.join("deep/er")).expect("directories");
            fs::write(at.join("deep/er/shell.php"), "<?php").expect("a file");
        }),
        ("a link comes", |at| std::os::unix::fs::symlink("/etc/passwd", at.join("link")).expect("a link")),
        ("a file becomes a link to what it was", |at| {
            fs::rename(at.join("index.html"), at.join("index.real")).expect("a rename");
            std::os::unix::fs::symlink("index.real", at.join("index.html")).expect("a link");
        }),
        ("another name for a file", |at| fs::hard_link(at.join("index.html"), at.join("twin.html")).expect("a link")),
        ("all of a directory goes", |at| fs::remove_dir_all(at.join("assets")).expect("it goes")),
    ];
    let watched = Watched::start("integrity-aide", "sweep = \"1h\"");
    for (name, change) in cases {
        // The directory itself stays: what is watched is this one, not its name.
        for entry in fs::read_dir(&watched.tree).expect("a tree") {
            let path = entry.expect("an entry").path();
            let is_directory = fs::symlink_metadata(&path).expect("its facts").is_dir();
            if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("a tree anew");
        }
        fs::create_dir_all(watched.tree.join("assets")).expect("a tree");
        fs::write(watched.tree.join("index.html"), "<h1>Vote</h1>").expect("a file");
        fs::write(watched.tree.join("assets/app.js"), "vote()").expect("a file");
        let taken = watched.ask(&["baseline", "--by", "somebody"]);
        assert!(taken.success && watched.ask(&["diff"]).success, "{}", taken.stderr);
        // What a manifest has: kind, mode, content, target of a link.
        let aide = Aide::begin(&watched.place, &watched.tree, "ftype+p+l+sha256");
        change(&watched.tree);
        let differs = watched.ask(&["diff"]).stdout;
        let ours: BTreeSet<String> = differs
            .lines()
            .filter_map(|line| {
                line.strip_prefix(['M', '-', '+'])?.strip_prefix(' ')?.split("  ").next().map(str::to_owned)
            })
            .collect();
        let theirs: BTreeSet<String> =
            aide.differs(&watched.tree).into_iter().map(|path| path.trim_end_matches('/').to_owned()).collect();
        assert_eq!(ours, theirs, "{name}: {differs}");
        assert_eq!(ours.is_empty(), name == "nothing", "{name}");
    }
    // What AIDE can tell and a manifest does not have: who owns a file. It is stated.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let aide = Aide::begin(&watched.place, &watched.tree, "ftype+p+l+sha256+u+g");
    watched.until("it is taken as it is", |_| watched.ask(&["baseline", "--by", "somebody"]).success);
    std::os::unix::fs::chown(watched.tree.join("index.html"), Some(65_534), Some(65_534)).expect("another owner");
    assert_eq!(aide.differs(&watched.tree), BTreeSet::from(["index.html".to_owned()]));
    assert!(watched.ask(&["diff"]).success, "a manifest has no owners");
    assert!(watched.ask(&["sensors"]).stdout.contains("owners, access lists"), "and that is said");
}

#[test]
fn a_claim_has_the_sensors_tried_first_and_says_what_came_of_it() {
    let evidence = place("integrity-claim-evidence");
    let more = format!("sweep = \"1h\"\n[evidence]\ndirectory = \"{}\"", evidence.display());
    let mut watched = Watched::start("integrity-claim", &more);
    watched.baseline();
    fs::write(watched.tree.join("index.html"), "<h1>Donate here</h1>").expect("a change");
    watched.told("file-changed", "index.html");
    let ask = |watched: &Watched, more: &[&str]| watched.ask(&[&["incident", "statement", "last"], more].concat());
    assert!(eventually(PATIENCE, || ask(&watched, &["--no-drill"]).success), "it has opened an incident by itself");
    let said = |watched: &Watched, more: &[&str]| {
        let said = ask(watched, more);
        assert!(said.success, "{}", said.stderr);
        said.stdout
    };
    assert!(said(&watched, &["--no-drill"]).contains("Nothing was tried before this was written, as was asked for"));
    // Nothing can be planted: it is not seen.
    let probe = watched.tree.join(".portcullis");
    fs::remove_dir(&probe).expect("it goes");
    fs::write(&probe, "").expect("a file in its place");
    let missed = said(&watched, &[]);
    assert!(missed.contains("NOT SEEN: files/www"), "{missed}");
    fs::remove_file(&probe).expect("it goes");
    fs::create_dir(&probe).expect("as it was");
    let seen = said(&watched, &[]);
    assert!(
        seen.contains(
            "one way was tried right before this was written, and 2 within the ten minutes before; each was seen"
        ),
        "{seen}"
    );
    assert!(said(&watched, &[]).contains("3 ways were tried within the ten minutes before"));
    let page = watched.ask(&["incident", "show", "last", "--json"]).stdout;
    let page: Value = serde_json::from_str(&page).expect("JSON");
    let drills =
        page["timeline"]["entries"].as_array().expect("a timeline").iter().filter(|entry| entry["kind"] == "drill");
    assert!(drills.count() >= 2, "and the ledger has both before the page is written");
    watched.gate.signal(Signal::TERM);
    assert!(watched.gate.wait(PATIENCE).is_some());
    let alone = said(&watched, &[]);
    assert!(alone.contains("no gate with sensors runs"), "{alone}");
}

#[test]
fn who_may_not_ask_is_refused_and_on_record() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        missing("who_may_not_ask", "another user", "run as root");
        return;
    }
    let origin = Origin::echo();
    let evidence = place("refused-evidence");
    let table = format!("[evidence]\ndirectory = {evidence:?}\n");
    let gate = Plan::new("refused").upstream(&[origin.url()], "").table(&table).start();
    let (control, sensors) = (gate.control(), gate.control().with_extension("sensors"));
    assert!(eventually(PATIENCE, || sensors.exists()));
    // Somebody has made the sockets wider than the gate does.
    let home = control.parent().expect("a directory");
    for below in home.ancestors().filter(|below| below.starts_with(std::env::temp_dir())) {
        let mode = fs::metadata(below).expect("it is there").permissions().mode();
        fs::set_permissions(below, fs::Permissions::from_mode(mode | 0o011)).expect("ours");
    }
    for socket in [&control, &sensors] {
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).expect("ours");
    }
    // A copy that nobody is kept from.
    let binary = std::env::temp_dir().join(format!("portcullis-refused-{}", std::process::id()));
    fs::copy(Gate::binary(), &binary).expect("room");
    let ask = |verb: &str, uid: u32| {
        let mut command = Command::new(&binary);
        let output = command.args([verb, "--control", text(&control)]).current_dir("/").uid(uid).output();
        output.expect("it runs")
    };
    for verb in ["status", "sensors"] {
        let refused = ask(verb, NOBODY);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("only the user that runs the gate, and root, may ask"),
            "{said}"
        );
        assert!(ask(verb, 0).status.success(), "its benign twin");
    }
    let wrong = gate.command(&["rules", "undo", "r-4711", "--control", text(&control)]);
    assert!(!wrong.success, "{}", wrong.stdout);
    let _ = fs::remove_file(&binary);
    let records = |kind: &str| {
        let shown =
            run(Gate::binary(), &["ledger", "show", text(&evidence), "--json", "--kind", kind], PATIENCE).stdout;
        let events = shown.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.map(|record| record["event"].clone()).collect::<Vec<_>>()
    };
    assert!(eventually(PATIENCE, || records("login").len() == 2), "{:#?}", records("login"));
    for login in records("login") {
        assert_eq!((&login["place"], &login["good"]), (&Value::from("control"), &Value::from(false)), "{login:#}");
        let who = login["who"].as_str().unwrap_or_default();
        assert!(who.starts_with("somebody (") && !who.contains("root"), "{who}");
    }
    let refused = |act: &Value| act["what"] == "refused" && act["by"].as_str().is_some_and(|by| by.ends_with("(root)"));
    assert!(
        eventually(PATIENCE, || records("act").iter().filter(|act| refused(act)).count() == 1),
        "{:#?}",
        records("act")
    );
}
