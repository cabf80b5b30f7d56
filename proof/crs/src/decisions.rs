//! What the Core Rule Set decides as it is shipped, and what each of its switches changes: tests that need its rules, and say so
//! where they are not there.
//!
//! Rules that are loaded, green and inert have been shipped before, and so have rules that refuse everybody: each of these has
//! an attack that must be stopped beside the ordinary request that must not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_waf::seclang::Program;
use portcullis_wire::recording;

use crate::play::{Played, play};
use crate::rules::{Mode, RuleFile, compiled, files, load};

/// A request as a browser sends it.
const ORDINARY: &str = "GET / HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) \
    Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n\r\n";

/// The same, asking for something else.
fn asking(target: &str) -> String {
    ORDINARY.replacen("GET /", &format!("GET {target}"), 1)
}

/// One rule of level 1 finds it: five points.
const FIVE_POINTS: &str = "/?file=/etc/hostname%00";
/// Many rules of level 1 find it.
const ATTACK: &str = "/?id=1%27%20union%20select%20password%20from%20users--%20-";

/// The Core Rule Set; none, with one line that says so, where it is not here.
fn directory() -> Option<PathBuf> {
    let found = crate::data();
    if found.is_none() {
        println!("skipped: the Core Rule Set is not here; see proof/crs");
    }
    found
}

fn played(request: &str, program: &Arc<Program>) -> Played {
    play(&recording::read(request.as_bytes()).unwrap(), program)
}

/// The rules that matched, without those that add up.
fn detecting(played: &Played) -> Vec<u32> {
    played.rules.iter().copied().filter(|rule| *rule < 949_000).collect()
}

/// Blocking, with other values set before the rules read them.
fn with(directory: &Path, level: u8, set: &str) -> Arc<Program> {
    let mut all = files(directory, Mode::Blocking(level)).unwrap();
    let text = format!("SecAction \"id:900999,phase:1,pass,t:none,nolog,{set}\"");
    all.insert(3, RuleFile { path: None, text });
    compiled(all).unwrap()
}

/// Blocking at level 1, with a plugin in its three files around the rules (coreruleset.org, "Plugins").
fn with_plugin(directory: &Path, config: &str) -> Arc<Program> {
    let before = "SecRule TX:editor-plugin_enabled \"@eq 0\" \
        \"id:9500010,phase:1,pass,t:none,nolog,ctl:ruleRemoveById=9500100-9500999\"\n\
        SecRule REQUEST_FILENAME \"@beginsWith /editor\" \"id:9500100,phase:1,pass,t:none,nolog,chain\"\n\
        SecRule REQUEST_METHOD \"@streq GET\" \"t:none,ctl:ruleRemoveTargetByTag=attack-sqli;ARGS:sql\"\n\
        SecRule ARGS:sql \"@rx (?i)into\\s+outfile\" \
        \"id:9500200,phase:2,pass,t:none,t:urlDecodeUni,capture,log,msg:'Writes a file',tag:'editor-plugin',\
        setvar:'tx.inbound_anomaly_score_pl1=+%{tx.critical_anomaly_score}'\"";
    let after = "SecRuleUpdateTargetByTag attack-xss \"!ARGS:html\"";
    let mut all = files(directory, Mode::Blocking(1)).unwrap();
    let is = |file: &RuleFile| file.path.as_ref().is_some_and(|path| path.to_string_lossy().contains("REQUEST-901"));
    let first = all.iter().position(is).expect("the rule set begins with this file");
    all.insert(first, RuleFile { path: None, text: format!("{config}\n{before}") });
    all.push(RuleFile { path: None, text: after.to_owned() });
    compiled(all).unwrap()
}

#[test]
fn a_plugin_leaves_out_adds_and_is_switched_off() {
    let Some(directory) = directory() else { return };
    let editor = asking("/editor?sql=1%27%20union%20select%20name%20from%20towns--%20-");
    let elsewhere = editor.replacen("/editor", "/search", 1);
    let writes = asking("/editor?sql=select%20name%20into%20outfile%20towns");
    let without = load(&directory, Mode::Blocking(1)).unwrap();
    assert!(played(&editor, &without).blocked && played(&elsewhere, &without).blocked);

    let on = with_plugin(&directory, "");
    let passed = played(&editor, &on);
    assert!(!passed.blocked, "what the plugin leaves out: {:?}", passed.log);
    assert!(played(&elsewhere, &on).blocked, "and only there");
    let found = played(&writes, &on);
    assert!(found.blocked && found.rules.contains(&9_500_200), "its own rule scores: {:?}", found.log);
    assert!(!played(ORDINARY, &on).blocked);
    let html = asking("/?html=%3Cscript%3Ealert(1)%3C/script%3E");
    assert!(
        played(&html, &without).blocked && !played(&html, &on).blocked,
        "what it takes back of the rules before it"
    );
    assert!(played(&html.replacen("html=", "text=", 1), &on).blocked);

    let switch = "SecAction \"id:9500001,phase:1,pass,t:none,nolog,setvar:tx.editor-plugin_enabled=0\"";
    let off = with_plugin(&directory, switch);
    assert!(played(&editor, &off).blocked, "switched off, it leaves out nothing");
    assert!(!played(&writes, &off).rules.contains(&9_500_200), "and adds nothing");
}

#[test]
fn an_ordinary_request_is_not_denied_at_any_level_and_an_attack_is_at_each() {
    let Some(directory) = directory() else { return };
    for level in 1..=4 {
        let program = load(&directory, Mode::Blocking(level)).unwrap();
        let ordinary = played(ORDINARY, &program);
        assert!(!ordinary.blocked, "GET / at level {level}: {:?}", ordinary.log);
        assert!(ordinary.rules.is_empty(), "GET / at level {level}: {:?}", ordinary.log);
        let attack = played(&asking(ATTACK), &program);
        assert!(attack.blocked && attack.status == 403, "level {level}: {:?}", attack.log);
        assert!(attack.rules.contains(&949_110) && attack.rules.contains(&942_100));
    }
}

/// The set-up file as it is shipped says nothing of levels: level 1.
#[test]
fn the_set_up_as_it_is_shipped_blocks_at_level_1_once_it_is_switched_on() {
    let Some(directory) = directory() else { return };
    let mut all = files(&directory, Mode::Blocking(1)).unwrap();
    all.retain(|file| file.path.is_some());
    let observing = compiled(all.clone()).unwrap();
    assert!(!played(&asking(ATTACK), &observing).blocked, "the recommended configuration only detects");
    all.push(RuleFile { path: None, text: "SecRuleEngine On".to_owned() });
    let blocking = compiled(all).unwrap();
    assert!(played(&asking(ATTACK), &blocking).blocked);
    assert!(!played(ORDINARY, &blocking).blocked);
}

#[test]
fn where_rules_only_detect_nothing_is_denied_and_all_of_it_is_told() {
    let Some(directory) = directory() else { return };
    let observing = load(&directory, Mode::Cases).unwrap();
    let told = played(&asking(ATTACK), &observing);
    assert!(!told.blocked && told.status == 200);
    assert!(told.rules.contains(&942_100) && told.rules.contains(&949_110), "{:?}", told.log);
    // A few hundred of all, since a build that is not optimised is slow.
    for case in crate::case::read_all(&directory.join("tests/regression/tests")).unwrap().iter().step_by(12) {
        let bytes = crate::request::build(&case.input).unwrap();
        if let Some(recording) = recording::read(&bytes) {
            assert!(!play(&recording, &observing).blocked, "{}", case.name);
        }
    }
}

#[test]
fn the_score_blocks_from_the_threshold_on_and_not_below_it() {
    let Some(directory) = directory() else { return };
    let request = asking(FIVE_POINTS);
    let found = |threshold: u32| {
        played(&request, &with(&directory, 1, &format!("setvar:tx.inbound_anomaly_score_threshold={threshold}")))
    };
    let first = found(1);
    let score = first.blocking_score().expect("it is blocked, and says for what");
    assert!(first.blocked && score > 1, "{:?}", first.log);
    let score = u32::try_from(score).unwrap();
    assert!(found(score).blocked, "a score of {score} reaches {score}");
    let beyond = found(score + 1);
    assert!(!beyond.blocked, "a score of {score} does not reach {}", score + 1);
    assert_eq!(detecting(&beyond), detecting(&first));
}

#[test]
fn early_blocking_stops_what_the_head_alone_shows() {
    let Some(directory) = directory() else { return };
    let early = with(&directory, 1, "setvar:tx.early_blocking=1");
    let late = with(&directory, 1, "setvar:tx.early_blocking=0");
    // A method that is not allowed is found in the head, what a body says is not.
    let head = ORDINARY.replacen("GET", "FOO", 1);
    assert!(played(&head, &early).rules.contains(&949_111), "{:?}", played(&head, &early).log);
    let later = played(&head, &late);
    assert!(later.blocked && later.rules.contains(&949_110) && !later.rules.contains(&949_111));
    assert!(!played(ORDINARY, &early).blocked);
}

#[test]
fn what_only_a_higher_level_finds_is_told_and_does_not_block_below_it() {
    let Some(directory) = directory() else { return };
    // Two levels: rules up to the second run, those of the first count.
    let split = with(&directory, 1, "setvar:tx.detection_paranoia_level=2");
    // Found by rules of level 2 and by none of level 1.
    let request = asking("/?q=tea%3Dtea");
    let told = played(&request, &split);
    assert!(!told.blocked && !told.rules.is_empty(), "{:?}", told.log);
    assert!(played(&request, &load(&directory, Mode::Blocking(1)).unwrap()).rules.is_empty());
    let blocked = played(&request, &load(&directory, Mode::Blocking(2)).unwrap());
    assert!(blocked.blocked, "{:?}", blocked.log);
    assert_eq!(detecting(&told), detecting(&blocked));
}

#[test]
fn each_level_finds_what_the_one_below_finds_and_more() {
    let Some(directory) = directory() else { return };
    let request = asking("/?q=%27%20or%201%3D1%20--%20%3B%20%3Cb%3E%7B%7D");
    let found: Vec<Vec<u32>> =
        (1..=4).map(|level| detecting(&played(&request, &load(&directory, Mode::Blocking(level)).unwrap()))).collect();
    for pair in found.windows(2) {
        assert!(pair[0].iter().all(|rule| pair[1].contains(rule)), "{found:?}");
    }
    assert!(found[3].len() > found[0].len() && !found[0].is_empty(), "{found:?}");
}
