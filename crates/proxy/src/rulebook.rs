//! Rule files that the configuration has read, as rules again: from memory, so that what was checked is what is served.
//!
//! It never touches the disk; who does finds here what names and patterns in rules mean.

use std::path::{Component, Path, PathBuf};

use portcullis_config::RuleFiles;
use portcullis_config::{Excluded, Inspection, InspectionMode};
use portcullis_waf::seclang::ast::{EngineMode, Source};
use portcullis_waf::seclang::diagnostic::{Diagnostic, Refused};
use portcullis_waf::seclang::parse::{Files, parse};
use portcullis_waf::seclang::resolve::{RuleSet, resolve};
use portcullis_waf::seclang::{Pool, Program, compile_with};

/// The rules of a policy.
///
/// # Errors
/// What is wrong with them: nothing, where the configuration was checked.
pub fn rules(files: &RuleFiles) -> Result<RuleSet, Refused> {
    let content = |name: &String| files.files.iter().find(|(kept, _)| kept == name).map(|(_, bytes)| bytes.as_slice());
    let text = |name: &String| (name.clone(), String::from_utf8_lossy(content(name).unwrap_or_default()).into_owned());
    let sources: Vec<(String, String)> = files.order.iter().map(text).collect();
    parse(&sources, &Remembered(files)).and_then(resolve)
}

/// The rules of a policy as one route wants them: its levels and thresholds set, its exclusions made, and never louder than it
/// says.
///
/// # Errors
/// What is wrong with them, in words: an exclusion of a rule that there is not, an expression that cannot be run.
pub(crate) fn program(files: &RuleFiles, inspection: &Inspection, pool: &mut Pool) -> Result<Program, String> {
    let mut sources: Vec<(String, String)> = Vec::with_capacity(files.order.len() + 3);
    sources.push(("what the gate assumes".to_owned(), ASSUMED.to_owned()));
    let content = |name: &String| files.files.iter().find(|(kept, _)| kept == name).map(|(_, bytes)| bytes.as_slice());
    let mut settings = Some(settings(inspection)).filter(|text| !text.is_empty());
    for name in &files.order {
        // After the set-up that they override, before the rules that read them.
        if name.contains("-901-")
            && let Some(text) = settings.take()
        {
            sources.push(("[waf]".to_owned(), text));
        }
        sources.push((name.clone(), String::from_utf8_lossy(content(name).unwrap_or_default()).into_owned()));
    }
    sources.extend(settings.map(|text| ("[waf]".to_owned(), text)));
    sources.push(("exclude".to_owned(), exclusions(inspection)));
    let said = |sources: &[Source], problems: &[Diagnostic]| {
        problems.iter().map(|problem| problem.render(sources, false)).collect::<Vec<_>>().join("\n")
    };
    let rules = parse(&sources, &Remembered(files))
        .and_then(resolve)
        .map_err(|refused| said(&refused.sources, &refused.diagnostics))?;
    let program = compile_with(&rules, pool).map_err(|problems| said(&rules.sources, &problems))?;
    if program.settings().mode == EngineMode::Off {
        return Err("the rule files switch all rules off (`SecRuleEngine Off`), and nothing of them would run: \
                    take that out, or say `rules_mode = \"off\"`"
            .to_owned());
    }
    if program.ids().all(|id| ASSUMED_IDS.contains(&id)) {
        return Err("no rule is left to run: the files hold none that is not left out".to_owned());
    }
    Ok(program)
}

/// Numbers of rules that are the gate's own.
const ASSUMED_IDS: std::ops::RangeInclusive<u32> = 4_200_000_000..=4_200_000_099;

/// Whoever names rules wants them to run, and bodies to be read as what they say they are. Rule files that say otherwise come
/// later and hold.
const ASSUMED: &str = r#"SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application|text)/(?:[a-z0-9.+-]+\+)?xml(?:[\s;]|$)" \
    "id:4200000001,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application|text)/(?:[a-z0-9.+-]+\+)?json(?:[\s;]|$)" \
    "id:4200000002,phase:1,pass,nolog,t:none,t:lowercase,ctl:requestBodyProcessor=JSON"
"#;

/// Levels and thresholds as the Core Rule Set takes them.
fn settings(inspection: &Inspection) -> String {
    let pairs = [
        ("blocking_paranoia_level", inspection.paranoia.map(u32::from)),
        ("detection_paranoia_level", inspection.detection_paranoia.or(inspection.paranoia).map(u32::from)),
        ("inbound_anomaly_score_threshold", inspection.inbound_threshold),
        ("outbound_anomaly_score_threshold", inspection.outbound_threshold),
    ];
    let set: Vec<String> =
        pairs.iter().filter_map(|(name, value)| Some(format!("setvar:tx.{name}={}", (*value)?))).collect();
    if set.is_empty() {
        return String::new();
    }
    format!("SecAction \"id:4200000003,phase:1,pass,nolog,t:none,{}\"\n", set.join(","))
}

/// What is left out, and that nothing is refused where rules only observe.
fn exclusions(inspection: &Inspection) -> String {
    let mut text = String::new();
    for exclusion in &inspection.exclude {
        let quoted = |text: &str| text.replace('"', "");
        let line = match (&exclusion.what, &exclusion.target) {
            (Excluded::Rules(from, to), None) => format!("SecRuleRemoveById {from}-{to}\n"),
            (Excluded::Rules(from, to), Some(target)) => {
                format!("SecRuleUpdateTargetById {from}-{to} \"!{}\"\n", quoted(target))
            }
            (Excluded::Tag(tag), None) => format!("SecRuleRemoveByTag \"{}\"\n", quoted(tag)),
            (Excluded::Tag(tag), Some(target)) => {
                format!("SecRuleUpdateTargetByTag \"{}\" \"!{}\"\n", quoted(tag), quoted(target))
            }
            (Excluded::Family(_), _) => continue,
        };
        text.push_str(&line);
    }
    if inspection.rules == InspectionMode::Observe {
        text.push_str("SecRuleEngine DetectionOnly\n");
    }
    text
}

/// What was read, by the names under which it was asked for.
struct Remembered<'a>(&'a RuleFiles);

impl Files for Remembered<'_> {
    fn read(&self, file: &str, name: &str) -> Option<Vec<u8>> {
        let name = beside(file, name);
        self.0.files.iter().find(|(kept, _)| *kept == name).map(|(_, bytes)| bytes.clone())
    }

    fn matching(&self, file: &str, pattern: &str) -> Option<Vec<String>> {
        let whole = PathBuf::from(beside(file, pattern));
        let fits = |name: &&String| fits_path(&whole, Path::new(name));
        Some(self.0.files.iter().map(|(name, _)| name).filter(fits).cloned().collect())
    }
}

/// What a name means in a file: relative to that file's directory.
#[must_use]
pub fn beside(file: &str, name: &str) -> String {
    let directory = Path::new(file).parent().unwrap_or(Path::new(""));
    directory.join(name).display().to_string()
}

fn fits_path(pattern: &Path, path: &Path) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.components().collect(), path.components().collect());
    let text = |component: &Component<'_>| component.as_os_str().to_string_lossy().into_owned();
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(pattern, name)| fits(&text(pattern), &text(name)))
}

/// Whether a name fits a pattern in which `*` is any text and `?` any character; in linear steps back, never more.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(n) => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        let table = [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.example", false),
            ("*", "", true),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("REQUEST-9?1-*", "REQUEST-901-INIT", true),
            ("REQUEST-9?1-*", "REQUEST-91-INIT", false),
            ("?", "ü", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
