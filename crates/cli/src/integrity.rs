//! `portcullis manifest`, `baseline`, `diff`, `sensors` and `drill`: who may change files, what differs, and whether it is seen.
//!
//! Signing and comparing need no running gate. What changes what is in force is asked of the gate, which puts it on record.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use portcullis_config::integrity::{Files, Integrity};
use portcullis_control::model::{Differing, Drilled};
use portcullis_ledger::note::{Algorithm, SignerKey, VerifierKey};
use portcullis_ledger::{Drill, State};
use portcullis_sensors::manifest::{self, Entries, Manifest, check_words, escape};
use portcullis_sensors::signed::Signed;
use portcullis_sensors::{Answer, Question, Sight, files, in_force};
use serde_json::{Value, json};

use crate::args::integrity as args;
use crate::remote::{Acted, Far, Request, segment};
use crate::world::plain;
use crate::{Done, Failure, configuration, moment, operate, talk};

/// Differences that are printed of one directory; what is beyond is counted.
const SHOWN: usize = 1000;

/// Makes keys, signs, verifies, hands over.
pub(crate) fn manifest(ask: &args::AskManifest) -> Done {
    match ask {
        args::AskManifest::Key(flags) => key(flags),
        args::AskManifest::Sign(flags) => sign(flags),
        args::AskManifest::Verify(flags) => verify(flags),
        args::AskManifest::Deploy(flags) => {
            let manifest = text(&flags.manifest)?;
            talk::answer(&done(&flags.gate, &Question::Deploy { manifest })?.words)
        }
    }
}

/// Takes what is there as what should be there.
pub(crate) fn baseline(flags: &args::Baseline) -> Done {
    let question = Question::Baseline { only: flags.only.clone(), by: flags.by.clone() };
    talk::answer(&done(&flags.gate, &question)?.words)
}

/// Compares each directory with what is in force, without asking the gate, unless it is one elsewhere.
pub(crate) fn diff(flags: &args::Diff) -> Done {
    let (said, differ) = match Far::of(&flags.far, &flags.config, None)? {
        Some(far) => {
            let only = flags.only.as_ref().map(|only| format!("?only={}", segment(only))).unwrap_or_default();
            let told: Differing = far.get(&format!("/api/v1/integrity/diff{only}"))?;
            (told.words, told.differs)
        }
        None => compared(&configuration::policy(&flags.config)?.integrity, flags.only.as_deref())?,
    };
    talk::answer(&said)?;
    if differ { Err(Failure::Said) } else { Ok(()) }
}

/// The same, for whoever shows it elsewhere: in lines, and whether anything differs.
pub(crate) fn compared(integrity: &Integrity, only: Option<&str>) -> Result<(String, bool), Failure> {
    let state = integrity
        .state
        .as_ref()
        .ok_or_else(|| Failure::because("no `state` is declared, so nothing is kept to compare with"))?;
    let named: Vec<&Files> =
        integrity.files.iter().filter(|files| only.is_none_or(|only| only == files.name)).collect();
    if named.is_empty() {
        return Err(Failure::because("no directory of that name is declared (`[[integrity.files]]`)"));
    }
    let (mut said, mut differ) = (String::new(), false);
    for declared in named {
        let Some(should) = in_force(state, &declared.name).map_err(Failure::Because)? else {
            let name = &declared.name;
            return Err(Failure::because(format!(
                "{name}: there is no baseline and no manifest: `portcullis baseline --by NAME`"
            )));
        };
        let is = files::collect(&declared.directory, &declared.ignore).map_err(Failure::Because)?;
        let count = difference(&mut said, &should.entries, &is);
        differ |= count > 0;
        let place = declared.directory.display();
        let _ = match count {
            0 => writeln!(said, "{}: {place} is as it should be, {} entries", declared.name, is.len()),
            count => writeln!(said, "{}: {place}: {count} differ", declared.name),
        };
    }
    Ok((said, differ))
}

/// How the sensors of the running gate stand.
pub(crate) fn sensors(gate: &crate::args::Gate) -> Done {
    let answer = done(gate, &Question::Status)?;
    if gate.json {
        return talk::answer(&serde_json::to_string_pretty(&answer.value).unwrap_or_default());
    }
    let sights: Vec<Sight> = serde_json::from_value(answer.value).unwrap_or_default();
    if sights.is_empty() {
        return talk::answer("Nothing is watched beside traffic: see `[integrity]` in the reference.\n");
    }
    let mut said = String::new();
    for sight in sights {
        let Sight { sensor, state, why, words, blind_to, seen, dropped, findings, latest } = sight;
        let state = match state {
            State::Up => "sees".to_owned(),
            State::Blind => format!("BLIND: {why}"),
            State::Down => format!("DOWN: {why}"),
        };
        let _ = writeln!(said, "{sensor}  {state}");
        if !words.is_empty() {
            let _ = writeln!(said, "  {words}");
        }
        let _ = writeln!(said, "  looked at {seen}, could not look at {dropped}, told {findings}");
        for told in latest.iter().rev().take(5) {
            let drill = if told.drill.is_empty() { String::new() } else { format!(" (drill {})", told.drill) };
            let _ = writeln!(said, "  {}  {}{drill}", moment::speak(told.unix_millis), told.words);
        }
        let _ = writeln!(said, "  cannot see: {blind_to}");
    }
    talk::answer(&said)
}

/// Tries the sensors of the running gate.
pub(crate) fn drill(flags: &args::Drill) -> Done {
    let question = Question::Drill { only: flags.only.clone(), by: flags.by.clone() };
    let answer = asked(&flags.gate, &question)?;
    let drills: Vec<Drill> = serde_json::from_value(answer.value.clone()).unwrap_or_default();
    if drills.is_empty() {
        return Err(Failure::because(answer.words));
    }
    if flags.gate.json {
        talk::answer(&serde_json::to_string_pretty(&answer.value).unwrap_or_default())?;
    } else {
        let line =
            |drill: &Drill| format!("{}  {}: {}\n", drill.id, if drill.seen { "seen" } else { "MISSED" }, drill.words);
        talk::answer(&drills.iter().map(line).collect::<String>())?;
    }
    let missed = drills.iter().filter(|drill| !drill.seen).count();
    if missed == 0 { Ok(()) } else { Err(Failure::because(format!("{missed} of {} were missed", drills.len()))) }
}

fn asked(gate: &crate::args::Gate, question: &Question) -> Result<Answer, Failure> {
    if let Some(far) = operate::far(gate)? {
        return elsewhere(&far, question);
    }
    let socket = portcullis_sensors::socket(&operate::socket(gate)?);
    portcullis_sensors::ask(&socket, question).map_err(|error| crate::verbs::unanswered(&socket, &error))
}

/// The same of a gate elsewhere. What is refused there is a failure here.
fn elsewhere(far: &Far, question: &Question) -> Result<Answer, Failure> {
    let words = match question {
        Question::Status => {
            let value = far.get("/api/v1/integrity")?;
            return Ok(Answer { ok: true, words: String::new(), value });
        }
        Question::Drill { only, .. } => {
            let only = only.as_ref().map(|only| format!("?only={}", segment(only))).unwrap_or_default();
            return match far.acted(Request::post(format!("/api/v1/drills{only}"), None))? {
                Acted::Done(Drilled { words, missed, drills }) => {
                    Ok(Answer { ok: missed == 0, words, value: Value::Array(drills) })
                }
                Acted::Waits(words) => Err(Failure::Because(words)),
            };
        }
        Question::Baseline { only, .. } => {
            far.act(Request::post("/api/v1/integrity/baseline", Some(json!({"only": only}))))?
        }
        Question::Deploy { manifest } => {
            far.act(Request::post("/api/v1/integrity/manifests", Some(json!({"manifest": manifest}))))?
        }
        Question::Due { .. } => return Err(Failure::because("that is asked on the gate's own machine")),
    };
    Ok(Answer { ok: true, words, value: Value::Null })
}

/// An answer that is no refusal.
fn done(gate: &crate::args::Gate, question: &Question) -> Result<Answer, Failure> {
    let answer = asked(gate, question)?;
    if answer.ok { Ok(answer) } else { Err(Failure::because(answer.words)) }
}

fn key(flags: &args::NewKey) -> Done {
    let mut seed = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .map_err(|error| Failure::because(format!("no random bytes: {}", plain(&error))))?;
    let key = SignerKey::new(&flags.name, Algorithm::Ed25519, &seed)
        .map_err(|_| Failure::because("the name of a signer is one word without `+`"))?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&flags.out)
        .and_then(|mut file| writeln!(file, "{}", key.secret()))
        .map_err(|error| cannot("write", &flags.out, &error))?;
    talk::say("Keep the file off the machines that it signs for. In [integrity], `keys` has:");
    talk::answer(&key.public().to_string())
}

fn sign(flags: &args::Sign) -> Done {
    let key = SignerKey::parse(&text(&flags.key)?)
        .map_err(|_| Failure::because(format!("{} holds no private key that signs", flags.key.display())))?;
    let (text, signatures) = if flags.path.is_dir() {
        let platform = flags.platform.clone();
        let platform =
            platform.ok_or_else(|| Failure::because("--platform says which directory of the configuration it is"))?;
        check_words(&platform, &flags.says).map_err(Failure::Because)?;
        let entries = files::collect(&flags.path, &flags.ignore).map_err(Failure::Because)?;
        let manifest = Manifest { platform, made: moment::now() / 1000, says: flags.says.clone(), entries };
        (manifest.text(), String::new())
    } else {
        let whole = text(&flags.path)?;
        let unread = |why: String| Failure::because(format!("{}: {why}", flags.path.display()));
        let signed = Signed::parse(&whole).map_err(unread)?.text().to_owned();
        Manifest::parse(&signed).map_err(unread)?;
        let lines = whole.get(signed.len() + 1..).unwrap_or_default().to_owned();
        (signed, lines)
    };
    let note = format!("{text}\n{signatures}{}", key.line(&text, 0));
    match &flags.out {
        Some(out) => write(out, &note).map_err(|error| cannot("write", out, &error)),
        None => talk::answer(&note),
    }
}

/// Replaces a file whole, so that nobody finds half of it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".portcullis-").tempfile_in(home)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error).map(drop)
}

fn verify(flags: &args::VerifyManifest) -> Done {
    let (keys, needed) = if flags.by.is_empty() {
        let integrity = configuration::policy(&flags.config)?.integrity;
        (integrity.keys, usize::try_from(integrity.signatures).unwrap_or(usize::MAX).max(1))
    } else {
        (flags.by.clone(), 1)
    };
    let keys =
        keys.iter().map(|key| VerifierKey::parse(key).map_err(|why| Failure::because(format!("`{key}`: {why}"))));
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    let (manifest, signers) = portcullis_sensors::judge(&text(&flags.manifest)?, &keys)
        .map_err(|why| Failure::because(format!("{}: {why}", flags.manifest.display())))?;
    let mut said = format!(
        "Platform   {}\nMade       {}\nEntries    {}\nSHA-256    {}\nSigned by  {}\n",
        manifest.platform,
        moment::speak(manifest.made.saturating_mul(1000)),
        manifest.entries.len(),
        manifest.digest(),
        if signers.is_empty() { "nobody whose key is known".to_owned() } else { signers.join(", ") },
    );
    if !manifest.says.is_empty() {
        let _ = writeln!(said, "Says       {}", manifest.says);
    }
    let mut differ = 0;
    if let Some(directory) = &flags.directory {
        let is = files::collect(directory, &[]).map_err(Failure::Because)?;
        differ = difference(&mut said, &manifest.entries, &is);
    }
    talk::answer(&said)?;
    if signers.len() < needed {
        return Err(Failure::because(format!("{needed} signatures are asked for, and {} are good", signers.len())));
    }
    if differ > 0 { Err(Failure::because(format!("{differ} entries differ"))) } else { Ok(()) }
}

/// What differs, one line each, and how many do.
fn difference(said: &mut String, should: &Entries, is: &Entries) -> usize {
    let mut count = 0;
    let mut line = |mark: char, path: &[u8], words: String| {
        count += 1;
        if count <= SHOWN {
            let _ = writeln!(said, "{mark} {}  {words}", escape(path));
        }
    };
    for (path, entry) in should {
        match is.get(path) {
            Some(there) if there == entry => {}
            Some(there) => line('M', path, format!("{} instead of {}", there.words(), entry.words())),
            None => line('-', path, entry.words()),
        }
    }
    is.iter().filter(|(path, _)| !should.contains_key(*path)).for_each(|(path, entry)| line('+', path, entry.words()));
    if count > SHOWN {
        let _ = writeln!(said, "and {} more", count - SHOWN);
    }
    count
}

fn text(path: &Path) -> Result<String, Failure> {
    let read = || {
        let mut text = String::new();
        fs::File::open(path)?.take(manifest::BYTES + 1).read_to_string(&mut text).map(|_| text)
    };
    read().map_err(|error: io::Error| cannot("read", path, &error))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot {what} {}: {}", path.display(), plain(error)))
}
