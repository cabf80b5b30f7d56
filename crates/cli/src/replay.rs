//! `portcullis replay`: access logs played through the real engine.
//!
//! It opens the logs and shows the report; what is made of them is `portcullis_simulator::replay`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_engine::Settings;
use portcullis_simulator::replay::{Report, Setting, Source, replay};

use crate::args;
use crate::configuration::Read;
use crate::world::plain;
use crate::{Done, Failure, talk};

/// Plays the logs and prints what came of it.
pub(crate) fn run(flags: &args::Replay) -> Done {
    let report = report(&flags.config, flags.platform.as_deref(), &flags.logs)?;
    talk::answer(&if flags.json { report.json() } else { report.text() })
}

fn report(config: &Path, platform: Option<&str>, logs: &[PathBuf]) -> Result<Report, Failure> {
    let read = Read::file(config).map_err(Failure::Because)?;
    let text = read.as_written().to_owned();
    let policy = read.settle()?;
    let declaration = portcullis_proxy::declaration(&policy);
    // A replay tells what the gate would do, also to somebody who only lets it observe.
    let settings = Settings { watch_only: false, ..portcullis_proxy::settings(&policy) };
    let sources = logs.iter().map(|log| open(log)).collect::<Result<Vec<_>, _>>()?;
    let setting = Setting { policy: &policy, text: &text, declaration: &declaration, settings: &settings, platform };
    replay(setting, sources).map_err(Failure::Because)
}

fn open(log: &Path) -> Result<Source<'static>, Failure> {
    if log == Path::new("-") {
        return Ok(Source { name: "stdin".to_owned(), reader: Box::new(io::stdin().lock()) });
    }
    let name = log.display().to_string();
    let unreadable = |error: io::Error| Failure::because(format!("cannot read {name}: {}", plain(&error)));
    let file = File::open(log).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Failure::because(format!("{name} is a directory; name the logs in it")));
    }
    Ok(Source { name, reader: Box::new(file) })
}
