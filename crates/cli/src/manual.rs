//! The command line written down: completions, the manual page, and `docs/reference/cli.md`.
//!
//! All of it is made from the definition in `args`; nothing is written twice.

use std::fmt::Write;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::{AFTER, Arguments};
use crate::{Done, Failure, talk};

/// Completions for a shell.
pub(crate) fn completions(shell: Shell) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "portcullis", &mut script);
    talk::answer(&String::from_utf8_lossy(&script))
}

/// One manual page for the whole command: the frame, then a section for each verb.
pub(crate) fn man() -> Done {
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    let whole = Man::new(command.clone()).section("8").manual("Portcullis");
    let drawn = (|| {
        whole.render_title(&mut page)?;
        whole.render_name_section(&mut page)?;
        whole.render_synopsis_section(&mut page)?;
        whole.render_description_section(&mut page)?;
        page.extend_from_slice(b".SH VERBS\n");
        for (name, verb) in verbs(&command) {
            page.extend_from_slice(verb_section(&name, verb).as_bytes());
        }
        page.extend_from_slice(after_sections().as_bytes());
        whole.render_version_section(&mut page)
    })();
    drawn.map_err(|error| Failure::because(format!("cannot draw the manual page: {error}")))?;
    talk::answer(&String::from_utf8_lossy(&page))
}

/// Every verb that does something, with its whole name: `rules list` rather than `rules`.
fn verbs(command: &Command) -> Vec<(String, &Command)> {
    let mut verbs = Vec::new();
    for verb in command.get_subcommands() {
        let name = verb.get_name();
        match verb.has_subcommands() {
            true => verbs.extend(verb.get_subcommands().map(|part| (format!("{name} {}", part.get_name()), part))),
            false => verbs.push((name.to_owned(), verb)),
        }
    }
    verbs
}

fn verb_section(name: &str, verb: &Command) -> String {
    let mut section = format!(".SS {}\n{}\n", roff(&usage(name, verb)), roff(&about(verb)));
    for argument in shown(verb) {
        let _ = write!(section, ".TP\n\\fB{}\\fR\n{}\n", roff(&spelling(argument)), roff(&help(argument)));
    }
    section
}

/// Examples, exit codes and the like, each under its own heading and with its lines kept.
fn after_sections() -> String {
    AFTER.split("\n\n").fold(String::new(), |mut sections, part| {
        let (heading, lines) = part.split_once(":\n").unwrap_or(("", part));
        let lines: Vec<&str> = lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        let _ = write!(sections, ".SH {}\n.nf\n{}\n.fi\n", heading.to_uppercase(), roff(&lines.join("\n")));
        sections
    })
}

/// Text as roff reads it: no line begins with a control character, a dash is a dash.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn shown(verb: &Command) -> impl Iterator<Item = &Arg> {
    verb.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
}

fn spelling(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(|name| format!("<{name}>"));
    let value = value.filter(|_| argument.get_action().takes_values());
    match (argument.get_long(), value) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, value) => value.unwrap_or_default(),
    }
}

fn help(argument: &Arg) -> String {
    let text = argument.get_long_help().or(argument.get_help()).map(StyledStr::to_string).unwrap_or_default();
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.ends_with('.') {
        text.push('.');
    }
    if argument.get_action().takes_values() {
        let choices: Vec<String> =
            argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !choices.is_empty() {
            let _ = write!(text, " One of {}.", choices.join(", "));
        }
        if let Some(default) = argument.get_default_values().first() {
            let _ = write!(text, " Default: `{}`.", default.display());
        }
    }
    text
}

fn short(command: &Command) -> String {
    let mut text = command.get_about().map(StyledStr::to_string).unwrap_or_default();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

fn about(command: &Command) -> String {
    match command.get_long_about() {
        Some(long) => long.to_string().trim_end().to_owned(),
        None => short(command),
    }
}

fn usage(name: &str, command: &Command) -> String {
    let usage = command.clone().bin_name(format!("portcullis {name}")).render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference page, in Markdown.
    fn reference() -> String {
        let mut command = Arguments::command();
        command.build();
        let mut page = String::from(
            "# The command line\n\n<!-- Generated from crates/cli/src/args.rs: UPDATE=1 cargo test -p portcullis reference -->\n\n",
        );
        let _ = writeln!(page, "{}\n\n| verb | what it does |\n|---|---|", about(&command));
        for (name, verb) in verbs(&command) {
            let _ = writeln!(page, "| [`{name}`](#{}) | {} |", name.replace(' ', "-"), short(verb));
        }
        for (name, verb) in verbs(&command) {
            let _ = write!(page, "\n## {name}\n\n{}\n\n```text\n{}\n```\n", about(verb), usage(&name, verb));
            let mut rows = String::new();
            for argument in shown(verb) {
                let spelling = spelling(argument).replace('|', "\\|");
                let _ = writeln!(rows, "| `{spelling}` | {} |", help(argument).replace('|', "\\|"));
            }
            if !rows.is_empty() {
                let _ = write!(page, "\n| argument | meaning |\n|---|---|\n{rows}");
            }
        }
        for part in AFTER.split("\n\n") {
            let (heading, lines) = part.split_once(":\n").unwrap_or(("", part));
            let _ = write!(page, "\n## {heading}\n\n```text\n{lines}\n```\n");
        }
        page
    }

    #[test]
    fn the_reference_page_is_what_the_source_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
        let page = reference();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).expect("docs/reference is there");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page, "docs/reference/cli.md is stale: UPDATE=1 cargo test -p portcullis reference");
    }

    #[test]
    fn every_verb_and_flag_explains_itself() {
        let mut command = Arguments::command();
        command.build();
        for (name, verb) in verbs(&command) {
            assert!(short(verb).len() > 10, "{name}");
            for argument in shown(verb) {
                assert!(help(argument).len() > 10, "{name} {}", argument.get_id());
            }
        }
    }

    #[test]
    fn roff_control_lines_are_only_ours() {
        assert_eq!(roff(".SH\n'x --for"), "\\&.SH\n\\&'x \\-\\-for");
    }
}
