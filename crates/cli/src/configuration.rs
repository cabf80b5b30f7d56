//! From a file's name to a policy, or to everything that is wrong with it.
//!
//! Used by every verb that takes `--config`, and by the gate when it reloads.

use std::fmt::Display;
use std::path::Path;

use portcullis_config::{Outcome, Policy, Problem, load};
use portcullis_control::model::{Checked, Configuration, Text, Wrong};
use portcullis_proxy::inspectors;

use crate::args::{Check, DEFAULT_CONFIG};
use crate::console::INSPECTION;
use crate::diagnose;
use crate::remote::Far;
use crate::talk;
use crate::world::{Machine, plain, read_bounded};
use crate::{Done, Failure};

/// A configuration is never larger.
const CONFIG_BYTES: u64 = 4 * 1024 * 1024;

/// A configuration as it was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// What the file is called in diagnostics: as the operator wrote it.
    name: String,
    text: String,
    outcome: Outcome,
}

impl Read {
    /// Reads the file and checks it against the machine. `Err` when there is no text to check.
    pub(crate) fn file(path: &Path) -> Result<Self, String> {
        let text = written(path)?;
        Ok(Self::text(path.display().to_string(), path, text))
    }

    /// Checks a text that lies, or would lie, at `path`.
    pub(crate) fn text(name: String, path: &Path, text: String) -> Self {
        let outcome = load(path, &text, &Machine);
        Self { name, text, outcome }
    }

    /// Says every problem and warning on stderr; `Err` when one of them is in the way.
    pub(crate) fn settle(self) -> Result<Policy, Failure> {
        if !self.outcome.problems.is_empty() {
            talk::say(&self.render(talk::coloured()));
        }
        self.outcome.policy.ok_or(Failure::Said)
    }

    /// The text that was read.
    pub(crate) fn as_written(&self) -> &str {
        &self.text
    }

    /// What it says, where nothing is in the way.
    pub(crate) const fn policy(&self) -> Option<&Policy> {
        self.outcome.policy.as_ref()
    }

    /// Everything that is wrong with it.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.outcome.problems
    }

    /// The policy, or every problem as text without colour: for whoever asked over the control socket.
    pub(crate) fn settle_quietly(self) -> Result<Policy, String> {
        let problems = self.render(false);
        self.outcome.policy.ok_or(problems)
    }

    fn render(&self, colour: bool) -> String {
        diagnose::render(&self.name, &self.text, &self.outcome.problems, colour)
    }
}

/// The text of a file, as it is.
pub(crate) fn written(path: &Path) -> Result<String, String> {
    let name = path.display().to_string();
    let bytes = read_bounded(path, CONFIG_BYTES).map_err(|error| {
        let elsewhere = if path == Path::new(DEFAULT_CONFIG) { "; --config names another file" } else { "" };
        format!("cannot read {name}: {}{elsewhere}", plain(&error))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
        format!("cannot read {name}: it is not UTF-8 text, from line {line} on")
    })
}

/// The policy in a file; what is wrong with it has been said.
pub(crate) fn policy(path: &Path) -> Result<Policy, Failure> {
    Read::file(path).map_err(Failure::Because)?.settle()
}

/// `FILE: in order: 2 listeners, 1 certificate, 2 platforms with 3 hosts and 5 routes`.
pub(crate) fn check(flags: &Check) -> Done {
    if let Some(far) = Far::of(&flags.far, &flags.config, None)? {
        return elsewhere(&far, &flags.config);
    }
    let (path, policy) = (&flags.config, policy(&flags.config)?);
    inspectors::check(&policy).map_err(|words| unfit(path.display(), &words))?;
    in_order(path.display(), &extent(&policy))
}

/// What a gate elsewhere makes of a file that is here, or of its own.
fn elsewhere(far: &Far, path: &Path) -> Done {
    let own = path == Path::new(DEFAULT_CONFIG);
    let text = match own {
        true => far.get::<Configuration>("/api/v1/configuration")?.text,
        false => written(path).map_err(Failure::Because)?,
    };
    let told: Checked = far.post("/api/v1/configuration/check", &Text { text: text.clone() })?;
    let name = if own { told.file } else { path.display().to_string() };
    let (unfitting, wrong): (Vec<Wrong>, Vec<Wrong>) = told.problems.into_iter().partition(|it| it.code == INSPECTION);
    if !wrong.is_empty() {
        talk::say(&diagnose::told(&name, &text, &wrong, talk::coloured()));
    }
    match unfitting.first() {
        Some(wrong) => Err(unfit(&name, &wrong.message)),
        None if wrong.iter().any(|it| it.severity == "error") => Err(Failure::Said),
        None => in_order(&name, &told.extent),
    }
}

fn unfit(name: impl Display, words: &str) -> Failure {
    Failure::because(format!("{name}: {words}"))
}

fn in_order(name: impl Display, extent: &str) -> Done {
    talk::answer(&format!("{name}: in order: {extent}"))
}

/// What is in a configuration, in a line.
pub(crate) fn extent(policy: &Policy) -> String {
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let hosts = policy.platforms.iter().map(|platform| platform.hosts.len()).sum();
    let routes = policy.platforms.iter().map(|platform| platform.routes.len()).sum();
    let upstreams = policy.platforms.iter().map(|platform| platform.upstreams.len()).sum();
    format!(
        "{}, {}, {} ({}, {}, {})",
        counted(policy.listeners.len(), "listener"),
        counted(policy.certificates.len(), "certificate"),
        counted(policy.platforms.len(), "platform"),
        counted(hosts, "host"),
        counted(routes, "route"),
        counted(upstreams, "upstream"),
    )
}
