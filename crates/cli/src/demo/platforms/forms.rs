//! Join, donate and sign in: the platform where people give something of themselves.
//!
//! It never keeps more than it says, forgets everything when the demo ends, and never stores a card number.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use portcullis_sensors::manifest::hex;
use sha2::{Digest, Sha256};

use super::site::{self, Assets, Frame, Links, escape};
use super::{Asked, Desks, Platform, Reply, redirect, text};
use crate::demo::chance::secret;

/// The name of the session cookie, which the gate's rates by session know.
pub(crate) const SESSION: &str = "session";
/// The password of every sample account, and their domain. Printed on the sign-in page.
pub(crate) const PASSWORD: &str = "lantern-demo";
pub(crate) const ACCOUNT_DOMAIN: &str = "@openharbour.example";

/// What the platform costs: a page, a record written, a password checked, a payment provider asked.
const PAGE: Duration = Duration::from_millis(2);
const RECORD: Duration = Duration::from_millis(8);
const PASSWORD_CHECK: Duration = Duration::from_millis(25);
const PROVIDER: Duration = Duration::from_millis(40);

/// How many sessions and receipts are kept; the oldest goes first.
const KEPT: usize = 10_000;
/// Whole crowns that one gift may be.
const GIFT: std::ops::RangeInclusive<u32> = 5..=5_000;

const ISLANDS: [&str; 7] = ["Norwick", "Saltby", "Westhaven", "Little Merrow", "Gannet Holm", "Eastrey", "Sule"];

/// The platform of the forms.
#[derive(Debug)]
pub(crate) struct Forms {
    assets: Assets,
    pages: Desks,
    records: Desks,
    passwords: Desks,
    provider: Desks,
    secret: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Session to the address that signed in.
    signed_in: Kept<String>,
    /// Receipt to what it says.
    receipts: Kept<Receipt>,
    joined: u64,
    given: u64,
}

#[derive(Debug, Clone)]
enum Receipt {
    Joined { name: String, island: &'static str },
    Gave { name: String, amount: u32, card: String },
}

impl Forms {
    /// `None` when the operating system has no randomness to give.
    pub(crate) fn new() -> Option<Self> {
        Some(Self {
            assets: Assets::new(),
            pages: Desks::new(16),
            records: Desks::new(8),
            passwords: Desks::new(4),
            provider: Desks::new(12),
            secret: secret()?,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a form of this session must carry, so that no other site can send it.
    fn token(&self, session: &str) -> String {
        hex(Sha256::digest(format!("{}:{session}", self.secret)).get(..16).unwrap_or_default())
    }
}

impl Platform for Forms {
    async fn answer(&self, asked: Asked) -> Reply {
        if let Some(asset) = self.assets.answer(&asked) {
            return asset;
        }
        if asked.path == "/health" {
            return text(StatusCode::OK, "well");
        }
        self.page(&asked).await.unwrap_or_else(|overloaded| *overloaded)
    }
}

/// A visitor with their session; every answer to them goes through `finish`, which sets the cookie if it is new.
struct Visit<'a> {
    asked: &'a Asked,
    links: Links,
    session: String,
    fresh: bool,
}

impl<'a> Visit<'a> {
    fn of(asked: &'a Asked) -> Option<Self> {
        let known =
            asked.cookie(SESSION).filter(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let (session, fresh) = match known {
            Some(session) => (session.to_owned(), false),
            None => (secret()?, true),
        };
        Some(Self { asked, links: Links::of(asked), session, fresh })
    }

    fn finish(&self, mut reply: Reply) -> Reply {
        if self.fresh && !reply.headers().contains_key(header::SET_COOKIE) {
            set_cookie(&mut reply, &self.session);
        }
        reply
    }

    fn frame<'b>(&'b self, title: &'b str) -> Frame<'b> {
        Frame { title, current: "", links: &self.links, script: None, shared: false }
    }
}

fn set_cookie(reply: &mut Reply, session: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("{SESSION}={session}; Path=/; HttpOnly; SameSite=Lax")) {
        reply.headers_mut().insert(header::SET_COOKIE, value);
    }
}

impl Forms {
    async fn page(&self, asked: &Asked) -> Result<Reply, Box<Reply>> {
        let Some(visit) = Visit::of(asked) else { return Ok(text(StatusCode::SERVICE_UNAVAILABLE, "no randomness")) };
        let post = match asked.method {
            Method::GET => false,
            Method::POST => true,
            _ => return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "GET or POST")),
        };
        if post && asked.field("token") != self.token(&visit.session) {
            self.pages.work(PAGE).await?;
            return Ok(visit.finish(stale(&visit)));
        }
        let reply = match (post, asked.path.as_str()) {
            (true, "/join") => self.take_join(&visit).await?,
            (true, "/donate") => self.take_donation(&visit).await?,
            (true, "/login") => self.take_login(&visit).await?,
            (true, "/logout") => self.take_logout(&visit).await?,
            (false, path) => {
                self.pages.work(PAGE).await?;
                match path {
                    "/" => redirect(StatusCode::SEE_OTHER, "/join"),
                    "/join" => self.join(&visit, &Checked::default()),
                    "/donate" => self.donate(&visit, &Checked::default()),
                    "/login" => self.login(&visit, None),
                    "/account" => self.account(&visit),
                    "/join/thanks" | "/donate/thanks" => self.thanks(&visit),
                    _ => site::not_found(&visit.links),
                }
            }
            (true, _) => site::not_found(&visit.links),
        };
        Ok(visit.finish(reply))
    }

    fn join(&self, visit: &Visit<'_>, checked: &Checked) -> Reply {
        let chosen = visit.asked.field("island");
        let islands = ISLANDS.iter().fold(String::new(), |mut options, island| {
            let selected = if chosen == *island { " selected" } else { "" };
            let _ = write!(options, "<option{selected}>{island}</option>");
            options
        });
        let main = format!(
            r#"<div class="wrap page"><div class="split"><div><h1>Join Open Harbour</h1><p class="lead">Sixty crowns a year, or what you can. Every member has one vote.</p>
<ul class="points"><li>Vote on the programme and on every candidate.</li><li>Come to the assembly, by ferry or by screen.</li><li>Leave whenever you like, with one click.</li></ul></div>
<form class="sheet" method="post" action="/join" novalidate>{token}{summary}{name}{email}
<div class="field"><label for="island">Your island</label><select id="island" name="island" required{island_bad}><option value="">Choose one</option>{islands}</select>{island_error}</div>
<div class="field"><div class="check"><input type="checkbox" id="agree" name="agree" value="yes"{agreed}{agree_bad}><label for="agree">I am fifteen or older and agree with the statutes.</label></div>{agree_error}</div>
<button>Join</button></form></div></div>"#,
            token = self.token_field(visit),
            summary = checked.summary(),
            name = checked.input(visit, "name", "Your name", "", "text", "name"),
            email = checked.input(
                visit,
                "email",
                "Email",
                "For the assembly’s invitations, and nothing else.",
                "email",
                "email"
            ),
            island_bad = checked.mark("island"),
            island_error = checked.error("island"),
            agreed = if visit.asked.field("agree") == "yes" { " checked" } else { "" },
            agree_bad = checked.mark("agree"),
            agree_error = checked.error("agree"),
        );
        site::page(checked.status(), &visit.frame("Join"), &main)
    }

    async fn take_join(&self, visit: &Visit<'_>) -> Result<Reply, Box<Reply>> {
        let mut checked = Checked::default();
        let name = checked.name(visit);
        checked.email(visit);
        let island = ISLANDS.iter().copied().find(|island| *island == visit.asked.field("island"));
        checked.require("island", island.is_some(), "Choose your island.");
        checked.require(
            "agree",
            visit.asked.field("agree") == "yes",
            "You must be fifteen and agree with the statutes.",
        );
        let Some(island) = island.filter(|_| checked.problems.is_empty()) else {
            self.pages.work(PAGE).await?;
            return Ok(self.join(visit, &checked));
        };
        self.records.work(RECORD).await?;
        let mut state = self.state();
        state.joined += 1;
        state.receipts.keep(visit.session.clone(), Receipt::Joined { name, island });
        Ok(redirect(StatusCode::SEE_OTHER, "/join/thanks"))
    }

    fn donate(&self, visit: &Visit<'_>, checked: &Checked) -> Reply {
        let chosen = visit.asked.field("amount");
        let other = visit.asked.field("other");
        let presets = ["50", "100", "250", "500"].into_iter().fold(String::new(), |mut presets, amount| {
            let picked = if chosen.is_empty() { amount == "100" && other.is_empty() } else { chosen == amount };
            let picked = if picked { " checked" } else { "" };
            let _ = write!(
                presets,
                "<label><input type=\"radio\" name=\"amount\" value=\"{amount}\"{picked}>{amount}</label>"
            );
            presets
        });
        let main = format!(
            r#"<div class="wrap page"><div class="split"><div><h1>Give a little</h1><p class="lead">Fifty crowns print two hundred leaflets. Two hundred and fifty hire the hall at Norwick for an evening.</p>
<div class="note"><p><strong>This is a demo.</strong> No money moves. Use the card 4242 4242 4242 4242, never your own.</p></div></div>
<form class="sheet" method="post" action="/donate" novalidate>{token}{summary}
<fieldset><legend>How many crowns?</legend><div class="amounts">{presets}</div></fieldset>
{other}{name}{email}{card}<button class="warm">Give now</button></form></div></div>"#,
            token = self.token_field(visit),
            summary = checked.summary(),
            other = checked.input(visit, "other", "Or another amount", "Whole crowns, from 5 to 5,000.", "text", "off"),
            name = checked.input(visit, "name", "Your name", "", "text", "name"),
            email = checked.input(visit, "email", "Email", "For the receipt.", "email", "email"),
            card = checked.input(visit, "card", "Card number", "Demo card: 4242 4242 4242 4242", "text", "off"),
        );
        site::page(checked.status(), &visit.frame("Donate"), &main)
    }

    async fn take_donation(&self, visit: &Visit<'_>) -> Result<Reply, Box<Reply>> {
        let mut checked = Checked::default();
        let name = checked.name(visit);
        checked.email(visit);
        let (other, preset) = (visit.asked.field("other"), visit.asked.field("amount"));
        let amount = if other.trim().is_empty() { preset } else { other };
        let amount = amount.trim().parse::<u32>().ok().filter(|amount| GIFT.contains(amount));
        checked.require("other", amount.is_some(), "Choose an amount from 5 to 5,000 whole crowns.");
        let card: String = visit.asked.field("card").chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        checked.require("card", is_card(&card), "This is not a card number; a digit may be wrong.");
        let Some(amount) = amount.filter(|_| checked.problems.is_empty()) else {
            self.pages.work(PAGE).await?;
            return Ok(self.donate(visit, &checked));
        };
        self.provider.work(PROVIDER).await?;
        let last_four = card.get(card.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        let mut state = self.state();
        state.given = state.given.saturating_add(u64::from(amount));
        state.receipts.keep(visit.session.clone(), Receipt::Gave { name, amount, card: last_four });
        Ok(redirect(StatusCode::SEE_OTHER, "/donate/thanks"))
    }

    fn thanks(&self, visit: &Visit<'_>) -> Reply {
        let (receipt, joined, given) = {
            let state = self.state();
            (state.receipts.get(&visit.session).cloned(), state.joined, state.given)
        };
        let main = match receipt {
            None => return redirect(StatusCode::SEE_OTHER, "/join"),
            Some(Receipt::Joined { name, island }) => format!(
                "<h1>Welcome aboard, {}</h1><p class=\"lead\">You are the {} to join on {island} and the other islands since this demo began.</p>\
                 <p class=\"actions\"><a class=\"button\" href=\"{}\">Find an event near you</a></p>",
                escape(&name),
                ordinal(joined),
                visit.links.to("www", "/events"),
            ),
            Some(Receipt::Gave { name, amount, card }) => format!(
                "<h1>Thank you, {}</h1><div class=\"note good\"><p>We received <strong>{amount} crowns</strong> from the card that ends in {card}. \
                 A receipt is under way.</p></div><p class=\"lead\">Together you have given {given} crowns since this demo began.</p>\
                 <p class=\"actions\"><a class=\"button\" href=\"{}\">What it is for</a></p>",
                escape(&name),
                visit.links.to("www", "/issues"),
            ),
        };
        site::page(StatusCode::OK, &visit.frame("Thank you"), &format!("<div class=\"wrap page\">{main}</div>"))
    }

    fn login(&self, visit: &Visit<'_>, problem: Option<&str>) -> Reply {
        let note = problem
            .map(|problem| format!("<div class=\"note bad\" role=\"alert\"><p>{problem}</p></div>"))
            .unwrap_or_default();
        let email = escape(&visit.asked.field("email"));
        let main = format!(
            r#"<div class="wrap page"><div class="split"><div><h1>Sign in</h1><p class="lead">To your membership, your votes and your receipts.</p>
<div class="note"><p><strong>Sample account:</strong> edda{ACCOUNT_DOMAIN} with the password {PASSWORD}</p></div></div>
<form class="sheet" method="post" action="/login">{token}{note}
<div class="field"><label for="email">Email</label><input id="email" name="email" type="email" autocomplete="username" value="{email}" maxlength="120" required></div>
<div class="field"><label for="password">Password</label><input id="password" name="password" type="password" autocomplete="current-password" maxlength="120" required></div>
<button>Sign in</button></form></div></div>"#,
            token = self.token_field(visit),
        );
        let status = if problem.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        site::page(status, &visit.frame("Sign in"), &main)
    }

    async fn take_login(&self, visit: &Visit<'_>) -> Result<Reply, Box<Reply>> {
        self.passwords.work(PASSWORD_CHECK).await?;
        let email = visit.asked.field("email").trim().to_lowercase();
        let known = email.strip_suffix(ACCOUNT_DOMAIN).is_some_and(|name| !name.is_empty() && name.len() <= 60);
        if !known || visit.asked.field("password") != PASSWORD {
            return Ok(self.login(visit, Some("This address and password do not belong together.")));
        }
        // A new identifier, so that nobody who knew the old one is signed in with it (session fixation).
        let Some(session) = secret() else { return Ok(text(StatusCode::SERVICE_UNAVAILABLE, "no randomness")) };
        self.state().signed_in.keep(session.clone(), email);
        let mut reply = redirect(StatusCode::SEE_OTHER, "/account");
        set_cookie(&mut reply, &session);
        Ok(reply)
    }

    async fn take_logout(&self, visit: &Visit<'_>) -> Result<Reply, Box<Reply>> {
        self.pages.work(PAGE).await?;
        self.state().signed_in.forget(&visit.session);
        Ok(redirect(StatusCode::SEE_OTHER, "/login"))
    }

    fn account(&self, visit: &Visit<'_>) -> Reply {
        let Some(email) = self.state().signed_in.get(&visit.session).cloned() else {
            return redirect(StatusCode::SEE_OTHER, "/login");
        };
        let main = format!(
            r#"<div class="wrap page"><h1>Your membership</h1><dl class="facts"><dt>Signed in as</dt><dd>{email}</dd><dt>Member since</dt><dd>the second assembly</dd><dt>Next vote</dt><dd>Homes to stay in, at the assembly</dd></dl>
<form method="post" action="/logout">{token}<button class="plain">Sign out</button></form></div>"#,
            email = escape(&email),
            token = self.token_field(visit),
        );
        site::page(StatusCode::OK, &visit.frame("Your membership"), &main)
    }

    fn token_field(&self, visit: &Visit<'_>) -> String {
        format!("<input type=\"hidden\" name=\"token\" value=\"{}\">", self.token(&visit.session))
    }
}

fn stale(visit: &Visit<'_>) -> Reply {
    let main = format!(
        "<div class=\"wrap page\"><h1>Please send the form again</h1><p class=\"lead\">It was not sent from this site, or your session has ended.</p>\
         <p><a class=\"button\" href=\"{}\">Back to the form</a></p></div>",
        escape(&visit.asked.path)
    );
    site::page(StatusCode::FORBIDDEN, &visit.frame("Send again"), &main)
}

/// What was found wrong with a form, by field.
#[derive(Debug, Default)]
struct Checked {
    problems: Vec<(&'static str, &'static str)>,
}

impl Checked {
    fn require(&mut self, field: &'static str, holds: bool, otherwise: &'static str) {
        if !holds {
            self.problems.push((field, otherwise));
        }
    }

    fn name(&mut self, visit: &Visit<'_>) -> String {
        let name = visit.asked.field("name").trim().to_owned();
        self.require("name", (2..=80).contains(&name.chars().count()), "Write your name, in 2 to 80 letters.");
        name
    }

    fn email(&mut self, visit: &Visit<'_>) {
        let email = visit.asked.field("email");
        let plausible = email.trim().split_once('@').is_some_and(|(name, domain)| {
            !name.is_empty()
                && domain.contains('.')
                && !domain.ends_with('.')
                && !email.trim().contains(char::is_whitespace)
        });
        self.require("email", plausible && email.len() <= 120, "Write an email address such as name@domain.example.");
    }

    fn status(&self) -> StatusCode {
        if self.problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
    }

    fn summary(&self) -> String {
        match self.problems.len() {
            0 => String::new(),
            1 => "<div class=\"note bad\" role=\"alert\"><p>One thing is missing.</p></div>".to_owned(),
            count => format!("<div class=\"note bad\" role=\"alert\"><p>{count} things are missing.</p></div>"),
        }
    }

    fn error(&self, field: &str) -> String {
        match self.problems.iter().find(|(name, _)| *name == field) {
            Some((_, problem)) => format!("<span class=\"error\" id=\"{field}-error\">{problem}</span>"),
            None => String::new(),
        }
    }

    fn mark(&self, field: &str) -> String {
        match self.problems.iter().any(|(name, _)| *name == field) {
            true => format!(" aria-invalid=\"true\" aria-describedby=\"{field}-error\""),
            false => String::new(),
        }
    }

    /// A labelled text field with what was typed; a card number is never sent back.
    fn input(&self, visit: &Visit<'_>, field: &str, label: &str, help: &str, kind: &str, autocomplete: &str) -> String {
        let value = if field == "card" { String::new() } else { escape(&visit.asked.field(field)) };
        let help = if help.is_empty() { String::new() } else { format!("<small>{help}</small>") };
        let numeric = if matches!(field, "card" | "other") { " inputmode=\"numeric\"" } else { "" };
        format!(
            "<div class=\"field\"><label for=\"{field}\">{label}</label>{help}<input id=\"{field}\" name=\"{field}\" type=\"{kind}\" \
             autocomplete=\"{autocomplete}\" value=\"{value}\" maxlength=\"120\"{numeric}{mark}>{error}</div>",
            mark = self.mark(field),
            error = self.error(field),
        )
    }
}

/// Twelve to nineteen digits whose check digit is right (Luhn).
fn is_card(number: &str) -> bool {
    if !(12..=19).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(position, byte)| {
            let digit = u32::from(byte - b'0') * if position % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// A map that forgets its oldest entry when it is full.
#[derive(Debug)]
struct Kept<T> {
    entries: HashMap<String, T>,
    order: VecDeque<String>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Kept<T> {
    fn keep(&mut self, key: String, value: T) {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    fn get(&self, key: &str) -> Option<&T> {
        self.entries.get(key)
    }

    fn forget(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.order.retain(|kept| kept != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;
    use http_body_util::BodyExt;

    async fn send(forms: &Forms, method: Method, path: &str, session: Option<&str>, body: &str) -> Reply {
        let mut headers = HeaderMap::new();
        if let Some(session) = session {
            headers.insert(header::COOKIE, HeaderValue::from_str(&format!("{SESSION}={session}")).expect("a header"));
        }
        let body = Bytes::from(body.to_owned());
        forms.answer(Asked { method, path: path.into(), query: String::new(), headers, body }).await
    }

    fn session_of(reply: &Reply) -> String {
        let cookie = reply.headers().get(header::SET_COOKIE).expect("a session").to_str().expect("text");
        cookie.split(['=', ';']).nth(1).expect("a value").to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_is_taken_once_it_is_right_and_comes_from_this_site() {
        let forms = Forms::new().expect("randomness");
        let session = session_of(&send(&forms, Method::GET, "/join", None, "").await);
        let token = forms.token(&session);
        let right = "name=Ann+Vey&email=ann%40sule.example&island=Sule&agree=yes";
        let table = [
            (format!("token={token}&{right}"), StatusCode::SEE_OTHER),
            (format!("token=0000&{right}"), StatusCode::FORBIDDEN),
            (right.to_owned(), StatusCode::FORBIDDEN),
            (format!("token={token}&name=A&email=x&island=Atlantis"), StatusCode::UNPROCESSABLE_ENTITY),
        ];
        for (body, expected) in table {
            let reply = send(&forms, Method::POST, "/join", Some(&session), &body).await;
            assert_eq!(reply.status(), expected, "{body}");
        }
        assert_eq!(forms.state().joined, 1);
        let thanks = send(&forms, Method::GET, "/join/thanks", Some(&session), "").await;
        let page = thanks.into_body().collect().await.expect("a page").to_bytes();
        assert!(String::from_utf8_lossy(&page).contains("Welcome aboard, Ann Vey"));
    }

    #[tokio::test(start_paused = true)]
    async fn signing_in_changes_the_session_and_a_wrong_password_does_not() {
        let forms = Forms::new().expect("randomness");
        let session = session_of(&send(&forms, Method::GET, "/login", None, "").await);
        let token = forms.token(&session);
        let wrong = format!("token={token}&email=edda%40openharbour.example&password=guess");
        assert_eq!(
            send(&forms, Method::POST, "/login", Some(&session), &wrong).await.status(),
            StatusCode::UNAUTHORIZED
        );
        let right = format!("token={token}&email=edda%40openharbour.example&password={PASSWORD}");
        let reply = send(&forms, Method::POST, "/login", Some(&session), &right).await;
        assert_eq!(reply.status(), StatusCode::SEE_OTHER);
        let signed_in = session_of(&reply);
        assert_ne!(signed_in, session);
        assert_eq!(send(&forms, Method::GET, "/account", Some(&session), "").await.status(), StatusCode::SEE_OTHER);
        assert_eq!(send(&forms, Method::GET, "/account", Some(&signed_in), "").await.status(), StatusCode::OK);
    }

    #[test]
    fn check_digits_catch_a_wrong_digit() {
        for (number, right) in
            [("4242424242424242", true), ("4242424242424243", false), ("4242", false), ("424242424242424x", false)]
        {
            assert_eq!(is_card(number), right, "{number}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = Kept::default();
        for number in 0..KEPT + 50 {
            kept.keep(number.to_string(), number);
        }
        assert_eq!((kept.entries.len(), kept.order.len()), (KEPT, KEPT));
        assert!(kept.get("0").is_none() && kept.get("50").is_some());
        kept.forget("50");
        assert_eq!((kept.entries.len(), kept.order.len()), (KEPT - 1, KEPT - 1));
    }
}
