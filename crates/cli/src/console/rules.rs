//! Rules, as the console asks about them: `waf report`, `tune` and `waf promote` over the API.
//!
//! What is tried is tried on a thread that gives way to whatever serves visitors, one question at a time, and not for long.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

use portcullis_config::Policy;
use portcullis_control::Fault;
use portcullis_control::model::{
    Checked, Configuration, NewConfiguration, RouteFindings, RuleChange, Rules, Tried, Tuning,
};
use portcullis_types::Reference;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::change::Papers;
use crate::args::Part;
use crate::configuration::Read;
use crate::waf::recorded::{self, Book};
use crate::waf::report::Report;
use crate::waf::tune::proposed;
use crate::waf::weigh::{Edit, Edited, tried};
use crate::world::plain;

/// Records that are tried at once; the newest. The verbs take all.
pub(super) const MOST: usize = 2_000;
/// For so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks for what takes long; one at a time.
#[derive(Default)]
pub(super) struct Trying(Mutex<()>);

/// What inspection found since then on the routes of the policy in force, and on those that were, `most` rules and families of each;
/// without the gate's own rules.
pub(super) fn found(policy: &Policy, since: u64, most: usize) -> Result<Rules, Fault> {
    let (book, log) = (read(policy, since)?, policy.log.path.clone().unwrap_or_default());
    let mut rules = Rules { since, ..Report::of(&book.records).told(&log, book.left) };
    for platform in &policy.platforms {
        for route in &platform.routes {
            let path = route.path.to_string();
            let known = rules.routes.iter_mut().position(|it| it.platform == platform.name && it.route == path);
            let at = known.unwrap_or_else(|| {
                let (platform, route) = (platform.name.clone(), path);
                rules.routes.push(RouteFindings { platform, route, ..RouteFindings::default() });
                rules.routes.len() - 1
            });
            let Some(told) = rules.routes.get_mut(at) else { continue };
            let inspection = &route.inspection;
            inspection.detection.name().clone_into(&mut told.detection);
            let mode = if policy.waf.rules.is_some() { inspection.rules.name() } else { "none" };
            mode.clone_into(&mut told.rules);
            told.exclude = inspection.exclude.iter().map(ToString::to_string).collect();
        }
    }
    for route in &mut rules.routes {
        route.by.truncate(most);
        route.families.truncate(most);
    }
    rules.routes.sort_by_key(|it| std::cmp::Reverse((it.visitors, it.requests)));
    Ok(rules)
}

impl Trying {
    /// What would have let recorded requests pass, or one of them.
    pub(super) fn exclusions(&self, config: &Path, since: u64, reference: Option<&str>) -> Result<Tuning, Fault> {
        let none = |of: &str| Fault::Unknown(format!("inspection found nothing in {of} that is on record"));
        let reference = match reference {
            None => None,
            // As it is read from a page, with letters that look like digits.
            Some(text) => Some(Reference::parse(text).ok_or_else(|| none(text))?.to_string()),
        };
        self.gently(|over| {
            let policy = policy(config)?;
            let mut book = read(&policy, since)?;
            let log = policy.log.path.as_deref().unwrap_or(Path::new("")).display().to_string();
            let told = proposed(&mut book, policy, reference.as_deref(), (MOST, over));
            let told = told.ok_or_else(|| none(reference.as_deref().unwrap_or_default()))?;
            Ok(Tuning { log, ..told })
        })
    }

    /// What a change would do to what is on record.
    pub(super) fn weigh(
        &self,
        papers: &Papers,
        change: &RuleChange,
        since: u64,
        secrets: bool,
    ) -> Result<Tried, Fault> {
        self.gently(|over| {
            let edited = made(&papers.path, &papers.look(true)?.text, change)?;
            let mut book = read(&edited.before, since)?;
            book.keep(MOST);
            let told: Tried = typed(&tried(&book, &edited, over))?;
            let Checked { digest, diff, file, .. } = papers.weigh(&edited.text, secrets)?;
            Ok(Tried { words: edited.words, digest, diff, file, ..told })
        })
    }

    /// Does it on a thread of low priority, unless another does; the closure is told when there is no time left.
    fn gently<T: Send>(&self, work: impl FnOnce(&dyn Fn() -> bool) -> Result<T, Fault> + Send) -> Result<T, Fault> {
        let _alone = match self.0.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Fault::Unable("somebody else is trying rules: ask again in some seconds".to_owned()));
            }
        };
        std::thread::scope(|scope| {
            let begun = Instant::now();
            let gentle = move || {
                // Of this thread alone, as Linux has it. Without it, it is bounded all the same.
                let _ = rustix::process::setpriority_process(None, 15);
                work(&|| begun.elapsed() > PATIENCE)
            };
            let thread = std::thread::Builder::new().name("rules".to_owned()).spawn_scoped(scope, gentle);
            let thread = thread.map_err(|error| Fault::Unable(format!("no thread for it: {error}")))?;
            thread.join().unwrap_or_else(|_| Err(Fault::Unable("trying it panicked; please report it".to_owned())))
        })
    }
}

/// The configuration with a change in it, which is not made yet.
pub(super) fn edited(config: &Path, before: Configuration, change: &RuleChange) -> Result<NewConfiguration, Fault> {
    let Edited { text, words, .. } = made(config, &before.text, change)?;
    Ok(NewConfiguration { text, base: before.digest, why: words })
}

fn made(config: &Path, before: &str, change: &RuleChange) -> Result<Edited, Fault> {
    let only = change.only.as_deref().map(|only| if only == "rules" { Part::Rules } else { Part::Detection });
    let edit = match change.kind.as_str() {
        "exclude" => Edit::Exclude(change.exclude.clone()),
        kind => Edit::Refuses(kind == "refuse", only),
    };
    let place = format!("{}{}", change.platform, change.route.as_deref().unwrap_or_default());
    edit.make(config, before, &place).map_err(Fault::Unfit)
}

fn policy(config: &Path) -> Result<Policy, Fault> {
    Read::file(config).and_then(Read::settle_quietly).map_err(Fault::Unable)
}

fn read(policy: &Policy, since: u64) -> Result<Book, Fault> {
    let none = || Fault::Unable("there is no decision log: declare `path` in `[log]`".to_owned());
    let log: &PathBuf = policy.log.path.as_ref().ok_or_else(none)?;
    match recorded::read(log, Some(since)) {
        Ok(book) => Ok(book),
        // Nothing was written yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Book::default()),
        Err(error) => Err(Fault::Unable(format!("cannot read {}: {}", log.display(), plain(&error)))),
    }
}

/// What a verb says to programs, as the API describes it.
fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, Fault> {
    T::deserialize(value).map_err(|error| Fault::Unable(format!("it cannot be told: {error}")))
}
