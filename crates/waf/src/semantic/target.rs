//! Which values a variable of the rule language means, for a class that is not to be looked for there.

use smallvec::SmallVec;

use super::finding::Place;
use crate::operator::regex::{Options, Regex};
use crate::seclang::ast::{Selector, Variable};
use crate::seclang::target;

/// A variable, as exclusions name it: `ARGS:comment`, `REQUEST_COOKIES:/^_ga/`.
#[derive(Debug, Clone)]
pub struct Target {
    places: SmallVec<[Place; 4]>,
    which: Which,
}

#[derive(Debug, Clone)]
enum Which {
    All,
    Name(Box<[u8]>),
    Regex(Box<Regex>),
}

impl Target {
    /// Reads one.
    ///
    /// # Errors
    /// In words: it is no variable, or one that no value of a request stands in.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = target(text)?;
        let places = places(read.variable);
        if places.is_empty() {
            return Err(format!("the gate's own detection does not look at `{}`", read.variable.name()));
        }
        let which = match read.selector {
            Selector::All | Selector::Xml(_) => Which::All,
            Selector::Name(name) => Which::Name(name),
            Selector::Regex(pattern) => {
                let options = Options { ignore_case: true, groups: false };
                let regex = Regex::compile_with(&pattern, options);
                Which::Regex(Box::new(regex.map_err(|refused| format!("`{pattern}`: {}", refused.reason))?))
            }
        };
        Ok(Self { places: SmallVec::from_slice(places), which })
    }

    /// Whether it means a value. What stands for a name has none of its own: it is its own name.
    pub(super) fn means(&self, place: Place, name: &[u8], value: &[u8]) -> bool {
        let own = matches!(place, Place::QueryName | Place::FormName | Place::JsonName | Place::CookieName);
        let called = if own { value } else { name };
        self.places.contains(&place)
            && match &self.which {
                Which::All => true,
                Which::Name(wanted) => called.eq_ignore_ascii_case(wanted),
                Which::Regex(regex) => regex.is_match(called),
            }
    }
}

/// Where the values of a variable stand.
fn places(variable: Variable) -> &'static [Place] {
    match variable {
        Variable::Args => &[Place::Query, Place::Form, Place::Json],
        Variable::ArgsGet | Variable::QueryString => &[Place::Query],
        Variable::ArgsPost => &[Place::Form, Place::Json],
        Variable::ArgsNames => &[Place::QueryName, Place::FormName, Place::JsonName],
        Variable::ArgsGetNames => &[Place::QueryName],
        Variable::ArgsPostNames => &[Place::FormName, Place::JsonName],
        Variable::RequestCookies => &[Place::Cookie],
        Variable::RequestCookiesNames => &[Place::CookieName],
        Variable::RequestHeaders => &[Place::Header],
        Variable::RequestFilename | Variable::RequestUri | Variable::RequestUriRaw | Variable::RequestBasename => {
            &[Place::Path]
        }
        Variable::Files => &[Place::FileName],
        Variable::FilesTmpContent => &[Place::File],
        Variable::RequestBody => &[Place::Body, Place::File],
        Variable::Xml => &[Place::Xml],
        _ => &[],
    }
}

/// The variable that means values of a place, without a member: what an exclusion calls it.
#[must_use]
pub const fn variable(place: Place) -> &'static str {
    match place {
        Place::Path => "REQUEST_FILENAME",
        Place::Query => "ARGS_GET",
        Place::Form | Place::Json => "ARGS_POST",
        Place::QueryName => "ARGS_GET_NAMES",
        Place::FormName | Place::JsonName => "ARGS_POST_NAMES",
        Place::Xml => "XML:/*",
        Place::CookieName => "REQUEST_COOKIES_NAMES",
        Place::Cookie => "REQUEST_COOKIES",
        Place::Header => "REQUEST_HEADERS",
        Place::FileName => "FILES",
        Place::File => "FILES_TMP_CONTENT",
        Place::Body => "REQUEST_BODY",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::{Class, Detector, Findings, Settings};

    #[test]
    fn targets_mean_what_rules_mean_by_them() {
        let table: &[(&str, Place, &str, bool)] = &[
            ("ARGS:comment", Place::Query, "comment", true),
            ("ARGS:comment", Place::Json, "Comment", true),
            ("ARGS:comment", Place::Query, "comments", false),
            ("ARGS:comment", Place::Cookie, "comment", false),
            ("ARGS:/^json\\.\\d+$/", Place::Json, "json.12", true),
            ("ARGS:/^json\\.\\d+$/", Place::Json, "json.x", false),
            ("ARGS_GET", Place::Form, "a", false),
            ("REQUEST_COOKIES", Place::Cookie, "_ga", true),
            ("REQUEST_HEADERS:Referer", Place::Header, "referer", true),
            ("REQUEST_FILENAME", Place::Path, "", true),
        ];
        for (text, place, name, expected) in table {
            let target = Target::parse(text).expect(text);
            assert_eq!(target.means(*place, name.as_bytes(), b"value"), *expected, "{text} {name}");
        }
        for wrong in ["ARG:x", "TX:score", "ARGS:a|ARGS:b", "RESPONSE_BODY", "&ARGS", "", "ARGS:/(/"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
        for place in Place::ALL {
            let target = Target::parse(variable(*place)).expect("a variable");
            assert!(target.means(*place, b"", b""), "{}", place.as_str());
        }
    }

    #[test]
    fn a_record_has_what_each_value_would_do() {
        let detector = Detector::new(Settings::default());
        let query = b"/?a=1'+union+select+password+from+users--+-&b=2'+union+select+card+from+users--+-&c=%253Cscript%253Ealert(1)%253C/script%253E";
        let told = |detector: &Detector| {
            let mut findings = Findings::new();
            detector.request_line(b"GET", query, &mut findings);
            let names = findings.list().iter().map(|finding| (finding.class, finding.stood.name.to_vec()));
            names.collect::<Vec<_>>()
        };
        assert_eq!(told(&detector), [(Class::Sql, b"a".to_vec())], "that is enough to block");
        let all = [(Class::Sql, b"a".to_vec()), (Class::Sql, b"b".to_vec()), (Class::Script, b"c".to_vec())];
        assert_eq!(told(&detector.thorough()), all);
    }

    #[test]
    fn a_class_is_left_out_of_one_value_only() {
        let left_out = vec![(Class::Sql, Target::parse("ARGS:comment").expect("a target"))];
        let detector = Detector::new(Settings { left_out, ..Settings::default() });
        let ask = |query: &str| {
            let mut findings = Findings::new();
            detector.request_line(b"GET", query.as_bytes(), &mut findings);
            detector.blocks(&findings)
        };
        assert!(!ask("/?comment=1'+union+select+password+from+users--+-"));
        assert!(ask("/?q=1'+union+select+password+from+users--+-"));
        assert!(ask("/?comment=a&q=1'+union+select+password+from+users--+-"), "nor what comes after it");
        assert!(ask("/?comment=%3Cscript%3Ealert(1)%3C/script%3E"), "nor another class");
    }
}
