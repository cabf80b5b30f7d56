//! Checkpoints that a time-stamping authority stamps: OpenSSL is the authority, and OpenSSL reads what was kept. Authorities that
//! answer anything else cost their stamp, and that is on record.

#[path = "../../../crates/incident/tests/scene/mod.rs"]
mod scene;
#[path = "../../../crates/incident/tests/scene/ledger.rs"]
mod written;

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use portcullis_suite::{Gate, Next, Origin, Output, Plan, Seen, eventually, have, place, respond, run};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// Each of them answers in a way of its own.
const AUTHORITIES: [&str; 7] = ["good", "garbage", "imprint", "nonce", "much", "nothing", "refuses"];

fn openssl(home: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("openssl").args(arguments).current_dir(home).output().expect("openssl runs");
    output.status.success()
}

/// A certification authority, a certificate for stamping, and how `openssl ts` is to use them.
fn authority(home: &Path) {
    fs::write(home.join("tsa.ext"), "extendedKeyUsage = critical, timeStamping\n").expect("room");
    fs::write(home.join("serial"), "01\n").expect("room");
    let config = "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = tsa.pem\ncerts = ca.pem\nsigner_key = tsa.key\n\
                  signer_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256\naccuracy = secs:1\nordering = yes\n\
                  tsa_name = yes\ness_cert_id_chain = no\ness_cert_id_alg = sha256\n";
    fs::write(home.join("tsa.cnf"), config).expect("room");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    for name in ["ca", "stranger"] {
        let (own, out, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN=Suite {name}"));
        let one = ["req", "-x509", "-days", "2", "-keyout", &own, "-out", &out, "-subj", &subject];
        assert!(openssl(home, &[&one[..], &key[..]].concat()), "{name}");
    }
    let one = ["req", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Suite stamps"];
    assert!(openssl(home, &[&one[..], &key[..]].concat()));
    let sign = "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out tsa.pem -extfile tsa.ext";
    assert!(openssl(home, &sign.split(' ').collect::<Vec<_>>()));
}

/// What OpenSSL answers to a question.
fn stamped(home: &Path, question: &[u8]) -> Vec<u8> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (asked, answer) = (format!("{number}.tsq"), format!("{number}.tsr"));
    fs::write(home.join(&asked), question).expect("room");
    assert!(openssl(home, &["ts", "-reply", "-config", "tsa.cnf", "-queryfile", &asked, "-out", &answer]));
    fs::read(home.join(&answer)).expect("an answer")
}

/// The shell around it: by path the authority as it should be, or one that is not.
fn answer(home: &Path, seen: &Seen, stream: &mut TcpStream) -> io::Result<Next> {
    assert_eq!(seen.header("content-type"), Some("application/timestamp-query"));
    let answer = match seen.path() {
        "/good" => stamped(home, &seen.body),
        "/garbage" => b"<h1>It works!</h1>".to_vec(),
        // What was stamped, and the nonce, stand at fixed places of a question.
        "/imprint" => {
            let mut question = seen.body.clone();
            question[30] ^= 1;
            stamped(home, &question)
        }
        "/nonce" => {
            let mut question = seen.body.clone();
            let last = question.len() - 4;
            question[last] ^= 1;
            stamped(home, &question)
        }
        "/much" => {
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n")?;
            // Until the other side has enough.
            while stream.write_all(&[0x30; 4096]).is_ok() {}
            return Ok(Next::Reset);
        }
        "/nothing" => {
            sleep(Duration::from_secs(8));
            return Ok(Next::Close);
        }
        _ => {
            respond(stream, 503, "", b"not now")?;
            return Ok(Next::Close);
        }
    };
    respond(stream, 200, "Content-Type: application/timestamp-reply\r\n", &answer)?;
    Ok(Next::Close)
}

fn ask(arguments: &[&str]) -> Output {
    run(Gate::binary(), arguments, PATIENCE)
}

fn records(evidence: &Path) -> Vec<Value> {
    let shown = ask(&["ledger", "show", evidence.to_str().expect("text"), "--json", "--kind", "stamped"]).stdout;
    let records = shown.lines().filter_map(|line| serde_json::from_str(line).ok());
    records.map(|record: Value| record["event"].clone()).collect()
}

fn tokens(evidence: &Path, authority: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(evidence.join("stamps").join(authority)).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("one").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|kind| kind == "tst"));
    paths.sort();
    paths
}

#[test]
fn openssl_stamps_checkpoints_and_reads_what_was_kept() {
    let home = place("stamps");
    if !have("openssl", "openssl", "stamps of a real authority") {
        return;
    }
    authority(&home);
    // A ledger with an incident in it, which a gate then goes on with.
    let evidence = home.join("evidence");
    written::ledger(&evidence, Vec::new());
    let shell = home.clone();
    let tsa = Origin::start(move |seen, stream| answer(&shell, seen, stream));
    let tables: String = AUTHORITIES
        .iter()
        .map(|name| {
            let url = tsa.url();
            format!("[[evidence.stamp]]\nname = \"{name}\"\nurl = \"{url}\"\npath = \"/{name}\"\nevery = \"1s\"\n")
        })
        .collect();
    let origin = Origin::echo();
    let gate = Plan::new("stamps-gate")
        .table(&format!("[evidence]\ndirectory = {evidence:?}\n{tables}"))
        .upstream(&[origin.url()], "")
        .start();
    let told = |name: &str, good: bool| {
        records(&evidence).iter().any(|record| record["authority"] == name && record["good"] == good)
    };
    let all = || tokens(&evidence, "good").len() >= 3 && AUTHORITIES[1..].iter().all(|name| told(name, false));
    assert!(eventually(PATIENCE, all), "{:?}\n{}", records(&evidence), gate.said());
    assert_eq!(gate.get("/").status, 200, "visitors notice nothing");
    drop(gate);

    let records = records(&evidence);
    for (name, words) in [
        ("garbage", "no time stamp"),
        ("imprint", "stamped something else"),
        ("nonce", "the nonce differs"),
        ("much", "too long"),
        ("nothing", "timed out"),
        ("refuses", "status 503"),
    ] {
        let own: Vec<&Value> = records.iter().filter(|record| record["authority"] == name).collect();
        assert!(own.iter().all(|record| record["good"] == false), "{name}: {own:?}");
        let said = own[0]["words"].as_str().unwrap_or_default();
        assert!(said.contains(words) || name == "nothing" && said.contains("os error"), "{name}: {said}");
        assert!(tokens(&evidence, name).is_empty(), "{name}: nothing of it is kept");
    }
    another_reader_takes_them(&home, &evidence, &records);
    whose_signature_it_is_is_checked(&home, &evidence);
    an_export_has_the_newest(&home, &evidence);
    what_is_not_as_it_was_is_found(&home, &evidence);
}

fn another_reader_takes_them(home: &Path, evidence: &Path, records: &[Value]) {
    let good: Vec<&Value> = records.iter().filter(|record| record["good"] == true).collect();
    assert!(good.len() >= 3 && good.len() <= tokens(evidence, "good").len(), "{good:?}");
    let read = |ca: &str, checkpoint: &Path, token: &Path| {
        let [checkpoint, token] = [checkpoint, token].map(|path| path.to_str().expect("text"));
        openssl(home, &["ts", "-verify", "-data", checkpoint, "-in", token, "-token_in", "-CAfile", ca])
    };
    let all = tokens(evidence, "good");
    for token in &all {
        assert!(read("ca.pem", &token.with_extension("checkpoint"), token), "{}", token.display());
    }
    // The canaries: another checkpoint, and somebody else's certificate.
    assert!(!read("ca.pem", &all[1].with_extension("checkpoint"), &all[0]), "any checkpoint is believed");
    assert!(!read("stranger.pem", &all[0].with_extension("checkpoint"), &all[0]), "anybody is believed");
    // The verifier says which were stamped, and the very command that checks the signature.
    let said = verified(evidence);
    assert!(said.success, "{}{}", said.stdout, said.stderr);
    let command = said.stdout.lines().find(|line| line.contains("openssl ts -verify")).expect("the command");
    let command = command.trim().replace("CA.pem", "ca.pem");
    assert!(openssl(home, &command.split(' ').skip(1).collect::<Vec<_>>()), "{command}");
    assert!(said.stdout.contains(" by good, on record in leaf "), "{}", said.stdout);
    assert!(said.stdout.contains("garbage did not stamp "), "{}", said.stdout);
}

fn verified(evidence: &Path) -> Output {
    verified_with(evidence, &[])
}

fn verified_with(evidence: &Path, flags: &[&str]) -> Output {
    let evidence = evidence.to_str().expect("text");
    let key = ask(&["ledger", "key", evidence]).stdout;
    ask(&[&["ledger", "verify", evidence, "--key", key.trim()], flags].concat())
}

/// What `openssl ts -verify` says, said by the verifier itself; and what no authority signed is not taken for signed.
fn whose_signature_it_is_is_checked(home: &Path, evidence: &Path) {
    let said = |evidence: &Path, ca: &str| {
        let ca = home.join(ca);
        verified_with(evidence, &["--tsa-ca", ca.to_str().expect("text")])
    };
    let (own, stranger) =
        (fs::read(home.join("ca.pem")).expect("it"), fs::read(home.join("stranger.pem")).expect("it"));
    fs::write(home.join("both.pem"), [stranger, own].concat()).expect("room");
    for ca in ["ca.pem", "both.pem"] {
        let good = said(evidence, ca);
        assert!(good.success, "{ca}: {}{}", good.stdout, good.stderr);
        let (all, signed) =
            (good.stdout.matches(" by good, ").count(), good.stdout.matches("signed by CN=Suite stamps").count());
        assert!(signed >= 3 && signed == all, "{ca}: {}", good.stdout);
    }
    let foreign = said(evidence, "stranger.pem");
    assert!(!foreign.success && foreign.stderr.contains("signed by nobody who is believed"), "{}", foreign.stderr);
    assert!(foreign.stdout.contains("nobody who is believed vouches for CN=Suite stamps"), "{}", foreign.stdout);
    for none in ["tsa.key", "missing.pem"] {
        assert!(!said(evidence, none).success, "{none}");
    }
    // A certificate of the same authority that is made for something else signs the very words of a stamp.
    fs::write(home.join("web.ext"), "extendedKeyUsage = serverAuth\n").expect("room");
    let first = &tokens(evidence, "good")[0];
    let first = first.to_str().expect("text");
    for line in [
        "req -keyout web.key -out web.csr -subj /CN=Suite-web -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes",
        "x509 -req -in web.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out web.pem -extfile web.ext",
        &format!("cms -verify -noverify -inform DER -in {first} -out info.der"),
        "cms -sign -binary -nodetach -cades -econtent_type 1.2.840.113549.1.9.16.1.4 -md sha256 -signer web.pem -inkey web.key \
         -in info.der -outform DER -out forged.tst",
    ] {
        assert!(openssl(home, &line.split_whitespace().collect::<Vec<_>>()), "{line}");
    }
    let forged = fs::read(home.join("forged.tst")).expect("a token");
    let real = fs::read(first).expect("a token");
    let mut broken = real.clone();
    *broken.last_mut().expect("bytes") ^= 1;
    // The time stands in what is signed: its tag, its length, its year.
    let time = real.windows(4).position(|bytes| bytes == b"\x18\x0f20").expect("a time");
    let mut later = real.clone();
    later[time + 5] ^= 1;
    for (token, words) in [
        (forged, "the certificate of CN=Suite-web is not made for stamps alone"),
        (broken, "it is not CN=Suite stamps's signature"),
        (later, "its signature is in no form that is read, or is not over what it says"),
    ] {
        let copy = home.join("copy");
        fs::remove_dir_all(&copy).ok();
        let copied = run("cp", &["-a", evidence.to_str().expect("text"), copy.to_str().expect("text")], PATIENCE);
        assert!(copied.success, "{}", copied.stderr);
        fs::write(&tokens(&copy, "good")[0], token).expect("room");
        let found = said(&copy, "ca.pem");
        assert!(!found.success && found.stdout.contains(words), "{words}: {}{}", found.stdout, found.stderr);
        assert_eq!(found.stdout.matches("NOT SIGNED").count(), 1, "the others are as they were: {}", found.stdout);
    }
}

fn an_export_has_the_newest(home: &Path, evidence: &Path) {
    let out = home.join("out");
    let [to, from] = [&out, evidence].map(|path| path.to_str().expect("text"));
    let exported = ask(&["incident", "export", "last", to, "--ledger", from, "--config", "/nonexistent"]);
    assert!(exported.success, "{}", exported.stderr);
    let check = "ts -verify -data out/stamp/checkpoint -in out/stamp/token.tst -token_in -CAfile ca.pem";
    assert!(openssl(home, &check.split(' ').collect::<Vec<_>>()));
    // The proof of each record that it has ends in the checkpoint that was stamped, and holds.
    let stamped = fs::read_to_string(out.join("stamp/checkpoint")).expect("text");
    let newest = tokens(evidence, "good").pop().expect("some").with_extension("checkpoint");
    assert_eq!(stamped, fs::read_to_string(newest).expect("text"));
    let key = fs::read_to_string(out.join("ledger.pub")).expect("a key");
    let size: u64 = stamped.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size");
    let mut proofs = 0;
    for proof in fs::read_dir(out.join("proofs")).expect("proofs") {
        let path = proof.expect("one").path();
        let index: u64 = path.file_stem().and_then(|name| name.to_str()?.parse().ok()).expect("a number");
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(text.ends_with(&stamped), index < size, "{}", path.display());
        if index < size && proofs < 3 {
            let said = ask(&["ledger", "check", path.to_str().expect("text"), "--key", key.trim()]);
            assert!(said.success, "{}", said.stderr);
        }
        proofs += u64::from(index < size);
    }
    let readme = fs::read_to_string(out.join("README.md")).expect("text");
    assert!(readme.contains(&format!("The first {size} records of the ledger were there by ")), "{readme}");
    assert!(proofs > 10, "{proofs}");
}

fn what_is_not_as_it_was_is_found(home: &Path, evidence: &Path) {
    let all = tokens(evidence, "good");
    let [first, second, ..] = &all[..] else { panic!("{all:?}") };
    let changed = |change: &dyn Fn(&Path, &Path), words: &str| {
        let copy = home.join("copy");
        fs::remove_dir_all(&copy).ok();
        let copied = run("cp", &["-a", evidence.to_str().expect("text"), copy.to_str().expect("text")], PATIENCE);
        assert!(copied.success, "{}", copied.stderr);
        let there = |path: &Path| copy.join(path.strip_prefix(evidence).expect("below"));
        change(&there(first), &there(second));
        let said = verified(&copy);
        assert!(!said.success && said.stdout.contains(words), "{words}: {}{}", said.stdout, said.stderr);
    };
    changed(&|first, _| fs::remove_file(first).expect("there"), "is not there");
    changed(
        &|first, second| {
            fs::copy(second, first).expect("room");
        },
        "stamps something else",
    );
    changed(&|first, _| fs::write(first, b"0\x03\x02\x01\x00").expect("room"), "it is no time stamp");
    changed(
        &|first, second| {
            // Both of another size: the stamp is right, and of another tree than it says.
            fs::copy(second, first).expect("room");
            fs::copy(second.with_extension("checkpoint"), first.with_extension("checkpoint")).expect("room");
        },
        "beside it is no checkpoint",
    );
    changed(
        &|first, _| {
            // A stamp that its authority really gave, for the same checkpoint, and not when the ledger says.
            let query = ["ts", "-query", "-sha256", "-cert", "-out", "again.tsq", "-data"];
            let checkpoint = first.with_extension("checkpoint");
            assert!(openssl(home, &[&query[..], &[checkpoint.to_str().expect("text")]].concat()));
            let reply =
                ["ts", "-reply", "-config", "tsa.cnf", "-queryfile", "again.tsq", "-token_out", "-out", "again.tst"];
            assert!(openssl(home, &reply));
            fs::copy(home.join("again.tst"), first).expect("room");
        },
        "is not the one that is kept",
    );
    changed(
        &|first, _| {
            // Whoever has the key writes another history and keeps the stamps: they are of the old one.
            let copy = first.ancestors().nth(3).expect("the ledger");
            for entry in fs::read_dir(copy).expect("a directory") {
                let path = entry.expect("one").path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_dir() && name != "stamps" {
                    fs::remove_dir_all(&path).expect("ours");
                } else if name.starts_with("checkpoint") {
                    fs::remove_file(&path).expect("ours");
                }
            }
            written::ledger(copy, Vec::new());
        },
        "a stamped checkpoint",
    );
}
