//! Who may sign in, and as what: accounts, sessions, tokens and links that work once, in one small file.
//!
//! Nothing that opens a door lies in it: of sessions, tokens and links there are only hashes, of passwords what argon2 made of them.
//! The shared secret of a second factor has to lie there, so the file is its owner's alone. Times are Unix milliseconds, and come from outside.

pub(crate) mod oidc;
mod pass;
pub(crate) mod passkeys;
mod secret;
mod totp;

use std::collections::HashMap;
use std::fs::{OpenOptions, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

pub use self::pass::Pass;
use self::passkeys::Challenges;
pub(crate) use self::secret::{Secret, digest, digest_of, short_id};
use crate::model::{Enrolment, FailedTry, OwnSession, Person, Role, Token};

/// The file in the console's directory.
const NAME: &str = "console.sqlite";
/// Held by whoever makes it ready.
const TURN: &str = "console.lock";
/// Its form. A file of another is not touched.
const FORM: i64 = 4;
/// How long another process may hold the file: `portcullis console link` beside a gate.
const PATIENCE: Duration = Duration::from_secs(5);
/// Accounts.
const PEOPLE: u64 = 200;
/// Tokens.
const TOKENS: u64 = 200;
/// Sessions of one person; the oldest ends when there is one more.
const SESSIONS: u64 = 10;
/// Characters of a password at least (NIST SP 800-63B has 8 with a second factor and 15 without), and bytes at most.
const PASSWORD: (usize, usize) = (12, 512);
/// Characters of a name.
const NAME_LENGTH: usize = 64;
/// A session nobody uses ends, and one that is used ends, too.
const IDLE: u64 = 12 * HOUR;
const WHOLE: u64 = 7 * 24 * HOUR;
/// Failed tries at one name that are kept; the oldest go.
const FAILURES: u64 = 20;
/// A link that works once.
const LINK: u64 = HOUR;
/// Of those that bear no name; the oldest end.
const LINKS: u64 = 4;
const HOUR: u64 = 3_600_000;
/// How exactly it is known when a session or token was last used: each use does not write to the disk.
const SEEN: u64 = 60_000;
/// Tries to sign in: at most so many at once, and one more in so many milliseconds. For an address, and for a name.
const TRIES: (f64, f64) = (10.0, 6_000.0);
/// Addresses and names whose tries are known; beyond it all others share one.
const TRIED: usize = 4_096;

/// Why somebody is not let in, or something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Name, password or code is wrong: which one is not said.
    Wrong,
    /// A passkey is not let in, in words: it keeps no secret.
    Shut(String),
    /// Nothing shows who somebody is, in words.
    Unproven(String),
    /// It is known who somebody is, and they do not come in here, in words.
    Stranger(String),
    /// The second factor is missing.
    CodeWanted,
    /// Too often; seconds until another try.
    TooOften(u64),
    /// In words.
    Because(String),
    /// There is nothing by that name.
    Unknown(String),
    /// The file cannot be read or written.
    Broken(String),
}

impl From<rusqlite::Error> for Denied {
    fn from(error: rusqlite::Error) -> Self {
        Self::Broken(format!("the console's accounts cannot be read or written: {error}"))
    }
}

fn because<T>(why: &str) -> Result<T, Denied> {
    Err(Denied::Because(why.to_owned()))
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// By which acts are signed: the person's name; a token's acts bear both names.
    pub(crate) name: String,
    /// Who it is, also where a token asks.
    pub(crate) person: String,
    pub(crate) role: Role,
    /// Of a session; a token has none, and no cookie that a browser would send along.
    pub(crate) csrf: Option<String>,
    /// Of a token: the parts of the API that it opens.
    pub(crate) scopes: Vec<String>,
}

/// How somebody signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Password,
    Passkey,
    /// A link that works once.
    Link,
    /// The organisation's provider.
    Oidc,
}

impl Way {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Link => "link",
            Self::Oidc => "oidc",
        }
    }
}

/// A session that began.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    /// What the browser keeps.
    pub(crate) cookie: String,
    pub(crate) name: String,
}

/// The accounts.
#[derive(Debug)]
pub(crate) struct People {
    database: Mutex<Connection>,
    tries: Mutex<HashMap<String, (f64, u64)>>,
    /// What devices were asked to sign.
    asked: Challenges,
    /// What is verified for a name that nobody has, so that it takes as long.
    nobody: String,
}

impl People {
    /// Opens the file, or begins it.
    ///
    /// # Errors
    /// In words: it is of another form, or the disk refuses.
    pub(crate) fn open(directory: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let path = directory.join(NAME);
        let refused = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let file = file.map_err(|error| refused(&error))?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| refused(&error))?;
        drop(file);
        // SQLite does not wait where a file is turned to its write-ahead log; whoever comes second waits here.
        let turn = OpenOptions::new().create(true).append(true).mode(0o600).open(directory.join(TURN));
        let turn = turn.and_then(|turn| turn.lock().map(|()| turn)).map_err(|error| refused(&error))?;
        let mut database = Connection::open(&path).map_err(|error| refused(&error))?;
        match prepared(&mut database).map_err(|error| refused(&error))? {
            FORM => {}
            other => return Err(refused(&format!("it is of form {other}, and this program knows {FORM}"))),
        }
        drop(turn);
        let nobody = hashed(&Secret::fresh().text()).map_err(|_| "no password can be hashed".to_owned())?;
        Ok(Self { database: Mutex::new(database), tries: Mutex::default(), asked: Challenges::default(), nobody })
    }

    /// Whether nobody has an account yet.
    pub(crate) fn is_empty(&self) -> Result<bool, Denied> {
        Ok(self.lock().query_row(
            "SELECT NOT EXISTS (SELECT 1 FROM person WHERE password IS NOT NULL OR issuer IS NOT NULL)",
            [],
            |row| row.get(0),
        )?)
    }

    /// A link that works once within the hour: for an account that there is, or for a new one. For a name there is one; of those for
    /// whoever opens them first there may be a few, since a gate prints one when it starts.
    pub(crate) fn link(&self, name: Option<&str>, role: Role, now: u64) -> Result<(String, u64), Denied> {
        let (secret, until) = (Secret::fresh(), now + LINK);
        let database = self.lock();
        database.execute(
            "DELETE FROM link WHERE until <= ?1 OR name = ?2 OR name IS NULL AND ?2 IS NULL AND hash NOT IN
             (SELECT hash FROM link WHERE name IS NULL ORDER BY until DESC LIMIT ?3)",
            params![millis(now), name, millis(LINKS - 1)],
        )?;
        database.execute(
            "INSERT INTO link (hash, name, role, until) VALUES (?1, ?2, ?3, ?4)",
            params![secret.hash(), name, role.name(), millis(until)],
        )?;
        Ok((secret.text(), until))
    }

    /// Makes an account, or gives it a new password, by a link; then somebody is signed in.
    pub(crate) fn welcome(&self, link: &str, name: Option<&str>, password: &str, now: u64) -> Result<Begun, Denied> {
        // Hashing is slow: a link that is none must not buy it.
        let known = self.linked(link, now)?;
        let (Some(name), role) = (known.0.or(name.map(str::to_owned)), known.1) else {
            return because("say by which name your acts are to be signed");
        };
        proper_name(&name)?;
        proper_password(password, &name)?;
        let password = hashed(password)?;
        {
            let mut database = self.lock();
            let database = database.transaction()?;
            if database.execute("DELETE FROM link WHERE hash = ?1", params![digest(link)])? == 0 {
                return because("this link has been used, or is too old: ask for another");
            }
            // Another that waits in a log must not make somebody else an owner.
            database.execute("DELETE FROM link WHERE name IS NULL", [])?;
            let many: u64 =
                database.query_row("SELECT count(*) FROM person", [], |row| row.get::<_, i64>(0)).map(count)?;
            if many >= PEOPLE {
                return because("there are as many accounts as there can be");
            }
            database.execute(
                "INSERT INTO person (name, role, password, made) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO UPDATE SET password = excluded.password, role = excluded.role, totp = NULL, step = 0,
                    issuer = NULL, subject = NULL",
                params![name, role.name(), password, millis(now)],
            )?;
            // Whoever has lost a password may have lost more: the link is a new beginning.
            database.execute("DELETE FROM session WHERE name = ?1", params![name])?;
            database.execute("DELETE FROM passkey WHERE name = ?1", params![name])?;
            database.commit()?;
        }
        self.begin(&name, now)
    }

    fn linked(&self, link: &str, now: u64) -> Result<(Option<String>, Role), Denied> {
        let found = self.lock().query_row(
            "SELECT name, role FROM link WHERE hash = ?1 AND until > ?2",
            params![digest(link), millis(now)],
            |row| Ok((row.get(0)?, role(&row.get::<_, String>(1)?))),
        );
        match found.optional()? {
            Some(found) => Ok(found),
            None => because("this link has been used, or is too old: ask for another"),
        }
    }

    /// Signs somebody in. What is wrong is not said, and takes as long as what is right.
    pub(crate) fn sign_in(
        &self,
        name: &str,
        password: &str,
        code: Option<&str>,
        from: Option<IpAddr>,
        now: u64,
    ) -> Result<Begun, Denied> {
        let name: String = name.chars().take(NAME_LENGTH).collect();
        self.try_once(from, &name, now)?;
        type Found = (Option<String>, Option<Vec<u8>>, i64);
        let found: Option<Found> = self
            .lock()
            .query_row("SELECT password, totp, step FROM person WHERE name = ?1", params![name], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let (hash, totp, step) = found.unwrap_or_default();
        let right = password.len() <= PASSWORD.1 && verified(password, hash.as_deref().unwrap_or(&self.nobody));
        if !right || hash.is_none() {
            return Err(Denied::Wrong);
        }
        if let Some(secret) = totp {
            let Some(code) = code else { return Err(Denied::CodeWanted) };
            let Some(used) = totp::accepts(&secret, code, now, count(step)) else { return Err(Denied::Wrong) };
            // Whoever looks over a shoulder must not use it again.
            let first = self
                .lock()
                .execute("UPDATE person SET step = ?2 WHERE name = ?1 AND step < ?2", params![name, millis(used)])?;
            if first == 0 {
                return Err(Denied::Wrong);
            }
        }
        self.begin(&name, now)
    }

    fn begin(&self, name: &str, now: u64) -> Result<Begun, Denied> {
        let (cookie, csrf) = (Secret::fresh(), Secret::fresh().text());
        let database = self.lock();
        database.execute(
            "DELETE FROM session WHERE seen <= ?1 OR made <= ?2",
            params![millis(now.saturating_sub(IDLE)), millis(now.saturating_sub(WHOLE))],
        )?;
        database.execute(
            "DELETE FROM session WHERE name = ?1 AND hash NOT IN
             (SELECT hash FROM session WHERE name = ?1 ORDER BY made DESC LIMIT ?2)",
            params![name, millis(SESSIONS - 1)],
        )?;
        database.execute(
            "INSERT INTO session (hash, name, csrf, made, seen) VALUES (?1, ?2, ?3, ?4, ?4)",
            params![cookie.hash(), name, csrf, millis(now)],
        )?;
        database.execute("UPDATE person SET seen = ?2 WHERE name = ?1", params![name, millis(now)])?;
        Ok(Begun { cookie: cookie.text(), name: name.to_owned() })
    }

    /// Whose session a cookie is.
    pub(crate) fn session(&self, cookie: &str, now: u64) -> Result<Option<Known>, Denied> {
        let hash = digest(cookie);
        let database = self.lock();
        let found = database
            .query_row(
                "SELECT person.name, role, csrf, session.seen FROM session JOIN person USING (name)
                 WHERE hash = ?1 AND session.seen > ?2 AND session.made > ?3",
                params![hash, millis(now.saturating_sub(IDLE)), millis(now.saturating_sub(WHOLE))],
                |row| {
                    let known = Known {
                        name: row.get(0)?,
                        person: row.get(0)?,
                        role: role(&row.get::<_, String>(1)?),
                        csrf: Some(row.get(2)?),
                        scopes: Vec::new(),
                    };
                    Ok((known, count(row.get(3)?)))
                },
            )
            .optional()?;
        let Some((known, seen)) = found else { return Ok(None) };
        if now.saturating_sub(seen) > SEEN {
            database.execute("UPDATE session SET seen = ?2 WHERE hash = ?1", params![hash, millis(now)])?;
        }
        Ok(Some(known))
    }

    /// Ends a session.
    pub(crate) fn end(&self, cookie: &str) -> Result<(), Denied> {
        self.lock().execute("DELETE FROM session WHERE hash = ?1", params![digest(cookie)])?;
        Ok(())
    }

    /// From where and how a session began.
    pub(crate) fn place(&self, cookie: &str, from: Option<IpAddr>, way: Way) -> Result<(), Denied> {
        let from = from.map(|from| from.to_string());
        self.lock().execute(
            "UPDATE session SET address = ?2, way = ?3 WHERE hash = ?1",
            params![digest(cookie), from, way.name()],
        )?;
        Ok(())
    }

    /// Somebody's sessions, the last begun first. `cookie` is of the one that asks.
    pub(crate) fn sessions(&self, name: &str, cookie: &str, now: u64) -> Result<Vec<OwnSession>, Denied> {
        let database = self.lock();
        let mut query = database.prepare(
            "SELECT substr(hex(hash), 1, 16), made, seen, address, way, hash = ?2 FROM session
             WHERE name = ?1 AND seen > ?3 AND made > ?4 ORDER BY made DESC, hash",
        )?;
        let (idle, whole) = (millis(now.saturating_sub(IDLE)), millis(now.saturating_sub(WHOLE)));
        let rows = query.query_map(params![name, digest(cookie), idle, whole], |row| {
            Ok(OwnSession {
                id: row.get(0)?,
                made: count(row.get(1)?),
                seen: count(row.get(2)?),
                from: row.get(3)?,
                way: row.get(4)?,
                here: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Ends one of somebody's sessions.
    pub(crate) fn end_one(&self, name: &str, id: &str) -> Result<(), Denied> {
        let gone = "DELETE FROM session WHERE name = ?1 AND substr(hex(hash), 1, 16) = ?2";
        let gone = self.lock().execute(gone, params![name, id])?;
        if gone == 0 { Err(Denied::Unknown("there is no such session".to_owned())) } else { Ok(()) }
    }

    /// Keeps that somebody failed to sign in under a name that there is.
    pub(crate) fn failed(&self, name: &str, from: Option<IpAddr>, way: Way, now: u64) -> Result<(), Denied> {
        let from = from.map(|from| from.to_string());
        let database = self.lock();
        database.execute(
            "INSERT INTO failure (name, at, address, way) SELECT name, ?2, ?3, ?4 FROM person WHERE name = ?1",
            params![name, millis(now), from, way.name()],
        )?;
        database.execute(
            "DELETE FROM failure WHERE name = ?1 AND rowid NOT IN
             (SELECT rowid FROM failure WHERE name = ?1 ORDER BY at DESC, rowid DESC LIMIT ?2)",
            params![name, millis(FAILURES)],
        )?;
        Ok(())
    }

    /// Failed tries at somebody's name, the last first.
    pub(crate) fn failures(&self, name: &str) -> Result<Vec<FailedTry>, Denied> {
        let database = self.lock();
        let mut query =
            database.prepare("SELECT at, address, way FROM failure WHERE name = ?1 ORDER BY at DESC, rowid DESC")?;
        let rows = query.query_map(params![name], |row| {
            Ok(FailedTry { at: count(row.get(0)?), from: row.get(1)?, way: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a token opens.
    pub(crate) fn bearer(&self, secret: &str, now: u64) -> Result<Option<Known>, Denied> {
        let hash = digest(secret);
        let database = self.lock();
        let found = database
            .query_row(
                "SELECT token.title, token.name, token.role, scopes, used, person.role FROM token JOIN person USING (name)
                 WHERE hash = ?1 AND until > ?2",
                params![hash, millis(now)],
                |row| {
                    let (title, name): (String, String) = (row.get(0)?, row.get(1)?);
                    // Who made it may do less by now.
                    let least = role(&row.get::<_, String>(2)?).min(role(&row.get::<_, String>(5)?));
                    let scopes = scopes(&row.get::<_, String>(3)?);
                    // A pass has an account of its own, whose name says what it is.
                    let signed = if pass::is_one(&name) { name.clone() } else { format!("{name} ({title})") };
                    let known = Known { name: signed, person: name, role: least, csrf: None, scopes };
                    Ok((known, row.get::<_, Option<i64>>(4)?.map_or(0, count)))
                },
            )
            .optional()?;
        let Some((known, used)) = found else { return Ok(None) };
        if now.saturating_sub(used) > SEEN {
            database.execute("UPDATE token SET used = ?2 WHERE hash = ?1", params![hash, millis(now)])?;
        }
        Ok(Some(known))
    }

    /// Makes a token in somebody's name, and its secret, which is not kept.
    pub(crate) fn make_token(&self, by: &str, token: &Token, now: u64) -> Result<(Token, String), Denied> {
        if token.name.trim().is_empty() || token.name.chars().count() > NAME_LENGTH {
            return because("say what the token is for, in at most 64 characters");
        }
        let (secret, id) = (Secret::fresh(), short_id());
        let made = Token { id, by: by.to_owned(), made: now, used: None, ..token.clone() };
        let database = self.lock();
        database.execute("DELETE FROM token WHERE until <= ?1", params![millis(now)])?;
        let many = database.query_row("SELECT count(*) FROM token", [], |row| row.get(0)).map(count)?;
        if many >= TOKENS {
            return because("there are as many tokens as there can be: revoke one");
        }
        database.execute(
            "INSERT INTO token (id, hash, title, name, role, scopes, made, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![made.id, secret.hash(), made.name, by, made.role.name(), made.scopes.join(" "), millis(now), millis(made.until)],
        )?;
        Ok((made, secret.text()))
    }

    /// All tokens.
    pub(crate) fn tokens(&self) -> Result<Vec<Token>, Denied> {
        let database = self.lock();
        let mut query =
            database.prepare("SELECT id, title, name, role, scopes, made, until, used FROM token ORDER BY made")?;
        let rows = query.query_map([], |row| {
            Ok(Token {
                id: row.get(0)?,
                name: row.get(1)?,
                by: row.get(2)?,
                role: role(&row.get::<_, String>(3)?),
                scopes: scopes(&row.get::<_, String>(4)?),
                made: count(row.get(5)?),
                until: count(row.get(6)?),
                used: row.get::<_, Option<i64>>(7)?.map(count),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Ends a token, which must be `by`'s where that is named.
    pub(crate) fn revoke(&self, id: &str, by: Option<&str>) -> Result<(), Denied> {
        let gone =
            self.lock().execute("DELETE FROM token WHERE id = ?1 AND name = coalesce(?2, name)", params![id, by])?;
        if gone == 0 { Err(Denied::Unknown(format!("there is no token {id}"))) } else { Ok(()) }
    }

    /// Everybody with an account, and those who are invited.
    pub(crate) fn all(&self) -> Result<Vec<Person>, Denied> {
        let database = self.lock();
        let mut query = database.prepare(PERSON)?;
        let rows = query.query_map([None::<String>], person)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One of them.
    pub(crate) fn one(&self, name: &str) -> Result<Option<Person>, Denied> {
        Ok(self.lock().query_row(PERSON, [Some(name)], person).optional()?)
    }

    /// An account that waits for its password, and the link for it.
    pub(crate) fn invite(&self, name: &str, role: Role, now: u64) -> Result<(String, u64), Denied> {
        proper_name(name)?;
        self.link(Some(name), role, now)
    }

    /// What somebody may do from now on.
    pub(crate) fn set_role(&self, name: &str, role: Role) -> Result<(), Denied> {
        self.own(name, "the role")?;
        self.without_losing_the_last_owner(
            |database| Ok(database.execute("UPDATE person SET role = ?2 WHERE name = ?1", params![name, role.name()])?),
            name,
        )
    }

    /// Ends an account with its sessions and tokens.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Denied> {
        self.without_losing_the_last_owner(
            |database| Ok(database.execute("DELETE FROM person WHERE name = ?1", params![name])?),
            name,
        )
    }

    fn without_losing_the_last_owner(
        &self,
        change: impl FnOnce(&Connection) -> Result<usize, Denied>,
        name: &str,
    ) -> Result<(), Denied> {
        let mut database = self.lock();
        let transaction = database.transaction()?;
        if change(&transaction)? == 0 {
            return Err(Denied::Unknown(format!("there is no account {name}")));
        }
        let owners: i64 =
            transaction.query_row("SELECT count(*) FROM person WHERE role = 'owner'", [], |row| row.get(0))?;
        if owners == 0 {
            return because("nobody would be left who may change people: make somebody else an owner first");
        }
        Ok(transaction.commit()?)
    }

    /// A second factor, in force once its first code was right.
    pub(crate) fn enrol(&self, name: &str, organisation: &str) -> Result<Enrolment, Denied> {
        self.own(name, "a second factor of its own")?;
        let secret = totp::fresh();
        self.lock().execute("UPDATE person SET offered = ?2 WHERE name = ?1", params![name, secret.as_slice()])?;
        Ok(totp::enrolment(&secret, name, organisation))
    }

    /// The first code: from now on one is wanted.
    pub(crate) fn confirm(&self, name: &str, code: &str, now: u64) -> Result<(), Denied> {
        self.try_once(None, name, now)?;
        let database = self.lock();
        let offered: Option<Vec<u8>> = database
            .query_row("SELECT offered FROM person WHERE name = ?1", params![name], |row| row.get(0))
            .optional()?
            .flatten();
        let Some(secret) = offered else { return because("ask for a new secret first") };
        let Some(used) = totp::accepts(&secret, code, now, 0) else {
            return because("this code is wrong: is the clock of the device right?");
        };
        database.execute(
            "UPDATE person SET totp = offered, offered = NULL, step = ?2 WHERE name = ?1",
            params![name, millis(used)],
        )?;
        Ok(())
    }

    /// No second factor any more.
    pub(crate) fn forgo(&self, name: &str) -> Result<(), Denied> {
        self.lock().execute("UPDATE person SET totp = NULL, offered = NULL WHERE name = ?1", params![name])?;
        Ok(())
    }

    /// Counts a try from an address and at a name.
    fn try_once(&self, from: Option<IpAddr>, name: &str, now: u64) -> Result<(), Denied> {
        self.count_tries([from.map(|from| format!("from {from}")), Some(format!("as {name}"))], now)
    }

    /// Counts a try from an address alone, of somebody who has given no name yet.
    fn try_from(&self, from: Option<IpAddr>, now: u64) -> Result<(), Denied> {
        self.count_tries([from.map(|from| format!("from {from}")), None], now)
    }

    fn count_tries(&self, keys: [Option<String>; 2], now: u64) -> Result<(), Denied> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let (burst, every) = TRIES;
        if tries.len() >= TRIED {
            tries.retain(|_, (left, at)| *left + now.saturating_sub(*at) as f64 / every < burst);
        }
        let crowded = tries.len() >= TRIED;
        for key in keys.into_iter().flatten() {
            let key = if crowded && !tries.contains_key(&key) { "others".to_owned() } else { key };
            let (left, at) = tries.entry(key).or_insert((burst, now));
            *left = (*left + now.saturating_sub(*at) as f64 / every).min(burst);
            *at = now;
            if *left < 1.0 {
                return Err(Denied::TooOften((((1.0 - *left) * every) / 1_000.0).ceil() as u64));
            }
            *left -= 1.0;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the tables, or of a file of an older form one of this. Of two processes that begin at once, one waits for the other.
fn prepared(database: &mut Connection) -> rusqlite::Result<i64> {
    database.busy_timeout(PATIENCE)?;
    database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;")?;
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let form: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if form >= FORM {
        return Ok(form);
    }
    for step in STEPS.iter().skip(usize::try_from(form).unwrap_or_default()) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", FORM)?;
    transaction.commit()?;
    Ok(FORM)
}

/// What makes of a file of one form one of the next, from an empty one on.
const STEPS: [&str; FORM as usize] = [FIRST, PASSKEYS, PLACES, FEDERATED];

const FIRST: &str = "
    CREATE TABLE person (
        name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT, totp BLOB, offered BLOB, step INTEGER NOT NULL DEFAULT 0,
        made INTEGER NOT NULL, seen INTEGER) STRICT, WITHOUT ROWID;
    CREATE TABLE session (
        hash BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES person ON DELETE CASCADE, csrf TEXT NOT NULL,
        made INTEGER NOT NULL, seen INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE token (
        id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, title TEXT NOT NULL, name TEXT NOT NULL REFERENCES person ON DELETE CASCADE,
        role TEXT NOT NULL, scopes TEXT NOT NULL, made INTEGER NOT NULL, until INTEGER NOT NULL, used INTEGER) STRICT, WITHOUT ROWID;
    CREATE TABLE link (hash BLOB PRIMARY KEY, name TEXT, role TEXT NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

const PASSKEYS: &str = "
    ALTER TABLE person ADD COLUMN handle BLOB;
    CREATE TABLE passkey (
        id BLOB PRIMARY KEY, name TEXT NOT NULL REFERENCES person ON DELETE CASCADE, title TEXT NOT NULL, key BLOB NOT NULL,
        count INTEGER NOT NULL, synced INTEGER NOT NULL, made INTEGER NOT NULL, used INTEGER) STRICT, WITHOUT ROWID;";

const PLACES: &str = "
    ALTER TABLE session ADD COLUMN address TEXT;
    ALTER TABLE session ADD COLUMN way TEXT NOT NULL DEFAULT 'password';
    CREATE TABLE failure (
        name TEXT NOT NULL REFERENCES person ON DELETE CASCADE, at INTEGER NOT NULL, address TEXT, way TEXT NOT NULL) STRICT;
    CREATE INDEX failures ON failure (name, at);";

/// Who the organisation's provider says that somebody is.
const FEDERATED: &str = "
    ALTER TABLE person ADD COLUMN issuer TEXT;
    ALTER TABLE person ADD COLUMN subject TEXT;
    CREATE UNIQUE INDEX federated ON person (issuer, subject);";

const PERSON: &str =
    "SELECT name, role, totp IS NOT NULL, seen, (SELECT count(*) FROM passkey WHERE passkey.name = person.name), issuer IS NOT NULL
     FROM person WHERE name = coalesce(?1, name) ORDER BY name";

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        name: row.get(0)?,
        role: role(&row.get::<_, String>(1)?),
        totp: row.get(2)?,
        passkeys: row.get(4).map(count)?,
        seen: row.get::<_, Option<i64>>(3)?.map(count),
        federated: row.get(5)?,
    })
}

/// What is not known may look, and no more.
fn role(word: &str) -> Role {
    match word {
        "owner" => Role::Owner,
        "operator" => Role::Operator,
        _ => Role::Viewer,
    }
}

fn scopes(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// SQLite has signed numbers; none of ours is that large.
fn millis(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_' | '@' | '\'')
}

fn proper_name(name: &str) -> Result<(), Denied> {
    if name.is_empty() || name.chars().count() > NAME_LENGTH || !name.chars().all(is_of_a_name) || name.trim() != name {
        return because("a name has 1 to 64 letters and digits, and may have . - _ @ ' and blanks within");
    }
    // Acts that nobody did bear these names.
    if ["gate", "operator", "brain", "root"].contains(&name.to_lowercase().as_str()) {
        return because("this name is the gate's own");
    }
    Ok(())
}

fn proper_password(password: &str, name: &str) -> Result<(), Denied> {
    let (least, most) = PASSWORD;
    if password.chars().count() < least || password.len() > most {
        return because(
            "a password has at least 12 characters; four words that do not belong together are easy to keep",
        );
    }
    let different = password.chars().collect::<std::collections::BTreeSet<_>>().len();
    if different < 5 || password.to_lowercase().contains(&name.to_lowercase()) {
        return because("this password is easy to guess");
    }
    Ok(())
}

fn hashed(password: &str) -> Result<String, Denied> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| Denied::Broken(format!("the password cannot be hashed: {error}")))
}

fn verified(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests;
