//! Who goes first when a platform has less room than there are requests.
//!
//! In calm nothing here touches a request: every limit is open, and a [`Place`] only counts. Under stress
//! [`control::Controller`] sets limits from what the platform achieves; a request that finds no place waits in
//! [`queue::Queue`], where [`priority::Priority`] decides, or is sent to the [`room::Room`].

pub(crate) mod control;
pub(crate) mod flow;
pub(crate) mod priority;
pub(crate) mod queue;
pub(crate) mod room;
#[cfg(test)]
mod trial;
