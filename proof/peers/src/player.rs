//! A process that plays messages: one of our engine, or one of `libmodsecurity`.
//!
//! Never more than one message under way.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::Message;

/// Who plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Our own, with rules; the program that is `waf-engine`.
    Own(PathBuf),
    /// Our own detection, without rules; the same program.
    BuiltIn(PathBuf),
    /// A library, and the program that drives it.
    Library(PathBuf, PathBuf),
}

/// The libraries that `scripts/peers.sh` found or brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Libraries {
    /// The driver, compiled.
    pub driver: Option<PathBuf>,
    /// Debian's.
    pub debian: Option<PathBuf>,
    /// That of the wheel.
    pub wheel: Option<PathBuf>,
}

impl Libraries {
    /// What the lines of `scripts/peers.sh` say: a word and a path each.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let find = |wanted: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(' '));
            line.map(PathBuf::from).filter(|path| path.exists())
        };
        Self { driver: find("driver"), debian: find("debian"), wheel: find("wheel") }
    }

    /// Runs `scripts/peers.sh`, which installs what is missing where it may: `debian`, `wheel`.
    ///
    /// # Errors
    /// When it cannot be run. What it could not bring is missing from what comes back, and it has said why.
    pub fn find(which: &[&str]) -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut script = Command::new("scripts/peers.sh");
        let output = script.args(which).current_dir(&root).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("scripts/peers.sh: {error}"))?;
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The driver with one of them.
    #[must_use]
    pub fn engine(&self, library: Option<&PathBuf>) -> Option<Engine> {
        Some(Engine::Library(self.driver.clone()?, library?.clone()))
    }
}

/// What came of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Played {
    /// What all the plays together took of a processor.
    pub took: Duration,
    /// The status of the refusal; none where it passed.
    pub refused: Option<u16>,
    /// The lines of the log of one play, where they were asked for.
    pub log: Vec<String>,
}

impl Played {
    /// The numbers of the rules that matched and log, each once, in their order.
    #[must_use]
    pub fn rules(&self) -> Vec<u32> {
        let mut rules: Vec<u32> = self.log.iter().filter_map(|line| rule(line)).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// What the rules that matched found it in: each rule with a variable, as the side calls it.
    #[must_use]
    pub fn variables(&self) -> Vec<(u32, String)> {
        self.log.iter().filter_map(|line| Some((rule(line)?, variable(line)?.to_owned()))).collect()
    }

    /// What rule 99 says of the scores: the one that blocks, and those of the four levels.
    #[must_use]
    pub fn scores(&self) -> Option<Vec<i64>> {
        let line = self.log.iter().find(|line| rule(line) == Some(99))?;
        let (_, rest) = line.split_once("[msg \"scores ")?;
        let (numbers, _) = rest.split_once('"')?;
        numbers.split(' ').map(|number| number.parse().ok()).collect()
    }
}

/// The number of the rule that a line is about. What was matched may say `[id` too: the rule's own stands behind its line.
fn rule(line: &str) -> Option<u32> {
    line.match_indices("[line \"").find_map(|(at, found)| {
        let rest = line.get(at + found.len()..)?.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let rest = rest.strip_prefix("\"] [id \"")?;
        rest.split_once('"')?.0.parse().ok()
    })
}

/// The variable that a line is about: ours has it behind everything else, theirs before the rule's own line, or in what the rule
/// tells, where the operator has no words for it.
fn variable(line: &str) -> Option<&str> {
    if let Some((_, target)) = line.rsplit_once("] [target \"") {
        return target.strip_suffix("\"]");
    }
    if let Some((before, _)) = line.split_once("' (Value: `")
        && let Some((_, variable)) = before.rsplit_once("against variable `")
    {
        return Some(variable);
    }
    let (_, found) = line.split_once(" found within ")?;
    Some(found.split_once(": ").map_or(found, |(variable, _)| variable))
}

/// A process that plays; ended when dropped.
#[derive(Debug)]
pub struct Player {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    complaints: PathBuf,
    /// What it calls itself.
    pub name: String,
    /// What loading the rules took of a processor.
    pub loaded: Duration,
}

impl Player {
    /// Starts an engine with rules, on one core where that is wished.
    ///
    /// # Errors
    /// When it does not start or does not take the rules; with what it said.
    pub fn start(engine: &Engine, rules: &Path, core: Option<usize>) -> Result<Self, String> {
        let (program, arguments): (&Path, Vec<PathBuf>) = match engine {
            Engine::Own(program) => (program, vec![rules.to_owned()]),
            Engine::BuiltIn(program) => (program, vec!["--builtin".into()]),
            Engine::Library(program, library) => (program, vec![library.clone(), rules.to_owned()]),
        };
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        };
        // Into a file: a pipe that nobody reads would stop whoever complains at length.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let complaints = std::env::temp_dir().join(format!("waf-peer-{}-{number}.log", std::process::id()));
        let file = File::create(&complaints).map_err(|error| format!("{}: {error}", complaints.display()))?;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("pipes were asked for".to_owned());
        };
        let mut player = Self {
            child,
            input: Some(input),
            output: BufReader::new(output),
            complaints,
            name: String::new(),
            loaded: Duration::ZERO,
        };
        let line = player.line()?;
        let mut words = line.splitn(3, ' ');
        let (Some("ready"), Some(Ok(nanos)), Some(name)) = (words.next(), words.next().map(str::parse), words.next())
        else {
            return Err(format!("{} says: {line}", program.display()));
        };
        (player.loaded, player.name) = (Duration::from_nanos(nanos), name.to_owned());
        Ok(player)
    }

    /// Plays a message `count` times under the clock, and once more with its log when it is to `tell`.
    ///
    /// # Errors
    /// When the process is gone; with what it said.
    pub fn play(&mut self, message: &Message, count: u32, tell: bool) -> Result<Played, String> {
        let written = match &mut self.input {
            Some(input) => message.write(count, tell, input).is_ok(),
            None => false,
        };
        let line = if written { self.line()? } else { self.line().map(|_| "it no longer listens".to_owned())? };
        let mut words = line.split(' ');
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(nanos), Some(status), Some(lines)) = (number(), number(), number()) else {
            return Err(format!("{} says: {line}", self.name));
        };
        let log = (0..lines).map(|_| self.line()).collect::<Result<_, _>>()?;
        let refused = u16::try_from(status).ok().filter(|status| *status != 0);
        Ok(Played { took: Duration::from_nanos(nanos), refused, log })
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A line of what it says; where it says no more, what it complained of.
    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        match self.output.read_until(b'\n', &mut line) {
            Ok(count) if count > 0 => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            _ => {
                self.input = None;
                let complaint = std::fs::read(&self.complaints).unwrap_or_default();
                let complaint = String::from_utf8_lossy(complaint.get(..64 << 10).unwrap_or(&complaint));
                Err(format!("{} ended: {}", self.name, complaint.trim()))
            }
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It ends when nobody talks to it any more.
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.complaints);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_scores_are_read_out_of_a_log() {
        let lines = [
            r#"ModSecurity: Warning. (Value: `[id "7"]` ) [file "a"] [line "46"] [id "942100"] [rev ""] [data "[line "1"] [id "8"]"]"#,
            r#"[client 127.0.0.1] ModSecurity: Access denied with code 403 (phase 2). [file "b"] [line "1"] [id "949110"]"#,
            r#"ModSecurity: Warning. [file "c"] [line "9"] [id "99"] [rev ""] [msg "scores 15 15 0 0 0"]"#,
            "nothing",
        ];
        let played = Played { log: lines.map(str::to_owned).to_vec(), ..Played::default() };
        assert_eq!(played.rules(), [99, 942_100, 949_110]);
        assert_eq!(played.scores(), Some(vec![15, 15, 0, 0, 0]));
        assert_eq!(Played::default().scores(), None);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let here = env!("CARGO_MANIFEST_DIR");
        let found = Libraries::parse(&format!("debian {here}\nwheel {here}/no-such-file\nnote: driver x\n"));
        assert_eq!(found, Libraries { debian: Some(here.into()), ..Libraries::default() });
        assert_eq!(found.engine(found.debian.as_ref()), None, "nothing drives it");
    }
}
