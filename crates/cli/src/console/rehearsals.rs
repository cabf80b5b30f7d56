//! Rehearsals that the console asks for: one at a time, each in a process of its own (`rehearse/apart.rs`), and the last of them kept.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_control::Fault;
use portcullis_control::model::{Rehearsal, RehearsalLine, ScenarioLine, Wanted};

use crate::moment;
use crate::rehearse::apart::{Answer, Asked, CPU_SECONDS, VERB};

/// The program that is started: the one that runs, even after a new one has taken its place on the disk.
const PROGRAM: &str = "/proc/self/exe";
/// It gives way to whatever serves visitors, so it may take longer than its CPU; and then it is ended.
const WALL: Duration = Duration::from_secs(2 * CPU_SECONDS);
/// What its allocator takes from the system at once. Unless told, that is a gigabyte, and more than the process may have.
const RESERVE: &str = "64MiB";
/// Rehearsals that are kept.
const KEPT: usize = 10;
/// What it found has at most so many bytes; a hundredth is usual.
const FOUND_BYTES: u64 = 8 * 1024 * 1024;

/// What was rehearsed, and what is.
pub(crate) struct Rehearsals {
    command: fn() -> Command,
    wall: Duration,
    books: Arc<Mutex<Books>>,
}

#[derive(Default)]
struct Books {
    /// The newest first.
    all: VecDeque<Rehearsal>,
    /// Ends the one that is played.
    stop: Option<Sender<News>>,
    made: u64,
}

/// What becomes of the process.
enum News {
    Said(Vec<u8>),
    /// By whom.
    Stop(String),
}

impl Default for Rehearsals {
    fn default() -> Self {
        let command = || {
            let mut command = Command::new(PROGRAM);
            command.arg(VERB).env_clear().env("MIMALLOC_ARENA_RESERVE", RESERVE);
            command
        };
        Self { command, wall: WALL, books: Arc::default() }
    }
}

/// Scenarios that come with the gate: those of a sweep. `month.toml` takes a quarter of an hour and is not among them.
pub(crate) fn scenarios() -> Vec<ScenarioLine> {
    let line = |text: &str| {
        let of = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line.and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
        };
        ScenarioLine { name: of("name"), title: of("title"), text: text.to_owned() }
    };
    SCENARIOS.iter().map(|text| line(text)).collect()
}

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../../../specs/scenarios/", $name, ".toml"))),*]
    };
}

const SCENARIOS: &[&str] = scenarios![
    "01-get-flood",
    "02-cache-buster",
    "03-search-flood",
    "04-http2-abuse",
    "05-slow-head",
    "06-slow-read",
    "07-one-request-per-address",
    "08-header-randomiser",
    "09-browser-twin",
    "10-headless-mimic",
    "11-pulse-wave",
    "12-vector-switch",
    "13-login-stuffing",
    "14-card-testing",
    "15-code-pumping",
    "16-record-enumeration",
    "17-stolen-cookies",
    "18-slow-poisoning",
    "19-table-exhaustion",
    "20-syn-flood",
    "21-debate-crowd",
    "22-crawler-surge",
    "23-shared-addresses",
    "24-tor-and-text",
    "25-partner-burst",
    "26-slow-database",
    "27-attack-in-crowd",
    "28-alone",
];

impl Rehearsals {
    /// Begins one, unless one is being played.
    pub(crate) fn begin(&self, config: &Path, wanted: &Wanted, by: &str) -> Result<RehearsalLine, Fault> {
        let (scenario, text) = match &wanted.name {
            None => (String::new(), wanted.text.clone().unwrap_or_default()),
            Some(name) => {
                let known = scenarios().into_iter().find(|it| it.name == *name);
                let known = known.ok_or_else(|| Fault::Unknown(format!("no scenario here is called `{name}`")))?;
                (known.name, known.text)
            }
        };
        let asked = Asked { config: config.to_owned(), text, seed: wanted.seed.unwrap_or(1) };
        let sent = serde_json::to_vec(&asked).map_err(|error| Fault::Unable(error.to_string()))?;
        let mut books = self.books();
        if books.stop.is_some() {
            let by = books.all.front().map(|it| it.line.by.clone()).unwrap_or_default();
            return Err(Fault::Refused(format!("one is being played, for {by}: wait for its end, or stop it")));
        }
        let (news, told) = channel();
        books.made += 1;
        let line = RehearsalLine {
            id: format!("rehearsal-{}", books.made),
            scenario,
            seed: asked.seed,
            by: by.to_owned(),
            begun: moment::now(),
            ended: None,
            state: "playing".to_owned(),
            words: String::new(),
        };
        let (shared, id, wall, teller) = (Arc::clone(&self.books), line.id.clone(), self.wall, news.clone());
        let command = (self.command)();
        // The process ends with the thread that started it (PR_SET_PDEATHSIG): so this one starts it, and stays.
        let stay = move || {
            let ended = begun(command, sent, teller).map(|mut child| {
                let ended = watch(&mut child, &told, wall);
                let _ = child.kill();
                let _ = child.wait();
                ended
            });
            lock(&shared).end(&id, ended.unwrap_or_else(|error| wrong(format!("It could not be started: {error}"))));
        };
        let spawned = std::thread::Builder::new().name("rehearsal".to_owned()).spawn(stay);
        spawned.map_err(|error| Fault::Unable(format!("no thread for it: {error}")))?;
        books.stop = Some(news);
        books.all.push_front(Rehearsal { line: line.clone(), found: None });
        books.all.truncate(KEPT);
        Ok(line)
    }

    /// The last of them, the newest first.
    pub(crate) fn all(&self) -> Vec<RehearsalLine> {
        self.books().all.iter().map(|it| it.line.clone()).collect()
    }

    /// One of them.
    pub(crate) fn one(&self, id: &str) -> Result<Rehearsal, Fault> {
        self.books().all.iter().find(|it| it.line.id == id).cloned().ok_or_else(|| unknown(id))
    }

    /// Ends the one that is being played.
    pub(crate) fn stop(&self, id: &str, by: &str) -> Result<String, Fault> {
        let books = self.books();
        let known = books.all.iter().find(|it| it.line.id == id).ok_or_else(|| unknown(id))?;
        match &books.stop {
            Some(stop) if known.line.ended.is_none() => {
                let _ = stop.send(News::Stop(by.to_owned()));
                Ok("It is being stopped.".to_owned())
            }
            _ => Err(Fault::Refused("it is over".to_owned())),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

impl Books {
    fn end(&mut self, id: &str, ended: Ended) {
        self.stop = None;
        let Some(known) = self.all.iter_mut().find(|it| it.line.id == id) else { return };
        known.line.ended = Some(moment::now());
        known.line.state = ended.state.to_owned();
        known.line.words = ended.words;
        if let Some(found) = &ended.found {
            known.line.scenario.clone_from(&found.scenario);
        }
        known.found = ended.found;
    }
}

/// How one came to its end.
struct Ended {
    state: &'static str,
    words: String,
    found: Option<portcullis_control::model::Found>,
}

fn wrong(words: String) -> Ended {
    Ended { state: "wrong", words, found: None }
}

/// A process that is sent what to play; what it says is told.
fn begun(mut command: Command, sent: Vec<u8>, teller: Sender<News>) -> io::Result<Child> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let streams = child.stdin.take().zip(child.stdout.take());
    let read = move || {
        let Some((mut input, output)) = streams else { return };
        // A process that does not want it has ended, which is seen where it is waited for.
        let _ = input.write_all(&sent);
        drop(input);
        let mut said = Vec::new();
        let _ = output.take(FOUND_BYTES).read_to_end(&mut said);
        let _ = teller.send(News::Said(said));
    };
    match std::thread::Builder::new().name("rehearsal-said".to_owned()).spawn(read) {
        Ok(_) => Ok(child),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Waits for what it says, for somebody who stops it, or for the end of its time.
fn watch(child: &mut Child, told: &Receiver<News>, wall: Duration) -> Ended {
    let said = match told.recv_timeout(wall) {
        Ok(News::Said(said)) => said,
        Ok(News::Stop(by)) => return Ended { state: "stopped", words: format!("{by} stopped it."), found: None },
        Err(RecvTimeoutError::Timeout) => {
            return wrong(format!(
                "It was ended after {} seconds: this machine has little to spare, or the scenario asks for too much.",
                wall.as_secs()
            ));
        }
        Err(RecvTimeoutError::Disconnected) => return wrong("Nobody waited for what it found.".to_owned()),
    };
    match serde_json::from_slice::<Answer>(&said) {
        Ok(Ok(found)) => {
            Ended { state: if found.passed { "holds" } else { "fails" }, words: String::new(), found: Some(found) }
        }
        Ok(Err(why)) => wrong(why),
        Err(_) => wrong(why_it_ended(child.wait().ok())),
    }
}

fn why_it_ended(status: Option<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status.map(|status| (status.signal(), status.code())) {
        // Aborted where memory is refused, killed where its time or the machine's memory is over.
        Some((Some(6 | 9 | 24), _)) => {
            format!("It asked for more than it may: {CPU_SECONDS} seconds of CPU, 512 MiB of memory.")
        }
        Some((Some(signal), _)) => format!("It was ended by signal {signal}."),
        Some((None, code)) => format!("It ended without a word (exit status {}).", code.unwrap_or_default()),
        None => "It ended without a word.".to_owned(),
    }
}

fn unknown(id: &str) -> Fault {
    Fault::Unknown(format!("there is no rehearsal `{id}`; the last {KEPT} are kept until the gate ends"))
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use portcullis_simulator::Scenario;

    use super::*;

    fn with(command: fn() -> Command, wall: Duration) -> Rehearsals {
        Rehearsals { command, wall, books: Arc::default() }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn wanted() -> Wanted {
        Wanted { name: Some("01-get-flood".to_owned()), ..Wanted::default() }
    }

    fn ended(rehearsals: &Rehearsals, id: &str) -> Rehearsal {
        for _ in 0..3_000 {
            let one = rehearsals.one(id).expect("known");
            if one.line.ended.is_some() {
                return one;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    #[test]
    fn each_end_is_told() {
        type Case = (fn() -> Command, &'static str, &'static str);
        let table: [Case; 5] = [
            (|| shell("cat > /dev/null; printf '{\"Err\":\"line 3: no\"}'"), "wrong", "line 3: no"),
            (|| shell("cat > /dev/null; exit 3"), "wrong", "exit status 3"),
            (|| shell("kill -9 $$"), "wrong", "more than it may"),
            (|| shell("cat > /dev/null; echo nonsense"), "wrong", "exit status 0"),
            (|| shell("exec sleep 60"), "wrong", "ended after 1 seconds"),
        ];
        for (command, state, words) in table {
            let rehearsals = with(command, Duration::from_secs(1));
            let begun = rehearsals.begin(Path::new("gate.toml"), &wanted(), "Ane").expect("begun");
            assert_eq!((begun.state.as_str(), begun.scenario.as_str(), begun.seed), ("playing", "01-get-flood", 1));
            let one = ended(&rehearsals, &begun.id);
            assert!(one.line.state == state && one.line.words.contains(words), "{:?}", one.line);
        }
    }

    #[test]
    fn one_at_a_time_and_it_can_be_stopped() {
        let rehearsals = with(|| shell("exec sleep 60"), WALL);
        let begin = || rehearsals.begin(Path::new("gate.toml"), &wanted(), "Ane");
        let first = begin().expect("begun");
        let Err(Fault::Refused(busy)) = begin() else { panic!("two at once") };
        assert!(busy.contains("for Ane"), "{busy}");
        assert!(rehearsals.stop("rehearsal-9", "Bo").is_err());
        rehearsals.stop(&first.id, "Bo").expect("stopped");
        let one = ended(&rehearsals, &first.id);
        assert_eq!((one.line.state.as_str(), one.line.words.as_str()), ("stopped", "Bo stopped it."));
        assert!(matches!(rehearsals.stop(&first.id, "Bo"), Err(Fault::Refused(_))), "it is over");
        let second = begin().expect("there is room again");
        assert_eq!(rehearsals.all().iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [&second.id, &first.id]);
        rehearsals.stop(&second.id, "Bo").expect("stopped");
        ended(&rehearsals, &second.id);
    }

    #[test]
    fn scenarios_that_come_with_the_gate_are_sound_and_all_of_them() {
        let all = scenarios();
        for scenario in &all {
            let read = Scenario::parse(&scenario.text, None).expect("sound");
            assert_eq!((read.name(), read.title()), (scenario.name.as_str(), scenario.title.as_str()));
        }
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs/scenarios");
        let files = std::fs::read_dir(directory).expect("listed").count();
        assert_eq!(all.len() + 1, files, "all but the month");
    }
}
