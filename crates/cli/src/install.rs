//! `rules add`: installs a release of the Core Rule Set beside the configuration, checked, and whole or not at all.
//!
//! A release lies in a directory of its own, `crs-4.28.0`, and `crs` points to the one in use: what was there before stays,
//! and no reader ever finds half of one. What the operator changed or added is carried over.

pub(crate) mod fetch;
mod release;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use portcullis_waf::seclang::ast::{Piece, Rule, Setting};
use portcullis_waf::seclang::resolve::{RuleSet, Step};

use crate::args::AddRules;
use crate::evidence::digest;
use crate::rulebook::{self, Book, Wrong};
use crate::world::{plain, read_bounded};
use crate::{Done, Failure, talk};
use release::{ARCHIVE_BYTES, Release, SETUP};

/// What the configuration calls the release in use.
const NAME: &str = "crs";
/// The operator's own set-up, a copy of the release's to begin with.
const OWN_SETUP: &str = "crs-setup.conf";
/// Sums of the files as they were installed, so that changes to them are known later.
const MANIFEST: &str = "INSTALLED";
/// What ordinary browsers send and the rules take for an attack: read before the rules, and after them. The gate's own, so that
/// an operator can read it and leave it out.
pub(crate) const TUNING: [(&str, &str); 2] = [
    ("tuning/before.conf", include_str!("install/tuning/before.conf")),
    ("tuning/after.conf", include_str!("install/tuning/after.conf")),
];
/// Rules shown one by one; the rest is counted.
const SHOWN: usize = 40;

/// Installs a rule set.
pub(crate) fn add(flags: &AddRules) -> Done {
    let mut release = gather(&flags.from, flags.sha256.as_deref()).map_err(Failure::Because)?;
    release.extend(TUNING.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    let home = flags.config.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let said = install(&release, home, flags.dry_run)?;
    talk::answer(&said)
}

/// The release, from a directory, an archive or an address.
fn gather(from: &str, sha256: Option<&str>) -> Result<Release, String> {
    let path = Path::new(from);
    let archive = match (from.contains("://"), sha256) {
        (true, None) => {
            return Err(
                "an archive that is fetched needs --sha256: the sum that the project publishes beside it".to_owned()
            );
        }
        (true, Some(_)) => fetch::get(from, fetch::system_roots()?)?,
        (false, Some(_)) if path.is_dir() => {
            return Err("--sha256 is the sum of an archive, and this is a directory".to_owned());
        }
        (false, None) if path.is_dir() => return release::of_directory(path),
        (false, _) => {
            read_bounded(path, ARCHIVE_BYTES).map_err(|error| format!("cannot read {from}: {}", plain(&error)))?
        }
    };
    let sum = digest(&archive);
    if let Some(expected) = sha256.filter(|expected| !expected.eq_ignore_ascii_case(&sum)) {
        return Err(format!("the archive's SHA-256 is {sum}, not {expected}; nothing was installed"));
    }
    release::of_archive(&archive)
}

/// Puts the release in place, and says what it is and what changes.
fn install(release: &Release, home: &Path, dry_run: bool) -> Result<String, Failure> {
    let current = home.join(NAME);
    let before = Installed::read(&current);
    let mut files = release.clone();
    let carried = before.carry_over(&mut files);
    // Beside its place, so that it gets there by a rename.
    let whole =
        tempfile::Builder::new().prefix(".crs-").tempdir_in(home).map_err(|error| cannot("write", home, &error))?;
    write(whole.path(), release, &files).map_err(|error| cannot("write", whole.path(), &error))?;
    let book = rulebook::read(&patterns(whole.path(), whole.path())).map_err(|wrong| refused(&wrong, whole.path()))?;
    if book.files.rules == 0 {
        return Err(Failure::because("the release holds no rule"));
    }
    let version = version(&book.set).unwrap_or_else(|| "of unknown version".to_owned());
    let old = before.there.then(|| rulebook::read(&patterns(&current, &current)).ok()).flatten();
    let mut said = describe(&version, &book, before.there, old.as_ref());
    let _ = carried.iter().try_for_each(|line| writeln!(said, "{line}"));
    if before.there && before.files == files && before.changed.is_empty() {
        let _ = writeln!(said, "This is what {} holds already; nothing was changed.", current.display());
        return Ok(said);
    }
    if dry_run {
        let _ = writeln!(said, "Nothing was changed: --dry-run.");
        return Ok(said);
    }
    let place = put(whole.keep(), &current, &version).map_err(|error| cannot("put the rules into", home, &error))?;
    let _ = writeln!(said, "Installed as {}, and {} points to it.", place.display(), current.display());
    let listed: Vec<String> =
        patterns(Path::new(NAME), &current).iter().map(|name| format!("\"{}\"", name.display())).collect();
    let _ = writeln!(said, "In the configuration:  [waf]\n                       rules = [{}]", listed.join(", "));
    if files.contains_key("tuning/before.conf") {
        let _ = writeln!(
            said,
            "{NAME}/tuning/ has what ordinary browsers send, with reasons; leave its files out of the list to do without."
        );
    }
    let _ = writeln!(said, "Then:                  portcullis check && portcullis reload");
    Ok(said)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot {what} {}: {}", path.display(), plain(error)))
}

/// The files of a directory that are rules, in their order, as they are called in another.
pub(crate) fn patterns(called: &Path, directory: &Path) -> Vec<PathBuf> {
    let [before, after] = TUNING.map(|(name, _)| name);
    let is_there = |name: &&str| directory.join(name).is_file() || name.contains('*');
    [OWN_SETUP, before, "rules/*.conf", after]
        .iter()
        .filter(|name| is_there(name))
        .map(|name| called.join(name))
        .collect()
}

fn refused(wrong: &Wrong, directory: &Path) -> Failure {
    // As the rules' own names have it: without the `.` that a relative home brings.
    let there = format!("{}/", directory.components().collect::<PathBuf>().display());
    match wrong {
        Wrong::Unread(lines) => Failure::Because(lines.join("; ").replace(&there, "")),
        Wrong::Refused(refused) => {
            talk::say(&refused.to_string().replace(&there, ""));
            Failure::because("the rules are not in order; nothing was installed")
        }
    }
}

/// What is there already.
#[derive(Default)]
struct Installed {
    there: bool,
    /// Everything in it but the manifest.
    files: Release,
    /// Names of files that are not as they were installed.
    changed: BTreeSet<String>,
    /// Names of files that no release brought.
    own: BTreeSet<String>,
}

impl Installed {
    fn read(directory: &Path) -> Self {
        let Ok(mut files) = release::of_directory(directory) else { return Self::default() };
        if let Ok(setup) = read_bounded(&directory.join(OWN_SETUP), ARCHIVE_BYTES) {
            files.insert(OWN_SETUP.to_owned(), setup);
        }
        let manifest = fs::read_to_string(directory.join(MANIFEST)).unwrap_or_default();
        let sums: BTreeMap<&str, &str> =
            manifest.lines().filter_map(|line| line.split_once("  ").map(|(sum, name)| (name, sum))).collect();
        let (mut changed, mut own) = (BTreeSet::new(), BTreeSet::new());
        for (name, bytes) in &files {
            match sums.get(name.as_str()) {
                Some(sum) if *sum != digest(bytes) => _ = changed.insert(name.clone()),
                Some(_) => {}
                None => _ = own.insert(name.clone()),
            }
        }
        Self { there: true, files, changed, own }
    }

    /// Takes over what is the operator's: the set-up where it was changed, and files that no release brought. Says so.
    fn carry_over(&self, files: &mut Release) -> Vec<String> {
        let mut said = Vec::new();
        let setup = files.get(SETUP).cloned().unwrap_or_default();
        files.insert(OWN_SETUP.to_owned(), setup);
        for name in self.own.iter().chain(&self.changed) {
            let Some(bytes) = self.files.get(name) else { continue };
            if files.get(name) == Some(bytes) {
                continue;
            }
            if name == OWN_SETUP || !files.contains_key(name) {
                files.insert(name.clone(), bytes.clone());
                said.push(format!("Kept:     {name}, which is yours"));
            } else {
                said.push(format!("Replaced: {name}, which was changed here; the old one stays where it was"));
            }
        }
        said
    }
}

/// Writes the files and their sums, and sees them on the disk.
fn write(directory: &Path, release: &Release, files: &Release) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    let mut manifest = String::new();
    for (name, bytes) in files {
        let path = directory.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::File::create(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // The set-up is the release's as long as it is what the release brought.
        let brought = if name == OWN_SETUP { release.get(SETUP) } else { release.get(name) };
        if let Some(brought) = brought {
            let _ = writeln!(manifest, "{}  {name}", digest(brought));
        }
    }
    fs::write(directory.join(MANIFEST), manifest)
}

/// Moves a whole directory to its place and points `current` to it. Whatever fails, `current` is the old one or the new one.
fn put(whole: PathBuf, current: &Path, version: &str) -> io::Result<PathBuf> {
    let home = current.parent().unwrap_or(Path::new("."));
    let number = version.rsplit('/').next().unwrap_or(version);
    let number: String = number.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let place = free(&home.join(format!("{NAME}-{number}")));
    fs::rename(&whole, &place)?;
    let target = place.file_name().map(PathBuf::from).unwrap_or_default();
    let link = free(&home.join(format!(".{NAME}-link")));
    symlink(target, &link)?;
    // A directory that somebody made by hand gives way first: a link cannot be renamed over it.
    let by_hand = fs::symlink_metadata(current).is_ok_and(|found| found.is_dir());
    let aside = free(&home.join(format!("{NAME}-before")));
    if by_hand {
        fs::rename(current, &aside)?;
    }
    fs::rename(&link, current).inspect_err(|_| {
        let _ = fs::remove_file(&link);
        if by_hand {
            let _ = fs::rename(&aside, current);
        }
    })?;
    fs::File::open(home).and_then(|home| home.sync_all())?;
    Ok(place)
}

/// The path, or the first of `path.2`, `path.3`, … that is not taken.
fn free(path: &Path) -> PathBuf {
    let taken = |path: &Path| fs::symlink_metadata(path).is_ok();
    if !taken(path) {
        return path.to_owned();
    }
    let numbered = (2..).map(|number: u32| PathBuf::from(format!("{}.{number}", path.display())));
    numbered.into_iter().find(|path| !taken(path)).unwrap_or_else(|| path.to_owned())
}

/// What a rule set calls itself.
fn version(set: &RuleSet) -> Option<String> {
    set.settings.iter().find_map(|setting| match setting {
        Setting::ComponentSignature(name) => Some(name.clone()),
        _ => None,
    })
}

/// What it is, and the difference from what is there.
fn describe(version: &str, book: &Book, there: bool, old: Option<&Book>) -> String {
    let mut said = format!("{version}: {} rules in {} files, in order.\n", book.files.rules, book.files.order.len());
    let Some(old) = old else {
        if there {
            said.push_str("What is there now is not in order and cannot be compared.\n");
        }
        return said;
    };
    let (new, old, was) = (rules(&book.set), rules(&old.set), self::version(&old.set).unwrap_or_default());
    let added = new.keys().filter(|id| !old.contains_key(id)).map(|id| ('+', *id));
    let removed = old.keys().filter(|id| !new.contains_key(id)).map(|id| ('-', *id));
    let differs = |id: &&u32| old.get(id).is_some_and(|old| new.get(id).is_some_and(|new| new.text != old.text));
    let changed = new.keys().filter(differs).map(|id| ('~', *id));
    let counts = [added.clone().count(), removed.clone().count(), changed.clone().count()];
    let _ = writeln!(
        said,
        "Compared with {was}, which is there now: {} rules added, {} removed, {} changed.",
        counts[0], counts[1], counts[2]
    );
    let mut lines: Vec<(char, u32)> = added.chain(removed).chain(changed).collect();
    lines.sort_by_key(|(_, id)| *id);
    for (sign, id) in lines.iter().take(SHOWN) {
        let message = new.get(id).or_else(|| old.get(id)).map_or("", |rule| rule.message.as_str());
        let _ = writeln!(said, "  {sign} {id}  {message}");
    }
    if lines.len() > SHOWN {
        let _ = writeln!(said, "  … and {} more", lines.len() - SHOWN);
    }
    said
}

/// One rule as it is written, with what it says.
struct Said {
    text: String,
    message: String,
}

fn rules(set: &RuleSet) -> BTreeMap<u32, Said> {
    let rules = set.steps.iter().filter_map(|step| match step {
        Step::Rule(rule) => Some(&**rule),
        Step::Marker(_) => None,
    });
    rules.filter_map(|rule| Some((rule.actions.id?, said(set, rule)))).collect()
}

fn said(set: &RuleSet, rule: &Rule) -> Said {
    let written = |rule: &Rule| {
        let text = set.sources.get(rule.span.file as usize).map_or("", |source| source.excerpt(rule.span));
        // Every rule says the release's number, which is no change of the rule.
        rule.actions.version.as_ref().map_or_else(|| text.to_owned(), |version| text.replace(version, ""))
    };
    let text = std::iter::once(rule).chain(&rule.links).map(written).collect::<Vec<_>>().join("\n");
    let message = rule.actions.message.iter().flat_map(|message| &message.0).map(|piece| match piece {
        Piece::Plain(plain) => String::from_utf8_lossy(plain).into_owned(),
        Piece::Macro(..) => "…".to_owned(),
    });
    Said { text, message: message.collect() }
}

#[cfg(test)]
mod tests {
    use super::release::tests::archive;
    use super::*;

    const SETUP_TEXT: &str = "SecDefaultAction \"phase:1,pass\"\nSecAction \"id:900990,pass\"\n";

    fn release(version: &str, rules: &str) -> Release {
        let signature = format!("SecComponentSignature \"OWASP_CRS/{version}\"\n");
        let files = [
            ("x/crs-setup.conf.example", SETUP_TEXT),
            ("x/rules/REQUEST-901.conf", &signature),
            ("x/rules/REQUEST-942.conf", rules),
            ("x/rules/words.data", "union select\n"),
        ];
        release::of_archive(&archive(&files)).expect("a release")
    }

    const RULES: &str = "SecRule ARGS \"@pmFromFile words.data\" \\\n    \"id:942100,\\\n    msg:'SQL',ver:'CRS/1'\"\n";

    fn installed(release: &Release, home: &Path) -> String {
        install(release, home, false).expect("installed")
    }

    #[test]
    fn a_release_is_installed_and_the_next_one_shows_what_changes() {
        let home = tempfile::tempdir().expect("a directory");
        let first = installed(&release("4.1.0", RULES), home.path());
        assert!(first.starts_with("OWASP_CRS/4.1.0: 2 rules in 3 files, in order.\n"), "{first}");
        assert_eq!(fs::read_link(home.path().join("crs")).expect("a link"), Path::new("crs-4.1.0"));
        let same = installed(&release("4.1.0", RULES), home.path());
        assert!(same.contains("holds already"), "{same}");

        let setup = home.path().join("crs/crs-setup.conf");
        fs::write(&setup, format!("{SETUP_TEXT}SecAction \"id:900000,pass\"\n")).expect("written");
        fs::write(home.path().join("crs/rules/REQUEST-900-OWN.conf"), "SecAction \"id:1,pass\"\n").expect("written");
        fs::write(home.path().join("crs/rules/words.data"), "select\n").expect("written");
        let next = RULES.replace("CRS/1", "CRS/2") + "SecRule ARGS \"@rx a\" \"id:942110,msg:'New'\"\n";
        let second = installed(&release("4.2.0", &next), home.path());
        assert!(
            second.contains("which is there now: 1 rules added, 0 removed, 0 changed.\n  + 942110  New\n"),
            "{second}"
        );
        for line in ["Kept:     crs-setup.conf", "Kept:     rules/REQUEST-900-OWN.conf", "Replaced: rules/words.data"] {
            assert!(second.contains(line), "{line}: {second}");
        }
        assert!(fs::read_to_string(&setup).expect("kept").contains("900000"));
        assert_eq!(fs::read_to_string(home.path().join("crs-4.1.0/rules/words.data")).expect("stays"), "select\n");
        assert_eq!(fs::read_link(home.path().join("crs")).expect("a link"), Path::new("crs-4.2.0"));
        let third = installed(&release("4.3.0", &next), home.path());
        assert!(third.contains("Kept:     crs-setup.conf"), "it is still the operator's: {third}");
    }

    #[test]
    fn what_is_not_in_order_is_not_installed_and_leaves_nothing() {
        let home = tempfile::tempdir().expect("a directory");
        installed(&release("4.1.0", RULES), home.path());
        let names = || {
            let entries = fs::read_dir(home.path()).expect("there").flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<BTreeSet<_>>()
        };
        let before = names();
        let wrong = RULES.replace("@pmFromFile", "@pmFromFiles");
        assert!(install(&release("4.2.0", &wrong), home.path(), false).is_err());
        assert_eq!(names(), before);
        install(&release("4.2.0", RULES), home.path(), true).expect("in order");
        assert_eq!(names(), before, "--dry-run");
        assert_eq!(fs::read_link(home.path().join("crs")).expect("a link"), Path::new("crs-4.1.0"));
    }

    #[test]
    fn a_directory_made_by_hand_gives_way_and_stays() {
        let home = tempfile::tempdir().expect("a directory");
        for (name, bytes) in release("4.0.0", RULES) {
            let path = home.path().join(NAME).join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        }
        installed(&release("4.1.0", RULES), home.path());
        assert!(home.path().join("crs-before/rules/words.data").is_file());
        assert!(home.path().join("crs/rules/words.data").is_file());
    }

    #[test]
    fn the_sum_of_an_archive_is_checked() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let bytes = archive(&[("x/crs-setup.conf.example", SETUP_TEXT), ("x/rules/a.conf", RULES)]);
        fs::write(file.path(), &bytes).expect("written");
        let from = file.path().to_string_lossy().into_owned();
        let sum = digest(&bytes);
        assert_eq!(gather(&from, Some(&sum)).expect("right").len(), 2);
        let wrong = sum.replace(|c: char| c.is_ascii_digit(), "0");
        assert!(gather(&from, Some(&wrong)).is_err_and(|why| why.contains("nothing was installed")));
        assert!(gather("https://localhost/crs.tar.gz", None).is_err_and(|why| why.contains("--sha256")));
    }
}
