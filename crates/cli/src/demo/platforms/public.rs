//! The public site of the campaign: front page, issues, events, about, and a small search.
//!
//! It keeps no state and sets no cookie.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use portcullis_types::Date;

use super::site::{self, Assets, Frame, Links, escape};
use super::{Asked, Desks, Platform, Reply, text};

/// What a page costs its server, and a search.
const PAGE: Duration = Duration::from_millis(2);
const SEARCH: Duration = Duration::from_millis(8);
/// The same on the small machine that attacks are played against.
const SMALL_PAGE: Duration = Duration::from_millis(15);
const SMALL_SEARCH: Duration = Duration::from_millis(60);

struct Issue {
    slug: &'static str,
    title: &'static str,
    line: &'static str,
    why: &'static str,
    points: [&'static str; 3],
}

const ISSUES: [Issue; 6] = [
    Issue {
        slug: "ferries",
        title: "Ferries that run",
        line: "A boat every hour, on every island, in every season.",
        why: "A ferry is our high street, our ambulance and our way to school. Last winter one sailing in five was cancelled, and nobody had to explain why.",
        points: [
            "An hourly boat to each of the seven islands, from six in the morning to eleven at night.",
            "Two electric ferries in the first term, built in our own yard at Saltby.",
            "A cancelled sailing is explained within the hour, and the fare comes back by itself.",
        ],
    },
    Issue {
        slug: "homes",
        title: "Homes to stay in",
        line: "Four hundred homes for people who live here all year.",
        why: "Every third house is dark from October to May, while the people who work here sleep in caravans. Whoever grows up on Merrow should be able to grow old here.",
        points: [
            "Four hundred homes on council land, to rent, within walking distance of a pier.",
            "A levy on houses that stand empty for more than half of the year.",
            "Help for anyone who turns an empty shop back into a home.",
        ],
    },
    Issue {
        slug: "schools",
        title: "A school on each island",
        line: "No child under twelve should commute by sea.",
        why: "Small schools cost a little more and give a great deal back: they are the reason that families stay. We will keep the doors open and share the teachers.",
        points: [
            "A promise in law: no island with ten children loses its school.",
            "Travelling teachers for music, languages and science.",
            "Warm meals for every pupil, from Merrow’s own farms and boats.",
        ],
    },
    Issue {
        slug: "water",
        title: "A sea to swim in",
        line: "Clean water, measured daily and published the same day.",
        why: "The harbour at Norwick was closed to swimmers on sixty days last summer. We know where the leaks are. Mending them is a matter of will.",
        points: [
            "Repair the three oldest sewers in the first two years.",
            "Measure the water at every beach, and publish it the same day.",
            "Bring back forty hectares of seagrass, which cleans and feeds the bay.",
        ],
    },
    Issue {
        slug: "council",
        title: "A council in the open",
        line: "Meetings you can watch, accounts you can read.",
        why: "Decisions about our islands are taken in rooms that we cannot enter. We will open the doors, the minutes and the books.",
        points: [
            "Every meeting streamed and kept, every vote recorded by name.",
            "Every payment over five hundred crowns published within a month.",
            "A citizens’ assembly, drawn by lot, for the decisions that divide us.",
        ],
    },
    Issue {
        slug: "work",
        title: "Work from the wind",
        line: "Our wind, our jobs, our electricity bill.",
        why: "The turbines on the north bank will stand there for thirty years. We want the work, the training and a share of the income to come ashore here.",
        points: [
            "A community share of one fifth in every new turbine.",
            "A training centre for wind and ferry engineers at Saltby.",
            "Cheaper electricity for every household within sight of the mast.",
        ],
    },
];

struct Event {
    in_days: i64,
    time: &'static str,
    title: &'static str,
    place: &'static str,
    where_to: &'static str,
}

const PLACES: [&str; 4] = ["Norwick", "Saltby", "Westhaven", "Little Merrow"];

const EVENTS: [Event; 9] = [
    Event {
        in_days: 2,
        time: "18:30",
        title: "Open evening: ask the candidates",
        place: "Norwick",
        where_to: "Harbour hall, upstairs. Lift and hearing loop.",
    },
    Event {
        in_days: 4,
        time: "10:00",
        title: "Knocking on doors, with cake afterwards",
        place: "Saltby",
        where_to: "Meet at the old boatyard gate.",
    },
    Event {
        in_days: 7,
        time: "07:15",
        title: "Breakfast on the first ferry",
        place: "Westhaven",
        where_to: "On board the Kittiwake, pier 2.",
    },
    Event {
        in_days: 9,
        time: "14:00",
        title: "Seagrass planting",
        place: "Little Merrow",
        where_to: "South beach. Boots are lent.",
    },
    Event {
        in_days: 12,
        time: "19:00",
        title: "Homes to stay in: a working night",
        place: "Norwick",
        where_to: "Library, reading room.",
    },
    Event {
        in_days: 15,
        time: "11:00",
        title: "Young islanders’ assembly",
        place: "Westhaven",
        where_to: "School gymnasium. From twelve years.",
    },
    Event {
        in_days: 18,
        time: "18:00",
        title: "Wind and work: meet the engineers",
        place: "Saltby",
        where_to: "Slipway café.",
    },
    Event {
        in_days: 23,
        time: "15:30",
        title: "Songs for the sea",
        place: "Little Merrow",
        where_to: "Chapel hill. Bring a chair.",
    },
    Event {
        in_days: 30,
        time: "20:00",
        title: "The big debate",
        place: "Norwick",
        where_to: "Town theatre, and as a stream.",
    },
];

/// The public site.
#[derive(Debug)]
pub(crate) struct Public {
    assets: Assets,
    desks: Desks,
    page: Duration,
    search: Duration,
    /// Days since 1970.
    today: i64,
}

impl Public {
    /// Events are laid around today. A small site carries 400 pages or 100 searches a second and no more.
    pub(crate) fn new(small: bool) -> Self {
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
        let today = i64::try_from(today).unwrap_or_default();
        let (desks, page, search) = if small { (6, SMALL_PAGE, SMALL_SEARCH) } else { (16, PAGE, SEARCH) };
        Self { assets: Assets::new(), desks: Desks::new(desks), page, search, today }
    }
}

impl Platform for Public {
    async fn answer(&self, asked: Asked) -> Reply {
        if asked.method != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "this site is read only");
        }
        if let Some(asset) = self.assets.answer(&asked) {
            return asset;
        }
        let links = Links::of(&asked);
        if asked.path == "/health" {
            return text(StatusCode::OK, "well");
        }
        let cost = if asked.path == "/search" { self.search } else { self.page };
        if let Err(overloaded) = self.desks.work(cost).await {
            return *overloaded;
        }
        match asked.path.as_str() {
            "/" => self.home(&links),
            "/issues" => issues(&links),
            "/events" => self.events(&links),
            "/about" => about(&links),
            "/search" => search(&links, asked.query("q").unwrap_or_default().trim()),
            "/robots.txt" => text(StatusCode::OK, "User-agent: *\nAllow: /\n"),
            path => match path.strip_prefix("/issues/").and_then(|slug| ISSUES.iter().find(|issue| issue.slug == slug))
            {
                Some(issue) => one_issue(&links, issue),
                None => site::not_found(&links),
            },
        }
    }
}

impl Public {
    fn home(&self, links: &Links) -> Reply {
        let main = format!(
            r#"<div class="hero"><img src="/assets/harbour.svg" alt="" width="1600" height="800"><div class="wrap">
<h1>Islands that everybody can live on</h1>
<p>Seven islands, one council, and a vote on the first Sunday of spring. We want ferries that run, homes to stay in and a sea to swim in.</p>
<p class="actions"><a class="button warm" href="{join}">Join Open Harbour</a> <a class="button plain" href="/issues">What we want</a></p>
</div></div>
<section><div class="wrap"><h2>What we want</h2><ul class="cards">{cards}</ul></div></section>
<section class="wash"><div class="wrap"><div class="split">
<div><h2>Next on the islands</h2><ol class="events">{events}</ol><p class="after"><a href="/events">All events</a></p></div>
<div><h2>Who we are</h2><p class="lead">Fishers, nurses, teachers and a retired harbour master. No company pays us: ninety-one of every hundred crowns come from gifts below fifty.</p>
<dl class="figures"><div><dt>members</dt><dd>4,000</dd></div><div><dt>islands</dt><dd>7</dd></div><div><dt>candidates</dt><dd>23</dd></div></dl></div>
</div></div></section>"#,
            join = links.to("join", "/join"),
            cards = cards(&ISSUES),
            events = self.list(&EVENTS[..3]),
        );
        frame("Islands that everybody can live on", "", links, &main)
    }

    fn events(&self, links: &Links) -> Reply {
        let mut places = String::new();
        for place in PLACES {
            let _ = write!(places, "<label><input type=\"radio\" name=\"place\" value=\"{place}\">{place}</label>");
        }
        let main = format!(
            r#"<div class="wrap page"><h1>Events</h1><p class="lead">Everything is free, and everything is open. Come by boat; we meet the last one.</p>
<form class="filters" hidden><fieldset class="filter"><legend>Where</legend><label><input type="radio" name="place" value="all" checked>All islands</label>{places}</fieldset></form>
<p id="shown" role="status">{count} events</p><ol class="events">{list}</ol></div>"#,
            count = EVENTS.len(),
            list = self.list(&EVENTS),
        );
        frame("Events", "Events", links, &main)
    }

    fn list(&self, events: &[Event]) -> String {
        events.iter().fold(String::new(), |mut list, event| {
            let day = self.today + event.in_days;
            let date = Date::of_days(day);
            let _ = write!(
                list,
                "<li data-place=\"{place}\"><time datetime=\"{iso}\"><b>{day}</b>{month}</time><div><h3>{title}</h3>\
                 <p>{weekday} {time}, {place} <span class=\"when\" data-date=\"{iso}\" hidden></span></p><p>{where_to}</p></div></li>",
                place = event.place,
                iso = date,
                day = date.day,
                month = month(date),
                weekday = weekday(day),
                title = event.title,
                time = event.time,
                where_to = event.where_to,
            );
            list
        })
    }
}

fn frame(title: &str, current: &str, links: &Links, main: &str) -> Reply {
    site::page(StatusCode::OK, &Frame { title, current, links, script: None, shared: true }, main)
}

fn cards<'a>(issues: impl IntoIterator<Item = &'a Issue>) -> String {
    issues.into_iter().fold(String::new(), |mut cards, issue| {
        let _ = write!(
            cards,
            "<li class=\"card\"><img src=\"/assets/{slug}.svg\" alt=\"\" width=\"64\" height=\"64\"><h3><a href=\"/issues/{slug}\">{title}</a></h3><p>{line}</p></li>",
            slug = issue.slug,
            title = issue.title,
            line = issue.line,
        );
        cards
    })
}

fn issues(links: &Links) -> Reply {
    let main = format!(
        "<div class=\"wrap page\"><h1>What we want</h1><p class=\"lead\">Six things, each with a price and a date. Members voted on every one of them.</p><ul class=\"cards\">{}</ul></div>",
        cards(&ISSUES)
    );
    frame("Issues", "Issues", links, &main)
}

fn one_issue(links: &Links, issue: &Issue) -> Reply {
    let points: String = issue.points.iter().map(|point| format!("<li>{point}</li>")).collect();
    let others = cards(ISSUES.iter().filter(|other| other.slug != issue.slug).take(3));
    let main = format!(
        r#"<article class="wrap page"><img src="/assets/{slug}.svg" alt="" width="96" height="96"><h1>{title}</h1><p class="lead">{line}</p>
<p>{why}</p><h2>What we will do</h2><ul class="points">{points}</ul>
<p class="actions"><a class="button" href="{join}">Help us do it</a> <a class="button plain" href="{donate}">Give a little</a></p></article>
<section class="wash"><div class="wrap"><h2>Read on</h2><ul class="cards">{others}</ul></div></section>"#,
        slug = issue.slug,
        title = issue.title,
        line = issue.line,
        why = issue.why,
        join = links.to("join", "/join"),
        donate = links.to("join", "/donate"),
    );
    frame(issue.title, "Issues", links, &main)
}

fn about(links: &Links) -> Reply {
    let people: String = [
        ("edda", "Edda Marlow", "Candidate for speaker; nurse"),
        ("tomas", "Tomas Vey", "Ferries; twenty years a mate"),
        ("noor", "Noor Halden", "Homes; carpenter"),
        ("ilse", "Ilse Brandt", "Water; retired harbour master"),
    ]
    .into_iter()
    .map(|(file, name, role)| {
        format!("<li><img src=\"/assets/{file}.svg\" alt=\"Drawn portrait of {name}\" width=\"240\" height=\"260\"><b>{name}</b><span>{role}</span></li>")
    })
    .collect();
    let main = format!(
        r#"<div class="wrap page"><h1>About Open Harbour</h1>
<p class="lead">We began in a ferry’s waiting room, on an evening when no ferry came.</p>
<div class="split"><div><p>Eleven people missed the last boat to Westhaven and talked until morning. Two years later there are four thousand of us, on all seven islands. Some have always voted left, some right, many not at all.</p>
<p>We take no money from companies, publish every gift over two hundred crowns, and decide by vote of all members.</p>
<p><a href="{join}">Join us</a>, or <a href="/events">come and look first</a>.</p></div>
<div class="note"><h2>Our data, your data</h2><p>Members’ data stays on our own servers. Whoever asks gets theirs, corrected or deleted, within a week.</p></div></div>
<h2>Some of us</h2><ul class="people">{people}</ul></div>"#,
        join = links.to("join", "/join"),
    );
    frame("About", "About", links, &main)
}

fn search(links: &Links, words: &str) -> Reply {
    let wanted: String = words.chars().take(80).collect::<String>().to_lowercase();
    let found: Vec<&Issue> = ISSUES
        .iter()
        .filter(|issue| {
            let mut texts = [issue.title, issue.line, issue.why].into_iter().chain(issue.points);
            !wanted.is_empty() && texts.any(|text| text.to_lowercase().contains(&wanted))
        })
        .collect();
    let shown: String = words.chars().take(80).collect();
    let outcome = match (wanted.is_empty(), found.len()) {
        (true, _) => String::new(),
        (false, 0) => format!("<p role=\"status\">Nothing about “{}” yet.</p>", escape(&shown)),
        (false, count) => {
            let pages = if count == 1 { "page" } else { "pages" };
            format!(
                "<p role=\"status\">{count} {pages} about “{}”.</p><ul class=\"cards\">{}</ul>",
                escape(&shown),
                cards(found)
            )
        }
    };
    let main = format!(
        r#"<div class="wrap page"><h1>Search</h1><form class="searchbar" role="search" action="/search"><label class="skip" for="q">Words</label><input id="q" type="search" name="q" value="{}" maxlength="80" placeholder="ferries, homes, water"><button>Search</button></form>{outcome}</div>"#,
        escape(&shown)
    );
    site::page(StatusCode::OK, &Frame { title: "Search", current: "", links, script: None, shared: false }, &main)
}

fn weekday(days: i64) -> &'static str {
    const NAMES: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    usize::try_from(days.rem_euclid(7)).ok().and_then(|day| NAMES.get(day).copied()).unwrap_or_default()
}

fn month(date: Date) -> &'static str {
    const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    NAMES.get(usize::from(date.month).saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names() {
        let table = [
            (0, "Thursday", "Jan"),
            (11_016, "Tuesday", "Feb"),
            (20_514, "Monday", "Mar"),
            (20_513, "Sunday", "Mar"),
            (47_541, "Monday", "Mar"),
        ];
        for (days, weekday_is, month_is) in table {
            assert_eq!((weekday(days), month(Date::of_days(days))), (weekday_is, month_is), "{days}");
        }
    }

    #[test]
    fn every_event_is_at_a_place_of_the_filter() {
        for event in &EVENTS {
            assert!(PLACES.contains(&event.place), "{}", event.title);
        }
    }
}
