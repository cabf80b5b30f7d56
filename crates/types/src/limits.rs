//! Everything that an attacker can grow, and how far. The one place where bounds of the data plane are written.
//!
//! Each limit has a unit, a safe default, a range, and a declared outcome: the [`Reason`](crate::Reason) with which
//! the gate refuses what goes beyond. Relations between limits are proved below, at compile time for the defaults
//! and by [`Limits::check`] for what an operator sets.

use std::time::Duration;

/// The unit of a limit, which decides how the configuration writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds inside, `"30s"` in the configuration.
    Duration,
    /// Bytes inside, `"64KiB"` in the configuration.
    Size,
    /// Bytes a second inside, `"1KiB/s"` in the configuration.
    Throughput,
    /// A number.
    Count,
}

/// One limit, as data: the configuration reader and the reference page walk over these.
#[derive(Debug)]
pub struct Bounds {
    /// The key in `[limits]`.
    pub name: &'static str,
    /// How it is written.
    pub unit: Unit,
    /// The value where the operator says nothing.
    pub default: u64,
    /// The least value that makes sense.
    pub min: u64,
    /// The greatest value that makes sense.
    pub max: u64,
    /// What it bounds and what happens beyond it.
    pub doc: &'static str,
    /// Reads it.
    pub get: fn(&Limits) -> u64,
    /// Writes it; the caller has checked the range.
    pub set: fn(&mut Limits, u64),
}

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $unit:ident = $default:expr, $min:expr, $max:expr;)+) => {
        /// The limits in force. Durations are nanoseconds, sizes are bytes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits { $($(#[doc = $doc])+ pub $name: u64,)+ }

        impl Limits {
            /// The safe defaults.
            pub const DEFAULT: Self = Self { $($name: $default,)+ };

            /// Every limit as data, in the order of the reference page.
            pub const ALL: &'static [Bounds] = &[$(Bounds {
                name: stringify!($name),
                unit: Unit::$unit,
                default: $default,
                min: $min,
                max: $max,
                doc: concat!($($doc),+).trim_ascii_start(),
                get: |limits| limits.$name,
                set: |limits, value| limits.$name = value,
            },)+];
        }

        $(
        #[allow(unused_comparisons, reason = "a least value of 0 is a value")]
        const _: () = assert!($min <= $default && $default <= $max, stringify!($name));
        )+
    };
}

limits! {
    /// Client connections held at once, over all listeners. Beyond it, accepting pauses: the kernel's queue holds the rest.
    connections: Count = 50_000, 16, 10_000_000;
    /// Connections from one address. Beyond it, new ones are reset (`too-many-connections-from-address`). Trusted proxies are exempt.
    connections_per_address: Count = 512, 1, 10_000_000;
    /// Open WebSocket and other upgraded connections, over all platforms. Beyond it: `concurrency-limit`.
    upgraded_connections: Count = 10_000, 0, 10_000_000;
    /// The PROXY header and the TLS handshake together, from accept. Beyond it: `handshake-timeout`.
    handshake_deadline: Duration = 10 * S, 100 * MS, 120 * S;
    /// From the first byte of a request to the end of its head; for HTTP/2 also the preface and each header block. Beyond it: `head-timeout`.
    head_deadline: Duration = 10 * S, 100 * MS, 120 * S;
    /// A connection without a request under way. Beyond it: closed (`idle-timeout`).
    idle_timeout: Duration = 75 * S, S, 3600 * S;
    /// Least progress of a body, in either direction, averaged over `body_grace`. Beyond it: `body-too-slow`, `reader-too-slow`.
    body_min_rate: Throughput = 512, 1, 1024 * MIB;
    /// How long a body may fall behind its least rate before it is ended.
    body_grace: Duration = 10 * S, 100 * MS, 600 * S;
    /// Silence on a WebSocket or another upgraded connection, both directions together. Beyond it: closed.
    upgrade_idle_timeout: Duration = 300 * S, S, 86_400 * S;
    /// Request line and header fields of one request; for HTTP/2 the decoded list. Beyond it: `head-too-large`.
    head_bytes: Size = 32 * KIB, KIB, MIB;
    /// Header fields of one request. Beyond it: `too-many-headers`.
    header_count: Count = 100, 8, 1024;
    /// The request target. Beyond it: `uri-too-long`.
    uri_bytes: Size = 8 * KIB, 256, 512 * KIB;
    /// A request body, unless its route says otherwise. Beyond it: `body-too-large`.
    body_bytes: Size = 16 * MIB, 0, 1024 * 1024 * MIB;
    /// Extensions of one chunk of a chunked body. Beyond it: `bad-chunk`.
    chunk_extension_bytes: Size = 256, 0, 16 * KIB;
    /// Trailer fields of one chunked body. Beyond it: `bad-chunk`.
    trailer_bytes: Size = 8 * KIB, 0, 64 * KIB;
    /// The head of an upstream's response. Beyond it: `upstream-protocol`.
    response_head_bytes: Size = 64 * KIB, KIB, MIB;
    /// Bytes of a response that are held for one HTTP/2 stream while its client does not take them. HTTP/1.1 never holds more than 32 KiB for a request.
    h2_send_buffer: Size = 16 * KIB, 4 * KIB, MIB;
    /// Requests served on one connection before it is closed, so that a reload or a new node is noticed.
    requests_per_connection: Count = 100_000, 1, 1_000_000_000;
    /// HTTP/2 streams at once on one connection.
    h2_streams: Count = 100, 1, 1000;
    /// Streams that one HTTP/2 client may reset in 10 s. Beyond it: `http2-resets`.
    h2_resets: Count = 200, 1, 100_000;
    /// Streams that one HTTP/2 client may make us reset in 10 s. Beyond it: `http2-provoked-resets`.
    h2_provoked_resets: Count = 32, 1, 100_000;
    /// CONTINUATION frames in one header block. Beyond it: `http2-continuations`.
    h2_continuations: Count = 8, 0, 1000;
    /// PING frames in 10 s beyond one for each DATA frame that we sent. Beyond it: `http2-pings`.
    h2_pings: Count = 100, 1, 100_000;
    /// SETTINGS frames in 10 s. Beyond it: `http2-settings`.
    h2_settings: Count = 16, 1, 100_000;
    /// WINDOW_UPDATE frames in 10 s beyond one for each 256 bytes that we sent. Beyond it: `http2-window-updates`.
    h2_window_updates: Count = 2000, 1, 1_000_000;
    /// Frames that carry nothing (empty DATA without END_STREAM, empty HEADERS or CONTINUATION) in 10 s. Beyond it: `http2-empty-frames`.
    h2_empty_frames: Count = 100, 1, 100_000;
    /// PRIORITY, GOAWAY, PUSH_PROMISE, acknowledgements and unknown frames in 10 s. Beyond it: `http2-other-frames`.
    h2_other_frames: Count = 1000, 1, 1_000_000;
    /// A stream whose response waits for the client's window. Beyond it: `http2-stall`.
    h2_stall: Duration = 30 * S, 100 * MS, 600 * S;
    /// Keys (addresses, prefixes, sessions, API keys) that the rate table holds at once, over all rates. A new key displaces the oldest of its bucket.
    rate_keys: Count = 262_144, 1024, 16_777_216;
    /// What a browser may report at once. Beyond it: `body-too-large`.
    report_bytes: Size = 64 * KIB, KIB, MIB;
    /// Messages with browsers' reports that one network (/24 or /56) may send in a minute. What is beyond is answered and not read.
    reports_per_network: Count = 30, 1, 1_000_000;
    /// Messages with browsers' reports in a second, over all platforms. What is beyond is answered and not read.
    reports_per_second: Count = 100, 1, 1_000_000;
    /// The longest text of SQL that is judged. Beyond it: `statement-unreadable`.
    database_statement_bytes: Size = 256 * KIB, KIB, 8 * MIB;
    /// The names of a prepared statement and its portal together. Beyond it: `database-protocol`.
    database_name_bytes: Size = KIB, 128, 8 * KIB;
    /// The longest `Bind` whose values are looked at, where they decide how far a statement reaches. Beyond it: `statement-unreadable`.
    database_values_bytes: Size = 64 * KIB, KIB, 8 * MIB;
    /// Prepared statements and portals of one session of a database. Beyond it: `session-limit`.
    database_plans: Count = 10_000, 16, 1_000_000;
    /// Messages of one session that its database has not answered. Beyond it: `session-limit`.
    database_pipeline: Count = 100_000, 16, 10_000_000;
    /// Idle connections kept to one upstream by one worker.
    upstream_idle: Count = 128, 0, 100_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    /// The relations between limits that do not hold, in words; empty when all is well.
    #[must_use]
    pub fn check(&self) -> Vec<(&'static str, String)> {
        let mut broken = Vec::new();
        if self.uri_bytes >= self.head_bytes {
            broken.push(("uri_bytes", "must be less than `head_bytes`, which holds the target too".to_owned()));
        }
        if self.connections_per_address > self.connections {
            broken.push(("connections_per_address", "must not exceed `connections`".to_owned()));
        }
        if self.upgraded_connections > self.connections {
            broken.push(("upgraded_connections", "must not exceed `connections`".to_owned()));
        }
        broken
    }

    /// A limit in nanoseconds as a duration.
    #[must_use]
    pub const fn duration(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }
}

const _: () = {
    let limits = Limits::DEFAULT;
    assert!(limits.uri_bytes < limits.head_bytes);
    assert!(limits.connections_per_address <= limits.connections);
    assert!(limits.upgraded_connections <= limits.connections);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_satisfy_their_relations_and_fields_read_back() {
        assert!(Limits::DEFAULT.check().is_empty());
        let mut limits = Limits::DEFAULT;
        for bounds in Limits::ALL {
            assert_eq!((bounds.get)(&limits), bounds.default, "{}", bounds.name);
            (bounds.set)(&mut limits, bounds.min);
            assert_eq!((bounds.get)(&limits), bounds.min, "{}", bounds.name);
        }
        limits.uri_bytes = limits.head_bytes;
        assert_eq!(limits.check().len(), 1, "a target as long as the head that holds it");
    }
}
