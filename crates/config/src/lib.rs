//! What the operator declared: text to spanned draft to [`Policy`].
//!
//! This crate never touches the outside by itself: files, names, certificates and cores come through [`World`], and
//! how a [`Problem`] looks on a terminal is the caller's. Start at `schema.rs`: every key, its kind and its default
//! stand there once, and the reader, [`show()`] and [`reference()`] all walk over the same tables.

#![forbid(unsafe_code)]

mod alerts;
mod check;
mod console;
mod database;
mod declared;
mod draft;
pub mod edit;
mod effect;
mod evidence;
mod geography;
mod inspection;
pub mod integrity;
mod kind;
mod leaving;
mod oidc;
mod path;
mod platform;
pub mod policy;
mod problem;
mod reference;
mod register;
mod router;
mod schema;
mod show;
pub mod units;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use alerts::{Alert, StatusPage};
pub use console::APPROVALS;
pub use declared::{Declared, DeclaredKey, SECRET, declared};
pub use effect::{Difference, Kind, differences};
pub use evidence::{Evidence, Stamp, Witness};
pub use inspection::{Beyond, Excluded, Exclusion, Inspection, InspectionMode, RuleFault, RuleFiles, Sensitivity, Waf};
pub use integrity::Integrity;
pub use leaving::{CanaryFiles, Data, Leaving, LeavingAction};
pub use oidc::Oidc;
pub use path::normal_path;
pub use policy::Policy;
pub use problem::{Problem, Severity};
pub use reference::reference;
pub use register::{Contact, Copy, Organisation, Way};
pub use router::Router;
pub use schema::KINDS as STATEMENT_KINDS;
pub use show::show;

/// All that a configuration needs of the outside. The shell implements it; tests make one up.
pub trait World {
    /// The bytes of a file: a certificate, a key, an address list.
    ///
    /// # Errors
    /// As the operating system gives them.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The addresses of a name; never asked for what is an address already.
    ///
    /// # Errors
    /// As the resolver gives them.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;

    /// What a certificate chain says about itself, once its key is known to fit.
    ///
    /// # Errors
    /// In words: it cannot be read, or the key is not its own.
    fn certificate(&self, cert_pem: &[u8], key_pem: &[u8]) -> Result<CertificateFacts, String>;

    /// The rules in files, checked as they will be used. A name may be a pattern (`*`, `?`), which stands for the files that
    /// fit, in the order of their names.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn rules(&self, patterns: &[PathBuf]) -> Result<RuleFiles, Vec<RuleFault>>;

    /// Whether an exclusion names a family that there is, and a variable that values stand in.
    ///
    /// # Errors
    /// What is wrong with it.
    fn exclusion(&self, exclusion: &Exclusion) -> Result<(), RuleFault>;

    /// Whether a registry of canaries and its key are what they should be.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    fn canaries(&self, registry: &[u8], key: &[u8]) -> Result<(), String>;

    /// Whether a file tells countries of addresses.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn geography(&self, file: &[u8]) -> Result<(), String>;

    /// How many cores the process may use.
    fn cores(&self) -> usize;
}

/// What the leaf of a chain says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateFacts {
    /// DNS names, in any case.
    pub names: Vec<String>,
    /// End of validity in seconds since 1970, UTC.
    pub not_after: Option<i64>,
    /// Whether that has passed; the shell knows the time, this crate does not.
    pub expired: bool,
}

/// What came of reading a configuration.
#[derive(Debug)]
pub struct Outcome {
    /// Present only when no problem is an error.
    pub policy: Option<Policy>,
    /// Everything that is wrong or odd, in the order of the text.
    pub problems: Vec<Problem>,
}

/// Reads `text`, the content of the file at `path`. Relative paths in it are relative to that file's directory.
#[must_use]
pub fn load(path: &Path, text: &str, world: &dyn World) -> Outcome {
    let mut problems = problem::Problems::default();
    let policy = draft::read(text, &mut problems)
        .map(|root| check::policy(&root, path.parent().unwrap_or(Path::new("")), world, &mut problems));
    let mut problems = problems.0;
    problems.sort_by_key(|problem| problem.span.start);
    let sound = problems.iter().all(|problem| problem.severity != Severity::Error);
    Outcome { policy: policy.filter(|_| sound), problems }
}
