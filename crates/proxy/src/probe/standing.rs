//! How the families stand: what was found of each when it was asked last, and since when.

use portcullis_types::Reason;
use serde_json::{Value, json};

use super::{By, Told};

/// How one family stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It was not asked yet.
    Unknown,
    /// It is found, and refused.
    Fires,
    /// It is found, and refused by nobody, as declared.
    Notes,
    /// It is found, and not refused, though it should be: an alarm.
    Passes,
    /// It is not found: an alarm.
    Silent,
    /// It could not be asked: an alarm.
    Unreachable,
    /// There is no probe for such rules.
    Unprobed,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "not-probed-yet",
            Self::Fires => "fires",
            Self::Notes => "notes",
            Self::Passes => "passes",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Unprobed => "no-probe",
        }
    }

    /// Whether somebody should hear of it.
    pub(crate) const fn is_alarm(self) -> bool {
        matches!(self, Self::Passes | Self::Silent | Self::Unreachable)
    }
}

/// What is to come of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) place: (usize, usize),
    pub(crate) by: By,
    /// Empty: that any rule runs.
    pub(crate) family: String,
    /// It is to be refused.
    pub(crate) acts: bool,
    /// Found alone is enough.
    pub(crate) weak: bool,
}

/// What came of it, and why.
pub(crate) fn judge(expected: &Expected, told: Option<&Told>, answer: &Result<u16, String>) -> (State, String) {
    let told = match (told, answer) {
        (Some(told), Ok(_)) => told,
        (_, Err(why)) => return (State::Unreachable, why.clone()),
        (None, Ok(status)) => {
            return (State::Unreachable, format!("it was answered with {status} before it was looked at"));
        }
    };
    if told.place != expected.place {
        return (State::Unreachable, "it arrived on another route".to_owned());
    }
    let inspects =
        |reason: &&Reason| matches!(reason, Reason::AttackDetected | Reason::RuleMatched | Reason::ResponseRuleMatched);
    if let Some(other) = told.refused.iter().find(|reason| !inspects(reason)) {
        return (State::Unreachable, format!("it was refused as {other}"));
    }
    let rules = expected.by == By::Rules;
    if rules && !told.rules_active {
        return (State::Silent, "the rules are switched off by what they say themselves".to_owned());
    }
    if expected.family.is_empty() {
        return (State::Fires, String::new());
    }
    if !told.found.iter().any(|(by, family)| *by == expected.by && *family == expected.family) {
        return (State::Silent, "an attack of this kind is not found".to_owned());
    }
    let own = |reason: &&Reason| rules == (**reason != Reason::AttackDetected);
    if told.refused.iter().any(|reason| own(&reason)) {
        return (State::Fires, String::new());
    }
    let observed = told.observed.iter().any(|reason| own(&reason));
    match (expected.acts, rules) {
        (false, _) => (State::Notes, "observed, as declared".to_owned()),
        (true, true) if !told.rules_act => {
            (State::Passes, "the rule files say DetectionOnly, so that nothing is refused".to_owned())
        }
        (true, _) if observed => (State::Passes, "it is only observed".to_owned()),
        (true, true) => (State::Notes, "its score alone stays below the threshold".to_owned()),
        (true, false) if expected.weak => (State::Notes, "refused together with other findings only".to_owned()),
        (true, false) => (State::Passes, "its score stays below what is refused".to_owned()),
    }
}

/// One family of one route, or of several that are inspected alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) platform: String,
    pub(crate) route: String,
    /// How many routes are inspected just so.
    pub(crate) routes: usize,
    pub(crate) by: By,
    pub(crate) family: String,
    pub(crate) state: State,
    pub(crate) why: String,
    /// Unix milliseconds; 0 before it was asked.
    pub(crate) since: u64,
}

/// A line that has become an alarm, or has ceased to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alarm {
    pub(crate) line: Line,
    pub(crate) raised: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) lines: Vec<Line>,
    /// Unix milliseconds of the end of the last round.
    pub(crate) probed: Option<u64>,
    /// Rounds that have come to their end.
    pub(crate) rounds: u64,
    /// Probes sent.
    pub(crate) asked: u64,
}

impl Standing {
    /// Another policy: what it has in common with the one before stands as it stood.
    pub(crate) fn plan(&mut self, mut lines: Vec<Line>) {
        for line in &mut lines {
            let same = |known: &&Line| {
                let key = |line: &Line| (line.platform.clone(), line.route.clone(), line.by, line.family.clone());
                key(known) == key(line)
            };
            if let Some(known) = self.lines.iter().find(same).filter(|known| known.state.is_alarm()) {
                (line.state, line.since) = (known.state, known.since);
                line.why.clone_from(&known.why);
            }
        }
        self.lines = lines;
        self.probed = None;
    }

    /// Takes note of an answer.
    pub(crate) fn note(&mut self, at: usize, (state, why): (State, String), now: u64) -> Option<Alarm> {
        self.asked += 1;
        let line = self.lines.get_mut(at)?;
        let before = line.state;
        if before != state {
            line.since = now;
        }
        (line.state, line.why) = (state, why);
        let raised = state.is_alarm();
        (raised != before.is_alarm()).then(|| Alarm { line: line.clone(), raised })
    }

    /// How many are alarms.
    pub(crate) fn alarms(&self) -> usize {
        self.lines.iter().filter(|line| line.state.is_alarm()).count()
    }

    /// For `status`.
    pub(crate) fn value(&self) -> Value {
        let lines = self.lines.iter().map(|line| {
            json!({
                "platform": line.platform,
                "route": line.route,
                "routes": line.routes,
                "by": line.by.name(),
                "family": line.family,
                "state": line.state.name(),
                "alarm": line.state.is_alarm(),
                "since": Some(line.since).filter(|since| *since > 0),
                "why": line.why,
            })
        });
        json!({"probed": self.probed, "rounds": self.rounds, "alarms": self.alarms(), "families": lines.collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(by: By, acts: bool) -> Expected {
        Expected { place: (0, 1), by, family: "sql".to_owned(), acts, weak: false }
    }

    #[test]
    fn what_came_of_a_probe_is_judged_by_what_was_declared() {
        let told = |found: &[By], refused: &[Reason], observed: &[Reason], act: bool| Told {
            place: (0, 1),
            found: found.iter().map(|by| (*by, "sql".to_owned())).collect(),
            refused: refused.to_vec(),
            observed: observed.to_vec(),
            rules_active: true,
            rules_act: act,
        };
        use By::{Detection, Rules};
        use Reason::{AttackDetected, MethodNotAllowed, RuleMatched};
        let table = [
            (Detection, true, told(&[Detection], &[AttackDetected], &[], true), State::Fires),
            (Detection, true, told(&[Rules], &[RuleMatched], &[], true), State::Silent),
            (Detection, true, told(&[Detection], &[RuleMatched], &[], true), State::Passes),
            (Detection, false, told(&[Detection], &[], &[AttackDetected], true), State::Notes),
            (Detection, false, told(&[], &[], &[], true), State::Silent),
            (Rules, true, told(&[Detection, Rules], &[AttackDetected, RuleMatched], &[], true), State::Fires),
            (Rules, true, told(&[Detection, Rules], &[AttackDetected], &[], true), State::Notes),
            (Rules, true, told(&[Rules], &[], &[RuleMatched], false), State::Passes),
            (Rules, false, told(&[Rules], &[], &[RuleMatched], false), State::Notes),
            (Rules, true, told(&[Rules], &[MethodNotAllowed], &[], true), State::Unreachable),
        ];
        for (by, acts, told, state) in table {
            let (judged, why) = judge(&expected(by, acts), Some(&told), &Ok(403));
            assert_eq!(judged, state, "{by:?} {acts} {told:?}: {why}");
        }
        let elsewhere = Told { place: (0, 0), ..told(&[Detection], &[AttackDetected], &[], true) };
        let off = Told { rules_active: false, ..told(&[], &[], &[], false) };
        assert_eq!(judge(&expected(Detection, true), Some(&elsewhere), &Ok(403)).0, State::Unreachable);
        assert_eq!(judge(&expected(Rules, true), Some(&off), &Ok(404)).0, State::Silent);
        assert_eq!(judge(&expected(Rules, true), None, &Ok(400)).0, State::Unreachable);
        assert_eq!(judge(&expected(Rules, true), None, &Err("refused".to_owned())).0, State::Unreachable);
    }

    #[test]
    fn an_alarm_is_raised_once_and_taken_back_once() {
        let line = Line {
            platform: "p".to_owned(),
            route: "/**".to_owned(),
            routes: 1,
            by: By::Detection,
            family: "sql".to_owned(),
            state: State::Unknown,
            why: String::new(),
            since: 0,
        };
        let mut standing = Standing::default();
        standing.plan(vec![line.clone()]);
        let silent = || (State::Silent, "why".to_owned());
        assert!(standing.note(0, (State::Fires, String::new()), 1).is_none());
        assert!(standing.note(0, silent(), 2).is_some_and(|alarm| alarm.raised));
        assert!(standing.note(0, silent(), 3).is_none());
        assert_eq!((standing.lines[0].since, standing.alarms()), (2, 1));
        standing.plan(vec![line]);
        assert_eq!(standing.alarms(), 1, "a reload alone mends nothing");
        assert!(standing.note(0, (State::Fires, String::new()), 4).is_some_and(|alarm| !alarm.raised));
    }
}
