//! What a request is checked against before anything of it reaches a platform.
//!
//! [`inspect`] consumes the engine's token and mints [`Checked`], the only thing that [`super::upstream::send`] takes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use portcullis_config::policy::{Platform, Route, Transport};
use portcullis_engine::{Admitted, Refusal};
use portcullis_types::Reason;
use portcullis_wire::http::RequestHead;

use super::body::Body;
use super::desk::Desk;
use super::identity::{Client, Connection};
use super::inspect::{self, Around, Asker, Inspecting, Sighting};
use super::upstream::Server;
use crate::state::Snapshot;
use crate::watch::Watch;

/// For a listener that is gone.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A request that was admitted and inspected. Only [`inspect`] makes one.
pub(crate) struct Checked {
    admitted: Admitted,
    snapshot: Arc<Snapshot>,
    platform: usize,
    route: usize,
    upgrade: bool,
    inspecting: Option<Inspecting>,
}

/// What is asked for, and by whom.
pub(crate) struct Asked<'a> {
    pub(crate) snapshot: &'a Arc<Snapshot>,
    /// Platform and route.
    pub(crate) place: (usize, usize),
    pub(crate) connection: &'a Connection,
    pub(crate) client: &'a Client,
    pub(crate) reference: &'a [u8],
    pub(crate) watch: &'a Watch,
    pub(crate) desk: &'a Rc<Desk>,
}

/// Inspects an admitted request: the method, the length of the body, an upgrade, against the route that it is for; then what
/// it carries. What was found, and what would have been refused in
/// observe mode, goes to `seen`.
///
/// # Errors
/// With the first rule that it breaks.
pub(crate) async fn inspect(
    admitted: Admitted,
    asked: &Asked<'_>,
    head: &RequestHead,
    body: &mut Body,
    upgrade: bool,
    seen: &mut Sighting,
) -> Result<Checked, Refusal> {
    let Asked { snapshot, place: (platform, route), .. } = *asked;
    let checked = Checked { admitted, snapshot: Arc::clone(snapshot), platform, route, upgrade, inspecting: None };
    let Some(rule) = checked.find_route() else {
        return Err(Refusal::new(Reason::InternalFault, "no such route"));
    };
    if !rule.methods.is_empty() && !rule.methods.iter().any(|method| method.as_bytes() == head.method()) {
        return Err(Refusal::new(Reason::MethodNotAllowed, "the route does not take this method"));
    }
    if body.length().is_some_and(|length| length > rule.body_bytes) {
        return Err(Refusal::new(Reason::BodyTooLarge, "the declared length exceeds what its route allows"));
    }
    body.bound(rule.body_bytes);
    let upgrade = upgrade && rule.upgrade && body.is_empty();
    let inspecting = match snapshot.inspectors.of(asked.place) {
        Some(inspector) => {
            let asker = Asker {
                connection: asked.connection,
                client: asked.client,
                reference: &String::from_utf8_lossy(asked.reference),
                server: snapshot.policy.listeners.get(asked.connection.listener).map_or(NOWHERE, |it| it.bind),
                admitted: &checked.admitted,
                desk: asked.desk,
            };
            let around =
                Around { watch: asked.watch, limits: &snapshot.policy.limits, idle: checked.transport().idle_timeout };
            inspect::request(inspector, &asker, head, body, &around, seen).await?
        }
        None => None,
    };
    Ok(Checked { upgrade, inspecting, ..checked })
}

impl Checked {
    fn find_platform(&self) -> Option<&Platform> {
        self.snapshot.policy.platforms.get(self.platform)
    }

    fn find_route(&self) -> Option<&Route> {
        self.find_platform()?.routes.get(self.route)
    }

    /// How the platform is reached. [`inspect`] has proved that platform and route exist.
    pub(crate) fn transport(&self) -> &Transport {
        &self.snapshot.policy.platforms[self.platform].transport
    }

    /// Attempts beyond the first.
    pub(crate) fn retries(&self) -> u32 {
        self.transport().retries
    }

    /// From the end of the request to the head of the response.
    pub(crate) fn first_byte_timeout(&self) -> Duration {
        self.find_route().map_or(self.transport().first_byte_timeout, |route| route.first_byte_timeout)
    }

    /// Whether the client asked for another protocol and the route carries it.
    pub(crate) const fn upgrade(&self) -> bool {
        self.upgrade
    }

    /// The authority that the upstream is called by, where it does not get the visitor's.
    pub(crate) fn upstream_host<'a>(&self, server: &'a Server) -> Option<&'a str> {
        let keep = self.find_platform().is_none_or(|platform| platform.keep_host);
        (!keep).then(|| server.shared().authority())
    }

    /// What goes on with the response, once.
    pub(crate) const fn inspecting(&mut self) -> Option<Inspecting> {
        self.inspecting.take()
    }

    /// The engine's token, for who learns how far the request is.
    pub(crate) const fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Gives the engine's token back, to be held until the response is complete.
    pub(crate) fn into_admitted(self) -> Admitted {
        self.admitted
    }
}
