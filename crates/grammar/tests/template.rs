//! Texts that `pgguard::template` makes alike are described alike: the parser itself is the judge.

use std::cell::Cell;

use portcullis_grammar::describe;
use portcullis_pgguard::template;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

fn constant() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u64..200_000_000_000).prop_map(|n| n.to_string()),
        (-9_i64..9).prop_map(|n| n.to_string()),
        "[a-zA-Z%_ ]{0,6}".prop_map(|text| format!("'{text}'")),
        Just("'it''s'".to_owned()),
        Just("'%'".to_owned()),
        Just("''".to_owned()),
        Just("'{1,2,3}'".to_owned()),
        Just("'members'::regclass".to_owned()),
        Just("E'a'".to_owned()),
        Just("$1".to_owned()),
        Just("1.5".to_owned()),
        Just("0".to_owned()),
        Just("NULL".to_owned()),
        Just("true".to_owned()),
        Just("'a' || 'b'".to_owned()),
        Just("- 5".to_owned()),
        Just("(SELECT 5)".to_owned()),
        Just("/* x */ 5".to_owned()),
    ]
}

/// Two constants for one place, of one kind more often than not.
fn pair() -> impl Strategy<Value = (String, String)> {
    let number = || (-9_i64..200_000_000_000).prop_map(|n| n.to_string());
    let string = || prop_oneof!["'[a-z%_ ]{0,4}'", Just("'it''s'".to_owned()), Just("'{1,2}'".to_owned())];
    prop_oneof![5 => (number(), number()), 5 => (string(), string()), 1 => (constant(), constant())]
}

const FRAMES: &[&str] = &[
    "SELECT a FROM t WHERE id = @",
    "SELECT a FROM t WHERE id =@",
    "SELECT a FROM t WHERE id = - @",
    "SELECT a FROM t WHERE id=@ AND b = @ OR c=@",
    "SELECT a FROM t WHERE @ = @",
    "SELECT a FROM t WHERE @ = id",
    "SELECT a FROM t WHERE id > @ LIMIT @",
    "SELECT a FROM t WHERE id >= @ AND b <= @",
    "SELECT a FROM t WHERE (id > @) = @",
    "SELECT a FROM t WHERE name LIKE @",
    "SELECT a FROM t WHERE (name LIKE @) = @",
    "SELECT a FROM t WHERE id IN (@, @)",
    "SELECT a FROM t WHERE id = ANY(@)",
    "SELECT a FROM t WHERE id BETWEEN @ AND @",
    "SELECT a, f(@, b => @, c := @) FROM t WHERE x = @",
    "SELECT set_config('a.b', @, true) = @",
    "SELECT set_config(@, @, b = @)",
    "SELECT query_to_xml(@, a = @, true, '')",
    "SELECT data->@ = @ FROM t",
    "SELECT jsonb_path_query(d, @) FROM t WHERE a = @",
    "UPDATE t SET a = @, b = b + @ WHERE id = @",
    "UPDATE t SET a = a - @ WHERE b = c + @",
    "UPDATE t SET a = a + -@ WHERE @ = @",
    "UPDATE t SET a = @",
    "DELETE FROM t WHERE id = @",
    "DELETE FROM t WHERE @ = @ OR id = @",
    "INSERT INTO t (a, b) VALUES (@, @)",
    "INSERT INTO t VALUES (@, f(@), @), (@, lo_import(@), @) ON CONFLICT (a) DO UPDATE SET b = @ RETURNING c",
    "SELECT * FROM (VALUES (@, @), (@, @)) v (x, y) WHERE x LIKE @ AND y = @",
    "INSERT INTO t SELECT @ FROM u WHERE a = @ LIMIT @",
    "SELECT a FROM t WHERE a = b + @ ORDER BY @ LIMIT @ OFFSET @",
    "SELECT a FROM t WHERE a = @ IN (@, @)",
    "SELECT a = @ , @ FROM t GROUP BY a HAVING count(*) > @",
    "SELECT values FROM t WHERE f(@, @)",
    "SELECT a FROM t WHERE (VALUES (@)) LIKE @",
    "select a from t where b = case when c = @ then @ else @ end",
    "SELECT a FROM t WHERE a = @;",
    "SELECT a FROM t WHERE a = @; SET search_path = @",
];

#[test]
fn alike_is_described_alike() {
    let strategy = (prop::sample::select(FRAMES), prop::collection::vec(pair(), 8));
    let alike = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(4000));
    let outcome = runner.run(&strategy, |(frame, pairs)| {
        let (one, two): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let fill = |constants: &[String]| {
            let parts: Vec<&str> = frame.split('@').collect();
            let between = constants.iter().cycle().map(String::as_str).chain([""]);
            let mut text = parts.first().map_or_else(String::new, |part| (*part).to_owned());
            parts.iter().skip(1).zip(between).for_each(|(part, constant)| text.extend([constant, part]));
            text
        };
        let (one, two) = (fill(&one), fill(&two));
        let template = |text: &str| {
            let mut out = Vec::new();
            template::write(text.as_bytes(), &mut out);
            out
        };
        if one != two && template(&one) == template(&two) {
            alike.set(alike.get() + 1);
            prop_assert_eq!(describe(one.as_bytes()), describe(two.as_bytes()), "{} | {}", one, two);
        }
        Ok(())
    });
    outcome.expect("alike is described alike");
    assert!(alike.get() >= 100, "only {} pairs were alike", alike.get());
}
