//! A record about a session of a database: `{"t":…,"node":…,"kind":"database",…}`.
//!
//! It never holds a value that was bound to a statement or came back from one; of a text that was refused it holds the front,
//! because without it nobody could tell an attack from a new release.

use std::fmt;
use std::net::IpAddr;

use portcullis_types::{Reason, Reference};

use super::record::{
    Line, NAME_BYTES, TEXT_BYTES, WORD_BYTES, push_ip, push_number, push_reference, push_shown, push_time,
};

/// Bytes of a statement's text that are kept.
const STATEMENT_BYTES: usize = 1024;

/// What happened, borrowed from whoever saw it. What is absent is not in the line.
#[derive(Clone, Copy, Default)]
pub(crate) struct DatabaseRecord<'a> {
    pub(crate) unix_millis: u64,
    /// `session`, `statement`, `refused`, `observed`, `cut`, `canary` or `finding`.
    pub(crate) event: &'static str,
    pub(crate) reference: Option<Reference>,
    pub(crate) database: &'a str,
    pub(crate) role: &'a str,
    /// The database inside the server.
    pub(crate) inside: &'a str,
    pub(crate) client: Option<IpAddr>,
    /// What the application calls itself.
    pub(crate) application: &'a str,
    /// The reference of the request that the statement is for, as the application says.
    pub(crate) request: Option<&'a str>,
    pub(crate) tls: Option<&'static str>,
    pub(crate) authentication: Option<&'a str>,
    pub(crate) reason: Option<Reason>,
    pub(crate) detail: Option<&'a dyn fmt::Display>,
    pub(crate) text: Option<&'a [u8]>,
    /// Names the statement's grammar and shape.
    pub(crate) key: Option<u64>,
    pub(crate) statements: Option<u64>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) rows_in: u64,
    pub(crate) bytes_in: u64,
    /// Whether the server failed it.
    pub(crate) failed: bool,
}

impl DatabaseRecord<'_> {
    /// Appends the line to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>, node: &str, lost: u64) {
        let out = &mut Line(out);
        out.raw("{\"t\":\"", |out| push_time(out, self.unix_millis));
        out.some("\",\"ref\":", self.reference, push_reference);
        out.text(",\"node\":", Some(node.as_bytes()), NAME_BYTES);
        out.word(",\"kind\":\"database\",\"event\":", Some(self.event));
        out.text(",\"database\":", Some(self.database.as_bytes()), NAME_BYTES);
        out.text(",\"role\":", Some(self.role.as_bytes()), NAME_BYTES);
        out.text(",\"inside\":", Some(self.inside.as_bytes()), NAME_BYTES);
        out.some(",\"client\":", self.client, push_ip);
        out.text(",\"application\":", Some(self.application.as_bytes()), NAME_BYTES);
        if self.request.is_some() {
            out.text(",\"request\":", self.request.map(str::as_bytes), TEXT_BYTES);
        }
        if self.tls.is_some() {
            out.word(",\"tls\":", self.tls);
        }
        if self.authentication.is_some() {
            out.text(",\"authentication\":", self.authentication.map(str::as_bytes), WORD_BYTES);
        }
        if self.reason.is_some() {
            out.word(",\"reason\":", self.reason.map(Reason::code));
        }
        if self.detail.is_some() {
            out.some(",\"detail\":", self.detail, push_shown);
        }
        if self.text.is_some() {
            out.text(",\"text\":", self.text, STATEMENT_BYTES);
        }
        if let Some(key) = self.key {
            out.text(",\"key\":", Some(format!("{key:016x}").as_bytes()), WORD_BYTES);
        }
        let numbers = [
            (",\"statements\":", self.statements.unwrap_or_default()),
            (",\"rows\":", self.rows),
            (",\"bytes\":", self.bytes),
            (",\"rows_in\":", self.rows_in),
            (",\"bytes_in\":", self.bytes_in),
            (",\"lost\":", lost),
        ];
        for (name, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
            out.raw(name, |out| push_number(out, number));
        }
        out.raw(if self.failed { ",\"failed\":true}\n" } else { "}\n" }, |_| ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::LINE_BYTES;

    #[test]
    fn a_line_is_json_and_bounded_whatever_it_holds() {
        let hostile = "\u{1}".repeat(100_000);
        let record = DatabaseRecord {
            event: "refused",
            reference: Some(Reference(7)),
            database: &hostile,
            role: &hostile,
            inside: &hostile,
            application: &hostile,
            request: Some(&hostile),
            authentication: Some(&hostile),
            reason: Some(Reason::StatementForbidden),
            detail: Some(&hostile),
            text: Some(hostile.as_bytes()),
            key: Some(9),
            rows: 3,
            failed: true,
            ..DatabaseRecord::default()
        };
        let mut line = Vec::new();
        record.write(&mut line, "node", 2);
        assert!(line.len() <= LINE_BYTES);
        let read: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!((&read["event"], &read["rows"], &read["lost"]), (&"refused".into(), &3.into(), &2.into()));
        assert_eq!(read["key"], "0000000000000009");
    }

    #[test]
    fn an_explanation_says_who_asked_for_what() {
        let record = DatabaseRecord {
            event: "refused",
            reference: Some(Reference(7)),
            database: "members",
            role: "app",
            inside: "live",
            reason: Some(Reason::StatementForbidden),
            text: Some(b"DO $$ \x1b[31m $$"),
            request: Some("028T5CY4TQKFF"),
            ..DatabaseRecord::default()
        };
        let mut line = Vec::new();
        record.write(&mut line, "node", 0);
        let steps = crate::journal::explain(std::str::from_utf8(&line).expect("UTF-8"));
        let words = crate::journal::printed(&steps);
        for part in [
            "0000000000007",
            "role app on database members",
            "statement-forbidden",
            "DO $$",
            "028T5CY4TQKFF",
            "live inside the server",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert!(!words.contains('\u{1b}'), "nothing that a terminal would obey");
    }
}
