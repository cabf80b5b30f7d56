//! The report as people get it: in a browser, light and dark, wide and narrow; and on paper, read by other people's readers.

#[path = "../../../crates/incident/tests/scene/mod.rs"]
mod scene;
#[path = "../../../crates/incident/tests/scene/ledger.rs"]
mod written;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_ledger::{Alarm, Canary, Disclosure, Event, Finding, Note, Traffic};
use portcullis_suite::{Axe, Browser, Gate, have, place, run};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

/// Letters that people write with and fonts lack, and a name that is longer than any column.
const NAME: &str = "Rødgrød/<b>Æ&amp;中\u{1f600}\u{202e}";

/// An incident with everything that a report can have, exported.
fn exported(place: &Path) -> PathBuf {
    let (evidence, out) = (place.join("ledger"), place.join("out"));
    let long = format!("{NAME}{}", "verylongname".repeat(12));
    let traffic = scene::traffic("public", "human", scene::SECOND, scene::SECOND + 10_000, 900, 400, 300);
    let Event::Traffic(traffic) = traffic else { unreachable!("it is traffic") };
    let traffic = Traffic { route: long.clone(), ..traffic };
    let canary = Canary {
        canary: long.clone(),
        path: "http/public".into(),
        through: long.clone(),
        left: true,
        way: "answer".into(),
        ..Canary::default()
    };
    let found = Finding {
        what: "file-changed".into(),
        platform: "public".into(),
        words: format!("{long} changed."),
        ..Finding::default()
    };
    let budget = Disclosure {
        path: "http/public".into(),
        through: "/members".into(),
        what: "email".into(),
        whose: "session".into(),
        allowed: 50,
        reached: 4_321,
        left: 1_234,
        action: "refused".into(),
        ..Disclosure::default()
    };
    let alarm = Alarm { what: NAME.into(), platform: NAME.into(), words: long.clone(), count: 3, ..Alarm::default() };
    let note = Note {
        incident: "2019-11-11-1".into(),
        by: "duty".into(),
        words: "The host was asked. ".repeat(60),
        ..Note::default()
    };
    let extra = vec![
        (scene::SECOND, Event::Note(note)),
        (scene::SECOND + 10_000, Event::Traffic(traffic)),
        (scene::SECOND, Event::Canary(canary)),
        (scene::SECOND, Event::Finding(found)),
        (scene::SECOND, Event::Disclosure(budget)),
        (scene::SECOND, Event::Alarm(alarm)),
    ];
    written::ledger(&evidence, extra);
    let (evidence, to) = (evidence.to_string_lossy(), out.to_string_lossy());
    let arguments = ["incident", "export", "last", &*to, "--ledger", &*evidence, "--config", "/nonexistent"];
    let exported = run(Gate::binary(), &arguments, 2 * MINUTE);
    assert!(exported.success, "{}", exported.stderr);
    out
}

/// A width of the window in pixels, and a wish for light or darkness.
fn look(browser: &mut Browser, width: u32, scheme: &str) {
    let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    browser.call("Emulation.setDeviceMetricsOverride", size);
    let wish = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    browser.call("Emulation.setEmulatedMedia", wish);
}

#[test]
fn axe_finds_nothing_in_the_report_light_and_dark_wide_and_narrow() {
    let place = place("report-axe");
    let Some(axe) = Axe::new("report") else { return };
    let Some(mut browser) = Browser::start("report", &place, "") else { return };
    let url = format!("file://{}", exported(&place).join("report.html").display());
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")] {
        look(&mut browser, width, scheme);
        browser.open(&url);
        let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(paper == "rgb(255, 255, 255)", scheme == "light", "{paper}");
        let broken = axe.violations(&mut browser);
        assert!(broken.is_empty(), "{width} {scheme}: {broken:#?}");
        // Neither the page nor a table in it is wider than the window.
        let wide = browser.evaluate(
            "[...document.querySelectorAll('html, .scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)
                     .map(e => (e.getAttribute('aria-label') || 'the page') + ' ' + e.scrollWidth)",
        );
        assert!(width > 360 || wide == json!([]), "{width} {scheme}: {wide}");
    }
    browser.call(
        "Emulation.setEmulatedMedia",
        json!({ "media": "print", "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
    );
    let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, "rgb(255, 255, 255)", "paper is white whatever the screen is");
    browser.call("Emulation.setEmulatedMedia", json!({ "media": "" }));
    // The canary: a chart without a name, and words that nobody can tell from the paper.
    look(&mut browser, 1280, "light");
    browser.evaluate(
        "document.querySelectorAll('svg').forEach(e => { e.removeAttribute('aria-labelledby'); e.querySelector('title').remove() });
         document.querySelector('main p').style.color = '#ddd'",
    );
    let broken = axe.violations(&mut browser).join("\n");
    for rule in ["svg-img-alt: ", "color-contrast: "] {
        assert!(broken.contains(rule), "{rule} is not found: {broken}");
    }
}

/// What the page says, in the order in which it is read, without spaces: the text of each heading, paragraph, item and cell.
const READ_ALOUD: &str = "(() => {
    document.querySelectorAll('a[data-id]').forEach(e => e.append(' ' + e.dataset.id));
    return [...document.querySelectorAll('h1, h2, h3, header p, main p, li, caption, th, td')]
        .filter(e => !e.closest('nav'))
        .map(e => e.textContent)
})()";

#[test]
fn the_pdf_is_sound_tagged_and_says_what_the_page_says_in_its_order() {
    let test = "the report as PDF";
    if !(have("qpdf", "qpdf", test) && have("pdfinfo", "poppler-utils", test)) {
        return;
    }
    let place = place("report-pdf");
    let Some(mut browser) = Browser::start("report", &place, "") else { return };
    let out = exported(&place);
    let pdf = out.join("report.pdf").to_string_lossy().into_owned();
    let said = |program: &str, arguments: &[&str]| {
        let output = run(program, arguments, MINUTE);
        assert!(output.success, "{program} {arguments:?}: {}{}", output.stdout, output.stderr);
        output
    };
    let checked = said("qpdf", &["--check", &pdf]);
    assert!(checked.stdout.contains("No syntax or stream encoding errors found"), "{}", checked.stdout);
    let about = said("pdfinfo", &[&pdf]);
    assert!(about.stderr.is_empty(), "{}", about.stderr);
    for part in [
        "Title:           Incident 2019-11-11-1",
        "Tagged:          yes",
        "(A4)",
        "JavaScript:      no",
        "Encrypted:       no",
    ] {
        assert!(about.stdout.contains(part), "{part}: {}", about.stdout);
    }
    let fonts = said("pdffonts", &[&pdf]).stdout;
    let embedded: Vec<&str> = fonts.lines().skip(2).collect();
    assert_eq!(embedded.len(), 2, "{fonts}");
    for font in embedded {
        // Embedded, a part of the font, and with a way back from glyphs to letters.
        let columns: Vec<&str> = font.split_whitespace().collect();
        assert!(columns.windows(3).any(|three| three == ["yes", "yes", "yes"]), "{font}");
    }
    let tree = said("pdfinfo", &["-struct", &pdf]);
    assert!(tree.stderr.is_empty(), "{}", tree.stderr);
    let count =
        |tag: &str| tree.stdout.lines().filter(|line| line.trim().split([' ', ':']).next() == Some(tag)).count();
    browser.open(&format!("file://{}", out.join("report.html").display()));
    for (tag, element) in [
        ("H1", "h1"),
        ("H2", "main h2"),
        ("H3", "h3"),
        ("Table", "table"),
        ("Caption", "caption"),
        ("TH", "th"),
        ("TD", "td"),
        ("LI", "main li"),
        ("Figure", "figure"),
        ("Link", "main a, nav a"),
    ] {
        let there = browser.evaluate(&format!("document.querySelectorAll('{element}').length"));
        assert_eq!(json!(count(tag)), there, "{tag}");
    }
    let raw = said("qpdf", &["--qdf", &pdf, "-"]).stdout;
    for part in
        ["/Lang (en)", "/DisplayDocTitle true", "/Marked true", "/PageMode /UseOutlines", "/Title (What happened)"]
    {
        assert!(raw.contains(part), "{part}");
    }
    assert_eq!(
        raw.matches("/Alt (Requests to ").count(),
        count("Figure"),
        "each chart is said to whoever does not see it"
    );
    assert_eq!(raw.matches("/Scope /").count(), count("TH"), "each header cell says of what");
    let aloud = said("pdfinfo", &["-struct-text", &pdf]).stdout;
    // Each line of text stands between quotation marks; tags do not.
    let text: String =
        aloud.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"')).collect::<Vec<_>>().concat();
    let text = tight(&text);
    let pieces = browser.evaluate(READ_ALOUD);
    let pieces: Vec<&str> = pieces.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(pieces.len() > 500, "{}", pieces.len());
    let mut at = 0;
    for piece in &pieces {
        let piece = printed(piece);
        let found = text[at..].find(&piece).unwrap_or_else(|| panic!("`{piece}` is not behind `{}`", &text[..at]));
        at += found + piece.len();
    }
    // As a reader without tags has it: every figure that the page has.
    let plain = tight(&said("pdftotext", &[&pdf, "-"]).stdout);
    let report: Value =
        serde_json::from_str(&fs::read_to_string(out.join("assessment.json")).expect("a report")).expect("JSON");
    for figure in report["figures"].as_array().expect("figures") {
        let row = [&figure["id"], &figure["words"]].map(|part| part.as_str().unwrap_or_default()).concat();
        assert!(plain.contains(&printed(&row)), "{row}");
    }
    assert!(plain.contains("Rødgrød") && plain.contains("Page1of"), "{plain}");
    let sums = fs::read_to_string(out.join("SHA256SUMS")).expect("sums");
    assert!(sums.lines().any(|line| line.ends_with("  report.pdf")), "{sums}");
}

/// As it stands in the PDF: what its font lacks is written out.
fn printed(text: &str) -> String {
    tight(&text.replace('中', "\\u{4e2d}").replace('\u{1f600}', "\\u{1f600}"))
}

fn tight(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}
