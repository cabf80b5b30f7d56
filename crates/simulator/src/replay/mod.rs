//! Access logs played through the real engine: what would have been refused, whom it would have hit, which limits to set.
//!
//! It opens no file: logs come as readers, and the policy as it was checked. The same logs give the same report.

#[cfg(test)]
mod cases;
mod entry;
mod json;
mod limits;
mod play;
mod report;
mod source;
mod text;
mod time;

use portcullis_config::Policy;
use portcullis_engine::{Declaration, Settings};

pub use entry::{Entry, Format, LINE_BYTES, Line, parse};
pub use json::keys;
pub use limits::{SuggestedConcurrency, SuggestedRate, Suggestions};
pub use play::assumed;
pub use report::{Busiest, Change, Fates, Hit, Report, Share, Told};
pub use source::{BadLine, HELD_LINES, Reading, Source, WINDOW_SECONDS};
pub use time::{rfc3339, show};

use play::Player;
use source::Merged;

/// Requests of one second that are spread over it; what is more in one second goes at its end.
const SECOND_LINES: usize = 200_000;

/// What logs are played against.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The configuration as it was checked.
    pub policy: &'a Policy,
    /// The same as it is written, to know which routes it names.
    pub text: &'a str,
    /// The same as the engine holds to it.
    pub declaration: &'a Declaration,
    /// How the brain behaves.
    pub settings: &'a Settings,
    /// The platform of requests that name no host of ours. Without it, a log without hosts fits only a single platform.
    pub platform: Option<&'a str>,
}

/// Plays logs through the engine.
///
/// # Errors
/// In words: no request can be read, or nobody can tell which platform it was for.
pub fn replay(setting: Setting<'_>, sources: Vec<Source<'_>>) -> Result<Report, String> {
    let policy = setting.policy;
    let names = || policy.platforms.iter().map(|platform| platform.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut otherwise = match setting.platform {
        Some(name) => {
            let position = policy.platforms.iter().position(|platform| platform.name == name);
            Some(position.ok_or_else(|| format!("there is no platform `{name}`; there are: {}", names()))?)
        }
        None => None,
    };
    let mut merged = Merged::open(sources);
    let Some(first) = merged.next() else { return Err(nothing(&merged.reading)) };
    let mut assumptions = Vec::new();
    if first.host.is_none() && otherwise.is_none() {
        let [only] = policy.platforms.as_slice() else {
            return Err(format!("the log names no host; say with --platform which platform it is of: {}", names()));
        };
        assumptions.push(format!("The log names no host; all of it is taken to be for `{}`.", only.name));
        otherwise = Some(0);
    }

    let epoch = first.at / time::SECOND * time::SECOND;
    let mut player = Player::new(policy, setting.declaration, setting.settings.clone(), otherwise, epoch);
    let (mut batch, mut second) = (Vec::new(), first.at / time::SECOND);
    let mut next = Some(first);
    while let Some(entry) = next {
        if entry.at / time::SECOND != second || batch.len() >= SECOND_LINES {
            second = entry.at / time::SECOND;
            player.play(std::mem::take(&mut batch));
        }
        batch.push(entry);
        next = merged.next();
    }
    player.play(batch);
    player.end();
    Ok(Report::new(policy, setting.text, epoch, &player.played, merged.reading, assumptions))
}

/// Why there is nothing to play.
fn nothing(reading: &Reading) -> String {
    let because = match (reading.bad_lines.first(), reading.cut.first()) {
        (Some(bad), _) => format!(": {}:{}: {}: {}", bad.log, bad.line, bad.why, bad.begins),
        (None, Some(cut)) => format!(": {cut}"),
        (None, None) => String::new(),
    };
    format!("no request can be read from {} lines{because}", reading.lines)
}
