//! What the public sees: a page without a script, and the same for programs, written to a directory from what the console knows.
//!
//! It says in plain words whether the sites can be used, and never how they are defended. It is files: whatever serves them stands
//! elsewhere, off the path of an attack.

mod board;
mod page;

use std::fs::{File, create_dir_all, rename};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use self::board::Board;
use crate::api::App;
use crate::server;

/// It is written so often though nothing has changed, so that its age tells that it is true.
const EVERY: u64 = 60_000;
/// How long the hook may take.
const HOOK: Duration = Duration::from_secs(30);

/// Where it goes, and whom it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Where it is written.
    pub directory: PathBuf,
    /// What is run with that directory as its only argument, without a shell.
    pub hook: Option<PathBuf>,
    /// Where there is more to read; may be empty.
    pub more: String,
    /// Addresses and numbers that answer; either may be empty.
    pub contacts: Vec<(String, String)>,
}

/// Writes it at each change and each minute, where one is wanted.
pub(crate) async fn run(app: Arc<App>) {
    let (_, mut frames) = app.live.follow(Some(u64::MAX));
    let (mut board, mut written, mut complained, mut last) = (Board::default(), 0, false, None);
    loop {
        match frames.recv().await {
            Ok(frame) if frame.kind == "now" => {}
            Ok(_) | Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        }
        let Some(now) = app.live.now() else { continue };
        let (at, settings) = (server::now(), app.current.get());
        let changed = board.tick(&now, at);
        let Some(page) = settings.status.clone() else { continue };
        let moved = last.replace(page.clone()).is_none_or(|last| last != page);
        if !changed && !moved && at.saturating_sub(written) < EVERY {
            continue;
        }
        written = at;
        let html = page::html(&board, &page, (&settings.organisation, &settings.language), at);
        let json = page::json(&board, &settings.organisation, at);
        let done = match write(page.directory.clone(), html, json).await {
            Ok(()) => push(&page).await,
            Err(error) => Err(format!("{}: {error}", page.directory.display())),
        };
        // Once, and not each minute.
        if let Err(why) = &done
            && !complained
        {
            tracing::warn!(why, "the status page could not be brought to the public");
        }
        complained = done.is_err();
    }
}

async fn write(directory: PathBuf, html: String, json: String) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || {
        create_dir_all(&directory)?;
        whole(&directory, "index.html", &html)?;
        whole(&directory, "status.json", &json)
    });
    written.await.map_err(io::Error::other)?
}

/// Nobody ever reads half of it.
fn whole(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let beside = directory.join(format!(".{name}.new"));
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    rename(&beside, directory.join(name))
}

async fn push(page: &Page) -> Result<(), String> {
    let Some(hook) = &page.hook else { return Ok(()) };
    let mut command = Command::new(hook);
    command.arg(&page.directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let refused = |why: String| format!("{}: {why}", hook.display());
    let mut child = command.spawn().map_err(|error| refused(error.to_string()))?;
    match timeout(HOOK, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(refused(format!("it ended with {status}"))),
        Ok(Err(error)) => Err(refused(error.to_string())),
        Err(_) => {
            // It is waited for when it is dropped.
            let _ = child.start_kill();
            Err(refused(format!("it took more than {} seconds, and was ended", HOOK.as_secs())))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn it_is_written_whole_and_pushed_by_a_program() {
        let directory = tempfile::tempdir().expect("a directory");
        let out = directory.path().join("public");
        write(out.clone(), "one".to_owned(), "{}".to_owned()).await.expect("written");
        write(out.clone(), "two".to_owned(), "{}".to_owned()).await.expect("written");
        let names: Vec<_> = std::fs::read_dir(&out).expect("readable").map(|it| it.expect("one").file_name()).collect();
        assert_eq!(names.len(), 2, "nothing half is left: {names:?}");
        let hook = directory.path().join("hook");
        std::fs::write(&hook, "#!/bin/sh\ncp \"$1/index.html\" \"$1/../pushed\"\n").expect("written");
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o700)).expect("set");
        let page = Page { directory: out.clone(), hook: Some(hook.clone()), ..Page::default() };
        push(&page).await.expect("it ends well");
        assert_eq!(std::fs::read_to_string(directory.path().join("pushed")).expect("pushed"), "two");
        std::fs::write(&hook, "#!/bin/sh\nexit 3\n").expect("written");
        assert!(push(&page).await.expect_err("it fails").contains("exit status: 3"));
        let absent = Page { hook: Some(out.join("absent")), ..page };
        assert!(push(&absent).await.is_err());
    }
}
