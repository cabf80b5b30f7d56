//! PostgreSQL's own grammar (libpg_query), and the process that it runs in.
//!
//! It never runs in the process that carries connections: it is C, reads hostile bytes, and may crash. [`serve`] is the whole
//! life of the parser's process; [`describe`](describe()) is what it does with one text.
//!
//! Of libpg_query, `normalize` is never called: it wrote past its buffer on hostile text (GHSA-6ggm-xmc9-8ffg).

mod describe;
mod form;
mod functions;
mod serve;
mod settings;
mod tree;
mod walk;

pub use describe::describe;
pub use serve::serve;
