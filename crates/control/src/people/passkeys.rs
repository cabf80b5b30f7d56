//! Passkeys: a key on somebody's device that signs what this console asks, and nothing that another page asks (W3C Web Authentication
//! Level 3, sections 7.1 and 7.2).
//!
//! The device has asked who its user is, each time: so a passkey stands for password and second factor together. What a device says
//! about its own making is not asked for.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_wire::webauthn::{self, Authenticator, Key};
use rusqlite::{OptionalExtension as _, params};
use serde_json::{Value, json};

use super::secret::{Secret, digest_of, random};
use super::{Begun, Denied, Known, NAME_LENGTH, People, because, count, millis};
use crate::model::{Passkey, PasskeyMade, PasskeyUsed};

/// Of one person.
const PASSKEYS: u64 = 20;
/// Challenges that wait for their answer; the oldest is forgotten when there is one more.
const ASKED: usize = 1_024;
/// How long one waits.
const WAIT: u64 = 300_000;
/// Kinds of keys, the first preferred: Ed25519, ES256, RS256 (IANA's COSE registry).
const KINDS: [i32; 3] = [-8, -7, -257];

/// For whom devices sign: the console by the name that browsers know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party {
    /// A host's name.
    pub(crate) id: String,
    /// Of its pages.
    origin: String,
}

impl Party {
    /// The console at a URL. There are no passkeys for an address in numbers, or where anybody could read along.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let url = url.to_ascii_lowercase();
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split('/').next()?;
        let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        let is_name = !host.is_empty() && !host.starts_with('[') && host.parse::<IpAddr>().is_err();
        let usual = match scheme {
            "https" => "443",
            "http" if host == "localhost" => "80",
            _ => return None,
        };
        let port = port.filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
        is_name.then(|| Self { id: host.to_owned(), origin: format!("{scheme}://{host}{port}") })
    }

    /// Whether a page that was asked for under this `Host` is one of its own.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        self.origin.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host))
    }
}

/// What was asked and is not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    waiting: Mutex<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    challenge: String,
    wish: Wish,
    until: u64,
}

/// What somebody wants with a passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    Enter,
    /// In the session with this word.
    Add(String),
}

impl Challenges {
    fn ask(&self, wish: Wish, now: u64) -> String {
        let challenge = Secret::fresh().text();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|it| it.until > now && (it.wish == Wish::Enter || it.wish != wish));
        if waiting.len() >= ASKED {
            waiting.pop_front();
        }
        waiting.push_back(Waiting { challenge: challenge.clone(), wish, until: now + WAIT });
        challenge
    }

    /// Whether this was asked, for this. Nothing is answered twice.
    fn answered(&self, challenge: &str, wish: &Wish, now: u64) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let found = waiting.iter().position(|it| it.challenge == challenge).and_then(|at| waiting.remove(at));
        found.is_some_and(|it| it.wish == *wish && it.until > now)
    }
}

/// Why somebody with a passkey was not let in, and whose it is, if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shut {
    pub(crate) who: Option<String>,
    pub(crate) why: Denied,
}

impl From<Denied> for Shut {
    fn from(why: Denied) -> Self {
        Self { who: None, why }
    }
}

impl From<rusqlite::Error> for Shut {
    fn from(error: rusqlite::Error) -> Self {
        Denied::from(error).into()
    }
}

impl People {
    /// What a browser is to ask a device for, so that it makes a key: `PublicKeyCredentialCreationOptionsJSON`.
    pub(crate) fn offer_passkey(
        &self,
        party: &Party,
        known: &Known,
        organisation: &str,
        now: u64,
    ) -> Result<Value, Denied> {
        self.own(&known.name, "passkeys of its own")?;
        let session = known.csrf.clone().unwrap_or_default();
        let handle = self.handle(&known.name)?;
        let own = self.passkeys(&known.name)?;
        if own.len() as u64 >= PASSKEYS {
            return because("there are as many passkeys as there can be: revoke one");
        }
        let own: Vec<Value> = own.iter().map(|it| json!({"type": "public-key", "id": it.id})).collect();
        let title =
            if organisation.is_empty() { "Portcullis".to_owned() } else { format!("Portcullis {organisation}") };
        Ok(json!({
            "rp": {"id": party.id, "name": title},
            "user": {"id": URL_SAFE_NO_PAD.encode(handle), "name": known.name, "displayName": known.name},
            "challenge": self.asked.ask(Wish::Add(session), now),
            "pubKeyCredParams": KINDS.map(|kind| json!({"type": "public-key", "alg": kind})),
            "timeout": WAIT,
            "excludeCredentials": own,
            "authenticatorSelection":
                {"residentKey": "required", "requireResidentKey": true, "userVerification": "required"},
            "attestation": "none",
        }))
    }

    /// Keeps a key that a device has made.
    pub(crate) fn add_passkey(
        &self,
        party: &Party,
        known: &Known,
        sent: &PasskeyMade,
        now: u64,
    ) -> Result<Passkey, Denied> {
        let said = bytes(&sent.response.client_data_json)?;
        let object = bytes(&sent.response.attestation_object)?;
        let wish = Wish::Add(known.csrf.clone().unwrap_or_default());
        self.came_from(party, &said, "webauthn.create", &wish, now).map_err(Denied::Because)?;
        let read = webauthn::attestation(&object).map_err(|why| Denied::Because(format!("the passkey: {why}")))?;
        checked(&read, party).map_err(Denied::Because)?;
        let Some(made) = read.made.filter(|made| sent.id == URL_SAFE_NO_PAD.encode(made.id)) else {
            return because("the device has made no passkey, or another");
        };
        verifier(made.key).ok_or_else(|| Denied::Because("the passkey's public key is none".to_owned()))?;
        let title = sent.name.as_deref().map(str::trim).filter(|title| !title.is_empty());
        let database = self.lock();
        let many = "SELECT count(*) FROM passkey WHERE name = ?1";
        let many = database.query_row(many, params![known.name], |row| row.get(0)).map(count)?;
        if many >= PASSKEYS {
            return because("there are as many passkeys as there can be: revoke one");
        }
        let title: String = title.map_or_else(|| format!("Passkey {}", many + 1), str::to_owned);
        let title = title.chars().filter(|c| !c.is_control()).take(NAME_LENGTH).collect::<String>();
        let kept = database.execute(
            "INSERT INTO passkey (id, name, title, key, count, synced, made) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO NOTHING",
            params![made.id, known.name, title, made.key, read.count, read.synced, millis(now)],
        )?;
        if kept == 0 {
            return because("this passkey is known already");
        }
        Ok(Passkey { id: sent.id.clone(), name: title, synced: read.synced, made: now, used: None })
    }

    /// Somebody's passkeys.
    pub(crate) fn passkeys(&self, name: &str) -> Result<Vec<Passkey>, Denied> {
        let database = self.lock();
        let mut query =
            database.prepare("SELECT id, title, synced, made, used FROM passkey WHERE name = ?1 ORDER BY made, id")?;
        let rows = query.query_map(params![name], |row| {
            Ok(Passkey {
                id: URL_SAFE_NO_PAD.encode(row.get::<_, Vec<u8>>(0)?),
                name: row.get(1)?,
                synced: row.get(2)?,
                made: count(row.get(3)?),
                used: row.get::<_, Option<i64>>(4)?.map(count),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Forgets one of somebody's passkeys.
    pub(crate) fn revoke_passkey(&self, name: &str, id: &str) -> Result<(), Denied> {
        let unknown = || Denied::Unknown("there is no such passkey".to_owned());
        let id = URL_SAFE_NO_PAD.decode(id).map_err(|_| unknown())?;
        let gone = self.lock().execute("DELETE FROM passkey WHERE id = ?1 AND name = ?2", params![id, name])?;
        if gone == 0 { Err(unknown()) } else { Ok(()) }
    }

    /// What a browser is to ask a device for, so that somebody is let in: `PublicKeyCredentialRequestOptionsJSON`. It names no key, so
    /// the device shows whose it has, and nobody learns here who has an account.
    pub(crate) fn ask_passkey(&self, party: &Party, from: Option<IpAddr>, now: u64) -> Result<Value, Denied> {
        self.try_from(from, now)?;
        Ok(json!({
            "challenge": self.asked.ask(Wish::Enter, now),
            "timeout": WAIT,
            "rpId": party.id,
            "allowCredentials": [],
            "userVerification": "required",
        }))
    }

    /// Lets in whose device has signed.
    pub(crate) fn enter_by_passkey(&self, party: &Party, sent: &PasskeyUsed, now: u64) -> Result<Begun, Shut> {
        let shut = |why: &str| Shut::from(Denied::Shut(why.to_owned()));
        let undecoded = |_| shut("something in it is no base64url");
        let said = bytes(&sent.response.client_data_json).map_err(undecoded)?;
        let data = bytes(&sent.response.authenticator_data).map_err(undecoded)?;
        let signature = bytes(&sent.response.signature).map_err(undecoded)?;
        let id = bytes(&sent.id).map_err(undecoded)?;
        self.came_from(party, &said, "webauthn.get", &Wish::Enter, now).map_err(|why| shut(&why))?;
        type Found = (String, Vec<u8>, u32, bool, Vec<u8>);
        let found: Option<Found> = self
            .lock()
            .query_row(
                "SELECT name, key, count, synced, handle FROM passkey JOIN person USING (name)
                 WHERE id = ?1 AND handle IS NOT NULL",
                params![id],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
            )
            .optional()?;
        let Some((name, key, counted, synced, handle)) = found else {
            return Err(shut("this passkey is not known here: it was revoked, or is of another console"));
        };
        let shut = |why: &str| Shut { who: Some(name.clone()), why: Denied::Shut(why.to_owned()) };
        let whose = sent.response.user_handle.as_deref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        if whose.as_ref() != Some(&handle) {
            return Err(shut("the device has it for somebody else"));
        }
        let read = webauthn::authenticator(&data).map_err(|why| shut(&why.to_string()))?;
        checked(&read, party).map_err(|why| shut(&why))?;
        if read.synced != synced {
            return Err(shut("it was made as a key of another kind"));
        }
        let signed = [&data[..], &digest_of(&said)].concat();
        let good = verifier(&key).is_some_and(|key| key.verify_sig(&signed, &signature).is_ok());
        if !good {
            return Err(shut("its signature is wrong"));
        }
        // A count that does not grow is one of two devices with the same key: a copy that nobody should have.
        if (read.count, counted) != (0, 0) && read.count <= counted {
            return Err(shut(
                "its count of signatures went back: there may be a copy of it. Sign in another way, and revoke it",
            ));
        }
        let first = self.lock().execute(
            "UPDATE passkey SET count = ?2, used = ?3 WHERE id = ?1 AND count = ?4",
            params![id, read.count, millis(now), counted],
        )?;
        if first == 0 {
            return Err(shut("it was used at the same time elsewhere"));
        }
        self.begin(&name, now).map_err(|why| Shut { who: Some(name), why })
    }

    /// Whether a browser's words are an answer to what was asked, on a page of ours.
    fn came_from(&self, party: &Party, said: &[u8], kind: &str, wish: &Wish, now: u64) -> Result<(), String> {
        let client = webauthn::client(said).map_err(|why| why.to_string())?;
        // First of all: whatever is wrong with an answer, there is no second one.
        if !self.asked.answered(&client.challenge, wish, now) {
            return Err(
                "this was not asked here, or is answered already, or it took longer than five minutes".to_owned()
            );
        }
        if client.kind != kind {
            return Err("it answers another question".to_owned());
        }
        if client.origin != party.origin || client.cross_origin {
            return Err(format!("it was asked by another page: passkeys here are for {}", party.origin));
        }
        Ok(())
    }

    /// By what devices know somebody: it says nothing of the name.
    fn handle(&self, name: &str) -> Result<Vec<u8>, Denied> {
        let database = self.lock();
        let fresh = random::<32>();
        database.execute(
            "UPDATE person SET handle = ?2 WHERE name = ?1 AND handle IS NULL",
            params![name, fresh.as_slice()],
        )?;
        Ok(database.query_row("SELECT handle FROM person WHERE name = ?1", params![name], |row| row.get(0))?)
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, Denied> {
    if text.len() > webauthn::BYTES * 4 / 3 + 4 {
        return because("it is longer than browsers send");
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Denied::Because("something in it is no base64url".to_owned()))
}

/// What holds of every answer of a device.
fn checked(read: &Authenticator<'_>, party: &Party) -> Result<(), String> {
    if read.party != digest_of(party.id.as_bytes()) {
        return Err("the passkey is for another site".to_owned());
    }
    if !read.present || !read.verified {
        return Err("the device did not ask who its user is: set up its finger print, face or number".to_owned());
    }
    Ok(())
}

/// What verifies signatures of a key as it is kept.
fn verifier(key: &[u8]) -> Option<ParsedPublicKey> {
    match webauthn::key(key).ok()? {
        Key::Es256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).ok(),
        Key::EdDsa(point) => ParsedPublicKey::new(&ED25519, point).ok(),
        Key::Rs256 { modulus, exponent } => {
            PublicKeyComponents { n: modulus, e: exponent }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
        }
    }
}

#[cfg(test)]
pub(crate) mod device;
#[cfg(test)]
mod tests;
