//! One round: every family of every way of inspecting, one probe after the other, each on a connection of its own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_config::Policy;
use portcullis_config::policy::{Listener, PathPattern, Platform, Route};
use portcullis_config::{Excluded, InspectionMode, Sensitivity};
use portcullis_waf::semantic::Class;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::attacks::{self, Attack};
use super::standing::{Expected, judge};
use super::{Alarm, Answer, By, EVERY, Errand, Line, State};
use crate::inspectors::Inspector;
use crate::journal::lock;
use crate::state::Snapshot;
use crate::worker::unix_millis;
use crate::{Process, tls};

/// A probe that has no answer by then could not be asked.
const DEADLINE: Duration = Duration::from_secs(10);
/// The answer that is read at most.
const ANSWER_BYTES: u64 = 64 * 1024;
/// Ways of inspecting that are probed; what a configuration has beyond is told to be unprobed.
const MOST_WAYS: usize = 128;
/// Between two probes of an ordinary round, so that a round is no burst.
const PAUSE: Duration = Duration::from_millis(5);
/// How often it is looked whether probing rests still.
const REST: Duration = Duration::from_millis(200);
/// Alarms of one round that are logged one by one.
const LOGGED: usize = 64;
/// The header of PROXY v2 that says: this connection is the proxy's own (`LOCAL`).
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// Probes until the gate drains.
pub(crate) async fn run(process: Arc<Process>) {
    let mut why = "start";
    let (mut planned, mut tasks) = (0, Vec::new());
    while !process.is_draining() {
        let snapshot = process.snapshot();
        if planned != snapshot.generation {
            (planned, tasks) = (snapshot.generation, plan(&snapshot));
            lock(&process.probes.standing).plan(tasks.iter().map(|task| task.line.clone()).collect());
        }
        while process.probes.rests() {
            tokio::time::sleep(REST).await;
        }
        round(&process, &snapshot, &tasks, why).await;
        why = tokio::select! {
            () = process.probes.changed.notified() => "reload",
            () = tokio::time::sleep(EVERY) => "minute",
        };
    }
}

/// One family, and how it is asked.
struct Task {
    line: Line,
    expected: Expected,
    attack: Option<Attack>,
    host: String,
    path: String,
    method: Option<&'static str>,
}

async fn round(process: &Process, snapshot: &Snapshot, plan: &[Task], why: &'static str) {
    let began = Instant::now();
    let doors = doors(&snapshot.policy);
    let client = tls::own_client(&snapshot.policy);
    let mut changed = Vec::new();
    for (at, task) in plan.iter().enumerate() {
        let replaced = process.snapshot().generation != snapshot.generation;
        if process.is_draining() || process.probes.rests() || replaced {
            // What follows is the next round's.
            return;
        }
        let Some(attack) = &task.attack else { continue };
        let turn = usize::try_from(lock(&process.probes.standing).rounds).unwrap_or(0).wrapping_add(at);
        let outcome = match doors.get(turn % doors.len().max(1)) {
            Some(door) => ask(process, door, &client, task, attack).await,
            None => (State::Unreachable, "no listener leads to a platform".to_owned()),
        };
        changed.extend(lock(&process.probes.standing).note(at, outcome, unix_millis()));
        if why == "minute" {
            tokio::time::sleep(PAUSE).await;
        }
    }
    let mut standing = lock(&process.probes.standing);
    standing.probed = Some(unix_millis());
    standing.rounds += 1;
    let asked = plan.iter().filter(|task| task.attack.is_some()).count();
    let alarms: Vec<Line> = standing.lines.iter().filter(|line| line.state.is_alarm()).cloned().collect();
    drop(standing);
    tell(&changed);
    process.journal.record_probes(why, asked, &alarms, unix_millis());
    process.chronicle.probed(why, asked, &alarms, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
}

fn tell(changed: &[Alarm]) {
    for Alarm { line, raised } in changed.iter().take(LOGGED) {
        let Line { platform, route, routes, by, family, state, why, .. } = line;
        let (by, state) = (by.name(), state.name());
        if *raised {
            tracing::error!(
                platform,
                route,
                routes,
                by,
                family,
                state,
                "ALARM: the gate's own probe was not stopped: {why}"
            );
        } else {
            tracing::info!(platform, route, by, family, state, "the gate's own probe is stopped again");
        }
    }
    if changed.len() > LOGGED {
        tracing::error!("{} such changes in all: `portcullis status` has them", changed.len());
    }
}

/// What is to be asked of a policy: each way of inspecting once, on the first route that has it and can be reached.
fn plan(snapshot: &Snapshot) -> Vec<Task> {
    let mut ways: Vec<(Arc<Inspector>, (usize, usize), usize)> = Vec::new();
    for (platform, declared) in snapshot.policy.platforms.iter().enumerate() {
        for route in 0..declared.routes.len() {
            let Some(inspector) = snapshot.inspectors.of((platform, route)).filter(|it| !it.is_idle()) else {
                continue;
            };
            match ways.iter_mut().find(|(known, ..)| Arc::ptr_eq(known, inspector)) {
                Some((_, place, routes)) => {
                    *routes += 1;
                    if path(snapshot, *place).is_none() {
                        *place = (platform, route);
                    }
                }
                None => ways.push((Arc::clone(inspector), (platform, route), 1)),
            }
        }
    }
    let mut tasks = Vec::new();
    for (nth, (inspector, place, routes)) in ways.into_iter().enumerate() {
        let (Some(platform), Some(route)) = at(&snapshot.policy, place) else { continue };
        // What takes the least for an attack takes one thing alone for none.
        let low = route.inspection.sensitivity == Sensitivity::Low;
        let path = path(snapshot, place);
        let host = host(platform);
        for (by, family, attack, acts) in families(&inspector, route) {
            let attack = attack.filter(|_| nth < MOST_WAYS);
            let method = attack.and_then(|attack| method(route, &attack));
            let (state, why) = match (&path, attack, method) {
                (Some(_), Some(_), Some(_)) => (State::Unknown, String::new()),
                (None, ..) => (State::Unprobed, "no path leads to this route alone".to_owned()),
                (_, None, _) => (State::Unprobed, "the gate has no probe for this family".to_owned()),
                (.., None) => (State::Unprobed, "the route does not take the method of its probe".to_owned()),
            };
            tasks.push(Task {
                line: Line {
                    platform: platform.name.clone(),
                    route: route.path.to_string(),
                    routes,
                    by,
                    family: family.clone(),
                    state,
                    why,
                    since: 0,
                },
                expected: Expected { place, by, family, acts, weak: low || attack.is_some_and(|attack| attack.weak) },
                attack: attack.filter(|_| state == State::Unknown),
                host: host.clone(),
                path: path.clone().unwrap_or_default(),
                method,
            });
        }
    }
    tasks
}

/// The families that an inspector is to find, with their probes.
fn families(inspector: &Inspector, route: &Route) -> Vec<(By, String, Option<Attack>, bool)> {
    let mut families = Vec::new();
    if let Some((_, acts)) = &inspector.detection {
        let left_out = |class: &Class| {
            route.inspection.exclude.iter().any(|exclusion| {
                exclusion.target.is_none() && exclusion.what == Excluded::Family(class.as_str().to_owned())
            })
        };
        for class in Class::ALL.iter().filter(|class| !left_out(class)) {
            families.push((By::Detection, class.as_str().to_owned(), Some(attacks::of_class(*class)), *acts));
        }
    }
    if let Some(program) = &inspector.program {
        let acts = route.inspection.rules == InspectionMode::Enforce;
        // Whatever the rules are about, they must run.
        families.push((By::Rules, String::new(), attacks::of_tag("attack-xss"), acts));
        let looks_at_bodies = program.settings().response_body;
        for family in program.families() {
            // What only runs at a higher level, or looks at what nobody shows it, is not to be found.
            if family.paranoia > 1 || !(family.requests || looks_at_bodies) {
                continue;
            }
            families.push((By::Rules, family.name.clone(), attacks::of_tag(&family.name), acts));
        }
    }
    families
}

fn at(policy: &Policy, (platform, route): (usize, usize)) -> (Option<&Platform>, Option<&Route>) {
    let platform = policy.platforms.get(platform);
    (platform, platform.and_then(|platform| platform.routes.get(route)))
}

/// A name by which a platform is asked.
pub(super) fn host(platform: &Platform) -> String {
    platform.hosts.first().map_or_else(String::new, |host| match host.strip_prefix('*') {
        Some(suffix) => format!("portcullis-probe{suffix}"),
        None => host.clone(),
    })
}

/// A path that leads to a route.
pub(super) fn path(snapshot: &Snapshot, place: (usize, usize)) -> Option<String> {
    let (_, route) = at(&snapshot.policy, place);
    let candidates = match &route?.path {
        PathPattern::Exact(path) => vec![path.clone()],
        PathPattern::Below(path) => vec![format!("{path}/portcullis-probe"), format!("{path}/"), path.clone()],
    };
    candidates
        .into_iter()
        .find(|path| path.starts_with('/') && snapshot.router.route(place.0, path.as_bytes()) == Some(place.1))
}

/// The method by which a route takes a probe.
fn method(route: &Route, attack: &Attack) -> Option<&'static str> {
    let taken = |method: &str| route.methods.is_empty() || route.methods.iter().any(|taken| taken == method);
    let wanted: &[&'static str] = match (attack.method, attack.body) {
        (Some(method), _) => return Some(method).filter(|method| taken(method)),
        (None, Some(_)) => &["POST", "PUT", "PATCH"],
        (None, None) => &["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"],
    };
    wanted.iter().copied().find(|method| taken(method))
}

/// The listeners that lead to platforms.
pub(super) fn doors(policy: &Policy) -> Vec<Listener> {
    policy.listeners.iter().filter(|listener| listener.redirect_to_https.is_none()).cloned().collect()
}

async fn ask(
    process: &Process,
    door: &Listener,
    client: &Result<Arc<ClientConfig>, String>,
    task: &Task,
    attack: &Attack,
) -> (State, String) {
    let (number, mark) = process.probes.begin(attack.answer.map_or(Answer::Nothing, Answer::Page));
    let request = request(task, attack, &mark);
    let exchange = timeout(DEADLINE, exchange(process, (door, Errand::Attack), client, &task.host, &request)).await;
    let answer = match exchange {
        Ok(Ok(bytes)) => status(&bytes).ok_or_else(|| format!("listener `{}` gave no answer", door.name)),
        Ok(Err(error)) => Err(format!("listener `{}`: {error}", door.name)),
        Err(_) => Err(format!("listener `{}` gave no answer within {} s", door.name, DEADLINE.as_secs())),
    };
    let told = process.probes.end(number);
    judge(&task.expected, told.as_ref(), &answer)
}

fn request(task: &Task, attack: &Attack, mark: &str) -> Vec<u8> {
    let (method, path, host) = (task.method.unwrap_or("GET"), &task.path, &task.host);
    let (query, fields) = (attack.query, attack.fields);
    let agent = if fields.contains("User-Agent") { "" } else { "User-Agent: portcullis-probe\r\n" };
    let mut head = format!(
        "{method} {path}?portcullis-probe={query} HTTP/1.1\r\nHost: {host}\r\n{agent}Accept: */*\r\n{fields}{mark}Connection: close\r\n"
    );
    match attack.body {
        Some((kind, body)) => head += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        None if matches!(method, "POST" | "PUT" | "PATCH") => head += "Content-Length: 0\r\n\r\n",
        None => head += "\r\n",
    }
    head.into_bytes()
}

/// Sends a request through a listener, as a visitor would.
pub(super) async fn exchange(
    process: &Process,
    (door, errand): (&Listener, Errand),
    client: &Result<Arc<ClientConfig>, String>,
    host: &str,
    request: &[u8],
) -> io::Result<Vec<u8>> {
    let address = process.address(door).ok_or_else(|| io::Error::other("it is not open"))?;
    let to = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(to, 0))?;
    let end = socket.local_addr()?;
    let known = process.probes.know(end, errand);
    let mut tcp = socket.connect(SocketAddr::new(to, address.port())).await?;
    if door.proxy_protocol {
        tcp.write_all(LOCAL).await?;
    }
    let answer = if door.tls {
        let config = client.as_ref().map_err(|why| io::Error::other(why.clone()))?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        speak(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?, request).await
    } else {
        speak(tcp, request).await
    };
    drop(known);
    answer
}

async fn speak(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let read = (&mut stream).take(ANSWER_BYTES).read_to_end(&mut answer).await;
    // How the connection ends is of no interest once the answer is there.
    if answer.is_empty() { read.map(|_| answer) } else { Ok(answer) }
}

pub(super) fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?.parse().ok()
}
