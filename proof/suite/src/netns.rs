//! Network namespaces: hosts with addresses of their own, on links that nothing else uses.
//!
//! Everything that is sent stays inside the namespaces that a test made, and they go away with the test.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{Output, run_command};
use crate::tools;

/// Longest that one of the commands below may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A host of its own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A host without links, or a line that says what is missing: root, iproute2.
    #[must_use]
    pub fn new(role: &str, test: &str) -> Option<Self> {
        if !tools::have("ip", "iproute2", test) {
            return None;
        }
        let name = format!("portcullis-{}-{role}", std::process::id());
        let made = ip(&["netns", "add", &name]);
        if !made.success {
            tools::missing(test, "network namespaces", &format!("run as root; ip said: {}", made.stderr.trim()));
            return None;
        }
        let namespace = Self { name };
        namespace.ip("link set lo up");
        Some(namespace)
    }

    /// A cable to another host: `own` and `theirs` are addresses with their prefix length.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn link(&self, own: &str, other: &Self, theirs: &str) {
        // Names of links have at most fifteen characters; these are unique within both ends.
        let mark = own.split('/').next().unwrap_or_default().replace('.', "");
        let (here, there) = (format!("a{mark}"), format!("b{mark}"));
        let made = ip(&[
            "link",
            "add",
            &here,
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            &there,
            "netns",
            &other.name,
        ]);
        assert!(made.success, "a link: {}", made.stderr);
        for (end, link, address) in [(self, &here, own), (other, &there, theirs)] {
            end.ip(&format!("addr add {address} dev {link}"));
            end.ip(&format!("link set {link} up"));
        }
    }

    /// `ip` inside.
    ///
    /// # Panics
    /// When it refuses.
    pub fn ip(&self, arguments: &str) {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(arguments.split_whitespace()).collect();
        let done = ip(&words);
        assert!(done.success, "ip {arguments}: {}", done.stderr);
    }

    /// Loads rules of nftables inside, from a file.
    ///
    /// # Panics
    /// When they are refused.
    pub fn nft(&self, file: &std::path::Path) {
        let mut command = self.command("nft");
        command.arg("-f").arg(file);
        let done = run_command(command, PATIENCE);
        assert!(done.success, "nft: {}", done.stderr);
    }

    /// A program that will run inside.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(tools::find("ip").unwrap_or_else(|| "ip".into()));
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `work` on a thread inside; threads and processes that it starts are inside, too.
    ///
    /// # Panics
    /// When `work` does, or the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let entered = || {
            let namespace = File::open(format!("/run/netns/{}", self.name)).expect("the namespace has a name");
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("it can be entered");
            work()
        };
        match std::thread::scope(|scope| scope.spawn(entered).join()) {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Output {
    let mut command = Command::new(tools::find("ip").unwrap_or_else(|| "ip".into()));
    command.args(arguments);
    run_command(command, PATIENCE)
}
