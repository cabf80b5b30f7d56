//! What a change by keys leaves of the text, and what it refuses.

use proptest::prelude::*;

use super::*;

const TEXT: &str = "\
# The gate of the party. Ask Ane before you touch it.
[server]
workers = 2 # two cores

[organisation]
name = \"The Party\"

# the desk
[[organisation.contact]]
name = \"Ada Lind\"   # by day
role = \"lead\"
email = \"ada@example.net\"

[[platform]]
name = \"public\"
hosts = [
    \"example.org\", # the old name
    \"www.example.org\",
]
upstreams = [\"http://10.0.0.5:8080\"] # one server

[[platform.route]]
path = \"/search/**\"
[platform.route.waf]
mode = \"observe\" # until Monday

[[platform]]
name = \"shop\"
hosts = [\"shop.example.org\"]
upstreams = [\"http://10.0.0.6:8080\"]
transport.retries = 0
health = { path = \"/health\", interval = \"9s\" }

# whoever is on duty
[[alert]]
name = \"duty\"
kind = \"ntfy\"
url = \"https://ntfy.example/gate\"
# ask before you change that
";

fn at(way: &str) -> Vec<Named> {
    let named = |step: &str| {
        let (table, name) = step.split_once(' ').map_or((step, None), |(table, name)| (table, Some(name.to_owned())));
        Named { table: table.to_owned(), name }
    };
    way.split(" > ").map(named).collect()
}

fn text(text: &str) -> Given {
    Given::Text(text.to_owned())
}

fn list(items: &[&str]) -> Given {
    Given::List(items.iter().map(|item| text(item)).collect())
}

fn set(way: &str, key: &str, given: Given) -> Change {
    Change { at: at(way), act: Act::Set(key.to_owned(), given) }
}

fn unset(way: &str, key: &str) -> Change {
    Change { at: at(way), act: Act::Unset(key.to_owned()) }
}

fn add(way: &str) -> Change {
    Change { at: at(way), act: Act::Add }
}

fn remove(way: &str) -> Change {
    Change { at: at(way), act: Act::Remove }
}

#[test]
fn a_change_touches_its_own_lines_alone() {
    let swap = |from: &str, to: &str| {
        assert_eq!(TEXT.matches(from).count(), 1, "{from}");
        TEXT.replace(from, to)
    };
    let cases: [(Change, String); 19] = [
        (set("server", "workers", Given::Number(4)), swap("workers = 2 #", "workers = 4 #")),
        (unset("server", "workers"), swap("workers = 2 # two cores\n", "")),
        (unset("server", "name"), TEXT.to_owned()),
        (set("server", "name", text("gate-1")), swap("two cores\n", "two cores\nname = \"gate-1\"\n")),
        // A list that takes several lines keeps them.
        (
            set("platform public", "hosts", list(&["example.org", "new.example.org"])),
            swap("    \"www.example.org\",\n", "    \"new.example.org\",\n"),
        ),
        (
            set("platform public", "hosts", list(&["www.example.org", "a.example", "b.example"])),
            swap(
                "    \"example.org\", # the old name\n    \"www.example.org\",\n",
                "    \"www.example.org\",\n    \"a.example\",\n    \"b.example\",\n",
            ),
        ),
        (
            set("platform public", "hosts", list(&["new.example"])),
            swap("[\n    \"example.org\", # the old name\n    \"www.example.org\",\n]", "[\"new.example\"]"),
        ),
        (
            set("platform public", "upstreams", list(&["http://10.0.0.5:8080", "http://10.0.0.7:8080"])),
            swap("5:8080\"] #", "5:8080\", \"http://10.0.0.7:8080\"] #"),
        ),
        (
            set("platform public > transport", "first_byte_timeout", text("5s")),
            swap("until Monday\n", "until Monday\n\n[platform.transport]\nfirst_byte_timeout = \"5s\"\n"),
        ),
        // What is written with dots or in braces is changed so.
        (set("platform shop > transport", "retries", Given::Number(2)), swap("retries = 0", "retries = 2")),
        (
            set("platform shop > transport", "eject_after", Given::Number(9)),
            swap("\"9s\" }\n", "\"9s\" }\ntransport.eject_after = 9\n"),
        ),
        (set("platform shop > health", "timeout", text("1s")), swap("health = {", "health = { timeout = \"1s\",")),
        (unset("platform shop > health", "interval"), swap(", interval = \"9s\"", "")),
        (remove("platform shop > health"), swap("health = { path = \"/health\", interval = \"9s\" }\n", "")),
        (remove("platform shop > transport"), swap("transport.retries = 0\n", "")),
        (
            add("organisation > contact Bo Holm"),
            swap("ada@example.net\"\n", "ada@example.net\"\n\n[[organisation.contact]]\nname = \"Bo Holm\"\n"),
        ),
        (
            add("platform public > route /donate/**"),
            swap("until Monday\n", "until Monday\n\n[[platform.route]]\npath = \"/donate/**\"\n"),
        ),
        // The comment above a table is its own; so is the one that ends it.
        (remove("alert duty"), TEXT[..TEXT.find("\n# whoever").expect("there")].to_owned()),
        (
            remove("platform public"),
            TEXT[..TEXT.find("[[platform]]").expect("there")].to_owned()
                + &TEXT[TEXT.find("[[platform]]\nname = \"shop\"").expect("there")..],
        ),
    ];
    for (change, expected) in cases {
        let edited = edited(TEXT, std::slice::from_ref(&change)).unwrap_or_else(|why| panic!("{change:?}: {why:?}"));
        assert_eq!(edited, expected, "{change:?}");
    }
}

#[test]
fn several_changes_are_made_one_after_the_other() {
    let changes = [
        add("alert board"),
        set("alert board", "kind", text("email")),
        set("alert board", "to", list(&["board@example.org"])),
        set("alert duty", "next", text("board")),
        set("status", "directory", text("/srv/\"status\"\\new")),
    ];
    let board = "\n[[alert]]\nname = \"board\"\nkind = \"email\"\nto = [\"board@example.org\"]\n";
    let expected = TEXT.replace("ntfy.example/gate\"\n", "ntfy.example/gate\"\nnext = \"board\"\n")
        + board
        + "\n[status]\ndirectory = '/srv/\"status\"\\new'\n";
    assert_eq!(edited(TEXT, &changes).expect("in order"), expected);
    let back = [remove("status"), remove("alert board"), unset("alert duty", "next")];
    assert_eq!(edited(&expected, &back).expect("in order"), TEXT);
}

#[test]
fn a_text_of_any_form_keeps_it() {
    let cases = [
        // Lines end as the others do; the last one may not end at all.
        (
            "[server]\r\nworkers = 2\r\n[log]\r\nfiles = 3",
            vec![set("server", "name", text("a")), set("log", "sample", Given::Number(0))],
            "[server]\r\nworkers = 2\r\nname = \"a\"\r\n[log]\r\nfiles = 3\r\nsample = 0\r\n",
        ),
        ("", vec![add("alert a")], "[[alert]]\nname = \"a\"\n"),
        ("# mine\n[server]\nworkers = 2\n", vec![remove("server")], "# mine\n"),
        (
            "  [server]\n  workers = 2\n",
            vec![set("server", "name", text("a"))],
            "  [server]\n  workers = 2\n  name = \"a\"\n",
        ),
        ("server.workers = 2\n", vec![set("server", "name", text("a"))], "server.workers = 2\nserver.name = \"a\"\n"),
        (
            "[[organisation.contact]]\nname = \"a\"\n",
            vec![set("organisation", "name", text("b"))],
            "[organisation]\nname = \"b\"\n\n[[organisation.contact]]\nname = \"a\"\n",
        ),
        (
            "[[organisation.contact]]\nname = \"a\"\n\n[log]\nfiles = 3\n",
            vec![remove("organisation > contact a")],
            "[log]\nfiles = 3\n",
        ),
        (
            "alert = [{ name = \"a\", kind = \"ntfy\" }, { name = \"b\" }]\n",
            vec![set("alert b", "kind", text("slack")), unset("alert a", "min")],
            "alert = [{ name = \"a\", kind = \"ntfy\" }, { kind = \"slack\", name = \"b\" }]\n",
        ),
        ("console = {}\n", vec![set("console", "tls", Given::Flag(true))], "console = { tls = true }\n"),
        (
            "[console]\nlisten = \"127.0.0.1:1\"\n[console.oidc]\nname = \"x\"\n[log]\nfiles = 3\n",
            vec![remove("console > oidc"), set("console", "approvals", list(&["undo"]))],
            "[console]\nlisten = \"127.0.0.1:1\"\napprovals = [\"undo\"]\n[log]\nfiles = 3\n",
        ),
    ];
    for (before, changes, after) in cases {
        assert_eq!(edited(before, &changes).as_deref(), Ok(after), "{changes:?}");
    }
}

#[test]
fn what_cannot_be_is_said_for_each_field() {
    let cases = [
        (set("server", "workers", text("2")), "workers", "must be a number"),
        (set("server", "workers", Given::Number(0)), "workers", "is 0, not a number from 1"),
        (set("server", "workers", Given::Number(-1)), "workers", "is -1"),
        (set("server", "worker", Given::Number(1)), "worker", "there is no key `worker` in `[server]`"),
        (set("servers", "workers", Given::Number(1)), "workers", "there is no table `servers` at the top"),
        (set("server > log", "files", Given::Number(1)), "files", "in `[server]`"),
        (set("alert duty", "quiet", text("a\nb")), "quiet", "one line"),
        (set("alert duty", "kind", text("pigeon")), "kind", "`pigeon` is not one of the choices"),
        (set("alert duty", "group", text("5 days")), "group", "days"),
        (set("platform public", "hosts", list(&[])), "hosts", "`hosts` is empty"),
        (set("platform public", "hosts", list(&["a b"])), "hosts", "a b"),
        (set("platform public", "hosts", text("a")), "hosts", "must be a list"),
        (set("platform", "hosts", list(&["a"])), "hosts", "say which"),
        (set("server a", "workers", Given::Number(1)), "workers", "comes once"),
        (set("platform none", "hosts", list(&["a.example"])), "hosts", "no `platform` of the name `none`"),
        (unset("platform none", "keep_host"), "keep_host", "no `platform` of the name `none`"),
        (unset("platform public", "hosts"), "hosts", "`hosts` is missing"),
        (remove("platform none"), "", "no `platform` of the name `none`"),
        (add("alert duty"), "", "already"),
        (add("alert Duty Officer"), "", "lower-case letters"),
        (add("server"), "", "comes once"),
        (add("integrity > canary a"), "", "nothing tells one"),
    ];
    for (change, key, words) in cases {
        let misfits = edited(TEXT, std::slice::from_ref(&change)).expect_err("refused");
        let [one] = misfits.as_slice() else { panic!("{misfits:?}") };
        assert!(one.key == key && one.message.contains(words) && one.change == 0, "{change:?}: {one:?}");
    }
    // Each is told, and what follows from one is not.
    let all = [add("alert A"), set("alert A", "kind", text("ntfy")), set("server", "workers", text("x"))];
    let told = edited(TEXT, &all).expect_err("refused");
    assert_eq!(told.iter().map(|it| it.change).collect::<Vec<_>>(), [0, 2], "{told:?}");
    for (text, words) in [
        ("[[alert]]\nname = \"a\"\n[[alert]]\nname = \"a\"\n", "there are 2"),
        ("alert = [{ name = \"a\" }]\n", "in a list in one line"),
        ("not toml", "not TOML"),
    ] {
        let told = edited(text, &[remove("alert a")]).expect_err("refused");
        assert!(told[0].message.contains(words), "{told:?}");
    }
    let told = edited("alert = [{ name = \"a\" }]\n", &[add("alert b")]).expect_err("refused");
    assert!(told[0].message.contains("cannot change"), "{told:?}");
}

#[test]
fn a_form_is_told_what_is_written_and_where_a_problem_is() {
    let all = written(TEXT).expect("TOML");
    let of = |way: &str| all.iter().find(|it| it.at == at(way)).map(|it| it.keys.clone()).unwrap_or_default();
    assert_eq!(of("server"), [("workers".to_owned(), Given::Number(2))]);
    assert_eq!(of("platform shop > transport"), [("retries".to_owned(), Given::Number(0))]);
    assert_eq!(of("platform public")[1], ("hosts".to_owned(), list(&["example.org", "www.example.org"])));
    assert_eq!(of("organisation > contact Ada Lind").len(), 3);
    assert_eq!(written("["), None);
    assert_eq!(written("[[alert]]\nname = \"a\"\n[[alert]]\nname = \"a\"\n[[alert]]\n"), Some(Vec::new()));

    let byte = |words: &str| TEXT.find(words).expect("there");
    let bytes = [byte("\"ntfy\""), byte("[[alert]]"), byte("interval"), byte("the desk"), byte("retries")];
    let found: Vec<_> = places(TEXT, &bytes).into_iter().map(|it| it.map(|(at, key)| (at.len(), key))).collect();
    let expected = [Some((1, "kind")), Some((1, "")), Some((2, "interval")), None, Some((2, "retries"))];
    assert_eq!(found, expected.map(|it| it.map(|(deep, key)| (deep, key.to_owned()))));
}

proptest! {
    /// Whatever a person types where words are taken is there again, and nothing else is another.
    #[test]
    fn what_is_drafted_has_just_that_change(words in any::<String>(), which in 0..4usize, form in 0..3usize) {
        let (way, key) = [
            ("organisation", "sector"), ("organisation > contact Ada Lind", "phone"), ("alert duty", "from"),
            ("console", "directory"),
        ][which];
        let before = match form {
            0 => TEXT.to_owned(),
            1 => TEXT.replace('\n', "\r\n"),
            _ => TEXT.trim_end().to_owned(),
        };
        if let Ok(after) = edited(&before, &[set(way, key, text(&words))]) {
            let value = |it: &str| written(it).and_then(|all| {
                let table = all.into_iter().find(|it| it.at == at(way))?;
                table.keys.into_iter().find(|(name, _)| name == key).map(|(_, given)| given)
            });
            prop_assert_eq!(value(&after), Some(text(&words)));
            let lines = |it: &str| it.lines().map(str::to_owned).collect::<Vec<_>>();
            let kept = lines(&before).into_iter().filter(|line| lines(&after).contains(line)).count();
            prop_assert_eq!(kept, lines(&before).len(), "{}", after);
            // And it goes again.
            let back = edited(&after, &[unset(way, key)]);
            prop_assert!(back.is_ok_and(|back| value(&back).is_none() && lines(&back).len() >= lines(&before).len()));
        } else {
            prop_assert!(words.trim().is_empty() || words.len() > 400 || words.contains(char::is_control), "{:?}", words);
        }
    }

    /// No text and no change makes it panic, and what comes of one is TOML where it was.
    #[test]
    fn no_text_makes_it_panic(cuts in prop::collection::vec((0..900usize, any::<char>()), 0..4), change in 0..8usize) {
        let mut broken: Vec<char> = TEXT.chars().collect();
        for (at, typed) in cuts {
            let at = at.min(broken.len() - 1);
            broken[at] = typed;
        }
        let broken: String = broken.into_iter().collect();
        let change = [
            set("platform public", "hosts", list(&["example.org", "b.example"])), unset("platform shop > health", "interval"),
            add("platform public > route /b"), remove("platform public"), remove("platform shop > transport"),
            add("alert b"), set("server", "name", text("b")), remove("organisation > contact Ada Lind"),
        ][change].clone();
        if let Ok(after) = edited(&broken, &[change]) {
            prop_assert!(after.parse::<Table>().is_ok() && broken.parse::<Table>().is_ok());
        }
        prop_assert_eq!(places(&broken, &[0, 100, 400, 800]).len(), 4);
    }
}
