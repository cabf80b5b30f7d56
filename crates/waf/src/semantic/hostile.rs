//! Attacks that are padded and wrapped are still seen, and the work for the worst texts grows with their length and no faster.

use proptest::prelude::*;

use super::*;

/// Attacks, each plain, by the place of their blanks: `~` is white space that may be anything that is read as such.
const ATTACKS: &[&str] = &[
    "1~union~select~password~from~users",
    "1~or~1=1",
    "x'~or~name~like~'%a%",
    "1;~drop~table~users",
    "1~and~sleep(5)",
    "1~and~(select~count(*)~from~users)~>~0",
    "-1~order~by~10--",
    "<img~src=x~onerror=alert(1)>",
    "<svg~onload=alert(1)>",
    "<a~href='javascript:alert(1)'>x</a>",
    "\"~onfocus=alert(1)~autofocus~x=\"",
    "alert~(1)",
    "window~['al'+'ert']~(1)",
    ";~cat~/etc/passwd",
    "|~id",
    "&&~whoami",
    "{{~7*7~}}",
    "${~7*7~}",
    "<!DOCTYPE~a~[<!ENTITY~x~SYSTEM~'file:///etc/passwd'>]>",
    "*)~(uid=*))~(|(uid=*",
];

/// The same where blanks belong to nothing: what stands in front of the attack, and is harmless.
const WHOLE: &[(&str, Place)] = &[
    ("${jndi:ldap://x.example/a}", Place::Header),
    ("../../../../etc/passwd", Place::Query),
    ("php://filter/resource=index.php", Place::Query),
    ("http://169.254.169.254/latest/meta-data/", Place::Query),
    ("{\"user\": {\"$gt\": \"\"}", Place::Body),
    ("' || '1'=='1", Place::Query),
    ("O:8:\"Example1\":1:{s:1:\"a\";i:1;}", Place::Query),
    ("{{config.__class__.__init__.__globals__}}", Place::Query),
    ("${T(java.lang.Runtime).getRuntime().exec('id')}", Place::Query),
    ("<script>alert(1)</script>", Place::Query),
    ("<a href=\"javascript:alert(1)\">x</a>", Place::Query),
    (";/bin/cat /etc/passwd", Place::Query),
    (";system('id');", Place::Query),
    ("__import__('os').system('id')", Place::Query),
    ("x'] | //user/*['", Place::Query),
];

/// What fills up a list of what is looked at: signs that lexers stop at, harmless in themselves.
const PADDING: &[&str] = &[
    "$ ",
    "a: ",
    "a://b ",
    "http://example.org/ ",
    "${a} ",
    "{{a}} ",
    "x:1 ",
    "<b>",
    "< ",
    "[a] ",
    "(a) ",
    "| ",
    "a=b ",
    "/ ",
    "\"a\" ",
    ". ",
    "# ",
    "@a ",
    "* ",
    "%7e ",
    "&amp; ",
    "1, ",
    "\n",
    "\t\t\t\t\t\t\t\t",
    "                ",
    "/* x */ ",
    "é ",
];

fn blocked(place: Place, text: &[u8]) -> bool {
    let detector = Detector::new(Settings::default());
    let mut findings = Findings::new();
    detector.value(place, b"q", text, &mut findings);
    detector.blocks(&findings)
}

fn recased(text: &str, seed: u64) -> String {
    let flip = |at: usize| seed.rotate_left(at as u32 % 64) & 1 == 1;
    let change = |(at, letter): (usize, char)| if flip(at) { letter.to_ascii_uppercase() } else { letter };
    text.chars().enumerate().map(change).collect()
}

#[test]
fn every_attack_is_seen_plain() {
    for attack in ATTACKS {
        assert!(blocked(Place::Query, attack.replace('~', " ").as_bytes()), "{attack}");
    }
    for (attack, place) in WHOLE {
        assert!(blocked(*place, attack.as_bytes()), "{attack}");
    }
}

/// What no list can hold passes no attack: thousands of signs of each kind in front of each.
#[test]
fn padding_hides_nothing() {
    for (attack, place) in WHOLE {
        for padding in PADDING {
            let text = [padding.repeat(3000), (*attack).to_owned()].concat();
            assert!(blocked(*place, text.as_bytes()), "{attack} behind {padding:?}");
        }
    }
}

proptest! {
    /// Whatever is between the words of an attack and is read as white space, in whatever case: it is seen.
    #[test]
    fn blanks_and_case_hide_nothing(
        attack in 0..ATTACKS.len(),
        blanks in prop::collection::vec(prop::sample::select(vec![" ", "\t", "\n", "\r\n", "\u{b}", "\u{c}"]), 1..200),
        case in any::<u64>(),
    ) {
        let attack = ATTACKS[attack];
        let command = attack.starts_with([';', '|', '&']);
        let blanks: String = blanks.iter().filter(|blank| !command || matches!(**blank, " " | "\t")).copied().chain([" "]).collect();
        // Names of commands, members and schemes are in lower case where they run.
        let sensitive = command || attack.contains("alert") && !attack.contains('<') || attack.contains("{") || attack.contains("al'");
        let text = attack.replace('~', &blanks);
        let text = if sensitive { text } else { recased(&text, case) };
        prop_assert!(blocked(Place::Query, text.as_bytes()), "{:?}", text);
    }

    /// Comments between the words of statements and of scripts hide nothing.
    #[test]
    fn comments_hide_nothing(
        attack in prop::sample::select(vec![
            "1~union~select~password~from~users", "1~or~1=1", "x'~or~name~like~'%a%", "1~and~sleep(5)", "alert~(1)",
            "window~[~'al'+'ert']~(1)", "eval~(atob('YQ=='))", "system~('id');", "(~alert~)~(1)",
        ]),
        inner in "[a-z (]{0,80}",
        before in " {0,40}",
    ) {
        let comment = format!("{before}/*{inner}*/");
        let text = attack.replace('~', &comment);
        prop_assert!(blocked(Place::Query, text.as_bytes()), "{:?}", text);
    }

    /// Ordinary words before an attack that stands for itself hide nothing.
    #[test]
    fn words_in_front_hide_nothing(
        attack in 0..WHOLE.len(),
        words in prop::collection::vec("[a-z]{1,9}", 0..60),
        sign in prop::sample::select(vec![" ", ", ", ". ", "; ", " - ", "\n"]),
    ) {
        let (attack, place) = WHOLE[attack];
        let text = [words.join(" "), sign.to_owned(), attack.to_owned()].concat();
        prop_assert!(blocked(place, text.as_bytes()), "{:?}", text);
    }
}

/// What keeps each lexer busiest, repeated: `specs/waf-busy.toml`.
fn busy() -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Busy {
        pieces: Vec<String>,
    }
    let busy: Busy = toml::from_str(include_str!("../../../../specs/waf-busy.toml")).expect("a list of pieces");
    busy.pieces
}

/// Most steps for a byte, all layers together, whatever the text is.
const STEPS_A_BYTE: u64 = 400;

/// Twice the text is at most a little more than twice the work, for each of the worst texts that are known, alone and in pairs.
#[test]
fn the_worst_texts_take_linear_work() {
    // Nothing is told, and so nothing is blocked: every lexer reads to the end of every layer.
    let detector = Detector::new(Settings { allowed: Class::ALL.to_vec(), ..Settings::default() });
    let steps = |place: Place, text: &[u8]| {
        let mut findings = Findings::new();
        steps::count(|| detector.value(place, b"url", text, &mut findings))
    };
    let seasoning =
        b"select union or alert window onclick= etc passwd cat;id$x(${a})<a>http://java.{{' \"`%41\\+:-#*!&|[]=";
    let mut slow = Vec::new();
    let busy = busy();
    for (index, piece) in busy.iter().map(String::as_str).enumerate() {
        // Alone, behind words that wake every lexer, and with another one.
        let other = busy[(index * 37 + 11) % busy.len()].as_str();
        let pair = [piece, other].concat();
        for (piece, season) in [(piece, &b""[..]), (piece, seasoning), (pair.as_str(), seasoning)] {
            // Whole pieces, so that both end alike.
            let fill = |bytes: usize| [season, piece.repeat(bytes / piece.len()).as_bytes()].concat();
            // Longer than what a string of SQL may be, so that it is the same work for each part of them.
            let (short, long) = (fill(5 << 10), fill(10 << 10));
            let (first, second) = (steps(Place::Query, &short), steps(Place::Query, &long));
            if second > first * 5 / 2 + 20_000 || second > STEPS_A_BYTE * long.len() as u64 {
                slow.push(format!("{piece:?}: {first} steps for 5 kB, {second} for 10 kB"));
            }
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

/// The same where each of them is a short value of its own, in a form of thousands.
#[test]
fn thousands_of_bad_values_take_linear_work() {
    let detector = Detector::new(Settings { allowed: Class::ALL.to_vec(), ..Settings::default() });
    let steps = |form: &str| {
        let mut findings = Findings::new();
        steps::count(|| detector.form(form.as_bytes(), &mut findings))
    };
    let mut slow = Vec::new();
    for piece in busy() {
        let escaped: String = piece.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let pair = format!("a={}&", escaped.repeat(4));
        let (first, second) = (steps(&pair.repeat(100)), steps(&pair.repeat(200)));
        let bytes = 200 * pair.len() as u64;
        if second > first * 5 / 2 + 20_000 || second > STEPS_A_BYTE * bytes {
            slow.push(format!("{piece:?}: {first} steps for 100, {second} for 200, {bytes} bytes"));
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
