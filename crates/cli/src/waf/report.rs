//! `portcullis waf report`: what inspection refused, or would have refused where it only observes: where, by what, whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::open;
use super::recorded::{Audience, Record};
use crate::args::Records;
use crate::{Done, talk};

/// Rules and families that are shown of one route.
const SHOWN: usize = 20;

/// Reads the log, and reports.
pub(crate) fn run(flags: &Records) -> Done {
    let (_, log, book) = open(flags)?;
    let report = Report::of(&book.records);
    if flags.json {
        return talk::answer(&serde_json::to_string_pretty(&report.value(book.left)).unwrap_or_default());
    }
    talk::answer(&report.text(&log.display().to_string(), book.left))
}

/// How often, and how many visitors of each audience.
#[derive(Debug, Default, Clone)]
struct Count {
    requests: usize,
    refused: usize,
    visitors: BTreeMap<Audience, BTreeSet<String>>,
    /// One that can be explained.
    reference: String,
}

/// One route.
#[derive(Debug, Default)]
struct Place {
    all: Count,
    /// Rules and families.
    by: BTreeMap<String, Count>,
    /// Families of rules: their tags.
    families: BTreeMap<String, Count>,
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    places: BTreeMap<(String, String), Place>,
    first: Option<String>,
    last: Option<String>,
}

impl Count {
    fn add(&mut self, record: &Record) {
        self.requests += 1;
        self.refused += usize::from(record.refused);
        self.visitors.entry(record.audience).or_default().insert(record.client.clone());
        self.reference.clone_from(&record.reference);
    }

    fn visitors(&self) -> usize {
        self.visitors.values().flatten().collect::<BTreeSet<_>>().len()
    }

    fn audience(&self) -> BTreeMap<&'static str, usize> {
        self.visitors.iter().map(|(audience, visitors)| (audience.name(), visitors.len())).collect()
    }

    fn value(&self) -> Value {
        json!({
            "requests": self.requests,
            "refused": self.refused,
            "would_be_refused": self.requests - self.refused,
            "visitors": self.visitors(),
            "audience": self.audience(),
            "reference": self.reference,
        })
    }

    fn words(&self) -> String {
        let of =
            |(audience, visitors): (&Audience, &BTreeSet<String>)| format!("{} {}", visitors.len(), audience.name());
        let audience: Vec<String> = self.visitors.iter().map(of).collect();
        let would = self.requests - self.refused;
        let what = match (would, self.refused) {
            (would, 0) => format!("{would} would be refused"),
            (0, refused) => format!("{refused} refused"),
            (would, refused) => format!("{would} would be refused, {refused} were"),
        };
        format!("{what}; visitors: {}", audience.join(", "))
    }
}

impl Report {
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut report = Self::default();
        for record in records {
            let place = report.places.entry((record.platform.clone(), record.route.clone())).or_default();
            place.all.add(record);
            let mut known = BTreeSet::new();
            for hit in &record.evidence.hits {
                let name = match (&hit.rule, &hit.family) {
                    (Some(rule), _) => rule.to_string(),
                    (None, family) => family.clone().unwrap_or_default(),
                };
                let what = format!("{name}  {}", hit.why.shown());
                if known.insert(name) {
                    place.by.entry(what).or_default().add(record);
                }
                let families = hit.tags.iter().map(|tag| tag.shown()).chain(hit.family.clone());
                for family in families.filter(|family| known.insert(format!("of {family}"))).collect::<Vec<_>>() {
                    place.families.entry(family).or_default().add(record);
                }
            }
        }
        report.first = records.first().map(|record| record.when.clone());
        report.last = records.last().map(|record| record.when.clone());
        report
    }

    /// For programs.
    pub(crate) fn value(&self, left: usize) -> Value {
        let counts = |counts: &BTreeMap<String, Count>| -> Vec<Value> {
            let one = |(name, count): (&String, &Count)| {
                let mut value = count.value();
                value["what"] = Value::from(name.split("  ").next().unwrap_or_default());
                value["why"] = Value::from(name.split_once("  ").map_or("", |(_, why)| why));
                value
            };
            counts.iter().map(one).collect()
        };
        let places = self.places.iter().map(|((platform, route), place)| {
            let mut value = place.all.value();
            value["platform"] = Value::from(platform.as_str());
            value["route"] = Value::from(route.as_str());
            value["by"] = Value::from(counts(&place.by));
            value["families"] = Value::from(counts(&place.families));
            value
        });
        json!({"from": self.first, "until": self.last, "older_left_out": left, "routes": places.collect::<Vec<_>>()})
    }

    fn text(&self, log: &str, left: usize) -> String {
        let (Some(first), Some(last)) = (&self.first, &self.last) else {
            return format!("{log}: inspection refused nothing that is recorded, and would have refused nothing\n");
        };
        let mut text = format!("{log}: from {first} until {last}\n");
        if left > 0 {
            let _ = writeln!(text, "{left} older records were left out: too many; --since names a later beginning");
        }
        let mut places: Vec<_> = self.places.iter().collect();
        places.sort_by_key(|(_, place)| std::cmp::Reverse(place.all.visitors()));
        for ((platform, route), place) in places {
            let _ = writeln!(text, "\n{platform}{route}: {}", place.all.words());
            for (name, count) in sorted(&place.families) {
                let _ = writeln!(text, "  {name}: {}", count.words());
            }
            let _ = writeln!(text, "  by rule or family:");
            for (name, count) in sorted(&place.by).into_iter().take(SHOWN) {
                let _ = writeln!(text, "    {name}: {} (portcullis explain {})", count.words(), count.reference);
            }
            if place.by.len() > SHOWN {
                let _ = writeln!(text, "    … and {} more: --json has them", place.by.len() - SHOWN);
            }
        }
        text.push_str("\nWhat would let ordinary visitors pass:  portcullis tune\nTo let inspection refuse:               portcullis waf promote PLATFORM[/ROUTE]\n");
        text
    }
}

fn sorted(counts: &BTreeMap<String, Count>) -> Vec<(&String, &Count)> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse((count.visitors(), count.requests)));
    counts
}
