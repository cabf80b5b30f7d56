//! `@detectXSS`: whether a browser would run something of a value that is put into a page, by the method of libinjection (Nick
//! Galbreath; <https://github.com/libinjection/libinjection>).
//!
//! A value is read as HTML from five places: between elements, inside of a tag, and inside of an attribute's value with each kind
//! of quote. Elements, attributes, addresses and comments that run something are an attack wherever they stand. The answers are
//! those of the C library, checked by running it; each reading is one pass.

mod html;

use std::sync::LazyLock;

use memchr::{memchr, memchr2};

use self::html::{Html, Place, Token};

/// What an attribute does with its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attribute {
    /// Nothing that matters.
    Harmless,
    /// Runs it, or lets it run.
    Runs,
    /// Goes to it.
    Address,
    /// Names another attribute in it.
    Names,
}

/// Whether a browser would run something.
#[must_use]
pub fn detect(value: &[u8]) -> bool {
    // Elements and comments begin with the one, and attributes have their values behind the other.
    if memchr2(b'<', b'=', value).is_none() {
        return false;
    }
    let has = |byte| memchr(byte, value).is_some();
    (has(b'<') && runs(value, Place::Text))
        || runs(value, Place::Tag)
        || [b'\'', b'"', b'`'].into_iter().any(|quote| has(quote) && runs(value, Place::Quoted(quote)))
}

/// Whether something runs if the value stands in that place.
fn runs(value: &[u8], place: Place) -> bool {
    let mut attribute = Attribute::Harmless;
    for token in Html::new(value, place) {
        let before = std::mem::replace(&mut attribute, Attribute::Harmless);
        let found = match token {
            Token::Doctype => true,
            Token::Element(name) => is_element(name),
            Token::Name(name) => {
                attribute = kind_of(name);
                false
            }
            Token::Value(text) => match before {
                Attribute::Harmless => false,
                Attribute::Runs => true,
                Attribute::Address => is_address(text),
                Attribute::Names => kind_of(text) != Attribute::Harmless,
            },
            Token::Comment(text) => is_comment(text),
            Token::Other => false,
        };
        if found {
            return true;
        }
    }
    false
}

/// Elements that run something, or change what others mean.
fn is_element(name: &[u8]) -> bool {
    const ELEMENTS: [&[u8]; 20] = [
        b"APPLET",
        b"BASE",
        b"COMMENT",
        b"EMBED",
        b"FRAME",
        b"FRAMESET",
        b"HANDLER",
        b"IFRAME",
        b"IMPORT",
        b"ISINDEX",
        b"LINK",
        b"LISTENER",
        b"META",
        b"NOSCRIPT",
        b"OBJECT",
        b"SCRIPT",
        b"STYLE",
        b"VMLFRAME",
        b"XML",
        b"XSS",
    ];
    name.len() >= 3
        && (ELEMENTS.iter().any(|element| is_name(element, name, initial(name)))
            || begins_with(name, b"SVG")
            || begins_with(name, b"XSL"))
}

/// What an attribute does.
fn kind_of(name: &[u8]) -> Attribute {
    const ATTRIBUTES: [(&[u8], Attribute); 20] = [
        (b"ACTION", Attribute::Address),
        (b"ATTRIBUTENAME", Attribute::Names),
        (b"BY", Attribute::Address),
        (b"BACKGROUND", Attribute::Address),
        (b"DATAFORMATAS", Attribute::Runs),
        (b"DATASRC", Attribute::Runs),
        (b"DYNSRC", Attribute::Address),
        (b"FILTER", Attribute::Runs),
        (b"FORMACTION", Attribute::Address),
        (b"FOLDER", Attribute::Address),
        (b"FROM", Attribute::Address),
        (b"HANDLER", Attribute::Address),
        (b"HREF", Attribute::Address),
        (b"LOWSRC", Attribute::Address),
        (b"POSTER", Attribute::Address),
        (b"SRC", Attribute::Address),
        (b"STYLE", Attribute::Runs),
        (b"TO", Attribute::Address),
        (b"VALUES", Attribute::Address),
        (b"XLINK:HREF", Attribute::Address),
    ];
    if name.len() < 2 {
        return Attribute::Harmless;
    }
    let is_event = || name.get(2..).is_some_and(|event| begins_with(name, b"ON") && is_event(event));
    if name.len() >= 5 && (is_event() || begins_with(name, b"XMLNS") || begins_with(name, b"XLINK")) {
        return Attribute::Runs;
    }
    let first = initial(name);
    let known = ATTRIBUTES.iter().find(|(known, _)| is_name(known, name, first));
    known.map_or(Attribute::Harmless, |&(_, kind)| kind)
}

/// The first byte of a name that is no null, in upper case.
fn initial(name: &[u8]) -> u8 {
    name.iter().find(|byte| **byte != 0).map_or(0, u8::to_ascii_uppercase)
}

/// Whether a name that begins so is `word`: hardly any is, and most begin otherwise.
fn is_name(word: &[u8], name: &[u8], first: u8) -> bool {
    word.first() == Some(&first) && equals_without_nulls(word, name)
}

/// Whether the name of an event is what `name` begins with.
fn is_event(name: &[u8]) -> bool {
    /// By first letter, `A` to `Z`.
    static EVENTS: LazyLock<Vec<Vec<&'static [u8]>>> = LazyLock::new(|| {
        let mut events = vec![Vec::new(); 26];
        let text = include_str!("events.txt").lines().filter(|line| !line.starts_with('#'));
        for event in text.flat_map(str::split_ascii_whitespace).map(str::as_bytes) {
            let letter = event.first().map_or(0, |letter| usize::from(letter.wrapping_sub(b'A')));
            if let Some(events) = events.get_mut(letter) {
                events.push(event);
            }
        }
        events
    });
    let letter = name.first().map_or(usize::MAX, |letter| usize::from(letter.to_ascii_uppercase().wrapping_sub(b'A')));
    EVENTS.get(letter).is_some_and(|events| events.iter().any(|event| begins_with(name, event)))
}

/// Whether an address runs what it says, however it is written.
fn is_address(text: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 4] = [b"DATA", b"VIEW-SOURCE", b"VBSCRIPT", b"JAVA"];
    let start = text.iter().position(|byte| (33..127).contains(byte)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    SCHEMES.iter().any(|scheme| begins_with_decoded(text, scheme))
}

/// Whether `text`, its numeric references decoded, begins with `word`. White space and controls before it do not count, nor do
/// nulls and newlines inside of it.
fn begins_with_decoded(mut text: &[u8], word: &[u8]) -> bool {
    let mut word = word.iter();
    let mut begun = false;
    let mut expected = word.next();
    while let Some(&letter) = expected {
        let Some((code, rest)) = decoded(text) else { return false };
        text = rest;
        if (!begun && code <= 32) || code == 0 || code == 10 {
            continue;
        }
        begun = true;
        // Only what fits in a byte is compared.
        let small = (u32::from(b'a')..=u32::from(b'z')).contains(&code);
        if (if small { code - 32 } else { code }) as u8 != letter {
            return false;
        }
        expected = word.next();
    }
    true
}

/// The code of the first character, a numeric reference decoded, and what follows it.
fn decoded(text: &[u8]) -> Option<(u32, &[u8])> {
    /// Beyond, a reference is none.
    const LARGEST: u32 = 0x1000ff;
    let (&first, rest) = text.split_first()?;
    let plain = Some((u32::from(first), rest));
    let (digits, base) = match text {
        [b'&', b'#', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'&', b'#', digits @ ..] => (digits, 10),
        _ => return plain,
    };
    let mut code = 0;
    let mut length = 0;
    while let Some(digit) = digits.get(length).and_then(|&byte| char::from(byte).to_digit(base)) {
        code = code * base + digit;
        length += 1;
        if code > LARGEST {
            return plain;
        }
    }
    if length == 0 {
        return plain;
    }
    let after = digits.get(length..).unwrap_or_default();
    Some((code, after.strip_prefix(b";").unwrap_or(after)))
}

/// Comments that old browsers end early or obey.
fn is_comment(text: &[u8]) -> bool {
    memchr(b'`', text).is_some()
        || (text.len() > 3 && (begins_with(text, b"[IF") || begins_with(text, b"XML")))
        || text
            .get(..6)
            .is_some_and(|start| equals_without_nulls(b"IMPORT", start) || equals_without_nulls(b"ENTITY", start))
}

/// Whether `text` begins with `word`, which is in upper case.
fn begins_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Whether `text` without its nulls is `word`, which is in upper case.
fn equals_without_nulls(word: &[u8], text: &[u8]) -> bool {
    text.iter().filter(|&&byte| byte != 0).map(u8::to_ascii_uppercase).eq(word.iter().copied())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_as_libinjection_does() {
        let mut found = 0;
        for line in
            include_str!("../../../../../specs/seclang/injections.txt").lines().filter(|line| !line.starts_with('#'))
        {
            let mut fields = line.split('\t');
            let (value, expected) = (crate::operator::unescaped(fields.next().unwrap()), fields.nth(1).unwrap());
            assert_eq!(detect(&value), expected == "xss", "{line}");
            found += usize::from(expected == "xss");
        }
        assert!(found > 250);
    }

    #[test]
    fn long_values_end() {
        for part in
            ["<", "<a ", "<a/", "<!--", "<!---", "='", "`<", "<%", "<![CDATA[", "a=&#x", "href=\u{1}\n", "</", "=\""]
        {
            let _ = detect(part.repeat(50_000).as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(value: Vec<u8>) {
            let _ = detect(&value);
        }

        #[test]
        fn the_shortcut_is_right(value in "[a-z'\"`/ >!\\-]{0,20}") {
            for place in [Place::Text, Place::Tag, Place::Quoted(b'\''), Place::Quoted(b'"'), Place::Quoted(b'`')] {
                prop_assert!(!runs(value.as_bytes(), place));
            }
        }

        #[test]
        fn the_case_of_letters_does_not_matter(seed in prop::sample::select(&["<script>", "<a href=javascript:1>", "' onclick='x", "<!--[if x"][..]), flips: Vec<bool>) {
            let flipped: Vec<u8> = seed
                .bytes()
                .zip(flips.iter().chain(std::iter::repeat(&false)))
                .map(|(byte, flip)| if *flip && byte.is_ascii_alphabetic() { byte ^ 0x20 } else { byte })
                .collect();
            prop_assert!(detect(&flipped));
        }
    }
}
