//! Sessions played message by message, in every splitting.

use std::net::{IpAddr, Ipv4Addr};

use portcullis_wire::postgres::{Side, backend, header};
use portcullis_wire::read::Read;
use proptest::prelude::*;

use super::*;
use crate::policy::Effect;

/// Refuses what contains `forbidden`, and lets so many rows leave.
struct Fake {
    rows_left: u64,
    references: u64,
    told: Vec<String>,
    sensitive_rows: u64,
    ask: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self { rows_left: u64::MAX, references: 0, told: Vec::new(), sensitive_rows: 0, ask: false }
    }
}

fn judge(text: &[u8]) -> Arc<Verdict> {
    let text = std::str::from_utf8(text).expect("the cases are text");
    let refused = text.contains("forbidden");
    let denial = Denial { reason: Reason::StatementForbidden, detail: text.into() };
    let statements = text.split(';').map(|one| {
        let words: Vec<&str> = one.split_ascii_whitespace().collect();
        let effect = match *words.as_slice() {
            ["prepare", name, ..] => {
                Effect::Prepare { name: name.into(), statement: Box::new(plain(one, Effect::None)) }
            }
            ["execute", name] => Effect::Execute { name: name.into() },
            ["deallocate", name] => Effect::Deallocate { name: Some(name.into()) },
            _ => Effect::None,
        };
        plain(one, effect)
    });
    Arc::new(Verdict {
        ruling: if refused { Ruling::Refused(denial) } else { Ruling::Pass },
        statements: statements.collect(),
    })
}

fn plain(text: &str, effect: Effect) -> Statement {
    let key = text.trim().len() as u64;
    Statement { key, effect, sensitive: text.contains("members"), values_matter: text.contains('$'), described: None }
}

impl Desk for Fake {
    fn judge(&mut self, text: &[u8], _: &Context) -> Option<Arc<Verdict>> {
        (!self.ask).then(|| judge(text))
    }

    fn bind(&mut self, _: &Statement, values: &Values<'_>, _: &Context) -> Ruling {
        let far = values.iter().any(|value| value.bytes == Some(b"2000000"));
        let denial = Denial { reason: Reason::StatementUnknown, detail: "far".into() };
        if far { Ruling::Refused(denial) } else { Ruling::Pass }
    }

    fn execute(&mut self, prepared: &Statement, _: &Statement, _: &Context) -> Ruling {
        let denial = Denial { reason: Reason::StatementUnknown, detail: "far".into() };
        if prepared.key == "prepare far $".len() as u64 { Ruling::Refused(denial) } else { Ruling::Pass }
    }

    fn charge(&mut self, outflow: &Outflow<'_>, _: &Context) -> Result<(), Denial> {
        let Some(left) = self.rows_left.checked_sub(outflow.rows) else {
            return Err(Denial { reason: Reason::EgressBudget, detail: "rows".into() });
        };
        self.rows_left = left;
        self.sensitive_rows += if outflow.sensitive { outflow.rows } else { 0 };
        Ok(())
    }

    fn is_sensitive(&mut self, column: &Column<'_>) -> Option<bool> {
        Some(column.relation == 77)
    }

    fn reference(&mut self) -> Reference {
        self.references += 1;
        Reference(self.references)
    }

    fn note(&mut self, event: Event<'_>, _: &Context) {
        self.told.push(match event {
            Event::Authenticated(how) => format!("authenticated {}", how.method),
            Event::Refused { denial, .. } => format!("refused {}", denial.reason),
            Event::Observed { denial, .. } => format!("observed {}", denial.reason),
            Event::Ran(ran) => format!("ran {} rows {} in {} failed {}", ran.key, ran.rows, ran.rows_in, ran.failed),
            Event::Named(name) => format!("named {}", String::from_utf8_lossy(name)),
            Event::Process(process) => format!("process {process}"),
        });
    }
}

fn terms() -> Terms {
    Terms {
        enforce: true,
        statement_bytes: 4096,
        name_bytes: 128,
        values_bytes: 1024,
        plans: 8,
        pipeline: 64,
        functions: Arc::from([]),
    }
}

fn context() -> Context {
    Context {
        guard: "members".into(),
        role: "app".into(),
        database: "app".into(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        application: "".into(),
    }
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn text(tag: u8, parts: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(part.as_bytes());
        body.push(0);
    }
    match tag {
        b'P' => body.extend_from_slice(&[0, 0]),
        b'B' => body.extend_from_slice(&[0, 0, 0, 0, 0, 0]),
        b'E' => body.extend_from_slice(&[0, 0, 0, 0]),
        _ => {}
    }
    frame(tag, &body)
}

fn row(value: &str) -> Vec<u8> {
    frame(b'D', &[&[0, 1], &u32::try_from(value.len()).unwrap().to_be_bytes()[..], value.as_bytes()].concat())
}

fn ready(state: u8) -> Vec<u8> {
    frame(b'Z', &[state])
}

fn done(tag: &str) -> Vec<u8> {
    text(b'C', &[tag])
}

fn failure() -> Vec<u8> {
    frame(b'E', b"SERROR\0C42601\0Msyntax error\0\0")
}

/// A session that has begun, with what it lets through in both directions.
struct Play {
    session: Session,
    desk: Fake,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    ended: Option<End>,
}

impl Play {
    fn new() -> Self {
        Self::with(terms(), Fake::default())
    }

    fn with(terms: Terms, desk: Fake) -> Self {
        let session = Session::new(context(), terms);
        let mut play = Self { session, desk, to_server: Vec::new(), to_client: Vec::new(), ended: None };
        let greeting = [frame(b'R', &[0; 4]), frame(b'K', b"\0\0\0\x07abcd"), ready(b'I')].concat();
        play.server(&greeting);
        assert_eq!(play.session.key(), Some((7, &b"abcd"[..])));
        play.to_client.clear();
        play.desk.told.clear();
        play
    }

    fn client(&mut self, bytes: &[u8]) -> &mut Self {
        self.feed(bytes, true)
    }

    fn server(&mut self, bytes: &[u8]) -> &mut Self {
        self.feed(bytes, false)
    }

    /// Shows `bytes`, and what of them was not taken again with more behind it.
    fn feed(&mut self, bytes: &[u8], client: bool) -> &mut Self {
        let left = self.show(bytes, client);
        assert!(left.is_empty() || self.ended.is_some(), "{left:?} stays");
        self
    }

    fn show(&mut self, bytes: &[u8], client: bool) -> Vec<u8> {
        let mut rest = bytes.to_vec();
        while self.ended.is_none() {
            let (session, desk) = (&mut self.session, &mut self.desk);
            let step = if client { session.from_client(&rest, desk) } else { session.from_server(&rest, desk) };
            let into = if client { &mut self.to_server } else { &mut self.to_client };
            match step {
                Step::Forward(count) => into.extend(rest.drain(..count)),
                Step::Replace(count, with) => {
                    rest.drain(..count);
                    into.extend(with);
                }
                Step::More | Step::Wait => break,
                Step::Ask(range) => self.session.answer(judge(&rest[range])),
                Step::End(end) => self.ended = Some(end),
            }
        }
        rest
    }

    /// The letters of the messages that went to the server, and those that went to the application.
    fn letters(&self) -> (String, String) {
        (letters(&self.to_server, Side::Frontend), letters(&self.to_client, Side::Backend))
    }
}

fn letters(mut bytes: &[u8], side: Side) -> String {
    let mut found = String::new();
    while let Read::Done(header) = header(side, bytes) {
        found.push(char::from(header.tag));
        bytes = bytes.get(usize::try_from(header.message()).unwrap()..).unwrap_or_default();
    }
    found
}

fn code(mut bytes: &[u8]) -> Option<String> {
    while let Read::Done(header) = header(Side::Backend, bytes) {
        let message = bytes.get(..usize::try_from(header.message()).unwrap())?;
        if header.tag == b'E' {
            let found = backend::notice(&message[5..]).find(|(field, _)| *field == b'C');
            return found.map(|(_, code)| String::from_utf8_lossy(code).into_owned());
        }
        bytes = &bytes[message.len()..];
    }
    None
}

#[test]
fn an_ordinary_session_is_forwarded_to_the_byte_and_counted() {
    let mut play = Play::new();
    let asked = [text(b'Q', &["select a; select b"])].concat();
    let answered = [row("1"), row("2"), done("SELECT 2"), row("3"), done("SELECT 1"), ready(b'I')].concat();
    play.client(&asked).server(&answered);
    assert_eq!((&play.to_server, &play.to_client), (&asked, &answered));
    assert_eq!(play.desk.told, ["ran 8 rows 2 in 0 failed false", "ran 8 rows 1 in 0 failed false"]);
    assert!(play.session.is_idle());
}

#[test]
fn a_refused_query_fails_in_the_server_and_the_session_goes_on() {
    let mut play = Play::new();
    play.client(&text(b'Q', &["select forbidden"]));
    assert!(!play.to_server.windows(9).any(|part| part == b"forbidden"), "nothing of it reaches the server");
    assert_eq!(play.letters().0, "Q");
    play.server(&[failure(), ready(b'E')].concat());
    assert_eq!(play.letters().1, "EZ");
    assert_eq!(code(&play.to_client).as_deref(), Some("42501"));
    assert!(play.to_client.ends_with(&ready(b'E')), "the state is the server's own");
    let answered = [row("1"), done("SELECT 1"), ready(b'I')].concat();
    play.to_client.clear();
    play.client(&text(b'Q', &["select 1"])).server(&answered);
    assert_eq!(play.to_client, answered);
    assert_eq!(play.desk.told, ["refused statement-forbidden", "ran 8 rows 1 in 0 failed false"]);
}

#[test]
fn a_refused_parse_in_a_pipeline_leaves_what_was_before_it() {
    let mut play = Play::new();
    let batch = [
        text(b'P', &["", "select 1"]),
        text(b'B', &["", ""]),
        text(b'E', &[""]),
        text(b'P', &["x", "select forbidden"]),
        text(b'B', &["", "x"]),
        text(b'E', &[""]),
        frame(b'S', b""),
        text(b'Q', &["select 2"]),
    ];
    play.client(&batch.concat());
    assert_eq!(play.letters().0, "PBEPBESQ");
    let first = [frame(b'1', b""), frame(b'2', b""), row("1"), done("SELECT 1")].concat();
    let second = [row("2"), done("SELECT 1"), ready(b'I')].concat();
    play.server(&[first.clone(), failure(), ready(b'I'), second.clone()].concat());
    assert_eq!(play.letters().1, "12DCEZDCZ");
    assert_eq!(code(&play.to_client).as_deref(), Some("42501"));
    assert!(play.to_client.starts_with(&first) && play.to_client.ends_with(&second));
    assert!(play.session.plans.find(b"x").is_none(), "what was refused is not there to be bound");
}

#[test]
fn the_servers_own_errors_stay_its_own() {
    let mut play = Play::new();
    play.client(&[text(b'P', &["", "select 1"]), text(b'P', &["", "select forbidden"]), frame(b'S', b"")].concat());
    play.server(&[failure(), ready(b'I')].concat());
    assert_eq!(code(&play.to_client).as_deref(), Some("42601"), "the first failed, so the second was skipped");
}

#[test]
fn a_name_that_was_not_prepared_here_is_not_bound() {
    for (message, letters) in [(text(b'B', &["", "ghost"]), "PS"), (text(b'B', &["", ""]), "PS")] {
        let mut play = Play::new();
        play.client(&[message, frame(b'S', b"")].concat());
        assert_eq!(play.letters().0, letters);
        play.server(&[failure(), ready(b'I')].concat());
        assert_eq!(code(&play.to_client).as_deref(), Some("42501"));
    }
    let mut play = Play::with(Terms { enforce: false, ..terms() }, Fake::default());
    let batch = [text(b'B', &["", "ghost"]), frame(b'S', b"")].concat();
    play.client(&batch);
    assert_eq!(play.to_server, batch);
    assert_eq!(play.desk.told, ["observed statement-unknown"]);
}

#[test]
fn statements_prepared_in_sql_are_known_and_forgotten_with_the_servers_word() {
    let mut play = Play::new();
    play.client(&text(b'Q', &["execute p"]));
    assert!(play.to_server.windows(7).any(|part| part == b"refused"), "nobody has prepared it");
    play.server(&[failure(), ready(b'I')].concat());
    // Pipelined: the server has not said yet that it took the name.
    play.client(&[text(b'Q', &["prepare p as members"]), text(b'Q', &["execute p"])].concat());
    play.server(&[done("PREPARE"), ready(b'I'), row("1"), done("SELECT 1"), ready(b'I')].concat());
    assert_eq!(play.desk.sensitive_rows, 1, "rows are those of what was prepared");
    play.client(&text(b'Q', &["deallocate p"])).server(&[done("DEALLOCATE"), ready(b'I')].concat());
    play.to_server.clear();
    play.client(&text(b'Q', &["execute p"]));
    assert!(play.to_server.windows(7).any(|part| part == b"refused"));
    // In one text, and failed by the server before it was prepared.
    play.server(&[failure(), ready(b'I')].concat());
    play.client(&text(b'Q', &["select 1;prepare q as x;execute q"])).server(&[failure(), ready(b'I')].concat());
    assert!(play.session.plans.find(b"q").is_none());
}

#[test]
fn values_that_reach_too_far_are_refused_at_bind() {
    let mut play = Play::new();
    let bind = |value: &str| {
        let length = u32::try_from(value.len()).unwrap();
        frame(b'B', &[&b"\0s\0\0\0\0\x01"[..], &length.to_be_bytes(), value.as_bytes(), &[0, 0]].concat())
    };
    play.client(&[text(b'P', &["s", "select limit $1"]), bind("20"), text(b'E', &[""]), frame(b'S', b"")].concat());
    play.server(&[frame(b'1', b""), frame(b'2', b""), done("SELECT 0"), ready(b'I')].concat());
    assert_eq!(play.letters(), ("PBES".to_owned(), "12CZ".to_owned()));
    play.to_client.clear();
    play.client(&[bind("2000000"), text(b'E', &[""]), frame(b'S', b"")].concat());
    assert_eq!(play.letters().0, "PBESPES");
    play.server(&[failure(), ready(b'I')].concat());
    assert_eq!(code(&play.to_client).as_deref(), Some("42501"));
    assert!(play.session.plans.find(b"s").is_some(), "the statement itself stays");
}

#[test]
fn sensitive_columns_are_known_by_their_relation_or_by_what_is_read() {
    let column = |relation: u32| {
        let body = [&b"\0\x01c\0"[..], &relation.to_be_bytes(), b"\0\x01\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"];
        frame(b'T', &body.concat())
    };
    for (statement, relation, sensitive) in [
        ("select x", 77, 1),
        ("select x", 5, 0),
        ("select x", 0, 0),
        ("select members", 0, 1),
        ("select members", 5, 0),
    ] {
        let mut play = Play::new();
        play.client(&text(b'Q', &[statement]));
        play.server(&[column(relation), row("1"), done("SELECT 1"), ready(b'I')].concat());
        assert_eq!(play.desk.sensitive_rows, sensitive, "{statement} {relation}");
        // The same, described once and run later without a description.
        let mut play = Play::new();
        let describe = text(b'D', &["Ss"]);
        play.client(&[text(b'P', &["s", statement]), describe, frame(b'S', b"")].concat());
        play.server(&[frame(b'1', b""), frame(b't', b"\0\0"), column(relation), ready(b'I')].concat());
        play.client(&[text(b'B', &["", "s"]), text(b'E', &[""]), frame(b'S', b"")].concat());
        play.server(&[frame(b'2', b""), row("1"), done("SELECT 1"), ready(b'I')].concat());
        assert_eq!(play.desk.sensitive_rows, sensitive, "{statement} {relation}, prepared");
    }
}

#[test]
fn more_rows_than_the_budget_end_the_session_before_they_leave() {
    let mut play = Play::with(terms(), Fake { rows_left: 3, ..Fake::default() });
    play.client(&text(b'Q', &["select 1"]));
    play.server(&[row("1"), row("2")].concat());
    play.server(&[row("3"), row("4")].concat());
    let end = play.ended.expect("an end");
    assert_eq!((end.denial.reason, end.cancel), (Reason::EgressBudget, true));
    assert_eq!(letters(&play.to_client, Side::Backend), "DD");
    assert_eq!(code(&end.farewell).as_deref(), Some("53400"));
    play.session.ended(&mut play.desk);
    assert_eq!(play.desk.told.last().map(String::as_str), Some("ran 8 rows 2 in 0 failed true"), "what left is known");
}

#[test]
fn nothing_of_ours_is_put_into_the_middle_of_a_message() {
    let mut play = Play::with(terms(), Fake { rows_left: 1, ..Fake::default() });
    play.client(&text(b'Q', &["select 1"]));
    let long = row(&"long".repeat(10_000));
    play.server(&long[..10]);
    play.server(&[&long[10..], &row("2")].concat());
    let end = play.ended.expect("an end");
    assert_eq!(play.to_client.len(), 10, "a long row goes on as it comes");
    assert!(end.farewell.is_empty());

    let mut play = Play::with(terms(), Fake { rows_left: 1, ..Fake::default() });
    play.client(&text(b'Q', &["select 1"]));
    let both = [row("1"), row("2")].concat();
    let (front, back) = both.split_at(row("1").len() + 7);
    let held = play.show(front, false);
    assert_eq!(letters(&play.to_client, Side::Backend), "D", "an ordinary row goes on whole");
    play.show(&[&held, back].concat(), false);
    let end = play.ended.expect("an end");
    assert_eq!(code(&end.farewell).as_deref(), Some("53400"), "so that there is room for the reason");
}

#[test]
fn copy_is_counted_in_both_directions_and_a_sync_inside_is_not_waited_for() {
    let mut play = Play::new();
    let data = |value: &str| frame(b'd', value.as_bytes());
    play.client(&text(b'Q', &["copy out"]));
    play.server(
        &[frame(b'H', b"\0\0\0"), data("a\n"), data("b\n"), frame(b'c', b""), done("COPY 2"), ready(b'I')].concat(),
    );
    assert_eq!(play.desk.told.pop().as_deref(), Some("ran 8 rows 2 in 0 failed false"));
    // The extended protocol, with the Sync that libpq sends before it knows that this is a COPY.
    let start = [text(b'P', &["", "copy in"]), text(b'B', &["", ""]), text(b'E', &[""]), frame(b'S', b"")].concat();
    play.client(&start);
    play.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'G', b"\0\0\0")].concat());
    play.client(&[data("a\n"), data("b\n"), data("c\n"), frame(b'c', b""), frame(b'S', b"")].concat());
    play.server(&[done("COPY 3"), ready(b'I')].concat());
    assert_eq!(play.desk.told.pop().as_deref(), Some("ran 7 rows 0 in 3 failed false"));
    assert!(play.session.is_idle());
    // Sent in one go, the end of the COPY before the server has begun it.
    play.client(&[start, data("a\n"), frame(b'c', b""), frame(b'S', b"")].concat());
    play.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'G', b"\0\0\0"), done("COPY 1"), ready(b'I')].concat());
    assert!(play.session.is_idle(), "{:?}", play.session.expected);
}

#[test]
fn functions_by_object_pass_only_where_granted() {
    let call = frame(b'F', b"\0\0\0\x09\0\0\0\0\0\0");
    let mut play = Play::new();
    play.client(&call);
    assert_eq!(play.letters().0, "Q");
    play.server(&[failure(), ready(b'I')].concat());
    assert_eq!(code(&play.to_client).as_deref(), Some("42501"));
    let mut play = Play::with(Terms { functions: Arc::from([9]), ..terms() }, Fake::default());
    play.client(&call);
    assert_eq!(play.to_server, call);
    // A body that is too short for a number: what is behind it makes none.
    let mut play = Play::with(Terms { functions: Arc::from([9]), ..terms() }, Fake::default());
    play.show(&[frame(b'F', b"\0\0"), vec![0, 9, 0, 0]].concat(), true);
    assert_eq!(play.ended.expect("an end").denial.reason, Reason::DatabaseProtocol);
    assert!(play.to_server.is_empty());
}

#[test]
fn a_text_too_long_to_be_judged_is_refused_piece_by_piece() {
    for tag in [b'Q', b'P'] {
        let mut play = Play::new();
        let long = "x".repeat(10_000);
        let message = if tag == b'Q' { text(tag, &[&long]) } else { text(tag, &["", &long]) };
        for piece in message.chunks(700) {
            let left = play.show(piece, true);
            assert!(left.is_empty());
        }
        assert!(play.to_server.len() < 200);
        play.client(&frame(b'S', b""));
        play.server(&[failure(), ready(b'I')].concat());
        assert_eq!(code(&play.to_client).as_deref(), Some("42501"));
        let mut play = Play::with(Terms { enforce: false, ..terms() }, Fake::default());
        play.client(&message);
        assert_eq!(play.to_server, message);
        assert_eq!(play.desk.told, ["observed statement-unreadable"]);
    }
}

#[test]
fn what_breaks_the_protocol_ends_the_session() {
    let table: [Vec<u8>; 7] = [
        b"GET / HTTP/1.1\r\n".to_vec(),
        frame(b'p', b"secret\0"),
        frame(b'Q', b"select 1\0;drop\0"),
        frame(b'Q', b"select 1"),
        frame(b'C', b"Xa\0"),
        frame(b'E', b"p"),
        text(b'B', &[&"n".repeat(200), "x"]),
    ];
    for bytes in table {
        let mut play = Play::new();
        play.show(&bytes, true);
        assert_eq!(play.ended.as_ref().map(|end| end.denial.reason), Some(Reason::DatabaseProtocol), "{bytes:?}");
        assert!(play.to_server.is_empty());
    }
}

#[test]
fn what_a_session_can_grow_is_bounded() {
    let mut play = Play::new();
    for number in 0..9 {
        play.show(&[text(b'P', &[&format!("s{number}"), "select 1"]), frame(b'S', b"")].concat(), true);
        play.show(&[frame(b'1', b""), ready(b'I')].concat(), false);
    }
    assert_eq!(play.ended.map(|end| end.denial.reason), Some(Reason::SessionLimit));
    let mut play = Play::new();
    let flood: Vec<u8> = (0..100).flat_map(|_| frame(b'S', b"")).collect();
    play.show(&flood, true);
    assert_eq!(play.ended.map(|end| end.denial.reason), Some(Reason::SessionLimit));
}

#[test]
fn nobody_speaks_before_the_server_knows_who_it_is() {
    let mut session = Session::new(context(), terms());
    let mut desk = Fake::default();
    let early = text(b'Q', &["select 1"]);
    assert_eq!(session.from_client(&early, &mut desk), Step::Wait);
    let sasl = frame(b'R', b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
    assert_eq!(session.from_server(&sasl, &mut desk), Step::Forward(sasl.len()));
    let chosen = frame(b'p', b"SCRAM-SHA-256-PLUS\0\0\0\0\x04p=tl");
    assert_eq!(session.from_client(&chosen, &mut desk), Step::Forward(chosen.len()));
    let greeting = [frame(b'R', &[0; 4]), ready(b'I')].concat();
    assert_eq!(session.from_server(&greeting, &mut desk), Step::Forward(greeting.len()));
    assert_eq!(desk.told, ["authenticated SCRAM-SHA-256-PLUS"]);
    assert!(session.authentication.is_bound());
    assert_eq!(session.from_client(&early, &mut desk), Step::Forward(early.len()));
}

proptest! {
    /// The same bytes come out, whatever pieces they arrive in and whether the parser is asked or not.
    #[test]
    fn any_splitting_gives_the_same_stream(
        cuts in proptest::collection::vec(0_usize..400, 0..12),
        ask in any::<bool>(),
    ) {
        let asked = [
            text(b'Q', &["select 1; select members"]),
            text(b'P', &["s", "select $1"]),
            text(b'B', &["", "s"]),
            text(b'D', &["P"]),
            text(b'E', &[""]),
            frame(b'S', b""),
            text(b'P', &["", "select forbidden"]),
            text(b'B', &["", ""]),
            text(b'E', &[""]),
            frame(b'S', b""),
            text(b'Q', &["copy in"]),
        ].concat();
        let answered = [
            row("1"), done("SELECT 1"), row("2"), done("SELECT 1"), ready(b'I'),
            frame(b'1', b""), frame(b'2', b""), frame(b'n', b""), done("X"), ready(b'I'),
            failure(), ready(b'I'),
            frame(b'G', b"\0\0\0"),
        ].concat();
        let pieces = |bytes: &[u8], client: bool, play: &mut Play| {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let (mut left, mut from) = (Vec::new(), 0);
            for end in ends {
                left.extend_from_slice(&bytes[from..end]);
                left = play.show(&left, client);
                from = end;
            }
            assert!(left.is_empty());
        };
        let mut whole = Play::new();
        whole.client(&asked).server(&answered);
        let mut split = Play::with(terms(), Fake { ask, ..Fake::default() });
        pieces(&asked, true, &mut split);
        pieces(&answered, false, &mut split);
        prop_assert_eq!(&whole.to_server, &split.to_server);
        prop_assert_eq!(&whole.to_client, &split.to_client);
        prop_assert_eq!(&whole.desk.told, &split.desk.told);
        prop_assert!(split.session.copying_in);
    }

    /// Hostile bytes in either direction neither panic nor make a session that goes round in circles.
    #[test]
    fn hostile_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..600), client in any::<bool>()) {
        let mut play = Play::new();
        play.show(&bytes, client);
        prop_assert!(play.to_server.len() <= bytes.len() + 4096);
    }
}

#[test]
fn nothing_is_judged_while_the_server_reads_texts_differently() {
    for (name, other, ours) in [("standard_conforming_strings", "off", "on"), ("client_encoding", "SJIS", "UTF8")] {
        let mut play = Play::new();
        play.server(&text(b'S', &[name, other]));
        play.client(&text(b'Q', &["select 1"]));
        assert!(play.to_server.windows(7).any(|part| part == b"refused"), "{name} = {other}");
        play.server(&[failure(), ready(b'I')].concat());
        play.server(&text(b'S', &[name, ours]));
        play.to_server.clear();
        play.client(&text(b'Q', &["select 1"]));
        assert!(!play.to_server.windows(7).any(|part| part == b"refused"), "{name} = {ours}");
    }
}

#[test]
fn arguments_of_execute_are_asked_about_where_they_matter() {
    let mut play = Play::new();
    play.client(&text(b'Q', &["prepare far $"])).server(&[done("PREPARE"), ready(b'I')].concat());
    play.to_server.clear();
    play.client(&text(b'Q', &["execute far"]));
    assert!(play.to_server.windows(7).any(|part| part == b"refused"), "they reach too far");
    play.server(&[failure(), ready(b'I')].concat());
    play.client(&text(b'Q', &["prepare near $"])).server(&[done("PREPARE"), ready(b'I')].concat());
    play.to_server.clear();
    play.client(&text(b'Q', &["execute near"]));
    assert!(!play.to_server.windows(7).any(|part| part == b"refused"));
}
