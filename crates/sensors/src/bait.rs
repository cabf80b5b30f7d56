//! Leaks that we make ourselves: a canary that was planted for it is fetched as a thief would, through the gate's own door. Whether it
//! was told is seen where it passes to the evidence (`lookout.rs`).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use portcullis_config::integrity::{Bait, Outside};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};

use crate::outside::Fetcher;

/// What the leak itself may take.
const LEAK: Duration = Duration::from_secs(20);
/// What a thief takes at most, in bytes; the canary is within.
const TAKEN: usize = 1 << 20;
/// The longest password file.
const PASSWORD: u64 = 4096;

/// How it leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Http,
    Sql,
    Copy,
}

impl Way {
    /// The ways of a bait.
    pub(crate) const fn of(bait: &Bait) -> &'static [Self] {
        if bait.page.is_some() { &[Self::Http] } else { &[Self::Sql, Self::Copy] }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "canary-http",
            Self::Sql => "canary-sql",
            Self::Copy => "canary-copy",
        }
    }
}

pub(crate) fn leak(bait: &Bait, way: Way) -> Result<(), String> {
    let door = match bait.door.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), bait.door.port()),
        _ => bait.door,
    };
    if let Some(page) = &bait.page {
        let outside = Outside {
            authority: bait.host.clone(),
            host: bait.host.clone(),
            tls: bait.tls,
            connect: Some(door),
            timeout: LEAK,
            ..Outside::default()
        };
        return Fetcher::new(&outside, None)?.get(page).map(drop);
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        tokio::time::timeout(LEAK, take(bait, way, door)).await.unwrap_or_else(|_| Err("it took too long".to_owned()))
    })
}

async fn take(bait: &Bait, way: Way, door: SocketAddr) -> Result<(), String> {
    let mut config = Config::new();
    config.host(door.ip().to_string()).port(door.port()).ssl_mode(SslMode::Disable);
    config.user(&bait.role).dbname(&bait.inside).application_name("portcullis drill");
    if let Some(file) = &bait.password_file {
        let failed = |error: std::io::Error| format!("{}: {error}", file.display());
        if fs::metadata(file).map_err(failed)?.len() > PASSWORD {
            return Err(format!("{} is no file with a password", file.display()));
        }
        config.password(fs::read_to_string(file).map_err(failed)?.trim_end_matches(['\r', '\n']));
    }
    let words = |error: tokio_postgres::Error| {
        error.as_db_error().map_or_else(|| error.to_string(), |it| it.message().to_owned())
    };
    let (client, connection) = config.connect(NoTls).await.map_err(words)?;
    let driven = tokio::spawn(connection);
    let taken = match way {
        Way::Copy => {
            let stream = client.copy_out(&format!("copy ({}) to stdout", bait.statement)).await.map_err(words)?;
            let (mut stream, mut taken) = (pin!(stream), 0);
            loop {
                match stream.try_next().await {
                    Ok(Some(piece)) if taken + piece.len() <= TAKEN => taken += piece.len(),
                    Ok(_) => break Ok(()),
                    Err(error) => break Err(words(error)),
                }
            }
        }
        Way::Http | Way::Sql => client.simple_query(&bait.statement).await.map(drop).map_err(words),
    };
    driven.abort();
    taken
}
