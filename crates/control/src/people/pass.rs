//! A token of an hour for whoever may write where the accounts are kept, and needs none.
//!
//! It belongs to an account of its own, `ane (top)`: a name that nobody can choose, without a password, gone with its last pass. So it
//! neither borrows what somebody with an account may do nor adds anybody who could sign in, and each act bears the user's name.

use std::path::Path;

use rusqlite::params;

use super::{HOUR, NAME_LENGTH, People, millis};
use crate::model::{Role, Token};
use crate::{api, server};

/// Characters of what it is for, with its brackets.
const WHAT: usize = 16;
/// What it opens, and no more.
const SCOPES: [&str; 2] = ["now", "measures"];

/// A token that is revoked when this is dropped, and ends within the hour all the same.
#[derive(Debug)]
pub struct Pass {
    people: People,
    name: String,
    id: String,
    secret: String,
}

impl Pass {
    /// Makes one in a user's name for what a verb does, beside a console that may be running. It may what an operator may, on the first
    /// view alone.
    ///
    /// # Errors
    /// In words: the accounts cannot be read or written.
    pub fn make(directory: &Path, user: &str, what: &str, now: u64) -> Result<Self, String> {
        let people = People::open(directory)?;
        let (name, id, secret) = people.pass(user, what, now).map_err(api::words)?;
        Ok(Self { people, name, id, secret })
    }

    /// To be sent as `Authorization: Bearer`.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // Where it cannot be revoked any more, it ends by itself.
        drop(self.people.revoke(&self.id, Some(&self.name)));
        drop(self.people.forget_passes(server::now()));
    }
}

/// Whether an account is that of a pass: no other name has brackets.
pub(super) fn is_one(name: &str) -> bool {
    name.ends_with(')')
}

impl People {
    fn pass(&self, user: &str, what: &str, now: u64) -> Result<(String, String, String), super::Denied> {
        self.forget_passes(now)?;
        let fits = |c: &char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
        let user: String = user.chars().filter(fits).take(NAME_LENGTH - WHAT).collect();
        let name = format!("{user} ({what})");
        self.lock().execute(
            "INSERT OR IGNORE INTO person (name, role, made) VALUES (?1, ?2, ?3)",
            params![name, Role::Operator.name(), millis(now)],
        )?;
        let scopes = SCOPES.map(str::to_owned).to_vec();
        let wanted =
            Token { name: what.to_owned(), role: Role::Operator, scopes, until: now + HOUR, ..Token::default() };
        let (token, secret) = self.make_token(&name, &wanted, now)?;
        Ok((name, token.id, secret))
    }

    /// Takes away what passes leave behind: accounts whose last one has ended.
    fn forget_passes(&self, now: u64) -> Result<(), super::Denied> {
        self.lock().execute(
            "DELETE FROM person WHERE name LIKE '% (%)' AND password IS NULL
             AND NOT EXISTS (SELECT 1 FROM token WHERE token.name = person.name AND until > ?1)",
            params![millis(now)],
        )?;
        Ok(())
    }
}
