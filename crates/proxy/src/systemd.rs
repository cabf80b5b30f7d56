//! What systemd is told: ready, reloading, stopping, which process is the main one, and that it lives.
//!
//! Never fails: without systemd (`NOTIFY_SOCKET` unset) all of it does nothing, and a gate whose supervisor is gone
//! goes on serving. Not for a worker's thread: the supervisor may let a message wait.

use std::time::Duration;

use sd_notify::NotifyState;

/// Every worker accepts; also ends a reload.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// A new process took over and is ready: systemd must hear it from the unit's main process, which is the old one until
/// then, so the old process sends this about its successor.
pub fn main_process(successor: u32) {
    notify(&[NotifyState::MainPid(successor)]);
}

/// A reload begins; [`ready`] ends it, whether it worked or not. systemd 253 and later want to know since when.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Draining has begun. `drain` is how long it may take, so that systemd does not lose patience before.
pub fn stopping(drain: Duration) {
    /// What closing down costs beyond draining.
    const MARGIN: Duration = Duration::from_secs(10);
    let micros = u32::try_from(drain.saturating_add(MARGIN).as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros)]);
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    notify(&[NotifyState::Status(line)]);
}

/// Tells systemd twice in each watchdog interval that the gate lives, as long as `lives` says so. Ends at once when the
/// unit sets no `WatchdogSec`. systemd tells the interval only to the process that it started as the main one: units
/// whose binary is replaced by a take-over should not set it.
pub async fn watchdog(lives: impl Fn() -> bool) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((interval / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if lives() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    // Not sent means not supervised, or a supervisor that is gone; there is nobody else to tell.
    drop(sd_notify::notify(states));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use tokio::sync::Notify;

    use super::*;

    /// Tells the part of the test that runs in a process of its own who supervises it.
    const SUPERVISED: &str = "PORTCULLIS_TEST_SUPERVISED";

    /// The environment belongs to the process, so the test runs itself again as a supervisor would.
    #[test]
    fn systemd_hears_each_state_and_its_absence_hurts_nobody() {
        if let Some(supervised) = std::env::var_os(SUPERVISED) {
            return speak(supervised == "yes");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let supervisor = UnixDatagram::bind(&path).expect("free");
        supervisor.set_read_timeout(Some(Duration::from_secs(10))).expect("open");
        let this = || {
            let mut child = Command::new(std::env::current_exe().expect("this program"));
            child.arg("systemd::tests::systemd_hears_each_state_and_its_absence_hurts_nobody").arg("--exact");
            for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
                child.env_remove(name);
            }
            child
        };
        let alone = this().env(SUPERVISED, "no").output().expect("it runs");
        assert!(alone.status.success(), "{}", String::from_utf8_lossy(&alone.stdout));
        let supervised =
            this().env(SUPERVISED, "yes").env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000").output();
        let supervised = supervised.expect("it runs");
        assert!(supervised.status.success(), "{}", String::from_utf8_lossy(&supervised.stdout));

        let hear = || {
            let mut message = [0; 512];
            let length = supervisor.recv(&mut message).expect("a message");
            String::from_utf8_lossy(&message[..length]).into_owned()
        };
        assert_eq!(hear(), "READY=1\n");
        let reloading = hear();
        let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("in one message");
        assert!(since.trim().parse::<u64>().is_ok_and(|micros| micros > 0), "{reloading}");
        assert_eq!(hear(), "MAINPID=4711\n");
        assert_eq!(hear(), "STATUS=2 platforms\n");
        assert_eq!(hear(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\n");
        assert_eq!(hear(), "WATCHDOG=1\n");
        assert_eq!(hear(), "WATCHDOG=1\n");
    }

    fn speak(supervised: bool) {
        ready();
        reloading();
        main_process(4711);
        status("2 platforms");
        stopping(Duration::from_secs(30));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (asked, often) = (Cell::new(0), Notify::new());
        let lives = || {
            asked.set(asked.get() + 1);
            if asked.get() == 3 {
                often.notify_one();
            }
            asked.get() < 3
        };
        runtime.block_on(async {
            tokio::select! {
                () = watchdog(lives) => assert!(!supervised, "it goes on for ever"),
                () = often.notified() => assert!(supervised, "nobody watches"),
            }
        });
    }
}
