//! Connections of one worker to one upstream server, kept while they are good.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use portcullis_config::policy::Transport;
use portcullis_types::{Reason, Tick};
use tokio::net::TcpStream;

use super::Attempt;
use super::health::Shared;
use crate::stream::{SharedWire, Stream, Wire};
use crate::tls::UpstreamSide;
use crate::watch::Watch;

/// An idle connection older than this is not used: most servers close theirs after 60 or 75 s.
const IDLE_AGE: Duration = Duration::from_secs(50);

/// A request that cannot be sent twice only uses a connection that was busy so recently that the server will not have
/// closed it for idleness.
const RECENT: Duration = Duration::from_secs(1);

/// HTTP/2 connections of one worker to one server; more streams than they carry wait.
const H2_LINKS: usize = 8;

/// How new a connection must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Any that looks alive.
    Any,
    /// One that was busy a moment ago, or a new one.
    Recent,
    /// A new one.
    New,
}

/// One upstream server as one worker sees it.
pub(crate) struct Server {
    shared: Arc<Shared>,
    label: Rc<str>,
    idle: RefCell<Vec<(SharedWire, Tick)>>,
    links: RefCell<Vec<Link>>,
    keep: usize,
    in_flight: Cell<u32>,
    /// Moving average of the time to the head of a response, in nanoseconds.
    latency: Cell<u64>,
    next_address: Cell<usize>,
}

struct Link {
    sender: h2::client::SendRequest<Bytes>,
    closed: Rc<Cell<bool>>,
    streams: Rc<Cell<usize>>,
}

/// A connection that one request may use.
pub(crate) enum Connection {
    H1(Lease),
    H2(Lease),
}

/// The use of a connection; whatever happens, the server's count of requests in flight comes down again.
pub(crate) struct Lease {
    server: Rc<Server>,
    held: Held,
    reused: bool,
    spoiled: bool,
    now: Tick,
}

enum Held {
    H1(SharedWire),
    H2(h2::client::SendRequest<Bytes>, Rc<Cell<usize>>),
    Nothing,
}

impl Server {
    pub(crate) fn new(shared: Arc<Shared>, keep: usize) -> Rc<Self> {
        let label = Rc::from(shared.upstream().url.as_str());
        Rc::new(Self {
            shared,
            label,
            idle: RefCell::default(),
            links: RefCell::default(),
            keep,
            in_flight: Cell::new(0),
            latency: Cell::new(0),
            next_address: Cell::new(0),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn label(&self) -> Rc<str> {
        Rc::clone(&self.label)
    }

    /// What choosing this server is expected to cost: latency times what it already has to do.
    pub(super) fn load(&self) -> u64 {
        self.latency.get().max(1).saturating_mul(u64::from(self.in_flight.get()) + 1)
    }

    pub(super) fn succeeded(&self, took: Duration, status: u16) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let before = self.latency.get();
        // An average over about eight answers; the first one stands for itself.
        self.latency.set(if before == 0 { took } else { before - before / 8 + took / 8 });
        self.shared.answered(status);
    }

    pub(super) fn failed(&self, now: Tick) {
        self.shared.failed(now);
    }

    /// A connection that is there already, if one may be used.
    pub(super) fn pooled(self: &Rc<Self>, freshness: Freshness, now: Tick) -> Option<Connection> {
        if self.shared.upstream().http2 {
            let (sender, streams) = self.pick_link()?;
            streams.set(streams.get() + 1);
            return Some(Connection::H2(self.lease(Held::H2(sender, streams), true, now)));
        }
        let wire = self.pop_idle(freshness, now)?;
        Some(Connection::H1(self.lease(Held::H1(wire), true, now)))
    }

    /// A new connection.
    pub(super) async fn connect(self: &Rc<Self>, transport: &Transport, watch: &Watch) -> Result<Connection, Attempt> {
        // Counted while connecting too, or a server that does not accept would look idle.
        let mut lease = self.lease(Held::Nothing, false, watch.now());
        let stream = self.dial(transport, watch).await?;
        if !self.shared.upstream().http2 {
            lease.held = Held::H1(Wire::shared(stream));
            return Ok(Connection::H1(lease));
        }
        let handshake = h2::client::Builder::new()
            .initial_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_header_list_size(64 * 1024)
            .enable_push(false)
            .handshake::<_, Bytes>(stream);
        let (sender, connection) = watch
            .within(transport.connect_timeout, handshake)
            .await
            .map_err(|_| connect_failed("no HTTP/2 preface within connect_timeout"))?
            .map_err(connect_failed)?;
        let closed = Rc::new(Cell::new(false));
        let ended = Rc::clone(&closed);
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
            }
            ended.set(true);
        });
        let streams = Rc::new(Cell::new(1));
        self.links.borrow_mut().push(Link { sender: sender.clone(), closed, streams: Rc::clone(&streams) });
        lease.held = Held::H2(sender, streams);
        Ok(Connection::H2(lease))
    }

    fn lease(self: &Rc<Self>, held: Held, reused: bool, now: Tick) -> Lease {
        self.in_flight.set(self.in_flight.get() + 1);
        Lease { server: Rc::clone(self), held, reused, spoiled: false, now }
    }

    fn pop_idle(&self, freshness: Freshness, now: Tick) -> Option<SharedWire> {
        let longest = match freshness {
            Freshness::Any => IDLE_AGE,
            Freshness::Recent => RECENT,
            Freshness::New => return None,
        };
        loop {
            let (wire, since) = self.idle.borrow_mut().pop()?;
            if now.since(since) > longest {
                // Last in, first out: what lies below is older still.
                let mut idle = self.idle.borrow_mut();
                if now.since(since) > IDLE_AGE {
                    idle.clear();
                } else {
                    idle.push((wire, since));
                }
                return None;
            }
            let mut context = Context::from_waker(Waker::noop());
            if wire.borrow_mut().poll_gone(&mut context, 1).is_pending() && wire.borrow().arrived.is_empty() {
                return Some(wire);
            }
        }
    }

    /// The link with the fewest streams; `None` when another connection should be made.
    fn pick_link(&self) -> Option<(h2::client::SendRequest<Bytes>, Rc<Cell<usize>>)> {
        let mut links = self.links.borrow_mut();
        links.retain(|link| !link.closed.get());
        links
            .iter()
            .min_by_key(|link| link.streams.get())
            .filter(|link| link.streams.get() < link.sender.current_max_send_streams() || links.len() >= H2_LINKS)
            .map(|link| (link.sender.clone(), Rc::clone(&link.streams)))
    }

    async fn dial(&self, transport: &Transport, watch: &Watch) -> Result<Stream, Attempt> {
        let upstream = self.shared.upstream();
        let turn = self.next_address.get();
        self.next_address.set(turn.wrapping_add(1));
        let address =
            upstream.addresses.get(turn % upstream.addresses.len().max(1)).ok_or(connect_failed("no address"))?;
        let address = SocketAddr::new(*address, upstream.port);
        self.shared.connected();
        watch
            .within(transport.connect_timeout, open(address, &self.shared))
            .await
            .map_err(|_| connect_failed("no connection within connect_timeout"))?
            .map_err(connect_failed)
    }
}

/// Connects to `address` and, where the upstream is declared so, speaks TLS.
pub(super) async fn open(address: SocketAddr, shared: &Shared) -> Result<Stream, String> {
    let tcp = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let _ = tcp.set_nodelay(true);
    let (Some(tls), Some(config)) = (&shared.upstream().tls, shared.tls()) else {
        return Ok(Stream::Plain(tcp));
    };
    let name = UpstreamSide::server_name(tls)?;
    let tls = tokio_rustls::TlsConnector::from(Arc::clone(config))
        .connect(name, tcp)
        .await
        .map_err(|error| error.to_string())?;
    if shared.upstream().http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err("the upstream did not agree on HTTP/2".to_owned());
    }
    Ok(Stream::Client(Box::new(tls)))
}

fn connect_failed(detail: impl std::fmt::Display) -> Attempt {
    Attempt { untouched: true, ..Attempt::new(Reason::UpstreamConnect, detail) }
}

impl Lease {
    /// The connection of an HTTP/1.1 lease.
    pub(super) fn wire(&self) -> &SharedWire {
        match &self.held {
            Held::H1(wire) => wire,
            Held::H2(..) | Held::Nothing => unreachable!("an HTTP/1.1 exchange is only given an HTTP/1.1 lease"),
        }
    }

    /// The sender of an HTTP/2 lease.
    pub(super) fn sender(&self) -> Option<h2::client::SendRequest<Bytes>> {
        match &self.held {
            Held::H2(sender, _) => Some(sender.clone()),
            Held::H1(_) | Held::Nothing => None,
        }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// The connection must not be used again.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Takes the connection out of the pool for good.
    pub(super) fn into_wire(mut self) -> SharedWire {
        let wire = SharedWire::clone(self.wire());
        self.held = Held::Nothing;
        wire
    }

    /// The exchange has ended well: the connection may serve another.
    pub(super) fn give_back(mut self) {
        let wire = match &self.held {
            Held::H1(wire) => SharedWire::clone(wire),
            Held::H2(..) | Held::Nothing => return,
        };
        self.held = Held::Nothing;
        let good = {
            let mut guard = wire.borrow_mut();
            guard.rest();
            !self.spoiled && guard.body_done && guard.arrived.is_empty() && !guard.ended
        };
        let mut idle = self.server.idle.borrow_mut();
        if good && idle.len() < self.server.keep {
            // The age counts from the beginning of the exchange, which errs to the safe side and costs no clock.
            idle.push((wire, self.now));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Held::H2(_, streams) = &self.held {
            streams.set(streams.get().saturating_sub(1));
        }
        self.server.in_flight.set(self.server.in_flight.get().saturating_sub(1));
    }
}
