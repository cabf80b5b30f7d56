//! The console's first view in a terminal: how everything stands, each second, and what to do about it.
//!
//! It is a program of the API like any other, and decides nothing. Where it brings no token, it makes itself one of an hour beside the
//! accounts, which only somebody may who could make any account there.

mod screen;
mod stream;
mod view;
pub(crate) mod wire;

use std::env;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use http::Uri;
use portcullis_control::Pass;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal;
use ratatui::widgets::Paragraph;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use self::screen::{Deed, Screen};
use self::view::View;
use self::wire::{At, Console, Update};
use crate::args::console::TestAlert;
use crate::args::top::{Reach, Top};
use crate::install::fetch::system_roots;
use crate::waf::promote::who;
use crate::{Done, Failure, configuration, moment, talk};

/// What the environment may carry instead of a file.
const TOKEN: &str = "PORTCULLIS_TOKEN";
/// How soon a key is answered, and how often it is looked whether anything has come.
const LOOK: Duration = Duration::from_millis(100);
/// What is printed once, where there is no terminal to ask.
const SIZE: (u16, u16) = (80, 24);

/// Shows how everything stands until somebody has seen enough.
pub(crate) fn run(flags: &Top) -> Done {
    let (console, _pass) = console(&flags.at, "top")?;
    // Whatever is wrong with address or token is said here, before the screen is taken.
    let now = runtime()?.block_on(console.now()).map_err(Failure::Because)?;
    let mut screen = Screen::default();
    screen.take(Update::Now(Box::new(now)), moment::now());
    if flags.once {
        return talk::answer(&printed(&screen));
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::because("this is no terminal: take `--once`, or the API (docs/guide/console.md)"));
    }
    let (updates, deeds) = connect(console)?;
    let mut terminal = ratatui::try_init().map_err(|error| Failure::because(error.to_string()))?;
    let done = look(&mut terminal, &mut screen, &updates, &deeds);
    ratatui::restore();
    done.map_err(|error| Failure::because(format!("the terminal failed: {error}")))
}

/// Sends a test to somebody who is told when something is wrong, and waits whether it arrives.
pub(crate) fn test_alert(flags: &TestAlert) -> Done {
    let (console, _pass) = console(&flags.at, "alert")?;
    runtime()?.block_on(console.test_alert(&flags.name)).map_err(Failure::Because).and_then(|said| talk::answer(&said))
}

/// How everything stands, as text.
fn printed(screen: &Screen) -> String {
    let (width, height) = if io::stdout().is_terminal() { terminal::size().unwrap_or(SIZE) } else { SIZE };
    let view = View { width: width.into(), height: height.into(), coloured: false, at: screen.heard };
    let mut lines: Vec<String> = view.lines(screen).iter().map(|line| line.to_string().trim_end().to_owned()).collect();
    // The last line is what keys do.
    lines.pop();
    lines.join("\n").trim_end().to_owned()
}

pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::because(error.to_string()))
}

/// What the console tells, and the way to ask it for something, on a thread of its own that ends when nobody listens any more.
fn connect(console: Console) -> Result<(Receiver<Update>, UnboundedSender<Deed>), Failure> {
    let (tell, updates) = channel();
    let (ask, deeds) = unbounded_channel();
    let (runtime, said) = (runtime()?, tell.clone());
    let body = move || {
        runtime.block_on(async { tokio::join!(console.follow(&tell), console.obey(deeds, &said)) });
    };
    let thread = std::thread::Builder::new().name("console".to_owned()).spawn(body);
    thread.map_err(|error| Failure::because(error.to_string()))?;
    Ok((updates, ask))
}

fn look(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    updates: &Receiver<Update>,
    deeds: &UnboundedSender<Deed>,
) -> io::Result<()> {
    let coloured = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    while !screen.left {
        terminal.draw(|frame| {
            let area = frame.area();
            let (width, height, at) = (area.width.into(), area.height.into(), moment::now());
            let lines = View { width, height, coloured, at }.lines(screen);
            frame.render_widget(Paragraph::new(lines), area);
        })?;
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
                return Ok(());
            }
            if let Some(deed) = screen.press(key.code) {
                // It ends with this process only.
                let _ = deeds.send(deed);
            }
        }
        match updates.recv_timeout(LOOK) {
            Ok(update) => {
                screen.take(update, moment::now());
                while let Ok(update) = updates.try_recv() {
                    screen.take(update, moment::now());
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    Ok(())
}

/// Where the console is and what opens it. A token that was made for this is revoked when the pass is dropped.
pub(crate) fn console(flags: &Reach, what: &str) -> Result<(Console, Option<Pass>), Failure> {
    let given = token(flags)?;
    if let Some(url) = &flags.url {
        let none = || Failure::because(format!("a console elsewhere takes a token: `--token-file`, or {TOKEN}"));
        let token = given.ok_or_else(none)?;
        let (host, name, port, secure) = parts(url)?;
        let tls = if secure { Some(tls(&name, roots(flags.ca.as_deref())?)?) } else { None };
        return Ok((Console { at: At::Name(name, port), host, tls, token }, None));
    }
    let policy = configuration::policy(&flags.config)?;
    let none = || Failure::because(format!("{} declares no console (`listen` in `[console]`)", flags.config.display()));
    let declared = policy.console.as_ref().ok_or_else(none)?;
    let (host, name, _, _) = parts(&declared.url)?;
    let mut address = declared.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    let tls = match declared.tls.and_then(|index| policy.certificates.get(index)) {
        // Whose certificate it is lies in the same configuration: it need not be of an authority that the system knows.
        Some(pair) => {
            let mut roots = roots(flags.ca.as_deref()).unwrap_or_else(|_| RootCertStore::empty());
            let chain = CertificateDer::pem_slice_iter(&pair.cert_pem);
            roots.add_parsable_certificates(chain.filter_map(Result::ok));
            Some(tls(&name, roots)?)
        }
        None => None,
    };
    let (token, pass) = match given {
        Some(token) => (token, None),
        None => {
            let pass = Pass::make(&declared.directory, &who(), what, moment::now());
            let pass = pass.map_err(|why| {
                Failure::because(format!(
                    "no token was given (`--token-file`, {TOKEN}), and none can be made beside the accounts: {why}"
                ))
            })?;
            (pass.secret().to_owned(), Some(pass))
        }
    };
    Ok((Console { at: At::Address(address), host, tls, token }, pass))
}

fn token(flags: &Reach) -> Result<Option<String>, Failure> {
    let text = match &flags.token_file {
        Some(path) => Some(
            std::fs::read_to_string(path).map_err(|error| Failure::because(format!("{}: {error}", path.display())))?,
        ),
        None => env::var(TOKEN).ok(),
    };
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// As `Host` has it, the name alone, the port, and whether it speaks TLS.
fn parts(url: &str) -> Result<(String, String, u16, bool), Failure> {
    let unfit = || Failure::because(format!("`{url}` is no address of a console: write https://HOST:PORT"));
    let uri: Uri = url.parse().map_err(|_| unfit())?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(unfit()),
    };
    let authority = uri.authority().ok_or_else(unfit)?;
    let name = authority.host().trim_matches(['[', ']']).to_owned();
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    Ok((authority.to_string(), name, port, secure))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Failure> {
    let Some(ca) = ca else { return system_roots().map_err(Failure::Because) };
    let refused = |why: String| Failure::because(format!("{}: {why}", ca.display()));
    let pem = std::fs::read(ca).map_err(|error| refused(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    Ok(roots)
}

fn tls(name: &str, roots: RootCertStore) -> Result<(Arc<ClientConfig>, ServerName<'static>), Failure> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::because(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| Failure::because(format!("`{name}` is no name of a server")))?;
    Ok((Arc::new(config), name))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use portcullis_proxy::sockets::Inherited;

    use super::*;
    use crate::args::Arguments;
    use crate::args::Verb;
    use crate::configuration::Read;
    use crate::standing::Standing;
    use clap::Parser as _;

    /// A gate in this process, with its console on a port of its own.
    fn gate(folder: &Path) -> Standing {
        let port = || TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let (listener, console, upstream) = (port(), port(), port());
        let text = format!(
            "[server]\nname = \"gate-t\"\nworkers = 1\ncontrol = \"control.sock\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [console]\nlisten = \"127.0.0.1:{console}\"\ndirectory = \"console\"\n\
             [[listener]]\nname = \"http\"\nbind = \"127.0.0.1:{listener}\"\n\
             [[platform]]\nname = \"public\"\nhosts = [\"example.org\"]\nupstreams = [\"http://127.0.0.1:{upstream}\"]\n"
        );
        let path = folder.join("gate.toml");
        std::fs::write(&path, text).expect("written");
        let policy = Read::file(&path).expect("readable").settle_quietly().expect("in order");
        Standing::begin(&path, policy, Inherited::none(), false, None).expect("a gate")
    }

    fn flags(folder: &Path, more: &[&str]) -> Top {
        let config = folder.join("gate.toml").display().to_string();
        let line = ["portcullis", "top", "--config", &config].into_iter().chain(more.iter().copied());
        let Verb::Top(flags) = Arguments::parse_from(line).verb else { panic!("top") };
        flags
    }

    #[test]
    fn a_gate_is_looked_at_and_acted_on_with_a_pass_that_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let standing = gate(folder.path());
        let (console, pass) =
            console(&flags(folder.path(), &["--once"]).at, "top").unwrap_or_else(|why| panic!("{why:?}"));
        let (updates, deeds) = connect(console.clone()).unwrap_or_else(|why| panic!("{why:?}"));
        let mut screen = Screen::default();
        let until = |screen: &mut Screen, seen: &dyn Fn(&Screen) -> bool| {
            let begun = Instant::now();
            while !seen(screen) {
                assert!(begun.elapsed() < Duration::from_secs(60), "{screen:?}");
                if let Ok(update) = updates.recv_timeout(Duration::from_secs(1)) {
                    screen.take(update, moment::now());
                }
            }
        };
        until(&mut screen, &|screen| screen.now.is_some());
        let text = printed(&screen);
        assert!(text.contains("gate-t") && text.contains("public  NORMAL") && text.contains("NEXT"), "{text}");
        // A person holds the platform: keys to the gate and back.
        for key in [KeyCode::Char('h'), KeyCode::Down, KeyCode::Down, KeyCode::Down, KeyCode::Enter] {
            assert_eq!(screen.press(key), None);
        }
        let deed = screen.press(KeyCode::Char('y')).expect("a deed");
        deeds.send(deed).expect("it is taken");
        until(&mut screen, &|screen| {
            screen.now.as_ref().is_some_and(|now| now.platforms[0].held && now.platforms[0].posture == "overload")
        });
        // A rule that is not there cannot be undone, and that is said.
        deeds.send(Deed::Undo("r-999".to_owned(), 0)).expect("it is taken");
        until(&mut screen, &|screen| screen.said.as_ref().is_some_and(|said| said.contains("not done")));
        drop(pass);
        let refused = runtime().expect("one").block_on(console.now()).expect_err("the pass has ended");
        assert!(refused.contains("sign in"), "{refused}");
        standing.end(drop);
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for url in ["console.example.org", "ftp://a", "https://", "/x"] {
            assert!(parts(url).is_err(), "{url}");
        }
        let told = parts("https://console.example.org").expect("one");
        assert_eq!(told, ("console.example.org".to_owned(), "console.example.org".to_owned(), 443, true));
        assert_eq!(parts("http://[::1]:9181").expect("one"), ("[::1]:9181".to_owned(), "::1".to_owned(), 9181, false));
    }
}
