//! A statement for people: constants as `?`, comments and layout gone.
//!
//! Made from PostgreSQL's own tokens, so that nothing of a constant stays; never by libpg_query's `normalize`.

use pg_query::protobuf::Token;
use portcullis_pgguard::description::FORM_BYTES;

/// The form of a text, where its tokens can be told.
pub(crate) fn form(text: &str) -> Box<str> {
    // Not `scan_tokens`: for a text without tokens it makes a slice of a null pointer.
    let Ok(scanned) = pg_query::scan(text) else { return "".into() };
    let mut form = String::with_capacity(text.len().min(FORM_BYTES));
    let mut end_before = 0_usize;
    for token in scanned.tokens {
        let bounds = usize::try_from(token.start).ok().zip(usize::try_from(token.end).ok());
        let Some((start, end)) = bounds else { break };
        let kind = Token::try_from(token.token).unwrap_or(Token::Nul);
        let shown = match kind {
            Token::SqlComment | Token::CComment => continue,
            Token::Iconst | Token::Fconst | Token::Sconst | Token::Bconst | Token::Xconst | Token::Usconst => "?",
            _ => text.get(start..end).unwrap_or_default(),
        };
        if start > end_before && !form.is_empty() {
            form.push(' ');
        }
        if form.len() + shown.len() > FORM_BYTES {
            form.push('…');
            break;
        }
        form.push_str(shown);
        end_before = end;
    }
    form.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_comments_are_gone() {
        let table = [
            (
                "SELECT  a /* x */ FROM t -- y\n WHERE b='it''s' AND c IN (1, 2.5)",
                "SELECT a FROM t WHERE b=? AND c IN (?, ?)",
            ),
            ("SELECT $$secret$$, E'\\'', U&'d\\0061t', $1 FROM \"Ünïcode\"", "SELECT ?, ?, ?, $1 FROM \"Ünïcode\""),
            ("DO $x$ BEGIN secret END $x$", "DO ?"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(&*form(text), expected, "{text}");
        }
        let long = format!("SELECT {}", "abc, ".repeat(10_000));
        assert!(form(&long).len() <= FORM_BYTES + 4 && form(&long).ends_with('…'));
    }
}
