//! What rule text says, before anything is compiled: every word understood, with the place where it stands.
//!
//! The language is that of `ModSecurity` 3's reference manual. What a name means is settled here, by type: a variable, an
//! operator, a transformation or an action that has no variant cannot be asked for, so that text which needs one is refused.

use std::sync::Arc;

pub use crate::transform::Transformation;

/// A piece of rule text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// Position among the [`Source`]s.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A file of rules.
#[derive(Debug, Clone)]
pub struct Source {
    /// As diagnostics call it.
    pub name: String,
    /// All of it.
    pub text: Arc<str>,
}

/// One directive, continued lines joined.
#[derive(Debug, Clone)]
pub struct Directive {
    /// From its name to the end of its last argument.
    pub span: Span,
    /// What it says.
    pub kind: DirectiveKind,
}

/// What a directive says.
#[derive(Debug, Clone)]
pub enum DirectiveKind {
    /// `SecRule`, and `SecAction` as a rule without a [`Test`].
    Rule(Box<Rule>),
    /// `SecMarker`: where `skipAfter` goes on.
    Marker(String),
    /// `SecDefaultAction`: of one phase.
    Default(Actions),
    /// `SecRuleRemoveById`, `ByTag`, `ByMsg`.
    Remove(Selection),
    /// `SecRuleUpdateTargetById`, `ByTag`, `ByMsg`.
    UpdateTarget(Selection, Vec<Target>),
    /// `SecRuleUpdateActionById`.
    UpdateAction(u32, Actions),
    /// A setting of the engine.
    Setting(Setting),
    /// A directive of the language whose work another part of the program does, or that changes nothing here: where logs go,
    /// how large a file of its own may be. The text is the reason, for a note at load.
    Elsewhere(&'static str),
}

/// One rule; a chain is its head's, link after link.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What is looked at and how; none for `SecAction`.
    pub test: Option<Test>,
    /// What happens.
    pub actions: Actions,
    /// The next rules of the chain, each only tried when the one before matched. Only the head has them.
    pub links: Vec<Rule>,
    /// The rule without its links.
    pub span: Span,
}

/// Variables and the operator that they are given to.
#[derive(Debug, Clone)]
pub struct Test {
    /// In the order in which they stand.
    pub targets: Vec<Target>,
    /// `!@op`: matches where the operator does not.
    pub negated: bool,
    /// What it does.
    pub operator: Operator,
    /// Its name and argument.
    pub span: Span,
}

/// One variable of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `ARGS`, `REQUEST_HEADERS`, …
    pub variable: Variable,
    /// Which of a collection.
    pub selector: Selector,
    /// `&`: how many there are.
    pub count: bool,
    /// `!`: taken out of what the others say.
    pub exclude: bool,
    /// Where it stands.
    pub span: Span,
}

/// Which members of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// All of them, or the one of a variable that is no collection.
    All,
    /// By name, upper and lower case alike.
    Name(Box<[u8]>),
    /// By a regular expression over the name, as it stands between the slashes.
    Regex(Box<str>),
    /// Elements' text or attributes' values of a body in XML: the only two expressions that the Core Rule Set uses.
    Xml(XmlPath),
}

/// What of an XML document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlPath {
    /// `XML:/*`: the text of the document, as one value.
    Text,
    /// `XML://@*`: each attribute's value.
    Attributes,
}

/// Declares the variables of the language, so that name and variant cannot differ.
macro_rules! variables {
    ($($(#[$about:meta])* $variant:ident = $name:literal $(is $shape:ident)?;)*) => {
        /// A variable of the language. Those that are collections take a [`Selector`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is documented by the reference under its name")]
        pub enum Variable { $($(#[$about])* $variant,)* }

        impl Variable {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As rule text spells it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether it has members with names.
            #[must_use]
            pub const fn is_collection(self) -> bool {
                match self { $(Self::$variant => variables!(@shape $($shape)?),)* }
            }
        }
    };
    (@shape collection) => { true };
    (@shape) => { false };
}

variables! {
    Args = "ARGS" is collection;
    ArgsCombinedSize = "ARGS_COMBINED_SIZE";
    ArgsGet = "ARGS_GET" is collection;
    ArgsGetNames = "ARGS_GET_NAMES" is collection;
    ArgsNames = "ARGS_NAMES" is collection;
    ArgsPost = "ARGS_POST" is collection;
    ArgsPostNames = "ARGS_POST_NAMES" is collection;
    AuthType = "AUTH_TYPE";
    Duration = "DURATION";
    Env = "ENV" is collection;
    Files = "FILES" is collection;
    FilesCombinedSize = "FILES_COMBINED_SIZE";
    FilesNames = "FILES_NAMES" is collection;
    FullRequest = "FULL_REQUEST";
    FullRequestLength = "FULL_REQUEST_LENGTH";
    FilesSizes = "FILES_SIZES" is collection;
    FilesTmpContent = "FILES_TMP_CONTENT" is collection;
    FilesTmpNames = "FILES_TMPNAMES" is collection;
    Global = "GLOBAL" is collection;
    HighestSeverity = "HIGHEST_SEVERITY";
    InboundDataError = "INBOUND_DATA_ERROR";
    Ip = "IP" is collection;
    MatchedVar = "MATCHED_VAR";
    MatchedVarName = "MATCHED_VAR_NAME";
    MatchedVars = "MATCHED_VARS" is collection;
    MatchedVarsNames = "MATCHED_VARS_NAMES" is collection;
    ModsecBuild = "MODSEC_BUILD";
    MultipartBoundaryQuoted = "MULTIPART_BOUNDARY_QUOTED";
    MultipartBoundaryWhitespace = "MULTIPART_BOUNDARY_WHITESPACE";
    MultipartCrlfLfLines = "MULTIPART_CRLF_LF_LINES";
    MultipartDataAfter = "MULTIPART_DATA_AFTER";
    MultipartDataBefore = "MULTIPART_DATA_BEFORE";
    MultipartFileLimitExceeded = "MULTIPART_FILE_LIMIT_EXCEEDED";
    MultipartFilename = "MULTIPART_FILENAME" is collection;
    MultipartHeaderFolding = "MULTIPART_HEADER_FOLDING";
    MultipartInvalidHeaderFolding = "MULTIPART_INVALID_HEADER_FOLDING";
    MultipartInvalidPart = "MULTIPART_INVALID_PART";
    MultipartInvalidQuoting = "MULTIPART_INVALID_QUOTING";
    MultipartLfLine = "MULTIPART_LF_LINE";
    MultipartMissingSemicolon = "MULTIPART_MISSING_SEMICOLON";
    MultipartName = "MULTIPART_NAME" is collection;
    MultipartPartHeaders = "MULTIPART_PART_HEADERS" is collection;
    MultipartSemicolonMissing = "MULTIPART_SEMICOLON_MISSING";
    MultipartStrictError = "MULTIPART_STRICT_ERROR";
    MultipartUnmatchedBoundary = "MULTIPART_UNMATCHED_BOUNDARY";
    OutboundDataError = "OUTBOUND_DATA_ERROR";
    PathInfo = "PATH_INFO";
    QueryString = "QUERY_STRING";
    RemoteAddr = "REMOTE_ADDR";
    RemoteHost = "REMOTE_HOST";
    RemotePort = "REMOTE_PORT";
    RemoteUser = "REMOTE_USER";
    ReqbodyError = "REQBODY_ERROR";
    ReqbodyErrorMsg = "REQBODY_ERROR_MSG";
    ReqbodyProcessor = "REQBODY_PROCESSOR";
    ReqbodyProcessorError = "REQBODY_PROCESSOR_ERROR";
    ReqbodyProcessorErrorMsg = "REQBODY_PROCESSOR_ERROR_MSG";
    RequestBasename = "REQUEST_BASENAME";
    RequestBody = "REQUEST_BODY";
    RequestBodyLength = "REQUEST_BODY_LENGTH";
    RequestCookies = "REQUEST_COOKIES" is collection;
    RequestCookiesNames = "REQUEST_COOKIES_NAMES" is collection;
    RequestFilename = "REQUEST_FILENAME";
    RequestHeaders = "REQUEST_HEADERS" is collection;
    RequestHeadersNames = "REQUEST_HEADERS_NAMES" is collection;
    RequestLine = "REQUEST_LINE";
    RequestMethod = "REQUEST_METHOD";
    RequestProtocol = "REQUEST_PROTOCOL";
    RequestUri = "REQUEST_URI";
    RequestUriRaw = "REQUEST_URI_RAW";
    Resource = "RESOURCE" is collection;
    ResponseArgs = "RESPONSE_ARGS" is collection;
    ResponseBody = "RESPONSE_BODY";
    ResponseContentLength = "RESPONSE_CONTENT_LENGTH";
    ResponseContentType = "RESPONSE_CONTENT_TYPE";
    ResponseHeaders = "RESPONSE_HEADERS" is collection;
    ResponseHeadersNames = "RESPONSE_HEADERS_NAMES" is collection;
    ResponseProtocol = "RESPONSE_PROTOCOL";
    ResponseStatus = "RESPONSE_STATUS";
    Rule = "RULE" is collection;
    ServerAddr = "SERVER_ADDR";
    ServerName = "SERVER_NAME";
    ServerPort = "SERVER_PORT";
    Session = "SESSION" is collection;
    SessionId = "SESSIONID";
    StatusLine = "STATUS_LINE";
    Time = "TIME";
    TimeDay = "TIME_DAY";
    TimeEpoch = "TIME_EPOCH";
    TimeHour = "TIME_HOUR";
    TimeMin = "TIME_MIN";
    TimeMon = "TIME_MON";
    TimeSec = "TIME_SEC";
    TimeWday = "TIME_WDAY";
    TimeYear = "TIME_YEAR";
    Tx = "TX" is collection;
    UniqueId = "UNIQUE_ID";
    UrlencodedError = "URLENCODED_ERROR";
    User = "USER" is collection;
    UserId = "USERID";
    WebappId = "WEBAPPID";
    Xml = "XML" is collection;
}

/// Text with `%{variable}` or `%{collection.member}` in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<Piece>);

/// A part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Plain(Box<[u8]>),
    /// What a variable holds then; empty where it holds nothing.
    Macro(Variable, Option<Box<[u8]>>),
}

/// What a rule asks of each value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// `@rx`: a regular expression in the syntax of PCRE, matched as `ModSecurity` 3 does (bytes, dot matches newline, `^` and
    /// `$` at lines' ends).
    Rx(Text),
    /// `@rxGlobal`: all of its matches, each captured.
    RxGlobal(Text),
    /// `@pm` and `@pmFromFile`: one of these phrases, upper and lower case alike.
    Pm(Vec<Box<[u8]>>),
    /// `@ipMatch` and `@ipMatchFromFile`, as they stand.
    IpMatch(Vec<Box<str>>),
    /// `@streq`.
    Streq(Text),
    /// `@strmatch`: contains, by another algorithm.
    Strmatch(Text),
    /// `@contains`.
    Contains(Text),
    /// `@containsWord`.
    ContainsWord(Text),
    /// `@beginsWith`.
    BeginsWith(Text),
    /// `@endsWith`.
    EndsWith(Text),
    /// `@within`: the value is part of the argument.
    Within(Text),
    /// `@eq`.
    Eq(Text),
    /// `@ge`.
    Ge(Text),
    /// `@gt`.
    Gt(Text),
    /// `@le`.
    Le(Text),
    /// `@lt`.
    Lt(Text),
    /// `@detectSQLi`.
    DetectSqli,
    /// `@detectXSS`.
    DetectXss,
    /// `@validateByteRange`: a byte outside of these; inclusive ranges.
    ValidateByteRange(Vec<(u8, u8)>),
    /// `@validateUrlEncoding`: a broken escape.
    ValidateUrlEncoding,
    /// `@validateUtf8Encoding`: not UTF-8.
    ValidateUtf8Encoding,
    /// `@verifyCC`: a payment card's number among what the expression finds.
    VerifyCc(Box<str>),
    /// `@verifySSN`: the same for a social security number of the USA.
    VerifySsn(Box<str>),
    /// `@verifyCPF`: the same for a taxpayer's number of Brazil.
    VerifyCpf(Box<str>),
    /// `@unconditionalMatch`.
    UnconditionalMatch,
    /// `@noMatch`.
    NoMatch,
}

/// What a rule does, as its actions say; absent where they say nothing.
#[derive(Debug, Clone, Default)]
pub struct Actions {
    /// `id`.
    pub id: Option<u32>,
    /// `phase`, 1 to 5.
    pub phase: Option<u8>,
    /// `pass`, `block`, `deny`, `drop`, `allow`, `redirect`, `proxy`.
    pub disruptive: Option<Disruptive>,
    /// `status`.
    pub status: Option<u16>,
    /// `t:…` in their order. `t:none` empties what was inherited and what stood before it; [`Actions::fresh`] tells.
    pub transformations: Vec<Transformation>,
    /// There was a `t:none`.
    pub fresh: bool,
    /// `multiMatch`: tried after each transformation that changed the value.
    pub multi_match: bool,
    /// `capture`: what matched goes to `TX:0` to `TX:9`.
    pub capture: bool,
    /// `chain`.
    pub chain: bool,
    /// `skip`.
    pub skip: Option<u32>,
    /// `skipAfter`.
    pub skip_after: Option<String>,
    /// `log` and `nolog`.
    pub log: Option<bool>,
    /// `auditlog` and `noauditlog`.
    pub audit_log: Option<bool>,
    /// `msg`.
    pub message: Option<Text>,
    /// `logdata`.
    pub log_data: Option<Text>,
    /// `tag`, each with its macros.
    pub tags: Vec<Text>,
    /// `severity`, 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// `ver`.
    pub version: Option<String>,
    /// `rev`.
    pub revision: Option<String>,
    /// `maturity`.
    pub maturity: Option<u8>,
    /// `accuracy`.
    pub accuracy: Option<u8>,
    /// What changes variables or the engine, in the order in which it stands.
    pub effects: Vec<Effect>,
    /// The list as a whole.
    pub span: Option<Span>,
}

/// What decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disruptive {
    /// Goes on.
    Pass,
    /// What `SecDefaultAction` of the phase says.
    Block,
    /// Refuses with the rule's status, 403 without one.
    Deny,
    /// Closes the connection.
    Drop,
    /// Skips the rest.
    Allow(Scope),
    /// Refuses with a redirection.
    Redirect(Text),
}

/// How far `allow` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All phases but logging.
    Transaction,
    /// This phase.
    Phase,
    /// The phases of the request.
    Request,
}

/// What an action changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `setvar:collection.name=value`.
    SetVar {
        /// TX, IP, GLOBAL, RESOURCE, SESSION, USER.
        collection: Variable,
        /// Without the collection.
        name: Text,
        /// What becomes of it.
        change: Change,
    },
    /// `setenv:name=value`.
    SetEnv(Text, Text),
    /// `expirevar:collection.name=seconds`.
    ExpireVar(Variable, Text, Text),
    /// `initcol:collection=key`.
    InitCol(Variable, Text),
    /// `setuid`, `setsid`, `setrsc`: the key of USER, SESSION, RESOURCE.
    SetKey(Variable, Text),
    /// `ctl:…`.
    Ctl(Ctl),
}

/// What becomes of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `=value`; `1` without one.
    Set(Text),
    /// `=+value`.
    Add(Text),
    /// `=-value`.
    Subtract(Text),
    /// `!name`.
    Unset,
}

/// What `ctl` changes for this transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ctl {
    /// `ruleEngine`.
    RuleEngine(EngineMode),
    /// `requestBodyAccess`.
    RequestBodyAccess(bool),
    /// `responseBodyAccess`.
    ResponseBodyAccess(bool),
    /// `requestBodyProcessor`.
    RequestBodyProcessor(BodyProcessor),
    /// `forceRequestBodyVariable`.
    ForceRequestBodyVariable(bool),
    /// `parseXmlIntoArgs`.
    ParseXmlIntoArgs(bool),
    /// `ruleRemoveById`, `ByTag`, `ByMsg`.
    RuleRemove(Selection),
    /// `ruleRemoveTargetById`, `ByTag`, `ByMsg`.
    RuleRemoveTarget(Selection, Box<Target>),
    /// `auditEngine`, `auditLogParts`: what is written of a transaction is the journal's.
    Audit,
}

/// Which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// By number; inclusive ranges.
    Ids(Vec<(u32, u32)>),
    /// By a regular expression over each tag.
    Tag(Box<str>),
    /// By a regular expression over the message.
    Message(Box<str>),
}

/// Whether rules act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineMode {
    /// They act.
    On,
    /// They do not run.
    #[default]
    Off,
    /// They run and only tell.
    DetectionOnly,
}

/// Who takes a body apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyProcessor {
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// `multipart/form-data`.
    Multipart,
    /// JSON.
    Json,
    /// XML.
    Xml,
}

/// A setting of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// `SecRuleEngine`.
    RuleEngine(EngineMode),
    /// `SecRequestBodyAccess`.
    RequestBodyAccess(bool),
    /// `SecResponseBodyAccess`.
    ResponseBodyAccess(bool),
    /// `SecRequestBodyLimit`, in bytes.
    RequestBodyLimit(u64),
    /// `SecRequestBodyNoFilesLimit`, in bytes.
    RequestBodyNoFilesLimit(u64),
    /// `SecRequestBodyLimitAction`: whether what is longer is refused; otherwise its beginning is inspected.
    RequestBodyLimitRejects(bool),
    /// `SecRequestBodyJsonDepthLimit`.
    RequestBodyJsonDepthLimit(u32),
    /// `SecArgumentsLimit`.
    ArgumentsLimit(u32),
    /// `SecUploadFileLimit`.
    UploadFileLimit(u32),
    /// `SecResponseBodyLimit`, in bytes.
    ResponseBodyLimit(u64),
    /// `SecResponseBodyLimitAction`, as for requests.
    ResponseBodyLimitRejects(bool),
    /// `SecResponseBodyMimeType`.
    ResponseBodyMimeTypes(Vec<Box<str>>),
    /// `SecArgumentSeparator`.
    ArgumentSeparator(u8),
    /// `SecCookieV0Separator`.
    CookieSeparator(u8),
    /// `SecUnicodeMapFile`: the map of one code page.
    UnicodeMap(UnicodeMap),
    /// `SecComponentSignature`.
    ComponentSignature(String),
    /// `SecWebAppId`.
    WebAppId(String),
    /// `SecCollectionTimeout`, in seconds.
    CollectionTimeout(u32),
    /// `SecXmlExternalEntity`: only ever off.
    XmlExternalEntity,
    /// `SecParseXmlIntoArgs`.
    ParseXmlIntoArgs(bool),
}

/// Code points beyond ASCII that an application of that code page takes for ASCII; sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnicodeMap(pub Vec<(u32, u8)>);
