//! The page and its words, in English and in Danish.

use serde_json::json;

use super::Page;
use super::board::{Board, State};
use crate::alerts::moment;

const STYLE: &str = ":root{color-scheme:light dark}\
body{font:1.125rem/1.6 system-ui,sans-serif;max-width:40rem;margin:6vh auto;padding:0 1.25rem;background:#fff;color:#1b1b1b}\
h1{font-size:1.7rem;line-height:1.25;border-left:.5rem solid;padding-left:.75rem}h2{font-size:1.2rem}\
.well{border-color:#1a7f37}.slow{border-color:#9a6700}.out{border-color:#cf222e}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .5rem .4rem 0;border-bottom:1px solid #767676;vertical-align:top}\
th{font-weight:600}a{color:#0b5394}.quiet{color:#505050}\
@media(prefers-color-scheme:dark){body{background:#121212;color:#ececec}a{color:#9ecbff}.quiet{color:#b8b8b8}}\
@media print{body{margin:0;background:#fff;color:#000}a{color:#000}}";

/// Words of one language.
struct Words {
    title: &'static str,
    /// By state: how it is on the whole, what is done, and how one platform is.
    whole: [&'static str; 3],
    doing: [&'static str; 3],
    one: [&'static str; 3],
    parts: &'static str,
    columns: [&'static str; 3],
    updated: &'static str,
    old: &'static str,
    ask: &'static str,
    more: &'static str,
}

const ENGLISH: Words = Words {
    title: "How our sites are",
    whole: ["All is well", "Slower than usual for some", "Parts of our sites cannot be reached"],
    doing: [
        "Our sites work as they should.",
        "Our sites are busy. They stay open, and we let everybody in as fast as we can: if you are asked to wait, please stay on the page.",
        "The fault is ours, not yours. We are working to bring back what cannot be reached. Please try again in a few minutes.",
    ],
    one: ["All is well", "Slower than usual for some", "Cannot be reached"],
    parts: "Our sites one by one",
    columns: ["Site", "How it is", "Since"],
    updated: "Last updated:",
    old: "If that is more than a few minutes ago, we cannot say how things are now.",
    ask: "If you need help",
    more: "Read more",
};

const DANISH: Words = Words {
    title: "Sådan har vores sider det",
    whole: ["Alt er godt", "Langsommere end normalt for nogle", "Dele af vores sider kan ikke nås"],
    doing: [
        "Vores sider virker, som de skal.",
        "Der er travlt på vores sider. De bliver ved at være åbne, og vi lukker alle ind, så hurtigt vi kan: bliver du bedt om at vente, så bliv på siden.",
        "Fejlen er vores, ikke din. Vi arbejder på at få det tilbage, der ikke kan nås. Prøv igen om nogle minutter.",
    ],
    one: ["Alt er godt", "Langsommere end normalt for nogle", "Kan ikke nås"],
    parts: "Vores sider en for en",
    columns: ["Side", "Sådan er den", "Siden"],
    updated: "Sidst opdateret:",
    old: "Er det mere end nogle minutter siden, kan vi ikke sige, hvordan det er nu.",
    ask: "Har du brug for hjælp",
    more: "Læs mere",
};

const NAMES: [&str; 3] = ["well", "slow", "out"];

/// The whole page. It loads nothing and runs nothing.
pub(super) fn html(board: &Board, page: &Page, (organisation, language): (&str, &str), at: u64) -> String {
    let (words, language) = if language == "da" { (&DANISH, "da") } else { (&ENGLISH, "en") };
    let worst = board.worst() as usize;
    let name = if organisation.is_empty() { String::new() } else { format!("{}: ", escaped(organisation)) };
    let rows = board.stands().map(|(name, stand)| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
            escaped(name),
            words.one[stand.state as usize],
            if stand.state == State::Well { String::new() } else { time(stand.since) }
        )
    });
    let rows: String = rows.collect();
    let [site, state, since] = words.columns;
    let mut asks: Vec<String> = Vec::new();
    for (email, phone) in &page.contacts {
        if !email.is_empty() {
            asks.push(format!("<li><a href=\"mailto:{0}\">{0}</a></li>", escaped(email)));
        }
        if !phone.is_empty() {
            let digits: String = phone.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
            asks.push(format!("<li><a href=\"tel:{digits}\">{}</a></li>", escaped(phone)));
        }
    }
    if page.more.starts_with("https://") || page.more.starts_with("http://") {
        asks.push(format!("<li><a href=\"{}\">{}</a></li>", escaped(&page.more), words.more));
    }
    let asks = if asks.is_empty() {
        String::new()
    } else {
        format!("<h2>{}</h2>\n<ul>\n{}\n</ul>\n", words.ask, asks.join("\n"))
    };
    format!(
        "<!doctype html>\n<html lang=\"{language}\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{name}{title}</title>\n<style>{STYLE}</style></head>\n<body><main>\n\
         <p class=\"quiet\">{name}{title}</p>\n<h1 class=\"{class}\">{whole}</h1>\n<p>{doing}</p>\n\
         <h2 id=\"parts\">{parts}</h2>\n<table aria-labelledby=\"parts\"><thead><tr><th scope=\"col\">{site}</th>\
         <th scope=\"col\">{state}</th><th scope=\"col\">{since}</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n{asks}\
         <p class=\"quiet\">{updated} {when}. {old}</p>\n</main></body></html>\n",
        title = words.title,
        class = NAMES[worst],
        whole = words.whole[worst],
        doing = words.doing[worst],
        parts = words.parts,
        updated = words.updated,
        when = time(at),
        old = words.old,
    )
}

/// The same for programs.
pub(super) fn json(board: &Board, organisation: &str, at: u64) -> String {
    let platforms = board
        .stands()
        .map(|(name, stand)| json!({ "name": name, "state": NAMES[stand.state as usize], "since": stand.since }));
    let whole = json!({
        "organisation": organisation,
        "state": NAMES[board.worst() as usize],
        "updated": at,
        "platforms": platforms.collect::<Vec<_>>(),
    });
    format!("{whole:#}\n")
}

fn time(millis: u64) -> String {
    let text = moment(millis);
    let machine = text.replacen(' ', "T", 1).replace(" UTC", "Z");
    format!("<time datetime=\"{machine}\">{text}</time>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Now, Platform};

    /// 2026-05-17T20:00:00Z.
    const EVENING: u64 = 1_779_048_000_000;

    fn board(postures: &[&str]) -> Board {
        let mut board = Board::default();
        let platform = |(at, posture): (usize, &&str)| Platform {
            name: format!("site-{at}"),
            posture: (*posture).to_owned(),
            why: "r-81 holds a botnet from 192.0.2.0/24".to_owned(),
            ..Platform::default()
        };
        board.tick(&Now { platforms: postures.iter().enumerate().map(platform).collect(), ..Now::default() }, EVENING);
        board
    }

    fn page() -> Page {
        let contacts = vec![("help@example.org".to_owned(), "+45 12 34 56 78".to_owned())];
        Page { more: "https://example.org/a?b&c".to_owned(), contacts, ..Page::default() }
    }

    #[test]
    fn it_says_in_plain_words_how_things_are_and_nothing_of_the_defence() {
        let text = html(&board(&["normal", "attack"]), &page(), ("Folk & <Co>", "en"), EVENING);
        for word in [
            "<html lang=\"en\">",
            "Slower than usual for some",
            "site-1",
            "2026-05-17 20:00 UTC",
            "datetime=\"2026-05-17T20:00Z\"",
            "mailto:help@example.org",
            "tel:+4512345678",
            "https://example.org/a?b&amp;c",
            "Folk &amp; &lt;Co&gt;",
        ] {
            assert!(text.contains(word), "{word}\n{text}");
        }
        for word in ["attack", "botnet", "192.0.2", "r-81", "<script", "refused", "posture"] {
            assert!(!text.to_lowercase().contains(word), "{word}");
        }
        let danish = html(&board(&["normal"]), &page(), ("", "da"), EVENING);
        assert!(danish.contains("<html lang=\"da\">") && danish.contains("Alt er godt"), "{danish}");
    }

    #[test]
    fn programs_get_the_same() {
        let value: serde_json::Value =
            serde_json::from_str(&json(&board(&["attack", "normal"]), "Folk", EVENING)).expect("JSON");
        assert_eq!((value["state"].as_str(), value["platforms"][1]["state"].as_str()), (Some("slow"), Some("well")));
        assert_eq!(value["updated"].as_u64(), Some(EVENING));
    }

    #[test]
    fn nothing_that_is_no_address_becomes_a_link() {
        let page = Page { more: "javascript:alert(1)".to_owned(), ..Page::default() };
        assert!(!html(&board(&["normal"]), &page, ("", "en"), EVENING).contains("javascript"));
    }
}
