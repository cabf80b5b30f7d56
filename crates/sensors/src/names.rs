//! Names, and what the domain name system says of them: where they lead, who answers for them, who takes their mail, who may issue
//! certificates, who may send in their name.
//!
//! It asks a resolver and believes it: it checks no signature and asks no authority. Addresses take turns, so that one more is told and
//! one that is gone is not; everything else is told when it is another. What changes by itself (a serial, a time to live, the order) is
//! left out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use domain::base::{Name, Rtype};
use domain::rdata::AllRecordData;
use domain::resolv::StubResolver;
use domain::resolv::stub::conf::{ResolvConf, ServerConf, Transport};
use portcullis_config::integrity::Names;
use portcullis_ledger::{Event, Finding};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::manifest::hex;
use crate::sense::Sense;
use crate::{learned, low_priority};

/// What cannot be seen.
pub(crate) const BLIND_TO: &str = "records of other kinds and of other names than the declared ones, what other resolvers are told, \
whether an answer was signed, what the resolver still remembers, and a change that is taken back between two looks";

/// Records of one kind that are known: the addresses of a delivery network take turns.
const KNOWN: usize = 256;
/// The longest record that is kept.
const RECORD: usize = 600;
/// Looks in which a name is learned.
const LEARNING: u32 = 3;
/// What one question may take, with all its attempts.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is asked for, by the name that records give it.
const KINDS: [(&str, Rtype); 9] = [
    ("A", Rtype::A),
    ("AAAA", Rtype::AAAA),
    ("CNAME", Rtype::CNAME),
    ("NS", Rtype::NS),
    ("SOA", Rtype::SOA),
    ("MX", Rtype::MX),
    ("CAA", Rtype::CAA),
    ("DS", Rtype::DS),
    ("TXT", Rtype::TXT),
];
/// Where a policy for mail stands (RFC 7489).
const DMARC: &str = "DMARC";
/// Addresses as the system has them, which may be none of the domain name system's.
const SYSTEM: &str = "addresses";

/// What a drill adds to what is said of a name.
const DRILL: &str = "drill.portcullis.invalid";

/// What the thread is asked.
pub(crate) enum Ask {
    /// Look, and compare with one name server more than there is.
    Drill { seen: Sender<Result<Instant, String>> },
}

/// What is known of one name; it outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    looks: u32,
    records: Records,
}

/// Records by kind, as a zone file would have them.
type Records = BTreeMap<String, BTreeSet<String>>;

/// Looks the names up until whoever holds the other end of `asked` goes.
pub(crate) fn run(declared: &Names, state: Option<PathBuf>, sense: &Sense, asked: &Receiver<Ask>) {
    low_priority();
    let mut looker = match Looker::new(declared, state) {
        Ok(looker) => looker,
        Err(why) => return sense.down(&why),
    };
    loop {
        let learning = looker.look(sense);
        let due = Instant::now() + if learning { Duration::from_secs(2) } else { declared.interval };
        while Instant::now() < due {
            sense.alive();
            match asked.recv_timeout(due.saturating_duration_since(Instant::now()).min(Duration::from_secs(1))) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever asked may have gone.
                Ok(Ask::Drill { seen }) => drop(seen.send(looker.drill(sense))),
            }
        }
    }
}

/// Somebody who asks a resolver, and remembers.
struct Looker {
    declared: Names,
    state: Option<PathBuf>,
    runtime: Runtime,
    resolver: StubResolver,
    known: BTreeMap<String, Known>,
}

impl Looker {
    fn new(declared: &Names, state: Option<PathBuf>) -> Result<Self, String> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let resolver = match declared.resolver {
            Some(address) => resolver(address),
            None => StubResolver::new(),
        };
        let first = declared.names.first().map_or("", String::as_str);
        let state = state.map(|state| state.join(format!("names-{first}.json")));
        let known = learned::read(state.as_deref()).unwrap_or_default();
        Ok(Self { declared: declared.clone(), state, runtime, resolver, known })
    }

    /// Looks each name up once, and tells what is another. Whether any is still being learned.
    fn look(&mut self, sense: &Sense) -> bool {
        let before = self.known.clone();
        let mut failed = Vec::new();
        for name in self.declared.names.clone() {
            let now = self.records(&name, sense, &mut failed);
            let known = self.known.entry(name.clone()).or_default();
            if let Some(finding) = known.compare(&name, now) {
                sense.record(Event::Finding(finding));
            }
        }
        // A name that did not answer at all has been learned as little as before.
        let learning = self.known.values().any(|known| known.looks < LEARNING);
        match failed.first() {
            Some(why) => sense.blind(&format!("{} questions had no answer; {why}", failed.len())),
            None if learning => sense.blind("it is learning what the names are like"),
            None => sense.up(),
        }
        sense.words(self.words());
        if self.known != before {
            learned::keep(self.state.as_deref(), &self.known, "what names are like");
        }
        learning
    }

    /// Asks for everything of the first name, and puts one name server more to it, as whoever took the name over would.
    fn drill(&self, sense: &Sense) -> Result<Instant, String> {
        let name = self.declared.names.first().ok_or("no name is declared")?;
        let known =
            self.known.get(name).filter(|known| known.looks >= LEARNING).ok_or("the name is not learned yet")?;
        let mut failed = Vec::new();
        let mut now = self.records(name, sense, &mut failed);
        if let Some(why) = failed.pop() {
            return Err(why);
        }
        now.entry("NS".to_owned()).or_default().insert(DRILL.to_owned());
        let told = known.clone().compare(name, now).is_some_and(|finding| finding.words.contains(DRILL));
        told.then(Instant::now).ok_or_else(|| "a name server more is not told".to_owned())
    }

    /// What is said of a name now. A kind without an answer is not there: an empty answer is one.
    fn records(&self, name: &str, sense: &Sense, failed: &mut Vec<String>) -> Records {
        let mut records = Records::new();
        let mut take = |kind: &str, answer: Result<BTreeSet<String>, String>| {
            sense.alive();
            match answer {
                Ok(answer) => {
                    sense.seen(1);
                    records.insert(kind.to_owned(), answer);
                }
                Err(why) => {
                    sense.dropped(1);
                    failed.push(format!("{name} {kind}: {why}"));
                }
            }
        };
        if self.declared.resolver.is_none() {
            let addresses = (name, 0).to_socket_addrs().map_err(|error| error.to_string());
            take(SYSTEM, addresses.map(|all| all.map(|address| address.ip().to_string()).take(KNOWN).collect()));
        }
        for (kind, asked) in KINDS {
            // What the system says covers more: its own file of hosts, too.
            if self.declared.resolver.is_none() && matches!(asked, Rtype::A | Rtype::AAAA) {
                continue;
            }
            take(kind, self.ask(name, asked));
        }
        take(DMARC, self.ask(&format!("_dmarc.{name}"), Rtype::TXT));
        records
    }

    fn ask(&self, name: &str, kind: Rtype) -> Result<BTreeSet<String>, String> {
        let name = Name::<Vec<u8>>::from_str(name).map_err(|error| error.to_string())?;
        let answer = self.runtime.block_on(async {
            let asked = self.resolver.query((name, kind));
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
            }
        })?;
        match answer.header().rcode() {
            Rcode::NOERROR | Rcode::NXDOMAIN => {}
            refused => return Err(format!("it is answered {refused}")),
        }
        let unread = |_| "its answer cannot be read".to_owned();
        let mut records = BTreeSet::new();
        for record in answer.answer().map_err(unread)? {
            let record = record.map_err(unread)?;
            // Behind an alias there is the alias, too.
            if record.rtype() != kind {
                continue;
            }
            let record = record.into_any_record::<AllRecordData<_, _>>().map_err(unread)?;
            records.extend(text(record.data()).filter(|_| records.len() < KNOWN));
        }
        Ok(records)
    }

    fn words(&self) -> String {
        let name = |(name, known): (&String, &Known)| {
            let addresses = ["A", "AAAA", SYSTEM].iter().filter_map(|kind| known.records.get(*kind)).flatten();
            let addresses: Vec<&str> = addresses.map(String::as_str).take(4).collect();
            let others = known.records.iter().filter(|(_, set)| !set.is_empty()).count();
            format!("{name} is {}, with records of {others} kinds", addresses.join(", "))
        };
        self.known.iter().take(8).map(name).collect::<Vec<_>>().join("; ")
    }
}

/// A resolver at one address, and no other.
fn resolver(address: SocketAddr) -> StubResolver {
    let mut conf = ResolvConf::new();
    conf.servers.push(ServerConf::new(address, Transport::UdpTcp));
    conf.finalize();
    StubResolver::from_conf(conf)
}

/// A record without what changes by itself; none where nobody here minds it.
fn text<O: AsRef<[u8]>, N: std::fmt::Display>(data: &AllRecordData<O, N>) -> Option<String> {
    let text = match data {
        AllRecordData::A(it) => it.addr().to_string(),
        AllRecordData::Aaaa(it) => it.addr().to_string(),
        AllRecordData::Cname(it) => it.cname().to_string(),
        AllRecordData::Ns(it) => it.nsdname().to_string(),
        AllRecordData::Soa(it) => format!("{} {}", it.mname(), it.rname()),
        AllRecordData::Mx(it) => format!("{} {}", it.preference(), it.exchange()),
        AllRecordData::Ds(it) => {
            format!("{} {} {} {}", it.key_tag(), it.algorithm(), it.digest_type(), hex(it.digest().as_ref()))
        }
        AllRecordData::Txt(it) => {
            let whole: Vec<u8> = it.iter().flatten().copied().collect();
            let whole = String::from_utf8_lossy(&whole).into_owned();
            // What services have put there to know a domain again is no policy.
            let policy =
                |it: &str| ["v=spf1", "v=dmarc1"].iter().any(|begin| it.to_ascii_lowercase().starts_with(begin));
            return policy(&whole).then(|| shortened(whole));
        }
        AllRecordData::Caa(it) => return Some(shortened(it.to_string())),
        _ => return None,
    };
    Some(shortened(text.to_ascii_lowercase()))
}

/// What is longer than anybody compares by eye is kept as its hash.
fn shortened(text: String) -> String {
    use sha2::Digest as _;
    if text.len() <= RECORD { text } else { format!("sha256:{}", hex(&sha2::Sha256::digest(text))) }
}

impl Known {
    /// Learns, or says what is another than it was.
    fn compare(&mut self, name: &str, now: Records) -> Option<Finding> {
        let learning = self.looks < LEARNING;
        if !now.is_empty() {
            self.looks = self.looks.saturating_add(1).min(LEARNING);
        }
        let (mut was, mut is, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, now) in now {
            let takes_turns = matches!(&*kind, "A" | "AAAA" | SYSTEM);
            let Some(before) = self.records.get(&kind).cloned() else {
                // It had no answer until now: there is nothing to compare with.
                self.records.insert(kind, now);
                continue;
            };
            let new: BTreeSet<String> = now.difference(&before).cloned().collect();
            let gone: BTreeSet<String> = before.difference(&now).cloned().collect();
            let differs = !new.is_empty() || (!gone.is_empty() && !takes_turns);
            if !learning && differs {
                was.push(format!("{kind} {}", listed(&before)));
                is.push(format!("{kind} {}", listed(&now)));
                words.push(match (new.is_empty(), gone.is_empty() || takes_turns) {
                    (false, true) => format!("{kind} has {}, which it had not", listed(&new)),
                    (true, _) => format!("{kind} has no longer {}", listed(&gone)),
                    (false, false) => format!("{kind} is {} and no longer {}", listed(&new), listed(&gone)),
                });
            }
            let keeps = (takes_turns || learning) && before.len() + new.len() <= KNOWN;
            self.records.insert(kind, if keeps { before.union(&now).cloned().collect() } else { now });
        }
        if words.is_empty() {
            return None;
        }
        Some(Finding {
            what: "dns-changed".to_owned(),
            subject: name.to_owned(),
            before: was.join("; "),
            after: is.join("; "),
            words: format!("{name}: {}", words.join("; ")),
            ..Finding::default()
        })
    }
}

fn listed(records: &BTreeSet<String>) -> String {
    if records.is_empty() {
        return "nothing".to_owned();
    }
    records.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::{Arc, Mutex};
    use std::thread;

    use portcullis_ledger::{Beat, Recorder, Request, Sensor, State};

    use super::*;
    use crate::sense::Board;

    /// What a zone says: name, type by its number, data as it travels. Written by hand, so that the reader is tried by another's writing.
    type Zone = Vec<(&'static str, u16, Vec<u8>)>;

    /// A server of the domain name system on loopback, which says what it is told to.
    struct Server {
        address: SocketAddr,
        zone: Arc<Mutex<Option<Zone>>>,
        serial: Arc<Mutex<u32>>,
    }

    fn wire(name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes
    }

    fn mx(preference: u16, exchange: &str) -> (&'static str, u16, Vec<u8>) {
        ("example.org", 15, [&preference.to_be_bytes()[..], &wire(exchange)].concat())
    }

    fn txt(name: &'static str, text: &str) -> (&'static str, u16, Vec<u8>) {
        // In two strings, as long policies are.
        let (one, two) = text.split_at(text.len() / 2);
        let string = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        (name, 16, [string(one), string(two)].concat())
    }

    fn caa(value: &str) -> (&'static str, u16, Vec<u8>) {
        ("example.org", 257, [&[0, 5][..], b"issue", value.as_bytes()].concat())
    }

    fn zone() -> Zone {
        vec![
            ("example.org", 1, vec![192, 0, 2, 1]),
            ("example.org", 28, [&[0x20, 1, 0x0d, 0xb8][..], &[0; 12]].concat()),
            ("example.org", 2, wire("ns1.example.net")),
            ("example.org", 2, wire("ns2.example.net")),
            mx(10, "mail.example.net"),
            caa("ca.example"),
            ("example.org", 43, [&[0x30, 0x39, 13, 2][..], &[7; 32]].concat()),
            txt("example.org", "v=spf1 include:mail.example.net -all"),
            txt("example.org", "some-service-verification=1"),
            txt("_dmarc.example.org", "v=DMARC1; p=reject"),
            ("www.example.org", 5, wire("edge.example.net")),
            ("edge.example.net", 1, vec![192, 0, 2, 9]),
        ]
    }

    impl Server {
        fn start() -> Self {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = socket.local_addr().unwrap();
            let (zone, serial) = (Arc::new(Mutex::new(Some(zone()))), Arc::new(Mutex::new(1)));
            let (served, counted) = (Arc::clone(&zone), Arc::clone(&serial));
            thread::spawn(move || {
                let mut buffer = [0; 1500];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    if let Some(answer) = answer(&buffer[..length], served.lock().unwrap().as_ref(), &counted) {
                        socket.send_to(&answer, from).unwrap();
                    }
                }
            });
            Self { address, zone, serial }
        }

        fn change(&self, change: impl FnOnce(&mut Zone)) {
            change(self.zone.lock().unwrap().as_mut().expect("it answers"));
        }

        /// One record in the place of others of its kind.
        fn replace(&self, name: &'static str, kind: u16, records: Vec<(&'static str, u16, Vec<u8>)>) {
            self.change(|zone| {
                zone.retain(|(known, of, _)| (*known, *of) != (name, kind));
                zone.extend(records);
            });
        }
    }

    /// RFC 1035, section 4: the question comes back, and what there is behind it, another order and another time to live each time.
    fn answer(question: &[u8], zone: Option<&Zone>, serial: &Mutex<u32>) -> Option<Vec<u8>> {
        let end = 12 + question.get(12..)?.iter().position(|byte| *byte == 0)? + 5;
        let asked = question.get(12..end)?;
        let kind = u16::from_be_bytes([asked[asked.len() - 4], asked[asked.len() - 3]]);
        let mut serial = serial.lock().unwrap();
        *serial += 1;
        let mut owner = asked.get(..asked.len() - 4)?.to_ascii_lowercase();
        let mut records: Vec<(Vec<u8>, u16, Vec<u8>)> = Vec::new();
        for _ in 0..2 {
            for (name, of, data) in zone.into_iter().flatten() {
                if wire(name) == owner && (*of == kind || *of == 5) {
                    records.push((owner.clone(), *of, data.clone()));
                }
            }
            match records.last() {
                Some((_, 5, target)) if kind != 5 => owner = target.clone(),
                _ => break,
            }
        }
        if kind == 6 && owner == wire("example.org") && zone.is_some() {
            let numbers: Vec<u8> =
                [*serial, 3600, 600, 86_400, 300].iter().flat_map(|number| number.to_be_bytes()).collect();
            records.push((owner, 6, [wire("ns1.example.net"), wire("hostmaster.example.org"), numbers].concat()));
        }
        if serial.is_multiple_of(2) {
            records.reverse();
        }
        let flags = if zone.is_some() { [0x81, 0x80] } else { [0x81, 0x82] };
        let count = u16::try_from(records.len()).unwrap().to_be_bytes();
        let mut out = [&question[..2], &flags, &[0, 1], &count, &[0; 4], asked].concat();
        for (name, of, data) in records {
            out.extend_from_slice(&name);
            out.extend_from_slice(&of.to_be_bytes());
            out.extend_from_slice(&[0, 1]);
            out.extend_from_slice(&(60 + *serial).to_be_bytes());
            out.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend_from_slice(&data);
        }
        Some(out)
    }

    #[derive(Default)]
    struct Kept(Mutex<Vec<Finding>>);

    impl Recorder for Kept {
        fn record(&self, _: &Sensor, event: Event) {
            if let Event::Finding(finding) = event {
                self.0.lock().unwrap().push(finding);
            }
        }

        fn pulse(&self, _: Beat) {}

        fn request(&self, _: &Request<'_>) {}
    }

    struct Watching {
        server: Server,
        looker: Looker,
        board: Arc<Board>,
        sense: Sense,
        kept: Arc<Kept>,
        place: tempfile::TempDir,
    }

    impl Watching {
        fn start() -> Self {
            let (server, place) = (Server::start(), tempfile::tempdir().unwrap());
            let (board, kept) = (Arc::new(Board::default()), Arc::new(Kept::default()));
            let recorder: Arc<dyn Recorder> = Arc::<Kept>::clone(&kept);
            let sense = board.sense("names/example.org".to_owned(), BLIND_TO, &recorder);
            let looker = looker(&server, &place);
            let mut watching = Self { server, looker, board, sense, kept, place };
            while watching.looker.look(&watching.sense) {}
            assert_eq!(watching.told(), [""; 0], "what is learned is not told");
            watching
        }

        fn told(&mut self) -> Vec<String> {
            self.looker.look(&self.sense);
            std::mem::take(&mut *self.kept.0.lock().unwrap()).into_iter().map(|finding| finding.words).collect()
        }

        fn state(&self) -> State {
            self.board.sights()[0].state
        }
    }

    fn looker(server: &Server, place: &tempfile::TempDir) -> Looker {
        let declared = Names {
            names: vec!["example.org".to_owned(), "www.example.org".to_owned()],
            resolver: Some(server.address),
            interval: Duration::from_secs(60),
        };
        Looker::new(&declared, Some(place.path().to_owned())).unwrap()
    }

    #[test]
    fn what_is_said_of_a_name_is_read_as_it_is() {
        let watching = Watching::start();
        let of = |name: &str, kind: &str| listed(&watching.looker.known[name].records[kind]);
        let table = [
            ("example.org", "A", "192.0.2.1"),
            ("example.org", "AAAA", "2001:db8::"),
            ("example.org", "NS", "ns1.example.net, ns2.example.net"),
            ("example.org", "SOA", "ns1.example.net hostmaster.example.org"),
            ("example.org", "MX", "10 mail.example.net"),
            ("example.org", "CAA", "0 issue \"ca.example\""),
            ("example.org", "DS", "12345 13 2 0707070707070707070707070707070707070707070707070707070707070707"),
            ("example.org", "TXT", "v=spf1 include:mail.example.net -all"),
            ("example.org", "DMARC", "v=DMARC1; p=reject"),
            ("example.org", "CNAME", "nothing"),
            ("www.example.org", "CNAME", "edge.example.net"),
            ("www.example.org", "A", "192.0.2.9"),
        ];
        for (name, kind, expected) in table {
            assert_eq!(of(name, kind), expected, "{name} {kind}");
        }
        assert_eq!(watching.state(), State::Up);
    }

    #[test]
    fn a_serial_an_order_a_time_to_live_and_words_of_services_are_no_change() {
        let mut watching = Watching::start();
        for _ in 0..5 {
            assert_eq!(watching.told(), [""; 0]);
        }
        assert!(
            *watching.server.serial.lock().unwrap() > 100,
            "each answer had another serial, and every other one another order"
        );
        watching.server.change(|zone| zone.push(txt("example.org", "other-service-verification=2")));
        watching.server.replace("example.org", 1, vec![]);
        assert_eq!(watching.told(), [""; 0], "addresses take turns");
        watching.server.change(|zone| zone.push(("example.org", 1, vec![192, 0, 2, 1])));
        assert_eq!(watching.told(), [""; 0]);
    }

    /// What changes, by whom, and what is told.
    type Case = (&'static str, fn(&Server), &'static str);

    #[test]
    fn whatever_an_attacker_would_change_is_told_once() {
        let cases: [Case; 11] = [
            (
                "an address",
                |it| it.change(|zone| zone.push(("example.org", 1, vec![203, 0, 113, 9]))),
                "A has 203.0.113.9, which it had not",
            ),
            (
                "another address",
                |it| it.replace("example.org", 28, vec![("example.org", 28, vec![0xfd; 16])]),
                "AAAA has fdfd",
            ),
            (
                "a name server",
                |it| it.change(|zone| zone.push(("example.org", 2, wire("ns.evil.example")))),
                "NS has ns.evil.example",
            ),
            (
                "one less",
                |it| it.replace("example.org", 2, vec![("example.org", 2, wire("ns1.example.net"))]),
                "NS has no longer ns2",
            ),
            (
                "who takes the mail",
                |it| it.replace("example.org", 15, vec![mx(10, "mx.evil.example")]),
                "MX is 10 mx.evil.example and no longer 10 mail",
            ),
            (
                "which goes first",
                |it| it.replace("example.org", 15, vec![mx(5, "mail.example.net")]),
                "MX is 5 mail.example.net",
            ),
            ("who may issue", |it| it.replace("example.org", 257, vec![]), "CAA has no longer 0 issue"),
            ("the keys above", |it| it.replace("example.org", 43, vec![]), "DS has no longer 12345"),
            (
                "who may send",
                |it| it.replace("example.org", 16, vec![txt("example.org", "v=spf1 +all")]),
                "TXT is v=spf1 +all",
            ),
            (
                "what becomes of the rest",
                |it| it.replace("_dmarc.example.org", 16, vec![txt("_dmarc.example.org", "v=DMARC1; p=none")]),
                "DMARC is v=DMARC1; p=none",
            ),
            (
                "an alias",
                |it| it.replace("www.example.org", 5, vec![("www.example.org", 5, wire("takeover.example"))]),
                "CNAME is takeover.example",
            ),
        ];
        for (name, change, expected) in cases {
            let mut watching = Watching::start();
            change(&watching.server);
            let told = watching.told();
            assert!(told.len() == 1 && told[0].contains(expected), "{name}: {told:?}");
            assert_eq!(watching.told(), [""; 0], "{name}: told once");
        }
    }

    #[test]
    fn a_resolver_that_fails_makes_it_blind_and_is_no_change() {
        let mut watching = Watching::start();
        let zone = watching.server.zone.lock().unwrap().take();
        assert_eq!(watching.told(), [""; 0]);
        assert_eq!(watching.state(), State::Blind);
        *watching.server.zone.lock().unwrap() = zone;
        assert_eq!(watching.told(), [""; 0]);
        assert_eq!(watching.state(), State::Up);
    }

    #[test]
    fn a_drill_is_seen_and_told_to_nobody_else() {
        let mut watching = Watching::start();
        assert!(watching.looker.drill(&watching.sense).is_ok());
        assert_eq!(watching.told(), [""; 0], "nothing is left of it");
        watching.server.zone.lock().unwrap().take();
        assert!(watching.looker.drill(&watching.sense).is_err(), "where nobody answers nothing is seen");
    }

    #[test]
    fn what_was_changed_while_nobody_looked_is_told() {
        let mut watching = Watching::start();
        watching.server.replace("example.org", 15, vec![mx(10, "mx.evil.example")]);
        watching.looker = looker(&watching.server, &watching.place);
        let told = watching.told();
        assert!(told.len() == 1 && told[0].contains("mx.evil.example"), "{told:?}");
    }
}
