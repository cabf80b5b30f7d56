//! The members' API: search, paging, one member, an export; and a desk in the browser that uses it.
//!
//! Four thousand members, every one of them invented from syllables; no name, address or number is anybody's.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame as BodyFrame};
use portcullis_sensors::manifest::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::site::{self, Assets, Frame, Links};
use super::store::{Store, Unanswered};
use super::{Asked, Desks, Platform, Reply, reply, text};
use crate::demo::chance::{Chance, secret};
use portcullis_incident::spaced;

/// The header that carries the key, which the gate's rates by API key know.
pub(crate) const KEY_HEADER: &str = "x-api-key";
/// Who may sign in to the API.
pub(crate) const USERS: [&str; 3] = ["desk", "newsletter", "field-app"];
/// Their password; the desk's page knows it too.
pub(crate) const PASSWORD: &str = "lantern-demo";
/// The list that an old newsletter read, and that still takes a branch as it comes.
pub(crate) const OLD_LIST: &str = "/api/branch-list";
/// Where their mail goes.
pub(crate) const DOMAIN: &str = "merrow.example";
/// How many members there are.
pub(crate) const MEMBERS: usize = 4_000;

const PER_PAGE: usize = 25;
const PER_PAGE_MOST: usize = 100;
/// Members in one piece of an export.
const PIECE: usize = 200;

/// What the database costs: a row by its number, a search that reads them all, a password.
const ROW: Duration = Duration::from_millis(2);
const SEARCH: Duration = Duration::from_millis(6);
const PASSWORD_CHECK: Duration = Duration::from_millis(25);
const EXPORT: Duration = Duration::from_millis(60);

/// One member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) branch: String,
    pub(crate) since: String,
    /// `left` for those whom no page shows any more.
    pub(crate) status: String,
    /// Name and address in lower case, for the search.
    pub(crate) found_by: String,
}

/// The members' platform.
#[derive(Debug)]
pub(crate) struct Members {
    assets: Assets,
    database: Desks,
    passwords: Desks,
    secret: String,
    members: Store,
}

impl Members {
    /// The platform with its members. `None` when the operating system has no randomness for the keys.
    pub(crate) fn new(members: Store) -> Option<Self> {
        Some(Self {
            assets: Assets::new(),
            database: Desks::new(8),
            passwords: Desks::new(4),
            secret: secret()?,
            members,
        })
    }

    /// A key that carries its own proof, so that nothing is remembered for it.
    fn key(&self, user: &str) -> Option<String> {
        let nonce = secret()?;
        Some(format!("{user}.{nonce}.{}", self.proof(user, &nonce)))
    }

    fn proof(&self, user: &str, nonce: &str) -> String {
        hex(Sha256::digest(format!("{}:{user}:{nonce}", self.secret)).get(..16).unwrap_or_default())
    }

    fn admits(&self, asked: &Asked) -> bool {
        let Some(key) = asked.header(KEY_HEADER) else { return false };
        let mut parts = key.splitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(user), Some(nonce), Some(proof)) => proof == self.proof(user, nonce),
            _ => false,
        }
    }
}

impl Platform for Members {
    async fn answer(&self, asked: Asked) -> Reply {
        if let Some(asset) = self.assets.answer(&asked) {
            return asset;
        }
        let outcome = match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/health") => Ok(text(StatusCode::OK, "well")),
            (&Method::GET, "/") => Ok(desk(&Links::of(&asked))),
            (&Method::POST, "/api/login") => self.login(&asked).await,
            (_, path) if !path.starts_with("/api/") => Ok(site::not_found(&Links::of(&asked))),
            _ if !self.admits(&asked) => {
                Ok(refusal(StatusCode::UNAUTHORIZED, "sign in at POST /api/login and send the key as x-api-key"))
            }
            (&Method::GET, "/api/members") => self.search(&asked).await,
            (&Method::GET, "/api/members.csv") => self.export(&asked).await,
            (&Method::GET, OLD_LIST) => self.old_list(&asked).await,
            (&Method::GET, path) => self.one(path.strip_prefix("/api/members/").unwrap_or_default(), &asked).await,
            _ => Ok(refusal(StatusCode::METHOD_NOT_ALLOWED, "this address takes GET")),
        };
        outcome.unwrap_or_else(|overloaded| *overloaded)
    }
}

impl Members {
    async fn login(&self, asked: &Asked) -> Result<Reply, Box<Reply>> {
        self.passwords.work(PASSWORD_CHECK).await?;
        let said: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let field = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default();
        let user = USERS.into_iter().find(|user| *user == field("user"));
        let key = user.filter(|_| field("password") == PASSWORD).and_then(|user| self.key(user));
        Ok(match key {
            Some(key) => send(StatusCode::OK, &json!({ "key": key, "header": KEY_HEADER })),
            None => refusal(StatusCode::UNAUTHORIZED, "user or password is wrong"),
        })
    }

    async fn search(&self, asked: &Asked) -> Result<Reply, Box<Reply>> {
        self.database.work(SEARCH).await?;
        let number = |name: &str, otherwise: usize| match asked.query(name) {
            None => Some(otherwise),
            Some(text) => text.parse::<usize>().ok().filter(|number| *number > 0),
        };
        let (Some(page), Some(per_page)) = (number("page", 1), number("per_page", PER_PAGE)) else {
            return Ok(refusal(StatusCode::BAD_REQUEST, "page and per_page are numbers from 1"));
        };
        let per_page = per_page.min(PER_PAGE_MOST);
        let wanted = asked.query("q").unwrap_or_default().trim().to_lowercase();
        let branch = asked.query("branch").unwrap_or_default();
        let found =
            self.members.search(&wanted, &branch, page - 1, per_page, request_of(asked)).await.map_err(silent)?;
        let shown: Vec<Value> = found.members.iter().map(Member::json).collect();
        let pages = found.total.div_ceil(per_page).max(1);
        Ok(send(
            StatusCode::OK,
            &json!({ "total": found.total, "page": page, "pages": pages, "per_page": per_page, "members": shown }),
        ))
    }

    async fn one(&self, id: &str, asked: &Asked) -> Result<Reply, Box<Reply>> {
        self.database.work(ROW).await?;
        Ok(match self.members.one(id, request_of(asked)).await.map_err(silent)? {
            Some(member) => send(StatusCode::OK, &member.json()),
            None => refusal(StatusCode::NOT_FOUND, "no such member"),
        })
    }

    /// What the newsletter used before there was a search.
    async fn old_list(&self, asked: &Asked) -> Result<Reply, Box<Reply>> {
        self.database.work(ROW).await?;
        let branch = asked.query("branch").unwrap_or_default();
        let listed = self.members.of_branch(&branch, request_of(asked)).await.map_err(silent)?;
        let listed: Vec<Value> = listed.iter().map(|(name, email)| json!({ "name": name, "email": email })).collect();
        Ok(send(StatusCode::OK, &json!({ "members": listed })))
    }

    async fn export(&self, asked: &Asked) -> Result<Reply, Box<Reply>> {
        self.database.work(EXPORT).await?;
        let members = self.members.all(request_of(asked)).await.map_err(silent)?;
        let mut export = Response::new(Export { members, next: 0 }.boxed());
        let headers = export.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"members.csv\""));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(export)
    }
}

impl Member {
    fn json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "email": self.email,
            "branch": self.branch, "since": self.since, "status": self.status,
        })
    }
}

/// The members as CSV, a piece at a time: nothing is built that nobody reads.
struct Export {
    members: Arc<Vec<Member>>,
    next: usize,
}

impl Body for Export {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        let export = self.get_mut();
        let mut piece = String::new();
        if export.next == 0 {
            piece.push_str("id,name,email,branch,since,status\r\n");
        }
        for member in export.members.iter().skip(export.next).take(PIECE) {
            let Member { id, name, email, branch, since, status, .. } = member;
            let _ = write!(piece, "{id},{name},{email},{branch},{since},{status}\r\n");
        }
        export.next += PIECE;
        Poll::Ready((!piece.is_empty()).then(|| Ok(BodyFrame::data(piece.into()))))
    }
}

fn send(status: StatusCode, value: &Value) -> Reply {
    let mut answer = reply(status, "application/json", value.to_string());
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The reference that the gate gave the request.
fn request_of(asked: &Asked) -> Option<&str> {
    asked.header("x-request-id")
}

fn silent(_: Unanswered) -> Box<Reply> {
    Box::new(refusal(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer that"))
}

fn refusal(status: StatusCode, message: &str) -> Reply {
    send(status, &json!({ "error": message }))
}

fn desk(links: &Links) -> Reply {
    let main = format!(
        r#"<div class="wrap page"><h1>Members’ desk</h1>
<p class="lead">{count} members, all invented. The page asks the API below, as the newsletter and the field app do.</p>
<form id="search" class="searchbar" role="search" hidden><label class="skip" for="q">Name or email</label><input id="q" type="search" name="q" maxlength="60" placeholder="Name or email" autocomplete="off"><button>Search</button></form>
<div id="result" hidden><div class="table"><table><caption id="status" role="status"></caption><thead><tr><th scope="col">Number</th><th scope="col">Name</th><th scope="col">Email</th><th scope="col">Branch</th><th scope="col">Since</th><th scope="col">Status</th></tr></thead><tbody id="rows"></tbody></table></div>
<p class="pager"><button id="earlier" class="plain" type="button">Earlier</button><button id="later" class="plain" type="button">Later</button></p></div>
<h2>The API</h2>
<pre>curl {silent} {login} -d '{{"user":"desk","password":"{PASSWORD}"}}'
curl {silent} '{search}' -H '{KEY_HEADER}: KEY'
curl {silent} {csv} -H '{KEY_HEADER}: KEY'</pre></div>"#,
        count = spaced(MEMBERS as u64),
        // The certificate of the demo vouches for itself.
        silent = if links.secure() { "-sk" } else { "-s" },
        login = links.to("members", "/api/login"),
        search = links.to("members", "/api/members?q=mar&amp;page=1&amp;per_page=25"),
        csv = links.to("members", "/api/members.csv"),
    );
    let frame = Frame { title: "Members’ desk", current: "", links, script: Some("/assets/desk.js"), shared: false };
    site::page(StatusCode::OK, &frame, &main)
}

const BRANCHES: [&str; 7] = ["Norwick", "Saltby", "Westhaven", "Little Merrow", "Gannet Holm", "Eastrey", "Sule"];
const FIRST: [&str; 16] =
    ["Al", "Be", "Ca", "Da", "El", "Fe", "Ha", "Is", "Jo", "Ka", "Li", "Ma", "No", "Ro", "Si", "Ve"];
const MIDDLE: [&str; 8] = ["ri", "la", "mo", "ne", "vi", "so", "di", "ra"];
const LAST: [&str; 8] = ["n", "sa", "th", "ka", "l", "na", "m", "ra"];
const PLACES: [&str; 14] =
    ["Stor", "Gull", "Brim", "Wind", "Fal", "Hest", "Skar", "Mar", "Tang", "Ost", "Kel", "Lund", "Vik", "Rav"];
const ENDINGS: [&str; 10] = ["vey", "holm", "den", "wick", "rud", "lo", "mark", "sby", "nes", "ow"];

/// The members of a seed, always the same.
pub(crate) fn invent(seed: u64) -> Vec<Member> {
    let mut chance = Chance::new(seed, u64::from_be_bytes(*b"members\0"));
    let mut syllable = |of: &[&'static str]| chance.pick(of).copied().unwrap_or_default();
    let mut members = Vec::with_capacity(MEMBERS);
    for number in 1..=MEMBERS {
        let given = format!("{}{}{}", syllable(&FIRST), syllable(&MIDDLE), syllable(&LAST));
        let family = format!("{}{}", syllable(&PLACES), syllable(&ENDINGS));
        let branch = syllable(&BRANCHES);
        let month = syllable(&["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"]);
        let year = syllable(&["2021", "2022", "2023", "2023", "2024", "2024", "2024", "2025"]);
        let status = syllable(&["active", "active", "active", "active", "volunteer", "volunteer", "paused"]);
        let email = format!("{}.{}{number}@{DOMAIN}", given.to_lowercase(), family.to_lowercase());
        let name = format!("{given} {family}");
        members.push(Member {
            id: format!("M{number:05}"),
            found_by: format!("{} {email}", name.to_lowercase()),
            name,
            email,
            branch: branch.to_owned(),
            since: format!("{year}-{month}"),
            status: status.to_owned(),
        });
    }
    members
}

/// A member that does not exist, as one who has left.
pub(crate) fn planted(number: usize, first: &str, last: &str, email: String) -> Member {
    let name = format!("{first} {last}");
    Member {
        id: format!("M{:05}", MEMBERS + number),
        found_by: format!("{} {email}", name.to_lowercase()),
        name,
        email,
        branch: BRANCHES.first().copied().unwrap_or_default().to_owned(),
        since: "2021-06".to_owned(),
        status: "left".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    async fn ask(members: &Members, path: &str, query: &str, key: Option<&str>) -> (StatusCode, Bytes) {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(KEY_HEADER, HeaderValue::from_str(key).expect("a header"));
        }
        let asked = Asked { method: Method::GET, path: path.into(), query: query.into(), headers, body: Bytes::new() };
        let reply = members.answer(asked).await;
        (reply.status(), reply.into_body().collect().await.expect("a body").to_bytes())
    }

    #[test]
    fn members_are_invented_and_always_the_same() {
        let (one, again, other) = (invent(1), invent(1), invent(2));
        assert_eq!(one.len(), MEMBERS);
        assert!(one.iter().zip(&again).all(|(a, b)| a.name == b.name && a.email == b.email));
        assert!(one.iter().zip(&other).any(|(a, b)| a.name != b.name));
        assert!(one.iter().all(|member| member.email.ends_with(".example")));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_leaves_without_a_key_and_pages_add_up() {
        let members = Members::new(Store::Memory(Arc::new(invent(1)))).expect("randomness");
        let key = members.key("desk").expect("randomness");
        for path in ["/api/members", "/api/members/M00001", "/api/members.csv"] {
            assert_eq!(ask(&members, path, "", None).await.0, StatusCode::UNAUTHORIZED, "{path}");
            let forged = key.replacen("desk", "root", 1);
            assert_eq!(ask(&members, path, "", Some(&forged)).await.0, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(ask(&members, path, "", Some(&key)).await.0, StatusCode::OK, "{path}");
        }
        let (_, page) = ask(&members, "/api/members", "page=2&per_page=100", Some(&key)).await;
        let page: Value = serde_json::from_slice(&page).expect("JSON");
        assert_eq!((page["total"].as_u64(), page["pages"].as_u64()), (Some(4000), Some(40)));
        assert_eq!(page["members"][0]["id"], "M00101");
        let (status, _) = ask(&members, "/api/members", "page=0", Some(&key)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        let (_, csv) = ask(&members, "/api/members.csv", "", Some(&key)).await;
        assert_eq!(csv.split(|byte| *byte == b'\n').count(), MEMBERS + 2, "a heading, the members, and the end");
    }
}
