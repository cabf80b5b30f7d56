//! Cases whose difference is signed off, with the reason: `specs/crs-exclusions.toml` and `specs/crs-verdicts.toml`.
//!
//! Never a blanket: each names its cases, and one that passes after all is an error, so that the list only shrinks.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// Cases by name, each with its reason.
pub(crate) type Signed = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    exclusion: Vec<Exclusion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    /// As in `920100-1#0`; of verdicts with the level before it, as in `pl1/920100-1#0`.
    cases: Vec<String>,
    reason: String,
}

/// Reads one of the lists.
pub(crate) fn read(path: &Path) -> Result<Signed, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Result<Signed, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut signed = Signed::new();
    for exclusion in file.exclusion {
        if exclusion.reason.trim().is_empty() {
            return Err(format!("{:?} have no reason", exclusion.cases));
        }
        for case in exclusion.cases {
            if signed.insert(case.clone(), exclusion.reason.clone()).is_some() {
                return Err(format!("{case} stands twice"));
            }
        }
    }
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_reason_and_stands_once() {
        assert_eq!(parse("").unwrap(), Signed::new());
        let good = "[[exclusion]]\ncases = [\"1-1#0\"]\nreason = \"because\"";
        assert_eq!(parse(good).unwrap()["1-1#0"], "because");
        assert!(parse("[[exclusion]]\ncases = [\"1-1#0\"]\nreason = \" \"").is_err());
        assert!(parse(&format!("{good}\n{good}")).is_err());
    }
}
