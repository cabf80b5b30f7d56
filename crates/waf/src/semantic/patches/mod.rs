//! Virtual patches: requests that use a vulnerability which is known by its number.
//!
//! For what shape alone does not tell: a path that nobody but an attacker asks for, a header that only a broken product heeds.
//! Each patch names the vulnerability and who described it, and carries a request that it must stop and a twin that it must let
//! pass; the self-probe sends the first.

mod table;

pub use table::{PATCHES, VERSION};

use super::finding::{Class, Findings, Hit, Place};
use super::text::{any, begins, find};

/// One patch.
#[derive(Debug)]
pub struct Patch {
    /// `CVE-2021-44228`.
    pub id: &'static str,
    /// The product and what is wrong with it.
    pub about: &'static str,
    /// Who described it.
    pub source: &'static str,
    /// The path it is about; a request elsewhere is none of its business.
    pub path: Path,
    /// What else must be so; all of it.
    pub when: &'static [When],
    /// A request that must be stopped.
    pub attack: Example,
    /// One that must pass.
    pub twin: Example,
}

/// A request, as small as can be.
#[derive(Debug)]
pub struct Example {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// Path and query.
    pub target: &'static str,
    /// One header field, where it matters.
    pub header: Option<(&'static str, &'static str)>,
    /// A form, where there is one.
    pub form: &'static str,
}

/// Which paths. Upper and lower case are alike, and escapes are undone first.
#[derive(Debug, Clone, Copy)]
pub enum Path {
    /// Every one.
    Any,
    /// That begin so.
    Begins(&'static str),
    /// That have this in them.
    Has(&'static str),
    /// That end so.
    Ends(&'static str),
}

/// A condition.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// The method is this.
    Method(&'static str),
    /// The target, decoded, has this in it, in lower case.
    Target(&'static str),
    /// The target, decoded, has these bytes in it.
    TargetBytes(&'static [u8]),
    /// A header of this name is longer than this many bytes.
    HeaderOver(&'static str, usize),
    /// A header of this name has this in it; empty: is there at all.
    Header(&'static str, &'static str),
    /// A parameter whose name has the first in it has the second in its value; empty: any.
    Parameter(&'static str, &'static str),
}

/// Patches that wait for a header or a parameter, at most.
const WAITING_MAX: usize = 64;

/// What was met so far of each patch: one bit for each of its conditions.
#[derive(Debug, Default)]
pub(super) struct Progress {
    waiting: smallvec::SmallVec<[(u8, u8); 8]>,
}

impl Progress {
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// Finds the patches that a request line is about. `target` is decoded and in lower case.
pub(super) fn request_line(method: &[u8], path: &[u8], target: &[u8], findings: &mut Findings) {
    findings.progress.clear();
    for (index, patch) in PATCHES.iter().enumerate().take(WAITING_MAX) {
        if !patch.path.fits(path) {
            continue;
        }
        let mut met = 0;
        let mut possible = true;
        for (bit, when) in patch.when.iter().enumerate() {
            let now = match when {
                When::Method(known) => Some(method == known.as_bytes()),
                When::Target(part) => Some(find(target, part.as_bytes()).is_some()),
                When::TargetBytes(part) => Some(memchr::memmem::find(target, part).is_some()),
                _ => None,
            };
            possible &= now != Some(false);
            met |= u8::from(now == Some(true)) << bit;
        }
        if possible {
            step(index, patch, met, Place::Path, b"", target, findings);
        }
    }
}

/// Takes a value into account that patches may wait for.
pub(super) fn value(place: Place, name: &[u8], value: &[u8], findings: &mut Findings) {
    for at in 0..findings.progress.waiting.len() {
        let Some((index, met)) = findings.progress.waiting.get(at).copied() else { return };
        let Some(patch) = PATCHES.get(usize::from(index)) else { return };
        let mut now = met;
        for (bit, when) in patch.when.iter().enumerate() {
            let fits = match when {
                When::Header(known, part) => {
                    place == Place::Header && name.eq_ignore_ascii_case(known.as_bytes()) && has(value, part)
                }
                When::Parameter(known, part) => {
                    matches!(place, Place::Query | Place::Form | Place::Json | Place::Cookie)
                        && has(name, known)
                        && has(value, part)
                }
                When::HeaderOver(known, most) => {
                    place == Place::Header && name.eq_ignore_ascii_case(known.as_bytes()) && value.len() > *most
                }
                _ => false,
            };
            now |= u8::from(fits) << bit;
        }
        if now != met {
            if let Some(entry) = findings.progress.waiting.get_mut(at) {
                entry.1 = now;
            }
            if now.count_ones() as usize == patch.when.len() {
                tell(patch, place, name, value, findings);
            }
        }
    }
}

/// Whether patches wait for values of this request.
pub(super) fn wait(findings: &Findings) -> bool {
    !findings.progress.waiting.is_empty()
}

fn step(index: usize, patch: &Patch, met: u8, place: Place, name: &[u8], text: &[u8], findings: &mut Findings) {
    if met.count_ones() as usize == patch.when.len() {
        tell(patch, place, name, text, findings);
    } else if let Ok(index) = u8::try_from(index) {
        findings.progress.waiting.push((index, met));
    }
}

fn tell(patch: &Patch, place: Place, name: &[u8], text: &[u8], findings: &mut Findings) {
    let hit = Hit { class: Class::Patch, score: 8, start: 0, end: text.len(), why: patch.about, patch: Some(patch.id) };
    findings.add(place, name, text, 0, &hit);
}

fn has(text: &[u8], part: &str) -> bool {
    part.is_empty() || any(text, &[part.as_bytes()])
}

impl Path {
    fn fits(self, path: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Begins(part) => begins(path, part.as_bytes()),
            Self::Has(part) => find(path, part.as_bytes()).is_some(),
            Self::Ends(part) => path
                .len()
                .checked_sub(part.len())
                .and_then(|start| path.get(start..))
                .is_some_and(|end| end.eq_ignore_ascii_case(part.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::{Detector, Settings};

    fn judge(example: &Example) -> Findings {
        let (detector, mut findings) = (Detector::new(Settings::default()), Findings::new());
        detector.request_line(example.method.as_bytes(), example.target.as_bytes(), &mut findings);
        if let Some((name, value)) = example.header {
            detector.header(name.as_bytes(), value.as_bytes(), &mut findings);
        }
        detector.form(example.form.as_bytes(), &mut findings);
        findings
    }

    #[test]
    fn each_stops_its_attack_and_lets_the_twin_pass() {
        for patch in PATCHES {
            let attack = judge(&patch.attack);
            let told = attack.list().iter().any(|finding| finding.patch == Some(patch.id));
            assert!(told, "{}: the attack passes: {:?}", patch.id, attack.list());
            let twin = judge(&patch.twin);
            let detector = Detector::new(Settings::default());
            assert!(!detector.blocks(&twin), "{}: the twin is blocked: {:?}", patch.id, twin.list());
        }
    }

    #[test]
    fn each_is_one_and_says_where_it_comes_from() {
        let ids: std::collections::BTreeSet<_> = PATCHES.iter().map(|patch| patch.id).collect();
        assert_eq!(ids.len(), PATCHES.len(), "a number stands twice");
        assert!(PATCHES.len() <= WAITING_MAX);
        for patch in PATCHES {
            assert!(patch.id.starts_with("CVE-") && patch.source.starts_with("https://"), "{}", patch.id);
            assert!(patch.when.len() <= 8, "{}", patch.id);
            let lower = |part: &str| part == part.to_ascii_lowercase();
            let parts = patch.when.iter().all(|when| match when {
                When::Target(part) | When::Header(_, part) => lower(part),
                When::Parameter(name, part) => lower(name) && lower(part),
                When::Method(_) | When::TargetBytes(_) | When::HeaderOver(..) => true,
            });
            assert!(parts, "{}: compared with lower case", patch.id);
        }
    }
}
