//! Signatures by the standards' own examples, and what is kept of a provider.

use serde_json::json;

use super::double::{Double, Pair};
use super::*;
use crate::server;

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn read(jwk: &serde_json::Value) -> Keys {
    wire::keys(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("keys")
}

/// RFC 7515 appendix A.3 and RFC 8037 appendix A.4.
#[test]
fn the_standards_own_signatures_are_good_and_no_others() {
    let es256 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    for (jwk, token) in [
        (
            es256,
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            ed25519,
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let (signed, signature) = token.rsplit_once('.').expect("a token");
        let read = read(&jwk);
        let key = read.of(&wire::token(token).expect("a token")).expect("its key").clone();
        assert!(verified(&key, signed.as_bytes(), &decoded(signature)), "{jwk}");
        assert!(!verified(&key, &signed.as_bytes()[1..], &decoded(signature)), "{jwk}");
        let mut bent = decoded(signature);
        bent[7] ^= 1;
        assert!(!verified(&key, signed.as_bytes(), &bent), "{jwk}");
        assert!(!verified(&key, signed.as_bytes(), &[0; 64]), "{jwk}");
    }
}

#[test]
fn each_kind_of_key_verifies_what_it_has_signed() {
    let pairs = [Pair::es256(), Pair::ed25519(), Pair::rs256()];
    for (at, pair) in pairs.iter().enumerate() {
        let header = text(&json!({"alg": pair.algorithm(), "kid": "k"}));
        let token = format!("{header}.e30.{}", text(&"x"));
        let read = read(&pair.jwk("k"));
        let key = read.of(&wire::token(&token).expect("a token")).expect("its key").clone();
        for (other, by) in pairs.iter().enumerate() {
            assert_eq!(
                verified(&key, b"words", &by.sign(b"words")),
                at == other,
                "{} {}",
                pair.algorithm(),
                by.algorithm()
            );
        }
    }
}

fn text(value: &impl serde::Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("JSON"))
}

#[tokio::test]
async fn a_document_is_asked_for_once_an_hour_and_nothing_of_it_is_guessed() {
    let double = Double::start().await;
    let oidc = Oidc::new(double.declared(), "https://console.example.org");
    let now = server::now();
    for _ in 0..3 {
        oidc.send(now).await.expect("sent");
    }
    assert_eq!(double.times(WELL_KNOWN), 1);
    oidc.send(now + KEPT).await.expect("sent");
    assert_eq!(double.times(WELL_KNOWN), 2);
    for (case, status, body) in [
        ("of another", 200, json!({"issuer": "https://evil.example"}).to_string()),
        ("elsewhere", 302, String::new()),
        ("broken", 500, String::new()),
        ("no JSON", 200, "<html>".to_owned()),
        ("too long", 200, " ".repeat(wire::DOCUMENT + 1)),
    ] {
        double.will(|acts| drop(acts.instead.insert(WELL_KNOWN, (status, body))));
        let fresh = Oidc::new(double.declared(), "https://console.example.org");
        assert!(matches!(fresh.send(now).await, Err(Denied::Broken(_))), "{case}");
    }
    assert_eq!(double.times("/token"), 0, "nothing is followed to another place");
    double.will(|acts| acts.instead.clear());
    Oidc::new(double.declared(), "https://console.example.org").send(now).await.expect("its twin");
}

#[tokio::test]
async fn who_is_away_at_the_provider_is_bounded() {
    let double = Double::start().await;
    let oidc = Oidc::new(double.declared(), "https://console.example.org");
    let now = server::now();
    let first = oidc.send(now).await.expect("sent");
    for _ in 0..AWAY {
        oidc.send(now).await.expect("sent");
    }
    assert_eq!(lock(&oidc.away).len(), AWAY);
    let state = double.visit(&first.url)["state"].as_str().expect("text").to_owned();
    let sent = OidcReturn { state, ..OidcReturn::default() };
    assert!(matches!(oidc.back(&sent, Some(&first.cookie), now).await, Err(Back::Nobody(_))), "the first is forgotten");
    let late = oidc.send(now).await.expect("sent");
    let state = double.visit(&late.url)["state"].as_str().expect("text").to_owned();
    let sent = OidcReturn { state, ..OidcReturn::default() };
    assert!(matches!(oidc.back(&sent, Some(&late.cookie), now + STAY).await, Err(Back::Nobody(_))), "too late");
}

#[test]
fn the_provider_sends_people_back_to_the_name_that_they_came_by() {
    for (url, host, back) in [
        ("https://console.example.org", "console.example.org", "https://console.example.org/oidc"),
        ("https://console.example.org:443/", "Console.Example.org", "https://console.example.org:443/oidc"),
        ("https://console.example.org:9181", "console.example.org:9181", "https://console.example.org:9181/oidc"),
        ("http://localhost:9181", "localhost:9181", "http://localhost:9181/oidc"),
    ] {
        let oidc = Oidc::new(Provider::default(), url);
        assert!(oidc.is_at(host) && !oidc.is_at("127.0.0.1:9181"), "{url}");
        assert_eq!(oidc.back, back);
    }
}
