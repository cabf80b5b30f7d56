//! What leaves over each coding, form and transport, through the running gate: canaries in none of them, what is ordinary in all,
//! and what cannot be read is counted.
//!
//! `PORTCULLIS_CANARIES=1000` is the whole promise; without it twenty canaries take each way.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_suite::frames::Frames;
use portcullis_suite::packing::{CODINGS, deflated_message, grpc_message, packed, socket_frame, zipped};
use portcullis_suite::{
    Authority, Browser, Gate, H2Origin, HOST, Next, Origin, Plan, Python, Seen, Wire, eventually, figure, free_port,
    respond, run,
};
use portcullis_types::Reason;
use serde_json::Value;

/// What the origin says next.
#[derive(Default)]
struct Said {
    /// Fields of the head, each with its end.
    fields: String,
    /// In these pieces, each sent by itself.
    pieces: Vec<Vec<u8>>,
    /// How they are framed.
    frame: Frame,
}

#[derive(Default, Clone, Copy)]
enum Frame {
    /// By a length; a `Range` is served.
    #[default]
    Length,
    Chunks,
    /// As another protocol.
    Switched,
}

/// An origin, what it says, and a gate that stops canaries.
struct World {
    gate: Gate,
    _origin: Origin,
    said: Arc<Mutex<Said>>,
    grpc: H2Origin,
    emails: Vec<String>,
}

fn answer(said: &Mutex<Said>, seen: &Seen, stream: &mut TcpStream) -> io::Result<Next> {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let (fields, whole) = (&said.fields, said.pieces.concat());
    match said.frame {
        Frame::Length => {
            let range = seen.header("range").and_then(|range| range.strip_prefix("bytes="));
            let part = range.and_then(|range| {
                let (from, to) = range.split_once('-')?;
                let (from, to) = (from.parse::<usize>().ok()?, to.parse::<usize>().ok()?.min(whole.len() - 1));
                Some((format!("{fields}Content-Range: bytes {from}-{to}/{}\r\n", whole.len()), whole.get(from..=to)?))
            });
            match part {
                Some((fields, part)) => respond(stream, 206, &fields, part)?,
                None => respond(stream, 200, fields, &whole)?,
            }
        }
        Frame::Chunks => {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{fields}\r\n")?;
            for piece in &said.pieces {
                stream.write_all(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())?;
                stream.flush()?;
            }
            stream.write_all(b"0\r\n\r\n")?;
        }
        Frame::Switched => {
            write!(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{fields}\r\n"
            )?;
            for piece in &said.pieces {
                stream.write_all(piece)?;
                std::thread::sleep(Duration::from_millis(1));
            }
            return Ok(Next::Close);
        }
    }
    Ok(Next::Keep)
}

impl World {
    fn new(name: &str, canaries: usize, rest: &str) -> Self {
        let said = Arc::new(Mutex::new(Said::default()));
        let saying = Arc::clone(&said);
        let origin = Origin::start(move |seen, stream| answer(&saying, seen, stream));
        let grpc = H2Origin::start();
        let live = format!(
            "session_cookie = \"session\"\n[[platform.route]]\npath = \"/live\"\nclass = \"api\"\nupgrade = true\n{rest}"
        );
        let plan =
            Plan::new(name).upstream(&[origin.url()], &live).platform("calls", &["calls.test"], &[grpc.url()], "");
        let (plan, emails) = planted(plan, canaries);
        Self { gate: plan.start(), _origin: origin, said, grpc, emails }
    }

    fn say(&self, fields: &str, frame: Frame, pieces: Vec<Vec<u8>>) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Said { fields: fields.to_owned(), pieces, frame };
    }

    fn leaving(&self) -> Value {
        let config = self.gate.config().display().to_string();
        let output = self.gate.command(&["status", "--json", "--config", &config]);
        serde_json::from_str::<Value>(&output.stdout).unwrap_or_default()["leaving"].clone()
    }

    /// What came of asking for it over HTTP/1.1: the status, and the body as far as it came.
    fn ask(&self, wire: &mut Option<Wire>, fields: &str) -> (u16, Vec<u8>) {
        let own = wire.get_or_insert_with(|| Wire::plain(self.gate.http()));
        let asked = own.ask(format!("GET /page HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"));
        match asked {
            Ok(answer) => (answer.status, answer.body),
            Err(_) => {
                *wire = None;
                (0, Vec::new())
            }
        }
    }

    /// What came over a connection that was switched.
    fn talk(&self) -> Vec<u8> {
        let mut wire = Wire::plain(self.gate.http());
        let hello = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==\r\n";
        wire.send(format!("GET /live HTTP/1.1\r\nHost: {HOST}\r\n{hello}\r\n")).expect("sent");
        assert_eq!(wire.head().map(|(status, _)| status).ok(), Some(101));
        wire.end_within(Duration::from_secs(20)).unwrap_or_default()
    }

    /// What came of a call over HTTP/2.
    fn call(&self) -> (bool, Vec<u8>) {
        let mut frames = Frames::open(Wire::plain(self.gate.http()), &[]).expect("a connection");
        let stream = frames.get("calls.test", "/members.List/All").expect("sent");
        let reply = frames.reply(stream);
        (reply.reset.is_some() || reply.end.is_some() || reply.status != 200, reply.body)
    }
}

/// A plan with so many members that do not exist, and their mail.
fn planted(mut plan: Plan, canaries: usize) -> (Plan, Vec<String>) {
    let config = plan.write().display().to_string();
    let count = canaries.to_string();
    let new = ["canary", "new", "--config", &config, "--count", &count, "--domain", "post.example.org"];
    let made = run(Gate::binary(), &new, Duration::from_secs(30));
    assert!(made.success, "{}", made.stderr);
    let emails = made.stdout.lines().skip(1).filter_map(|line| line.split(',').nth(3)).map(str::to_owned).collect();
    let place = plan.place().display().to_string();
    let table = format!("[data]\ncanaries = \"{place}/canaries.txt\"\ncanary_key = \"{place}/canary.key\"\n");
    (plan.table(&table), emails)
}

fn each(value: &str, write: fn(u8) -> String) -> String {
    value.bytes().map(write).collect()
}

/// A kind of document, and how a value is written in one.
type Form = (&'static str, fn(&str) -> Vec<u8>);
const FORMS: [Form; 8] = [
    ("text/html", |value| format!("<td>{value}</td>").into_bytes()),
    ("application/json", |value| {
        format!("{{\"email\":\"{}\"}}", each(value, |byte| format!("\\u{byte:04X}"))).into_bytes()
    }),
    ("text/html", |value| format!("<td>{}</td>", each(value, |byte| format!("&#{byte};"))).into_bytes()),
    ("application/xml", |value| format!("<m>{}</m>", each(value, |byte| format!("&#x{byte:x};"))).into_bytes()),
    ("text/html", |value| format!("<a href=\"mailto:{}\">", value.replace('@', "%40")).into_bytes()),
    ("text/csv", |value| format!("id,email\r\n1,\"{}\"\r\n", value.to_uppercase()).into_bytes()),
    ("text/plain", |value| [0xff, 0xfe].into_iter().chain(value.encode_utf16().flat_map(u16::to_le_bytes)).collect()),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", |value| {
        zipped("xl/sharedStrings.xml", format!("<si><t>{value}</t></si>").as_bytes())
    }),
];

/// Codings on top of [`CODINGS`].
const STACKED: [&str; 2] = ["br, gzip", "gzip, zstd"];

/// Takes a value every way; says how many ways there were, and those that it came through.
fn ways(world: &World, value: &str, is_canary: bool) -> (u32, Vec<String>) {
    let (mut ways, mut came) = (0, Vec::new());
    let mut note = |way: &str, through: bool| {
        ways += 1;
        if through {
            came.push(way.to_owned());
        }
    };
    let mut wire = None;
    for (number, (kind, form)) in FORMS.iter().enumerate() {
        let plain = form(value);
        for coding in CODINGS.iter().chain(&STACKED) {
            let coded = if *coding == "plain" { String::new() } else { format!("Content-Encoding: {coding}\r\n") };
            let fields = format!("Content-Type: {kind}\r\n{coded}");
            let body = packed(coding, &plain);
            let (frame, pieces) = match number % 2 {
                0 => (Frame::Length, vec![body.clone()]),
                _ => (Frame::Chunks, body.chunks(7).map(<[u8]>::to_vec).collect()),
            };
            world.say(&fields, frame, pieces);
            let (status, left) = world.ask(&mut wire, "");
            assert_eq!(status, if is_canary { Reason::CanarySeen.status() } else { 200 }, "{coding} {kind} {value}");
            note(&format!("{coding} {kind}"), left == body);
        }
    }
    // A part that holds half of it, and the next one.
    let page = format!("{}{value}{}", "a ".repeat(500), " z".repeat(500)).into_bytes();
    world.say("Content-Type: text/html\r\nAccept-Ranges: bytes\r\n", Frame::Length, vec![page.clone()]);
    let (_, first) = world.ask(&mut wire, "Range: bytes=0-1005\r\n");
    let (_, second) = world.ask(&mut wire, "Range: bytes=1006-3000\r\n");
    note("ranges", first == page || [first, second].concat() == page);
    // Server-sent events, in pieces.
    let event = format!("event: member\ndata: {{\"email\":\"{value}\"}}\n\n").into_bytes();
    let (one, two) = event.split_at(30);
    let pieces = vec![b"data: {}\n\n".to_vec(), one.to_vec(), two.to_vec(), b"data: {}\n\n".to_vec()];
    world.say("Content-Type: text/event-stream\r\n", Frame::Chunks, pieces);
    let mut events = Wire::plain(world.gate.http());
    events.send(format!("GET /page HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).expect("sent");
    let left = events.end_within(Duration::from_secs(20)).unwrap_or_default();
    let text = String::from_utf8_lossy(&left).replace("\r\n", "\n");
    note("events", text.contains(&String::from_utf8_lossy(two).into_owned()));
    // WebSocket: whole, in fragments around a ping, packed, packed upon what was packed before, escaped.
    let text = format!("{{\"email\":\"{value}\"}}");
    let (head, tail) = text.as_bytes().split_at(16);
    let escaped = each(value, |byte| format!("\\u{byte:04x}"));
    let conversations = [
        ("whole", vec![socket_frame(0x81, text.as_bytes())]),
        ("fragments", vec![socket_frame(0x01, head), socket_frame(0x89, b"?"), socket_frame(0x80, tail)]),
        ("packed", vec![socket_frame(0xC1, &deflated_message(text.as_bytes()))]),
        ("escaped", vec![socket_frame(0x81, escaped.as_bytes())]),
    ];
    for (name, frames) in conversations {
        let all = [vec![socket_frame(0x81, b"hello")], frames, vec![socket_frame(0x88, &[])]].concat();
        world.say("", Frame::Switched, all.clone());
        let left = world.talk();
        let before_last = all.concat().len() - 2;
        note(&format!("WebSocket, {name}"), left.len() >= before_last);
    }
    // gRPC over HTTP/2.
    for (name, encoding, message) in [
        ("plain", "identity", grpc_message(false, format!("\n\x10{value}").as_bytes())),
        ("packed", "gzip", grpc_message(true, &packed("gzip", value.as_bytes()))),
    ] {
        let hello = grpc_message(false, b"\n\x05hello");
        world.grpc.say(
            &[("content-type", "application/grpc"), ("grpc-encoding", encoding)],
            [hello.as_slice(), &message].concat(),
        );
        let (broken, left) = world.call();
        assert_eq!(broken, is_canary, "gRPC, {name}");
        note(&format!("gRPC, {name}"), left.len() == hello.len() + message.len());
    }
    (ways, came)
}

#[test]
fn a_canary_leaves_in_no_way_and_what_is_ordinary_in_all() {
    let wanted = std::env::var("PORTCULLIS_CANARIES").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    let world = World::new("transports", wanted, "");
    assert_eq!(world.emails.len(), wanted);
    let (all, came) = ways(&world, "margaret.holloway.1@post.example.org", false);
    assert_eq!(came.len(), all as usize, "what is ordinary: {came:?}");
    assert_eq!(world.leaving()["canary_alarms"], 0);
    let (mut taken, mut stopped) = (0, 0);
    for email in &world.emails {
        let (all, came) = ways(&world, email, true);
        assert!(came.is_empty(), "{email} came through by {came:?}");
        taken += all;
        stopped += all;
    }
    assert!(taken >= 60 * u32::try_from(wanted).unwrap_or(u32::MAX));
    let alarms = world.leaving()["canary_alarms"].as_u64().unwrap_or_default();
    assert!(alarms >= u64::from(taken), "each sight is told: {alarms} of {taken}");
    figure("canaries stopped through the running gate", f64::from(stopped), "of as many");
}

#[test]
fn a_conversation_packed_by_a_real_library_is_read() {
    let Some(python) = Python::new("WebSocket") else { return };
    let mut plan = Plan::new("transports-library");
    let port = free_port();
    let server = python.serve("ws_server.py", &[&port.to_string()], &plan.place().join("ws-server.log"));
    let up = eventually(Duration::from_secs(20), || server.output().contains("ready"));
    assert!(up, "the WebSocket server did not come up: {}", server.output());
    let live = "[[platform.route]]\npath = \"/live\"\nclass = \"api\"\nupgrade = true\n";
    plan = plan.upstream(&[format!("http://127.0.0.1:{port}")], live);
    let (plan, emails) = planted(plan, 1);
    let gate = plan.start();
    for (value, outcome) in [("member99@post.example.org", "came"), (emails[0].as_str(), "stopped")] {
        let arguments = [&gate.http().to_string(), HOST, value];
        let output = python.run("ws_canary.py", &arguments, Duration::from_secs(60));
        assert_eq!(output.stdout.trim(), outcome, "{value}: {}", output.stderr);
    }
}

#[test]
fn a_list_is_no_shorter_for_being_asked_for_in_parts() {
    let budget = "[[platform.route]]\npath = \"/**\"\n[platform.route.data]\naction = \"block\"\n\
                  [[platform.route.budget]]\nwho = \"session\"\nover = \"hour\"\nrecords = 100\n";
    let world = World::new("transports-parts", 1, budget);
    let list: String = (0..400).fold(String::new(), |mut list, number| {
        let _ = writeln!(list, "member{number}@example.org");
        list
    });
    world.say("Content-Type: text/plain\r\n", Frame::Length, vec![list.clone().into_bytes()]);
    let (mut wire, mut left) = (None, String::new());
    for from in (0..list.len()).step_by(200) {
        let (status, part) = world.ask(&mut wire, &format!("Range: bytes={from}-{}\r\n", from + 199));
        if status == 200 || status == 206 {
            left.push_str(&String::from_utf8_lossy(&part));
        }
    }
    assert!(left.matches('@').count() <= 100, "{left}");
    // The benign twin: a page of few records, in parts, comes whole.
    world.say("Content-Type: text/plain\r\n", Frame::Length, vec![list.as_bytes()[..400].to_vec()]);
    let (status, part) = world.ask(&mut wire, "Range: bytes=0-10\r\nCookie: session=other\r\n");
    assert_eq!((status, part.len()), (200, 400), "the whole of it");
}

#[test]
fn bombs_are_counted_and_take_no_memory() {
    let world = World::new("transports-bombs", 1, "");
    let zeros = vec![b'0'; 32 << 20];
    let layered = |coding: &str, times: usize| (0..times).fold(zeros.clone(), |inner, _| packed(coding, &inner));
    let mut wire = None;
    let before = world.gate.memory();
    let mut most = 0;
    let bombs = [
        ("gzip", "text/html", packed("gzip", &zeros), "ratio"),
        ("br", "text/html", packed("br", &zeros), "ratio"),
        ("zstd", "text/html", packed("zstd", &zeros), "ratio"),
        ("plain", "application/zip", zipped("a.csv", &zeros), "ratio"),
        ("gzip, gzip", "text/html", layered("gzip", 2), "ratio"),
        ("plain", "application/octet-stream", layered("gzip", 6), "nesting"),
        ("zstd, br, gzip, zstd, br", "text/html", packed("zstd, br, gzip, zstd, br", &zeros), "nesting"),
        ("gzip", "text/html", [packed("gzip", b"x")[..10].to_vec(), vec![0xff; 5000]].concat(), "broken"),
    ];
    for (coding, kind, body, reason) in &bombs {
        let unread = || world.leaving()["unread_bytes"][*reason].as_u64().unwrap_or_default();
        let told = unread();
        let coded = if *coding == "plain" { String::new() } else { format!("Content-Encoding: {coding}\r\n") };
        world.say(&format!("Content-Type: {kind}\r\n{coded}"), Frame::Length, vec![body.clone()]);
        for _ in 0..8 {
            let (status, left) = world.ask(&mut wire, "");
            assert_eq!((status, left.len()), (200, body.len()), "it goes on as it came: {coding} {kind}");
        }
        most = most.max(world.gate.memory());
        let counted = eventually(Duration::from_secs(5), || unread() > told);
        assert!(counted, "{coding} {kind}: {reason} is counted: {}", world.leaving());
    }
    let published = world.gate.metrics().sum("portcullis_data_unread_bytes_total", &[("reason", "ratio")]);
    assert!(published > 0.0, "and published");
    assert!(most < before + (48 << 20), "{before} bytes, then {most}");
    figure("memory that bombs of 32 MB take", (most.saturating_sub(before)) as f64 / 1e6, "MB");
    // The gate still reads.
    world.say("Content-Type: text/html\r\n", Frame::Length, vec![world.emails[0].clone().into_bytes()]);
    assert_eq!(world.ask(&mut wire, "").0, Reason::CanarySeen.status());
}

#[test]
fn what_cannot_be_read_does_not_leave_where_that_is_declared() {
    let rest = "[[platform.route]]\npath = \"/**\"\n[platform.route.data]\nunread = \"refuse\"\n";
    let world = World::new("transports-unread", 1, rest);
    let mut wire = None;
    let zeros = vec![b'0'; 4 << 20];
    for (coding, body, passes) in [
        ("gzip", packed("gzip", &zeros), false),
        ("dcb", b"\xffDCB not known here".to_vec(), false),
        ("gzip", packed("gzip", b"<p>ordinary</p>"), true),
    ] {
        world.say(&format!("Content-Type: text/html\r\nContent-Encoding: {coding}\r\n"), Frame::Length, vec![body]);
        let (status, _) = world.ask(&mut wire, "");
        assert_eq!(status == 200, passes, "{coding}: {status}");
    }
    let refused = world.gate.journal().find(|record| record["reason"] == Reason::UnreadData.code());
    assert!(refused.is_some(), "it is in the log");
}

#[test]
fn a_navigation_beyond_its_budget_passes_a_challenge_and_has_it_once_more() {
    let plan = Plan::new("transports-step-up");
    let authority = Authority::new(plan.place());
    let origin = Origin::start(|seen, stream| {
        let page = seen.target().split_once("page=").and_then(|(_, page)| page.parse::<u64>().ok()).unwrap_or_default();
        let members: String =
            (page * 25..page * 25 + 25).fold("<h1>Our members</h1>".to_owned(), |mut text, number| {
                let _ = write!(text, "<li>member{number}@example.org</li>");
                text
            });
        respond(stream, 200, "Content-Type: text/html\r\n", members.as_bytes())?;
        Ok(Next::Keep)
    });
    let budget = "session_cookie = \"session\"\n[[platform.route]]\npath = \"/**\"\nclass = \"page\"\n[platform.route.data]\naction = \"step-up\"\n\
                  [[platform.route.budget]]\nwho = \"session\"\nover = \"hour\"\nrecords = 50\n";
    let gate = plan.tls(&[authority.leaf(&[HOST])]).upstream(&[origin.url()], budget).start();
    let ask = |page: u64, fields: &str| {
        let request = format!(
            "GET /list?page={page} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: Suite\r\nAccept: text/html\r\n{fields}\r\n"
        );
        Wire::plain(gate.http()).ask(request).expect("an answer")
    };
    // Within the budget nobody is asked anything.
    for page in 0..2 {
        assert_eq!(ask(page, "").status, 200, "page {page}");
    }
    let beyond = ask(2, "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
    assert!(beyond.status != 200 && beyond.text().contains("data-puzzle="), "{}: {}", beyond.status, beyond.text());
    assert!(!beyond.text().contains("@example.org"), "nothing of it has left");
    let script = ask(2, "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n");
    assert_eq!(script.status, Reason::DataBudget.status(), "what is no navigation is refused: {}", script.text());
    let Some(mut browser) = Browser::start("a step up", gate.place(), &format!("MAP {HOST} 127.0.0.1")) else { return };
    let url = |page: u64| format!("https://{HOST}:{}/list?page={page}", gate.https().port());
    browser.open(&url(2));
    assert!(browser.shows("Our members", Duration::from_secs(60)), "{}\n{}", browser.text(), gate.said());
    browser.open(&url(3));
    assert!(browser.text().contains("member99@"), "as many again: {}", browser.text());
    browser.open(&url(4));
    assert!(!browser.text().contains("@example.org"), "and no more: {}", browser.text());
}
