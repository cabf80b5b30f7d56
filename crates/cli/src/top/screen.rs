//! What the screen shows and which key does what; it knows no terminal and no clock.

use std::collections::VecDeque;

use http::Method;
use portcullis_control::model::{Happening, Measure, Now, Platform};
use ratatui::crossterm::event::KeyCode;
use serde_json::json;

use super::wire::Update;

/// Happenings that are kept: more than any terminal is high.
const KEPT: usize = 200;
/// Something comes each second; what is older than this is old.
const FRESH: u64 = 4_000;

/// Everything that is shown.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) now: Option<Box<Now>>,
    /// When that came, by this machine's clock, in Unix milliseconds.
    pub(super) heard: u64,
    /// Why the stream broke, until it goes on.
    pub(super) lost: Option<String>,
    pub(super) lately: VecDeque<Happening>,
    /// The row that is chosen: platforms, each with its measures behind it.
    pub(super) chosen: usize,
    pub(super) mode: Mode,
    /// What came of the last thing that was asked for.
    pub(super) said: Option<String>,
    pub(super) left: bool,
}

/// What keys mean at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Look,
    Help,
    /// A posture is being chosen for a platform: which of [`STANCES`].
    Stance(String, usize),
    /// Something waits for a yes.
    Sure(Deed),
}

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// A rule, and what it held so far.
    Undo(String, u64),
    /// A rule, and what becomes of a match.
    Pin(String, String),
    /// A platform, and one of [`STANCES`].
    Hold(String, usize),
}

/// Where a platform can be held, and what that means for people.
pub(super) const STANCES: [(&str, &str); 6] = [
    ("auto", "The gate decides again, from the next second on."),
    ("normal", "Nothing is held by a rule there, whatever comes, until somebody lets the gate decide again."),
    ("elevated", "Learning stops and everything is looked at; nobody is held by that alone."),
    (
        "attack",
        "Rules are in force there until somebody lets the gate decide again; ordinary visitors should not notice.",
    ),
    ("overload", "The least urgent wait, then strangers, until somebody lets the gate decide again. No rule is made."),
    ("recovery", "Rules are relaxed step by step."),
];

/// A row that can be chosen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    Platform(&'a Platform),
    Measure(&'a Platform, &'a Measure),
}

impl Deed {
    /// What it will do, before it does.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Undo(rule, matched) => format!(
                "Undo {rule}? What it holds comes through at once: {} requests so far. Nothing like it is proposed for an hour.",
                portcullis_incident::spaced(*matched)
            ),
            Self::Pin(rule, action) => format!(
                "Pin {rule}? It stays in force (`{action}`), whatever the gate thinks of it, until somebody undoes it."
            ),
            Self::Hold(platform, stance) => {
                let (name, means) = STANCES[*stance];
                if name == "auto" {
                    format!("Let the gate decide about {platform}? {means}")
                } else {
                    format!("Hold {platform} in {name}? {means}")
                }
            }
        }
    }

    /// As the console is asked for it.
    pub(super) fn asked(&self) -> (Method, String, Option<String>) {
        match self {
            Self::Undo(rule, _) => (Method::POST, format!("/api/v1/measures/{rule}/undo"), None),
            Self::Pin(rule, _) => (Method::POST, format!("/api/v1/measures/{rule}/pin"), None),
            Self::Hold(platform, stance) => (
                Method::PUT,
                format!("/api/v1/platforms/{platform}/posture"),
                Some(json!({ "posture": STANCES[*stance].0 }).to_string()),
            ),
        }
    }
}

impl Screen {
    /// Takes what the console told.
    pub(super) fn take(&mut self, update: Update, now: u64) {
        match update {
            Update::Now(stands) => {
                // What is chosen stays chosen, though rows come and go.
                let name = self.row().map(|row| row.name());
                self.now = Some(stands);
                (self.heard, self.lost) = (now, None);
                let rows = self.rows();
                let again = name.and_then(|name| rows.iter().position(|row| row.name() == name));
                self.chosen = again.unwrap_or_else(|| self.chosen.min(rows.len().saturating_sub(1)));
            }
            Update::Happened(happening) => {
                self.lately.push_front(happening);
                self.lately.truncate(KEPT);
            }
            Update::Said(words) => self.said = Some(words),
            Update::Lost(why) => self.lost = Some(why),
        }
    }

    /// For how many seconds nothing was heard, where that is too long; what is shown is old then.
    pub(super) fn old(&self, now: u64) -> Option<u64> {
        let silent = now.saturating_sub(self.heard);
        (self.now.is_some() && (silent > FRESH || self.lost.is_some())).then_some(silent / 1_000)
    }

    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let platforms = self.now.iter().flat_map(|now| &now.platforms);
        platforms
            .flat_map(|platform| {
                let measures = platform.measures.iter().map(move |measure| Row::Measure(platform, measure));
                std::iter::once(Row::Platform(platform)).chain(measures)
            })
            .collect()
    }

    fn row(&self) -> Option<Row<'_>> {
        self.rows().get(self.chosen).copied()
    }

    /// What a key does. What is asked of the console is returned once somebody has said yes to it.
    pub(super) fn press(&mut self, key: KeyCode) -> Option<Deed> {
        match (std::mem::take(&mut self.mode), key) {
            (Mode::Sure(deed), KeyCode::Char('y' | 'Y')) => {
                self.said = Some("Asking …".to_owned());
                return Some(deed);
            }
            // Anything else is no.
            (Mode::Sure(_), _) => self.said = Some("Nothing was done.".to_owned()),
            (Mode::Stance(platform, at), KeyCode::Up | KeyCode::Left) => {
                self.mode = Mode::Stance(platform, at.saturating_sub(1));
            }
            (Mode::Stance(platform, at), KeyCode::Down | KeyCode::Right) => {
                self.mode = Mode::Stance(platform, (at + 1).min(STANCES.len() - 1));
            }
            (Mode::Stance(platform, at), KeyCode::Enter) => self.mode = Mode::Sure(Deed::Hold(platform, at)),
            (Mode::Help | Mode::Stance(..), _) => {}
            (Mode::Look, key) => self.look(key),
        }
        None
    }

    fn look(&mut self, key: KeyCode) {
        self.said = None;
        match key {
            KeyCode::Up => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Down => self.chosen = (self.chosen + 1).min(self.rows().len().saturating_sub(1)),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = self.rows().len().saturating_sub(1),
            KeyCode::Char('u') => self.rule(|it| Deed::Undo(it.id.clone(), it.matched)),
            KeyCode::Char('p') => self.rule(|it| Deed::Pin(it.id.clone(), it.action.clone())),
            KeyCode::Char('h') => match self.row() {
                Some(Row::Platform(platform) | Row::Measure(platform, _)) => {
                    let at = STANCES.iter().position(|(name, _)| *name == platform.posture).filter(|_| !platform.held);
                    self.mode = Mode::Stance(platform.name.clone(), at.unwrap_or_default());
                }
                None => self.said = Some("There is no platform.".to_owned()),
            },
            KeyCode::Char('?') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('q') => self.left = true,
            _ => {}
        }
    }

    fn rule(&mut self, deed: impl FnOnce(&Measure) -> Deed) {
        let deed = match self.row() {
            Some(Row::Measure(_, measure)) if measure.kind == "rule" => Ok(deed(measure)),
            Some(Row::Measure(_, measure)) => Err(format!("{} is no rule: it follows the posture (h).", measure.id)),
            _ => Err("Choose a rule first, with the arrows.".to_owned()),
        };
        match deed {
            Ok(deed) => self.mode = Mode::Sure(deed),
            Err(why) => self.said = Some(why),
        }
    }
}

impl Row<'_> {
    fn name(&self) -> String {
        match self {
            Self::Platform(platform) => format!("platform {}", platform.name),
            Self::Measure(_, measure) => measure.id.clone(),
        }
    }
}

#[cfg(test)]
pub(in crate::top) mod tests {
    use super::*;

    pub(in crate::top) fn measure(id: &str, kind: &str, matched: u64) -> Measure {
        Measure {
            id: id.to_owned(),
            kind: kind.to_owned(),
            phase: "enforced".to_owned(),
            action: "challenge".to_owned(),
            share: 100,
            pattern: "no cookie, HTTP/1.1, /search".to_owned(),
            matched,
            undo: true,
            ..Measure::default()
        }
    }

    fn screen(rules: &[&str]) -> Screen {
        let mut screen = Screen::default();
        screen.take(Update::Now(now(rules)), 0);
        screen
    }

    fn now(rules: &[&str]) -> Box<Now> {
        let measures = rules.iter().map(|id| measure(id, if id.starts_with("r-") { "rule" } else { "room" }, 1_234));
        let public = Platform {
            name: "public".to_owned(),
            posture: "attack".to_owned(),
            measures: measures.collect(),
            ..Platform::default()
        };
        Box::new(Now { platforms: vec![public], ..Now::default() })
    }

    #[test]
    fn every_posture_can_be_held() {
        let names = portcullis_engine::Posture::ALL.map(|posture| posture.name());
        assert_eq!(STANCES.map(|(name, _)| name)[1..], names);
    }

    #[test]
    fn nothing_is_done_without_a_yes() {
        type Case<'a> = (&'a str, &'a [KeyCode], Option<Deed>);
        let key = KeyCode::Char;
        let table: [Case<'_>; 10] = [
            ("undo, yes", &[KeyCode::Down, key('u'), key('y')], Some(Deed::Undo("r-1".to_owned(), 1_234))),
            ("undo, no", &[KeyCode::Down, key('u'), key('n'), key('y')], None),
            ("undo, anything", &[KeyCode::Down, key('u'), KeyCode::Enter, key('y')], None),
            (
                "pin, yes",
                &[KeyCode::Down, key('p'), key('y')],
                Some(Deed::Pin("r-1".to_owned(), "challenge".to_owned())),
            ),
            ("undo a platform", &[key('u'), key('y')], None),
            ("undo the waiting room", &[KeyCode::End, key('u'), key('y')], None),
            ("hold", &[key('h'), KeyCode::Down, KeyCode::Enter, key('y')], Some(Deed::Hold("public".to_owned(), 4))),
            (
                "let go",
                &[key('h'), KeyCode::Up, KeyCode::Up, KeyCode::Up, KeyCode::Enter, key('y')],
                Some(Deed::Hold("public".to_owned(), 0)),
            ),
            ("hold, and away", &[key('h'), KeyCode::Esc, key('y')], None),
            ("help is help", &[key('?'), key('u'), key('y')], None),
        ];
        for (case, keys, expected) in table {
            let mut screen = screen(&["r-1", "room/public"]);
            let done: Vec<Deed> = keys.iter().filter_map(|key| screen.press(*key)).collect();
            assert_eq!(done, expected.into_iter().collect::<Vec<_>>(), "{case}: {:?}", screen.said);
        }
    }

    #[test]
    fn what_is_chosen_stays_chosen_while_rules_come_and_go() {
        let mut screen = screen(&["r-1", "r-2"]);
        screen.press(KeyCode::End);
        screen.take(Update::Now(now(&["r-9", "r-1", "r-2"])), 1);
        assert_eq!(screen.row().map(|row| row.name()), Some("r-2".to_owned()));
        screen.take(Update::Now(now(&[])), 2);
        assert_eq!(screen.row().map(|row| row.name()), Some("platform public".to_owned()));
    }

    #[test]
    fn a_deed_waits_for_the_rule_that_it_was_about() {
        let mut screen = screen(&["r-1", "r-2"]);
        screen.press(KeyCode::End);
        screen.press(KeyCode::Char('u'));
        screen.take(Update::Now(now(&["r-7", "r-8"])), 1);
        assert_eq!(screen.press(KeyCode::Char('y')), Some(Deed::Undo("r-2".to_owned(), 1_234)));
    }

    #[test]
    fn what_is_old_is_known_to_be() {
        let mut screen = screen(&[]);
        assert_eq!((screen.old(3_000), screen.old(9_000)), (None, Some(9)));
        screen.take(Update::Lost("broken".to_owned()), 1_000);
        assert_eq!(screen.old(1_000), Some(1), "what broke is old at once");
        screen.take(Update::Now(now(&[])), 10_000);
        assert_eq!(screen.old(10_500), None);
    }
}
