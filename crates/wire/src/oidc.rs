//! What an OpenID provider says: its document, its keys, its answer for a code, and the token that says who somebody is.
//!
//! All of it comes over the network, and the token says who is let in. It is read strictly: bounded, each member of an object once,
//! base64url in the one form that there is. Three ways of signing are known, each by a public key; a token cannot name another, and a key
//! that stands in a token is not looked at. Signatures are verified by whoever calls, and what a token claims is out of reach before that.
//!
//! Sources: OpenID Connect Core 1.0 (2, 3.1.3.7, 5.7) and Discovery 1.0 (3, 4.3); RFC 7515, 7517, 7518, 8037, 8725, 9207.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Bytes of a token at most.
pub const TOKEN: usize = 16 * 1024;
/// Bytes of a provider's document, of its keys, or of its answer for a code.
pub const DOCUMENT: usize = 256 * 1024;
/// Keys of a provider that are looked at.
pub const KEYS: usize = 64;
/// Bytes of a key's name.
pub const KEY_NAME: usize = 256;
/// Bytes of a subject (Core section 2).
pub const SUBJECT: usize = 255;
/// Bytes of an address.
pub const ADDRESS: usize = 2_048;
/// Values of one claim that are looked at.
pub const VALUES: usize = 1_024;
/// Seconds that the provider's clock may be ahead of ours or behind it.
pub const LEEWAY: u64 = 60;
/// Seconds since a token was made: it is fetched at once, so an old one is somebody's who kept it.
pub const AGE: u64 = 600;
/// Bytes of an RSA modulus: 2048 to 4096 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
/// Seconds that a number of JSON holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256; the signature is both numbers of 32 bytes each.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// As JOSE names it; none for what is not verified here, `none` and shared secrets among it.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            // RFC 9864 gives Ed25519 a name of its own.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A public key of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// For [`Algorithm::Rs256`].
    Rs256 {
        /// Its modulus, big-endian.
        modulus: Vec<u8>,
        /// Its public exponent, big-endian.
        exponent: Vec<u8>,
    },
    /// For [`Algorithm::Es256`]: the point, uncompressed (SEC 1 section 2.3.3).
    Es256([u8; 65]),
    /// For [`Algorithm::EdDsa`].
    EdDsa([u8; 32]),
}

impl Key {
    /// What it signs by: one way for each kind of key.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rs256 { .. } => Algorithm::Rs256,
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
        }
    }
}

/// The keys of a provider that can sign tokens here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys(Vec<(Option<String>, Key)>);

impl Keys {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that a token names. Where it names none, the only one of its kind (Core section 10.1).
    #[must_use]
    pub fn of(&self, token: &Token<'_>) -> Option<&Key> {
        let mut fitting = self.0.iter().filter(|(name, key)| {
            key.algorithm() == token.algorithm && (token.key.is_none() || token.key.as_deref() == name.as_deref())
        });
        let (_, first) = fitting.next()?;
        // Two of one name: which is meant cannot be told.
        fitting.next().is_none().then_some(first)
    }
}

/// A token that nobody has verified: who made it, and what it claims, is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    /// How it says that it is signed.
    pub algorithm: Algorithm,
    /// The key that it names.
    pub key: Option<String>,
    signed: &'a [u8],
    payload: &'a str,
    signature: Vec<u8>,
}

/// What must stand in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// For whom.
    pub client: &'a str,
    /// What was asked with.
    pub nonce: &'a str,
    /// The time, in Unix seconds.
    pub now: u64,
}

/// Somebody, as a provider that was believed has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Who, for ever and for this provider alone.
    pub subject: String,
    claims: Map<String, Value>,
}

/// Where a provider is asked, as its document has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Where browsers are sent.
    pub authorization: String,
    /// Where a code becomes a token.
    pub token: String,
    /// Where its keys are.
    pub keys: String,
    /// The client's secret goes into the form, because it is not taken in the header.
    pub secret_in_form: bool,
    /// It says with each code who it is (RFC 9207).
    pub names_itself: bool,
}

/// Why something of a provider is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It is too long, or something in it is.
    Long,
    /// It is no JSON object in which each member stands once.
    Json,
    /// It has not three parts of base64url.
    Parts,
    /// It is signed in a way that is not taken: not at all, by a shared secret, or by something else.
    Algorithm,
    /// It is a token of another kind, or wants something understood that is not.
    Kind,
    /// Its key is not one of the provider's.
    Key,
    /// Its signature is wrong.
    Signature,
    /// It comes from another provider.
    Issuer,
    /// It is meant for another program, or for others too.
    Audience,
    /// It answers another question.
    Nonce,
    /// It is over.
    Expired,
    /// It is of the future.
    Future,
    /// It was made too long ago.
    Old,
    /// It does not say about whom it is.
    Subject,
    /// Something is missing, or of another type.
    Missing,
    /// An address in it is not one over TLS.
    Address,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Long => "it is too long",
            Self::Json => "it is not JSON in which each member stands once",
            Self::Parts => "it has not the form of a token",
            Self::Algorithm => "it is not signed by RS256, ES256 or EdDSA",
            Self::Kind => "it is a token of another kind",
            Self::Key => "its key is not one of the provider's",
            Self::Signature => "its signature is wrong",
            Self::Issuer => "it is of another provider",
            Self::Audience => "it is meant for another program",
            Self::Nonce => "it answers another question",
            Self::Expired => "it is over",
            Self::Future => "it is of the future: the clocks differ",
            Self::Old => "it was made too long ago",
            Self::Subject => "it does not say about whom it is",
            Self::Missing => "something in it is missing or of another type",
            Self::Address => "an address in it is not one over TLS",
        })
    }
}

/// Reads a provider's document, which must be of this issuer.
///
/// # Errors
/// Where it is of another, or something in it is missing or not safe to use.
pub fn provider(bytes: &[u8], issuer: &str) -> Result<Provider, Doubt> {
    let document = object(bytes, DOCUMENT)?;
    if text(&document, "issuer")? != issuer {
        return Err(Doubt::Issuer);
    }
    let algorithms = texts(document.get("id_token_signing_alg_values_supported"));
    if !algorithms.is_empty() && !algorithms.iter().any(|name| Algorithm::of(name).is_some()) {
        return Err(Doubt::Algorithm);
    }
    let plain = issuer.starts_with("http://");
    let address = |name: &str| {
        let address = text(&document, name)?;
        if is_address(address, plain) { Ok(address.to_owned()) } else { Err(Doubt::Address) }
    };
    let ways = texts(document.get("token_endpoint_auth_methods_supported"));
    Ok(Provider {
        authorization: address("authorization_endpoint")?,
        token: address("token_endpoint")?,
        keys: address("jwks_uri")?,
        secret_in_form: ways.contains(&"client_secret_post") && !ways.contains(&"client_secret_basic"),
        names_itself: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
    })
}

/// Reads a provider's keys. Those of a kind, or for a use, that is none of ours are left out (RFC 7517 section 5).
///
/// # Errors
/// Where it is not a list of keys, or too long.
pub fn keys(bytes: &[u8]) -> Result<Keys, Doubt> {
    let document = object(bytes, DOCUMENT)?;
    let Some(Value::Array(all)) = document.get("keys") else { return Err(Doubt::Missing) };
    if all.len() > KEYS {
        return Err(Doubt::Long);
    }
    Ok(Keys(all.iter().filter_map(Value::as_object).filter_map(key).collect()))
}

/// Reads what a provider answers for a code: the token in it.
///
/// # Errors
/// Where there is none.
pub fn answer(bytes: &[u8]) -> Result<String, Doubt> {
    let document = object(bytes, DOCUMENT)?;
    let token = text(&document, "id_token")?;
    if token.len() > TOKEN { Err(Doubt::Long) } else { Ok(token.to_owned()) }
}

/// Takes a token apart.
///
/// # Errors
/// Where it has not the form of one, or is not signed in a way that is taken.
pub fn token(text: &str) -> Result<Token<'_>, Doubt> {
    if text.len() > TOKEN {
        return Err(Doubt::Long);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(Doubt::Parts)?;
    let (header, payload) = signed.split_once('.').ok_or(Doubt::Parts)?;
    if payload.contains('.') || payload.is_empty() {
        return Err(Doubt::Parts);
    }
    let header = object(&decoded(header)?, TOKEN)?;
    let algorithm = Algorithm::of(self::text(&header, "alg")?).ok_or(Doubt::Algorithm)?;
    // Other kinds of tokens of the same provider are signed by the same keys (RFC 8725 section 3.11).
    let kind = header.get("typ").map(|kind| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("jwt")));
    if kind == Some(false) || header.contains_key("crit") {
        return Err(Doubt::Kind);
    }
    let key = match header.get("kid") {
        None => None,
        Some(Value::String(name)) if name.len() <= KEY_NAME => Some(name.clone()),
        Some(_) => return Err(Doubt::Key),
    };
    let signature = decoded(signature)?;
    if signature.is_empty() {
        return Err(Doubt::Signature);
    }
    Ok(Token { algorithm, key, signed: signed.as_bytes(), payload, signature })
}

impl Token<'_> {
    /// Who it is about, once its signature is good and all that it claims is as expected (Core section 3.1.3.7). `verify` is given the
    /// key, what was signed, and the signature.
    ///
    /// # Errors
    /// With the first thing that is not so.
    pub fn identity(
        &self,
        key: &Key,
        expected: &Expected<'_>,
        verify: impl FnOnce(&Key, &[u8], &[u8]) -> bool,
    ) -> Result<Identity, Doubt> {
        if key.algorithm() != self.algorithm {
            return Err(Doubt::Algorithm);
        }
        if !verify(key, self.signed, &self.signature) {
            return Err(Doubt::Signature);
        }
        let claims = object(&decoded(self.payload)?, TOKEN)?;
        if text(&claims, "iss")? != expected.issuer {
            return Err(Doubt::Issuer);
        }
        // For others too is for whoever they trust: not ours to take.
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => Some(one.as_str()),
            Some(Value::Array(all)) if all.len() == 1 => all.first().and_then(Value::as_str),
            _ => None,
        };
        let party = claims.get("azp").is_none_or(|party| party.as_str() == Some(expected.client));
        if audience != Some(expected.client) || !party {
            return Err(Doubt::Audience);
        }
        in_time(&claims, expected.now)?;
        if text(&claims, "nonce").ok() != Some(expected.nonce) {
            return Err(Doubt::Nonce);
        }
        let subject = text(&claims, "sub").map_err(|_| Doubt::Subject)?.to_owned();
        if subject.is_empty() || subject.len() > SUBJECT {
            return Err(Doubt::Subject);
        }
        Ok(Identity { subject, claims })
    }
}

impl Identity {
    /// A claim that is a text. A name with dots leads into objects where no claim has it whole.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.find(claim)?.as_str()
    }

    /// The texts of a claim: one, or a list.
    #[must_use]
    pub fn texts(&self, claim: &str) -> Vec<&str> {
        texts(self.find(claim))
    }

    /// Whether a claim is true.
    #[must_use]
    pub fn is(&self, claim: &str) -> bool {
        // Some write it as a text.
        self.find(claim).is_some_and(|value| *value == Value::Bool(true) || value.as_str() == Some("true"))
    }

    fn find(&self, claim: &str) -> Option<&Value> {
        let within = || {
            let mut steps = claim.split('.');
            let first = self.claims.get(steps.next()?)?;
            steps.try_fold(first, |at, step| at.as_object()?.get(step))
        };
        self.claims.get(claim).or_else(within)
    }
}

fn in_time(claims: &Map<String, Value>, now: u64) -> Result<(), Doubt> {
    let (until, made) = (seconds(claims, "exp")?, seconds(claims, "iat")?);
    let from = if claims.contains_key("nbf") { seconds(claims, "nbf")? } else { 0 };
    if now >= until.saturating_add(LEEWAY) {
        return Err(Doubt::Expired);
    }
    if made.max(from) > now.saturating_add(LEEWAY) {
        return Err(Doubt::Future);
    }
    if now > made.saturating_add(AGE).saturating_add(LEEWAY) { Err(Doubt::Old) } else { Ok(()) }
}

fn seconds(claims: &Map<String, Value>, name: &str) -> Result<u64, Doubt> {
    let value = claims.get(name).ok_or(Doubt::Missing)?;
    let rounded = || value.as_f64().filter(|number| (0.0..EXACT).contains(number)).map(|number| number as u64);
    value.as_u64().or_else(rounded).ok_or(Doubt::Missing)
}

/// A key that can sign tokens, with its name.
fn key(of: &Map<String, Value>) -> Option<(Option<String>, Key)> {
    // A private part has no business there, and a shared secret even less.
    if of.contains_key("d") || of.get("use").is_some_and(|used| used != "sig") {
        return None;
    }
    if of.contains_key("key_ops") && !texts(of.get("key_ops")).contains(&"verify") {
        return None;
    }
    let part = |name: &str| of.get(name).and_then(Value::as_str).and_then(|text| decoded(text).ok());
    let word = |name: &str| of.get(name).and_then(Value::as_str);
    let key = match (word("kty")?, word("crv")) {
        ("RSA", _) => {
            let (modulus, exponent) = (part("n")?, part("e")?);
            (MODULUS.contains(&modulus.len()) && (1..=8).contains(&exponent.len()))
                .then_some(Key::Rs256 { modulus, exponent })?
        }
        ("EC", Some("P-256")) => {
            let (x, y): ([u8; 32], [u8; 32]) = (part("x")?.try_into().ok()?, part("y")?.try_into().ok()?);
            let mut point = [4; 65];
            point[1..33].copy_from_slice(&x);
            point[33..].copy_from_slice(&y);
            Key::Es256(point)
        }
        ("OKP", Some("Ed25519")) => Key::EdDsa(part("x")?.try_into().ok()?),
        _ => return None,
    };
    if word("alg").is_some_and(|name| Algorithm::of(name) != Some(key.algorithm())) {
        return None;
    }
    let name = word("kid").map(str::to_owned);
    name.as_ref().is_none_or(|name| name.len() <= KEY_NAME).then_some((name, key))
}

/// Whether it is an address over TLS; without, on this machine alone, and where the issuer is so too.
fn is_address(text: &str, plain: bool) -> bool {
    let authority = |rest: &str| rest.split(['/', '?']).next().unwrap_or_default().to_owned();
    let sound = |authority: &str| !authority.is_empty() && !authority.contains(['@', '\\']);
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let safe = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => sound(&authority(rest)),
        (None, Some(rest)) => plain && is_loopback(&authority(rest)),
        _ => false,
    };
    printable && safe && text.len() <= ADDRESS
}

fn is_loopback(authority: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].into_iter().any(|name| {
        let port = authority.strip_prefix(name);
        port.is_some_and(|port| {
            port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        })
    })
}

fn decoded(text: &str) -> Result<Vec<u8>, Doubt> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Doubt::Parts)
}

fn text<'a>(of: &'a Map<String, Value>, name: &str) -> Result<&'a str, Doubt> {
    of.get(name).and_then(Value::as_str).ok_or(Doubt::Missing)
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).take(VALUES).collect(),
        _ => Vec::new(),
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON in which each member stands once: of two, another reader may take the other.

fn object(bytes: &[u8], most: usize) -> Result<Map<String, Value>, Doubt> {
    if bytes.len() > most {
        return Err(Doubt::Long);
    }
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(object))) => Ok(object),
        _ => Err(Doubt::Json),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Once).map(Self)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which each member stands once")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, _>()? {
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests;
