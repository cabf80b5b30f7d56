//! What holds for every text.

use portcullis_waf::seclang::parse::{MAX_SOURCES, NoFiles, locate, parse};
use portcullis_waf::seclang::resolve::resolve;
use proptest::prelude::*;

use crate::world::Made;

/// Pieces that rule text is made of, so that random text comes close to the language.
const PIECES: &[&str] = &[
    "SecRule",
    "SecAction",
    "SecMarker",
    "SecDefaultAction",
    "SecRuleRemoveById",
    "SecRuleUpdateTargetById",
    "Include",
    " ",
    " ",
    "\n",
    "\\\n",
    "\r\n",
    "\"",
    "\"",
    "'",
    "\\\"",
    "\\'",
    "\\",
    "#",
    "|",
    "!",
    "&",
    ",",
    ":",
    "ARGS",
    "TX",
    "XML",
    "/*",
    "/a|b/",
    "@rx",
    "@streq",
    "@pm",
    "@eq",
    "(",
    ")",
    "%{",
    "}",
    "TX.0",
    "id:1",
    "id:2",
    "phase:2",
    "deny",
    "block",
    "chain",
    "t:none",
    "t:lowercase",
    "msg:'",
    "setvar:'tx.a=+1'",
    "ctl:ruleRemoveTargetById=1;ARGS:a",
    "skipAfter:END",
    "END",
    "1",
    "ü",
    "\u{feff}",
];

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => any::<String>(),
        4 => prop::collection::vec(0..PIECES.len(), 0..60).prop_map(|picks| picks.iter().map(|pick| PIECES[*pick]).collect()),
    ]
}

proptest! {
    #[test]
    fn no_text_panics_and_every_span_lies_in_it(text in texts()) {
        let refused = match parse(&[("a.conf", &text)], &NoFiles).map(resolve) {
            Ok(Ok(set)) => {
                for note in &set.notes {
                    prop_assert!(set.sources[0].text.get(note.span.start as usize..note.span.end as usize).is_some());
                }
                return Ok(());
            }
            Ok(Err(refused)) | Err(refused) => refused,
        };
        prop_assert!(!refused.diagnostics.is_empty());
        for diagnostic in &refused.diagnostics {
            let source = &refused.sources[diagnostic.span.file as usize];
            let span = diagnostic.span.start as usize..diagnostic.span.end as usize;
            prop_assert!(source.text.get(span).is_some(), "{diagnostic:?}");
            prop_assert!(diagnostic.render(&refused.sources, false).contains(&diagnostic.reason[..1]));
        }
    }

    #[test]
    fn a_value_is_what_was_quoted(value in "[^%\"']{0,20}", member in "[a-z\u{e9}|, ]{1,8}") {
        prop_assume!(!value.ends_with('\\') && !value.contains(['\n', '\r', '\\']));
        let text = format!("SecRule \"ARGS:'{member}'\" \"@streq x\" \"id:1,msg:'{value}'\"\n");
        let read = parse(&[("a.conf", &text)], &NoFiles).expect("a rule");
        let portcullis_waf::seclang::ast::DirectiveKind::Rule(rule) = &read.directives[0].kind else { panic!("a rule") };
        let target = &rule.test.as_ref().expect("a test").targets[0];
        prop_assert_eq!(&target.selector, &portcullis_waf::seclang::ast::Selector::Name(member.as_bytes().into()));
        let message: Vec<u8> = rule.actions.message.iter().flat_map(|text| &text.0).flat_map(|piece| match piece {
            portcullis_waf::seclang::ast::Piece::Plain(plain) => plain.to_vec(),
            portcullis_waf::seclang::ast::Piece::Macro(..) => Vec::new(),
        }).collect();
        prop_assert_eq!(String::from_utf8_lossy(&message), value);
    }
}

#[test]
fn a_place_in_an_expression_is_found_in_the_source() {
    let text = "SecRule ARGS \"@rx a\\\"\\\n(b\" \"id:1\"\n";
    let read = parse(&[("a.conf", text)], &NoFiles).expect("a rule");
    let portcullis_waf::seclang::ast::DirectiveKind::Rule(rule) = &read.directives[0].kind else { panic!("a rule") };
    let test = rule.test.as_ref().expect("a test");
    let span = locate(&read.sources[0], test.span, "a\"(b", 2..3);
    assert_eq!(read.sources[0].excerpt(span), "(");
}

#[test]
fn files_that_include_one_another_end() {
    let both = b"Include a.conf\nInclude b.conf\nSecMarker HERE\n".to_vec();
    let files = Made([("a.conf".to_owned(), both.clone()), ("b.conf".to_owned(), both)].into());
    let refused = parse(&[("rules.conf", "Include a.conf\n")], &files).expect_err("they never end");
    assert!(refused.sources.len() <= MAX_SOURCES + 1);
    assert_eq!(refused.diagnostics.iter().filter(|diagnostic| diagnostic.reason.contains("files or")).count(), 1);
}
