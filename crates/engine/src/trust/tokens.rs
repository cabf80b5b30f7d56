//! What the rest of the engine asks of tokens. Start here: [`Tokens::read`] is what each request costs.
//!
//! Everything is stateless but what was spent, in fixed memory. It never reads a clock: `wall` is unix milliseconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::Trust;
use super::binding::Binding;
use super::challenge::Step;
use super::puzzle;
use super::spent::{GENERATION, Spent};
use super::token::{self, Keys, Kind, TEXT, Token, TokenText};
use crate::senses::sight::Sight;

/// What a token that a visitor carries says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vouch {
    /// [`Trust::History`] or [`Trust::Passed`].
    pub trust: Trust,
    /// Whom the budget is charged to.
    pub id: u64,
    /// The unix day on which the visitor was first seen; 0 for [`Trust::Passed`].
    pub first_day: u32,
    /// The step that was passed, for [`Trust::Passed`].
    pub step: Option<Step>,
    /// Whether it was issued long enough ago to be worth a new one.
    pub renew: bool,
}

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Unix milliseconds: when it was taken.
    pub arrived: u64,
    /// Its own number.
    pub id: u64,
}

/// Why an answer to a puzzle is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PuzzleError {
    /// Not a puzzle of ours, or another visitor's, or too old.
    NotOurs,
    /// Not written as an answer is.
    Malformed,
    /// What it names is no solution.
    Wrong,
    /// It was used before.
    Spent,
}

/// Why the manual way does not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManualError {
    /// Not a ticket of ours, or another visitor's, or too old.
    NotOurs,
    /// Its turn is still to come.
    Early(Duration),
    /// It was used before.
    Spent,
}

/// The least that the manual way takes, in milliseconds. A program can wait, too: what it cannot do is to pass often.
const MANUAL_LEAST: u64 = 20_000;
/// The most that it takes, however many there are: beyond this, admission control carries the load.
const MANUAL_MOST: u64 = 300_000;
/// One ticket lets through in so many milliseconds, on average. It is counted when it lets through and not when it is
/// given out: tickets that nobody comes back with make nobody wait.
const MANUAL_SPACING: u64 = 100;
/// So much may be let through at once, in milliseconds of spacing: 100 tickets.
const MANUAL_BURST: u64 = 100 * MANUAL_SPACING;
/// Who is not let through although it is time asks again after so many milliseconds, and up to as many more.
const MANUAL_AGAIN: u64 = 5_000;

// Whoever holds a ticket has ten minutes from its turn on; and what is used once must not outlive the memory of it.
const _: () =
    assert!(Kind::Manual.lifetime() * 1_000 >= MANUAL_MOST + 600_000 && Kind::Manual.lifetime() <= GENERATION);
const _: () = assert!(Kind::Puzzle.lifetime() <= GENERATION);

/// Makes and reads tokens.
#[derive(Debug)]
pub struct Tokens {
    keys: Keys,
    binding: SipHasher13,
    made: AtomicU64,
    spent: Spent,
    /// Unix milliseconds: until when the manual way would be busy, if tickets were let through evenly.
    manual: AtomicU64,
}

impl Tokens {
    /// `master` must come from the system's randomness, and be kept where tokens are to survive a restart.
    #[must_use]
    pub fn new(master: [u8; 32]) -> Self {
        let keys = Keys::new(master);
        let binding = SipHasher13::new_with_keys(keys.number(0, 0), keys.number(1, 0));
        Self { keys, binding, made: AtomicU64::new(0), spent: Spent::new(), manual: AtomicU64::new(0) }
    }

    /// Memory of what was spent; it never changes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.spent.bytes()
    }

    /// A new random number for a token.
    #[must_use]
    pub fn fresh_id(&self, wall: u64) -> u64 {
        self.keys.number(self.made.fetch_add(1, Ordering::Relaxed), wall).max(1)
    }

    /// What a token that is given to the sender of that request holds on to.
    #[must_use]
    pub fn binding(&self, sight: &Sight<'_>) -> Binding {
        Binding::of(self.binding, sight)
    }

    /// Who vouches for the bearer of that cookie; nobody, when it is anything but a token of ours in its time. Most tokens
    /// are histories, which are bound to nothing.
    #[must_use]
    pub fn read(&self, cookie: &[u8], binding: impl FnOnce() -> Binding, wall: u64) -> Option<Vouch> {
        let token = self.keys.read_vouch(cookie, binding, wall)?;
        let Token { class, id, .. } = token;
        Some(if matches!(token.kind, Kind::History) {
            let first_day = u32::try_from(token.since).ok()?;
            let renew = wall / 1000 >= u64::from(token.issued) + 86_400;
            Vouch { trust: Trust::History, id, first_day, step: None, renew }
        } else {
            Vouch { trust: Trust::Passed, id, first_day: 0, step: Step::of(class), renew: false }
        })
    }

    /// An ordinary visitor since `first_day` (unix days), who came on about `tenure` days.
    #[must_use]
    pub fn history(&self, first_day: u32, tenure: u8, id: u64, wall: u64) -> TokenText {
        self.write(Kind::History, tenure, u64::from(first_day), id, None, wall)
    }

    /// Passed that step just now.
    #[must_use]
    pub fn passed(&self, step: Step, binding: Binding, id: u64, wall: u64) -> TokenText {
        self.write(Kind::Passed, step as u8, 0, id, Some(binding), wall)
    }

    /// A place in the waiting room, held since `arrived` (unix milliseconds).
    #[must_use]
    pub fn ticket(&self, arrived: u64, id: u64, wall: u64) -> TokenText {
        self.write(Kind::Room, 0, arrived, id, None, wall)
    }

    /// The place that this ticket holds.
    #[must_use]
    pub fn read_ticket(&self, text: &[u8], wall: u64) -> Option<Ticket> {
        let token = self.keys.read(text, Kind::Room, None, wall)?;
        Some(Ticket { arrived: token.since, id: token.id })
    }

    /// Something to bring back.
    #[must_use]
    pub fn echo(&self, binding: Binding, wall: u64) -> TokenText {
        self.write(Kind::Echo, 0, 0, self.fresh_id(wall), Some(binding), wall)
    }

    /// Whether it came back.
    #[must_use]
    pub fn check_echo(&self, text: &[u8], binding: Binding, wall: u64) -> bool {
        self.keys.read(text, Kind::Echo, Some(binding), wall).is_some()
    }

    /// A puzzle to solve: its text is also what the graphs are made of.
    #[must_use]
    pub fn puzzle(&self, binding: Binding, wall: u64) -> TokenText {
        self.write(Kind::Puzzle, 0, 0, self.fresh_id(wall), Some(binding), wall)
    }

    /// Whether that answer solves a puzzle of ours that nobody has solved yet.
    ///
    /// A wrong answer costs 2 microseconds at most: first the MAC, then whether it was used, then the form, then edge by
    /// edge until the first wrong one. One that solves some of the graphs costs more, once: its puzzle is used up.
    ///
    /// # Errors
    /// With what is wrong; the visitor is not told.
    pub fn check_puzzle(&self, answer: &[u8], binding: Binding, wall: u64) -> Result<(), PuzzleError> {
        if answer.len() > puzzle::ANSWER {
            return Err(PuzzleError::Malformed);
        }
        let (text, rest) = answer.split_at_checked(TEXT).ok_or(PuzzleError::Malformed)?;
        let token = self.keys.read(text, Kind::Puzzle, Some(binding), wall).ok_or(PuzzleError::NotOurs)?;
        if self.spent.is_spent(token.id) {
            return Err(PuzzleError::Spent);
        }
        let cycles = rest.strip_prefix(b".").ok_or(PuzzleError::Malformed)?;
        if let Err((error, solved)) = puzzle::check(&token::mac_of(text).ok_or(PuzzleError::Malformed)?, cycles) {
            if solved > 0 {
                // Half right takes us longer than all wrong: it is looked at once.
                self.spent.spend(token.id, wall / 1000);
            }
            return Err(error);
        }
        if self.spent.spend(token.id, wall / 1000) { Ok(()) } else { Err(PuzzleError::Spent) }
    }

    /// How long the manual way is likely to take.
    #[must_use]
    pub fn manual_wait(&self, wall: u64) -> Duration {
        let busy = self.manual.load(Ordering::Relaxed) + MANUAL_SPACING > wall.saturating_add(MANUAL_BURST);
        Duration::from_millis(if busy { MANUAL_MOST } else { MANUAL_LEAST })
    }

    /// A ticket of the manual way.
    #[must_use]
    pub fn manual(&self, binding: Binding, wall: u64) -> TokenText {
        let turn = wall.saturating_add(MANUAL_LEAST);
        self.write(Kind::Manual, 0, turn, self.fresh_id(wall), Some(binding), wall)
    }

    /// Whether that ticket's turn has come. It lets through once.
    ///
    /// # Errors
    /// With how long it takes still, or that it is none.
    pub fn check_manual(&self, text: &[u8], binding: Binding, wall: u64) -> Result<(), ManualError> {
        let token = self.keys.read(text, Kind::Manual, Some(binding), wall).ok_or(ManualError::NotOurs)?;
        if wall < token.since {
            return Err(ManualError::Early(Duration::from_millis(token.since - wall)));
        }
        if self.spent.is_spent(token.id) {
            return Err(ManualError::Spent);
        }
        if wall < token.since + (MANUAL_MOST - MANUAL_LEAST) && !self.let_through(wall) {
            return Err(ManualError::Early(Duration::from_millis(MANUAL_AGAIN + token.id % MANUAL_AGAIN)));
        }
        if self.spent.spend(token.id, wall / 1000) { Ok(()) } else { Err(ManualError::Spent) }
    }

    /// Takes one place among those whom the manual way lets through, if there is one.
    fn let_through(&self, wall: u64) -> bool {
        let next = |busy: u64| {
            let busy = busy.max(wall) + MANUAL_SPACING;
            (busy <= wall + MANUAL_BURST).then_some(busy)
        };
        self.manual.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    fn write(&self, kind: Kind, class: u8, since: u64, id: u64, binding: Option<Binding>, wall: u64) -> TokenText {
        let issued = u32::try_from(wall / 1000).unwrap_or(u32::MAX);
        self.keys.write(&Token { kind, class, issued, since, id }, binding)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::trust::solve_puzzle;

    /// 22 November 2026, a little before four.
    const WALL: u64 = 1_795_319_000_000;
    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    fn binding(tls: u8, agent: u8) -> Binding {
        TOKENS.binding(&Sight { tls: Some(&[tls]), agent: Some(&[b'A' + agent]), ..Sight::default() })
    }

    fn tokens() -> Tokens {
        Tokens::new(*b"0123456789abcdef0123456789ABCDEF")
    }

    /// For tests that spend nothing.
    static TOKENS: LazyLock<Tokens> = LazyLock::new(tokens);

    /// Solving takes half a second without optimisation: once for all tests.
    static SOLVED: LazyLock<String> = LazyLock::new(|| {
        let puzzle = tokens().puzzle(binding(1, 2), WALL);
        solve_puzzle(puzzle.as_str()).expect("solvable")
    });

    #[test]
    fn a_token_says_what_was_written() {
        let tokens = tokens();
        let history = tokens.history(20_700, 3, 99, WALL);
        let vouch = Vouch { trust: Trust::History, id: 99, first_day: 20_700, step: None, renew: false };
        assert_eq!(tokens.read(history.as_ref(), || binding(1, 2), WALL), Some(vouch));
        assert_eq!(tokens.read(history.as_ref(), || binding(8, 9), WALL), Some(vouch), "people change their browser");
        assert_eq!(tokens.read(history.as_ref(), || binding(1, 2), WALL + DAY), Some(Vouch { renew: true, ..vouch }));
        let passed = tokens.passed(Step::Manual, binding(1, 2), 98, WALL);
        let vouch = Vouch { trust: Trust::Passed, id: 98, first_day: 0, step: Some(Step::Manual), renew: false };
        assert_eq!(tokens.read(passed.as_ref(), || binding(1, 2), WALL), Some(vouch));
        assert_eq!(tokens.read(passed.as_ref(), || binding(1, 3), WALL), None);
        assert_eq!(tokens.read(passed.as_ref(), || binding(2, 2), WALL), None);
        let ticket = tokens.ticket(WALL - 5_000, 97, WALL);
        assert_eq!(tokens.read_ticket(ticket.as_ref(), WALL), Some(Ticket { arrived: WALL - 5_000, id: 97 }));
    }

    #[test]
    fn each_kind_is_good_for_its_time_and_for_nothing_else() {
        let tokens = tokens();
        let who = binding(1, 2);
        let history = |text: &TokenText, wall| {
            tokens.read(text.as_ref(), || who, wall).is_some_and(|vouch| vouch.trust == Trust::History)
        };
        let passed = |text: &TokenText, wall| {
            tokens.read(text.as_ref(), || who, wall).is_some_and(|vouch| vouch.trust == Trust::Passed)
        };
        let room = |text: &TokenText, wall| tokens.read_ticket(text.as_ref(), wall).is_some();
        let echo = |text: &TokenText, wall| tokens.check_echo(text.as_ref(), who, wall);
        let puzzle =
            |text: &TokenText, wall| tokens.check_puzzle(text.as_ref(), who, wall) != Err(PuzzleError::NotOurs);
        let manual =
            |text: &TokenText, wall| tokens.check_manual(text.as_ref(), who, wall) != Err(ManualError::NotOurs);
        type Read<'a> = &'a dyn Fn(&TokenText, u64) -> bool;
        let kinds: [(TokenText, Read<'_>, u64); 6] = [
            (tokens.history(20_700, 0, 1, WALL), &history, 45 * DAY),
            (tokens.passed(Step::Echo, who, 2, WALL), &passed, HOUR),
            (tokens.ticket(WALL, 3, WALL), &room, 6 * HOUR),
            (tokens.echo(who, WALL), &echo, 120_000),
            (tokens.puzzle(who, WALL), &puzzle, 600_000),
            (tokens.manual(who, WALL), &manual, 900_000),
        ];
        for (position, (text, read, life)) in kinds.iter().enumerate() {
            assert!(read(text, WALL) && read(text, WALL + life - 1_000), "{position}");
            assert!(!read(text, WALL + life), "{position}: too old");
            assert!(!read(text, WALL - 60_000), "{position}: from the future");
            assert!(read(text, WALL - 10_000), "{position}: another node's clock is a little ahead");
            for (other, (_, read, _)) in kinds.iter().enumerate() {
                assert_eq!(read(text, WALL), other == position, "{position} read as {other}");
            }
        }
    }

    #[test]
    fn another_master_means_other_tokens() {
        let text = tokens().history(20_700, 0, 1, WALL);
        assert_eq!(Tokens::new(*b"0123456789abcdef0123456789ABCDEG").read(text.as_ref(), || binding(1, 2), WALL), None);
        assert_eq!(Tokens::new(*b"1123456789abcdef0123456789ABCDEF").read(text.as_ref(), || binding(1, 2), WALL), None);
    }

    #[test]
    fn numbers_do_not_repeat() {
        let tokens = tokens();
        let numbers: std::collections::BTreeSet<u64> = (0..10_000).map(|_| tokens.fresh_id(WALL)).collect();
        assert_eq!(numbers.len(), 10_000);
    }

    #[test]
    fn a_solved_puzzle_passes_once_and_only_its_own_visitor() {
        let tokens = tokens();
        let answer = SOLVED.as_bytes();
        assert_eq!(tokens.check_puzzle(answer, binding(1, 3), WALL), Err(PuzzleError::NotOurs));
        assert_eq!(tokens.check_puzzle(answer, binding(1, 2), WALL + 600_000), Err(PuzzleError::NotOurs), "too old");
        assert_eq!(tokens.check_puzzle(answer, binding(1, 2), WALL), Ok(()));
        assert_eq!(tokens.check_puzzle(answer, binding(1, 2), WALL), Err(PuzzleError::Spent));
        assert!(answer.len() <= puzzle::ANSWER);
    }

    #[test]
    fn an_answer_must_be_whole_and_in_order() {
        let refused = |answer: &str| tokens().check_puzzle(answer.as_bytes(), binding(1, 2), WALL);
        let parts: Vec<&str> = SOLVED.split('.').collect();
        let [puzzle, first, second, third, fourth] = parts[..] else { panic!("four cycles: {}", *SOLVED) };
        assert_eq!(refused(&SOLVED), Ok(()));
        for (wrong, why) in [
            (format!("{puzzle}.{first}.{second}.{third}"), PuzzleError::Malformed),
            (format!("{puzzle}.{first}.{second}.{third}.{fourth}."), PuzzleError::Malformed),
            (format!("{puzzle}.{first}.{second}.{third}.{fourth}.{fourth}"), PuzzleError::Malformed),
            (format!("{puzzle}.{first}.{first}.{third}.{fourth}"), PuzzleError::Malformed),
            (format!("{puzzle}.{second}.{first}.{third}.{fourth}"), PuzzleError::Malformed),
            (format!("{puzzle}.{first}.{second}.{third}.{}", &fourth[..fourth.len() - 1]), PuzzleError::Malformed),
            (format!("{puzzle}.{first}.{second}.{third}.//{}", &fourth[2..]), PuzzleError::Malformed),
            (format!("{puzzle}.{first}.{second}.{third}.__{}", &fourth[2..]), PuzzleError::Wrong),
            (format!("{puzzle}.{first}.{second}.{third}.{}", &fourth[..fourth.len() - 6]), PuzzleError::Wrong),
            (format!("{puzzle}{first}"), PuzzleError::Malformed),
            (puzzle.to_owned(), PuzzleError::Malformed),
            (String::new(), PuzzleError::Malformed),
            ("A".repeat(5_000), PuzzleError::Malformed),
        ] {
            // The shortest cycle, six characters less, is too short rather than wrong.
            let refusal = refused(&wrong).expect_err("refused");
            assert!(
                refusal == why || fourth.len() <= 2 + 36 && refusal == PuzzleError::Malformed,
                "{wrong}: {refusal:?}"
            );
        }
    }

    #[test]
    fn who_is_wrong_after_being_right_may_not_try_again() {
        let (tokens, who) = (tokens(), binding(1, 2));
        let (right, last) = SOLVED.rsplit_once('.').expect("several cycles");
        let (puzzle, _) = right.split_once('.').expect("a puzzle");
        let nonsense = format!("{puzzle}.{last}x");
        for _ in 0..2 {
            assert_eq!(tokens.check_puzzle(nonsense.as_bytes(), who, WALL), Err(PuzzleError::Malformed), "cheap");
        }
        assert_eq!(tokens.check_puzzle(right.as_bytes(), who, WALL), Err(PuzzleError::Malformed));
        assert_eq!(tokens.check_puzzle(right.as_bytes(), who, WALL), Err(PuzzleError::Spent));
        assert_eq!(tokens.check_puzzle(SOLVED.as_bytes(), who, WALL), Err(PuzzleError::Spent));
    }

    #[test]
    fn the_manual_way_takes_a_while_and_lets_through_once() {
        let tokens = tokens();
        let who = binding(1, 2);
        let ticket = tokens.manual(who, WALL);
        assert_eq!(tokens.manual_wait(WALL), Duration::from_secs(20));
        let check = |wall| tokens.check_manual(ticket.as_ref(), who, wall);
        assert_eq!(check(WALL + 5_000), Err(ManualError::Early(Duration::from_secs(15))));
        assert_eq!(tokens.check_manual(ticket.as_ref(), binding(3, 3), WALL + 20_000), Err(ManualError::NotOurs));
        assert_eq!(check(WALL + 20_000), Ok(()));
        assert_eq!(check(WALL + 20_000), Err(ManualError::Spent));
    }

    #[test]
    fn who_only_takes_tickets_makes_nobody_wait() {
        let (tokens, who) = (tokens(), binding(1, 2));
        let tickets: Vec<TokenText> = (0..5_000).map(|_| tokens.manual(who, WALL)).collect();
        assert_eq!(tokens.manual_wait(WALL), Duration::from_secs(20));
        assert_eq!(tokens.check_manual(tickets[4_999].as_ref(), who, WALL + 20_000), Ok(()));
    }

    #[test]
    fn ten_a_second_are_let_through_and_nobody_waits_beyond_five_minutes() {
        let (tokens, who) = (tokens(), binding(1, 2));
        let mut tickets: Vec<TokenText> = (0..6_000).map(|_| tokens.manual(who, WALL)).collect();
        let mut through = |wall: u64| {
            let before = tickets.len();
            tickets.retain(|ticket| match tokens.check_manual(ticket.as_ref(), who, wall) {
                Ok(()) => false,
                Err(ManualError::Early(again)) => {
                    assert!((5_000..10_000).contains(&again.as_millis()), "{again:?}");
                    true
                }
                Err(other) => panic!("{other:?}"),
            });
            before - tickets.len()
        };
        assert_eq!(through(WALL + 20_000), 100, "at once");
        assert_eq!(through(WALL + 20_000), 0);
        assert_eq!(through(WALL + 30_000), 100, "ten seconds later");
        assert_eq!(tokens.manual_wait(WALL + 30_000), Duration::from_secs(300));
        assert_eq!(through(WALL + 299_999), 100);
        assert_eq!(through(WALL + 300_000), 5_700, "all who waited for five minutes");
    }

    proptest! {
        #[test]
        fn one_changed_bit_makes_a_token_worthless(byte in 0..TEXT, bit in 0..8u8, id: u64, kind in 0..6usize) {
            let (tokens, who) = (&*TOKENS, binding(1, 2));
            let text = [
                tokens.history(20_700, 1, id, WALL),
                tokens.passed(Step::Puzzle, who, id, WALL),
                tokens.ticket(WALL, id, WALL),
                tokens.echo(who, WALL),
                tokens.puzzle(who, WALL),
                tokens.manual(who, WALL),
            ][kind];
            let mut forged = text.as_ref().to_vec();
            forged[byte] ^= 1 << bit;
            prop_assert!(worthless(tokens, &forged, who));
            for short in 0..TEXT {
                prop_assert!(worthless(tokens, &text.as_ref()[..short], who));
            }
        }

        #[test]
        fn nothing_that_somebody_makes_up_is_a_token(bytes: Vec<u8>, text in "[A-Za-z0-9_-]{54}([.][A-Za-z0-9_-]{2,128}){0,5}") {
            let (tokens, who) = (&*TOKENS, binding(1, 2));
            prop_assert!(worthless(tokens, &bytes, who));
            prop_assert!(worthless(tokens, text.as_bytes(), who));
        }

        #[test]
        fn an_answer_with_one_changed_letter_is_refused(at: prop::sample::Index, by in 1..64u32) {
            let mut answer = SOLVED.clone().into_bytes();
            let at = at.index(answer.len());
            if let Some(value) = token::value(answer[at]) {
                answer[at] = token::character(u32::from(value) + by);
                prop_assert!(tokens().check_puzzle(&answer, binding(1, 2), WALL).is_err());
            }
        }
    }

    fn worthless(tokens: &Tokens, text: &[u8], who: Binding) -> bool {
        tokens.read(text, || who, WALL).is_none()
            && tokens.read_ticket(text, WALL).is_none()
            && !tokens.check_echo(text, who, WALL)
            && tokens.check_puzzle(text, who, WALL).is_err()
            && tokens.check_manual(text, who, WALL + 25_000) == Err(ManualError::NotOurs)
    }
}
