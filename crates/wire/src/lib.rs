//! Hostile bytes to values: TLS ClientHello, PROXY protocol, HTTP/1.1, HTTP/2 frames, forwarding headers,
//! PostgreSQL messages, what browsers report, what authenticators sign, what OpenID providers say.
//!
//! Nothing here opens a socket, reads a clock or keeps state beyond one connection; every parser is bounded, takes any
//! split of its input, and never panics. Start at [`http`] for what a message looks like to the rest of the gate, at
//! [`h1`] for how HTTP/1.1 becomes one.

pub mod forwarded;
pub mod h1;
pub mod h2;
pub mod http;
pub mod oidc;
pub mod postgres;
pub mod proxy_protocol;
pub mod read;
pub mod recording;
pub mod report;
pub mod tls;
pub mod webauthn;
