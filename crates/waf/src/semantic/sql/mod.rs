//! Would this change what a statement of SQL says?
//!
//! A value lands in a number, in a string or in the place of a name. It is read as tokens from its beginning, and again from
//! behind its first quote of each kind, where it would leave a string. Then its shape is judged: conditions that are
//! joined to one that was there, queries and statements that are added, functions that wait or reach out. Words alone
//! never score: prose has them all.

mod judge;
mod lexer;

pub(super) use lexer::Token;
use lexer::tokens;

use super::finding::{Class, Look, Report};
use super::scan::{class, has};
use super::text::from;
use super::words::{self, SQL_AND, SQL_DEED, SQL_FUNCTION, SQL_SYSTEM, SQL_VERB, SQL_WORD};
use crate::bytes::find_pair;

/// Tokens that two parts of a long text have in common, so that what lies across them is seen.
const TOKENS_SHARED: usize = 64;

pub(super) fn look(look: &Look<'_>, room: &mut Vec<Token>, report: &mut Report) {
    let seen = look.seen;
    let words = SQL_VERB | SQL_DEED | SQL_SYSTEM | SQL_AND;
    let operators = has::EQUALS | has::PIPE | has::LESS | has::GREATER | has::PAREN | has::AMPERSAND | has::STAR;
    if seen.words(words)
        || seen.bytes(has::STAR) && seen.bytes(has::SLASH) && cut_by_comment(look.text)
        || seen.words(SQL_WORD | SQL_FUNCTION) && seen.bytes(has::DIGIT | operators)
        || seen.bytes(has::PIPE | has::AMPERSAND) && seen.bytes(has::EQUALS)
    {
        read(look.text, 0, false, room, report);
    }
    if seen.bytes(has::QUOTE | has::TICK)
        && (seen.words(words | SQL_WORD) || seen.bytes(operators | has::MINUS | has::HASH | has::SEMICOLON | has::PLUS))
    {
        for quote in [b'\'', b'"'] {
            // The first ends the application's string, or the first that is not doubled and so part of it.
            let Some(first) = memchr::memchr(quote, look.text) else { continue };
            let run = from(look.text, first).iter().take_while(|byte| **byte == quote).count();
            let doubled = find_pair(look.text, [quote, quote]).map_or(first + 1, |at| at + 2);
            for at in [first + 1, first + run, doubled] {
                if leaves(look.text, at) {
                    read(look.text, at, true, room, report);
                    break;
                }
            }
        }
    }
}

/// Whether a comment of SQL stands between words: `un/**/ion`, `/*!union*/`. `image/*,*/*` has none.
fn cut_by_comment(text: &[u8]) -> bool {
    let Some(open) = find_pair(text, [b'/', b'*']) else { return false };
    let behind = from(text, open + 2);
    let ends = |end: usize| behind.get(end + 2).is_none_or(|byte| !matches!(byte, b'*' | b';' | b','));
    behind.first() == Some(&b'!') || find_pair(behind, [b'*', b'/']).is_some_and(ends)
}

/// Whether a statement could go on here, behind a string: not with a name or another string.
fn leaves(text: &[u8], mut at: usize) -> bool {
    while text.get(at).is_some_and(|byte| matches!(byte, 0..=b' ' | b')' | b'%' | 0xA0)) {
        at += 1;
    }
    match text.get(at) {
        Some(byte) if class(*byte) & has::LETTER != 0 => {
            let rest = text.get(at..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| class(**byte) & has::LETTER != 0).count();
            words::kinds(rest.get(..length).unwrap_or_default()) & (SQL_AND | SQL_WORD | SQL_VERB) != 0
        }
        Some(byte) => matches!(
            byte,
            b'=' | b'<' | b'>' | b'|' | b'&' | b'+' | b'-' | b'*' | b'/' | b'^' | b'#' | b';' | b',' | b'!'
        ),
        None => false,
    }
}

fn read(text: &[u8], mut at: usize, broken: bool, room: &mut Vec<Token>, report: &mut Report) {
    let (mut first, mut prose) = (true, false);
    while at < text.len() {
        room.clear();
        let stopped = tokens(text, at, room);
        let closed = room.iter().take_while(|token| token.kind == lexer::Kind::RightParen).count();
        let judge = judge::Judge { text, tokens: room, broken: broken && first, closed, begins: first };
        judge.all(&mut prose, &mut |score, span, why| report.add(Class::Sql, score, span, why));
        if stopped >= text.len() {
            return;
        }
        at = room
            .get(room.len().saturating_sub(TOKENS_SHARED))
            .map_or(stopped, |token| token.start as usize)
            .max(at + 1);
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::in_query;

    fn score(text: &str) -> u8 {
        let report = in_query(text, |text, report| look(text, &mut Vec::new(), report));
        report.score(Class::Sql)
    }

    #[test]
    fn shapes_of_attacks_score() {
        for text in [
            "' or '1'='1",
            "' or 1=1--",
            "\" or \"a\"=\"a",
            "') or ('a'='a",
            "1 or 1=1",
            "1 OR 2>1 -- ",
            "1 and 1=2",
            "admin'--",
            "admin' #",
            "admin'/*",
            "1 union select 1,2,3",
            "-1 UNION/**/ALL/**/SELECT NULL,NULL",
            "1'union(select(1),2)#",
            "/*!50000union*/ /*!select*/ 1,2",
            "1 un/**/ion sel/**/ect 1,2",
            "1; drop table users",
            "'; drop table users; --",
            "1;exec master..xp_cmdshell 'dir'",
            "'; waitfor delay '0:0:5'--",
            "1 and sleep(5)",
            "' and sleep(5) and '1",
            "1 and (select count(*) from users) > 0",
            "' and substr(version(),1,1)='5",
            "' || (select password from users limit 1) || '",
            "'+(select 1)+'",
            "1 order by 10--",
            "' order by 3#",
            "select * from users where id=1",
            "1 into outfile '/tmp/x'",
            "(select 1 from dual where 1=1)",
            "1' and extractvalue(1,concat(0x7e,version()))-- -",
            "x' OR name LIKE '%a%",
            "1/**/or/**/1=1",
            "' having 1=1 --",
            "1 or true--",
            "1 procedure analyse(1)",
        ] {
            assert!(score(text) >= 5, "{text}: {}", score(text));
        }
    }

    #[test]
    fn prose_and_data_do_not() {
        for text in [
            "the union was a great select",
            "union select committee",
            "please select one from the list below",
            "select all the rows from here",
            "D'or 1st parfume",
            "O'Reilly and Sons",
            "rock 'n' roll or jazz",
            "this or that",
            "drop table tennis for children",
            "create table decorations in 5 steps",
            "update your settings and set a password",
            "insert coin into slot",
            "delete from my list please",
            "order by phone or order by mail",
            "sleep well (at least 8 hours)",
            "a and b = c",
            "it's #1",
            "say \"hello\" -- or do not",
            "1 or 2 or 3",
            "5-10 and 10-20",
            "font-family:'Open Sans',Arial and more",
            "if (a && b || c == 1) { return }",
            "status=open and type=bug",
            "let x = 'a' + 'b';",
            "they're having 1 drink and he's having 2",
            "what's up -- nothing",
            "John's car; drop me a line",
            "Was ist's, das 'und' oder 'oder'?",
        ] {
            assert!(score(text) < 5, "{text}: {}", score(text));
        }
    }
}
