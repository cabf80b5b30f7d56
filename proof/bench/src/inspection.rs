//! The figures of inspection: what rules and the built-in detection cost, beside `libmodsecurity` with the same rules.
//!
//! Each contender is a process of its own on the proxy core, has loaded its rules once, and plays the same requests equally
//! often, a transaction each; contenders alternate within each round. Nobody is measured who does not first let an ordinary
//! request pass and refuse an attack.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use portcullis_peers::{Engine, Libraries, Ordinary, Player, Rules, core_rule_set, hostile, ordinary, varied};

use crate::Fallible;
use crate::contender::{Kind, Place, Server};
use crate::figure::{Figure, Plan, Series, named, order};
use crate::load;

/// What is inspected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inspect {
    /// A request, by the Core Rule Set at a level.
    Rules { paranoia: u8, which: Ordinary },
    /// A request with other values each time, by the Core Rule Set at level 1.
    Varied(Ordinary),
    /// A request, by the built-in detection.
    BuiltIn(Ordinary),
    /// The same for each byte of its body.
    BuiltInBytes(Ordinary),
    /// The slowest of the forms that are made to be slow, by the Core Rule Set at level 1.
    WorstRules,
    /// The same by the built-in detection.
    WorstBuiltIn,
    /// Loading the Core Rule Set.
    Load,
    /// What the gate holds more with the Core Rule Set than without, for so many platforms.
    Memory { platforms: u32 },
}

impl Inspect {
    /// Measures every contender of `figure`.
    pub(crate) fn measure(self, figure: &Figure, plan: &Plan) -> Fallible<Vec<Series>> {
        match self {
            Self::Memory { platforms } => memory(figure, plan, platforms),
            Self::Load => loading(figure, plan),
            Self::WorstRules | Self::WorstBuiltIn => worst(figure, plan),
            Self::Varied(which) => different(figure, plan, which),
            Self::Rules { which, .. } | Self::BuiltIn(which) | Self::BuiltInBytes(which) => {
                self.plays(figure, plan, which)
            }
        }
    }

    const fn paranoia(self) -> u8 {
        match self {
            Self::Rules { paranoia, .. } => paranoia,
            _ => 1,
        }
    }

    fn plays(self, figure: &Figure, plan: &Plan, which: Ordinary) -> Fallible<Vec<Series>> {
        let contest = Contest::new(figure, plan, self.paranoia())?;
        let (mut players, mut series) = contest.start_all();
        let message = ordinary(which);
        let mut slowest = Duration::from_micros(1);
        // At level 1 it passes; what a higher level makes of it is its own affair, but all make the same of it.
        let mut verdict = (self.paranoia() == 1).then_some(which == Ordinary::Attack);
        for (player, series) in players.iter_mut().zip(&mut series) {
            let Some(one) = player else { continue };
            match judges(one, which, verdict) {
                Ok(refuses) => {
                    verdict = Some(refuses);
                    slowest = slowest.max(one.play(&message, 2, false)?.took / 2);
                }
                // Whoever does not do the work is not fast.
                Err(why) => {
                    series.trouble = Some(why);
                    *player = None;
                }
            }
        }
        // So often that the slowest takes half of the time, and everybody equally often.
        let time = f64::from(plan.seconds) / 2.0;
        let count = (time / slowest.as_secs_f64()).clamp(3.0, 50_000.0) as u32;
        for player in players.iter_mut().flatten() {
            player.play(&message, count.div_ceil(10), false)?;
        }
        let per = match self {
            Self::BuiltInBytes(_) => f64::from(count) * message.body.len() as f64 / 1e9,
            _ => f64::from(count) / 1e6,
        };
        for round in 0..plan.rounds {
            for turn in order(round, players.len()) {
                let (Some(Some(player)), Some(series)) = (players.get_mut(turn), series.get_mut(turn)) else {
                    continue;
                };
                series.values.push(player.play(&message, count, false)?.took.as_secs_f64() / per);
            }
        }
        Ok(series)
    }
}

/// As many requests as a player gets through in its share of the time, no two of them alike: others in each round, the same for
/// everybody.
fn different(figure: &Figure, plan: &Plan, which: Ordinary) -> Fallible<Vec<Series>> {
    let contest = Contest::new(figure, plan, 1)?;
    let (mut players, mut series) = contest.start_all();
    let mut slowest = Duration::from_micros(1);
    for player in players.iter_mut().flatten() {
        judges(player, which, Some(false))?;
        slowest = slowest.max(player.play(&ordinary(which), 2, false)?.took / 2);
    }
    let count = (f64::from(plan.seconds) / 2.0 / slowest.as_secs_f64()).clamp(3.0, 50_000.0) as u32;
    for round in 0..plan.rounds {
        for turn in order(round, players.len()) {
            let (Some(Some(player)), Some(series)) = (players.get_mut(turn), series.get_mut(turn)) else { continue };
            let mut took = Duration::ZERO;
            for at in 0..count {
                let played = player.play(&varied(which, round * count + at), 1, false)?;
                if played.refused.is_some() {
                    series.trouble = Some(format!("it refuses {which:?} number {at}"));
                }
                took += played.took;
            }
            series.values.push(took.as_secs_f64() * 1e6 / f64::from(count));
        }
    }
    Ok(series)
}

/// An ordinary request passes, an attack does not, and what is measured comes out as `expected`; whether it is refused.
fn judges(player: &mut Player, which: Ordinary, expected: Option<bool>) -> Result<bool, String> {
    let mut refuses = |asked: Ordinary, expected: Option<bool>| {
        let played = player.play(&ordinary(asked), 0, true)?;
        let refuses = played.refused.is_some();
        if expected.is_some_and(|expected| expected != refuses) {
            let word = if refuses { "refuses" } else { "lets pass" };
            return Err(format!("it {word} {asked:?}: rules {:?}", played.rules()));
        }
        Ok(refuses)
    };
    refuses(Ordinary::Get, Some(false))?;
    refuses(Ordinary::Attack, Some(true))?;
    refuses(which, expected)
}

/// Who takes part, with which rules.
struct Contest<'a> {
    figure: &'a Figure,
    plan: &'a Plan,
    rules: PathBuf,
    libraries: Libraries,
}

impl<'a> Contest<'a> {
    fn new(figure: &'a Figure, plan: &'a Plan, paranoia: u8) -> Fallible<Self> {
        let place = Place::new(figure.name)?;
        let rules = PathBuf::from(place.path("rules.conf"));
        let needs = |kinds: &[Kind]| figure.contenders.iter().any(|kind| kinds.contains(kind));
        if needs(&[Kind::Rules, Kind::ModSecurityDebian, Kind::ModSecurityWheel]) {
            Rules::blocking(&core_rule_set().map_err(|why| format!("skipped: {why}"))?, paranoia).write(&rules)?;
        }
        let peers = needs(&[Kind::ModSecurityDebian, Kind::ModSecurityWheel]);
        let libraries = if peers { Libraries::find(&[])? } else { Libraries::default() };
        Ok(Self { figure, plan, rules, libraries })
    }

    fn start(&self, kind: Kind) -> Result<Player, String> {
        let engine = match kind {
            Kind::Rules => Some(Engine::Own(self.plan.engine.clone())),
            Kind::BuiltIn => Some(Engine::BuiltIn(self.plan.engine.clone())),
            Kind::ModSecurityDebian => self.libraries.engine(self.libraries.debian.as_ref()),
            Kind::ModSecurityWheel => self.libraries.engine(self.libraries.wheel.as_ref()),
            _ => None,
        };
        let engine = engine.ok_or("it is not here: see scripts/peers.sh")?;
        Player::start(&engine, &self.rules, Some(self.plan.machine.proxy_core))
    }

    /// A contender that cannot be started leaves the others standing.
    fn start_all(&self) -> (Vec<Option<Player>>, Vec<Series>) {
        let start = |kind: &Kind| match self.start(*kind) {
            Ok(player) => {
                let series = named(match kind {
                    Kind::ModSecurityDebian | Kind::ModSecurityWheel => version(&player.name),
                    _ => kind.name(),
                });
                (Some(player), series)
            }
            Err(why) => (None, Series { trouble: Some(why), ..named(kind.name()) }),
        };
        self.figure.contenders.iter().map(start).unzip()
    }
}

/// `ModSecurity v3.0.15 (Linux)`, as short as a column.
fn version(name: &str) -> &str {
    name.split(" (").next().unwrap_or(name)
}

/// Anew in each round.
fn loading(figure: &Figure, plan: &Plan) -> Fallible<Vec<Series>> {
    let contest = Contest::new(figure, plan, 1)?;
    let (players, mut series) = contest.start_all();
    drop(players);
    for round in 0..plan.rounds {
        for turn in order(round, series.len()) {
            let (Some(kind), Some(series)) = (figure.contenders.get(turn), series.get_mut(turn)) else { continue };
            if series.trouble.is_none() {
                series.values.push(contest.start(*kind)?.loaded.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(series)
}

/// Each form once a round; a round's value is its slowest form's.
fn worst(figure: &Figure, plan: &Plan) -> Fallible<Vec<Series>> {
    let contest = Contest::new(figure, plan, 1)?;
    let (mut players, mut series) = contest.start_all();
    let forms = hostile();
    for round in 0..plan.rounds {
        for turn in order(round, players.len()) {
            let (Some(Some(player)), Some(series)) = (players.get_mut(turn), series.get_mut(turn)) else { continue };
            let mut slowest = (0.0, "");
            for (name, message) in &forms {
                let took = player.play(message, 1, false)?.took.as_secs_f64() * 1e3;
                if took > slowest.0 {
                    slowest = (took, name);
                }
            }
            series.values.push(slowest.0);
            series.remark = Some(slowest.1.to_owned());
        }
    }
    Ok(series)
}

/// A gate that has served, with rules and without.
fn memory(figure: &Figure, plan: &Plan, platforms: u32) -> Fallible<Vec<Series>> {
    let crs = core_rule_set().map_err(|why| format!("skipped: {why}"))?;
    let place = Place::new(figure.name)?;
    let upstream = Server::upstream(&place, &plan.machine)?;
    let mut series = named(Kind::Portcullis.name());
    for _ in 0..plan.rounds {
        let held = |rules: &str| -> Fallible<u64> {
            let server = Server::inspecting(&plan.gate, &place, &plan.machine, upstream.http, rules, platforms)?;
            // Expressions build what they need when they first run.
            load::wrk(server.http, false, "/?q=ordinary+words", 64, 1, false)?;
            sleep(Duration::from_secs(1));
            Ok(server.memory().resident)
        };
        let (with, without) = (held(&rules(&crs)?)?, held("mode = \"off\"\n")?);
        series.values.push(with.saturating_sub(without) as f64 / f64::from(1 << 20));
    }
    Ok(vec![series])
}

/// `[waf]` with the Core Rule Set, and nothing built in: what is weighed is the rules.
fn rules(crs: &Path) -> Fallible<String> {
    let crs = fs::canonicalize(crs)?;
    let file = |name: &str| format!("{:?}", crs.join(name));
    let [base, setup, rules] =
        ["modsecurity/modsecurity.conf-recommended", "crs-setup.conf.example", "rules/*.conf"].map(file);
    Ok(format!("mode = \"off\"\nparanoia = 1\nrules = [{base}, {setup}, {rules}]\n"))
}
