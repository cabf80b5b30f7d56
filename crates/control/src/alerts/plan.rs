//! When who is told: what belongs together in one message, what waits until morning, who is next where nobody stirs.
//!
//! It knows no clock and sends nothing: it is told what is wrong and what time it is, in Unix milliseconds.

use std::collections::BTreeMap;

use super::Channel;
use crate::model;

/// Gone for so long, it is over: a posture that comes and goes is one trouble.
const SETTLED: u64 = 60_000;
/// What happened at a moment belongs to what happens within this time after it.
const LASTING: u64 = 15 * 60_000;
/// A page waits so long for what belongs to it, whatever the channel's span.
const PAGE_WAITS: u64 = 5_000;
/// Troubles that are known at once; the most urgent are kept.
const OPEN: usize = 200;
/// Groups of one channel that are not over; beyond it the oldest are forgotten.
const GROUPS: usize = 50;
const DAY: u64 = 86_400_000;

/// How urgent something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// To be known.
    Notice,
    /// To be looked at today.
    Warning,
    /// To be woken for.
    Page,
}

/// A time of day in which somebody is left in peace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// From, in minutes after midnight.
    pub from: u16,
    /// Until; before `from` it is on the next day.
    pub until: u16,
    /// Minutes that the clock there is ahead of UTC.
    pub offset: i16,
}

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Attack,
    Overload,
    Hurt,
    Origin,
    Held,
    Blind,
    Incident,
    Canary,
    Budget,
    Finding,
    Alarm,
    Lost,
    Clock,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    /// A platform, a sensor, an incident, a report.
    pub(crate) about: String,
    pub(crate) level: Level,
    /// Details, as the gate tells them.
    pub(crate) words: String,
}

/// By which one is known again.
type Key = (Kind, String);

/// What is sent to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// By its place in the list.
    pub(crate) channel: usize,
    /// Messages about the same group have the same.
    pub(crate) group: u64,
    /// Counts the messages of a group.
    pub(crate) number: u64,
    pub(crate) what: What,
    pub(crate) level: Level,
    pub(crate) items: Vec<Item>,
    pub(crate) at: u64,
    /// Of the console.
    pub(crate) url: String,
}

/// Why it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Something began.
    Began,
    /// Nobody has said that they know.
    Unanswered,
    /// All of it is over.
    Over,
    /// Somebody wants to see whether it arrives.
    Test(String),
}

/// One trouble, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) trouble: Trouble,
    pub(crate) since: u64,
    pub(crate) over: Option<u64>,
}

#[derive(Debug)]
struct Open {
    trouble: Trouble,
    since: u64,
    seen: u64,
    /// What happened at a moment is not seen again.
    moment: bool,
    acknowledged: Option<String>,
    over: Option<u64>,
}

/// What one channel is told together.
#[derive(Debug)]
struct Group {
    id: u64,
    keys: Vec<Key>,
    due: u64,
    unanswered: bool,
    sent: Option<u64>,
    messages: u64,
    escalated: bool,
}

/// Who is told when.
#[derive(Debug)]
pub(super) struct Plan {
    rules: Vec<Rule>,
    url: String,
    open: BTreeMap<Key, Open>,
    groups: Vec<Vec<Group>>,
    clocks: Vec<Trouble>,
    next: u64,
}

/// Of a channel, what decides.
#[derive(Debug)]
struct Rule {
    min: Level,
    quiet: Option<Quiet>,
    span: u64,
    next: Option<(u64, usize)>,
    /// It is told by itself, and not only where another was not answered.
    own: bool,
}

impl Quiet {
    /// The end of the quiet time that a moment lies in.
    pub(super) fn until(self, now: u64) -> Option<u64> {
        let local = i64::try_from(now).unwrap_or_default() + i64::from(self.offset) * 60_000;
        let of_day = local.rem_euclid(DAY as i64);
        let (from, until) = (i64::from(self.from) * 60_000, i64::from(self.until) * 60_000);
        let quiet = if from <= until { (from..until).contains(&of_day) } else { of_day >= from || of_day < until };
        let left = (until - of_day).rem_euclid(DAY as i64);
        quiet.then(|| now + u64::try_from(left).unwrap_or_default())
    }
}

impl Plan {
    pub(super) fn new(channels: &[Channel], url: &str) -> Self {
        let only_next = |at| channels.iter().any(|channel| channel.next.is_some_and(|(_, next)| next == at));
        let rules = channels.iter().enumerate().map(|(at, channel)| Rule {
            min: channel.min,
            quiet: channel.quiet,
            span: channel.group,
            next: channel.next,
            own: !only_next(at),
        });
        Self {
            rules: rules.collect(),
            url: url.to_owned(),
            open: BTreeMap::new(),
            groups: channels.iter().map(|_| Vec::new()).collect(),
            clocks: Vec::new(),
            next: 0,
        }
    }

    /// Something happened at a moment.
    pub(super) fn happened(&mut self, trouble: Trouble, now: u64) {
        self.see(trouble, true, now);
    }

    /// Reports that are due soon, until they are said again.
    pub(super) fn clocks(&mut self, due: Vec<Trouble>) {
        self.clocks = due;
    }

    /// What is wrong now, all of it; returns what is to be sent.
    pub(super) fn tick(&mut self, standing: Vec<Trouble>, now: u64) -> Vec<Message> {
        let clocks = self.clocks.clone();
        standing.into_iter().chain(clocks).for_each(|trouble| self.see(trouble, false, now));
        for open in self.open.values_mut().filter(|open| open.over.is_none()) {
            let lasts = if open.moment { LASTING } else { SETTLED };
            if now.saturating_sub(open.seen) >= lasts {
                open.over = Some(open.seen);
            }
        }
        let mut messages = Vec::new();
        for channel in 0..self.rules.len() {
            self.send_due(channel, now, &mut messages);
            self.escalate(channel, now);
            self.send_over(channel, now, &mut messages);
        }
        let groups = &self.groups;
        let told = |key: &Key| groups.iter().flatten().any(|group| group.keys.contains(key));
        self.open.retain(|key, open| open.over.is_none() || told(key));
        messages
    }

    /// Somebody knows of everything that is open; returns how much that is.
    pub(super) fn acknowledge(&mut self, by: &str) -> usize {
        let open = self.open.values_mut().filter(|open| open.over.is_none() && open.acknowledged.is_none());
        open.map(|open| open.acknowledged = Some(by.to_owned())).count()
    }

    /// A message that says that it is a test.
    pub(super) fn test(&mut self, channel: usize, by: &str, now: u64) -> Message {
        let what = What::Test(by.to_owned());
        let group = self.fresh(now);
        Message {
            channel,
            group,
            number: 1,
            what,
            level: Level::Notice,
            items: Vec::new(),
            at: now,
            url: self.url.clone(),
        }
    }

    /// What is open, for the console.
    pub(super) fn open(&self, title: impl Fn(&Trouble) -> String) -> Vec<model::Trouble> {
        let open = self.open.values().filter(|open| open.over.is_none());
        open.map(|open| model::Trouble {
            title: title(&open.trouble),
            about: open.trouble.about.clone(),
            level: name(open.trouble.level).to_owned(),
            words: open.trouble.words.clone(),
            since: open.since,
            acknowledged: open.acknowledged.clone(),
        })
        .collect()
    }

    fn see(&mut self, trouble: Trouble, moment: bool, now: u64) {
        let key = (trouble.kind, trouble.about.clone());
        if let Some(open) = self.open.get_mut(&key).filter(|open| open.over.is_none()) {
            open.seen = now;
            let worse = trouble.level > open.trouble.level;
            open.trouble = trouble;
            if !worse {
                return;
            }
            // What has become worse is told again.
            open.acknowledged = None;
        } else {
            if self.open.len() >= OPEN {
                return;
            }
            let open = Open { trouble, since: now, seen: now, moment, acknowledged: None, over: None };
            self.open.insert(key.clone(), open);
        }
        let level = self.open[&key].trouble.level;
        for channel in 0..self.rules.len() {
            if self.rules[channel].own && level >= self.rules[channel].min {
                self.join(channel, key.clone(), level, now);
            }
        }
    }

    /// Into the group that has not gone yet, or into a new one.
    fn join(&mut self, channel: usize, key: Key, level: Level, now: u64) {
        let rule = &self.rules[channel];
        let waits = if level == Level::Page { rule.span.min(PAGE_WAITS) } else { rule.span };
        let due = now + waits;
        if let Some(group) = self.groups[channel].iter_mut().find(|group| group.sent.is_none() && !group.unanswered) {
            group.due = group.due.min(due);
            if !group.keys.contains(&key) {
                group.keys.push(key);
            }
            return;
        }
        self.begin(channel, vec![key], due, false, now);
    }

    fn begin(&mut self, channel: usize, keys: Vec<Key>, due: u64, unanswered: bool, now: u64) {
        let id = self.fresh(now);
        let groups = &mut self.groups[channel];
        if groups.len() >= GROUPS {
            groups.remove(0);
        }
        groups.push(Group { id, keys, due, unanswered, sent: None, messages: 0, escalated: false });
    }

    /// Ascending, also over restarts.
    fn fresh(&mut self, now: u64) -> u64 {
        self.next = (self.next + 1).max(now);
        self.next
    }

    fn send_due(&mut self, channel: usize, now: u64, messages: &mut Vec<Message>) {
        let quiet = self.rules[channel].quiet;
        for at in 0..self.groups[channel].len() {
            let group = &self.groups[channel][at];
            if group.sent.is_some() || group.due > now {
                continue;
            }
            let items = self.items(group);
            let level = items.iter().map(|item| item.trouble.level).max().unwrap_or(Level::Notice);
            let morning = quiet.and_then(|quiet| quiet.until(now)).filter(|_| level < Level::Page && !group.unanswered);
            let what = if group.unanswered { What::Unanswered } else { What::Began };
            let (id, url) = (group.id, self.url.clone());
            let group = &mut self.groups[channel][at];
            if let Some(morning) = morning {
                group.due = morning;
                continue;
            }
            group.sent = Some(now);
            group.messages += 1;
            if !items.is_empty() {
                messages.push(Message { channel, group: id, number: 1, what, level, items, at: now, url });
            }
        }
    }

    /// What nobody has said that they know goes to the next.
    fn escalate(&mut self, channel: usize, now: u64) {
        let Some((after, next)) = self.rules[channel].next else { return };
        let mut handed = Vec::new();
        for group in &mut self.groups[channel] {
            if group.escalated || group.sent.is_none_or(|sent| now.saturating_sub(sent) < after) {
                continue;
            }
            group.escalated = true;
            let open =
                |key: &&Key| self.open.get(*key).is_some_and(|open| open.over.is_none() && open.acknowledged.is_none());
            let keys: Vec<Key> = group.keys.iter().filter(open).cloned().collect();
            if !keys.is_empty() {
                handed.push(keys);
            }
        }
        handed.into_iter().for_each(|keys| self.begin(next, keys, now, true, now));
    }

    fn send_over(&mut self, channel: usize, now: u64, messages: &mut Vec<Message>) {
        let mut ended = Vec::new();
        for group in self.groups[channel].iter().filter(|group| group.sent.is_some()) {
            let items = self.items(group);
            if items.iter().all(|item| item.over.is_some()) {
                ended.push(group.id);
                // What happened at a moment never was going on, so its end is no news; what was over before it was told, neither.
                let lasting = |item: &Item| {
                    self.open.get(&(item.trouble.kind, item.trouble.about.clone())).is_some_and(|it| !it.moment)
                };
                let fresh =
                    |item: &Item| item.over.is_some_and(|over| group.sent.is_some_and(|sent| over + SETTLED > sent));
                if items.iter().any(|item| lasting(item) && fresh(item)) {
                    let level = items.iter().map(|item| item.trouble.level).max().unwrap_or(Level::Notice);
                    let (what, url, number) = (What::Over, self.url.clone(), group.messages + 1);
                    messages.push(Message { channel, group: group.id, number, what, level, items, at: now, url });
                }
            }
        }
        self.groups[channel].retain(|group| !ended.contains(&group.id));
    }

    /// The most urgent first.
    fn items(&self, group: &Group) -> Vec<Item> {
        let open = group.keys.iter().filter_map(|key| self.open.get(key));
        let mut items: Vec<Item> =
            open.map(|open| Item { trouble: open.trouble.clone(), since: open.since, over: open.over }).collect();
        items.sort_by_key(|item| (std::cmp::Reverse(item.trouble.level), item.since));
        items
    }
}

pub(crate) const fn name(level: Level) -> &'static str {
    match level {
        Level::Notice => "notice",
        Level::Warning => "warning",
        Level::Page => "page",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Way;

    /// Midnight, UTC.
    const NIGHT: u64 = 20_000 * DAY;
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;

    fn channel(min: Level) -> Channel {
        let way = Way::Slack("http://127.0.0.1:1/".to_owned());
        Channel { name: "ops".to_owned(), way, min, quiet: None, group: MINUTE, next: None, ca: None }
    }

    fn trouble(kind: Kind, about: &str, level: Level) -> Trouble {
        Trouble { kind, about: about.to_owned(), level, words: "why".to_owned() }
    }

    fn attack() -> Trouble {
        trouble(Kind::Attack, "public", Level::Page)
    }

    fn blind() -> Trouble {
        trouble(Kind::Blind, "files/public", Level::Warning)
    }

    /// Second by second from a time on; who was told what, and in which second.
    fn play(plan: &mut Plan, from: u64, seconds: u64, at: impl Fn(u64) -> Vec<Trouble>) -> Vec<(u64, Message)> {
        let second = |second| plan.tick(at(second), from + second * 1_000).into_iter().map(move |it| (second, it));
        (0..seconds).flat_map(second).collect()
    }

    fn told(messages: &[(u64, Message)]) -> Vec<(u64, usize, What, Vec<Kind>)> {
        let told = messages.iter();
        told.map(|(second, it)| {
            (*second, it.channel, it.what.clone(), it.items.iter().map(|item| item.trouble.kind).collect())
        })
        .collect()
    }

    #[test]
    fn what_begins_together_is_one_message_and_its_end_another() {
        let mut plan = Plan::new(&[channel(Level::Warning)], "");
        let messages = play(&mut plan, NIGHT, 400, |second| match second {
            10..20 => vec![blind()],
            20..100 => vec![blind(), attack()],
            _ => vec![],
        });
        let expected = [
            (25, 0, What::Began, vec![Kind::Attack, Kind::Blind]),
            (159, 0, What::Over, vec![Kind::Attack, Kind::Blind]),
        ];
        assert_eq!(told(&messages), expected);
        assert_eq!(messages[0].1.group, messages[1].1.group, "the end belongs to the beginning");
        assert!(plan.open.is_empty() && plan.groups[0].is_empty(), "nothing stays");
    }

    #[test]
    fn what_comes_and_goes_is_one_trouble() {
        let mut plan = Plan::new(&[channel(Level::Warning)], "");
        let messages =
            play(&mut plan, NIGHT, 600, |second| if second < 300 && second % 40 < 5 { vec![attack()] } else { vec![] });
        let kinds: Vec<What> = told(&messages).into_iter().map(|it| it.2).collect();
        assert_eq!(kinds, [What::Began, What::Over]);
    }

    #[test]
    fn what_is_not_worth_it_is_not_told() {
        for (min, expected) in [(Level::Notice, 2), (Level::Warning, 2), (Level::Page, 0)] {
            let mut plan = Plan::new(&[channel(min)], "");
            let messages = play(&mut plan, NIGHT, 600, |second| if second < 100 { vec![blind()] } else { vec![] });
            assert_eq!(messages.len(), expected, "{min:?}");
        }
    }

    #[test]
    fn what_becomes_worse_is_told_again() {
        let mut plan = Plan::new(&[channel(Level::Warning)], "");
        let worse = |level| trouble(Kind::Origin, "public", level);
        let messages =
            play(&mut plan, NIGHT, 300, |second| vec![worse(if second < 120 { Level::Warning } else { Level::Page })]);
        let levels: Vec<(u64, Level)> = messages.iter().map(|(second, it)| (*second, it.level)).collect();
        assert_eq!(levels, [(60, Level::Warning), (125, Level::Page)]);
    }

    #[test]
    fn the_night_is_quiet_but_for_pages() {
        let quiet = Some(Quiet { from: 22 * 60, until: 7 * 60, offset: 120 });
        let mut plan = Plan::new(&[Channel { quiet, ..channel(Level::Warning) }], "");
        // It is two in the morning there.
        let messages = play(&mut plan, NIGHT, 6 * 3_600, |second| match second {
            0..30 => vec![blind()],
            3_600..3_700 => vec![attack()],
            _ => vec![],
        });
        let told: Vec<(u64, Vec<Kind>)> = told(&messages).into_iter().map(|it| (it.0, it.3)).collect();
        // The blind one has long been over: it goes out with the page that came, as something that was.
        assert_eq!(told[0], (3_605, vec![Kind::Attack, Kind::Blind]));
        let mut plan = Plan::new(&[Channel { quiet, ..channel(Level::Warning) }], "");
        let messages = play(&mut plan, NIGHT, 6 * 3_600, |_| vec![blind()]);
        assert_eq!(messages.iter().map(|it| it.0).collect::<Vec<_>>(), [5 * 3_600], "in the morning");
    }

    #[test]
    fn quiet_hours_are_those_of_the_place() {
        let quiet = |from: u16, until: u16, offset| Quiet { from: from * 60, until: until * 60, offset };
        let table = [
            (quiet(22, 7, 0), 23 * HOUR, Some(31 * HOUR)),
            (quiet(22, 7, 0), 6 * HOUR, Some(7 * HOUR)),
            (quiet(22, 7, 0), 7 * HOUR, None),
            (quiet(22, 7, 0), 12 * HOUR, None),
            (quiet(22, 7, 120), 20 * HOUR, Some(29 * HOUR)),
            (quiet(22, 7, -300), 4 * HOUR, Some(12 * HOUR)),
            (quiet(12, 13, 0), 12 * HOUR + MINUTE, Some(13 * HOUR)),
            (quiet(9, 9, 0), 9 * HOUR, None),
        ];
        for (quiet, at, expected) in table {
            assert_eq!(quiet.until(NIGHT + at), expected.map(|until| NIGHT + until), "{quiet:?} at {at}");
        }
    }

    #[test]
    fn where_nobody_stirs_the_next_is_told() {
        let channels = || [Channel { next: Some((10 * MINUTE, 1)), ..channel(Level::Warning) }, channel(Level::Notice)];
        let mut plan = Plan::new(&channels(), "");
        let messages = play(&mut plan, NIGHT, 1_000, |_| vec![attack()]);
        let expected = [(5, 0, What::Began, vec![Kind::Attack]), (605, 1, What::Unanswered, vec![Kind::Attack])];
        assert_eq!(told(&messages), expected, "the next is told only then, and once");
        let mut plan = Plan::new(&channels(), "");
        let mut messages = play(&mut plan, NIGHT, 300, |_| vec![attack()]);
        assert_eq!(plan.acknowledge("ane"), 1);
        messages.extend(play(&mut plan, NIGHT + 300_000, 1_000, |_| vec![attack()]));
        assert_eq!(told(&messages).len(), 1, "somebody knows");
    }

    #[test]
    fn what_happened_at_a_moment_has_no_end() {
        let mut plan = Plan::new(&[channel(Level::Warning)], "");
        plan.happened(trouble(Kind::Canary, "http/public", Level::Page), NIGHT);
        plan.happened(trouble(Kind::Canary, "http/public", Level::Page), NIGHT + 1_000);
        let messages = play(&mut plan, NIGHT, 3_600, |_| vec![]);
        assert_eq!(told(&messages), [(5, 0, What::Began, vec![Kind::Canary])]);
    }

    #[test]
    fn a_flood_of_troubles_is_bounded() {
        let mut plan = Plan::new(&[channel(Level::Notice)], "");
        for number in 0..10 * OPEN as u64 {
            plan.happened(trouble(Kind::Finding, &number.to_string(), Level::Warning), NIGHT + number * 100);
            plan.tick(vec![], NIGHT + number * 100);
        }
        assert!(plan.open.len() <= OPEN && plan.groups[0].len() <= GROUPS);
    }
}
