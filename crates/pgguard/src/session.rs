//! One session between an application and the server: messages in, what to do with them out.
//!
//! Never judges a statement: it says which text is in question and waits for the [`Verdict`](crate::policy::Verdict).
