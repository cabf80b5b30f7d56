//! Sign-in by the organisation's own provider: OpenID Connect Core 1.0, a code that only this console can turn into a token (RFC 7636), for
//! the browser that asked for it.
//!
//! The provider is asked when somebody signs in and at no other time, so whoever has a password or a passkey does not notice that it is away.
//! What it says is read by `portcullis_wire::oidc`. A name never leads to an account: only the provider's own subject does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use form_urlencoded::{Serializer, byte_serialize};
use http::{Request, header};
use http_body_util::Full;
use portcullis_wire::oidc::{self as wire, Doubt, Expected, Identity, Key, Keys, Provider as Document};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::fetch::{connector, fetch};
use crate::model::{OidcReturn, Role};
use crate::people::{Denied, Secret, digest, digest_of};

/// Where the provider sends people back to, beneath the console's URL.
const BACK: &str = "/oidc";
/// What is found beneath an issuer (Discovery 1.0 section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// People who are away at the provider; the longest away is forgotten when there is one more.
const AWAY: usize = 1_024;
/// How long somebody may be away, in milliseconds.
pub(crate) const STAY: u64 = 600_000;
/// How long a document and keys are kept.
const KEPT: u64 = 3_600_000;
/// Keys are asked for again at most so often for the sake of one that is not known.
const AGAIN: u64 = 60_000;
/// One question to the provider, and all that signing in takes.
const QUESTION: Duration = Duration::from_secs(8);
const WHOLE: Duration = Duration::from_secs(18);
/// Questions at once.
const QUESTIONS: usize = 4;
/// Bytes of a code, and of what a provider says went wrong.
const CODE: usize = 4_096;
const WORD: usize = 64;

/// A provider, as the configuration has it.
#[derive(Debug, Clone, Default)]
pub struct Provider {
    /// Exactly as it names itself.
    pub issuer: String,
    /// Who the console is there.
    pub client: String,
    /// What the console shows it.
    pub secret: String,
    /// What the button says.
    pub name: String,
    /// What it is asked for.
    pub scopes: Vec<String>,
    /// The claim with the name of a new account.
    pub name_claim: String,
    /// The claim with what gives a role.
    pub role_claim: String,
    /// Its values that make somebody a viewer, an operator, an owner.
    pub roles: [Vec<String>; 3],
    /// Domains of which somebody must have a verified address of mail; any if empty.
    pub domains: Vec<String>,
    /// Whose certificates are believed, in PEM; the system's authorities without.
    pub ca: Option<Vec<u8>>,
}

/// Somebody whom the provider has vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Somebody {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    /// As the provider has it, whatever that is.
    pub(crate) name: String,
    /// What the provider makes of them here; why nothing, in words.
    pub(crate) role: Result<Role, String>,
}

/// Sign-in by one provider.
#[derive(Debug)]
pub(crate) struct Oidc {
    declared: Provider,
    /// Where it sends people back to.
    back: String,
    /// By which the console is asked for there.
    host: String,
    away: Mutex<VecDeque<Away>>,
    known: Mutex<Known>,
    tls: OnceCell<Tls>,
    questions: Semaphore,
}

struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// Somebody who was sent to the provider.
#[derive(Debug)]
struct Away {
    state: String,
    nonce: String,
    /// What turns the code into a token.
    verifier: String,
    /// Of the cookie in the browser that asked.
    browser: Vec<u8>,
    until: u64,
}

/// What is known of the provider.
#[derive(Debug, Default)]
struct Known {
    document: Option<(Document, u64)>,
    keys: Option<(Keys, u64)>,
    /// When keys were last asked for.
    asked: u64,
}

/// Where a browser goes, and what it keeps until it is back.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) cookie: String,
}

impl Oidc {
    /// For a console at `url`.
    pub(crate) fn new(declared: Provider, url: &str) -> Self {
        let url = url.trim_end_matches('/');
        let (scheme, host) = url.split_once("://").unwrap_or_default();
        let usual = if scheme == "https" { ":443" } else { ":80" };
        Self {
            back: format!("{url}{BACK}"),
            host: host.strip_suffix(usual).unwrap_or(host).to_owned(),
            declared,
            away: Mutex::default(),
            known: Mutex::default(),
            tls: OnceCell::new(),
            questions: Semaphore::new(QUESTIONS),
        }
    }

    /// What the button says.
    pub(crate) fn name(&self) -> &str {
        &self.declared.name
    }

    /// Whether a page that was asked for under this `Host` is where the provider sends people back to: the cookie stays with that name.
    pub(crate) fn is_at(&self, host: &str) -> bool {
        self.host.eq_ignore_ascii_case(host)
    }

    /// Sends a browser to the provider.
    pub(crate) async fn send(&self, now: u64) -> Result<Sent, Denied> {
        let document = self.within(self.document(now)).await?;
        let [state, nonce, verifier, cookie] = std::array::from_fn(|_| Secret::fresh().text());
        let mut url = document.authorization.clone();
        url.push(if url.contains('?') { '&' } else { '?' });
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.declared.client)
            .append_pair("redirect_uri", &self.back)
            .append_pair("scope", &self.declared.scopes.join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(digest_of(verifier.as_bytes())))
            .append_pair("code_challenge_method", "S256")
            .finish();
        let mut away = lock(&self.away);
        away.retain(|it| it.until > now);
        if away.len() >= AWAY {
            away.pop_front();
        }
        away.push_back(Away { state, nonce, verifier, browser: digest(&cookie), until: now + STAY });
        Ok(Sent { url: url + &query, cookie })
    }

    /// Whether somebody was sent away with this state: whatever else is wrong, it is good for nobody any more. Then who that is.
    pub(crate) async fn back(&self, sent: &OidcReturn, cookie: Option<&str>, now: u64) -> Result<Somebody, Back> {
        let away = {
            let mut away = lock(&self.away);
            let found = away.iter().position(|it| it.state == sent.state);
            found.and_then(|at| away.remove(at)).filter(|it| it.until > now)
        };
        let Some(away) = away else {
            return Err(Back::Nobody(
                "nobody was sent away with this, or it was used, or it took longer than ten minutes",
            ));
        };
        if cookie.is_none_or(|cookie| digest(cookie) != away.browser) {
            return Err(Back::Nobody("it was another browser that asked"));
        }
        self.within(self.somebody(sent, &away, now)).await.map_err(Back::Refused)
    }

    async fn somebody(&self, sent: &OidcReturn, away: &Away, now: u64) -> Result<Somebody, Denied> {
        let document = self.document(now).await?;
        // Another provider's answer, brought here (RFC 9207).
        if sent.iss.as_ref().map_or(document.names_itself, |iss| *iss != self.declared.issuer) {
            return Err(self.doubts(Doubt::Issuer));
        }
        if let Some(error) = &sent.error {
            let error: String = error.chars().filter(|c| c.is_ascii_graphic()).take(WORD).collect();
            return Err(Denied::Unproven(format!("{} said no: {error}", self.name())));
        }
        let Some(code) = sent.code.as_ref().filter(|code| !code.is_empty() && code.len() <= CODE) else {
            return Err(Denied::Unproven(format!("{} has sent no code", self.name())));
        };
        let token = self.redeemed(&document, code, &away.verifier).await?;
        let token = wire::token(&token).map_err(|doubt| self.doubts(doubt))?;
        let Some(key) = self.key(&document, &token, now).await? else { return Err(self.doubts(Doubt::Key)) };
        let Provider { issuer, client, .. } = &self.declared;
        let expected = Expected { issuer, client, nonce: &away.nonce, now: now / 1_000 };
        let identity = token.identity(&key, &expected, verified).map_err(|doubt| self.doubts(doubt))?;
        Ok(Somebody {
            issuer: issuer.clone(),
            role: self.role(&identity),
            name: identity.text(&self.declared.name_claim).unwrap_or_default().to_owned(),
            subject: identity.subject,
        })
    }

    /// The most that somebody's claims give.
    fn role(&self, identity: &Identity) -> Result<Role, String> {
        let Provider { role_claim, roles, domains, name, .. } = &self.declared;
        let domain = identity.text("email").and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        let of = |domain: &str| domains.iter().any(|own| own.eq_ignore_ascii_case(domain));
        let comes_in = domains.is_empty() || identity.is("email_verified") && domain.is_some_and(of);
        if !comes_in {
            return Err(format!("{name} knows no verified address of mail of yours that may come in here"));
        }
        let held = identity.texts(role_claim);
        let given = [Role::Viewer, Role::Operator, Role::Owner].into_iter().zip(roles).rev();
        let mut given = given.filter(|(_, values)| values.iter().any(|value| held.contains(&value.as_str())));
        given.next().map(|(role, _)| role).ok_or_else(|| {
            format!(
                "{name} knows you, and nothing in `{role_claim}` gives you a role here: ask an owner of this console"
            )
        })
    }

    /// The provider's document, asked for at most once an hour.
    async fn document(&self, now: u64) -> Result<Document, Denied> {
        if let Some((document, until)) = &lock(&self.known).document
            && *until > now
        {
            return Ok(document.clone());
        }
        let url = format!("{}{WELL_KNOWN}", self.declared.issuer.trim_end_matches('/'));
        let bytes = self.get(&url).await?;
        let document = wire::provider(&bytes, &self.declared.issuer).map_err(|doubt| self.unlike(&url, doubt))?;
        lock(&self.known).document = Some((document.clone(), now + KEPT));
        Ok(document)
    }

    /// The key that a token names. The provider may have a new one since it was last asked.
    async fn key(&self, document: &Document, token: &wire::Token<'_>, now: u64) -> Result<Option<Key>, Denied> {
        {
            let mut known = lock(&self.known);
            let kept = known.keys.as_ref().filter(|(_, until)| *until > now);
            if let Some((keys, _)) = kept {
                let found = keys.of(token).cloned();
                // Whoever makes names up must not make us ask for each.
                if found.is_some() || now < known.asked.saturating_add(AGAIN) {
                    return Ok(found);
                }
            }
            known.asked = now;
        }
        let bytes = self.get(&document.keys).await?;
        let keys = wire::keys(&bytes).map_err(|doubt| self.unlike(&document.keys, doubt))?;
        let found = keys.of(token).cloned();
        lock(&self.known).keys = Some((keys, now + KEPT));
        Ok(found)
    }

    /// The token that a code is good for, once.
    async fn redeemed(&self, document: &Document, code: &str, verifier: &str) -> Result<String, Denied> {
        let request = self.redemption(document, code, verifier).map_err(|error| self.away(&error.to_string()))?;
        let (status, bytes) = self.ask(request).await?;
        if status.is_client_error() {
            tracing::warn!(%status, provider = self.name(), "the provider does not take a code, or not this client");
            return Err(Denied::Unproven(format!("{} does not take this code ({status})", self.name())));
        }
        if !status.is_success() {
            return Err(self.away(&format!("it answered {status}")));
        }
        wire::answer(&bytes).map_err(|doubt| self.unlike(&document.token, doubt))
    }

    fn redemption(&self, document: &Document, code: &str, verifier: &str) -> http::Result<Request<Full<Bytes>>> {
        let Provider { client, secret, .. } = &self.declared;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.back)
            .append_pair("code_verifier", verifier);
        let mut request = Request::post(&document.token)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        if document.secret_in_form {
            form.append_pair("client_id", client).append_pair("client_secret", secret);
        } else {
            // Both are encoded before they are put together (RFC 6749 section 2.3.1).
            let part = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = STANDARD.encode(format!("{}:{}", part(client), part(secret)));
            request = request.header(header::AUTHORIZATION, format!("Basic {pair}"));
        }
        request.body(Full::new(Bytes::from(form.finish())))
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, Denied> {
        let request = Request::get(url).header(header::ACCEPT, "application/json").body(Full::default());
        let (status, bytes) = self.ask(request.map_err(|error| self.away(&error.to_string()))?).await?;
        if status.is_success() { Ok(bytes) } else { Err(self.away(&format!("{url} answered {status}"))) }
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<(http::StatusCode, Vec<u8>), Denied> {
        let _permit = self.questions.acquire().await.map_err(|_| self.away("the console ends"))?;
        let tls = self.tls().await?;
        match timeout(QUESTION, fetch(request, tls, Some(wire::DOCUMENT))).await {
            Ok(answer) => answer.map_err(|why| self.away(&why)),
            Err(_) => Err(self.away(&format!("no answer within {} seconds", QUESTION.as_secs()))),
        }
    }

    /// Made when it is first needed: reading the system's authorities takes a while.
    async fn tls(&self) -> Result<&TlsConnector, Denied> {
        let ca = self.declared.ca.clone();
        let made = self.tls.get_or_try_init(|| async move {
            let made = tokio::task::spawn_blocking(move || connector(ca.as_deref())).await;
            made.map_err(|error| error.to_string()).and_then(|made| made).map(Tls)
        });
        made.await.map(|tls| &tls.0).map_err(|why| self.away(&why))
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Denied>>) -> Result<T, Denied> {
        timeout(WHOLE, work).await.unwrap_or_else(|_| Err(self.away("it took too long")))
    }

    /// As if keys had never been asked for.
    #[cfg(test)]
    pub(crate) fn forget_when_asked(&self) {
        lock(&self.known).asked = 0;
    }

    fn doubts(&self, doubt: Doubt) -> Denied {
        Denied::Unproven(format!("what {} says of you is not believed: {doubt}", self.name()))
    }

    fn unlike(&self, url: &str, doubt: Doubt) -> Denied {
        self.away(&format!("what {url} answers is not used: {doubt}"))
    }

    fn away(&self, why: &str) -> Denied {
        tracing::warn!(why, provider = self.name(), "the provider cannot be asked");
        Denied::Broken(format!("{} cannot be asked who you are ({why}): sign in in another way", self.name()))
    }
}

/// Why somebody who came back is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Back {
    /// It answers nothing that was asked here: noise that anybody can make.
    Nobody(&'static str),
    /// The provider was asked, and this came of it.
    Refused(Denied),
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn verified(key: &Key, signed: &[u8], signature: &[u8]) -> bool {
    let key = match key {
        Key::Es256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok(),
        Key::EdDsa(point) => ParsedPublicKey::new(&ED25519, point).ok(),
        Key::Rs256 { modulus, exponent } => {
            PublicKeyComponents { n: modulus, e: exponent }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()
        }
    };
    key.is_some_and(|key| key.verify_sig(signed, signature).is_ok())
}

#[cfg(test)]
pub(crate) mod double;
#[cfg(test)]
mod tests;
