//! The report as one page: no script, nothing that it loads, readable without colours.

use std::fmt::Write as _;

use crate::report::{Moment, Report};

/// The drawing's width, and the height of each of its bands.
const WIDTH: f64 = 960.0;
const BAND: f64 = 120.0;
/// Seconds between two ticks of the axis of time, and how many there may be.
const STEPS: [u32; 11] = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21_600];
const MOST_TICKS: u32 = 16;

pub(crate) fn render(report: &Report) -> String {
    let mut page = String::from(HEAD);
    let verdict = if report.passed { "holds" } else { "does not hold" };
    let (name, title) = (escape(&report.scenario), escape(&report.title));
    let _ = write!(page, "<title>{name}: {verdict}</title></head><body><main><h1>{name}: {verdict}</h1>");
    let _ = write!(page, "<p>{title}. Seed {}.</p>", report.seed);
    expectations(&mut page, report);
    timeline(&mut page, report);
    cohorts(&mut page, report);
    acts(&mut page, report);
    figures(&mut page, report);
    let _ = write!(page, "<p class=\"hash\">log hash {}</p></main></body></html>", report.log_hash);
    page
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
content=\"width=device-width\"><style>:root{color-scheme:light dark;--ink:#1a1a1a;--quiet:#555;--line:#ccc;--ground:#fff;\
--good:#064;--bad:#b00;--hurt:#a85b00;--elevated:#e4e4e4;--attack:#fbd5d5;--overload:#d5e3fb;--recovery:#fbf3d0}\
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--quiet:#aaa;--line:#444;--ground:#161616;--good:#5c9;--bad:#f77;\
--hurt:#fb4;--elevated:#333;--attack:#4a1d1d;--overload:#1d2f4a;--recovery:#3d3614}}\
body{font:16px/1.5 system-ui,sans-serif;margin:0;color:var(--ink);background:var(--ground)}\
main{max-width:64rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}h1{font-size:1.6rem}.wide{overflow-x:auto}\
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.25rem .75rem .25rem 0;\
border-bottom:1px solid var(--line);overflow-wrap:normal;vertical-align:top}td.n,th.n{text-align:right;white-space:nowrap;\
font-variant-numeric:tabular-nums}td.what{color:var(--quiet);min-width:14rem}svg{width:100%;min-width:40rem;height:auto;\
fill:var(--ink)}.fail{font-weight:bold;color:var(--bad)}.hash{font-size:.8rem}ol{padding:0;list-style:none}\
li{margin:.4rem 0}time{font-variant-numeric:tabular-nums;color:var(--quiet)}</style>";

fn expectations(page: &mut String, report: &Report) {
    page.push_str(
        "<h2>Expectations</h2><div class=\"wide\"><table><tr><th>figure<th class=\"n\">measured<th class=\"n\">limit<th>result\
         <th>what it is</tr>",
    );
    for expectation in &report.expectations {
        let (class, word) = if expectation.passed { ("", "holds") } else { (" class=\"fail\"", "does not hold") };
        let (name, value) = (escape(&expectation.name), number(expectation.value, expectation.unit));
        let limit = number(Some(expectation.limit), expectation.unit);
        let what = what(&expectation.name);
        let _ = write!(
            page,
            "<tr{class}><td>{name}<td class=\"n\">{value}<td class=\"n\">{limit}<td>{word}<td class=\"what\">{what}</tr>"
        );
    }
    page.push_str("</table></div>");
}

/// Three bands over one axis of time: requests, latency, and what the gate made of it.
fn timeline(page: &mut String, report: &Report) {
    let moments = &report.timeline;
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return };
    let span = f64::from(last.second.saturating_sub(first.second)).max(1.0);
    let x = |moment: &Moment| WIDTH * f64::from(moment.second - first.second) / span;
    let requests = moments.iter().map(|moment| moment.legitimate + moment.attack).max().unwrap_or(1).max(1);
    let slowest = moments.iter().map(|moment| moment.p99_ms).fold(1.0, f64::max);
    page.push_str("<h2>Timeline</h2>");
    let height = 3.0 * BAND + 80.0;
    let _ = write!(
        page,
        "<div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Requests, latency and posture over {} seconds\">",
        last.second
    );
    posture_bands(page, moments, &x);
    let mut line = |top: f64, style: &str, label: &str, value: &dyn Fn(&Moment) -> f64| {
        let mut points = String::new();
        for moment in moments {
            let _ = write!(points, "{:.1},{:.1} ", x(moment), top + BAND * (1.0 - value(moment).clamp(0.0, 1.0)));
        }
        let _ = write!(page, "<polyline points=\"{points}\" fill=\"none\" {style}><title>{label}</title></polyline>");
    };
    let share = |count: u32| f64::from(count) / f64::from(requests);
    line(20.0, "stroke=\"var(--bad)\" stroke-dasharray=\"4 2\"", "attack, sent", &|moment| share(moment.attack));
    line(20.0, "stroke=\"var(--bad)\" stroke-width=\"2\"", "attack, reached a platform", &|moment| {
        share(moment.attack_passed)
    });
    line(20.0, "stroke=\"var(--good)\" stroke-width=\"2\"", "legitimate", &|moment| share(moment.legitimate));
    line(20.0, "stroke=\"var(--hurt)\"", "legitimate, refused", &|moment| share(moment.legitimate_refused));
    line(40.0 + BAND, "stroke=\"var(--good)\"", "99th percentile", &|moment| moment.p99_ms / slowest);
    line(60.0 + 2.0 * BAND, "stroke=\"var(--ink)\"", "workers that are busy", &|moment| moment.busy);
    let captions = [
        (
            16.0,
            format!(
                "requests a second (most {requests}): legitimate green; attack red, dashed as sent, solid as passed; refused visitors orange"
            ),
        ),
        (36.0 + BAND, format!("99th percentile of legitimate requests (most {slowest:.0} ms)")),
        (56.0 + 2.0 * BAND, "platform's workers that are busy, 0 to 1".to_owned()),
    ];
    for (y, words) in captions {
        let _ = write!(page, "<text x=\"4\" y=\"{y}\" font-size=\"12\">{words}</text>");
    }
    for attack in &report.attacks {
        let at = |seconds: f64| WIDTH * (seconds - f64::from(first.second)).clamp(0.0, span) / span;
        let (from, until) = (at(attack.from), at(attack.until));
        let _ = write!(
            page,
            "<line x1=\"{from:.1}\" x2=\"{until:.1}\" y1=\"21\" y2=\"21\" stroke=\"var(--bad)\" stroke-width=\"4\"><title>{}</title></line>",
            escape(&attack.name)
        );
    }
    axis(page, first.second, last.second);
    page.push_str("</svg></div><p>The ground is grey while the posture is elevated, red in attack, blue in overload, yellow in recovery.</p>");
}

/// Full minutes, or multiples of them, under the bands.
fn axis(page: &mut String, first: u32, last: u32) {
    let span = last.saturating_sub(first).max(1);
    let step = STEPS.into_iter().find(|step| span / step <= MOST_TICKS).unwrap_or(86_400);
    let bottom = 3.0 * BAND + 60.0;
    for second in (first.next_multiple_of(step)..=last).step_by(step as usize) {
        let x = WIDTH * f64::from(second - first) / f64::from(span);
        let (hours, minutes, seconds) = (second / 3600, second / 60 % 60, second % 60);
        let label =
            if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") };
        let _ = write!(
            page,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"20\" y2=\"{bottom}\" stroke=\"var(--line)\" stroke-width=\"0.5\"/>\
             <text x=\"{:.1}\" y=\"{}\" font-size=\"12\">{label}</text>",
            x + 3.0,
            bottom + 14.0
        );
    }
}

fn posture_bands(page: &mut String, moments: &[Moment], x: &dyn Fn(&Moment) -> f64) {
    let mut rest = moments;
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|moment| moment.posture == first.posture).count();
        let ground = match first.posture {
            "elevated" => "var(--elevated)",
            "attack" => "var(--attack)",
            "overload" => "var(--overload)",
            "recovery" => "var(--recovery)",
            _ => "",
        };
        let next = rest.get(same).or(rest.last());
        if !ground.is_empty() {
            let (from, until) = (x(first), next.map_or(WIDTH, x));
            let _ = write!(
                page,
                "<rect x=\"{from:.1}\" y=\"20\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{ground}\"><title>{}</title></rect>",
                (until - from).max(0.5),
                3.0 * BAND + 40.0,
                first.posture
            );
        }
        rest = rest.get(same..).unwrap_or_default();
    }
}

fn cohorts(page: &mut String, report: &Report) {
    page.push_str("<h2>Legitimate sessions</h2><div class=\"wide\"><table><tr><th>cohort");
    for word in ["sessions", "refused", "challenged", "not passed", "over 2 s", "unserved"] {
        let _ = write!(page, "<th class=\"n\">{word}");
    }
    page.push_str("</tr>");
    for cohort in &report.cohorts {
        let kind = if cohort.protected { " (may never be refused)" } else { "" };
        let _ = write!(page, "<tr><td>{}{kind}", escape(&cohort.name));
        for count in
            [cohort.sessions, cohort.refused, cohort.challenged, cohort.failed, cohort.delayed, cohort.unserved]
        {
            let _ = write!(page, "<td class=\"n\">{count}");
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}

fn acts(page: &mut String, report: &Report) {
    page.push_str("<h2>What the gate did, and why</h2><ol>");
    for act in report.acts.iter().take(crate::report::ACTS_DRAWN) {
        let _ = write!(page, "<li><time>{}</time> {}</li>", crate::report::clock(act.at_nanos), escape(&act.words));
    }
    page.push_str("</ol>");
    if report.acts.len() > crate::report::ACTS_DRAWN {
        let _ = write!(page, "<p>and {} more</p>", report.acts.len() - crate::report::ACTS_DRAWN);
    }
}

fn figures(page: &mut String, report: &Report) {
    page.push_str("<h2>Everything that was measured</h2><div class=\"wide\"><table>");
    for figure in &report.figures {
        let value = number(figure.value, figure.unit);
        let (name, what) = (escape(&figure.name), what(&figure.name));
        let _ = write!(page, "<tr><td>{name}<td class=\"n\">{value}<td class=\"what\">{what}</tr>");
    }
    page.push_str("</table></div>");
}

/// What a figure is, in words.
fn what(figure: &str) -> String {
    crate::figures::FIGURES
        .iter()
        .find(|(name, ..)| *name == figure)
        .map_or_else(String::new, |(.., what)| escape(what))
}

fn number(value: Option<f64>, unit: &str) -> String {
    escape(&crate::report::measured(value, unit))
}

/// Whatever a scenario or a client wrote is text and nothing else.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scenario, rehearse};

    #[test]
    fn the_page_is_whole_and_what_others_wrote_is_text() {
        let text = "name = \"n<script>\"\ntitle = \"a & b\"\nlasts = \"20s\"\n[[population]]\nname = \"p\"\nrate = 20\n\
            [[expect]]\nfigure = \"rules\"\nat_most = 0\n";
        let scenario = Scenario::parse(text, None).expect("sound");
        let page = render(&rehearse(&scenario, 3));
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>"));
        assert!(page.contains("n&lt;script&gt;") && page.contains("a &amp; b"), "escaped");
        assert!(!page.contains("<script"), "nothing runs");
        assert!(page.contains("<polyline") && page.contains("role=\"img\""));
        assert!(page.contains(">0:10</text>") && page.contains("<td class=\"what\">rules that acted<"), "{page}");
    }
}
