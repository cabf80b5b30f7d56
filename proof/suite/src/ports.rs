//! Ports for programs that must be told one before they listen on it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the system gives to whoever names none (from 32768 on Linux, `ip_local_port_range`): a connection that
/// somebody opens between finding a port and listening on it never takes it.
const RANGE: Range<u16> = 10_240..32_000;

/// A port of 127.0.0.1 on which nobody listens, and which nobody else in this process is given.
///
/// # Panics
/// When loopback has none.
#[must_use]
pub fn free_port() -> u16 {
    // Processes that run at once begin at places of their own.
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(211)));
    let width = RANGE.end - RANGE.start;
    let next = |_| RANGE.start + (NEXT.fetch_add(1, Ordering::Relaxed) % u32::from(width)) as u16;
    let free = |port: &u16| {
        let at = (Ipv4Addr::LOCALHOST, *port);
        TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
    };
    (0..width).map(next).find(free).expect("loopback has a free port")
}

/// The same with its address.
#[must_use]
pub fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_one_of_the_systems() {
        // One that would be given next. Where it is somebody else's already, it is taken all the same.
        let next = (free_port() + 5 - RANGE.start) % (RANGE.end - RANGE.start) + RANGE.start;
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, next));
        let given: BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(given.len(), 50);
        assert!(!given.contains(&next) && given.iter().all(|port| RANGE.contains(port)), "{given:?}");
    }
}
