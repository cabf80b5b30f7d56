//! axe-core, which finds in a page what keeps people from reading it, in the browser that a test drives.
//!
//! It never changes a page, and brings no rule of ours: every rule that axe runs by itself is run.

use std::fs;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::place::root;
use crate::tools;

/// The library's text.
#[derive(Debug)]
pub struct Axe(String);

impl Axe {
    /// Reads it, or says that it is missing.
    #[must_use]
    pub fn new(test: &str) -> Option<Self> {
        let file = root().join("target/node/node_modules/axe-core/axe.min.js");
        let Ok(library) = fs::read_to_string(&file) else {
            tools::missing(test, "axe-core", "make setup, and a reachable npm registry");
            return None;
        };
        Some(Self(library))
    }

    /// What is wrong with the page that is open: the rule, and the first place.
    ///
    /// # Panics
    /// When it did not run.
    pub fn violations(&self, browser: &mut Browser) -> Vec<String> {
        browser.evaluate(&format!("{};0", self.0));
        let run = "axe.run(document).then(r => ({ passed: r.passes.map(p => p.id),
            broken: r.violations.map(v => v.id + ': ' + v.nodes[0].html.slice(0, 200) + ' ' + v.nodes[0].failureSummary) }))";
        let found = browser.evaluate(run);
        // Rules that hold wherever there is text: axe saw the page, and its colours.
        let passed = found["passed"].as_array().cloned().unwrap_or_default();
        assert!(passed.contains(&json!("document-title")), "axe did not run: {found}");
        let broken = found["broken"].as_array().cloned().unwrap_or_default();
        broken.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}
