//! `portcullis requests find`: decisions about single requests, from the decision log.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use portcullis_control::model::{DecisionLine, Decisions};
use portcullis_control::{Span, Wish};
use portcullis_proxy::journal::{Bounds, Decided, Place, Wanted, search};
use portcullis_simulator::replay::rfc3339;

use super::unread;
use crate::args::requests::{Became, FindOf};
use crate::moment::{now, speak};
use crate::remote::{Far, segment};
use crate::verbs::logged;
use crate::{Done, Failure, configuration, talk};

/// Bytes that one search of a program reads.
const BYTES: u64 = 64 << 20;
/// Decisions that a gate elsewhere tells at once.
const AT_ONCE: usize = 200;
/// Answers of a gate elsewhere that are asked for.
const ANSWERS: usize = 1_000;

/// Looks, and prints what was found.
pub(super) fn run(flags: &FindOf) -> Done {
    let now = now();
    let from = flags.since.resolve_back(now);
    let until = flags.until.map_or(now, |until| until.resolve_end(from));
    let span = Span { platform: flags.platform.as_deref(), from, until };
    let wish = Wish {
        route: flags.route.clone(),
        client: flags.client,
        verdict: flags.only.map(|became| name(became).to_owned()),
        reason: flags.reason.clone(),
        status: flags.status,
        print: flags.print.clone(),
        text: flags.text.clone(),
    };
    let most = flags.most as usize;
    let found = if let Some(far) = Far::of(&flags.far, &flags.config, flags.log.as_deref())? {
        let asked = query(&span, &wish);
        elsewhere(most, |cursor, most| {
            let cursor = cursor.map(|cursor| format!("&cursor={}", segment(cursor))).unwrap_or_default();
            far.get(&format!("{asked}&most={most}{cursor}"))
        })?
    } else {
        let log = match &flags.log {
            Some(log) => log.clone(),
            None => logged(&configuration::policy(&flags.config)?)?,
        };
        // Whoever waits at a terminal has all the time that there is.
        let bounds = Bounds { most, bytes: u64::MAX };
        decisions(&log, &span, &wish, None, bounds).map_err(unread(&log))?
    };
    if flags.json {
        let whole = serde_json::to_string(&found).map_err(|error| Failure::because(error.to_string()))?;
        return talk::answer(&format!("{whole}\n"));
    }
    talk::answer(&page(&found))
}

/// What is asked of a gate elsewhere.
fn query(span: &Span<'_>, wish: &Wish) -> String {
    let client = wish.client.map(|client| client.to_string());
    let mut path = format!("/api/v1/requests?from={}&until={}", span.from, span.until);
    for (name, value) in [
        ("platform", span.platform),
        ("route", wish.route.as_deref()),
        ("client", client.as_deref()),
        ("verdict", wish.verdict.as_deref()),
        ("reason", wish.reason.as_deref()),
        ("print", wish.print.as_deref()),
        ("text", wish.text.as_deref()),
    ] {
        value.iter().for_each(|value| path.push_str(&format!("&{name}={}", segment(value))));
    }
    wish.status.iter().for_each(|status| path.push_str(&format!("&status={status}")));
    path
}

/// As many as are wanted, answer by answer: each looks at a part of the log.
fn elsewhere(
    most: usize,
    mut ask: impl FnMut(Option<&str>, usize) -> Result<Decisions, Failure>,
) -> Result<Decisions, Failure> {
    let mut whole = Decisions::default();
    for _ in 0..ANSWERS {
        let missing = most.saturating_sub(whole.found.len());
        let answer = ask(whole.next.as_deref(), missing.min(AT_ONCE))?;
        whole.found.extend(answer.found.into_iter().take(missing));
        whole.next = answer.next;
        if whole.next.is_none() || whole.found.len() >= most {
            return Ok(whole);
        }
    }
    Err(Failure::because(format!("after {ANSWERS} answers there is more to look at: ask for a later --since")))
}

/// Decisions of a span, the newest first; for the verb and for the console.
pub(crate) fn decisions(
    log: &Path,
    span: &Span<'_>,
    wish: &Wish,
    from: Option<Place>,
    bounds: Bounds,
) -> io::Result<Decisions> {
    let wish = wish.clone();
    let wanted = Wanted {
        from: span.from,
        until: span.until,
        platform: span.platform.map(str::to_owned),
        route: wish.route,
        client: wish.client,
        became: wish.verdict,
        reason: wish.reason,
        status: wish.status,
        print: wish.print,
        text: wish.text,
    };
    let found = search(log, &wanted, from, bounds)?;
    Ok(Decisions {
        found: found.found.into_iter().map(line).collect(),
        next: found.next.map(|place| place.to_string()),
    })
}

/// What one answer of the console takes.
pub(crate) const fn bounds(most: usize) -> Bounds {
    Bounds { most, bytes: BYTES }
}

const fn name(became: Became) -> &'static str {
    match became {
        Became::Served => "served",
        Became::Refused => "refused",
        Became::Failed => "failed",
        Became::Challenged => "challenged",
        Became::Roomed => "roomed",
    }
}

fn line(it: Decided) -> DecisionLine {
    DecisionLine {
        at: rfc3339(it.t.as_bytes()).unwrap_or_default() / 1_000_000,
        verdict: it.became().to_owned(),
        reference: it.reference,
        reason: it.reason,
        detail: it.detail,
        status: it.status,
        platform: it.platform,
        route: it.route,
        client: it.client,
        method: it.method,
        host: it.host,
        path: it.path,
        print: it.ja4,
        audience: it.trust,
        millis: it.ms,
    }
}

fn page(found: &Decisions) -> String {
    let mut page = String::new();
    for it in &found.found {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let line = format!(
            "{}  {:<13}  {:<10} {:>3}  {:<20} {:<16} {:<12} {} {}{}",
            speak(it.at),
            it.reference.as_deref().unwrap_or("-"),
            it.verdict,
            it.status,
            it.reason.as_deref().unwrap_or("-"),
            it.client.as_deref().unwrap_or("-"),
            it.platform.as_deref().unwrap_or("-"),
            text(&it.method),
            text(&it.host),
            text(&it.path),
        );
        let line: String = line.chars().map(|it| if it.is_control() { '\u{FFFD}' } else { it }).collect();
        let _ = writeln!(page, "{}", line.trim_end());
    }
    match found.found.len() {
        0 => page.push_str("Nothing on record is like that.\n"),
        count if found.next.is_some() => {
            let _ = writeln!(page, "The {count} newest; ask for more (--most), or for an earlier --until.");
        }
        _ => {}
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_elsewhere_is_asked_answer_by_answer() {
        let part = |count: usize, next: Option<&str>| Decisions {
            found: vec![DecisionLine::default(); count],
            next: next.map(str::to_owned),
        };
        let asked = |most: usize, parts: &[Decisions]| {
            let (mut parts, mut asked) = (parts.iter().cloned(), Vec::new());
            let found = elsewhere(most, |cursor, most| {
                asked.push((cursor.map(str::to_owned), most));
                Ok(parts.next().unwrap_or_else(|| part(0, Some("again"))))
            });
            (found.ok().map(|found| (found.found.len(), found.next)), asked)
        };
        let at = |cursor: &str| Some(cursor.to_owned());
        let (found, questions) = asked(250, &[part(200, Some("a")), part(0, Some("b")), part(9, None)]);
        assert_eq!(found, Some((209, None)));
        assert_eq!(questions, [(None, 200), (at("a"), 50), (at("b"), 50)]);
        // More than was asked for is not told, and whoever never ends is not asked for ever.
        assert_eq!(asked(3, &[part(7, Some("a"))]).0, Some((3, at("a"))));
        let (found, questions) = asked(3, &[]);
        assert_eq!((found, questions.len()), (None, ANSWERS));
    }

    #[test]
    fn what_is_asked_elsewhere_says_all_that_is_wished() {
        let span = Span { platform: Some("a b"), from: 1, until: 2 };
        assert_eq!(query(&Span { platform: None, ..span }, &Wish::default()), "/api/v1/requests?from=1&until=2");
        let client = portcullis_types::Prefix::parse("203.0.113.0/24").expect("a network");
        let text = |text: &str| Some(text.to_owned());
        let wish = Wish {
            route: text("r"),
            client: Some(client),
            verdict: text("refused"),
            reason: text("banned"),
            status: Some(0),
            print: text("t13d"),
            text: text("/x?&"),
        };
        assert_eq!(
            query(&span, &wish),
            "/api/v1/requests?from=1&until=2&platform=a%20b&route=r&client=203.0.113.0%2F24&verdict=refused&reason=banned&\
             print=t13d&text=%2Fx%3F%26&status=0"
        );
    }

    #[test]
    fn a_line_is_told_whole_and_obeys_nothing() {
        let text = r#"{"t":"2026-11-21T23:05:09.042Z","ref":"0000000000007","platform":"public","client":"203.0.113.7",
            "method":"GET","host":"a.example","path":"/x\u001b[2J","verdict":"refused","reason":"challenge","status":429,"ms":0.25}"#;
        let home = tempfile::tempdir().expect("a directory");
        let log = home.path().join("decisions.jsonl");
        std::fs::write(&log, format!("{}\n", text.replace('\n', ""))).expect("written");
        let span = Span { platform: Some("public"), from: 1_795_302_309_000, until: 1_795_302_310_000 };
        let ask = |wish: &Wish| decisions(&log, &span, wish, None, bounds(9)).expect("read");
        let challenged = ask(&Wish { verdict: Some("challenged".to_owned()), ..Wish::default() });
        assert_eq!((challenged.found.len(), challenged.found[0].at), (1, 1_795_302_309_042));
        assert_eq!(
            page(&challenged),
            "2026-11-21 23:05:09 UTC  0000000000007  challenged 429  challenge            203.0.113.7      public       \
             GET a.example/x\u{FFFD}[2J\n"
        );
        let refused = ask(&Wish { verdict: Some("refused".to_owned()), ..Wish::default() });
        assert_eq!(page(&refused), "Nothing on record is like that.\n");
    }
}
