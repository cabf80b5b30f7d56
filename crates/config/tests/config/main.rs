//! The configuration as its readers meet it: a whole file in, a policy or problems out.

mod cases;
mod example;
mod guide;
mod properties;
mod world;
