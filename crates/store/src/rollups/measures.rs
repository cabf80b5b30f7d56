//! Measures as stretches of time: from when until when each was in force, as the ledger has it.

use portcullis_ledger::Event;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::database::{Fault, int, uint};

/// Stretches that one answer has, the newest; how many more there were is said beside them.
const MOST: i64 = 500;

/// It came later, and is not in every file of this form.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS measures (platform INTEGER NOT NULL, id TEXT NOT NULL,
    since INTEGER NOT NULL, until INTEGER, cut INTEGER NOT NULL, kind TEXT NOT NULL, action TEXT NOT NULL,
    begun TEXT NOT NULL, PRIMARY KEY (platform, id, since)) WITHOUT ROWID";

/// A measure while it was in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretch {
    /// The platform that it is for.
    pub platform: String,
    /// `r-81`, `admission/public`, `room/public`.
    pub id: String,
    /// `rule`, `admission`, `room`.
    pub kind: String,
    /// What became of who it held: `wait`, `challenge`, `refuse`, …
    pub action: String,
    /// Who began it: `gate`, or a name.
    pub by: String,
    /// From when on, in milliseconds since 1970.
    pub from: u64,
    /// Until when; none while it lasts.
    pub until: Option<u64>,
    /// Nobody ended it: the gate began anew then.
    pub cut: bool,
}

/// What the ledger says of measures, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Switch {
    /// A process began: what held is over, unless it is heard of again.
    Start(u64),
    On {
        at: u64,
        platform: String,
        id: String,
        kind: String,
        action: String,
        by: String,
    },
    Off {
        at: u64,
        platform: String,
        id: String,
    },
}

/// What a record says of a measure.
pub(crate) fn heard(event: &Event, at: u64) -> Option<Switch> {
    match event {
        Event::Start(_) => Some(Switch::Start(at)),
        Event::Measure(it) if it.on => Some(Switch::On {
            at,
            platform: it.platform.clone(),
            id: it.id.clone(),
            kind: it.what.clone(),
            action: it.action.clone(),
            by: it.by.clone(),
        }),
        Event::Measure(it) => Some(Switch::Off { at, platform: it.platform.clone(), id: it.id.clone() }),
        _ => None,
    }
}

pub(crate) fn prepare(connection: &Connection) -> Result<(), Fault> {
    connection.execute(TABLE, [])?;
    Ok(())
}

/// Writes one. `place` finds the number of a platform.
pub(crate) fn write(
    work: &Transaction<'_>,
    switch: &Switch,
    mut place: impl FnMut(&str) -> Result<i64, Fault>,
) -> Result<(), Fault> {
    match switch {
        Switch::Start(at) => {
            let over = "UPDATE measures SET until = max(?1, since), cut = 1 WHERE until IS NULL AND since < ?1";
            work.execute(over, [int(*at)])?;
        }
        Switch::On { at, platform, id, kind, action, by } => {
            // Told again while it holds, it is the same.
            work.execute(
                "INSERT OR IGNORE INTO measures SELECT ?1, ?2, ?3, NULL, 0, ?4, ?5, ?6 WHERE NOT EXISTS
                 (SELECT 1 FROM measures WHERE platform = ?1 AND id = ?2 AND until IS NULL)",
                params![place(platform)?, id, int(*at), kind, action, by],
            )?;
        }
        Switch::Off { at, platform, id } => {
            // A rule may outlive a process, and is heard of again when it ends: then it was in force all the time.
            work.execute(
                "UPDATE measures SET until = max(?3, since), cut = 0 WHERE platform = ?1 AND id = ?2
                 AND (until IS NULL OR cut = 1) AND since =
                 (SELECT max(since) FROM measures WHERE platform = ?1 AND id = ?2)",
                params![place(platform)?, id, int(*at)],
            )?;
        }
    }
    Ok(())
}

/// Removes what ended before a time.
pub(crate) fn erase(connection: &Connection, before: u64) -> Result<(), Fault> {
    connection.execute("DELETE FROM measures WHERE until < ?", [int(before)])?;
    Ok(())
}

/// What was in force within a span on one platform or all of them, the oldest first; and how many more there were, all older.
pub(crate) fn within(
    connection: &Connection,
    platform: Option<i64>,
    (from, until): (u64, u64),
) -> Result<(Vec<Stretch>, u64), Fault> {
    let there = "SELECT 1 FROM sqlite_schema WHERE name = 'measures'";
    if connection.query_row(there, [], |_| Ok(())).optional()?.is_none() {
        return Ok((Vec::new(), 0));
    }
    let those = "FROM measures AS it JOIN platforms ON platforms.id = platform
         WHERE since < ?2 AND coalesce(until, ?2) > ?1 AND (?3 IS NULL OR platform = ?3)";
    let span = params![int(from), int(until), platform];
    let all: i64 = connection.query_row(&format!("SELECT count(*) {those}"), span, |row| row.get(0))?;
    let select = format!(
        "SELECT name, it.id, kind, action, begun, since, until, cut {those} ORDER BY since DESC, it.id LIMIT ?4"
    );
    let mut select = connection.prepare(&select)?;
    let rows = select.query_map(params![int(from), int(until), platform, MOST], |row| {
        Ok(Stretch {
            platform: row.get(0)?,
            id: row.get(1)?,
            kind: row.get(2)?,
            action: row.get(3)?,
            by: row.get(4)?,
            from: uint(row.get(5)?),
            until: row.get::<_, Option<i64>>(6)?.map(uint),
            cut: row.get(7)?,
        })
    })?;
    let mut found = rows.collect::<Result<Vec<_>, _>>()?;
    found.reverse();
    Ok((found, uint(all).saturating_sub(MOST.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::super::{Ask, Batch, Database, history};
    use super::*;

    fn on(at: u64, id: &str) -> Switch {
        let text = str::to_owned;
        Switch::On {
            at,
            platform: text("public"),
            id: text(id),
            kind: text("rule"),
            action: text("refuse"),
            by: text("gate"),
        }
    }

    fn off(at: u64, id: &str) -> Switch {
        Switch::Off { at, platform: "public".to_owned(), id: id.to_owned() }
    }

    type Told = Vec<(String, u64, Option<u64>, bool)>;

    fn told(switches: Vec<Switch>, (from, until): (u64, u64), erased: Option<u64>) -> (Told, u64) {
        let home = tempfile::tempdir().expect("a directory");
        let mut database = Database::open(home.path()).expect("made");
        database.write(&Batch { switches, ..Batch::default() }).expect("room");
        erased.into_iter().for_each(|before| database.erase(0, before).expect("erased"));
        let ask = Ask { platform: Some("public"), from, until, step: 1_000 };
        let found = history(home.path(), &ask).expect("read");
        let line = |it: Stretch| (it.id, it.from, it.until, it.cut);
        (found.measures.into_iter().map(line).collect(), found.more_measures)
    }

    #[test]
    fn a_measure_is_a_stretch_with_both_its_ends() {
        let all = (0, 100_000);
        let line = |id: &str, from, until, cut| (id.to_owned(), from, until, cut);
        type Case = (&'static str, Vec<Switch>, (u64, u64), Told);
        let table: Vec<Case> = vec![
            ("one that ended", vec![on(5, "a"), off(9, "a")], all, vec![line("a", 5, Some(9), false)]),
            ("one that lasts", vec![on(5, "a")], all, vec![line("a", 5, None, false)]),
            ("told twice", vec![on(5, "a"), on(7, "a"), off(9, "a")], all, vec![line("a", 5, Some(9), false)]),
            (
                "twice in force",
                vec![on(5, "a"), off(9, "a"), on(20, "a"), off(30, "a")],
                all,
                vec![line("a", 5, Some(9), false), line("a", 20, Some(30), false)],
            ),
            ("ended by a restart", vec![on(5, "a"), Switch::Start(8)], all, vec![line("a", 5, Some(8), true)]),
            (
                "outlived a restart",
                vec![on(5, "a"), Switch::Start(8), off(20, "a")],
                all,
                vec![line("a", 5, Some(20), false)],
            ),
            ("only its end is known", vec![off(9, "a")], all, vec![]),
            ("told the other way round", vec![on(9, "a"), off(5, "a")], all, vec![line("a", 9, Some(9), false)]),
            ("over before", vec![on(5, "a"), off(1_000, "a")], (1_000, 100_000), vec![]),
            ("begun after", vec![on(2_000, "a")], (0, 2_000), vec![]),
            (
                "begun before and not over",
                vec![on(5, "a"), on(6, "b"), off(70_000, "b")],
                (10_000, 60_000),
                vec![line("a", 5, None, false), line("b", 6, Some(70_000), false)],
            ),
        ];
        for (case, switches, span, expected) in table {
            assert_eq!(told(switches, span, None), (expected, 0), "{case}");
        }
    }

    #[test]
    fn an_answer_is_bounded_and_says_by_how_much() {
        let most = MOST.unsigned_abs();
        let switches = (0..most + 3).flat_map(|nth| [on(nth * 10, "a"), off(nth * 10 + 5, "a")]).collect();
        let (found, more) = told(switches, (0, 100_000), None);
        assert_eq!((found.len() as u64, more, found.first().map(|it| it.1)), (most, 3, Some(30)));
    }

    #[test]
    fn what_is_over_goes_with_the_figures_and_what_lasts_stays() {
        let switches = vec![on(5, "a"), off(9, "a"), on(6, "b"), on(7, "c"), off(50, "c")];
        let (found, _) = told(switches, (0, 100_000), Some(40));
        assert_eq!(found.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    }
}
