//! The verbs that are not the demo: each is a few lines of wiring.
//!
//! What they are wired to lives in `portcullis_config` and `portcullis_proxy`.

use std::io;
use std::path::{Path, PathBuf};

use portcullis_config::Policy;
use portcullis_control::model::{Build, Explained, Text};
use portcullis_engine::Clause;
use portcullis_proxy::journal::{Part, Step, harmless};
use portcullis_proxy::sockets::Inherited;
use portcullis_proxy::{Signals, control, journal};
use portcullis_simulator::replay::rfc3339;
use portcullis_store::rollups::{Ask, history};
use portcullis_types::{Reason, Reference};
use serde_json::Value;

use crate::args::{DEFAULT_CONFIG, Explain, Reload, Run, Show, Version};
use crate::configuration;
use crate::remote::{Far, Request, segment};
use crate::standing::Standing;
use crate::world::plain;
use crate::{Done, Failure, talk, waf};

/// Measures in force that an explanation names.
const MEASURES: usize = 32;

/// Stands in front of the platforms until told to stop.
pub(crate) fn run(flags: &Run) -> Done {
    talk::listen("info")?;
    // systemd's sockets are taken before there are threads, as the interface demands.
    let inherited =
        Inherited::from_systemd().map_err(|error| Failure::because(format!("sockets from systemd: {error}")))?;
    let config = &flags.file.config;
    let policy = configuration::policy(config)?;
    let unheard = |error: io::Error| Failure::because(format!("cannot wait for signals: {error}"));
    let signals = Signals::listen().map_err(unheard)?;
    let standing = Standing::begin(config, policy, inherited, flags.takeover, None);
    let standing = standing.map_err(|error| Failure::because(error.to_string()))?;
    for (name, address) in standing.gate.addresses() {
        tracing::info!(%address, "listener `{name}` accepts");
    }
    tracing::info!(address = %standing.gate.admin(), "the operator's listener accepts");
    standing.serve_until_signal(signals).map_err(unheard)
}

/// Prints everything that is in force.
pub(crate) fn show(flags: &Show) -> Done {
    if let Some(far) = Far::of(&flags.far, &flags.config, None)? {
        let told: Text = far.get("/api/v1/configuration/effective")?;
        return talk::answer(&told.text);
    }
    talk::answer(&portcullis_config::show(&configuration::policy(&flags.config)?))
}

/// Asks the running gate to put its configuration in force.
pub(crate) fn reload(flags: &Reload) -> Done {
    if let Some(far) = Far::of(&flags.far, &flags.config, flags.control.as_deref())? {
        return talk::answer(&far.act(Request::post("/api/v1/reload", None))?);
    }
    let socket = match &flags.control {
        Some(socket) => socket.clone(),
        // A configuration with problems would be refused by the gate in the same words.
        None => match configuration::policy(&flags.config) {
            Ok(policy) => policy.server.control,
            Err(Failure::Said) => {
                return Err(Failure::because("the gate was not asked; the configuration before it stays in force"));
            }
            Err(failure) => return Err(failure),
        },
    };
    let answer = control::ask(&socket, "reload").map_err(|error| unanswered(&socket, &error))?;
    if answer.ok {
        return talk::answer(&answer.message);
    }
    talk::say(&answer.message);
    Err(Failure::because("the reload was refused; the configuration before it stays in force"))
}

/// Says why a request was refused, or what a reason means.
pub(crate) fn explain(flags: &Explain) -> Done {
    if let Some(far) = Far::of(&flags.far, &flags.config, flags.log.as_deref())? {
        let told: Explained = far.get(&format!("/api/v1/explain/{}", segment(flags.subject.trim())))?;
        return talk::answer(&told.words);
    }
    let source = || match &flags.log {
        Some(log) => Ok(Source::Log(log.clone())),
        None => Ok(Source::Gate(Box::new(configuration::policy(&flags.config)?), usize::MAX)),
    };
    talk::answer(&journal::printed(&explained(&flags.subject, source)?))
}

/// Where the records are that are explained.
pub(crate) enum Source {
    /// In a decision log alone.
    Log(PathBuf),
    /// With a gate of that policy, which also knows how things stood, and tries what was found again: beside so many others.
    Gate(Box<Policy>, usize),
}

/// The same step by step, for whoever shows it elsewhere.
pub(crate) fn explained(subject: &str, source: impl FnOnce() -> Result<Source, Failure>) -> Result<Vec<Step>, Failure> {
    let subject = subject.trim();
    // Reasons first: some of their codes could be read as a reference too.
    if let Some(reason) = Reason::from_code(&subject.to_ascii_lowercase()) {
        return Ok(journal::meaning(reason));
    }
    let rule = subject.strip_prefix("r-").filter(|number| number.parse::<u32>().is_ok());
    let reference = Reference::parse(subject).filter(|_| rule.is_none());
    if rule.is_none() && reference.is_none() {
        return Err(neither(subject));
    }
    let (log, gate) = match source()? {
        Source::Log(log) => (log, None),
        Source::Gate(policy, most) => (logged(&policy)?, Some((policy, most))),
    };
    let Some(reference) = reference else { return explain_rule(&log, &format!("r-{}", rule.unwrap_or_default())) };
    let found = journal::find(&log, reference)
        .map_err(|error| Failure::because(format!("cannot read {}: {}", log.display(), plain(&error))))?;
    let Some(record) = found else {
        return Err(Failure::because(format!(
            "{} has no record of {reference}; records of served requests are samples, and old files are removed",
            log.display()
        )));
    };
    let mut steps = journal::explain(&record);
    if let Some((policy, _)) = &gate {
        // How things stood is told where the request had come to its platform.
        let before = [Part::Observed, Part::Found, Part::Statement, Part::Origin, Part::Left, Part::When];
        let at = steps.iter().position(|step| before.contains(&step.part)).unwrap_or(steps.len());
        steps.splice(at..at, stood(policy, &record));
    }
    // What would have let a request pass in which inspection found something; needs the configuration to try it.
    if record.contains("\"evidence\":{") {
        let tried = match gate {
            None => Some(Step::new(Part::Exclusion, vec![Clause::new("exclusion-unasked")])),
            Some((policy, most)) => waf::narrowest(*policy, &log, &reference.to_string(), most)?,
        };
        let found = steps.iter().rposition(|step| step.part == Part::Found);
        let at = found.map_or(steps.len(), |found| found + 1);
        steps.splice(at..at, tried);
    }
    Ok(steps)
}

/// How the platform stood when a request came, and what was in force there, as far as that is on record.
fn stood(policy: &Policy, record: &str) -> Vec<Step> {
    let record: Value = serde_json::from_str(record).unwrap_or_default();
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let at = rfc3339(text("t").as_bytes()).map(|nanos| nanos / 1_000_000);
    let (Some(directory), Some(at)) = (&policy.evidence.directory, at) else { return Vec::new() };
    let ask = Ask { platform: Some(text("platform")), from: at, until: at + 1, step: 1_000 };
    // Without the roll-ups, what the decision itself says stands alone.
    let Ok(found) = history(directory, &ask) else { return Vec::new() };
    let posture = found.postures.iter().rfind(|(since, _)| *since <= at).map(|(since, posture)| {
        let said = Clause::new("posture").name("posture", &harmless(posture)).name("time", &journal::time(*since));
        Step::new(Part::Posture, vec![said])
    });
    let held = found.measures.iter().filter(|it| it.from <= at && it.until.is_none_or(|until| until > at));
    let held = held.take(MEASURES).map(|it| {
        let said = Clause::new("in-force").name("id", &harmless(&it.id)).name("kind", &harmless(&it.kind));
        said.name("action", &harmless(&it.action))
    });
    let held: Vec<Clause> = held.collect();
    let held = (!held.is_empty()).then(|| Step::new(Part::Measures, held));
    posture.into_iter().chain(held).collect()
}

/// Says what was done about a rule, and why.
fn explain_rule(log: &Path, rule: &str) -> Result<Vec<Step>, Failure> {
    let acts = journal::find_acts(log, rule)
        .map_err(|error| Failure::because(format!("cannot read {}: {}", log.display(), plain(&error))))?;
    if acts.is_empty() {
        let log = log.display();
        return Err(Failure::because(format!("{log} has no record of {rule}; old files are removed")));
    }
    Ok(journal::explain_acts(&acts))
}

/// Version, compiler, target, features.
pub(crate) fn version(flags: &Version) -> Done {
    let told = match Far::of(&flags.far, Path::new(DEFAULT_CONFIG), None)? {
        Some(far) => far.get("/api/v1/version")?,
        None => build(),
    };
    let Build { version, compiler, target, profile, features } = told;
    talk::answer(&format!("portcullis {version}\n{compiler}\ntarget {target} ({profile})\nfeatures {features}"))
}

/// This program.
pub(crate) fn build() -> Build {
    let features = env!("PORTCULLIS_FEATURES");
    Build {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        compiler: env!("PORTCULLIS_COMPILER").to_owned(),
        target: env!("PORTCULLIS_TARGET").to_owned(),
        profile: env!("PORTCULLIS_PROFILE").to_owned(),
        features: if features.is_empty() { "none" } else { features }.to_owned(),
    }
}

pub(crate) fn unanswered(socket: &Path, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "no gate is running there".to_owned(),
        io::ErrorKind::PermissionDenied => "only the user that runs the gate, and root, may ask".to_owned(),
        _ => plain(error),
    };
    Failure::because(format!("no answer on {}: {why}", socket.display()))
}

/// Where a gate of that policy writes its decisions.
pub(crate) fn logged(policy: &Policy) -> Result<PathBuf, Failure> {
    let none = || Failure::because("the configuration declares no decision log (`path` in `[log]`)");
    policy.log.path.clone().ok_or_else(none)
}

fn neither(subject: &str) -> Failure {
    let nearest = Reason::ALL
        .iter()
        .map(|reason| (strsim::jaro_winkler(subject, reason.code()), reason.code()))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    Failure::because(match nearest {
        Some((_, code)) => format!("there is no reason `{subject}`, and it is no reference; did you mean `{code}`?"),
        None => {
            format!(
                "`{subject}` is neither a reference (13 letters and digits), nor a rule such as r-81, nor a reason of the reference page"
            )
        }
    })
}
