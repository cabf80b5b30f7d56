//! The testkit: real processes, sockets and files around one `portcullis` binary, as a visitor and an operator meet it.
//!
//! It never links a crate of the data plane: what is proven here is proven of the binary. Every process is started by
//! the test that needs it, ended by its process id when dropped, and leaves its output in `target/suite/NAME/`.
//!
//! Start at [`Plan`], which writes a configuration and starts a [`Gate`]; [`Origin`] is what stands behind it,
//! [`Wire`] what speaks to it byte by byte.

mod axe;
mod browser;
mod bystander;
mod certs;
mod client;
pub mod corpus;
pub mod frames;
mod gate;
mod h2origin;
mod journal;
mod metrics;
mod misbehaving;
mod netns;
mod nginx;
mod origin;
pub mod packing;
mod place;
mod ports;
pub mod postgres;
mod process;
mod python;
mod tools;

pub use axe::Axe;
pub use browser::{Accessible, Browser, assert_accessible};
pub use bystander::{Bystander, Calm, Tally};
pub use certs::{Authority, Leaf};
pub use client::{Broken, Response, Wire, digest, eventually, pattern};
pub use gate::{Gate, HOST, Plan};
pub use h2origin::H2Origin;
pub use journal::Journal;
pub use metrics::Metrics;
pub use misbehaving::misbehaving;
pub use netns::Namespace;
pub use nginx::Nginx;
pub use origin::{Answer, Next, Origin, Seen, respond};
pub use place::{figure, place, root};
pub use ports::{free_address, free_port};
pub use process::{Output, Running, run};
pub use python::Python;
pub use tools::{have, missing, strict};
