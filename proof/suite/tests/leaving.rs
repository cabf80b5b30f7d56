//! What leaves: a list pulled page by page ends at its budget, a canary leaves in no coding, and what is ordinary leaves whole.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use portcullis_suite::packing::{CODINGS, packed};
use portcullis_suite::{Gate, HOST, Next, Origin, Plan, Response, Seen, Wire, digest, eventually, respond, run};
use portcullis_types::Reason;
use serde_json::Value;

/// A page of 25 members.
fn members(page: u64) -> String {
    let member = |number: u64| {
        format!(
            "{{\"id\":{number},\"name\":\"Member {number}\",\"email\":\"member{number}@example.org\",\"town\":\"Leeds\"}}"
        )
    };
    let all: Vec<String> = (page * 25..page * 25 + 25).map(member).collect();
    format!("{{\"members\":[{}]}}", all.join(","))
}

/// `/CODING/list?page=N`, `/CODING/say?TEXT`, each packed as its first part says.
fn answer(seen: &Seen, stream: &mut TcpStream) -> io::Result<Next> {
    let mut parts = seen.path().trim_start_matches('/').split('/');
    let (coding, what) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let query = seen.target().split_once('?').map_or("", |(_, query)| query);
    let (kind, body) = match what {
        "list" => ("application/json", members(query.trim_start_matches("page=").parse().unwrap_or_default())),
        "long" => ("application/json", (0..200).map(members).collect::<Vec<_>>().join("\n")),
        "file" => ("text/plain", fs::read_to_string(query).unwrap_or_default()),
        _ => ("text/html", "<p>write to office@example.org</p>".repeat(40)),
    };
    let body = packed(coding, body.as_bytes());
    let coded = if coding == "plain" { String::new() } else { format!("Content-Encoding: {coding}\r\n") };
    respond(stream, 200, &format!("Content-Type: {kind}\r\n{coded}"), &body)?;
    Ok(Next::Keep)
}

fn ask(gate: &Gate, target: &str, fields: &str) -> Result<Response, portcullis_suite::Broken> {
    Wire::plain(gate.http()).ask(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n"))
}

fn status(gate: &Gate) -> Value {
    let output = gate.command(&["status", "--json", "--config", &gate.config().display().to_string()]);
    serde_json::from_str::<Value>(&output.stdout).unwrap_or_default()["leaving"].clone()
}

const BUDGET: &str = "session_cookie = \"session\"\n[[platform.route]]\npath = \"/**\"\n[platform.route.data]\n\
                      action = \"block\"\n[[platform.route.budget]]\nwho = \"session\"\nover = \"hour\"\nrecords = 100\n";

#[test]
fn a_list_pulled_page_by_page_ends_at_its_budget_and_what_left_is_known() {
    let origin = Origin::start(answer);
    let gate = Plan::new("leaving-pages").upstream(&[origin.url()], BUDGET).start();
    let address = format!("http://{}", gate.http());
    for coding in CODINGS {
        let cookie = format!("Cookie: session={coding}");
        let host = format!("Host: {HOST}");
        let (mut taken, mut refused) = (0, 0);
        for page in 0..10 {
            let url = format!("{address}/{coding}/list?page={page}");
            let arguments =
                ["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "-H", &host, "-H", &cookie, &url];
            match run("curl", &arguments, Duration::from_secs(30)).stdout.trim() {
                "200" => taken += 25,
                "403" => refused += 1,
                other => panic!("{coding}: page {page} came to {other}"),
            }
        }
        assert_eq!((taken, refused), (100, 6), "{coding}");
        // The same records again are none that have not left already.
        let again = ask(&gate, &format!("/{coding}/list?page=1"), &format!("{cookie}\r\n")).expect("an answer");
        assert_eq!(again.status, 200, "{coding}");
    }
    let served = |record: &Value| record["verdict"] == "served" && record["left"]["records"].as_u64().is_some();
    let known = eventually(Duration::from_secs(10), || {
        let records = gate.journal().records();
        let left: u64 = records.iter().filter(|it| served(it)).filter_map(|it| it["left"]["records"].as_u64()).sum();
        left == (100 + 25) * CODINGS.len() as u64
    });
    assert!(known, "what left is in the log: {:#?}", gate.journal().records().last());
    let refusal = gate.journal().find(|record| record["reason"] == Reason::DataBudget.code()).expect("it is recorded");
    assert!(refusal["detail"].as_str().is_some_and(|it| it.contains("more than 100 records")), "{refusal}");
    assert!(gate.metrics().sum("portcullis_data_records_total", &[]) > 0.0);
}

#[test]
fn an_answer_that_is_too_much_is_broken_off_or_ends_before_it() {
    let origin = Origin::start(answer);
    for (action, whole) in [("block", false), ("truncate", false), ("observe", true)] {
        let rest = BUDGET.replace("\"block\"", &format!("\"{action}\"")).replace("records = 100", "records = 1000");
        let gate = Plan::new(&format!("leaving-{action}")).upstream(&[origin.url()], &rest).start();
        // 5,000 records and 400 kB: some have left before the thousandth is met.
        let plain = (0..200).map(members).collect::<Vec<_>>().join("\n");
        let mut wire = Wire::plain(gate.http());
        wire.send(format!("GET /plain/long HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).expect("sent");
        let came = wire.end_within(Duration::from_secs(20)).unwrap_or_default();
        let text = String::from_utf8_lossy(&came);
        let left = text.matches("@example.org").count();
        assert_eq!(text.contains(&plain[plain.len() - 60..]), whole, "{action}: {left} left");
        assert!(if whole { left == 5000 } else { left <= 1000 }, "{action}: {left} left");
        let told = gate.journal().find(|record| {
            record["reason"] == Reason::DataBudget.code() || record["observed"].to_string().contains("data-budget")
        });
        assert!(told.is_some(), "{action}: it is in the log");
    }
}

#[test]
fn what_is_beyond_the_budget_is_overwritten_where_that_is_declared() {
    let origin = Origin::start(answer);
    let rest = BUDGET.replace("\"block\"", "\"mask\"").replace("records = 100", "records = 1000");
    let gate = Plan::new("leaving-mask").upstream(&[origin.url()], &rest).start();
    let plain = (0..200).map(members).collect::<Vec<_>>().join("\n");
    let answer = ask(&gate, "/plain/long", "Accept-Encoding: gzip\r\n").expect("an answer");
    let text = answer.text();
    assert_eq!((answer.status, text.len(), text.matches("@example.org").count()), (200, plain.len(), 1000));
    let same = text.bytes().zip(plain.bytes()).all(|(left, came)| left == came || left == b'*');
    assert!(same && text.contains("\"town\":\"Leeds\"}]}"), "nothing else is touched");
    assert_eq!(origin.take()[0].header("accept-encoding"), Some("identity"), "plain text is asked for");
    // What is packed cannot be overwritten: the budget is spent, so that it does not leave.
    let packed = ask(&gate, "/gzip/list?page=300", "").expect("an answer");
    assert_eq!(packed.status, Reason::DataBudget.status());
    let told = gate.journal().find(|record| record["observed"].to_string().contains("masked"));
    assert!(told.is_some(), "it is in the log");
}

#[test]
fn what_is_ordinary_leaves_as_it_came() {
    let origin = Origin::start(answer);
    let gate = Plan::new("leaving-ordinary").upstream(&[origin.url()], BUDGET).start();
    let page = "<p>write to office@example.org</p>".repeat(40);
    for coding in CODINGS {
        for _ in 0..20 {
            let answer =
                ask(&gate, &format!("/{coding}/page"), "Accept-Encoding: gzip, dcb, br;q=0.5\r\nRange: bytes=0-9\r\n");
            let answer = answer.expect("an answer");
            assert_eq!(
                (answer.status, digest(&answer.body)),
                (200, digest(&packed(coding, page.as_bytes()))),
                "{coding}"
            );
        }
    }
    let arrived = origin.take();
    assert_eq!(arrived[0].header("accept-encoding"), Some("gzip, br;q=0.5"), "what can be read is asked for");
    assert_eq!(arrived[0].header("range"), None, "and the whole of it");
}

#[test]
fn a_canary_leaves_in_no_coding_and_rings_when_it_is_brought_back() {
    let origin = Origin::start(answer);
    let mut plan = Plan::new("leaving-canaries").upstream(&[origin.url()], "");
    let config = plan.write();
    let config = config.display().to_string();
    let make = |kind: &[&str]| {
        let arguments = [&["canary", "new", "--config", &config], kind].concat();
        let made = run(Gate::binary(), &arguments, Duration::from_secs(30));
        assert!(made.success, "{}", made.stderr);
        made.stdout
    };
    let members = make(&["--count", "20", "--domain", "post.example.org", "--home", "main:/plain/file/home/**"]);
    let ids = make(&["--kind", "id"]);
    let place = plan.place().display().to_string();
    let table = format!("[data]\ncanaries = \"{place}/canaries.txt\"\ncanary_key = \"{place}/canary.key\"\n");
    let gate = plan.table(&table).start();
    let tried = gate.command(&["canary", "test", "--config", &config]);
    assert!(tried.success && tried.stdout.matches("21 of 21").count() == 6, "{}", tried.stdout);

    let emails: Vec<&str> = members.lines().skip(1).filter_map(|line| line.split(',').nth(3)).collect();
    assert_eq!(emails.len(), 20, "{members}");
    let mut seen = 0;
    for email in &emails {
        for coding in CODINGS {
            let escaped: String = email.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
            let entities: String = email.bytes().map(|byte| format!("&#{byte};")).collect();
            for (number, form) in [email, escaped.as_str(), entities.as_str()].into_iter().enumerate() {
                let path = gate.place().join(format!("page-{number}.txt"));
                fs::write(&path, format!("{}{form}{}", "a ".repeat(3000), " z".repeat(3000))).expect("written");
                let answer = ask(&gate, &format!("/{coding}/file?{}", path.display()), "").expect("an answer");
                assert_eq!(answer.status, Reason::CanarySeen.status(), "{email} {coding} {form}");
                seen += 1;
            }
        }
    }
    let path = gate.place().join("page-0.txt");
    let home = ask(&gate, &format!("/plain/file/home?{}", path.display()), "").expect("an answer");
    assert_eq!(home.status, 200, "at home it is no alarm");
    let id = ids.lines().nth(1).and_then(|line| line.split(',').nth(1)).expect("an id").to_owned();
    let back = ask(&gate, &format!("/plain/page/{id}"), "").expect("an answer");
    assert_eq!(back.status, Reason::CanarySeen.status(), "brought back");

    let leaving = status(&gate);
    assert_eq!(leaving["canary_alarms"], seen + 1, "{leaving}");
    let sum = gate.metrics().sum("portcullis_canary_alarms_total", &[]);
    assert!((sum - f64::from(seen + 1)).abs() < 0.5, "{sum}");
    assert!(gate.said().contains("a canary was seen"), "it is said aloud");
    assert!(gate.command(&["status", "--config", &config]).stdout.contains("ALARM canary c-21 was brought back"));
    // Nothing of a canary's value is in the registry or in the log.
    let written = fs::read_to_string(gate.place().join("canaries.txt")).expect("a registry");
    let log = format!("{:?}", gate.journal().records());
    assert!(!written.contains(emails[0]) && !log.contains(emails[0]), "{written}");
}

#[test]
fn one_id_after_the_other_is_told_and_where_declared_refused() {
    let origin = Origin::start(answer);
    let rest = "[[platform.route]]\npath = \"/plain/**\"\n[platform.route.data]\nenumeration = \"enforce\"\n";
    let gate = Plan::new("leaving-ids").upstream(&[origin.url()], rest).start();
    let walk = |ids: &mut dyn Iterator<Item = u64>, who: &str| -> Vec<u16> {
        ids.map(|id| ask(&gate, &format!("/{who}/page/{id}"), "").expect("an answer").status).collect()
    };
    let people = walk(&mut (0..80).map(|at| at * 7919 % 100_003), "plain");
    assert!(people.iter().all(|status| *status == 200), "{people:?}");
    let seeker = walk(&mut (5000..5200), "plain");
    let first = seeker.iter().position(|status| *status == Reason::Enumeration.status());
    assert!(first.is_some_and(|first| first > 20), "{first:?}");
    assert!(seeker.iter().skip(first.unwrap_or_default()).all(|status| *status == Reason::Enumeration.status()));
    // Elsewhere it is only told.
    let watched = walk(&mut (5000..5200), "gzip");
    assert!(watched.iter().all(|status| *status == 200));
    let told = gate.journal().find(|record| {
        record["path"].as_str().is_some_and(|path| path.starts_with("/gzip"))
            && record["observed"].to_string().contains("enumeration")
    });
    assert!(told.is_some());
}

#[test]
fn an_export_as_declared_is_counted_and_not_stopped() {
    let origin = Origin::start(answer);
    let rest = BUDGET.replace("action = \"block\"", "action = \"block\"\nexport = [\"membership-team\"]");
    let team = "[[vouched]]\nname = \"membership-team\"\nkind = \"staff\"\nnetworks = [\"127.0.0.2/32\"]\n";
    let gate = Plan::new("leaving-export").table(team).upstream(&[origin.url()], &rest).start();
    let whole = (0..200).map(members).collect::<Vec<_>>().join("\n");
    let request = format!("GET /plain/long HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut wire = Wire::plain_from("127.0.0.2".parse().expect("an address"), gate.http()).expect("connected");
    let answer = wire.ask(&request).expect("an answer");
    assert_eq!((answer.status, digest(&answer.body)), (200, digest(whole.as_bytes())));
    let other = ask(&gate, "/plain/long", "").expect("an answer");
    assert_eq!(other.status, Reason::DataBudget.status(), "nobody else");
    assert!(eventually(Duration::from_secs(5), || status(&gate)["exported"]
        .as_u64()
        .is_some_and(|count| count > 4000)));
}

#[test]
fn many_addresses_that_look_alike_share_a_budget_and_their_walk_is_told() {
    let origin = Origin::start(answer);
    let rest = BUDGET.replace("who = \"session\"", "who = \"cluster\"")
        + "[[platform.route]]\npath = \"/plain/page/**\"\n[platform.route.data]\nenumeration = \"observe\"\n";
    let gate = Plan::new("leaving-slow").upstream(&[origin.url()], &rest).start();
    let from = |last: u64, target: &str, agent: &str| {
        let address = format!("127.0.9.{}", last % 250 + 1).parse().expect("an address");
        let mut wire = Wire::plain_from(address, gate.http()).expect("connected");
        let answer = wire.ask(format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{agent}\r\n")).expect("an answer");
        (answer.status, answer.text().matches("@example.org").count())
    };
    // Each address takes one page and is never seen again; all of them together have the budget of one.
    let taken: Vec<(u16, usize)> = (0..40).map(|page| from(page, &format!("/plain/list?page={page}"), "")).collect();
    let left: usize = taken.iter().filter(|(status, _)| *status == 200).map(|(_, members)| members).sum();
    assert_eq!((left, taken.iter().filter(|(status, _)| *status == 403).count()), (100, 36), "{taken:?}");
    // Somebody who looks different is not held to it.
    let other = from(7, "/plain/list?page=0", "Accept: text/html\r\nAccept-Language: en\r\n");
    assert_eq!(other, (200, 25));
    let known = eventually(Duration::from_secs(10), || {
        let records = gate.journal().records();
        let served = records.iter().filter(|record| record["verdict"] == "served");
        served.filter_map(|record| record["left"]["records"].as_u64()).sum::<u64>() == 125
    });
    assert!(known, "what left is in the log");
    // One id each, in no order of time but close together: told, and nobody is refused for the others.
    let statuses: Vec<u16> =
        (0..900).map(|at| from(at, &format!("/plain/page/{}", 7000 + at * 7 % 900), "").0).collect();
    assert!(statuses.iter().all(|status| *status == 200));
    assert!(status(&gate)["enumerations"].as_u64().is_some_and(|told| told > 0), "{}", status(&gate));
    let told = gate.journal().find(|record| record["observed"].to_string().contains("by many that look alike"));
    assert!(told.is_some(), "it is in the log");
}
