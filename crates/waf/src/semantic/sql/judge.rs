//! The shape of a run of tokens: what they would add to a statement.

use super::lexer::{Kind, Token};
use crate::semantic::words::{self, SQL_AND, SQL_DEED, SQL_FUNCTION, SQL_SYSTEM, SQL_VERB, SQL_WORD};

/// How many names in a row are no SQL; nor is a number behind one less.
const PROSE_NAMES: usize = 3;
/// The highest score of a shape in prose.
const PROSE_SCORE_MAX: u8 = 4;

/// Most tokens of a comparison that are read backwards.
const COMPARED_TOKENS_MAX: usize = 12;

/// Most words before an operand that say something of it: `NOT`, `ALL`, `DISTINCT`. A condition with more hides something.
const MODIFIERS_MAX: usize = 8;

pub(super) struct Judge<'a> {
    pub(super) text: &'a [u8],
    pub(super) tokens: &'a [Token],
    /// The first token stands behind a quote that ended the application's string.
    pub(super) broken: bool,
    /// How many brackets are closed before anything else.
    pub(super) closed: usize,
    /// The first token is the first of the text, or of what stands behind the quote.
    pub(super) begins: bool,
}

/// What may stand on either side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operand {
    Literal,
    /// A string that the application's quote will close.
    Open,
    Name,
    /// A function of SQL that is called.
    Call,
    /// A function that waits or reaches out.
    Deed,
    /// A query, `CASE` or `EXISTS`.
    Query,
}

type Found<'a> = dyn FnMut(u8, (usize, usize), &'static str) + 'a;

impl Judge<'_> {
    /// Tells each shape that is found. `prose` says whether what was read so far is no SQL, and is kept up.
    ///
    /// What a value adds to a statement must be SQL from its first byte on, or nothing of it runs. In no dialect do three
    /// names stand in a row; from there on shapes are what somebody writes about SQL, and no longer sure.
    pub(super) fn all(&self, prose: &mut bool, found: &mut Found<'_>) {
        if self.broken {
            self.behind_quote(found);
        }
        let (mut names, mut versioned) = (0, false);
        for (at, token) in self.tokens.iter().enumerate() {
            // What a versioned comment has in it is a comment to most.
            versioned |= token.kind == Kind::Versioned;
            let number = token.kind == Kind::Number && names >= PROSE_NAMES - 1;
            names = if self.names(at) || number { names + 1 } else { 0 };
            *prose |= names >= PROSE_NAMES && !versioned;
            let scored = match token.kind {
                Kind::Logic => self.connective(at),
                Kind::Versioned => self.versioned(at),
                Kind::Word => self.word(at, token.words),
                Kind::Variable => self.assignment(at),
                _ => None,
            };
            if let Some((score, end, why)) = scored {
                found(if *prose { score.min(PROSE_SCORE_MAX) } else { score }, self.span(at, end), why);
            }
        }
    }

    fn word(&self, at: usize, kinds: u32) -> Option<(u8, usize, &'static str)> {
        let mut best: Option<(u8, usize, &'static str)> = None;
        let mut take = |scored: Option<(u8, usize, &'static str)>| {
            if scored.is_some_and(|(score, ..)| best.is_none_or(|(known, ..)| known < score)) {
                best = scored;
            }
        };
        if kinds & SQL_AND != 0 {
            take(self.connective(at));
        }
        if kinds & SQL_VERB != 0 {
            take(if self.is(at, b"union") || self.is(at, b"intersect") {
                self.union(at)
            } else if self.is(at, b"select") {
                self.select(at)
            } else {
                self.statement(at)
            });
        }
        if kinds & SQL_DEED != 0 {
            take(self.deed(at));
        }
        if kinds & SQL_WORD != 0 {
            take(self.clause(at));
        }
        if kinds == 0 || kinds & (SQL_WORD | SQL_VERB | SQL_AND) == 0 {
            take(self.split_keyword(at));
        }
        best
    }

    /// What comes at once behind the quote that left a string.
    fn behind_quote(&self, found: &mut Found<'_>) {
        let mut at = 0;
        while self.kind(at) == Some(Kind::RightParen) {
            at += 1;
        }
        let Some(token) = self.tokens.get(at) else { return };
        let before = self.text.get(..token.start as usize).unwrap_or_default();
        match token.kind {
            Kind::Comment => {
                let comment = self.text.get(token.start as usize..).unwrap_or_default();
                // A comment ends the statement. What stands before it is a name, not a sentence.
                let words = before.trim_ascii().split(|byte| *byte == b' ').filter(|word| !word.is_empty()).count();
                let short = before.len() <= 40 && words < 4 && !before.contains(&b'\n');
                let tail = comment.len() <= 12;
                let score = match (short, tail) {
                    (true, true) => 5,
                    (true, false) if comment.starts_with(b"--") => 3,
                    _ => 0,
                };
                found(
                    score,
                    self.span(at, at),
                    "a quote leaves the string and a comment drops the rest of the statement",
                );
            }
            Kind::Compare | Kind::Arithmetic | Kind::Logic => {
                let Some((operand, next)) = self.operand(at + 1) else { return };
                let score = match operand {
                    Operand::Deed | Operand::Query => 6,
                    Operand::Call => 5,
                    // A function of the database's own, and back into the string: `'||f('x')||'`.
                    Operand::Name
                        if self.kind(next.wrapping_sub(1)) == Some(Kind::RightParen)
                            && self.kind(next) == Some(token.kind)
                            && self.kind(next + 1) == Some(Kind::Open) =>
                    {
                        5
                    }
                    // Back into the string: `'='`, `'||'`.
                    Operand::Open if self.kind(next).is_none() && before.len() <= 24 => match token.kind {
                        Kind::Compare => 4,
                        _ => 2,
                    },
                    Operand::Literal if self.ends(next) && self.kind(next) == Some(Kind::Comment) => 5,
                    Operand::Literal if matches!(self.kind(next), Some(Kind::Compare | Kind::Logic)) => 4,
                    _ => 0,
                };
                found(score, self.span(at, next), "a quote leaves the string and the expression goes on");
            }
            _ => {}
        }
    }

    /// `OR`, `AND`, `||`, `WHERE`, … with a condition behind it.
    fn connective(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let before = at.checked_sub(1).and_then(|before| self.tokens.get(before));
        let first = at == 0 && self.begins;
        let closes = self.broken && at <= self.closed;
        let behind_value = match before.map(|token| token.kind) {
            None => first,
            Some(Kind::Number | Kind::Text | Kind::RightParen | Kind::Variable) => true,
            _ => false,
        };
        let behind_name = before.is_some_and(|token| {
            token.kind == Kind::Word && (token.words & (SQL_AND | SQL_VERB) == 0 || self.is(at - 1, b"null"))
        });
        if !(closes || behind_value || behind_name) {
            return None;
        }
        let logic = self.kind(at) == Some(Kind::Logic);
        let commented = self.tokens.get(at)?.commented || self.tokens.get(at + 1)?.commented;
        let (left, next) = self.operand(at + 1)?;
        let strong = closes || behind_value;
        let bonus = u8::from(commented);
        match left {
            Operand::Deed => return Some((6, next, "a condition that calls a function that waits or reaches out")),
            Operand::Query if strong || commented => return Some((6, next, "a condition with a query in it")),
            Operand::Query => return Some((3, next, "a condition with a query in it")),
            _ => {}
        }
        if let Some(behind) = self.comparison(next) {
            let worded = self.kind(next) == Some(Kind::Word);
            let (right, end) = self.operand(behind)?;
            let alone = self.ends(end);
            let comment = self.kind(end) == Some(Kind::Comment);
            let why = "a condition that is always true, always false, or asks for what was not asked";
            let score = match (left, right) {
                (_, Operand::Query | Operand::Deed) => 6,
                (Operand::Call, _) | (_, Operand::Call) if strong => 5,
                (Operand::Call, _) | (_, Operand::Call) => 3 + bonus,
                // `1 < 2 and 2 > 1`: a comparison that goes on asks for less and not for more.
                (Operand::Literal, Operand::Literal) if !comment && self.compared(at) => 3,
                // What follows must be SQL, too: `“and 1=1”, you said` is not.
                (Operand::Literal, Operand::Literal | Operand::Open) if alone => 5,
                (Operand::Literal, Operand::Literal | Operand::Open)
                    if strong
                        && matches!(
                            self.kind(end),
                            Some(Kind::Compare | Kind::Arithmetic | Kind::Other | Kind::LeftParen)
                        ) =>
                {
                    4
                }
                (Operand::Literal, Operand::Literal | Operand::Open) => 3,
                _ if closes && logic && right != Operand::Open => 3,
                _ if closes && alone => 5,
                _ if closes => 3,
                (Operand::Name, Operand::Name) if worded => return None,
                // `or x=x`
                (Operand::Name, Operand::Name) if self.same(at + 1, next, behind, end) && strong => 5,
                _ if first && alone && !worded => 5,
                _ if first || strong && !logic => 3 + bonus * 2,
                _ => 1 + bonus,
            };
            return Some((score, end, why));
        }
        let ends = self.ends(next);
        let comment = self.kind(next) == Some(Kind::Comment);
        let why = "a condition that is a value alone";
        let clause = self.word_at(next).is_some_and(|words| words & (SQL_WORD | SQL_VERB) != 0)
            && ["limit", "order", "group", "union", "into"].iter().any(|word| self.is(next, word.as_bytes()));
        match left {
            Operand::Call if strong => Some((5, next, "a condition that calls a function of the database")),
            // `' or 'x`: true for no database, where `' or '1` is for some.
            Operand::Open if closes && !self.true_text(next.saturating_sub(1)) => Some((3, next, why)),
            Operand::Literal | Operand::Open if closes && (ends || clause) => Some((5, next, why)),
            Operand::Literal if comment || clause => Some((if logic && behind_name { 3 } else { 5 }, next, why)),
            Operand::Name if closes && (comment || clause) => Some((5, next, why)),
            // `OR NOT x`: only where it is all there is.
            Operand::Literal if first && ends && !logic => Some((3, next, why)),
            _ => None,
        }
    }

    /// Whether a string begins with a number, which makes it true for some.
    fn true_text(&self, at: usize) -> bool {
        let inner = self.bytes(at).get(1..).unwrap_or_default();
        let first = inner.iter().find(|byte| !matches!(byte, 0..=b' ' | b'+' | b'-' | b'.'));
        first.is_some_and(u8::is_ascii_digit)
    }

    /// Whether two values are compared before a connective, so that what it joins is no condition of the application's:
    /// `1 < 2 and`, `either 2+2=4 or`. A value that a number stands in for begins with `or`, or with one value.
    fn compared(&self, at: usize) -> bool {
        if self.broken {
            return false;
        }
        let mut start = at;
        let mut compares = 0;
        while let Some(before) = start.checked_sub(1).filter(|before| at - before <= COMPARED_TOKENS_MAX) {
            match self.kind(before) {
                Some(Kind::Compare) => compares += 1,
                Some(Kind::Number | Kind::Text | Kind::Arithmetic) => {}
                _ => break,
            }
            start = before;
        }
        let told = start.checked_sub(1).is_some_and(|before| self.names(before));
        compares == 1 && at - start >= 3 && (self.is(at, b"and") || told)
    }

    /// Whether a word stands here that no grammar of SQL knows.
    fn names(&self, at: usize) -> bool {
        self.kind(at) == Some(Kind::Word)
            && self.word_at(at).is_some_and(|words| words & words::SQL == 0)
            && !self.is(at, b"for")
            && !self.is(at, b"interval")
    }

    /// `UNION SELECT`.
    fn union(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let why = "a second query is added to the first";
        let mut next = at + 1;
        let mut odd = self.tokens.get(at)?.commented;
        while let Some(token) = self.tokens.get(next) {
            let passes = matches!(token.kind, Kind::LeftParen | Kind::Versioned | Kind::Other)
                || self.is(next, b"all")
                || self.is(next, b"distinct")
                || self.is(next, b"distinctrow");
            if !passes {
                break;
            }
            odd |= token.kind != Kind::Word;
            next += 1;
        }
        odd |= next > at + 1;
        if !self.is(next, b"select") && !self.is(next, b"values") && !self.begins_glued(next, b"select") {
            return None;
        }
        odd |= self.tokens.get(next)?.commented;
        let behind = next + 1;
        let end = behind.min(self.tokens.len().saturating_sub(1));
        let token = self.tokens.get(behind);
        let value = at > 0 && !matches!(self.kind(at - 1), Some(Kind::Word)) || self.broken;
        Some(match token.map(|token| token.kind) {
            None | Some(Kind::Comment) if odd || value => (5, end, why),
            None => (3, end, why),
            Some(Kind::Word) => {
                let words = self.word_at(behind).unwrap_or(0);
                let after = self.kind(behind + 1);
                let ascii = self.bytes(behind).is_ascii();
                let listed = matches!(
                    after,
                    None | Some(
                        Kind::Logic
                            | Kind::Comma
                            | Kind::LeftParen
                            | Kind::Dot
                            | Kind::Comment
                            | Kind::RightParen
                            | Kind::Semicolon
                    )
                ) || self.is(behind + 1, b"from");
                let score = match () {
                    () if words & (SQL_SYSTEM | SQL_DEED) != 0 || self.is(behind, b"null") => 6,
                    () if !ascii => 3,
                    () if after == Some(Kind::LeftParen) || after == Some(Kind::Comma) => 6,
                    () if odd || listed && value => 6,
                    () if self.is(behind + 1, b"from") => 5,
                    () => 3,
                };
                (score, end, why)
            }
            Some(Kind::Arithmetic) if self.bytes(behind) == b"%" => (3, end, why),
            Some(
                Kind::Other
                | Kind::Compare
                | Kind::Dot
                | Kind::Semicolon
                | Kind::RightParen
                | Kind::Comma
                | Kind::Logic,
            ) if !odd => (3, end, why),
            Some(_) => (6, end, why),
        })
    }

    /// `SELECT` with something that only a query selects.
    fn select(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let why = "a query";
        let inner = at > 0 && self.kind(at - 1) == Some(Kind::LeftParen);
        let first = at == 0 && self.begins
            || at > 0 && matches!(self.kind(at - 1), Some(Kind::Semicolon | Kind::Comment | Kind::Comma | Kind::Logic));
        let mut depth = 0_usize;
        let (mut shaped, mut star, mut deed, mut system, mut calls, mut literals, mut commas) =
            (true, false, false, false, 0_u8, 0_u8, 0_u8);
        let mut from = None;
        let mut next = at + 1;
        // Two names in a row are prose, unless one is a keyword.
        let mut names = 0;
        while let Some(token) = self.tokens.get(next) {
            match token.kind {
                // A query inside is judged by itself, so that no token is read for two of them.
                Kind::LeftParen if self.is(next + 1, b"select") => {
                    next = self.closing(next);
                    names = 0;
                    continue;
                }
                Kind::LeftParen => depth += 1,
                Kind::RightParen if depth == 0 => break,
                Kind::RightParen => depth -= 1,
                Kind::Semicolon | Kind::Comment => break,
                Kind::Comma => commas = commas.saturating_add(1),
                Kind::Number | Kind::Text | Kind::Open => literals = literals.saturating_add(1),
                Kind::Variable => system |= self.bytes(next).starts_with(b"@@"),
                Kind::Arithmetic => {
                    star |= next == at + 1 && self.bytes(next) == b"*" || self.bytes(next) == b"*" && depth == 1
                }
                _ => {}
            }
            if self.is(next, b"select") {
                break;
            }
            if token.kind == Kind::Word {
                system |= token.words & SQL_SYSTEM != 0;
                let called = self.kind(next + 1) == Some(Kind::LeftParen);
                deed |= token.words & SQL_DEED != 0 && (called || self.kind(next + 1) == Some(Kind::Dot));
                calls += u8::from(called && token.words & (SQL_FUNCTION | SQL_DEED) != 0 && calls < 9);
                if depth == 0 && self.is(next, b"from") {
                    from = Some(next);
                    break;
                }
                let keyword = token.words & (SQL_WORD | SQL_AND | SQL_VERB) != 0;
                names = if keyword { 0 } else { names + 1 };
                shaped &= names < 2 || self.kind(next - 1) != Some(Kind::Word);
            } else {
                names = 0;
            }
            next += 1;
        }
        let Some(from) = from else {
            let score = match () {
                () if deed => 6,
                () if system && shaped => 5,
                () if calls > 0 && (inner || first || self.broken) => 5,
                () if calls > 0 => 3,
                () if self.is(at + 1, b"case") && self.is(at + 2, b"when") => 5,
                () if literals > 1 && commas > 0 && shaped && (inner || first) => 4,
                () if literals > 0 && inner && self.kind(at + 2) == Some(Kind::RightParen) => 4,
                () => return None,
            };
            return Some((score, next, why));
        };
        let (tabled, table_system, end) = self.table(from + 1);
        system |= table_system;
        let listed = from > at + 1 && shaped;
        let odd = star || system || inner || calls > 0 || commas > 0 || deed;
        let tail = self.is(end, b"where")
            && self.operand(end + 1).is_some_and(|(_, next)| self.comparison(next).is_some())
            || self.is(end, b"limit") && self.kind(end + 1) == Some(Kind::Number);
        let closed = matches!(self.kind(end), Some(Kind::Semicolon | Kind::Comment));
        let score = match () {
            () if deed => 6,
            () if tabled && listed && system => 6,
            // A query of its own, from the first word on, is what somebody asks about; inside of something it is an attack.
            // A statement does not go on with one behind a name or a quote: this is said of a query.
            () if self.told(at) => 3,
            () if tabled && listed && (star || calls > 0 || inner || closed && commas > 0 || tail && !first) => 5,
            () if tabled && listed && (odd || closed || tail || self.broken) => 4,
            () if system && (inner || first) => 5,
            () if tabled && listed => 3,
            () if star && tabled => 4,
            () => return None,
        };
        Some((score, end, why))
    }

    /// Whether a query stands behind a name, a sign that no statement has, or the quote that left the string.
    fn told(&self, at: usize) -> bool {
        match at.checked_sub(1).and_then(|before| self.tokens.get(before)) {
            None => self.broken,
            Some(before) => match before.kind {
                Kind::Word => before.words & words::SQL == 0 && before.start + 1 < before.end,
                Kind::Other | Kind::Dot => true,
                _ => false,
            },
        }
    }

    /// A table, or a query as one: whether something is there that ends as such do, whether it is the database's own, and
    /// where it ends.
    fn table(&self, at: usize) -> (bool, bool, usize) {
        let mut next = at;
        while matches!(self.kind(next), Some(Kind::LeftParen | Kind::Versioned)) {
            next += 1;
        }
        if next > at && self.is(next, b"select") {
            return (true, false, next);
        }
        let mut system = false;
        let start = next;
        while let Some(token) = self.tokens.get(next) {
            match token.kind {
                Kind::Word if next == start || self.kind(next - 1) == Some(Kind::Dot) => {
                    system |= token.words & SQL_SYSTEM != 0
                }
                Kind::Dot => {}
                _ => break,
            }
            next += 1;
        }
        if next == start {
            return (false, false, next);
        }
        if self.is(next, b"as") {
            next += 1;
        }
        let plain = |judge: &Self, at| {
            judge.kind(at) == Some(Kind::Word)
                && judge.word_at(at).is_some_and(|words| words & (SQL_WORD | SQL_AND | SQL_VERB) == 0)
        };
        // An alias.
        if plain(self, next) && !plain(self, next + 1) {
            next += 1;
        }
        let ends = match self.kind(next) {
            None
            | Some(Kind::Semicolon | Kind::Comment | Kind::RightParen | Kind::Comma | Kind::LeftParen | Kind::Open) => {
                true
            }
            Some(Kind::Word) => [
                "where", "limit", "order", "group", "union", "join", "inner", "left", "having", "on", "for", "offset",
                "and", "or", "then",
            ]
            .iter()
            .any(|word| self.is(next, word.as_bytes())),
            Some(Kind::Logic | Kind::Compare) => true,
            _ => false,
        };
        (ends || system, system, next)
    }

    /// A statement that does something, at the beginning or behind a semicolon.
    fn statement(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let before = at.checked_sub(1).and_then(|before| self.tokens.get(before));
        let stacked = match before.map(|token| token.kind) {
            None => self.begins,
            Some(Kind::Semicolon | Kind::RightParen | Kind::Versioned) => true,
            Some(Kind::Word) => ["else", "then", "begin", "do"].iter().any(|word| self.is(at - 1, word.as_bytes())),
            Some(Kind::Number | Kind::Text) => true,
            _ => false,
        };
        let objects = [
            "table",
            "database",
            "schema",
            "view",
            "index",
            "function",
            "procedure",
            "trigger",
            "user",
            "column",
            "login",
            "role",
            "sequence",
            "type",
        ];
        let object = |at: usize| objects.iter().any(|object| self.is(at, object.as_bytes()));
        let named = |at: usize| matches!(self.kind(at), Some(Kind::Word | Kind::Text | Kind::Variable));
        let ended = |mut at: usize| {
            while self.kind(at) == Some(Kind::Dot) && named(at + 1) {
                at += 2;
            }
            matches!(self.kind(at), None | Some(Kind::Semicolon | Kind::Comment | Kind::LeftParen | Kind::Comma))
                || self.is(at, b"where")
                || self.is(at, b"cascade")
        };
        let next = at + 1;
        let exec = self.is(at, b"exec") || self.is(at, b"execute");
        let done = match () {
            () if self.is(at, b"insert") => {
                self.is(next, b"into")
                    && named(next + 1)
                    && (self.kind(next + 2) == Some(Kind::LeftParen)
                        || self.is(next + 2, b"values")
                        || self.is(next + 2, b"select"))
            }
            () if self.is(at, b"update") => {
                named(next)
                    && (1..4).any(|skip| self.is(next + skip, b"set") && self.comparison(next + skip + 2).is_some())
            }
            () if self.is(at, b"delete") => self.is(next, b"from") && named(next + 1) && ended(next + 2),
            () if self.is(at, b"drop") => {
                object(next)
                    && (named(next + 1) && ended(next + 2) || self.is(next + 1, b"if") && self.is(next + 2, b"exists"))
            }
            () if self.is(at, b"alter") => {
                object(next)
                    && named(next + 1)
                    && ["add", "drop", "modify", "rename", "set", "with", "identified"]
                        .iter()
                        .any(|word| self.is(next + 2, word.as_bytes()))
            }
            () if self.is(at, b"create") => {
                object(next)
                    && named(next + 1)
                    && (self.kind(next + 2) == Some(Kind::LeftParen)
                        || self.is(next + 2, b"as")
                        || self.is(next + 2, b"identified")
                        || self.is(next + 2, b"returns")
                        || self.is(next + 2, b"on"))
                    || self.is(next, b"or") && self.is(next + 1, b"replace")
            }
            () if self.is(at, b"truncate") => self.is(next, b"table") && named(next + 1) && ended(next + 2),
            () if exec => {
                let odd = self.word_at(next).is_some_and(|words| words & (SQL_DEED | SQL_SYSTEM) != 0)
                    || self.is(next, b"immediate")
                    || self.is(next, b"master") && self.kind(next + 1) == Some(Kind::Dot);
                let called = self.kind(next) == Some(Kind::LeftParen)
                    && matches!(self.kind(next + 1), Some(Kind::Variable | Kind::Text | Kind::Open | Kind::Number))
                    && before.is_some();
                odd || called || self.kind(next) == Some(Kind::Variable)
            }
            () if self.is(at, b"declare") => self.kind(next) == Some(Kind::Variable) && named(next + 1),
            () if self.is(at, b"waitfor") => {
                (self.is(next, b"delay") || self.is(next, b"time"))
                    && matches!(self.kind(next + 1), Some(Kind::Text | Kind::Open | Kind::Variable | Kind::Number))
            }
            () if self.is(at, b"shutdown") => before.is_some() && (ended(next) || self.is(next, b"with")),
            () if self.is(at, b"backup") || self.is(at, b"restore") => {
                (self.is(next, b"database") || self.is(next, b"log"))
                    && named(next + 1)
                    && (self.is(next + 2, b"to") || self.is(next + 2, b"from"))
            }
            () if self.is(at, b"grant") || self.is(at, b"revoke") => {
                (2..6).any(|skip| self.is(at + skip, b"to") || self.is(at + skip, b"from")) && self.is(at + 2, b"on")
            }
            () if self.is(at, b"load") => self.is(next, b"data") && (1..4).any(|skip| self.is(next + skip, b"infile")),
            () if self.is(at, b"handler") => named(next) && self.is(next + 1, b"open"),
            () if self.is(at, b"attach") => {
                self.is(next, b"database") && matches!(self.kind(next + 1), Some(Kind::Text | Kind::Open))
            }
            () if self.is(at, b"bulk") => self.is(next, b"insert") && named(next + 1) && self.is(next + 2, b"from"),
            () if self.is(at, b"prepare") => {
                named(next)
                    && self.is(next + 1, b"from")
                    && matches!(self.kind(next + 2), Some(Kind::Text | Kind::Variable | Kind::Open))
            }
            () => false,
        };
        let waits = self.is(at, b"waitfor") || exec || self.is(at, b"declare");
        done.then_some((
            if stacked || waits { 6 } else { 3 },
            (next + 2).min(self.tokens.len()),
            "a statement of its own",
        ))
    }

    /// A function whose only use is to wait, to reach out, or to show by errors.
    fn deed(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let why = "calls a function that waits or reaches out of the database";
        let bytes = self.bytes(at);
        let procedure = bytes.len() > 3
            && (bytes.get(..3)?.eq_ignore_ascii_case(b"xp_") || bytes.get(..3)?.eq_ignore_ascii_case(b"sp_"));
        if procedure {
            let odd = matches!(self.kind(at + 1), Some(Kind::Text | Kind::Open | Kind::Variable | Kind::LeftParen));
            return odd.then_some((6, at + 1, why));
        }
        let dotted = self.kind(at + 1) == Some(Kind::Dot)
            && self.kind(at + 2) == Some(Kind::Word)
            && self.kind(at + 3) == Some(Kind::LeftParen);
        if dotted {
            return Some((6, at + 3, why));
        }
        if self.kind(at + 1) != Some(Kind::LeftParen) || self.kind(at + 2) == Some(Kind::RightParen) {
            return None;
        }
        let (_, end) = self.term(at)?;
        let before = at.checked_sub(1).and_then(|before| self.kind(before));
        let fits = match before {
            None => self.begins,
            Some(
                Kind::Logic
                | Kind::Compare
                | Kind::Arithmetic
                | Kind::LeftParen
                | Kind::Comma
                | Kind::Number
                | Kind::Text,
            ) => true,
            Some(Kind::Word) => self.word_at(at - 1).is_some_and(|words| words & (SQL_AND | SQL_VERB | SQL_WORD) != 0),
            _ => false,
        };
        let argued = self.term(at + 2).is_some();
        let score = match (fits, self.is(at, b"sleep")) {
            (true, false) if argued => 6,
            (true, true) if argued && (at > 0 || self.ends(end) || self.comparison(end).is_some()) => 5,
            (_, false) if argued => 3,
            _ => return None,
        };
        Some((score, end, why))
    }

    /// `ORDER BY`, `GROUP BY`, `LIMIT`, `INTO OUTFILE`, … behind a value.
    fn clause(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let before = at.checked_sub(1).and_then(|before| self.kind(before));
        let closes = self.broken && at <= self.closed;
        let value = matches!(before, Some(Kind::Number | Kind::Text | Kind::RightParen));
        let first = at == 0 && self.begins;
        if self.is(at, b"into") {
            let file = self.is(at + 1, b"outfile") || self.is(at + 1, b"dumpfile");
            let named = matches!(self.kind(at + 2), Some(Kind::Text | Kind::Open | Kind::Number));
            let variable = self.kind(at + 1) == Some(Kind::Variable) && value;
            return (file && named || variable).then_some((6, at + 2, "writes what a query selects"));
        }
        if self.is(at, b"order") || self.is(at, b"group") {
            if !self.is(at + 1, b"by") {
                return None;
            }
            let (operand, mut end) = self.operand(at + 2)?;
            while self.kind(end) == Some(Kind::Comma) {
                end = self.operand(end + 1).map_or(end + 1, |(_, next)| next);
            }
            let comment = self.kind(end) == Some(Kind::Comment);
            let numbered = matches!(operand, Operand::Literal);
            let score = match () {
                () if matches!(operand, Operand::Deed | Operand::Query) => 6,
                () if closes && (comment || self.ends(end) || self.is(end, b"having")) => 5,
                () if numbered && (value || first) && self.ends(end) => 5,
                () if comment && (value || first) => 4,
                () => return None,
            };
            return Some((score, end, "sorts or groups to learn how many columns there are"));
        }
        if self.is(at, b"limit") && closes {
            let comment = self.kind(at + 2) == Some(Kind::Comment);
            return (self.kind(at + 1) == Some(Kind::Number)).then_some((
                if comment { 5 } else { 3 },
                at + 2,
                "a clause behind a string that was left",
            ));
        }
        if self.is(at, b"procedure") && value {
            return (self.kind(at + 1) == Some(Kind::Word) && self.kind(at + 2) == Some(Kind::LeftParen)).then_some((
                5,
                at + 2,
                "calls a procedure on the result",
            ));
        }
        // `1 RLIKE (SELECT …)`, `' LIKE '%`
        if self.comparison(at).is_some() && (closes || value || first) {
            let (operand, end) = self.operand(at + 1)?;
            let score = match operand {
                Operand::Deed | Operand::Query => 6,
                Operand::Call if closes || value => 4,
                Operand::Literal | Operand::Open if closes && self.ends(end) => 4,
                _ => return None,
            };
            return Some((score, end, "a comparison behind a value"));
        }
        // `CASE WHEN (1=1) THEN sleep(5) ELSE 0 END`
        if self.is(at, b"case") && self.is(at + 1, b"when") && (closes || value || before == Some(Kind::LeftParen)) {
            let then = (at + 2..at + 16).any(|next| self.is(next, b"then"));
            return then.then_some((4, at + 2, "a choice inside an expression"));
        }
        None
    }

    /// `/*!UNION*/`: read by one database, skipped by others and by filters.
    fn versioned(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let words = self.word_at(at + 1)?;
        let why = "code inside a comment";
        if words & (SQL_VERB | SQL_AND | SQL_WORD | SQL_FUNCTION | SQL_DEED) != 0 {
            return Some((5, at + 1, why));
        }
        None
    }

    /// `@x:=`: sets a variable inside a query.
    fn assignment(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let assigns = self.bytes(at).ends_with(b":=");
        let inner = at > 0 && matches!(self.kind(at - 1), Some(Kind::LeftParen | Kind::Comma));
        (assigns && inner).then_some((4, at + 1, "sets a variable inside a query"))
    }

    /// `un/**/ion`, `SELECTCHAR(88)`: a keyword that a comment cuts in two, or one glued to a function.
    fn split_keyword(&self, at: usize) -> Option<(u8, usize, &'static str)> {
        let (token, next) = (self.tokens.get(at)?, self.tokens.get(at + 1)?);
        if next.kind != Kind::Word || !next.commented || next.start != token.end + 4 {
            return None;
        }
        let (left, right) = (self.bytes(at), self.bytes(at + 1));
        let mut word = [0; 24];
        let both = word.get_mut(..left.len() + right.len())?;
        let (first, second) = both.split_at_mut(left.len());
        first.copy_from_slice(left);
        second.copy_from_slice(right);
        let known = words::kinds(both) & (SQL_VERB | SQL_AND | SQL_DEED | SQL_FUNCTION) != 0;
        known.then_some((5, at + 1, "a comment cuts a keyword in two"))
    }

    fn begins_glued(&self, at: usize, word: &[u8]) -> bool {
        let bytes = self.bytes(at);
        let function = bytes.get(word.len()..).is_some_and(|rest| words::kinds(rest) & (SQL_FUNCTION | SQL_DEED) != 0);
        function && bytes.get(..word.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(word))
    }

    /// What stands here as an operand, and the first token behind it.
    fn operand(&self, at: usize) -> Option<(Operand, usize)> {
        let (mut operand, mut next) = self.term(at)?;
        // `1+1`, `'a' 'b'`, `a*2`, `1-ascii(x)`
        while self.kind(next) == Some(Kind::Arithmetic) {
            let Some((more, end)) = self.term(next + 1).filter(|(more, _)| *more != Operand::Name) else { break };
            if matches!(more, Operand::Call | Operand::Deed | Operand::Query | Operand::Open) {
                operand = more;
            }
            next = end;
        }
        Some((operand, next))
    }

    /// An operand without what is added to it.
    fn term(&self, mut at: usize) -> Option<(Operand, usize)> {
        let mut opened = None;
        let mut modifiers = 0;
        loop {
            let token = self.tokens.get(at)?;
            let prefix = match token.kind {
                Kind::LeftParen => {
                    opened = opened.or(Some(at));
                    true
                }
                Kind::Arithmetic => self.bytes(at) != b"*" && self.bytes(at) != b"/",
                Kind::Versioned => true,
                Kind::Word => {
                    let modifies = ["not", "binary", "all", "any", "some", "distinct", "row"]
                        .iter()
                        .any(|word| self.is(at, word.as_bytes()))
                        && self.kind(at + 1).is_some()
                        && !self.is(at + 1, b"from");
                    modifiers += usize::from(modifies);
                    if modifiers > MODIFIERS_MAX {
                        return Some((Operand::Call, at));
                    }
                    modifies
                }
                _ => false,
            };
            if !prefix {
                break;
            }
            at += 1;
        }
        let token = self.tokens.get(at)?;
        let (operand, mut next) = match token.kind {
            Kind::Number | Kind::Text | Kind::Variable => (Operand::Literal, at + 1),
            Kind::Open => (Operand::Open, at + 1),
            Kind::Word => {
                let called = self.kind(at + 1) == Some(Kind::LeftParen);
                let query = self.is(at, b"select") && self.kind(at + 1).is_some()
                    || self.is(at, b"case") && self.is(at + 1, b"when")
                    || self.is(at, b"exists") && called;
                if query {
                    (Operand::Query, at + 1)
                } else if ["null", "true", "false"].iter().any(|word| self.is(at, word.as_bytes())) && !called {
                    (Operand::Literal, at + 1)
                } else if called {
                    let end = self.closing(at + 1);
                    match token.words {
                        words if words & SQL_DEED != 0 => (Operand::Deed, end),
                        words if words & SQL_FUNCTION != 0 => (Operand::Call, end),
                        _ => (Operand::Name, end),
                    }
                } else if token.words & (SQL_AND | SQL_VERB) != 0
                    || token.words & SQL_WORD != 0
                        && token.words & (SQL_FUNCTION | SQL_SYSTEM) == 0
                        && !self.names_anyway(at)
                {
                    return None;
                } else {
                    let mut end = at + 1;
                    let mut operand = if token.words & SQL_SYSTEM != 0 { Operand::Call } else { Operand::Name };
                    while self.kind(end) == Some(Kind::Dot) && self.kind(end + 1) == Some(Kind::Word) {
                        if self.kind(end + 2) == Some(Kind::LeftParen) && token.words & SQL_DEED != 0 {
                            operand = Operand::Deed;
                        }
                        end += 2;
                    }
                    if self.kind(end) == Some(Kind::LeftParen) {
                        end = self.closing(end);
                    }
                    (operand, end)
                }
            }
            _ => return None,
        };
        if let Some(open) = opened {
            // The rest of a bracket is not looked into: `(1)`, `(1,2,3)`, `('a'='a')` all end it.
            while matches!(self.kind(next), Some(Kind::RightParen)) {
                next += 1;
            }
            if self.kind(next) == Some(Kind::Comma) {
                next = self.closing(open);
            }
        }
        Some((operand, next))
    }

    /// Keywords that tables call columns all the same.
    fn names_anyway(&self, at: usize) -> bool {
        [
            "user", "password", "login", "index", "data", "database", "column", "table", "values", "row", "member",
            "master", "view", "set", "trigger", "cursor", "top",
        ]
        .iter()
        .any(|word| self.is(at, word.as_bytes()))
    }

    /// The token behind the bracket that closes the one at `at`.
    fn closing(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(self.tokens.len(), |token| token.closed_by as usize + 1).max(at + 1)
    }

    /// The token behind a comparison that stands here.
    fn comparison(&self, at: usize) -> Option<usize> {
        match self.kind(at)? {
            Kind::Compare => Some(at + 1),
            Kind::Word => {
                let words =
                    ["like", "rlike", "regexp", "glob", "ilike", "in", "is", "between", "sounds", "div", "mod", "not"];
                words.iter().any(|word| self.is(at, word.as_bytes())).then_some(at + 1)
            }
            _ => None,
        }
    }

    /// Whether nothing follows that belongs to an expression.
    fn ends(&self, mut at: usize) -> bool {
        while self.kind(at) == Some(Kind::RightParen) {
            at += 1;
        }
        match self.kind(at) {
            None | Some(Kind::Comment | Kind::Semicolon | Kind::Logic | Kind::Open) => true,
            Some(Kind::Word) => {
                self.word_at(at).is_some_and(|words| words & (SQL_AND | SQL_VERB) != 0)
                    || [
                        "limit",
                        "order",
                        "group",
                        "into",
                        "like",
                        "rlike",
                        "procedure",
                        "for",
                        "as",
                        "end",
                        "then",
                        "is",
                        "in",
                        "collate",
                    ]
                    .iter()
                    .any(|word| self.is(at, word.as_bytes()))
            }
            _ => false,
        }
    }

    fn same(&self, left: usize, left_end: usize, right: usize, right_end: usize) -> bool {
        left_end == left + 1 && right_end == right + 1 && self.bytes(left).eq_ignore_ascii_case(self.bytes(right))
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    fn word_at(&self, at: usize) -> Option<u32> {
        self.tokens.get(at).map(|token| token.words)
    }

    fn bytes(&self, at: usize) -> &[u8] {
        self.tokens
            .get(at)
            .and_then(|token| self.text.get(token.start as usize..token.end as usize))
            .unwrap_or_default()
    }

    fn is(&self, at: usize, word: &[u8]) -> bool {
        self.kind(at) == Some(Kind::Word) && self.bytes(at).eq_ignore_ascii_case(word)
    }

    fn span(&self, from: usize, to: usize) -> (usize, usize) {
        let last = self.tokens.len().saturating_sub(1);
        let start = self.tokens.get(from.min(last)).map_or(0, |token| token.start as usize);
        let end = self.tokens.get(to.min(last)).map_or(self.text.len(), |token| token.end as usize);
        (start, end)
    }
}
