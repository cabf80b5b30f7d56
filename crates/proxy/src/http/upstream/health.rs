//! Whether a server may be used: what its checks say, and what its answers and failures say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_config::policy::{HealthCheck, Transport, Upstream};
use portcullis_types::Tick;
use portcullis_wire::h1::{self, Scan};
use portcullis_wire::http::ResponseHead;
use rustls::ClientConfig;

use super::pool;
use crate::metrics;
use crate::stream::{Wire, fill, write_all};

/// An ejection lasts at most this many times `eject_for`.
const LONGEST_EJECTION: u64 = 10;

/// A server as the whole node sees it; every worker writes here what it experienced.
pub(crate) struct Shared {
    upstream: Upstream,
    /// Host, and port where it is not the scheme's own (RFC 9110 section 7.2).
    authority: String,
    tls: Option<Arc<ClientConfig>>,
    eject_after: u32,
    eject_for: Duration,
    /// What the active checks say; true where there are none.
    up: AtomicBool,
    ejected_until: AtomicU64,
    failures: AtomicU32,
    ejections: AtomicU32,
    counters: Arc<metrics::Upstream>,
}

impl Shared {
    pub(crate) fn new(
        upstream: Upstream,
        tls: Option<Arc<ClientConfig>>,
        transport: &Transport,
        counters: Arc<metrics::Upstream>,
    ) -> Arc<Self> {
        counters.set_healthy(true);
        let usual = if upstream.tls.is_some() { 443 } else { 80 };
        let authority =
            if upstream.port == usual { upstream.host.clone() } else { format!("{}:{}", upstream.host, upstream.port) };
        Arc::new(Self {
            upstream,
            authority,
            tls,
            eject_after: transport.eject_after,
            eject_for: transport.eject_for,
            up: AtomicBool::new(true),
            ejected_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            counters,
        })
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// Whether its checks let it serve.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether it is up and not ejected.
    pub(super) fn is_usable(&self, now: Tick) -> bool {
        self.is_up() && self.ejected_until.load(Ordering::Relaxed) <= now.0
    }

    pub(super) fn connected(&self) {
        self.counters.connections.add();
    }

    /// It answered. A gateway's error says that whatever stands behind it did not.
    pub(super) fn answered(&self, status: u16) {
        self.counters.ok.add();
        if !matches!(status, 502..=504) {
            if self.failures.load(Ordering::Relaxed) != 0 {
                self.failures.store(0, Ordering::Relaxed);
            }
            if self.ejections.load(Ordering::Relaxed) != 0 {
                self.ejections.store(0, Ordering::Relaxed);
            }
        }
    }

    /// It did not answer, or not in HTTP.
    pub(super) fn failed(&self, now: Tick) {
        self.counters.failed.add();
        if self.eject_after == 0 || self.failures.fetch_add(1, Ordering::Relaxed) + 1 < self.eject_after {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        let times = 1_u64.checked_shl(self.ejections.fetch_add(1, Ordering::Relaxed)).unwrap_or(u64::MAX);
        let factor = u32::try_from(times.min(LONGEST_EJECTION)).unwrap_or(1);
        self.ejected_until.store(now.after(self.eject_for * factor).0, Ordering::Relaxed);
        self.counters.ejections.add();
        tracing::warn!(upstream = %self.upstream.url, "ejected after {} failures in a row", self.eject_after);
    }

    fn set_up(&self, up: bool) {
        if self.up.swap(up, Ordering::Relaxed) != up {
            self.counters.set_healthy(up);
            if up {
                tracing::info!(upstream = %self.upstream.url, "healthy again");
            } else {
                tracing::warn!(upstream = %self.upstream.url, "taken out: its health checks fail");
            }
        }
    }
}

/// Checks one server for ever; ends with the task. One worker does it for the whole node.
pub(crate) async fn probe(shared: Arc<Shared>, check: HealthCheck) {
    let (mut failures, mut successes) = (0_u32, 0_u32);
    loop {
        let good = matches!(tokio::time::timeout(check.timeout, ask(&shared, &check.path)).await, Ok(Ok(200..=399)));
        (failures, successes) = if good { (0, successes.saturating_add(1)) } else { (failures.saturating_add(1), 0) };
        if failures >= check.unhealthy_after {
            shared.set_up(false);
        } else if successes >= check.healthy_after {
            shared.set_up(true);
        }
        tokio::time::sleep(check.interval).await;
    }
}

/// One GET; the status.
async fn ask(shared: &Shared, path: &str) -> Result<u16, String> {
    let upstream = shared.upstream();
    let address = upstream.addresses.first().ok_or("no address")?;
    let stream = pool::open(SocketAddr::new(*address, upstream.port), shared).await?;
    if upstream.http2 {
        let (mut sender, connection) = h2::client::handshake(stream).await.map_err(|error| error.to_string())?;
        let driver = tokio::task::spawn_local(connection);
        let scheme = if upstream.tls.is_some() { "https" } else { "http" };
        let request = http::Request::get(format!("{scheme}://{}{path}", shared.authority()))
            .body(())
            .map_err(|error| error.to_string())?;
        let (response, _) = sender.send_request(request, true).map_err(|error| error.to_string())?;
        let status = response.await.map_err(|error| error.to_string())?.status().as_u16();
        driver.abort();
        return Ok(status);
    }
    let wire = Wire::shared(stream);
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nuser-agent: portcullis-health\r\nconnection: close\r\n\r\n",
        shared.authority()
    );
    write_all(&wire, request.as_bytes()).await.map_err(|error| error.to_string())?;
    loop {
        if fill(&wire).await.map_err(|error| error.to_string())? == 0 {
            return Err("closed before its response".to_owned());
        }
        let guard = wire.borrow();
        match h1::scan(&guard.arrived, 0, 64 * 1024).map_err(|refused| refused.detail.to_owned())? {
            Scan::Incomplete(_) => {}
            Scan::Complete(end) => {
                let mut head = ResponseHead::default();
                let bytes = guard.arrived.get(..end).unwrap_or_default();
                h1::response(bytes, 256, b"GET", &mut head).map_err(|refused| refused.detail.to_owned())?;
                return Ok(head.status);
            }
        }
    }
}
