//! The command as people and scripts use it: what it prints where, and what it exits with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn portcullis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .env_remove("PORTCULLIS_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// A small configuration that is in order wherever it lies.
const SOUND: &str = r#"
[server]
workers = 1
control = "control.sock"

[[listener]]
name = "http"
bind = "127.0.0.1:8080"

[log]
path = "decisions.jsonl"

[[platform]]
name = "public"
hosts = ["example.org"]
upstreams = ["http://127.0.0.1:9000"]

[[platform.route]]
path = "/donate/**"
class = "payment"
"#;

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("portcullis.toml");
    fs::write(&path, text).expect("written");
    path.to_str().expect("text").to_owned()
}

#[test]
fn every_verb_explains_itself_on_stdout() {
    let help = portcullis(&["--help"]);
    assert_eq!(code(&help), 0);
    for word in ["run", "check", "show", "reload", "explain", "demo", "version", "completions", "man"] {
        assert!(stdout(&help).contains(&format!("\n  {word} ")), "{word}");
        let own = portcullis(&[word, "--help"]);
        assert_eq!(code(&own), 0, "{word}");
        assert!(stdout(&own).contains("Usage: portcullis"), "{word}");
        assert!(stderr(&own).is_empty(), "{word}");
    }
    for words in ["Examples:", "Exit codes:", "NO_COLOR"] {
        assert!(stdout(&help).contains(words), "{words}");
    }
}

#[test]
fn a_wrong_command_line_is_two_and_a_file_that_is_not_there_is_one() {
    let table: &[(&[&str], i32, &str)] = &[
        (&[], 2, "Usage"),
        (&["fly"], 2, "fly"),
        (&["check", "--colour"], 2, "--colour"),
        (&["show", "--config", "x.toml"], 2, "--effective"),
        (&["reload", "--config", "a", "--control", "b"], 2, "cannot be used with"),
        (&["explain"], 2, "REFERENCE"),
        (&["completions", "tcsh"], 2, "tcsh"),
        (&["demo", "--http", "0.0.0.0:8080"], 2, "the demo stays on loopback"),
        (&["demo", "--http", "192.0.2.7:8080"], 2, "the demo stays on loopback"),
        (&["demo", "--https", "8080"], 2, "--http and --https are both 127.0.0.1:8080"),
        (&["demo", "--for", "10"], 2, "unit"),
        (&["demo", "--supporters", "many"], 2, "many"),
        (&["check", "--config", "/nowhere/portcullis.toml"], 1, "cannot read /nowhere/portcullis.toml"),
        (&["run", "--config", "/nowhere/portcullis.toml"], 1, "cannot read /nowhere/portcullis.toml"),
        (&["show", "--effective", "--config", "/nowhere"], 1, "cannot read /nowhere"),
        (&["reload", "--control", "/nowhere/control.sock"], 1, "/nowhere/control.sock"),
    ];
    for (arguments, expected, words) in table {
        let output = portcullis(arguments);
        assert_eq!(code(&output), *expected, "{arguments:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "{arguments:?} answers nothing");
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn version_says_what_was_built_with_what() {
    let output = portcullis(&["version"]);
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    assert!(text.starts_with(&format!("portcullis {}\nrustc ", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("\nfeatures "), "{text}");
}

#[test]
fn check_says_that_a_file_is_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), SOUND);
    let output = portcullis(&["check", "--config", &path]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let expected = format!("{path}: in order: 1 listener, 0 certificates, 1 platform (1 host, 2 routes, 1 upstream)\n");
    assert_eq!(stdout(&output), expected);
}

#[test]
fn check_says_everything_that_is_wrong_at_once_and_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = SOUND.replace("workers = 1", "worker = 1").replace("path = \"decisions", "path = 7 # \"decisions");
    let path = write(folder.path(), &wrong.replace("\"payment\"", "\"paiment\""));
    let output = portcullis(&["check", "--config", &path]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).is_empty());
    let said = stderr(&output);
    for words in ["error[", "`worker`", "`workers`", "payment", &format!("{path}:3:1"), "^^^^^^", "hint:"] {
        assert!(said.contains(words), "{words:?} in:\n{said}");
    }
    assert!(said.ends_with(&format!("3 problems in {path}\n")), "{said}");
    assert!(!said.contains('\u{1b}'), "no colour where nobody looks");
}

#[test]
fn a_warning_is_said_and_does_not_stand_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["example.org".to_owned()]).expect("names");
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    fs::write(folder.path().join("old.pem"), certificate.pem()).expect("written");
    fs::write(folder.path().join("old.key"), key.serialize_pem()).expect("written");
    let old = "bind = \"127.0.0.1:8443\"\ntls = true\n[[certificate]]\ncert = \"old.pem\"\nkey = \"old.key\"";
    let path = write(folder.path(), &SOUND.replace("bind = \"127.0.0.1:8080\"", old));
    let output = portcullis(&["check", "--config", &path]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("in order"));
    assert!(stderr(&output).contains("warning[") && stderr(&output).contains("1 warning in"), "{}", stderr(&output));
}

#[test]
fn what_show_prints_is_a_configuration_that_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), SOUND);
    let once = portcullis(&["show", "--effective", "--config", &path]);
    assert_eq!(code(&once), 0, "{}", stderr(&once));
    assert!(stdout(&once).contains("head_deadline"), "defaults are written out");
    let again = write(folder.path(), &stdout(&once));
    let twice = portcullis(&["show", "--effective", "--config", &again]);
    assert_eq!(stdout(&twice), stdout(&once));
}

#[test]
fn explain_knows_reasons_and_refuses_what_is_neither() {
    let output = portcullis(&["explain", "ambiguous-framing"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("request smuggling"), "{}", stdout(&output));
    let output = portcullis(&["explain", "ambigous-framing"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("`ambiguous-framing`"), "{}", stderr(&output));
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("decisions.jsonl");
    fs::write(&log, "").expect("written");
    let output = portcullis(&["explain", "5Z7Q0C2M4N8KT", "--log", log.to_str().expect("text")]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("5Z7Q0C2M4N8KT"), "{}", stderr(&output));
}

#[test]
fn completions_and_the_manual_page_are_data() {
    for (shell, words) in [("bash", "_portcullis"), ("zsh", "#compdef portcullis"), ("fish", "complete -c portcullis")]
    {
        let output = portcullis(&["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        assert!(stdout(&output).contains(words), "{shell}");
        assert!(stderr(&output).is_empty(), "{shell}");
    }
    let man = portcullis(&["man"]);
    assert_eq!(code(&man), 0);
    assert!(stdout(&man).contains(".TH portcullis 8"), "{}", stdout(&man));
    for verb in ["run", "check", "demo"] {
        assert!(stdout(&man).contains(&format!(".SS portcullis {verb}")), "{verb}");
    }
}

/// Runs the command on a terminal of its own (`script`, of Debian's essential bsdutils).
fn on_a_terminal(command: &str, no_color: Option<&str>) -> String {
    let mut script = Command::new("script");
    script.args(["-qec", command, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
    if let Some(value) = no_color {
        script.env("NO_COLOR", value);
    }
    stdout(&script.output().expect("script runs"))
}

#[test]
fn colour_is_for_people_who_want_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "[serfer]\n");
    let binary = env!("CARGO_BIN_EXE_portcullis");
    for arguments in [format!("check --config {path}"), "check --config /nowhere".into(), "--help".into(), "fly".into()]
    {
        let command = format!("{binary} {arguments}");
        assert!(on_a_terminal(&command, None).contains('\u{1b}'), "{arguments}: a terminal gets colour");
        assert!(!on_a_terminal(&command, Some("1")).contains('\u{1b}'), "{arguments}: NO_COLOR holds");
        assert!(on_a_terminal(&command, Some("")).contains('\u{1b}'), "{arguments}: empty is as if it were not set");
    }
}
