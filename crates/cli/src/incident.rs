//! `portcullis incident`: what happened, what can be said of it, and everything that is handed to others.
//!
//! It reads the ledger as it lies there, whether a gate runs or not. What a person adds goes through the running gate, which
//! writes the ledger; where none runs, straight into it.

mod elsewhere;
pub(crate) mod export;
mod folding;
pub(crate) mod live;
mod sources;
mod tried;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_config::Policy;
use portcullis_control::model::IncidentLine;
use portcullis_incident::{
    Case, Contact, Docket, Gathering, Incident, Ledger, Organisation, Report, Thresholds, Tried, spaced,
};
use portcullis_ledger::checkpoint::Trust;
use portcullis_ledger::note::VerifierKey;
use portcullis_ledger::{Assurance, Closed, Decision, Event, Note, Opened as Beginning, Recorder as _, Told};
use portcullis_proxy::control;
use portcullis_store::disk::Directory;
use portcullis_store::verify::verify_and_read;
use portcullis_store::{PUBLIC_KEY, Passage};
use serde_json::{Value, json};

use crate::args::incident::{AskIncident, Attest, Handed, Open, Records, Shown};
use crate::evidence;
use crate::moment::{now, speak};
use crate::verbs::unanswered;
use crate::waf::promote::{uid, who};
use crate::world::plain;
use crate::{Done, Failure, configuration, talk};

/// Bytes of what a person writes at once: a request of the control socket has 4,096.
const WORDS: usize = 3_000;

/// Lists, shows, exports, and writes down what people do.
pub(crate) fn run(ask: &AskIncident) -> Done {
    if let Some(done) = elsewhere::run(ask)? {
        return talk::answer(&done);
    }
    match ask {
        AskIncident::List(flags) => list(&flags.of),
        AskIncident::Show(shown) => show(shown),
        AskIncident::Statement(shown) => {
            let report = Opened::open(&shown.of)?.report(&shown.incident, shown.no_drill)?;
            talk::answer(&portcullis_incident::statement(&report).map_err(broken)?)
        }
        AskIncident::Export(flags) => export::run(flags),
        AskIncident::Open(flags) => begin(flags),
        AskIncident::Note(flags) => {
            let answers = flags.answers.iter().map(|answer| match answer.split_once('=') {
                Some((field, text)) => Ok((field.trim().to_owned(), text.trim().to_owned())),
                None => Err(Failure::because(format!("`{answer}` is not FIELD=TEXT"))),
            });
            let answers = answers.collect::<Result<BTreeMap<_, _>, _>>()?;
            if flags.words.is_empty() && answers.is_empty() {
                return Err(Failure::because("a note has words, or answers"));
            }
            let words = flags.words.clone();
            add(&flags.of, &flags.incident, |incident| Event::Note(Note { incident, by: who(), words, answers }))
        }
        AskIncident::Decide(flags) => {
            let words = flags.words.clone();
            add(&flags.of, &flags.incident, |incident| Event::Decision(Decision { incident, by: who(), words }))
        }
        AskIncident::Told(flags) => {
            let (whom, words) = (flags.whom.clone(), flags.words.clone());
            add(&flags.of, &flags.incident, |incident| Event::Told(Told { incident, by: who(), whom, words }))
        }
        AskIncident::Close(flags) => {
            let words = flags.words.clone();
            add(&flags.of, &flags.incident, |incident| Event::Closed(Closed { incident, by: who(), words }))
        }
        AskIncident::Report(flags) => handed(flags),
        AskIncident::Attest(flags) => attest(flags),
    }
}

/// A ledger that is read, and what the configuration says besides.
pub(crate) struct Opened {
    pub(crate) directory: PathBuf,
    policy: Option<Policy>,
    docket: Docket,
}

impl Opened {
    /// Reads the incidents, from the first record on. A directory that was named needs no configuration.
    pub(crate) fn open(of: &Records) -> Result<Self, Failure> {
        let (directory, policy, thresholds) = Self::place(of)?;
        let mut docket = Docket::new(thresholds);
        portcullis_store::read_classes(&directory, Docket::wants, |passage| match passage {
            Passage::Record(record) => drop(docket.record(record)),
            Passage::Until(unix_millis) => drop(docket.tick(unix_millis)),
        })
        .map_err(|error| unreadable(&directory, &error))?;
        Ok(Self { directory, policy, docket })
    }

    /// Reads them from where the gate left off, which made them of the same records. Of a directory that was named all records are
    /// read: it may be a copy, and whoever asks may trust nobody.
    pub(crate) fn recent(of: &Records) -> Result<Self, Failure> {
        if of.ledger.is_none() {
            let (directory, policy, thresholds) = Self::place(of)?;
            if let Some(docket) = folding::left_off(&directory, thresholds) {
                return Ok(Self { directory, policy, docket });
            }
        }
        Self::open(of)
    }

    fn place(of: &Records) -> Result<(PathBuf, Option<Policy>, Thresholds), Failure> {
        let policy = match (&of.ledger, of.config.exists()) {
            (Some(_), false) => None,
            _ => Some(configuration::policy(&of.config)?),
        };
        let directory = evidence::directory(of, policy.as_ref())?;
        let thresholds = policy.as_ref().map_or_else(Thresholds::default, live::thresholds);
        Ok((directory, policy, thresholds))
    }

    fn find(&self, name: &str) -> Result<&Incident, Failure> {
        self.docket.find(name).ok_or_else(|| {
            let all = self.docket.incidents().len();
            Failure::because(format!("{} has no incident {name}; it has {all}", self.directory.display()))
        })
    }

    /// The whole report, after the ledger was verified. What watches is tried first, while the incident is open: what is tried after its
    /// end says nothing of it.
    pub(crate) fn report(&self, name: &str, untried: bool) -> Result<Report, Failure> {
        let tried = match &self.find(name)?.closed {
            Some(_) => None,
            None if untried => Some(Tried::not("Nothing was tried before this was written, as was asked for")),
            None => Some(tried::before(self.policy.as_ref(), &self.directory)),
        };
        let (mut case, ledger) = self.case(name)?;
        case.sources = Some(sources::sources(&self.directory, self.policy.as_ref(), (case.from, case.until)));
        let ledger = Ledger { tried, ..ledger };
        Ok(Report::compose(&case, &ledger, &self.organisation(), now()))
    }

    fn organisation(&self) -> Organisation {
        let Some(policy) = &self.policy else { return Organisation::default() };
        let of = &policy.organisation;
        let contact = |contact: &portcullis_config::Contact| Contact {
            name: contact.name.clone(),
            role: contact.role.clone(),
            email: contact.email.clone(),
            phone: contact.phone.clone(),
        };
        Organisation {
            name: of.name.clone(),
            sector: of.sector.clone(),
            contacts: of.contacts.iter().map(contact).collect(),
            language: of.language.clone(),
            page: of.page.clone(),
        }
    }

    /// Gathers the case of an incident from the very records that are verified meanwhile, under the ledger's own key, which lies
    /// beside it: whoever trusts nobody brings the key along.
    fn case(&self, name: &str) -> Result<(Case, Ledger), Failure> {
        let mut gathering = Gathering::new(self.find(name)?);
        let begin = gathering.clone();
        let key = fs::read_to_string(self.directory.join(PUBLIC_KEY)).map(|key| key.trim().to_owned());
        let key = key.unwrap_or_default();
        let trust = Trust { log: VerifierKey::parse(&key).ok(), witnesses: Vec::new(), quorum: 0 };
        let report = verify_and_read(
            Directory::at(&self.directory),
            &trust,
            |kind, index, at| begin.wants(kind, index, at),
            |record| gathering.record(record),
        )
        .map_err(|error| unreadable(&self.directory, &error))?;
        let quorum = self.policy.as_ref().map_or(0, |policy| u32::try_from(policy.evidence.quorum).unwrap_or(u32::MAX));
        let words = match report.faults.first.first() {
            _ if trust.log.is_none() => "The ledger's key is not beside it.".to_owned(),
            None => {
                let leaves = spaced(report.size);
                format!("{leaves} leaves, and every event that is kept, fit the tree and its signed checkpoint.")
            }
            Some(fault) => {
                fault.leaf.map_or_else(|| fault.words.clone(), |leaf| format!("leaf {leaf}: {}", fault.words))
            }
        };
        let ledger = Ledger {
            quorum,
            key,
            size: report.size,
            root: report.checkpoint.lines().nth(2).unwrap_or_default().to_owned(),
            verified: trust.log.is_some().then_some(report.faults.count == 0),
            words,
            checkpoint: report.checkpoint,
            ..Ledger::default()
        };
        Ok((gathering.finish(), ledger))
    }
}

fn unreadable(directory: &Path, error: &io::Error) -> Failure {
    Failure::because(format!("cannot read {}: {}", directory.display(), plain(error)))
}

fn list(of: &Records) -> Done {
    let opened = Opened::recent(of)?;
    let incidents = opened.docket.incidents();
    if of.json {
        return talk::answer(&serde_json::to_string_pretty(&json!({ "incidents": incidents })).unwrap_or_default());
    }
    talk::answer(&listed(&incidents.iter().map(line).collect::<Vec<_>>()))
}

/// An incident in a line, as screens and lists have it.
pub(crate) fn line(incident: &Incident) -> IncidentLine {
    IncidentLine {
        id: incident.id.clone(),
        words: incident.words.clone(),
        since: incident.since,
        closed: incident.closed.as_ref().map(|closed| closed.at),
        closed_by: incident.closed.as_ref().map(|closed| closed.by.clone()),
        waves: incident.waves.len() as u64,
        platforms: incident.platforms.iter().cloned().collect(),
    }
}

fn listed(incidents: &[IncidentLine]) -> String {
    let mut page = String::new();
    for IncidentLine { id, words, since, closed, closed_by, waves, platforms } in incidents {
        let state = match closed {
            Some(at) => format!("closed {} by {}", speak(*at), closed_by.as_deref().unwrap_or_default()),
            None => "open".to_owned(),
        };
        let (since, platforms) = (speak(*since), platforms.join(", "));
        let _ = writeln!(page, "{id}  {state}; since {since}, waves: {waves}; {platforms}\n  {words}");
    }
    if page.is_empty() {
        page.push_str("No incident is on record.\n");
    }
    page
}

fn show(shown: &Shown) -> Done {
    let report = Opened::open(&shown.of)?.report(&shown.incident, shown.no_drill)?;
    if shown.of.json {
        return talk::answer(&serde_json::to_string_pretty(&report).unwrap_or_default());
    }
    talk::answer(&page(&serde_json::to_value(&report).map_err(broken)?))
}

/// A report in short, from what programs are told of it.
fn page(report: &Value) -> String {
    let text = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |value: &Value, at: &str| value.pointer(at).and_then(Value::as_u64).unwrap_or_default();
    let is_open = report.get("open").and_then(Value::as_bool).unwrap_or_default();
    let (id, since, state) =
        (text(report, "/incident/id"), text(report, "/since"), if is_open { "open" } else { "closed" });
    let mut page = format!("Incident {id}: since {since}, {state}\n{}\n", text(report, "/incident/words"));
    for wave in list(report, "/waves") {
        let [from, until, lasted] = ["/from", "/until", "/lasted"].map(|at| text(&wave, at));
        let platforms: Vec<String> = list(&wave, "/platforms").iter().map(|it| text(it, "")).collect();
        let (wave, platforms) = (number(&wave, "/number"), platforms.join(", "));
        let _ = writeln!(page, "Wave {wave}: {from} to {until} ({lasted}), {platforms}");
    }
    for verdict in list(report, "/assessment/headlines") {
        let _ = writeln!(page, "\n{}\n  {}", text(&verdict, "/claim").to_uppercase(), text(&verdict, "/sentence"));
        let confidence = text(&verdict, "/confidence_sentence");
        if !confidence.is_empty() {
            let _ = writeln!(page, "  {confidence}");
        }
        for reason in list(&verdict, "/because").iter().take(12) {
            let _ = writeln!(page, "  - {} ({})", text(reason, "/words"), text(reason, "/evidence/words"));
        }
    }
    page.push_str("\nFIGURES\n");
    for figure in list(report, "/figures").iter().filter(|figure| number(figure, "/value") > 0) {
        let (words, evidence) = (text(figure, "/words"), text(figure, "/evidence/words"));
        let _ = writeln!(page, "  {:>12} {words} ({evidence})", spaced(number(figure, "/value")));
    }
    page.push_str("\nOPEN\n");
    for question in list(report, "/open_questions") {
        let _ = writeln!(page, "  - {}", text(&question, ""));
    }
    page
}

/// A person says that there is an incident.
fn begin(flags: &Open) -> Done {
    let (opened, now) = (Opened::recent(&flags.of)?, now());
    let since = flags.since.map_or(now, |since| since.resolve_back(now));
    let word = Word { because: &flags.because, platforms: &flags.platform, since, by: &who() };
    let (incident, event) = opened.beginning(&word, now)?;
    opened.write(event)?;
    talk::answer(&format!("Incident {incident} is open."))
}

/// Somebody's word that there is an incident.
pub(crate) struct Word<'a> {
    /// What happened, and how they know.
    pub(crate) because: &'a str,
    /// Platforms and databases.
    pub(crate) platforms: &'a [String],
    pub(crate) since: u64,
    pub(crate) by: &'a str,
}

/// Writes down what a person did, about an incident that there is.
fn add(of: &Records, incident: &str, event: impl FnOnce(String) -> Event) -> Done {
    let opened = Opened::recent(of)?;
    let incident = opened.find(incident)?.id.clone();
    opened.write(event(incident))
}

/// What was handed in.
fn handed_in(flags: &Handed) -> Result<Vec<u8>, Failure> {
    let unread =
        |error: io::Error| Failure::because(format!("cannot read {}: {}", flags.file.display(), plain(&error)));
    fs::read(&flags.file).map_err(unread)
}

fn handed(flags: &Handed) -> Done {
    let bytes = handed_in(flags)?;
    let at = flags.at.map_or_else(now, |at| at.resolve(now()));
    add(&flags.of, &flags.incident, |incident| {
        Event::Report(portcullis_ledger::Report {
            incident,
            form: flags.form.clone(),
            to: flags.to.clone(),
            by: who(),
            at,
            sha256: evidence::digest(&bytes),
            receipt: flags.receipt.clone(),
        })
    })
}

fn attest(flags: &Attest) -> Done {
    let opened = Opened::recent(&flags.of)?;
    if let Some(policy) = &opened.policy
        && !policy.copies.iter().any(|copy| copy.name == flags.copy)
    {
        return Err(Failure::because(format!("the register has no copy `{}` ([[copies]])", flags.copy)));
    }
    let incident = flags.incident.as_deref().map(|name| opened.find(name)).transpose()?;
    let until = flags.until.map_or_else(now, |until| until.resolve(now()));
    let from = match (flags.from, incident) {
        (Some(from), _) => from.resolve(now()),
        (None, Some(incident)) => incident.since,
        (None, None) => return Err(Failure::because("from when on does it hold? Say --from or --incident")),
    };
    let incident = incident.map(|incident| incident.id.clone()).unwrap_or_default();
    let (copy, words) = (flags.copy.clone(), flags.words.clone());
    opened.write(Event::Assurance(Assurance {
        incident,
        copy,
        by: who(),
        intact: !flags.not_intact,
        words,
        from,
        until,
    }))
}

impl Opened {
    /// What begins an incident on somebody's word, and its name.
    pub(crate) fn beginning(&self, word: &Word<'_>, now: u64) -> Result<(String, Event), Failure> {
        if let Some(open) = self.docket.open() {
            let (id, since) = (&open.id, speak(open.since));
            return Err(Failure::because(format!(
                "incident {id} is open since {since}, and whatever happens belongs to it: `portcullis incident note {id} …` adds to it, \
                 `portcullis incident close {id} …` ends it"
            )));
        }
        let words = word.because.trim();
        if words.is_empty() {
            return Err(Failure::because("say what happened, and how you know: --because"));
        }
        if let Some(policy) = &self.policy {
            let platforms = policy.platforms.iter().map(|platform| platform.name.as_str());
            let known: Vec<&str> =
                platforms.chain(policy.databases.iter().map(|database| database.name.as_str())).collect();
            if let Some(wrong) = word.platforms.iter().find(|name| !known.contains(&name.as_str())) {
                let known = known.join(", ");
                return Err(Failure::because(format!("there is no platform or database `{wrong}`; there are {known}")));
            }
        }
        if word.since > now {
            return Err(Failure::because(format!("{} has not come yet", speak(word.since))));
        }
        let incident = self.docket.next_id(word.since);
        let (platforms, cause, words) = (word.platforms.to_vec(), word.by.to_owned(), words.to_owned());
        let event = Event::Opened(Beginning { incident: incident.clone(), since: word.since, platforms, cause, words });
        Ok((incident, event))
    }

    /// Through the gate that runs; where none does, straight into the ledger.
    fn write(&self, unsigned: Event) -> Done {
        let said = serde_json::to_value(&unsigned).map_err(|error| Failure::because(error.to_string()))?;
        if said.to_string().len() > WORDS {
            return Err(Failure::because(format!("that is more than {WORDS} bytes at once; write it in parts")));
        }
        let policy =
            self.policy.as_ref().ok_or_else(|| Failure::because("to write needs the configuration: --config"))?;
        let socket = &policy.server.control;
        match control::ask_with(socket, "record", &said) {
            Ok(answer) if answer.ok => return talk::answer(&answer.message),
            Ok(answer) => return Err(Failure::Because(answer.message)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
            Err(error) => return Err(unanswered(socket, &error)),
        }
        let store = evidence::open(&self.directory, &policy.evidence, &policy.server.name, false).map_err(|why| {
            Failure::because(format!("no gate runs, and {} cannot be written: {why}", self.directory.display()))
        })?;
        // Nobody else vouches for who writes.
        let event = uid().map(|uid| serde_json::from_value(control::by_user(said, uid))).transpose();
        store.record(&evidence::GATE, event.map_err(|error| Failure::because(error.to_string()))?.unwrap_or(unsigned));
        store.close();
        talk::answer("It is on record. No gate was running.")
    }
}

pub(crate) fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::because(format!("the report cannot be written: {why}; please report it"))
}
