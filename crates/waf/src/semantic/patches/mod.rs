//! Virtual patches: requests that use a vulnerability which is known by its number.
//!
//! For what shape alone does not tell: a path that nobody but an attacker asks for, a header that only a broken product heeds.
//! Each patch names the vulnerability and who described it, and carries a request that it must stop and a twin that it must let
//! pass; the self-probe sends the first.

mod table;

pub use table::{PATCHES, VERSION};

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::finding::{Class, Findings, Hit, Place};
use super::text::{any, begins, find};

/// One patch.
#[derive(Debug)]
pub struct Patch {
    /// `CVE-2021-44228`.
    pub id: &'static str,
    /// The product and what is wrong with it.
    pub about: &'static str,
    /// Its entry in the national vulnerability database.
    pub source: &'static str,
    /// The vendor's advisory, or the one of GitHub; the release that mends it, or its day, where it has no number.
    pub advisory: &'static str,
    /// Where a request that uses it is published: what it asks for was read there.
    pub read: &'static str,
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

/// Most patches, and most literals of paths and targets: one bit each.
const PATCHES_MAX: usize = 64;
const LITERALS_MAX: usize = 128;

/// What was met so far of each patch.
#[derive(Debug)]
pub(super) struct Progress {
    /// The patches that this request could still use: one bit each.
    possible: u64,
    /// One bit for each condition of a patch; means something where the patch is possible.
    met: [u8; PATCHES_MAX],
}

impl Default for Progress {
    fn default() -> Self {
        Self { possible: 0, met: [0; PATCHES_MAX] }
    }
}

impl Progress {
    pub(super) fn clear(&mut self) {
        self.possible = 0;
    }
}

/// Where to look for patches, so that an ordinary value is compared with none.
struct Index {
    /// Every literal of a path or a target, in the order of [`Index::needs`].
    literals: Option<AhoCorasick>,
    /// Of each patch, the literals that a target must have: one bit each.
    needs: Vec<u128>,
    /// By the length of a header's name, the patches that wait for one.
    headers: [u64; 64],
    /// The patches that are about some paths only.
    located: u64,
    /// Those that wait for a parameter on a path of their own, and so for values that are quite plain.
    plain: u64,
    /// The patches that wait for a parameter, with how long its name is at least.
    parameters: Vec<(usize, usize)>,
}

static INDEX: OnceLock<Index> = OnceLock::new();

fn index() -> &'static Index {
    INDEX.get_or_init(|| {
        let mut literals: Vec<&[u8]> = Vec::new();
        let mut index =
            Index { literals: None, needs: Vec::new(), headers: [0; 64], located: 0, plain: 0, parameters: Vec::new() };
        for (number, patch) in PATCHES.iter().enumerate() {
            let mut needs = 0;
            let path = match patch.path {
                Path::Any => None,
                Path::Begins(part) | Path::Has(part) | Path::Ends(part) => Some(part.as_bytes()),
            };
            let targets = patch.when.iter().filter_map(|when| match when {
                When::Target(part) => Some(part.as_bytes()),
                When::TargetBytes(part) => Some(*part),
                _ => None,
            });
            for literal in path.into_iter().chain(targets) {
                needs |= 1_u128 << (literals.len() % LITERALS_MAX);
                literals.push(literal);
            }
            index.needs.push(needs);
            index.located |= u64::from(needs != 0) << (number % PATCHES_MAX);
            for when in patch.when {
                match when {
                    When::Header(name, _) | When::HeaderOver(name, _) => {
                        if let Some(slot) = index.headers.get_mut(name.len() % 64) {
                            *slot |= 1 << (number % PATCHES_MAX);
                        }
                    }
                    When::Parameter(name, _) => {
                        index.parameters.push((number, name.len()));
                        index.plain |= u64::from(needs != 0) << (number % PATCHES_MAX);
                    }
                    _ => {}
                }
            }
        }
        let builder = &mut AhoCorasick::builder();
        let builder = builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
        index.literals = builder.build(literals).ok();
        index
    })
}

/// Finds the patches that a request line is about. `target` is decoded.
pub(super) fn request_line(method: &[u8], path: &[u8], target: &[u8], findings: &mut Findings) {
    findings.progress.clear();
    let index = index();
    let seen = index.literals.as_ref().map_or(u128::MAX, |literals| {
        literals
            .find_overlapping_iter(target)
            .fold(0, |seen, found| seen | 1 << (found.pattern().as_usize() % LITERALS_MAX))
    });
    for (number, (patch, needs)) in PATCHES.iter().zip(&index.needs).enumerate().take(PATCHES_MAX) {
        if needs & !seen != 0 || !patch.path.fits(path) {
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
            if met.count_ones() as usize == patch.when.len() {
                tell(patch, Place::Path, b"", target, findings);
            } else if let Some(slot) = findings.progress.met.get_mut(number) {
                *slot = met;
                findings.progress.possible |= 1 << number;
            }
        }
    }
}

/// Takes a value into account that patches may wait for.
pub(super) fn value(place: Place, name: &[u8], value: &[u8], findings: &mut Findings) {
    let possible = findings.progress.possible;
    let index = index();
    match place {
        Place::Header => {
            let mut waiting = index.headers.get(name.len() % 64).copied().unwrap_or(0) & possible;
            while waiting != 0 {
                step(waiting.trailing_zeros() as usize, place, name, value, findings);
                waiting &= waiting - 1;
            }
        }
        Place::Query | Place::Form | Place::Json | Place::Cookie => {
            for (number, length) in &index.parameters {
                if possible >> number & 1 == 1 && name.len() >= *length {
                    step(*number, place, name, value, findings);
                }
            }
        }
        _ => {}
    }
}

/// Whether patches wait for this header because of the path.
pub(super) fn wait_by_path(name: &[u8], findings: &Findings) -> bool {
    let index = index();
    index.headers.get(name.len() % 64).copied().unwrap_or(0) & index.located & findings.progress.possible != 0
}

/// Whether patches wait for a parameter that is plain in name and value. Those that do not ask for a path ask for signs.
pub(super) fn wait_for_plain(findings: &Findings) -> bool {
    findings.progress.possible & index().plain != 0
}

/// Looks whether a value meets a condition of a patch.
fn step(number: usize, place: Place, name: &[u8], value: &[u8], findings: &mut Findings) {
    let (Some(patch), Some(met)) = (PATCHES.get(number), findings.progress.met.get(number).copied()) else { return };
    let mut now = met;
    for (bit, when) in patch.when.iter().enumerate() {
        let fits = match when {
            When::Header(known, part) => {
                place == Place::Header && name.eq_ignore_ascii_case(known.as_bytes()) && has(value, part)
            }
            When::Parameter(known, part) => place != Place::Header && has(name, known) && has(value, part),
            When::HeaderOver(known, most) => {
                place == Place::Header && name.eq_ignore_ascii_case(known.as_bytes()) && value.len() > *most
            }
            _ => false,
        };
        now |= u8::from(fits) << bit;
    }
    if now != met {
        findings.tell();
        if let Some(slot) = findings.progress.met.get_mut(number) {
            *slot = now;
        }
        if now.count_ones() as usize == patch.when.len() {
            tell(patch, place, name, value, findings);
        }
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
        // One number may be used in two ways.
        let ids: std::collections::BTreeSet<_> = PATCHES.iter().map(|patch| (patch.id, patch.about)).collect();
        assert_eq!(ids.len(), PATCHES.len(), "a number stands twice");
        assert!(PATCHES.len() <= PATCHES_MAX);
        assert!(index().literals.as_ref().is_some_and(|literals| literals.patterns_len() <= LITERALS_MAX));
        for patch in PATCHES {
            assert!(
                patch.id.starts_with("CVE-")
                    && patch.source.starts_with("https://")
                    && !patch.advisory.is_empty()
                    && patch.read.contains(patch.id),
                "{}",
                patch.id
            );
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
