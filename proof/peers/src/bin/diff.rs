//! Our engine beside `libmodsecurity`, on requests that a generator makes up: which rules match, what they score, who refuses.
//!
//! `make waf-diff ARGS="--requests N --seed S"` ends with `passed N of M`. A difference that has no reason in
//! `specs/waf-differences.toml` fails the run, and is shown as small as it can be made; so does a reason whose example agrees.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use portcullis_peers::{
    Difference, Engine, Explained, Generator, Libraries, Message, Played, Player, Rules, core_rule_set, example,
};

/// What is asked for.
#[derive(Debug, Parser)]
#[command(name = "waf-diff", about = "Puts generated requests to our rule engine and to libmodsecurity.")]
struct Arguments {
    /// How many requests, at each level.
    #[arg(long, default_value_t = 1000)]
    requests: u32,
    /// Which requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this paranoia level; otherwise 1 and 4.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: Option<u8>,
    /// How many differences to show of each kind.
    #[arg(long, default_value_t = 1)]
    show: usize,
    /// Shows what both sides say of one of them, and nothing else.
    #[arg(long)]
    request: Option<u32>,
    /// The same of a request in a file, as HTTP/1.1 would write it.
    #[arg(long)]
    file: Option<PathBuf>,
}

/// How often a difference is made smaller before it is shown.
const TRIES: usize = 1500;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say(&format!("waf-diff: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let directory = match core_rule_set() {
        Ok(directory) => directory,
        Err(why) => {
            say(&format!("note: skipped: {why}"));
            return Ok(true);
        }
    };
    let libraries = Libraries::find(&["wheel"])?;
    let Some(theirs) = libraries.engine(libraries.wheel.as_ref()) else {
        say("note: skipped: the wheel libmodsecurity cannot be installed here");
        return Ok(true);
    };
    let own = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("waf-engine");
    let mut good = true;
    let (mut passed, mut all) = (0, 0);
    let list = Explained::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs/waf-differences.toml"))?;
    for level in arguments.level.map_or(vec![1, 4], |level| vec![level]) {
        let mut pair = Pair::start(&Engine::Own(own.clone()), &theirs, &directory, level)?;
        if let Some(message) = chosen(arguments)? {
            pair.tell(&message)?;
            continue;
        }
        for entry in list.entries.iter().filter(|entry| entry.example.1 == level) {
            let difference = pair.compare(&entry.example.0)?;
            if difference.is_none() || list.explain(&entry.example.0, &difference).is_none() {
                good = false;
                say(&format!("  {}: its example shows {}", entry.name, words(&difference)));
            }
        }
        let mut run = Run {
            list: &list,
            show: arguments.show,
            shown: Vec::new(),
            used: BTreeSet::new(),
            explained: 0,
            failed: 0,
        };
        let mut generator = Generator::new(arguments.seed);
        for at in 0..arguments.requests {
            run.judge(&mut pair, at, &generator.message())?;
        }
        let Run { explained, failed, used, mut shown, .. } = run;
        shown.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        for (kind, times) in shown.iter().take(20) {
            say(&format!("  {times} x {kind}"));
        }
        say(&format!(
            "paranoia level {level}: {} requests, {explained} differ for a reason ({} of {} reasons), {failed} for none",
            arguments.requests,
            used.len(),
            list.entries.len()
        ));
        (passed, all) = (passed + arguments.requests - failed, all + arguments.requests);
    }
    if all > 0 {
        say(&format!("passed {passed} of {all}"));
    }
    Ok(good && passed == all)
}

/// The one request that is asked for.
fn chosen(arguments: &Arguments) -> Result<Option<Message>, String> {
    if let Some(file) = &arguments.file {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        return portcullis_peers::parse_example(&text).map(Some);
    }
    let mut generator = Generator::new(arguments.seed);
    Ok(arguments.request.map(|at| (0..at).map(|_| generator.message()).count()).map(|_| generator.message()))
}

/// One level's requests.
struct Run<'a> {
    list: &'a Explained,
    show: usize,
    /// Kinds of differences that were shown, and how often.
    shown: Vec<(String, usize)>,
    used: BTreeSet<usize>,
    explained: u32,
    failed: u32,
}

impl Run<'_> {
    fn judge(&mut self, pair: &mut Pair, at: u32, message: &Message) -> Result<(), String> {
        let difference = pair.compare(message)?;
        if difference.is_none() {
            return Ok(());
        }
        if let Some(used) = self.list.explain(message, &difference) {
            self.explained += 1;
            self.used.extend(used);
            return Ok(());
        }
        self.failed += 1;
        let kind = kind(&difference);
        let known = self.shown.iter_mut().find(|(known, _)| *known == kind);
        let times = match known {
            Some((_, times)) => {
                *times += 1;
                *times
            }
            None => {
                self.shown.push((kind.clone(), 1));
                1
            }
        };
        if times <= self.show {
            let list = self.list;
            let smaller = shrink(message, |candidate| {
                let found = pair.compare(candidate)?;
                Ok(!found.is_none() && list.explain(candidate, &found).is_none() && self::kind(&found) == kind)
            })?;
            say(&format!("  request {at}: {}\n    {}", words(&difference), example(&smaller)));
        }
        Ok(())
    }
}

/// Both sides, with the same rules.
struct Pair {
    ours: Player,
    theirs: Player,
}

impl Pair {
    fn start(ours: &Engine, theirs: &Engine, directory: &Path, level: u8) -> Result<Self, String> {
        let place = std::env::temp_dir().join(format!("waf-diff-{}-{level}.conf", std::process::id()));
        let written = Rules::blocking(directory, level).to_compare().write(&place);
        written.map_err(|error| format!("{}: {error}", place.display()))?;
        let pair = Player::start(ours, &place, None)
            .and_then(|ours| Ok(Self { ours, theirs: Player::start(theirs, &place, None)? }));
        let _ = std::fs::remove_file(&place);
        pair
    }

    fn compare(&mut self, message: &Message) -> Result<Difference, String> {
        let (ours, theirs) = (self.ours.play(message, 0, true)?, self.theirs.play(message, 0, true)?);
        let rules = |played: &Played| played.rules().into_iter().filter(|rule| detects(*rule)).collect::<BTreeSet<_>>();
        let (here, there) = (rules(&ours), rules(&theirs));
        let mut difference = Difference {
            ours: here.difference(&there).copied().collect(),
            theirs: there.difference(&here).copied().collect(),
            ..Difference::default()
        };
        let differ = here.symmetric_difference(&there).copied().collect::<BTreeSet<_>>();
        let about = if here == there { &here } else { &differ };
        let told = ours.variables().into_iter().chain(theirs.variables());
        let variables = told.filter(|(rule, _)| about.contains(rule)).collect();
        if here == there {
            let scores = (ours.scores().unwrap_or_default(), theirs.scores().unwrap_or_default());
            if scores.0 != scores.1 || scores.0.is_empty() {
                difference.scores = Some(scores);
                difference.both = here.into_iter().collect();
            } else if ours.refused != theirs.refused {
                difference.verdict = Some((ours.refused, theirs.refused));
            }
        }
        if !difference.is_none() {
            difference.variables = variables;
        }
        Ok(difference)
    }

    fn tell(&mut self, message: &Message) -> Result<(), String> {
        say(&example(message));
        for player in [&mut self.ours, &mut self.theirs] {
            let played = player.play(message, 0, true)?;
            say(&format!("{}: {:?}, scores {:?}", player.name, played.refused, played.scores()));
            for line in played.log {
                say(&format!("  {line}"));
            }
        }
        Ok(())
    }
}

/// Rules that look at requests, and those of the recommended configuration; not those that add up, nor the one that tells.
fn detects(rule: u32) -> bool {
    matches!(rule, 200_000..201_000 | 911_000..949_000)
}

fn kind(difference: &Difference) -> String {
    let list = |rules: &[u32]| rules.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    match (&difference.scores, &difference.verdict) {
        (Some(_), _) => "scores".to_owned(),
        (_, Some(_)) => "verdict".to_owned(),
        _ => format!("ours +[{}] theirs +[{}]", list(&difference.ours), list(&difference.theirs)),
    }
}

fn words(difference: &Difference) -> String {
    match (&difference.scores, &difference.verdict) {
        _ if difference.is_none() => "no difference".to_owned(),
        (Some((ours, theirs)), _) => {
            format!("scores {ours:?}, theirs {theirs:?}, of {}", variables(difference))
        }
        (_, Some((ours, theirs))) => format!("status {ours:?}, theirs {theirs:?}"),
        _ => format!("{}, of {}", kind(difference), variables(difference)),
    }
}

fn variables(difference: &Difference) -> String {
    difference.variables.iter().map(|(rule, variable)| format!("{rule}={variable}")).collect::<Vec<_>>().join(" ")
}

/// Takes away what can be taken away while the request still `holds`.
fn shrink(message: &Message, mut holds: impl FnMut(&Message) -> Result<bool, String>) -> Result<Message, String> {
    let mut best = message.clone();
    let mut tries = 0;
    let mut attempt = |best: &mut Message, candidate: Message| -> Result<bool, String> {
        tries += 1;
        let smaller = tries <= TRIES && holds(&candidate)?;
        if smaller {
            *best = candidate;
        }
        Ok(smaller)
    };
    for at in (0..best.fields.len()).rev() {
        let mut candidate = best.clone();
        candidate.fields.remove(at);
        attempt(&mut best, candidate)?;
    }
    let parts = best.fields.len() + 2;
    for part in 0..parts {
        let mut piece = part_of(&mut best, part).len().div_ceil(2);
        while piece > 0 {
            let mut from = 0;
            while from < part_of(&mut best, part).len() {
                let mut candidate = best.clone();
                let text = part_of(&mut candidate, part);
                let to = (from + piece).min(text.len());
                text.drain(from..to);
                let still_a_target = part != 0 || text.first() == Some(&b'/');
                if !still_a_target || !attempt(&mut best, candidate)? {
                    from += piece;
                }
            }
            piece /= 2;
        }
    }
    Ok(best)
}

/// The target, the body, or the value of a field.
fn part_of(message: &mut Message, part: usize) -> &mut Vec<u8> {
    match part {
        0 => &mut message.target,
        1 => &mut message.body,
        field => &mut message.fields[field - 2].1,
    }
}

#[expect(clippy::print_stdout, reason = "this is a program that reports")]
fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_as_small_as_it_can_be() {
        let mut message = Message::get("/?a=1&b=wanted&c=3");
        message.fields.push((b"X".to_vec(), b"y".to_vec()));
        let has = |candidate: &Message| Ok(candidate.target.windows(6).any(|six| six == b"wanted"));
        let smaller = shrink(&message, has).unwrap();
        assert_eq!((smaller.target.as_slice(), smaller.fields.len()), (&b"/wanted"[..], 0));
    }

    #[test]
    fn rules_that_only_count_are_not_compared() {
        assert!(detects(942_100) && detects(200_002));
        assert!(!detects(949_110) && !detects(99) && !detects(901_340));
    }
}
