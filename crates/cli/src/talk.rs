//! The two streams: stdout for answers, stderr for everything said besides.
//!
//! Colour only where a person looks and has not declined it (<https://no-color.org>).

use std::env;
use std::io::{self, ErrorKind, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::{Done, Failure};

/// Writes an answer to stdout, with a newline at its end.
pub(crate) fn answer(text: &str) -> Done {
    let mut stdout = io::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
        // Whoever read the answer (`portcullis man | head`) has had enough of it.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::because(format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Says something on stderr. When that is closed there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says on stderr, in one line, why it did not work.
pub(crate) fn error(why: &str) {
    let (start, end) = if coloured() { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
    say(&format!("{start}error{end}: {why}"));
}

/// What the gate itself reports goes to stderr from now on, from `level` up, or as `PORTCULLIS_LOG` asks.
pub(crate) fn listen(level: &str) -> Done {
    let filter = match env::var("PORTCULLIS_LOG") {
        Ok(asked) if !asked.is_empty() => EnvFilter::try_new(&asked)
            .map_err(|error| Failure::because(format!("PORTCULLIS_LOG is `{asked}`, which cannot be read: {error}")))?,
        _ => EnvFilter::new(level),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(coloured())
        .with_target(false)
        .try_init()
        .map_err(|error| Failure::because(format!("cannot log to stderr: {error}")))
}

/// Whether stderr is a terminal whose reader wants colour.
pub(crate) fn coloured() -> bool {
    io::stderr().is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}
