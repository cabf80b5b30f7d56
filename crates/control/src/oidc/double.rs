//! A provider in software, on loopback: it does what it is told, also what a real one would not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A pair of keys, of one of the three kinds.
pub(crate) enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaPair),
}

impl Pair {
    pub(crate) fn es256() -> Self {
        Self::Es256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    pub(crate) fn ed25519() -> Self {
        Self::EdDsa(Ed25519KeyPair::generate().expect("a key"))
    }

    pub(crate) fn rs256() -> Self {
        Self::Rs256(RsaPair::generate(KeySize::Rsa2048).expect("a key"))
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Rs256(_) => "RS256",
        }
    }

    pub(crate) fn jwk(&self, name: &str) -> Value {
        match self {
            Self::Es256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": name, "use": "sig", "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Self::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": name, "x": text(pair.public_key().as_ref())})
            }
            Self::Rs256(pair) => {
                // A sequence of two numbers in DER: the modulus has a nought in front, the exponent is 65537.
                let der = pair.public_key().as_ref();
                json!({"kty": "RSA", "kid": name, "alg": "RS256", "n": text(&der[9..265]), "e": "AQAB"})
            }
        }
    }

    pub(crate) fn sign(&self, signed: &[u8]) -> Vec<u8> {
        let chance = SystemRandom::new();
        match self {
            Self::Es256(pair) => pair.sign(&chance, signed).expect("a signature").as_ref().to_vec(),
            Self::EdDsa(pair) => pair.sign(signed).as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &chance, signed, &mut signature).expect("a signature");
                signature
            }
        }
    }
}

/// What it does next.
pub(crate) struct Acts {
    pub(crate) pair: Pair,
    /// Its keys, as it shows them.
    pub(crate) keys: Vec<Value>,
    pub(crate) header: Value,
    /// Of the next token; what is `null` is left out.
    pub(crate) claims: Value,
    /// What becomes of the token at last.
    pub(crate) bend: fn(String) -> String,
    /// What a path answers instead.
    pub(crate) instead: HashMap<&'static str, (u16, String)>,
    /// What its document says beside what is usual.
    pub(crate) document: Value,
    /// Paths that were asked for.
    pub(crate) asked: Vec<String>,
    codes: HashMap<String, HashMap<String, String>>,
}

/// The provider.
#[derive(Clone)]
pub(crate) struct Double {
    pub(crate) issuer: String,
    pub(crate) acts: Arc<Mutex<Acts>>,
}

impl Double {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let pair = Pair::es256();
        let acts = Acts {
            keys: vec![pair.jwk("k1")],
            header: json!({"alg": pair.algorithm(), "kid": "k1", "typ": "JWT"}),
            pair,
            claims: json!({"preferred_username": "Ane", "groups": ["gate-operators"]}),
            bend: |token| token,
            instead: HashMap::new(),
            document: json!({}),
            asked: Vec::new(),
            codes: HashMap::new(),
        };
        let double = Self { issuer, acts: Arc::new(Mutex::new(acts)) };
        let serving = double.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        double
    }

    /// As the console is told of it.
    pub(crate) fn declared(&self) -> Provider {
        let words = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        Provider {
            issuer: self.issuer.clone(),
            client: "gate way".to_owned(),
            secret: "s:cr=t".to_owned(),
            name: "Folk".to_owned(),
            scopes: words(&["openid", "profile"]),
            name_claim: "preferred_username".to_owned(),
            role_claim: "groups".to_owned(),
            roles: [words(&["staff"]), words(&["gate-operators"]), words(&["gate-owners"])],
            ..Provider::default()
        }
    }

    /// Changes what it does next.
    pub(crate) fn will(&self, change: impl FnOnce(&mut Acts)) {
        change(&mut self.acts.lock().expect("whole"));
    }

    /// How often a path was asked for.
    pub(crate) fn times(&self, path: &str) -> usize {
        self.acts.lock().expect("whole").asked.iter().filter(|asked| *asked == path).count()
    }

    /// What a browser does there: somebody signs in, and it is sent back with this.
    pub(crate) fn visit(&self, url: &str) -> Value {
        let (page, query) = url.split_once('?').expect("a query");
        assert_eq!(page, format!("{}/auth", self.issuer));
        let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let state = asked["state"].clone();
        assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
        assert_eq!((asked["scope"].as_str(), asked["client_id"].as_str()), ("openid profile", "gate way"));
        let code = Secret::fresh().text();
        self.will(|acts| drop(acts.codes.insert(code.clone(), asked)));
        json!({"state": state, "code": code, "iss": self.issuer})
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut read = Vec::new();
        let (head, body) = loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let (status, answer) = self.answer(&path, &head, &body);
        let answer = format!(
            "HTTP/1.1 {status} X\r\nlocation: {}/token\r\ncontent-length: {}\r\n\r\n{answer}",
            self.issuer,
            answer.len()
        );
        drop(stream.write_all(answer.as_bytes()).await);
    }

    fn answer(&self, path: &str, head: &str, body: &str) -> (u16, String) {
        let mut acts = self.acts.lock().expect("whole");
        acts.asked.push(path.to_owned());
        if let Some(instead) = acts.instead.get(path) {
            return instead.clone();
        }
        match path {
            "/.well-known/openid-configuration" => {
                let mut document = json!({
                    "issuer": self.issuer,
                    "authorization_endpoint": format!("{}/auth", self.issuer),
                    "token_endpoint": format!("{}/token", self.issuer),
                    "jwks_uri": format!("{}/keys", self.issuer),
                });
                merge(&mut document, &acts.document);
                (200, document.to_string())
            }
            "/keys" => (200, json!({"keys": acts.keys}).to_string()),
            "/token" => self.redeem(&mut acts, head, body),
            _ => (404, String::new()),
        }
    }

    /// Once, for whoever has the secret and the verifier.
    fn redeem(&self, acts: &mut Acts, head: &str, body: &str) -> (u16, String) {
        let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let basic = head.contains(&format!("authorization: Basic {}", STANDARD.encode("gate+way:s%3Acr%3Dt")));
        let posted =
            form.get("client_secret").is_some_and(|secret| secret == "s:cr=t") && form["client_id"] == "gate way";
        let Some(asked) = acts.codes.remove(&form["code"]).filter(|_| basic != posted) else {
            return (400, json!({"error": "invalid_grant"}).to_string());
        };
        let challenge = text(&digest_of(form["code_verifier"].as_bytes()));
        if challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] {
            return (400, json!({"error": "invalid_grant"}).to_string());
        }
        let now = crate::server::now() / 1_000;
        let mut claims = json!({
            "iss": self.issuer, "aud": "gate way", "sub": "s-1", "iat": now, "exp": now + 300, "nonce": asked["nonce"],
        });
        merge(&mut claims, &acts.claims);
        let signed = format!("{}.{}", text(acts.header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let token = format!("{signed}.{}", text(&acts.pair.sign(signed.as_bytes())));
        (200, json!({"access_token": "a", "token_type": "Bearer", "id_token": (acts.bend)(token)}).to_string())
    }
}

/// What is `null` is taken away.
pub(crate) fn merge(of: &mut Value, more: &Value) {
    for (name, value) in more.as_object().expect("an object") {
        let members = of.as_object_mut().expect("an object");
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
