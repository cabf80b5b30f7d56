//! Why something was refused: one enum for the whole gate.

use std::fmt;

/// Whose fault a refusal or a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client broke a rule of the protocol or of the policy.
    Client,
    /// The platform behind the gate did not do its part.
    Upstream,
    /// The gate itself had no room, was told to stop, or failed.
    Gate,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:literal, $blame:ident, $hint:literal;)+) => {
        /// Every reason for which the gate refuses a connection or a request, or fails to carry it.
        ///
        /// The code is stable: logs, metrics and `portcullis explain` use it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// Every reason, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable name in logs and metrics.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status that a visitor gets; 0 where the connection is closed without one.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)+ }
            }

            /// What happened, for the operator, in one sentence.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii_start(),)+ }
            }

            /// What the operator can do about it, in one sentence.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)+ }
            }
        }
    };
}

reasons! {
    // The connection.
    /// The address is on a deny list.
    DeniedAddress = "denied-address", 403, Client, "Remove the address from the list named in the record, or set the list to observe.";
    /// The gate holds as many connections as `limits.connections` allows.
    TooManyConnections = "too-many-connections", 0, Gate, "Raise `limits.connections` if memory allows.";
    /// The address holds as many connections as `limits.connections_per_address` allows.
    TooManyConnectionsFromAddress = "too-many-connections-from-address", 0, Client, "Raise `limits.connections_per_address`, or trust the proxy in front so that its visitors are told apart.";
    /// The PROXY protocol header is missing or cannot be read.
    BadProxyHeader = "bad-proxy-header", 0, Client, "The sender must speak the PROXY protocol on this listener, or the listener must not ask for it.";
    /// The TLS handshake failed.
    TlsFailed = "tls-failed", 0, Client, "The record names the cause: no common version or cipher, no certificate for the name, or not TLS at all.";
    /// The TLS handshake was not complete within `limits.handshake_deadline`.
    HandshakeTimeout = "handshake-timeout", 0, Client, "Slow clients need a longer `limits.handshake_deadline`.";
    /// Nothing was sent on a connection within its idle time.
    IdleTimeout = "idle-timeout", 0, Client, "Ordinary: the connection was closed between requests.";
    /// The request head was not complete within `limits.head_deadline`.
    HeadTimeout = "head-timeout", 408, Client, "Slow clients need a longer `limits.head_deadline`.";
    /// The request body came slower than `limits.body_min_rate`.
    BodyTooSlow = "body-too-slow", 408, Client, "Lower `limits.body_min_rate` for very slow clients.";
    /// The client took the response slower than `limits.body_min_rate`.
    ReaderTooSlow = "reader-too-slow", 0, Client, "Lower `limits.body_min_rate` for very slow clients.";
    // The head.
    /// The request line or a header field is not HTTP/1.1 as RFC 9112 defines it.
    MalformedRequest = "malformed-request", 400, Client, "The record names the rule that was broken.";
    /// The message could be framed in two ways (RFC 9112 section 6.3): request smuggling.
    AmbiguousFraming = "ambiguous-framing", 400, Client, "No safe client sends this; the record names the rule that was broken.";
    /// The request names no host, more than one, or two that differ.
    BadHost = "bad-host", 400, Client, "Clients must send one `Host`, and it must equal the authority of an absolute target.";
    /// The request head is larger than `limits.head_bytes`.
    HeadTooLarge = "head-too-large", 431, Client, "Raise `limits.head_bytes` if the platform sets large cookies.";
    /// The request has more header fields than `limits.header_count`.
    TooManyHeaders = "too-many-headers", 431, Client, "Raise `limits.header_count`.";
    /// The request target is longer than `limits.uri_bytes`.
    UriTooLong = "uri-too-long", 414, Client, "Raise `limits.uri_bytes`.";
    /// The body is larger than `limits.body_bytes`, or than the route allows.
    BodyTooLarge = "body-too-large", 413, Client, "Raise `limits.body_bytes`, or `body_size` of the route.";
    /// The chunked encoding of the body is malformed, or its extensions or trailers exceed their bound.
    BadChunk = "bad-chunk", 400, Client, "The record names the rule that was broken.";
    /// The version or the method is not one that the gate carries (HTTP/1.0, 1.1, 2; no CONNECT without `:protocol`, no TRACE).
    NotSupported = "not-supported", 501, Client, "Nothing to do: the gate does not carry it.";
    /// `Expect` asks for something other than `100-continue`.
    ExpectationFailed = "expectation-failed", 417, Client, "Only `100-continue` exists.";
    // HTTP/2.
    /// HTTP/2 frames broke the protocol.
    Http2Protocol = "http2-protocol", 0, Client, "The record names the frame.";
    /// The client reset more streams than `limits.h2_resets` allows (rapid reset, CVE-2023-44487).
    Http2Resets = "http2-resets", 0, Client, "Raise `limits.h2_resets` if a legitimate client cancels a great deal.";
    /// The client made the gate reset more streams than `limits.h2_provoked_resets` allows (MadeYouReset, CVE-2025-8671).
    Http2ProvokedResets = "http2-provoked-resets", 0, Client, "Raise `limits.h2_provoked_resets` if a client is merely broken.";
    /// A header block used more CONTINUATION frames than `limits.h2_continuations` allows.
    Http2Continuations = "http2-continuations", 0, Client, "Raise `limits.h2_continuations`.";
    /// More PING frames than `limits.h2_pings` allows.
    Http2Pings = "http2-pings", 0, Client, "Raise `limits.h2_pings` if a client measures latency that often.";
    /// More SETTINGS frames than `limits.h2_settings` allows.
    Http2Settings = "http2-settings", 0, Client, "Raise `limits.h2_settings`.";
    /// More WINDOW_UPDATE frames for the data sent than `limits.h2_window_updates` allows.
    Http2WindowUpdates = "http2-window-updates", 0, Client, "Raise `limits.h2_window_updates`.";
    /// More frames that carry nothing than `limits.h2_empty_frames` allows.
    Http2EmptyFrames = "http2-empty-frames", 0, Client, "Raise `limits.h2_empty_frames`.";
    /// More PRIORITY or unknown frames than `limits.h2_other_frames` allows.
    Http2OtherFrames = "http2-other-frames", 0, Client, "Raise `limits.h2_other_frames`.";
    /// The client opened streams but kept its window shut for longer than `limits.h2_stall`.
    Http2Stall = "http2-stall", 0, Client, "Raise `limits.h2_stall` for clients that pause downloads.";
    // Admission, as the operator declares it.
    /// No platform has this host.
    UnknownHost = "unknown-host", 421, Client, "Add the host to a platform if it is yours.";
    /// The route does not take this method.
    MethodNotAllowed = "method-not-allowed", 405, Client, "Add the method to the route if it is needed.";
    /// The key sent more requests than its declared rate.
    RateLimited = "rate-limited", 429, Client, "Raise the rate, or set it to observe; the record names the rate and the key.";
    /// As many requests as declared are under way in this platform or class.
    ConcurrencyLimit = "concurrency-limit", 503, Gate, "Raise the concurrency, or find out why the platform is slow.";
    // Admission, as the brain orders it.
    /// The platform is at its limit and others had a better claim to wait.
    Overloaded = "overloaded", 503, Gate, "`portcullis status` shows the limits and what came; more capacity or fewer requests end it.";
    /// A rule that the gate made by itself refuses what looks like the attack.
    RuleRefused = "rule-refused", 429, Client, "`portcullis explain` tells the rule's reason; `portcullis rules undo` takes it back.";
    /// A rule that the gate made by itself closes the connections of what looks like the attack.
    RuleClosed = "rule-closed", 0, Client, "`portcullis explain` tells the rule's reason; `portcullis rules undo` takes it back.";
    // 429 and not 403 or 503: crawlers take 403 for a page that is gone for them and 503 for a site that is down, while 429 makes
    // them come back later and keeps caches from storing it; browsers show the body of each.
    /// The visitor must show that a browser and a person's patience stand behind it.
    Challenge = "challenge", 429, Client, "Ordinary during an attack: people pass it in about a second.";
    /// The platform is full and the visitor waits for its turn.
    WaitingRoom = "waiting-room", 503, Gate, "Ordinary while more people come than the platform can carry; the page tells how long.";
    // Inspection.
    /// What the request carries would be executed by an application that is not careful with it.
    AttackDetected = "attack-detected", 403, Client, "`portcullis explain` tells what was found and where; leave it out by `exclude` in `[waf]`, or set the route to observe.";
    /// A rule of the declared rule sets refuses the request.
    RuleMatched = "rule-matched", 403, Client, "`portcullis explain` tells the rules and what they matched; leave one out by `exclude` in `[waf]`, or set the route to observe.";
    /// A rule of the declared rule sets refuses what the platform answered.
    ResponseRuleMatched = "response-rule-matched", 502, Upstream, "`portcullis explain` tells the rules and what they matched: the answer holds what should not leave.";
    /// The message is longer than what is inspected, or its inspection took more steps than it may.
    NotInspected = "not-inspected", 413, Client, "Raise `inspect_body` or `steps` in `[waf]`, or let `beyond` or `fail` pass it.";
    // The database guard. PostgreSQL has no statuses; 0 stands for all of them.
    /// The statement is of a kind that is always refused unless it is granted.
    StatementForbidden = "statement-forbidden", 0, Client, "`portcullis explain` tells the kind; grant it to the role if the application needs it.";
    /// The statement is not among those that the role was seen to run and that were approved.
    StatementUnknown = "statement-unknown", 0, Client, "`portcullis explain` tells how it differs; approve it if the application has learned something new.";
    /// The statement is not SQL as PostgreSQL reads it, or it could not be read within its bounds.
    StatementUnreadable = "statement-unreadable", 0, Client, "The record tells why; what cannot be read cannot be judged.";
    /// The peer does not speak PostgreSQL's protocol, or speaks it in a way that could be read twice.
    DatabaseProtocol = "database-protocol", 0, Client, "The record names the rule that was broken; no ordinary driver breaks one.";
    /// A session of the database holds more at once than its limits allow.
    SessionLimit = "session-limit", 0, Client, "The record names the limit in `[limits]`.";
    /// More would leave the database than its budget allows.
    EgressBudget = "egress-budget", 0, Client, "`portcullis explain` tells whose budget it was; raise it if what left was meant to.";
    // What leaves.
    /// The answer holds more members' records than the visitor may have.
    DataBudget = "data-budget", 403, Client, "`portcullis explain` tells the budget; raise it in `[[platform.route.budget]]`, or declare the export.";
    /// The answer holds a record, an id or a key that was planted to be seen by nobody.
    CanarySeen = "canary-seen", 502, Gate, "An alarm of the highest class: somebody read what nobody should; `portcullis canary list` tells where it was planted.";
    /// The answer holds a secret, or what a program says when it fails.
    SecretSeen = "secret-seen", 502, Upstream, "`portcullis explain` tells what was found: the platform shows what it should keep.";
    /// The answer cannot be read, and its route declares that what cannot be read does not leave.
    UnreadData = "unread-data", 502, Upstream, "`portcullis explain` tells why; let `unread` pass it, or have the platform answer in gzip, br, zstd or plain.";
    /// Somebody asks for one id after the other.
    Enumeration = "enumeration", 429, Client, "`portcullis explain` tells how many ids and how they follow; set `enumeration` of the route to observe.";
    // Upstream.
    /// No upstream of the platform is healthy.
    NoUpstream = "no-upstream", 503, Upstream, "Look at the platform: every upstream failed its checks or was ejected.";
    /// No connection to the upstream could be made.
    UpstreamConnect = "upstream-connect", 502, Upstream, "Look whether the upstream runs, and whether its certificate verifies.";
    /// The upstream did not begin its response within the route's time.
    UpstreamTimeout = "upstream-timeout", 504, Upstream, "Raise `first_byte_timeout`, or find out why the platform is slow.";
    /// The upstream closed or reset the connection before its response was complete.
    UpstreamClosed = "upstream-closed", 502, Upstream, "Look at the upstream's own log.";
    /// The upstream's response is not HTTP, or exceeds a limit.
    UpstreamProtocol = "upstream-protocol", 502, Upstream, "The record names what was wrong.";
    /// The upstream stalled while it sent the body.
    UpstreamStalled = "upstream-stalled", 504, Upstream, "Raise the upstream's `idle_timeout`.";
    // The gate.
    /// The gate is draining and takes no new request on this connection.
    Draining = "draining", 503, Gate, "Ordinary at shutdown; another node or the new process serves.";
    /// A fault inside the gate ended this request.
    InternalFault = "internal-fault", 500, Gate, "Please report it: the log has the place of the panic.";
    /// The client went away before the response was complete.
    ClientClosed = "client-closed", 0, Client, "Ordinary: a visitor navigated away.";
}

impl Reason {
    /// A small dense number for tables of counters, below `Reason::ALL.len()`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason with that code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_every_reason_explains_itself() {
        for (position, reason) in Reason::ALL.iter().copied().enumerate() {
            assert_eq!(reason.index(), position);
            assert_eq!(Reason::from_code(reason.code()), Some(reason), "{} is not unique", reason.code());
            assert!(reason.description().ends_with('.') && reason.hint().ends_with('.'), "{reason}");
            assert!(matches!(reason.status(), 0 | 400..=599), "{reason}");
        }
    }
}
