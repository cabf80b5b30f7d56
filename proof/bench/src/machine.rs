//! The machine as the bench needs it: two cores apart, room for descriptors, and what the kernel counts.
//!
//! Never changes anything outside this process and its children.

use std::fs;
use std::process::id;

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Fallible;

/// Descriptors that the largest figure wants on either side: 20,000 connections, and as many again for slack.
const DESCRIPTORS: u64 = 48_000;

/// Two cores and a number of descriptors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// The proxy under test runs here and nothing else of ours does.
    pub(crate) proxy_core: usize,
    /// Load and upstream run here, this process included.
    pub(crate) load_core: usize,
    /// Open files that this process and its children may have.
    pub(crate) descriptors: u64,
}

impl Machine {
    /// Moves this process to the load core and raises its limit of open files as far as it may.
    pub(crate) fn prepare() -> Fallible<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (Some(proxy_core), Some(load_core)) = (cores.next(), cores.next()) else {
            return Err("two cores are needed: one for the proxy, one for load and upstream".into());
        };
        let mut own = CpuSet::new();
        own.set(load_core);
        sched_setaffinity(None, &own)?;
        // Before whatever else runs here, children included; who may not is measured as it comes.
        let _ = setpriority_process(None, -15);
        let descriptors = raise_descriptors();
        if descriptors < 4096 {
            return Err(format!("{descriptors} open files are too few: raise the limit (`ulimit -n`) to 48000").into());
        }
        Ok(Self { proxy_core, load_core, descriptors })
    }
}

/// Root may raise the hard limit too; whoever may not gets what there is.
fn raise_descriptors() -> u64 {
    let now = getrlimit(Resource::Nofile);
    let hard = now.maximum.unwrap_or(u64::MAX);
    let wanted = DESCRIPTORS.max(now.current.unwrap_or(u64::MAX));
    for (current, maximum) in [(wanted, hard.max(wanted)), (wanted.min(hard), hard)] {
        if setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: Some(maximum) }).is_ok() {
            return current;
        }
    }
    now.current.unwrap_or(DESCRIPTORS)
}

/// Nanoseconds of CPU that a process, its threads and its children have used; softirq on their behalf included.
pub(crate) fn cpu_nanos(pid: u32) -> u64 {
    family(pid)
        .into_iter()
        .flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten())
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// Bytes of memory of a process and its children.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident, shared pages counted in each process.
    pub(crate) resident: u64,
    /// Resident, shared pages counted once over all who share them.
    pub(crate) proportional: u64,
}

/// What a process and its children hold now.
pub(crate) fn memory(pid: u32) -> Memory {
    let mut sum = Memory::default();
    for pid in family(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let kib = |name: &str| -> u64 {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        sum.resident += kib("Rss:") * 1024;
        sum.proportional += kib("Pss:") * 1024;
    }
    sum
}

/// The process and its direct children: nginx has a master and a worker.
fn family(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in brackets may hold spaces: fields are counted from behind it.
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(pid) && child != id() {
            pids.push(child);
        }
    }
    pids
}
