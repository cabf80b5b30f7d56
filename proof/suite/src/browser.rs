//! A headless Chromium that a test drives: pages, keys, scripts switched off, and what assistive technology is told.
//!
//! It speaks the DevTools protocol over two named pipes, so it needs no port and no library. It never uses a profile
//! of anybody's: each browser has its own, in the directory of its test.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::eventually;
use crate::process::{Running, run};
use crate::tools;

/// What a browser of a loaded machine may take for one command.
const PATIENCE: Duration = Duration::from_secs(120);

/// One browser with one page.
#[derive(Debug)]
pub struct Browser {
    _process: Running,
    commands: File,
    messages: File,
    unread: Vec<u8>,
    events: VecDeque<Value>,
    session: String,
    serial: u64,
}

impl Browser {
    /// Starts one, or says that Chromium is missing. `resolve` are rules as `MAP gate.test 127.0.0.1`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(test: &str, place: &Path, resolve: &str) -> Option<Self> {
        if !tools::have("chromium", "chromium", test) {
            return None;
        }
        let pipes = [place.join("commands.pipe"), place.join("messages.pipe")];
        for pipe in &pipes {
            let made = run("mkfifo", &[&*pipe.to_string_lossy()], Duration::from_secs(5));
            assert!(made.success, "{}: {}", pipe.display(), made.stderr);
        }
        // The shell only puts the pipes where Chromium looks for them: descriptors 3 and 4. Both are opened for reading
        // and writing, so that nobody waits for the other end.
        let mut command = Command::new("sh");
        command.arg("-c").arg("exec chromium \"$@\" 3<>\"$COMMANDS\" 4<>\"$MESSAGES\"").arg("chromium");
        command.args([
            "--headless",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-default-apps",
            "--disable-dev-shm-usage",
            "--ignore-certificate-errors",
            "--hide-scrollbars",
            "--force-renderer-accessibility",
        ]);
        command.arg(format!("--user-data-dir={}", place.join("profile").display()));
        command.arg(format!("--host-resolver-rules={resolve}"));
        command.env("COMMANDS", &pipes[0]).env("MESSAGES", &pipes[1]);
        let process = Running::start(command, &place.join("browser.log"));
        let open = |pipe: &Path| {
            OpenOptions::new().read(true).write(true).custom_flags(nonblocking()).open(pipe).expect("the pipe is there")
        };
        let mut browser = Self {
            _process: process,
            commands: open(&pipes[0]),
            messages: open(&pipes[1]),
            unread: Vec::new(),
            events: VecDeque::new(),
            session: String::new(),
            serial: 0,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Accessibility", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }));
        Some(browser)
    }

    /// One command and its result.
    ///
    /// # Panics
    /// When the browser refuses it or does not answer.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.serial += 1;
        let id = self.serial;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() && !["Target.", "SystemInfo."].iter().any(|domain| method.starts_with(domain)) {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let mut rest = &bytes[..];
        let until = Instant::now() + PATIENCE;
        while !rest.is_empty() {
            match self.commands.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("{method}: {error}"),
            }
        }
        while let Some(message) = self.message(until) {
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
        panic!("{method}: no answer");
    }

    /// Opens a page and waits until it has loaded.
    ///
    /// # Panics
    /// When it does not load at all.
    pub fn open(&mut self, url: &str) {
        self.events.clear();
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        // The page before may finish loading after this one was asked for: only what loads from this one on counts.
        let until = Instant::now() + PATIENCE;
        let mut begun = false;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.event("Page.lifecycleEvent", left).unwrap_or_else(|| panic!("{url} does not load"));
            begun |= event["loaderId"] == answer["loaderId"];
            if begun && event["name"] == "load" {
                return;
            }
        }
    }

    /// The next event of that name that has come or comes in time.
    pub fn event(&mut self, name: &str, patience: Duration) -> Option<Value> {
        let until = Instant::now() + patience;
        loop {
            while let Some(event) = self.events.pop_front() {
                if event["method"] == name {
                    return Some(event["params"].clone());
                }
            }
            let message = self.message(until)?;
            self.events.push_back(message);
        }
    }

    /// Waits until the text of the page holds `text`, over any number of pages in between.
    pub fn shows(&mut self, text: &str, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if self.text().contains(text) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// The text of the page, as the accessibility tree has it: works without script, too.
    pub fn text(&mut self) -> String {
        let texts = self.tree().into_iter().filter(|node| node.role == "StaticText").map(|node| node.name);
        texts.collect::<Vec<_>>().join(" ")
    }

    /// What assistive technology is told of the page.
    pub fn tree(&mut self) -> Vec<Accessible> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let named = |node: &Value, property: &str| {
            let properties = node["properties"].as_array().cloned().unwrap_or_default();
            properties.into_iter().find(|entry| entry["name"] == property).map(|entry| entry["value"]["value"].clone())
        };
        let seen = nodes.into_iter().filter(|node| node["ignored"] == false);
        seen.map(|node| Accessible {
            role: node["role"]["value"].as_str().unwrap_or_default().to_owned(),
            name: node["name"]["value"].as_str().unwrap_or_default().to_owned(),
            live: named(&node, "live").and_then(|live| live.as_str().map(str::to_owned)),
            focused: named(&node, "focused") == Some(json!(true)),
            level: named(&node, "level").and_then(|level| level.as_u64()),
        })
        .collect()
    }

    /// Presses and releases a key: `Tab`, `Enter`, or ` `.
    pub fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            _ => ("Space", 32, " "),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event =
                json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "text": text });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The value of an expression, or what it promises; scripts must be allowed.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let wish = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", wish);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// When it is not in time; the message holds what the page says.
    pub fn until(&mut self, holds: &str, patience: Duration) {
        let held = eventually(patience, || self.evaluate(holds) == json!(true));
        assert!(held, "{holds}: {} {}", self.evaluate("location.href"), self.text());
    }

    /// Waits until an expression gives an element that takes the focus and may be used, and does by keys what that is for.
    ///
    /// # Panics
    /// When there is none in time.
    pub fn enter(&mut self, element: &str, patience: Duration) {
        let taken = "document.activeElement === it && it.getAttribute('aria-disabled') !== 'true'";
        self.until(&format!("(it => {{ it?.focus(); return Boolean(it) && {taken}; }})({element})"), patience);
        self.press("Enter");
    }

    /// Makes an account of the console by its link, as somebody new does by keys, without a second factor; until the first screen.
    ///
    /// # Panics
    /// When that does not lead there.
    pub fn sign_up(&mut self, link: &str, name: &str, password: &str) {
        self.open(link);
        self.until("document.querySelector('#name') !== null", PATIENCE);
        self.evaluate("document.querySelector('#name').focus()");
        self.call("Input.insertText", json!({ "text": name }));
        self.press("Tab");
        self.call("Input.insertText", json!({ "text": password }));
        self.press("Enter");
        self.enter(
            "[...document.querySelectorAll('button, a')].find(it => it.innerText.startsWith('Later'))",
            PATIENCE,
        );
        self.until("location.pathname === '/' && document.querySelector('main h1') !== null", PATIENCE);
    }

    /// Seconds of processor time that pages have used so far: other programs on the machine do not change it much.
    pub fn cpu(&mut self) -> f64 {
        let told = self.call("SystemInfo.getProcessInfo", json!({}));
        let processes = told["processInfo"].as_array().into_iter().flatten();
        processes
            .filter(|process| process["type"] == "renderer")
            .filter_map(|process| process["cpuTime"].as_f64())
            .sum()
    }

    /// A picture of the page, into a file.
    ///
    /// # Panics
    /// When the disk does not do its part.
    pub fn picture(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let picture = from_base64(answer["data"].as_str().unwrap_or_default());
        std::fs::write(file, picture).expect("the picture can be written");
    }

    /// The next message, or nothing when time is over.
    fn message(&mut self, until: Instant) -> Option<Value> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == 0) {
                let message = serde_json::from_slice(&self.unread[..end]).ok();
                self.unread.drain(..=end);
                if message.is_some() {
                    return message;
                }
                continue;
            }
            let mut piece = [0; 65_536];
            match self.messages.read(&mut piece) {
                Ok(0) | Err(_) if Instant::now() >= until => return None,
                Ok(0) | Err(_) => std::thread::sleep(Duration::from_millis(5)),
                Ok(read) => self.unread.extend_from_slice(&piece[..read]),
            }
        }
    }
}

/// One thing on the page, as assistive technology sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accessible {
    /// `heading`, `button`, `link`, `status`…
    pub role: String,
    /// What is read out.
    pub name: String,
    /// Whether changes are read out: `polite`.
    pub live: Option<String>,
    /// Whether the keyboard is there.
    pub focused: bool,
    /// Of a heading.
    pub level: Option<u64>,
}

/// One heading of the first level, and nothing that only a pointer or an eye can use.
///
/// # Panics
/// When the page has anything else.
pub fn assert_accessible(tree: &[Accessible], heading: &str) {
    let headings: Vec<&Accessible> = tree.iter().filter(|node| node.role == "heading").collect();
    assert_eq!(headings.len(), 1, "{headings:?}");
    assert_eq!((headings[0].name.as_str(), headings[0].level), (heading, Some(1)));
    assert!(tree.iter().any(|node| node.role == "main"), "a landmark");
    for node in tree.iter().filter(|node| ["button", "link", "progressbar"].contains(&node.role.as_str())) {
        assert!(!node.name.trim().is_empty(), "nameless: {node:?}");
    }
    assert!(tree.iter().all(|node| !["image", "Canvas", "Iframe"].contains(&node.role.as_str())), "only text");
}

fn nonblocking() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default()
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let values: Vec<u32> = text.bytes().filter_map(value).map(u32::from).collect();
    let mut bytes = Vec::with_capacity(values.len() * 3 / 4);
    for four in values.chunks(4) {
        let bits = four.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}
