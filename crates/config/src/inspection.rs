//! What messages are inspected for: the keys of `[waf]` and of the tables that say something else for a platform or a route,
//! and the policy that they make.
//!
//! It reads no rule: rule files go through [`World::rules`](crate::World::rules), and what comes back is said here.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::check::Check;
use crate::draft::Draft;
use crate::kind::Kind::{self, Choice, Count, File, List, Quantity};
use crate::kind::Value;
use crate::schema::{Fallback, GIB, Key, is};
use crate::units::Dimension::Size;

/// What `[waf]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waf {
    /// What holds where neither platform nor route says otherwise.
    pub inspection: Inspection,
    /// The rule files as declared, in their order.
    pub patterns: Vec<PathBuf>,
    /// What they held when the configuration was checked; none where no rules are declared.
    pub rules: Option<Arc<RuleFiles>>,
    /// The work that the inspection of one message may take.
    pub steps: u64,
    /// What happens to a message whose inspection cannot end.
    pub fail: Beyond,
}

/// Rules as they were read, so that what was checked is what is served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleFiles {
    /// Names of the rule files in the order in which they apply, patterns resolved.
    pub order: Vec<String>,
    /// Every file that was read, by the name under which it was asked for: rules, what they include, phrases and networks.
    pub files: Vec<(String, Vec<u8>)>,
    /// How many rules they make.
    pub rules: usize,
}

/// What a message is inspected for, complete for its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The gate's own detection.
    pub detection: InspectionMode,
    /// How little it takes.
    pub sensitivity: Sensitivity,
    /// Rule sets; what `SecRuleEngine` says in them can only make it milder.
    pub rules: InspectionMode,
    /// The paranoia level at which the Core Rule Set blocks; what its set-up says where nothing is declared.
    pub paranoia: Option<u8>,
    /// The level at which it detects, not below the other.
    pub detection_paranoia: Option<u8>,
    /// The score of a request at which it is refused.
    pub inbound_threshold: Option<u32>,
    /// The score of a response at which it is refused.
    pub outbound_threshold: Option<u32>,
    /// What is left out, the outer tables' first.
    pub exclude: Vec<Exclusion>,
    /// Bytes of a body that are held until they are inspected.
    pub body_bytes: u64,
    /// What happens to the rest of a longer one.
    pub beyond: Beyond,
}

/// Whether something inspects, and whether it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InspectionMode {
    /// It does not look.
    Off,
    /// It looks and records what it would have refused.
    Observe,
    /// It refuses.
    Enforce,
}

/// How little the gate's own detection takes for an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sensitivity {
    /// What nobody writes by accident.
    Low,
    /// What ordinary people hardly ever write.
    Medium,
    /// What an application without room for free text may take.
    High,
}

/// What happens to what was not inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// It is carried on.
    Pass,
    /// It is refused.
    Refuse,
}

/// Something that is not asked, or not asked of one variable: `942100`, `tag:attack-sqli ARGS:comment`, `sql ARGS:q`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Which rules or which part of the gate's own detection.
    pub what: Excluded,
    /// The variable, as rules write it; everywhere without one.
    pub target: Option<String>,
}

/// What an exclusion is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excluded {
    /// Rules by number, both ends included.
    Rules(u32, u32),
    /// Rules that have a tag.
    Tag(String),
    /// A family of the gate's own detection, by its name.
    Family(String),
}

impl InspectionMode {
    const NAMES: &[&str] = &["off", "observe", "enforce"];

    /// The name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "off" => Self::Off,
            "observe" => Self::Observe,
            _ => Self::Enforce,
        }
    }
}

impl Sensitivity {
    const NAMES: &[&str] = &["low", "medium", "high"];

    /// The name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "low" => Self::Low,
            "high" => Self::High,
            _ => Self::Medium,
        }
    }
}

impl Beyond {
    const NAMES: &[&str] = &["pass", "refuse"];

    /// The name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Refuse => "refuse",
        }
    }

    fn from_name(name: &str) -> Self {
        if name == "refuse" { Self::Refuse } else { Self::Pass }
    }
}

impl Default for Inspection {
    fn default() -> Self {
        Self {
            detection: InspectionMode::Enforce,
            sensitivity: Sensitivity::Medium,
            rules: InspectionMode::Enforce,
            paranoia: None,
            detection_paranoia: None,
            inbound_threshold: None,
            outbound_threshold: None,
            exclude: Vec::new(),
            body_bytes: 1 << 20,
            beyond: Beyond::Pass,
        }
    }
}

impl Default for Waf {
    fn default() -> Self {
        Self {
            inspection: Inspection::default(),
            patterns: Vec::new(),
            rules: None,
            steps: 200_000_000,
            fail: Beyond::Refuse,
        }
    }
}

/// As it is written in the configuration.
impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Excluded::Rules(from, to) if from == to => write!(f, "{from}")?,
            Excluded::Rules(from, to) => write!(f, "{from}-{to}")?,
            Excluded::Tag(tag) => write!(f, "tag:{tag}")?,
            Excluded::Family(name) => f.write_str(name)?,
        }
        self.target.iter().try_for_each(|target| write!(f, " {target}"))
    }
}

impl Exclusion {
    /// Reads what the configuration says; `Err` says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let what = words.next().ok_or("nothing is named")?;
        let target = words.next();
        if words.next().is_some() {
            return Err("more than rules and one variable are named".to_owned());
        }
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let what = if let Some(tag) = what.strip_prefix("tag:").filter(|tag| !tag.is_empty()) {
            Excluded::Tag(tag.to_owned())
        } else if what.starts_with(|c: char| c.is_ascii_digit()) {
            let (from, to) = what.split_once('-').unwrap_or((what, what));
            let range = number(from).zip(number(to)).filter(|(from, to)| from <= to);
            let (from, to) = range.ok_or_else(|| format!("`{what}` is no rule's number and no range"))?;
            Excluded::Rules(from, to)
        } else if what.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
            Excluded::Family(what.to_owned())
        } else {
            return Err(format!("`{what}` is no rule, no `tag:…` and no family"));
        };
        if let Some(target) = target {
            let variable = target.split(':').next().unwrap_or_default();
            if variable.is_empty() || !variable.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                return Err(format!("`{target}` is no variable"));
            }
        }
        Ok(Self { what, target: target.map(str::to_owned) })
    }
}

/// The keys of `[waf]`.
pub(crate) fn keys() -> Vec<Key> {
    let mut keys = shared(None);
    let rules = "Rule files in `ModSecurity`'s language, in the order in which they apply; `*` in a name stands for the files \
                 that fit, in the order of their names. `portcullis rules add crs` installs the Core Rule Set.";
    let steps = "The work that the inspection of one message may take, in comparisons of a value with a rule or of a byte with \
                 a pattern.";
    let fail = "What happens to a message that uses up its `steps`. Ordinary ones come nowhere near: who sends such a message wants \
                not to be looked at.";
    let files = "[\"crs/crs-setup.conf\", \"crs/rules/*.conf\"]";
    keys.insert(2, key("rules", List(&File), is("[]"), files, rules));
    keys.push(key("steps", Count(100_000, 1_000_000_000), is("200000000"), "200000000", steps));
    keys.push(key("fail", Choice(&["open", "closed"]), is("closed"), "\"open\"", fail));
    keys
}

/// The keys of `[platform.waf]`.
pub(crate) fn platform_keys() -> Vec<Key> {
    shared(Some("as `[waf]` says"))
}

/// The keys of `[platform.route.waf]`.
pub(crate) fn route_keys() -> Vec<Key> {
    shared(Some("as the platform says"))
}

/// Keys that all three tables have. Further in, nothing said means what the outer table says.
fn shared(outer: Option<&'static str>) -> Vec<Key> {
    let default = |top: Fallback| outer.map_or(top, Fallback::Or);
    let set = || default(Fallback::Or("what the rule set says"));
    let mode = "The gate's own detection, which needs no rules: `enforce` refuses, `observe` records what it would have refused.";
    let sensitivity =
        "How little it takes: `low` where visitors write about attacks, `high` where nobody writes free text.";
    let rules_mode = "The same for rule sets. `SecRuleEngine` in their files can only make it milder.";
    let paranoia = "The paranoia level at which the Core Rule Set blocks.";
    let detection = "The level at which it detects without blocking; not below `paranoia`.";
    let inbound = "The score at which the Core Rule Set refuses a request.";
    let outbound = "The score at which it refuses a response.";
    let exclude = "What is not asked: rules by number, range or `tag:…`, or a family of the gate's own detection, each \
                   perhaps of one variable only. Adds to what the outer tables leave out.";
    let body = "How much of a body is held until it is inspected. Rules see no more of it.";
    let beyond = "What happens to the rest of a longer body: with `pass` the gate's own detection looks at it on its way and cuts \
                  it off where it finds an attack, before the platform has all of it.";
    vec![
        key("mode", Choice(InspectionMode::NAMES), default(is("enforce")), "\"observe\"", mode),
        key("sensitivity", Choice(Sensitivity::NAMES), default(is("medium")), "\"high\"", sensitivity),
        key("rules_mode", Choice(InspectionMode::NAMES), default(is("enforce")), "\"observe\"", rules_mode),
        key("paranoia", Count(1, 4), set(), "2", paranoia),
        key("detection_paranoia", Count(1, 4), set(), "3", detection),
        key("inbound_threshold", Count(1, 100_000), set(), "5", inbound),
        key("outbound_threshold", Count(1, 100_000), set(), "4", outbound),
        key(
            "exclude",
            List(&Kind::Exclusion),
            default(is("[]")),
            "[\"942100\", \"tag:attack-sqli ARGS:comment\"]",
            exclude,
        ),
        key("inspect_body", Quantity(Size, 0, GIB), default(is("1MiB")), "\"128KiB\"", body),
        key("beyond", Choice(Beyond::NAMES), default(is("pass")), "\"refuse\"", beyond),
    ]
}

fn key(name: &'static str, kind: Kind, default: Fallback, example: &str, doc: &'static str) -> Key {
    Key { name, kind, default, example: example.to_owned(), doc }
}

/// What an inspection says of one key, for `show`.
pub(crate) fn shown(key: &str, own: &Inspection, outer: Option<&Inspection>) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let number = |number: Option<u32>| number.map(|number| Value::Number(number.into()));
    match key {
        "mode" => text(own.detection.name()),
        "sensitivity" => text(own.sensitivity.name()),
        "rules_mode" => text(own.rules.name()),
        "paranoia" => number(own.paranoia.map(u32::from)),
        "detection_paranoia" => number(own.detection_paranoia.map(u32::from)),
        "inbound_threshold" => number(own.inbound_threshold),
        "outbound_threshold" => number(own.outbound_threshold),
        "exclude" => {
            // Those of the outer tables stand there.
            let added = own.exclude.iter().skip(outer.map_or(0, |outer| outer.exclude.len()));
            Some(Value::List(added.map(|exclusion| (0..0, Value::Text(exclusion.to_string()))).collect()))
        }
        "inspect_body" => Some(Value::Number(own.body_bytes)),
        "beyond" => text(own.beyond.name()),
        _ => None,
    }
}

impl Check<'_> {
    pub(crate) fn waf(&mut self, root: &Draft) -> Waf {
        let draft = root.table("waf");
        let patterns: Vec<PathBuf> =
            draft.list("rules", Value::text).into_iter().map(|(_, pattern)| self.dir.join(pattern)).collect();
        let rules = if patterns.is_empty() { None } else { self.rules(draft, &patterns) };
        if !draft.given("rules") {
            self.without_rules(root);
        }
        Waf {
            inspection: self.inspection(draft, &Inspection::default()),
            patterns,
            rules,
            steps: draft.number("steps").unwrap_or_default(),
            fail: if draft.text("fail") == Some("closed") { Beyond::Refuse } else { Beyond::Pass },
        }
    }

    /// What is said of rule sets, where there are none.
    fn without_rules(&mut self, root: &Draft) {
        let platforms = root.tables("platform");
        let routes = platforms.iter().flat_map(|platform| platform.tables("route"));
        let tables = std::iter::once(root).chain(platforms).chain(routes).map(|draft| draft.table("waf"));
        for draft in tables {
            let keys = ["rules_mode", "paranoia", "detection_paranoia", "inbound_threshold", "outbound_threshold"];
            for key in keys.into_iter().filter(|key| draft.given(key)) {
                self.problems
                    .warning("waf-without-rules", draft.at(key), format!("`{key}` has no effect without `rules`"))
                    .hint("name rule files in [waf]: `portcullis rules add crs` installs some and says how");
            }
        }
    }

    /// What a table says, and what the outer one says where it says nothing.
    pub(crate) fn inspection(&mut self, draft: &Draft, outer: &Inspection) -> Inspection {
        let exclusions = draft.list("exclude", Value::text);
        let mut exclude = outer.exclude.clone();
        for (at, text) in &exclusions {
            // What cannot be read at all was told when the list was.
            let Ok(exclusion) = Exclusion::parse(text) else { continue };
            if let Err(fault) = self.world.exclusion(&exclusion) {
                let problem = self.problems.error("waf-exclusion", at, fault.words);
                problem.hints.extend(fault.hint);
            }
            exclude.push(exclusion);
        }
        let level = |key: &str, outer: Option<u8>| draft.number(key).and_then(|level| level.try_into().ok()).or(outer);
        let score = |key: &str, outer: Option<u32>| draft.number(key).and_then(|score| score.try_into().ok()).or(outer);
        let inspection = Inspection {
            detection: draft.text("mode").map_or(outer.detection, InspectionMode::from_name),
            sensitivity: draft.text("sensitivity").map_or(outer.sensitivity, Sensitivity::from_name),
            rules: draft.text("rules_mode").map_or(outer.rules, InspectionMode::from_name),
            paranoia: level("paranoia", outer.paranoia),
            detection_paranoia: level("detection_paranoia", outer.detection_paranoia),
            inbound_threshold: score("inbound_threshold", outer.inbound_threshold),
            outbound_threshold: score("outbound_threshold", outer.outbound_threshold),
            exclude,
            body_bytes: draft.number("inspect_body").unwrap_or(outer.body_bytes),
            beyond: draft.text("beyond").map_or(outer.beyond, Beyond::from_name),
        };
        if let (Some(blocks), Some(detects)) = (inspection.paranoia, inspection.detection_paranoia)
            && detects < blocks
            && ["paranoia", "detection_paranoia"].iter().any(|key| draft.given(key))
        {
            let given = if draft.given("detection_paranoia") { "detection_paranoia" } else { "paranoia" };
            let message = format!("what blocks at level {blocks} cannot be detected at level {detects} only");
            self.problems
                .error("waf-paranoia", draft.at(given), message)
                .hint(format!("`detection_paranoia` is `paranoia` or higher, {blocks} at least"));
        }
        inspection
    }

    fn rules(&mut self, draft: &Draft, patterns: &[PathBuf]) -> Option<Arc<RuleFiles>> {
        const SHOWN: usize = 8;
        let at = draft.at("rules").clone();
        match self.world.rules(patterns) {
            Ok(files) if files.rules == 0 => {
                self.problems
                    .error("waf-rules-empty", &at, "these files hold no rule")
                    .hint("leave `rules` out where none are wanted: the gate's own detection needs none");
                None
            }
            Ok(files) => Some(Arc::new(files)),
            Err(faults) => {
                for fault in faults.iter().take(SHOWN) {
                    let problem =
                        self.problems.error("waf-rules-refused", &at, fault.words.clone()).label("in `rules`");
                    problem.hints.extend(fault.hint.clone());
                }
                if faults.len() > SHOWN {
                    self.problems.error("waf-rules-refused", &at, format!("{} such problems in all", faults.len()));
                }
                None
            }
        }
    }
}

/// Something that is wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFault {
    /// File, line, column and reason, without a full stop.
    pub words: String,
    /// What to write instead.
    pub hint: Option<String>,
}
