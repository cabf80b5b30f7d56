//! One rule file that both sides load: `ModSecurity`'s recommended configuration, the Core Rule Set's set-up and its rules,
//! unmodified, and what a run sets.
//!
//! Never a file that one of them alone understands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// How the rules are set up.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The Core Rule Set's directory, with `modsecurity/` in it.
    pub directory: PathBuf,
    /// 1 to 4.
    pub paranoia: u8,
    /// Refuses, or only tells.
    pub refuses: bool,
    /// More rules, after all others.
    pub more: String,
}

impl Rules {
    /// Blocking at a level.
    #[must_use]
    pub fn blocking(directory: &Path, paranoia: u8) -> Self {
        Self { directory: directory.to_owned(), paranoia, refuses: true, more: String::new() }
    }

    /// To be compared rule by rule: says the scores at the end, as the message of rule 99, and lets nobody give up on an
    /// expression, as `ModSecurity` does after 1,000 steps in its recommended configuration.
    #[must_use]
    pub fn to_compare(mut self) -> Self {
        self.more.push_str(
            "SecPcreMatchLimit 10000000\nSecPcreMatchLimitRecursion 10000000\n\
             SecAction \"id:99,phase:5,pass,t:none,log,msg:'scores %{tx.blocking_inbound_anomaly_score} \
             %{tx.inbound_anomaly_score_pl1} %{tx.inbound_anomaly_score_pl2} %{tx.inbound_anomaly_score_pl3} \
             %{tx.inbound_anomaly_score_pl4}'\"\n",
        );
        self
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When the rules cannot be listed, or the file not be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut text = String::new();
        let mut include = |path: &Path| {
            let _ = writeln!(text, "Include {}", path.display());
        };
        let directory = fs::canonicalize(&self.directory)?;
        include(&directory.join("modsecurity/modsecurity.conf-recommended"));
        include(&directory.join("crs-setup.conf.example"));
        let level = self.paranoia;
        let _ = writeln!(
            text,
            "SecAction \"id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level={level}\""
        );
        let mut files: Vec<PathBuf> = fs::read_dir(directory.join("rules"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        files.sort();
        for path in files {
            let _ = writeln!(text, "Include {}", path.display());
        }
        // Neither side writes an audit log: what is compared is the inspection.
        let _ =
            writeln!(text, "SecAuditEngine Off\nSecRuleEngine {}", if self.refuses { "On" } else { "DetectionOnly" });
        text.push_str(&self.more);
        fs::write(file, text)
    }
}

/// Where the Core Rule Set is: `crs/` in the directory that `PORTCULLIS_SHARED` names, else in `shared/` beside the checkout.
///
/// # Errors
/// With one line that says what is missing and where to put it.
pub fn core_rule_set() -> Result<PathBuf, String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = env::var_os("PORTCULLIS_SHARED").map_or(beside, PathBuf::from);
    Some(shared.join("crs")).filter(|directory| directory.join("rules").is_dir()).ok_or_else(|| {
        "the Core Rule Set is not here; put its rules into ../shared/crs, or name the directory that has crs/ in it in \
         PORTCULLIS_SHARED"
            .to_owned()
    })
}
