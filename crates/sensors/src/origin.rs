//! Whether a platform's servers answer somebody who does not come through the gate, tried from where strangers are; and, where
//! they run on this host, whether they listen for strangers at all.
//!
//! It connects, asks for one page as a visitor would, and goes. What it cannot try it says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use portcullis_config::integrity::{Origin, OriginAddress, Outside};
use portcullis_ledger::{Event, Finding};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::low_priority;
use crate::outside::Fetcher;
use crate::sense::Sense;

/// What cannot be seen.
pub(crate) const BLIND_TO: &str = "ways to the servers from other places than the declared one, over other protocols, or by whoever \
administers them";

/// What one try may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the thread is asked: nothing yet but to end.
pub(crate) enum Ask {}

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
                Ok(ask) => match ask {},
            }
        }
    }
}

fn look(declared: &Origin, sense: &Sense, open: &mut BTreeMap<String, String>) {
    let mut found = BTreeMap::new();
    let mut tried = 0;
    // The whole host's sockets, as its first process has them: this thread may be elsewhere.
    let sockets: Vec<SocketAddr> = ["/proc/1/net/tcp", "/proc/1/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening(&table))
        .collect();
    let mut untried = sockets.is_empty().then(|| "who listens on this host cannot be read".to_owned());
    for place in &declared.addresses {
        for address in &place.addresses {
            sense.alive();
            let at = SocketAddr::new(*address, place.port);
            tried += 1;
            sense.seen(1);
            if address.is_loopback() {
                let strangers = |it: &&SocketAddr| it.port() == place.port && !it.ip().is_loopback();
                if let Some(wide) = sockets.iter().find(strangers) {
                    let words = format!(
                        "{} listens on {wide}, where strangers may reach it, and not on {address} alone",
                        place.text
                    );
                    found.insert(at.to_string(), ("origin-listens", words));
                }
                continue;
            }
            match fetcher(place, at, declared.from) {
                Err(why) => untried = Some(why),
                Ok(fetcher) => match fetcher.get("/") {
                    Ok(answer) => {
                        let status = answer.status;
                        let words = format!(
                            "{} at {at} answers {status} to somebody who does not come through the gate",
                            place.text
                        );
                        found.insert(at.to_string(), ("origin-reachable", words));
                    }
                    Err(why) => tracing::debug!(%at, why, "the origin does not answer strangers"),
                },
            }
        }
    }
    for (at, (what, words)) in &found {
        if open.get(at) != Some(words) {
            sense.record(Event::Finding(Finding {
                what: (*what).to_owned(),
                platform: declared.platform.clone(),
                subject: at.clone(),
                words: words.clone(),
                ..Finding::default()
            }));
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
}
