//! The command line: verbs, flags and their help. The help page, the man page, the completions and
//! `docs/reference/cli.md` all come from here.
//!
//! Nothing is decided here beyond what a flag may look like.

pub(crate) mod console;
pub(crate) mod incident;
pub(crate) mod integrity;
mod ledger;
pub(crate) mod remote;
pub(crate) mod requests;
pub(crate) mod top;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use self::ledger::{
    AskLedger, Believed, CheckProof, Ledger, LedgerPlace, Prove, ShowLedger, Verify, Witness,
};
use self::remote::Remote;
use crate::demo::attack::{self, Attack};
use crate::moment::Moment;

/// Where the configuration is looked for when nothing is said.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/portcullis/portcullis.toml";

/// What stands below the flags: a heading, then lines of at most 80 columns, so that no terminal breaks them.
pub(crate) const AFTER: &str = "\
Examples:
  portcullis demo                         A gate and its visitors, on loopback
  portcullis demo --attack botnet         The same, and then an attack on it
  portcullis demo --drill                 Four ways in which members leak
  portcullis demo --incident              Two waves, and the report of them
  portcullis check --config gate.toml     Everything wrong with a file, at once
  portcullis run --config gate.toml       Stand in front of the platforms
  portcullis reload --config gate.toml    Put the changed file in force
  portcullis status                       How the running gate stands
  portcullis status --url https://console.example.org --token-file T
                                          The same of a gate elsewhere
  portcullis rules undo r-81              Take a rule back for an hour
  portcullis rules add crs --from coreruleset-4.28.0.tar.gz
                                          Install or update the Core Rule Set
  portcullis posture public overload      Hold a platform in a posture
  portcullis posture public auto          Let the gate decide again
  portcullis event add debate --from 20:00 --until 22:30
                                          Say that a crowd will come
  portcullis rehearse crowd.toml          An attack that did not happen, yet
  portcullis replay --config gate.toml access.log access.log.1.gz
                                          What the gate would have done to it
  portcullis tune --since 24h             What to leave out, tried on the record
  portcullis waf report                   What observed rules would have refused
  portcullis waf promote public/search/** Let them refuse there
  portcullis canary new --count 20 --domain post.example.org
                                          Members that do not exist, to plant
  portcullis data report                  What left, and which budgets to set
  portcullis pg learn app                 Write down what a role runs
  portcullis pg diff                      What waits to be approved
  portcullis manifest sign build --platform public --key alice.key
                                          A release, signed where it is built
  portcullis diff                         What differs from what was signed
  portcullis drill                        Whether a planted file is seen
  portcullis requests top --by network --since 24h
                                          Where most of a day came from
  portcullis requests history --step 1s   What the gate answered, by the second
  portcullis incident show                What happened, and what can be said
  portcullis incident export last report  Report, forms and proofs
  portcullis console link --name ane      A way into the console, once
  portcullis top                          How the gate stands, each second
  portcullis ledger verify DIR --key KEY  Whether the record is what it was
  portcullis explain 5Z7Q0C2M4N8KT        Why this request was refused
  portcullis explain r-81                 What a rule is, and why it came
  portcullis explain ambiguous-framing    What a reason means

Times:
  2026-05-17T20:00:00Z (RFC 3339), 20:00 (today, UTC) or +2h (from now).
  Times are printed in UTC.

Exit codes:
  0  Done
  1  The thing asked about is not in order: check found problems, a rehearsal
     did not come out as expected, the gate refused what was asked, explain
     found nothing, run or demo could not start
  2  The command line is wrong

Environment:
  NO_COLOR        Set to anything: no colour in help, diagnostics and log
  PORTCULLIS_LOG  What the gate reports on stderr: error, warn, info (default),
                  debug, trace, or module=level
  PORTCULLIS_TOKEN
                  A token of the console, for `top` and with --url
  PORTCULLIS_URL  The console of a gate elsewhere, for verbs with --url

Streams:
  Answers go to stdout, everything said besides goes to stderr.";

/// Stands in front of web platforms and keeps them up under attack.
#[derive(Debug, Parser)]
#[command(name = "portcullis", bin_name = "portcullis", version, after_help = AFTER, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Stand in front of the platforms until told to stop.
    ///
    /// SIGTERM and SIGINT drain and end, SIGHUP reloads. Sockets from systemd are used by the name of their listener.
    Run(Run),
    /// Say whether a configuration is in order, with every problem at once.
    Check(Check),
    /// Print a configuration as the gate understands it.
    Show(Show),
    /// Ask the running gate to put its changed configuration in force.
    ///
    /// When the new configuration is not in order the running one stays in force.
    Reload(Reload),
    /// Say how the running gate stands: postures, rules, limits, announced events.
    Status(Gate),
    /// List the rules of the running gate, keep one in force, or take one back.
    Rules(Rules),
    /// Show the postures of the running gate, or hold a platform in one.
    ///
    /// Without a posture it shows them. Without a platform it is about all of them. A posture is normal, elevated, attack,
    /// overload or recovery; auto lets the gate decide again.
    Posture(PostureOf),
    /// Announce a crowd that will come, so that it is not taken for an attack and an attack in it is.
    ///
    /// What is normal is pinned until the event is over, and the gate looks closely from its beginning on.
    Event(Event),
    /// Play a scenario against the real engine in a simulated world.
    ///
    /// Exits 0 only when every expectation of the scenario holds. The same file and seed give the same report on any
    /// machine. It is played here, unless `--url` itself says otherwise: PORTCULLIS_URL sends no scenario away.
    Rehearse(Rehearse),
    /// Play access logs through the real engine: what it would have refused, whom it would have hit, which limits to set.
    ///
    /// Combined and common logs of Apache and nginx (with virtual host, with times), Caddy's JSON and other JSON are
    /// read, plain or compressed by gzip or zstd. Nothing is sent anywhere, and no log is changed.
    Replay(Replay),
    /// Put recorded requests to the detection and the rules, and print one line for each.
    ///
    /// A line has the name, the verdict (pass, block), the score, what matched (rule, message, where, what, why) and the
    /// microseconds it took. Nothing is sent anywhere.
    Inspect(Inspect),
    /// Propose exclusions that would have let recorded requests pass, and try each on all that is recorded.
    ///
    /// It reads the decision log, tries every request that inspection refused, or would have, again on the rules as they are
    /// configured, and names the least that would let it pass: single rules or families, on single variables, on one route. What
    /// else would pass then is listed. Whether a request was an attack is for you to say.
    Tune(Records),
    /// Report what inspection would have refused, and take routes from observing to refusing and back.
    Waf(Waf),
    /// Make members, ids and keys that do not exist, list, try or retire them: an alarm rings where one is seen.
    Canary(Canary),
    /// Say what left through the running gate, and which budgets it proposes; or approve one.
    Data(Data),
    /// Learn what applications run on a guarded database, look at it, approve it, and refuse everything else.
    Pg(Pg),
    /// Sign what a release is made of, and hand it to the running gate: these files may be so from now on.
    Manifest(integrity::Manifest),
    /// Take what is in the watched directories as what should be there, in somebody's name.
    Baseline(integrity::Baseline),
    /// Print what differs from manifest or baseline; exit 1 if anything does.
    ///
    /// It reads the directories itself and asks no gate.
    Diff(integrity::Diff),
    /// Say how the sensors of the running gate stand: what sees, what is blind, what none can see.
    Sensors(Gate),
    /// Try the sensors of the running gate with something inert, through their real path; exit 1 if anything was missed.
    Drill(integrity::Drill),
    /// Say what happened in an incident and what can be said of it; write its reports; note what people did.
    Incident(incident::Incident),
    /// Count the requests on record, or say what the gate answered over time.
    Requests(requests::Requests),
    /// Make a link with which somebody gets into the console.
    Console(console::Console),
    /// Show in this terminal how the gate stands, each second, and act on it.
    ///
    /// It is the console's first view over the console's API. Arrows choose, `u` undoes a rule, `p` pins it, `h` holds a platform in a
    /// posture, each once you have said yes; `?` helps, `q` quits.
    Top(top::Top),
    /// Verify the ledger of what happened, look at it, prove a record of it.
    Ledger(Ledger),
    /// Stand on another host and sign what a ledger shows, so that it cannot be rewritten unseen.
    ///
    /// It prints its key, which belongs into `[[evidence.witness]]` and into `portcullis ledger verify`. What does not continue
    /// what it signed before it refuses.
    Witness(Witness),
    /// Say why a request was refused, from its reference; what a rule is; or what a reason means.
    Explain(Explain),
    /// Run a gate, three sample platforms and their visitors on loopback.
    ///
    /// Nothing leaves the machine, whatever the flags say. Ctrl-C ends it.
    Demo(Demo),
    /// Print the version, the compiler and the features built in.
    Version(Version),
    /// Print completions for a shell.
    Completions(Completions),
    /// Print the manual page (roff).
    Man,
}

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The configuration file. With `--url` it is read as that gate would read it in place of its own, which is checked where no file
    /// is named.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `version`.
#[derive(Debug, Args)]
pub(crate) struct Version {
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Take the listening sockets over from the gate that runs now; it drains and ends.
    #[arg(long)]
    pub(crate) takeover: bool,
}

/// Flags of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// Everything that is in force, defaults written out. The output is itself a configuration.
    #[arg(long, required = true)]
    pub(crate) effective: bool,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `reload`.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// The configuration file, which names the control socket.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// The control socket itself, instead of a configuration file.
    #[arg(long, value_name = "SOCKET", conflicts_with = "config")]
    pub(crate) control: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Which running gate, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct Gate {
    /// The configuration file, which names the control socket.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// The control socket itself, instead of a configuration file.
    #[arg(long, value_name = "SOCKET", conflicts_with = "config")]
    pub(crate) control: Option<PathBuf>,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// What is asked of `rules`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Rules {
    #[command(subcommand)]
    pub(crate) ask: AskRules,
}

/// Verbs of `rules`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskRules {
    /// List rules in force, on trial and dormant, with their patterns in words.
    List(Gate),
    /// Keep a rule in force until it is undone, whatever the gate thinks of it.
    Pin(OneRule),
    /// Take a rule back at once; nothing like it is proposed again for an hour.
    Undo(OneRule),
    /// Install the OWASP Core Rule Set beside the configuration, checked, and show what changes.
    ///
    /// It is read as the gate would read it before anything is touched, and put in place whole. Your `crs-setup.conf` and
    /// files of your own are carried over; the release before stays in its directory.
    Add(AddRules),
}

/// One rule of a running gate.
#[derive(Debug, Args)]
pub(crate) struct OneRule {
    /// The rule, as the log and `rules list` name it: `r-81`.
    #[arg(value_name = "RULE", value_parser = rule)]
    pub(crate) rule: String,
    #[command(flatten)]
    pub(crate) gate: Gate,
}

/// A rule set to install.
#[derive(Debug, Args)]
pub(crate) struct AddRules {
    /// Which rule set.
    #[arg(value_name = "SET", value_parser = ["crs"])]
    pub(crate) set: String,
    /// Where its release is: an unpacked directory, a `.tar.gz`, or the https URL of one.
    #[arg(long, value_name = "DIR|FILE|URL")]
    pub(crate) from: String,
    /// The archive's SHA-256, as the project publishes it; a URL needs one.
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub(crate) sha256: Option<String>,
    /// The configuration file, beside which the rules are put.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// Check and compare, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What is asked of `posture`.
#[derive(Debug, Args)]
pub(crate) struct PostureOf {
    /// A platform, a posture, or a platform and its posture.
    #[arg(value_name = "PLATFORM|POSTURE", num_args = 0..=2)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) gate: Gate,
}

/// What is asked of `event`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Event {
    #[command(subcommand)]
    pub(crate) ask: AskEvent,
}

/// Verbs of `event`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskEvent {
    /// Announce an event.
    Add(AddEvent),
    /// List announced events.
    List(Gate),
    /// Take an announcement back.
    Cancel(CancelEvent),
}

/// An event to announce.
#[derive(Debug, Args)]
pub(crate) struct AddEvent {
    /// A name of your own: `debate`.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// When it begins: RFC 3339, `HH:MM` today (UTC), or `+2h` from now.
    #[arg(long, value_name = "TIME", default_value = "+0s", value_parser = Moment::parse)]
    pub(crate) from: Moment,
    /// When it is over; `HH:MM` before its beginning is tomorrow, `+2h` is from its beginning.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub(crate) until: Moment,
    /// The platform it concerns; all of them without.
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    #[command(flatten)]
    pub(crate) gate: Gate,
}

/// An announcement to take back.
#[derive(Debug, Args)]
pub(crate) struct CancelEvent {
    /// The name that it was announced under.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) gate: Gate,
}

/// What is asked of `pg`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Pg {
    #[command(subcommand)]
    pub(crate) ask: AskPg,
}

/// Verbs of `pg`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskPg {
    /// Write down what a role runs from now on.
    ///
    /// Each statement with its role, the client's network, its fingerprint and its shape: relations, functions, settings, and
    /// how many rows, items and how wide a pattern it asked for. Constants are never written down.
    Learn(RoleOf),
    /// Show the book: each statement, and what was decided about it.
    Show(BookOf),
    /// Show what waits for a decision: learned and not approved, seen further than approved, or refused.
    Diff(BookOf),
    /// Approve what was learned, or one statement even where it was refused.
    Approve(ApproveOf),
    /// Hold a role to what is approved; everything else is refused where the database is set to enforce, and told where not.
    Enforce(EnforceOf),
    /// Stop learning, or stop holding a role to the book. What is always refused stays refused.
    Observe(RoleOf),
}

/// Which database of a running gate.
#[derive(Debug, Args)]
pub(crate) struct OfDatabase {
    /// The database, as the configuration names it; not needed where there is one.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) gate: Gate,
}

/// One role of a database.
#[derive(Debug, Args)]
pub(crate) struct RoleOf {
    /// The role that applications connect as; `*` is every role without a stage of its own.
    #[arg(value_name = "ROLE")]
    pub(crate) role: String,
    #[command(flatten)]
    pub(crate) of: OfDatabase,
}

/// A part of the book.
#[derive(Debug, Args)]
pub(crate) struct BookOf {
    /// The role; all of them without.
    #[arg(value_name = "ROLE")]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) of: OfDatabase,
}

/// What to approve.
#[derive(Debug, Args)]
pub(crate) struct ApproveOf {
    /// The role; all of them without.
    #[arg(value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// One statement, by the number before it.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) statement: Option<String>,
    #[command(flatten)]
    pub(crate) of: OfDatabase,
}

/// Whom to hold to the book.
#[derive(Debug, Args)]
pub(crate) struct EnforceOf {
    #[command(flatten)]
    pub(crate) role: RoleOf,
    /// Even where nothing was learned, or not all that was learned is approved.
    #[arg(long)]
    pub(crate) despite: bool,
}

/// Flags of `rehearse`.
#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// The scenario file.
    #[arg(value_name = "FILE")]
    pub(crate) scenario: PathBuf,
    /// The seed that decides everything left to chance; `random` draws one and prints it.
    #[arg(long, value_name = "NUMBER|random", default_value = "1", value_parser = Seed::parse)]
    pub(crate) seed: Seed,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write a page with the timeline drawn.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A configuration whose platforms take the place of the scenario's own. With `--url` it is that of the gate elsewhere.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Access logs in any order; `-` is stdin.
    #[arg(value_name = "LOG", required = true)]
    pub(crate) logs: Vec<PathBuf>,
    /// The configuration file, which says which platforms, routes and limits there are.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The platform of requests whose host the log does not name, or that is of no platform.
    #[arg(long, value_name = "NAME")]
    pub(crate) platform: Option<String>,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A seed of a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seed {
    /// This one.
    Fixed(u64),
    /// One that the machine draws.
    Random,
}

impl Seed {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random),
            number => number.parse().map(Self::Fixed).map_err(|_| "expected a whole number, or `random`".to_owned()),
        }
    }
}

/// Flags of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Files with one raw HTTP request each, perhaps with the response behind it; directories of them; `-` is stdin.
    #[arg(value_name = "FILE|DIR", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The configuration file: each request is inspected as on the route that it would take.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rules", "builtin"])]
    pub(crate) config: Option<PathBuf>,
    /// A directory of rules, such as an unpacked Core Rule Set.
    #[arg(long, value_name = "DIR")]
    pub(crate) rules: Option<PathBuf>,
    /// The paranoia level of the rules, 1 to 4.
    #[arg(long, value_name = "N", requires = "rules", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) paranoia: Option<u8>,
    /// The gate's own detection, beside the rules; alone where no rules are named.
    #[arg(long)]
    pub(crate) builtin: bool,
    /// How the lines are written.
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: Format,
}

/// Which records are read, and how the answer is written.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// The configuration file, which has the rules and names the decision log.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// Another decision log than that of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Records from then on: RFC 3339, `HH:MM` today (UTC), or `2h` for the last two hours.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Moment>,
    /// One JSON object, for programs.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// What is asked of `waf`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Waf {
    #[command(subcommand)]
    pub(crate) ask: AskWaf,
}

/// What is asked of `canary`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Canary {
    #[command(subcommand)]
    pub(crate) ask: AskCanary,
}

/// Verbs of `canary`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskCanary {
    /// Make canaries and print what is to be planted, as CSV.
    ///
    /// The key and the registry are made where the configuration does not name them yet. The registry holds no value.
    New(NewCanary),
    /// List what was planted, and where it may be seen.
    List(ListCanaries),
    /// Try whether each is recognised, in each way that it may be written.
    Test(ConfigFile),
    /// Look no more for some.
    Retire(RetireCanaries),
}

/// Canaries to be made.
#[derive(Debug, Args)]
pub(crate) struct NewCanary {
    /// What they are.
    #[arg(long, value_enum, value_name = "KIND", default_value = "member")]
    pub(crate) kind: CanaryKind,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: u32,
    /// A domain of your own for the mail of members.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) domain: Option<String>,
    /// What keys begin with.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Where they may be seen without an alarm: `members:/staff/**` for pages, `pg:backup` for a role of a database.
    #[arg(long, value_name = "PLACE")]
    pub(crate) home: Vec<String>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

/// What a canary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CanaryKind {
    /// A member, to be planted among members.
    Member,
    /// A UUID, to be planted in pages and tables.
    Id,
    /// A key, to be planted where keys should not be.
    Key,
}

/// Canaries to be listed.
#[derive(Debug, Args)]
pub(crate) struct ListCanaries {
    /// Print their values, to be planted.
    #[arg(long)]
    pub(crate) values: bool,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Canaries to be retired.
#[derive(Debug, Args)]
pub(crate) struct RetireCanaries {
    /// Which ones: `c-7`.
    #[arg(value_name = "CANARY", required = true)]
    pub(crate) ids: Vec<String>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
}

/// What is asked of `data`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Data {
    #[command(subcommand)]
    pub(crate) ask: AskData,
}

/// Verbs of `data`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskData {
    /// Say what left, what was not looked at, which canaries were seen, and which budgets are proposed.
    Report(Gate),
    /// Put a budget in force on a route: the one that the gate proposes, or a number of your own.
    ///
    /// It changes the configuration file, checks it as `check` does, puts it in force in the gate that runs, and writes down in
    /// the decision log who did it and when.
    Approve(Approve),
}

/// A budget to be approved.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The route, as the configuration writes its path: `members/list/**`.
    #[arg(value_name = "PLATFORM/ROUTE")]
    pub(crate) place: String,
    /// Records an hour for each session (for each /24 or /56 where the platform has no session cookie).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: Option<u64>,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Verbs of `waf`.
#[derive(Debug, Subcommand)]
pub(crate) enum AskWaf {
    /// Say what inspection refused or would have refused: on which routes, by which rules and families, whom.
    Report(Records),
    /// Let inspection refuse on a platform or a route where it only observes.
    ///
    /// It changes the configuration file, checks it as `check` does, puts it in force in the gate that runs, and writes down in the
    /// decision log who did it and when. `waf observe` takes it back.
    Promote(Change),
    /// Let inspection only observe on a platform or a route: what `waf promote` did, taken back.
    Observe(Change),
}

/// A platform or a route whose inspection changes.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// The platform, or a route of it as the configuration writes its path: `public`, `public/search/**`.
    #[arg(value_name = "PLATFORM[/ROUTE]")]
    pub(crate) place: String,
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// Of the gate's own detection and the rules, only one.
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Option<Part>,
    /// Say what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// A part of inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// The gate's own detection.
    Detection,
    /// The rule sets.
    Rules,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line, for programs.
    Json,
    /// For people.
    Text,
}

/// Flags of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A reference as a visitor quotes it (13 characters), a rule such as `r-81`, or a reason such as `rate-limited`.
    #[arg(value_name = "REFERENCE|RULE|REASON")]
    pub(crate) subject: String,
    /// The configuration file, which names the decision log.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG, conflicts_with = "url")]
    pub(crate) config: PathBuf,
    /// The decision log itself, instead of a configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) log: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) far: Remote,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Where the gate speaks HTTP: a port, perhaps after `127.0.0.1:` or `[::1]:`; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value = "8080", value_parser = loopback)]
    pub(crate) http: SocketAddr,
    /// Where the gate speaks HTTPS.
    #[arg(long, value_name = "PORT", default_value = "8443", value_parser = loopback)]
    pub(crate) https: SocketAddr,
    /// Where the gate answers its operator.
    #[arg(long, value_name = "PORT", default_value = "9180", value_parser = loopback)]
    pub(crate) admin: SocketAddr,
    /// Where the console is.
    #[arg(long, value_name = "PORT", default_value = "9181", value_parser = loopback)]
    pub(crate) console: SocketAddr,
    /// Where the gate takes sessions of the members' database, where PostgreSQL is installed.
    #[arg(long, value_name = "PORT", default_value = "6432", value_parser = loopback)]
    pub(crate) database: SocketAddr,
    /// How many simulated supporters visit the platforms at once; with an attack or an incident, 150 unless said.
    #[arg(long, value_name = "N", default_value_t = 40, default_value_ifs([("attack", ArgPredicate::IsPresent, "150"), ("incident", ArgPredicate::Equals("true".into()), "150")]), value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) supporters: u32,
    /// The seed that decides who the supporters are and what they do.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// End by itself after this long, such as `10s` or `5m`.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// After a calm minute, play an attack against the demo and watch the gate act; `list` names the attacks.
    #[arg(long, value_name = "NAME", value_parser = attack)]
    pub(crate) attack: Option<Wanted>,
    /// Pull the member list page by page, through an injection, as staff and by COPY; show what stopped each, and end.
    #[arg(long, conflicts_with_all = ["attack", "duration"])]
    pub(crate) drill: bool,
    /// Play an incident: two waves on the public site, a burst on the logins and an attempt on the database beneath the second.
    /// Hold what visitors counted against the evidence, and end.
    #[arg(long, conflicts_with_all = ["attack", "duration", "drill"])]
    pub(crate) incident: bool,
    /// Between the two waves of an incident. More than ten minutes are not waited for: the waves are played one after the other, and the
    /// record is written with so much time between them, in which sensors beat and nobody visits; it says so.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, requires = "incident")]
    pub(crate) apart: Duration,
    /// Where the report of an incident goes: a directory that is not there yet.
    #[arg(long, value_name = "DIRECTORY", default_value = "portcullis-incident", requires = "incident")]
    pub(crate) report: PathBuf,
    /// Print the configuration that the gate of the demo runs with, and end.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

impl Demo {
    /// Refuses one port for two listeners.
    pub(crate) fn distinct(&self) -> Result<(), clap::Error> {
        let flags = [
            ("--http", self.http),
            ("--https", self.https),
            ("--admin", self.admin),
            ("--console", self.console),
            ("--database", self.database),
        ];
        let shared = flags.iter().enumerate().find_map(|(index, (flag, at))| {
            let mut others = flags.iter().skip(index + 1);
            others.find(|(_, other)| other == at && at.port() != 0).map(|(other, _)| (flag, other, at))
        });
        let Some((one, other, at)) = shared else { return Ok(()) };
        let message = format!("{one} and {other} are both {at}; each needs a port of its own");
        Err(Arguments::command().error(ErrorKind::ArgumentConflict, message))
    }
}

fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_owned());
    }
    Err("a SHA-256 has 64 hexadecimal digits".to_owned())
}

/// A port, perhaps with the loopback address that browsers know `localhost` by. The demo never listens anywhere else.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = named
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| "not a port such as `8080`, nor a loopback address such as `127.0.0.1:8080`".to_owned())?;
    if address.ip() == Ipv4Addr::LOCALHOST || address.ip() == Ipv6Addr::LOCALHOST {
        return Ok(address);
    }
    Err("the demo stays on loopback: give a port alone, or with 127.0.0.1 or [::1]".to_owned())
}

/// Which attack the demo plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None: their names are asked for.
    List,
    /// This one.
    Attack(&'static Attack),
}

fn attack(text: &str) -> Result<Wanted, String> {
    if text == "list" {
        return Ok(Wanted::List);
    }
    let names = || attack::ATTACKS.iter().map(|attack| attack.name).collect::<Vec<_>>().join(", ");
    attack::named(text)
        .map(Wanted::Attack)
        .ok_or_else(|| format!("the attacks are: {} (`list` explains them)", names()))
}

/// A rule as it is named everywhere.
fn rule(text: &str) -> Result<String, String> {
    let number = text.strip_prefix("r-").or_else(|| text.strip_prefix("R-")).unwrap_or(text);
    match number.parse::<u32>() {
        Ok(number) => Ok(format!("r-{number}")),
        Err(_) => Err("expected a rule such as `r-81`; `portcullis rules list` names them".to_owned()),
    }
}

/// The beginning of what is looked at: a moment, or so long ago.
fn since(text: &str) -> Result<Moment, String> {
    duration(text).map(Moment::After).or_else(|_| Moment::parse(text))
}

/// A duration with its unit, as in the configuration.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a number with a unit: `500ms`, `10s`, `5m`, `1h`".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_terminal_breaks_what_stands_below_the_flags() {
        assert!(AFTER.lines().all(|line| line.len() <= 80), "{AFTER}");
    }

    #[test]
    fn the_demo_listens_on_loopback_only() {
        for accepted in ["8080", "0", "127.0.0.1:80", "[::1]:8080", "localhost:8080"] {
            let address = loopback(accepted).expect(accepted);
            assert!(address.ip().is_loopback(), "{accepted}");
        }
        for refused in [
            "0.0.0.0:8080",
            "192.0.2.1:80",
            "127.0.0.2:80",
            "[::]:80",
            "example.org:80",
            "65536",
            "-1",
            "",
            ":80",
            "127.0.0.1",
        ] {
            assert!(loopback(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn rules_and_seeds_have_their_spellings() {
        for text in ["r-81", "R-81", "81"] {
            assert_eq!(rule(text).as_deref(), Ok("r-81"), "{text}");
        }
        for text in ["", "r-", "r81", "-1", "r--1", "rule"] {
            assert!(rule(text).is_err(), "{text}");
        }
        assert_eq!(Seed::parse("7"), Ok(Seed::Fixed(7)));
        assert_eq!(Seed::parse("random"), Ok(Seed::Random));
        assert!(Seed::parse("-7").is_err());
    }

    #[test]
    fn durations_carry_a_unit() {
        for (text, millis) in [("10s", 10_000), ("250ms", 250), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["10", "", "s", "10 s", "-1s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
