//! The shapes of names and values: what stays the same when a client makes up a new one for each request.
//!
//! A cache-buster writes `?a8f3k=91x7q`, then `?zz0q1=77b2p`; a person's browser writes `?q=petition`. Told by shape, the
//! first is always the same, and the second is not the same as the first.

use memchr::{memchr, memchr2};

use super::hash::Keys;

/// Of a name or value, so many bytes decide its shape.
const LOOKED_AT: usize = 48;
/// A name or value of fewer bytes is never called made up: too little to tell.
const SHORTEST_MADE_UP: usize = 5;
/// Parameters of a query that are looked at; more of them are one more shape.
const PARAMETERS: usize = 16;
/// Of a query, so many bytes are looked at.
const QUERY_BYTES: usize = 1024;
/// Of a path, so many bytes are told apart.
const PATH_BYTES: usize = 64;

/// What a name or a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Shape {
    /// Nothing.
    Empty,
    /// Digits, also as a date or with decimals.
    Number,
    /// Words of a language, or too short to tell.
    Word,
    /// Percent signs or bytes beyond ASCII: text that had to be encoded.
    Encoded,
    /// Made up by a machine: a UUID, a hash, random letters.
    MadeUp,
}

/// The letters that often follow each letter: the 300 most frequent pairs in words of fourteen European languages and
/// in names that programmers give. 95 % of the pairs of such words are here, and 44 % of random ones.
const FOLLOWS: [&[u8]; 26] = [
    b"abcdfgiklmnprstuvxyz",
    b"aeilorsuy",
    b"acehiklortuz",
    b"adefilnorstu",
    b"abcdefghijklmnoprstuvwxyz",
    b"aefilortu",
    b"aeghilnorsu",
    b"aeilort",
    b"abcdefgjklmnoprstvxz",
    b"aeo",
    b"aeilorstu",
    b"adeilmnostuy",
    b"abeimnopsu",
    b"acdefgiklmnostuvy",
    b"abcdefgiklmnoprstuvwz",
    b"aehiloprstu",
    b"u",
    b"abcdefgiklmnorstuvwyz",
    b"acehiklmopstuy",
    b"acehilnorstuyz",
    b"abcdefgiklmnprst",
    b"aeino",
    b"aeior",
    b"eipt",
    b"amnopst",
    b"aeiou",
];

/// What a byte is: in the lower five bits a letter by its place in the alphabet or a number of its own, above them one bit
/// for its kind.
const LETTER: u16 = 1 << 5;
const DIGIT: u16 = 1 << 6 | 26;
/// What joins words or parts of numbers.
const JOINT: u16 = 1 << 7 | 27;
/// Beyond ASCII, or a control character.
const FOREIGN: u16 = 1 << 8 | 28;
/// Announces two digits that stand for a byte.
const ESCAPE: u16 = 1 << 9 | 29;
/// Stands between a name and its value; joins, anywhere else.
const EQUALS: u16 = 1 << 10 | 30;
/// Stands between parameters; joins, anywhere else.
const AND: u16 = 1 << 11 | 31;

const CLASSES: [u16; 256] = {
    let mut classes = [FOREIGN; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        classes[byte] = match value {
            b'a'..=b'z' => LETTER | (value - b'a') as u16,
            b'A'..=b'Z' => LETTER | (value - b'A') as u16,
            b'0'..=b'9' => DIGIT,
            b'%' => ESCAPE,
            b'=' => EQUALS,
            b'&' => AND,
            b'!'..=b'~' => JOINT,
            _ => FOREIGN,
        };
        byte += 1;
    }
    classes
};

/// The number of what a byte is.
const fn number(class: u16) -> usize {
    class as usize & 31
}

/// The bit of its kind.
const fn kind(class: u16) -> u16 {
    class & !31
}

/// By the number of what stands before and that of a byte: 1 if the two are a pair, and `ONE_RARE` more if they do not
/// stand side by side in words. A letter beside a digit is such a pair.
const PAIRS: [[u8; 32]; 32] = {
    let mut pairs = [[0; 32]; 32];
    let mut before = 0;
    while before <= number(DIGIT) {
        let mut class = 0;
        while class <= number(DIGIT) {
            if before != number(DIGIT) || class != number(DIGIT) {
                pairs[before][class] = 1 + ONE_RARE;
            }
            class += 1;
        }
        let mut at = 0;
        while before < 26 && at < FOLLOWS[before].len() {
            pairs[before][(FOLLOWS[before][at] - b'a') as usize] = 1;
            at += 1;
        }
        before += 1;
    }
    pairs
};
/// More than there are bytes that are looked at.
const ONE_RARE: u8 = 1 << 7;
const _: () = assert!(LOOKED_AT < ONE_RARE as usize);

/// The shape of a name or value.
pub(crate) fn shape(text: &[u8]) -> Shape {
    let text = text.get(..LOOKED_AT).unwrap_or(text);
    let look = look(text.iter(), 0);
    told(text, look)
}

/// The part of `text` that stands before the first byte of one of the kinds `ends`, its shape, and what stands from
/// there on.
fn part(text: &[u8], ends: u16) -> (&[u8], Shape, &[u8]) {
    let near = text.get(..LOOKED_AT).unwrap_or(text);
    let look = look(near.iter(), ends);
    let far = |text| if ends & kind(EQUALS) == 0 { memchr(b'&', text) } else { memchr2(b'=', b'&', text) };
    let length = match text.get(LOOKED_AT..) {
        Some(rest) if look.length == LOOKED_AT => far(rest).map_or(text.len(), |at| LOOKED_AT + at),
        _ => look.length,
    };
    let shape = told(near.get(..look.length).unwrap_or(near), look);
    let (part, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
    (part, shape, rest)
}

/// What a look at so many bytes tells of their shape.
fn told(text: &[u8], mut looked: Look) -> Shape {
    const OTHERS: u16 = kind(FOREIGN) | kind(ESCAPE);
    const RARE: u32 = ONE_RARE as u32;
    if looked.seen & kind(ESCAPE) != 0 {
        // The two digits behind it stand for a byte and are no pair.
        let mut escaped = 0u8;
        let counting = text.iter().filter(|byte| {
            let counts = escaped == 0;
            escaped = if **byte == b'%' { 2 } else { escaped.saturating_sub(1) };
            counts
        });
        looked = look(counting, 0);
    }
    let (seen, pairs, rare) = (looked.seen, looked.pairs % RARE, looked.pairs / RARE);
    if seen == 0 {
        Shape::Empty
    } else if seen & (LETTER | OTHERS) == 0 {
        if seen & kind(DIGIT) == 0 { Shape::Word } else { Shape::Number }
    } else if text.len() >= SHORTEST_MADE_UP && rare >= 2 && rare * 4 >= pairs {
        // Two, and a quarter, of what stands side by side never does in words.
        Shape::MadeUp
    } else if seen & OTHERS != 0 {
        Shape::Encoded
    } else {
        Shape::Word
    }
}

#[derive(Clone, Copy)]
struct Look {
    /// Bytes that were looked at.
    length: usize,
    /// A bit for each kind that occurs.
    seen: u16,
    /// The sum of the pairs.
    pairs: u32,
}

/// Looks at a text up to the first byte of one of the kinds `ends`.
fn look<'a>(text: impl Iterator<Item = &'a u8>, ends: u16) -> Look {
    let (mut look, mut before) = (Look { length: 0, seen: 0, pairs: 0 }, JOINT);
    for byte in text {
        let class = CLASSES[usize::from(*byte)];
        if ends & class != 0 {
            break;
        }
        look.length += 1;
        look.seen |= class;
        look.pairs += u32::from(PAIRS[number(before)][number(class)]);
        before = class;
    }
    look
}

/// Names that advertisers and mailers append to links that people share. They look made up and are not.
const KNOWN_NAMES: [&[u8]; 12] = [
    b"fbclid", b"gclid", b"dclid", b"msclkid", b"twclid", b"ttclid", b"yclid", b"igshid", b"gbraid", b"wbraid",
    b"mc_cid", b"mc_eid",
];

/// The names of a query and the shapes of its values, whatever their order: 0 for an empty query.
///
/// Made-up names are all one name, and one that comes again counts once, so that neither more names nor more of them make
/// a new shape.
pub(crate) fn query(keys: &Keys, query: &[u8]) -> u32 {
    if query.is_empty() {
        return 0;
    }
    let mut rest = query.get(..QUERY_BYTES).unwrap_or(query);
    let (mut names, mut made_up) = (0u32, 0u32);
    for _ in 0..PARAMETERS {
        let (name, shape, behind) = part(rest, kind(EQUALS) | kind(AND));
        let (value, behind) = match behind {
            [b'=', value @ ..] => {
                let (_, shape, behind) = part(value, kind(AND));
                (shape, behind)
            }
            _ => (Shape::Empty, behind),
        };
        if matches!(shape, Shape::MadeUp | Shape::Number | Shape::Encoded) && !KNOWN_NAMES.contains(&name) {
            made_up = 1;
        } else {
            names = names.wrapping_add(mix(keys.short(name), value as u32));
        }
        match behind {
            [_, more @ ..] => rest = more,
            [] => return mix(names, made_up).max(1),
        }
    }
    mix(names, made_up | MORE).max(1)
}

/// There were more parameters than are looked at.
const MORE: u32 = 1 << 31;

/// One number of two, so that the sum of several tells which belonged together.
const fn mix(name: u32, value: u32) -> u32 {
    let mixed = (name ^ value.wrapping_mul(0x9E37_79B1)).wrapping_mul(0x85EB_CA6B);
    mixed ^ mixed >> 15
}

/// The path, its last part told by shape where it is a number or made up, so that records and cache-busters do not each
/// have a path of their own.
pub(crate) fn path(keys: &Keys, path: &[u8]) -> u32 {
    let cut = path.get(..PATH_BYTES).unwrap_or(path);
    let start = cut.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (parents, part) = cut.split_at_checked(start).unwrap_or((cut, &[]));
    // A file is named by what stands before its ending.
    let stem = part.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0).and_then(|at| part.get(..at));
    match shape(stem.unwrap_or(part)) {
        shape @ (Shape::Number | Shape::MadeUp) => mix(keys.short(parents), shape as u32).max(1),
        _ => keys.short(cut),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn keys() -> Keys {
        Keys::new([7, 8])
    }

    #[test]
    fn shapes_are_told() {
        let table: &[(&str, Shape)] = &[
            ("", Shape::Empty),
            ("17", Shape::Number),
            ("2026-11-22", Shape::Number),
            ("3.50", Shape::Number),
            ("_", Shape::Word),
            ("q", Shape::Word),
            ("petition", Shape::Word),
            ("donate-now", Shape::Word),
            ("Unterschriftensammlung", Shape::Word),
            ("returnUrl", Shape::Word),
            ("img_2024_01", Shape::Word),
            ("climate+strike", Shape::Word),
            ("Gr%C3%BC%C3%9Fe", Shape::Encoded),
            ("b\u{fc}rger", Shape::Encoded),
            ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", Shape::MadeUp),
            ("d41d8cd98f00b204e9800998ecf8427e", Shape::MadeUp),
            ("xkqzjwvt", Shape::MadeUp),
            ("a8f3k", Shape::MadeUp),
            ("dGhpcyBpcyBhIHRlc3Q", Shape::MadeUp),
            ("app.3f9a8c.js", Shape::MadeUp),
        ];
        for (text, expected) in table {
            assert_eq!(shape(text.as_bytes()), *expected, "{text}");
        }
    }

    #[test]
    fn ordinary_queries_stay_distinct() {
        let ordinary = [
            "",
            "q=climate",
            "q=climate&page=2",
            "page=2",
            "id=7",
            "utm_source=mail&utm_campaign=may",
            "fbclid=IwAR0x7",
            "gclid=Cj0KC",
            "lang=de",
            "filter=open",
            "sort=date",
            "year=2026&month=11",
            "step=pay",
            "amount=20&monthly=yes",
        ];
        let mut shapes = BTreeMap::new();
        for text in ordinary {
            if let Some(other) = shapes.insert(query(&keys(), text.as_bytes()), text) {
                panic!("{text} looks like {other}");
            }
        }
        let same = |one: &str, other: &str| query(&keys(), one.as_bytes()) == query(&keys(), other.as_bytes());
        assert!(same("q=climate&page=2", "page=9&q=strike"), "neither order nor words");
        assert!(!same("q=climate&page=2", "q=2&page=climate"), "which value belongs to which name");
    }

    #[test]
    fn ordinary_paths_stay_distinct_and_records_do_not() {
        let same = |one: &str, other: &str| path(&keys(), one.as_bytes()) == path(&keys(), other.as_bytes());
        assert!(!same("/news/climate-strike", "/news/fair-wages"));
        assert!(!same("/donate", "/join"));
        assert!(!same("/index.html", "/about.html"));
        assert!(!same("/xmlrpc.php", "/wp-login.php"));
        assert!(same("/members/1017", "/members/99"));
        assert!(!same("/members/1017", "/orders/99"));
        assert!(same("/a/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "/a/d41d8cd98f00b204e9800998ecf8427e"));
    }

    /// So many characters of an alphabet.
    type Random<'a> = dyn FnMut(&[u8], usize) -> String + 'a;

    /// The share of the most frequent of `values`.
    fn largest(values: impl Iterator<Item = u32>) -> f64 {
        let (mut counts, mut all) = (BTreeMap::<u32, u32>::new(), 0);
        values.for_each(|value| {
            *counts.entry(value).or_default() += 1;
            all += 1;
        });
        f64::from(counts.values().copied().max().unwrap_or(0)) / f64::from(all)
    }

    #[test]
    fn cache_busters_collapse() {
        // A fixed sequence stands for the attacker's randomness.
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut random = move |alphabet: &[u8], length: usize| -> String {
            let draw = |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(alphabet[(state >> 33) as usize % alphabet.len()])
            };
            (0..length).map(draw).collect()
        };
        let (letters, mixed) = (&b"abcdefghijklmnopqrstuvwxyz"[..], &b"abcdefghijklmnopqrstuvwxyz0123456789"[..]);
        let keys = keys();
        let mut attack = |make: &mut dyn FnMut(&mut Random<'_>) -> String| {
            largest((0..5000).map(|_| query(&keys, make(&mut random).as_bytes())))
        };
        let of = |share: f64, least: f64, what: &str| assert!(share >= least, "{what}: {share}");
        of(attack(&mut |r| format!("_={}", 1 + r(b"0123456789", 9).len())), 1.0, "numbers");
        of(attack(&mut |r| format!("v={}", r(letters, 12))), 0.9, "random letters as values");
        of(attack(&mut |r| format!("v={}", r(mixed, 16))), 0.99, "random letters and digits as values");
        of(attack(&mut |r| format!("{}={}", r(mixed, 10), r(mixed, 10))), 0.97, "random names");
        of(attack(&mut |r| format!("{}={}", r(letters, 10), r(letters, 3))), 0.9, "random names of letters");
        of(
            attack(&mut |r| {
                let count = 1 + r(letters, 1).as_bytes()[0] as usize % 6;
                (0..count).map(|_| format!("{}={}", r(mixed, 12), r(mixed, 6))).collect::<Vec<_>>().join("&")
            }),
            0.95,
            "another number of random names",
        );
        of(largest((0..5000).map(|_| path(&keys, format!("/p/{}", random(mixed, 12)).as_bytes()))), 0.97, "paths");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_shape(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let keys = keys();
            let _ = (shape(&text), path(&keys, &text));
            prop_assert_eq!(query(&keys, &text) == 0, text.is_empty());
        }

        #[test]
        fn a_part_is_what_stands_before_its_end(text in "[a-z0-9%=&.]{0,120}") {
            for (ends, stops) in [(kind(EQUALS) | kind(AND), &['=', '&'][..]), (kind(AND), &['&'][..])] {
                let (text, at) = (text.as_bytes(), text.find(stops).unwrap_or(text.len()));
                prop_assert_eq!(part(text, ends), (&text[..at], shape(&text[..at]), &text[at..]));
            }
        }

        #[test]
        fn order_does_not_matter(mut names in proptest::collection::vec("[a-z]{1,4}", 1..8), turn in 0usize..8) {
            let keys = keys();
            let one = query(&keys, names.join("&").as_bytes());
            let turn = turn % names.len();
            names.rotate_left(turn);
            prop_assert_eq!(query(&keys, names.join("&").as_bytes()), one);
        }
    }
}
