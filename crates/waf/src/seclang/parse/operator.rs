//! What a rule asks: `@rx …`, `!@streq …`, or an expression alone.

use std::net::IpAddr;

use super::super::ast::{Operator, Piece, Span, Text};
use super::super::diagnostic::{Problems, nearest};
use super::text::{Joined, Part};
use super::{Reader, macros};

/// Whether it is negated, what it is, and where its name and argument stand.
pub(super) fn operator(word: &Joined, reader: &mut Reader<'_>) -> Option<(bool, Operator, Span)> {
    let whole = word.whole();
    let mut rest = whole.from(whole.text().len() - whole.text().trim_start().len());
    let negated = rest.text().starts_with('!');
    if negated {
        rest = rest.from(1);
        rest = rest.from(rest.text().len() - rest.text().trim_start().len());
    }
    let span = rest.span();
    let operator = match rest.text().strip_prefix('@') {
        None if rest.text().is_empty() => {
            reader.problems.refuse(whole.span(), "an operator is missing").help("`@unconditionalMatch` always matches");
            None
        }
        None => Some(Operator::Rx(macros::text(rest, &mut reader.problems))),
        Some(_) => {
            let end = rest.text().find(char::is_whitespace).unwrap_or(rest.text().len());
            let (name, argument) = (rest.part(0..end), rest.from(end));
            let blanks = argument.text().len() - argument.text().trim_start().len();
            named(name, argument.from(blanks), reader)
        }
    };
    operator.map(|operator| (negated, operator, span))
}

/// Names of operators, as the reference spells them.
const NAMES: &[&str] = &[
    "beginsWith",
    "contains",
    "containsWord",
    "detectSQLi",
    "detectXSS",
    "endsWith",
    "eq",
    "ge",
    "gt",
    "ipMatch",
    "ipMatchF",
    "ipMatchFromFile",
    "le",
    "lt",
    "noMatch",
    "pm",
    "pmf",
    "pmFromFile",
    "rx",
    "rxGlobal",
    "streq",
    "strmatch",
    "unconditionalMatch",
    "validateByteRange",
    "validateUrlEncoding",
    "validateUtf8Encoding",
    "verifyCC",
    "verifyCPF",
    "verifySSN",
    "within",
];

/// Operators of the language that would need what the gate does not have. A rule that asked for one would never match.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("fuzzyHash", "there are no fuzzy hashes"),
    ("geoLookup", "there is no data base of places"),
    ("gsbLookup", "no list of unsafe addresses is fetched"),
    ("inspectFile", "no program is run on uploaded files"),
    ("rbl", "a request does not wait for an answer of the DNS"),
    ("rsub", "bodies are not rewritten"),
    ("validateDTD", "documents are not checked against a DTD: it could name files and addresses to fetch"),
    ("validateHash", "links in pages are not signed"),
    ("validateSchema", "documents are not checked against a schema"),
    ("verifySVNR", "the Austrian insurance number is not known"),
];

fn named(name: Part<'_>, argument: Part<'_>, reader: &mut Reader<'_>) -> Option<Operator> {
    let written = name.from(1).text();
    let Some(known) = NAMES.iter().find(|known| known.eq_ignore_ascii_case(written)) else {
        unknown(name, written, &mut reader.problems);
        return None;
    };
    let alone = match *known {
        "detectSQLi" => Some(Operator::DetectSqli),
        "detectXSS" => Some(Operator::DetectXss),
        "noMatch" => Some(Operator::NoMatch),
        "unconditionalMatch" => Some(Operator::UnconditionalMatch),
        "validateUrlEncoding" => Some(Operator::ValidateUrlEncoding),
        "validateUtf8Encoding" => Some(Operator::ValidateUtf8Encoding),
        _ => None,
    };
    match alone {
        Some(_) if !argument.text().trim().is_empty() => {
            reader.problems.refuse(argument.trim().span(), format!("`@{known}` takes no argument"));
            None
        }
        Some(operator) => Some(operator),
        None if argument.text().is_empty() => {
            reader.problems.refuse(name.span(), format!("`@{known}` needs an argument"));
            None
        }
        None => with_argument(known, argument, reader),
    }
}

fn unknown(name: Part<'_>, written: &str, problems: &mut Problems) {
    if let Some((known, why)) = UNSUPPORTED.iter().find(|(known, _)| known.eq_ignore_ascii_case(written)) {
        problems.refuse(name.span(), format!("the operator `@{known}` is not supported: {why}"));
        return;
    }
    let problem = problems.refuse(name.span(), format!("no operator is called `@{written}`"));
    match nearest(written, NAMES.iter().copied()) {
        Some(near) => problem.help(format!("`@{near}` is")),
        None => problem.help("an expression that begins with `@` is written `@rx @…`"),
    };
}

fn with_argument(name: &str, argument: Part<'_>, reader: &mut Reader<'_>) -> Option<Operator> {
    let text = |wrap: fn(Text) -> Operator, reader: &mut Reader<'_>| wrap(macros::text(argument, &mut reader.problems));
    Some(match name {
        "rx" => text(Operator::Rx, reader),
        "rxGlobal" => text(Operator::RxGlobal, reader),
        "streq" => text(Operator::Streq, reader),
        "strmatch" => text(Operator::Strmatch, reader),
        "contains" => text(Operator::Contains, reader),
        "containsWord" => text(Operator::ContainsWord, reader),
        "beginsWith" => text(Operator::BeginsWith, reader),
        "endsWith" => text(Operator::EndsWith, reader),
        "within" => text(Operator::Within, reader),
        "eq" => Operator::Eq(number(argument, &mut reader.problems)?),
        "ge" => Operator::Ge(number(argument, &mut reader.problems)?),
        "gt" => Operator::Gt(number(argument, &mut reader.problems)?),
        "le" => Operator::Le(number(argument, &mut reader.problems)?),
        "lt" => Operator::Lt(number(argument, &mut reader.problems)?),
        "verifyCC" => Operator::VerifyCc(argument.text().into()),
        "verifyCPF" => Operator::VerifyCpf(argument.text().into()),
        "verifySSN" => Operator::VerifySsn(argument.text().into()),
        "validateByteRange" => Operator::ValidateByteRange(byte_ranges(argument, &mut reader.problems)?),
        "pm" => Operator::Pm(phrases(argument, &mut reader.problems)?),
        "pmf" | "pmFromFile" => {
            Operator::Pm(lines_of_files(argument, reader)?.iter().map(|(line, _)| phrase(line)).collect())
        }
        "ipMatch" => {
            let networks = argument.pieces(|c| c == ',' || c.is_whitespace());
            let networks: Vec<_> = networks.map(|network| (network.text().to_owned(), network.span())).collect();
            if networks.is_empty() {
                reader.problems.refuse(argument.span(), "there is no network to compare with");
                return None;
            }
            Operator::IpMatch(checked_networks(&networks, &mut reader.problems)?)
        }
        // The only names left are those of lists of addresses in files.
        _ => Operator::IpMatch(checked_networks(&lines_of_files(argument, reader)?, &mut reader.problems)?),
    })
}

/// A whole number, or text with macros that will be one. `atoi` would take anything else for 0.
fn number(argument: Part<'_>, problems: &mut Problems) -> Option<Text> {
    let text = macros::text(argument.trim(), problems);
    if let [Piece::Plain(plain)] = text.0.as_slice()
        && std::str::from_utf8(plain).ok().and_then(|plain| plain.parse::<i64>().ok()).is_none()
    {
        problems.refuse(argument.span(), format!("`{}` is no whole number", argument.text()));
        return None;
    }
    Some(text)
}

/// `10,13,32-126`: inclusive ranges of bytes.
fn byte_ranges(argument: Part<'_>, problems: &mut Problems) -> Option<Vec<(u8, u8)>> {
    let mut ranges = Vec::new();
    for piece in argument.pieces(|c| c == ',' || c.is_whitespace()) {
        let byte = |text: &str| text.parse::<u8>().ok();
        let range = match piece.text().split_once('-') {
            Some((from, to)) => byte(from).zip(byte(to)).filter(|(from, to)| from <= to),
            None => byte(piece.text()).map(|byte| (byte, byte)),
        };
        let Some(range) = range else {
            problems
                .refuse(piece.span(), format!("`{}` is no byte and no range of bytes", piece.text()))
                .help("numbers from 0 to 255 between commas, ranges as `32-126`");
            return None;
        };
        ranges.push(range);
    }
    Some(ranges)
}

fn phrase(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

/// The phrases of `@pm`, between whitespace. `|41 42|` are bytes in hexadecimal and `\:`, `\;`, `\\` and `\"` stand for their
/// second character, as in Snort; text that is not of that form stands as it is, as in `ModSecurity`.
fn phrases(argument: Part<'_>, problems: &mut Problems) -> Option<Vec<Box<[u8]>>> {
    let text = argument.text().trim();
    let text = text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text);
    let bytes = snort(text).unwrap_or_else(|| text.as_bytes().to_vec());
    let phrases: Vec<Box<[u8]>> =
        bytes.split(u8::is_ascii_whitespace).filter(|phrase| !phrase.is_empty()).map(Into::into).collect();
    if phrases.is_empty() {
        problems.refuse(argument.span(), "there is no phrase to look for");
        return None;
    }
    Some(phrases)
}

fn snort(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for (index, piece) in text.split('|').enumerate() {
        if index % 2 == 1 {
            let digits: Vec<u8> = piece.bytes().filter(|byte| *byte != b' ').collect();
            for pair in digits.chunks(2) {
                let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
                bytes.push(u8::from_str_radix(pair, 16).ok()?);
            }
            continue;
        }
        let mut rest = piece.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'\\' => rest.next().filter(|next| matches!(next, b':' | b';' | b'\\' | b'"'))?,
                byte => byte,
            });
        }
    }
    text.matches('|').count().is_multiple_of(2).then_some(bytes)
}

/// The lines of the named files that say something, trimmed; `#` begins a comment. What is wrong with a line is told at the
/// file's name.
fn lines_of_files(argument: Part<'_>, reader: &mut Reader<'_>) -> Option<Vec<(String, Span)>> {
    let mut lines = Vec::new();
    for name in argument.words() {
        if name.text().contains("://") {
            reader
                .problems
                .refuse(name.span(), "nothing is fetched when rules are read")
                .help("save it beside the rules and name the file");
            return None;
        }
        let content = reader.file(name)?;
        let content = String::from_utf8(content).ok().or_else(|| {
            reader.problems.refuse(name.span(), format!("`{}` is not UTF-8", name.text()));
            None
        })?;
        let said = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.extend(said.map(|line| (line.to_owned(), name.span())));
    }
    if lines.is_empty() {
        reader.problems.refuse(argument.span(), "the file holds nothing to look for");
        return None;
    }
    Some(lines)
}

fn checked_networks(networks: &[(String, Span)], problems: &mut Problems) -> Option<Vec<Box<str>>> {
    let mut checked = Vec::with_capacity(networks.len());
    for (network, span) in networks {
        if !is_network(network) {
            problems
                .refuse(*span, format!("`{network}` is no address and no network"))
                .help("`192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`, between commas");
            return None;
        }
        checked.push(network.as_str().into());
    }
    Some(checked)
}

fn is_network(text: &str) -> bool {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= most))
}
