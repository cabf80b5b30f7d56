//! Rule files: from patterns in a configuration, or a directory, to rules that were read, with everything that they name.
//!
//! What the rules mean is `portcullis_waf`'s; this finds and reads files, and remembers them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use portcullis_config::{RuleFault, RuleFiles};
use portcullis_proxy::rulebook;
use portcullis_waf::seclang::compile;
use portcullis_waf::seclang::diagnostic::{Diagnostic, Refused};
use portcullis_waf::seclang::parse::{Files, parse};
use portcullis_waf::seclang::resolve::{RuleSet, Step, resolve};

use crate::world::{plain, read_bounded};

/// A file of rules, or one that rules name, is never larger.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Rules that are in order, and all that was read for them.
pub(crate) struct Book {
    pub(crate) set: RuleSet,
    pub(crate) files: RuleFiles,
}

/// Why there is none.
pub(crate) enum Wrong {
    /// A file or a pattern could not be read, said in words.
    Unread(Vec<String>),
    /// What the files say is not in order.
    Refused(Refused),
}

/// Reads the rules that the patterns name, in their order.
pub(crate) fn read(patterns: &[PathBuf]) -> Result<Book, Wrong> {
    let disk = Disk::default();
    let (mut sources, mut unread) = (Vec::new(), Vec::new());
    for pattern in patterns {
        let paths = expand(pattern);
        if paths.is_empty() {
            unread.push(format!("no file fits `{}`", pattern.display()));
        }
        for path in paths {
            let name = path.display().to_string();
            match disk.keep(&name, &path).map(String::from_utf8) {
                Ok(Ok(text)) => sources.push((name, text)),
                Ok(Err(_)) => unread.push(format!("cannot read `{name}`: it is not UTF-8 text")),
                Err(why) => unread.push(format!("cannot read `{name}`: {why}")),
            }
        }
    }
    if !unread.is_empty() {
        return Err(Wrong::Unread(unread));
    }
    let set = parse(&sources, &disk).and_then(resolve).map_err(Wrong::Refused)?;
    // Expressions are only refused when they are compiled.
    if let Err(diagnostics) = compile(&set) {
        return Err(Wrong::Refused(Refused { sources: set.sources, diagnostics }));
    }
    let rules = set.steps.iter().filter(|step| matches!(step, Step::Rule(_))).count();
    let order = sources.into_iter().map(|(name, _)| name).collect();
    let files = disk.kept.into_inner().into_iter().collect();
    Ok(Book { set, files: RuleFiles { order, files, rules } })
}

impl Wrong {
    /// One line for each problem, for whoever has a place for lines only.
    pub(crate) fn faults(&self) -> Vec<RuleFault> {
        match self {
            Self::Unread(lines) => lines.iter().map(|words| RuleFault { words: words.clone(), hint: None }).collect(),
            Self::Refused(refused) => refused.diagnostics.iter().map(|diagnostic| fault(refused, diagnostic)).collect(),
        }
    }
}

fn fault(refused: &Refused, diagnostic: &Diagnostic) -> RuleFault {
    let place = refused.sources.get(diagnostic.span.file as usize).map_or_else(String::new, |source| {
        let (line, column) = source.line_column(diagnostic.span.start);
        format!("{}:{line}:{column}: ", source.name)
    });
    RuleFault { words: format!("{place}{}", diagnostic.reason), hint: diagnostic.help.clone() }
}

/// The disk, and what was read from it.
#[derive(Default)]
struct Disk {
    kept: RefCell<BTreeMap<String, Vec<u8>>>,
}

impl Disk {
    /// A file that is remembered under `name`; read once, so that it has one content.
    fn keep(&self, name: &str, path: &Path) -> Result<Vec<u8>, String> {
        if let Some(bytes) = self.kept.borrow().get(name) {
            return Ok(bytes.clone());
        }
        let bytes = read_bounded(path, FILE_BYTES).map_err(|error| plain(&error))?;
        self.kept.borrow_mut().insert(name.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

impl Files for Disk {
    fn read(&self, beside: &str, name: &str) -> Option<Vec<u8>> {
        let name = rulebook::beside(beside, name);
        self.keep(&name, Path::new(&name)).ok()
    }

    fn matching(&self, beside: &str, pattern: &str) -> Option<Vec<String>> {
        let paths = expand(Path::new(&rulebook::beside(beside, pattern)));
        Some(paths.iter().map(|path| path.display().to_string()).collect())
    }
}

/// The files that a pattern names, in the order of their names; one without `*` and `?` names itself if it is there.
pub(crate) fn expand(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let wild = match component {
            Component::Normal(name) => name.to_str().filter(|name| name.contains(['*', '?'])),
            _ => None,
        };
        let Some(wild) = wild else {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        found = found.iter().flat_map(|directory| entries(directory, wild)).collect();
    }
    found.retain(|path| path.is_file());
    found
}

fn entries(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let names = std::fs::read_dir(here).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    // A pattern never means what is hidden, unless it says so.
    names.retain(|name| rulebook::fits(pattern, name) && (pattern.starts_with('.') || !name.starts_with('.')));
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_with_what_they_name_and_read_again_from_memory() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(name).parent().expect("a directory")).expect("made");
            std::fs::write(dir.path().join(name), text).expect("written");
        };
        write("setup.conf", "Include more/*.conf\n");
        write("more/b.conf", "SecAction \"id:2\"\n");
        write("more/a.conf", "SecRule ARGS \"@pmFromFile words.data\" \"id:1\"\n");
        write("more/words.data", "one\ntwo\n");
        write("rules/c.conf", "SecAction \"id:3\"\n");
        let patterns = [dir.path().join("setup.conf"), dir.path().join("rules/*.conf")];
        let book = read(&patterns).map_err(|wrong| wrong.faults()).expect("in order");
        assert_eq!(book.files.rules, 3);
        assert_eq!((book.files.order.len(), book.files.files.len()), (2, 5));
        std::fs::remove_dir_all(dir.path()).expect("removed");
        let again = rulebook::rules(&book.files).expect("the same again");
        assert_eq!(again.steps.len(), book.set.steps.len());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a.conf");
        std::fs::write(&file, "# fine\nSecRule ARG \"@rx a\" \"id:1\"\n").expect("written");
        let Err(wrong) = read(std::slice::from_ref(&file)) else { panic!("a variable that is none") };
        let faults = wrong.faults();
        assert_eq!(faults[0].words, format!("{}:2:9: no variable is called `ARG`", file.display()));
        std::fs::write(&file, "SecRule ARGS \"@rx a(?=b)\" \"id:1\"\n").expect("written");
        let Err(wrong) = read(std::slice::from_ref(&file)) else { panic!("an expression that looks ahead") };
        assert!(wrong.faults()[0].words.starts_with(&format!("{}:1:", file.display())), "{:?}", wrong.faults());
        let Err(wrong) = read(&[dir.path().join("*.rules")]) else { panic!("nothing fits") };
        assert!(wrong.faults()[0].words.starts_with("no file fits"));
    }
}
