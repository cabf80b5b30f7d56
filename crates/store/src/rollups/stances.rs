//! How platforms stood, from what was recorded of their moves.

use std::collections::BTreeMap;

/// Platforms that are told apart.
const PLATFORMS: usize = 1024;
/// What a gate begins in.
const CALM: &str = "normal";

/// The postures that are known.
#[derive(Debug, Default)]
pub(crate) struct Stances {
    /// When the process began that moves them.
    began: u64,
    known: BTreeMap<String, String>,
}

impl Stances {
    /// All calm, from then on.
    pub(crate) fn new(began: u64) -> Self {
        Self { began, known: BTreeMap::new() }
    }

    /// As these were.
    pub(crate) fn of(known: BTreeMap<String, String>) -> Self {
        Self { began: 0, known }
    }

    /// A process began: all are calm again, as far as nobody says otherwise. What is new comes back, with its time.
    pub(crate) fn began(&mut self, at: u64) -> Vec<(u64, String, String)> {
        self.began = at;
        let known = std::mem::take(&mut self.known);
        let calmed = known.into_iter().filter(|(_, posture)| posture != CALM);
        calmed.map(|(platform, _)| (at, platform, CALM.to_owned())).collect()
    }

    /// A platform moved. Where it was not in what it moved from, it has been since its process began: it went on as the one
    /// before it stood.
    pub(crate) fn moved(&mut self, at: u64, platform: &str, from: &str, to: &str) -> Vec<(u64, String, String)> {
        let mut told = Vec::new();
        let was = self.known.get(platform).map_or(CALM, String::as_str);
        if !from.is_empty() && was != from {
            told.push((self.began, platform.to_owned(), from.to_owned()));
        }
        // An operator who lets it go again moves it nowhere.
        let to = if to == "automatic" || to.is_empty() { from } else { to };
        if to != from {
            told.push((at, platform.to_owned(), to.to_owned()));
        }
        if self.known.len() < PLATFORMS || self.known.contains_key(platform) {
            self.known.insert(platform.to_owned(), to.to_owned());
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postures_are_told_once_and_a_new_process_is_calm_unless_it_went_on() {
        let mut stances = Stances::new(10);
        let told = |told: &[(u64, String, String)]| -> Vec<(u64, String)> {
            told.iter().map(|(at, _, posture)| (*at, posture.clone())).collect()
        };
        let said = |at: u64, posture: &str| vec![(at, posture.to_owned())];
        assert_eq!(told(&stances.moved(20, "public", "normal", "attack")), said(20, "attack"));
        assert_eq!(told(&stances.moved(25, "public", "attack", "automatic")), [], "it stays where it is");
        assert_eq!(told(&stances.moved(30, "public", "attack", "recovery")), said(30, "recovery"));
        assert_eq!(told(&stances.began(40)), said(40, "normal"));
        assert_eq!(told(&stances.began(41)), [], "calm already");
        let went_on = stances.moved(50, "public", "recovery", "normal");
        assert_eq!(told(&went_on), [said(41, "recovery"), said(50, "normal")].concat());
    }
}
