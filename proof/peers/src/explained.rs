//! Differences that have a reason: `specs/waf-differences.toml`.
//!
//! Never a blanket: each names the rules that it is about, which side they match on, and requests to which it applies; and each
//! has an example, which must still differ.

use std::path::Path;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde::Deserialize;

use crate::Message;

/// What one side saw and the other did not, over one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rules that matched here and not there.
    pub ours: Vec<u32>,
    /// Rules that matched there and not here.
    pub theirs: Vec<u32>,
    /// The same rules, and not the same scores: ours and theirs.
    pub scores: Option<(Vec<i64>, Vec<i64>)>,
    /// The rules that matched on both sides, where the scores differ.
    pub both: Vec<u32>,
    /// The same rules and scores, and not the same verdict: ours and theirs.
    pub verdict: Option<(Option<u16>, Option<u16>)>,
    /// What the rules above matched: each with a variable, on either side.
    pub variables: Vec<(u32, String)>,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Every difference that has a reason.
#[derive(Debug, Default)]
pub struct Explained {
    /// In the order of the file.
    pub entries: Vec<Entry>,
}

/// One of them.
#[derive(Debug)]
pub struct Entry {
    /// What it is about, in a few words.
    pub name: String,
    /// Why it is as it is.
    pub reason: String,
    /// The request that shows it, and at which paranoia level.
    pub example: (Message, u8),
    side: Side,
    rules: Vec<(u32, u32)>,
    when: Regex,
    unless: Option<Regex>,
    variable: Option<Regex>,
    beside: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    /// The rules match here and not there.
    Ours,
    /// There and not here.
    Theirs,
    /// On either side.
    Either,
    /// At least one of them on both, and they count differently.
    Scores,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    difference: Vec<Raw>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    reason: String,
    side: Side,
    /// Numbers, or ranges of them: `942100`, `944100-944999`.
    rules: Vec<String>,
    /// A pattern that the request as HTTP/1.1 would write it has a match of, `(?s)` and bytes.
    when: String,
    /// One that it must not have.
    unless: Option<String>,
    /// A pattern of the variables that the rules matched, as the log of either side tells them: all of them, but for scores, where
    /// one is enough.
    variable: Option<String>,
    /// A rule that matched on our side alone, and only where it did.
    beside: Option<u32>,
    /// A request as HTTP/1.1 would write it, with `\r`, `\n`, `\\` and `\xNN`.
    example: String,
    #[serde(default = "first_level")]
    paranoia: u8,
}

const fn first_level() -> u8 {
    1
}

impl Explained {
    /// Reads the list.
    ///
    /// # Errors
    /// When it cannot be read or says what has no meaning.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let entries = file.difference.into_iter().map(|raw| {
            let about = |why: String| format!("{}: {why}", raw.name);
            if raw.reason.trim().is_empty() {
                return Err(about("it has no reason".to_owned()));
            }
            let example = message(&raw.example).map_err(about)?;
            let rules = raw.rules.iter().map(|text| range(text)).collect::<Option<Vec<_>>>();
            let entry = Entry {
                when: pattern(&raw.when).map_err(about)?,
                unless: raw.unless.as_deref().map(pattern).transpose().map_err(about)?,
                variable: raw.variable.as_deref().map(pattern).transpose().map_err(about)?,
                beside: raw.beside,
                rules: rules.ok_or_else(|| about("a rule is no number".to_owned()))?,
                name: raw.name,
                reason: raw.reason,
                example: (example, raw.paranoia),
                side: raw.side,
            };
            if !entry.applies(&entry.example.0.text()) {
                return Err(format!("{}: it is not about its own example", entry.name));
            }
            Ok(entry)
        });
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// The entries that explain a difference; none where a part of it is unexplained.
    #[must_use]
    pub fn explain(&self, message: &Message, difference: &Difference) -> Option<Vec<usize>> {
        let text = message.text();
        let applies: Vec<usize> = (0..self.entries.len()).filter(|at| self.entries[*at].applies(&text)).collect();
        let find = |rule: u32, sides: &[Side]| {
            applies.iter().copied().find(|at| {
                let entry = &self.entries[*at];
                sides.contains(&entry.side) && entry.names(rule) && entry.fits(rule, difference)
            })
        };
        let mut used = Vec::new();
        for (rules, side) in [(&difference.ours, Side::Ours), (&difference.theirs, Side::Theirs)] {
            for rule in rules {
                used.push(find(*rule, &[side, Side::Either])?);
            }
        }
        if difference.scores.is_some() {
            used.push(difference.both.iter().find_map(|rule| find(*rule, &[Side::Scores]))?);
        }
        // The same rules and the same scores, and another verdict: nothing explains that.
        if difference.verdict.is_some() {
            return None;
        }
        used.sort_unstable();
        used.dedup();
        Some(used)
    }
}

impl Entry {
    fn names(&self, rule: u32) -> bool {
        self.rules.iter().any(|(from, to)| (*from..=*to).contains(&rule))
    }

    /// Whether the rule matched what it is about, beside the rule that it is about.
    fn fits(&self, rule: u32, difference: &Difference) -> bool {
        let told =
            || difference.variables.iter().filter(|(of, _)| *of == rule).map(|(_, variable)| variable.as_bytes());
        let variable = self.variable.as_ref().is_none_or(|pattern| match self.side {
            Side::Scores => told().any(|variable| pattern.is_match(variable)),
            _ => told().next().is_some() && told().all(|variable| pattern.is_match(variable)),
        });
        variable && self.beside.is_none_or(|beside| difference.ours.contains(&beside))
    }

    fn applies(&self, request: &[u8]) -> bool {
        self.when.is_match(request) && !self.unless.as_ref().is_some_and(|unless| unless.is_match(request))
    }
}

/// Of bytes, over all lines.
fn pattern(text: &str) -> Result<Regex, String> {
    let syntax = syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true);
    let built = Regex::builder().syntax(syntax).configure(Regex::config().utf8_empty(false)).build(text);
    built.map_err(|error| format!("{text}: {error}"))
}

fn range(text: &str) -> Option<(u32, u32)> {
    match text.split_once('-') {
        Some((from, to)) => Some((from.parse().ok()?, to.parse().ok()?)),
        None => text.parse().ok().map(|rule| (rule, rule)),
    }
}

/// A request out of its text.
///
/// # Errors
/// When it is none.
pub fn message(text: &str) -> Result<Message, String> {
    let bytes = unescape(text)?;
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the example has no end of its head")?;
    let (head, body) = (&bytes[..split], &bytes[split + 4..]);
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err("the example's first line has three words".to_owned());
    };
    let fields = lines.map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').ok_or("a field of the example has no colon")?;
        Ok((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
    });
    Ok(Message {
        method: method.to_vec(),
        target: target.to_vec(),
        version: version.strip_prefix(b"HTTP/").unwrap_or(version).to_vec(),
        fields: fields.collect::<Result<_, String>>()?,
        body: body.to_vec(),
        reply: None,
    })
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        // Lines of the file mean nothing.
        if byte == b'\n' {
            continue;
        }
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                let digits = std::str::from_utf8(&digits).map_err(|error| error.to_string())?;
                u8::from_str_radix(digits, 16).map_err(|_| format!("\\x wants two digits: {digits}"))?
            }
            _ => return Err("there is no such escape".to_owned()),
        });
    }
    Ok(bytes)
}

/// A request as the list's examples write it.
#[must_use]
pub fn example(message: &Message) -> String {
    let mut text = String::new();
    for byte in message.text() {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
[[difference]]
name = "a"
reason = "because"
side = "ours"
rules = ["942100", "941000-941999"]
when = '\?a='
example = 'GET /?a=\\x\x00 HTTP/1.1\r\nHost: x\r\n\r\n'
"#;

    #[test]
    fn a_difference_is_explained_in_all_its_parts_or_not_at_all() {
        let list = Explained::parse(LIST).unwrap();
        assert_eq!(list.entries[0].example.0.target, b"/?a=\\x\0");
        let of = |ours: &[u32], theirs: &[u32]| Difference {
            ours: ours.to_vec(),
            theirs: theirs.to_vec(),
            ..Difference::default()
        };
        let here = Message::get("/?a=1");
        assert_eq!(list.explain(&here, &of(&[942_100, 941_100], &[])), Some(vec![0]));
        assert_eq!(list.explain(&here, &of(&[942_101], &[])), None, "another rule");
        assert_eq!(list.explain(&here, &of(&[], &[942_100])), None, "the other side");
        assert_eq!(list.explain(&Message::get("/?b=1"), &of(&[942_100], &[])), None, "another request");
        let unless = Explained::parse(&LIST.replace("when =", "unless = '&b='\nwhen =")).unwrap();
        assert_eq!(unless.explain(&here, &of(&[942_100], &[])), Some(vec![0]));
        assert_eq!(unless.explain(&Message::get("/?a=1&b=2"), &of(&[942_100], &[])), None, "what it is not about");
        let narrow = Explained::parse(&LIST.replace("when =", "variable = '^ARGS:'\nwhen =")).unwrap();
        let told = |variable: &str| Difference {
            variables: vec![(942_100, variable.to_owned()), (941_100, "REQUEST_URI".to_owned())],
            ..of(&[942_100], &[])
        };
        assert_eq!(narrow.explain(&here, &told("ARGS:a")), Some(vec![0]));
        assert_eq!(narrow.explain(&here, &told("REQUEST_HEADERS:a")), None, "another variable");
        assert_eq!(narrow.explain(&here, &of(&[942_100], &[])), None, "nobody knows which variable");
        let beside = Explained::parse(&LIST.replace("when =", "beside = 941999\nwhen =")).unwrap();
        assert_eq!(beside.explain(&here, &of(&[942_100, 941_999], &[])), Some(vec![0]));
        assert_eq!(beside.explain(&here, &of(&[942_100], &[])), None, "not beside that rule");
        let scores = Explained::parse(&LIST.replace("\"ours\"", "\"scores\"")).unwrap();
        let counted = |both: &[u32]| Difference {
            scores: Some((vec![5], vec![10])),
            both: both.to_vec(),
            ..Difference::default()
        };
        assert_eq!(scores.explain(&here, &counted(&[1, 942_100])), Some(vec![0]));
        assert_eq!(scores.explain(&here, &counted(&[1])), None, "other rules count");
        let verdict = Difference { verdict: Some((None, Some(403))), ..Difference::default() };
        assert_eq!(list.explain(&here, &verdict), None);
    }

    #[test]
    fn what_is_signed_has_a_reason_and_an_example_that_it_is_about() {
        assert!(Explained::parse(&LIST.replace("because", " ")).is_err());
        assert!(Explained::parse(&LIST.replace("GET /?a", "GET /?b")).is_err());
        assert!(Explained::parse(&LIST.replace("942100", "x")).is_err());
    }

    #[test]
    fn an_example_is_read_as_it_is_written() {
        let mut one = Message::get("/?x=\u{e9}\\");
        one.body = b"\0\r\n\xff".to_vec();
        assert_eq!(message(&example(&one)).unwrap(), one);
    }
}
