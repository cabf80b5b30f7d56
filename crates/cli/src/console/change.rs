//! A change of the configuration: what it would do, the change itself, and what was before.
//!
//! The file is replaced whole or not at all. What the gate refuses leaves file and gate as they were.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_config::{Policy, SECRET, differences, show};
use portcullis_control::Fault;
use portcullis_control::model::{Checked, Configuration, Effect, Line, NewConfiguration, Version, Wrong};
use portcullis_proxy::control::Operator;
use portcullis_proxy::journal::Change;
use portcullis_proxy::{at_next_start, inspectors};
use similar::{ChangeTag, TextDiff};
use toml_edit::{DocumentMut, Item, Value};

use super::{draft, versions, wrong};
use crate::configuration::{Read, extent, written};
use crate::evidence::digest;
use crate::moment;
use crate::waf::promote::replace;
use crate::world::plain;

/// What is wrong with it that its text does not show.
pub(crate) const INSPECTION: &str = "inspection";
/// Lines around what differs.
const AROUND: usize = 3;
/// Lines of a difference that are told.
const LINES: usize = 2_000;
/// Two files that have nothing in common are not compared for longer.
const COMPARE: Duration = Duration::from_millis(500);

/// The policy in force: what it was at the start, or what the last reload took over.
pub(crate) type InForce = Arc<Mutex<Arc<Policy>>>;

/// The file, and what it was.
pub(super) struct Papers {
    pub(super) path: PathBuf,
    /// Where earlier ones are kept.
    pub(super) versions: PathBuf,
    pub(super) in_force: InForce,
    /// One change after the other.
    pub(super) changing: Mutex<()>,
}

impl Papers {
    pub(super) fn look(&self, secrets: bool) -> Result<Configuration, Fault> {
        let text = written(&self.path).map_err(Fault::Unable)?;
        let digest = digest(text.as_bytes());
        if secrets {
            return Ok(Configuration { text, digest, masked: false });
        }
        let shown = masked(&text);
        let shown = shown.ok_or_else(|| Fault::Unable("the file is not TOML: an owner sees it".to_owned()))?;
        Ok(Configuration { masked: shown != text, text: shown, digest })
    }

    pub(super) fn weigh(&self, text: &str, secrets: bool) -> Result<Checked, Fault> {
        let before = written(&self.path).map_err(Fault::Unable)?;
        let read = self.read(text);
        let mut problems: Vec<Wrong> = read.problems().iter().map(|problem| wrong(problem, text)).collect();
        draft::locate(&mut problems, read.problems(), text);
        if let Some(Err(why)) = read.policy().map(inspectors::check) {
            problems.push(Wrong {
                severity: "error".to_owned(),
                code: INSPECTION.to_owned(),
                message: why,
                line: 1,
                column: 1,
                ..Wrong::default()
            });
        }
        let hide = |text: &str| if secrets { text.to_owned() } else { masked(text).unwrap_or_default() };
        // Whoever sends a text that is not TOML knows it already.
        let after = if secrets { text.to_owned() } else { masked(text).unwrap_or_else(|| text.to_owned()) };
        let Diff { lines, cut, more, less } = diff(&hide(&before), &after);
        let in_force = self.in_force();
        let (effect, later, extent) = match read.policy() {
            None => (Vec::new(), Vec::new(), String::new()),
            Some(policy) => {
                (effect(&hide(&show(&in_force)), &hide(&show(policy))), later(&in_force, policy), extent(policy))
            }
        };
        // The file itself, where a link points to it, as a change of it names it.
        let file = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()).display().to_string();
        let digest = digest(before.as_bytes());
        Ok(Checked { problems, digest, diff: lines, cut, more, less, effect, later, extent, file })
    }

    pub(super) fn change(&self, new: &NewConfiguration, operator: &dyn Operator, by: &str) -> Result<String, Fault> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = written(&self.path).map_err(Fault::Unable)?;
        if digest(before.as_bytes()) != new.base {
            return Err(Fault::Stale("the configuration was changed meanwhile: look at it again".to_owned()));
        }
        let policy = self.read(&new.text).settle_quietly().map_err(Fault::Unfit)?;
        inspectors::check(&policy).map_err(Fault::Unfit)?;
        // The file itself, where a link points to it: a link is not replaced by a file.
        let path = fs::canonicalize(&self.path).map_err(|error| Fault::Unable(plain(&error)))?;
        let Diff { more, less, .. } = diff(&before, &new.text);
        let (at, by, why) = (moment::now(), by.to_owned(), new.why.clone());
        let version = Version { at, by: by.clone(), why, more, less, digest: new.base.clone(), ..Version::default() };
        let kept = versions::keep(&self.versions, &before, version)
            .map_err(|error| Fault::Unable(format!("the earlier configuration cannot be kept: {}", plain(&error))))?;
        if let Err(error) = replace(&path, new.text.as_bytes()) {
            versions::forget(&self.versions, &kept);
            return Err(Fault::Refused(format!(
                "the gate cannot write {}: {}. It is as it was; change it where it comes from, and reload",
                path.display(),
                plain(&error)
            )));
        }
        let mut words = format!("The configuration was changed: {more} lines more, {less} less");
        if !new.why.is_empty() {
            words.push_str("; ");
            words.push_str(&new.why);
        }
        // The gate says what it cannot take over itself; the rest of the process does not hear of it there.
        let waits: String = beside(&self.in_force(), &policy).iter().map(|words| format!("; {words}")).collect();
        operator.changed(&Change { by, uid: None, words }).map(|reloaded| reloaded.message + &waits).map_err(|why| {
            if let Err(error) = replace(&path, before.as_bytes()) {
                tracing::error!("{} could not be put back: {}", path.display(), plain(&error));
            }
            versions::forget(&self.versions, &kept);
            // What has taken the new one over before it was refused takes the old one over again.
            if let Err(problems) = operator.reload() {
                tracing::error!("the configuration as it was could not be put in force again: {problems}");
            }
            Fault::Refused(format!("the gate refused it, and nothing has changed: {why}"))
        })
    }

    pub(super) fn versions(&self) -> Result<Vec<Version>, Fault> {
        versions::list(&self.versions).map_err(|error| Fault::Unable(plain(&error)))
    }

    pub(super) fn version(&self, id: &str) -> Result<String, Fault> {
        let text = versions::text(&self.versions, id).map_err(|error| Fault::Unable(plain(&error)))?;
        text.ok_or_else(|| Fault::Unknown("there is no such earlier configuration, or it is kept no more".to_owned()))
    }

    /// As it is understood.
    pub(super) fn effective(&self, secrets: bool) -> String {
        let text = show(&self.in_force());
        if secrets { text } else { masked(&text).unwrap_or_default() }
    }

    pub(super) fn in_force(&self) -> Arc<Policy> {
        Arc::clone(&self.in_force.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read(&self, text: &str) -> Read {
        Read::text(self.path.display().to_string(), &self.path, text.to_owned())
    }
}

/// What of another policy this process cannot take over.
fn later(before: &Policy, after: &Policy) -> Vec<String> {
    at_next_start(before, after).into_iter().chain(beside(before, after)).map(str::to_owned).collect()
}

/// What of it is not the data plane's.
fn beside(before: &Policy, after: &Policy) -> Vec<&'static str> {
    let place =
        |policy: &Policy| policy.console.as_ref().map(|it| (it.listen, it.tls, it.url.clone(), it.directory.clone()));
    let pair = |policy: &Policy| {
        let pair = policy.console.as_ref()?.tls.and_then(|index| policy.certificates.get(index))?;
        Some((pair.cert_pem.clone(), pair.key_pem.clone()))
    };
    let (old, new) = (before.console.as_ref(), after.console.as_ref());
    let provider = old.zip(new).is_some_and(|(old, new)| old.oidc != new.oidc);
    let moves = place(before) != place(after);
    let checks = [
        (before.evidence != after.evidence, "what `[evidence]` says takes effect at the next start"),
        (moves, "where the console is changes at the next start"),
        (!moves && pair(before) != pair(after), "the console shows its certificate from the next start on"),
        (provider, "who signs in by the organisation's provider (`[console.oidc]`) changes at the next start"),
    ];
    checks.into_iter().filter(|(differs, _)| *differs).map(|(_, words)| words).collect()
}

fn effect(before: &str, after: &str) -> Vec<Effect> {
    let told = differences(before, after).into_iter().map(|it| Effect {
        place: it.place,
        key: it.key,
        kind: it.kind.name().to_owned(),
        before: it.before,
        after: it.after,
    });
    told.collect()
}

/// Lines that differ.
pub(crate) struct Diff {
    pub(crate) lines: Vec<Line>,
    cut: bool,
    more: u64,
    less: u64,
}

/// Holds two texts against each other.
pub(crate) fn diff(before: &str, after: &str) -> Diff {
    let compared = TextDiff::configure().timeout(COMPARE).diff_lines(before, after);
    let number = |index: Option<usize>| index.map(|index| index as u64 + 1);
    let (mut lines, mut more, mut less) = (Vec::new(), 0, 0);
    let mut total = 0;
    for op in compared.grouped_ops(AROUND).iter().flatten() {
        for change in compared.iter_changes(op) {
            let sign = match change.tag() {
                ChangeTag::Equal => " ",
                ChangeTag::Insert => "+",
                ChangeTag::Delete => "-",
            };
            more += u64::from(sign == "+");
            less += u64::from(sign == "-");
            total += 1;
            if lines.len() < LINES {
                let text = change.value().trim_end_matches(['\n', '\r']).to_owned();
                let (before, after) = (number(change.old_index()), number(change.new_index()));
                lines.push(Line { sign: sign.to_owned(), before, after, text });
            }
        }
    }
    Diff { cut: total > lines.len(), lines, more, less }
}

/// The text without what lets its reader send in the organisation's name: the addresses of `[[alert]]`, but for their host. Two that
/// differ still differ. None where it is not TOML.
fn masked(text: &str) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let hide = |value: Option<&mut Value>| {
        let Some(value) = value else { return };
        let Some(url) = value.as_str() else { return };
        let hidden = mask(url);
        let decor = value.decor().clone();
        *value = hidden.into();
        *value.decor_mut() = decor;
    };
    if !SECRET.iter().any(|(table, _)| document.contains_key(table)) {
        return Some(text.to_owned());
    }
    for (table, key) in SECRET {
        match document.get_mut(table) {
            Some(Item::ArrayOfTables(tables)) => {
                tables.iter_mut().for_each(|table| hide(table.get_mut(key).and_then(Item::as_value_mut)));
            }
            Some(Item::Value(Value::Array(tables))) => {
                tables.iter_mut().filter_map(Value::as_inline_table_mut).for_each(|table| hide(table.get_mut(key)));
            }
            _ => {}
        }
    }
    Some(document.to_string())
}

pub(super) fn mask(url: &str) -> String {
    let digest = digest(url.as_bytes());
    let mark = digest.get(..4).unwrap_or_default();
    match url.split_once("://").map(|(scheme, rest)| (scheme, rest.split(['/', '?']).next().unwrap_or_default())) {
        Some((scheme, host)) => format!("{scheme}://{host}/***{mark}"),
        None => format!("***{mark}"),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_proxy::control::Reloaded;
    use portcullis_proxy::sockets::Named;
    use serde_json::Value as Json;
    use std::io;

    use super::*;

    const TEXT: &str = "# the gate\r\n[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:1\"\n\n[[platform]]\nname = \"public\"\n\
                        hosts = [\"example.org\"]\nupstreams = [\"http://127.0.0.1:8080\"]";

    /// A gate that refuses what it is told to.
    #[derive(Default)]
    struct Gate {
        refuses: bool,
        done: Mutex<Vec<String>>,
    }

    impl Operator for Gate {
        fn reload(&self) -> Result<Reloaded, String> {
            self.done.lock().expect("whole").push("reload".to_owned());
            Ok(Reloaded { message: "policy 2 is in force".to_owned(), generation: 2 })
        }
        fn changed(&self, change: &Change) -> Result<Reloaded, String> {
            if self.refuses {
                return Err("the port is taken".to_owned());
            }
            self.done.lock().expect("whole").push(format!("{} by {}", change.words, change.by));
            Ok(Reloaded { message: "policy 2 is in force".to_owned(), generation: 2 })
        }
        fn command(&self, _: portcullis_engine::Command, _: &str) -> Result<String, String> {
            Err("not here".to_owned())
        }
        fn status(&self) -> Json {
            Json::Null
        }
        fn sockets(&self) -> io::Result<Vec<Named>> {
            Ok(Vec::new())
        }
        fn handed_over(&self, _: Option<u32>) {}
    }

    fn papers(home: &std::path::Path, text: &str) -> Papers {
        let path = home.join("gate.toml");
        fs::write(&path, text).expect("written");
        let policy = Read::file(&path).expect("readable").settle_quietly().expect("in order");
        let in_force = Arc::new(Mutex::new(Arc::new(policy)));
        Papers { path, versions: home.join("versions"), in_force, changing: Mutex::default() }
    }

    fn new(papers: &Papers, text: &str) -> NewConfiguration {
        let base = papers.look(true).expect("readable").digest;
        NewConfiguration { text: text.to_owned(), base, why: "a shop".to_owned() }
    }

    #[test]
    fn a_change_is_in_force_and_undone_byte_for_byte() {
        let home = tempfile::tempdir().expect("a directory");
        let (papers, gate) = (papers(home.path(), TEXT), Gate::default());
        let now = || fs::read_to_string(home.path().join("gate.toml")).expect("there");
        let after = TEXT.replace("example.org", "example.net");
        let said = papers.change(&new(&papers, &after), &gate, "Ane").expect("in order");
        assert_eq!((said.as_str(), now()), ("policy 2 is in force", after.clone()));
        let done = gate.done.lock().expect("whole").clone();
        assert_eq!(done, ["The configuration was changed: 1 lines more, 1 less; a shop by Ane"]);
        let versions = papers.versions().expect("readable");
        let [Version { id, by, why, more: 1, less: 1, .. }] = versions.as_slice() else { panic!("{versions:?}") };
        assert_eq!((by.as_str(), why.as_str()), ("Ane", "a shop"));
        let earlier = papers.version(id).expect("kept");
        papers.change(&new(&papers, &earlier), &gate, "Bo").expect("in order");
        assert_eq!(now(), TEXT);
        assert_eq!(papers.versions().expect("readable").len(), 2);
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let home = tempfile::tempdir().expect("a directory");
        let papers = papers(home.path(), TEXT);
        let after = TEXT.replace("example.org", "example.net");
        let wrong = TEXT.replace("hosts", "hosst");
        let stale = NewConfiguration { base: "7e".to_owned(), ..new(&papers, &after) };
        type Is = fn(&Fault) -> bool;
        let cases: [(bool, NewConfiguration, Is); 3] = [
            (true, new(&papers, &after), |it| matches!(it, Fault::Refused(why) if why.contains("the port is taken"))),
            (false, stale, |it| matches!(it, Fault::Stale(_))),
            (false, new(&papers, &wrong), |it| matches!(it, Fault::Unfit(why) if why.contains("hosst"))),
        ];
        for (refuses, new, is) in cases {
            let gate = Gate { refuses, ..Gate::default() };
            let fault = papers.change(&new, &gate, "Ane").expect_err("refused");
            assert!(is(&fault), "{fault:?}");
            assert_eq!(fs::read_to_string(home.path().join("gate.toml")).expect("there"), TEXT);
            assert_eq!(papers.versions().expect("readable"), []);
            // Sensors may have taken the new one over before the gate refused it.
            assert_eq!(gate.done.lock().expect("whole").len(), usize::from(refuses));
        }
    }

    #[test]
    fn a_change_is_weighed_before() {
        let home = tempfile::tempdir().expect("a directory");
        let papers = papers(home.path(), TEXT);
        let weighed = |text: &str| papers.weigh(text, true).expect("readable");
        let told = weighed(&format!("[server]\nworkers = 9\n{}", TEXT.replace("example.org", "example.net")));
        assert_eq!((told.problems.len(), told.more, told.less, told.cut), (0, 3, 1, false), "{told:?}");
        let effect: Vec<_> = told.effect.iter().map(|it| (it.place.as_str(), it.key.as_str())).collect();
        assert_eq!(effect, [("platform public", "hosts"), ("server", "workers")]);
        assert_eq!(told.later, ["the number of workers changes at the next start"]);
        let lines: Vec<_> = told.diff.iter().map(|it| format!("{}{}", it.sign, it.text)).collect();
        assert!(lines.contains(&"+workers = 9".to_owned()) && lines.contains(&" # the gate".to_owned()), "{lines:?}");
        let wrong = weighed(&TEXT.replace("hosts", "hosst")).problems;
        assert!(
            wrong.iter().any(|it| it.severity == "error" && it.line == 8 && it.message.contains("hosst")),
            "{wrong:?}"
        );
        let same = weighed(TEXT);
        assert_eq!((same.diff, same.effect, same.later), (Vec::new(), Vec::new(), Vec::new()));
        let long: String = (0..3_000).map(|number| format!("# {number}\n")).collect();
        let told = weighed(&format!("{long}{TEXT}"));
        assert_eq!((told.diff.len(), told.cut, told.more), (LINES, true, 3_000));
    }

    #[test]
    fn what_takes_a_start_is_told_before_and_after() {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join("oidc.secret"), "a secret of the provider's\n").expect("written");
        let console = "\n[console]\nlisten = \"127.0.0.1:2\"\ndirectory = \"console\"\n";
        let oidc = "[console.oidc]\nissuer = \"https://login.example.org\"\nclient_id = \"gate\"\n\
                    secret_file = \"oidc.secret\"\noperator = [\"gate\"]\n";
        let before = format!("{TEXT}{console}{oidc}");
        let papers = papers(home.path(), &before);
        let cases: [(String, &[&str]); 6] = [
            (format!("{TEXT}{console}"), &["[console.oidc]"]),
            (before.replace("\"gate\"]", "\"staff\"]"), &["[console.oidc]"]),
            (before.replace("127.0.0.1:2", "127.0.0.1:3"), &["where the console is"]),
            (format!("{before}[evidence]\nacts = 9\n"), &["[evidence]"]),
            (TEXT.to_owned(), &["where the console is"]),
            (before.replace("[console.oidc]", "approvals = [\"undo\"]\n[console.oidc]"), &[]),
        ];
        for (after, expected) in cases {
            let told = papers.weigh(&after, true).expect("readable");
            assert!(told.problems.iter().all(|it| it.severity != "error"), "{:?}", told.problems);
            assert_eq!(told.later.len(), expected.len(), "{:?}", told.later);
            assert!(told.later.iter().zip(expected).all(|(told, words)| told.contains(words)), "{:?}", told.later);
            assert!(!told.effect.is_empty());
        }
        let said = papers.change(&new(&papers, &format!("{TEXT}{console}")), &Gate::default(), "Ane").expect("done");
        assert!(said.starts_with("policy 2 is in force; who signs in by the organisation's provider"), "{said}");
    }

    #[test]
    fn addresses_that_open_something_are_for_owners() {
        let home = tempfile::tempdir().expect("a directory");
        let more = "\n[console]\nlisten = \"127.0.0.1:2\"\ndirectory = \"console\"\n[[alert]]\nname = \"duty\" # us\nkind = \"slack\"\n\
                    url = \"https://hooks.example.org/T0/SECRET\" # theirs\n";
        let papers = papers(home.path(), &format!("{TEXT}{more}"));
        let (whole, part) = (papers.look(true).expect("readable"), papers.look(false).expect("readable"));
        assert!(whole.text.contains("SECRET") && !whole.masked);
        assert!(!part.text.contains("SECRET") && part.masked && part.digest == whole.digest);
        assert!(
            part.text.contains("url = \"https://hooks.example.org/***") && part.text.contains("# theirs"),
            "{part:?}"
        );
        let other = whole.text.replace("SECRET", "CHANGED");
        for (secrets, seen) in [(true, true), (false, false)] {
            let told = format!("{:?}", papers.weigh(&other, secrets).expect("readable"));
            assert_eq!((told.contains("SECRET"), told.contains("CHANGED")), (seen, seen), "{told}");
        }
        // That it is another is seen by all.
        let told = papers.weigh(&other, false).expect("readable");
        assert_eq!((told.more, told.less, told.effect[0].key.as_str()), (1, 1, "url"));
        // Whoever sees it in part and asks about what they see is told of no change that is none.
        assert_eq!(papers.weigh(&part.text, false).expect("readable").problems, []);
    }
}
