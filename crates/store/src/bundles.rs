//! The ledger read by all cores: one thread finds where everything is, others work on it, the caller takes what came of it in
//! the order of the leaves.
//!
//! It hands on what lies there, checks nothing of it, and copies no event.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use portcullis_ledger::Retention;
use portcullis_ledger::frame::{Kept, Unchecked};
use portcullis_ledger::leaf;
use portcullis_ledger::tree::TILE;

use crate::disk::Disk;
use crate::log::DAY_MILLIS;
use crate::reader::{Events, Found, Snapshot};

/// Bundles that are handed from thread to thread at once: to wake somebody takes as long as to check a leaf.
const TOGETHER: usize = 8;
/// How many times so many wait for each thread.
const AHEAD: usize = 2;

/// The leaves of one tile and their events, as they lie there.
pub(crate) struct Bundle {
    /// From the left, from 0.
    pub(crate) number: u64,
    /// How many leaves the tree has in it.
    pub(crate) wanted: usize,
    /// The file of its entries.
    pub(crate) entries: io::Result<Vec<u8>>,
    /// Where the event of each is, and in which of the segments.
    pub(crate) events: Vec<(usize, Found)>,
    segments: Vec<Arc<Vec<u8>>>,
}

impl Bundle {
    /// The event whose frame begins there; none where that is not what was written.
    pub(crate) fn kept(&self, segment: usize, at: usize) -> Option<Kept<'_>> {
        let frame = Unchecked::at(self.segments.get(segment)?, at)?;
        Kept::parse(frame.checked()?)
    }
}

/// Has every bundle worked on by as many threads as there are cores, and shows what comes of them in their order, until there
/// are no more or `take` wants none. Events of classes that are not wanted are not looked for: they are as erased ones.
pub(crate) fn in_order<D: Disk, T: Send>(
    snapshot: &Snapshot<D>,
    classes: impl Fn(Retention) -> bool + Send,
    work: impl Fn(&Bundle) -> T + Sync,
    mut take: impl FnMut(&mut T) -> bool,
) {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let (work, mut ends, mut jobs) = (&work, Vec::new(), Vec::new());
        for _ in 0..workers {
            let (job, taken): (SyncSender<Vec<Bundle>>, Receiver<Vec<Bundle>>) = sync_channel(AHEAD);
            let (done, result) = sync_channel(AHEAD);
            // What was taken goes back to who made it: memory is given back soonest by the thread that asked for it.
            let (back, spent) = channel::<Vec<T>>();
            scope.spawn(move || {
                taken.into_iter().all(|bundles| {
                    spent.try_iter().for_each(drop);
                    done.send(bundles.iter().map(work).collect::<Vec<T>>()).is_ok()
                })
            });
            jobs.push(job);
            ends.push((result, back));
        }
        scope.spawn(move || feed(snapshot, classes, &jobs));
        // They come back in the order in which they went out.
        for (result, back) in ends.iter().cycle() {
            let Ok(mut done) = result.recv() else { return };
            if !done.iter_mut().all(&mut take) {
                return;
            }
            // Nobody is there any more who could drop it, once there is nothing more to work on.
            drop(back.send(done));
        }
    });
}

fn feed<D: Disk>(snapshot: &Snapshot<D>, classes: impl Fn(Retention) -> bool, workers: &[SyncSender<Vec<Bundle>>]) {
    let mut events = Events::default();
    let mut bundles = 0..snapshot.checkpoint.size.div_ceil(TILE);
    for worker in workers.iter().cycle() {
        let some = bundles.by_ref().take(TOGETHER).map(|number| find(snapshot, &classes, &mut events, number));
        let some: Vec<Bundle> = some.collect();
        if some.is_empty() || worker.send(some).is_err() {
            return;
        }
    }
}

/// One bundle, with where its events are, which are behind those of the bundles before it.
fn find<D: Disk>(
    snapshot: &Snapshot<D>,
    classes: &impl Fn(Retention) -> bool,
    events: &mut Events,
    number: u64,
) -> Bundle {
    let first = number * TILE;
    let wanted = (snapshot.checkpoint.size - first).min(TILE) as usize;
    let file = snapshot.bundle(number);
    let entries = file.as_ref().ok().and_then(|file| leaf::unbundle(file)).unwrap_or_default();
    let mut segments: Vec<Arc<Vec<u8>>> = Vec::new();
    let found = entries.iter().take(wanted).zip(first..).map(|(entry, index)| {
        // Where the entry is none, somebody else says so.
        let Some((class, millis)) = brief(entry).filter(|(class, _)| classes(*class)) else {
            return (0, Found::Erased);
        };
        let found = events.look(snapshot.disk(), class, index, millis / DAY_MILLIS);
        let segment = events.segment(class);
        let known = segments.iter().rposition(|known| Arc::ptr_eq(known, segment));
        let number = known.unwrap_or_else(|| {
            segments.push(Arc::clone(segment));
            segments.len() - 1
        });
        (number, found)
    });
    let events: Vec<(usize, Found)> = found.collect();
    Bundle { number, wanted, entries: file, events, segments }
}

/// Class and time of an entry.
fn brief(entry: &[u8]) -> Option<(Retention, u64)> {
    let [_, class, time @ ..] = entry else { return None };
    Some((Retention::from_code(*class)?, u64::from_be_bytes(*time.first_chunk()?)))
}
