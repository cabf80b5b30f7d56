//! Every directive of the language, what it takes, and which of them the gate does by other means.

use super::super::ast::{DirectiveKind, EngineMode, Selection, Setting, Span};
use super::super::diagnostic::{Problems, nearest};
use super::text::{Joined, Part};
use super::{Reader, action, effect, rule, target, unicode};

/// What a directive of the language is.
#[derive(Clone, Copy)]
enum Kind {
    /// Its work is done by another part of the program; what it says changes nothing here.
    Elsewhere(&'static str),
    /// The same, as long as it says `Off`; it does not otherwise.
    Off(&'static str),
    /// It cannot be taken, and the rules would mean something else without it.
    Never(&'static str),
    /// A switch.
    Switch(fn(bool) -> Setting),
    /// A number.
    Number(fn(u64) -> Option<Setting>),
    /// A setting, or what rules do, with arguments of its own.
    Own(Own),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    Rule,
    Action,
    Marker,
    Default,
    RemoveById,
    RemoveByTag,
    RemoveByMsg,
    UpdateTargetById,
    UpdateTargetByTag,
    UpdateTargetByMsg,
    UpdateActionById,
    RuleEngine,
    RequestLimitAction,
    ResponseLimitAction,
    MimeTypes,
    NoMimeTypes,
    ArgumentSeparator,
    CookieSeparator,
    CookieFormat,
    UnicodeMap,
    ComponentSignature,
    WebAppId,
    ExternalEntity,
    Include,
    IncludeOptional,
    Inheritance,
}

use Kind::{Elsewhere, Never, Number, Off, Switch};

const JOURNAL: &str = "what is written of a request, and where, is `[log]` of the gate's configuration";
const METRICS: &str = "times of rules are metrics of the gate";
const SOCKETS: &str = "how many connections an address may hold is `[limits]` of the gate's configuration";
const FILES: &str = "uploaded files are inspected as they stream and never stored";
const MEMORY: &str = "nothing is stored on disk: collections live in memory";
const LINEAR: &str = "expressions run in linear time and need no limit";
const REWRITES: &str = "bodies are not rewritten";
const SIGNS: &str = "links in pages are not signed";

/// The directives, as the reference spells them.
const DIRECTIVES: &[(&str, Kind)] = &[
    ("Include", Kind::Own(Own::Include)),
    ("IncludeOptional", Kind::Own(Own::IncludeOptional)),
    ("SecAction", Kind::Own(Own::Action)),
    ("SecArgumentSeparator", Kind::Own(Own::ArgumentSeparator)),
    ("SecArgumentsLimit", Number(|number| Some(Setting::ArgumentsLimit(u32::try_from(number).ok()?)))),
    ("SecAuditEngine", Elsewhere(JOURNAL)),
    ("SecAuditLog", Elsewhere(JOURNAL)),
    ("SecAuditLog2", Elsewhere(JOURNAL)),
    ("SecAuditLogDirMode", Elsewhere(JOURNAL)),
    ("SecAuditLogFileMode", Elsewhere(JOURNAL)),
    ("SecAuditLogFormat", Elsewhere(JOURNAL)),
    ("SecAuditLogParts", Elsewhere(JOURNAL)),
    ("SecAuditLogPrefix", Elsewhere(JOURNAL)),
    ("SecAuditLogRelevantStatus", Elsewhere(JOURNAL)),
    ("SecAuditLogStorageDir", Elsewhere(JOURNAL)),
    ("SecAuditLogType", Elsewhere(JOURNAL)),
    ("SecCacheTransformations", Elsewhere("transformed values are always shared between rules")),
    ("SecChrootDir", Elsewhere("where the process may look is the service manager's")),
    ("SecCollectionTimeout", Number(|number| Some(Setting::CollectionTimeout(u32::try_from(number).ok()?)))),
    ("SecComponentSignature", Kind::Own(Own::ComponentSignature)),
    ("SecConnEngine", Elsewhere(SOCKETS)),
    ("SecConnReadStateLimit", Elsewhere(SOCKETS)),
    ("SecConnWriteStateLimit", Elsewhere(SOCKETS)),
    ("SecContentInjection", Off(REWRITES)),
    ("SecCookieFormat", Kind::Own(Own::CookieFormat)),
    ("SecCookieV0Separator", Kind::Own(Own::CookieSeparator)),
    ("SecDataDir", Elsewhere(MEMORY)),
    ("SecDebugLog", Elsewhere(JOURNAL)),
    ("SecDebugLogLevel", Elsewhere(JOURNAL)),
    ("SecDefaultAction", Kind::Own(Own::Default)),
    ("SecDisableBackendCompression", Off("requests are sent on with the encodings that the visitor takes")),
    ("SecGeoLookupDb", Elsewhere("no rule can ask where an address is, see `@geoLookup`")),
    ("SecGsbLookupDb", Elsewhere("no rule can ask for unsafe addresses, see `@gsbLookup`")),
    ("SecGuardianLog", Elsewhere(JOURNAL)),
    ("SecHashEngine", Off(SIGNS)),
    ("SecHashKey", Never(SIGNS)),
    ("SecHashMethodPm", Never(SIGNS)),
    ("SecHashMethodRx", Never(SIGNS)),
    ("SecHashParam", Never(SIGNS)),
    ("SecHttpBlKey", Elsewhere("no rule can ask a list in the DNS, see `@rbl`")),
    ("SecInterceptOnError", Elsewhere("what happens where inspection cannot end is `fail` in `[waf]`")),
    ("SecMarker", Kind::Own(Own::Marker)),
    ("SecParseXmlIntoArgs", Switch(Setting::ParseXmlIntoArgs)),
    ("SecPcreMatchLimit", Elsewhere(LINEAR)),
    ("SecPcreMatchLimitRecursion", Elsewhere(LINEAR)),
    ("SecReadStateLimit", Elsewhere(SOCKETS)),
    ("SecRemoteRules", Never("nothing is fetched when rules are read: save them to a file")),
    ("SecRemoteRulesFailAction", Elsewhere("nothing is fetched when rules are read")),
    ("SecRequestBodyAccess", Switch(Setting::RequestBodyAccess)),
    ("SecRequestBodyInMemoryLimit", Elsewhere(FILES)),
    (
        "SecRequestBodyJsonDepthLimit",
        Number(|number| Some(Setting::RequestBodyJsonDepthLimit(u32::try_from(number).ok()?))),
    ),
    ("SecRequestBodyLimit", Number(|number| Some(Setting::RequestBodyLimit(number)))),
    ("SecRequestBodyLimitAction", Kind::Own(Own::RequestLimitAction)),
    ("SecRequestBodyNoFilesLimit", Number(|number| Some(Setting::RequestBodyNoFilesLimit(number)))),
    ("SecResponseBodyAccess", Switch(Setting::ResponseBodyAccess)),
    ("SecResponseBodyLimit", Number(|number| Some(Setting::ResponseBodyLimit(number)))),
    ("SecResponseBodyLimitAction", Kind::Own(Own::ResponseLimitAction)),
    ("SecResponseBodyMimeType", Kind::Own(Own::MimeTypes)),
    ("SecResponseBodyMimeTypesClear", Kind::Own(Own::NoMimeTypes)),
    ("SecRule", Kind::Own(Own::Rule)),
    ("SecRuleEngine", Kind::Own(Own::RuleEngine)),
    ("SecRuleInheritance", Kind::Own(Own::Inheritance)),
    ("SecRulePerfTime", Elsewhere(METRICS)),
    ("SecRuleRemoveById", Kind::Own(Own::RemoveById)),
    ("SecRuleRemoveByMsg", Kind::Own(Own::RemoveByMsg)),
    ("SecRuleRemoveByTag", Kind::Own(Own::RemoveByTag)),
    ("SecRuleScript", Never("rules run no program")),
    ("SecRuleUpdateActionById", Kind::Own(Own::UpdateActionById)),
    ("SecRuleUpdateTargetById", Kind::Own(Own::UpdateTargetById)),
    ("SecRuleUpdateTargetByMsg", Kind::Own(Own::UpdateTargetByMsg)),
    ("SecRuleUpdateTargetByTag", Kind::Own(Own::UpdateTargetByTag)),
    ("SecSensorId", Elsewhere("a node's name in records is `name` in `[server]`")),
    ("SecServerSignature", Elsewhere("the gate adds no `Server` field")),
    ("SecStatusEngine", Elsewhere("the gate reports to nobody")),
    ("SecStreamInBodyInspection", Off(REWRITES)),
    ("SecStreamOutBodyInspection", Off(REWRITES)),
    ("SecTmpDir", Elsewhere(FILES)),
    ("SecTmpSaveUploadedFiles", Elsewhere(FILES)),
    ("SecUnicodeCodePage", Elsewhere("the code page is the second argument of `SecUnicodeMapFile`")),
    ("SecUnicodeMapFile", Kind::Own(Own::UnicodeMap)),
    ("SecUploadDir", Elsewhere(FILES)),
    ("SecUploadFileLimit", Number(|number| Some(Setting::UploadFileLimit(u32::try_from(number).ok()?)))),
    ("SecUploadFileMode", Elsewhere(FILES)),
    ("SecUploadKeepFiles", Elsewhere(FILES)),
    ("SecWebAppId", Kind::Own(Own::WebAppId)),
    ("SecWriteStateLimit", Elsewhere(SOCKETS)),
    ("SecXmlExternalEntity", Kind::Own(Own::ExternalEntity)),
];

/// Whether a line names a directive of the language.
pub(super) fn names(line: &str) -> bool {
    let name = line.split(|c: char| c.is_whitespace() || c == '\\').next().unwrap_or_default();
    find(name).is_some()
}

fn find(name: &str) -> Option<(&'static str, Kind)> {
    DIRECTIVES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).copied()
}

/// Reads the directive of one line.
pub(super) fn directive(line: &Joined, depth: usize, reader: &mut Reader<'_>) {
    let whole = line.whole().trim();
    let end = whole.text().find(char::is_whitespace).unwrap_or(whole.text().len());
    let (name, rest) = (whole.part(0..end), whole.from(end));
    let Some((known, kind)) = find(name.text()) else {
        unknown(name, &mut reader.problems);
        return reader.lost();
    };
    let Some(words) = words(rest, &mut reader.problems) else { return reader.lost() };
    let span = whole.span();
    if !matches!(kind, Kind::Own(Own::Rule | Own::Action)) {
        reader.must_not_interrupt_chain(known, span);
    }
    let given = Given { name: known, span, words: &words };
    let kind = match kind {
        Elsewhere(why) => Some(DirectiveKind::Elsewhere(why)),
        Off(why) => given.off(why, &mut reader.problems),
        Never(why) => {
            reader.problems.refuse(span, format!("`{known}` is not supported: {why}"));
            None
        }
        Switch(setting) => given.switch(&mut reader.problems).map(|on| DirectiveKind::Setting(setting(on))),
        Number(setting) => given.number(setting, &mut reader.problems).map(DirectiveKind::Setting),
        Kind::Own(own) => return self::own(own, &given, depth, reader),
    };
    if let Some(kind) = kind {
        reader.directive(span, kind);
    }
}

fn unknown(name: Part<'_>, problems: &mut Problems) {
    if name.text().starts_with('<') {
        problems
            .refuse(name.span(), "this is a container of Apache's configuration, not of the rule language")
            .help("keep what is in it, without the lines that begin with `<`");
        return;
    }
    let problem = problems.refuse(name.span(), format!("no directive is called `{}`", name.text()));
    if let Some(near) = nearest(name.text(), DIRECTIVES.iter().map(|(known, _)| *known)) {
        problem.help(format!("`{near}` is"));
    } else if name.text().starts_with(['"', '\'']) {
        problem.help("a directive that goes on in the next line ends its line in `\\`");
    }
}

/// The arguments of a line: between blanks, or between quotes. `\"` stands for `"` in a quoted one.
fn words(line: Part<'_>, problems: &mut Problems) -> Option<Vec<Joined>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.text().chars().next() {
        if first == '"' || first == '\'' {
            let inner = rest.from(1);
            let Some(end) = inner.quoted_until(first) else {
                problems
                    .refuse(rest.span(), "the quote that begins here does not end")
                    .help(format!("`\\{first}` stands for `{first}` in it; a line that goes on ends in `\\`"));
                return None;
            };
            words.push(inner.part(0..end).unescape(first));
            rest = inner.from(end + 1).trim();
        } else {
            let end = rest.text().find(char::is_whitespace).unwrap_or(rest.text().len());
            words.push(rest.part(0..end).copied());
            rest = rest.from(end).trim();
        }
    }
    Some(words)
}

/// A directive with its arguments.
struct Given<'a> {
    name: &'static str,
    span: Span,
    words: &'a [Joined],
}

impl Given<'_> {
    /// As many arguments as there must be.
    fn exactly<const N: usize>(&self, takes: &str, problems: &mut Problems) -> Option<[Part<'_>; N]> {
        let parts: Vec<Part<'_>> = self.words.iter().map(Joined::whole).collect();
        let found = parts.len();
        <[Part<'_>; N]>::try_from(parts)
            .inspect_err(|_| {
                let problem =
                    problems.refuse(self.span, format!("`{}` takes {takes}, not {found} arguments", self.name));
                if found > N {
                    problem.help("an argument with blanks in it is quoted, and `\\\"` stands for a quote within");
                }
            })
            .ok()
    }

    fn off(&self, why: &'static str, problems: &mut Problems) -> Option<DirectiveKind> {
        if self.switch(problems)? {
            problems.refuse(self.span, format!("`{} On` is not supported: {why}", self.name));
            return None;
        }
        Some(DirectiveKind::Elsewhere(why))
    }

    fn switch(&self, problems: &mut Problems) -> Option<bool> {
        let [word] = self.exactly("`On` or `Off`", problems)?;
        effect::on_off(word, problems)
    }

    fn number(&self, setting: fn(u64) -> Option<Setting>, problems: &mut Problems) -> Option<Setting> {
        let [word] = self.exactly("a number", problems)?;
        let setting = word.text().parse().ok().and_then(setting);
        if setting.is_none() {
            problems.refuse(word.span(), format!("`{}` is no number that can stand here", word.text()));
        }
        setting
    }

    fn byte(&self, problems: &mut Problems) -> Option<u8> {
        let [word] = self.exactly("one character", problems)?;
        match word.text().as_bytes() {
            [byte] => Some(*byte),
            _ => {
                problems.refuse(word.span(), "a separator is one character of ASCII");
                None
            }
        }
    }

    fn text(&self, problems: &mut Problems) -> Option<String> {
        let [word] = self.exactly("one argument", problems)?;
        Some(word.text().to_owned())
    }

    /// What one argument selects, of several where rules are chosen by number.
    fn selection(&self, own: Own, problems: &mut Problems) -> Option<Selection> {
        if own == Own::RemoveById {
            let mut all = Vec::new();
            for word in self.words {
                let Selection::Ids(ids) = effect::ids(word.whole(), problems)? else { continue };
                all.extend(ids);
            }
            if all.is_empty() {
                problems.refuse(self.span, "a rule's number is missing");
                return None;
            }
            return Some(Selection::Ids(all));
        }
        let [word] = self.exactly("one expression", problems)?;
        expression(own, word, problems)
    }

    /// A selection and what changes of the selected rules.
    fn update(&self, own: Own, problems: &mut Problems) -> Option<(Selection, Part<'_>)> {
        if self.words.len() == 3 {
            problems
                .refuse(self.span, format!("`{}` with a third argument is not supported", self.name))
                .help("take the old variable out (`!ARGS:name`) and add the new one, both in the second argument");
            return None;
        }
        let [which, what] = self.exactly("rules and what changes of them", problems)?;
        Some((expression(own, which, problems)?, what))
    }
}

fn expression(own: Own, word: Part<'_>, problems: &mut Problems) -> Option<Selection> {
    match own {
        Own::UpdateTargetById | Own::UpdateActionById | Own::RemoveById => effect::ids(word, problems),
        _ if word.text().is_empty() => {
            problems.refuse(word.span(), "an empty expression would choose every rule");
            None
        }
        Own::UpdateTargetByTag | Own::RemoveByTag => Some(Selection::Tag(word.text().into())),
        _ => Some(Selection::Message(word.text().into())),
    }
}

/// Directives with arguments of their own.
fn own(own: Own, given: &Given<'_>, depth: usize, reader: &mut Reader<'_>) {
    let problems = &mut reader.problems;
    let setting = match own {
        Own::Rule | Own::Action => return rule::rule(given.words, own == Own::Action, given.span, reader),
        Own::Include | Own::IncludeOptional => {
            if let Some([name]) = given.exactly("the name of a file", problems) {
                reader.include(name, own == Own::IncludeOptional, depth);
            }
            return;
        }
        Own::Marker | Own::Default | Own::RemoveById | Own::RemoveByTag | Own::RemoveByMsg => {
            if let Some(kind) = about_rules(own, given, problems) {
                reader.directive(given.span, kind);
            }
            return;
        }
        Own::UpdateTargetById | Own::UpdateTargetByTag | Own::UpdateTargetByMsg | Own::UpdateActionById => {
            if let Some(kind) = update(own, given, problems) {
                reader.directive(given.span, kind);
            }
            return;
        }
        Own::CookieFormat => {
            if given.text(problems).is_some_and(|version| version != "0") {
                problems.refuse(given.span, "cookies are read as version 0 only, which is what browsers send");
            }
            return reader.directive(given.span, DirectiveKind::Elsewhere("cookies are always read as version 0"));
        }
        Own::Inheritance => {
            if given.switch(problems) == Some(false) {
                problems.refuse(given.span, "`SecRuleInheritance Off` is not supported: all rules are one set");
            }
            return reader.directive(given.span, DirectiveKind::Elsewhere("all rules are one set"));
        }
        Own::ExternalEntity => {
            if given.switch(problems) == Some(true) {
                problems
                    .refuse(given.span, "external entities are never followed: they name files and addresses to fetch");
            }
            Some(Setting::XmlExternalEntity)
        }
        Own::RuleEngine => {
            let word = given.exactly("`On`, `Off` or `DetectionOnly`", problems);
            word.and_then(|[word]| effect::engine_mode(word, problems))
                .map(|mode: EngineMode| Setting::RuleEngine(mode))
        }
        Own::RequestLimitAction => rejects(given, problems).map(Setting::RequestBodyLimitRejects),
        Own::ResponseLimitAction => rejects(given, problems).map(Setting::ResponseBodyLimitRejects),
        Own::NoMimeTypes => Some(Setting::ResponseBodyMimeTypes(Vec::new())),
        Own::MimeTypes => mime_types(given, problems),
        Own::ArgumentSeparator => given.byte(problems).map(Setting::ArgumentSeparator),
        Own::CookieSeparator => given.byte(problems).map(Setting::CookieSeparator),
        Own::ComponentSignature => given.text(problems).map(Setting::ComponentSignature),
        Own::WebAppId => given.text(problems).map(Setting::WebAppId),
        Own::UnicodeMap => unicode_map(given, reader),
    };
    if let Some(setting) = setting {
        reader.directive(given.span, DirectiveKind::Setting(setting));
    }
}

fn about_rules(own: Own, given: &Given<'_>, problems: &mut Problems) -> Option<DirectiveKind> {
    match own {
        Own::Marker => {
            let [label] = given.exactly("a label", problems)?;
            if label.text().is_empty() {
                problems.refuse(given.span, "the label is empty");
                return None;
            }
            Some(DirectiveKind::Marker(label.text().to_owned()))
        }
        Own::Default => {
            let [list] = given.exactly("a list of actions", problems)?;
            let found = problems.0.len();
            let actions = action::actions(&list.copied(), problems);
            if problems.0.len() == found {
                rule::check_default(&actions, given.span, problems);
            }
            Some(DirectiveKind::Default(actions))
        }
        _ => given.selection(own, problems).map(DirectiveKind::Remove),
    }
}

fn update(own: Own, given: &Given<'_>, problems: &mut Problems) -> Option<DirectiveKind> {
    let (selection, what) = given.update(own, problems)?;
    if own != Own::UpdateActionById {
        let targets = target::targets(what, problems);
        return (!targets.is_empty()).then_some(DirectiveKind::UpdateTarget(selection, targets));
    }
    let actions = action::actions(&what.copied(), problems);
    let id = match selection {
        Selection::Ids(ids) => match ids.as_slice() {
            [(from, to)] if from == to => *from,
            _ => {
                problems.refuse(given.span, "actions are changed of one rule at a time");
                return None;
            }
        },
        Selection::Tag(_) | Selection::Message(_) => return None,
    };
    if actions.id.is_some() || actions.chain {
        problems.refuse(given.span, "a rule's `id` and `chain` cannot be changed");
        return None;
    }
    Some(DirectiveKind::UpdateAction(id, actions))
}

fn rejects(given: &Given<'_>, problems: &mut Problems) -> Option<bool> {
    let [word] = given.exactly("`Reject` or `ProcessPartial`", problems)?;
    effect::choice(word, &[("Reject", true), ("ProcessPartial", false)], problems)
}

fn mime_types(given: &Given<'_>, problems: &mut Problems) -> Option<Setting> {
    let words = given.words.iter().flat_map(|word| word.whole().words());
    let types: Vec<Box<str>> = words.map(|word| word.text().to_ascii_lowercase().into()).collect();
    if types.is_empty() {
        problems.refuse(given.span, "a media type is missing").help("`SecResponseBodyMimeType text/html text/plain`");
        return None;
    }
    Some(Setting::ResponseBodyMimeTypes(types))
}

/// `file` and `code page`.
fn unicode_map(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<Setting> {
    let [file, page] = given.exactly("a file and a code page", &mut reader.problems)?;
    let content = reader.file(file)?;
    let map = unicode::map(&content, page.text());
    if map.is_none() {
        reader.problems.refuse(
            page.span(),
            format!("`{}` holds no map of the code page `{}`, or one that cannot be read", file.text(), page.text()),
        );
    }
    map.map(Setting::UnicodeMap)
}
