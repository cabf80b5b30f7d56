//! JSON (RFC 8259) as fields: `{"a": {"b": [1, "x"]}}` is `json.a.b.array_0` with `1`, `json.a.b.array_1` with `x`, and
//! `json.a.b` with `2`.
//!
//! Names are `ModSecurity` 3's: the document is `json`, members follow a dot, elements are `.array_N`, an empty key is
//! `empty-key`, empty objects and arrays give nothing, `null` is an empty value, numbers stay as they are written. An array
//! also stands under its own name, with the number of its elements behind them, as Coraza gives it: rules that ask how
//! parameters are called ask for that name, too. Duplicate keys are kept, each in its place. A lone surrogate becomes `?` and swallows nothing of what follows it; a byte order mark
//! is skipped. What is not JSON is a fault where it shows; so is nesting beyond the bound.

use super::{Bounds, Fields, Outcome, TOO_MANY_BYTES, urlencoded::hex_value};

/// Adds the values of `input` to `fields`. An empty body has none and is no fault.
pub fn parse(input: &[u8], bounds: &Bounds, fields: &mut Fields) -> Outcome {
    if input.is_empty() {
        return Outcome::default();
    }
    let mut reader = Reader {
        input,
        at: if input.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 },
        bounds,
        fields,
        path: ROOT.to_vec(),
        levels: Vec::new(),
        outcome: Outcome::default(),
    };
    if let Err(why) = reader.document()
        && !reader.outcome.cut
    {
        let at = reader.at.min(input.len());
        reader.outcome.faulted(at, why);
    }
    reader.outcome
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What the document is called.
const ROOT: &[u8] = b"json";
/// What a key of no characters is called.
const EMPTY_KEY: &[u8] = b"empty-key";

const NOT_A_VALUE: &str = "a value is expected here";
const UNFINISHED: &str = "the document ends too early";
const BAD_STRING: &str = "this may not stand in a string";
const BAD_NUMBER: &str = "this is no number";

/// An object or array that is open.
struct Level {
    /// Its own name is this much of the path.
    path: usize,
    /// Of an array, the elements so far.
    elements: Option<usize>,
}

/// What stands after a value.
enum Then {
    Value,
    End,
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    bounds: &'a Bounds,
    fields: &'a mut Fields,
    /// The name of the value that comes next.
    path: Vec<u8>,
    levels: Vec<Level>,
    outcome: Outcome,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(), &'static str> {
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'{') => {
                    if self.open(None)? {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    if self.open(Some(0))? {
                        self.element();
                        continue;
                    }
                }
                Some(b'"') => self.leaf(Self::string)?,
                Some(b'-' | b'0'..=b'9') => self.leaf(Self::number)?,
                Some(b't') => self.leaf(|reader, out| reader.word(b"true", b"true", out))?,
                Some(b'f') => self.leaf(|reader, out| reader.word(b"false", b"false", out))?,
                Some(b'n') => self.leaf(|reader, out| reader.word(b"null", b"", out))?,
                Some(_) => return Err(NOT_A_VALUE),
                None => return Err(UNFINISHED),
            }
            if let Then::End = self.after_value()? {
                return Ok(());
            }
        }
    }

    /// Goes into an object or array; false where it is empty, and closed already.
    fn open(&mut self, elements: Option<usize>) -> Result<bool, &'static str> {
        if self.levels.len() >= self.bounds.depth {
            return Err("nested more deeply than is inspected");
        }
        self.at += 1;
        self.skip_space();
        let close = if elements.is_some() { b']' } else { b'}' };
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        self.levels.push(Level { path: self.path.len(), elements });
        Ok(true)
    }

    /// Goes on to the next value, closing what ends here.
    fn after_value(&mut self) -> Result<Then, &'static str> {
        loop {
            self.skip_space();
            let Some(level) = self.levels.last() else {
                return if self.peek().is_none() { Ok(Then::End) } else { Err("something follows the document") };
            };
            let array = level.elements.is_some();
            self.path.truncate(level.path);
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if array {
                        self.element();
                    } else {
                        self.skip_space();
                        self.key()?;
                    }
                    return Ok(Then::Value);
                }
                Some(b']') if array => {
                    self.at += 1;
                    self.leaf(Self::elements)?;
                }
                Some(b'}') if !array => self.at += 1,
                Some(_) => return Err("a comma or the end of the object or array is expected here"),
                None => return Err(UNFINISHED),
            }
            self.levels.pop();
        }
    }

    /// Reads a key and its colon, and names the member.
    fn key(&mut self) -> Result<(), &'static str> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err("a key is expected here"),
            None => return Err(UNFINISHED),
        }
        let mut path = std::mem::take(&mut self.path);
        path.push(b'.');
        let start = path.len();
        let read = self.string(&mut path);
        if path.len() == start {
            path.extend_from_slice(EMPTY_KEY);
        }
        self.path = path;
        read?;
        self.skip_space();
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return Err("a colon is expected here"),
            None => return Err(UNFINISHED),
        }
        Ok(())
    }

    /// Names the next element.
    fn element(&mut self) {
        if let Some(elements) = self.levels.last_mut().and_then(|level| level.elements.as_mut()) {
            let index = *elements;
            *elements += 1;
            self.path.extend_from_slice(b".array_");
            push_decimal(index, &mut self.path);
        }
    }

    /// Adds a field of the current name with what `read` writes.
    fn leaf(&mut self, read: fn(&mut Self, &mut Vec<u8>) -> Result<(), &'static str>) -> Result<(), &'static str> {
        let Some(draft) = self.fields.draft(self.path.len(), self.at, self.bounds, &mut self.outcome) else {
            return Err(TOO_MANY_BYTES);
        };
        let mut bytes = std::mem::take(&mut self.fields.bytes);
        bytes.extend_from_slice(&self.path);
        let value_at = bytes.len();
        let read = read(self, &mut bytes);
        self.fields.bytes = bytes;
        // What was read of a broken value counts: it is what an application that is less strict would see.
        self.fields.finish(draft, value_at);
        read
    }

    /// Writes how many elements the array had that ends here.
    fn elements(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        push_decimal(self.levels.last().and_then(|level| level.elements).unwrap_or(0), out);
        Ok(())
    }

    /// Writes a string decoded. It is never longer than it was written.
    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        self.at += 1;
        loop {
            let rest = self.input.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| STOPS[usize::from(*byte)]).unwrap_or(rest.len());
            let (plain, special) = rest.split_at(plain);
            out.extend_from_slice(plain);
            if !plain.is_ascii()
                && let Err(error) = std::str::from_utf8(plain)
            {
                self.at += error.valid_up_to();
                return Err("this is not UTF-8");
            }
            self.at += plain.len();
            match special {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(());
                }
                [b'\\', ..] => self.escape(out)?,
                [_, ..] => return Err(BAD_STRING),
                [] => return Err(UNFINISHED),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let byte = match self.input.get(self.at + 1) {
            Some(plain @ (b'"' | b'\\' | b'/')) => *plain,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let first = self.unit(self.at).ok_or(BAD_STRING)?;
                let second = self.unit(self.at + UNIT).unwrap_or(0);
                self.at += UNIT;
                let character = match (first, second) {
                    (0xd800..0xdc00, 0xdc00..0xe000) => {
                        self.at += UNIT;
                        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))
                    }
                    _ => char::from_u32(first),
                };
                out.extend_from_slice(character.unwrap_or('?').encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            Some(_) => return Err("this is no escape"),
            None => return Err(UNFINISHED),
        };
        out.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The number of a `\uXXXX` that begins here.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.input.get(at..at + UNIT)?.strip_prefix(b"\\u")?;
        digits
            .iter()
            .try_fold(0, |sum, digit| digit.is_ascii_hexdigit().then(|| sum << 4 | u32::from(hex_value(*digit))))
    }

    fn number(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.peek();
        let whole = self.skip_digits();
        let mut good = whole == 1 || (whole > 1 && first != Some(b'0'));
        if good && self.peek() == Some(b'.') {
            self.at += 1;
            good = self.skip_digits() > 0;
        }
        if good && matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            good = self.skip_digits() > 0;
        }
        out.extend_from_slice(self.input.get(start..self.at).unwrap_or_default());
        if good { Ok(()) } else { Err(BAD_NUMBER) }
    }

    fn word(&mut self, expected: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        if !self.input.get(self.at..).is_some_and(|rest| rest.starts_with(expected)) {
            return Err(NOT_A_VALUE);
        }
        self.at += expected.len();
        out.extend_from_slice(value);
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn skip_digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }
}

/// Of `\uXXXX`.
const UNIT: usize = 6;

/// What ends a run of plain bytes in a string: its end, an escape, and what may not stand there.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        stops[byte] = true;
        byte += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};

fn push_decimal(mut number: usize, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        // A remainder of ten fits.
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The fields as text, and the fault's place.
    fn read(input: &[u8], bounds: &Bounds) -> (Vec<(String, String)>, Outcome) {
        let mut fields = Fields::new();
        let outcome = parse(input, bounds, &mut fields);
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        (fields.iter().map(|field| (text(field.name), text(field.value))).collect(), outcome)
    }

    #[test]
    fn names_and_values_are_modsecuritys() {
        // Each was put to libmodsecurity 3.0.15, which has all but the arrays themselves.
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("{}", &[]),
            (" [] ", &[]),
            (r#""top""#, &[("json", "top")]),
            ("3", &[("json", "3")]),
            (r#"{"a":{}, "b":[]}"#, &[]),
            (
                r#"{"a":1,"b":[1,[2,{"c":null}]],"":5,"d":{"":{"x":true}}}"#,
                &[
                    ("json.a", "1"),
                    ("json.b.array_0", "1"),
                    ("json.b.array_1.array_0", "2"),
                    ("json.b.array_1.array_1.c", ""),
                    ("json.b.array_1", "2"),
                    ("json.b", "2"),
                    ("json.empty-key", "5"),
                    ("json.d.empty-key.x", "true"),
                ],
            ),
            (
                r#"[[1],[{"a":"x"},2],3]"#,
                &[
                    ("json.array_0.array_0", "1"),
                    ("json.array_0", "1"),
                    ("json.array_1.array_0.a", "x"),
                    ("json.array_1.array_1", "2"),
                    ("json.array_1", "2"),
                    ("json.array_2", "3"),
                    ("json", "3"),
                ],
            ),
            (r#"{"a":{"b":{"c":1},"d":2},"e":false}"#, &[("json.a.b.c", "1"), ("json.a.d", "2"), ("json.e", "false")]),
            (
                r#"{"a":[],"":[1],"b":[[],[5]]}"#,
                &[
                    ("json.empty-key.array_0", "1"),
                    ("json.empty-key", "1"),
                    ("json.b.array_1.array_0", "5"),
                    ("json.b.array_1", "1"),
                    ("json.b", "2"),
                ],
            ),
            (r#"{"a":1.5e3,"b":-0,"c":1E+2}"#, &[("json.a", "1.5e3"), ("json.b", "-0"), ("json.c", "1E+2")]),
            (r#"{"x.y":1}"#, &[("json.x.y", "1")]),
            (r#"{"a":1,"a":2}"#, &[("json.a", "1"), ("json.a", "2")]),
            (r#"{"\u0061\n":1}"#, &[("json.a\\n", "1")]),
            (r#"{"a":"\u0000b\"\\\/\b\f\r\t"}"#, &[("json.a", "\\x00b\\\"\\\\/\\x08\\x0c\\r\\t")]),
            (r#""\u0041\ud83d\ude00\u00e9""#, &[("json", "A\\xf0\\x9f\\x98\\x80\\xc3\\xa9")]),
        ];
        for (input, expected) in cases {
            let expected =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
            assert_eq!(read(input.as_bytes(), &Bounds::default()), (expected, Outcome::default()), "{input}");
        }
    }

    #[test]
    fn a_surrogate_alone_hides_nothing() {
        let cases = [
            (r#""\ud800x""#, "?x"),
            (r#""\ud800\u003cs""#, "?<s"),
            (r#""\udc00""#, "?"),
            (r#""\ud800\ud800\udc00""#, "?\\xf0\\x90\\x80\\x80"),
            ("\u{feff}3", "3"),
        ];
        for (input, expected) in cases {
            let (fields, outcome) = read(input.as_bytes(), &Bounds::default());
            assert_eq!((fields[0].1.as_str(), outcome), (expected, Outcome::default()), "{input}");
        }
    }

    #[test]
    fn what_is_not_json_is_a_fault_and_what_came_before_stays() {
        let cases: &[(&[u8], usize, &[&str])] = &[
            (b" ", 1, &[]),
            (b"{\"a\":1", 6, &["1"]),
            (b"{\"a\":1}{\"b\":2}", 7, &["1"]),
            (b"{\"a\":1,}", 7, &["1"]),
            (b"[1,]", 3, &["1"]),
            (b"[1 2]", 3, &["1"]),
            (b"{\"a\":01}", 7, &["01"]),
            (b"[1.]", 3, &["1."]),
            (b"[1e]", 3, &["1e"]),
            (b"[-]", 2, &["-"]),
            (b"{\"a\":\"\xff\"}", 6, &["\\xff"]),
            (b"{\"a\":\"x\x01y\"}", 7, &["x"]),
            (b"{\"a\":\"x\\qy\"}", 7, &["x"]),
            (b"{\"a\":\"x\\u12\"}", 7, &["x"]),
            (b"{\"a\":\"x", 7, &["x"]),
            (b"{\"a\":\"x\\", 7, &["x"]),
            (b"{'a':1}", 1, &[]),
            (b"{a:1}", 1, &[]),
            (b"{\"a\" 1}", 5, &[]),
            (b"{\"a\":tru}", 5, &[""]),
            (b"/*c*/{\"a\":1}", 0, &[]),
            (b"[1]]", 3, &["1", "1"]),
            (b"[}", 1, &[]),
            (b"[1}", 2, &["1"]),
            (b"{\"a\":1]", 6, &["1"]),
            (b"true false", 5, &["true"]),
        ];
        for (input, at, values) in cases {
            let (fields, outcome) = read(input, &Bounds::default());
            let name = input.escape_ascii();
            assert_eq!(outcome.fault.map(|fault| fault.at), Some(*at), "{name}: {outcome:?}");
            assert_eq!(fields.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), *values, "{name}");
        }
    }

    #[test]
    fn depth_is_bounded_at_the_number_given() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let bounds = Bounds { depth: 5, ..Bounds::default() };
        assert_eq!(read(nested(5).as_bytes(), &bounds).1, Outcome::default());
        assert!(read(nested(6).as_bytes(), &bounds).1.fault.is_some());
    }

    #[test]
    fn fields_beyond_the_bound_are_cut_and_bytes_beyond_it_a_fault() {
        let few = Bounds { fields: 2, ..Bounds::default() };
        let (fields, outcome) = read(b"[1,2,3]", &few);
        assert_eq!((fields.len(), outcome), (2, Outcome { fault: None, cut: true }));
        // A long key over many values would make names much longer than the body.
        let body = format!("{{\"{}\":[{}1]}}", "k".repeat(10_000), "1,".repeat(10_000));
        let (fields, outcome) = read(body.as_bytes(), &Bounds { bytes: 100_000, ..Bounds::default() });
        assert!(fields.len() <= 10 && outcome.fault.is_some_and(|fault| fault.why == TOO_MANY_BYTES));
    }

    proptest! {
        #[test]
        fn what_serde_reads_is_read_alike(value in document()) {
            let text = serde_json::to_string(&value).unwrap();
            let mut expected = Vec::new();
            flatten("json", &value, &mut expected);
            let mut fields = Fields::new();
            prop_assert_eq!(parse(text.as_bytes(), &Bounds::default(), &mut fields), Outcome::default());
            let got: Vec<_> = fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn what_serde_refuses_is_a_fault_and_what_it_takes_is_none(input in r#"[\[\]{}:,"\\a-c0-2eu.\-+ \x00tfn]{0,12}|\PC{0,9}"#) {
            let outcome = read(input.as_bytes(), &Bounds::default()).1;
            let bytes = input.strip_prefix('\u{feff}').unwrap_or(&input);
            match serde_json::from_str::<serde::de::IgnoredAny>(bytes) {
                Ok(_) => prop_assert_eq!(outcome.fault, None, "{}", input),
                // Serde refuses lone surrogates, which an application may take.
                Err(_) if input.is_empty() || input.contains("\\u") => {}
                Err(_) => prop_assert!(outcome.fault.is_some(), "{}", input),
            }
        }

        #[test]
        fn any_bytes_end_within_the_bounds(input: Vec<u8>) {
            let (fields, outcome) = read(&input, &Bounds::default());
            prop_assert!(fields.len() <= input.len());
            prop_assert!(outcome.fault.is_none_or(|fault| fault.at <= input.len()));
        }
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// What the names and values of a document are, by recursion.
    fn flatten(name: &str, value: &serde_json::Value, out: &mut Vec<(Vec<u8>, Vec<u8>)>) {
        use serde_json::Value;
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    flatten(&format!("{name}.array_{index}"), element, out);
                }
                if elements.is_empty() {
                    return;
                }
                elements.len().to_string()
            }
            Value::Object(members) => {
                for (key, member) in members {
                    flatten(&format!("{name}.{}", if key.is_empty() { "empty-key" } else { key }), member, out);
                }
                return;
            }
        };
        out.push((name.into(), text.into()));
    }
}
