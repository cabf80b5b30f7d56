//! What is seen of requests, in fixed memory.

pub(crate) mod harvest;
pub(crate) mod sight;
