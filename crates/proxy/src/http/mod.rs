//! The data plane for HTTP: two protocols towards clients, two towards platforms, and one life of a request between.
//!
//! Start at [`request`], which is that life on one screen.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod challenge;
pub(crate) mod desk;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod identity;
pub(crate) mod inspect;
pub(crate) mod leaving;
pub(crate) mod metered;
pub(crate) mod outflow;
pub(crate) mod pace;
pub(crate) mod passing;
pub(crate) mod reports;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod rules;
pub(crate) mod scripts;
pub(crate) mod sight;
pub(crate) mod splice;
pub(crate) mod upstream;
