//! What is found, and beside it what only looks like it; and that no splitting of the text changes it.

use proptest::prelude::*;

use super::*;
use crate::canary::{CanaryKey, EntryKind, Registry};

/// All that was found, with its kind, plain value and place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) values: Vec<(Kind, String, (u64, u64))>,
    pub(crate) canaries: Vec<(CanaryId, u64)>,
}

impl Findings for List {
    fn found(&mut self, found: &Found<'_>) {
        let value = String::from_utf8_lossy(found.value).into_owned();
        self.values.push((found.kind, if found.name.is_empty() { value } else { found.name.to_owned() }, found.at));
    }

    fn canary(&mut self, id: CanaryId, at: (u64, u64)) {
        self.canaries.push((id, at.1));
    }
}

fn found(text: &str) -> Vec<(Kind, String)> {
    let detector = Detector::new(Kinds::all(), &["member_id".to_owned()], &Canaries::default());
    let mut list = List::default();
    detector.look(text.as_bytes(), &mut list);
    list.values.into_iter().map(|(kind, value, _)| (kind, value)).collect()
}

/// What is found, and beside it what only looks like it.
const TABLE: &[(&str, &[(Kind, &str)])] = &[
    // E-mail.
    ("write to Jane.Doe@Post.Example.org.", &[(Kind::Email, "jane.doe@post.example.org")]),
    ("\"email\":\"o'neill+x@a-b.co.uk\"", &[(Kind::Email, "o'neill+x@a-b.co.uk")]),
    ("<a href=\"mailto:a@b.org\">", &[(Kind::Email, "a@b.org")]),
    ("logo@2x.png react@18.2.0 @media foo@bar @name a@b.c x.@y.org", &[]),
    ("https://medium.com/@writer a@b..org a@-b.org", &[]),
    // Telephone.
    ("call 020 7946 0018 or 07700 900123", &[(Kind::Phone, "442079460018"), (Kind::Phone, "447700900123")]),
    ("+44 (0)20 7946 0018", &[(Kind::Phone, "442079460018")]),
    ("+447700900123, 0044 7700 900123", &[(Kind::Phone, "447700900123"), (Kind::Phone, "447700900123")]),
    ("(01632) 960123 and 01632-960-123", &[(Kind::Phone, "441632960123"), (Kind::Phone, "441632960123")]),
    ("0800 123 4567, 0345 123 4567, 01111111111, 12345678901, 0x07700900123", &[]),
    ("07700900123456 id_07700900123 07700900123abc", &[]),
    ("01632/960123 01632.960.123", &[(Kind::Phone, "441632960123"), (Kind::Phone, "441632960123")]),
    ("<path d=\"M36.6 0 0-22.9-15.7 1.6-15.4 0 0 24.9 2 38.6 0 144 64.5 144 144c0 24.9-6.3 48.3\">", &[]),
    ("translate(0 207 946.5 1234) 020.79 46-0018", &[]),
    // Postcodes.
    (
        "SW1A 1AA, M1 1AE, EC1A1BB and B33 8TH",
        &[
            (Kind::Postcode, "SW1A1AA"),
            (Kind::Postcode, "M11AE"),
            (Kind::Postcode, "EC1A1BB"),
            (Kind::Postcode, "B338TH"),
        ],
    ),
    ("postcode: sw1a 1aa", &[(Kind::Postcode, "SW1A1AA")]),
    ("QQ1 1AA, SW1A 1CI, A4 5TH, b3 4up, #B33 8THX, XB33 8TH1", &[]),
    // National Insurance.
    ("AB123456C and AB 12 34 56 D", &[(Kind::Nino, "AB123456C"), (Kind::Nino, "AB123456D")]),
    ("GB123456C DA123456A AB123456E QQ123456C AB1234567", &[]),
    // NHS.
    ("943 476 5919", &[(Kind::Nhs, "9434765919")]),
    ("{\"nhs_number\":\"9434765919\"}", &[(Kind::Nhs, "9434765919")]),
    ("943 476 5918, 9434765919, 943-476-5919, nhs 1111111111", &[]),
    // IBAN.
    ("GB82 WEST 1234 5698 7654 32", &[(Kind::Iban, "GB82WEST12345698765432")]),
    ("DE89370400440532013000", &[(Kind::Iban, "DE89370400440532013000")]),
    ("GB83WEST12345698765432 ZZ82WEST12345698765432 GB82WEST1234569876543", &[]),
    // Cards.
    ("4111 1111 1111 1111", &[(Kind::Card, "4111111111111111")]),
    ("5555555555554444 3782 822463 10005", &[(Kind::Card, "5555555555554444"), (Kind::Card, "378282246310005")]),
    ("4111 1111 1111 1112, 1711111111111117, 0000000000000000, 4111-1111 1111 1111", &[]),
    // Accounts.
    ("Sort code: 12-34-56, account number 12345678", &[(Kind::BankAccount, "12345612345678")]),
    ("\"account\":\"87654321\",\"sort_code\":\"12-34-56\"", &[(Kind::BankAccount, "12345687654321")]),
    ("\"sort_code\":\"123456\",\"number\":\"12345678\"", &[(Kind::BankAccount, "12345612345678")]),
    ("on 12-11-20 order 12345678, sort by 12-11-20", &[]),
    // CPR.
    ("070761-4285", &[(Kind::Cpr, "0707614285")]),
    ("cpr 0707614285", &[(Kind::Cpr, "0707614285")]),
    ("320761-4285 071361-4285 0707614285 290201-4285 1-070761-4285", &[]),
    // Fields of records.
    (
        "{\"member_id\": \"M-1\",\"member_id\":42, \"member_id\":null}",
        &[(Kind::Field, "member_id"), (Kind::Field, "member_id")],
    ),
    ("<member_id>7</member_id> member_id: 8", &[(Kind::Field, "member_id")]),
    // Secrets; made up, each in its vendor's documented form.
    ("key AKIAQ3EGRLXM7TWVNB5Z.", &[(Kind::Secret, "aws-access-key")]),
    ("ghp_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX", &[(Kind::Secret, "github-token")]),
    ("\"sk_live_4eC39HqLyjWDarjtT1zdp7dc\"", &[(Kind::Secret, "stripe-key")]),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2ln", &[(Kind::Secret, "json-web-token")]),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", &[(Kind::Secret, "private-key")]),
    ("postgres://app:h0rse-Battery@db/members", &[(Kind::Secret, "database-login")]),
    ("AKIAXXXXXXXXXXXXXXXX akiaq3egrlxm7twvnb5z AKIAQ3EGRLXM7TWVNB5Z9 ghp_short", &[]),
    ("-----BEGIN PUBLIC KEY----- -----BEGIN CERTIFICATE----- postgres://user:password@host eyJ0", &[]),
    // Faults.
    ("Traceback (most recent call last):\n  File \"/srv/app.py\", line 3", &[(Kind::StackTrace, "python")]),
    ("\tat org.app.Main.run(Main.java:42)", &[(Kind::StackTrace, "java")]),
    ("ERROR:  syntax error at or near \"'\"", &[(Kind::SqlError, "postgresql")]),
    ("ORA-01756: quoted string not properly terminated", &[(Kind::SqlError, "oracle")]),
    ("SQLSTATE[42000]: Syntax error", &[(Kind::SqlError, "pdo")]),
    ("Python prints Traceback (most recent call last) when it fails; see Main.java: it is short. ORA-0", &[]),
];

#[test]
fn what_is_of_a_kind_is_found_and_what_only_looks_like_it_is_not() {
    for (text, expected) in TABLE {
        let expected: Vec<(Kind, String)> = expected.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect();
        assert_eq!(found(text), expected, "{text}");
    }
}

#[test]
fn a_column_tells_what_the_numbers_below_it_are() {
    let detector = Detector::new(Kinds::all(), &[], &Canaries::default());
    for (rows, expected) in [(true, 1), (false, 0)] {
        let (mut scanner, mut list) = (Scanner::default(), List::default());
        scanner.begin(&detector, rows);
        let text = format!("name,nhs_number\n{}A,9434765919\n", "B,1\n".repeat(40));
        scanner.text(&detector, text.as_bytes(), &mut list);
        scanner.end(&detector, &mut list);
        assert_eq!(list.values.len(), expected, "{list:?}");
    }
}

#[test]
fn what_is_not_asked_for_is_not_found() {
    let detector = Detector::new(Kinds::from_iter([Kind::Card]), &[], &Canaries::default());
    let mut list = List::default();
    detector.look(b"a@b.org 4111 1111 1111 1111 AKIAQ3EGRLXM7TWVNB5Z", &mut list);
    assert_eq!(list.values.len(), 1);
}

/// Text of which parts are found and parts are noise.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (0..TABLE.len()).prop_map(|at| TABLE[at].0.as_bytes().to_vec()),
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "[0-9 ()+.@A-Z-]{0,60}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..30),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn what_is_found_does_not_depend_on_how_the_text_is_split(
        text in text(),
        sizes in prop::collection::vec(1usize..700, 1..20),
    ) {
        let mut registry = Registry::default();
        registry.add(EntryKind::Id, Vec::new(), "");
        let canaries = Canaries::new(&registry, &CanaryKey::new([3; 32]));
        let detector = Detector::new(Kinds::all(), &["member_id".to_owned()], &canaries);
        let mut whole = List::default();
        let mut scanner = Scanner::default();
        scanner.text(&detector, &text, &mut whole);
        scanner.end(&detector, &mut whole);
        let (mut pieces, mut rest) = (List::default(), text.as_slice());
        for size in sizes.iter().cycle() {
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            scanner.text(&detector, piece, &mut pieces);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        scanner.end(&detector, &mut pieces);
        whole.values.sort();
        pieces.values.sort();
        prop_assert_eq!(whole, pieces);
    }
}
