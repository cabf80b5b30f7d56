//! Accounts of people whom a provider vouches for, beside those that have a password.

use super::*;
use crate::model::Token;

const NOW: u64 = 1_790_000_000_000;
const WORDS: &str = "heron lantern gravel soup";

fn people() -> (People, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    (People::open(directory.path()).expect("a file"), directory)
}

fn somebody(subject: &str, name: &str) -> Somebody {
    let issuer = "https://login.example.org".to_owned();
    Somebody { issuer, subject: subject.to_owned(), name: name.to_owned(), role: Ok(Role::Viewer) }
}

#[test]
fn the_subject_is_who_it_is_and_the_name_stays() {
    let (people, _directory) = people();
    let first = people.enter_by_oidc(&somebody("s-1", "Ane"), Role::Operator, NOW).expect("let in");
    assert!(first.news.is_some_and(|news| news.contains("operator")));
    let again = people.enter_by_oidc(&somebody("s-1", "Bo"), Role::Operator, NOW).expect("let in");
    assert_eq!((again.begun.name.as_str(), again.news), ("Ane", None), "who acts under a name keeps it");
    let other = Somebody { issuer: "https://login.example.net".to_owned(), ..somebody("s-1", "Bo") };
    assert_eq!(
        people.enter_by_oidc(&other, Role::Viewer, NOW).expect("let in").begun.name,
        "Bo",
        "of another provider"
    );
    assert!(!people.is_empty().expect("readable"), "no first link is printed");
    assert_eq!(people.sign_in("Ane", "", None, None, NOW).map(drop), Err(Denied::Wrong), "no password opens it");
}

#[test]
fn a_name_is_made_safe_or_refused() {
    for (text, name) in [
        ("Ane", Some("Ane")),
        ("ane@example.org", Some("ane@example.org")),
        ("  Ane\u{202e}\u{0} <b>Ø'Hara</b>\n", Some("Ane bØ'Harab")),
        ("", None),
        ("<>\u{7}", None),
        ("gate", None),
        ("Root", None),
    ] {
        let (people, _directory) = people();
        let entered = people.enter_by_oidc(&somebody("s-1", text), Role::Viewer, NOW);
        assert_eq!(entered.ok().map(|it| it.begun.name).as_deref(), name, "{text:?}");
    }
    let (people, _directory) = people();
    let long = people.enter_by_oidc(&somebody("s-1", &"Å".repeat(10_000)), Role::Viewer, NOW).expect("let in");
    assert_eq!(long.begun.name.chars().count(), NAME_LENGTH);
}

#[test]
fn a_link_makes_an_account_of_the_console_out_of_it_again() {
    let (people, _directory) = people();
    people.enter_by_oidc(&somebody("s-1", "Ane"), Role::Owner, NOW).expect("let in");
    assert!(people.one("Ane").expect("readable").is_some_and(|it| it.federated));
    let (link, _) = people.link(Some("Ane"), Role::Owner, NOW).expect("a link");
    people.welcome(&link, None, WORDS, NOW).expect("an account");
    assert!(people.one("Ane").expect("readable").is_some_and(|it| !it.federated));
    people.sign_in("Ane", WORDS, None, None, NOW).expect("by password");
    let refused = people.enter_by_oidc(&somebody("s-1", "Ane"), Role::Owner, NOW).map(drop);
    assert!(matches!(refused, Err(Denied::Stranger(_))), "{refused:?}");
}

#[test]
fn a_name_that_somebody_was_invited_by_is_theirs() {
    let (people, _directory) = people();
    people.invite("Bo", Role::Owner, NOW).expect("a link");
    let refused = people.enter_by_oidc(&somebody("s-1", "bo"), Role::Viewer, NOW).map(drop);
    assert!(matches!(refused, Err(Denied::Stranger(_))), "{refused:?}");
    people.enter_by_oidc(&somebody("s-1", "bo"), Role::Viewer, NOW + 3_600_000).expect("the link is over");
}

#[test]
fn whoever_is_shut_out_has_no_session_and_no_token() {
    let (people, _directory) = people();
    assert_eq!(people.shut_out(&somebody("s-1", "Ane")), Ok(None), "a stranger");
    let entered = people.enter_by_oidc(&somebody("s-1", "Ane"), Role::Owner, NOW).expect("let in");
    let token = Token { name: "wall".to_owned(), until: NOW + 9, ..Token::default() };
    let (_, secret) = people.make_token("Ane", &token, NOW).expect("a token");
    assert!(people.bearer(&secret, NOW).expect("readable").is_some());
    assert_eq!(people.shut_out(&somebody("s-1", "another name")), Ok(Some("Ane".to_owned())));
    assert_eq!(people.session(&entered.begun.cookie, NOW), Ok(None));
    assert_eq!(people.bearer(&secret, NOW), Ok(None));
}
