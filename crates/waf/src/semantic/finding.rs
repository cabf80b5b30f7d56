//! What was found: classes, places, findings and their sum.

use smallvec::SmallVec;

use super::scan::Seen;

/// Declares a set of names with a spelling for logs, so that variant and name cannot differ.
macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As logs and settings spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// What a value would do.
    Class {
        /// Change what a statement of SQL says.
        Sql = "sql",
        /// Run script in a visitor's browser.
        Script = "script",
        /// Run a command.
        Command = "command",
        /// Reach a file outside of where the application looks.
        Path = "path",
        /// Run an expression in a template.
        Template = "template",
        /// Run code in the server's language.
        Code = "code",
        /// Change what a search in a directory says.
        Ldap = "ldap",
        /// Change what an expression of XPath says.
        Xpath = "xpath",
        /// Change what a document database is asked.
        Nosql = "nosql",
        /// Have an XML parser fetch something.
        Xxe = "xxe",
        /// Have the server fetch from where the visitor cannot.
        Ssrf = "ssrf",
        /// Have an object built from bytes.
        Serialised = "serialised",
        /// Have a logger look something up.
        Lookup = "lookup",
        /// Add a header or a second message.
        Splitting = "splitting",
        /// Hide what it is.
        Encoding = "encoding",
        /// Use a known vulnerability, by a virtual patch.
        Patch = "patch",
        /// Break the rules of requests, so that two programs could read it differently.
        Protocol = "protocol",
    }
}

named! {
    /// Where in a request a value stands.
    Place {
        /// The path, as it came or decoded.
        Path = "path",
        /// The name of a query parameter.
        QueryName = "query-name",
        /// The value of a query parameter.
        Query = "query",
        /// The name of a form field.
        FormName = "form-name",
        /// The value of a form field.
        Form = "form",
        /// A key of an object in JSON, or the path to one.
        JsonName = "json-name",
        /// A string of JSON, unescaped.
        Json = "json",
        /// Text or an attribute of XML.
        Xml = "xml",
        /// A cookie's name.
        CookieName = "cookie-name",
        /// A cookie's value.
        Cookie = "cookie",
        /// A header field's value.
        Header = "header",
        /// The name of an uploaded file.
        FileName = "file-name",
        /// The content of an uploaded file, or a body of a type that is a file's.
        File = "file",
        /// A body as it came, of a type that nobody parses.
        Body = "body",
    }
}

/// One thing that a value would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it would do.
    pub class: Class,
    /// Where it stands.
    pub place: Place,
    /// What the place calls it: a parameter, a header; at most [`NAME_BYTES_MAX`] of it.
    pub name: Box<[u8]>,
    /// The part that says so, decoded; at most [`MATCHED_BYTES_MAX`] of it.
    pub matched: Box<[u8]>,
    /// How often it was decoded before it said so.
    pub decoded: u8,
    /// What is wrong with it, for people.
    pub why: &'static str,
    /// The virtual patch that matched.
    pub patch: Option<&'static str>,
    /// How sure this is, from 2 (odd) over 5 (an attack) to 10.
    pub score: u8,
    /// The value of the request that it stood in, which may have had values of its own.
    pub stood: Stood,
}

/// A value of a request, as the application's framework hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stood {
    /// Where it stood.
    pub place: Place,
    /// What the place calls it; at most `STOOD_NAME_BYTES_MAX` of it.
    pub name: Box<[u8]>,
    /// Its beginning, at most [`VALUE_BYTES_MAX`].
    pub value: Box<[u8]>,
    /// Name or value are not all of it.
    pub cut: bool,
}

/// Most of a value that a finding keeps.
pub const VALUE_BYTES_MAX: usize = 1024;
/// Most of that value's name.
const STOOD_NAME_BYTES_MAX: usize = 256;

/// Most of a name that a finding keeps.
pub const NAME_BYTES_MAX: usize = 64;
/// Most of a matched part that a finding keeps.
pub const MATCHED_BYTES_MAX: usize = 120;
/// Most findings of a request that are kept; later ones count, too, but are not listed.
pub const FINDINGS_MAX: usize = 32;

/// All that was found in a request so far. Made once and cleared between requests, it keeps the memory that decoding needs.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    /// How many hits there were, listed or not, and how many conditions of patches were met.
    told: u32,
    /// Values that were nothing in earlier requests. Kept when the rest is cleared.
    pub(super) calm: super::calm::Calm,
    /// The highest score of each class.
    best: [u8; Class::ALL.len()],
    /// Room to decode in, one for each depth.
    pub(super) room: [Vec<u8>; super::DEPTH_MAX + 1],
    /// Room for a name and a value of a form.
    pub(super) pair: (Vec<u8>, Vec<u8>),
    /// Room for what lookups come to.
    pub(super) plain: Vec<u8>,
    /// Room for tokens.
    pub(super) tokens: Vec<super::sql::Token>,
    /// Bytes of all values of the request so far, and how many were looked at, all layers and parts together.
    pub(super) given: usize,
    looked: usize,
    /// Bytes that may still be looked at for the value under way.
    pub(super) budget: usize,
    /// What is odd about the request itself.
    pub(super) oddities: super::protocol::Oddities,
    /// Classes that are not looked for in the value under way, as bits.
    pub(super) muted: u32,
    /// Virtual patches that fit this request so far.
    pub(super) progress: super::patches::Progress,
}

impl Findings {
    /// Nothing found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.told = 0;
        self.best = [0; Class::ALL.len()];
        (self.given, self.looked) = (0, 0);
        self.progress.clear();
        self.oddities = super::protocol::Oddities::default();
        for room in self.room.iter_mut().chain([&mut self.pair.0, &mut self.pair.1, &mut self.plain]) {
            room.clear();
            room.shrink_to(ROOM_KEPT_BYTES);
        }
        self.tokens.clear();
        self.tokens.shrink_to(ROOM_KEPT_BYTES / 16);
    }

    /// What was found, in the order in which it was.
    #[must_use]
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// The highest score of each class, added up: to say the same thing often is not to say more.
    #[must_use]
    pub fn score(&self) -> u32 {
        self.best.iter().map(|best| u32::from(*best)).sum()
    }

    /// Notes that there was something.
    pub(super) fn tell(&mut self) {
        self.told = self.told.saturating_add(1);
    }

    /// How often there was something.
    pub(super) fn told(&self) -> u32 {
        self.told
    }

    /// Whether so many bytes more may be looked at in this request, and that they are.
    pub(super) fn affords(&mut self, bytes: usize) -> bool {
        self.looked = self.looked.saturating_add(bytes);
        self.looked <= self.given.saturating_mul(super::REQUEST_FACTOR).saturating_add(super::REQUEST_BYTES)
    }

    /// Adds one; of a class only what scores higher than all before, and every virtual patch.
    pub(super) fn add(&mut self, place: Place, name: &[u8], text: &[u8], decoded: u8, hit: &Hit) {
        self.tell();
        let Some(best) = self.best.get_mut(hit.class as usize) else { return };
        if self.muted >> (hit.class as u32) & 1 == 1 {
            return;
        }
        let counted = hit.score > *best && hit.score >= SCORE_MIN;
        if !counted && hit.patch.is_none() {
            return;
        }
        *best = hit.score.max(*best);
        if self.list.len() < FINDINGS_MAX {
            let matched = text.get(hit.start..hit.end.min(text.len())).unwrap_or(text);
            self.list.push(Finding {
                class: hit.class,
                place,
                name: name.get(..NAME_BYTES_MAX).unwrap_or(name).into(),
                matched: matched.get(..MATCHED_BYTES_MAX).unwrap_or(matched).into(),
                decoded,
                why: hit.why,
                patch: hit.patch,
                score: hit.score.min(SCORE_MAX),
                stood: Stood { place, name: Box::default(), value: Box::default(), cut: false },
            });
        }
    }

    /// Counts the next value as if it were the first.
    pub(super) const fn anew(&mut self) {
        self.best = [0; Class::ALL.len()];
    }

    /// Says of all findings but the first `known` which value they stood in.
    pub(super) fn stood(&mut self, known: usize, place: Place, name: &[u8], value: &[u8]) {
        let cut = name.len() > STOOD_NAME_BYTES_MAX || value.len() > VALUE_BYTES_MAX;
        for finding in self.list.iter_mut().skip(known) {
            finding.stood = Stood {
                place,
                name: name.get(..STOOD_NAME_BYTES_MAX).unwrap_or(name).into(),
                value: value.get(..VALUE_BYTES_MAX).unwrap_or(value).into(),
                cut,
            };
        }
    }
}

/// Memory that is kept between requests, for each room.
const ROOM_KEPT_BYTES: usize = 64 << 10;
/// Anything less is no finding.
const SCORE_MIN: u8 = 2;
/// Nothing is surer.
const SCORE_MAX: u8 = 10;

/// What a lexer looks at.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) text: &'a [u8],
    pub(super) seen: Seen,
    pub(super) place: Place,
    pub(super) name: &'a [u8],
}

/// What a lexer saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) class: Class,
    pub(super) score: u8,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) why: &'static str,
    pub(super) patch: Option<&'static str>,
}

/// What the lexers saw in one text: the highest of each class.
#[derive(Default)]
pub(super) struct Report {
    pub(super) hits: SmallVec<[Hit; 4]>,
}

impl Report {
    pub(super) fn add(&mut self, class: Class, score: u8, (start, end): (usize, usize), why: &'static str) {
        if score < SCORE_MIN {
            return;
        }
        let hit = Hit { class, score, start, end, why, patch: None };
        match self.hits.iter_mut().find(|known| known.class == class) {
            Some(known) if known.score < score => *known = hit,
            Some(_) => {}
            None => self.hits.push(hit),
        }
    }

    /// The score of a class so far.
    pub(super) fn score(&self, class: Class) -> u8 {
        self.hits.iter().find(|hit| hit.class == class).map_or(0, |hit| hit.score)
    }
}
