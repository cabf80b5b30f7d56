//! What speaks for trouble: rate, stress of the platform, broken protocol, business gone wrong.
//!
//! Each channel has a sensitive threshold, which only makes the gate look closer, and a strict one, on which more rests.
//! None of them says who is to blame; contrast does, see [`super::rules`].

use std::collections::VecDeque;

use portcullis_types::RouteClass;
use serde::{Deserialize, Serialize};

use super::baseline::{Expected, Latency, Level, Share};
use crate::admission::control::Strain;
use crate::senses::BYTES_PER_US;
use crate::senses::harvest::{CLASSES, ClassTally, RouteTally};
use crate::settings::Switches;

/// Seconds of learning before rate and business speak.
const WARM: f64 = 60.0;
/// The change that the sums of rate look for: twice as much.
const RATIO: f64 = 2.0;
/// Below so many requests per second, sums count as if so many were usual: few requests prove nothing.
const FEW: f64 = 5.0;
/// The same for one class.
const FEW_OF_CLASS: f64 = 2.0;
/// Thresholds of sums, for the whole platform and for one class.
const RATE_WEAK: (f64, f64) = (6.0, 8.0);
const RATE_STRONG: (f64, f64) = (25.0, 30.0);
/// Below so many requests per second sensitive thresholds rise, up to so many times: small sites have wild minutes.
const BUSY: f64 = 50.0;
const SMALL: f64 = 2.5;
/// With no more than usual over the last second, sums fade by this in a tick: it is over.
const RATE_FADES: f64 = 0.93;
/// Below so many bytes sent per second it does not matter how many more they are: half of a line of 100 Mbit/s.
const FEW_BYTES: f64 = 6_000_000.0;
/// So many times the usual bytes count, and so many times are an alarm; after an announcement, so many times as many.
const BYTES_WEAK: f64 = 2.0;
const BYTES_STRONG: f64 = 3.0;
const BYTES_EVENT: f64 = 3.0;
/// Of the last ten ticks so many must count: one large file ends in one tick.
const BYTES_TICKS: (usize, usize) = (5, 8);
/// So much slower than without load is queueing (DAGOR's figure).
const QUEUEING_US: f64 = 20_000.0;
/// For so many seconds after its start the least that a class took bounds what is usual.
const COLD: f64 = 600.0;
/// A platform of which nothing is known yet is slow from here on.
const SLOW_US: f64 = 2_000_000.0;
const PROTOCOL_WEAK: f64 = 4.0;
const PROTOCOL_STRONG: f64 = 15.0;
/// Requests that a client may begin and take back before its connection ends, as `limits.h2_resets` has it by default.
const SPENT_BY_ABUSER: f64 = 200.0;
/// Of the expected, what may remain beside them and is not worth a rule.
const REST: f64 = 0.3;
const FAILURES_WEAK: f64 = 6.0;
const FAILURES_STRONG: f64 = 16.0;
const MISSING_WEAK: f64 = 12.0;
const MISSING_STRONG: f64 = 40.0;
const CODES_WEAK: f64 = 6.0;
/// Half of what business has summed up is forgotten in so many seconds, so that it ends when nobody tries any more.
const BUSINESS_FADES: f64 = 30.0;
/// During an announced event the sensitive thresholds are so much lower.
const EVENT_EASE: f64 = 0.5;

/// Ticks that are remembered: ten seconds.
const MOMENTS: usize = 100;
const SECOND: usize = 10;

/// What came in one tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval<'a> {
    pub(crate) seconds: f64,
    pub(crate) wall: u64,
    pub(crate) classes: &'a [ClassTally; CLASSES],
    pub(crate) routes: &'a [RouteTally],
    pub(crate) abuse: u32,
}

/// What is ordinary on one platform.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ordinary {
    pub(crate) whole: Expected,
    pub(crate) classes: [Expected; CLASSES],
    pub(crate) latency: [Latency; CLASSES],
    /// Microseconds of the platform per second, and what its bytes weigh.
    pub(crate) cost: Level,
    /// Bytes sent per second.
    bytes: Level,
    failing: Share,
    abuse: Level,
    /// By position of the route.
    pub(crate) routes: Vec<OrdinaryRoute>,
}

/// What is ordinary on one route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct OrdinaryRoute {
    failures: Share,
    missing: Share,
    sent: Level,
    done: Level,
}

impl Ordinary {
    /// Enough is known to call something out of the ordinary.
    pub(crate) fn is_warm(&self) -> bool {
        self.whole.age() >= WARM
    }

    /// Learns one tick of a calm platform.
    pub(crate) fn learn(&mut self, interval: &Interval<'_>, clamped: bool) {
        let Interval { seconds, wall, classes, routes, abuse } = *interval;
        let arrived: u32 = classes.iter().map(|class| class.arrived).sum();
        self.whole.learn(wall, f64::from(arrived), seconds, clamped);
        let (mut cost, mut bytes, mut failed, mut ended) = (0.0, 0.0, 0.0, 0.0);
        for (position, tally) in classes.iter().enumerate() {
            if let Some(expected) = self.classes.get_mut(position) {
                expected.learn(wall, f64::from(tally.arrived), seconds, clamped);
            }
            if let Some(latency) = self.latency.get_mut(position) {
                latency.learn(tally.completed, tally.origin_us, seconds, clamped);
            }
            cost += (tally.origin_us + tally.bytes / BYTES_PER_US) as f64;
            bytes += tally.bytes as f64;
            failed += f64::from(tally.failed);
            ended += ended_of(tally);
        }
        if seconds > 0.0 {
            self.cost.learn(cost / seconds, seconds, clamped);
            self.bytes.learn(bytes / seconds, seconds, clamped);
            self.abuse.learn(f64::from(abuse) / seconds, seconds, clamped);
        }
        self.failing.learn(failed, ended, seconds);
        self.routes.resize(routes.len().max(self.routes.len()), OrdinaryRoute::default());
        for (ordinary, tally) in self.routes.iter_mut().zip(routes) {
            ordinary.failures.learn(f64::from(tally.failed), f64::from(tally.failed + tally.done), seconds);
            ordinary.missing.learn(f64::from(tally.missing), f64::from(tally.arrived.max(tally.missing)), seconds);
            if seconds > 0.0 {
                ordinary.sent.learn(f64::from(tally.sent) / seconds, seconds, clamped);
                ordinary.done.learn(f64::from(tally.done) / seconds, seconds, clamped);
            }
        }
    }

    /// Gets used to a platform that has become slow for good.
    pub(crate) fn learn_latency(&mut self, classes: &[ClassTally; CLASSES], seconds: f64) {
        for (latency, tally) in self.latency.iter_mut().zip(classes) {
            latency.learn(tally.completed, tally.origin_us, seconds, false);
        }
    }

    /// Follows a growth that has lasted and harmed nobody; `rates` by class.
    pub(crate) fn creep(&mut self, rates: &[f64; CLASSES], seconds: f64) {
        self.whole.creep(rates.iter().sum(), seconds);
        for (expected, rate) in self.classes.iter_mut().zip(rates) {
            expected.creep(*rate, seconds);
        }
    }

    /// After a pause only the season tells what to expect.
    pub(crate) fn wake(&mut self, wall: u64) {
        self.whole.wake(wall);
        self.classes.iter_mut().for_each(|expected| expected.wake(wall));
    }

    /// What the platform takes for a request without load, over the classes as they usually come, in microseconds.
    pub(crate) fn no_load_us(&self) -> f64 {
        let weights = self.classes.iter().map(Expected::level);
        let (mut sum, mut weight) = (0.0, 0.0);
        for (latency, rate) in self.latency.iter().zip(weights).filter(|(latency, _)| latency.is_known()) {
            sum += latency.mean_us() * rate;
            weight += rate;
        }
        if weight > 0.0 { sum / weight } else { 0.0 }
    }

    /// Whether numbers that were read back can be worked with.
    pub(crate) fn is_sound(&self) -> bool {
        self.whole.is_sound()
            && self.classes.iter().all(Expected::is_sound)
            && self.latency.iter().all(Latency::is_sound)
            && self.failing.is_sound()
            && [&self.cost, &self.bytes, &self.abuse].into_iter().all(Level::is_sound)
            && self.routes.iter().all(|route| {
                route.failures.is_sound() && route.missing.is_sound() && route.sent.is_sound() && route.done.is_sound()
            })
    }
}

/// What the platform ended of one class: answers and failures.
fn ended_of(tally: &ClassTally) -> f64 {
    f64::from(tally.completed.max(tally.failed))
}

/// How loud a channel is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    #[default]
    Quiet,
    /// Makes the gate look closer.
    Weak,
    /// More rests on this.
    Strong,
}

impl Alarm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Weak => "weak",
            Self::Strong => "strong",
        }
    }

    fn of(weak: bool, strong: bool) -> Self {
        match (weak, strong) {
            (_, true) => Self::Strong,
            (true, false) => Self::Weak,
            (false, false) => Self::Quiet,
        }
    }
}

/// What the channels say, with their figures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Signals {
    pub(crate) rate: Alarm,
    pub(crate) stress: Alarm,
    pub(crate) protocol: Alarm,
    pub(crate) business: Alarm,
    /// Requests per second: expected, and over the last second.
    pub(crate) expected_rps: f64,
    pub(crate) actual_rps: f64,
    /// The class that stands out the most, with the same figures.
    pub(crate) class: Option<(RouteClass, f64, f64)>,
    /// Bytes per second, expected and over the last second, where they stand out.
    pub(crate) bytes: Option<(f64, f64)>,
    /// The platform is slower than without load by so many milliseconds, over the last second.
    pub(crate) queue_ms: f64,
    /// Of what it ended in the last second, the share that failed.
    pub(crate) failed_share: f64,
    /// It takes requests and ends none.
    pub(crate) stalled: bool,
    /// Admission makes requests wait or refuses them.
    pub(crate) held: bool,
    /// The stress is strong, and that it ends nothing is not all that speaks for it: what a client takes back never ends.
    pub(crate) suffers: bool,
    /// Clients that broke the protocol, per second.
    pub(crate) abuse_rps: f64,
    /// They alone account for the requests beyond the expected. The budgets of their connections meet them; what they
    /// asked for before is no pattern of a flood.
    pub(crate) is_only_abuse: bool,
    pub(crate) trouble: Option<Trouble>,
}

/// What is wrong with the business.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trouble {
    /// Position of the route.
    pub(crate) route: usize,
    pub(crate) kind: TroubleKind,
    /// What is measured, and what is usual.
    pub(crate) now: f64,
    pub(crate) usual: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TroubleKind {
    /// Logins fail or payments are declined.
    Failures,
    /// Codes are sent that nobody enters.
    Codes,
    /// What is asked for does not exist.
    Missing,
}

impl Signals {
    /// The loudest of them.
    pub(crate) fn loudest(&self) -> Alarm {
        self.rate.max(self.stress).max(self.protocol).max(self.business)
    }

    /// There is something beyond the ordinary that rules could explain: stress, business gone wrong, or requests in numbers
    /// that matter. The sensitive threshold of rate alone does not.
    pub(crate) fn is_beyond(&self) -> bool {
        let much = |expected: f64, actual: f64, times: f64, more: f64| actual > expected * times + more;
        let is_much = much(self.expected_rps, self.actual_rps, 1.2, 5.0)
            || self.class.is_some_and(|(_, expected, actual)| much(expected, actual, 2.0, 3.0))
            || self.bytes.is_some();
        self.stress.max(self.business) > Alarm::Quiet || (self.rate > Alarm::Quiet && is_much)
    }
}

/// The watch over one platform.
#[derive(Debug)]
pub(crate) struct Channels {
    rate: f64,
    rate_of_class: [f64; CLASSES],
    protocol: f64,
    routes: Vec<RouteWatch>,
    moments: VecDeque<Moment>,
    /// The least mean of many requests that was ever seen of each class, while little is known.
    least_us: [Least; CLASSES],
    seconds: f64,
    signals: Signals,
}

#[derive(Debug, Clone, Copy, Default)]
struct RouteWatch {
    failures: f64,
    missing: f64,
    codes: f64,
    /// Seconds for which codes have been out of proportion.
    codes_for: f64,
    /// Decayed over a minute: failed and done, missing and arrived, sent.
    tried: (f64, f64),
    asked: (f64, f64),
    sent: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Least {
    count: u32,
    sum_us: u64,
    least: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    seconds: f64,
    arrived: [u32; CLASSES],
    completed: [u32; CLASSES],
    origin_us: [u64; CLASSES],
    bytes: u64,
    admitted: u32,
    ended: f64,
    failed: u32,
    queued: u32,
    queued_us: u64,
    shed: u32,
    abuse: u32,
}

impl Moment {
    fn of(interval: &Interval<'_>) -> Self {
        let mut moment = Self { seconds: interval.seconds, abuse: interval.abuse, ..Self::default() };
        for (position, tally) in interval.classes.iter().enumerate() {
            moment.arrived[position] = tally.arrived;
            moment.completed[position] = tally.completed;
            moment.origin_us[position] = tally.origin_us;
            moment.bytes += tally.bytes;
            moment.admitted += tally.admitted;
            moment.ended += ended_of(tally);
            moment.failed += tally.failed;
            moment.queued += tally.queued;
            moment.queued_us += tally.queued_us;
            moment.shed += tally.shed;
        }
        moment
    }
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self {
            rate: 0.0,
            rate_of_class: [0.0; CLASSES],
            protocol: 0.0,
            routes: Vec::new(),
            moments: VecDeque::new(),
            least_us: [Least::default(); CLASSES],
            seconds: 0.0,
            signals: Signals::default(),
        }
    }

    pub(crate) const fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Requests per second over the last second, by class.
    pub(crate) fn actual(&self) -> [f64; CLASSES] {
        self.actual_over(SECOND)
    }

    /// The same over ten seconds.
    pub(crate) fn actual_over_ten(&self) -> [f64; CLASSES] {
        self.actual_over(MOMENTS)
    }

    fn actual_over(&self, ticks: usize) -> [f64; CLASSES] {
        let seconds: f64 = self.last(ticks).map(|moment| moment.seconds).sum();
        let mut rates = [0.0; CLASSES];
        for moment in self.last(ticks) {
            for (rate, arrived) in rates.iter_mut().zip(moment.arrived) {
                *rate += f64::from(arrived) / seconds.max(0.05);
            }
        }
        rates
    }

    /// Judges one tick against what is ordinary. `event` lowers the sensitive thresholds and raises the strict one of rate:
    /// a crowd was announced.
    pub(crate) fn step(
        &mut self,
        interval: &Interval<'_>,
        ordinary: &Ordinary,
        strain: &Strain,
        switches: &Switches,
        event: bool,
    ) -> Signals {
        self.seconds += interval.seconds;
        if self.moments.len() >= MOMENTS {
            self.moments.pop_front();
        }
        self.moments.push_back(Moment::of(interval));
        self.signals = Signals::default();
        if switches.rate {
            self.watch_rate(interval, ordinary, event);
            self.watch_bytes(ordinary, event);
        }
        if switches.stress {
            self.watch_stress(interval, ordinary, strain);
        }
        if switches.protocol {
            self.watch_protocol(interval, ordinary);
        }
        if switches.business {
            self.watch_business(interval, ordinary, event);
        }
        self.signals
    }

    fn last(&self, ticks: usize) -> impl Iterator<Item = &Moment> {
        self.moments.iter().rev().take(ticks)
    }

    fn watch_rate(&mut self, interval: &Interval<'_>, ordinary: &Ordinary, event: bool) {
        let actual = self.actual();
        let signals = &mut self.signals;
        signals.expected_rps = ordinary.whole.rate(interval.wall);
        signals.actual_rps = actual.iter().sum();
        if !ordinary.is_warm() {
            return;
        }
        // Of a small site a handful of visitors is twice what is usual.
        let small = (BUSY / signals.expected_rps.max(1.0)).clamp(1.0, SMALL);
        let ease = if event { EVENT_EASE } else { small };
        let arrived: u32 = interval.classes.iter().map(|class| class.arrived).sum();
        let count = f64::from(arrived);
        let usual = signals.expected_rps.max(FEW);
        self.rate = sum_rate(self.rate, count, usual * interval.seconds, ordinary.whole.scatter(), RATE_STRONG.0);
        if signals.actual_rps <= usual {
            self.rate *= RATE_FADES;
        }
        // What was announced as a crowd is no alarm until it is far more than a crowd.
        let (times, many) = if event { (5.0, 50.0) } else { (1.5, 10.0) };
        let is_much = |actual: f64, usual: f64| actual > usual * times && actual - usual > many;
        let mut weak = self.rate >= RATE_WEAK.0 * ease;
        let mut strong = self.rate >= RATE_STRONG.0 && is_much(signals.actual_rps, usual);
        let mut worst = 0.0;
        for (position, class) in RouteClass::ALL.into_iter().enumerate() {
            let Some(expected) = ordinary.classes.get(position) else { continue };
            let rate = expected.rate(interval.wall);
            let usual = rate.max(FEW_OF_CLASS);
            let count = f64::from(interval.classes[position].arrived);
            let sum = &mut self.rate_of_class[position];
            *sum = sum_rate(*sum, count, usual * interval.seconds, expected.scatter(), RATE_STRONG.1);
            if actual[position] <= usual {
                *sum *= RATE_FADES;
            }
            weak |= *sum >= RATE_WEAK.1 * ease;
            strong |= *sum >= RATE_STRONG.1 && is_much(actual[position], usual);
            if *sum > worst {
                (worst, signals.class) = (*sum, Some((class, rate, actual[position])));
            }
        }
        signals.rate = Alarm::of(weak, strong);
    }

    /// Few requests may ask for more than a line carries. Bytes count when a response has ended, so this hears a flood of
    /// downloads when the first of them are over.
    fn watch_bytes(&mut self, ordinary: &Ordinary, event: bool) {
        if !ordinary.is_warm() {
            return;
        }
        let expected = ordinary.bytes.value();
        let usual = expected.max(FEW_BYTES) * if event { BYTES_EVENT } else { 1.0 };
        let over = |times: f64| {
            self.last(SECOND).filter(|moment| moment.bytes as f64 > usual * times * moment.seconds).count()
        };
        let (sent, seconds) = self
            .last(SECOND)
            .fold((0.0, 0.0), |(sent, seconds), moment| (sent + moment.bytes as f64, seconds + moment.seconds));
        let actual = sent / f64::max(seconds, 0.05);
        let weak = actual > usual * BYTES_WEAK && over(BYTES_WEAK) >= BYTES_TICKS.0;
        let strong = actual > usual * BYTES_STRONG && over(BYTES_STRONG) >= BYTES_TICKS.1;
        self.signals.rate = self.signals.rate.max(Alarm::of(weak, strong));
        self.signals.bytes = (weak || strong).then_some((expected, actual));
    }

    fn watch_stress(&mut self, interval: &Interval<'_>, ordinary: &Ordinary, strain: &Strain) {
        let mut bases = [None; CLASSES];
        for (position, base) in bases.iter_mut().enumerate() {
            let (Some(latency), Some(tally)) = (ordinary.latency.get(position), interval.classes.get(position)) else {
                continue;
            };
            let least = &mut self.least_us[position];
            least.count += tally.completed;
            least.sum_us += tally.origin_us;
            if least.count >= 30 {
                let mean = least.sum_us as f64 / f64::from(least.count);
                *least = Least { least: Some(least.least.map_or(mean, |least| least.min(mean))), ..Least::default() };
            }
            if latency.is_known() {
                // A platform that was slow from the first request on is not fast because of that.
                let most = least.least.filter(|_| self.seconds < COLD).map_or(f64::INFINITY, |least| 2.0 * least);
                *base = Some((latency.mean_us().min(most), latency.variance()));
            }
        }
        let late = |skip, ticks| lateness(self.last(SECOND).skip(skip).take(ticks), &bases);
        let (soon, second) = (late(0, 3), late(0, SECOND));
        // One slow answer is not a queue: the time before it was slow must have been slow too.
        let keeps_on = [late(0, SECOND / 2), late(SECOND / 2, SECOND / 2)].iter().all(Lateness::is_behind);
        let is_sudden = [late(0, 1), late(1, 2)].iter().all(Lateness::is_behind);
        let sum = |pick: fn(&Moment) -> f64, ticks| self.last(ticks).map(pick).sum::<f64>();
        let (failed, ended) = (sum(|moment| f64::from(moment.failed), SECOND), sum(|moment| moment.ended, SECOND));
        let failed_share = failed / ended.max(1.0);
        let usual = ordinary.failing.value(0.01);
        let fails = |least: f64, times: f64, share: f64| failed >= least && failed_share > (usual * times).max(share);

        let (took, gave) = (sum(|moment| f64::from(moment.admitted), 20), sum(|moment| moment.ended, 20));
        let is_slow = ordinary.latency.iter().any(|latency| latency.is_known() && latency.mean_us() > 500_000.0);
        let stalls = |least: f64, share: f64| self.seconds > 3.0 && !is_slow && took >= least && gave < took * share;

        let arrived: f64 = self.last(SECOND).flat_map(|moment| moment.arrived).map(f64::from).sum();
        let (queued, shed) =
            (sum(|moment| f64::from(moment.queued), SECOND), sum(|moment| f64::from(moment.shed), SECOND));
        let waited_us = sum(|moment| moment.queued_us as f64, SECOND);
        let held = (shed >= 3.0 && shed > arrived * 0.01) || (queued >= 5.0 && waited_us > queued * QUEUEING_US);

        // The controller suspects sooner than this, and limits on its own account; what it holds back is told here.
        let weak =
            (is_sudden && soon.is_queueing(5.0, 6.0)) || fails(5.0, 3.0, 0.1) || stalls(20.0, 0.2) || second.is_slow;
        let suffers = (keeps_on && second.is_queueing(10.0, 5.0))
            || fails(10.0, 5.0, 0.2)
            || held
            || (strain.limited && strain.stressed);
        let strong = suffers || stalls(40.0, 0.1);
        let stalled = stalls(20.0, 0.2);
        let signals = &mut self.signals;
        (signals.queue_ms, signals.failed_share) = (second.mean_us().max(0.0) / 1000.0, failed_share);
        (signals.stalled, signals.held, signals.suffers) = (stalled, held, suffers);
        signals.stress = Alarm::of(weak, strong);
    }

    fn watch_protocol(&mut self, interval: &Interval<'_>, ordinary: &Ordinary) {
        let usual = (ordinary.abuse.value() * 2.0).max(1.0) * interval.seconds;
        self.protocol += f64::from(interval.abuse) * libm::log(4.0) - usual * 3.0;
        self.protocol = self.protocol.clamp(0.0, PROTOCOL_STRONG * 2.0);
        let seconds: f64 = self.last(SECOND).map(|moment| moment.seconds).sum();
        let abuse: f64 = self.last(SECOND).map(|moment| f64::from(moment.abuse)).sum();
        self.signals.abuse_rps = abuse / seconds.max(0.05);
        let signals = &mut self.signals;
        signals.protocol = Alarm::of(self.protocol >= PROTOCOL_WEAK, self.protocol >= PROTOCOL_STRONG);
        let spent = (signals.abuse_rps - ordinary.abuse.value()).max(0.0) * SPENT_BY_ABUSER;
        let rest = signals.actual_rps - signals.expected_rps - spent;
        signals.is_only_abuse = spent > 0.0 && rest < REST * signals.expected_rps && !signals.suffers;
    }

    fn watch_business(&mut self, interval: &Interval<'_>, ordinary: &Ordinary, event: bool) {
        self.routes.resize(interval.routes.len(), RouteWatch::default());
        let fade = libm::exp2(-interval.seconds / BUSINESS_FADES);
        let warm = ordinary.is_warm();
        let ease = if event { EVENT_EASE } else { 1.0 };
        let (mut weak, mut strong, mut worst) = (false, false, 0.0);
        for (route, (watch, tally)) in self.routes.iter_mut().zip(interval.routes).enumerate() {
            let ordinary = ordinary.routes.get(route).copied().unwrap_or_default();
            watch.fade(fade);
            watch.count(tally);
            if !warm {
                continue;
            }
            let failures = ordinary.failures.value(0.2).clamp(0.02, 0.9);
            let missing = ordinary.missing.value(0.02).clamp(0.02, 0.9);
            let (failed, found) = (f64::from(tally.failed), tally.arrived.saturating_sub(tally.missing));
            watch.failures = sum_share(watch.failures, (failed, f64::from(tally.done)), failures, 0.25);
            watch.missing = sum_share(watch.missing, (f64::from(tally.missing), f64::from(found)), missing, 0.2);
            let codes = watch.watch_codes(tally, &ordinary, interval.seconds);
            let share = |(part, rest): (f64, f64)| part / (part + rest).max(1.0);
            let found = [
                (TroubleKind::Failures, watch.failures, FAILURES_WEAK, FAILURES_STRONG, share(watch.tried), failures),
                (TroubleKind::Missing, watch.missing, MISSING_WEAK, MISSING_STRONG, share(watch.asked), missing),
                (TroubleKind::Codes, watch.codes, CODES_WEAK, f64::INFINITY, watch.sent, ordinary.sent.value()),
            ];
            for (kind, sum, at_weak, at_strong, now, usual) in found {
                let is_strong = sum >= at_strong || (kind == TroubleKind::Codes && codes);
                weak |= sum >= at_weak * ease;
                strong |= is_strong;
                let weight = sum / at_weak;
                if weight >= ease && weight > worst {
                    worst = weight;
                    self.signals.trouble = Some(Trouble { route, kind, now, usual });
                }
            }
        }
        self.signals.business = Alarm::of(weak, strong);
    }
}

impl RouteWatch {
    fn fade(&mut self, fade: f64) {
        for value in [&mut self.failures, &mut self.missing, &mut self.codes, &mut self.sent] {
            *value *= fade;
        }
        for (part, rest) in [&mut self.tried, &mut self.asked] {
            *part *= fade;
            *rest *= fade;
        }
    }

    fn count(&mut self, tally: &RouteTally) {
        self.tried.0 += f64::from(tally.failed);
        self.tried.1 += f64::from(tally.done);
        self.asked.0 += f64::from(tally.missing);
        self.asked.1 += f64::from(tally.arrived.saturating_sub(tally.missing));
        // Fading by half in that time, what comes at a constant rate settles at this many seconds' worth.
        self.sent += f64::from(tally.sent) * std::f64::consts::LN_2 / BUSINESS_FADES;
    }

    /// Sums up codes that are sent beyond what is usual; true once that has lasted, and what is entered has not grown
    /// with it. People need a while to read a code, so a crowd looks the same at first.
    fn watch_codes(&mut self, tally: &RouteTally, ordinary: &OrdinaryRoute, seconds: f64) -> bool {
        let usual = ordinary.sent.value().max(0.2);
        self.codes = sum_rate(self.codes, f64::from(tally.sent), usual * seconds, 2.0, CODES_WEAK);
        let done = self.tried.1 * std::f64::consts::LN_2 / BUSINESS_FADES;
        let (grown, entered) = (self.sent / usual, done / ordinary.done.value().max(0.1));
        let out_of_proportion = self.codes >= CODES_WEAK && grown > 2.0 && entered < grown / 2.0;
        self.codes_for = if out_of_proportion { self.codes_for + seconds } else { 0.0 };
        self.codes_for >= BUSINESS_FADES
    }
}

/// How late the platform is, over some ticks.
struct Lateness {
    count: f64,
    /// Microseconds beyond what is usual, together.
    late_us: f64,
    /// How far chance alone takes that.
    chance_us: f64,
    /// Nothing is known of it, and it is slow by any measure.
    is_slow: bool,
}

impl Lateness {
    fn mean_us(&self) -> f64 {
        self.late_us / self.count.max(1.0)
    }

    fn is_behind(&self) -> bool {
        self.mean_us() > QUEUEING_US / 2.0
    }

    fn is_queueing(&self, least: f64, times: f64) -> bool {
        self.count >= least && self.mean_us() > QUEUEING_US && self.late_us > times * self.chance_us
    }
}

fn lateness<'a>(moments: impl Iterator<Item = &'a Moment>, bases: &[Option<(f64, f64)>; CLASSES]) -> Lateness {
    let mut late = Lateness { count: 0.0, late_us: 0.0, chance_us: 0.0, is_slow: false };
    let (mut unknown, mut unknown_us, mut variance) = (0.0, 0.0, 0.0);
    for moment in moments {
        for (position, base) in bases.iter().enumerate() {
            let (count, sum) = (f64::from(moment.completed[position]), moment.origin_us[position] as f64);
            if let Some((mean, one)) = base {
                late.count += count;
                late.late_us += sum - count * mean;
                variance += count * one;
            } else {
                unknown += count;
                unknown_us += sum;
            }
        }
    }
    late.chance_us = variance.sqrt();
    late.is_slow = unknown >= 5.0 && unknown_us > unknown * SLOW_US;
    late
}

/// One step of a one-sided cumulative sum of log likelihoods: as usual, or [`RATIO`] times that, both scattering.
fn sum_rate(sum: f64, count: f64, usual: f64, scatter: f64, strong: f64) -> f64 {
    (sum + (count * libm::log(RATIO) - usual * (RATIO - 1.0)) / scatter).clamp(0.0, strong * 1.5)
}

/// The same for shares: as usual, or more by `more`.
fn sum_share(sum: f64, (yes, no): (f64, f64), usual: f64, more: f64) -> f64 {
    let worse = (usual + more).min(0.98);
    (sum + yes * libm::log(worse / usual) + no * libm::log((1.0 - worse) / (1.0 - usual))).clamp(0.0, 60.0)
}
