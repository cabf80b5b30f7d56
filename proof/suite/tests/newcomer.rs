//! Somebody who has never seen Portcullis starts the demo, plays an attack on it by a button of its console, sees the gate drop, hold and
//! rise, and reads the report. The picture of the README is what they see meanwhile (`make picture`).

use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_suite::{Browser, Gate, Running, eventually, figure, place};
use rustix::process::Signal;
use serde_json::json;

/// For each step, however slow the machine is; how long the steps take is told.
const PATIENCE: Duration = Duration::from_secs(240);
/// Until the curves show what came and what became of it.
const LOOKS: Duration = Duration::from_secs(15);

#[test]
fn a_newcomer_plays_an_attack_sees_the_gate_drop_hold_and_rise_and_reads_the_report() {
    let place = place("newcomer");
    let Some(mut browser) = Browser::start("a newcomer", &place, "") else { return };
    let screen = json!({ "width": 1360, "height": 860, "deviceScaleFactor": 1, "mobile": false });
    browser.call("Emulation.setDeviceMetricsOverride", screen);
    let ports = ["--http", "0", "--https", "0", "--admin", "0", "--console", "0", "--database", "0"];
    let mut command = Command::new(Gate::binary());
    command.args(["demo", "--supporters", "120", "--for", "1h"]).args(ports);
    let mut demo = Running::start(command, &place.join("demo.log"));
    let begun = Instant::now();
    let link = || demo.output().split_whitespace().find(|word| word.contains("/welcome#")).map(str::to_owned);
    assert!(eventually(PATIENCE, || link().is_some()), "{}", demo.output());
    let link = link().expect("it was said");
    browser.sign_up(&link, "Ane", "heron lantern gravel soup");

    let button =
        |words: &str| format!("[...document.querySelectorAll('button')].find(it => it.innerText.trim() === '{words}')");
    browser.until(&format!("Boolean({})", button("Play an attack")), PATIENCE);
    // The page asks for a minute, in which the gate learns what is ordinary.
    let learned = "n.platforms.find(p => p.name === 'public').expected !== null";
    browser.until(&format!("fetch('/api/v1/now').then(r => r.json()).then(n => {learned})"), PATIENCE);
    figure("newcomer: the gate has learned", begun.elapsed().as_secs_f64(), "s since the demo was started");
    browser.enter(&button("Play an attack"), PATIENCE);
    browser.enter(&button("Play it"), PATIENCE);
    let step = |browser: &mut Browser, what: &str, holds: &str| {
        browser.until(holds, PATIENCE);
        figure(&format!("newcomer: {what}"), begun.elapsed().as_secs_f64(), "s since the demo was started");
    };
    let heading = |words: &str| format!("/{words}/.test(document.querySelector('main h1, main h2').innerText)");
    step(&mut browser, "the gate drops", &heading("is under attack"));
    // What holds says whom, why, and how it is taken back.
    step(&mut browser, "the gate holds", "document.querySelector('main .measure:not(.idle)') !== null");
    std::thread::sleep(LOOKS);
    browser.evaluate("scrollTo(0, 0)");
    browser.picture(&place.join("holds.png"));
    step(&mut browser, "the gate rises", &heading("is recovering|All is calm"));
    browser.picture(&place.join("rises.png"));

    let origin = link.split("/welcome").next().unwrap_or_default();
    browser.open(&format!("{origin}/incidents"));
    browser.enter("document.querySelector('main a[href^=\"/incidents/\"]')", PATIENCE);
    let read =
        ["Confidentiality", "Integrity", "Availability"].map(|claim| format!("text.includes('{claim}')")).join(" && ");
    step(&mut browser, "the report is read", &format!("(text => {read})(document.body.innerText)"));
    browser.picture(&place.join("report.png"));
    let page = "fetch(document.querySelector('main a[href$=\"report.html\"]').href).then(it => it.text())";
    let page = browser.evaluate(page);
    let whole = page.as_str().unwrap_or_default();
    assert!(whole.starts_with("<!doctype html>") && whole.contains("Confidentiality"), "{whole:.2000}");
    demo.signal(Signal::TERM);
    assert!(demo.wait(PATIENCE).is_some(), "{}", demo.output());
}
