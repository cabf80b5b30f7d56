//! `normalizePath` and `normalizePathWin`: what a file system makes of `.`, `..` and repeated separators.

/// What separates the names of a path. The result always has slashes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Separators {
    Slash,
    SlashAndBackslash,
}

/// Takes `.`, `..` and repeated separators out. A path that begins with a separator does not climb above its root; in one that
/// does not, the `..` that would climb above its beginning stay. A separator at the end stays only where there was one.
///
/// As in `ModSecurity`, a name that merely ends in two dots counts as `..`.
pub(super) fn normalize(input: &[u8], out: &mut Vec<u8>, separators: Separators) -> bool {
    let is_separator = |byte: u8| byte == b'/' || (byte == b'\\' && separators == Separators::SlashAndBackslash);
    let (Some(&first), Some(&last)) = (input.first(), input.last()) else { return false };
    if !may_change(input, separators) {
        return false;
    }
    let relative = !is_separator(first);
    // Whether a `..` reached the beginning, so that those behind it climb no further.
    let mut at_root = false;
    // How many separators of a run are written as slashes; of a longer one `ModSecurity` keeps the last as it stands.
    let mut converted = 2;
    let mut at = 0;
    while let Some(&byte) = input.get(at) {
        if is_separator(byte) {
            let run = input.iter().skip(at).take_while(|&&byte| is_separator(byte)).count();
            at += run;
            if !(relative && out.is_empty()) {
                out.push(if run > converted { input.get(at - 1).copied().unwrap_or(b'/') } else { b'/' });
            }
            converted = 2;
            continue;
        }
        let is_last = at + 1 == input.len();
        let ends_name = is_last || input.get(at + 1).is_some_and(|&next| is_separator(next));
        if ends_name && byte == b'.' {
            match out.last() {
                Some(b'.') if relative && (at_root || out.len() <= 2) => at_root = true,
                Some(b'.') => {
                    let kept = parent(out);
                    at_root |= kept == 0;
                    out.truncate(if is_last && !relative { kept.max(1) } else { kept });
                    converted = 1;
                    at += 1;
                    continue;
                }
                None | Some(b'/') => {
                    if !is_last {
                        out.pop();
                    }
                    converted = 1;
                    at += 1;
                    continue;
                }
                Some(_) => {}
            }
        } else if ends_name && !out.is_empty() {
            at_root = false;
        }
        out.push(byte);
        at += 1;
    }
    if !is_separator(last) && out.last() == Some(&b'/') {
        out.pop();
    }
    out != input
}

/// Whether a separator follows another one or a dot, or a dot ends the value: without that nothing changes.
fn may_change(input: &[u8], separators: Separators) -> bool {
    let slash = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| input.get(at));
        matches!(before, Some(b'.')) || input.get(at + 1) == Some(&b'/')
    };
    input.last() == Some(&b'.')
        || memchr::memchr_iter(b'/', input).any(slash)
        || (separators == Separators::SlashAndBackslash && memchr::memchr(b'\\', input).is_some())
}

/// How much of `path`, of which the first dot of a `..` is the end, leads to what is above it.
fn parent(path: &[u8]) -> usize {
    let names = path.get(..path.len().saturating_sub(2)).unwrap_or_default();
    names.iter().rposition(|&byte| byte == b'/').unwrap_or(0)
}
