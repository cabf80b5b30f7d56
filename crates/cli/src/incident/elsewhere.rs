//! Incidents of a gate elsewhere, by its API: what can be said of them, and what people did.

use portcullis_control::model::{HandedIn, IncidentLine, NewAssurance, NewIncident};
use serde::Serialize;
use serde_json::{Value, json};

use super::{export, handed_in, listed, page};
use crate::Failure;
use crate::args::incident::{AskIncident, Attest, Export, Handed, Open, Records, Shown};
use crate::args::remote::Remote;
use crate::evidence::digest;
use crate::moment::{Moment, now};
use crate::remote::{Far, Request, segment};

/// The answer of a gate elsewhere; none where this is about a ledger at hand.
pub(super) fn run(ask: &AskIncident) -> Result<Option<String>, Failure> {
    let (of, remote) = match ask {
        AskIncident::List(flags) => (&flags.of, &flags.far),
        AskIncident::Show(flags) | AskIncident::Statement(flags) => (&flags.of, &flags.far),
        AskIncident::Note(flags) => (&flags.of, &flags.far),
        AskIncident::Told(flags) => (&flags.of, &flags.far),
        AskIncident::Decide(flags) | AskIncident::Close(flags) => (&flags.of, &flags.far),
        AskIncident::Export(flags) => (&flags.of, &flags.far),
        AskIncident::Open(flags) => (&flags.of, &flags.far),
        AskIncident::Report(flags) => (&flags.of, &flags.far),
        AskIncident::Attest(flags) => (&flags.of, &flags.far),
    };
    let Some(far) = find(of, remote)? else { return Ok(None) };
    let path = |incident: &str, what: &str| format!("/api/v1/incidents/{}{what}", segment(incident));
    let act = |incident: &str, what: &str, body: Value| far.act(Request::post(path(incident, what), Some(body)));
    let said = match ask {
        AskIncident::List(flags) => {
            let incidents: Vec<IncidentLine> = far.get("/api/v1/incidents")?;
            if flags.of.json { pretty(&json!({ "incidents": incidents })) } else { listed(&incidents) }
        }
        AskIncident::Show(Shown { no_drill: true, .. })
        | AskIncident::Statement(Shown { no_drill: true, .. })
        | AskIncident::Export(Export { no_drill: true, .. }) => {
            return Err(Failure::because(
                "a gate elsewhere tries its sensors before it says anything: leave out --no-drill",
            ));
        }
        AskIncident::Show(flags) => {
            let report = far.get(&path(&flags.incident, ""))?;
            if flags.of.json { pretty(&report) } else { page(&report) }
        }
        AskIncident::Statement(flags) => far.text(&path(&flags.incident, "/statement.md"))?,
        AskIncident::Note(flags) if !flags.answers.is_empty() => {
            return Err(Failure::because("answers to forms are written down on the gate's own machine"));
        }
        AskIncident::Note(flags) => act(&flags.incident, "/notes", json!({"words": flags.words}))?,
        AskIncident::Decide(flags) => act(&flags.incident, "/decisions", json!({"words": flags.words}))?,
        AskIncident::Told(flags) => act(&flags.incident, "/told", json!({"words": flags.words, "whom": flags.whom}))?,
        AskIncident::Close(flags) => act(&flags.incident, "/close", json!({"words": flags.words}))?,
        AskIncident::Export(flags) if flags.forms.is_some() => {
            return Err(Failure::because("a gate elsewhere fills the forms that are built in: leave out --forms"));
        }
        AskIncident::Export(flags) => export::unpack(&far.bytes(&path(&flags.incident, "/export"))?, &flags.to)?,
        AskIncident::Open(flags) => far.act(Request::post("/api/v1/incidents", Some(body(&opened(flags))?)))?,
        AskIncident::Report(flags) => act(&flags.incident, "/reports", body(&handed(flags)?)?)?,
        AskIncident::Attest(flags) => {
            let incident = flags.incident.as_deref().ok_or_else(unnamed)?;
            act(incident, "/assurances", body(&attested(flags))?)?
        }
    };
    Ok(Some(said))
}

fn unnamed() -> Failure {
    Failure::because("a gate elsewhere takes it for an incident: say --incident, such as last")
}

fn attested(flags: &Attest) -> NewAssurance {
    let at = |moment: Moment| moment.resolve(now());
    NewAssurance {
        copy: flags.copy.clone(),
        intact: !flags.not_intact,
        words: flags.words.clone(),
        from: flags.from.map(at),
        until: flags.until.map(at),
    }
}

/// What was not said of a time is left to the clock of the gate.
fn opened(flags: &Open) -> NewIncident {
    NewIncident {
        because: flags.because.clone(),
        platforms: flags.platform.clone(),
        since: flags.since.map(|since| since.resolve_back(now())),
    }
}

/// The file itself stays here.
fn handed(flags: &Handed) -> Result<HandedIn, Failure> {
    Ok(HandedIn {
        form: flags.form.clone(),
        to: flags.to.clone(),
        at: flags.at.map(|at| at.resolve(now())),
        sha256: digest(&handed_in(flags)?),
        receipt: flags.receipt.clone(),
    })
}

fn body(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::because(error.to_string()))
}

fn find(of: &Records, remote: &Remote) -> Result<Option<Far>, Failure> {
    Far::of(remote, &of.config, of.ledger.as_deref())
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
