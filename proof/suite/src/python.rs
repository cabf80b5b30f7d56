//! Clients and servers that exist only in Python (grpcio, websockets), in a virtual environment below `target/`.
//!
//! It never touches the system's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::place::target;
use crate::process::{Output, Running, run};
use crate::tools;

/// A virtual environment with the packages of `proof/suite/python/requirements.txt`.
#[derive(Debug)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Makes the environment once, or says what is missing.
    #[must_use]
    pub fn new(test: &str) -> Option<Self> {
        if !tools::have("python3", "python3-venv", test) {
            return None;
        }
        let home = target().join("suite-python");
        let interpreter = home.join("bin/python3");
        let requirements = Self::script("requirements.txt").to_string_lossy().into_owned();
        let wanted = fs::read_to_string(&requirements).unwrap_or_default();
        let done = home.join("installed.txt");
        if fs::read_to_string(&done).unwrap_or_default() != wanted {
            // Two tests must not build it at once; the lock ends with the file.
            let lock = fs::File::create(target().join("suite-python.lock")).ok()?;
            lock.lock().ok()?;
            if fs::read_to_string(&done).unwrap_or_default() != wanted {
                let patience = Duration::from_secs(240);
                let made = run("python3", &["-m", "venv", &home.to_string_lossy()], patience);
                let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &requirements];
                if !made.success || !run(&interpreter, &arguments, patience).success {
                    tools::missing(test, "Python packages", "apt-get install python3-venv, and a reachable PyPI");
                    return None;
                }
                fs::write(&done, wanted).ok()?;
            }
        }
        Some(Self { interpreter })
    }

    /// A file of `proof/suite/python/`.
    #[must_use]
    pub fn script(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
    }

    /// Runs a script to its end.
    #[must_use]
    pub fn run(&self, script: &str, arguments: &[&str], patience: Duration) -> Output {
        let script = Self::script(script);
        let script = script.to_string_lossy();
        let arguments: Vec<&str> = std::iter::once(&*script).chain(arguments.iter().copied()).collect();
        run(&self.interpreter, &arguments, patience)
    }

    /// Starts a script that serves.
    #[must_use]
    pub fn serve(&self, script: &str, arguments: &[&str], log: &Path) -> Running {
        let mut command = Command::new(&self.interpreter);
        command.arg(Self::script(script)).args(arguments);
        Running::start(command, log)
    }
}
