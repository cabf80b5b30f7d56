//! The console's server: an API that says how the gate stands and does what people ask of it, and the pages that show it.
//!
//! It has a thread, a runtime and a listener of its own, so that it answers while visitors hold every worker. It decides nothing about
//! visitors: what it is asked it puts to the gate through [`Desk`], and each act bears the name of the person.
//!
//! Never has a default password, never listens beyond loopback without TLS, never lets a page of another origin act in somebody's name.

mod advice;
pub mod alerts;
mod api;
mod assets;
mod desk;
mod door;
mod fetch;
mod live;
pub mod model;
pub mod oidc;
mod people;
mod proposals;
mod server;
pub mod status;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::watch;

pub use self::api::document;
pub use self::desk::{BUSIEST, Decision, Deed, Desk, Fault, Form, Leaves, Span, VERDICTS, Wish};
pub use self::live::Live;
pub use self::people::Pass;
use self::people::People;

/// Acts that the policy may ask two people for.
pub const APPROVALS: [&str; 8] = ["undo", "pin", "posture", "event", "reload", "close", "people", "statements"];

/// What the console is told when it begins.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The certificate chain and key in PEM; without, it speaks plain HTTP.
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
    /// Where browsers find it: `https://console.example.org`. No other `Host` is answered but loopback's names. If empty, it is found
    /// where it listens.
    pub url: String,
    /// Where accounts are kept.
    pub directory: PathBuf,
    /// Whose gate it is.
    pub organisation: String,
    /// Kinds of acts that take two people: of [`APPROVALS`].
    pub approvals: Vec<String>,
    /// Who else says who somebody is.
    pub oidc: Option<oidc::Provider>,
    /// `en` or `da`: what alerts and the status page are written in.
    pub language: String,
    /// Who is told when something is wrong.
    pub alerts: Vec<alerts::Channel>,
    /// Where the public can see how things are.
    pub status: Option<status::Page>,
    /// The console of another process listens there, and will end.
    pub takeover: bool,
}

/// What of the settings a reload may change. Clones are of the same.
#[derive(Debug, Clone)]
pub struct Current(Arc<Mutex<Arc<Settings>>>);

impl Current {
    fn new(settings: Settings) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(settings))))
    }

    /// Takes over whose gate it is, what takes two people, who is told, and what the public sees. Where the console is and where it
    /// keeps what it keeps stays.
    pub fn adopt(&self, settings: Settings) {
        let Settings { organisation, approvals, language, alerts, status, .. } = settings;
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *current =
            Arc::new(Settings { organisation, approvals, language, alerts, status, ..Settings::clone(&current) });
    }

    pub(crate) fn get(&self) -> Arc<Settings> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The running console. Dropped, it ends by itself.
#[derive(Debug)]
pub struct Console {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    welcome: Option<String>,
    current: Current,
}

impl Console {
    /// Opens the accounts and the listener, and starts the thread.
    ///
    /// # Errors
    /// In words: the accounts cannot be read, or the address cannot be had.
    pub fn start(mut settings: Settings, desk: Arc<dyn Desk>, live: Arc<Live>) -> Result<Self, String> {
        let people = People::open(&settings.directory)?;
        let wanted = settings.listen;
        let refused = |error: io::Error| format!("the console cannot listen on {wanted}: {error}");
        let listener = server::listen(wanted, settings.takeover).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let tls = settings.tls.as_ref().map(|(chain, key)| server::tls(chain, key)).transpose()?;
        if settings.url.is_empty() {
            settings.url = own_url(address, tls.is_some());
        }
        let welcome = match people.is_empty() {
            Ok(true) => first_link(&people, &settings.url).ok(),
            _ => None,
        };
        let app = Arc::new(api::App::new(settings, people, desk, live));
        let current = app.current.clone();
        let (stop, stopped) = watch::channel(false);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("console-ask")
            .max_blocking_threads(api::ASKS + 4)
            .build();
        let runtime = runtime.map_err(refused)?;
        let thread = std::thread::Builder::new().name("console".to_owned()).spawn(move || {
            runtime.block_on(server::serve(listener, tls, app, stopped));
            runtime.shutdown_background();
        });
        Ok(Self { stop, thread: Some(thread.map_err(refused)?), address, welcome, current })
    }

    /// Where it listens in truth.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a reload may change.
    #[must_use]
    pub fn current(&self) -> Current {
        self.current.clone()
    }

    /// The link for the first account, while there is none. It works once, for an hour.
    #[must_use]
    pub fn welcome(&self) -> Option<&str> {
        self.welcome.as_deref()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the console's thread panicked");
        }
    }
}

/// A link that works once, made beside a console that may be running: for the first account, or for whoever has forgotten a password.
///
/// # Errors
/// In words: the accounts cannot be read or written.
pub fn link(
    directory: &Path,
    url: &str,
    name: Option<&str>,
    role: model::Role,
    now: u64,
) -> Result<model::Link, String> {
    let people = People::open(directory)?;
    let role = match name {
        Some(name) => people.one(name).map_err(api::words)?.map_or(role, |person| person.role),
        None => role,
    };
    let (secret, until) = people.link(name, role, now).map_err(api::words)?;
    Ok(model::Link { url: welcome_url(url, &secret), until })
}

fn first_link(people: &People, url: &str) -> Result<String, people::Denied> {
    let (secret, _) = people.link(None, model::Role::Owner, server::now())?;
    Ok(welcome_url(url, &secret))
}

/// Where a browser finds what listens there. Of loopback by its name: there are no passkeys for an address in numbers.
fn own_url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    if address.ip().is_loopback() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}

/// What stands behind `#` is sent to nobody, and so is in no log.
pub(crate) fn welcome_url(url: &str, secret: &str) -> String {
    format!("{}/welcome#{secret}", url.trim_end_matches('/'))
}
