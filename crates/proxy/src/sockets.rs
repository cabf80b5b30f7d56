//! Listening sockets: opened, inherited from systemd, or taken over from the process before this one.
//!
//! Never accepts a connection, and never closes a socket that somebody may still be queueing on: who stops listening
//! first accepts what waits (see [`diff`]).

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use listenfd::ListenFd;
use portcullis_config::Policy;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpStream;

/// Connections that the kernel completes before a worker accepts them, per socket; it caps this at
/// `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The name of the admin listener among inherited sockets.
pub const ADMIN: &str = "admin";

/// What the kernel takes of a response before the client has room for it. Without this bound a slow reader makes it hold
/// megabytes, and three hundred of them make the gate copy a gigabyte that nobody reads.
const UNSENT_BYTES: u32 = 128 * 1024;

/// How many processes and descriptors are looked at to name the program that holds a port.
const HOLDER_SEARCH: usize = 200_000;

/// A listening socket with the name and address that it was declared under.
#[derive(Debug)]
pub struct Named {
    /// The listener's name, or [`ADMIN`].
    pub name: String,
    /// `bind` of the listener as declared. A socket from systemd may in truth be bound more widely.
    pub bind: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
}

/// Sockets that this process did not open itself.
#[derive(Debug, Default)]
pub struct Inherited {
    /// From systemd: the unit says which is which, by name.
    activated: Vec<(String, TcpListener)>,
    /// From the process before: which is which is known by the address that was declared for it.
    taken: Vec<(SocketAddr, TcpListener)>,
}

impl Inherited {
    /// Nothing inherited.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What systemd passed in `LISTEN_FDS`, named by `LISTEN_FDNAMES`. Call it before threads are started, and once.
    ///
    /// # Errors
    /// A descriptor is not a TCP listener.
    pub fn from_systemd() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut found = ListenFd::from_env();
        let mut activated = Vec::with_capacity(found.len());
        for index in 0..found.len() {
            let name = names.next().unwrap_or_default().to_owned();
            if let Some(socket) = found.take_tcp_listener(index)? {
                activated.push((name, socket));
            }
        }
        Ok(Self { activated, taken: Vec::new() })
    }

    /// What the process before handed over.
    #[must_use]
    pub fn taken_over(sockets: Vec<Named>) -> Self {
        let taken = sockets.into_iter().map(|named| (named.bind, TcpListener::from(named.socket))).collect();
        Self { activated: Vec::new(), taken }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.activated.is_empty() && self.taken.is_empty()
    }

    /// The addresses that nobody asked for: listeners that the configuration does not name.
    #[must_use]
    pub fn left(&self) -> Vec<SocketAddr> {
        let activated = self.activated.iter().filter_map(|(_, socket)| socket.local_addr().ok());
        activated.chain(self.taken.iter().map(|(bind, _)| *bind)).collect()
    }

    fn take(&mut self, name: &str, bind: SocketAddr) -> Vec<TcpListener> {
        let is_it = |(given, socket): &mut (String, TcpListener)| {
            *given == name || socket.local_addr().is_ok_and(|local| local == bind)
        };
        let activated = self.activated.extract_if(.., is_it).map(|(_, socket)| socket);
        let taken = self.taken.extract_if(.., |(declared, _)| *declared == bind).map(|(_, socket)| socket);
        activated.chain(taken).collect()
    }
}

/// The sockets of one listener.
#[derive(Debug)]
pub struct ListenerSockets {
    /// Its index among the doors of the policy ([`Policy::doors`]).
    pub listener: usize,
    /// Where it listens; the port that the kernel chose, where 0 was declared.
    pub local: SocketAddr,
    /// One entry for each worker, not blocking. Almost always a single socket; more where the process before had more
    /// workers, because a socket that nobody accepts from would leave its share of the visitors waiting.
    pub sockets: Vec<Vec<TcpListener>>,
}

impl ListenerSockets {
    /// Duplicates of the sockets for a hand-over, each socket once. A duplicate keeps its socket listening: whoever
    /// closes a listener drops these too.
    ///
    /// # Errors
    /// The process is out of descriptors, or the policy is not the one that the sockets were opened for.
    pub fn named(&self, policy: &Policy) -> io::Result<Vec<Named>> {
        let (name, bind) = policy.doors().nth(self.listener).ok_or(io::ErrorKind::NotFound)?;
        let mut seen = HashSet::new();
        let mut named = Vec::new();
        for socket in self.sockets.iter().flatten() {
            if seen.insert(rustix::fs::fstat(socket)?.st_ino) {
                let socket = socket.try_clone()?.into();
                named.push(Named { name: name.to_owned(), bind, socket });
            }
        }
        Ok(named)
    }
}

/// Opens the sockets of every listener and database of the policy, `workers` of each.
///
/// # Errors
/// Names the listener, the address, and the program that holds it where that can be found out.
pub fn open(policy: &Policy, workers: usize, inherited: &mut Inherited) -> Result<Vec<ListenerSockets>, StartError> {
    (0..policy.doors().count()).map(|index| open_one(policy, index, workers, inherited)).collect()
}

/// Opens the sockets of one listener: those inherited, and new ones up to `workers`.
///
/// # Errors
/// As [`open`].
pub fn open_one(
    policy: &Policy,
    listener: usize,
    workers: usize,
    inherited: &mut Inherited,
) -> Result<ListenerSockets, StartError> {
    let Some((name, bind)) = policy.doors().nth(listener) else {
        let cause = io::Error::new(io::ErrorKind::NotFound, "no such listener");
        return Err(StartError::new("", SocketAddr::from(([0; 4], 0)), cause));
    };
    let failed = |cause| StartError::new(name, bind, cause);
    let workers = workers.max(1);
    let found = inherited.take(name, bind);
    let all = if found.is_empty() { listen_all(bind, workers) } else { complete(found, workers) };
    let all = all.map_err(failed)?;
    let local = all.first().map_or(Ok(bind), TcpListener::local_addr).map_err(failed)?;
    let mut sockets: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::with_capacity(1)).collect();
    for (index, socket) in all.into_iter().enumerate() {
        if let Some(own) = sockets.get_mut(index % workers) {
            own.push(socket);
        }
    }
    Ok(ListenerSockets { listener, local, sockets })
}

/// Opens the admin listener.
///
/// # Errors
/// As [`open`].
pub fn open_admin(policy: &Policy, inherited: &mut Inherited) -> Result<TcpListener, StartError> {
    let bind = policy.admin.listen;
    let opened = match inherited.take(ADMIN, bind).into_iter().next() {
        Some(socket) => socket.set_nonblocking(true).map(|()| socket),
        None => listen(bind, Sharing::Alone),
    };
    opened.map_err(|cause| StartError::new(ADMIN, bind, cause))
}

/// Makes the close of a refused connection a reset: the peer learns of it at once, and neither buffers nor TIME_WAIT
/// remain for it in the kernel.
pub fn reset(socket: &TcpStream) {
    // A socket that refuses this is closed the ordinary way.
    drop(socket.set_zero_linger());
}

/// What a new policy asks of the sockets. A listener is its address: its name, TLS and protocols may change over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Listeners in both: index in the old policy, index in the new.
    pub kept: Vec<(usize, usize)>,
    /// Listeners of the new policy to open with [`open_one`].
    pub opened: Vec<usize>,
    /// Listeners of the old policy to close: accept until the queue is empty, then drop the socket. Dropping it at once
    /// would reset connections that the kernel has already completed.
    pub closed: Vec<usize>,
}

/// Compares the listeners of two policies.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> Changes {
    let position = |policy: &Policy, bind| policy.doors().position(|(_, known)| known == bind);
    let mut changes = Changes::default();
    for (index, (_, bind)) in new.doors().enumerate() {
        match position(old, bind) {
            Some(before) => changes.kept.push((before, index)),
            None => changes.opened.push(index),
        }
    }
    let gone = old.doors().enumerate().filter(|(_, (_, bind))| position(new, *bind).is_none());
    changes.closed = gone.map(|(index, _)| index).collect();
    changes
}

/// A listener that could not be opened.
#[derive(Debug)]
pub struct StartError {
    /// The listener's name.
    pub listener: String,
    /// Its address.
    pub bind: SocketAddr,
    /// Who holds the address, where that could be found out.
    pub holder: Option<Holder>,
    /// What the system said.
    pub cause: io::Error,
}

impl StartError {
    fn new(listener: &str, bind: SocketAddr, cause: io::Error) -> Self {
        let holder = (cause.kind() == io::ErrorKind::AddrInUse).then(|| holder(bind)).flatten();
        Self { listener: listener.to_owned(), bind, holder, cause }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "listener `{}` cannot listen on {}: ", self.listener, self.bind)?;
        match (self.cause.kind(), &self.holder) {
            (io::ErrorKind::AddrInUse, Some(holder)) if holder.process == std::process::id() => out.write_str(
                "this process listens there already, as its admin listener or by a socket of another name from systemd",
            ),
            (io::ErrorKind::AddrInUse, Some(holder)) => {
                write!(out, "the port is taken by `{}` (process {})", holder.program, holder.process)
            }
            (io::ErrorKind::AddrInUse, None) => out.write_str("the port is taken by another program"),
            (io::ErrorKind::AddrNotAvailable, _) => out.write_str("this machine does not have the address"),
            (io::ErrorKind::PermissionDenied, _) => {
                out.write_str("not permitted; ports below 1024 need CAP_NET_BIND_SERVICE or a socket from systemd")
            }
            _ => write!(out, "{}", self.cause),
        }
    }
}

impl std::error::Error for StartError {}

/// The program behind a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub process: u32,
    /// Its name, as the kernel knows it.
    pub program: String,
}

// ---------------------------------------------------------------------------------------------------------------------
// Opening.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// Nobody else may listen here.
    Alone,
    /// Sockets of one user share the port (SO_REUSEPORT), and the kernel spreads connections over them.
    Workers,
}

fn listen_all(bind: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    refuse_taken(bind)?;
    let first = listen(bind, Sharing::Workers)?;
    // Port 0 means one port of the kernel's choice, not one for each worker.
    let local = first.local_addr()?;
    let rest = (1..workers).map(|_| listen(local, Sharing::Workers));
    std::iter::once(Ok(first)).chain(rest).collect()
}

/// Brings inherited sockets up to one for each worker.
fn complete(mut found: Vec<TcpListener>, workers: usize) -> io::Result<Vec<TcpListener>> {
    for socket in &found {
        socket.set_nonblocking(true)?;
        // systemd sets what its unit says; the data plane flushes by whole buffers and wants no Nagle delay.
        rustix::net::sockopt::set_tcp_nodelay(socket, true)?;
        SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES)?;
    }
    let given = found.len();
    for index in given..workers {
        let Some(original) = found.get(index % given) else { break };
        // Sockets that do not share their port (systemd without `ReusePort=yes`) are accepted from by several workers.
        let shared = rustix::net::sockopt::socket_reuseport(original).unwrap_or(false);
        let more = shared.then(|| original.local_addr().and_then(|local| listen(local, Sharing::Workers)).ok());
        let more = more.flatten().map_or_else(|| original.try_clone(), Ok)?;
        found.push(more);
    }
    Ok(found)
}

/// With SO_REUSEPORT a second gate of the same user would quietly get half of the visitors, so the port is tried alone
/// first. Sockets of this very process do not count: a reload may move from one address to all.
fn refuse_taken(bind: SocketAddr) -> io::Result<()> {
    match bound(bind, Sharing::Alone) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let own = holder(bind).is_some_and(|holder| holder.process == std::process::id());
            if own { Ok(()) } else { Err(error) }
        }
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

fn listen(bind: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = bound(bind, sharing)?;
    // Accepted sockets inherit this, which saves a call for each connection. No TCP_DEFER_ACCEPT: it would hide silent
    // clients from our deadlines and counts in the kernel. No TCP_FASTOPEN: data in a SYN can be replayed.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(bind: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(bind), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::Workers)?;
    if bind.is_ipv6() {
        // `[::]:80` is IPv6 alone, whatever the system's default: `0.0.0.0:80` is declared beside it.
        socket.set_only_v6(true)?;
    }
    socket.bind(&bind.into())?;
    Ok(socket)
}

// ---------------------------------------------------------------------------------------------------------------------
// Who holds a port: /proc/net names the socket, /proc/PID/fd the process. Only for an error message.

fn holder(bind: SocketAddr) -> Option<Holder> {
    let inodes: HashSet<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| table.lines().filter_map(|line| listening(line, bind)).collect::<Vec<_>>())
        .collect();
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let numbered = processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let mut looked = 0_usize;
    for (process, path) in numbered {
        for descriptor in std::fs::read_dir(path.join("fd")).into_iter().flatten().filter_map(Result::ok) {
            looked += 1;
            if looked > HOLDER_SEARCH {
                return None;
            }
            if socket_inode(&descriptor.path()).is_some_and(|inode| inodes.contains(&inode)) {
                let program = std::fs::read_to_string(path.join("comm")).unwrap_or_default().trim().to_owned();
                return Some(Holder { process, program });
            }
        }
    }
    None
}

fn socket_inode(descriptor: &Path) -> Option<u64> {
    let target = std::fs::read_link(descriptor).ok()?;
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The inode of a line of `/proc/net/tcp`, if that socket listens where `bind` wants to.
fn listening(line: &str, bind: SocketAddr) -> Option<u64> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    let address = kernel_address(address)?;
    let same = u16::from_str_radix(port, 16).ok()? == bind.port()
        && (address == bind.ip() || address.is_unspecified() || bind.ip().is_unspecified());
    (state == LISTEN && same).then_some(inode)
}

/// Hexadecimal words of four bytes, each in the machine's own order.
fn kernel_address(hex: &str) -> Option<IpAddr> {
    let mut bytes = [0_u8; 16];
    let mut length = 0;
    while let Some(word) = hex.get(length * 2..length * 2 + 8) {
        let word = u32::from_str_radix(word, 16).ok()?;
        bytes.get_mut(length..length + 4)?.copy_from_slice(&word.to_ne_bytes());
        length += 4;
    }
    match length {
        4 => bytes.first_chunk::<4>().map(|v4| IpAddr::V4(Ipv4Addr::from(*v4))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;
    use std::time::Duration;

    use portcullis_config::policy::{
        Admin, DecisionLog, ForwardedHeader, Listener, Server, TlsVersion, TrustedProxies,
    };
    use portcullis_types::Limits;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// A policy with plain listeners `a`, `b`, … at these addresses and nothing behind them.
    pub(crate) fn policy(binds: &[&str]) -> Policy {
        let listener = |(name, bind): (char, &&str)| Listener {
            name: name.to_string(),
            bind: bind.parse().expect("an address"),
            tls: false,
            tls_min: TlsVersion::Tls12,
            http2: false,
            proxy_protocol: false,
            redirect_to_https: None,
        };
        Policy {
            server: Server { workers: 1, control: "control.sock".into(), drain: Duration::ZERO, name: "test".into() },
            admin: Admin { listen: "127.0.0.1:0".parse().expect("an address") },
            alerts: Vec::new(),
            status: None,
            console: None,
            listeners: ('a'..).zip(binds).map(listener).collect(),
            certificates: Vec::new(),
            trusted: TrustedProxies { networks: Vec::new(), header: ForwardedHeader::XForwardedFor },
            limits: Limits::DEFAULT,
            log: DecisionLog { path: None, file_bytes: 1, files: 1, sample: 0 },
            defence: portcullis_config::policy::Defence::default(),
            evidence: portcullis_config::Evidence::default(),
            organisation: portcullis_config::Organisation::default(),
            copies: Vec::new(),
            geography: None,
            waf: portcullis_config::Waf::default(),
            data: portcullis_config::Data::default(),
            integrity: portcullis_config::Integrity::default(),
            lists: Vec::new(),
            vouched: Vec::new(),
            platforms: Vec::new(),
            databases: Vec::new(),
        }
    }

    fn inode(socket: &TcpListener) -> u64 {
        rustix::fs::fstat(socket).expect("open").st_ino
    }

    #[test]
    fn every_worker_gets_a_socket_of_its_own_on_one_port() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let opened = open(&policy(&[bind]), 3, &mut Inherited::none()).expect("free");
            assert_eq!(opened.len(), 1);
            let local = opened[0].local;
            assert_ne!(local.port(), 0);
            let sockets: Vec<_> = opened[0].sockets.iter().flatten().collect();
            assert_eq!(sockets.len(), 3);
            for socket in &sockets {
                assert_eq!(socket.local_addr().expect("bound"), local);
                assert!(rustix::net::sockopt::tcp_nodelay(socket).expect("open"));
                assert_eq!(SockRef::from(socket).tcp_notsent_lowat().expect("open"), UNSENT_BYTES);
                let waiting = socket.accept().expect_err("nobody came");
                assert_eq!(waiting.kind(), io::ErrorKind::WouldBlock);
            }
            let inodes: HashSet<_> = sockets.into_iter().map(inode).collect();
            assert_eq!(inodes.len(), 3, "sockets of their own, not one thrice");
        }
    }

    #[test]
    fn a_taken_port_is_named_with_its_program() {
        let other = TcpListener::bind("127.0.0.1:0").expect("free");
        let bind = other.local_addr().expect("bound");
        let refused = || open(&policy(&[&bind.to_string()]), 2, &mut Inherited::none()).map(drop);
        let error = refused().expect_err("taken").to_string();
        assert_eq!(error, format!("listener `a` cannot listen on {bind}: {OWN}"));
        // A program that has the socket as its input, and nothing else to do.
        let mut holder = Command::new("sleep").arg("60").stdin(OwnedFd::from(other)).spawn().expect("it is everywhere");
        let error = refused().expect_err("taken").to_string();
        let process = holder.id();
        holder.kill().and_then(|()| holder.wait()).expect("ours");
        let expected = format!("the port is taken by `sleep` (process {process})");
        assert_eq!(error, format!("listener `a` cannot listen on {bind}: {expected}"));
        assert!(refused().is_ok());
    }

    const OWN: &str =
        "this process listens there already, as its admin listener or by a socket of another name from systemd";

    #[test]
    fn a_second_gate_of_the_same_user_does_not_join_in() {
        let gate = open(&policy(&["127.0.0.1:0"]), 2, &mut Inherited::none()).expect("free");
        let bind = gate[0].local;
        assert!(bound(bind, Sharing::Workers).is_ok(), "it could");
        let refused = bound(bind, Sharing::Alone).expect_err("so the port is tried alone first");
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn a_refused_connection_is_reset() {
        let opened = open(&policy(&["127.0.0.1:0"]), 1, &mut Inherited::none()).expect("free").remove(0);
        let socket = opened.sockets.into_iter().flatten().next().expect("one for the worker");
        let listener = tokio::net::TcpListener::from_std(socket).expect("not blocking");
        for refused in [true, false] {
            let mut client = TcpStream::connect(opened.local).await.expect("listening");
            let (accepted, _) = listener.accept().await.expect("waiting");
            if refused {
                reset(&accepted);
            }
            drop(accepted);
            let end = client.read(&mut [0; 1]).await.map_err(|error| error.kind());
            assert_eq!(end, if refused { Err(io::ErrorKind::ConnectionReset) } else { Ok(0) });
        }
    }

    #[test]
    fn what_is_inherited_is_served_by_every_worker() {
        let before = policy(&["127.0.0.1:0"]);
        for (given, workers, expected) in [
            // One from systemd, shared by all; as many as workers; more, so that none is left unattended.
            (1, 3, [1, 1, 1].as_slice()),
            (2, 2, &[1, 1]),
            (4, 3, &[2, 1, 1]),
        ] {
            let old = open(&before, given, &mut Inherited::none()).expect("free").remove(0);
            let bind = old.local;
            let inodes: HashSet<_> = old.sockets.iter().flatten().map(inode).collect();
            let taken = old.named(&policy(&[&bind.to_string()])).expect("open");
            drop(old);
            let mut inherited = Inherited::taken_over(taken);
            assert_eq!(inherited.left().len(), given);
            let new = open(&policy(&[&bind.to_string()]), workers, &mut inherited).expect("inherited").remove(0);
            assert!(inherited.is_empty());
            assert_eq!(new.sockets.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            assert!(new.sockets.iter().flatten().all(|socket| socket.local_addr().expect("bound") == bind));
            let now: HashSet<_> = new.sockets.iter().flatten().map(inode).collect();
            assert!(inodes.is_subset(&now));
        }
    }

    #[tokio::test]
    async fn visitors_who_wait_are_served_by_whoever_takes_over() {
        const VISITORS: usize = 60;
        for workers in [1, 2, 3, 5] {
            let old = open(&policy(&["127.0.0.1:0"]), 3, &mut Inherited::none()).expect("free").remove(0);
            let bind = old.local.to_string();
            let mut visitors = Vec::new();
            for _ in 0..VISITORS {
                visitors.push(TcpStream::connect(old.local).await.expect("completed by the kernel"));
            }
            let mut inherited = Inherited::taken_over(old.named(&policy(&[&bind])).expect("open"));
            let new = open(&policy(&[&bind]), workers, &mut inherited).expect("inherited").remove(0);
            drop(old);
            let mut served = Vec::new();
            // The kernel may queue the last of them a moment after their client is told.
            for _ in 0..500 {
                for socket in new.sockets.iter().flatten() {
                    served.extend(std::iter::from_fn(|| socket.accept().ok()));
                }
                if served.len() == VISITORS {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(served.len(), VISITORS, "{workers} workers");
            drop(served);
            for mut visitor in visitors {
                assert_eq!(visitor.read(&mut [0; 1]).await.expect("closed, not reset"), 0);
            }
        }
    }

    #[test]
    fn sockets_from_systemd_go_by_name_or_address_and_are_shared() {
        let given = || TcpListener::bind("127.0.0.1:0").expect("free");
        let (named, unnamed, admin, unknown) = (given(), given(), given(), given());
        let address = unnamed.local_addr().expect("bound");
        let unit = [("a", &named), ("", &unnamed), (ADMIN, &admin), ("other", &unknown)];
        let activated = unit.map(|(name, socket)| (name.to_owned(), socket.try_clone().expect("open"))).into();
        let mut inherited = Inherited { activated, taken: Vec::new() };
        let policy = policy(&["0.0.0.0:80", &address.to_string()]);
        let opened = open(&policy, 2, &mut inherited).expect("both are inherited: port 80 is not opened");
        for (sockets, original) in [(&opened[0], &named), (&opened[1], &unnamed)] {
            assert_eq!(sockets.local, original.local_addr().expect("bound"));
            assert!(sockets.sockets.iter().flatten().all(|socket| inode(socket) == inode(original)));
            assert_eq!(sockets.named(&policy).expect("open").len(), 1, "one socket, however many workers share it");
        }
        let opened = open_admin(&policy, &mut inherited).expect("inherited");
        assert_eq!(inode(&opened), inode(&admin));
        assert_eq!(inherited.left(), [unknown.local_addr().expect("bound")]);
    }

    /// The environment belongs to the process, so the test runs itself again as systemd would.
    #[test]
    fn systemd_passes_sockets_by_name() {
        const ACTIVATED: &str = "PORTCULLIS_TEST_ACTIVATED";
        if let Ok(address) = std::env::var(ACTIVATED) {
            let bind = address.parse().expect("an address");
            let inherited = Inherited::from_systemd().expect("a listener");
            assert_eq!(inherited.left(), [bind]);
            assert_eq!(inherited.activated[0].0, "web");
            assert!(Inherited::from_systemd().expect("once").is_empty());
            return;
        }
        let socket = TcpListener::bind("127.0.0.1:0").expect("free");
        let address = socket.local_addr().expect("bound").to_string();
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["sockets::tests::systemd_passes_sockets_by_name", "--exact"])
            .env(ACTIVATED, address)
            .envs([("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", "0"), ("LISTEN_FDNAMES", "web:more")])
            .env_remove("LISTEN_PID")
            .stdin(OwnedFd::from(socket))
            .output()
            .expect("it runs");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    }

    #[test]
    fn a_reload_opens_what_is_new_and_closes_what_is_gone() {
        let old = policy(&["127.0.0.1:81", "127.0.0.1:82", "127.0.0.1:83"]);
        let mut new = policy(&["127.0.0.1:84", "127.0.0.1:83", "127.0.0.1:81"]);
        new.listeners[2].tls = true;
        let expected = Changes { kept: vec![(2, 1), (0, 2)], opened: vec![0], closed: vec![1] };
        assert_eq!(diff(&old, &new), expected);
        assert_eq!(diff(&old, &old).kept, [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn addresses_of_proc_are_read() {
        let bind: SocketAddr = "127.0.0.1:8080".parse().expect("an address");
        let line = |address: &str, state: &str| {
            format!("   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 100")
        };
        let v4 = if cfg!(target_endian = "little") { "0100007F:1F90" } else { "7F000001:1F90" };
        let any = "00000000:1F90";
        assert_eq!(listening(&line(v4, "0A"), bind), Some(4711));
        assert_eq!(listening(&line(any, "0A"), bind), Some(4711));
        assert_eq!(listening(&line(v4, "01"), bind), None, "a connection, not a listener");
        assert_eq!(listening(&line(&v4.replace("1F90", "1F91"), "0A"), bind), None);
        assert_eq!(listening("  sl  local_address rem_address   st", bind), None);
        assert_eq!(listening("", bind), None);
        assert!(kernel_address("00000000000000000000000001000000").is_some_and(|v6| v6.is_ipv6()));
        assert_eq!(kernel_address("0100"), None);
    }
}
