//! Integrity: what is watched beside traffic, who may authorise a change, and the policy that this makes.
//!
//! It looks at no directory: what is there is the sensors' business, and may change while the gate runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Check, Claims};
use crate::draft::Draft;
use crate::kind::Value;

/// What `[integrity]` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Integrity {
    /// Where what is in force is kept.
    pub state: Option<PathBuf>,
    /// Where signed manifests are dropped.
    pub deploys: Option<PathBuf>,
    /// Keys that may sign one, as C2SP writes them.
    pub keys: Vec<String>,
    /// How many of them must.
    pub signatures: u32,
    /// How long the release before may be seen after a deploy.
    pub window: Duration,
    /// Between two drills by schedule; zero for none.
    pub drill: Duration,
    /// Directories.
    pub files: Vec<Files>,
}

/// A directory that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// What manifests call it; unique.
    pub name: String,
    /// The platform that findings are about.
    pub platform: String,
    /// Where it is.
    pub directory: PathBuf,
    /// What is left out.
    pub ignore: Vec<String>,
    /// Between the end of one sweep and the next.
    pub sweep: Duration,
    /// Bytes a second that a sweep reads.
    pub rate: u64,
    /// Where in the directory drills may plant a file.
    pub probe: Option<String>,
}

impl Integrity {
    /// Whether anything is watched.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl Check<'_> {
    pub(crate) fn integrity(&mut self, root: &Draft) -> Integrity {
        let draft = root.table("integrity");
        let keys: Vec<String> = draft.list("keys", Value::text).into_iter().map(|(_, key)| key.to_owned()).collect();
        let signatures = draft.count("signatures");
        if draft.given("signatures") && usize::try_from(signatures).is_ok_and(|count| count > keys.len()) {
            let message = format!("{signatures} signatures are asked for, and {} keys can sign", keys.len());
            self.problems.error("signatures-without-keys", draft.at("signatures"), message).hint("add them to `keys`");
        }
        if draft.given("deploys") && keys.is_empty() {
            let message = "no key can sign what is dropped there";
            self.problems
                .error("deploys-without-keys", draft.at("deploys"), message)
                .hint("`portcullis manifest key NAME` makes one; its public part goes into `keys`");
        }
        let state = self
            .path(draft, "state")
            .or_else(|| self.path(root.table("defence"), "state").map(|state| state.join("integrity")));
        let files = self.watched_files(draft);
        if let (Some(first), None) = (draft.tables("files").first(), &state) {
            let message = "what is in force has no place to be kept, and is forgotten when the gate ends";
            self.problems
                .warning("integrity-without-state", &first.span, message)
                .hint("set `state` in [integrity] or [defence]");
        }
        Integrity {
            state,
            deploys: self.path(draft, "deploys"),
            keys,
            signatures,
            window: draft.duration("window").unwrap_or_default(),
            drill: draft.duration("drill").unwrap_or_default(),
            files,
        }
    }

    fn watched_files(&mut self, integrity: &Draft) -> Vec<Files> {
        let (mut names, mut files) = (Claims::new(), Vec::new());
        for draft in integrity.tables("files") {
            self.name(draft, "tree", &mut names);
            let name = draft.string("name");
            let inside =
                |text: &str| !text.starts_with('/') && !text.split('/').any(|part| matches!(part, "" | "." | ".."));
            if let Some(probe) = draft.text("probe").filter(|probe| !inside(probe)) {
                let message = format!("`{probe}` does not lead into the directory");
                self.problems
                    .error("probe-outside", draft.at("probe"), message)
                    .hint("write the path from the directory: \".portcullis\"");
            }
            files.push(Files {
                platform: draft.text("platform").map_or_else(|| name.clone(), str::to_owned),
                name,
                directory: self.path(draft, "directory").unwrap_or_default(),
                ignore: draft.list("ignore", Value::text).into_iter().map(|(_, text)| text.to_owned()).collect(),
                sweep: draft.duration("sweep").unwrap_or_default(),
                rate: draft.number("rate").unwrap_or(1).max(1),
                probe: draft.text("probe").map(str::to_owned),
            });
        }
        files
    }
}
