//! Passkeys as their owners use them, and as somebody does who has stolen one half of what it takes.

use super::device::Device;
use super::*;
use crate::model::Role;

const NOW: u64 = 1_790_000_000_000;
const ORIGIN: &str = "https://console.example.org:9181";

fn stand() -> (People, tempfile::TempDir, Party) {
    let directory = tempfile::tempdir().expect("a directory");
    let people = People::open(directory.path()).expect("a file");
    (people, directory, Party::of(ORIGIN).expect("a name"))
}

fn known(people: &People, name: &str) -> Known {
    let (link, _) = people.link(None, Role::Owner, NOW).expect("a link");
    let begun = people.welcome(&link, Some(name), "heron lantern gravel soup", NOW).expect("an account");
    people.session(&begun.cookie, NOW).expect("readable").expect("a session")
}

/// Somebody with a passkey.
fn owner(people: &People, party: &Party, name: &str) -> (Known, Device) {
    let (known, mut device) = (known(people, name), Device::new(ORIGIN, &party.id));
    let options = people.offer_passkey(party, &known, "Folk", NOW).expect("options");
    people.add_passkey(party, &known, &device.make(&options), NOW).expect("a passkey");
    (known, device)
}

fn enter(people: &People, party: &Party, device: &mut Device) -> Result<Begun, Shut> {
    let options = people.ask_passkey(party, None, NOW).expect("options");
    people.enter_by_passkey(party, &device.sign(&options), NOW)
}

fn why(shut: Result<Begun, Shut>) -> String {
    match shut {
        Err(Shut { why: Denied::Shut(why), .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_passkey_lets_its_owner_in_and_is_revoked() {
    let (people, _directory, party) = stand();
    let (ane, mut device) = owner(&people, &party, "Ane");
    let begun = enter(&people, &party, &mut device).expect("let in");
    assert_eq!(begun.name, "Ane");
    assert!(people.session(&begun.cookie, NOW).expect("readable").is_some());
    let mut second = Device::new(ORIGIN, &party.id);
    let options = people.offer_passkey(&party, &ane, "Folk", NOW).expect("options");
    assert_eq!(options["excludeCredentials"][0]["id"], URL_SAFE_NO_PAD.encode(&device.id));
    let made = PasskeyMade { name: Some(" Phone ".to_owned()), ..second.make(&options) };
    assert_eq!(people.add_passkey(&party, &ane, &made, NOW + 1).expect("kept").name, "Phone");
    let all = people.passkeys("Ane").expect("readable");
    assert_eq!(
        all.iter().map(|it| (it.name.as_str(), it.used)).collect::<Vec<_>>(),
        [("Passkey 1", Some(NOW)), ("Phone", None)]
    );
    assert_eq!(people.one("Ane").expect("readable").expect("there").passkeys, 2);
    assert!(people.revoke_passkey("Bo", &all[0].id).is_err(), "not Bo's");
    people.revoke_passkey("Ane", &all[0].id).expect("revoked");
    assert!(why(enter(&people, &party, &mut device)).contains("not known here"));
    enter(&people, &party, &mut second).expect("the other one still does");
    let (link, _) = people.link(Some("Ane"), Role::Owner, NOW).expect("a link");
    people.welcome(&link, None, "heron lantern gravel soup", NOW).expect("a new beginning");
    assert!(why(enter(&people, &party, &mut second)).contains("not known here"), "a link is a new beginning");
}

#[test]
fn nothing_but_an_answer_to_what_was_asked_opens_it() {
    let (people, _directory, party) = stand();
    let (_, mut device) = owner(&people, &party, "Ane");
    let (_, other) = owner(&people, &party, "Bo");
    enter(&people, &party, &mut device).expect("as it should be");
    type Change = fn(&mut Device);
    let changes: [(Change, &str); 8] = [
        (|it| it.origin = "https://console.example.org".to_owned(), "another page"),
        (|it| it.origin = "https://evil.example".to_owned(), "another page"),
        (|it| it.framed = true, "another page"),
        (|it| it.party = "evil.example".to_owned(), "another site"),
        (|it| it.flags = 0x01, "did not ask who its user is"),
        (|it| it.flags = 0x04, "did not ask who its user is"),
        (|it| it.flags = 0x0d, "another kind"),
        (|it| it.count = 1, "went back"),
    ];
    for (change, expected) in changes {
        let kept = (device.origin.clone(), device.party.clone(), device.count);
        change(&mut device);
        let told = why(enter(&people, &party, &mut device));
        assert!(told.contains(expected), "{expected}: {told}");
        (device.origin, device.party, device.count) = kept;
        (device.framed, device.flags) = (false, 0x05);
        enter(&people, &party, &mut device).expect("as it should be");
    }
    let own = (device.id.clone(), device.handle.clone());
    device.id.clone_from(&other.id);
    assert!(why(enter(&people, &party, &mut device)).contains("somebody else"));
    device.handle.clone_from(&other.handle);
    assert!(why(enter(&people, &party, &mut device)).contains("signature"), "Bo's passkey and Bo's name, Ane's key");
    (device.id, device.handle) = own;
    device.handle = None;
    assert!(why(enter(&people, &party, &mut device)).contains("somebody else"), "of nobody");
}

#[test]
fn an_answer_is_good_once_for_its_question_and_not_for_long() {
    let (people, _directory, party) = stand();
    let (ane, mut device) = owner(&people, &party, "Ane");
    let not_asked = |told: Result<Begun, Shut>| assert!(why(told).contains("was not asked here"));
    let ask = || people.ask_passkey(&party, None, NOW).expect("options");
    let answer = device.sign(&ask());
    people.enter_by_passkey(&party, &answer, NOW).expect("once");
    not_asked(people.enter_by_passkey(&party, &answer, NOW));
    let answer = device.sign(&ask());
    not_asked(people.enter_by_passkey(&party, &answer, NOW + WAIT));
    not_asked(people.enter_by_passkey(&party, &device.sign(&json!({"challenge": "AAAA"})), NOW));

    // What was asked to add a passkey signs nobody in, and the other way round.
    let offer = |known: &Known| people.offer_passkey(&party, known, "", NOW).expect("options");
    not_asked(people.enter_by_passkey(&party, &device.sign(&offer(&ane)), NOW));
    let add = |known: &Known, options: &Value| {
        let mut device = Device::new(ORIGIN, "console.example.org");
        people.add_passkey(&party, known, &device.make(options), NOW)
    };
    assert!(add(&ane, &ask()).is_err());

    // Nor does what another session asked, of the same person or another.
    let bo = known(&people, "Bo");
    assert!(add(&bo, &offer(&ane)).is_err());
    let again = Known { csrf: Some("another session".to_owned()), ..ane.clone() };
    assert!(add(&again, &offer(&ane)).is_err());
    assert!(add(&ane, &offer(&ane)).is_ok());
}

#[test]
fn only_a_passkey_that_asks_who_is_there_is_kept() {
    let (people, _directory, party) = stand();
    let (ane, device) = owner(&people, &party, "Ane");
    let bo = known(&people, "Bo");
    let made = |change: fn(&mut Device)| {
        let mut device = Device::new(ORIGIN, &party.id);
        change(&mut device);
        device.make(&people.offer_passkey(&party, &bo, "", NOW).expect("options"))
    };
    let add = |sent: &PasskeyMade| people.add_passkey(&party, &bo, sent, NOW);
    for change in [
        (|it| it.flags = 0x01) as fn(&mut Device),
        |it| it.flags = 0x04,
        |it| it.party = "example.org".to_owned(),
        |it| it.origin = "http://console.example.org:9181".to_owned(),
        |it| it.framed = true,
        |it| it.id = vec![7; 1_024],
    ] {
        assert!(matches!(add(&made(change)), Err(Denied::Because(_))));
    }
    let mut stolen = made(|_| ());
    stolen.id = URL_SAFE_NO_PAD.encode(&device.id);
    assert!(add(&stolen).is_err(), "it says another name than it has");
    let mut same = Device::new(ORIGIN, &party.id);
    same.id.clone_from(&device.id);
    let again = same.make(&people.offer_passkey(&party, &bo, "", NOW).expect("options"));
    assert!(add(&again).is_err(), "Ane's");
    assert_eq!(people.passkeys("Bo").expect("readable"), []);
    for number in 1..PASSKEYS {
        let mut device = Device::new(ORIGIN, &party.id);
        let options = people.offer_passkey(&party, &ane, "", NOW).expect("options");
        people.add_passkey(&party, &ane, &device.make(&options), NOW + number).expect("there is room");
    }
    assert!(people.offer_passkey(&party, &ane, "", NOW).is_err(), "no more");
}

#[test]
fn what_waits_for_an_answer_is_bounded() {
    let challenges = Challenges::default();
    let first = challenges.ask(Wish::Enter, NOW);
    (0..ASKED).for_each(|_| drop(challenges.ask(Wish::Enter, NOW)));
    assert_eq!(challenges.waiting.lock().expect("whole").len(), ASKED);
    assert!(!challenges.answered(&first, &Wish::Enter, NOW), "the oldest was forgotten");
    let (people, _directory, party) = stand();
    let from = Some(IpAddr::from([192, 0, 2, 7]));
    let asked = (0..20).filter(|_| people.ask_passkey(&party, from, NOW).is_ok()).count();
    assert_eq!(asked, 10, "from one address");
}

#[test]
fn devices_sign_for_a_name_that_nobody_else_can_have() {
    for (url, expected) in [
        ("https://console.example.org", Some(("console.example.org", "https://console.example.org"))),
        ("https://Console.Example.org:443/", Some(("console.example.org", "https://console.example.org"))),
        ("https://console.example.org:9181", Some(("console.example.org", "https://console.example.org:9181"))),
        ("http://localhost:9181", Some(("localhost", "http://localhost:9181"))),
        ("http://localhost:80", Some(("localhost", "http://localhost"))),
        ("http://console.example.org", None),
        ("http://127.0.0.1:9181", None),
        ("https://192.0.2.1", None),
        ("https://[::1]:9181", None),
        ("", None),
    ] {
        let expected = expected.map(|(id, origin)| Party { id: id.to_owned(), origin: origin.to_owned() });
        assert_eq!(Party::of(url), expected, "{url}");
    }
    let party = Party::of("http://localhost:9181").expect("one");
    assert!(party.is_at("localhost:9181") && !party.is_at("127.0.0.1:9181") && !party.is_at("localhost"));
}

/// W3C Web Authentication Level 3, section 16, test vectors: a key, what was signed with it, what the browser said, the signature.
#[test]
fn the_standards_own_signatures_are_right() {
    let es256 = "a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b034\
        58abf879717c12cc68ed73290af2e2664796b9220";
    let ed25519 = "a401010327200621582044e06ddd331c36a8dc667bab52bcae63486c916aa5e339e6acebaa84934bf832";
    // Its modulus is the product of the two Mersenne primes of 1279 and 2203 bits.
    let modulus = format!("03{}7{}8{}1", "f".repeat(319), "f".repeat(230), "0".repeat(318));
    let rs256 = format!("a401030339010020 5901b4{modulus}2143010001");
    for (key, data, said, signature) in [
        (
            es256,
            "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000",
            r#"{"type":"webauthn.get","challenge":"OcDnUhQXulTUPo3JUXT0I97pvzzYBP9tZchXyav01Ag","origin":"https://example.org","crossOrigin":false}"#,
            "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486\
             013f937295ea13653e331e87",
        ),
        (
            ed25519,
            "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b50100000000",
            r#"{"type":"webauthn.get","challenge":"iVlX4BxjOmmDSKLYoxpUt9sn6MHEOyCA15riGQJnv9I","origin":"https://example.org","crossOrigin":false}"#,
            "f5c59c7e46c34f6f8cc197101ddf9934fa2595f68eb1913a637e8419eb9ba4cfdfc48f85393bc0d40b011f0d6fecb097d6607525713223a0dc0d4539\
             93dae00b",
        ),
        (
            rs256.as_str(),
            "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b51900000000",
            r#"{"type":"webauthn.get","challenge":"KV9Z9fqP5ixayp4nYmx4yNo3aubYzS3SmuutYB4bxMU","origin":"https://example.org","crossOrigin":false}"#,
            "01063d52d7c39b4d432fc7063c5d93e582bdcb16889cd71f888d67d880ea730a428498d3bc8e1ee11f2b1ecbe6c292b118c55ffaaddefa8cad0a54dd\
             137c51f1eec673f1bb6c4d1789d6826a222b22d0f585fc901fdc933212e579d199b89d672aa44891333e6a1355536025e82b25590256c3538229b557\
             37083b2f6b9377e49e2472f11952f79fdd0da180b5ffd901b4049a8f081bb40711bef76c62aed943571f2d0575304cb549d68d8892f95086a30f9371\
             6aee818f8dc06e96c0d5e0ed4cfa9fd8773d90464b68cf140f7986666ff9c9e3302acd0535d60d769f465e2ab57ef8aabc89fccfef7ba32a64154a8b\
             3d26be2298f470b8cc5377dbe3dfd4b0b45f8f01e63bde6cfc76b62771f9b70aa27cf40152cad93aa5acd784fd4b90f676e2ea828d0bf2400aebbaae\
             4153e5838f537f88b6228346782a93a899be66ec77de45b3efcf311da6321c92e6b0cd11bfe653bf3e98cee8e341f02d67dbb6f9c98d9e8178090cfb\
             5b70fbc6d541599ac794ae2f1d4de1286ec8de8c2daf7b1d15c8438e90d924df5c19045220a4c8438c1b979bbe016cf3d0eeec23c3999d4882cc645b\
             776de930756612cdc6dd398160ff02a6",
        ),
    ] {
        let mut signed = hex(data);
        signed.extend(digest_of(said.as_bytes()));
        let key = verifier(&hex(key)).expect("a key");
        assert!(key.verify_sig(&signed, &hex(signature)).is_ok(), "{said}");
        signed[33] ^= 1;
        assert!(key.verify_sig(&signed, &hex(signature)).is_err(), "{said}");
    }
    let off_the_curve = es256.replace("afefa16f", "afefa16e");
    assert!(webauthn::key(&hex(&off_the_curve)).is_ok() && verifier(&hex(&off_the_curve)).is_none());
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).expect("hex")).collect()
}
