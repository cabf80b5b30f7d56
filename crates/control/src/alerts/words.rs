//! What messages say, in English and in Danish, from one table.

use portcullis_types::Date;

use super::plan::{Item, Kind, Level, Message, Trouble, What};

/// A message as words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) title: String,
    /// Lines of what is wrong, and what to do next.
    pub(super) body: String,
}

/// A kind of trouble: what it is, and what to do next; each with the name of what it is about for `{}`.
struct Words {
    title: [&'static str; 2],
    next: [&'static str; 2],
}

const fn of(kind: Kind) -> Words {
    match kind {
        Kind::Attack => Words {
            title: ["Attack on {}", "Angreb på {}"],
            next: [
                "The gate is holding. Look whether people who are known are held, and undo the measure if so.",
                "Porten holder. Se efter, om kendte mennesker bliver holdt tilbage, og fortryd i så fald foranstaltningen.",
            ],
        },
        Kind::Overload => Words {
            title: ["{} has more visitors than it can carry", "{} har flere besøgende, end den kan bære"],
            next: [
                "Look whether a crowd was expected. Another server or fewer costly pages make room.",
                "Se efter, om der var ventet mange. En server mere eller færre tunge sider giver plads.",
            ],
        },
        Kind::Hurt => Words {
            title: ["People who are known are held on {}", "Kendte mennesker bliver holdt tilbage på {}"],
            next: [
                "Look at the measure that holds most, and undo it if they are who it holds.",
                "Se på den foranstaltning, der rammer flest, og fortryd den, hvis det er dem, den rammer.",
            ],
        },
        Kind::Origin => Words {
            title: ["A server behind {} does not answer", "En server bag {} svarer ikke"],
            next: [
                "See to the server: no measure of the gate can help.",
                "Se til serveren: ingen af portens foranstaltninger kan hjælpe.",
            ],
        },
        Kind::Held => Words {
            title: ["{} is held in a posture by a person", "{} bliver holdt i en stilling af et menneske"],
            next: [
                "Let the gate decide again as soon as that will do.",
                "Lad porten bestemme igen, så snart det går an.",
            ],
        },
        Kind::Blind => Words {
            title: ["{} does not see", "{} ser intet"],
            next: [
                "See why. Until then nothing can be said of what it watches.",
                "Find ud af hvorfor. Indtil da kan intet siges om det, den vogter.",
            ],
        },
        Kind::Incident => Words {
            title: ["Incident {} is open", "Hændelse {} er åben"],
            next: [
                "Look which clocks of it run: some reports are due within a day.",
                "Se, hvilke frister der løber: nogle indberetninger skal ske inden et døgn.",
            ],
        },
        Kind::Canary => Words {
            title: [
                "Data of a member who does not exist was seen ({})",
                "Data om et medlem, der ikke findes, blev set ({})",
            ],
            next: [
                "Somebody reads members' data. Read the incident, and take the way out of use if it is not known.",
                "Nogen læser medlemmers data. Læs hændelsen, og luk vejen, hvis den ikke er kendt.",
            ],
        },
        Kind::Budget => Words {
            title: ["More data leaves than is allowed ({})", "Der forlader mere data huset end tilladt ({})"],
            next: ["Look who asked, and whether that was meant.", "Se, hvem der spurgte, og om det var meningen."],
        },
        Kind::Finding => Words {
            title: ["Something is not as it was signed ({})", "Noget er ikke, som det blev signeret ({})"],
            next: [
                "Look what changed. If it was yours, sign it; if not, it is an intrusion.",
                "Se, hvad der er ændret. Var det jer, så signér det; ellers er det et indbrud.",
            ],
        },
        Kind::Alarm => Words {
            title: ["Something concerns an incident ({})", "Noget vedrører en hændelse ({})"],
            next: ["Read it in the console.", "Læs om det i konsollen."],
        },
        Kind::Lost => Words {
            title: ["Evidence could not be kept", "Beviser kunne ikke gemmes"],
            next: [
                "Look at the disk: what is not kept now nobody can show later.",
                "Se til disken: hvad der ikke gemmes nu, kan ingen vise senere.",
            ],
        },
        Kind::Clock => Words {
            title: ["A report is due soon: {}", "En indberetning skal snart afleveres: {}"],
            next: [
                "Fill in what only a person knows, and hand it in.",
                "Udfyld det, kun et menneske ved, og aflever den.",
            ],
        },
    }
}

/// One trouble in a line.
pub(super) fn title(trouble: &Trouble, danish: bool) -> String {
    pick(of(trouble.kind).title, danish).replace("{}", &trouble.about)
}

/// A message in words.
pub(super) fn text(message: &Message, danish: bool) -> Text {
    let say = |pair: [&'static str; 2]| pick(pair, danish);
    let head = match (&message.what, message.items.as_slice()) {
        (What::Test(by), _) => {
            let body = say([
                "{} wants to see whether this arrives. It did.",
                "{} vil se, om dette kommer frem. Det gjorde det.",
            ]);
            let title = say(["A test", "En prøve"]).to_owned();
            return Text { title, body: format!("{}\n\n{}\n", body.replace("{}", by), message.url) };
        }
        (_, []) => String::new(),
        (_, [one]) => title(&one.trouble, danish),
        (_, [first, others @ ..]) => {
            let more = say(["{}, and {} more", "{} og {} til"]);
            more.replacen("{}", &title(&first.trouble, danish), 1).replacen("{}", &others.len().to_string(), 1)
        }
    };
    let title = match message.what {
        What::Over => format!("{}{head}", say(["Over: ", "Ovre: "])),
        What::Unanswered => format!("{}{head}", say(["Nobody has answered: ", "Ingen har svaret: "])),
        _ if message.level == Level::Page => format!("{}{head}", say(["URGENT: ", "HASTER: "])),
        _ => head,
    };
    let items: Vec<String> = message.items.iter().map(|item| told(item, danish)).collect();
    let console = say(["Look, act, and say that you know:", "Se, handl, og sig, at I ved det:"]);
    Text { title, body: format!("{}\n\n{console}\n{}\n", items.join("\n\n"), message.url) }
}

fn told(item: &Item, danish: bool) -> String {
    let say = |pair: [&'static str; 2]| pick(pair, danish);
    let since = say(["since", "siden"]);
    let mut text = format!("* {} ({since} {}", title(&item.trouble, danish), moment(item.since));
    if let Some(over) = item.over {
        text.push_str(&format!(", {} {}", say(["over at", "ovre kl."]), moment(over)));
    }
    text.push(')');
    if !item.trouble.words.is_empty() {
        text.push_str("\n  ");
        text.push_str(&item.trouble.words);
    }
    if item.over.is_none() {
        text.push_str(&format!("\n  {} {}", say(["Next:", "Næste skridt:"]), say(of(item.trouble.kind).next)));
    }
    text
}

/// `2026-05-17 20:00 UTC`.
pub(crate) fn moment(millis: u64) -> String {
    let minutes = millis / 60_000 % 1_440;
    format!("{} {:02}:{:02} UTC", Date::of_millis(millis), minutes / 60, minutes % 60)
}

const fn pick(pair: [&'static str; 2], danish: bool) -> &'static str {
    pair[danish as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-05-17T20:00:00Z.
    const EVENING: u64 = 1_779_048_000_000;

    fn message(what: What, kinds: &[Kind], over: Option<u64>) -> Message {
        let item = |kind: &Kind| Item {
            trouble: Trouble {
                kind: *kind,
                about: "public".to_owned(),
                level: Level::Page,
                words: "It is much.".to_owned(),
            },
            since: EVENING,
            over,
        };
        let items = kinds.iter().map(item).collect();
        let url = "https://console.example.org".to_owned();
        Message { channel: 0, group: 1, number: 1, what, level: Level::Page, items, at: EVENING, url }
    }

    #[test]
    fn a_message_says_what_it_is_and_what_to_do_and_where() {
        let began = text(&message(What::Began, &[Kind::Attack], None), false);
        assert_eq!(began.title, "URGENT: Attack on public");
        let expected = "* Attack on public (since 2026-05-17 20:00 UTC)\n  It is much.\n  Next: The gate is holding. \
            Look whether people who are known are held, and undo the measure if so.\n\nLook, act, and say that you know:\n\
            https://console.example.org\n";
        assert_eq!(began.body, expected);
        let two = text(&message(What::Unanswered, &[Kind::Attack, Kind::Origin], None), true);
        assert_eq!(two.title, "Ingen har svaret: Angreb på public og 1 til");
        let over = text(&message(What::Over, &[Kind::Attack], Some(EVENING + 60_000)), true);
        assert_eq!(over.title, "Ovre: Angreb på public");
        assert!(over.body.contains("ovre kl. 2026-05-17 20:01 UTC") && !over.body.contains("Næste"), "{}", over.body);
        let test = text(&message(What::Test("ane".to_owned()), &[], None), true);
        assert!(test.title == "En prøve" && test.body.contains("ane") && test.body.contains("https://"), "{test:?}");
    }

    #[test]
    fn every_trouble_has_its_words_in_both_languages() {
        use Kind::*;
        for kind in [Attack, Overload, Hurt, Origin, Held, Blind, Incident, Canary, Budget, Finding, Alarm, Lost, Clock]
        {
            let words = of(kind);
            assert!(words.title[0] != words.title[1] && words.next[0] != words.next[1], "{kind:?}");
            let both = |texts: [&str; 2]| texts.iter().all(|text| text.len() > 5);
            assert!(both(words.title) && both(words.next), "{kind:?}");
            assert_eq!(words.title[0].contains("{}"), words.title[1].contains("{}"), "{kind:?}");
        }
    }
}
