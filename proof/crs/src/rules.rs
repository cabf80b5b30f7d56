//! The Core Rule Set as it is installed: `ModSecurity`'s recommended configuration, the set-up file, the rules.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_waf::seclang::diagnostic::Refused;
use portcullis_waf::seclang::parse::{Files, parse};
use portcullis_waf::seclang::resolve::resolve;
use portcullis_waf::seclang::{Program, compile};

/// Settings that the regression cases are made for (`tests/regression/README.md`).
const FOR_CASES: &str = r#"
SecAction "id:900005,phase:1,nolog,pass,ctl:ruleEngine=DetectionOnly,ctl:ruleRemoveById=910000,\
  setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
  setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
  setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
"#;

/// Rule 200006 of the recommended configuration, which one of the engines that made the verdicts has by default.
const JSON_SUBTYPES: &str = r#"
SecRule REQUEST_HEADERS:Content-Type "^application/[a-z0-9.-]+[+]json" \
  "id:200006,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"#;

/// How the rules are set up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    /// For the regression cases: all rules, nothing blocked.
    Cases,
    /// Blocking at a paranoia level, as the verdicts were made: UTF-8 is checked, other limits are left alone.
    Blocking(u8),
}

/// A rule file: one of the Core Rule Set's, or text of this run.
#[derive(Debug, Clone)]
pub(crate) struct RuleFile {
    /// Where it is; none of text of this run.
    pub(crate) path: Option<PathBuf>,
    /// What it says.
    pub(crate) text: String,
}

/// Reads and compiles them.
pub(crate) fn load(directory: &Path, mode: Mode) -> Result<Arc<Program>, String> {
    compiled(files(directory, mode)?)
}

/// The files in the order in which they are loaded.
pub(crate) fn files(directory: &Path, mode: Mode) -> Result<Vec<RuleFile>, String> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<_, String>(RuleFile { path: Some(path), text })
    };
    let mut all = Vec::new();
    for name in ["modsecurity/modsecurity.conf-recommended", "crs-setup.conf.example"] {
        all.push(read(directory.join(name))?);
    }
    let own = match mode {
        Mode::Cases => FOR_CASES.to_owned(),
        Mode::Blocking(level) => format!(
            "SecRuleEngine On\nSecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level={level},\
             setvar:tx.crs_validate_utf8_encoding=1\"\n{JSON_SUBTYPES}"
        ),
    };
    all.push(RuleFile { path: None, text: own });
    let rules = directory.join("rules");
    let entries = std::fs::read_dir(&rules).map_err(|error| format!("{}: {error}", rules.display()))?;
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    paths.sort();
    for path in paths {
        all.push(read(path)?);
    }
    Ok(all)
}

/// Compiles files, whoever changed them.
pub(crate) fn compiled(files: Vec<RuleFile>) -> Result<Arc<Program>, String> {
    let name = |file: &RuleFile| match &file.path {
        Some(path) => path.display().to_string(),
        None => "set-up of this run".to_owned(),
    };
    let sources: Vec<(String, String)> = files.into_iter().map(|file| (name(&file), file.text)).collect();
    let refused = |refused: Refused| format!("the rules are refused:\n{refused}");
    let text = parse(&sources, &Beside).map_err(refused)?;
    let rules = resolve(text).map_err(refused)?;
    let program = compile(&rules).map_err(|diagnostics| format!("the rules are refused: {diagnostics:#?}"))?;
    Ok(Arc::new(program))
}

/// Files that rules name, beside the file that names them.
struct Beside;

impl Files for Beside {
    fn read(&self, beside: &str, name: &str) -> Option<Vec<u8>> {
        std::fs::read(Path::new(beside).parent()?.join(name)).ok()
    }
}
