//! Detection without rules: what would this value do in the place that it was made for?
//!
//! Each value of a request is decoded as applications decode it, layer by layer, and each layer is read by small lexers: SQL,
//! HTML and script, shells, paths and so on. They score by structure and never by a word alone: `union` and `select` are in
//! every newspaper, `union select 1,` is in none.
//!
//! ```
//! use portcullis_waf::semantic::{Detector, Findings, Place, Settings};
//!
//! let detector = Detector::new(Settings::default());
//! let mut findings = Findings::new(); // one for each worker: it keeps its memory
//! detector.value(Place::Query, b"id", b"1 union select password from users", &mut findings);
//! assert!(detector.blocks(&findings));
//! assert_eq!(findings.list()[0].class.as_str(), "sql");
//! findings.clear();
//! detector.value(Place::Query, b"q", b"the union was a great select", &mut findings);
//! assert!(!detector.blocks(&findings));
//! ```
//!
//! A value that is ordinary costs one pass over its bytes and no memory. All work is linear in the value; how often a value
//! is decoded is bounded by [`DEPTH_MAX`] and [`BUDGET_FACTOR`], and what goes beyond is a finding of its own.

mod address;
mod body;
mod calm;
mod code;
mod decode;
mod finding;
mod html;
mod lookup;
mod markup;
mod nested;
mod passing;
pub mod patches;
mod path;
mod protocol;
mod query;
mod request;
mod scan;
mod script;
mod serial;
mod shell;
mod sql;
mod steps;
mod target;
mod text;
mod words;

pub use passing::{OVERLAP_BYTES, PIECE_BYTES, Passing};
pub use request::{is_file, is_form};
pub use target::{Target, variable};

pub use finding::{
    Class, FINDINGS_MAX, Finding, Findings, MATCHED_BYTES_MAX, NAME_BYTES_MAX, Place, Stood, VALUE_BYTES_MAX,
};

use body::Kind;
use calm::Calm;
use finding::{Hit, Look, Report};
use nested::Part;
use scan::{Seen, has, scan};
use text::has_pair;

/// Most layers of a value that are undone. A value that still has escapes then is a finding.
pub const DEPTH_MAX: usize = 8;
/// How many times its own length of a value is looked at, all layers and parts together. Reaching it is a finding.
pub const BUDGET_FACTOR: usize = 12;
/// The same for long values, which have fewer layers where they are honest, beyond [`BUDGET_LONG`].
pub const BUDGET_FACTOR_LONG: usize = 4;
/// From how many bytes on a value is long, times [`BUDGET_FACTOR_LONG`].
pub const BUDGET_LONG: usize = 64 << 10;
/// What every value may have looked at, however short.
const BUDGET_MIN: usize = 4096;
/// How many times the length of all its values of a request is looked at, beyond [`REQUEST_BYTES`]. Reaching it is a finding.
pub const REQUEST_FACTOR: usize = 6;
/// What every request may have looked at, times one.
pub const REQUEST_BYTES: usize = 1 << 20;

/// How sure a request must be an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Sensitivity {
    /// Only what cannot be anything else: 7 points.
    Low,
    /// One clear attack or two odd things: 5 points.
    #[default]
    Normal,
    /// One odd thing: 3 points.
    High,
}

impl Sensitivity {
    /// The points from which on a request is blocked.
    #[must_use]
    pub const fn threshold(self) -> u32 {
        match self {
            Self::Low => 7,
            Self::Normal => 5,
            Self::High => 3,
        }
    }
}

/// What a detector is to look for.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// From how many points on a request is blocked.
    pub sensitivity: Sensitivity,
    /// What the application is made for, and is not to be found: a forum about SQL, a page that takes HTML.
    pub allowed: Vec<Class>,
    /// Classes that are not to be found in the values that a target means.
    pub left_out: Vec<(Class, Target)>,
}

/// Looks at values. Shared by all workers; what is found goes into each one's [`Findings`].
#[derive(Debug, Clone, Default)]
pub struct Detector {
    settings: Settings,
    /// It says everything that it finds, of each value, and never stops because that is enough.
    thorough: bool,
}

impl Detector {
    /// A detector for an application.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, thorough: false }
    }

    /// The same detector, with more left out: to try out what that would change.
    #[must_use]
    pub fn without(&self, more: &[(Class, Target)]) -> Self {
        let mut settings = self.settings.clone();
        settings.left_out.extend_from_slice(more);
        Self { settings, thorough: self.thorough }
    }

    /// The same detector, for a record: it lists what each value would do, whatever the others do, and goes on when there is
    /// enough to block. The score then is that of the last value only.
    #[must_use]
    pub fn thorough(&self) -> Self {
        Self { settings: self.settings.clone(), thorough: true }
    }

    /// Whether what was found is enough to block.
    #[must_use]
    pub fn blocks(&self, findings: &Findings) -> bool {
        findings.score() >= self.settings.sensitivity.threshold()
    }

    /// Looks at one value. `value` is as the application's framework hands it out: a query parameter decoded once, a string of
    /// JSON unescaped, a header as it came.
    pub fn value(&self, place: Place, name: &[u8], value: &[u8], findings: &mut Findings) {
        let known = findings.list().len();
        self.begin(place, name, value, findings);
        self.whole(place, name, value, findings);
        if findings.list().len() > known {
            findings.stood(known, place, name, value);
        }
    }

    /// Settles which classes are not looked for in a value.
    fn begin(&self, place: Place, name: &[u8], value: &[u8], findings: &mut Findings) {
        findings.muted = 0;
        if self.thorough {
            findings.anew();
        }
        for (class, target) in &self.settings.left_out {
            if target.means(place, name, value) {
                findings.muted |= 1 << *class as u32;
            }
        }
    }

    fn whole(&self, place: Place, name: &[u8], value: &[u8], findings: &mut Findings) {
        // What is compared with nothing but itself need not be looked at twice. Patches that a path woke are about more.
        let kept = place == Place::Header && Calm::fits(name, value) && !patches::wait_by_path(name, findings);
        if kept && findings.calm.knows(self.mark(), name, value) {
            return;
        }
        let before = findings.told();
        patches::value(place, name, value, findings);
        findings.given = findings.given.saturating_add(value.len());
        let most = value.len().saturating_mul(BUDGET_FACTOR_LONG).saturating_add(BUDGET_LONG);
        findings.budget = value.len().saturating_mul(BUDGET_FACTOR).saturating_add(BUDGET_MIN).min(most);
        if place == Place::File {
            let look = Look { text: value, seen: Seen::default(), place, name };
            let mut report = Report::default();
            code::file(value, &mut report);
            for hit in &report.hits {
                self.tell(&look, 0, hit, findings);
            }
            return;
        }
        self.text(value, place, name, 0, findings);
        if kept && findings.told() == before && !self.blocks(findings) {
            findings.calm.learn(self.mark(), name, value);
        }
    }

    /// A number for what depends on the settings.
    fn mark(&self) -> u32 {
        let allowed = self.settings.allowed.iter().fold(0, |all, class| all | 1 << *class as u32);
        allowed | 1 << (Class::ALL.len() as u32 + self.settings.sensitivity as u32)
    }

    /// Looks at a text: the strings of JSON one by one, anything else as it is.
    fn text(&self, text: &[u8], place: Place, name: &[u8], depth: usize, findings: &mut Findings) {
        let budget = findings.budget;
        if place != Place::Path && depth < DEPTH_MAX && self.json(text, place, name, depth, findings) {
            return;
        }
        // What looked like JSON at first is paid for once only: the end of a body may be missing.
        if depth == 0 {
            findings.budget = budget;
        }
        let seen = scan(text);
        if is_quiet(seen) && !nested::might_be_base64(text, seen) {
            return;
        }
        self.layer(&Look { text, seen, place, name }, depth, findings);
    }

    /// Looks at the strings of a text that is JSON. False: it is none, or not to its end, and is to be looked at as it is,
    /// whatever was found in its strings.
    fn json(&self, text: &[u8], place: Place, name: &[u8], depth: usize, findings: &mut Findings) -> bool {
        let Some(mut strings) = nested::Json::new(text) else { return false };
        for string in strings.by_ref() {
            // What has escapes is never quiet: a backslash is no plain sign.
            let seen = scan(string.text);
            if is_quiet(seen) && !nested::might_be_base64(string.text, seen) {
                continue;
            }
            let place = if string.is_key { Place::JsonName } else { place };
            self.string(&string, seen, place, name, depth, findings);
        }
        strings.was_whole()
    }

    /// Looks at one string of JSON, its escapes undone.
    fn string(
        &self,
        string: &nested::JsonString<'_>,
        seen: Seen,
        place: Place,
        name: &[u8],
        depth: usize,
        findings: &mut Findings,
    ) {
        // Without an escape it has no quotes, and is no JSON itself.
        if !string.escaped {
            self.layer(&Look { text: string.text, seen, place, name }, depth + 1, findings);
            return;
        }
        let mut out = findings.room.get_mut(depth).map(std::mem::take).unwrap_or_default();
        decode::json(string.text, &mut out);
        self.text(&out, place, name, depth + 1, findings);
        if let Some(room) = findings.room.get_mut(depth) {
            *room = out;
        }
    }

    /// Reads a text with every lexer that could fire, then what is inside of it, then what it is when it is decoded.
    fn layer(&self, look: &Look<'_>, depth: usize, findings: &mut Findings) {
        let Look { text, seen, place, name } = *look;
        // What is to be blocked is not looked at any further: the worst inputs are attacks.
        if depth > 0 && !self.thorough && self.blocks(findings) {
            return;
        }
        if is_quiet(seen) && !nested::might_be_base64(text, seen) {
            return;
        }
        if seen.bytes(has::SLASH) && seen.bytes(has::COLON) {
            let mut report = Report::default();
            address::look(look, &mut report);
            for hit in &report.hits {
                self.tell(look, depth, hit, findings);
            }
        }
        // A value that has parts of its own is the sum of them: what separates them is no shell's semicolon.
        if depth < DEPTH_MAX
            && nested::parts(look, &mut |Part { text, place, name }| self.text(text, place, name, depth + 1, findings))
        {
            return;
        }
        let Some(budget) = findings.budget.checked_sub(text.len()).filter(|_| findings.affords(text.len())) else {
            self.tell(look, depth, &too_deep(text), findings);
            return;
        };
        findings.budget = budget;
        steps::add(text.len());

        // Of a value that is no text, whatever its type says, what is text in it is looked at.
        let long = matches!(place, Place::Body | Place::Form | Place::Json | Place::Xml);
        let look = &if long && depth < DEPTH_MAX && is_binary(text, seen) {
            for run in text.split(|byte| !matches!(byte, b'\t'..=b'\r' | b' '..=b'~')) {
                if run.len() >= RUN_BYTES_MIN {
                    self.text(run, place, name, depth + 1, findings);
                }
            }
            Look { place: Place::File, ..*look }
        } else {
            *look
        };
        let mut report = Report::default();
        self.lexers(look, findings, &mut report);
        for hit in &report.hits {
            self.tell(look, depth, hit, findings);
        }

        let binary = look.place == Place::File;
        if let Some(room) = findings.room.get_mut(depth) {
            let mut out = std::mem::take(room);
            let changed = decode::plausible(text, seen) && decode::layer(text, &mut out);
            if depth == DEPTH_MAX {
                if changed {
                    self.tell(look, depth, &too_deep(text), findings);
                }
                out.clear();
                findings.room[DEPTH_MAX] = out;
                return;
            }
            let decoded = |out: &[u8], findings: &mut Findings| {
                self.text(out, place, name, depth + 1, findings);
            };
            // What may come after a layer waits until there is none left: each order of undoing would be a layer of its own.
            if binary {
                // Bytes stay bytes, unless they are letters that are written too long.
                if changed && is_plain(&out) {
                    decoded(&out, findings);
                }
            } else if changed {
                decoded(&out, findings);
            } else if nested::plus_is_space(text, seen) {
                out.clear();
                out.extend(text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }));
                decoded(&out, findings);
            } else if has_padding(text, seen) && decode::squeeze(text, &mut out) {
                decoded(&out, findings);
            }
            if !binary && nested::might_be_base64(text, seen) && decode::base64(text, &mut out) {
                decoded(&out, findings);
            }
            if let Some(room) = findings.room.get_mut(depth) {
                *room = out;
            }
        }
    }

    /// Reads a text with every lexer that could fire. A long one that is to be blocked is not read to its end by all of them:
    /// what is long and hostile is made to be read.
    fn lexers(&self, look: &Look<'_>, findings: &mut Findings, report: &mut Report) {
        let seen = look.seen;
        let most = self.settings.sensitivity.threshold();
        let score = findings.score();
        let done = |report: &Report| {
            let sure =
                report.hits.iter().filter(|hit| self.finds(hit.class)).map(|hit| u32::from(hit.score)).sum::<u32>();
            look.text.len() > LONG_BYTES && score.max(sure) >= most
        };
        code::look(look, report);
        if look.place == Place::File || done(report) {
            return;
        }
        sql::look(look, &mut findings.tokens, report);
        if done(report) {
            return;
        }
        if seen.bytes(has::LESS | has::EQUALS | has::COLON) {
            html::look(look, report);
        }
        if done(report) {
            return;
        }
        script::look(look, report);
        if done(report) {
            return;
        }
        shell::look(look, report);
        if done(report) {
            return;
        }
        path::look(look, report);
        lookup::look(look, &mut findings.plain, report);
        markup::look(look, report);
        query::look(look, report);
        serial::look(look, report);
        serial::splitting(look, report);
    }

    /// Whether a class is looked for.
    fn finds(&self, class: Class) -> bool {
        !self.settings.allowed.contains(&class)
    }

    fn tell(&self, look: &Look<'_>, depth: usize, hit: &Hit, findings: &mut Findings) {
        if self.finds(hit.class) {
            findings.add(look.place, look.name, look.text, u8::try_from(depth).unwrap_or(u8::MAX), hit);
        }
    }
}

/// From how many bytes on a text that is to be blocked is not read by lexers that have not read it yet.
const LONG_BYTES: usize = 16 << 10;

/// A value that is not decoded to its end is blocked: an honest one is plain after a few layers.
fn too_deep(text: &[u8]) -> Hit {
    let why = "has more layers than are undone";
    Hit { class: Class::Encoding, score: 5, start: 0, end: text.len(), why, patch: None }
}

/// Whether there could be padding that [`decode::squeeze`] takes out, between words that could mean something.
fn has_padding(text: &[u8], seen: Seen) -> bool {
    if seen.gap {
        return true;
    }
    let meant = seen.words != 0 || seen.bytes(has::PAREN | has::TICK);
    meant
        && seen.bytes(has::SLASH)
        && (seen.bytes(has::STAR) && has_pair(text, b'/', b'*') || seen.bytes(has::LINE) && has_pair(text, b'/', b'/'))
}

/// Shortest row of letters in a body of bytes that is taken for text: among random bytes there is none so long.
const RUN_BYTES_MIN: usize = 16;

/// Whether a value is no text, whatever its type says: much of its beginning is control characters, and more is no ASCII.
/// Text in two bytes a character has many zeros, and decoding takes them out.
fn is_binary(text: &[u8], seen: Seen) -> bool {
    if !(seen.bytes(has::CONTROL) && seen.bytes(has::HIGH)) {
        return false;
    }
    let sample = text.get(..1024).unwrap_or(text);
    let count = |kind: fn(&u8) -> bool| sample.iter().filter(|byte| kind(byte)).count();
    let controls = count(|byte| matches!(byte, 0..=8 | 14..=31 | 127));
    let (zeros, high) = (count(|byte| *byte == 0), count(|byte| *byte >= 0x80));
    sample.len() >= 64 && controls * 24 > sample.len() && high * 4 > sample.len() && zeros * 3 < sample.len()
}

/// Whether next to all of a text is ASCII.
fn is_plain(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte >= 0x80).count() * 8 < text.len()
}

/// Whether nothing in a value could make any lexer fire: letters, digits, and what stands between words in sentences, times and
/// addresses of mail, without a word that is known.
fn is_quiet(seen: Seen) -> bool {
    const PLAIN: u32 = has::LETTER
        | has::DIGIT
        | has::SPACE
        | has::MINUS
        | has::UNDERSCORE
        | has::DOT
        | has::COLON
        | has::AT
        | has::BANG
        | has::OTHER;
    seen.bytes & !PLAIN == 0 && seen.words == 0
}

/// What one lexer finds in a value of a query.
#[cfg(test)]
fn in_query(text: &str, look: impl FnOnce(&Look<'_>, &mut Report)) -> Report {
    let mut report = Report::default();
    let text = text.as_bytes();
    look(&Look { text, seen: scan(text), place: Place::Query, name: b"q" }, &mut report);
    report
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod ordinary;
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Evasions and their twins: `specs/waf-semantic/*.toml`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads its cases")]
    fn evasions_are_seen_and_twins_pass() {
        let detector = Detector::new(Settings::default());
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs/waf-semantic");
        let mut cases = 0;
        for entry in std::fs::read_dir(directory).expect("the cases").flatten() {
            let text = std::fs::read_to_string(entry.path()).expect("a file of cases");
            let file: toml::Table = text.parse().expect("TOML");
            for case in file.get("case").and_then(toml::Value::as_array).into_iter().flatten() {
                let field = |name: &str| {
                    case.get(name).and_then(toml::Value::as_str).unwrap_or_else(|| panic!("{name} in {case}"))
                };
                let place = Place::ALL.iter().find(|place| place.as_str() == field("place")).expect("a place");
                let padding = case.get("padding").and_then(toml::Value::as_str).unwrap_or_default();
                let times = case.get("times").and_then(toml::Value::as_integer).unwrap_or_default();
                let padding = padding.repeat(usize::try_from(times).expect("a count"));
                let judge = |text: &str| {
                    let text = [&padding, text].concat();
                    let mut findings = Findings::new();
                    detector.value(*place, b"q", text.as_bytes(), &mut findings);
                    (detector.blocks(&findings), findings)
                };
                let (blocked, findings) = judge(field("attack"));
                let class = findings.list().iter().any(|finding| finding.class.as_str() == field("class"));
                assert!(blocked && class, "{}: {:?}", field("name"), findings.list());
                let (blocked, findings) = judge(field("twin"));
                assert!(!blocked, "{}, its twin: {:?}", field("name"), findings.list());
                cases += 1;
            }
        }
        assert!(cases >= 30, "{cases}");
    }

    proptest! {
        /// Whatever comes, something is said of it, within the budget, and the same when it is said again.
        #[test]
        fn any_bytes_are_judged_alike_twice(text in prop::collection::vec(any::<u8>(), 0..600), place in 0..Place::ALL.len()) {
            let detector = Detector::new(Settings::default());
            let mut findings = Findings::new();
            detector.value(Place::ALL[place], b"name", &text, &mut findings);
            let first = (findings.score(), findings.list().to_vec());
            findings.clear();
            detector.value(Place::ALL[place], b"name", &text, &mut findings);
            prop_assert_eq!(first, (findings.score(), findings.list().to_vec()));
        }

        /// Code-like text reaches the lexers more often than any bytes do.
        #[test]
        fn code_like_text_is_judged(pieces in prop::collection::vec(prop::sample::select(vec![
            "'", "\"", "`", "<", ">", "(", ")", "{", "${", "%", "%25", "\\", "/*", "*/", "--", ";", "|", "&", "select", "union",
            " or ", "script", "on", "=", "alert", "../", "etc", "passwd", "http://", "127.1", "{{", "}}", "jndi:", "\n", "\u{ff1c}", "1",
        ]), 0..60)) {
            let detector = Detector::new(Settings::default());
            let mut findings = Findings::new();
            for place in Place::ALL {
                findings.clear();
                detector.value(*place, b"name", pieces.concat().as_bytes(), &mut findings);
                prop_assert!(findings.list().len() <= FINDINGS_MAX);
            }
        }
    }

    /// Text inside of bytes is looked at, and text in two bytes a character; bytes alone are nothing.
    #[test]
    fn text_in_bytes_is_seen() {
        let noise =
            |from: u32| (from..from + 3000).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>();
        let wide = |text: &str| {
            [&b"\xFF\xFE"[..], &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat()
        };
        let between = |text: &str| [noise(1), text.as_bytes().to_vec(), noise(5000)].concat();
        for (text, expected) in [
            (noise(7), false),
            (between("<script>alert(document.cookie)</script>"), true),
            (between("<b>a paragraph of bold text</b>"), false),
            (wide("{\"q\": \"1' union select password from users-- -\"} and some more to be long enough"), true),
            (wide("{\"q\": \"the union has a select few\"} and some more to be long enough for it"), false),
        ] {
            for place in [Place::Body, Place::Json] {
                let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
                detector.value(place, b"q", &text, &mut findings);
                assert_eq!(detector.blocks(&findings), expected, "{}: {:?}", text.escape_ascii(), findings.list());
            }
        }
    }

    #[test]
    fn what_is_allowed_is_not_told() {
        let settings = Settings { allowed: vec![Class::Sql], ..Settings::default() };
        let detector = Detector::new(settings);
        let mut findings = Findings::new();
        detector.value(Place::Query, b"q", b"1 union select 1,2", &mut findings);
        assert_eq!(findings.score(), 0);
        detector.value(Place::Query, b"q", b"<script>alert(1)</script>", &mut findings);
        assert!(detector.blocks(&findings));
    }

    #[test]
    fn more_layers_than_are_undone_are_told() {
        let mut text = b"%".to_vec();
        text.extend(b"25".repeat(20));
        text.extend(b"3Cscript>");
        let detector = Detector::new(Settings { sensitivity: Sensitivity::High, ..Settings::default() });
        let mut findings = Findings::new();
        detector.value(Place::Query, b"q", &text, &mut findings);
        assert!(detector.blocks(&findings), "{:?}", findings.list());
    }
}
