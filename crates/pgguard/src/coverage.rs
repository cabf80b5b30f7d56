//! What reached a server beside the gate: the server's own books compared with the gate's.
//!
//! Never asks anybody: what the server says of its sessions, its rules of access and its counts goes in, what is to be told
//! comes out. Where two readings cannot be taken in one moment the benefit of the doubt is bounded and stated, so that a finding
//! is never a matter of timing.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use portcullis_types::Prefix;

/// Sessions of a server that are looked at; beyond it the look says that it is not whole.
pub const SESSIONS: usize = 20_000;
/// Lines of a server's rules of access that are looked at.
pub const LINES: usize = 5_000;

/// Where a session comes from, as the server sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A process on the server's own machine, over its socket file.
    Socket,
    /// Another end of a connection.
    Network(IpAddr, u16),
}

/// A session as the server lists it (`pg_stat_activity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The server's process, which the gate is told of each session of its own.
    pub process: u32,
    /// When it began, as the server writes it: with the process it names the session.
    pub begun: Box<str>,
    /// Who it is.
    pub role: Box<str>,
    /// The database inside the server; empty for replication.
    pub inside: Box<str>,
    /// Where it comes from.
    pub origin: Origin,
    /// What it calls itself.
    pub application: Box<str>,
}

/// The gate's own sessions with a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Own {
    /// Those that the server has given a process. Exact, whatever translates addresses in between.
    pub processes: BTreeSet<u32>,
    /// Our ends of those that have none yet.
    pub ends: BTreeSet<(IpAddr, u16)>,
}

/// Sessions and rules of access that the operator declared: they are no findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The role; `None` is every role.
    pub role: Option<Box<str>>,
    /// From where.
    pub whence: Whence,
}

/// From where what is declared may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// Over the server's socket file.
    Socket,
    /// From this network.
    Network(Prefix),
}

impl Known {
    fn covers(&self, session: &Session) -> bool {
        let from = match (self.whence, session.origin) {
            (Whence::Socket, Origin::Socket) => true,
            (Whence::Network(network), Origin::Network(address, _)) => network.contains(address),
            _ => false,
        };
        from && self.role.as_ref().is_none_or(|role| *role == session.role)
    }
}

/// The sessions that are neither the gate's own nor declared.
pub fn strangers<'a>(sessions: &'a [Session], own: &Own, known: &[Known]) -> Vec<&'a Session> {
    let is_own = |session: &Session| {
        let by_end = matches!(session.origin, Origin::Network(address, port)
            if own.ends.contains(&(address.to_canonical(), port)));
        own.processes.contains(&session.process) || by_end
    };
    sessions.iter().filter(|session| !is_own(session) && !known.iter().any(|known| known.covers(session))).collect()
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a session of {} in {:?} from {}", self.role, &*self.inside, self.origin)?;
        write!(f, " did not come through the gate: process {}, since {}", self.process, self.begun)?;
        if self.application.is_empty() { Ok(()) } else { write!(f, ", calls itself {:?}", self.application) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket => f.write_str("the server's own machine"),
            Self::Network(address, port) => write!(f, "{address} port {port}"),
        }
    }
}

/// A line of the server's rules of access (`pg_hba_file_rules`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file.
    pub number: u32,
    /// `local`, `host`, `hostssl`, `hostnossl`, `hostgssenc` or `hostnogssenc`.
    pub kind: Box<str>,
    /// Databases, as the file has them.
    pub databases: Vec<Box<str>>,
    /// Roles, as the file has them.
    pub roles: Vec<Box<str>>,
    /// The address column: an address, a name, `all`, `samehost` or `samenet`; empty for `local`.
    pub address: Box<str>,
    /// The mask that belongs to an address.
    pub mask: Option<IpAddr>,
    /// `reject`, `scram-sha-256` and so on.
    pub method: Box<str>,
}

/// The lines that let somebody else than the gate reach the server. `gate` is where the server sees the gate come from.
///
/// A line is none of them where a line before it refuses everything that it would let in.
pub fn open_lines<'a>(lines: &'a [Line], gate: &[Prefix], known: &[Known]) -> Vec<&'a Line> {
    let mut refusing: Vec<Reach> = Vec::new();
    let mut open = Vec::new();
    for line in lines {
        let reach = line.reach();
        if &*line.method == "reject" {
            // Only what refuses everybody is counted upon.
            let everybody = is_all(&line.roles) && is_all(&line.databases) && matches!(&*line.kind, "local" | "host");
            refusing.extend(reach.filter(|_| everybody));
            continue;
        }
        let refused = reach.is_some_and(|reach| refusing.iter().any(|by| by.holds(reach)));
        if !refused && !line.is_explained(gate, known) {
            open.push(line);
        }
    }
    open
}

/// What a line reaches, where that can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Socket,
    Network(Prefix),
    All,
}

impl Reach {
    /// Whether all of `other` lies in this.
    fn holds(self, other: Self) -> bool {
        match (self, other) {
            (Self::All, Self::All | Self::Network(_)) | (Self::Socket, Self::Socket) => true,
            (Self::Network(outer), Self::Network(inner)) => is_within(inner, outer),
            _ => false,
        }
    }
}

impl Line {
    fn reach(&self) -> Option<Reach> {
        if &*self.kind == "local" {
            return Some(Reach::Socket);
        }
        if &*self.address == "all" {
            return Some(Reach::All);
        }
        let address: IpAddr = self.address.parse().ok()?;
        let length = match self.mask {
            Some(IpAddr::V4(mask)) => mask.to_bits().leading_ones(),
            Some(IpAddr::V6(mask)) => mask.to_bits().leading_ones(),
            None => return None,
        };
        Some(Reach::Network(Prefix::new(address, u8::try_from(length).ok()?)))
    }

    /// Whether all that it lets in is the gate, or declared.
    fn is_explained(&self, gate: &[Prefix], known: &[Known]) -> bool {
        let reach = self.reach();
        let by = |known: &Known| {
            let role = known.role.as_ref().is_none_or(|role| self.roles.as_slice() == std::slice::from_ref(role));
            let from = match (reach, known.whence) {
                (Some(Reach::Socket), Whence::Socket) => true,
                (Some(Reach::Network(inner)), Whence::Network(outer)) => is_within(inner, outer),
                _ => false,
            };
            role && from
        };
        let gates = matches!(reach, Some(Reach::Network(inner)) if gate.iter().any(|outer| is_within(inner, *outer)));
        gates || known.iter().any(by)
    }
}

fn is_all(names: &[Box<str>]) -> bool {
    names.iter().any(|name| &**name == "all")
}

fn is_within(inner: Prefix, outer: Prefix) -> bool {
    outer.length() <= inner.length() && outer.contains(inner.network())
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, kind, databases, roles, address, mask, method } = self;
        let (databases, roles) = (databases.join(","), roles.join(","));
        write!(f, "line {number} of pg_hba.conf lets others than the gate in: {kind} {databases} {roles} {address}")?;
        if let Some(mask) = mask {
            write!(f, " {mask}")?;
        }
        write!(f, " {method}")
    }
}

/// Two counts of the same thing, the server's and the gate's, that are never read in one moment.
///
/// The server's count begins long before the gate's, so they differ by a constant; what is beside the gate makes the difference
/// grow. Each look bounds the constant from above, by what of the gate's is in the server's count for certain. Beyond that bound,
/// the difference is somebody else's, if it is still there at the next look: the server counts a statement before it says so,
/// and on a busy machine that can take longer than a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    /// The greatest that the constant can be.
    upper: Option<i128>,
    /// What was beyond it at the last look, and was not told.
    suspected: i128,
    gate: u64,
    server: u64,
}

impl Balance {
    /// The gate's count when it was weighed last.
    #[must_use]
    pub const fn before(&self) -> u64 {
        self.gate
    }

    /// What the server counted beyond all that the gate did. `server` was read before `gate`; `certain` of the gate's is in it.
    pub fn weigh(&mut self, server: u64, gate: u64, certain: u64) -> u64 {
        if server < self.server || gate < self.gate {
            // One of them began anew, and so does the comparison.
            *self = Self::default();
        }
        let least = i128::from(server) - i128::from(gate);
        let suspected = self.upper.map_or(0, |upper| (least - upper).max(0));
        let beyond = suspected.min(self.suspected);
        self.suspected = suspected - beyond;
        let most = i128::from(server) - i128::from(certain.min(gate));
        // What was told once is not told again.
        self.upper = Some(self.upper.map_or(most, |upper| (upper + beyond).min(most)));
        (self.gate, self.server) = (gate, server);
        u64::try_from(beyond).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn session(process: u32, role: &str, origin: Origin) -> Session {
        Session {
            process,
            begun: "2026-01-01 00:00:00+00".into(),
            role: role.into(),
            inside: "members".into(),
            origin,
            application: "".into(),
        }
    }

    fn network(text: &str, port: u16) -> Origin {
        Origin::Network(text.parse().unwrap(), port)
    }

    #[test]
    fn who_is_neither_ours_nor_declared_is_a_stranger() {
        let own =
            Own { processes: BTreeSet::from([10]), ends: BTreeSet::from([("10.0.0.5".parse().unwrap(), 40_000)]) };
        let known = [
            Known { role: Some("postgres".into()), whence: Whence::Socket },
            Known { role: None, whence: Whence::Network(Prefix::parse("10.9.0.0/16").unwrap()) },
        ];
        let sessions = [
            session(10, "app", network("192.0.2.1", 1)),
            session(11, "app", network("10.0.0.5", 40_000)),
            session(12, "postgres", Origin::Socket),
            session(13, "backup", network("10.9.1.1", 5)),
            session(14, "app", network("10.0.0.5", 40_001)),
            session(15, "app", Origin::Socket),
            session(16, "postgres", network("10.0.0.5", 7)),
        ];
        let found: Vec<u32> = strangers(&sessions, &own, &known).iter().map(|session| session.process).collect();
        assert_eq!(found, [14, 15, 16]);
        assert!(sessions[4].to_string().contains("10.0.0.5 port 40001"));
    }

    fn line(number: u32, text: &str) -> Line {
        let words: Vec<&str> = text.split(' ').collect();
        let [kind, databases, roles, rest @ ..] = words.as_slice() else { panic!("{text}") };
        let list = |text: &str| text.split(',').map(Into::into).collect();
        let (address, mask, method) = match rest {
            [method] => ("", None, method),
            [address, method] => (*address, None, method),
            [address, mask, method] => (*address, Some(mask.parse().unwrap()), method),
            _ => panic!("{text}"),
        };
        Line {
            number,
            kind: (*kind).into(),
            databases: list(databases),
            roles: list(roles),
            address: address.into(),
            mask,
            method: (*method).into(),
        }
    }

    fn open(text: &str) -> Vec<u32> {
        let lines: Vec<Line> = text.lines().zip(1..).map(|(text, number)| line(number, text)).collect();
        let gate = [Prefix::parse("10.0.0.5").unwrap()];
        let known = [
            Known { role: Some("postgres".into()), whence: Whence::Socket },
            Known { role: None, whence: Whence::Network(Prefix::parse("10.9.0.0/16").unwrap()) },
        ];
        open_lines(&lines, &gate, &known).iter().map(|line| line.number).collect()
    }

    #[test]
    fn a_line_that_lets_in_more_than_the_gate_is_told() {
        assert_eq!(open("host all all 10.0.0.5 255.255.255.255 scram-sha-256\nlocal all postgres peer"), [0_u32; 0]);
        assert_eq!(open("local all all peer"), [1]);
        assert_eq!(open("host all all 10.0.0.0 255.255.255.0 scram-sha-256"), [1], "neighbours of the gate");
        assert_eq!(open("host all backup 10.9.7.0 255.255.255.0 md5\nhost all all 10.8.0.0 255.254.0.0 md5"), [2]);
        for wide in ["host all all all trust", "host all app db.example.org md5", "host all all samenet md5"] {
            assert_eq!(open(wide), [1], "{wide}");
        }
        assert_eq!(open("host all all ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff md5"), [1]);
    }

    #[test]
    fn what_was_refused_before_lets_nobody_in() {
        let all = "host all all all reject\nhost all app 10.0.0.0 255.255.255.0 md5\nlocal all all peer";
        assert_eq!(open(all), [3]);
        let some = "host all all 10.0.0.0 255.255.255.0 reject\nhost all all 10.0.0.7 255.255.255.255 md5\nhost all all 10.0.1.7 255.255.255.255 md5";
        assert_eq!(open(some), [3]);
        // A refusal of some counts for nothing: others still come in by the next line.
        assert_eq!(open("host all app all reject\nhost all all 0.0.0.0 0.0.0.0 md5"), [2]);
        assert_eq!(open("hostnossl all all all reject\nhost all all 0.0.0.0 0.0.0.0 md5"), [2]);
    }

    #[test]
    fn a_balance_finds_what_is_beside_the_gate_once() {
        let mut balance = Balance::default();
        let mut weigh = |server, gate| {
            let certain = balance.before();
            balance.weigh(server, gate, certain)
        };
        assert_eq!(weigh(1000, 40), 0, "what was before is nobody's");
        assert_eq!(weigh(1000, 40), 0);
        assert_eq!(weigh(1007, 40), 0, "it may be on its way through the gate");
        assert_eq!(weigh(1007, 40), 7);
        assert_eq!(weigh(1007, 40), 0, "told once");
        assert_eq!(weigh(1107, 139), 0, "the gate has not the end of the last yet");
        assert_eq!(weigh(1107, 140), 0, "and now it has");
        assert_eq!(weigh(3, 140), 0, "the server's count began anew");
        assert_eq!(weigh(3, 140), 0);
        assert_eq!(weigh(8, 140), 0);
        assert_eq!(weigh(10, 140), 5, "of which it is sure");
        assert_eq!(weigh(10, 140), 2);
        // What is certain of this very moment leaves nothing to timing.
        assert_eq!(balance.weigh(11, 141, 141), 0);
        assert_eq!(balance.weigh(13, 142, 142), 0);
        assert_eq!(balance.weigh(14, 143, 143), 1);
    }

    proptest! {
        /// Whatever the server has not counted yet, and the gate counts in between: what came through the gate is no finding, and
        /// what came beside it is found when both are still.
        #[test]
        fn timing_alone_is_never_a_finding(
            base in 0_u64..1_000_000,
            steps in prop::collection::vec((0_u64..1000, 0_u64..1000), 1..50),
            beside in 1_u64..1000,
        ) {
            let mut balance = Balance::default();
            let mut before = 0;
            for (at, (more, late)) in steps.into_iter().enumerate() {
                let now = before + more;
                // The server has at least what the gate had at the look before, and no more than the gate will have.
                // At one look of two it may be ahead of the gate.
                let ahead = if at % 2 == 1 { late } else { 0 };
                let server = base + before + more.saturating_sub(late).max(if ahead > 0 { more + ahead } else { 0 });
                prop_assert_eq!(balance.weigh(server, now, before), 0);
                before = now;
            }
            balance.weigh(base + before, before, before);
            balance.weigh(base + before, before, before);
            prop_assert_eq!(balance.weigh(base + before + beside, before, before), 0, "not sure yet");
            prop_assert_eq!(balance.weigh(base + before + beside, before, before), beside);
        }
    }
}
