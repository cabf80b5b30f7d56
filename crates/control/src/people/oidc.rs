//! Accounts of people whom the organisation's provider vouches for.
//!
//! Such an account is found by issuer and subject alone, so nobody gets an account by having its name. It has no password, no second factor
//! and no passkey of its own: whoever is shut out at the provider is so here, too, when they next come.

use std::net::IpAddr;

use rusqlite::{OptionalExtension as _, params};

use super::{Begun, Denied, NAME_LENGTH, PEOPLE, People, because, count, is_of_a_name, millis, proper_name, role};
use crate::model::Role;
use crate::oidc::Somebody;

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub(crate) struct Entered {
    pub(crate) begun: Begun,
    /// What is new about the account, to be put on record.
    pub(crate) news: Option<String>,
}

impl People {
    /// Counts a try from an address.
    pub(crate) fn try_oidc(&self, from: Option<IpAddr>, now: u64) -> Result<(), Denied> {
        self.try_from(from, now)
    }

    /// Lets somebody in as what the provider says now. Whoever may do less than before is signed out everywhere else.
    pub(crate) fn enter_by_oidc(&self, who: &Somebody, wanted: Role, now: u64) -> Result<Entered, Denied> {
        let (name, news) = {
            let mut database = self.lock();
            let database = database.transaction()?;
            let found: Option<(String, String)> = database
                .query_row(
                    "SELECT name, role FROM person WHERE issuer = ?1 AND subject = ?2",
                    params![who.issuer, who.subject],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let entered = if let Some((name, before)) = found {
                let before = role(&before);
                database.execute("UPDATE person SET role = ?2 WHERE name = ?1", params![name, wanted.name()])?;
                if wanted < before {
                    database.execute("DELETE FROM session WHERE name = ?1", params![name])?;
                }
                let news = format!("{name} is {} now, and was {}: the provider says so", wanted.name(), before.name());
                (name, (wanted != before).then_some(news))
            } else {
                let name = fitting(&who.name)?;
                if is_taken(&database, &name, now)? {
                    let words = format!(
                        "somebody else has an account called {name} here: let an owner end it, or the provider name you otherwise"
                    );
                    return Err(Denied::Stranger(words));
                }
                let many = "SELECT count(*) FROM person";
                if database.query_row(many, [], |row| row.get(0)).map(count)? >= PEOPLE {
                    return because("there are as many accounts as there can be");
                }
                database.execute(
                    "INSERT INTO person (name, role, made, issuer, subject) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![name, wanted.name(), millis(now), who.issuer, who.subject],
                )?;
                let news = format!("{name} has an account as {}: the provider vouches", wanted.name());
                (name, Some(news))
            };
            database.commit()?;
            entered
        };
        Ok(Entered { begun: self.begin(&name, now)?, news })
    }

    /// Ends the sessions and tokens of somebody to whom the provider gives no role any more, and says whose they were.
    pub(crate) fn shut_out(&self, who: &Somebody) -> Result<Option<String>, Denied> {
        let database = self.lock();
        let name: Option<String> = database
            .query_row(
                "SELECT name FROM person WHERE issuer = ?1 AND subject = ?2",
                params![who.issuer, who.subject],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(name) = &name {
            database.execute("DELETE FROM session WHERE name = ?1", params![name])?;
            database.execute("DELETE FROM token WHERE name = ?1", params![name])?;
        }
        Ok(name)
    }

    /// Of an account that the provider vouches for, nothing like this is asked.
    pub(super) fn own(&self, name: &str, what: &str) -> Result<(), Denied> {
        let federated: Option<bool> = self
            .lock()
            .query_row("SELECT issuer IS NOT NULL FROM person WHERE name = ?1", params![name], |row| row.get(0))
            .optional()?;
        match federated {
            Some(true) => {
                Err(Denied::Because(format!("{name} comes in by the organisation's provider, which has {what}")))
            }
            _ => Ok(()),
        }
    }
}

/// A name under which somebody can act, made of what the provider calls them.
fn fitting(text: &str) -> Result<String, Denied> {
    let plain: String = text.chars().take(4 * NAME_LENGTH).filter(|c| is_of_a_name(*c)).take(NAME_LENGTH).collect();
    let name = plain.trim().to_owned();
    if name.is_empty() {
        return Err(Denied::Stranger(
            "the provider does not say by which name your acts are to be signed: see `name_claim`".to_owned(),
        ));
    }
    proper_name(&name)?;
    Ok(name)
}

/// By an account, or by somebody who is invited; also where it is written in other letters.
fn is_taken(database: &rusqlite::Connection, name: &str, now: u64) -> Result<bool, Denied> {
    let mut query = database
        .prepare("SELECT name FROM person UNION SELECT name FROM link WHERE name IS NOT NULL AND until > ?1")?;
    let names = query.query_map([millis(now)], |row| row.get::<_, String>(0))?;
    let lower = name.to_lowercase();
    for known in names {
        if known?.to_lowercase() == lower {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
