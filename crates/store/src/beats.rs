//! Who is watching, each second: what sensors say of themselves, and that they are down when they say nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use portcullis_ledger::leaf::is_sensor;
use portcullis_ledger::{Beat, Sensor, State};

use crate::lanes::lock;

/// Sensors that beat, at most. Beyond it, they are not told of, which coverage counts as a gap.
const BEATING: usize = 256;
/// Whoever has said nothing for so long is down.
const WITHIN: Duration = Duration::from_secs(3);

/// What each sensor said last.
#[derive(Debug, Default)]
pub(crate) struct Beats(Mutex<BTreeMap<Sensor, Heart>>);

#[derive(Debug)]
struct Heart {
    beat: Beat,
    heard: Instant,
    next: u64,
}

impl Beats {
    /// A sensor says how it stands. One that counts from the beginning again began anew.
    pub(crate) fn hear(&self, beat: Beat) {
        let mut hearts = lock(&self.0);
        if let Some(heart) = hearts.get_mut(&beat.sensor) {
            if beat.seen < heart.beat.seen {
                heart.next = 0;
            }
            heart.beat = beat;
            heart.heard = Instant::now();
        } else if hearts.len() < BEATING && is_sensor(&beat.sensor) {
            hearts.insert(beat.sensor.clone(), Heart { beat, heard: Instant::now(), next: 0 });
        }
    }

    /// One of each.
    pub(crate) fn all(&self) -> Vec<Beat> {
        lock(&self.0).values_mut().map(Heart::beat).collect()
    }
}

impl Heart {
    fn beat(&mut self) -> Beat {
        let seq = self.next;
        self.next += 1;
        let silent = self.heard.elapsed();
        if silent <= WITHIN {
            return Beat { seq, ..self.beat.clone() };
        }
        let why = format!("nothing was heard of it for {} s", silent.as_secs());
        Beat { seq, state: State::Down, why, ..self.beat.clone() }
    }
}
