//! `ModSecurity`'s rule language: text to directives ([`parse`]), directives to rules ([`resolve`]), rules to a program
//! ([`compile()`]), a program over a transaction ([`Transaction`]).

mod about;
pub mod ast;
mod check;
mod classes;
mod collections;
mod compile;
pub mod diagnostic;
pub mod parse;
mod places;
mod pool;
mod prefilter;
mod program;
pub mod resolve;
mod run;

pub use about::{Family, LeftOut, Meant, Stood, target};
pub use collections::Collections;
pub use compile::{compile, compile_with};
pub use pool::Pool;
pub use program::{Program, Settings};
pub use run::{Bounds, Clock, Intervention, MATCHED_TARGETS, Match, Peer, Transaction};
