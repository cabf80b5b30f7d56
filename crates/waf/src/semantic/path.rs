//! Would this reach a file outside of where the application looks?
//!
//! Counted are the steps upwards, whatever they are written with, and where they lead; files whose only use in a request is
//! to be stolen; and wrappers that make a name of a file something else.

use super::finding::{Class, Look, Place, Report};
use super::scan::{class, has, in_word};
use super::text::{at, begins, find, from, part};
use super::words::{self, FILE, SCHEME};

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    let ups = if seen.bytes(has::DOT) && seen.bytes(has::SLASH | has::BACKSLASH) {
        steps(text, look.place, report)
    } else {
        0
    };
    if seen.words(FILE) || ups > 0 {
        files(text, look.place, ups, report);
    }
    if seen.bytes(has::COLON) && seen.bytes(has::SLASH) && seen.words(SCHEME) {
        wrapper(text, look.place, report);
    }
}

/// Whether a byte may stand in a run of steps: dots, slashes, and what is put between them to hide that.
fn in_run(byte: u8) -> bool {
    matches!(byte, b'.' | b'/' | b'\\')
}

/// Counts steps upwards.
fn steps(text: &[u8], place: Place, report: &mut Report) -> usize {
    let mut ups = 0;
    let mut span = None;
    let mut position = 0;
    while let Some(found) = memchr::memchr(b'.', from(text, position)).map(|found| found + position) {
        let mut start = found;
        if found > position && matches!(at(text, found - 1), b'/' | b'\\') {
            start = found - 1;
        }
        let mut end = found;
        while in_run(at(text, end))
            || matches!(at(text, end), b'?' | b';' | b'%') && in_run(at(text, end + 1)) && end > found
        {
            end += 1;
        }
        position = end.max(found + 1);
        let run = part(text, start, end);
        let before = if start == 0 { b'/' } else { at(text, start - 1) };
        let slash_first = matches!(at(text, start), b'/' | b'\\');
        // `laundry../`, `wait.../`: the dots belong to the word.
        if in_word(before) && !slash_first || memchr::memchr2(b'/', b'\\', run).is_none() {
            continue;
        }
        let mut count = 0;
        let mut at_dot = 0;
        while let Some(dots) = find(from(run, at_dot), b"..") {
            count += 1;
            at_dot += dots + 2;
        }
        // `.?/`, `?./`: a wildcard instead of a dot.
        if count == 0 {
            count = run
                .windows(3)
                .filter(|three| matches!(three, [b'.', b'?', b'/' | b'\\'] | [b'?', b'.', b'/' | b'\\']))
                .count();
        }
        if count > 0 {
            ups += count;
            span.get_or_insert((start, end));
        }
    }
    let Some((start, end)) = span else { return 0 };
    let end = (end + 40).min(text.len());
    // What pages are made of is fetched with steps upwards every day.
    let asset = ASSETS
        .iter()
        .any(|extension| text.len() > extension.len() && begins(from(text, text.len() - extension.len()), extension));
    let score = match (ups, place) {
        (_, Place::FileName) => 5,
        (_, Place::Path) => 4,
        _ if asset => 2,
        (1, _) => 2,
        (2, _) => 3,
        _ => 5,
    };
    let backwards = memchr::memchr(b'\\', part(text, start, end)).is_some();
    report.add(
        Class::Path,
        score + u8::from(score < 5 && backwards && !asset),
        (start, end),
        "steps out of the directory where files are looked for",
    );
    ups
}

/// How the names of what pages are made of end.
const ASSETS: &[&[u8]] = &[
    b".js", b".css", b".png", b".svg", b".jpg", b".jpeg", b".gif", b".webp", b".woff", b".woff2", b".ttf", b".map",
    b".ts", b".tsx", b".mjs", b".vue", b".html", b".scss", b".json",
];

/// Files that are asked for to be stolen: their last names, what must stand before, and how sure a mention is.
const FILES: &[(&[u8], &[u8], u8)] = &[
    (b"passwd", b"etc", 5),
    (b"shadow", b"etc", 5),
    (b"group", b"etc", 5),
    (b"hosts", b"etc", 5),
    (b"issue", b"etc", 5),
    (b"motd", b"etc", 5),
    (b"fstab", b"etc", 5),
    (b"crontab", b"etc", 5),
    (b"sudoers", b"etc", 5),
    (b"hostname", b"etc", 5),
    (b"resolv.conf", b"etc", 5),
    (b"environ", b"proc", 5),
    (b"cmdline", b"proc", 5),
    (b"self", b"proc", 5),
    (b"version", b"proc", 4),
    (b"boot.ini", b"", 5),
    (b"win.ini", b"", 5),
    (b"system.ini", b"", 4),
    (b"system32", b"", 4),
    (b"system32", b"windows", 5),
    (b"system32", b"winnt", 5),
    (b"web.xml", b"inf", 5),
    (b"web.config", b"", 4),
    (b".htaccess", b"", 4),
    (b".htpasswd", b"", 5),
    (b"wp-config.php", b"", 5),
    (b"id_rsa", b"", 5),
    (b"id_ed25519", b"", 5),
    (b"authorized_keys", b"", 4),
    (b".bash_history", b"", 5),
    (b"credentials", b".aws", 5),
    (b"config", b".git", 5),
    (b"head", b".git", 4),
    (b"entries", b".svn", 4),
    (b"php.ini", b"", 4),
    (b"my.cnf", b"", 4),
    (b"httpd.conf", b"", 4),
    (b"nginx.conf", b"", 4),
    (b"access_log", b"", 4),
    (b"error_log", b"", 3),
    (b".env", b"/", 4),
    (b"sam", b"config", 5),
    (b"global.asa", b"", 4),
    (b"autoexec.bat", b"", 4),
];

/// How far before a file's name its directory may stand, slashes and dots not counted: what hides a slash is at most this long.
const BETWEEN_BYTES_MAX: usize = 14;

fn files(text: &[u8], place: Place, ups: usize, report: &mut Report) {
    // Each name begins with a word of the table: only there is it compared.
    let mut position = 0;
    while let Some(byte) = text.get(position) {
        if class(*byte) & (has::LETTER | has::UNDERSCORE) == 0 {
            position += 1;
            continue;
        }
        let start = position;
        while text.get(position).is_some_and(|byte| in_word(*byte)) {
            position += 1;
        }
        let known = words::kinds(part(text, start, position)) & FILE != 0;
        if !known {
            continue;
        }
        for (name, before, sure) in FILES {
            let found = start.saturating_sub(usize::from(name.starts_with(b".")));
            if begins(from(text, found), name)
                && let Some(score) = mention(text, found, name, before, *sure, place, ups)
            {
                let span = (found.saturating_sub(before.len() + 2), found + name.len());
                report.add(Class::Path, score, span, "a file that is asked for to be read by others");
            }
        }
    }
    if ups > 0 {
        target(text, report);
    }
}

/// How sure a mention of a file is one.
fn mention(text: &[u8], found: usize, name: &[u8], before: &[u8], sure: u8, place: Place, ups: usize) -> Option<u8> {
    let behind = at(text, found + name.len());
    if in_word(behind) || behind == b'-' {
        return None;
    }
    if !before.is_empty() {
        // Slashes and dots between are any number: `etc/./././passwd`.
        let mut near = found;
        while near > 0 && in_run(at(text, near - 1)) {
            near -= 1;
        }
        let floor = near.saturating_sub(BETWEEN_BYTES_MAX + before.len());
        let window = part(text, floor, found);
        let directory = (0..window.len()).rev().find(|start| begins(from(window, *start), before))?;
        let between = from(window, directory + before.len());
        let left = if floor + directory == 0 { b'/' } else { at(text, floor + directory - 1) };
        // `etc/passwd`, `etc%c0%qfpasswd`, not `etc. passwd`.
        let parted = !between.is_empty()
            && !between.contains(&b' ')
            && between.iter().any(|byte| matches!(byte, b'/' | b'\\' | b'%' | 0x80..|0..=0x1F| b'?' | b'*'))
            || before == b"/";
        if !parted && before != b"/" {
            return None;
        }
        let rooted =
            !left.is_ascii_alphanumeric() || at(text, floor + directory.saturating_sub(2)) == b'%' || before == b"/";
        return rooted.then_some(sure);
    }
    let left = if found == 0 { b'/' } else { at(text, found - 1) };
    let pathed = matches!(left, b'/' | b'\\' | b'%' | b'?' | 0x80.. | 0..=0x1F);
    match () {
        () if name == b"boot.ini" || name == b"win.ini" => {
            (pathed || !left.is_ascii_alphanumeric() || found >= 3 && at(text, found - 3) == b'%' || ups > 0)
                .then_some(sure)
        }
        () if ups > 0 && pathed => Some(5),
        () if pathed && matches!(place, Place::Path | Place::FileName) => Some(sure.max(4)),
        () if pathed => Some(sure),
        () => None,
    }
}

/// Where steps upwards lead: the directories of a system, files of configuration or logs.
fn target(text: &[u8], report: &mut Report) {
    let Some(last) = memchr::memmem::rfind(text, b"..") else { return };
    let mut start = last + 2;
    while matches!(at(text, start), b'/' | b'\\' | b'%' | b';' | b'?') || at(text, start) >= 0x80 {
        start += 1;
    }
    let rest = part(text, start, start + 200);
    let system = [
        &b"etc"[..],
        b"proc",
        b"var",
        b"usr",
        b"opt",
        b"root",
        b"windows",
        b"winnt",
        b"sys",
        b"boot",
        b"home",
        b"tmp",
        b"inetpub",
        b"apache",
        b"xampp",
        b"logs",
        b"web-inf",
        b"program files",
        b"system volume",
        b"documents and settings",
    ];
    let directory = system.iter().any(|name| begins(rest, name) && matches!(at(rest, name.len()), b'/' | b'\\'));
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'&' | b'"' | b'\'' | b'<' | 0)).unwrap_or(rest.len());
    let file = part(rest, 0, end);
    let kept = [
        &b".ini"[..],
        b".conf",
        b".cnf",
        b".log",
        b".cfg",
        b".pdb",
        b".key",
        b".pem",
        b".sql",
        b".bak",
        b".env",
        b".passwd",
        b"_log",
        b".mdb",
        b".yml",
        b".properties",
    ];
    let configuration = kept.iter().any(|extension| {
        file.len() > extension.len()
            && file.get(file.len() - extension.len()..).is_some_and(|tail| tail.eq_ignore_ascii_case(extension))
    });
    if directory || configuration {
        report.add(Class::Path, 5, (last, start + file.len()), "steps upwards to a file of the system");
    }
}

/// `php://filter/…`, `file:///etc/…`: names of files that are none.
fn wrapper(text: &[u8], place: Place, report: &mut Report) {
    for colon in memchr::memchr_iter(b':', text) {
        let mut start = colon;
        while start > 0
            && colon - start < 16
            && (in_word(at(text, start - 1)) || matches!(at(text, start - 1), b'.' | b'-'))
        {
            start -= 1;
        }
        let scheme = part(text, start, colon);
        let rest = from(text, colon + 1);
        let slashes = rest.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
        let score = match () {
            () if scheme.eq_ignore_ascii_case(b"php") && slashes >= 2 => 6,
            () if scheme.eq_ignore_ascii_case(b"expect") && slashes >= 2 => 6,
            () if (scheme.eq_ignore_ascii_case(b"phar")
                || scheme.eq_ignore_ascii_case(b"zip")
                || scheme.eq_ignore_ascii_case(b"rar")
                || scheme.eq_ignore_ascii_case(b"glob")
                || begins(scheme, b"compress.")
                || scheme.eq_ignore_ascii_case(b"ssh2.exec"))
                && slashes >= 2 =>
            {
                5
            }
            () if scheme.eq_ignore_ascii_case(b"data") && slashes >= 2 => 5,
            () if scheme.eq_ignore_ascii_case(b"file") && slashes >= 2 && !matches!(place, Place::Header) => {
                let path = from(rest, slashes);
                let own = start == 0;
                // A page that was saved and opened tells its own address, with a drive or a home directory.
                let home = path.get(1) == Some(&b':') || begins(path, b"users/") || begins(path, b"home/");
                if own && !home || !own && slashes > 2 { 5 } else { 3 }
            }
            () if (scheme.eq_ignore_ascii_case(b"netdoc") || scheme.eq_ignore_ascii_case(b"jar"))
                && (slashes > 0 || begins(rest, b"http") || begins(rest, b"file")) =>
            {
                5
            }
            () => 0,
        };
        report.add(Class::Path, score, (start, colon + 40), "a wrapper instead of the name of a file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::in_query;

    fn score(text: &str) -> u8 {
        let report = in_query(text, look);
        report.score(Class::Path)
    }

    #[test]
    fn ways_out_score() {
        for text in [
            "../../../etc/passwd",
            "..\\..\\..\\boot.ini",
            "....//....//etc/passwd",
            "..;/..;/..;/manager",
            "/etc/passwd",
            "/././etc/shadow",
            "../php/php.ini",
            "../../../../x",
            "php://filter/convert.base64-encode/resource=index.php",
            "file:///etc/passwd",
            "D:\\windows\\system32\\drivers\\etc\\hosts",
            "/proc/self/environ",
            "x/WEB-INF/web.xml",
            "../../var/log/maillog",
            "expect://id",
        ] {
            assert!(score(text) >= 5, "{text}: {}", score(text));
        }
    }

    #[test]
    fn names_of_files_do_not() {
        for text in [
            "./index.php",
            "../img/a.png",
            "../../../assets/app.js",
            "https://example.org/a/b.html",
            "logs/access.log",
            "laundry../bin & cleaning",
            "and so on.../etc",
            "v1..v2",
            "the hosts, etc.",
            "1/2/2026",
            "config",
            "file:///D:/pages/me/page.html",
        ] {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
