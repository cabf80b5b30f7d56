//! The console of a gate that runs: what it asks is answered from the gate, its evidence and its sensors.
//!
//! Nothing is worked out here that a verb of the command line does not say too.

pub(crate) mod change;
mod data;
mod draft;
mod record;
mod rehearsals;
mod rules;
mod versions;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum as _;
use portcullis_config::{Alert, Oidc, Policy, Problem, Severity};
use portcullis_control::alerts::{Channel, Level, Mail, Quiet, Security, Way};
use portcullis_control::model::{
    Announced, Audience, Build, Busiest, CanaryBook, Checked, Clause, Configuration, Decisions, DeclaredTable,
    Differing, Draft, Drafted, Drilled, Edits, Explained, GuardedDatabase, Happening, History, IncidentLine, Measure,
    NewConfiguration, NewIncident, Now, Origin, OwnRule, Page as Leaf, Place, Platform, Play, Rates, RegisteredCopy,
    Rehearsal, RehearsalLine, Role, RuleChange, Rules, ScenarioLine, Tried, Tuning, Version, Wanted, Wrong,
};
use portcullis_control::oidc::Provider;
use portcullis_control::status::Page;
use portcullis_control::{
    Console, Decision as Decided, Deed, Desk, Fault, Form as Written, Leaves, Live, Settings, Span, Wish,
};
use portcullis_engine::{Command, PlatformStatus, RuleStatus, Status};
use portcullis_incident::forms::Form;
use portcullis_incident::{Report, Timeline, html, is_known, pdf, statement};
use portcullis_ledger::{Closed, Decision, Drill, Event, Login, Note, Recorder as _, State, Told, Traffic};
use portcullis_proxy::control::Operator;
use portcullis_proxy::journal::Change;
use portcullis_sensors::{Question, Sight};
use portcullis_store::rollups::{self, Ask, history};
use serde_json::{Value, json};

use self::change::Papers;
pub(crate) use self::change::{INSPECTION, InForce};
use crate::args::console::{self as args, AskConsole};
use crate::args::incident::Records;
use crate::args::requests::{Became, By};
use crate::evidence::GATE;
use crate::geography::{self, Countries};
use crate::incident::export::packed;
use crate::incident::live::Keeper;
use crate::incident::{Opened, broken, line};
use crate::integrity::compared;
use crate::remote::{Acted, Far, Request};
use crate::requests::{counted, ranked};
use crate::world::plain;
use crate::{Done, Failure, configuration, moment, talk, top, verbs};

pub(crate) mod traffic;

/// How old a report may be that is shown again: composing one verifies the whole ledger.
const FRESH: Duration = Duration::from_secs(30);
/// Of a problem that stands in nobody's way.
pub(crate) const WARNING: &str = "warning";
/// Threads that count.
const THREADS: usize = 1;

/// Makes a link into the console.
pub(crate) fn run(ask: &AskConsole) -> Done {
    let flags = match ask {
        AskConsole::Link(flags) => flags,
        AskConsole::Alert(flags) => return top::test_alert(flags),
    };
    let role = match flags.role {
        args::Role::Viewer => Role::Viewer,
        args::Role::Operator => Role::Operator,
        args::Role::Owner => Role::Owner,
    };
    let link = match Far::of(&flags.far, &flags.config, None)? {
        Some(far) => {
            let none = || Failure::because("a gate elsewhere makes links for people it knows by name: --name");
            let name = flags.name.as_ref().ok_or_else(none)?;
            match far.acted(Request::post("/api/v1/people", Some(json!({"name": name, "role": role}))))? {
                Acted::Done(link) => link,
                Acted::Waits(waits) => return talk::answer(&waits),
            }
        }
        None => {
            let policy = configuration::policy(&flags.config)?;
            let config = flags.config.display();
            let none = || Failure::because(format!("{config} declares no console (`listen` in `[console]`)"));
            let declared = policy.console.as_ref().ok_or_else(none)?;
            let (directory, name) = (&declared.directory, flags.name.as_deref());
            let link = portcullis_control::link(directory, &declared.url, name, role, moment::now());
            link.map_err(Failure::Because)?
        }
    };
    talk::say(&format!("It works once, until {}.", moment::speak(link.until)));
    talk::answer(&link.url)
}

/// What happens, for whoever looks.
pub(crate) fn happening(event: &Event) -> Option<Happening> {
    // The act that switched it tells it, and says why.
    if matches!(event, Event::Measure(_)) {
        return None;
    }
    let (_, kind, platform, words) = Timeline::entry(event)?;
    // What we did ourselves, or somebody signed, is no alarm.
    let kind = match event {
        Event::Canary(canary) if !canary.drill.is_empty() => "drill",
        Event::Finding(finding) if !finding.drill.is_empty() => "drill",
        Event::Finding(finding) if !finding.authorised.is_empty() => "authorised",
        _ => kind,
    };
    let by = match event {
        Event::Act(act) => act.by.clone(),
        Event::Change(change) => change.by.clone(),
        Event::Login(login) => login.who.clone(),
        Event::Note(Note { by, .. }) | Event::Decision(Decision { by, .. }) | Event::Closed(Closed { by, .. }) => {
            by.clone()
        }
        _ => "gate".to_owned(),
    };
    let platform = Some(platform).filter(|it| !it.is_empty());
    let said = traffic::said(event);
    Some(Happening { at: moment::now(), kind: kind.to_owned(), platform, by, words, said })
}

/// Starts the console that the configuration asks for. A gate that cannot have it serves without, and says so.
pub(crate) fn begin(
    config: PathBuf,
    policy: &Policy,
    operator: Arc<dyn Operator>,
    keeper: Option<Arc<Keeper>>,
    (live, in_force, takeover): (Arc<Live>, InForce, bool),
    stage: Option<Stage>,
) -> Option<Console> {
    let declared = policy.console.as_ref()?;
    let settings = settings(policy, takeover)?;
    let versions = declared.directory.join("versions");
    let papers = Papers { path: config.clone(), versions, in_force, changing: Mutex::default() };
    let desk = Counter {
        config,
        papers,
        policy: policy.clone(),
        operator,
        keeper,
        stage,
        rehearsals: rehearsals::Rehearsals::default(),
        trying: rules::Trying::default(),
        reports: Mutex::default(),
        countries: Mutex::default(),
        traces: Mutex::default(),
    };
    match Console::start(settings, Arc::new(desk), live) {
        Ok(console) => {
            tracing::info!("the console is on {}", console.address());
            if let Some(link) = console.welcome() {
                tracing::warn!("nobody has an account yet. Within the hour, make the first one here: {link}");
            }
            Some(console)
        }
        Err(why) => {
            tracing::error!(why, "there is no console");
            None
        }
    }
}

/// What the configuration says of the console; none where it wants none.
pub(crate) fn settings(policy: &Policy, takeover: bool) -> Option<Settings> {
    let declared = policy.console.as_ref()?;
    let tls = declared.tls.and_then(|index| policy.certificates.get(index));
    Some(Settings {
        listen: declared.listen,
        tls: tls.map(|pair| (pair.cert_pem.clone(), pair.key_pem.clone())),
        url: if declared.listen.port() == 0 { String::new() } else { declared.url.clone() },
        directory: declared.directory.clone(),
        organisation: policy.organisation.name.clone(),
        approvals: declared.approvals.clone(),
        oidc: declared.oidc.as_ref().map(provider),
        language: policy.organisation.language.clone(),
        alerts: policy.alerts.iter().map(channel).collect(),
        status: policy.status.as_ref().map(|status| Page {
            directory: status.directory.clone(),
            hook: status.hook.clone(),
            more: policy.organisation.page.clone(),
            contacts: policy.organisation.contacts.iter().map(|it| (it.email.clone(), it.phone.clone())).collect(),
        }),
        takeover,
    })
}

/// What the demo can play on itself.
pub(crate) struct Stage {
    pub(crate) plays: Vec<Play>,
    pub(crate) player: Player,
}

/// Plays the one of that name, or says why not.
pub(crate) type Player = Box<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// Who else says who somebody is, as the configuration has it.
fn provider(oidc: &Oidc) -> Provider {
    Provider {
        issuer: oidc.issuer.clone(),
        client: oidc.client_id.clone(),
        secret: String::from_utf8_lossy(&oidc.secret).into_owned(),
        name: oidc.name.clone(),
        scopes: oidc.scopes.clone(),
        name_claim: oidc.name_claim.clone(),
        role_claim: oidc.role_claim.clone(),
        roles: [oidc.viewer.clone(), oidc.operator.clone(), oidc.owner.clone()],
        domains: oidc.domains.clone(),
        ca: oidc.ca_pem.clone(),
    }
}

/// Who is told when something is wrong, as the configuration has it.
fn channel(alert: &Alert) -> Channel {
    let text = || String::from_utf8_lossy(&alert.secret).into_owned();
    let url = || alert.url.clone();
    let way = match alert.kind.as_str() {
        "webhook" => Way::Webhook { url: url(), secret: signing(&alert.secret) },
        "ntfy" => Way::Ntfy { url: url(), token: alert.secret_file.is_some().then(text) },
        "slack" => Way::Slack(url()),
        "teams" => Way::Teams(url()),
        "mattermost" => Way::Mattermost(url()),
        _ => Way::Email(Mail {
            host: alert.server.0.clone(),
            port: alert.server.1,
            security: match alert.security.as_str() {
                "tls" => Security::Tls,
                "none" => Security::None,
                _ => Security::StartTls,
            },
            login: (!alert.user.is_empty()).then(|| (alert.user.clone(), text())),
            from: alert.from.clone(),
            to: alert.to.clone(),
        }),
    };
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Channel {
        name: alert.name.clone(),
        way,
        min: match alert.min.as_str() {
            "notice" => Level::Notice,
            "page" => Level::Page,
            _ => Level::Warning,
        },
        quiet: alert.quiet.map(|(from, until)| Quiet { from, until, offset: alert.offset }),
        group: millis(alert.group),
        next: alert.next.map(|next| (millis(alert.after), next)),
        ca: alert.ca_pem.clone(),
    }
}

/// Standard Webhooks writes secrets as `whsec_` and base64; anything else is taken as it is.
fn signing(secret: &[u8]) -> Vec<u8> {
    let packed = secret.strip_prefix(b"whsec_").and_then(|packed| STANDARD.decode(packed).ok());
    packed.unwrap_or_else(|| secret.to_vec())
}

/// Where people's questions are answered.
struct Counter {
    config: PathBuf,
    papers: Papers,
    /// As it was at the start: where things are. What may change with a reload is asked of the gate.
    policy: Policy,
    operator: Arc<dyn Operator>,
    keeper: Option<Arc<Keeper>>,
    stage: Option<Stage>,
    rehearsals: rehearsals::Rehearsals,
    trying: rules::Trying,
    /// The last report of each incident that was asked for, and when it was composed.
    reports: Mutex<BTreeMap<String, (Instant, Arc<Report>)>>,
    /// Countries, and the policy that they were read with.
    countries: Mutex<Option<(Option<u64>, Arc<Countries>)>>,
    /// What the ledger has of copies, canaries and drills, and when that was read.
    traces: Mutex<Option<(Instant, Arc<data::Traces>)>>,
}

impl Counter {
    fn keeper(&self) -> Result<&Keeper, Fault> {
        self.keeper.as_deref().ok_or_else(|| Fault::Unable("no evidence is kept: declare `[evidence]`".to_owned()))
    }

    fn directory(&self) -> Result<&PathBuf, Fault> {
        self.keeper()?;
        self.policy.evidence.directory.as_ref().ok_or_else(|| Fault::Unable("no evidence is kept".to_owned()))
    }

    fn sights(&self) -> Vec<Sight> {
        let answer = self.sensors(&Question::Status).ok();
        answer.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
    }

    fn sensors(&self, question: &Question) -> Result<Value, Fault> {
        let socket = portcullis_sensors::socket(&self.policy.server.control);
        let answer = portcullis_sensors::ask(&socket, question).map_err(|error| Fault::Unable(plain(&error)))?;
        if answer.ok || !answer.value.is_null() { Ok(answer.value) } else { Err(Fault::Refused(answer.words)) }
    }

    /// Asks for something to be done, and says what was.
    fn sensing(&self, question: &Question) -> Result<String, Fault> {
        let socket = portcullis_sensors::socket(&self.policy.server.control);
        let answer = portcullis_sensors::ask(&socket, question).map_err(|error| Fault::Unable(plain(&error)))?;
        if answer.ok { Ok(answer.words) } else { Err(Fault::Refused(answer.words)) }
    }

    /// Over the last second that is whole and written: two seconds ago.
    fn second(&self, platform: &str, now: u64) -> Option<(Rates, [f64; 3])> {
        let directory = self.directory().ok()?;
        let until = now / 1_000 * 1_000 - 1_000;
        let ask = Ask { platform: Some(platform), from: until - 1_000, until, step: 1_000 };
        let found = history(directory, &ask).ok()?;
        let tally = found.points.into_iter().next().unwrap_or_default().tally;
        let rates = Rates {
            requests: tally.requests as f64,
            served: tally.served as f64,
            delayed: tally.delayed as f64,
            challenged: tally.challenged as f64,
            roomed: tally.roomed as f64,
            refused: tally.refused() as f64,
            failed: tally.failed as f64,
        };
        Some((rates, tally.micros().map(|micros| micros as f64 / 1_000.0)))
    }

    /// What the brain says of itself.
    fn defence(&self) -> Status {
        let defence = self.operator.status().get("defence").cloned().unwrap_or_default();
        serde_json::from_value(defence).unwrap_or_default()
    }

    /// Which country an address is in: read once for each policy, because the file is read again with the configuration.
    fn countries(&self) -> Result<Arc<Countries>, Fault> {
        let generation = self.operator.status().get("generation").and_then(Value::as_u64);
        let mut kept = self.countries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, countries)) = kept.as_ref().filter(|(of, _)| *of == generation) {
            return Ok(Arc::clone(countries));
        }
        let read = geography::declared(&self.config).map_err(|failure| Fault::Unable(said(failure)))?;
        let countries = Arc::new(read.ok_or_else(|| Fault::Refused(geography::NONE.to_owned()))?);
        *kept = Some((generation, Arc::clone(&countries)));
        Ok(countries)
    }

    fn report(&self, id: &str) -> Result<Arc<Report>, Fault> {
        self.directory()?;
        // One at a time: the others find what it made.
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some((_, report)) = reports.get(id) {
            return Ok(Arc::clone(report));
        }
        // What somebody was told is recorded is in it, too.
        self.keeper()?.settle();
        let of = Records { config: self.config.clone(), ledger: None, json: true };
        let report = Opened::open(&of).and_then(|opened| opened.report(id, false)).map_err(unknown)?;
        let report = Arc::new(report);
        reports.insert(id.to_owned(), (Instant::now(), Arc::clone(&report)));
        Ok(report)
    }
}

impl Desk for Counter {
    fn now(&self) -> Now {
        let (at, status) = (moment::now(), self.operator.status());
        let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| status.get(key).and_then(Value::as_u64).unwrap_or_default();
        let defence = status.get("defence").cloned().unwrap_or_default();
        let defence: Status = serde_json::from_value(defence).unwrap_or_default();
        let origins: Vec<(String, Origin)> = origins(&status);
        let figures = self.keeper.as_ref().map(|keeper| keeper.figures()).unwrap_or_default();
        let platforms = defence.platforms.into_iter().map(|platform| {
            let second = self.second(&platform.name, at);
            let people = audiences(&figures, &platform.name);
            let own = origins.iter().filter(|(of, _)| *of == platform.name).map(|(_, origin)| origin.clone()).collect();
            shown(platform, at, second, own, people)
        });
        let sights = self.sights();
        let sees = |sight: &&Sight| matches!(sight.state, State::Up);
        let incidents = self.keeper.as_ref().map(|keeper| keeper.incidents()).unwrap_or_default();
        Now {
            at,
            node: text("node"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: number("generation"),
            draining: status.get("draining").and_then(Value::as_bool).unwrap_or_default(),
            connections: number("connections"),
            platforms: platforms.collect(),
            events: defence
                .events
                .into_iter()
                .map(|event| Announced {
                    name: event.name,
                    platform: event.platform,
                    from: event.from,
                    until: event.until,
                })
                .collect(),
            incident: incidents.iter().rev().find(|it| it.closed.is_none()).map(line),
            blind: sights.iter().filter(|sight| !sees(sight)).map(|it| (it.sensor.clone(), it.why.clone())).collect(),
            watching: sights.iter().filter(sees).count() as u64,
            evidence: self.keeper.is_some(),
            advice: Vec::new(),
        }
    }

    fn history(&self, span: &Span<'_>, step: u64) -> Result<History, Fault> {
        let directory = self.directory()?;
        let unread = |error: std::io::Error| Fault::Unable(plain(&error));
        let known = rollups::platforms(directory).map_err(unread)?;
        if let Some(name) = span.platform.filter(|name| !known.contains(*name)) {
            return Err(Fault::Unknown(format!("nothing came for `{name}`")));
        }
        let from = span.from / step * step;
        let found =
            history(directory, &Ask { platform: span.platform, from, until: span.until, step }).map_err(unread)?;
        let span = Span { from, ..*span };
        Ok(traffic::drawn(found, &span, step, traffic::holding(&self.defence())))
    }

    fn busiest(&self, span: &Span<'_>, by: &str, only: Option<&str>, most: usize) -> Result<Busiest, Fault> {
        let ranking = By::from_str(by, true).map_err(Fault::Refused)?;
        let only = only.map(|only| Became::from_str(only, true)).transpose().map_err(Fault::Refused)?;
        let (which, within) = ((span.platform, only), (span.from, span.until));
        let countries = if ranking == By::Country { Some(self.countries()?) } else { None };
        let found = ranked(self.directory()?, ranking, which, within, most, THREADS, countries.as_deref());
        let found = found.map_err(|error| Fault::Unable(plain(&error)))?;
        Ok(counted(ranking, &found, within))
    }

    fn requests(&self, span: &Span<'_>, wish: &Wish, cursor: Option<&str>, most: usize) -> Result<Decisions, Fault> {
        traffic::decisions(self.policy.log.path.as_deref(), span, wish, cursor, most)
    }

    fn explain(&self, of: &str) -> Result<Explained, Fault> {
        let source = || Ok(verbs::Source::Gate(Box::new((*self.papers.in_force()).clone()), rules::MOST));
        verbs::explained(of, source).map(|steps| traffic::explained(of, steps)).map_err(unknown)
    }

    fn command(&self, command: Command, by: &str) -> Result<String, Fault> {
        self.operator.command(command, by).map_err(Fault::Refused)
    }

    fn incidents(&self) -> Result<Vec<IncidentLine>, Fault> {
        Ok(self.keeper()?.incidents().iter().rev().map(line).collect())
    }

    fn incident(&self, id: &str, form: Written) -> Result<Vec<u8>, Fault> {
        let report = self.report(id)?;
        let unable = |failure: Failure| Fault::Unable(said(failure));
        match form {
            Written::Json => serde_json::to_vec(&*report).map_err(|error| unable(broken(error))),
            Written::Html => html(&report).map(String::into_bytes).map_err(|error| unable(broken(error))),
            Written::Pdf => pdf(&report).map_err(|error| unable(broken(error))),
            Written::Statement => statement(&report).map(String::into_bytes).map_err(|error| unable(broken(error))),
        }
    }

    fn add(&self, id: &str, deed: Deed, by: &str) -> Result<String, Fault> {
        let incidents = self.keeper()?.incidents();
        let known = incidents.iter().find(|it| it.id == id || id == "last");
        let Some(known) = known else { return Err(Fault::Unknown(format!("there is no incident {id}"))) };
        let (incident, by) = (known.id.clone(), by.to_owned());
        let event = match deed {
            Deed::Note(words) => Event::Note(Note { incident, by, words, answers: BTreeMap::new() }),
            Deed::Decision(words) => Event::Decision(Decision { incident, by, words }),
            Deed::Told(whom, words) => Event::Told(Told { incident, by, whom, words }),
            Deed::Handed(sent) => Event::Report(data::handed(incident, by, sent, moment::now())?),
            Deed::Attested(sent) => {
                let copies = self.policy.copies.iter().map(|copy| copy.name.as_str());
                Event::Assurance(data::attested((incident, known.since), copies, by, sent, moment::now())?)
            }
            Deed::Close(words) => Event::Closed(Closed { incident, by, words }),
        };
        let said = self.operator.told(event).map_err(Fault::Refused)?;
        // By whatever name it was asked for.
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(said)
    }

    fn open(&self, wanted: &NewIncident, by: &str) -> Result<String, Fault> {
        data::open(self, wanted, by)
    }

    fn export(&self, id: &str) -> Result<Vec<u8>, Fault> {
        let report = self.report(id)?;
        let forms = Form::built_in().map_err(Fault::Unable)?;
        let name = format!("incident-{}", report.incident.id);
        packed(self.directory()?, &report, &forms, &name).map_err(|failure| Fault::Unable(said(failure)))
    }

    fn databases(&self) -> Result<Vec<GuardedDatabase>, Fault> {
        data::databases(self.operator.as_ref())
    }

    fn statements(&self, database: &str, role: Option<&str>, waiting: bool) -> Result<Value, Fault> {
        data::statements(self.operator.as_ref(), database, role, waiting)
    }

    fn decide(&self, decision: &Decided, by: &str) -> Result<String, Fault> {
        data::decide(self.operator.as_ref(), decision, by)
    }

    fn register(&self) -> Result<Vec<RegisteredCopy>, Fault> {
        data::register(self)
    }

    fn canaries(&self) -> Result<CanaryBook, Fault> {
        data::canaries(self)
    }

    fn budget(&self, place: &str, records: u64) -> Result<NewConfiguration, Fault> {
        data::budget(self, place, records)
    }

    fn integrity(&self) -> Result<Value, Fault> {
        self.sensors(&Question::Status)
    }

    fn drill(&self, only: Option<&str>, by: &str) -> Result<Drilled, Fault> {
        let told = self.sensors(&Question::Drill { only: only.map(str::to_owned), by: by.to_owned() })?;
        drilled(told).map_err(Fault::Unable)
    }

    fn leaving(&self) -> Value {
        self.operator.status().get("leaving").cloned().unwrap_or_default()
    }

    fn configuration(&self, secrets: bool) -> Result<Configuration, Fault> {
        self.papers.look(secrets)
    }

    fn check(&self, text: &str, secrets: bool) -> Result<Checked, Fault> {
        self.papers.weigh(text, secrets)
    }

    fn keys(&self) -> Vec<DeclaredTable> {
        draft::keys()
    }

    fn draft(&self, edits: &Edits, secrets: bool) -> Result<Drafted, Fault> {
        self.papers.draft(edits, secrets)
    }

    fn change(&self, new: &NewConfiguration, by: &str) -> Result<String, Fault> {
        self.papers.change(new, self.operator.as_ref(), by)
    }

    fn versions(&self) -> Result<Vec<Version>, Fault> {
        self.papers.versions()
    }

    fn version(&self, id: &str) -> Result<String, Fault> {
        self.papers.version(id)
    }

    fn forms(&self, id: &str) -> Result<Vec<Draft>, Fault> {
        let report = self.report(id)?;
        let forms = Form::built_in().map_err(Fault::Unable)?;
        let filled = forms.iter().map(|form| {
            form.fill(&report, &forms).map(|draft| Draft {
                id: draft.id,
                title: draft.title,
                due: draft.due,
                missing: draft.missing,
                markdown: draft.markdown,
            })
        });
        filled.collect::<Result<_, _>>().map_err(Fault::Unable)
    }

    fn reload(&self, by: &str) -> Result<String, Fault> {
        let change =
            Change { by: by.to_owned(), uid: None, words: "The configuration was put in force again.".to_owned() };
        self.operator.changed(&change).map(|reloaded| reloaded.message).map_err(Fault::Refused)
    }

    fn status(&self) -> Value {
        self.operator.status()
    }

    fn build(&self) -> Build {
        verbs::build()
    }

    fn effective(&self, secrets: bool) -> String {
        self.papers.effective(secrets)
    }

    fn baseline(&self, only: Option<&str>, by: &str) -> Result<String, Fault> {
        self.sensing(&Question::Baseline { only: only.map(str::to_owned), by: by.to_owned() })
    }

    fn deploy(&self, manifest: String, by: &str) -> Result<String, Fault> {
        let said = self.sensing(&Question::Deploy { manifest })?;
        self.changed(&format!("a manifest was handed over: {said}"), by);
        Ok(said)
    }

    fn differing(&self, only: Option<&str>) -> Result<Differing, Fault> {
        let policy = self.papers.in_force();
        let (words, differs) = compared(&policy.integrity, only).map_err(|failure| Fault::Refused(said(failure)))?;
        Ok(Differing { differs, words })
    }

    fn records(&self, leaves: &Leaves) -> Result<Leaf, Fault> {
        record::page(self.directory()?, leaves)
    }

    fn checkpoint(&self) -> Result<String, Fault> {
        record::checkpoint(self.directory()?)
    }

    fn ledger_key(&self) -> Result<String, Fault> {
        record::key(self.directory()?)
    }

    fn proof(&self, leaf: u64) -> Result<String, Fault> {
        record::proof(self.directory()?, leaf)
    }

    fn plays(&self) -> Vec<Play> {
        self.stage.as_ref().map(|stage| stage.plays.clone()).unwrap_or_default()
    }

    fn play(&self, name: &str) -> Result<String, Fault> {
        let none = || Fault::Unknown(format!("only the demo plays attacks, and there is no `{name}` here"));
        let stage = self.stage.as_ref().filter(|stage| stage.plays.iter().any(|play| play.name == name));
        (stage.ok_or_else(none)?.player)(name).map_err(Fault::Refused)
    }

    fn rules(&self, since: u64, most: usize) -> Result<Rules, Fault> {
        let policy = Arc::clone(&self.papers.in_force.lock().unwrap_or_else(PoisonError::into_inner));
        let defence = self.operator.status().get("defence").cloned().unwrap_or_default();
        let defence: Status = serde_json::from_value(defence).unwrap_or_default();
        let of = |platform: &PlatformStatus| {
            let (name, rules) = (platform.name.clone(), platform.rules.iter().map(measure).collect::<Vec<_>>());
            rules.into_iter().map(move |rule| OwnRule { platform: name.clone(), rule })
        };
        let own = defence.platforms.iter().flat_map(of).collect();
        Ok(Rules { own, ..rules::found(&policy, since, most)? })
    }

    fn exclusions(&self, since: u64, reference: Option<&str>) -> Result<Tuning, Fault> {
        self.trying.exclusions(&self.config, since, reference)
    }

    fn try_rule(&self, change: &RuleChange, since: u64, secrets: bool) -> Result<Tried, Fault> {
        self.trying.weigh(&self.papers, change, since, secrets)
    }

    fn edit_rule(&self, change: &RuleChange) -> Result<NewConfiguration, Fault> {
        rules::edited(&self.config, self.papers.look(true)?, change)
    }

    fn scenarios(&self) -> Vec<ScenarioLine> {
        rehearsals::scenarios()
    }

    fn rehearse(&self, wanted: &Wanted, by: &str) -> Result<RehearsalLine, Fault> {
        let begun = self.rehearsals.begin(&self.config, wanted, by)?;
        let what = if begun.scenario.is_empty() { "a scenario of their own" } else { &begun.scenario };
        self.changed(&format!("{what} was rehearsed with the seed {}", begun.seed), by);
        Ok(begun)
    }

    fn rehearsals(&self) -> Vec<RehearsalLine> {
        self.rehearsals.all()
    }

    fn rehearsal(&self, id: &str) -> Result<Rehearsal, Fault> {
        self.rehearsals.one(id)
    }

    fn stop(&self, id: &str, by: &str) -> Result<String, Fault> {
        self.rehearsals.stop(id, by)
    }

    fn login(&self, who: &str, from: Option<IpAddr>, good: bool) {
        let event = Event::Login(Login { place: "console".to_owned(), who: who.to_owned(), client: from, good });
        self.keeper.iter().for_each(|keeper| keeper.record(&GATE, event.clone()));
    }

    fn changed(&self, words: &str, by: &str) {
        let (what, by, words) = ("console".to_owned(), by.to_owned(), words.to_owned());
        let event =
            Event::Change(portcullis_ledger::Change { what, by, words, ..portcullis_ledger::Change::default() });
        self.keeper.iter().for_each(|keeper| keeper.record(&GATE, event.clone()));
    }
}

/// What came of drills, as the sensors tell it.
fn drilled(told: Value) -> Result<Drilled, String> {
    let drills: Vec<Drill> = serde_json::from_value(told.clone()).unwrap_or_default();
    let Value::Array(all) = told else { return Err("no sensor told what came of it".to_owned()) };
    let missed: Vec<&str> = drills.iter().filter(|drill| !drill.seen).map(|drill| drill.words.as_str()).collect();
    let words = match missed.as_slice() {
        [] => format!("{} drills, and all were seen.", drills.len()),
        words => format!("{} of {} were missed: {}", words.len(), drills.len(), words.join("; ")),
    };
    Ok(Drilled { words, missed: missed.len() as u64, drills: all })
}

fn unknown(failure: Failure) -> Fault {
    Fault::Unknown(said(failure))
}

fn said(failure: Failure) -> String {
    match failure {
        Failure::Because(words) => words,
        Failure::Said => "it did not work; the gate's own log says why".to_owned(),
    }
}

/// A problem for programs.
pub(crate) fn wrong(problem: &Problem, text: &str) -> Wrong {
    let bytes = |span: &Range<usize>| [span.start as u64, span.end as u64];
    let before = text.get(..problem.span.start).unwrap_or(text);
    let line_begins = before.rfind('\n').map_or(0, |at| at + 1);
    Wrong {
        severity: match problem.severity {
            Severity::Error => "error",
            Severity::Warning => WARNING,
        }
        .to_owned(),
        code: problem.code.to_owned(),
        message: problem.message.clone(),
        line: 1 + before.matches('\n').count() as u64,
        column: 1 + before[line_begins..].chars().count() as u64,
        label: problem.label.clone(),
        hints: problem.hints.clone(),
        span: bytes(&problem.span),
        second: problem.secondary.as_ref().map(|(span, label)| Place { span: bytes(span), label: label.clone() }),
        ..Wrong::default()
    }
}

fn origins(status: &Value) -> Vec<(String, Origin)> {
    let all = status.get("origins").and_then(Value::as_array).into_iter().flatten();
    all.map(|origin| {
        let text = |key: &str| origin.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("platform"), Origin { url: text("url"), healthy: origin.get("healthy").and_then(Value::as_bool) })
    })
    .collect()
}

/// By what the gate knew of them, those it knows first.
fn audiences(figures: &[Traffic], platform: &str) -> Vec<Audience> {
    let mut all: BTreeMap<&str, Audience> = BTreeMap::new();
    for traffic in figures.iter().filter(|it| it.platform == platform) {
        let audience = all.entry(&traffic.audience).or_default();
        audience.requests += traffic.requests;
        audience.refused += traffic.refused.values().sum::<u64>();
        audience.held += traffic.challenged + traffic.roomed;
        audience.delayed += traffic.delayed;
        audience.visitors[0] += traffic.visitors[0];
        audience.visitors[1] += traffic.visitors[1];
    }
    let named =
        all.into_iter().map(|(name, audience)| Audience { name: name.to_owned(), known: is_known(name), ..audience });
    let mut named: Vec<Audience> = named.collect();
    named.sort_by_key(|audience| !audience.known);
    named
}

fn shown(
    platform: PlatformStatus,
    now: u64,
    second: Option<(Rates, [f64; 3])>,
    origins: Vec<Origin>,
    people: Vec<Audience>,
) -> Platform {
    let reading = reading(&platform).to_owned();
    let mut measures: Vec<Measure> = platform.rules.iter().map(measure).collect();
    let whole = |kind: &str, action: &str, pattern: String, literal: Clause| Measure {
        id: format!("{kind}/{}", platform.name),
        kind: kind.to_owned(),
        phase: "on".to_owned(),
        action: action.to_owned(),
        share: 100,
        pattern,
        literals: vec![literal],
        ..Measure::default()
    };
    if let Some(at_once) = platform.admission.whole {
        let literal = Clause::new("at-once").number("limit", f64::from(at_once));
        measures.push(whole("admission", "wait", format!("more than {at_once} requests at once"), literal));
    }
    if platform.admission.room_open {
        measures.push(whole(
            "room",
            "wait",
            "navigations of people who are not known, while there is no room".to_owned(),
            Clause::new("strangers"),
        ));
    }
    let signs = platform.channels.into_iter();
    Platform {
        // Both are read at slightly different moments: a screen must not see it move.
        since: (now as f64 / 1_000.0 - platform.since_seconds).max(0.0).round() as u64 * 1_000,
        reading,
        signs: signs.map(traffic::sign).collect(),
        expected: platform.baseline.ready.then_some(platform.baseline.expected_rps),
        rates: second.map(|(rates, _)| rates),
        millis: second.map(|(_, millis)| millis).filter(|millis| millis[0] > 0.0),
        name: platform.name,
        posture: platform.posture,
        why: platform.why,
        causes: platform.causes.into_iter().map(Clause::from).collect(),
        held: platform.forced,
        origins,
        measures,
        people,
    }
}

fn measure(rule: &RuleStatus) -> Measure {
    Measure {
        id: rule.id.clone(),
        kind: "rule".to_owned(),
        phase: rule.phase.clone(),
        action: rule.action.clone(),
        share: rule.share,
        pattern: rule.pattern.clone(),
        literals: rule.literals.iter().cloned().map(Clause::from).collect(),
        why: rule.why.clone(),
        grounds: rule.grounds.iter().cloned().map(Clause::from).collect(),
        matched: rule.matched,
        pinned: rule.pinned,
        undo: !matches!(rule.phase.as_str(), "undone" | "dormant"),
    }
}

/// An attack or a crowd? Contrast and protocol tell them apart: a crowd looks like people, and people come by many ways.
fn reading(platform: &PlatformStatus) -> &'static str {
    let level = |name: &str| platform.channels.iter().find(|it| it.name == name).map_or("off", |it| it.level.as_str());
    let loud = |name: &str| matches!(level(name), "weak" | "strong");
    let hostile = ["contrast", "protocol", "business"].into_iter().any(|name| level(name) == "strong");
    match platform.posture.as_str() {
        "attack" => "attack",
        _ if hostile => "attack",
        _ if loud("rate") && !["contrast", "protocol", "business"].into_iter().any(loud) => "crowd",
        "overload" => "strain",
        _ if loud("stress") => "strain",
        "normal" if !platform.baseline.ready => "unknown",
        "normal" => "calm",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use portcullis_engine::{BaselineStatus, ChannelStatus};

    use super::*;

    #[test]
    fn the_policy_and_the_console_name_the_same_acts() {
        assert_eq!(portcullis_config::APPROVALS, portcullis_control::APPROVALS);
    }

    #[test]
    fn a_drill_that_was_missed_is_told_with_all_others() {
        let drill = |id: &str, seen| Drill { id: id.to_owned(), seen, words: id.to_owned(), ..Drill::default() };
        let told = |drills: &[Drill]| drilled(serde_json::to_value(drills).expect("JSON")).expect("told");
        let (good, bad) = (told(&[drill("a", true)]), told(&[drill("a", true), drill("b", false)]));
        assert_eq!((good.missed, good.words.as_str()), (0, "1 drills, and all were seen."));
        assert_eq!((bad.missed, bad.words.as_str(), bad.drills.len()), (1, "1 of 2 were missed: b", 2));
        assert_eq!(bad.drills[1]["id"], "b");
        assert!(drilled(Value::Null).is_err());
    }

    #[test]
    fn an_attack_and_a_crowd_are_told_apart() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let table: [Case; 8] = [
            ("normal", &[], "calm"),
            ("elevated", &[("rate", "strong")], "crowd"),
            ("elevated", &[("rate", "strong"), ("contrast", "strong")], "attack"),
            ("elevated", &[("rate", "strong"), ("contrast", "weak")], "unknown"),
            ("attack", &[], "attack"),
            ("overload", &[("stress", "strong")], "strain"),
            ("overload", &[("stress", "strong"), ("rate", "strong")], "crowd"),
            ("normal", &[("business", "strong")], "attack"),
        ];
        for (posture, channels, expected) in table {
            let channel = |(name, level): &(&str, &str)| ChannelStatus {
                name: (*name).to_owned(),
                level: (*level).to_owned(),
                ..ChannelStatus::default()
            };
            let platform = PlatformStatus {
                posture: posture.to_owned(),
                channels: channels.iter().map(channel).collect(),
                baseline: BaselineStatus { ready: true, ..BaselineStatus::default() },
                ..PlatformStatus::default()
            };
            assert_eq!(reading(&platform), expected, "{posture} {channels:?}");
        }
        assert_eq!(reading(&PlatformStatus { posture: "normal".to_owned(), ..PlatformStatus::default() }), "unknown");
    }

    #[test]
    fn who_is_hurt_is_told_by_what_is_known_of_them() {
        let traffic = |platform: &str, audience: &str, refused| Traffic {
            platform: platform.to_owned(),
            audience: audience.to_owned(),
            requests: 10,
            refused: BTreeMap::from([("rule".to_owned(), refused)]),
            challenged: 2,
            ..Traffic::default()
        };
        let figures = [
            traffic("public", "fresh", 5),
            traffic("public", "history", 1),
            traffic("public", "fresh", 1),
            traffic("shop", "fresh", 9),
        ];
        let people = audiences(&figures, "public");
        let told: Vec<_> =
            people.iter().map(|it| (it.name.as_str(), it.known, it.requests, it.refused, it.held)).collect();
        assert_eq!(told, [("history", true, 10, 1, 2), ("fresh", false, 20, 6, 4)]);
    }
}
