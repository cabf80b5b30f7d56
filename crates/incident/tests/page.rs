//! The report as people get it: every part is there, it reads without seeing, and nobody who sends a name into it moves it.

mod scene;

use portcullis_incident::{Contact, Organisation, Report, html, pdf};
use portcullis_ledger::{Alarm, Event, Note, Told, Traffic};
use proptest::prelude::*;
use scene::{MINUTE, SECOND, case, records, sound};

fn organisation() -> Organisation {
    let contact = Contact {
        name: "Ada Lind".into(),
        role: "lead".into(),
        email: "ada@example.net".into(),
        phone: "+44 20 7946 0000".into(),
    };
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
fn no_row_stands_for_a_time_before_the_first_record() {
    let late = scene::NOON - 5 * MINUTE;
    let records = records(vec![], |at, event| at > late || !matches!(event, Event::Traffic(_) | Event::Probe(_)));
    let report = Report::compose(&case(&records), &sound(), &organisation(), scene::END);
    for platform in &report.platforms {
        let (time, first) = &platform.rows[0];
        assert_eq!(time, "2019-11-11 11:55:00 UTC");
        assert!(first.requests > 0, "{}: {first:?}", platform.name);
    }
}

#[test]
fn a_report_is_the_same_pdf_each_time_and_another_is_not() {
    let file = |by: &str| {
        let note = Note { incident: "2019-11-11-1".into(), by: by.into(), words: "x".into(), ..Note::default() };
        pdf(&report(vec![(SECOND, Event::Note(note))])).expect("a file")
    };
    let one = file("duty");
    assert!(one.starts_with(b"%PDF-1.7") && one.ends_with(b"%%EOF"));
    assert!(one == file("duty") && one != file("lead"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever a record says, and however long its words are, there is a page and a file of it.
    #[test]
    fn there_is_a_report_of_whatever_was_recorded(name in "\\PC{0,80}", words in any::<String>(), many in 0usize..60) {
        let note = Note { incident: "2019-11-11-1".into(), by: name.clone(), words: words.repeat(many), ..Note::default() };
        let alarm = Alarm { what: name.clone(), platform: words, words: name.repeat(many), count: 3, ..Alarm::default() };
        let report = report(vec![(SECOND, Event::Note(note)), (SECOND, Event::Alarm(alarm))]);
        prop_assert!(html(&report).is_ok());
        prop_assert!(pdf(&report).is_ok_and(|file| file.len() > 10_000));
    }
}

#[test]
fn hostile_names_stay_names() {
    let evil = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}\u{1b}[2J\"'{{ r }}";
    let traffic = Traffic {
        platform: evil.into(),
        route: evil.into(),
        audience: "human".into(),
        from: SECOND,
        until: SECOND + 10_000,
        requests: 9,
        refused: [(evil.to_owned(), 9)].into(),
        ..Traffic::default()
    };
    let alarm = Alarm { what: evil.into(), platform: evil.into(), through: evil.into(), words: evil.into(), count: 3 };
    let note = Note {
        incident: "2019-11-11-1".into(),
        by: evil.into(),
        words: evil.into(),
        answers: [(evil.to_owned(), evil.to_owned())].into(),
    };
    let report = report(vec![
        (SECOND + MINUTE, Event::Traffic(traffic)),
        (SECOND + MINUTE, Event::Alarm(alarm)),
        (SECOND + MINUTE, Event::Note(note)),
    ]);
    let page = html(&report).expect("a page");
    assert!(page.contains("&lt;script&gt;"), "it is told, escaped");
    assert!(
        !page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{1b}')
    );
    assert!(page.contains("{{ r }}"), "a value is no template");
    let json = serde_json::to_string(&report).expect("JSON");
    assert!(!json.contains('\u{202e}') && !json.contains("\\u001b"));
}

#[test]
fn every_form_that_is_built_in_is_filled_in_and_says_what_is_missing() {
    let evil = "``` \n# heading <script> [a](javascript:x)";
    let answers =
        [("uk-ncsc.next".to_owned(), evil.to_owned()), ("uk-ico.who".to_owned(), "members".to_owned())].into();
    let note = Note { incident: "2019-11-11-1".into(), by: "duty".into(), answers, ..Note::default() };
    let told = Told {
        incident: "2019-11-11-1".into(),
        by: "duty".into(),
        whom: "the board".into(),
        words: "by telephone".into(),
    };
    let report = report(vec![(SECOND + MINUTE, Event::Note(note)), (SECOND + MINUTE, Event::Told(told))]);
    let forms = portcullis_incident::forms::Form::built_in().expect("forms");
    for form in &forms {
        let draft = form.fill(&report, &forms).expect("filled in");
        match form.id.as_str() {
            "uk-ncsc" => {
                assert!(draft.missing.is_empty(), "{:?}", draft.missing);
                assert!(draft.markdown.contains("Ada Lind"), "{}", draft.markdown);
                assert!(draft.markdown.contains("\n````text\n"), "an answer cannot end its fence: {}", draft.markdown);
                assert!(
                    draft.markdown.contains("12,000,000") || draft.markdown.contains("requests came"),
                    "{}",
                    draft.markdown
                );
            }
            "uk-ico" => {
                assert_eq!(draft.due, Some(scene::NOON + 72 * scene::HOUR));
                assert!(draft.missing.iter().any(|missing| missing.contains("uk-ico.records")));
                assert!(!draft.missing.iter().any(|missing| missing.contains("uk-ico.who")));
            }
            "eu-nis2-final" => assert_eq!(draft.due, Some(scene::NOON + (72 + 720) * scene::HOUR)),
            _ => {}
        }
    }
    assert!(portcullis_incident::forms::Form::read("id = \"x\"\nunknown = 1").is_err());
}

#[test]
fn texts_for_people_and_machines_say_the_same_and_are_harmless() {
    let evil = "</script><b>x</b> [click](https://evil.example)";
    let alarm =
        Alarm { what: "injection".into(), platform: evil.into(), through: evil.into(), words: evil.into(), count: 3 };
    let report = report(vec![(SECOND + MINUTE, Event::Alarm(alarm))]);
    let statement = portcullis_incident::statement(&report).expect("a statement");
    assert!(statement.contains("There is at most a remote chance that personal data was taken"), "{statement}");
    assert!(statement.contains("Who is behind it is unknown."));
    let english = portcullis_incident::notice(&report, "en").expect("a notice");
    let danish = portcullis_incident::notice(&report, "da").expect("a notice");
    assert!(english.contains("To our members") && danish.contains("højst en fjern mulighed"), "{danish}");
    let handover = portcullis_incident::handover(&report).expect("a page");
    for text in [&statement, &english, &danish, &handover] {
        assert!(!text.contains("<b>") && !text.contains("](https://"), "{text}");
        let lower = text.to_lowercase();
        assert!(!lower.contains("sophisticated") && !lower.contains("impossible"));
    }
    let stix = portcullis_incident::machine::stix(&report);
    let incident = stix["objects"].as_array().and_then(|all| all.last()).expect("an incident");
    assert_eq!(
        incident["extensions"]["extension-definition--ef765651-680c-498d-9894-99799f2fa126"]["determination"],
        "blocked"
    );
    assert_eq!(stix, portcullis_incident::machine::stix(&report), "the same each time");
    assert!(portcullis_incident::machine::timesketch(&report).lines().count() > 8);
    assert!(portcullis_incident::machine::ocsf(&report).starts_with('{'));
    assert_eq!(portcullis_incident::machine::misp(&report)["Event"]["date"], "2019-11-11");
    let playbook = portcullis_incident::machine::cacao(&report);
    assert_eq!(playbook["spec_version"], "cacao-2.0");
    // What it is said to do, and what its steps do, is the same.
    let done = playbook["workflow"].as_object().into_iter().flat_map(|steps| steps.values());
    let done: std::collections::BTreeSet<&str> =
        done.filter_map(|step| step["commands"][0]["playbook_activity"].as_str()).collect();
    assert!(done.len() > 1, "{playbook:#}");
    assert_eq!(playbook["playbook_activities"], serde_json::json!(done));
}

/// The guide's walk-through through the NCSC's nine questions is true of a report: each place that it names is there, and so is
/// each answer.
#[test]
fn the_nine_questions_are_answered_where_the_guide_says() {
    let told = Told {
        incident: "2019-11-11-1".into(),
        by: "duty".into(),
        whom: "the board".into(),
        words: "by telephone".into(),
    };
    let page = html(&report(vec![(SECOND + MINUTE, Event::Told(told))])).expect("a page");
    let text = page.replace("&#x27;", "'");
    let guide = include_str!("../../../docs/guide/incident.md");
    let rows: Vec<Vec<&str>> = guide
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_digit))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 9);
    for row in rows {
        for place in row[1].split("; ").filter(|place| *place != "the head of the page") {
            assert!(text.contains(&format!(">{place}</h")) || text.contains(&format!("<caption>{place}<")), "{place}");
        }
        for word in row[2].split([' ', ',']).filter(|word| word.len() > 3 && *word != "from" && *word != "Wave") {
            assert!(text.contains(word), "{}: `{word}` of `{}`", row[0], row[2]);
        }
    }
}
