//! What visitors' browsers report of pages, taken at a path of the gate's own: bounded, read strictly, answered with nothing.
//!
//! It goes to whoever listens (`Setup::hears`) and nowhere else; no platform sees it, and no word of it comes back. Where the
//! operator says so, pages of a platform say where reports go, and carry a policy that only reports.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use portcullis_config::integrity::Browsers;
use portcullis_engine::Refusal;
use portcullis_types::{Limits, Prefix, Reason, Tick};
use portcullis_wire::http::{Name, RequestHead, ResponseHead};
use portcullis_wire::report;

use super::answer::{self, Answer};
use super::body::Body;
use super::inspect::{self, Around};
use crate::Hears;
use crate::journal::lock;
use crate::state::Snapshot;

/// Where reports are sent.
pub(crate) const PATH: &[u8] = b"/.portcullis/reports";
/// What pages call that place.
const ENDPOINT: &str = "portcullis=\"/.portcullis/reports\"";
const POLICY: &[u8] = b"content-security-policy-report-only";
/// Networks are counted in so many places; those that share one share what may be sent.
const PLACES: usize = 4096;
/// Messages that are read at once, over all workers: each holds `limits.report_bytes` at most.
const AT_ONCE: usize = 64;

/// What all workers know of reports.
pub(crate) struct Reports {
    hears: Option<Hears>,
    tide: Mutex<Tide>,
    hasher: RandomState,
    under_way: AtomicUsize,
    pub(crate) counts: Counts,
}

/// What became of messages and of the reports in them.
#[derive(Default)]
pub(crate) struct Counts {
    /// Reports that were passed on.
    pub(crate) heard: AtomicU64,
    /// Reports of other things than a policy, and of what a browser's extensions did.
    pub(crate) others: AtomicU64,
    /// Reports about a page of some other platform, or of none.
    pub(crate) foreign: AtomicU64,
    /// Messages that are in no form that browsers send.
    pub(crate) malformed: AtomicU64,
    /// Messages beyond what one network, or all of them, may send: not read.
    pub(crate) crowded: AtomicU64,
    /// Reports that whoever listens had no room for.
    pub(crate) dropped: AtomicU64,
    /// Reports of the gate's own that were passed on: a drill.
    pub(crate) own: AtomicU64,
}

impl Counts {
    /// Each with its name.
    pub(crate) fn all(&self) -> [(&'static str, u64); 7] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("heard", read(&self.heard)),
            ("other", read(&self.others)),
            ("foreign", read(&self.foreign)),
            ("malformed", read(&self.malformed)),
            ("crowded", read(&self.crowded)),
            ("dropped", read(&self.dropped)),
            ("drill", read(&self.own)),
        ]
    }
}

/// How much came lately.
struct Tide {
    minute: u64,
    networks: Box<[u16]>,
    second: u64,
    messages: u64,
}

/// A message that has come, and where.
pub(crate) struct Sent<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) platform: usize,
    pub(crate) head: &'a RequestHead,
    pub(crate) network: Prefix,
    pub(crate) now: Tick,
    /// The gate itself has sent it.
    pub(crate) own: bool,
}

impl Reports {
    pub(crate) fn new(hears: Option<Hears>) -> Self {
        Self {
            hears,
            tide: Mutex::new(Tide::new()),
            hasher: RandomState::new(),
            under_way: AtomicUsize::new(0),
            counts: Counts::default(),
        }
    }

    /// Takes one message. Whatever it holds, the answer is the same; none where that platform's browsers are not listened to.
    ///
    /// # Errors
    /// With the reason, where the message is longer than it may be, or came too slowly.
    pub(crate) async fn take(
        &self,
        sent: &Sent<'_>,
        body: &mut Body,
        around: &Around<'_>,
    ) -> Result<Option<Answer>, Refusal> {
        let (Some(hears), Some(platform)) = (&self.hears, sent.snapshot.policy.platforms.get(sent.platform)) else {
            return Ok(None);
        };
        if sent.head.method() != b"POST" || sent.snapshot.browsers(sent.platform).is_none() {
            return Ok(None);
        }
        let network = self.hasher.hash_one(sent.network);
        let seat = Seat::take(&self.under_way);
        let fits = lock(&self.tide).admit(network, sent.now, around.limits);
        let (Some(_seat), true) = (seat, fits) else {
            count(&self.counts.crowded, 1);
            return Ok(Some(answer::nothing()));
        };
        let most = around.limits.report_bytes;
        if body.length().is_some_and(|length| length > most) {
            return Err(Refusal::new(Reason::BodyTooLarge, "the report is longer than `limits.report_bytes`"));
        }
        body.bound(most);
        let bytes = inspect::read_whole(body, around).await?;
        let (kind, packed) = inspect::kind_of(sent.head);
        let batch = if packed { Err(report::Malformed::Form) } else { report::read(kind, &bytes) };
        match batch {
            Err(_) => count(&self.counts.malformed, 1),
            Ok(batch) => {
                count(&self.counts.others, batch.others as u64);
                for said in &batch.reports {
                    let host = said.host.rsplit_once(':').map_or(&*said.host, |(host, _)| host);
                    let counter = if sent.snapshot.router.platform(host.as_bytes()) != Some(sent.platform) {
                        &self.counts.foreign
                    } else if hears(&platform.name, said, network) {
                        if sent.own { &self.counts.own } else { &self.counts.heard }
                    } else {
                        &self.counts.dropped
                    };
                    count(counter, 1);
                }
            }
        }
        Ok(Some(answer::nothing()))
    }
}

impl Tide {
    fn new() -> Self {
        Self { minute: 0, networks: vec![0; PLACES].into(), second: 0, messages: 0 }
    }

    /// Whether one more may be read.
    fn admit(&mut self, network: u64, now: Tick, limits: &Limits) -> bool {
        let seconds = now.0 / 1_000_000_000;
        if self.minute != seconds / 60 {
            self.minute = seconds / 60;
            self.networks.fill(0);
        }
        if self.second != seconds {
            (self.second, self.messages) = (seconds, 0);
        }
        let place = usize::try_from(network % PLACES as u64).unwrap_or_default();
        let Some(own) = self.networks.get_mut(place) else { return false };
        if u64::from(*own) >= limits.reports_per_network || self.messages >= limits.reports_per_second {
            return false;
        }
        *own = own.saturating_add(1);
        self.messages += 1;
        true
    }
}

/// A place among those that are read at once.
struct Seat<'a>(&'a AtomicUsize);

impl<'a> Seat<'a> {
    fn take(under_way: &'a AtomicUsize) -> Option<Self> {
        let seat = Self(under_way);
        (under_way.fetch_add(1, Ordering::Relaxed) < AT_ONCE).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// What pages of one platform carry, over TLS and without it: browsers take the newer form over TLS alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Announced {
    secure: Vec<(&'static [u8], String)>,
    plain: Vec<(&'static [u8], String)>,
}

impl Announced {
    pub(crate) fn new(declared: &Browsers) -> Self {
        let mut announced = Self::default();
        if declared.announce || declared.integrity_policy || !declared.policy.is_empty() {
            announced.secure.push((b"reporting-endpoints", ENDPOINT.to_owned()));
        }
        if !declared.policy.is_empty() {
            let policy = format!("{}; report-uri /.portcullis/reports", declared.policy.join("; "));
            // A browser that knows the newer word forgets the older one, and reports nothing where it has no TLS.
            announced.secure.push((POLICY, format!("{policy}; report-to portcullis")));
            announced.plain.push((POLICY, policy));
        }
        if declared.integrity_policy {
            let policy = "blocked-destinations=(script), endpoints=(portcullis)".to_owned();
            announced.secure.push((b"integrity-policy-report-only", policy));
        }
        announced
    }

    /// Puts it on a page; on nothing else.
    pub(crate) fn put(&self, head: &mut ResponseHead, secure: bool) {
        let is_page = head
            .fields
            .get(Name::ContentType)
            .is_some_and(|kind| kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html")));
        if is_page {
            let fields = if secure { &self.secure } else { &self.plain };
            fields.iter().for_each(|(name, value)| head.fields.push(name, value.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_wire::http::Fields;

    use super::*;

    const LIMITS: Limits = Limits { reports_per_network: 3, reports_per_second: 5, ..Limits::DEFAULT };

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1_000_000_000)
    }

    #[test]
    fn a_network_and_all_of_them_are_bounded() {
        let mut tide = Tide::new();
        let mut one = || (0..10).filter(|_| tide.admit(7, at(1), &LIMITS)).count();
        assert_eq!((one(), one()), (3, 0), "so many of one network in a minute");
        let others = (8..100).filter(|network| tide.admit(*network, at(1), &LIMITS)).count();
        assert_eq!(others, 2, "and so many of all in a second");
        assert!(!tide.admit(7, at(59), &LIMITS), "its minute is not over");
        assert!(tide.admit(8, at(2), &LIMITS) && tide.admit(7, at(60), &LIMITS));
    }

    #[test]
    fn no_more_are_read_at_once_than_may_be() {
        let under_way = AtomicUsize::new(0);
        let seats: Vec<Seat<'_>> = (0..AT_ONCE).filter_map(|_| Seat::take(&under_way)).collect();
        assert_eq!(seats.len(), AT_ONCE);
        assert!(Seat::take(&under_way).is_none());
        drop(seats);
        assert_eq!(under_way.load(Ordering::Relaxed), 0, "who found no seat took none along");
    }

    #[test]
    fn a_page_carries_what_is_declared_and_keeps_its_own() {
        let declared = Browsers {
            platform: "public".to_owned(),
            announce: true,
            policy: vec!["script-src 'self'".to_owned(), "form-action 'self'".to_owned()],
            integrity_policy: true,
        };
        let put = |declared: &Browsers, kind: &[u8], secure: bool| {
            let mut head = ResponseHead { status: 200, fields: Fields::default() };
            head.fields.push(b"content-type", kind);
            head.fields.push(b"content-security-policy-report-only", b"default-src 'self'");
            Announced::new(declared).put(&mut head, secure);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            head.fields.iter().skip(2).map(|field| (text(field.spelling), text(field.value))).collect::<Vec<_>>()
        };
        let policy = "script-src 'self'; form-action 'self'; report-uri /.portcullis/reports";
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let secure = [
            pair("reporting-endpoints", "portcullis=\"/.portcullis/reports\""),
            pair("content-security-policy-report-only", &format!("{policy}; report-to portcullis")),
            pair("integrity-policy-report-only", "blocked-destinations=(script), endpoints=(portcullis)"),
        ];
        assert_eq!(put(&declared, b"text/html; charset=utf-8", true), secure);
        assert_eq!(put(&declared, b"text/html", false), [pair("content-security-policy-report-only", policy)]);
        assert!(put(&declared, b"application/json", true).is_empty());
        let silent = Browsers { announce: false, policy: Vec::new(), integrity_policy: false, ..declared };
        assert!(put(&silent, b"text/html", true).is_empty());
    }
}
