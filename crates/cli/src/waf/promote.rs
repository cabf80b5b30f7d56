//! `portcullis waf promote` and `waf observe`: from observing to refusing, and back, in one step that can be read afterwards.
//!
//! The configuration file stays as it was written but for the keys that change. It is checked as `check` does before it is
//! touched, replaced whole, and put back if the gate that runs refuses it.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use portcullis_config::edit::{Act, Change, Given, Misfit, Named, edited, written};
use portcullis_config::{Inspection, InspectionMode, Policy};
use portcullis_control::model::{Line, RuleChange, Tried, TryRule};
use portcullis_proxy::journal::{Change as Recorded, Journal};
use portcullis_proxy::{control, inspectors};
use serde_json::json;

use crate::args::{self, Part};
use crate::configuration::Read;
use crate::console::change::diff;
use crate::remote::{Acted, Far, Request};
use crate::world::plain;
use crate::{Done, Failure, moment, talk};

/// Said where nothing was to be changed.
pub(crate) const DRY: &str = "Nothing was changed: --dry-run.\n";

/// Changes the configuration of a platform or a route.
pub(crate) fn run(flags: &args::Change, refuses: bool) -> Done {
    if let Some(far) = Far::of(&flags.far, &flags.config, None)? {
        return elsewhere(&far, flags, refuses);
    }
    // The file itself, where a link points to it: a link is not replaced by a file.
    let path = fs::canonicalize(&flags.config)
        .map_err(|error| Failure::because(format!("cannot read {}: {}", flags.config.display(), plain(&error))))?;
    let read = Read::file(&path).map_err(Failure::Because)?;
    let before_text = read.as_written().to_owned();
    let before = read.settle()?;
    let (after_text, keys) =
        changed(&before_text, &before, &flags.place, (refuses, flags.only)).map_err(Failure::Because)?;

    let after = Read::text(path.display().to_string(), &path, after_text.clone()).settle()?;
    inspectors::check(&after).map_err(Failure::Because)?;
    let changed = changes(&before, &after);
    let mut said = format!("In {}:\n{}", path.display(), differing(&before_text, &after_text));
    changed.iter().for_each(|line| said.push_str(&format!("  {line}\n")));
    if flags.dry_run {
        return talk::answer(&(said + DRY));
    }
    let verb = if refuses { "promote" } else { "observe" };
    let words = format!("waf {verb} {}: {}", flags.place, changed.join("; "));
    let recorded = Recorded { by: who(), uid: uid(), words };
    replace(&path, after_text.as_bytes())
        .map_err(|error| Failure::because(format!("cannot write {}: {}", path.display(), plain(&error))))?;
    said.push_str(&in_force(&before, &recorded).inspect_err(|_| {
        // As it was: the gate goes on with it.
        if let Err(error) = replace(&path, before_text.as_bytes()) {
            talk::error(&format!("{} could not be put back: {}", path.display(), plain(&error)));
        }
    })?);
    let parts = [keys.contains(&"mode"), keys.contains(&"rules_mode")];
    let _ = writeln!(said, "{} --config {}", back(&flags.place, refuses, parts), path.display());
    talk::answer(&said)
}

/// The same on a gate elsewhere, which tries it on nothing that is on record: `tune` and the console do.
fn elsewhere(far: &Far, flags: &args::Change, refuses: bool) -> Done {
    let (platform, route) = match flags.place.find('/') {
        Some(slash) => flags.place.split_at(slash),
        None => (flags.place.as_str(), ""),
    };
    let change = RuleChange {
        kind: if refuses { "refuse" } else { "observe" }.to_owned(),
        platform: platform.to_owned(),
        route: Some(route.to_owned()).filter(|route| !route.is_empty()),
        only: flags.only.and_then(|only| only.to_possible_value()).map(|only| only.get_name().to_owned()),
        exclude: Vec::new(),
    };
    let since = Some(moment::now());
    let Tried { words, digest, diff, file, .. } =
        far.post("/api/v1/rules/try", &TryRule { change: change.clone(), since })?;
    let mut said = format!("In {file}:\n{}", lines(&diff));
    words.split("; ").filter(|line| !line.is_empty()).for_each(|line| said.push_str(&format!("  {line}\n")));
    if flags.dry_run {
        return talk::answer(&(said + DRY));
    }
    let made = json!({"change": change, "base": digest});
    match far.change(Request::post("/api/v1/rules/apply", Some(made)))? {
        Acted::Waits(waits) => said.push_str(&waits),
        Acted::Done(done) => {
            let parts = [": detection ", ": rules "].map(|part| words.contains(part));
            let _ = writeln!(said, "{done}{} --url {}", back(&flags.place, refuses, parts), far.url());
        }
    }
    talk::answer(&said)
}

/// How a change of the detection, of the rules or of both is undone.
fn back(place: &str, refuses: bool, parts: [bool; 2]) -> String {
    let verb = if refuses { "observe" } else { "promote" };
    let only = match parts {
        [true, false] => " --only detection",
        [false, true] => " --only rules",
        _ => "",
    };
    format!("To take it back: portcullis waf {verb} {place}{only}")
}

/// The text in which a platform or a route refuses, or only observes, and the keys that are others in it.
pub(crate) fn changed(
    text: &str,
    policy: &Policy,
    named: &str,
    (refuses, only): (bool, Option<Part>),
) -> Result<(String, Vec<&'static str>), String> {
    let (platform, route) = place(policy, named)?;
    let keys = keys(policy, (platform, route), refuses, only)?;
    let mode = if refuses { InspectionMode::Enforce } else { InspectionMode::Observe };
    Ok((edit(text, (policy, platform, route), &keys, mode)?, keys))
}

/// The text in which a route leaves something out, too. A route that is not written gets a table of its own: any other place for it
/// would reach further.
pub(crate) fn left_out(text: &str, policy: &Policy, named: &str, exclude: &[String]) -> Result<String, String> {
    let (platform, Some(route)) = place(policy, named)? else {
        return Err(format!("`{named}` names no route: nothing is left out on a whole platform here"));
    };
    let at = table(policy, platform, Some(route));
    let written = written(text).unwrap_or_default();
    let is = |at: &[Named]| written.iter().find(|table| table.at == at);
    let mut changes = Vec::new();
    if let Some(own) = at.get(..2).filter(|own| is(own).is_none()) {
        changes.push(Change { at: own.to_vec(), act: Act::Add });
    }
    let known = is(&at).and_then(|table| table.keys.iter().find(|(key, _)| key == "exclude"));
    let mut list = if let Some((_, Given::List(list))) = known { list.clone() } else { Vec::new() };
    for one in exclude {
        if list.contains(&Given::Text(one.clone())) {
            return Err(format!("`{one}` is left out on {named} already"));
        }
        list.push(Given::Text(one.clone()));
    }
    changes.push(Change { at, act: Act::Set("exclude".to_owned(), Given::List(list)) });
    made(text, &changes)
}

/// Platform and route that a word names.
pub(crate) fn place(policy: &Policy, text: &str) -> Result<(usize, Option<usize>), String> {
    let (name, path) = match text.find('/') {
        Some(slash) => text.split_at(slash),
        None => (text, ""),
    };
    let names = || policy.platforms.iter().map(|platform| platform.name.as_str()).collect::<Vec<_>>().join(", ");
    let at = policy.platforms.iter().position(|platform| platform.name == name);
    let at = at.ok_or_else(|| format!("there is no platform `{name}`; there are {}", names()))?;
    if path.is_empty() {
        return Ok((at, None));
    }
    let routes = policy.platforms.get(at).map(|platform| platform.routes.as_slice()).unwrap_or_default();
    let route = routes.iter().position(|route| route.path.to_string() == path);
    let paths = || routes.iter().map(|route| route.path.to_string()).collect::<Vec<_>>().join(", ");
    route.map(|route| (at, Some(route))).ok_or_else(|| format!("`{name}` has no route `{path}`; it has {}", paths()))
}

/// The keys that are to change.
fn keys(
    policy: &Policy,
    (platform, route): (usize, Option<usize>),
    refuses: bool,
    only: Option<Part>,
) -> Result<Vec<&'static str>, String> {
    let declared = policy.platforms.get(platform).ok_or("there is no such platform")?;
    let own = match route {
        Some(route) => declared.routes.get(route).map(|route| &route.inspection),
        None => Some(&declared.inspection),
    };
    let Inspection { detection, rules, .. } = own.ok_or("there is no such route")?;
    let from = if refuses { InspectionMode::Observe } else { InspectionMode::Enforce };
    let mut keys = Vec::new();
    if *detection == from && only != Some(Part::Rules) {
        keys.push("mode");
    }
    if *rules == from && policy.waf.rules.is_some() && only != Some(Part::Detection) {
        keys.push("rules_mode");
    }
    if keys.is_empty() {
        let (detection, rules) = (detection.name(), if policy.waf.rules.is_some() { rules.name() } else { "none" });
        return Err(format!("nothing there is set to `{}`: detection {detection}, rules {rules}", from.name()));
    }
    Ok(keys)
}

/// The text with these keys set in the table of the platform or the route.
fn edit(
    text: &str,
    (policy, platform, route): (&Policy, usize, Option<usize>),
    keys: &[&str],
    mode: InspectionMode,
) -> Result<String, String> {
    let at = table(policy, platform, route);
    let own = at.split_last().map(|(_, own)| own).unwrap_or_default();
    if route.is_some() && !written(text).is_some_and(|all| all.iter().any(|table| table.at == own)) {
        let path = own.last().and_then(|route| route.name.as_deref()).unwrap_or_default();
        return Err(format!("the route {path} is not written in the file: it is what the platform says"));
    }
    let set = |key: &&str| Act::Set((*key).to_owned(), Given::Text(mode.name().to_owned()));
    let changes: Vec<Change> = keys.iter().map(|key| Change { at: at.clone(), act: set(key) }).collect();
    made(text, &changes)
}

/// The table of what is inspected on a platform, or on a route of it.
fn table(policy: &Policy, platform: usize, route: Option<usize>) -> Vec<Named> {
    let named = |table: &str, name: Option<String>| Named { table: table.to_owned(), name };
    let declared = policy.platforms.get(platform);
    let path = declared.and_then(|declared| declared.routes.get(route?)).map(|route| route.path.to_string());
    let platform = named("platform", declared.map(|declared| declared.name.clone()));
    let route = path.map(|path| named("route", Some(path)));
    [platform].into_iter().chain(route).chain([named("waf", None)]).collect()
}

fn made(text: &str, changes: &[Change]) -> Result<String, String> {
    edited(text, changes).map_err(|misfits| {
        let words = misfits.iter().map(|Misfit { key, message, hint, .. }| {
            let hint = if hint.is_empty() { String::new() } else { format!(": {hint}") };
            format!("`{key}` cannot be changed: {message}{hint}")
        });
        words.collect::<Vec<_>>().join("; ")
    })
}

/// Routes whose inspection is another, before and after.
pub(crate) fn changes(before: &Policy, after: &Policy) -> Vec<String> {
    let mut changes = Vec::new();
    for (old, new) in before.platforms.iter().zip(&after.platforms) {
        for (was, is) in old.routes.iter().zip(&new.routes) {
            let place = format!("{}{}", new.name, is.path);
            let (was, is) = (&was.inspection, &is.inspection);
            let parts = [("detection", was.detection, is.detection), ("rules", was.rules, is.rules)];
            for (what, was, is) in parts.into_iter().filter(|(_, was, is)| was != is) {
                changes.push(format!("{place}: {what} {} -> {}", was.name(), is.name()));
            }
        }
    }
    changes
}

/// The lines that differ, with their numbers.
pub(crate) fn differing(before: &str, after: &str) -> String {
    lines(&diff(before, after).lines)
}

/// Of a difference that was told, those that come or go.
pub(crate) fn lines(told: &[Line]) -> String {
    let mut said = String::new();
    for Line { sign, before, after, text } in told.iter().filter(|line| line.sign != " ") {
        let number = after.or(*before).unwrap_or_default();
        let _ = writeln!(said, "  {number:>4} {sign} {text}");
    }
    said
}

/// Puts the file in force where a gate runs, and sees it written down.
pub(crate) fn in_force(policy: &Policy, change: &Recorded) -> Result<String, Failure> {
    let socket = &policy.server.control;
    let args = json!({"by": change.by, "words": change.words});
    match control::ask_with(socket, "changed", &args) {
        Ok(answer) if answer.ok => {
            Ok(format!("{}; written down in the decision log, as done by {}.\n", answer.message, change.by))
        }
        Ok(answer) => {
            talk::say(&answer.message);
            Err(Failure::because("the gate refused it; the file is as it was"))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            let Some(path) = &policy.log.path else {
                return Ok("No gate runs here: it takes effect at the next start. There is no decision log to write it down in.\n".to_owned());
            };
            let journal = Journal::open(&policy.log, &policy.server.name)
                .map_err(|error| Failure::because(format!("cannot write {}: {}", path.display(), plain(&error))))?;
            journal.record_change(change, moment::now());
            journal.close();
            Ok(format!(
                "No gate runs here: it takes effect at the next start. Written down in {}, as done by {}.\n",
                path.display(),
                change.by
            ))
        }
        Err(error) => Err(Failure::because(format!(
            "no answer on {}: {}; the file is as it was",
            socket.display(),
            plain(&error)
        ))),
    }
}

/// Who does it: the person behind `sudo`, where there is one.
pub(crate) fn who() -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|name| !name.is_empty());
    named("SUDO_USER")
        .or_else(|| named("USER"))
        .or_else(|| named("LOGNAME"))
        .unwrap_or_else(|| "an operator".to_owned())
}

/// The user that this process runs as.
pub(crate) fn uid() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").ok().map(|own| own.uid())
}

/// Replaces a file whole, with the owner and the permissions that it has.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let home: PathBuf = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let facts = fs::metadata(path)?;
    let mut file = tempfile::Builder::new().prefix(".portcullis-").tempfile_in(&home)?;
    file.write_all(content)?;
    file.as_file().set_permissions(facts.permissions())?;
    let own = file.as_file().metadata()?;
    if (own.uid(), own.gid()) != (facts.uid(), facts.gid()) {
        chown(file.path(), Some(facts.uid()), Some(facts.gid()))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(&home)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# what stands in front
[waf]
mode = "observe"

[[platform]]
name = "public"          # the site
hosts = ["example.org"]
upstreams = ["http://127.0.0.1:8080"]

[[platform.route]]
path = "/search/**"
class = "search"
[platform.route.waf]
mode = "observe" # until Monday
"#;

    fn policy(text: &str) -> Policy {
        let text = format!("{text}\n[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:1\"\n");
        Read::text("test".to_owned(), Path::new("test.toml"), text).settle().expect("in order")
    }

    #[test]
    fn what_is_left_out_is_written_for_its_route_alone() {
        let before = policy(TEXT);
        let one = ["942100 ARGS:text".to_owned()];
        let search = left_out(TEXT, &before, "public/search/**", &one).expect("edited");
        assert_eq!(search, format!("{TEXT}exclude = [\"942100 ARGS:text\"]\n"));
        let [route, rest] = [0, 1].map(|at| policy(&search).platforms[0].routes[at].inspection.exclude.len());
        assert_eq!((route, rest), (1, 0));
        let again = left_out(&search, &policy(&search), "public/search/**", &["sql ARGS:/^a\\.b$/".to_owned()]);
        let routes = &policy(&again.expect("edited")).platforms[0].routes;
        assert_eq!(routes[0].inspection.exclude[1].to_string(), "sql ARGS:/^a\\.b$/");
        // One that is not written is, with nothing else in it.
        let rest = left_out(TEXT, &before, "public/**", &one).expect("edited");
        assert!(rest.starts_with(TEXT), "what is there stays: {rest}");
        let routes = &policy(&rest).platforms[0].routes;
        assert_eq!(routes.iter().map(|it| it.inspection.exclude.len()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(
            (routes[1].class, &routes[1].rates),
            (before.platforms[0].routes[1].class, &before.platforms[0].routes[1].rates)
        );
        for (place, words) in [("public", "names no route"), ("public/shop", "no route"), ("members/**", "no platform")]
        {
            assert!(left_out(TEXT, &before, place, &one).expect_err(place).contains(words), "{place}");
        }
        let twice = left_out(&search, &policy(&search), "public/search/**", &one);
        assert!(twice.expect_err("there already").contains("already"));
    }

    #[test]
    fn only_the_keys_change() {
        let before = policy(TEXT);
        let edited = |word: &str, mode: InspectionMode| {
            let (platform, route) = place(&before, word).expect("a place");
            let keys = keys(&before, (platform, route), mode == InspectionMode::Enforce, None).expect("keys");
            edit(TEXT, (&before, platform, route), &keys, mode).expect("edited")
        };
        let route = edited("public/search/**", InspectionMode::Enforce);
        assert_eq!(route, TEXT.replace("mode = \"observe\" # until", "mode = \"enforce\" # until"));
        assert_eq!(changes(&before, &policy(&route)), ["public/search/**: detection observe -> enforce"]);
        assert_eq!(differing(TEXT, &route).lines().count(), 2);

        let platform = edited("public", InspectionMode::Enforce);
        assert_eq!(changes(&before, &policy(&platform)), ["public/**: detection observe -> enforce"]);
        assert!(platform.contains("# the site") && platform.contains("# until Monday"), "{platform}");
        for line in TEXT.lines() {
            assert!(platform.contains(line), "{line}\n{platform}");
        }
        assert!(place(&before, "members").is_err() && place(&before, "public/nowhere").is_err());
        let enforced = policy(&route);
        let (at, search) = place(&enforced, "public/search/**").expect("a place");
        assert!(keys(&enforced, (at, search), true, None).is_err_and(|why| why.contains("observe")));
        assert!(keys(&before, (0, None), true, Some(Part::Rules)).is_err());
    }

    #[test]
    fn what_differs_and_how_it_is_undone_are_said() {
        let after = TEXT
            .replace("\"site\"", "\"shop\"")
            .replace("mode = \"observe\" # until Monday\n", "mode = \"enforce\"\nmore = 1\n");
        let said = differing(TEXT, &after);
        let numbered = |number: usize, sign: char, text: &str| format!("  {number:>4} {sign} {text}\n");
        let expected = [
            numbered(14, '-', "mode = \"observe\" # until Monday"),
            numbered(14, '+', "mode = \"enforce\""),
            numbered(15, '+', "more = 1"),
        ];
        assert_eq!(said, expected.concat());
        assert_eq!(differing(TEXT, TEXT), "");
        for (refuses, parts, expected) in [
            (true, [true, false], "waf observe public --only detection"),
            (false, [false, true], "waf promote public --only rules"),
            (true, [true, true], "waf observe public"),
        ] {
            assert_eq!(back("public", refuses, parts), format!("To take it back: portcullis {expected}"));
        }
    }

    #[test]
    fn a_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("gate.toml");
        fs::write(&path, "a").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        replace(&path, b"b").expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"b");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(home.path()).expect("listed").count(), 1);
    }
}
