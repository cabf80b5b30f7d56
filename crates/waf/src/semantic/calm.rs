//! Values that were looked at before and are nothing: browsers send the same headers with each request.
//!
//! Exact copies are kept, not hashes of them, so that nobody can make an attack pass for one. What is kept depends on nothing
//! but the value, its header and the detector's settings. Bounded, and the older of two gives way.

/// Shortest and longest value that is kept: shorter ones are quicker to look at than to look up.
const VALUE_BYTES: std::ops::RangeInclusive<usize> = 12..=224;
/// Longest name of a header whose values are kept.
const NAME_BYTES_MAX: usize = 24;
/// How many are kept, two for each hash.
const SLOTS: usize = 128;

/// What was seen and is nothing.
#[derive(Debug, Default)]
pub(super) struct Calm {
    /// Empty until the first is kept.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    settings: u32,
    name: [u8; NAME_BYTES_MAX],
    name_length: u8,
    value: [u8; *VALUE_BYTES.end()],
    value_length: u8,
}

impl Slot {
    const EMPTY: Self = Self {
        settings: 0,
        name: [0; NAME_BYTES_MAX],
        name_length: 0,
        value: [0; *VALUE_BYTES.end()],
        value_length: 0,
    };

    fn holds(&self, settings: u32, name: &[u8], value: &[u8]) -> bool {
        self.settings == settings
            && self.value.get(..usize::from(self.value_length)) == Some(value)
            && self.name.get(..usize::from(self.name_length)) == Some(name)
    }
}

impl Calm {
    /// Whether a value is of a size that is kept.
    pub(super) fn fits(name: &[u8], value: &[u8]) -> bool {
        VALUE_BYTES.contains(&value.len()) && name.len() <= NAME_BYTES_MAX
    }

    /// Whether this value of this header was nothing before.
    pub(super) fn knows(&self, settings: u32, name: &[u8], value: &[u8]) -> bool {
        let slot = place(name, value);
        let both = self.slots.get(slot..slot + 2).unwrap_or_default();
        both.iter().any(|slot| slot.holds(settings, name, value))
    }

    /// Keeps a value that is nothing.
    pub(super) fn learn(&mut self, settings: u32, name: &[u8], value: &[u8]) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::EMPTY);
        }
        let place = place(name, value);
        if let Some([first, second]) = self.slots.get_mut(place..place + 2) {
            std::mem::swap(first, second);
            let (Some(name_room), Some(value_room)) =
                (first.name.get_mut(..name.len()), first.value.get_mut(..value.len()))
            else {
                return;
            };
            name_room.copy_from_slice(name);
            value_room.copy_from_slice(value);
            first.settings = settings;
            first.name_length = name.len() as u8;
            first.value_length = value.len() as u8;
        }
    }
}

/// Where a value is kept: the first of its two slots.
fn place(name: &[u8], value: &[u8]) -> usize {
    let first = value.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let last = value.last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let lengths = (value.len() << 8 | name.len()) as u64;
    let mixed = (first ^ last.rotate_left(29) ^ lengths.rotate_left(17)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as usize % (SLOTS / 2) * 2
}

#[cfg(test)]
mod tests {
    use crate::semantic::{Class, Detector, Findings, Settings};

    const AGENT: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

    #[test]
    fn what_was_nothing_is_known_and_nothing_else() {
        let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
        detector.header(b"User-Agent", AGENT, &mut findings);
        assert!(findings.calm.knows(detector.mark(), b"User-Agent", AGENT));
        assert!(!findings.calm.knows(detector.mark(), b"X-Forwarded-Host", AGENT), "another header");
        assert!(!findings.calm.knows(detector.mark(), b"User-Agent", &AGENT[1..]), "another value");
        let strict = Detector::new(Settings { allowed: vec![Class::Sql], ..Settings::default() });
        assert!(!findings.calm.knows(strict.mark(), b"User-Agent", AGENT), "another detector");
    }

    /// What is something for one detector and allowed by another is told by the first, whoever saw it before.
    #[test]
    fn an_attack_is_never_known() {
        let lax = Detector::new(Settings { allowed: vec![Class::Sql], ..Settings::default() });
        let strict = Detector::new(Settings::default());
        let attack = b"1' union select password from users-- -";
        let mut findings = Findings::new();
        for _ in 0..3 {
            findings.clear();
            lax.header(b"Referer", attack, &mut findings);
            assert!(!lax.blocks(&findings));
            findings.clear();
            strict.header(b"Referer", attack, &mut findings);
            assert!(strict.blocks(&findings));
        }
    }

    /// A finding that does not add to the score, because another was as high, is one all the same.
    #[test]
    fn half_an_attack_beside_another_is_not_nothing() {
        let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
        let odd = b"1 or name like 'a%' and more of it";
        detector.header(b"X-First", odd, &mut findings);
        let score = findings.score();
        assert!(score > 0);
        detector.header(b"X-Second", odd, &mut findings);
        findings.clear();
        detector.header(b"X-Second", odd, &mut findings);
        assert_eq!(findings.score(), score);
    }

    #[test]
    fn many_values_give_way() {
        let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
        for number in 0..2000 {
            findings.clear();
            detector.header(b"User-Agent", format!("Mozilla/5.0 (number {number}; x64)").as_bytes(), &mut findings);
            assert_eq!(findings.score(), 0);
        }
        assert_eq!(findings.calm.slots.len(), super::SLOTS);
    }
}
