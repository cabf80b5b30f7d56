//! A world made of `specs/config-errors/world.toml`, and the files of the repository that tests read.

#![expect(clippy::disallowed_methods, reason = "cases and committed pages are files")]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portcullis_config::{CertificateFacts, Excluded, Exclusion, Outcome, RuleFault, RuleFiles, World, load};
use toml::{Table, Value};

pub(crate) struct Made {
    world: Table,
}

impl Made {
    pub(crate) fn new() -> Self {
        let text = read("specs/config-errors/world.toml");
        Self { world: text.parse().expect("TOML") }
    }

    /// Reads `text` as a file of this world.
    pub(crate) fn load(&self, text: &str) -> Outcome {
        load(Path::new("/etc/portcullis/portcullis.toml"), text, self)
    }
}

impl World for Made {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = path.strip_prefix("/etc/portcullis").ok().and_then(Path::to_str).unwrap_or_default();
        let text = self.world["files"].get(name).and_then(Value::as_str);
        text.map(Into::into).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = self.world["names"].get(host).and_then(Value::as_array);
        let addresses = addresses.ok_or_else(|| io::Error::other("the name is not known"))?;
        Ok(addresses.iter().filter_map(Value::as_str).map(|address| address.parse().expect("an address")).collect())
    }

    fn certificate(&self, cert_pem: &[u8], key_pem: &[u8]) -> Result<CertificateFacts, String> {
        let cert = std::str::from_utf8(cert_pem).ok().and_then(|text| text.strip_prefix("certificate "));
        let name = cert.ok_or("there is no certificate in the file")?;
        if key_pem.strip_prefix(b"key ") != Some(name.as_bytes()) {
            return Err("the key does not belong to the certificate".to_owned());
        }
        let facts: BTreeMap<String, Value> =
            self.world["certificates"][name].clone().try_into().expect("a table of facts");
        let names = facts["names"].as_array().expect("names").iter().filter_map(Value::as_str);
        Ok(CertificateFacts {
            names: names.map(str::to_owned).collect(),
            not_after: facts.get("not_after").and_then(Value::as_integer),
            expired: facts.get("expired").and_then(Value::as_bool).unwrap_or_default(),
        })
    }

    fn rules(&self, patterns: &[PathBuf]) -> Result<RuleFiles, Vec<RuleFault>> {
        let (mut read, mut faults) = (RuleFiles::default(), Vec::new());
        for pattern in patterns {
            let name = pattern.strip_prefix("/etc/portcullis").ok().and_then(Path::to_str).unwrap_or_default();
            let Some(facts) = self.world["rules"].get(name).and_then(Value::as_table) else {
                faults.push(RuleFault { words: format!("no file fits `{}`", pattern.display()), hint: None });
                continue;
            };
            let texts =
                |key: &str| facts.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            read.order.extend(texts("files").map(str::to_owned));
            faults.extend(
                texts("faults").map(|words| RuleFault { words: words.to_owned(), hint: Some("`ARGS` is".into()) }),
            );
            read.rules +=
                facts.get("rules").and_then(Value::as_integer).map_or(0, |rules| usize::try_from(rules).unwrap_or(0));
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    fn exclusion(&self, exclusion: &Exclusion) -> Result<(), RuleFault> {
        let families = self.world["families"].as_array().expect("families");
        match &exclusion.what {
            Excluded::Family(name) if !families.iter().any(|known| known.as_str() == Some(name)) => {
                let words = format!("the gate's own detection has no family `{name}`");
                Err(RuleFault { words, hint: Some("it has sql, script and more".to_owned()) })
            }
            _ => Ok(()),
        }
    }

    fn canaries(&self, registry: &[u8], key: &[u8]) -> Result<(), String> {
        let sound = registry.starts_with(b"1 ") && key.len() >= 64;
        if sound { Ok(()) } else { Err("line 1: the line does not begin with a number".to_owned()) }
    }

    fn geography(&self, file: &[u8]) -> Result<(), String> {
        if file.starts_with(b"countries") { Ok(()) } else { Err("it has no metadata".to_owned()) }
    }

    fn cores(&self) -> usize {
        3
    }
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&whole).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The names of the files in a directory of the repository that end so, in order.
pub(crate) fn names(directory: &str, end: &str) -> Vec<String> {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(directory);
    let entries = std::fs::read_dir(whole).expect(directory);
    let names = entries.map(|entry| entry.expect(directory).file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    names
}

/// Compares a file of the repository with what it should be; with `UPDATE=1`, writes it first.
pub(crate) fn check_committed(path: &str, expected: &str, how: &str) {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(whole.parent().expect("a directory")).expect(path);
        std::fs::write(&whole, expected).expect(path);
    }
    let committed = std::fs::read_to_string(&whole).unwrap_or_default();
    assert!(committed == expected, "{path} is stale. Run `{how}`, and read what it changed.");
}
