//! `portcullis waf report`: what inspection refused, or would have refused where it only observes: where, by what, whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use portcullis_control::model::{Finding, RouteFindings, Rules};
use serde_json::{Value, json};

use super::recorded::{Audience, Record};
use super::{beginning, open};
use crate::args::Records;
use crate::remote::Far;
use crate::{Done, talk};

/// Rules and families that are shown of one route.
const SHOWN: usize = 20;
/// The same that a gate elsewhere is asked for.
const ASKED: usize = 1_000;

/// Reads the log, and reports; a gate elsewhere has read its own.
pub(crate) fn run(flags: &Records) -> Done {
    let rules = match Far::of(&flags.far, &flags.config, flags.log.as_deref())? {
        Some(far) => far.get(&format!("/api/v1/rules?since={}&most={ASKED}", beginning(flags)))?,
        None => {
            let (_, log, book) = open(flags)?;
            Report::of(&book.records).told(&log, book.left)
        }
    };
    let rules = in_order(rules);
    if flags.json {
        return talk::answer(&serde_json::to_string_pretty(&machine(&rules)).unwrap_or_default());
    }
    talk::answer(&page(&rules))
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

    fn audience(&self) -> BTreeMap<String, u64> {
        self.visitors.iter().map(|(audience, visitors)| (audience.name().to_owned(), visitors.len() as u64)).collect()
    }

    /// `name` is a rule or a family, with what is wrong behind two spaces.
    fn finding(&self, name: &str) -> Finding {
        let (what, why) = name.split_once("  ").unwrap_or((name, ""));
        Finding {
            what: what.to_owned(),
            why: why.to_owned(),
            requests: self.requests as u64,
            refused: self.refused as u64,
            would_be_refused: (self.requests - self.refused) as u64,
            visitors: self.visitors() as u64,
            audience: self.audience(),
            reference: self.reference.clone(),
        }
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

    /// By route, by what most visitors met first; `left` older records were left out.
    pub(crate) fn told(self, log: &Path, left: usize) -> Rules {
        let list = |counts: &BTreeMap<String, Count>| {
            let mut all: Vec<Finding> = counts.iter().map(|(name, count)| count.finding(name)).collect();
            all.sort_by_key(|it| std::cmp::Reverse((it.visitors, it.requests)));
            all
        };
        let route = |((platform, route), place): (&(String, String), &Place)| RouteFindings {
            platform: platform.clone(),
            route: route.clone(),
            requests: place.all.requests as u64,
            refused: place.all.refused as u64,
            would_be_refused: (place.all.requests - place.all.refused) as u64,
            visitors: place.all.visitors() as u64,
            audience: place.all.audience(),
            reference: place.all.reference.clone(),
            by: list(&place.by),
            families: list(&place.families),
            ..RouteFindings::default()
        };
        Rules {
            routes: self.places.iter().map(route).collect(),
            from: self.first,
            until: self.last,
            older_left_out: left as u64,
            log: log.display().to_string(),
            ..Rules::default()
        }
    }
}

/// Routes on which something was found, what most visitors met first.
fn in_order(mut rules: Rules) -> Rules {
    rules.routes.retain(|it| it.requests > 0);
    rules.routes.sort_by(|one, other| (&one.platform, &one.route).cmp(&(&other.platform, &other.route)));
    rules.routes.sort_by_key(|it| std::cmp::Reverse(it.visitors));
    rules
}

/// For programs.
fn machine(rules: &Rules) -> Value {
    let routes = rules.routes.iter().map(|route| {
        let mut value = serde_json::to_value(route).unwrap_or_default();
        // How a route is inspected is what the configuration says, and not what was found.
        if let Some(value) = value.as_object_mut() {
            ["detection", "rules", "exclude"].iter().for_each(|key| drop(value.remove(*key)));
        }
        value
    });
    json!({
        "from": rules.from,
        "until": rules.until,
        "older_left_out": rules.older_left_out,
        "routes": routes.collect::<Vec<_>>(),
    })
}

/// For people.
fn page(rules: &Rules) -> String {
    let log = &rules.log;
    let (Some(first), Some(last)) = (&rules.from, &rules.until) else {
        return format!("{log}: inspection refused nothing that is recorded, and would have refused nothing\n");
    };
    let mut text = format!("{log}: from {first} until {last}\n");
    if rules.older_left_out > 0 {
        let left = rules.older_left_out;
        let _ = writeln!(text, "{left} older records were left out: too many; --since names a later beginning");
    }
    for route in &rules.routes {
        let said = words(route.would_be_refused, route.refused, &route.audience);
        let _ = writeln!(text, "\n{}{}: {said}", route.platform, route.route);
        let of = |it: &Finding| words(it.would_be_refused, it.refused, &it.audience);
        for family in &route.families {
            let _ = writeln!(text, "  {}: {}", family.what, of(family));
        }
        let _ = writeln!(text, "  by rule or family:");
        for rule in route.by.iter().take(SHOWN) {
            let Finding { what, why, reference, .. } = rule;
            let _ = writeln!(text, "    {what}  {why}: {} (portcullis explain {reference})", of(rule));
        }
        if route.by.len() > SHOWN {
            let _ = writeln!(text, "    … and {} more: --json has them", route.by.len() - SHOWN);
        }
    }
    text.push_str("\nWhat would let ordinary visitors pass:  portcullis tune\nTo let inspection refuse:               portcullis waf promote PLATFORM[/ROUTE]\n");
    text
}

fn words(would: u64, refused: u64, audience: &BTreeMap<String, u64>) -> String {
    let what = match (would, refused) {
        (would, 0) => format!("{would} would be refused"),
        (0, refused) => format!("{refused} refused"),
        (would, refused) => format!("{would} would be refused, {refused} were"),
    };
    format!("{what}; visitors: {}", Audience::counted(audience).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was found of one rule and nowhere else.
    fn found(route: &str, visitors: u64) -> RouteFindings {
        let audience = BTreeMap::from([("stranger".to_owned(), visitors - 1), ("known".to_owned(), 1)]);
        let rule = |number: u64| Finding {
            what: format!("94{number:04}"),
            why: "SQL".to_owned(),
            requests: 3,
            would_be_refused: 3,
            visitors,
            audience: audience.clone(),
            reference: "AAAAAAAAAAAAA".to_owned(),
            ..Finding::default()
        };
        RouteFindings {
            platform: "public".to_owned(),
            route: route.to_owned(),
            requests: 3,
            refused: 1,
            would_be_refused: 2,
            visitors,
            audience: audience.clone(),
            by: (0..21).map(rule).collect(),
            families: vec![Finding { what: "attack-sqli".to_owned(), ..rule(0) }],
            ..RouteFindings::default()
        }
    }

    #[test]
    fn what_was_found_is_told_by_route_and_the_worst_first() {
        let quiet =
            RouteFindings { platform: "public".to_owned(), route: "/quiet".to_owned(), ..RouteFindings::default() };
        let rules = Rules {
            log: "decisions.jsonl".to_owned(),
            from: Some("2026-11-03T17:00:00Z".to_owned()),
            until: Some("2026-11-03T18:00:00Z".to_owned()),
            routes: vec![found("/few", 2), quiet, found("/many", 3)],
            ..Rules::default()
        };
        let rules = in_order(rules);
        let page = page(&rules);
        let [many, few] = ["/many: ", "/few: "].map(|it| page.find(it).unwrap_or_else(|| panic!("{it} in {page}")));
        assert!(many < few && !page.contains("/quiet"), "{page}");
        for part in [
            "decisions.jsonl: from 2026-11-03T17:00:00Z until",
            "public/many: 2 would be refused, 1 were; visitors: 1 known, 2 stranger",
            "  attack-sqli: 3 would be refused;",
            "    940000  SQL: 3 would be refused; visitors: 1 known, 2 stranger (portcullis explain AAAAAAAAAAAAA)",
            "and 1 more: --json",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        let told = machine(&rules);
        assert_eq!((told["routes"].as_array().map(Vec::len), &told["routes"][0]["route"]), (Some(2), &json!("/many")));
        assert!(told["routes"][0].get("detection").is_none() && told["routes"][0]["by"][20]["what"] == "940020");
        assert!(super::page(&Rules::default()).contains("refused nothing"));
    }
}
