//! Acts that take two people: what one proposes, another approves or refuses, or it is forgotten.
//!
//! It is kept in memory: an end of the gate forgets what nobody has answered. Nothing is done here; who may answer is decided here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_engine::Command;

pub(crate) use crate::desk::Decision;
use crate::model::{Line, NewConfiguration, Proposal, Role};
use crate::people::{Known, short_id};

/// Proposals that wait for their answer.
const OPEN: usize = 50;
/// For so long, in milliseconds.
const WAIT: u64 = 15 * 60_000;

/// Something that may take two people.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Command(Command),
    /// With the hash of the configuration as it was proposed.
    Reload([u8; 32]),
    Configure {
        new: NewConfiguration,
        /// How many lines come and go, in words.
        extent: String,
        /// For whoever approves it: what is secret is masked.
        diff: Vec<Line>,
    },
    Close {
        id: String,
        words: String,
    },
    Invite {
        name: String,
        role: Role,
    },
    Rank {
        name: String,
        role: Role,
    },
    Remove {
        name: String,
    },
    /// With what it comes to, in words.
    Statements(Decision, String),
}

impl Act {
    /// As `console.approvals` names it.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Command(Command::Undo(_)) => "undo",
            Self::Command(Command::Pin(_)) => "pin",
            Self::Command(Command::Posture { .. }) => "posture",
            Self::Command(Command::AddEvent { .. } | Command::CancelEvent { .. }) => "event",
            // Both put a configuration in force: who asks for two people for one has asked for the other.
            Self::Reload(_) | Self::Configure { .. } => "reload",
            Self::Close { .. } => "close",
            Self::Invite { .. } | Self::Rank { .. } | Self::Remove { .. } => "people",
            Self::Statements(..) => "statements",
        }
    }

    /// Whoever may do it alone elsewhere may approve it.
    const fn least(&self) -> Role {
        match self {
            Self::Command(_) | Self::Close { .. } | Self::Statements(..) => Role::Operator,
            Self::Reload(_)
            | Self::Configure { .. }
            | Self::Invite { .. }
            | Self::Rank { .. }
            | Self::Remove { .. } => Role::Owner,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Command(Command::Undo(rule)) => format!("take r-{} back", rule.0),
            Self::Command(Command::Pin(rule)) => format!("keep r-{} in force", rule.0),
            Self::Command(Command::Posture { platform, posture }) => {
                let whom = platform.as_deref().unwrap_or("every platform");
                match posture {
                    Some(posture) => format!("hold {whom} in {}", posture.name()),
                    None => format!("let the gate decide about {whom} again"),
                }
            }
            Self::Command(Command::AddEvent { name, .. }) => format!("announce {name}"),
            Self::Command(Command::CancelEvent { name }) => format!("take the announcement of {name} back"),
            Self::Reload(_) => "put the configuration in force as it is written now".to_owned(),
            Self::Configure { new, extent, .. } if new.why.is_empty() => format!("change the configuration: {extent}"),
            Self::Configure { new, extent, .. } => format!("change the configuration: {extent}; {}", new.why),
            Self::Close { id, .. } => format!("close the incident {id}"),
            Self::Invite { name, role } => format!("invite {name} as {}", role.name()),
            Self::Rank { name, role } => format!("make {name} {}", role.name()),
            Self::Remove { name } => format!("end the account of {name}"),
            Self::Statements(_, words) => words.clone(),
        }
    }
}

/// Why a proposal is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum No {
    /// There is none by that name, or not any more.
    Unknown,
    /// It takes somebody else, in person.
    Own,
    /// It takes a higher role.
    Role,
    /// There are as many as there can be.
    Many,
}

/// What waits for a second person.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    open: Mutex<Vec<Open>>,
}

#[derive(Debug)]
struct Open {
    proposal: Proposal,
    act: Act,
}

impl Proposals {
    pub(crate) fn propose(&self, act: Act, known: &Known, now: u64) -> Result<Proposal, No> {
        let mut open = self.open(now);
        if open.len() >= OPEN {
            return Err(No::Many);
        }
        let diff = if let Act::Configure { diff, .. } = &act { diff.clone() } else { Vec::new() };
        let proposal = Proposal {
            id: short_id(),
            act: act.kind().to_owned(),
            words: act.words(),
            by: known.name.clone(),
            person: known.person.clone(),
            least: act.least(),
            made: now,
            until: now + WAIT,
            diff,
        };
        open.push(Open { proposal: proposal.clone(), act });
        Ok(proposal)
    }

    /// All that wait, the oldest first.
    pub(crate) fn all(&self, now: u64) -> Vec<Proposal> {
        self.open(now).iter().map(|open| open.proposal.clone()).collect()
    }

    /// Takes out what another person approves. Whoever proposed it may have lost that right by now.
    pub(crate) fn approve(&self, id: &str, known: &Known, now: u64) -> Result<Approved, No> {
        let mut open = self.open(now);
        let at = open.iter().position(|it| it.proposal.id == id).ok_or(No::Unknown)?;
        let found = open.get(at).ok_or(No::Unknown)?;
        if known.role < found.act.least() {
            return Err(No::Role);
        }
        // A token is a program, and whoever made it is the same person.
        if known.csrf.is_none() || known.person == found.proposal.person {
            return Err(No::Own);
        }
        let Open { proposal, act } = open.remove(at);
        Ok(Approved { proposal, act })
    }

    /// Takes out what somebody refuses, or takes back.
    pub(crate) fn refuse(&self, id: &str, now: u64) -> Result<Proposal, No> {
        let mut open = self.open(now);
        let at = open.iter().position(|it| it.proposal.id == id).ok_or(No::Unknown)?;
        Ok(open.remove(at).proposal)
    }

    fn open(&self, now: u64) -> MutexGuard<'_, Vec<Open>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|it| it.proposal.until > now);
        open
    }
}

/// What two people want. Both must be what it takes by now.
#[derive(Debug)]
pub(crate) struct Approved {
    pub(crate) proposal: Proposal,
    pub(crate) act: Act,
}

#[cfg(test)]
mod tests {
    use portcullis_engine::RuleId;

    use super::*;

    const NOW: u64 = 1_790_000_000_000;

    fn known(person: &str, role: Role, token: bool) -> Known {
        let name = if token { format!("{person} (wall)") } else { person.to_owned() };
        let csrf = (!token).then(|| "word".to_owned());
        Known { name, person: person.to_owned(), role, csrf, scopes: Vec::new() }
    }

    fn undo() -> Act {
        Act::Command(Command::Undo(RuleId(81)))
    }

    #[test]
    fn every_kind_of_act_may_take_two() {
        let (name, id, words) = (String::new(), String::new(), String::new());
        let acts = [
            undo(),
            Act::Command(Command::Pin(RuleId(1))),
            Act::Command(Command::Posture { platform: None, posture: None }),
            Act::Command(Command::CancelEvent { name: name.clone() }),
            Act::Reload([0; 32]),
            Act::Close { id, words },
            Act::Remove { name: name.clone() },
            Act::Statements(
                Decision::Stage { database: name.clone(), role: name.clone(), stage: name.clone(), despite: false },
                name.clone(),
            ),
        ];
        assert_eq!(acts.map(|act| act.kind()), crate::APPROVALS);
    }

    #[test]
    fn it_takes_another_person() {
        let proposals = Proposals::default();
        let (ane, bo) = (known("Ane", Role::Operator, false), known("Bo", Role::Operator, false));
        for by in [&ane, &known("Ane", Role::Operator, true)] {
            let made = proposals.propose(undo(), by, NOW).expect("there is room");
            assert_eq!((made.act.as_str(), made.words.as_str(), &made.by), ("undo", "take r-81 back", &by.name));
            assert_eq!((made.person.as_str(), made.least), ("Ane", Role::Operator));
            for (who, why) in [
                (ane.clone(), No::Own),
                (known("Ane", Role::Owner, true), No::Own),
                (known("Bo", Role::Owner, true), No::Own),
                (known("Bo", Role::Viewer, false), No::Role),
            ] {
                assert_eq!(proposals.approve(&made.id, &who, NOW).expect_err("not this one"), why, "{who:?}");
            }
            let approved = proposals.approve(&made.id, &bo, NOW).expect("another");
            assert_eq!((approved.proposal.person.as_str(), approved.proposal.least), ("Ane", Role::Operator));
            assert_eq!(proposals.approve(&made.id, &bo, NOW).expect_err("once"), No::Unknown);
        }
        let made = proposals.propose(Act::Reload([0; 32]), &known("Ane", Role::Owner, false), NOW).expect("room");
        assert_eq!(proposals.approve(&made.id, &bo, NOW).expect_err("an operator"), No::Role);
    }

    #[test]
    fn it_is_forgotten_and_there_are_not_many() {
        let proposals = Proposals::default();
        let ane = known("Ane", Role::Operator, false);
        let first = proposals.propose(undo(), &ane, NOW).expect("there is room");
        (1..OPEN).for_each(|_| drop(proposals.propose(undo(), &ane, NOW + 1).expect("there is room")));
        assert_eq!(proposals.propose(undo(), &ane, NOW + 1).expect_err("full"), No::Many);
        assert_eq!(proposals.refuse(&first.id, NOW + WAIT).expect_err("forgotten"), No::Unknown);
        assert_eq!(proposals.all(NOW + WAIT).len(), OPEN - 1);
        let bo = known("Bo", Role::Operator, false);
        let second = proposals.all(NOW + WAIT).remove(0);
        assert!(proposals.approve(&second.id, &bo, NOW + WAIT).is_ok(), "a moment before its end");
        assert_eq!(proposals.all(NOW + WAIT + 1), []);
    }
}
