//! The proof of the negative: spoil the evidence in one way, and the sentence must change in the way that the rules say.

mod scene;

use portcullis_incident::{Assessment, Asset, Claim, Confidence, Ledger, Likelihood, Outcome, Tried};
use portcullis_ledger::{Beat, Canary, Copies, Custody, Disclosure, Drill, Egress, Event, Finding, Lost, State};
use scene::{BEGIN, HOUR, MINUTE, NOON, SECOND, case, records, register, sound};

fn judged(extra: Vec<(u64, Event)>, change: impl FnMut(u64, &mut Event) -> bool) -> Assessment {
    Assessment::of(&case(&records(extra, change)), &sound())
}

fn headline(assessment: &Assessment, claim: Claim) -> (Outcome, Confidence, String) {
    let verdict = assessment.headline(claim).expect("a headline");
    (verdict.outcome, verdict.confidence, verdict.sentence.clone())
}

fn all(_: u64, _: &mut Event) -> bool {
    true
}

#[test]
fn with_everything_watched_and_tried_the_sentence_stands_and_says_how_sure() {
    let assessment = judged(vec![], all);
    for claim in [Claim::Confidentiality, Claim::Integrity] {
        let verdict = assessment.headline(claim).expect("a headline");
        assert_eq!(verdict.likelihood, Some(Likelihood::RemoteChance), "{verdict:#?}");
        assert!(verdict.sentence.starts_with("There is at most a remote chance"), "{}", verdict.sentence);
        assert!(!verdict.sentence.contains("confiden"), "likelihood and confidence are never in one sentence");
        assert!(verdict.confidence_sentence.contains("confidence"));
    }
    let web = assessment.verdicts.iter().find(|it| it.claim == Claim::Confidentiality && it.asset == Some(Asset::Web));
    assert_eq!(web.map(|web| web.confidence), Some(Confidence::High), "{web:#?}");
    let (outcome, _, sentence) = headline(&assessment, Claim::Availability);
    assert_eq!(outcome, Outcome::Reduced, "people were refused, and it was slow");
    assert!(sentence.contains("full service was back at 2019-11-11 15:22:00 UTC"), "{sentence}");
}

#[test]
fn what_leaks_through_any_path_refuses_the_sentence() {
    let canary = |path: &str, left: bool, way: &str| {
        Event::Canary(Canary {
            canary: "c-1".into(),
            path: path.into(),
            through: "/members".into(),
            left,
            way: way.into(),
            ..Canary::default()
        })
    };
    let leak = |path: &str, left: u64| {
        Event::Disclosure(Disclosure {
            path: path.into(),
            through: "app".into(),
            what: "rows".into(),
            whose: "role".into(),
            allowed: 100,
            reached: 900,
            left,
            action: "cut".into(),
            ..Disclosure::default()
        })
    };
    let table = [
        ("a canary in an answer", canary("http/public", true, "answer")),
        ("a canary that was stopped", canary("http/public", false, "answer")),
        ("a canary through SQL", canary("database/members", true, "sql")),
        ("a canary through COPY", canary("database/members", true, "copy")),
        ("a canary's credentials", canary("http/public", false, "sign-in")),
        ("a canary at the mailing provider", canary("mailing-provider", true, "mail")),
        ("a canary on a path that nobody registered", canary("http/forgotten", true, "answer")),
        ("a budget of the database that was passed", leak("database/members", 101)),
        ("a budget of the web that was passed", leak("http/public", 900)),
    ];
    for (name, event) in table {
        let assessment = judged(vec![(SECOND + MINUTE, event)], all);
        let (outcome, confidence, sentence) = headline(&assessment, Claim::Confidentiality);
        assert_eq!((outcome, confidence), (Outcome::Refused, Confidence::None), "{name}");
        assert!(sentence.starts_with("We do not say that no personal data was taken"), "{name}: {sentence}");
        let because = &assessment.headline(Claim::Confidentiality).expect("a headline").because;
        assert!(because.iter().any(|reason| reason.evidence.records == 1), "{name}: {because:?}");
    }
    let held = judged(vec![(SECOND + MINUTE, leak("database/members", 100))], all);
    assert_eq!(headline(&held, Claim::Confidentiality).0, Outcome::Attested.max(Outcome::Bounded), "the budget held");
    assert!(held.residuals.iter().any(|residual| residual.words.contains("reached and held")));
    let before = judged(
        vec![
            (NOON - 10 * MINUTE, canary("http/public", true, "answer")),
            (
                NOON - 9 * MINUTE,
                Event::Closed(portcullis_ledger::Closed {
                    incident: "2019-11-11-1".into(),
                    by: "duty".into(),
                    words: String::new(),
                }),
            ),
        ],
        all,
    );
    assert_ne!(headline(&before, Claim::Confidentiality).0, Outcome::Refused, "that belongs to the incident before");
    let drill = Canary {
        canary: "c-1".into(),
        path: "http/public".into(),
        left: true,
        drill: "d-1".into(),
        ..Canary::default()
    };
    let drilled = judged(vec![(SECOND, Event::Canary(drill))], all);
    assert_ne!(headline(&drilled, Claim::Confidentiality).0, Outcome::Refused, "our own drill");
}

#[test]
fn what_was_not_tried_right_before_lowers_the_word() {
    let case = case(&records(vec![], all));
    let web = |tried: Option<Tried>| {
        let assessment = Assessment::of(&case, &Ledger { tried, ..sound() });
        let verdict = assessment
            .verdicts
            .into_iter()
            .find(|it| it.claim == Claim::Confidentiality && it.asset == Some(Asset::Web));
        verdict.expect("a verdict")
    };
    let seen = Tried { words: "7 ways were tried right before this was written; each was seen".into(), sound: true };
    assert_eq!(web(Some(seen)).confidence, Confidence::High);
    let verdict = web(Some(Tried::not("nothing was tried before this was written: no gate with sensors runs")));
    assert_eq!(verdict.confidence, Confidence::Moderate);
    let said = "Nothing was tried before this was written: no gate with sensors runs.";
    assert!(verdict.because.iter().any(|reason| reason.words == said), "{:?}", verdict.because);
}

#[test]
fn what_anybody_can_say_is_shown_and_changes_no_sentence() {
    let said = |number: u64| {
        let finding = Finding {
            what: portcullis_ledger::HEARSAY.into(),
            platform: "public".into(),
            subject: "example.org/donate".into(),
            words: "browsers say that example.org/donate was kept from `https://evil.example`".into(),
            ..Finding::default()
        };
        (SECOND + number, Event::Finding(finding))
    };
    let without = judged(vec![], all);
    let case = case(&records((0..200).map(said).collect(), all));
    assert_eq!((case.hearsay.count, case.findings.count), (200, 0));
    let with = Assessment::of(&case, &sound());
    for claim in Claim::ALL {
        assert_eq!(headline(&with, claim), headline(&without, claim), "{claim:?}");
    }
    assert_eq!(with.residuals.len(), without.residuals.len());
    let page = case.timeline.entries.iter().filter(|entry| entry.kind == "hearsay").count();
    assert!(page > 0, "it is in the timeline");
    // The canary: somebody who looked and found it refuses the sentence.
    let found = Finding { what: "script-added".into(), platform: "public".into(), ..Finding::default() };
    let found = judged(vec![(SECOND, Event::Finding(found))], all);
    assert_eq!(headline(&found, Claim::Integrity).0, Outcome::Refused);
}

#[test]
fn a_change_without_authority_refuses_integrity_and_nothing_else() {
    let found = |what: &str, authorised: &str| {
        Event::Finding(Finding {
            what: what.into(),
            platform: "public".into(),
            subject: "/index.html".into(),
            authorised: authorised.into(),
            words: "A file changed.".into(),
            ..Finding::default()
        })
    };
    for what in ["file-changed", "page-changed", "script-added", "certificate-changed", "dns-changed", "schema-changed"]
    {
        let assessment = judged(vec![(SECOND, found(what, ""))], all);
        assert_eq!(headline(&assessment, Claim::Integrity).0, Outcome::Refused, "{what}");
        assert_ne!(headline(&assessment, Claim::Confidentiality).0, Outcome::Refused, "{what}");
        let assessment = judged(vec![(SECOND, found(what, "manifest aa"))], all);
        assert_ne!(headline(&assessment, Claim::Integrity).0, Outcome::Refused, "{what}, authorised");
    }
}

#[test]
fn what_is_not_watched_lowers_the_word_and_then_takes_the_sentence() {
    /// Silences a sensor from the first wave on, for so long.
    fn dead(sensor: &'static str, span: u64, state: Option<State>) -> impl FnMut(u64, &mut Event) -> bool {
        move |at, event| {
            if let Event::Beats { beats } = event
                && (NOON..NOON + span).contains(&at)
            {
                match state {
                    None => beats.retain(|beat| beat.sensor != sensor),
                    Some(state) => {
                        beats.iter_mut().filter(|beat| beat.sensor == sensor).for_each(|beat| beat.state = state)
                    }
                }
            }
            true
        }
    }
    let of = |assessment: &Assessment, claim, asset| {
        let verdict =
            assessment.verdicts.iter().find(|it| it.claim == claim && it.asset == Some(asset)).expect("a verdict");
        (verdict.outcome, verdict.likelihood, verdict.confidence)
    };
    let (conf, integ) = (Claim::Confidentiality, Claim::Integrity);
    type Case = (&'static str, Claim, Asset, &'static str, u64, Option<State>, Outcome, Option<Likelihood>, Confidence);
    let table: Vec<Case> = vec![
        (
            "ten seconds",
            conf,
            Asset::Web,
            "http/public",
            10_000,
            None,
            Outcome::Bounded,
            Some(Likelihood::RemoteChance),
            Confidence::High,
        ),
        (
            "five minutes",
            conf,
            Asset::Web,
            "http/public",
            5 * MINUTE,
            None,
            Outcome::Bounded,
            Some(Likelihood::RemoteChance),
            Confidence::Moderate,
        ),
        (
            "half an hour",
            conf,
            Asset::Web,
            "http/public",
            30 * MINUTE,
            None,
            Outcome::Bounded,
            Some(Likelihood::HighlyUnlikely),
            Confidence::Low,
        ),
        (
            "blind for half an hour",
            conf,
            Asset::Database,
            "database/members",
            30 * MINUTE,
            Some(State::Blind),
            Outcome::Bounded,
            Some(Likelihood::HighlyUnlikely),
            Confidence::Low,
        ),
        (
            "dead from then on",
            conf,
            Asset::Database,
            "database/members",
            9 * HOUR,
            None,
            Outcome::CannotSay,
            None,
            Confidence::None,
        ),
        (
            "the files' for half an hour",
            integ,
            Asset::Web,
            "files/public",
            30 * MINUTE,
            None,
            Outcome::Bounded,
            Some(Likelihood::HighlyUnlikely),
            Confidence::Low,
        ),
        (
            "the schema's from then on",
            integ,
            Asset::Database,
            "schema/members",
            9 * HOUR,
            Some(State::Down),
            Outcome::CannotSay,
            None,
            Confidence::None,
        ),
    ];
    for (name, claim, asset, sensor, span, state, outcome, likelihood, confidence) in table {
        let assessment = judged(vec![], dead(sensor, span, state));
        assert_eq!(of(&assessment, claim, asset), (outcome, likelihood, confidence), "{name}");
        let head = assessment.headline(claim).expect("a headline");
        assert!(head.confidence <= confidence, "{name}: the whole is no better than its parts");
        if outcome == Outcome::CannotSay {
            assert_eq!(head.outcome, Outcome::CannotSay, "{name}");
        }
    }
}

#[test]
fn a_path_that_nobody_guards_is_named_in_the_sentence_and_caps_it() {
    let unguarded = |_: u64, event: &mut Event| {
        if let Event::Copies(copies) = event {
            let mut open = copies.copies[0].paths[0].clone();
            (open.name, open.custody, open.words) =
                ("origin-address".into(), Custody::Unguarded, "the origin's own address".into());
            copies.copies[0].paths.push(open);
        }
        true
    };
    let assessment = judged(vec![], unguarded);
    let (outcome, confidence, sentence) = headline(&assessment, Claim::Confidentiality);
    assert!(sentence.contains("on the monitored paths"), "{sentence}");
    assert!(confidence <= Confidence::Moderate && outcome != Outcome::Refused, "{outcome:?} {confidence:?}");
    let web = assessment.verdicts.iter().find(|it| it.asset == Some(Asset::Web)).expect("a verdict");
    assert!(web.sentence.contains("on the monitored paths") && web.confidence == Confidence::Moderate, "{web:?}");

    let mut less = register();
    less.remove(4);
    let dropped = judged(vec![(SECOND, Event::Copies(Copies { copies: less }))], all);
    let (_, confidence, sentence) = headline(&dropped, Claim::Confidentiality);
    assert!(
        sentence.contains("on the monitored paths") && confidence <= Confidence::Moderate,
        "taken out of the register: {sentence}"
    );
}

#[test]
fn what_nobody_states_and_what_the_register_lacks_is_not_said() {
    let silent = judged(vec![], |_, event| !matches!(event, Event::Assurance(said) if said.copy == "mailing"));
    let processor =
        silent.verdicts.iter().find(|it| it.claim == Claim::Confidentiality && it.asset == Some(Asset::Processor));
    assert_eq!(processor.map(|it| it.outcome), Some(Outcome::CannotSay));
    assert_eq!(headline(&silent, Claim::Confidentiality).0, Outcome::CannotSay);
    let not_intact = judged(vec![], |_, event| {
        if let Event::Assurance(said) = event {
            said.intact &= said.copy != "mailing";
        }
        true
    });
    assert_eq!(headline(&not_intact, Claim::Confidentiality).0, Outcome::Refused);
    let none = judged(vec![], |_, event| !matches!(event, Event::Copies(_)));
    assert_eq!(headline(&none, Claim::Confidentiality).0, Outcome::CannotSay);
    let early = judged(vec![], |_, event| {
        if let Event::Assurance(said) = event {
            said.until = NOON + MINUTE;
        }
        true
    });
    assert_eq!(headline(&early, Claim::Confidentiality).0, Outcome::CannotSay, "it says nothing about the second wave");
}

#[test]
fn drills_make_the_word_and_a_failed_one_takes_it() {
    let drill = |at: u64, path: &str, seen: bool| {
        (
            at,
            Event::Drill(Drill {
                id: "d-2".into(),
                what: "canary-http".into(),
                path: path.into(),
                seen,
                tried: 10,
                missed: u64::from(!seen),
                ..Drill::default()
            }),
        )
    };
    let failed = judged(vec![drill(SECOND, "http/public", false)], all);
    assert_eq!(headline(&failed, Claim::Confidentiality).0, Outcome::CannotSay);
    let recovered = judged(vec![drill(SECOND, "http/public", false), drill(SECOND + HOUR, "http/public", true)], all);
    assert_eq!(headline(&recovered, Claim::Confidentiality).1, Confidence::Low);
    let never = judged(vec![], |_, event| !matches!(event, Event::Drill(drill) if drill.path == "http/public"));
    let (outcome, confidence, sentence) = headline(&never, Claim::Confidentiality);
    assert_eq!((outcome, confidence), (Outcome::NoSign, Confidence::Moderate));
    assert!(sentence.starts_with("We have seen no sign that"), "no number where nobody tried: {sentence}");
    let few = judged(vec![], |_, event| {
        if let Event::Drill(drill) = event {
            drill.tried = 30;
        }
        true
    });
    let verdict = few.headline(Claim::Confidentiality).expect("a headline");
    assert_eq!((verdict.likelihood, verdict.confidence), (Some(Likelihood::HighlyUnlikely), Confidence::Moderate));
    let old = |at: u64, event: &mut Event| {
        if matches!(event, Event::Drill(_)) { at > BEGIN + 2 * MINUTE } else { true }
    };
    assert_eq!(headline(&judged(vec![], old), Claim::Confidentiality).0, Outcome::NoSign);
}

#[test]
fn the_web_s_integrity_has_its_likelihood_when_what_leaves_was_tried_too() {
    // The sensor of the scripts in the path beats like the others from the beginning.
    let beats = |_: u64, event: &mut Event| {
        if let Event::Beats { beats } = event {
            let scripts = beats.first().map(|beat| Beat { sensor: "scripts/public".into(), ..beat.clone() });
            beats.extend(scripts);
        }
        true
    };
    let drill = |at: u64, seen: bool| {
        let (path, what) = ("scripts/public".to_owned(), "changed-script".to_owned());
        let missed = u64::from(!seen);
        (at, Event::Drill(Drill { path, what, seen, tried: 400, missed, ..Drill::default() }))
    };
    let web = |extra: Vec<(u64, Event)>| {
        let verdicts = judged(extra, beats).verdicts;
        let web = verdicts.iter().find(|it| it.claim == Claim::Integrity && it.asset == Some(Asset::Web));
        let web = web.expect("a verdict").clone();
        (web.outcome, web.likelihood.is_some(), web.confidence)
    };
    assert_eq!(web(vec![]), (Outcome::NoSign, false, Confidence::Moderate), "no number where nobody tried");
    assert_eq!(web(vec![drill(BEGIN + MINUTE, true)]), (Outcome::Bounded, true, Confidence::High));
    let missed = vec![drill(BEGIN + MINUTE, true), drill(SECOND, false)];
    assert_eq!(web(missed), (Outcome::CannotSay, false, Confidence::None));
    let mended = vec![drill(SECOND, false), drill(SECOND + HOUR, true)];
    assert_eq!(web(mended), (Outcome::Bounded, true, Confidence::Low));
}

#[test]
fn a_ledger_with_a_hole_bears_little_and_one_that_does_not_verify_nothing() {
    let whole = records(vec![], all);
    let wrong = Ledger { verified: Some(false), words: "leaf 7".into(), ..sound() };
    assert_eq!(headline(&Assessment::of(&case(&whole), &wrong), Claim::Confidentiality).0, Outcome::CannotSay);
    let unverified = Ledger { verified: None, ..sound() };
    assert_eq!(headline(&Assessment::of(&case(&whole), &unverified), Claim::Confidentiality).1, Confidence::Low);
    let alone = Ledger { quorum: 2, ..sound() };
    let web = |assessment: Assessment| assessment.verdicts.first().map(|verdict| verdict.confidence);
    assert_eq!(web(Assessment::of(&case(&whole), &alone)), Some(Confidence::Moderate), "one witness of two");

    let mut cut = whole.clone();
    let at = cut.iter().position(|record| record.unix_millis > SECOND).expect("the second wave");
    cut.remove(at);
    assert_eq!(
        headline(&Assessment::of(&case(&cut), &sound()), Claim::Confidentiality).0,
        Outcome::CannotSay,
        "a leaf is missing"
    );
    let mut skipped = cut;
    for (index, record) in skipped.iter_mut().enumerate() {
        record.index = index as u64;
    }
    assert_eq!(
        headline(&Assessment::of(&case(&skipped), &sound()), Claim::Confidentiality).1,
        Confidence::Low,
        "one was never kept"
    );
    let lost = Event::Lost(Lost {
        records: 3,
        from: SECOND,
        until: SECOND + 1000,
        why: "disk-full".into(),
        ..Lost::default()
    });
    assert_eq!(headline(&judged(vec![(SECOND + 2000, lost)], all), Claim::Integrity).1, Confidence::Low);
    let mut erased = whole;
    erased[at].event = None;
    assert_eq!(headline(&Assessment::of(&case(&erased), &sound()), Claim::Confidentiality).1, Confidence::Low);
}

#[test]
fn bytes_that_nobody_looked_at_and_paths_that_nobody_registered_cap_it() {
    let out = |path: &str, unread: u64| {
        let uninspected = if unread > 0 { [("encoding".to_owned(), unread)].into() } else { Default::default() };
        Event::Egress(Egress {
            path: path.into(),
            through: "/**".into(),
            from: SECOND,
            until: SECOND + 10_000,
            bytes: 5000,
            uninspected,
            ..Egress::default()
        })
    };
    for event in [out("http/public", 4000), out("http/unknown", 0)] {
        let assessment = judged(vec![(SECOND + 10_000, event)], all);
        assert!(headline(&assessment, Claim::Confidentiality).1 <= Confidence::Moderate);
        assert!(!assessment.residuals.is_empty());
    }
}

#[test]
fn a_clock_that_jumps_makes_no_coverage() {
    let mut jumped =
        records(vec![], |at, event| !(matches!(event, Event::Beats { .. }) && (NOON..SECOND).contains(&at)));
    // The gate slept three hours, and its counter goes on as if nothing had been.
    let mut seq = 0;
    for record in &mut jumped {
        if let Some(Event::Beats { beats }) = &mut record.event {
            beats.iter_mut().for_each(|beat| beat.seq = seq);
            seq += 1;
        }
    }
    let assessment = Assessment::of(&case(&jumped), &sound());
    assert!(assessment.guarded_coverage.is_some_and(|share| share < 0.5), "{:?}", assessment.guarded_coverage);
    assert_eq!(headline(&assessment, Claim::Confidentiality).0, Outcome::CannotSay);
}

#[test]
fn nothing_is_ever_impossible_and_no_attack_sophisticated() {
    for assessment in [judged(vec![], all), judged(vec![], |_, event| !matches!(event, Event::Drill(_)))] {
        let said = serde_json::to_string(&assessment).expect("JSON").to_lowercase();
        assert!(!said.contains("impossible") && !said.contains("sophisticated"));
    }
}
