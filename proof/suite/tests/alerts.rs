//! Who is told when something is wrong, what the public sees, and what a person sees in a terminal: of a gate that runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_suite::{Axe, Browser, Gate, Next, Origin, Plan, eventually, free_address, place, respond, run};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// A gate with a console, whose state is in a directory.
fn gate(name: &str, origin: &Origin, more: &str) -> (Gate, PathBuf) {
    let state = place(&format!("{name}-state"));
    let at = free_address();
    let tables = format!("[defence]\nstate = {state:?}\n[console]\nlisten = \"{at}\"\n{more}");
    let plan = Plan::new(name)
        .table(&tables)
        .upstream(&[origin.url()], "health = { path = \"/\", interval = \"1s\", timeout = \"1s\" }\n");
    (plan.start(), state)
}

fn healthy() -> Origin {
    Origin::start(|_, stream| respond(stream, 200, "", b"hello").map(|()| Next::Keep))
}

#[test]
fn a_person_is_told_signed_and_on_record_and_of_the_end() {
    let hook = Origin::start(|_, stream| respond(stream, 204, "", b"").map(|()| Next::Keep));
    let folder = place("alerts-secret");
    let secret = folder.join("hook.secret");
    fs::write(&secret, "a secret that only two know of\n").expect("written");
    let origin = healthy();
    let more = format!(
        "[[alert]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}/hook\"\nsecret_file = {secret:?}\nmin = \"page\"\n\
         [[alert]]\nname = \"gone\"\nkind = \"slack\"\nurl = \"http://127.0.0.1:9/\"\nmin = \"page\"\n",
        hook.url()
    );
    let (gate, state) = gate("alerts", &origin, &more);
    let command = |line: &[&str]| gate.command(&[line, &["--config", "gate.toml"]].concat());
    let tested = command(&["console", "alert", "ops"]);
    assert!(tested.success, "{} {}", tested.stdout, tested.stderr);
    let failed = command(&["console", "alert", "gone"]);
    assert!(!failed.success && failed.stderr.contains("did not take the test"), "{}", failed.stderr);
    let held = command(&["posture", "main", "attack"]);
    assert!(held.success, "{}", held.stderr);
    // The test, then the attack; what they say is on record, below.
    let mut told = Vec::new();
    let both = eventually(PATIENCE, || {
        told.extend(hook.take());
        told.len() >= 2
    });
    assert!(both, "{told:?}");
    // The screen of whoever is called says the same.
    let shown = command(&["top", "--once"]);
    assert!(shown.success && shown.stdout.contains("main  ATTACK"), "{} {}", shown.stdout, shown.stderr);
    let calm = command(&["posture", "main", "normal"]);
    assert!(calm.success, "{}", calm.stderr);
    let mut ended = Vec::new();
    let over = eventually(2 * PATIENCE, || {
        ended.extend(hook.take());
        !ended.is_empty()
    });
    assert!(over, "the end is told, too");
    for seen in &told {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            assert!(seen.header(name).is_some_and(|value| !value.is_empty()), "{name}");
        }
    }
    let recorded = eventually(PATIENCE, || {
        let words = changes(&state);
        words.iter().any(|words| words.contains("ops was told: URGENT: Attack on main"))
            && words.iter().any(|words| words.contains("gone could not be told"))
    });
    assert!(recorded, "{:?}", changes(&state));
}

/// What is on record of changes, in words.
fn changes(state: &Path) -> Vec<String> {
    let evidence = state.join("evidence").to_string_lossy().into_owned();
    let shown = run(Gate::binary(), &["ledger", "show", &evidence, "--json", "--kind", "change"], PATIENCE);
    let lines = shown.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|record| record["event"]["words"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_public_reads_how_things_are_in_a_page_without_a_barrier() {
    let public = place("status-page").join("public");
    let origin = healthy();
    let more = format!(
        "[organisation]\nname = \"Folk\"\nlanguage = \"da\"\npage = \"https://example.org/hjælp\"\n\
         [[organisation.contact]]\nname = \"Ane\"\nrole = \"lead\"\nemail = \"ane@example.org\"\nphone = \"+45 12 34 56 78\"\n\
         [status]\ndirectory = {public:?}\n"
    );
    let (_gate, _) = gate("status", &origin, &more);
    let json = || fs::read(public.join("status.json")).ok().and_then(|it| serde_json::from_slice::<Value>(&it).ok());
    assert!(eventually(PATIENCE, || json().is_some_and(|it| it["state"] == "well")), "{:?}", json());
    let well = fs::read_to_string(public.join("index.html")).expect("written");
    assert!(well.contains("Alt er godt") && well.contains("mailto:ane@example.org"), "{well}");
    drop(origin);
    assert!(eventually(2 * PATIENCE, || json().is_some_and(|it| it["state"] == "out")), "{:?}", json());
    let Some(axe) = Axe::new("status") else { return };
    let place = place("status-axe");
    let Some(mut browser) = Browser::start("status", &place, "") else { return };
    let url = format!("file://{}", public.join("index.html").display());
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")] {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        let wish = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.call("Emulation.setEmulatedMedia", wish);
        browser.open(&url);
        let broken = axe.violations(&mut browser);
        assert!(broken.is_empty(), "{width} {scheme}: {broken:#?}");
        let wide = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(wide, json!(0), "{width} {scheme}");
        browser.picture(&place.join(format!("{width}-{scheme}.png")));
    }
    browser.call(
        "Emulation.setEmulatedMedia",
        json!({ "media": "print", "features": [{ "name": "prefers-color-scheme", "value": "dark" }] }),
    );
    let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor");
    assert_eq!(paper, "rgb(255, 255, 255)", "paper is white whatever the screen is");
    // The canary: words that nobody can tell from the paper.
    browser.evaluate("document.querySelector('main p').style.color = '#ddd'");
    assert!(axe.violations(&mut browser).join("\n").contains("color-contrast"));
}
