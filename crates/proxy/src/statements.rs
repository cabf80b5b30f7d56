//! The statements of one database: the policy that judges them, the file that its book lives in, and what operators ask of it.
//!
//! All workers share one. A verdict that was made before costs one look under a lock that nobody holds for longer; the disk is
//! written by a thread of its own.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use portcullis_pgguard::book::{ANY, BOOK_BYTES, Book, Entry, Stage, Who};
use portcullis_pgguard::description::Answer;
use portcullis_pgguard::egress::{Amount, Budget, Egress, Over, Proposal, Receiver, USUAL_BYTES};
use portcullis_pgguard::lineage::Lineage;
use portcullis_pgguard::policy::{Context, Denial, Policy, Rules, Ruling, Statement, Verdict};
use portcullis_pgguard::reach;
use portcullis_pgguard::session::Outflow;
use portcullis_types::Reason;
use portcullis_wire::postgres::frontend::Values;
use serde_json::{Value, json};

/// How often a book that has changed is written.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// What is usual is written once in so many of those times.
const USUAL_EVERY: u64 = 12;
/// The longest file of what left.
const LEFT_BYTES: u64 = 64 * 1024 * 1024;
/// How many times what is usual a proposed budget is.
const BESIDES: u64 = 3;
/// Statements in one answer to an operator; the file has them all.
const SHOWN: usize = 500;

/// The statements of one database.
#[derive(Debug)]
pub(crate) struct Statements {
    policy: Mutex<Policy>,
    egress: Mutex<Egress>,
    /// What the server's catalogue says; nothing before it was asked.
    lineage: ArcSwap<Lineage>,
    path: Option<PathBuf>,
    saving: Mutex<()>,
    retired: AtomicBool,
    saved: AtomicU64,
    unsaved: AtomicU64,
    /// Of what was usual: how much of it is on the disk.
    usual_saved: AtomicU64,
    /// Where what left under budgets outlives a restart, and how much of it is on the disk.
    left: Option<Left>,
    left_saved: AtomicU64,
}

/// Where what left is written down, and by which key whose it is is hashed.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) path: PathBuf,
    pub(crate) key: [u64; 2],
}

/// What an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask<'a> {
    /// Everything, or what is not approved only.
    Show { role: Option<&'a str>, open: bool },
    /// Moves a role to a stage.
    Stage { role: &'a str, stage: Stage, despite: bool },
    /// Approves what a role was seen to run, or one statement.
    /// With the mark of what was shown, nothing else is approved.
    Approve { role: Option<&'a str>, key: Option<u64>, mark: Option<&'a str> },
}

impl Statements {
    /// Reads the book, if there is one.
    ///
    /// # Errors
    /// The file is there and cannot be read, in words.
    pub(crate) fn open(
        path: Option<PathBuf>,
        rules: Rules,
        budgets: Vec<Budget>,
        left: Option<Left>,
    ) -> Result<Arc<Self>, String> {
        let book = match &path {
            Some(path) => read(path)?,
            None => Book::default(),
        };
        let statements = Arc::new(Self {
            policy: Mutex::new(Policy::new(rules, book, secret())),
            egress: Mutex::new(Egress::new(budgets)),
            lineage: ArcSwap::default(),
            path,
            saving: Mutex::default(),
            retired: AtomicBool::new(false),
            saved: AtomicU64::new(0),
            unsaved: AtomicU64::new(0),
            usual_saved: AtomicU64::new(0),
            left,
            left_saved: AtomicU64::new(0),
        });
        statements.take_back();
        if let Some(path) = &statements.path
            && let Err(why) = read_usual(&usual(path)).and_then(|text| statements.egress().read_usual(&text))
        {
            // Nobody is held to it: it is begun anew.
            tracing::warn!("what was usual in {} is not taken up: {why}", usual(path).display());
        }
        if statements.path.is_some() || statements.left.is_some() {
            let known = Arc::downgrade(&statements);
            let saver = thread::Builder::new().name("books".to_owned());
            saver.spawn(move || keep_saved(&known)).map_err(|error| format!("no thread to write the book: {error}"))?;
        }
        Ok(statements)
    }

    /// Where the book is kept.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Puts another declaration in force.
    pub(crate) fn set(&self, rules: Rules, budgets: Vec<Budget>) {
        let before = self.relations();
        self.lock().set_rules(rules);
        self.egress().set_budgets(budgets);
        if self.relations() != before {
            // What was asked of the catalogue was asked about others.
            self.set_lineage(Lineage::default());
        }
    }

    pub(crate) fn judge(&self, text: &[u8], context: &Context) -> Option<Arc<Verdict>> {
        self.lock().judge(text, context, now())
    }

    pub(crate) fn told(&self, text: &[u8], answer: Answer, context: &Context) -> Arc<Verdict> {
        self.lock().told(text, answer, context, now())
    }

    pub(crate) fn bind(&self, statement: &Statement, values: &Values<'_>, context: &Context) -> Ruling {
        self.lock().bind(statement, values, context, now())
    }

    pub(crate) fn execute(&self, prepared: &Statement, execute: &Statement, context: &Context) -> Ruling {
        self.lock().execute(prepared, execute, context, now())
    }

    /// Takes what is about to leave off the budgets.
    ///
    /// # Errors
    /// It may not leave; nothing was taken.
    pub(crate) fn charge(&self, session: u64, who: &Who, outflow: &Outflow<'_>, values: u64) -> Result<(), Denial> {
        let read = outflow.verdict.and_then(|(verdict, at)| verdict.statements.get(at)?.described.clone());
        let mut egress = self.egress();
        let relations: Vec<Box<str>> = match &read {
            Some(described) => {
                let lineage = self.lineage.load();
                egress.relations().filter(|name| lineage.reads(described, name)).map(Into::into).collect()
            }
            // What nobody judged may be of any.
            None => egress.relations().map(Into::into).collect(),
        };
        let amount = Amount { rows: outflow.rows, bytes: outflow.bytes, values };
        let to = Receiver { session, who, relations: &relations };
        egress.charge(to, amount, now()).map_err(|Over(words)| Denial { reason: Reason::EgressBudget, detail: words })
    }

    /// Relations that are declared, by budgets or as sensitive, and those of them that are sensitive.
    pub(crate) fn relations(&self) -> (Vec<Box<str>>, Vec<Box<str>>) {
        let sensitive = self.lock().rules().sensitive.clone();
        let mut all: Vec<Box<str>> =
            self.egress().relations().map(Into::into).chain(sensitive.iter().cloned()).collect();
        all.sort();
        all.dedup();
        (all, sensitive)
    }

    /// What the server's catalogue says now.
    pub(crate) fn lineage(&self) -> arc_swap::Guard<Arc<Lineage>> {
        self.lineage.load()
    }

    /// The server's catalogue could not be read again.
    pub(crate) fn doubt_lineage(&self) {
        let doubted = self.lineage.load().doubted();
        self.set_lineage(doubted);
    }

    /// The server's catalogue was read again.
    pub(crate) fn set_lineage(&self, lineage: Lineage) {
        let lineage = Arc::new(lineage);
        self.lock().set_lineage(Arc::clone(&lineage));
        self.lineage.store(lineage);
    }

    /// A session is over.
    pub(crate) fn forget(&self, session: u64) {
        self.egress().forget(session);
    }

    /// For `portcullis status`.
    pub(crate) fn status(&self) -> Value {
        let policy = self.lock();
        let (book, counts) = (policy.book(), policy.counts);
        let approved = book.entries().filter(|(_, _, entry)| entry.approved.is_some()).count();
        let stages: serde_json::Map<String, Value> =
            book.stages().map(|(role, stage)| (role.to_owned(), stage_name(stage).into())).collect();
        json!({
            "stages": stages,
            "statements": book.entries().count(),
            "approved": approved,
            "lost": book.lost,
            "unsaved": self.unsaved.load(Ordering::Relaxed),
            "described": counts.described,
            "unreadable": counts.unreadable,
            "parser_failed": counts.parser_failed,
            "forbidden": counts.forbidden,
            "unknown": counts.unknown,
        })
    }

    /// Does what an operator asks. What it comes to in words, and in detail; the words are `None` where nothing was changed.
    ///
    /// # Errors
    /// In words for the operator.
    pub(crate) fn operate(&self, ask: Ask<'_>) -> Result<(Option<String>, Value), String> {
        let done = {
            let mut policy = self.lock();
            match ask {
                Ask::Show { role, open } => {
                    let mut value = shown(policy.book(), role, open);
                    drop(policy);
                    value["budgets"] = proposed(&self.egress().proposals());
                    return Ok((None, value));
                }
                Ask::Stage { role, stage, despite } => {
                    let before = policy.book().stage(role);
                    if stage == Stage::Enforce && !despite {
                        ready(policy.book(), role)?;
                    }
                    policy.book_mut().set_stage(role, stage);
                    format!("role {role}: {} -> {}", stage_name(before), stage_name(stage))
                }
                Ask::Approve { role, key, mark } => {
                    if let Some(mark) = mark {
                        let role = role.ok_or("a mark is of one role")?;
                        let known =
                            policy.book().marks().get(&(Arc::from(role), key)).map(|mark| format!("{mark:016x}"));
                        if known.as_deref() != Some(mark) {
                            return Err("what waits is not what was shown any more: look again".to_owned());
                        }
                    }
                    let count = policy.book_mut().approve(role, key);
                    if count == 0 {
                        return Err("there is nothing to approve".to_owned());
                    }
                    let of = role.map_or_else(String::new, |role| format!(" of role {role}"));
                    match key {
                        Some(key) => format!("approved statement {key:016x}{of}"),
                        None => format!("approved {count} statements{of}"),
                    }
                }
            }
        };
        // A decision of a person is on the disk before it is said to be made.
        self.save().map_err(|error| format!("{done}; but the book could not be written: {error}"))?;
        Ok((Some(done), Value::Null))
    }

    /// Writes the book where it has changed.
    pub(crate) fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        // Of two that save at once, the later one must not be overtaken by the earlier one's book.
        let _one = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let book = {
            let policy = self.lock();
            let known = policy.book().changes() == self.saved.load(Ordering::Acquire);
            if known || self.retired.load(Ordering::Acquire) {
                return Ok(());
            }
            // Copied, because making the text of a great book takes longer than a session should wait.
            policy.book().clone()
        };
        let changes = book.changes();
        match replace(path, book.write().as_bytes()) {
            Ok(()) => {
                self.saved.store(changes, Ordering::Release);
                self.unsaved.store(0, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                self.unsaved.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Writes what was usual where it has changed. It is of use in days, and is written now and then.
    pub(crate) fn save_usual(&self) {
        let Some(path) = &self.path else { return };
        let (noted, text) = {
            let egress = self.egress();
            let noted = egress.noted();
            if noted == self.usual_saved.load(Ordering::Acquire) || self.retired.load(Ordering::Acquire) {
                return;
            }
            (noted, egress.write_usual())
        };
        match replace(&usual(path), text.as_bytes()) {
            Ok(()) => self.usual_saved.store(noted, Ordering::Release),
            Err(error) => tracing::warn!("what was usual could not be written: {error}"),
        }
    }

    /// Takes up what left before: a restart is no fresh budget.
    fn take_back(&self) {
        let Some(Left { path, key }) = &self.left else { return };
        let bytes = match fs::metadata(path) {
            Ok(facts) if facts.len() > LEFT_BYTES => Err(io::Error::other("it is too long")),
            Ok(_) => fs::read(path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        let read = bytes.map_err(|error| error.to_string());
        if let Err(why) = read.and_then(|bytes| self.egress().read_left(&bytes, *key, now())) {
            // Service comes first: the budgets begin anew, and that is said.
            tracing::warn!("what left by {} is not known: its budgets begin anew: {why}", path.display());
        }
    }

    /// Writes what left where it has changed.
    pub(crate) fn save_left(&self) {
        let Some(Left { path, .. }) = &self.left else { return };
        let _one = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let (charged, bytes) = {
            let mut egress = self.egress();
            let charged = egress.charged();
            if charged == self.left_saved.load(Ordering::Acquire) || self.retired.load(Ordering::Acquire) {
                return;
            }
            (charged, egress.write_left(now()))
        };
        match replace(path, &bytes) {
            Ok(()) => self.left_saved.store(charged, Ordering::Release),
            Err(error) => tracing::warn!("what left could not be written to {}: {error}", path.display()),
        }
    }

    /// Another process holds the book from now on; what this one still learns is not written over it.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    fn egress(&self) -> MutexGuard<'_, Egress> {
        self.egress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Statements {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            tracing::error!("the book of statements could not be written: {error}");
        }
        self.save_usual();
        self.save_left();
    }
}

/// What an operator's words come to: what is said, what is shown, and what is written down where something was changed.
///
/// # Errors
/// In words for the operator.
pub(crate) fn asked(
    databases: &[(&str, &Statements)],
    args: &Value,
) -> Result<(String, Value, Option<String>), String> {
    let text = |key: &str| args.get(key).and_then(Value::as_str);
    let (name, statements) = match (text("database"), databases) {
        (None, [only]) => *only,
        (None, []) => return Err("no database is guarded here".to_owned()),
        (wanted, all) => {
            let names = || all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let found = all.iter().find(|(name, _)| Some(*name) == wanted);
            *found.ok_or_else(|| match wanted {
                Some(wanted) => format!("there is no database `{wanted}`; there are {}", names()),
                None => format!("which database? There are {}", names()),
            })?
        }
    };
    let need = |key: &str| text(key).ok_or_else(|| format!("`pg` needs `{key}`"));
    let ask = match need("do")? {
        what @ ("show" | "diff") => Ask::Show { role: text("role"), open: what == "diff" },
        "stage" => Ask::Stage {
            role: need("role")?,
            stage: match need("stage")? {
                "observe" => Stage::Observe,
                "learn" => Stage::Learn,
                "enforce" => Stage::Enforce,
                other => return Err(format!("there is no stage `{other}`")),
            },
            despite: args.get("despite").and_then(Value::as_bool).unwrap_or_default(),
        },
        "approve" => {
            let key = text("key")
                .map(|key| u64::from_str_radix(key, 16).map_err(|_| format!("`{key}` is no number of a statement")));
            Ask::Approve { role: text("role"), key: key.transpose()?, mark: text("mark") }
        }
        other => return Err(format!("`pg` cannot {other}")),
    };
    let (done, shown) = statements.operate(ask)?;
    let Some(done) = done else { return Ok((String::new(), shown, None)) };
    let place = match statements.path() {
        Some(path) => format!("in {}", path.display()),
        None => "until the gate ends, because the database has no `book`".to_owned(),
    };
    Ok((format!("{name}: {done}, {place}"), shown, Some(format!("pg {name}: {done}"))))
}

fn keep_saved(known: &Weak<Statements>) {
    for round in 1_u64.. {
        for _ in 0..SAVE_EVERY.as_secs() {
            thread::sleep(Duration::from_secs(1));
            let Some(statements) = known.upgrade() else { return };
            statements.save_left();
        }
        let Some(statements) = known.upgrade() else { return };
        if let Err(error) = statements.save() {
            tracing::error!("the book of statements could not be written: {error}");
        }
        if round.is_multiple_of(USUAL_EVERY) {
            statements.save_usual();
        }
    }
}

/// Whether a role may be held to what is approved; otherwise why not.
fn ready(book: &Book, role: &str) -> Result<(), String> {
    let own = || book.entries().filter(|(who, _, entry)| (role == ANY || &*who.role == role) && entry.learned);
    let open = own().filter(|(_, _, entry)| entry.waits()).count();
    if own().next().is_none() {
        return Err(format!("nothing was learned of role {role}: all that it runs would be refused"));
    }
    if open > 0 {
        return Err(format!(
            "{open} statements of role {role} were learned and are not approved: look at them with `portcullis pg diff`, then \
             `portcullis pg approve`"
        ));
    }
    Ok(())
}

fn shown(book: &Book, role: Option<&str>, open: bool) -> Value {
    let wanted =
        |(who, _, entry): &(&Who, u64, &Entry)| role.is_none_or(|role| role == &*who.role) && (!open || entry.waits());
    let bands = |reach: &reach::Reach| {
        let said = reach.measures().map(|(measure, band)| format!("{measure} {}", reach::band(measure, band)));
        said.collect::<Vec<_>>()
    };
    let marks = book.marks();
    let mark = |role: &Arc<str>, key| marks.get(&(Arc::clone(role), key)).map(|mark| format!("{mark:016x}"));
    let line = |(who, key, entry): (&Who, u64, &Entry)| {
        json!({
            "key": format!("{key:016x}"),
            "mark": mark(&who.role, Some(key)),
            "further": entry.approved.as_ref().map(|approved| approved.excess(&entry.seen)),
            "role": &*who.role,
            "client": &*who.client,
            "form": &*entry.form,
            "facts": entry.facts.iter().map(|fact| &**fact).collect::<Vec<_>>(),
            "seen": bands(&entry.seen),
            "approved": entry.approved.as_ref().map(bands),
            "refused": !entry.learned,
            "first": entry.first,
        })
    };
    let stages: serde_json::Map<String, Value> =
        book.stages().map(|(role, stage)| (role.to_owned(), stage_name(stage).into())).collect();
    let mut roles: BTreeMap<Arc<str>, [u64; 3]> = book.stages().map(|(role, _)| (Arc::from(role), [0; 3])).collect();
    for (who, _, entry) in book.entries() {
        let [approved, waiting, refused] = roles.entry(Arc::clone(&who.role)).or_default();
        *approved += u64::from(entry.approved.is_some());
        *waiting += u64::from(entry.waits() && entry.learned);
        *refused += u64::from(entry.waits() && !entry.learned);
    }
    let roles = roles.into_iter().filter(|(name, _)| role.is_none_or(|role| role == &**name));
    let roles = roles.map(|(role, [approved, waiting, refused])| {
        let stage = stage_name(book.stage(&role));
        json!({"role": &*role, "stage": stage, "approved": approved, "waiting": waiting, "refused": refused, "mark": mark(&role, None)})
    });
    json!({
        "stages": stages,
        "roles": roles.collect::<Vec<_>>(),
        "total": book.entries().filter(wanted).count(),
        "statements": book.entries().filter(wanted).take(SHOWN).map(line).collect::<Vec<_>>(),
    })
}

/// What ordinary windows came to, and what that suggests: `BESIDES` times what 999 of 1,000 stayed within. A person puts it into
/// the configuration.
fn proposed(proposals: &[Proposal]) -> Value {
    let line = |one: &Proposal| {
        json!({
            "role": &*one.role,
            "within": one.window.name(),
            "measure": one.measure.name(),
            "usual": one.usual,
            "greatest": one.greatest,
            "windows": one.windows,
            "proposed": one.usual.saturating_mul(BESIDES),
        })
    };
    proposals.iter().map(line).collect()
}

/// Keys the tables that hold what clients sent: the system's randomness, as the standard library draws it.
fn secret() -> [u8; 16] {
    let draw = || RandomState::new().build_hasher().finish().to_ne_bytes();
    let mut secret = [0; 16];
    secret.iter_mut().zip(draw().into_iter().chain(draw())).for_each(|(place, byte)| *place = byte);
    secret
}

pub(crate) const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Observe => "observe",
        Stage::Learn => "learn",
        Stage::Enforce => "enforce",
    }
}

fn read(path: &Path) -> Result<Book, String> {
    let said = |error: &dyn std::fmt::Display| format!("the book of statements {}: {error}", path.display());
    match fs::metadata(path) {
        Ok(facts) if facts.len() > BOOK_BYTES as u64 => return Err(said(&"it is too long to be one")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Book::default()),
        Err(error) => return Err(said(&error)),
    }
    let text = fs::read_to_string(path).map_err(|error| said(&error))?;
    Book::read(&text).map_err(|error| said(&error))
}

/// Where what was usual is kept: beside the book, which only persons and new statements change.
fn usual(book: &Path) -> PathBuf {
    let mut path = book.as_os_str().to_owned();
    path.push(".usual");
    path.into()
}

fn read_usual(path: &Path) -> Result<String, String> {
    match fs::metadata(path) {
        Ok(facts) if facts.len() > USUAL_BYTES as u64 => Err("it is too long".to_owned()),
        Ok(_) => fs::read_to_string(path).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// Replaces a file whole: after a crash there is the old one or the new one.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let home = path.parent().filter(|home| !home.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(home)?.sync_all()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_pgguard::description::{Deed, Described};
    use std::net::{IpAddr, Ipv4Addr};

    fn context() -> Context {
        Context {
            guard: "members".into(),
            role: "app".into(),
            database: "members".into(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            application: "".into(),
        }
    }

    fn answer(form: &str) -> Answer {
        Answer::Described(vec![Described {
            fingerprint: form.len() as u64,
            form: form.into(),
            facts: vec!["reads members".into()],
            reach: reach::Reach::default(),
            kinds: vec![],
            relations: vec![],
            parameters: vec![],
            deed: Deed::None,
        }])
    }

    fn rules() -> Rules {
        Rules { enforce: true, ..Rules::default() }
    }

    #[test]
    fn a_role_is_learned_approved_and_held_to_it_and_the_file_knows() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("book.toml");
        let open = || Statements::open(Some(path.clone()), rules(), Vec::new(), None).unwrap();
        let statements = open();
        let stage = |stage, despite| statements.operate(Ask::Stage { role: "app", stage, despite });
        assert!(stage(Stage::Enforce, false).unwrap_err().contains("nothing was learned"));
        stage(Stage::Learn, false).unwrap();
        assert_eq!(statements.judge(b"SELECT 1", &context()), None, "the parser has to be asked");
        assert_eq!(statements.told(b"SELECT 1", answer("SELECT ?"), &context()).ruling, Ruling::Pass);
        assert!(statements.judge(b"SELECT 1", &context()).is_some());
        assert!(stage(Stage::Enforce, false).unwrap_err().contains("not approved"));
        let (_, value) = statements.operate(Ask::Show { role: None, open: true }).unwrap();
        assert_eq!((&value["total"], &value["statements"][0]["form"]), (&json!(1), &json!("SELECT ?")));
        let mark = value["roles"][0]["mark"].as_str().expect("something waits").to_owned();
        assert_eq!((&value["roles"][0]["waiting"], &value["statements"][0]["further"]), (&json!(1), &Value::Null));
        let approve = |mark| statements.operate(Ask::Approve { role: Some("app"), key: None, mark: Some(mark) });
        let other = approve("0000000000000001").unwrap_err();
        assert!(other.contains("look again"), "nothing but what was shown: {other}");
        let (said, _) = approve(&mark).unwrap();
        assert_eq!(said.as_deref(), Some("approved 1 statements of role app"));
        stage(Stage::Enforce, false).unwrap();
        assert_eq!(statements.judge(b"SELECT 1", &context()).unwrap().ruling, Ruling::Pass);
        let stranger = statements.told(b"SELECT 22", answer("SELECT ??"), &context());
        assert!(matches!(&stranger.ruling, Ruling::Refused(_)), "{stranger:?}");
        drop(statements);

        let again = open();
        assert_eq!(again.told(b"SELECT 1", answer("SELECT ?"), &context()).ruling, Ruling::Pass);
        assert!(matches!(again.told(b"SELECT 22", answer("SELECT ??"), &context()).ruling, Ruling::Refused(_)));
        let (_, value) = again.operate(Ask::Show { role: None, open: true }).unwrap();
        assert_eq!(value["statements"][0]["refused"], json!(true), "what was refused can be looked at");
    }

    #[test]
    fn operators_words_are_read() {
        let statements = Statements::open(None, rules(), Vec::new(), None).unwrap();
        let one = [("members", &*statements)];
        let two = [("members", &*statements), ("shop", &*statements)];
        let learn = json!({"do": "stage", "role": "app", "stage": "learn"});
        let (said, _, written) = asked(&one, &learn).unwrap();
        assert!(said.contains("until the gate ends"));
        assert_eq!(written.as_deref(), Some("pg members: role app: observe -> learn"));
        assert_eq!(asked(&one, &json!({"do": "show"})).unwrap().2, None, "looking changes nothing");
        let refused = [
            (&two[..], learn.clone(), "which database"),
            (&two[..], json!({"do": "show", "database": "x"}), "there are members, shop"),
            (&[][..], learn, "no database"),
            (&one[..], json!({"do": "stage", "role": "app", "stage": "x"}), "no stage"),
            (&one[..], json!({"do": "stage", "stage": "learn"}), "needs `role`"),
            (&one[..], json!({"do": "approve", "key": "xyz"}), "no number"),
            (&one[..], json!({"do": "approve"}), "nothing to approve"),
            (&one[..], json!({"do": "fly"}), "cannot fly"),
        ];
        for (databases, args, words) in refused {
            assert!(asked(databases, &args).unwrap_err().contains(words), "{args}");
        }
    }

    #[test]
    fn another_declaration_forgets_what_was_asked_about_the_one_before() {
        let sensitive = |name: &str| Rules { sensitive: vec![name.into()], ..rules() };
        let statements = Statements::open(None, sensitive("members"), Vec::new(), None).unwrap();
        let read = Lineage::new("live", [7, 8], Vec::new(), Vec::new(), &["members".into()]);
        statements.set_lineage(read);
        assert_eq!(statements.lineage().is_sensitive("live", 8), Some(false));
        statements.set(sensitive("members"), Vec::new());
        assert_eq!(statements.lineage().is_sensitive("live", 8), Some(false), "nothing has changed");
        statements.set(sensitive("donations"), Vec::new());
        assert_eq!(statements.lineage().is_sensitive("live", 8), None, "8 may be donations");
    }

    #[test]
    fn what_was_usual_is_known_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("book.toml");
        let open = || Statements::open(Some(path.clone()), rules(), Vec::new(), None).unwrap();
        let budgets = |of: &Statements| of.operate(Ask::Show { role: None, open: false }).unwrap().1["budgets"].clone();
        let statements = open();
        assert_eq!(budgets(&statements), json!([]));
        let who = Who::new("app", context().client);
        let (amount, now) = (Amount { rows: 5, bytes: 500, values: 0 }, now());
        for minute in 0..200 {
            let to = Receiver { session: 1, who: &who, relations: &[] };
            statements.egress().charge(to, amount, now + minute * 60).unwrap();
        }
        let before = budgets(&statements);
        assert_ne!(before, json!([]));
        drop(statements);
        assert_eq!(budgets(&open()), before);
        // A file that is none costs what was usual, and no more.
        fs::write(usual(&path), "usual = 7").unwrap();
        assert_eq!(budgets(&open()), json!([]));
    }

    #[test]
    fn what_left_counts_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let left = Left { path: home.path().join("left.members"), key: [1, 2] };
        let budget = Budget {
            role: ANY.into(),
            scope: portcullis_pgguard::egress::Scope::Role,
            window: portcullis_types::Span::Hour,
            measure: portcullis_pgguard::egress::Measure::Rows,
            most: 100,
        };
        let open = || Statements::open(None, rules(), vec![budget.clone()], Some(left.clone())).unwrap();
        let who = Who::new("app", context().client);
        let take = |of: &Statements, rows: u64| {
            let to = Receiver { session: 1, who: &who, relations: &[] };
            of.egress().charge(to, Amount { rows, bytes: rows, values: 0 }, now()).is_ok()
        };
        let statements = open();
        assert!(take(&statements, 80));
        drop(statements);
        let statements = open();
        assert!(!take(&statements, 21) && take(&statements, 20) && !take(&statements, 1));
        // Without a word, as a crash ends it: what was written a moment ago stands.
        statements.save_left();
        statements.retire();
        drop(statements);
        assert!(!take(&open(), 1));
        fs::write(&left.path, b"no such thing").unwrap();
        assert!(take(&open(), 100), "what cannot be read costs no service");
    }

    #[test]
    fn who_has_handed_over_writes_no_more() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("book.toml");
        let statements = Statements::open(Some(path.clone()), rules(), Vec::new(), None).unwrap();
        let learn = Ask::Stage { role: "app", stage: Stage::Learn, despite: false };
        statements.operate(learn).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        statements.retire();
        statements.told(b"SELECT 1", answer("SELECT ?"), &context());
        statements.save().unwrap();
        drop(statements);
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }

    #[test]
    fn a_book_that_cannot_be_read_is_said_and_not_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("book.toml");
        fs::write(&path, "[[statement]]\nrole = 1").unwrap();
        assert!(Statements::open(Some(path.clone()), rules(), Vec::new(), None).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[[statement]]\nrole = 1");
    }

    #[test]
    fn a_book_that_cannot_be_written_is_kept_and_counted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("gone").join("book.toml");
        let statements = Statements::open(Some(path), rules(), Vec::new(), None).unwrap();
        let learn = Ask::Stage { role: "app", stage: Stage::Learn, despite: false };
        assert!(statements.operate(learn).unwrap_err().contains("could not be written"));
        assert_eq!(statements.status()["unsaved"], json!(1));
        assert_eq!(statements.status()["stages"]["app"], json!("learn"), "it holds all the same");
    }
}
