//! PROMISES.md: no claim without a command that checks it.
//!
//! Never runs the commands; `make test` and `make bench` do. It sees that each row names one that exists, or says
//! pending.

use crate::Complaint;

/// Complaints about the rows of every table: the column `command` holds a command, or the row says pending.
#[must_use]
pub fn check(promises: &str, makefile: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut command_column = None;
    let mut rows = 0;
    for (number, line) in promises.lines().enumerate() {
        let place = format!("PROMISES.md:{}", number + 1);
        let Some(cells) = cells(line) else {
            command_column = None;
            continue;
        };
        let Some(column) = command_column else {
            command_column = cells.iter().position(|cell| *cell == "command");
            if command_column.is_none() {
                complaints.push(Complaint::new(place, "a table of promises needs a column `command`"));
                command_column = Some(usize::MAX);
            }
            continue;
        };
        if cells.iter().all(|cell| cell.chars().all(|c| matches!(c, '-' | ':' | ' '))) {
            continue;
        }
        rows += 1;
        let pending = cells.iter().any(|cell| cell.contains("pending"));
        match cells.get(column).and_then(|cell| command(cell)) {
            Some(command) => {
                complaints.extend(unknown_target(command, makefile).map(|words| Complaint::new(place, words)))
            }
            None if pending => {}
            None => complaints.push(Complaint::new(place, "promises without a command; write one, or say pending")),
        }
    }
    if rows == 0 {
        complaints.push(Complaint::new("PROMISES.md", "promises nothing"));
    }
    complaints
}

/// The cells of a row of a Markdown table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The first piece of code in a cell.
fn command(cell: &str) -> Option<&str> {
    cell.split('`').nth(1).filter(|command| !command.trim().is_empty())
}

fn unknown_target(command: &str, makefile: &str) -> Option<String> {
    let target = command.strip_prefix("make ")?.split_whitespace().next()?;
    let known = makefile.lines().any(|line| line.split_once(':').is_some_and(|(name, _)| name == target));
    (!known).then(|| format!("`make {target}` is no target of the Makefile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| promise | command | last shown |\n|---|---|---|\n";

    fn complaints(rows: &str) -> Vec<Complaint> {
        check(&format!("{HEAD}{rows}"), "bench: ## side by side\n")
    }

    #[test]
    fn planted_claims_without_a_command_are_found() {
        for rows in ["| fast | | yes |", "| fast | trust us | yes |", "| fast | `make speed` | yes |", ""] {
            assert_eq!(complaints(rows).len(), 1, "{rows}");
        }
        assert_eq!(check("| promise | proof |\n|---|---|\n| a | `x` |\n", "").len(), 2, "no such column");
    }

    #[test]
    fn a_command_or_the_word_pending_passes() {
        for rows in
            ["| fast | `make bench ARGS=x` | 0.9 |", "| fast | `cargo test -p a` | yes |", "| far | | pending |"]
        {
            assert_eq!(complaints(rows), Vec::new(), "{rows}");
        }
    }
}
