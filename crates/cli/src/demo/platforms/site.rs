//! What the three platforms share: the frame around a page, the assets, and the words.
//!
//! The campaign is invented: Open Harbour, the Merrow Islands and everybody on them exist nowhere else.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use portcullis_sensors::manifest::hex;
use sha2::{Digest, Sha256};

use super::{Asked, Reply, reply};

/// A file that pages need.
#[derive(Debug)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: Bytes,
    tag: HeaderValue,
}

/// The assets of the campaign, ready to be sent.
#[derive(Debug)]
pub(crate) struct Assets(Vec<Asset>);

const SVG: &str = "image/svg+xml";

impl Assets {
    /// All of them; every platform serves its own copy, as real ones do.
    pub(crate) fn new() -> Self {
        let files: [(&'static str, &'static str, &'static str); 10] = [
            ("/assets/site.css", "text/css; charset=utf-8", include_str!("../site/site.css")),
            ("/assets/site.js", "text/javascript; charset=utf-8", include_str!("../site/site.js")),
            ("/assets/desk.js", "text/javascript; charset=utf-8", include_str!("../site/desk.js")),
            ("/assets/harbour.svg", SVG, include_str!("../site/harbour.svg")),
            ("/assets/ferries.svg", SVG, include_str!("../site/ferries.svg")),
            ("/assets/homes.svg", SVG, include_str!("../site/homes.svg")),
            ("/assets/schools.svg", SVG, include_str!("../site/schools.svg")),
            ("/assets/water.svg", SVG, include_str!("../site/water.svg")),
            ("/assets/council.svg", SVG, include_str!("../site/council.svg")),
            ("/assets/work.svg", SVG, include_str!("../site/work.svg")),
        ];
        let mark = Bytes::from_static(include_str!("../site/mark.svg").as_bytes());
        let mut assets: Vec<Asset> = files
            .into_iter()
            .map(|(path, kind, text)| Asset::new(path, kind, Bytes::from_static(text.as_bytes())))
            .collect();
        assets.push(Asset::new("/favicon.ico", SVG, mark.clone()));
        assets.push(Asset::new("/assets/mark.svg", SVG, mark));
        let portraits = ["/assets/edda.svg", "/assets/tomas.svg", "/assets/noor.svg", "/assets/ilse.svg"];
        for (path, look) in portraits.into_iter().zip(LOOKS) {
            assets.push(Asset::new(path, SVG, portrait(look).into()));
        }
        Self(assets)
    }

    /// The asset that is asked for, or 304 when the browser holds it; `None` when there is no such file.
    pub(crate) fn answer(&self, asked: &Asked) -> Option<Reply> {
        let asset = self.0.iter().find(|asset| asset.path == asked.path)?;
        let held = asked.headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == asset.tag);
        let mut answer = if held {
            reply(StatusCode::NOT_MODIFIED, asset.content_type, Bytes::new())
        } else {
            reply(StatusCode::OK, asset.content_type, asset.body.clone())
        };
        let headers = answer.headers_mut();
        headers.insert(header::ETAG, asset.tag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
        Some(answer)
    }
}

impl Asset {
    fn new(path: &'static str, content_type: &'static str, body: Bytes) -> Self {
        let digest = hex(Sha256::digest(&body).get(..8).unwrap_or_default());
        let tag = HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"asset\""));
        Self { path, content_type, body, tag }
    }
}

/// Colours of a drawn portrait: ground, skin, hair, clothes; and how long the hair is.
struct Look(&'static str, &'static str, &'static str, &'static str, u8);

const LOOKS: [Look; 4] = [
    Look("#f4b942", "#e9b48f", "#5b3420", "#0f5070", 150),
    Look("#8fbccb", "#c98d62", "#20160f", "#b93a1d", 48),
    Look("#e7c9b3", "#8d5a3a", "#140f0c", "#1c6b45", 138),
    Look("#b9d3c0", "#f0c8a8", "#b8b2a6", "#12263a", 112),
];

fn portrait(Look(ground, skin, hair, clothes, hair_ends): Look) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 260"><rect width="240" height="260" fill="{ground}"/><path d="M64 96c0-40 24-62 56-62s56 22 56 62v{length}c-10 8-102 8-112 0z" fill="{hair}"/><path d="M20 262c2-52 40-76 100-76s98 24 100 76z" fill="{clothes}"/><path d="M102 156h36v36c-6 14-30 14-36 0z" fill="{skin}"/><path d="M78 98c0-30 18-46 42-46s42 16 42 46c0 42-20 74-42 74s-42-32-42-74z" fill="{skin}"/><path d="M76 100c2-34 18-54 46-54 26 0 42 20 42 54-12-8-22-20-26-32-14 16-38 28-62 32z" fill="{hair}"/><g fill="#22160e"><circle cx="104" cy="112" r="4"/><circle cx="136" cy="112" r="4"/></g><path d="M106 142c8 8 20 8 28 0" fill="none" stroke="#22160e" stroke-width="3.5" stroke-linecap="round"/></svg>"##,
        length = hair_ends - 40,
    )
}

/// Where the platforms are for this visitor: the scheme and the port that the browser used.
#[derive(Debug)]
pub(crate) struct Links {
    scheme: &'static str,
    port: String,
}

impl Links {
    /// Read from what the gate passed on. Only the digits of the port are believed.
    pub(crate) fn of(asked: &Asked) -> Self {
        let secure = asked.header("x-forwarded-proto") == Some("https");
        let host = asked.header("host").unwrap_or_default();
        let port = host.rsplit_once(':').map(|(_, port)| port).and_then(|port| port.parse::<u16>().ok());
        Self {
            scheme: if secure { "https" } else { "http" },
            port: port.map(|port| format!(":{port}")).unwrap_or_default(),
        }
    }

    /// Whether the browser came over TLS.
    pub(crate) fn secure(&self) -> bool {
        self.scheme == "https"
    }

    /// An address on one of the platforms: `www`, `join`, `members`.
    pub(crate) fn to(&self, platform: &str, path: &str) -> String {
        format!("{}://{platform}.campaign.localhost{}{path}", self.scheme, self.port)
    }
}

/// What goes around a page.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    /// Which entry of the menu is this page.
    pub(crate) current: &'a str,
    pub(crate) links: &'a Links,
    /// A script beyond the common one.
    pub(crate) script: Option<&'static str>,
    /// Whether the page is the same for everybody.
    pub(crate) shared: bool,
}

/// A page in its frame.
pub(crate) fn page(status: StatusCode, frame: &Frame<'_>, main: &str) -> Reply {
    let Frame { title, current, links, script, shared } = frame;
    let menu: String = [("Issues", "/issues"), ("Events", "/events"), ("About", "/about")]
        .into_iter()
        .map(|(name, path)| {
            let here = if name == *current { " aria-current=\"page\"" } else { "" };
            format!("<li><a href=\"{}\"{here}>{name}</a></li>", links.to("www", path))
        })
        .collect();
    let script = script.map(|path| format!("<script src=\"{path}\" defer></script>")).unwrap_or_default();
    let text = format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Open Harbour</title>
<meta name="description" content="Open Harbour: for islands that everybody can live on. A sample campaign of the Portcullis demo.">
<link rel="icon" href="/assets/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/site.css">
<script src="/assets/site.js" defer></script>{script}
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="top"><div class="wrap">
<a class="brand" href="{home}"><img src="/assets/mark.svg" alt="" width="37" height="37">Open Harbour</a>
<nav aria-label="Main"><ul>{menu}<li><a class="button" href="{join}">Join</a></li><li><a class="button warm" href="{donate}">Donate</a></li></ul></nav>
</div></header>
<main id="main" tabindex="-1">
{main}
</main>
<footer><div class="wrap">
<div><h2>Open Harbour</h2><p>For islands that everybody can live on.</p><p>The Merrow Islands, the campaign and everybody in it are invented.</p></div>
<nav aria-label="More"><h2>More</h2><ul><li><a href="{search}">Search</a></li><li><a href="{login}">Sign in</a></li><li><a href="{members}">Members’ desk</a></li></ul></nav>
<div><h2>About this page</h2><p>A sample platform of the Portcullis demo. It reached you through the gate, and never left this machine.</p></div>
</div></footer>
</body>
</html>
"##,
        home = links.to("www", "/"),
        join = links.to("join", "/join"),
        donate = links.to("join", "/donate"),
        search = links.to("www", "/search"),
        login = links.to("join", "/login"),
        members = links.to("members", "/"),
    );
    let mut page = reply(status, "text/html; charset=utf-8", text);
    let headers = page.headers_mut();
    let cache = if *shared && status == StatusCode::OK { "public, max-age=60" } else { "no-store" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    );
    page
}

/// The page for a path that is not there.
pub(crate) fn not_found(links: &Links) -> Reply {
    let frame = Frame { title: "Not found", current: "", links, script: None, shared: false };
    let main = format!(
        "<div class=\"wrap page\"><h1>There is no such page</h1><p class=\"lead\">The tide may have taken it.</p>\
         <p><a class=\"button\" href=\"{}\">To the front page</a></p></div>",
        links.to("www", "/")
    );
    page(StatusCode::NOT_FOUND, &frame, &main)
}

/// Text as it may stand in HTML, in an element or between quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};

    fn asked(path: &str, host: &'static str) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        Asked { method: Method::GET, path: path.into(), query: String::new(), headers, body: Bytes::new() }
    }

    #[test]
    fn links_believe_the_port_and_nothing_else() {
        let table = [
            ("localhost:8080", "http://join.campaign.localhost:8080/x"),
            ("localhost", "http://join.campaign.localhost/x"),
            ("evil\"><script>:80x", "http://join.campaign.localhost/x"),
            ("[::1]:8443", "http://join.campaign.localhost:8443/x"),
        ];
        for (host, expected) in table {
            assert_eq!(Links::of(&asked("/", host)).to("join", "/x"), expected, "{host}");
        }
    }

    #[test]
    fn an_asset_that_the_browser_holds_is_not_sent_again() {
        let assets = Assets::new();
        let mut question = asked("/assets/site.css", "localhost");
        let first = assets.answer(&question).expect("the style sheet");
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers().get(header::ETAG).expect("a tag").clone();
        question.headers.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(assets.answer(&question).expect("still there").status(), StatusCode::NOT_MODIFIED);
        assert!(assets.answer(&asked("/assets/none.css", "localhost")).is_none());
    }

    #[test]
    fn what_a_visitor_typed_stays_text() {
        assert_eq!(escape("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
    }
}
