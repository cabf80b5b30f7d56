//! `portcullis demo`: a campaign's three platforms, the people who visit them, and the gate in between.
//!
//! All of it is on loopback and ends with the command. Nothing here is used by `run`.

pub(crate) mod attack;
mod chance;
mod client;
mod database;
mod day;
pub(crate) mod figures;
mod front;
mod incident;
mod leak;
mod platforms;
mod supporters;
mod watch;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portcullis_control::model::Play;
use portcullis_proxy::sockets::Inherited;
use portcullis_proxy::{Gate, StartError};
use serde_json::json;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant as Moment, MissedTickBehavior, interval_at, sleep};

use crate::args::incident::{AskIncident, Export, Records, Shown};
use crate::args::remote::Remote;
use crate::args::{Demo, Wanted};
use crate::configuration::Read;
use crate::console::Stage;
use crate::standing::Standing;
use crate::{Done, Failure, talk};
use client::Front;
use database::Cluster;
use figures::{Figures, Snapshot, readable};
use front::{Behind, Folder};
use platforms::forms::Forms;
use platforms::members::{Members, invent};
use platforms::public::Public;
use platforms::store::{Pool, Store};
use portcullis_incident::spaced;
use supporters::{FORMS, MEMBERS, Supporter};

/// Between two lines about how it goes.
const REPORT: Duration = Duration::from_secs(5);
/// Within this time the supporters come where an attack will follow.
const GATHERING: Duration = Duration::from_secs(20);
/// Numbers of those who only sign in, beyond every other supporter's.
const MEMBERS_FROM: u32 = 20_000;
/// What the gate may take to end; whoever pressed Ctrl-C is waiting.
const ENDING: Duration = Duration::from_millis(1_600);

/// Runs the demo until it is interrupted, or for as long as was asked.
pub(crate) fn run(flags: &Demo) -> Done {
    if flags.attack == Some(Wanted::List) {
        return talk::answer(&attack::list());
    }
    talk::listen("warn")?;
    let folder = Folder::new().map_err(cannot("make the demo's folder"))?;
    if flags.print_config {
        let [public, forms, members] = [4001, 4002, 4003].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let database = database::find().map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, 5432)));
        return talk::answer(&front::config(flags, &Behind { public, forms, members, database }));
    }
    // From here on Ctrl-C ends it in order: what it has started, PostgreSQL above all, must not stay behind.
    let waiting = Builder::new_current_thread().enable_all().build().map_err(cannot("wait for signals"))?;
    let mut ending = waiting.block_on(async { Ending::listen() }).map_err(cannot("wait for signals"))?;
    let mut members = invent(flags.seed);
    members.extend(folder.canaries());
    let cluster = cluster();
    let store = match &cluster {
        Ok(cluster) => Store::Database(Arc::new(Pool::new(cluster.password().to_owned()))),
        Err(_) => Store::Memory(Arc::new(members.clone())),
    };
    if let Ok(cluster) = &cluster {
        folder.entrust(cluster.password()).map_err(cannot("write the database's password"))?;
    }
    let opening = async {
        if let Ok(cluster) = &cluster {
            cluster.fill(&members).await.map_err(io::Error::other)?;
        }
        // Only the drill has no use for a machine that can be brought to its limit.
        open_platforms(store.clone(), !flags.drill).await
    };
    let (platforms, behind) = Crew::begin("platforms", opening)?;
    let mut behind = behind.map_err(cannot("start the platforms"))?;
    behind.database = cluster.as_ref().ok().map(|cluster| cluster.at);
    let config = front::config(flags, &behind);
    let path = folder.config();
    std::fs::write(&path, &config).map_err(cannot("write the demo's configuration"))?;
    let policy = Read::file(&path).and_then(Read::settle_quietly).map_err(Failure::Because)?;
    let control = policy.server.control.clone();
    // Whoever looks at the console of a demo that plays nothing by itself can have it play something.
    let alone = flags.attack.is_none() && !flags.incident && !flags.drill;
    let (stage, mut called) = stage();
    let stage = alone.then_some(stage);
    let standing = Standing::begin(&path, policy, Inherited::none(), false, stage).map_err(|error| taken(&error))?;

    let address = |name: &str| standing.gate.addresses().into_iter().find(|(known, _)| known == name).map(|(_, at)| at);
    let front = Arc::new(Front {
        http: address("http").unwrap_or(flags.http),
        https: address("https").unwrap_or(flags.https),
        tls: folder.believe(false).map_err(cannot("believe the demo's certificate"))?,
        tls_http2: folder.believe(true).map_err(cannot("believe the demo's certificate"))?,
        figures: Figures::new(),
    });
    if let Store::Database(pool) = &store {
        pool.through(address("members").unwrap_or(flags.database));
        platforms.handle.block_on(teach(&control, &store))?;
    }
    let (supporters, ()) = Crew::begin("supporters", async {})?;
    let attacked = flags.attack.is_some() || flags.incident;
    for number in 0..flags.supporters {
        // Where the gate is to learn what is ordinary, they do not all come at once.
        let late = if attacked { GATHERING * number / flags.supporters } else { Duration::ZERO };
        let mut people = vec![Supporter::new(flags.seed, number, Arc::clone(&front))];
        let joins = matches!(flags.attack, Some(Wanted::Attack(attack)) if attack.platform == "join");
        if joins || flags.incident {
            // Few join or sign in at any time; to learn what is ordinary there within a minute takes more of them.
            people.push(Supporter::member(flags.seed, MEMBERS_FROM + number, Arc::clone(&front)));
        }
        for person in people {
            supporters.handle.spawn(async move {
                sleep(late).await;
                person.live().await;
            });
        }
    }
    let guarded = cluster.as_ref().map(|cluster| (address("members").unwrap_or(flags.database), cluster.password()));
    let members = match &guarded {
        Ok((at, _)) => format!("in PostgreSQL, through the gate at {at}"),
        Err(why) => format!("in memory ({why})"),
    };
    welcome(flags, &front, &standing, &members, &folder)?;

    let started = Instant::now();
    let (mut escaped, mut played) = (false, None);
    let why = match flags.attack {
        _ if flags.drill => {
            let canaries = folder.canaries().into_iter().map(|member| member.email).collect();
            let drill = leak::Drill { front: front.apart(), database: guarded.ok(), log: &folder.log(), canaries };
            let played = waiting.block_on(async {
                tokio::select! {
                    played = drill.run() => Some(played),
                    () = ending.told() => None,
                }
            });
            match played {
                Some((report, held)) => {
                    escaped = !held;
                    talk::answer(&report)?;
                    "The drill is over.".to_owned()
                }
                None => "Ending before the drill is over.".to_owned(),
            }
        }
        _ if flags.incident => {
            let (hands, ()) = Crew::begin("attack", async {})?;
            let attackers = front.apart();
            let canaries = folder.canaries().into_iter().map(|member| member.email).collect();
            let log = folder.log();
            let thief = guarded.as_ref().ok().map(|database| leak::Drill {
                front: Arc::clone(&attackers),
                database: Some(*database),
                log: &log,
                canaries,
            });
            let play = incident::Play {
                seed: flags.seed,
                apart: flags.apart,
                supporters: &front.figures,
                attackers,
                hands: hands.handle.clone(),
                control: &control,
                thief,
                ending: &mut ending,
            };
            played = waiting.block_on(play.run());
            hands.leave();
            if played.is_some() { "The incident is over." } else { "Ending before the incident is over." }.to_owned()
        }
        Some(Wanted::Attack(attack)) => {
            let (hands, ()) = Crew::begin("attack", async {})?;
            let told = waiting.block_on(watch::watch(watch::Watched {
                attack,
                seed: flags.seed,
                supporters: &front.figures,
                front: front.apart(),
                hands: hands.handle.clone(),
                control,
                log: folder.log(),
                duration: flags.duration,
                ending,
            }));
            hands.leave();
            told?
        }
        _ => {
            let (hands, ()) = Crew::begin("attack", async {})?;
            let way = front.apart();
            let seed = flags.seed;
            hands.handle.spawn(async move {
                while let Some(attack) = called.asked.recv().await {
                    attack.play(seed, Arc::clone(&way), Arc::default()).await;
                    called.playing.store(false, Ordering::Release);
                }
            });
            let why = waiting.block_on(watch(&front.figures, flags.duration, ending)).to_owned();
            hands.leave();
            why
        }
    };
    talk::say(&format!("\n{why}"));

    // Visitors first, then the gate, then what it stands in front of: nobody sees a fault that is only the end.
    supporters.leave();
    let ended = standing.end(end);
    platforms.leave();
    drop(cluster);
    talk::say(&farewell(&front.figures.snapshot(), started.elapsed()));
    if !ended {
        talk::say("the gate still had requests under way; they were cut");
    }
    if escaped {
        return Err(Failure::because("more left than may, or less is on record than left"));
    }
    if let Some(counted) = played {
        let mut evidence = folder.evidence();
        if let Some(apart) = counted.apart {
            let played = evidence;
            evidence = played.with_extension("apart");
            apart.write(&played, &evidence)?;
        }
        let recorded = incident::Recorded::read(&evidence)?;
        let (table, same) = counted.compare(&recorded);
        talk::answer(&format!("\nWhat visitors counted, and what is on record:\n\n{table}"))?;
        let of = || Records { config: folder.config(), ledger: Some(evidence.clone()), json: false };
        let last = || "last".to_owned();
        crate::incident::run(&AskIncident::Show(Shown {
            incident: last(),
            no_drill: false,
            of: of(),
            far: Remote::default(),
        }))?;
        let to = flags.report.clone();
        crate::incident::run(&AskIncident::Export(Export {
            incident: last(),
            to,
            forms: None,
            no_drill: false,
            of: of(),
            far: Remote::default(),
        }))?;
        if !same {
            return Err(Failure::because("what visitors counted is not what is on record"));
        }
    }
    Ok(())
}

/// What the demo is asked to play, one at a time.
struct Called {
    asked: mpsc::Receiver<&'static attack::Attack>,
    playing: Arc<AtomicBool>,
}

fn stage() -> (Stage, Called) {
    let (ask, asked) = mpsc::channel(1);
    let playing = Arc::new(AtomicBool::new(false));
    let plays = attack::ATTACKS.iter();
    let plays = plays.map(|it| Play { name: it.name.to_owned(), about: it.about.to_owned() }).collect();
    let busy = Arc::clone(&playing);
    let play = move |name: &str| {
        let attack = attack::named(name).ok_or("there is no such attack")?;
        if busy.swap(true, Ordering::AcqRel) || ask.try_send(attack).is_err() {
            return Err("an attack is being played: wait until it is over".to_owned());
        }
        Ok(format!("Now comes {name}, for a minute: {}.", attack.about))
    };
    (Stage { plays, player: Box::new(play) }, Called { asked, playing })
}

/// PostgreSQL for the members, where it is installed and starts; else why not.
fn cluster() -> Result<Cluster, String> {
    let programs = database::find().ok_or("PostgreSQL is not installed: apt-get install postgresql")?;
    Cluster::start(&programs).map_err(|why| format!("PostgreSQL does not start: {why}"))
}

/// Lets the gate see what the members' platform runs, approves that, and refuses everything else from then on: what an
/// operator does over a usual week, for a platform with five statements.
async fn teach(control: &Path, store: &Store) -> Done {
    let ask = |what: serde_json::Value| {
        let mut what = what;
        if let Some(fields) = what.as_object_mut() {
            let said = [("database", "members"), ("role", database::APPLICATION), ("by", "demo")];
            fields.extend(said.map(|(name, value)| (name.to_owned(), value.into())));
        }
        match portcullis_proxy::control::ask_with(control, "pg", &what) {
            Ok(answer) if answer.ok => Ok(()),
            Ok(answer) => Err(Failure::Because(answer.message)),
            Err(error) => Err(cannot("ask the gate")(error)),
        }
    };
    ask(json!({"do": "stage", "stage": "learn"}))?;
    let usual = async {
        for (word, branch) in [("", ""), ("mar", ""), ("", "Saltby")] {
            store.search(word, branch, 0, 100, None).await?;
        }
        store.one("M00001", None).await?;
        store.all(None).await?;
        store.of_branch("Saltby", None).await
    };
    usual.await.map_err(|_| Failure::because("the members' platform does not reach its database through the gate"))?;
    ask(json!({"do": "approve"}))?;
    ask(json!({"do": "stage", "stage": "enforce"}))
}

/// A thread with a runtime of its own, so that platforms and supporters do not borrow time from one another.
struct Crew {
    handle: Handle,
    leave: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Crew {
    /// Does `first` here and now, then goes on in the thread with what that spawned.
    fn begin<T>(name: &str, first: impl Future<Output = T>) -> Result<(Self, T), Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot("start a thread"))?;
        let opened = runtime.block_on(first);
        let (handle, (leave, left)) = (runtime.handle().clone(), oneshot::channel());
        let thread = thread::Builder::new()
            .name(format!("demo-{name}"))
            .spawn(move || {
                let _ = runtime.block_on(left);
                runtime.shutdown_background();
            })
            .map_err(cannot("start a thread"))?;
        Ok((Self { handle, leave, thread }, opened))
    }

    /// Stops what they do, wherever they are in it.
    fn leave(self) {
        let _ = self.leave.send(());
        let _ = self.thread.join();
    }
}

async fn open_platforms(store: Store, small: bool) -> io::Result<Behind> {
    let no_randomness = || io::Error::other("the operating system has no randomness");
    let (public, forms, members) = (platforms::listen().await?, platforms::listen().await?, platforms::listen().await?);
    tokio::spawn(platforms::serve(public.0, Arc::new(Public::new(small))));
    tokio::spawn(platforms::serve(forms.0, Arc::new(Forms::new().ok_or_else(no_randomness)?)));
    tokio::spawn(platforms::serve(members.0, Arc::new(Members::new(store).ok_or_else(no_randomness)?)));
    Ok(Behind { public: public.1, forms: forms.1, members: members.1, database: None })
}

/// What stands in the way of an address, and the flag that chooses another.
fn taken(error: &StartError) -> Failure {
    let StartError::Socket(error) = error else { return Failure::because(error.to_string()) };
    let flag = match error.listener.as_str() {
        "http" => "--http",
        "https" => "--https",
        "members" => "--database",
        _ => "--admin",
    };
    if error.cause.kind() != io::ErrorKind::AddrInUse {
        return Failure::because(format!("{error}; choose another address with {flag}"));
    }
    let holder = match &error.holder {
        Some(holder) => format!("`{}`, process {}", holder.program, holder.process),
        None => "another program".to_owned(),
    };
    let (port, address) = (error.bind.port(), error.bind.ip());
    Failure::because(format!("port {port} on {address} is taken (by {holder}); choose another with {flag}"))
}

fn welcome(flags: &Demo, front: &Front, standing: &Standing, members: &str, folder: &Folder) -> Done {
    let (http, https, admin) = (front.http.port(), front.https.port(), standing.gate.admin());
    let console = standing.console().and_then(|console| console.welcome()).unwrap_or("(there is none: see above)");
    talk::answer(&format!(
        "Open Harbour, a sample campaign, behind its gate:

  Public site      http://localhost:{http}
  Join and donate  http://{FORMS}:{http}
  Members' desk    http://{MEMBERS}:{http}
  With TLS         https://localhost:{https}  (the certificate is a minute old: your browser will ask)
  Members          {members}
  Console          {console}
  Metrics          http://{admin}/metrics

  Configuration    {config}
  Decision log     {log}
",
        config = folder.config().display(),
        log = folder.log().display(),
    ))?;
    let company = match flags.supporters {
        0 => "Nobody visits but you.".to_owned(),
        1 => "One simulated supporter visits.".to_owned(),
        number => format!("{} simulated supporters visit.", spaced(number.into())),
    };
    talk::say(&format!("{company} Nothing leaves this machine. Ctrl-C ends it.\n"));
    Ok(())
}

/// What ends the demo from outside.
struct Ending {
    interrupt: Signal,
    terminate: Signal,
}

impl Ending {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Comes back once somebody has told it to end.
    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Reports until somebody or the clock ends it; says which.
async fn watch(figures: &Figures, duration: Option<Duration>, mut ending: Ending) -> &'static str {
    let mut reports = interval_at(Moment::now() + REPORT, REPORT);
    reports.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut before = figures.snapshot();
    let over = async {
        match duration {
            Some(duration) => sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            _ = ending.interrupt.recv() => return "Ending.",
            _ = ending.terminate.recv() => return "Told to end.",
            () = &mut over => return "Time is up.",
            _ = reports.tick() => {
                let now = figures.snapshot();
                talk::say(&line(&now.since(&before)));
                before = now;
            }
        }
    }
}

/// The last few seconds in one line.
fn line(recent: &Snapshot) -> String {
    let time = |percent| recent.percentile(percent).map_or_else(|| "-".to_owned(), readable);
    let seconds = REPORT.as_secs();
    format!(
        "last {seconds} s: {} served, {} refused, {} failed; half within {}, 99 of 100 within {}",
        spaced(recent.served),
        spaced(recent.refused),
        spaced(recent.failed),
        time(50),
        time(99),
    )
}

fn farewell(all: &Snapshot, lasted: Duration) -> String {
    let time = |percent| all.percentile(percent).map_or_else(|| "-".to_owned(), readable);
    format!(
        "In {} s the supporters were served {} times, refused {} times and failed {} times.\n\
         Half of their requests were answered within {}, 99 of 100 within {}.",
        lasted.as_secs(),
        spaced(all.served),
        spaced(all.refused),
        spaced(all.failed),
        time(50),
        time(99),
    )
}

/// Drains the gate, for a moment at most. Whether it was empty by then.
fn end(gate: Gate) -> bool {
    let (done, ended) = std::sync::mpsc::channel();
    gate.shutdown();
    // `wait` blocks for as long as the policy lets requests finish; the person at the keyboard has the last word.
    thread::spawn(move || {
        gate.wait();
        let _ = done.send(());
    });
    ended.recv_timeout(ENDING).is_ok()
}

fn cannot<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::because(format!("cannot {what}: {error}"))
}
