//! A gate elsewhere, asked by its API for what a verb would have asked of the control socket.
//!
//! What is allowed and what it means is the gate's; who asks is whoever the token belongs to.

use std::env;
use std::path::Path;
use std::time::Duration;

use http::Method;
use portcullis_control::model::Proposal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::args::DEFAULT_CONFIG;
use crate::args::remote::Remote;
use crate::args::top::Reach;
use crate::top::wire::Console;
use crate::{Failure, top};

/// What the environment may carry instead of a flag.
const URL: &str = "PORTCULLIS_URL";
/// A drill takes two minutes at most.
const PATIENCE: Duration = Duration::from_secs(180);

/// A gate elsewhere.
pub(crate) struct Far {
    url: String,
    console: Console,
    runtime: Runtime,
}

impl Far {
    /// The gate that the flags or the environment name, if they name one. `named` is a place on this machine that was named instead.
    pub(crate) fn of(flags: &Remote, config: &Path, named: Option<&Path>) -> Result<Option<Self>, Failure> {
        let surroundings = env::var(URL).ok();
        let Some(url) = url(flags, config, named, surroundings.as_deref())? else { return Ok(None) };
        let reach = Reach {
            config: config.to_owned(),
            url: Some(url.clone()),
            ca: flags.ca.clone(),
            token_file: flags.token_file.clone(),
        };
        let (console, _) = top::console(&reach, "cli")?;
        Ok(Some(Self { url, console, runtime: top::runtime()? }))
    }

    /// Where it is, as it was named.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks for something.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(&self.ask(Method::GET, path, None)?)
    }

    /// Asks about something that is sent along.
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_value(body).map_err(|error| Failure::because(error.to_string()))?;
        read(&self.ask(Method::POST, path, Some(body))?)
    }

    /// Asks for a text.
    pub(crate) fn text(&self, path: &str) -> Result<String, Failure> {
        String::from_utf8(self.ask(Method::GET, path, None)?).map_err(|_| Failure::because("the answer is no text"))
    }

    /// Asks for a file.
    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        self.ask(Method::GET, path, None)
    }

    /// Asks for something to be done, and says what was; or that it waits for a second person.
    pub(crate) fn act(&self, request: Request) -> Result<String, Failure> {
        Ok(match self.acted(request)? {
            Acted::Done(portcullis_control::model::Done { words }) | Acted::Waits(words) => words,
        })
    }

    /// The same, for whoever has more to say of what was done.
    pub(crate) fn acted<T: DeserializeOwned>(&self, request: Request) -> Result<Acted<T>, Failure> {
        let Request { method, path, body } = request;
        let answer = self.ask(method, &path, body)?;
        if let Ok(Proposal { id, words, .. }) = serde_json::from_slice(&answer) {
            return Ok(Acted::Waits(format!("It takes two people: {words} waits for another as proposal {id}.")));
        }
        read(&answer).map(Acted::Done)
    }

    /// A change of the configuration there, in the words of one made here.
    pub(crate) fn change(&self, request: Request) -> Result<Acted<String>, Failure> {
        Ok(match self.acted(request)? {
            Acted::Done(portcullis_control::model::Done { words }) => {
                Acted::Done(format!("{words}; written down in the decision log, as done by whoever made the token.\n"))
            }
            Acted::Waits(words) => Acted::Waits(words + "\n"),
        })
    }

    fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Vec<u8>, Failure> {
        let body = body.map(|body| body.to_string());
        let asked = self.console.ask_within(method, path, body, PATIENCE);
        self.runtime.block_on(asked).map(|bytes| bytes.to_vec()).map_err(Failure::Because)
    }
}

/// What came of an act.
pub(crate) enum Acted<T> {
    /// It was done.
    Done(T),
    /// It waits for a second person.
    Waits(String),
}

/// What is asked for.
pub(crate) struct Request {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Request {
    pub(crate) fn post(path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method: Method::POST, path: path.into(), body }
    }

    pub(crate) fn put(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, path: path.into(), body: Some(body) }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, path: path.into(), body: None }
    }
}

/// A name as one segment of a path, or as a value behind `?` (RFC 3986 section 2.3).
pub(crate) fn segment(name: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What is named on the command line goes before what is named around it.
fn url(
    flags: &Remote,
    config: &Path,
    named: Option<&Path>,
    surroundings: Option<&str>,
) -> Result<Option<String>, Failure> {
    match (&flags.url, named) {
        (Some(_), Some(named)) => {
            Err(Failure::because(format!("name either --url or {}: they are two gates", named.display())))
        }
        (Some(url), None) => Ok(Some(url.clone())),
        (None, Some(_)) => Ok(None),
        (None, None) if config != Path::new(DEFAULT_CONFIG) => Ok(None),
        (None, None) => Ok(surroundings.filter(|url| !url.is_empty()).map(str::to_owned)),
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer)
        .map_err(|error| Failure::because(format!("the gate elsewhere speaks of other things: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        for (name, expected) in [("debate", "debate"), ("a/b c?", "a%2Fb%20c%3F"), ("..", ".."), ("ø*", "%C3%B8%2A")] {
            assert_eq!(segment(name), expected);
        }
    }

    #[test]
    fn what_is_named_goes_before_what_is_around() {
        let (default, own) = (Path::new(DEFAULT_CONFIG), Path::new("gate.toml"));
        let flag = || Remote { url: Some("https://a".to_owned()), ..Remote::default() };
        let socket = Some(Path::new("control.sock"));
        let around = Some("https://b");
        for (flags, config, named, surroundings, expected) in [
            (Remote::default(), default, None, None, None),
            (Remote::default(), default, None, around, Some("https://b")),
            (Remote::default(), default, None, Some(""), None),
            (Remote::default(), own, None, around, None),
            (Remote::default(), default, socket, around, None),
            (flag(), default, None, around, Some("https://a")),
        ] {
            let found = url(&flags, config, named, surroundings).unwrap_or_else(|why| panic!("{why:?}"));
            assert_eq!(found.as_deref(), expected);
        }
        assert!(url(&flag(), default, socket, None).is_err());
    }
}
