//! Whether a platform's servers answer somebody who does not come through the gate, tried from where strangers are; and, where
//! they run on this host, whether they listen for strangers at all.
//!
//! It connects, asks for one page as a visitor would, and goes. What it cannot try it says. Drills have it try servers of our own
//! (`origin/decoy.rs`): one that answers strangers, and one that does not.

mod decoy;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use portcullis_config::integrity::{Origin, OriginAddress, Outside};
use portcullis_ledger::{Event, Finding};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use self::decoy::Decoy;
pub(crate) use self::decoy::Listening;
use crate::low_priority;
use crate::outside::Fetcher;
use crate::sense::Sense;

/// What cannot be seen.
pub(crate) const BLIND_TO: &str = "ways to the servers from other places than the declared one, over other protocols, or by whoever \
administers them";

/// What one try may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Who listens where the gate runs, as its first thread has it: the sensor's may be elsewhere.
const LISTENERS: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// What the thread is asked.
pub(crate) enum Ask {
    /// Try servers of our own. Those that listen where the gate runs stand already, where there are any to be tried.
    Drill { id: String, listening: Option<[SocketAddr; 2]>, seen: Sender<Result<Instant, String>> },
}

/// What is open to strangers: what it is called, and in words.
type Open = (&'static str, String);

/// The ways of a declaration that drills try: a server without TLS, one with it, and one that listens for everybody.
pub(crate) fn ways(declared: &Origin) -> (Vec<bool>, bool) {
    let (mut asked, mut listens) = (Vec::new(), false);
    for place in &declared.addresses {
        listens |= place.addresses.iter().any(IpAddr::is_loopback);
        if !asked.contains(&place.tls) && place.addresses.iter().any(|address| !address.is_loopback()) {
            asked.push(place.tls);
        }
    }
    (asked, listens)
}

/// Tries the ways past the gate until whoever holds the other end of `asked` goes.
pub(crate) fn run(declared: &Origin, sense: &Sense, asked: &Receiver<Ask>) {
    low_priority();
    let mut entered = declared.namespace.is_none();
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    loop {
        sense.alive();
        if let Some(path) = declared.namespace.as_ref().filter(|_| !entered) {
            // This thread alone is moved, and stays.
            let moved = File::open(path)
                .and_then(|file| Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?));
            match moved {
                Ok(()) => entered = true,
                Err(error) => sense.blind(&format!("{} cannot be entered: {error}", path.display())),
            }
        }
        if entered {
            look(declared, sense, &mut open);
        }
        let due = Instant::now() + declared.interval;
        while Instant::now() < due {
            sense.alive();
            match asked.recv_timeout(due.saturating_duration_since(Instant::now()).min(Duration::from_secs(1))) {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever asked may have gone.
                Ok(Ask::Drill { seen, .. }) if !entered => {
                    drop(seen.send(Err("it is not where strangers are".to_owned())));
                }
                Ok(Ask::Drill { id, listening, seen }) => {
                    let _ = seen.send(drill(declared, sense, &id, listening));
                }
            }
        }
    }
}

fn look(declared: &Origin, sense: &Sense, open: &mut BTreeMap<String, String>) {
    let mut found = BTreeMap::new();
    let mut tried = 0;
    let sockets = listeners();
    let mut untried = sockets.is_empty().then(|| "who listens on this host cannot be read".to_owned());
    for place in &declared.addresses {
        for address in &place.addresses {
            sense.alive();
            let at = SocketAddr::new(*address, place.port);
            tried += 1;
            sense.seen(1);
            if address.is_loopback() {
                found.extend(listens_wide(&place.text, at, &sockets).map(|open| (at.to_string(), open)));
                continue;
            }
            match answers(place, at, declared.from) {
                Err(why) => untried = Some(why),
                Ok(Ok(open)) => drop(found.insert(at.to_string(), open)),
                Ok(Err(why)) => tracing::debug!(%at, why, "the origin does not answer strangers"),
            }
        }
    }
    for (at, (what, words)) in &found {
        if open.get(at) != Some(words) {
            tell(declared, sense, at, (what, words), "");
        }
    }
    *open = found.into_iter().map(|(at, (_, words))| (at, words)).collect();
    match untried {
        Some(why) => sense.blind(&why),
        None => sense.up(),
    }
    sense.words(format!(
        "{tried} addresses, each {} s; {} are open to strangers",
        declared.interval.as_secs(),
        open.len()
    ));
}

/// Tries servers of our own, each way that is declared: who answers strangers must be found, and who does not must not be.
fn drill(declared: &Origin, sense: &Sense, id: &str, listening: Option<[SocketAddr; 2]>) -> Result<Instant, String> {
    let at = declared.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let place = |tls: &bool| declared.addresses.iter().find(|place| place.tls == *tls);
    for place in ways(declared).0.iter().filter_map(place) {
        sense.alive();
        let open = Decoy::begin(at, place.tls, true)?;
        let found = answers(place, open.at, declared.from)?;
        let found = found.map_err(|why| format!("a server of ours that answers strangers was not found: {why}"))?;
        tell(declared, sense, &open.at.to_string(), (found.0, &found.1), id);
        let shut = Decoy::begin(at, place.tls, false)?;
        if let Ok((_, words)) = answers(place, shut.at, declared.from)? {
            return Err(format!("a server of ours that answers nobody was taken for an open one: {words}"));
        }
    }
    if let Some([wide, narrow]) = listening {
        let sockets = listeners();
        let own = "a server of ours";
        let place = |of: SocketAddr| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), of.port());
        let Some((what, words)) = listens_wide(own, place(wide), &sockets) else {
            return Err(format!("{own} that listens on {wide} was not found among {} that listen", sockets.len()));
        };
        tell(declared, sense, &wide.to_string(), (what, &words), id);
        if let Some((_, words)) = listens_wide(own, place(narrow), &sockets) {
            return Err(format!("{own} that listens on {narrow} alone was taken for another: {words}"));
        }
    }
    Ok(Instant::now())
}

fn tell(declared: &Origin, sense: &Sense, at: &str, (what, words): (&str, &str), drill: &str) {
    sense.record(Event::Finding(Finding {
        what: what.to_owned(),
        platform: declared.platform.clone(),
        subject: at.to_owned(),
        words: words.to_owned(),
        drill: drill.to_owned(),
        ..Finding::default()
    }));
}

/// Whether a server at that address answers somebody who does not come through the gate; else why it does not.
///
/// # Errors
/// Why nobody could ask.
fn answers(place: &OriginAddress, at: SocketAddr, from: Option<IpAddr>) -> Result<Result<Open, String>, String> {
    let answered = |status: u16| {
        let words = format!("{} at {at} answers {status} to somebody who does not come through the gate", place.text);
        ("origin-reachable", words)
    };
    Ok(fetcher(place, at, from)?.reached("/").map(answered))
}

/// Whether the server that is meant to be on loopback alone listens for strangers as well.
fn listens_wide(text: &str, at: SocketAddr, sockets: &[SocketAddr]) -> Option<Open> {
    let wide = sockets.iter().find(|it| it.port() == at.port() && !it.ip().is_loopback())?;
    let address = at.ip();
    let words = format!("{text} listens on {wide}, where strangers may reach it, and not on {address} alone");
    Some(("origin-listens", words))
}

fn listeners() -> Vec<SocketAddr> {
    LISTENERS.iter().filter_map(|path| fs::read_to_string(path).ok()).flat_map(|table| listening(&table)).collect()
}

fn fetcher(place: &OriginAddress, at: SocketAddr, from: Option<IpAddr>) -> Result<Fetcher, String> {
    let host = place.authority.trim_start_matches("*.").to_owned();
    let outside = Outside {
        authority: host.clone(),
        host,
        port: at.port(),
        tls: place.tls,
        connect: Some(at),
        timeout: TIMEOUT,
        ..Outside::default()
    };
    Fetcher::new(&outside, from)
}

/// The addresses on which somebody listens, from the kernel's table (proc_pid_net(5)).
fn listening(table: &str) -> Vec<SocketAddr> {
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let (address, port) = local.split_once(':').filter(|_| state == "0A")?;
        let port = u16::from_str_radix(port, 16).ok()?;
        // Words of 32 bits in the order of this machine, whose bytes are in the order of the network.
        let words = (0..address.len() / 8).map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok());
        let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
        let ip = <[u8; 4]>::try_from(&*bytes)
            .map(IpAddr::from)
            .or_else(|_| <[u8; 16]>::try_from(&*bytes).map(IpAddr::from))
            .ok()?;
        Some(SocketAddr::new(ip.to_canonical(), port))
    };
    table.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn who_listens_is_read_from_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   \
                     1: 00000000:0050 00000000:0000 0A 00000000:00000000\n   2: 0100007F:A000 0100007F:1F90 01 00000000:00000000\n";
        let expected: Vec<SocketAddr> = vec!["127.0.0.1:8080".parse().unwrap(), "0.0.0.0:80".parse().unwrap()];
        assert_eq!(listening(table), expected);
        let table = "  sl\n   0: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A\n";
        assert_eq!(listening(table), ["[::1]:443".parse().unwrap()]);
        assert!(listening("nonsense\nof: all kinds\n").is_empty());
    }

    fn declared(addresses: &[(&str, bool)]) -> Origin {
        let place = |(address, tls): &(&str, bool)| OriginAddress {
            text: format!("https://{address}"),
            host: (*address).to_owned(),
            port: 443,
            addresses: vec![address.parse().unwrap()],
            tls: *tls,
            authority: "example.org".to_owned(),
        };
        Origin {
            platform: "public".to_owned(),
            addresses: addresses.iter().map(place).collect(),
            namespace: None,
            from: None,
            interval: Duration::from_secs(60),
        }
    }

    #[test]
    fn each_way_that_is_declared_is_tried_once() {
        type Declared = &'static [(&'static str, bool)];
        let table: [(Declared, (Vec<bool>, bool)); 5] = [
            (&[], (vec![], false)),
            (&[("127.0.0.1", false)], (vec![], true)),
            (&[("192.0.2.1", false), ("192.0.2.2", false)], (vec![false], false)),
            (&[("192.0.2.1", true), ("::1", true), ("192.0.2.2", false)], (vec![true, false], true)),
            (&[("127.0.0.1", true), ("192.0.2.1", true)], (vec![true], true)),
        ];
        for (addresses, expected) in table {
            assert_eq!(ways(&declared(addresses)), expected, "{addresses:?}");
        }
    }

    #[test]
    fn a_decoy_that_answers_is_found_and_one_that_does_not_is_not() {
        let all = declared(&[("192.0.2.1", false), ("192.0.2.1", true)]);
        for place in &all.addresses {
            let (open, shut) = (decoy(place.tls, true), decoy(place.tls, false));
            let (what, words) = answers(place, open.at, None).expect("asked").expect("it answers");
            assert_eq!(what, "origin-reachable");
            assert!(words.contains("answers 200 to somebody who does not come through the gate"), "{words}");
            assert!(answers(place, shut.at, None).expect("asked").is_err(), "it lets nobody in");
            let gone = open.at;
            drop(open);
            assert!(answers(place, gone, None).expect("asked").is_err(), "it has gone again");
        }
    }

    #[test]
    fn whatever_a_server_answers_it_answers() {
        use std::io::{Read as _, Write as _};
        // Packed though nobody asked for it, longer than a page may be, broken off.
        for head in
            ["Content-Encoding: gzip\r\nContent-Length: 9", "Content-Length: 99999999999", "Transfer-Encoding: chunked"]
        {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let at = listener.local_addr().expect("its address");
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a visitor");
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(format!("HTTP/1.1 403 Forbidden\r\n{head}\r\n\r\nxyz").as_bytes());
            });
            let place = &declared(&[("192.0.2.1", false)]).addresses[0];
            let (_, words) = answers(place, at, None).expect("asked").expect("it answers");
            assert!(words.contains("answers 403 to somebody"), "{head}: {words}");
            server.join().expect("it ended");
        }
    }

    fn decoy(tls: bool, open: bool) -> Decoy {
        Decoy::begin(Ipv4Addr::LOCALHOST.into(), tls, open).expect("a decoy")
    }

    #[test]
    fn who_listens_for_everybody_is_found_and_who_listens_on_loopback_is_not() {
        let listening = Listening::begin().expect("two who listen");
        let [wide, narrow] = listening.at;
        let place = |of: SocketAddr| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), of.port());
        let sockets = listeners();
        assert!(listens_wide("it", place(wide), &sockets).is_some(), "{wide} in {sockets:?}");
        assert!(listens_wide("it", place(narrow), &sockets).is_none(), "{narrow} in {sockets:?}");
        drop(listening);
        assert!(listens_wide("it", place(wide), &listeners()).is_none(), "it has gone again");
    }
}
