//! Rule sets that are broken on purpose: `specs/crs-canaries.toml`. Cases that pass must fail with them, or the runner could not
//! tell a rule set that works from one that does not.
//!
//! Never a change to the cases: what is broken is what is loaded.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::case::Case;
use crate::regression;
use crate::rules::{Mode, RuleFile, compiled, files};

/// A rule set that is broken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Canary {
    /// How it is broken.
    pub(crate) name: String,
    /// Rules after all others.
    #[serde(default)]
    append: String,
    /// Rules before all others.
    #[serde(default)]
    prepend: String,
    /// Text of the rules, and what takes its place: once, and it must be there.
    #[serde(default)]
    replace: Vec<(String, String)>,
    /// Cases that begin so are played.
    cases: String,
    /// Of them, those that must fail; `all`, or names.
    must_fail: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    canary: Vec<Canary>,
}

/// Reads the list.
pub(crate) fn read(path: &Path) -> Result<Vec<Canary>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: File = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(file.canary)
}

impl Canary {
    /// What it did not do; none where every case that must fail failed, and passes with rules that are not broken.
    pub(crate) fn judge(&self, directory: &Path, cases: &[Case]) -> Result<Option<String>, String> {
        let sound = compiled(files(directory, Mode::Cases)?)?;
        let broken = match compiled(self.broken(files(directory, Mode::Cases)?)?) {
            Ok(program) => program,
            Err(why) => return Err(format!("{}: {why}", self.name)),
        };
        let played: Vec<&Case> =
            cases.iter().filter(|case| case.name.starts_with(&self.cases) && !case.asks_the_front()).collect();
        let failed: BTreeSet<&str> = played
            .iter()
            .filter(|case| regression::judge(case, &sound).is_none() && regression::judge(case, &broken).is_some())
            .map(|case| case.name.as_str())
            .collect();
        let wanted: Vec<&str> = match self.must_fail.as_slice() {
            [all] if all == "all" => {
                let expects = |case: &&&Case| !case.output.log.expect_ids.is_empty();
                played.iter().filter(expects).map(|case| case.name.as_str()).collect()
            }
            names => names.iter().map(String::as_str).collect(),
        };
        let passed: Vec<&str> = wanted.iter().copied().filter(|name| !failed.contains(name)).collect();
        Ok(match (wanted.is_empty(), passed.as_slice()) {
            (true, _) => Some("there is no such case".to_owned()),
            (_, []) => None,
            (_, passed) => Some(format!("{} of {} did not fail: {}", passed.len(), wanted.len(), passed.join(", "))),
        })
    }

    fn broken(&self, mut files: Vec<RuleFile>) -> Result<Vec<RuleFile>, String> {
        for (from, to) in &self.replace {
            let file = files.iter_mut().find(|file| file.text.contains(from.as_str()));
            let file = file.ok_or_else(|| format!("{}: the rules do not say {from:?}", self.name))?;
            file.text = file.text.replacen(from.as_str(), to, 1);
        }
        files.insert(0, RuleFile { path: None, text: self.prepend.clone() });
        files.push(RuleFile { path: None, text: self.append.clone() });
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_that_breaks_nothing_is_an_error() {
        let file: File = toml::from_str(
            "[[canary]]\nname = \"x\"\nreplace = [[\"a\", \"b\"]]\ncases = \"1\"\nmust_fail = [\"all\"]",
        )
        .unwrap();
        let text = |text: &str| vec![RuleFile { path: None, text: text.to_owned() }];
        assert_eq!(file.canary[0].broken(text("xax a")).unwrap()[1].text, "xbx a");
        assert!(file.canary[0].broken(text("xyz")).is_err());
    }
}
