//! What may leave: the keys of `[data]` and of the tables that say something else for a platform or a route, budgets, and the
//! policy that they make.
//!
//! It reads no registry of canaries: its bytes go through [`World::canaries`](crate::World::canaries), and what comes back is
//! said here.

use std::path::PathBuf;

use portcullis_types::{Budget, DataKind, Span, Who};

use crate::check::{Check, Claims, mode};
use crate::draft::Draft;
use crate::inspection::{Beyond, InspectionMode};
use crate::kind::Case::Kept;
use crate::kind::Kind::{self, Choice, Count, List, Quantity, Token};
use crate::kind::Value;
use crate::problem::{either, nearest};
use crate::schema::{Fallback, Key, is};
use crate::units::Dimension::Size;

/// What `[data]` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Data {
    /// What holds where neither platform nor route says otherwise.
    pub leaving: Leaving,
    /// Which canaries were planted.
    pub canaries: Option<CanaryFiles>,
}

/// The canaries as they were read, so that what was checked is what is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CanaryFiles {
    /// Where the registry is.
    pub registry: PathBuf,
    /// Where the key is.
    pub key: PathBuf,
    /// What the registry held.
    pub registry_text: Vec<u8>,
    /// What the key's file held.
    pub key_text: Vec<u8>,
    /// An answer with a canary in it is carried on, and told.
    pub observed: bool,
}

/// What may leave, complete for its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// What happens when it is too much.
    pub action: LeavingAction,
    /// What is looked for.
    pub detect: Vec<DataKind>,
    /// The kinds of which each value stands for one member's record.
    pub record: Vec<DataKind>,
    /// Fields of which each value does, by their names.
    pub record_fields: Vec<String>,
    /// Records in one answer at most.
    pub records: Option<u64>,
    /// Whether an answer with a secret in it leaves.
    pub secrets: InspectionMode,
    /// Whether one with a stack trace or an error of a database does.
    pub faults: InspectionMode,
    /// What happens to an answer that cannot be read.
    pub unread: Beyond,
    /// What is held back while it is looked at, in bytes.
    pub hold: u64,
    /// Bytes of text that are looked at.
    pub inspect: u64,
    /// Bytes of text for each byte that travels.
    pub ratio: u64,
    /// Things packed into one another.
    pub nesting: u32,
    /// Whether it is told, or refused, that somebody asks for one id after the other.
    pub enumeration: InspectionMode,
    /// Those whom the organisation vouches for who may export: what leaves to them is counted and never stopped.
    pub export: Vec<String>,
}

/// What happens to an answer that holds too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeavingAction {
    /// Nothing is looked at.
    Off,
    /// It is told.
    Observe,
    /// What is too much is overwritten.
    Mask,
    /// It ends before what is too much.
    Truncate,
    /// It is refused; where it has begun to leave it is broken off.
    Block,
    /// A navigation must pass a challenge first, and then has its budget once more; anything else is refused.
    StepUp,
}

impl LeavingAction {
    const ALL: [Self; 6] = [Self::Off, Self::Observe, Self::Mask, Self::Truncate, Self::Block, Self::StepUp];
    const NAMES: &[&str] = &["off", "observe", "mask", "truncate", "block", "step-up"];

    /// The name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Mask => "mask",
            Self::Truncate => "truncate",
            Self::Block => "block",
            Self::StepUp => "step-up",
        }
    }

    /// Whether it does more than tell.
    #[must_use]
    pub const fn acts(self) -> bool {
        !matches!(self, Self::Off | Self::Observe)
    }
}

impl Default for Leaving {
    fn default() -> Self {
        Self {
            action: LeavingAction::Observe,
            detect: DataKind::ALL.to_vec(),
            record: RECORD.to_vec(),
            record_fields: Vec::new(),
            records: None,
            secrets: InspectionMode::Observe,
            faults: InspectionMode::Observe,
            unread: Beyond::Pass,
            hold: 32 << 10,
            inspect: 8 << 20,
            ratio: 200,
            nesting: 4,
            enumeration: InspectionMode::Observe,
            export: Vec::new(),
        }
    }
}

/// What stands for a member's record where nothing is said: what people hardly share.
const RECORD: [DataKind; 8] = [
    DataKind::Email,
    DataKind::Phone,
    DataKind::Nino,
    DataKind::Nhs,
    DataKind::Iban,
    DataKind::Card,
    DataKind::BankAccount,
    DataKind::Cpr,
];

const KINDS: [&str; DataKind::COUNT] = {
    let mut names = [""; DataKind::COUNT];
    let mut at = 0;
    while at < names.len() {
        names[at] = DataKind::ALL[at].name();
        at += 1;
    }
    names
};

const DATA_MODES: &[&str] = &["off", "observe", "enforce"];

/// The keys of `[data]`.
pub(crate) fn keys() -> Vec<Key> {
    let mut keys = shared(None);
    let registry = "The registry of canaries: members, ids and keys that do not exist (`portcullis canary new`). It holds no \
                    value of theirs.";
    let secret = "The file with the key that the values of canaries follow from: 64 hexadecimal digits. `portcullis canary new` \
                  makes one; keep it as you keep other keys.";
    let action = "What happens to an answer with a canary in it, away from its home: `block`, or `observe`. It is an alarm either \
                  way.";
    let none = Fallback::Or("no canaries");
    keys.push(key("canaries", Kind::File, none, "\"canaries.txt\"", registry));
    keys.push(key("canary_key", Kind::File, Fallback::Or("no canaries"), "\"canary.key\"", secret));
    keys.push(key("canary_action", Choice(&["block", "observe"]), is("block"), "\"observe\"", action));
    keys
}

/// The keys of `[platform.data]`.
pub(crate) fn platform_keys() -> Vec<Key> {
    shared(Some("as `[data]` says"))
}

/// The keys of `[platform.route.data]`.
pub(crate) fn route_keys() -> Vec<Key> {
    shared(Some("as the platform says"))
}

/// Keys that all three tables have. Further in, nothing said means what the outer table says.
fn shared(outer: Option<&'static str>) -> Vec<Key> {
    let default = |top: Fallback| outer.map_or(top, Fallback::Or);
    let action = "What happens to an answer that holds more members' records than it may: `observe` tells it, `mask` \
                  overwrites them (the platform is asked for plain text), `truncate` ends the answer before them, `block` refuses it (and breaks off one that has begun to leave), `step-up` asks navigations to \
                  pass a challenge, for the budget once more. `off` looks at nothing.";
    let detect = "What is looked for.";
    let record = "What stands for one member's record: kinds of values, and fields by their names in JSON and XML \
                  (`field:member_id`). A record has one of each, so that whatever there is most of counts.";
    let records = "Records in one answer at most.";
    let secrets = "Whether an answer with a key, a token or a password in it is refused (`enforce`).";
    let faults = "The same for stack traces and errors of databases.";
    let unread = "What happens to an answer that cannot be read: an unknown coding, a part of something packed, more than the bounds \
                  below. `refuse` also asks the platform for codings that can be read.";
    let hold = "How much of an answer is held back while it is looked at, where something may be done about it: a refusal within \
                so much discloses nothing.";
    let inspect = "Text of one answer that is looked at, unpacked.";
    let ratio = "Bytes of text for each byte that travels; more is a bomb and not looked at.";
    let nesting = "How deep archives and codings may lie in one another.";
    let enumeration =
        "Whether it is told (`observe`) or refused (`enforce`) when somebody asks for one id after the other.";
    let export = "Names of `[[vouched]]` who may export here: what leaves to them is counted and not stopped.";
    let words = "[\"email\", \"field:member_id\"]";
    vec![
        key("action", Choice(LeavingAction::NAMES), default(is("observe")), "\"block\"", action),
        key("detect", List(&Choice(&KINDS)), default(Fallback::Or("all kinds")), "[\"email\", \"card\"]", detect),
        key(
            "record",
            List(&Kind::RecordPart),
            default(Fallback::Or("e-mail, telephone, NINO, NHS number, IBAN, card, account, CPR")),
            words,
            record,
        ),
        key("records", Count(1, 100_000_000), default(Fallback::Or("no bound on one answer")), "100", records),
        key("secrets", Choice(DATA_MODES), default(is("observe")), "\"enforce\"", secrets),
        key("faults", Choice(DATA_MODES), default(is("observe")), "\"enforce\"", faults),
        key("unread", Choice(&["pass", "refuse"]), default(is("pass")), "\"refuse\"", unread),
        key("hold", Quantity(Size, 16 << 10, 64 << 10), default(is("32KiB")), "\"64KiB\"", hold),
        key("inspect", Quantity(Size, 64 << 10, 1 << 30), default(is("8MiB")), "\"16MiB\"", inspect),
        key("ratio", Count(2, 100_000), default(is("200")), "200", ratio),
        key("nesting", Count(1, 8), default(is("4")), "4", nesting),
        key("enumeration", Choice(DATA_MODES), default(is("observe")), "\"enforce\"", enumeration),
        key("export", List(&Token(Kept)), default(is("[]")), "[\"membership-team\"]", export),
    ]
}

fn key(name: &'static str, kind: Kind, default: Fallback, example: &str, doc: &'static str) -> Key {
    Key { name, kind, default, example: example.to_owned(), doc }
}

/// Reads a part of a record; `Err` says what is wrong with it.
pub(crate) fn record_part(text: &str) -> Result<(), String> {
    if let Some(field) = text.strip_prefix("field:") {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let fits = (1..=64).contains(&field.len()) && field.bytes().all(plain);
        return if fits { Ok(()) } else { Err(format!("`{field}` is no name of a field")) };
    }
    match DataKind::from_name(text) {
        Some(kind) if kind.is_personal() && kind != DataKind::Field => Ok(()),
        _ => {
            let near = nearest(text, KINDS);
            let more = if near.is_empty() { String::new() } else { format!(": did you mean {}?", either(&near)) };
            Err(format!("`{text}` is no kind of personal data and no `field:…`{more}"))
        }
    }
}

/// What a table says of one key, for `show`.
pub(crate) fn shown(key: &str, own: &Leaving) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let list =
        |names: Vec<String>| Some(Value::List(names.into_iter().map(|name| (0..0, Value::Text(name))).collect()));
    match key {
        "action" => text(own.action.name()),
        "detect" => list(own.detect.iter().map(|kind| kind.name().to_owned()).collect()),
        "record" => {
            let kinds = own.record.iter().map(|kind| kind.name().to_owned());
            list(kinds.chain(own.record_fields.iter().map(|field| format!("field:{field}"))).collect())
        }
        "records" => own.records.map(Value::Number),
        "secrets" => text(own.secrets.name()),
        "faults" => text(own.faults.name()),
        "unread" => text(own.unread.name()),
        "hold" => Some(Value::Number(own.hold)),
        "inspect" => Some(Value::Number(own.inspect)),
        "ratio" => Some(Value::Number(own.ratio)),
        "nesting" => Some(Value::Number(own.nesting.into())),
        "enumeration" => text(own.enumeration.name()),
        "export" => list(own.export.clone()),
        _ => None,
    }
}

impl Check<'_> {
    pub(crate) fn data(&mut self, root: &Draft) -> Data {
        let draft = root.table("data");
        let leaving = self.leaving(root, draft, &Leaving::default());
        let registry = self.file(draft, "canaries", "canaries-unreadable");
        let secret = self.file(draft, "canary_key", "canaries-unreadable");
        let canaries = match (registry, secret) {
            (Some((registry, registry_text)), Some((key, key_text))) => {
                if let Err(words) = self.world.canaries(&registry_text, &key_text) {
                    self.problems.error("canaries", draft.at("canaries"), words);
                }
                let observed = draft.text("canary_action") == Some("observe");
                Some(CanaryFiles { registry, key, registry_text, key_text, observed })
            }
            (None, None) => None,
            (registry, _) => {
                let (given, missing) =
                    if registry.is_some() { ("canaries", "canary_key") } else { ("canary_key", "canaries") };
                if !draft.given(missing) {
                    self.problems
                        .error("canaries", draft.at(given), format!("`{given}` needs `{missing}` beside it"))
                        .hint("`portcullis canary new` makes both");
                }
                None
            }
        };
        Data { leaving, canaries }
    }

    /// What a table says, and what the outer one says where it says nothing.
    pub(crate) fn leaving(&mut self, root: &Draft, draft: &Draft, outer: &Leaving) -> Leaving {
        let modes = |key: &str, outer: InspectionMode| {
            draft
                .text(key)
                .and_then(|name| DATA_MODES.iter().position(|known| *known == name))
                .map_or(outer, |at| [InspectionMode::Off, InspectionMode::Observe, InspectionMode::Enforce][at])
        };
        let action = |name: &str| LeavingAction::ALL.into_iter().find(|action| action.name() == name);
        let texts = |key: &str| draft.list(key, Value::text);
        let named = |key: &str| -> Vec<DataKind> {
            texts(key).into_iter().filter_map(|(_, name)| DataKind::from_name(name)).collect()
        };
        let fields = || texts("record").into_iter().filter_map(|(_, part)| part.strip_prefix("field:"));
        let known: Vec<String> = root.tables("vouched").iter().map(|vouched| vouched.string("name")).collect();
        for (at, name) in texts("export") {
            if !known.iter().any(|vouched| vouched == name) {
                self.problems
                    .error("data-export", at, format!("nobody vouched for is called `{name}`"))
                    .hint("add a [[vouched]] of that name: what is not known cannot be told from anybody else");
            }
        }
        let given = |key: &str| draft.given(key);
        Leaving {
            action: draft.text("action").and_then(action).unwrap_or(outer.action),
            detect: if given("detect") { named("detect") } else { outer.detect.clone() },
            record: if given("record") { named("record") } else { outer.record.clone() },
            record_fields: if given("record") {
                fields().map(str::to_owned).collect()
            } else {
                outer.record_fields.clone()
            },
            records: draft.number("records").or(outer.records),
            secrets: modes("secrets", outer.secrets),
            faults: modes("faults", outer.faults),
            unread: match draft.text("unread") {
                Some("refuse") => Beyond::Refuse,
                Some(_) => Beyond::Pass,
                None => outer.unread,
            },
            hold: draft.number("hold").unwrap_or(outer.hold),
            inspect: draft.number("inspect").unwrap_or(outer.inspect),
            ratio: draft.number("ratio").unwrap_or(outer.ratio),
            nesting: draft.number("nesting").and_then(|nesting| nesting.try_into().ok()).unwrap_or(outer.nesting),
            enumeration: modes("enumeration", outer.enumeration),
            export: if given("export") {
                texts("export").into_iter().map(|(_, name)| name.to_owned()).collect()
            } else {
                outer.export.clone()
            },
        }
    }

    /// The budgets of a route.
    pub(crate) fn budgets(&mut self, platform: &Draft, route: &Draft) -> Vec<Budget> {
        let (mut claims, mut budgets) = (Claims::new(), Vec::new());
        for draft in route.tables("budget") {
            let who = draft.text("who").and_then(Who::from_name);
            let over = draft.text("over").and_then(Span::from_name);
            let (Some(who), Some(span), Some(records)) = (who, over, draft.number("records")) else { continue };
            let at = draft.at("who");
            if who == Who::Session && !platform.given("session_cookie") {
                self.problems
                    .error(
                        "budget-without-session-cookie",
                        at,
                        "a budget by session needs to know the session's cookie",
                    )
                    .hint("set `session_cookie` in the [[platform]]");
            }
            if who == Who::Account && !platform.given("account_header") && !platform.given("api_key_header") {
                self.problems
                    .error("budget-without-account", at, "a budget by account needs to know whose an answer is")
                    .hint("set `account_header` or `api_key_header` in the [[platform]]");
            }
            let message =
                format!("two budgets by {} over one {}: only the smaller has an effect", who.name(), span.name());
            self.once("duplicate-budget", &mut claims, (who, span), at, message, "first declared here");
            budgets.push(Budget { who, span, records, mode: mode(draft) });
        }
        budgets
    }
}

/// The names of [`Who`] and [`Span`], for the schema.
pub(crate) const WHO: [&str; Who::ALL.len()] = {
    let mut names = [""; Who::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Who::ALL[at].name();
        at += 1;
    }
    names
};

pub(crate) const SPANS: [&str; Span::ALL.len()] = {
    let mut names = [""; Span::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Span::ALL[at].name();
        at += 1;
    }
    names
};
