//! Rule files that the configuration has read, as rules again: from memory, so that what was checked is what is served.
//!
//! It never touches the disk; who does finds here what names and patterns in rules mean.

use std::path::{Component, Path, PathBuf};

use portcullis_config::RuleFiles;
use portcullis_waf::seclang::diagnostic::Refused;
use portcullis_waf::seclang::parse::{Files, parse};
use portcullis_waf::seclang::resolve::{RuleSet, resolve};

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
