//! `ModSecurity`'s rule language: text to directives ([`parse`]), directives to a program, a program over a transaction.

pub mod ast;
pub mod diagnostic;
pub mod parse;
pub mod resolve;
