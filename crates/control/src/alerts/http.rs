//! Messages that go by HTTP: what each kind of service takes, and the request itself.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;

use super::Way;
use super::plan::{Level, Message, What, name};
use super::words::Text;
use crate::fetch::fetch;

/// What is posted, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Post {
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// A message as a service takes it; none for what does not go by HTTP. `now` is Unix milliseconds, of this try.
pub(super) fn post(way: &Way, message: &Message, text: &Text, now: u64) -> Option<Post> {
    let whole = format!("{}\n\n{}", text.title, text.body);
    let (url, mut headers, body) = match way {
        Way::Email(_) => return None,
        Way::Webhook { url, secret } => {
            let body = hook(message, text).to_string();
            (url.clone(), signed(secret, &id(message), now / 1_000, &body), body)
        }
        Way::Ntfy { url, token } => {
            let (server, topic) = url.trim_end_matches('/').rsplit_once('/')?;
            let priority = match message.level {
                _ if message.what == What::Over => 3,
                Level::Page => 5,
                Level::Warning => 4,
                Level::Notice => 3,
            };
            let body = json!({
                "topic": topic, "title": text.title, "message": text.body, "priority": priority, "click": message.url,
            });
            let token = token.iter().map(|token| ("authorization", format!("Bearer {token}"))).collect();
            (format!("{server}/"), token, body.to_string())
        }
        // Both render Markdown of their own; the text has nothing that either would take for a command but the marks of its lists.
        Way::Slack(url) => (url.clone(), Vec::new(), json!({ "text": escaped(&whole) }).to_string()),
        Way::Mattermost(url) => (url.clone(), Vec::new(), json!({ "text": whole }).to_string()),
        Way::Teams(url) => (url.clone(), Vec::new(), card(message, text).to_string()),
    };
    headers.push(("content-type", "application/json".to_owned()));
    Some(Post { url, headers, body })
}

/// Sends it; a service that says no is told in its own words, shortened.
pub(super) async fn send(post: &Post, tls: &TlsConnector) -> Result<(), String> {
    let mut request = Request::post(&post.url);
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(post.body.clone()))).map_err(|error| error.to_string())?;
    let (status, _) = fetch(request, tls, None).await?;
    if status.is_success() { Ok(()) } else { Err(format!("the service answered {status}")) }
}

/// A message has the same name at each try, so that whoever got it twice knows.
pub(super) fn id(message: &Message) -> String {
    format!("msg_{}_{}", message.group, message.number)
}

/// `webhook-id`, `webhook-timestamp` and `webhook-signature` over both and the body (Standard Webhooks 1.0).
fn signed(secret: &[u8], id: &str, seconds: u64, body: &str) -> Vec<(&'static str, String)> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(tag.as_ref()))),
    ]
}

fn hook(message: &Message, text: &Text) -> Value {
    let what = match &message.what {
        What::Began => "alert.began",
        What::Unanswered => "alert.unanswered",
        What::Over => "alert.over",
        What::Test(_) => "alert.test",
    };
    let items = message.items.iter().map(|item| {
        json!({
            "kind": format!("{:?}", item.trouble.kind).to_lowercase(),
            "about": item.trouble.about,
            "level": name(item.trouble.level),
            "words": item.trouble.words,
            "since": item.since,
            "over": item.over,
        })
    });
    json!({
        "type": what,
        "timestamp": message.at,
        "data": {
            "group": message.group.to_string(),
            "level": name(message.level),
            "title": text.title,
            "text": text.body,
            "url": message.url,
            "items": items.collect::<Vec<_>>(),
        },
    })
}

fn card(message: &Message, text: &Text) -> Value {
    let block = |text: &str, weight: &str| json!({ "type": "TextBlock", "text": text, "weight": weight, "wrap": true });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [block(&text.title, "Bolder"), block(&text.body.replace('\n', "\n\n"), "Default")],
                "actions": [{ "type": "Action.OpenUrl", "title": "Portcullis", "url": message.url }],
            },
        }],
    })
}

/// The three characters that Slack reads as its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::plan::{Item, Kind, Trouble};

    fn message() -> Message {
        let trouble =
            Trouble { kind: Kind::Attack, about: "public".to_owned(), level: Level::Page, words: "<much>".to_owned() };
        let items = vec![Item { trouble, since: 1, over: None }];
        let url = "https://console.example.org".to_owned();
        Message { channel: 0, group: 7, number: 2, what: What::Began, level: Level::Page, items, at: 5, url }
    }

    fn of(way: &Way) -> (Post, Value) {
        let text = Text { title: "Attack on public".to_owned(), body: "<much> & more".to_owned() };
        let post = post(way, &message(), &text, 1_614_265_330_000).expect("it goes by HTTP");
        let body = serde_json::from_str(&post.body).expect("JSON");
        (post, body)
    }

    #[test]
    fn each_service_gets_what_it_takes() {
        let (hook, body) = of(&Way::Webhook { url: "http://h/x".to_owned(), secret: b"key".to_vec() });
        assert_eq!(
            (body["type"].as_str(), body["data"]["items"][0]["kind"].as_str()),
            (Some("alert.began"), Some("attack"))
        );
        assert_eq!(hook.headers[0], ("webhook-id", "msg_7_2".to_owned()));
        let (ntfy, body) =
            of(&Way::Ntfy { url: "https://ntfy.example.org/gate".to_owned(), token: Some("t".to_owned()) });
        assert_eq!(ntfy.url, "https://ntfy.example.org/");
        assert_eq!((body["topic"].as_str(), body["priority"].as_u64()), (Some("gate"), Some(5)));
        assert!(ntfy.headers.contains(&("authorization", "Bearer t".to_owned())));
        let (_, body) = of(&Way::Slack("http://h/s".to_owned()));
        assert!(body["text"].as_str().is_some_and(|text| text.contains("&lt;much&gt; &amp; more")), "{body}");
        let (_, body) = of(&Way::Mattermost("http://h/m".to_owned()));
        assert!(body["text"].as_str().is_some_and(|text| text.starts_with("Attack on public\n\n<much>")), "{body}");
        let (_, body) = of(&Way::Teams("http://h/t".to_owned()));
        assert_eq!(body["attachments"][0]["content"]["body"][0]["text"], "Attack on public");
        assert_eq!(body["attachments"][0]["content"]["actions"][0]["url"], "https://console.example.org");
    }

    /// The example of the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let headers = signed(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(headers[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
