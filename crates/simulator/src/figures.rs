//! The figures that a rehearsal measures, and how limits of them are written.

use crate::scenario::nanos;

/// Parts of the engine that a scenario may switch off.
pub(crate) const SWITCHES: [&str; 13] = portcullis_engine::Switches::NAMES;

/// Every figure: its name, its unit, and what it is.
pub const FIGURES: &[(&str, &str, &str)] = &[
    ("armed", "ms", "from the first request of the attack until the platform's posture is no longer normal"),
    ("admission", "ms", "from the first request of the attack until admission bounds, queues or refuses anything"),
    ("rule", "ms", "from the first request of the attack until a rule acts"),
    ("rearmed", "ms", "the longest time from the start of a later pulse until a rule acts"),
    (
        "mitigated",
        "ms",
        "from the first request of the attack until at most 5 % leaks in each of three seconds in a row",
    ),
    ("leak_requests", "%", "of the attack's requests after that, how many reached a platform"),
    ("leak_origin", "%", "of the platform's time that the attack asked for after that, how much it got"),
    ("refused", "%", "legitimate sessions of which any request was refused"),
    (
        "refused_protected",
        "",
        "sessions of people, partners and machines that are known, of which any request was refused",
    ),
    ("challenged", "%", "legitimate sessions that met a challenge"),
    ("challenge_failed", "%", "legitimate sessions that met a challenge and never got past it"),
    ("delayed", "%", "legitimate sessions that waited for anything longer than two seconds"),
    ("unserved", "%", "legitimate sessions that went away without what they came for, for whatever reason"),
    ("calm_added", "ms", "the 99th percentile of what the gate itself added to legitimate requests in calm"),
    ("calm_p50", "ms", "median of legitimate requests in calm"),
    ("calm_p99", "ms", "99th percentile of legitimate requests in calm"),
    ("attack_p50", "ms", "median of legitimate requests under attack, from its fourth second on"),
    ("attack_p99", "ms", "99th percentile of legitimate requests under attack, from its fourth second on"),
    ("p99_ratio", "x", "attack_p99 as a multiple of calm_p99"),
    ("p99_onset", "ms", "99th percentile of legitimate requests in the first three seconds of the attack"),
    ("rules", "", "rules that acted"),
    ("blocking_rules", "", "rules that challenged, refused or closed"),
    ("live_rules", "", "the most rules that acted at once"),
    ("address_rules", "", "rules that asked for nothing but a network"),
    (
        "flaps",
        "",
        "times that a posture rose again within a minute after it had fallen, from the start of the attack on",
    ),
    ("revert", "ms", "the longest time from a rule's first harm to somebody protected until it stopped acting"),
    ("relax", "s", "from the end of the attack until a rule is relaxed or withdrawn"),
    ("normal", "s", "from the end of the attack until the posture is normal"),
    ("attack_postures", "", "times that a platform entered the posture attack"),
    ("overload_postures", "", "times that a platform entered the posture overload"),
    ("false_attacks", "", "times that it entered attack while there was none"),
    ("calm_alarms", "", "times that its posture left normal while there was no attack"),
    ("memory", "MiB", "memory of the node's tables"),
    (
        "token_rate",
        "/s",
        "requests a second that one stolen cookie vouched for and that reached a platform, over the attack",
    ),
    ("abusers_closed", "%", "connections that broke the protocol and were ended for it"),
    ("streams_wasted", "", "the most requests that one such connection got through"),
    ("connections_free", "%", "the least share of the node's connections that was free"),
];

/// The unit of a figure.
pub(crate) fn unit(name: &str) -> Option<&'static str> {
    FIGURES.iter().find(|(known, ..)| *known == name).map(|(_, unit, _)| *unit)
}

/// A limit in that unit.
///
/// # Errors
/// In words, when it is written in another.
pub(crate) fn limit(value: &toml::Value, unit: &str) -> Result<f64, String> {
    let wrong = || {
        let example = match unit {
            "ms" | "s" => "a time like \"1s\"",
            "%" => "a share like \"0.1%\"",
            _ => "a number",
        };
        format!("`{}` is not {example}", value.to_string().trim_matches('"'))
    };
    #[expect(clippy::cast_precision_loss, reason = "numbers that a person wrote")]
    match (unit, value) {
        ("ms", toml::Value::String(text)) => nanos(text).map(|nanos| nanos / 1e6),
        ("s", toml::Value::String(text)) => nanos(text).map(|nanos| nanos / 1e9),
        ("%", toml::Value::String(text)) => text.strip_suffix('%').and_then(|number| number.trim().parse().ok()),
        ("ms" | "s" | "%", _) => None,
        (_, toml::Value::Integer(number)) => Some(*number as f64),
        (_, toml::Value::Float(number)) => Some(*number),
        _ => None,
    }
    .filter(|limit: &f64| limit.is_finite() && *limit >= 0.0)
    .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_the_figures_unit() {
        let table = [
            ("armed", "\"1s\"", Ok(1000.0)),
            ("relax", "\"1m\"", Ok(60.0)),
            ("refused", "\"0.1%\"", Ok(0.1)),
            ("live_rules", "4", Ok(4.0)),
            ("p99_ratio", "1.2", Ok(1.2)),
            ("armed", "1", Err("`1` is not a time like \"1s\"".to_owned())),
            ("refused", "0.1", Err("`0.1` is not a share like \"0.1%\"".to_owned())),
            ("live_rules", "\"many\"", Err("`many` is not a number".to_owned())),
        ];
        for (figure, text, expected) in table {
            let value: toml::Table = format!("v = {text}").parse().expect(text);
            assert_eq!(limit(&value["v"], unit(figure).expect(figure)), expected, "{figure} {text}");
        }
    }
}
