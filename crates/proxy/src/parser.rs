//! The parser's process, as a worker uses it: one for each worker, started when it is first needed and again when it has ended.
//!
//! It parses nothing here: what reads hostile SQL shares no memory with what carries connections. A parser that ends, falls
//! silent or answers nonsense costs the one text that it had, which a fresh one is asked about once more. A text that ends a fresh
//! parser is [`Unreadable::EndsParser`], and never passes where statements are enforced.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_pgguard::description::{ANSWER_BYTES, Answer, TEXT_BYTES, Unreadable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// The verb under which the binary is a parser. Nobody types it.
pub const VERB: &str = "parse-statements";
/// The program that is started: the one that runs, even after a new one has taken its place on the disk.
const PROGRAM: &str = "/proc/self/exe";
/// How long one text may take, start of the process included. Beyond it the process is ended.
const PATIENCE: Duration = Duration::from_secs(2);
/// Least time between two starts, so that a text which always ends the parser does not keep a core busy with starting it.
const PAUSE: Duration = Duration::from_millis(20);
/// Texts that wait for one parser. Who comes next waits to wait.
const QUEUE: usize = 256;

/// What became of texts, over all workers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Texts that a parser answered.
    pub(crate) answered: AtomicU64,
    /// Texts that a parser failed on.
    pub(crate) failed: AtomicU64,
    /// Processes started.
    pub(crate) started: AtomicU64,
}

/// A worker's way to its parser.
#[derive(Debug, Clone)]
pub(crate) struct Parser(mpsc::Sender<Question>);

#[derive(Debug)]
struct Question {
    text: Box<[u8]>,
    answer: oneshot::Sender<Answer>,
}

impl Parser {
    /// A parser for this worker. Called on its runtime, whose local tasks carry the conversation; starts no process yet.
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        let (questions, queue) = mpsc::channel(QUEUE);
        tokio::task::spawn_local(converse(queue, counters));
        Self(questions)
    }

    /// What a text is. Who no longer wants to know may go away at any time.
    pub(crate) async fn ask(&self, text: &[u8]) -> Answer {
        if text.len() > TEXT_BYTES {
            return Answer::Unreadable(Unreadable::TooLong);
        }
        let (answer, answered) = oneshot::channel();
        let failed = Answer::Unreadable(Unreadable::ParserFailed);
        match self.0.send(Question { text: text.into(), answer }).await {
            Ok(()) => answered.await.unwrap_or(failed),
            Err(_) => failed,
        }
    }
}

async fn converse(mut queue: mpsc::Receiver<Question>, counters: Arc<Counters>) {
    let mut seat = Seat { process: None, next_start: Instant::now(), counters };
    while let Some(question) = queue.recv().await {
        if !question.answer.is_closed() {
            let answer = seat.ask(&question.text).await;
            let _ = question.answer.send(answer);
        }
    }
}

/// Where the process is, when there is one.
struct Seat {
    process: Option<Process>,
    next_start: Instant,
    counters: Arc<Counters>,
}

impl Seat {
    /// A process that was there before may have ended for reasons of its own: then a fresh one is asked too.
    async fn ask(&mut self, text: &[u8]) -> Answer {
        loop {
            let known = self.process.take();
            let fresh = known.is_none();
            let process = match known {
                Some(process) => Ok(process),
                None => self.start().await,
            };
            let started = process.is_ok();
            let asked = match process {
                Ok(process) => self.exchange(process, text).await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(answer) => {
                    self.counters.answered.fetch_add(1, Ordering::Relaxed);
                    return answer;
                }
                Err(error) if fresh => {
                    tracing::warn!("a parser of statements failed on a text of {} bytes: {error}", text.len());
                    self.counters.failed.fetch_add(1, Ordering::Relaxed);
                    let over_it = started && error.kind() != io::ErrorKind::TimedOut;
                    return Answer::Unreadable(if over_it { Unreadable::EndsParser } else { Unreadable::ParserFailed });
                }
                Err(_) => {}
            }
        }
    }

    async fn start(&mut self) -> io::Result<Process> {
        sleep_until(self.next_start).await;
        self.next_start = Instant::now() + PAUSE;
        self.counters.started.fetch_add(1, Ordering::Relaxed);
        Process::start()
    }

    async fn exchange(&mut self, mut process: Process, text: &[u8]) -> io::Result<Answer> {
        let failed = match timeout(PATIENCE, process.exchange(text)).await {
            Ok(Ok(answer)) => {
                self.process = Some(process);
                return Ok(answer);
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it took too long"),
        };
        process.end().await;
        Err(failed)
    }
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Process {
    fn start() -> io::Result<Self> {
        let mut child = Command::new(PROGRAM)
            .arg(VERB)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let streams = child.stdin.take().zip(child.stdout.take());
        let (input, output) = streams.ok_or_else(|| io::Error::other("it has no streams"))?;
        Ok(Self { child, input, output })
    }

    async fn exchange(&mut self, text: &[u8]) -> io::Result<Answer> {
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let question = [&length.to_le_bytes(), text].concat();
        self.input.write_all(&question).await?;
        let length = usize::try_from(self.output.read_u32_le().await?).unwrap_or(usize::MAX);
        if length > ANSWER_BYTES {
            return Err(io::Error::other("it answers more than it may"));
        }
        let mut bytes = vec![0; length];
        self.output.read_exact(&mut bytes).await?;
        match Answer::decode(&bytes) {
            Answer::Unreadable(Unreadable::ParserFailed) => Err(io::Error::other("it answers nonsense")),
            answer => Ok(answer),
        }
    }

    async fn end(mut self) {
        let _ = self.child.kill().await;
    }
}
