//! What leaves: a copy of each answer is read as it passes, and what is too much is stopped before it has left.
//!
//! The original bytes go on. Where something may be done about an answer, some of it is held back until what follows has been
//! looked at; a conversation (events, gRPC, WebSocket) is not held back, because each side may be waiting for the other.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use portcullis_config::policy::Platform;
use portcullis_config::{Beyond, InspectionMode, LeavingAction, Policy};
use portcullis_dataguard::canary::{CanaryId, Trail};
use portcullis_dataguard::decode::{Codings, Grpc, Reader, WebSocket};
use portcullis_dataguard::detect::Scan;
use portcullis_dataguard::ledger::Who;
use portcullis_dataguard::mask::Mask;
use portcullis_dataguard::sequence::{Enumeration, Id};
use portcullis_dataguard::tally::{self, Alarm, Counting, Tally};
use portcullis_dataguard::{Kind, Scanner, Unread};
use portcullis_engine::Refusal;
use portcullis_ledger::Sensor;
use portcullis_types::{ClientAddr, Limits, Reason, Tick};
use portcullis_wire::http::{Fields, Name, RequestHead, ResponseHead};

use super::account::Account;
use super::body::{Body, BodyError, Frame, Waiting};
use super::identity::{Client, Connection};
use super::pace::Pace;
use super::response::Cleared;
use super::scripts::{Both, Hashing};
use super::sight;
use crate::Process;
use crate::chronicle::{self, Leak};
use crate::guard::{Allowance, Books, Counts, Guard, Guards, Principals, Sight, Taking};
use crate::watch::Watch;
use crate::worker::unix_millis;

/// How often what a conversation may use of its bounds begins anew: it goes on for days, and nobody says so much in a minute.
const RENEWAL: Duration = Duration::from_secs(60);

/// What is known of a request whose answer is looked at.
pub(crate) struct Asked<'a> {
    pub(crate) process: &'a Arc<Process>,
    pub(crate) guard: &'a Arc<Guard>,
    pub(crate) principals: Principals,
    pub(crate) taking: Taking,
    pub(crate) client: ClientAddr,
    pub(crate) reference: String,
    /// Without the query.
    pub(crate) path: String,
    /// The drill that it is made for, where it is one of the gate's own.
    pub(crate) drill: Option<Arc<str>>,
}

/// What is told of an answer, shared by whoever reads it and its account.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Members' records that left, and different values by kind.
    pub(crate) records: u64,
    pub(crate) values: Vec<(Kind, u64)>,
    /// Bytes that were not looked at, and why.
    pub(crate) unread: Option<(Unread, u64)>,
    /// What is only told.
    pub(crate) observed: Vec<Refusal>,
    /// It was a declared export.
    pub(crate) exported: bool,
    /// What leaves by this route is always written down.
    pub(crate) accounted: bool,
}

impl Told {
    /// Whether there is anything to say.
    pub(crate) fn is_told(&self) -> bool {
        self.unread.is_some() || !self.values.is_empty()
    }

    /// Whether it is to be written down.
    pub(crate) fn matters(&self) -> bool {
        !self.observed.is_empty() || (self.accounted && self.records > 0)
    }
}

/// Why an answer must not go on.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    /// Ended before what is too much, and not broken off.
    truncate: bool,
    /// A challenge may open the way.
    pub(crate) step_up: bool,
}

impl Stop {
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::new(self.reason, portcullis_engine::Detail::Measure(Arc::from(self.detail.as_str())))
    }
}

/// Who asks, as the books have them.
pub(crate) fn principals(
    books: &Books,
    platform: &Platform,
    connection: &Connection,
    head: &RequestHead,
    h2: Option<&[u8]>,
    client: &Client,
) -> Principals {
    let address = books.name(&[b"address", client.address.to_string().as_bytes()]);
    let session = platform.session_cookie.as_ref().and_then(|name| {
        let cookies = head.fields.all(Name::Cookie).flat_map(sight::cookies);
        cookies
            .into_iter()
            .find(|(known, _)| *known == name.as_bytes())
            .map(|(_, value)| books.name(&[b"session", value]))
    });
    let session = session.unwrap_or(address);
    let key = platform.api_key_header.as_ref().and_then(|name| head.fields.find(name.as_bytes()));
    let account = key.map_or(session, |key| books.name(&[b"key", key]));
    let stack = connection.tls.as_ref().and_then(|tls| tls.stack.as_ref()).map(AsRef::<str>::as_ref);
    let order = head.fields.order_print().to_le_bytes();
    let cluster = books.name(&[b"cluster", stack.unwrap_or_default().as_bytes(), h2.unwrap_or_default(), &order]);
    let prefix = books.name(&[b"prefix", client.address.prefix().to_string().as_bytes()]);
    let mut all = [0; Who::ALL.len()];
    for (who, value) in
        [(Who::Session, session), (Who::Account, account), (Who::Cluster, cluster), (Who::Prefix, prefix)]
    {
        all[who as usize] = value;
    }
    Principals(all)
}

/// The account that a platform names in its answer, as a hash. The name never leaves.
pub(crate) fn account(books: &Books, platform: &Platform, head: &mut ResponseHead) -> Option<u64> {
    let name = platform.account_header.as_ref()?;
    let account = head.fields.find(name.as_bytes()).map(|account| books.name(&[b"account", account]));
    if account.is_some() {
        let mut left = Fields::default();
        let others = head.fields.iter().filter(|field| !field.spelling.eq_ignore_ascii_case(name.as_bytes()));
        others.for_each(|field| left.push_known(field.name, field.spelling, field.value));
        head.fields = left;
    }
    account
}

/// Whether this is somebody who may export here, by name.
pub(crate) fn may_export(
    policy: &Policy,
    guard: &Guard,
    platform: &Platform,
    head: &RequestHead,
    client: &Client,
) -> bool {
    let named = |name: &String| policy.vouched.iter().find(|vouched| vouched.name == *name);
    guard.leaving.export.iter().filter_map(named).any(|vouched| {
        let there =
            vouched.networks.is_empty() || vouched.networks.iter().any(|network| network.contains(client.address.ip()));
        let key = platform.api_key_header.as_ref().and_then(|name| head.fields.find(name.as_bytes()));
        let keyed = vouched
            .api_key_sha256
            .is_none_or(|digest| key.is_some_and(|key| portcullis_dataguard::canary::sha256(key) == digest));
        let agent = vouched.agent.as_ref().is_none_or(|agent| {
            head.fields.find(b"user-agent").is_some_and(|sent| memchr::memmem::find(sent, agent.as_bytes()).is_some())
        });
        there && keyed && agent
    })
}

/// Canaries in what was asked for: an id or a key that opens nothing, brought back by whoever read it.
pub(crate) fn brought_back(guards: &Guards, head: &RequestHead, place: &str) -> Option<CanaryId> {
    let matcher = guards.matcher.as_ref()?;
    let mut seen = None;
    let mut look = |bytes: &[u8]| {
        matcher.feed(&mut Trail::default(), bytes, &mut |id| {
            if !guards.canaries.is_at_home(id, place) {
                seen.get_or_insert(id);
            }
        });
    };
    look(head.target());
    head.fields.iter().for_each(|field| look(field.value));
    seen
}

/// What is told of somebody who asks for one id after the other.
pub(crate) fn enumeration(told: &Enumeration) -> Refusal {
    let Enumeration { ids, run, short_steps, misses, alike } = *told;
    let whose = if alike { "by many that look alike" } else { "by one" };
    let words = format!(
        "{ids} ids within the hour {whose}: {short_steps} % of the steps short, the longest run {run}, {misses} % refused or missing"
    );
    Refusal::new(Reason::Enumeration, portcullis_engine::Detail::Measure(Arc::from(words)))
}

/// The id in a request.
pub(crate) fn id(books: &Books, head: &RequestHead) -> Option<Id> {
    Id::of(head.target(), |part| books.name(&[b"id", part]))
}

/// Somebody who reads a copy of an answer.
pub(crate) struct Eye {
    process: Arc<Process>,
    guard: Arc<Guard>,
    principals: Principals,
    taking: Taking,
    client: ClientAddr,
    reference: String,
    path: String,
    /// It goes on for as long as both sides like: events, gRPC, WebSocket.
    conversation: bool,
    /// When a conversation was last counted anew.
    renewed: Tick,
    /// What came to its bounds is read again.
    read_on: bool,
    reading: Reading,
    scanner: Scanner,
    tally: Tally,
    /// Alarms that were dealt with.
    dealt: usize,
    unread: Option<(Unread, u64)>,
    text: u64,
    /// What was counted when the last piece that left had been looked at; all of it where nothing is held back.
    left: Option<Counted>,
    /// What was too much, and whether something is done about it.
    leaks: Vec<(Alarm, bool)>,
    told: Rc<RefCell<Told>>,
    /// It is a script, and it is time to see whether it is what it was.
    hashing: Option<Hashing>,
}

/// Records and different values by kind, up to some point of an answer.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    records: u64,
    values: [u64; Kind::ALL.len()],
}

enum Reading {
    Body(Box<Reader>),
    Grpc(Box<Grpc>),
    Socket(Box<WebSocket>),
    /// Nothing can be read.
    Not,
}

impl Eye {
    /// On an answer with that head; `None` in place of a reader where it holds nothing that could be read.
    pub(crate) fn new(asked: Asked<'_>, head: &ResponseHead, upgraded: bool) -> (Self, Rc<RefCell<Told>>) {
        let guard = asked.guard;
        let kind = head.fields.get(Name::ContentType).unwrap_or_default().to_ascii_lowercase();
        let bounds = guard.bounds;
        let codings = || head.fields.iter().filter(|field| field.spelling.eq_ignore_ascii_case(b"content-encoding"));
        let reading = if upgraded {
            Ok(Reading::Socket(Box::new(WebSocket::new(bounds))))
        } else if is_media(&kind) {
            Err(Unread::Kind)
        } else if kind.starts_with(b"application/grpc") {
            let encoding = head.fields.find(b"grpc-encoding").unwrap_or_default();
            Ok(Reading::Grpc(Box::new(Grpc::new(encoding, bounds))))
        } else {
            Codings::of(codings().map(|field| field.value)).and_then(|codings| {
                if head.status == 206 && !codings.is_plain() {
                    return Err(Unread::Range);
                }
                Ok(Reading::Body(Box::new(Reader::new(codings, bounds))))
            })
        };
        let (reading, unread) = match reading {
            Ok(reading) => (reading, None),
            Err(unread) => (Reading::Not, Some((unread, 0))),
        };
        let rows = [&b"csv"[..], b"tab-separated", b"spreadsheet", b"excel", b"zip"];
        let rows = rows.iter().any(|word| memchr::memmem::find(&kind, word).is_some());
        let scripts = &asked.process.scripts;
        let looks = || scripts.look(&guard.platform, &asked.path, head, asked.drill.as_ref(), asked.process.now());
        let hashing = if asked.process.chronicle.listens() { looks() } else { None };
        // Of what cannot be read there is nothing to hash, and that is told.
        let hashing = match hashing {
            Some(hashing) if unread.is_some() => {
                scripts.unread(hashing);
                None
            }
            hashing => hashing,
        };
        let mut scanner = Scanner::default();
        scanner.begin(&guard.detector, rows);
        let told = Rc::new(RefCell::new(Told {
            exported: asked.taking.allowance == Allowance::Export,
            accounted: guard.is_accounted(),
            ..Told::default()
        }));
        let eye = Self {
            process: Arc::clone(asked.process),
            guard: Arc::clone(guard),
            principals: asked.principals,
            taking: asked.taking,
            client: asked.client,
            reference: asked.reference,
            path: asked.path,
            conversation: upgraded || is_conversation(&kind),
            renewed: asked.process.now(),
            read_on: false,
            reading,
            scanner,
            tally: Tally::default(),
            dealt: 0,
            unread,
            text: 0,
            left: None,
            leaks: Vec::new(),
            hashing,
            told: Rc::clone(&told),
        };
        (eye, told)
    }

    /// Looks at more bytes, and says whether they must not go on.
    pub(crate) fn see(&mut self, bytes: &[u8]) -> Option<Stop> {
        self.renew();
        if let Some((_, count)) = &mut self.unread
            && !self.read_on
        {
            *count += bytes.len() as u64;
            return self.unread_stops();
        }
        let outcome = self.read(|reading, scan| match reading {
            Reading::Body(reader) => {
                let outcome = reader.push(bytes, scan);
                (outcome, reader.text())
            }
            Reading::Grpc(grpc) => (grpc.push(bytes, scan), 0),
            Reading::Socket(socket) => (socket.push(bytes, scan), 0),
            Reading::Not => (Ok(()), 0),
        });
        if let Err(unread) = outcome {
            let before = self.unread.map_or(0, |(_, count)| count);
            self.unread = Some((unread, before + bytes.len() as u64));
            self.read_on = false;
        }
        self.judge().or_else(|| self.unread_stops())
    }

    /// Bounds are for an answer; a conversation that goes on for days has them again and again.
    fn renew(&mut self) {
        if !self.conversation || self.process.now().since(self.renewed) <= RENEWAL {
            return;
        }
        self.renewed = self.process.now();
        match &mut self.reading {
            Reading::Socket(socket) => socket.renew(),
            Reading::Grpc(grpc) => grpc.renew(),
            Reading::Body(reader) => {
                reader.renew();
                // Plain text can be read on from anywhere; what was not looked at stays counted.
                self.read_on = true;
            }
            Reading::Not => {}
        }
    }

    /// What has come is all there is for now: looks at the rest of it, which could be the beginning of something.
    pub(crate) fn settle(&mut self) -> Option<Stop> {
        let Ok(()) = self.read(|_, scan| {
            portcullis_dataguard::Sink::end(scan);
            (Ok(()), 0)
        }) else {
            return None;
        };
        self.judge()
    }

    /// The answer is over.
    pub(crate) fn finish(&mut self) -> Option<Stop> {
        let outcome = self.read(|reading, scan| match reading {
            Reading::Body(reader) => (reader.finish(scan), reader.text()),
            Reading::Grpc(_) | Reading::Socket(_) | Reading::Not => {
                portcullis_dataguard::Sink::end(scan);
                (Ok(()), 0)
            }
        });
        if let (Err(unread), None) = (outcome, self.unread) {
            self.unread = Some((unread, 0));
        }
        match self.hashing.take() {
            Some(hashing) if self.unread.is_some() => self.process.scripts.unread(hashing),
            Some(hashing) => self.process.scripts.passed(hashing, &self.process.chronicle, self.process.now()),
            None => {}
        }
        self.judge().or_else(|| self.unread_stops())
    }

    fn read(
        &mut self,
        step: impl FnOnce(&mut Reading, &mut Both<'_, '_>) -> (Result<(), Unread>, u64),
    ) -> Result<(), Unread> {
        let Self { process, guard, principals, taking, reading, scanner, tally, text, path, hashing, .. } = self;
        let mut books = Noting { process, guard, principals, taking: *taking, now: process.now(), path };
        let mut counting = Counting { tally, measure: &guard.measure, key: process.books.key(), books: &mut books };
        let mut scan = Scan { detector: &guard.detector, scanner, findings: &mut counting };
        let (outcome, read) = step(reading, &mut Both { scan: &mut scan, hashing: hashing.as_mut() });
        *text = read.max(*text);
        outcome
    }

    /// Whether a value of plain text is to be overwritten: it is a record beyond what may leave, or comes after one.
    fn overwrites(&mut self, over: &mut bool, kind: Kind, hash: u64) -> bool {
        let counts = self.guard.measure.record.has(kind);
        if counts && self.taking.allowance != Allowance::Export {
            let now = self.process.now();
            let beyond = self.process.books.record(&self.guard, &self.principals, (kind, hash), self.taking, now);
            if let Some(alarm @ Alarm::Budget { observed: false, .. }) = beyond {
                if !*over {
                    let (reason, acts) = self.acts_on(&alarm);
                    self.leaks.push((alarm, acts));
                    let words = format!("masked: {alarm}");
                    let refusal = Refusal::new(reason, portcullis_engine::Detail::Measure(Arc::from(words)));
                    self.told.borrow_mut().observed.push(refusal);
                }
                *over = true;
                return true;
            }
        }
        *over && !counts
    }

    /// What was counted up to here.
    fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        if !self.tally.is_empty() {
            counted.records = self.tally.records(&self.guard.measure);
            for kind in Kind::ALL {
                if let Some(count) = counted.values.get_mut(*kind as usize) {
                    *count = self.tally.count(*kind);
                }
            }
        }
        counted
    }

    /// Deals with alarms that are new.
    fn judge(&mut self) -> Option<Stop> {
        let alarms: Vec<Alarm> = self.tally.alarms().get(self.dealt..).unwrap_or_default().to_vec();
        self.dealt += alarms.len();
        let mut stop: Option<Stop> = None;
        for alarm in alarms {
            if let Alarm::Canary(canary) = alarm {
                self.process.books.alarm(&Sight {
                    canary,
                    platform: &self.guard.platform,
                    place: &chronicle::http(&self.guard.platform),
                    path: &self.path,
                    way: "answer",
                    left: !self.guard.canary_blocks,
                    client: self.client.ip(),
                    reference: &self.reference,
                    asked: false,
                    unix_millis: unix_millis(),
                });
            }
            let (reason, acts) = self.acts_on(&alarm);
            let detail = alarm.to_string();
            self.leaks.push((alarm, acts));
            let own = matches!(alarm, Alarm::Budget { .. } | Alarm::Response { .. });
            let truncate = own && self.guard.leaving.action == LeavingAction::Truncate;
            // An answer that is cut short is no failure: that it was is told like what is only observed.
            let told = !acts || truncate;
            if told {
                let refusal = Refusal::new(reason, portcullis_engine::Detail::Measure(Arc::from(detail.as_str())));
                self.told.borrow_mut().observed.push(refusal);
            }
            if acts && stop.is_none() {
                stop = Some(Stop {
                    reason,
                    detail,
                    truncate,
                    step_up: own
                        && self.guard.leaving.action == LeavingAction::StepUp
                        && self.taking.allowance == Allowance::Once,
                });
            }
        }
        stop
    }

    /// The reason that an alarm is told with, and whether something is done about it.
    fn acts_on(&self, alarm: &Alarm) -> (Reason, bool) {
        let leaving = &self.guard.leaving;
        let free = self.taking.allowance == Allowance::Export;
        match alarm {
            Alarm::Canary(_) => (Reason::CanarySeen, self.guard.canary_blocks),
            Alarm::Response { .. } => (Reason::DataBudget, leaving.action.acts() && !free),
            Alarm::Budget { observed, .. } => (Reason::DataBudget, leaving.action.acts() && !observed && !free),
            Alarm::Secret(_) => (Reason::SecretSeen, leaving.secrets == InspectionMode::Enforce),
            Alarm::Fault(..) => (Reason::SecretSeen, leaving.faults == InspectionMode::Enforce),
        }
    }

    fn unread_stops(&self) -> Option<Stop> {
        let (unread, _) = self.unread?;
        // A picture is a picture; what matters is what could have been a list.
        if self.guard.leaving.unread != Beyond::Refuse || unread == Unread::Kind {
            return None;
        }
        let detail = format!("it cannot be read: {}", unread.name());
        Some(Stop { reason: Reason::UnreadData, detail, truncate: false, step_up: false })
    }
}

/// What was seen is told once, whatever the end: also of an answer that its reader did not wait for.
impl Drop for Eye {
    fn drop(&mut self) {
        let counts = &self.process.books.counts;
        Counts::add(&counts.answers, 1);
        Counts::add(&counts.text, self.text);
        if let Some((unread, bytes)) = self.unread
            && let Some(counter) = counts.unread.get(unread as usize)
        {
            Counts::add(counter, bytes);
        }
        let mut told = self.told.borrow_mut();
        told.unread = self.unread;
        let left = self.left.take().unwrap_or_else(|| self.counted());
        told.records = left.records;
        let path = if self.leaks.is_empty() { Sensor::default() } else { chronicle::http(&self.guard.platform) };
        for (alarm, acts) in self.leaks.drain(..) {
            let Some((what, whose, allowed)) = chronicle::named(&alarm) else { continue };
            // An export is declared: it is counted among what left, and is no leak.
            if told.exported {
                continue;
            }
            self.process.chronicle.leaked(&Leak {
                path: &path,
                through: &self.guard.path,
                what,
                whose,
                allowed,
                left: left.records,
                action: if acts { self.guard.leaving.action.name() } else { "observe" },
                reference: &self.reference,
                client: Some(self.client.ip()),
            });
        }
        Counts::add(&counts.records, told.records);
        Counts::add(&counts.exported, if told.exported { told.records } else { 0 });
        for kind in Kind::ALL {
            let count = left.values.get(*kind as usize).copied().unwrap_or(0);
            if count > 0 {
                told.values.push((*kind, count));
                counts.values.get(*kind as usize).into_iter().for_each(|counter| Counts::add(counter, count));
            }
        }
    }
}

/// The books, opened for one answer.
struct Noting<'a> {
    process: &'a Process,
    guard: &'a Guard,
    principals: &'a Principals,
    taking: Taking,
    now: Tick,
    path: &'a str,
}

impl tally::Books for Noting<'_> {
    fn record(&mut self, kind: Kind, record: u64) -> Option<Alarm> {
        self.process.books.record(self.guard, self.principals, (kind, record), self.taking, self.now)
    }

    fn is_home(&self, canary: CanaryId) -> bool {
        self.guard.canaries.is_at_home(canary, &format!("{}:{}", self.guard.platform, self.path))
    }
}

/// Whether a path is that of pictures, sound or film, of which browsers ask for parts as they play. What comes is looked at by
/// what it is, not by this.
pub(crate) fn is_media_path(path: &[u8]) -> bool {
    const MEDIA: [&[u8]; 14] = [
        b"mp4", b"m4v", b"m4a", b"mov", b"webm", b"mkv", b"mp3", b"ogg", b"ogv", b"wav", b"flac", b"aac", b"avif",
        b"heic",
    ];
    let name = path.split(|byte| *byte == b'.').next_back().unwrap_or_default();
    MEDIA.iter().any(|media| name.eq_ignore_ascii_case(media))
}

/// Given in small letters.
fn is_conversation(kind: &[u8]) -> bool {
    kind.starts_with(b"text/event-stream") || kind.starts_with(b"application/grpc")
}

fn is_media(kind: &[u8]) -> bool {
    let starts = [&b"image/"[..], b"video/", b"audio/", b"font/"];
    starts.iter().any(|start| kind.starts_with(start)) && !kind.starts_with(b"image/svg")
}

/// A body that is looked at as it passes.
pub(crate) struct Guarded {
    inner: Body,
    eye: Eye,
    /// What has been looked at and not left, with what was counted up to its end.
    held: VecDeque<(Bytes, Counted)>,
    held_bytes: usize,
    /// So much is kept until what follows was looked at.
    hold: usize,
    /// Each piece is a message of its own.
    conversation: bool,
    /// As it was when nothing of it had been read ahead; an answer that may be cut short has none beforehand.
    length: Option<u64>,
    ended: bool,
    trailers: Option<Fields>,
    error: Option<BodyError>,
    stop: Option<Stop>,
    /// Where values can be overwritten; whether any was.
    mask: Option<(Box<Mask>, bool)>,
}

impl Guarded {
    fn new(inner: Body, mut eye: Eye, head: &ResponseHead) -> Self {
        eye.left = Some(Counted::default());
        let conversation = eye.conversation;
        let acts = eye.guard.acts();
        let hold =
            if acts && !conversation { usize::try_from(eye.guard.leaving.hold).unwrap_or(usize::MAX) } else { 0 };
        let plain = !head.fields.iter().any(|field| field.spelling.eq_ignore_ascii_case(b"content-encoding"));
        let masks = eye.guard.wants_plain() && plain && !conversation && matches!(eye.reading, Reading::Body(_));
        let hides_length = acts && eye.guard.leaving.action == LeavingAction::Truncate;
        Self {
            length: if hides_length { None } else { inner.length() },
            inner,
            eye,
            held: VecDeque::new(),
            held_bytes: 0,
            hold,
            conversation,
            ended: false,
            trailers: None,
            error: None,
            stop: None,
            mask: masks.then(|| (Box::default(), false)),
        }
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let full = self.poll_full(cx);
        if let Some(stop) = &self.stop {
            self.held.clear();
            if stop.truncate {
                return Poll::Ready(None);
            }
            let error = BodyError::Stopped(Box::new(stop.refusal()));
            return Poll::Ready(Some(Err(error)));
        }
        let spare = self.ended
            || self.held.front().is_some_and(|(first, _)| self.held_bytes.saturating_sub(first.len()) >= self.hold);
        if spare && let Some((first, counted)) = self.held.pop_front() {
            self.held_bytes -= first.len();
            self.eye.left = Some(counted);
            return Poll::Ready(Some(Ok(Frame::Data(first))));
        }
        ready!(full);
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.trailers.take() {
            Some(trailers) => Poll::Ready(Some(Ok(Frame::Trailers(trailers)))),
            None => Poll::Ready(None),
        }
    }

    /// What goes on of what came, with values overwritten where that is declared; without more, what was kept for it.
    fn masked(&mut self, data: Option<Bytes>) -> Bytes {
        let Self { eye, mask, .. } = self;
        let Some((mask, over)) = mask else { return data.unwrap_or_default() };
        let (detector, process) = (Arc::clone(&eye.guard.detector), Arc::clone(&eye.process));
        let key = process.books.key();
        let mut judge = |kind, hash| eye.overwrites(over, kind, hash);
        let left = match data {
            Some(data) => mask.push(&detector, key, &data, &mut judge),
            None => mask.finish(&detector, key, &mut judge),
        };
        Bytes::from(left)
    }

    fn hold_back(&mut self, data: Bytes) {
        self.held_bytes += data.len();
        self.held.push_back((data, self.eye.counted()));
    }

    /// The answer is over: looks at what is left of it.
    fn finish(&mut self) {
        self.ended = true;
        let rest = self.masked(None);
        if !rest.is_empty() {
            self.stop = self.eye.see(&rest);
            self.hold_back(rest);
        }
        self.stop = self.stop.take().or_else(|| self.eye.finish());
        // What only the end made whole left with the last piece.
        let counted = self.eye.counted();
        match self.held.back_mut() {
            Some((_, last)) => *last = counted,
            None => self.eye.left = Some(counted),
        }
    }

    /// Reads on until more is held than must be, or the answer is over, or must not go on.
    fn poll_full(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && self.stop.is_none() {
            if self.held.front().is_some_and(|(first, _)| self.held_bytes.saturating_sub(first.len()) >= self.hold) {
                return Poll::Ready(());
            }
            match self.inner.poll_frame(cx) {
                Poll::Pending => {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(Frame::Data(data)))) => {
                    let data = self.masked(Some(data));
                    if data.is_empty() {
                        continue;
                    }
                    self.stop = self.eye.see(&data);
                    if self.conversation && self.stop.is_none() && data.ends_with(b"\n\n") {
                        self.stop = self.eye.settle();
                    }
                    self.hold_back(data);
                }
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                    self.trailers = Some(trailers);
                    self.finish();
                }
                Poll::Ready(Some(Err(error))) => {
                    self.error = Some(error);
                    self.ended = true;
                }
                Poll::Ready(None) => self.finish(),
            }
        }
        Poll::Ready(())
    }
}

/// Who is waited for while the beginning of an answer is held back.
pub(crate) struct Around<'a> {
    pub(crate) watch: &'a Watch,
    pub(crate) limits: &'a Limits,
    pub(crate) idle: Duration,
}

/// Has an answer read as it passes, also where another protocol follows on it.
///
/// # Errors
/// As [`guard`].
pub(crate) async fn watched(
    asked: Asked<'_>,
    cleared: &mut Cleared,
    around: &Around<'_>,
    account: &mut Account,
) -> Result<(), Failed> {
    let (eye, told) = Eye::new(asked, &cleared.head, cleared.upgrade.is_some());
    account.leaves(told);
    if cleared.upgrade.is_some() {
        cleared.eye = Some(Box::new(eye));
        return Ok(());
    }
    guard(eye, &mut cleared.head, &mut cleared.body, around).await
}

/// Puts an answer under guard. Where something may be done about it, its beginning is looked at before anything leaves.
///
/// # Errors
/// Why it must not leave, or why it did not come.
async fn guard(eye: Eye, head: &mut ResponseHead, body: &mut Body, around: &Around<'_>) -> Result<(), Failed> {
    let mut guarded = Guarded::new(std::mem::replace(body, Body::Empty), eye, head);
    if guarded.length.is_none() {
        // What was promised may not come: neither a length nor a digest of the whole is.
        let mut left = Fields::default();
        head.fields
            .iter()
            .filter(|field| field.name != Name::ContentLength)
            .for_each(|field| left.push_known(field.name, field.spelling, field.value));
        head.fields = left;
    }
    if guarded.hold > 0 {
        let mut pace = Pace::new(around.idle, around.limits);
        let moved = Cell::new(0_u64);
        let late = poll_fn(|cx| match guarded.poll_full(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => {
                moved.set(guarded.held_bytes as u64);
                pace.note(Waiting::Source, moved.get(), around.watch);
                if around.watch.poll_expired(cx) { Poll::Ready(Some(Reason::UpstreamStalled)) } else { Poll::Pending }
            }
        })
        .await;
        around.watch.disarm();
        if let Some(reason) = late {
            return Err(Failed::Slow(reason));
        }
        // What ends within the hold-back is cut short for nobody: a page that says so is better than half an answer.
        if let Some(stop) = guarded.stop.take() {
            return Err(Failed::Stopped(stop));
        }
        if let Some(error) = guarded.error.take() {
            return Err(Failed::Source(error));
        }
    }
    *body = Body::Guarded(Box::new(guarded));
    Ok(())
}

/// Why an answer does not leave.
#[derive(Debug)]
pub(crate) enum Failed {
    Stopped(Stop),
    Slow(Reason),
    Source(BodyError),
}
