//! The relay between applications and PostgreSQL: session by session, one connection here for one there.
//!
//! It makes no choice of its own: what goes on and what is refused is `pgguard`'s to say. Start at [`serve`], the life of
//! a session on one screen.

pub(crate) mod counters;
mod desk;
mod opening;
mod relay;
mod upstream;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_config::policy::{self, DatabaseTls};
use portcullis_pgguard::session::Terms;
use portcullis_types::{Limits, Mode};
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;

use crate::metrics::Registry;
use crate::tls;
use crate::worker::Worker;
use counters::Databases;
use desk::Desk;
use opening::Opened;

/// A declared database, compiled: what every worker reads.
pub(crate) struct Database {
    declared: policy::Database,
    terms: Terms,
    /// Towards applications; `None` offers no TLS.
    server_tls: Option<Arc<ServerConfig>>,
    /// Towards the server; `None` speaks none.
    client_tls: Option<(Arc<ClientConfig>, rustls::pki_types::ServerName<'static>)>,
    counters: Arc<Databases>,
    /// Sessions that hold a place, over all workers and policies.
    sessions: Arc<AtomicU32>,
}

impl Database {
    /// Reads certificates; what the policy before counted is kept.
    ///
    /// # Errors
    /// In words: a certificate that cannot be used.
    pub(crate) fn compile(
        declared: policy::Database,
        limits: &Limits,
        before: Option<&Self>,
        registry: &Registry,
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
        })
    }

    /// A place for one more session, if there is one.
    fn place(self: &Arc<Self>) -> Option<Place> {
        let most = self.declared.sessions;
        let taken =
            self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < most).then_some(held + 1));
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }
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
