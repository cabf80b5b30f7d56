//! Scripts of the gate's own that change on their way out, to see whether that is told.
//!
//! Each goes through a listener of the gate's own and leaves as a platform's answer would, from where that comes in to the wire: once
//! as it was, once changed. Its place is a path of the gate's own, so that nothing a visitor asks for or a platform answers is known
//! under it; the connection is one that the gate has made, so that nobody else gets it. Nothing of it stays.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use portcullis_config::policy::{Listener, Platform};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::round::{doors, exchange, host, path, status};
use super::{Answer, Errand, Planted, Script, Told};
use crate::state::Snapshot;
use crate::{Process, tls};

/// An answer that has not come by then does not come.
const DEADLINE: Duration = Duration::from_secs(10);
/// What all of them may take for one platform.
const ALL: Duration = Duration::from_secs(60);
/// Routes of one platform that are tried.
const ROUTES: usize = 32;
/// How often it is looked whether probing rests still.
const REST: Duration = Duration::from_millis(200);
/// Kinds that are tried, in each coding.
const KINDS: [&str; 2] = ["text/javascript; charset=utf-8", "text/css"];
const CODINGS: [Option<&str>; 2] = [None, Some("gzip")];
/// How long a script is, and where it changes.
const SHAPES: [(usize, Where); 3] = [(200, Where::First), (4 << 10, Where::Middle), (48 << 10, Where::Last)];

/// Puts scripts of its own before the sensor of the scripts that visitors are given.
pub struct Scripts {
    pub(crate) process: Arc<Process>,
    pub(crate) runtime: Handle,
}

impl Scripts {
    /// Platforms whose scripts are watched while they leave.
    #[must_use]
    pub fn platforms(&self) -> Vec<String> {
        let snapshot = self.process.snapshot();
        snapshot.policy.platforms.iter().map(|platform| platform.name.clone()).collect()
    }

    /// Has scripts leave by each route of a platform at which anything is looked at, as they were and then changed, and says which.
    /// Waits until they have left.
    ///
    /// # Errors
    /// Why they could not leave.
    pub fn change(&self, platform: &str, drill: &str) -> Result<Vec<Planted>, String> {
        let (done, over) = mpsc::channel();
        let (process, platform, drill) = (Arc::clone(&self.process), platform.to_owned(), Arc::from(drill));
        let all = async move {
            // Whoever asked may have gone.
            let _ = done.send(change(&process, &platform, &drill).await);
        };
        self.runtime.spawn(all);
        over.recv_timeout(ALL).unwrap_or_else(|_| Err("the gate does not come to it".to_owned()))
    }
}

/// The byte that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    First,
    Middle,
    Last,
}

/// What it is, and where it changes.
#[derive(Debug, Clone, Copy)]
struct Way {
    kind: &'static str,
    coding: Option<&'static str>,
    length: usize,
    at: Where,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, coding, length, .. } = self;
        write!(f, "{kind} of {length} bytes, {}", coding.unwrap_or("not packed"))
    }
}

/// The script of one try.
struct Try<'a> {
    platform: &'a Platform,
    door: &'a Listener,
    /// Where the gate finds the route.
    path: &'a str,
    /// Where the script is said to be.
    subject: &'a str,
    way: Way,
    drill: &'a Arc<str>,
}

async fn change(process: &Process, platform: &str, drill: &Arc<str>) -> Result<Vec<Planted>, String> {
    while process.probes.rests() {
        sleep(REST).await;
    }
    let snapshot = process.snapshot();
    let declared = snapshot.policy.platforms.iter().position(|known| known.name == platform);
    let Some((at, declared)) = declared.and_then(|at| Some((at, snapshot.policy.platforms.get(at)?))) else {
        return Err("there is no such platform any more".to_owned());
    };
    let doors = doors(&snapshot.policy);
    let door = doors.first().ok_or("no listener leads to a platform")?;
    let mut left = Vec::new();
    for (route, path) in &routes(&snapshot, at) {
        for way in ways() {
            let subject = format!("/.portcullis/drill/{drill}-{}", left.len());
            let one = Try { platform: declared, door, path, subject: &subject, way, drill };
            let outcome = one.leaves(process, &snapshot).await;
            process.scripts.forget(platform, &subject);
            outcome.map_err(|why| format!("by {route}: {why}"))?;
            left.push(Planted { subject, words: format!("by {route}, {way}") });
        }
    }
    if left.is_empty() { Err("nothing that leaves by any of its routes is looked at".to_owned()) } else { Ok(left) }
}

/// Routes at which what leaves is looked at, each with a path that leads there.
fn routes(snapshot: &Snapshot, platform: usize) -> Vec<(String, String)> {
    let routes = snapshot.policy.platforms.get(platform).map(|platform| &platform.routes[..]).unwrap_or_default();
    let way = |(route, declared): (usize, &portcullis_config::policy::Route)| {
        snapshot.guards.of((platform, route))?;
        Some((declared.path.to_string(), path(snapshot, (platform, route))?))
    };
    routes.iter().enumerate().filter_map(way).take(ROUTES).collect()
}

fn ways() -> Vec<Way> {
    let mut ways = Vec::new();
    for kind in KINDS {
        for coding in CODINGS {
            ways.extend(SHAPES.map(|(length, at)| Way { kind, coding, length, at }));
        }
    }
    ways
}

/// Whether a script has left whole; why not.
fn left(answer: &[u8], told: Option<&Told>) -> Result<(), String> {
    if let Some(reason) = told.and_then(|told| told.refused.first()) {
        return Err(format!("what may leave there holds the script back as {reason}: {}", reason.description()));
    }
    match status(answer) {
        Some(200) if is_whole(answer) => Ok(()),
        Some(200) => Err("the script was broken off on its way out".to_owned()),
        Some(status) => Err(format!("the script did not leave, {status} was answered")),
        None => Err("the script did not leave, the connection ended without an answer".to_owned()),
    }
}

/// Whether an answer came to its end: to the length that it names, or to its last chunk.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else { return false };
    let (head, body) = answer.split_at(end + 4);
    let fields = head.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match lengths.next() {
        Some((_, length)) => length.trim().parse() == Ok(body.len()),
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

impl Try<'_> {
    /// Lets it leave as it was, and then changed.
    async fn leaves(&self, process: &Process, snapshot: &Snapshot) -> Result<(), String> {
        let host = host(self.platform);
        let client = tls::own_client(&snapshot.policy);
        for changed in [false, true] {
            let script = Script {
                path: self.subject.to_owned(),
                drill: Arc::clone(self.drill),
                kind: self.way.kind,
                coding: self.way.coding,
                body: self.body(changed).map_err(|error| error.to_string())?,
            };
            let (number, mark) = process.probes.begin(Answer::Script(script));
            let request = format!(
                "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portcullis-probe\r\nAccept: */*\r\n{mark}Connection: close\r\n\r\n",
                self.path
            );
            let asked = exchange(process, (self.door, Errand::Script), &client, &host, request.as_bytes());
            let answer = timeout(DEADLINE, asked).await;
            let told = process.probes.end(number);
            match answer {
                Ok(Ok(bytes)) => left(&bytes, told.as_ref())?,
                Ok(Err(error)) => return Err(format!("listener `{}`: {error}", self.door.name)),
                Err(_) => return Err(format!("no answer within {} s", DEADLINE.as_secs())),
            }
        }
        Ok(())
    }

    /// It, as it was or with one byte that is another.
    fn body(&self, changed: bool) -> io::Result<Bytes> {
        let Way { coding, length, at, .. } = self.way;
        let line = format!("/* portcullis drill {}: it does nothing. */\n", self.drill);
        let mut text: Vec<u8> = line.bytes().cycle().take(length).collect();
        let at = match at {
            Where::First => text.first_mut(),
            Where::Middle => text.get_mut(length / 2),
            Where::Last => text.last_mut(),
        };
        at.into_iter().filter(|_| changed).for_each(|byte| *byte ^= 1);
        let Some("gzip") = coding else { return Ok(text.into()) };
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&text)?;
        packed.finish().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_types::Reason;

    use super::*;

    #[test]
    fn a_script_has_left_where_it_came_whole_and_else_it_is_said_why() {
        let held = Told { refused: vec![Reason::UnreadData], ..Told::default() };
        let broken = "the script was broken off on its way out";
        let table: [(&str, Option<&Told>, Result<(), &str>); 9] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na()", None, Ok(())),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na()", Some(&Told::default()), Ok(())),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\na()\r\n0\r\n\r\n", None, Ok(())),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\na()\r\n", None, Err(broken)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na", None, Err(broken)),
            ("HTTP/1.1 200 OK\r\ncontent-le", None, Err(broken)),
            ("HTTP/1.1 404 Not Found\r\n\r\n", None, Err("the script did not leave, 404 was answered")),
            ("", None, Err("the script did not leave, the connection ended without an answer")),
            (
                "HTTP/1.1 502 Bad Gateway\r\n\r\n",
                Some(&held),
                Err("what may leave there holds the script back as unread-data"),
            ),
        ];
        for (answer, told, expected) in table {
            let outcome = left(answer.as_bytes(), told);
            match expected {
                Ok(()) => assert_eq!(outcome, Ok(()), "{answer}"),
                Err(words) => assert!(outcome.is_err_and(|why| why.starts_with(words)), "{answer}"),
            }
        }
    }
}
