//! What the shell is told about a request, and what it holds meanwhile.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::Tick;
use smallvec::SmallVec;

use crate::admission::flow::{Flow, Place};
use crate::brain::orders::RuleId;
use crate::node::Permit;
use crate::refusal::Refusal;
use crate::senses::sight::Seen;
use crate::trust::{Step, TokenText};

/// What becomes of a request.
#[derive(Debug)]
pub enum Ruling {
    /// It may go to the platform.
    Admitted(Admitted),
    /// It is in the queue: [`Shard::claim`](crate::Shard::claim) when [`Shard::called`](crate::Shard::called) names its
    /// ticket, or after a while.
    Waiting(Waiting),
    /// A navigation must pass a challenge first.
    Challenge(Challenge),
    /// A navigation is sent to the waiting room.
    Room(RoomPlace),
    /// It is refused, and where the second is true its connection ends.
    Refused(Refusal, bool),
}

/// More than two measures in observe mode that would refuse the same request cost an allocation.
pub(crate) type Observed = SmallVec<[Refusal; 2]>;

/// Proof that a request was admitted. Only a [`Shard`](crate::Shard) makes one; it holds its places until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives its place to another request"]
pub struct Admitted {
    pub(crate) place: Option<Place>,
    pub(crate) _permits: [Option<Permit>; 2],
    pub(crate) seen: Seen,
    pub(crate) held: Held,
}

/// What goes with a request, whether it waits or not.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) observed: Observed,
    pub(crate) grant: Option<Grant>,
    /// The place under the concurrency of whoever is vouched for.
    pub(crate) _vouched: Option<Permit>,
}

impl Admitted {
    /// What measures in observe mode would have refused.
    #[must_use]
    pub fn observed(&self) -> &[Refusal] {
        &self.held.observed
    }

    /// Its client has still to send its body, and may be slow to: until then it is no work of the platform's.
    pub fn waits_for_client(&self) {
        if let Some(place) = &self.place {
            place.pause();
        }
    }

    /// The platform has all of it.
    pub fn has_arrived(&self) {
        if let Some(place) = &self.place {
            place.resume();
        }
    }

    /// The platform has begun to answer: its place is another request's from now on, because a client that reads slowly is
    /// no work of the platform's. The declared concurrency holds until it is dropped.
    pub fn answered(&mut self) {
        self.place = None;
    }

    /// What is remembered of the request, for its account.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// What the visitor has earned by it.
    #[must_use]
    pub const fn grant(&self) -> Option<Grant> {
        self.held.grant
    }
}

/// A request that waits for its turn.
#[derive(Debug)]
#[must_use = "give it to `Shard::claim` or `Shard::leave`"]
pub struct Waiting {
    pub(crate) ticket: u64,
    pub(crate) flow: Arc<Flow>,
    pub(crate) since: Tick,
    pub(crate) wall: u64,
    /// Nothing once it was told what became of it.
    pub(crate) held: Option<Held>,
    pub(crate) seen: Seen,
}

impl Waiting {
    /// What [`Shard::called`](crate::Shard::called) calls.
    #[must_use]
    pub const fn ticket(&self) -> u64 {
        self.ticket
    }

    /// What is remembered of the request.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// What a request that waited is told.
#[derive(Debug)]
pub enum Claim {
    /// It may go.
    Go(Admitted),
    /// Not yet.
    Stay,
    /// Its time is over: refused, or sent to the waiting room.
    Give(Ruling),
}

/// A challenge that a navigation must pass.
#[derive(Debug, Clone, Copy)]
pub struct Challenge {
    /// Which step of the ladder comes next. The way without a puzzle is offered beside it.
    pub step: Step,
    /// What is remembered of the request.
    pub seen: Seen,
    /// The rule that asks for it.
    pub rule: Option<RuleId>,
}

/// A place in the waiting room.
#[derive(Debug, Clone, Copy)]
pub struct RoomPlace {
    /// Unix milliseconds of arrival; the ticket carries them, so that nobody loses a place by asking again.
    pub arrived: u64,
    /// Tickets before this one, as far as is known.
    pub ahead: u32,
    /// How long it is likely to take.
    pub wait: Duration,
    /// What is remembered of the request.
    pub seen: Seen,
}

/// A token that the visitor has earned, to be set as its cookie.
#[derive(Debug, Clone, Copy)]
pub struct Grant(pub(crate) TokenText);

impl Grant {
    /// The cookie's value.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.0.as_ref()
    }
}
