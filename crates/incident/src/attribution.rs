//! Who did it: unknown, always. And what is known, which is no attribution.
//!
//! Never names anybody: the gate sees addresses and software. What it is told of where requests came from is counted from single
//! requests, which lie beside the ledger and are erased sooner; a figure of theirs rests on no leaf, and that is said.

use portcullis_types::Date;
use serde::Serialize;

use crate::assessment::percent;
use crate::case::Case;
use crate::evidence::{Evidence, plain};
use crate::moment;
use crate::statement::spaced;

/// Names of each kind that are told.
const TOLD: usize = 10;
/// Rules of the gate that are told.
const RULES: usize = 20;

/// What is known of who did it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attribution {
    /// Always `unknown`: the gate sees addresses and software, never people.
    pub(crate) finding: &'static str,
    /// What is known, which is no attribution.
    pub(crate) known: Vec<Known>,
    /// What would change this.
    pub(crate) would_change: Vec<String>,
}

/// Something that is known.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Known {
    pub(crate) words: String,
    /// Whether somebody could have made it look so: `yes` or `no`, and why.
    pub(crate) spoofable: &'static str,
    pub(crate) evidence: Evidence,
}

/// Where requests that were refused came from, counted by whoever can read them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Sources {
    /// What was counted: from when.
    pub from: u64,
    /// Until when; an incident may last longer than is looked at.
    pub until: u64,
    /// Requests that were refused within it.
    pub refused: u64,
    /// Networks, /24 of IPv4 and /56 of IPv6: how many, and the most frequent.
    pub networks: Ranked,
    /// Fingerprints of their TLS.
    pub prints: Ranked,
    /// Countries of those networks, where the configuration names a file that tells them.
    pub countries: Option<Countries>,
    /// Lists of addresses that the configuration names, each with how many of these requests came from one of its addresses.
    pub lists: Vec<Matched>,
    /// Why nothing could be counted, where that is so.
    pub unread: String,
}

/// How many there were, and the most frequent of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Ranked {
    /// How many different ones.
    pub different: u64,
    /// With their requests.
    pub first: Vec<(String, u64)>,
}

/// Where addresses are registered or located, as somebody else's file says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Countries {
    /// The file's name.
    pub file: String,
    /// When it was made, as it says itself.
    pub built: u64,
    /// Codes of countries (ISO 3166-1) with the requests from there.
    pub named: Ranked,
    /// Requests from networks that it names no country for, or that were not looked up.
    pub nowhere: u64,
    /// Why it could not be asked, where that is so.
    pub unread: String,
}

/// What of a list was met.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Matched {
    /// Its name.
    pub list: String,
    /// Requests from its addresses.
    pub requests: u64,
    /// When its file was written; none where it stands in the configuration.
    pub dated: Option<u64>,
}

pub(crate) fn attribution(case: &Case) -> Attribution {
    let mut known = case.sources.as_ref().map(sources).unwrap_or_default();
    known.extend(case.rules.list.iter().take(RULES).map(|said| Known {
        words: said.words.clone(),
        spoofable: "yes: it is how requests looked",
        evidence: said.evidence.clone(),
    }));
    let mut would_change = vec![
        "records of a provider upstream that show where traffic without forged addresses came from".to_owned(),
        "machines that were seized or cleaned, and what was found on them".to_owned(),
        "a claim that names details which only the gate and the attacker know".to_owned(),
    ];
    if case.sources.as_ref().is_some_and(|sources| sources.refused > 0) {
        would_change.push(
            "who held these networks at the time, and whose machines stood there: no table of countries says that, and the gate has \
             none of autonomous systems"
                .to_owned(),
        );
        would_change
            .push("a list of addresses from before the incident, by somebody who says how they know".to_owned());
    }
    Attribution { finding: "unknown", known, would_change }
}

fn sources(sources: &Sources) -> Vec<Known> {
    let say = |words: String, spoofable| Known { words, spoofable, evidence: Evidence::default() };
    if !sources.unread.is_empty() {
        let words = format!("Where requests came from could not be counted: {}.", plain(&sources.unread));
        return vec![say(words, "not asked")];
    }
    let span = format!("from {} to {}", moment::speak(sources.from), moment::speak(sources.until));
    if sources.refused == 0 {
        let words = format!("No request that was refused is on record one by one {span}.");
        return vec![say(words, "not asked")];
    }
    let ranked = |ranked: &Ranked| {
        let first = ranked.first.iter().take(TOLD);
        let told: Vec<String> = first.map(|(name, count)| format!("{} ({})", plain(name), spaced(*count))).collect();
        told.join(", ")
    };
    let (refused, networks) = (spaced(sources.refused), spaced(sources.networks.different));
    let mut known = vec![say(
        format!(
            "{refused} requests that were refused {span} came from {networks} networks; most from {}. No leaf of the ledger commits \
             to this count: it is of single requests, which are erased sooner.",
            ranked(&sources.networks)
        ),
        "no: an address that is answered cannot be forged. But it can be borrowed: proxies, infected machines, rented servers",
    )];
    if sources.prints.different > 0 {
        let prints = spaced(sources.prints.different);
        known.push(say(
            format!("Their software showed {prints} fingerprints (JA4); most often {}.", ranked(&sources.prints)),
            "yes: software can imitate any other",
        ));
    }
    known.extend(sources.countries.as_ref().map(|countries| Known {
        words: countries_in_words(countries, sources.refused),
        spoofable: "no, but an address is used from elsewhere than where it is registered: proxies, infected machines, rented servers",
        evidence: Evidence::default(),
    }));
    known.extend(sources.lists.iter().map(|matched| {
        let dated = matched.dated.map_or_else(
            || "it stands in the configuration and bears no date".to_owned(),
            |dated| format!("its file is of {}", moment::speak(dated)),
        );
        say(
            format!(
                "{} of them came from addresses on the list {}; {dated}.",
                spaced(matched.requests),
                plain(&matched.list)
            ),
            "no, but a list ages: an address may have had another holder by then",
        )
    }));
    known
}

fn countries_in_words(countries: &Countries, refused: u64) -> String {
    let Countries { file, built, named, nowhere, unread } = countries;
    let file = plain(file);
    if !unread.is_empty() {
        return format!("Countries could not be told: {file} cannot be read: {}.", plain(unread));
    }
    let share = |requests: u64| percent(requests as f64 / refused.max(1) as f64);
    let first = named.first.iter().take(TOLD);
    let told = first.map(|(code, requests)| format!("{} ({}, {})", plain(code), spaced(*requests), share(*requests)));
    let told: Vec<String> = told.collect();
    let from = match told.as_slice() {
        [] => "Of none of them a country is known".to_owned(),
        told => format!("They came from {} countries; most from {}", spaced(named.different), told.join(", ")),
    };
    let without = match nowhere {
        0 => String::new(),
        nowhere => format!("; for {} of them it names none", spaced(*nowhere)),
    };
    format!(
        "{from}{without}. This is where the addresses are registered or located according to {file}, built {}: it does not say who \
         acted.",
        Date::of_millis(*built)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Sources {
        Sources {
            from: 1_573_560_000_000,
            until: 1_573_563_600_000,
            refused: 12_345,
            networks: Ranked {
                different: 20,
                first: (0..20).map(|at| (format!("10.0.{at}.0/24"), 900 - at)).collect(),
            },
            prints: Ranked { different: 1, first: vec![("t13d1516h2".to_owned(), 12_345)] },
            countries: None,
            lists: vec![Matched { list: "rented".to_owned(), requests: 7, dated: Some(1_573_000_000_000) }],
            unread: String::new(),
        }
    }

    #[test]
    fn what_is_known_says_whether_it_can_be_forged_and_rests_on_no_leaf() {
        let known = sources(&counted());
        let words: Vec<&str> = known.iter().map(|known| known.words.as_str()).collect();
        assert!(words[0].starts_with("12,345 requests that were refused from 2019-11-12 12:00:00 UTC to"), "{words:?}");
        assert!(
            words[0].contains("20 networks; most from 10.0.0.0/24 (900)") && words[0].contains("No leaf"),
            "{words:?}"
        );
        assert!(!words[0].contains("10.0.10.0/24"), "ten are told");
        assert!(words[2].contains("7 of them") && words[2].contains("its file is of 2019-11-06"), "{words:?}");
        let spoofable: Vec<&str> =
            known.iter().map(|known| known.spoofable.split([':', ',']).next().unwrap_or("")).collect();
        assert_eq!(spoofable, ["no", "yes", "no"]);
        assert!(known.iter().all(|known| known.evidence.records == 0));
    }

    #[test]
    fn countries_are_told_with_their_file_and_never_as_who_acted() {
        let countries = |named: Ranked, nowhere, unread: &str| Countries {
            file: "countries<b>.mmdb\u{7}".to_owned(),
            built: 1_573_000_000_000,
            named,
            nowhere,
            unread: unread.to_owned(),
        };
        let words = |countries: Option<Countries>| {
            let known = sources(&Sources { countries, ..counted() });
            known.into_iter().map(|known| known.words).find(|words| words.contains("ountr")).unwrap_or_default()
        };
        let many = Ranked {
            different: 30,
            first: (0_u8..30).map(|at| (format!("{}K", char::from(b'A' + at % 26)), 3_000 - u64::from(at))).collect(),
        };
        let said = words(Some(countries(many, 45, "")));
        assert!(said.starts_with("They came from 30 countries; most from AK (3,000, 24.30 %), BK (2,999"), "{said}");
        assert!(
            said.contains("; for 45 of them it names none. This is where the addresses are registered or located"),
            "{said}"
        );
        assert!(said.ends_with(", built 2019-11-06: it does not say who acted."), "{said}");
        assert!(said.contains("JK (") && !said.contains("KK (") && !said.contains('\u{7}'), "ten are told: {said}");
        let none = words(Some(countries(Ranked::default(), 12_345, "")));
        assert!(none.starts_with("Of none of them a country is known; for 12,345 of them"), "{none}");
        assert!(words(Some(countries(Ranked::default(), 0, "not there"))).contains("cannot be read: not there."));
        assert_eq!(words(None), "", "nobody chose such a file, and nobody is told of countries");
    }

    #[test]
    fn what_could_not_be_counted_is_said() {
        let table = [
            (Sources { refused: 0, ..counted() }, "No request that was refused"),
            (
                Sources { unread: "a file is <b>broken</b>\u{7}".to_owned(), ..counted() },
                "could not be counted: a file",
            ),
        ];
        for (sources, expected) in table {
            let known = super::sources(&sources);
            assert!(known.len() == 1 && known[0].words.contains(expected), "{known:?}");
            assert!(!known[0].words.contains('\u{7}'), "what is no text is left out");
        }
    }
}
