//! `portcullis incident export`: a directory that is handed to others, and that verifies without us.
//!
//! It writes into an empty directory only, and never half a file: what is listed in SHA256SUMS is what was written.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path};

use portcullis_incident::forms::Form;
use portcullis_incident::{Report, handover, html, machine, notice, pdf, statement};
use portcullis_ledger::checkpoint::Trust;
use portcullis_ledger::note::VerifierKey;
use portcullis_store::disk::Directory;
use portcullis_store::{Snapshot, prove, prove_under, stamp};

use super::{Opened, broken};
use crate::args::incident::Export;
use crate::evidence::digest;
use crate::moment::speak;
use crate::world::plain;
use crate::{Done, Failure, talk};

/// Files of an export that came from elsewhere. Their bytes are bounded by those of the answer.
const FILES: usize = 20_000;
/// The list of files with their hashes.
const SUMS: &str = "SHA256SUMS";

/// Writes everything.
pub(super) fn run(flags: &Export) -> Done {
    let opened = Opened::open(&flags.of)?;
    let report = opened.report(&flags.incident, flags.no_drill)?;
    let forms = forms(flags.forms.as_deref())?;
    let (files, sums) = everything(&opened.directory, &report, &forms, &flags.to)?;
    talk::answer(&written(files, &sums, &flags.to))
}

fn written(files: usize, sums: &str, to: &Path) -> String {
    format!("{files} files in {}; SHA-256 of their list {sums}", to.display())
}

/// Writes all of it into an empty directory, with proofs from the ledger. How many files, and the hash of their list, comes back.
pub(crate) fn everything(
    ledger: &Path,
    report: &Report,
    forms: &[Form],
    to: &Path,
) -> Result<(usize, String), Failure> {
    let mut out = Out::begin(to)?;
    write(&mut out, report, forms)?;
    out.directory("proofs")?;
    let disk = Directory::at(ledger);
    let quoted = report.quoted();
    let stamp = stamp(&disk, report);
    let mut unproven = 0u64;
    for index in quoted {
        // Under the checkpoint that was stamped with a time, where that has it.
        let proof = match &stamp {
            Some((_, stamped)) if index < stamped.checkpoint.size => prove_under(stamped.clone(), index),
            _ => prove(&disk, index),
        };
        match proof {
            Ok(proof) => out.file(&format!("proofs/{index:09}.tlog-proof"), proof.text().as_bytes())?,
            Err(error) => {
                if unproven == 0 {
                    talk::say(&format!("record {index} cannot be proven: {}", plain(&error)));
                }
                unproven += 1;
            }
        }
    }
    out.file("checkpoint", report.ledger.checkpoint.as_bytes())?;
    if let Some((stamp, _)) = &stamp {
        out.directory("stamp")?;
        out.file("stamp/checkpoint", &stamp.note)?;
        out.file("stamp/token.tst", &stamp.token)?;
    }
    out.file("ledger.pub", format!("{}\n", report.ledger.key).as_bytes())?;
    out.file("README.md", readme(report, unproven, stamp.map(|(stamp, _)| stamp).as_ref()).as_bytes())?;
    Ok((out.sums.len(), out.end()?))
}

/// The same in one file, as `tar` reads it: a directory of that name.
pub(crate) fn packed(ledger: &Path, report: &Report, forms: &[Form], name: &str) -> Result<Vec<u8>, Failure> {
    let cannot = |error: io::Error| Failure::because(format!("cannot pack the export: {}", plain(&error)));
    let place = tempfile::tempdir().map_err(cannot)?;
    everything(ledger, report, forms, place.path())?;
    let mut tar = tar::Builder::new(Vec::new());
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_dir_all(name, place.path()).map_err(cannot)?;
    tar.into_inner().map_err(cannot)
}

/// Writes what a gate elsewhere has packed into an empty directory, where its own list of hashes names exactly that.
pub(super) fn unpack(tar: &[u8], to: &Path) -> Result<String, Failure> {
    let mut files = contents(tar)?;
    let listed = files.remove(SUMS).unwrap_or_default();
    let mut sums: Vec<String> = files.iter().map(|(name, bytes)| format!("{}  {name}\n", digest(bytes))).collect();
    sums.sort();
    if sums.concat().as_bytes() != listed {
        return Err(Failure::because(format!("{SUMS} of the export names other files than came; nothing was written")));
    }
    let mut out = Out::begin(to)?;
    for (name, bytes) in &files {
        if let Some((directory, _)) = name.rsplit_once('/') {
            out.directory(directory)?;
        }
        out.file(name, bytes)?;
    }
    Ok(written(files.len(), &out.end()?, to))
}

/// Files of an archive by their names within its one directory. Names that lead elsewhere, links and doubles are refused.
fn contents(tar: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let broken = |error: io::Error| Failure::because(format!("the export cannot be unpacked: {}", plain(&error)));
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let name = inside(&path).filter(|_| kind.is_file() && files.len() < FILES);
        let name = name.filter(|name| !files.contains_key(name));
        let Some(name) = name else {
            let name = path.display().to_string();
            let name = name.escape_debug();
            return Err(Failure::because(format!(
                "the export has {name}, which is no file of it; nothing was written"
            )));
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        files.insert(name, bytes);
    }
    Ok(files)
}

/// A name without the directory that is packed.
fn inside(path: &Path) -> Option<String> {
    let parts = path.components().map(|part| match part {
        Component::Normal(part) => part.to_str().filter(|part| !part.chars().any(char::is_control)),
        _ => None,
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    parts.get(1..).filter(|inner| !inner.is_empty()).map(|inner| inner.join("/"))
}

/// The newest stamp of a checkpoint of this ledger, and the ledger as of then.
fn stamp(disk: &Directory, report: &Report) -> Option<(stamp::Kept, Snapshot<Directory>)> {
    let log = VerifierKey::parse(&report.ledger.key).ok();
    let trust = Trust { log: Some(log?), witnesses: Vec::new(), quorum: 0 };
    // Where stamps cannot be read there is none to hand on: the README says so.
    let mut all = stamp::all(disk).unwrap_or_default();
    all.retain(|kept| kept.checkpoint().is_ok() && trust.check(&kept.note).is_ok());
    let newest = all.into_iter().max_by_key(|kept| kept.size)?;
    let snapshot = Snapshot::of(disk.clone(), &newest.note).ok()?;
    Some((newest, snapshot))
}

/// Everything that is written from the report alone.
fn write(out: &mut Out<'_>, report: &Report, forms: &[Form]) -> Done {
    out.file("report.html", html(report).map_err(broken)?.as_bytes())?;
    out.file("report.pdf", &pdf(report).map_err(broken)?)?;
    out.json("assessment.json", report)?;
    out.file("timeline.jsonl", machine::timesketch(report).as_bytes())?;
    out.json("stix.json", &machine::stix(report))?;
    out.json("misp.json", &machine::misp(report))?;
    out.file("ocsf.ndjson", machine::ocsf(report).as_bytes())?;
    out.json("playbook.cacao.json", &machine::cacao(report))?;
    out.file("statement.md", statement(report).map_err(broken)?.as_bytes())?;
    for language in ["en", "da"] {
        out.file(&format!("members-{language}.md"), notice(report, language).map_err(broken)?.as_bytes())?;
    }
    out.file("handover.md", handover(report).map_err(broken)?.as_bytes())?;
    out.directory("forms")?;
    for form in forms {
        let draft = form.fill(report, forms).map_err(|why| Failure::because(format!("the form {}: {why}", form.id)))?;
        out.file(&format!("forms/{}.md", draft.id), draft.markdown.as_bytes())?;
    }
    Ok(())
}

/// The forms of a directory, or those that are built in.
fn forms(directory: Option<&Path>) -> Result<Vec<Form>, Failure> {
    let Some(directory) = directory else { return Form::built_in().map_err(broken) };
    let unread =
        |path: &Path, error: &io::Error| Failure::because(format!("cannot read {}: {}", path.display(), plain(error)));
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| unread(directory, &error))? {
        let path = entry.map_err(|error| unread(directory, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut forms = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|error| unread(&path, &error))?;
        let form = Form::read(&text).map_err(|why| Failure::because(format!("{}: {why}", path.display())))?;
        if form.id.is_empty()
            || !form.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        {
            return Err(Failure::because(format!(
                "{}: an id has lower-case letters, digits and hyphens",
                path.display()
            )));
        }
        forms.push(form);
    }
    if forms.is_empty() {
        return Err(Failure::because(format!("{} has no form (*.toml)", directory.display())));
    }
    Ok(forms)
}

struct Out<'a> {
    to: &'a Path,
    sums: Vec<String>,
}

impl<'a> Out<'a> {
    fn begin(to: &'a Path) -> Result<Self, Failure> {
        match fs::read_dir(to).map(|mut entries| entries.next().is_some()) {
            Ok(true) => Err(Failure::because(format!("{} is not empty; nothing was written", to.display()))),
            Ok(false) => Ok(Self { to, sums: Vec::new() }),
            Err(_) => {
                fs::create_dir_all(to)
                    .map_err(|error| Failure::because(format!("cannot make {}: {}", to.display(), plain(&error))))?;
                Ok(Self { to, sums: Vec::new() })
            }
        }
    }

    fn directory(&self, name: &str) -> Done {
        let path = self.to.join(name);
        fs::create_dir_all(&path)
            .map_err(|error| Failure::because(format!("cannot make {}: {}", path.display(), plain(&error))))
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Done {
        let path = self.to.join(name);
        fs::write(&path, bytes)
            .map_err(|error| Failure::because(format!("cannot write {}: {}", path.display(), plain(&error))))?;
        self.sums.push(format!("{}  {name}\n", digest(bytes)));
        Ok(())
    }

    fn json(&mut self, name: &str, value: &impl serde::Serialize) -> Done {
        let mut text = serde_json::to_vec_pretty(value).map_err(broken)?;
        text.push(b'\n');
        self.file(name, &text)
    }

    /// The list of them all, as `sha256sum --check` reads it; its own hash comes back.
    fn end(mut self) -> Result<String, Failure> {
        self.sums.sort();
        let list = self.sums.concat();
        self.file(SUMS, list.as_bytes())?;
        Ok(digest(list.as_bytes()))
    }
}

fn readme(report: &Report, unproven: u64, stamp: Option<&stamp::Kept>) -> String {
    let mut text = format!(
        "# Incident {}\n\n\
         Written {}. Everything here can be checked without whoever wrote it:\n\n\
         - `sha256sum --check SHA256SUMS`: no file was changed since.\n\
         - `for proof in proofs/*; do portcullis ledger check \"$proof\" --key \"$(cat ledger.pub)\"; done`: each record that a figure rests on is in the \
         ledger that `checkpoint` is of. Get the key from somewhere else than from here.\n\
         - `report.html` and `report.pdf` are for people and say the same, `assessment.json` has all of it, `statement.md` is what may be said in public, \
         `forms/` are drafts for authorities with their clocks, `handover.md` is for whoever comes next.\n\
         - `stix.json` (STIX 2.1), `misp.json`, `ocsf.ndjson`, `timeline.jsonl` (Timesketch) and `playbook.cacao.json` (CACAO 2.0) \
         are for machines.\n",
        report.incident.id, report.written
    );
    match stamp.and_then(|kept| Some((kept, kept.stamp.as_ref()?))) {
        Some((kept, said)) => {
            text.push_str(&format!(
                "\nThe first {} records of the ledger were there by {}, as the time-stamping authority {} says: the proof of each ends\n\
                 in `stamp/checkpoint`, and `openssl ts -verify -data stamp/checkpoint -in stamp/token.tst -token_in -CAfile CA.pem`\n\
                 checks the stamp, with the certificate of the authority's CA in CA.pem. Get that from the authority.\n",
                kept.size,
                speak(said.unix_millis),
                kept.authority
            ));
            let later = report.quoted().iter().filter(|index| **index >= kept.size).count();
            if later > 0 {
                text.push_str(&format!(
                    "{later} records that are quoted are later: export again after the next stamp.\n"
                ));
            }
        }
        None => text.push_str("\nNo time-stamping authority has stamped this ledger.\n"),
    }
    if unproven > 0 {
        text.push_str(&format!("\n{unproven} records that are quoted could not be proven when this was written.\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive as it comes; names go in unchecked.
    fn archive(files: &[(&str, &str, tar::EntryType)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text, kind) in files {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, text.as_bytes()).expect("appended");
        }
        tar.into_inner().expect("an archive")
    }

    #[test]
    fn what_was_packed_elsewhere_is_written_whole_or_not_at_all() {
        use tar::EntryType::{Directory, Regular, Symlink};
        let sums = format!("{}  a.md\n{}  forms/b.md\n", digest(b"one"), digest(b"two"));
        let mut lines: Vec<&str> = sums.split_inclusive('\n').collect();
        lines.sort_unstable();
        let sums = lines.concat();
        let good = [
            ("i-1", "", Directory),
            ("i-1/a.md", "one", Regular),
            ("i-1/forms", "", Directory),
            ("i-1/forms/b.md", "two", Regular),
            ("i-1/SHA256SUMS", sums.as_str(), Regular),
        ];
        let home = tempfile::tempdir().expect("a directory");
        let to = home.path().join("out");
        let said = unpack(&archive(&good), &to).unwrap_or_else(|why| panic!("{why:?}"));
        assert!(said.starts_with("2 files in "), "{said}");
        assert_eq!(fs::read_to_string(to.join("forms/b.md")).expect("a file"), "two");
        assert_eq!(fs::read_to_string(to.join(SUMS)).expect("a file"), sums);
        assert!(unpack(&archive(&good), &to).is_err(), "it is not empty");

        let other = home.path().join("other");
        for wrong in [
            ("i-1/../../x", "one", Regular),
            ("/i-1/x", "one", Regular),
            ("x", "one", Regular),
            ("i-1/x", "", Symlink),
            ("i-1/a.md", "one", Regular),
            ("i-1/unlisted", "one", Regular),
        ] {
            let bad: Vec<_> = good.iter().copied().chain([wrong]).collect();
            assert!(unpack(&archive(&bad), &other).is_err(), "{}", wrong.0);
        }
        assert!(unpack(&archive(&good[..4]), &other).is_err(), "without its list");
        assert!(!other.exists(), "nothing was written");
    }
}
