//! Accounts as an attacker and a tired person use them.

use super::*;

const NOW: u64 = 1_790_000_000_000;
const WORDS: &str = "heron lantern gravel soup";

fn people() -> (People, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (People::open(directory.path()).expect("a file"), directory)
}

/// With an owner who is signed in.
fn owned() -> (People, tempfile::TempDir, Begun) {
    let (people, directory) = people();
    let (link, _) = people.link(None, Role::Owner, NOW).expect("a link");
    let begun = people.welcome(&link, Some("Ane"), WORDS, NOW).expect("the first account");
    (people, directory, begun)
}

#[test]
fn the_first_link_makes_an_owner_once() {
    let (people, _directory) = people();
    assert_eq!(people.is_empty(), Ok(true));
    assert_eq!(people.sign_in("admin", "admin", None, None, NOW).expect_err("nobody"), Denied::Wrong);
    let [old, printed, ..] = [0, 1, 2, 3].map(|at| people.link(None, Role::Owner, NOW + at).expect("a link").0);
    let (link, until) = people.link(None, Role::Owner, NOW + 4).expect("another");
    assert!(people.welcome(&old, Some("Ane"), WORDS, NOW).is_err(), "there are a few, and the oldest ended");
    assert!(people.welcome(&link, Some("Ane"), WORDS, until).is_err(), "an hour has gone");
    assert!(people.welcome(&link, None, WORDS, NOW).is_err(), "no name");
    let begun = people.welcome(&link, Some("Ane"), WORDS, NOW).expect("the first account");
    assert_eq!(people.is_empty(), Ok(false));
    assert!(people.welcome(&link, Some("Eve"), WORDS, NOW).is_err(), "once");
    assert!(people.welcome(&printed, Some("Eve"), WORDS, NOW).is_err(), "nor by one that was printed besides");
    let known = people.session(&begun.cookie, NOW).expect("readable").expect("a session");
    assert_eq!((known.name.as_str(), known.role), ("Ane", Role::Owner));
    assert!(known.csrf.is_some_and(|csrf| csrf != begun.cookie && csrf.len() == begun.cookie.len()));
}

#[test]
fn names_and_passwords_have_a_form() {
    let (people, _directory) = people();
    for (name, password) in [
        ("", WORDS),
        (" Ane", WORDS),
        ("gate", WORDS),
        ("Operator", WORDS),
        ("Ane\n", WORDS),
        ("<b>", WORDS),
        ("Ane", "short"),
        ("Ane", "aaaaaaaaaaaaaaaa"),
        ("heron", WORDS),
        ("Ane", &"x y z w v u ".repeat(50)),
    ] {
        let (link, _) = people.link(None, Role::Owner, NOW).expect("a link");
        let refused = people.welcome(&link, Some(name), password, NOW);
        assert!(matches!(refused, Err(Denied::Because(_))), "{name:?} {password:?}: {refused:?}");
    }
}

#[test]
fn a_session_ends_with_time_and_by_itself() {
    let (people, _directory, begun) = owned();
    let at = |now| people.session(&begun.cookie, now).expect("readable").is_some();
    assert!(at(NOW + IDLE - 1));
    assert!(at(NOW + 2 * IDLE - 2), "it was used");
    assert!(!at(NOW + 4 * IDLE), "nobody used it");
    let mut now = NOW + 2 * IDLE;
    while now < NOW + WHOLE {
        assert!(at(now) || now > NOW + WHOLE - IDLE);
        now += IDLE / 2;
    }
    assert!(!at(NOW + WHOLE), "a week");
    people.end(&begun.cookie).expect("ended");
    assert!(!at(NOW));
    assert!(people.session("", NOW).expect("readable").is_none());
}

#[test]
fn nobody_has_more_sessions_than_may_be() {
    let (people, _directory, first) = owned();
    for number in 1..=SESSIONS {
        people.sign_in("Ane", WORDS, None, None, NOW + number * 10_000).expect("right");
    }
    assert!(people.session(&first.cookie, NOW + 1).expect("readable").is_none(), "the oldest ended");
}

#[test]
fn a_second_factor_is_wanted_once_it_is_there_and_no_code_works_twice() {
    let (people, _directory, _) = owned();
    let enrolment = people.enrol("Ane", "Folk").expect("a secret");
    assert!(people.sign_in("Ane", WORDS, None, None, NOW).is_ok(), "not in force yet");
    assert!(people.confirm("Ane", "000000", NOW).is_err());
    let code = |now| {
        let secret: Option<Vec<u8>> =
            people.lock().query_row("SELECT coalesce(totp, offered) FROM person", [], |row| row.get(0)).expect("there");
        (0..=999_999)
            .map(|it| format!("{it:06}"))
            .find(|it| totp::accepts(secret.as_deref().expect("one"), it, now, now / 30_000 - 1).is_some())
    };
    assert!(enrolment.url.contains(&enrolment.secret));
    let first = code(NOW).expect("a code");
    people.confirm("Ane", &first, NOW).expect("right");
    assert_eq!(people.sign_in("Ane", WORDS, None, None, NOW).expect_err("no code"), Denied::CodeWanted);
    assert_eq!(
        people.sign_in("Ane", "wrong and wrong", None, None, NOW).expect_err("no"),
        Denied::Wrong,
        "nothing is told to who has no password"
    );
    assert_eq!(people.sign_in("Ane", WORDS, Some(&first), None, NOW).expect_err("used"), Denied::Wrong);
    let later = NOW + 60_000;
    let next = code(later).expect("a code");
    assert!(people.sign_in("Ane", WORDS, Some(&next), None, later).is_ok());
    assert_eq!(people.sign_in("Ane", WORDS, Some(&next), None, later).expect_err("used"), Denied::Wrong);
    assert!(people.one("Ane").expect("readable").expect("there").totp);
}

#[test]
fn guessing_is_slow_from_one_address_and_at_one_name() {
    let (people, _directory, _) = owned();
    let from: IpAddr = "192.0.2.7".parse().expect("an address");
    let mut refused = 0;
    for number in 0..20 {
        let denied = people.sign_in(&format!("name{number}"), "x", None, Some(from), NOW + 3_600_000);
        refused += u32::from(matches!(denied, Err(Denied::TooOften(seconds)) if seconds <= 6));
    }
    assert_eq!(refused, 10, "by address");
    let at_ane = |number: u64, now| {
        let from = IpAddr::from([198, 51, 100, u8::try_from(number).expect("few")]);
        people.sign_in("Ane", "wrong", None, Some(from), now)
    };
    let refused = (0..20).filter(|number| matches!(at_ane(*number, NOW), Err(Denied::TooOften(_)))).count();
    assert_eq!(refused, 10, "by name");
    assert_eq!(at_ane(1, NOW + 6_000).expect_err("wrong"), Denied::Wrong, "one more after a while");
    for number in 0..2 * TRIED {
        let _ = people.try_once(None, &number.to_string(), NOW);
    }
    assert!(people.tries.lock().expect("whole").len() <= TRIED + 2);
}

#[test]
fn a_token_does_what_it_may_while_its_maker_may() {
    let (people, _directory, _) = owned();
    let (link, _) = people.invite("Bo", Role::Operator, NOW).expect("a link");
    people.welcome(&link, Some("somebody else"), WORDS, NOW).expect("an account");
    assert!(people.one("somebody else").expect("readable").is_none(), "the link has its name");
    let wanted = Token {
        name: "wall".to_owned(),
        role: Role::Operator,
        scopes: vec!["now".to_owned()],
        until: NOW + 1_000,
        ..Token::default()
    };
    let (made, secret) = people.make_token("Bo", &wanted, NOW).expect("made");
    let bearer = |now| people.bearer(&secret, now).expect("readable");
    let known = bearer(NOW).expect("known");
    assert_eq!((known.name.as_str(), known.role, known.scopes), ("Bo (wall)", Role::Operator, vec!["now".to_owned()]));
    assert!(known.csrf.is_none());
    people.set_role("Bo", Role::Viewer).expect("changed");
    assert_eq!(bearer(NOW).expect("known").role, Role::Viewer);
    assert!(bearer(NOW + 1_000).is_none(), "over");
    assert!(people.revoke(&made.id, Some("Ane")).is_err(), "not hers");
    people.remove("Bo").expect("gone");
    assert!(bearer(NOW).is_none(), "and all that was Bo's");
}

#[test]
fn the_last_owner_stays() {
    let (people, _directory, _) = owned();
    assert!(people.remove("Ane").is_err() && people.set_role("Ane", Role::Viewer).is_err());
    assert!(matches!(people.remove("Eve"), Err(Denied::Unknown(_))));
    assert_eq!(people.one("Ane").expect("readable").expect("there").role, Role::Owner);
}

#[test]
fn nothing_in_the_file_opens_a_door() {
    let (people, directory, begun) = owned();
    let (link, _) = people.link(None, Role::Owner, NOW).expect("a link");
    let token = Token { name: "x".to_owned(), until: NOW + 1, ..Token::default() };
    let (_, token) = people.make_token("Ane", &token, NOW).expect("made");
    drop(people);
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(directory.path()).expect("there") {
        bytes.extend(std::fs::read(entry.expect("there").path()).expect("readable"));
    }
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("Ane") && has("$argon2id$"), "this is the file");
    for secret in [WORDS, &begun.cookie, &link, &token] {
        assert!(!has(secret));
    }
    let mode = std::fs::metadata(directory.path().join(NAME)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_of_another_form_is_left_alone() {
    let (people, directory) = people();
    people.lock().execute_batch("PRAGMA user_version = 9").expect("written");
    drop(people);
    let refused = People::open(directory.path()).expect_err("another form");
    assert!(refused.contains("form 9"), "{refused}");
}

#[test]
fn two_processes_may_begin_at_once() {
    for _ in 0..40 {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || People::open(directory.path()).map(drop);
        let both =
            std::thread::scope(|scope| [scope.spawn(open), scope.spawn(open)].map(|it| it.join().expect("no panic")));
        assert_eq!(both, [Ok(()), Ok(())]);
    }
}

#[test]
fn a_file_of_the_first_form_is_taken_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = Connection::open(directory.path().join(NAME)).expect("a file");
    old.execute_batch(STEPS[0]).expect("as it was");
    old.execute_batch("PRAGMA user_version = 1").expect("as it was");
    old.execute_batch("INSERT INTO person (name, role, made) VALUES ('Ane', 'owner', 1)").expect("somebody");
    drop(old);
    let people = People::open(directory.path()).expect("taken on");
    assert_eq!(people.one("Ane").expect("readable").expect("there").passkeys, 0);
    drop(people);
    People::open(directory.path()).expect("and opened again");
}

#[test]
fn failed_tries_are_kept_for_who_there_is_and_not_many() {
    let (people, _directory, begun) = owned();
    people.place(&begun.cookie, Some(IpAddr::from([192, 0, 2, 7])), Way::Link).expect("kept");
    let own = people.sessions("Ane", &begun.cookie, NOW).expect("readable");
    assert!(own.len() == 1 && own[0].here && own[0].way == "link" && own[0].from.as_deref() == Some("192.0.2.7"));
    assert!(!people.sessions("Ane", "another", NOW).expect("readable")[0].here);
    for number in 0..2 * FAILURES {
        people.failed("Ane", None, Way::Password, NOW + number).expect("kept");
        people.failed("nobody", None, Way::Password, NOW).expect("not kept");
    }
    let failures = people.failures("Ane").expect("readable");
    assert_eq!((failures.len() as u64, failures[0].at), (FAILURES, NOW + 2 * FAILURES - 1));
    assert_eq!(people.failures("nobody").expect("readable"), []);
}

#[test]
fn a_pass_opens_the_first_view_and_leaves_nothing_behind() {
    let (people, directory, _) = owned();
    let now = crate::server::now();
    let first = Pass::make(directory.path(), "ane", "top", now).expect("a pass");
    let second = Pass::make(directory.path(), "ane", "top", now).expect("another of the same user");
    let known = people.bearer(first.secret(), now).expect("readable").expect("known");
    assert_eq!((known.name.as_str(), known.role), ("ane (top)", Role::Operator));
    assert_eq!((known.scopes, known.csrf), (vec!["now".to_owned(), "measures".to_owned()], None));
    assert!(people.sign_in("ane (top)", "", None, None, NOW).is_err(), "nobody signs in as it");
    let secret = first.secret().to_owned();
    drop(first);
    assert_eq!(people.bearer(&secret, now), Ok(None), "it ends with its owner");
    assert!(people.bearer(second.secret(), now).expect("readable").is_some(), "and takes no other along");
    assert_eq!(people.bearer(second.secret(), now + HOUR), Ok(None), "an hour, and no more");
    drop(second);
    let names: Vec<String> = people.all().expect("readable").into_iter().map(|person| person.name).collect();
    assert_eq!(names, ["Ane"], "somebody with an account keeps it");
    // One that never said good-bye is forgotten by the next.
    drop(people.lock().execute("INSERT INTO person (name, role, made) VALUES ('bo (top)', 'operator', 0)", []));
    drop(Pass::make(directory.path(), "<b> cy", "top", now).expect("a pass"));
    assert_eq!(people.all().expect("readable").len(), 1);
}

#[test]
fn nobody_can_call_themselves_a_pass() {
    let (people, _directory) = people();
    let (link, _) = people.link(None, Role::Owner, NOW).expect("a link");
    assert!(people.welcome(&link, Some("ane (top)"), WORDS, NOW).is_err());
}
