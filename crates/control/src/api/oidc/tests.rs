//! Signing in by a provider that does what it is told: as it should, and as it never should.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use serde_json::{Value, json};

use crate::api::tests::{Browser, Stand, request, stand_by};
use crate::model::Role;
use crate::oidc::double::{Acts, Double, Pair, merge, text};

const AT: &str = "http://localhost:9181";

async fn scene() -> (Stand, Double) {
    let double = Double::start().await;
    (stand_by(AT, &[], Some(double.declared())), double)
}

/// What a browser has when it goes to the provider: the address, and the cookie.
async fn away(stand: &Stand) -> (String, String) {
    let (status, headers, told) = stand.send(request("POST", "/api/v1/session/oidc", &Browser::default(), None)).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let cookie = headers[SET_COOKIE].to_str().expect("text").to_owned();
    assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"), "{cookie}");
    (told["url"].as_str().expect("text").to_owned(), cookie.split(';').next().expect("a pair").to_owned())
}

async fn back(stand: &Stand, cookie: &str, sent: &Value) -> (StatusCode, Value, Browser) {
    let mut request = request("PUT", "/api/v1/session/oidc", &Browser::default(), Some(sent.clone()));
    request.headers_mut().insert("cookie", cookie.parse().expect("a header"));
    let (status, headers, told) = stand.send(request).await;
    let cookies = headers.get_all(SET_COOKIE).into_iter().filter_map(|it| it.to_str().ok());
    let own = cookies.filter_map(|it| it.strip_prefix("portcullis=")?.split(';').next()).next().unwrap_or_default();
    let browser = Browser { cookie: own.to_owned(), csrf: told["csrf"].as_str().unwrap_or_default().to_owned() };
    (status, told, browser)
}

/// All of it.
async fn enter(stand: &Stand, double: &Double) -> (StatusCode, Value, Browser) {
    let (url, cookie) = away(stand).await;
    back(stand, &cookie, &double.visit(&url)).await
}

/// What was put on record meanwhile: a login's is written by another thread.
async fn recorded(stand: &Stand, words: &str) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..200 {
        all.extend(stand.asked());
        if all.iter().any(|it| it.contains(words)) {
            return all;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{words} is not among {all:?}");
}

#[tokio::test]
async fn whoever_the_provider_vouches_for_is_in_with_the_role_that_it_gives() {
    let (stand, double) = scene().await;
    let (_, session) = stand.ask("GET", "/api/v1/session", &Browser::default(), None).await;
    assert_eq!((&session["ways"], &session["provider"]), (&json!(["password", "passkey", "oidc"]), &json!("Folk")));
    assert_eq!((double.times("/keys"), double.times("/token")), (0, 0), "nobody has asked");
    let (status, told, ane) = enter(&stand, &double).await;
    assert_eq!(
        (status, &told["person"]["name"], &told["person"]["role"]),
        (StatusCode::OK, &json!("Ane"), &json!("operator"))
    );
    assert_eq!(told["person"]["federated"], true);
    assert_eq!(stand.ask("GET", "/api/v1/now", &ane, None).await.0, StatusCode::OK);
    let acted = stand.ask("POST", "/api/v1/measures/r-81/undo", &ane, None).await;
    assert_eq!(acted.0, StatusCode::OK, "{}", acted.1);
    let on_record = recorded(&stand, "login Ane true").await;
    assert!(
        on_record.iter().any(|it| it == "Ane has an account as operator: the provider vouches by Ane"),
        "{on_record:?}"
    );
    assert!(on_record.iter().any(|it| it == "Undo(RuleId(81)) by Ane"), "{on_record:?}");
    let (_, own) = stand.ask("GET", "/api/v1/session/all", &ane, None).await;
    assert_eq!(own[0]["way"], "oidc");

    // What the provider answers for is not asked of the console, and not changed in it.
    for (method, path, body) in [("POST", "/api/v1/session/totp", None), ("POST", "/api/v1/session/passkeys", None)] {
        let (status, told) = stand.ask(method, path, &ane, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {told}");
    }
    let owner = stand.browser("Ow", Role::Owner);
    let (status, told) = stand.ask("PUT", "/api/v1/people/Ane/role", &owner, Some(json!({"role": "owner"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");

    // By another name of the console it is not offered: the cookie would stay behind.
    let mut elsewhere = request("GET", "/api/v1/session", &Browser::default(), None);
    elsewhere.headers_mut().insert("host", "127.0.0.1:9181".parse().expect("a header"));
    assert_eq!(stand.send(elsewhere).await.2["ways"], json!(["password"]));
}

#[tokio::test]
async fn nothing_is_believed_but_what_was_asked_for() {
    type Change = fn(&mut Acts);
    let table: [(&str, Change, &str); 22] = [
        ("as it should be", |_| {}, ""),
        ("for another program", |acts| merge(&mut acts.claims, &json!({"aud": "shop"})), "another program"),
        ("for others, too", |acts| merge(&mut acts.claims, &json!({"aud": ["gate way", "shop"]})), "another program"),
        ("made for another", |acts| merge(&mut acts.claims, &json!({"azp": "shop"})), "another program"),
        (
            "of another provider",
            |acts| merge(&mut acts.claims, &json!({"iss": "https://evil.example"})),
            "another provider",
        ),
        ("to another question", |acts| merge(&mut acts.claims, &json!({"nonce": "n"})), "another question"),
        ("to no question", |acts| acts.claims["nonce"] = Value::Null, "another question"),
        ("over", |acts| merge(&mut acts.claims, &json!({"exp": 1})), "it is over"),
        ("for ever", |acts| acts.claims["exp"] = Value::Null, "missing"),
        (
            "of the future",
            |acts| merge(&mut acts.claims, &json!({"iat": 9_000_000_000_u64, "exp": 9_000_000_300_u64})),
            "the future",
        ),
        ("of long ago", |acts| merge(&mut acts.claims, &json!({"iat": 1})), "too long ago"),
        ("about nobody", |acts| acts.claims["sub"] = Value::Null, "about whom"),
        ("by no key", |acts| merge(&mut acts.header, &json!({"alg": "none"})), "not signed"),
        ("by a shared secret", |acts| merge(&mut acts.header, &json!({"alg": "HS256"})), "not signed"),
        (
            "by another kind of key",
            |acts| merge(&mut acts.header, &json!({"alg": "RS256"})),
            "not one of the provider's",
        ),
        ("by a key of somebody else", |acts| acts.pair = Pair::es256(), "signature is wrong"),
        (
            "by a key that it brings along",
            |acts| {
                acts.pair = Pair::es256();
                let own = acts.pair.jwk("k1");
                merge(&mut acts.header, &json!({"jwk": own, "jku": "http://localhost/keys"}));
            },
            "signature is wrong",
        ),
        (
            "by a key of another name",
            |acts| merge(&mut acts.header, &json!({"kid": "k2"})),
            "not one of the provider's",
        ),
        ("of another kind", |acts| merge(&mut acts.header, &json!({"typ": "at+jwt"})), "another kind"),
        (
            "without its signature",
            |acts| acts.bend = |token| token.rsplit_once('.').map(|(rest, _)| format!("{rest}.")).unwrap_or_default(),
            "signature is wrong",
        ),
        (
            "with other claims behind the signature's back",
            |acts| {
                acts.bend = |token| {
                    let parts: Vec<&str> = token.split('.').collect();
                    format!("{}.{}.{}", parts[0], text(b"{\"sub\":\"s-2\"}"), parts[2])
                };
            },
            "signature is wrong",
        ),
        ("too long", |acts| acts.bend = |token| token + &"A".repeat(20_000), "too long"),
    ];
    for (case, change, why) in table {
        let (stand, double) = scene().await;
        double.will(change);
        let (status, told, browser) = enter(&stand, &double).await;
        if why.is_empty() {
            assert_eq!(status, StatusCode::OK, "{case}: {told}");
            continue;
        }
        assert!(!status.is_success() && browser.cookie.is_empty(), "{case}: {told}");
        assert!(told["detail"].as_str().is_some_and(|words| words.contains(why)), "{case}: {told}");
        assert_eq!(stand.app.people.all().expect("readable"), [], "{case}: nobody has an account by it");
    }
}

#[tokio::test]
async fn an_answer_is_good_once_and_in_the_browser_that_asked() {
    let (stand, double) = scene().await;
    let (url, cookie) = away(&stand).await;
    let sent = double.visit(&url);
    assert_eq!(back(&stand, &cookie, &sent).await.0, StatusCode::OK);
    let (status, told, _) = back(&stand, &cookie, &sent).await;
    assert!(
        status == StatusCode::UNAUTHORIZED && told["detail"].as_str().is_some_and(|it| it.contains("it was used")),
        "{told}"
    );

    let (url, _) = away(&stand).await;
    let (other, theirs) = away(&stand).await;
    let sent = double.visit(&url);
    let (status, told, _) = back(&stand, &theirs, &sent).await;
    assert!(
        status == StatusCode::UNAUTHORIZED && told["detail"].as_str().is_some_and(|it| it.contains("another browser")),
        "{told}"
    );
    let asked = double.times("/token");
    for (case, state, cookie) in [("made up", "AAAA", theirs.as_str()), ("without a cookie", "", "x=y")] {
        let state = if state.is_empty() { double.visit(&other)["state"].clone() } else { json!(state) };
        let (status, told, _) = back(&stand, cookie, &json!({"state": state, "code": "c"})).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{case}: {told}");
    }
    assert_eq!(double.times("/token"), asked, "the provider was not asked for any of it");

    for (case, change, status, why) in [
        ("no", json!({"code": null, "error": "access_denied\r\n<b>"}), 401, "Folk said no: access_denied<b>"),
        ("neither yes nor no", json!({"code": null}), 401, "no code"),
        ("of another provider", json!({"iss": "https://evil.example"}), 401, "another provider"),
        ("another code", json!({"code": "guess"}), 401, "does not take this code"),
        ("too long", json!({"code": "c".repeat(5_000)}), 401, "no code"),
    ] {
        let (url, cookie) = away(&stand).await;
        let mut sent = double.visit(&url);
        merge(&mut sent, &change);
        let (told_status, told, _) = back(&stand, &cookie, &sent).await;
        assert!(
            told_status.as_u16() == status && told["detail"].as_str().is_some_and(|it| it.contains(why)),
            "{case}: {told}"
        );
    }
}

#[tokio::test]
async fn whoever_lost_the_role_is_out_and_whoever_has_none_never_gets_in() {
    let (stand, double) = scene().await;
    let groups = |groups: Value| double.will(|acts| merge(&mut acts.claims, &json!({ "groups": groups })));
    let (_, _, before) = enter(&stand, &double).await;
    let token = stand.ask("POST", "/api/v1/session/oidc", &before, None).await;
    assert_eq!(token.0, StatusCode::OK);
    // More than before: what was open stays so.
    groups(json!(["staff", "gate-owners"]));
    let (_, told, owner) = enter(&stand, &double).await;
    assert_eq!(told["person"]["role"], "owner");
    assert_eq!(stand.ask("GET", "/api/v1/people", &before, None).await.0, StatusCode::OK);
    let made =
        stand.ask("POST", "/api/v1/tokens", &owner, Some(json!({"name": "wall", "role": "viewer", "days": 9}))).await;
    assert_eq!(made.0, StatusCode::OK, "{}", made.1);
    // Less: everything that was open ends.
    groups(json!("staff"));
    let (_, told, viewer) = enter(&stand, &double).await;
    assert_eq!(told["person"]["role"], "viewer");
    for old in [&before, &owner] {
        assert_eq!(stand.ask("GET", "/api/v1/now", old, None).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(stand.ask("GET", "/api/v1/now", &viewer, None).await.0, StatusCode::OK);
    // Nothing at all.
    groups(json!(["everybody"]));
    let (status, told, nobody) = enter(&stand, &double).await;
    assert!(status == StatusCode::FORBIDDEN && nobody.cookie.is_empty(), "{told}");
    assert!(told["detail"].as_str().is_some_and(|it| it.contains("nothing in `groups` gives you a role")), "{told}");
    assert_eq!(stand.ask("GET", "/api/v1/now", &viewer, None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(stand.app.people.tokens().expect("readable"), [], "a token is no way around it");
    recorded(&stand, "login Ane false").await;
    // A stranger, who gets no account.
    double.will(|acts| merge(&mut acts.claims, &json!({"sub": "s-9", "preferred_username": "Eve"})));
    assert_eq!(enter(&stand, &double).await.0, StatusCode::FORBIDDEN);
    recorded(&stand, "login Eve (by Folk) false").await;
    // However long a name is, it does not push out whose word it was.
    double.will(|acts| merge(&mut acts.claims, &json!({"preferred_username": "Ane ".repeat(500)})));
    assert_eq!(enter(&stand, &double).await.0, StatusCode::FORBIDDEN);
    recorded(&stand, "Ane Ane Ane Ane Ane Ane Ane Ane  (by Folk) false").await;
    assert_eq!(stand.app.people.all().expect("readable").len(), 1);
}

#[tokio::test]
async fn a_name_leads_to_no_account() {
    let (stand, double) = scene().await;
    let local = stand.browser("Ane", Role::Owner);
    for name in ["Ane", "ANE", " ane "] {
        double.will(|acts| merge(&mut acts.claims, &json!({ "preferred_username": name })));
        let (status, told, browser) = enter(&stand, &double).await;
        assert!(status == StatusCode::FORBIDDEN && browser.cookie.is_empty(), "{name}: {told}");
    }
    assert_eq!(stand.ask("GET", "/api/v1/now", &local, None).await.0, StatusCode::OK, "hers stays as it was");
    recorded(&stand, "login Ane (by Folk) false").await;
    assert_eq!(stand.app.people.failures("Ane").expect("readable"), [], "and has nothing to do with it");
    double.will(|acts| merge(&mut acts.claims, &json!({"preferred_username": "Ane by Folk"})));
    assert_eq!(enter(&stand, &double).await.0, StatusCode::OK);
}

#[tokio::test]
async fn only_verified_addresses_of_the_declared_domains_come_in() {
    for (email, verified, good) in [
        ("ane@example.org", json!(true), true),
        ("ane@EXAMPLE.org", json!("true"), true),
        ("ane@example.org", json!(false), false),
        ("ane@example.org.evil.example", json!(true), false),
        ("example.org", json!(true), false),
        ("ane@example.org", Value::Null, false),
    ] {
        let double = Double::start().await;
        let mut declared = double.declared();
        declared.domains = vec!["example.org".to_owned()];
        let stand = stand_by(AT, &[], Some(declared));
        double.will(|acts| merge(&mut acts.claims, &json!({ "email": email, "email_verified": verified })));
        let (status, told, _) = enter(&stand, &double).await;
        assert_eq!(status == StatusCode::OK, good, "{email} {verified}: {told}");
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_a_made_up_one_is_not_asked_for_again_and_again() {
    let (stand, double) = scene().await;
    assert_eq!(enter(&stand, &double).await.0, StatusCode::OK);
    assert_eq!(enter(&stand, &double).await.0, StatusCode::OK);
    assert_eq!(double.times("/keys"), 1, "they are kept");
    double.will(|acts| {
        acts.pair = Pair::ed25519();
        acts.keys.push(acts.pair.jwk("k2"));
        acts.header = json!({"alg": "EdDSA", "kid": "k2"});
    });
    // They were asked for a moment ago; a minute later they are again.
    assert_eq!(enter(&stand, &double).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(double.times("/keys"), 1);
    let oidc = stand.app.oidc.as_ref().expect("declared");
    oidc.forget_when_asked();
    assert_eq!(enter(&stand, &double).await.0, StatusCode::OK);
    assert_eq!(double.times("/keys"), 2);
}

#[tokio::test]
async fn a_provider_that_is_away_keeps_nobody_else_out() {
    let (stand, double) = scene().await;
    let (url, cookie) = away(&stand).await;
    let sent = double.visit(&url);
    double.will(|acts| drop(acts.instead.insert("/token", (503, String::new()))));
    let (status, told, _) = back(&stand, &cookie, &sent).await;
    assert!(
        status == StatusCode::SERVICE_UNAVAILABLE
            && told["detail"].as_str().is_some_and(|it| it.contains("another way")),
        "{told}"
    );
    let mut gone = double.declared();
    gone.issuer = "http://127.0.0.1:1".to_owned();
    let stand = stand_by(AT, &[], Some(gone));
    stand.browser("Ane", Role::Operator);
    let (status, told) = stand.ask("POST", "/api/v1/session/oidc", &Browser::default(), None).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    let sent = json!({"name": "Ane", "password": "heron lantern gravel soup"});
    assert_eq!(stand.ask("POST", "/api/v1/session", &Browser::default(), Some(sent)).await.0, StatusCode::OK);
    let (status, told) = stand_by(AT, &[], None).ask("POST", "/api/v1/session/oidc", &Browser::default(), None).await;
    assert_eq!(status, StatusCode::CONFLICT, "{told}");
}

#[tokio::test]
async fn whoever_tries_again_and_again_waits() {
    let (stand, _double) = scene().await;
    for _ in 0..10 {
        away(&stand).await;
    }
    let (status, headers, told) = stand.send(request("POST", "/api/v1/session/oidc", &Browser::default(), None)).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{told}");
    assert!(headers.contains_key("retry-after"));
}
