//! A database's schema, as hashes: relations with their columns, indexes and constraints, functions, triggers, policies, roles
//! and their memberships, grants, extensions. Read from the server's own catalogue over a connection of the gate's own.
//!
//! It reads no row of any table but the catalogue's, and changes nothing. What is on record is a name and two hashes.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use portcullis_config::integrity::Schema;
use portcullis_config::policy::Database;
use portcullis_ledger::{Change, Event, Finding};
use sha2::{Digest as _, Sha256};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::manifest::hex;
use crate::outside::secure;
use crate::sense::Sense;
use crate::{learned, low_priority};

/// What cannot be seen.
pub(crate) const BLIND_TO: &str = "rows that valid roles change, whatever changed and changed back between two looks, and the bodies of \
functions in compiled libraries";

const OPTIONS: &str = "-c default_transaction_read_only=on -c statement_timeout=20s -c lock_timeout=1s \
                       -c search_path=pg_catalog -c standard_conforming_strings=on -c client_min_messages=error";
/// Objects of one kind that are looked at.
const OBJECTS: usize = 50_000;
/// What one look may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest password file.
const PASSWORD: u64 = 4096;

/// Kinds of objects, and what asks for their names and definitions.
const KINDS: [(&str, &str); 8] = [
    (
        "relation",
        "select n.nspname || '.' || c.relname, c.relkind::text || c.relrowsecurity::text || c.relforcerowsecurity::text || \
         pg_get_userbyid(c.relowner) || coalesce(c.relacl::text, '') || coalesce(pg_get_viewdef(c.oid), '') || \
         coalesce((select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull::text || \
             coalesce(pg_get_expr(d.adbin, d.adrelid), '') || coalesce(a.attacl::text, ''), ',' order by a.attnum) \
             from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '') || \
         coalesce((select string_agg(k.conname || pg_get_constraintdef(k.oid), ',' order by k.conname) \
             from pg_constraint k where k.conrelid = c.oid), '') \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname !~ '^pg_(toast|temp)' \
         and n.nspname not in ('pg_catalog', 'information_schema')",
    ),
    (
        "function",
        "select p.oid::regprocedure::text, p.prolang::text || p.prosecdef::text || pg_get_userbyid(p.proowner) || p.prosrc || \
         coalesce(p.probin, '') || coalesce(p.proconfig::text, '') || coalesce(p.proacl::text, '') || coalesce(p.proargtypes::text, '') || \
         p.prorettype::regtype::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
         where n.nspname not in ('pg_catalog', 'information_schema')",
    ),
    (
        "trigger",
        "select t.tgrelid::regclass::text || '.' || t.tgname, t.tgenabled::text || pg_get_triggerdef(t.oid) \
         from pg_trigger t where not t.tgisinternal",
    ),
    (
        "event-trigger",
        "select evtname::text, evtevent || evtfoid::regprocedure::text || evtenabled::text || coalesce(evttags::text, '') from pg_event_trigger",
    ),
    (
        "policy",
        "select polrelid::regclass::text || '.' || polname, polcmd::text || polpermissive::text || polroles::regrole[]::text || \
         coalesce(pg_get_expr(polqual, polrelid), '') || coalesce(pg_get_expr(polwithcheck, polrelid), '') from pg_policy",
    ),
    (
        "role",
        "select r.rolname::text, r.rolsuper::text || r.rolinherit::text || r.rolcreaterole::text || r.rolcreatedb::text || \
         r.rolcanlogin::text || r.rolreplication::text || r.rolbypassrls::text || r.rolconnlimit::text || \
         coalesce(r.rolvaliduntil::text, '') || coalesce(r.rolconfig::text, '') || \
         coalesce((select string_agg(g.rolname, ',' order by g.rolname) from pg_auth_members m \
             join pg_roles g on g.oid = m.roleid where m.member = r.oid), '') from pg_roles r",
    ),
    ("extension", "select extname::text, extversion || extnamespace::regnamespace::text from pg_extension"),
    (
        "schema",
        "select nspname::text, pg_get_userbyid(nspowner) || coalesce(nspacl::text, '') from pg_namespace \
         where nspname !~ '^pg_(toast|temp)'",
    ),
];

/// Who opens a session of a database beside the gate's relay says so here: database, role and its own address. Whoever compares the
/// server's sessions and rows with the gate's must not take it for one that came past the gate. `None` where nobody compares.
pub type OwnSessions = Arc<dyn Fn(&str, &str, SocketAddr) -> Option<Box<dyn OwnSession>> + Send + Sync>;

/// A session that was told of, for as long as it lasts.
pub trait OwnSession: Send {
    /// The server has named its process.
    fn serves(&self, process: u32);
    /// It was given rows.
    fn rows(&self, count: u64);
}

/// What the thread is asked.
pub(crate) enum Ask {
    /// Take the present schema as what should be, on somebody's word.
    Relearn { by: String, done: Sender<Result<String, String>> },
    /// Look, and compare with one function more than there is.
    Drill { seen: Sender<Result<Instant, String>> },
}

/// What a drill adds to a schema.
const DRILL: &str = "function portcullis_drill()";

/// Names of objects with the SHA-256 of their definitions.
type Objects = BTreeMap<String, String>;

/// Looks at one database's schema until whoever holds the other end of `asked` goes.
pub(crate) fn run(
    database: &Database,
    declared: &Schema,
    sessions: &OwnSessions,
    state: Option<PathBuf>,
    sense: &Sense,
    asked: &Receiver<Ask>,
) {
    low_priority();
    let state = state.map(|state| state.join(format!("schema-{}.json", database.name)));
    let mut known: Option<Objects> = learned::read(state.as_deref());
    let mut told = Objects::new();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return sense.down(&error.to_string()),
    };
    let look = || {
        runtime.block_on(async {
            tokio::time::timeout(PATIENCE, look(database, declared, sessions))
                .await
                .unwrap_or_else(|_| Err(format!("it took longer than {} s", PATIENCE.as_secs())))
        })
    };
    loop {
        match look() {
            Err(why) => {
                sense.dropped(1);
                sense.blind(&why);
            }
            Ok(objects) => {
                sense.seen(objects.len() as u64);
                sense.up();
                match &known {
                    None => {
                        sense.words(format!("{} objects were taken as they are", objects.len()));
                        let words = format!(
                            "{}: {} objects of the schema were taken as they are",
                            database.name,
                            objects.len()
                        );
                        sense.record(Event::Change(Change {
                            what: "baseline".to_owned(),
                            by: "gate".to_owned(),
                            words,
                            ..Change::default()
                        }));
                        learned::keep(state.as_deref(), &objects, "what the schema is like");
                        known = Some(objects);
                    }
                    Some(before) => {
                        let differ = compare(&database.name, before, &objects, &mut told, sense);
                        sense.words(format!(
                            "{} objects, each {} s; {differ} differ",
                            objects.len(),
                            declared.interval.as_secs()
                        ));
                    }
                }
            }
        }
        let due = Instant::now() + declared.interval;
        while Instant::now() < due {
            sense.alive();
            match asked.recv_timeout(due.saturating_duration_since(Instant::now()).min(Duration::from_secs(1))) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Ask::Relearn { by, done }) => {
                    (known, told) = (None, Objects::new());
                    let words = format!("{}: the schema is taken anew, on the word of {by}", database.name);
                    let change = Change { what: "baseline".to_owned(), by, words: words.clone(), ..Change::default() };
                    sense.record(Event::Change(change));
                    // Whoever asked may have gone.
                    let _ = done.send(Ok(words));
                    break;
                }
                Ok(Ask::Drill { seen }) => {
                    let now = look().map(|mut now| {
                        now.insert(DRILL.to_owned(), String::new());
                        now
                    });
                    let told = now.and_then(|now| match &known {
                        Some(before) if differences(before, &now).contains_key(&DRILL.to_owned()) => Ok(Instant::now()),
                        Some(_) => Err("a function more is not told".to_owned()),
                        None => Err("the schema is not known yet".to_owned()),
                    });
                    let _ = seen.send(told);
                }
            }
        }
    }
}

/// What differs: how, what it was and what it is.
fn differences<'a>(before: &'a Objects, now: &'a Objects) -> BTreeMap<&'a String, (&'static str, &'a str, &'a str)> {
    let mut differ = BTreeMap::new();
    for (name, hash) in before {
        match now.get(name) {
            Some(same) if same == hash => {}
            Some(other) => drop(differ.insert(name, ("is another one", hash.as_str(), other.as_str()))),
            None => drop(differ.insert(name, ("is gone", hash.as_str(), ""))),
        }
    }
    let new = now.iter().filter(|(name, _)| !before.contains_key(*name));
    differ.extend(new.map(|(name, hash)| (name, ("is new", "", hash.as_str()))));
    differ
}

/// Tells what differs, each once; how many do.
fn compare(database: &str, before: &Objects, now: &Objects, told: &mut Objects, sense: &Sense) -> usize {
    let differ = differences(before, now);
    for (name, (how, was, is)) in &differ {
        if told.get(*name).is_some_and(|told| told == is) {
            continue;
        }
        told.insert((*name).clone(), (*is).to_owned());
        sense.record(Event::Finding(Finding {
            what: "schema-changed".to_owned(),
            platform: database.to_owned(),
            subject: (*name).clone(),
            before: (*was).to_owned(),
            after: (*is).to_owned(),
            words: format!("{database}: {name} {how}"),
            ..Finding::default()
        }));
    }
    told.retain(|name, _| differ.contains_key(name));
    differ.len()
}

async fn look(database: &Database, declared: &Schema, sessions: &OwnSessions) -> Result<Objects, String> {
    let session = Session::open(database, declared, sessions).await?;
    let mut objects = Objects::new();
    for (kind, query) in KINDS {
        let rows = session.ask(&format!("{query} limit {}", OBJECTS + 1)).await;
        let rows = rows.map_err(|why| format!("{kind}: {why}"))?;
        let count = rows.len();
        for row in rows {
            let name = format!("{kind} {}", row.get(0).unwrap_or_default());
            let hash = hex(&Sha256::digest(row.get(1).unwrap_or_default()));
            // Two of one name (as the catalogue prints it) are one, of both hashes.
            let hash = match objects.get(&name) {
                Some(other) => hex(&Sha256::digest(format!("{other}{hash}"))),
                None => hash,
            };
            objects.insert(name, hash);
        }
        if count > OBJECTS {
            return Err(format!("there are more than {OBJECTS} of {kind}"));
        }
    }
    Ok(objects)
}

/// A session of our own.
struct Session {
    client: Client,
    told: Option<Box<dyn OwnSession>>,
}

impl Session {
    async fn open(database: &Database, declared: &Schema, sessions: &OwnSessions) -> Result<Self, String> {
        let stream = secure::database(database).await?;
        let from = stream.tcp().local_addr().map_err(|error| error.to_string())?;
        let told = sessions(&database.name, &declared.role, from);
        let session = Self { client: connect(stream, declared).await?, told };
        let rows = session.ask("select pg_backend_pid()").await?;
        let process = rows.first().and_then(|row| row.get(0)?.parse().ok());
        let process = process.ok_or("the server does not name its process")?;
        session.told.iter().for_each(|told| told.serves(process));
        Ok(session)
    }

    async fn ask(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, String> {
        let messages = self.client.simple_query(sql).await.map_err(|error| words(&error))?;
        let row = |message| if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None };
        let rows: Vec<_> = messages.into_iter().filter_map(row).collect();
        self.told.iter().for_each(|told| told.rows(rows.len() as u64));
        Ok(rows)
    }
}

fn words(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

async fn connect(stream: secure::Stream, declared: &Schema) -> Result<Client, String> {
    let mut config = Config::new();
    config.user(&declared.role).dbname(&declared.inside).options(OPTIONS).application_name("portcullis schema");
    // The stream is encrypted already where it is to be.
    config.ssl_mode(SslMode::Disable);
    if let Some(file) = &declared.password_file {
        let meta = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
        if meta.len() > PASSWORD {
            return Err(format!("{} is no file with a password", file.display()));
        }
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        config.password(text.trim_end_matches(['\r', '\n']));
    }
    let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|error| words(&error))?;
    tokio::spawn(async move {
        // Its end is the client's, who says why.
        let _ = connection.await;
    });
    Ok(client)
}
