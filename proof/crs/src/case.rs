//! The Core Rule Set's regression cases, as their YAML says them (go-ftw, schema 2).
//!
//! Never passes over what it does not know: a key without a meaning here is an error, so that no case is judged by half.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de};

/// One stage of one test: a request, and what it shall lead to.
#[derive(Debug)]
pub(crate) struct Case {
    /// `920100-1#0`: rule, test, stage.
    pub(crate) name: String,
    /// What is sent.
    pub(crate) input: Input,
    /// What shall come of it.
    pub(crate) output: Output,
}

impl Case {
    /// What asks for a status, an error or bytes as they are asks the server in front of the rules, too.
    pub(crate) fn asks_the_front(&self) -> bool {
        self.output.status.is_some() || self.output.expect_error || self.input.encoded_request.is_some()
    }
}

/// Every case of a directory, in the order of their files.
pub(crate) fn read_all(directory: &Path) -> Result<Vec<Case>, String> {
    let mut files = Vec::new();
    find_files(directory, &mut files).map_err(|error| format!("{}: {error}", directory.display()))?;
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let read = serde_yaml_ng::from_str::<Option<File>>(&text);
        let read = read.map_err(|error| format!("{}: {error}", file.display()))?;
        for test in read.into_iter().flat_map(|file| file.named_tests()) {
            cases.push(test);
        }
    }
    Ok(cases)
}

fn find_files(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rule_id: u32,
    tests: Vec<Test>,
    #[serde(default, rename = "meta")]
    _about: de::IgnoredAny,
    #[serde(default, rename = "author")]
    _author: de::IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    test_id: u32,
    stages: Vec<Stage>,
    #[serde(default, rename = "desc")]
    _about: de::IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    input: Input,
    output: Output,
}

impl File {
    fn named_tests(self) -> impl Iterator<Item = Case> {
        let rule = self.rule_id;
        self.tests.into_iter().flat_map(move |test| {
            test.stages.into_iter().enumerate().map(move |(stage, Stage { input, output })| Case {
                name: format!("{rule}-{}#{stage}", test.test_id),
                input,
                output,
            })
        })
    }
}

/// What is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    pub(crate) method: Option<Scalar>,
    pub(crate) uri: Option<Scalar>,
    pub(crate) version: Option<Scalar>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Scalar>,
    pub(crate) data: Option<String>,
    /// The whole request in base64, in place of all that stands above.
    pub(crate) encoded_request: Option<String>,
    /// Whether `Content-Type`, `Content-Length` and `Connection` are added where they are missing, and a form is encoded.
    pub(crate) autocomplete_headers: Option<bool>,
    /// What `autocomplete_headers` was called, the other way round.
    #[serde(default)]
    pub(crate) stop_magic: bool,
    #[serde(default, rename = "dest_addr")]
    _address: de::IgnoredAny,
    #[serde(default, rename = "port")]
    _port: de::IgnoredAny,
    #[serde(default, rename = "protocol")]
    _protocol: de::IgnoredAny,
}

/// What shall come of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Output {
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) log: Log,
    /// The connection shall fail, or the answer be no HTTP.
    #[serde(default)]
    pub(crate) expect_error: bool,
    /// For reading a log too early, which cannot happen here.
    #[serde(default, rename = "retry_once")]
    _retry_once: bool,
}

/// What shall be in the log.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    #[serde(default)]
    pub(crate) expect_ids: Vec<u32>,
    #[serde(default)]
    pub(crate) no_expect_ids: Vec<u32>,
    pub(crate) match_regex: Option<String>,
    pub(crate) no_match_regex: Option<String>,
}

/// A string, or a number that stands for one.
#[derive(Debug, Clone)]
pub(crate) struct Scalar(pub(crate) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a whole number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(text: &str) -> Result<Vec<Case>, serde_yaml_ng::Error> {
        Ok(serde_yaml_ng::from_str::<Option<File>>(text)?.into_iter().flat_map(File::named_tests).collect())
    }

    #[test]
    fn a_file_is_read_and_its_cases_are_named() {
        let text = "
rule_id: 920100
tests:
  - test_id: 7
    stages:
      - input:
          headers: {Host: localhost, Content-Length: 7}
          data: \"a=1\"
        output: {log: {expect_ids: [920100]}}
      - input: {uri: /x}
        output: {status: 400}
";
        let cases = cases(text).unwrap();
        assert_eq!(cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["920100-7#0", "920100-7#1"]);
        assert_eq!(cases[0].input.headers["Content-Length"].0, "7");
        assert_eq!(cases[0].output.log.expect_ids, [920_100]);
        assert_eq!(cases[1].output.status, Some(400));
    }

    #[test]
    fn what_has_no_meaning_here_is_an_error() {
        let text = "rule_id: 1\ntests: [{test_id: 1, stages: [{input: {}, output: {response_contains: x}}]}]";
        assert!(cases(text).is_err());
        assert!(cases("").unwrap().is_empty());
    }
}
