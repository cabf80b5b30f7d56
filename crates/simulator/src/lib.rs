//! A seeded world around the real engine, and access logs played through it.
//!
//! It never reads a clock nor the system's randomness: the same seed gives the same log on any machine.

pub mod replay;
