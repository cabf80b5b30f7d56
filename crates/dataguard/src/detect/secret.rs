//! Keys, tokens and passwords by the forms that their issuers document; what programs and databases say when they fail; and
//! the fields that a route names.

use super::{Kind, has_before, is_word};

/// No secret is looked at further than this: what is counted is its beginning.
const LONGEST: usize = 200;

/// A form of secret.
#[derive(Debug)]
pub(super) struct Secret {
    /// Whose it is.
    pub(super) name: &'static str,
    /// What it begins with, in its own case.
    pub(super) prefixes: &'static [&'static str],
    body: Body,
    least: usize,
    most: usize,
}

/// What follows the prefix.
#[derive(Debug, Clone, Copy)]
enum Body {
    /// Letters and digits.
    Word,
    /// Capital letters and the digits that base 32 or its kin use.
    Upper,
    /// Small letters and digits `0` to `9`, `a` to `f`.
    Hex,
    /// Letters, digits, `-`, `_`.
    Url,
    /// Letters, digits, `-`, `_`, `.`.
    Dotted,
    /// Letters, digits, `+`, `/`, `=`.
    Base64,
    /// Two parts of base 64 with a dot between them, the second of JSON too.
    Jwt,
    /// The name of a private key up to its dashes.
    Pem,
    /// `user:password@` after the scheme.
    Login,
}

const fn secret(
    name: &'static str,
    prefixes: &'static [&'static str],
    body: Body,
    least: usize,
    most: usize,
) -> Secret {
    Secret { name, prefixes, body, least, most }
}

/// Forms from the documentation of who issues them. Each has a prefix that nothing else begins with.
pub(super) const SECRETS: &[Secret] = &[
    secret("aws-access-key", &["AKIA", "ASIA"], Body::Upper, 16, 16),
    secret("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], Body::Word, 36, LONGEST),
    secret("github-token", &["github_pat_"], Body::Url, 70, LONGEST),
    secret("gitlab-token", &["glpat-", "gldt-", "glrt-", "glcbt-"], Body::Url, 20, LONGEST),
    secret("slack-token", &["xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-"], Body::Url, 20, LONGEST),
    secret("slack-webhook", &["hooks.slack.com/services/T"], Body::Base64, 30, LONGEST),
    secret("stripe-key", &["sk_live_", "rk_live_", "whsec_"], Body::Word, 24, LONGEST),
    secret("google-oauth", &["GOCSPX-"], Body::Url, 28, 28),
    secret("google-api-key", &["AIza"], Body::Url, 35, 35),
    secret("google-token", &["ya29."], Body::Url, 40, LONGEST),
    secret("sendgrid-key", &["SG."], Body::Dotted, 60, LONGEST),
    secret("npm-token", &["npm_"], Body::Word, 36, 36),
    secret("pypi-token", &["pypi-AgEIcHlwaS5vcmc"], Body::Url, 50, LONGEST),
    secret("rubygems-key", &["rubygems_"], Body::Hex, 48, 48),
    secret("docker-token", &["dckr_pat_"], Body::Url, 27, LONGEST),
    secret("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], Body::Hex, 64, 64),
    secret("heroku-key", &["HRKU-AA"], Body::Url, 58, LONGEST),
    secret("shopify-token", &["shpat_", "shpca_", "shppa_", "shpss_"], Body::Hex, 32, 32),
    secret("square-token", &["sq0atp-", "sq0csp-"], Body::Url, 22, LONGEST),
    secret("openai-key", &["sk-proj-", "sk-svcacct-"], Body::Url, 40, LONGEST),
    secret("anthropic-key", &["sk-ant-"], Body::Url, 40, LONGEST),
    secret("huggingface-token", &["hf_"], Body::Word, 34, 37),
    secret("databricks-token", &["dapi"], Body::Hex, 32, 32),
    secret("grafana-token", &["glsa_", "glc_"], Body::Url, 32, LONGEST),
    secret("newrelic-key", &["NRAK-"], Body::Word, 27, 27),
    secret("sentry-token", &["sntrys_", "sntryu_"], Body::Url, 60, LONGEST),
    secret("atlassian-token", &["ATATT3xFfGF0"], Body::Url, 100, LONGEST),
    secret("linear-key", &["lin_api_"], Body::Word, 40, 40),
    secret("notion-token", &["ntn_"], Body::Word, 40, LONGEST),
    secret("postman-key", &["PMAK-"], Body::Url, 50, LONGEST),
    secret("terraform-token", &[".atlasv1."], Body::Url, 60, LONGEST),
    secret("vault-token", &["hvs.", "hvb."], Body::Url, 24, LONGEST),
    secret("age-key", &["AGE-SECRET-KEY-1"], Body::Upper, 58, 58),
    secret("azure-storage-key", &["AccountKey="], Body::Base64, 86, 90),
    secret("json-web-token", &["eyJ"], Body::Jwt, 16, LONGEST),
    secret("private-key", &["-----BEGIN "], Body::Pem, 11, 40),
    secret(
        "database-login",
        &["postgres://", "postgresql://", "mysql://", "mongodb://", "mongodb+srv://", "redis://", "amqp://"],
        Body::Login,
        3,
        LONGEST,
    ),
];

impl Secret {
    /// Where the secret whose prefix stands from `start` to `end` is over, if it is one.
    pub(super) fn at(&self, window: &[u8], start: usize, end: usize) -> Option<usize> {
        let prefix = window.get(start..end)?;
        // What is looked for is in any case, what issuers give out is not.
        if !self.prefixes.iter().any(|own| own.as_bytes() == prefix) {
            return None;
        }
        let before = start.checked_sub(1).and_then(|at| window.get(at));
        if prefix.first().is_some_and(u8::is_ascii_alphanumeric) && is_word(before) {
            return None;
        }
        let rest = window.get(end..(end + LONGEST).min(window.len()))?;
        let count = |is: fn(u8) -> bool| rest.iter().take_while(|byte| is(**byte)).count();
        let length = match self.body {
            Body::Word => count(|byte| byte.is_ascii_alphanumeric()),
            Body::Upper => count(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()),
            Body::Hex => count(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            Body::Url => count(is_url),
            Body::Dotted => count(|byte| is_url(byte) || byte == b'.'),
            Body::Base64 => count(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')),
            Body::Jwt => jwt(rest)?,
            Body::Pem => pem(rest)?,
            Body::Login => login(rest)?,
        };
        // More of the same kind behind the longest that there is: some other thing that begins alike.
        let fits = (self.least..=self.most).contains(&length) && self.most > 0;
        let body = rest.get(..length)?;
        (fits && (is_varied(body) || matches!(self.body, Body::Pem | Body::Login))).then_some(end + length)
    }
}

const fn is_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Placeholders in documentation (`AKIAXXXXXXXXXXXXXXXX`) have hardly any different characters.
fn is_varied(body: &[u8]) -> bool {
    let mut seen = 0u128;
    for byte in body {
        seen |= 1 << (byte & 127);
    }
    seen.count_ones() >= 7
}

/// The rest of a token behind `eyJ`: header, a dot, and claims that are JSON as well.
fn jwt(rest: &[u8]) -> Option<usize> {
    let header = rest.iter().take_while(|byte| is_url(**byte)).count();
    let claims = rest.get(header..)?.strip_prefix(b".eyJ")?;
    let length = claims.iter().take_while(|byte| is_url(**byte)).count();
    (header >= 12 && length >= 12).then_some((header + 4 + length).min(LONGEST))
}

/// `RSA PRIVATE KEY-----`, `PRIVATE KEY-----`, `OPENSSH PRIVATE KEY-----`, and PGP's.
fn pem(rest: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(rest.get(..48.min(rest.len()))?, b"-----")?;
    let label = rest.get(..end)?;
    let private = label.ends_with(b"PRIVATE KEY") || label == b"PGP PRIVATE KEY BLOCK";
    private.then_some(end)
}

/// `user:password@`, where the password is none that stands for one.
fn login(rest: &[u8]) -> Option<usize> {
    let user = rest.iter().take_while(|byte| is_url(**byte) || **byte == b'.').count();
    let password = rest.get(user..)?.strip_prefix(b":")?;
    let length = password.iter().take_while(|byte| byte.is_ascii_graphic() && !b"@/\"'<>${}".contains(byte)).count();
    let named = password.get(..length).is_some_and(|word| !STAND_INS.iter().any(|it| word.eq_ignore_ascii_case(it)));
    (length >= 3 && password.get(length) == Some(&b'@') && named).then_some(user + 1 + length)
}

const STAND_INS: [&[u8]; 9] = [b"password", b"pass", b"secret", b"xxx", b"xxxx", b"changeme", b"***", b"****", b"pwd"];

/// What a program or a database says when it fails.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) literal: &'static str,
    near: Near,
}

/// What must stand near the literal too.
#[derive(Debug, Clone, Copy)]
enum Near {
    Nothing,
    /// A digit right behind it.
    Digit,
    /// One of these within 160 bytes behind it.
    Behind(&'static [&'static [u8]]),
    /// One of these within 100 bytes before it.
    Before(&'static [&'static [u8]]),
}

const fn fault(kind: Kind, name: &'static str, literal: &'static str, near: Near) -> Fault {
    Fault { kind, name, literal, near }
}

/// The words are those of the programs. What ordinary text may say too needs something beside it.
pub(super) const FAULTS: &[Fault] = &[
    fault(Kind::StackTrace, "python", "Traceback (most recent call last)", Near::Behind(&[b"File \"", b"File '"])),
    fault(Kind::StackTrace, "java", ".java:", Near::Before(&[b"at "])),
    fault(Kind::StackTrace, "java", "Caused by: ", Near::Behind(&[b"Exception", b"Error:"])),
    fault(Kind::StackTrace, "php", "PHP Fatal error:", Near::Behind(&[b" on line ", b".php:"])),
    fault(Kind::StackTrace, "php", "Fatal error</b>:", Near::Behind(&[b" on line ", b".php"])),
    fault(Kind::StackTrace, "php", "Fatal error: Uncaught ", Near::Behind(&[b".php"])),
    fault(Kind::StackTrace, "dotnet", "Server Error in '/", Near::Behind(&[b"Application"])),
    fault(Kind::StackTrace, "dotnet", "   at System.", Near::Nothing),
    fault(Kind::StackTrace, "node", "at node:internal/", Near::Nothing),
    fault(Kind::StackTrace, "node", "at Module._compile (", Near::Nothing),
    fault(Kind::StackTrace, "node", "/node_modules/", Near::Before(&[b"    at "])),
    fault(Kind::StackTrace, "ruby", ":in `", Near::Before(&[b".rb:"])),
    fault(Kind::StackTrace, "go", "goroutine ", Near::Behind(&[b" [running]:"])),
    fault(Kind::StackTrace, "rust", "' panicked at ", Near::Before(&[b"thread '"])),
    fault(
        Kind::SqlError,
        "mysql",
        "You have an error in your SQL syntax",
        Near::Behind(&[b"near '", b"server version"]),
    ),
    fault(Kind::SqlError, "mysql", "check the manual that corresponds to your MySQL", Near::Nothing),
    fault(Kind::SqlError, "mysql", "mysql_fetch_", Near::Behind(&[b"expects parameter", b"supplied argument"])),
    fault(Kind::SqlError, "pdo", "SQLSTATE[", Near::Nothing),
    fault(Kind::SqlError, "postgresql", "PG::SyntaxError", Near::Nothing),
    fault(Kind::SqlError, "postgresql", "syntax error at or near ", Near::Nothing),
    fault(Kind::SqlError, "postgresql", "unterminated quoted string at or near ", Near::Nothing),
    fault(Kind::SqlError, "postgresql", "org.postgresql.util.PSQLException", Near::Nothing),
    fault(Kind::SqlError, "postgresql", "psycopg2.errors.", Near::Nothing),
    fault(Kind::SqlError, "postgresql", "pg_query(): ", Near::Nothing),
    fault(Kind::SqlError, "oracle", "ORA-0", Near::Digit),
    fault(Kind::SqlError, "sql-server", "Unclosed quotation mark after the character string", Near::Nothing),
    fault(Kind::SqlError, "sql-server", "Incorrect syntax near '", Near::Nothing),
    fault(Kind::SqlError, "sql-server", "Microsoft OLE DB Provider for ", Near::Behind(&[b"error '"])),
    fault(Kind::SqlError, "sqlite", "sqlite3.OperationalError", Near::Nothing),
    fault(Kind::SqlError, "sqlite", "SQLITE_ERROR", Near::Nothing),
    fault(Kind::SqlError, "jdbc", "com.mysql.jdbc.exceptions", Near::Nothing),
    fault(Kind::SqlError, "jdbc", "java.sql.SQLException", Near::Nothing),
];

impl Fault {
    /// Whether what stands from `start` to `end` is one.
    pub(super) fn at(&self, window: &[u8], start: usize, end: usize) -> bool {
        if window.get(start..end) != Some(self.literal.as_bytes()) {
            return false;
        }
        match self.near {
            Near::Nothing => true,
            Near::Digit => window.get(end).is_some_and(u8::is_ascii_digit),
            Near::Before(words) => has_before(window, start, 100, words),
            Near::Behind(words) => has_before(window, (end + 160).min(window.len()), 160, words),
        }
    }
}

/// Longest value of a field that is counted.
const FIELD: usize = 120;

/// The value behind a field's name that ends at `end`: `"name": "value"`, `"name": 12`, `<name>value<`.
pub(super) fn field(window: &[u8], end: usize) -> Option<(usize, usize)> {
    let tag = window.get(end.checked_sub(1)?) == Some(&b'>');
    let space = |from: usize| window.iter().skip(from).take(8).take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut from = end;
    if !tag {
        from += space(from);
        if window.get(from) != Some(&b':') {
            return None;
        }
        from += 1;
        from += space(from);
    }
    let quoted = !tag && window.get(from) == Some(&b'"');
    from += usize::from(quoted);
    let value = window.get(from..(from + FIELD).min(window.len()))?;
    let length = value.iter().take_while(|byte| match (tag, quoted) {
        (true, _) => **byte != b'<',
        (_, true) => **byte != b'"',
        _ => is_url(**byte) || **byte == b'.',
    });
    let length = length.count();
    let null = !quoted && value.get(..length) == Some(b"null");
    (length > 0 && !null).then_some((from, from + length))
}
