//! What is said while an attack is played: a line each second, each act of the gate in its own words, and a summary.
//!
//! All of it is read from outside: the visitors' own counters, the control socket and the decision log.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engine::Status;
use portcullis_proxy::control;
use portcullis_simulator::replay::rfc3339;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::{Instant as Moment, MissedTickBehavior, interval_at};

use super::Ending;
use super::attack::{Attack, Count, LASTS, Tally};
use super::client::Front;
use portcullis_incident::spaced;

use super::figures::{Figures, Snapshot, readable};
use crate::{Failure, moment, talk};

/// How long the gate may learn before the attack comes whether or not it has learned enough.
const LEARNING: Duration = Duration::from_secs(180);
/// How long is watched after the attack.
const AFTER: Duration = Duration::from_secs(60);
/// A line of the log is never longer.
const LINE_BYTES: usize = 64 * 1024;
/// Acts stand this far from the left and go to this column.
const INDENT: usize = 7;
const COLUMNS: usize = 116;
/// Of the log, so much is read in a second at most.
const READ_BYTES: u64 = 32 * 1024 * 1024;

/// What is watched.
pub(super) struct Watched<'a> {
    pub(super) attack: &'static Attack,
    pub(super) seed: u64,
    /// The supporters' way in, and the attack's: the same gate, counted apart.
    pub(super) supporters: &'a Figures,
    pub(super) front: Arc<Front>,
    /// The thread that the attack is played on.
    pub(super) hands: Handle,
    pub(super) control: PathBuf,
    pub(super) log: PathBuf,
    /// Ends it all, whatever happens.
    pub(super) duration: Option<Duration>,
    pub(super) ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Calm,
    Attack,
    After,
}

/// Plays the attack and says what happens, until it is over; the summary.
pub(super) async fn watch(mut watched: Watched<'_>) -> Result<String, Failure> {
    let tally = Arc::new(Tally::default());
    let mut story = Story::new(&watched);
    let mut beat = interval_at(Moment::now() + Duration::from_secs(1), Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (begun, mut phase, mut turned) = (Instant::now(), Phase::Calm, Instant::now());
    talk::say(&format!(
        "First it is calm, and the gate learns what is ordinary. Then comes `{}`:\n{}.\n",
        watched.attack.name, watched.attack.about
    ));
    loop {
        tokio::select! {
            _ = watched.ending.interrupt.recv() => break,
            _ = watched.ending.terminate.recv() => break,
            _ = beat.tick() => {}
        }
        let status = ask(&watched.control).await;
        story.second(phase, turned.elapsed(), &status, &tally.now());
        let over = watched.duration.is_some_and(|duration| begun.elapsed() >= duration);
        match phase {
            Phase::Calm if has_learned(&status, watched.attack.platform) || turned.elapsed() >= LEARNING => {
                talk::say(&format!("\nNow comes `{}`.", watched.attack.name));
                (phase, turned) = (Phase::Attack, Instant::now());
                story.attacked(moment::now());
                watched.hands.spawn(watched.attack.play(watched.seed, Arc::clone(&watched.front), Arc::clone(&tally)));
            }
            Phase::Attack if turned.elapsed() >= LASTS => {
                talk::say("\nIt is over.");
                (phase, turned) = (Phase::After, Instant::now());
                story.ended();
            }
            Phase::After if turned.elapsed() >= AFTER => break,
            _ if over => break,
            _ => {}
        }
    }
    Ok(story.summary(&tally.now()))
}

/// What has happened so far.
struct Story<'a> {
    attack: &'static Attack,
    supporters: &'a Figures,
    /// Whoever comes the attack's way: with a crowd, its people.
    others: Arc<Front>,
    log: Tail,
    last: (Snapshot, Snapshot, Count),
    /// The supporters' counters when the attack began, and when it ended.
    began: Option<Snapshot>,
    ended: Option<Snapshot>,
    /// When it began, in Unix milliseconds, and how long after that the gate first acted.
    since: Option<u64>,
    reaction: Option<u64>,
    acts: u64,
}

impl<'a> Story<'a> {
    fn new(watched: &Watched<'a>) -> Self {
        Self {
            attack: watched.attack,
            supporters: watched.supporters,
            log: Tail::new(&watched.log),
            last: (watched.supporters.snapshot(), watched.front.figures.snapshot(), Count::default()),
            others: Arc::clone(&watched.front),
            began: None,
            ended: None,
            since: None,
            reaction: None,
            acts: 0,
        }
    }

    fn attacked(&mut self, now: u64) {
        self.began = Some(self.supporters.snapshot());
        self.since = Some(now);
    }

    fn ended(&mut self) {
        self.ended = Some(self.supporters.snapshot());
    }

    /// One line, and the acts of this second before it.
    fn second(&mut self, phase: Phase, passed: Duration, status: &Status, count: &Count) {
        for act in self.log.acts() {
            self.note(&act);
            talk::say(&told(&act));
        }
        let now = (self.supporters.snapshot(), self.others.figures.snapshot(), *count);
        let (people, crowd, sent) = (now.0.since(&self.last.0), now.1.since(&self.last.1), now.2.since(&self.last.2));
        self.last = now;
        talk::say(&line(phase, passed, status, self.attack, (&people, &crowd, &sent)));
    }

    fn note(&mut self, act: &Act) {
        let Some(since) = self.since else { return };
        if self.ended.is_none() {
            self.acts += 1;
        }
        if self.reaction.is_none() && act.at >= since {
            self.reaction = Some(act.at - since);
        }
    }

    fn summary(&self, count: &Count) -> String {
        let Some(began) = &self.began else { return "Nothing came of it: it ended before the attack.".to_owned() };
        let now = self.supporters.snapshot();
        let during = self.ended.as_ref().unwrap_or(&now).since(began);
        let share = |part: u64, of: u64| if of == 0 { 100.0 } else { part as f64 * 100.0 / of as f64 };
        let all = during.served + during.refused + during.failed;
        let time = |snapshot: &Snapshot| snapshot.percentile(99).map_or_else(|| "-".to_owned(), readable);
        let mut text = String::new();
        if self.attack.is_benign() {
            let crowd = self.others.figures.snapshot();
            let _ = writeln!(
                text,
                "Of the crowd's requests {} were served, {} refused and {} not answered.",
                spaced(crowd.served),
                spaced(crowd.refused),
                spaced(crowd.failed),
            );
        } else {
            let _ = writeln!(
                text,
                "The attack sent {} requests: {} were served at once, {} slowly; {} were challenged, {} refused, {} not answered.",
                spaced(count.sent),
                spaced(count.served),
                spaced(count.slowed),
                spaced(count.challenged),
                spaced(count.refused),
                spaced(count.failed),
            );
        }
        let _ = writeln!(
            text,
            "{} of {} requests of supporters were served meanwhile ({:.2} %), 99 of 100 of them within {}; before it was {}.",
            spaced(during.served),
            spaced(all),
            share(during.served, all),
            time(&during),
            time(began),
        );
        match self.reaction {
            Some(millis) => {
                let after = readable(Duration::from_millis(millis));
                let _ =
                    write!(text, "The gate first acted {after} after it had begun, and {} times in all.", self.acts);
            }
            None => text.push_str("The gate saw no reason to act."),
        }
        text
    }
}

/// `+12 s  attack      supporters: … | attack: …`
fn line(
    phase: Phase,
    passed: Duration,
    status: &Status,
    attack: &Attack,
    (people, crowd, count): (&Snapshot, &Snapshot, &Count),
) -> String {
    let found = status.platforms.iter().find(|platform| platform.name == attack.platform);
    let posture = found.map_or("?", |platform| platform.posture.as_str());
    let time = people.percentile(99).map_or_else(|| "-".to_owned(), readable);
    let all = people.served + people.refused + people.failed;
    let mut text = format!(
        "{:>4} s  {posture:<9} supporters {} of {} served, p99 {time}",
        passed.as_secs(),
        spaced(people.served),
        spaced(all),
    );
    match (phase, found) {
        (Phase::Calm, Some(platform)) if !platform.baseline.ready => {
            let _ = write!(text, "; {} requests seen so far", spaced(platform.baseline.rows as u64));
        }
        (Phase::Attack, _) if attack.is_benign() => {
            let (served, refused) = (spaced(crowd.served), spaced(crowd.refused));
            let _ = write!(text, " | crowd: {served} served, {refused} refused");
        }
        (Phase::Attack, _) => {
            let _ = write!(
                text,
                " | attack {}: {} served, {} slowed, {} challenged, {} refused",
                spaced(count.sent),
                spaced(count.served),
                spaced(count.slowed),
                spaced(count.challenged),
                spaced(count.refused),
            );
            if count.failed > 0 {
                let _ = write!(text, ", {} unanswered", spaced(count.failed));
            }
        }
        _ => {}
    }
    text
}

/// Whether the gate knows what is ordinary there.
pub(super) fn has_learned(status: &Status, platform: &str) -> bool {
    status.platforms.iter().any(|known| known.name == platform && known.baseline.ready)
}

/// Whether no platform is attacked any more.
pub(super) fn is_calm(status: &Status) -> bool {
    let hot = |posture: &str| matches!(posture, "attack" | "overload");
    !status.platforms.is_empty() && !status.platforms.iter().any(|platform| hot(&platform.posture))
}

/// How the gate stands; nothing where it does not say.
pub(super) async fn ask(control: &Path) -> Status {
    let control = control.to_owned();
    let asked = tokio::task::spawn_blocking(move || control::ask(&control, "status"));
    let answer = asked.await.ok().and_then(Result::ok).and_then(|answer| answer.status).unwrap_or_default();
    answer.get("defence").cloned().and_then(|defence| serde_json::from_value(defence).ok()).unwrap_or_default()
}

/// An act of the gate, from the decision log.
#[derive(Debug, PartialEq)]
struct Act {
    /// Unix milliseconds.
    at: u64,
    time: String,
    platform: String,
    words: String,
}

/// `20:00:00.250  public: …`, in lines that fit a terminal.
fn told(act: &Act) -> String {
    let time = act.time.get(11..23).unwrap_or(&act.time);
    let mut lines = vec![format!("{:INDENT$}{time}  {}:", "", act.platform)];
    for word in act.words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{:1$}{word}", "", INDENT + 2)),
        }
    }
    lines.join("\n")
}

/// The decision log, read as it grows; when it is rotated, the old file to its end and then the new one.
struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// A line that is not whole yet.
    rest: Vec<u8>,
}

impl Tail {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, rest: Vec::new() }
    }

    /// Acts since the last call.
    fn acts(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        self.read(&mut acts);
        let inode = |meta: io::Result<std::fs::Metadata>| meta.ok().map(|meta| meta.ino());
        let here = inode(std::fs::metadata(&self.path));
        if here.is_some() && here != self.file.as_ref().and_then(|file| inode(file.metadata())) {
            self.file = File::open(&self.path).ok();
            self.rest.clear();
            self.read(&mut acts);
        }
        acts
    }

    fn read(&mut self, acts: &mut Vec<Act>) {
        let Some(file) = &mut self.file else { return };
        let mut fresh = std::mem::take(&mut self.rest);
        // What cannot be read now is read in a second, or was lost with the file.
        let _ = file.take(READ_BYTES).read_to_end(&mut fresh);
        let whole = fresh.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (lines, rest) = fresh.split_at_checked(whole).unwrap_or((&fresh, &[]));
        acts.extend(lines.split(|byte| *byte == b'\n').filter_map(act));
        if rest.len() <= LINE_BYTES {
            self.rest = rest.to_vec();
        }
    }
}

fn act(line: &[u8]) -> Option<Act> {
    const KIND: &[u8] = b"\"kind\":\"act\"";
    // Most lines are about requests, and are not worth parsing.
    line.windows(KIND.len()).take(400).find(|window| *window == KIND)?;
    let record: Value = serde_json::from_slice(line).ok()?;
    let text = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect::<String>()
    };
    let act = record.get("act")?;
    let time = text(&record["t"]);
    let at = rfc3339(time.as_bytes())? / 1_000_000;
    Some(Act { at, time, platform: text(&act["platform"]), words: text(&act["words"]) })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_log_is_followed_over_its_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("decisions.jsonl");
        let act = |words: &str| {
            format!(
                "{{\"t\":\"2026-05-17T20:00:00.250Z\",\"node\":\"demo\",\"kind\":\"act\",\"act\":{{\"platform\":\"public\",\"words\":\"{words}\"}}}}\n"
            )
        };
        let words = |tail: &mut Tail| tail.acts().into_iter().map(|act| act.words).collect::<Vec<_>>();
        let mut tail = Tail::new(&path);
        assert!(words(&mut tail).is_empty(), "there is no file yet");
        let mut file = File::create(&path).expect("a file");
        let one = act("one");
        let (head, foot) = one.split_at(30);
        write!(file, "{{\"t\":\"x\",\"status\":200}}\n{head}").expect("written");
        assert!(words(&mut tail).is_empty());
        write!(file, "{foot}{}", act("two\\u001b[2J")).expect("written");
        assert_eq!(words(&mut tail), ["one", "two [2J"]);
        write!(file, "{}", act("three")).expect("written");
        std::fs::rename(&path, folder.path().join("decisions.jsonl.1")).expect("renamed");
        std::fs::write(&path, act("four")).expect("written");
        assert_eq!(words(&mut tail), ["three", "four"]);
        let read = super::act(act("x").trim_end().as_bytes()).expect("an act");
        assert_eq!((read.at, told(&read).trim()), (1_779_048_000_250, "20:00:00.250  public: x"));
        let long = told(&Act { words: "word ".repeat(60), ..read });
        assert!(long.lines().count() > 2 && long.lines().all(|line| line.len() <= COLUMNS), "{long}");
    }
}
