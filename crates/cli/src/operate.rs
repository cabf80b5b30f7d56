//! What an operator asks of the running gate: how it stands, its rules, its postures, announced events.
//!
//! It asks over the control socket and shows the answer; what is allowed and what it means is the gate's.

mod show;

use std::path::{Path, PathBuf};

use portcullis_engine::{Posture, Status};
use portcullis_proxy::control::{self, Answer};
use serde_json::{Value, json};

use crate::args::{AddEvent, AskEvent, AskRules, Gate, PostureOf};
use crate::remote::{Far, Request, segment};
use crate::verbs::unanswered;
use crate::{Done, Failure, configuration, install, moment, talk};

/// How the gate stands.
pub(crate) fn status(gate: &Gate) -> Done {
    let (whole, defence) = stand(gate)?;
    shown(gate, &whole, || show::status(&whole, &defence, moment::now()))
}

/// Lists, keeps or takes back rules.
pub(crate) fn rules(ask: &AskRules) -> Done {
    match ask {
        AskRules::List(gate) => {
            let (_, defence) = stand(gate)?;
            let rules =
                defence.platforms.iter().map(|platform| json!({"platform": platform.name, "rules": platform.rules}));
            shown(gate, &Value::Array(rules.collect()), || show::rules(&defence))
        }
        AskRules::Pin(one) => {
            let far = Request::post(format!("/api/v1/measures/{}/pin", one.rule), None);
            tell(&one.gate, ("rules", &json!({"do": "pin", "id": one.rule})), far)
        }
        AskRules::Add(flags) => install::add(flags),
        AskRules::Undo(one) => {
            let far = Request::post(format!("/api/v1/measures/{}/undo", one.rule), None);
            tell(&one.gate, ("rules", &json!({"do": "undo", "id": one.rule})), far)
        }
    }
}

/// Shows postures, or holds platforms in one.
pub(crate) fn posture(flags: &PostureOf) -> Done {
    let (platform, posture) = split(&flags.words).map_err(Failure::Because)?;
    if let Some(posture) = posture {
        let path = format!("/api/v1/platforms/{}/posture", platform.map_or_else(|| "*".to_owned(), segment));
        let far = Request::put(path, json!({"posture": posture}));
        return tell(&flags.gate, ("posture", &json!({"platform": platform, "posture": posture})), far);
    }
    let (_, defence) = stand(&flags.gate)?;
    let mut platforms = defence.platforms;
    if let Some(name) = platform {
        let names: Vec<String> = platforms.iter().map(|platform| platform.name.clone()).collect();
        platforms.retain(|platform| platform.name == name);
        if platforms.is_empty() {
            return Err(neither(name, &names));
        }
    }
    let value = serde_json::to_value(&platforms).unwrap_or_default();
    shown(&flags.gate, &value, || show::postures(&platforms))
}

/// Announces events, lists them, takes announcements back.
pub(crate) fn event(ask: &AskEvent) -> Done {
    match ask {
        AskEvent::Add(event) => add(event),
        AskEvent::List(gate) => {
            let (_, defence) = stand(gate)?;
            let value = serde_json::to_value(&defence.events).unwrap_or_default();
            shown(gate, &value, || show::events(&defence.events, moment::now()))
        }
        AskEvent::Cancel(event) => {
            let far = Request::delete(format!("/api/v1/events/{}", segment(&event.name)));
            tell(&event.gate, ("event", &json!({"do": "cancel", "name": event.name})), far)
        }
    }
}

fn add(event: &AddEvent) -> Done {
    let now = moment::now();
    let from = event.from.resolve(now);
    let until = event.until.resolve_end(from);
    if until <= from || until <= now {
        let (from, until) = (moment::speak(from), moment::speak(until));
        let why = if until <= from { format!("before it begins ({from})") } else { "in the past".to_owned() };
        return Err(Failure::because(format!("the event would be over at {until}, {why}")));
    }
    let (name, platform) = (&event.name, &event.platform);
    let said = json!({"name": name, "from": from, "until": until, "platform": platform});
    let near = json!({"do": "add", "name": name, "from": from, "until": until, "platform": platform});
    tell(&event.gate, ("event", &near), Request::post("/api/v1/events", Some(said)))
}

/// `[PLATFORM] [POSTURE]`: which word is which.
fn split(words: &[String]) -> Result<(Option<&str>, Option<&str>), String> {
    let known = |word: &str| word == "auto" || Posture::from_name(word).is_some();
    let names = || {
        let postures: Vec<&str> = Posture::ALL.iter().map(|posture| posture.name()).collect();
        format!("{} or auto", postures.join(", "))
    };
    match words {
        [] => Ok((None, None)),
        [word] if known(word) => Ok((None, Some(word))),
        [word] => Ok((Some(word), None)),
        [platform, posture] if known(posture) => Ok((Some(platform), Some(posture))),
        [_, posture, ..] => Err(format!("`{posture}` is no posture; a posture is {}", names())),
    }
}

fn neither(name: &str, platforms: &[String]) -> Failure {
    Failure::because(format!("`{name}` is neither a platform ({}) nor a posture", platforms.join(", ")))
}

/// All that the running gate says of itself.
pub(crate) fn whole(gate: &Gate) -> Result<Value, Failure> {
    if let Some(far) = far(gate)? {
        return far.get("/api/v1/status");
    }
    ask_status(&socket(gate)?)
}

/// The same, from a control socket.
pub(crate) fn ask_status(socket: &Path) -> Result<Value, Failure> {
    let answer = control::ask(socket, "status").map_err(|error| unanswered(socket, &error))?;
    Ok(accepted(answer)?.status.unwrap_or_default())
}

/// How the gate stands: everything that it says, and of that what the brain says.
fn stand(gate: &Gate) -> Result<(Value, Status), Failure> {
    let whole = whole(gate)?;
    let defence = whole.get("defence").cloned().unwrap_or_default();
    let defence = serde_json::from_value(defence).map_err(|_| {
        Failure::because("the gate that runs is of another version: it does not say how its defence stands")
    })?;
    Ok((whole, defence))
}

/// Asks for something to be done, over the control socket or elsewhere, and says what was.
fn tell(gate: &Gate, (verb, args): (&str, &Value), request: Request) -> Done {
    let message = if let Some(far) = far(gate)? {
        far.act(request)?
    } else {
        let socket = socket(gate)?;
        let answer = control::ask_with(&socket, verb, args).map_err(|error| unanswered(&socket, &error))?;
        accepted(answer)?.message
    };
    let value = json!({"ok": true, "message": message});
    shown(gate, &value, || message.clone())
}

/// The gate elsewhere that is asked, if it is one.
pub(crate) fn far(gate: &Gate) -> Result<Option<Far>, Failure> {
    Far::of(&gate.far, &gate.config, gate.control.as_deref())
}

fn accepted(answer: Answer) -> Result<Answer, Failure> {
    if answer.ok { Ok(answer) } else { Err(Failure::Because(answer.message)) }
}

fn shown(gate: &Gate, value: &Value, text: impl FnOnce() -> String) -> Done {
    let json = || serde_json::to_string_pretty(value).unwrap_or_default();
    talk::answer(&if gate.json { json() } else { text() })
}

/// Where the gate on this machine is asked.
pub(crate) fn socket(gate: &Gate) -> Result<PathBuf, Failure> {
    match &gate.control {
        Some(socket) => Ok(socket.clone()),
        None => Ok(configuration::policy(&gate.config)?.server.control),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_platforms_and_postures() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let table: [(&[&str], _); 5] = [
            (&[], Ok((None, None))),
            (&["attack"], Ok((None, Some("attack")))),
            (&["public"], Ok((Some("public"), None))),
            (&["public", "auto"], Ok((Some("public"), Some("auto")))),
            (&["attack", "attack"], Ok((Some("attack"), Some("attack")))),
        ];
        for (typed, expected) in table {
            let typed = words(typed);
            assert_eq!(split(&typed), expected, "{typed:?}");
        }
        let typed = words(&["public", "calm"]);
        assert!(split(&typed).is_err_and(|why| why.contains("normal, elevated, attack, overload, recovery or auto")));
    }
}
