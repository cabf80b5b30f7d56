//! Challenges and the waiting room, between the engine that asks for them and the pages that say so.
//!
//! A navigation that is asked to pass gets the page of its step in the place of the page that it asked for, so that
//! whatever the visitor does next, a reload, a bookmark or the way back, leads there. The proof comes back in a cookie:
//! what the step has left there is checked when the same page is asked for again, and exchanged for a token. Four paths
//! under `/.portcullis/` are for that (`reports` has a fifth); none of them reaches a platform. Nothing is remembered here.

use std::time::Duration;

use bytes::Bytes;
use portcullis_engine::{Binding, ManualError, Step, Tokens};
use portcullis_types::Reference;
use portcullis_wire::http::{Fields, Name, RequestHead, ResponseHead};

use super::account::Account;
use super::answer::{Answer, OWN_PAGE};
use super::body::Body;
use super::response::Cleared;
use crate::challenge::{self, Sheet};

/// The token of a known visitor, or of one that passed.
pub(crate) const TOKEN: &[u8] = b"portcullis";
/// The place in the waiting room.
pub(crate) const PLACE: &[u8] = b"portcullis_place";
/// What a step without script has left: something to bring back, or a place in the queue of the manual way.
const STEP: &[u8] = b"portcullis_step";
/// What the script has left: the solved puzzle.
const ANSWER: &[u8] = b"portcullis_answer";

/// Where the gate's own paths begin.
const OURS: &[u8] = b"/.portcullis/";
/// A page that was asked for by a longer address is not remembered; its front page is opened.
const TARGET_BYTES: usize = 2048;

/// Of the request, what matters here.
pub(crate) struct Caller<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) tokens: &'a Tokens,
    /// [`Tokens::binding`] of what the request says of itself.
    pub(crate) binding: Binding,
    /// Whether cookies may be confined to HTTPS.
    pub(crate) secure: bool,
    pub(crate) reference: Reference,
    /// Unix milliseconds.
    pub(crate) wall: u64,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The step that was passed with this request: the engine wants to know.
    pub(crate) passed: Option<Step>,
    sheet: Option<Sheet>,
    location: Option<String>,
    cookies: Vec<String>,
}

/// Whether the gate answers that path itself.
pub(crate) fn is_ours(path: &[u8]) -> bool {
    path.starts_with(OURS)
}

/// The gate's own paths. They are for navigations; nothing here depends on the method.
pub(crate) fn own(caller: &Caller<'_>) -> Option<Reply> {
    let to = wanted(caller.head.target());
    match caller.head.path().get(OURS.len()..)? {
        // From the page of the echo. If a cookie came along, the page that was asked for will look at it.
        b"return" if cookie(&caller.head.fields, STEP).is_none() => {
            Some(Reply::page(403, challenge::cookies(caller.reference, &to)))
        }
        b"return" => Some(Reply::see(to)),
        b"manual" => {
            Some(Reply::page(503, challenge::manual(caller.reference, &to, caller.tokens.manual_wait(caller.wall))))
        }
        b"ticket" => {
            let ticket = caller.tokens.manual(caller.binding, caller.wall);
            Some(Reply::see(to).with(caller.cookie(STEP, ticket.as_str(), 900)))
        }
        _ => None,
    }
}

/// A navigation that must pass `asked` first: the page of that step, or the token of somebody who has passed it now.
pub(crate) fn challenge(caller: &Caller<'_>, asked: Step) -> Reply {
    let target = printable(caller.head.target());
    let fields = &caller.head.fields;
    let answered = cookie(fields, ANSWER)
        .is_some_and(|answer| caller.tokens.check_puzzle(answer, caller.binding, caller.wall).is_ok());
    if answered {
        return caller.passed(Step::Puzzle, target);
    }
    let left = cookie(fields, STEP);
    if let Some(left) = left {
        match caller.tokens.check_manual(left, caller.binding, caller.wall) {
            Ok(()) => return caller.passed(Step::Manual, target),
            Err(ManualError::Early(wait)) => return Reply::page(503, challenge::wait(caller.reference, &target, wait)),
            Err(ManualError::NotOurs | ManualError::Spent) => {}
        }
        if asked == Step::Echo && caller.tokens.check_echo(left, caller.binding, caller.wall) {
            return caller.passed(Step::Echo, target);
        }
    }
    let wait = caller.tokens.manual_wait(caller.wall);
    match asked {
        Step::Echo => {
            let echo = caller.tokens.echo(caller.binding, caller.wall);
            let sheet = challenge::echo(caller.reference, &target, left.is_some());
            Reply::page(503, sheet).with(caller.cookie(STEP, echo.as_str(), 120))
        }
        Step::Puzzle => {
            let puzzle = caller.tokens.puzzle(caller.binding, caller.wall);
            let attributes = caller.attributes(600);
            let sheet = challenge::puzzle(caller.reference, &target, puzzle.as_str(), &attributes, wait);
            Reply::page(503, sheet)
        }
        Step::Manual => Reply::page(503, challenge::manual(caller.reference, &target, wait)),
    }
}

/// A navigation that waits until the platform has room. `arrived` is when it came first, in unix milliseconds.
pub(crate) fn room(caller: &Caller<'_>, arrived: u64, ahead: u32, wait: Duration) -> Reply {
    let target = printable(caller.head.target());
    let sheet = challenge::room(caller.reference, &target, ahead, wait);
    let ticket = caller.tokens.ticket(arrived, caller.tokens.fresh_id(caller.wall), caller.wall);
    Reply::page(503, sheet).with(caller.cookie(PLACE, ticket.as_str(), 21_600))
}

/// The cookie of a token that a visitor has earned.
pub(crate) fn token_cookie(token: &str, secure: bool, seconds: u64) -> String {
    written(TOKEN, token, secure, seconds)
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(fields: &'a Fields, name: &[u8]) -> Option<&'a [u8]> {
    fields.all(Name::Cookie).flat_map(|value| value.split(|byte| *byte == b';')).find_map(|pair| {
        let pair = portcullis_wire::http::trim(pair);
        pair.strip_prefix(name)?.strip_prefix(b"=")
    })
}

/// The response.
pub(crate) fn answer(account: &Account, reply: Reply) -> Answer {
    let Reply { status, sheet, location, cookies, .. } = reply;
    let mut head = ResponseHead { status, fields: Fields::default() };
    let fields = &mut head.fields;
    let policy = sheet.as_ref().map_or("default-src 'none'", |sheet| sheet.policy);
    let again = sheet.as_ref().and_then(|sheet| sheet.again);
    fields.push(b"content-type", b"text/html; charset=utf-8");
    fields.push(b"cache-control", b"no-store");
    fields.push(b"content-security-policy", policy.as_bytes());
    fields.push(b"referrer-policy", b"same-origin");
    fields.push(b"x-content-type-options", b"nosniff");
    fields.push(b"x-portcullis-ref", &account.reference.word());
    for cookie in &cookies {
        fields.push(b"set-cookie", cookie.as_bytes());
    }
    if let Some(location) = location {
        fields.push(b"location", location.as_bytes());
    }
    if let Some(seconds) = again {
        fields.push(b"retry-after", seconds.to_string().as_bytes());
    }
    let body = Body::Full(sheet.map_or_else(Bytes::new, |sheet| Bytes::from(sheet.body)));
    let cleared = Cleared { head, body, upgrade: None, eye: None };
    Answer { cleared, held: None, upgrade: None, idle: OWN_PAGE, keeps_connection: true, ends_connection: false }
}

impl Caller<'_> {
    /// A token instead of the page: with it the same page is asked for again.
    fn passed(&self, step: Step, target: String) -> Reply {
        let token = self.tokens.passed(step, self.binding, self.tokens.fresh_id(self.wall), self.wall);
        let reply = Reply { passed: Some(step), ..Reply::see(target) };
        reply.with(self.cookie(TOKEN, token.as_str(), 3600)).with(self.cookie(STEP, "", 0)).with(written(
            ANSWER,
            "",
            self.secure,
            0,
        ))
    }

    fn cookie(&self, name: &[u8], value: &str, seconds: u64) -> String {
        written(name, value, self.secure, seconds)
    }

    /// For the script's cookie.
    fn attributes(&self, seconds: u64) -> String {
        format!("; Path=/; Max-Age={seconds}; SameSite=Lax{}", if self.secure { "; Secure" } else { "" })
    }
}

fn written(name: &[u8], value: &str, secure: bool, seconds: u64) -> String {
    let (name, secure) = (String::from_utf8_lossy(name), if secure { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

impl Reply {
    fn page(status: u16, sheet: Sheet) -> Self {
        Self { status, passed: None, sheet: Some(sheet), location: None, cookies: Vec::new() }
    }

    fn see(target: String) -> Self {
        Self { status: 303, passed: None, sheet: None, location: Some(target), cookies: Vec::new() }
    }

    fn with(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }
}

/// The page that `to` in the query names: a path on this site and nothing else, or the front page.
fn wanted(target: &[u8]) -> String {
    let query = target.split(|byte| *byte == b'?').nth(1).unwrap_or_default();
    let to = query.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(b"to=")).unwrap_or_default();
    let mut bytes = Vec::with_capacity(to.len());
    let mut rest = to;
    while let [first, behind @ ..] = rest {
        let (byte, behind) = match (first, behind) {
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, behind),
                _ => return "/".to_owned(),
            },
            // As forms write a space.
            (b'+', behind) => (b' ', behind),
            (byte, behind) => (*byte, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    printable(&bytes)
}

fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A target as it may stand in `Location`: on this site, and of characters that are what they look like.
fn printable(target: &[u8]) -> String {
    // Browsers take `//host` and `/\host` for another site.
    if target.first() != Some(&b'/') || matches!(target.get(1), Some(b'/' | b'\\')) || is_ours(target) {
        return "/".to_owned();
    }
    let mut text = String::with_capacity(target.len());
    for byte in target {
        match byte {
            b'!'..=b'~' if !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                text.push(char::from(*byte));
            }
            // A control character never comes in a target; in `to` it may be meant to end a header field.
            0..=0x1F | 0x7F => return "/".to_owned(),
            byte => {
                let digits = b"0123456789ABCDEF";
                text.push('%');
                text.push(char::from(digits[usize::from(byte >> 4)]));
                text.push(char::from(digits[usize::from(byte & 15)]));
            }
        }
    }
    if text.len() > TARGET_BYTES { "/".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use portcullis_engine::{Sight, solve_puzzle};

    use super::*;

    const WALL: u64 = 1_795_319_000_000;

    /// A browser that keeps cookies, without the network between.
    struct Visitor {
        tokens: Tokens,
        agent: &'static [u8],
        cookies: Vec<(String, String)>,
        wall: u64,
    }

    impl Visitor {
        fn new() -> Self {
            Self { tokens: Tokens::new([7; 32]), agent: b"Browser", cookies: Vec::new(), wall: WALL }
        }

        fn ask(&mut self, target: &str, answer: impl Fn(&Caller<'_>) -> Reply) -> Reply {
            let mut head = RequestHead::default();
            head.set_line(b"GET", target.as_bytes());
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head.fields.push(b"cookie", pairs.join("; ").as_bytes());
            let binding = self.tokens.binding(&Sight { agent: Some(self.agent), ..Sight::default() });
            let caller = Caller {
                head: &head,
                tokens: &self.tokens,
                binding,
                secure: true,
                reference: Reference(1),
                wall: self.wall,
            };
            let reply = answer(&caller);
            for cookie in &reply.cookies {
                let (name, rest) = cookie.split_once('=').expect("a name");
                self.cookies.retain(|(known, _)| known != name);
                if !rest.contains("Max-Age=0;") {
                    self.keep(name, rest.split(';').next().unwrap_or_default());
                }
                for needed in ["; Path=/;", "; HttpOnly;", "; SameSite=Lax", "; Secure"] {
                    assert!(cookie.contains(needed), "{cookie}");
                }
            }
            reply
        }

        fn keep(&mut self, name: &str, value: &str) {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }

        fn asked(&mut self, target: &str, step: Step) -> Reply {
            self.ask(target, |caller| challenge(caller, step))
        }

        fn own(&mut self, target: &str) -> Reply {
            self.ask(target, |caller| own(caller).expect("a path of the gate's own"))
        }

        fn vouched(&self) -> bool {
            let binding = self.tokens.binding(&Sight { agent: Some(self.agent), ..Sight::default() });
            let token = self.cookies.iter().find(|(name, _)| name == "portcullis");
            token.is_some_and(|(_, token)| self.tokens.read(token.as_bytes(), || binding, self.wall).is_some())
        }
    }

    fn body(reply: &Reply) -> &str {
        reply.sheet.as_ref().map_or("", |sheet| &sheet.body)
    }

    #[test]
    fn a_cookie_that_comes_back_passes_the_echo() {
        let mut visitor = Visitor::new();
        let first = visitor.asked("/search?q=a b", Step::Echo);
        assert_eq!((first.status, first.passed), (503, None));
        let refresh = "content=\"1;url=/.portcullis/return?to=/search%3Fq%3Da%2520b\"";
        assert!(body(&first).contains(refresh), "{}", body(&first));
        let back = visitor.own("/.portcullis/return?to=/search%3Fq%3Da%2520b");
        assert_eq!((back.status, back.location.as_deref()), (303, Some("/search?q=a%20b")));
        let passed = visitor.asked("/search?q=a%20b", Step::Echo);
        assert_eq!((passed.status, passed.passed), (303, Some(Step::Echo)));
        assert_eq!(passed.location.as_deref(), Some("/search?q=a%20b"));
        assert!(visitor.vouched());
        assert_eq!(visitor.cookies.len(), 1, "{:?}", visitor.cookies);
    }

    #[test]
    fn who_keeps_no_cookie_is_told_so_and_sent_round_no_more() {
        let mut visitor = Visitor::new();
        visitor.asked("/", Step::Echo);
        visitor.cookies.clear();
        let back = visitor.own("/.portcullis/return?to=/");
        assert_eq!(back.status, 403);
        assert!(body(&back).contains("cookie") && !body(&back).contains("http-equiv"));
        // A cookie that is somebody else's does not pass either; the page comes back more slowly.
        visitor.keep("portcullis_step", &"A".repeat(54));
        let late = visitor.asked("/", Step::Echo);
        assert!(late.passed.is_none() && body(&late).contains("content=\"5;"));
    }

    #[test]
    fn a_solved_puzzle_passes_and_an_echo_does_not_in_its_place() {
        let mut visitor = Visitor::new();
        visitor.asked("/a", Step::Echo);
        let page = visitor.asked("/a", Step::Puzzle);
        assert_eq!((page.status, page.passed), (503, None));
        let (_, rest) = body(&page).split_once("data-puzzle=\"").expect("a puzzle");
        let (puzzle, rest) = rest.split_once('"').expect("an end");
        assert!(rest.contains("data-cookie=\"; Path=/; Max-Age=600; SameSite=Lax; Secure\""));
        visitor.keep("portcullis_answer", &solve_puzzle(puzzle).expect("solvable"));
        let before = visitor.cookies.clone();
        let passed = visitor.asked("/a", Step::Puzzle);
        assert_eq!((passed.status, passed.passed), (303, Some(Step::Puzzle)));
        assert!(visitor.vouched());
        visitor.cookies = before;
        assert_eq!(visitor.asked("/a", Step::Puzzle).passed, None, "the same answer once more");
    }

    #[test]
    fn a_place_in_the_queue_passes_when_its_turn_comes() {
        let mut visitor = Visitor::new();
        let page = visitor.own("/.portcullis/manual?to=/donate%3Famount%3D20%26once");
        assert!(body(&page).contains("<button type=\"submit\">"), "{}", body(&page));
        assert!(body(&page).contains("name=\"to\" value=\"/donate?amount=20&amp;once\""));
        // As a form writes it.
        let taken = visitor.own("/.portcullis/ticket?to=%2Fdonate%3Famount%3D20%26once");
        assert_eq!((taken.status, taken.location.as_deref()), (303, Some("/donate?amount=20&once")));
        for step in Step::ALL {
            let waiting = visitor.asked("/donate?amount=20&once", step);
            assert_eq!((waiting.status, waiting.passed), (503, None));
            assert!(body(&waiting).contains("20 seconds"), "{}", body(&waiting));
        }
        visitor.wall += 20_000;
        let passed = visitor.asked("/donate?amount=20&once", Step::Puzzle);
        assert_eq!((passed.passed, passed.location.as_deref()), (Some(Step::Manual), Some("/donate?amount=20&once")));
        assert!(visitor.vouched());
    }

    #[test]
    fn a_token_is_worth_nothing_in_another_browser() {
        let mut visitor = Visitor::new();
        visitor.asked("/", Step::Echo);
        visitor.asked("/", Step::Echo);
        assert!(visitor.vouched());
        visitor.agent = b"Program";
        assert!(!visitor.vouched());
    }

    #[test]
    fn the_way_back_leads_to_this_site_and_nowhere_else() {
        for (query, expected) in [
            ("to=/a", "/a"),
            ("to=%2Fa%3Fb%3Dc", "/a?b=c"),
            ("x=1&to=/a", "/a"),
            ("to=/%C3%A9", "/%C3%A9"),
            ("to=/a+b", "/a%20b"),
            ("", "/"),
            ("to=", "/"),
            ("to=//evil.test/", "/"),
            ("to=%2F%2Fevil.test", "/"),
            ("to=/%5Cevil.test", "/"),
            ("to=https://evil.test/", "/"),
            ("to=javascript:alert(1)", "/"),
            ("to=/a%0D%0ASet-Cookie:x", "/"),
            ("to=/a%00", "/"),
            ("to=/%zz", "/"),
            ("to=/%2", "/%2"),
            ("to=/.portcullis/ticket", "/"),
            ("to=/%22%3E%3Cscript%3E", "/%22%3E%3Cscript%3E"),
        ] {
            assert_eq!(wanted(format!("/.portcullis/return?{query}").as_bytes()), expected, "{query}");
        }
        assert_eq!(wanted(format!("/.portcullis/return?to=/{}", "a".repeat(3_000)).as_bytes()), "/");
    }

    #[test]
    fn the_waiting_room_keeps_the_place_that_was_first_given() {
        let mut visitor = Visitor::new();
        let minute = Duration::from_secs(60);
        let first = visitor.ask("/a?b=\"c", |caller| room(caller, WALL, 7, minute));
        assert_eq!((first.status, first.passed), (503, None));
        assert!(body(&first).contains("are 7 people"));
        assert!(body(&first).contains("<a href=\"/a?b=%22c\">"));
        let arrived = |visitor: &Visitor| {
            let (_, ticket) = visitor.cookies.iter().find(|(name, _)| name == "portcullis_place").expect("a ticket");
            visitor.tokens.read_ticket(ticket.as_bytes(), visitor.wall).expect("ours").arrived
        };
        assert_eq!(arrived(&visitor), WALL);
        visitor.wall += 5 * 3_600_000;
        visitor.ask("/", |caller| room(caller, WALL, 3, minute));
        visitor.wall += 5 * 3_600_000;
        assert_eq!(arrived(&visitor), WALL, "renewed with each look, kept from the first");
    }

    #[test]
    fn nothing_else_is_ours() {
        for (path, ours) in
            [("/.portcullis/x", true), ("/.portcullis", false), ("/a/.portcullis/x", false), ("/", false)]
        {
            assert_eq!(is_ours(path.as_bytes()), ours, "{path}");
        }
        Visitor::new().ask("/.portcullis/other", |caller| {
            assert!(own(caller).is_none());
            Reply::see("/".to_owned())
        });
    }
}
