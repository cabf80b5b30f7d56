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
use crate::verbs::log_of;
use crate::{Done, Failure, talk};

/// Bytes that one search of a program reads.
const BYTES: u64 = 64 << 20;

/// Looks, and prints what was found.
pub(super) fn run(flags: &FindOf) -> Done {
    let log = match &flags.log {
        Some(log) => log.clone(),
        None => log_of(&flags.config)?,
    };
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
    // Whoever waits at a terminal has all the time that there is.
    let bounds = Bounds { most: flags.most as usize, bytes: u64::MAX };
    let found = decisions(&log, &span, &wish, None, bounds).map_err(unread(&log))?;
    if flags.json {
        let whole = serde_json::to_string(&found).map_err(|error| Failure::because(error.to_string()))?;
        return talk::answer(&format!("{whole}\n"));
    }
    talk::answer(&page(&found))
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
