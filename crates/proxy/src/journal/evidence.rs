//! What inspection found in a message, as the decision log keeps it: enough to explain a refusal and to try out later what an
//! exclusion would have let pass, and no more of a visitor than that.
//!
//! Kept are the rules and families that matched, the part that did, and the values that they stood in, each up to a bound.
//! Values in which nothing was found are never kept: of the other fields of a request only their names are. A value whose name
//! says that it is a secret is withheld, too: it cannot be tried again then.

use portcullis_waf::seclang::{Match, Program, Transaction};
use portcullis_waf::semantic::{self, Finding, Place};
use serde::{Deserialize, Serialize};

/// Bytes of all evidence of one record, as it is written.
pub const EVIDENCE_BYTES: usize = 12 * 1024;
/// Rules and families of one record.
pub const MOST_HITS: usize = 24;
/// Values of one record.
pub const MOST_VALUES: usize = 16;
/// Bytes of one value.
pub const VALUE_BYTES: usize = semantic::VALUE_BYTES_MAX;
/// Bytes of a matched part, and of what is said about it.
pub const PART_BYTES: usize = 120;
/// Bytes of a name.
const NAME_BYTES: usize = 256;
/// Names of fields.
const MOST_FIELDS: usize = 48;
/// Bytes of such a name.
const FIELD_BYTES: usize = 40;
/// Tags of a rule.
const MOST_TAGS: usize = 4;

/// What was found in one message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// Rules and families that matched, in the order in which they did.
    pub hits: Vec<Hit>,
    /// The values that they stood in.
    pub values: Vec<Value>,
    /// Names of the other fields of the request's head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Text>,
    /// The type of the request's body, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text>,
    /// The request had a body that was not looked at, because what came before was refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
    /// There was more than is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

/// One thing that matched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hit {
    /// The rule's number; none for the gate's own detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
    /// The family of the gate's own detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// All that it matched, as rules name it: `ARGS:q`.
    pub targets: Vec<Text>,
    /// The part of the last that says so.
    pub part: Text,
    /// What was done to the value before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// What is wrong with it, in words.
    pub why: Text,
    /// Kinds of attack: a rule's tags `attack-…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text>,
    /// Points of the gate's own detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u8>,
    /// It looked at the response.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub response: bool,
}

/// A value in which something was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// `query`, `form`, `header`, …; of a variable that is one value its name.
    pub place: String,
    /// The member's name.
    pub name: Text,
    /// Its beginning, before any transformation.
    pub value: Text,
    /// It is longer than what is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Bytes, written so that they can be had back, and so that no terminal obeys them: what is not plain text is `%XX`.
#[derive(Debug, Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Text(pub Vec<u8>);

impl Text {
    /// At most `most` bytes of it.
    #[must_use]
    pub fn of(bytes: &[u8], most: usize) -> Self {
        Self(bytes.get(..most).unwrap_or(bytes).to_vec())
    }

    /// As it is written.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if is_plain(character) {
                    text.push(character);
                } else {
                    let mut bytes = [0; 4];
                    character.encode_utf8(&mut bytes).bytes().for_each(|byte| escape(byte, &mut text));
                }
            }
            chunk.invalid().iter().for_each(|byte| escape(*byte, &mut text));
        }
        text
    }

    fn is_cookie(&self) -> bool {
        self.0.starts_with(b"REQUEST_COOKIES:")
    }

    fn read(text: &str) -> Self {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            match (first, tail) {
                (b'%', [high, low, after @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                    bytes.push(digit(high).unwrap_or(0) << 4 | digit(low).unwrap_or(0));
                    rest = after;
                }
                _ => bytes.push(*first),
            }
        }
        Self(bytes)
    }
}

/// Stands for a part that is not kept.
const WITHHELD: &[u8] = b"withheld";

/// Whether a name says that its value is nobody else's business.
fn is_secret(name: &[u8]) -> bool {
    const WORDS: &[&[u8]] = &[
        b"passw",
        b"passphrase",
        b"pwd",
        b"secret",
        b"token",
        b"authoriz",
        b"session",
        b"sessid",
        b"apikey",
        b"api-key",
        b"cvv",
    ];
    let name = name.to_ascii_lowercase();
    // A whole field of cookies; of one alone it is told by its own name.
    if name == b"cookie" || name == b"request_headers:cookie" {
        return true;
    }
    WORDS.iter().any(|word| memchr::memmem::find(&name, word).is_some())
}

/// Nothing that ends a string, and nothing that a terminal obeys or that reorders what is read.
fn is_plain(character: char) -> bool {
    let reorders = matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !reorders && !matches!(character, '%' | '"' | '\\' | '\u{FEFF}')
}

fn escape(byte: u8, text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::read(&text))
    }
}

impl Evidence {
    /// Whether there is nothing to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }

    /// Takes note of what the gate's own detection found.
    pub fn finding(&mut self, finding: &Finding) {
        let stood = &finding.stood;
        let (name, place) = (&stood.name, stood.place);
        // All cookies together, where a semicolon may be a part of one: what stands in one of them was told of that one, and the
        // others are nobody's business.
        let cookies = place == Place::Cookie && name.is_empty();
        let family = finding.class.as_str();
        let told = |hit: &Hit| hit.family.as_deref() == Some(family) && hit.targets.iter().any(Text::is_cookie);
        if cookies && self.hits.iter().any(told) {
            return;
        }
        let secret =
            is_secret(name) || is_secret(&finding.name) || name.is_empty() && is_secret(&stood.value) || cookies;
        self.value(place.as_str(), name, &stood.value, stood.cut, secret);
        let mut target = semantic::variable(place).as_bytes().to_vec();
        if !name.is_empty() && !target.contains(&b':') {
            target.push(b':');
            target.extend_from_slice(name);
        }
        let via = vec!["decoded".to_owned(); usize::from(finding.decoded)];
        self.hit(Hit {
            family: Some(family.to_owned()),
            targets: vec![Text(target)],
            part: if secret { Text(WITHHELD.to_vec()) } else { Text::of(&finding.matched, PART_BYTES) },
            via,
            why: Text::of(finding.patch.unwrap_or(finding.why).as_bytes(), PART_BYTES),
            score: Some(finding.score),
            ..Hit::default()
        });
    }

    /// Takes note of a rule that matched.
    pub fn matched(&mut self, found: &Match, program: &Program, transaction: &Transaction) {
        let part = found.part.and_then(|(from, to)| found.value.get(from..to)).unwrap_or(&found.value);
        let response = found.phase > 2;
        let secret = |name: &[u8], value: &[u8]| is_secret(name) || name.is_empty() && is_secret(value);
        let mut withheld = false;
        for target in &found.targets {
            // What a platform answers is the platform's to keep.
            for stood in transaction.stood(target).filter(|_| !response) {
                let cut = stood.value.len() > VALUE_BYTES || stood.name.len() > NAME_BYTES;
                let secret = secret(stood.name, stood.value);
                withheld |= secret;
                self.value(stood.place, stood.name, stood.value, cut, secret);
            }
        }
        let tags = found.tags.iter().filter(|tag| tag.starts_with(b"attack-"));
        self.hit(Hit {
            rule: Some(found.rule),
            targets: found.targets.iter().map(|target| Text::of(target, NAME_BYTES)).collect(),
            part: if withheld { Text(WITHHELD.to_vec()) } else { Text::of(part, PART_BYTES) },
            via: program.transformations(found.rule).into_iter().map(str::to_owned).collect(),
            why: Text::of(&found.message, PART_BYTES),
            tags: tags.take(MOST_TAGS).map(|tag| Text::of(tag, FIELD_BYTES)).collect(),
            response,
            ..Hit::default()
        });
    }

    /// Takes note of the name of a field; its value is none of ours.
    pub fn field(&mut self, name: &[u8]) {
        if self.fields.len() < MOST_FIELDS {
            self.fields.push(Text::of(name, FIELD_BYTES));
        }
    }

    /// Takes note of what was found later in the same message.
    pub fn append(&mut self, later: Self) {
        self.lost |= later.lost || self.values.len() + later.values.len() > MOST_VALUES;
        later.hits.into_iter().for_each(|hit| self.hit(hit));
        self.values.extend(later.values);
        self.values.truncate(MOST_VALUES);
    }

    fn hit(&mut self, hit: Hit) {
        if self.hits.len() < MOST_HITS {
            self.hits.push(hit);
        } else {
            self.lost = true;
        }
    }

    fn value(&mut self, place: &str, name: &[u8], value: &[u8], cut: bool, secret: bool) {
        let value = if secret { Text::default() } else { Text::of(value, VALUE_BYTES) };
        let new = Value { place: place.to_owned(), name: Text::of(name, NAME_BYTES), value, cut: cut || secret };
        if self.values.contains(&new) {
            return;
        }
        if self.values.len() < MOST_VALUES {
            self.values.push(new);
        } else {
            self.lost = true;
        }
    }

    /// As it is written, within [`EVIDENCE_BYTES`]: what does not fit is left out, and it says so.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let mut kept = self.clone();
        loop {
            let bytes = serde_json::to_vec(&kept).unwrap_or_default();
            if bytes.len() <= EVIDENCE_BYTES {
                return bytes;
            }
            kept.lost = true;
            if kept.values.pop().is_none() && kept.hits.pop().is_none() {
                kept.fields.clear();
                kept.kind = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_had_back_and_obeyed_by_nobody(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,60}") {
            for bytes in [bytes, text.into_bytes()] {
                let shown = Text(bytes.clone()).shown();
                prop_assert!(shown.chars().all(is_plain_or_percent), "{shown:?}");
                prop_assert_eq!(Text::read(&shown).0, bytes);
            }
        }

        #[test]
        fn evidence_fits_and_says_what_is_missing(sizes in prop::collection::vec((0usize..4000, any::<u8>()), 0..40)) {
            let mut evidence = Evidence::default();
            for (nth, (size, byte)) in sizes.iter().enumerate() {
                let value = vec![*byte; *size];
                evidence.value("query", format!("name{nth}").as_bytes(), &value, value.len() > VALUE_BYTES, false);
                evidence.hit(Hit { rule: Some(1), part: Text::of(&value, PART_BYTES), ..Hit::default() });
            }
            let written = evidence.written();
            prop_assert!(written.len() <= EVIDENCE_BYTES);
            let read: Evidence = serde_json::from_slice(&written).expect("what was written");
            prop_assert!(read == evidence || read.lost);
            prop_assert_eq!(read.lost, evidence.lost || read != evidence);
        }
    }

    #[test]
    fn secrets_are_withheld() {
        let detector = semantic::Detector::new(semantic::Settings::default());
        let mut findings = semantic::Findings::new();
        let query = b"/?user_password=1'+union+select+password+from+users--+-&q=1'+union+select+card+from+users--+-";
        detector.request_line(b"GET", query, &mut findings);
        let mut evidence = Evidence::default();
        findings.list().iter().for_each(|finding| evidence.finding(finding));
        let written = String::from_utf8(evidence.written()).expect("text");
        assert!(written.contains("ARGS_GET:user_password") && written.contains("withheld"), "{written}");
        assert!(!written.contains("select password"), "{written}");
    }

    fn is_plain_or_percent(character: char) -> bool {
        is_plain(character) || character == '%'
    }
}
