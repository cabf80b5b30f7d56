//! What providers write, and what somebody writes who wants to be taken for one. Signatures are real where the console verifies them.

use serde_json::json;

use super::*;

const NOW: u64 = 1_790_000_000;
const ISSUER: &str = "https://login.example.org/folk";

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token of these parts, with a signature that a test calls good.
fn made(header: &Value, claims: &Value) -> String {
    format!("{}.{}.c2lnbmVk", encoded(header), encoded(claims))
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "k1", "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "gate", "sub": "248289761001", "exp": NOW + 300, "iat": NOW, "nonce": "n-1",
        "groups": ["staff", "gate-owners"], "realm": {"roles": ["r"]}, "email_verified": true})
}

/// With one member changed, or taken away.
fn with(of: &Value, name: &str, value: Option<Value>) -> Value {
    let mut of = of.clone();
    let members = of.as_object_mut().expect("an object");
    match value {
        Some(value) => drop(members.insert(name.to_owned(), value)),
        None => drop(members.remove(name)),
    }
    of
}

fn jwks() -> Value {
    let number = URL_SAFE_NO_PAD.encode([7; 32]);
    json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256", "x": number, "y": number}]})
}

fn read(jwks: &Value) -> Keys {
    keys(jwks.to_string().as_bytes()).expect("keys")
}

fn judged(text: &str, good: bool) -> Result<Identity, Doubt> {
    let token = token(text)?;
    let keys = read(&jwks());
    let key = keys.of(&token).ok_or(Doubt::Key)?;
    token.identity(
        key,
        &Expected { issuer: ISSUER, client: "gate", nonce: "n-1", now: NOW },
        |key, signed, signature| {
            assert_eq!(key.algorithm(), Algorithm::Es256);
            assert!(text.as_bytes().starts_with(signed), "what is signed is what was sent");
            good && signature == b"signed"
        },
    )
}

#[test]
fn a_token_as_it_should_be_says_who_it_is_about() {
    let identity = judged(&made(&header(), &claims()), true).expect("as it should be");
    assert_eq!(identity.subject, "248289761001");
    assert_eq!(identity.texts("groups"), ["staff", "gate-owners"]);
    assert_eq!(identity.texts("realm.roles"), ["r"]);
    assert_eq!((identity.text("iss"), identity.is("email_verified")), (Some(ISSUER), true));
    assert_eq!((identity.text("realm.roles.more"), identity.text("nothing")), (None, None));
    assert!(!identity.is("groups") && identity.texts("realm").is_empty());
}

#[test]
fn each_claim_must_be_as_it_was_asked_for() {
    type Case = (&'static str, &'static str, Option<Value>, Result<(), Doubt>);
    let table: Vec<Case> = vec![
        ("another issuer", "iss", Some(json!("https://login.example.org/other")), Err(Doubt::Issuer)),
        ("with a slash more", "iss", Some(json!(format!("{ISSUER}/"))), Err(Doubt::Issuer)),
        ("in other letters", "iss", Some(json!(ISSUER.to_uppercase())), Err(Doubt::Issuer)),
        ("no issuer", "iss", None, Err(Doubt::Missing)),
        ("another program", "aud", Some(json!("shop")), Err(Doubt::Audience)),
        ("this program in a list", "aud", Some(json!(["gate"])), Ok(())),
        ("others too", "aud", Some(json!(["gate", "shop"])), Err(Doubt::Audience)),
        ("nobody", "aud", Some(json!([])), Err(Doubt::Audience)),
        ("no audience", "aud", None, Err(Doubt::Audience)),
        ("made for another", "azp", Some(json!("shop")), Err(Doubt::Audience)),
        ("made for us", "azp", Some(json!("gate")), Ok(())),
        ("made for nobody", "azp", Some(Value::Null), Err(Doubt::Audience)),
        ("over, within the leeway", "exp", Some(json!(NOW + 1 - LEEWAY)), Ok(())),
        ("over", "exp", Some(json!(NOW - LEEWAY)), Err(Doubt::Expired)),
        ("for ever", "exp", None, Err(Doubt::Missing)),
        ("until a word", "exp", Some(json!("9999999999")), Err(Doubt::Missing)),
        ("until less than nothing", "exp", Some(json!(-1)), Err(Doubt::Missing)),
        ("until a part of a second", "exp", Some(json!(NOW as f64 + 0.5)), Ok(())),
        ("made a little later", "iat", Some(json!(NOW + LEEWAY)), Ok(())),
        ("made later", "iat", Some(json!(NOW + LEEWAY + 1)), Err(Doubt::Future)),
        ("kept a while", "iat", Some(json!(NOW - AGE - LEEWAY)), Ok(())),
        ("kept for long", "iat", Some(json!(NOW - AGE - LEEWAY - 1)), Err(Doubt::Old)),
        ("made at no time", "iat", None, Err(Doubt::Missing)),
        ("not good yet", "nbf", Some(json!(NOW + LEEWAY + 1)), Err(Doubt::Future)),
        ("good", "nbf", Some(json!(NOW)), Ok(())),
        ("another question", "nonce", Some(json!("n-2")), Err(Doubt::Nonce)),
        ("no question", "nonce", None, Err(Doubt::Nonce)),
        ("nobody", "sub", None, Err(Doubt::Subject)),
        ("an empty one", "sub", Some(json!("")), Err(Doubt::Subject)),
        ("the longest", "sub", Some(json!("s".repeat(SUBJECT))), Ok(())),
        ("too long", "sub", Some(json!("s".repeat(SUBJECT + 1))), Err(Doubt::Subject)),
        ("by number", "sub", Some(json!(7)), Err(Doubt::Subject)),
    ];
    for (case, name, value, expected) in table {
        let text = made(&header(), &with(&claims(), name, value));
        assert_eq!(judged(&text, true).map(drop), expected, "{name}: {case}");
        assert_eq!(judged(&text, false).map(drop), Err(Doubt::Signature), "{name}: {case}: the signature comes first");
    }
}

#[test]
fn a_token_cannot_choose_how_it_is_verified() {
    type Case = (&'static str, &'static str, Option<Value>, Result<(), Doubt>);
    let own = jwks()["keys"][0].clone();
    let table: Vec<Case> = vec![
        ("not signed", "alg", Some(json!("none")), Err(Doubt::Algorithm)),
        ("not signed, in other letters", "alg", Some(json!("nOnE")), Err(Doubt::Algorithm)),
        ("by a shared secret", "alg", Some(json!("HS256")), Err(Doubt::Algorithm)),
        ("by what the key is not for", "alg", Some(json!("RS256")), Err(Doubt::Key)),
        ("by SHA-1", "alg", Some(json!("RS1")), Err(Doubt::Algorithm)),
        ("by no word", "alg", Some(json!(["ES256"])), Err(Doubt::Missing)),
        ("by nothing", "alg", None, Err(Doubt::Missing)),
        ("by another key", "kid", Some(json!("k2")), Err(Doubt::Key)),
        ("by a file", "kid", Some(json!("../../../../dev/null")), Err(Doubt::Key)),
        ("by a query", "kid", Some(json!("' UNION SELECT 'x")), Err(Doubt::Key)),
        ("by a name that is too long", "kid", Some(json!("k".repeat(KEY_NAME + 1))), Err(Doubt::Key)),
        ("by a list of keys", "kid", Some(json!(["k1"])), Err(Doubt::Key)),
        ("by the only key", "kid", None, Ok(())),
        ("with a key of its own that is not looked at", "jwk", Some(own), Ok(())),
        ("with a place for keys that is not looked at", "jku", Some(json!("https://evil.example/keys")), Ok(())),
        ("to be understood", "crit", Some(json!(["exp"])), Err(Doubt::Kind)),
        ("for something else", "typ", Some(json!("at+jwt")), Err(Doubt::Kind)),
        ("in small letters", "typ", Some(json!("jwt")), Ok(())),
        ("without its kind", "typ", None, Ok(())),
    ];
    for (case, name, value, expected) in table {
        assert_eq!(judged(&made(&with(&header(), name, value), &claims()), true).map(drop), expected, "{case}");
    }
}

#[test]
fn nothing_else_has_the_form_of_a_token() {
    let good = made(&header(), &claims());
    assert!(judged(&good, true).is_ok());
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k1","alg":"none"}"#);
    let twice_claimed = URL_SAFE_NO_PAD.encode(claims().to_string().replacen('{', r#"{"sub":"somebody else","#, 1));
    let (first, rest) = good.split_once('.').expect("three parts");
    let deep = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200)));
    for (case, text, why) in [
        ("nothing", String::new(), Doubt::Parts),
        ("two parts", signed.to_owned(), Doubt::Parts),
        ("its signature taken away", format!("{signed}."), Doubt::Signature),
        ("four parts", format!("{good}.c2lnbmVk"), Doubt::Parts),
        ("encrypted", format!("{good}.x.y"), Doubt::Parts),
        ("padded", format!("{good}="), Doubt::Parts),
        ("with a blank", format!(" {good}"), Doubt::Parts),
        ("the same bytes in another form", format!("{signed}.c2lnbmVl"), Doubt::Signature),
        ("bits left over", format!("{signed}.c2lnbmV"), Doubt::Parts),
        ("a member twice in the header", format!("{twice}.{rest}"), Doubt::Json),
        ("a member twice in the claims", format!("{first}.{twice_claimed}.c2lnbmVk"), Doubt::Json),
        ("too deep", format!("{deep}.{rest}"), Doubt::Json),
        ("a header that is a list", format!("W10.{rest}"), Doubt::Json),
        ("no claims", format!("{first}..c2lnbmVk"), Doubt::Parts),
        ("too long", format!("{good}{}", "A".repeat(TOKEN)), Doubt::Long),
    ] {
        assert_eq!(judged(&text, true).map(drop), Err(why), "{case}");
    }
}

#[test]
fn of_the_keys_those_are_taken_that_can_sign() {
    let number = |length: usize| URL_SAFE_NO_PAD.encode(vec![9; length]);
    let rsa = json!({"kty": "RSA", "kid": "r", "n": number(256), "e": "AQAB"});
    let edwards = json!({"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": number(32)});
    let all = |keys: &[&Value]| read(&json!({ "keys": keys })).len();
    assert_eq!(all(&[&jwks()["keys"][0], &rsa, &edwards]), 3);
    for (case, of, name, value) in [
        ("for encryption", &rsa, "use", Some(json!("enc"))),
        ("to sign alone", &rsa, "key_ops", Some(json!(["sign"]))),
        ("for something else", &rsa, "alg", Some(json!("RSA-OAEP"))),
        ("for a shared secret", &rsa, "alg", Some(json!("HS256"))),
        ("with its private part", &rsa, "d", Some(json!("AQAB"))),
        ("of 1024 bits", &rsa, "n", Some(json!(number(128)))),
        ("of 8192 bits", &rsa, "n", Some(json!(number(1_024)))),
        ("a long exponent", &rsa, "e", Some(json!(number(9)))),
        ("no exponent", &rsa, "e", None),
        ("no base64url", &rsa, "n", Some(json!("+/=="))),
        ("a secret", &rsa, "kty", Some(json!("oct"))),
        ("of no kind", &rsa, "kty", None),
        ("a short point", &edwards, "x", Some(json!(number(31)))),
        ("of another curve", &edwards, "crv", Some(json!("X25519"))),
        ("its name too long", &edwards, "kid", Some(json!("k".repeat(KEY_NAME + 1)))),
    ] {
        assert_eq!(all(&[of]), 1, "{case}: the twin");
        assert_eq!(all(&[&with(of, name, value)]), 0, "{case}");
    }
    let many: Vec<&Value> = vec![&rsa; KEYS];
    assert_eq!(all(&many), KEYS);
    let more = json!({ "keys": vec![&rsa; KEYS + 1] }).to_string();
    assert_eq!(keys(more.as_bytes()), Err(Doubt::Long));
    assert_eq!(keys(b"{}"), Err(Doubt::Missing));
    assert_eq!(keys(br#"{"keys":[],"keys":[]}"#), Err(Doubt::Json));
    assert_eq!(keys(&vec![b' '; DOCUMENT + 1]), Err(Doubt::Long));

    let text = made(&with(&header(), "kid", None), &claims());
    let token = token(&text).expect("a token");
    let two = json!({ "keys": [jwks()["keys"][0], with(&jwks()["keys"][0], "kid", Some(json!("k2")))] });
    assert!(read(&jwks()).of(&token).is_some());
    assert!(read(&two).of(&token).is_none(), "which of two is not said");
    let same = json!({ "keys": [jwks()["keys"][0], jwks()["keys"][0]] });
    assert!(read(&same).of(&super::token(&made(&header(), &claims())).expect("a token")).is_none(), "two of one name");
}

#[test]
fn a_providers_document_says_where_to_ask() {
    let document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://login.example.org/folk/auth?realm=1",
        "token_endpoint": "https://login.example.org/folk/token",
        "jwks_uri": "https://keys.example.org/folk",
        "id_token_signing_alg_values_supported": ["HS256", "RS256"],
        "authorization_response_iss_parameter_supported": true,
    });
    let read = |document: &Value| provider(document.to_string().as_bytes(), ISSUER);
    let good = read(&document).expect("as it should be");
    assert_eq!(
        (good.keys.as_str(), good.secret_in_form, good.names_itself),
        ("https://keys.example.org/folk", false, true)
    );
    let posted = with(&document, "token_endpoint_auth_methods_supported", Some(json!(["client_secret_post"])));
    assert!(read(&posted).expect("as it should be").secret_in_form);
    for (case, name, value, why) in [
        ("of another", "issuer", Some(json!("https://login.example.org")), Doubt::Issuer),
        ("of nobody", "issuer", None, Doubt::Missing),
        ("no keys", "jwks_uri", None, Doubt::Missing),
        ("keys for all to change", "jwks_uri", Some(json!("http://keys.example.org/folk")), Doubt::Address),
        ("keys on this machine", "jwks_uri", Some(json!("http://localhost/keys")), Doubt::Address),
        ("keys in a file", "jwks_uri", Some(json!("file:///etc/passwd")), Doubt::Address),
        ("a name before the host", "token_endpoint", Some(json!("https://a@evil.example/t")), Doubt::Address),
        ("a line more", "token_endpoint", Some(json!("https://login.example.org/t\r\nX: y")), Doubt::Address),
        ("too long", "token_endpoint", Some(json!(format!("https://h/{}", "p".repeat(ADDRESS)))), Doubt::Address),
        ("no host", "authorization_endpoint", Some(json!("https:///auth")), Doubt::Address),
        ("a script", "authorization_endpoint", Some(json!("javascript:alert(1)")), Doubt::Address),
        ("shared secrets alone", "id_token_signing_alg_values_supported", Some(json!(["HS256"])), Doubt::Algorithm),
    ] {
        assert_eq!(read(&with(&document, name, value)), Err(why), "{case}");
    }
    let here = |at: &str| {
        let mut here = document.clone();
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            here[name] = json!(format!("{at}/x"));
        }
        here["issuer"] = json!("http://localhost:9000");
        provider(here.to_string().as_bytes(), "http://localhost:9000").map(drop)
    };
    for (at, expected) in [
        ("http://localhost:9000", Ok(())),
        ("http://127.0.0.1", Ok(())),
        ("http://[::1]:9000", Ok(())),
        ("https://login.example.org", Ok(())),
        ("http://login.example.org", Err(Doubt::Address)),
        ("http://localhost.evil.example", Err(Doubt::Address)),
        ("http://localhost:9000@evil.example", Err(Doubt::Address)),
    ] {
        assert_eq!(here(at), expected, "{at}");
    }
}

#[test]
fn the_answer_for_a_code_has_a_token() {
    assert_eq!(answer(br#"{"access_token":"a","token_type":"Bearer","id_token":"x.y.z"}"#).as_deref(), Ok("x.y.z"));
    assert_eq!(answer(br#"{"access_token":"a"}"#), Err(Doubt::Missing));
    assert_eq!(answer(br#"{"id_token":"a","id_token":"b"}"#), Err(Doubt::Json));
    let long = json!({ "id_token": "x".repeat(TOKEN + 1) }).to_string();
    assert_eq!(answer(long.as_bytes()), Err(Doubt::Long));
}
