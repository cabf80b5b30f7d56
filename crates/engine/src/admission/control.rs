//! How many requests at once a platform gets, and who may queue: decided each 100 ms from what it achieved.
//!
//! In calm there is no limit but one far above what calm ever needed, and on the first day not even that. Stress is known
//! by three signs: requests take a multiple of their time without load, they fail, or they pile up faster than they end.
//! Then the first limit is what the platform is known to carry: the work it completes in a second, in units of its own
//! time without load (Little's law), with some headroom. From there it is
//! corrected by the gradient of latency: down quickly, up slowly. After each cut we look whether it helped: where fewer
//! requests at once are served no faster, the platform is not crowded but slow, and the limit goes back up. So a slow
//! database is shed fairly and not choked to death.
//!
//! The cut is a PID controller on the time that the queue needs to drain. It decides which share of what comes is refused
//! at once, lowest priority first, so that the queue holds only what will be served.

use portcullis_types::{RouteClass, Tick};
use serde::{Deserialize, Serialize};

use super::flow::{Flow, PRIORITIES};
use crate::brain::orders::{AdmissionOrders, RoomOrders};
use crate::brain::posture::Posture;
use crate::senses::harvest::{CLASSES, PlatformHarvest};

/// Before there is any stress: so many times what was ever under way at once in calm, and at least so many. It touches nobody
/// in calm, and keeps what comes in the first instants of a flood from filling the platform's own queue.
const STANDING: (f64, f64) = (2.0, 16.0);
/// Ticks of calm until that is known.
const STANDING_AFTER: u32 = 600;
/// Ticks that are remembered, a second of them.
const WINDOW: usize = 10;
/// Ticks after which calm is believed to have been calm.
const BELIEVED: u32 = 30;
/// Of these, so many are the present.
const PRESENT: usize = 3;
const PRESENT_TICKS: u32 = 3;
/// Requests take so many times what they take without load: stress.
const SLOW: f64 = 2.0;
/// And they take so many microseconds longer: what nobody notices is no stress (DAGOR's 20 ms).
const SLOW_US: f64 = 20_000.0;
/// While a limit holds: up to so many times the time without load it grows, from there on it shrinks slowly, and from there
/// on quickly.
const GROWS: f64 = 1.1;
const SHRINKS: f64 = 1.2;
const TOLERATED: f64 = 1.3;
/// While a limit holds, so many microseconds matter.
const LATE_US: f64 = 4_000.0;
/// Where even the dearest requests take less than this without load, they are late by twice what is lacking, at least: below
/// it a busy machine's own scheduling looks like a queue many times the work, and nobody notices either.
const FAST_US: f64 = 20_000.0;
/// A cut is judged when it has come to this; smaller ones drown in noise.
const TELLING: f64 = 1.5;
/// How much is cut to see whether the platform is crowded or slow, and how long until it is tried again, in ticks.
const PROBE: f64 = 0.6;
const PROBE_AFTER: (u32, u32) = (40, 600);
/// More than the usual share of requests fails by so much: stress.
const FAILING: f64 = 0.1;
/// Fewer failures than this in a second prove nothing.
const FAILURES: f64 = 5.0;
/// Requests that end in the present; with fewer the second is looked at.
const ENOUGH: f64 = 40.0;
/// Ticks of it before a platform to which no more comes than usual is believed to be slow by itself: its pace is known
/// only when what came before has ended.
const CONFIRM_SLOW: u32 = 8;
/// So many times the work of calm is nothing out of the ordinary.
const ORDINARY: f64 = 1.25;
/// Ticks of stress before a limit is set.
const CONFIRM: u32 = 2;
/// The smallest limit.
const FLOOR: f64 = 2.0;
/// The limit over what the platform is known to carry.
const HEADROOM: f64 = 1.25;
/// Ticks without stress and without use before a limit is lifted.
const LIFT_AFTER: u32 = 30;
/// Time without load is the least mean of so many periods.
const PERIODS: usize = 10;
/// Ticks of a period, a minute.
const PERIOD: u32 = 600;
/// Times without load of whom too little is known: so many times the fastest.
const OVER_FASTEST: f64 = 2.0;
/// A platform is not believed to have become slower than that by itself.
const SLOWEST: f64 = 50.0;
/// The queue should need no longer to drain, in seconds.
const DRAIN: f64 = 0.8;
/// The PID controller's gains, per tick.
const GAINS: [f64; 3] = [0.10, 0.02, 0.05];
/// The greatest share of what comes that is refused at once.
const MOST_REFUSED: f64 = 0.98;
/// Ticks on which visitors were turned away before the waiting room opens.
const TURNED_AWAY: u32 = 5;
/// Of the limit, so much must be in use for it to grow, and for the room to open.
const FULL: f64 = 0.75;
/// Ticks without a backlog before the room closes.
const EMPTY: u32 = 100;

/// How a platform bears its load.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Strain {
    /// Slow, failing, or piling up, now.
    pub stressed: bool,
    /// How many times the time without load requests take; 1 where nothing ended.
    pub slowdown: f64,
    /// The share of requests that fail.
    pub failing: f64,
    /// Whether a limit holds.
    pub limited: bool,
    /// Requests refused or sent to the waiting room in the last second.
    pub shed: u32,
    /// Milliseconds that the queue needs to drain.
    pub drain_ms: f64,
    /// Milliseconds that a request takes without load, weighted by what comes; 0 while unknown.
    pub no_load_ms: f64,
}

/// What a platform is known to bear, for another process to begin with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Borne {
    /// By class: microseconds without load, and requests at once that its work usually amounts to.
    no_load: [Option<f64>; CLASSES],
    usual: [f64; CLASSES],
    /// The most at once in calm, the most work of calm, and the work that is known to be carried.
    peak: f64,
    work: f64,
    proven: f64,
    carried: f64,
    /// Ticks of calm behind that.
    calm: u32,
    /// As it stood: the limit, how slow the platform is by itself, and how often it fails.
    limit: Option<f64>,
    slow: f64,
    failing: f64,
}

impl Borne {
    /// Whether numbers that were read back can be worked with.
    pub(crate) fn is_sound(&self) -> bool {
        let known = self.no_load.iter().flatten().chain(&self.usual).chain(&self.limit);
        let others = [self.peak, self.work, self.proven, self.carried, self.slow, self.failing];
        known.chain(&others).all(|number| number.is_finite() && *number >= 0.0)
    }
}

/// Decides about one platform.
#[derive(Debug)]
pub(crate) struct Controller {
    last: Option<Tick>,
    window: [[Counts; CLASSES]; WINDOW],
    spans: [f64; WINDOW],
    at: usize,
    classes: [Class; CLASSES],
    /// Work that was completed in a second, in requests at once without load: the greatest of late.
    carried: f64,
    /// The same of what was completed without delay, remembered for minutes.
    proven: f64,
    /// The same of what came over the last second, and the greatest of it in calm.
    wanted: f64,
    usual: f64,
    /// Requests at once in calm: the greatest of late, of how many ticks, and how far that is exceeded while all is well.
    peak: f64,
    /// The same of the last seconds, and of the seconds before.
    latest: f64,
    before: f64,
    latest_work: f64,
    before_work: f64,
    calm: u32,
    raised: f64,
    /// Ticks on which the bound was reached.
    pressed: u32,
    /// Requests that end well in a second.
    ending: f64,
    limit: Option<f64>,
    /// Ticks since the limit was changed and what is under way has come down to it.
    settled: u32,
    /// The slowdown without its noise.
    smooth: f64,
    /// The same of the last ticks.
    past: [f64; PRESENT],
    /// Ticks until the next probe, and how long the one after it will have to wait.
    probe: (u32, u32),
    cut: Option<Cut>,
    stressed: u32,
    unused: u32,
    /// How many times slower than it was the platform is believed to be by itself.
    slow: f64,
    /// The share of failures that fewer requests do not change.
    failing: f64,
    /// Of what others leave, so much is given to a class that has grown.
    squeeze: f64,
    refused: Pid,
    asked: Box<[f64; PRIORITIES]>,
    room: Option<Open>,
    /// Ticks on which visitors were turned away, and when that began.
    turned_away: (u32, u64),
    strain: Strain,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    admitted: f64,
    queued: f64,
    good: f64,
    failed: f64,
    origin_us: f64,
    shed: f64,
}

impl Counts {
    /// What asked for a place; what a rule refused did not.
    fn wanted(&self) -> f64 {
        (self.admitted + self.shed).max(self.queued)
    }
}

/// What is known of one class.
#[derive(Debug, Clone, Copy)]
struct Class {
    /// Microseconds without load: the least of `periods`.
    no_load: Option<f64>,
    fastest: Option<f64>,
    /// Means of the last minutes of calm, zero where unknown.
    periods: [f64; PERIODS],
    period: usize,
    /// Of the present minute: microseconds, requests, ticks.
    sum: f64,
    count: f64,
    ticks: u32,
    /// Requests at once that its work usually amounts to.
    usual: f64,
}

impl Default for Class {
    fn default() -> Self {
        Self {
            no_load: None,
            fastest: None,
            periods: [0.0; PERIODS],
            period: 0,
            sum: 0.0,
            count: 0.0,
            ticks: 0,
            usual: 0.0,
        }
    }
}

/// A cut of which it is not known yet whether it helped.
#[derive(Debug, Clone, Copy)]
struct Cut {
    from: f64,
    to: f64,
    slowdown: f64,
    failing: f64,
    /// Made to learn something, and taken back if it did not help.
    probing: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pid {
    share: f64,
    before: [f64; 2],
}

/// The waiting room, open.
#[derive(Debug, Clone, Copy)]
struct Open {
    until: u64,
    /// Tickets called in a second.
    rate: f64,
    carry: f64,
    speed: f64,
    empty: u32,
}

impl Controller {
    pub(crate) fn new() -> Self {
        Self {
            last: None,
            window: [[Counts::default(); CLASSES]; WINDOW],
            spans: [0.0; WINDOW],
            at: 0,
            classes: [Class::default(); CLASSES],
            carried: 0.0,
            proven: 0.0,
            wanted: 0.0,
            usual: 0.0,
            peak: 0.0,
            latest: 0.0,
            before: 0.0,
            latest_work: 0.0,
            before_work: 0.0,
            calm: 0,
            raised: 1.0,
            pressed: 0,
            ending: 1.0,
            limit: None,
            settled: 0,
            smooth: 1.0,
            past: [1.0; PRESENT],
            probe: PROBE_AFTER,
            cut: None,
            stressed: 0,
            unused: 0,
            slow: 1.0,
            failing: 0.0,
            squeeze: 1.0,
            refused: Pid::default(),
            asked: Box::new([0.0; PRIORITIES]),
            room: None,
            turned_away: (0, 0),
            strain: Strain { slowdown: 1.0, ..Strain::default() },
        }
    }

    pub(crate) fn save(&self) -> Borne {
        Borne {
            no_load: self.classes.map(|class| class.no_load),
            usual: self.classes.map(|class| class.usual),
            peak: self.peak,
            work: self.usual,
            proven: self.proven,
            carried: self.carried,
            calm: self.calm,
            limit: self.limit,
            slow: self.slow,
            failing: self.failing,
        }
    }

    /// Takes what an earlier process knew; `no_load_us` by class where it did not. A start in the middle of an attack need not
    /// take the platform as it then is for the platform without load. How it stood only where that is how it stands.
    pub(crate) fn recall(&mut self, known: &Borne, no_load_us: [Option<f64>; CLASSES], is_of_now: bool) {
        for (at, (class, no_load)) in self.classes.iter_mut().zip(no_load_us).enumerate() {
            class.no_load = class.no_load.or(known.no_load.get(at).copied().flatten()).or(no_load);
            class.usual = known.usual.get(at).copied().unwrap_or(class.usual);
        }
        (self.peak, self.usual, self.calm) = (known.peak, known.work, known.calm);
        (self.proven, self.before, self.before_work) = (known.proven, known.peak, known.work);
        if is_of_now {
            self.carried = known.carried;
            (self.slow, self.failing) = (known.slow.max(1.0), known.failing.min(1.0));
            self.smooth = self.slow;
            self.set(known.limit.map(|limit| limit.max(FLOOR)));
        }
    }

    /// How the platform bears its load, as of the last step.
    pub(crate) const fn strain(&self) -> Strain {
        self.strain
    }

    /// Takes in what all shards saw of the platform since the last step, and says what admission holds to. Times without load
    /// are learned only in `Posture::Normal`. `wall` is unix milliseconds.
    pub(crate) fn step(
        &mut self,
        seen: &PlatformHarvest,
        flow: &Flow,
        posture: Posture,
        now: Tick,
        wall: u64,
    ) -> AdmissionOrders {
        let span = self.last.replace(now).map_or(0.1, |last| now.since(last).as_secs_f64()).clamp(0.01, 1.0);
        self.note(seen, span);
        self.feel(flow);
        if self.strain.stressed {
            (self.latest, self.before) = (0.0, 0.0);
            (self.latest_work, self.before_work) = (0.0, 0.0);
        }
        if posture == Posture::Normal && self.limit.is_none() && !self.strain.stressed {
            self.learn();
            // Only what was followed by seconds of calm counts: a flood does not raise the bound that meets it.
            self.latest = self.latest.max(f64::from(flow.under_way()));
            self.latest_work = self.latest_work.max(self.wanted);
            self.calm = self.calm.saturating_add(1);
            if self.calm.is_multiple_of(BELIEVED) {
                self.peak = self.before.max(self.peak * 0.997);
                self.before = std::mem::take(&mut self.latest);
                self.usual = self.before_work.max(self.usual * 0.997);
                self.before_work = std::mem::take(&mut self.latest_work);
            }
        }
        self.limit(flow);
        let (cut, classes) = (self.refuse(flow, span), self.classes(flow));
        let room = self.room(flow, span, wall);
        let standing = self.standing(flow);
        let whole = self.limit.or(standing).map_or(u32::MAX, whole);
        let slower = if self.limit.is_some() { u32_of(self.smooth).max(1) } else { 1 };
        AdmissionOrders { whole, classes, cut, room, shelters: false, slower }
    }

    fn note(&mut self, seen: &PlatformHarvest, span: f64) {
        self.at = (self.at + 1) % WINDOW;
        let mut counts = [Counts::default(); CLASSES];
        for ((counts, tally), class) in counts.iter_mut().zip(&seen.classes).zip(&mut self.classes) {
            let good = tally.completed;
            *counts = Counts {
                admitted: f64::from(tally.admitted),
                queued: f64::from(tally.queued),
                good: f64::from(good),
                failed: f64::from(tally.failed),
                origin_us: micros(tally.origin_us),
                shed: f64::from(tally.shed),
            };
            if good > 0 && !matches!(tally.fastest_us, 0 | u32::MAX) {
                let fastest = f64::from(tally.fastest_us.max(1));
                // It is forgotten within minutes, so that one lucky answer does not count for ever.
                class.fastest = Some(class.fastest.map_or(fastest, |known| fastest.min(known * 1.0005)));
            }
        }
        if let (Some(window), Some(of)) = (self.window.get_mut(self.at), self.spans.get_mut(self.at)) {
            (*window, *of) = (counts, span);
        }
    }

    /// The sum of the last `ticks`, by class, and how many seconds they took.
    fn sum(&self, ticks: usize) -> ([Counts; CLASSES], f64) {
        let mut sums = [Counts::default(); CLASSES];
        let mut seconds = 0.0;
        for back in 0..ticks.min(WINDOW) {
            let at = (self.at + WINDOW - back) % WINDOW;
            let (Some(window), Some(span)) = (self.window.get(at), self.spans.get(at)) else { continue };
            seconds += span;
            for (sum, counts) in sums.iter_mut().zip(window) {
                sum.admitted += counts.admitted;
                sum.queued += counts.queued;
                sum.good += counts.good;
                sum.failed += counts.failed;
                sum.origin_us += counts.origin_us;
                sum.shed += counts.shed;
            }
        }
        (sums, seconds.max(0.01))
    }

    /// Microseconds without load of a class, as far as is known.
    fn no_load(&self, class: usize) -> Option<f64> {
        let class = self.classes.get(class)?;
        class.no_load.or(class.fastest.map(|fastest| fastest * OVER_FASTEST))
    }

    /// The same of the class that takes the longest.
    fn dearest(&self) -> f64 {
        (0..CLASSES).filter_map(|class| self.no_load(class)).fold(0.0, f64::max)
    }

    /// Work in requests at once without load: what `count` requests of each class amount to in a second.
    fn work(&self, sums: &[Counts; CLASSES], seconds: f64, count: impl Fn(&Counts) -> f64) -> f64 {
        let each = sums.iter().enumerate();
        each.map(|(class, sum)| count(sum) * self.no_load(class).unwrap_or(0.0)).sum::<f64>() / seconds / 1e6
    }

    fn feel(&mut self, flow: &Flow) {
        let (second, seconds) = self.sum(WINDOW);
        let (present, present_seconds) = self.sum(PRESENT);
        let total = |sums: &[Counts; CLASSES], count: fn(&Counts) -> f64| sums.iter().map(count).sum::<f64>();
        let good = |sums: &[Counts; CLASSES]| total(sums, |sum| sum.good);
        let (sums, of) = if good(&present) >= ENOUGH { (&present, present_seconds) } else { (&second, seconds) };

        let expected = self.work(sums, of, |sum| sum.good) * of * 1e6;
        let taken: f64 = sums.iter().map(|sum| sum.origin_us).sum();
        let (slowdown, longer) = match good(sums) {
            count if count >= 3.0 && expected > 0.0 => (taken / expected, (taken - expected * self.slow) / count),
            _ => (1.0, 0.0),
        };
        let (failed, ended) = (total(&second, |sum| sum.failed), good(&second) + total(&second, |sum| sum.failed));
        let failing = if ended > 0.0 { failed / ended } else { 0.0 };
        if failing < self.failing {
            self.failing += (failing - self.failing) * 0.02;
        }
        self.smooth += (slowdown - self.smooth) * if self.smooth > 2.0 * slowdown { 1.0 } else { 0.3 };
        if self.smooth < self.slow {
            // Slowly, so that noise does not pull it down; quickly where it was far off.
            let speed = if self.smooth < self.slow * 0.7 { 0.3 } else { 0.02 };
            self.slow = (self.slow + (self.smooth - self.slow) * speed).max(1.0);
        }

        let done = self.work(&present, present_seconds, |sum| sum.good);
        self.carried = done.max(self.carried * 0.995);
        let well = if slowdown <= TOLERATED { done } else { 0.0 };
        self.proven = well.max(self.proven * 0.9999);

        // What does not end is known before it ends late.
        let under_way = f64::from(flow.under_way());
        self.wanted = self.work(&second, seconds, Counts::wanted);
        let coming = self.work(&second, seconds, |sum| sum.admitted) * self.slow;
        let admitted = total(&second, |sum| sum.admitted);
        let backing_up = ended * 2.0 < admitted && admitted >= 10.0;
        let known = self.classes.iter().any(|class| class.no_load.is_some());
        let usual = 3.0 * coming + 6.0 * coming.sqrt() + if known { 8.0 } else { 64.0 };
        let piled = backing_up && under_way > usual;

        let fast = (FAST_US - self.dearest()) * 2.0;
        let (tolerated, late) =
            if self.limit.is_some() { (TOLERATED, LATE_US.max(fast)) } else { (SLOW, SLOW_US.max(fast)) };
        let taken = if self.limit.is_some() { self.smooth } else { slowdown };
        let slow = taken > tolerated * self.slow && longer > late;
        // More than ever, and slower than usual: no need to wait until it is slow.
        let more = self.limit.is_none() && self.pressed >= CONFIRM && !self.is_ordinary();
        let pressed = more && slowdown > TOLERATED * self.slow;
        let slow = slow || (pressed && longer > LATE_US.max(fast));
        let fails = failing > self.failing + FAILING && failed >= FAILURES;
        let now = slow || fails || piled;
        self.stressed = if now { self.stressed + 1 } else { 0 };

        let ending = (good(&second) / seconds).max(1.0);
        self.ending = ending;
        let weight = total(&second, |sum| sum.good);
        self.strain = Strain {
            stressed: now,
            slowdown: if piled { slowdown.max(under_way / coming.max(1.0)) } else { slowdown },
            failing,
            limited: self.limit.is_some(),
            shed: u32_of(total(&second, |sum| sum.shed)),
            drain_ms: f64::from(flow.waiting()) / ending * 1000.0,
            no_load_ms: if weight > 0.0 { self.work(&second, 1.0, |sum| sum.good) * 1e3 / weight } else { 0.0 },
        };
    }

    /// What is usual, from a tick of calm.
    fn learn(&mut self) {
        let counts = self.window.get(self.at).copied().unwrap_or_default();
        let span = self.spans.get(self.at).copied().unwrap_or(0.1);
        for (class, counts) in self.classes.iter_mut().zip(&counts) {
            class.sum += counts.origin_us;
            class.count += counts.good;
            class.ticks += 1;
            if class.count >= 30.0 && class.no_load.is_none() {
                class.no_load = Some(class.sum / class.count);
            }
            if class.ticks >= PERIOD && class.count >= 30.0 {
                if let Some(period) = class.periods.get_mut(class.period) {
                    *period = class.sum / class.count;
                }
                class.period = (class.period + 1) % PERIODS;
                class.no_load = class.periods.iter().copied().filter(|mean| *mean > 0.0).min_by(f64::total_cmp);
                (class.sum, class.count, class.ticks) = (0.0, 0.0, 0);
            }
            let work = counts.good * class.no_load.unwrap_or(0.0) / span / 1e6;
            // Over about ten minutes; at the beginning the mean of what there was.
            class.usual += (work - class.usual) * if class.usual == 0.0 { 1.0 } else { span / 600.0 };
        }
        self.slow = 1.0 + (self.slow - 1.0) * 0.99;
    }

    /// The bound while there is no stress; nothing before enough of calm is known.
    fn standing(&mut self, flow: &Flow) -> Option<f64> {
        if self.calm < STANDING_AFTER || self.limit.is_some() {
            return None;
        }
        let (times, least) = STANDING;
        let bound = (self.peak * times).max(least);
        let under_way = f64::from(flow.under_way());
        if flow.waiting() > 0 || under_way >= bound * self.raised * 0.8 {
            // More than ever. What came since must have ended, and no later than usual: then the platform carries it.
            self.pressed += 1;
            let slowest = self.dearest() / 1e6;
            let told = f64::from(self.pressed) > 1.0 + (2.0 * slowest * WINDOW as f64).ceil();
            let carried = told && self.stressed == 0 && self.strain.slowdown <= TOLERATED;
            // No more than usual, and it does not suffer: it is the bound that is wrong.
            if carried || (self.stressed == 0 && self.pressed >= PRESENT_TICKS && self.is_ordinary()) {
                self.raised = (self.raised * 2.0).min(1e6);
                self.pressed = 0;
            }
        } else {
            self.raised = (self.raised * 0.995).max(1.0);
            self.pressed = 0;
        }
        Some(bound * self.raised)
    }

    /// What the platform is known to bear: a limit below it would blame it for what comes.
    fn least(&self) -> f64 {
        self.peak.max(self.proven).max(FLOOR)
    }

    /// No more comes than in calm.
    fn is_ordinary(&self) -> bool {
        self.wanted <= self.usual * ORDINARY
    }

    fn limit(&mut self, flow: &Flow) {
        let under_way = f64::from(flow.under_way());
        let Strain { slowdown, failing, .. } = self.strain;
        let smooth = self.smooth;
        let Some(limit) = self.limit else {
            if self.stressed >= CONFIRM && under_way > FLOOR {
                if self.is_ordinary() && slowdown > SLOW && slowdown <= SLOWEST {
                    if self.stressed < CONFIRM_SLOW {
                        return;
                    }
                    // No more comes than in calm, and yet it is slow: its own pace.
                    self.slow = slowdown;
                    self.probe = PROBE_AFTER;
                    let bound = (self.carried * self.slow * HEADROOM + 1.0).max(self.peak);
                    return self.set(Some(bound));
                }
                // Where nothing has ever ended, half of what there is.
                let first = if self.carried > 0.0 {
                    (self.carried * self.slow * HEADROOM + 1.0).max(self.peak).max(FLOOR)
                } else {
                    (under_way / 2.0).max(FLOOR)
                };
                if under_way < first {
                    // What ends late came long ago; there is nothing left to cut.
                    return;
                }
                let crowding = (under_way / self.carried.max(1.0)).max(slowdown);
                self.cut = Some(Cut { from: under_way, to: first, slowdown: crowding, failing, probing: false });
                self.probe = PROBE_AFTER;
                self.raised = 1.0;
                self.set(Some(first));
            }
            return;
        };
        // What was admitted before the last change must have ended, and fill the present, before it tells anything.
        self.settled = if under_way <= limit * 1.1 + 1.0 { self.settled + 1 } else { 0 };
        let slowest = self.dearest() / 1e6 * self.slow;
        let sojourn = (under_way / self.ending.max(1.0)).max(2.0 * slowest) * WINDOW as f64;
        let falling = smooth < self.past[self.at % PRESENT] * 0.85;
        self.past[self.at % PRESENT] = smooth;
        let patient = f64::from(self.settled) >= PRESENT as f64 + 1.0 + sojourn.ceil() && !falling;
        let settled = patient || self.settled >= 40;
        // Whoever waits may wait for a class that is at its bound: that is no use of the limit.
        let used = flow.waiting() > 0 || under_way >= limit * 0.8;
        self.unused = if self.stressed > 0 || used { 0 } else { self.unused + 1 };
        self.probe.0 = self.probe.0.saturating_sub(1);
        if self.cut.is_some_and(|cut| cut.probing) {
            if settled {
                self.probed(smooth);
            }
        } else if self.stressed > 0 {
            if settled {
                self.correct(limit, smooth, failing);
            }
        } else if self.unused >= LIFT_AFTER && self.room.is_none() {
            if self.unused.is_multiple_of(5) {
                let lifted = limit * 1.5 + 1.0;
                self.set((lifted <= 4.0 * under_way + 256.0).then_some(lifted));
            }
        } else if self.slow > TOLERATED && self.probe.0 == 0 && used {
            let to = (limit * PROBE).max(self.least());
            if limit < to * TELLING {
                // What the platform is known to bear crowds nobody.
                self.probe.0 = self.probe.1;
                return;
            }
            self.cut = Some(Cut { from: limit, to, slowdown: smooth, failing, probing: true });
            self.set(Some(to));
        } else if self.settled >= 3 && under_way >= limit * FULL {
            self.cut = None;
            // With no more than usual the rest is noise: dearer requests than yesterday's look like slowness.
            let grows = if self.is_ordinary() { TOLERATED } else { GROWS };
            if smooth <= self.slow * grows {
                self.set(Some(limit + (limit * 0.04).max(0.5)));
            } else if smooth > self.slow * SHRINKS {
                self.set(Some((limit * 0.97).max(self.least().min(limit))));
            }
        }
    }

    /// The probe has had its time: a platform that was crowded is faster now, one that is slow is not.
    fn probed(&mut self, slowdown: f64) {
        let Some(cut) = self.cut.take() else { return };
        if cut.slowdown / slowdown >= (cut.from / cut.to).sqrt() {
            // It was crowded, and may be still.
            self.slow = slowdown.max(1.0);
            self.probe = (0, PROBE_AFTER.1.min(PROBE_AFTER.0 * 2));
        } else {
            let wait = self.probe.1;
            self.probe = (wait, (wait * 2).min(PROBE_AFTER.1));
            self.set(Some(cut.from));
        }
    }

    /// There is still stress after the last change had its time.
    fn correct(&mut self, limit: f64, slowdown: f64, failing: f64) {
        let cut = self.cut.take().unwrap_or(Cut { from: limit, to: limit, slowdown, failing, probing: false });
        let fewer = cut.from / cut.to;
        if fewer >= TELLING {
            let slower = slowdown > TOLERATED * self.slow;
            if slower && cut.slowdown / slowdown < fewer.sqrt() {
                // Fewer at once are served no faster: that is its own pace now.
                self.slow = slowdown.min(SLOWEST);
                self.probe = PROBE_AFTER;
                let carried = self.carried * self.slow * HEADROOM;
                return self.set(Some(carried.clamp(limit * TELLING, limit * 2.0)));
            }
            if !slower && failing > cut.failing * 0.7 {
                // Fewer at once fail just as often.
                self.failing = failing;
                return self.set(Some(limit * TELLING));
            }
        }
        let factor = (self.slow * TOLERATED / slowdown).clamp(0.5, 0.85);
        let to = (limit * factor).max(self.least().min(limit));
        // Small cuts are judged together. One that has been judged helped; from there it counts anew.
        let since = if fewer >= TELLING { Cut { from: limit, slowdown, failing, ..cut } } else { cut };
        self.cut = Some(Cut { to, ..since });
        self.set(Some(to));
    }

    fn set(&mut self, limit: Option<f64>) {
        self.limit = limit;
        self.settled = 0;
        self.strain.limited = limit.is_some();
    }

    /// A class whose work has grown far beyond what is usual gets what the others leave, so that they do not notice.
    fn classes(&mut self, flow: &Flow) -> [u32; CLASSES] {
        let mut bounds = [u32::MAX; CLASSES];
        let Some(limit) = self.limit.filter(|_| !self.is_ordinary()) else {
            self.squeeze = 1.0;
            return bounds;
        };
        let (second, seconds) = self.sum(WINDOW);
        let coming: [f64; CLASSES] = std::array::from_fn(|class| {
            let wanted = second.get(class).map_or(0.0, Counts::wanted);
            wanted * self.no_load(class).unwrap_or(0.0) / seconds / 1e6
        });
        let usual: [f64; CLASSES] =
            std::array::from_fn(|class| self.classes.get(class).map_or(0.0, |class| class.usual));
        let grown = |class: usize| {
            let (coming, usual) = (coming.get(class).copied()?, usual.get(class).copied()?);
            Some((coming - 1.5 * usual).max(0.0))
        };
        let all: f64 = (0..CLASSES).filter_map(grown).sum();
        // Whether the others notice.
        let (mut taken, mut expected) = (0.0, 0.0);
        for (class, sum) in
            second.iter().enumerate().filter(|(class, _)| grown(*class).is_some_and(|growth| growth < 2.0))
        {
            taken += sum.origin_us;
            expected += sum.good * self.no_load(class).unwrap_or(0.0) * self.slow;
        }
        // What the others take swings, and says nothing where there is room for everybody.
        let idle = self.stressed == 0 && f64::from(flow.under_way()) < limit * FULL;
        let squeeze = match taken / expected {
            _ if idle => self.squeeze * 1.03,
            others if others > SHRINKS => self.squeeze * 0.97,
            others if others < GROWS => self.squeeze * 1.01,
            _ => self.squeeze,
        };
        for (class, bound) in bounds.iter_mut().enumerate() {
            let growth = grown(class).unwrap_or(0.0);
            if growth < 2.0 || growth < all * 0.25 {
                continue;
            }
            // Of the others, what they need; of those that have grown themselves, what is usual.
            let others = (0..CLASSES).filter(|other| *other != class).filter_map(|other| {
                let (coming, usual) = (coming.get(other).copied()?, usual.get(other).copied()?);
                Some(self.slow * if grown(other)? < 2.0 { coming } else { usual })
            });
            let left = (limit - HEADROOM * others.sum::<f64>() - 1.0) * squeeze;
            let share = usual.get(class).copied().unwrap_or(0.0) / usual.iter().sum::<f64>().max(0.01) * limit;
            *bound = whole(left.max(share).clamp(FLOOR.max(limit * 0.1), limit.max(FLOOR)));
        }
        self.squeeze = squeeze.clamp(0.1, 1.0);
        bounds
    }

    /// The lowest priority that may queue.
    fn refuse(&mut self, flow: &Flow, span: f64) -> u8 {
        let keep = 1.0 - span.min(0.5);
        self.asked.iter_mut().for_each(|count| *count *= keep);
        flow.take_asked(|priority, count| {
            if let Some(known) = self.asked.get_mut(priority) {
                *known += f64::from(count);
            }
        });
        if self.limit.is_none() {
            self.refused = Pid::default();
            return 0;
        }
        let error = (self.strain.drain_ms / 1000.0 / DRAIN - 1.0).clamp(-1.0, 3.0);
        // Never more than there is too much: what comes to an end is known before the queue has told.
        let (present, _) = self.sum(PRESENT);
        let (admitted, shed) = present
            .iter()
            .fold((0.0, 0.0), |(admitted, shed), counts| (admitted + counts.admitted, shed + counts.shed));
        let waiting = f64::from(flow.waiting());
        let excess = (1.0 - HEADROOM * admitted / (admitted + shed + waiting).max(1.0)).max(0.0);
        let share = self.refused.step(error, span, excess);
        if share <= 0.0 {
            return 0;
        }
        let all: f64 = self.asked.iter().sum();
        let mut below = 0.0;
        for (priority, count) in self.asked.iter().enumerate() {
            below += count;
            if below > share * all {
                return u8::try_from(priority).unwrap_or(u8::MAX);
            }
        }
        0
    }

    fn room(&mut self, flow: &Flow, span: f64, wall: u64) -> Option<RoomOrders> {
        let turned_away = flow.take_turned_away() > 0;
        let under_way = f64::from(flow.under_way());
        let limit = self.limit.unwrap_or(f64::MAX);
        // Most tickets of a flood are never used: that nobody waits does not say that everybody would find a place.
        let fits = self.is_ordinary() || self.wanted * self.slow <= self.least();
        let Some(open) = &mut self.room else {
            let (ticks, since) = self.turned_away;
            let ticks = if turned_away { ticks + 1 } else { ticks.saturating_sub(1) };
            if ticks <= 1 {
                // Whoever was shown the page before this began comes back, and is not waited for.
                flow.room.call_all();
                self.turned_away = (ticks, wall);
            } else {
                self.turned_away = (ticks, since);
            }
            if ticks >= TURNED_AWAY && (under_way >= limit * FULL || ticks >= 4 * TURNED_AWAY) {
                let (second, seconds) = self.sum(WINDOW);
                let ending = second.iter().map(|sum| sum.good).sum::<f64>() / seconds;
                self.turned_away = (0, wall);
                let rate = (ending * 0.1).max(1.0);
                self.room = Some(Open { until: since, rate, carry: 0.0, speed: 1.0, empty: 0 });
            }
            return self.room.as_ref().map(Open::orders);
        };
        let spare = under_way < limit * 0.9 && self.strain.drain_ms < 250.0 && !self.strain.stressed;
        open.rate = (open.rate * if spare { 1.0 + 0.5 * span } else { 1.0 - 0.5 * span }).clamp(1.0, 100_000.0);
        open.carry += open.rate * span;
        let more = u32_of(open.carry);
        open.carry -= f64::from(more);
        let until = flow.room.call(more, open.until, wall);
        let moved = (until.saturating_sub(open.until)) as f64 / 1000.0 / span;
        open.speed += (moved - open.speed) * (span / 5.0).min(1.0);
        open.until = until;
        let backlog = f64::from(flow.room.backlog());
        open.empty = if backlog <= open.rate && !self.strain.stressed && fits { open.empty + 1 } else { 0 };
        if open.empty >= EMPTY {
            flow.room.call_all();
            self.room = None;
        }
        self.room.as_ref().map(Open::orders)
    }
}

impl Open {
    fn orders(&self) -> RoomOrders {
        #[expect(clippy::cast_possible_truncation, reason = "a speed of few digits")]
        RoomOrders { admitted_until: self.until, speed: self.speed as f32 }
    }
}

impl Pid {
    /// The share to refuse, from an error of which 0 is as it should be and more is worse. In the velocity form, so that it
    /// never winds up.
    fn step(&mut self, error: f64, span: f64, most: f64) -> f64 {
        let [p, i, d] = GAINS;
        let [last, first] = self.before;
        let change = p * (error - last) + i * error * (span / 0.1) + d * (error - 2.0 * last + first);
        self.before = [error, last];
        self.share = (self.share + change).clamp(0.0, most.min(MOST_REFUSED));
        self.share
    }
}

/// A limit as the shards hold to it.
fn whole(limit: f64) -> u32 {
    u32_of(limit).max(u32_of(FLOOR))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just here")]
fn u32_of(value: f64) -> u32 {
    value.clamp(0.0, f64::from(u32::MAX - 1)) as u32
}

fn micros(value: u64) -> f64 {
    value as f64
}

/// Classes by position, for whom a bound is told in words.
pub(crate) fn bounded(orders: &AdmissionOrders) -> impl Iterator<Item = (RouteClass, u32)> + '_ {
    RouteClass::ALL.into_iter().zip(orders.classes).filter(|(_, bound)| *bound != u32::MAX)
}
