//! The relay between applications and PostgreSQL: session by session, one connection here for one there.
//!
//! It makes no choice of its own: what goes on and what is refused is `pgguard`'s to say. Start at [`serve`], the life of
//! a session on one screen.

mod catalogue;
pub(crate) mod counters;
mod desk;
mod leaving;
mod opening;
pub(crate) mod reconcile;
mod relay;
pub(crate) mod traffic;
mod upstream;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_config::Beyond;
use portcullis_config::policy::{self, BudgetPer, DatabaseTls};
use portcullis_dataguard::{Canaries, Detector, Kind};
use portcullis_pgguard::description;
use portcullis_pgguard::egress::{Budget, Measure, Scope};
use portcullis_pgguard::policy::Rules;
use portcullis_pgguard::session::Terms;
use portcullis_types::{Limits, Mode};
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;

use crate::metrics::Registry;
use crate::statements::{Left, Statements};
use crate::tls;
use crate::worker::Worker;
use counters::Databases;
use desk::Desk;
use opening::Opened;
use reconcile::Coverage;
use traffic::{OwnSession, Traffic};

/// A declared database, compiled: what every worker reads.
pub(crate) struct Database {
    declared: policy::Database,
    terms: Terms,
    /// Towards applications; `None` offers no TLS.
    server_tls: Option<Arc<ServerConfig>>,
    /// Towards the server; `None` speaks none.
    client_tls: Option<(Arc<ClientConfig>, rustls::pki_types::ServerName<'static>)>,
    counters: Arc<Databases>,
    /// What values are recognised by, where a budget counts them.
    detector: Option<Arc<Detector>>,
    /// What its statements are judged by, over all workers and policies.
    pub(crate) statements: Arc<Statements>,
    /// What the gate itself did with the server.
    traffic: Arc<Traffic>,
    /// What came to it past the gate.
    coverage: Arc<Coverage>,
    /// Sessions that hold a place, over all workers and policies.
    sessions: Arc<AtomicU32>,
}

impl Database {
    /// A session with the server that is ours and does not pass the relay, from that address of ours.
    pub(crate) fn own_session(&self, role: &str, from: SocketAddr) -> OwnSession {
        OwnSession::new(&self.traffic, role, from)
    }

    /// Reads certificates; what the policy before counted is kept.
    ///
    /// # Errors
    /// In words: a certificate that cannot be used.
    pub(crate) fn compile(
        declared: policy::Database,
        limits: &Limits,
        before: Option<&Self>,
        registry: &Registry,
        left: Option<Left>,
    ) -> Result<Self, String> {
        let name = |text: &str| {
            let bare = text.trim_matches(['[', ']']).to_owned();
            rustls::pki_types::ServerName::try_from(bare).map_err(|_| format!("`{text}` is no name for TLS"))
        };
        let client_tls = match &declared.tls {
            DatabaseTls::Same(certificate) => {
                Some((tls::database_pinned(certificate)?, name(&declared.upstream.host)?))
            }
            DatabaseTls::Own { upstream: Some(upstream), .. } => {
                Some((tls::database_verified(upstream)?, name(&upstream.server_name)?))
            }
            DatabaseTls::Own { upstream: None, .. } => None,
        };
        before.iter().for_each(|before| before.coverage.look_soon());
        let server_tls = declared.tls.certificate().map(tls::database_server).transpose()?;
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let terms = Terms {
            enforce: declared.mode == Mode::Enforce,
            statement_bytes: size(limits.database_statement_bytes),
            name_bytes: size(limits.database_name_bytes),
            values_bytes: size(limits.database_values_bytes),
            plans: size(limits.database_plans),
            pipeline: size(limits.database_pipeline),
            functions: declared.functions.as_slice().into(),
        };
        Ok(Self {
            terms,
            server_tls,
            client_tls,
            counters: registry.database(&declared.name),
            traffic: registry.traffic(&declared.upstream.text),
            coverage: before.map_or_else(|| registry.coverage(&declared.name), |before| Arc::clone(&before.coverage)),
            statements: statements(&declared, before, left)?,
            detector: detector(&declared),
            sessions: before.map_or_else(Arc::default, |before| Arc::clone(&before.sessions)),
            declared,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.declared.name
    }

    /// For `portcullis status`.
    pub(crate) fn status(&self) -> serde_json::Value {
        let counters = &self.counters;
        serde_json::json!({
            "name": self.declared.name,
            "upstream": self.declared.upstream.text,
            "mode": self.declared.mode.name(),
            "sessions": counters.open(),
            "statements": counters.sum(|block| &block.statements),
            "refused": counters.sum(|block| &block.refused),
            "observed": counters.sum(|block| &block.observed),
            "cut": counters.sum(|block| &block.cut),
            "rows": counters.sum(|block| &block.rows),
            "bytes": counters.sum(|block| &block.bytes),
            "policy": self.statements.status(),
            "coverage": self.coverage.value(self.declared.reconcile.as_ref()),
        })
    }

    /// What hides part of what happens from the gate, if anything does.
    pub(crate) fn blind(&self) -> Option<String> {
        self.coverage.blind()
    }

    /// Statements that it has seen.
    pub(crate) fn seen(&self) -> u64 {
        self.counters.sum(|block| &block.statements)
    }

    /// A place for one more session, if there is one.
    fn place(self: &Arc<Self>) -> Option<Place> {
        let most = self.declared.sessions;
        let taken =
            self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < most).then_some(held + 1));
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }
}

/// The statements of a database: those of the policy before, held to the new declaration, where their book is the same file.
fn statements(
    declared: &policy::Database,
    before: Option<&Database>,
    left: Option<Left>,
) -> Result<Arc<Statements>, String> {
    let (rules, budgets) = (rules(declared)?, declared.budgets.iter().flat_map(budgets).collect());
    let known = before.map(|before| &before.statements).filter(|known| known.path() == declared.book.as_deref());
    if let Some(known) = known {
        known.set(rules, budgets);
        return Ok(Arc::clone(known));
    }
    Statements::open(declared.book.clone(), rules, budgets, left)
}

fn rules(declared: &policy::Database) -> Result<Rules, String> {
    let grant = |(role, kind): &(String, String)| {
        let kind = description::Kind::from_code(kind).ok_or_else(|| format!("`{kind}` is no kind of statements"))?;
        Ok((role.as_str().into(), kind))
    };
    Ok(Rules {
        enforce: declared.mode == Mode::Enforce,
        fail_open: declared.fail == Beyond::Pass,
        grants: declared.grants.iter().map(grant).collect::<Result<_, String>>()?,
        sensitive: declared.sensitive.iter().map(|name| name.as_str().into()).collect(),
    })
}

fn budgets(declared: &policy::DatabaseBudget) -> impl Iterator<Item = Budget> + use<> {
    let scope = match &declared.per {
        BudgetPer::Session => Scope::Session,
        BudgetPer::Role => Scope::Role,
        BudgetPer::Client => Scope::Client,
        BudgetPer::Relation(name) => Scope::Relation(name.as_str().into()),
    };
    let window = declared.within;
    let role: Box<str> = declared.role.as_str().into();
    let bounds = [(Measure::Rows, declared.rows), (Measure::Bytes, declared.bytes), (Measure::Values, declared.values)];
    bounds.into_iter().filter_map(move |(measure, most)| {
        most.map(|most| Budget { role: role.clone(), scope: scope.clone(), window, measure, most })
    })
}

/// Values of persons; what opens something and what programs say when they fail stands in no column by design.
fn detector(declared: &policy::Database) -> Option<Arc<Detector>> {
    let others = [Kind::Field, Kind::Secret, Kind::StackTrace, Kind::SqlError];
    let kinds = Kind::ALL.iter().copied().filter(|kind| !others.contains(kind)).collect();
    let counted = declared.budgets.iter().any(|budget| budget.values.is_some());
    counted.then(|| Arc::new(Detector::new(kinds, &[], &Canaries::default())))
}

/// A session's place among those at once.
struct Place(Arc<Database>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The life of a session.
pub(crate) async fn serve(worker: Rc<Worker>, tcp: TcpStream, peer: SocketAddr, database: Arc<Database>) {
    let watch = worker.watchers().watch();
    let mut desk = Desk::new(Rc::clone(&worker), Arc::clone(&database), peer.ip());
    // Boxed: what a handshake needs is gone when it is over.
    let opened = Box::pin(opening::open(&mut desk, tcp, &watch)).await;
    let Some(Opened { client, server, session, place }) = opened else { return };
    desk.begun();
    relay::run(&worker, client, server, session, &mut desk, &watch).await;
    desk.ended();
    drop(place);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_every_kind_and_no_other() {
        let known: Vec<&str> = description::Kind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(portcullis_config::STATEMENT_KINDS, known);
    }
}
