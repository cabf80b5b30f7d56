//! What stands before the evidence: it knows what a drill is to be seen by when it passes, and how the sensors in the traffic stand.
//!
//! The record that a guard makes of a leak of our own is marked as the drill's while it passes; so nobody takes it for a theft, and
//! nobody else's theft for a drill: the way, the address that asked and the moment must all be the drill's own. What is found of the
//! gate's own scripts bears its drill already, and is only waited for.
//!
//! A sensor that did not see its last drill is blind from here on, whatever it says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_config::integrity::Bait;
use portcullis_ledger::{Beat, Event, Recorder, Request, Sensor, State};

use crate::bait::{self, Way};
use crate::drill::{Planted, Scripts};
use crate::lock;
use crate::sense::{Latest, Sight};

/// Until whoever watches must have told.
const TOLD: Duration = Duration::from_secs(5);
/// Whoever has said nothing for so long is down.
const WITHIN: Duration = Duration::from_secs(3);
/// Sensors in the traffic that are known; as many as the evidence keeps the beats of.
const SENSORS: usize = 256;

/// Stands before the evidence.
pub struct Lookout {
    inner: Arc<dyn Recorder>,
    armed: Mutex<Vec<Armed>>,
    /// The last drills that were not seen, by sensor and by what was tried.
    missed: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    heard: Mutex<BTreeMap<Sensor, Heard>>,
}

struct Armed {
    /// `http/public`, `database/members`, `scripts/public`.
    path: String,
    drill: String,
    /// When, and what it was told of.
    seen: Sender<(Instant, String)>,
}

/// What was heard of a sensor last.
struct Heard {
    beat: Beat,
    at: Instant,
    told: Latest,
}

impl Lookout {
    /// Before `inner`, which keeps everything.
    #[must_use]
    pub fn new(inner: Arc<dyn Recorder>) -> Arc<Self> {
        let (armed, missed, heard) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { inner, armed, missed, heard })
    }

    /// Leaks by one way and waits until it was told. When, and in which words.
    pub(crate) fn drill(&self, bait: &Bait, way: Way, id: &str) -> Result<(Duration, &'static str), String> {
        let (seen, told) = mpsc::channel();
        let begun = Instant::now();
        lock(&self.armed).push(Armed { path: bait.way.clone(), drill: id.to_owned(), seen });
        // Whatever became of the leak (it may have been stopped), what counts is whether it was told.
        let leaked = bait::leak(bait, way);
        let outcome = told.recv_timeout(TOLD);
        lock(&self.armed).retain(|armed| armed.drill != id);
        match (outcome, leaked) {
            (Ok((at, _)), _) => Ok((at.duration_since(begun), "as the canary that it was")),
            (Err(_), Ok(())) => Err("the canary left, and nobody told".to_owned()),
            (Err(_), Err(why)) => Err(format!("nobody told of a canary; the leak itself came to nothing: {why}")),
        }
    }

    /// Has scripts leave that change, and waits until each was told. How many there were, and when the last was told.
    pub(crate) fn scripts(&self, scripts: &dyn Scripts, platform: &str, id: &str) -> Result<(u64, Duration), String> {
        let (seen, told) = mpsc::channel();
        let begun = Instant::now();
        lock(&self.armed).push(Armed { path: format!("scripts/{platform}"), drill: id.to_owned(), seen });
        let left = scripts.change(platform, id);
        let outcome = all_told(left.as_deref().unwrap_or_default(), begun, &told);
        lock(&self.armed).retain(|armed| armed.drill != id);
        let count = left?.len();
        outcome.map(|last| (count as u64, last)).map_err(|missing| {
            let (many, first) = (missing.len(), missing.first().map_or("", |first| &*first.words));
            format!("{many} of {count} scripts left changed and untold, the first {first}")
        })
    }

    /// A sensor was tried, and did not see: it is blind until it does.
    pub(crate) fn tried(&self, sensor: &str, what: &str, missed: Option<&str>) {
        let mut all = lock(&self.missed);
        let own = all.entry(sensor.to_owned()).or_default();
        match missed {
            Some(words) => drop(own.insert(what.to_owned(), words.to_owned())),
            None => drop(own.remove(what)),
        }
        all.retain(|_, own| !own.is_empty());
    }

    /// Forgets drills that can be tried no more: nobody would ever see one.
    pub(crate) fn keep(&self, known: &BTreeSet<(String, String)>) {
        let mut all = lock(&self.missed);
        for (sensor, own) in &mut *all {
            own.retain(|what, _| known.contains(&(sensor.clone(), what.clone())));
        }
        all.retain(|_, own| !own.is_empty());
    }

    /// How each sensor stands that is not one of `others`.
    pub(crate) fn sights(&self, others: &[Sight]) -> Vec<Sight> {
        let heard = lock(&self.heard);
        let own = heard.iter().filter(|(name, _)| !others.iter().any(|sight| *sight.sensor == ***name));
        own.map(|(name, heard)| heard.sight(name)).collect()
    }
}

impl Heard {
    fn sight(&self, name: &Sensor) -> Sight {
        let Beat { state, why, seen, dropped, .. } = self.beat.clone();
        let silent = self.at.elapsed();
        let (state, why) = match silent <= WITHIN {
            true => (state, why),
            false => (State::Down, format!("nothing was heard of it for {} s", silent.as_secs())),
        };
        let (sensor, blind_to) = (name.to_string(), blind_to(name).to_owned());
        let (findings, latest) = self.told.shown();
        Sight { sensor, state, why, words: String::new(), blind_to, seen, dropped, findings, latest }
    }
}

impl Recorder for Lookout {
    fn record(&self, sensor: &Sensor, event: Event) {
        let event = match event {
            Event::Canary(mut canary) if canary.client.is_some_and(|client| client.is_loopback()) => {
                let armed = lock(&self.armed);
                if let Some(armed) = armed.iter().find(|armed| armed.path == canary.path) {
                    canary.drill.clone_from(&armed.drill);
                    // Whoever waits may have given up.
                    let _ = armed.seen.send((Instant::now(), String::new()));
                }
                drop(armed);
                Event::Canary(canary)
            }
            Event::Finding(finding) if finding.what == "script-changed" && !finding.drill.is_empty() => {
                let armed = lock(&self.armed);
                let is = |armed: &&Armed| *sensor == *armed.path && finding.drill == armed.drill;
                if let Some(armed) = armed.iter().find(is).filter(|_| finding.authorised.is_empty()) {
                    let _ = armed.seen.send((Instant::now(), finding.subject.clone()));
                }
                drop(armed);
                Event::Finding(finding)
            }
            event => event,
        };
        if let Some((what, words, drill)) = told(&event)
            && let Some(heard) = lock(&self.heard).get_mut(sensor)
        {
            heard.told.push(what, &words, drill);
        }
        self.inner.record(sensor, event);
    }

    fn pulse(&self, mut beat: Beat) {
        if beat.state == State::Up
            && let Some(why) = lock(&self.missed).get(&*beat.sensor).and_then(|own| own.values().next())
        {
            (beat.state, beat.why) = (State::Blind, why.clone());
        }
        let mut all = lock(&self.heard);
        let room = all.len() < SENSORS;
        match all.get_mut(&beat.sensor) {
            Some(heard) => (heard.beat, heard.at) = (beat.clone(), Instant::now()),
            None if room => {
                let heard = Heard { beat: beat.clone(), at: Instant::now(), told: Latest::default() };
                all.insert(beat.sensor.clone(), heard);
            }
            None => {}
        }
        drop(all);
        self.inner.pulse(beat);
    }

    fn request(&self, request: &Request<'_>) {
        self.inner.request(request);
    }
}

/// Waits until all that was planted was told, and how long after `begun` the last was; else what was not.
pub(crate) fn all_told(
    planted: &[Planted],
    begun: Instant,
    told: &Receiver<(Instant, String)>,
) -> Result<Duration, Vec<Planted>> {
    let (mut missing, mut last, until) = (planted.to_vec(), Duration::ZERO, Instant::now() + TOLD);
    while !missing.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        let Ok((at, subject)) = told.recv_timeout(left) else { return Err(missing) };
        missing.retain(|planted| planted.subject != subject);
        last = last.max(at.saturating_duration_since(begun));
    }
    Ok(last)
}

/// What a sensor in the traffic has found: what it is called, in words, and the drill that it was found in.
fn told(event: &Event) -> Option<(&str, String, &str)> {
    match event {
        Event::Finding(it) => Some((&it.what, it.words.clone(), &it.drill)),
        Event::Canary(it) => {
            let how = if it.left { "left" } else { "was stopped" };
            Some(("canary", format!("canary {} {how} ({}) through {}", it.canary, it.way, it.through), &it.drill))
        }
        Event::Disclosure(it) => {
            let words =
                format!("{} {} through {}, of {} allowed: {}", it.reached, it.what, it.through, it.allowed, it.action);
            Some(("disclosure", words, ""))
        }
        _ => None,
    }
}

/// What a sensor in the traffic can never see.
fn blind_to(sensor: &str) -> &'static str {
    match sensor.split('/').next().unwrap_or_default() {
        "http" => {
            "what leaves by a route where `data.action` is off or in a form that cannot be read (that is counted), what does not come \
             through the gate, and what is no member's record by any of its marks"
        }
        "scripts" => {
            "what leaves by a route where `data.action` is off, what others' servers give visitors, scripts within pages, whatever changed \
             and changed back between two looks at one path"
        }
        "database" => {
            "sessions that do not come through the gate (reconciliation looks for them), what the server does by itself, and what an \
             allowed statement is meant for"
        }
        "brain" => "attacks that look like everybody and ask for no more than visitors do",
        "gate" => "what does not come through it, and whatever somebody does who can change the gate or its kernel",
        _ => "what it does not look at",
    }
}

#[cfg(test)]
mod tests {
    use portcullis_ledger::{Canary, Finding};

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Beat>>);

    impl Recorder for Kept {
        fn record(&self, _: &Sensor, _: Event) {}

        fn pulse(&self, beat: Beat) {
            lock(&self.0).push(beat);
        }

        fn request(&self, _: &Request<'_>) {}
    }

    fn beat(sensor: &'static str, state: State) -> Beat {
        let why = if state == State::Up { "" } else { "its own reason" };
        Beat { sensor: sensor.into(), state, why: why.to_owned(), seen: 7, dropped: 2, ..Beat::default() }
    }

    #[test]
    fn a_sensor_that_missed_a_drill_is_blind_in_the_ledger_and_for_people_until_it_sees_one() {
        let kept = Arc::new(Kept::default());
        let lookout = Lookout::new(Arc::<Kept>::clone(&kept));
        let stands = |state: State| {
            lookout.pulse(beat("http/public", state));
            lookout.pulse(beat("scripts/public", State::Up));
            let sights = lookout.sights(&[]);
            let beats = std::mem::take(&mut *lock(&kept.0));
            let of = |name: &str| {
                let sight = sights.iter().find(|sight| sight.sensor == name).expect("it beats");
                let beat = beats.iter().find(|beat| beat.sensor == name).expect("it beats");
                assert_eq!((sight.state, &sight.why), (beat.state, &beat.why), "both say the same");
                assert_eq!((sight.seen, sight.dropped), (7, 2));
                (sight.state, sight.why.clone())
            };
            assert_eq!(of("scripts/public"), (State::Up, String::new()), "the benign twin");
            of("http/public")
        };
        let missed = |why: &str| (State::Blind, why.to_owned());
        assert_eq!(stands(State::Up), (State::Up, String::new()));
        lookout.tried("http/public", "canary-http", Some("it did not see the drill"));
        assert_eq!(stands(State::Up), missed("it did not see the drill"));
        assert_eq!(stands(State::Blind), missed("its own reason"), "what it says itself goes first");
        lookout.tried("http/public", "canary-other", None);
        assert_eq!(stands(State::Up), missed("it did not see the drill"), "another way proves nothing");
        lookout.tried("http/public", "canary-http", None);
        assert_eq!(stands(State::Up), (State::Up, String::new()));
        lookout.tried("http/public", "canary-http", Some("it did not see the drill"));
        lookout.keep(&BTreeSet::from([("http/public".to_owned(), "canary-http".to_owned())]));
        assert_eq!(stands(State::Up), missed("it did not see the drill"));
        lookout.keep(&BTreeSet::new());
        assert_eq!(stands(State::Up), (State::Up, String::new()), "nobody can try that any more");
    }

    #[test]
    fn what_is_found_in_the_traffic_is_shown_with_its_sensor() {
        let lookout = Lookout::new(Arc::new(Kept::default()));
        lookout.pulse(beat("scripts/public", State::Up));
        lookout.pulse(beat("files/public", State::Up));
        let changed = Finding { what: "script-changed".to_owned(), drill: "d-1".to_owned(), ..Finding::default() };
        lookout.record(&"scripts/public".into(), Event::Finding(changed));
        let canary = Canary { canary: "c-1".to_owned(), left: true, ..Canary::default() };
        lookout.record(&"scripts/public".into(), Event::Canary(canary));
        let other = Sight { sensor: "files/public".to_owned(), ..lookout.sights(&[]).remove(0) };
        let sights = lookout.sights(&[other]);
        let [scripts] = &sights[..] else { panic!("{sights:?}") };
        let told: Vec<_> = scripts.latest.iter().map(|told| (&*told.what, &*told.drill)).collect();
        assert_eq!(told, [("script-changed", "d-1"), ("canary", "")]);
        assert_eq!(scripts.findings, 2);
        assert!(scripts.blind_to.contains("scripts within pages"), "{}", scripts.blind_to);
    }
}
