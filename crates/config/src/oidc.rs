//! Sign-in to the console by the organisation's own provider: the keys of `[console.oidc]`.

use std::path::PathBuf;

use crate::check::Check;
use crate::draft::Draft;
use crate::kind::Value;

/// Who says for the organisation who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// The provider, exactly as it names itself.
    pub issuer: String,
    /// Who the console is there.
    pub client_id: String,
    /// The file with the secret.
    pub secret_file: PathBuf,
    /// What the console shows the provider.
    pub secret: Vec<u8>,
    /// What the button says.
    pub name: String,
    /// What the provider is asked for.
    pub scopes: Vec<String>,
    /// The claim with the name of a new account.
    pub name_claim: String,
    /// The claim with what gives a role.
    pub role_claim: String,
    /// Its values that make somebody a viewer.
    pub viewer: Vec<String>,
    /// An operator.
    pub operator: Vec<String>,
    /// An owner.
    pub owner: Vec<String>,
    /// Domains of verified addresses of mail; any if empty.
    pub domains: Vec<String>,
    /// The file of the authorities.
    pub ca: Option<PathBuf>,
    /// The authorities, in PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// Asked for where nothing else is said.
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

impl Check<'_> {
    /// `url` is where browsers find the console: there the provider sends them back.
    pub(crate) fn oidc(&mut self, draft: &Draft, url: &str) -> Option<Oidc> {
        let issuer = draft.string("issuer");
        if draft.given("issuer") && (!is_kept_safe(&issuer) || issuer.contains(['?', '#', ' '])) {
            let message = format!("`{issuer}` is no issuer: who gets in would be said for all to change");
            self.problems
                .error("oidc-issuer", draft.at("issuer"), message)
                .hint("write https://HOST/PATH, exactly as the provider names itself");
        }
        if !is_kept_safe(url) {
            let message = format!("people would come back to {url}, for all to read");
            self.problems
                .error("oidc-redirect", &draft.span, message)
                .hint("let `url` of [console] begin with https://");
        }
        let texts = |key: &str| -> Vec<String> {
            draft.list(key, Value::text).into_iter().map(|(_, text)| text.to_owned()).collect()
        };
        let [viewer, operator, owner] = ["viewer", "operator", "owner"].map(texts);
        let role_claim = draft.string("role_claim");
        if viewer.is_empty() && operator.is_empty() && owner.is_empty() {
            let message = format!("nobody gets in: no value of `{role_claim}` gives a role");
            self.problems
                .error("oidc-nobody", &draft.span, message)
                .hint("add `viewer`, `operator` or `owner` with values of that claim");
        }
        let usual = || SCOPES.map(str::to_owned).to_vec();
        let scopes = if draft.given("scopes") { texts("scopes") } else { usual() };
        let plain = |scope: &String| {
            !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        if !scopes.iter().any(|scope| scope == "openid") || !scopes.iter().all(plain) {
            let message = "the provider would not say who somebody is: `openid` is missing, or a scope is no word";
            self.problems.error("oidc-scopes", draft.at("scopes"), message).hint("write [\"openid\", \"profile\"]");
        }
        let secret = self.file(draft, "secret_file", "oidc-secret");
        if let Some((path, bytes)) = &secret
            && bytes.trim_ascii().is_empty()
        {
            let message = format!("there is no secret in `{}`", path.display());
            self.problems.error("oidc-secret", draft.at("secret_file"), message);
        }
        let (ca, ca_pem) = self.file(draft, "ca", "oidc-ca").unzip();
        let (secret_file, secret) = secret?;
        let host = issuer.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default().to_owned());
        Some(Oidc {
            name: draft.text("name").map_or_else(|| host.unwrap_or_default(), str::to_owned),
            client_id: draft.string("client_id"),
            secret_file,
            secret: secret.trim_ascii().to_vec(),
            name_claim: draft.string("name_claim"),
            domains: texts("domains"),
            issuer,
            scopes,
            role_claim,
            viewer,
            operator,
            owner,
            ca,
            ca_pem,
        })
    }
}

/// Over TLS, or on this machine alone.
fn is_kept_safe(url: &str) -> bool {
    let host = |rest: &str| {
        let authority = rest.split('/').next().unwrap_or_default();
        let named = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        named.map_or(authority, |(host, _)| host).to_owned()
    };
    match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => !host(rest).is_empty() && !host(rest).contains('@'),
        (None, Some(rest)) => ["localhost", "127.0.0.1", "[::1]"].contains(&host(rest).as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_safe_is_told_from_what_is_not() {
        for url in ["https://login.example.org", "https://h:8443/a/b", "http://localhost:9000", "http://[::1]/x"] {
            assert!(is_kept_safe(url), "{url}");
        }
        for url in [
            "",
            "login.example.org",
            "http://login.example.org",
            "http://localhost.example.org",
            "https://",
            "https:///x",
            "https://a@b",
            "http://localhost:x",
            "ftp://localhost",
        ] {
            assert!(!is_kept_safe(url), "{url}");
        }
    }
}
