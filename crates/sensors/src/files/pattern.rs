//! What is left out of a directory: `cache/**`, `*.log`, `uploads/tmp`.
//!
//! A pattern without `/` is about a name anywhere; one with `/` is about a path from the directory. `*` stands for any letters of
//! one name, and what is below a path that is left out goes with it, with `/**` or without. Nothing else is special, and time is linear in the path
//! for each star.

/// Patterns of one directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    names: Vec<String>,
    /// A path from the directory; else a name anywhere.
    whole: bool,
}

impl Patterns {
    /// From what the configuration says.
    #[must_use]
    pub(crate) fn new(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| Pattern::new(pattern)).collect())
    }

    /// Whether the path is left out, by itself or with what it is in.
    #[must_use]
    pub(crate) fn leave_out(&self, path: &[u8]) -> bool {
        self.0.iter().any(|pattern| pattern.fits(path))
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        let (text, below) = text.strip_suffix("/**").map_or((text, false), |text| (text, true));
        let text = text.trim_matches('/');
        let names: Vec<String> = text.split('/').map(str::to_owned).collect();
        Self { whole: names.len() > 1 || below, names }
    }

    fn fits(&self, path: &[u8]) -> bool {
        if !self.whole {
            // What is in a directory of that name is left out with it.
            return path
                .split(|byte| *byte == b'/')
                .any(|name| self.names.first().is_some_and(|glob| matches(glob.as_bytes(), name)));
        }
        let mut names = path.split(|byte| *byte == b'/');
        for glob in &self.names {
            if !names.next().is_some_and(|name| matches(glob.as_bytes(), name)) {
                return false;
            }
        }
        // What is below a path that is left out goes with it.
        true
    }
}

/// Whether a name is what the pattern says; `*` takes as much as it must.
fn matches(glob: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(byte) if name.get(from) == Some(byte) => (at, from) = (at + 1, from + 1),
            _ => match &mut star {
                Some((back, taken)) => {
                    *taken += 1;
                    (at, from) = (*back, *taken);
                }
                None => return false,
            },
        }
    }
    glob.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out() {
        let table: [(&str, &[&str], &[&str]); 5] = [
            ("*.log", &["a.log", "b/c.log", "x.log/y"], &["a.logs", "log", "a.log2"]),
            ("cache/**", &["cache", "cache/a", "cache/a/b"], &["cached", "a/cache"]),
            ("uploads/tmp", &["uploads/tmp", "uploads/tmp/x"], &["uploads", "uploads/tmpx", "tmp"]),
            ("a/*/c", &["a/b/c", "a/bb/c"], &["a/c", "a/b/b/c"]),
            ("*a*b", &["ab", "xaxb", "aab"], &["ba", "abx"]),
        ];
        for (pattern, out, kept) in table {
            let patterns = Patterns::new(&[pattern.to_owned()]);
            for path in out {
                assert!(patterns.leave_out(path.as_bytes()), "{pattern} leaves out {path}");
            }
            for path in kept {
                assert!(!patterns.leave_out(path.as_bytes()), "{pattern} keeps {path}");
            }
        }
        assert!(!Patterns::default().leave_out(b"anything"));
    }
}
