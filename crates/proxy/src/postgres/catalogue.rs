//! What a server says of itself, asked over a connection of the gate's own: who is connected, whom it lets in, what it counted, what
//! shows the rows of what.
//!
//! Only reads, in a session that can do nothing else. Every answer has a bound on its rows and on the time that it may take.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portcullis_config::policy::Reconcile;
use portcullis_pgguard::coverage::{LINES, Line, Origin, SESSIONS, Session};
use portcullis_pgguard::lineage::{Calls, Lineage, RELATIONS, SHOWING, Shows};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::Database;
use super::traffic::OwnSession;
use super::upstream;

/// The session that asks: it reads, briefly, and reads texts as the gate writes them.
const OPTIONS: &str = "-c default_transaction_read_only=on -c statement_timeout=5s -c lock_timeout=1s \
                       -c standard_conforming_strings=on -c search_path=pg_catalog -c client_min_messages=error";
const APPLICATION: &str = "portcullis reconcile";
/// The longest password file, in bytes.
const PASSWORD_BYTES: u64 = 4096;
/// Roles whose rows are read.
const ROLES: usize = 4096;
/// Steps from a view to what it is made of.
const DEPTH: u32 = 64;

/// A connection that asks.
pub(super) struct Catalogue {
    client: Client,
    own: OwnSession,
    pub(super) facts: Facts,
}

/// What the server is, and what may be asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// `150018`.
    version: u32,
    /// Where it sees the gate come from; `None` over a socket file.
    pub(super) gate: Option<IpAddr>,
    /// Whether other roles' sessions can be read.
    monitors: bool,
    /// Whether the rules of access can be read.
    rules: bool,
    /// Where `pg_stat_statements` is, quoted, and whether it tells statements from those inside of others.
    statements: Option<(String, bool)>,
}

/// What could not be had, in words.
pub(super) type Failure = String;

impl Catalogue {
    /// Connects as the declared role.
    pub(super) async fn connect(database: &Database, declared: &Reconcile) -> Result<Self, Failure> {
        let stream = upstream::connect(database, true).await?;
        let from = stream.tcp().local_addr().map_err(|error| error.to_string())?;
        let own = database.own_session(&declared.role, from);
        let mut config = Config::new();
        config.user(&declared.role).dbname(&declared.inside).options(OPTIONS).application_name(APPLICATION);
        // The stream is encrypted already where it is to be.
        config.ssl_mode(SslMode::Disable);
        if let Some(file) = &declared.password_file {
            config.password(password(file)?);
        }
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(words)?;
        tokio::spawn(async move {
            // Its end is the client's, who says why.
            let _ = connection.await;
        });
        let facts = Facts { version: 0, gate: None, monitors: false, rules: false, statements: None };
        let mut catalogue = Self { client, own, facts };
        let process = catalogue.introduce().await?;
        catalogue.own.serves(process);
        Ok(catalogue)
    }

    async fn introduce(&mut self) -> Result<u32, Failure> {
        let asked = "select pg_backend_pid(), current_setting('server_version_num'), host(inet_client_addr()), \
                     pg_has_role(current_user, 'pg_read_all_stats', 'usage'), \
                     has_function_privilege('pg_hba_file_rules()', 'execute') \
                         and has_table_privilege('pg_hba_file_rules', 'select'), \
                     (select format('%I', n.nspname) || '/' || e.extversion from pg_extension e \
                      join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements')";
        let rows = self.ask(asked).await?;
        let row = rows.first().ok_or("the server says nothing of itself")?;
        let yes = |at: usize| row.get(at) == Some("t");
        let statements = row.get(5).and_then(|text| {
            let (schema, version) = text.rsplit_once('/')?;
            let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
            let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            Some((schema.to_owned(), version >= (1, 9)))
        });
        self.facts = Facts {
            version: number(row, 1)?,
            gate: row.get(2).and_then(|text| text.parse().ok()),
            monitors: yes(3),
            rules: yes(4),
            statements,
        };
        number(row, 0)
    }

    /// Who is connected, and whether that is everybody.
    pub(super) async fn sessions(&self) -> Result<(Vec<Session>, bool), Failure> {
        if !self.facts.monitors {
            return Err("the role is no member of pg_monitor: it does not see others' sessions".to_owned());
        }
        let asked = format!(
            "select pid, coalesce(backend_start::text, ''), usename, coalesce(datname, ''), host(client_addr), \
             coalesce(client_port, -1), left(application_name, 64) from pg_stat_activity \
             where backend_type in ('client backend', 'walsender') and usename is not null order by pid limit {}",
            SESSIONS + 1
        );
        let rows = self.ask(&asked).await?;
        let whole = rows.len() <= SESSIONS;
        let sessions = rows.iter().take(SESSIONS).map(session).collect::<Result<_, _>>()?;
        Ok((sessions, whole))
    }

    /// How many sessions the server has begun since it counts.
    pub(super) async fn begun(&self) -> Result<u64, Failure> {
        if self.facts.version < 140_000 {
            return Err("PostgreSQL counts its sessions from version 14 on".to_owned());
        }
        let rows = self.ask("select sum(sessions)::bigint from pg_stat_database").await?;
        rows.first().map_or(Err("no count of sessions".to_owned()), |row| number(row, 0))
    }

    /// The rules of access, in their order.
    pub(super) async fn lines(&self) -> Result<Vec<Line>, Failure> {
        if !self.facts.rules {
            return Err("the role may not call pg_hba_file_rules()".to_owned());
        }
        let asked = format!(
            "select line_number, type, array_to_string(database, chr(31)), array_to_string(user_name, chr(31)), \
             address, netmask, auth_method from pg_hba_file_rules where error is null limit {}",
            LINES + 1
        );
        let rows = self.ask(&asked).await?;
        if rows.len() > LINES {
            return Err(format!("pg_hba.conf has more than {LINES} lines"));
        }
        rows.iter().map(line).collect()
    }

    /// Rows that each role was given, by the server's own count, and what says that the count began anew or forgot something.
    pub(super) async fn rows(&self) -> Result<(BTreeMap<Box<str>, u64>, String), Failure> {
        let Some((schema, apart)) = &self.facts.statements else {
            return Err("pg_stat_statements is not installed in this database".to_owned());
        };
        if !self.facts.monitors {
            return Err("the role is no member of pg_monitor: it does not see others' statements".to_owned());
        }
        let only = if *apart { "where s.toplevel" } else { "" };
        let asked = format!(
            "select r.rolname, sum(s.rows)::bigint from {schema}.pg_stat_statements(false) s \
             join pg_roles r on r.oid = s.userid {only} group by 1 limit {ROLES}"
        );
        let rows = self.ask(&asked).await?;
        let mut counted = BTreeMap::new();
        for row in &rows {
            counted.insert(row.get(0).unwrap_or_default().into(), number(row, 1)?);
        }
        let forgot = if *apart {
            let asked = format!("select stats_reset || '/' || dealloc from {schema}.pg_stat_statements_info()");
            self.ask(&asked).await?.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned()
        } else {
            String::new()
        };
        Ok((counted, forgot))
    }

    /// What shows the rows of these relations: views over them, whatever stands in between, and partitions and children.
    pub(super) async fn lineage(
        &self,
        inside: &str,
        declared: &[Box<str>],
        sensitive: &[Box<str>],
    ) -> Result<Lineage, Failure> {
        let names = declared.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
        let named = format!("(select declared from unnest(array[{names}]::text[]) as declared)");
        // From a relation to the rules of views that read it; down to children, whose rows it shows; up to parents, who show
        // its rows, and from there not down again.
        let shown = format!(
            "with recursive shows (declared, oid, down, depth) as ( \
               select declared, c.oid, true, 0 from {named} n join pg_class c on c.relname::text = n.declared \
                 or exists (select from pg_namespace s where s.oid = c.relnamespace \
                            and s.nspname || '.' || c.relname = n.declared) where c.relkind in ('r', 'p', 'v', 'm', 'f') \
               union \
               select s.declared, further.oid, s.down and further.down, s.depth + 1 from shows s, lateral ( \
                 select r.ev_class as oid, true as down from pg_depend d join pg_rewrite r on r.oid = d.objid \
                   where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass \
                   and d.refobjid = s.oid and r.ev_class <> s.oid \
                 union all select i.inhrelid, true from pg_inherits i where s.down and i.inhparent = s.oid \
                 union all select i.inhparent, false from pg_inherits i where i.inhrelid = s.oid) further \
               where s.depth < {DEPTH}) \
             select distinct s.declared, s.oid, n.nspname, c.relname from shows s join pg_class c on c.oid = s.oid \
             join pg_namespace n on n.oid = c.relnamespace limit {}",
            SHOWING + 1
        );
        let rows = self.ask(&shown).await?;
        if rows.len() > SHOWING {
            return Err(format!("more than {SHOWING} relations show what is declared"));
        }
        let shows = rows.iter().map(|row| {
            let text = |at: usize| row.get(at).unwrap_or_default().into();
            Ok(Shows { declared: text(0), object: number(row, 1)?, schema: text(2), name: text(3) })
        });
        let shows = shows.collect::<Result<Vec<_>, Failure>>()?;
        let calls = self.calls(&shows).await?;
        let all = format!("select oid from pg_class where relkind in ('r', 'p', 'v', 'm', 'f') limit {RELATIONS}");
        let all = self.ask(&all).await?;
        let all = all.iter().map(|row| number(row, 0)).collect::<Result<Vec<u32>, _>>()?;
        Ok(Lineage::new(inside, all, shows, calls, sensitive))
    }

    /// Functions of the database's own whose text names one of these relations as a word.
    async fn calls(&self, shows: &[Shows]) -> Result<Vec<Calls>, Failure> {
        if shows.is_empty() {
            return Ok(Vec::new());
        }
        let pairs = shows.iter().map(|one| format!("({}, {})", literal(&one.declared), literal(&one.name)));
        let asked = format!(
            "select distinct n.declared, p.proname from (values {}) as n (declared, name), pg_proc p \
             join pg_namespace s on s.oid = p.pronamespace where s.nspname not in ('pg_catalog', 'information_schema') \
             and position(n.name in coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)) > 0 \
             and (' ' || regexp_replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), '\\W+', ' ', 'g') || ' ') \
                 like '% ' || replace(replace(n.name, '\\', '\\\\'), '_', '\\_') || ' %' limit {}",
            pairs.collect::<Vec<_>>().join(", "),
            SHOWING + 1
        );
        let asked =
            if self.facts.version < 140_000 { asked.replace("pg_get_function_sqlbody(p.oid)", "null") } else { asked };
        let rows = self.ask(&asked).await?;
        if rows.len() > SHOWING {
            return Err(format!("more than {SHOWING} functions name what is declared"));
        }
        let text = |row: &SimpleQueryRow, at: usize| row.get(at).unwrap_or_default().into();
        Ok(rows.iter().map(|row| Calls { declared: text(row, 0), name: text(row, 1) }).collect())
    }

    async fn ask(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, Failure> {
        let messages = self.client.simple_query(sql).await.map_err(words)?;
        let rows: Vec<_> = messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect();
        self.own.rows(rows.len() as u64);
        Ok(rows)
    }
}

fn session(row: &SimpleQueryRow) -> Result<Session, Failure> {
    let text = |at: usize| row.get(at).unwrap_or_default().into();
    let origin = match (row.get(4).map(str::parse), row.get(5).and_then(|port| port.parse::<i32>().ok())) {
        (Some(Ok(address)), Some(port)) => Origin::Network(address, u16::try_from(port).unwrap_or(0)),
        _ => Origin::Socket,
    };
    Ok(Session {
        process: number(row, 0)?,
        begun: text(1),
        role: text(2),
        inside: text(3),
        origin,
        application: text(6),
    })
}

fn line(row: &SimpleQueryRow) -> Result<Line, Failure> {
    let text = |at: usize| row.get(at).unwrap_or_default().into();
    let list = |at: usize| row.get(at).unwrap_or_default().split('\u{1f}').map(Into::into).collect();
    Ok(Line {
        number: number(row, 0)?,
        kind: text(1),
        databases: list(2),
        roles: list(3),
        address: text(4),
        mask: row.get(5).and_then(|mask| mask.parse().ok()),
        method: text(6),
    })
}

fn number<T: std::str::FromStr>(row: &SimpleQueryRow, at: usize) -> Result<T, Failure> {
    let text = row.get(at).unwrap_or("0");
    text.parse().map_err(|_| format!("the server says `{text}` where a number belongs"))
}

/// A text as SQL has it, where backslashes stand for themselves.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}

fn password(file: &std::path::Path) -> Result<String, Failure> {
    let said = |error: &dyn std::fmt::Display| format!("the password in {}: {error}", file.display());
    let length = std::fs::metadata(file).map_err(|error| said(&error))?.len();
    if length > PASSWORD_BYTES {
        return Err(said(&"it is too long to be one"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| said(&error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The server's own words, with what it calls the fault.
fn words(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => error.to_string(),
    }
}
