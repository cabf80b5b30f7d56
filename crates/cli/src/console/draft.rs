//! Forms of the configuration: what they are made from, and a text with their changes in it. Nothing is put in force here.

use portcullis_config::edit::{self, Act, CHANGES, Change, Named, edited, places, written};
use portcullis_config::{Declared, Problem, SECRET, declared};
use portcullis_control::Fault;
use portcullis_control::model::{
    DeclaredKey, DeclaredTable, Drafted, Edit, Edits, Entry, Given, Misfit, TableName, WrittenKey, WrittenTable, Wrong,
};

use super::change::{Papers, mask};

/// Tables on the way to one.
const DEEP: usize = 8;
/// Problems of which it is told which key they are about.
const LOCATED: usize = 200;

/// Every table and key that there may be.
pub(super) fn keys() -> Vec<DeclaredTable> {
    declared().into_iter().map(table).collect()
}

fn table(declared: Declared) -> DeclaredTable {
    let keys = declared.keys.into_iter().map(|key| DeclaredKey {
        name: key.name.to_owned(),
        kind: key.kind.to_owned(),
        list: key.list,
        takes: key.takes,
        choices: key.choices.into_iter().map(str::to_owned).collect(),
        units: key.units.into_iter().map(str::to_owned).collect(),
        least: key.range.map(|(least, _)| least),
        most: key.range.map(|(_, most)| most),
        must: key.must,
        default: key.default,
        otherwise: key.otherwise.map(str::to_owned),
        secret: key.secret,
        example: key.example,
        doc: key.doc.to_owned(),
    });
    DeclaredTable {
        path: declared.path.to_owned(),
        many: declared.many,
        named_by: declared.named_by.map(str::to_owned),
        doc: declared.doc.to_owned(),
        keys: keys.collect(),
    }
}

/// Says of each problem which key it is about.
pub(super) fn locate(wrong: &mut [Wrong], problems: &[Problem], text: &str) {
    let bytes: Vec<usize> = problems.iter().take(LOCATED).map(|problem| problem.span.start).collect();
    for (wrong, place) in wrong.iter_mut().zip(places(text, &bytes)) {
        let Some((at, key)) = place else { continue };
        (wrong.at, wrong.key) = (at.into_iter().map(name).collect(), key);
    }
}

impl Papers {
    pub(super) fn draft(&self, edits: &Edits, secrets: bool) -> Result<Drafted, Fault> {
        let changes = changes(&edits.changes)?;
        let text = edits.text.clone().map_or_else(|| self.look(secrets).map(|file| file.text), Ok)?;
        let (text, misfits) = match edited(&text, &changes) {
            Ok(text) => (text, Vec::new()),
            Err(misfits) => (text, misfits),
        };
        let misfits = misfits.into_iter().map(|it| Misfit {
            change: it.change as u64,
            key: it.key,
            message: it.message,
            hint: it.hint,
        });
        let tables = written(&text).ok_or_else(|| Fault::Unfit("the text is not TOML: mend it first".to_owned()))?;
        Ok(Drafted { misfits: misfits.collect(), tables: shown(tables), text })
    }
}

fn changes(edits: &[Edit]) -> Result<Vec<Change>, Fault> {
    if edits.len() > CHANGES {
        return Err(Fault::Unfit(format!("at most {CHANGES} changes are made at once")));
    }
    edits.iter().map(change).collect::<Result<_, _>>().map_err(Fault::Unfit)
}

fn change(edit: &Edit) -> Result<Change, String> {
    if edit.at.len() > DEEP {
        return Err(format!("a table is at most {DEEP} deep"));
    }
    let act = match (edit.act.as_str(), &edit.value) {
        ("set", Some(value)) => Act::Set(edit.key.clone(), given(value)),
        ("set", None) => return Err("`set` needs a value".to_owned()),
        ("unset", _) => Act::Unset(edit.key.clone()),
        ("add", _) => Act::Add,
        ("remove", _) => Act::Remove,
        (other, _) => return Err(format!("`{other}` is no change: write `set`, `unset`, `add` or `remove`")),
    };
    let at = edit.at.iter().map(|it| Named { table: it.table.clone(), name: it.name.clone() }).collect();
    Ok(Change { at, act })
}

fn given(value: &Given) -> edit::Given {
    match value {
        Given::Flag(flag) => edit::Given::Flag(*flag),
        Given::Number(number) => edit::Given::Number(*number),
        Given::Text(text) => edit::Given::Text(text.clone()),
        Given::List(entries) => edit::Given::List(entries.iter().map(entry).collect()),
    }
}

fn entry(entry: &Entry) -> edit::Given {
    match entry {
        Entry::Number(number) => edit::Given::Number(*number),
        Entry::Text(text) => edit::Given::Text(text.clone()),
    }
}

/// What is written, for a form: what is secret is masked.
fn shown(tables: Vec<edit::Written>) -> Vec<WrittenTable> {
    let is_secret = |at: &[Named], key: &str| match at {
        [top] => SECRET.contains(&(top.table.as_str(), key)),
        _ => false,
    };
    let table = |edit::Written { at, keys }: edit::Written| {
        let keys = keys.into_iter().filter_map(|(key, value)| {
            let value = match told(value)? {
                Given::Text(text) if is_secret(&at, &key) => Given::Text(mask(&text)),
                value => value,
            };
            Some(WrittenKey { key, value })
        });
        WrittenTable { keys: keys.collect(), at: at.into_iter().map(name).collect() }
    };
    tables.into_iter().map(table).collect()
}

/// As the API has it; a list of anything else is nothing that a key takes.
fn told(value: edit::Given) -> Option<Given> {
    Some(match value {
        edit::Given::Flag(flag) => Given::Flag(flag),
        edit::Given::Number(number) => Given::Number(number),
        edit::Given::Text(text) => Given::Text(text),
        edit::Given::List(items) => {
            let entry = |item| match item {
                edit::Given::Number(number) => Some(Entry::Number(number)),
                edit::Given::Text(text) => Some(Entry::Text(text)),
                edit::Given::Flag(_) | edit::Given::List(_) => None,
            };
            Given::List(items.into_iter().map(entry).collect::<Option<_>>()?)
        }
    })
}

fn name(named: Named) -> TableName {
    TableName { table: named.table, name: named.name }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::configuration::Read;

    const TEXT: &str = "# the gate\n[[listener]]\nname = \"http\"\nbind = \"127.0.0.1:1\"\n\n[console]\nlisten = \"127.0.0.1:2\"\n\
                        directory = \"console\"\n\n[[platform]]\nname = \"public\"\nhosts = [\"example.org\"] # ours\n\
                        upstreams = [\"http://127.0.0.1:8080\"]\n\n[[alert]]\nname = \"duty\"\nkind = \"slack\"\n\
                        url = \"https://hooks.example.org/T0/SECRET\"\n";

    fn papers(home: &std::path::Path) -> Papers {
        let path = home.join("gate.toml");
        fs::write(&path, TEXT).expect("written");
        let policy = Read::file(&path).expect("readable").settle_quietly().expect("in order");
        let in_force = Arc::new(Mutex::new(Arc::new(policy)));
        Papers { path, versions: home.join("versions"), in_force, changing: Mutex::default() }
    }

    fn edit(act: &str, at: &[(&str, &str)], key: &str, value: Option<Given>) -> Edit {
        let of = |(table, name): &(&str, &str)| TableName {
            table: (*table).to_owned(),
            name: Some((*name).to_owned()).filter(|name| !name.is_empty()),
        };
        Edit { at: at.iter().map(of).collect(), act: act.to_owned(), key: key.to_owned(), value }
    }

    #[test]
    fn a_draft_is_the_file_with_the_change_in_it() {
        let home = tempfile::tempdir().expect("a directory");
        let papers = papers(home.path());
        let hosts = Given::List(["example.org", "www.example.org"].map(|host| Entry::Text(host.to_owned())).to_vec());
        let change = edit("set", &[("platform", "public")], "hosts", Some(hosts.clone()));
        let draft = |changes: &[Edit], secrets| papers.draft(&Edits { text: None, changes: changes.to_vec() }, secrets);
        let told = draft(std::slice::from_ref(&change), true).expect("in order");
        assert_eq!(told.text, TEXT.replace("\"] # ours", "\", \"www.example.org\"] # ours"));
        let public = told.tables.iter().find(|table| table.at == change.at).expect("there");
        assert!(public.keys.contains(&WrittenKey { key: "hosts".to_owned(), value: hosts }));
        assert_eq!(fs::read_to_string(home.path().join("gate.toml")).expect("there"), TEXT);
        // An address that opens something is in nobody's form, and in the text of an owner alone.
        for secrets in [true, false] {
            let told = draft(&[], secrets).expect("in order");
            let form = format!("{:?}", told.tables);
            assert!(!form.contains("SECRET") && form.contains("https://hooks.example.org/***"), "{form}");
            assert_eq!(told.text.contains("SECRET"), secrets);
        }
        // What is wrong is told with its key, and nothing is changed by halves.
        let wrong = edit("set", &[("alert", "duty")], "kind", Some(Given::Text("pigeon".to_owned())));
        let told = draft(&[change, wrong], true).expect("told");
        let [Misfit { change: 1, key, message, hint }] = told.misfits.as_slice() else { panic!("{:?}", told.misfits) };
        assert_eq!((key.as_str(), told.text.as_str()), ("kind", TEXT));
        assert!(message.contains("pigeon") && hint.contains("webhook"), "{message}: {hint}");
    }

    #[test]
    fn what_is_too_much_or_makes_no_sense_is_refused() {
        let home = tempfile::tempdir().expect("a directory");
        let papers = papers(home.path());
        let unset = edit("unset", &[("platform", "public")], "keep_host", None);
        let deep: Vec<_> = std::iter::repeat_n(("platform", "public"), DEEP + 1).collect();
        let cases = [
            (None, vec![unset.clone(); CHANGES + 1], "at most 50"),
            (None, vec![edit("unset", &deep, "x", None)], "8 deep"),
            (None, vec![edit("set", &[("server", "")], "workers", None)], "needs a value"),
            (None, vec![edit("burn", &[("server", "")], "", None)], "`burn` is no change"),
            (Some("bogus".to_owned()), Vec::new(), "not TOML"),
        ];
        for (text, changes, words) in cases {
            let refused = papers.draft(&Edits { text, changes }, true).expect_err(words);
            assert!(matches!(&refused, Fault::Unfit(why) if why.contains(words)), "{refused:?}");
        }
        let most = Edits { text: None, changes: vec![unset; CHANGES] };
        assert_eq!(papers.draft(&most, true).expect("in order").text, TEXT);
    }

    /// What the console's mock and the tests of its forms know of keys is what a gate says.
    #[test]
    fn the_mock_of_the_console_has_the_same_keys() {
        const TABLES: [&str; 8] = [
            "console",
            "organisation",
            "organisation.contact",
            "alert",
            "status",
            "platform",
            "platform.transport",
            "platform.health",
        ];
        let tables: Vec<_> = keys().into_iter().filter(|table| TABLES.contains(&table.path.as_str())).collect();
        assert_eq!(tables.len(), TABLES.len());
        let text = serde_json::to_string_pretty(&tables).expect("JSON") + "\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../console/mock/keys.json");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path, &text).expect("written");
        }
        let is = fs::read_to_string(path).expect("there") == text;
        assert!(is, "console/mock/keys.json is another: UPDATE=1 cargo test -p portcullis mock_of_the_console");
    }

    #[test]
    fn a_problem_says_which_field_it_is_about() {
        let home = tempfile::tempdir().expect("a directory");
        let papers = papers(home.path());
        let told = papers.weigh(&TEXT.replace("\"slack\"", "\"email\"").replace("org\"] # ours", "org\", 7] #"), true);
        let problems = told.expect("readable").problems;
        let fields: Vec<_> =
            problems.iter().map(|it| (it.at.last().map(|it| it.table.as_str()), it.key.as_str())).collect();
        assert!(
            fields.contains(&(Some("platform"), "hosts")) && fields.contains(&(Some("alert"), "kind")),
            "{problems:?}"
        );
        let duty = problems.iter().find(|it| it.key == "kind").and_then(|it| it.at.first()?.name.clone());
        assert_eq!(duty.as_deref(), Some("duty"));
    }
}
