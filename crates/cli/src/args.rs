//! The command line: verbs, flags and their help. The help page, the man page, the completions and
//! `docs/reference/cli.md` all come from here.
//!
//! Nothing is decided here beyond what a flag may look like.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Where the configuration is looked for when nothing is said.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/portcullis/portcullis.toml";

/// What stands below the flags: a heading, then lines of at most 80 columns, so that no terminal breaks them.
pub(crate) const AFTER: &str = "\
Examples:
  portcullis demo                         A gate and its visitors, on loopback
  portcullis check --config gate.toml     Everything wrong with a file, at once
  portcullis run --config gate.toml       Stand in front of the platforms
  portcullis reload --config gate.toml    Put the changed file in force
  portcullis explain 5Z7Q0C2M4N8KT        Why this request was refused
  portcullis explain ambiguous-framing    What a reason means

Exit codes:
  0  Done
  1  The thing asked about is not in order: check found problems, a reload was
     refused, explain found nothing, run or demo could not start
  2  The command line is wrong

Environment:
  NO_COLOR        Set to anything: no colour in help, diagnostics and log
  PORTCULLIS_LOG  What the gate reports on stderr: error, warn, info (default),
                  debug, trace, or module=level

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
    Check(ConfigFile),
    /// Print a configuration as the gate understands it.
    Show(Show),
    /// Ask the running gate to put its changed configuration in force.
    ///
    /// When the new configuration is not in order the running one stays in force.
    Reload(Reload),
    /// Say why a request was refused, from its reference; or what a reason means.
    Explain(Explain),
    /// Run a gate, three sample platforms and their visitors on loopback.
    ///
    /// Nothing leaves the machine, whatever the flags say. Ctrl-C ends it.
    Demo(Demo),
    /// Print the version, the compiler and the features built in.
    Version,
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
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Everything that is in force, defaults written out. The output is itself a configuration.
    #[arg(long, required = true)]
    pub(crate) effective: bool,
}

/// Flags of `reload`.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// The configuration file, which names the control socket.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The control socket itself, instead of a configuration file.
    #[arg(long, value_name = "SOCKET", conflicts_with = "config")]
    pub(crate) control: Option<PathBuf>,
}

/// Flags of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A reference as a visitor quotes it (13 characters), or a reason such as `rate-limited`.
    #[arg(value_name = "REFERENCE|REASON")]
    pub(crate) subject: String,
    /// The configuration file, which names the decision log.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(crate) config: PathBuf,
    /// The decision log itself, instead of a configuration file.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) log: Option<PathBuf>,
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
    /// How many simulated supporters visit the platforms at once.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub(crate) supporters: u32,
    /// The seed that decides who the supporters are and what they do.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// End by itself after this long, such as `10s` or `5m`.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
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
        let flags = [("--http", self.http), ("--https", self.https), ("--admin", self.admin)];
        let shared = flags.iter().enumerate().find_map(|(index, (flag, at))| {
            let mut others = flags.iter().skip(index + 1);
            others.find(|(_, other)| other == at && at.port() != 0).map(|(other, _)| (flag, other, at))
        });
        let Some((one, other, at)) = shared else { return Ok(()) };
        let message = format!("{one} and {other} are both {at}; each needs a port of its own");
        Err(Arguments::command().error(ErrorKind::ArgumentConflict, message))
    }
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

/// A duration with its unit, as in the configuration.
fn duration(text: &str) -> Result<Duration, String> {
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
    fn durations_carry_a_unit() {
        for (text, millis) in [("10s", 10_000), ("250ms", 250), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["10", "", "s", "10 s", "-1s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
