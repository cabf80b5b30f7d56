//! The report as people get it: every part is there, it reads without seeing, and nobody who sends a name into it moves it.

mod scene;

use portcullis_incident::{Contact, Organisation, Report, html};
use portcullis_ledger::{Alarm, Event, Note, Traffic};
use scene::{MINUTE, SECOND, case, records, sound};

fn organisation() -> Organisation {
    let contact = Contact { name: "Ada Lind".into(), role: "lead".into(), email: "ada@example.net".into(), phone: "+44 20 7946 0000".into() };
    Organisation { name: "The Party".into(), contacts: vec![contact], ..Organisation::default() }
}

fn report(extra: Vec<(u64, Event)>) -> Report {
    Report::compose(&case(&records(extra, |_, _| true)), &sound(), &organisation(), scene::END)
}

#[test]
fn the_reports_numbers_are_those_that_were_put_in() {
    let report = report(vec![]);
    // Two waves of 120 intervals; 50,000 hostile requests and 100 of people in each on the platform under attack, 100 on the other,
    // and two minutes longer while the measure lasts.
    let hot: u64 = 2 * 121 * 2 * 100;
    assert_eq!(report.value("suspect"), 2 * 120 * 50_000);
    let (requests, people) = (report.value("requests"), report.value("people"));
    assert_eq!(requests - people, 2 * 120 * 50_000);
    assert!((hot..hot + 2 * 14 * 200).contains(&people), "{people}");
    assert_eq!(report.value("busiest"), 50_100);
    assert_eq!(report.value("statements_refused"), 40);
    assert_eq!(report.waves.len(), 2);
    let public = &report.platforms[1];
    assert_eq!((public.name.as_str(), public.ordinary_ms, public.worst_ms), ("public", Some(40), 900));
    assert_eq!(public.restored.as_deref(), Some("2019-11-11 12:22:00 UTC"));
}

#[test]
fn every_figure_rests_on_records_that_are_quoted() {
    let report = report(vec![]);
    let quoted = report.quoted();
    for figure in &report.figures {
        assert!(figure.value == 0 || figure.evidence.records > 0, "{figure:?}");
        assert!(figure.evidence.indices().all(|index| quoted.binary_search(&index).is_ok()), "{figure:?}");
    }
    for sentence in &report.statement.sentences {
        assert!(sentence.evidence.records > 0, "a sentence without evidence: {sentence:?}");
    }
}

#[test]
fn the_page_has_headings_a_language_and_a_table_beside_each_chart() {
    let page = html(&report(vec![])).expect("a page");
    assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("<svg").count(), page.matches("<caption>Requests to").count());
    assert!(page.contains("There is at most a remote chance"), "{}", &page[..4000]);
    for part in ["Ada Lind", "2019-11-11 12:00:00 UTC", "50,100", "credential-stuffing", "Unknown."] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script") && !page.contains("src="), "it loads and runs nothing");
}

#[test]
fn hostile_names_stay_names() {
    let evil = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}\u{1b}[2J\"'{{ r }}";
    let traffic = Traffic { platform: evil.into(), route: evil.into(), audience: "human".into(), from: SECOND, until: SECOND + 10_000, requests: 9, refused: [(evil.to_owned(), 9)].into(), ..Traffic::default() };
    let alarm = Alarm { what: evil.into(), platform: evil.into(), through: evil.into(), words: evil.into(), count: 3 };
    let note = Note { incident: "2019-11-11-1".into(), by: evil.into(), words: evil.into(), answers: [(evil.to_owned(), evil.to_owned())].into() };
    let report = report(vec![(SECOND + MINUTE, Event::Traffic(traffic)), (SECOND + MINUTE, Event::Alarm(alarm)), (SECOND + MINUTE, Event::Note(note))]);
    let page = html(&report).expect("a page");
    assert!(page.contains("&lt;script&gt;"), "it is told, escaped");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert!(page.contains("{{ r }}"), "a value is no template");
    let json = serde_json::to_string(&report).expect("JSON");
    assert!(!json.contains('\u{202e}') && !json.contains("\\u001b"));
}
