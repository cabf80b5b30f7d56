//! Where the evidence is kept, for how long, and who on another host watches that it is not rewritten: the keys of
//! `[evidence]` and the policy that they make.
//!
//! What a key is, the crate that checks signatures knows; here is only what it looks like.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::check::{Check, Claims};
use crate::draft::Draft;
use crate::kind::Value;

/// What `[evidence]` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Where it is kept; none where nothing is.
    pub directory: Option<PathBuf>,
    /// It was declared so, and does not follow from `state`.
    pub declared: bool,
    /// Days that figures, acts, what is personal and what incidents rest on are kept; 0 is for ever.
    pub days: [u64; 4],
    /// Days that requests are.
    pub request_days: u64,
    /// Bytes that requests take on disk at most.
    pub request_bytes: u64,
    /// Days that what the gate answered is kept second by second.
    pub second_days: u64,
    /// Calm after which a wave of an incident is over.
    pub calm: Duration,
    /// Who is asked to cosign.
    pub witnesses: Vec<Witness>,
    /// How many of them are enough.
    pub quorum: usize,
    /// Who is asked to stamp checkpoints with a time.
    pub stamps: Vec<Stamp>,
}

/// A time-stamping authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// What its stamps are filed under.
    pub name: String,
    /// Host and port, no TLS (what it says is signed).
    pub url: String,
    /// Where it is asked there.
    pub path: String,
    /// How often.
    pub every: Duration,
}

/// Who watches from another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its key, as `portcullis witness` prints it.
    pub key: String,
    /// Where it listens: host and port, no TLS (what it says is signed).
    pub url: String,
}

/// Retention classes as the configuration calls them, in the order of [`Evidence::days`].
pub(crate) const CLASSES: [&str; 4] = ["figures", "acts", "personal", "incident"];

impl Check<'_> {
    pub(crate) fn evidence(&mut self, draft: &Draft, state: Option<&Path>) -> Evidence {
        let (mut keys, mut witnesses) = (Claims::new(), Vec::new());
        for witness in draft.tables("witness") {
            let key = witness.string("key");
            let message = "two witnesses have one key: they are one".to_owned();
            if witness.given("key") {
                self.once("duplicate-witness", &mut keys, key.clone(), witness.at("key"), message, "first here");
            }
            let url = witness.value("url").and_then(Value::upstream);
            if url.is_some_and(|url| url.tls || url.http2) {
                let message = "a witness is asked over plain HTTP: what it says is signed";
                self.problems.error("witness-over-tls", witness.at("url"), message).hint("write http://host:port");
            }
            witnesses.push(Witness { key, url: url.map(|url| url.text.clone()).unwrap_or_default() });
        }
        let (mut names, mut stamps) = (Claims::new(), Vec::new());
        for stamp in draft.tables("stamp") {
            let name = stamp.string("name");
            let message = format!("two authorities are called `{name}`: one's stamps would lie over the other's");
            if stamp.given("name") {
                self.once("duplicate-stamp", &mut names, name.clone(), stamp.at("name"), message, "first here");
            }
            let url = stamp.value("url").and_then(Value::upstream);
            if url.is_some_and(|url| url.tls || url.http2) {
                let message = "an authority is asked over plain HTTP: what it says is signed";
                self.problems.error("stamp-over-tls", stamp.at("url"), message).hint("write http://host");
            }
            let (path, every) = (stamp.string("path"), stamp.duration("every").unwrap_or_default());
            stamps.push(Stamp { name, url: url.map(|url| url.text.clone()).unwrap_or_default(), path, every });
        }
        let quorum = draft.number("quorum").unwrap_or_default() as usize;
        if quorum > witnesses.len() {
            let message = format!("{quorum} witnesses are wanted, and {} are declared", witnesses.len());
            self.problems.error("quorum-too-large", draft.at("quorum"), message).hint("add [[evidence.witness]]");
        }
        let declared = self.path(draft, "directory");
        let keep = draft.flag("keep").unwrap_or_default();
        let beside = state.map(|state| state.join("evidence"));
        Evidence {
            declared: declared.is_some() || !keep,
            directory: declared.or(beside).filter(|_| keep),
            days: CLASSES.map(|class| draft.number(class).unwrap_or_default()),
            request_days: draft.number("requests").unwrap_or_default(),
            request_bytes: draft.number("requests_size").unwrap_or_default(),
            second_days: draft.number("seconds").unwrap_or_default(),
            calm: draft.duration("calm").unwrap_or_default(),
            witnesses,
            quorum,
            stamps,
        }
    }
}

/// Whether a text looks like a key of a signed note: `NAME+8 hexadecimal digits+base64`.
pub(crate) fn looks_like_a_key(text: &str) -> bool {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    (1..=255).contains(&name.len())
        && !name.contains(char::is_whitespace)
        && id.len() == 8
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && key.len() >= 44
        && key.bytes().all(base64)
}
