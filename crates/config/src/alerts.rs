//! Who is told when something is wrong, and where the public is: the keys of `[[alert]]` and `[status]`.

use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Check, Claims};
use crate::draft::Draft;
use crate::kind::Value;
use crate::policy::Console;

/// Somebody who is told when something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name; unique.
    pub name: String,
    /// `webhook`, `email`, `ntfy`, `slack`, `teams`, `mattermost`.
    pub kind: String,
    /// Where to, by HTTP; empty for `email`.
    pub url: String,
    /// The mail server, its host and its port; empty for what goes by HTTP.
    pub server: (String, u16),
    /// `starttls`, `tls`, `none`.
    pub security: String,
    /// Who the gate is to the mail server; empty where it does not ask.
    pub user: String,
    /// The file with the secret.
    pub secret_file: Option<PathBuf>,
    /// What it is signed with, the token of ntfy, the password of the mail server.
    pub secret: Vec<u8>,
    /// Whose letters these are.
    pub from: String,
    /// Who gets them.
    pub to: Vec<String>,
    /// `notice`, `warning`, `page`.
    pub min: String,
    /// From and until, in minutes after midnight.
    pub quiet: Option<(u16, u16)>,
    /// Minutes that the clock there is ahead of UTC.
    pub offset: i16,
    /// What begins within it is one message.
    pub group: Duration,
    /// Which other is told where nobody answers, by its place.
    pub next: Option<usize>,
    /// After how long.
    pub after: Duration,
    /// The file of the authorities.
    pub ca: Option<PathBuf>,
    /// The authorities, in PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// Where the public can see how things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPage {
    /// Where the page is written.
    pub directory: PathBuf,
    /// What is run with that directory after it was written.
    pub hook: Option<PathBuf>,
}

pub(crate) const ALERTS: &[&str] = &["webhook", "email", "ntfy", "slack", "teams", "mattermost"];
pub(crate) const LEVELS: &[&str] = &["notice", "warning", "page"];
pub(crate) const SECURITY: &[&str] = &["starttls", "tls", "none"];

impl Check<'_> {
    pub(crate) fn status(&mut self, root: &Draft, console: Option<&Console>) -> Option<StatusPage> {
        let draft = root.table("status");
        if !draft.given("directory") {
            if draft.given("hook") {
                let message = "there is no status page: it does not say where it is written";
                self.problems.error("status-nowhere", draft.at("hook"), message).hint("add `directory`");
            }
            return None;
        }
        if console.is_none() {
            let message = "there is no console, and it is what knows how things are";
            self.problems
                .error("status-without-console", draft.at("directory"), message)
                .hint("add `listen` to [console]");
        }
        Some(StatusPage { directory: self.path(draft, "directory")?, hook: self.path(draft, "hook") })
    }

    pub(crate) fn alerts(&mut self, root: &Draft, console: Option<&Console>) -> Vec<Alert> {
        let drafts = root.tables("alert");
        let mut names = Claims::new();
        let all: Vec<String> = drafts.iter().map(|draft| draft.string("name")).collect();
        let mut alerts = Vec::new();
        for draft in drafts {
            let name = draft.string("name");
            if draft.given("name") {
                let message = format!("two alerts are called `{name}`");
                self.once("duplicate-alert", &mut names, name.clone(), draft.at("name"), message, "first here");
            }
            if console.is_none() {
                let message = "there is no console, and it is what sends alerts and what they lead to";
                self.problems
                    .error("alert-without-console", draft.at("name"), message)
                    .hint("add `listen` to [console]");
            }
            alerts.push(self.alert(draft, name, &all));
        }
        alerts
    }

    fn alert(&mut self, draft: &Draft, name: String, all: &[String]) -> Alert {
        let kind = draft.string("kind");
        let mail = kind == "email";
        for key in if mail { &["server", "from", "to"][..] } else { &["url"] } {
            if draft.given("kind") && !draft.given(key) {
                let message = format!("`{kind}` needs `{key}`");
                self.problems.error("alert-incomplete", draft.at("kind"), message).hint(format!("add `{key}`"));
            }
        }
        if kind == "webhook" && !draft.given("secret_file") {
            let message = "whoever gets it cannot tell that it is from here: it is not signed";
            self.problems.error("alert-unsigned", draft.at("kind"), message).hint("add `secret_file`");
        }
        let url = draft.string("url");
        let web = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = web.map(|rest| rest.split(['/', '?']).next().unwrap_or_default()).unwrap_or_default();
        if draft.given("url") && (host.is_empty() || host.contains('@') || url.contains([' ', '#'])) {
            let message = format!("`{url}` is no address to send to");
            self.problems.error("alert-url", draft.at("url"), message).hint("write https://HOST/PATH");
        }
        let server = draft.value("server").and_then(Value::upstream);
        let server = server.map_or_else(|| (String::new(), 0), |url| (url.host.clone(), url.port));
        let security = draft.string("security");
        let here = matches!(server.0.as_str(), "localhost" | "127.0.0.1" | "[::1]" | "::1");
        if security == "none" && draft.given("user") && !here {
            let message = format!("the password would travel to `{}` for all to read", server.0);
            self.problems.error("alert-plain", draft.at("security"), message).hint("write \"starttls\" or \"tls\"");
        }
        let secret = self.file(draft, "secret_file", "alert-secret");
        let trimmed = |bytes: &[u8]| bytes.trim_ascii().to_vec();
        if let Some((path, bytes)) = &secret
            && kind == "webhook"
            && trimmed(bytes).len() < 24
        {
            let message = format!("the secret in `{}` is short enough to be guessed", path.display());
            self.problems
                .error("alert-secret", draft.at("secret_file"), message)
                .hint("make one: openssl rand -base64 32");
        }
        let next = draft.text("next").and_then(|next| {
            let found = all.iter().position(|known| known == next).filter(|_| next != name);
            if found.is_none() {
                let message = format!("there is no other alert `{next}`");
                self.problems.error("alert-next", draft.at("next"), message).hint("name another [[alert]]");
            }
            found
        });
        let quiet = draft.text("quiet").and_then(|text| {
            let span = quiet(text);
            if span.is_none() {
                let message = format!("`{text}` is no span of a day");
                self.problems.error("alert-quiet", draft.at("quiet"), message).hint("write \"22:00-07:00\"");
            }
            span
        });
        let text = draft.string("offset");
        let offset = offset(&text);
        if offset.is_none() {
            let message = format!("`{text}` is no distance from UTC");
            self.problems.error("alert-offset", draft.at("offset"), message).hint("write \"+01:00\"");
        }
        let (ca, ca_pem) = self.file(draft, "ca", "alert-ca").unzip();
        let (secret_file, secret) = secret.unzip();
        Alert {
            url,
            server,
            security,
            user: draft.string("user"),
            secret_file,
            secret: secret.map(|bytes| trimmed(&bytes)).unwrap_or_default(),
            from: draft.string("from"),
            to: draft.list("to", Value::text).into_iter().map(|(_, to)| to.to_owned()).collect(),
            min: draft.string("min"),
            quiet,
            offset: offset.unwrap_or_default(),
            group: draft.duration("group").unwrap_or_default(),
            next,
            after: draft.duration("after").unwrap_or_default(),
            ca,
            ca_pem,
            name,
            kind,
        }
    }
}

/// `22:00-07:00` in minutes after midnight.
fn quiet(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    Some((clock(from)?, clock(until)?)).filter(|(from, until)| from != until)
}

/// `+02:00` in minutes.
fn offset(text: &str) -> Option<i16> {
    let minutes = i16::try_from(clock(text.get(1..)?)?).ok().filter(|minutes| *minutes <= 14 * 60)?;
    match text.as_bytes().first() {
        Some(b'+') => Some(minutes),
        Some(b'-') => Some(-minutes),
        _ => None,
    }
}

fn clock(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let part = |text: &str, below: u16| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &u16| digits && *number < below)
    };
    Some(part(hour, 24)? * 60 + part(minute, 60)?)
}

/// As it was written.
pub(crate) fn shown_quiet((from, until): (u16, u16)) -> String {
    let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{}-{}", clock(from), clock(until))
}

/// As it was written.
pub(crate) fn shown_offset(offset: i16) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", offset.unsigned_abs() / 60, offset.unsigned_abs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_offsets_are_read_as_they_are_shown() {
        for text in ["22:00-07:00", "00:00-23:59"] {
            assert_eq!(quiet(text).map(shown_quiet).as_deref(), Some(text));
        }
        for text in ["+00:00", "+05:30", "-09:30", "+14:00"] {
            assert_eq!(offset(text).map(shown_offset).as_deref(), Some(text));
        }
        for text in ["", "22-7", "22:00-22:00", "24:00-07:00", "2:00-7:00", "22:00", "22:00-07:00-", "+1:00-02:00"] {
            assert_eq!(quiet(text), None, "{text}");
        }
        for text in ["", "02:00", "+2", "+15:00", "+02:60", "Z", "++1:00", "å02:00"] {
            assert_eq!(offset(text), None, "{text}");
        }
    }
}
