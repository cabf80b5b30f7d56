//! What a subverted parser could answer, and a book that somebody edited: never a panic, never more than fits, and a book that is
//! read is written the same again.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use portcullis_pgguard::book::{Book, Stage};
use portcullis_pgguard::description::{Answer, STATEMENTS};
use portcullis_pgguard::policy::{Context, Policy, Rules, Ruling};
use portcullis_pgguard::template;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    match mode % 3 {
        0 => answered(data),
        1 => booked(data),
        _ => alike(data),
    }
});

fn answered(data: &[u8]) {
    let answer = Answer::decode(data);
    if let Answer::Described(statements) = &answer {
        assert!(statements.len() <= STATEMENTS);
        assert_eq!(Answer::decode(&answer.encode()), answer);
    }
    let context = Context {
        guard: "db".into(),
        role: "app".into(),
        database: "db".into(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        application: "".into(),
    };
    let mut policy = Policy::new(Rules { enforce: true, ..Rules::default() }, Book::default(), [1; 16]);
    policy.book_mut().set_stage("app", Stage::Learn);
    policy.told(b"x", answer.clone(), &context, 1);
    policy.book_mut().approve(None, None);
    policy.book_mut().set_stage("app", Stage::Enforce);
    let again = policy.told(b"x", answer.clone(), &context, 1);
    if let (Answer::Described(statements), Ruling::Refused(denial)) = (&answer, &again.ruling) {
        // What was learned and approved runs, unless it is of a kind that nobody granted.
        assert!(statements.iter().any(|one| !one.kinds.is_empty()), "{denial:?}");
    }
    let book = policy.book().write();
    assert_eq!(Book::read(&book).map(|read| read.write()), Ok(book));
}

fn booked(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(book) = Book::read(text) {
        let written = book.write();
        assert_eq!(Book::read(&written).map(|read| read.write()), Ok(written));
    }
}

fn alike(data: &[u8]) {
    let mut out = Vec::new();
    template::write(data, &mut out);
    assert!(out.len() <= data.len());
}
