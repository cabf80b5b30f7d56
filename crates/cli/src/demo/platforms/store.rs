//! Where the members' platform keeps its members: in PostgreSQL, which it reaches through the gate, or in memory.
//!
//! One statement, [`Store::of_branch`], takes what a visitor wrote into its text as it is. It is there to be attacked: the
//! demo shows what stops it (`--drill`). Never write one like it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::members::Member;
use crate::demo::database::{self, APPLICATION};

/// Connections that rest; as many as work at once.
const RESTING: usize = 8;
/// What one statement may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Members on the old list of a branch.
const LISTED: usize = 25;

/// The members.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// In memory: no PostgreSQL is installed.
    Memory(Arc<Vec<Member>>),
    /// In PostgreSQL.
    Database(Arc<Pool>),
}

/// Connections to the database, by way of the gate.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Where the gate listens for it; known once the gate runs.
    gate: OnceLock<SocketAddr>,
    password: String,
    resting: Mutex<Vec<Client>>,
}

/// Some of what was found, and how many there are.
pub(crate) struct Page {
    pub(crate) total: usize,
    pub(crate) members: Vec<Member>,
}

/// The database did not answer, or refused.
#[derive(Debug)]
pub(crate) struct Unanswered;

impl Pool {
    /// A pool whose gate is not known yet.
    pub(crate) fn new(password: String) -> Self {
        Self { gate: OnceLock::new(), password, resting: Mutex::new(Vec::new()) }
    }

    /// Where to connect from now on.
    pub(crate) fn through(&self, gate: SocketAddr) {
        let _ = self.gate.set(gate);
    }

    async fn client(&self) -> Result<Client, Unanswered> {
        loop {
            // The lock is not held while somebody waits.
            let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match resting {
                Some(client) if client.is_closed() => {}
                Some(client) => return Ok(client),
                None => break,
            }
        }
        let gate = self.gate.get().ok_or(Unanswered)?;
        database::connect(*gate, APPLICATION, &self.password).await.map_err(|_| Unanswered)
    }

    fn rest(&self, client: Client) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.len() < RESTING && !client.is_closed() {
            resting.push(client);
        }
    }

    /// One statement in one exchange. `request` is the reference of the request that it is for, which the gate gave.
    async fn rows(
        &self,
        text: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
        request: Option<&str>,
    ) -> Result<Vec<Row>, Unanswered> {
        let client = self.client().await?;
        let rows = timeout(PATIENCE, client.query_typed(&joined(text, request), values)).await;
        // After a refusal the session is as good as before; one that took too long is not waited for.
        if rows.is_ok() {
            self.rest(client);
        }
        rows.map_err(|_| Unanswered)?.map_err(|_| Unanswered)
    }
}

impl Store {
    /// Members by a word in name or address and by branch, either may be empty; `page` from 0.
    pub(crate) async fn search(
        &self,
        word: &str,
        branch: &str,
        page: usize,
        per_page: usize,
        request: Option<&str>,
    ) -> Result<Page, Unanswered> {
        let skipped = page.saturating_mul(per_page);
        match self {
            Self::Memory(members) => {
                let fits =
                    |member: &&Member| member.found_by.contains(word) && (branch.is_empty() || member.branch == branch);
                let found: Vec<&Member> = current(members).filter(fits).collect();
                let members = found.iter().skip(skipped).take(per_page).map(|member| (*member).clone()).collect();
                Ok(Page { total: found.len(), members })
            }
            Self::Database(pool) => {
                let (limit, offset) = (whole(per_page), whole(skipped));
                let word_and_branch: [(&(dyn ToSql + Sync), Type); 2] = [(&word, Type::TEXT), (&branch, Type::TEXT)];
                let count = pool.rows(COUNT, &word_and_branch, request).await?;
                let total = count.first().and_then(|row| row.try_get::<_, i64>(0).ok()).unwrap_or(0);
                let [word, branch] = word_and_branch;
                let values = [word, branch, (&limit, Type::INT8), (&offset, Type::INT8)];
                let members = of_rows(&pool.rows(SEARCH, &values, request).await?);
                Ok(Page { total: usize::try_from(total).unwrap_or(0), members })
            }
        }
    }

    /// The member of a number.
    pub(crate) async fn one(&self, id: &str, request: Option<&str>) -> Result<Option<Member>, Unanswered> {
        match self {
            Self::Memory(members) => Ok(current(members).find(|member| member.id == id).cloned()),
            Self::Database(pool) => Ok(of_rows(&pool.rows(ONE, &[(&id, Type::TEXT)], request).await?).pop()),
        }
    }

    /// All of them.
    pub(crate) async fn all(&self, request: Option<&str>) -> Result<Arc<Vec<Member>>, Unanswered> {
        match self {
            Self::Memory(members) => Ok(Arc::new(current(members).cloned().collect())),
            Self::Database(pool) => Ok(Arc::new(of_rows(&pool.rows(ALL, &[], request).await?))),
        }
    }

    /// Names and addresses of a branch, with the hole: in PostgreSQL, `branch` becomes part of the statement as it is.
    pub(crate) async fn of_branch(
        &self,
        branch: &str,
        request: Option<&str>,
    ) -> Result<Vec<(String, String)>, Unanswered> {
        match self {
            Self::Memory(members) => {
                let of_it = current(members).filter(|member| member.branch == branch).take(LISTED);
                Ok(of_it.map(|member| (member.name.clone(), member.email.clone())).collect())
            }
            Self::Database(pool) => {
                let text = format!(
                    "select name, email from members where branch = '{branch}' and status <> 'left' \
                     order by id limit {LISTED}"
                );
                let client = pool.client().await?;
                let said = timeout(PATIENCE, client.simple_query(&joined(&text, request))).await;
                if said.is_ok() {
                    pool.rest(client);
                }
                let said = said.map_err(|_| Unanswered)?.map_err(|_| Unanswered)?;
                let rows = said.iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                let field = |text: Option<&str>| text.unwrap_or_default().to_owned();
                Ok(rows.map(|row| (field(row.get(0)), field(row.get(1)))).collect())
            }
        }
    }
}

const COUNT: &str = "select count(*) from members \
                     where position($1 in found_by) > 0 and ($2 = '' or branch = $2) and status <> 'left'";
const SEARCH: &str = "select id, name, email, branch, since, status from members \
                      where position($1 in found_by) > 0 and ($2 = '' or branch = $2) and status <> 'left' \
                      order by id limit $3 offset $4";
const ONE: &str = "select id, name, email, branch, since, status from members where id = $1 and status <> 'left'";
const ALL: &str = "select id, name, email, branch, since, status from members where status <> 'left' order by id";

/// The statement with the reference of its request in a comment, as sqlcommenter writes it.
fn joined(text: &str, request: Option<&str>) -> String {
    match request.filter(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        Some(request) => format!("{text} /*request_id='{request}'*/"),
        None => text.to_owned(),
    }
}

/// Those who have not left.
fn current(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|member| member.status != "left")
}

fn of_rows(rows: &[Row]) -> Vec<Member> {
    let field = |row: &Row, index: usize| row.try_get::<_, String>(index).unwrap_or_default();
    let member = |row: &Row| Member {
        id: field(row, 0),
        name: field(row, 1),
        email: field(row, 2),
        branch: field(row, 3),
        since: field(row, 4),
        status: field(row, 5),
        found_by: String::new(),
    };
    rows.iter().map(member).collect()
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reference_becomes_a_comment() {
        assert_eq!(joined("select 1", Some("028T5CY4TQKFF")), "select 1 /*request_id='028T5CY4TQKFF'*/");
        for other in ["", "a'b", "a*/ select 2", "a b"] {
            assert_eq!(joined("select 1", Some(other)), "select 1", "{other}");
        }
    }
}
