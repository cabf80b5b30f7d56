//! What an operator, or the canary of a test, turns. Thresholds are constants beside the code that they belong to.

use serde::{Deserialize, Serialize};

/// How the brain behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Rules are found, tried and told, but none goes further than shadow: nobody is touched by a rule.
    pub watch_only: bool,
    /// Parts of the brain, all on.
    pub switches: Switches,
}

impl Default for Settings {
    fn default() -> Self {
        Self { watch_only: false, switches: Switches::ALL }
    }
}

/// Parts of the brain. Each can be turned off, so that a test can show that it fails without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// Channel R: more requests than expected.
    pub rate: bool,
    /// Channel S: the platform is slow or fails.
    pub stress: bool,
    /// Channel C: rules count as evidence of an attack.
    pub contrast: bool,
    /// Channel P: clients break the protocol.
    pub protocol: bool,
    /// Channel B: logins fail, payments are declined, codes are sent and never entered.
    pub business: bool,
    /// Rules are mined at all.
    pub mining: bool,
    /// Human evidence forbids a rule.
    pub veto: bool,
    /// Some of those that match are left alone, to learn what a rule changes.
    pub hold_out: bool,
    /// Limits and the cut of admission.
    pub admission: bool,
    /// The challenge ladder; without it a challenge puts behind.
    pub challenges: bool,
    /// The waiting room.
    pub room: bool,
    /// Baselines stop learning on suspicion, and learn no faster than the clamp.
    pub freeze: bool,
    /// Tokens vouch for who holds them.
    pub tokens: bool,
}

impl Switches {
    /// Everything on.
    pub const ALL: Self = Self {
        rate: true,
        stress: true,
        contrast: true,
        protocol: true,
        business: true,
        mining: true,
        veto: true,
        hold_out: true,
        admission: true,
        challenges: true,
        room: true,
        freeze: true,
        tokens: true,
    };

    /// Every switch by its name.
    pub const NAMES: [&str; 13] = [
        "rate",
        "stress",
        "contrast",
        "protocol",
        "business",
        "mining",
        "veto",
        "hold_out",
        "admission",
        "challenges",
        "room",
        "freeze",
        "tokens",
    ];

    /// The switch of that name.
    pub fn by_name(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "rate" => &mut self.rate,
            "stress" => &mut self.stress,
            "contrast" => &mut self.contrast,
            "protocol" => &mut self.protocol,
            "business" => &mut self.business,
            "mining" => &mut self.mining,
            "veto" => &mut self.veto,
            "hold_out" => &mut self.hold_out,
            "admission" => &mut self.admission,
            "challenges" => &mut self.challenges,
            "room" => &mut self.room,
            "freeze" => &mut self.freeze,
            "tokens" => &mut self.tokens,
            _ => return None,
        })
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_has_a_name_and_is_on() {
        let mut switches = Switches::ALL;
        for name in Switches::NAMES {
            let switch = switches.by_name(name).expect("a switch");
            assert!(*switch, "{name}");
            *switch = false;
        }
        assert_eq!(format!("{switches:?}").matches("false").count(), Switches::NAMES.len());
        assert_eq!(format!("{switches:?}").matches("true").count(), 0, "each name turns another one");
        assert_eq!(switches.by_name("gravity"), None);
    }
}
