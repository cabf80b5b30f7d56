//! A table for people on stdout, a JSON line for each figure in a file.
//!
//! Never hides a spread: beside each median stand the least and the greatest, and where the machine was too noisy to
//! judge the goal is neither met nor missed.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::Fallible;
use crate::figure::{Figure, Goal, Plan, Series};

/// Where the middle half of the rounds' ratios spreads over more than this share of the median, they say more about the
/// machine than about anybody.
const NOISY: f64 = 0.25;

/// One line of the file.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    value: Option<f64>,
    unit: String,
    peer: Option<String>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    ratio_min: Option<f64>,
    ratio_max: Option<f64>,
    goal: Option<f64>,
    met: Option<bool>,
    noisy: bool,
    rounds: usize,
    trouble: Option<String>,
}

/// What was measured so far.
#[derive(Debug)]
pub(crate) struct Report {
    output: PathBuf,
    lines: Vec<Value>,
}

impl Report {
    /// Keeps the lines of figures that are not measured now.
    pub(crate) fn new(output: &Path) -> Fallible<Self> {
        let text = fs::read_to_string(output).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { output: output.to_owned(), lines })
    }

    /// What there is to measure.
    pub(crate) fn list(&mut self, figures: &[Figure]) -> Fallible<()> {
        for figure in figures {
            let peer = figure.contenders.get(1).map_or("", |kind| kind.name());
            let goal = match figure.goal {
                Goal::Ratio(most) => format!("at most {most} x {peer}"),
                Goal::Value(most) => format!("at most {most} {}", figure.unit),
                Goal::Both { value, ratio } => format!("at most {value} us, {ratio} x"),
                Goal::None => "for information".to_owned(),
            };
            say(&format!("{:<28} {:<24} {}", figure.name, goal, figure.what))?;
        }
        Ok(())
    }

    /// What holds for all figures.
    pub(crate) fn title(&mut self, plan: &Plan) -> Fallible<()> {
        say(&format!(
            "proxies on core {}, load and upstream on core {}; {} rounds of {} s; medians [least..greatest]; {} open files",
            plan.machine.proxy_core, plan.machine.load_core, plan.rounds, plan.seconds, plan.machine.descriptors
        ))
    }

    /// Prints a figure and writes its line.
    pub(crate) fn add(&mut self, figure: &Figure, series: &[Series]) -> Fallible<()> {
        say(&format!("\n{}: {} ({})", figure.name, figure.what, figure.unit))?;
        for one in series {
            say(&row(one, figure.unit))?;
        }
        let Some((gate, peers)) = series.split_first() else { return Ok(()) };
        for peer in peers {
            if let Some(ratio) = Spread::of(ratios(gate, peer)) {
                say(&format!("  {:<16} {} x {}", "ratio", ratio, peer.name))?;
            }
        }
        let line = judge(figure, gate, peers);
        let verdict = match (line.met, line.noisy, &line.trouble) {
            (_, _, Some(trouble)) => format!("not judged: {trouble}"),
            (Some(true), _, _) => "met".to_owned(),
            (Some(false), _, _) => "NOT met".to_owned(),
            (None, true, _) => "not judged: the machine is too noisy".to_owned(),
            (None, false, _) => "for information".to_owned(),
        };
        let goal = match figure.goal {
            Goal::Ratio(most) => format!("at most {most} x {}", line.peer.as_deref().unwrap_or("")),
            Goal::Value(most) => format!("at most {most} {}", figure.unit),
            Goal::Both { value, ratio } => {
                format!("at most {value} {} and {ratio} x {}", figure.unit, line.peer.as_deref().unwrap_or(""))
            }
            Goal::None => "none".to_owned(),
        };
        say(&format!("  {:<16} {goal}: {verdict}", "goal"))?;
        self.write(&line)
    }

    /// A figure that could not be measured at all.
    pub(crate) fn lost(&mut self, figure: &Figure, error: &dyn Error) -> Fallible<()> {
        say(&format!("\n{}: {}\n  not measured: {error}", figure.name, figure.what))
    }

    /// Where to look.
    pub(crate) fn finish(&self) -> Fallible<()> {
        say(&format!("\nfigures: {}", self.output.display()))
    }

    fn write(&mut self, line: &Line) -> Fallible<()> {
        self.lines.retain(|other| other.get("name").and_then(Value::as_str) != Some(&line.name));
        self.lines.push(serde_json::to_value(line)?);
        if let Some(parent) = self.output.parent() {
            fs::create_dir_all(parent)?;
        }
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&self.output, text)?;
        Ok(())
    }
}

/// Beside one peer: the first, or where all of them count the one that comes nearest.
fn judge(figure: &Figure, gate: &Series, peers: &[Series]) -> Line {
    let value = Spread::of(gate.values.clone());
    let all = peers.iter().map(|peer| (peer, Spread::of(ratios(gate, peer))));
    let (peer, ratio) = match figure.goal {
        Goal::Both { .. } => all
            .max_by(|(_, one), (_, other)| {
                let median = |spread: &Option<Spread>| spread.map_or(f64::NEG_INFINITY, |spread| spread.median);
                median(one).total_cmp(&median(other))
            })
            .unzip(),
        _ => all.take(1).next().unzip(),
    };
    let ratio = ratio.flatten();
    let goals: Vec<(f64, Option<Spread>)> = match figure.goal {
        Goal::Ratio(most) => vec![(most, ratio)],
        Goal::Value(most) => vec![(most, value)],
        Goal::Both { value: most, ratio: share } => vec![(most, value), (share, ratio)],
        Goal::None => Vec::new(),
    };
    let compared = if matches!(figure.goal, Goal::Value(_)) { value } else { ratio };
    let noisy = goals.iter().filter_map(|(_, spread)| *spread).chain(compared).any(|spread| spread.width() > NOISY);
    let trouble = gate.trouble.clone().or_else(|| match figure.goal {
        // Nobody is compared with.
        Goal::Value(_) => None,
        Goal::Both { .. } => peers.iter().find_map(|peer| peer.trouble.clone()),
        _ => peer.and_then(|peer| peer.trouble.clone()),
    });
    let met = if goals.is_empty() || trouble.is_some() {
        None
    } else {
        let each: Vec<Option<bool>> =
            goals.iter().map(|(goal, spread)| spread.and_then(|it| it.reaches(*goal))).collect();
        if each.contains(&Some(false)) {
            Some(false)
        } else {
            each.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
        }
    };
    Line {
        name: figure.name.to_owned(),
        value: value.map(|spread| round(spread.median)),
        unit: figure.unit.to_owned(),
        peer: peer.map(|peer| peer.name.clone()),
        peer_value: peer.and_then(|peer| Spread::of(peer.values.clone())).map(|spread| round(spread.median)),
        ratio: ratio.map(|spread| round(spread.median)),
        ratio_min: ratio.map(|spread| round(spread.least)),
        ratio_max: ratio.map(|spread| round(spread.most)),
        goal: goals.first().map(|(goal, _)| *goal),
        met,
        noisy,
        rounds: gate.values.len(),
        trouble,
    }
}

fn row(series: &Series, unit: &str) -> String {
    let mut text = format!("  {:<16} ", series.name);
    if let Some(spread) = Spread::of(series.values.clone()) {
        text += &spread.to_string();
    }
    if series.per_second > 0.0 {
        text += &format!("   {:>8.0}/s", series.per_second);
    }
    if let (Some(p50), Some(p99)) = (series.p50_ms, series.p99_ms) {
        text += &format!("   p50 {p50:.2} ms, p99 {p99:.2} ms");
    }
    if let Some(proportional) = series.proportional {
        text += &format!("   {proportional:.0} {unit} with shared pages counted once");
    }
    if let Some(remark) = &series.remark {
        text += &format!("   {remark}");
    }
    if let Some(trouble) = &series.trouble {
        text += &format!("   {trouble}");
    }
    text
}

/// Of the rounds in which both were measured.
fn ratios(gate: &Series, peer: &Series) -> Vec<f64> {
    gate.values.iter().zip(&peer.values).filter(|(_, peer)| **peer > 0.0).map(|(gate, peer)| gate / peer).collect()
}

/// Median, least, greatest, and where the middle half begins and ends.
#[derive(Debug, Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
    middle: (f64, f64),
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = if values.len().is_multiple_of(2) { *values.get(middle.checked_sub(1)?)? } else { upper };
        let quarter = values.len() / 4;
        Some(Self {
            median: f64::midpoint(lower, upper),
            least: *values.first()?,
            most: *values.last()?,
            middle: (*values.get(quarter)?, *values.get(values.len() - 1 - quarter)?),
        })
    }

    /// Whether it is at most `goal`. A spread that lies on one side of the goal altogether is a verdict, however wide it is.
    fn reaches(self, goal: f64) -> Option<bool> {
        match self.width() > NOISY {
            true if self.most <= goal => Some(true),
            true if self.least > goal => Some(false),
            true => None,
            false => Some(self.median <= goal),
        }
    }

    fn width(self) -> f64 {
        (self.middle.1 - self.middle.0) / self.median
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = match self.median {
            large if large >= 1000.0 => 0,
            small if small < 0.1 => 4,
            _ => 2,
        };
        write!(f, "{:>8.digits$} [{:.digits$}..{:.digits$}]", self.median, self.least, self.most)
    }
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn say(text: &str) -> Fallible<()> {
    writeln!(stdout(), "{text}")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::ALL;

    fn series(values: &[f64]) -> Series {
        Series { values: values.to_vec(), ..Series::default() }
    }

    #[test]
    fn a_goal_is_met_missed_or_not_judged() {
        let figure = &ALL[0];
        assert!(matches!(figure.goal, Goal::Ratio(goal) if (goal - 1.0).abs() < 1e-9), "the table below supposes it");
        let table: &[(&[f64], &[f64], Option<bool>)] = &[
            (&[9.0, 9.5, 9.2], &[10.0, 10.0, 10.0], Some(true)),
            (&[11.0, 11.5, 11.2], &[10.0, 10.0, 10.0], Some(false)),
            (&[8.0, 12.0, 9.9], &[10.0, 10.0, 10.0], None),
            (&[5.0, 9.0, 7.0], &[10.0, 10.0, 10.0], Some(true)),
            // One bad round of five is the machine's, and does not spoil the others.
            (&[9.0, 9.1, 30.0, 9.2, 9.3], &[10.0, 10.0, 10.0, 10.0, 10.0], Some(true)),
            (&[], &[10.0], None),
        ];
        for (gate, peer, met) in table {
            assert_eq!(judge(figure, &series(gate), &[series(peer)]).met, *met, "{gate:?}");
        }
        let troubled = Series { trouble: Some("errors".to_owned()), ..series(&[9.0]) };
        assert_eq!(judge(figure, &troubled, &[series(&[10.0])]).met, None, "errors are no speed");
    }

    #[test]
    fn beside_two_peers_the_nearer_one_counts_and_the_value_too() {
        let goal = Goal::Both { value: 50.0, ratio: 0.1 };
        let figure = Figure { goal, ..*ALL.iter().find(|figure| figure.name == "waf-get-pl1").unwrap() };
        let (near, far) = (series(&[400.0; 3]), series(&[900.0; 3]));
        let met = |gate: f64, peers: &[Series]| judge(&figure, &series(&[gate; 3]), peers).met;
        assert_eq!(met(30.0, &[far.clone(), near.clone()]), Some(true));
        assert_eq!(met(45.0, &[far.clone(), near.clone()]), Some(false), "more than a tenth of the nearer");
        assert_eq!(met(60.0, &[far.clone(), far.clone()]), Some(false), "more than 50");
        let gone = Series { trouble: Some("not here".to_owned()), ..Series::default() };
        assert_eq!(met(30.0, &[far, gone]), None, "a peer that is not here is not beaten");
    }

    #[test]
    fn the_median_is_the_middle() {
        let median = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| spread.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN, 7.0]), Some(7.0), "a round in which nothing was served");
    }
}
