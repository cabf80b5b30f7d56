//! The screen as lines of text. What it says is in words; colour only repeats it, so it reads without.
//!
//! Names and patterns come from visitors at times: nothing in them reaches the terminal but letters.

use portcullis_control::model::{Measure, Now, Platform};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::screen::{Mode, Row, STANCES, Screen};
use crate::moment;
use portcullis_incident::spaced;

/// Lines of advice at most.
const ADVICE: usize = 4;
/// Lines of what happened lately that measures do not push off the screen.
const LATELY: usize = 3;

const HELP: [&str; 14] = [
    "Each second it shows how the gate stands.",
    "",
    "up, down   choose a platform or a measure",
    "u          undo the rule that is chosen; asks first, and says what that costs",
    "p          pin it: it stays whatever the gate thinks of it; asks first",
    "h          hold the platform in a posture, or let the gate decide again (auto); asks first",
    "?          this help",
    "q          quit",
    "",
    "normal     nothing is out of the ordinary",
    "elevated   something is; everything is looked at, nobody is held by that",
    "attack     the excess has a pattern; rules hold whoever fits it",
    "overload   more than the platform can carry; the least urgent wait, then strangers",
    "recovery   it has ended, or seems to; rules are let go",
];

/// What is looked at, and whether colour is wanted.
pub(super) struct View {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) coloured: bool,
    /// By this machine's clock, in Unix milliseconds.
    pub(super) at: u64,
}

impl View {
    /// The whole screen: never more lines than it is high.
    pub(super) fn lines(&self, screen: &Screen) -> Vec<Line<'static>> {
        let Some(now) = &screen.now else {
            return vec![Line::from(cut("Waiting for the console …", self.width))];
        };
        let foot = self.foot(screen);
        let mut lines = vec![self.head(now, screen)];
        let room = self.height.saturating_sub(1 + foot.len());
        if screen.mode == Mode::Help {
            let help = HELP.iter().flat_map(|line| self.wrapped("", line, 2, Style::new()));
            lines.extend(help.take(room));
        } else {
            let advice = self.advice(now);
            let lately = screen.lately.len().min(LATELY);
            let lately = if lately == 0 { 0 } else { lately + 1 };
            let (body, chosen) = self.body(screen);
            let most = room.saturating_sub(advice.len()).saturating_sub(lately).max(1);
            lines.extend(window(body, chosen, most));
            lines.extend(advice);
            let left = room.saturating_sub(lines.len() - 1);
            lines.extend(self.lately(screen, left));
        }
        lines.truncate(self.height.saturating_sub(foot.len()));
        lines.resize(self.height.saturating_sub(foot.len()), Line::default());
        lines.extend(foot);
        lines.truncate(self.height);
        lines
    }

    fn head(&self, now: &Now, screen: &Screen) -> Line<'static> {
        let name = format!("portcullis  {}  {}", clean(&now.node), moment::speak(now.at));
        let (state, style) = match screen.old(self.at) {
            None => ("live".to_owned(), Style::new()),
            Some(seconds) => (
                format!("OLD: nothing heard for {}", spoken(seconds)),
                Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED),
            ),
        };
        let state = if now.draining { format!("{state}, draining") } else { state };
        let name = cut(&name, self.width.saturating_sub(state.chars().count() + 2));
        let gap = self.width.saturating_sub(name.chars().count() + state.chars().count());
        Line::from(vec![
            Span::styled(name, Style::new().add_modifier(Modifier::BOLD)),
            Span::raw(" ".repeat(gap)),
            Span::styled(state, style),
        ])
    }

    /// Platforms with their measures, and where the chosen one is.
    fn body(&self, screen: &Screen) -> (Vec<Line<'static>>, usize) {
        let (mut lines, mut chosen) = (Vec::new(), 0);
        for (index, row) in screen.rows().into_iter().enumerate() {
            let is_chosen = index == screen.chosen;
            if is_chosen {
                chosen = lines.len();
            }
            match row {
                Row::Platform(platform) => self.platform(platform, screen.now.as_deref(), is_chosen, &mut lines),
                Row::Measure(_, measure) => self.measure(measure, is_chosen, &mut lines),
            }
        }
        let now = screen.now.as_deref();
        for (sensor, why) in now.iter().flat_map(|now| &now.blind) {
            lines.extend(self.wrapped(
                "",
                &format!("BLIND  {sensor}: {why}"),
                2,
                Style::new().add_modifier(Modifier::BOLD),
            ));
        }
        if let Some(incident) = now.and_then(|now| now.incident.as_ref()) {
            lines.extend(self.wrapped("", &format!("INCIDENT {}  {}", incident.id, incident.words), 2, Style::new()));
        }
        (lines, chosen)
    }

    fn platform(&self, platform: &Platform, now: Option<&Now>, chosen: bool, lines: &mut Vec<Line<'static>>) {
        let at = now.map_or(self.at, |now| now.at);
        let since = spoken(at.saturating_sub(platform.since) / 1_000);
        let held = if platform.held { "  HELD BY A PERSON" } else { "" };
        let reading = match platform.reading.as_str() {
            "crowd" => "  looks like a crowd, not an attack",
            "attack" => "  looks like an attack",
            "strain" => "  the platform suffers, nobody is to blame yet",
            "unknown" => "  too little is known to tell",
            _ => "",
        };
        let text = format!("{}  {} for {since}{held}{reading}", platform.name, platform.posture.to_uppercase());
        lines.push(self.row(chosen, "", &text, self.posture(&platform.posture)));
        let quiet = platform.posture == "normal";
        if !quiet && !platform.why.is_empty() {
            lines.extend(self.wrapped("    ", &platform.why, 2, Style::new()));
        }
        if let Some(rates) = &platform.rates {
            let count = |rate: f64| spaced(rate.round().max(0.0) as u64);
            let mut told = vec![format!("{} served", count(rates.served))];
            for (rate, word) in [
                (rates.delayed, "of them waited"),
                (rates.challenged, "challenged"),
                (rates.roomed, "in the waiting room"),
                (rates.refused, "refused"),
                (rates.failed, "FAILED"),
            ] {
                if rate > 0.0 {
                    told.push(format!("{} {word}", count(rate)));
                }
            }
            let slow =
                platform.millis.map(|millis| format!("; 95 of 100 within {:.0} ms", millis[1])).unwrap_or_default();
            let text = format!("{} requests/s: {}{slow}", count(rates.requests), told.join(", "));
            lines.extend(self.wrapped("    ", &text, 3, Style::new()));
        }
        let out = platform.origins.iter().filter(|origin| origin.healthy == Some(false)).map(|it| it.url.as_str());
        let out = out.collect::<Vec<_>>();
        if !out.is_empty() {
            let text = format!("OUT  {} of {} servers: {}", out.len(), platform.origins.len(), out.join(", "));
            lines.extend(self.wrapped("    ", &text, 2, self.coloured(Color::Red).add_modifier(Modifier::BOLD)));
        }
        let hurt =
            platform.people.iter().filter(|it| it.known && it.refused + it.held > 0).map(|it| {
                format!("{} of {} requests ({})", spaced(it.refused + it.held), spaced(it.requests), it.name)
            });
        let hurt = hurt.collect::<Vec<_>>();
        if !hurt.is_empty() {
            let text = format!("HURT  people who are known, in ten seconds: {}", hurt.join(", "));
            lines.extend(self.wrapped("    ", &text, 2, self.coloured(Color::Red).add_modifier(Modifier::BOLD)));
        } else if !quiet && !platform.people.is_empty() {
            lines.push(Line::from(cut("    nobody who is known is held", self.width)));
        }
    }

    fn measure(&self, measure: &Measure, chosen: bool, lines: &mut Vec<Line<'static>>) {
        let pinned = if measure.pinned { "  PINNED" } else { "" };
        let share = if measure.share == 100 { String::new() } else { format!(" {} of 100", measure.share) };
        let matched = if measure.kind == "rule" {
            format!("  {} matched{pinned}", spaced(measure.matched))
        } else {
            String::new()
        };
        let text = format!("{}  {}  {}{share}{matched}", measure.id, measure.phase, measure.action);
        lines.push(self.row(chosen, "  ", &text, Style::new()));
        let why = if chosen && !measure.why.is_empty() {
            format!("{}: {}", measure.pattern, measure.why)
        } else {
            measure.pattern.clone()
        };
        lines.extend(self.wrapped(
            "      ",
            &why,
            if chosen { 3 } else { 1 },
            Style::new().add_modifier(Modifier::DIM),
        ));
    }

    fn advice(&self, now: &Now) -> Vec<Line<'static>> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut lines = Vec::new();
        for (index, advice) in now.advice.iter().enumerate() {
            let head = if index == 0 { "NEXT  " } else { "      " };
            let cost = if index == 0 && !advice.cost.is_empty() { format!(" {}", advice.cost) } else { String::new() };
            let most = if index == 0 { 3 } else { 1 };
            lines.extend(self.wrapped(
                head,
                &format!("{}{cost}", advice.words),
                most,
                if index == 0 { bold } else { Style::new() },
            ));
        }
        lines.truncate(ADVICE);
        lines
    }

    fn lately(&self, screen: &Screen, room: usize) -> Vec<Line<'static>> {
        if room < 2 || screen.lately.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![Line::styled("LATELY", Style::new().add_modifier(Modifier::BOLD))];
        lines.extend(screen.lately.iter().take(room - 1).map(|it| {
            let clock = moment::speak(it.at);
            let clock = clock.get(11..19).unwrap_or_default();
            let by = if it.by == "gate" { String::new() } else { format!("{}: ", it.by) };
            Line::from(cut(&clean(&format!("  {clock}  {by}{}", it.words)), self.width))
        }));
        lines
    }

    /// What is asked or said, and what keys do.
    fn foot(&self, screen: &Screen) -> Vec<Line<'static>> {
        let loud = Style::new().add_modifier(Modifier::REVERSED);
        let mut lines = Vec::new();
        if let Some(why) = &screen.lost {
            lines.extend(self.wrapped("", &format!("What you see is old: {why}. It is tried again."), 2, loud));
        }
        match &screen.mode {
            Mode::Sure(deed) => {
                lines.extend(self.wrapped("", &deed.words(), 4, loud));
                lines.push(Line::styled(cut("y yes   any other key: no", self.width), loud));
            }
            Mode::Stance(platform, at) => {
                let names = STANCES.iter().enumerate();
                let names =
                    names.map(|(index, (name, _))| if index == *at { format!("[{name}]") } else { (*name).to_owned() });
                let text = format!("Hold {platform} in: {}", names.collect::<Vec<_>>().join("  "));
                lines.extend(self.wrapped("", &text, 3, loud));
                lines.extend(self.wrapped("", STANCES[*at].1, 2, Style::new()));
                lines.push(Line::styled(cut("arrows choose   Enter: on   any other key: back", self.width), loud));
            }
            Mode::Help => lines.push(Line::styled(cut("any key: back", self.width), loud)),
            Mode::Look => {
                lines.extend(screen.said.iter().flat_map(|said| self.wrapped("", said, 3, Style::new())));
                let keys = ["up/down choose", "u undo", "p pin", "h hold", "? help", "q quit"];
                let keys = if self.width < 56 { keys[1..].join("  ") } else { keys.join("   ") };
                lines.push(Line::styled(cut(&keys, self.width), loud));
            }
        }
        lines
    }

    /// A line that can be chosen: it has a mark in front, and is turned where it is.
    fn row(&self, chosen: bool, indent: &str, text: &str, style: Style) -> Line<'static> {
        let mark = if chosen { "> " } else { "  " };
        let text = cut(&format!("{indent}{mark}{}", clean(text)), self.width);
        Line::styled(text, if chosen { style.add_modifier(Modifier::BOLD) } else { style })
    }

    fn wrapped(&self, head: &str, text: &str, most: usize, style: Style) -> Vec<Line<'static>> {
        let indent = " ".repeat(head.chars().count());
        let room = self.width.saturating_sub(head.chars().count()).max(8);
        let parts = wrap(&clean(text), room, most).into_iter().enumerate();
        let lines = parts.map(|(at, part)| {
            Line::styled(cut(&format!("{}{part}", if at == 0 { head } else { &indent }), self.width), style)
        });
        lines.collect()
    }

    fn posture(&self, posture: &str) -> Style {
        let colour = match posture {
            "normal" => Color::Green,
            "elevated" => Color::Yellow,
            "recovery" => Color::Cyan,
            "overload" => Color::Magenta,
            _ => Color::Red,
        };
        self.coloured(colour).add_modifier(Modifier::BOLD)
    }

    fn coloured(&self, colour: Color) -> Style {
        if self.coloured { Style::new().fg(colour) } else { Style::new() }
    }
}

/// As many lines as there is room for, with the chosen one among them; what is left out is said.
fn window(mut lines: Vec<Line<'static>>, chosen: usize, room: usize) -> Vec<Line<'static>> {
    let all = lines.len();
    if all <= room {
        return lines;
    }
    // The chosen row has a line or two of its own behind it.
    let from = (chosen + 3).saturating_sub(room.saturating_sub(1)).min(all.saturating_sub(room.saturating_sub(1)));
    let mut shown: Vec<Line<'static>> = lines.drain(from..).take(room.saturating_sub(1)).collect();
    shown.push(Line::from(format!("    … {} lines more: up, down", all - shown.len())));
    shown
}

/// Words in lines of a width; the last says that there was more.
fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        let joined = line + usize::from(line > 0) + word.chars().count();
        if line > 0 && joined > width {
            if lines.len() == most {
                if let Some(last) = lines.last_mut() {
                    *last = cut(&format!("{last} …"), width);
                    if !last.ends_with('…') {
                        *last = format!("{}…", last.chars().take(width.saturating_sub(1)).collect::<String>());
                    }
                }
                return lines;
            }
            lines.push(word.to_owned());
        } else if let Some(last) = lines.last_mut() {
            if line > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// The beginning of a text that is too long.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let begin: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{begin}…")
}

/// A visitor's words must neither move the cursor nor turn the reading direction.
fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '·' } else { c }).collect()
}

fn spoken(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_control::model::{Advice, Audience, Happening, IncidentLine, Origin, Rates};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyCode;
    use ratatui::widgets::Paragraph;

    use super::*;
    use crate::top::screen::tests::measure;
    use crate::top::wire::Update;

    /// 2026-05-17T20:00:00Z.
    const EVENING: u64 = 1_779_048_000_000;

    fn calm() -> Now {
        let rates = Rates { requests: 41.0, served: 41.0, ..Rates::default() };
        let platform = |name: &str| Platform {
            name: name.to_owned(),
            posture: "normal".to_owned(),
            reading: "calm".to_owned(),
            since: EVENING - 7_200_000,
            rates: Some(rates),
            millis: Some([4.0, 38.0, 90.0]),
            ..Platform::default()
        };
        let nothing =
            Advice { kind: "nothing".to_owned(), words: "Nothing. All is calm.".to_owned(), ..Advice::default() };
        Now {
            at: EVENING,
            node: "gate-1".to_owned(),
            platforms: vec![platform("public"), platform("members")],
            evidence: true,
            advice: vec![nothing],
            ..Now::default()
        }
    }

    fn attack() -> Now {
        let mut now = calm();
        let public = &mut now.platforms[0];
        public.posture = "attack".to_owned();
        public.reading = "attack".to_owned();
        public.since = EVENING - 190_000;
        public.why = "what came in the last second has a pattern that ordinary traffic has not: one page, no cookie, one browser".to_owned();
        public.rates = Some(Rates {
            requests: 12_404.0,
            served: 402.0,
            delayed: 21.0,
            challenged: 9_300.0,
            roomed: 0.0,
            refused: 2_700.0,
            failed: 2.0,
        });
        public.origins = vec![
            Origin { url: "http://10.0.0.5:8080".to_owned(), healthy: Some(true) },
            Origin { url: "http://10.0.0.6:8080".to_owned(), healthy: Some(false) },
        ];
        public.people = vec![Audience {
            name: "history".to_owned(),
            known: true,
            requests: 1_200,
            refused: 40,
            ..Audience::default()
        }];
        public.measures = vec![measure("r-81", "rule", 184_223), measure("r-82", "rule", 12)];
        public.measures[0].why =
            "it explains 91 of 100 of the excess, and would have hit 2 of 10,000 on an ordinary day".to_owned();
        public.measures[1].pattern = "evil\u{1b}[2J\u{202e}name".to_owned();
        now.incident = Some(IncidentLine {
            id: "2026-05-17-1".to_owned(),
            words: "An attack on public.".to_owned(),
            ..IncidentLine::default()
        });
        now.advice = vec![
            Advice {
                kind: "origin".to_owned(),
                words: "See to http://10.0.0.6:8080: it does not answer the gate.".to_owned(),
                cost: "Until then the others carry its share.".to_owned(),
                ..Advice::default()
            },
            Advice { words: "Look at r-81; undo it if members are who it holds.".to_owned(), ..Advice::default() },
        ];
        now
    }

    fn screen(now: Now) -> Screen {
        let mut screen = Screen::default();
        for (at, words) in
            [(EVENING - 190_000, "public: normal to attack."), (EVENING - 180_000, "r-81 is enforced on public.")]
        {
            let by = "gate".to_owned();
            screen.take(Update::Happened(Happening { at, by, words: words.to_owned(), ..Happening::default() }), at);
        }
        screen.take(Update::Now(Box::new(now)), EVENING);
        screen
    }

    /// What a terminal of that size would show.
    fn frame(screen: &Screen, (width, height): (u16, u16), at: u64) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let view = View { width: width.into(), height: height.into(), coloured: false, at };
        terminal.draw(|frame| frame.render_widget(Paragraph::new(view.lines(screen)), frame.area())).expect("drawn");
        let cells = terminal.backend().buffer().content();
        let rows = cells.chunks(width.into());
        let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned());
        rows.collect::<Vec<_>>().join("\n") + "\n"
    }

    #[test]
    fn frames_are_as_they_were_looked_at() {
        let sure = |mut screen: Screen| {
            screen.press(KeyCode::Down);
            screen.press(KeyCode::Char('u'));
            screen
        };
        let lost = |mut screen: Screen| {
            screen.take(Update::Lost("the console broke off".to_owned()), EVENING + 1_000);
            screen
        };
        let pressed = |mut screen: Screen, key: char| {
            screen.press(KeyCode::Char(key));
            screen
        };
        let table = [
            ("calm", screen(calm()), (80, 24), EVENING + 500),
            ("attack", screen(attack()), (80, 24), EVENING + 500),
            ("attack-undo", sure(screen(attack())), (80, 24), EVENING + 500),
            ("attack-hold", pressed(screen(attack()), 'h'), (80, 24), EVENING + 500),
            ("attack-narrow", screen(attack()), (40, 20), EVENING + 500),
            ("stale", lost(screen(attack())), (80, 24), EVENING + 95_000),
            ("help", pressed(screen(calm()), '?'), (80, 24), EVENING + 500),
        ];
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/frames");
        for (name, screen, size, at) in table {
            let path = directory.join(format!("{name}.txt"));
            let got = frame(&screen, size, at);
            if std::env::var_os("UPDATE").is_some() {
                std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&path, &got)).expect("written");
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(got, expected, "{name}: UPDATE=1 cargo test -p portcullis frames, then look at it");
        }
    }

    #[test]
    fn what_matters_is_on_every_screen() {
        for size in [(80, 24), (60, 16), (40, 20), (200, 60)] {
            let shown = frame(&screen(attack()), size, EVENING);
            for word in ["ATTACK", "NEXT", "q quit", "live"] {
                assert!(shown.contains(word), "{word} at {size:?}\n{shown}");
            }
            assert!(shown.lines().count() <= usize::from(size.1), "{size:?}");
        }
        let shown = frame(&screen(attack()), (10, 3), EVENING);
        assert!(shown.lines().count() <= 3, "tiny: {shown}");
    }

    #[test]
    fn what_is_old_is_said_in_words() {
        let shown = frame(&screen(calm()), (80, 24), EVENING + 60_000);
        assert!(shown.contains("OLD: nothing heard for 60 s"), "{shown}");
        assert!(!frame(&screen(calm()), (80, 24), EVENING + 900).contains("OLD"));
    }

    #[test]
    fn a_visitors_words_move_no_cursor() {
        let shown = frame(&screen(attack()), (120, 50), EVENING);
        assert!(shown.contains("evil·[2J·name") && !shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    }

    #[test]
    fn the_chosen_measure_is_in_sight_however_many_there_are() {
        let mut now = attack();
        now.platforms[0].measures = (0..60).map(|number| measure(&format!("r-{number}"), "rule", 1)).collect();
        let mut screen = screen(now);
        for _ in 0..50 {
            screen.press(KeyCode::Down);
        }
        let shown = frame(&screen, (80, 24), EVENING);
        assert!(shown.contains("> r-49") && shown.contains("lines more") && shown.contains("NEXT"), "{shown}");
    }

    #[test]
    fn without_colour_there_is_none() {
        let view = |coloured| View { width: 80, height: 24, coloured, at: EVENING };
        let colours = |coloured| {
            let lines = view(coloured).lines(&screen(attack()));
            lines
                .iter()
                .flat_map(|line| line.style.fg.into_iter().chain(line.spans.iter().filter_map(|it| it.style.fg)))
                .count()
        };
        assert!(colours(false) == 0 && colours(true) > 0);
    }
}
